/* Filling device memory, in lines and rectangles. */
#include "managed.h"

DEFINE_SEND(fill, FILL)

struct filling {
    uint64_t address;
    size_t count;
    unsigned width;
    unsigned value;
};

static CUresult fill(struct filling filling, struct stream *stream) {
    struct device *device;
    if (filling.count == 0) return CUDA_SUCCESS;
    if (filling.address % filling.width != 0 || filling.count > SIZE_MAX / filling.width) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = range_check(filling.address, filling.count * filling.width, &device);
    if (result == CUDA_SUCCESS && managed_find(filling.address, NULL, NULL)) result = managed_release(device);
    if (result != CUDA_SUCCESS) return result;
    if (stream->id != 0 && device != stream->device) {
        result = stream_wait(stream);
        stream = &device->stream;
    }
    struct sluice_fill_call call = {
        .address = filling.address, .count = filling.count, .width = filling.width, .value = filling.value, .stream = stream->id};
    return result == CUDA_SUCCESS ? send_fill(&call, &stream->last) : result;
}

CUresult device_zero(uint64_t address, size_t byte_count, struct device *device) {
    struct sluice_fill_call call = {.address = address, .count = byte_count, .width = 1};
    return send_fill(&call, &device->stream.last);
}

static CUresult fill_rows(struct filling first, size_t pitch, size_t rows, struct stream *stream) {
    CUresult result = CUDA_SUCCESS;
    if (pitch == first.count * first.width && rows > 0) {
        first.count *= rows;
        rows = 1;
    }
    for (size_t row = 0; row < rows && result == CUDA_SUCCESS; row++) {
        result = fill(first, stream);
        first.address += pitch;
    }
    return result;
}

static CUresult fill_rows_in(struct filling first, size_t pitch, size_t rows, CUstream handle) {
    struct stream *stream;
    CUresult result = work_stream_of(handle, &stream);
    if (result != CUDA_SUCCESS || stream->capture == NULL) return result == CUDA_SUCCESS ? fill_rows(first, pitch, rows, stream) : result;
    CUDA_MEMSET_NODE_PARAMS params = {first.address, pitch, first.value, first.width, first.count, rows};
    return first.count == 0 || rows == 0 ? CUDA_SUCCESS : capture_fill(stream, &params);
}

static CUresult fill_in(struct filling filling, CUstream handle) {
    return fill_rows_in(filling, filling.count * filling.width, 1, handle);
}

CUresult replay_fill(const CUDA_MEMSET_NODE_PARAMS *params, struct stream *stream) {
    struct filling first = {params->address, params->width, params->element_bytes, params->value};
    return fill_rows(first, params->pitch, params->height, stream);
}

#define FILL_FUNCTIONS(bits, type)                                                                                                      \
    API(cuMemsetD##bits##_v2, (CUdeviceptr address, type value, size_t count), (address, value, count)) {                               \
        return fill_in((struct filling){address, count, bits / 8, value}, NULL);                                                        \
    }                                                                                                                                   \
    API(cuMemsetD##bits##Async, (CUdeviceptr address, type value, size_t count, CUstream stream), (address, value, count, stream)) {    \
        return fill_in((struct filling){address, count, bits / 8, value}, stream);                                                      \
    }                                                                                                                                   \
    API(cuMemsetD2D##bits##_v2, (CUdeviceptr address, size_t pitch, type value, size_t width, size_t height),                           \
        (address, pitch, value, width, height)) {                                                                                       \
        return fill_rows_in((struct filling){address, width, bits / 8, value}, pitch, height, NULL);                                       \
    }                                                                                                                                   \
    API(cuMemsetD2D##bits##Async, (CUdeviceptr address, size_t pitch, type value, size_t width, size_t height, CUstream stream),        \
        (address, pitch, value, width, height, stream)) {                                                                               \
        return fill_rows_in((struct filling){address, width, bits / 8, value}, pitch, height, stream);                                     \
    }                                                                                                                                   \
    API_ALIAS(cuMemsetD##bits##_v2_ptds, cuMemsetD##bits##_v2);                                                                         \
    API_ALIAS(cuMemsetD##bits##Async_ptsz, cuMemsetD##bits##Async);                                                                     \
    API_ALIAS(cuMemsetD2D##bits##_v2_ptds, cuMemsetD2D##bits##_v2);                                                                     \
    API_ALIAS(cuMemsetD2D##bits##Async_ptsz, cuMemsetD2D##bits##Async);

FILL_FUNCTIONS(8, unsigned char)
FILL_FUNCTIONS(16, unsigned short)
FILL_FUNCTIONS(32, unsigned int)
