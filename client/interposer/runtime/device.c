/* Devices of the runtime: the thread's choice, contexts on first use, attributes and limits. */
#include <stdatomic.h>
#include <string.h>

#include "runtime.h"

#define DEVICES_MAX 16

static __thread int chosen;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(CUcontext) primaries[DEVICES_MAX];

static cudaError_t make_current(int device) {
    if (device < 0 || device >= DEVICES_MAX) return CUDA_ERROR_INVALID_DEVICE;
    CUcontext primary = atomic_load_explicit(&primaries[device], memory_order_acquire);
    if (primary == NULL) {
        pthread_mutex_lock(&lock);
        primary = atomic_load(&primaries[device]);
        cudaError_t error = primary == NULL ? cuDevicePrimaryCtxRetain(&primary, device) : CUDA_SUCCESS;
        if (error == CUDA_SUCCESS) atomic_store_explicit(&primaries[device], primary, memory_order_release);
        pthread_mutex_unlock(&lock);
        if (error != CUDA_SUCCESS) return error;
    }
    return cuCtxSetCurrent(primary);
}

cudaError_t enter_context(void) {
    CUcontext current = NULL;
    cudaError_t error = cuCtxGetCurrent(&current);
    if (error == CUDA_ERROR_NOT_INITIALIZED) {
        error = cuInit(0);
        if (error != CUDA_SUCCESS) return error;
    } else if (error != CUDA_SUCCESS || current != NULL) {
        return error;
    }
    return make_current(chosen);
}

PLAIN(cudaGetDeviceCount, (int *count), (count)) {
    if (count == NULL) return CUDA_ERROR_INVALID_VALUE;
    *count = 0;
    cudaError_t error = cuInit(0);
    return error == CUDA_SUCCESS ? cuDeviceGetCount(count) : error;
}

PLAIN(cudaSetDevice, (int device), (device)) {
    CUdevice found;
    cudaError_t error = cuInit(0);
    if (error == CUDA_SUCCESS) error = cuDeviceGet(&found, device);
    if (error != CUDA_SUCCESS) return error;
    chosen = device;
    return make_current(device);
}

PLAIN(cudaInitDevice, (int device, unsigned int device_flags, unsigned int flags), (device, device_flags, flags)) {
    (void)device_flags, (void)flags;
    CUdevice found;
    cudaError_t error = cuInit(0);
    return error == CUDA_SUCCESS ? cuDeviceGet(&found, device) : error;
}

PLAIN(cudaGetDevice, (int *device), (device)) {
    CUcontext current = NULL;
    if (device == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = cuInit(0);
    if (error != CUDA_SUCCESS) return error;
    *device = chosen;
    /* A context of the driver API, made current by the program, is the one that counts. */
    if (cuCtxGetCurrent(&current) == CUDA_SUCCESS && current != NULL) return cuCtxGetDevice(device);
    return CUDA_SUCCESS;
}

PLAIN(cudaSetValidDevices, (int *devices, int count), (devices, count)) {
    return devices == NULL && count > 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CONTEXT(cudaDeviceSynchronize, (void), ()) {
    return cuCtxSynchronize();
}

PLAIN(cudaDeviceReset, (void), ()) {
    cudaError_t error = cuInit(0);
    return error == CUDA_SUCCESS ? cuDevicePrimaryCtxReset_v2(chosen) : error;
}

PLAIN(cudaSetDeviceFlags, (unsigned int flags), (flags)) {
    cudaError_t error = cuInit(0);
    return error == CUDA_SUCCESS ? cuDevicePrimaryCtxSetFlags_v2(chosen, flags) : error;
}

PLAIN(cudaGetDeviceFlags, (unsigned int *flags), (flags)) {
    int active;
    if (flags == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = cuInit(0);
    return error == CUDA_SUCCESS ? cuDevicePrimaryCtxGetState(chosen, flags, &active) : error;
}

PLAIN(cudaDeviceGetAttribute, (int *value, int attribute, int device), (value, attribute, device)) {
    cudaError_t error = cuInit(0);
    return error == CUDA_SUCCESS ? cuDeviceGetAttribute(value, attribute, device) : error;
}

PLAIN(cudaDeviceGetPCIBusId, (char *text, int length, int device), (text, length, device)) {
    cudaError_t error = cuInit(0);
    return error == CUDA_SUCCESS ? cuDeviceGetPCIBusId(text, length, device) : error;
}

PLAIN(cudaDeviceGetByPCIBusId, (int *device, const char *text), (device, text)) {
    cudaError_t error = cuInit(0);
    return error == CUDA_SUCCESS ? cuDeviceGetByPCIBusId(device, text) : error;
}

PLAIN(cudaDeviceCanAccessPeer, (int *can, int device, int peer), (can, device, peer)) {
    cudaError_t error = cuInit(0);
    return error == CUDA_SUCCESS ? cuDeviceCanAccessPeer(can, device, peer) : error;
}

PLAIN(cudaDeviceGetP2PAttribute, (int *value, int attribute, int source, int destination), (value, attribute, source, destination)) {
    cudaError_t error = cuInit(0);
    return error == CUDA_SUCCESS ? cuDeviceGetP2PAttribute(value, attribute, source, destination) : error;
}

CONTEXT(cudaDeviceGetHostAtomicCapabilities, (unsigned int *capabilities, const int *operations, unsigned int count, int device),
        (capabilities, operations, count, device)) {
    return cuDeviceGetHostAtomicCapabilities(capabilities, operations, count, device);
}

CONTEXT(cudaDeviceGetP2PAtomicCapabilities,
        (unsigned int *capabilities, const int *operations, unsigned int count, int source, int destination),
        (capabilities, operations, count, source, destination)) {
    return cuDeviceGetP2PAtomicCapabilities(capabilities, operations, count, source, destination);
}

CONTEXT(cudaDeviceEnablePeerAccess, (int peer, unsigned int flags), (peer, flags)) {
    CUdevice found;
    cudaError_t error = cuDeviceGet(&found, peer);
    if (error != CUDA_SUCCESS || flags != 0) return error != CUDA_SUCCESS ? error : CUDA_ERROR_INVALID_VALUE;
    return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
}

CONTEXT(cudaDeviceDisablePeerAccess, (int peer), (peer)) {
    CUdevice found;
    cudaError_t error = cuDeviceGet(&found, peer);
    return error == CUDA_SUCCESS ? CUDA_ERROR_PEER_ACCESS_NOT_ENABLED : error;
}

CONTEXT(cudaDeviceGetLimit, (size_t *value, int limit), (value, limit)) {
    return cuCtxGetLimit(value, limit);
}

CONTEXT(cudaDeviceSetLimit, (int limit, size_t value), (limit, value)) {
    return cuCtxSetLimit(limit, value);
}

CONTEXT(cudaDeviceGetCacheConfig, (int *config), (config)) {
    return cuCtxGetCacheConfig(config);
}

CONTEXT(cudaDeviceSetCacheConfig, (int config), (config)) {
    return cuCtxSetCacheConfig(config);
}

CONTEXT(cudaDeviceGetSharedMemConfig, (int *config), (config)) {
    if (config == NULL) return CUDA_ERROR_INVALID_VALUE;
    *config = 1; /* Four bytes, as on all devices of today. */
    return CUDA_SUCCESS;
}

CONTEXT(cudaDeviceSetSharedMemConfig, (int config), (config)) {
    (void)config;
    return CUDA_SUCCESS;
}

CONTEXT(cudaDeviceGetStreamPriorityRange, (int *least, int *greatest), (least, greatest)) {
    return cuCtxGetStreamPriorityRange(least, greatest);
}

CONTEXT(cudaCtxResetPersistingL2Cache, (void), ()) {
    return CUDA_SUCCESS;
}

PLAIN(cudaDriverGetVersion, (int *version), (version)) {
    return cuDriverGetVersion(version);
}

PLAIN(cudaRuntimeGetVersion, (int *version), (version)) {
    if (version == NULL) return CUDA_ERROR_INVALID_VALUE;
    *version = CUDART_MAJOR * 1000;
    return CUDA_SUCCESS;
}

PLAIN(cudaProfilerStart, (void), ()) {
    return CUDA_SUCCESS;
}

PLAIN(cudaProfilerStop, (void), ()) {
    return CUDA_SUCCESS;
}

/* As the driver's export tables: documented interfaces have none. */
PLAIN(cudaGetExportTable, (const void **table, const CUuuid *id), (table, id)) {
    (void)id;
    if (table != NULL) *table = NULL;
    return CUDA_ERROR_NOT_FOUND;
}

PLAIN(cudaGetDriverEntryPointByVersion, (const char *symbol, void **function, unsigned int version, unsigned long long flags, int *status),
      (symbol, function, version, flags, status)) {
    if (symbol == NULL || function == NULL) return CUDA_ERROR_INVALID_VALUE;
    /* A name that is not there is an answer, told by the status. */
    cudaError_t error = cuGetProcAddress_v2(symbol, function, (int)version, flags, status);
    return error == CUDA_ERROR_NOT_FOUND ? CUDA_SUCCESS : error;
}
RUNTIME_ALIAS(cudaGetDriverEntryPointByVersion_ptsz, cudaGetDriverEntryPointByVersion);

PLAIN(cudaGetDriverEntryPoint, (const char *symbol, void **function, unsigned long long flags, int *status),
      (symbol, function, flags, status)) {
    return cudaGetDriverEntryPointByVersion(symbol, function, CUDART_MAJOR * 1000, flags, status);
}
RUNTIME_ALIAS(cudaGetDriverEntryPoint_ptsz, cudaGetDriverEntryPoint);
