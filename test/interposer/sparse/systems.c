/* Triangular systems of all types: by an analysis that a descriptor keeps, with one right side and several, and of blocks, whose zeros on the diagonal are told. */
#include "../../../client/interposer/driver/cuda-graph-api.h"
#include "sparse.h"

#define BLOCKS cusparseMatDescr_t, CUdeviceptr values, CUdeviceptr offsets, CUdeviceptr columns, int block
FOUR(bsrsv2_bufferSize, cusparseHandle_t, int direction, int op, int mb, int nnzb, BLOCKS, bsrsv2Info_t info, int *bytes)
FOUR(bsrsv2_analysis, cusparseHandle_t, int direction, int op, int mb, int nnzb, BLOCKS, bsrsv2Info_t info, int policy, CUdeviceptr buffer)
FOUR(bsrsv2_solve, cusparseHandle_t, int direction, int op, int mb, int nnzb, const void *alpha, BLOCKS, bsrsv2Info_t info, CUdeviceptr f, CUdeviceptr x, int policy, CUdeviceptr buffer)
FOUR(bsrsm2_bufferSize, cusparseHandle_t, int direction, int op, int op_x, int mb, int n, int nnzb, BLOCKS, bsrsm2Info_t info, int *bytes)
FOUR(bsrsm2_analysis, cusparseHandle_t, int direction, int op, int op_x, int mb, int n, int nnzb, BLOCKS, bsrsm2Info_t info, int policy, CUdeviceptr buffer)
FOUR(bsrsm2_solve, cusparseHandle_t, int direction, int op, int op_x, int mb, int n, int nnzb, const void *alpha, BLOCKS, bsrsm2Info_t info, CUdeviceptr b, int ldb, CUdeviceptr x, int ldx, int policy,
     CUdeviceptr buffer)
int cusparseCreateBsrsv2Info(bsrsv2Info_t *info);
int cusparseDestroyBsrsv2Info(bsrsv2Info_t info);
int cusparseXbsrsv2_zeroPivot(cusparseHandle_t, bsrsv2Info_t info, int *position);
int cusparseCreateBsrsm2Info(bsrsm2Info_t *info);
int cusparseDestroyBsrsm2Info(bsrsm2Info_t info);
int cusparseXbsrsm2_zeroPivot(cusparseHandle_t, bsrsm2Info_t info, int *position);

enum { N = 8, RIGHT = 3, FILL_MODE = 0, DIAG_TYPE = 1 };
static cusparseHandle_t handle;
static const number alpha_is = 2;

/* op(A) X, which is to be alpha B; with a diagonal of ones where that is said. */
static bool is_solved(const struct sparse *a, int op, bool is_unit, const number *x, const number *b, int columns) {
    number *dense = malloc(N * N * sizeof *dense), wanted[N * RIGHT];
    memcpy(dense, a->dense, N * N * sizeof *dense);
    for (int i = 0; is_unit && i < N; i++) dense[i + i * N] = 1;
    for (int i = 0; i < N * columns; i++) wanted[i] = alpha_is * b[i];
    return is_near(reference(1, dense, op, x, 0, 0, NULL, N, N, columns), wanted, N * columns, a->type);
}

static void check_system(int type, int op, int shape, int is_unit) {
    struct sparse a = sparse_of(type, N, N, 1, shape);
    int fill = shape > 0;
    number *b = random_values(type, N * RIGHT);
    struct factor alpha = factor_of(type, alpha_is);
    cusparseSpMatDescr_t matrix = csr_of(&a);
    STATUS(cusparseSpMatSetAttribute(matrix, FILL_MODE, &fill, sizeof fill), OK);
    STATUS(cusparseSpMatSetAttribute(matrix, DIAG_TYPE, &is_unit, sizeof is_unit), OK);
    CUdeviceptr at = device_bytes(N * RIGHT * element_bytes[type]), right = upload_values(type, b, N * RIGHT);
    size_t bytes;
    cusparseSpSVDescr_t one;
    cusparseDnVecDescr_t x = vector_of(type, N, at), f = vector_of(type, N, right);
    STATUS(cusparseSpSV_createDescr(&one), OK);
    STATUS(cusparseSpSV_bufferSize(handle, op, &alpha, matrix, f, x, data_types[type], 0, one, &bytes), OK);
    CUdeviceptr buffer = device_bytes(bytes);
    STATUS(cusparseSpSV_analysis(handle, op, &alpha, matrix, f, x, data_types[type], 0, one, buffer), OK);
    for (int again = 0; again < 2; again++) {
        CHECK(cuMemsetD8_v2(at, 0xff, N * element_bytes[type]));
        STATUS(cusparseSpSV_solve(handle, op, &alpha, matrix, f, x, data_types[type], 0, one), OK);
        EXPECT(is_solved(&a, op, is_unit, download(type, at, N), b, 1));
    }
    STATUS(cusparseSpSV_destroyDescr(one), OK);
    cusparseSpSMDescr_t several;
    cusparseDnMatDescr_t many = dense_of(type, N, RIGHT, at, BY_COLUMNS), sides = dense_of(type, N, RIGHT, right, BY_COLUMNS);
    STATUS(cusparseSpSM_createDescr(&several), OK);
    STATUS(cusparseSpSM_bufferSize(handle, op, 0, &alpha, matrix, sides, many, data_types[type], 0, several, &bytes), OK);
    STATUS(cusparseSpSM_analysis(handle, op, 0, &alpha, matrix, sides, many, data_types[type], 0, several, buffer), OK);
    STATUS(cusparseSpSM_solve(handle, op, 0, &alpha, matrix, sides, many, data_types[type], 0, several), OK);
    EXPECT(is_solved(&a, op, is_unit, download(type, at, N * RIGHT), b, RIGHT));
    STATUS(cusparseSpSM_destroyDescr(several), OK);
    STATUS(cusparseDestroySpMat(matrix), OK);
}

/* A lower triangle of blocks of 2 x 2: the diagonal's, and one below it. */
static void check_blocks(int type, int op, bool has_zero) {
    enum { BLOCK = 2, MB = 2, NNZB = 3, SIZE = MB * BLOCK };
    static const int offsets[] = {0, 1, 3}, columns[] = {0, 0, 1}, block_row[] = {0, 1, 1};
    number *values = random_values(type, NNZB * 4), *lower = calloc(SIZE * SIZE, sizeof *lower);
    for (int e = 0; e < NNZB * 4; e++) {
        int row = block_row[e / 4] * 2 + e % 4 / 2, column = columns[e / 4] * 2 + e % 2;
        if (row == column) values[e] = has_zero && row == 3 ? 0 : values[e] + 3;
        if (row >= column) lower[row + column * SIZE] = values[e];
    }
    CUdeviceptr d_values = upload_values(type, values, NNZB * 4), d_offsets = upload(offsets, sizeof offsets), d_columns = upload(columns, sizeof columns);
    number *b = random_values(type, SIZE * RIGHT), wanted[SIZE * RIGHT];
    for (int i = 0; i < SIZE * RIGHT; i++) wanted[i] = alpha_is * b[i];
    CUdeviceptr right = upload_values(type, b, SIZE * RIGHT), at = device_bytes(SIZE * RIGHT * element_bytes[type]);
    struct factor alpha = factor_of(type, alpha_is);
    cusparseMatDescr_t descr;
    bsrsv2Info_t one;
    bsrsm2Info_t several;
    int bytes, position = 77;
    STATUS(cusparseCreateMatDescr(&descr), OK);
    STATUS(cusparseSetMatFillMode(descr, 0), OK);
    STATUS(cusparseSetMatDiagType(descr, 0), OK);
    STATUS(cusparseCreateBsrsv2Info(&one), OK);
    STATUS(bsrsv2_bufferSize[type](handle, 0, op, MB, NNZB, descr, d_values, d_offsets, d_columns, BLOCK, one, &bytes), OK);
    CUdeviceptr buffer = device_bytes((size_t)bytes);
    STATUS(bsrsv2_analysis[type](handle, 0, op, MB, NNZB, descr, d_values, d_offsets, d_columns, BLOCK, one, 0, buffer), OK);
    STATUS(bsrsv2_solve[type](handle, 0, op, MB, NNZB, &alpha, descr, d_values, d_offsets, d_columns, BLOCK, one, right, at, 0, buffer), OK);
    STATUS(cusparseXbsrsv2_zeroPivot(handle, one, &position), has_zero ? ZERO_PIVOT : OK);
    EXPECT(position == (has_zero ? 1 : -1));
    if (!has_zero) EXPECT(is_near(reference(1, lower, op, download(type, at, SIZE), 0, 0, NULL, SIZE, SIZE, 1), wanted, SIZE, type));
    STATUS(cusparseDestroyBsrsv2Info(one), OK);
    STATUS(cusparseCreateBsrsm2Info(&several), OK);
    STATUS(bsrsm2_bufferSize[type](handle, 0, op, 0, MB, RIGHT, NNZB, descr, d_values, d_offsets, d_columns, BLOCK, several, &bytes), OK);
    STATUS(bsrsm2_analysis[type](handle, 0, op, 0, MB, RIGHT, NNZB, descr, d_values, d_offsets, d_columns, BLOCK, several, 0, buffer), OK);
    STATUS(bsrsm2_solve[type](handle, 0, op, 0, MB, RIGHT, NNZB, &alpha, descr, d_values, d_offsets, d_columns, BLOCK, several, right, SIZE, at, SIZE, 0, buffer), OK);
    STATUS(cusparseXbsrsm2_zeroPivot(handle, several, &position), has_zero ? ZERO_PIVOT : OK);
    EXPECT(position == (has_zero ? 1 : -1));
    if (!has_zero) EXPECT(is_near(reference(1, lower, op, download(type, at, SIZE * RIGHT), 0, 0, NULL, SIZE, SIZE, RIGHT), wanted, SIZE * RIGHT, type));
    STATUS(cusparseDestroyBsrsm2Info(several), OK);
    STATUS(cusparseDestroyMatDescr(descr), OK);
}

/* A solve is work of the stream, although it is given neither memory nor results: a graph has it, as often as it is launched. */
static void check_graph(void) {
    struct sparse a = sparse_of(1, N, N, 0, -1);
    number *b = random_values(1, N), filled[N];
    struct factor alpha = factor_of(1, alpha_is);
    cusparseSpMatDescr_t matrix = csr_of(&a);
    CUdeviceptr at = device_bytes(N * 8), right = upload_values(1, b, N);
    cusparseDnVecDescr_t x = vector_of(1, N, at), f = vector_of(1, N, right);
    cusparseSpSVDescr_t descr;
    CUstream stream;
    CUgraph graph;
    CUgraphExec exec;
    size_t bytes;
    for (int i = 0; i < N; i++) filled[i] = 7;
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cusparseSetStream(handle, stream), OK);
    STATUS(cusparseSpSV_createDescr(&descr), OK);
#define SYSTEM handle, 0, &alpha, matrix, f, x, data_types[1], 0, descr
    STATUS(cusparseSpSV_bufferSize(SYSTEM, &bytes), OK);
    STATUS(cusparseSpSV_analysis(SYSTEM, device_bytes(bytes)), OK);
    STATUS(cusparseSpSV_solve(SYSTEM), OK);
    CHECK(cuStreamSynchronize(stream));
    CHECK(cuStreamBeginCapture_v2(stream, 1));
    STATUS(cusparseSpSV_solve(SYSTEM), OK);
    CHECK(cuStreamEndCapture(stream, &graph));
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int launch = 0; launch < 2; launch++) {
        CHECK(cuMemcpyDtoD_v2(at, upload_values(1, filled, N), N * 8));
        CHECK(cuStreamSynchronize(stream));
        EXPECT(is_near(download(1, at, N), filled, N, 1));
        CHECK(cuGraphLaunch(exec, stream));
        CHECK(cuStreamSynchronize(stream));
        EXPECT(is_solved(&a, 0, false, download(1, at, N), b, 1));
    }
    STATUS(cusparseSpSV_destroyDescr(descr), OK);
}

int main(void) {
    start();
    STATUS(cusparseCreate(&handle), OK);
    for (int type = 0; type < 4; type++) {
        for (int op = 0; op < 3; op++)
            for (int is_unit = 0; is_unit < 2; is_unit++) check_system(type, op, -1, is_unit), check_system(type, op, 1, is_unit);
        check_blocks(type, 0, false), check_blocks(type, 1, false), check_blocks(type, 0, true);
    }
    check_graph();
    STATUS(cusparseDestroy(handle), OK);
    printf("ok\n");
    return 0;
}
