/* The handle of cuBLAS: the modes that a program sets, and what products of it need. */
#ifndef SLUICE_BLAS_HANDLE_H
#define SLUICE_BLAS_HANDLE_H

#include "blas.h"

struct cublasContext {
    uint32_t magic;
    CUcontext context;
    CUstream stream;
    int pointer_mode, math_mode, atomics_mode, sm_count;
    /* A result on its way to the host, and parts of results, in device memory, for work of `stream` alone; 0 before the first. `lock` keeps it to one call at a time. */
    pthread_mutex_t lock;
    CUdeviceptr scratch;
    /* For what the server's cuBLAS does itself (carried.c); NULL before the first. */
    struct library_handle *carried;
};
typedef struct cublasContext *cublasHandle_t;

#define SCRATCH_BYTES (8 << 10)

/* Whether it is a handle that has not been destroyed; gives the thread its context where it has none. */
cublasStatus_t blas_handle_enter(cublasHandle_t handle);

/* carried.c */
void carried_end(cublasHandle_t handle);

/* With PEDANTIC among the handle's modes nothing is rounded that was not asked to be. */
static inline int handle_compute(const struct cublasContext *handle, int compute) {
    return (handle->math_mode & MATH_KIND) == MATH_PEDANTIC && compute == COMPUTE_32F ? COMPUTE_32F_PEDANTIC : compute;
}

/* A function of a handle: as BLAS, once the handle is known to be one. */
#define WITH_HANDLE(name, parameters, arguments)                                                                                        \
    static cublasStatus_t name##_inside parameters;                                                                                     \
    BLAS(name, parameters, arguments) {                                                                                                 \
        cublasStatus_t entered = blas_handle_enter(handle);                                                                             \
        return entered == CUBLAS_STATUS_SUCCESS ? name##_inside arguments : entered;                                                    \
    }                                                                                                                                   \
    static cublasStatus_t name##_inside parameters

#endif
