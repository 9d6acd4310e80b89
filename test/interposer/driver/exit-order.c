/* Calls from a handler that runs at the very end, and an end with work under way and nothing waited for: neither hangs nor crashes. */
#include "driver.h"

static CUdeviceptr d;

static void at_end(void) {
    CUresult result = cuMemFree_v2(d);
    printf(result == CUDA_SUCCESS || result == CUDA_ERROR_DEINITIALIZED ? "ok\n" : "bad\n");
    fflush(stdout);
}

int main(void) {
    CUmodule module;
    int count = 1 << 20;
    atexit(at_end);
    start();
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuMemAlloc_v2(&d, 4 << 20));
    void *params[] = {&d, &count};
    for (int i = 0; i < 20; i++) CHECK(launch(add_one, 256, 256, NULL, params));
    return 0;
}
