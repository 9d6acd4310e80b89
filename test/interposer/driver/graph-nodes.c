/* Graphs built node by node through the driver API: structure, order, child graphs, clones, updates, memory, and what is refused. */
#include "driver.h"

#include "../../../client/interposer/driver/cuda-graph-api.h"

enum { COUNT = 64 };

static CUfunction add_one;
static CUstream stream;
static CUdeviceptr data;
static int count = COUNT, values[COUNT];

static void count_up(void *counter) { ++*(int *)counter; }

static CUDA_KERNEL_NODE_PARAMS kernel(void **params) {
    return (CUDA_KERNEL_NODE_PARAMS){.function = add_one, .grid_x = 1, .grid_y = 1, .grid_z = 1, .block_x = COUNT, .block_y = 1, .block_z = 1, .params = params};
}

static CUDA_MEMCPY3D back(void *to, CUdeviceptr from) {
    return (CUDA_MEMCPY3D){.src_type = CU_MEMORY_DEVICE, .src_device = from, .dst_type = CU_MEMORY_HOST, .dst_host = to,
                           .width_bytes = sizeof values, .height = 1, .depth = 1};
}

static int run(CUgraphExec exec) {
    CHECK(cuGraphLaunch(exec, stream));
    CHECK(cuStreamSynchronize(stream));
    for (int i = 1; i < COUNT; i++) EXPECT(values[i] == values[0]);
    return values[0];
}

/* fill -> add, add (twice beside each other, so added in any order) -> join -> copy back -> host */
static void build_and_ask(void) {
    CUgraph graph, clone;
    CUgraphExec exec;
    CUgraphNode fill, first, second, join, copy, host, nodes[8], from[8], to[8];
    int calls = 0, type;
    size_t total = 8;
    unsigned enabled = 2;
    void *params[] = {&data, &count};
    CUDA_MEMSET_NODE_PARAMS set = {.address = data, .value = 10, .element_bytes = 4, .width = COUNT, .height = 1};
    CUDA_KERNEL_NODE_PARAMS add = kernel(params), asked;
    CUDA_MEMCPY3D out = back(values, data);
    CUDA_HOST_NODE_PARAMS call = {count_up, &calls};
    CHECK(cuGraphCreate(&graph, 0));
    CHECK(cuGraphAddMemcpyNode(&copy, graph, NULL, 0, &out, NULL)); /* Last to run, first to be added. */
    CHECK(cuGraphAddMemsetNode(&fill, graph, NULL, 0, &set, NULL));
    CHECK(cuGraphAddKernelNode_v2(&first, graph, &fill, 1, &add));
    CHECK(cuGraphAddKernelNode_v2(&second, graph, &first, 1, &add));
    CUgraphNode both[] = {first, second};
    CHECK(cuGraphAddEmptyNode(&join, graph, both, 2));
    CHECK(cuGraphAddDependencies_v2(graph, &join, &copy, NULL, 1));
    CHECK(cuGraphAddHostNode(&host, graph, &copy, 1, &call));
    CHECK(cuGraphGetNodes(graph, NULL, &total));
    EXPECT(total == 6);
    total = 8;
    CHECK(cuGraphGetRootNodes(graph, nodes, &total));
    EXPECT(total == 1 && nodes[0] == fill && nodes[1] == NULL);
    total = 8;
    CHECK(cuGraphGetEdges_v2(graph, from, to, NULL, &total));
    EXPECT(total == 6);
    total = 8;
    CHECK(cuGraphNodeGetDependencies_v2(join, nodes, NULL, &total));
    EXPECT(total == 2 && nodes[0] == first && nodes[1] == second);
    total = 8;
    CHECK(cuGraphNodeGetDependentNodes_v2(first, nodes, NULL, &total));
    EXPECT(total == 2 && nodes[0] == second && nodes[1] == join);
    CHECK(cuGraphNodeGetType(join, &type));
    EXPECT(type == 5);
    CHECK(cuGraphKernelNodeGetParams_v2(first, &asked));
    EXPECT(asked.function == add_one && asked.block_x == COUNT && *(CUdeviceptr *)asked.params[0] == data && *(int *)asked.params[1] == COUNT);
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int turn = 1; turn <= 3; turn++) EXPECT(run(exec) == 12 && calls == turn);
    set.value = 100;
    CHECK(cuGraphExecMemsetNodeSetParams(exec, fill, &set, NULL));
    for (int turn = 0; turn < 3; turn++) EXPECT(run(exec) == 102);
    CHECK(cuGraphNodeSetEnabled(exec, second, 0));
    CHECK(cuGraphNodeGetEnabled(exec, second, &enabled));
    EXPECT(enabled == 0 && run(exec) == 101 && run(exec) == 101);
    CHECK(cuGraphClone(&clone, graph));
    CHECK(cuGraphNodeFindInClone(&nodes[0], second, clone));
    CHECK(cuGraphDestroyNode(nodes[0]));
    CHECK(cuGraphGetNodes(clone, NULL, &total));
    EXPECT(total == 5);
    CHECK(cuGraphGetNodes(graph, NULL, &total));
    EXPECT(total == 6);
    /* A cycle cannot be instantiated; an edge cannot be there twice. */
    CHECK_FAILS(cuGraphAddDependencies_v2(graph, &join, &copy, NULL, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuGraphAddDependencies_v2(graph, &host, &fill, NULL, 1));
    CUgraphExec none;
    CHECK_FAILS(cuGraphInstantiateWithFlags(&none, graph, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuGraphRemoveDependencies_v2(graph, &host, &fill, NULL, 1));
    CHECK(cuGraphDestroy(graph));
    CHECK_FAILS(cuGraphDestroy(graph), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuGraphExecDestroy(exec));
    CHECK(cuGraphInstantiateWithFlags(&exec, clone, 0));
    EXPECT(run(exec) == 11);
    CHECK(cuGraphExecDestroy(exec));
    CHECK(cuGraphDestroy(clone));
}

static CUgraph chain(int adds, unsigned start, CUgraphNode *last) {
    CUgraph graph;
    CUgraphNode node;
    void *params[] = {&data, &count};
    CUDA_MEMSET_NODE_PARAMS set = {.address = data, .value = start, .element_bytes = 4, .width = COUNT, .height = 1};
    CUDA_KERNEL_NODE_PARAMS add = kernel(params);
    CHECK(cuGraphCreate(&graph, 0));
    CHECK(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, NULL));
    for (int i = 0; i < adds; i++) CHECK(cuGraphAddKernelNode_v2(&node, graph, &node, 1, &add));
    if (last != NULL) *last = node;
    return graph;
}

static void children_and_updates(void) {
    CUgraph parent, child = chain(3, 1, NULL), other = chain(3, 50, NULL), longer = chain(4, 1, NULL), owned;
    CUgraphNode node, copy;
    CUgraphExec exec;
    CUgraphExecUpdateResultInfo info;
    CUDA_MEMCPY3D out = back(values, data);
    CHECK(cuGraphCreate(&parent, 0));
    CHECK(cuGraphAddChildGraphNode(&node, parent, NULL, 0, child));
    CHECK(cuGraphAddMemcpyNode(&copy, parent, &node, 1, &out, NULL));
    CHECK(cuGraphInstantiateWithFlags(&exec, parent, 0));
    CHECK(cuGraphChildGraphNodeGetGraph(node, &owned));
    EXPECT(owned != child);
    CHECK_FAILS(cuGraphDestroy(owned), CUDA_ERROR_INVALID_VALUE);
    EXPECT(run(exec) == 4 && run(exec) == 4);
    CHECK(cuGraphExecChildGraphNodeSetParams(exec, node, other));
    EXPECT(run(exec) == 53 && run(exec) == 53);
    CHECK_FAILS(cuGraphExecChildGraphNodeSetParams(exec, node, longer), CUDA_ERROR_INVALID_VALUE);
    EXPECT(run(exec) == 53);
    CHECK(cuGraphExecUpdate_v2(exec, parent, &info));
    EXPECT(info.result == 0 && run(exec) == 4);
    CHECK_FAILS(cuGraphExecUpdate_v2(exec, longer, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    EXPECT(info.result == 2 && run(exec) == 4);
    CHECK(cuGraphExecDestroy(exec));
    CHECK(cuGraphDestroy(parent));
    CHECK(cuGraphDestroy(child));
    CHECK(cuGraphDestroy(other));
    CHECK(cuGraphDestroy(longer));
}

static void memory_and_events(void) {
    CUgraph graph;
    CUgraphExec exec;
    CUgraphNode allocation, fill, add, copy, record, end;
    CUevent event;
    int device = 0;
    size_t before, after;
    CUDA_MEM_ALLOC_NODE_PARAMS wish = {.pool = {.allocation_type = 1, .location = {CU_MEM_LOCATION_DEVICE, device}}, .bytes = sizeof values};
    CHECK(cuEventCreate(&event, 0));
    CHECK(cuMemGetInfo_v2(&before, NULL));
    CHECK(cuGraphCreate(&graph, 0));
    CHECK(cuGraphAddMemAllocNode(&allocation, graph, NULL, 0, &wish));
    EXPECT(wish.address != 0);
    void *params[] = {&wish.address, &count};
    CUDA_MEMSET_NODE_PARAMS set = {.address = wish.address, .value = 7, .element_bytes = 4, .width = COUNT, .height = 1};
    CUDA_KERNEL_NODE_PARAMS one = kernel(params);
    CUDA_MEMCPY3D out = back(values, wish.address);
    CHECK(cuGraphAddMemsetNode(&fill, graph, &allocation, 1, &set, NULL));
    CHECK(cuGraphAddKernelNode_v2(&add, graph, &fill, 1, &one));
    CHECK(cuGraphAddEventRecordNode(&record, graph, &add, 1, event));
    CHECK(cuGraphAddMemcpyNode(&copy, graph, &record, 1, &out, NULL));
    CHECK(cuGraphAddMemFreeNode(&end, graph, &copy, 1, wish.address));
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    EXPECT(run(exec) == 8 && run(exec) == 8);
    CHECK(cuEventSynchronize(event));
    CHECK(cuGraphDestroy(graph));
    EXPECT(run(exec) == 8);
    CHECK(cuGraphExecDestroy(exec));
    CHECK(cuCtxSynchronize());
    CHECK(cuMemGetInfo_v2(&after, NULL));
    EXPECT(after == before);
    CHECK(cuEventDestroy_v2(event));
}

/* What a launch has allocated and nobody has freed outlives its graph, and is freed like any other memory. */
static void memory_left_behind(int is_freed_before) {
    enum { BYTES = 16 << 20 };
    CUgraph graph;
    CUgraphExec exec;
    CUdeviceptr left;
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    CHECK(cuMemAllocAsync(&left, BYTES, stream));
    CHECK(cuMemsetD32Async(left, 7, COUNT, stream));
    CHECK(cuStreamEndCapture(stream, &graph));
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    CHECK(cuGraphLaunch(exec, stream));
    if (is_freed_before) CHECK(cuMemFreeAsync(left, stream));
    CHECK(cuGraphExecDestroy(exec));
    CHECK(cuGraphDestroy(graph));
    if (is_freed_before) return;
    CHECK(cuMemcpyDtoHAsync_v2(values, left, sizeof values, stream));
    CHECK(cuStreamSynchronize(stream));
    EXPECT(values[0] == 7 && values[COUNT - 1] == 7);
    CHECK(cuMemFreeAsync(left, stream));
}

/* Launching a graph into a stream that captures makes it a child of what is captured. */
static void inside_a_capture(void) {
    CUgraph inner = chain(2, 5, NULL), outer;
    CUgraphExec inner_exec, exec;
    CUgraphNode nodes[4];
    size_t total = 4;
    int type;
    void *params[] = {&data, &count};
    CHECK(cuGraphInstantiateWithFlags(&inner_exec, inner, 0));
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    CHECK(cuGraphLaunch(inner_exec, stream));
    CHECK(launch(add_one, 1, COUNT, stream, params));
    CHECK(cuMemcpyDtoHAsync_v2(values, data, sizeof values, stream));
    CHECK(cuStreamEndCapture(stream, &outer));
    CHECK(cuGraphExecDestroy(inner_exec));
    CHECK(cuGraphDestroy(inner));
    CHECK(cuGraphGetNodes(outer, nodes, &total));
    CHECK(cuGraphNodeGetType(nodes[0], &type));
    EXPECT(total == 3 && type == 4);
    CHECK(cuGraphInstantiateWithFlags(&exec, outer, 0));
    EXPECT(run(exec) == 8 && run(exec) == 8);
    CHECK(cuGraphExecDestroy(exec));
    CHECK(cuGraphDestroy(outer));
}

static void what_lives_as_long(void) {
    CUgraph graph = chain(1, 0, NULL);
    CUgraphExec exec;
    CUuserObject object;
    int ended = 0;
    CHECK(cuUserObjectCreate(&object, &ended, count_up, 1, 1));
    CHECK(cuGraphRetainUserObject(graph, object, 1, 1));
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    CHECK(cuGraphDestroy(graph));
    EXPECT(ended == 0);
    CHECK(cuGraphExecDestroy(exec));
    EXPECT(ended == 1);
}

int main(void) {
    CUmodule module;
    start();
    add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuStreamCreate(&stream, 1));
    CHECK(cuMemAlloc_v2(&data, sizeof values));
    build_and_ask();
    children_and_updates();
    memory_and_events();
    for (int i = 0; i < 64; i++) memory_left_behind(i % 2 == 1);
    inside_a_capture();
    what_lives_as_long();
    CHECK(cuMemFree_v2(data));
    printf("ok\n");
    return 0;
}
