/* Products of small matrices by wmma on the types that matrices.cu does not have, one warp each, out of packed matrices. */
#include <mma.h>
#include <type_traits>

using namespace nvcuda;

/* D = A B + C. By `layouts`: bit 0 says that A lies by columns, bit 1 that B does, bit 2 that C and D do. */
template <int M, int N, int K, class F, class T, class S, bool A_COLUMNS, bool B_COLUMNS>
__device__ void multiply(const T *a, const T *b, const S *c, S *d, bool columns) {
  wmma::fragment<wmma::matrix_a, M, N, K, F, std::conditional_t<A_COLUMNS, wmma::col_major, wmma::row_major>> fa;
  wmma::fragment<wmma::matrix_b, M, N, K, F, std::conditional_t<B_COLUMNS, wmma::col_major, wmma::row_major>> fb;
  wmma::fragment<wmma::accumulator, M, N, K, S> fc;
  wmma::load_matrix_sync(fa, a, A_COLUMNS ? M : K);
  wmma::load_matrix_sync(fb, b, B_COLUMNS ? K : N);
  if (columns) wmma::load_matrix_sync(fc, c, M, wmma::mem_col_major);
  else wmma::load_matrix_sync(fc, c, N, wmma::mem_row_major);
  wmma::mma_sync(fc, fa, fb, fc);
  if (columns) wmma::store_matrix_sync(d, fc, M, wmma::mem_col_major);
  else wmma::store_matrix_sync(d, fc, N, wmma::mem_row_major);
}

#define KERNEL(name, M, N, K, F, T, S)                                                        \
  extern "C" __global__ void name(const T *a, const T *b, const S *c, S *d, int layouts) {    \
    switch (layouts & 3) {                                                                    \
      case 0: multiply<M, N, K, F, T, S, false, false>(a, b, c, d, layouts & 4); return;      \
      case 1: multiply<M, N, K, F, T, S, true, false>(a, b, c, d, layouts & 4); return;       \
      case 2: multiply<M, N, K, F, T, S, false, true>(a, b, c, d, layouts & 4); return;       \
      default: multiply<M, N, K, F, T, S, true, true>(a, b, c, d, layouts & 4); return;       \
    }                                                                                         \
  }
KERNEL(wmma_s8_16_16, 16, 16, 16, signed char, signed char, int)
KERNEL(wmma_s8_32_8, 32, 8, 16, signed char, signed char, int)
KERNEL(wmma_u8_8_32, 8, 32, 16, unsigned char, unsigned char, int)
KERNEL(wmma_tf32, 16, 16, 8, wmma::precision::tf32, float, float)
KERNEL(wmma_bf16_32_8, 32, 8, 16, __nv_bfloat16, __nv_bfloat16, float)
KERNEL(wmma_f64, 8, 8, 4, double, double, double)

/* Numbers shorter than a byte: A lies by rows, B by columns; distances are counted in numbers. */
#define SHORT(name, K, F)                                                                              \
  extern "C" __global__ void name(const void *a, const void *b, const int *c, int *d, int columns) {   \
    wmma::fragment<wmma::matrix_a, 8, 8, K, F, wmma::row_major> fa;                                    \
    wmma::fragment<wmma::matrix_b, 8, 8, K, F, wmma::col_major> fb;                                    \
    wmma::fragment<wmma::accumulator, 8, 8, K, int> fc;                                                \
    auto layout = columns ? wmma::mem_col_major : wmma::mem_row_major;                                 \
    wmma::load_matrix_sync(fa, a, K);                                                                  \
    wmma::load_matrix_sync(fb, b, K);                                                                  \
    wmma::load_matrix_sync(fc, c, 8, layout);                                                          \
    MULTIPLY;                                                                                          \
    wmma::store_matrix_sync(d, fc, 8, layout);                                                         \
  }
#define MULTIPLY wmma::mma_sync(fc, fa, fb, fc)
SHORT(wmma_s4, 32, wmma::experimental::precision::s4)
SHORT(wmma_u4, 32, wmma::experimental::precision::u4)
#undef MULTIPLY
#define MULTIPLY wmma::bmma_sync(fc, fa, fb, fc, wmma::experimental::bmmaBitOpXOR)
SHORT(bmma_xor, 128, wmma::experimental::precision::b1)
#undef MULTIPLY
#define MULTIPLY wmma::bmma_sync(fc, fa, fb, fc, wmma::experimental::bmmaBitOpAND)
SHORT(bmma_and, 128, wmma::experimental::precision::b1)
