/* Touches managed memory that a kernel may have changed until the lease ends: that must end the program, never show old bytes. */
#include <stdint.h>

#include "../driver/driver.h"

int main(void) {
    CUmodule module;
    CUdeviceptr managed;
    int count = 16, seen = 0;
    start();
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuMemAllocManaged(&managed, 64, 1));
    void *params[] = {&managed, &count};
    printf("working\n");
    fflush(stdout);
    for (;;) {
        launch(add_one, 1, 16, NULL, params);
        seen += *(volatile int *)(uintptr_t)managed;
    }
    return seen;
}
