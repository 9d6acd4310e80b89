/* NVML shows the slice: its memory as the total, the program's own as used. Argument: the slice's bytes, where they are known. */
#include "../driver/driver.h"

typedef struct device_handle *nvmlDevice_t;
int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetCount_v2(unsigned int *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device);
int nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device);
int nvmlDeviceGetUUID(nvmlDevice_t device, char *text, unsigned int length);
int nvmlDeviceGetName(nvmlDevice_t device, char *text, unsigned int length);
int nvmlDeviceGetMemoryInfo(nvmlDevice_t device, void *memory);
int nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned int *degrees);

int main(int argc, char **argv) {
    struct {
        unsigned long long total, free, used;
    } before, after;
    char name[256], uuid[96], cuda_name[256];
    unsigned int count, degrees;
    nvmlDevice_t device, same;
    CUdeviceptr d;
    EXPECT(nvmlDeviceGetCount_v2(&count) == 1);
    EXPECT(nvmlInit_v2() == 0 && nvmlDeviceGetCount_v2(&count) == 0 && count >= 1);
    EXPECT(nvmlDeviceGetHandleByIndex_v2(0, &device) == 0 && nvmlDeviceGetHandleByIndex_v2(99, &same) == 2);
    EXPECT(nvmlDeviceGetUUID(device, uuid, sizeof uuid) == 0 && strncmp(uuid, "GPU-", 4) == 0);
    EXPECT(nvmlDeviceGetHandleByUUID(uuid, &same) == 0 && same == device);
    start();
    EXPECT(nvmlDeviceGetName(device, name, sizeof name) == 0 && nvmlDeviceGetName(device, name, 2) == 7);
    CHECK(cuDeviceGetName(cuda_name, sizeof cuda_name, 0));
    EXPECT(strcmp(name, cuda_name) == 0);
    EXPECT(nvmlDeviceGetMemoryInfo(device, &before) == 0);
    if (argc > 1) EXPECT(before.total == strtoull(argv[1], NULL, 10));
    CHECK(cuMemAlloc_v2(&d, 10 << 20));
    EXPECT(nvmlDeviceGetMemoryInfo(device, &after) == 0);
    EXPECT(after.used - before.used >= 10 << 20 && after.used + after.free == after.total);
    EXPECT(nvmlDeviceGetTemperature(device, 0, &degrees) == 3 || argc == 1);
    EXPECT(nvmlShutdown() == 0 && nvmlDeviceGetCount_v2(&count) == 1);
    printf("ok\n");
    return 0;
}
