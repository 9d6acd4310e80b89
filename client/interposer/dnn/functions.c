/*
 * The functions of the table: packed by what is generated of it, and carried out here. One that only sets a descriptor is kept with it; one with results is a
 * question, whose answer is remembered; the rest is work of the handle's stream. The first work of each kind is answered, so that what the server's
 * library cannot do is refused by its own call.
 */
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "memo.h"

#define TYPE_F64 1

static void sluice_dnn_begin(struct sluice_dnn_call *call, uint32_t function, const char *name) {
    memset(call, 0, offsetof(struct sluice_dnn_call, room));
    call->function = function;
    call->name = name;
    call->type = -1;
    call->bytes = call->room;
    call->capacity = sizeof call->room;
}

static void fail(struct sluice_dnn_call *call, cudnnStatus_t status) {
    if (call->status == CUDNN_STATUS_SUCCESS) call->status = status;
}

/* Room for so many bytes behind the arguments, whose end is zeros to a multiple of 8; NULL without memory. */
static uint8_t *extend(struct sluice_dnn_call *call, size_t bytes) {
    size_t padded = sluice_pad8(bytes), needed = call->byte_count + padded;
    if (needed > call->capacity) {
        uint8_t *larger = malloc(2 * needed);
        if (larger == NULL) {
            fail(call, CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED);
            return NULL;
        }
        memcpy(larger, call->bytes, call->byte_count);
        if (call->bytes != call->room) free(call->bytes);
        call->bytes = larger;
        call->capacity = 2 * needed;
    }
    uint8_t *at = call->bytes + call->byte_count;
    memset(at + padded - 8, 0, 8);
    call->byte_count = needed;
    return at;
}

/* Returns where in the arguments it stands. */
static size_t put_slot(struct sluice_dnn_call *call, enum slot_kind kind, const void *value, size_t bytes) {
    size_t place = call->byte_count, room = bytes < sizeof(uint64_t) ? sizeof(uint64_t) : bytes;
    uint8_t *at = extend(call, room);
    if (call->slot_count == SLOTS_MAX) abort(); /* The table has no such function. */
    call->slots[call->slot_count++] = (struct slot){kind, place, room, NULL};
    if (at != NULL) memcpy(at, value, bytes);
    return place;
}

static void sluice_dnn_handle(struct sluice_dnn_call *call, void *handle) {
    cudnnStatus_t status = handle_enter(handle);
    if (status != CUDNN_STATUS_SUCCESS) fail(call, status);
    else call->handle = handle;
}

static void sluice_dnn_i32(struct sluice_dnn_call *call, int32_t value) {
    put_slot(call, SLOT_NUMBER, &value, sizeof value);
}

static void sluice_dnn_type(struct sluice_dnn_call *call, int32_t value) {
    call->type = value;
    sluice_dnn_i32(call, value);
}

static void sluice_dnn_u32(struct sluice_dnn_call *call, uint32_t value) {
    put_slot(call, SLOT_NUMBER, &value, sizeof value);
}

static void sluice_dnn_u64(struct sluice_dnn_call *call, uint64_t value) {
    put_slot(call, SLOT_NUMBER, &value, sizeof value);
}

static void sluice_dnn_f32(struct sluice_dnn_call *call, float value) {
    put_slot(call, SLOT_INDIFFERENT, &value, sizeof value);
}

static void sluice_dnn_f64(struct sluice_dnn_call *call, double value) {
    put_slot(call, SLOT_INDIFFERENT, &value, sizeof value);
}

static void sluice_dnn_pointer(struct sluice_dnn_call *call, const void *pointer, bool is_optional) {
    if (pointer == NULL && !is_optional) fail(call, CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    if (!is_optional) call->needs_memory = true;
    put_slot(call, SLOT_ADDRESS, &pointer, sizeof pointer);
}

/* Read once it is known of which type it is. */
static void sluice_dnn_scalar(struct sluice_dnn_call *call, const void *pointer, bool is_optional) {
    if (pointer == NULL && !is_optional) fail(call, CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    put_slot(call, SLOT_SCALAR, "", 0);
    call->slots[call->slot_count - 1].scalar = pointer;
}

/* What a tensor's elements have, by their type; 0 for those that are wider than eight bytes. */
static size_t element_bytes(int32_t type) {
    static const uint8_t bytes[] = {4, 8, 2, 1, 4, 4, 1, 4, 0, 2, 8, 1, 1, 1, 4, 1, 1, 1, 1, 4, 8, 0};
    return type < 0 ? 4 : (size_t)type < sizeof bytes ? bytes[type] : 0;
}

static void sluice_dnn_value(struct sluice_dnn_call *call, const void *element, void *tensor) {
    struct table_descriptor *descriptor = table_descriptor_of(tensor, SLUICE_DNN_TENSOR);
    size_t bytes = descriptor == NULL ? 0 : element_bytes(table_descriptor_type(descriptor));
    if (element == NULL) fail(call, CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    else if (bytes == 0) fail(call, refuse(call->name, "its elements have more than eight bytes"));
    else put_slot(call, SLOT_NUMBER, element, bytes);
}

static void sluice_dnn_ints(struct sluice_dnn_call *call, const int32_t *values, int32_t count) {
    if (count < 0) fail(call, CUDNN_STATUS_BAD_PARAM);
    if (count > 0 && values == NULL) fail(call, CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    if (count <= 0 || values == NULL) return;
    uint8_t *at = extend(call, (size_t)count * sizeof *values);
    if (at != NULL) memcpy(at, values, (size_t)count * sizeof *values);
}

EXPORT int cudnnGetTensorNdDescriptor(void *tensor, int32_t wanted, int32_t *type, int32_t *count, int32_t *dimensions, int32_t *strides);

/* How many sequences a tensor has: its second dimension. -1 where it has none. */
static int32_t sluice_dnn_sequences(void *tensor) {
    int32_t type, count, dimensions[2] = {-1, -1}, strides[2];
    int status = cudnnGetTensorNdDescriptor(tensor, 2, &type, &count, dimensions, strides);
    return status == CUDNN_STATUS_SUCCESS && count > 1 ? dimensions[1] : -1;
}

/* -1 where one of them is below 0, or they are too many. */
static int32_t sluice_dnn_sum(const int32_t *values, int32_t count) {
    int64_t sum = 0;
    for (int32_t i = 0; i < count && values != NULL && sum >= 0; i++) sum = values[i] < 0 || sum + values[i] > INT32_MAX ? -1 : sum + values[i];
    return (int32_t)sum;
}

/* Data, and how much of it there is. */
static void sluice_dnn_counted_ints(struct sluice_dnn_call *call, const int32_t *values, int32_t count) {
    sluice_dnn_u64(call, (uint64_t)count);
    if (count < 0) fail(call, CUDNN_STATUS_BAD_PARAM);
    if (count > 0 && values == NULL) fail(call, CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    if (count > 0 && values != NULL) put_slot(call, SLOT_INDIFFERENT, values, (size_t)count * sizeof *values);
}

/* Its number is put there once it has one. */
static void name_descriptor(struct sluice_dnn_call *call, struct named_descriptor *list, size_t *count, struct table_descriptor *descriptor) {
    uint64_t none = 0;
    if (*count == DESCRIPTORS_MAX) abort(); /* The table has no such function. */
    list[(*count)++] = (struct named_descriptor){descriptor, put_slot(call, SLOT_NUMBER, &none, sizeof none)};
}

static void sluice_dnn_descriptor(struct sluice_dnn_call *call, void *given, enum sluice_dnn_kind kind, bool is_optional) {
    struct table_descriptor *descriptor = table_descriptor_of(given, kind);
    if (given == NULL && is_optional) {
        sluice_dnn_u64(call, 0);
        return;
    }
    if (descriptor == NULL) fail(call, given == NULL ? CUDNN_STATUS_BAD_PARAM_NULL_POINTER : CUDNN_STATUS_BAD_PARAM);
    name_descriptor(call, call->used, &call->used_count, descriptor);
}

static void sluice_dnn_set_descriptor(struct sluice_dnn_call *call, void *given, enum sluice_dnn_kind kind) {
    struct table_descriptor *descriptor = table_descriptor_of(given, kind);
    if (descriptor == NULL) fail(call, given == NULL ? CUDNN_STATUS_BAD_PARAM_NULL_POINTER : CUDNN_STATUS_BAD_PARAM);
    name_descriptor(call, call->set, &call->set_count, descriptor);
}

static void sluice_dnn_new_descriptor(struct sluice_dnn_call *call, void **made, enum sluice_dnn_kind kind) {
    call->made = made;
    call->made_kind = kind;
    if (made == NULL) fail(call, CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
}

static void put_result(struct sluice_dnn_call *call, struct result result) {
    if (call->result_count == RESULTS_MAX) abort(); /* The table has no such function. */
    call->results[call->result_count++] = result;
}

static void sluice_dnn_out_i32(struct sluice_dnn_call *call, int32_t *into) {
    put_result(call, (struct result){.into = into, .bytes = sizeof *into});
}

static void sluice_dnn_out_u32(struct sluice_dnn_call *call, uint32_t *into) {
    put_result(call, (struct result){.into = into, .bytes = sizeof *into});
}

static void sluice_dnn_out_f32(struct sluice_dnn_call *call, float *into) {
    put_result(call, (struct result){.into = into, .bytes = sizeof *into});
}

static void sluice_dnn_out_f64(struct sluice_dnn_call *call, double *into) {
    put_result(call, (struct result){.into = into, .bytes = sizeof *into});
}

static void sluice_dnn_out_u64(struct sluice_dnn_call *call, uint64_t *into) {
    put_result(call, (struct result){.into = into, .bytes = sizeof *into});
}

static void sluice_dnn_out_pointer(struct sluice_dnn_call *call, void **into) {
    put_result(call, (struct result){.into = into, .bytes = sizeof *into, .is_address = true});
}

static void sluice_dnn_out_ints(struct sluice_dnn_call *call, int32_t *into, int32_t count) {
    put_result(call, (struct result){.into = into, .bytes = count > 0 ? (size_t)count * sizeof *into : 0, .is_array = true});
}

static void sluice_dnn_out_perfs(struct sluice_dnn_call *call, struct sluice_dnn_perf *into, int32_t count) {
    put_result(call, (struct result){.into = into, .bytes = count > 0 ? (size_t)count * sizeof *into : 0, .is_array = true});
}

/* Bytes of a scalar of the call. A function that only sets a descriptor takes one of the type that it describes. */
static size_t scalar_bytes(const struct sluice_dnn_call *call) {
    bool is_f64 = call->type == TYPE_F64, is_short = call->type == 2 || call->type == 9;
    for (size_t i = 0; i < call->used_count; i++) is_f64 |= table_descriptor_type(call->used[i].descriptor) == TYPE_F64;
    return is_f64 ? 8 : is_short ? 2 : 4;
}

static void read_scalars(struct sluice_dnn_call *call) {
    size_t bytes = scalar_bytes(call);
    for (size_t i = 0; i < call->slot_count; i++)
        if (call->slots[i].scalar != NULL) memcpy(call->bytes + call->slots[i].at, call->slots[i].scalar, bytes);
}

size_t call_addresses(const struct sluice_dnn_call *call, uint64_t *addresses) {
    size_t count = 0;
    for (size_t i = 0; i < call->slot_count; i++)
        if (call->slots[i].kind == SLOT_ADDRESS) memcpy(&addresses[count++], call->bytes + call->slots[i].at, sizeof *addresses);
    return count;
}

/* A question that computes, in its place in the stream. */
static cudnnStatus_t try_out(const struct sluice_dnn_call *call, const struct sluice_dnn_work *work) {
    struct sluice_dnn_reply reply = {0};
    if (is_capturing(call->handle)) return refuse(call->name, "a graph has nothing of it to record");
    CUresult result = sluiceDnnRun(work, call->handle->stream, &reply);
    bool is_answered = result == CUDA_SUCCESS && reply.status == CUDNN_STATUS_SUCCESS;
    if (is_answered && !answer_unpack(call, reply.data)) result = CUDA_ERROR_UNKNOWN;
    return status_of_reply(result, &reply);
}

/* Kinds of work that have been done once. */
static char is_done;
static void drop_nothing(void *value) {
    (void)value;
}
static void note(const void *value, void *into) {
    *(bool *)into = value == &is_done;
}
static struct memo kinds = {.lock = PTHREAD_MUTEX_INITIALIZER, .drop = drop_nothing};

/* Of addresses libraries make no difference but by what they can be divided by. */
static uint64_t alignment_of(uint64_t address) {
    return address == 0 ? 0 : address % 256 == 0 ? 256 : address & (~address + 1);
}

/* The arguments without what makes no difference. */
static void strip(const struct sluice_dnn_call *call, uint8_t *kind) {
    memcpy(kind, call->bytes, call->byte_count);
    for (size_t i = 0; i < call->slot_count; i++) {
        const struct slot *slot = &call->slots[i];
        uint64_t value;
        if (slot->kind == SLOT_INDIFFERENT) memset(kind + slot->at, 0, slot->bytes);
        if (slot->kind != SLOT_ADDRESS) continue;
        memcpy(&value, kind + slot->at, sizeof value);
        value = alignment_of(value);
        memcpy(kind + slot->at, &value, sizeof value);
    }
}

static cudnnStatus_t run(const struct sluice_dnn_call *call, const struct sluice_dnn_work *work) {
    uint8_t kind[2 * sizeof(uint32_t) + CALL_BYTES];
    size_t kind_bytes = 2 * sizeof(uint32_t) + call->byte_count;
    struct sluice_dnn_reply reply = {0};
    bool is_known = false, has_kind = call->byte_count <= CALL_BYTES && !is_capturing(call->handle);
    if (has_kind) {
        sluice_put_u32(kind, call->function);
        sluice_put_u32(kind + 4, work->call.device);
        strip(call, kind + 8);
        memo_find(&kinds, kind, kind_bytes, note, &is_known);
    }
    if (is_known) return status_of(sluiceDnnRun(work, call->handle->stream, NULL));
    cudnnStatus_t status = status_of_reply(sluiceDnnRun(work, call->handle->stream, &reply), &reply);
    if (status == CUDNN_STATUS_SUCCESS && has_kind) memo_keep(&kinds, kind, kind_bytes, &is_done);
    return status;
}

static void put_number(struct sluice_dnn_call *call, size_t at, const struct sluice_dnn_object *object) {
    uint64_t number = object->handle;
    memcpy(call->bytes + at, &number, sizeof number);
}

/* The server's descriptors, which are held in `objects` from then on: those that it uses, and behind them those that it sets. */
static cudnnStatus_t find_objects(struct sluice_dnn_call *call, uint32_t device, struct sluice_dnn_object **objects, size_t *count) {
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    for (size_t i = 0; i < call->used_count && status == CUDNN_STATUS_SUCCESS; i++) {
        status = table_descriptor_object(call->used[i].descriptor, device, &objects[*count]);
        if (status == CUDNN_STATUS_SUCCESS) put_number(call, call->used[i].at, objects[(*count)++]);
    }
    return status;
}

/* Those that it sets while it does more than that are its own, and no others share them. */
static cudnnStatus_t renew_objects(struct sluice_dnn_call *call, uint32_t device, struct sluice_dnn_object **objects, size_t *count) {
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    int32_t type = call->type;
    for (size_t i = 0; i < call->used_count && type < 0; i++) type = table_descriptor_type(call->used[i].descriptor);
    for (size_t i = 0; i < call->set_count && status == CUDNN_STATUS_SUCCESS; i++) {
        status = table_descriptor_renew(call->set[i].descriptor, device, type, &objects[*count]);
        if (status == CUDNN_STATUS_SUCCESS) put_number(call, call->set[i].at, objects[(*count)++]);
    }
    return status;
}

/* Of those that set descriptors this one fills their states by work of the stream. */
static bool is_setting(const struct sluice_dnn_call *call) {
    return call->set_count > 0 && call->result_count == 0 && strcmp(call->name, "cudnnSetDropoutDescriptor") != 0;
}

static struct sluice_dnn_work work_of(const struct sluice_dnn_call *call, uint32_t device, struct sluice_dnn_object *const *objects, size_t count,
                                      uint64_t *addresses) {
    return (struct sluice_dnn_work){
        .call = {.function = call->function, .device = device, .arguments = {call->bytes, call->byte_count}},
        .objects = objects, .object_count = count, .addresses = addresses, .address_count = call_addresses(call, addresses),
    };
}

/* A question, which is asked once. Its objects are those that it uses. */
static cudnnStatus_t ask(struct sluice_dnn_call *call, uint32_t device, struct sluice_dnn_object **objects, size_t *count) {
    struct sluice_bytes key = answer_key(call, device);
    size_t used = *count;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    if (!answer_recall(call, key)) {
        status = renew_objects(call, device, objects, count);
        if (status == CUDNN_STATUS_SUCCESS) {
            uint64_t addresses[SLOTS_MAX];
            struct sluice_dnn_reply reply = {0};
            struct sluice_dnn_work work = work_of(call, device, objects, *count, addresses);
            CUresult result = sluiceDnnQuestion(&work, &reply);
            bool is_answered = result == CUDA_SUCCESS && reply.status == CUDNN_STATUS_SUCCESS;
            if (is_answered && !answer_unpack(call, reply.data)) result = CUDA_ERROR_UNKNOWN;
            else if (is_answered) answer_keep(call, key, reply.data, objects + used);
            status = status_of_reply(result, &reply);
        }
    }
    free((void *)(uintptr_t)key.data);
    return status;
}

/* Work of the handle's stream. */
static cudnnStatus_t compute(struct sluice_dnn_call *call, uint32_t device, struct sluice_dnn_object **objects, size_t *count) {
    uint64_t addresses[SLOTS_MAX];
    cudnnStatus_t status = renew_objects(call, device, objects, count);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    struct sluice_dnn_work work = work_of(call, device, objects, *count, addresses);
    return call->result_count > 0 ? try_out(call, &work) : run(call, &work);
}

static cudnnStatus_t carry_out(struct sluice_dnn_call *call) {
    struct sluice_dnn_object *objects[2 * DESCRIPTORS_MAX];
    size_t count = 0;
    uint32_t device = 0;
    if (call->made != NULL) return table_descriptor_make(call->made, call->made_kind);
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    /* What only sets a descriptor by numbers needs no device, and no server yet. */
    bool is_local = is_setting(call) && call->used_count == 0;
    if (call->handle != NULL) device = call->handle->device;
    else if (!is_local) status = enter(&device);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    read_scalars(call);
    status = find_objects(call, device, objects, &count);
    bool is_question = call->result_count > 0 && !call->needs_memory;
    if (status == CUDNN_STATUS_SUCCESS && is_setting(call)) status = table_descriptor_set(call->set[0].descriptor, call, objects);
    else if (status == CUDNN_STATUS_SUCCESS && is_question) status = ask(call, device, objects, &count);
    else if (status == CUDNN_STATUS_SUCCESS) status = compute(call, device, objects, &count);
    for (size_t i = 0; i < count; i++) sluiceDnnDrop(objects[i]);
    return status;
}

static cudnnStatus_t sluice_dnn_end(struct sluice_dnn_call *call) {
    if (call->status == CUDNN_STATUS_SUCCESS) call->status = carry_out(call);
    if (call->bytes != call->room) free(call->bytes);
    if (trace_on) trace_dnn(call->name, call->status);
    return call->status;
}

static cudnnStatus_t sluice_dnn_destroy(void *given, enum sluice_dnn_kind kind) {
    struct table_descriptor *descriptor = table_descriptor_of(given, kind);
    if (given != NULL && descriptor == NULL) return CUDNN_STATUS_BAD_PARAM;
    if (descriptor != NULL) table_descriptor_destroy(descriptor);
    return CUDNN_STATUS_SUCCESS;
}

#define SLUICE_DNN_API EXPORT
#define SLUICE_DNN_FUNCTIONS
#include "../generated/dnn-functions.h"
