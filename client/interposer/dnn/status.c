/* Statuses of cuDNN: from the driver's results and the server's answers, as names, and what a program is told beside. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dnn.h"

/* What this thread's last failure was about. */
#define MESSAGE_BYTES 1024
static __thread char message[MESSAGE_BYTES];

const char *status_name(cudnnStatus_t status) {
    switch (status) {
#define STATUS(number, name)                                                                                                            \
    case number: return "CUDNN_STATUS_" #name;
#include "statuses.def"
#undef STATUS
    default: return "CUDNN_UNKNOWN_STATUS";
    }
}

cudnnStatus_t status_of(CUresult result) {
    switch (result) {
    case CUDA_SUCCESS: return CUDNN_STATUS_SUCCESS;
    case CUDA_ERROR_OUT_OF_MEMORY: return CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
    case CUDA_ERROR_INVALID_VALUE:
    case CUDA_ERROR_INVALID_HANDLE: return CUDNN_STATUS_BAD_PARAM;
    case CUDA_ERROR_NOT_INITIALIZED:
    case CUDA_ERROR_NO_DEVICE:
    case CUDA_ERROR_DEVICE_UNAVAILABLE: return CUDNN_STATUS_NOT_INITIALIZED;
    case CUDA_ERROR_NOT_SUPPORTED: return CUDNN_STATUS_NOT_SUPPORTED;
    default: return CUDNN_STATUS_EXECUTION_FAILED;
    }
}

void set_message(const char *text, size_t byte_count) {
    if (byte_count > sizeof message - 1) byte_count = sizeof message - 1;
    memcpy(message, text, byte_count);
    message[byte_count] = '\0';
}

cudnnStatus_t status_of_reply(CUresult result, struct sluice_dnn_reply *reply) {
    cudnnStatus_t status = result == CUDA_SUCCESS ? (cudnnStatus_t)reply->status : status_of(result);
    if (status != CUDNN_STATUS_SUCCESS) {
        set_message(reply->message.data == NULL ? "" : reply->message.data, reply->message.byte_count);
        if (message[0] != '\0') trace("cuDNN says [%s]: %s", status_name(status), message);
    }
    free(reply->owned);
    *reply = (struct sluice_dnn_reply){0};
    return status;
}

cudnnStatus_t refuse(const char *function, const char *format, ...) {
    char why[256];
    va_list values;
    va_start(values, format);
    vsnprintf(why, sizeof why, format, values);
    va_end(values);
    report("%s is not supported here: %s.", function, why);
    set_message(why, strlen(why));
    return CUDNN_STATUS_NOT_SUPPORTED;
}

void trace_dnn(const char *name, cudnnStatus_t status) {
    trace("%s %s", name, status_name(status));
}

EXPORT const char *cudnnGetErrorString(cudnnStatus_t status);
EXPORT const char *cudnnGetErrorString(cudnnStatus_t status) {
    return status_name(status);
}

EXPORT void cudnnGetLastErrorString(char *text, size_t byte_count);
EXPORT void cudnnGetLastErrorString(char *text, size_t byte_count) {
    if (text == NULL || byte_count == 0) return;
    snprintf(text, byte_count, "%s", message);
    message[0] = '\0';
}
