/*
 * Products by a kernel of this library's own, for those that the wire's `multiply` has no word for: complex ones, those whose matrices a triangle
 * stands for (shaped.c), vectors that are read backwards; and products with vectors that are not the wire's (vector.c has those that are).
 */
#include "own-kernels.h"

/* Blocks in y and z that a launch may have. */
#define BLOCKS_MAX 65535

static void advance(struct blas_operand *operand, int64_t matrices) {
    int64_t bytes = (operand->flags & BLAS_IS_TABLE) != 0 ? 8 : operand->batch * (int64_t)number_bytes(operand->type);
    operand->address += (uint64_t)(bytes * matrices);
}

static cublasStatus_t launch(cublasHandle_t handle, struct blas_multiplication *wanted, int64_t matrices) {
    bool is_single = wanted->c.type == C_32F || wanted->c.type == R_32F;
    int64_t across = (wanted->m + BLAS_TILE - 1) / BLAS_TILE, down = (wanted->n + BLAS_TILE - 1) / BLAS_TILE;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    for (int64_t done = 0; done < matrices && status == CUBLAS_STATUS_SUCCESS; done += BLOCKS_MAX) {
        int64_t count = matrices - done < BLOCKS_MAX ? matrices - done : BLOCKS_MAX;
        struct blocks blocks = {(unsigned)across, (unsigned)(down < BLOCKS_MAX ? down : BLOCKS_MAX), (unsigned)count, BLAS_TILE, BLAS_TILE};
        status = launch_own(is_single ? MULTIPLY_F32 : MULTIPLY_F64, blocks, wanted, handle->stream);
        advance(&wanted->a, count), advance(&wanted->b, count), advance(&wanted->c, count);
    }
    return status;
}

cublasStatus_t multiply_or_scale(cublasHandle_t handle, const struct product *product) {
    bool is_nothing = product->k == 0 || product->alpha == 0;
    if (!is_nothing || product->beta == 0 || product->beta == 1 || product->c.type == R_32I) return multiply(product);
    const struct matrix *c = &product->c;
    if (product->m < 0 || product->n < 0 || product->batch_count < 0 || !is_leading_of(c->leading, product->m)) return CUBLAS_STATUS_INVALID_VALUE;
    if (product->m == 0 || product->n == 0) return CUBLAS_STATUS_SUCCESS;
    struct blas_multiplication wanted = {
        .c = {.address = c->address, .row = 1, .column = c->leading, .batch = c->batch_stride, .type = c->type}, .beta = number(product->beta),
        .m = product->m, .n = product->n,
    };
    return launch(handle, &wanted, product->batch_count);
}

cublasStatus_t multiply_here(cublasHandle_t handle, const struct own_product *product) {
    struct blas_multiplication wanted = {.a = product->a, .b = product->b, .c = product->c, .m = product->m, .n = product->n, .k = product->k,
                                         .part = product->part};
    if (product->m == 0 || product->n == 0 || product->count == 0) return CUBLAS_STATUS_SUCCESS;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    wanted.alpha = number(1), wanted.beta = number(product->is_alone ? 0 : 1);
    if (!product->is_plain) status = own_factor(handle, product->alpha, product->type, &wanted.alpha);
    wanted.alpha.is_conjugated = product->is_conjugated;
    if (status == CUBLAS_STATUS_SUCCESS && !product->is_alone && !product->is_added)
        status = own_factor(handle, product->beta, product->has_beta_type ? product->beta_type : product->type, &wanted.beta);
    /* Then A and B are not read. */
    if (handle->pointer_mode != POINTER_DEVICE && wanted.alpha.real == 0 && wanted.alpha.imaginary == 0) wanted.k = 0;
    return status == CUBLAS_STATUS_SUCCESS ? launch(handle, &wanted, product->count) : status;
}

/* Complex products with vectors; op(A) has m rows and n columns as A stands. */
struct vector_product {
    int op;
    int64_t m, n;
    const void *alpha, *a;
    int64_t lda, stride_a;
    const void *x;
    int64_t incx, stride_x;
    const void *beta;
    void *y;
    int64_t incy, stride_y, count;
    int type;
    /* Whether addresses are of tables. */
    int tables;
};

static cublasStatus_t gemv(cublasHandle_t handle, const struct vector_product *v) {
    if (!is_op(v->op) || v->m < 0 || v->n < 0 || v->count < 0 || v->incx == 0 || v->incy == 0 || !is_leading_of(v->lda, v->m)) return CUBLAS_STATUS_INVALID_VALUE;
    int64_t rows = v->op == OP_N ? v->m : v->n, inner = v->op == OP_N ? v->n : v->m;
    if (v->tables != 0 && (v->incx < 0 || v->incy < 0)) return CUBLAS_STATUS_NOT_SUPPORTED;
    struct own_product product = {
        .a = matrix_of(v->a, v->type, v->lda, v->op), .b = vector_of(v->x, v->type, inner, v->incx), .c = vector_of(v->y, v->type, rows, v->incy),
        .alpha = v->alpha, .beta = v->beta, .type = v->type, .m = rows, .n = 1, .k = inner, .count = v->count,
    };
    product.a.batch = v->stride_a, product.b.batch = v->stride_x, product.c.batch = v->stride_y;
    product.a.flags |= v->tables, product.b.flags |= v->tables, product.c.flags |= v->tables;
    return multiply_here(handle, &product);
}

cublasStatus_t gemv_here(cublasHandle_t handle, const struct own_gemv *v) {
    return gemv(handle, &(struct vector_product){v->op, v->m, v->n, v->alpha, v->a, v->lda, 0, v->x, v->incx, 0, v->beta, v->y, v->incy, 0, 1, v->type, 0});
}

#define GEMV(name, integer, kind)                                                                                                       \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op, integer m, integer n, const void *alpha, const void *a, integer lda, const void *x, integer incx, \
                 const void *beta, void *y, integer incy),                                                                              \
                (handle, op, m, n, alpha, a, lda, x, incx, beta, y, incy)) {                                                            \
        return gemv(handle, &(struct vector_product){op, m, n, alpha, a, lda, 0, x, incx, 0, beta, y, incy, 0, 1, kind, 0});         \
    }
#define GEMV_STRIDED(name, integer, kind)                                                                                               \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op, integer m, integer n, const void *alpha, const void *a, integer lda, long long stride_a, \
                 const void *x, integer incx, long long stride_x, const void *beta, void *y, integer incy, long long stride_y, integer count), \
                (handle, op, m, n, alpha, a, lda, stride_a, x, incx, stride_x, beta, y, incy, stride_y, count)) {                       \
        return gemv(handle, &(struct vector_product){op, m, n, alpha, a, lda, stride_a, x, incx, stride_x, beta, y, incy, stride_y, count, kind, 0}); \
    }
#define GEMV_BATCHED(name, integer, kind)                                                                                               \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op, integer m, integer n, const void *alpha, const void *a, integer lda, const void *x, integer incx, \
                 const void *beta, void *y, integer incy, integer count),                                                               \
                (handle, op, m, n, alpha, a, lda, x, incx, beta, y, incy, count)) {                                                     \
        return gemv(handle, &(struct vector_product){op, m, n, alpha, a, lda, 0, x, incx, 0, beta, y, incy, 0, count, kind, BLAS_IS_TABLE}); \
    }
BOTH_WIDTHS(GEMV, cublasCgemv_v2, C_32F)
BOTH_WIDTHS(GEMV, cublasZgemv_v2, C_64F)
BOTH_WIDTHS(GEMV_STRIDED, cublasCgemvStridedBatched, C_32F)
BOTH_WIDTHS(GEMV_STRIDED, cublasZgemvStridedBatched, C_64F)
FOUR_TYPES(GEMV_BATCHED, cublas, gemv, Batched)
