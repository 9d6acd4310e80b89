/* Structures by value, templates, and kernels through function pointers and the extended launch. */
#include "check.h"

struct Range {
    double low, high;
    char kind;
    short count;
    int *out;
};

template <typename T, int N> __global__ void fill(Range range, T value, char offset) {
    int i = threadIdx.x;
    if (i < range.count) range.out[i] = int(range.low + range.high) + int(value) * N + offset + range.kind;
}

int main() {
    int *out, back[16];
    CHECK(cudaMalloc(&out, sizeof back));
    Range range = {1.5, 2.5, 'A', 16, out};
    fill<float, 3><<<1, 32>>>(range, 2.0f, 5);
    CHECK(cudaMemcpy(back, out, sizeof back, cudaMemcpyDeviceToHost));
    for (int value : back) EXPECT(value == 4 + 6 + 5 + 'A');
    void (*kernel)(Range, short, char) = fill<short, 2>;
    short value = 7;
    char offset = 1;
    void *args[] = {&range, &value, &offset};
    CHECK(cudaLaunchKernel((const void *)kernel, dim3(1), dim3(16), args, 0, nullptr));
    CHECK(cudaMemcpy(back, out, sizeof back, cudaMemcpyDeviceToHost));
    for (int each : back) EXPECT(each == 4 + 14 + 1 + 'A');
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(1);
    config.blockDim = dim3(16);
    CHECK(cudaLaunchKernelEx(&config, fill<short, 2>, range, (short)1, (char)0));
    CHECK(cudaMemcpy(back, out, sizeof back, cudaMemcpyDeviceToHost));
    for (int each : back) EXPECT(each == 4 + 2 + 'A');
    printf("ok\n");
    return 0;
}
