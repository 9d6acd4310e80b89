/*
 * On a slice of a GPU: stacks of kernels' threads as large as the program asks for, out of the slice, whose figures tell it, and back into it. The kernel is
 * one that the tests' stand-in for the driver knows by name: it needs a stack of so many bytes.
 */
#include "../driver/driver.h"

enum { LIMIT_STACK = 0, LARGE = 64 << 10 };

CUresult cuCtxSetLimit(int limit, size_t value);
CUresult cuCtxGetLimit(size_t *value, int limit);

static CUfunction recurse;

static size_t limit(void) {
    size_t value;
    CHECK(cuCtxGetLimit(&value, LIMIT_STACK));
    return value;
}

static size_t unused(void) {
    size_t bytes, total;
    CHECK(cuMemGetInfo_v2(&bytes, &total));
    return bytes;
}

static void use_stack(unsigned bytes) {
    void *params[] = {&bytes};
    CHECK(launch(recurse, 1, 1, NULL, params));
    CHECK(cuCtxSynchronize());
}

/* Has all that is free, to its last byte, and no more. */
static void use_all(void) {
    size_t bytes = unused();
    CUdeviceptr all, more;
    unsigned char last = 1;
    CHECK(cuMemAlloc_v2(&all, bytes));
    EXPECT(cuMemAlloc_v2(&more, 1) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(cuMemcpyDtoH_v2(&last, all + bytes - 1, 1));
    EXPECT(last == 0);
    /* Of zeros the stand-in keeps no pages. */
    CHECK(cuMemsetD8_v2(all, 0, bytes));
    CHECK(cuMemsetD8_v2(all + bytes - 1, 7, 1));
    CHECK(cuMemcpyDtoH_v2(&last, all + bytes - 1, 1));
    EXPECT(last == 7);
    CHECK(cuMemsetD8_v2(all + bytes - 1, 0, 1));
    CHECK(cuMemFree_v2(all));
}

int main(void) {
    CUcontext context;
    CUmodule module;
    CHECK(cuInit(0));
    CHECK(cuCtxCreate_v2(&context, 0, 0));
    CHECK(cuModuleLoadData(&module, PTX_HEADER ".visible .entry recurse(.param .u32 bytes) { ret; }\n"));
    CHECK(cuModuleGetFunction(&recurse, module, "recurse"));
    EXPECT(limit() == 1024);
    use_stack(1024);
    size_t before = unused();

    /* Beyond what comes with the lease the stacks are memory of the slice. */
    CHECK(cuCtxSetLimit(LIMIT_STACK, LARGE));
    EXPECT(limit() == LARGE);
    size_t less = unused();
    EXPECT(less < before && before - less >= (200u << 20));
    use_stack(LARGE);
    use_all();
    use_stack(LARGE);

    /* What the lease has no room for changes nothing. */
    EXPECT(cuCtxSetLimit(LIMIT_STACK, 256 << 10) == CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT(limit() == LARGE && unused() == less);
    use_stack(LARGE);
    CUdeviceptr most;
    CHECK(cuMemAlloc_v2(&most, less - (16 << 20)));
    EXPECT(cuCtxSetLimit(LIMIT_STACK, LARGE + 8192) == CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT(unused() == 16 << 20);
    use_stack(LARGE);
    CHECK(cuMemFree_v2(most));

    /* And back. */
    CHECK(cuCtxSetLimit(LIMIT_STACK, 2048));
    EXPECT(unused() == before);
    use_stack(2048);
    use_all();
    CHECK(cuCtxSetLimit(LIMIT_STACK, LARGE));
    EXPECT(unused() == less);
    CHECK(cuCtxDestroy_v2(context));
    CHECK(cuCtxCreate_v2(&context, 0, 0));
    EXPECT(limit() == 1024 && unused() == before);
    use_all();
    puts("ok");
    return 0;
}
