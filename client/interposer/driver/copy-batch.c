/* Copies in other words: boxes that name contexts, which addresses tell as well, and many lines in one call. */
#include "driver.h"

/* CUDA_MEMCPY3D_PEER is CUDA_MEMCPY3D with contexts in its reserved places. */
API(cuMemcpy3DPeer, (const CUDA_MEMCPY3D *copy), (copy)) {
    return cuMemcpy3D_v2(copy);
}
API_ALIAS(cuMemcpy3DPeer_ptds, cuMemcpy3DPeer);

API(cuMemcpy3DPeerAsync, (const CUDA_MEMCPY3D *copy, CUstream stream), (copy, stream)) {
    return cuMemcpy3DAsync_v2(copy, stream);
}
API_ALIAS(cuMemcpy3DPeerAsync_ptsz, cuMemcpy3DPeerAsync);

/* Attributes say when a source is read, and where memory lies: sources are read at once, and addresses tell the rest. */
static CUresult copy_all(const CUdeviceptr *to, const CUdeviceptr *from, const size_t *bytes, size_t count, CUstream handle, size_t *failed) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (failed != NULL) *failed = SIZE_MAX;
    if (result != CUDA_SUCCESS) return result;
    if (to == NULL || from == NULL || bytes == NULL || count == 0 || stream->id == 0) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count && result == CUDA_SUCCESS; i++) {
        result = cuMemcpyAsync(to[i], from[i], bytes[i], handle);
        if (result != CUDA_SUCCESS && failed != NULL) *failed = i;
    }
    return result;
}

API(cuMemcpyBatchAsync_v2,
    (CUdeviceptr * to, CUdeviceptr *from, size_t *bytes, size_t count, void *attributes, size_t *indices, size_t attribute_count, CUstream stream),
    (to, from, bytes, count, attributes, indices, attribute_count, stream)) {
    (void)attributes, (void)indices, (void)attribute_count;
    return copy_all(to, from, bytes, count, stream, NULL);
}
API_ALIAS(cuMemcpyBatchAsync_v2_ptsz, cuMemcpyBatchAsync_v2);

API(cuMemcpyBatchAsync,
    (CUdeviceptr * to, CUdeviceptr *from, size_t *bytes, size_t count, void *attributes, size_t *indices, size_t attribute_count,
     size_t *failed, CUstream stream),
    (to, from, bytes, count, attributes, indices, attribute_count, failed, stream)) {
    (void)attributes, (void)indices, (void)attribute_count;
    return copy_all(to, from, bytes, count, stream, failed);
}
API_ALIAS(cuMemcpyBatchAsync_ptsz, cuMemcpyBatchAsync);
