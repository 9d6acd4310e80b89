/* Contexts: the stack of a thread, what their end frees, and the primary one. */
#include "driver.h"

int main(void) {
    CUcontext a, b, current, primary;
    CUdevice device;
    CUdeviceptr d;
    size_t before, after;
    unsigned int flags;
    int active;
    CHECK(cuInit(0));
    CHECK(cuDeviceGet(&device, 0));
    CHECK(cuDevicePrimaryCtxGetState(device, &flags, &active));
    EXPECT(active == 0);
    CHECK(cuCtxCreate_v2(&a, 0, device));
    CHECK(cuCtxGetCurrent(&current));
    EXPECT(current == a);
    CHECK(cuMemGetInfo_v2(&before, NULL));
    CHECK(cuCtxCreate_v2(&b, 0, device));
    CHECK(cuCtxGetCurrent(&current));
    EXPECT(current == b);
    CHECK(cuMemAlloc_v2(&d, 5 << 20));
    CHECK(cuCtxPopCurrent_v2(&current));
    EXPECT(current == b);
    CHECK(cuCtxDestroy_v2(b));
    CHECK(cuCtxGetCurrent(&current));
    EXPECT(current == a);
    CHECK(cuMemGetInfo_v2(&after, NULL));
    EXPECT(before == after || after >= before);
    CHECK_FAILS(cuMemFree_v2(d), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuDevicePrimaryCtxRetain(&primary, device));
    CHECK(cuDevicePrimaryCtxGetState(device, &flags, &active));
    EXPECT(active == 1);
    CHECK(cuCtxPushCurrent_v2(primary));
    CHECK(cuMemAlloc_v2(&d, 1 << 20));
    CHECK(cuCtxPopCurrent_v2(NULL));
    CHECK(cuDevicePrimaryCtxRelease_v2(device));
    CHECK(cuDevicePrimaryCtxGetState(device, &flags, &active));
    EXPECT(active == 0);
    CHECK(cuCtxSynchronize());
    CHECK(cuCtxDestroy_v2(a));
    CHECK(cuCtxGetCurrent(&current));
    EXPECT(current == NULL);
    CHECK_FAILS(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
    printf("ok\n");
    return 0;
}
