/* Statuses of cuRAND as names, and what it says of itself to the files that all libraries share. */
#include "rand.h"

static const char *status_name(int status) {
    switch (status) {
    case CURAND_STATUS_SUCCESS: return "CURAND_STATUS_SUCCESS";
    case CURAND_STATUS_NOT_INITIALIZED: return "CURAND_STATUS_NOT_INITIALIZED";
    case CURAND_STATUS_ALLOCATION_FAILED: return "CURAND_STATUS_ALLOCATION_FAILED";
    case 103: return "CURAND_STATUS_TYPE_ERROR";
    case CURAND_STATUS_OUT_OF_RANGE: return "CURAND_STATUS_OUT_OF_RANGE";
    case 105: return "CURAND_STATUS_LENGTH_NOT_MULTIPLE";
    case CURAND_STATUS_LAUNCH_FAILURE: return "CURAND_STATUS_LAUNCH_FAILURE";
    case CURAND_STATUS_INITIALIZATION_FAILED: return "CURAND_STATUS_INITIALIZATION_FAILED";
    case CURAND_STATUS_ARCH_MISMATCH: return "CURAND_STATUS_ARCH_MISMATCH";
    default: return "CURAND_STATUS_?";
    }
}

const struct library library = {
    .number = SLUICE_RAND_NUMBER,
    .name = "cuRAND",
    .makers = sluice_rand_makers,
    .not_initialized = CURAND_STATUS_INITIALIZATION_FAILED,
    .bad_parameter = CURAND_STATUS_OUT_OF_RANGE,
    .null_pointer = CURAND_STATUS_NOT_INITIALIZED,
    .no_memory = CURAND_STATUS_ALLOCATION_FAILED,
    .no_device_memory = CURAND_STATUS_ALLOCATION_FAILED,
    .not_supported = CURAND_STATUS_ARCH_MISMATCH,
    .failed = CURAND_STATUS_LAUNCH_FAILURE,
    .status_name = status_name,
    .is_stateful = true,
};
