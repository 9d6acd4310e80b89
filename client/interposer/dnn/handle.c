/* Handles of cuDNN, and what it says of itself. */
#include "dnn.h"

LIBRARY_HANDLES(cudnn, cudnnHandle_t)

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

LIBRARY_API(cudnnGetProperty, (int which, int *value), (which, value)) {
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

LIBRARY_API(cudnnSetCallback, (unsigned mask, void *data, log_callback callback), (mask, data, callback)) {
    logger.mask = mask, logger.data = data, logger.callback = callback;
    return CUDNN_STATUS_SUCCESS;
}

LIBRARY_API(cudnnGetCallback, (unsigned *mask, void **data, log_callback *callback), (mask, data, callback)) {
    if (mask == NULL || data == NULL || callback == NULL) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *mask = logger.mask, *data = logger.data, *callback = logger.callback;
    return CUDNN_STATUS_SUCCESS;
}

/* All of cuDNN's own libraries are this one. */
#define VERSION_CHECK(name)                                                                                                             \
    LIBRARY_API(name, (void), ()) {                                                                                                             \
        return CUDNN_STATUS_SUCCESS;                                                                                                    \
    }
VERSION_CHECK(cudnnGraphVersionCheck)
VERSION_CHECK(cudnnOpsVersionCheck)
VERSION_CHECK(cudnnCnnVersionCheck)
VERSION_CHECK(cudnnAdvVersionCheck)
VERSION_CHECK(cudnnSubquadraticOpsVersionCheck)
