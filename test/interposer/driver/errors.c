/* What CUDA refuses at once is refused at once, and leaves the context as it was. */
#include "driver.h"

int main(void) {
    CUmodule module;
    CUdeviceptr d;
    CUfunction missing;
    CUdevice device;
    CUcontext context;
    int count = 16, value;
    unsigned char bytes[64] = {0};
    CHECK_FAILS(cuDeviceGet(&device, 0), CUDA_ERROR_NOT_INITIALIZED);
    CHECK_FAILS(cuCtxGetCurrent(&context), CUDA_ERROR_NOT_INITIALIZED);
    CHECK(cuInit(0));
    CHECK_FAILS(cuDeviceGet(&device, 99), CUDA_ERROR_INVALID_DEVICE);
    CHECK_FAILS(cuMemAlloc_v2(&d, 16), CUDA_ERROR_INVALID_CONTEXT);
    start();
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuMemAlloc_v2(&d, sizeof bytes));
    CHECK(cuMemsetD8_v2(d, 0, sizeof bytes));
    void *params[] = {&d, &count};
    CHECK_FAILS(launch(add_one, 1, 4096, NULL, params), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(launch(add_one, 0, 32, NULL, params), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(launch(add_one, 1, 0, NULL, params), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuLaunchKernel(add_one, 1, 70000, 1, 32, 1, 1, 0, NULL, params, NULL), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuLaunchKernel(add_one, 1, 1, 1, 32, 1, 1, 1 << 30, NULL, params, NULL), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuModuleGetFunction(&missing, module, "no_such_kernel"), CUDA_ERROR_NOT_FOUND);
    CHECK_FAILS(cuMemcpyDtoH_v2(bytes, d, sizeof bytes + 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuMemcpyHtoD_v2(d + 1, bytes, sizeof bytes), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuMemcpyHtoD_v2(0, bytes, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuDeviceGetAttribute(&value, 100000, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuMemFree_v2(d + 8), CUDA_ERROR_INVALID_VALUE);
    const char *name = NULL;
    CHECK_FAILS(cuGetErrorName(123456, &name), CUDA_ERROR_INVALID_VALUE);
    CHECK(launch(add_one, 1, 16, NULL, params));
    CHECK(cuMemcpyDtoH_v2(bytes, d, sizeof bytes));
    for (int i = 0; i < 16; i++) EXPECT(bytes[4 * i] == 1);
    CUmodule broken;
    CUresult result = cuModuleLoadData(&broken, ".version 6.4\n.target sm_50\n.address_size 64\nthis is no PTX\n");
    EXPECT(result == 218 || result == 200 || result == 209);
    CHECK(launch(add_one, 1, 16, NULL, params));
    CHECK(cuCtxSynchronize());
    printf("ok\n");
    return 0;
}
