/* Handles of cuSOLVER for dense matrices, and the version of the interface: as CUDA 13.0 has it, and CUDA 12.6. */
#include "solver.h"

#if SOLVER_MAJOR == 12
enum { MINOR = 0, PATCH = 4 };
#else
enum { MINOR = 7, PATCH = 1 };
#endif

LIBRARY_API(cusolverDnCreate, (cusolverDnHandle_t * handle), (handle)) {
    return handle_create(handle);
}

LIBRARY_API(cusolverDnDestroy, (cusolverDnHandle_t handle), (handle)) {
    return handle_destroy(handle);
}

LIBRARY_API(cusolverDnSetStream, (cusolverDnHandle_t handle, CUstream stream), (handle, stream)) {
    return handle_set_stream(handle, stream);
}

LIBRARY_API(cusolverDnGetStream, (cusolverDnHandle_t handle, CUstream *stream), (handle, stream)) {
    return handle_get_stream(handle, stream);
}

LIBRARY_API(cusolverGetProperty, (int which, int *value), (which, value)) {
    const int parts[] = {SOLVER_MAJOR, MINOR, PATCH};
    if (value == NULL || which < 0 || which > 2) return CUSOLVER_STATUS_INVALID_VALUE;
    *value = parts[which];
    return CUSOLVER_STATUS_SUCCESS;
}

LIBRARY_API(cusolverGetVersion, (int *version), (version)) {
    if (version == NULL) return CUSOLVER_STATUS_INVALID_VALUE;
    *version = SOLVER_MAJOR * 1000 + MINOR * 100 + PATCH;
    return CUSOLVER_STATUS_SUCCESS;
}
