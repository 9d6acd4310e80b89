/*
 * The server's libraries, for those of their names: their descriptors and functions are the server's, and what they compute is work of a stream, which graphs
 * record. Addresses are checked here, since on the wire a refused call without an answer would put the whole session into error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "managed.h"
#include "server-library.h"

DEFINE_SEND(library_forget, LIBRARY_FORGET)
DEFINE_SEND(dnn_execute, DNN_EXECUTE)
DEFINE_SEND(library_call, LIBRARY_CALL)

/* The last number that a descriptor has got. They count upwards in the order of the calls that make them, so this is guarded by the send lock. */
static uint32_t numbered;

EXPORT struct sluice_library_object *sluiceLibraryObject(uint32_t device, struct sluice_library_object *const *needs, size_t need_count) {
    struct sluice_library_object *object = calloc(1, sizeof *object + need_count * sizeof *needs);
    if (object == NULL) return NULL;
    atomic_store(&object->users, 1);
    object->device = device;
    object->need_count = need_count;
    for (size_t i = 0; i < need_count; i++) object->needs[i] = sluiceLibraryHold(needs[i]);
    return object;
}

EXPORT struct sluice_library_object *sluiceLibraryHold(struct sluice_library_object *object) {
    atomic_fetch_add(&object->users, 1);
    return object;
}

EXPORT void sluiceLibraryDrop(struct sluice_library_object *object) {
    if (object == NULL || atomic_fetch_sub(&object->users, 1) != 1) return;
    struct sluice_library_forget_call call = {.descriptor = object->handle};
    /* A session that is over has none, and the child of a fork has none of its parent's. */
    if (atomic_load(&object->is_known) && driver_check() == CUDA_SUCCESS) send_library_forget(&call, NULL);
    for (size_t i = 0; i < object->need_count; i++) sluiceLibraryDrop(object->needs[i]);
    free(object);
}

/* Puts copies of both behind one another, since they are part of an answer that goes. */
static CUresult keep(struct sluice_library_reply *reply, struct sluice_bytes data, struct sluice_bytes message) {
    uint8_t *owned = malloc(data.byte_count + message.byte_count + 1);
    if (owned == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    if (data.byte_count > 0) memcpy(owned, data.data, data.byte_count);
    if (message.byte_count > 0) memcpy(owned + data.byte_count, message.data, message.byte_count);
    reply->data = (struct sluice_bytes){owned, data.byte_count};
    reply->message = (struct sluice_bytes){owned + data.byte_count, message.byte_count};
    reply->owned = owned;
    return CUDA_SUCCESS;
}

/* Ends the call begun last and waits for its answer, which the caller releases when this is a success; else the reply has what the server says. */
static CUresult await(struct answer *answer, uint64_t *mark, struct sluice_library_reply *reply) {
    struct sluice_failure said;
    answer->keeps_failure = true;
    call_end_expecting(&driver.connection, answer, mark);
    struct failure failure = answer_wait(&driver.connection, answer);
    if (failure.code == 0) return CUDA_SUCCESS;
    if (answer->body != NULL && sluice_decode_failure(answer->body, answer->body_bytes, &said) == 0)
        keep(reply, (struct sluice_bytes){0}, said.message);
    answer_release(answer);
    return result_of(failure);
}

/* The server may have taken the end of the slice for what a library loads, whatever that came to. */
static void keep_end(struct device *device, uint64_t reserved_bytes) {
    if (reserved_bytes != device->arena.reserved_bytes && !memory_reserve_end(device, reserved_bytes))
        trace("there is no memory to note what a library has of the slice");
}

/* A call with an answer, and how it and what the reply gets are read and written. */
struct question {
    uint32_t op;
    size_t byte_count;
    const void *call;
    void (*encode)(uint8_t *at, const void *call);
    bool (*read)(const struct answer *answer, struct sluice_library_reply *reply, uint64_t *reserved_bytes);
    /* What it makes, and where in the call their numbers stand. */
    struct sluice_library_object *const *made;
    size_t made_count;
    uint32_t *numbers;
};

static CUresult take(const struct answer *answer, const struct question *question, struct device *device, struct sluice_library_reply *reply) {
    struct sluice_library_reply said = {0};
    uint64_t reserved_bytes;
    if (!question->read(answer, &said, &reserved_bytes)) return CUDA_ERROR_UNKNOWN;
    keep_end(device, reserved_bytes);
    reply->status = said.status;
    reply->count = said.count;
    return keep(reply, said.data, said.message);
}

static CUresult ask(const struct question *question, struct device *device, uint64_t *mark, struct sluice_library_reply *reply) {
    struct answer answer = ANSWER_INITIAL;
    CUresult result;
    *reply = (struct sluice_library_reply){0};
    memory_hold_end(device);
    uint8_t *at = call_begin(&driver.connection, question->op, question->byte_count);
    if (at == NULL) {
        result = connection_result();
    } else {
        for (size_t i = 0; i < question->made_count; i++) question->numbers[i] = question->made[i]->handle = ++numbered;
        question->encode(at, question->call);
        result = await(&answer, mark, reply);
        if (result == CUDA_SUCCESS) {
            result = take(&answer, question, device, reply);
            answer_release(&answer);
        }
    }
    memory_leave_end(device);
    return result;
}

#define NONE ((struct sluice_bytes){0})
/* What `ask` takes for one call: of its answer the reply gets a count and data. */
#define DEFINE_QUESTION(name, OP, COUNT, DATA)                                                                                          \
    static void encode_##name(uint8_t *at, const void *call) {                                                                          \
        sluice_encode_##name##_call(at, call);                                                                                          \
    }                                                                                                                                   \
    static bool read_##name(const struct answer *answer, struct sluice_library_reply *reply, uint64_t *reserved_bytes) {                    \
        struct sluice_##name##_answer said;                                                                                             \
        if (sluice_decode_##name##_answer(answer->body, answer->body_bytes, &said) != 0) return false;                                  \
        *reply = (struct sluice_library_reply){said.status, COUNT, DATA, said.message, NULL};                                               \
        *reserved_bytes = said.reserved_bytes;                                                                                          \
        return true;                                                                                                                    \
    }                                                                                                                                   \
    static struct question question_##name(const struct sluice_##name##_call *call) {                                                   \
        return (struct question){SLUICE_OP_##OP, sluice_size_##name##_call(call), call, encode_##name, read_##name, NULL, 0, NULL};     \
    }
DEFINE_QUESTION(dnn_describe, DNN_DESCRIBE, 0, NONE)
DEFINE_QUESTION(dnn_ask, DNN_ASK, said.count, said.data)
DEFINE_QUESTION(dnn_try, DNN_TRY, 0, NONE)
DEFINE_QUESTION(library_ask_call, LIBRARY_ASK_CALL, 0, said.results)
_Static_assert(sizeof(struct sluice_dnn_try_call) == sizeof(struct sluice_dnn_execute_call), "both calls have the same fields");
_Static_assert(sizeof(struct sluice_library_ask_call_call) == sizeof(struct sluice_library_call_call), "both calls have the same fields");

/* What is known of each library on each device. */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct opened {
    bool is_asked;
    CUresult result;
    struct sluice_library_open_answer answer;
    char why[512];
} known[SLUICE_LIBRARIES_MAX][SLUICE_SLICES_PER_LEASE_MAX];

static void encode_open(uint8_t *at, const void *call) {
    sluice_encode_library_open_call(at, call);
}

/* Its versions go through the reply as data. */
static bool read_open(const struct answer *answer, struct sluice_library_reply *reply, uint64_t *reserved_bytes) {
    struct sluice_library_open_answer said;
    if (sluice_decode_library_open_answer(answer->body, answer->body_bytes, &said) != 0) return false;
    *reply = (struct sluice_library_reply){.data = {answer->body, answer->body_bytes}};
    *reserved_bytes = said.reserved_bytes;
    return true;
}

static void open_once(struct device *device, uint32_t library, struct opened *opened) {
    struct sluice_library_reply reply;
    struct sluice_library_open_call call = {.device = device->index, .library = library};
    const struct question question = {SLUICE_OP_LIBRARY_OPEN, sluice_size_library_open_call(&call), &call, encode_open, read_open, NULL, 0, NULL};
    opened->result = ask(&question, device, NULL, &reply);
    if (opened->result == CUDA_SUCCESS) sluice_decode_library_open_answer(reply.data.data, reply.data.byte_count, &opened->answer);
    else snprintf(opened->why, sizeof opened->why, "%.*s", (int)reply.message.byte_count, reply.message.data == NULL ? "" : (const char *)reply.message.data);
    free(reply.owned);
    /* Want of memory may pass. */
    opened->is_asked = opened->result == CUDA_SUCCESS || opened->result == CUDA_ERROR_NOT_SUPPORTED;
}

API(sluiceLibraryOpen, (uint32_t library, uint32_t *index, struct sluice_library_open_answer *answer, const char **why), (library, index, answer, why)) {
    struct context *context;
    struct device *device = current_context(&context) == CUDA_SUCCESS ? context->device : driver.devices[0];
    struct opened *opened = &known[library % SLUICE_LIBRARIES_MAX][device->index];
    pthread_mutex_lock(&open_lock);
    if (!opened->is_asked) open_once(device, library, opened);
    CUresult result = opened->result;
    *index = device->index;
    *answer = opened->answer;
    *why = opened->why;
    pthread_mutex_unlock(&open_lock);
    return result;
}

/* The device of that index, which an object has. */
static struct device *device_at(uint32_t index) {
    return driver.devices[index < driver.device_count ? index : 0];
}

API(sluiceDnnDescribe, (struct sluice_dnn_describe_call *call, struct sluice_library_object *object, struct sluice_library_reply *reply), (call, object, reply)) {
    struct question question = question_dnn_describe(call);
    call->device = object->device;
    question.made = &object, question.made_count = 1, question.numbers = &call->descriptor;
    CUresult result = ask(&question, device_at(object->device), NULL, reply);
    atomic_store(&object->is_known, result == CUDA_SUCCESS && reply->status == 0);
    return result;
}

API(sluiceDnnAsk,
    (struct sluice_dnn_ask_call *call, const struct sluice_library_object *asked, struct sluice_library_object *const *into, struct sluice_library_reply *reply),
    (call, asked, into, reply)) {
    uint32_t *numbers = NULL;
    call->descriptor = asked->handle;
    if (into != NULL) {
        numbers = malloc(call->count * sizeof *numbers);
        if (numbers == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
        call->into = (struct sluice_bytes){numbers, call->count * sizeof *numbers};
    }
    struct question question = question_dnn_ask(call);
    if (into != NULL) question.made = into, question.made_count = call->count, question.numbers = numbers;
    CUresult result = ask(&question, device_at(asked->device), NULL, reply);
    for (uint32_t i = 0; into != NULL && i < call->count; i++)
        atomic_store(&into[i]->is_known, result == CUDA_SUCCESS && reply->status == 0 && i < reply->count);
    free(numbers);
    return result;
}

static CUresult ask_call(const struct sluice_library_call_call *call, struct device *device, uint64_t *mark, struct sluice_library_reply *reply) {
    struct sluice_library_ask_call_call asked;
    memcpy(&asked, call, sizeof asked);
    const struct question question = question_library_ask_call(&asked);
    return ask(&question, device, mark, reply);
}

static CUresult try(const struct sluice_dnn_execute_call *call, struct device *device, uint64_t *mark, struct sluice_library_reply *reply) {
    struct sluice_dnn_try_call tried;
    memcpy(&tried, call, sizeof tried);
    const struct question question = question_dnn_try(&tried);
    return ask(&question, device, mark, reply);
}

/* `number` is where in the arguments its number stands. */
static CUresult make_object(const struct sluice_library_ask_call_call *call, uint32_t *number, struct sluice_library_object *object,
                            struct sluice_library_reply *reply) {
    struct question question = question_library_ask_call(call);
    question.made = &object, question.made_count = 1, question.numbers = number;
    if (reply != NULL) {
        CUresult result = ask(&question, device_at(object->device), NULL, reply);
        atomic_store(&object->is_known, result == CUDA_SUCCESS && reply->status == 0);
        return result;
    }
    uint8_t *at = call_begin(&driver.connection, SLUICE_OP_LIBRARY_CALL, question.byte_count);
    if (at == NULL) return connection_result();
    *number = object->handle = ++numbered;
    encode_library_ask_call(at, call);
    call_end(&driver.connection, NULL);
    atomic_store(&object->is_known, true);
    return CUDA_SUCCESS;
}

API(sluiceLibraryMake,
    (uint32_t library, uint32_t function, struct sluice_library_object *object, struct sluice_bytes given, struct sluice_library_reply *reply),
    (library, function, object, given, reply)) {
    uint8_t *arguments = malloc(given.byte_count);
    if (arguments == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(arguments, given.data, given.byte_count);
    const struct sluice_library_ask_call_call call = {
        .library = library, .function = function, .device = object->device, .arguments = {arguments, given.byte_count}};
    CUresult result = make_object(&call, (uint32_t *)(void *)arguments, object, reply);
    free(arguments);
    return result;
}

static const char *why_not(const struct sluice_span *span, const struct device *device) {
    struct device *found;
    if (range_check(span->address, 1, &found) != CUDA_SUCCESS) return "is not within an allocation of device memory";
    if (found != device) return "is memory of another device";
    return range_check(span->address, span->byte_count, &found) == CUDA_SUCCESS ? NULL : "has less memory behind it than that takes";
}

CUresult library_check(const struct sluice_library_work *work, const struct device *device) {
    for (size_t i = 0; i < work->span_count; i++) {
        const struct sluice_span *span = &work->spans[i];
        const char *why = span->address == 0 ? NULL : why_not(span, device);
        if (why == NULL) continue;
        report("%s is given the address [0x%llx] for [%llu] bytes, which %s.", work->name, (unsigned long long)span->address,
               (unsigned long long)span->byte_count, why);
        return CUDA_ERROR_INVALID_VALUE;
    }
    for (size_t i = 0; i < work->object_count; i++) {
        if (work->objects[i]->device == device->index) continue;
        report("%s is given a descriptor of device [%u] for work on device [%u].", work->name, work->objects[i]->device, device->index);
        return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

API(sluiceLibraryQuestion, (const struct sluice_library_work *work, struct sluice_library_reply *reply), (work, reply)) {
    struct device *device = device_at(work->call.device);
    CUresult result = library_check(work, device);
    return result == CUDA_SUCCESS ? ask_call(&work->call, device, NULL, reply) : result;
}

API(sluiceLibraryTell, (const struct sluice_library_work *work), (work)) {
    CUresult result = library_check(work, device_at(work->call.device));
    return result == CUDA_SUCCESS ? send_library_call(&work->call, NULL) : result;
}

CUresult replay_library(const struct sluice_library_work *work, struct stream *stream, struct sluice_library_reply *reply) {
    struct sluice_library_work sent = *work;
    CUresult result = library_check(work, stream->device);
    if (result == CUDA_SUCCESS) result = managed_release(stream->device);
    if (result != CUDA_SUCCESS) return result;
    if (work->is_plan) {
        sent.execute.stream = stream->id;
        return reply == NULL ? send_dnn_execute(&sent.execute, &stream->last) : try(&sent.execute, stream->device, &stream->last, reply);
    }
    sent.call.stream = stream->id;
    return reply == NULL ? send_library_call(&sent.call, &stream->last) : ask_call(&sent.call, stream->device, &stream->last, reply);
}

/* Work in one piece of memory with all that it refers to, whose objects it holds. */
struct library_work {
    atomic_uint users;
    struct sluice_library_work work;
    max_align_t rest[];
};

static struct sluice_bytes put(uint8_t **at, struct sluice_bytes bytes) {
    struct sluice_bytes copy = {*at, bytes.byte_count};
    if (bytes.byte_count > 0) memcpy(*at, bytes.data, bytes.byte_count);
    *at += sluice_pad8(bytes.byte_count);
    return copy;
}

static struct library_work *copy_of(const struct sluice_library_work *work) {
    struct sluice_bytes objects = {work->objects, work->object_count * sizeof *work->objects};
    struct sluice_bytes spans = {work->spans, work->span_count * sizeof *work->spans};
    size_t body = work->is_plan ? sluice_size_dnn_execute_call(&work->execute) : sluice_size_library_call_call(&work->call);
    struct library_work *copy = calloc(1, sizeof *copy + objects.byte_count + spans.byte_count + body);
    if (copy == NULL) return NULL;
    uint8_t *at = (uint8_t *)copy->rest;
    atomic_store(&copy->users, 1);
    copy->work = *work;
    copy->work.objects = put(&at, objects).data;
    copy->work.spans = put(&at, spans).data;
    if (work->is_plan) {
        copy->work.execute.uids = put(&at, work->execute.uids);
        copy->work.execute.addresses = put(&at, work->execute.addresses);
        copy->work.execute.values = put(&at, work->execute.values);
    } else {
        copy->work.call.arguments = put(&at, work->call.arguments);
    }
    for (size_t i = 0; i < work->object_count; i++) sluiceLibraryHold(work->objects[i]);
    return copy;
}

struct library_work *library_work_hold(struct library_work *work) {
    atomic_fetch_add(&work->users, 1);
    return work;
}

void library_work_drop(struct library_work *work) {
    if (atomic_fetch_sub(&work->users, 1) != 1) return;
    for (size_t i = 0; i < work->work.object_count; i++) sluiceLibraryDrop(work->work.objects[i]);
    free(work);
}

const struct sluice_library_work *library_work_of(const struct library_work *work) {
    return &work->work;
}

API(sluiceLibraryRun, (const struct sluice_library_work *work, CUstream handle, struct sluice_library_reply *reply), (work, handle, reply)) {
    struct stream *stream;
    if (reply != NULL) *reply = (struct sluice_library_reply){0};
    CUresult result = work_stream_of(handle, &stream);
    if (result == CUDA_SUCCESS && stream->capture == NULL) return replay_library(work, stream, reply);
    if (result == CUDA_SUCCESS) result = library_check(work, stream->device);
    if (result != CUDA_SUCCESS) return result;
    struct node_work node = {.type = NODE_LIBRARY, .library = copy_of(work)};
    return node.library == NULL ? CUDA_ERROR_OUT_OF_MEMORY : capture_add(stream, &node);
}
