/* Loads the image of the file that the first argument names, and adds one to numbers by its kernel. */
#include "../driver/driver.h"

CUresult cuModuleLoad(CUmodule *module, const char *path);

enum { COUNT = 1000 };

int main(int argc, char **argv) {
    int numbers[COUNT], count = COUNT;
    CUmodule module;
    CUfunction add_one;
    CUdeviceptr d;
    EXPECT(argc == 2);
    for (int i = 0; i < COUNT; i++) numbers[i] = i * i;
    start();
    CHECK(cuModuleLoad(&module, argv[1]));
    CHECK(cuModuleGetFunction(&add_one, module, "add_one"));
    CHECK(cuMemAlloc_v2(&d, sizeof numbers));
    CHECK(cuMemcpyHtoD_v2(d, numbers, sizeof numbers));
    void *params[] = {&d, &count};
    CHECK(launch(add_one, (COUNT + 127) / 128, 128, NULL, params));
    CHECK(cuMemcpyDtoH_v2(numbers, d, sizeof numbers));
    for (int i = 0; i < COUNT; i++) EXPECT(numbers[i] == i * i + 1);
    CHECK(cuMemFree_v2(d));
    CHECK(cuModuleUnload(module));
    printf("ok\n");
    return 0;
}
