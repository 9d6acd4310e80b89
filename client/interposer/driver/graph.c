/*
 * Graphs by capture. A stream that captures records its calls here instead of sending them; other streams join by waiting for an event
 * recorded in the capture. The order of recording is an order that all dependencies allow. Graphs built node by node are not served.
 */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

static struct object_pool graphs = OBJECT_POOL_INITIAL;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

bool graph_is_open(const struct graph *graph) {
    return graph != NULL && graph->origin != NULL;
}

static struct graph_node *add(struct graph *graph, int type, size_t extra_bytes) {
    struct graph_node *node = calloc(1, sizeof *node + extra_bytes);
    if (node == NULL) return NULL;
    atomic_store(&node->object.kind, OBJECT_GRAPH_NODE);
    node->type = type;
    pthread_mutex_lock(&lock);
    if (graph->nodes->last == NULL) graph->nodes->first = node;
    else graph->nodes->last->next = node;
    graph->nodes->last = node;
    graph->nodes->count++;
    pthread_mutex_unlock(&lock);
    return node;
}

CUresult graph_add_launch(struct graph *graph, const struct sluice_launch_call *call, const void *params) {
    struct graph_node *node = add(graph, NODE_LAUNCH, call->params.byte_count);
    if (node == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    node->launch = *call;
    if (call->params.byte_count > 0) memcpy(node + 1, params, call->params.byte_count);
    node->launch.params.data = node + 1;
    return CUDA_SUCCESS;
}

CUresult graph_add_fill(struct graph *graph, const struct sluice_fill_call *call) {
    struct graph_node *node = add(graph, NODE_FILL, 0);
    if (node == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    node->fill = *call;
    return CUDA_SUCCESS;
}

CUresult graph_add_copy(struct graph *graph, struct line line, size_t bytes) {
    struct graph_node *node = add(graph, NODE_COPY, 0);
    if (node == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    node->line = line;
    node->bytes = bytes;
    return CUDA_SUCCESS;
}

CUresult graph_add_host(struct graph *graph, CUhostFn function, void *user_data) {
    struct graph_node *node = add(graph, NODE_HOST, 0);
    if (node == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    node->function = function;
    node->user_data = user_data;
    return CUDA_SUCCESS;
}

static CUresult graph_new(struct graph **graph) {
    static atomic_uint_least64_t ids;
    struct graph *made = object_new(&graphs, OBJECT_GRAPH, sizeof *made);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    made->nodes = calloc(1, sizeof *made->nodes);
    if (made->nodes == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    atomic_store(&made->nodes->users, 1);
    made->id = atomic_fetch_add(&ids, 1) + 1;
    *graph = made;
    return CUDA_SUCCESS;
}

void node_list_release(struct node_list *nodes) {
    if (atomic_fetch_sub(&nodes->users, 1) != 1) return;
    for (struct graph_node *node = nodes->first; node != NULL;) {
        struct graph_node *next = node->next;
        free(node);
        node = next;
    }
    free(nodes);
}

/* The legacy default stream cannot be captured. */
API(cuStreamBeginCapture_v2, (CUstream handle, int mode), (handle, mode)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (mode < 0 || mode > 2) return CUDA_ERROR_INVALID_VALUE;
    if (stream->id == 0) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream->capture != NULL) return CUDA_ERROR_ILLEGAL_STATE;
    struct graph *graph;
    result = graph_new(&graph);
    if (result != CUDA_SUCCESS) return result;
    graph->origin = stream;
    stream->capture = graph;
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamBeginCapture_v2_ptsz, cuStreamBeginCapture_v2);

API(cuStreamBeginCapture, (CUstream stream), (stream)) {
    return cuStreamBeginCapture_v2(stream, 0);
}
API_ALIAS(cuStreamBeginCapture_ptsz, cuStreamBeginCapture);

API(cuStreamEndCapture, (CUstream handle, CUgraph *graph), (handle, graph)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (graph == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct graph *captured = stream->capture;
    if (captured == NULL) return CUDA_ERROR_ILLEGAL_STATE;
    if (captured->origin != stream) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    for (struct stream *each = stream->context->streams; each != NULL; each = each->next)
        if (each->capture == captured) each->capture = NULL;
    captured->origin = NULL;
    *graph = captured;
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamEndCapture_ptsz, cuStreamEndCapture);

API(cuStreamIsCapturing, (CUstream handle, int *status), (handle, status)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (status == NULL) return CUDA_ERROR_INVALID_VALUE;
    *status = stream->capture != NULL;
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamIsCapturing_ptsz, cuStreamIsCapturing);

API(cuStreamGetCaptureInfo_v2, (CUstream handle, int *status, uint64_t *id, CUgraph *graph, const CUgraphNode **nodes, size_t *count),
    (handle, status, id, graph, nodes, count)) {
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (status == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct graph *capture = stream->capture;
    *status = capture != NULL;
    if (id != NULL) *id = capture == NULL ? 0 : capture->id;
    if (graph != NULL) *graph = capture;
    if (nodes != NULL) *nodes = capture == NULL || capture->nodes->last == NULL ? NULL : &capture->nodes->last;
    if (count != NULL) *count = capture != NULL && capture->nodes->last != NULL;
    return CUDA_SUCCESS;
}
API_ALIAS(cuStreamGetCaptureInfo_v2_ptsz, cuStreamGetCaptureInfo_v2);

API(cuGraphCreate, (CUgraph * graph, unsigned int flags), (graph, flags)) {
    return graph == NULL || flags != 0 ? CUDA_ERROR_INVALID_VALUE : graph_new(graph);
}

API(cuGraphDestroy, (CUgraph graph), (graph)) {
    if (!object_is(graph, OBJECT_GRAPH)) return CUDA_ERROR_INVALID_VALUE;
    node_list_release(graph->nodes);
    object_destroy(&graphs, &graph->object);
    return CUDA_SUCCESS;
}

API(cuGraphGetNodes, (CUgraph graph, CUgraphNode *nodes, size_t *count), (graph, nodes, count)) {
    if (!object_is(graph, OBJECT_GRAPH) || count == NULL) return CUDA_ERROR_INVALID_VALUE;
    size_t index = 0;
    for (struct graph_node *node = graph->nodes->first; nodes != NULL && node != NULL && index < *count; node = node->next) nodes[index++] = node;
    for (; nodes != NULL && index < *count; index++) nodes[index] = NULL;
    *count = graph->nodes->count;
    return CUDA_SUCCESS;
}

API(cuGraphNodeGetType, (CUgraphNode node, int *type), (node, type)) {
    if (!object_is(node, OBJECT_GRAPH_NODE) || type == NULL) return CUDA_ERROR_INVALID_VALUE;
    *type = node->type;
    return CUDA_SUCCESS;
}
