/* bf16, alone and in pairs, tf32, and what came with them in compute capability 8.0. */
#include <cuda_bf16.h>

typedef unsigned short u16;
typedef unsigned u32;

#define OP(k, text)                               \
  {                                               \
    u16 r;                                        \
    asm(text : "=h"(r) : "h"(a), "h"(b), "h"(c)); \
    o[k] = r;                                     \
  }

extern "C" __global__ void bfloat_ops(int n, const u16 *in, u16 *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  u16 a = in[i * 3], b = in[i * 3 + 1], c = in[i * 3 + 2], *o = out + (size_t)i * 8;
  OP(0, "fma.rn.bf16 %0, %1, %2, %3;")
  OP(1, "fma.rn.relu.bf16 %0, %1, %2, %3;")
  OP(2, "min.bf16 %0, %1, %2;")
  OP(3, "max.NaN.bf16 %0, %1, %2;")
  OP(4, "neg.bf16 %0, %1;")
  OP(5, "abs.bf16 %0, %1;")
  OP(6, "max.f16 %0, %1, %2;")
  OP(7, "{.reg .b32 a, b, c; mov.b32 a, {%1, %2}; mov.b32 b, {%3, %1}; fma.rn.bf16x2 c, a, b, a; {.reg .b16 x; mov.b32 {x, %0}, c;}}")
}

extern "C" __global__ void bfloat_from_f32(int n, const float *in, u32 *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  u16 rn, rz;
  u32 pair, tf32;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rn) : "f"(in[i]));
  asm("cvt.rz.bf16.f32 %0, %1;" : "=h"(rz) : "f"(in[i]));
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(in[i]), "f"(in[n - 1 - i]));
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(tf32) : "f"(in[i]));
  out[i * 3] = rn | (u32)rz << 16;
  out[i * 3 + 1] = pair;
  out[i * 3 + 2] = tf32;
}
