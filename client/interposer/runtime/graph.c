/* Graphs of the runtime API, by capture and replay. */
#include "runtime.h"

CONTEXT(cudaStreamBeginCapture, (cudaStream_t stream, int mode), (stream, mode)) {
    return cuStreamBeginCapture_v2(stream, mode);
}
RUNTIME_ALIAS(cudaStreamBeginCapture_ptsz, cudaStreamBeginCapture);

CONTEXT(cudaStreamEndCapture, (cudaStream_t stream, CUgraph *graph), (stream, graph)) {
    return cuStreamEndCapture(stream, graph);
}
RUNTIME_ALIAS(cudaStreamEndCapture_ptsz, cudaStreamEndCapture);

#if CUDART_MAJOR == 12
CONTEXT(cudaStreamGetCaptureInfo_v2,
        (cudaStream_t stream, int *status, unsigned long long *id, CUgraph *graph, const CUgraphNode **nodes, size_t *count),
        (stream, status, id, graph, nodes, count)) {
    return cuStreamGetCaptureInfo_v2(stream, status, (uint64_t *)id, graph, nodes, count);
}
RUNTIME_ALIAS(cudaStreamGetCaptureInfo_v2_ptsz, cudaStreamGetCaptureInfo_v2);
#else
/* CUDA 13 tells of the dependencies' kinds too; they are all of the plain kind, for which there is no list. */
CONTEXT(cudaStreamGetCaptureInfo,
        (cudaStream_t stream, int *status, unsigned long long *id, CUgraph *graph, const CUgraphNode **nodes, const void **edges,
         size_t *count),
        (stream, status, id, graph, nodes, edges, count)) {
    if (edges != NULL) *edges = NULL;
    return cuStreamGetCaptureInfo_v2(stream, status, (uint64_t *)id, graph, nodes, count);
}
RUNTIME_ALIAS(cudaStreamGetCaptureInfo_ptsz, cudaStreamGetCaptureInfo);
#endif

CONTEXT(cudaGraphCreate, (CUgraph * graph, unsigned int flags), (graph, flags)) {
    return cuGraphCreate(graph, flags);
}

CONTEXT(cudaGraphDestroy, (CUgraph graph), (graph)) {
    return cuGraphDestroy(graph);
}

CONTEXT(cudaGraphGetNodes, (CUgraph graph, CUgraphNode *nodes, size_t *count), (graph, nodes, count)) {
    return cuGraphGetNodes(graph, nodes, count);
}

CONTEXT(cudaGraphNodeGetType, (CUgraphNode node, int *type), (node, type)) {
    return cuGraphNodeGetType(node, type);
}

CONTEXT(cudaGraphInstantiate, (CUgraphExec * exec, CUgraph graph, unsigned long long flags), (exec, graph, flags)) {
    return cuGraphInstantiateWithFlags(exec, graph, flags);
}
RUNTIME_ALIAS(cudaGraphInstantiateWithFlags, cudaGraphInstantiate);

CONTEXT(cudaGraphLaunch, (CUgraphExec exec, cudaStream_t stream), (exec, stream)) {
    return cuGraphLaunch(exec, stream);
}
RUNTIME_ALIAS(cudaGraphLaunch_ptsz, cudaGraphLaunch);

CONTEXT(cudaGraphUpload, (CUgraphExec exec, cudaStream_t stream), (exec, stream)) {
    return cuGraphUpload(exec, stream);
}
RUNTIME_ALIAS(cudaGraphUpload_ptsz, cudaGraphUpload);

CONTEXT(cudaGraphExecDestroy, (CUgraphExec exec), (exec)) {
    return cuGraphExecDestroy(exec);
}
