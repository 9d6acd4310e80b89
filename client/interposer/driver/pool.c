/* Memory pools: names for the one arena of a device. What they are told is kept, so that it reads back; memory stays in the arena. */
#include <string.h>

#include "driver.h"

enum {
    POOL_REUSE_FIRST = 1,
    POOL_REUSE_LAST = 3,
    POOL_RELEASE_THRESHOLD = 4,
    POOL_RESERVED_CURRENT = 5,
    POOL_RESERVED_HIGH = 6,
    POOL_USED_CURRENT = 7,
    POOL_USED_HIGH = 8,
};

static struct object_pool pools = OBJECT_POOL_INITIAL;

/* The beginning of CUmemPoolProps. */
struct pool_wish {
    int allocation_type;
    int handle_types;
    int location_type;
    int location_id;
};

API(cuDeviceGetDefaultMemPool, (CUmemoryPool *pool, CUdevice device), (pool, device)) {
    struct device *found;
    CUresult result = device_of(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (pool == NULL) return CUDA_ERROR_INVALID_VALUE;
    *pool = &found->pool;
    return CUDA_SUCCESS;
}

API(cuDeviceGetMemPool, (CUmemoryPool *pool, CUdevice device), (pool, device)) {
    struct device *found;
    CUresult result = device_of(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (pool == NULL) return CUDA_ERROR_INVALID_VALUE;
    *pool = found->current_pool;
    return CUDA_SUCCESS;
}

API(cuDeviceSetMemPool, (CUdevice device, CUmemoryPool pool), (device, pool)) {
    struct device *found;
    CUresult result = device_of(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (!object_is(pool, OBJECT_POOL) || pool->device != found) return CUDA_ERROR_INVALID_VALUE;
    found->current_pool = pool;
    return CUDA_SUCCESS;
}

/* The later forms name a place; there are only those of devices. */
static CUresult device_at(const CUmemLocation *place, int type, CUdevice *device) {
    if (place == NULL || type != 1) return CUDA_ERROR_INVALID_VALUE;
    *device = place->id;
    return place->type == CU_MEM_LOCATION_DEVICE ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

API(cuMemGetDefaultMemPool, (CUmemoryPool *pool, CUmemLocation *place, int type), (pool, place, type)) {
    CUdevice device;
    CUresult result = device_at(place, type, &device);
    return result == CUDA_SUCCESS ? cuDeviceGetDefaultMemPool(pool, device) : result;
}

API(cuMemGetMemPool, (CUmemoryPool *pool, CUmemLocation *place, int type), (pool, place, type)) {
    CUdevice device;
    CUresult result = device_at(place, type, &device);
    return result == CUDA_SUCCESS ? cuDeviceGetMemPool(pool, device) : result;
}

API(cuMemSetMemPool, (CUmemLocation *place, int type, CUmemoryPool pool), (place, type, pool)) {
    CUdevice device;
    CUresult result = device_at(place, type, &device);
    return result == CUDA_SUCCESS ? cuDeviceSetMemPool(device, pool) : result;
}

API(cuMemPoolCreate, (CUmemoryPool *pool, const struct pool_wish *wish), (pool, wish)) {
    struct device *device;
    if (pool == NULL || wish == NULL || wish->allocation_type != 1 || wish->location_type != 1) return CUDA_ERROR_INVALID_VALUE;
    if (wish->handle_types != 0) return CUDA_ERROR_NOT_SUPPORTED;
    CUresult result = device_of(wish->location_id, &device);
    if (result != CUDA_SUCCESS) return result;
    struct memory_pool *made = object_new(&pools, OBJECT_POOL, sizeof *made);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    made->device = device;
    made->reuse[0] = made->reuse[1] = made->reuse[2] = 1;
    *pool = made;
    return CUDA_SUCCESS;
}

API(cuMemPoolDestroy, (CUmemoryPool pool), (pool)) {
    if (!object_is(pool, OBJECT_POOL)) return CUDA_ERROR_INVALID_VALUE;
    if (pool == &pool->device->pool) return CUDA_ERROR_INVALID_VALUE;
    if (pool->device->current_pool == pool) pool->device->current_pool = &pool->device->pool;
    object_destroy(&pools, &pool->object);
    return CUDA_SUCCESS;
}

API(cuMemPoolTrimTo, (CUmemoryPool pool, size_t bytes), (pool, bytes)) {
    (void)bytes;
    return object_is(pool, OBJECT_POOL) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API(cuMemPoolGetAttribute, (CUmemoryPool pool, int attribute, void *value), (pool, attribute, value)) {
    if (!object_is(pool, OBJECT_POOL) || value == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct arena *arena = &pool->device->arena;
    if (attribute >= POOL_REUSE_FIRST && attribute <= POOL_REUSE_LAST) *(int *)value = pool->reuse[attribute - POOL_REUSE_FIRST];
    else if (attribute == POOL_RELEASE_THRESHOLD) *(uint64_t *)value = pool->release_threshold;
    else if (attribute == POOL_RESERVED_CURRENT || attribute == POOL_USED_CURRENT) *(uint64_t *)value = arena->used_bytes;
    else if (attribute == POOL_RESERVED_HIGH || attribute == POOL_USED_HIGH) *(uint64_t *)value = arena->peak_bytes;
    else return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

API(cuMemPoolSetAttribute, (CUmemoryPool pool, int attribute, void *value), (pool, attribute, value)) {
    if (!object_is(pool, OBJECT_POOL) || value == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct arena *arena = &pool->device->arena;
    if (attribute >= POOL_REUSE_FIRST && attribute <= POOL_REUSE_LAST) pool->reuse[attribute - POOL_REUSE_FIRST] = *(int *)value;
    else if (attribute == POOL_RELEASE_THRESHOLD) pool->release_threshold = *(uint64_t *)value;
    else if ((attribute == POOL_RESERVED_HIGH || attribute == POOL_USED_HIGH) && *(uint64_t *)value == 0) arena->peak_bytes = arena->used_bytes;
    else return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

API(cuMemPoolGetAccess, (int *flags, CUmemoryPool pool, const int *location), (flags, pool, location)) {
    if (!object_is(pool, OBJECT_POOL) || flags == NULL || location == NULL) return CUDA_ERROR_INVALID_VALUE;
    *flags = location[0] == 1 && location[1] == (int)pool->device->index ? 3 : 0;
    return CUDA_SUCCESS;
}

/* What graphs allocate stays theirs, so that there is nothing to trim; used and reserved are the same. */
API(cuDeviceGraphMemTrim, (CUdevice device), (device)) {
    struct device *found;
    return device_of(device, &found);
}

static uint64_t graph_bytes(struct device *device) {
    uint64_t bytes = 0;
    struct range range;
    const struct context *const owners[] = {&device->graphs, &device->graphs_live};
    for (int i = 0; i < 2; i++)
        for (uint64_t at = 0; arena_next_owned(&device->arena, owners[i], at, &range); at = range.address + 1) bytes += range.byte_count;
    return bytes;
}

enum { GRAPH_MEMORY_LAST = 3 };

API(cuDeviceGetGraphMemAttribute, (CUdevice device, int attribute, void *value), (device, attribute, value)) {
    struct device *found;
    CUresult result = device_of(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (value == NULL || attribute < 0 || attribute > GRAPH_MEMORY_LAST) return CUDA_ERROR_INVALID_VALUE;
    uint64_t now = graph_bytes(found);
    if (now > found->graph_bytes_max) found->graph_bytes_max = now;
    *(uint64_t *)value = attribute % 2 == 0 ? now : found->graph_bytes_max;
    return CUDA_SUCCESS;
}

API(cuDeviceSetGraphMemAttribute, (CUdevice device, int attribute, void *value), (device, attribute, value)) {
    struct device *found;
    CUresult result = device_of(device, &found);
    if (result != CUDA_SUCCESS) return result;
    /* Only the two highest marks can be set, to 0. */
    if (value == NULL || (attribute != 1 && attribute != 3) || *(uint64_t *)value != 0) return CUDA_ERROR_INVALID_VALUE;
    found->graph_bytes_max = graph_bytes(found);
    return CUDA_SUCCESS;
}

/* Access from another device, which pools may grant, is not there. */
API(cuMemPoolSetAccess, (CUmemoryPool pool, const int *grants, size_t count), (pool, grants, count)) {
    if (!object_is(pool, OBJECT_POOL) || (grants == NULL && count > 0)) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count; i++) {
        const int *grant = grants + 3 * i; /* Kind and index of a place, and the rights. */
        bool is_own = grant[0] == 1 && grant[1] == (int)pool->device->index;
        if (is_own ? grant[2] == 0 : grant[2] != 0) return CUDA_ERROR_NOT_SUPPORTED;
    }
    return CUDA_SUCCESS;
}
