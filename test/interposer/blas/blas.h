/* What the programs in this folder share: prototypes of cuBLAS, from its documentation, the driver calls around it, and a product on the host. */
#ifndef TEST_BLAS_H
#define TEST_BLAS_H

#include <math.h>
#include <stdbool.h>

#include "../driver/driver.h"

typedef struct cublasContext *cublasHandle_t;

enum { OK = 0, NOT_INITIALIZED = 1, ALLOC_FAILED = 3, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum { OP_N, OP_T, OP_C };
enum { R_32F = 0, R_64F = 1, R_16F = 2, R_8I = 3, R_32I = 10, R_16BF = 14, R_8F_E4M3 = 28, R_8F_E5M2 = 29 };
enum { COMPUTE_16F = 64, COMPUTE_32F = 68, COMPUTE_32F_PEDANTIC = 69, COMPUTE_64F = 70, COMPUTE_32I = 72, COMPUTE_32F_FAST_TF32 = 77 };

int cublasCreate_v2(cublasHandle_t *handle);
int cublasDestroy_v2(cublasHandle_t handle);
int cublasGetVersion_v2(cublasHandle_t handle, int *version);
int cublasGetProperty(int which, int *value);
const char *cublasGetStatusName(int status);
const char *cublasGetStatusString(int status);
int cublasSetStream_v2(cublasHandle_t handle, CUstream stream);
int cublasGetStream_v2(cublasHandle_t handle, CUstream *stream);
int cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes);
int cublasSetMathMode(cublasHandle_t handle, int mode);
int cublasGetMathMode(cublasHandle_t handle, int *mode);
int cublasSetPointerMode_v2(cublasHandle_t handle, int mode);
int cublasGetPointerMode_v2(cublasHandle_t handle, int *mode);
int cublasSgemm_v2(cublasHandle_t handle, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a, int lda, const float *b,
                   int ldb, const float *beta, float *c, int ldc);
int cublasSgemm_v2_64(cublasHandle_t handle, int op_a, int op_b, int64_t m, int64_t n, int64_t k, const float *alpha, const float *a,
                      int64_t lda, const float *b, int64_t ldb, const float *beta, float *c, int64_t ldc);
int cublasGemmEx(cublasHandle_t handle, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a, int a_type, int lda,
                 const void *b, int b_type, int ldb, const void *beta, void *c, int c_type, int ldc, int compute, int algorithm);
int cublasGemmStridedBatchedEx(cublasHandle_t handle, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a, int a_type,
                               int lda, long long stride_a, const void *b, int b_type, int ldb, long long stride_b, const void *beta, void *c,
                               int c_type, int ldc, long long stride_c, int count, int compute, int algorithm);

/*
 * Whether the program is told that NVIDIA's own library computes products: it may round less than it is allowed to, and approximates tanh. For all else it
 * is held to the same.
 */
static inline bool is_by_card(int argc, char **argv) {
    return argc > 1 && strcmp(argv[1], "card") == 0;
}

/* Ends the program unless the call has just this status. */
#define STATUS(call, wanted)                                                                                                            \
    do {                                                                                                                                \
        int status_is = (call);                                                                                                         \
        if (status_is != (wanted)) {                                                                                                    \
            printf("line %d: %s: %s, not %s\n", __LINE__, #call, cublasGetStatusName(status_is), cublasGetStatusName(wanted));          \
            exit(1);                                                                                                                    \
        }                                                                                                                               \
    } while (0)

/* Numbers of a repeatable sequence, from -1 to 1 in steps of 1/8: exact in all types, and so are sums of a few products. */
static inline double next_number(void) {
    static uint32_t state = 12345;
    state = state * 1664525u + 1013904223u;
    return ((int)(state >> 16) % 17 - 8) / 8.0;
}

static inline size_t size_of(int type) {
    return type == R_64F ? 8 : type == R_32F || type == R_32I ? 4 : type == R_8I || type >= R_8F_E4M3 ? 1 : 2;
}

/* Floats of 8 bits: e5m2 is the upper half of an f16; of e4m3 normal numbers and 0 alone. */
static inline double narrow_value(int type, uint8_t bits) {
    uint16_t half = (uint16_t)(bits << 8);
    _Float16 value;
    memcpy(&value, &half, sizeof value);
    if (type == R_8F_E5M2) return (double)value;
    return (bits & 127) == 0 ? 0 : ldexp((bits >> 7 ? -1.0 : 1.0) * (8 + (bits & 7)), (bits >> 3 & 15) - 10);
}

static inline uint8_t narrow_bits(int type, double value) {
    _Float16 rounded = (_Float16)value;
    uint16_t half;
    memcpy(&half, &rounded, sizeof half);
    if (type == R_8F_E5M2 || value == 0) return (uint8_t)(half >> 8);
    int exponent = ilogb(value);
    return (uint8_t)((value < 0 ? 128 : 0) | (exponent + 7) << 3 | ((int)ldexp(fabs(value), 3 - exponent) & 7));
}

static inline double get(const void *from, int type, size_t index) {
    uint32_t word;
    float value;
    switch (type) {
    case R_64F: return ((const double *)from)[index];
    case R_32F: return ((const float *)from)[index];
    case R_16F: return (double)((const _Float16 *)from)[index];
    case R_8F_E4M3:
    case R_8F_E5M2: return narrow_value(type, ((const uint8_t *)from)[index]);
    case R_8I: return ((const int8_t *)from)[index];
    case R_32I: return ((const int32_t *)from)[index];
    default:
        word = (uint32_t)((const uint16_t *)from)[index] << 16;
        memcpy(&value, &word, sizeof value);
        return value;
    }
}

static inline void put(void *to, int type, size_t index, double value) {
    uint32_t word;
    float single = (float)value;
    switch (type) {
    case R_64F: ((double *)to)[index] = value; return;
    case R_32F: ((float *)to)[index] = single; return;
    case R_16F: ((_Float16 *)to)[index] = (_Float16)single; return;
    case R_8F_E4M3:
    case R_8F_E5M2: ((uint8_t *)to)[index] = narrow_bits(type, value); return;
    case R_8I: ((int8_t *)to)[index] = (int8_t)value; return;
    case R_32I: ((int32_t *)to)[index] = (int32_t)value; return;
    default:
        memcpy(&word, &single, sizeof word);
        ((uint16_t *)to)[index] = (uint16_t)((word + 0x7fff + (word >> 16 & 1)) >> 16);
    }
}

/* An array on both sides. */
struct array {
    int type;
    size_t count;
    void *host;
    CUdeviceptr device;
};

static inline struct array array_of(int type, size_t count) {
    struct array made = {.type = type, .count = count, .host = malloc(count * size_of(type))};
    double scale = type == R_8I || type == R_32I ? 120 : 1;
    for (size_t i = 0; i < count; i++) put(made.host, type, i, scale * next_number());
    CHECK(cuMemAlloc_v2(&made.device, count * size_of(type)));
    CHECK(cuMemcpyHtoD_v2(made.device, made.host, count * size_of(type)));
    /* Streams that do not wait for the default one are used, too. */
    CHECK(cuCtxSynchronize());
    return made;
}

static inline void array_drop(struct array *array) {
    free(array->host);
    CHECK(cuMemFree_v2(array->device));
}

static inline void *on_device(const struct array *array) {
    return (void *)(uintptr_t)array->device;
}

/* A product as the functions take it. */
struct wanted {
    int op_a, op_b;
    int m, n, k, lda, ldb, ldc, count;
    long long stride_a, stride_b, stride_c;
    double alpha, beta;
};

/* The product on the host, into the host's side of C. Sums are f64; what comes out is rounded once. */
static inline void host_product(const struct wanted *w, const struct array *a, const struct array *b, struct array *c) {
    for (int batch = 0; batch < w->count; batch++)
        for (int column = 0; column < w->n; column++)
            for (int row = 0; row < w->m; row++) {
                double sum = 0;
                for (int i = 0; i < w->k; i++) {
                    long long at_a = batch * w->stride_a + (w->op_a == OP_N ? (long long)i * w->lda + row : (long long)row * w->lda + i);
                    long long at_b = batch * w->stride_b + (w->op_b == OP_N ? (long long)column * w->ldb + i : (long long)i * w->ldb + column);
                    sum += get(a->host, a->type, (size_t)at_a) * get(b->host, b->type, (size_t)at_b);
                }
                size_t at = (size_t)(batch * w->stride_c + (long long)column * w->ldc + row);
                put(c->host, c->type, at, w->alpha * sum + (w->beta == 0 ? 0 : w->beta * get(c->host, c->type, at)));
            }
}

/* Whether the device's side is the host's, to the last element, also those between columns that no product may touch. */
static inline void expect_same(const struct array *array, double tolerance, int line) {
    void *found = malloc(array->count * size_of(array->type));
    CHECK(cuCtxSynchronize());
    CHECK(cuMemcpyDtoH_v2(found, array->device, array->count * size_of(array->type)));
    for (size_t i = 0; i < array->count; i++) {
        double is = get(found, array->type, i), wanted = get(array->host, array->type, i);
        if (fabs(is - wanted) <= tolerance * (1 + fabs(wanted)) || (isnan(is) && isnan(wanted))) continue;
        printf("line %d: element %zu of type %d is %g, not %g\n", line, i, array->type, is, wanted);
        exit(1);
    }
    free(found);
}

#endif
