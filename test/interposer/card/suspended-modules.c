/*
 * Modules whose variables have part of the slice's end, used all the time while others suspend the program's lease: values and addresses stay, those that
 * lie in memory too, and modules come and go in between. The kernel is one that the tests' stand-in for the driver knows by name.
 */
#include <stdint.h>
#include <unistd.h>

#include "../driver/driver.h"

enum { MODULES = 6, ROUNDS = 24, BYTES = 1 << 20 };

static const char image[] = PTX_HEADER ".visible .entry store_at(.param .u64 address, .param .u32 value) { ret; }\n"
                                       ".visible .global .align 4 .b8 large[30][1024][1024];\n";

static unsigned word_at(CUdeviceptr address) {
    unsigned value;
    CHECK(cuMemcpyDtoH_v2(&value, address, sizeof value));
    return value;
}

int main(void) {
    static unsigned char bytes[BYTES];
    CUfunction store[MODULES];
    CUmodule modules[MODULES], passing;
    CUdeviceptr variables[MODULES], table, buffer, found;
    size_t size, before, now, total;
    start();
    CHECK(cuMemGetInfo_v2(&before, &total));
    for (int i = 0; i < MODULES; i++) {
        store[i] = load(image, "store_at", &modules[i]);
        CHECK(cuModuleGetGlobal_v2(&variables[i], &size, modules[i], "large"));
    }
    CHECK(cuMemGetInfo_v2(&now, &total));
    EXPECT(before - now > 0);
    /* As a kernel would find them. */
    CHECK(cuMemAlloc_v2(&table, sizeof variables));
    CHECK(cuMemcpyHtoD_v2(table, variables, sizeof variables));
    for (unsigned round = 1; round <= ROUNDS; round++) {
        CHECK(cuMemcpyDtoH_v2(variables, table, sizeof variables));
        CHECK(cuMemAlloc_v2(&buffer, BYTES));
        CHECK(cuMemsetD8_v2(buffer, (unsigned char)round, BYTES));
        for (int i = 0; i < MODULES; i++) {
            if (round > 1) EXPECT(word_at(variables[i]) == (round - 1) * MODULES + (unsigned)i);
            unsigned value = round * MODULES + (unsigned)i;
            void *params[] = {&variables[i], &value};
            CHECK(launch(store[i], 1, 1, NULL, params));
            CHECK(cuModuleGetGlobal_v2(&found, &size, modules[i], "large"));
            EXPECT(found == variables[i]);
        }
        usleep(2000);
        CHECK(cuMemcpyDtoH_v2(bytes, buffer, BYTES));
        EXPECT(bytes[0] == (unsigned char)round && bytes[BYTES - 1] == (unsigned char)round);
        CHECK(cuMemFree_v2(buffer));
        if (round % 8 == 0) {
            load(image, "store_at", &passing);
            CHECK(cuModuleUnload(passing));
        }
    }
    CHECK(cuCtxSynchronize());
    printf("ok\n");
    return 0;
}
