/* Statuses of cuDNN as names, and what it says of itself to the files that all libraries share. */
#include "dnn.h"

const char *status_name(cudnnStatus_t status) {
    switch (status) {
#define STATUS(number, name)                                                                                                            \
    case number: return "CUDNN_STATUS_" #name;
#include "statuses.def"
#undef STATUS
    default: return "CUDNN_UNKNOWN_STATUS";
    }
}

const struct library library = {
    .number = SLUICE_DNN_NUMBER,
    .name = "cuDNN",
    .makers = sluice_dnn_makers,
    .not_initialized = CUDNN_STATUS_NOT_INITIALIZED,
    .bad_parameter = CUDNN_STATUS_BAD_PARAM,
    .null_pointer = CUDNN_STATUS_BAD_PARAM_NULL_POINTER,
    .no_memory = CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED,
    .no_device_memory = CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED,
    .not_supported = CUDNN_STATUS_NOT_SUPPORTED,
    .failed = CUDNN_STATUS_EXECUTION_FAILED,
    .status_name = status_name,
    .read_scalars = read_scalars,
};

EXPORT const char *cudnnGetErrorString(cudnnStatus_t status);
EXPORT const char *cudnnGetErrorString(cudnnStatus_t status) {
    return status_name(status);
}

EXPORT void cudnnGetLastErrorString(char *text, size_t byte_count);
EXPORT void cudnnGetLastErrorString(char *text, size_t byte_count) {
    if (text == NULL || byte_count == 0) return;
    message_take(text, byte_count);
}
