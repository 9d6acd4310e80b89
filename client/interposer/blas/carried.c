/*
 * What the server's cuBLAS does itself: factorisations and solves of batches, by the table of functions that travel (library/call.h). A handle of cuBLAS has one of
 * the library's for that, made at the first of them.
 */
#include <stdlib.h>

#include "../library/call.h"
#include "handle.h"

#include "../generated/blas-functions.h"

const struct library library = {
    .number = SLUICE_BLAS_NUMBER,
    .name = "cuBLAS",
    .makers = sluice_blas_makers,
    /* Without one at the other end all else is served: the function alone is not. */
    .not_initialized = CUBLAS_STATUS_NOT_SUPPORTED,
    .bad_parameter = CUBLAS_STATUS_INVALID_VALUE,
    .null_pointer = CUBLAS_STATUS_INVALID_VALUE,
    .no_memory = CUBLAS_STATUS_ALLOC_FAILED,
    .no_device_memory = CUBLAS_STATUS_ALLOC_FAILED,
    .not_supported = CUBLAS_STATUS_NOT_SUPPORTED,
    .failed = CUBLAS_STATUS_EXECUTION_FAILED,
    .status_name = status_name,
};

void carried_end(cublasHandle_t handle) {
    if (handle->carried != NULL) handle_destroy(handle->carried);
}

static void call_handle(struct sluice_call *call, cublasHandle_t handle) {
    int status = blas_handle_enter(handle);
    if (status == 0) {
        pthread_mutex_lock(&handle->lock);
        if (handle->carried == NULL) status = handle_create(&handle->carried);
        if (status == 0) handle->carried->stream = handle->stream;
        pthread_mutex_unlock(&handle->lock);
    }
    if (status == 0) sluice_call_handle(call, handle->carried);
    else call_fail(call, status);
}

#define SLUICE_API EXPORT
#define SLUICE_NAME(name) name
#define SLUICE_LIBRARY_FUNCTIONS
#define sluice_call_handle call_handle
#include "../generated/blas-functions.h"
