/* A failed assertion is told from other ends of a kernel, and names its place on the program's error output or its output. */
#include "check.h"

#include <cassert>

__global__ void expect_below(int limit) {
    assert((int)(blockIdx.x * blockDim.x + threadIdx.x) < limit);
}

int main() {
    expect_below<<<2, 32>>>(64);
    CHECK(cudaDeviceSynchronize());
    expect_below<<<2, 32>>>(60);
    EXPECT(cudaDeviceSynchronize() == cudaErrorAssert);
    EXPECT(cudaGetLastError() == cudaErrorAssert);
    EXPECT(cudaDeviceSynchronize() == cudaErrorAssert);
    printf("ok\n");
    return 0;
}
