/* Graphs by capture: launches, copies, fills and host functions over two streams, replayed with new data each time. */
#include "check.h"

__global__ void scale(int *data, int factor, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) data[i] = data[i] * factor + 1;
}

static int calls;

int main() {
    const int n = 10000;
    std::vector<int> in(n), out(n);
    int *a, *b;
    cudaStream_t main_stream, side;
    cudaEvent_t fork, join;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaStreamCaptureStatus status;
    size_t nodes = 0;
    CHECK(cudaStreamCreate(&main_stream));
    CHECK(cudaStreamCreate(&side));
    CHECK(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
    CHECK(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
    CHECK(cudaMalloc(&a, n * sizeof(int)));
    CHECK(cudaMalloc(&b, n * sizeof(int)));
    CHECK(cudaStreamBeginCapture(main_stream, cudaStreamCaptureModeGlobal));
    CHECK(cudaMemcpyAsync(a, in.data(), n * sizeof(int), cudaMemcpyHostToDevice, main_stream));
    CHECK(cudaEventRecord(fork, main_stream));
    CHECK(cudaStreamWaitEvent(side, fork, 0));
    CHECK(cudaStreamIsCapturing(side, &status));
    EXPECT(status == cudaStreamCaptureStatusActive);
    CHECK(cudaMemsetAsync(b, 0, n * sizeof(int), side));
    scale<<<16, 128, 0, side>>>(b, 5, n);
    scale<<<16, 128, 0, main_stream>>>(a, 3, n);
    CHECK(cudaEventRecord(join, side));
    CHECK(cudaStreamWaitEvent(main_stream, join, 0));
    CHECK(cudaMemcpyAsync(out.data(), a, n * sizeof(int), cudaMemcpyDeviceToHost, main_stream));
    CHECK(cudaLaunchHostFunc(main_stream, [](void *) { calls++; }, nullptr));
    CHECK(cudaStreamEndCapture(main_stream, &graph));
    CHECK(cudaStreamIsCapturing(side, &status));
    EXPECT(status == cudaStreamCaptureStatusNone && calls == 0);
    CHECK(cudaGraphGetNodes(graph, nullptr, &nodes));
    EXPECT(nodes == 6);
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    CHECK(cudaGraphDestroy(graph));
    for (int turn = 1; turn <= 5; turn++) {
        for (int i = 0; i < n; i++) in[i] = i * turn;
        CHECK(cudaGraphLaunch(exec, main_stream));
        CHECK(cudaStreamSynchronize(main_stream));
        for (int i = 0; i < n; i++) EXPECT(out[i] == i * turn * 3 + 1);
    }
    EXPECT(calls == 5);
    int first;
    CHECK(cudaMemcpy(&first, b, sizeof first, cudaMemcpyDeviceToHost));
    EXPECT(first == 1);
    CHECK(cudaGraphExecDestroy(exec));
    EXPECT(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal) == cudaErrorStreamCaptureUnsupported);
    printf("ok\n");
    return 0;
}
