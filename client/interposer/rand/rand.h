/*
 * What the files of libcurand share beyond what libraries of the server's do (library/library.h). Types and numbers are declared from NVIDIA's cuRAND documentation.
 */
#ifndef SLUICE_RAND_H
#define SLUICE_RAND_H

#include "../library/library.h"

#include "../generated/rand-functions.h"

/* What the version is where there is no server to ask, or it has no cuRAND. */
#define RAND_VERSION 10400

/* curandStatus_t. */
enum {
    CURAND_STATUS_SUCCESS = 0,
    CURAND_STATUS_NOT_INITIALIZED = 101,
    CURAND_STATUS_ALLOCATION_FAILED = 102,
    CURAND_STATUS_OUT_OF_RANGE = 104,
    CURAND_STATUS_LAUNCH_FAILURE = 201,
    CURAND_STATUS_INITIALIZATION_FAILED = 203,
    CURAND_STATUS_ARCH_MISMATCH = 204,
};

#endif
