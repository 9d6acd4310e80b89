/* Occupancy: how many blocks fit on a multiprocessor, by the documented limits of threads, blocks, registers and shared memory. */
#include <string.h>

#include "driver.h"

#define WARP_THREADS 32
#define WARPS_PER_ALLOCATION 4
#define REGISTERS_PER_ALLOCATION 256
#define SHARED_BYTES_PER_ALLOCATION 128

typedef size_t (*block_to_shared)(int block_size);

static unsigned round_up(unsigned value, unsigned unit) {
    return (value + unit - 1) / unit * unit;
}

static unsigned known(const struct device *device, int attribute, unsigned otherwise) {
    return device->attributes[attribute] > 0 ? (unsigned)device->attributes[attribute] : otherwise;
}

int blocks_that_fit(const struct function *function, unsigned threads, size_t shared_bytes) {
    const struct device *device = function->module->device;
    if (threads == 0 || threads > known(device, CU_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024)) return 0;
    if (function->threads_max != 0 && threads > function->threads_max) return 0;
    unsigned warps = round_up((threads + WARP_THREADS - 1) / WARP_THREADS, 1);
    unsigned blocks = known(device, CU_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 1024) / WARP_THREADS / warps;
    unsigned blocks_max = known(device, CU_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, 16);
    if (blocks > blocks_max) blocks = blocks_max;
    if (function->registers > 0) {
        unsigned per_warp = round_up(function->registers * WARP_THREADS, REGISTERS_PER_ALLOCATION);
        unsigned total = known(device, CU_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, 65536);
        unsigned by_registers = total / per_warp / WARPS_PER_ALLOCATION * WARPS_PER_ALLOCATION / warps;
        if (blocks > by_registers) blocks = by_registers;
    }
    uint64_t shared = (uint64_t)function->shared_bytes + shared_bytes;
    if (shared > 0) {
        shared += (unsigned)device->attributes[CU_ATTRIBUTE_RESERVED_SHARED_PER_BLOCK];
        shared = (shared + SHARED_BYTES_PER_ALLOCATION - 1) / SHARED_BYTES_PER_ALLOCATION * SHARED_BYTES_PER_ALLOCATION;
        uint64_t by_shared = known(device, CU_ATTRIBUTE_MAX_SHARED_PER_MULTIPROCESSOR, 64 << 10) / shared;
        if (blocks > by_shared) blocks = (unsigned)by_shared;
    }
    return (int)blocks;
}

static CUresult function_here(CUfunction handle, struct function **function) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result == CUDA_SUCCESS) result = function_of(handle, context, function);
    return result == CUDA_SUCCESS ? function_check(*function) : result;
}

API(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags,
    (int *blocks, CUfunction handle, int block_size, size_t shared_bytes, unsigned int flags),
    (blocks, handle, block_size, shared_bytes, flags)) {
    struct function *function;
    CUresult result = function_here(handle, &function);
    if (result != CUDA_SUCCESS) return result;
    if (blocks == NULL || block_size <= 0 || flags > 1) return CUDA_ERROR_INVALID_VALUE;
    *blocks = blocks_that_fit(function, (unsigned)block_size, shared_bytes);
    return CUDA_SUCCESS;
}

API(cuOccupancyMaxActiveBlocksPerMultiprocessor, (int *blocks, CUfunction function, int block_size, size_t shared_bytes),
    (blocks, function, block_size, shared_bytes)) {
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, block_size, shared_bytes, 0);
}

API(cuOccupancyAvailableDynamicSMemPerBlock, (size_t *bytes, CUfunction handle, int blocks, int block_size),
    (bytes, handle, blocks, block_size)) {
    struct function *function;
    CUresult result = function_here(handle, &function);
    if (result != CUDA_SUCCESS) return result;
    if (bytes == NULL || blocks <= 0 || block_size <= 0) return CUDA_ERROR_INVALID_VALUE;
    const struct device *device = function->module->device;
    size_t share = known(device, CU_ATTRIBUTE_MAX_SHARED_PER_MULTIPROCESSOR, 64 << 10) / (unsigned)blocks;
    size_t most = known(device, CU_ATTRIBUTE_MAX_SHARED_OPTIN, known(device, CU_ATTRIBUTE_MAX_SHARED_PER_BLOCK, 48 << 10));
    if (share > most) share = most;
    share = share / SHARED_BYTES_PER_ALLOCATION * SHARED_BYTES_PER_ALLOCATION;
    *bytes = share > function->shared_bytes ? share - function->shared_bytes : 0;
    return CUDA_SUCCESS;
}

/* The largest block, in whole warps, among those that keep the most threads busy. */
API(cuOccupancyMaxPotentialBlockSizeWithFlags,
    (int *grid_min, int *block_size, CUfunction handle, block_to_shared to_shared, size_t shared_bytes, int limit, unsigned int flags),
    (grid_min, block_size, handle, to_shared, shared_bytes, limit, flags)) {
    struct function *function;
    CUresult result = function_here(handle, &function);
    if (result != CUDA_SUCCESS) return result;
    if (grid_min == NULL || block_size == NULL || flags > 1) return CUDA_ERROR_INVALID_VALUE;
    const struct device *device = function->module->device;
    int most = (int)known(device, CU_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024);
    if (function->threads_max != 0 && (int)function->threads_max < most) most = (int)function->threads_max;
    if (limit > 0 && limit < most) most = limit;
    int best_threads = 0, best_size = 0, best_blocks = 0;
    for (int size = most; size > 0; size = (size - 1) / WARP_THREADS * WARP_THREADS) {
        int blocks = blocks_that_fit(function, (unsigned)size, to_shared != NULL ? to_shared(size) : shared_bytes);
        if (blocks * size > best_threads) {
            best_threads = blocks * size;
            best_size = size;
            best_blocks = blocks;
        }
    }
    *block_size = best_size;
    *grid_min = best_blocks * (int)known(device, CU_ATTRIBUTE_MULTIPROCESSOR_COUNT, 1);
    return CUDA_SUCCESS;
}

API(cuOccupancyMaxPotentialBlockSize,
    (int *grid_min, int *block_size, CUfunction function, block_to_shared to_shared, size_t shared_bytes, int limit),
    (grid_min, block_size, function, to_shared, shared_bytes, limit)) {
    CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int *, int *, CUfunction, block_to_shared, size_t, int, unsigned int);
    return cuOccupancyMaxPotentialBlockSizeWithFlags(grid_min, block_size, function, to_shared, shared_bytes, limit, 0);
}
