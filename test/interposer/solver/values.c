/* Eigenvalues of Hermitian matrices and singular values, alone and in batches, by the calls that PyTorch makes for eigh and svd. */
#include "solver.h"

FAMILY(Ssyevd_bufferSize, Dsyevd_bufferSize, Cheevd_bufferSize, Zheevd_bufferSize, evd_bufferSize, cusolverDnHandle_t, int mode, int fill, int n, CUdeviceptr a, int lda,
       CUdeviceptr w, int *lwork)
FAMILY(Ssyevd, Dsyevd, Cheevd, Zheevd, evd, cusolverDnHandle_t, int mode, int fill, int n, CUdeviceptr a, int lda, CUdeviceptr w, CUdeviceptr work, int lwork, CUdeviceptr info)
FAMILY(Ssyevj_bufferSize, Dsyevj_bufferSize, Cheevj_bufferSize, Zheevj_bufferSize, evj_one_bufferSize, cusolverDnHandle_t, int mode, int fill, int n, CUdeviceptr a, int lda,
       CUdeviceptr w, int *lwork, syevjInfo_t params)
FAMILY(Ssyevj, Dsyevj, Cheevj, Zheevj, evj_one, cusolverDnHandle_t, int mode, int fill, int n, CUdeviceptr a, int lda, CUdeviceptr w, CUdeviceptr work, int lwork, CUdeviceptr info,
       syevjInfo_t params)
FAMILY(SsyevjBatched_bufferSize, DsyevjBatched_bufferSize, CheevjBatched_bufferSize, ZheevjBatched_bufferSize, evj_bufferSize, cusolverDnHandle_t, int mode, int fill, int n,
       CUdeviceptr a, int lda, CUdeviceptr w, int *lwork, syevjInfo_t params, int batch)
FAMILY(SsyevjBatched, DsyevjBatched, CheevjBatched, ZheevjBatched, evj, cusolverDnHandle_t, int mode, int fill, int n, CUdeviceptr a, int lda, CUdeviceptr w, CUdeviceptr work,
       int lwork, CUdeviceptr info, syevjInfo_t params, int batch)
FOUR(gesvd_bufferSize, cusolverDnHandle_t, int m, int n, int *lwork)
FOUR(gesvd, cusolverDnHandle_t, signed char job_u, signed char job_v, int m, int n, CUdeviceptr a, int lda, CUdeviceptr s, CUdeviceptr u, int ldu, CUdeviceptr v, int ldv,
     CUdeviceptr work, int lwork, CUdeviceptr rwork, CUdeviceptr info)
FOUR(gesvdj_bufferSize, cusolverDnHandle_t, int mode, int economic, int m, int n, CUdeviceptr a, int lda, CUdeviceptr s, CUdeviceptr u, int ldu, CUdeviceptr v, int ldv,
     int *lwork, gesvdjInfo_t params)
FOUR(gesvdj, cusolverDnHandle_t, int mode, int economic, int m, int n, CUdeviceptr a, int lda, CUdeviceptr s, CUdeviceptr u, int ldu, CUdeviceptr v, int ldv, CUdeviceptr work,
     int lwork, CUdeviceptr info, gesvdjInfo_t params)
FOUR(gesvdjBatched_bufferSize, cusolverDnHandle_t, int mode, int m, int n, CUdeviceptr a, int lda, CUdeviceptr s, CUdeviceptr u, int ldu, CUdeviceptr v, int ldv, int *lwork,
     gesvdjInfo_t params, int batch)
FOUR(gesvdjBatched, cusolverDnHandle_t, int mode, int m, int n, CUdeviceptr a, int lda, CUdeviceptr s, CUdeviceptr u, int ldu, CUdeviceptr v, int ldv, CUdeviceptr work,
     int lwork, CUdeviceptr info, gesvdjInfo_t params, int batch)
FOUR(gesvdaStridedBatched_bufferSize, cusolverDnHandle_t, int mode, int rank, int m, int n, CUdeviceptr a, int lda, long long stride_a, CUdeviceptr s, long long stride_s,
     CUdeviceptr u, int ldu, long long stride_u, CUdeviceptr v, int ldv, long long stride_v, int *lwork, int batch)
FOUR(gesvdaStridedBatched, cusolverDnHandle_t, int mode, int rank, int m, int n, CUdeviceptr a, int lda, long long stride_a, CUdeviceptr s, long long stride_s, CUdeviceptr u,
     int ldu, long long stride_u, CUdeviceptr v, int ldv, long long stride_v, CUdeviceptr work, int lwork, CUdeviceptr info, double *norms, int batch)

enum { N = 7, M = 11, BATCH = 3, VECTORS = 1, VALUES = 0 };

static cusolverDnHandle_t handle;
static CUdeviceptr info;

/* A V = V diag(w), V is unitary, and values ascend. */
static void check_pairs(const number *a, const number *v, const double *w, int type) {
    number *scaled = malloc(N * N * sizeof *scaled);
    for (int i = 0; i < N * N; i++) scaled[i] = v[i] * w[i / N];
    for (int i = 1; i < N; i++) EXPECT(w[i] >= w[i - 1]);
    EXPECT(is_unitary(v, N, N, type));
    EXPECT(is_near(product(a, 0, v, 0, (int[]){N, N, N}), scaled, N * N, type));
    free(scaled);
}

static void check_eigen(int type, int fill) {
    struct matrix a = matrix_of(type, N, N);
    CUdeviceptr w = device_bytes(N * real_bytes[type]);
    int lwork;
    make_hermitian(&a, false);
    STATUS(evd_bufferSize[type](handle, VECTORS, fill, N, a.device, a.leading, w, &lwork), OK);
    CUdeviceptr work = device_bytes((size_t)lwork * element_bytes[type]);
    STATUS(evd[type](handle, VECTORS, fill, N, a.device, a.leading, w, work, lwork, info), OK);
    EXPECT(device_int(info, 0) == 0);
    number *v = download(&a);
    double *values = download_values(w, type, N);
    check_pairs(a.host, v, values, type);
    free(v);
    free(values);
    CHECK(cuMemFree_v2(work));
    CHECK(cuMemFree_v2(w));
    free_matrix(&a);
}

/* By Jacobi's method, as PyTorch has it for some sizes. */
static void check_jacobi(int type, int fill) {
    struct matrix a = matrix_of(type, N, N);
    CUdeviceptr w = device_bytes(N * real_bytes[type]);
    syevjInfo_t params;
    int lwork;
    make_hermitian(&a, false);
    STATUS(cusolverDnCreateSyevjInfo(&params), OK);
    STATUS(evj_one_bufferSize[type](handle, VECTORS, fill, N, a.device, a.leading, w, &lwork, params), OK);
    CUdeviceptr work = device_bytes((size_t)lwork * element_bytes[type]);
    STATUS(evj_one[type](handle, VECTORS, fill, N, a.device, a.leading, w, work, lwork, info, params), OK);
    EXPECT(device_int(info, 0) == 0);
    number *v = download(&a);
    double *values = download_values(w, type, N);
    check_pairs(a.host, v, values, type);
    free(v);
    free(values);
    STATUS(cusolverDnDestroySyevjInfo(params), OK);
    CHECK(cuMemFree_v2(work));
    CHECK(cuMemFree_v2(w));
    free_matrix(&a);
}

/* The i-th of matrices that lie side by side. */
static struct matrix part_of(struct matrix m, int i) {
    m.columns /= BATCH;
    m.host += i * m.rows * m.columns;
    m.device += (CUdeviceptr)(i * m.leading * m.columns) * element_bytes[m.type];
    return m;
}

static void check_eigen_batch(int type) {
    struct matrix a = matrix_of(type, N, N * BATCH);
    CUdeviceptr w = device_bytes(N * BATCH * real_bytes[type]), infos = device_bytes(4 * BATCH);
    syevjInfo_t params;
    int lwork;
    for (int i = 0; i < BATCH; i++) {
        struct matrix part = part_of(a, i);
        make_hermitian(&part, false);
    }
    STATUS(cusolverDnCreateSyevjInfo(&params), OK);
    STATUS(cusolverDnXsyevjSetTolerance(params, 1e-9), OK);
    STATUS(cusolverDnXsyevjSetMaxSweeps(params, 50), OK);
    STATUS(evj_bufferSize[type](handle, VECTORS, 0, N, a.device, a.leading, w, &lwork, params, BATCH), OK);
    CUdeviceptr work = device_bytes((size_t)lwork * element_bytes[type]);
    STATUS(evj[type](handle, VECTORS, 0, N, a.device, a.leading, w, work, lwork, infos, params, BATCH), OK);
    double *values = download_values(w, type, N * BATCH);
    for (int i = 0; i < BATCH; i++) {
        struct matrix part = part_of(a, i);
        number *v = download(&part);
        EXPECT(device_int(infos, i) == 0);
        check_pairs(part.host, v, values + N * i, type);
        free(v);
    }
    free(values);
    STATUS(cusolverDnDestroySyevjInfo(params), OK);
    CHECK(cuMemFree_v2(work));
    CHECK(cuMemFree_v2(w));
    CHECK(cuMemFree_v2(infos));
    free_matrix(&a);
}

/* A = U diag(s) V^H, of m x n with so many columns of U and V. */
static void check_svd(const struct matrix *a, const number *u, const double *s, const number *v, bool is_sorted) {
    int m = a->rows, n = a->columns, k = m < n ? m : n;
    number *scaled = malloc((size_t)(m * k) * sizeof *scaled);
    for (int i = 0; i < m * k; i++) scaled[i] = u[i] * s[i / m];
    for (int i = 1; i < k && is_sorted; i++) EXPECT(s[i] <= s[i - 1]);
    EXPECT(is_unitary(u, m, k, a->type) && is_unitary(v, n, k, a->type));
    EXPECT(is_near(product(scaled, 0, v, 2, (int[]){m, k, n}), a->host, m * n, a->type));
    free(scaled);
}

static number *adjoint(const number *a, int m, int n) {
    number *turned = malloc((size_t)(m * n) * sizeof *turned);
    for (int i = 0; i < m * n; i++) turned[i / m + i % m * n] = conj(a[i]);
    return turned;
}

static void check_gesvd(int type, signed char job) {
    struct matrix a = matrix_of(type, M, N), u = matrix_of(type, M, job == 'A' ? M : N), v = matrix_of(type, N, N);
    CUdeviceptr s = device_bytes(N * real_bytes[type]), rwork = device_bytes(N * real_bytes[type]);
    int lwork;
    STATUS(gesvd_bufferSize[type](handle, M, N, &lwork), OK);
    CUdeviceptr work = device_bytes((size_t)lwork * element_bytes[type]);
    bool has_vectors = job != 'N';
    /* What is not wanted may be nowhere. */
    STATUS(gesvd[type](handle, job, job, M, N, a.device, a.leading, s, has_vectors ? u.device : 0, u.leading, has_vectors ? v.device : 0x10, v.leading, work, lwork, rwork, info), OK);
    EXPECT(device_int(info, 0) == 0);
    double *values = download_values(s, type, N);
    number *in_u = download(&u), *in_v = download(&v), *turned = adjoint(in_v, N, N);
    if (has_vectors) check_svd(&a, in_u, values, turned, true);
    EXPECT(job != 'A' || is_unitary(in_u, M, M, type));
    double sum = 0, wanted = 0;
    for (int i = 0; i < N; i++) sum += values[i] * values[i];
    for (int i = 0; i < M * N; i++) wanted += creal(a.host[i] * conj(a.host[i]));
    EXPECT(fabs(sum - wanted) <= tolerances[type] * wanted);
    free(values);
    free(in_u);
    free(in_v);
    free(turned);
    CHECK(cuMemFree_v2(work));
    CHECK(cuMemFree_v2(s));
    CHECK(cuMemFree_v2(rwork));
    free_matrix(&a);
    free_matrix(&u);
    free_matrix(&v);
}

static void check_gesvdj(int type, bool is_economic, int m, int n) {
    int k = m < n ? m : n;
    struct matrix a = matrix_of(type, m, n), u = matrix_of(type, m, is_economic ? k : m), v = matrix_of(type, n, is_economic ? k : n);
    CUdeviceptr s = device_bytes((size_t)k * real_bytes[type]);
    gesvdjInfo_t params;
    int lwork;
    STATUS(cusolverDnCreateGesvdjInfo(&params), OK);
    STATUS(cusolverDnXgesvdjSetTolerance(params, 1e-12), OK);
    STATUS(cusolverDnXgesvdjSetSortEig(params, 1), OK);
    STATUS(gesvdj_bufferSize[type](handle, VECTORS, is_economic, m, n, a.device, a.leading, s, u.device, u.leading, v.device, v.leading, &lwork, params), OK);
    CUdeviceptr work = device_bytes((size_t)lwork * element_bytes[type]);
    STATUS(gesvdj[type](handle, VECTORS, is_economic, m, n, a.device, a.leading, s, u.device, u.leading, v.device, v.leading, work, lwork, info, params), OK);
    EXPECT(device_int(info, 0) == 0);
    double *values = download_values(s, type, k);
    number *in_u = download(&u), *in_v = download(&v);
    check_svd(&a, in_u, values, in_v, true);
    /* One sweep is not enough: what the parameters say now counts, and what is left is told. */
    upload(&a);
    STATUS(cusolverDnXgesvdjSetMaxSweeps(params, 1), OK);
    STATUS(gesvdj[type](handle, VECTORS, is_economic, m, n, a.device, a.leading, s, u.device, u.leading, v.device, v.leading, work, lwork, info, params), OK);
    EXPECT(device_int(info, 0) == k + 1);
    STATUS(cusolverDnDestroyGesvdjInfo(params), OK);
    free(values);
    free(in_u);
    free(in_v);
    CHECK(cuMemFree_v2(work));
    CHECK(cuMemFree_v2(s));
    free_matrix(&a);
    free_matrix(&u);
    free_matrix(&v);
}

static void check_gesvdj_batch(int type) {
    struct matrix a = matrix_of(type, M, N * BATCH), u = matrix_of(type, M, M * BATCH), v = matrix_of(type, N, N * BATCH);
    CUdeviceptr s = device_bytes(N * BATCH * real_bytes[type]), infos = device_bytes(4 * BATCH);
    gesvdjInfo_t params;
    int lwork;
    STATUS(cusolverDnCreateGesvdjInfo(&params), OK);
    STATUS(gesvdjBatched_bufferSize[type](handle, VECTORS, M, N, a.device, a.leading, s, u.device, u.leading, v.device, v.leading, &lwork, params, BATCH), OK);
    CUdeviceptr work = device_bytes((size_t)lwork * element_bytes[type]);
    STATUS(gesvdjBatched[type](handle, VECTORS, M, N, a.device, a.leading, s, u.device, u.leading, v.device, v.leading, work, lwork, infos, params, BATCH), OK);
    double *values = download_values(s, type, N * BATCH);
    for (int i = 0; i < BATCH; i++) {
        struct matrix parts[] = {part_of(a, i), part_of(u, i), part_of(v, i)};
        number *in_u = download(&parts[1]), *in_v = download(&parts[2]);
        EXPECT(device_int(infos, i) == 0 && is_unitary(in_u, M, M, type));
        check_svd(&parts[0], in_u, values + N * i, in_v, true);
        free(in_u);
        free(in_v);
    }
    free(values);
    STATUS(cusolverDnDestroyGesvdjInfo(params), OK);
    CHECK(cuMemFree_v2(work));
    CHECK(cuMemFree_v2(s));
    CHECK(cuMemFree_v2(infos));
    free_matrix(&a);
    free_matrix(&u);
    free_matrix(&v);
}

/* All of the rank, and less, of which the host is told what is left out. */
static void check_gesvda(int type) {
    struct matrix a = matrix_of(type, M, N * BATCH), u = matrix_of(type, M, N * BATCH), v = matrix_of(type, N, N * BATCH);
    CUdeviceptr s = device_bytes(N * BATCH * real_bytes[type]), infos = device_bytes(4 * BATCH);
    long long strides[] = {a.leading * N, N, u.leading * N, v.leading * N};
    double norms[BATCH], *values;
    int lwork;
    STATUS(gesvdaStridedBatched_bufferSize[type](handle, VECTORS, N, M, N, a.device, a.leading, strides[0], s, strides[1], u.device, u.leading, strides[2], v.device, v.leading,
                                                 strides[3], &lwork, BATCH),
           OK);
    CUdeviceptr work = device_bytes((size_t)lwork * element_bytes[type]);
    STATUS(gesvdaStridedBatched[type](handle, VECTORS, N, M, N, a.device, a.leading, strides[0], s, strides[1], u.device, u.leading, strides[2], v.device, v.leading, strides[3],
                                      work, lwork, infos, NULL, BATCH),
           OK);
    values = download_values(s, type, N * BATCH);
    for (int i = 0; i < BATCH; i++) {
        struct matrix parts[] = {part_of(a, i), part_of(u, i), part_of(v, i)};
        number *in_u = download(&parts[1]), *in_v = download(&parts[2]);
        EXPECT(device_int(infos, i) == 0);
        check_svd(&parts[0], in_u, values + N * i, in_v, true);
        free(in_u);
        free(in_v);
    }
    STATUS(gesvdaStridedBatched[type](handle, VECTORS, N - 2, M, N, a.device, a.leading, strides[0], s, strides[1], u.device, u.leading, strides[2], v.device, v.leading, strides[3],
                                      work, lwork, infos, norms, BATCH),
           OK);
    for (int i = 0; i < BATCH; i++) {
        double *left = values + N * i + N - 2;
        EXPECT(fabs(norms[i] - hypot(left[0], left[1])) <= tolerances[type]);
    }
    free(values);
    CHECK(cuMemFree_v2(work));
    CHECK(cuMemFree_v2(s));
    CHECK(cuMemFree_v2(infos));
    free_matrix(&a);
    free_matrix(&u);
    free_matrix(&v);
}

int main(void) {
    start();
    STATUS(cusolverDnCreate(&handle), OK);
    info = device_bytes(4);
    for (int type = 0; type < 4; type++) {
        check_eigen(type, 0);
        check_eigen(type, 1);
        check_jacobi(type, 0);
        check_eigen_batch(type);
        check_gesvd(type, 'A');
        check_gesvd(type, 'S');
        check_gesvd(type, 'N');
        check_gesvdj(type, true, M, N);
        check_gesvdj(type, false, M, N);
        check_gesvdj(type, true, N, M);
        check_gesvdj_batch(type);
        check_gesvda(type);
    }
    STATUS(cusolverDnDestroy(handle), OK);
    printf("ok\n");
    return 0;
}
