/*
 * How libcublas and libcublasLt reach the device: the one entry of libcuda that is no function of the driver API. The product is told as the wire
 * has it (proto/README.md, `multiply`), row by row, but for its stream.
 */
#ifndef SLUICE_MULTIPLY_H
#define SLUICE_MULTIPLY_H

#include "../generated/calls.h"
#include "cuda-api.h"

/*
 * Queues the product in the stream, or adds it to the stream's capture. Every operand must lie in one allocation of the stream's device, or the
 * result is CUDA_ERROR_INVALID_VALUE, after a report.
 */
CUresult sluiceMultiply(const struct sluice_multiply_call *product, CUstream stream);

#endif
