/* Memory freed while streams work: nothing waits, nobody can use it afterwards, and far more than the device has can be had in turn. */
#include "driver.h"

enum { PAIRS = 20000, LARGE_PAIRS = 200 };

int main(void) {
    CUstream stream;
    CUdeviceptr d, kept;
    size_t before, after;
    unsigned int value = 0;
    start();
    CHECK(cuStreamCreate(&stream, 1));
    CHECK(cuMemAlloc_v2(&kept, 4096));
    CHECK(cuMemsetD32Async(kept, 7, 1024, stream));
    CHECK(cuMemGetInfo_v2(&before, NULL));
    for (int i = 0; i < PAIRS; i++) {
        CHECK(cuMemAlloc_v2(&d, 4096));
        CHECK(i % 2 == 0 ? cuMemFree_v2(d) : cuMemFreeAsync(d, stream));
    }
    CHECK_FAILS(cuMemFree_v2(d), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuMemFreeAsync(d, stream), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuMemsetD8_v2(d, 0, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuMemGetInfo_v2(&after, NULL));
    EXPECT(after == before);
    /* Half of what is free each time, so the second already needs what the first left. */
    for (int i = 0; i < LARGE_PAIRS; i++) {
        CHECK(cuMemAlloc_v2(&d, before / 2 + 256));
        CHECK(cuMemFree_v2(d));
    }
    CHECK(cuMemcpyDtoH_v2(&value, kept, sizeof value));
    EXPECT(value == 7);
    CHECK(cuMemGetInfo_v2(&after, NULL));
    EXPECT(after == before);
    CHECK(cuMemFree_v2(kept));
    CHECK(cuStreamDestroy_v2(stream));
    printf("ok\n");
    return 0;
}
