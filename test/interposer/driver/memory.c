/* Memory: allocation and its end, fills, copies of every form and size, and the figures that are shown. */
#include "driver.h"

enum { MiB = 1 << 20, LARGE = 9 * MiB + 12345 };

static void fills(void) {
    static unsigned char bytes[4096];
    CUdeviceptr d;
    CHECK(cuMemAlloc_v2(&d, sizeof bytes));
    CHECK(cuMemsetD8_v2(d, 0xab, 4096));
    CHECK(cuMemsetD16_v2(d + 512, 0x1234, 8));
    CHECK(cuMemsetD32_v2(d + 1024, 0xdeadbeef, 2));
    CHECK(cuMemcpyDtoH_v2(bytes, d, sizeof bytes));
    EXPECT(bytes[0] == 0xab && bytes[511] == 0xab && bytes[4095] == 0xab);
    EXPECT(bytes[512] == 0x34 && bytes[513] == 0x12 && bytes[527] == 0x12 && bytes[528] == 0xab);
    EXPECT(bytes[1024] == 0xef && bytes[1031] == 0xde && bytes[1032] == 0xab);
    CHECK_FAILS(cuMemsetD32_v2(d + 2, 0, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuMemsetD8_v2(d, 0, 4097), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuMemFree_v2(d));
}

static void large_copies(void) {
    unsigned char *out = malloc(LARGE), *back = malloc(LARGE);
    CUdeviceptr a, b;
    for (size_t i = 0; i < LARGE; i++) out[i] = (unsigned char)(i * 31 + (i >> 11));
    CHECK(cuMemAlloc_v2(&a, LARGE));
    CHECK(cuMemAlloc_v2(&b, LARGE));
    CHECK(cuMemcpyHtoD_v2(a, out, LARGE));
    CHECK(cuMemcpyDtoD_v2(b, a, LARGE));
    CHECK(cuMemcpyDtoH_v2(back, b, LARGE));
    EXPECT(memcmp(out, back, LARGE) == 0);
    /* The source may be reused as soon as the call returns. */
    for (int turn = 0; turn < 20; turn++) {
        memset(out, turn, 20000);
        CHECK(cuMemcpyHtoD_v2(a + (size_t)turn * 20000, out, 20000));
    }
    CHECK(cuMemcpyDtoH_v2(back, a, 400000));
    for (size_t i = 0; i < 400000; i++) EXPECT(back[i] == i / 20000);
    CHECK(cuMemFree_v2(a));
    CHECK(cuMemFree_v2(b));
    free(out);
    free(back);
}

static void rectangles(void) {
    unsigned char host[64 * 48], back[20 * 10];
    CUdeviceptr d;
    size_t pitch;
    for (size_t i = 0; i < sizeof host; i++) host[i] = (unsigned char)i;
    CHECK(cuMemAllocPitch_v2(&d, &pitch, 64, 48, 4));
    EXPECT(pitch >= 64);
    CUDA_MEMCPY2D copy = {.src_type = CU_MEMORY_HOST, .src_host = host, .src_pitch = 64, .dst_type = CU_MEMORY_DEVICE, .dst_device = d,
                          .dst_pitch = pitch, .width_bytes = 64, .height = 48};
    CHECK(cuMemcpy2D_v2(&copy));
    CUDA_MEMCPY2D part = {.src_x_bytes = 8, .src_y = 5, .src_type = CU_MEMORY_DEVICE, .src_device = d, .src_pitch = pitch,
                          .dst_type = CU_MEMORY_HOST, .dst_host = back, .dst_pitch = 20, .width_bytes = 20, .height = 10};
    CHECK(cuMemcpy2D_v2(&part));
    for (int y = 0; y < 10; y++)
        for (int x = 0; x < 20; x++) EXPECT(back[y * 20 + x] == host[(y + 5) * 64 + x + 8]);
    CHECK(cuMemFree_v2(d));
}

static void figures(void) {
    size_t free_before, free_after, total;
    CUdeviceptr d, all[64], base;
    size_t bytes;
    CHECK(cuMemGetInfo_v2(&free_before, &total));
    CHECK(cuMemAlloc_v2(&d, 3 * MiB));
    CHECK(cuMemGetInfo_v2(&free_after, NULL));
    EXPECT(free_before - free_after >= 3 * MiB);
    CHECK(cuMemGetAddressRange_v2(&base, &bytes, d + 100));
    EXPECT(base == d && bytes == 3 * MiB);
    CHECK_FAILS(cuMemAlloc_v2(&all[0], total), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_FAILS(cuMemAlloc_v2(&all[0], (size_t)1 << 60), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_FAILS(cuMemAlloc_v2(&all[0], 0), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuMemFree_v2(d));
    CHECK_FAILS(cuMemFree_v2(d), CUDA_ERROR_INVALID_VALUE);
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 64; i++) CHECK(cuMemAlloc_v2(&all[i], 1000 * (size_t)(i + 1)));
        for (int i = 0; i < 64; i += 2) CHECK(cuMemFree_v2(all[i]));
        for (int i = 1; i < 64; i += 2) CHECK(cuMemFree_v2(all[i]));
    }
    CHECK(cuMemGetInfo_v2(&free_after, NULL));
    EXPECT(free_after == free_before);
}

int main(void) {
    start();
    fills();
    large_copies();
    rectangles();
    figures();
    printf("ok\n");
    return 0;
}
