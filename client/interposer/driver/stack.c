/*
 * The stack of each thread of kernels, for those whose depth no compiler knows (recursion). A CUDA device's comes from what its lease has beside the
 * slice, and then from the end of the slice, which is nobody's as long. Other devices' stacks are as they are: there the size is a wish that reads back.
 */
#include <string.h>

#include "driver.h"

DEFINE_ASK(stack_limit, STACK_LIMIT)

static CUresult ask_for_stack(struct device *device, size_t bytes, uint64_t *reserved_bytes) {
    struct answer answer = ANSWER_INITIAL;
    struct sluice_stack_limit_call call = {.device = device->index, .thread_bytes = bytes};
    CUresult result = ask_stack_limit(&call, &answer);
    if (result != CUDA_SUCCESS) return result;
    struct sluice_stack_limit_answer given;
    if (sluice_decode_stack_limit_answer(answer.body, answer.body_bytes, &given) != 0) result = CUDA_ERROR_UNKNOWN;
    else *reserved_bytes = given.reserved_bytes;
    answer_release(&answer);
    return result;
}

CUresult stack_limit(struct context *context, size_t bytes) {
    struct device *device = context->device;
    CUresult result = CUDA_SUCCESS;
    if (strcmp(device->kind, "cuda") == 0) {
        uint64_t reserved;
        memory_hold_end(device);
        result = ask_for_stack(device, bytes, &reserved);
        if (result == CUDA_SUCCESS && !memory_reserve_end(device, reserved)) {
            /* For want of memory of this process. */
            if (ask_for_stack(device, 0, &reserved) == CUDA_SUCCESS) memory_reserve_end(device, reserved);
            result = CUDA_ERROR_OUT_OF_MEMORY;
        }
        memory_leave_end(device);
    }
    if (result == CUDA_SUCCESS) context->limits[LIMIT_STACK] = bytes;
    else if (result == CUDA_ERROR_OUT_OF_MEMORY) report("the lease has no room for stacks of [%zu] bytes for each thread of kernels.", bytes);
    return result;
}
