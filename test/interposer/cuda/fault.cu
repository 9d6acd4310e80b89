/* A fault of a kernel stays: every later call returns it. */
#include "check.h"

__global__ void wild(int *p) {
    p[threadIdx.x] = 1;
}

int main() {
    int *p;
    CHECK(cudaMalloc(&p, 4));
    wild<<<1, 1>>>((int *)16);
    EXPECT(cudaDeviceSynchronize() == cudaErrorIllegalAddress);
    EXPECT(cudaGetLastError() == cudaErrorIllegalAddress);
    EXPECT(cudaMalloc(&p, 4) == cudaErrorIllegalAddress);
    EXPECT(cudaGetLastError() == cudaErrorIllegalAddress);
    printf("ok\n");
    return 0;
}
