/*
 * Device memory: allocation in the arena of the current context's device, and what an address belongs to. Freeing never costs a trip:
 * freed memory is given out again at once when no other stream can still work on it, and else rests in quarantine until the work before it
 * is known to be done, or memory runs out.
 */
#include <stdlib.h>
#include <string.h>

#include "managed.h"

struct quarantined {
    uint64_t address;
    uint64_t byte_count;
    uint64_t sequence;
    struct quarantined *next;
};

DEFINE_SEND(allocate, ALLOCATE)
DEFINE_SEND(free, FREE)

static struct device *arena_device(uint64_t address) {
    for (uint32_t index = 0; index < driver.device_count; index++)
        if (arena_holds(&driver.devices[index]->arena, address)) return driver.devices[index];
    return NULL;
}

/*
 * Gives out again what is known to be done; all of it when `everything` is, since the caller has waited for the device. The oldest come
 * first, so it stops at the first that is not.
 */
static void release_quarantine(struct device *device, bool everything) {
    uint64_t done = atomic_load(&device->done);
    pthread_mutex_lock(&device->quarantine_lock);
    for (struct quarantined *oldest; (oldest = device->quarantine_oldest) != NULL && (everything || oldest->sequence <= done);) {
        device->quarantine_oldest = oldest->next;
        device->quarantined_bytes -= oldest->byte_count;
        arena_free(&device->arena, oldest->address);
        free(oldest);
    }
    pthread_mutex_unlock(&device->quarantine_lock);
}

bool memory_reserve_end(struct device *device, uint64_t bytes) {
    /* The server has just waited for the device. */
    release_quarantine(device, true);
    return arena_reserve_end(&device->arena, bytes);
}

/*
 * Held by whoever allocates or frees until the server is told, and alone by who has the server take the end of the slice until that is noted here: else a
 * thread would be given what the server has given away, which ends the session.
 */
static pthread_rwlock_t end_lock = PTHREAD_RWLOCK_INITIALIZER;

void memory_hold_end(const struct device *device) {
    if (strcmp(device->kind, "cuda") == 0) pthread_rwlock_wrlock(&end_lock);
}

void memory_leave_end(const struct device *device) {
    if (strcmp(device->kind, "cuda") == 0) pthread_rwlock_unlock(&end_lock);
}

/* Finds room and tells the server. Returns the address, or 0 where there is none. */
static uint64_t take(struct context *context, uint64_t bytes, uint64_t alignment, CUresult *result) {
    pthread_rwlock_rdlock(&end_lock);
    struct sluice_allocate_call call = {.address = arena_allocate(&context->device->arena, bytes, alignment, context), .byte_count = bytes};
    *result = call.address == 0 ? CUDA_ERROR_OUT_OF_MEMORY : send_allocate(&call, NULL);
    pthread_rwlock_unlock(&end_lock);
    return call.address;
}

CUresult memory_allocate(struct context *context, uint64_t bytes, uint64_t alignment, CUdeviceptr *address) {
    struct device *device = context->device;
    if (device->quarantined_bytes > 0) release_quarantine(device, false);
    CUresult result;
    uint64_t found = take(context, bytes, alignment, &result);
    if (found == 0 && device->quarantined_bytes > 0 && device_wait(device) == CUDA_SUCCESS) {
        release_quarantine(device, true);
        found = take(context, bytes, alignment, &result);
    }
    if (result == CUDA_SUCCESS) *address = found;
    return result;
}

static CUresult allocate(struct context *context, uint64_t bytes, CUdeviceptr *address) {
    return memory_allocate(context, bytes, 0, address);
}

CUresult memory_free(struct device *device, uint64_t address) {
    struct sluice_free_call call = {.address = address};
    pthread_rwlock_rdlock(&end_lock);
    CUresult result = send_free(&call, NULL);
    arena_free(&device->arena, address);
    pthread_rwlock_unlock(&end_lock);
    return result;
}

/* Frees a range that other streams may still work on: it is nobody's from now on, and given out again later. */
static CUresult quarantine(struct device *device, const struct range *range) {
    struct quarantined *rest = malloc(sizeof *rest);
    if (rest == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    if (!arena_retire(&device->arena, range->address)) {
        free(rest);
        return CUDA_ERROR_INVALID_VALUE; /* Another thread has just freed it. */
    }
    /* The server may hear of it now: it counts ranges, it does not unmap them. */
    struct sluice_free_call call = {.address = range->address};
    pthread_rwlock_rdlock(&end_lock);
    CUresult result = send_free(&call, NULL);
    pthread_mutex_lock(&device->quarantine_lock);
    *rest = (struct quarantined){.address = range->address, .byte_count = range->byte_count, .sequence = sequence_now()};
    if (device->quarantine_oldest == NULL) device->quarantine_oldest = rest;
    else device->quarantine_newest->next = rest;
    device->quarantine_newest = rest;
    device->quarantined_bytes += range->byte_count;
    pthread_mutex_unlock(&device->quarantine_lock);
    pthread_rwlock_unlock(&end_lock);
    return result;
}

static bool find_allocation(uint64_t address, struct range *range, struct device **device) {
    *device = arena_device(address);
    return *device != NULL && arena_find(&(*device)->arena, address, range);
}

/* Managed memory takes whole pages; the program has asked for less. */
static uint64_t asked_bytes_of(const struct range *range) {
    uint64_t bytes = range->asked_bytes;
    managed_find(range->address, NULL, &bytes);
    return bytes;
}

void memory_free_later(struct device *device, uint64_t address) {
    struct range range;
    if (!arena_find(&device->arena, address, &range)) return;
    if (atomic_load(&device->has_streams)) quarantine(device, &range);
    else memory_free(device, address);
}

static bool is_of_graphs(const struct device *device, const struct range *range) {
    return range->owner == &device->graphs || range->owner == &device->graphs_live;
}

bool is_graph_memory(uint64_t address) {
    struct range range;
    struct device *device;
    return find_allocation(address, &range, &device) && is_of_graphs(device, &range);
}

void graph_memory_set_live(uint64_t address, bool is_live) {
    struct device *device = arena_device(address);
    if (device != NULL && is_graph_memory(address)) arena_give(&device->arena, address, is_live ? &device->graphs_live : &device->graphs);
}

void graph_memory_drop(struct device *device, uint64_t address) {
    struct range range;
    if (!arena_find(&device->arena, address, &range)) return;
    if (range.owner == &device->graphs_live) arena_give(&device->arena, address, &device->primary);
    else memory_free_later(device, address);
}

API(cuMemAlloc_v2, (CUdeviceptr *address, size_t bytes), (address, bytes)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (address == NULL || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    return allocate(context, bytes, address);
}

API(cuMemAllocPitch_v2, (CUdeviceptr *address, size_t *pitch, size_t width_bytes, size_t height, unsigned int element_bytes),
    (address, pitch, width_bytes, height, element_bytes)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (address == NULL || pitch == NULL || width_bytes == 0 || height == 0) return CUDA_ERROR_INVALID_VALUE;
    if (element_bytes != 4 && element_bytes != 8 && element_bytes != 16) return CUDA_ERROR_INVALID_VALUE;
    size_t padded = (width_bytes + 511) & ~(size_t)511;
    if (padded < width_bytes || height > SIZE_MAX / padded) return CUDA_ERROR_OUT_OF_MEMORY;
    result = allocate(context, padded * height, address);
    if (result == CUDA_SUCCESS) *pitch = padded;
    return result;
}

API(cuMemFree_v2, (CUdeviceptr address), (address)) {
    struct range range;
    struct device *device;
    if (address == 0) return CUDA_SUCCESS;
    if (!find_allocation(address, &range, &device) || range.address != address) return CUDA_ERROR_INVALID_VALUE;
    if (is_of_graphs(device, &range)) {
        graph_memory_set_live(address, false); /* It stays the graph's. */
        return CUDA_SUCCESS;
    }
    managed_forget(address);
    return atomic_load(&device->has_streams) ? quarantine(device, &range) : memory_free(device, address);
}

API(cuMemAllocAsync, (CUdeviceptr *address, size_t bytes, CUstream handle), (address, bytes, handle)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (address == NULL || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    return stream->capture != NULL ? capture_allocate(stream, bytes, address) : allocate(stream->context, bytes, address);
}
API_ALIAS(cuMemAllocAsync_ptsz, cuMemAllocAsync);

API(cuMemAllocFromPoolAsync, (CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream handle), (address, bytes, pool, handle)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (address == NULL || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (!object_is(pool, OBJECT_POOL)) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture != NULL) return capture_allocate(stream, bytes, address);
    return allocate(&pool->device->primary, bytes, address);
}
API_ALIAS(cuMemAllocFromPoolAsync_ptsz, cuMemAllocFromPoolAsync);

API(cuMemFreeAsync, (CUdeviceptr address, CUstream handle), (address, handle)) {
    struct stream *stream;
    struct range range;
    struct device *device;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (stream->capture != NULL) return capture_free(stream, address);
    if (!find_allocation(address, &range, &device) || range.address != address) return CUDA_ERROR_INVALID_VALUE;
    if (is_of_graphs(device, &range)) {
        graph_memory_set_live(address, false); /* It stays the graph's. */
        return CUDA_SUCCESS;
    }
    managed_forget(address);
    return atomic_load(&device->has_streams) ? quarantine(device, &range) : memory_free(device, address);
}
API_ALIAS(cuMemFreeAsync_ptsz, cuMemFreeAsync);

API(cuMemGetInfo_v2, (size_t *free_bytes, size_t *total_bytes), (free_bytes, total_bytes)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    struct device *device = context->device;
    pthread_mutex_lock(&device->arena.lock);
    size_t unused = device->arena.byte_count - device->arena.used_bytes + device->quarantined_bytes;
    pthread_mutex_unlock(&device->arena.lock);
    if (free_bytes != NULL) *free_bytes = unused;
    if (total_bytes != NULL) *total_bytes = device->arena.byte_count;
    return CUDA_SUCCESS;
}

API(cuMemGetAddressRange_v2, (CUdeviceptr *base, size_t *bytes, CUdeviceptr address), (base, bytes, address)) {
    struct range range;
    struct global global;
    struct device *device;
    if (find_allocation(address, &range, &device)) {
        if (base != NULL) *base = range.address;
        if (bytes != NULL) *bytes = asked_bytes_of(&range);
        return CUDA_SUCCESS;
    }
    if (!globals_find(address, &global, &device)) return CUDA_ERROR_NOT_FOUND;
    if (base != NULL) *base = global.address;
    if (bytes != NULL) *bytes = global.byte_count;
    return CUDA_SUCCESS;
}

CUresult range_check(uint64_t address, uint64_t byte_count, struct device **device) {
    struct range range;
    struct global global;
    if (find_allocation(address, &range, device))
        return byte_count <= range.asked_bytes - (address - range.address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    if (globals_find(address, &global, device))
        return byte_count <= global.byte_count - (address - global.address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    return CUDA_ERROR_INVALID_VALUE;
}

bool is_device_address(uint64_t address) {
    struct global global;
    struct device *device;
    return arena_device(address) != NULL || globals_find(address, &global, &device);
}

/* The caller has waited for the device. */
void memory_drop(struct context *context) {
    struct range range;
    release_quarantine(context->device, true);
    while (arena_next_owned(&context->device->arena, context, 0, &range)) {
        managed_forget(range.address);
        memory_free(context->device, range.address);
    }
}

/* What is asked about a pointer; the numbers are CUpointer_attribute's. */
enum {
    POINTER_CONTEXT = 1,
    POINTER_MEMORY_TYPE = 2,
    POINTER_DEVICE_POINTER = 3,
    POINTER_HOST_POINTER = 4,
    POINTER_SYNC_MEMOPS = 6,
    POINTER_BUFFER_ID = 7,
    POINTER_IS_MANAGED = 8,
    POINTER_DEVICE_ORDINAL = 9,
    POINTER_IPC_CAPABLE = 10,
    POINTER_RANGE_START = 11,
    POINTER_RANGE_SIZE = 12,
    POINTER_MAPPED = 13,
    POINTER_HANDLE_TYPES = 14,
    POINTER_ACCESS_FLAGS = 16,
    POINTER_POOL = 17,
};

struct pointer_facts {
    int type; /* 0 when nothing is known of it. */
    uint64_t start, byte_count;
    struct device *device;
    struct context *context;
};

static struct pointer_facts facts_of(uint64_t pointer) {
    struct range range;
    struct global global;
    struct device *device;
    void *base;
    size_t bytes;
    unsigned flags;
    if (host_memory_find((void *)(uintptr_t)pointer, &base, &bytes, &flags))
        return (struct pointer_facts){CU_MEMORY_HOST, (uintptr_t)base, bytes, driver.devices[0], &driver.devices[0]->primary};
    if (find_allocation(pointer, &range, &device))
        return (struct pointer_facts){CU_MEMORY_DEVICE, range.address, asked_bytes_of(&range), device,
                                      is_of_graphs(device, &range) ? &device->primary : range.owner};
    if (globals_find(pointer, &global, &device))
        return (struct pointer_facts){CU_MEMORY_DEVICE, global.address, global.byte_count, device, &device->primary};
    return (struct pointer_facts){0};
}

static CUresult answer_pointer(const struct pointer_facts *facts, uint64_t pointer, int attribute, void *data) {
    bool is_device = facts->type == CU_MEMORY_DEVICE, is_shared = managed_find(pointer, NULL, NULL), is_managed = is_device && is_shared;
    switch (attribute) {
    case POINTER_CONTEXT: *(void **)data = facts->context; return CUDA_SUCCESS;
    case POINTER_MEMORY_TYPE: *(unsigned *)data = (unsigned)facts->type; return CUDA_SUCCESS;
    case POINTER_DEVICE_POINTER: *(CUdeviceptr *)data = is_device || is_shared ? pointer : 0;
        return is_device || is_shared ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case POINTER_HOST_POINTER: *(void **)data = is_device && !is_managed ? NULL : (void *)(uintptr_t)pointer;
        return is_device && !is_managed ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    case POINTER_SYNC_MEMOPS: *(unsigned *)data = 1; return CUDA_SUCCESS;
    case POINTER_BUFFER_ID: *(unsigned long long *)data = facts->start; return CUDA_SUCCESS;
    case POINTER_IS_MANAGED: *(unsigned *)data = is_managed; return CUDA_SUCCESS;
    case POINTER_IPC_CAPABLE: *(unsigned *)data = 0; return CUDA_SUCCESS;
    case POINTER_DEVICE_ORDINAL: *(int *)data = (int)facts->device->index; return CUDA_SUCCESS;
    case POINTER_RANGE_START: *(CUdeviceptr *)data = facts->start; return CUDA_SUCCESS;
    case POINTER_RANGE_SIZE: *(size_t *)data = facts->byte_count; return CUDA_SUCCESS;
    case POINTER_MAPPED: *(unsigned *)data = is_device; return CUDA_SUCCESS;
    case POINTER_HANDLE_TYPES: *(unsigned long long *)data = 0; return CUDA_SUCCESS;
    case POINTER_ACCESS_FLAGS: *(unsigned *)data = 3; return CUDA_SUCCESS;
    case POINTER_POOL: *(void **)data = NULL; return CUDA_SUCCESS;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
}

API(cuPointerGetAttribute, (void *data, int attribute, CUdeviceptr pointer), (data, attribute, pointer)) {
    if (data == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct pointer_facts facts = facts_of(pointer);
    return facts.type == 0 ? CUDA_ERROR_INVALID_VALUE : answer_pointer(&facts, pointer, attribute, data);
}

/* For a pointer of which nothing is known this form succeeds and says so with zeros. */
API(cuPointerGetAttributes, (unsigned int count, int *attributes, void **data, CUdeviceptr pointer), (count, attributes, data, pointer)) {
    if (count == 0 || attributes == NULL || data == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct pointer_facts facts = facts_of(pointer);
    for (unsigned int i = 0; i < count; i++) {
        if (facts.type != 0) {
            CUresult result = answer_pointer(&facts, pointer, attributes[i], data[i]);
            bool is_unknown = attributes[i] < 1 || attributes[i] > POINTER_POOL;
            if (result != CUDA_SUCCESS && is_unknown) return result;
        } else if (attributes[i] == POINTER_DEVICE_ORDINAL) {
            *(int *)data[i] = -2; /* CU_DEVICE_INVALID */
        } else if (attributes[i] == POINTER_MEMORY_TYPE || attributes[i] == POINTER_IS_MANAGED) {
            *(unsigned *)data[i] = 0;
        } else if (attributes[i] == POINTER_CONTEXT || attributes[i] == POINTER_DEVICE_POINTER || attributes[i] == POINTER_HOST_POINTER) {
            *(void **)data[i] = NULL;
        }
    }
    return CUDA_SUCCESS;
}

API(cuPointerSetAttribute, (const void *value, int attribute, CUdeviceptr pointer), (value, attribute, pointer)) {
    if (value == NULL || attribute != POINTER_SYNC_MEMOPS || facts_of(pointer).type == 0) return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}
