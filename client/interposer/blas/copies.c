/* Helpers of many programs: vectors and matrices to the device and back, between different increments or leading dimensions. */
#include "blas.h"

struct block {
    int64_t rows, columns, element_bytes;
    const void *from;
    int64_t from_leading;
    void *to;
    int64_t to_leading;
    bool is_to_device;
};

static cublasStatus_t copy_block(const struct block *block, bool waits, CUstream stream) {
    if (block->rows < 0 || block->columns < 0 || block->element_bytes <= 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (block->from_leading < block->rows || block->to_leading < block->rows || block->from_leading <= 0 || block->to_leading <= 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (block->rows == 0 || block->columns == 0) return CUBLAS_STATUS_SUCCESS;
    cublasStatus_t status = blas_enter();
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    size_t bytes = (size_t)block->element_bytes;
    CUDA_MEMCPY3D copy = {
        .src_type = block->is_to_device ? CU_MEMORY_HOST : CU_MEMORY_DEVICE, .src_pitch = (size_t)block->from_leading * bytes,
        .dst_type = block->is_to_device ? CU_MEMORY_DEVICE : CU_MEMORY_HOST, .dst_pitch = (size_t)block->to_leading * bytes,
        .width_bytes = (size_t)block->rows * bytes, .height = (size_t)block->columns, .depth = 1,
    };
    if (block->is_to_device) copy.src_host = block->from, copy.dst_device = (CUdeviceptr)(uintptr_t)block->to;
    else copy.src_device = (CUdeviceptr)(uintptr_t)block->from, copy.dst_host = block->to;
    CUresult result = waits ? cuMemcpy3D_v2(&copy) : cuMemcpy3DAsync_v2(&copy, stream);
    return result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY ? blas_status_of(result) : CUBLAS_STATUS_MAPPING_ERROR;
}

/* A vector is a matrix of one row, and one without gaps a matrix of one column. */
static struct block vector_block(int64_t n, int64_t bytes, const void *from, int64_t from_increment, void *to, int64_t to_increment) {
    bool is_line = from_increment == 1 && to_increment == 1;
    return (struct block){is_line ? n : n > 0, is_line ? 1 : n, bytes, from, is_line ? n : from_increment, to, is_line ? n : to_increment, false};
}

#define VECTOR_FORM(name, integer, to_device)                                                                                           \
    BLAS(name, (integer n, integer bytes, const void *x, integer incx, void *y, integer incy), (n, bytes, x, incx, y, incy)) {          \
        if (n < 0 || incx <= 0 || incy <= 0) return CUBLAS_STATUS_INVALID_VALUE;                                                        \
        if (n == 0) return CUBLAS_STATUS_SUCCESS;                                                                                       \
        struct block block = vector_block(n, bytes, x, incx, y, incy);                                                                  \
        block.is_to_device = to_device;                                                                                                 \
        return copy_block(&block, true, NULL);                                                                                          \
    }
#define VECTOR_ASYNC_FORM(name, integer, to_device)                                                                                     \
    BLAS(name, (integer n, integer bytes, const void *x, integer incx, void *y, integer incy, CUstream stream),                         \
         (n, bytes, x, incx, y, incy, stream)) {                                                                                        \
        if (n < 0 || incx <= 0 || incy <= 0) return CUBLAS_STATUS_INVALID_VALUE;                                                        \
        if (n == 0) return CUBLAS_STATUS_SUCCESS;                                                                                       \
        struct block block = vector_block(n, bytes, x, incx, y, incy);                                                                  \
        block.is_to_device = to_device;                                                                                                 \
        return copy_block(&block, false, stream);                                                                                       \
    }
#define MATRIX_FORM(name, integer, to_device)                                                                                           \
    BLAS(name, (integer rows, integer columns, integer bytes, const void *a, integer lda, void *b, integer ldb),                        \
         (rows, columns, bytes, a, lda, b, ldb)) {                                                                                      \
        return copy_block(&(struct block){rows, columns, bytes, a, lda, b, ldb, to_device}, true, NULL);                                \
    }
#define MATRIX_ASYNC_FORM(name, integer, to_device)                                                                                     \
    BLAS(name, (integer rows, integer columns, integer bytes, const void *a, integer lda, void *b, integer ldb, CUstream stream),       \
         (rows, columns, bytes, a, lda, b, ldb, stream)) {                                                                              \
        return copy_block(&(struct block){rows, columns, bytes, a, lda, b, ldb, to_device}, false, stream);                             \
    }
#define ALL_FORMS(form, set, get)                                                                                                       \
    form(set, int, true) form(set##_64, int64_t, true) form(get, int, false) form(get##_64, int64_t, false)

ALL_FORMS(VECTOR_FORM, cublasSetVector, cublasGetVector)
ALL_FORMS(VECTOR_ASYNC_FORM, cublasSetVectorAsync, cublasGetVectorAsync)
ALL_FORMS(MATRIX_FORM, cublasSetMatrix, cublasGetMatrix)
ALL_FORMS(MATRIX_ASYNC_FORM, cublasSetMatrixAsync, cublasGetMatrixAsync)
