/* Variables of the device: constants and globals by their host names, and addresses of them. */
#include "check.h"

__constant__ float factors[4];
__device__ int counter = 5;
static __device__ double hidden[3];

__global__ void use(float *out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = factors[i % 4] * i;
    if (i < 3) hidden[i] = i * 1.5;
    atomicAdd(&counter, 1);
}

int main() {
    float host[4] = {1, 2, 3, 4}, *out, back[64];
    double doubles[3];
    int count = 0;
    void *address;
    size_t bytes;
    CHECK(cudaMemcpyToSymbol(factors, host, sizeof host));
    CHECK(cudaMemcpyToSymbol(factors, &host[3], sizeof(float), 2 * sizeof(float)));
    CHECK(cudaGetSymbolAddress(&address, counter));
    CHECK(cudaGetSymbolSize(&bytes, hidden));
    EXPECT(bytes == sizeof doubles);
    CHECK(cudaMalloc(&out, sizeof back));
    use<<<2, 32>>>(out, 64);
    CHECK(cudaMemcpy(back, out, sizeof back, cudaMemcpyDeviceToHost));
    for (int i = 0; i < 64; i++) EXPECT(back[i] == (i % 4 == 2 ? 4.0f : host[i % 4]) * i);
    CHECK(cudaMemcpyFromSymbol(&count, counter, sizeof count));
    EXPECT(count == 69);
    CHECK(cudaMemcpy(&count, address, sizeof count, cudaMemcpyDefault));
    EXPECT(count == 69);
    CHECK(cudaMemcpyFromSymbol(doubles, hidden, sizeof doubles));
    EXPECT(doubles[2] == 3.0);
    EXPECT(cudaMemcpyToSymbol(factors, host, sizeof host, 4) == cudaErrorInvalidValue);
    EXPECT(cudaGetLastError() == cudaErrorInvalidValue);
    printf("ok\n");
    return 0;
}
