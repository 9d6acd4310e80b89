/*
 * Capture: a stream that captures puts its calls into a graph instead of sending them. Each node comes behind those that the stream had
 * last; an event recorded in a capture carries them to the streams that wait for it, which thereby take part. What CUDA forbids during a
 * capture is refused where it touches a stream that captures; other calls of the program go on as ever.
 */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

static bool is_open(const struct graph *graph) {
    return object_is(graph, OBJECT_GRAPH) && graph->origin != NULL;
}

bool event_is_captured(const struct event *event) {
    return event->capture != NULL && is_open(event->capture) && event->capture->id == event->capture_id;
}

static void join(struct stream *stream, struct graph *graph) {
    stream->capture = graph;
    stream->next_capturing = graph->capturing;
    graph->capturing = stream;
}

void capture_leave(struct stream *stream) {
    struct graph *graph = stream->capture;
    if (graph != NULL) {
        struct stream **at = &graph->capturing;
        while (*at != NULL && *at != stream) at = &(*at)->next_capturing;
        if (*at != NULL) *at = stream->next_capturing;
    }
    stream->capture = NULL;
    list_drop(&stream->captured);
}

CUresult capture_refuse(struct stream *stream) {
    stream->capture->is_invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult capture_add(struct stream *stream, struct node_work *work) {
    struct graph_node *node;
    if (stream->capture->is_invalid) {
        work_drop(work);
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    }
    CUresult result = graph_add(stream->capture, &stream->captured, work, &node);
    if (result != CUDA_SUCCESS) return result;
    stream->captured.count = 0;
    return list_add(&stream->captured, node);
}

CUresult capture_launch(struct stream *stream, const struct launch_wish *wish) {
    CUDA_KERNEL_NODE_PARAMS params = {
        .function = wish->handle, .grid_x = wish->grid[0], .grid_y = wish->grid[1], .grid_z = wish->grid[2],
        .block_x = wish->block[0], .block_y = wish->block[1], .block_z = wish->block[2],
        .shared_bytes = wish->shared_bytes, .params = wish->params, .extra = wish->extra,
    };
    struct node_work work;
    CUresult result = work_of_kernel(&params, &work);
    if (result != CUDA_SUCCESS) return result;
    work.kernel.is_cooperative = wish->is_cooperative;
    return capture_add(stream, &work);
}

CUresult capture_copy(struct stream *stream, const CUDA_MEMCPY3D *copy) {
    struct node_work work;
    CUresult result = work_of_copy(copy, &work);
    return result == CUDA_SUCCESS ? capture_add(stream, &work) : result;
}

CUresult capture_fill(struct stream *stream, const CUDA_MEMSET_NODE_PARAMS *fill) {
    struct node_work work;
    CUresult result = work_of_fill(fill, &work);
    return result == CUDA_SUCCESS ? capture_add(stream, &work) : result;
}

CUresult capture_host(struct stream *stream, CUhostFn function, void *user_data) {
    struct node_work work;
    CUresult result = work_of_host(&(CUDA_HOST_NODE_PARAMS){function, user_data}, &work);
    return result == CUDA_SUCCESS ? capture_add(stream, &work) : result;
}

CUresult capture_allocate(struct stream *stream, size_t byte_count, CUdeviceptr *address) {
    struct node_work work;
    CUDA_MEM_ALLOC_NODE_PARAMS params = {
        .pool = {.allocation_type = 1, .location = {CU_MEM_LOCATION_DEVICE, (int)stream->device->index}}, .bytes = byte_count};
    CUresult result = work_of_memory(stream->context, &params, &work);
    if (result == CUDA_SUCCESS) result = capture_add(stream, &work);
    if (result == CUDA_SUCCESS) *address = params.address;
    return result;
}

CUresult capture_free(struct stream *stream, CUdeviceptr address) {
    struct node_work work;
    CUresult result = work_of_free(address, &work);
    return result == CUDA_SUCCESS ? capture_add(stream, &work) : result;
}

/* An external event is recorded by each launch; any other only carries dependencies. */
CUresult capture_record(struct stream *stream, struct event *event, bool is_external) {
    struct node_work work;
    if (is_external) {
        CUresult result = work_of_event(NODE_EVENT_RECORD, event, &work);
        return result == CUDA_SUCCESS ? capture_add(stream, &work) : result;
    }
    event->capture = stream->capture;
    event->capture_id = stream->capture->id;
    return list_copy(&event->captured, &stream->captured);
}

CUresult capture_wait(struct stream *stream, struct event *event, bool is_external) {
    struct node_work work;
    if (is_external && stream->capture != NULL) {
        CUresult result = work_of_event(NODE_EVENT_WAIT, event, &work);
        return result == CUDA_SUCCESS ? capture_add(stream, &work) : result;
    }
    if (!event_is_captured(event)) {
        stream->capture->is_invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    }
    if (stream->id == 0) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream->capture != NULL && stream->capture != event->capture) {
        stream->capture->is_invalid = event->capture->is_invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_MERGE;
    }
    if (stream->capture == NULL) join(stream, event->capture);
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0; i < event->captured.count && result == CUDA_SUCCESS; i++) result = list_add(&stream->captured, event->captured.items[i]);
    return result;
}

static CUresult begin(CUstream handle, int mode, struct graph *given, const struct node_list *dependencies) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (mode < 0 || mode > 2) return CUDA_ERROR_INVALID_VALUE;
    /* The legacy default stream cannot be captured. */
    if (stream->id == 0) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream->capture != NULL) return CUDA_ERROR_ILLEGAL_STATE;
    struct graph *graph = given;
    if (given == NULL) result = graph_new(&graph);
    if (result == CUDA_SUCCESS) result = list_copy(&stream->captured, dependencies);
    if (result != CUDA_SUCCESS) return result;
    graph->origin = stream;
    graph->is_given = given != NULL;
    join(stream, graph);
    /* What is in the graph already needs not be joined. */
    for (struct graph_node *node = graph->first; node != NULL; node = node->next) node->mark = 1;
    return CUDA_SUCCESS;
}

API(cuStreamBeginCapture_v2, (CUstream stream, int mode), (stream, mode)) {
    return begin(stream, mode, NULL, NULL);
}
API_ALIAS(cuStreamBeginCapture_v2_ptsz, cuStreamBeginCapture_v2);

API(cuStreamBeginCapture, (CUstream stream), (stream)) {
    return begin(stream, 0, NULL, NULL);
}
API_ALIAS(cuStreamBeginCapture_ptsz, cuStreamBeginCapture);

static CUresult check_nodes(const struct graph *graph, const CUgraphNode *nodes, size_t count) {
    if (nodes == NULL && count > 0) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count; i++)
        if (!object_is(nodes[i], OBJECT_GRAPH_NODE) || nodes[i]->graph != graph) return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

API(cuStreamBeginCaptureToGraph,
    (CUstream stream, CUgraph graph, const CUgraphNode *dependencies, const void *edges, size_t count, int mode),
    (stream, graph, dependencies, edges, count, mode)) {
    (void)edges;
    if (!object_is(graph, OBJECT_GRAPH) || graph->origin != NULL) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = check_nodes(graph, dependencies, count);
    const struct node_list behind = {(struct graph_node **)(uintptr_t)dependencies, count, count};
    return result == CUDA_SUCCESS ? begin(stream, mode, graph, &behind) : result;
}
API_ALIAS(cuStreamBeginCaptureToGraph_ptsz, cuStreamBeginCaptureToGraph);

/* Whether all that was captured comes before what the first stream had last. */
static bool is_joined(const struct graph *graph) {
    uint32_t joined = 2;
    for (struct graph_node *node = graph->first; node != NULL; node = node->next)
        for (size_t i = 0; i < node->dependencies.count; i++) node->dependencies.items[i]->mark = joined;
    for (size_t i = 0; i < graph->origin->captured.count; i++) graph->origin->captured.items[i]->mark = joined;
    for (const struct graph_node *node = graph->first; node != NULL; node = node->next)
        if (node->mark == 0) return false;
    return true;
}

API(cuStreamEndCapture, (CUstream handle, CUgraph *graph), (handle, graph)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (graph == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct graph *captured = stream->capture;
    if (captured == NULL) return CUDA_ERROR_ILLEGAL_STATE;
    if (captured->origin != stream) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    if (captured->is_invalid) result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    else if (!is_joined(captured)) result = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    while (captured->capturing != NULL) capture_leave(captured->capturing);
    captured->origin = NULL;
    captured->is_invalid = false;
    *graph = result == CUDA_SUCCESS ? captured : NULL;
    if (result != CUDA_SUCCESS && !captured->is_given) graph_drop(captured);
    return result;
}
API_ALIAS(cuStreamEndCapture_ptsz, cuStreamEndCapture);

static int status_of(const struct stream *stream) {
    return stream->capture == NULL ? 0 : stream->capture->is_invalid ? 2 : 1;
}

API(cuStreamIsCapturing, (CUstream handle, int *status), (handle, status)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (status == NULL) return CUDA_ERROR_INVALID_VALUE;
    *status = status_of(stream);
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamIsCapturing_ptsz, cuStreamIsCapturing);

API(cuStreamGetCaptureInfo_v2, (CUstream handle, int *status, uint64_t *id, CUgraph *graph, const CUgraphNode **nodes, size_t *count),
    (handle, status, id, graph, nodes, count)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (status == NULL) return CUDA_ERROR_INVALID_VALUE;
    *status = status_of(stream);
    if (*status != 1) return CUDA_SUCCESS;
    if (id != NULL) *id = stream->capture->id;
    if (graph != NULL) *graph = stream->capture;
    if (nodes != NULL) *nodes = stream->captured.items;
    if (count != NULL) *count = stream->captured.count;
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamGetCaptureInfo_v2_ptsz, cuStreamGetCaptureInfo_v2);

API(cuStreamGetCaptureInfo, (CUstream stream, int *status, uint64_t *id), (stream, status, id)) {
    return cuStreamGetCaptureInfo_v2(stream, status, id, NULL, NULL, NULL);
}
API_ALIAS(cuStreamGetCaptureInfo_ptsz, cuStreamGetCaptureInfo);

/* All dependencies are of the plain kind, for which there is no list. */
API(cuStreamGetCaptureInfo_v3,
    (CUstream stream, int *status, uint64_t *id, CUgraph *graph, const CUgraphNode **nodes, const void **edges, size_t *count),
    (stream, status, id, graph, nodes, edges, count)) {
    if (edges != NULL) *edges = NULL;
    return cuStreamGetCaptureInfo_v2(stream, status, id, graph, nodes, count);
}
API_ALIAS(cuStreamGetCaptureInfo_v3_ptsz, cuStreamGetCaptureInfo_v3);

enum { DEPENDENCIES_ADD = 0, DEPENDENCIES_SET = 1 };

API(cuStreamUpdateCaptureDependencies, (CUstream handle, CUgraphNode *nodes, size_t count, unsigned int flags), (handle, nodes, count, flags)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (flags > DEPENDENCIES_SET) return CUDA_ERROR_INVALID_VALUE;
    if (status_of(stream) != 1) return CUDA_ERROR_ILLEGAL_STATE;
    result = check_nodes(stream->capture, nodes, count);
    if (result != CUDA_SUCCESS) return result;
    if (flags == DEPENDENCIES_SET) stream->captured.count = 0;
    for (size_t i = 0; i < count && result == CUDA_SUCCESS; i++) result = list_add(&stream->captured, nodes[i]);
    return result;
}
API_ALIAS(cuStreamUpdateCaptureDependencies_ptsz, cuStreamUpdateCaptureDependencies);

API(cuStreamUpdateCaptureDependencies_v2, (CUstream stream, CUgraphNode *nodes, const void *edges, size_t count, unsigned int flags),
    (stream, nodes, edges, count, flags)) {
    (void)edges;
    return cuStreamUpdateCaptureDependencies(stream, nodes, count, flags);
}
API_ALIAS(cuStreamUpdateCaptureDependencies_v2_ptsz, cuStreamUpdateCaptureDependencies_v2);

API(cuThreadExchangeStreamCaptureMode, (int *mode), (mode)) {
    static __thread int current = 0;
    if (mode == NULL || *mode < 0 || *mode > 2) return CUDA_ERROR_INVALID_VALUE;
    int before = current;
    current = *mode;
    *mode = before;
    return CUDA_SUCCESS;
}
