/*
 * Counts its devices, as launchers of several processes do, runs the command that its argument names, and works
 * itself when that has ended.
 */
#include "../driver/driver.h"

int main(int argc, char **argv) {
    CUdevice device;
    CUdeviceptr d;
    int count = 0, version = 0, values[4];
    if (argc < 2) return 2;
    CHECK(cuInit(0));
    CHECK(cuInit(0));
    CHECK(cuDeviceGetCount(&count));
    CHECK(cuDeviceGet(&device, count - 1));
    printf("counts %d\n", count);
    fflush(stdout);
    int status = system(argv[1]);
    if (status != 0) return 3;
    EXPECT(cuDeviceGet(&device, count) == CUDA_ERROR_INVALID_DEVICE);
    CHECK(cuDriverGetVersion(&version));
    EXPECT(version > 0);
    start();
    CHECK(cuDeviceGetCount(&count));
    CHECK(cuMemAlloc_v2(&d, sizeof values));
    CHECK(cuMemsetD32_v2(d, 7, 4));
    CHECK(cuMemcpyDtoH_v2(values, d, sizeof values));
    EXPECT(values[0] == 7 && values[3] == 7);
    printf("works with %d\n", count);
    return 0;
}
