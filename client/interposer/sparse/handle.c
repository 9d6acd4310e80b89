/* Handles of cuSPARSE, and the version of the interface: as CUDA 12.6 has it. */
#include "sparse.h"

enum { MAJOR = 12, MINOR = 5, PATCH = 4 };

LIBRARY_API(cusparseCreate, (cusparseHandle_t * handle), (handle)) {
    return handle_create(handle);
}

LIBRARY_API(cusparseDestroy, (cusparseHandle_t handle), (handle)) {
    return handle_destroy(handle);
}

LIBRARY_API(cusparseSetStream, (cusparseHandle_t handle, CUstream stream), (handle, stream)) {
    return handle_set_stream(handle, stream);
}

LIBRARY_API(cusparseGetStream, (cusparseHandle_t handle, CUstream *stream), (handle, stream)) {
    return handle_get_stream(handle, stream);
}

/* Factors and results are in the host's memory. */
LIBRARY_API(cusparseSetPointerMode, (cusparseHandle_t handle, int mode), (handle, mode)) {
    if (!is_handle(handle)) return CUSPARSE_STATUS_NOT_INITIALIZED;
    if (mode == 1) return refuse("cusparseSetPointerMode", "factors and results in the device's memory are not served yet");
    return mode == 0 ? CUSPARSE_STATUS_SUCCESS : CUSPARSE_STATUS_INVALID_VALUE;
}

LIBRARY_API(cusparseGetPointerMode, (cusparseHandle_t handle, int *mode), (handle, mode)) {
    if (!is_handle(handle)) return CUSPARSE_STATUS_NOT_INITIALIZED;
    if (mode == NULL) return CUSPARSE_STATUS_INVALID_VALUE;
    *mode = 0;
    return CUSPARSE_STATUS_SUCCESS;
}

LIBRARY_API(cusparseGetProperty, (int which, int *value), (which, value)) {
    const int parts[] = {MAJOR, MINOR, PATCH};
    if (value == NULL || which < 0 || which > 2) return CUSPARSE_STATUS_INVALID_VALUE;
    *value = parts[which];
    return CUSPARSE_STATUS_SUCCESS;
}

LIBRARY_API(cusparseGetVersion, (cusparseHandle_t handle, int *version), (handle, version)) {
    if (!is_handle(handle)) return CUSPARSE_STATUS_NOT_INITIALIZED;
    if (version == NULL) return CUSPARSE_STATUS_INVALID_VALUE;
    *version = MAJOR * 1000 + MINOR * 100 + PATCH;
    return CUSPARSE_STATUS_SUCCESS;
}
