/* Products by cuBLAS, held against the host's: every transposition, leading dimensions, batches, types, factors, streams and graphs. */
#include "blas.h"

CUresult cuStreamBeginCapture_v2(CUstream stream, int mode);
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph);
CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags);
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream);
CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *count);
CUresult cuGraphNodeGetType(CUgraphNode node, int *type);
CUresult cuGraphExecDestroy(CUgraphExec exec);
CUresult cuGraphDestroy(CUgraph graph);

static cublasHandle_t handle;

static int larger(int first, int second) {
    return first > second ? first : second;
}

/* One product of a type, on both sides, into a result of a type. `slack` elements lie between columns, and between matrices of a batch. */
static void compare_into(int type, int result, int compute, struct wanted w, int slack) {
    w.lda = larger(1, w.op_a == OP_N ? w.m : w.k) + slack;
    w.ldb = larger(1, w.op_b == OP_N ? w.k : w.n) + slack;
    w.ldc = larger(1, w.m) + slack;
    w.stride_a = (long long)w.lda * larger(1, w.op_a == OP_N ? w.k : w.m) + slack;
    w.stride_b = (long long)w.ldb * larger(1, w.op_b == OP_N ? w.n : w.k) + slack;
    w.stride_c = (long long)w.ldc * w.n + slack;
    struct array a = array_of(type, (size_t)(w.stride_a * w.count)), b = array_of(type, (size_t)(w.stride_b * w.count));
    struct array c = array_of(result, (size_t)(w.stride_c * w.count));
    float alpha = (float)w.alpha, beta = (float)w.beta;
    _Float16 half_alpha = (_Float16)w.alpha, half_beta = (_Float16)w.beta;
    const void *first = compute == COMPUTE_16F ? (void *)&half_alpha : compute == COMPUTE_64F ? (void *)&w.alpha : (void *)&alpha;
    const void *second = compute == COMPUTE_16F ? (void *)&half_beta : compute == COMPUTE_64F ? (void *)&w.beta : (void *)&beta;
    if (w.count == 1)
        STATUS(cublasGemmEx(handle, w.op_a, w.op_b, w.m, w.n, w.k, first, on_device(&a), type, w.lda, on_device(&b), type, w.ldb, second,
                            on_device(&c), result, w.ldc, compute, -1), OK);
    else
        STATUS(cublasGemmStridedBatchedEx(handle, w.op_a, w.op_b, w.m, w.n, w.k, first, on_device(&a), type, w.lda, w.stride_a, on_device(&b),
                                          type, w.ldb, w.stride_b, second, on_device(&c), result, w.ldc, w.stride_c, w.count, compute, -1), OK);
    host_product(&w, &a, &b, &c);
    expect_same(&c, result == R_64F ? 1e-15 : result == R_32F ? 1e-6 : result == R_16F ? 1e-3 : 8e-3, __LINE__);
    array_drop(&a), array_drop(&b), array_drop(&c);
}

static void compare(int type, int compute, struct wanted w, int slack) {
    compare_into(type, type, compute, w, slack);
    if ((type == R_16F || type == R_16BF) && compute == COMPUTE_32F) compare_into(type, R_32F, compute, w, slack);
}

static void every_shape(int type, int compute) {
    for (int op_a = OP_N; op_a <= OP_C; op_a++)
        for (int op_b = OP_N; op_b <= OP_C; op_b++)
            for (int slack = 0; slack <= 3; slack += 3)
                for (int count = 1; count <= 3; count += 2) {
                    compare(type, compute, (struct wanted){.op_a = op_a, .op_b = op_b, .m = 5, .n = 7, .k = 3, .count = count, .alpha = 1, .beta = 0}, slack);
                    compare(type, compute, (struct wanted){.op_a = op_a, .op_b = op_b, .m = 9, .n = 1, .k = 17, .count = count, .alpha = -0.5, .beta = 2}, slack);
                    compare(type, compute, (struct wanted){.op_a = op_a, .op_b = op_b, .m = 1, .n = 6, .k = 1, .count = count, .alpha = 2, .beta = 1}, slack);
                }
    compare(type, compute, (struct wanted){.m = 70, .n = 130, .k = 65, .count = 1, .alpha = 0.25, .beta = 0.5}, 1);
}

/* Nothing to add, nothing to multiply by, and nothing at all. C is not read where beta is 0. */
static void edges(void) {
    struct array a = array_of(R_32F, 12), b = array_of(R_32F, 12), c = array_of(R_32F, 12);
    float *ca = on_device(&a), *cb = on_device(&b), *cc = on_device(&c);
    float zero = 0, one = 1, nan = NAN;
    for (int i = 0; i < 12; i++) put(c.host, R_32F, (size_t)i, NAN);
    CHECK(cuMemcpyHtoD_v2(c.device, c.host, 48));
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 3, 4, 0, &one, ca, 3, cb, 1, &one, cc, 3), OK);
    expect_same(&c, 0, __LINE__);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 0, 4, 3, &one, ca, 3, cb, 3, &zero, cc, 3), OK);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 3, 0, 3, &one, ca, 3, cb, 3, &zero, cc, 3), OK);
    expect_same(&c, 0, __LINE__);
    struct wanted w = {.m = 2, .n = 3, .k = 2, .lda = 2, .ldb = 2, .ldc = 4, .count = 1, .alpha = 1, .beta = 0};
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 2, 3, 2, &one, ca, 2, cb, 2, &zero, cc, 4), OK);
    host_product(&w, &a, &b, &c);
    expect_same(&c, 1e-6, __LINE__);
    /* Columns of two in a matrix of four rows: what stands between them stays. */
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 2, 3, 0, &one, ca, 2, cb, 1, &zero, cc, 4), OK);
    for (int i = 0; i < 12; i++)
        if (i % 4 < 2) put(c.host, R_32F, (size_t)i, 0);
    expect_same(&c, 0, __LINE__);
    /* With alpha 0 neither A nor B counts, whatever they hold. */
    put(a.host, R_32F, 0, NAN);
    CHECK(cuMemcpyHtoD_v2(a.device, a.host, 48));
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 2, 3, 2, &zero, ca, 2, cb, 2, &zero, cc, 4), OK);
    expect_same(&c, 0, __LINE__);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 2, 2, 2, &nan, cb, 2, cb, 2, &zero, cc, 4), OK);
    float found[2];
    CHECK(cuCtxSynchronize());
    CHECK(cuMemcpyDtoH_v2(found, c.device, sizeof found));
    EXPECT(isnan(found[0]) && isnan(found[1]));
    array_drop(&a), array_drop(&b), array_drop(&c);
}

/* What is wrong is told at once, and the session goes on. */
static void mistakes(void) {
    struct array a = array_of(R_32F, 64);
    float *p = on_device(&a), one = 1;
    int value;
    STATUS(cublasSgemm_v2(NULL, OP_N, OP_N, 2, 2, 2, &one, p, 2, p, 2, &one, p, 2), NOT_INITIALIZED);
    STATUS(cublasSgemm_v2(handle, 3, OP_N, 2, 2, 2, &one, p, 2, p, 2, &one, p, 2), INVALID_VALUE);
    STATUS(cublasSgemm_v2(handle, OP_N, -1, 2, 2, 2, &one, p, 2, p, 2, &one, p, 2), INVALID_VALUE);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, -1, 2, 2, &one, p, 2, p, 2, &one, p, 2), INVALID_VALUE);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 2, 2, 2, &one, p, 1, p, 2, &one, p, 2), INVALID_VALUE);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 2, 2, 3, &one, p, 2, p, 2, &one, p, 2), INVALID_VALUE);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_T, 2, 3, 2, &one, p, 2, p, 2, &one, p, 2), INVALID_VALUE);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 2, 2, 2, &one, p, 2, p, 2, &one, p, 1), INVALID_VALUE);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 2, 2, 2, NULL, p, 2, p, 2, &one, p, 2), INVALID_VALUE);
    /* Beyond what is allocated, and on the host. */
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 2, 2, 2, &one, p + 61, 2, p, 2, &one, p + 8, 2), EXECUTION_FAILED);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 2, 2, 2, &one, p, 2, &one, 2, &one, p + 8, 2), EXECUTION_FAILED);
    STATUS(cublasGemmEx(handle, OP_N, OP_N, 2, 2, 2, &one, p, R_8I, 2, p, R_8I, 2, &one, p, R_32F, 2, COMPUTE_32F, -1), NOT_SUPPORTED);
    STATUS(cublasGemmEx(handle, OP_N, OP_N, 2, 2, 2, &one, p, R_8I, 4, p, R_8I, 4, &one, p, R_32F, 2, COMPUTE_32I, -1), NOT_SUPPORTED);
    STATUS(cublasSetPointerMode_v2(handle, 2), INVALID_VALUE);
    STATUS(cublasSetMathMode(handle, -1), INVALID_VALUE);
    STATUS(cublasGetMathMode(handle, NULL), INVALID_VALUE);
    STATUS(cublasGetProperty(3, &value), INVALID_VALUE);
    EXPECT(strcmp(cublasGetStatusName(INVALID_VALUE), "CUBLAS_STATUS_INVALID_VALUE") == 0);
    EXPECT(cublasGetStatusString(999) != NULL);
    int version, major;
    STATUS(cublasGetVersion_v2(handle, &version), OK);
    STATUS(cublasGetProperty(0, &major), OK);
    EXPECT(version / 10000 == major);
    array_drop(&a);
}

/* Rounding is the program's choice: 1 + 2^-12 is 1 in tf32. A card need not make use of it. */
static void math_modes(bool by_card) {
    struct array a = array_of(R_32F, 1), b = array_of(R_32F, 1), c = array_of(R_32F, 1);
    float *pa = on_device(&a), *pb = on_device(&b), *pc = on_device(&c);
    float fine = 1 + 0x1p-12f, one = 1, zero = 0, found;
    int mode;
    CHECK(cuMemcpyHtoD_v2(a.device, &fine, 4));
    CHECK(cuMemcpyHtoD_v2(b.device, &one, 4));
    const struct { int mode, compute; bool may_round; } cases[] = {
        {0, COMPUTE_32F, false}, {3, COMPUTE_32F, true}, {3, COMPUTE_32F_PEDANTIC, false}, {2, COMPUTE_32F, false},
        {0, COMPUTE_32F_FAST_TF32, true}, {16, COMPUTE_32F, false}, {16 | 3, COMPUTE_32F, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        STATUS(cublasSetMathMode(handle, cases[i].mode), OK);
        STATUS(cublasGetMathMode(handle, &mode), OK);
        EXPECT(mode == cases[i].mode);
        STATUS(cublasGemmEx(handle, OP_N, OP_N, 1, 1, 1, &one, pa, R_32F, 1, pb, R_32F, 1, &zero, pc, R_32F, 1, cases[i].compute, -1), OK);
        CHECK(cuCtxSynchronize());
        CHECK(cuMemcpyDtoH_v2(&found, c.device, 4));
        EXPECT(found == (cases[i].may_round ? 1 : fine) || (cases[i].may_round && by_card && found == fine));
    }
    STATUS(cublasSetMathMode(handle, 0), OK);
    array_drop(&a), array_drop(&b), array_drop(&c);
}

/* Factors in device memory, as they are when the stream comes to the product. */
static void device_factors(CUstream stream) {
    struct array a = array_of(R_32F, 16), c = array_of(R_32F, 16), factors = array_of(R_32F, 2);
    float *pa = on_device(&a), *pc = on_device(&c), *alpha = on_device(&factors);
    float values[2] = {0.5f, 2};
    STATUS(cublasSetStream_v2(handle, stream), OK);
    STATUS(cublasSetPointerMode_v2(handle, 1), OK);
    CHECK(cuMemcpyHtoDAsync_v2(factors.device, values, sizeof values, stream));
    STATUS(cublasSgemm_v2_64(handle, OP_T, OP_N, 4, 4, 4, alpha, pa, 4, pa, 4, alpha + 1, pc, 4), OK);
    struct wanted w = {.op_a = OP_T, .m = 4, .n = 4, .k = 4, .lda = 4, .ldb = 4, .ldc = 4, .count = 1, .alpha = 0.5, .beta = 2};
    host_product(&w, &a, &a, &c);
    CHECK(cuStreamSynchronize(stream));
    expect_same(&c, 1e-6, __LINE__);
    STATUS(cublasSetPointerMode_v2(handle, 0), OK);
    STATUS(cublasSetStream_v2(handle, NULL), OK);
    array_drop(&a), array_drop(&c), array_drop(&factors);
}

/* A captured product is one node, and each launch of the graph computes it anew from what its operands hold then. */
static void captured(CUstream stream) {
    enum { COUNT = 36 };
    struct array a = array_of(R_32F, COUNT), b = array_of(R_32F, COUNT), c = array_of(R_32F, COUNT), d = array_of(R_32F, COUNT);
    float *pa = on_device(&a), *pb = on_device(&b), *pc = on_device(&c), *pd = on_device(&d), one = 1, zero = 0;
    struct wanted w = {.m = 6, .n = 6, .k = 6, .lda = 6, .ldb = 6, .ldc = 6, .count = 1, .alpha = 1};
    CUgraph graph;
    CUgraphExec exec;
    size_t nodes = 8;
    CUgraphNode found[8];
    int type;
    STATUS(cublasSetStream_v2(handle, stream), OK);
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 6, 6, 6, &one, pa, 6, pb, 6, &zero, pc, 6), OK);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 6, 6, 6, &one, pc, 6, pb, 6, &one, pd, 6), OK);
    CHECK(cuStreamEndCapture(stream, &graph));
    expect_same(&c, 0, __LINE__);
    CHECK(cuGraphGetNodes(graph, found, &nodes));
    EXPECT(nodes == 2);
    CHECK(cuGraphNodeGetType(found[0], &type));
    EXPECT(type == 0);
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int round = 0; round < 3; round++) {
        put(a.host, R_32F, 0, round);
        CHECK(cuMemcpyHtoDAsync_v2(a.device, a.host, 4, stream));
        CHECK(cuGraphLaunch(exec, stream));
        host_product(&w, &a, &b, &c);
        w.beta = 1;
        host_product(&w, &c, &b, &d);
        w.beta = 0;
    }
    CHECK(cuStreamSynchronize(stream));
    expect_same(&c, 1e-5, __LINE__);
    expect_same(&d, 1e-5, __LINE__);
    CHECK(cuGraphExecDestroy(exec));
    CHECK(cuGraphDestroy(graph));
    STATUS(cublasSetStream_v2(handle, NULL), OK);
    array_drop(&a), array_drop(&b), array_drop(&c), array_drop(&d);
}

int main(int argc, char **argv) {
    CUstream stream, set;
    start();
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cublasCreate_v2(&handle), OK);
    STATUS(cublasSetStream_v2(handle, stream), OK);
    STATUS(cublasGetStream_v2(handle, &set), OK);
    EXPECT(set == stream);
    every_shape(R_32F, COMPUTE_32F);
    STATUS(cublasSetStream_v2(handle, NULL), OK);
    every_shape(R_64F, COMPUTE_64F);
    every_shape(R_16F, COMPUTE_32F);
    every_shape(R_16F, COMPUTE_16F);
    every_shape(R_16BF, COMPUTE_32F);
    edges();
    mistakes();
    math_modes(is_by_card(argc, argv));
    device_factors(stream);
    captured(stream);
    STATUS(cublasDestroy_v2(handle), OK);
    printf("ok\n");
    return 0;
}
