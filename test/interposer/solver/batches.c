/* Factorisations and solves of batches by cuBLAS, whose matrices stand in lists on the device: what PyTorch calls for solve, inv and lstsq. */
#include "../../../client/interposer/driver/cuda-graph-api.h"
#include "solver.h"

typedef struct cublasContext *cublasHandle_t;

int cublasCreate_v2(cublasHandle_t *handle);
int cublasDestroy_v2(cublasHandle_t handle);
int cublasSetStream_v2(cublasHandle_t handle, CUstream stream);
#define BLAS_FOUR(name, ...)                                                                                                            \
    int cublasS##name(__VA_ARGS__);                                                                                                     \
    int cublasD##name(__VA_ARGS__);                                                                                                     \
    int cublasC##name(__VA_ARGS__);                                                                                                     \
    int cublasZ##name(__VA_ARGS__);                                                                                                     \
    static int (*const name[])(__VA_ARGS__) = {cublasS##name, cublasD##name, cublasC##name, cublasZ##name};
BLAS_FOUR(getrfBatched, cublasHandle_t, int n, CUdeviceptr a, int lda, CUdeviceptr pivots, CUdeviceptr info, int batch)
BLAS_FOUR(getriBatched, cublasHandle_t, int n, CUdeviceptr a, int lda, CUdeviceptr pivots, CUdeviceptr c, int ldc, CUdeviceptr info, int batch)
BLAS_FOUR(getrsBatched, cublasHandle_t, int operation, int n, int nrhs, CUdeviceptr a, int lda, CUdeviceptr pivots, CUdeviceptr b, int ldb, int *info, int batch)
BLAS_FOUR(geqrfBatched, cublasHandle_t, int m, int n, CUdeviceptr a, int lda, CUdeviceptr tau, int *info, int batch)
BLAS_FOUR(gelsBatched, cublasHandle_t, int operation, int m, int n, int nrhs, CUdeviceptr a, int lda, CUdeviceptr c, int ldc, int *info, CUdeviceptr infos, int batch)
BLAS_FOUR(matinvBatched, cublasHandle_t, int n, CUdeviceptr a, int lda, CUdeviceptr c, int ldc, CUdeviceptr info, int batch)

enum { N = 5, M = 8, COLUMNS = 2, BATCH = 3, BLAS_INVALID_VALUE = 7 };

static cublasHandle_t handle;

/* A batch with its list on the device. */
struct batch {
    struct matrix matrices[BATCH];
    CUdeviceptr list;
};

static struct batch batch_of(int type, int rows, int columns) {
    struct batch made;
    CUdeviceptr addresses[BATCH];
    for (int i = 0; i < BATCH; i++) {
        made.matrices[i] = matrix_of(type, rows, columns);
        addresses[i] = made.matrices[i].device;
    }
    made.list = device_bytes(sizeof addresses);
    CHECK(cuMemcpyHtoD_v2(made.list, addresses, sizeof addresses));
    return made;
}

static int leading(const struct batch *batch) {
    return batch->matrices[0].leading;
}

static void end(struct batch *batch) {
    for (int i = 0; i < BATCH; i++) free_matrix(&batch->matrices[i]);
    CHECK(cuMemFree_v2(batch->list));
}

/* op(A) X = B of each, and 1 = A C. */
static void check_lu(int type, CUdeviceptr pivots, CUdeviceptr infos) {
    struct batch a = batch_of(type, N, N), b = batch_of(type, N, COLUMNS), inverse = batch_of(type, N, N);
    int info = 1, operation = type + 1 > 2 ? 2 : type;
    number one[N * N] = {0};
    for (int i = 0; i < N; i++) one[i + i * N] = 1;
    STATUS(matinvBatched[type](handle, N, a.list, leading(&a), inverse.list, leading(&inverse), infos, BATCH), OK);
    for (int i = 0; i < BATCH; i++) {
        number *c = download(&inverse.matrices[i]);
        EXPECT(device_int(infos, i) == 0 && is_near(product(a.matrices[i].host, 0, c, 0, (int[]){N, N, N}), one, N * N, type));
        free(c);
    }
    STATUS(getrfBatched[type](handle, N, a.list, leading(&a), pivots, infos, BATCH), OK);
    for (int i = 0; i < BATCH; i++) EXPECT(device_int(infos, i) == 0);
    STATUS(getrsBatched[type](handle, operation, N, COLUMNS, a.list, leading(&a), pivots, b.list, leading(&b), &info, BATCH), OK);
    EXPECT(info == 0);
    STATUS(getriBatched[type](handle, N, a.list, leading(&a), pivots, inverse.list, leading(&inverse), infos, BATCH), OK);
    for (int i = 0; i < BATCH; i++) {
        number *x = download(&b.matrices[i]), *c = download(&inverse.matrices[i]);
        EXPECT(is_near(product(a.matrices[i].host, operation, x, 0, (int[]){N, N, COLUMNS}), b.matrices[i].host, N * COLUMNS, type));
        EXPECT(device_int(infos, i) == 0 && is_near(product(a.matrices[i].host, 0, c, 0, (int[]){N, N, N}), one, N * N, type));
        free(x);
        free(c);
    }
    end(&a);
    end(&b);
    end(&inverse);
}

/* R^H R = A^H A; and what is left of A x - b is orthogonal to A. */
static void check_qr(int type, CUdeviceptr infos) {
    struct batch a = batch_of(type, M, N), tau = batch_of(type, N, 1), b = batch_of(type, M, COLUMNS);
    int info = 1;
    STATUS(geqrfBatched[type](handle, M, N, a.list, leading(&a), tau.list, &info, BATCH), OK);
    EXPECT(info == 0);
    for (int i = 0; i < BATCH; i++) {
        number *r = download(&a.matrices[i]), *wanted = product(a.matrices[i].host, 2, a.matrices[i].host, 0, (int[]){N, M, N});
        for (int j = 0; j < M * N; j++)
            if (j % M > j / M) r[j] = 0;
        EXPECT(is_near(product(r, 2, r, 0, (int[]){N, M, N}), wanted, N * N, type));
        upload(&a.matrices[i]);
        free(r);
        free(wanted);
    }
    STATUS(gelsBatched[type](handle, 0, M, N, COLUMNS, a.list, leading(&a), b.list, leading(&b), &info, infos, BATCH), OK);
    EXPECT(info == 0);
    for (int i = 0; i < BATCH; i++) {
        const number *matrix = a.matrices[i].host;
        number *found = download(&b.matrices[i]), x[N * COLUMNS], none[N * COLUMNS] = {0};
        for (int j = 0; j < N * COLUMNS; j++) x[j] = found[j % N + j / N * M];
        number *rest = product(matrix, 0, x, 0, (int[]){M, N, COLUMNS});
        for (int j = 0; j < M * COLUMNS; j++) rest[j] -= b.matrices[i].host[j];
        EXPECT(device_int(infos, i) == 0 && is_near(product(matrix, 2, rest, 0, (int[]){N, M, COLUMNS}), none, N * COLUMNS, type));
        free(found);
        free(rest);
    }
    end(&a);
    end(&tau);
    end(&b);
}

/* Of matrices with nothing in them there need be no list, as there need be none of none. */
static void check_empty(int type, CUdeviceptr infos) {
    int info = 1;
    STATUS(geqrfBatched[type](handle, M, 0, 0, M, 0, &info, BATCH), OK);
    EXPECT(info == 0);
    STATUS(geqrfBatched[type](handle, 0, N, 0, 1, 0, &info, BATCH), OK);
    EXPECT(info == 0);
    STATUS(getrfBatched[type](handle, 0, 0, 1, 0, infos, BATCH), OK);
    STATUS(getrfBatched[type](handle, N, 0, N, 0, infos, BATCH), BLAS_INVALID_VALUE);
    STATUS(geqrfBatched[type](handle, M, N, 0, M, 0, &info, BATCH), BLAS_INVALID_VALUE);
}

/* Lists and pivots that are too short or somewhere else, sizes that are none, and matrices that the list leads nowhere. */
static void check_refused(CUdeviceptr pivots, CUdeviceptr infos) {
    struct batch a = batch_of(0, N, N), b = batch_of(0, N, COLUMNS);
    int info = 0;
    STATUS(getrfBatched[0](handle, N, a.list, leading(&a), pivots, infos, BATCH + 1), BLAS_INVALID_VALUE);
    STATUS(getrfBatched[0](handle, N, a.list, leading(&a), pivots + 4, infos, BATCH), BLAS_INVALID_VALUE);
    STATUS(getrfBatched[0](handle, N, (CUdeviceptr)&a, leading(&a), pivots, infos, BATCH), BLAS_INVALID_VALUE);
    STATUS(getrfBatched[0](handle, N, a.list, N - 1, pivots, infos, BATCH), BLAS_INVALID_VALUE);
    STATUS(getrfBatched[0](handle, INT32_MAX, a.list, INT32_MAX, pivots, infos, BATCH), BLAS_INVALID_VALUE);
    STATUS(getrsBatched[0](handle, 5, N, COLUMNS, a.list, leading(&a), pivots, b.list, leading(&b), &info, BATCH), BLAS_INVALID_VALUE);
    STATUS(getrfBatched[0](NULL, N, a.list, leading(&a), pivots, infos, BATCH), NOT_INITIALIZED);
    STATUS(getrfBatched[0](handle, N, a.list, leading(&a), pivots, infos, BATCH), OK);
    EXPECT(device_int(infos, 0) == 0);
    end(&a);
    end(&b);
}

/* In a graph, by the stream that the handle has. */
static void check_graph(CUstream stream, CUdeviceptr infos) {
    struct batch a = batch_of(1, N, N), inverse = batch_of(1, N, N);
    CUgraph graph;
    CUgraphExec exec;
    number one[N * N] = {0};
    for (int i = 0; i < N; i++) one[i + i * N] = 1;
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    STATUS(matinvBatched[1](handle, N, a.list, leading(&a), inverse.list, leading(&inverse), infos, BATCH), OK);
    CHECK(cuStreamEndCapture(stream, &graph));
    number *before = download(&inverse.matrices[0]);
    EXPECT(is_near(before, inverse.matrices[0].host, N * N, 1));
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    CHECK(cuGraphLaunch(exec, stream));
    CHECK(cuStreamSynchronize(stream));
    number *c = download(&inverse.matrices[2]);
    EXPECT(is_near(product(a.matrices[2].host, 0, c, 0, (int[]){N, N, N}), one, N * N, 1));
    free(c);
    end(&a);
    end(&inverse);
}

int main(void) {
    CUstream stream;
    start();
    STATUS(cublasCreate_v2(&handle), OK);
    CHECK(cuStreamCreate(&stream, 0));
    STATUS(cublasSetStream_v2(handle, stream), OK);
    CUdeviceptr pivots = device_bytes(4 * N * BATCH), infos = device_bytes(4 * BATCH);
    for (int type = 0; type < 4; type++) {
        check_lu(type, pivots, infos);
        check_qr(type, infos);
        check_empty(type, infos);
    }
    check_refused(pivots, infos);
    check_graph(stream, infos);
    STATUS(cublasDestroy_v2(handle), OK);
    printf("ok\n");
    return 0;
}
