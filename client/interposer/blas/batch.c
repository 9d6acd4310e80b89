/*
 * Batches whose matrices stand anywhere: arrays of pointers in device memory, which are read by a wait for the stream. Where the matrices turn out
 * to stand a fixed stride apart within one allocation, as they mostly do, they are one product of the wire, else one each.
 */
#include <stdlib.h>

#include "own-kernels.h"

struct pointers {
    const char *function;
    cublasHandle_t handle;
    int op_a, op_b;
    int64_t m, n, k;
    const void *alpha, *beta;
    /* Arrays of `count` pointers, in device memory. */
    const void *a, *b, *c;
    int a_type, b_type, c_type;
    int64_t lda, ldb, ldc, count;
    int compute;
};

/* Whether the addresses are a fixed stride of whole elements apart, with `elements` from the last within the first one's allocation. */
static bool find_stride(const uint64_t *addresses, int64_t count, size_t bytes, int64_t *stride) {
    CUdeviceptr base;
    size_t size;
    uint64_t step = count > 1 ? addresses[1] - addresses[0] : 0;
    if (count > 1 && (addresses[1] < addresses[0] || step % bytes != 0)) return false;
    for (int64_t i = 2; i < count; i++)
        if (addresses[i] - addresses[i - 1] != step) return false;
    if (cuMemGetAddressRange_v2(&base, &size, addresses[0]) != CUDA_SUCCESS) return false;
    *stride = (int64_t)(step / bytes);
    return addresses[count - 1] < base + size;
}

static cublasStatus_t read_pointers(const struct pointers *form, uint64_t *addresses) {
    const void *arrays[] = {form->a, form->b, form->c};
    for (int i = 0; i < 3; i++) {
        CUresult result = cuMemcpyDtoHAsync_v2(addresses + i * form->count, (CUdeviceptr)(uintptr_t)arrays[i], (size_t)form->count * 8,
                                               form->handle->stream);
        if (result != CUDA_SUCCESS) return blas_status_of(result);
    }
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t send_all(const struct pointers *form, struct product *product, const uint64_t *addresses) {
    const uint64_t *a = addresses, *b = a + form->count, *c = b + form->count;
    product->a.address = a[0], product->b.address = b[0], product->c.address = c[0];
    if (find_stride(a, form->count, element_bytes(form->a_type), &product->a.batch_stride) &&
        find_stride(b, form->count, element_bytes(form->b_type), &product->b.batch_stride) &&
        find_stride(c, form->count, element_bytes(form->c_type), &product->c.batch_stride)) {
        product->batch_count = form->count;
        return multiply_or_scale(form->handle, product);
    }
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    for (int64_t i = 0; i < form->count && status == CUBLAS_STATUS_SUCCESS; i++) {
        product->a.address = a[i], product->b.address = b[i], product->c.address = c[i];
        status = multiply_or_scale(form->handle, product);
    }
    return status;
}

/* Complex ones are a kernel's, which reads the pointers where they are. */
static cublasStatus_t gemm_batched_here(const struct pointers *form) {
    int type = form->c_type;
    if (form->a_type != type || form->b_type != type) return blas_refuse(form->function, "complex products are of one type");
    if (!is_leading_of(form->lda, form->op_a == OP_N ? form->m : form->k) || !is_leading_of(form->ldc, form->m)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_leading_of(form->ldb, form->op_b == OP_N ? form->k : form->n)) return CUBLAS_STATUS_INVALID_VALUE;
    struct own_product product = {
        .a = matrix_of(form->a, type, form->lda, form->op_a), .b = matrix_of(form->b, type, form->ldb, form->op_b),
        .c = matrix_of(form->c, type, form->ldc, OP_N), .alpha = form->alpha, .beta = form->beta, .type = type, .m = form->m, .n = form->n,
        .k = form->k, .count = form->count,
    };
    product.a.flags |= BLAS_IS_TABLE, product.b.flags |= BLAS_IS_TABLE, product.c.flags |= BLAS_IS_TABLE;
    return multiply_here(form->handle, &product);
}

static cublasStatus_t gemm_batched(const struct pointers *form) {
    int capture = 0;
    if (!is_op(form->op_a) || !is_op(form->op_b) || form->count < 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (form->m < 0 || form->n < 0 || form->k < 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (form->count == 0 || form->m == 0 || form->n == 0) return CUBLAS_STATUS_SUCCESS;
    if (is_complex(form->c_type)) return gemm_batched_here(form);
    if (factor_type(form->compute) < 0) return blas_refuse(form->function, "compute type %d is not served yet", form->compute);
    cuStreamIsCapturing(form->handle->stream, &capture);
    if (capture != 0) return blas_refuse(form->function, "a stream that captures cannot read where the matrices are");
    struct product product = {
        .function = form->function, .m = form->m, .n = form->n, .k = form->k, .batch_count = 1,
        .a = {0, form->a_type, form->lda, 0, form->op_a != OP_N}, .b = {0, form->b_type, form->ldb, 0, form->op_b != OP_N},
        .c = {0, form->c_type, form->ldc, 0, false},
        .compute = handle_compute(form->handle, form->compute), .math = form->handle->math_mode, .stream = form->handle->stream,
    };
    struct factors factors = {form->alpha, form->beta, factor_type(form->compute), form->handle->pointer_mode == POINTER_DEVICE};
    cublasStatus_t status = read_factors(&factors, &product);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    uint64_t *addresses = calloc((size_t)form->count, 24);
    if (addresses == NULL) return CUBLAS_STATUS_ALLOC_FAILED;
    status = read_pointers(form, addresses);
    if (status == CUBLAS_STATUS_SUCCESS) status = send_all(form, &product, addresses);
    free(addresses);
    return status;
}

#define BATCHED_FORM(name, integer, real, kind, of_compute)                                                                             \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op_a, int op_b, integer m, integer n, integer k, const real *alpha, const real *const a[],  \
                 integer lda, const real *const b[], integer ldb, const real *beta, real *const c[], integer ldc, integer count),       \
                (handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, count)) {                                            \
        return gemm_batched(&(struct pointers){#name, handle, op_a, op_b, m, n, k, alpha, beta, a, b, c, kind, kind, kind, lda, ldb, ldc, count, \
                                               of_compute});                                                                            \
    }
#define BOTH(name, ...) BATCHED_FORM(name, int, __VA_ARGS__) BATCHED_FORM(name##_64, int64_t, __VA_ARGS__)

BOTH(cublasSgemmBatched, float, R_32F, COMPUTE_32F)
BOTH(cublasDgemmBatched, double, R_64F, COMPUTE_64F)
BOTH(cublasHgemmBatched, uint16_t, R_16F, COMPUTE_16F)
BOTH(cublasCgemmBatched, void, C_32F, COMPUTE_32F)
BOTH(cublasZgemmBatched, void, C_64F, COMPUTE_64F)
BOTH(cublasCgemm3mBatched, void, C_32F, COMPUTE_32F)

#define BATCHED_EX_FORM(name, integer)                                                                                                  \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op_a, int op_b, integer m, integer n, integer k, const void *alpha, const void *const a[],  \
                 int a_type, integer lda, const void *const b[], int b_type, integer ldb, const void *beta, void *const c[], int c_type, \
                 integer ldc, integer count, int compute, int algorithm),                                                               \
                (handle, op_a, op_b, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc, count, compute, algorithm)) { \
        (void)algorithm;                                                                                                                \
        return gemm_batched(&(struct pointers){#name, handle, op_a, op_b, m, n, k, alpha, beta, a, b, c, a_type, b_type, c_type, lda, ldb, ldc, \
                                               count, compute});                                                                        \
    }
BATCHED_EX_FORM(cublasGemmBatchedEx, int)
BATCHED_EX_FORM(cublasGemmBatchedEx_64, int64_t)
