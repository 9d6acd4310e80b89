/* Nodes of graphs in the runtime API: its parameters name kernels and variables by host addresses, and boxes in its own words. */
#include <string.h>

#include "runtime.h"

#include "../driver/cuda-graph-api.h"

struct kernel_params {
    const void *host;
    struct dim3 grid, block;
    unsigned int shared_bytes;
    void **params, **extra;
};

#define PLACE CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count
#define PLACE_ARGUMENTS node, graph, dependencies, count

static cudaError_t kernel_wish(const struct kernel_params *params, CUDA_KERNEL_NODE_PARAMS *wish) {
    CUkernel kernel;
    if (params == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = kernel_of(params->host, &kernel);
    if (error != CUDA_SUCCESS) return error;
    *wish = (CUDA_KERNEL_NODE_PARAMS){
        .grid_x = params->grid.x, .grid_y = params->grid.y, .grid_z = params->grid.z,
        .block_x = params->block.x, .block_y = params->block.y, .block_z = params->block.z,
        .shared_bytes = params->shared_bytes, .params = params->params, .extra = params->extra, .kernel = kernel,
    };
    return CUDA_SUCCESS;
}

CONTEXT(cudaGraphAddKernelNode, (PLACE, const struct kernel_params *params), (PLACE_ARGUMENTS, params)) {
    CUDA_KERNEL_NODE_PARAMS wish;
    cudaError_t error = kernel_wish(params, &wish);
    return error == CUDA_SUCCESS ? cuGraphAddKernelNode_v2(PLACE_ARGUMENTS, &wish) : error;
}

CONTEXT(cudaGraphKernelNodeSetParams, (CUgraphNode node, const struct kernel_params *params), (node, params)) {
    CUDA_KERNEL_NODE_PARAMS wish;
    cudaError_t error = kernel_wish(params, &wish);
    return error == CUDA_SUCCESS ? cuGraphKernelNodeSetParams_v2(node, &wish) : error;
}

CONTEXT(cudaGraphExecKernelNodeSetParams, (CUgraphExec exec, CUgraphNode node, const struct kernel_params *params), (exec, node, params)) {
    CUDA_KERNEL_NODE_PARAMS wish;
    cudaError_t error = kernel_wish(params, &wish);
    return error == CUDA_SUCCESS ? cuGraphExecKernelNodeSetParams_v2(exec, node, &wish) : error;
}

CONTEXT(cudaGraphKernelNodeGetParams, (CUgraphNode node, struct kernel_params *params), (node, params)) {
    CUDA_KERNEL_NODE_PARAMS found;
    if (params == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = cuGraphKernelNodeGetParams_v2(node, &found);
    if (error != CUDA_SUCCESS) return error;
    *params = (struct kernel_params){
        host_of_kernel(found.kernel), {found.grid_x, found.grid_y, found.grid_z}, {found.block_x, found.block_y, found.block_z},
        found.shared_bytes, found.params, found.extra,
    };
    return CUDA_SUCCESS;
}

CONTEXT(cudaGraphKernelNodeGetAttribute, (CUgraphNode node, int attribute, void *value), (node, attribute, value)) {
    return cuGraphKernelNodeGetAttribute(node, attribute, value);
}

CONTEXT(cudaGraphKernelNodeSetAttribute, (CUgraphNode node, int attribute, const void *value), (node, attribute, value)) {
    return cuGraphKernelNodeSetAttribute(node, attribute, value);
}

CONTEXT(cudaGraphKernelNodeCopyAttributes, (CUgraphNode to, CUgraphNode from), (to, from)) {
    return cuGraphKernelNodeCopyAttributes(to, from);
}

/* Copies: a box, one line of bytes, or a part of a variable at one end. Each form adds, changes, and changes in what is instantiated. */
struct line_wish {
    void *to;
    const void *from;
    size_t bytes;
    int kind;
};

static cudaError_t line_box(const struct line_wish *wish, CUDA_MEMCPY3D *box) {
    *box = rectangle_box(wish->to, wish->bytes, wish->from, wish->bytes);
    box->width_bytes = wish->bytes;
    box->height = 1;
    return set_memory_types(box, wish->kind);
}

static cudaError_t to_symbol(const void *symbol, size_t offset, struct line_wish *wish) {
    CUdeviceptr address = 0;
    cudaError_t error = part_of_symbol(symbol, offset, wish->bytes, &address);
    wish->to = (void *)(uintptr_t)address;
    return error;
}

static cudaError_t from_symbol(const void *symbol, size_t offset, struct line_wish *wish) {
    CUdeviceptr address = 0;
    cudaError_t error = part_of_symbol(symbol, offset, wish->bytes, &address);
    wish->from = (const void *)(uintptr_t)address;
    return error;
}

/* The three forms of a copy; `found` makes a box of what is given. */
#define COPY_NODE_FUNCTIONS(suffix, found, parameters, arguments)                                                                       \
    CONTEXT(cudaGraphAddMemcpyNode##suffix, (PLACE, UNPACK parameters), (PLACE_ARGUMENTS, UNPACK arguments)) {                          \
        CUDA_MEMCPY3D box;                                                                                                              \
        cudaError_t error = found;                                                                                                      \
        return error == CUDA_SUCCESS ? cuGraphAddMemcpyNode(PLACE_ARGUMENTS, &box, NULL) : error;                                       \
    }                                                                                                                                   \
    CONTEXT(cudaGraphMemcpyNodeSetParams##suffix, (CUgraphNode node, UNPACK parameters), (node, UNPACK arguments)) {                    \
        CUDA_MEMCPY3D box;                                                                                                              \
        cudaError_t error = found;                                                                                                      \
        return error == CUDA_SUCCESS ? cuGraphMemcpyNodeSetParams(node, &box) : error;                                                  \
    }                                                                                                                                   \
    CONTEXT(cudaGraphExecMemcpyNodeSetParams##suffix, (CUgraphExec exec, CUgraphNode node, UNPACK parameters),                          \
            (exec, node, UNPACK arguments)) {                                                                                           \
        CUDA_MEMCPY3D box;                                                                                                              \
        cudaError_t error = found;                                                                                                      \
        return error == CUDA_SUCCESS ? cuGraphExecMemcpyNodeSetParams(exec, node, &box, NULL) : error;                                  \
    }
#define UNPACK(...) __VA_ARGS__

static cudaError_t symbol_box(cudaError_t error, const struct line_wish *wish, CUDA_MEMCPY3D *box) {
    return error == CUDA_SUCCESS ? line_box(wish, box) : error;
}

static cudaError_t to_symbol_box(const void *symbol, size_t offset, struct line_wish wish, CUDA_MEMCPY3D *box) {
    return symbol_box(to_symbol(symbol, offset, &wish), &wish, box);
}

static cudaError_t from_symbol_box(const void *symbol, size_t offset, struct line_wish wish, CUDA_MEMCPY3D *box) {
    return symbol_box(from_symbol(symbol, offset, &wish), &wish, box);
}

COPY_NODE_FUNCTIONS(, box_of_parameters(wish, &box), (const struct box_parameters *wish), (wish))
COPY_NODE_FUNCTIONS(1D, line_box(&(struct line_wish){to, from, bytes, kind}, &box), (void *to, const void *from, size_t bytes, int kind),
                    (to, from, bytes, kind))
COPY_NODE_FUNCTIONS(ToSymbol, to_symbol_box(symbol, offset, (struct line_wish){NULL, from, bytes, kind}, &box),
                    (const void *symbol, const void *from, size_t bytes, size_t offset, int kind), (symbol, from, bytes, offset, kind))
COPY_NODE_FUNCTIONS(FromSymbol, from_symbol_box(symbol, offset, (struct line_wish){to, NULL, bytes, kind}, &box),
                    (void *to, const void *symbol, size_t bytes, size_t offset, int kind), (to, symbol, bytes, offset, kind))

static const void *address_at(int type, const void *host, CUdeviceptr device) {
    return type == CU_MEMORY_HOST ? host : (const void *)(uintptr_t)device;
}

/* Arrays in the place of memory, and what is counted in their elements. */
static cudaError_t name_arrays(const CUDA_MEMCPY3D *box, struct box_parameters *params) {
    size_t bytes = 1;
    cudaError_t error = CUDA_SUCCESS;
    if (box->dst_type == CU_MEMORY_ARRAY) {
        params->dst_array = box->dst_array;
        memset(&params->dst, 0, sizeof params->dst);
        error = element_bytes(box->dst_array, &bytes);
        params->dst_position.x /= bytes;
    }
    if (error == CUDA_SUCCESS && box->src_type == CU_MEMORY_ARRAY) {
        params->src_array = box->src_array;
        memset(&params->src, 0, sizeof params->src);
        error = element_bytes(box->src_array, &bytes);
        params->src_position.x /= bytes;
    }
    params->extent.width /= bytes;
    return error;
}

CONTEXT(cudaGraphMemcpyNodeGetParams, (CUgraphNode node, struct box_parameters *params), (node, params)) {
    CUDA_MEMCPY3D box;
    if (params == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = cuGraphMemcpyNodeGetParams(node, &box);
    if (error != CUDA_SUCCESS) return error;
    memset(params, 0, sizeof *params);
    params->src.ptr = (void *)(uintptr_t)address_at(box.src_type, box.src_host, box.src_device);
    params->dst.ptr = (void *)(uintptr_t)address_at(box.dst_type, box.dst_host, box.dst_device);
    params->src.pitch = box.src_pitch;
    params->dst.pitch = box.dst_pitch;
    params->src.ysize = box.src_height;
    params->dst.ysize = box.dst_height;
    params->src_position = (struct cudaPos){box.src_x_bytes, box.src_y, box.src_z};
    params->dst_position = (struct cudaPos){box.dst_x_bytes, box.dst_y, box.dst_z};
    params->extent = (struct cudaExtent){box.width_bytes, box.height, box.depth};
    bool is_known = box.src_type != CU_MEMORY_UNIFIED && box.dst_type != CU_MEMORY_UNIFIED;
    params->kind = is_known ? (box.src_type != CU_MEMORY_HOST) * 2 + (box.dst_type != CU_MEMORY_HOST) : COPY_DEFAULT;
    return name_arrays(&box, params);
}

CONTEXT(cudaGraphAddMemsetNode, (PLACE, const CUDA_MEMSET_NODE_PARAMS *params), (PLACE_ARGUMENTS, params)) {
    return cuGraphAddMemsetNode(PLACE_ARGUMENTS, params, NULL);
}

CONTEXT(cudaGraphMemsetNodeGetParams, (CUgraphNode node, CUDA_MEMSET_NODE_PARAMS *params), (node, params)) {
    return cuGraphMemsetNodeGetParams(node, params);
}

CONTEXT(cudaGraphMemsetNodeSetParams, (CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params), (node, params)) {
    return cuGraphMemsetNodeSetParams(node, params);
}

CONTEXT(cudaGraphExecMemsetNodeSetParams, (CUgraphExec exec, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params), (exec, node, params)) {
    return cuGraphExecMemsetNodeSetParams(exec, node, params, NULL);
}

/* Nodes whose parameters are the driver's own. */
SAME(cudaGraphAddHostNode, cuGraphAddHostNode, (PLACE, const CUDA_HOST_NODE_PARAMS *params), (PLACE_ARGUMENTS, params))
SAME(cudaGraphHostNodeGetParams, cuGraphHostNodeGetParams, (CUgraphNode node, CUDA_HOST_NODE_PARAMS *params), (node, params))
SAME(cudaGraphHostNodeSetParams, cuGraphHostNodeSetParams, (CUgraphNode node, const CUDA_HOST_NODE_PARAMS *params), (node, params))
SAME(cudaGraphExecHostNodeSetParams, cuGraphExecHostNodeSetParams, (CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS *params),
     (exec, node, params))
SAME(cudaGraphAddChildGraphNode, cuGraphAddChildGraphNode, (PLACE, CUgraph child), (PLACE_ARGUMENTS, child))
SAME(cudaGraphChildGraphNodeGetGraph, cuGraphChildGraphNodeGetGraph, (CUgraphNode node, CUgraph *graph), (node, graph))
SAME(cudaGraphExecChildGraphNodeSetParams, cuGraphExecChildGraphNodeSetParams, (CUgraphExec exec, CUgraphNode node, CUgraph child),
     (exec, node, child))
SAME(cudaGraphAddEmptyNode, cuGraphAddEmptyNode, (PLACE), (PLACE_ARGUMENTS))
SAME(cudaGraphAddEventRecordNode, cuGraphAddEventRecordNode, (PLACE, CUevent event), (PLACE_ARGUMENTS, event))
SAME(cudaGraphEventRecordNodeGetEvent, cuGraphEventRecordNodeGetEvent, (CUgraphNode node, CUevent *event), (node, event))
SAME(cudaGraphEventRecordNodeSetEvent, cuGraphEventRecordNodeSetEvent, (CUgraphNode node, CUevent event), (node, event))
SAME(cudaGraphExecEventRecordNodeSetEvent, cuGraphExecEventRecordNodeSetEvent, (CUgraphExec exec, CUgraphNode node, CUevent event),
     (exec, node, event))
SAME(cudaGraphAddEventWaitNode, cuGraphAddEventWaitNode, (PLACE, CUevent event), (PLACE_ARGUMENTS, event))
SAME(cudaGraphEventWaitNodeGetEvent, cuGraphEventWaitNodeGetEvent, (CUgraphNode node, CUevent *event), (node, event))
SAME(cudaGraphEventWaitNodeSetEvent, cuGraphEventWaitNodeSetEvent, (CUgraphNode node, CUevent event), (node, event))
SAME(cudaGraphExecEventWaitNodeSetEvent, cuGraphExecEventWaitNodeSetEvent, (CUgraphExec exec, CUgraphNode node, CUevent event),
     (exec, node, event))
SAME(cudaGraphAddMemAllocNode, cuGraphAddMemAllocNode, (PLACE, CUDA_MEM_ALLOC_NODE_PARAMS *params), (PLACE_ARGUMENTS, params))
SAME(cudaGraphMemAllocNodeGetParams, cuGraphMemAllocNodeGetParams, (CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *params), (node, params))
SAME(cudaGraphMemFreeNodeGetParams, cuGraphMemFreeNodeGetParams, (CUgraphNode node, CUdeviceptr *address), (node, address))

CONTEXT(cudaGraphAddMemFreeNode, (PLACE, void *pointer), (PLACE_ARGUMENTS, pointer)) {
    return cuGraphAddMemFreeNode(PLACE_ARGUMENTS, (CUdeviceptr)(uintptr_t)pointer);
}

/* The one form for all nodes: kernels and copies stand in it in the runtime's words, the others as the driver's. */
struct node_params {
    int type, reserved0[3];
    union {
        long long reserved1[29];
        struct kernel_params kernel;
        struct {
            int flags, reserved[3];
            struct box_parameters box;
        } copy;
        CUgraph child;
    };
    long long reserved2;
};

enum { NODE_KERNEL = 0, NODE_COPY = 1 };

static cudaError_t any_wish(const struct node_params *params, CUgraphNodeParams *wish) {
    _Static_assert(sizeof *params == sizeof *wish, "both APIs have parameters of one size");
    if (params == NULL) return CUDA_ERROR_INVALID_VALUE;
    memcpy(wish, params, sizeof *wish);
    if (params->type == NODE_KERNEL) return kernel_wish(&params->kernel, &wish->kernel);
    return params->type == NODE_COPY ? box_of_parameters(&params->copy.box, &wish->copy.copy) : CUDA_SUCCESS;
}

static cudaError_t add_any(PLACE, const void *edges, struct node_params *params) {
    CUgraphNodeParams wish;
    cudaError_t error = any_wish(params, &wish);
    if (error == CUDA_SUCCESS) error = cuGraphAddNode_v2(node, graph, dependencies, edges, count, &wish);
    /* Addresses of memory and child graphs are answers. */
    if (error == CUDA_SUCCESS && params->type > NODE_COPY) memcpy(params, &wish, sizeof *params);
    return error;
}

#if CUDART_MAJOR == 12
CONTEXT(cudaGraphAddNode, (PLACE, struct node_params *params), (PLACE_ARGUMENTS, params)) {
    return add_any(PLACE_ARGUMENTS, NULL, params);
}
#define ADD_NODE cudaGraphAddNode_v2
#else
#define ADD_NODE cudaGraphAddNode
#endif

CONTEXT(ADD_NODE, (CUgraphNode * node, CUgraph graph, const CUgraphNode *dependencies, const void *edges, size_t count, struct node_params *params),
        (node, graph, dependencies, edges, count, params)) {
    return add_any(PLACE_ARGUMENTS, edges, params);
}

CONTEXT(cudaGraphNodeSetParams, (CUgraphNode node, struct node_params *params), (node, params)) {
    CUgraphNodeParams wish;
    cudaError_t error = any_wish(params, &wish);
    return error == CUDA_SUCCESS ? cuGraphNodeSetParams(node, &wish) : error;
}

CONTEXT(cudaGraphExecNodeSetParams, (CUgraphExec exec, CUgraphNode node, struct node_params *params), (exec, node, params)) {
    CUgraphNodeParams wish;
    cudaError_t error = any_wish(params, &wish);
    return error == CUDA_SUCCESS ? cuGraphExecNodeSetParams(exec, node, &wish) : error;
}
