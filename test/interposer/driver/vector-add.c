/* Adds two vectors: the first program of everyone. */
#include "driver.h"

static const char ptx[] = PTX_HEADER
    ".visible .entry vector_add(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n)\n{\n"
    ".reg .pred %p<2>;\n.reg .f32 %f<4>;\n.reg .b32 %r<6>;\n.reg .b64 %d<8>;\n"
    "ld.param.u64 %d0, [a];\nld.param.u64 %d1, [b];\nld.param.u64 %d2, [c];\nld.param.u32 %r0, [n];\n"
    "mov.u32 %r1, %ctaid.x;\nmov.u32 %r2, %ntid.x;\nmov.u32 %r3, %tid.x;\nmad.lo.s32 %r4, %r1, %r2, %r3;\n"
    "setp.ge.u32 %p0, %r4, %r0;\n@%p0 bra done;\n"
    "mul.wide.u32 %d3, %r4, 4;\nadd.u64 %d4, %d0, %d3;\nadd.u64 %d5, %d1, %d3;\nadd.u64 %d6, %d2, %d3;\n"
    "ld.global.f32 %f0, [%d4];\nld.global.f32 %f1, [%d5];\nadd.f32 %f2, %f0, %f1;\nst.global.f32 [%d6], %f2;\n"
    "done:\nret;\n}\n";

enum { COUNT = 100000 };

int main(void) {
    static float a[COUNT], b[COUNT], c[COUNT];
    CUmodule module;
    CUdeviceptr da, db, dc;
    unsigned int n = COUNT;
    for (int i = 0; i < COUNT; i++) a[i] = (float)i, b[i] = 2.0f * (float)i;
    start();
    CUfunction add = load(ptx, "vector_add", &module);
    CHECK(cuMemAlloc_v2(&da, sizeof a));
    CHECK(cuMemAlloc_v2(&db, sizeof b));
    CHECK(cuMemAlloc_v2(&dc, sizeof c));
    CHECK(cuMemcpyHtoD_v2(da, a, sizeof a));
    CHECK(cuMemcpyHtoD_v2(db, b, sizeof b));
    void *params[] = {&da, &db, &dc, &n};
    CHECK(launch(add, (COUNT + 255) / 256, 256, NULL, params));
    CHECK(cuCtxSynchronize());
    CHECK(cuMemcpyDtoH_v2(c, dc, sizeof c));
    for (int i = 0; i < COUNT; i++) EXPECT(c[i] == 3.0f * (float)i);
    CHECK(cuMemFree_v2(da));
    CHECK(cuMemFree_v2(db));
    CHECK(cuMemFree_v2(dc));
    CHECK(cuModuleUnload(module));
    printf("ok\n");
    return 0;
}
