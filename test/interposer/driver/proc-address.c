/* cuGetProcAddress: forms by version, and what is not there. */
#include <dlfcn.h>

#include "driver.h"

int main(void) {
    void *old, *recent, *none = (void *)1;
    int status = 0, version = 0;
    CUdevice device;
    CHECK(cuGetProcAddress_v2("cuInit", &recent, 12000, 0, &status));
    EXPECT(recent != NULL && status == 0);
    CHECK(((CUresult(*)(unsigned int))(size_t)recent)(0));
    CHECK(cuGetProcAddress_v2("cuGetProcAddress", &old, 11030, 0, NULL));
    CHECK(cuGetProcAddress_v2("cuGetProcAddress", &recent, 12000, 0, NULL));
    EXPECT(old != NULL && recent != NULL && old != recent);
    CHECK(cuGetProcAddress_v2("cuCtxCreate", &old, 11000, 0, NULL));
    CHECK(cuGetProcAddress_v2("cuCtxCreate", &recent, 12050, 0, NULL));
    EXPECT(old != recent);
    CHECK(cuGetProcAddress_v2("cuNoSuchFunction", &none, 13000, 0, &status));
    EXPECT(none == NULL && status == 1);
    CHECK(cuGetProcAddress_v2("cuLibraryLoadData", &none, 11000, 0, &status));
    EXPECT(none == NULL && status == 2);
    CHECK_FAILS(cuGetProcAddress_v2("cuNoSuchFunction", &none, 13000, 0, NULL), CUDA_ERROR_NOT_FOUND);
    CHECK(cuGetProcAddress_v2("cuLibraryLoadData", NULL, 12000, 0, NULL));
    /* Found on any GPU, whatever it can do. */
    CHECK(cuGetProcAddress_v2("cuMemAddressReserve", &recent, 12000, 0, &status));
    EXPECT(recent != NULL && status == 0);
    CHECK(cuDriverGetVersion(&version));
    EXPECT(version >= 11000);
    CHECK(cuDeviceGet(&device, 0));
    printf("ok\n");
    return 0;
}
