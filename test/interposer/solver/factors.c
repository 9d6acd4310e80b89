/* LU, Cholesky, QR and LDL of matrices of all types, and what is solved with them, by the calls that PyTorch makes for inv, solve, cholesky, qr and ldl_solve. */
#include "solver.h"

FOUR(getrf_bufferSize, cusolverDnHandle_t, int m, int n, CUdeviceptr a, int lda, int *lwork)
FOUR(getrf, cusolverDnHandle_t, int m, int n, CUdeviceptr a, int lda, CUdeviceptr work, CUdeviceptr pivots, CUdeviceptr info)
FOUR(getrs, cusolverDnHandle_t, int operation, int n, int nrhs, CUdeviceptr a, int lda, CUdeviceptr pivots, CUdeviceptr b, int ldb, CUdeviceptr info)
FOUR(potrf_bufferSize, cusolverDnHandle_t, int fill, int n, CUdeviceptr a, int lda, int *lwork)
FOUR(potrf, cusolverDnHandle_t, int fill, int n, CUdeviceptr a, int lda, CUdeviceptr work, int lwork, CUdeviceptr info)
FOUR(potrs, cusolverDnHandle_t, int fill, int n, int nrhs, CUdeviceptr a, int lda, CUdeviceptr b, int ldb, CUdeviceptr info)
FOUR(potrfBatched, cusolverDnHandle_t, int fill, int n, CUdeviceptr a, int lda, CUdeviceptr info, int batch)
FOUR(potrsBatched, cusolverDnHandle_t, int fill, int n, int nrhs, CUdeviceptr a, int lda, CUdeviceptr b, int ldb, CUdeviceptr info, int batch)
FOUR(geqrf_bufferSize, cusolverDnHandle_t, int m, int n, CUdeviceptr a, int lda, int *lwork)
FOUR(geqrf, cusolverDnHandle_t, int m, int n, CUdeviceptr a, int lda, CUdeviceptr tau, CUdeviceptr work, int lwork, CUdeviceptr info)
FAMILY(Sorgqr_bufferSize, Dorgqr_bufferSize, Cungqr_bufferSize, Zungqr_bufferSize, orgqr_bufferSize, cusolverDnHandle_t, int m, int n, int k, CUdeviceptr a, int lda,
       CUdeviceptr tau, int *lwork)
FAMILY(Sorgqr, Dorgqr, Cungqr, Zungqr, orgqr, cusolverDnHandle_t, int m, int n, int k, CUdeviceptr a, int lda, CUdeviceptr tau, CUdeviceptr work, int lwork, CUdeviceptr info)
FAMILY(Sormqr_bufferSize, Dormqr_bufferSize, Cunmqr_bufferSize, Zunmqr_bufferSize, ormqr_bufferSize, cusolverDnHandle_t, int side, int operation, int m, int n, int k,
       CUdeviceptr a, int lda, CUdeviceptr tau, CUdeviceptr c, int ldc, int *lwork)
FAMILY(Sormqr, Dormqr, Cunmqr, Zunmqr, ormqr, cusolverDnHandle_t, int side, int operation, int m, int n, int k, CUdeviceptr a, int lda, CUdeviceptr tau, CUdeviceptr c, int ldc,
       CUdeviceptr work, int lwork, CUdeviceptr info)
FOUR(sytrf_bufferSize, cusolverDnHandle_t, int n, CUdeviceptr a, int lda, int *lwork)
FOUR(sytrf, cusolverDnHandle_t, int fill, int n, CUdeviceptr a, int lda, CUdeviceptr pivots, CUdeviceptr work, int lwork, CUdeviceptr info)
int cusolverDnXsytrs_bufferSize(cusolverDnHandle_t, int fill, int64_t n, int64_t nrhs, int type, CUdeviceptr a, int64_t lda, CUdeviceptr pivots, int type_b, CUdeviceptr b,
                                int64_t ldb, size_t *device, size_t *host);
int cusolverDnXsytrs(cusolverDnHandle_t, int fill, int64_t n, int64_t nrhs, int type, CUdeviceptr a, int64_t lda, CUdeviceptr pivots, int type_b, CUdeviceptr b, int64_t ldb,
                     CUdeviceptr work, size_t work_bytes, void *host, size_t host_bytes, CUdeviceptr info);

enum { N = 9, M = 13, COLUMNS = 4, BATCH = 3 };

static cusolverDnHandle_t handle;
static CUdeviceptr info, pivots;

static void check_lu(int type) {
    int lwork;
    for (int operation = 0; operation < 3; operation++) {
        struct matrix a = matrix_of(type, N, N), b = matrix_of(type, N, COLUMNS);
        STATUS(getrf_bufferSize[type](handle, N, N, a.device, a.leading, &lwork), OK);
        CUdeviceptr work = device_bytes((size_t)lwork * element_bytes[type]);
        STATUS(getrf[type](handle, N, N, a.device, a.leading, work, pivots, info), OK);
        EXPECT(device_int(info, 0) == 0);
        STATUS(getrs[type](handle, operation, N, COLUMNS, a.device, a.leading, pivots, b.device, b.leading, info), OK);
        number *x = download(&b);
        EXPECT(is_near(product(a.host, operation, x, 0, (int[]){N, N, COLUMNS}), b.host, N * COLUMNS, type));
        free(x);
        CHECK(cuMemFree_v2(work));
        free_matrix(&a);
        free_matrix(&b);
    }
    /* The third pivot is 0: its number is told, and the call itself does not fail. */
    struct matrix singular = matrix_of(type, N, N);
    for (int i = 0; i < N; i++) singular.host[i + 2 * N] = 0;
    upload(&singular);
    STATUS(getrf_bufferSize[type](handle, N, N, singular.device, singular.leading, &lwork), OK);
    CUdeviceptr work = device_bytes((size_t)lwork * element_bytes[type]);
    STATUS(getrf[type](handle, N, N, singular.device, singular.leading, work, pivots, info), OK);
    EXPECT(device_int(info, 0) == 3);
    CHECK(cuMemFree_v2(work));
    free_matrix(&singular);
}

static void check_cholesky(int type, int fill) {
    struct matrix a = matrix_of(type, N, N), b = matrix_of(type, N, COLUMNS);
    int lwork;
    make_hermitian(&a, true);
    STATUS(potrf_bufferSize[type](handle, fill, N, a.device, a.leading, &lwork), OK);
    CUdeviceptr work = device_bytes((size_t)lwork * element_bytes[type]);
    STATUS(potrf[type](handle, fill, N, a.device, a.leading, work, lwork, info), OK);
    EXPECT(device_int(info, 0) == 0);
    number *factor = download(&a);
    /* The other triangle is as it was, which the product must not see. */
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            if (fill == 0 ? i < j : i > j) {
                EXPECT(cabs(factor[i + j * N] - a.host[i + j * N]) < tolerances[type] * 10);
                factor[i + j * N] = 0;
            }
    EXPECT(is_near(product(factor, fill == 0 ? 0 : 2, factor, fill == 0 ? 2 : 0, (int[]){N, N, N}), a.host, N * N, type));
    STATUS(potrs[type](handle, fill, N, COLUMNS, a.device, a.leading, b.device, b.leading, info), OK);
    number *x = download(&b);
    EXPECT(is_near(product(a.host, 0, x, 0, (int[]){N, N, COLUMNS}), b.host, N * COLUMNS, type));
    a.host[5 + 5 * N] = -1;
    upload(&a);
    STATUS(potrf[type](handle, fill, N, a.device, a.leading, work, lwork, info), OK);
    EXPECT(device_int(info, 0) == 6);
    free(factor);
    free(x);
    CHECK(cuMemFree_v2(work));
    free_matrix(&a);
    free_matrix(&b);
}

static CUdeviceptr list_of(const struct matrix *matrices) {
    CUdeviceptr addresses[BATCH], at = device_bytes(sizeof addresses);
    for (int i = 0; i < BATCH; i++) addresses[i] = matrices[i].device;
    CHECK(cuMemcpyHtoD_v2(at, addresses, sizeof addresses));
    return at;
}

static void check_cholesky_batch(int type) {
    struct matrix a[BATCH], b[BATCH];
    for (int i = 0; i < BATCH; i++) {
        a[i] = matrix_of(type, N, N);
        b[i] = matrix_of(type, N, 1);
        make_hermitian(&a[i], i != 1);
    }
    CUdeviceptr in_a = list_of(a), in_b = list_of(b), infos = device_bytes(4 * BATCH);
    STATUS(potrfBatched[type](handle, 0, N, in_a, a[0].leading, infos, BATCH), OK);
    EXPECT(device_int(infos, 0) == 0 && device_int(infos, 1) > 0 && device_int(infos, 2) == 0);
    STATUS(potrsBatched[type](handle, 0, N, 1, in_a, a[0].leading, in_b, b[0].leading, info, BATCH), OK);
    EXPECT(device_int(info, 0) == 0);
    for (int i = 0; i < BATCH; i++) {
        number *x = download(&b[i]);
        EXPECT(i == 1 || is_near(product(a[i].host, 0, x, 0, (int[]){N, N, 1}), b[i].host, N, type));
        free(x);
        free_matrix(&a[i]);
        free_matrix(&b[i]);
    }
    CHECK(cuMemFree_v2(in_a));
    CHECK(cuMemFree_v2(in_b));
    CHECK(cuMemFree_v2(infos));
}

static void check_qr(int type) {
    struct matrix a = matrix_of(type, M, N), c = matrix_of(type, M, COLUMNS), d = matrix_of(type, COLUMNS, M);
    CUdeviceptr tau = device_bytes(N * element_bytes[type]);
    int lwork, more, adjoint = type < 2 ? 1 : 2;
    STATUS(geqrf_bufferSize[type](handle, M, N, a.device, a.leading, &lwork), OK);
    STATUS(orgqr_bufferSize[type](handle, M, N, N, a.device, a.leading, tau, &more), OK);
    if (more > lwork) lwork = more;
    STATUS(ormqr_bufferSize[type](handle, 0, adjoint, M, COLUMNS, N, a.device, a.leading, tau, c.device, c.leading, &more), OK);
    if (more > lwork) lwork = more;
    CUdeviceptr work = device_bytes((size_t)lwork * element_bytes[type]);
    STATUS(geqrf[type](handle, M, N, a.device, a.leading, tau, work, lwork, info), OK);
    EXPECT(device_int(info, 0) == 0);
    number *r = download(&a);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++)
            if (i > j) r[i + j * M] = 0;
    STATUS(ormqr[type](handle, 0, adjoint, M, COLUMNS, N, a.device, a.leading, tau, c.device, c.leading, work, lwork, info), OK);
    STATUS(ormqr[type](handle, 1, 0, COLUMNS, M, N, a.device, a.leading, tau, d.device, d.leading, work, lwork, info), OK);
    number *turned = download(&c), *right = download(&d);
    STATUS(orgqr[type](handle, M, N, N, a.device, a.leading, tau, work, lwork, info), OK);
    number *q = download(&a), *square_r = malloc(N * N * sizeof *square_r);
    EXPECT(is_unitary(q, M, N, type));
    for (int i = 0; i < N * N; i++) square_r[i] = r[i % N + i / N * M];
    EXPECT(is_near(product(q, 0, square_r, 0, (int[]){M, N, N}), a.host, M * N, type));
    /* Of Q's M columns the first N are here. */
    number *by_q = product(q, 2, c.host, 0, (int[]){N, M, COLUMNS}), *top = malloc(N * COLUMNS * sizeof *top);
    for (int i = 0; i < N * COLUMNS; i++) top[i] = turned[i % N + i / N * M];
    EXPECT(is_near(by_q, top, N * COLUMNS, type));
    EXPECT(is_near(product(d.host, 0, q, 0, (int[]){COLUMNS, M, N}), right, COLUMNS * N, type));
    free(r);
    free(q);
    free(square_r);
    free(top);
    free(turned);
    free(right);
    CHECK(cuMemFree_v2(work));
    CHECK(cuMemFree_v2(tau));
    free_matrix(&a);
    free_matrix(&c);
    free_matrix(&d);
}

/* Pivots of the first are ints, those of the second are longs. */
static void check_ldl(int type, int fill) {
    struct matrix a = matrix_of(type, N, N), b = matrix_of(type, N, COLUMNS);
    int lwork, narrow[N];
    int64_t wide[N];
    size_t bytes, host_bytes;
    for (int i = 0; i < N; i++) a.host[i + i * N] = 0;
    make_symmetric(&a);
    STATUS(sytrf_bufferSize[type](handle, N, a.device, a.leading, &lwork), OK);
    CUdeviceptr work = device_bytes((size_t)lwork * element_bytes[type]), wide_pivots = device_bytes(8 * N);
    STATUS(sytrf[type](handle, fill, N, a.device, a.leading, pivots, work, lwork, info), OK);
    EXPECT(device_int(info, 0) == 0);
    CHECK(cuMemFree_v2(work));
    CHECK(cuMemcpyDtoH_v2(narrow, pivots, sizeof narrow));
    for (int i = 0; i < N; i++) wide[i] = narrow[i];
    CHECK(cuMemcpyHtoD_v2(wide_pivots, wide, sizeof wide));
    STATUS(cusolverDnXsytrs_bufferSize(handle, fill, N, COLUMNS, data_types[type], a.device, a.leading, wide_pivots, data_types[type], b.device, b.leading, &bytes, &host_bytes), OK);
    work = device_bytes(bytes);
    void *host = malloc(host_bytes);
    STATUS(cusolverDnXsytrs(handle, fill, N, COLUMNS, data_types[type], a.device, a.leading, wide_pivots, data_types[type], b.device, b.leading, work, bytes, host, host_bytes, info), OK);
    number *x = download(&b);
    EXPECT(device_int(info, 0) == 0);
    EXPECT(is_near(product(a.host, 0, x, 0, (int[]){N, N, COLUMNS}), b.host, N * COLUMNS, type));
    free(x);
    free(host);
    CHECK(cuMemFree_v2(work));
    CHECK(cuMemFree_v2(wide_pivots));
    free_matrix(&a);
    free_matrix(&b);
}

int main(void) {
    CUstream stream;
    start();
    STATUS(cusolverDnCreate(&handle), OK);
    info = device_bytes(4);
    pivots = device_bytes(4 * N);
    CHECK(cuStreamCreate(&stream, 0));
    STATUS(cusolverDnSetStream(handle, stream), OK);
    for (int type = 0; type < 4; type++) {
        check_lu(type);
        check_cholesky(type, 0);
        check_cholesky(type, 1);
        check_cholesky_batch(type);
        check_qr(type);
        check_ldl(type, 0);
        check_ldl(type, 1);
    }
    STATUS(cusolverDnDestroy(handle), OK);
    printf("ok\n");
    return 0;
}
