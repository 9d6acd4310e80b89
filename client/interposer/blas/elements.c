/*
 * What is done element by element, each by one launch: axpy, scal, copy, swap, rot, rank-one updates, sums of matrices and products with diagonal ones.
 * Types are checked where a form has any; matrices by their leading dimensions, and no address is judged, as no kernel's is.
 */
#include "own-kernels.h"

static cublasStatus_t update(cublasHandle_t handle, struct blas_update *wanted) {
    if (wanted->rows <= 0 || wanted->columns <= 0) return CUBLAS_STATUS_SUCCESS;
    return launch_own(UPDATE, blocks_for(wanted->rows, wanted->columns), wanted, handle->stream);
}

/* A vector's type beside its factor's: real numbers do not become complex, nor the other way. */
static cublasStatus_t check_types(const char *function, int factor, int x, int y) {
    bool is_known = is_number_type(factor) && is_number_type(x) && is_number_type(y);
    if (is_known && is_complex(x) == is_complex(y) && (is_complex(x) || !is_complex(factor))) return CUBLAS_STATUS_SUCCESS;
    return blas_refuse(function, "vectors of types %d and %d with a factor of type %d are not served", x, y, factor);
}

struct vectors {
    const char *function;
    int64_t n;
    const void *alpha;
    int alpha_type;
    const void *x;
    int x_type;
    int64_t incx;
    const void *y;
    int y_type;
    int64_t incy;
};

static cublasStatus_t axpy(cublasHandle_t handle, const struct vectors *v) {
    struct blas_operand y = vector_of(v->y, v->y_type, v->n, v->incy);
    struct blas_update wanted = {.to = y, .x = vector_of(v->x, v->x_type, v->n, v->incx), .y = y, .beta = number(1), .rows = v->n, .columns = 1, .skips = 1};
    cublasStatus_t status = check_types(v->function, v->alpha_type, v->x_type, v->y_type);
    if (status == CUBLAS_STATUS_SUCCESS) status = own_factor(handle, v->alpha, v->alpha_type, &wanted.alpha);
    return status == CUBLAS_STATUS_SUCCESS ? update(handle, &wanted) : status;
}

static cublasStatus_t scal(cublasHandle_t handle, const struct vectors *v) {
    struct blas_operand x = vector_of(v->x, v->x_type, v->n, v->incx);
    struct blas_update wanted = {.to = x, .x = x, .rows = v->incx > 0 ? v->n : 0, .columns = 1};
    cublasStatus_t status = check_types(v->function, v->alpha_type, v->x_type, v->x_type);
    if (status == CUBLAS_STATUS_SUCCESS) status = own_factor(handle, v->alpha, v->alpha_type, &wanted.alpha);
    return status == CUBLAS_STATUS_SUCCESS ? update(handle, &wanted) : status;
}

static cublasStatus_t copy(cublasHandle_t handle, const struct vectors *v) {
    struct blas_update wanted = {.to = vector_of(v->y, v->y_type, v->n, v->incy), .x = vector_of(v->x, v->x_type, v->n, v->incx), .alpha = number(1),
                                 .rows = v->n, .columns = 1};
    cublasStatus_t status = check_types(v->function, v->x_type, v->x_type, v->y_type);
    return status == CUBLAS_STATUS_SUCCESS ? update(handle, &wanted) : status;
}

static cublasStatus_t rotate(cublasHandle_t handle, const struct vectors *v, struct blas_rotation *wanted) {
    cublasStatus_t status = check_types(v->function, v->x_type, v->x_type, v->y_type);
    if (status != CUBLAS_STATUS_SUCCESS || v->n <= 0) return status;
    wanted->x = vector_of(v->x, v->x_type, v->n, v->incx);
    wanted->y = vector_of(v->y, v->y_type, v->n, v->incy);
    wanted->count = v->n;
    return launch_own(ROTATE, blocks_for(v->n, 1), wanted, handle->stream);
}

static cublasStatus_t swap(cublasHandle_t handle, const struct vectors *v) {
    return rotate(handle, v, &(struct blas_rotation){.is_swap = 1});
}

static cublasStatus_t rot(cublasHandle_t handle, const struct vectors *v, const void *c, int c_type, const void *s, int s_type) {
    struct blas_rotation wanted = {0};
    cublasStatus_t status = check_types(v->function, s_type, v->x_type, v->y_type);
    if (status == CUBLAS_STATUS_SUCCESS) status = own_factor(handle, c, c_type, &wanted.c);
    if (status == CUBLAS_STATUS_SUCCESS) status = own_factor(handle, s, s_type, &wanted.s);
    return status == CUBLAS_STATUS_SUCCESS ? rotate(handle, v, &wanted) : status;
}

#define AXPY(name, integer, kind)                                                                                                       \
    WITH_HANDLE(name, (cublasHandle_t handle, integer n, const void *alpha, const void *x, integer incx, void *y, integer incy),        \
                (handle, n, alpha, x, incx, y, incy)) {                                                                                 \
        return axpy(handle, &(struct vectors){#name, n, alpha, kind, x, kind, incx, y, kind, incy});                                    \
    }
#define SCAL(name, integer, factor, kind)                                                                                               \
    WITH_HANDLE(name, (cublasHandle_t handle, integer n, const void *alpha, void *x, integer incx), (handle, n, alpha, x, incx)) {      \
        return scal(handle, &(struct vectors){#name, n, alpha, factor, x, kind, incx, x, kind, incx});                                  \
    }
#define SCAL_OWN(name, integer, kind) SCAL(name, integer, kind, kind)
#define TWO_VECTORS(name, integer, kind, how)                                                                                           \
    WITH_HANDLE(name, (cublasHandle_t handle, integer n, void *x, integer incx, void *y, integer incy), (handle, n, x, incx, y, incy)) { \
        return how(handle, &(struct vectors){#name, n, NULL, kind, x, kind, incx, y, kind, incy});                                      \
    }
#define COPY(name, integer, kind) TWO_VECTORS(name, integer, kind, copy)
#define SWAP(name, integer, kind) TWO_VECTORS(name, integer, kind, swap)
#define ROT(name, integer, c_kind, s_kind, kind)                                                                                        \
    WITH_HANDLE(name, (cublasHandle_t handle, integer n, void *x, integer incx, void *y, integer incy, const void *c, const void *s),   \
                (handle, n, x, incx, y, incy, c, s)) {                                                                                  \
        return rot(handle, &(struct vectors){#name, n, NULL, kind, x, kind, incx, y, kind, incy}, c, c_kind, s, s_kind);                \
    }

FOUR_TYPES(AXPY, cublas, axpy, _v2)
FOUR_TYPES(SCAL_OWN, cublas, scal, _v2)
BOTH_WIDTHS(SCAL, cublasCsscal_v2, R_32F, C_32F)
BOTH_WIDTHS(SCAL, cublasZdscal_v2, R_64F, C_64F)
FOUR_TYPES(COPY, cublas, copy, _v2)
FOUR_TYPES(SWAP, cublas, swap, _v2)
BOTH_WIDTHS(ROT, cublasSrot_v2, R_32F, R_32F, R_32F)
BOTH_WIDTHS(ROT, cublasDrot_v2, R_64F, R_64F, R_64F)
BOTH_WIDTHS(ROT, cublasCrot_v2, R_32F, C_32F, C_32F)
BOTH_WIDTHS(ROT, cublasCsrot_v2, R_32F, R_32F, C_32F)
BOTH_WIDTHS(ROT, cublasZrot_v2, R_64F, C_64F, C_64F)
BOTH_WIDTHS(ROT, cublasZdrot_v2, R_64F, R_64F, C_64F)

/* With types of their own; what is computed is at least as exact as any execution type. */
#define AXPY_EX(name, integer, unused)                                                                                                  \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, integer n, const void *alpha, int alpha_type, const void *x, int x_type, integer incx, void *y, \
                 int y_type, integer incy, int execution_type),                                                                         \
                (handle, n, alpha, alpha_type, x, x_type, incx, y, y_type, incy, execution_type)) {                                     \
        (void)execution_type;                                                                                                           \
        return axpy(handle, &(struct vectors){#name, n, alpha, alpha_type, x, x_type, incx, y, y_type, incy});                          \
    }
#define SCAL_EX(name, integer, unused)                                                                                                  \
    WITH_HANDLE(name, (cublasHandle_t handle, integer n, const void *alpha, int alpha_type, void *x, int x_type, integer incx, int execution_type), \
                (handle, n, alpha, alpha_type, x, x_type, incx, execution_type)) {                                                      \
        (void)execution_type;                                                                                                           \
        return scal(handle, &(struct vectors){#name, n, alpha, alpha_type, x, x_type, incx, x, x_type, incx});                          \
    }
#define TWO_VECTORS_EX(name, integer, how)                                                                                              \
    WITH_HANDLE(name, (cublasHandle_t handle, integer n, void *x, int x_type, integer incx, void *y, int y_type, integer incy),         \
                (handle, n, x, x_type, incx, y, y_type, incy)) {                                                                        \
        return how(handle, &(struct vectors){#name, n, NULL, x_type, x, x_type, incx, y, y_type, incy});                                \
    }
#define ROT_EX(name, integer, unused)                                                                                                   \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, integer n, void *x, int x_type, integer incx, void *y, int y_type, integer incy, const void *c, \
                 const void *s, int cs_type, int execution_type),                                                                       \
                (handle, n, x, x_type, incx, y, y_type, incy, c, s, cs_type, execution_type)) {                                         \
        (void)execution_type;                                                                                                           \
        return rot(handle, &(struct vectors){#name, n, NULL, x_type, x, x_type, incx, y, y_type, incy}, c, cs_type, s, cs_type);        \
    }
BOTH_WIDTHS(AXPY_EX, cublasAxpyEx, )
BOTH_WIDTHS(SCAL_EX, cublasScalEx, )
BOTH_WIDTHS(TWO_VECTORS_EX, cublasCopyEx, copy)
BOTH_WIDTHS(TWO_VECTORS_EX, cublasSwapEx, swap)
BOTH_WIDTHS(ROT_EX, cublasRotEx, )

/* A += alpha x y', or of its triangle; `operation` is the conjugate transpose for y of complex numbers that it is asked of. */
struct rank_one {
    int64_t m, n;
    const void *alpha, *x;
    int64_t incx;
    const void *y;
    int64_t incy;
    void *a;
    int64_t lda;
    int type, part;
    bool is_conjugated;
    int alpha_type;
    bool is_alpha_conjugated;
};

static cublasStatus_t add_rank_one(cublasHandle_t handle, const struct rank_one *r) {
    if (r->m < 0 || r->n < 0 || r->incx == 0 || r->incy == 0 || !is_leading_of(r->lda, r->m)) return CUBLAS_STATUS_INVALID_VALUE;
    struct blas_operand a = matrix_of(r->a, r->type, r->lda, OP_N), y = vector_of(r->y, r->type, r->n, r->incy);
    y.column = y.row, y.row = 0, y.flags = r->is_conjugated ? BLAS_CONJUGATED : 0;
    struct blas_update wanted = {.to = a, .x = vector_of(r->x, r->type, r->m, r->incx), .z = y, .y = a, .beta = number(1), .rows = r->m,
                                 .columns = r->n, .part = r->part, .skips = 1};
    cublasStatus_t status = own_factor(handle, r->alpha, r->alpha_type, &wanted.alpha);
    wanted.alpha.is_conjugated = r->is_alpha_conjugated;
    return status == CUBLAS_STATUS_SUCCESS ? update(handle, &wanted) : status;
}

#define GER(name, integer, kind, conjugates)                                                                                            \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, integer m, integer n, const void *alpha, const void *x, integer incx, const void *y, integer incy, \
                 void *a, integer lda),                                                                                                 \
                (handle, m, n, alpha, x, incx, y, incy, a, lda)) {                                                                      \
        return add_rank_one(handle, &(struct rank_one){m, n, alpha, x, incx, y, incy, a, lda, kind, BLAS_ALL, conjugates, kind, false}); \
    }
BOTH_WIDTHS(GER, cublasSger_v2, R_32F, false)
BOTH_WIDTHS(GER, cublasDger_v2, R_64F, false)
BOTH_WIDTHS(GER, cublasCgeru_v2, C_32F, false)
BOTH_WIDTHS(GER, cublasCgerc_v2, C_32F, true)
BOTH_WIDTHS(GER, cublasZgeru_v2, C_64F, false)
BOTH_WIDTHS(GER, cublasZgerc_v2, C_64F, true)

static int part_of(int fill) {
    return fill == FILL_UPPER ? BLAS_UPPER : BLAS_LOWER;
}

#define SYR(name, integer, kind, alpha_kind, hermitian)                                                                                 \
    WITH_HANDLE(name, (cublasHandle_t handle, int fill, integer n, const void *alpha, const void *x, integer incx, void *a, integer lda), \
                (handle, fill, n, alpha, x, incx, a, lda)) {                                                                            \
        if (!is_triangle(fill)) return CUBLAS_STATUS_INVALID_VALUE;                                                                     \
        return add_rank_one(handle, &(struct rank_one){n, n, alpha, x, incx, x, incx, a, lda, kind, part_of(fill), hermitian, alpha_kind, false}); \
    }
#define SYR2(name, integer, kind, hermitian)                                                                                            \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int fill, integer n, const void *alpha, const void *x, integer incx, const void *y, integer incy, \
                 void *a, integer lda),                                                                                                 \
                (handle, fill, n, alpha, x, incx, y, incy, a, lda)) {                                                                   \
        if (!is_triangle(fill)) return CUBLAS_STATUS_INVALID_VALUE;                                                                     \
        struct rank_one one = {n, n, alpha, x, incx, y, incy, a, lda, kind, part_of(fill), hermitian, kind, false};                     \
        cublasStatus_t status = add_rank_one(handle, &one);                                                                             \
        if (status != CUBLAS_STATUS_SUCCESS) return status;                                                                             \
        return add_rank_one(handle, &(struct rank_one){n, n, alpha, y, incy, x, incx, a, lda, kind, part_of(fill), hermitian, kind, hermitian}); \
    }
#define SYR_OWN(name, integer, kind) SYR(name, integer, kind, kind, false)
#define SYR2_OWN(name, integer, kind) SYR2(name, integer, kind, false)
FOUR_TYPES(SYR_OWN, cublas, syr, _v2)
FOUR_TYPES(SYR2_OWN, cublas, syr2, _v2)
BOTH_WIDTHS(SYR, cublasCher_v2, C_32F, R_32F, true)
BOTH_WIDTHS(SYR, cublasZher_v2, C_64F, R_64F, true)
BOTH_WIDTHS(SYR2, cublasCher2_v2, C_32F, true)
BOTH_WIDTHS(SYR2, cublasZher2_v2, C_64F, true)

struct matrix_sum {
    int op_a, op_b;
    int64_t m, n;
    const void *alpha, *a;
    int64_t lda;
    const void *beta, *b;
    int64_t ldb;
    void *c;
    int64_t ldc;
    int type;
};

static cublasStatus_t geam(cublasHandle_t handle, const struct matrix_sum *s) {
    if (!is_op(s->op_a) || !is_op(s->op_b) || s->m < 0 || s->n < 0 || !is_leading_of(s->ldc, s->m)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_leading_of(s->lda, s->op_a == OP_N ? s->m : s->n) || !is_leading_of(s->ldb, s->op_b == OP_N ? s->m : s->n)) return CUBLAS_STATUS_INVALID_VALUE;
    /* In place only as it stands. */
    if ((s->c == s->a && (s->op_a != OP_N || s->lda != s->ldc)) || (s->c == s->b && (s->op_b != OP_N || s->ldb != s->ldc))) return CUBLAS_STATUS_INVALID_VALUE;
    struct blas_update wanted = {.to = matrix_of(s->c, s->type, s->ldc, OP_N), .x = matrix_of(s->a, s->type, s->lda, s->op_a),
                                 .y = matrix_of(s->b, s->type, s->ldb, s->op_b), .rows = s->m, .columns = s->n, .skips = 1};
    cublasStatus_t status = own_factor(handle, s->alpha, s->type, &wanted.alpha);
    if (status == CUBLAS_STATUS_SUCCESS) status = own_factor(handle, s->beta, s->type, &wanted.beta);
    return status == CUBLAS_STATUS_SUCCESS ? update(handle, &wanted) : status;
}

#define GEAM(name, integer, kind)                                                                                                       \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op_a, int op_b, integer m, integer n, const void *alpha, const void *a, integer lda,        \
                 const void *beta, const void *b, integer ldb, void *c, integer ldc),                                                   \
                (handle, op_a, op_b, m, n, alpha, a, lda, beta, b, ldb, c, ldc)) {                                                      \
        return geam(handle, &(struct matrix_sum){op_a, op_b, m, n, alpha, a, lda, beta, b, ldb, c, ldc, kind});                         \
    }
FOUR_TYPES(GEAM, cublas, geam, )

struct diagonal {
    int side;
    int64_t m, n;
    const void *a;
    int64_t lda;
    const void *x;
    int64_t incx;
    void *c;
    int64_t ldc;
    int type;
};

static cublasStatus_t dgmm(cublasHandle_t handle, const struct diagonal *d) {
    if (d->m < 0 || d->n < 0 || !is_leading_of(d->lda, d->m) || !is_leading_of(d->ldc, d->m)) return CUBLAS_STATUS_INVALID_VALUE;
    if (d->side != SIDE_LEFT && d->side != SIDE_RIGHT) return CUBLAS_STATUS_INVALID_VALUE;
    struct blas_operand x = vector_of(d->x, d->type, d->side == SIDE_LEFT ? d->m : d->n, d->incx);
    if (d->side == SIDE_RIGHT) x.column = x.row, x.row = 0;
    struct blas_update wanted = {.to = matrix_of(d->c, d->type, d->ldc, OP_N), .x = matrix_of(d->a, d->type, d->lda, OP_N), .z = x, .alpha = number(1),
                                 .rows = d->m, .columns = d->n};
    return update(handle, &wanted);
}

#define DGMM(name, integer, kind)                                                                                                       \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int side, integer m, integer n, const void *a, integer lda, const void *x, integer incx, void *c, \
                 integer ldc),                                                                                                          \
                (handle, side, m, n, a, lda, x, incx, c, ldc)) {                                                                        \
        return dgmm(handle, &(struct diagonal){side, m, n, a, lda, x, incx, c, ldc, kind});                                             \
    }
FOUR_TYPES(DGMM, cublas, dgmm, )
