/* Calls beside the common path: copies in batches and between devices' boxes, attributes of streams, pools by place, entry points, refusals. */
#include "check.h"

#include <cuda_profiler_api.h>

static void copies() {
    const int n = 1000;
    std::vector<int> a(n), b(n), back(2 * n);
    int *device, *other;
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    CHECK(cudaMalloc(&device, 2 * n * sizeof(int)));
    CHECK(cudaMalloc(&other, 2 * n * sizeof(int)));
    for (int i = 0; i < n; i++) a[i] = i, b[i] = -i;
    cudaMemcpy3DPeerParms box = {};
    box.srcPtr = make_cudaPitchedPtr(device, 80, 20, 10);
    box.dstPtr = make_cudaPitchedPtr(other, 160, 40, 10);
    box.extent = make_cudaExtent(80, 10, 1);
#if CUDART_VERSION >= 13000
    void *to[] = {device, device + n};
    const void *from[] = {a.data(), b.data()};
    size_t sizes[] = {n * sizeof(int), n * sizeof(int)}, starts[] = {0};
    cudaMemcpyAttributes attributes = {};
    attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
    CHECK(cudaMemcpyBatchAsync(to, from, sizes, 2, &attributes, starts, 1, stream));
#else
    CHECK(cudaMemcpyAsync(device, a.data(), n * sizeof(int), cudaMemcpyHostToDevice, stream));
    CHECK(cudaMemcpyAsync(device + n, b.data(), n * sizeof(int), cudaMemcpyHostToDevice, stream));
#endif
    CHECK(cudaMemcpyAsync(back.data(), device, 2 * n * sizeof(int), cudaMemcpyDeviceToHost, stream));
    CHECK(cudaStreamSynchronize(stream));
    for (int i = 0; i < n; i++) EXPECT(back[i] == i && back[n + i] == -i);
    CHECK(cudaMemset(other, 0, 2 * n * sizeof(int)));
    CHECK(cudaMemcpy3DPeerAsync(&box, stream));
    CHECK(cudaStreamSynchronize(stream));
    CHECK(cudaMemcpy(back.data(), other, 2 * n * sizeof(int), cudaMemcpyDeviceToHost));
    for (int row = 0; row < 10; row++)
        for (int i = 0; i < 20; i++) EXPECT(back[row * 40 + i] == row * 20 + i && (row == 9 || back[row * 40 + 20 + i] == 0));
    CHECK(cudaFree(device));
    CHECK(cudaFree(other));
    CHECK(cudaStreamDestroy(stream));
}

static void attributes() {
    cudaStream_t first, second;
    cudaStreamAttrValue value = {}, read = {};
    CHECK(cudaStreamCreate(&first));
    CHECK(cudaStreamCreate(&second));
    value.syncPolicy = cudaSyncPolicyYield;
    CHECK(cudaStreamSetAttribute(first, cudaLaunchAttributeSynchronizationPolicy, &value));
    CHECK(cudaStreamCopyAttributes(second, first));
    CHECK(cudaStreamGetAttribute(second, cudaLaunchAttributeSynchronizationPolicy, &read));
    EXPECT(read.syncPolicy == cudaSyncPolicyYield);
    CHECK(cudaStreamDestroy(first));
    CHECK(cudaStreamDestroy(second));
}

static void pools() {
    cudaMemPool_t pool;
    cudaMemAccessFlags flags;
    cudaMemLocation here = {cudaMemLocationTypeDevice, 0};
    CHECK(cudaDeviceGetDefaultMemPool(&pool, 0));
    CHECK(cudaMemPoolGetAccess(&flags, pool, &here));
    EXPECT(flags == cudaMemAccessFlagsProtReadWrite);
#if CUDART_VERSION >= 13000
    cudaMemPool_t same;
    CHECK(cudaMemGetDefaultMemPool(&same, &here, cudaMemAllocationTypePinned));
    EXPECT(same == pool);
#endif
}

static void entry_points() {
    typedef int (*version_function)(int *);
    void *function = nullptr;
    cudaDriverEntryPointQueryResult found;
    int by_name = 0, by_call = 0;
    CHECK(cudaGetDriverEntryPointByVersion("cuDriverGetVersion", &function, 12000, cudaEnableDefault, &found));
    EXPECT(found == cudaDriverEntryPointSuccess && ((version_function)function)(&by_name) == 0);
    CHECK(cudaDriverGetVersion(&by_call));
    EXPECT(by_name == by_call && by_call >= 12000);
    CHECK(cudaGetDriverEntryPointByVersion("cuNothingOfThatName", &function, 12000, cudaEnableDefault, &found));
    EXPECT(found == cudaDriverEntryPointSymbolNotFound && function == nullptr);
}

int main() {
    char bus[20];
    int device = -1;
    size_t limit = 0;
    copies();
    attributes();
    pools();
    entry_points();
    CHECK(cudaDeviceGetPCIBusId(bus, sizeof bus, 0));
    CHECK(cudaDeviceGetByPCIBusId(&device, bus));
    EXPECT(device == 0);
    CHECK(cudaDeviceSetLimit(cudaLimitMallocHeapSize, 8 << 20));
    CHECK(cudaDeviceGetLimit(&limit, cudaLimitMallocHeapSize));
    EXPECT(limit >= (8 << 20));
    CHECK(cudaProfilerStart());
    CHECK(cudaProfilerStop());
    printf("ok\n");
    return 0;
}
