/* Products with sparse matrices, in compressed rows, coordinates and blocks, of all types: A x, A B, batches of them, and A B where a matrix has elements. */
#include "sparse.h"

#define BLOCKS cusparseMatDescr_t, CUdeviceptr values, CUdeviceptr offsets, CUdeviceptr columns, int block
FOUR(bsrmv, cusparseHandle_t, int direction, int op, int mb, int nb, int nnzb, const void *alpha, BLOCKS, CUdeviceptr x, const void *beta, CUdeviceptr y)
FOUR(bsrmm, cusparseHandle_t, int direction, int op_a, int op_b, int mb, int n, int kb, int nnzb, const void *alpha, BLOCKS, CUdeviceptr b, int ldb, const void *beta, CUdeviceptr c, int ldc)

enum { M = 7, K = 5, N = 4 };
static cusparseHandle_t handle;
static const number alpha_is = 1.5, beta_is = -0.5;

static void check_vector(int type, int op, bool is_coo) {
    struct sparse a = sparse_of(type, M, K, is_coo, 0);
    int m = op == 0 ? M : K, k = op == 0 ? K : M;
    number *x = random_values(type, k), *y = random_values(type, m), *wanted = reference(alpha_is, a.dense, op, x, 0, beta_is, y, m, k, 1);
    cusparseSpMatDescr_t matrix = is_coo ? coo_of(&a) : csr_of(&a);
    CUdeviceptr at = upload_values(type, y, m);
    cusparseDnVecDescr_t left = vector_of(type, m, at), right = vector_of(type, k, upload_values(type, x, k));
    struct factor alpha = factor_of(type, alpha_is), beta = factor_of(type, beta_is);
    size_t bytes = 0;
    STATUS(cusparseSpMV_bufferSize(handle, op, &alpha, matrix, right, &beta, left, data_types[type], 0, &bytes), OK);
    EXPECT(bytes > 0);
    CUdeviceptr buffer = device_bytes(bytes);
    STATUS(cusparseSpMV(handle, op, &alpha, matrix, right, &beta, left, data_types[type], 0, buffer), OK);
    EXPECT(is_near(download(type, at, m), wanted, m, type));
    /* The same again, and into another vector that the same descriptor has from then on. */
    CUdeviceptr other = upload_values(type, y, m);
    STATUS(cusparseSpMV(handle, op, &alpha, matrix, right, &beta, left, data_types[type], 0, buffer), OK);
    STATUS(cusparseDnVecSetValues(left, other), OK);
    CHECK(cuMemFree_v2(at));
    STATUS(cusparseSpMV(handle, op, &alpha, matrix, right, &beta, left, data_types[type], 0, buffer), OK);
    EXPECT(is_near(download(type, other, m), wanted, m, type));
    STATUS(cusparseDestroySpMat(matrix), OK);
    STATUS(cusparseDestroyDnVec(left), OK);
    STATUS(cusparseDestroyDnVec(right), OK);
}

/* Into a matrix of rows: its transpose by columns. */
static number *transposed(const number *a, int rows, int columns) {
    number *turned = malloc((size_t)(rows * columns) * sizeof *turned);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) turned[j + i * columns] = a[i + j * rows];
    return turned;
}

static void check_matrix(int type, int op_a, int op_b, int order) {
    struct sparse a = sparse_of(type, M, K, 0, 0);
    int m = op_a == 0 ? M : K, k = op_a == 0 ? K : M, rows = op_b == 0 ? k : N, columns = op_b == 0 ? N : k;
    number *b = random_values(type, k * N), *c = random_values(type, m * N), *wanted = reference(alpha_is, a.dense, op_a, b, op_b, beta_is, c, m, k, N);
    cusparseSpMatDescr_t matrix = csr_of(&a);
    CUdeviceptr at = upload_values(type, order == BY_ROWS ? transposed(c, m, N) : c, m * N);
    cusparseDnMatDescr_t left = dense_of(type, m, N, at, order);
    cusparseDnMatDescr_t right = dense_of(type, rows, columns, upload_values(type, order == BY_ROWS ? transposed(b, rows, columns) : b, k * N), order);
    struct factor alpha = factor_of(type, alpha_is), beta = factor_of(type, beta_is);
    size_t bytes;
    STATUS(cusparseSpMM_bufferSize(handle, op_a, op_b, &alpha, matrix, right, &beta, left, data_types[type], 0, &bytes), OK);
    STATUS(cusparseSpMM(handle, op_a, op_b, &alpha, matrix, right, &beta, left, data_types[type], 0, device_bytes(bytes)), OK);
    EXPECT(is_near(download(type, at, m * N), order == BY_ROWS ? transposed(wanted, m, N) : wanted, m * N, type));
    STATUS(cusparseDestroySpMat(matrix), OK);
    STATUS(cusparseDestroyDnMat(left), OK);
    STATUS(cusparseDestroyDnMat(right), OK);
}

/* Matrices of one pattern, one behind the other. */
static void check_batch(int type) {
    enum { BATCH = 3 };
    struct sparse a = sparse_of(type, M, K, 0, 0);
    number *values = random_values(type, BATCH * a.count), *b = random_values(type, BATCH * K * N), *wanted = calloc(BATCH * M * N, sizeof *wanted);
    for (int which = 0; which < BATCH; which++) {
        number *dense = calloc(M * K, sizeof *dense);
        for (int e = 0; e < a.count; e++) dense[a.row[e] + a.column[e] * M] = values[which * a.count + e];
        memcpy(wanted + which * M * N, reference(alpha_is, dense, 0, b + which * K * N, 0, 0, NULL, M, K, N), M * N * sizeof *wanted);
    }
    int columns[3 * 256];
    for (int i = 0; i < BATCH * a.count; i++) columns[i] = a.column[i % a.count];
    cusparseSpMatDescr_t matrix;
    STATUS(cusparseCreateCsr(&matrix, M, K, a.count, a.d_offsets, upload(columns, 4 * (size_t)(BATCH * a.count)), upload_values(type, values, BATCH * a.count), I32, I32, 0, data_types[type]), OK);
    STATUS(cusparseCsrSetStridedBatch(matrix, BATCH, 0, a.count), OK);
    CUdeviceptr at = device_bytes(BATCH * M * N * element_bytes[type]);
    cusparseDnMatDescr_t left = dense_of(type, M, N, at, BY_COLUMNS), right = dense_of(type, K, N, upload_values(type, b, BATCH * K * N), BY_COLUMNS);
    STATUS(cusparseDnMatSetStridedBatch(left, BATCH, M * N), OK);
    STATUS(cusparseDnMatSetStridedBatch(right, BATCH, K * N), OK);
    struct factor alpha = factor_of(type, alpha_is), beta = factor_of(type, 0);
    size_t bytes;
    STATUS(cusparseSpMM_bufferSize(handle, 0, 0, &alpha, matrix, right, &beta, left, data_types[type], 0, &bytes), OK);
    STATUS(cusparseSpMM(handle, 0, 0, &alpha, matrix, right, &beta, left, data_types[type], 0, device_bytes(bytes)), OK);
    EXPECT(is_near(download(type, at, BATCH * M * N), wanted, BATCH * M * N, type));
}

static void check_sampled(int type) {
    struct sparse c = sparse_of(type, M, N, 0, 0);
    number *a = random_values(type, M * K), *b = random_values(type, K * N), *all = reference(alpha_is, a, 0, b, 0, beta_is, c.dense, M, K, N);
    cusparseSpMatDescr_t matrix = csr_of(&c);
    cusparseDnMatDescr_t left = dense_of(type, M, K, upload_values(type, a, M * K), BY_COLUMNS), right = dense_of(type, K, N, upload_values(type, b, K * N), BY_COLUMNS);
    struct factor alpha = factor_of(type, alpha_is), beta = factor_of(type, beta_is);
    size_t bytes;
    STATUS(cusparseSDDMM_bufferSize(handle, 0, 0, &alpha, left, right, &beta, matrix, data_types[type], 0, &bytes), OK);
    CUdeviceptr buffer = device_bytes(bytes);
    STATUS(cusparseSDDMM_preprocess(handle, 0, 0, &alpha, left, right, &beta, matrix, data_types[type], 0, buffer), OK);
    STATUS(cusparseSDDMM(handle, 0, 0, &alpha, left, right, &beta, matrix, data_types[type], 0, buffer), OK);
    number *found = download(type, c.d_values, c.count), wanted[256];
    for (int e = 0; e < c.count; e++) wanted[e] = all[c.row[e] + c.column[e] * M];
    EXPECT(is_near(found, wanted, c.count, type));
}

/* Blocks of 2 x 2, two in the first row of them and one in the second. */
static void check_blocks(int type, int direction, int op_b) {
    enum { BLOCK = 2, MB = 2, KB = 3, NNZB = 3, ROWS = MB * BLOCK, INNER = KB * BLOCK };
    static const int offsets[] = {0, 2, 3}, columns[] = {0, 2, 1}, block_row[] = {0, 0, 1};
    number *values = random_values(type, NNZB * 4), *dense = calloc(ROWS * INNER, sizeof *dense);
    for (int e = 0; e < NNZB * 4; e++) {
        int inside = e % 4, row = direction == 0 ? inside / 2 : inside % 2, column = direction == 0 ? inside % 2 : inside / 2;
        dense[block_row[e / 4] * 2 + row + (columns[e / 4] * 2 + column) * ROWS] = values[e];
    }
    CUdeviceptr d_values = upload_values(type, values, NNZB * 4), d_offsets = upload(offsets, sizeof offsets), d_columns = upload(columns, sizeof columns);
    number *b = random_values(type, INNER * N), *c = random_values(type, ROWS * N);
    CUdeviceptr d_b = upload_values(type, b, INNER * N), d_c = upload_values(type, c, ROWS * N), d_y = upload_values(type, c, ROWS);
    struct factor alpha = factor_of(type, alpha_is), beta = factor_of(type, beta_is);
    cusparseMatDescr_t descr;
    STATUS(cusparseCreateMatDescr(&descr), OK);
    STATUS(bsrmm[type](handle, direction, 0, op_b, MB, N, KB, NNZB, &alpha, descr, d_values, d_offsets, d_columns, BLOCK, d_b, op_b == 0 ? INNER : N, &beta, d_c, ROWS), OK);
    EXPECT(is_near(download(type, d_c, ROWS * N), reference(alpha_is, dense, 0, b, op_b, beta_is, c, ROWS, INNER, N), ROWS * N, type));
    STATUS(bsrmv[type](handle, direction, 0, MB, KB, NNZB, &alpha, descr, d_values, d_offsets, d_columns, BLOCK, d_b, &beta, d_y), OK);
    EXPECT(is_near(download(type, d_y, ROWS), reference(alpha_is, dense, 0, b, 0, beta_is, c, ROWS, INNER, 1), ROWS, type));
    STATUS(cusparseDestroyMatDescr(descr), OK);
}

int main(void) {
    CUstream stream, has = NULL;
    start();
    STATUS(cusparseCreate(&handle), OK);
    STATUS(cusparseSetPointerMode(handle, 0), OK);
    for (int type = 0; type < 4; type++) {
        for (int op = 0; op < 3; op++) check_vector(type, op, false), check_vector(type, op, true);
        for (int op_a = 0; op_a < 2; op_a++)
            for (int op_b = 0; op_b < 2; op_b++) check_matrix(type, op_a, op_b, BY_COLUMNS), check_matrix(type, op_a, op_b, BY_ROWS);
        check_batch(type);
        check_sampled(type);
        for (int direction = 0; direction < 2; direction++) check_blocks(type, direction, 0), check_blocks(type, direction, 1);
    }
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cusparseSetStream(handle, stream), OK);
    STATUS(cusparseGetStream(handle, &has), OK);
    EXPECT(has == stream);
    struct sparse a = sparse_of(1, M, K, 0, 0);
    number *x = random_values(1, K);
    CUdeviceptr at = device_bytes(M * 8);
    struct factor alpha = factor_of(1, 1), beta = factor_of(1, 0);
    STATUS(cusparseSpMV(handle, 0, &alpha, csr_of(&a), vector_of(1, K, upload_values(1, x, K)), &beta, vector_of(1, M, at), 1, 0, device_bytes(4096)), OK);
    CHECK(cuStreamSynchronize(stream));
    EXPECT(is_near(download(1, at, M), reference(1, a.dense, 0, x, 0, 0, NULL, M, K, 1), M, 1));
    STATUS(cusparseDestroy(handle), OK);
    printf("ok\n");
    return 0;
}
