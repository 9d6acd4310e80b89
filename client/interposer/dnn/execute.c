/* Carries out execution plans of the graph API. The first time of each is answered, so that a plan that fails is refused by its own call. */
#include <string.h>

#include "descriptor.h"

/* Tensors of one plan. */
#define TENSORS_MAX 256
#define VALUE_BYTES 16

struct pack {
    uint32_t count;
    const int64_t *uids;
    const void *const *pointers;
    uint64_t workspace;
};

/* What is not served of a variant pack, by its name. */
static const char *why_not(const struct backend_descriptor *pack) {
    for (size_t i = 0; i < pack->attribute_count; i++) {
        uint32_t name = pack->attributes[i].name;
        bool is_served = name == ATTRIBUTE_PACK_UNIQUE_IDS || name == ATTRIBUTE_PACK_DATA_POINTERS || name == ATTRIBUTE_PACK_WORKSPACE;
        if (!is_served && pack->attributes[i].count > 0) return "of variant packs ids, data pointers and a workspace are served";
    }
    const struct attribute *uids = attribute_of(pack, ATTRIBUTE_PACK_UNIQUE_IDS);
    return uids != NULL && uids->count > TENSORS_MAX ? "a plan has no more than 256 tensors" : NULL;
}

static cudnnStatus_t read_pack(const struct backend_descriptor *descriptor, struct pack *pack) {
    const struct attribute *uids = attribute_of(descriptor, ATTRIBUTE_PACK_UNIQUE_IDS);
    const struct attribute *pointers = attribute_of(descriptor, ATTRIBUTE_PACK_DATA_POINTERS);
    const struct attribute *workspace = attribute_of(descriptor, ATTRIBUTE_PACK_WORKSPACE);
    const char *reason = why_not(descriptor);
    if (reason != NULL) return refuse("cudnnBackendExecute", "%s", reason);
    if (uids == NULL || pointers == NULL || uids->count != pointers->count) return CUDNN_STATUS_BAD_PARAM;
    if (uids->type != TYPE_INT64 || pointers->type != TYPE_VOID_PTR) return CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE;
    *pack = (struct pack){uids->count, uids->data.data, pointers->data.data, 0};
    if (workspace == NULL || workspace->count == 0) return CUDNN_STATUS_SUCCESS;
    if (workspace->type != TYPE_VOID_PTR || workspace->count != 1) return CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE;
    memcpy(&pack->workspace, workspace->data.data, sizeof pack->workspace);
    return CUDNN_STATUS_SUCCESS;
}

/* Bytes of the tensor's value, or 0 for one in device memory. */
static uint32_t value_bytes_of(const struct backend_descriptor *plan, int64_t uid) {
    for (size_t i = 0; i < plan->value_count; i++)
        if (plan->values[i]->uid == uid) return plan->values[i]->value_bytes;
    return 0;
}

/* Sorts what the pack points to into addresses, with the workspace behind them, and values. */
static cudnnStatus_t sort_pointers(const struct backend_descriptor *plan, const struct pack *pack, uint64_t *addresses, struct sluice_bytes *values) {
    uint8_t *at = (uint8_t *)(uintptr_t)values->data;
    for (uint32_t i = 0; i < pack->count; i++) {
        uint32_t bytes = value_bytes_of(plan, pack->uids[i]);
        if (pack->pointers[i] == NULL) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
        addresses[i] = bytes > 0 ? 0 : (uint64_t)(uintptr_t)pack->pointers[i];
        if (bytes == 0) continue;
        memset(at, 0, VALUE_BYTES);
        memcpy(at, pack->pointers[i], bytes);
        at += VALUE_BYTES;
    }
    addresses[pack->count] = pack->workspace;
    values->byte_count = (size_t)(at - (uint8_t *)(uintptr_t)values->data);
    return CUDNN_STATUS_SUCCESS;
}

LIBRARY_API(cudnnBackendExecute, (cudnnHandle_t handle, void *given_plan, void *given_pack), (handle, given_plan, given_pack)) {
    struct backend_descriptor *plan = given_plan, *descriptor = given_pack;
    struct pack pack = {0};
    uint64_t addresses[TENSORS_MAX + 1];
    uint8_t value_room[TENSORS_MAX * VALUE_BYTES];
    struct sluice_bytes values = {value_room, 0};
    if (!is_descriptor(plan, BACKEND_PLAN) || !is_descriptor(descriptor, BACKEND_VARIANT_PACK)) return CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE;
    if (plan->object == NULL || !descriptor->is_finalized) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    cudnnStatus_t status = handle_enter(handle);
    if (status == CUDNN_STATUS_SUCCESS) status = read_pack(descriptor, &pack);
    if (status == CUDNN_STATUS_SUCCESS) status = sort_pointers(plan, &pack, addresses, &values);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    struct sluice_span spans[TENSORS_MAX + 1];
    for (uint32_t i = 0; i <= pack.count; i++) spans[i] = (struct sluice_span){addresses[i], 1};
    struct sluice_library_work work = {
        .name = library.name, .is_plan = true,
        .execute = {.plan = plan->object->handle, .workspace = pack.workspace, .uids = {pack.uids, pack.count * sizeof *pack.uids},
                    .addresses = {addresses, pack.count * sizeof *addresses}, .values = values},
        .objects = &plan->object, .object_count = 1, .spans = spans, .span_count = pack.count + 1,
    };
    struct sluice_library_reply reply = {0};
    if (atomic_load(&plan->has_run)) return status_of(sluiceLibraryRun(&work, handle->stream, NULL));
    bool is_captured = is_capturing(handle);
    status = status_of_reply(sluiceLibraryRun(&work, handle->stream, &reply), &reply);
    if (status == CUDNN_STATUS_SUCCESS && !is_captured) atomic_store(&plan->has_run, true);
    return status;
}
