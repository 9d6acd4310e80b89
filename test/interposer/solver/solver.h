/* What the programs in this folder share: prototypes of cuSOLVER, from its documentation, and matrices of all types on both sides. */
#ifndef TEST_SOLVER_H
#define TEST_SOLVER_H

#include <math.h>
#include <stdbool.h>

#include "../driver/driver.h"
#include "../driver/elements.h"
#include "../driver/status.h"

typedef struct cusolverDnContext *cusolverDnHandle_t;
typedef struct cusolverDnParams *cusolverDnParams_t;
typedef struct gesvdjInfo *gesvdjInfo_t;
typedef struct syevjInfo *syevjInfo_t;

enum { OK = 0, NOT_INITIALIZED = 1, ALLOC_FAILED = 2, INVALID_VALUE = 3, EXECUTION_FAILED = 6, INTERNAL_ERROR = 7, NOT_SUPPORTED = 9 };
/* The real type of each, as cudaDataType. */
static const int real_types[] = {0, 1, 0, 1};
static const size_t real_bytes[] = {4, 8, 4, 8};

int cusolverGetVersion(int *version);
int cusolverGetProperty(int which, int *value);
int cusolverDnCreate(cusolverDnHandle_t *handle);
int cusolverDnDestroy(cusolverDnHandle_t handle);
int cusolverDnSetStream(cusolverDnHandle_t handle, CUstream stream);
int cusolverDnGetStream(cusolverDnHandle_t handle, CUstream *stream);
int cusolverDnCreateParams(cusolverDnParams_t *params);
int cusolverDnDestroyParams(cusolverDnParams_t params);
int cusolverDnCreateGesvdjInfo(gesvdjInfo_t *info);
int cusolverDnDestroyGesvdjInfo(gesvdjInfo_t info);
int cusolverDnXgesvdjSetTolerance(gesvdjInfo_t info, double tolerance);
int cusolverDnXgesvdjSetMaxSweeps(gesvdjInfo_t info, int sweeps);
int cusolverDnXgesvdjSetSortEig(gesvdjInfo_t info, int sorts);
int cusolverDnCreateSyevjInfo(syevjInfo_t *info);
int cusolverDnDestroySyevjInfo(syevjInfo_t info);
int cusolverDnXsyevjSetTolerance(syevjInfo_t info, double tolerance);
int cusolverDnXsyevjSetMaxSweeps(syevjInfo_t info, int sweeps);

/* One function for each type of elements, in a list that has its name. */
#define FAMILY(S, D, C, Z, name, ...)                                                                                                   \
    int cusolverDn##S(__VA_ARGS__);                                                                                                     \
    int cusolverDn##D(__VA_ARGS__);                                                                                                     \
    int cusolverDn##C(__VA_ARGS__);                                                                                                     \
    int cusolverDn##Z(__VA_ARGS__);                                                                                                     \
    __attribute__((unused)) static int (*const name[])(__VA_ARGS__) = {cusolverDn##S, cusolverDn##D, cusolverDn##C, cusolverDn##Z};
#define FOUR(name, ...) FAMILY(S##name, D##name, C##name, Z##name, name, __VA_ARGS__)

/* A matrix of columns one behind the other, here as numbers, and on the device as elements of its type with a gap behind each column. */
struct matrix {
    int type, rows, columns, leading;
    number *host;
    CUdeviceptr device;
};

enum { GAP = 3 };

/* As many elements as its last column reaches, and none more. */
static inline size_t matrix_bytes(const struct matrix *m) {
    return ((size_t)m->leading * (size_t)(m->columns - 1) + (size_t)m->rows) * element_bytes[m->type];
}

static inline void upload(const struct matrix *m) {
    void *elements = calloc(1, matrix_bytes(m));
    for (int j = 0; j < m->columns; j++)
        for (int i = 0; i < m->rows; i++) put_element(m->type, elements, (size_t)(i + j * m->leading), m->host[i + j * m->rows]);
    CHECK(cuMemcpyHtoD_v2(m->device, elements, matrix_bytes(m)));
    free(elements);
}

/* The device's elements. */
static inline number *download(const struct matrix *m) {
    void *elements = malloc(matrix_bytes(m));
    number *into = malloc((size_t)(m->rows * m->columns) * sizeof *into);
    CHECK(cuMemcpyDtoH_v2(elements, m->device, matrix_bytes(m)));
    for (int j = 0; j < m->columns; j++)
        for (int i = 0; i < m->rows; i++) into[i + j * m->rows] = element_of(m->type, elements, (size_t)(i + j * m->leading));
    free(elements);
    return into;
}

static inline struct matrix matrix_of(int type, int rows, int columns) {
    struct matrix m = {type, rows, columns, rows + GAP, malloc((size_t)(rows * columns) * sizeof(number)), 0};
    for (int i = 0; i < rows * columns; i++) m.host[i] = next_number(type);
    CHECK(cuMemAlloc_v2(&m.device, matrix_bytes(&m)));
    upload(&m);
    return m;
}

static inline void free_matrix(struct matrix *m) {
    CHECK(cuMemFree_v2(m->device));
    free(m->host);
}

/* Makes it Hermitian and positive definite, or only symmetric without conjugation. */
static inline void make_hermitian(struct matrix *m, bool is_definite) {
    int n = m->rows;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) m->host[j + i * n] = conj(m->host[i + j * n]);
    for (int i = 0; i < n; i++) m->host[i + i * n] = creal(m->host[i + i * n]) + (is_definite ? 2 * n : 0);
    upload(m);
}

static inline void make_symmetric(struct matrix *m) {
    for (int i = 0; i < m->rows; i++)
        for (int j = 0; j < i; j++) m->host[j + i * m->rows] = m->host[i + j * m->rows];
    upload(m);
}

/* C = op(A) op(B), of plain m x k and k x n; op 0 as it is, 1 transposed, 2 conjugate as well. */
static inline number *product(const number *a, int op_a, const number *b, int op_b, const int sizes[3]) {
    int m = sizes[0], k = sizes[1], n = sizes[2];
    number *c = calloc((size_t)(m * n), sizeof *c);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            for (int l = 0; l < k; l++) {
                number x = op_a == 0 ? a[i + l * m] : a[l + i * k], y = op_b == 0 ? b[l + j * k] : b[j + l * n];
                c[i + j * m] += (op_a == 2 ? conj(x) : x) * (op_b == 2 ? conj(y) : y);
            }
    return c;
}

/* Frees what it is given first. */
static inline bool is_near(number *found, const number *wanted, int count, int type) {
    bool is_so = true;
    for (int i = 0; i < count && is_so; i++) is_so = cabs(found[i] - wanted[i]) <= tolerances[type] * (4 + cabs(wanted[i]));
    free(found);
    return is_so;
}

/* Q^H Q = 1, of m x n. */
static inline bool is_unitary(const number *q, int m, int n, int type) {
    number *one = calloc((size_t)(n * n), sizeof *one);
    for (int i = 0; i < n; i++) one[i + i * n] = 1;
    bool is_so = is_near(product(q, 2, q, 0, (int[]){n, m, n}), one, n * n, type);
    free(one);
    return is_so;
}

/* Filled with what is no result, before anything in any stream. */
static inline CUdeviceptr device_bytes(size_t bytes) {
    CUdeviceptr at;
    CHECK(cuMemAlloc_v2(&at, bytes));
    CHECK(cuMemsetD8_v2(at, 0xff, bytes));
    CHECK(cuStreamSynchronize(NULL));
    return at;
}

static inline int device_int(CUdeviceptr at, int which) {
    int value;
    CHECK(cuMemcpyDtoH_v2(&value, at + 4 * (CUdeviceptr)which, 4));
    return value;
}

/* Real values of the device, in the type that goes with one of elements. */
static inline double *download_values(CUdeviceptr at, int type, int count) {
    struct matrix m = {type & 1, count, 1, count, NULL, at};
    number *found = download(&m);
    double *values = malloc((size_t)count * sizeof *values);
    for (int i = 0; i < count; i++) values[i] = creal(found[i]);
    free(found);
    return values;
}

#endif
