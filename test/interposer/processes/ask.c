/*
 * Asks for a session as many times as its first argument says, and prints each answer and the tenths of a second that it took. Then asks for
 * the devices that the others name.
 */
#include <time.h>

#include "../driver/driver.h"

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
    CUresult result = CUDA_SUCCESS;
    for (int i = 0; i < (argc > 1 ? atoi(argv[1]) : 1); i++) {
        double began = now();
        result = cuInit(0);
        printf("%d after %.1f s\n", result, now() - began);
        fflush(stdout);
    }
    for (int i = 2; i < argc; i++) {
        CUdevice device;
        printf("device %s: %d\n", argv[i], cuDeviceGet(&device, atoi(argv[i])));
    }
    return result == CUDA_SUCCESS ? 0 : 3;
}
