/* The forms of a launch: packed parameters, extended configuration, structures by value, all dimensions, dynamic shared memory. */
#include "driver.h"

static const char ptx[] = PTX_HEADER
    ".extern .shared .align 4 .b8 scratch[];\n"
    ".visible .entry shape(.param .u64 out, .param .align 4 .b8 pair[8], .param .u8 small)\n{\n"
    ".reg .b32 %r<12>;\n.reg .b64 %d<4>;\n"
    "ld.param.u64 %d0, [out];\nld.param.u32 %r0, [pair];\nld.param.u32 %r1, [pair+4];\nld.param.u8 %r2, [small];\n"
    "mov.u32 %r3, %nctaid.x;\nmov.u32 %r4, %nctaid.y;\nmov.u32 %r5, %nctaid.z;\nmov.u32 %r6, %ntid.x;\nmov.u32 %r7, %ntid.y;\n"
    "mov.u32 %r8, %ntid.z;\nmov.u32 %r9, scratch;\nst.shared.u32 [%r9], %r2;\nld.shared.u32 %r10, [%r9];\n"
    "st.global.u32 [%d0], %r0;\nst.global.u32 [%d0+4], %r1;\nst.global.u32 [%d0+8], %r10;\nst.global.u32 [%d0+12], %r3;\n"
    "st.global.u32 [%d0+16], %r4;\nst.global.u32 [%d0+20], %r5;\nst.global.u32 [%d0+24], %r6;\nst.global.u32 [%d0+28], %r7;\n"
    "st.global.u32 [%d0+32], %r8;\nret;\n}\n";

static CUdeviceptr out;

static void expect(unsigned first, unsigned second, unsigned small) {
    unsigned int got[9], wanted[9] = {first, second, small, 2, 3, 4, 5, 6, 7};
    CHECK(cuMemcpyDtoH_v2(got, out, sizeof got));
    EXPECT(memcmp(got, wanted, sizeof got) == 0);
}

int main(void) {
    struct {
        unsigned int first, second;
    } pair = {11, 22};
    unsigned char small = 200;
    CUmodule module;
    start();
    CUfunction shape = load(ptx, "shape", &module);
    CHECK(cuMemAlloc_v2(&out, 64));
    void *params[] = {&out, &pair, &small};
    CHECK(cuLaunchKernel(shape, 2, 3, 4, 5, 6, 7, 1024, NULL, params, NULL));
    expect(11, 22, 200);
    struct {
        CUdeviceptr out;
        unsigned int first, second;
        unsigned char small;
    } packed = {out, 33, 44, 55};
    size_t size = 17;
    void *extra[] = {(void *)1, &packed, (void *)2, &size, (void *)0};
    CHECK(cuLaunchKernel(shape, 2, 3, 4, 5, 6, 7, 1024, NULL, NULL, extra));
    expect(33, 44, 55);
    size = 3;
    CHECK_FAILS(cuLaunchKernel(shape, 2, 3, 4, 5, 6, 7, 1024, NULL, NULL, extra), CUDA_ERROR_INVALID_VALUE);
    CUlaunchConfig config = {2, 3, 4, 5, 6, 7, 1024, NULL, NULL, 0};
    pair.first = 77;
    CHECK(cuLaunchKernelEx(&config, shape, params, NULL));
    expect(77, 22, 200);
    printf("ok\n");
    return 0;
}
