/* Graphs by capture: launches, fills, copies and host functions in their order, again and again, in one stream and in another. */
#include "driver.h"

typedef struct graph *CUgraph;
typedef struct graph_exec *CUgraphExec;
CUresult cuStreamBeginCapture_v2(CUstream stream, int mode);
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph);
CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags);
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream);
CUresult cuGraphExecDestroy(CUgraphExec exec);
CUresult cuGraphDestroy(CUgraph graph);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr destination, CUdeviceptr source, size_t bytes, CUstream stream);
CUresult cuLaunchHostFunc(CUstream stream, void (*function)(void *), void *user_data);

enum { COUNT = 64, LAUNCHES = 150, TURNS = 100 };

static void count_up(void *counter) { ++*(int *)counter; }

int main(void) {
    int values[COUNT], copies[COUNT], host_calls = 0, count = COUNT;
    CUmodule module;
    CUstream streams[2];
    CUgraph graph;
    CUgraphExec exec;
    CUdeviceptr d, copy;
    start();
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuStreamCreate(&streams[0], 1));
    CHECK(cuStreamCreate(&streams[1], 1));
    CHECK(cuMemAlloc_v2(&d, sizeof values));
    CHECK(cuMemAlloc_v2(&copy, sizeof values));
    void *params[] = {&d, &count};
    CHECK(cuStreamBeginCapture_v2(streams[0], 0));
    CHECK(cuMemsetD32Async(d, 5, COUNT, streams[0]));
    for (int i = 0; i < LAUNCHES; i++) CHECK(launch(add_one, 1, COUNT, streams[0], params));
    CHECK(cuLaunchHostFunc(streams[0], count_up, &host_calls));
    CHECK(cuMemcpyDtoDAsync_v2(copy, d, sizeof values, streams[0]));
    for (int i = 0; i < LAUNCHES; i++) CHECK(launch(add_one, 1, COUNT, streams[0], params));
    CHECK(cuLaunchHostFunc(streams[0], count_up, &host_calls));
    CHECK(cuStreamEndCapture(streams[0], &graph));
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    EXPECT(host_calls == 0);
    for (int turn = 0; turn < TURNS; turn++) {
        CUstream stream = streams[turn >= TURNS / 2];
        CHECK(cuGraphLaunch(exec, stream));
        if (turn % 10 != 0) continue;
        CHECK(cuStreamSynchronize(stream));
        CHECK(cuMemcpyDtoH_v2(values, d, sizeof values));
        CHECK(cuMemcpyDtoH_v2(copies, copy, sizeof copies));
        for (int i = 0; i < COUNT; i++) EXPECT(values[i] == 5 + 2 * LAUNCHES && copies[i] == 5 + LAUNCHES);
    }
    CHECK(cuCtxSynchronize());
    EXPECT(host_calls == 2 * TURNS);
    CHECK(cuGraphExecDestroy(exec));
    CHECK(cuGraphDestroy(graph));
    CHECK(cuMemFree_v2(d));
    CHECK(cuMemFree_v2(copy));
    printf("ok\n");
    return 0;
}
