/* Questions about devices: all answered from the snapshot taken when the session began. */
#include <stdio.h>
#include <string.h>

#include "driver.h"

/* One of several processes with leases of their own takes its rank for its device: it has no such. */
static void explain_ordinal(unsigned ordinal) {
    static atomic_bool told = false;
    if (ordinal >= driver.lease_count || atomic_exchange(&told, true)) return;
    report("this process asks for device [%u], and it has [%u], from 0 on: under `sluice run --processes` each process has devices of its own. Use "
           "device 0, or the rank modulo the number of devices, or give each process as many devices as there are processes (`-n`).",
           ordinal, (unsigned)driver.device_count);
}

CUresult device_of(CUdevice ordinal, struct device **device) {
    if (ordinal < 0) return CUDA_ERROR_INVALID_DEVICE;
    if ((uint32_t)ordinal >= driver.device_count) {
        explain_ordinal((unsigned)ordinal);
        return CUDA_ERROR_INVALID_DEVICE;
    }
    *device = driver.devices[ordinal];
    return CUDA_SUCCESS;
}

/*
 * A process that asks no more than how many devices there are, as launchers do, takes no session: those that it starts want them. Nor does the
 * number of a device.
 */
API_ALWAYS(cuDeviceGetCount, (int *count), (count)) {
    uint32_t promised = promised_devices();
    CUresult result = promised > 0 ? CUDA_SUCCESS : driver_check();
    if (result != CUDA_SUCCESS) return result;
    if (count == NULL) return CUDA_ERROR_INVALID_VALUE;
    *count = (int)(promised > 0 ? promised : driver.device_count);
    return CUDA_SUCCESS;
}

API_ALWAYS(cuDeviceGet, (CUdevice *device, int ordinal), (device, ordinal)) {
    struct device *found;
    bool is_promised = ordinal >= 0 && (uint32_t)ordinal < promised_devices();
    CUresult checked = is_promised ? CUDA_SUCCESS : driver_check();
    if (checked != CUDA_SUCCESS) return checked;
    if (device == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (is_promised) {
        *device = ordinal;
        return CUDA_SUCCESS;
    }
    CUresult result = device_of(ordinal, &found);
    if (result == CUDA_SUCCESS) *device = ordinal;
    return result;
}

API_KNOWN(cuDeviceGetName, (char *name, int length, CUdevice device), (name, length, device)) {
    struct device *found;
    CUresult result = known_device(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (name == NULL || length <= 0) return CUDA_ERROR_INVALID_VALUE;
    snprintf(name, (size_t)length, "%s", found->name);
    return CUDA_SUCCESS;
}

/* The id in the pool is text; 16 bytes of it, spread by FNV, are as stable and as unique as it is. */
API_KNOWN(cuDeviceGetUuid_v2, (CUuuid *uuid, CUdevice device), (uuid, device)) {
    struct device *found;
    CUresult result = known_device(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (uuid == NULL) return CUDA_ERROR_INVALID_VALUE;
    for (int half = 0; half < 2; half++) {
        uint64_t hash = 0xcbf29ce484222325u + (uint64_t)half;
        for (const char *at = found->id; *at != '\0'; at++) hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
        memcpy(uuid->bytes + half * 8, &hash, 8);
    }
    return CUDA_SUCCESS;
}
API_ALIAS(cuDeviceGetUuid, cuDeviceGetUuid_v2);

API_KNOWN(cuDeviceTotalMem_v2, (size_t *bytes, CUdevice device), (bytes, device)) {
    struct device *found;
    CUresult result = known_device(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (bytes == NULL) return CUDA_ERROR_INVALID_VALUE;
    *bytes = found->arena.byte_count;
    return CUDA_SUCCESS;
}

API_KNOWN(cuDeviceGetAttribute, (int *value, int attribute, CUdevice device), (value, attribute, device)) {
    struct device *found;
    CUresult result = known_device(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (value == NULL || attribute < 1 || attribute >= CU_ATTRIBUTE_COUNT) return CUDA_ERROR_INVALID_VALUE;
    *value = found->attributes[attribute];
    return CUDA_SUCCESS;
}

API_KNOWN(cuDeviceComputeCapability, (int *major, int *minor, CUdevice device), (major, minor, device)) {
    struct device *found;
    CUresult result = known_device(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (major == NULL || minor == NULL) return CUDA_ERROR_INVALID_VALUE;
    *major = found->attributes[CU_ATTRIBUTE_CAPABILITY_MAJOR];
    *minor = found->attributes[CU_ATTRIBUTE_CAPABILITY_MINOR];
    return CUDA_SUCCESS;
}

static void bus_id(const struct device *device, char *text, size_t length) {
    const int *attributes = device->attributes;
    snprintf(text, length, "%04X:%02X:%02X.0", attributes[CU_ATTRIBUTE_PCI_DOMAIN_ID], attributes[CU_ATTRIBUTE_PCI_BUS_ID], attributes[CU_ATTRIBUTE_PCI_DEVICE_ID]);
}

API_KNOWN(cuDeviceGetPCIBusId, (char *text, int length, CUdevice device), (text, length, device)) {
    struct device *found;
    CUresult result = known_device(device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (text == NULL || length < 13) return CUDA_ERROR_INVALID_VALUE;
    bus_id(found, text, (size_t)length);
    return CUDA_SUCCESS;
}

API(cuDeviceGetByPCIBusId, (CUdevice *device, const char *text), (device, text)) {
    if (device == NULL || text == NULL) return CUDA_ERROR_INVALID_VALUE;
    unsigned wanted[3] = {0}, own[3] = {0};
    if (sscanf(text, "%x:%x:%x", &wanted[0], &wanted[1], &wanted[2]) < 2) return CUDA_ERROR_INVALID_VALUE;
    for (uint32_t index = 0; index < driver.device_count; index++) {
        char id[32];
        bus_id(driver.devices[index], id, sizeof id);
        sscanf(id, "%x:%x:%x", &own[0], &own[1], &own[2]);
        if (memcmp(own, wanted, sizeof own) == 0) {
            *device = (CUdevice)index;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_DEVICE;
}

API(cuDeviceCanAccessPeer, (int *can, CUdevice device, CUdevice peer), (can, device, peer)) {
    struct device *first, *second;
    CUresult result = device_of(device, &first);
    if (result == CUDA_SUCCESS) result = device_of(peer, &second);
    if (result != CUDA_SUCCESS) return result;
    if (can == NULL) return CUDA_ERROR_INVALID_VALUE;
    *can = 0;
    return CUDA_SUCCESS;
}

API(cuDeviceGetP2PAttribute, (int *value, int attribute, CUdevice source, CUdevice destination), (value, attribute, source, destination)) {
    struct device *first, *second;
    CUresult result = device_of(source, &first);
    if (result == CUDA_SUCCESS) result = device_of(destination, &second);
    if (result != CUDA_SUCCESS) return result;
    if (value == NULL || source == destination || attribute < 1 || attribute > 5) return CUDA_ERROR_INVALID_VALUE;
    *value = 0;
    return CUDA_SUCCESS;
}

/* No operation is atomic across the network. */
static CUresult no_atomics(unsigned int *capabilities, const int *operations, unsigned int count) {
    if (capabilities == NULL || operations == NULL || count == 0) return CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; i < count; i++) capabilities[i] = 0;
    return CUDA_SUCCESS;
}

API(cuDeviceGetHostAtomicCapabilities, (unsigned int *capabilities, const int *operations, unsigned int count, CUdevice device),
    (capabilities, operations, count, device)) {
    struct device *found;
    CUresult result = device_of(device, &found);
    return result == CUDA_SUCCESS ? no_atomics(capabilities, operations, count) : result;
}

API(cuDeviceGetP2PAtomicCapabilities,
    (unsigned int *capabilities, const int *operations, unsigned int count, CUdevice source, CUdevice destination),
    (capabilities, operations, count, source, destination)) {
    struct device *found;
    CUresult result = device_of(source, &found);
    if (result == CUDA_SUCCESS) result = device_of(destination, &found);
    return result == CUDA_SUCCESS ? no_atomics(capabilities, operations, count) : result;
}

EXPORT CUresult sluiceMemoryInfo(CUdevice device, size_t *used_bytes, size_t *total_bytes) {
    struct device *found;
    CUresult result = driver_check();
    if (result == CUDA_SUCCESS) result = device_of(device, &found);
    if (result != CUDA_SUCCESS) return result;
    pthread_mutex_lock(&found->arena.lock);
    *used_bytes = found->arena.used_bytes;
    *total_bytes = found->arena.byte_count;
    pthread_mutex_unlock(&found->arena.lock);
    return CUDA_SUCCESS;
}
