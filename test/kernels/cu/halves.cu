/* 16-bit floats, f16 and bf16, alone and in pairs: arithmetic, comparisons, conversions and atomic sums, bit for bit. */
#include <cuda_bf16.h>
#include <cuda_fp16.h>

typedef unsigned short u16;
typedef unsigned u32;

#define H2(k, text)                                        \
  {                                                        \
    u16 r;                                                 \
    asm(text : "=h"(r) : "h"(a), "h"(b), "h"(c));          \
    o[k] = r;                                              \
  }

/* Thirteen results for each triple of f16. Without .rn, as in the last, an assembler may join a product and a sum into one fma, as ptxas does. */
extern "C" __global__ void half_ops(int n, const u16 *in, u16 *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  u16 a = in[i * 3], b = in[i * 3 + 1], c = in[i * 3 + 2], *o = out + (size_t)i * 13;
  H2(0, "add.rn.f16 %0, %1, %2;")
  H2(1, "sub.rn.f16 %0, %1, %2;")
  H2(2, "mul.rn.f16 %0, %1, %2;")
  H2(3, "fma.rn.f16 %0, %1, %2, %3;")
  H2(4, "add.sat.f16 %0, %1, %2;")
  H2(5, "fma.rn.ftz.f16 %0, %1, %2, %3;")
  H2(6, "neg.f16 %0, %1;")
  H2(7, "abs.f16 %0, %1;")
  H2(8, "set.lt.f16.f16 %0, %1, %2;")
  H2(9, "set.geu.f16.f16 %0, %1, %2;")
  H2(10, "{.reg .pred p; setp.eq.f16 p, %1, %2; selp.u16 %0, %3, 0, p;}")
  H2(11, "{.reg .b32 a, b, c; mov.b32 a, {%1, %2}; mov.b32 b, {%3, %1}; fma.rn.f16x2 c, a, b, a; add.rn.f16x2 c, c, b; mul.rn.f16x2 c, c, a;"
         " sub.rn.f16x2 c, c, b; {.reg .b16 x; mov.b32 {x, %0}, c;}}")
  H2(12, "{.reg .b16 product; mul.f16 product, %1, %2; add.f16 %0, product, %3;}")
}

/* From the numbers that 32 bits hold, by each rounding: f16 and bf16. */
extern "C" __global__ void half_from_f32(int n, const float *in, u16 *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  u16 *o = out + (size_t)i * 5;
  o[0] = __half_as_ushort(__float2half_rn(in[i]));
  o[1] = __half_as_ushort(__float2half_rz(in[i]));
  o[2] = __half_as_ushort(__float2half_rd(in[i]));
  o[3] = __half_as_ushort(__float2half_ru(in[i]));
  o[4] = __half_as_ushort(__double2half(in[i] * 1.00000001));
}

/* Every f16: to 32 bits, to an integer by each rounding, to a whole number. */
extern "C" __global__ void half_widened(const u16 *in, float *wide, int *whole, u16 *rounded) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  __half h = __ushort_as_half(in[i]);
  wide[i] = __half2float(h);
  whole[i * 4] = __half2int_rn(h);
  whole[i * 4 + 1] = __half2int_rz(h);
  whole[i * 4 + 2] = __half2int_rd(h);
  whole[i * 4 + 3] = __half2int_ru(h);
  rounded[i * 2] = __half_as_ushort(hfloor(h));
  rounded[i * 2 + 1] = __half_as_ushort(hrint(h));
}

extern "C" __global__ void half_from_integers(int n, const long long *in, u16 *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  out[i * 3] = __half_as_ushort(__ll2half_rn(in[i]));
  out[i * 3 + 1] = __half_as_ushort(__int2half_rz((int)in[i]));
  out[i * 3 + 2] = __half_as_ushort(__ushort2half_ru((u16)in[i]));
}

/* Sums of one into 16 bits and into both halves of a word, from all threads. */
extern "C" __global__ void half_sums(__half *one, __half2 *pair) {
  atomicAdd(one, __float2half(1.0f));
  atomicAdd(pair, __floats2half2_rn(1.0f, 0.5f));
  __shared__ __half2 own;
  if (threadIdx.x == 0) own = __floats2half2_rn(0, 0);
  __syncthreads();
  atomicAdd(&own, __floats2half2_rn(2.0f, 1.0f));
  __syncthreads();
  if (threadIdx.x == 0) atomicAdd(pair + 1, own);
}
