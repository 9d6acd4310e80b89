/* Launches of this library's own kernels (kernels.cu), and how their operands are described. */
#ifndef SLUICE_BLAS_OWN_KERNELS_H
#define SLUICE_BLAS_OWN_KERNELS_H

#include "handle.h"
#include "kernels.h"

enum own_kernel { UPDATE, ROTATE, REDUCE, FINISH, SOLVE, MULTIPLY_F32, MULTIPLY_F64 };

/* cudaDataType of places. */
enum { R_64I = 24 };
/* cublasSideMode_t, cublasFillMode_t, cublasDiagType_t */
enum { SIDE_LEFT = 0, SIDE_RIGHT = 1 };
enum { FILL_LOWER = 0, FILL_UPPER = 1 };
enum { DIAGONAL_STORED = 0, DIAGONAL_UNIT = 1 };

struct blocks {
    unsigned x, y, z, threads_x, threads_y;
};

/* Queues the kernel, whose one parameter is `params`; at most 65535 blocks in y and z. */
cublasStatus_t launch_own(enum own_kernel which, struct blocks blocks, void *params, CUstream stream);
/* Blocks for so many elements, 256 threads each, which go on to further elements where there are more. */
struct blocks blocks_for(int64_t rows, int64_t columns);

static inline size_t number_bytes(int type) {
    return type == C_64F ? 16 : type == C_32F || type == R_64F || type == R_64I ? 8 : type == R_32F || type == R_32I ? 4 : 2;
}
static inline bool is_complex(int type) {
    return type == C_32F || type == C_64F;
}
/* Whether the kernels know it. */
bool is_number_type(int type);

/* The program's factor: read now, or by the kernel where the handle says that it is on the device. */
cublasStatus_t own_factor(const struct cublasContext *handle, const void *from, int type, struct blas_factor *factor);
static inline struct blas_factor number(double real) {
    return (struct blas_factor){.real = real};
}
struct blas_operand vector_of(const void *at, int type, int64_t count, int64_t increment);
/* A matrix that stands column by column, as the operation makes it. */
struct blas_operand matrix_of(const void *at, int type, int64_t leading, int operation);

static inline bool is_triangle(int fill) {
    return fill == FILL_LOWER || fill == FILL_UPPER;
}

/* own-product.c: C = alpha A B + beta C by a kernel, for `count` matrices of a batch. */
struct own_product {
    struct blas_operand a, b, c;
    const void *alpha, *beta;
    /* Of alpha; and of beta where it has another. */
    int type, beta_type;
    bool has_beta_type;
    /* In their places: alpha is 1, beta is 0, beta is 1; and alpha is conjugated. */
    bool is_plain, is_alone, is_added, is_conjugated;
    int64_t m, n, k, count;
    int part;
};
/* A product of the wire; or where there is nothing to add to C, which is only scaled, a kernel's. */
cublasStatus_t multiply_or_scale(cublasHandle_t handle, const struct product *product);
cublasStatus_t multiply_here(cublasHandle_t handle, const struct own_product *product);
/* y = alpha op(A) x + beta y, all of one type. */
struct own_gemv {
    int op;
    int64_t m, n;
    const void *alpha, *a;
    int64_t lda;
    const void *x;
    int64_t incx;
    const void *beta;
    void *y;
    int64_t incy;
    int type;
};
cublasStatus_t gemv_here(cublasHandle_t handle, const struct own_gemv *product);

/* Both widths of a function's numbers. */
#define BOTH_WIDTHS(form, name, ...) form(name, int, __VA_ARGS__) form(name##_64, int64_t, __VA_ARGS__)
/* And all four types, for names that begin with them: PREFIX ## S ## SUFFIX and so on. */
#define FOUR_TYPES(form, prefix, suffix, tail)                                                                                          \
    BOTH_WIDTHS(form, prefix##S##suffix##tail, R_32F)                                                                                   \
    BOTH_WIDTHS(form, prefix##D##suffix##tail, R_64F)                                                                                   \
    BOTH_WIDTHS(form, prefix##C##suffix##tail, C_32F)                                                                                   \
    BOTH_WIDTHS(form, prefix##Z##suffix##tail, C_64F)

#endif
