/* The calls about one node of a graph: adding it with its dependencies, and reading and changing its parameters. */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

static CUresult check_place(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count) {
    if (node == NULL || !object_is(graph, OBJECT_GRAPH) || (dependencies == NULL && count > 0)) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count; i++)
        if (!object_is(dependencies[i], OBJECT_GRAPH_NODE) || dependencies[i]->graph != graph) return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* Adds a node that does `work`, which the caller has checked the place for. */
static CUresult add(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count, struct node_work *work) {
    const struct node_list behind = {(struct graph_node **)(uintptr_t)dependencies, count, count};
    return graph_add(graph, &behind, work, node);
}

#define ADD_FUNCTION(name, made, parameters, arguments)                                                                                 \
    API(name, parameters, arguments) {                                                                                                  \
        struct node_work work;                                                                                                          \
        CUresult result = check_place(node, graph, dependencies, count);                                                                \
        if (result == CUDA_SUCCESS) result = made;                                                                                      \
        return result == CUDA_SUCCESS ? add(node, graph, dependencies, count, &work) : result;                                          \
    }
#define PLACE CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count

/* The first form of the parameters ends before the kernel and the context. */
static CUDA_KERNEL_NODE_PARAMS widen(const CUDA_KERNEL_NODE_PARAMS *params) {
    CUDA_KERNEL_NODE_PARAMS wide = {0};
    if (params != NULL) memcpy(&wide, params, offsetof(CUDA_KERNEL_NODE_PARAMS, kernel));
    return wide;
}

CUresult work_of_first_form(const CUDA_KERNEL_NODE_PARAMS *params, struct node_work *work) {
    CUDA_KERNEL_NODE_PARAMS wide = widen(params);
    return params == NULL ? CUDA_ERROR_INVALID_VALUE : work_of_kernel(&wide, work);
}

static CUresult work_of_child(struct graph *child, struct node_work *work) {
    if (!object_is(child, OBJECT_GRAPH) || child->origin != NULL) return CUDA_ERROR_INVALID_VALUE;
    *work = (struct node_work){.type = NODE_CHILD};
    return graph_clone(child, &work->child);
}

static CUresult work_of_nothing(struct node_work *work) {
    *work = (struct node_work){.type = NODE_EMPTY};
    return CUDA_SUCCESS;
}

static CUresult work_of_allocation(CUDA_MEM_ALLOC_NODE_PARAMS *params, struct node_work *work) {
    struct context *context;
    CUresult result = current_context(&context);
    return result == CUDA_SUCCESS ? work_of_memory(context, params, work) : result;
}

ADD_FUNCTION(cuGraphAddKernelNode, work_of_first_form(params, &work), (PLACE, const CUDA_KERNEL_NODE_PARAMS *params),
             (node, graph, dependencies, count, params))
ADD_FUNCTION(cuGraphAddKernelNode_v2, work_of_kernel(params, &work), (PLACE, const CUDA_KERNEL_NODE_PARAMS *params),
             (node, graph, dependencies, count, params))
ADD_FUNCTION(cuGraphAddMemsetNode, ((void)context, work_of_fill(params, &work)),
             (PLACE, const CUDA_MEMSET_NODE_PARAMS *params, CUcontext context), (node, graph, dependencies, count, params, context))
ADD_FUNCTION(cuGraphAddMemcpyNode, ((void)context, work_of_copy(params, &work)), (PLACE, const CUDA_MEMCPY3D *params, CUcontext context),
             (node, graph, dependencies, count, params, context))
ADD_FUNCTION(cuGraphAddHostNode, work_of_host(params, &work), (PLACE, const CUDA_HOST_NODE_PARAMS *params),
             (node, graph, dependencies, count, params))
ADD_FUNCTION(cuGraphAddChildGraphNode, work_of_child(child, &work), (PLACE, CUgraph child), (node, graph, dependencies, count, child))
ADD_FUNCTION(cuGraphAddEmptyNode, work_of_nothing(&work), (PLACE), (node, graph, dependencies, count))
ADD_FUNCTION(cuGraphAddEventRecordNode, work_of_event(NODE_EVENT_RECORD, event, &work), (PLACE, CUevent event),
             (node, graph, dependencies, count, event))
ADD_FUNCTION(cuGraphAddEventWaitNode, work_of_event(NODE_EVENT_WAIT, event, &work), (PLACE, CUevent event),
             (node, graph, dependencies, count, event))
ADD_FUNCTION(cuGraphAddMemAllocNode, work_of_allocation(params, &work), (PLACE, CUDA_MEM_ALLOC_NODE_PARAMS *params),
             (node, graph, dependencies, count, params))
ADD_FUNCTION(cuGraphAddMemFreeNode, work_of_free(address, &work), (PLACE, CUdeviceptr address), (node, graph, dependencies, count, address))

/* The one form for all kinds of nodes. */
CUresult work_of_params(CUgraphNodeParams *params, struct node_work *work) {
    if (params == NULL) return CUDA_ERROR_INVALID_VALUE;
    switch (params->type) {
    case NODE_KERNEL: return work_of_kernel(&params->kernel, work);
    case NODE_COPY: return work_of_copy(&params->copy.copy, work);
    case NODE_FILL: return work_of_fill(&params->fill, work);
    case NODE_HOST: return work_of_host(&params->host, work);
    case NODE_CHILD: return params->child.ownership == 0 ? work_of_child(params->child.graph, work) : CUDA_ERROR_NOT_SUPPORTED;
    case NODE_EMPTY: return work_of_nothing(work);
    case NODE_EVENT_WAIT:
    case NODE_EVENT_RECORD: return work_of_event(params->type, params->event, work);
    case NODE_ALLOCATE: return work_of_allocation(&params->allocation, work);
    case NODE_FREE: return work_of_free(params->freed, work);
    default: trace("a graph's node of type [%d] is not supported", params->type); return CUDA_ERROR_NOT_SUPPORTED;
    }
}

static CUresult add_any(PLACE, CUgraphNodeParams *params) {
    struct node_work work;
    CUresult result = check_place(node, graph, dependencies, count);
    if (result == CUDA_SUCCESS) result = work_of_params(params, &work);
    if (result == CUDA_SUCCESS) result = add(node, graph, dependencies, count, &work);
    if (result == CUDA_SUCCESS && params->type == NODE_CHILD) params->child.graph = (*node)->work.child;
    return result;
}

API(cuGraphAddNode, (PLACE, CUgraphNodeParams *params), (node, graph, dependencies, count, params)) {
    return add_any(node, graph, dependencies, count, params);
}

API(cuGraphAddNode_v2, (CUgraphNode * node, CUgraph graph, const CUgraphNode *dependencies, const void *edges, size_t count, CUgraphNodeParams *params),
    (node, graph, dependencies, edges, count, params)) {
    (void)edges; /* Every edge is a full dependency. */
    return add_any(node, graph, dependencies, count, params);
}

static bool is_of(const struct graph_node *node, int type) {
    return object_is(node, OBJECT_GRAPH_NODE) && node->work.type == type;
}

/* Replaces what a node does by something of the same kind. */
static CUresult replace(struct graph_node *node, struct node_work *work) {
    work_drop(&node->work);
    node->work = *work;
    if (work->type == NODE_CHILD) work->child->owner = node;
    return CUDA_SUCCESS;
}

#define SET_FUNCTION(name, type, made, parameters, arguments)                                                                           \
    API(name, parameters, arguments) {                                                                                                  \
        struct node_work work;                                                                                                          \
        if (!is_of(node, type)) return CUDA_ERROR_INVALID_VALUE;                                                                        \
        CUresult result = made;                                                                                                         \
        return result == CUDA_SUCCESS ? replace(node, &work) : result;                                                                  \
    }

SET_FUNCTION(cuGraphKernelNodeSetParams, NODE_KERNEL, work_of_first_form(params, &work),
             (CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *params), (node, params))
SET_FUNCTION(cuGraphKernelNodeSetParams_v2, NODE_KERNEL, work_of_kernel(params, &work),
             (CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *params), (node, params))
SET_FUNCTION(cuGraphMemcpyNodeSetParams, NODE_COPY, work_of_copy(params, &work), (CUgraphNode node, const CUDA_MEMCPY3D *params),
             (node, params))
SET_FUNCTION(cuGraphMemsetNodeSetParams, NODE_FILL, work_of_fill(params, &work), (CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params),
             (node, params))
SET_FUNCTION(cuGraphHostNodeSetParams, NODE_HOST, work_of_host(params, &work), (CUgraphNode node, const CUDA_HOST_NODE_PARAMS *params),
             (node, params))
SET_FUNCTION(cuGraphEventRecordNodeSetEvent, NODE_EVENT_RECORD, work_of_event(NODE_EVENT_RECORD, event, &work),
             (CUgraphNode node, CUevent event), (node, event))
SET_FUNCTION(cuGraphEventWaitNodeSetEvent, NODE_EVENT_WAIT, work_of_event(NODE_EVENT_WAIT, event, &work), (CUgraphNode node, CUevent event),
             (node, event))

API(cuGraphNodeSetParams, (CUgraphNode node, CUgraphNodeParams *params), (node, params)) {
    struct node_work work;
    if (params == NULL || !is_of(node, params->type) || params->type >= NODE_ALLOCATE) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = work_of_params(params, &work);
    return result == CUDA_SUCCESS ? replace(node, &work) : result;
}

static CUresult kernel_params(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS *params, size_t bytes) {
    if (!is_of(node, NODE_KERNEL) || params == NULL) return CUDA_ERROR_INVALID_VALUE;
    const struct sluice_launch_call *call = &node->work.kernel.call;
    bool is_kernel = object_is(node->work.kernel.handle, OBJECT_KERNEL);
    CUDA_KERNEL_NODE_PARAMS found = {
        .function = is_kernel && bytes == sizeof found ? NULL : node->work.kernel.handle,
        .grid_x = call->grid_x, .grid_y = call->grid_y, .grid_z = call->grid_z,
        .block_x = call->block_x, .block_y = call->block_y, .block_z = call->block_z, .shared_bytes = call->shared_bytes,
        .params = node->work.kernel.pointers, .kernel = is_kernel ? (CUkernel)node->work.kernel.handle : NULL,
    };
    memcpy(params, &found, bytes);
    return CUDA_SUCCESS;
}

API(cuGraphKernelNodeGetParams, (CUgraphNode node, CUDA_KERNEL_NODE_PARAMS *params), (node, params)) {
    return kernel_params(node, params, offsetof(CUDA_KERNEL_NODE_PARAMS, kernel));
}

API(cuGraphKernelNodeGetParams_v2, (CUgraphNode node, CUDA_KERNEL_NODE_PARAMS *params), (node, params)) {
    return kernel_params(node, params, sizeof *params);
}

#define GET_FUNCTION(name, is_asked, found, type_of)                                                                                    \
    API(name, (CUgraphNode node, type_of into), (node, into)) {                                                                         \
        if (!is_of(node, is_asked) || into == NULL) return CUDA_ERROR_INVALID_VALUE;                                                    \
        *into = found;                                                                                                                  \
        return CUDA_SUCCESS;                                                                                                            \
    }

GET_FUNCTION(cuGraphMemcpyNodeGetParams, NODE_COPY, node->work.copy, CUDA_MEMCPY3D *)
GET_FUNCTION(cuGraphMemsetNodeGetParams, NODE_FILL, node->work.fill, CUDA_MEMSET_NODE_PARAMS *)
GET_FUNCTION(cuGraphHostNodeGetParams, NODE_HOST, node->work.host, CUDA_HOST_NODE_PARAMS *)
GET_FUNCTION(cuGraphChildGraphNodeGetGraph, NODE_CHILD, node->work.child, CUgraph *)
GET_FUNCTION(cuGraphEventRecordNodeGetEvent, NODE_EVENT_RECORD, node->work.event, CUevent *)
GET_FUNCTION(cuGraphEventWaitNodeGetEvent, NODE_EVENT_WAIT, node->work.event, CUevent *)
GET_FUNCTION(cuGraphMemAllocNodeGetParams, NODE_ALLOCATE, node->work.memory->params, CUDA_MEM_ALLOC_NODE_PARAMS *)
GET_FUNCTION(cuGraphMemFreeNodeGetParams, NODE_FREE, node->work.freed, CUdeviceptr *)

/* Attributes are hints but for two, which are refused where they are not served (launch.c). */
API(cuGraphKernelNodeSetAttribute, (CUgraphNode node, int attribute, const void *value), (node, attribute, value)) {
    if (!is_of(node, NODE_KERNEL) || value == NULL || attribute < 0 || attribute >= NODE_ATTRIBUTES) return CUDA_ERROR_INVALID_VALUE;
    CUlaunchAttribute wish = {.id = attribute};
    memcpy(&wish.value, value, sizeof wish.value);
    bool is_cooperative = node->work.kernel.is_cooperative;
    CUresult result = launch_read_attribute(&wish, &is_cooperative);
    if (result == CUDA_SUCCESS && is_cooperative) result = launch_check_together(node->work.kernel.function, &node->work.kernel.call);
    if (result != CUDA_SUCCESS) return result;
    node->work.kernel.is_cooperative = is_cooperative;
    if (node->attributes == NULL) node->attributes = calloc(NODE_ATTRIBUTES, sizeof *node->attributes);
    if (node->attributes == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(node->attributes[attribute], value, sizeof *node->attributes);
    return CUDA_SUCCESS;
}

API(cuGraphKernelNodeGetAttribute, (CUgraphNode node, int attribute, void *value), (node, attribute, value)) {
    if (!is_of(node, NODE_KERNEL) || value == NULL || attribute < 0 || attribute >= NODE_ATTRIBUTES) return CUDA_ERROR_INVALID_VALUE;
    if (node->attributes != NULL) memcpy(value, node->attributes[attribute], sizeof *node->attributes);
    else memset(value, 0, sizeof *node->attributes);
    return CUDA_SUCCESS;
}

API(cuGraphKernelNodeCopyAttributes, (CUgraphNode to, CUgraphNode from), (to, from)) {
    if (!is_of(to, NODE_KERNEL) || !is_of(from, NODE_KERNEL)) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = CUDA_SUCCESS;
    for (int id = 0; from->attributes != NULL && id < NODE_ATTRIBUTES && result == CUDA_SUCCESS; id++)
        result = cuGraphKernelNodeSetAttribute(to, id, from->attributes[id]);
    return result;
}
