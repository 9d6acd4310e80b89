/* Streams and events: order within a stream, waiting across streams, queries, times and callbacks. */
#include "driver.h"

enum { COUNT = 4096, TURNS = 50 };

static void count_call(void *user_data) {
    ++*(int *)user_data;
}

int main(void) {
    static int values[COUNT];
    CUmodule module;
    CUdeviceptr d;
    CUstream first, second;
    CUevent begin, end, quiet;
    CUcontext context = start(), owner;
    int count = COUNT, calls = 0, priority, least, greatest;
    unsigned int flags;
    float milliseconds;
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuStreamCreate(&first, 0));
    CHECK(cuStreamCreateWithPriority(&second, 1, -1));
    CHECK(cuStreamGetFlags(second, &flags));
    EXPECT(flags == 1);
    CHECK(cuStreamGetPriority(second, &priority));
    CHECK(cuCtxGetStreamPriorityRange(&least, &greatest));
    EXPECT(priority <= least && priority >= greatest);
    CHECK(cuStreamGetCtx(first, &owner));
    EXPECT(owner == context);
    CHECK(cuEventCreate(&begin, 0));
    CHECK(cuEventCreate(&end, 0));
    CHECK(cuEventCreate(&quiet, 2));
    CHECK(cuEventQuery(begin));
    CHECK(cuMemAlloc_v2(&d, sizeof values));
    void *params[] = {&d, &count};
    CHECK(cuMemsetD32Async(d, 0, COUNT, first));
    CHECK(cuEventRecord(begin, first));
    for (int turn = 0; turn < TURNS; turn++) {
        CUstream here = turn % 2 == 0 ? first : second, there = turn % 2 == 0 ? second : first;
        CHECK(launch(add_one, 16, 256, here, params));
        CHECK(cuEventRecord(quiet, here));
        CHECK(cuStreamWaitEvent(there, quiet, 0));
    }
    CHECK(cuEventRecord(end, first));
    CHECK(cuLaunchHostFunc(first, count_call, &calls));
    CHECK(cuMemcpyDtoHAsync_v2(values, d, sizeof values, first));
    CHECK(cuStreamSynchronize(first));
    CHECK(cuStreamSynchronize(second));
    EXPECT(calls == 1);
    for (int i = 0; i < COUNT; i++) EXPECT(values[i] == TURNS);
    CHECK(cuStreamQuery(first));
    CHECK(cuEventSynchronize(end));
    CHECK(cuEventQuery(end));
    CHECK(cuEventElapsedTime_v2(&milliseconds, begin, end));
    EXPECT(milliseconds >= 0);
    CHECK_FAILS(cuEventElapsedTime_v2(&milliseconds, begin, quiet), CUDA_ERROR_INVALID_HANDLE);
    CHECK(cuStreamDestroy_v2(first));
    CHECK(cuStreamDestroy_v2(second));
    CHECK(cuEventDestroy_v2(begin));
    CHECK(cuEventDestroy_v2(end));
    CHECK(cuEventDestroy_v2(quiet));
    CHECK(cuCtxSynchronize());
    printf("ok\n");
    return 0;
}
