/* Kernels that launch kernels (-rdc=true -lcudadevrt): a tree of them, streams and events of the device, and a launch behind all others. */
#include "../cuda/check.h"

struct Node {
    int depth, place;
};

__device__ int done;

/* Each node of a binary tree counts itself once those before it are counted, and launches its two halves. */
__global__ void grow(Node node, int *counts) {
    if (threadIdx.x == 0) atomicAdd(&counts[node.depth], 1);
    if (threadIdx.x != 0 || node.depth == 5) return;
    grow<<<1, 32>>>(Node{node.depth + 1, 2 * node.place}, counts);
    grow<<<1, 32>>>(Node{node.depth + 1, 2 * node.place + 1}, counts);
}

__global__ void append(int value, int *list) { list[atomicAdd(&done, 1)] = value; }

/* What one thread launches into one stream runs in its order; what is launched for the end runs behind all that its kernel has launched. */
__global__ void order(int *list) {
    append<<<1, 1, 0, cudaStreamTailLaunch>>>(100, list);
    for (int i = 0; i < 10; i++) append<<<1, 1>>>(i, list);
    cudaStream_t stream;
    cudaEvent_t event;
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    append<<<1, 1, 0, stream>>>(50, list);
    cudaEventRecord(event, stream);
    cudaEventDestroy(event);
    cudaStreamDestroy(stream);
    append<<<0, 1>>>(77, list); /* An empty grid is no launch. */
    append<<<1, 1, 0, cudaStreamFireAndForget>>>(60, list);
}

__global__ void scale(float *values, int n, float factor) {
    extern __shared__ float part[];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    part[threadIdx.x] = i < n ? values[i] * factor : 0;
    __syncthreads();
    if (i < n) values[i] = part[threadIdx.x];
}

/* Every thread launches a kernel with shared memory over a part of its own, and sees that its device is the first and that nothing is wrong. */
__global__ void spread(float *values, int each) {
    int device = -1;
    if (cudaGetDevice(&device) != cudaSuccess || device != 0) return;
    if (cudaGetErrorString(cudaGetLastError())[0] != 'n' || cudaGetErrorName(cudaSuccess)[4] != 'S') return;
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    scale<<<(each + 63) / 64, 64, 64 * sizeof(float)>>>(values + i * each, each, i + 1.0f);
}

/* Copies and fills of a kernel have their place among its launches. */
__global__ void move(int *values, int n) {
    cudaMemsetAsync(values, 1, n * sizeof *values);
    scale<<<1, n, n * sizeof(float)>>>((float *)values + n, n, 3.0f);
    cudaMemcpyAsync(values + 2 * n, values + n, n * sizeof *values, cudaMemcpyDeviceToDevice, 0);
    cudaMemcpyAsync((char *)values + 3 * n * sizeof *values + 1, (char *)values + n * sizeof *values, 7, cudaMemcpyDeviceToDevice, 0);
}

int main() {
    int *counts, host[6], *list, listed[32];
    CHECK(cudaMalloc(&counts, sizeof host));
    CHECK(cudaMemset(counts, 0, sizeof host));
    grow<<<1, 32>>>(Node{0, 0}, counts);
    CHECK(cudaMemcpy(host, counts, sizeof host, cudaMemcpyDeviceToHost));
    for (int depth = 0; depth < 6; depth++) EXPECT(host[depth] == 1 << depth);

    CHECK(cudaMalloc(&list, sizeof listed));
    order<<<1, 1>>>(list);
    append<<<1, 1>>>(200, list);
    CHECK(cudaMemcpy(listed, list, sizeof listed, cudaMemcpyDeviceToHost));
    int count = 0, next = 0;
    CHECK(cudaMemcpyFromSymbol(&count, done, sizeof count));
    EXPECT(count == 14);
    for (int i = 0; i < count; i++)
        if (listed[i] < 10) EXPECT(listed[i] == next++);
    EXPECT(next == 10 && listed[12] == 100 && listed[13] == 200);

    const int threads = 128, each = 100;
    std::vector<float> values(threads * each, 2.0f);
    float *device;
    CHECK(cudaMalloc(&device, values.size() * sizeof(float)));
    for (int round = 0; round < 40; round++) {
        CHECK(cudaMemcpy(device, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice));
        spread<<<2, threads / 2>>>(device, each);
        CHECK(cudaGetLastError());
        std::vector<float> back(values.size());
        CHECK(cudaMemcpy(back.data(), device, back.size() * sizeof(float), cudaMemcpyDeviceToHost));
        for (size_t i = 0; i < back.size(); i++) EXPECT(back[i] == 2.0f * (i / each + 1));
    }
    const int n = 64;
    std::vector<float> parts(4 * n, 5.0f);
    CHECK(cudaMemcpy(device, parts.data(), parts.size() * sizeof(float), cudaMemcpyHostToDevice));
    move<<<1, 1>>>((int *)device, n);
    CHECK(cudaMemcpy(parts.data(), device, parts.size() * sizeof(float), cudaMemcpyDeviceToHost));
    int filled;
    memcpy(&filled, &parts[n - 1], sizeof filled);
    EXPECT(filled == 0x01010101 && parts[n] == 15.0f && parts[2 * n] == 15.0f && parts[3 * n - 1] == 15.0f);
    EXPECT(memcmp((char *)&parts[3 * n] + 1, &parts[n], 7) == 0 && parts[3 * n + 2] == 5.0f);
    printf("ok\n");
    return 0;
}
