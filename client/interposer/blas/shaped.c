/*
 * Products with matrices of which a triangle stands for the whole: symmetric, Hermitian and triangular ones, and products of which a triangle is
 * wanted. A triangular product in place is computed from a copy.
 */
#include "own-kernels.h"

static int triangle_of(int fill) {
    return fill == FILL_UPPER ? BLAS_IN_UPPER : BLAS_IN_LOWER;
}

/* y = alpha A x + beta y, where A is all that its triangle says. */
struct shaped_vector {
    int fill;
    int64_t n;
    const void *alpha, *a;
    int64_t lda;
    const void *x;
    int64_t incx;
    const void *beta;
    void *y;
    int64_t incy;
    int type, shape;
};

static cublasStatus_t symv(cublasHandle_t handle, const struct shaped_vector *v) {
    if (!is_triangle(v->fill) || v->n < 0 || v->incx == 0 || v->incy == 0 || !is_leading_of(v->lda, v->n)) return CUBLAS_STATUS_INVALID_VALUE;
    struct own_product product = {
        .a = matrix_of(v->a, v->type, v->lda, OP_N), .b = vector_of(v->x, v->type, v->n, v->incx), .c = vector_of(v->y, v->type, v->n, v->incy),
        .alpha = v->alpha, .beta = v->beta, .type = v->type, .m = v->n, .n = 1, .k = v->n, .count = 1,
    };
    product.a.flags = triangle_of(v->fill) | v->shape;
    return multiply_here(handle, &product);
}

#define SYMV(name, integer, kind, shape)                                                                                                \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int fill, integer n, const void *alpha, const void *a, integer lda, const void *x, integer incx, \
                 const void *beta, void *y, integer incy),                                                                              \
                (handle, fill, n, alpha, a, lda, x, incx, beta, y, incy)) {                                                             \
        return symv(handle, &(struct shaped_vector){fill, n, alpha, a, lda, x, incx, beta, y, incy, kind, shape});                      \
    }
#define SYMV_OWN(name, integer, kind) SYMV(name, integer, kind, 0)
FOUR_TYPES(SYMV_OWN, cublas, symv, _v2)
BOTH_WIDTHS(SYMV, cublasChemv_v2, C_32F, BLAS_IS_HERMITIAN)
BOTH_WIDTHS(SYMV, cublasZhemv_v2, C_64F, BLAS_IS_HERMITIAN)

/* Of A, a triangle stands for the whole; it is the left factor or the right one. */
struct shaped_product {
    int side, fill;
    int64_t m, n;
    const void *alpha, *a;
    int64_t lda;
    const void *b;
    int64_t ldb;
    const void *beta;
    void *c;
    int64_t ldc;
    int type, shape;
};

static cublasStatus_t symm(cublasHandle_t handle, const struct shaped_product *s) {
    bool is_left = s->side == SIDE_LEFT;
    int64_t side = is_left ? s->m : s->n;
    if ((!is_left && s->side != SIDE_RIGHT) || !is_triangle(s->fill) || s->m < 0 || s->n < 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_leading_of(s->lda, side) || !is_leading_of(s->ldb, s->m) || !is_leading_of(s->ldc, s->m)) return CUBLAS_STATUS_INVALID_VALUE;
    struct blas_operand a = matrix_of(s->a, s->type, s->lda, OP_N), b = matrix_of(s->b, s->type, s->ldb, OP_N);
    a.flags = triangle_of(s->fill) | s->shape;
    return multiply_here(handle, &(struct own_product){.a = is_left ? a : b, .b = is_left ? b : a, .c = matrix_of(s->c, s->type, s->ldc, OP_N),
                                                       .alpha = s->alpha, .beta = s->beta, .type = s->type, .m = s->m, .n = s->n, .k = side, .count = 1});
}

#define SYMM(name, integer, kind, shape)                                                                                                \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int side, int fill, integer m, integer n, const void *alpha, const void *a, integer lda, const void *b, \
                 integer ldb, const void *beta, void *c, integer ldc),                                                                  \
                (handle, side, fill, m, n, alpha, a, lda, b, ldb, beta, c, ldc)) {                                                      \
        return symm(handle, &(struct shaped_product){side, fill, m, n, alpha, a, lda, b, ldb, beta, c, ldc, kind, shape});              \
    }
#define SYMM_OWN(name, integer, kind) SYMM(name, integer, kind, 0)
FOUR_TYPES(SYMM_OWN, cublas, symm, _v2)
BOTH_WIDTHS(SYMM, cublasChemm_v2, C_32F, BLAS_IS_HERMITIAN)
BOTH_WIDTHS(SYMM, cublasZhemm_v2, C_64F, BLAS_IS_HERMITIAN)

/* A triangle of C = alpha op(A) op(B)' + beta C, where ' turns, and of Hermitian results conjugates. */
struct triangle_product {
    int fill, op;
    int64_t n, k;
    const void *alpha, *a;
    int64_t lda;
    const void *b;
    int64_t ldb;
    const void *beta;
    void *c;
    int64_t ldc;
    int type, alpha_type, beta_type;
    bool is_hermitian;
    /* The same with A and B changing places is added. */
    bool is_twice;
};

static cublasStatus_t syrk(cublasHandle_t handle, const struct triangle_product *t) {
    int turned = t->is_hermitian ? OP_C : OP_T;
    if (!is_triangle(t->fill) || !is_op(t->op) || (t->op == (t->is_hermitian ? OP_T : OP_C) && is_complex(t->type))) return CUBLAS_STATUS_INVALID_VALUE;
    int64_t rows = t->op == OP_N ? t->n : t->k;
    if (t->n < 0 || t->k < 0 || !is_leading_of(t->lda, rows) || !is_leading_of(t->ldb, rows) || !is_leading_of(t->ldc, t->n)) return CUBLAS_STATUS_INVALID_VALUE;
    int left = t->op == OP_N ? OP_N : turned, right = t->op == OP_N ? turned : OP_N;
    struct own_product product = {
        .a = matrix_of(t->a, t->type, t->lda, left), .b = matrix_of(t->b, t->type, t->ldb, right), .c = matrix_of(t->c, t->type, t->ldc, OP_N),
        .alpha = t->alpha, .beta = t->beta, .type = t->alpha_type, .beta_type = t->beta_type, .has_beta_type = true, .m = t->n, .n = t->n, .k = t->k,
        .count = 1, .part = t->fill == FILL_UPPER ? BLAS_UPPER : BLAS_LOWER,
    };
    cublasStatus_t status = multiply_here(handle, &product);
    if (status != CUBLAS_STATUS_SUCCESS || !t->is_twice) return status;
    product.a = matrix_of(t->b, t->type, t->ldb, left), product.b = matrix_of(t->a, t->type, t->lda, right);
    product.is_added = true, product.is_conjugated = t->is_hermitian;
    return multiply_here(handle, &product);
}

#define SYRK(name, integer, kind, factor, hermitian)                                                                                    \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int fill, int op, integer n, integer k, const void *alpha, const void *a, integer lda, const void *beta, \
                 void *c, integer ldc),                                                                                                 \
                (handle, fill, op, n, k, alpha, a, lda, beta, c, ldc)) {                                                                \
        return syrk(handle, &(struct triangle_product){fill, op, n, k, alpha, a, lda, a, lda, beta, c, ldc, kind, factor, factor, hermitian, \
                                                       false});                                                                         \
    }
#define SYRKX(name, integer, kind, beta_kind, hermitian, twice)                                                                         \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int fill, int op, integer n, integer k, const void *alpha, const void *a, integer lda, const void *b, \
                 integer ldb, const void *beta, void *c, integer ldc),                                                                  \
                (handle, fill, op, n, k, alpha, a, lda, b, ldb, beta, c, ldc)) {                                                        \
        return syrk(handle, &(struct triangle_product){fill, op, n, k, alpha, a, lda, b, ldb, beta, c, ldc, kind, kind, beta_kind, hermitian, \
                                                       twice});                                                                         \
    }
#define SYRK_OWN(name, integer, kind) SYRK(name, integer, kind, kind, false)
#define SYRKX_OWN(name, integer, kind) SYRKX(name, integer, kind, kind, false, false)
#define SYR2K_OWN(name, integer, kind) SYRKX(name, integer, kind, kind, false, true)
FOUR_TYPES(SYRK_OWN, cublas, syrk, _v2)
FOUR_TYPES(SYRKX_OWN, cublas, syrkx, )
FOUR_TYPES(SYR2K_OWN, cublas, syr2k, _v2)
BOTH_WIDTHS(SYRK, cublasCherk_v2, C_32F, R_32F, true)
BOTH_WIDTHS(SYRK, cublasZherk_v2, C_64F, R_64F, true)
BOTH_WIDTHS(SYRKX, cublasCherkx, C_32F, R_32F, true, false)
BOTH_WIDTHS(SYRKX, cublasZherkx, C_64F, R_64F, true, false)
BOTH_WIDTHS(SYRKX, cublasCher2k_v2, C_32F, R_32F, true, true)
BOTH_WIDTHS(SYRKX, cublasZher2k_v2, C_64F, R_64F, true, true)

/* C = alpha op(A) B, or B op(A), of a triangular A. */
struct triangular_product {
    int side, fill, op, diagonal;
    int64_t m, n;
    const void *alpha, *a;
    int64_t lda;
    struct blas_operand b, c;
    int type;
    bool is_plain; /* Alpha is 1. */
};

/* B apart, in memory of the stream's that is given back behind the product. */
static cublasStatus_t bring_apart(cublasHandle_t handle, const struct triangular_product *t, struct blas_operand *b, CUdeviceptr *memory) {
    CUresult result = cuMemAllocAsync(memory, (size_t)(t->m * t->n) * number_bytes(t->type), handle->stream);
    if (result != CUDA_SUCCESS) return blas_status_of(result);
    *b = matrix_of((void *)(uintptr_t)*memory, t->type, t->m, OP_N);
    struct blas_update copy = {.to = *b, .x = t->b, .alpha = number(1), .rows = t->m, .columns = t->n};
    return launch_own(UPDATE, blocks_for(t->m, t->n), &copy, handle->stream);
}

static cublasStatus_t trmm(cublasHandle_t handle, const struct triangular_product *t) {
    bool is_left = t->side == SIDE_LEFT, is_turned = t->op != OP_N;
    int64_t side = is_left ? t->m : t->n;
    if ((!is_left && t->side != SIDE_RIGHT) || !is_triangle(t->fill) || !is_op(t->op) || (t->diagonal & ~1) != 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (t->m < 0 || t->n < 0 || !is_leading_of(t->lda, side)) return CUBLAS_STATUS_INVALID_VALUE;
    if (t->m == 0 || t->n == 0) return CUBLAS_STATUS_SUCCESS;
    struct blas_operand a = matrix_of(t->a, t->type, t->lda, t->op), b = t->b;
    CUdeviceptr memory = 0;
    /* The factor is seen by its own rows, of which a turned one has the other triangle. */
    a.flags |= BLAS_IS_TRIANGULAR | ((t->fill == FILL_UPPER) != is_turned ? BLAS_IN_UPPER : BLAS_IN_LOWER) | (t->diagonal != 0 ? BLAS_IS_UNIT : 0);
    cublasStatus_t status = t->b.address == t->c.address ? bring_apart(handle, t, &b, &memory) : CUBLAS_STATUS_SUCCESS;
    struct own_product product = {.a = is_left ? a : b, .b = is_left ? b : a, .c = t->c, .alpha = t->alpha, .type = t->type, .m = t->m,
                                  .n = t->n, .k = side, .count = 1, .is_plain = t->is_plain, .is_alone = true};
    if (status == CUBLAS_STATUS_SUCCESS) status = multiply_here(handle, &product);
    if (memory != 0) cuMemFreeAsync(memory, handle->stream);
    return status;
}

#define TRMM(name, integer, kind)                                                                                                       \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int side, int fill, int op, int diagonal, integer m, integer n, const void *alpha, const void *a, \
                 integer lda, const void *b, integer ldb, void *c, integer ldc),                                                        \
                (handle, side, fill, op, diagonal, m, n, alpha, a, lda, b, ldb, c, ldc)) {                                              \
        if (!is_leading_of(ldb, m) || !is_leading_of(ldc, m)) return CUBLAS_STATUS_INVALID_VALUE;                                       \
        return trmm(handle, &(struct triangular_product){side, fill, op, diagonal, m, n, alpha, a, lda, matrix_of(b, kind, ldb, OP_N),  \
                                                         matrix_of(c, kind, ldc, OP_N), kind, false});                                  \
    }
#define TRMV(name, integer, kind)                                                                                                       \
    WITH_HANDLE(name, (cublasHandle_t handle, int fill, int op, int diagonal, integer n, const void *a, integer lda, void *x, integer incx), \
                (handle, fill, op, diagonal, n, a, lda, x, incx)) {                                                                     \
        if (incx == 0) return CUBLAS_STATUS_INVALID_VALUE;                                                                              \
        struct blas_operand vector = vector_of(x, kind, n, incx);                                                                       \
        return trmm(handle, &(struct triangular_product){SIDE_LEFT, fill, op, diagonal, n, 1, NULL, a, lda, vector, vector, kind, true}); \
    }
FOUR_TYPES(TRMM, cublas, trmm, _v2)
FOUR_TYPES(TRMV, cublas, trmv, _v2)
