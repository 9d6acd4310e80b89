/* Contexts: they live here alone, since the executor has one per device. Each thread has a stack of them. */
#include <string.h>

#include "array.h"
#include "managed.h"

#define STACK_DEPTH_MAX 64

static struct object_pool contexts = OBJECT_POOL_INITIAL;
static pthread_mutex_t context_lock = PTHREAD_MUTEX_INITIALIZER;

static __thread struct context *stack[STACK_DEPTH_MAX];
static __thread int depth;

static bool is_live(const struct context *context) {
    return object_is(context, OBJECT_CONTEXT) && (!context->is_primary || context->is_active);
}

CUresult current_context(struct context **context) {
    if (depth == 0 || stack[depth - 1] == NULL) return CUDA_ERROR_INVALID_CONTEXT;
    *context = stack[depth - 1];
    return is_live(*context) ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

static void context_start(struct context *context, struct device *device, unsigned flags) {
    context->device = device;
    context->flags = flags;
    context->version = 13000;
    context->limits[LIMIT_STACK] = STACK_BYTES_DEFAULT;
    context->limits[LIMIT_PRINTF] = 1 << 20;
    context->limits[LIMIT_HEAP] = HEAP_BYTES_DEFAULT;
    context->limits[LIMIT_SYNC_DEPTH] = 2;
    context->limits[LIMIT_LAUNCHES] = 2048;
    context->limits[LIMIT_L2] = 64;
}

/* Ends all that a context owns, behind all its work. */
static void context_drop(struct context *context) {
    device_wait(context->device);
    while (context->modules != NULL) module_unload(context->modules);
    streams_drop(context);
    textures_drop(context);
    mipmapped_arrays_drop(context);
    arrays_drop(context);
    memory_drop(context);
    if (context->limits[LIMIT_STACK] > STACK_BYTES_DEFAULT) stack_limit(context, STACK_BYTES_DEFAULT);
    context->peers = 0;
}

API(cuDevicePrimaryCtxRetain, (CUcontext *context, CUdevice device), (context, device)) {
    struct device *found;
    CUresult result = device_of(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (context == NULL) return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&context_lock);
    struct context *primary = &found->primary;
    if (!primary->is_active) {
        unsigned flags = primary->flags;
        context_start(primary, found, flags);
        primary->is_active = true;
    }
    primary->retained++;
    pthread_mutex_unlock(&context_lock);
    *context = primary;
    return CUDA_SUCCESS;
}

static void end_primary(struct context *primary) {
    context_drop(primary);
    primary->is_active = false;
}

API(cuDevicePrimaryCtxRelease_v2, (CUdevice device), (device)) {
    struct device *found;
    CUresult result = device_of(device, &found);
    if (result != CUDA_SUCCESS) return result;
    pthread_mutex_lock(&context_lock);
    struct context *primary = &found->primary;
    if (primary->retained == 0) result = CUDA_ERROR_INVALID_CONTEXT;
    else if (--primary->retained == 0) end_primary(primary);
    pthread_mutex_unlock(&context_lock);
    return result;
}
API_ALIAS(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2);

/* The context stays usable for those who retain it: it is emptied, not ended. */
API(cuDevicePrimaryCtxReset_v2, (CUdevice device), (device)) {
    struct device *found;
    CUresult result = device_of(device, &found);
    if (result != CUDA_SUCCESS) return result;
    pthread_mutex_lock(&context_lock);
    if (found->primary.is_active) {
        unsigned flags = found->primary.flags;
        context_drop(&found->primary);
        context_start(&found->primary, found, flags);
    }
    pthread_mutex_unlock(&context_lock);
    return CUDA_SUCCESS;
}
API_ALIAS(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2);

API(cuDevicePrimaryCtxSetFlags_v2, (CUdevice device, unsigned int flags), (device, flags)) {
    struct device *found;
    CUresult result = device_of(device, &found);
    if (result == CUDA_SUCCESS) found->primary.flags = flags;
    return result;
}
API_ALIAS(cuDevicePrimaryCtxSetFlags, cuDevicePrimaryCtxSetFlags_v2);

API_KNOWN(cuDevicePrimaryCtxGetState, (CUdevice device, unsigned int *flags, int *active), (device, flags, active)) {
    struct device *found;
    CUresult result = known_device(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (flags != NULL) *flags = found->primary.flags;
    if (active != NULL) *active = found->primary.is_active;
    return CUDA_SUCCESS;
}

static CUresult push(struct context *context) {
    if (depth == STACK_DEPTH_MAX) return CUDA_ERROR_OUT_OF_MEMORY;
    stack[depth++] = context;
    return CUDA_SUCCESS;
}

static CUresult create(CUcontext *context, unsigned flags, CUdevice device) {
    struct device *found;
    CUresult result = device_of(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (context == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct context *made = object_new(&contexts, OBJECT_CONTEXT, sizeof *made);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    context_start(made, found, flags);
    *context = made;
    return push(made);
}

API(cuCtxCreate_v2, (CUcontext *context, unsigned int flags, CUdevice device), (context, flags, device)) {
    return create(context, flags, device);
}
API_ALIAS(cuCtxCreate, cuCtxCreate_v2);

/* Execution affinity asks for a part of the device's processors; the pool has decided on that already. */
API(cuCtxCreate_v3, (CUcontext *context, const void *affinity, int count, unsigned int flags, CUdevice device),
    (context, affinity, count, flags, device)) {
    return affinity != NULL || count != 0 ? CUDA_ERROR_NOT_SUPPORTED : create(context, flags, device);
}

API(cuCtxCreate_v4, (CUcontext *context, const void *params, unsigned int flags, CUdevice device), (context, params, flags, device)) {
    struct {
        void *affinity;
        int count;
        void *graphics;
    } asked = {0};
    if (params != NULL) memcpy(&asked, params, sizeof asked);
    return asked.count != 0 || asked.graphics != NULL ? CUDA_ERROR_NOT_SUPPORTED : create(context, flags, device);
}

API(cuCtxDestroy_v2, (CUcontext context), (context)) {
    if (!object_is(context, OBJECT_CONTEXT) || context->is_primary) return CUDA_ERROR_INVALID_CONTEXT;
    context_drop(context);
    if (depth > 0 && stack[depth - 1] == context) depth--;
    object_destroy(&contexts, &context->object);
    return CUDA_SUCCESS;
}
API_ALIAS(cuCtxDestroy, cuCtxDestroy_v2);

API(cuCtxAttach, (CUcontext *context, unsigned int flags), (context, flags)) {
    struct context *current;
    CUresult result = current_context(&current);
    if (result != CUDA_SUCCESS) return result;
    if (context == NULL || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (current->is_primary) return CUDA_ERROR_INVALID_CONTEXT;
    current->attached++;
    *context = current;
    return CUDA_SUCCESS;
}

/* The context must be the thread's own. */
API(cuCtxDetach, (CUcontext context), (context)) {
    struct context *current;
    CUresult result = current_context(&current);
    if (result != CUDA_SUCCESS) return result;
    if (context != current || context->is_primary) return CUDA_ERROR_INVALID_CONTEXT;
    if (context->attached == 0) return cuCtxDestroy_v2(context);
    context->attached--;
    return CUDA_SUCCESS;
}

API(cuCtxPushCurrent_v2, (CUcontext context), (context)) {
    return is_live(context) ? push(context) : CUDA_ERROR_INVALID_CONTEXT;
}
API_ALIAS(cuCtxPushCurrent, cuCtxPushCurrent_v2);

API(cuCtxPopCurrent_v2, (CUcontext *context), (context)) {
    if (depth == 0) return CUDA_ERROR_INVALID_CONTEXT;
    depth--;
    if (context != NULL) *context = stack[depth];
    return CUDA_SUCCESS;
}
API_ALIAS(cuCtxPopCurrent, cuCtxPopCurrent_v2);

API(cuCtxSetCurrent, (CUcontext context), (context)) {
    if (context != NULL && !is_live(context)) return CUDA_ERROR_INVALID_CONTEXT;
    if (depth == 0) return context == NULL ? CUDA_SUCCESS : push(context);
    if (context == NULL) depth--;
    else stack[depth - 1] = context;
    return CUDA_SUCCESS;
}

API_KNOWN(cuCtxGetCurrent, (CUcontext *context), (context)) {
    if (context == NULL) return CUDA_ERROR_INVALID_VALUE;
    *context = depth == 0 ? NULL : stack[depth - 1];
    return CUDA_SUCCESS;
}

API(cuCtxGetDevice, (CUdevice *device), (device)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (device == NULL) return CUDA_ERROR_INVALID_VALUE;
    *device = (CUdevice)context->device->index;
    return CUDA_SUCCESS;
}

/* The later forms name a context, NULL being the current one. */
static CUresult named_context(CUcontext handle, struct context **context) {
    if (handle == NULL) return current_context(context);
    *context = handle;
    return is_live(handle) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

API(cuCtxGetDevice_v2, (CUdevice *device, CUcontext context), (device, context)) {
    CUresult result = named_context(context, &context);
    if (result != CUDA_SUCCESS) return result;
    if (device == NULL) return CUDA_ERROR_INVALID_VALUE;
    *device = (CUdevice)context->device->index;
    return CUDA_SUCCESS;
}

static CUresult wait_and_return(struct device *device) {
    CUresult result = device_wait(device);
    return result == CUDA_SUCCESS ? managed_return(device) : result;
}

API(cuCtxSynchronize, (void), ()) {
    struct context *context;
    CUresult result = current_context(&context);
    return result == CUDA_SUCCESS ? wait_and_return(context->device) : result;
}

API(cuCtxSynchronize_v2, (CUcontext context), (context)) {
    CUresult result = named_context(context, &context);
    return result == CUDA_SUCCESS ? wait_and_return(context->device) : result;
}

API(cuCtxGetFlags, (unsigned int *flags), (flags)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (flags == NULL) return CUDA_ERROR_INVALID_VALUE;
    *flags = context->flags;
    return CUDA_SUCCESS;
}

API(cuCtxSetFlags, (unsigned int flags), (flags)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result == CUDA_SUCCESS) context->flags = flags;
    return result;
}

API(cuCtxGetId, (CUcontext context, unsigned long long *id), (context, id)) {
    CUresult result = named_context(context, &context);
    if (result != CUDA_SUCCESS) return result;
    if (id == NULL) return CUDA_ERROR_INVALID_VALUE;
    *id = (unsigned long long)(uintptr_t)context;
    return CUDA_SUCCESS;
}

API(cuCtxGetApiVersion, (CUcontext context, unsigned int *version), (context, version)) {
    CUresult result = named_context(context, &context);
    if (result != CUDA_SUCCESS) return result;
    if (version == NULL) return CUDA_ERROR_INVALID_VALUE;
    *version = context->version;
    return CUDA_SUCCESS;
}

API(cuCtxGetLimit, (size_t *value, int limit), (value, limit)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (value == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (limit < 0 || limit > LIMIT_L2_PERSISTING) return CUDA_ERROR_UNSUPPORTED_LIMIT;
    uint64_t heap_bytes = atomic_load(&context->device->heap_bytes);
    *value = limit == LIMIT_HEAP && heap_bytes != 0 ? heap_bytes : context->limits[limit];
    return CUDA_SUCCESS;
}

/* The other limits are wishes, which the executor's own context does not need: they are kept so that they read back. */
API(cuCtxSetLimit, (int limit, size_t value), (limit, value)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (limit < 0 || limit > LIMIT_L2_PERSISTING) return CUDA_ERROR_UNSUPPORTED_LIMIT;
    if (limit == LIMIT_HEAP) return heap_limit(context, value);
    if (limit == LIMIT_STACK) return stack_limit(context, value);
    context->limits[limit] = value;
    return CUDA_SUCCESS;
}

API(cuCtxGetCacheConfig, (int *config), (config)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (config == NULL) return CUDA_ERROR_INVALID_VALUE;
    *config = context->cache_config;
    return CUDA_SUCCESS;
}

API(cuCtxSetCacheConfig, (int config), (config)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result == CUDA_SUCCESS) context->cache_config = config;
    return result;
}

API(cuCtxGetSharedMemConfig, (int *config), (config)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (config == NULL) return CUDA_ERROR_INVALID_VALUE;
    *config = context->shared_config;
    return CUDA_SUCCESS;
}

API(cuCtxSetSharedMemConfig, (int config), (config)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result == CUDA_SUCCESS) context->shared_config = config;
    return result;
}

API(cuCtxGetStreamPriorityRange, (int *least, int *greatest), (least, greatest)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    bool has_priorities = context->device->attributes[CU_ATTRIBUTE_STREAM_PRIORITIES] != 0;
    if (least != NULL) *least = 0;
    if (greatest != NULL) *greatest = has_priorities ? -5 : 0;
    return CUDA_SUCCESS;
}

API(cuCtxResetPersistingL2Cache, (void), ()) {
    struct context *context;
    return current_context(&context);
}

API(cuCtxEnablePeerAccess, (CUcontext peer, unsigned int flags), (peer, flags)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    return is_live(peer) ? CUDA_ERROR_PEER_ACCESS_UNSUPPORTED : CUDA_ERROR_INVALID_CONTEXT;
}

API(cuCtxDisablePeerAccess, (CUcontext peer), (peer)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    return is_live(peer) ? CUDA_ERROR_PEER_ACCESS_NOT_ENABLED : CUDA_ERROR_INVALID_CONTEXT;
}

/* A profiler has nothing to switch on here. */
API(cuProfilerStart, (void), ()) {
    return CUDA_SUCCESS;
}
API_ALIAS(cuProfilerStop, cuProfilerStart);
