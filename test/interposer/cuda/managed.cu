/* Managed memory: host and device take turns, by launches, copies, fills and graphs, in whole and in parts, from several threads. */
#include "check.h"

#include <thread>

__global__ void add(int *data, int value, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) data[i] += value;
}

__managed__ int counter = 5;
__managed__ float table[3000];
__device__ int step = 3;

__global__ void count(int *same) {
    counter += step;
    *same += 100; /* The same variable, by its address. */
    for (int i = 0; i < 3000; i++) table[i] += 0.5f * i;
}

struct Node {
    int value;
    Node *next;
};

/* Pointers inside managed memory mean the same on both sides. */
__global__ void sum_list(const Node *node, int *sum) {
    *sum = 0;
    for (; node != nullptr; node = node->next) *sum += node->value;
}

static void take_turns(int *data, int n) {
    for (int i = 0; i < n; i++) data[i] = i;
    for (int turn = 1; turn <= 5; turn++) {
        add<<<32, 128>>>(data, 10, n);
        add<<<32, 128>>>(data, 1, n);
        CHECK(cudaDeviceSynchronize());
        EXPECT(data[0] == 12 * turn - 1 && data[n - 1] == n - 1 + 11 * turn);
        data[0] += 1; /* Only a part goes back: the rest keeps what the kernels wrote. */
        EXPECT(data[n / 2] == n / 2 + 11 * turn);
    }
    add<<<32, 128>>>(data, 0, n);
    CHECK(cudaDeviceSynchronize());
    EXPECT(data[0] == 60);
    for (int i = 1; i < n; i++) EXPECT(data[i] == i + 55);
}

static void copies_and_fills(int *data, int n) {
    int *device, *other;
    std::vector<int> host(n);
    CHECK(cudaMalloc(&device, n * sizeof(int)));
    CHECK(cudaMallocManaged(&other, n * sizeof(int)));
    for (int i = 0; i < n; i++) data[i] = 3 * i;
    CHECK(cudaMemcpy(device, data, n * sizeof(int), cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy(other, device, n * sizeof(int), cudaMemcpyDeviceToHost));
    for (int i = 0; i < n; i++) EXPECT(other[i] == 3 * i);
    other[7] = -1;
    CHECK(cudaMemcpy(data, other, n * sizeof(int), cudaMemcpyDefault));
    EXPECT(data[6] == 18 && data[7] == -1);
    CHECK(cudaMemcpy(host.data(), data, n * sizeof(int), cudaMemcpyDefault));
    EXPECT(host[7] == -1 && host[n - 1] == 3 * (n - 1));
    for (int i = 0; i < n; i++) host[i] = -i;
    CHECK(cudaMemcpy(data, host.data(), n * sizeof(int), cudaMemcpyHostToDevice));
    EXPECT(data[n - 1] == 1 - n);
    memcpy(data, host.data(), 100);
    CHECK(cudaMemset(data + n / 2, 0, 4 * sizeof(int)));
    EXPECT(data[n / 2 - 1] == 1 - n / 2 && data[n / 2] == 0 && data[n / 2 + 4] == -(n / 2 + 4) && data[1] == -1);
    CHECK(cudaMemcpy2D(data, 8, host.data(), 4, 4, 10, cudaMemcpyHostToDevice));
    EXPECT(data[0] == 0 && data[2] == -1 && data[18] == -9 && data[1] == -1);
    CHECK(cudaFree(device));
    CHECK(cudaFree(other));
}

static void lists() {
    Node *first = nullptr;
    int *sum;
    CHECK(cudaMallocManaged(&sum, sizeof *sum));
    for (int i = 1; i <= 200; i++) {
        Node *node;
        CHECK(cudaMallocManaged(&node, sizeof *node));
        *node = {i, first};
        first = node;
    }
    sum_list<<<1, 1>>>(first, sum);
    CHECK(cudaDeviceSynchronize());
    EXPECT(*sum == 200 * 201 / 2);
    first->next->value = 0;
    sum_list<<<1, 1>>>(first, sum);
    CHECK(cudaDeviceSynchronize());
    EXPECT(*sum == 200 * 201 / 2 - 199);
    while (first != nullptr) {
        Node *next = first->next;
        CHECK(cudaFree(first));
        first = next;
    }
    CHECK(cudaFree(sum));
}

static void streams_and_graphs(int *data, int n) {
    cudaStream_t streams[2];
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    for (auto &stream : streams) CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    for (int i = 0; i < n; i++) data[i] = 0;
    add<<<32, 128, 0, streams[0]>>>(data, 1, n / 2);
    add<<<32, 128, 0, streams[1]>>>(data + n / 2, 2, n - n / 2);
    CHECK(cudaDeviceSynchronize());
    EXPECT(data[0] == 1 && data[n - 1] == 2);
    CHECK(cudaStreamBeginCapture(streams[0], cudaStreamCaptureModeGlobal));
    add<<<32, 128, 0, streams[0]>>>(data, 5, n);
    add<<<32, 128, 0, streams[0]>>>(data, 5, n);
    CHECK(cudaStreamEndCapture(streams[0], &graph));
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    for (int turn = 0; turn < 3; turn++) {
        data[0] = 100 * turn;
        CHECK(cudaGraphLaunch(exec, streams[0]));
        CHECK(cudaStreamSynchronize(streams[0]));
        EXPECT(data[0] == 100 * turn + 10);
    }
    EXPECT(data[1] == 31 && data[n - 1] == 32);
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
    for (auto &stream : streams) CHECK(cudaStreamDestroy(stream));
}

static void variables() {
    int *address, copy = 0;
    counter += 10;
    table[3] = 1;
    for (int turn = 1; turn <= 3; turn++) {
        count<<<1, 1>>>(&counter);
        CHECK(cudaDeviceSynchronize());
        EXPECT(counter == 15 + 103 * turn && table[3] == 1 + 1.5f * turn && table[2999] == 1499.5f * turn);
    }
    CHECK(cudaGetSymbolAddress((void **)&address, counter));
    EXPECT(address == &counter);
    CHECK(cudaMemcpyFromSymbol(&copy, counter, sizeof copy));
    EXPECT(copy == counter);
    copy = 7;
    CHECK(cudaMemcpyToSymbol(step, &copy, sizeof copy));
    counter = 0;
    count<<<1, 1>>>(&counter);
    CHECK(cudaDeviceSynchronize());
    EXPECT(counter == 107);
}

static void hints_and_answers(int *data, int n) {
    cudaPointerAttributes attributes;
    int device;
    CHECK(cudaGetDevice(&device));
    CHECK(cudaPointerGetAttributes(&attributes, data + 5));
    EXPECT(attributes.type == cudaMemoryTypeManaged && attributes.devicePointer == data + 5 && attributes.hostPointer == data + 5);
#if CUDART_VERSION >= 13000
    cudaMemLocation place = {cudaMemLocationTypeDevice, device}, host = {cudaMemLocationTypeHost, 0};
    CHECK(cudaMemAdvise(data, n * sizeof(int), cudaMemAdviseSetPreferredLocation, place));
    CHECK(cudaMemPrefetchAsync(data, n * sizeof(int), place, 0, 0));
    add<<<32, 128>>>(data, 1, n);
    CHECK(cudaMemPrefetchAsync(data, n * sizeof(int), host, 0, 0));
    CHECK(cudaDeviceSynchronize());
#endif
    CHECK(cudaMemGetInfo((size_t *)data, (size_t *)data + 1)); /* An answer may go to managed memory. */
    EXPECT(((size_t *)data)[0] > 0);
    void *nothing = nullptr;
    EXPECT(cudaMallocManaged(&nothing, 0) == cudaErrorInvalidValue);
    EXPECT(cudaMallocManaged(&nothing, (size_t)1 << 50) == cudaErrorMemoryAllocation);
    cudaGetLastError();
}

int main() {
    const int n = 1 << 20;
    int *data, arguments[3] = {0, 7, n}, *managed_arguments;
    cudaDeviceProp properties;
    CHECK(cudaGetDeviceProperties(&properties, 0));
    EXPECT(properties.managedMemory == 1);
    CHECK(cudaMallocManaged(&data, n * sizeof(int)));
    take_turns(data, n);
    copies_and_fills(data, n);
    lists();
    variables();
    streams_and_graphs(data, n);
    hints_and_answers(data, n);
    add<<<32, 128>>>(data, 0, n);
    CHECK(cudaDeviceSynchronize());
    int before[4];
    for (int i = 0; i < 4; i++) before[i] = data[i * (n / 4) + 99];
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([=] {
            for (int at = i * (n / 4); at < (i + 1) * (n / 4); at++) data[at] += i;
        });
    for (auto &thread : threads) thread.join();
    CHECK(cudaMallocManaged(&managed_arguments, sizeof arguments));
    memcpy(managed_arguments, arguments, sizeof arguments);
    void *pointers[] = {&data, managed_arguments + 1, managed_arguments + 2};
    add<<<1, 1>>>(data, 0, 1);
    CHECK(cudaLaunchKernel((void *)add, dim3(32), dim3(128), pointers, 0, nullptr));
    CHECK(cudaDeviceSynchronize());
    for (int i = 0; i < 4; i++) EXPECT(data[i * (n / 4) + 99] == before[i] + i + 7);
    CHECK(cudaFree(managed_arguments));
    CHECK(cudaFree(data));
    printf("ok\n");
    return 0;
}
