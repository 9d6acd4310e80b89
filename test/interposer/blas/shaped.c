/* Complex products, triangular systems, and matrices of which a triangle stands for the whole, in all four types, held against full ones on the host. */
#include "numbers.h"

typedef int gemm_function(cublasHandle_t, int, int, int, int, int, const void *, const void *, int, const void *, int, const void *, void *, int);
gemm_function cublasDgemm_v2, cublasCgemm_v2, cublasZgemm3m;
#define SGEMM ((gemm_function *)cublasSgemm_v2) /* Whose prototype has other pointers. */
static gemm_function *const gemms[4] = {SGEMM, cublasDgemm_v2, cublasCgemm_v2, cublasZgemm3m};
BY_TYPE(gemv, _v2, (cublasHandle_t, int, int, int, const void *, const void *, int, const void *, int, const void *, void *, int))
BY_TYPE(trsm, _v2, (cublasHandle_t, int, int, int, int, int, int, const void *, const void *, int, void *, int))
BY_TYPE(trsv, _v2, (cublasHandle_t, int, int, int, int, const void *, int, void *, int))
BY_TYPE(trmm, _v2, (cublasHandle_t, int, int, int, int, int, int, const void *, const void *, int, const void *, int, void *, int))
BY_TYPE(symm, _v2, (cublasHandle_t, int, int, int, int, const void *, const void *, int, const void *, int, const void *, void *, int))
BY_TYPE(symv, _v2, (cublasHandle_t, int, int, const void *, const void *, int, const void *, int, const void *, void *, int))
BY_TYPE(syrk, _v2, (cublasHandle_t, int, int, int, int, const void *, const void *, int, const void *, void *, int))
BY_TYPE(syr2k, _v2, (cublasHandle_t, int, int, int, int, const void *, const void *, int, const void *, int, const void *, void *, int))
int cublasChemm_v2(cublasHandle_t, int, int, int, int, const void *, const void *, int, const void *, int, const void *, void *, int);
int cublasCherk_v2(cublasHandle_t, int, int, int, int, const float *, const void *, int, const float *, void *, int);
int cublasZher2k_v2(cublasHandle_t, int, int, int, int, const void *, const void *, int, const void *, int, const double *, void *, int);
int cublasCgemmStridedBatched(cublasHandle_t, int, int, int, int, int, const void *, const void *, int, long long, const void *, int, long long,
                              const void *, void *, int, long long, int);
int cublasZgemmBatched(cublasHandle_t, int, int, int, int, int, const void *, const void *, int, const void *, int, const void *, const void *, int, int);
int cublasDtrsmBatched(cublasHandle_t, int, int, int, int, int, int, const void *, const void *, int, const void *, int, int);
int cublasCgemmEx(cublasHandle_t, int, int, int, int, int, const void *, const void *, int, int, const void *, int, int, const void *, void *, int, int);

enum { LD = 96 };

/* Element (i, j) of op(A), A from `offset` on with the leading dimension of this program. */
static number of(const struct row *a, size_t offset, int op, int i, int j) {
    return conjugated(op, a->host[offset + (size_t)(op == OP_N ? j * LD + i : i * LD + j)]);
}

/* C = alpha op(A) op(B) + beta C on the host; of one triangle alone where `fill` names one. */
static void host_gemm(int op_a, int op_b, int m, int n, int k, number alpha, const struct row *a, const struct row *b, number beta, struct row *c,
                      size_t offset, int fill) {
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++) {
            if ((fill == LOWER && i < j) || (fill == UPPER && i > j)) continue;
            number sum = 0, *to = &c->host[offset + (size_t)(j * LD + i)];
            for (int p = 0; p < k; p++) sum += of(a, offset, op_a, i, p) * of(b, offset, op_b, p, j);
            *to = alpha * sum + beta * *to;
        }
}

static void products(int t) {
    enum { M = 19, N = 17, K = 33 };
    int type = kinds[t];
    struct row a = row_of(type, LD * LD), b = row_of(type, LD * LD), c = row_of(type, LD * LD), x = row_of(type, 3 * LD), y = row_of(type, 2 * LD);
    number alpha = 0.5 - I, beta = 1 + 0.5 * I;
    if (!is_complex(type)) alpha = 0.5, beta = -1;
    /* Nothing to add. */
    STATUS(gemms[t](handle, OP_N, OP_N, M, N, 0, factor(type, alpha), at(&a), LD, at(&b), LD, factor(type, beta), at(&c), LD), OK);
    host_gemm(OP_N, OP_N, M, N, 0, alpha, &a, &b, beta, &c, 0, -1);
    STATUS(gemms[t](handle, OP_N, OP_N, M, N, K, factor(type, 0), at(&a), LD, at(&b), LD, factor(type, 0.5), at(&c), LD), OK);
    host_gemm(OP_N, OP_N, M, N, 0, alpha, &a, &b, 0.5, &c, 0, -1);
    expect_row(&c, tolerances[t], __LINE__);
    for (int ops = 0; ops < 9 && is_complex(type); ops++) {
        int op_a = ops % 3, op_b = ops / 3;
        STATUS(gemms[t](handle, op_a, op_b, M, N, K, factor(type, alpha), at(&a), LD, at(&b), LD, factor(type, beta), at(&c), LD), OK);
        host_gemm(op_a, op_b, M, N, K, alpha, &a, &b, beta, &c, 0, -1);
        expect_row(&c, 4 * tolerances[t], __LINE__);
    }
    for (int op = OP_N; op <= OP_C; op++)
        for (int backwards = 0; backwards < 3; backwards++) {
            int incx = backwards & 1 ? -3 : 2, incy = backwards & 2 ? -2 : 1, rows = op == OP_N ? M : N, inner = op == OP_N ? N : M;
            STATUS(gemv[t](handle, op, M, N, factor(type, alpha), at(&a), LD, at(&x), incx, factor(type, beta), at(&y), incy), OK);
            for (int i = 0; i < rows; i++) {
                number sum = 0, *to = &y.host[place(rows, incy, i)];
                for (int j = 0; j < inner; j++) sum += of(&a, 0, op, i, j) * x.host[place(inner, incx, j)];
                *to = alpha * sum + beta * *to;
            }
            expect_row(&y, 4 * tolerances[t], __LINE__);
        }
    row_drop(&a), row_drop(&b), row_drop(&c), row_drop(&x), row_drop(&y);
}

static void batches(void) {
    enum { SIDE = 5, COUNT = 3, APART = LD * SIDE };
    struct row a = row_of(C_32F, COUNT * APART), b = row_of(C_32F, COUNT * APART), c = row_of(C_32F, COUNT * APART);
    struct row d = row_of(C_64F, COUNT * APART), e = row_of(C_64F, COUNT * APART);
    number one = 1, none = 0;
    uint64_t addresses[3][COUNT];
    CUdeviceptr tables;
    STATUS(cublasCgemmStridedBatched(handle, OP_C, OP_N, SIDE, SIDE, SIDE, factor(C_32F, one), at(&a), LD, APART, at(&b), LD, APART, factor(C_32F, none),
                                     at(&c), LD, APART, COUNT), OK);
    for (int i = 0; i < COUNT; i++) host_gemm(OP_C, OP_N, SIDE, SIDE, SIDE, 1, &a, &b, 0, &c, (size_t)(i * APART), -1);
    expect_row(&c, 1e-5, __LINE__);
    STATUS(cublasCgemmEx(handle, OP_N, OP_T, SIDE, SIDE, SIDE, factor(C_32F, one), at(&a), C_32F, LD, at(&b), C_32F, LD, factor(C_32F, none), at(&c), C_32F,
                         LD), OK);
    host_gemm(OP_N, OP_T, SIDE, SIDE, SIDE, 1, &a, &b, 0, &c, 0, -1);
    expect_row(&c, 1e-5, __LINE__);
    STATUS(cublasCgemmEx(handle, OP_N, OP_T, SIDE, SIDE, SIDE, factor(C_32F, one), at(&a), R_32F, LD, at(&b), C_32F, LD, factor(C_32F, none), at(&c), C_32F,
                         LD), NOT_SUPPORTED);
    for (int i = 0; i < COUNT; i++) {
        size_t there = (size_t)((COUNT - 1 - i) * APART * 16);
        addresses[0][i] = addresses[1][i] = d.device + there, addresses[2][i] = e.device + there;
    }
    CHECK(cuMemAlloc_v2(&tables, sizeof addresses));
    CHECK(cuMemcpyHtoD_v2(tables, addresses, sizeof addresses));
    char *table = (char *)(uintptr_t)tables;
    STATUS(cublasZgemmBatched(handle, OP_N, OP_C, SIDE, SIDE, SIDE, factor(C_64F, one), table, LD, table + sizeof addresses[0], LD, factor(C_64F, one),
                              table + 2 * sizeof addresses[0], LD, COUNT), OK);
    for (int i = 0; i < COUNT; i++) host_gemm(OP_N, OP_C, SIDE, SIDE, SIDE, 1, &d, &d, 1, &e, (size_t)(i * APART), -1);
    expect_row(&e, 1e-13, __LINE__);
    CHECK(cuMemFree_v2(tables));
    row_drop(&a), row_drop(&b), row_drop(&c), row_drop(&d), row_drop(&e);
}

/* What a triangle of A stands for, with zeroes or its mirror image in place of the other one, which is full of other numbers. */
static struct row whole(const struct row *a, int side, int fill, int is_triangular, int is_unit, int is_hermitian) {
    struct row made = {a->type, a->count, malloc(a->count * sizeof(number)), 0};
    memcpy(made.host, a->host, a->count * sizeof(number));
    for (int j = 0; j < side; j++)
        for (int i = 0; i < side; i++) {
            number *to = &made.host[j * LD + i], mirrored = a->host[i * LD + j];
            int is_other = fill == UPPER ? i > j : i < j;
            if (i == j && is_unit) *to = 1;
            if (i == j && is_hermitian) *to = creal(*to);
            if (is_other) *to = is_triangular ? 0 : is_hermitian ? conj(mirrored) : mirrored;
        }
    return made;
}

/* A matrix whose triangles can be solved with: large on the diagonal, small elsewhere. */
static struct row solvable(int type, int side) {
    struct row made = row_of(type, LD * LD);
    for (size_t i = 0; i < made.count; i++) made.host[i] /= side;
    for (int i = 0; i < side; i++) made.host[i * LD + i] += 2;
    row_send(&made);
    return made;
}

/* The product of what was solved with the matrix is what stood there before. */
static void systems(int t, int side_count, int other) {
    int type = kinds[t];
    number alpha = is_complex(type) ? 0.5 + I : -2;
    for (int wish = 0; wish < 24; wish++) {
        int side = wish & 1, fill = wish >> 1 & 1, diagonal = wish >> 2 & 1, op = wish >> 3;
        int m = side == LEFT ? side_count : other, n = side == LEFT ? other : side_count;
        struct row a = solvable(type, side_count), b = row_of(type, LD * LD);
        struct row full = whole(&a, side_count, fill, 1, diagonal, 0), c = row_of(type, LD * LD);
        STATUS(trmm[t](handle, side, fill, op, diagonal, m, n, factor(type, alpha), at(&a), LD, at(&b), LD, at(&c), LD), OK);
        host_gemm(side == LEFT ? op : OP_N, side == LEFT ? OP_N : op, m, n, side_count, alpha, side == LEFT ? &full : &b, side == LEFT ? &b : &full, 0, &c, 0,
                  -1);
        expect_row(&c, 10 * tolerances[t], __LINE__);
        if (side == LEFT) {
            /* In place. */
            STATUS(trmm[t](handle, side, fill, op, diagonal, m, n, factor(type, alpha), at(&a), LD, at(&b), LD, at(&b), LD), OK);
            STATUS(trsm[t](handle, side, fill, op, diagonal, m, n, factor(type, 1 / alpha), at(&a), LD, at(&b), LD), OK);
            expect_row(&b, 10 * tolerances[t], __LINE__);
        }
        STATUS(trsm[t](handle, side, fill, op, diagonal, m, n, factor(type, 1 / alpha), at(&a), LD, at(&c), LD), OK);
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++) c.host[j * LD + i] = b.host[j * LD + i];
        expect_row(&c, 20 * tolerances[t], __LINE__);
        free(full.host);
        row_drop(&a), row_drop(&b), row_drop(&c);
    }
    struct row a = solvable(type, side_count), x = row_of(type, 2 * LD), full = whole(&a, side_count, LOWER, 1, 0, 0);
    number *kept = malloc(x.count * sizeof(number));
    memcpy(kept, x.host, x.count * sizeof(number));
    STATUS(trsv[t](handle, LOWER, OP_T, STORED, side_count, at(&a), LD, at(&x), -2), OK);
    void *bytes = malloc(x.count * bytes_of(type));
    CHECK(cuCtxSynchronize());
    CHECK(cuMemcpyDtoH_v2(bytes, x.device, x.count * bytes_of(type)));
    for (int i = 0; i < side_count; i++) {
        number sum = 0, wanted = kept[place(side_count, -2, i)];
        for (int j = 0; j < side_count; j++) sum += of(&full, 0, OP_T, i, j) * read(bytes, type, place(side_count, -2, j));
        EXPECT(cabs(sum - wanted) <= 20 * tolerances[t] * (1 + cabs(wanted)));
    }
    free(bytes), free(kept), free(full.host);
    row_drop(&a), row_drop(&x);
}

static void batched_systems(void) {
    enum { SIDE = 6, OTHER = 3, COUNT = 4 };
    struct row a[COUNT], b[COUNT];
    uint64_t addresses[2][COUNT];
    CUdeviceptr tables;
    double one = 1;
    for (int i = 0; i < COUNT; i++) {
        a[i] = solvable(R_64F, SIDE), b[i] = row_of(R_64F, LD * LD);
        addresses[0][i] = a[i].device, addresses[1][i] = b[i].device;
    }
    CHECK(cuMemAlloc_v2(&tables, sizeof addresses));
    CHECK(cuMemcpyHtoD_v2(tables, addresses, sizeof addresses));
    char *table = (char *)(uintptr_t)tables;
    STATUS(cublasDtrsmBatched(handle, LEFT, UPPER, OP_N, STORED, SIDE, OTHER, &one, table, LD, table + sizeof addresses[0], LD, COUNT), OK);
    STATUS(cublasDtrsmBatched(handle, LEFT, UPPER, OP_N, STORED, SIDE, OTHER, &one, table, 3, table + sizeof addresses[0], LD, COUNT), INVALID_VALUE);
    for (int i = 0; i < COUNT; i++) {
        STATUS(trmm[1](handle, LEFT, UPPER, OP_N, STORED, SIDE, OTHER, &one, at(&a[i]), LD, at(&b[i]), LD, at(&b[i]), LD), OK);
        expect_row(&b[i], 1e-13, __LINE__);
        row_drop(&a[i]), row_drop(&b[i]);
    }
    CHECK(cuMemFree_v2(tables));
}

static void symmetric(int t) {
    enum { M = 18, N = 5 };
    int type = kinds[t];
    number alpha = is_complex(type) ? 0.5 - I : 0.5, beta = 2;
    struct row a = row_of(type, LD * LD), b = row_of(type, LD * LD), c = row_of(type, LD * LD), x = row_of(type, LD), y = row_of(type, 2 * LD);
    for (int fill = LOWER; fill <= UPPER; fill++) {
        struct row full = whole(&a, M, fill, 0, 0, 0), mirrored = whole(&a, M, fill, 0, 0, 1);
        STATUS(symm[t](handle, LEFT, fill, M, N, factor(type, alpha), at(&a), LD, at(&b), LD, factor(type, beta), at(&c), LD), OK);
        host_gemm(OP_N, OP_N, M, N, M, alpha, &full, &b, beta, &c, 0, -1);
        STATUS(symm[t](handle, RIGHT, fill, N, M, factor(type, alpha), at(&a), LD, at(&b), LD, factor(type, beta), at(&c), LD), OK);
        host_gemm(OP_N, OP_N, N, M, M, alpha, &b, &full, beta, &c, 0, -1);
        if (type == C_32F) {
            STATUS(cublasChemm_v2(handle, LEFT, fill, M, N, factor(type, alpha), at(&a), LD, at(&b), LD, factor(type, beta), at(&c), LD), OK);
            host_gemm(OP_N, OP_N, M, N, M, alpha, &mirrored, &b, beta, &c, 0, -1);
        }
        expect_row(&c, 10 * tolerances[t], __LINE__);
        STATUS(symv[t](handle, fill, M, factor(type, alpha), at(&a), LD, at(&x), 1, factor(type, beta), at(&y), 2), OK);
        for (int i = 0; i < M; i++) {
            number sum = 0;
            for (int j = 0; j < M; j++) sum += of(&full, 0, OP_N, i, j) * x.host[j];
            y.host[2 * i] = alpha * sum + beta * y.host[2 * i];
        }
        expect_row(&y, 10 * tolerances[t], __LINE__);
        for (int op = OP_N; op <= OP_T; op++) {
            int turned = op == OP_N ? OP_T : OP_N;
            STATUS(syrk[t](handle, fill, op, M, N, factor(type, alpha), at(&a), LD, factor(type, beta), at(&c), LD), OK);
            host_gemm(op, turned, M, M, N, alpha, &a, &a, beta, &c, 0, fill);
            STATUS(syr2k[t](handle, fill, op, M, N, factor(type, alpha), at(&a), LD, at(&b), LD, factor(type, 0.5), at(&c), LD), OK);
            host_gemm(op, turned, M, M, N, alpha, &a, &b, 0.5, &c, 0, fill);
            host_gemm(op, turned, M, M, N, alpha, &b, &a, 1, &c, 0, fill);
            expect_row(&c, 10 * tolerances[t], __LINE__);
        }
        free(full.host), free(mirrored.host);
    }
    if (type == C_32F) {
        float two = 2, half = 0.5f;
        for (int i = 0; i < M; i++) c.host[i * LD + i] = creal(c.host[i * LD + i]);
        row_send(&c);
        STATUS(cublasCherk_v2(handle, LOWER, OP_C, M, N, &two, at(&a), LD, &half, at(&c), LD), OK);
        host_gemm(OP_C, OP_N, M, M, N, 2, &a, &a, 0.5, &c, 0, LOWER);
        expect_row(&c, 1e-4, __LINE__);
        STATUS(cublasCherk_v2(handle, LOWER, OP_T, M, N, &two, at(&a), LD, &half, at(&c), LD), INVALID_VALUE);
    }
    if (type == C_64F) {
        double half = 0.5;
        STATUS(cublasZher2k_v2(handle, UPPER, OP_N, M, N, factor(type, alpha), at(&a), LD, at(&b), LD, &half, at(&c), LD), OK);
        host_gemm(OP_N, OP_C, M, M, N, alpha, &a, &b, 0.5, &c, 0, UPPER);
        host_gemm(OP_N, OP_C, M, M, N, conj(alpha), &b, &a, 1, &c, 0, UPPER);
        expect_row(&c, 1e-12, __LINE__);
    }
    row_drop(&a), row_drop(&b), row_drop(&c), row_drop(&x), row_drop(&y);
}

int main(void) {
    start();
    STATUS(cublasCreate_v2(&handle), OK);
    for (int t = 0; t < 4; t++) {
        products(t);
        symmetric(t);
        systems(t, t == 3 ? 70 : 13, 3);
    }
    batches();
    batched_systems();
    STATUS(trsm[0](handle, LEFT, 2, OP_N, STORED, 3, 3, factor(R_32F, 1), NULL, 3, NULL, 3), INVALID_VALUE);
    STATUS(trsm[0](handle, LEFT, UPPER, OP_N, STORED, 3, 3, NULL, NULL, 3, NULL, 3), INVALID_VALUE);
    STATUS(trsm[0](handle, LEFT, UPPER, OP_N, STORED, 0, 3, NULL, NULL, 3, NULL, 3), OK);
    STATUS(cublasDestroy_v2(handle), OK);
    printf("ok\n");
    return 0;
}
