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
    nothing<<<1, 4096>>>();
    EXPECT(cudaGetLastError() == cudaErrorInvalidConfiguration);
    nothing<<<0, 32>>>();
    EXPECT(cudaGetLastError() == cudaErrorInvalidConfiguration);
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
