/* A module with a kernel that the device cannot run: looking it up works, using it fails at once, and everything else goes on. */
#include "../driver/driver.h"

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function, int block_size, size_t shared_bytes);
CUresult cuFuncIsLoaded(int *state, CUfunction function);
CUresult cuFuncLoad(CUfunction function);
CUresult cuStreamBeginCapture_v2(CUstream stream, int mode);
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph);

static const char ptx[] = PTX_HEADER ".visible .entry set(.param .u64 p)\n{\n.reg .b64 %d<1>;\n"
                                     "ld.param.u64 %d0, [p];\nst.global.u32 [%d0], 7;\nret;\n}\n"
                                     ".visible .entry lacking(.param .u64 p)\n{\nfrobnicate.u32 1;\nret;\n}\n";

int main(void) {
    CUmodule module;
    CUfunction lacking;
    CUstream stream;
    CUgraph graph;
    CUdeviceptr d;
    CUlibrary library;
    CUkernel kernel;
    int value, state, blocks;
    size_t offset, size;
    const char *name;
    start();
    CUfunction set = load(ptx, "set", &module);
    CHECK(cuModuleGetFunction(&lacking, module, "lacking"));
    CHECK(cuFuncGetName(&name, lacking));
    EXPECT(strcmp(name, "lacking") == 0);
    CHECK(cuFuncGetParamInfo(lacking, 0, &offset, &size));
    EXPECT(offset == 0 && size == 8);
    CHECK(cuFuncIsLoaded(&state, set));
    EXPECT(state == 1);
    CHECK(cuFuncIsLoaded(&state, lacking));
    EXPECT(state == 0);
    CHECK_FAILS(cuFuncLoad(lacking), CUDA_ERROR_NO_BINARY_FOR_GPU);
    CHECK_FAILS(cuFuncGetAttribute(&value, 0, lacking), CUDA_ERROR_NO_BINARY_FOR_GPU);
    CHECK_FAILS(cuFuncSetAttribute(lacking, 8, 1024), CUDA_ERROR_NO_BINARY_FOR_GPU);
    CHECK_FAILS(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, lacking, 32, 0), CUDA_ERROR_NO_BINARY_FOR_GPU);

    CHECK(cuMemAlloc_v2(&d, 4));
    CHECK(cuMemsetD32_v2(d, 1, 1));
    void *params[] = {&d};
    CHECK_FAILS(launch(lacking, 1, 1, NULL, params), CUDA_ERROR_NO_BINARY_FOR_GPU);
    CHECK(cuCtxSynchronize());
    CHECK(launch(set, 1, 1, NULL, params));
    CHECK_FAILS(launch(lacking, 1, 1, NULL, params), CUDA_ERROR_NO_BINARY_FOR_GPU);
    CHECK(cuMemcpyDtoH_v2(&value, d, 4));
    EXPECT(value == 7);

    CHECK(cuStreamCreate(&stream, 0));
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    CHECK_FAILS(launch(lacking, 1, 1, stream, params), CUDA_ERROR_NO_BINARY_FOR_GPU);
    cuStreamEndCapture(stream, &graph);

    CHECK(cuLibraryLoadData(&library, ptx, NULL, NULL, 0, NULL, NULL, 0));
    CHECK(cuLibraryGetKernel(&kernel, library, "lacking"));
    CHECK_FAILS(launch((CUfunction)kernel, 1, 1, NULL, params), CUDA_ERROR_NO_BINARY_FOR_GPU);
    CHECK(cuCtxSynchronize());
    printf("ok\n");
    return 0;
}
