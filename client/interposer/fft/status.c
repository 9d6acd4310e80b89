/* Statuses of cuFFT as names, and what it says of itself to the files that all libraries share. */
#include "fft.h"

static const char *const names[] = {
    "SUCCESS", "INVALID_PLAN", "ALLOC_FAILED", "INVALID_TYPE", "INVALID_VALUE", "INTERNAL_ERROR", "EXEC_FAILED", "SETUP_FAILED", "INVALID_SIZE", "UNALIGNED_DATA",
    [11] = "INVALID_DEVICE", [13] = "NO_WORKSPACE", [14] = "NOT_IMPLEMENTED", [16] = "NOT_SUPPORTED", [17] = "MISSING_DEPENDENCY", [18] = "NVRTC_FAILURE", [19] = "NVJITLINK_FAILURE",
};

static const char *status_name(int status) {
    const char *name = status >= 0 && (size_t)status < sizeof names / sizeof *names ? names[status] : NULL;
    return name == NULL ? "unknown" : name;
}

const struct library library = {
    .number = SLUICE_FFT_NUMBER,
    .name = "cuFFT",
    .makers = sluice_fft_makers,
    .not_initialized = CUFFT_SETUP_FAILED,
    .bad_parameter = CUFFT_INVALID_VALUE,
    .null_pointer = CUFFT_INVALID_VALUE,
    .no_memory = CUFFT_ALLOC_FAILED,
    .no_device_memory = CUFFT_ALLOC_FAILED,
    .not_supported = CUFFT_NOT_SUPPORTED,
    .failed = CUFFT_EXEC_FAILED,
    .status_name = status_name,
};

int traced(const char *name, int status) {
    if (__builtin_expect(trace_on, 0)) trace_status(name, status);
    return status;
}
