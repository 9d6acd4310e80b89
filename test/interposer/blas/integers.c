/* Products of i8 into i32 by cuBLAS and cuBLASLt, which are exact: transpositions, strides, factors of i32, and what of them is refused. */
#include "light.h"

static cublasHandle_t handle;
static bool by_card;

/* A card promises only products whose A is transposed alone, and sizes that are multiples of four: of others it may say that it has none. */
static void compare(struct wanted w, int slack) {
    w.lda = (w.op_a == OP_N ? w.m : w.k) + slack, w.ldb = (w.op_b == OP_N ? w.k : w.n) + slack, w.ldc = w.m + slack;
    w.stride_a = (long long)w.lda * (w.op_a == OP_N ? w.k : w.m), w.stride_b = (long long)w.ldb * (w.op_b == OP_N ? w.n : w.k);
    w.stride_c = (long long)w.ldc * w.n;
    struct array a = array_of(R_8I, (size_t)(w.stride_a * w.count)), b = array_of(R_8I, (size_t)(w.stride_b * w.count));
    struct array c = array_of(R_32I, (size_t)(w.stride_c * w.count));
    int32_t alpha = (int32_t)w.alpha, beta = (int32_t)w.beta;
    int status;
    if (w.count == 1)
        status = cublasGemmEx(handle, w.op_a, w.op_b, w.m, w.n, w.k, &alpha, on_device(&a), R_8I, w.lda, on_device(&b), R_8I, w.ldb, &beta, on_device(&c),
                              R_32I, w.ldc, COMPUTE_32I, -1);
    else
        status = cublasGemmStridedBatchedEx(handle, w.op_a, w.op_b, w.m, w.n, w.k, &alpha, on_device(&a), R_8I, w.lda, w.stride_a, on_device(&b), R_8I,
                                            w.ldb, w.stride_b, &beta, on_device(&c), R_32I, w.ldc, w.stride_c, w.count, COMPUTE_32I, -1);
    bool is_promised = (w.m | w.k | slack) % 4 == 0 && (!by_card || (w.op_a != OP_N && w.op_b == OP_N));
    if (is_promised || status != NOT_SUPPORTED) {
        STATUS(status, OK);
        host_product(&w, &a, &b, &c);
    }
    expect_same(&c, 0, __LINE__);
    array_drop(&a), array_drop(&b), array_drop(&c);
}

static void every_shape(void) {
    static const double factors[][2] = {{1, 0}, {-3, 2}, {0, 5}};
    for (int op_a = OP_N; op_a <= OP_T; op_a++)
        for (int op_b = OP_N; op_b <= OP_C; op_b++)
            for (int slack = 0; slack <= 16; slack += 16)
                for (int count = 1; count <= 3; count += 2)
                    for (size_t i = 0; i < 3; i++)
                        compare((struct wanted){.op_a = op_a, .op_b = op_b, .m = 32, .n = 48, .k = 64, .count = count, .alpha = factors[i][0],
                                                .beta = factors[i][1]}, slack);
    /* A factor that f32 has not, over the borders of tiles, and odd sizes. */
    compare((struct wanted){.op_a = OP_T, .m = 80, .n = 66, .k = 4, .count = 1, .alpha = -1, .beta = 0x1000001}, 0);
    compare((struct wanted){.op_a = OP_T, .m = 5, .n = 7, .k = 3, .count = 1, .alpha = 1, .beta = 1}, 1);
}

/* As PyTorch asks for them, with factors in device memory. */
static void by_light(void) {
    enum { M = 32, N = 24, K = 64 };
    void *light;
    operation_t operation;
    layout_t la, lb, lc;
    preference_t *preference;
    result_t result;
    int found, turned = OP_T, on_the_device = 1, bias = 4;
    int32_t values[2] = {7, -2};
    struct array a = array_of(R_8I, M * K), b = array_of(R_8I, K * N), c = array_of(R_32I, M * N), factors = array_of(R_32I, 2);
    struct wanted w = {.op_a = OP_T, .m = M, .n = N, .k = K, .lda = K, .ldb = K, .ldc = M, .count = 1, .alpha = values[0], .beta = values[1]};
    STATUS(cublasLtCreate(&light), OK);
    STATUS(cublasLtMatmulPreferenceCreate(&preference), OK);
    STATUS(cublasLtMatmulDescInit_internal(&operation, sizeof operation, COMPUTE_32I, R_32I), OK);
    STATUS(cublasLtMatmulDescSetAttribute(&operation, TRANSA, &turned, 4), OK);
    STATUS(cublasLtMatmulDescSetAttribute(&operation, POINTER_MODE, &on_the_device, 4), OK);
    STATUS(cublasLtMatrixLayoutInit_internal(&la, sizeof la, R_8I, K, M, K), OK);
    STATUS(cublasLtMatrixLayoutInit_internal(&lb, sizeof lb, R_8I, K, N, K), OK);
    STATUS(cublasLtMatrixLayoutInit_internal(&lc, sizeof lc, R_32I, M, N, M), OK);
    STATUS(cublasLtMatmulAlgoGetHeuristic(light, &operation, &la, &lb, &lc, &lc, preference, 1, &result, &found), OK);
    EXPECT(found == 1 && result.state == OK);
    CHECK(cuMemcpyHtoD_v2(factors.device, values, sizeof values));
    int32_t *alpha = on_device(&factors);
    STATUS(cublasLtMatmul(light, &operation, alpha, on_device(&a), &la, on_device(&b), &lb, alpha + 1, on_device(&c), &lc, on_device(&c), &lc,
                          &result.algorithm, NULL, 0, NULL), OK);
    host_product(&w, &a, &b, &c);
    expect_same(&c, 0, __LINE__);
    /* Integers have no epilogue, and their factors are not f32. */
    STATUS(cublasLtMatmulDescSetAttribute(&operation, EPILOGUE, &bias, 4), OK);
    STATUS(cublasLtMatmulDescSetAttribute(&operation, BIAS, &c.device, 8), OK);
    STATUS(cublasLtMatmulAlgoGetHeuristic(light, &operation, &la, &lb, &lc, &lc, preference, 1, &result, &found), OK);
    EXPECT(found == 0);
    STATUS(cublasLtMatmulDescInit_internal(&operation, sizeof operation, COMPUTE_32I, R_32F), OK);
    STATUS(cublasLtMatmulDescSetAttribute(&operation, TRANSA, &turned, 4), OK);
    STATUS(cublasLtMatmulAlgoGetHeuristic(light, &operation, &la, &lb, &lc, &lc, preference, 1, &result, &found), OK);
    EXPECT(found == 0);
    STATUS(cublasLtMatmulPreferenceDestroy(preference), OK);
    STATUS(cublasLtDestroy(light), OK);
    array_drop(&a), array_drop(&b), array_drop(&c), array_drop(&factors);
}

int main(int argc, char **argv) {
    by_card = is_by_card(argc, argv);
    start();
    STATUS(cublasCreate_v2(&handle), OK);
    every_shape();
    by_light();
    STATUS(cublasDestroy_v2(handle), OK);
    printf("ok\n");
    return 0;
}
