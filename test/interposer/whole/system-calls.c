/* Managed memory that goes to system calls after a launch: with SLUICE_MANAGED=whole they find it, and what they write to it is seen. */
#include <stdint.h>
#include <unistd.h>

#include "../driver/driver.h"

enum { COUNT = 50000, BYTES = COUNT * 4 };

int main(void) {
    char path[] = "/tmp/sluice-managed-XXXXXX";
    int count = COUNT, file = mkstemp(path);
    CUdeviceptr managed;
    CUmodule module;
    unlink(path);
    start();
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuMemAllocManaged(&managed, BYTES, 1));
    int *values = (int *)(uintptr_t)managed;
    void *params[] = {&managed, &count};
    for (int turn = 1; turn <= 4; turn++) {
        if (turn > 1) EXPECT(lseek(file, 0, SEEK_SET) == 0 && read(file, values, BYTES) == BYTES);
        CHECK(launch(add_one, 8, 128, NULL, params));
        CHECK(cuCtxSynchronize());
        EXPECT(lseek(file, 0, SEEK_SET) == 0 && write(file, values, BYTES) == BYTES);
        for (int i = 0; i < COUNT; i++) EXPECT(values[i] == turn);
    }
    printf("ok\n");
    return 0;
}
