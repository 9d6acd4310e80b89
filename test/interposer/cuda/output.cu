/* printf in kernels comes out, before what the host prints after waiting. */
#include "check.h"

__global__ void hello(int x) {
    if (threadIdx.x == 3) printf("hello %d from %d: %s %.2f\n", x, threadIdx.x, "text", 1.5);
}

int main() {
    hello<<<1, 8>>>(7);
    CHECK(cudaDeviceSynchronize());
    printf("ok\n");
    return 0;
}
