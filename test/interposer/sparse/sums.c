/* Sparse matrices of sparse matrices: products whose size is told once they are computed, sums, and rows, columns and permutations in order. */
#include "sparse.h"

#define SUMMANDS                                                                                                                        \
    const void *alpha, cusparseMatDescr_t da, int nnz_a, CUdeviceptr values_a, CUdeviceptr offsets_a, CUdeviceptr columns_a, const void *beta, cusparseMatDescr_t db, int nnz_b, \
        CUdeviceptr values_b, CUdeviceptr offsets_b, CUdeviceptr columns_b, cusparseMatDescr_t dc, CUdeviceptr values_c, CUdeviceptr offsets_c, CUdeviceptr columns_c
FOUR(csrgeam2_bufferSizeExt, cusparseHandle_t, int m, int n, SUMMANDS, size_t *bytes)
FOUR(csrgeam2, cusparseHandle_t, int m, int n, SUMMANDS, CUdeviceptr buffer)
int cusparseXcsrgeam2Nnz(cusparseHandle_t, int m, int n, cusparseMatDescr_t da, int nnz_a, CUdeviceptr offsets_a, CUdeviceptr columns_a, cusparseMatDescr_t db, int nnz_b, CUdeviceptr offsets_b,
                         CUdeviceptr columns_b, cusparseMatDescr_t dc, CUdeviceptr offsets_c, int *total, CUdeviceptr buffer);
int cusparseXcoo2csr(cusparseHandle_t, CUdeviceptr rows, int nnz, int m, CUdeviceptr offsets, int base);
int cusparseCreateIdentityPermutation(cusparseHandle_t, int n, CUdeviceptr p);
int cusparseXcoosort_bufferSizeExt(cusparseHandle_t, int m, int n, int nnz, CUdeviceptr rows, CUdeviceptr columns, size_t *bytes);
int cusparseXcoosortByRow(cusparseHandle_t, int m, int n, int nnz, CUdeviceptr rows, CUdeviceptr columns, CUdeviceptr p, CUdeviceptr buffer);
int cusparseXcoosortByColumn(cusparseHandle_t, int m, int n, int nnz, CUdeviceptr rows, CUdeviceptr columns, CUdeviceptr p, CUdeviceptr buffer);
int cusparseXcsrsort_bufferSizeExt(cusparseHandle_t, int m, int n, int nnz, CUdeviceptr offsets, CUdeviceptr columns, size_t *bytes);
int cusparseXcsrsort(cusparseHandle_t, int m, int n, int nnz, cusparseMatDescr_t, CUdeviceptr offsets, CUdeviceptr columns, CUdeviceptr p, CUdeviceptr buffer);

enum { M = 7, K = 5, N = 6 };
static cusparseHandle_t handle;

/* What stands on the device in compressed rows, as a dense matrix. */
static number *expanded(int type, int rows, int columns, int count, CUdeviceptr offsets, CUdeviceptr column, CUdeviceptr values) {
    int host_offsets[32], host_columns[256];
    number *dense = calloc((size_t)(rows * columns), sizeof *dense), *found = download(type, values, count);
    CHECK(cuMemcpyDtoH_v2(host_offsets, offsets, 4 * (size_t)(rows + 1)));
    CHECK(cuMemcpyDtoH_v2(host_columns, column, 4 * (size_t)count));
    EXPECT(host_offsets[0] == 0 && host_offsets[rows] == count);
    for (int i = 0; i < rows; i++)
        for (int e = host_offsets[i]; e < host_offsets[i + 1]; e++) dense[i + host_columns[e] * rows] += found[e];
    return dense;
}

static void check_product(int type) {
    struct sparse a = sparse_of(type, M, K, 0, 0), b = sparse_of(type, K, N, 0, 0);
    struct factor alpha = factor_of(type, 2), beta = factor_of(type, 0);
    cusparseSpMatDescr_t left = csr_of(&a), right = csr_of(&b), product;
    cusparseSpGEMMDescr_t descr;
    size_t bytes = 0, more = 0;
    int64_t rows, columns, count;
    CUdeviceptr offsets = device_bytes(4 * (M + 1));
    STATUS(cusparseCreateCsr(&product, M, N, 0, 0, 0, 0, I32, I32, 0, data_types[type]), OK);
    STATUS(cusparseSpGEMM_createDescr(&descr), OK);
#define PRODUCT handle, 0, 0, &alpha, left, right, &beta, product, data_types[type], 0, descr
    STATUS(cusparseSpGEMM_workEstimation(PRODUCT, &bytes, 0), OK);
    CUdeviceptr first = device_bytes(bytes);
    STATUS(cusparseSpGEMM_workEstimation(PRODUCT, &bytes, first), OK);
    STATUS(cusparseSpGEMM_compute(PRODUCT, &more, 0), OK);
    EXPECT(more > bytes);
    CUdeviceptr second = device_bytes(more);
    STATUS(cusparseSpMatGetSize(product, &rows, &columns, &count), OK);
    EXPECT(rows == M && columns == N && count == 0);
    STATUS(cusparseSpGEMM_compute(PRODUCT, &more, second), OK);
    STATUS(cusparseSpMatGetSize(product, &rows, &columns, &count), OK);
    EXPECT(rows == M && columns == N && count > 0 && count < M * N);
    CUdeviceptr column = device_bytes(4 * (size_t)count), values = device_bytes((size_t)count * element_bytes[type]);
    /* Memory for one element less than there are is no memory for it. */
    STATUS(cusparseCsrSetPointers(product, offsets, column, device_bytes((size_t)(count - 1) * element_bytes[type])), OK);
    STATUS(cusparseSpGEMM_copy(PRODUCT), INVALID_VALUE);
    STATUS(cusparseCsrSetPointers(product, offsets, column, values), OK);
    STATUS(cusparseSpGEMM_copy(PRODUCT), OK);
    EXPECT(is_near(expanded(type, M, N, (int)count, offsets, column, values), reference(2, a.dense, 0, b.dense, 0, 0, NULL, M, K, N), M * N, type));
    STATUS(cusparseSpGEMM_destroyDescr(descr), OK);
    CHECK(cuMemFree_v2(first));
    CHECK(cuMemFree_v2(second));
    /* What was computed is a matrix as any other, without the work areas that it took. */
    number *x = random_values(type, N);
    CUdeviceptr y = device_bytes(M * element_bytes[type]);
    cusparseDnVecDescr_t by = vector_of(type, N, upload_values(type, x, N)), into = vector_of(type, M, y);
    number *dense = expanded(type, M, N, (int)count, offsets, column, values);
    STATUS(cusparseSpMV(handle, 0, &alpha, product, by, &beta, into, data_types[type], 0, device_bytes(4096)), OK);
    EXPECT(is_near(download(type, y, M), reference(2, dense, 0, x, 0, 0, NULL, M, N, 1), M, type));
    STATUS(cusparseDestroySpMat(product), OK);
}

static void check_sum(int type) {
    struct sparse a = sparse_of(type, M, M, 0, -1), b = sparse_of(type, M, M, 0, 1);
    struct factor alpha = factor_of(type, 2), beta = factor_of(type, -1);
    cusparseMatDescr_t descr;
    CUdeviceptr offsets = device_bytes(4 * (M + 1));
    size_t bytes;
    int total = -1;
    STATUS(cusparseCreateMatDescr(&descr), OK);
#define SUM(values, columns) \
    handle, M, M, &alpha, descr, a.count, a.d_values, a.d_offsets, a.d_column, &beta, descr, b.count, b.d_values, b.d_offsets, b.d_column, descr, values, offsets, columns
    STATUS(csrgeam2_bufferSizeExt[type](SUM(0, 0), &bytes), OK);
    CUdeviceptr buffer = device_bytes(bytes);
    STATUS(cusparseXcsrgeam2Nnz(handle, M, M, descr, a.count, a.d_offsets, a.d_column, descr, b.count, b.d_offsets, b.d_column, descr, offsets, &total, buffer), OK);
    /* They share nothing but the diagonal. */
    EXPECT(total == a.count + b.count - M);
    CUdeviceptr column = device_bytes(4 * (size_t)total), values = device_bytes((size_t)total * element_bytes[type]);
    STATUS(csrgeam2[type](SUM(values, column), buffer), OK);
    number wanted[M * M];
    for (int i = 0; i < M * M; i++) wanted[i] = 2 * a.dense[i] - b.dense[i];
    EXPECT(is_near(expanded(type, M, M, total, offsets, column, values), wanted, M * M, type));
}

static void check_order(void) {
    static const int rows[] = {2, 0, 1, 0, 2}, columns[] = {1, 3, 2, 0, 0};
    static const int sorted_rows[] = {0, 0, 1, 2, 2}, sorted_columns[] = {0, 3, 2, 0, 1}, places[] = {3, 1, 2, 4, 0}, offsets[] = {0, 2, 3, 5};
    enum { COUNT = 5 };
    CUdeviceptr d_rows = upload(rows, sizeof rows), d_columns = upload(columns, sizeof columns), p = device_bytes(sizeof places), d_offsets = device_bytes(sizeof offsets);
    cusparseMatDescr_t descr;
    size_t bytes;
    int found[COUNT];
#define IS(at, wanted) (cuMemcpyDtoH_v2(found, at, sizeof(wanted)) == CUDA_SUCCESS && memcmp(found, wanted, sizeof(wanted)) == 0)
    STATUS(cusparseXcoosort_bufferSizeExt(handle, 3, 4, COUNT, d_rows, d_columns, &bytes), OK);
    CUdeviceptr buffer = device_bytes(bytes);
    STATUS(cusparseCreateIdentityPermutation(handle, COUNT, p), OK);
    STATUS(cusparseXcoosortByRow(handle, 3, 4, COUNT, d_rows, d_columns, p, buffer), OK);
    EXPECT(IS(d_rows, sorted_rows) && IS(d_columns, sorted_columns) && IS(p, places));
    STATUS(cusparseXcoo2csr(handle, d_rows, COUNT, 3, d_offsets, 0), OK);
    EXPECT(IS(d_offsets, offsets));
    /* Columns of each row out of order, and in order again. */
    static const int turned[] = {3, 0, 2, 1, 0}, back[] = {1, 0, 2, 4, 3};
    CHECK(cuMemcpyHtoD_v2(d_columns, turned, sizeof turned));
    STATUS(cusparseCreateMatDescr(&descr), OK);
    STATUS(cusparseCreateIdentityPermutation(handle, COUNT, p), OK);
    STATUS(cusparseXcsrsort_bufferSizeExt(handle, 3, 4, COUNT, d_offsets, d_columns, &bytes), OK);
    STATUS(cusparseXcsrsort(handle, 3, 4, COUNT, descr, d_offsets, d_columns, p, device_bytes(bytes)), OK);
    EXPECT(IS(d_columns, sorted_columns) && IS(p, back));
    static const int by_column_rows[] = {0, 2, 2, 1, 0}, by_column[] = {0, 0, 1, 2, 3};
    STATUS(cusparseXcoosortByColumn(handle, 3, 4, COUNT, d_rows, d_columns, 0, buffer), OK);
    EXPECT(IS(d_rows, by_column_rows) && IS(d_columns, by_column));
}

int main(void) {
    start();
    STATUS(cusparseCreate(&handle), OK);
    for (int type = 0; type < 4; type++) check_product(type), check_sum(type);
    check_order();
    STATUS(cusparseDestroy(handle), OK);
    printf("ok\n");
    return 0;
}
