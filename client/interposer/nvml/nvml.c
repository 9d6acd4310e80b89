/*
 * libnvidia-ml: the part of NVML by which tools and frameworks see a device's name, size and use. What they see is the slice: its memory
 * is the total, and what this process has allocated is used. Questions about the machine that owns the GPU are not supported.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../core/report.h"
#include "../driver/cuda-api.h"

#define EXPORT __attribute__((visibility("default")))

typedef int nvmlReturn_t;
typedef struct device_handle *nvmlDevice_t;

enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_UNINITIALIZED = 1,
    NVML_ERROR_INVALID_ARGUMENT = 2,
    NVML_ERROR_NOT_SUPPORTED = 3,
    NVML_ERROR_NOT_FOUND = 6,
    NVML_ERROR_INSUFFICIENT_SIZE = 7,
    NVML_ERROR_DRIVER_NOT_LOADED = 9,
    NVML_ERROR_GPU_IS_LOST = 15,
    NVML_ERROR_UNKNOWN = 999,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int initialized;

static nvmlReturn_t check(void) {
    pthread_mutex_lock(&lock);
    int count = initialized;
    pthread_mutex_unlock(&lock);
    return count > 0 ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

static nvmlReturn_t result_of(CUresult result) {
    switch (result) {
    case CUDA_SUCCESS: return NVML_SUCCESS;
    case CUDA_ERROR_INVALID_VALUE:
    case CUDA_ERROR_INVALID_DEVICE: return NVML_ERROR_INVALID_ARGUMENT;
    case CUDA_ERROR_NO_DEVICE: return NVML_ERROR_DRIVER_NOT_LOADED;
    case CUDA_ERROR_DEVICE_UNAVAILABLE: return NVML_ERROR_GPU_IS_LOST;
    default: return NVML_ERROR_UNKNOWN;
    }
}

#define NVML(name, parameters, arguments)                                                                                               \
    static nvmlReturn_t name##_body parameters;                                                                                         \
    EXPORT nvmlReturn_t name parameters {                                                                                               \
        nvmlReturn_t result = check();                                                                                                  \
        if (result == NVML_SUCCESS) result = name##_body arguments;                                                                     \
        if (trace_on) trace(#name " %d", result);                                                                                       \
        return result;                                                                                                                  \
    }                                                                                                                                   \
    static nvmlReturn_t name##_body parameters
#define NVML_ALIAS(alias_name, name) EXPORT __typeof__(name) alias_name __attribute__((alias(#name)))

/* A handle is the device's number, from 1, so that NULL is none. */
static CUdevice device_of(nvmlDevice_t handle) {
    return (CUdevice)(uintptr_t)handle - 1;
}

static nvmlDevice_t handle_of(CUdevice device) {
    return (nvmlDevice_t)(uintptr_t)(device + 1);
}

static nvmlReturn_t copy_text(char *into, unsigned int length, const char *text) {
    if (into == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    if (strlen(text) >= length) return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(into, text);
    return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlInit_v2(void) {
    CUresult result = cuInit(0);
    if (result != CUDA_SUCCESS) return result_of(result);
    pthread_mutex_lock(&lock);
    initialized++;
    pthread_mutex_unlock(&lock);
    return NVML_SUCCESS;
}
NVML_ALIAS(nvmlInit, nvmlInit_v2);

EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    return nvmlInit_v2();
}

NVML(nvmlShutdown, (void), ()) {
    pthread_mutex_lock(&lock);
    initialized--;
    pthread_mutex_unlock(&lock);
    return NVML_SUCCESS;
}

EXPORT const char *nvmlErrorString(nvmlReturn_t result) {
    switch (result) {
    case NVML_SUCCESS: return "Success";
    case NVML_ERROR_UNINITIALIZED: return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT: return "Invalid Argument";
    case NVML_ERROR_NOT_SUPPORTED: return "Not Supported";
    case NVML_ERROR_NOT_FOUND: return "Not Found";
    case NVML_ERROR_INSUFFICIENT_SIZE: return "Insufficient Size";
    case NVML_ERROR_DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case NVML_ERROR_GPU_IS_LOST: return "GPU is lost";
    default: return "Unknown Error";
    }
}

NVML(nvmlDeviceGetCount_v2, (unsigned int *count), (count)) {
    int found = 0;
    if (count == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    CUresult result = cuDeviceGetCount(&found);
    *count = (unsigned int)found;
    return result_of(result);
}
NVML_ALIAS(nvmlDeviceGetCount, nvmlDeviceGetCount_v2);

NVML(nvmlDeviceGetHandleByIndex_v2, (unsigned int index, nvmlDevice_t *device), (index, device)) {
    CUdevice found;
    if (device == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    CUresult result = cuDeviceGet(&found, (int)index);
    if (result == CUDA_SUCCESS) *device = handle_of(found);
    return result_of(result);
}
NVML_ALIAS(nvmlDeviceGetHandleByIndex, nvmlDeviceGetHandleByIndex_v2);

static nvmlReturn_t uuid_text(CUdevice device, char text[48]) {
    CUuuid uuid;
    CUresult result = cuDeviceGetUuid_v2(&uuid, device);
    const unsigned char *b = (const unsigned char *)uuid.bytes;
    if (result == CUDA_SUCCESS)
        snprintf(text, 48, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5],
                 b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return result_of(result);
}

NVML(nvmlDeviceGetUUID, (nvmlDevice_t device, char *text, unsigned int length), (device, text, length)) {
    char uuid[48];
    nvmlReturn_t result = uuid_text(device_of(device), uuid);
    return result == NVML_SUCCESS ? copy_text(text, length, uuid) : result;
}

NVML(nvmlDeviceGetHandleByUUID, (const char *text, nvmlDevice_t *device), (text, device)) {
    int count = 0;
    char uuid[48];
    if (text == NULL || device == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    cuDeviceGetCount(&count);
    for (int i = 0; i < count; i++) {
        if (uuid_text(i, uuid) != NVML_SUCCESS || strcmp(uuid, text) != 0) continue;
        *device = handle_of(i);
        return NVML_SUCCESS;
    }
    return NVML_ERROR_NOT_FOUND;
}

NVML(nvmlDeviceGetHandleByPciBusId_v2, (const char *text, nvmlDevice_t *device), (text, device)) {
    CUdevice found;
    if (text == NULL || device == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    if (cuDeviceGetByPCIBusId(&found, text) != CUDA_SUCCESS) return NVML_ERROR_NOT_FOUND;
    *device = handle_of(found);
    return NVML_SUCCESS;
}
NVML_ALIAS(nvmlDeviceGetHandleByPciBusId, nvmlDeviceGetHandleByPciBusId_v2);

NVML(nvmlDeviceGetName, (nvmlDevice_t device, char *name, unsigned int length), (device, name, length)) {
    char text[256];
    nvmlReturn_t result = result_of(cuDeviceGetName(text, sizeof text, device_of(device)));
    return result == NVML_SUCCESS ? copy_text(name, length, text) : result;
}

NVML(nvmlDeviceGetIndex, (nvmlDevice_t device, unsigned int *index), (device, index)) {
    CUdevice found;
    if (index == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    *index = (unsigned int)device_of(device);
    return result_of(cuDeviceGet(&found, device_of(device)));
}
NVML_ALIAS(nvmlDeviceGetMinorNumber, nvmlDeviceGetIndex);

struct memory {
    unsigned long long total, free, used;
};

NVML(nvmlDeviceGetMemoryInfo, (nvmlDevice_t device, struct memory *memory), (device, memory)) {
    size_t used, total;
    if (memory == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    CUresult result = sluiceMemoryInfo(device_of(device), &used, &total);
    if (result == CUDA_SUCCESS) *memory = (struct memory){total, total - used, used};
    return result_of(result);
}

struct memory_v2 {
    unsigned int version;
    unsigned long long total, reserved, free, used;
};

NVML(nvmlDeviceGetMemoryInfo_v2, (nvmlDevice_t device, struct memory_v2 *memory), (device, memory)) {
    size_t used, total;
    if (memory == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    CUresult result = sluiceMemoryInfo(device_of(device), &used, &total);
    if (result == CUDA_SUCCESS) *memory = (struct memory_v2){memory->version, total, 0, total - used, used};
    return result_of(result);
}

/* The first two forms end before the longer text. */
struct pci_v2 {
    char legacy_id[16];
    unsigned int domain, bus, device, device_id, subsystem_id;
};

struct pci {
    struct pci_v2 first;
    char id[32];
};

NVML(nvmlDeviceGetPciInfo_v2, (nvmlDevice_t device, struct pci_v2 *pci), (device, pci)) {
    char text[16];
    if (pci == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    CUresult result = cuDeviceGetPCIBusId(text, sizeof text, device_of(device));
    if (result != CUDA_SUCCESS) return result_of(result);
    memset(pci, 0, sizeof *pci);
    strcpy(pci->legacy_id, text);
    sscanf(text, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
    return NVML_SUCCESS;
}
NVML_ALIAS(nvmlDeviceGetPciInfo, nvmlDeviceGetPciInfo_v2);

NVML(nvmlDeviceGetPciInfo_v3, (nvmlDevice_t device, struct pci *pci), (device, pci)) {
    if (pci == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    nvmlReturn_t result = nvmlDeviceGetPciInfo_v2_body(device, &pci->first);
    if (result != NVML_SUCCESS) return result;
    memset(pci->id, 0, sizeof pci->id);
    snprintf(pci->id, sizeof pci->id, "0000%s", pci->first.legacy_id);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetCudaComputeCapability, (nvmlDevice_t device, int *major, int *minor), (device, major, minor)) {
    if (major == NULL || minor == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    CUresult result = cuDeviceGetAttribute(major, CU_ATTRIBUTE_CAPABILITY_MAJOR, device_of(device));
    if (result == CUDA_SUCCESS) result = cuDeviceGetAttribute(minor, CU_ATTRIBUTE_CAPABILITY_MINOR, device_of(device));
    return result_of(result);
}

/* From Volta on: Turing 6, Ampere 7, Ada 8, Hopper 9, Blackwell 10. */
NVML(nvmlDeviceGetArchitecture, (nvmlDevice_t device, unsigned int *architecture), (device, architecture)) {
    int major, minor;
    if (architecture == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    nvmlReturn_t result = nvmlDeviceGetCudaComputeCapability_body(device, &major, &minor);
    if (result != NVML_SUCCESS) return result;
    if (major < 7) return NVML_ERROR_NOT_SUPPORTED;
    if (major >= 9) *architecture = major == 9 ? 9 : 10;
    else if (major == 8) *architecture = minor == 9 ? 8 : 7;
    else *architecture = minor == 5 ? 6 : 5;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetMemoryBusWidth, (nvmlDevice_t device, unsigned int *bits), (device, bits)) {
    if (bits == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    return result_of(cuDeviceGetAttribute((int *)bits, CU_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, device_of(device)));
}

NVML(nvmlDeviceGetComputeMode, (nvmlDevice_t device, int *mode), (device, mode)) {
    if (mode == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    return result_of(cuDeviceGetAttribute(mode, CU_ATTRIBUTE_COMPUTE_MODE, device_of(device)));
}

/* The first form has the first two fields alone. */
struct process_v1 {
    unsigned int pid;
    unsigned long long used_bytes;
};

struct process {
    unsigned int pid;
    unsigned long long used_bytes;
    unsigned int gpu_instance, compute_instance;
};

/* Nobody but this process works on the slice. */
static nvmlReturn_t own_use(nvmlDevice_t device, unsigned int *count, bool has_room, size_t *used) {
    size_t total;
    if (count == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    CUresult result = sluiceMemoryInfo(device_of(device), used, &total);
    if (result != CUDA_SUCCESS) return result_of(result);
    unsigned int room = *count;
    *count = 1;
    return room == 0 || !has_room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

NVML(nvmlDeviceGetComputeRunningProcesses_v3, (nvmlDevice_t device, unsigned int *count, struct process *processes),
     (device, count, processes)) {
    size_t used;
    nvmlReturn_t result = own_use(device, count, processes != NULL, &used);
    if (result == NVML_SUCCESS) processes[0] = (struct process){(unsigned int)getpid(), used, 0xffffffffu, 0xffffffffu};
    return result;
}
NVML_ALIAS(nvmlDeviceGetComputeRunningProcesses_v2, nvmlDeviceGetComputeRunningProcesses_v3);

NVML(nvmlDeviceGetComputeRunningProcesses, (nvmlDevice_t device, unsigned int *count, struct process_v1 *processes),
     (device, count, processes)) {
    size_t used;
    nvmlReturn_t result = own_use(device, count, processes != NULL, &used);
    if (result == NVML_SUCCESS) processes[0] = (struct process_v1){(unsigned int)getpid(), used};
    return result;
}

/* Whatever the form, no process draws on the slice, and none came through NVIDIA's own sharing of a device. */
NVML(nvmlDeviceGetGraphicsRunningProcesses_v3, (nvmlDevice_t device, unsigned int *count, void *processes), (device, count, processes)) {
    (void)device, (void)processes;
    if (count == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    *count = 0;
    return NVML_SUCCESS;
}
NVML_ALIAS(nvmlDeviceGetGraphicsRunningProcesses_v2, nvmlDeviceGetGraphicsRunningProcesses_v3);
NVML_ALIAS(nvmlDeviceGetGraphicsRunningProcesses, nvmlDeviceGetGraphicsRunningProcesses_v3);
NVML_ALIAS(nvmlDeviceGetMPSComputeRunningProcesses_v3, nvmlDeviceGetGraphicsRunningProcesses_v3);
NVML_ALIAS(nvmlDeviceGetMPSComputeRunningProcesses_v2, nvmlDeviceGetGraphicsRunningProcesses_v3);
NVML_ALIAS(nvmlDeviceGetMPSComputeRunningProcesses, nvmlDeviceGetGraphicsRunningProcesses_v3);

/* A slice is no instance of a device that NVIDIA divides, nor has it any. */
NVML(nvmlDeviceIsMigDeviceHandle, (nvmlDevice_t device, unsigned int *value), (device, value)) {
    (void)device;
    if (value == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    *value = 0;
    return NVML_SUCCESS;
}
NVML_ALIAS(nvmlDeviceGetMaxMigDeviceCount, nvmlDeviceIsMigDeviceHandle);

NVML(nvmlUnitGetCount, (unsigned int *count), (count)) {
    if (count == NULL) return NVML_ERROR_INVALID_ARGUMENT;
    *count = 0;
    return NVML_SUCCESS;
}

NVML(nvmlSystemGetCudaDriverVersion_v2, (int *version), (version)) {
    return version == NULL ? NVML_ERROR_INVALID_ARGUMENT : result_of(cuDriverGetVersion(version));
}
NVML_ALIAS(nvmlSystemGetCudaDriverVersion, nvmlSystemGetCudaDriverVersion_v2);

NVML(nvmlSystemGetDriverVersion, (char *text, unsigned int length), (text, length)) {
    return copy_text(text, length, SLUICE_VERSION " (Sluice)");
}

NVML(nvmlSystemGetNVMLVersion, (char *text, unsigned int length), (text, length)) {
    return copy_text(text, length, SLUICE_VERSION " (Sluice)");
}
