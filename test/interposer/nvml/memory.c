/* NVML shows the slice: its memory as the total, the program's own as used. Argument: the slice's bytes, where they are known. */
#include <unistd.h>

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
int nvmlDeviceGetPciInfo(nvmlDevice_t device, void *pci);
int nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, void *pci);
int nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned int *count, void *processes);
int nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, void *processes);
int nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, int threshold, unsigned int *degrees);
int nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned int *degrees);

/* Structures of older forms are shorter, and what lies behind them is the program's. */
static void check_older_forms(nvmlDevice_t device) {
    unsigned char pci[52], recent[68];
    struct {
        unsigned int pid;
        unsigned long long used_bytes;
    } processes[2];
    unsigned int count = 0, degrees;
    memset(pci, 0x55, sizeof pci);
    EXPECT(nvmlDeviceGetPciInfo(device, pci) == 0 && nvmlDeviceGetPciInfo_v3(device, recent) == 0 && memcmp(pci, recent, 36) == 0);
    for (size_t i = 36; i < sizeof pci; i++) EXPECT(pci[i] == 0x55);
    EXPECT(nvmlDeviceGetComputeRunningProcesses(device, &count, NULL) == 7 && count == 1);
    memset(processes, 0x55, sizeof processes);
    EXPECT(nvmlDeviceGetComputeRunningProcesses(device, &count, processes) == 0 && processes[0].pid == (unsigned int)getpid());
    EXPECT(processes[1].pid == 0x55555555);
    count = 2;
    EXPECT(nvmlDeviceGetGraphicsRunningProcesses_v3(device, &count, processes) == 0 && count == 0);
    EXPECT(nvmlDeviceGetTemperatureThreshold(device, 0, &degrees) == 3);
}

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
    check_older_forms(device);
    EXPECT(nvmlShutdown() == 0 && nvmlDeviceGetCount_v2(&count) == 1);
    printf("ok\n");
    return 0;
}
