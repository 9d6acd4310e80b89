/* Devices, memory figures, pointers, kernels' attributes and occupancy by the runtime API. */
#include "check.h"

__global__ void __launch_bounds__(256) small(float *out) {
    __shared__ float part[128];
    part[threadIdx.x % 128] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = part[0];
}

int main() {
    int count, device, runtime, driver, blocks, grid, block, value;
    size_t free_bytes, total;
    cudaDeviceProp properties;
    cudaPointerAttributes attributes;
    cudaFuncAttributes function;
    CHECK(cudaGetDeviceCount(&count));
    CHECK(cudaGetDevice(&device));
    EXPECT(count >= 1 && device == 0);
    CHECK(cudaGetDeviceProperties(&properties, 0));
    CHECK(cudaMemGetInfo(&free_bytes, &total));
    EXPECT(properties.warpSize == 32 && properties.maxThreadsPerBlock == 1024 && properties.totalGlobalMem >= total);
    CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0));
    EXPECT(value == properties.major);
    CHECK(cudaRuntimeGetVersion(&runtime));
    CHECK(cudaDriverGetVersion(&driver));
    EXPECT(runtime / 1000 == CUDART_VERSION / 1000 && driver >= 11000);
    float *out, stack;
    CHECK(cudaMalloc(&out, 4096));
    CHECK(cudaPointerGetAttributes(&attributes, out + 5));
    EXPECT(attributes.type == cudaMemoryTypeDevice && attributes.devicePointer == out + 5 && attributes.device == 0);
    CHECK(cudaPointerGetAttributes(&attributes, &stack));
    EXPECT(attributes.type == cudaMemoryTypeUnregistered);
    CHECK(cudaFuncGetAttributes(&function, small));
    EXPECT(function.sharedSizeBytes >= 512 && function.maxThreadsPerBlock == 256);
    EXPECT(function.ptxVersion >= 50 && function.ptxVersion <= properties.major * 10 + properties.minor);
    CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, small, 256, 0));
    EXPECT(blocks >= 1);
    CHECK(cudaOccupancyMaxPotentialBlockSize(&grid, &block, small, 0, 0));
    EXPECT(block >= 32 && block <= 256 && grid >= 1);
    small<<<1, 512>>>(out);
    cudaError_t refused = cudaGetLastError();
    EXPECT(refused == cudaErrorInvalidConfiguration || refused == cudaErrorLaunchOutOfResources || refused == cudaErrorInvalidValue);
    printf("ok\n");
    return 0;
}
