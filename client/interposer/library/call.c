/*
 * The functions of a library's table: packed by what is generated of it, and carried out here. One that only sets a descriptor is kept with it; one with results is a
 * question, whose answer is remembered; the rest is work of the handle's stream. The first work of each kind is answered, so that what the server's
 * library cannot do is refused by its own call.
 */
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "memo.h"

void sluice_call_begin(struct sluice_call *call, uint32_t function, const char *name) {
    memset(call, 0, offsetof(struct sluice_call, room));
    call->function = function;
    call->name = name;
    call->type = -1;
    call->bytes = call->room;
    call->capacity = sizeof call->room;
}

void call_fail(struct sluice_call *call, int status) {
    if (call->status == 0) call->status = status;
}

/* Room for so many bytes behind the arguments, whose end is zeros to a multiple of 8; NULL without memory. */
static uint8_t *extend(struct sluice_call *call, size_t bytes) {
    size_t padded = sluice_pad8(bytes), needed = call->byte_count + padded;
    if (needed > call->capacity) {
        uint8_t *larger = malloc(2 * needed);
        if (larger == NULL) {
            call_fail(call, library.no_memory);
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
static size_t put_slot(struct sluice_call *call, enum slot_kind kind, const void *value, size_t bytes) {
    size_t place = call->byte_count, room = bytes < sizeof(uint64_t) ? sizeof(uint64_t) : bytes;
    uint8_t *at = extend(call, room);
    if (call->slot_count == SLOTS_MAX) abort(); /* The table has no such function. */
    call->slots[call->slot_count++] = (struct slot){.kind = kind, .at = place, .bytes = room};
    if (at != NULL) memcpy(at, value, bytes);
    return place;
}

void sluice_call_handle(struct sluice_call *call, void *handle) {
    int status = handle_enter(handle);
    if (status != 0) call_fail(call, status);
    else call->handle = handle;
}

void sluice_call_i8(struct sluice_call *call, signed char value) {
    put_slot(call, SLOT_NUMBER, &value, sizeof value);
}

void sluice_call_i32(struct sluice_call *call, int32_t value) {
    put_slot(call, SLOT_NUMBER, &value, sizeof value);
}

void sluice_call_type(struct sluice_call *call, int32_t value) {
    call->type = value;
    sluice_call_i32(call, value);
}

void sluice_call_u32(struct sluice_call *call, uint32_t value) {
    put_slot(call, SLOT_NUMBER, &value, sizeof value);
}

void sluice_call_i64(struct sluice_call *call, int64_t value) {
    put_slot(call, SLOT_NUMBER, &value, sizeof value);
}

void sluice_call_u64(struct sluice_call *call, uint64_t value) {
    put_slot(call, SLOT_NUMBER, &value, sizeof value);
}

void sluice_call_f32(struct sluice_call *call, float value) {
    put_slot(call, SLOT_INDIFFERENT, &value, sizeof value);
}

void sluice_call_f64(struct sluice_call *call, double value) {
    put_slot(call, SLOT_INDIFFERENT, &value, sizeof value);
}

void call_put(struct sluice_call *call, const void *value, size_t bytes) {
    put_slot(call, SLOT_NUMBER, value, bytes);
}

void sluice_call_pointer(struct sluice_call *call, const void *pointer, bool is_optional, double bytes) {
    bool is_used = bytes > 0;
    uint64_t address = is_used ? (uint64_t)(uintptr_t)pointer : 0;
    if (address == 0 && is_used && !is_optional) call_fail(call, library.null_pointer);
    if (!is_optional) call->needs_memory = true;
    put_slot(call, SLOT_ADDRESS, &address, sizeof address);
    call->slots[call->slot_count - 1].span_bytes = bytes < 1 ? 1 : bytes < 0x1p63 ? (uint64_t)bytes : UINT64_MAX;
}

void sluice_call_factor(struct sluice_call *call, const void *element, size_t bytes) {
    uint8_t room[16] = {0};
    if (element == NULL) call_fail(call, library.null_pointer);
    else if (bytes == 0) call_fail(call, library.bad_parameter);
    else memcpy(room, element, bytes);
    put_slot(call, SLOT_NUMBER, room, sizeof room);
}

/* It does not travel. */
void sluice_call_exact(struct sluice_call *call, uint64_t value, double wanted) {
    if ((double)value != wanted) call_fail(call, library.bad_parameter);
}

void sluice_call_which(struct sluice_call *call, int32_t value) {
    call->which = value;
    sluice_call_i32(call, value);
}

void sluice_call_held(struct sluice_call *call, const void *pointer) {
    put_slot(call, SLOT_HELD, &pointer, sizeof pointer);
}

void sluice_call_inout(struct sluice_call *call, uint64_t *number) {
    sluice_call_u64(call, number == NULL ? 0 : *number);
    if (number == NULL) call_fail(call, library.null_pointer);
    sluice_call_out(call, number, sizeof *number);
}

/* Read once it is known of which type it is. */
void sluice_call_scalar(struct sluice_call *call, const void *pointer, bool is_optional) {
    if (pointer == NULL && !is_optional) call_fail(call, library.null_pointer);
    put_slot(call, SLOT_SCALAR, "", 0);
    call->slots[call->slot_count - 1].scalar = pointer;
}

void sluice_call_array(struct sluice_call *call, const void *values, int32_t count, size_t each, bool is_optional) {
    if (is_optional) sluice_call_u64(call, values != NULL);
    if (is_optional && values == NULL) return;
    if (count < 0) call_fail(call, library.bad_parameter);
    if (count > 0 && values == NULL) call_fail(call, library.null_pointer);
    if (count <= 0 || values == NULL) return;
    uint8_t *at = extend(call, (size_t)count * each);
    if (at != NULL) memcpy(at, values, (size_t)count * each);
}

/* Data, and how much of it there is. */
void sluice_call_counted_ints(struct sluice_call *call, const int32_t *values, int32_t count) {
    sluice_call_u64(call, (uint64_t)count);
    if (count < 0) call_fail(call, library.bad_parameter);
    if (count > 0 && values == NULL) call_fail(call, library.null_pointer);
    if (count > 0 && values != NULL) put_slot(call, SLOT_INDIFFERENT, values, (size_t)count * sizeof *values);
}

/* Its number is put there once it has one. */
static void name_descriptor(struct sluice_call *call, struct named_descriptor *list, size_t *count, struct table_descriptor *descriptor) {
    uint64_t none = 0;
    if (*count == DESCRIPTORS_MAX) abort(); /* The table has no such function. */
    list[(*count)++] = (struct named_descriptor){descriptor, put_slot(call, SLOT_NUMBER, &none, sizeof none), false};
}

void sluice_call_descriptor(struct sluice_call *call, void *given, uint32_t kind, bool is_optional) {
    struct table_descriptor *descriptor = table_descriptor_of(given, kind);
    if (given == NULL && is_optional) {
        sluice_call_u64(call, 0);
        return;
    }
    if (descriptor == NULL) call_fail(call, given == NULL ? library.null_pointer : library.bad_parameter);
    name_descriptor(call, call->used, &call->used_count, descriptor);
}

/* What has results, too, is work of the stream then. */
void sluice_call_change_descriptor(struct sluice_call *call, void *given, uint32_t kind) {
    sluice_call_descriptor(call, given, kind, false);
    call->used[call->used_count - 1].is_changed = true;
    call->needs_memory = true;
}

void sluice_call_set_descriptor(struct sluice_call *call, void *given, uint32_t kind, bool is_optional) {
    struct table_descriptor *descriptor = table_descriptor_of(given, kind);
    if (given == NULL && is_optional) {
        sluice_call_u64(call, 0);
        return;
    }
    if (descriptor == NULL) call_fail(call, given == NULL ? library.null_pointer : library.bad_parameter);
    name_descriptor(call, call->set, &call->set_count, descriptor);
}

void sluice_call_fill_descriptor(struct sluice_call *call, void *given, uint32_t kind) {
    call->is_filling = true;
    sluice_call_set_descriptor(call, given, kind, false);
}

void sluice_call_new_descriptor(struct sluice_call *call, void **made, uint32_t kind) {
    call->made = made;
    call->made_kind = kind;
    call_put(call, "", 0);
    if (made == NULL) call_fail(call, library.null_pointer);
}

static void put_result(struct sluice_call *call, struct result result) {
    if (call->result_count == RESULTS_MAX) abort(); /* The table has no such function. */
    call->results[call->result_count++] = result;
}

void sluice_call_out(struct sluice_call *call, void *into, size_t bytes) {
    put_result(call, (struct result){.into = into, .bytes = bytes});
}

void sluice_call_out_pointer(struct sluice_call *call, void **into) {
    put_result(call, (struct result){.into = into, .bytes = sizeof *into, .is_address = true});
}

void sluice_call_out_optional_pointer(struct sluice_call *call, void **into) {
    sluice_call_u64(call, into != NULL);
    if (into != NULL) sluice_call_out_pointer(call, into);
}

void sluice_call_out_array(struct sluice_call *call, void *into, int32_t count, size_t each) {
    put_result(call, (struct result){.into = into, .bytes = count > 0 ? (size_t)count * each : 0, .is_array = true});
}

void sluice_call_out_optional(struct sluice_call *call, void *into, int32_t count, size_t each) {
    sluice_call_u64(call, into != NULL);
    if (into != NULL) sluice_call_out_array(call, into, count, each);
}

double sluice_data_type_bytes(int32_t type) {
    static const uint8_t bytes[] = {4, 8, 2, 1, 8, 16, 4, 2, 1, 2, 4, 8, 4, 8, 2, 4, 0, 0, 0, 0, 2, 4, 2, 4, 8, 16, 8, 16};
    return type >= 0 && (size_t)type < sizeof bytes ? bytes[type] : 0;
}

size_t call_spans(const struct sluice_call *call, struct sluice_span *spans) {
    size_t count = 0;
    for (size_t i = 0; i < call->slot_count; i++) {
        const struct slot *slot = &call->slots[i];
        if (slot->kind != SLOT_ADDRESS) continue;
        memcpy(&spans[count].address, call->bytes + slot->at, sizeof spans->address);
        spans[count++].byte_count = slot->span_bytes;
    }
    return count;
}

/* A question that computes, in its place in the stream. */
static int try_out(const struct sluice_call *call, const struct sluice_library_work *work) {
    struct sluice_library_reply reply = {0};
    if (is_capturing(call->handle)) return refuse(call->name, "a graph has nothing of it to record");
    CUresult result = sluiceLibraryRun(work, call->handle->stream, &reply);
    bool is_answered = result == CUDA_SUCCESS && (reply.status == 0 || reply.data.byte_count > 0);
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
static void strip(const struct sluice_call *call, uint8_t *kind) {
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

static int run(const struct sluice_call *call, const struct sluice_library_work *work) {
    uint8_t kind[2 * sizeof(uint32_t) + CALL_BYTES];
    size_t kind_bytes = 2 * sizeof(uint32_t) + call->byte_count;
    struct sluice_library_reply reply = {0};
    bool is_known = false, has_kind = call->byte_count <= CALL_BYTES && !is_capturing(call->handle);
    if (has_kind) {
        sluice_put_u32(kind, call->function);
        sluice_put_u32(kind + 4, work->call.device);
        strip(call, kind + 8);
        memo_find(&kinds, kind, kind_bytes, note, &is_known);
    }
    if (is_known) return status_of(sluiceLibraryRun(work, call->handle->stream, NULL));
    int status = status_of_reply(sluiceLibraryRun(work, call->handle->stream, &reply), &reply);
    if (status == 0 && has_kind) memo_keep(&kinds, kind, kind_bytes, &is_done);
    return status;
}

static void put_number(struct sluice_call *call, size_t at, const struct sluice_library_object *object) {
    uint64_t number = object->handle;
    memcpy(call->bytes + at, &number, sizeof number);
}

/* The server's descriptors, which are held in `objects` from then on: those that it uses, and behind them those that it sets. */
static int find_objects(struct sluice_call *call, uint32_t device, struct sluice_library_object **objects, size_t *count) {
    int status = 0;
    for (size_t i = 0; i < call->used_count && status == 0; i++) {
        const struct named_descriptor *each = &call->used[i];
        status = each->is_changed ? table_descriptor_own(each->descriptor, device, &objects[*count])
                                  : table_descriptor_object(each->descriptor, device, &objects[*count]);
        if (status == 0) put_number(call, call->used[i].at, objects[(*count)++]);
    }
    return status;
}

/* Those that it sets while it does more than that are its own, and no others share them. */
static int renew_objects(struct sluice_call *call, uint32_t device, struct sluice_library_object **objects, size_t *count) {
    int status = 0;
    int32_t type = call->type;
    for (size_t i = 0; i < call->used_count && type < 0; i++) type = table_descriptor_type(call->used[i].descriptor);
    for (size_t i = 0; i < call->set_count && status == 0; i++) {
        status = table_descriptor_renew(call->set[i].descriptor, device, type, &objects[*count]);
        if (status == 0) put_number(call, call->set[i].at, objects[(*count)++]);
    }
    return status;
}

/* Whether it does nothing but set a descriptor. */
static bool is_setting(const struct sluice_call *call) {
    return call->set_count > 0 && call->result_count == 0 && !call->is_filling;
}

/* Its own memory, and that of its descriptors. */
static size_t all_spans(const struct sluice_call *call, struct sluice_span *spans) {
    size_t count = call_spans(call, spans);
    for (size_t i = 0; i < call->used_count; i++) count += table_descriptor_spans(call->used[i].descriptor, spans + count);
    return count;
}

static struct sluice_library_work work_of(const struct sluice_call *call, uint32_t device, struct sluice_library_object *const *objects, size_t count,
                                          struct sluice_span *spans) {
    return (struct sluice_library_work){
        .name = library.name,
        .call = {.library = library.number, .function = call->function, .device = device, .arguments = {call->bytes, call->byte_count}},
        .objects = objects, .object_count = count, .spans = spans, .span_count = all_spans(call, spans),
    };
}

/* A question, which is asked once. Its objects are those that it uses. */
static int ask(struct sluice_call *call, uint32_t device, struct sluice_library_object **objects, size_t *count) {
    /* What it gives a descriptor of its own is no answer that others could have, and what others change no answer for long. */
    bool is_lasting = !call->is_filling && call->result_count > 0;
    for (size_t i = 0; i < call->used_count; i++) is_lasting &= !table_descriptor_is_changed(call->used[i].descriptor);
    struct sluice_bytes key = is_lasting ? answer_key(call, device) : (struct sluice_bytes){0};
    size_t used = *count;
    int status = 0;
    if (!answer_recall(call, key)) {
        status = renew_objects(call, device, objects, count);
        if (status == 0) {
            struct sluice_span spans[SPANS_MAX];
            struct sluice_library_reply reply = {0};
            struct sluice_library_work work = work_of(call, device, objects, *count, spans);
            CUresult result = sluiceLibraryQuestion(&work, &reply);
            bool is_answered = result == CUDA_SUCCESS && reply.status == 0;
            if (is_answered && !answer_unpack(call, reply.data)) result = CUDA_ERROR_UNKNOWN;
            else if (is_answered) answer_keep(call, key, reply.data, objects + used);
            status = status_of_reply(result, &reply);
        }
    }
    free((void *)(uintptr_t)key.data);
    return status;
}

/* Work of the handle's stream. */
static int compute(struct sluice_call *call, uint32_t device, struct sluice_library_object **objects, size_t *count) {
    struct sluice_span spans[SPANS_MAX];
    int status = renew_objects(call, device, objects, count);
    if (status != 0) return status;
    struct sluice_library_work work = work_of(call, device, objects, *count, spans);
    return call->result_count > 0 ? try_out(call, &work) : run(call, &work);
}

static bool has_addresses(const struct sluice_call *call) {
    for (size_t i = 0; i < call->slot_count; i++)
        if (call->slots[i].kind == SLOT_ADDRESS) return true;
    return false;
}

static bool has_memory(const struct sluice_call *call) {
    struct sluice_span spans[SLOTS_MAX];
    for (size_t i = call_spans(call, spans); i > 0; i--)
        if (spans[i - 1].address != 0) return true;
    return false;
}

/* What more than a place for it there is in the call is the first that is set of it. */
static int make_descriptor(struct sluice_call *call) {
    int status = table_descriptor_make(call->made, call->made_kind);
    if (status != 0 || call->slot_count == 1) return status;
    struct table_descriptor *descriptor = table_descriptor_of(*call->made, call->made_kind);
    status = table_descriptor_set(descriptor, call, NULL);
    if (status != 0) table_descriptor_destroy(descriptor);
    return status;
}

static int carry_out(struct sluice_call *call) {
    struct sluice_library_object *objects[2 * DESCRIPTORS_MAX];
    size_t count = 0;
    uint32_t device = 0;
    if (call->made != NULL) return make_descriptor(call);
    int status = 0;
    /* A descriptor that is given none of the memory that would be filled for it is only set. */
    if (has_addresses(call) && !has_memory(call)) call->is_filling = false;
    /* What only sets a descriptor by numbers needs no device, and no server yet. */
    bool is_local = is_setting(call) && call->used_count == 0;
    if (call->handle != NULL) device = call->handle->device;
    else if (!is_local) status = enter(&device);
    if (status != 0) return status;
    if (library.read_scalars != NULL) library.read_scalars(call);
    status = find_objects(call, device, objects, &count);
    /* What has neither memory nor results only tells the library something, at once. */
    bool is_telling = call->result_count == 0 && !call->needs_memory && !call->is_filling && !has_addresses(call);
    bool is_question = (call->result_count > 0 && !call->needs_memory) || is_telling;
    if (status == 0 && is_setting(call)) status = table_descriptor_set(call->set[0].descriptor, call, objects);
    else if (status == 0 && is_question) status = ask(call, device, objects, &count);
    else if (status == 0) status = compute(call, device, objects, &count);
    for (size_t i = 0; i < count; i++) sluiceLibraryDrop(objects[i]);
    return status;
}

int sluice_call_end(struct sluice_call *call) {
    if (call->status == 0) call->status = carry_out(call);
    if (call->bytes != call->room) free(call->bytes);
    if (trace_on) trace_status(call->name, call->status);
    return call->status;
}

int sluice_call_destroy(void *given, uint32_t kind) {
    struct table_descriptor *descriptor = table_descriptor_of(given, kind);
    if (given != NULL && descriptor == NULL) return library.bad_parameter;
    if (descriptor != NULL) table_descriptor_destroy(descriptor);
    return 0;
}
