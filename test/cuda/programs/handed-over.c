/*
 * A copy from the host that a program waits for is done for all its streams, also for those that do not wait for the default stream, although it
 * travels behind what that stream still does. An asynchronous one holds up nobody. The kernel is the stand-in driver's.
 */
#include "../../interposer/driver/driver.h"

static const char kernels[] =
    ".version 8.0\n.target sm_75\n.address_size 64\n.visible .entry pause_for(.param .u32 microseconds) { ret; }\n";

static CUfunction pause_for;
static CUdeviceptr word;

static void work_for(uint32_t microseconds) {
    void *parameters[] = {&microseconds};
    CHECK(cuLaunchKernel(pause_for, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
}

static uint32_t read_in(CUstream stream) {
    uint32_t found = 0;
    CHECK(cuMemcpyDtoHAsync_v2(&found, word, sizeof found, stream));
    CHECK(cuStreamSynchronize(stream));
    return found;
}

int main(void) {
    CUstream first, second, blocking;
    CUmodule module;
    uint32_t value = 1;
    start();
    pause_for = load(kernels, "pause_for", &module);
    CHECK(cuMemAlloc_v2(&word, 4096));
    work_for(100000);
    CHECK(cuMemcpyHtoD_v2(word, &value, sizeof value));
    CHECK(cuStreamCreate(&first, 1));
    EXPECT(read_in(first) == 1);
    for (value = 2; value < 5; value++) {
        work_for(50000);
        if (value == 2) CHECK(cuMemcpyHtoD_v2(word, &value, sizeof value));
        if (value == 3) CHECK(cuMemcpy(word, (CUdeviceptr)(uintptr_t)&value, sizeof value));
        CUDA_MEMCPY2D box = {.src_type = CU_MEMORY_HOST, .src_host = &value, .dst_type = CU_MEMORY_DEVICE, .dst_device = word, .width_bytes = 4, .height = 1};
        if (value == 4) CHECK(cuMemcpy2D_v2(&box));
        EXPECT(read_in(first) == value);
        CHECK(cuStreamCreate(&second, 1));
        EXPECT(read_in(second) == value);
        CHECK(cuStreamDestroy_v2(second));
    }
    work_for(300000);
    value = 9;
    CHECK(cuMemcpyHtoDAsync_v2(word, &value, sizeof value, NULL));
    EXPECT(read_in(first) == 4);
    CHECK(cuStreamCreate(&blocking, 0));
    EXPECT(read_in(blocking) == 9);
    printf("ok\n");
    return 0;
}
