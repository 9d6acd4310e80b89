/*
 * Launches. Everything that CUDA refuses at once is refused here: on the wire a refused launch would put the whole session into error.
 * A launch is one call in the batch and needs no answer.
 */
#include <string.h>

#include "managed.h"

#define EXTRA_END ((void *)0)
#define EXTRA_POINTER ((void *)1)
#define EXTRA_SIZE ((void *)2)

#define GRID_YZ_MAX 65535u

static unsigned limit_of(const struct device *device, int attribute, unsigned otherwise) {
    int value = device->attributes[attribute];
    return value > 0 ? (unsigned)value : otherwise;
}

static CUresult check_shape(const struct launch_wish *shape, const struct function *function, const struct device *device) {
    static const unsigned block_limits[3] = {1024, 1024, 64};
    for (int i = 0; i < 3; i++) {
        unsigned grid_max = i == 0 ? 0x7fffffffu : GRID_YZ_MAX;
        if (shape->grid[i] == 0 || shape->grid[i] > limit_of(device, CU_ATTRIBUTE_MAX_GRID_DIM_X + i, grid_max)) return CUDA_ERROR_INVALID_VALUE;
        if (shape->block[i] == 0 || shape->block[i] > limit_of(device, CU_ATTRIBUTE_MAX_BLOCK_DIM_X + i, block_limits[i]))
            return CUDA_ERROR_INVALID_VALUE;
    }
    uint64_t threads = (uint64_t)shape->block[0] * shape->block[1] * shape->block[2];
    if (threads > limit_of(device, CU_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024)) return CUDA_ERROR_INVALID_VALUE;
    if (function->threads_max != 0 && threads > function->threads_max) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    unsigned shared_max = limit_of(device, CU_ATTRIBUTE_MAX_SHARED_PER_BLOCK, 48 << 10);
    uint64_t dynamic_max = function->shared_dynamic_max >= 0 ? (uint64_t)function->shared_dynamic_max
                           : shared_max > function->shared_bytes ? shared_max - function->shared_bytes
                                                                 : 0;
    return shape->shared_bytes > dynamic_max ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/* One packed block instead of an array of pointers. */
static CUresult read_extra(void **extra, struct sluice_bytes *packed) {
    for (; *extra != EXTRA_END; extra += 2) {
        if (*extra == EXTRA_POINTER) packed->data = extra[1];
        else if (*extra == EXTRA_SIZE) packed->byte_count = *(size_t *)extra[1];
        else return CUDA_ERROR_INVALID_VALUE;
    }
    return packed->data == NULL && packed->byte_count > 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static void pack(const struct function *function, void **params, uint8_t *into) {
    memset(into, 0, sluice_pad8(function->parameter_bytes));
    for (uint32_t i = 0; i < function->parameter_count; i++) {
        const struct parameter *parameter = &function->parameters[i];
        memcpy(into + parameter->offset, params[i], parameter->byte_count);
    }
}

DEFINE_SEND(launch, LAUNCH)
DEFINE_SEND(launch_cooperative, LAUNCH_COOPERATIVE)

static CUresult send_call(const struct sluice_launch_call *call, bool is_cooperative, uint64_t *mark) {
    if (!is_cooperative) return send_launch(call, mark);
    struct sluice_launch_cooperative_call together = {
        .module = call->module, .kernel = call->kernel, .grid_x = call->grid_x, .grid_y = call->grid_y, .grid_z = call->grid_z,
        .block_x = call->block_x, .block_y = call->block_y, .block_z = call->block_z, .shared_bytes = call->shared_bytes,
        .stream = call->stream, .params = call->params,
    };
    return send_launch_cooperative(&together, mark);
}

CUresult replay_launch(struct sluice_launch_call *call, bool is_cooperative, struct stream *stream) {
    call->stream = stream->id;
    CUresult result = managed_release(stream->device);
    return result == CUDA_SUCCESS ? send_call(call, is_cooperative, &stream->last) : result;
}

CUresult launch_check_together(const struct function *function, const struct sluice_launch_call *call) {
    const struct device *device = function->module->device;
    if (device->attributes[CU_ATTRIBUTE_COOPERATIVE_LAUNCH] == 0) return CUDA_ERROR_NOT_SUPPORTED;
    uint64_t blocks = (uint64_t)call->grid_x * call->grid_y * call->grid_z;
    int per_processor = blocks_that_fit(function, call->block_x * call->block_y * call->block_z, call->shared_bytes);
    unsigned processors = limit_of(device, CU_ATTRIBUTE_MULTIPROCESSOR_COUNT, 1);
    return blocks > (uint64_t)per_processor * processors ? CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE : CUDA_SUCCESS;
}

static CUresult provide_heap(void) {
    struct context *context;
    CUresult result = current_context(&context);
    return result == CUDA_SUCCESS ? heap_provide(context) : result;
}

/* Checks a launch; `params.data` of the call is NULL when the parameters are still to be packed. */
static CUresult describe(const struct launch_wish *wish, struct function *function, struct sluice_launch_call *call) {
    CUresult result = function_check(function);
    if (result == CUDA_SUCCESS) result = check_shape(wish, function, function->module->device);
    if (__builtin_expect(result == CUDA_SUCCESS && function->uses_heap, 0)) result = provide_heap();
    if (result != CUDA_SUCCESS) return result;
    struct sluice_bytes packed = {NULL, function->parameter_bytes};
    if (wish->extra != NULL && *wish->extra != EXTRA_END) {
        packed.byte_count = 0;
        if (wish->params != NULL) return CUDA_ERROR_INVALID_VALUE;
        result = read_extra(wish->extra, &packed);
        if (result != CUDA_SUCCESS) return result;
        /* A block may be longer by its padding; what is missing cannot be guessed. */
        if (packed.byte_count < function->parameter_bytes) return CUDA_ERROR_INVALID_VALUE;
        packed.byte_count = function->parameter_bytes;
    } else if (wish->params == NULL && function->parameter_count > 0) {
        return CUDA_ERROR_INVALID_VALUE;
    }
    *call = (struct sluice_launch_call){
        .module = function->module->id, .kernel = function->index, .grid_x = wish->grid[0], .grid_y = wish->grid[1],
        .grid_z = wish->grid[2], .block_x = wish->block[0], .block_y = wish->block[1], .block_z = wish->block[2],
        .shared_bytes = wish->shared_bytes, .params = packed,
    };
    return wish->is_cooperative ? launch_check_together(function, call) : CUDA_SUCCESS;
}

static CUresult function_for_launch(CUfunction handle, struct device *device, struct function **function) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result == CUDA_SUCCESS) result = function_of(handle, context, function);
    return result == CUDA_SUCCESS && (*function)->module->device != device ? CUDA_ERROR_INVALID_HANDLE : result;
}

CUresult launch_describe(const struct launch_wish *wish, struct device *device, struct sluice_launch_call *call, uint8_t *block,
                         struct function **function) {
    CUresult result = function_for_launch(wish->handle, device, function);
    if (result == CUDA_SUCCESS) result = describe(wish, *function, call);
    if (result != CUDA_SUCCESS || call->params.data != NULL) return result;
    pack(*function, wish->params, block);
    call->params.data = block;
    return CUDA_SUCCESS;
}

/* The rare way: arguments may lie in managed memory, which cannot be fetched while the batch is locked. Kept out of the frame of the usual one. */
static __attribute__((noinline)) CUresult launch_packed(const struct launch_wish *wish, const struct function *function,
                                                        struct sluice_launch_call *call, struct stream *stream) {
    uint8_t block[SLUICE_PARAM_BYTES_MAX + 8];
    if (call->params.data == NULL && call->params.byte_count > 0) {
        pack(function, wish->params, block);
        call->params.data = block;
    }
    return replay_launch(call, wish->is_cooperative, stream);
}

static CUresult launch(const struct launch_wish *wish, CUstream stream_handle) {
    struct function *function;
    struct stream *stream;
    struct sluice_launch_call call;
    CUresult result = work_stream_of(stream_handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (__builtin_expect(stream->capture != NULL, 0)) return capture_launch(stream, wish);
    result = function_for_launch(wish->handle, stream->device, &function);
    if (result == CUDA_SUCCESS) result = describe(wish, function, &call);
    if (result != CUDA_SUCCESS) return result;
    call.stream = stream->id;
    bool has_managed = atomic_load_explicit(&managed_in_use, memory_order_relaxed);
    if (__builtin_expect(has_managed || wish->is_cooperative, 0)) return launch_packed(wish, function, &call, stream);
    uint8_t *at = call_begin(&driver.connection, SLUICE_OP_LAUNCH, sluice_size_launch_call(&call));
    if (at == NULL) return connection_result();
    sluice_encode_launch_call(at, &call);
    if (call.params.data == NULL && call.params.byte_count > 0)
        pack(function, wish->params, at + sluice_size_launch_call(&call) - sluice_pad8(call.params.byte_count));
    call_end(&driver.connection, &stream->last);
    return CUDA_SUCCESS;
}

API(cuLaunchKernel,
    (CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, unsigned int block_x, unsigned int block_y,
     unsigned int block_z, unsigned int shared_bytes, CUstream stream, void **params, void **extra),
    (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, params, extra)) {
    struct launch_wish wish = {function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes, params, extra, false};
    return launch(&wish, stream);
}
API_ALIAS(cuLaunchKernel_ptsz, cuLaunchKernel);

API(cuLaunchCooperativeKernel,
    (CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, unsigned int block_x, unsigned int block_y,
     unsigned int block_z, unsigned int shared_bytes, CUstream stream, void **params),
    (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, params)) {
    struct launch_wish wish = {function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes, params, NULL, true};
    return launch(&wish, stream);
}
API_ALIAS(cuLaunchCooperativeKernel_ptsz, cuLaunchCooperativeKernel);

/* Attributes that change what a kernel computes cannot be left out; the others are hints. */
CUresult launch_read_attribute(const CUlaunchAttribute *attribute, bool *is_cooperative) {
    const unsigned *cluster = attribute->value.cluster;
    if (attribute->id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) *is_cooperative = attribute->value.cooperative != 0;
    if (attribute->id != CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION || (uint64_t)cluster[0] * cluster[1] * cluster[2] <= 1) return CUDA_SUCCESS;
    trace("a launch asks for clusters, which are not supported");
    return CUDA_ERROR_NOT_SUPPORTED;
}

API(cuLaunchKernelEx, (const CUlaunchConfig *config, CUfunction function, void **params, void **extra),
    (config, function, params, extra)) {
    if (config == NULL || (config->attribute_count > 0 && config->attributes == NULL)) return CUDA_ERROR_INVALID_VALUE;
    bool is_cooperative = false;
    CUresult result = CUDA_SUCCESS;
    for (unsigned int i = 0; i < config->attribute_count && result == CUDA_SUCCESS; i++)
        result = launch_read_attribute(&config->attributes[i], &is_cooperative);
    if (result != CUDA_SUCCESS) return result;
    struct launch_wish wish = {function, {config->grid_x, config->grid_y, config->grid_z}, {config->block_x, config->block_y, config->block_z},
                               config->shared_bytes, params, extra, is_cooperative};
    return launch(&wish, config->stream);
}
API_ALIAS(cuLaunchKernelEx_ptsz, cuLaunchKernelEx);

/* The numbers of CUfunction_attribute. */
enum {
    FUNCTION_MAX_THREADS = 0,
    FUNCTION_SHARED = 1,
    FUNCTION_CONSTANT = 2,
    FUNCTION_LOCAL = 3,
    FUNCTION_REGISTERS = 4,
    FUNCTION_PTX_VERSION = 5,
    FUNCTION_BINARY_VERSION = 6,
    FUNCTION_CACHE_MODE = 7,
    FUNCTION_MAX_DYNAMIC_SHARED = 8,
    FUNCTION_CARVEOUT = 9,
    FUNCTION_LAST = 15,
};

static CUresult function_for_question(CUfunction handle, struct function **function) {
    struct context *context;
    if (object_is(handle, OBJECT_FUNCTION)) {
        *function = handle;
        return CUDA_SUCCESS;
    }
    CUresult result = current_context(&context);
    return result == CUDA_SUCCESS ? function_of(handle, context, function) : result;
}

static int dynamic_max_of(const struct function *function) {
    const struct device *device = function->module->device;
    if (function->shared_dynamic_max >= 0) return function->shared_dynamic_max;
    unsigned shared_max = limit_of(device, CU_ATTRIBUTE_MAX_SHARED_PER_BLOCK, 48 << 10);
    return shared_max > function->shared_bytes ? (int)(shared_max - function->shared_bytes) : 0;
}

API(cuFuncGetAttribute, (int *value, int attribute, CUfunction handle), (value, attribute, handle)) {
    struct function *function;
    CUresult result = function_for_question(handle, &function);
    if (result == CUDA_SUCCESS) result = function_check(function);
    if (result != CUDA_SUCCESS) return result;
    if (value == NULL) return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
    case FUNCTION_MAX_THREADS: *value = (int)function->threads_max; break;
    case FUNCTION_SHARED: *value = (int)function->shared_bytes; break;
    case FUNCTION_CONSTANT: *value = (int)function->constant_bytes; break;
    case FUNCTION_LOCAL: *value = (int)function->local_bytes; break;
    case FUNCTION_REGISTERS: *value = (int)function->registers; break;
    case FUNCTION_PTX_VERSION: *value = (int)function->ptx_version; break;
    case FUNCTION_BINARY_VERSION: *value = (int)function->binary_version; break;
    case FUNCTION_MAX_DYNAMIC_SHARED: *value = dynamic_max_of(function); break;
    case FUNCTION_CARVEOUT: *value = function->carveout; break;
    default:
        if (attribute != FUNCTION_CACHE_MODE && (attribute <= FUNCTION_CARVEOUT || attribute > FUNCTION_LAST)) return CUDA_ERROR_INVALID_VALUE;
        *value = 0;
    }
    return CUDA_SUCCESS;
}

API(cuFuncSetAttribute, (CUfunction handle, int attribute, int value), (handle, attribute, value)) {
    struct function *function;
    CUresult result = function_for_question(handle, &function);
    if (result == CUDA_SUCCESS) result = function_check(function);
    if (result != CUDA_SUCCESS) return result;
    const struct device *device = function->module->device;
    if (attribute == FUNCTION_CARVEOUT && value >= -1 && value <= 100) {
        function->carveout = value;
        return CUDA_SUCCESS;
    }
    if (attribute != FUNCTION_MAX_DYNAMIC_SHARED || value < 0) return CUDA_ERROR_INVALID_VALUE;
    unsigned optin = limit_of(device, CU_ATTRIBUTE_MAX_SHARED_OPTIN, limit_of(device, CU_ATTRIBUTE_MAX_SHARED_PER_BLOCK, 48 << 10));
    if ((uint64_t)value + function->shared_bytes > optin) return CUDA_ERROR_INVALID_VALUE;
    /* Up to the usual limit the executor needs not be told; beyond, the wire has no word for it yet. */
    unsigned usual = limit_of(device, CU_ATTRIBUTE_MAX_SHARED_PER_BLOCK, 48 << 10);
    if ((uint64_t)value + function->shared_bytes > usual && strcmp(device->kind, "cuda") == 0)
        trace("cuFuncSetAttribute asks for [%d] bytes of dynamic shared memory", value);
    function->shared_dynamic_max = value;
    return CUDA_SUCCESS;
}

API(cuFuncSetCacheConfig, (CUfunction handle, int config), (handle, config)) {
    struct function *function;
    CUresult result = function_for_question(handle, &function);
    if (result == CUDA_SUCCESS) function->cache_config = config;
    return result;
}

API(cuFuncSetSharedMemConfig, (CUfunction handle, int config), (handle, config)) {
    struct function *function;
    (void)config;
    return function_for_question(handle, &function);
}

API(cuFuncGetModule, (CUmodule *module, CUfunction handle), (module, handle)) {
    struct function *function;
    CUresult result = function_for_question(handle, &function);
    if (result != CUDA_SUCCESS) return result;
    if (module == NULL) return CUDA_ERROR_INVALID_VALUE;
    *module = function->module;
    return CUDA_SUCCESS;
}

API(cuFuncGetName, (const char **name, CUfunction handle), (name, handle)) {
    struct function *function;
    CUresult result = function_for_question(handle, &function);
    if (result != CUDA_SUCCESS) return result;
    if (name == NULL) return CUDA_ERROR_INVALID_VALUE;
    *name = function->name;
    return CUDA_SUCCESS;
}

API(cuFuncGetParamInfo, (CUfunction handle, size_t index, size_t *offset, size_t *size), (handle, index, offset, size)) {
    struct function *function;
    CUresult result = function_for_question(handle, &function);
    if (result != CUDA_SUCCESS) return result;
    if (offset == NULL || index >= function->parameter_count) return CUDA_ERROR_INVALID_VALUE;
    *offset = function->parameters[index].offset;
    if (size != NULL) *size = function->parameters[index].byte_count;
    return CUDA_SUCCESS;
}

API(cuFuncIsLoaded, (int *state, CUfunction handle), (state, handle)) {
    struct function *function;
    CUresult result = function_for_question(handle, &function);
    if (result != CUDA_SUCCESS) return result;
    if (state == NULL) return CUDA_ERROR_INVALID_VALUE;
    *state = function->refusal_code == 0;
    return CUDA_SUCCESS;
}

API(cuFuncLoad, (CUfunction handle), (handle)) {
    struct function *function;
    CUresult result = function_for_question(handle, &function);
    return result == CUDA_SUCCESS ? function_check(function) : result;
}
