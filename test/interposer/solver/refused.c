/*
 * What does not fit: matrices and work areas that are shorter than the function reaches, sizes that are no sizes or that no number holds, memory that is the host's,
 * batches whose lists are too short, parameters of another kind, functions that are not served. Each is refused by its own call, and the next one works. And graphs.
 */
#include "../../../client/interposer/driver/cuda-graph-api.h"
#include "solver.h"

int cusolverDnSgetrf_bufferSize(cusolverDnHandle_t, int m, int n, CUdeviceptr a, int lda, int *lwork);
int cusolverDnSgetrf(cusolverDnHandle_t, int m, int n, CUdeviceptr a, int lda, CUdeviceptr work, CUdeviceptr pivots, CUdeviceptr info);
int cusolverDnDpotrf_bufferSize(cusolverDnHandle_t, int fill, int n, CUdeviceptr a, int lda, int *lwork);
int cusolverDnDpotrf(cusolverDnHandle_t, int fill, int n, CUdeviceptr a, int lda, CUdeviceptr work, int lwork, CUdeviceptr info);
int cusolverDnDpotrs(cusolverDnHandle_t, int fill, int n, int nrhs, CUdeviceptr a, int lda, CUdeviceptr b, int ldb, CUdeviceptr info);
int cusolverDnSpotrfBatched(cusolverDnHandle_t, int fill, int n, CUdeviceptr a, int lda, CUdeviceptr info, int batch);
int cusolverDnXgetrf_bufferSize(cusolverDnHandle_t, void *params, int64_t m, int64_t n, int type, CUdeviceptr a, int64_t lda, int compute, size_t *device, size_t *host);
int cusolverDnXgetrf(cusolverDnHandle_t, void *params, int64_t m, int64_t n, int type, CUdeviceptr a, int64_t lda, CUdeviceptr pivots, int compute, CUdeviceptr work, size_t work_bytes,
                     void *host, size_t host_bytes, CUdeviceptr info);
int cusolverDnSgesvdjBatched_bufferSize(cusolverDnHandle_t, int mode, int m, int n, CUdeviceptr a, int lda, CUdeviceptr s, CUdeviceptr u, int ldu, CUdeviceptr v, int ldv, int *lwork,
                                        void *params, int batch);
int cusolverDnSgesvdaStridedBatched(cusolverDnHandle_t, int mode, int rank, int m, int n, CUdeviceptr a, int lda, long long stride_a, CUdeviceptr s, long long stride_s, CUdeviceptr u,
                                    int ldu, long long stride_u, CUdeviceptr v, int ldv, long long stride_v, CUdeviceptr work, int lwork, CUdeviceptr info, double *norms, int batch);
int cusolverDnSpotri(void);
int cusolverDnIRSXgesv(void);
int cusolverSpCreate(void);
int cusolverRfCreate(void);

enum { N = 6, MANY = 1 << 20 };

static cusolverDnHandle_t handle;
static CUdeviceptr info, pivots;

static int factor(const struct matrix *a, CUdeviceptr work) {
    return cusolverDnSgetrf(handle, N, N, a->device, a->leading, work, pivots, info);
}

static void check_short(void) {
    struct matrix a = matrix_of(0, N, N);
    int lwork;
    STATUS(cusolverDnSgetrf_bufferSize(handle, N, N, a.device, a.leading, &lwork), OK);
    CUdeviceptr work = device_bytes(4 * (size_t)lwork), small = device_bytes(4 * (size_t)(lwork - 1)), shorter = device_bytes(matrix_bytes(&a) - 1);
    /* Elements of another size make the same memory too short. */
    STATUS(cusolverDnSgetrf(handle, N, N, shorter, a.leading, work, pivots, info), INVALID_VALUE);
    STATUS(cusolverDnSgetrf(handle, N, N, a.device, a.leading + 1, work, pivots, info), INVALID_VALUE);
    STATUS(factor(&a, small), INVALID_VALUE);
    STATUS(factor(&a, 0), INVALID_VALUE);
    STATUS(cusolverDnSgetrf(handle, N, N, (CUdeviceptr)a.host, a.leading, work, pivots, info), INVALID_VALUE);
    STATUS(cusolverDnSgetrf(handle, N, N, a.device, a.leading, work, pivots + 4, info), INVALID_VALUE);
    STATUS(cusolverDnSgetrf(handle, N, N, a.device, a.leading, work, pivots, 0), INVALID_VALUE);
    STATUS(cusolverDnSgetrf(NULL, N, N, a.device, a.leading, work, pivots, info), INVALID_VALUE);
    number *still = download(&a);
    EXPECT(is_near(still, a.host, N * N, 0));
    STATUS(factor(&a, work), OK);
    EXPECT(device_int(info, 0) == 0);
}

static void check_sizes(void) {
    struct matrix a = matrix_of(0, N, N);
    CUdeviceptr work = device_bytes(MANY);
    size_t bytes, host_bytes;
    int lwork;
    STATUS(cusolverDnSgetrf_bufferSize(handle, -1, N, a.device, a.leading, &lwork), INVALID_VALUE);
    STATUS(cusolverDnSgetrf_bufferSize(handle, N, N, a.device, N - 1, &lwork), INVALID_VALUE);
    STATUS(cusolverDnSgetrf(handle, -N, N, a.device, a.leading, work, pivots, info), INVALID_VALUE);
    STATUS(cusolverDnSgetrf(handle, N, -N, a.device, a.leading, work, pivots, info), INVALID_VALUE);
    STATUS(cusolverDnSgetrf(handle, N, N, a.device, -N, work, pivots, info), INVALID_VALUE);
    STATUS(cusolverDnSgetrf(handle, 46341, 46341, a.device, 46341, work, pivots, info), INVALID_VALUE);
    STATUS(cusolverDnSgetrf(handle, INT32_MAX, INT32_MAX, a.device, INT32_MAX, work, pivots, info), INVALID_VALUE);
    /* Bytes of these are 0 in 64 bits, and of the second one a few. */
    STATUS(cusolverDnXgetrf(handle, NULL, 1ll << 32, 1ll << 32, 0, a.device, 1ll << 32, pivots, 0, work, MANY, &bytes, 8, info), INVALID_VALUE);
    STATUS(cusolverDnXgetrf(handle, NULL, 4, (1ll << 62) + 1, 0, a.device, 4, pivots, 0, work, MANY, &bytes, 8, info), INVALID_VALUE);
    STATUS(cusolverDnXgetrf_bufferSize(handle, NULL, N, N, 77, a.device, a.leading, 77, &bytes, &host_bytes), INVALID_VALUE);
    STATUS(cusolverDnXgetrf(handle, NULL, N, N, 77, a.device, a.leading, pivots, 77, work, MANY, &bytes, 8, info), INVALID_VALUE);
    /* Less than it asks for, and more than a server has for anybody. */
    STATUS(cusolverDnXgetrf_bufferSize(handle, NULL, N, N, 0, a.device, a.leading, 0, &bytes, &host_bytes), OK);
    void *host = malloc(host_bytes);
    CUdeviceptr wide = device_bytes(8 * N);
    STATUS(cusolverDnXgetrf(handle, NULL, N, N, 0, a.device, a.leading, wide, 0, work, bytes, host, host_bytes - 1, info), INVALID_VALUE);
    STATUS(cusolverDnXgetrf(handle, NULL, N, N, 0, a.device, a.leading, wide, 0, work, bytes, host, 1ull << 60, info), INVALID_VALUE);
    STATUS(cusolverDnXgetrf(handle, NULL, N, N, 0, a.device, a.leading, pivots, 0, work, bytes, host, host_bytes, info), INVALID_VALUE);
    STATUS(cusolverDnXgetrf(handle, NULL, N, N, 0, a.device, a.leading, wide, 0, work, bytes, host, host_bytes, info), OK);
    EXPECT(device_int(info, 0) == 0);
}

/* What is said of a work area is not what it has: it must have what is asked for all the same. */
static void check_work(void) {
    struct matrix a = matrix_of(1, N, N), b = matrix_of(1, N, 1);
    int lwork;
    make_hermitian(&a, true);
    STATUS(cusolverDnDpotrf_bufferSize(handle, 0, N, a.device, a.leading, &lwork), OK);
    CUdeviceptr work = device_bytes(8 * (size_t)lwork), tiny = device_bytes(8);
    STATUS(cusolverDnDpotrf(handle, 0, N, a.device, a.leading, tiny, 1, info), INVALID_VALUE);
    STATUS(cusolverDnDpotrf(handle, 0, N, a.device, a.leading, tiny, -1, info), INVALID_VALUE);
    STATUS(cusolverDnDpotrf(handle, 0, N, a.device, a.leading, work, lwork + 1, info), INVALID_VALUE);
    STATUS(cusolverDnDpotrf(handle, 7, N, a.device, a.leading, work, lwork, info), INVALID_VALUE);
    STATUS(cusolverDnDpotrf(handle, 0, N, a.device, a.leading, work, lwork, info), OK);
    STATUS(cusolverDnDpotrs(handle, 0, N, 2, a.device, a.leading, b.device, b.leading, info), INVALID_VALUE);
    STATUS(cusolverDnDpotrs(handle, 0, N, 1, a.device, a.leading, b.device, b.leading, info), OK);
}

static void check_others(void) {
    struct matrix a = matrix_of(0, N, N);
    CUdeviceptr list = device_bytes(8 * 3), infos = device_bytes(4 * 4);
    gesvdjInfo_t jacobi;
    int lwork;
    STATUS(cusolverDnSpotrfBatched(handle, 0, N, list, a.leading, infos, 4), INVALID_VALUE);
    STATUS(cusolverDnSpotrfBatched(handle, 0, N, (CUdeviceptr)&list, a.leading, infos, 3), INVALID_VALUE);
    STATUS(cusolverDnSpotrfBatched(handle, 0, N, list, a.leading, infos, -3), INVALID_VALUE);
    STATUS(cusolverDnCreateGesvdjInfo(&jacobi), OK);
    STATUS(cusolverDnXgetrf_bufferSize(handle, jacobi, N, N, 0, a.device, a.leading, 0, &(size_t){0}, &(size_t){0}), INVALID_VALUE);
    STATUS(cusolverDnSgesvdjBatched_bufferSize(handle, 1, N, N, a.device, N, a.device, a.device, N, a.device, N, &lwork, NULL, 1), INVALID_VALUE);
    STATUS(cusolverDnXgesvdjSetSortEig((gesvdjInfo_t)&lwork, 1), INVALID_VALUE);
    /* That it fails is known once it is used, and by nobody else. */
    STATUS(cusolverDnXgesvdjSetMaxSweeps(jacobi, -1), OK);
    STATUS(cusolverDnSgesvdjBatched_bufferSize(handle, 1, N, N, a.device, N, a.device, a.device, N, a.device, N, &lwork, jacobi, 1), INVALID_VALUE);
    STATUS(cusolverDnXgesvdjSetMaxSweeps(jacobi, 10), OK);
    STATUS(cusolverDnSgesvdjBatched_bufferSize(handle, 1, N, N, a.device, N, a.device, a.device, N, a.device, N, &lwork, jacobi, 1), OK);
    STATUS(cusolverDnDestroyGesvdjInfo(jacobi), OK);
    STATUS(cusolverDnSpotri(), NOT_SUPPORTED);
    STATUS(cusolverDnIRSXgesv(), NOT_SUPPORTED);
    STATUS(cusolverSpCreate(), NOT_SUPPORTED);
    STATUS(cusolverRfCreate(), NOT_SUPPORTED);
}

/* A graph has what a stream has captured, as often as it is launched; what is told on the host cannot be in one. */
static void check_graph(void) {
    struct matrix a = matrix_of(0, N, N);
    CUdeviceptr work = device_bytes(MANY);
    CUstream stream, back;
    CUgraph graph;
    CUgraphExec exec;
    double norm;
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cusolverDnSetStream(handle, stream), OK);
    STATUS(cusolverDnGetStream(handle, &back), OK);
    EXPECT(back == stream);
    STATUS(factor(&a, work), OK);
    CHECK(cuStreamSynchronize(stream));
    number *factors = download(&a);
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    STATUS(factor(&a, work), OK);
    STATUS(cusolverDnSgesvdaStridedBatched(handle, 1, 1, N, N, a.device, a.leading, 0, work, 0, work + 4096, N, 0, work + 8192, N, 0, work + 16384, 4096, info, &norm, 1), NOT_SUPPORTED);
    CHECK(cuStreamEndCapture(stream, &graph));
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int time = 0; time < 2; time++) {
        upload(&a);
        CHECK(cuGraphLaunch(exec, stream));
        CHECK(cuStreamSynchronize(stream));
        EXPECT(is_near(download(&a), factors, N * N, 0));
    }
    free(factors);
    STATUS(cusolverDnSetStream(handle, NULL), OK);
    CHECK(cuStreamDestroy_v2(stream));
}

int main(void) {
    start();
    STATUS(cusolverDnCreate(&handle), OK);
    info = device_bytes(4);
    pivots = device_bytes(4 * N);
    check_short();
    check_sizes();
    check_work();
    check_others();
    check_graph();
    STATUS(cusolverDnDestroy(handle), OK);
    printf("ok\n");
    return 0;
}
