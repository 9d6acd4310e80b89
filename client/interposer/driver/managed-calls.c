/*
 * The calls about managed memory. Where data lies is decided by who touches it: advice changes nothing, and a prefetch does at once what
 * the next access would do. Memory belongs to the device that was current at its allocation.
 */
#include "managed.h"

enum { ATTACH_GLOBAL = 1, ATTACH_HOST = 2, ATTACH_SINGLE = 4 };

API(cuMemAllocManaged, (CUdeviceptr *address, size_t bytes, unsigned int flags), (address, bytes, flags)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (address == NULL || bytes == 0 || (flags != ATTACH_GLOBAL && flags != ATTACH_HOST)) return CUDA_ERROR_INVALID_VALUE;
    return managed_allocate(context, bytes, address);
}

static CUresult check_range(CUdeviceptr address, size_t bytes) {
    uint64_t start, total;
    if (bytes == 0 || !managed_find(address, &start, &total)) return CUDA_ERROR_INVALID_VALUE;
    return bytes <= total - (address - start) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult check_place(CUmemLocation place) {
    struct device *device;
    if (place.type == CU_MEM_LOCATION_DEVICE) return device_of(place.id, &device);
    return place.type >= CU_MEM_LOCATION_HOST && place.type <= CU_MEM_LOCATION_HOST_NUMA_CURRENT ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API(cuMemPrefetchAsync_v2, (CUdeviceptr address, size_t bytes, CUmemLocation place, unsigned int flags, CUstream handle),
    (address, bytes, place, flags, handle)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS) result = check_range(address, bytes);
    if (result == CUDA_SUCCESS) result = flags != 0 ? CUDA_ERROR_INVALID_VALUE : check_place(place);
    if (result != CUDA_SUCCESS) return result;
    /* To the device it goes with the next launch; in a capture there is nothing to go yet. */
    if (place.type == CU_MEM_LOCATION_DEVICE || stream->capture != NULL) return CUDA_SUCCESS;
    return managed_fetch(address, bytes);
}
API_ALIAS(cuMemPrefetchAsync_v2_ptsz, cuMemPrefetchAsync_v2);

API(cuMemAdvise_v2, (CUdeviceptr address, size_t bytes, int advice, CUmemLocation place), (address, bytes, advice, place)) {
    CUresult result = check_range(address, bytes);
    if (result != CUDA_SUCCESS) return result;
    if (advice < 1 || advice > 6) return CUDA_ERROR_INVALID_VALUE;
    bool is_about_place = advice == 3 || advice >= 5;
    return is_about_place ? check_place(place) : CUDA_SUCCESS;
}

/* The older forms name a place by a device's number, or -1 for the host. */
static CUmemLocation place_of(CUdevice device) {
    return (CUmemLocation){device < 0 ? CU_MEM_LOCATION_HOST : CU_MEM_LOCATION_DEVICE, device < 0 ? 0 : device};
}

API(cuMemPrefetchAsync, (CUdeviceptr address, size_t bytes, CUdevice device, CUstream stream), (address, bytes, device, stream)) {
    return cuMemPrefetchAsync_v2(address, bytes, place_of(device), 0, stream);
}
API_ALIAS(cuMemPrefetchAsync_ptsz, cuMemPrefetchAsync);

API(cuMemAdvise, (CUdeviceptr address, size_t bytes, int advice, CUdevice device), (address, bytes, advice, device)) {
    return cuMemAdvise_v2(address, bytes, advice, place_of(device));
}

/* Many ranges at once: each has the place whose index is the last that begins at or before it. */
API(cuMemPrefetchBatchAsync,
    (CUdeviceptr * addresses, size_t *bytes, size_t count, CUmemLocation *places, size_t *starts, size_t place_count, unsigned long long flags,
     CUstream stream),
    (addresses, bytes, count, places, starts, place_count, flags, stream)) {
    if (addresses == NULL || bytes == NULL || places == NULL || starts == NULL || count == 0 || place_count == 0 || flags != 0 || starts[0] != 0)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0, place = 0; i < count && result == CUDA_SUCCESS; i++) {
        while (place + 1 < place_count && starts[place + 1] <= i) place++;
        result = cuMemPrefetchAsync_v2(addresses[i], bytes[i], places[place], 0, stream);
    }
    return result;
}
API_ALIAS(cuMemPrefetchBatchAsync_ptsz, cuMemPrefetchBatchAsync);

/* What is discarded may be anything afterwards, also what it was. */
API(cuMemDiscardBatchAsync, (CUdeviceptr * addresses, size_t *bytes, size_t count, unsigned long long flags, CUstream handle),
    (addresses, bytes, count, flags, handle)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (addresses == NULL || bytes == NULL || count == 0 || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count && result == CUDA_SUCCESS; i++) result = check_range(addresses[i], bytes[i]);
    return result;
}
API_ALIAS(cuMemDiscardBatchAsync_ptsz, cuMemDiscardBatchAsync);

API(cuMemDiscardAndPrefetchBatchAsync,
    (CUdeviceptr * addresses, size_t *bytes, size_t count, CUmemLocation *places, size_t *starts, size_t place_count, unsigned long long flags,
     CUstream stream),
    (addresses, bytes, count, places, starts, place_count, flags, stream)) {
    return cuMemPrefetchBatchAsync(addresses, bytes, count, places, starts, place_count, flags, stream);
}
API_ALIAS(cuMemDiscardAndPrefetchBatchAsync_ptsz, cuMemDiscardAndPrefetchBatchAsync);

/* Attaching tells which work may touch a block; here an access of the host waits for all work, which is the stronger order. */
API(cuStreamAttachMemAsync, (CUstream handle, CUdeviceptr address, size_t bytes, unsigned int flags), (handle, address, bytes, flags)) {
    struct stream *stream;
    uint64_t start, total;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (flags != ATTACH_GLOBAL && flags != ATTACH_HOST && flags != ATTACH_SINGLE) return CUDA_ERROR_INVALID_VALUE;
    if (!managed_find(address, &start, &total)) return CUDA_ERROR_INVALID_VALUE;
    return bytes == 0 || (start == address && bytes == total) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
API_ALIAS(cuStreamAttachMemAsync_ptsz, cuStreamAttachMemAsync);
