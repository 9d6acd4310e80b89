/* Copies in other words: boxes that name contexts, which addresses tell as well, and many lines or boxes in one call. */
#include "array.h"

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
    CUresult result = work_stream_of(handle, &stream);
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

/* Bytes of what a box is counted in: an array's texels, where there is one. */
static CUresult element_bytes(const CUDA_MEMCPY3D_BATCH_OP *copy, size_t *bytes) {
    const CUmemcpy3DOperand *ends[] = {&copy->src, &copy->dst};
    *bytes = 0;
    for (int i = 0; i < 2; i++) {
        struct CUarray_st *array;
        if (ends[i]->type != CU_OPERAND_ARRAY) continue;
        CUresult result = array_of(ends[i]->of.array.array, &array);
        if (result != CUDA_SUCCESS) return result;
        if (*bytes != 0 && *bytes != array->texel_bytes) return CUDA_ERROR_INVALID_VALUE;
        *bytes = array->texel_bytes;
    }
    if (*bytes == 0) *bytes = 1;
    return CUDA_SUCCESS;
}

/* Whether an end is a pointer or an array, and numbers of it stay numbers when they are counted in bytes. */
static bool is_operand(const CUmemcpy3DOperand *end, const CUDA_MEMCPY3D_BATCH_OP *copy) {
    const size_t most = SIZE_MAX / 16;
    if (end->type == CU_OPERAND_ARRAY) return end->of.array.x <= most;
    if (end->type != CU_OPERAND_POINTER || end->of.pointer.row_length > most) return false;
    size_t row = end->of.pointer.row_length, height = end->of.pointer.layer_height;
    return (row == 0 || row >= copy->width) && (height == 0 || height >= copy->height);
}

/* One copy as the box that it is. */
static CUresult box_of(const CUDA_MEMCPY3D_BATCH_OP *copy, CUDA_MEMCPY3D *box) {
    size_t bytes;
    const CUmemcpy3DOperand *from = &copy->src, *to = &copy->dst;
    CUresult result = element_bytes(copy, &bytes);
    if (result != CUDA_SUCCESS) return result;
    if (copy->width == 0 || copy->height == 0 || copy->depth == 0 || copy->width > SIZE_MAX / 16) return CUDA_ERROR_INVALID_VALUE;
    if (!is_operand(from, copy) || !is_operand(to, copy)) return CUDA_ERROR_INVALID_VALUE;
    if (copy->access_order < 1 || copy->access_order > 3) return CUDA_ERROR_INVALID_VALUE;
    *box = (CUDA_MEMCPY3D){.width_bytes = copy->width * bytes, .height = copy->height, .depth = copy->depth,
                           .src_type = CU_MEMORY_UNIFIED, .dst_type = CU_MEMORY_UNIFIED};
    if (from->type == CU_OPERAND_ARRAY) {
        box->src_type = CU_MEMORY_ARRAY;
        box->src_array = from->of.array.array;
        box->src_x_bytes = from->of.array.x * bytes;
        box->src_y = from->of.array.y;
        box->src_z = from->of.array.z;
    } else {
        box->src_device = from->of.pointer.address;
        box->src_pitch = from->of.pointer.row_length * bytes;
        box->src_height = from->of.pointer.layer_height;
    }
    if (to->type == CU_OPERAND_ARRAY) {
        box->dst_type = CU_MEMORY_ARRAY;
        box->dst_array = to->of.array.array;
        box->dst_x_bytes = to->of.array.x * bytes;
        box->dst_y = to->of.array.y;
        box->dst_z = to->of.array.z;
    } else {
        box->dst_device = to->of.pointer.address;
        box->dst_pitch = to->of.pointer.row_length * bytes;
        box->dst_height = to->of.pointer.layer_height;
    }
    return CUDA_SUCCESS;
}

static CUresult copy_boxes(size_t count, const CUDA_MEMCPY3D_BATCH_OP *copies, unsigned long long flags, CUstream handle, size_t *failed) {
    struct stream *stream;
    CUDA_MEMCPY3D box;
    CUresult result = work_stream_of(handle, &stream);
    if (failed != NULL) *failed = SIZE_MAX;
    if (result != CUDA_SUCCESS) return result;
    if (copies == NULL || count == 0 || flags != 0 || stream->id == 0) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count && result == CUDA_SUCCESS; i++) {
        result = box_of(&copies[i], &box);
        if (result == CUDA_SUCCESS) result = cuMemcpy3DAsync_v2(&box, handle);
        if (result != CUDA_SUCCESS && failed != NULL) *failed = i;
    }
    return result;
}

API(cuMemcpy3DBatchAsync_v2, (size_t count, CUDA_MEMCPY3D_BATCH_OP *copies, unsigned long long flags, CUstream stream),
    (count, copies, flags, stream)) {
    return copy_boxes(count, copies, flags, stream, NULL);
}
API_ALIAS(cuMemcpy3DBatchAsync_v2_ptsz, cuMemcpy3DBatchAsync_v2);

API(cuMemcpy3DBatchAsync, (size_t count, CUDA_MEMCPY3D_BATCH_OP *copies, size_t *failed, unsigned long long flags, CUstream stream),
    (count, copies, failed, flags, stream)) {
    return copy_boxes(count, copies, flags, stream, failed);
}
API_ALIAS(cuMemcpy3DBatchAsync_ptsz, cuMemcpy3DBatchAsync);
