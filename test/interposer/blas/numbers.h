/* For programs that go through all four types of cuBLAS: arrays of complex numbers on the host, of any type on the device, and functions by type. */
#ifndef TEST_BLAS_NUMBERS_H
#define TEST_BLAS_NUMBERS_H

#include <complex.h>

#include "blas.h"

enum { C_32F = 4, C_64F = 5 };
enum { LEFT = 0, RIGHT = 1, LOWER = 0, UPPER = 1, STORED = 0, UNIT = 1 };
typedef double complex number;

static cublasHandle_t handle;
static const int kinds[4] = {R_32F, R_64F, C_32F, C_64F};
static const double tolerances[4] = {2e-5, 1e-13, 2e-5, 1e-13};

/* One function of each type, as `name[type]`, after their declarations. */
#define BY_TYPE(name, suffix, parameters)                                                                                               \
    int cublasS##name##suffix parameters;                                                                                               \
    int cublasD##name##suffix parameters;                                                                                               \
    int cublasC##name##suffix parameters;                                                                                               \
    int cublasZ##name##suffix parameters;                                                                                               \
    static int(*const name[4]) parameters = {cublasS##name##suffix, cublasD##name##suffix, cublasC##name##suffix, cublasZ##name##suffix};

static inline int is_complex(int type) {
    return type == C_32F || type == C_64F;
}

static inline size_t bytes_of(int type) {
    return type == C_64F ? 16 : type == C_32F ? 8 : size_of(type);
}

static inline number read(const void *from, int type, size_t index) {
    if (!is_complex(type)) return get(from, type, index);
    int part = type == C_64F ? R_64F : R_32F;
    return get(from, part, 2 * index) + get(from, part, 2 * index + 1) * I;
}

static inline void write(void *to, int type, size_t index, number value) {
    if (!is_complex(type)) {
        put(to, type, index, creal(value));
        return;
    }
    int part = type == C_64F ? R_64F : R_32F;
    put(to, part, 2 * index, creal(value)), put(to, part, 2 * index + 1, cimag(value));
}

struct row {
    int type;
    size_t count;
    number *host;
    CUdeviceptr device;
};

static inline void row_send(struct row *row) {
    void *bytes = malloc(row->count * bytes_of(row->type));
    for (size_t i = 0; i < row->count; i++) write(bytes, row->type, i, row->host[i]);
    CHECK(cuMemcpyHtoD_v2(row->device, bytes, row->count * bytes_of(row->type)));
    CHECK(cuCtxSynchronize());
    free(bytes);
}

static inline struct row row_of(int type, size_t count) {
    struct row made = {.type = type, .count = count, .host = malloc(count * sizeof(number))};
    for (size_t i = 0; i < count; i++) made.host[i] = next_number() + (is_complex(type) ? next_number() * I : 0);
    CHECK(cuMemAlloc_v2(&made.device, count * bytes_of(type)));
    row_send(&made);
    return made;
}

static inline void *at(const struct row *row) {
    return (void *)(uintptr_t)row->device;
}

/* Whether the device has what the host has, to the last element. */
static inline void expect_row(const struct row *row, double tolerance, int line) {
    void *found = malloc(row->count * bytes_of(row->type));
    CHECK(cuCtxSynchronize());
    CHECK(cuMemcpyDtoH_v2(found, row->device, row->count * bytes_of(row->type)));
    for (size_t i = 0; i < row->count; i++) {
        number is = read(found, row->type, i), wanted = row->host[i];
        if (cabs(is - wanted) <= tolerance * (1 + cabs(wanted))) continue;
        printf("line %d: element %zu of type %d is %g%+gi, not %g%+gi\n", line, i, row->type, creal(is), cimag(is), creal(wanted), cimag(wanted));
        exit(1);
    }
    free(found);
}

static inline void row_drop(struct row *row) {
    free(row->host);
    CHECK(cuMemFree_v2(row->device));
}

/* A factor as the function of a type takes it. */
static inline const void *factor(int type, number value) {
    static char bytes[4][16];
    static int next;
    char *into = bytes[next++ % 4];
    write(into, type, 0, value);
    return into;
}

static inline number conjugated(int op, number value) {
    return op == OP_C ? conj(value) : value;
}

/* Element i of a vector, which an increment below 0 reads from its end. */
static inline size_t place(int n, int increment, int i) {
    return (size_t)(increment < 0 ? (1 - n + i) * increment : i * increment);
}

#endif
