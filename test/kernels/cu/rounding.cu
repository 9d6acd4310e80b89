/* Arithmetic with each rounding mode, flushing, saturation, and the odd cases of min, max and sign. */

#define OP(k, text)                                                                       \
  {                                                                                       \
    F r;                                                                                  \
    asm(text : OUT(r) : IN(a), IN(b), IN(c));                                             \
    o[k] = r;                                                                             \
  }
#define FOUR(k, op, type, operands)    \
  OP(k, op ".rn" type " %0, " operands ";")     \
  OP(k + 1, op ".rz" type " %0, " operands ";") \
  OP(k + 2, op ".rm" type " %0, " operands ";") \
  OP(k + 3, op ".rp" type " %0, " operands ";")

#define F float
#define OUT(x) "=f"(x)
#define IN(x) "f"(x)

extern "C" __global__ void rounding_f32(int n, const float *in, float *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float a = in[i * 3], b = in[i * 3 + 1], c = in[i * 3 + 2];
  float *o = out + (size_t)i * 28;
  FOUR(0, "add", ".f32", "%1, %2")
  FOUR(4, "sub", ".f32", "%1, %2")
  FOUR(8, "mul", ".f32", "%1, %2")
  FOUR(12, "fma", ".f32", "%1, %2, %3")
  FOUR(16, "div", ".f32", "%1, %2")
  FOUR(20, "sqrt", ".f32", "%1")
  FOUR(24, "rcp", ".f32", "%1")
}

extern "C" __global__ void flush_f32(int n, const float *in, float *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float a = in[i * 3], b = in[i * 3 + 1], c = in[i * 3 + 2];
  float *o = out + (size_t)i * 16;
  OP(0, "add.rn.ftz.f32 %0, %1, %2;")
  OP(1, "sub.rz.ftz.f32 %0, %1, %2;")
  OP(2, "mul.rn.ftz.f32 %0, %1, %2;")
  OP(3, "fma.rn.ftz.f32 %0, %1, %2, %3;")
  OP(4, "add.sat.f32 %0, %1, %2;")
  OP(5, "mul.sat.f32 %0, %1, %2;")
  OP(6, "fma.rn.sat.f32 %0, %1, %2, %3;")
  OP(7, "min.f32 %0, %1, %2;")
  OP(8, "max.f32 %0, %1, %2;")
  OP(9, "min.ftz.f32 %0, %1, %2;")
  OP(10, "abs.f32 %0, %1;")
  OP(11, "neg.f32 %0, %1;")
  OP(12, "abs.ftz.f32 %0, %1;")
  OP(13, "copysign.f32 %0, %1, %2;")
  OP(14, "mul.rn.ftz.sat.f32 %0, %1, %2;")
  OP(15, "{ .reg .pred p; setp.lt.ftz.f32 p, %1, %2; selp.f32 %0, 0f3F800000, 0f00000000, p; }")
}

#undef F
#undef OUT
#undef IN
#define F double
#define OUT(x) "=d"(x)
#define IN(x) "d"(x)

extern "C" __global__ void rounding_f64(int n, const double *in, double *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  double a = in[i * 3], b = in[i * 3 + 1], c = in[i * 3 + 2];
  double *o = out + (size_t)i * 28;
  FOUR(0, "add", ".f64", "%1, %2")
  FOUR(4, "sub", ".f64", "%1, %2")
  FOUR(8, "mul", ".f64", "%1, %2")
  FOUR(12, "fma", ".f64", "%1, %2, %3")
  FOUR(16, "div", ".f64", "%1, %2")
  FOUR(20, "sqrt", ".f64", "%1")
  FOUR(24, "rcp", ".f64", "%1")
}

/* Comparisons, ordered and unordered, as setp, set and selp: one bit each. */
extern "C" __global__ void compares(int n, const float *in, unsigned *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float a = in[i * 3], b = in[i * 3 + 1];
  unsigned bits = 0, r;
#define COMPARE(k, op)                                                                                            \
  asm("{ .reg .pred p; setp." op ".f32 p, %1, %2; selp.u32 %0, 1, 0, p; }" : "=r"(r) : "f"(a), "f"(b));           \
  bits |= r << k;
  COMPARE(0, "eq") COMPARE(1, "ne") COMPARE(2, "lt") COMPARE(3, "le") COMPARE(4, "gt") COMPARE(5, "ge")
  COMPARE(6, "equ") COMPARE(7, "neu") COMPARE(8, "ltu") COMPARE(9, "leu") COMPARE(10, "gtu") COMPARE(11, "geu")
  COMPARE(12, "num") COMPARE(13, "nan")
  asm("set.lt.u32.f32 %0, %1, %2;" : "=r"(r) : "f"(a), "f"(b));
  bits |= (r & 3) << 14;
  float f;
  asm("set.ge.f32.f32 %0, %1, %2;" : "=f"(f) : "f"(a), "f"(b));
  bits |= (__float_as_uint(f) >> 23) << 16;
  out[i] = bits;
}
