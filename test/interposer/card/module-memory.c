/* Modules with more variables than a lease has room for beside its slice have theirs at the slice's end, and the program the rest to the last byte. */
#include "../driver/driver.h"

static const char large[] = PTX_HEADER ".visible .entry ample() { ret; }\n.global .align 4 .b8 large[100][1024][1024];\n";

int main(void) {
    CUmodule module;
    CUdeviceptr first, rest;
    size_t before, now, total;
    unsigned char byte;
    start();
    CHECK(cuMemAlloc_v2(&first, 1 << 20));
    CHECK(cuMemsetD8_v2(first, 7, 1 << 20));
    CHECK(cuMemGetInfo_v2(&before, &total));
    for (int i = 0; i < 4; i++) load(large, "ample", &module);
    CHECK(cuMemGetInfo_v2(&now, &total));
    EXPECT(before - now >= (size_t)(400 - 152) << 20);
    CHECK(cuMemAlloc_v2(&rest, now));
    CHECK_FAILS(cuMemAlloc_v2(&rest, 256), CUDA_ERROR_OUT_OF_MEMORY);
    /* Of zeros the stand-in keeps no pages. */
    CHECK(cuMemsetD8_v2(rest, 0, now));
    CHECK(cuMemsetD8_v2(rest + now - 1, 5, 1));
    CHECK(cuMemcpyDtoH_v2(&byte, rest + now - 1, 1));
    EXPECT(byte == 5);
    CHECK(cuMemcpyDtoH_v2(&byte, first + (1 << 20) - 1, 1));
    EXPECT(byte == 7);
    CHECK(cuCtxSynchronize());
    /* As much again is refused, and nothing else is affected. */
    CUresult result = CUDA_SUCCESS;
    for (int i = 0; i < 3 && result == CUDA_SUCCESS; i++) result = cuModuleLoadData(&module, large);
    EXPECT(result == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(cuCtxSynchronize());
    printf("ok\n");
    return 0;
}
