/* A kernel that touches what is not its own ends the context: the fault is told at the next wait, and by every call after it. */
#include "driver.h"

int main(void) {
    CUmodule module;
    CUdeviceptr d, wild = 0x10;
    int count = 4;
    start();
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuMemAlloc_v2(&d, 64));
    void *params[] = {&wild, &count};
    CHECK(launch(add_one, 1, 4, NULL, params));
    CHECK_FAILS(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK_FAILS(cuMemAlloc_v2(&d, 64), CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK_FAILS(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    params[0] = &d;
    CHECK_FAILS(launch(add_one, 1, 4, NULL, params), CUDA_ERROR_ILLEGAL_ADDRESS);
    printf("ok\n");
    return 0;
}
