/* What the programs in this folder share: prototypes of the CUDA driver API, and stopping at the first call that fails. */
#ifndef TEST_DRIVER_H
#define TEST_DRIVER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../client/interposer/driver/cuda-api.h"

CUresult cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice device);
CUresult cuCtxDestroy_v2(CUcontext context);
CUresult cuCtxPushCurrent_v2(CUcontext context);
CUresult cuCtxPopCurrent_v2(CUcontext *context);
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device);
CUresult cuModuleLoadData(CUmodule *module, const void *image);
CUresult cuModuleUnload(CUmodule module);
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name);
CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule module, const char *name);
CUresult cuModuleGetFunctionCount(unsigned int *count, CUmodule module);
CUresult cuMemcpyDtoD_v2(CUdeviceptr destination, CUdeviceptr source, size_t bytes);
CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *copy);
CUresult cuMemsetD8_v2(CUdeviceptr address, unsigned char value, size_t count);
CUresult cuMemsetD16_v2(CUdeviceptr address, unsigned short value, size_t count);
CUresult cuMemsetD32_v2(CUdeviceptr address, unsigned int value, size_t count);
CUresult cuMemsetD2D32_v2(CUdeviceptr address, size_t pitch, unsigned int value, size_t width, size_t height);
CUresult cuMemsetD32Async(CUdeviceptr address, unsigned int value, size_t count, CUstream stream);
CUresult cuStreamCreate(CUstream *stream, unsigned int flags);
CUresult cuStreamGetCtx(CUstream stream, CUcontext *context);
CUresult cuMemAllocHost_v2(void **pointer, size_t bytes);
CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device);
CUresult cuMemPoolGetAttribute(CUmemoryPool pool, int attribute, void *value);
CUresult cuOccupancyMaxPotentialBlockSize(int *grid, int *block, CUfunction function, size_t (*to_shared)(int), size_t shared, int limit);

/* Ends the program with the call and its error when the call fails. */
#define CHECK(call)                                                                                                                     \
    do {                                                                                                                                \
        CUresult check_result = (call);                                                                                                 \
        if (check_result != CUDA_SUCCESS) fail_call(#call, check_result, __LINE__);                                                     \
    } while (0)

/* Ends the program unless the call fails with just this error. */
#define CHECK_FAILS(call, error)                                                                                                        \
    do {                                                                                                                                \
        CUresult check_result = (call);                                                                                                 \
        if (check_result != (error)) fail_call(#call " should be " #error, check_result, __LINE__);                                     \
    } while (0)

#define EXPECT(condition)                                                                                                               \
    do {                                                                                                                                \
        if (!(condition)) {                                                                                                             \
            printf("line %d: %s does not hold\n", __LINE__, #condition);                                                                \
            exit(1);                                                                                                                    \
        }                                                                                                                               \
    } while (0)

static inline void fail_call(const char *call, CUresult result, int line) {
    const char *name = NULL;
    cuGetErrorName(result, &name);
    printf("line %d: %s: %d %s\n", line, call, result, name == NULL ? "?" : name);
    exit(1);
}

/* The primary context of the first device, current. */
static inline CUcontext start(void) {
    CUdevice device;
    CUcontext context;
    CHECK(cuInit(0));
    CHECK(cuDeviceGet(&device, 0));
    CHECK(cuDevicePrimaryCtxRetain(&context, device));
    CHECK(cuCtxSetCurrent(context));
    return context;
}

static inline CUfunction load(const char *ptx, const char *name, CUmodule *module) {
    CUfunction function;
    CHECK(cuModuleLoadData(module, ptx));
    CHECK(cuModuleGetFunction(&function, *module, name));
    return function;
}

static inline CUresult launch(CUfunction function, unsigned int grid, unsigned int block, CUstream stream, void **params) {
    return cuLaunchKernel(function, grid, 1, 1, block, 1, 1, 0, stream, params, NULL);
}

#define PTX_HEADER ".version 6.4\n.target sm_50\n.address_size 64\n"

/* add_one(int *data, int count): every element, by a grid-stride loop. */
#define PTX_ADD_ONE                                                                                                                     \
    PTX_HEADER ".visible .entry add_one(.param .u64 data, .param .u32 count)\n{\n"                                                      \
               ".reg .pred %p<2>;\n.reg .b32 %r<8>;\n.reg .b64 %d<4>;\n"                                                                \
               "ld.param.u64 %d0, [data];\nld.param.u32 %r0, [count];\ncvta.to.global.u64 %d0, %d0;\n"                                  \
               "mov.u32 %r1, %ctaid.x;\nmov.u32 %r2, %ntid.x;\nmov.u32 %r3, %tid.x;\nmov.u32 %r4, %nctaid.x;\n"                         \
               "mad.lo.s32 %r5, %r1, %r2, %r3;\nmul.lo.s32 %r4, %r4, %r2;\n"                                                            \
               "again:\nsetp.ge.s32 %p0, %r5, %r0;\n@%p0 bra done;\n"                                                                   \
               "mul.wide.s32 %d1, %r5, 4;\nadd.s64 %d2, %d0, %d1;\nld.global.u32 %r6, [%d2];\nadd.s32 %r6, %r6, 1;\n"                   \
               "st.global.u32 [%d2], %r6;\nadd.s32 %r5, %r5, %r4;\nbra again;\ndone:\nret;\n}\n"

#endif
