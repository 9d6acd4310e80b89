/* Several threads at once: each with a stream and memory of its own, waiting and copying while the others do. */
#include <pthread.h>

#include "driver.h"

enum { THREADS = 6, COUNT = 3000, TURNS = 30 };

static CUcontext context;
static CUfunction add_one;

static void *work(void *argument) {
    int *values = calloc(COUNT, sizeof *values), count = COUNT, start_value = (int)(size_t)argument * 1000;
    CUdeviceptr d;
    CUstream stream;
    CHECK(cuCtxSetCurrent(context));
    CHECK(cuStreamCreate(&stream, 1));
    CHECK(cuMemAlloc_v2(&d, COUNT * 4));
    CHECK(cuMemsetD32Async(d, (unsigned int)start_value, COUNT, stream));
    void *params[] = {&d, &count};
    for (int turn = 1; turn <= TURNS; turn++) {
        CHECK(launch(add_one, 4, 128, stream, params));
        if (turn % 3 == 0) CHECK(cuStreamSynchronize(stream));
        CHECK(cuMemcpyDtoHAsync_v2(values, d, COUNT * 4, stream));
        CHECK(cuStreamSynchronize(stream));
        for (int i = 0; i < COUNT; i++) EXPECT(values[i] == start_value + turn);
    }
    CHECK(cuMemFree_v2(d));
    CHECK(cuStreamDestroy_v2(stream));
    free(values);
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    CUmodule module;
    context = start();
    add_one = load(PTX_ADD_ONE, "add_one", &module);
    for (size_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)i);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(cuCtxSynchronize());
    printf("ok\n");
    return 0;
}
