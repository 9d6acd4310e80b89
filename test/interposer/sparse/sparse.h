/* What the programs in this folder share: prototypes of cuSPARSE, from its documentation, and matrices of all types on both sides. */
#ifndef TEST_SPARSE_H
#define TEST_SPARSE_H

#include <math.h>
#include <stdbool.h>

#include "../driver/driver.h"
#include "../driver/elements.h"
#include "../driver/status.h"

typedef struct cusparseContext *cusparseHandle_t;
typedef struct cusparseMatDescr *cusparseMatDescr_t;
typedef struct cusparseSpMatDescr *cusparseSpMatDescr_t;
typedef struct cusparseDnMatDescr *cusparseDnMatDescr_t;
typedef struct cusparseDnVecDescr *cusparseDnVecDescr_t;
typedef struct cusparseSpSVDescr *cusparseSpSVDescr_t;
typedef struct cusparseSpSMDescr *cusparseSpSMDescr_t;
typedef struct cusparseSpGEMMDescr *cusparseSpGEMMDescr_t;
typedef struct bsrsv2Info *bsrsv2Info_t;
typedef struct bsrsm2Info *bsrsm2Info_t;

enum { OK = 0, NOT_INITIALIZED = 1, ALLOC_FAILED = 2, INVALID_VALUE = 3, EXECUTION_FAILED = 6, ZERO_PIVOT = 9, NOT_SUPPORTED = 10, TOO_SMALL = 11 };
enum { I32 = 2, I64 = 3, BY_COLUMNS = 1, BY_ROWS = 2 };

int cusparseCreate(cusparseHandle_t *handle);
int cusparseDestroy(cusparseHandle_t handle);
int cusparseSetStream(cusparseHandle_t handle, CUstream stream);
int cusparseGetStream(cusparseHandle_t handle, CUstream *stream);
int cusparseSetPointerMode(cusparseHandle_t handle, int mode);
int cusparseGetPointerMode(cusparseHandle_t handle, int *mode);
int cusparseGetVersion(cusparseHandle_t handle, int *version);
int cusparseGetProperty(int which, int *value);
const char *cusparseGetErrorName(int status);
const char *cusparseGetErrorString(int status);
int cusparseCreateMatDescr(cusparseMatDescr_t *descr);
int cusparseDestroyMatDescr(cusparseMatDescr_t descr);
int cusparseSetMatFillMode(cusparseMatDescr_t descr, int mode);
int cusparseSetMatDiagType(cusparseMatDescr_t descr, int diag);
int cusparseSetMatIndexBase(cusparseMatDescr_t descr, int base);
int cusparseCreateCsr(cusparseSpMatDescr_t *m, int64_t rows, int64_t cols, int64_t nnz, CUdeviceptr offsets, CUdeviceptr columns, CUdeviceptr values, int offsets_type, int columns_type, int base,
                      int type);
int cusparseCreateCoo(cusparseSpMatDescr_t *m, int64_t rows, int64_t cols, int64_t nnz, CUdeviceptr row, CUdeviceptr columns, CUdeviceptr values, int index_type, int base, int type);
int cusparseDestroySpMat(cusparseSpMatDescr_t m);
int cusparseCsrSetPointers(cusparseSpMatDescr_t m, CUdeviceptr offsets, CUdeviceptr columns, CUdeviceptr values);
int cusparseCooSetPointers(cusparseSpMatDescr_t m, CUdeviceptr rows, CUdeviceptr columns, CUdeviceptr values);
int cusparseCsrSetStridedBatch(cusparseSpMatDescr_t m, int count, int64_t offsets_stride, int64_t stride);
int cusparseCooSetStridedBatch(cusparseSpMatDescr_t m, int count, int64_t stride);
int cusparseSpMatSetAttribute(cusparseSpMatDescr_t m, int attribute, const void *data, size_t bytes);
int cusparseSpMatGetSize(cusparseSpMatDescr_t m, int64_t *rows, int64_t *cols, int64_t *nnz);
int cusparseCreateDnMat(cusparseDnMatDescr_t *m, int64_t rows, int64_t cols, int64_t ld, CUdeviceptr values, int type, int order);
int cusparseDestroyDnMat(cusparseDnMatDescr_t m);
int cusparseDnMatSetValues(cusparseDnMatDescr_t m, CUdeviceptr values);
int cusparseDnMatSetStridedBatch(cusparseDnMatDescr_t m, int count, int64_t stride);
int cusparseCreateDnVec(cusparseDnVecDescr_t *v, int64_t size, CUdeviceptr values, int type);
int cusparseDestroyDnVec(cusparseDnVecDescr_t v);
int cusparseDnVecSetValues(cusparseDnVecDescr_t v, CUdeviceptr values);

#define SPMV cusparseHandle_t, int op, const void *alpha, cusparseSpMatDescr_t a, cusparseDnVecDescr_t x, const void *beta, cusparseDnVecDescr_t y, int type, int algorithm
int cusparseSpMV_bufferSize(SPMV, size_t *bytes);
int cusparseSpMV(SPMV, CUdeviceptr buffer);
#define SPMM(A, B, C) cusparseHandle_t, int op_a, int op_b, const void *alpha, A a, B b, const void *beta, C c, int type, int algorithm
int cusparseSpMM_bufferSize(SPMM(cusparseSpMatDescr_t, cusparseDnMatDescr_t, cusparseDnMatDescr_t), size_t *bytes);
int cusparseSpMM(SPMM(cusparseSpMatDescr_t, cusparseDnMatDescr_t, cusparseDnMatDescr_t), CUdeviceptr buffer);
int cusparseSDDMM_bufferSize(SPMM(cusparseDnMatDescr_t, cusparseDnMatDescr_t, cusparseSpMatDescr_t), size_t *bytes);
int cusparseSDDMM_preprocess(SPMM(cusparseDnMatDescr_t, cusparseDnMatDescr_t, cusparseSpMatDescr_t), CUdeviceptr buffer);
int cusparseSDDMM(SPMM(cusparseDnMatDescr_t, cusparseDnMatDescr_t, cusparseSpMatDescr_t), CUdeviceptr buffer);
int cusparseSpSV_createDescr(cusparseSpSVDescr_t *d);
int cusparseSpSV_destroyDescr(cusparseSpSVDescr_t d);
#define SPSV cusparseHandle_t, int op, const void *alpha, cusparseSpMatDescr_t a, cusparseDnVecDescr_t x, cusparseDnVecDescr_t y, int type, int algorithm, cusparseSpSVDescr_t d
int cusparseSpSV_bufferSize(SPSV, size_t *bytes);
int cusparseSpSV_analysis(SPSV, CUdeviceptr buffer);
int cusparseSpSV_solve(SPSV);
int cusparseSpSM_createDescr(cusparseSpSMDescr_t *d);
int cusparseSpSM_destroyDescr(cusparseSpSMDescr_t d);
#define SPSM cusparseHandle_t, int op_a, int op_b, const void *alpha, cusparseSpMatDescr_t a, cusparseDnMatDescr_t b, cusparseDnMatDescr_t c, int type, int algorithm, cusparseSpSMDescr_t d
int cusparseSpSM_bufferSize(SPSM, size_t *bytes);
int cusparseSpSM_analysis(SPSM, CUdeviceptr buffer);
int cusparseSpSM_solve(SPSM);
int cusparseSpGEMM_createDescr(cusparseSpGEMMDescr_t *d);
int cusparseSpGEMM_destroyDescr(cusparseSpGEMMDescr_t d);
int cusparseSpGEMM_workEstimation(SPMM(cusparseSpMatDescr_t, cusparseSpMatDescr_t, cusparseSpMatDescr_t), cusparseSpGEMMDescr_t d, size_t *bytes, CUdeviceptr buffer);
int cusparseSpGEMM_compute(SPMM(cusparseSpMatDescr_t, cusparseSpMatDescr_t, cusparseSpMatDescr_t), cusparseSpGEMMDescr_t d, size_t *bytes, CUdeviceptr buffer);
int cusparseSpGEMM_copy(SPMM(cusparseSpMatDescr_t, cusparseSpMatDescr_t, cusparseSpMatDescr_t), cusparseSpGEMMDescr_t d);

/* One function for each type of elements, in a list that has its name. */
#define FOUR(name, ...)                                                                                                                 \
    int cusparseS##name(__VA_ARGS__);                                                                                                   \
    int cusparseD##name(__VA_ARGS__);                                                                                                   \
    int cusparseC##name(__VA_ARGS__);                                                                                                   \
    int cusparseZ##name(__VA_ARGS__);                                                                                                   \
    __attribute__((unused)) static int (*const name[])(__VA_ARGS__) = {cusparseS##name, cusparseD##name, cusparseC##name, cusparseZ##name};

/* Values of one type in the host's memory as it computes them, and as they lie on the device. */
static inline size_t pack(int type, const number *from, int count, void *into) {
    for (int i = 0; i < count; i++) put_element(type, into, (size_t)i, from[i]);
    return (size_t)count * element_bytes[type];
}

static inline CUdeviceptr device_bytes(size_t bytes) {
    CUdeviceptr at;
    CHECK(cuMemAlloc_v2(&at, bytes));
    CHECK(cuMemsetD8_v2(at, 0xff, bytes));
    return at;
}

static inline CUdeviceptr upload(const void *from, size_t bytes) {
    CUdeviceptr at = device_bytes(bytes == 0 ? 1 : bytes);
    if (bytes > 0) CHECK(cuMemcpyHtoD_v2(at, from, bytes));
    return at;
}

static inline CUdeviceptr upload_values(int type, const number *from, int count) {
    void *packed = malloc((size_t)count * sizeof(number));
    CUdeviceptr at = upload(packed, pack(type, from, count, packed));
    free(packed);
    return at;
}

static inline number *download(int type, CUdeviceptr at, int count) {
    number *into = malloc((size_t)count * sizeof *into);
    void *packed = malloc((size_t)count * sizeof *into);
    CHECK(cuMemcpyDtoH_v2(packed, at, (size_t)count * element_bytes[type]));
    for (int i = 0; i < count; i++) into[i] = element_of(type, packed, (size_t)i);
    free(packed);
    return into;
}

/* By columns, without gaps. */
static inline number *random_values(int type, int count) {
    number *values = malloc((size_t)count * sizeof *values);
    for (int i = 0; i < count; i++) values[i] = next_number(type);
    return values;
}

static inline number op_of(const number *a, int rows, int op, int i, int j) {
    return op == 0 ? a[i + j * rows] : op == 1 ? a[j + i * rows] : conj(a[j + i * rows]);
}

/* alpha op(A) op(B) + beta C, of m x k and k x n. */
static inline number *reference(number alpha, const number *a, int op_a, const number *b, int op_b, number beta, const number *c, int m, int k, int n) {
    number *result = malloc((size_t)(m * n) * sizeof *result);
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++) {
            number sum = 0;
            for (int l = 0; l < k; l++) sum += op_of(a, op_a == 0 ? m : k, op_a, i, l) * op_of(b, op_b == 0 ? k : n, op_b, l, j);
            result[i + j * m] = alpha * sum + (c == NULL ? 0 : beta * c[i + j * m]);
        }
    return result;
}

static inline bool is_near(const number *found, const number *wanted, int count, int type) {
    for (int i = 0; i < count; i++)
        if (!(cabs(found[i] - wanted[i]) <= tolerances[type] * (1 + cabs(wanted[i])))) return false;
    return true;
}

/* A sparse matrix on both sides: dense in the host's memory, and in compressed rows on the device, whose indices count from `base`. */
struct sparse {
    int type, rows, columns, count, base;
    number *dense;
    int offsets[32], row[256], column[256];
    number values[256];
    CUdeviceptr d_offsets, d_row, d_column, d_values;
};

/* About a third of the elements; with `shape` of -1 only those below the diagonal and it, of 1 those above it, and then it has no zeros. */
static inline struct sparse sparse_of(int type, int rows, int columns, int base, int shape) {
    struct sparse m = {.type = type, .rows = rows, .columns = columns, .base = base, .dense = calloc((size_t)(rows * columns), sizeof(number))};
    for (int i = 0; i < rows; i++) {
        m.offsets[i] = m.count + base;
        for (int j = 0; j < columns; j++) {
            bool is_there = shape != 0 && i == j ? true : (i * 7 + j * 5 + i * j) % 3 == 0 && (j - i) * shape >= 0;
            if (!is_there) continue;
            m.row[m.count] = i + base;
            m.column[m.count] = j + base;
            m.values[m.count] = m.dense[i + j * rows] = next_number(type) + (shape != 0 && i == j ? 3 : 0);
            m.count++;
        }
    }
    m.offsets[rows] = m.count + base;
    m.d_offsets = upload(m.offsets, 4 * (size_t)(rows + 1));
    m.d_row = upload(m.row, 4 * (size_t)m.count);
    m.d_column = upload(m.column, 4 * (size_t)m.count);
    m.d_values = upload_values(type, m.values, m.count);
    return m;
}

static inline cusparseSpMatDescr_t csr_of(const struct sparse *m) {
    cusparseSpMatDescr_t made;
    STATUS(cusparseCreateCsr(&made, m->rows, m->columns, m->count, m->d_offsets, m->d_column, m->d_values, I32, I32, m->base, data_types[m->type]), OK);
    return made;
}

static inline cusparseSpMatDescr_t coo_of(const struct sparse *m) {
    cusparseSpMatDescr_t made;
    STATUS(cusparseCreateCoo(&made, m->rows, m->columns, m->count, m->d_row, m->d_column, m->d_values, I32, m->base, data_types[m->type]), OK);
    return made;
}

static inline cusparseDnMatDescr_t dense_of(int type, int rows, int columns, CUdeviceptr at, int order) {
    cusparseDnMatDescr_t made;
    STATUS(cusparseCreateDnMat(&made, rows, columns, order == BY_COLUMNS ? rows : columns, at, data_types[type], order), OK);
    return made;
}

static inline cusparseDnVecDescr_t vector_of(int type, int size, CUdeviceptr at) {
    cusparseDnVecDescr_t made;
    STATUS(cusparseCreateDnVec(&made, size, at, data_types[type]), OK);
    return made;
}

/* A factor as the type has it. */
struct factor {
    double room[2];
};
static inline struct factor factor_of(int type, number value) {
    struct factor made = {{0, 0}};
    pack(type, &value, 1, &made);
    return made;
}

#endif
