/*
 * What the files of libcudnn share. It is served on the driver API's documented functions and the entries of driver/dnn.h. Types and numbers are declared from
 * NVIDIA's cuDNN documentation; of cuDNN 9 there is one interface, whose functions up to 9.24 are there by name.
 */
#ifndef SLUICE_DNN_H
#define SLUICE_DNN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/report.h"
#include "../driver/cuda-graph-api.h"
#include "../driver/dnn.h"

#define EXPORT __attribute__((visibility("default")))

/* What the versions are where there is no server to ask, or it has no cuDNN. */
#define DNN_VERSION 92400
#define DNN_CUDART_VERSION 13000

typedef int cudnnStatus_t;

enum {
#define STATUS(number, name) CUDNN_STATUS_##name = number,
#include "statuses.def"
#undef STATUS
};

/* cudnnBackendAttributeType_t, as far as elements are not plain numbers. */
enum { TYPE_HANDLE = 0, TYPE_BOOLEAN = 2, TYPE_INT64 = 3, TYPE_DOUBLE = 5, TYPE_VOID_PTR = 6, TYPE_BACKEND_DESCRIPTOR = 15, TYPE_CHAR = 24, TYPE_FRACTION = 26, TYPE_COUNT = 33 };

/* cudnnBackendDescriptorType_t, as far as this library knows more than the number. */
enum { BACKEND_PLAN = 5, BACKEND_VARIANT_PACK = 16, BACKEND_TENSOR = 17, BACKEND_COUNT = 51 };

/* cudnnBackendAttributeName_t, in the same way. */
enum {
    ATTRIBUTE_TENSOR_UNIQUE_ID = 906,
    ATTRIBUTE_TENSOR_IS_BY_VALUE = 908,
    ATTRIBUTE_PACK_UNIQUE_IDS = 1000,
    ATTRIBUTE_PACK_DATA_POINTERS = 1001,
    ATTRIBUTE_PACK_WORKSPACE = 1003,
};

struct cudnnContext {
    uint32_t magic;
    /* Index of its device within the lease. */
    uint32_t device;
    CUcontext context;
    CUstream stream;
};
typedef struct cudnnContext *cudnnHandle_t;

/* handle.c: whether it is a handle that has not been destroyed; gives the thread its context where it has none. */
cudnnStatus_t handle_enter(cudnnHandle_t handle);
bool is_handle(const struct cudnnContext *handle);
/* Whether its stream captures: then what is asked for is not done yet. */
bool is_capturing(const struct cudnnContext *handle);
/* Index of the current context's device, which has cuDNN; the context is made as the runtime would where there is none. */
cudnnStatus_t enter(uint32_t *device);

/* status.c */
const char *status_name(cudnnStatus_t status);
cudnnStatus_t status_of(CUresult result);
/* What came of a question: its status, whose message is what cudnnGetLastErrorString tells then. Frees what the reply has. */
cudnnStatus_t status_of_reply(CUresult result, struct sluice_dnn_reply *reply);
/* One line on stderr about what is not served, and CUDNN_STATUS_NOT_SUPPORTED. */
__attribute__((format(printf, 2, 3))) cudnnStatus_t refuse(const char *function, const char *format, ...);
void set_message(const char *text, size_t byte_count);
void trace_dnn(const char *name, cudnnStatus_t status);

/* Defines a function of the API, whose result the trace gets. */
#define DNN(name, parameters, arguments)                                                                                                \
    static cudnnStatus_t name##_body parameters;                                                                                        \
    EXPORT cudnnStatus_t name parameters;                                                                                               \
    EXPORT cudnnStatus_t name parameters {                                                                                              \
        cudnnStatus_t status = name##_body arguments;                                                                                   \
        if (__builtin_expect(trace_on, 0)) trace_dnn(#name, status);                                                                    \
        return status;                                                                                                                  \
    }                                                                                                                                   \
    static cudnnStatus_t name##_body parameters

#endif
