/* Statuses of a library: from the driver's results and the server's answers, and what a program is told beside. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

/* What this thread's last failure was about. */
#define MESSAGE_BYTES 1024
static __thread char message[MESSAGE_BYTES];

int status_of(CUresult result) {
    switch (result) {
    case CUDA_SUCCESS: return 0;
    case CUDA_ERROR_OUT_OF_MEMORY: return library.no_device_memory;
    case CUDA_ERROR_INVALID_VALUE:
    case CUDA_ERROR_INVALID_HANDLE: return library.bad_parameter;
    case CUDA_ERROR_NOT_INITIALIZED:
    case CUDA_ERROR_NO_DEVICE:
    case CUDA_ERROR_DEVICE_UNAVAILABLE: return library.not_initialized;
    case CUDA_ERROR_NOT_SUPPORTED: return library.not_supported;
    default: return library.failed;
    }
}

void set_message(const char *text, size_t byte_count) {
    if (byte_count > sizeof message - 1) byte_count = sizeof message - 1;
    memcpy(message, text, byte_count);
    message[byte_count] = '\0';
}

void message_take(char *text, size_t byte_count) {
    snprintf(text, byte_count, "%s", message);
    message[0] = '\0';
}

int status_of_reply(CUresult result, struct sluice_library_reply *reply) {
    int status = result == CUDA_SUCCESS ? (int)reply->status : status_of(result);
    if (status != 0) {
        set_message(reply->message.data == NULL ? "" : reply->message.data, reply->message.byte_count);
        if (message[0] != '\0') trace("%s says [%s]: %s", library.name, library.status_name(status), message);
    }
    free(reply->owned);
    *reply = (struct sluice_library_reply){0};
    return status;
}

int refuse(const char *function, const char *format, ...) {
    char why[256];
    va_list values;
    va_start(values, format);
    vsnprintf(why, sizeof why, format, values);
    va_end(values);
    report("%s is not supported here: %s.", function, why);
    set_message(why, strlen(why));
    return library.not_supported;
}

void trace_status(const char *name, int status) {
    trace("%s %s", name, library.status_name(status));
}

int version_into(int version, int *into) {
    if (into == NULL) return library.bad_parameter;
    *into = version;
    return 0;
}

int property_into(int version, int which, int *into) {
    const int parts[] = {version / 1000, version / 100 % 10, version % 100};
    if (into == NULL || which < 0 || which > 2) return library.bad_parameter;
    *into = parts[which];
    return 0;
}
