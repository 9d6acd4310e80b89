/* Launches: the configuration between <<< and >>>, and the calls that carry it. */
#include "runtime.h"

#define NESTED_MAX 32

struct configuration {
    struct dim3 grid, block;
    size_t shared_bytes;
    cudaStream_t stream;
};

/* The arguments of a launch may themselves launch. */
static __thread struct configuration pushed[NESTED_MAX];
static __thread int pushed_count;

EXPORT unsigned __cudaPushCallConfiguration(struct dim3 grid, struct dim3 block, size_t shared_bytes, cudaStream_t stream) {
    if (pushed_count == NESTED_MAX) return (unsigned)note_error(cudaErrorMissingConfiguration);
    pushed[pushed_count++] = (struct configuration){grid, block, shared_bytes, stream};
    return 0;
}

EXPORT cudaError_t __cudaPopCallConfiguration(struct dim3 *grid, struct dim3 *block, size_t *shared_bytes, void *stream) {
    if (pushed_count == 0) return note_error(cudaErrorMissingConfiguration);
    const struct configuration *top = &pushed[--pushed_count];
    *grid = top->grid;
    *block = top->block;
    *shared_bytes = top->shared_bytes;
    *(cudaStream_t *)stream = top->stream;
    return CUDA_SUCCESS;
}

/* The runtime has an error of its own for a shape that no device runs. */
static cudaError_t launch_error(cudaError_t error) {
    return error == CUDA_ERROR_INVALID_VALUE ? cudaErrorInvalidConfiguration : error;
}

static cudaError_t launch(CUkernel kernel, const struct configuration *shape, void **args) {
    if (shape->shared_bytes > 0xffffffffu) return cudaErrorInvalidConfiguration;
    return launch_error(cuLaunchKernel((CUfunction)kernel, shape->grid.x, shape->grid.y, shape->grid.z, shape->block.x, shape->block.y,
                                       shape->block.z, (unsigned int)shape->shared_bytes, shape->stream, args, NULL));
}

CONTEXT(cudaLaunchKernel,
        (const void *host, struct dim3 grid, struct dim3 block, void **args, size_t shared_bytes, cudaStream_t stream),
        (host, grid, block, args, shared_bytes, stream)) {
    CUkernel kernel;
    cudaError_t error = kernel_of(host, &kernel);
    if (error != CUDA_SUCCESS) return error;
    struct configuration shape = {grid, block, shared_bytes, stream};
    return launch(kernel, &shape, args);
}
RUNTIME_ALIAS(cudaLaunchKernel_ptsz, cudaLaunchKernel);

CONTEXT(cudaLaunchCooperativeKernel,
        (const void *host, struct dim3 grid, struct dim3 block, void **args, size_t shared_bytes, cudaStream_t stream),
        (host, grid, block, args, shared_bytes, stream)) {
    CUkernel kernel;
    cudaError_t error = kernel_of(host, &kernel);
    if (error != CUDA_SUCCESS) return error;
    if (shared_bytes > 0xffffffffu) return cudaErrorInvalidConfiguration;
    return launch_error(cuLaunchCooperativeKernel((CUfunction)kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                                  (unsigned int)shared_bytes, stream, args));
}
RUNTIME_ALIAS(cudaLaunchCooperativeKernel_ptsz, cudaLaunchCooperativeKernel);

CONTEXT(__cudaLaunchKernel, (CUkernel kernel, struct dim3 grid, struct dim3 block, void **args, size_t shared_bytes, cudaStream_t stream),
        (kernel, grid, block, args, shared_bytes, stream)) {
    if (kernel == NULL) return cudaErrorInvalidDeviceFunction;
    struct configuration shape = {grid, block, shared_bytes, stream};
    return launch(kernel, &shape, args);
}
RUNTIME_ALIAS(__cudaLaunchKernel_ptsz, __cudaLaunchKernel);

struct launch_config {
    struct dim3 grid, block;
    size_t shared_bytes;
    cudaStream_t stream;
    CUlaunchAttribute *attributes;
    unsigned int attribute_count;
};

CONTEXT(cudaLaunchKernelExC, (const struct launch_config *config, const void *host, void **args), (config, host, args)) {
    CUkernel kernel;
    if (config == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = kernel_of(host, &kernel);
    if (error != CUDA_SUCCESS) return error;
    CUlaunchConfig driver_config = {
        config->grid.x, config->grid.y, config->grid.z, config->block.x, config->block.y, config->block.z,
        (unsigned int)config->shared_bytes, config->stream, config->attributes, config->attribute_count,
    };
    return launch_error(cuLaunchKernelEx(&driver_config, (CUfunction)kernel, args, NULL));
}
RUNTIME_ALIAS(cudaLaunchKernelExC_ptsz, cudaLaunchKernelExC);

CONTEXT(cudaLaunchHostFunc, (cudaStream_t stream, CUhostFn function, void *user_data), (stream, function, user_data)) {
    return cuLaunchHostFunc(stream, function, user_data);
}
RUNTIME_ALIAS(cudaLaunchHostFunc_ptsz, cudaLaunchHostFunc);
