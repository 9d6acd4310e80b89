/*
 * The memory on which kernels allocate by themselves (malloc, new), where the device's own driver has none: a range of the arena, taken when the
 * first kernel that needs it is launched, and kept as long as the process. Its size is the limit of the context at that moment.
 */
#include <string.h>

#include "driver.h"

static pthread_mutex_t heap_lock = PTHREAD_MUTEX_INITIALIZER;

DEFINE_SEND(heap, HEAP)

CUresult heap_provide(struct context *context) {
    struct device *device = context->device;
    CUdeviceptr address;
    if (atomic_load(&device->heap_bytes) != 0) return CUDA_SUCCESS;
    pthread_mutex_lock(&heap_lock);
    CUresult result = CUDA_SUCCESS;
    if (atomic_load(&device->heap_bytes) == 0) {
        size_t wanted = context->limits[LIMIT_HEAP];
        uint64_t bytes = wanted < HEAP_BYTES_MIN ? HEAP_BYTES_MIN : wanted;
        device->heap_owner.device = device;
        result = memory_allocate(&device->heap_owner, bytes, 0, &address);
        if (result == CUDA_SUCCESS) {
            struct sluice_heap_call call = {.address = address, .byte_count = bytes};
            result = send_heap(&call, NULL);
            atomic_store(&device->heap_bytes, bytes);
        } else {
            report("the slice has no room for [%llu] bytes on which kernels allocate by themselves; cudaLimitMallocHeapSize makes it smaller.",
                   (unsigned long long)bytes);
        }
    }
    pthread_mutex_unlock(&heap_lock);
    return result;
}

/*
 * The size can be chosen until kernels use it. On a CUDA device the heap is the driver's, beside the slice and charged to it with the context: it
 * keeps the driver's own size, and a larger one is refused.
 */
CUresult heap_limit(struct context *context, size_t bytes) {
    struct device *device = context->device;
    if (atomic_load(&device->heap_bytes) != 0) return CUDA_ERROR_INVALID_VALUE;
    if (strcmp(device->kind, "cuda") != 0) {
        context->limits[LIMIT_HEAP] = bytes;
        return CUDA_SUCCESS;
    }
    if (bytes <= HEAP_BYTES_DEFAULT) return CUDA_SUCCESS;
    report("kernels can allocate [%d] bytes by themselves on this device, not [%zu].", HEAP_BYTES_DEFAULT, bytes);
    return CUDA_ERROR_OUT_OF_MEMORY;
}
