/* Where a device has no cuFFT: a plan can be had, and not be made, and the device is there for the rest of the program. */
#include "fft.h"

int main(void) {
    int plan, version;
    size_t work;
    start();
    STATUS(cufftGetVersion(&version), OK);
    EXPECT(version >= 11000);
    STATUS(cufftCreate(&plan), OK);
    STATUS(cufftMakePlan1d(plan, 8, C2C, 1, &work), SETUP_FAILED);
    STATUS(cufftPlan1d(&plan, 8, C2C, 1), SETUP_FAILED);
    STATUS(cufftXtSetGPUs(), NOT_SUPPORTED);
    float numbers[] = {1, 2, 3}, found[3];
    download(found, uploaded(numbers, sizeof numbers), sizeof found);
    EXPECT(memcmp(numbers, found, sizeof found) == 0);
    printf("ok\n");
    return 0;
}
