/* Events. An event whose recording is known to be done is answered without a trip. */
#include "graph.h"
#include "managed.h"

enum { EVENT_BLOCKING = 1, EVENT_NO_TIMING = 2, EVENT_INTERPROCESS = 4 };

static struct object_pool events = OBJECT_POOL_INITIAL;

DEFINE_CREATE(event_create, EVENT_CREATE, event, events)
DEFINE_SEND(event_destroy, EVENT_DESTROY)
DEFINE_SEND(event_record, EVENT_RECORD)
DEFINE_ASK(event_synchronize, EVENT_SYNCHRONIZE)
DEFINE_ASK(event_query, EVENT_QUERY)
DEFINE_ASK(event_elapsed, EVENT_ELAPSED)

API(cuEventCreate, (CUevent *event, unsigned int flags), (event, flags)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (event == NULL || flags > 7) return CUDA_ERROR_INVALID_VALUE;
    if ((flags & EVENT_INTERPROCESS) != 0) return CUDA_ERROR_NOT_SUPPORTED;
    struct event *made = object_new(&events, OBJECT_EVENT, sizeof *made);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    made->device = context->device;
    made->flags = flags;
    struct sluice_event_create_call call = {.device = made->device->index, .flags = flags & EVENT_NO_TIMING};
    result = send_event_create(&call);
    made->id = call.event;
    *event = made;
    return result;
}

static uint32_t last_handed_over(struct device *device) {
    if (device->handed_over_event != 0) return device->handed_over_event;
    struct sluice_event_create_call call = {.device = device->index, .flags = EVENT_NO_TIMING};
    send_event_create(&call);
    return device->handed_over_event = call.event;
}

static void hand_over(struct device *device) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    struct sluice_event_record_call call = {.event = last_handed_over(device)};
    send_event_record(&call, NULL);
    atomic_fetch_add(&device->handed_over, 1);
    pthread_mutex_unlock(&lock);
}

void handed_over(struct device *device, uint64_t address) {
    for (uint32_t index = 0; index < driver.device_count; index++)
        if (arena_holds(&driver.devices[index]->arena, address)) device = driver.devices[index];
    if (atomic_load(&device->has_streams)) hand_over(device);
    else device->handed_over_early = stream_last(&device->stream);
}

void handed_over_early(struct device *device) {
    uint64_t early = device->handed_over_early;
    if (early > atomic_load(&device->done) && early == stream_last(&device->stream)) hand_over(device);
}

API(cuEventDestroy_v2, (CUevent event), (event)) {
    if (!object_is(event, OBJECT_EVENT)) return CUDA_ERROR_INVALID_HANDLE;
    struct sluice_event_destroy_call call = {.event = event->id};
    CUresult result = send_event_destroy(&call, NULL);
    list_drop(&event->captured);
    object_destroy(&events, &event->object);
    return result;
}
API_ALIAS(cuEventDestroy, cuEventDestroy_v2);

static CUresult record(CUevent event, CUstream handle, bool is_external) {
    struct stream *stream;
    CUresult result = work_stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (!object_is(event, OBJECT_EVENT) || event->device != stream->device) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture != NULL) return capture_record(stream, event, is_external);
    event->capture = NULL;
    struct sluice_event_record_call call = {.event = event->id, .stream = stream->id};
    uint8_t *at = call_begin(&driver.connection, SLUICE_OP_EVENT_RECORD, sluice_size_event_record_call(&call));
    if (at == NULL) return connection_result();
    sluice_encode_event_record_call(at, &call);
    event->stream = stream;
    event->stream_id = stream->id;
    event->recorded = stream->last = driver.connection.sequence + 1;
    call_end(&driver.connection, NULL);
    return CUDA_SUCCESS;
}

API(cuEventRecord, (CUevent event, CUstream stream), (event, stream)) {
    return record(event, stream, false);
}
API_ALIAS(cuEventRecord_ptsz, cuEventRecord);

/* An external event is recorded by the graph that a capture makes, instead of carrying its dependencies. */
API(cuEventRecordWithFlags, (CUevent event, CUstream stream, unsigned int flags), (event, stream, flags)) {
    return flags > 1 ? CUDA_ERROR_INVALID_VALUE : record(event, stream, flags == 1);
}
API_ALIAS(cuEventRecordWithFlags_ptsz, cuEventRecordWithFlags);

static bool is_done(struct event *event, uint64_t recorded) {
    if (recorded <= atomic_load(&event->device->done)) return true;
    return event->stream->id == event->stream_id && recorded <= atomic_load(&event->stream->done);
}

static void note_recorded(struct event *event, uint64_t recorded) {
    if (event->stream->id == event->stream_id) note_done(&event->stream->done, recorded);
}

static uint64_t recorded_of(struct event *event) {
    pthread_mutex_lock(&driver.connection.send_lock);
    uint64_t recorded = event->recorded;
    pthread_mutex_unlock(&driver.connection.send_lock);
    return recorded;
}

API(cuEventQuery, (CUevent event), (event)) {
    if (!object_is(event, OBJECT_EVENT)) return CUDA_ERROR_INVALID_HANDLE;
    if (event_is_captured(event)) return CUDA_ERROR_CAPTURED_EVENT;
    uint64_t recorded = recorded_of(event);
    if (recorded == 0 || is_done(event, recorded)) return CUDA_SUCCESS;
    struct answer answer = ANSWER_INITIAL;
    struct sluice_event_query_call call = {.event = event->id};
    CUresult result = ask_event_query(&call, &answer);
    if (result != CUDA_SUCCESS) return result;
    struct sluice_event_query_answer query;
    if (sluice_decode_event_query_answer(answer.body, answer.body_bytes, &query) != 0) result = CUDA_ERROR_UNKNOWN;
    else if (query.done == 0) result = CUDA_ERROR_NOT_READY;
    else note_recorded(event, recorded);
    answer_release(&answer);
    return result;
}

API(cuEventSynchronize, (CUevent event), (event)) {
    if (!object_is(event, OBJECT_EVENT)) return CUDA_ERROR_INVALID_HANDLE;
    if (event_is_captured(event)) return CUDA_ERROR_CAPTURED_EVENT;
    uint64_t recorded = recorded_of(event);
    if (recorded == 0 || is_done(event, recorded)) return managed_return(event->device);
    struct answer answer = ANSWER_INITIAL;
    struct sluice_event_synchronize_call call = {.event = event->id};
    CUresult result = ask_event_synchronize(&call, &answer);
    if (result != CUDA_SUCCESS) return result;
    answer_release(&answer);
    note_recorded(event, recorded);
    return managed_return(event->device);
}

API(cuEventElapsedTime_v2, (float *milliseconds, CUevent start, CUevent end), (milliseconds, start, end)) {
    if (!object_is(start, OBJECT_EVENT) || !object_is(end, OBJECT_EVENT)) return CUDA_ERROR_INVALID_HANDLE;
    if (milliseconds == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (((start->flags | end->flags) & EVENT_NO_TIMING) != 0 || start->recorded == 0 || end->recorded == 0) return CUDA_ERROR_INVALID_HANDLE;
    struct answer answer = ANSWER_INITIAL;
    struct sluice_event_elapsed_call call = {.start = start->id, .end = end->id};
    CUresult result = ask_event_elapsed(&call, &answer);
    if (result != CUDA_SUCCESS) return result;
    struct sluice_event_elapsed_answer elapsed;
    if (sluice_decode_event_elapsed_answer(answer.body, answer.body_bytes, &elapsed) != 0) result = CUDA_ERROR_UNKNOWN;
    else *milliseconds = (float)elapsed.milliseconds;
    answer_release(&answer);
    return result;
}
API_ALIAS(cuEventElapsedTime, cuEventElapsedTime_v2);
