/*
 * How libcublas and libcublasLt reach the device: the entries of libcuda that are no functions of the driver API. The product is told as the wire
 * has it (proto/README.md, `multiply`), row by row, but for its stream.
 */
#ifndef SLUICE_MULTIPLY_H
#define SLUICE_MULTIPLY_H

#include "../generated/calls.h"
#include "cuda-api.h"

/*
 * Queues the product in the stream, or adds it to the stream's capture. Every operand must lie in one allocation of the stream's device, or the
 * result is CUDA_ERROR_INVALID_VALUE, after a report. CUDA_ERROR_NOT_SUPPORTED, with nothing queued, where the server cannot compute such products.
 */
CUresult sluiceMultiply(const struct sluice_multiply_call *product, CUstream stream);

/* The same answer about a product on the current context's device, in whose addresses stands what they will be multiples of; nothing is queued. */
CUresult sluiceCanMultiply(const struct sluice_multiply_call *product);

#endif
