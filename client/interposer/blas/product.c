/*
 * A matrix product as cuBLAS describes it, column by column, made one `multiply` of the wire, row by row: a matrix read the other way is its
 * transpose, so C is had as its transpose from B and A in that order. What a call of the wire cannot say is refused with a line that says it.
 */
#include <math.h>
#include <string.h>

#include "blas.h"

/* Numbers of the wire's types. */
enum { WIRE_F32 = 0, WIRE_TF32 = 1, WIRE_F16 = 2, WIRE_BF16 = 3, WIRE_F64 = 4, WIRE_F16_F32 = 5, WIRE_BF16_F32 = 6, WIRE_I8_I32 = 7 };

#define COUNT_MAX 0x7fffffff

static const char *type_name(int type) {
    switch (type) {
    case R_32F: return "f32";
    case R_64F: return "f64";
    case R_16F: return "f16";
    case R_16BF: return "bf16";
    case R_8I: return "i8";
    case R_32I: return "i32";
    case R_8F_E4M3: return "f8e4m3";
    case R_8F_E5M2: return "f8e5m2";
    case C_32F:
    case C_64F: return "complex numbers";
    default: return "another type";
    }
}

/* f32 may be rounded to tf32 where the compute type says so, or where it leaves that to the handle's mode. */
static bool may_round(const struct product *product) {
    switch (product->compute) {
    case COMPUTE_32F_FAST_TF32:
    case COMPUTE_32F_FAST_16F:
    case COMPUTE_32F_FAST_16BF: return true;
    case COMPUTE_32F: return (product->math & MATH_KIND) == MATH_TF32 || (product->math & MATH_KIND) == MATH_TENSOR_OP;
    default: return false;
    }
}

/* The wire's number for floats of 8 bits: of its A and B, which are B and A here. 0 for other types. */
static uint32_t wire_narrow(const struct product *product) {
    if (!is_narrow(product->a.type)) return 0;
    return product->a.type == product->b.type ? 1 : product->b.type == R_8F_E4M3 ? 2 : 3;
}

/* The wire's type for a result of floats of 8 bits, or -1. Two of the wider kind have none. */
static int wire_result(const struct product *product) {
    int result = product->c.type;
    bool are_both_wide = product->a.type == R_8F_E5M2 && product->b.type == R_8F_E5M2;
    if (!product->may_be_narrow || !is_narrow(product->b.type) || are_both_wide || factor_type(product->compute) != R_32F) return -1;
    return result == R_32F ? WIRE_F32 : result == R_16F ? WIRE_F16 : result == R_16BF ? WIRE_BF16 : -1;
}

/* The wire's type for the product, or -1. Sums are f32 at least, which is more than f16 asks for. */
static int wire_type(const struct product *product) {
    int type = product->a.type, result = product->c.type, factors = factor_type(product->compute);
    if (is_narrow(type)) return wire_result(product);
    if (product->b.type != type) return -1;
    if (type == R_64F) return result == R_64F && factors == R_64F ? WIRE_F64 : -1;
    if (type == R_8I) return result == R_32I && factors == R_32I ? WIRE_I8_I32 : -1;
    if (type == R_16F && result == R_16F && factors == R_16F) return WIRE_F16;
    if (factors != R_32F) return -1;
    if (type == R_32F) return result != R_32F ? -1 : may_round(product) ? WIRE_TF32 : WIRE_F32;
    if (type == R_16F) return result == R_16F ? WIRE_F16 : result == R_32F ? WIRE_F16_F32 : -1;
    if (type == R_16BF) return result == R_16BF ? WIRE_BF16 : result == R_32F ? WIRE_BF16_F32 : -1;
    return -1;
}

bool product_is_served(const struct product *product) {
    return wire_type(product) >= 0;
}

int factor_type(int compute) {
    switch (compute) {
    case COMPUTE_16F:
    case COMPUTE_16F_PEDANTIC: return R_16F;
    case COMPUTE_32F:
    case COMPUTE_32F_PEDANTIC:
    case COMPUTE_32F_FAST_TF32:
    case COMPUTE_32F_FAST_16F:
    case COMPUTE_32F_FAST_16BF:
    case COMPUTE_32F_EMULATED_16BFX9: return R_32F;
    case COMPUTE_64F:
    case COMPUTE_64F_PEDANTIC:
    case COMPUTE_64F_EMULATED_FIXEDPOINT: return R_64F;
    case COMPUTE_32I:
    case COMPUTE_32I_PEDANTIC: return R_32I;
    default: return -1;
    }
}

static double half_value(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 31  ? (fraction == 0 ? INFINITY : NAN)
                   : exponent == 0 ? ldexp(fraction, -24)
                                   : ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 ? -value : value;
}

void read_number(const void *from, int type, double *real, double *imaginary) {
    float singles[2] = {0};
    double doubles[2] = {0};
    uint16_t half;
    uint32_t word;
    switch (type) {
    case R_64F:
    case C_64F:
        memcpy(doubles, from, type == C_64F ? 16 : 8);
        *real = doubles[0], *imaginary = doubles[1];
        return;
    case R_32F:
    case C_32F: memcpy(singles, from, type == C_32F ? 8 : 4); break;
    case R_32I:
        memcpy(&word, from, sizeof word);
        *real = (int32_t)word, *imaginary = 0;
        return;
    case R_16BF:
        memcpy(&half, from, sizeof half);
        word = (uint32_t)half << 16;
        memcpy(singles, &word, sizeof word);
        break;
    default:
        memcpy(&half, from, sizeof half);
        singles[0] = (float)half_value(half);
    }
    *real = (double)singles[0], *imaginary = (double)singles[1];
}

static cublasStatus_t read_factor(const void *from, const struct factors *factors, CUstream stream, double *value) {
    unsigned char bytes[8] = {0};
    double imaginary;
    size_t size = element_bytes(factors->type);
    if (from == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    if (factors->are_on_device) {
        CUresult result = cuMemcpyDtoHAsync_v2(bytes, (CUdeviceptr)(uintptr_t)from, size, stream);
        if (result != CUDA_SUCCESS) return blas_status_of(result);
    } else {
        memcpy(bytes, from, size);
    }
    read_number(bytes, factors->type, value, &imaginary);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t read_factors(const struct factors *factors, struct product *product) {
    int capture = 0;
    if (factors->are_on_device) {
        CUresult result = cuStreamIsCapturing(product->stream, &capture);
        if (result != CUDA_SUCCESS) return blas_status_of(result);
        /* A launch of the graph would have to read them anew. */
        if (capture != 0) return blas_refuse(product->function, "a stream that captures cannot read alpha and beta from device memory");
    }
    cublasStatus_t status = read_factor(factors->alpha, factors, product->stream, &product->alpha);
    return status == CUBLAS_STATUS_SUCCESS ? read_factor(factors->beta, factors, product->stream, &product->beta) : status;
}

static cublasStatus_t check(const struct product *product) {
    const struct matrix *a = &product->a, *b = &product->b;
    if (product->m < 0 || product->n < 0 || product->k < 0 || product->batch_count < 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_leading_of(a->leading, a->is_transposed ? product->k : product->m)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_leading_of(b->leading, b->is_transposed ? product->n : product->k)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_leading_of(product->c.leading, product->m)) return CUBLAS_STATUS_INVALID_VALUE;
    if (wire_type(product) < 0)
        return blas_refuse(product->function, "a product of %s and %s into %s with compute type %d is not served yet", type_name(product->a.type),
                      type_name(product->b.type), type_name(product->c.type), product->compute);
    const int64_t counts[] = {product->m, product->n, product->k, a->leading, b->leading, product->c.leading, product->batch_count};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i] > COUNT_MAX) return blas_refuse(product->function, "[%lld] is more than 2^31-1", (long long)counts[i]);
    return CUBLAS_STATUS_SUCCESS;
}

/* What is left where there is nothing to add: C = beta C, column by column. */
static cublasStatus_t scale(const struct product *product) {
    if (product->beta == 1) return CUBLAS_STATUS_SUCCESS;
    if (product->beta != 0) return blas_refuse(product->function, "a product of nothing with beta [%g] is not served yet", product->beta);
    size_t bytes = element_bytes(product->c.type);
    CUresult result = CUDA_SUCCESS;
    for (int64_t i = 0; i < product->batch_count && result == CUDA_SUCCESS; i++)
        result = cuMemsetD2D8Async(product->c.address + (uint64_t)(i * product->c.batch_stride) * bytes, (size_t)product->c.leading * bytes, 0,
                                   (size_t)product->m * bytes, (size_t)product->n, product->stream);
    return blas_status_of(result);
}

/* Whether one call of the wire can say where all matrices of the batch are. */
static bool is_one_call(const struct product *product) {
    const struct matrix *c = &product->c;
    if (product->batch_count == 1) return true;
    if (product->a.batch_stride < 0 || product->b.batch_stride < 0 || c->batch_stride < 0) return false;
    int64_t extent = (product->n - 1) * c->leading + product->m;
    bool is_beside = c->batch_stride >= product->m && (product->batch_count - 1) * c->batch_stride + product->m <= c->leading;
    return c->batch_stride >= extent || is_beside;
}

static struct sluice_multiply_call call_of(const struct product *product) {
    const struct matrix *a = &product->a, *b = &product->b, *c = &product->c;
    bool is_batch = product->batch_count > 1;
    return (struct sluice_multiply_call){
        .a = b->address, .b = a->address, .c = c->address,
        .stride_a = is_batch ? (uint64_t)b->batch_stride : 0, .stride_b = is_batch ? (uint64_t)a->batch_stride : 0,
        .stride_c = is_batch ? (uint64_t)c->batch_stride : 0,
        .m = (uint32_t)product->n, .n = (uint32_t)product->m, .k = (uint32_t)product->k,
        .lda = (uint32_t)b->leading, .ldb = (uint32_t)a->leading, .ldc = (uint32_t)c->leading,
        .batch_count = (uint32_t)product->batch_count, .type = (uint32_t)wire_type(product),
        .transpose_a = b->is_transposed, .transpose_b = a->is_transposed,
        .alpha = (float)product->alpha, .beta = (float)product->beta, .alpha_f64 = product->alpha, .beta_f64 = product->beta,
        .bias = product->bias, .activation = product->activation,
        .scale_a = product->scale_b, .scale_b = product->scale_a, .narrow = wire_narrow(product),
    };
}

static cublasStatus_t send(const struct product *product) {
    struct sluice_multiply_call call = call_of(product);
    return blas_status_of(sluiceMultiply(&call, product->stream));
}

static cublasStatus_t send_singly(const struct product *product) {
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    for (int64_t i = 0; i < product->batch_count && status == CUBLAS_STATUS_SUCCESS; i++) {
        struct product one = *product;
        one.batch_count = 1;
        one.a.address += (uint64_t)(i * one.a.batch_stride) * element_bytes(one.a.type);
        one.b.address += (uint64_t)(i * one.b.batch_stride) * element_bytes(one.b.type);
        one.c.address += (uint64_t)(i * one.c.batch_stride) * element_bytes(one.c.type);
        status = send(&one);
    }
    return status;
}

static bool is_empty(const struct product *product) {
    return product->m == 0 || product->n == 0 || product->batch_count == 0;
}

cublasStatus_t can_multiply(const struct product *product) {
    cublasStatus_t status = check(product);
    if (status != CUBLAS_STATUS_SUCCESS || is_empty(product) || product->k == 0) return status;
    struct product asked = *product;
    if (!is_one_call(product)) asked.batch_count = 1;
    struct sluice_multiply_call call = call_of(&asked);
    return blas_status_of(sluiceCanMultiply(&call));
}

cublasStatus_t multiply(const struct product *product) {
    cublasStatus_t status = check(product);
    if (status != CUBLAS_STATUS_SUCCESS || is_empty(product)) return status;
    bool is_finished = product->bias == 0 && product->activation == 0;
    if (product->k == 0 && !is_finished) return blas_refuse(product->function, "a product of nothing with an epilogue is not served yet");
    /* Of integers alpha is like any other: none of them is no number. */
    if (product->k == 0 || (product->alpha == 0 && is_finished && product->c.type != R_32I)) return scale(product);
    return is_one_call(product) ? send(product) : send_singly(product);
}
