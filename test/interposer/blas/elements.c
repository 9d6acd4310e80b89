/* Vectors of all types and increments, rank-one updates, sums of matrices and products with diagonal ones, held against the host's. */
#include "numbers.h"

CUresult cuStreamBeginCapture_v2(CUstream stream, int mode);
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph);
CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags);
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream);

BY_TYPE(axpy, _v2, (cublasHandle_t, int, const void *, const void *, int, void *, int))
BY_TYPE(scal, _v2, (cublasHandle_t, int, const void *, void *, int))
BY_TYPE(copy, _v2, (cublasHandle_t, int, const void *, int, void *, int))
BY_TYPE(swap, _v2, (cublasHandle_t, int, void *, int, void *, int))
BY_TYPE(rot, _v2, (cublasHandle_t, int, void *, int, void *, int, const void *, const void *))
BY_TYPE(geam, , (cublasHandle_t, int, int, int, int, const void *, const void *, int, const void *, const void *, int, void *, int))
BY_TYPE(dgmm, , (cublasHandle_t, int, int, int, const void *, int, const void *, int, void *, int))
BY_TYPE(syr2, _v2, (cublasHandle_t, int, int, const void *, const void *, int, const void *, int, void *, int))

typedef int dot_function(cublasHandle_t, int, const void *, int, const void *, int, void *);
dot_function cublasSdot_v2, cublasDdot_v2, cublasCdotu_v2, cublasZdotu_v2, cublasCdotc_v2, cublasZdotc_v2;
static dot_function *const dots[2][4] = {{cublasSdot_v2, cublasDdot_v2, cublasCdotu_v2, cublasZdotu_v2},
                                         {cublasSdot_v2, cublasDdot_v2, cublasCdotc_v2, cublasZdotc_v2}};
typedef int one_function(cublasHandle_t, int, const void *, int, void *);
one_function cublasSnrm2_v2, cublasDnrm2_v2, cublasScnrm2_v2, cublasDznrm2_v2, cublasSasum_v2, cublasDasum_v2, cublasScasum_v2, cublasDzasum_v2;
one_function cublasIsamax_v2, cublasIdamax_v2, cublasIcamax_v2, cublasIzamax_v2, cublasIsamin_v2, cublasIdamin_v2, cublasIcamin_v2, cublasIzamin_v2;
static one_function *const norms[4] = {cublasSnrm2_v2, cublasDnrm2_v2, cublasScnrm2_v2, cublasDznrm2_v2};
static one_function *const sums[4] = {cublasSasum_v2, cublasDasum_v2, cublasScasum_v2, cublasDzasum_v2};
static one_function *const largest[4] = {cublasIsamax_v2, cublasIdamax_v2, cublasIcamax_v2, cublasIzamax_v2};
static one_function *const smallest[4] = {cublasIsamin_v2, cublasIdamin_v2, cublasIcamin_v2, cublasIzamin_v2};
int cublasIdamax_v2_64(cublasHandle_t, int64_t, const void *, int64_t, int64_t *);
typedef int ger_function(cublasHandle_t, int, int, const void *, const void *, int, const void *, int, void *, int);
ger_function cublasSger_v2, cublasDger_v2, cublasCgerc_v2, cublasZgeru_v2;
static ger_function *const gers[4] = {cublasSger_v2, cublasDger_v2, cublasCgerc_v2, cublasZgeru_v2};
int cublasCher_v2(cublasHandle_t, int, int, const float *, const void *, int, void *, int);
int cublasAxpyEx(cublasHandle_t, int, const void *, int, const void *, int, int, void *, int, int, int);
int cublasScalEx(cublasHandle_t, int, const void *, int, void *, int, int, int);
int cublasNrm2Ex(cublasHandle_t, int, const void *, int, int, void *, int, int);
int cublasAsumEx(cublasHandle_t, int, const void *, int, int, void *, int, int);
int cublasIamaxEx(cublasHandle_t, int, const void *, int, int, int *);
int cublasRotmgEx(cublasHandle_t, void *, int, void *, int, void *, int, const void *, int, void *, int, int);

static int increments[][2] = {{1, 1}, {2, -1}, {-3, 2}};

static void elementwise(int t, int n, int incx, int incy) {
    int type = kinds[t];
    struct row x = row_of(type, (size_t)(abs(incx) * n)), y = row_of(type, (size_t)(abs(incy) * n));
    number alpha = 0.5 - (is_complex(type) ? 2 * I : 0), c = 0.75, s = is_complex(type) ? 0.5 - 0.25 * I : 0.5;
    STATUS(axpy[t](handle, n, factor(type, alpha), at(&x), incx, at(&y), incy), OK);
    for (int i = 0; i < n; i++) y.host[place(n, incy, i)] += alpha * x.host[place(n, incx, i)];
    expect_row(&y, tolerances[t], __LINE__);
    if (incx > 0) {
        STATUS(scal[t](handle, n, factor(type, alpha), at(&x), incx), OK);
        for (int i = 0; i < n; i++) x.host[place(n, incx, i)] *= alpha;
        expect_row(&x, tolerances[t], __LINE__);
    }
    STATUS(swap[t](handle, n, at(&x), incx, at(&y), incy), OK);
    for (int i = 0; i < n; i++) {
        number *a = &x.host[place(n, incx, i)], *b = &y.host[place(n, incy, i)], kept = *a;
        *a = *b, *b = kept;
    }
    STATUS(rot[t](handle, n, at(&x), incx, at(&y), incy, factor(t % 2 == 0 ? R_32F : R_64F, c), factor(type, s)), OK);
    for (int i = 0; i < n; i++) {
        number *a = &x.host[place(n, incx, i)], *b = &y.host[place(n, incy, i)], kept = *a;
        *a = c * kept + s * *b, *b = c * *b - conj(s) * kept;
    }
    expect_row(&x, tolerances[t], __LINE__);
    expect_row(&y, tolerances[t], __LINE__);
    STATUS(copy[t](handle, n, at(&x), incx, at(&y), incy), OK);
    for (int i = 0; i < n; i++) y.host[place(n, incy, i)] = x.host[place(n, incx, i)];
    expect_row(&y, tolerances[t], __LINE__);
    row_drop(&x), row_drop(&y);
}

/* A result, which the device has in its memory with the pointer mode that says so. */
static number result_of(int status, const struct row *there, int is_there, const void *here) {
    char bytes[16];
    STATUS(status, OK);
    if (is_there) {
        CHECK(cuCtxSynchronize());
        CHECK(cuMemcpyDtoH_v2(bytes, there->device, bytes_of(there->type)));
    }
    return read(is_there ? bytes : here, there->type, 0);
}

static void near(number is, number wanted, double tolerance, int line) {
    if (cabs(is - wanted) <= tolerance * (1 + cabs(wanted))) return;
    printf("line %d: %g%+gi, not %g%+gi\n", line, creal(is), cimag(is), creal(wanted), cimag(wanted));
    exit(1);
}

static void reductions(int t, int n, int incx, int incy, int is_there) {
    int type = kinds[t], real = t % 2 == 0 ? R_32F : R_64F, found;
    struct row x = row_of(type, (size_t)(abs(incx) * n)), y = row_of(type, (size_t)(abs(incy) * n)), z = row_of(type, 1), r = row_of(real, 1);
    char here[16];
    double squares = 0, sum = 0, most = -1, least = 1e9;
    int first_most = 0, first_least = 0;
    STATUS(cublasSetPointerMode_v2(handle, is_there), OK);
    for (int is_conjugated = 0; is_conjugated < 2; is_conjugated++) {
        number dot = 0;
        for (int i = 0; i < n; i++)
            dot += conjugated(is_conjugated ? OP_C : OP_N, x.host[place(n, incx, i)]) * y.host[place(n, incy, i)];
        number is = result_of(dots[is_conjugated][t](handle, n, at(&x), incx, at(&y), incy, is_there ? at(&z) : here), &z, is_there, here);
        near(is, dot, tolerances[t], __LINE__);
    }
    for (int i = 0; i < n && incx > 0; i++) {
        number v = x.host[(size_t)(i * incx)];
        double size = fabs(creal(v)) + fabs(cimag(v));
        squares += creal(v * conj(v)), sum += size;
        if (size > most) most = size, first_most = i + 1;
        if (size < least) least = size, first_least = i + 1;
    }
    near(result_of(norms[t](handle, n, at(&x), incx, is_there ? at(&r) : here), &r, is_there, here), sqrt(squares), tolerances[t], __LINE__);
    near(result_of(sums[t](handle, n, at(&x), incx, is_there ? at(&r) : here), &r, is_there, here), sum, tolerances[t], __LINE__);
    STATUS(cublasSetPointerMode_v2(handle, 0), OK);
    STATUS(largest[t](handle, n, at(&x), incx, &found), OK);
    EXPECT(found == first_most);
    STATUS(smallest[t](handle, n, at(&x), incx, &found), OK);
    EXPECT(found == first_least);
    row_drop(&x), row_drop(&y), row_drop(&z), row_drop(&r);
}

/* Squares that over- or underflow, numbers that are none, and nothing. */
static void extremes(void) {
    static const double cases[][4] = {{3e300, 4e300, 0, 5e300}, {3e-300, 4e-300, 0, 5e-300}, {3e300, 1, 4e300, 5e300}, {3, 1e-300, 4, 5}};
    struct row x = row_of(R_64F, 3);
    double norm;
    int64_t found;
    for (size_t i = 0; i < 4; i++) {
        for (int j = 0; j < 3; j++) x.host[j] = cases[i][j];
        row_send(&x);
        STATUS(cublasDnrm2_v2(handle, 3, at(&x), 1, &norm), OK);
        EXPECT(fabs(norm / cases[i][3] - 1) < 1e-15);
    }
    x.host[0] = NAN;
    row_send(&x);
    STATUS(cublasDnrm2_v2(handle, 3, at(&x), 1, &norm), OK);
    EXPECT(isnan(norm));
    STATUS(cublasDnrm2_v2(handle, 0, NULL, 1, &norm), OK);
    EXPECT(norm == 0);
    STATUS(cublasDnrm2_v2(handle, 3, at(&x), -1, &norm), OK);
    EXPECT(norm == 0);
    STATUS(cublasDnrm2_v2(handle, 3, at(&x), 1, NULL), INVALID_VALUE);
    STATUS(cublasIdamax_v2_64(handle, 0, NULL, 1, &found), OK);
    EXPECT(found == 0);
    STATUS(cublasIdamax_v2_64(handle, 2, (double *)at(&x) + 1, 1, &found), OK);
    EXPECT(found == 2);
    STATUS(axpy[1](handle, 3, NULL, at(&x), 1, at(&x), 1), INVALID_VALUE);
    STATUS(cublasRotmgEx(handle, NULL, 0, NULL, 0, NULL, 0, NULL, 0, NULL, 0, 0), NOT_SUPPORTED);
    row_drop(&x);
}

static void mixed_types(void) {
    static const int types[2] = {R_16F, R_16BF};
    for (int i = 0; i < 2; i++) {
        struct row x = row_of(types[i], 50), y = row_of(R_32F, 50);
        float alpha = 0.5f, norm;
        uint16_t sum;
        double squares = 0, total = 0;
        int found, most = 0;
        STATUS(cublasAxpyEx(handle, 50, &alpha, R_32F, at(&x), types[i], 1, at(&y), R_32F, 1, R_32F), OK);
        STATUS(cublasScalEx(handle, 50, &alpha, R_32F, at(&x), types[i], 1, R_32F), OK);
        for (int j = 0; j < 50; j++) {
            y.host[j] += 0.5 * x.host[j], x.host[j] *= 0.5;
            squares += creal(x.host[j] * x.host[j]), total += cabs(x.host[j]);
            if (cabs(x.host[j]) > cabs(x.host[most])) most = j;
        }
        expect_row(&y, 1e-6, __LINE__);
        expect_row(&x, 0, __LINE__);
        STATUS(cublasNrm2Ex(handle, 50, at(&x), types[i], 1, &norm, R_32F, R_32F), OK);
        EXPECT(fabs(norm - sqrt(squares)) < 1e-5);
        STATUS(cublasAsumEx(handle, 50, at(&x), types[i], 1, &sum, types[i], R_32F), OK);
        EXPECT(fabs(get(&sum, types[i], 0) / total - 1) < 0.01);
        STATUS(cublasIamaxEx(handle, 50, at(&x), types[i], 1, &found), OK);
        EXPECT(found == most + 1);
        STATUS(cublasAxpyEx(handle, 50, &alpha, R_32F, at(&x), types[i], 1, at(&y), C_32F, 1, C_32F), NOT_SUPPORTED);
        STATUS(cublasNrm2Ex(handle, 50, at(&x), R_8I, 1, &norm, R_32F, R_32F), NOT_SUPPORTED);
        row_drop(&x), row_drop(&y);
    }
}

static void matrices(int t) {
    enum { M = 7, N = 5, LD = 9 };
    int type = kinds[t];
    number alpha = 0.5 - (is_complex(type) ? I : 0), beta = -2;
    struct row a = row_of(type, LD * LD), b = row_of(type, LD * LD), c = row_of(type, LD * LD), x = row_of(type, 2 * LD), y = row_of(type, 2 * LD);
    STATUS(gers[t](handle, M, N, factor(type, alpha), at(&x), 2, at(&y), -1, at(&a), LD), OK);
    for (int j = 0; j < N; j++)
        for (int i = 0; i < M; i++) a.host[j * LD + i] += alpha * x.host[2 * i] * conjugated(t == 2 ? OP_C : OP_N, y.host[N - 1 - j]);
    expect_row(&a, tolerances[t], __LINE__);
    STATUS(syr2[t](handle, UPPER, M, factor(type, alpha), at(&x), 1, at(&y), 1, at(&b), LD), OK);
    for (int j = 0; j < M; j++)
        for (int i = 0; i <= j; i++) b.host[j * LD + i] += alpha * (x.host[i] * y.host[j] + y.host[i] * x.host[j]);
    expect_row(&b, tolerances[t], __LINE__);
    for (int ops = 0; ops < 9; ops++) {
        int op_a = ops % 3, op_b = ops / 3;
        STATUS(geam[t](handle, op_a, op_b, M, N, factor(type, alpha), at(&a), LD, factor(type, beta), at(&b), LD, at(&c), LD), OK);
        for (int j = 0; j < N; j++)
            for (int i = 0; i < M; i++)
                c.host[j * LD + i] = alpha * conjugated(op_a, a.host[op_a == OP_N ? j * LD + i : i * LD + j]) +
                                     beta * conjugated(op_b, b.host[op_b == OP_N ? j * LD + i : i * LD + j]);
        expect_row(&c, tolerances[t], __LINE__);
    }
    for (int side = LEFT; side <= RIGHT; side++) {
        STATUS(dgmm[t](handle, side, M, N, at(&a), LD, at(&x), 2, at(&c), LD), OK);
        for (int j = 0; j < N; j++)
            for (int i = 0; i < M; i++) c.host[j * LD + i] = a.host[j * LD + i] * x.host[2 * (side == LEFT ? i : j)];
        expect_row(&c, tolerances[t], __LINE__);
    }
    STATUS(geam[t](handle, OP_T, OP_N, M, N, factor(type, alpha), at(&a), LD, factor(type, beta), at(&b), LD, at(&a), LD), INVALID_VALUE);
    STATUS(gers[t](handle, M, N, factor(type, alpha), at(&x), 0, at(&y), 1, at(&a), LD), INVALID_VALUE);
    row_drop(&a), row_drop(&b), row_drop(&c), row_drop(&x), row_drop(&y);
}

static void hermitian(void) {
    struct row a = row_of(C_32F, 16), x = row_of(C_32F, 4);
    float alpha = 2;
    for (int i = 0; i < 4; i++) a.host[5 * i] = creal(a.host[5 * i]);
    row_send(&a);
    STATUS(cublasCher_v2(handle, LOWER, 4, &alpha, at(&x), 1, at(&a), 4), OK);
    for (int j = 0; j < 4; j++)
        for (int i = j; i < 4; i++) a.host[4 * j + i] += 2 * x.host[i] * conj(x.host[j]);
    expect_row(&a, 1e-6, __LINE__);
    row_drop(&a), row_drop(&x);
}

/* A captured norm, with a factor and a result on the device, is computed anew by each launch; one for the host cannot be. */
static void captured(CUstream stream) {
    enum { COUNT = 20000 };
    struct row x = row_of(R_32F, COUNT), r = row_of(R_32F, 1);
    float *px = at(&x), *pr = at(&r), host, two = 2;
    CUgraph graph;
    CUgraphExec exec;
    double squares = 0;
    for (int i = 0; i < COUNT; i++) squares += creal(x.host[i] * x.host[i]);
    STATUS(cublasSetStream_v2(handle, stream), OK);
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    STATUS(cublasSnrm2_v2(handle, COUNT, px, 1, &host), NOT_SUPPORTED);
    STATUS(scal[0](handle, COUNT, &two, px, 1), OK);
    STATUS(cublasSetPointerMode_v2(handle, 1), OK);
    STATUS(cublasSnrm2_v2(handle, COUNT, px, 1, pr), OK);
    CHECK(cuStreamEndCapture(stream, &graph));
    STATUS(cublasSetPointerMode_v2(handle, 0), OK);
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int round = 1; round <= 3; round++) {
        CHECK(cuGraphLaunch(exec, stream));
        CHECK(cuStreamSynchronize(stream));
        CHECK(cuMemcpyDtoH_v2(&host, r.device, 4));
        EXPECT(fabs(host / (sqrt(squares) * (1 << round)) - 1) < 1e-6);
    }
    STATUS(cublasSetStream_v2(handle, NULL), OK);
    row_drop(&x), row_drop(&r);
}

int main(void) {
    CUstream stream;
    start();
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cublasCreate_v2(&handle), OK);
    for (int t = 0; t < 4; t++) {
        for (int i = 0; i < 3; i++) {
            elementwise(t, 37, increments[i][0], increments[i][1]);
            reductions(t, 37, increments[i][0], increments[i][1], i % 2);
        }
        reductions(t, 9001, 1, -1, t % 2);
        matrices(t);
    }
    extremes();
    mixed_types();
    hermitian();
    captured(stream);
    STATUS(cublasDestroy_v2(handle), OK);
    printf("ok\n");
    return 0;
}
