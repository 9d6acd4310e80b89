/* Statuses of cuSOLVER as names, and what it says of itself to the files that all libraries share. */
#include "solver.h"

static const char *status_name(int status) {
    switch (status) {
    case CUSOLVER_STATUS_SUCCESS: return "CUSOLVER_STATUS_SUCCESS";
    case CUSOLVER_STATUS_NOT_INITIALIZED: return "CUSOLVER_STATUS_NOT_INITIALIZED";
    case CUSOLVER_STATUS_ALLOC_FAILED: return "CUSOLVER_STATUS_ALLOC_FAILED";
    case CUSOLVER_STATUS_INVALID_VALUE: return "CUSOLVER_STATUS_INVALID_VALUE";
    case CUSOLVER_STATUS_EXECUTION_FAILED: return "CUSOLVER_STATUS_EXECUTION_FAILED";
    case CUSOLVER_STATUS_NOT_SUPPORTED: return "CUSOLVER_STATUS_NOT_SUPPORTED";
    default: return "CUSOLVER_STATUS_?";
    }
}

const struct library library = {
    .number = SLUICE_SOLVER_NUMBER,
    .name = "cuSOLVER",
    .makers = sluice_solver_makers,
    .not_initialized = CUSOLVER_STATUS_NOT_INITIALIZED,
    .bad_parameter = CUSOLVER_STATUS_INVALID_VALUE,
    .null_pointer = CUSOLVER_STATUS_INVALID_VALUE,
    .no_memory = CUSOLVER_STATUS_ALLOC_FAILED,
    .no_device_memory = CUSOLVER_STATUS_ALLOC_FAILED,
    .not_supported = CUSOLVER_STATUS_NOT_SUPPORTED,
    .failed = CUSOLVER_STATUS_EXECUTION_FAILED,
    .status_name = status_name,
};
