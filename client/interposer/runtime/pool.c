/* Memory pools of the runtime API. */
#include "runtime.h"

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device);
CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice device);
CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool);
CUresult cuMemGetDefaultMemPool(CUmemoryPool *pool, CUmemLocation *place, int type);
CUresult cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *place, int type);
CUresult cuMemSetMemPool(CUmemLocation *place, int type, CUmemoryPool pool);
CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t bytes);
CUresult cuMemPoolGetAttribute(CUmemoryPool pool, int attribute, void *value);
CUresult cuMemPoolSetAttribute(CUmemoryPool pool, int attribute, void *value);
CUresult cuMemPoolGetAccess(int *flags, CUmemoryPool pool, const int *place);
CUresult cuMemPoolSetAccess(CUmemoryPool pool, const int *grants, size_t count);
CUresult cuMemPoolCreate(CUmemoryPool *pool, const void *wish);
CUresult cuMemPoolDestroy(CUmemoryPool pool);
CUresult cuMemAllocFromPoolAsync(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream);

SAME(cudaDeviceGetDefaultMemPool, cuDeviceGetDefaultMemPool, (CUmemoryPool * pool, int device), (pool, device))
SAME(cudaDeviceGetMemPool, cuDeviceGetMemPool, (CUmemoryPool * pool, int device), (pool, device))
SAME(cudaDeviceSetMemPool, cuDeviceSetMemPool, (int device, CUmemoryPool pool), (device, pool))
SAME(cudaMemGetDefaultMemPool, cuMemGetDefaultMemPool, (CUmemoryPool * pool, CUmemLocation *place, int type), (pool, place, type))
SAME(cudaMemGetMemPool, cuMemGetMemPool, (CUmemoryPool * pool, CUmemLocation *place, int type), (pool, place, type))
SAME(cudaMemSetMemPool, cuMemSetMemPool, (CUmemLocation * place, int type, CUmemoryPool pool), (place, type, pool))
SAME(cudaMemPoolTrimTo, cuMemPoolTrimTo, (CUmemoryPool pool, size_t bytes), (pool, bytes))
SAME(cudaMemPoolGetAttribute, cuMemPoolGetAttribute, (CUmemoryPool pool, int attribute, void *value), (pool, attribute, value))
SAME(cudaMemPoolSetAttribute, cuMemPoolSetAttribute, (CUmemoryPool pool, int attribute, void *value), (pool, attribute, value))
SAME(cudaMemPoolGetAccess, cuMemPoolGetAccess, (int *flags, CUmemoryPool pool, const int *place), (flags, pool, place))
SAME(cudaMemPoolSetAccess, cuMemPoolSetAccess, (CUmemoryPool pool, const int *grants, size_t count), (pool, grants, count))
SAME(cudaMemPoolCreate, cuMemPoolCreate, (CUmemoryPool * pool, const void *wish), (pool, wish))
SAME(cudaMemPoolDestroy, cuMemPoolDestroy, (CUmemoryPool pool), (pool))

CONTEXT(cudaMallocFromPoolAsync, (void **pointer, size_t bytes, CUmemoryPool pool, cudaStream_t stream), (pointer, bytes, pool, stream)) {
    CUdeviceptr address = 0;
    if (pointer == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = cuMemAllocFromPoolAsync(&address, bytes, pool, stream);
    *pointer = (void *)(uintptr_t)address;
    return error;
}
RUNTIME_ALIAS(cudaMallocFromPoolAsync_ptsz, cudaMallocFromPoolAsync);
