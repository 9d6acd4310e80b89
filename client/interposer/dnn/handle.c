/* Handles of cuDNN, and what it says of itself. */
#include <stdlib.h>
#include <string.h>

#include "../driver/own-context.h"
#include "dnn.h"

#define HANDLE_MAGIC 0x51c0d33bu

bool is_handle(const struct cudnnContext *handle) {
    return handle != NULL && handle->magic == HANDLE_MAGIC;
}

cudnnStatus_t handle_enter(cudnnHandle_t handle) {
    CUcontext current = NULL;
    if (!is_handle(handle)) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (cuCtxGetCurrent(&current) == CUDA_SUCCESS && current != NULL) return CUDNN_STATUS_SUCCESS;
    return status_of(cuCtxSetCurrent(handle->context));
}

bool is_capturing(const struct cudnnContext *handle) {
    int capture = 0;
    return cuStreamIsCapturing(handle->stream, &capture) == CUDA_SUCCESS && capture != 0;
}

cudnnStatus_t enter(uint32_t *device) {
    struct sluice_dnn_open_answer opened;
    const char *why = "";
    CUresult result = enter_context();
    if (result == CUDA_SUCCESS) result = sluiceDnnOpen(device, &opened, &why);
    if (result != CUDA_SUCCESS) set_message(why, strlen(why));
    if (result != CUDA_ERROR_NOT_SUPPORTED) return status_of(result);
    report("there is no cuDNN for this program: %s", why);
    return CUDNN_STATUS_NOT_INITIALIZED;
}

DNN(cudnnCreate, (cudnnHandle_t * handle), (handle)) {
    uint32_t device;
    if (handle == NULL) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *handle = NULL;
    cudnnStatus_t status = enter(&device);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    cudnnHandle_t made = calloc(1, sizeof *made);
    if (made == NULL) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    made->magic = HANDLE_MAGIC;
    made->device = device;
    cuCtxGetCurrent(&made->context);
    *handle = made;
    return CUDNN_STATUS_SUCCESS;
}

DNN(cudnnDestroy, (cudnnHandle_t handle), (handle)) {
    if (!is_handle(handle)) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    handle->magic = 0;
    free(handle);
    return CUDNN_STATUS_SUCCESS;
}

DNN(cudnnSetStream, (cudnnHandle_t handle, CUstream stream), (handle, stream)) {
    if (!is_handle(handle)) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

DNN(cudnnGetStream, (cudnnHandle_t handle, CUstream *stream), (handle, stream)) {
    if (!is_handle(handle) || stream == NULL) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *stream = handle->stream;
    return CUDNN_STATUS_SUCCESS;
}

/* What the server's cuDNN is; all 0 where there is none, which is not said before a program wants one. */
static struct sluice_dnn_open_answer opened_here(void) {
    struct sluice_dnn_open_answer opened = {0};
    const char *why;
    uint32_t device;
    if (cuInit(0) == CUDA_SUCCESS) sluiceDnnOpen(&device, &opened, &why);
    return opened;
}

/*
 * Without a cuDNN to ask, a version that no program that is linked to this library finds too old: it is told by cudnnCreate, and one that does without is not
 * held up, as PyTorch by the version that it only shows.
 */
EXPORT size_t cudnnGetVersion(void);
EXPORT size_t cudnnGetVersion(void) {
    size_t version = (size_t)opened_here().version;
    return version == 0 ? DNN_VERSION : version;
}

EXPORT size_t cudnnGetCudartVersion(void);
EXPORT size_t cudnnGetCudartVersion(void) {
    size_t version = (size_t)opened_here().cudart_version;
    return version == 0 ? DNN_CUDART_VERSION : version;
}

EXPORT size_t cudnnGetMaxDeviceVersion(void);
EXPORT size_t cudnnGetMaxDeviceVersion(void) {
    return (size_t)opened_here().max_device_version;
}

DNN(cudnnGetProperty, (int which, int *value), (which, value)) {
    int version = (int)cudnnGetVersion();
    const int parts[] = {version / 10000, version / 100 % 100, version % 100};
    if (value == NULL) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (which < 0 || which > 2) return CUDNN_STATUS_BAD_PARAM;
    *value = parts[which];
    return CUDNN_STATUS_SUCCESS;
}

/* SLUICE_TRACE is this library's log. */
typedef void (*log_callback)(int severity, void *data, const void *details, const char *text);
static struct {
    unsigned mask;
    void *data;
    log_callback callback;
} logger;

DNN(cudnnSetCallback, (unsigned mask, void *data, log_callback callback), (mask, data, callback)) {
    logger.mask = mask, logger.data = data, logger.callback = callback;
    return CUDNN_STATUS_SUCCESS;
}

DNN(cudnnGetCallback, (unsigned *mask, void **data, log_callback *callback), (mask, data, callback)) {
    if (mask == NULL || data == NULL || callback == NULL) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *mask = logger.mask, *data = logger.data, *callback = logger.callback;
    return CUDNN_STATUS_SUCCESS;
}

/* All of cuDNN's own libraries are this one. */
#define VERSION_CHECK(name)                                                                                                             \
    DNN(name, (void), ()) {                                                                                                             \
        return CUDNN_STATUS_SUCCESS;                                                                                                    \
    }
VERSION_CHECK(cudnnGraphVersionCheck)
VERSION_CHECK(cudnnOpsVersionCheck)
VERSION_CHECK(cudnnCnnVersionCheck)
VERSION_CHECK(cudnnAdvVersionCheck)
VERSION_CHECK(cudnnSubquadraticOpsVersionCheck)
