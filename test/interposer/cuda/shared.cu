/* Shared memory, static and dynamic, warps and atomics: a sum in three ways. */
#include "check.h"

__global__ void by_tree(const int *in, int *out, int n) {
    extern __shared__ int part[];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    part[threadIdx.x] = i < n ? in[i] : 0;
    __syncthreads();
    for (int step = blockDim.x / 2; step > 0; step /= 2) {
        if ((int)threadIdx.x < step) part[threadIdx.x] += part[threadIdx.x + step];
        __syncthreads();
    }
    if (threadIdx.x == 0) atomicAdd(out, part[0]);
}

__global__ void by_warp(const int *in, int *out, int n) {
    __shared__ int part[32];
    int i = blockIdx.x * blockDim.x + threadIdx.x, value = i < n ? in[i] : 0;
    for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(0xffffffff, value, step);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x == 0)
        for (unsigned w = 0; w < blockDim.x / 32; w++) atomicAdd(out, part[w]);
}

int main() {
    const int n = 50000;
    std::vector<int> in(n);
    int *din, *dout, sums[2], wanted = 0;
    for (int i = 0; i < n; i++) wanted += in[i] = i % 17;
    CHECK(cudaMalloc(&din, n * sizeof(int)));
    CHECK(cudaMalloc(&dout, sizeof sums));
    CHECK(cudaMemset(dout, 0, sizeof sums));
    CHECK(cudaMemcpy(din, in.data(), n * sizeof(int), cudaMemcpyDefault));
    by_tree<<<(n + 255) / 256, 256, 256 * sizeof(int)>>>(din, dout, n);
    by_warp<<<(n + 255) / 256, 256>>>(din, dout + 1, n);
    CHECK(cudaMemcpy(sums, dout, sizeof sums, cudaMemcpyDefault));
    EXPECT(sums[0] == wanted && sums[1] == wanted);
    printf("ok\n");
    return 0;
}
