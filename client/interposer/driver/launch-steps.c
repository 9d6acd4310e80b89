/*
 * Launches in steps, as programs of before CUDA 4 make them: a function keeps its block, its shared memory and its parameters until it is launched,
 * which is then a launch like any other. As in CUDA, one thread at a time may work on a function so.
 */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

#define EXTRA_POINTER ((void *)1)
#define EXTRA_SIZE ((void *)2)

struct launch_steps {
    unsigned block[3];
    unsigned shared_bytes;
    size_t byte_count;
    uint8_t params[SLUICE_PARAM_BYTES_MAX];
};

static CUresult steps_of(CUfunction handle, struct launch_steps **steps) {
    struct context *context;
    struct function *function;
    CUresult result = current_context(&context);
    if (result == CUDA_SUCCESS) result = function_of(handle, context, &function);
    if (result != CUDA_SUCCESS) return result;
    if (function->steps == NULL) function->steps = calloc(1, sizeof *function->steps);
    *steps = function->steps;
    return *steps == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

API(cuFuncSetBlockShape, (CUfunction function, int x, int y, int z), (function, x, y, z)) {
    struct launch_steps *steps;
    CUresult result = steps_of(function, &steps);
    if (result != CUDA_SUCCESS) return result;
    if (x <= 0 || y <= 0 || z <= 0) return CUDA_ERROR_INVALID_VALUE;
    steps->block[0] = (unsigned)x, steps->block[1] = (unsigned)y, steps->block[2] = (unsigned)z;
    return CUDA_SUCCESS;
}

API(cuFuncSetSharedSize, (CUfunction function, unsigned int byte_count), (function, byte_count)) {
    struct launch_steps *steps;
    CUresult result = steps_of(function, &steps);
    if (result == CUDA_SUCCESS) steps->shared_bytes = byte_count;
    return result;
}

API(cuParamSetSize, (CUfunction function, unsigned int byte_count), (function, byte_count)) {
    struct launch_steps *steps;
    CUresult result = steps_of(function, &steps);
    if (result != CUDA_SUCCESS) return result;
    if (byte_count > sizeof steps->params) return CUDA_ERROR_INVALID_VALUE;
    steps->byte_count = byte_count;
    return CUDA_SUCCESS;
}

static CUresult set_params(CUfunction function, int offset, const void *value, size_t byte_count) {
    struct launch_steps *steps;
    CUresult result = steps_of(function, &steps);
    if (result != CUDA_SUCCESS) return result;
    if (offset < 0 || value == NULL || byte_count > sizeof steps->params || (size_t)offset > sizeof steps->params - byte_count)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(steps->params + offset, value, byte_count);
    return CUDA_SUCCESS;
}

API(cuParamSeti, (CUfunction function, int offset, unsigned int value), (function, offset, value)) {
    return set_params(function, offset, &value, sizeof value);
}

API(cuParamSetf, (CUfunction function, int offset, float value), (function, offset, value)) {
    return set_params(function, offset, &value, sizeof value);
}

API(cuParamSetv, (CUfunction function, int offset, void *value, unsigned int byte_count), (function, offset, value, byte_count)) {
    return set_params(function, offset, value, byte_count);
}

API(cuLaunchGridAsync, (CUfunction function, int width, int height, CUstream stream), (function, width, height, stream)) {
    struct launch_steps *steps;
    CUresult result = steps_of(function, &steps);
    if (result != CUDA_SUCCESS) return result;
    if (width <= 0 || height <= 0 || steps->block[0] == 0) return CUDA_ERROR_INVALID_VALUE;
    void *extra[] = {EXTRA_POINTER, steps->params, EXTRA_SIZE, &steps->byte_count, NULL};
    return cuLaunchKernel(function, (unsigned)width, (unsigned)height, 1, steps->block[0], steps->block[1], steps->block[2], steps->shared_bytes,
                          stream, NULL, extra);
}

API(cuLaunchGrid, (CUfunction function, int width, int height), (function, width, height)) {
    return cuLaunchGridAsync(function, width, height, NULL);
}

API(cuLaunch, (CUfunction function), (function)) {
    return cuLaunchGridAsync(function, 1, 1, NULL);
}
