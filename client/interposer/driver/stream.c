/*
 * Streams and waiting for them. What is known to be done is remembered, so that waiting for it again costs no trip. A host callback
 * runs in the thread that enqueues it, once the work before it is done: the work behind it then keeps its order by itself.
 */
#include <stdlib.h>

#include "managed.h"

static struct object_pool streams = OBJECT_POOL_INITIAL;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

DEFINE_CREATE(stream_create, STREAM_CREATE, stream, streams)
DEFINE_SEND(stream_destroy, STREAM_DESTROY)
DEFINE_SEND(stream_wait_event, STREAM_WAIT_EVENT)
DEFINE_ASK(stream_synchronize, STREAM_SYNCHRONIZE)
DEFINE_ASK(stream_query, STREAM_QUERY)
DEFINE_ASK(device_synchronize, DEVICE_SYNCHRONIZE)

CUresult stream_of(CUstream handle, struct stream **stream) {
    struct context *context;
    CUresult result = current_context(&context);
    if ((uintptr_t)handle <= 2) {
        if (result == CUDA_SUCCESS) *stream = &context->device->stream;
        return result;
    }
    if (!object_is(handle, OBJECT_STREAM)) return CUDA_ERROR_INVALID_HANDLE;
    *stream = handle;
    return CUDA_SUCCESS;
}

/* A stream that waits for no default stream would pass a copy that the program takes for done. */
static CUresult settle(struct stream *stream) {
    uint32_t count = atomic_load(&stream->device->handed_over);
    if (stream->capture != NULL || atomic_exchange(&stream->settled, count) == count) return CUDA_SUCCESS;
    struct sluice_stream_wait_event_call call = {.stream = stream->id, .event = stream->device->handed_over_event};
    return send_stream_wait_event(&call, &stream->last);
}

CUresult work_stream_of(CUstream handle, struct stream **stream) {
    CUresult result = stream_of(handle, stream);
    return result != CUDA_SUCCESS || ((*stream)->flags & 1) == 0 ? result : settle(*stream);
}

void note_done(atomic_uint_least64_t *done, uint64_t sequence) {
    uint64_t known = atomic_load(done);
    while (known < sequence && !atomic_compare_exchange_weak(done, &known, sequence)) continue;
}

uint64_t stream_last(struct stream *stream) {
    pthread_mutex_lock(&driver.connection.send_lock);
    uint64_t last = stream->last;
    pthread_mutex_unlock(&driver.connection.send_lock);
    return last;
}

uint64_t sequence_now(void) {
    pthread_mutex_lock(&driver.connection.send_lock);
    uint64_t sequence = driver.connection.sequence;
    pthread_mutex_unlock(&driver.connection.send_lock);
    return sequence;
}

CUresult device_wait(struct device *device) {
    uint64_t before = sequence_now();
    if (before <= atomic_load(&device->done)) return connection_result();
    struct answer answer = ANSWER_INITIAL;
    struct sluice_device_synchronize_call call = {.device = device->index};
    CUresult result = ask_device_synchronize(&call, &answer);
    if (result != CUDA_SUCCESS) return result;
    answer_release(&answer);
    note_done(&device->done, before);
    /* The wait itself is a call: when nothing came between, there is nothing new to wait for. */
    if ((uint32_t)(before + 1) == answer.sequence) note_done(&device->done, before + 1);
    return CUDA_SUCCESS;
}

static bool is_done(struct stream *stream, uint64_t last) {
    return last <= atomic_load(&stream->done) || last <= atomic_load(&stream->device->done);
}

CUresult stream_wait(struct stream *stream) {
    if (stream->capture != NULL) return capture_refuse(stream);
    if (stream->id == 0) return device_wait(stream->device);
    uint64_t last = stream_last(stream);
    if (is_done(stream, last)) return connection_result();
    struct answer answer = ANSWER_INITIAL;
    struct sluice_stream_synchronize_call call = {.stream = stream->id};
    CUresult result = ask_stream_synchronize(&call, &answer);
    if (result != CUDA_SUCCESS) return result;
    answer_release(&answer);
    note_done(&stream->done, last);
    return CUDA_SUCCESS;
}

static CUresult create(CUstream *stream, unsigned flags, int priority) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (stream == NULL || flags > 1) return CUDA_ERROR_INVALID_VALUE;
    int greatest = context->device->attributes[CU_ATTRIBUTE_STREAM_PRIORITIES] != 0 ? -5 : 0;
    if (priority > 0) priority = 0;
    if (priority < greatest) priority = greatest;
    struct stream *made = object_new(&streams, OBJECT_STREAM, sizeof *made);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    made->context = context;
    made->device = context->device;
    if (!atomic_exchange(&made->device->has_streams, true)) handed_over_early(made->device);
    made->flags = flags;
    made->priority = priority;
    struct sluice_stream_create_call call = {.device = made->device->index, .flags = flags, .priority = priority};
    result = send_stream_create(&call);
    made->id = call.stream;
    pthread_mutex_lock(&list_lock);
    made->next = context->streams;
    context->streams = made;
    pthread_mutex_unlock(&list_lock);
    *stream = made;
    return result;
}

API(cuStreamCreate, (CUstream *stream, unsigned int flags), (stream, flags)) {
    return create(stream, flags, 0);
}

API(cuStreamCreateWithPriority, (CUstream *stream, unsigned int flags, int priority), (stream, flags, priority)) {
    return create(stream, flags, priority);
}

static CUresult destroy(struct stream *stream) {
    pthread_mutex_lock(&list_lock);
    struct stream **at = &stream->context->streams;
    while (*at != NULL && *at != stream) at = &(*at)->next;
    if (*at != NULL) *at = stream->next;
    pthread_mutex_unlock(&list_lock);
    capture_leave(stream);
    free(stream->attributes);
    stream->attributes = NULL;
    struct sluice_stream_destroy_call call = {.stream = stream->id};
    CUresult result = send_stream_destroy(&call, NULL);
    object_destroy(&streams, &stream->object);
    return result;
}

API(cuStreamDestroy_v2, (CUstream stream), (stream)) {
    if ((uintptr_t)stream <= 2 || !object_is(stream, OBJECT_STREAM)) return CUDA_ERROR_INVALID_HANDLE;
    return destroy(stream);
}
API_ALIAS(cuStreamDestroy, cuStreamDestroy_v2);

void streams_drop(struct context *context) {
    while (context->streams != NULL) destroy(context->streams);
}

API(cuStreamSynchronize, (CUstream handle), (handle)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS) result = stream_wait(stream);
    return result == CUDA_SUCCESS ? managed_return(stream->device) : result;
}
API_ALIAS(cuStreamSynchronize_ptsz, cuStreamSynchronize);

API(cuStreamQuery, (CUstream handle), (handle)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (stream->capture != NULL) return capture_refuse(stream);
    uint64_t last = stream_last(stream);
    if (is_done(stream, last)) return CUDA_SUCCESS;
    /* The wire's stream 0 does not say of which device; work in it is short to wait for, or done. */
    if (stream->id == 0 && driver.device_count > 1) return stream_wait(stream);
    struct answer answer = ANSWER_INITIAL;
    struct sluice_stream_query_call call = {.stream = stream->id};
    result = ask_stream_query(&call, &answer);
    if (result != CUDA_SUCCESS) return result;
    struct sluice_stream_query_answer query;
    if (sluice_decode_stream_query_answer(answer.body, answer.body_bytes, &query) != 0) result = CUDA_ERROR_UNKNOWN;
    else if (query.done == 0) result = CUDA_ERROR_NOT_READY;
    else note_done(&stream->done, last);
    answer_release(&answer);
    return result;
}
API_ALIAS(cuStreamQuery_ptsz, cuStreamQuery);

API(cuStreamWaitEvent, (CUstream handle, CUevent event, unsigned int flags), (handle, event, flags)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (!object_is(event, OBJECT_EVENT)) return CUDA_ERROR_INVALID_HANDLE;
    if (flags > 1) return CUDA_ERROR_INVALID_VALUE;
    if (stream->capture != NULL || event_is_captured(event)) return capture_wait(stream, event, flags == 1);
    if (event->recorded == 0) return CUDA_SUCCESS;
    /* The wire knows no waiting of a default stream, nor between devices: then this thread waits, which is the stronger order. */
    if (stream->id == 0 || event->device != stream->device) return event->stream == stream ? CUDA_SUCCESS : stream_wait(event->stream);
    struct sluice_stream_wait_event_call call = {.stream = stream->id, .event = event->id};
    return send_stream_wait_event(&call, &stream->last);
}
API_ALIAS(cuStreamWaitEvent_ptsz, cuStreamWaitEvent);

CUresult replay_host(CUhostFn function, void *user_data, struct stream *stream) {
    CUresult result = stream_wait(stream);
    if (result == CUDA_SUCCESS) function(user_data);
    return result;
}

API(cuLaunchHostFunc, (CUstream handle, CUhostFn function, void *user_data), (handle, function, user_data)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (function == NULL) return CUDA_ERROR_INVALID_VALUE;
    return stream->capture != NULL ? capture_host(stream, function, user_data) : replay_host(function, user_data, stream);
}
API_ALIAS(cuLaunchHostFunc_ptsz, cuLaunchHostFunc);

API(cuStreamAddCallback, (CUstream handle, CUstreamCallback callback, void *user_data, unsigned int flags),
    (handle, callback, user_data, flags)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (callback == NULL || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (stream->capture != NULL) return capture_refuse(stream);
    callback(handle, stream_wait(stream), user_data);
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamAddCallback_ptsz, cuStreamAddCallback);

API(cuStreamGetFlags, (CUstream handle, unsigned int *flags), (handle, flags)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (flags == NULL) return CUDA_ERROR_INVALID_VALUE;
    *flags = stream->flags;
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamGetFlags_ptsz, cuStreamGetFlags);

API(cuStreamGetPriority, (CUstream handle, int *priority), (handle, priority)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (priority == NULL) return CUDA_ERROR_INVALID_VALUE;
    *priority = stream->priority;
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamGetPriority_ptsz, cuStreamGetPriority);

API(cuStreamGetId, (CUstream handle, unsigned long long *id), (handle, id)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (id == NULL) return CUDA_ERROR_INVALID_VALUE;
    *id = (unsigned long long)stream->device->index << 32 | stream->id;
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamGetId_ptsz, cuStreamGetId);

API(cuStreamGetCtx, (CUstream handle, CUcontext *context), (handle, context)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (context == NULL) return CUDA_ERROR_INVALID_VALUE;
    *context = stream->context;
    return stream->id == 0 ? current_context(context) : CUDA_SUCCESS;
}
API_ALIAS(cuStreamGetCtx_ptsz, cuStreamGetCtx);

API(cuStreamGetDevice, (CUstream handle, CUdevice *device), (handle, device)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (device == NULL) return CUDA_ERROR_INVALID_VALUE;
    *device = (CUdevice)stream->device->index;
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamGetDevice_ptsz, cuStreamGetDevice);
