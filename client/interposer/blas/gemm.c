/* Products of matrices: cublas<t>gemm, GemmEx, and their batches with strides. Each form stands twice, the second with 64-bit numbers. */
#include "own-kernels.h"

struct form {
    const char *function;
    cublasHandle_t handle;
    int op_a, op_b;
    int64_t m, n, k;
    const void *alpha, *a;
    int a_type;
    int64_t lda, stride_a;
    const void *b;
    int b_type;
    int64_t ldb, stride_b;
    const void *beta;
    void *c;
    int c_type;
    int64_t ldc, stride_c, batch_count;
    int compute;
};

static uint64_t address_of(const void *pointer) {
    return (uint64_t)(uintptr_t)pointer;
}

/* Complex ones are a kernel's. */
static cublasStatus_t gemm_here(const struct form *form) {
    int type = form->c_type;
    if (form->a_type != type || form->b_type != type) return blas_refuse(form->function, "complex products are of one type");
    if (form->m < 0 || form->n < 0 || form->k < 0 || form->batch_count < 0 || !is_leading_of(form->ldc, form->m)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_leading_of(form->lda, form->op_a == OP_N ? form->m : form->k)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_leading_of(form->ldb, form->op_b == OP_N ? form->k : form->n)) return CUBLAS_STATUS_INVALID_VALUE;
    struct own_product product = {
        .a = matrix_of(form->a, type, form->lda, form->op_a), .b = matrix_of(form->b, type, form->ldb, form->op_b),
        .c = matrix_of(form->c, type, form->ldc, OP_N), .alpha = form->alpha, .beta = form->beta, .type = type, .m = form->m, .n = form->n,
        .k = form->k, .count = form->batch_count,
    };
    product.a.batch = form->stride_a, product.b.batch = form->stride_b, product.c.batch = form->stride_c;
    return multiply_here(form->handle, &product);
}

static cublasStatus_t gemm(const struct form *form) {
    if (!is_op(form->op_a) || !is_op(form->op_b)) return CUBLAS_STATUS_INVALID_VALUE;
    if (is_complex(form->c_type)) return gemm_here(form);
    struct product product = {
        .function = form->function, .m = form->m, .n = form->n, .k = form->k, .batch_count = form->batch_count,
        .a = {address_of(form->a), form->a_type, form->lda, form->stride_a, form->op_a != OP_N},
        .b = {address_of(form->b), form->b_type, form->ldb, form->stride_b, form->op_b != OP_N},
        .c = {address_of(form->c), form->c_type, form->ldc, form->stride_c, false},
        .compute = handle_compute(form->handle, form->compute), .math = form->handle->math_mode, .stream = form->handle->stream,
    };
    struct factors factors = {form->alpha, form->beta, factor_type(form->compute), form->handle->pointer_mode == POINTER_DEVICE};
    if (factors.type < 0) return blas_refuse(form->function, "compute type %d is not served yet", form->compute);
    cublasStatus_t status = read_factors(&factors, &product);
    return status == CUBLAS_STATUS_SUCCESS ? multiply_or_scale(form->handle, &product) : status;
}

#define GEMM_FORM(name, integer, type, kind, of_compute)                                                                                \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op_a, int op_b, integer m, integer n, integer k, const type *alpha, const type *a, integer lda, \
                 const type *b, integer ldb, const type *beta, type *c, integer ldc),                                                   \
                (handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)) {                                                   \
        return gemm(&(struct form){#name, handle, op_a, op_b, m, n, k, alpha, a, kind, lda, 0, b, kind, ldb, 0, beta, c, kind, ldc, 0, 1, of_compute}); \
    }
#define STRIDED_FORM(name, integer, type, kind, of_compute)                                                                             \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op_a, int op_b, integer m, integer n, integer k, const type *alpha, const type *a, integer lda, \
                 long long stride_a, const type *b, integer ldb, long long stride_b, const type *beta, type *c, integer ldc,            \
                 long long stride_c, integer count),                                                                                    \
                (handle, op_a, op_b, m, n, k, alpha, a, lda, stride_a, b, ldb, stride_b, beta, c, ldc, stride_c, count)) {              \
        return gemm(&(struct form){#name, handle, op_a, op_b, m, n, k, alpha, a, kind, lda, stride_a, b, kind, ldb, stride_b, beta, c, kind, ldc, \
                                   stride_c, count, of_compute});                                                                       \
    }
#define TYPED(gemm_name, strided_name, type, kind, of_compute)                                                                          \
    GEMM_FORM(gemm_name, int, type, kind, of_compute)                                                                                   \
    GEMM_FORM(gemm_name##_64, int64_t, type, kind, of_compute)                                                                          \
    STRIDED_FORM(strided_name, int, type, kind, of_compute)                                                                             \
    STRIDED_FORM(strided_name##_64, int64_t, type, kind, of_compute)

TYPED(cublasSgemm_v2, cublasSgemmStridedBatched, float, R_32F, COMPUTE_32F)
TYPED(cublasDgemm_v2, cublasDgemmStridedBatched, double, R_64F, COMPUTE_64F)
TYPED(cublasHgemm, cublasHgemmStridedBatched, uint16_t, R_16F, COMPUTE_16F)
TYPED(cublasCgemm_v2, cublasCgemmStridedBatched, void, C_32F, COMPUTE_32F)
TYPED(cublasZgemm_v2, cublasZgemmStridedBatched, void, C_64F, COMPUTE_64F)
/* Fewer multiplications are the library's choice. */
TYPED(cublasCgemm3m, cublasCgemm3mStridedBatched, void, C_32F, COMPUTE_32F)
GEMM_FORM(cublasZgemm3m, int, void, C_64F, COMPUTE_64F)
GEMM_FORM(cublasZgemm3m_64, int64_t, void, C_64F, COMPUTE_64F)

#define EX_FORM(name, integer)                                                                                                          \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op_a, int op_b, integer m, integer n, integer k, const void *alpha, const void *a, int a_type, \
                 integer lda, const void *b, int b_type, integer ldb, const void *beta, void *c, int c_type, integer ldc, int compute,  \
                 int algorithm),                                                                                                        \
                (handle, op_a, op_b, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc, compute, algorithm)) {       \
        (void)algorithm; /* The server's library chooses. */                                                                            \
        return gemm(&(struct form){#name, handle, op_a, op_b, m, n, k, alpha, a, a_type, lda, 0, b, b_type, ldb, 0, beta, c, c_type, ldc, 0, 1, compute}); \
    }
EX_FORM(cublasGemmEx, int)
EX_FORM(cublasGemmEx_64, int64_t)

#define EX_STRIDED_FORM(name, integer)                                                                                                  \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op_a, int op_b, integer m, integer n, integer k, const void *alpha, const void *a, int a_type, \
                 integer lda, long long stride_a, const void *b, int b_type, integer ldb, long long stride_b, const void *beta, void *c, \
                 int c_type, integer ldc, long long stride_c, integer count, int compute, int algorithm),                               \
                (handle, op_a, op_b, m, n, k, alpha, a, a_type, lda, stride_a, b, b_type, ldb, stride_b, beta, c, c_type, ldc, stride_c, count, \
                 compute, algorithm)) {                                                                                                 \
        (void)algorithm;                                                                                                                \
        return gemm(&(struct form){#name, handle, op_a, op_b, m, n, k, alpha, a, a_type, lda, stride_a, b, b_type, ldb, stride_b, beta, c, c_type, \
                                   ldc, stride_c, count, compute});                                                                     \
    }
EX_STRIDED_FORM(cublasGemmStridedBatchedEx, int)
EX_STRIDED_FORM(cublasGemmStridedBatchedEx_64, int64_t)

/* As GemmEx, in f32 and by the handle's math mode. */
#define SGEMM_EX_FORM(name, integer, real)                                                                                                  \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, int op_a, int op_b, integer m, integer n, integer k, const real *alpha, const void *a, int a_type, \
                 integer lda, const void *b, int b_type, integer ldb, const real *beta, void *c, int c_type, integer ldc),             \
                (handle, op_a, op_b, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc)) {                           \
        return gemm(&(struct form){#name, handle, op_a, op_b, m, n, k, alpha, a, a_type, lda, 0, b, b_type, ldb, 0, beta, c, c_type, ldc, 0, 1, COMPUTE_32F}); \
    }
SGEMM_EX_FORM(cublasSgemmEx, int, float)
SGEMM_EX_FORM(cublasSgemmEx_64, int64_t, float)
SGEMM_EX_FORM(cublasCgemmEx, int, void)
SGEMM_EX_FORM(cublasCgemmEx_64, int64_t, void)
SGEMM_EX_FORM(cublasCgemm3mEx, int, void)
SGEMM_EX_FORM(cublasCgemm3mEx_64, int64_t, void)
