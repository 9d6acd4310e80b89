/* Textures and surfaces of the runtime API, which are the driver's by other descriptions. */
#include <string.h>

#include "runtime.h"

struct cudaResourceDesc {
    int type;
    union {
        CUarray array;
        CUmipmappedArray mipmapped;
        struct {
            void *pointer;
            struct cudaChannelFormatDesc channel;
            size_t byte_count;
        } linear;
        struct {
            void *pointer;
            struct cudaChannelFormatDesc channel;
            size_t width, height, pitch;
        } pitch2d;
        int reserved[32];
    } of;
    unsigned int flags;
};

/* cudaTextureReadMode */
enum { READ_ELEMENTS = 0, READ_NORMALIZED = 1 };

struct cudaTextureDesc {
    int address_mode[3];
    int filter_mode;
    int read_mode;
    int srgb;
    float border[4];
    int is_normalized;
    unsigned int anisotropy;
    int mipmap_filter_mode;
    float mipmap_bias, mipmap_least, mipmap_most;
    int disable_trilinear;
    int seamless;
};

static cudaError_t resource_of(const struct cudaResourceDesc *wish, CUDA_RESOURCE_DESC *resource) {
    memset(resource, 0, sizeof *resource);
    resource->type = wish->type;
    resource->flags = wish->flags;
    switch (wish->type) {
    case CU_RESOURCE_LINEAR:
        resource->of.linear.address = (CUdeviceptr)(uintptr_t)wish->of.linear.pointer;
        resource->of.linear.byte_count = wish->of.linear.byte_count;
        return format_of(&wish->of.linear.channel, &resource->of.linear.format, &resource->of.linear.channels);
    case CU_RESOURCE_PITCH2D:
        resource->of.pitch2d.address = (CUdeviceptr)(uintptr_t)wish->of.pitch2d.pointer;
        resource->of.pitch2d.width = wish->of.pitch2d.width;
        resource->of.pitch2d.height = wish->of.pitch2d.height;
        resource->of.pitch2d.pitch = wish->of.pitch2d.pitch;
        return format_of(&wish->of.pitch2d.channel, &resource->of.pitch2d.format, &resource->of.pitch2d.channels);
    case CU_RESOURCE_MIPMAPPED_ARRAY: resource->of.mipmapped = wish->of.mipmapped; return CUDA_SUCCESS;
    default: resource->of.array = wish->of.array; return CUDA_SUCCESS;
    }
}

static void describe_resource(const CUDA_RESOURCE_DESC *found, struct cudaResourceDesc *resource) {
    memset(resource, 0, sizeof *resource);
    resource->type = found->type;
    if (found->type == CU_RESOURCE_LINEAR) {
        resource->of.linear.pointer = (void *)(uintptr_t)found->of.linear.address;
        resource->of.linear.channel = channel_of(found->of.linear.format, found->of.linear.channels);
        resource->of.linear.byte_count = found->of.linear.byte_count;
    } else if (found->type == CU_RESOURCE_PITCH2D) {
        resource->of.pitch2d.pointer = (void *)(uintptr_t)found->of.pitch2d.address;
        resource->of.pitch2d.channel = channel_of(found->of.pitch2d.format, found->of.pitch2d.channels);
        resource->of.pitch2d.width = found->of.pitch2d.width;
        resource->of.pitch2d.height = found->of.pitch2d.height;
        resource->of.pitch2d.pitch = found->of.pitch2d.pitch;
    } else if (found->type == CU_RESOURCE_MIPMAPPED_ARRAY) resource->of.mipmapped = found->of.mipmapped;
    else resource->of.array = found->of.array;
}

/* The format that will be read, to tell mistakes by the runtime's own errors. */
static cudaError_t format_read(const CUDA_RESOURCE_DESC *resource, const CUDA_RESOURCE_VIEW_DESC *view, int *format) {
    CUDA_ARRAY3D_DESCRIPTOR shape;
    CUarray array = resource->of.array;
    if (resource->type == CU_RESOURCE_LINEAR) *format = resource->of.linear.format;
    else if (resource->type == CU_RESOURCE_PITCH2D) *format = resource->of.pitch2d.format;
    else if (resource->type == CU_RESOURCE_ARRAY || resource->type == CU_RESOURCE_MIPMAPPED_ARRAY) {
        cudaError_t error = resource->type == CU_RESOURCE_ARRAY ? CUDA_SUCCESS : cuMipmappedArrayGetLevel(&array, resource->of.mipmapped, 0);
        if (error == CUDA_SUCCESS) error = cuArray3DGetDescriptor_v2(&shape, array);
        if (error != CUDA_SUCCESS) return error;
        *format = view != NULL && view->format != 0 ? CU_FORMAT_FLOAT : shape.format; /* The driver looks at views. */
    } else *format = CU_FORMAT_FLOAT;
    return CUDA_SUCCESS;
}

static cudaError_t check_reading(const struct cudaTextureDesc *wish, int format, int resource_type) {
    bool is_float = format == CU_FORMAT_HALF || format == CU_FORMAT_FLOAT || format >= CU_FORMAT_PARTS;
    bool is_wide = format == CU_FORMAT_UINT32 || format == CU_FORMAT_SINT32;
    if (wish->read_mode == READ_NORMALIZED && is_wide) return cudaErrorInvalidNormSetting;
    bool is_whole = !is_float && wish->read_mode == READ_ELEMENTS;
    return is_whole && wish->filter_mode == CU_FILTER_LINEAR && resource_type != CU_RESOURCE_LINEAR ? cudaErrorInvalidFilterSetting : CUDA_SUCCESS;
}

static CUDA_TEXTURE_DESC texture_of(const struct cudaTextureDesc *wish) {
    CUDA_TEXTURE_DESC texture = {
        .filter_mode = wish->filter_mode, .anisotropy = wish->anisotropy, .mipmap_filter_mode = wish->mipmap_filter_mode,
        .mipmap_bias = wish->mipmap_bias, .mipmap_least = wish->mipmap_least, .mipmap_most = wish->mipmap_most,
        .flags = (wish->read_mode == READ_ELEMENTS ? CU_TEXTURE_READ_AS_INTEGER : 0u) | (wish->is_normalized != 0 ? CU_TEXTURE_NORMALIZED : 0u) |
                 (wish->srgb != 0 ? CU_TEXTURE_SRGB : 0u) | (wish->disable_trilinear != 0 ? CU_TEXTURE_DISABLE_TRILINEAR : 0u) |
                 (wish->seamless != 0 ? CU_TEXTURE_SEAMLESS : 0u),
    };
    memcpy(texture.address_mode, wish->address_mode, sizeof texture.address_mode);
    memcpy(texture.border, wish->border, sizeof texture.border);
    return texture;
}

CONTEXT(cudaCreateTextureObject,
        (CUtexObject * object, const struct cudaResourceDesc *resource, const struct cudaTextureDesc *texture, const CUDA_RESOURCE_VIEW_DESC *view),
        (object, resource, texture, view)) {
    CUDA_RESOURCE_DESC wish;
    int format;
    if (object == NULL || resource == NULL || texture == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = resource_of(resource, &wish);
    if (error == CUDA_SUCCESS) error = format_read(&wish, view, &format);
    if (error == CUDA_SUCCESS) error = check_reading(texture, format, wish.type);
    if (error != CUDA_SUCCESS) return error;
    CUDA_TEXTURE_DESC description = texture_of(texture);
    return cuTexObjectCreate(object, &wish, &description, view);
}

/* 0 was never made; destroying it does nothing. */
CONTEXT(cudaDestroyTextureObject, (CUtexObject object), (object)) {
    return object == 0 ? CUDA_SUCCESS : cuTexObjectDestroy(object);
}

CONTEXT(cudaGetTextureObjectResourceDesc, (struct cudaResourceDesc * resource, CUtexObject object), (resource, object)) {
    CUDA_RESOURCE_DESC found;
    cudaError_t error = cuTexObjectGetResourceDesc(&found, object);
    if (error != CUDA_SUCCESS) return error;
    if (resource == NULL) return CUDA_ERROR_INVALID_VALUE;
    describe_resource(&found, resource);
    return CUDA_SUCCESS;
}

CONTEXT(cudaGetTextureObjectTextureDesc, (struct cudaTextureDesc * texture, CUtexObject object), (texture, object)) {
    CUDA_TEXTURE_DESC found;
    cudaError_t error = cuTexObjectGetTextureDesc(&found, object);
    if (error != CUDA_SUCCESS) return error;
    if (texture == NULL) return CUDA_ERROR_INVALID_VALUE;
    *texture = (struct cudaTextureDesc){
        .filter_mode = found.filter_mode, .read_mode = (found.flags & CU_TEXTURE_READ_AS_INTEGER) != 0 ? READ_ELEMENTS : READ_NORMALIZED,
        .srgb = (found.flags & CU_TEXTURE_SRGB) != 0, .is_normalized = (found.flags & CU_TEXTURE_NORMALIZED) != 0,
        .anisotropy = found.anisotropy, .mipmap_filter_mode = found.mipmap_filter_mode, .mipmap_bias = found.mipmap_bias,
        .mipmap_least = found.mipmap_least, .mipmap_most = found.mipmap_most,
        .disable_trilinear = (found.flags & CU_TEXTURE_DISABLE_TRILINEAR) != 0, .seamless = (found.flags & CU_TEXTURE_SEAMLESS) != 0,
    };
    memcpy(texture->address_mode, found.address_mode, sizeof texture->address_mode);
    memcpy(texture->border, found.border, sizeof texture->border);
    return CUDA_SUCCESS;
}

SAME(cudaGetTextureObjectResourceViewDesc, cuTexObjectGetResourceViewDesc, (CUDA_RESOURCE_VIEW_DESC * view, CUtexObject object), (view, object))

CONTEXT(cudaCreateSurfaceObject, (CUsurfObject * object, const struct cudaResourceDesc *resource), (object, resource)) {
    CUDA_RESOURCE_DESC wish;
    if (object == NULL || resource == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = resource_of(resource, &wish);
    return error == CUDA_SUCCESS ? cuSurfObjectCreate(object, &wish) : error;
}

CONTEXT(cudaDestroySurfaceObject, (CUsurfObject object), (object)) {
    return object == 0 ? CUDA_SUCCESS : cuSurfObjectDestroy(object);
}

CONTEXT(cudaGetSurfaceObjectResourceDesc, (struct cudaResourceDesc * resource, CUsurfObject object), (resource, object)) {
    CUDA_RESOURCE_DESC found;
    cudaError_t error = cuSurfObjectGetResourceDesc(&found, object);
    if (error != CUDA_SUCCESS) return error;
    if (resource == NULL) return CUDA_ERROR_INVALID_VALUE;
    describe_resource(&found, resource);
    return CUDA_SUCCESS;
}

CONTEXT(cudaDeviceGetTexture1DLinearMaxWidth, (size_t *width, const struct cudaChannelFormatDesc *channel, int device), (width, channel, device)) {
    int format;
    unsigned int channels;
    cudaError_t error = format_of(channel, &format, &channels);
    return error == CUDA_SUCCESS ? cuDeviceGetTexture1DLinearMaxWidth(width, format, channels, device) : error;
}
