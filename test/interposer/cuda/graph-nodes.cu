/* Graphs of the runtime API, node by node and by capture: boxes, variables, updates from a new capture, capture into a graph, forks and joins. */
#include "check.h"

#include <string>

__global__ void axpy(const float *x, float *y, float a, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) y[i] += a * x[i];
}

__global__ void set(int *to, int value) { *to = value; }

__device__ float factors[4];

__global__ void times_factors(float *y, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] *= factors[i % 4];
}

static const int n = 1000;
static cudaStream_t stream;

static cudaKernelNodeParams kernel(const void *function, void **params) {
    cudaKernelNodeParams made = {};
    made.func = const_cast<void *>(function);
    made.gridDim = dim3(4);
    made.blockDim = dim3(64);
    made.kernelParams = params;
    return made;
}

static void by_nodes() {
    float *x, *y, a = 2, host_factors[4] = {1, 2, 3, 4};
    std::vector<float> in(n, 1), out(n), out_again(n);
    int count = n;
    CHECK(cudaMalloc(&x, n * sizeof(float)));
    CHECK(cudaMalloc(&y, n * sizeof(float)));
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaGraphNode_t upload, zero, add, symbol, scale, download, box;
    cudaGraphNodeType type;
    CHECK(cudaGraphCreate(&graph, 0));
    CHECK(cudaGraphAddMemcpyNode1D(&upload, graph, nullptr, 0, x, in.data(), n * sizeof(float), cudaMemcpyHostToDevice));
    cudaMemsetParams fill = {};
    fill.dst = y;
    fill.elementSize = 1;
    fill.width = n * sizeof(float);
    fill.height = 1;
    CHECK(cudaGraphAddMemsetNode(&zero, graph, nullptr, 0, &fill));
    void *add_params[] = {&x, &y, &a, &count};
    cudaKernelNodeParams add_wish = kernel((void *)axpy, add_params);
    cudaGraphNode_t both[] = {upload, zero};
    CHECK(cudaGraphAddKernelNode(&add, graph, both, 2, &add_wish));
    CHECK(cudaGraphAddMemcpyNodeToSymbol(&symbol, graph, nullptr, 0, factors, host_factors, sizeof host_factors, 0, cudaMemcpyHostToDevice));
    void *scale_params[] = {&y, &count};
    cudaKernelNodeParams scale_wish = kernel((void *)times_factors, scale_params);
    scale_wish.gridDim = dim3(1);
    cudaGraphNode_t ready[] = {add, symbol};
    CHECK(cudaGraphAddKernelNode(&scale, graph, ready, 2, &scale_wish));
    CHECK(cudaGraphAddMemcpyNode1D(&download, graph, &scale, 1, out.data(), y, n * sizeof(float), cudaMemcpyDeviceToHost));
    cudaMemcpy3DParms parms = {};
    parms.srcPtr = make_cudaPitchedPtr(y, 40, 10, 10);
    parms.dstPtr = make_cudaPitchedPtr(out_again.data(), 20, 5, 10);
    parms.extent = make_cudaExtent(20, 10, 1);
    parms.kind = cudaMemcpyDeviceToHost;
    CHECK(cudaGraphAddMemcpyNode(&box, graph, &scale, 1, &parms));
    cudaKernelNodeParams asked = {};
    CHECK(cudaGraphKernelNodeGetParams(add, &asked));
    EXPECT(asked.func == (void *)axpy && asked.gridDim.x == 4 && *(float *)asked.kernelParams[2] == 2);
    CHECK(cudaGraphNodeGetType(symbol, &type));
    EXPECT(type == cudaGraphNodeTypeMemcpy);
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    for (int turn = 1; turn <= 4; turn++) {
        for (auto &value : in) value = (float)turn;
        CHECK(cudaGraphLaunch(exec, stream));
        CHECK(cudaStreamSynchronize(stream));
        for (int i = 0; i < n; i++) EXPECT(out[i] == 2 * turn * (i % 4 + 1));
        for (int row = 0; row < 10; row++)
            for (int i = 0; i < 5; i++) EXPECT(out_again[row * 5 + i] == out[row * 10 + i]);
    }
    a = -1;
    CHECK(cudaGraphExecKernelNodeSetParams(exec, add, &add_wish));
    CHECK(cudaGraphExecMemcpyNodeSetParams1D(exec, download, out_again.data(), y, n * sizeof(float), cudaMemcpyDeviceToHost));
    out_again[999] = out[999] = 77;
    CHECK(cudaGraphLaunch(exec, stream));
    CHECK(cudaStreamSynchronize(stream));
    EXPECT(out[999] == 77 && out_again[999] == -16);
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaFree(x));
    CHECK(cudaFree(y));
}

/* The usual way of programs whose launches differ a little each time: capture anew, and update what is instantiated. */
static void by_update() {
    int *value, seen;
    cudaGraphExec_t exec = nullptr;
    CHECK(cudaMalloc(&value, sizeof *value));
    int instantiated = 0;
    for (int turn = 0; turn < 6; turn++) {
        cudaGraph_t graph;
        CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
        set<<<1, 1, 0, stream>>>(value, turn);
        if (turn >= 3) set<<<1, 1, 0, stream>>>(value, 100 + turn);
        CHECK(cudaMemcpyAsync(&seen, value, sizeof seen, cudaMemcpyDeviceToHost, stream));
        CHECK(cudaStreamEndCapture(stream, &graph));
        cudaGraphExecUpdateResultInfo info;
        if (exec == nullptr || cudaGraphExecUpdate(exec, graph, &info) != cudaSuccess) {
            cudaGetLastError();
            if (exec != nullptr) CHECK(cudaGraphExecDestroy(exec));
            CHECK(cudaGraphInstantiate(&exec, graph, 0));
            instantiated++;
        }
        CHECK(cudaGraphDestroy(graph));
        CHECK(cudaGraphLaunch(exec, stream));
        CHECK(cudaStreamSynchronize(stream));
        EXPECT(seen == (turn < 3 ? turn : 100 + turn));
    }
    EXPECT(instantiated == 2);
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaFree(value));
}

static void captures() {
    cudaStream_t side;
    cudaEvent_t fork, join;
    cudaGraph_t graph, given;
    cudaGraphExec_t exec;
    cudaStreamCaptureStatus status;
    unsigned long long id = 0;
    int *a, *b, sum[2];
    size_t edges = 0, nodes = 0;
    CHECK(cudaMalloc(&a, sizeof *a));
    CHECK(cudaMalloc(&b, sizeof *b));
    CHECK(cudaStreamCreate(&side));
    CHECK(cudaEventCreate(&fork));
    CHECK(cudaEventCreate(&join));
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    set<<<1, 1, 0, stream>>>(a, 1);
    CHECK(cudaEventRecord(fork, stream));
    CHECK(cudaStreamWaitEvent(side, fork, 0));
    set<<<1, 1, 0, side>>>(b, 2);
#if CUDART_VERSION >= 13000
    const cudaGraphNode_t *behind = nullptr;
    size_t count = 0;
    CHECK(cudaStreamGetCaptureInfo(side, &status, &id, &graph, &behind, nullptr, &count));
    EXPECT(status == cudaStreamCaptureStatusActive && id != 0 && count == 1);
#endif
    CHECK(cudaEventRecord(join, side));
    CHECK(cudaStreamWaitEvent(stream, join, 0));
    void *temporary;
    CHECK(cudaMallocAsync(&temporary, sizeof sum, stream));
    CHECK(cudaMemcpyAsync(temporary, a, sizeof(int), cudaMemcpyDeviceToDevice, stream));
    CHECK(cudaMemcpyAsync((int *)temporary + 1, b, sizeof(int), cudaMemcpyDeviceToDevice, stream));
    CHECK(cudaMemcpyAsync(sum, temporary, sizeof sum, cudaMemcpyDeviceToHost, stream));
    CHECK(cudaFreeAsync(temporary, stream));
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphGetNodes(graph, nullptr, &nodes));
    EXPECT(nodes == 7);
#if CUDART_VERSION >= 13000
    CHECK(cudaGraphGetEdges(graph, nullptr, nullptr, nullptr, &edges));
    EXPECT(edges == 7);
#endif
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    for (int turn = 0; turn < 3; turn++) {
        sum[0] = sum[1] = 0;
        CHECK(cudaGraphLaunch(exec, stream));
        CHECK(cudaStreamSynchronize(stream));
        EXPECT(sum[0] == 1 && sum[1] == 2);
    }
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
    /* Into a graph that is there already, behind one of its nodes. */
    cudaGraphNode_t first;
    CHECK(cudaGraphCreate(&given, 0));
    CHECK(cudaGraphAddEmptyNode(&first, given, nullptr, 0));
    CHECK(cudaStreamBeginCaptureToGraph(stream, given, &first, nullptr, 1, cudaStreamCaptureModeGlobal));
    set<<<1, 1, 0, stream>>>(a, 3);
    CHECK(cudaStreamEndCapture(stream, &graph));
    EXPECT(graph == given);
    CHECK(cudaGraphGetNodes(given, nullptr, &nodes));
    EXPECT(nodes == 2);
    CHECK(cudaGraphDestroy(given));
    /* What was forked must be joined; what cannot be captured spoils the capture. */
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    CHECK(cudaEventRecord(fork, stream));
    CHECK(cudaStreamWaitEvent(side, fork, 0));
    set<<<1, 1, 0, side>>>(b, 2);
    EXPECT(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureUnjoined && graph == nullptr);
    cudaGetLastError();
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    CHECK(cudaEventRecord(fork, stream));
    EXPECT(cudaEventQuery(fork) == cudaErrorCapturedEvent);
    cudaStreamEndCapture(stream, &graph);
    cudaGetLastError();
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    EXPECT(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaStreamIsCapturing(stream, &status));
    EXPECT(status == cudaStreamCaptureStatusInvalidated);
    EXPECT(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated && graph == nullptr);
    cudaGetLastError();
    set<<<1, 1, 0, stream>>>(a, 9);
    CHECK(cudaStreamSynchronize(stream));
    CHECK(cudaMemcpy(sum, a, sizeof(int), cudaMemcpyDeviceToHost));
    EXPECT(sum[0] == 9);
    CHECK(cudaStreamDestroy(side));
    CHECK(cudaFree(a));
    CHECK(cudaFree(b));
}

#if CUDART_VERSION >= 13000
/* The one form for all kinds of nodes. */
static void generic() {
    int *value, number = 5, seen = 0;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaGraphNode_t node, copy;
    CHECK(cudaMalloc(&value, sizeof *value));
    CHECK(cudaGraphCreate(&graph, 0));
    void *params[] = {&value, &number};
    cudaGraphNodeParams wish = {};
    wish.type = cudaGraphNodeTypeKernel;
    wish.kernel.func = (void *)set;
    wish.kernel.gridDim = dim3(1);
    wish.kernel.blockDim = dim3(1);
    wish.kernel.kernelParams = params;
    CHECK(cudaGraphAddNode(&node, graph, nullptr, nullptr, 0, &wish));
    CHECK(cudaGraphAddMemcpyNode1D(&copy, graph, &node, 1, &seen, value, sizeof seen, cudaMemcpyDeviceToHost));
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    CHECK(cudaGraphLaunch(exec, stream));
    CHECK(cudaStreamSynchronize(stream));
    EXPECT(seen == 5);
    number = 6;
    CHECK(cudaGraphExecNodeSetParams(exec, node, &wish));
    CHECK(cudaGraphLaunch(exec, stream));
    CHECK(cudaStreamSynchronize(stream));
    EXPECT(seen == 6);
    std::string path = std::string("/tmp/sluice-graph-") + std::to_string((size_t)graph) + ".dot";
    CHECK(cudaGraphDebugDotPrint(graph, path.c_str(), 0));
    char line[64] = "";
    FILE *file = fopen(path.c_str(), "r");
    EXPECT(file != nullptr && fgets(line, sizeof line, file) != nullptr && strstr(line, "digraph") != nullptr);
    fclose(file);
    remove(path.c_str());
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaFree(value));
}
#endif

int main() {
    CHECK(cudaStreamCreate(&stream));
    by_nodes();
    by_update();
    captures();
#if CUDART_VERSION >= 13000
    generic();
#endif
    printf("ok\n");
    return 0;
}
