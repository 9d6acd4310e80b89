/* With SLUICE_MAP_HOST_MEMORY=1 a kernel reaches page-locked memory that was allocated without a flag. */
#include "../driver/driver.h"

static const char ptx[] = PTX_HEADER
    ".visible .entry count(.param .u64 p)\n{\n.reg .b64 %rd<2>;\n.reg .b32 %r<3>;\n"
    "ld.param.u64 %rd0, [p];\nld.global.u32 %r0, [%rd0];\nadd.u32 %r1, %r0, 1;\nst.global.u32 [%rd0+4], %r1;\nret;\n}\n";

int main(void) {
    CUmodule module;
    void *pointer;
    start();
    CUfunction count = load(ptx, "count", &module);
    CHECK(cuMemAllocHost_v2(&pointer, 64));
    volatile unsigned int *words = pointer;
    for (unsigned int round = 5; round < 8; round++) {
        void *params[] = {&pointer};
        words[0] = round;
        CHECK(launch(count, 1, 1, NULL, params));
        CHECK(cuCtxSynchronize());
        EXPECT(words[1] == round + 1);
    }
    CHECK(cuMemFreeHost(pointer));
    printf("ok\n");
    return 0;
}
