/* Works until a call fails, in one of several ways, then says which error it was and how long the failing call took. */
#include <time.h>

#include "../driver/driver.h"

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
    static char bytes[1 << 20];
    CUmodule module;
    CUdeviceptr d;
    int count = 16;
    const char *way = argc > 1 ? argv[1] : "wait";
    start();
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuMemAlloc_v2(&d, sizeof bytes));
    void *params[] = {&d, &count};
    printf("working\n");
    fflush(stdout);
    for (;;) {
        double began = now();
        CUresult result = launch(add_one, 1, 16, NULL, params);
        if (result == CUDA_SUCCESS && strcmp(way, "wait") == 0) result = cuCtxSynchronize();
        if (result == CUDA_SUCCESS && strcmp(way, "read") == 0) result = cuMemcpyDtoH_v2(bytes, d, sizeof bytes);
        if (result == CUDA_SUCCESS && strcmp(way, "write") == 0) result = cuMemcpyHtoD_v2(d, bytes, sizeof bytes);
        if (result == CUDA_SUCCESS) continue;
        const char *name = NULL;
        cuGetErrorName(result, &name);
        CUresult again = cuCtxSynchronize();
        printf("%s again %d after %.1f s\n", name, again == result, now() - began);
        return 3;
    }
}
