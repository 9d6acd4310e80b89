/*
 * What does not fit: matrices whose arrays are shorter than their sizes say, memory that is the host's, that was freed since or is another's, sizes that are no sizes or that
 * no number holds, work areas that are too small or gone, descriptors that are none or of another kind, functions that are not served. Each is refused by its own call,
 * and the next one works.
 */
#include "sparse.h"

#define BLOCKS cusparseMatDescr_t, CUdeviceptr values, CUdeviceptr offsets, CUdeviceptr columns, int block
int cusparseSbsrmm(cusparseHandle_t, int direction, int op_a, int op_b, int mb, int n, int kb, int nnzb, const void *alpha, BLOCKS, CUdeviceptr b, int ldb, const void *beta, CUdeviceptr c, int ldc);
int cusparseCreateBsrsv2Info(bsrsv2Info_t *info);
int cusparseSbsrsv2_bufferSize(cusparseHandle_t, int direction, int op, int mb, int nnzb, BLOCKS, bsrsv2Info_t info, int *bytes);
int cusparseSbsrsv2_analysis(cusparseHandle_t, int direction, int op, int mb, int nnzb, BLOCKS, bsrsv2Info_t info, int policy, CUdeviceptr buffer);
int cusparseSbsrsv2_solve(cusparseHandle_t, int direction, int op, int mb, int nnzb, const void *alpha, BLOCKS, bsrsv2Info_t info, CUdeviceptr f, CUdeviceptr x, int policy, CUdeviceptr buffer);
int cusparseXcoo2csr(cusparseHandle_t, CUdeviceptr rows, int nnz, int m, CUdeviceptr offsets, int base);
int cusparseSpVV(void);
int cusparseScsrilu02(void);

enum { N = 8 };
static cusparseHandle_t handle;
static const float one = 1, none = 0;
static CUdeviceptr x, y, buffer;
static cusparseDnVecDescr_t from, into;

static int multiply_into(cusparseSpMatDescr_t matrix, cusparseDnVecDescr_t vector, CUdeviceptr work) {
    return cusparseSpMV(handle, 0, &one, matrix, from, &none, vector, 0, 0, work);
}
static int multiply(cusparseSpMatDescr_t matrix) {
    return multiply_into(matrix, into, buffer);
}

static cusparseSpMatDescr_t matrix_of(int64_t rows, int64_t columns, int64_t count, CUdeviceptr offsets, CUdeviceptr column, CUdeviceptr values) {
    cusparseSpMatDescr_t made;
    STATUS(cusparseCreateCsr(&made, rows, columns, count, offsets, column, values, I32, I32, 0, 0), OK);
    return made;
}

static void check_arrays(const struct sparse *a) {
    CUdeviceptr offsets = a->d_offsets, column = a->d_column, values = a->d_values;
    int host[64] = {0};
    size_t count = (size_t)a->count;
    STATUS(multiply(matrix_of(N, N, a->count, device_bytes(4 * N + 3), column, values)), INVALID_VALUE);
    STATUS(multiply(matrix_of(N, N, a->count, offsets, device_bytes(4 * count - 1), values)), INVALID_VALUE);
    STATUS(multiply(matrix_of(N, N, a->count, offsets, column, device_bytes(4 * count - 1))), INVALID_VALUE);
    STATUS(multiply(matrix_of(N, N, a->count, (CUdeviceptr)host, column, values)), INVALID_VALUE);
    STATUS(multiply(matrix_of(N, N, a->count, offsets, column + 4096 * 4096, values)), INVALID_VALUE);
    STATUS(multiply(matrix_of(N, N, 1ll << 62, offsets, column, values)), INVALID_VALUE);
    STATUS(multiply(matrix_of(INT64_MAX, N, a->count, offsets, column, values)), INVALID_VALUE);
    STATUS(multiply(matrix_of(-N, N, a->count, offsets, column, values)), INVALID_VALUE);
    STATUS(multiply(matrix_of(N, N, -1, offsets, column, values)), INVALID_VALUE);
    cusparseSpMatDescr_t wide;
    STATUS(cusparseCreateCsr(&wide, N, N, a->count, offsets, column, values, I64, I32, 0, 0), OK);
    STATUS(multiply(wide), INVALID_VALUE);
    STATUS(cusparseCreateCsr(&wide, N, N, a->count, offsets, column, values, 77, I32, 0, 0), OK);
    STATUS(multiply(wide), INVALID_VALUE);
    STATUS(cusparseCreateCoo(&wide, N, N, a->count, offsets, column, values, I32, 0, 0), OK);
    STATUS(multiply(wide), INVALID_VALUE);
    /* A batch reaches farther, and none reaches back. */
    cusparseSpMatDescr_t batch = matrix_of(N, N, a->count, offsets, column, values);
    STATUS(cusparseCsrSetStridedBatch(batch, 2, 0, a->count), OK);
    STATUS(multiply(batch), INVALID_VALUE);
    STATUS(cusparseCsrSetStridedBatch(batch, 2, 0, -1000000), OK);
    STATUS(multiply(batch), INVALID_VALUE);
    STATUS(cusparseCsrSetStridedBatch(batch, 2, INT64_MAX, INT64_MAX), OK);
    STATUS(multiply(batch), INVALID_VALUE);
    STATUS(cusparseCsrSetStridedBatch(batch, 1, 0, 0), OK);
    STATUS(multiply(batch), OK);
}

static void check_later(const struct sparse *a) {
    cusparseSpMatDescr_t matrix = csr_of(a);
    CUdeviceptr gone = upload_values(0, a->values, a->count), freed = device_bytes(4 * N), little = device_bytes(4);
    cusparseDnVecDescr_t vector = vector_of(0, N, freed);
    STATUS(multiply(matrix), OK);
    STATUS(cusparseCsrSetPointers(matrix, a->d_offsets, a->d_column, gone), OK);
    STATUS(multiply(matrix), OK);
    CHECK(cuMemFree_v2(gone));
    STATUS(multiply(matrix), INVALID_VALUE);
    STATUS(cusparseCsrSetPointers(matrix, a->d_offsets, a->d_column, little), OK);
    STATUS(multiply(matrix), INVALID_VALUE);
    STATUS(cusparseCsrSetPointers(matrix, a->d_offsets, a->d_column, a->d_values), OK);
    STATUS(multiply(matrix), OK);
    STATUS(cusparseCooSetPointers(matrix, a->d_offsets, a->d_column, a->d_values), OK);
    STATUS(multiply(matrix), INVALID_VALUE);
    matrix = csr_of(a);
    STATUS(multiply_into(matrix, vector, buffer), OK);
    CHECK(cuMemFree_v2(freed));
    STATUS(multiply_into(matrix, vector, buffer), INVALID_VALUE);
    STATUS(cusparseDnVecSetValues(vector, y + 4), OK);
    STATUS(multiply_into(matrix, vector, buffer), INVALID_VALUE);
    STATUS(cusparseDnVecSetValues(vector, y), OK);
    STATUS(multiply_into(matrix, vector, buffer), OK);
}

static void check_dense(const struct sparse *a) {
    cusparseSpMatDescr_t matrix = csr_of(a);
    CUdeviceptr square = device_bytes(4 * N * N);
    cusparseDnMatDescr_t good = dense_of(0, N, N, square, BY_COLUMNS), bad;
    const int64_t leading[] = {N + 1, INT64_MAX / 2, -1};
    STATUS(cusparseSpMM(handle, 0, 0, &one, matrix, good, &none, good, 0, 0, buffer), OK);
    for (int i = 0; i < 3; i++) {
        STATUS(cusparseCreateDnMat(&bad, N, N, leading[i], square, 0, BY_COLUMNS), OK);
        STATUS(cusparseSpMM(handle, 0, 0, &one, matrix, good, &none, bad, 0, 0, buffer), INVALID_VALUE);
        STATUS(cusparseSpMM(handle, 0, 0, &one, matrix, bad, &none, good, 0, 0, buffer), INVALID_VALUE);
    }
    STATUS(cusparseCreateDnMat(&bad, N, N, N, square, 1, BY_COLUMNS), OK);
    STATUS(cusparseSpMM(handle, 0, 0, &one, matrix, good, &none, bad, 0, 0, buffer), INVALID_VALUE);
    STATUS(cusparseCreateDnMat(&bad, N, N, N, square, 0, 3), OK);
    STATUS(cusparseSpMM(handle, 0, 0, &one, matrix, good, &none, bad, 0, 0, buffer), INVALID_VALUE);
    STATUS(cusparseDnMatSetStridedBatch(good, 2, N * N), OK);
    STATUS(cusparseSpMM(handle, 0, 0, &one, matrix, good, &none, good, 0, 0, buffer), INVALID_VALUE);
    STATUS(cusparseDnMatSetStridedBatch(good, 2, -N * N), OK);
    STATUS(cusparseSpMM(handle, 0, 0, &one, matrix, good, &none, good, 0, 0, buffer), INVALID_VALUE);
}

static void check_descriptors(const struct sparse *a) {
    cusparseSpMatDescr_t matrix = csr_of(a);
    int64_t rows, columns, count;
    int mode;
    STATUS(multiply_into(NULL, into, buffer), INVALID_VALUE);
    STATUS(multiply_into((cusparseSpMatDescr_t)from, into, buffer), INVALID_VALUE);
    STATUS(multiply_into(matrix, (cusparseDnVecDescr_t)matrix, buffer), INVALID_VALUE);
    STATUS(cusparseSpMV(NULL, 0, &one, matrix, from, &none, into, 0, 0, buffer), INVALID_VALUE);
    STATUS(cusparseSpMV(handle, 0, NULL, matrix, from, &none, into, 0, 0, buffer), INVALID_VALUE);
    STATUS(cusparseSpMV(handle, 0, &one, matrix, from, &none, into, 99, 0, buffer), INVALID_VALUE);
    STATUS(cusparseSpMV(handle, 9, &one, matrix, from, &none, into, 0, 0, buffer), INVALID_VALUE);
    STATUS(cusparseSpMatGetSize((cusparseSpMatDescr_t)into, &rows, &columns, &count), INVALID_VALUE);
    STATUS(cusparseSpMatSetAttribute(matrix, 0, &mode, 1 << 20), INVALID_VALUE);
    STATUS(cusparseSpMatSetAttribute(matrix, 0, NULL, 4), INVALID_VALUE);
    STATUS(cusparseDestroySpMat((cusparseSpMatDescr_t)into), INVALID_VALUE);
    /* What could not be set is told by whoever uses it. */
    mode = 5;
    STATUS(cusparseSpMatSetAttribute(matrix, 0, &mode, sizeof mode), OK);
    STATUS(multiply(matrix), INVALID_VALUE);
    mode = 0;
    STATUS(cusparseSpMatSetAttribute(matrix, 0, &mode, sizeof mode), OK);
    STATUS(multiply(matrix), OK);
    STATUS(cusparseSetPointerMode(handle, 1), NOT_SUPPORTED);
    STATUS(cusparseSpVV(), NOT_SUPPORTED);
    STATUS(cusparseScsrilu02(), NOT_SUPPORTED);
    EXPECT(strcmp(cusparseGetErrorName(NOT_SUPPORTED), "CUSPARSE_STATUS_NOT_SUPPORTED") == 0 && strlen(cusparseGetErrorString(77)) > 0);
}

static void check_work(void) {
    struct sparse own = sparse_of(0, N, N, 1, -1);
    cusparseSpMatDescr_t matrix = csr_of(&own);
    cusparseSpSVDescr_t solver;
    cusparseSpGEMMDescr_t product;
    size_t bytes;
    STATUS(cusparseSpMV_bufferSize(handle, 0, &one, matrix, from, &none, into, 0, 0, &bytes), OK);
    CUdeviceptr small = device_bytes(bytes - 1), work = device_bytes(bytes);
    STATUS(multiply_into(matrix, into, small), INVALID_VALUE);
    STATUS(multiply_into(matrix, into, 0), INVALID_VALUE);
    STATUS(multiply_into(matrix, into, work), OK);
    STATUS(cusparseSpSV_createDescr(&solver), OK);
#define SYSTEM handle, 0, &one, matrix, from, into, 0, 0, solver
    STATUS(cusparseSpSV_solve(SYSTEM), INVALID_VALUE);
    STATUS(cusparseSpSV_bufferSize(SYSTEM, &bytes), OK);
    STATUS(cusparseSpSV_analysis(SYSTEM, device_bytes(bytes - 1)), INVALID_VALUE);
    STATUS(cusparseSpSV_analysis(SYSTEM, work), OK);
    STATUS(cusparseSpSV_solve(SYSTEM), OK);
    CHECK(cuMemFree_v2(work));
    /* Another system: its calls are told of alone, as the first of their kind. */
    cusparseSpSVDescr_t other;
    work = device_bytes(bytes);
    STATUS(cusparseSpSV_createDescr(&other), OK);
    STATUS(cusparseSpSV_analysis(handle, 0, &one, matrix, from, into, 0, 0, other, work), OK);
    CHECK(cuMemFree_v2(work));
    STATUS(cusparseSpSV_solve(handle, 0, &one, matrix, from, into, 0, 0, other), INVALID_VALUE);
    STATUS(cusparseSpGEMM_createDescr(&product), OK);
    cusparseSpMatDescr_t result = matrix_of(N, N, 0, 0, 0, 0);
#define PRODUCT handle, 0, 0, &one, matrix, matrix, &none, result, 0, 0, product
    STATUS(cusparseSpGEMM_workEstimation(PRODUCT, &bytes, 0), OK);
    CUdeviceptr first = device_bytes(bytes);
    size_t more = bytes + 1, less = bytes - 1;
    STATUS(cusparseSpGEMM_workEstimation(PRODUCT, &more, first), INVALID_VALUE);
    STATUS(cusparseSpGEMM_workEstimation(PRODUCT, &less, first), TOO_SMALL);
    STATUS(cusparseSpGEMM_workEstimation(PRODUCT, NULL, first), INVALID_VALUE);
    STATUS(cusparseSpGEMM_copy(PRODUCT), INVALID_VALUE);
    STATUS(cusparseSpGEMM_workEstimation(PRODUCT, &bytes, first), OK);
    STATUS(cusparseSpGEMM_compute(PRODUCT, &more, 0), OK);
    CUdeviceptr second = device_bytes(more);
    CHECK(cuMemFree_v2(first));
    STATUS(cusparseSpGEMM_compute(PRODUCT, &more, second), INVALID_VALUE);
}

static void check_older(void) {
    cusparseMatDescr_t descr;
    bsrsv2Info_t info;
    int bytes;
    static const int offsets[] = {0, 1}, columns[] = {0};
    static const number values[] = {1, 0, 0, 1};
    CUdeviceptr d_offsets = upload(offsets, sizeof offsets), d_columns = upload(columns, sizeof columns), d_values = upload_values(0, values, 4), b = device_bytes(16), c = device_bytes(16);
    STATUS(cusparseCreateMatDescr(&descr), OK);
#define TIMES(nnzb, block, ldb, ldc) cusparseSbsrmm(handle, 0, 0, 0, 1, 2, 1, nnzb, &one, descr, d_values, d_offsets, d_columns, block, b, ldb, &none, c, ldc)
    STATUS(TIMES(1, 2, 2, 2), OK);
    STATUS(TIMES(2, 2, 2, 2), INVALID_VALUE);
    STATUS(TIMES(1, 3, 3, 3), INVALID_VALUE);
    STATUS(TIMES(1, INT32_MAX, 2, 2), INVALID_VALUE);
    STATUS(TIMES(1, -2, 2, 2), INVALID_VALUE);
    STATUS(TIMES(-1, 2, 2, 2), INVALID_VALUE);
    STATUS(TIMES(1, 2, 3, 2), INVALID_VALUE);
    STATUS(TIMES(1, 2, 2, INT32_MAX), INVALID_VALUE);
    STATUS(cusparseXcoo2csr(handle, d_columns, 2, 1, d_offsets, 0), INVALID_VALUE);
    STATUS(cusparseXcoo2csr(handle, d_columns, 1, 2, d_offsets, 0), INVALID_VALUE);
    STATUS(cusparseXcoo2csr(handle, d_columns, 1, INT32_MAX, d_offsets, 0), INVALID_VALUE);
    STATUS(cusparseCreateBsrsv2Info(&info), OK);
#define BLOCK descr, d_values, d_offsets, d_columns, 2, info
    STATUS(cusparseSbsrsv2_solve(handle, 0, 0, 1, 1, &one, BLOCK, b, c, 0, buffer), INVALID_VALUE);
    STATUS(cusparseSbsrsv2_bufferSize(handle, 0, 0, 1, 1, BLOCK, &bytes), OK);
    CUdeviceptr work = device_bytes((size_t)bytes), small = device_bytes((size_t)bytes - 1);
    STATUS(cusparseSbsrsv2_analysis(handle, 0, 0, 1, 1, BLOCK, 0, small), INVALID_VALUE);
    STATUS(cusparseSbsrsv2_analysis(handle, 0, 0, 1, 1, BLOCK, 0, work), OK);
    STATUS(cusparseSbsrsv2_solve(handle, 0, 0, 1, 1, &one, BLOCK, b, c, 0, small), INVALID_VALUE);
    STATUS(cusparseSbsrsv2_solve(handle, 0, 0, 1, 1, &one, BLOCK, b, c, 0, 0), INVALID_VALUE);
    STATUS(cusparseSbsrsv2_solve(handle, 0, 0, 1, 1, &one, BLOCK, b, c, 0, work), OK);
}

int main(void) {
    start();
    STATUS(cusparseCreate(&handle), OK);
    struct sparse a = sparse_of(0, N, N, 0, -1);
    number *values = random_values(0, N);
    x = upload_values(0, values, N), y = device_bytes(4 * N), buffer = device_bytes(4096);
    from = vector_of(0, N, x), into = vector_of(0, N, y);
    check_arrays(&a);
    check_later(&a);
    check_dense(&a);
    check_descriptors(&a);
    check_work();
    check_older();
    STATUS(multiply(csr_of(&a)), OK);
    EXPECT(is_near(download(0, y, N), reference(1, a.dense, 0, values, 0, 0, NULL, N, N, 1), N, 0));
    STATUS(cusparseDestroy(handle), OK);
    printf("ok\n");
    return 0;
}
