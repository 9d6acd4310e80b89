/*
 * Products of floats of 8 bits by cuBLASLt, with a scale for each of both matrices, as PyTorch asks for them: into f32, f16 and bf16, with a bias, and what of
 * them is refused. A device of a capability before 8.9 has none.
 */
#include "light.h"

enum { M = 32, N = 48, K = 64 };

static void *light;
static preference_t *preference;
static bool by_card;

struct question {
    operation_t operation;
    layout_t a, b, c;
    result_t result;
    int found;
};

static void ask(struct question *q) {
    STATUS(cublasLtMatmulAlgoGetHeuristic(light, &q->operation, &q->a, &q->b, &q->c, &q->c, preference, 1, &q->result, &q->found), OK);
}

/* A is transposed, B is not. */
static struct question question_of(int a_type, int b_type, int result) {
    struct question q;
    int turned = OP_T;
    STATUS(cublasLtMatmulDescInit_internal(&q.operation, sizeof q.operation, COMPUTE_32F, R_32F), OK);
    STATUS(cublasLtMatmulDescSetAttribute(&q.operation, TRANSA, &turned, 4), OK);
    STATUS(cublasLtMatrixLayoutInit_internal(&q.a, sizeof q.a, a_type, K, M, K), OK);
    STATUS(cublasLtMatrixLayoutInit_internal(&q.b, sizeof q.b, b_type, K, N, K), OK);
    STATUS(cublasLtMatrixLayoutInit_internal(&q.c, sizeof q.c, result, M, N, M), OK);
    return q;
}

static int multiply(struct question *q, const struct array *a, const struct array *b, const struct array *c) {
    float alpha = 0.5f, beta = 0;
    return cublasLtMatmul(light, &q->operation, &alpha, on_device(a), &q->a, on_device(b), &q->b, &beta, on_device(c), &q->c, on_device(c), &q->c,
                          &q->result.algorithm, NULL, 0, NULL);
}

/*
 * Numbers are few bits long: what cards sum in, less than f32, has room for them. A scale may be missing, which is 1. Scales stand elsewhere each time,
 * among other numbers, at multiples of 16 bytes.
 */
static void compare(int a_type, int b_type, int result, const double scales[2], bool has_bias) {
    struct question q = question_of(a_type, b_type, result);
    struct array a = array_of(a_type, M * K), b = array_of(b_type, K * N), c = array_of(result, M * N), bias = array_of(result, M), s = array_of(R_32F, 64);
    static size_t place;
    struct wanted w = {.op_a = OP_T, .m = M, .n = N, .k = K, .lda = K, .ldb = K, .ldc = M, .count = 1, .alpha = 0.5};
    int epilogue = has_bias ? 4 : 1;
    for (int i = 0; i < 2; i++) {
        place = (place + 28) % 64;
        CUdeviceptr at = s.device + 4 * place;
        put(s.host, R_32F, place, scales[i]);
        if (scales[i] != 0) STATUS(cublasLtMatmulDescSetAttribute(&q.operation, i == 0 ? A_SCALE : B_SCALE, &at, 8), OK);
        w.alpha *= scales[i] == 0 ? 1 : scales[i];
    }
    CHECK(cuMemcpyHtoD_v2(s.device, s.host, 4 * s.count));
    STATUS(cublasLtMatmulDescSetAttribute(&q.operation, EPILOGUE, &epilogue, 4), OK);
    if (has_bias) STATUS(cublasLtMatmulDescSetAttribute(&q.operation, BIAS, &bias.device, 8), OK);
    ask(&q);
    EXPECT(q.found == 1 && q.result.state == OK);
    STATUS(multiply(&q, &a, &b, &c), OK);
    struct array exact = {.type = R_64F, .count = c.count, .host = malloc(c.count * 8)};
    host_product(&w, &a, &b, &exact);
    for (size_t i = 0; i < c.count; i++) put(c.host, result, i, get(exact.host, R_64F, i) + (has_bias ? get(bias.host, result, i % M) : 0));
    expect_same(&c, result == R_32F ? (by_card ? 1e-3 : 1e-6) : result == R_16F ? 1e-3 : 8e-3, __LINE__);
    free(exact.host);
    array_drop(&a), array_drop(&b), array_drop(&c), array_drop(&bias), array_drop(&s);
}

static void nothing_for(struct question q, int attribute, uint64_t value, size_t bytes) {
    STATUS(cublasLtMatmulDescSetAttribute(&q.operation, attribute, &value, bytes), OK);
    ask(&q);
    EXPECT(q.found == 0 && q.result.state == NOT_SUPPORTED);
}

static void refusals(void) {
    struct array a = array_of(R_8F_E4M3, M * K), b = array_of(R_8F_E4M3, K * N), c = array_of(R_16BF, M * N), s = array_of(R_32F, 2);
    struct question q = question_of(R_8F_E4M3, R_8F_E4M3, R_16BF), wide = question_of(R_8F_E5M2, R_8F_E5M2, R_16BF);
    cublasHandle_t handle;
    CUdeviceptr nowhere = c.device + (1 << 30);
    float one = 1;
    nothing_for(q, D_SCALE, s.device, 8);
    nothing_for(question_of(R_16F, R_16F, R_16F), A_SCALE, s.device, 8);
    nothing_for(question_of(R_32F, R_8F_E4M3, R_32F), TRANSA, OP_T, 4);
    /* A as it stands. */
    struct question plain = q;
    STATUS(cublasLtMatrixLayoutInit_internal(&plain.a, sizeof plain.a, R_8F_E4M3, M, K, M), OK);
    if (!by_card) nothing_for(plain, TRANSA, OP_N, 4);
    ask(&wide);
    EXPECT(wide.found == 0);
    /* A scale for each row. */
    STATUS(cublasLtMatmulDescSetAttribute(&q.operation, A_SCALE, &s.device, 8), OK);
    nothing_for(q, A_SCALE_MODE, 3, 4);
    ask(&q);
    EXPECT(q.found == 1);
    STATUS(cublasLtMatmulDescSetAttribute(&q.operation, B_SCALE, &nowhere, 8), OK);
    STATUS(multiply(&q, &a, &b, &c), EXECUTION_FAILED);
    /* NVIDIA's has them in cuBLASLt alone. */
    STATUS(cublasCreate_v2(&handle), OK);
    STATUS(cublasGemmEx(handle, OP_T, OP_N, M, M, K, &one, on_device(&a), R_8F_E4M3, K, on_device(&a), R_8F_E4M3, K, &one, on_device(&c), R_16BF, M,
                        COMPUTE_32F, -1), NOT_SUPPORTED);
    STATUS(cublasDestroy_v2(handle), OK);
    array_drop(&a), array_drop(&b), array_drop(&c), array_drop(&s);
}

/* At other places than multiples of 16 bytes cuBLASLt may have none, and tell only when it is to compute: the call hears of it, and nothing else does. */
static void odd_scales(void) {
    struct array a = array_of(R_8F_E4M3, M * K), b = array_of(R_8F_E4M3, K * N), c = array_of(R_16BF, M * N), s = array_of(R_32F, 64);
    struct question q = question_of(R_8F_E4M3, R_8F_E4M3, R_16BF);
    CUdeviceptr odd = s.device + 4, even = s.device + 16;
    STATUS(cublasLtMatmulDescSetAttribute(&q.operation, B_SCALE, &even, 8), OK);
    STATUS(cublasLtMatmulDescSetAttribute(&q.operation, A_SCALE, &odd, 8), OK);
    for (int i = 0; i < 2; i++) {
        ask(&q);
        int status = multiply(&q, &a, &b, &c);
        EXPECT(status == NOT_SUPPORTED || (by_card && status == OK && q.found == 1));
        CHECK(cuCtxSynchronize());
        /* What was refused finds no way any more. */
        if (i == 1) EXPECT(q.found == (status == OK));
    }
    STATUS(cublasLtMatmulDescSetAttribute(&q.operation, A_SCALE, &even, 8), OK);
    ask(&q);
    EXPECT(q.found == 1);
    STATUS(multiply(&q, &a, &b, &c), OK);
    CHECK(cuCtxSynchronize());
    array_drop(&a), array_drop(&b), array_drop(&c), array_drop(&s);
}

/* The first of a kind is waited for. */
static void one_kind(int times) {
    struct array a = array_of(R_8F_E4M3, M * K), b = array_of(R_8F_E4M3, K * N), c = array_of(R_16BF, M * N);
    struct question q = question_of(R_8F_E4M3, R_8F_E4M3, R_16BF);
    ask(&q);
    while (times-- > 0) STATUS(multiply(&q, &a, &b, &c), OK);
    CHECK(cuCtxSynchronize());
    array_drop(&a), array_drop(&b), array_drop(&c);
}

static void every_kind(void) {
    static const int factors[][2] = {{R_8F_E4M3, R_8F_E4M3}, {R_8F_E4M3, R_8F_E5M2}, {R_8F_E5M2, R_8F_E4M3}};
    static const int results[] = {R_32F, R_16F, R_16BF};
    static const double scales[][2] = {{4, 0.25}, {0.5, 4}, {0, 0}, {8, 0}, {0, 0.125}};
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++)
            for (size_t k = 0; k < 5; k++) {
                compare(factors[i][0], factors[i][1], results[j], scales[k], false);
                if (results[j] != R_32F) compare(factors[i][0], factors[i][1], results[j], scales[k], true);
            }
    refusals();
    odd_scales();
}

int main(int argc, char **argv) {
    int major, minor;
    by_card = is_by_card(argc, argv);
    start();
    CHECK(cuDeviceGetAttribute(&major, 75, 0));
    CHECK(cuDeviceGetAttribute(&minor, 76, 0));
    STATUS(cublasLtCreate(&light), OK);
    STATUS(cublasLtMatmulPreferenceCreate(&preference), OK);
    if (argc > 1 && !by_card) {
        one_kind(atoi(argv[1]));
    } else if (10 * major + minor >= 89) {
        every_kind();
    } else {
        struct question q = question_of(R_8F_E4M3, R_8F_E4M3, R_16BF);
        ask(&q);
        EXPECT(q.found == 0 && q.result.state == NOT_SUPPORTED);
    }
    STATUS(cublasLtMatmulPreferenceDestroy(preference), OK);
    STATUS(cublasLtDestroy(light), OK);
    printf("ok\n");
    return 0;
}
