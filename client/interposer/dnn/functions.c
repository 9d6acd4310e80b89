/* cuDNN's functions of the table, with what only cuDNN packs. */
#include <string.h>

#include "../library/call.h"
#include "dnn.h"

#define TYPE_F64 1

/* What an algorithm of a convolution costs: cudnnConvolutionFwdAlgoPerf_t and its like. */
struct sluice_dnn_perf {
    int32_t algorithm, status;
    float milliseconds;
    uint64_t workspace_bytes;
    int32_t determinism, math, reserved[3];
};

/* What a tensor's elements have, by their type; 0 for those that are wider than eight bytes. */
static size_t element_bytes(int32_t type) {
    static const uint8_t bytes[] = {4, 8, 2, 1, 4, 4, 1, 4, 0, 2, 8, 1, 1, 1, 4, 1, 1, 1, 1, 4, 8, 0};
    return type < 0 ? 4 : (size_t)type < sizeof bytes ? bytes[type] : 0;
}

static void sluice_dnn_value(struct sluice_call *call, const void *element, void *tensor) {
    struct table_descriptor *descriptor = table_descriptor_of(tensor, SLUICE_DNN_TENSOR);
    size_t bytes = descriptor == NULL ? 0 : element_bytes(table_descriptor_type(descriptor));
    if (element == NULL) call_fail(call, CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    else if (bytes == 0) call_fail(call, refuse(call->name, "its elements have more than eight bytes"));
    else call_put(call, element, bytes);
}

EXPORT int cudnnGetTensorNdDescriptor(void *tensor, int32_t wanted, int32_t *type, int32_t *count, int32_t *dimensions, int32_t *strides);

/* How many sequences a tensor has: its second dimension. -1 where it has none. */
static int32_t sluice_dnn_sequences(void *tensor) {
    int32_t type, count, dimensions[2] = {-1, -1}, strides[2];
    int status = cudnnGetTensorNdDescriptor(tensor, 2, &type, &count, dimensions, strides);
    return status == CUDNN_STATUS_SUCCESS && count > 1 ? dimensions[1] : -1;
}

/* -1 where one of them is below 0, or they are too many. */
static int32_t sluice_dnn_sum(const int32_t *values, int32_t count) {
    int64_t sum = 0;
    for (int32_t i = 0; i < count && values != NULL && sum >= 0; i++) sum = values[i] < 0 || sum + values[i] > INT32_MAX ? -1 : sum + values[i];
    return (int32_t)sum;
}

/* Bytes of a scalar of the call. A function that only sets a descriptor takes one of the type that it describes. */
static size_t scalar_bytes(const struct sluice_call *call) {
    bool is_f64 = call->type == TYPE_F64, is_short = call->type == 2 || call->type == 9;
    for (size_t i = 0; i < call->used_count; i++) is_f64 |= table_descriptor_type(call->used[i].descriptor) == TYPE_F64;
    return is_f64 ? 8 : is_short ? 2 : 4;
}

void read_scalars(struct sluice_call *call) {
    size_t bytes = scalar_bytes(call);
    for (size_t i = 0; i < call->slot_count; i++) {
        const struct slot *slot = &call->slots[i];
        if (slot->kind == SLOT_SCALAR && slot->scalar != NULL) memcpy(call->bytes + slot->at, slot->scalar, bytes);
    }
}

#define SLUICE_API EXPORT
#define SLUICE_NAME(name) name
#define SLUICE_LIBRARY_FUNCTIONS
#include "../generated/dnn-functions.h"
