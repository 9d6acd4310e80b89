/* Tells what it finds out about each device without doing anything there, and then what comes of doing something. */
#include "../driver/driver.h"

int main(void) {
    CUcontext context;
    int devices = 0, version = 0, active = -1;
    CHECK(cuInit(0));
    CHECK(cuDriverGetVersion(&version));
    CHECK(cuDeviceGetCount(&devices));
    for (int i = 0; i < devices; i++) {
        char name[256], bus[32];
        CUuuid uuid;
        size_t bytes = 0;
        int threads = 0, major = 0, minor = 0;
        unsigned flags;
        CHECK(cuDeviceGetName(name, sizeof name, i));
        CHECK(cuDeviceGetUuid_v2(&uuid, i));
        CHECK(cuDeviceTotalMem_v2(&bytes, i));
        CHECK(cuDeviceGetPCIBusId(bus, sizeof bus, i));
        CHECK(cuDeviceGetAttribute(&threads, 1, i));
        CHECK(cuDeviceGetAttribute(&major, 75, i));
        CHECK(cuDeviceGetAttribute(&minor, 76, i));
        CHECK(cuDevicePrimaryCtxGetState(i, &flags, &active));
        printf("%d %s %02x%02x %zu %s %d %d.%d active %d\n", version, name, (unsigned char)uuid.bytes[0], (unsigned char)uuid.bytes[15], bytes, bus, threads, major, minor, active);
    }
    CHECK(cuCtxGetCurrent(&context));
    EXPECT(context == NULL);
    fflush(stdout);
    printf("then %d\n", cuDevicePrimaryCtxRetain(&context, 0));
    return 0;
}
