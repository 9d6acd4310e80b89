/* Products of small matrices by a warp: wmma in all shapes, layouts and accumulators; mma; ldmatrix. Matrices are packed. */
#include <mma.h>
#include <type_traits>

using namespace nvcuda;

/* D = 2 (A B + C), where A is M x 16 and B is 16 x N. By `layouts`: bit 0 says that A lies by columns, bit 1 that B does, bit 2 that C and D do. */
template <int M, int N, bool A_COLUMNS, bool B_COLUMNS, class T>
__device__ void multiply(const half *a, const half *b, const T *c, T *d, bool columns) {
  wmma::fragment<wmma::matrix_a, M, N, 16, half, std::conditional_t<A_COLUMNS, wmma::col_major, wmma::row_major>> fa;
  wmma::fragment<wmma::matrix_b, M, N, 16, half, std::conditional_t<B_COLUMNS, wmma::col_major, wmma::row_major>> fb;
  wmma::fragment<wmma::accumulator, M, N, 16, T> fc;
  wmma::load_matrix_sync(fa, a, A_COLUMNS ? M : 16);
  wmma::load_matrix_sync(fb, b, B_COLUMNS ? 16 : N);
  if (columns) wmma::load_matrix_sync(fc, c, M, wmma::mem_col_major);
  else wmma::load_matrix_sync(fc, c, N, wmma::mem_row_major);
  wmma::mma_sync(fc, fa, fb, fc);
  for (int i = 0; i < fc.num_elements; i++) fc.x[i] = fc.x[i] * (T)2.0f;
  if (columns) wmma::store_matrix_sync(d, fc, M, wmma::mem_col_major);
  else wmma::store_matrix_sync(d, fc, N, wmma::mem_row_major);
}

template <int M, int N, class T>
__device__ void multiply_by(const half *a, const half *b, const T *c, T *d, int layouts) {
  switch (layouts & 3) {
    case 0: multiply<M, N, false, false>(a, b, c, d, layouts & 4); return;
    case 1: multiply<M, N, true, false>(a, b, c, d, layouts & 4); return;
    case 2: multiply<M, N, false, true>(a, b, c, d, layouts & 4); return;
    default: multiply<M, N, true, true>(a, b, c, d, layouts & 4); return;
  }
}

/* Each warp of the block does the same on its own matrices, out of shared memory where `shared` is set. */
#define KERNEL(name, M, N, T)                                                                                       \
  extern "C" __global__ void name(const half *a, const half *b, const T *c, T *d, int layouts, int shared) {        \
    __shared__ __align__(32) half sa[4][M * 16], sb[4][16 * N];                                                     \
    __shared__ __align__(32) T sc[4][M * N];                                                                        \
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;                                                           \
    a += warp * M * 16, b += warp * 16 * N, c += warp * M * N, d += warp * M * N;                                   \
    if (!shared) {                                                                                                  \
      multiply_by<M, N, T>(a, b, c, d, layouts);                                                                    \
      return;                                                                                                       \
    }                                                                                                               \
    for (int i = lane; i < M * 16; i += 32) sa[warp][i] = a[i];                                                     \
    for (int i = lane; i < 16 * N; i += 32) sb[warp][i] = b[i];                                                     \
    for (int i = lane; i < M * N; i += 32) sc[warp][i] = c[i];                                                      \
    __syncwarp();                                                                                                   \
    multiply_by<M, N, T>(sa[warp], sb[warp], sc[warp], sc[warp], layouts);                                          \
    __syncwarp();                                                                                                   \
    for (int i = lane; i < M * N; i += 32) d[i] = sc[warp][i];                                                      \
  }
KERNEL(wmma_16_16_f32, 16, 16, float)
KERNEL(wmma_32_8_f32, 32, 8, float)
KERNEL(wmma_8_32_f32, 8, 32, float)
KERNEL(wmma_16_16_f16, 16, 16, half)
KERNEL(wmma_8_32_f16, 8, 32, half)

/* A 16 x 16 by rows, B 16 x 8 by rows, C and D 16 x 8 by rows; A and B come by ldmatrix from shared memory. */
#define MMA(name, type)                                                                                             \
  extern "C" __global__ void name(const unsigned short *a, const unsigned short *b, const float *c, float *d) {     \
    __shared__ __align__(16) unsigned short sa[16 * 16], sb[16 * 8];                                                \
    int lane = threadIdx.x, g = lane / 4, t = lane % 4;                                                             \
    for (int i = lane; i < 256; i += 32) sa[i] = a[i];                                                              \
    for (int i = lane; i < 128; i += 32) sb[i] = b[i];                                                              \
    __syncwarp();                                                                                                   \
    unsigned x[4], y[2];                                                                                            \
    unsigned pa = (unsigned)__cvta_generic_to_shared(sa + (lane % 16) * 16 + lane / 16 * 8);                        \
    unsigned pb = (unsigned)__cvta_generic_to_shared(sb + (lane % 16) * 8);                                         \
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"                                 \
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(pa));                                       \
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];" : "=r"(y[0]), "=r"(y[1]) : "r"(pb)); \
    float s[4] = {c[g * 8 + 2 * t], c[g * 8 + 2 * t + 1], c[(g + 8) * 8 + 2 * t], c[(g + 8) * 8 + 2 * t + 1]};      \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
                 : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])                                                   \
                 : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));                               \
    /* Once more, half by half. */                                                                                  \
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32." type "." type ".f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};" \
                 : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]) : "r"(x[0]), "r"(x[1]), "r"(y[0]));               \
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32." type "." type ".f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};" \
                 : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]) : "r"(x[2]), "r"(x[3]), "r"(y[1]));               \
    d[g * 8 + 2 * t] = s[0], d[g * 8 + 2 * t + 1] = s[1], d[(g + 8) * 8 + 2 * t] = s[2], d[(g + 8) * 8 + 2 * t + 1] = s[3]; \
  }
MMA(mma_f16, "f16")
MMA(mma_bf16, "bf16")
