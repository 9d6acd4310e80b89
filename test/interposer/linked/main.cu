/* A program of two files whose device code is linked (-rdc=true): functions and variables of the other file, and names that both have. */
#include "../cuda/check.h"
#include "parts.h"

static __device__ int helper(int x) { return x + 1; }

__global__ void use(int *out) {
    int i = threadIdx.x;
    atomicAdd(&counter, 1);
    out[i] = helper(twice(i)) + (int)weights[i % 4];
}

int main() {
    const int n = 64;
    int *out, host[n], count = 0;
    const float values[4] = {100, 200, 300, 400};
    CHECK(cudaMalloc(&out, sizeof host));
    set_weights(values);
    use<<<1, n>>>(out);
    CHECK(cudaMemcpy(host, out, sizeof host, cudaMemcpyDeviceToHost));
    for (int i = 0; i < n; i++) EXPECT(host[i] == 2 * i + 1 + 100 * (i % 4 + 1));
    CHECK(cudaMemcpyFromSymbol(&count, counter, sizeof count));
    EXPECT(count == 5 + n);
    printf("ok\n");
    return 0;
}
