/* Memory of the device and page-locked memory of the host. */
#include <string.h>

#include "runtime.h"

static void *pointer_of(CUdeviceptr address) {
    return (void *)(uintptr_t)address;
}

static CUdeviceptr address_of(const void *pointer) {
    return (CUdeviceptr)(uintptr_t)pointer;
}

/* The runtime, unlike the driver, gives nothing for nothing. */
CONTEXT(cudaMalloc, (void **pointer, size_t bytes), (pointer, bytes)) {
    CUdeviceptr address = 0;
    if (pointer == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = bytes == 0 ? CUDA_SUCCESS : cuMemAlloc_v2(&address, bytes);
    *pointer = pointer_of(address);
    return error;
}

CONTEXT(cudaFree, (void *pointer), (pointer)) {
    return cuMemFree_v2(address_of(pointer));
}

CONTEXT(cudaMallocAsync, (void **pointer, size_t bytes, cudaStream_t stream), (pointer, bytes, stream)) {
    CUdeviceptr address = 0;
    if (pointer == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = bytes == 0 ? CUDA_SUCCESS : cuMemAllocAsync(&address, bytes, stream);
    *pointer = pointer_of(address);
    return error;
}
RUNTIME_ALIAS(cudaMallocAsync_ptsz, cudaMallocAsync);

CONTEXT(cudaFreeAsync, (void *pointer, cudaStream_t stream), (pointer, stream)) {
    return pointer == NULL ? CUDA_SUCCESS : cuMemFreeAsync(address_of(pointer), stream);
}
RUNTIME_ALIAS(cudaFreeAsync_ptsz, cudaFreeAsync);

CONTEXT(cudaMallocManaged, (void **pointer, size_t bytes, unsigned int flags), (pointer, bytes, flags)) {
    CUdeviceptr address = 0;
    if (pointer == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = cuMemAllocManaged(&address, bytes, flags);
    if (error == CUDA_SUCCESS) *pointer = pointer_of(address);
    return error;
}

CONTEXT(cudaStreamAttachMemAsync, (cudaStream_t stream, void *pointer, size_t bytes, unsigned int flags), (stream, pointer, bytes, flags)) {
    return cuStreamAttachMemAsync(stream, address_of(pointer), bytes, flags);
}
RUNTIME_ALIAS(cudaStreamAttachMemAsync_ptsz, cudaStreamAttachMemAsync);

#if CUDART_MAJOR == 12
#define FORM_OF_13(name) name##_v2
/* Before CUDA 13 a place is a device's number, or -1 for the host. */
static CUmemLocation place_of(int device) {
    return (CUmemLocation){device < 0 ? CU_MEM_LOCATION_HOST : CU_MEM_LOCATION_DEVICE, device < 0 ? 0 : device};
}

CONTEXT(cudaMemPrefetchAsync, (const void *pointer, size_t bytes, int device, cudaStream_t stream), (pointer, bytes, device, stream)) {
    return cuMemPrefetchAsync_v2(address_of(pointer), bytes, place_of(device), 0, stream);
}
RUNTIME_ALIAS(cudaMemPrefetchAsync_ptsz, cudaMemPrefetchAsync);

CONTEXT(cudaMemAdvise, (const void *pointer, size_t bytes, int advice, int device), (pointer, bytes, advice, device)) {
    return cuMemAdvise_v2(address_of(pointer), bytes, advice, place_of(device));
}
#else
#define FORM_OF_13(name) name
#endif

CONTEXT(FORM_OF_13(cudaMemPrefetchAsync),
        (const void *pointer, size_t bytes, CUmemLocation place, unsigned int flags, cudaStream_t stream),
        (pointer, bytes, place, flags, stream)) {
    return cuMemPrefetchAsync_v2(address_of(pointer), bytes, place, flags, stream);
}

CONTEXT(FORM_OF_13(cudaMemAdvise), (const void *pointer, size_t bytes, int advice, CUmemLocation place), (pointer, bytes, advice, place)) {
    return cuMemAdvise_v2(address_of(pointer), bytes, advice, place);
}
SAME(cudaMemPrefetchBatchAsync, cuMemPrefetchBatchAsync,
     (CUdeviceptr * addresses, size_t *bytes, size_t count, CUmemLocation *places, size_t *starts, size_t place_count, unsigned long long flags,
      cudaStream_t stream),
     (addresses, bytes, count, places, starts, place_count, flags, stream))
RUNTIME_ALIAS(cudaMemPrefetchBatchAsync_ptsz, cudaMemPrefetchBatchAsync);
RUNTIME_ALIAS(cudaMemDiscardAndPrefetchBatchAsync, cudaMemPrefetchBatchAsync);
RUNTIME_ALIAS(cudaMemDiscardAndPrefetchBatchAsync_ptsz, cudaMemPrefetchBatchAsync);
SAME(cudaMemDiscardBatchAsync, cuMemDiscardBatchAsync,
     (CUdeviceptr * addresses, size_t *bytes, size_t count, unsigned long long flags, cudaStream_t stream),
     (addresses, bytes, count, flags, stream))
RUNTIME_ALIAS(cudaMemDiscardBatchAsync_ptsz, cudaMemDiscardBatchAsync);

#if CUDART_MAJOR == 12
RUNTIME_ALIAS(cudaMemPrefetchAsync_v2_ptsz, cudaMemPrefetchAsync_v2);
#else
RUNTIME_ALIAS(cudaMemPrefetchAsync_ptsz, cudaMemPrefetchAsync);
#endif

static cudaError_t allocate_rows(struct cudaPitchedPtr *rows, size_t width, size_t height, size_t depth) {
    CUdeviceptr address = 0;
    memset(rows, 0, sizeof *rows);
    rows->xsize = width;
    rows->ysize = height;
    if (width == 0 || height == 0 || depth == 0) return CUDA_SUCCESS;
    if (height > SIZE_MAX / depth) return CUDA_ERROR_OUT_OF_MEMORY;
    cudaError_t error = cuMemAllocPitch_v2(&address, &rows->pitch, width, height * depth, 4);
    rows->ptr = pointer_of(address);
    return error;
}

CONTEXT(cudaMallocPitch, (void **pointer, size_t *pitch, size_t width, size_t height), (pointer, pitch, width, height)) {
    struct cudaPitchedPtr rows;
    if (pointer == NULL || pitch == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = allocate_rows(&rows, width, height, 1);
    *pointer = rows.ptr;
    *pitch = rows.pitch;
    return error;
}

CONTEXT(cudaMalloc3D, (struct cudaPitchedPtr *rows, struct cudaExtent extent), (rows, extent)) {
    return rows == NULL ? CUDA_ERROR_INVALID_VALUE : allocate_rows(rows, extent.width, extent.height, extent.depth);
}

CONTEXT(cudaMemGetInfo, (size_t *free_bytes, size_t *total_bytes), (free_bytes, total_bytes)) {
    return cuMemGetInfo_v2(free_bytes, total_bytes);
}

CONTEXT(cudaHostAlloc, (void **pointer, size_t bytes, unsigned int flags), (pointer, bytes, flags)) {
    if (pointer == NULL) return CUDA_ERROR_INVALID_VALUE;
    *pointer = NULL;
    return bytes == 0 ? CUDA_SUCCESS : cuMemHostAlloc(pointer, bytes, flags);
}

CONTEXT(cudaMallocHost, (void **pointer, size_t bytes), (pointer, bytes)) {
    if (pointer == NULL) return CUDA_ERROR_INVALID_VALUE;
    *pointer = NULL;
    return bytes == 0 ? CUDA_SUCCESS : cuMemHostAlloc(pointer, bytes, 0);
}

CONTEXT(cudaFreeHost, (void *pointer), (pointer)) {
    return cuMemFreeHost(pointer);
}

CONTEXT(cudaHostRegister, (void *pointer, size_t bytes, unsigned int flags), (pointer, bytes, flags)) {
    return cuMemHostRegister_v2(pointer, bytes, flags);
}

CONTEXT(cudaHostUnregister, (void *pointer), (pointer)) {
    return cuMemHostUnregister(pointer);
}

CONTEXT(cudaHostGetFlags, (unsigned int *flags, void *pointer), (flags, pointer)) {
    return cuMemHostGetFlags(flags, pointer);
}

CONTEXT(cudaHostGetDevicePointer, (void **device, void *pointer, unsigned int flags), (device, pointer, flags)) {
    CUdeviceptr address = 0;
    cudaError_t error = cuMemHostGetDevicePointer_v2(&address, pointer, flags);
    if (device != NULL) *device = pointer_of(address);
    return error;
}

/* CUDA 13 has reserved words behind these, which stay as they are. */
struct pointer_attributes {
    int type; /* 0 unknown, 1 host, 2 device, 3 managed. */
    int device;
    void *device_pointer;
    void *host_pointer;
};

CONTEXT(cudaPointerGetAttributes, (struct pointer_attributes *attributes, const void *pointer), (attributes, pointer)) {
    unsigned int type = 0, is_managed = 0;
    int ordinal = -2;
    if (attributes == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (cuPointerGetAttribute(&type, 2, address_of(pointer)) == CUDA_SUCCESS) cuPointerGetAttribute(&ordinal, 9, address_of(pointer));
    if (type == CU_MEMORY_DEVICE) cuPointerGetAttribute(&is_managed, 8, address_of(pointer));
    *attributes = (struct pointer_attributes){.type = is_managed != 0 ? 3 : (int)type, .device = ordinal};
    CUdeviceptr mapped = 0;
    if (type == CU_MEMORY_DEVICE || cuPointerGetAttribute(&mapped, 3, address_of(pointer)) == CUDA_SUCCESS)
        attributes->device_pointer = (void *)(uintptr_t)pointer;
    if (type != CU_MEMORY_DEVICE || is_managed != 0) attributes->host_pointer = (void *)(uintptr_t)pointer;
    return CUDA_SUCCESS;
}

CONTEXT(cudaMemset, (void *pointer, int value, size_t bytes), (pointer, value, bytes)) {
    return cuMemsetD8Async(address_of(pointer), (unsigned char)value, bytes, NULL);
}
RUNTIME_ALIAS(cudaMemset_ptds, cudaMemset);

CONTEXT(cudaMemsetAsync, (void *pointer, int value, size_t bytes, cudaStream_t stream), (pointer, value, bytes, stream)) {
    return cuMemsetD8Async(address_of(pointer), (unsigned char)value, bytes, stream);
}
RUNTIME_ALIAS(cudaMemsetAsync_ptsz, cudaMemsetAsync);

CONTEXT(cudaMemset2D, (void *pointer, size_t pitch, int value, size_t width, size_t height), (pointer, pitch, value, width, height)) {
    return cuMemsetD2D8Async(address_of(pointer), pitch, (unsigned char)value, width, height, NULL);
}
RUNTIME_ALIAS(cudaMemset2D_ptds, cudaMemset2D);

CONTEXT(cudaMemset2DAsync, (void *pointer, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream),
        (pointer, pitch, value, width, height, stream)) {
    return cuMemsetD2D8Async(address_of(pointer), pitch, (unsigned char)value, width, height, stream);
}
RUNTIME_ALIAS(cudaMemset2DAsync_ptsz, cudaMemset2DAsync);

static cudaError_t fill_planes(struct cudaPitchedPtr rows, int value, struct cudaExtent extent, cudaStream_t stream) {
    cudaError_t error = CUDA_SUCCESS;
    for (size_t z = 0; z < extent.depth && error == CUDA_SUCCESS; z++) {
        CUdeviceptr plane = address_of(rows.ptr) + z * rows.pitch * rows.ysize;
        error = cuMemsetD2D8Async(plane, rows.pitch, (unsigned char)value, extent.width, extent.height, stream);
    }
    return error;
}

CONTEXT(cudaMemset3D, (struct cudaPitchedPtr rows, int value, struct cudaExtent extent), (rows, value, extent)) {
    return fill_planes(rows, value, extent, NULL);
}
RUNTIME_ALIAS(cudaMemset3D_ptds, cudaMemset3D);

CONTEXT(cudaMemset3DAsync, (struct cudaPitchedPtr rows, int value, struct cudaExtent extent, cudaStream_t stream),
        (rows, value, extent, stream)) {
    return fill_planes(rows, value, extent, stream);
}
RUNTIME_ALIAS(cudaMemset3DAsync_ptsz, cudaMemset3DAsync);
