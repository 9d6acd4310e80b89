/*
 * Has a session until its input ends, and works at both ends of that. Prints `ready PROCESS` and `ok`. With a command as its argument it
 * runs that meanwhile, with nothing for its input, and exits as it does.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "../driver/driver.h"

static void work(CUfunction add_one, CUdeviceptr d, int expected) {
    int count = 8, values[8];
    void *params[] = {&d, &count};
    CHECK(launch(add_one, 1, 8, NULL, params));
    CHECK(cuMemcpyDtoH_v2(values, d, sizeof values));
    for (int i = 0; i < 8; i++) EXPECT(values[i] == expected);
}

int main(int argc, char **argv) {
    CUmodule module;
    CUdeviceptr d;
    int devices = 0, status = 0;
    char byte;
    start();
    CHECK(cuDeviceGetCount(&devices));
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuMemAlloc_v2(&d, 32));
    CHECK(cuMemsetD32_v2(d, (unsigned)getpid(), 8));
    work(add_one, d, getpid() + 1);
    printf("ready %d devices %d\n", (int)getpid(), devices);
    fflush(stdout);
    if (argc > 1) status = system(argv[1]);
    while (argc == 1 && read(STDIN_FILENO, &byte, 1) > 0) continue;
    work(add_one, d, getpid() + 2);
    printf("ok\n");
    return WEXITSTATUS(status);
}
