/*
 * What the files of the runtime library share. The CUDA runtime API is served on top of the driver API, by its documented functions
 * alone. Error numbers of both are the same but for a few that only the runtime has. CUDART_MAJOR is the version that is built.
 */
#ifndef SLUICE_RUNTIME_H
#define SLUICE_RUNTIME_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/report.h"
#include "../driver/cuda-api.h"
#include "../driver/cuda-image-api.h"

#define EXPORT __attribute__((visibility("default")))

typedef int cudaError_t;
typedef CUstream cudaStream_t;
typedef CUevent cudaEvent_t;

enum {
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidPitchValue = 12,
    cudaErrorInvalidSymbol = 13,
    cudaErrorInvalidChannelDescriptor = 20,
    cudaErrorInvalidMemcpyDirection = 21,
    cudaErrorInvalidFilterSetting = 26,
    cudaErrorInvalidNormSetting = 27,
    cudaErrorInsufficientDriver = 35,
    cudaErrorMissingConfiguration = 52,
    cudaErrorInvalidDeviceFunction = 98,
};

struct dim3 {
    unsigned int x, y, z;
};

struct cudaExtent {
    size_t width, height, depth;
};

struct cudaPos {
    size_t x, y, z;
};

struct cudaPitchedPtr {
    void *ptr;
    size_t pitch, xsize, ysize;
};

struct cudaChannelFormatDesc {
    int x, y, z, w, kind;
};

/* cudaMemcpyKind */
enum { COPY_HOST_TO_HOST = 0, COPY_HOST_TO_DEVICE = 1, COPY_DEVICE_TO_HOST = 2, COPY_DEVICE_TO_DEVICE = 3, COPY_DEFAULT = 4 };

/* Remembers the error for cudaGetLastError and returns it. */
cudaError_t note_error(cudaError_t error);

/* Initialises the driver, and gives the thread the primary context of its device unless it has a context already. */
cudaError_t enter_context(void);

void trace_runtime(const char *name, cudaError_t error);
const char *error_name(cudaError_t error);

/* Defines a function of the API: CONTEXT needs a current context, PLAIN does not. Errors are remembered per thread. */
#define RUNTIME_DEFINE(check, name, parameters, arguments)                                                                              \
    static cudaError_t name##_body parameters;                                                                                          \
    EXPORT cudaError_t name parameters {                                                                                                \
        cudaError_t error = check;                                                                                                      \
        if (error == CUDA_SUCCESS) error = name##_body arguments;                                                                       \
        if (__builtin_expect(trace_on, 0)) trace_runtime(#name, error);                                                                 \
        return error == CUDA_SUCCESS ? error : note_error(error);                                                                       \
    }                                                                                                                                   \
    static cudaError_t name##_body parameters
#define CONTEXT(name, parameters, arguments) RUNTIME_DEFINE(enter_context(), name, parameters, arguments)
#define PLAIN(name, parameters, arguments) RUNTIME_DEFINE(CUDA_SUCCESS, name, parameters, arguments)
/* Defines functions of the runtime API that are the driver's by another name. */
#define SAME(name, driver_name, parameters, arguments)                                                                                  \
    CONTEXT(name, parameters, arguments) {                                                                                              \
        return driver_name arguments;                                                                                                   \
    }
#define RUNTIME_ALIAS(alias_name, name) EXPORT __typeof__(name) alias_name __attribute__((alias(#name)))

/* array.c: formats as both APIs have them. */
cudaError_t format_of(const struct cudaChannelFormatDesc *channel, int *format, unsigned int *channels);
struct cudaChannelFormatDesc channel_of(int format, unsigned int channels);
/* Bytes of an element of an array. */
cudaError_t element_bytes(CUarray array, size_t *bytes);

/* copy.c: boxes as the driver has them. */
struct box_parameters {
    CUarray src_array;
    struct cudaPos src_position;
    struct cudaPitchedPtr src;
    CUarray dst_array;
    struct cudaPos dst_position;
    struct cudaPitchedPtr dst;
    struct cudaExtent extent;
    int kind;
};
cudaError_t box_of_parameters(const struct box_parameters *wanted, CUDA_MEMCPY3D *box);
CUDA_MEMCPY3D rectangle_box(void *to, size_t to_pitch, const void *from, size_t from_pitch);
cudaError_t set_memory_types(CUDA_MEMCPY3D *box, int kind);
/* Where a part of a variable is; the end of the part must lie within it. */
cudaError_t part_of_symbol(const void *symbol, size_t offset, size_t bytes, CUdeviceptr *address);

/* registry.c: what is registered under a host address; a kernel's own handle is an address of itself. */
cudaError_t kernel_of(const void *host, CUkernel *kernel);
cudaError_t function_of_host(const void *host, CUfunction *function);
cudaError_t symbol_of(const void *host, CUdeviceptr *address, size_t *bytes);
void kernel_remember(CUkernel kernel);
/* The host address that stands for a kernel, or the kernel itself. */
const void *host_of_kernel(CUkernel kernel);

#endif
