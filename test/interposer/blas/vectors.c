/* Products with vectors, batches by pointers, and the helpers that copy, held against the host's. */
#include "blas.h"

int cublasSgemv_v2(cublasHandle_t handle, int op, int m, int n, const float *alpha, const float *a, int lda, const float *x, int incx,
                   const float *beta, float *y, int incy);
int cublasSgemvStridedBatched(cublasHandle_t handle, int op, int m, int n, const float *alpha, const float *a, int lda, long long stride_a,
                              const float *x, int incx, long long stride_x, const float *beta, float *y, int incy, long long stride_y, int count);
int cublasHSHgemvStridedBatched(cublasHandle_t handle, int op, int m, int n, const float *alpha, const void *a, int lda, long long stride_a,
                                const void *x, int incx, long long stride_x, const float *beta, void *y, int incy, long long stride_y, int count);
int cublasDgemv_v2(cublasHandle_t handle, int op, int m, int n, const double *alpha, const double *a, int lda, const double *x, int incx,
                   const double *beta, double *y, int incy);
int cublasSgemmBatched(cublasHandle_t handle, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *const a[], int lda,
                       const float *const b[], int ldb, const float *beta, float *const c[], int ldc, int count);
int cublasSetVector(int n, int bytes, const void *x, int incx, void *y, int incy);
int cublasGetVector(int n, int bytes, const void *x, int incx, void *y, int incy);
int cublasSetMatrix(int rows, int columns, int bytes, const void *a, int lda, void *b, int ldb);
int cublasGetMatrix(int rows, int columns, int bytes, const void *a, int lda, void *b, int ldb);
int cublasSetMatrixAsync(int rows, int columns, int bytes, const void *a, int lda, void *b, int ldb, CUstream stream);

static cublasHandle_t handle;

struct gemv {
    int op, m, n, lda, incx, incy, count;
    long long stride_a, stride_x, stride_y;
    double alpha, beta;
};

static void host_gemv(const struct gemv *w, const struct array *a, const struct array *x, struct array *y) {
    int rows = w->op == OP_N ? w->m : w->n, inner = w->op == OP_N ? w->n : w->m;
    for (int batch = 0; batch < w->count; batch++)
        for (int row = 0; row < rows; row++) {
            double sum = 0;
            for (int i = 0; i < inner; i++) {
                long long at = batch * w->stride_a + (w->op == OP_N ? (long long)i * w->lda + row : (long long)row * w->lda + i);
                sum += get(a->host, a->type, (size_t)at) * get(x->host, x->type, (size_t)(batch * w->stride_x + (long long)i * w->incx));
            }
            size_t at = (size_t)(batch * w->stride_y + (long long)row * w->incy);
            put(y->host, y->type, at, w->alpha * sum + (w->beta == 0 ? 0 : w->beta * get(y->host, y->type, at)));
        }
}

static void compare_gemv(int type, struct gemv w) {
    int rows = w.op == OP_N ? w.m : w.n, inner = w.op == OP_N ? w.n : w.m;
    float alpha = (float)w.alpha, beta = (float)w.beta;
    w.stride_a = (long long)w.lda * w.n, w.stride_x = (long long)inner * w.incx, w.stride_y = (long long)rows * w.incy;
    struct array a = array_of(type, (size_t)(w.stride_a * w.count)), x = array_of(type, (size_t)(w.stride_x * w.count));
    struct array y = array_of(type, (size_t)(w.stride_y * w.count));
    if (type == R_64F)
        STATUS(cublasDgemv_v2(handle, w.op, w.m, w.n, &w.alpha, on_device(&a), w.lda, on_device(&x), w.incx, &w.beta, on_device(&y), w.incy), OK);
    else if (type == R_16F)
        STATUS(cublasHSHgemvStridedBatched(handle, w.op, w.m, w.n, &alpha, on_device(&a), w.lda, w.stride_a, on_device(&x), w.incx, w.stride_x, &beta,
                                           on_device(&y), w.incy, w.stride_y, w.count), OK);
    else if (w.count == 1)
        STATUS(cublasSgemv_v2(handle, w.op, w.m, w.n, &alpha, on_device(&a), w.lda, on_device(&x), w.incx, &beta, on_device(&y), w.incy), OK);
    else
        STATUS(cublasSgemvStridedBatched(handle, w.op, w.m, w.n, &alpha, on_device(&a), w.lda, w.stride_a, on_device(&x), w.incx, w.stride_x, &beta,
                                         on_device(&y), w.incy, w.stride_y, w.count), OK);
    host_gemv(&w, &a, &x, &y);
    expect_same(&y, type == R_64F ? 1e-15 : type == R_32F ? 1e-6 : 1e-3, __LINE__);
    array_drop(&a), array_drop(&x), array_drop(&y);
}

static void matrices_with_vectors(void) {
    float one = 1, *none = NULL;
    for (int type = R_32F; type <= R_16F; type += R_16F)
        for (int op = OP_N; op <= OP_C; op++)
            for (int inc = 1; inc <= 3; inc++)
                for (int count = 1; count <= 3; count += 2) {
                    compare_gemv(type, (struct gemv){op, 6, 9, 6, inc, 1, count, 0, 0, 0, 1, 0});
                    compare_gemv(type, (struct gemv){op, 9, 4, 11, 1, inc, count, 0, 0, 0, -2, 0.5});
                    compare_gemv(type, (struct gemv){op, 1, 33, 2, inc, inc, count, 0, 0, 0, 0.5, 1});
                }
    compare_gemv(R_64F, (struct gemv){OP_N, 6, 9, 7, 2, 3, 1, 0, 0, 0, 1.0 / 3, 0.1});
    compare_gemv(R_64F, (struct gemv){OP_T, 6, 9, 7, 1, 1, 1, 0, 0, 0, 1, 0});
    STATUS(cublasSgemv_v2(handle, OP_N, 3, 3, &one, none, 2, none, 1, &one, none, 1), INVALID_VALUE);
    STATUS(cublasSgemv_v2(handle, OP_N, 3, 3, &one, none, 3, none, 0, &one, none, 1), INVALID_VALUE);
    STATUS(cublasSgemv_v2(handle, OP_N, -3, 3, &one, none, 3, none, 1, &one, none, 1), INVALID_VALUE);
    STATUS(cublasSgemv_v2(handle, OP_N, 0, 3, &one, none, 3, none, 1, &one, none, 1), OK);
    STATUS(cublasHSHgemvStridedBatched(handle, OP_N, 3, 3, &one, none, 3, 9, none, -1, 3, &one, none, 1, 3, 2), NOT_SUPPORTED);
}

static void pointers(void) {
    enum { COUNT = 3, SIDE = 4, SIZE = SIDE * SIDE };
    static const int orders[][COUNT] = {{0, 1, 2}, {2, 0, 1}};
    float one = 1, half = 0.5f;
    for (size_t order = 0; order < 2; order++) {
        struct array a = array_of(R_32F, COUNT * SIZE), b = array_of(R_32F, SIZE), c = array_of(R_32F, COUNT * SIZE), table = array_of(R_64F, 3 * COUNT);
        struct array alone = array_of(R_32F, SIZE);
        uint64_t addresses[3 * COUNT];
        for (int i = 0; i < COUNT; i++) {
            addresses[i] = a.device + (uint64_t)(orders[order][i] * SIZE * 4);
            addresses[COUNT + i] = i == 0 ? alone.device : b.device;
            addresses[2 * COUNT + i] = c.device + (uint64_t)(i * SIZE * 4);
            if (order == 0) addresses[COUNT + i] = b.device;
        }
        CHECK(cuMemcpyHtoD_v2(table.device, addresses, sizeof addresses));
        CHECK(cuCtxSynchronize());
        const float *const *pa = on_device(&table), *const *pb = pa + COUNT;
        STATUS(cublasSgemmBatched(handle, OP_T, OP_N, SIDE, SIDE, SIDE, &one, pa, SIDE, pb, SIDE, &half, (float *const *)(pb + COUNT), SIDE, COUNT), OK);
        for (int i = 0; i < COUNT; i++) {
            struct array from = a, into = c;
            from.host = (float *)a.host + orders[order][i] * SIZE, into.host = (float *)c.host + i * SIZE;
            struct wanted w = {.op_a = OP_T, .m = SIDE, .n = SIDE, .k = SIDE, .lda = SIDE, .ldb = SIDE, .ldc = SIDE, .count = 1, .alpha = 1, .beta = 0.5};
            host_product(&w, &from, order == 1 && i == 0 ? &alone : &b, &into);
        }
        expect_same(&c, 1e-6, __LINE__);
        array_drop(&a), array_drop(&b), array_drop(&c), array_drop(&table), array_drop(&alone);
    }
}

static void helpers(CUstream stream) {
    struct array a = array_of(R_32F, 60);
    float matrix[15], back[15];
    for (int i = 0; i < 15; i++) matrix[i] = (float)(100 + i);
    /* Three rows and four columns, into leading dimension 7 and back into 5. */
    STATUS(cublasSetMatrix(3, 4, 4, matrix, 3, on_device(&a), 7), OK);
    STATUS(cublasGetMatrix(3, 3, 4, on_device(&a), 7, back, 5), OK);
    for (int column = 0; column < 3; column++)
        for (int row = 0; row < 3; row++) EXPECT(back[column * 5 + row] == matrix[column * 3 + row]);
    STATUS(cublasSetMatrixAsync(3, 5, 4, matrix, 3, on_device(&a), 3, stream), OK);
    CHECK(cuStreamSynchronize(stream));
    STATUS(cublasGetVector(15, 4, on_device(&a), 1, back, 1), OK);
    EXPECT(memcmp(back, matrix, sizeof back) == 0);
    STATUS(cublasSetVector(5, 4, matrix, 3, on_device(&a), 2), OK);
    STATUS(cublasGetVector(5, 4, on_device(&a), 2, back, 1), OK);
    for (int i = 0; i < 5; i++) EXPECT(back[i] == matrix[3 * i]);
    STATUS(cublasSetMatrix(3, 4, 4, matrix, 2, on_device(&a), 7), INVALID_VALUE);
    STATUS(cublasSetMatrix(3, 4, 0, matrix, 3, on_device(&a), 7), INVALID_VALUE);
    STATUS(cublasSetVector(5, 4, matrix, 0, on_device(&a), 2), INVALID_VALUE);
    STATUS(cublasSetVector(0, 4, matrix, 1, on_device(&a), 2), OK);
    array_drop(&a);
}

int main(void) {
    CUstream stream;
    start();
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cublasCreate_v2(&handle), OK);
    matrices_with_vectors();
    STATUS(cublasSetStream_v2(handle, stream), OK);
    pointers();
    helpers(stream);
    STATUS(cublasDestroy_v2(handle), OK);
    printf("ok\n");
    return 0;
}
