/* Two devices of one lease by the runtime: direct access only where it is said to be, and copies in any case. Needs two devices. */
#include "../cuda/check.h"

#define COUNT 100000

__global__ void count_up(int *numbers, int first, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) numbers[i] = first + i;
}

int main() {
    int *memory[2], devices, can[2];
    cudaStream_t stream;
    CHECK(cudaGetDeviceCount(&devices));
    EXPECT(devices >= 2);
    CHECK(cudaDeviceCanAccessPeer(&can[0], 0, 1));
    CHECK(cudaDeviceCanAccessPeer(&can[1], 1, 0));
    for (int i = 0; i < 2; i++) {
        CHECK(cudaSetDevice(i));
        cudaError_t error = cudaDeviceEnablePeerAccess(1 - i, 0);
        EXPECT(error == (can[i] ? cudaSuccess : cudaErrorPeerAccessUnsupported));
        cudaGetLastError();
        CHECK(cudaMalloc(&memory[i], COUNT * sizeof(int)));
        CHECK(cudaMemset(memory[i], 0, COUNT * sizeof(int)));
    }
    CHECK(cudaStreamCreate(&stream));
    count_up<<<(COUNT + 255) / 256, 256, 0, stream>>>(memory[1], 7, COUNT);
    CHECK(cudaMemcpyPeerAsync(memory[0], 0, memory[1], 1, COUNT * sizeof(int), stream));
    CHECK(cudaStreamSynchronize(stream));
    std::vector<int> got(COUNT);
    CHECK(cudaSetDevice(0));
    CHECK(cudaMemcpy(got.data(), memory[0], COUNT * sizeof(int), cudaMemcpyDeviceToHost));
    for (int i = 0; i < COUNT; i++) EXPECT(got[i] == 7 + i);
    CHECK(cudaMemset(memory[0], 255, COUNT * sizeof(int)));
    CHECK(cudaMemcpyPeer(memory[1] + 10, 1, memory[0], 0, 10 * sizeof(int)));
    /* By addresses alone, which tell their devices. */
    CHECK(cudaMemcpy(memory[0] + 10, memory[1], 15 * sizeof(int), cudaMemcpyDefault));
    CHECK(cudaMemcpy(got.data(), memory[0], 30 * sizeof(int), cudaMemcpyDeviceToHost));
    for (int i = 0; i < 30; i++) EXPECT(got[i] == (i >= 10 && i < 20 ? 7 + i - 10 : -1));
    printf("ok\n");
    return 0;
}
