/*
 * Page-locked host memory: ordinary memory that is remembered, so that questions about its pointers have their answers. Memory that the
 * program wants mapped for the device is managed memory by another name: it takes room of the slice, and its address is the same on both sides.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "managed.h"

struct block {
    uintptr_t start;
    size_t byte_count;
    unsigned flags;
    bool is_ours;
};

enum { HOST_MAPPED = 2 };

/* In order of address. */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct block *blocks;
static size_t block_count, block_capacity;

/* Index of the last block that starts at or below the address, plus one; 0 when none does. */
static size_t index_above(uintptr_t address) {
    size_t low = 0, high = block_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (blocks[middle].start <= address) low = middle + 1;
        else high = middle;
    }
    return low;
}

static CUresult remember(struct block block) {
    CUresult result = CUDA_SUCCESS;
    pthread_rwlock_wrlock(&lock);
    if (block_count == block_capacity) {
        size_t capacity = block_capacity == 0 ? 64 : block_capacity * 2;
        struct block *larger = realloc(blocks, capacity * sizeof *larger);
        if (larger == NULL) result = CUDA_ERROR_OUT_OF_MEMORY;
        else blocks = larger, block_capacity = capacity;
    }
    size_t at = index_above(block.start);
    bool overlaps = (at > 0 && block.start - blocks[at - 1].start < blocks[at - 1].byte_count) ||
                    (at < block_count && blocks[at].start - block.start < block.byte_count);
    if (result == CUDA_SUCCESS && overlaps) result = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    if (result == CUDA_SUCCESS) {
        memmove(blocks + at + 1, blocks + at, (block_count - at) * sizeof *blocks);
        blocks[at] = block;
        block_count++;
    }
    pthread_rwlock_unlock(&lock);
    return result;
}

static bool forget(void *pointer, bool is_ours) {
    pthread_rwlock_wrlock(&lock);
    size_t at = index_above((uintptr_t)pointer);
    bool is_found = at > 0 && blocks[at - 1].start == (uintptr_t)pointer && blocks[at - 1].is_ours == is_ours;
    if (is_found) {
        memmove(blocks + at - 1, blocks + at, (block_count - at) * sizeof *blocks);
        block_count--;
    }
    pthread_rwlock_unlock(&lock);
    return is_found;
}

bool host_memory_find(const void *pointer, void **base, size_t *byte_count, unsigned *flags) {
    pthread_rwlock_rdlock(&lock);
    size_t at = index_above((uintptr_t)pointer);
    bool is_found = at > 0 && (uintptr_t)pointer - blocks[at - 1].start < blocks[at - 1].byte_count;
    if (is_found) {
        *base = (void *)blocks[at - 1].start;
        *byte_count = blocks[at - 1].byte_count;
        *flags = blocks[at - 1].flags;
    }
    pthread_rwlock_unlock(&lock);
    return is_found;
}

const char *host_memory_about(unsigned long long address) {
    void *base;
    size_t byte_count;
    unsigned flags;
    void *page = (void *)(uintptr_t)(address & ~4095ULL);
    unsigned char is_there;
    if (is_device_address(address)) return NULL;
    if (host_memory_find((const void *)(uintptr_t)address, &base, &byte_count, &flags)) {
        /* What a program registers keeps its address, which is none of the device's. */
        return "that address is page-locked memory of this program. Kernels reach what was allocated to be mapped (cudaHostAllocMapped); with "
               "SLUICE_MAP_HOST_MEMORY=1 they reach all that is allocated as page-locked, and never what is registered.";
    }
    if (mincore(page, 1, &is_there) != 0) return NULL;
    return "that address is this program's own memory. Kernels reach memory of cudaMalloc and cudaMallocManaged.";
}

static void release(void *pointer) {
    struct device *device = managed_device((uintptr_t)pointer);
    if (device == NULL) {
        free(pointer);
        return;
    }
    managed_forget((uintptr_t)pointer);
    memory_free_later(device, (uintptr_t)pointer);
}

/*
 * With unified addressing a device reaches all page-locked memory, asked for or not. Here that has its price (managed.h), so that whoever
 * runs a program that relies on it says so.
 */
static bool maps_all(void) {
    const char *wanted = getenv("SLUICE_MAP_HOST_MEMORY");
    return wanted != NULL && strcmp(wanted, "1") == 0;
}

static CUresult allocate(void **pointer, size_t bytes, unsigned flags) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (pointer == NULL || bytes == 0 || flags > 7) return CUDA_ERROR_INVALID_VALUE;
    void *made;
    CUdeviceptr mapped = 0;
    if (((flags & HOST_MAPPED) != 0 || maps_all()) && context->device->arena.is_reserved) {
        result = managed_allocate(context, bytes, &mapped);
        if (result != CUDA_SUCCESS) return result;
        made = (void *)(uintptr_t)mapped;
    } else if (posix_memalign(&made, 4096, bytes) != 0) {
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    result = remember((struct block){(uintptr_t)made, bytes, flags, true});
    if (result == CUDA_SUCCESS) *pointer = made;
    else release(made);
    return result;
}

API(cuMemHostAlloc, (void **pointer, size_t bytes, unsigned int flags), (pointer, bytes, flags)) {
    return allocate(pointer, bytes, flags);
}

API(cuMemAllocHost_v2, (void **pointer, size_t bytes), (pointer, bytes)) {
    return allocate(pointer, bytes, 0);
}
API_ALIAS(cuMemAllocHost, cuMemAllocHost_v2);

API(cuMemFreeHost, (void *pointer), (pointer)) {
    if (pointer == NULL) return CUDA_SUCCESS;
    if (!forget(pointer, true)) return CUDA_ERROR_INVALID_VALUE;
    release(pointer);
    return CUDA_SUCCESS;
}

API(cuMemHostRegister_v2, (void *pointer, size_t bytes, unsigned int flags), (pointer, bytes, flags)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (pointer == NULL || bytes == 0 || flags > 15) return CUDA_ERROR_INVALID_VALUE;
    if (is_device_address((uintptr_t)pointer)) return CUDA_ERROR_INVALID_VALUE;
    return remember((struct block){(uintptr_t)pointer, bytes, flags, false});
}
API_ALIAS(cuMemHostRegister, cuMemHostRegister_v2);

API(cuMemHostUnregister, (void *pointer), (pointer)) {
    return forget(pointer, false) ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

API(cuMemHostGetFlags, (unsigned int *flags, void *pointer), (flags, pointer)) {
    void *base;
    size_t bytes;
    if (flags == NULL) return CUDA_ERROR_INVALID_VALUE;
    return host_memory_find(pointer, &base, &bytes, flags) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API(cuMemHostGetDevicePointer_v2, (CUdeviceptr *address, void *pointer, unsigned int flags), (address, pointer, flags)) {
    void *base;
    size_t bytes;
    unsigned own;
    if (address == NULL || flags != 0 || !host_memory_find(pointer, &base, &bytes, &own)) return CUDA_ERROR_INVALID_VALUE;
    bool is_mapped = managed_find((uintptr_t)pointer, NULL, NULL);
    *address = is_mapped ? (uintptr_t)pointer : 0;
    if (!is_mapped) trace("cuMemHostGetDevicePointer: only memory that is allocated with the flag for it is mapped");
    return is_mapped ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}
