/* Where a device has no cuRAND: no generator can be had, and the device is there for the rest of the program. */
#include "rand.h"

int main(void) {
    generator_t generator = (generator_t)1;
    int version;
    start();
    STATUS(curandGetVersion(&version), OK);
    EXPECT(version >= 10000);
    STATUS(curandCreateGenerator(&generator, DEFAULT), INITIALIZATION_FAILED);
    EXPECT(generator == NULL);
    STATUS(curandGetDirectionVectors32(), ARCH_MISMATCH);
    CHECK(cuCtxSynchronize());
    printf("ok\n");
    return 0;
}
