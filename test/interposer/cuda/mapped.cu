/* Host memory mapped for the device: kernels read and write it by its device pointer, copies take it for either side. */
#include "check.h"

__global__ void twice(const int *from, int *to, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) to[i] = 2 * from[i];
}

int main() {
    const int n = 50000, bytes = n * sizeof(int);
    int *in, *out, *device_in, *device_out, *plain;
    unsigned flags = 0;
    cudaDeviceProp properties;
    cudaPointerAttributes attributes;
    CHECK(cudaSetDeviceFlags(cudaDeviceMapHost));
    CHECK(cudaGetDeviceProperties(&properties, 0));
    EXPECT(properties.canMapHostMemory == 1);
    CHECK(cudaHostAlloc(&in, bytes, cudaHostAllocMapped));
    CHECK(cudaHostAlloc(&out, bytes, cudaHostAllocMapped | cudaHostAllocWriteCombined));
    CHECK(cudaMalloc(&plain, bytes));
    CHECK(cudaHostGetDevicePointer(&device_in, in, 0));
    CHECK(cudaHostGetDevicePointer(&device_out, out, 0));
    CHECK(cudaHostGetFlags(&flags, in));
    EXPECT((flags & cudaHostAllocMapped) != 0);
    CHECK(cudaPointerGetAttributes(&attributes, in + 3));
    EXPECT(attributes.type == cudaMemoryTypeHost && attributes.devicePointer == device_in + 3 && attributes.hostPointer == in + 3);
    for (int turn = 1; turn <= 3; turn++) {
        for (int i = 0; i < n; i++) in[i] = turn * i;
        twice<<<(n + 255) / 256, 256>>>(device_in, device_out, n);
        CHECK(cudaDeviceSynchronize());
        for (int i = 0; i < n; i++) EXPECT(out[i] == 2 * turn * i);
    }
    CHECK(cudaMemcpy(plain, out, bytes, cudaMemcpyHostToDevice));
    twice<<<(n + 255) / 256, 256>>>(plain, plain, n);
    CHECK(cudaMemcpy(in, plain, bytes, cudaMemcpyDeviceToHost));
    for (int i = 0; i < n; i++) EXPECT(in[i] == 12 * i);
    CHECK(cudaFreeHost(in));
    CHECK(cudaFreeHost(out));
    CHECK(cudaFree(plain));
    printf("ok\n");
    return 0;
}
