/* Where a device has no cuDNN: versions can be asked for, handles cannot be had, and the device is there for the rest of the program. */
#include "dnn.h"

int main(void) {
    cudnnHandle_t handle = (cudnnHandle_t)1;
    descriptor_t descriptor;
    int major, minor;
    start();
    EXPECT(cudnnGetVersion() >= 90000 && cudnnGetVersion() < 100000);
    STATUS(cudnnGetProperty(0, &major), OK);
    STATUS(cudnnGetProperty(1, &minor), OK);
    EXPECT(major == 9 && (size_t)minor == cudnnGetVersion() / 100 % 100);
    STATUS(cudnnCreate(&handle), NOT_INITIALIZED);
    EXPECT(handle == NULL);
    STATUS(cudnnCreate(&handle), NOT_INITIALIZED);
    /* Descriptors are this side's until they are finalized. */
    int64_t dimensions[] = {1, 2, 3};
    STATUS(cudnnBackendCreateDescriptor(17, &descriptor), OK);
    STATUS(cudnnBackendSetAttribute(descriptor, 902, 3, 3, dimensions), OK);
    STATUS(cudnnBackendFinalize(descriptor), NOT_INITIALIZED);
    STATUS(cudnnBackendDestroyDescriptor(descriptor), OK);
    STATUS(cudnnIm2Col(), NOT_SUPPORTED);
    struct array array = array_of(8);
    EXPECT(is_as_on_host(&array));
    printf("ok\n");
    return 0;
}
