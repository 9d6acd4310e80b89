/* Statuses of cuSPARSE as names and sentences, and what it says of itself to the files that all libraries share. */
#include "sparse.h"

static const struct {
    const char *name, *sentence;
} statuses[] = {
    [CUSPARSE_STATUS_SUCCESS] = {"CUSPARSE_STATUS_SUCCESS", "success"},
    [CUSPARSE_STATUS_NOT_INITIALIZED] = {"CUSPARSE_STATUS_NOT_INITIALIZED", "there is no handle, or no cuSPARSE"},
    [CUSPARSE_STATUS_ALLOC_FAILED] = {"CUSPARSE_STATUS_ALLOC_FAILED", "out of memory"},
    [CUSPARSE_STATUS_INVALID_VALUE] = {"CUSPARSE_STATUS_INVALID_VALUE", "an argument is not valid"},
    [CUSPARSE_STATUS_ARCH_MISMATCH] = {"CUSPARSE_STATUS_ARCH_MISMATCH", "the device is too old for it"},
    [CUSPARSE_STATUS_MAPPING_ERROR] = {"CUSPARSE_STATUS_MAPPING_ERROR", "memory cannot be reached"},
    [CUSPARSE_STATUS_EXECUTION_FAILED] = {"CUSPARSE_STATUS_EXECUTION_FAILED", "the device has failed"},
    [CUSPARSE_STATUS_INTERNAL_ERROR] = {"CUSPARSE_STATUS_INTERNAL_ERROR", "the library has failed"},
    [CUSPARSE_STATUS_MATRIX_TYPE_NOT_SUPPORTED] = {"CUSPARSE_STATUS_MATRIX_TYPE_NOT_SUPPORTED", "a matrix is of a type that is not served"},
    [CUSPARSE_STATUS_ZERO_PIVOT] = {"CUSPARSE_STATUS_ZERO_PIVOT", "an entry on the diagonal is zero or missing"},
    [CUSPARSE_STATUS_NOT_SUPPORTED] = {"CUSPARSE_STATUS_NOT_SUPPORTED", "it is not supported"},
    [CUSPARSE_STATUS_INSUFFICIENT_RESOURCES] = {"CUSPARSE_STATUS_INSUFFICIENT_RESOURCES", "a work area is too small"},
};
enum { STATUS_COUNT = sizeof statuses / sizeof *statuses };

static const char *status_name(int status) {
    return status >= 0 && status < STATUS_COUNT ? statuses[status].name : "CUSPARSE_STATUS_?";
}

EXPORT const char *cusparseGetErrorName(int status);
EXPORT const char *cusparseGetErrorName(int status) {
    return status_name(status);
}

EXPORT const char *cusparseGetErrorString(int status);
EXPORT const char *cusparseGetErrorString(int status) {
    return status >= 0 && status < STATUS_COUNT ? statuses[status].sentence : "no such status";
}

const struct library library = {
    .number = SLUICE_SPARSE_NUMBER,
    .name = "cuSPARSE",
    .makers = sluice_sparse_makers,
    .not_initialized = CUSPARSE_STATUS_NOT_INITIALIZED,
    .bad_parameter = CUSPARSE_STATUS_INVALID_VALUE,
    .null_pointer = CUSPARSE_STATUS_INVALID_VALUE,
    .no_memory = CUSPARSE_STATUS_ALLOC_FAILED,
    .no_device_memory = CUSPARSE_STATUS_ALLOC_FAILED,
    .not_supported = CUSPARSE_STATUS_NOT_SUPPORTED,
    .failed = CUSPARSE_STATUS_EXECUTION_FAILED,
    .status_name = status_name,
};
