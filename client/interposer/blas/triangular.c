/* Triangular systems: cublas<t>trsv, trsm and its batches by pointers, each one launch, a block of it for each right-hand side. */
#include "own-kernels.h"

#define BATCH_MAX 65535

struct system {
    int side, fill, op, diagonal;
    int64_t m, n;
    const void *alpha, *a;
    int64_t lda;
    const void *b;
    int64_t ldb, count;
    int type;
    bool is_batch;
};

/* X op(A) = alpha B is op(A)' X' = alpha B', so that only strides tell the sides apart. */
static struct blas_solution solution_of(const struct system *s) {
    bool is_left = s->side == SIDE_LEFT, is_turned = (s->op != OP_N) == is_left;
    struct blas_solution wanted = {
        .t = matrix_of(s->a, s->type, s->lda, is_turned ? OP_T : OP_N), .x = matrix_of(s->b, s->type, s->ldb, is_left ? OP_N : OP_T),
        .rows = is_left ? s->m : s->n, .is_upper = (s->fill == FILL_UPPER) != is_turned, .is_unit = s->diagonal == DIAGONAL_UNIT,
    };
    if (s->op == OP_C) wanted.t.flags |= BLAS_CONJUGATED;
    if (s->is_batch) wanted.t.flags |= BLAS_IS_TABLE, wanted.x.flags |= BLAS_IS_TABLE;
    return wanted;
}

static cublasStatus_t solve(cublasHandle_t handle, const struct system *s) {
    bool is_left = s->side == SIDE_LEFT;
    if ((!is_left && s->side != SIDE_RIGHT) || !is_triangle(s->fill) || !is_op(s->op) || (s->diagonal & ~1) != 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (s->m < 0 || s->n < 0 || s->count < 0 || !is_leading_of(s->lda, is_left ? s->m : s->n) || !is_leading_of(s->ldb, s->m)) return CUBLAS_STATUS_INVALID_VALUE;
    if (s->m == 0 || s->n == 0) return CUBLAS_STATUS_SUCCESS;
    struct blas_solution wanted = solution_of(s);
    int64_t columns = is_left ? s->n : s->m;
    if (columns > 0x7fffffff) return CUBLAS_STATUS_NOT_SUPPORTED;
    cublasStatus_t status = own_factor(handle, s->alpha, s->type, &wanted.alpha);
    for (int64_t done = 0; done < s->count && status == CUBLAS_STATUS_SUCCESS; done += BATCH_MAX) {
        int64_t count = s->count - done < BATCH_MAX ? s->count - done : BATCH_MAX;
        status = launch_own(SOLVE, (struct blocks){(unsigned)columns, (unsigned)count, 1, BLAS_SOLUTION_THREADS, 1}, &wanted, handle->stream);
        wanted.t.address += (uint64_t)count * 8, wanted.x.address += (uint64_t)count * 8;
    }
    return status;
}

#define TRSM(name, integer, kind)                                                                                                       \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int side, int fill, int op, int diagonal, integer m, integer n, const void *alpha, const void *a, \
                 integer lda, void *b, integer ldb),                                                                                    \
                (handle, side, fill, op, diagonal, m, n, alpha, a, lda, b, ldb)) {                                                      \
        return solve(handle, &(struct system){side, fill, op, diagonal, m, n, alpha, a, lda, b, ldb, 1, kind, false});                  \
    }
#define TRSM_BATCHED(name, integer, kind)                                                                                               \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int side, int fill, int op, int diagonal, integer m, integer n, const void *alpha, const void *a, \
                 integer lda, const void *b, integer ldb, integer count),                                                               \
                (handle, side, fill, op, diagonal, m, n, alpha, a, lda, b, ldb, count)) {                                               \
        return solve(handle, &(struct system){side, fill, op, diagonal, m, n, alpha, a, lda, b, ldb, count, kind, true});               \
    }
FOUR_TYPES(TRSM, cublas, trsm, _v2)
FOUR_TYPES(TRSM_BATCHED, cublas, trsm, Batched)

struct vector_system {
    int fill, op, diagonal;
    int64_t n;
    const void *a;
    int64_t lda;
    void *x;
    int64_t incx;
    int type;
};

static cublasStatus_t trsv(cublasHandle_t handle, const struct vector_system *v) {
    if (!is_triangle(v->fill) || !is_op(v->op) || (v->diagonal & ~1) != 0 || v->n < 0 || v->incx == 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_leading_of(v->lda, v->n)) return CUBLAS_STATUS_INVALID_VALUE;
    if (v->n == 0) return CUBLAS_STATUS_SUCCESS;
    struct blas_solution wanted = solution_of(&(struct system){SIDE_LEFT, v->fill, v->op, v->diagonal, v->n, 1, NULL, v->a, v->lda, v->x, v->n, 1, v->type, false});
    wanted.x = vector_of(v->x, v->type, v->n, v->incx);
    wanted.alpha = number(1);
    return launch_own(SOLVE, (struct blocks){1, 1, 1, BLAS_SOLUTION_THREADS, 1}, &wanted, handle->stream);
}

#define TRSV(name, integer, kind)                                                                                                       \
    WITH_HANDLE(name, (cublasHandle_t handle, int fill, int op, int diagonal, integer n, const void *a, integer lda, void *x, integer incx), \
                (handle, fill, op, diagonal, n, a, lda, x, incx)) {                                                                     \
        return trsv(handle, &(struct vector_system){fill, op, diagonal, n, a, lda, x, incx, kind});                                     \
    }
FOUR_TYPES(TRSV, cublas, trsv, _v2)
