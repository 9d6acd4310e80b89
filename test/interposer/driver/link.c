/* Linking: PTX that calls and reads what another PTX shows, names that each keeps to itself, files, a fat linker log, and mistakes. */
#include "driver.h"

#include <stdint.h>
#include <unistd.h>

CUresult cuLinkCreate_v2(unsigned int count, int *options, void **values, CUlinkState *state);
CUresult cuLinkAddData_v2(CUlinkState state, int kind, void *data, size_t bytes, const char *name, unsigned int count, int *options, void **values);
CUresult cuLinkAddFile_v2(CUlinkState state, int kind, const char *path, unsigned int count, int *options, void **values);
CUresult cuLinkComplete(CUlinkState state, void **image, size_t *bytes);
CUresult cuLinkDestroy(CUlinkState state);

enum { PTX = 1, COUNT = 32 };

#define HEAD ".version 6.4\n.target sm_50\n.address_size 64\n"

/* apply(out): out[i] = mix(i) + own + factor, where `own` is this image's and `factor` is the other's. */
static const char user[] = HEAD
    ".extern .global .align 4 .u32 factor;\n"
    ".extern .func (.param .b32 result) mix (.param .b32 x);\n"
    ".global .align 4 .u32 own = 1000;\n"
    ".func (.param .b32 result) local (.param .b32 x)\n{\n.reg .b32 %r<3>;\nld.param.u32 %r0, [x];\nadd.u32 %r0, %r0, 1;\nst.param.b32 [result], %r0;\nret;\n}\n"
    ".visible .entry apply(.param .u64 out)\n{\n.reg .b32 %r<8>;\n.reg .b64 %d<4>;\n"
    "ld.param.u64 %d0, [out];\nmov.u32 %r0, %tid.x;\n"
    "{\n.param .b32 a;\n.param .b32 b;\nst.param.b32 [a], %r0;\ncall (b), mix, (a);\nld.param.b32 %r1, [b];\n}\n"
    "{\n.param .b32 a;\n.param .b32 b;\nst.param.b32 [a], %r1;\ncall (b), local, (a);\nld.param.b32 %r1, [b];\n}\n"
    "ld.global.u32 %r2, [own];\nadd.u32 %r1, %r1, %r2;\nld.global.u32 %r2, [factor];\nadd.u32 %r1, %r1, %r2;\n"
    "mul.wide.u32 %d1, %r0, 4;\nadd.s64 %d0, %d0, %d1;\nst.global.u32 [%d0], %r1;\nret;\n}\n";

/* mix(x) = local(x) + own, with names that the other has too. */
static const char maker[] = HEAD
    ".visible .global .align 4 .u32 factor = 20000;\n"
    ".global .align 4 .u32 own = 3;\n"
    ".visible .global .align 8 .u64 where = own;\n"
    ".func (.param .b32 result) local (.param .b32 x)\n{\n.reg .b32 %r<3>;\nld.param.u32 %r0, [x];\nshl.b32 %r0, %r0, 4;\nst.param.b32 [result], %r0;\nret;\n}\n"
    ".visible .func (.param .b32 result) mix (.param .b32 x)\n{\n.reg .b32 %r<4>;\n.reg .b64 %d<2>;\nld.param.u32 %r0, [x];\n"
    "{\n.param .b32 a;\n.param .b32 b;\nst.param.b32 [a], %r0;\ncall (b), local, (a);\nld.param.b32 %r0, [b];\n}\n"
    "ld.global.u64 %d0, [where];\nld.global.u32 %r1, [%d0];\nadd.u32 %r0, %r0, %r1;\nst.param.b32 [result], %r0;\nret;\n}\n";

static void check(CUmodule module) {
    CUfunction apply;
    CUdeviceptr out, factor;
    int values[COUNT], changed = 50000;
    CHECK(cuModuleGetFunction(&apply, module, "apply"));
    CHECK(cuMemAlloc_v2(&out, sizeof values));
    void *params[] = {&out};
    CHECK(launch(apply, 1, COUNT, NULL, params));
    CHECK(cuMemcpyDtoH_v2(values, out, sizeof values));
    for (int i = 0; i < COUNT; i++) EXPECT(values[i] == 16 * i + 3 + 1 + 1000 + 20000);
    CHECK(cuModuleGetGlobal_v2(&factor, NULL, module, "factor"));
    CHECK(cuMemcpyHtoD_v2(factor, &changed, sizeof changed));
    CHECK(launch(apply, 1, COUNT, NULL, params));
    CHECK(cuMemcpyDtoH_v2(values, out, sizeof values));
    for (int i = 0; i < COUNT; i++) EXPECT(values[i] == 16 * i + 3 + 1 + 1000 + 50000);
    CHECK(cuMemFree_v2(out));
}

static void add(CUlinkState state, const char *text) {
    CHECK(cuLinkAddData_v2(state, PTX, (void *)(uintptr_t)text, strlen(text) + 1, "part", 0, NULL, NULL));
}

int main(void) {
    char log[500] = "", path[] = "/tmp/sluice-link-XXXXXX";
    int options[] = {5, 6}; /* The log of errors, and its size. */
    void *values[] = {log, (void *)sizeof log}, *image;
    size_t bytes;
    CUlinkState state;
    CUmodule module;
    start();
    CHECK(cuLinkCreate_v2(0, NULL, NULL, &state));
    add(state, user);
    add(state, maker);
    CHECK(cuLinkComplete(state, &image, &bytes));
    EXPECT(bytes > 0);
    CHECK(cuModuleLoadData(&module, image));
    CHECK(cuLinkDestroy(state));
    check(module);
    CHECK(cuModuleUnload(module));
    /* The other way round, one of them from a file. */
    int file = mkstemp(path);
    EXPECT(file >= 0 && write(file, user, strlen(user)) == (ssize_t)strlen(user));
    close(file);
    CHECK(cuLinkCreate_v2(0, NULL, NULL, &state));
    add(state, maker);
    CHECK(cuLinkAddFile_v2(state, PTX, path, 0, NULL, NULL));
    unlink(path);
    CHECK(cuLinkComplete(state, &image, &bytes));
    CHECK(cuModuleLoadData(&module, image));
    check(module);
    CHECK(cuModuleUnload(module));
    CHECK(cuLinkDestroy(state));
    /* A variable that is nowhere, and one that is there twice: told at the end, in the log. */
    CHECK(cuLinkCreate_v2(2, options, values, &state));
    add(state, user);
    EXPECT(cuLinkComplete(state, &image, &bytes) != CUDA_SUCCESS && (strstr(log, "factor") != NULL || strstr(log, "mix") != NULL));
    EXPECT((size_t)values[1] == strlen(log));
    CHECK(cuLinkDestroy(state));
    log[0] = '\0';
    values[1] = (void *)sizeof log;
    CHECK(cuLinkCreate_v2(2, options, values, &state));
    add(state, maker);
    add(state, maker);
    EXPECT(cuLinkComplete(state, &image, &bytes) != CUDA_SUCCESS && strlen(log) > 0);
    CHECK(cuLinkDestroy(state));
    CHECK_FAILS(cuLinkDestroy(state), CUDA_ERROR_INVALID_HANDLE);
    /* The context is as good as before. */
    CHECK(cuCtxSynchronize());
    printf("ok\n");
    return 0;
}
