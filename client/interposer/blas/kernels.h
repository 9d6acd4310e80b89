/* What kernels.cu takes, as the library gives it: included by both. Strides are elements, addresses those of the device. */
#ifndef SLUICE_BLAS_KERNELS_H
#define SLUICE_BLAS_KERNELS_H

#include <stdint.h>

/* A matrix, or a vector as a matrix of one column. An address of 0 says that there is none. */
struct blas_operand {
    uint64_t address;
    /* From one row to the next, from one column to the next, from one matrix of a batch to the next. */
    int64_t row, column, batch;
    int32_t type; /* cudaDataType */
    int32_t flags;
};
/*
 * Its numbers are conjugated; its address is of an array of addresses, one for each matrix of the batch. As a factor of `blas_multiply` it may stand in
 * its upper or lower triangle alone, seen by its own rows and columns: the other one is its mirror image, conjugated if it is Hermitian, or zeroes if
 * it is triangular, whose diagonal may be taken for ones.
 */
enum {
    BLAS_CONJUGATED = 1, BLAS_IS_TABLE = 2, BLAS_IN_UPPER = 4, BLAS_IN_LOWER = 8, BLAS_IS_HERMITIAN = 16, BLAS_IS_TRIANGULAR = 32, BLAS_IS_UNIT = 64
};

/* A number: in device memory, or with an address of 0 here. */
struct blas_factor {
    double real, imaginary;
    uint64_t address;
    int32_t type, is_conjugated;
};

/* Which elements are written: all, or those on, above or below the diagonal. */
enum { BLAS_ALL = 0, BLAS_UPPER = 1, BLAS_LOWER = 2 };

/* to = alpha x z + beta y, element by element; where there is no z it is 1, and where there is no y it is 0. */
struct blas_update {
    struct blas_operand to, x, z, y;
    struct blas_factor alpha, beta;
    int64_t rows, columns;
    int32_t part;
    /* Whether what has a factor of 0 is not read, else what is no number comes through. */
    int32_t skips;
};

/* Two vectors change places, or are rotated: x = c x + s y, y = c y - conj(s) x. */
struct blas_rotation {
    struct blas_operand x, y;
    struct blas_factor c, s;
    int64_t count;
    int32_t is_swap, reserved;
};

enum { BLAS_DOT = 0, BLAS_ASUM = 1, BLAS_NRM2 = 2, BLAS_AMAX = 3, BLAS_AMIN = 4 };

/* What a vector, or two, come to. Several blocks leave their parts in `parts`, BLAS_PART_BYTES each, to `blas_finish`. */
struct blas_reduction {
    struct blas_operand x, y;
    int64_t count;
    uint64_t parts, result;
    int32_t kind, result_type;
    int32_t part_count, reserved;
};
#define BLAS_PART_BYTES 32

/* T X = alpha B, where X takes the place of B: one block for each column of X and matrix of the batch. */
struct blas_solution {
    struct blas_operand t, x;
    struct blas_factor alpha;
    int64_t rows;
    /* T is lower triangular, or upper with `is_upper`; its diagonal is read, or with `is_unit` taken for ones. */
    int32_t is_upper, is_unit;
};
#define BLAS_SOLUTION_THREADS 64

/* C = alpha A B + beta C: op(A) has m rows and k columns by its strides, and so on; one block for each tile and matrix of the batch. */
struct blas_multiplication {
    struct blas_operand a, b, c;
    struct blas_factor alpha, beta;
    int64_t m, n, k;
    int32_t part, reserved;
};
#define BLAS_TILE 16

#endif
