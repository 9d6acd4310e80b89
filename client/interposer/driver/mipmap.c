/*
 * Arrays of several levels of detail: one range of the arena in which the levels stand one behind the other, each half as large as the one
 * before, each an array of its own to copies and surfaces.
 */
#include <string.h>

#include "array.h"

static struct object_pool mipmapped_arrays = OBJECT_POOL_INITIAL;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

CUresult mipmapped_array_of(CUmipmappedArray handle, struct CUmipmappedArray_st **array) {
    *array = handle;
    return object_is(handle, OBJECT_MIPMAPPED_ARRAY) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static bool has_layers(const CUDA_ARRAY3D_DESCRIPTOR *shape) {
    return (shape->flags & (CU_ARRAY_LAYERED | CU_ARRAY_CUBEMAP)) != 0;
}

static size_t half(size_t size) {
    return size <= 1 ? size : size / 2;
}

/* As many as are asked for, from one to those that it takes to come to one texel. */
static unsigned int level_count(const CUDA_ARRAY3D_DESCRIPTOR *shape, unsigned int wish) {
    size_t largest = shape->width > shape->height ? shape->width : shape->height;
    if (!has_layers(shape) && shape->depth > largest) largest = shape->depth;
    unsigned int most = 0;
    while (largest > 0 && most < LEVELS_MAX) {
        largest /= 2;
        most++;
    }
    return wish == 0 ? 1 : wish < most ? wish : most;
}

static void let_go(struct CUmipmappedArray_st *array) {
    for (unsigned int i = 0; i < array->level_count; i++) array_let_go(array->levels[i]);
    object_destroy(&mipmapped_arrays, &array->object);
}

/* All levels, and how many bytes they take; SIZE_MAX for what passes every number. */
static CUresult make_levels(struct CUmipmappedArray_st *array, unsigned int count, size_t *byte_count) {
    CUDA_ARRAY3D_DESCRIPTOR shape = array->shape;
    *byte_count = 0;
    while (array->level_count < count) {
        struct CUarray_st *level = array_make(array->context, &shape);
        if (level == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
        level->is_level = true;
        array->levels[array->level_count++] = level;
        *byte_count = level->byte_count > SIZE_MAX - *byte_count ? SIZE_MAX : *byte_count + level->byte_count;
        shape.width = half(shape.width);
        shape.height = half(shape.height);
        if (!has_layers(&shape)) shape.depth = half(shape.depth);
    }
    return CUDA_SUCCESS;
}

static CUresult place(struct CUmipmappedArray_st *array, unsigned int count) {
    size_t byte_count;
    CUdeviceptr address = 0;
    CUresult result = make_levels(array, count, &byte_count);
    if (result == CUDA_SUCCESS && byte_count == SIZE_MAX) result = CUDA_ERROR_OUT_OF_MEMORY;
    if (result == CUDA_SUCCESS) result = memory_allocate(array->context, byte_count, 512, &address);
    if (result != CUDA_SUCCESS) return result;
    array->address = address;
    for (unsigned int i = 0; i < count; i++) {
        array->levels[i]->address = address;
        address += array->levels[i]->byte_count;
    }
    return CUDA_SUCCESS;
}

API(cuMipmappedArrayCreate, (CUmipmappedArray *array, const CUDA_ARRAY3D_DESCRIPTOR *wish, unsigned int levels), (array, wish, levels)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (array == NULL || wish == NULL) return CUDA_ERROR_INVALID_VALUE;
    result = array_check(wish, context->device, true);
    if (result != CUDA_SUCCESS) return result;
    struct CUmipmappedArray_st *made = object_new(&mipmapped_arrays, OBJECT_MIPMAPPED_ARRAY, sizeof *made);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    made->context = context;
    made->shape = *wish;
    result = place(made, level_count(wish, levels));
    if (result != CUDA_SUCCESS) {
        let_go(made);
        return result;
    }
    pthread_mutex_lock(&list_lock);
    made->next = context->mipmapped_arrays;
    context->mipmapped_arrays = made;
    pthread_mutex_unlock(&list_lock);
    *array = made;
    return CUDA_SUCCESS;
}

API(cuMipmappedArrayGetLevel, (CUarray *level, CUmipmappedArray handle, unsigned int number), (level, handle, number)) {
    struct CUmipmappedArray_st *array;
    CUresult result = mipmapped_array_of(handle, &array);
    if (result != CUDA_SUCCESS) return result;
    if (level == NULL || number >= array->level_count) return CUDA_ERROR_INVALID_VALUE;
    *level = array->levels[number];
    return CUDA_SUCCESS;
}

API(cuMipmappedArrayDestroy, (CUmipmappedArray handle), (handle)) {
    struct CUmipmappedArray_st *array = handle;
    pthread_mutex_lock(&list_lock);
    if (!object_is(handle, OBJECT_MIPMAPPED_ARRAY)) {
        pthread_mutex_unlock(&list_lock);
        return CUDA_ERROR_INVALID_HANDLE;
    }
    struct CUmipmappedArray_st **at = &array->context->mipmapped_arrays;
    while (*at != array) at = &(*at)->next;
    *at = array->next;
    struct device *device = array->context->device;
    uint64_t address = array->address;
    let_go(array);
    pthread_mutex_unlock(&list_lock);
    memory_free_later(device, address);
    return CUDA_SUCCESS;
}

void mipmapped_arrays_drop(struct context *context) {
    pthread_mutex_lock(&list_lock);
    while (context->mipmapped_arrays != NULL) {
        struct CUmipmappedArray_st *gone = context->mipmapped_arrays;
        context->mipmapped_arrays = gone->next;
        let_go(gone);
    }
    pthread_mutex_unlock(&list_lock);
}

/* What only sparse and deferred arrays have, of which there are none. */
static CUresult has_none(CUmipmappedArray handle) {
    struct CUmipmappedArray_st *array;
    CUresult result = mipmapped_array_of(handle, &array);
    return result == CUDA_SUCCESS ? CUDA_ERROR_INVALID_VALUE : result;
}

API(cuMipmappedArrayGetSparseProperties, (void *properties, CUmipmappedArray array), (properties, array)) {
    (void)properties;
    return has_none(array);
}

API(cuMipmappedArrayGetMemoryRequirements, (void *requirements, CUmipmappedArray array, CUdevice device), (requirements, array, device)) {
    (void)requirements, (void)device;
    return has_none(array);
}
