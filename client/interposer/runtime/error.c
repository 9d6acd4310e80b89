/* The runtime's errors: remembered per thread; faults of the device stay, as later calls return them again. */
#include "runtime.h"

static __thread cudaError_t last_error;

/* Errors of the runtime alone, and names that differ from the driver's. */
static const struct {
    cudaError_t error;
    const char *name;
    const char *text;
} own[] = {
#define RUNTIME_ERROR(number, name, text) {number, "cuda" name, text},
#include "errors.def"
#undef RUNTIME_ERROR
};

const char *error_name(cudaError_t error) {
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i].error == error) return own[i].name;
    return "unrecognized error code";
}

static bool is_fault(cudaError_t error) {
    switch (error) {
    case CUDA_ERROR_DEVICE_UNAVAILABLE:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_LAUNCH_FAILED: return true;
    default: return error == 710 || (error >= 714 && error <= 718);
    }
}

cudaError_t note_error(cudaError_t error) {
    if (!is_fault(last_error)) last_error = error;
    return error;
}

void trace_runtime(const char *name, cudaError_t error) {
    trace("%s %s", name, error_name(error));
}

EXPORT cudaError_t cudaGetLastError(void) {
    cudaError_t error = last_error;
    if (!is_fault(error)) last_error = CUDA_SUCCESS;
    return error;
}

EXPORT cudaError_t cudaPeekAtLastError(void) {
    return last_error;
}

EXPORT const char *cudaGetErrorName(cudaError_t error) {
    return error_name(error);
}

EXPORT const char *cudaGetErrorString(cudaError_t error) {
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i].error == error) return own[i].text;
    return "unrecognized error code";
}
