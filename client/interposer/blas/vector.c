/*
 * Products with vectors of real numbers: cublas<t>gemv and its strided batches. A vector is a matrix of one row, whose columns stand its increment
 * apart; so gemv computes the row y' = x' op(A)'. What is read backwards is no matrix of the wire's, and goes to a kernel of this library.
 */
#include "own-kernels.h"

static uint64_t address_of(const void *pointer) {
    return (uint64_t)(uintptr_t)pointer;
}

struct gemv_form {
    const char *function;
    cublasHandle_t handle;
    int op;
    int64_t m, n;
    const void *alpha, *a;
    int64_t lda, stride_a;
    const void *x;
    int64_t incx, stride_x;
    const void *beta;
    void *y;
    int64_t incy, stride_y, batch_count;
    int type, result_type, compute;
};

static cublasStatus_t gemv(const struct gemv_form *form) {
    bool is_turned = form->op != OP_N;
    if (!is_op(form->op) || form->m < 0 || form->n < 0 || form->batch_count < 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (form->incx == 0 || form->incy == 0 || !is_leading_of(form->lda, form->m)) return CUBLAS_STATUS_INVALID_VALUE;
    if (form->incx < 0 || form->incy < 0) {
        if (form->batch_count != 1 || form->type != form->result_type || form->type == R_16F || form->type == R_16BF)
            return blas_refuse(form->function, "batches of vectors that are read backwards are not served");
        return gemv_here(form->handle, &(struct own_gemv){form->op, form->m, form->n, form->alpha, form->a, form->lda, form->x, form->incx, form->beta,
                                                          form->y, form->incy, form->type});
    }
    struct product product = {
        .function = form->function, .m = 1, .n = is_turned ? form->n : form->m, .k = is_turned ? form->m : form->n,
        .batch_count = form->batch_count,
        .a = {address_of(form->x), form->type, form->incx, form->stride_x, false},
        .b = {address_of(form->a), form->type, form->lda, form->stride_a, !is_turned},
        .c = {address_of(form->y), form->result_type, form->incy, form->stride_y, false},
        .compute = handle_compute(form->handle, form->compute), .math = form->handle->math_mode, .stream = form->handle->stream,
    };
    struct factors factors = {form->alpha, form->beta, factor_type(form->compute), form->handle->pointer_mode == POINTER_DEVICE};
    cublasStatus_t status = read_factors(&factors, &product);
    return status == CUBLAS_STATUS_SUCCESS ? multiply_or_scale(form->handle, &product) : status;
}

#define GEMV_FORM(name, integer, real, kind, of_compute)                                                                                \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op, integer m, integer n, const real *alpha, const real *a, integer lda, const real *x,     \
                 integer incx, const real *beta, real *y, integer incy),                                                                \
                (handle, op, m, n, alpha, a, lda, x, incx, beta, y, incy)) {                                                            \
        return gemv(&(struct gemv_form){#name, handle, op, m, n, alpha, a, lda, 0, x, incx, 0, beta, y, incy, 0, 1, kind, kind, of_compute}); \
    }
#define GEMV_STRIDED_FORM(name, integer, factor, element, result, kind, result_kind, of_compute)                                        \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op, integer m, integer n, const factor *alpha, const element *a, integer lda, long long stride_a, \
                 const element *x, integer incx, long long stride_x, const factor *beta, result *y, integer incy, long long stride_y,   \
                 integer count),                                                                                                        \
                (handle, op, m, n, alpha, a, lda, stride_a, x, incx, stride_x, beta, y, incy, stride_y, count)) {                       \
        return gemv(&(struct gemv_form){#name, handle, op, m, n, alpha, a, lda, stride_a, x, incx, stride_x, beta, y, incy, stride_y, count, kind, \
                                        result_kind, of_compute});                                                                      \
    }
#define BOTH(form, name, ...) form(name, int, __VA_ARGS__) form(name##_64, int64_t, __VA_ARGS__)

BOTH(GEMV_FORM, cublasSgemv_v2, float, R_32F, COMPUTE_32F)
BOTH(GEMV_FORM, cublasDgemv_v2, double, R_64F, COMPUTE_64F)
BOTH(GEMV_STRIDED_FORM, cublasSgemvStridedBatched, float, float, float, R_32F, R_32F, COMPUTE_32F)
BOTH(GEMV_STRIDED_FORM, cublasDgemvStridedBatched, double, double, double, R_64F, R_64F, COMPUTE_64F)
BOTH(GEMV_STRIDED_FORM, cublasHSHgemvStridedBatched, float, uint16_t, uint16_t, R_16F, R_16F, COMPUTE_32F)
BOTH(GEMV_STRIDED_FORM, cublasHSSgemvStridedBatched, float, uint16_t, float, R_16F, R_32F, COMPUTE_32F)
BOTH(GEMV_STRIDED_FORM, cublasTSTgemvStridedBatched, float, uint16_t, uint16_t, R_16BF, R_16BF, COMPUTE_32F)
BOTH(GEMV_STRIDED_FORM, cublasTSSgemvStridedBatched, float, uint16_t, float, R_16BF, R_32F, COMPUTE_32F)
