/* The functions with 64-bit sizes, whose types are arguments and whose work areas lie on both sides: those of PyTorch's cholesky, qr, eigh and eig, and LU. */
#include "solver.h"

#define AREAS CUdeviceptr work, size_t work_bytes, void *host, size_t host_bytes, CUdeviceptr info
#define SIZES size_t *work_bytes, size_t *host_bytes

int cusolverDnXgetrf_bufferSize(cusolverDnHandle_t, cusolverDnParams_t, int64_t m, int64_t n, int type, CUdeviceptr a, int64_t lda, int compute, SIZES);
int cusolverDnXgetrf(cusolverDnHandle_t, cusolverDnParams_t, int64_t m, int64_t n, int type, CUdeviceptr a, int64_t lda, CUdeviceptr pivots, int compute, AREAS);
int cusolverDnXgetrs(cusolverDnHandle_t, cusolverDnParams_t, int operation, int64_t n, int64_t nrhs, int type, CUdeviceptr a, int64_t lda, CUdeviceptr pivots, int type_b,
                     CUdeviceptr b, int64_t ldb, CUdeviceptr info);
int cusolverDnXpotrf_bufferSize(cusolverDnHandle_t, cusolverDnParams_t, int fill, int64_t n, int type, CUdeviceptr a, int64_t lda, int compute, SIZES);
int cusolverDnXpotrf(cusolverDnHandle_t, cusolverDnParams_t, int fill, int64_t n, int type, CUdeviceptr a, int64_t lda, int compute, AREAS);
int cusolverDnXpotrs(cusolverDnHandle_t, cusolverDnParams_t, int fill, int64_t n, int64_t nrhs, int type, CUdeviceptr a, int64_t lda, int type_b, CUdeviceptr b, int64_t ldb,
                     CUdeviceptr info);
int cusolverDnXgeqrf_bufferSize(cusolverDnHandle_t, cusolverDnParams_t, int64_t m, int64_t n, int type, CUdeviceptr a, int64_t lda, int type_tau, CUdeviceptr tau, int compute, SIZES);
int cusolverDnXgeqrf(cusolverDnHandle_t, cusolverDnParams_t, int64_t m, int64_t n, int type, CUdeviceptr a, int64_t lda, int type_tau, CUdeviceptr tau, int compute, AREAS);
int cusolverDnXsyevd_bufferSize(cusolverDnHandle_t, cusolverDnParams_t, int mode, int fill, int64_t n, int type, CUdeviceptr a, int64_t lda, int type_w, CUdeviceptr w, int compute, SIZES);
int cusolverDnXsyevd(cusolverDnHandle_t, cusolverDnParams_t, int mode, int fill, int64_t n, int type, CUdeviceptr a, int64_t lda, int type_w, CUdeviceptr w, int compute, AREAS);
int cusolverDnXsyevBatched_bufferSize(cusolverDnHandle_t, cusolverDnParams_t, int mode, int fill, int64_t n, int type, CUdeviceptr a, int64_t lda, int type_w, CUdeviceptr w,
                                      int compute, SIZES, int64_t batch);
int cusolverDnXsyevBatched(cusolverDnHandle_t, cusolverDnParams_t, int mode, int fill, int64_t n, int type, CUdeviceptr a, int64_t lda, int type_w, CUdeviceptr w, int compute,
                           AREAS, int64_t batch);
int cusolverDnXgeev_bufferSize(cusolverDnHandle_t, cusolverDnParams_t, int left, int right, int64_t n, int type, CUdeviceptr a, int64_t lda, int type_w, CUdeviceptr w, int type_vl,
                               CUdeviceptr vl, int64_t ldvl, int type_vr, CUdeviceptr vr, int64_t ldvr, int compute, SIZES);
int cusolverDnXgeev(cusolverDnHandle_t, cusolverDnParams_t, int left, int right, int64_t n, int type, CUdeviceptr a, int64_t lda, int type_w, CUdeviceptr w, int type_vl,
                    CUdeviceptr vl, int64_t ldvl, int type_vr, CUdeviceptr vr, int64_t ldvr, int compute, AREAS);

enum { N = 8, M = 12, COLUMNS = 3, BATCH = 2 };

static cusolverDnHandle_t handle;
static cusolverDnParams_t params;
static CUdeviceptr info;

/* Areas as large as a function has said. */
static struct {
    size_t work_bytes, host_bytes;
    CUdeviceptr work;
    void *host;
} room;

static void make_room(void) {
    room.work = device_bytes(room.work_bytes);
    room.host = malloc(room.host_bytes);
}

static void end_room(void) {
    CHECK(cuMemFree_v2(room.work));
    free(room.host);
}
#define TOLD &room.work_bytes, &room.host_bytes
#define ROOM room.work, room.work_bytes, room.host, room.host_bytes

static void check_lu(int type) {
    struct matrix a = matrix_of(type, N, N), b = matrix_of(type, N, COLUMNS);
    CUdeviceptr pivots = device_bytes(8 * N);
    int t = data_types[type];
    STATUS(cusolverDnXgetrf_bufferSize(handle, params, N, N, t, a.device, a.leading, t, TOLD), OK);
    make_room();
    STATUS(cusolverDnXgetrf(handle, params, N, N, t, a.device, a.leading, pivots, t, ROOM, info), OK);
    EXPECT(device_int(info, 0) == 0);
    STATUS(cusolverDnXgetrs(handle, params, 1, N, COLUMNS, t, a.device, a.leading, pivots, t, b.device, b.leading, info), OK);
    number *x = download(&b);
    EXPECT(is_near(product(a.host, 1, x, 0, (int[]){N, N, COLUMNS}), b.host, N * COLUMNS, type));
    free(x);
    end_room();
    CHECK(cuMemFree_v2(pivots));
    free_matrix(&a);
    free_matrix(&b);
}

static void check_cholesky(int type, int fill) {
    struct matrix a = matrix_of(type, N, N), b = matrix_of(type, N, COLUMNS);
    int t = data_types[type];
    make_hermitian(&a, true);
    STATUS(cusolverDnXpotrf_bufferSize(handle, params, fill, N, t, a.device, a.leading, t, TOLD), OK);
    make_room();
    STATUS(cusolverDnXpotrf(handle, params, fill, N, t, a.device, a.leading, t, ROOM, info), OK);
    EXPECT(device_int(info, 0) == 0);
    STATUS(cusolverDnXpotrs(handle, params, fill, N, COLUMNS, t, a.device, a.leading, t, b.device, b.leading, info), OK);
    number *x = download(&b);
    EXPECT(is_near(product(a.host, 0, x, 0, (int[]){N, N, COLUMNS}), b.host, N * COLUMNS, type));
    free(x);
    end_room();
    free_matrix(&a);
    free_matrix(&b);
}

/* R^H R = A^H A, whatever the signs of R's rows are. */
static void check_qr(int type) {
    struct matrix a = matrix_of(type, M, N);
    CUdeviceptr tau = device_bytes(N * element_bytes[type]);
    int t = data_types[type];
    STATUS(cusolverDnXgeqrf_bufferSize(handle, params, M, N, t, a.device, a.leading, t, tau, t, TOLD), OK);
    make_room();
    STATUS(cusolverDnXgeqrf(handle, params, M, N, t, a.device, a.leading, t, tau, t, ROOM, info), OK);
    EXPECT(device_int(info, 0) == 0);
    number *r = download(&a);
    for (int i = 0; i < M * N; i++)
        if (i % M > i / M) r[i] = 0;
    number *wanted = product(a.host, 2, a.host, 0, (int[]){N, M, N});
    EXPECT(is_near(product(r, 2, r, 0, (int[]){N, M, N}), wanted, N * N, type));
    free(r);
    free(wanted);
    end_room();
    CHECK(cuMemFree_v2(tau));
    free_matrix(&a);
}

static void check_pairs(const number *a, const number *v, const number *w, int type) {
    number *scaled = malloc(N * N * sizeof *scaled);
    for (int i = 0; i < N * N; i++) scaled[i] = v[i] * w[i / N];
    EXPECT(is_near(product(a, 0, v, 0, (int[]){N, N, N}), scaled, N * N, type));
    free(scaled);
}

static void check_eigen(int type, int count) {
    struct matrix a = matrix_of(type, N, N * count);
    CUdeviceptr w = device_bytes((size_t)(N * count) * real_bytes[type]), infos = device_bytes(4 * (size_t)count);
    int t = data_types[type], real = real_types[type];
    for (int i = 0; i < count; i++) {
        struct matrix part = a;
        part.columns = N;
        part.host += i * N * N;
        part.device += (CUdeviceptr)(i * a.leading * N) * element_bytes[type];
        make_hermitian(&part, false);
    }
    if (count == 1) STATUS(cusolverDnXsyevd_bufferSize(handle, params, 1, 0, N, t, a.device, a.leading, real, w, t, TOLD), OK);
    else STATUS(cusolverDnXsyevBatched_bufferSize(handle, params, 1, 0, N, t, a.device, a.leading, real, w, t, TOLD, count), OK);
    make_room();
    if (count == 1) STATUS(cusolverDnXsyevd(handle, params, 1, 0, N, t, a.device, a.leading, real, w, t, ROOM, infos), OK);
    else STATUS(cusolverDnXsyevBatched(handle, params, 1, 0, N, t, a.device, a.leading, real, w, t, ROOM, infos, count), OK);
    number *v = download(&a), *values = malloc((size_t)(N * count) * sizeof *values);
    double *told = download_values(w, type, N * count);
    for (int i = 0; i < N * count; i++) values[i] = told[i];
    for (int i = 0; i < count; i++) {
        EXPECT(device_int(infos, i) == 0 && is_unitary(v + i * N * N, N, N, type));
        check_pairs(a.host + i * N * N, v + i * N * N, values + i * N, type);
    }
    free(v);
    free(values);
    free(told);
    end_room();
    CHECK(cuMemFree_v2(w));
    CHECK(cuMemFree_v2(infos));
    free_matrix(&a);
}

/* Values as complex numbers; a real matrix's vectors of a pair are the real and imaginary parts. */
static void check_general_eigen(int type) {
    struct matrix a = matrix_of(type, N, N), v = matrix_of(type, N, N), w = matrix_of(type | 2, N, 1);
    int t = data_types[type], complex_type = data_types[type | 2];
    STATUS(cusolverDnXgeev_bufferSize(handle, params, 0, 1, N, t, a.device, a.leading, complex_type, w.device, t, 0, 1, t, v.device, v.leading, t, TOLD), OK);
    make_room();
    STATUS(cusolverDnXgeev(handle, params, 0, 1, N, t, a.device, a.leading, complex_type, w.device, t, 0, 1, t, v.device, v.leading, t, ROOM, info), OK);
    EXPECT(device_int(info, 0) == 0);
    number *values = download(&w), *vectors = download(&v);
    for (int j = 0; j + 1 < N && type < 2; j++) {
        if (cimag(values[j]) <= 0) continue;
        EXPECT(cabs(values[j + 1] - conj(values[j])) < tolerances[type]);
        for (int i = 0; i < N; i++) {
            vectors[i + j * N] += vectors[i + (j + 1) * N] * I;
            vectors[i + (j + 1) * N] = conj(vectors[i + j * N]);
        }
        j++;
    }
    check_pairs(a.host, vectors, values, type);
    free(values);
    free(vectors);
    end_room();
    free_matrix(&a);
    free_matrix(&v);
    free_matrix(&w);
}

/* A real matrix's values in two halves. */
static void check_halves(void) {
    struct matrix a = matrix_of(1, N, N);
    CUdeviceptr w = device_bytes(2 * N * sizeof(double));
    STATUS(cusolverDnXgeev_bufferSize(handle, params, 0, 0, N, 1, a.device, a.leading, 1, w, 1, 0, 1, 1, 0, 1, 1, TOLD), OK);
    make_room();
    STATUS(cusolverDnXgeev(handle, params, 0, 0, N, 1, a.device, a.leading, 1, w, 1, 0, 1, 1, 0, 1, 1, ROOM, info), OK);
    double *values = download_values(w, 1, 2 * N), trace = 0, rest = 0;
    for (int i = 0; i < N; i++) trace += creal(a.host[i + i * N]) - values[i], rest += values[N + i];
    EXPECT(fabs(trace) < 1e-10 && fabs(rest) < 1e-10);
    free(values);
    end_room();
    CHECK(cuMemFree_v2(w));
    free_matrix(&a);
}

int main(void) {
    start();
    STATUS(cusolverDnCreate(&handle), OK);
    STATUS(cusolverDnCreateParams(&params), OK);
    info = device_bytes(4);
    for (int type = 0; type < 4; type++) {
        check_lu(type);
        check_cholesky(type, 0);
        check_cholesky(type, 1);
        check_qr(type);
        check_eigen(type, 1);
        check_eigen(type, BATCH);
        check_general_eigen(type);
    }
    check_halves();
    STATUS(cusolverDnDestroyParams(params), OK);
    STATUS(cusolverDnDestroy(handle), OK);
    printf("ok\n");
    return 0;
}
