/*
 * Arrays lie in the arena: rows one behind the other, planes or layers of them too. So they take exactly what they take of the slice, copies are
 * copies of memory, and a texture or surface over one is one over memory. What a GPU needs beside that is the server's to keep.
 */
#include <string.h>

#include "array.h"

static struct object_pool arrays = OBJECT_POOL_INITIAL;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

bool texel_format(int format, unsigned int channels, struct texel_format *found) {
    static const int numbers[] = {CU_FORMAT_UINT8, CU_FORMAT_UINT16, CU_FORMAT_SINT8, CU_FORMAT_SINT16};
    if (channels != 1 && channels != 2 && channels != 4) return false;
    *found = (struct texel_format){format, channels, false};
    if (format >= CU_FORMAT_PARTS && format < CU_FORMAT_PARTS_END) {
        unsigned int index = (unsigned int)(format - CU_FORMAT_PARTS);
        *found = (struct texel_format){numbers[index / 3], channels, true};
        return channels == 1u << index % 3;
    }
    return format < CU_FORMAT_FURTHER && texel_bytes(format, channels) != 0;
}

size_t texel_bytes(int format, unsigned int channels) {
    struct texel_format parts;
    if (channels != 1 && channels != 2 && channels != 4) return 0;
    if (format >= CU_FORMAT_FURTHER) return texel_format(format, channels, &parts) ? texel_bytes(parts.numbers, channels) : 0;
    switch (format) {
    case CU_FORMAT_UINT8:
    case CU_FORMAT_SINT8: return channels;
    case CU_FORMAT_UINT16:
    case CU_FORMAT_SINT16:
    case CU_FORMAT_HALF: return 2 * channels;
    case CU_FORMAT_UINT32:
    case CU_FORMAT_SINT32:
    case CU_FORMAT_FLOAT: return 4 * channels;
    default: return 0;
    }
}

size_t device_limit(const struct device *device, int attribute) {
    return device->attributes[attribute] > 0 ? (size_t)device->attributes[attribute] : SIZE_MAX;
}

CUresult array_of(CUarray handle, struct CUarray_st **array) {
    *array = handle;
    return object_is(handle, OBJECT_ARRAY) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* Limits of a kind of array, by the numbers of their attributes; 0 where the kind has no such size. */
struct limits {
    unsigned char width, height, depth;
};

static struct limits limits_of(const CUDA_ARRAY3D_DESCRIPTOR *wish, bool is_mipmapped) {
    bool is_surface = (wish->flags & CU_ARRAY_SURFACE) != 0;
    bool is_plain = wish->depth == 0 && (wish->flags & (CU_ARRAY_CUBEMAP | CU_ARRAY_LAYERED)) == 0;
    if (is_mipmapped && is_plain && !is_surface) return wish->height == 0 ? (struct limits){77, 0, 0} : (struct limits){73, 74, 0};
    if ((wish->flags & CU_ARRAY_CUBEMAP) != 0) {
        if ((wish->flags & CU_ARRAY_LAYERED) == 0) return is_surface ? (struct limits){66, 66, 0} : (struct limits){52, 52, 0};
        return is_surface ? (struct limits){67, 67, 68} : (struct limits){53, 53, 54};
    }
    if ((wish->flags & CU_ARRAY_LAYERED) != 0) {
        if (wish->height == 0) return is_surface ? (struct limits){61, 0, 62} : (struct limits){42, 0, 43};
        return is_surface ? (struct limits){63, 64, 65} : (struct limits){27, 28, 29};
    }
    if (wish->depth > 0) return is_surface ? (struct limits){58, 59, 60} : (struct limits){24, 25, 26};
    if (wish->height == 0) return is_surface ? (struct limits){55, 0, 0} : (struct limits){21, 0, 0};
    if ((wish->flags & CU_ARRAY_GATHER) != 0) return (struct limits){45, 46, 0};
    return is_surface ? (struct limits){56, 57, 0} : (struct limits){22, 23, 0};
}

/* Whether the sizes make the kind of array that the flags speak of, and the device allows them. */
static bool is_shape(const CUDA_ARRAY3D_DESCRIPTOR *wish, const struct device *device, bool is_mipmapped) {
    bool is_layered = (wish->flags & CU_ARRAY_LAYERED) != 0;
    if (wish->width == 0) return false;
    if ((wish->flags & CU_ARRAY_CUBEMAP) != 0) {
        if (wish->width != wish->height || wish->depth == 0 || wish->depth % 6 != 0) return false;
        if (!is_layered && wish->depth != 6) return false;
    } else if (is_layered ? wish->depth == 0 : wish->depth > 0 && wish->height == 0) {
        return false;
    }
    if ((wish->flags & CU_ARRAY_GATHER) != 0 && (wish->height == 0 || wish->depth > 0)) return false;
    struct limits limits = limits_of(wish, is_mipmapped);
    if (wish->width > device_limit(device, limits.width)) return false;
    if (limits.height != 0 && wish->height > device_limit(device, limits.height)) return false;
    return limits.depth == 0 || wish->depth <= device_limit(device, limits.depth);
}

CUresult array_check(const CUDA_ARRAY3D_DESCRIPTOR *wish, const struct device *device, bool is_mipmapped) {
    if (wish->format >= CU_FORMAT_FURTHER && (wish->format < CU_FORMAT_PARTS || wish->format >= CU_FORMAT_PARTS_END)) {
        trace("an array of the format [0x%x]: packed, planar and block-compressed texels are not carried over", (unsigned)wish->format);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    if (texel_bytes(wish->format, wish->channels) == 0) return CUDA_ERROR_INVALID_VALUE;
    if ((wish->flags & ~(unsigned)(CU_ARRAY_LAYERED | CU_ARRAY_SURFACE | CU_ARRAY_CUBEMAP | CU_ARRAY_GATHER)) != 0) return CUDA_ERROR_NOT_SUPPORTED;
    return is_shape(wish, device, is_mipmapped) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

bool array_is_rows(const struct CUarray_st *array) {
    const CUDA_ARRAY3D_DESCRIPTOR *shape = &array->shape;
    return strcmp(array->context->device->kind, "cuda") == 0 && shape->height > 0 && shape->depth == 0 && shape->flags == 0 && !array->is_level;
}

/* Rows stand close together, so that whole arrays are copied at once; for a GPU's textures over rows as those want them. */
static void measure(struct CUarray_st *array, const struct device *device) {
    const CUDA_ARRAY3D_DESCRIPTOR *shape = &array->shape;
    size_t rows = shape->height == 0 ? 1 : shape->height, planes = shape->depth == 0 ? 1 : shape->depth;
    int pitch_unit = device->attributes[CU_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT];
    size_t unit = array_is_rows(array) && pitch_unit > 1 ? (size_t)pitch_unit : 1;
    array->texel_bytes = texel_bytes(shape->format, shape->channels);
    array->byte_count = SIZE_MAX;
    if (shape->width > SIZE_MAX / array->texel_bytes - unit) return;
    array->pitch = (shape->width * array->texel_bytes + unit - 1) / unit * unit;
    if (rows > SIZE_MAX / array->pitch) return;
    array->plane = array->pitch * rows;
    if (planes <= SIZE_MAX / array->plane) array->byte_count = array->plane * planes;
}

struct CUarray_st *array_make(struct context *context, const CUDA_ARRAY3D_DESCRIPTOR *shape) {
    struct CUarray_st *made = object_new(&arrays, OBJECT_ARRAY, sizeof *made);
    if (made == NULL) return NULL;
    made->context = context;
    made->shape = *shape;
    made->is_level = false;
    measure(made, context->device);
    pthread_mutex_lock(&list_lock);
    made->next = context->arrays;
    context->arrays = made;
    pthread_mutex_unlock(&list_lock);
    return made;
}

/* Under `list_lock`. */
static void let_go(struct CUarray_st *array) {
    struct CUarray_st **at = &array->context->arrays;
    while (*at != array) at = &(*at)->next;
    *at = array->next;
    object_destroy(&arrays, &array->object);
}

void array_let_go(struct CUarray_st *array) {
    pthread_mutex_lock(&list_lock);
    let_go(array);
    pthread_mutex_unlock(&list_lock);
}

API(cuArray3DCreate_v2, (CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *wish), (array, wish)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (array == NULL || wish == NULL) return CUDA_ERROR_INVALID_VALUE;
    result = array_check(wish, context->device, false);
    if (result != CUDA_SUCCESS) return result;
    struct CUarray_st *made = array_make(context, wish);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    CUdeviceptr address = 0;
    result = made->byte_count == SIZE_MAX ? CUDA_ERROR_OUT_OF_MEMORY : memory_allocate(context, made->byte_count, 512, &address);
    if (result != CUDA_SUCCESS) {
        array_let_go(made);
        return result;
    }
    made->address = address;
    *array = made;
    return CUDA_SUCCESS;
}

API(cuArrayCreate_v2, (CUarray *array, const CUDA_ARRAY_DESCRIPTOR *wish), (array, wish)) {
    if (wish == NULL) return CUDA_ERROR_INVALID_VALUE;
    CUDA_ARRAY3D_DESCRIPTOR shape = {wish->width, wish->height, 0, wish->format, wish->channels, 0};
    return cuArray3DCreate_v2(array, &shape);
}

API(cuArray3DGetDescriptor_v2, (CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUarray handle), (descriptor, handle)) {
    struct CUarray_st *array;
    CUresult result = array_of(handle, &array);
    if (result != CUDA_SUCCESS) return result;
    if (descriptor == NULL) return CUDA_ERROR_INVALID_VALUE;
    *descriptor = array->shape;
    return CUDA_SUCCESS;
}

API(cuArrayGetDescriptor_v2, (CUDA_ARRAY_DESCRIPTOR *descriptor, CUarray handle), (descriptor, handle)) {
    struct CUarray_st *array;
    CUresult result = array_of(handle, &array);
    if (result != CUDA_SUCCESS) return result;
    if (descriptor == NULL) return CUDA_ERROR_INVALID_VALUE;
    *descriptor = (CUDA_ARRAY_DESCRIPTOR){array->shape.width, array->shape.height, array->shape.format, array->shape.channels};
    return CUDA_SUCCESS;
}

API(cuArrayDestroy, (CUarray handle), (handle)) {
    struct CUarray_st *array = handle;
    pthread_mutex_lock(&list_lock);
    if (!object_is(handle, OBJECT_ARRAY) || array->is_level) {
        pthread_mutex_unlock(&list_lock);
        return CUDA_ERROR_INVALID_HANDLE;
    }
    struct device *device = array->context->device;
    uint64_t address = array->address;
    let_go(array);
    pthread_mutex_unlock(&list_lock);
    memory_free_later(device, address);
    return CUDA_SUCCESS;
}

void arrays_drop(struct context *context) {
    pthread_mutex_lock(&list_lock);
    while (context->arrays != NULL) {
        struct CUarray_st *gone = context->arrays;
        context->arrays = gone->next;
        object_destroy(&arrays, &gone->object);
    }
    pthread_mutex_unlock(&list_lock);
}

/* What only sparse, deferred and planar arrays have, of which there are none. */
static CUresult has_none(CUarray handle) {
    struct CUarray_st *array;
    CUresult result = array_of(handle, &array);
    return result == CUDA_SUCCESS ? CUDA_ERROR_INVALID_VALUE : result;
}

API(cuArrayGetPlane, (CUarray *plane, CUarray array, unsigned int index), (plane, array, index)) {
    (void)plane, (void)index;
    return has_none(array);
}

API(cuArrayGetSparseProperties, (void *properties, CUarray array), (properties, array)) {
    (void)properties;
    return has_none(array);
}

API(cuArrayGetMemoryRequirements, (void *requirements, CUarray array, CUdevice device), (requirements, array, device)) {
    (void)requirements, (void)device;
    return has_none(array);
}

/* Copies of one row, from a byte of it on. */
static CUresult copy_row(CUDA_MEMCPY3D box, size_t bytes, CUstream stream) {
    box.width_bytes = bytes;
    box.height = box.depth = 1;
    return bytes == 0 ? CUDA_SUCCESS : cuMemcpy3DAsync_v2(&box, stream);
}

#define TO_ARRAY .dst_type = CU_MEMORY_ARRAY, .dst_array = array, .dst_x_bytes = offset
#define FROM_ARRAY .src_type = CU_MEMORY_ARRAY, .src_array = array, .src_x_bytes = offset

API(cuMemcpyHtoA_v2, (CUarray array, size_t offset, const void *source, size_t bytes), (array, offset, source, bytes)) {
    return copy_row((CUDA_MEMCPY3D){TO_ARRAY, .src_type = CU_MEMORY_HOST, .src_host = source}, bytes, CU_STREAM_LEGACY);
}
API(cuMemcpyHtoAAsync_v2, (CUarray array, size_t offset, const void *source, size_t bytes, CUstream stream),
    (array, offset, source, bytes, stream)) {
    return copy_row((CUDA_MEMCPY3D){TO_ARRAY, .src_type = CU_MEMORY_HOST, .src_host = source}, bytes, stream);
}
API(cuMemcpyDtoA_v2, (CUarray array, size_t offset, CUdeviceptr source, size_t bytes), (array, offset, source, bytes)) {
    return copy_row((CUDA_MEMCPY3D){TO_ARRAY, .src_type = CU_MEMORY_DEVICE, .src_device = source}, bytes, NULL);
}
API(cuMemcpyAtoH_v2, (void *destination, CUarray array, size_t offset, size_t bytes), (destination, array, offset, bytes)) {
    return copy_row((CUDA_MEMCPY3D){FROM_ARRAY, .dst_type = CU_MEMORY_HOST, .dst_host = destination}, bytes, NULL);
}
API(cuMemcpyAtoHAsync_v2, (void *destination, CUarray array, size_t offset, size_t bytes, CUstream stream),
    (destination, array, offset, bytes, stream)) {
    return copy_row((CUDA_MEMCPY3D){FROM_ARRAY, .dst_type = CU_MEMORY_HOST, .dst_host = destination}, bytes, stream);
}
API(cuMemcpyAtoD_v2, (CUdeviceptr destination, CUarray array, size_t offset, size_t bytes), (destination, array, offset, bytes)) {
    return copy_row((CUDA_MEMCPY3D){FROM_ARRAY, .dst_type = CU_MEMORY_DEVICE, .dst_device = destination}, bytes, NULL);
}
API(cuMemcpyAtoA_v2, (CUarray to, size_t to_offset, CUarray array, size_t offset, size_t bytes), (to, to_offset, array, offset, bytes)) {
    return copy_row((CUDA_MEMCPY3D){FROM_ARRAY, .dst_type = CU_MEMORY_ARRAY, .dst_array = to, .dst_x_bytes = to_offset}, bytes, NULL);
}

API_ALIAS(cuMemcpyHtoA_v2_ptds, cuMemcpyHtoA_v2);
API_ALIAS(cuMemcpyHtoAAsync_v2_ptsz, cuMemcpyHtoAAsync_v2);
API_ALIAS(cuMemcpyDtoA_v2_ptds, cuMemcpyDtoA_v2);
API_ALIAS(cuMemcpyAtoH_v2_ptds, cuMemcpyAtoH_v2);
API_ALIAS(cuMemcpyAtoHAsync_v2_ptsz, cuMemcpyAtoHAsync_v2);
API_ALIAS(cuMemcpyAtoD_v2_ptds, cuMemcpyAtoD_v2);
API_ALIAS(cuMemcpyAtoA_v2_ptds, cuMemcpyAtoA_v2);
