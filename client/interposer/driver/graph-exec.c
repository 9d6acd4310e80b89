/*
 * Launching what was captured. At the first launch into a stream the calls go to the server as recordings, and from then on a launch is one
 * short call for each of them. Nodes that run on the host, or that the server cannot record, are carried out in between. The order of
 * recording is kept, in one stream.
 */
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "managed.h"

/* A recording fits a batch with room for the rest of the call. */
#define SEGMENT_BYTES_MAX (SLUICE_BATCH_BYTES - 1024)
#define CALL_HEADER_BYTES 8

/* Fewer calls than this are no longer to send than a replay. */
#define SEGMENT_CALLS_MIN 2

/* Consecutive nodes: a recording of the server, or nodes to be carried out one by one when `recording` is 0. */
struct segment {
    const struct graph_node *first;
    size_t count;
    uint32_t recording;
    struct segment *next;
};

struct graph_exec {
    struct object object;
    struct node_list *nodes;
    pthread_mutex_t lock;
    /* What the nodes have become for the stream with this id; NULL before the first launch. */
    struct segment *segments;
    uint32_t stream_id;
};

static struct object_pool execs = OBJECT_POOL_INITIAL;

/* Calls that the session's recordings hold, of at most SLUICE_RECORDED_CALLS_MAX. */
static atomic_uint_least32_t recorded_calls;

DEFINE_CREATE(recording_create, RECORDING_CREATE, recording, recordings)
DEFINE_SEND(recording_replay, RECORDING_REPLAY)
DEFINE_SEND(recording_destroy, RECORDING_DESTROY)

static bool is_recordable(const struct graph_node *node, const struct stream *stream) {
    struct device *source, *destination;
    if (node->type == NODE_LAUNCH || node->type == NODE_FILL) return true;
    return node->type == NODE_COPY && node->line.to_device && node->line.from_device && node->bytes > 0 &&
           range_check(node->line.source, node->bytes, &source) == CUDA_SUCCESS &&
           range_check(node->line.destination, node->bytes, &destination) == CUDA_SUCCESS && source == stream->device && destination == source;
}

static struct sluice_copy_on_device_call copy_call(const struct graph_node *node, uint32_t stream_id) {
    return (struct sluice_copy_on_device_call){
        .destination = node->line.destination, .source = node->line.source, .byte_count = node->bytes, .stream = stream_id};
}

/* Bytes of a node's call, its header included. */
static size_t call_bytes(const struct graph_node *node) {
    struct sluice_copy_on_device_call copy = copy_call(node, 0);
    size_t body = node->type == NODE_LAUNCH ? sluice_size_launch_call(&node->launch)
                : node->type == NODE_FILL   ? sluice_size_fill_call(&node->fill)
                                            : sluice_size_copy_on_device_call(&copy);
    return CALL_HEADER_BYTES + body;
}

static uint8_t *write_call(uint8_t *at, const struct graph_node *node, uint32_t stream_id) {
    struct sluice_launch_call launch = node->launch;
    struct sluice_fill_call fill = node->fill;
    struct sluice_copy_on_device_call copy = copy_call(node, stream_id);
    launch.stream = fill.stream = stream_id;
    size_t bytes = call_bytes(node);
    uint8_t *body = at + CALL_HEADER_BYTES;
    sluice_put_u32(at + 4, (uint32_t)bytes);
    if (node->type == NODE_LAUNCH) {
        sluice_put_u32(at, SLUICE_OP_LAUNCH);
        sluice_encode_launch_call(body, &launch);
    } else if (node->type == NODE_FILL) {
        sluice_put_u32(at, SLUICE_OP_FILL);
        sluice_encode_fill_call(body, &fill);
    } else {
        sluice_put_u32(at, SLUICE_OP_COPY_ON_DEVICE);
        sluice_encode_copy_on_device_call(body, &copy);
    }
    return at + bytes;
}

/* Records `segment->count` nodes; without room for more recordings the nodes are carried out one by one. */
static CUresult record(struct segment *segment, size_t bytes, uint32_t stream_id) {
    uint32_t count = (uint32_t)segment->count;
    if (atomic_fetch_add(&recorded_calls, count) + count > SLUICE_RECORDED_CALLS_MAX) {
        atomic_fetch_sub(&recorded_calls, count);
        return CUDA_SUCCESS;
    }
    uint8_t *calls = malloc(bytes), *at = calls;
    if (calls == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    const struct graph_node *node = segment->first;
    for (uint32_t i = 0; i < count; i++, node = node->next) at = write_call(at, node, stream_id);
    struct sluice_recording_create_call call = {.count = count, .calls = {calls, bytes}};
    CUresult result = send_recording_create(&call);
    segment->recording = call.recording;
    free(calls);
    return result;
}

static void forget_segments(struct graph_exec *exec) {
    for (struct segment *segment = exec->segments; segment != NULL;) {
        struct segment *next = segment->next;
        if (segment->recording != 0) {
            struct sluice_recording_destroy_call call = {.recording = segment->recording};
            send_recording_destroy(&call, NULL); /* In a session that is over there is none left to destroy. */
            atomic_fetch_sub(&recorded_calls, (uint32_t)segment->count);
        }
        free(segment);
        segment = next;
    }
    exec->segments = NULL;
}

/* Cuts the nodes into segments, and sends those that can be recorded. */
static CUresult prepare(struct graph_exec *exec, const struct stream *stream) {
    struct segment **last = &exec->segments;
    exec->stream_id = stream->id;
    for (const struct graph_node *node = exec->nodes->first; node != NULL;) {
        struct segment *segment = calloc(1, sizeof *segment);
        if (segment == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
        *last = segment;
        last = &segment->next;
        segment->first = node;
        size_t bytes = 0;
        bool recordable = is_recordable(node, stream);
        for (; node != NULL && is_recordable(node, stream) == recordable; node = node->next, segment->count++) {
            size_t more = recordable ? call_bytes(node) : 0;
            if (bytes + more > SEGMENT_BYTES_MAX) break;
            bytes += more;
        }
        if (segment->count == 0) { /* A call larger than a recording may be. */
            node = node->next;
            segment->count = 1;
        } else if (recordable && segment->count >= SEGMENT_CALLS_MIN) {
            CUresult result = record(segment, bytes, stream->id);
            if (result != CUDA_SUCCESS) return result;
        }
    }
    return CUDA_SUCCESS;
}

static CUresult carry_out(const struct graph_node *node, struct stream *stream) {
    struct sluice_launch_call launch = node->launch;
    struct sluice_fill_call fill = node->fill;
    switch (node->type) {
    case NODE_LAUNCH: return replay_launch(&launch, stream);
    case NODE_FILL: return replay_fill(&fill, stream);
    case NODE_COPY: return replay_copy(node->line, node->bytes, stream);
    default: return replay_host(node->function, node->user_data, stream);
    }
}

static CUresult run_segment(const struct segment *segment, struct stream *stream) {
    if (segment->recording != 0) {
        struct sluice_recording_replay_call call = {.recording = segment->recording};
        return send_recording_replay(&call, &stream->last);
    }
    CUresult result = CUDA_SUCCESS;
    const struct graph_node *node = segment->first;
    for (size_t i = 0; i < segment->count && result == CUDA_SUCCESS; i++, node = node->next) result = carry_out(node, stream);
    return result;
}

API(cuGraphInstantiateWithFlags, (CUgraphExec * exec, CUgraph graph, unsigned long long flags), (exec, graph, flags)) {
    if (exec == NULL || !object_is(graph, OBJECT_GRAPH) || graph->origin != NULL) return CUDA_ERROR_INVALID_VALUE;
    (void)flags; /* They speak of memory nodes, priorities and launches from the device, of which there are none. */
    struct graph_exec *made = object_new(&execs, OBJECT_GRAPH_EXEC, sizeof *made);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    pthread_mutex_init(&made->lock, NULL);
    atomic_fetch_add(&graph->nodes->users, 1);
    made->nodes = graph->nodes;
    made->segments = NULL;
    *exec = made;
    return CUDA_SUCCESS;
}

/* The older form reports the node at fault and a log; nothing is at fault here. */
API(cuGraphInstantiate_v2, (CUgraphExec * exec, CUgraph graph, CUgraphNode *node, char *log, size_t log_bytes),
    (exec, graph, node, log, log_bytes)) {
    if (node != NULL) *node = NULL;
    if (log != NULL && log_bytes > 0) *log = '\0';
    return cuGraphInstantiateWithFlags(exec, graph, 0);
}
API_ALIAS(cuGraphInstantiate, cuGraphInstantiate_v2);

API(cuGraphExecDestroy, (CUgraphExec exec), (exec)) {
    if (!object_is(exec, OBJECT_GRAPH_EXEC)) return CUDA_ERROR_INVALID_VALUE;
    forget_segments(exec);
    node_list_release(exec->nodes);
    object_destroy(&execs, &exec->object);
    return CUDA_SUCCESS;
}

API(cuGraphUpload, (CUgraphExec exec, CUstream handle), (exec, handle)) {
    struct stream *stream;
    return object_is(exec, OBJECT_GRAPH_EXEC) ? stream_of(handle, &stream) : CUDA_ERROR_INVALID_VALUE;
}
API_ALIAS(cuGraphUpload_ptsz, cuGraphUpload);

API(cuGraphLaunch, (CUgraphExec exec, CUstream handle), (exec, handle)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (!object_is(exec, OBJECT_GRAPH_EXEC)) return CUDA_ERROR_INVALID_VALUE;
    if (stream->capture != NULL) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    result = managed_release(stream->device);
    if (result != CUDA_SUCCESS) return result;
    pthread_mutex_lock(&exec->lock);
    if (exec->segments != NULL && exec->stream_id != stream->id) forget_segments(exec);
    if (exec->segments == NULL) result = prepare(exec, stream);
    if (result != CUDA_SUCCESS) forget_segments(exec);
    for (const struct segment *segment = exec->segments; segment != NULL && result == CUDA_SUCCESS; segment = segment->next)
        result = run_segment(segment, stream);
    pthread_mutex_unlock(&exec->lock);
    return result;
}
API_ALIAS(cuGraphLaunch_ptsz, cuGraphLaunch);
