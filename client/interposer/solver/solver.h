/*
 * What the files of libcusolver share beyond what libraries of the server's do (library/library.h). Types and numbers are declared from NVIDIA's cuSOLVER
 * documentation; of versions 11 (CUDA 12) and 12 (CUDA 13) the functions that are served are alike.
 */
#ifndef SLUICE_SOLVER_H
#define SLUICE_SOLVER_H

#include "../library/library.h"

#include "../generated/solver-functions.h"

typedef struct library_handle *cusolverDnHandle_t;

enum {
    CUSOLVER_STATUS_SUCCESS = 0,
    CUSOLVER_STATUS_NOT_INITIALIZED = 1,
    CUSOLVER_STATUS_ALLOC_FAILED = 2,
    CUSOLVER_STATUS_INVALID_VALUE = 3,
    CUSOLVER_STATUS_EXECUTION_FAILED = 6,
    CUSOLVER_STATUS_NOT_SUPPORTED = 9,
};

#endif
