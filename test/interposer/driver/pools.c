/* Stream-ordered memory: reuse keeps the order of work, and what is freed can be had again. */
#include "driver.h"

enum { COUNT = 1 << 18, TURNS = 40 };

int main(void) {
    static int values[COUNT];
    CUmodule module;
    CUstream first, second;
    CUmemoryPool pool;
    CUdeviceptr d;
    unsigned long long used;
    size_t before, after;
    int count = COUNT;
    start();
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuDeviceGetDefaultMemPool(&pool, 0));
    CHECK(cuMemPoolGetAttribute(pool, 7, &used));
    CHECK(cuStreamCreate(&first, 1));
    CHECK(cuStreamCreate(&second, 1));
    CHECK(cuMemGetInfo_v2(&before, NULL));
    for (int turn = 0; turn < TURNS; turn++) {
        CUstream stream = turn % 2 == 0 ? first : second;
        CHECK(cuMemAllocAsync(&d, sizeof values, stream));
        CHECK(cuMemsetD32Async(d, (unsigned int)turn, COUNT, stream));
        void *params[] = {&d, &count};
        CHECK(launch(add_one, 64, 256, stream, params));
        if (turn % 10 == 9) {
            CHECK(cuMemcpyDtoHAsync_v2(values, d, sizeof values, stream));
            CHECK(cuStreamSynchronize(stream));
            for (int i = 0; i < COUNT; i++) EXPECT(values[i] == turn + 1);
        }
        CHECK(cuMemFreeAsync(d, stream));
    }
    CHECK(cuCtxSynchronize());
    CHECK(cuMemGetInfo_v2(&after, NULL));
    EXPECT(after >= before || before - after <= ((size_t)TURNS * sizeof values));
    CHECK(cuMemAlloc_v2(&d, sizeof values));
    CHECK(cuMemFree_v2(d));
    CHECK(cuStreamDestroy_v2(first));
    CHECK(cuStreamDestroy_v2(second));
    printf("ok\n");
    return 0;
}
