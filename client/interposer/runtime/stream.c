/* Streams, events and memory pools of the runtime API. */
#include "runtime.h"

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device);
CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice device);
CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool);
CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t bytes);
CUresult cuMemPoolGetAttribute(CUmemoryPool pool, int attribute, void *value);
CUresult cuMemPoolSetAttribute(CUmemoryPool pool, int attribute, void *value);
CUresult cuMemPoolCreate(CUmemoryPool *pool, const void *wish);
CUresult cuMemPoolDestroy(CUmemoryPool pool);
CUresult cuMemAllocFromPoolAsync(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream);

CONTEXT(cudaStreamCreate, (cudaStream_t * stream), (stream)) {
    return cuStreamCreateWithPriority(stream, 0, 0);
}

CONTEXT(cudaStreamCreateWithFlags, (cudaStream_t * stream, unsigned int flags), (stream, flags)) {
    return cuStreamCreateWithPriority(stream, flags, 0);
}

CONTEXT(cudaStreamCreateWithPriority, (cudaStream_t * stream, unsigned int flags, int priority), (stream, flags, priority)) {
    return cuStreamCreateWithPriority(stream, flags, priority);
}

CONTEXT(cudaStreamDestroy, (cudaStream_t stream), (stream)) {
    return cuStreamDestroy_v2(stream);
}

CONTEXT(cudaStreamSynchronize, (cudaStream_t stream), (stream)) {
    return cuStreamSynchronize(stream);
}
RUNTIME_ALIAS(cudaStreamSynchronize_ptsz, cudaStreamSynchronize);

CONTEXT(cudaStreamQuery, (cudaStream_t stream), (stream)) {
    return cuStreamQuery(stream);
}
RUNTIME_ALIAS(cudaStreamQuery_ptsz, cudaStreamQuery);

CONTEXT(cudaStreamWaitEvent, (cudaStream_t stream, cudaEvent_t event, unsigned int flags), (stream, event, flags)) {
    return cuStreamWaitEvent(stream, event, flags);
}
RUNTIME_ALIAS(cudaStreamWaitEvent_ptsz, cudaStreamWaitEvent);

CONTEXT(cudaStreamAddCallback, (cudaStream_t stream, CUstreamCallback callback, void *user_data, unsigned int flags),
        (stream, callback, user_data, flags)) {
    return cuStreamAddCallback(stream, callback, user_data, flags);
}
RUNTIME_ALIAS(cudaStreamAddCallback_ptsz, cudaStreamAddCallback);

CONTEXT(cudaStreamGetFlags, (cudaStream_t stream, unsigned int *flags), (stream, flags)) {
    return cuStreamGetFlags(stream, flags);
}
RUNTIME_ALIAS(cudaStreamGetFlags_ptsz, cudaStreamGetFlags);

CONTEXT(cudaStreamGetPriority, (cudaStream_t stream, int *priority), (stream, priority)) {
    return cuStreamGetPriority(stream, priority);
}
RUNTIME_ALIAS(cudaStreamGetPriority_ptsz, cudaStreamGetPriority);

CONTEXT(cudaStreamGetId, (cudaStream_t stream, unsigned long long *id), (stream, id)) {
    return cuStreamGetId(stream, id);
}
RUNTIME_ALIAS(cudaStreamGetId_ptsz, cudaStreamGetId);

CONTEXT(cudaStreamGetDevice, (cudaStream_t stream, int *device), (stream, device)) {
    return cuStreamGetDevice(stream, device);
}
RUNTIME_ALIAS(cudaStreamGetDevice_ptsz, cudaStreamGetDevice);

CONTEXT(cudaEventCreate, (cudaEvent_t * event), (event)) {
    return cuEventCreate(event, 0);
}

CONTEXT(cudaEventCreateWithFlags, (cudaEvent_t * event, unsigned int flags), (event, flags)) {
    return cuEventCreate(event, flags);
}

CONTEXT(cudaEventDestroy, (cudaEvent_t event), (event)) {
    return cuEventDestroy_v2(event);
}

CONTEXT(cudaEventRecord, (cudaEvent_t event, cudaStream_t stream), (event, stream)) {
    return cuEventRecord(event, stream);
}
RUNTIME_ALIAS(cudaEventRecord_ptsz, cudaEventRecord);

CONTEXT(cudaEventRecordWithFlags, (cudaEvent_t event, cudaStream_t stream, unsigned int flags), (event, stream, flags)) {
    return flags > 1 ? CUDA_ERROR_INVALID_VALUE : cuEventRecord(event, stream);
}
RUNTIME_ALIAS(cudaEventRecordWithFlags_ptsz, cudaEventRecordWithFlags);

CONTEXT(cudaEventQuery, (cudaEvent_t event), (event)) {
    return cuEventQuery(event);
}

CONTEXT(cudaEventSynchronize, (cudaEvent_t event), (event)) {
    return cuEventSynchronize(event);
}

CONTEXT(cudaEventElapsedTime, (float *milliseconds, cudaEvent_t start, cudaEvent_t end), (milliseconds, start, end)) {
    return cuEventElapsedTime_v2(milliseconds, start, end);
}
#if CUDART_MAJOR == 12
RUNTIME_ALIAS(cudaEventElapsedTime_v2, cudaEventElapsedTime);
#endif

CONTEXT(cudaDeviceGetDefaultMemPool, (CUmemoryPool * pool, int device), (pool, device)) {
    return cuDeviceGetDefaultMemPool(pool, device);
}

CONTEXT(cudaDeviceGetMemPool, (CUmemoryPool * pool, int device), (pool, device)) {
    return cuDeviceGetMemPool(pool, device);
}

CONTEXT(cudaDeviceSetMemPool, (int device, CUmemoryPool pool), (device, pool)) {
    return cuDeviceSetMemPool(device, pool);
}

CONTEXT(cudaMemPoolTrimTo, (CUmemoryPool pool, size_t bytes), (pool, bytes)) {
    return cuMemPoolTrimTo(pool, bytes);
}

CONTEXT(cudaMemPoolGetAttribute, (CUmemoryPool pool, int attribute, void *value), (pool, attribute, value)) {
    return cuMemPoolGetAttribute(pool, attribute, value);
}

CONTEXT(cudaMemPoolSetAttribute, (CUmemoryPool pool, int attribute, void *value), (pool, attribute, value)) {
    return cuMemPoolSetAttribute(pool, attribute, value);
}

CONTEXT(cudaMemPoolCreate, (CUmemoryPool * pool, const void *wish), (pool, wish)) {
    return cuMemPoolCreate(pool, wish);
}

CONTEXT(cudaMemPoolDestroy, (CUmemoryPool pool), (pool)) {
    return cuMemPoolDestroy(pool);
}

CONTEXT(cudaMallocFromPoolAsync, (void **pointer, size_t bytes, CUmemoryPool pool, cudaStream_t stream), (pointer, bytes, pool, stream)) {
    CUdeviceptr address = 0;
    if (pointer == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = cuMemAllocFromPoolAsync(&address, bytes, pool, stream);
    *pointer = (void *)(uintptr_t)address;
    return error;
}
RUNTIME_ALIAS(cudaMallocFromPoolAsync_ptsz, cudaMallocFromPoolAsync);
