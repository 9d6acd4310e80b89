/* The library itself: its handles, versions, names of statuses, and a log that SLUICE_TRACE takes the place of. */
#include <stdio.h>
#include <stdlib.h>

#include "lt.h"

BLAS(cublasLtCreate, (void **handle), (handle)) {
    if (handle == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t status = blas_enter();
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    /* Nothing is kept in it: a handle of cuBLAS serves as well, as documented. */
    *handle = malloc(1);
    return *handle == NULL ? CUBLAS_STATUS_ALLOC_FAILED : CUBLAS_STATUS_SUCCESS;
}

BLAS(cublasLtDestroy, (void *handle), (handle)) {
    free(handle);
    return handle == NULL ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_SUCCESS;
}

EXPORT size_t cublasLtGetVersion(void);
EXPORT size_t cublasLtGetVersion(void) {
    return BLAS_VERSION;
}

EXPORT size_t cublasLtGetCudartVersion(void);
EXPORT size_t cublasLtGetCudartVersion(void) {
    return BLAS_CUDART_VERSION;
}

BLAS(cublasLtGetProperty, (int which, int *value), (which, value)) {
    return version_property(which, value);
}

EXPORT const char *cublasLtGetStatusName(cublasStatus_t status);
EXPORT const char *cublasLtGetStatusName(cublasStatus_t status) {
    return status_name(status);
}

EXPORT const char *cublasLtGetStatusString(cublasStatus_t status);
EXPORT const char *cublasLtGetStatusString(cublasStatus_t status) {
    return status_text(status);
}

/* The server's library remembers what it has found. */
static size_t cache_capacity = 8192;

BLAS(cublasLtHeuristicsCacheGetCapacity, (size_t * capacity), (capacity)) {
    if (capacity == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    *capacity = cache_capacity;
    return CUBLAS_STATUS_SUCCESS;
}

BLAS(cublasLtHeuristicsCacheSetCapacity, (size_t capacity), (capacity)) {
    cache_capacity = capacity;
    return CUBLAS_STATUS_SUCCESS;
}

EXPORT unsigned cublasLtDisableCpuInstructionsSetMask(unsigned mask);
EXPORT unsigned cublasLtDisableCpuInstructionsSetMask(unsigned mask) {
    static unsigned _Atomic before;
    return __atomic_exchange_n((unsigned *)&before, mask, __ATOMIC_RELAXED);
}

BLAS(cublasLtLoggerSetCallback, (void (*callback)(int, const char *, const char *)), (callback)) {
    (void)callback;
    return CUBLAS_STATUS_SUCCESS;
}

BLAS(cublasLtLoggerSetFile, (FILE * file), (file)) {
    (void)file;
    return CUBLAS_STATUS_SUCCESS;
}

BLAS(cublasLtLoggerOpenFile, (const char *path), (path)) {
    return path == NULL ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

BLAS(cublasLtLoggerSetLevel, (int level), (level)) {
    return level < 0 || level > 5 ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

BLAS(cublasLtLoggerSetMask, (int mask), (mask)) {
    (void)mask;
    return CUBLAS_STATUS_SUCCESS;
}

BLAS(cublasLtLoggerForceDisable, (void), ()) {
    return CUBLAS_STATUS_SUCCESS;
}
