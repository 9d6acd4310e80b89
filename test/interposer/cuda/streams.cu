/* Streams, events, callbacks, stream-ordered and page-locked memory by the runtime API. */
#include <thread>

#include "check.h"

__global__ void add_one(int *data, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) data[i]++;
}

static void worker(int id) {
    const int n = 5000;
    int *device, *host;
    cudaStream_t stream;
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CHECK(cudaMallocHost(&host, n * sizeof(int)));
    for (int turn = 0; turn < 10; turn++) {
        CHECK(cudaMallocAsync(&device, n * sizeof(int), stream));
        CHECK(cudaMemsetAsync(device, 0, n * sizeof(int), stream));
        for (int i = 0; i <= id; i++) add_one<<<8, 64, 0, stream>>>(device, n);
        CHECK(cudaMemcpyAsync(host, device, n * sizeof(int), cudaMemcpyDeviceToHost, stream));
        CHECK(cudaFreeAsync(device, stream));
        CHECK(cudaStreamSynchronize(stream));
        for (int i = 0; i < n; i++) EXPECT(host[i] == id + 1);
    }
    CHECK(cudaFreeHost(host));
    CHECK(cudaStreamDestroy(stream));
}

int main() {
    std::vector<std::thread> threads;
    for (int id = 0; id < 4; id++) threads.emplace_back(worker, id);
    for (auto &thread : threads) thread.join();
    cudaEvent_t begin, end;
    float milliseconds = -1;
    int calls = 0, *device;
    CHECK(cudaEventCreate(&begin));
    CHECK(cudaEventCreate(&end));
    CHECK(cudaMalloc(&device, 4000));
    CHECK(cudaEventRecord(begin));
    add_one<<<1, 32>>>(device, 1000);
    CHECK(cudaEventRecord(end));
    CHECK(cudaLaunchHostFunc(nullptr, [](void *data) { ++*(int *)data; }, &calls));
    CHECK(cudaEventSynchronize(end));
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
    EXPECT(calls == 1 && milliseconds >= 0);
    CHECK(cudaEventQuery(end));
    CHECK(cudaStreamQuery(nullptr));
    printf("ok\n");
    return 0;
}
