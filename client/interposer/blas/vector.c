/*
 * Products with vectors: cublas<t>gemv, its strided batches, and dot. A vector is a matrix of one row, whose columns stand its increment apart; so
 * gemv computes the row y' = x' op(A)', and dot one element. Results for the host take a wait, as documented.
 */
#include <string.h>

#include "handle.h"

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
    if (form->op < OP_N || form->op > OP_C || form->m < 0 || form->n < 0 || form->batch_count < 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (form->incx == 0 || form->incy == 0 || form->lda < (form->m > 1 ? form->m : 1)) return CUBLAS_STATUS_INVALID_VALUE;
    if (form->incx < 0 || form->incy < 0) return refuse(form->function, "vectors that are read backwards are not served yet");
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
    return status == CUBLAS_STATUS_SUCCESS ? multiply(&product) : status;
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

struct dot_form {
    const char *function;
    cublasHandle_t handle;
    int64_t n;
    const void *x;
    int64_t incx;
    const void *y;
    int64_t incy;
    void *result;
    int type, compute;
};

static cublasStatus_t dot_into(const struct dot_form *form, uint64_t result) {
    struct product product = {
        .function = form->function, .m = 1, .n = 1, .k = form->n, .batch_count = 1,
        .a = {address_of(form->x), form->type, form->incx, 0, false}, .b = {address_of(form->y), form->type, form->incy, 0, true},
        .c = {result, form->type, 1, 0, false}, .compute = form->compute, .math = MATH_PEDANTIC, .alpha = 1,
        .stream = form->handle->stream,
    };
    if (form->n > 0) return multiply(&product);
    return status_of(cuMemsetD8Async(result, 0, element_bytes(form->type), form->handle->stream));
}

static cublasStatus_t dot(const struct dot_form *form) {
    cublasHandle_t handle = form->handle;
    int capture = 0;
    if (form->result == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    if (form->incx <= 0 || form->incy <= 0) return refuse(form->function, "vectors that stand still or are read backwards are not served yet");
    if (handle->pointer_mode == POINTER_DEVICE) return dot_into(form, address_of(form->result));
    CUresult result = cuStreamIsCapturing(handle->stream, &capture);
    if (capture != 0) return refuse(form->function, "a stream that captures cannot bring a result to the host");
    pthread_mutex_lock(&handle->lock);
    if (result == CUDA_SUCCESS && handle->scratch == 0) result = cuMemAlloc_v2(&handle->scratch, SCRATCH_BYTES);
    cublasStatus_t status = result == CUDA_SUCCESS ? dot_into(form, handle->scratch) : status_of(result);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = status_of(cuMemcpyDtoHAsync_v2(form->result, handle->scratch, element_bytes(form->type), handle->stream));
    pthread_mutex_unlock(&handle->lock);
    return status;
}

#define DOT_FORM(name, integer, real, kind, of_compute)                                                                                 \
    WITH_HANDLE(name, (cublasHandle_t handle, integer n, const real *x, integer incx, const real *y, integer incy, real *result),       \
                (handle, n, x, incx, y, incy, result)) {                                                                                \
        return dot(&(struct dot_form){#name, handle, n, x, incx, y, incy, result, kind, of_compute});                                   \
    }
BOTH(DOT_FORM, cublasSdot_v2, float, R_32F, COMPUTE_32F)
BOTH(DOT_FORM, cublasDdot_v2, double, R_64F, COMPUTE_64F)

/* Of real numbers the conjugate dot product is the dot product. */
#define DOT_EX_FORM(name, integer)                                                                                                      \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, integer n, const void *x, int x_type, integer incx, const void *y, int y_type, integer incy,    \
                 void *result, int result_type, int execution_type),                                                                    \
                (handle, n, x, x_type, incx, y, y_type, incy, result, result_type, execution_type)) {                                   \
        bool is_one_type = x_type == y_type && x_type == result_type && (x_type != R_64F ? execution_type == R_32F : execution_type == R_64F); \
        if (!is_one_type) return refuse(#name, "a dot product of types %d and %d into %d by %d is not served yet", x_type, y_type, result_type, \
                                        execution_type);                                                                                \
        int compute = x_type == R_64F ? COMPUTE_64F : COMPUTE_32F;                                                                      \
        return dot(&(struct dot_form){#name, handle, n, x, incx, y, incy, result, x_type, compute});                                    \
    }
DOT_EX_FORM(cublasDotEx, int)
DOT_EX_FORM(cublasDotEx_64, int64_t)
DOT_EX_FORM(cublasDotcEx, int)
DOT_EX_FORM(cublasDotcEx_64, int64_t)
