/* Arrays of the runtime API: formats by the bits of their channels, and the copies that name arrays by a place in them. */
#include <string.h>

#include "runtime.h"

/* cudaChannelFormatKind */
enum { CHANNEL_SIGNED = 0, CHANNEL_UNSIGNED = 1, CHANNEL_FLOAT = 2, CHANNEL_NONE = 3, CHANNEL_PARTS = 5, CHANNEL_PARTS_END = 17 };

EXPORT struct cudaChannelFormatDesc cudaCreateChannelDesc(int x, int y, int z, int w, int kind) {
    return (struct cudaChannelFormatDesc){x, y, z, w, kind};
}

/* Numbers that stand for parts of their largest: the kind says how many, of which size and sign. */
static cudaError_t parts_of(int index, int bits, unsigned int count, int *format, unsigned int *channels) {
    if (count != 1u << index % 3 || bits != (index / 3 % 2 == 0 ? 8 : 16)) return cudaErrorInvalidChannelDescriptor;
    *format = CU_FORMAT_PARTS + index;
    *channels = count;
    return CUDA_SUCCESS;
}

cudaError_t format_of(const struct cudaChannelFormatDesc *channel, int *format, unsigned int *channels) {
    static const int formats[3][3] = {{CU_FORMAT_SINT8, CU_FORMAT_SINT16, CU_FORMAT_SINT32},
                                      {CU_FORMAT_UINT8, CU_FORMAT_UINT16, CU_FORMAT_UINT32},
                                      {0, CU_FORMAT_HALF, CU_FORMAT_FLOAT}};
    if (channel == NULL) return CUDA_ERROR_INVALID_VALUE;
    bool is_parts = channel->kind >= CHANNEL_PARTS && channel->kind < CHANNEL_PARTS_END;
    if (channel->kind > CHANNEL_NONE && !is_parts) {
        trace("a channel of the kind [%d]: packed, planar and block-compressed texels are not carried over", channel->kind);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    if (channel->kind < 0 || channel->kind == CHANNEL_NONE) return cudaErrorInvalidChannelDescriptor;
    const int bits[] = {channel->x, channel->y, channel->z, channel->w};
    unsigned int count = 0;
    while (count < 4 && bits[count] == bits[0]) count++;
    for (unsigned int i = count; i < 4; i++)
        if (bits[i] != 0) return cudaErrorInvalidChannelDescriptor;
    if (is_parts) return parts_of(channel->kind - CHANNEL_PARTS, bits[0], count, format, channels);
    int size = bits[0] == 8 ? 0 : bits[0] == 16 ? 1 : bits[0] == 32 ? 2 : -1;
    if (size < 0 || count == 3 || formats[channel->kind][size] == 0) return cudaErrorInvalidChannelDescriptor;
    *format = formats[channel->kind][size];
    *channels = count;
    return CUDA_SUCCESS;
}

struct cudaChannelFormatDesc channel_of(int format, unsigned int channels) {
    if (format >= CU_FORMAT_PARTS) {
        int index = format - CU_FORMAT_PARTS, size = index / 3 % 2 == 0 ? 8 : 16;
        return (struct cudaChannelFormatDesc){size, channels > 1 ? size : 0, channels > 2 ? size : 0, channels > 3 ? size : 0, CHANNEL_PARTS + index};
    }
    bool is_float = format == CU_FORMAT_HALF || format == CU_FORMAT_FLOAT, is_signed = format >= CU_FORMAT_SINT8 && format <= CU_FORMAT_SINT32;
    int bits = is_float ? (int)format : 8 << ((format & 3) - (is_signed ? 0 : 1));
    return (struct cudaChannelFormatDesc){bits, channels > 1 ? bits : 0, channels > 2 ? bits : 0, channels > 3 ? bits : 0,
                                          is_float ? CHANNEL_FLOAT : is_signed ? CHANNEL_SIGNED : CHANNEL_UNSIGNED};
}

static cudaError_t shape_of(CUarray array, CUDA_ARRAY3D_DESCRIPTOR *shape) {
    return cuArray3DGetDescriptor_v2(shape, array);
}

cudaError_t element_bytes(CUarray array, size_t *bytes) {
    CUDA_ARRAY3D_DESCRIPTOR shape;
    cudaError_t error = shape_of(array, &shape);
    if (error != CUDA_SUCCESS) return error;
    struct cudaChannelFormatDesc channel = channel_of(shape.format, shape.channels);
    *bytes = (size_t)(channel.x + channel.y + channel.z + channel.w) / 8;
    return CUDA_SUCCESS;
}

static cudaError_t make(CUarray *array, const struct cudaChannelFormatDesc *channel, struct cudaExtent extent, unsigned int flags) {
    CUDA_ARRAY3D_DESCRIPTOR shape = {extent.width, extent.height, extent.depth, 0, 0, flags};
    if (array == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = format_of(channel, &shape.format, &shape.channels);
    return error == CUDA_SUCCESS ? cuArray3DCreate_v2(array, &shape) : error;
}

CONTEXT(cudaMallocArray, (CUarray * array, const struct cudaChannelFormatDesc *channel, size_t width, size_t height, unsigned int flags),
        (array, channel, width, height, flags)) {
    return make(array, channel, (struct cudaExtent){width, height, 0}, flags);
}

CONTEXT(cudaMalloc3DArray, (CUarray * array, const struct cudaChannelFormatDesc *channel, struct cudaExtent extent, unsigned int flags),
        (array, channel, extent, flags)) {
    return make(array, channel, extent, flags);
}

CONTEXT(cudaFreeArray, (CUarray array), (array)) {
    return array == NULL ? CUDA_SUCCESS : cuArrayDestroy(array);
}

CONTEXT(cudaMallocMipmappedArray,
        (CUmipmappedArray * array, const struct cudaChannelFormatDesc *channel, struct cudaExtent extent, unsigned int levels, unsigned int flags),
        (array, channel, extent, levels, flags)) {
    CUDA_ARRAY3D_DESCRIPTOR shape = {extent.width, extent.height, extent.depth, 0, 0, flags};
    if (array == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = format_of(channel, &shape.format, &shape.channels);
    return error == CUDA_SUCCESS ? cuMipmappedArrayCreate(array, &shape, levels) : error;
}

CONTEXT(cudaFreeMipmappedArray, (CUmipmappedArray array), (array)) {
    return array == NULL ? CUDA_SUCCESS : cuMipmappedArrayDestroy(array);
}

SAME(cudaGetMipmappedArrayLevel, cuMipmappedArrayGetLevel, (CUarray * level, CUmipmappedArray array, unsigned int number), (level, array, number))

CONTEXT(cudaArrayGetInfo, (struct cudaChannelFormatDesc * channel, struct cudaExtent *extent, unsigned int *flags, CUarray array),
        (channel, extent, flags, array)) {
    CUDA_ARRAY3D_DESCRIPTOR shape;
    cudaError_t error = shape_of(array, &shape);
    if (error != CUDA_SUCCESS) return error;
    if (channel != NULL) *channel = channel_of(shape.format, shape.channels);
    if (extent != NULL) *extent = (struct cudaExtent){shape.width, shape.height, shape.depth};
    if (flags != NULL) *flags = shape.flags;
    return CUDA_SUCCESS;
}

CONTEXT(cudaGetChannelDesc, (struct cudaChannelFormatDesc * channel, CUarray array), (channel, array)) {
    CUDA_ARRAY3D_DESCRIPTOR shape;
    cudaError_t error = shape_of(array, &shape);
    if (error != CUDA_SUCCESS) return error;
    if (channel == NULL) return CUDA_ERROR_INVALID_VALUE;
    *channel = channel_of(shape.format, shape.channels);
    return CUDA_SUCCESS;
}

SAME(cudaArrayGetPlane, cuArrayGetPlane, (CUarray * plane, CUarray array, unsigned int index), (plane, array, index))
SAME(cudaArrayGetSparseProperties, cuArrayGetSparseProperties, (void *properties, CUarray array), (properties, array))
SAME(cudaArrayGetMemoryRequirements, cuArrayGetMemoryRequirements, (void *requirements, CUarray array, int device), (requirements, array, device))

SAME(cudaMipmappedArrayGetSparseProperties, cuMipmappedArrayGetSparseProperties, (void *properties, CUmipmappedArray array), (properties, array))
SAME(cudaMipmappedArrayGetMemoryRequirements, cuMipmappedArrayGetMemoryRequirements, (void *requirements, CUmipmappedArray array, int device),
     (requirements, array, device))

/* A place in an array: bytes along the row, and rows. */
struct place {
    CUarray array;
    size_t x_bytes, y;
};

static void set_to(CUDA_MEMCPY3D *box, struct place place) {
    box->dst_type = CU_MEMORY_ARRAY;
    box->dst_array = place.array;
    box->dst_x_bytes = place.x_bytes;
    box->dst_y = place.y;
}

static void set_from(CUDA_MEMCPY3D *box, struct place place) {
    box->src_type = CU_MEMORY_ARRAY;
    box->src_array = place.array;
    box->src_x_bytes = place.x_bytes;
    box->src_y = place.y;
}

static cudaError_t copy_box(CUDA_MEMCPY3D *box, size_t width, size_t height, cudaStream_t stream) {
    box->width_bytes = width;
    box->height = height;
    box->depth = 1;
    return width == 0 || height == 0 ? CUDA_SUCCESS : cuMemcpy3DAsync_v2(box, stream);
}

static cudaError_t to_array(struct place place, CUDA_MEMCPY3D box, size_t width, size_t height, int kind, cudaStream_t stream) {
    if (kind == COPY_DEVICE_TO_HOST || kind == COPY_HOST_TO_HOST) return cudaErrorInvalidMemcpyDirection;
    cudaError_t error = set_memory_types(&box, kind);
    if (error != CUDA_SUCCESS) return error;
    if (width > box.src_pitch) return cudaErrorInvalidPitchValue;
    set_to(&box, place);
    return copy_box(&box, width, height, stream);
}

static cudaError_t from_array(struct place place, CUDA_MEMCPY3D box, size_t width, size_t height, int kind, cudaStream_t stream) {
    if (kind == COPY_HOST_TO_DEVICE || kind == COPY_HOST_TO_HOST) return cudaErrorInvalidMemcpyDirection;
    cudaError_t error = set_memory_types(&box, kind);
    if (error != CUDA_SUCCESS) return error;
    if (width > box.dst_pitch) return cudaErrorInvalidPitchValue;
    set_from(&box, place);
    return copy_box(&box, width, height, stream);
}

CONTEXT(cudaMemcpy2DToArray,
        (CUarray to, size_t x, size_t y, const void *from, size_t pitch, size_t width, size_t height, int kind),
        (to, x, y, from, pitch, width, height, kind)) {
    return to_array((struct place){to, x, y}, rectangle_box(NULL, 0, from, pitch), width, height, kind, CU_STREAM_LEGACY);
}
RUNTIME_ALIAS(cudaMemcpy2DToArray_ptds, cudaMemcpy2DToArray);

CONTEXT(cudaMemcpy2DToArrayAsync,
        (CUarray to, size_t x, size_t y, const void *from, size_t pitch, size_t width, size_t height, int kind, cudaStream_t stream),
        (to, x, y, from, pitch, width, height, kind, stream)) {
    return to_array((struct place){to, x, y}, rectangle_box(NULL, 0, from, pitch), width, height, kind, stream);
}
RUNTIME_ALIAS(cudaMemcpy2DToArrayAsync_ptsz, cudaMemcpy2DToArrayAsync);

CONTEXT(cudaMemcpy2DFromArray, (void *to, size_t pitch, CUarray from, size_t x, size_t y, size_t width, size_t height, int kind),
        (to, pitch, from, x, y, width, height, kind)) {
    return from_array((struct place){from, x, y}, rectangle_box(to, pitch, NULL, 0), width, height, kind, NULL);
}
RUNTIME_ALIAS(cudaMemcpy2DFromArray_ptds, cudaMemcpy2DFromArray);

CONTEXT(cudaMemcpy2DFromArrayAsync,
        (void *to, size_t pitch, CUarray from, size_t x, size_t y, size_t width, size_t height, int kind, cudaStream_t stream),
        (to, pitch, from, x, y, width, height, kind, stream)) {
    return from_array((struct place){from, x, y}, rectangle_box(to, pitch, NULL, 0), width, height, kind, stream);
}
RUNTIME_ALIAS(cudaMemcpy2DFromArrayAsync_ptsz, cudaMemcpy2DFromArrayAsync);

static cudaError_t between(struct place to, struct place from, size_t width, size_t height, int kind) {
    CUDA_MEMCPY3D box = {0};
    if (kind != COPY_DEVICE_TO_DEVICE && kind != COPY_DEFAULT) return cudaErrorInvalidMemcpyDirection;
    set_to(&box, to);
    set_from(&box, from);
    return copy_box(&box, width, height, NULL);
}

CONTEXT(cudaMemcpy2DArrayToArray,
        (CUarray to, size_t to_x, size_t to_y, CUarray from, size_t from_x, size_t from_y, size_t width, size_t height, int kind),
        (to, to_x, to_y, from, from_x, from_y, width, height, kind)) {
    return between((struct place){to, to_x, to_y}, (struct place){from, from_x, from_y}, width, height, kind);
}
RUNTIME_ALIAS(cudaMemcpy2DArrayToArray_ptds, cudaMemcpy2DArrayToArray);

/*
 * The older forms take bytes that run on from one row of an array into the next: the rest of a row, whole rows, and part of one. Calls `run` with
 * each such piece: where it is, how many bytes went before, its width and height.
 */
typedef cudaError_t run_piece(void *wish, struct place place, size_t done, size_t width, size_t height);

static cudaError_t in_pieces(struct place place, size_t bytes, run_piece *run, void *wish) {
    CUDA_ARRAY3D_DESCRIPTOR shape;
    size_t element = 0;
    cudaError_t error = shape_of(place.array, &shape);
    if (error == CUDA_SUCCESS) error = element_bytes(place.array, &element);
    if (error != CUDA_SUCCESS) return error;
    size_t row = shape.width * element;
    if (place.x_bytes > row) return CUDA_ERROR_INVALID_VALUE;
    for (size_t done = 0; done < bytes && error == CUDA_SUCCESS;) {
        size_t left = bytes - done, width = row - place.x_bytes, height = 1;
        if (place.x_bytes == 0 && left >= row) height = left / row;
        else if (left < width) width = left;
        if (width > 0) error = run(wish, place, done, width, height);
        done += width * height;
        place.x_bytes = 0;
        place.y += height;
    }
    return error;
}

struct piece_wish {
    char *memory;
    int kind;
    cudaStream_t stream;
};

static cudaError_t piece_to(void *wish, struct place place, size_t done, size_t width, size_t height) {
    const struct piece_wish *of = wish;
    return to_array(place, rectangle_box(NULL, 0, of->memory + done, width), width, height, of->kind, of->stream);
}

static cudaError_t piece_from(void *wish, struct place place, size_t done, size_t width, size_t height) {
    const struct piece_wish *of = wish;
    return from_array(place, rectangle_box(of->memory + done, width, NULL, 0), width, height, of->kind, of->stream);
}

#define TO_ARRAY_IN_PIECES(stream)                                                                                                      \
    in_pieces((struct place){to, x, y}, bytes, piece_to, &(struct piece_wish){(char *)(uintptr_t)from, kind, stream})
#define FROM_ARRAY_IN_PIECES(stream) in_pieces((struct place){from, x, y}, bytes, piece_from, &(struct piece_wish){to, kind, stream})

CONTEXT(cudaMemcpyToArray, (CUarray to, size_t x, size_t y, const void *from, size_t bytes, int kind), (to, x, y, from, bytes, kind)) {
    return TO_ARRAY_IN_PIECES(CU_STREAM_LEGACY);
}
RUNTIME_ALIAS(cudaMemcpyToArray_ptds, cudaMemcpyToArray);

CONTEXT(cudaMemcpyToArrayAsync, (CUarray to, size_t x, size_t y, const void *from, size_t bytes, int kind, cudaStream_t stream),
        (to, x, y, from, bytes, kind, stream)) {
    return TO_ARRAY_IN_PIECES(stream);
}
RUNTIME_ALIAS(cudaMemcpyToArrayAsync_ptsz, cudaMemcpyToArrayAsync);

CONTEXT(cudaMemcpyFromArray, (void *to, CUarray from, size_t x, size_t y, size_t bytes, int kind), (to, from, x, y, bytes, kind)) {
    return FROM_ARRAY_IN_PIECES(NULL);
}
RUNTIME_ALIAS(cudaMemcpyFromArray_ptds, cudaMemcpyFromArray);

CONTEXT(cudaMemcpyFromArrayAsync, (void *to, CUarray from, size_t x, size_t y, size_t bytes, int kind, cudaStream_t stream),
        (to, from, x, y, bytes, kind, stream)) {
    return FROM_ARRAY_IN_PIECES(stream);
}
RUNTIME_ALIAS(cudaMemcpyFromArrayAsync_ptsz, cudaMemcpyFromArrayAsync);

/* Row by row, and each row as the other array breaks it. */
struct array_wish {
    struct place to;
    size_t row;
};

static cudaError_t piece_between(void *wish, struct place place, size_t done, size_t width, size_t height) {
    struct array_wish *of = wish;
    (void)done;
    for (; height > 0; height--, place.y++) {
        for (size_t moved = 0; moved < width;) {
            size_t room = of->row - of->to.x_bytes, bytes = width - moved < room ? width - moved : room;
            struct place from = {place.array, place.x_bytes + moved, place.y};
            cudaError_t error = between(of->to, from, bytes, 1, COPY_DEVICE_TO_DEVICE);
            if (error != CUDA_SUCCESS) return error;
            moved += bytes;
            of->to.x_bytes += bytes;
            if (of->to.x_bytes == of->row) of->to = (struct place){of->to.array, 0, of->to.y + 1};
        }
    }
    return CUDA_SUCCESS;
}

CONTEXT(cudaMemcpyArrayToArray, (CUarray to, size_t to_x, size_t to_y, CUarray from, size_t from_x, size_t from_y, size_t bytes, int kind),
        (to, to_x, to_y, from, from_x, from_y, bytes, kind)) {
    CUDA_ARRAY3D_DESCRIPTOR shape;
    size_t element = 0;
    if (kind != COPY_DEVICE_TO_DEVICE && kind != COPY_DEFAULT) return cudaErrorInvalidMemcpyDirection;
    cudaError_t error = shape_of(to, &shape);
    if (error == CUDA_SUCCESS) error = element_bytes(to, &element);
    if (error != CUDA_SUCCESS) return error;
    struct array_wish wish = {{to, to_x, to_y}, shape.width * element};
    if (to_x >= wish.row) return CUDA_ERROR_INVALID_VALUE;
    return in_pieces((struct place){from, from_x, from_y}, bytes, piece_between, &wish);
}
RUNTIME_ALIAS(cudaMemcpyArrayToArray_ptds, cudaMemcpyArrayToArray);
