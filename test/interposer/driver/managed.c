/* Managed memory through the driver API: turns of host and device, parts of it, and a program's own handler of faults beside it. */
#include "driver.h"

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>

enum { COUNT = 300000 };

static sigjmp_buf back;
static void on_own_fault(int signal_number) { siglongjmp(back, signal_number); }

static volatile int later_faults;
static void on_later_fault(int signal_number) {
    later_faults++;
    siglongjmp(back, signal_number);
}

int main(void) {
    int count = COUNT, *volatile nowhere = (int *)16;
    unsigned is_managed = 0;
    CUdeviceptr managed, plain, nothing;
    CUmodule module;
    CUstream stream;
    int *values, copy;
    struct sigaction action = {.sa_handler = on_own_fault};
    sigaction(SIGSEGV, &action, NULL);
    start();
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuStreamCreate(&stream, 1));
    CHECK(cuMemAllocManaged(&managed, sizeof(int) * COUNT, 1));
    CHECK(cuMemAlloc_v2(&plain, sizeof(int) * COUNT));
    CHECK_FAILS(cuMemAllocManaged(&nothing, 4, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_FAILS(cuMemAllocManaged(&nothing, 0, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuPointerGetAttribute(&is_managed, 8, managed + 8));
    EXPECT(is_managed == 1);
    CHECK(cuPointerGetAttribute(&is_managed, 8, plain));
    EXPECT(is_managed == 0);
    CUdeviceptr base = 0;
    size_t bytes = 0;
    CHECK(cuMemGetAddressRange_v2(&base, &bytes, managed + 100));
    EXPECT(base == managed && bytes == sizeof(int) * COUNT);
    values = (int *)(uintptr_t)managed;
    for (int i = 0; i < COUNT; i++) values[i] = i;
    void *params[] = {&managed, &count};
    for (int turn = 1; turn <= 3; turn++) {
        CHECK(launch(add_one, 16, 128, stream, params));
        CHECK(launch(add_one, 16, 128, stream, params));
        CHECK(cuStreamSynchronize(stream));
        EXPECT(values[COUNT - 1] == COUNT - 1 + 2 * turn && values[0] == 3 * turn - 1);
        values[0]++;
    }
    for (int i = COUNT - 1; i > 0; i--) EXPECT(values[i] == i + 6);
    CHECK(cuMemcpyDtoD_v2(plain, managed, sizeof(int) * COUNT));
    values[5] = -5;
    CHECK(cuMemcpyDtoH_v2(&copy, plain + 5 * sizeof(int), sizeof copy));
    EXPECT(copy == 11);
    CHECK(cuMemcpyDtoH_v2(&copy, managed + 5 * sizeof(int), sizeof copy));
    EXPECT(copy == -5);
    CHECK(cuMemsetD32_v2(managed, 9, 2));
    EXPECT(values[0] == 9 && values[1] == 9 && values[2] == 8 && values[5] == -5);
    if (sigsetjmp(back, 1) == 0) {
        *nowhere = 1;
        EXPECT(!"a store to nowhere comes through");
    }
    /* A handler that comes later gets its faults as well, and takes none of the others. */
    action.sa_handler = on_later_fault;
    sigaction(SIGSEGV, &action, NULL);
    CHECK(launch(add_one, 16, 128, stream, params));
    CHECK(cuStreamSynchronize(stream));
    EXPECT(values[0] == 10 && values[5] == -4 && later_faults == 0);
    if (sigsetjmp(back, 1) == 0) {
        *nowhere = 1;
        EXPECT(!"a store to nowhere comes through");
    }
    EXPECT(later_faults == 1);
    CHECK(cuStreamAttachMemAsync(stream, managed, 0, 4));
    CHECK_FAILS(cuStreamAttachMemAsync(stream, plain, 0, 4), CUDA_ERROR_INVALID_VALUE);
    CHECK(cuMemFree_v2(managed));
    CHECK_FAILS(cuMemFree_v2(managed), CUDA_ERROR_INVALID_VALUE);
    if (sigsetjmp(back, 1) == 0) {
        values[0] = 1;
        EXPECT(!"freed managed memory is there");
    }
    CHECK(cuMemFree_v2(plain));
    printf("ok\n");
    return 0;
}
