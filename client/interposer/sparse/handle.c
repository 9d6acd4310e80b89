/* Handles of cuSPARSE, and the version of the interface: as CUDA 12.6 has it. */
#include "sparse.h"

/* As major * 1000 + minor * 100 + patch. */
enum { VERSION = 12504 };

LIBRARY_HANDLES(cusparse, cusparseHandle_t)

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
    return property_into(VERSION, which, value);
}

LIBRARY_API(cusparseGetVersion, (cusparseHandle_t handle, int *version), (handle, version)) {
    return is_handle(handle) ? version_into(VERSION, version) : CUSPARSE_STATUS_NOT_INITIALIZED;
}
