/* Handles of cuBLAS and their modes. Nothing here asks the device for anything. */
#include <stdlib.h>
#include <string.h>

#include "handle.h"

#define HANDLE_MAGIC 0x51c0b1a5u

cublasStatus_t blas_handle_enter(cublasHandle_t handle) {
    CUcontext current = NULL;
    if (handle == NULL || handle->magic != HANDLE_MAGIC) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (cuCtxGetCurrent(&current) == CUDA_SUCCESS && current != NULL) return CUBLAS_STATUS_SUCCESS;
    return blas_status_of(cuCtxSetCurrent(handle->context));
}

BLAS(cublasCreate_v2, (cublasHandle_t * handle), (handle)) {
    if (handle == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    *handle = NULL;
    cublasStatus_t status = blas_enter();
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    cublasHandle_t made = calloc(1, sizeof *made);
    if (made == NULL) return CUBLAS_STATUS_ALLOC_FAILED;
    pthread_mutex_init(&made->lock, NULL);
    made->magic = HANDLE_MAGIC;
    cuCtxGetCurrent(&made->context);
    *handle = made;
    return CUBLAS_STATUS_SUCCESS;
}

WITH_HANDLE(cublasDestroy_v2, (cublasHandle_t handle), (handle)) {
    /* Freed memory is given out again only when nothing works on it. */
    if (handle->scratch != 0) cuMemFree_v2(handle->scratch);
    carried_end(handle);
    pthread_mutex_destroy(&handle->lock);
    handle->magic = 0;
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

WITH_HANDLE(cublasSetStream_v2, (cublasHandle_t handle, CUstream stream), (handle, stream)) {
    /* Freed memory is given out again only when nothing works on it, so the new stream's is another. */
    pthread_mutex_lock(&handle->lock);
    if (handle->scratch != 0 && stream != handle->stream) cuMemFree_v2(handle->scratch), handle->scratch = 0;
    handle->stream = stream;
    pthread_mutex_unlock(&handle->lock);
    return CUBLAS_STATUS_SUCCESS;
}

/* The server's library has a workspace of its own, beside the slice. */
WITH_HANDLE(cublasSetWorkspace_v2, (cublasHandle_t handle, void *workspace, size_t bytes), (handle, workspace, bytes)) {
    (void)handle;
    return workspace == NULL && bytes > 0 ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

#define GETTER(name, type, field)                                                                                                       \
    WITH_HANDLE(name, (cublasHandle_t handle, type * value), (handle, value)) {                                                         \
        if (value == NULL) return CUBLAS_STATUS_INVALID_VALUE;                                                                          \
        *value = handle->field;                                                                                                         \
        return CUBLAS_STATUS_SUCCESS;                                                                                                   \
    }
#define SETTER(name, field, is_allowed)                                                                                                 \
    WITH_HANDLE(name, (cublasHandle_t handle, int value), (handle, value)) {                                                            \
        if (!(is_allowed)) return CUBLAS_STATUS_INVALID_VALUE;                                                                          \
        handle->field = value;                                                                                                          \
        return CUBLAS_STATUS_SUCCESS;                                                                                                   \
    }

GETTER(cublasGetStream_v2, CUstream, stream)
GETTER(cublasGetPointerMode_v2, int, pointer_mode)
SETTER(cublasSetPointerMode_v2, pointer_mode, value == POINTER_HOST || value == POINTER_DEVICE)
GETTER(cublasGetAtomicsMode, int, atomics_mode)
SETTER(cublasSetAtomicsMode, atomics_mode, value == 0 || value == 1)
GETTER(cublasGetMathMode, int, math_mode)
SETTER(cublasSetMathMode, math_mode, value >= 0 && (value & ~31) == 0)
GETTER(cublasGetSmCountTarget, int, sm_count)
SETTER(cublasSetSmCountTarget, sm_count, value >= 0)

/* It may be asked without a handle. */
BLAS(cublasGetVersion_v2, (cublasHandle_t handle, int *version), (handle, version)) {
    (void)handle;
    if (version == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    *version = BLAS_VERSION;
    return CUBLAS_STATUS_SUCCESS;
}

BLAS(cublasGetProperty, (int which, int *value), (which, value)) {
    return version_property(which, value);
}

EXPORT size_t cublasGetCudartVersion(void);
EXPORT size_t cublasGetCudartVersion(void) {
    return BLAS_CUDART_VERSION;
}

EXPORT const char *cublasGetStatusName(cublasStatus_t status);
EXPORT const char *cublasGetStatusName(cublasStatus_t status) {
    return status_name(status);
}

EXPORT const char *cublasGetStatusString(cublasStatus_t status);
EXPORT const char *cublasGetStatusString(cublasStatus_t status) {
    return status_text(status);
}

/* SLUICE_TRACE is this library's log. */
typedef void (*log_callback)(const char *message);
static log_callback _Atomic logger;

BLAS(cublasLoggerConfigure, (int is_on, int to_stdout, int to_stderr, const char *file), (is_on, to_stdout, to_stderr, file)) {
    (void)is_on, (void)to_stdout, (void)to_stderr, (void)file;
    return CUBLAS_STATUS_SUCCESS;
}

BLAS(cublasSetLoggerCallback, (log_callback callback), (callback)) {
    logger = callback;
    return CUBLAS_STATUS_SUCCESS;
}

BLAS(cublasGetLoggerCallback, (log_callback * callback), (callback)) {
    if (callback == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    *callback = logger;
    return CUBLAS_STATUS_SUCCESS;
}

EXPORT void cublasXerbla(const char *function, int argument);
EXPORT void cublasXerbla(const char *function, int argument) {
    report("%s: argument [%d] has a value that is not allowed.", function, argument);
}
