/* For libraries on libcuda whose programs need not have opened a context: what cuBLAS, cuDNN and the like do with a device by themselves. */
#ifndef SLUICE_OWN_CONTEXT_H
#define SLUICE_OWN_CONTEXT_H

#include "cuda-graph-api.h"

/* Makes the first device's primary context current where the thread has none. */
static inline CUresult enter_context(void) {
    CUcontext current = NULL;
    CUdevice device;
    CUresult result = cuCtxGetCurrent(&current);
    if (result == CUDA_SUCCESS && current != NULL) return CUDA_SUCCESS;
    result = cuInit(0);
    if (result == CUDA_SUCCESS) result = cuDeviceGet(&device, 0);
    if (result == CUDA_SUCCESS) result = cuDevicePrimaryCtxRetain(&current, device);
    return result == CUDA_SUCCESS ? cuCtxSetCurrent(current) : result;
}

#endif
