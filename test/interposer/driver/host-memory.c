/* Page-locked memory and what is known of a pointer: host and device are never confused. */
#include "driver.h"

int main(void) {
    void *pinned, *plain = malloc(10000);
    CUdeviceptr d, start_of_range;
    unsigned int flags, type;
    int ordinal;
    size_t bytes;
    start();
    CHECK(cuMemHostAlloc(&pinned, 5000, 1));
    CHECK(cuMemHostGetFlags(&flags, pinned));
    CHECK(cuMemAlloc_v2(&d, 8192));
    CHECK(cuPointerGetAttribute(&type, 2, d + 100));
    EXPECT(type == CU_MEMORY_DEVICE);
    CHECK(cuPointerGetAttribute(&ordinal, 9, d));
    EXPECT(ordinal == 0);
    CHECK(cuPointerGetAttribute(&start_of_range, 11, d + 100));
    CHECK(cuPointerGetAttribute(&bytes, 12, d + 100));
    EXPECT(start_of_range == d && bytes == 8192);
    CHECK(cuPointerGetAttribute(&type, 2, (CUdeviceptr)(size_t)pinned));
    EXPECT(type == CU_MEMORY_HOST);
    CHECK_FAILS(cuPointerGetAttribute(&type, 2, (CUdeviceptr)(size_t)plain), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuMemHostRegister_v2(plain, 10000, 0));
    CHECK(cuPointerGetAttribute(&type, 2, (CUdeviceptr)(size_t)plain + 9999));
    EXPECT(type == CU_MEMORY_HOST);
    CHECK_FAILS(cuMemHostRegister_v2(plain, 10000, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    memset(pinned, 42, 5000);
    CHECK(cuMemcpy(d, (CUdeviceptr)(size_t)pinned, 5000));
    CHECK(cuMemcpy((CUdeviceptr)(size_t)plain, d, 5000));
    EXPECT(memcmp(pinned, plain, 5000) == 0);
    CHECK(cuMemHostUnregister(plain));
    CHECK_FAILS(cuMemHostUnregister(plain), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    CHECK(cuMemFreeHost(pinned));
    CHECK(cuMemFree_v2(d));
    free(plain);
    printf("ok\n");
    return 0;
}
