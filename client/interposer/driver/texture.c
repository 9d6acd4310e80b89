/*
 * Textures and surfaces. The server makes them and says by which number kernels know them; what the program said of one is kept here. Each is
 * over memory of the arena: a line of it, rows of it, an array, or all levels of one.
 */
#include <stdlib.h>
#include <string.h>

#include "array.h"

/* One of either. */
struct texture {
    struct context *context;
    uint64_t object;
    uint32_t id;
    bool is_surface, has_view;
    CUDA_RESOURCE_DESC resource;
    CUDA_TEXTURE_DESC texture;
    CUDA_RESOURCE_VIEW_DESC view;
    struct texture *next;
};

#define BUCKETS 1024

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct texture *buckets[BUCKETS];

DEFINE_SEND(texture_destroy, TEXTURE_DESTROY)
DEFINE_SEND(surface_destroy, SURFACE_DESTROY)

/* As DEFINE_CREATE, with an answer that says which number kernels take. */
#define DEFINE_ASK_OBJECT(name, OP, handle, counter)                                                                                    \
    static CUresult ask_##name(struct sluice_##name##_call *call, uint64_t *object) {                                                   \
        struct sluice_##name##_answer made;                                                                                             \
        struct answer answer = ANSWER_INITIAL;                                                                                          \
        uint8_t *at = call_begin(&driver.connection, SLUICE_OP_##OP, sluice_size_##name##_call(call));                                  \
        if (at == NULL) return connection_result();                                                                                     \
        call->handle = atomic_fetch_add(&driver.counter, 1) + 1;                                                                        \
        sluice_encode_##name##_call(at, call);                                                                                          \
        CUresult result = answer_of_call(&answer, NULL);                                                                                \
        if (result != CUDA_SUCCESS) return result;                                                                                      \
        if (sluice_decode_##name##_answer(answer.body, answer.body_bytes, &made) != 0) result = CUDA_ERROR_UNKNOWN;                     \
        else *object = made.object;                                                                                                     \
        answer_release(&answer);                                                                                                        \
        return result;                                                                                                                  \
    }
DEFINE_ASK_OBJECT(texture_create, TEXTURE_CREATE, texture, textures)
DEFINE_ASK_OBJECT(surface_create, SURFACE_CREATE, surface, surfaces)

static void send_destroy(const struct texture *gone) {
    struct sluice_texture_destroy_call texture = {.texture = gone->id};
    struct sluice_surface_destroy_call surface = {.surface = gone->id};
    if (gone->is_surface) send_surface_destroy(&surface, NULL);
    else send_texture_destroy(&texture, NULL);
}

static struct texture **bucket_of(uint64_t object) {
    return &buckets[object % BUCKETS];
}

/* Under `list_lock`. Numbers are a device's own. */
static struct texture **find(const struct device *device, uint64_t object, bool is_surface) {
    struct texture **at = bucket_of(object);
    while (*at != NULL && !((*at)->object == object && (*at)->is_surface == is_surface && (*at)->context->device == device)) at = &(*at)->next;
    return at;
}

static CUresult take_copy(uint64_t object, bool is_surface, struct texture *copy) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    pthread_mutex_lock(&list_lock);
    struct texture *found = *find(context->device, object, is_surface);
    if (found != NULL) *copy = *found;
    pthread_mutex_unlock(&list_lock);
    return found == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static CUresult destroy(uint64_t object, bool is_surface) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    pthread_mutex_lock(&list_lock);
    struct texture **at = find(context->device, object, is_surface), *gone = *at;
    if (gone != NULL) *at = gone->next;
    pthread_mutex_unlock(&list_lock);
    if (gone == NULL) return CUDA_ERROR_INVALID_VALUE;
    send_destroy(gone);
    free(gone);
    return CUDA_SUCCESS;
}

void textures_drop(struct context *context) {
    pthread_mutex_lock(&list_lock);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct texture **at = &buckets[i]; *at != NULL;) {
            struct texture *gone = *at;
            if (gone->context != context) {
                at = &gone->next;
                continue;
            }
            *at = gone->next;
            send_destroy(gone);
            free(gone);
        }
    }
    pthread_mutex_unlock(&list_lock);
}

static CUresult keep(const struct texture *made) {
    struct texture *kept = malloc(sizeof *kept);
    if (kept == NULL) {
        send_destroy(made);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *kept = *made;
    pthread_mutex_lock(&list_lock);
    kept->next = *bucket_of(made->object);
    *bucket_of(made->object) = kept;
    pthread_mutex_unlock(&list_lock);
    return CUDA_SUCCESS;
}

/* Texels in memory as the calls describe them; a surface's call, which has all of it. */
typedef struct sluice_surface_create_call texels;

static bool is_aligned(const struct device *device, uint64_t value, int attribute) {
    int unit = device->attributes[attribute];
    return unit <= 1 || value % (unsigned)unit == 0;
}

static CUresult linear_texels(const CUDA_RESOURCE_DESC *resource, const struct device *device, texels *found) {
    size_t bytes = texel_bytes(resource->of.linear.format, resource->of.linear.channels);
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    size_t width = resource->of.linear.byte_count / bytes;
    if (width == 0 || width > UINT32_MAX || width > device_limit(device, 69)) return CUDA_ERROR_INVALID_VALUE;
    if (!is_aligned(device, resource->of.linear.address, CU_ATTRIBUTE_TEXTURE_ALIGNMENT)) return CUDA_ERROR_INVALID_VALUE;
    *found = (texels){.address = resource->of.linear.address, .width = (uint32_t)width, .format = (uint32_t)resource->of.linear.format,
                      .channels = resource->of.linear.channels};
    return CUDA_SUCCESS;
}

static CUresult pitched_texels(const CUDA_RESOURCE_DESC *resource, const struct device *device, texels *found) {
    size_t width = resource->of.pitch2d.width, height = resource->of.pitch2d.height, pitch = resource->of.pitch2d.pitch;
    size_t bytes = texel_bytes(resource->of.pitch2d.format, resource->of.pitch2d.channels);
    if (bytes == 0 || width == 0 || height == 0 || width > UINT32_MAX || height > UINT32_MAX || pitch > INT64_MAX / UINT32_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (width > device_limit(device, 70) || height > device_limit(device, 71) || pitch > device_limit(device, 72)) return CUDA_ERROR_INVALID_VALUE;
    if (pitch < width * bytes || !is_aligned(device, pitch, CU_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT)) return CUDA_ERROR_INVALID_VALUE;
    if (!is_aligned(device, resource->of.pitch2d.address, CU_ATTRIBUTE_TEXTURE_ALIGNMENT)) return CUDA_ERROR_INVALID_VALUE;
    *found = (texels){.address = resource->of.pitch2d.address, .row_bytes = pitch, .width = (uint32_t)width, .height = (uint32_t)height,
                      .format = (uint32_t)resource->of.pitch2d.format, .channels = resource->of.pitch2d.channels};
    return CUDA_SUCCESS;
}

static CUresult array_texels(CUarray handle, const struct device *device, texels *found) {
    struct CUarray_st *array;
    CUresult result = array_of(handle, &array);
    if (result != CUDA_SUCCESS) return result;
    if (array->context->device != device) return CUDA_ERROR_INVALID_VALUE;
    const CUDA_ARRAY3D_DESCRIPTOR *shape = &array->shape;
    bool is_layered = (shape->flags & (CU_ARRAY_LAYERED | CU_ARRAY_CUBEMAP)) != 0;
    *found = (texels){.address = array->address, .row_bytes = array->pitch, .plane_bytes = array->plane, .width = (uint32_t)shape->width,
                      .height = (uint32_t)shape->height, .depth = is_layered ? 0 : (uint32_t)shape->depth,
                      .layers = is_layered ? (uint32_t)shape->depth : 0, .format = (uint32_t)shape->format, .channels = shape->channels};
    return CUDA_SUCCESS;
}

/* Records of a call's list, as they travel. */
struct level_record {
    uint32_t byte_count, zero;
    uint64_t address, row_bytes, plane_bytes;
};

/* Levels of detail behind the first. */
struct further_levels {
    uint32_t count;
    struct level_record records[LEVELS_MAX];
};

/* The levels of a mipmapped array that are seen, all or those of a view. */
static CUresult level_texels(const struct texture *wish, texels *found, struct further_levels *further) {
    struct CUmipmappedArray_st *array;
    CUresult result = mipmapped_array_of(wish->resource.of.mipmapped, &array);
    if (result != CUDA_SUCCESS) return result;
    unsigned int first = wish->has_view ? wish->view.first_level : 0, last = wish->has_view ? wish->view.last_level : array->level_count - 1;
    if (first > last || last >= array->level_count) return CUDA_ERROR_INVALID_VALUE;
    result = array_texels(array->levels[first], wish->context->device, found);
    for (unsigned int i = first + 1; i <= last && result == CUDA_SUCCESS; i++) {
        const struct CUarray_st *level = array->levels[i];
        further->records[further->count++] =
            (struct level_record){sizeof(struct level_record) - 8, 0, level->address, level->pitch, level->plane};
    }
    return result;
}

static CUresult texels_of(const struct texture *wish, texels *found, struct further_levels *further) {
    const CUDA_RESOURCE_DESC *resource = &wish->resource;
    const struct device *device = wish->context->device;
    if (resource->flags != 0) return CUDA_ERROR_INVALID_VALUE;
    CUresult result;
    switch (resource->type) {
    case CU_RESOURCE_ARRAY: return array_texels(resource->of.array, device, found);
    case CU_RESOURCE_MIPMAPPED_ARRAY: return level_texels(wish, found, further);
    case CU_RESOURCE_LINEAR: result = linear_texels(resource, device, found); break;
    case CU_RESOURCE_PITCH2D: result = pitched_texels(resource, device, found); break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    if (result != CUDA_SUCCESS) return result;
    struct device *owner;
    size_t row = found->width * texel_bytes((int)found->format, found->channels);
    uint64_t bytes = row + (found->height > 0 ? (uint64_t)(found->height - 1) * found->row_bytes : 0);
    if (range_check(found->address, bytes, &owner) != CUDA_SUCCESS || owner != device) return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* The same texels read as others of their size, or some of the layers alone. */
static CUresult look_through(const struct texture *wish, texels *found, struct further_levels *further) {
    const CUDA_RESOURCE_VIEW_DESC *view = &wish->view;
    const CUDA_RESOURCE_DESC *resource = &wish->resource;
    static const unsigned char formats[] = {CU_FORMAT_UINT8, CU_FORMAT_SINT8, CU_FORMAT_UINT16, CU_FORMAT_SINT16,
                                            CU_FORMAT_UINT32, CU_FORMAT_SINT32, CU_FORMAT_HALF, CU_FORMAT_FLOAT};
    bool is_mipmapped = resource->type == CU_RESOURCE_MIPMAPPED_ARRAY;
    if ((resource->type != CU_RESOURCE_ARRAY && !is_mipmapped) || view->format < 0) return CUDA_ERROR_INVALID_VALUE;
    const CUDA_ARRAY3D_DESCRIPTOR *shape = is_mipmapped ? &resource->of.mipmapped->shape : &resource->of.array->shape;
    if (view->format > 24) {
        trace("a view of the format [0x%x]: block-compressed texels are not carried over", (unsigned)view->format);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    if (view->width != shape->width || view->height != shape->height || view->depth != shape->depth) return CUDA_ERROR_INVALID_VALUE;
    if (!is_mipmapped && (view->first_level != 0 || view->last_level != 0)) return CUDA_ERROR_INVALID_VALUE;
    if (view->first_layer > view->last_layer) return CUDA_ERROR_INVALID_VALUE;
    if (view->last_layer >= (found->layers > 0 ? found->layers : 1)) return CUDA_ERROR_INVALID_VALUE;
    if (view->format > 0) {
        int format = formats[(view->format - 1) / 3];
        unsigned channels = 1u << (view->format - 1) % 3;
        if (texel_bytes(format, channels) != texel_bytes((int)found->format, found->channels)) return CUDA_ERROR_INVALID_VALUE;
        found->format = (uint32_t)format;
        found->channels = channels;
    }
    if (found->layers > 0) {
        found->address += view->first_layer * found->plane_bytes;
        for (uint32_t i = 0; i < further->count; i++) further->records[i].address += view->first_layer * further->records[i].plane_bytes;
        found->layers = view->last_layer - view->first_layer + 1;
    }
    return CUDA_SUCCESS;
}

/* The call's numbers for resources. */
static uint32_t resource_number(const CUDA_RESOURCE_DESC *resource) {
    if (resource->type == CU_RESOURCE_LINEAR) return 0;
    if (resource->type == CU_RESOURCE_PITCH2D) return 1;
    return resource->type == CU_RESOURCE_ARRAY && array_is_rows(resource->of.array) ? 1 : 2;
}

/* Whether its modes are some, and go with what is read. */
static CUresult check_modes(const struct texture *wish, bool is_whole) {
    const CUDA_TEXTURE_DESC *texture = &wish->texture;
    for (int axis = 0; axis < 3; axis++)
        if (texture->address_mode[axis] < 0 || texture->address_mode[axis] > CU_ADDRESS_BORDER) return CUDA_ERROR_INVALID_VALUE;
    if (texture->filter_mode != CU_FILTER_POINT && texture->filter_mode != CU_FILTER_LINEAR) return CUDA_ERROR_INVALID_VALUE;
    if (is_whole && texture->filter_mode == CU_FILTER_LINEAR && wish->resource.type != CU_RESOURCE_LINEAR) return CUDA_ERROR_INVALID_VALUE;
    if (wish->resource.type == CU_RESOURCE_MIPMAPPED_ARRAY) {
        if (texture->mipmap_filter_mode != CU_FILTER_POINT && texture->mipmap_filter_mode != CU_FILTER_LINEAR) return CUDA_ERROR_INVALID_VALUE;
        if ((texture->flags & CU_TEXTURE_NORMALIZED) == 0) return CUDA_ERROR_INVALID_VALUE;
    }
    const unsigned known = CU_TEXTURE_READ_AS_INTEGER | CU_TEXTURE_NORMALIZED | CU_TEXTURE_SRGB | CU_TEXTURE_DISABLE_TRILINEAR | CU_TEXTURE_SEAMLESS;
    return (texture->flags & ~known) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static unsigned int array_flags(const CUDA_RESOURCE_DESC *resource) {
    return resource->type == CU_RESOURCE_ARRAY             ? resource->of.array->shape.flags
           : resource->type == CU_RESOURCE_MIPMAPPED_ARRAY ? resource->of.mipmapped->shape.flags
                                                           : 0;
}

/* Whether the faces of a cube are read: all six of one, or of several. */
static bool is_cube(const CUDA_RESOURCE_DESC *resource, const texels *found) {
    return (array_flags(resource) & CU_ARRAY_CUBEMAP) != 0 && found->layers % 6 == 0;
}

/* Flags of the call. */
enum { CALL_INTEGERS = 1, CALL_NORMALIZED = 2, CALL_CUBE = 4, CALL_SRGB = 8, CALL_SEAMLESS = 16, CALL_CUBE_LAYERS = 32 };

static CUresult describe(const struct texture *wish, struct sluice_texture_create_call *call, struct further_levels *further) {
    const CUDA_TEXTURE_DESC *texture = &wish->texture;
    texels found;
    struct texel_format format;
    CUresult result = texels_of(wish, &found, further);
    if (result == CUDA_SUCCESS && wish->has_view) result = look_through(wish, &found, further);
    if (result != CUDA_SUCCESS) return result;
    if (!texel_format((int)found.format, found.channels, &format)) return CUDA_ERROR_INVALID_VALUE;
    bool is_float = format.numbers == CU_FORMAT_HALF || format.numbers == CU_FORMAT_FLOAT;
    bool is_wide = format.numbers == CU_FORMAT_UINT32 || format.numbers == CU_FORMAT_SINT32;
    bool as_integers = (texture->flags & CU_TEXTURE_READ_AS_INTEGER) != 0 && !format.is_parts;
    result = check_modes(wish, !is_float && (as_integers || is_wide));
    if (result != CUDA_SUCCESS) return result;
    /* Other numbers than bytes have no such conversion. */
    bool is_srgb = (texture->flags & CU_TEXTURE_SRGB) != 0 && format.numbers == CU_FORMAT_UINT8 && !as_integers;
    bool cube = is_cube(&wish->resource, &found), is_seamless = (texture->flags & CU_TEXTURE_SEAMLESS) != 0;
    if (is_seamless && !cube) return CUDA_ERROR_INVALID_VALUE;
    uint32_t border[4];
    memcpy(border, texture->border, sizeof border);
    *call = (struct sluice_texture_create_call){
        .resource = resource_number(&wish->resource), .address = found.address, .row_bytes = found.row_bytes,
        .plane_bytes = found.plane_bytes, .width = found.width, .height = found.height, .depth = found.depth, .layers = found.layers,
        .format = (uint32_t)format.numbers, .channels = found.channels, .address_mode_x = (uint32_t)texture->address_mode[0],
        .address_mode_y = (uint32_t)texture->address_mode[1], .address_mode_z = (uint32_t)texture->address_mode[2],
        /* Lines of memory are not filtered, whatever is asked. */
        .filter = wish->resource.type == CU_RESOURCE_LINEAR ? 0 : (uint32_t)texture->filter_mode,
        .flags = (as_integers ? CALL_INTEGERS : 0u) | (cube || (texture->flags & CU_TEXTURE_NORMALIZED) ? CALL_NORMALIZED : 0u) |
                 (cube ? CALL_CUBE : 0u) | (cube && (array_flags(&wish->resource) & CU_ARRAY_LAYERED) ? CALL_CUBE_LAYERS : 0u) | (is_srgb ? CALL_SRGB : 0u) | (is_seamless ? CALL_SEAMLESS : 0u),
        .border_x = border[0], .border_y = border[1], .border_z = border[2], .border_w = border[3],
    };
    if (wish->resource.type != CU_RESOURCE_MIPMAPPED_ARRAY) return CUDA_SUCCESS;
    call->level_filter = (uint32_t)texture->mipmap_filter_mode;
    call->level_bias = texture->mipmap_bias;
    call->level_least = texture->mipmap_least;
    call->level_most = texture->mipmap_most;
    call->levels = (struct sluice_list){(const uint8_t *)further->records, further->count * sizeof(struct level_record), further->count};
    return CUDA_SUCCESS;
}

API(cuTexObjectCreate,
    (CUtexObject *object, const CUDA_RESOURCE_DESC *resource, const CUDA_TEXTURE_DESC *texture, const CUDA_RESOURCE_VIEW_DESC *view),
    (object, resource, texture, view)) {
    struct texture made = {0};
    struct sluice_texture_create_call call;
    struct further_levels further = {0};
    CUresult result = current_context(&made.context);
    if (result != CUDA_SUCCESS) return result;
    if (object == NULL || resource == NULL || texture == NULL) return CUDA_ERROR_INVALID_VALUE;
    made.resource = *resource;
    made.texture = *texture;
    made.has_view = view != NULL;
    if (view != NULL) made.view = *view;
    result = describe(&made, &call, &further);
    if (result == CUDA_SUCCESS) result = ask_texture_create(&call, &made.object);
    if (result != CUDA_SUCCESS) return result;
    made.id = call.texture;
    result = keep(&made);
    if (result == CUDA_SUCCESS) *object = made.object;
    return result;
}

API(cuSurfObjectCreate, (CUsurfObject *object, const CUDA_RESOURCE_DESC *resource), (object, resource)) {
    struct texture made = {.is_surface = true};
    texels call;
    struct texel_format format;
    CUresult result = current_context(&made.context);
    if (result != CUDA_SUCCESS) return result;
    if (object == NULL || resource == NULL || resource->type != CU_RESOURCE_ARRAY) return CUDA_ERROR_INVALID_VALUE;
    made.resource = *resource;
    result = texels_of(&made, &call, NULL);
    if (result != CUDA_SUCCESS) return result;
    /* A GPU's array must be made for surfaces. */
    bool is_card = strcmp(made.context->device->kind, "cuda") == 0;
    if (is_card && (resource->of.array->shape.flags & CU_ARRAY_SURFACE) == 0) return CUDA_ERROR_INVALID_VALUE;
    if (!texel_format((int)call.format, call.channels, &format)) return CUDA_ERROR_INVALID_VALUE;
    call.format = (uint32_t)format.numbers;
    call.flags = format.is_parts ? 1 : 0;
    result = ask_surface_create(&call, &made.object);
    if (result != CUDA_SUCCESS) return result;
    made.id = call.surface;
    result = keep(&made);
    if (result == CUDA_SUCCESS) *object = made.object;
    return result;
}

API(cuTexObjectDestroy, (CUtexObject object), (object)) {
    return destroy(object, false);
}
API(cuSurfObjectDestroy, (CUsurfObject object), (object)) {
    return destroy(object, true);
}

API(cuTexObjectGetResourceDesc, (CUDA_RESOURCE_DESC *resource, CUtexObject object), (resource, object)) {
    struct texture found;
    CUresult result = take_copy(object, false, &found);
    if (result != CUDA_SUCCESS || resource == NULL) return CUDA_ERROR_INVALID_VALUE;
    *resource = found.resource;
    return CUDA_SUCCESS;
}

API(cuSurfObjectGetResourceDesc, (CUDA_RESOURCE_DESC *resource, CUsurfObject object), (resource, object)) {
    struct texture found;
    CUresult result = take_copy(object, true, &found);
    if (result != CUDA_SUCCESS || resource == NULL) return CUDA_ERROR_INVALID_VALUE;
    *resource = found.resource;
    return CUDA_SUCCESS;
}

API(cuTexObjectGetTextureDesc, (CUDA_TEXTURE_DESC *texture, CUtexObject object), (texture, object)) {
    struct texture found;
    CUresult result = take_copy(object, false, &found);
    if (result != CUDA_SUCCESS || texture == NULL) return CUDA_ERROR_INVALID_VALUE;
    *texture = found.texture;
    return CUDA_SUCCESS;
}

API(cuTexObjectGetResourceViewDesc, (CUDA_RESOURCE_VIEW_DESC *view, CUtexObject object), (view, object)) {
    struct texture found;
    CUresult result = take_copy(object, false, &found);
    if (result != CUDA_SUCCESS || view == NULL || !found.has_view) return CUDA_ERROR_INVALID_VALUE;
    *view = found.view;
    return CUDA_SUCCESS;
}

API(cuDeviceGetTexture1DLinearMaxWidth, (size_t *width, int format, unsigned int channels, CUdevice device), (width, format, channels, device)) {
    struct device *found;
    CUresult result = device_of(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (width == NULL || texel_bytes(format, channels) == 0) return CUDA_ERROR_INVALID_VALUE;
    size_t limit = device_limit(found, 69), memory = found->arena.byte_count / texel_bytes(format, channels);
    *width = limit < memory ? limit : memory;
    return CUDA_SUCCESS;
}
