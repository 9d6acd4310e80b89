/*
 * Eight threads work until their calls fail, each in its own way, and check what they read. Says how many failed, how many read a wrong
 * number, and how long the slowest of the failing calls took.
 */
#include <pthread.h>
#include <time.h>

#include "../driver/driver.h"

enum { THREADS = 8, BYTES = 1 << 18 };

static CUcontext context;
static CUfunction add_one;
static int wrong[THREADS];
static double seconds[THREADS];
static pthread_barrier_t ready;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

/* Fills the thread's memory with another number each turn, and does one of four things behind it. */
static CUresult turn(size_t index, CUdeviceptr memory, CUstream stream, unsigned char value) {
    static unsigned char into[THREADS][BYTES];
    int count = 1;
    void *params[] = {&memory, &count};
    CUresult result = cuMemsetD8Async(memory, value, BYTES, stream);
    if (result == CUDA_SUCCESS && index % 4 == 0) result = cuStreamSynchronize(stream);
    if (result == CUDA_SUCCESS && index % 4 == 1) result = launch(add_one, 1, 1, stream, params);
    if (result == CUDA_SUCCESS && index % 4 == 2) result = cuMemcpyHtoDAsync_v2(memory, into[index], BYTES, stream);
    if (result != CUDA_SUCCESS || index % 4 != 3) return result;
    result = cuMemcpyDtoHAsync_v2(into[index], memory, BYTES, stream);
    if (result == CUDA_SUCCESS) result = cuStreamSynchronize(stream);
    for (int i = 0; result == CUDA_SUCCESS && i < BYTES; i++) wrong[index] += into[index][i] != value;
    return result;
}

static void *work(void *argument) {
    size_t index = (size_t)argument;
    CUdeviceptr memory;
    CUstream stream;
    CHECK(cuCtxSetCurrent(context));
    CHECK(cuStreamCreate(&stream, 1));
    CHECK(cuMemAlloc_v2(&memory, BYTES));
    /* The end may come as soon as one of them works. */
    pthread_barrier_wait(&ready);
    for (unsigned char value = 1;; value++) {
        double began = now();
        CUresult result = turn(index, memory, stream, value);
        if (index == 0 && value == 3) {
            printf("working\n");
            fflush(stdout);
        }
        if (result == CUDA_SUCCESS) continue;
        seconds[index] = now() - began;
        return (void *)(size_t)(cuStreamSynchronize(stream) == result);
    }
}

int main(void) {
    pthread_t threads[THREADS];
    CUmodule module;
    int failed = 0, wrongs = 0;
    double slowest = 0;
    context = start();
    add_one = load(PTX_ADD_ONE, "add_one", &module);
    pthread_barrier_init(&ready, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)i);
    for (size_t i = 0; i < THREADS; i++) {
        void *stays;
        pthread_join(threads[i], &stays);
        failed += stays != NULL;
        wrongs += wrong[i];
        if (seconds[i] > slowest) slowest = seconds[i];
    }
    printf("%d failed, %d wrong, after %.1f s\n", failed, wrongs, slowest);
    return 3;
}
