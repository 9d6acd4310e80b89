/* Questions about kernels, their attributes and occupancy; libraries of the runtime API. */
#include <stdio.h>
#include <string.h>

#include "runtime.h"

struct function_attributes {
    size_t shared_bytes, constant_bytes, local_bytes;
    int threads_max, registers, ptx_version, binary_version, cache_mode, dynamic_shared_max, carveout;
    int rest[22];
};

CONTEXT(cudaFuncGetAttributes, (struct function_attributes *attributes, const void *host), (attributes, host)) {
    CUfunction function;
    int values[10] = {0};
    if (attributes == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = function_of_host(host, &function);
    for (int i = 0; i < 10 && error == CUDA_SUCCESS; i++) error = cuFuncGetAttribute(&values[i], i, function);
    if (error != CUDA_SUCCESS) return error;
    memset(attributes, 0, offsetof(struct function_attributes, rest) + 6 * sizeof(int));
    attributes->threads_max = values[0];
    attributes->shared_bytes = (size_t)values[1];
    attributes->constant_bytes = (size_t)values[2];
    attributes->local_bytes = (size_t)values[3];
    attributes->registers = values[4];
    attributes->ptx_version = values[5];
    attributes->binary_version = values[6];
    attributes->cache_mode = values[7];
    attributes->dynamic_shared_max = values[8];
    attributes->carveout = values[9];
    return CUDA_SUCCESS;
}

CONTEXT(cudaFuncSetAttribute, (const void *host, int attribute, int value), (host, attribute, value)) {
    CUfunction function;
    cudaError_t error = function_of_host(host, &function);
    return error == CUDA_SUCCESS ? cuFuncSetAttribute(function, attribute, value) : error;
}

CONTEXT(cudaFuncSetCacheConfig, (const void *host, int config), (host, config)) {
    CUfunction function;
    cudaError_t error = function_of_host(host, &function);
    return error == CUDA_SUCCESS ? cuFuncSetCacheConfig(function, config) : error;
}

CONTEXT(cudaFuncSetSharedMemConfig, (const void *host, int config), (host, config)) {
    CUfunction function;
    (void)config;
    return function_of_host(host, &function);
}

CONTEXT(cudaFuncGetName, (const char **name, const void *host), (name, host)) {
    CUkernel kernel;
    cudaError_t error = kernel_of(host, &kernel);
    return error == CUDA_SUCCESS ? cuKernelGetName(name, kernel) : error;
}

CONTEXT(cudaFuncGetParamInfo, (const void *host, size_t index, size_t *offset, size_t *size), (host, index, offset, size)) {
    CUkernel kernel;
    cudaError_t error = kernel_of(host, &kernel);
    return error == CUDA_SUCCESS ? cuKernelGetParamInfo(kernel, index, offset, size) : error;
}

CONTEXT(cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags,
        (int *blocks, const void *host, int block_size, size_t shared_bytes, unsigned int flags),
        (blocks, host, block_size, shared_bytes, flags)) {
    CUfunction function;
    cudaError_t error = function_of_host(host, &function);
    if (error != CUDA_SUCCESS) return error;
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, block_size, shared_bytes, flags);
}

CONTEXT(cudaOccupancyMaxActiveBlocksPerMultiprocessor, (int *blocks, const void *host, int block_size, size_t shared_bytes),
        (blocks, host, block_size, shared_bytes)) {
    CUfunction function;
    cudaError_t error = function_of_host(host, &function);
    if (error != CUDA_SUCCESS) return error;
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, block_size, shared_bytes, 0);
}

CONTEXT(cudaOccupancyAvailableDynamicSMemPerBlock, (size_t *bytes, const void *host, int blocks, int block_size),
        (bytes, host, blocks, block_size)) {
    CUfunction function;
    cudaError_t error = function_of_host(host, &function);
    return error == CUDA_SUCCESS ? cuOccupancyAvailableDynamicSMemPerBlock(bytes, function, blocks, block_size) : error;
}

CONTEXT(cudaLibraryLoadData,
        (CUlibrary *library, const void *code, int *jit_options, void **jit_values, unsigned int jit_count, int *options, void **values,
         unsigned int count),
        (library, code, jit_options, jit_values, jit_count, options, values, count)) {
    return cuLibraryLoadData(library, code, jit_options, jit_values, jit_count, options, values, count);
}

CONTEXT(cudaLibraryLoadFromFile,
        (CUlibrary *library, const char *path, int *jit_options, void **jit_values, unsigned int jit_count, int *options, void **values,
         unsigned int count),
        (library, path, jit_options, jit_values, jit_count, options, values, count)) {
    return cuLibraryLoadFromFile(library, path, jit_options, jit_values, jit_count, options, values, count);
}

CONTEXT(cudaKernelSetAttributeForDevice, (CUkernel kernel, int attribute, int value, int device), (kernel, attribute, value, device)) {
    return cuKernelSetAttribute(attribute, value, kernel, device);
}

CONTEXT(cudaLibraryUnload, (CUlibrary library), (library)) {
    return cuLibraryUnload(library);
}

/* Kernels of libraries may stand where the host address of a kernel is asked for. */
CONTEXT(cudaLibraryGetKernel, (CUkernel *kernel, CUlibrary library, const char *name), (kernel, library, name)) {
    cudaError_t error = cuLibraryGetKernel(kernel, library, name);
    if (error == CUDA_SUCCESS) kernel_remember(*kernel);
    return error;
}

CONTEXT(cudaLibraryGetKernelCount, (unsigned int *count, CUlibrary library), (count, library)) {
    return cuLibraryGetKernelCount(count, library);
}

CONTEXT(cudaLibraryEnumerateKernels, (CUkernel *kernels, unsigned int count, CUlibrary library), (kernels, count, library)) {
    unsigned int total = 0;
    cudaError_t error = cuLibraryEnumerateKernels(kernels, count, library);
    if (error == CUDA_SUCCESS) error = cuLibraryGetKernelCount(&total, library);
    for (unsigned int i = 0; error == CUDA_SUCCESS && i < count && i < total; i++) kernel_remember(kernels[i]);
    return error;
}

CONTEXT(cudaLibraryGetGlobal, (void **address, size_t *bytes, CUlibrary library, const char *name), (address, bytes, library, name)) {
    CUdeviceptr found = 0;
    cudaError_t error = cuLibraryGetGlobal(&found, bytes, library, name);
    if (error == CUDA_SUCCESS && address != NULL) *address = (void *)(uintptr_t)found;
    return error;
}
