/* cudaDeviceProp in the layouts of CUDA 12 and 13, which differ, filled from the device's attributes. */
#include <string.h>

#include "runtime.h"

/* Fields that CUDA 13 has dropped. */
#if CUDART_MAJOR == 12
#define ONLY_12(declaration) declaration;
#else
#define ONLY_12(declaration)
#endif

struct cudaDeviceProp {
    char name[256];
    CUuuid uuid;
    char luid[8];
    unsigned int luidDeviceNodeMask;
    size_t totalGlobalMem, sharedMemPerBlock;
    int regsPerBlock, warpSize;
    size_t memPitch;
    int maxThreadsPerBlock, maxThreadsDim[3], maxGridSize[3];
    ONLY_12(int clockRate)
    size_t totalConstMem;
    int major, minor;
    size_t textureAlignment, texturePitchAlignment;
    ONLY_12(int deviceOverlap)
    int multiProcessorCount;
    ONLY_12(int kernelExecTimeoutEnabled)
    int integrated, canMapHostMemory;
    ONLY_12(int computeMode)
    int maxTexture1D, maxTexture1DMipmap;
    ONLY_12(int maxTexture1DLinear)
    int maxTexture2D[2], maxTexture2DMipmap[2], maxTexture2DLinear[3], maxTexture2DGather[2];
    int maxTexture3D[3], maxTexture3DAlt[3], maxTextureCubemap, maxTexture1DLayered[2], maxTexture2DLayered[3];
    int maxTextureCubemapLayered[2];
    int maxSurface1D, maxSurface2D[2], maxSurface3D[3], maxSurface1DLayered[2], maxSurface2DLayered[3];
    int maxSurfaceCubemap, maxSurfaceCubemapLayered[2];
    size_t surfaceAlignment;
    int concurrentKernels, ECCEnabled, pciBusID, pciDeviceID, pciDomainID, tccDriver, asyncEngineCount, unifiedAddressing;
    ONLY_12(int memoryClockRate)
    int memoryBusWidth, l2CacheSize, persistingL2CacheMaxSize, maxThreadsPerMultiProcessor, streamPrioritiesSupported;
    int globalL1CacheSupported, localL1CacheSupported;
    size_t sharedMemPerMultiprocessor;
    int regsPerMultiprocessor, managedMemory, isMultiGpuBoard, multiGpuBoardGroupID, hostNativeAtomicSupported;
    ONLY_12(int singleToDoublePrecisionPerfRatio)
    int pageableMemoryAccess, concurrentManagedAccess, computePreemptionSupported, canUseHostPointerForRegisteredMem, cooperativeLaunch;
    ONLY_12(int cooperativeMultiDeviceLaunch)
    size_t sharedMemPerBlockOptin;
    int pageableMemoryAccessUsesHostPageTables, directManagedMemAccessFromHost, maxBlocksPerMultiProcessor, accessPolicyMaxWindowSize;
    size_t reservedSharedMemPerBlock;
    int hostRegisterSupported, sparseCudaArraySupported, hostRegisterReadOnlySupported, timelineSemaphoreInteropSupported;
    int memoryPoolsSupported, gpuDirectRDMASupported;
    unsigned int gpuDirectRDMAFlushWritesOptions;
    int gpuDirectRDMAWritesOrdering;
    unsigned int memoryPoolSupportedHandleTypes;
    int deferredMappingCudaArraySupported, ipcEventSupported, clusterLaunch, unifiedFunctionPointers;
    int reserved[63];
};

#if CUDART_MAJOR == 12
_Static_assert(sizeof(struct cudaDeviceProp) == 1032, "the layout of CUDA 12");
_Static_assert(offsetof(struct cudaDeviceProp, memoryBusWidth) == 612, "the layout of CUDA 12");
#else
_Static_assert(sizeof(struct cudaDeviceProp) == 1008, "the layout of CUDA 13");
#endif

struct source {
    unsigned short offset;
    unsigned short attribute;
    bool is_size;
};

#define INT(field, attribute) {offsetof(struct cudaDeviceProp, field), attribute, false}
#define SIZE(field, attribute) {offsetof(struct cudaDeviceProp, field), attribute, true}

static const struct source sources[] = {
    SIZE(sharedMemPerBlock, 8), INT(regsPerBlock, 12), INT(warpSize, 10), SIZE(memPitch, 11), INT(maxThreadsPerBlock, 1),
    INT(maxThreadsDim[0], 2), INT(maxThreadsDim[1], 3), INT(maxThreadsDim[2], 4), INT(maxGridSize[0], 5), INT(maxGridSize[1], 6),
    INT(maxGridSize[2], 7), SIZE(totalConstMem, 9), INT(major, 75), INT(minor, 76), SIZE(textureAlignment, 14),
    SIZE(texturePitchAlignment, 51), INT(multiProcessorCount, 16), INT(integrated, 18), INT(canMapHostMemory, 19), INT(maxTexture1D, 21),
    INT(maxTexture1DMipmap, 77), INT(maxTexture2D[0], 22), INT(maxTexture2D[1], 23), INT(maxTexture2DMipmap[0], 73),
    INT(maxTexture2DMipmap[1], 74), INT(maxTexture2DLinear[0], 70), INT(maxTexture2DLinear[1], 71), INT(maxTexture2DLinear[2], 72),
    INT(maxTexture2DGather[0], 45), INT(maxTexture2DGather[1], 46), INT(maxTexture3D[0], 24), INT(maxTexture3D[1], 25),
    INT(maxTexture3D[2], 26), INT(maxTexture3DAlt[0], 47), INT(maxTexture3DAlt[1], 48), INT(maxTexture3DAlt[2], 49),
    INT(maxTextureCubemap, 52), INT(maxTexture1DLayered[0], 42), INT(maxTexture1DLayered[1], 43), INT(maxTexture2DLayered[0], 27),
    INT(maxTexture2DLayered[1], 28), INT(maxTexture2DLayered[2], 29), INT(maxTextureCubemapLayered[0], 53),
    INT(maxTextureCubemapLayered[1], 54), INT(maxSurface1D, 55), INT(maxSurface2D[0], 56), INT(maxSurface2D[1], 57),
    INT(maxSurface3D[0], 58), INT(maxSurface3D[1], 59), INT(maxSurface3D[2], 60), INT(maxSurface1DLayered[0], 61),
    INT(maxSurface1DLayered[1], 62), INT(maxSurface2DLayered[0], 63), INT(maxSurface2DLayered[1], 64), INT(maxSurface2DLayered[2], 65),
    INT(maxSurfaceCubemap, 66), INT(maxSurfaceCubemapLayered[0], 67), INT(maxSurfaceCubemapLayered[1], 68), SIZE(surfaceAlignment, 30),
    INT(concurrentKernels, 31), INT(ECCEnabled, 32), INT(pciBusID, 33), INT(pciDeviceID, 34), INT(pciDomainID, 50), INT(tccDriver, 35),
    INT(asyncEngineCount, 40), INT(unifiedAddressing, 41), INT(memoryBusWidth, 37), INT(l2CacheSize, 38),
    INT(persistingL2CacheMaxSize, 108), INT(maxThreadsPerMultiProcessor, 39), INT(streamPrioritiesSupported, 78),
    INT(globalL1CacheSupported, 79), INT(localL1CacheSupported, 80), SIZE(sharedMemPerMultiprocessor, 81), INT(regsPerMultiprocessor, 82),
    INT(managedMemory, 83), INT(isMultiGpuBoard, 84), INT(multiGpuBoardGroupID, 85), INT(hostNativeAtomicSupported, 86),
    INT(pageableMemoryAccess, 88), INT(concurrentManagedAccess, 89), INT(computePreemptionSupported, 90),
    INT(canUseHostPointerForRegisteredMem, 91), INT(cooperativeLaunch, 95), SIZE(sharedMemPerBlockOptin, 97),
    INT(pageableMemoryAccessUsesHostPageTables, 100), INT(directManagedMemAccessFromHost, 101), INT(maxBlocksPerMultiProcessor, 106),
    INT(accessPolicyMaxWindowSize, 109), SIZE(reservedSharedMemPerBlock, 111), INT(hostRegisterSupported, 99),
    INT(sparseCudaArraySupported, 112), INT(hostRegisterReadOnlySupported, 113), INT(timelineSemaphoreInteropSupported, 114),
    INT(memoryPoolsSupported, 115), INT(gpuDirectRDMASupported, 116), INT(gpuDirectRDMAFlushWritesOptions, 117),
    INT(gpuDirectRDMAWritesOrdering, 118), INT(memoryPoolSupportedHandleTypes, 119), INT(deferredMappingCudaArraySupported, 121),
    INT(ipcEventSupported, 125), INT(clusterLaunch, 120), INT(unifiedFunctionPointers, 129),
#if CUDART_MAJOR == 12
    INT(clockRate, 13), INT(deviceOverlap, 15), INT(kernelExecTimeoutEnabled, 17), INT(computeMode, 20), INT(maxTexture1DLinear, 69),
    INT(memoryClockRate, 36), INT(singleToDoublePrecisionPerfRatio, 87), INT(cooperativeMultiDeviceLaunch, 96),
#endif
};

static cudaError_t fill_properties(struct cudaDeviceProp *properties, int device) {
    memset(properties, 0, sizeof *properties);
    cudaError_t error = cuDeviceGetName(properties->name, sizeof properties->name, device);
    if (error == CUDA_SUCCESS) error = cuDeviceGetUuid_v2(&properties->uuid, device);
    if (error == CUDA_SUCCESS) error = cuDeviceTotalMem_v2(&properties->totalGlobalMem, device);
    for (size_t i = 0; i < sizeof sources / sizeof *sources && error == CUDA_SUCCESS; i++) {
        int value = 0;
        error = cuDeviceGetAttribute(&value, sources[i].attribute, device);
        char *field = (char *)properties + sources[i].offset;
        size_t size = (size_t)(unsigned)value;
        if (sources[i].is_size) memcpy(field, &size, sizeof size);
        else memcpy(field, &value, sizeof value);
    }
    return error;
}

PLAIN(cudaGetDeviceProperties, (struct cudaDeviceProp *properties, int device), (properties, device)) {
    if (properties == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = cuInit(0);
    return error == CUDA_SUCCESS ? fill_properties(properties, device) : error;
}

#if CUDART_MAJOR == 12
/* The name that CUDA 12's headers use; the old one had a shorter structure, which a CUDA 12 program never passes. */
RUNTIME_ALIAS(cudaGetDeviceProperties_v2, cudaGetDeviceProperties);
#endif

/* Devices of a lease were chosen by the pool: the first that has the wanted capability will do. */
PLAIN(cudaChooseDevice, (int *device, const struct cudaDeviceProp *wanted), (device, wanted)) {
    int count = 0, major, minor;
    if (device == NULL || wanted == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = cuInit(0);
    if (error == CUDA_SUCCESS) error = cuDeviceGetCount(&count);
    *device = 0;
    for (int i = 0; i < count && error == CUDA_SUCCESS; i++) {
        error = cuDeviceGetAttribute(&major, CU_ATTRIBUTE_CAPABILITY_MAJOR, i);
        if (error == CUDA_SUCCESS) error = cuDeviceGetAttribute(&minor, CU_ATTRIBUTE_CAPABILITY_MINOR, i);
        if (error != CUDA_SUCCESS || major * 10 + minor < wanted->major * 10 + wanted->minor) continue;
        *device = i;
        break;
    }
    return error;
}
