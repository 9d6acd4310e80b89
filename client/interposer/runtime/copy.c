/* Copies of the runtime API. The kind is the caller's word for what the addresses are; the default finds out. */
#include <string.h>

#include "runtime.h"

static CUdeviceptr address_of(const void *pointer) {
    return (CUdeviceptr)(uintptr_t)pointer;
}

static cudaError_t copy(void *to, const void *from, size_t bytes, int kind, cudaStream_t stream) {
    if (bytes == 0) return CUDA_SUCCESS;
    switch (kind) {
    case COPY_HOST_TO_HOST:
    case COPY_DEFAULT: return cuMemcpyAsync(address_of(to), address_of(from), bytes, stream);
    case COPY_HOST_TO_DEVICE: return cuMemcpyHtoDAsync_v2(address_of(to), from, bytes, stream);
    case COPY_DEVICE_TO_HOST: return cuMemcpyDtoHAsync_v2(to, address_of(from), bytes, stream);
    case COPY_DEVICE_TO_DEVICE: return cuMemcpyDtoDAsync_v2(address_of(to), address_of(from), bytes, stream);
    default: return cudaErrorInvalidMemcpyDirection;
    }
}

CONTEXT(cudaMemcpy, (void *to, const void *from, size_t bytes, int kind), (to, from, bytes, kind)) {
    return copy(to, from, bytes, kind, CU_STREAM_LEGACY);
}
RUNTIME_ALIAS(cudaMemcpy_ptds, cudaMemcpy);

CONTEXT(cudaMemcpyAsync, (void *to, const void *from, size_t bytes, int kind, cudaStream_t stream), (to, from, bytes, kind, stream)) {
    return copy(to, from, bytes, kind, stream);
}
RUNTIME_ALIAS(cudaMemcpyAsync_ptsz, cudaMemcpyAsync);

CONTEXT(cudaMemcpyPeer, (void *to, int to_device, const void *from, int from_device, size_t bytes),
        (to, to_device, from, from_device, bytes)) {
    (void)to_device, (void)from_device;
    return copy(to, from, bytes, COPY_DEVICE_TO_DEVICE, NULL);
}

CONTEXT(cudaMemcpyPeerAsync, (void *to, int to_device, const void *from, int from_device, size_t bytes, cudaStream_t stream),
        (to, to_device, from, from_device, bytes, stream)) {
    (void)to_device, (void)from_device;
    return copy(to, from, bytes, COPY_DEVICE_TO_DEVICE, stream);
}

cudaError_t part_of_symbol(const void *symbol, size_t offset, size_t bytes, CUdeviceptr *address) {
    size_t total = 0;
    cudaError_t error = symbol_of(symbol, address, &total);
    if (error != CUDA_SUCCESS) return error;
    if (offset > total || bytes > total - offset) return CUDA_ERROR_INVALID_VALUE;
    *address += offset;
    return CUDA_SUCCESS;
}

static cudaError_t copy_to_symbol(const void *symbol, const void *from, size_t bytes, size_t offset, int kind, cudaStream_t stream) {
    CUdeviceptr address = 0;
    if (kind != COPY_HOST_TO_DEVICE && kind != COPY_DEVICE_TO_DEVICE && kind != COPY_DEFAULT) return cudaErrorInvalidMemcpyDirection;
    cudaError_t error = part_of_symbol(symbol, offset, bytes, &address);
    return error == CUDA_SUCCESS ? copy((void *)(uintptr_t)address, from, bytes, kind, stream) : error;
}

static cudaError_t copy_from_symbol(void *to, const void *symbol, size_t bytes, size_t offset, int kind, cudaStream_t stream) {
    CUdeviceptr address = 0;
    if (kind != COPY_DEVICE_TO_HOST && kind != COPY_DEVICE_TO_DEVICE && kind != COPY_DEFAULT) return cudaErrorInvalidMemcpyDirection;
    cudaError_t error = part_of_symbol(symbol, offset, bytes, &address);
    return error == CUDA_SUCCESS ? copy(to, (void *)(uintptr_t)address, bytes, kind, stream) : error;
}

CONTEXT(cudaMemcpyToSymbol, (const void *symbol, const void *from, size_t bytes, size_t offset, int kind),
        (symbol, from, bytes, offset, kind)) {
    return copy_to_symbol(symbol, from, bytes, offset, kind, CU_STREAM_LEGACY);
}
RUNTIME_ALIAS(cudaMemcpyToSymbol_ptds, cudaMemcpyToSymbol);

CONTEXT(cudaMemcpyToSymbolAsync, (const void *symbol, const void *from, size_t bytes, size_t offset, int kind, cudaStream_t stream),
        (symbol, from, bytes, offset, kind, stream)) {
    return copy_to_symbol(symbol, from, bytes, offset, kind, stream);
}
RUNTIME_ALIAS(cudaMemcpyToSymbolAsync_ptsz, cudaMemcpyToSymbolAsync);

CONTEXT(cudaMemcpyFromSymbol, (void *to, const void *symbol, size_t bytes, size_t offset, int kind), (to, symbol, bytes, offset, kind)) {
    return copy_from_symbol(to, symbol, bytes, offset, kind, NULL);
}
RUNTIME_ALIAS(cudaMemcpyFromSymbol_ptds, cudaMemcpyFromSymbol);

CONTEXT(cudaMemcpyFromSymbolAsync, (void *to, const void *symbol, size_t bytes, size_t offset, int kind, cudaStream_t stream),
        (to, symbol, bytes, offset, kind, stream)) {
    return copy_from_symbol(to, symbol, bytes, offset, kind, stream);
}
RUNTIME_ALIAS(cudaMemcpyFromSymbolAsync_ptsz, cudaMemcpyFromSymbolAsync);

/* The kinds of memory at both ends, as the driver names them. */
cudaError_t set_memory_types(CUDA_MEMCPY3D *box, int kind) {
    static const int from[] = {CU_MEMORY_HOST, CU_MEMORY_HOST, CU_MEMORY_DEVICE, CU_MEMORY_DEVICE, CU_MEMORY_UNIFIED};
    static const int to[] = {CU_MEMORY_HOST, CU_MEMORY_DEVICE, CU_MEMORY_HOST, CU_MEMORY_DEVICE, CU_MEMORY_UNIFIED};
    if (kind < COPY_HOST_TO_HOST || kind > COPY_DEFAULT) return cudaErrorInvalidMemcpyDirection;
    box->src_type = from[kind];
    box->dst_type = to[kind];
    return CUDA_SUCCESS;
}

/* Arrays know their own pitch. */
static cudaError_t copy_rows(const CUDA_MEMCPY3D *box, cudaStream_t stream) {
    if (box->dst_type != CU_MEMORY_ARRAY && box->width_bytes > box->dst_pitch) return cudaErrorInvalidPitchValue;
    if (box->src_type != CU_MEMORY_ARRAY && box->width_bytes > box->src_pitch) return cudaErrorInvalidPitchValue;
    return cuMemcpy3DAsync_v2(box, stream);
}

static cudaError_t copy_rectangle(CUDA_MEMCPY3D *box, int kind, cudaStream_t stream) {
    cudaError_t error = set_memory_types(box, kind);
    return error == CUDA_SUCCESS ? copy_rows(box, stream) : error;
}

CUDA_MEMCPY3D rectangle_box(void *to, size_t to_pitch, const void *from, size_t from_pitch) {
    return (CUDA_MEMCPY3D){
        .src_host = from, .src_device = address_of(from), .src_pitch = from_pitch,
        .dst_host = to, .dst_device = address_of(to), .dst_pitch = to_pitch, .depth = 1,
    };
}

CONTEXT(cudaMemcpy2D, (void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height, int kind),
        (to, to_pitch, from, from_pitch, width, height, kind)) {
    CUDA_MEMCPY3D box = rectangle_box(to, to_pitch, from, from_pitch);
    box.width_bytes = width;
    box.height = height;
    return copy_rectangle(&box, kind, CU_STREAM_LEGACY);
}
RUNTIME_ALIAS(cudaMemcpy2D_ptds, cudaMemcpy2D);

CONTEXT(cudaMemcpy2DAsync,
        (void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height, int kind, cudaStream_t stream),
        (to, to_pitch, from, from_pitch, width, height, kind, stream)) {
    CUDA_MEMCPY3D box = rectangle_box(to, to_pitch, from, from_pitch);
    box.width_bytes = width;
    box.height = height;
    return copy_rectangle(&box, kind, stream);
}
RUNTIME_ALIAS(cudaMemcpy2DAsync_ptsz, cudaMemcpy2DAsync);

/* Where an array takes part the box is counted in its elements; a place in memory is counted in bytes all the same. */
static cudaError_t set_arrays(const struct box_parameters *wanted, CUDA_MEMCPY3D *box) {
    CUarray either = wanted->src_array != NULL ? wanted->src_array : wanted->dst_array;
    size_t bytes = 1, other = 1;
    if (either == NULL) return CUDA_SUCCESS;
    cudaError_t error = element_bytes(either, &bytes);
    if (error == CUDA_SUCCESS && wanted->dst_array != NULL) error = element_bytes(wanted->dst_array, &other);
    if (error != CUDA_SUCCESS) return error;
    if (box->width_bytes > SIZE_MAX / 16 || box->src_x_bytes > SIZE_MAX / 16 || box->dst_x_bytes > SIZE_MAX / 16) return CUDA_ERROR_INVALID_VALUE;
    box->width_bytes *= bytes;
    if (wanted->src_array != NULL) {
        box->src_type = CU_MEMORY_ARRAY;
        box->src_array = wanted->src_array;
        box->src_x_bytes *= bytes;
    }
    if (wanted->dst_array != NULL) {
        box->dst_type = CU_MEMORY_ARRAY;
        box->dst_array = wanted->dst_array;
        box->dst_x_bytes *= other;
    }
    return CUDA_SUCCESS;
}

cudaError_t box_of_parameters(const struct box_parameters *wanted, CUDA_MEMCPY3D *box) {
    if (wanted == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (wanted->src_array != NULL && wanted->src.ptr != NULL) return CUDA_ERROR_INVALID_VALUE;
    if (wanted->dst_array != NULL && wanted->dst.ptr != NULL) return CUDA_ERROR_INVALID_VALUE;
    *box = rectangle_box(wanted->dst.ptr, wanted->dst.pitch, wanted->src.ptr, wanted->src.pitch);
    box->src_x_bytes = wanted->src_position.x;
    box->src_y = wanted->src_position.y;
    box->src_z = wanted->src_position.z;
    box->src_height = wanted->src.ysize;
    box->dst_x_bytes = wanted->dst_position.x;
    box->dst_y = wanted->dst_position.y;
    box->dst_z = wanted->dst_position.z;
    box->dst_height = wanted->dst.ysize;
    box->width_bytes = wanted->extent.width;
    box->height = wanted->extent.height;
    box->depth = wanted->extent.depth;
    cudaError_t error = set_memory_types(box, wanted->kind);
    return error == CUDA_SUCCESS ? set_arrays(wanted, box) : error;
}

static cudaError_t copy_box(const struct box_parameters *wanted, cudaStream_t stream) {
    CUDA_MEMCPY3D box;
    cudaError_t error = box_of_parameters(wanted, &box);
    return error == CUDA_SUCCESS ? copy_rows(&box, stream) : error;
}

CONTEXT(cudaMemcpy3D, (const struct box_parameters *wanted), (wanted)) {
    return copy_box(wanted, CU_STREAM_LEGACY);
}
RUNTIME_ALIAS(cudaMemcpy3D_ptds, cudaMemcpy3D);

CONTEXT(cudaMemcpy3DAsync, (const struct box_parameters *wanted, cudaStream_t stream), (wanted, stream)) {
    return copy_box(wanted, stream);
}
RUNTIME_ALIAS(cudaMemcpy3DAsync_ptsz, cudaMemcpy3DAsync);

/* Between devices: addresses tell them, so that their numbers are not needed. */
struct peer_parameters {
    CUarray src_array;
    struct cudaPos src_position;
    struct cudaPitchedPtr src;
    int src_device;
    CUarray dst_array;
    struct cudaPos dst_position;
    struct cudaPitchedPtr dst;
    int dst_device;
    struct cudaExtent extent;
};

static cudaError_t copy_peer_box(const struct peer_parameters *wanted, cudaStream_t stream) {
    if (wanted == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct box_parameters box = {wanted->src_array, wanted->src_position, wanted->src, wanted->dst_array,
                                 wanted->dst_position, wanted->dst, wanted->extent, COPY_DEVICE_TO_DEVICE};
    return copy_box(&box, stream);
}

CONTEXT(cudaMemcpy3DPeer, (const struct peer_parameters *wanted), (wanted)) {
    return copy_peer_box(wanted, NULL);
}
RUNTIME_ALIAS(cudaMemcpy3DPeer_ptds, cudaMemcpy3DPeer);

CONTEXT(cudaMemcpy3DPeerAsync, (const struct peer_parameters *wanted, cudaStream_t stream), (wanted, stream)) {
    return copy_peer_box(wanted, stream);
}
RUNTIME_ALIAS(cudaMemcpy3DPeerAsync_ptsz, cudaMemcpy3DPeerAsync);

#if CUDART_MAJOR == 12
CONTEXT(cudaMemcpyBatchAsync,
        (CUdeviceptr * to, CUdeviceptr *from, size_t *bytes, size_t count, void *attributes, size_t *indices, size_t attribute_count,
         size_t *failed, cudaStream_t stream),
        (to, from, bytes, count, attributes, indices, attribute_count, failed, stream)) {
    return cuMemcpyBatchAsync(to, from, bytes, count, attributes, indices, attribute_count, failed, stream);
}
#else
CONTEXT(cudaMemcpyBatchAsync,
        (CUdeviceptr * to, CUdeviceptr *from, size_t *bytes, size_t count, void *attributes, size_t *indices, size_t attribute_count,
         cudaStream_t stream),
        (to, from, bytes, count, attributes, indices, attribute_count, stream)) {
    return cuMemcpyBatchAsync_v2(to, from, bytes, count, attributes, indices, attribute_count, stream);
}
#endif
RUNTIME_ALIAS(cudaMemcpyBatchAsync_ptsz, cudaMemcpyBatchAsync);

/* Copies of boxes are described as the driver has them. */
#if CUDART_MAJOR == 12
CONTEXT(cudaMemcpy3DBatchAsync, (size_t count, CUDA_MEMCPY3D_BATCH_OP *copies, size_t *failed, unsigned long long flags, cudaStream_t stream),
        (count, copies, failed, flags, stream)) {
    return cuMemcpy3DBatchAsync(count, copies, failed, flags, stream);
}
#else
CONTEXT(cudaMemcpy3DBatchAsync, (size_t count, CUDA_MEMCPY3D_BATCH_OP *copies, unsigned long long flags, cudaStream_t stream),
        (count, copies, flags, stream)) {
    return cuMemcpy3DBatchAsync_v2(count, copies, flags, stream);
}
#endif
RUNTIME_ALIAS(cudaMemcpy3DBatchAsync_ptsz, cudaMemcpy3DBatchAsync);
