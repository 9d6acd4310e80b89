/* Cooperative launches: blocks that wait for each other again and again, and a grid that does not fit. */
#include "check.h"

#include <cooperative_groups.h>

namespace cg = cooperative_groups;

/* Each block adds up its part; behind the barrier every block adds up what all have found. */
__global__ void sum_all(const int *data, int n, int *parts, int *totals) {
    cg::grid_group grid = cg::this_grid();
    __shared__ int part;
    for (int turn = 0; turn < 3; turn++) {
        if (threadIdx.x == 0) part = 0;
        __syncthreads();
        for (int i = (int)grid.thread_rank(); i < n; i += (int)grid.size()) atomicAdd(&part, data[i]);
        __syncthreads();
        if (threadIdx.x == 0) parts[blockIdx.x] = part + turn;
        grid.sync();
        if (threadIdx.x == 0) {
            totals[blockIdx.x] = 0;
            for (unsigned block = 0; block < gridDim.x; block++) totals[blockIdx.x] += parts[block];
        }
        grid.sync();
    }
}

int main() {
    const int n = 10000, threads = 128;
    int *data, *parts, *totals, per_processor = 0, supported = 0, processors = 0;
    CHECK(cudaDeviceGetAttribute(&supported, cudaDevAttrCooperativeLaunch, 0));
    CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0));
    EXPECT(supported == 1);
    CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_processor, sum_all, threads, 0));
    int blocks = per_processor * processors;
    EXPECT(blocks >= 1);
    std::vector<int> in(n), out(blocks);
    for (int i = 0; i < n; i++) in[i] = i % 7;
    int sum = 0;
    for (int value : in) sum += value;
    CHECK(cudaMalloc(&data, n * sizeof(int)));
    CHECK(cudaMalloc(&parts, blocks * sizeof(int)));
    CHECK(cudaMalloc(&totals, blocks * sizeof(int)));
    CHECK(cudaMemcpy(data, in.data(), n * sizeof(int), cudaMemcpyHostToDevice));
    int count = n;
    void *arguments[] = {&data, &count, &parts, &totals};
    for (int turn = 0; turn < 3; turn++) {
        CHECK(cudaMemset(totals, 0, blocks * sizeof(int)));
        CHECK(cudaLaunchCooperativeKernel((void *)sum_all, dim3(blocks), dim3(threads), arguments, 0, nullptr));
        CHECK(cudaMemcpy(out.data(), totals, blocks * sizeof(int), cudaMemcpyDeviceToHost));
        for (int i = 0; i < blocks; i++) EXPECT(out[i] == sum + 2 * blocks);
    }
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(blocks);
    config.blockDim = dim3(threads);
    config.attrs = &attribute;
    config.numAttrs = 1;
    CHECK(cudaMemset(totals, 0, blocks * sizeof(int)));
    CHECK(cudaLaunchKernelExC(&config, (void *)sum_all, arguments));
    CHECK(cudaMemcpy(out.data(), totals, blocks * sizeof(int), cudaMemcpyDeviceToHost));
    EXPECT(out[0] == sum + 2 * blocks);
    EXPECT(cudaLaunchCooperativeKernel((void *)sum_all, dim3(blocks + 1), dim3(threads), arguments, 0, nullptr) ==
           cudaErrorCooperativeLaunchTooLarge);
    EXPECT(cudaGetLastError() == cudaErrorCooperativeLaunchTooLarge);
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaFree(data));
    CHECK(cudaFree(parts));
    CHECK(cudaFree(totals));
    printf("ok\n");
    return 0;
}
