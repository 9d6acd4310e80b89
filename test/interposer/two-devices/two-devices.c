/* Two devices of one lease: contexts on both, work on each, and copies between them. Needs two devices. */
#include "../driver/driver.h"

enum { COUNT = 300000 };

int main(void) {
    static int values[COUNT];
    CUcontext contexts[2];
    CUmodule modules[2];
    CUfunction functions[2];
    CUdeviceptr d[2];
    CUstream stream;
    CUevent event;
    CUdevice ordinal;
    int count = 0, n = COUNT, can;
    unsigned int type;
    CHECK(cuInit(0));
    CHECK(cuDeviceGetCount(&count));
    EXPECT(count == 2);
    for (int i = 0; i < 2; i++) {
        CHECK(cuDevicePrimaryCtxRetain(&contexts[i], i));
        CHECK(cuCtxSetCurrent(contexts[i]));
        functions[i] = load(PTX_ADD_ONE, "add_one", &modules[i]);
        CHECK(cuMemAlloc_v2(&d[i], sizeof values));
        CHECK(cuMemsetD32_v2(d[i], 100 * (unsigned)(i + 1), COUNT));
    }
    CHECK(cuDeviceCanAccessPeer(&can, 0, 1));
    CHECK(cuPointerGetAttribute(&type, 9, d[1]));
    EXPECT(type == 1);
    void *params[] = {&d[1], &n};
    CHECK(launch(functions[1], 64, 128, NULL, params));
    CHECK_FAILS(launch(functions[0], 64, 128, NULL, params), CUDA_ERROR_INVALID_HANDLE);
    CHECK(cuMemcpyDtoD_v2(d[0], d[1], sizeof values));
    CHECK(cuCtxSetCurrent(contexts[0]));
    CHECK(cuStreamCreate(&stream, 0));
    CHECK(cuEventCreate(&event, 0));
    params[0] = &d[0];
    CHECK(launch(functions[0], 64, 128, stream, params));
    CHECK(cuEventRecord(event, stream));
    CHECK(cuCtxSetCurrent(contexts[1]));
    CHECK(cuStreamWaitEvent(NULL, event, 0));
    CHECK(cuCtxGetDevice(&ordinal));
    EXPECT(ordinal == 1);
    CHECK(cuMemcpyDtoD_v2(d[1], d[0], sizeof values));
    CHECK(cuMemcpyDtoH_v2(values, d[1], sizeof values));
    for (int i = 0; i < COUNT; i++) EXPECT(values[i] == 202);
    printf("ok\n");
    return 0;
}
