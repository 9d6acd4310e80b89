/* Graphs of the runtime API but for the parameters of nodes: capture, structure, launching. */
#include "runtime.h"

#include "../driver/cuda-graph-api.h"

CONTEXT(cudaStreamBeginCapture, (cudaStream_t stream, int mode), (stream, mode)) {
    return cuStreamBeginCapture_v2(stream, mode);
}
RUNTIME_ALIAS(cudaStreamBeginCapture_ptsz, cudaStreamBeginCapture);

CONTEXT(cudaStreamBeginCaptureToGraph,
        (cudaStream_t stream, CUgraph graph, const CUgraphNode *dependencies, const void *edges, size_t count, int mode),
        (stream, graph, dependencies, edges, count, mode)) {
    return cuStreamBeginCaptureToGraph(stream, graph, dependencies, edges, count, mode);
}
RUNTIME_ALIAS(cudaStreamBeginCaptureToGraph_ptsz, cudaStreamBeginCaptureToGraph);

CONTEXT(cudaStreamEndCapture, (cudaStream_t stream, CUgraph *graph), (stream, graph)) {
    return cuStreamEndCapture(stream, graph);
}
RUNTIME_ALIAS(cudaStreamEndCapture_ptsz, cudaStreamEndCapture);

CONTEXT(cudaStreamIsCapturing, (cudaStream_t stream, int *status), (stream, status)) {
    return cuStreamIsCapturing(stream, status);
}
RUNTIME_ALIAS(cudaStreamIsCapturing_ptsz, cudaStreamIsCapturing);

PLAIN(cudaThreadExchangeStreamCaptureMode, (int *mode), (mode)) {
    cudaError_t error = cuInit(0);
    return error == CUDA_SUCCESS ? cuThreadExchangeStreamCaptureMode(mode) : error;
}

/* CUDA 13 has one form of what were two: it tells of the dependencies' kinds too. All are of the plain kind, for which there is no list. */
#if CUDART_MAJOR == 12
#define WITH_EDGES(name) name##_v2
#define CAPTURE_INFO cudaStreamGetCaptureInfo_v3
CONTEXT(cudaStreamGetCaptureInfo_v2,
        (cudaStream_t stream, int *status, unsigned long long *id, CUgraph *graph, const CUgraphNode **nodes, size_t *count),
        (stream, status, id, graph, nodes, count)) {
    return cuStreamGetCaptureInfo_v2(stream, status, (uint64_t *)id, graph, nodes, count);
}
RUNTIME_ALIAS(cudaStreamGetCaptureInfo_v2_ptsz, cudaStreamGetCaptureInfo_v2);

CONTEXT(cudaStreamUpdateCaptureDependencies, (cudaStream_t stream, CUgraphNode *nodes, size_t count, unsigned int flags),
        (stream, nodes, count, flags)) {
    return cuStreamUpdateCaptureDependencies(stream, nodes, count, flags);
}
RUNTIME_ALIAS(cudaStreamUpdateCaptureDependencies_ptsz, cudaStreamUpdateCaptureDependencies);

CONTEXT(cudaGraphGetEdges, (CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *count), (graph, from, to, count)) {
    return cuGraphGetEdges_v2(graph, from, to, NULL, count);
}

CONTEXT(cudaGraphNodeGetDependencies, (CUgraphNode node, CUgraphNode *nodes, size_t *count), (node, nodes, count)) {
    return cuGraphNodeGetDependencies_v2(node, nodes, NULL, count);
}

CONTEXT(cudaGraphNodeGetDependentNodes, (CUgraphNode node, CUgraphNode *nodes, size_t *count), (node, nodes, count)) {
    return cuGraphNodeGetDependentNodes_v2(node, nodes, NULL, count);
}

CONTEXT(cudaGraphAddDependencies, (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t count), (graph, from, to, count)) {
    return cuGraphAddDependencies_v2(graph, from, to, NULL, count);
}

CONTEXT(cudaGraphRemoveDependencies, (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t count), (graph, from, to, count)) {
    return cuGraphRemoveDependencies_v2(graph, from, to, NULL, count);
}
#else
#define WITH_EDGES(name) name
#define CAPTURE_INFO cudaStreamGetCaptureInfo
#endif

CONTEXT(CAPTURE_INFO,
        (cudaStream_t stream, int *status, unsigned long long *id, CUgraph *graph, const CUgraphNode **nodes, const void **edges,
         size_t *count),
        (stream, status, id, graph, nodes, edges, count)) {
    if (edges != NULL) *edges = NULL;
    return cuStreamGetCaptureInfo_v2(stream, status, (uint64_t *)id, graph, nodes, count);
}

CONTEXT(WITH_EDGES(cudaStreamUpdateCaptureDependencies),
        (cudaStream_t stream, CUgraphNode *nodes, const void *edges, size_t count, unsigned int flags), (stream, nodes, edges, count, flags)) {
    (void)edges;
    return cuStreamUpdateCaptureDependencies(stream, nodes, count, flags);
}

CONTEXT(WITH_EDGES(cudaGraphGetEdges), (CUgraph graph, CUgraphNode *from, CUgraphNode *to, void *edges, size_t *count),
        (graph, from, to, edges, count)) {
    return cuGraphGetEdges_v2(graph, from, to, edges, count);
}

CONTEXT(WITH_EDGES(cudaGraphNodeGetDependencies), (CUgraphNode node, CUgraphNode *nodes, void *edges, size_t *count),
        (node, nodes, edges, count)) {
    return cuGraphNodeGetDependencies_v2(node, nodes, edges, count);
}

CONTEXT(WITH_EDGES(cudaGraphNodeGetDependentNodes), (CUgraphNode node, CUgraphNode *nodes, void *edges, size_t *count),
        (node, nodes, edges, count)) {
    return cuGraphNodeGetDependentNodes_v2(node, nodes, edges, count);
}

CONTEXT(WITH_EDGES(cudaGraphAddDependencies),
        (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, const void *edges, size_t count), (graph, from, to, edges, count)) {
    return cuGraphAddDependencies_v2(graph, from, to, edges, count);
}

CONTEXT(WITH_EDGES(cudaGraphRemoveDependencies),
        (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, const void *edges, size_t count), (graph, from, to, edges, count)) {
    return cuGraphRemoveDependencies_v2(graph, from, to, edges, count);
}

#if CUDART_MAJOR == 12
RUNTIME_ALIAS(cudaStreamGetCaptureInfo_v3_ptsz, cudaStreamGetCaptureInfo_v3);
RUNTIME_ALIAS(cudaStreamUpdateCaptureDependencies_v2_ptsz, cudaStreamUpdateCaptureDependencies_v2);
#else
RUNTIME_ALIAS(cudaStreamGetCaptureInfo_ptsz, cudaStreamGetCaptureInfo);
RUNTIME_ALIAS(cudaStreamUpdateCaptureDependencies_ptsz, cudaStreamUpdateCaptureDependencies);
#endif

SAME(cudaGraphCreate, cuGraphCreate, (CUgraph * graph, unsigned int flags), (graph, flags))
SAME(cudaGraphDestroy, cuGraphDestroy, (CUgraph graph), (graph))
SAME(cudaGraphClone, cuGraphClone, (CUgraph * clone, CUgraph original), (clone, original))
SAME(cudaGraphDestroyNode, cuGraphDestroyNode, (CUgraphNode node), (node))
SAME(cudaGraphDebugDotPrint, cuGraphDebugDotPrint, (CUgraph graph, const char *path, unsigned int flags), (graph, path, flags))
SAME(cudaGraphGetNodes, cuGraphGetNodes, (CUgraph graph, CUgraphNode *nodes, size_t *count), (graph, nodes, count))
SAME(cudaGraphGetRootNodes, cuGraphGetRootNodes, (CUgraph graph, CUgraphNode *nodes, size_t *count), (graph, nodes, count))
SAME(cudaGraphNodeGetType, cuGraphNodeGetType, (CUgraphNode node, int *type), (node, type))
SAME(cudaGraphNodeFindInClone, cuGraphNodeFindInClone, (CUgraphNode * node, CUgraphNode original, CUgraph clone), (node, original, clone))
SAME(cudaGraphInstantiate, cuGraphInstantiateWithFlags, (CUgraphExec * exec, CUgraph graph, unsigned long long flags), (exec, graph, flags))
RUNTIME_ALIAS(cudaGraphInstantiateWithFlags, cudaGraphInstantiate);
SAME(cudaGraphInstantiateWithParams, cuGraphInstantiateWithParams,
     (CUgraphExec * exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *params), (exec, graph, params))
RUNTIME_ALIAS(cudaGraphInstantiateWithParams_ptsz, cudaGraphInstantiateWithParams);
SAME(cudaGraphExecGetFlags, cuGraphExecGetFlags, (CUgraphExec exec, uint64_t *flags), (exec, flags))
SAME(cudaGraphLaunch, cuGraphLaunch, (CUgraphExec exec, cudaStream_t stream), (exec, stream))
RUNTIME_ALIAS(cudaGraphLaunch_ptsz, cudaGraphLaunch);
SAME(cudaGraphUpload, cuGraphUpload, (CUgraphExec exec, cudaStream_t stream), (exec, stream))
RUNTIME_ALIAS(cudaGraphUpload_ptsz, cudaGraphUpload);
SAME(cudaGraphExecDestroy, cuGraphExecDestroy, (CUgraphExec exec), (exec))
SAME(cudaGraphExecUpdate, cuGraphExecUpdate_v2, (CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *info), (exec, graph, info))
SAME(cudaGraphNodeSetEnabled, cuGraphNodeSetEnabled, (CUgraphExec exec, CUgraphNode node, unsigned int is_enabled), (exec, node, is_enabled))
SAME(cudaGraphNodeGetEnabled, cuGraphNodeGetEnabled, (CUgraphExec exec, CUgraphNode node, unsigned int *is_enabled), (exec, node, is_enabled))
SAME(cudaUserObjectCreate, cuUserObjectCreate, (CUuserObject * object, void *user_data, CUhostFn destroy, unsigned int count, unsigned int flags),
     (object, user_data, destroy, count, flags))
SAME(cudaUserObjectRetain, cuUserObjectRetain, (CUuserObject object, unsigned int count), (object, count))
SAME(cudaUserObjectRelease, cuUserObjectRelease, (CUuserObject object, unsigned int count), (object, count))
SAME(cudaGraphRetainUserObject, cuGraphRetainUserObject, (CUgraph graph, CUuserObject object, unsigned int count, unsigned int flags),
     (graph, object, count, flags))
SAME(cudaGraphReleaseUserObject, cuGraphReleaseUserObject, (CUgraph graph, CUuserObject object, unsigned int count), (graph, object, count))
SAME(cudaDeviceGetGraphMemAttribute, cuDeviceGetGraphMemAttribute, (int device, int attribute, void *value), (device, attribute, value))
SAME(cudaDeviceSetGraphMemAttribute, cuDeviceSetGraphMemAttribute, (int device, int attribute, void *value), (device, attribute, value))
SAME(cudaDeviceGraphMemTrim, cuDeviceGraphMemTrim, (int device), (device))
