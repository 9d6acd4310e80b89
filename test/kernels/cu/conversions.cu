/* cvt between every pair of kinds that matters, with rounding, clamping and saturation. */

#define FROM(k, op, inc, in) { unsigned r; asm(op " %0, %1;" : "=r"(r) : inc(in)); o[k] = r; }

/* From a 32-bit pattern: as float, as signed, as unsigned. */
extern "C" __global__ void convert_from_f32(int n, const float *in, unsigned long long *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float a = in[i];
  unsigned long long *o = out + (size_t)i * 20;
#define TO32(k, op) { unsigned r; asm(op " %0, %1;" : "=r"(r) : "f"(a)); o[k] = r; }
#define TO64(k, op) { unsigned long long r; asm(op " %0, %1;" : "=l"(r) : "f"(a)); o[k] = r; }
#define TO16(k, op) { unsigned short r; asm(op " %0, %1;" : "=h"(r) : "f"(a)); o[k] = r; }
#define TOF(k, op) { float r; asm(op " %0, %1;" : "=f"(r) : "f"(a)); o[k] = __float_as_uint(r); }
  TO32(0, "cvt.rni.s32.f32") TO32(1, "cvt.rzi.s32.f32") TO32(2, "cvt.rmi.s32.f32") TO32(3, "cvt.rpi.s32.f32")
  TO32(4, "cvt.rni.u32.f32") TO32(5, "cvt.rzi.u32.f32") TO32(6, "cvt.rmi.u32.f32") TO32(7, "cvt.rpi.u32.f32")
  TO64(8, "cvt.rzi.s64.f32") TO64(9, "cvt.rni.u64.f32") TO16(10, "cvt.rzi.s16.f32") TO16(11, "cvt.rni.u16.f32")
  TOF(12, "cvt.rni.f32.f32") TOF(13, "cvt.rzi.f32.f32") TOF(14, "cvt.rmi.f32.f32") TOF(15, "cvt.rpi.f32.f32")
  TOF(16, "cvt.sat.f32.f32") TO32(17, "cvt.rzi.ftz.s32.f32")
  { double r; asm("cvt.f64.f32 %0, %1;" : "=d"(r) : "f"(a)); o[18] = __double_as_longlong(r); }
  TO32(19, "cvt.rzi.u8.f32")
}

extern "C" __global__ void convert_from_f64(int n, const double *in, unsigned long long *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  double a = in[i];
  unsigned long long *o = out + (size_t)i * 14;
#undef TO32
#undef TO64
#undef TOF
#define TO32(k, op) { unsigned r; asm(op " %0, %1;" : "=r"(r) : "d"(a)); o[k] = r; }
#define TO64(k, op) { unsigned long long r; asm(op " %0, %1;" : "=l"(r) : "d"(a)); o[k] = r; }
#define TOF(k, op) { float r; asm(op " %0, %1;" : "=f"(r) : "d"(a)); o[k] = __float_as_uint(r); }
#define TOD(k, op) { double r; asm(op " %0, %1;" : "=d"(r) : "d"(a)); o[k] = __double_as_longlong(r); }
  TO32(0, "cvt.rni.s32.f64") TO32(1, "cvt.rzi.u32.f64") TO64(2, "cvt.rzi.s64.f64") TO64(3, "cvt.rni.s64.f64")
  TO64(4, "cvt.rzi.u64.f64") TO64(5, "cvt.rpi.u64.f64")
  TOF(6, "cvt.rn.f32.f64") TOF(7, "cvt.rz.f32.f64") TOF(8, "cvt.rm.f32.f64") TOF(9, "cvt.rp.f32.f64")
  TOD(10, "cvt.rni.f64.f64") TOD(11, "cvt.rzi.f64.f64") TOD(12, "cvt.rmi.f64.f64") TOD(13, "cvt.rpi.f64.f64")
}

/* From 64-bit patterns: integers to floats with each rounding, and to narrower and wider integers. */
extern "C" __global__ void convert_from_int(int n, const unsigned long long *in, unsigned long long *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned long long l = in[i];
  unsigned w = (unsigned)l;
  unsigned short h = (unsigned short)l;
  unsigned long long *o = out + (size_t)i * 34;
#define WF(k, op) { float r; asm(op " %0, %1;" : "=f"(r) : "r"(w)); o[k] = __float_as_uint(r); }
#define LF(k, op) { float r; asm(op " %0, %1;" : "=f"(r) : "l"(l)); o[k] = __float_as_uint(r); }
#define LD(k, op) { double r; asm(op " %0, %1;" : "=d"(r) : "l"(l)); o[k] = __double_as_longlong(r); }
#define WD(k, op) { double r; asm(op " %0, %1;" : "=d"(r) : "r"(w)); o[k] = __double_as_longlong(r); }
#define HF(k, op) { float r; asm(op " %0, %1;" : "=f"(r) : "h"(h)); o[k] = __float_as_uint(r); }
#define WL(k, op) { unsigned long long r; asm(op " %0, %1;" : "=l"(r) : "r"(w)); o[k] = r; }
#define WW(k, op) { unsigned r; asm(op " %0, %1;" : "=r"(r) : "r"(w)); o[k] = r; }
#define WH(k, op) { unsigned short r; asm(op " %0, %1;" : "=h"(r) : "r"(w)); o[k] = r; }
#define LW(k, op) { unsigned r; asm(op " %0, %1;" : "=r"(r) : "l"(l)); o[k] = r; }
#define HW(k, op) { unsigned r; asm(op " %0, %1;" : "=r"(r) : "h"(h)); o[k] = r; }
  WF(0, "cvt.rn.f32.s32") WF(1, "cvt.rz.f32.s32") WF(2, "cvt.rm.f32.s32") WF(3, "cvt.rp.f32.s32")
  WF(4, "cvt.rn.f32.u32") WF(5, "cvt.rz.f32.u32") WF(6, "cvt.rm.f32.u32") WF(7, "cvt.rp.f32.u32")
  LF(8, "cvt.rn.f32.s64") LF(9, "cvt.rz.f32.s64") LF(10, "cvt.rn.f32.u64") LF(11, "cvt.rp.f32.u64")
  LD(12, "cvt.rn.f64.s64") LD(13, "cvt.rz.f64.s64") LD(14, "cvt.rm.f64.u64") LD(15, "cvt.rn.f64.u64")
  WD(16, "cvt.rn.f64.s32") WD(17, "cvt.rn.f64.u32") HF(18, "cvt.rn.f32.s16") HF(19, "cvt.rn.f32.u16")
  WL(20, "cvt.s64.s32") WL(21, "cvt.u64.u32") WL(22, "cvt.s64.u32")
  WW(23, "cvt.s32.s8") WW(24, "cvt.u32.u8") WW(25, "cvt.s32.s16") WW(26, "cvt.u32.u16")
  WH(27, "cvt.sat.s16.s32") WH(28, "cvt.sat.u16.s32") WW(29, "cvt.sat.s8.s32") WW(30, "cvt.sat.u8.s32")
  LW(31, "cvt.sat.s32.s64") LW(32, "cvt.sat.u32.u64") HW(33, "cvt.s32.s16")
}
