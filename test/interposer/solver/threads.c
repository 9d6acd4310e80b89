/*
 * Several threads, each with a handle, a stream and parameters of its own, ask and compute at the same time: what each of them gets is its own. The argument says how
 * often; what is factored in one round is solved with in the next.
 */
#include <pthread.h>

#include "solver.h"

int cusolverDnDgetrf_bufferSize(cusolverDnHandle_t, int m, int n, CUdeviceptr a, int lda, int *lwork);
int cusolverDnDgetrf(cusolverDnHandle_t, int m, int n, CUdeviceptr a, int lda, CUdeviceptr work, CUdeviceptr pivots, CUdeviceptr info);
int cusolverDnDgetrs(cusolverDnHandle_t, int operation, int n, int nrhs, CUdeviceptr a, int lda, CUdeviceptr pivots, CUdeviceptr b, int ldb, CUdeviceptr info);
int cusolverDnDgesvdjBatched_bufferSize(cusolverDnHandle_t, int mode, int m, int n, CUdeviceptr a, int lda, CUdeviceptr s, CUdeviceptr u, int ldu, CUdeviceptr v, int ldv, int *lwork,
                                        gesvdjInfo_t params, int batch);
int cusolverDnXpotrf_bufferSize(cusolverDnHandle_t, cusolverDnParams_t, int fill, int64_t n, int type, CUdeviceptr a, int64_t lda, int compute, size_t *device, size_t *host);
int cusolverDnXpotrf(cusolverDnHandle_t, cusolverDnParams_t, int fill, int64_t n, int type, CUdeviceptr a, int64_t lda, int compute, CUdeviceptr work, size_t work_bytes, void *host,
                     size_t host_bytes, CUdeviceptr info);

enum { THREADS = 4, N = 12, COLUMNS = 2, F64 = 1 };

static CUcontext context;
static int times;
/* Numbers come from one sequence. */
static pthread_mutex_t numbers = PTHREAD_MUTEX_INITIALIZER;

static struct matrix next_matrix(int rows, int columns) {
    pthread_mutex_lock(&numbers);
    struct matrix made = matrix_of(F64, rows, columns);
    pthread_mutex_unlock(&numbers);
    return made;
}

static int first_info(CUdeviceptr info, CUstream stream) {
    CHECK(cuStreamSynchronize(stream));
    return device_int(info, 0);
}

/* With parameters that are made, set, used and ended. */
static void ask(cusolverDnHandle_t handle, const struct matrix *a, int sweeps) {
    gesvdjInfo_t parameters;
    int lwork;
    STATUS(cusolverDnCreateGesvdjInfo(&parameters), OK);
    STATUS(cusolverDnXgesvdjSetMaxSweeps(parameters, sweeps), OK);
    STATUS(cusolverDnDgesvdjBatched_bufferSize(handle, 1, N, N, a->device, a->leading, a->device, a->device, N, a->device, N, &lwork, parameters, 1), OK);
    EXPECT(lwork > 0);
    STATUS(cusolverDnDestroyGesvdjInfo(parameters), OK);
}

static void factor_wide(cusolverDnHandle_t handle, CUdeviceptr info, CUstream stream) {
    struct matrix a = next_matrix(N, N);
    size_t bytes, host_bytes;
    make_hermitian(&a, true);
    STATUS(cusolverDnXpotrf_bufferSize(handle, NULL, 0, N, F64, a.device, a.leading, F64, &bytes, &host_bytes), OK);
    CUdeviceptr work = device_bytes(bytes);
    void *host = malloc(host_bytes);
    STATUS(cusolverDnXpotrf(handle, NULL, 0, N, F64, a.device, a.leading, F64, work, bytes, host, host_bytes, info), OK);
    EXPECT(first_info(info, stream) == 0);
    free(host);
    CHECK(cuMemFree_v2(work));
    free_matrix(&a);
}

static void *work_alone(void *given) {
    cusolverDnHandle_t handle;
    CUstream stream;
    int lwork;
    CHECK(cuCtxSetCurrent(context));
    STATUS(cusolverDnCreate(&handle), OK);
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cusolverDnSetStream(handle, stream), OK);
    struct matrix a = next_matrix(N, N), b = next_matrix(N, COLUMNS);
    STATUS(cusolverDnDgetrf_bufferSize(handle, N, N, a.device, a.leading, &lwork), OK);
    CUdeviceptr work = device_bytes(8 * (size_t)lwork), pivots = device_bytes(4 * N), info = device_bytes(4);
    STATUS(cusolverDnDgetrf(handle, N, N, a.device, a.leading, work, pivots, info), OK);
    EXPECT(first_info(info, stream) == 0);
    for (int time = 0; time < times; time++) {
        upload(&b);
        STATUS(cusolverDnDgetrs(handle, 0, N, COLUMNS, a.device, a.leading, pivots, b.device, b.leading, info), OK);
        CHECK(cuStreamSynchronize(stream));
        number *x = download(&b);
        EXPECT(is_near(product(a.host, 0, x, 0, (int[]){N, N, COLUMNS}), b.host, N * COLUMNS, F64));
        free(x);
        ask(handle, &a, 1 + (time + *(int *)given) % 9);
        factor_wide(handle, info, stream);
    }
    CHECK(cuMemFree_v2(work));
    CHECK(cuMemFree_v2(pivots));
    CHECK(cuMemFree_v2(info));
    free_matrix(&a);
    free_matrix(&b);
    STATUS(cusolverDnDestroy(handle), OK);
    CHECK(cuStreamDestroy_v2(stream));
    return NULL;
}

int main(int count, char **arguments) {
    pthread_t threads[THREADS];
    int own[THREADS];
    times = count > 1 ? atoi(arguments[1]) : 6;
    context = start();
    for (int i = 0; i < THREADS; i++) {
        own[i] = i;
        EXPECT(pthread_create(&threads[i], NULL, work_alone, &own[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) EXPECT(pthread_join(threads[i], NULL) == 0);
    printf("ok\n");
    return 0;
}
