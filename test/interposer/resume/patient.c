/*
 * Says `begun` and then, as soon as the file that the first argument names is there, what becomes of one answered call and how long it took; with
 * `leave` behind it, it ends instead, by returning from main.
 */
#include <time.h>
#include <unistd.h>

#include "../driver/driver.h"

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    CUdeviceptr d;
    int value = 7, back = 0;
    start();
    CHECK(cuMemAlloc_v2(&d, sizeof value));
    CHECK(cuMemcpyHtoD_v2(d, &value, sizeof value));
    CHECK(cuCtxSynchronize());
    printf("begun\n");
    fflush(stdout);
    while (access(argv[1], F_OK) != 0) usleep(1000);
    if (argc > 2 && strcmp(argv[2], "leave") == 0) return 0;
    double began = seconds();
    CUresult result = cuMemcpyDtoH_v2(&back, d, sizeof back);
    const char *name = NULL;
    cuGetErrorName(result, &name);
    printf("%s %d after %.1f s\n", name, back, seconds() - began);
    return result == CUDA_SUCCESS ? 0 : 3;
}
