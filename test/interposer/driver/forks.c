/* After fork the child has no CUDA, and the parent goes on as before. */
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

int main(void) {
    CUmodule module;
    CUdeviceptr d;
    int count = 8, values[8], status;
    start();
    CUfunction add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuMemAlloc_v2(&d, sizeof values));
    CHECK(cuMemsetD32_v2(d, 1, 8));
    pid_t child = fork();
    if (child == 0) {
        CUresult launched = cuMemsetD32_v2(d, 99, 8), initialised = cuInit(0);
        _exit(launched == CUDA_ERROR_NOT_INITIALIZED && initialised == CUDA_ERROR_NOT_INITIALIZED ? 7 : 8);
    }
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    child = fork();
    if (child == 0) exit(9); /* With the library's own end. */
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 9);
    void *params[] = {&d, &count};
    CHECK(launch(add_one, 1, 8, NULL, params));
    CHECK(cuMemcpyDtoH_v2(values, d, sizeof values));
    for (int i = 0; i < 8; i++) EXPECT(values[i] == 2);
    printf("ok\n");
    return 0;
}
