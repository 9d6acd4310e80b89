/* Errors of the runtime: remembered per thread, taken by cudaGetLastError, kept by cudaPeekAtLastError. */
#include <thread>

#include "check.h"

__global__ void nothing() {}

int main() {
    void *pointer = nullptr;
    CHECK(cudaFree(0));
    EXPECT(cudaMalloc(&pointer, size_t(1) << 50) == cudaErrorMemoryAllocation && pointer == nullptr);
    EXPECT(cudaPeekAtLastError() == cudaErrorMemoryAllocation);
    std::thread other([] { EXPECT(cudaPeekAtLastError() == cudaSuccess); });
    other.join();
    EXPECT(cudaGetLastError() == cudaErrorMemoryAllocation);
    EXPECT(cudaGetLastError() == cudaSuccess);
    /* NVIDIA's runtimes differ in which of two it is. */
    nothing<<<1, 4096>>>();
    cudaError_t refused = cudaGetLastError();
    EXPECT(refused == cudaErrorInvalidConfiguration || refused == cudaErrorInvalidValue);
    nothing<<<0, 32>>>();
    refused = cudaGetLastError();
    EXPECT(refused == cudaErrorInvalidConfiguration || refused == cudaErrorInvalidValue);
    EXPECT(cudaSetDevice(77) == cudaErrorInvalidDevice);
    EXPECT(cudaGetLastError() == cudaErrorInvalidDevice);
    EXPECT(cudaMemcpy(pointer, pointer, 4, (cudaMemcpyKind)9) == cudaErrorInvalidMemcpyDirection);
    cudaGetLastError();
    EXPECT(strcmp(cudaGetErrorName(cudaErrorInvalidValue), "cudaErrorInvalidValue") == 0);
    EXPECT(strlen(cudaGetErrorString(cudaErrorInvalidValue)) > 0);
    EXPECT(cudaFree((void *)0x1234) == cudaErrorInvalidValue);
    cudaGetLastError();
    nothing<<<1, 32>>>();
    CHECK(cudaGetLastError());
    CHECK(cudaDeviceSynchronize());
    printf("ok\n");
    return 0;
}
