/*
 * Backend descriptors of cuDNN's graph API. Attributes are kept until a descriptor is finalized: then it goes to the server in one call, which makes, sets and
 * finalizes it there. What a variant pack says is read when a plan is carried out (execute.c).
 */
#include <stdlib.h>
#include <string.h>

#include "descriptor.h"

#define DESCRIPTOR_MAGIC 0x51c0de5cu
#define DATA_TYPE_ATTRIBUTE 901

bool is_descriptor(const struct backend_descriptor *descriptor, int type) {
    return descriptor != NULL && descriptor->magic == DESCRIPTOR_MAGIC && descriptor->type == type;
}

static bool is_any(const struct backend_descriptor *descriptor) {
    return descriptor != NULL && descriptor->magic == DESCRIPTOR_MAGIC;
}

const struct attribute *attribute_of(const struct backend_descriptor *descriptor, uint32_t name) {
    for (size_t i = 0; i < descriptor->attribute_count; i++)
        if (descriptor->attributes[i].name == name) return &descriptor->attributes[i];
    return NULL;
}

/* Bytes of an element in the program's memory. */
static size_t element_bytes(uint32_t type) {
    switch (type) {
    case TYPE_HANDLE:
    case TYPE_INT64:
    case TYPE_DOUBLE:
    case TYPE_VOID_PTR:
    case TYPE_BACKEND_DESCRIPTOR: return 8;
    case TYPE_BOOLEAN:
    case TYPE_CHAR: return 1;
    case TYPE_FRACTION: return 16;
    default: return 4;
    }
}

LIBRARY_API(cudnnBackendCreateDescriptor, (int type, void **descriptor), (type, descriptor)) {
    if (descriptor == NULL) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *descriptor = NULL;
    if (type < 0 || type >= BACKEND_COUNT) return refuse("cudnnBackendCreateDescriptor", "descriptors of type [%d] are not known", type);
    struct backend_descriptor *made = calloc(1, sizeof *made);
    if (made == NULL) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    made->magic = DESCRIPTOR_MAGIC;
    made->type = type;
    *descriptor = made;
    return CUDNN_STATUS_SUCCESS;
}

static void drop_attributes(struct backend_descriptor *descriptor) {
    for (size_t i = 0; i < descriptor->attribute_count; i++) free((void *)(uintptr_t)descriptor->attributes[i].data.data);
    for (size_t i = 0; i < descriptor->need_count; i++) sluiceLibraryDrop(descriptor->needs[i]);
    free(descriptor->attributes);
    free(descriptor->needs);
    descriptor->attributes = NULL, descriptor->needs = NULL;
    descriptor->attribute_count = descriptor->need_count = 0;
}

LIBRARY_API(cudnnBackendDestroyDescriptor, (void *given), (given)) {
    struct backend_descriptor *descriptor = given;
    if (!is_any(descriptor)) return CUDNN_STATUS_BAD_PARAM;
    drop_attributes(descriptor);
    sluiceLibraryDrop(descriptor->object);
    free(descriptor->values);
    descriptor->magic = 0;
    free(descriptor);
    return CUDNN_STATUS_SUCCESS;
}

/* The numbers of other descriptors in place of their addresses; they are held from then on. */
static cudnnStatus_t name_descriptors(struct backend_descriptor *descriptor, const struct backend_descriptor *const *named, uint32_t count,
                                      uint32_t *handles) {
    struct sluice_library_object **needs = realloc(descriptor->needs, (descriptor->need_count + count) * sizeof *needs);
    if (needs == NULL) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    descriptor->needs = needs;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_any(named[i])) return CUDNN_STATUS_BAD_PARAM;
        if (named[i]->object == NULL) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
        needs[descriptor->need_count++] = sluiceLibraryHold(named[i]->object);
        handles[i] = named[i]->object->handle;
    }
    return CUDNN_STATUS_SUCCESS;
}

/* Copies elements as they travel into memory of malloc. */
static cudnnStatus_t copy_elements(struct backend_descriptor *descriptor, struct attribute *attribute, const void *elements) {
    bool is_naming = attribute->type == TYPE_BACKEND_DESCRIPTOR;
    size_t bytes = attribute->count * (is_naming ? sizeof(uint32_t) : attribute->type == TYPE_HANDLE ? 0 : element_bytes(attribute->type));
    void *data = malloc(bytes + 1);
    if (data == NULL) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    if (is_naming) status = name_descriptors(descriptor, elements, attribute->count, data);
    else if (attribute->type == TYPE_HANDLE) status = is_handle(*(cudnnHandle_t const *)elements) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
    else memcpy(data, elements, bytes);
    if (status == CUDNN_STATUS_SUCCESS) attribute->data = (struct sluice_bytes){data, bytes};
    else free(data);
    return status;
}

/* The place of the attribute that was set before, or a new one. */
static struct attribute *place_of(struct backend_descriptor *descriptor, uint32_t name) {
    struct attribute *found = (struct attribute *)(uintptr_t)attribute_of(descriptor, name);
    if (found != NULL) return found;
    struct attribute *larger = realloc(descriptor->attributes, (descriptor->attribute_count + 1) * sizeof *larger);
    if (larger == NULL) return NULL;
    descriptor->attributes = larger;
    larger[descriptor->attribute_count] = (struct attribute){.name = name};
    return &larger[descriptor->attribute_count++];
}

LIBRARY_API(cudnnBackendSetAttribute, (void *given, int name, int type, int64_t count, const void *elements), (given, name, type, count, elements)) {
    struct backend_descriptor *descriptor = given;
    if (!is_any(descriptor)) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (descriptor->is_finalized) return CUDNN_STATUS_NOT_INITIALIZED;
    if (name < 0 || count < 0 || count > UINT32_MAX / 16) return CUDNN_STATUS_BAD_PARAM;
    if (count > 0 && elements == NULL) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    bool is_pointer = type == TYPE_VOID_PTR, has_pointers = descriptor->type == BACKEND_VARIANT_PACK;
    if (type < 0 || type >= TYPE_COUNT || (is_pointer && !has_pointers) || (type == TYPE_HANDLE && count != 1)) return CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE;
    struct attribute attribute = {(uint32_t)name, (uint32_t)type, (uint32_t)count, {0}};
    cudnnStatus_t status = copy_elements(descriptor, &attribute, elements);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    struct attribute *place = place_of(descriptor, attribute.name);
    if (place == NULL) {
        free((void *)(uintptr_t)attribute.data.data);
        return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    }
    free((void *)(uintptr_t)place->data.data);
    *place = attribute;
    return CUDNN_STATUS_SUCCESS;
}

/* The attributes as records of a list, in memory of malloc. */
static struct sluice_list list_of(const struct backend_descriptor *descriptor) {
    struct sluice_list list = {.count = (uint32_t)descriptor->attribute_count};
    for (size_t i = 0; i < descriptor->attribute_count; i++) {
        const struct attribute *each = &descriptor->attributes[i];
        struct sluice_dnn_attribute record = {each->name, each->type, each->count, each->data};
        list.byte_count += sluice_size_record(sluice_size_dnn_attribute(&record));
    }
    uint8_t *at = malloc(list.byte_count + 1);
    list.data = at;
    for (size_t i = 0; i < descriptor->attribute_count && at != NULL; i++) {
        const struct attribute *each = &descriptor->attributes[i];
        struct sluice_dnn_attribute record = {each->name, each->type, each->count, each->data};
        at = sluice_put_record(at, sluice_size_dnn_attribute(&record));
        sluice_encode_dnn_attribute(at, &record);
        at += sluice_size_dnn_attribute(&record);
    }
    return list;
}

/* What the type of a tensor's elements says of their bytes, by cudnnDataType_t. */
static uint32_t value_bytes(const struct backend_descriptor *tensor) {
    static const uint8_t bytes[] = {4, 8, 2, 1, 4, 4, 1, 4, 32, 2, 8, 1, 1, 1, 4, 1, 1, 1, 1, 4, 8, 16};
    const struct attribute *is_by_value = attribute_of(tensor, ATTRIBUTE_TENSOR_IS_BY_VALUE), *type = attribute_of(tensor, DATA_TYPE_ATTRIBUTE);
    if (is_by_value == NULL || is_by_value->data.byte_count != 1 || *(const uint8_t *)is_by_value->data.data == 0) return 0;
    if (type == NULL || type->data.byte_count != sizeof(uint32_t)) return 0;
    uint32_t number = sluice_get_u32(type->data.data);
    return number < sizeof bytes && bytes[number] <= 16 ? bytes[number] : 0;
}

static void note_value(const struct backend_descriptor *tensor, struct sluice_library_object *object) {
    const struct attribute *uid = attribute_of(tensor, ATTRIBUTE_TENSOR_UNIQUE_ID);
    if (uid == NULL || uid->data.byte_count != sizeof object->uid) return;
    memcpy(&object->uid, uid->data.data, sizeof object->uid);
    object->value_bytes = value_bytes(tensor);
}

/* Adds the tensors by value among those that an object is made of. */
static bool collect_values(const struct sluice_library_object *object, struct backend_descriptor *plan) {
    if (object->value_bytes > 0) {
        const struct sluice_library_object **larger = realloc(plan->values, (plan->value_count + 1) * sizeof *larger);
        if (larger == NULL) return false;
        plan->values = larger;
        larger[plan->value_count++] = object;
    }
    bool is_whole = true;
    for (size_t i = 0; i < object->need_count && is_whole; i++) is_whole = collect_values(object->needs[i], plan);
    return is_whole;
}

/* The device of what the descriptor is made of, or else of its handle; the current one where it has neither. */
static cudnnStatus_t find_device(const struct backend_descriptor *descriptor, uint32_t *device) {
    cudnnStatus_t status = enter(device);
    if (status == CUDNN_STATUS_SUCCESS && descriptor->need_count > 0) *device = descriptor->needs[0]->device;
    return status;
}

static cudnnStatus_t describe(struct backend_descriptor *descriptor, struct sluice_library_object *object) {
    struct sluice_library_reply reply = {0};
    struct sluice_dnn_describe_call call = {.type = (uint32_t)descriptor->type, .attributes = list_of(descriptor)};
    if (call.attributes.data == NULL) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    CUresult result = sluiceDnnDescribe(&call, object, &reply);
    free((void *)(uintptr_t)call.attributes.data);
    return status_of_reply(result, &reply);
}

LIBRARY_API(cudnnBackendFinalize, (void *given), (given)) {
    struct backend_descriptor *descriptor = given;
    uint32_t device;
    if (!is_any(descriptor)) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (descriptor->is_finalized) return CUDNN_STATUS_BAD_PARAM;
    if (descriptor->type == BACKEND_VARIANT_PACK) {
        descriptor->is_finalized = true;
        return CUDNN_STATUS_SUCCESS;
    }
    cudnnStatus_t status = find_device(descriptor, &device);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    struct sluice_library_object *object = sluiceLibraryObject(device, descriptor->needs, descriptor->need_count);
    if (object == NULL) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    if (descriptor->type == BACKEND_TENSOR) note_value(descriptor, object);
    status = describe(descriptor, object);
    if (status != CUDNN_STATUS_SUCCESS) {
        sluiceLibraryDrop(object);
        return status;
    }
    descriptor->object = object;
    descriptor->is_finalized = true;
    drop_attributes(descriptor);
    bool is_plan = descriptor->type == BACKEND_PLAN;
    return !is_plan || collect_values(object, descriptor) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
}

/* What an answer is to fill: descriptors of one type that are not finalized. */
static cudnnStatus_t check_into(struct backend_descriptor *const *into, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (!is_any(into[i]) || into[i]->type != into[0]->type || into[i]->type == BACKEND_VARIANT_PACK) return CUDNN_STATUS_BAD_PARAM;
    return CUDNN_STATUS_SUCCESS;
}

/* Each gets an object in place of what it had. */
static void fill(struct backend_descriptor *const *into, struct sluice_library_object **objects, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        drop_attributes(into[i]);
        sluiceLibraryDrop(into[i]->object);
        into[i]->object = objects[i];
        into[i]->is_finalized = true;
        atomic_store(&into[i]->has_run, false);
        objects[i] = NULL;
    }
}

static cudnnStatus_t ask_descriptors(struct sluice_library_object *asked, struct sluice_dnn_ask_call *call, struct backend_descriptor *const *into,
                                     int64_t *found) {
    struct sluice_library_reply reply = {0};
    cudnnStatus_t status = check_into(into, call->count);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    struct sluice_library_object **objects = calloc(call->count, sizeof *objects);
    uint32_t made = 0;
    bool is_room = objects != NULL;
    for (; is_room && made < call->count; made++) {
        objects[made] = sluiceLibraryObject(asked->device, &asked, 1);
        is_room = objects[made] != NULL;
    }
    status = CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    if (is_room) {
        call->into_type = (uint32_t)into[0]->type;
        CUresult result = sluiceDnnAsk(call, asked, objects, &reply);
        uint32_t count = reply.count < call->count ? reply.count : call->count;
        status = status_of_reply(result, &reply);
        if (status == CUDNN_STATUS_SUCCESS) fill(into, objects, count), *found = count;
    }
    for (uint32_t i = 0; i < made; i++) sluiceLibraryDrop(objects[i]);
    free(objects);
    return status;
}

static cudnnStatus_t ask_numbers(const struct sluice_library_object *asked, struct sluice_dnn_ask_call *call, void *elements, int64_t *found) {
    struct sluice_library_reply reply = {0};
    CUresult result = sluiceDnnAsk(call, asked, NULL, &reply);
    size_t room = call->count * element_bytes(call->type);
    if (result == CUDA_SUCCESS && reply.status == CUDNN_STATUS_SUCCESS) {
        if (elements != NULL) memcpy(elements, reply.data.data, reply.data.byte_count < room ? reply.data.byte_count : room);
        *found = reply.count;
    }
    return status_of_reply(result, &reply);
}

LIBRARY_API(cudnnBackendGetAttribute, (void *given, int name, int type, int64_t count, int64_t *found, void *elements), (given, name, type, count, found, elements)) {
    const struct backend_descriptor *descriptor = given;
    int64_t unused;
    if (!is_any(descriptor)) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (descriptor->object == NULL) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    if (name < 0 || count < 0 || count > UINT32_MAX / 16) return CUDNN_STATUS_BAD_PARAM;
    if (type <= TYPE_HANDLE || type >= TYPE_COUNT || type == TYPE_VOID_PTR) return CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE;
    struct sluice_dnn_ask_call call = {
        .name = (uint32_t)name, .type = (uint32_t)type, .count = elements == NULL ? 0 : (uint32_t)count};
    if (found == NULL) found = &unused;
    if (type == TYPE_BACKEND_DESCRIPTOR && call.count > 0) return ask_descriptors(descriptor->object, &call, elements, found);
    return ask_numbers(descriptor->object, &call, elements, found);
}
