/* Products by cuBLASLt: layouts of both orders, batches, C beside D, descriptors on the stack, and what finds no algorithm. */
#include "light.h"

enum { COLUMN = 0, ROW = 1, MAX_WORKSPACE = 1 };

static void *handle;
static preference_t *preference;
static bool by_card;

/* A matrix of a layout, on both sides; `op` turns it before it is multiplied. */
struct operand {
    struct array array;
    layout_t layout;
    int order, rows, columns, leading;
    long long stride;
};

static struct operand operand_of(int type, int order, int rows, int columns, int slack, int count) {
    int line = order == ROW ? columns : rows, lines = order == ROW ? rows : columns;
    struct operand made = {.order = order, .rows = rows, .columns = columns, .leading = line + slack};
    made.stride = (long long)made.leading * lines + slack;
    made.array = array_of(type, (size_t)(made.stride * count));
    STATUS(cublasLtMatrixLayoutInit_internal(&made.layout, sizeof made.layout, type, (uint64_t)rows, (uint64_t)columns, made.leading), OK);
    STATUS(cublasLtMatrixLayoutSetAttribute(&made.layout, ORDER, &order, 4), OK);
    STATUS(cublasLtMatrixLayoutSetAttribute(&made.layout, BATCH_COUNT, &count, 4), OK);
    STATUS(cublasLtMatrixLayoutSetAttribute(&made.layout, BATCH_STRIDE, &made.stride, 8), OK);
    return made;
}

static size_t at(const struct operand *operand, int batch, int row, int column) {
    long long within = operand->order == ROW ? (long long)row * operand->leading + column : (long long)column * operand->leading + row;
    return (size_t)(batch * operand->stride + within);
}

static double element(const struct operand *operand, int op, int batch, int row, int column) {
    return get(operand->array.host, operand->array.type, op == OP_N ? at(operand, batch, row, column) : at(operand, batch, column, row));
}

struct shape {
    int type, op_a, op_b, orders, slack, count;
    bool is_apart;
    float beta;
    /* 1 for none, or of 2 for a ReLU or 32 for a GELU, and 4 for a bias. */
    int epilogue;
};

static void compare(struct shape s) {
    enum { M = 5, N = 6, K = 7 };
    float alpha = 0.5f;
    int scale = R_32F;
    operation_t operation;
    result_t result;
    int found;
    struct operand a = operand_of(s.type, s.orders & 1, s.op_a == OP_N ? M : K, s.op_a == OP_N ? K : M, s.slack, s.count);
    struct operand b = operand_of(s.type, s.orders >> 1 & 1, s.op_b == OP_N ? K : N, s.op_b == OP_N ? N : K, s.slack, s.count);
    struct operand c = operand_of(s.type, s.orders >> 2 & 1, M, N, 2 * s.slack, s.count);
    struct operand d = operand_of(s.type, s.orders >> 2 & 1, M, N, s.slack, s.count);
    const struct operand *from = s.is_apart ? &c : &d;
    STATUS(cublasLtMatmulDescInit_internal(&operation, sizeof operation, COMPUTE_32F, scale), OK);
    STATUS(cublasLtMatmulDescSetAttribute(&operation, TRANSA, &s.op_a, 4), OK);
    STATUS(cublasLtMatmulDescSetAttribute(&operation, TRANSB, &s.op_b, 4), OK);
    struct array bias = array_of(s.type, M);
    STATUS(cublasLtMatmulDescSetAttribute(&operation, EPILOGUE, &s.epilogue, 4), OK);
    STATUS(cublasLtMatmulDescSetAttribute(&operation, BIAS, &bias.device, 8), OK);
    layout_t *lc = s.is_apart ? &c.layout : &d.layout;
    STATUS(cublasLtMatmulAlgoGetHeuristic(handle, &operation, &a.layout, &b.layout, lc, &d.layout, preference, 1, &result, &found), OK);
    EXPECT(found == 1 && result.state == OK);
    STATUS(cublasLtMatmul(handle, &operation, &alpha, on_device(&a.array), &a.layout, on_device(&b.array), &b.layout, &s.beta,
                          on_device(&from->array), lc, on_device(&d.array), &d.layout, &result.algorithm, NULL, 0, NULL), OK);
    for (int batch = 0; batch < s.count; batch++)
        for (int row = 0; row < M; row++)
            for (int column = 0; column < N; column++) {
                double sum = 0;
                for (int i = 0; i < K; i++) sum += element(&a, s.op_a, batch, row, i) * element(&b, s.op_b, batch, i, column);
                double before = s.beta == 0 ? 0 : s.beta * element(from, OP_N, batch, row, column);
                double value = 0.5 * sum + before + ((s.epilogue & 4) != 0 ? get(bias.host, s.type, (size_t)row) : 0);
                if ((s.epilogue & 32) != 0) value *= 0.5 * (1 + tanh(sqrt(2 / M_PI) * (value + 0.044715 * value * value * value)));
                put(d.array.host, s.type, at(&d, batch, row, column), (s.epilogue & 2) != 0 && value < 0 ? 0 : value);
            }
    bool is_near = by_card && (s.epilogue & 32) != 0;
    expect_same(&d.array, s.type == R_32F ? (is_near ? 1e-3 : 1e-6) : s.type == R_16F ? 1e-3 : 8e-3, __LINE__);
    array_drop(&a.array), array_drop(&b.array), array_drop(&c.array), array_drop(&d.array), array_drop(&bias);
}

/* What is not served finds nothing, and what is wrong is told. */
static void refusals(void) {
    operation_t *operation;
    layout_t *layout, *other;
    result_t result;
    int found = 7, value = 4;
    float one = 1;
    size_t written = 0;
    struct array a = array_of(R_32F, 16);
    void *p = on_device(&a);
    STATUS(cublasLtMatmulDescCreate(&operation, COMPUTE_32F, R_32F), OK);
    STATUS(cublasLtMatrixLayoutCreate(&layout, R_32F, 4, 4, 4), OK);
    STATUS(cublasLtMatrixLayoutCreate(&other, R_32F, 3, 4, 4), OK);
    STATUS(cublasLtMatmulAlgoGetHeuristic(handle, operation, layout, layout, layout, layout, NULL, 1, &result, &found), INVALID_VALUE);
    STATUS(cublasLtMatmulAlgoGetHeuristic(handle, operation, layout, layout, layout, layout, preference, 0, &result, &found), INVALID_VALUE);
    STATUS(cublasLtMatmulAlgoGetHeuristic(handle, operation, layout, other, layout, layout, preference, 1, &result, &found), INVALID_VALUE);
    STATUS(cublasLtMatmul(handle, operation, &one, p, layout, p, other, &one, p, layout, p, layout, NULL, NULL, 0, NULL), INVALID_VALUE);
    STATUS(cublasLtMatmul(NULL, operation, &one, p, layout, p, layout, &one, p, layout, p, layout, NULL, NULL, 0, NULL), NOT_INITIALIZED);
    STATUS(cublasLtMatmulAlgoGetHeuristic(handle, operation, layout, layout, layout, layout, preference, 1, &result, &found), OK);
    EXPECT(found == 1);
    STATUS(cublasLtMatmulAlgoCheck(handle, operation, layout, layout, layout, layout, &result.algorithm, &result), OK);
    value = 4;
    STATUS(cublasLtMatmulDescSetAttribute(operation, EPILOGUE, &value, 4), OK);
    STATUS(cublasLtMatmul(handle, operation, &one, p, layout, p, layout, &one, p, layout, p, layout, NULL, NULL, 0, NULL), INVALID_VALUE);
    value = 128 | 32;
    STATUS(cublasLtMatmulDescSetAttribute(operation, EPILOGUE, &value, 4), OK);
    STATUS(cublasLtMatmulAlgoGetHeuristic(handle, operation, layout, layout, layout, layout, preference, 1, &result, &found), OK);
    EXPECT(found == 0 && result.state == NOT_SUPPORTED);
    STATUS(cublasLtMatmul(handle, operation, &one, p, layout, p, layout, &one, p, layout, p, layout, NULL, NULL, 0, NULL), NOT_SUPPORTED);
    STATUS(cublasLtMatmulDescSetAttribute(operation, EPILOGUE, &value, 8), INVALID_VALUE);
    STATUS(cublasLtMatmulDescSetAttribute(operation, 99, &value, 4), INVALID_VALUE);
    STATUS(cublasLtMatmulDescGetAttribute(operation, EPILOGUE, &found, 4, &written), OK);
    EXPECT(found == value && written == 4);
    STATUS(cublasLtMatrixLayoutGetAttribute(layout, BATCH_STRIDE, NULL, 0, &written), OK);
    EXPECT(written == 8);
    STATUS(cublasLtMatrixLayoutDestroy(layout), OK);
    STATUS(cublasLtMatrixLayoutDestroy(other), OK);
    STATUS(cublasLtMatmulDescDestroy(operation), OK);
    array_drop(&a);
}

int main(int argc, char **argv) {
    uint64_t workspace = 1 << 20;
    by_card = is_by_card(argc, argv);
    start();
    STATUS(cublasLtCreate(&handle), OK);
    EXPECT(cublasLtGetVersion() >= 120000);
    STATUS(cublasLtMatmulPreferenceCreate(&preference), OK);
    STATUS(cublasLtMatmulPreferenceSetAttribute(preference, MAX_WORKSPACE, &workspace, 8), OK);
    for (int type = R_32F; type <= R_16BF; type++)
        for (int orders = 0; orders < 8; orders++)
            for (int ops = 0; ops < 4; ops++) {
                if (type != R_32F && type != R_16F && type != R_16BF) continue;
                compare((struct shape){type, ops & 1, ops >> 1, orders, 0, 1, false, 0, 1});
                compare((struct shape){type, ops & 1, ops >> 1, orders, 3, 1, true, 2, 1});
                compare((struct shape){type, ops & 1, ops >> 1, orders, 2, 3, ops % 2 == 0, 1, orders < 4 ? 6 : 2});
                if (orders < 4) compare((struct shape){type, ops & 1, ops >> 1, orders, 0, 1, false, 0, 4});
                if (ops == 0) compare((struct shape){type, ops & 1, ops >> 1, orders, 1, 2, false, 0, orders < 4 ? 36 : 32});
            }
    refusals();
    STATUS(cublasLtMatmulPreferenceDestroy(preference), OK);
    STATUS(cublasLtDestroy(handle), OK);
    printf("ok\n");
    return 0;
}
