/* Launches in steps, and contexts that are attached and detached, as libraries from before CUDA 4 still do. */
#include "driver.h"

CUresult cuFuncSetBlockShape(CUfunction function, int x, int y, int z);
CUresult cuFuncSetSharedSize(CUfunction function, unsigned int bytes);
CUresult cuParamSetSize(CUfunction function, unsigned int bytes);
CUresult cuParamSeti(CUfunction function, int offset, unsigned int value);
CUresult cuParamSetf(CUfunction function, int offset, float value);
CUresult cuParamSetv(CUfunction function, int offset, void *value, unsigned int bytes);
CUresult cuLaunch(CUfunction function);
CUresult cuLaunchGrid(CUfunction function, int width, int height);
CUresult cuLaunchGridAsync(CUfunction function, int width, int height, CUstream stream);
CUresult cuCtxAttach(CUcontext *context, unsigned int flags);
CUresult cuCtxDetach(CUcontext context);

static const char ptx[] = PTX_HEADER
    ".extern .shared .align 4 .b8 scratch[];\n"
    ".visible .entry shape(.param .u64 out, .param .u32 count, .param .f32 factor)\n{\n"
    ".reg .b32 %r<12>;\n.reg .b64 %d<4>;\n.reg .f32 %f;\n"
    "ld.param.u64 %d0, [out];\nld.param.u32 %r0, [count];\nld.param.f32 %f, [factor];\n"
    "mov.u32 %r3, %nctaid.x;\nmov.u32 %r4, %nctaid.y;\nmov.u32 %r6, %ntid.x;\nmov.u32 %r7, %ntid.y;\nmov.u32 %r8, %ntid.z;\n"
    "mov.u32 %r9, %dynamic_smem_size;\n"
    "st.global.u32 [%d0], %r0;\nst.global.f32 [%d0+4], %f;\nst.global.u32 [%d0+8], %r3;\nst.global.u32 [%d0+12], %r4;\n"
    "st.global.u32 [%d0+16], %r6;\nst.global.u32 [%d0+20], %r7;\nst.global.u32 [%d0+24], %r8;\nst.global.u32 [%d0+28], %r9;\nret;\n}\n";

static CUdeviceptr out;

static void expect(unsigned count, unsigned width, unsigned height) {
    unsigned int got[8], wanted[8] = {count, 0x40200000 /* 2.5 */, width, height, 4, 2, 1, 256};
    CHECK(cuMemcpyDtoH_v2(got, out, sizeof got));
    EXPECT(memcmp(got, wanted, sizeof got) == 0);
}

int main(void) {
    CUmodule module;
    CUcontext context, same, current;
    start();
    CUfunction shape = load(ptx, "shape", &module);
    CHECK(cuMemAlloc_v2(&out, 64));
    CHECK_FAILS(cuLaunch(shape), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuFuncSetBlockShape(shape, 4, 2, 1));
    CHECK(cuFuncSetSharedSize(shape, 256));
    CHECK(cuParamSetv(shape, 0, &out, sizeof out));
    CHECK(cuParamSeti(shape, 8, 7));
    CHECK_FAILS(cuLaunchGrid(shape, 3, 2), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuParamSetf(shape, 12, 2.5f));
    CHECK(cuParamSetSize(shape, 16));
    CHECK(cuLaunchGrid(shape, 3, 2));
    expect(7, 3, 2);
    CHECK(cuParamSeti(shape, 8, 9));
    CHECK(cuLaunchGridAsync(shape, 5, 1, NULL));
    expect(9, 5, 1);
    CHECK(cuLaunch(shape));
    expect(9, 1, 1);
    CHECK_FAILS(cuFuncSetBlockShape(shape, 0, 1, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuParamSetv(shape, -1, &out, 8), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuParamSetSize(shape, 1 << 30), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuLaunchGrid(shape, 0, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuModuleUnload(module));

    CHECK(cuCtxCreate_v2(&context, 0, 0));
    CHECK(cuCtxAttach(&same, 0));
    EXPECT(same == context);
    CHECK(cuCtxDetach(context));
    CHECK(cuCtxGetCurrent(&current));
    EXPECT(current == context);
    CHECK(cuCtxDetach(context));
    CHECK(cuCtxGetCurrent(&current));
    EXPECT(current != context);
    CHECK_FAILS(cuCtxDetach(context), CUDA_ERROR_INVALID_CONTEXT);
    printf("ok\n");
    return 0;
}
