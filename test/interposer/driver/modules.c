/* Modules, libraries and single-image links: kernels by name, variables by address, and handles after their end. */
#include "driver.h"

CUresult cuLinkCreate_v2(unsigned int count, int *options, void **values, CUlinkState *state);
CUresult cuLinkAddData_v2(CUlinkState state, int type, void *data, size_t bytes, const char *name, unsigned int count, int *options, void **values);
CUresult cuLinkComplete(CUlinkState state, void **image, size_t *bytes);
CUresult cuLinkDestroy(CUlinkState state);
CUresult cuKernelGetLibrary(CUlibrary *library, CUkernel kernel);

static const char ptx[] = PTX_HEADER
    ".visible .global .align 4 .u32 total = 5;\n.visible .const .align 4 .u32 factor[2];\n"
    ".visible .entry scale(.param .u32 x)\n{\n.reg .b32 %r<5>;\n"
    "ld.param.u32 %r0, [x];\nld.const.u32 %r1, [factor+4];\nld.global.u32 %r2, [total];\n"
    "mad.lo.s32 %r3, %r0, %r1, %r2;\nst.global.u32 [total], %r3;\nret;\n}\n"
    ".visible .entry nothing()\n{\nret;\n}\n";

static void run(CUfunction scale, CUdeviceptr total, CUdeviceptr factor) {
    unsigned int x = 7, result, factors[2] = {0, 3};
    void *params[] = {&x};
    CHECK(cuMemcpyHtoD_v2(factor, factors, sizeof factors));
    CHECK(launch(scale, 1, 1, NULL, params));
    CHECK(cuMemcpyDtoH_v2(&result, total, 4));
    EXPECT(result == 26);
}

int main(void) {
    CUmodule module;
    CUdeviceptr total, factor;
    CUfunction function;
    CUlibrary library, owner;
    CUkernel kernel;
    CUlinkState link;
    const char *name;
    size_t bytes, offset, size;
    unsigned int count;
    void *linked;
    start();
    CUfunction scale = load(ptx, "scale", &module);
    CHECK(cuModuleGetFunctionCount(&count, module));
    EXPECT(count == 2);
    CHECK(cuModuleGetGlobal_v2(&total, &bytes, module, "total"));
    EXPECT(bytes == 4);
    CHECK(cuModuleGetGlobal_v2(&factor, &bytes, module, "factor"));
    EXPECT(bytes == 8);
    CHECK_FAILS(cuModuleGetGlobal_v2(&total, &bytes, module, "nowhere"), CUDA_ERROR_NOT_FOUND);
    CHECK(cuFuncGetParamInfo(scale, 0, &offset, &size));
    EXPECT(offset == 0 && size == 4);
    CHECK_FAILS(cuFuncGetParamInfo(scale, 1, &offset, &size), CUDA_ERROR_INVALID_VALUE);
    run(scale, total, factor);
    CHECK(cuModuleUnload(module));

    CHECK(cuLibraryLoadData(&library, ptx, NULL, NULL, 0, NULL, NULL, 0));
    CHECK(cuLibraryGetKernel(&kernel, library, "scale"));
    CHECK_FAILS(cuLibraryGetKernel(&kernel, library, "nowhere"), CUDA_ERROR_NOT_FOUND);
    CHECK(cuLibraryGetKernel(&kernel, library, "scale"));
    CHECK(cuKernelGetLibrary(&owner, kernel));
    EXPECT(owner == library);
    CHECK(cuKernelGetName(&name, kernel));
    EXPECT(strcmp(name, "scale") == 0);
    CHECK(cuLibraryGetGlobal(&total, NULL, library, "total"));
    CHECK(cuLibraryGetGlobal(&factor, NULL, library, "factor"));
    run((CUfunction)kernel, total, factor);
    CHECK(cuKernelGetFunction(&function, kernel));
    CHECK(cuLibraryUnload(library));

    CHECK(cuLinkCreate_v2(0, NULL, NULL, &link));
    CHECK(cuLinkAddData_v2(link, 1, (void *)ptx, sizeof ptx, "program", 0, NULL, NULL));
    CHECK(cuLinkComplete(link, &linked, &bytes));
    scale = load(linked, "scale", &module);
    CHECK(cuLinkDestroy(link));
    CHECK(cuModuleGetGlobal_v2(&total, NULL, module, "total"));
    CHECK(cuModuleGetGlobal_v2(&factor, NULL, module, "factor"));
    run(scale, total, factor);
    printf("ok\n");
    return 0;
}
