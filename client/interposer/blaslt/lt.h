/*
 * What the files of libcublasLt share: what stands in the opaque descriptors of programs, which may keep them on their stacks. So no size here may
 * exceed that of the opaque types (64 bytes for a layout and a preference, 184 for an operation in the oldest form).
 */
#ifndef SLUICE_BLASLT_H
#define SLUICE_BLASLT_H

#include "../blas/blas.h"

/* cublasLtOrder_t */
enum { ORDER_COLUMN = 0, ORDER_ROW = 1 };
/* cublasLtEpilogue_t: of its bits those that are served, beside none. */
enum { EPILOGUE_DEFAULT = 1, EPILOGUE_RELU = 2, EPILOGUE_BIAS = 4, EPILOGUE_GELU = 32 };
enum { FILL_FULL = 2 };

struct layout {
    uint32_t type, order;
    int32_t batch_count;
    uint32_t batch_mode;
    uint64_t rows, columns;
    int64_t leading, batch_stride, plane_offset;
};

struct operation {
    int32_t compute, scale, pointer_mode, op_a, op_b, op_c, fill;
    uint32_t epilogue;
    uint64_t bias;
    int64_t bias_stride;
    uint64_t aux;
    int64_t aux_leading, aux_stride, alpha_stride;
    uint64_t scale_a, scale_b, scale_c, scale_d, amax_d, aux_scale, aux_amax, scale_out, emulation;
    int32_t sm_count, aux_type, bias_type;
    /* Modes of the scales of A, B, C, D, aux and out. */
    int32_t scale_modes[6];
    int8_t fast_sums;
};

struct preference {
    uint32_t search, reductions, alignments[4];
    uint64_t workspace_bytes, implementations;
    float waves;
};

_Static_assert(sizeof(struct layout) <= 64, "a layout fits the opaque type");
_Static_assert(sizeof(struct preference) <= 64, "a preference fits the opaque type");
_Static_assert(sizeof(struct operation) <= 256, "an operation fits the opaque type");

/* There is one algorithm: the server's library chooses. */
struct algorithm {
    uint64_t magic;
    uint64_t reserved[7];
};

/* cublasLtMatmulHeuristicResult_t */
struct found_algorithm {
    struct algorithm algorithm;
    size_t workspace_bytes;
    cublasStatus_t state;
    float waves;
    int reserved[4];
};

#endif
