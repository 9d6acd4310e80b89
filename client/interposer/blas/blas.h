/*
 * What the files of libcublas and libcublasLt share. Both are served on the driver API's documented functions and two entries of this project's own
 * (driver/multiply.h). Types and numbers are declared from NVIDIA's cuBLAS documentation. BLAS_MAJOR is the version that is built.
 */
#ifndef SLUICE_BLAS_H
#define SLUICE_BLAS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/report.h"
#include "../driver/cuda-graph-api.h"
#include "../driver/multiply.h"

#define EXPORT __attribute__((visibility("default")))

/* What cublasGetVersion answers: functions up to this version of the library are there by name. */
#define BLAS_MINOR (BLAS_MAJOR == 12 ? 9 : 1)
#define BLAS_PATCH 1
#define BLAS_VERSION (BLAS_MAJOR * 10000 + BLAS_MINOR * 100 + BLAS_PATCH)
#define BLAS_CUDART_VERSION (BLAS_MAJOR * 1000 + BLAS_MINOR * 10)

typedef int cublasStatus_t;

enum {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_NOT_INITIALIZED = 1,
    CUBLAS_STATUS_ALLOC_FAILED = 3,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_ARCH_MISMATCH = 8,
    CUBLAS_STATUS_MAPPING_ERROR = 11,
    CUBLAS_STATUS_EXECUTION_FAILED = 13,
    CUBLAS_STATUS_INTERNAL_ERROR = 14,
    CUBLAS_STATUS_NOT_SUPPORTED = 15,
    CUBLAS_STATUS_LICENSE_ERROR = 16,
};

/* cublasOperation_t; of real numbers the conjugate transpose is the transpose. */
enum { OP_N = 0, OP_T = 1, OP_C = 2 };
static inline bool is_op(int operation) {
    return operation >= OP_N && operation <= OP_C;
}
static inline bool is_leading_of(int64_t leading, int64_t rows) {
    return leading >= (rows > 1 ? rows : 1);
}

/* cublasPointerMode_t */
enum { POINTER_HOST = 0, POINTER_DEVICE = 1 };

/* cublasMath_t: one of these, and flags from 16 on. */
enum { MATH_DEFAULT = 0, MATH_TENSOR_OP = 1, MATH_PEDANTIC = 2, MATH_TF32 = 3, MATH_KIND = 15 };

/* cudaDataType */
enum { R_32F = 0, R_64F = 1, R_16F = 2, R_8I = 3, C_32F = 4, C_64F = 5, R_32I = 10, R_16BF = 14, R_8F_E4M3 = 28, R_8F_E5M2 = 29 };

/* cublasComputeType_t */
enum {
    COMPUTE_16F = 64,
    COMPUTE_16F_PEDANTIC = 65,
    COMPUTE_32F = 68,
    COMPUTE_32F_PEDANTIC = 69,
    COMPUTE_64F = 70,
    COMPUTE_64F_PEDANTIC = 71,
    COMPUTE_32I = 72,
    COMPUTE_32I_PEDANTIC = 73,
    COMPUTE_32F_FAST_16F = 74,
    COMPUTE_32F_FAST_16BF = 75,
    COMPUTE_32F_FAST_TF32 = 77,
    COMPUTE_32F_EMULATED_16BFX9 = 78,
    COMPUTE_64F_EMULATED_FIXEDPOINT = 79,
};

/* Whether it is one of the floats of 8 bits. */
static inline bool is_narrow(int type) {
    return type == R_8F_E4M3 || type == R_8F_E5M2;
}

/* Bytes of an element of a type that may be served. */
static inline size_t element_bytes(int type) {
    return type == R_64F ? 8 : type == R_32F || type == R_32I ? 4 : type == R_8I || is_narrow(type) ? 1 : 2;
}

/* A matrix as it stands in memory, column by column. */
struct matrix {
    uint64_t address;
    int type;
    /* Elements from one column to the next, and from one matrix of a batch to the next. */
    int64_t leading, batch_stride;
    /* Whether op() transposes it. */
    bool is_transposed;
};

/* C = alpha op(A) op(B) + beta C, column by column: op(A) has m rows and k columns, op(B) k rows and n columns. */
struct product {
    const char *function; /* Who asks, for reports. */
    int64_t m, n, k, batch_count;
    struct matrix a, b, c;
    int compute;
    int math; /* cublasMath_t, for what is asked without a compute type of its own. */
    double alpha, beta;
    /* Elements of C's type, one for each of its rows, which are added to its columns; 0 for none. */
    uint64_t bias;
    /* Then, by the wire's number: 0 nothing, 1 what is below 0 becomes 0, 2 GELU. */
    uint32_t activation;
    /* Whether A and B may be floats of 8 bits; and of an f32 each, by which the product is multiplied then, or 0. */
    bool may_be_narrow;
    uint64_t scale_a, scale_b;
    CUstream stream;
};

/* Where a library's factors are, and how to read them. */
struct factors {
    const void *alpha, *beta;
    int type; /* cudaDataType */
    bool are_on_device;
};

/* product.c */
/* Queues the product, or says why not. Everything of `product` is checked here; its shapes with CUBLAS_STATUS_INVALID_VALUE as documented. */
cublasStatus_t multiply(const struct product *product);
/* Whether the product's types can be served; reports nothing. */
bool product_is_served(const struct product *product);
/* Whether the server can compute such a product, in whose addresses stands what they will be multiples of; CUBLAS_STATUS_NOT_SUPPORTED where not. */
cublasStatus_t can_multiply(const struct product *product);
/* Reads the factors; those on the device by a wait for the stream. `beta` may be NULL. */
cublasStatus_t read_factors(const struct factors *factors, struct product *product);
/* A number of the host's, of any of the types above. */
void read_number(const void *from, int type, double *real, double *imaginary);
/* The type of the factors that goes with a compute type, or -1. */
int factor_type(int compute);

/* status.c */
/* Makes sure that the thread has a context, as the runtime would. */
cublasStatus_t blas_enter(void);
cublasStatus_t blas_status_of(CUresult result);
/* One line on stderr about what is not served, and CUBLAS_STATUS_NOT_SUPPORTED. */
__attribute__((format(printf, 2, 3))) cublasStatus_t blas_refuse(const char *function, const char *format, ...);
cublasStatus_t version_property(int which, int *value);
const char *status_name(cublasStatus_t status);
const char *status_text(cublasStatus_t status);
void trace_blas(const char *name, cublasStatus_t status);

/* Defines a function of either API, whose result the trace gets. */
#define BLAS(name, parameters, arguments)                                                                                               \
    static cublasStatus_t name##_body parameters;                                                                                       \
    EXPORT cublasStatus_t name parameters;                                                                                              \
    EXPORT cublasStatus_t name parameters {                                                                                             \
        cublasStatus_t status = name##_body arguments;                                                                                  \
        if (__builtin_expect(trace_on, 0)) trace_blas(#name, status);                                                                   \
        return status;                                                                                                                  \
    }                                                                                                                                   \
    static cublasStatus_t name##_body parameters

#endif
