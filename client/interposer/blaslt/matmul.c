/*
 * D = alpha op(A) op(B) + beta C by cuBLASLt. What the wire's `multiply` has no word for finds no algorithm, as on a device that cannot do it, so that
 * programs take the way that they have without it.
 */
#include <string.h>

#include "lt.h"

#define ALGORITHM_MAGIC 0x51c0a160u

struct question {
    const struct operation *operation;
    const struct layout *a, *b, *c, *d;
};

/* Why an epilogue is not served, or NULL. */
static const char *why_no_epilogue(const struct question *q) {
    const struct operation *o = q->operation;
    if (o->epilogue == EPILOGUE_DEFAULT) return NULL;
    uint32_t activation = o->epilogue & ~(uint32_t)EPILOGUE_BIAS;
    if (o->epilogue == 0 || (activation != 0 && activation != EPILOGUE_RELU && activation != EPILOGUE_GELU))
        return "of epilogues there are a bias, a ReLU and a GELU";
    bool is_of_one_type = (q->a->type == q->d->type && q->d->type != R_64F) || (is_narrow((int)q->a->type) && q->d->type != R_32F);
    if (!is_of_one_type) return "epilogues are for products of one type that is not f64, or of floats of 8 bits into f16 or bf16";
    if ((o->epilogue & EPILOGUE_BIAS) == 0) return NULL;
    if (q->d->order != ORDER_COLUMN) return "a bias is for results that stand column by column";
    if (o->bias_type != -1 && o->bias_type != (int)q->d->type) return "a bias is of the result's type";
    return q->d->batch_count > 1 && o->bias_stride != 0 ? "there is one bias for a batch" : NULL;
}

/* Why scales are not served, or NULL. */
static const char *why_no_scales(const struct question *q) {
    const struct operation *o = q->operation;
    if ((o->scale_c | o->scale_d | o->amax_d | o->scale_out) != 0) return "results have no scales of their own";
    if ((o->scale_a | o->scale_b) == 0) return NULL;
    if (!is_narrow((int)q->a->type) || !is_narrow((int)q->b->type)) return "matrices have no scales of their own but of floats of 8 bits";
    return (o->scale_modes[0] | o->scale_modes[1]) != 0 ? "a scale is one number for a matrix" : NULL;
}

/* Why it is not served, or NULL. */
static const char *why_not(const struct question *q) {
    const struct operation *o = q->operation;
    const char *reason = why_no_epilogue(q);
    if (reason != NULL) return reason;
    if (o->pointer_mode != POINTER_HOST && o->pointer_mode != POINTER_DEVICE) return "alpha and beta are one number each";
    if (o->fill != FILL_FULL || o->op_c != OP_N) return "results are full matrices that stand as they are";
    reason = why_no_scales(q);
    if (reason != NULL) return reason;
    const struct layout *layouts[] = {q->a, q->b, q->c, q->d};
    for (size_t i = 0; i < 4; i++) {
        if (layouts[i]->order > ORDER_ROW) return "matrices stand column by column or row by row";
        if (layouts[i]->batch_mode != 0 || layouts[i]->plane_offset != 0) return "matrices of a batch stand a fixed stride apart";
    }
    if (q->c->order != q->d->order || q->c->type != q->d->type) return "C and D are of one type and one order";
    return factor_type(o->compute) != o->scale ? "alpha and beta are of the compute type" : NULL;
}

static struct matrix matrix_of(const void *at, const struct layout *layout, int operation) {
    bool is_by_rows = layout->order == ORDER_ROW;
    return (struct matrix){(uint64_t)(uintptr_t)at, (int)layout->type, layout->leading, layout->batch_stride, (operation != OP_N) != is_by_rows};
}

/* Elements that stand together in memory, and how many such lines there are. */
static uint64_t line_of(const struct layout *layout) {
    return layout->order == ORDER_ROW ? layout->columns : layout->rows;
}

static uint64_t lines_of(const struct layout *layout) {
    return layout->order == ORDER_ROW ? layout->rows : layout->columns;
}

static bool is_layout(const struct layout *layout, const struct layout *result) {
    return layout->batch_count == result->batch_count && layout->leading >= 0 && (uint64_t)layout->leading >= line_of(layout);
}

static cublasStatus_t check_shapes(const struct question *q) {
    const struct operation *o = q->operation;
    bool is_a_turned = o->op_a != OP_N, is_b_turned = o->op_b != OP_N;
    uint64_t inner = is_a_turned ? q->a->rows : q->a->columns;
    if (!is_op(o->op_a) || !is_op(o->op_b)) return CUBLAS_STATUS_INVALID_VALUE;
    if ((is_b_turned ? q->b->columns : q->b->rows) != inner) return CUBLAS_STATUS_INVALID_VALUE;
    if ((is_a_turned ? q->a->columns : q->a->rows) != q->d->rows) return CUBLAS_STATUS_INVALID_VALUE;
    if ((is_b_turned ? q->b->rows : q->b->columns) != q->d->columns) return CUBLAS_STATUS_INVALID_VALUE;
    if (q->c->rows != q->d->rows || q->c->columns != q->d->columns) return CUBLAS_STATUS_INVALID_VALUE;
    bool are_layouts = is_layout(q->a, q->d) && is_layout(q->b, q->d) && is_layout(q->c, q->d) && is_layout(q->d, q->d);
    return are_layouts && q->d->batch_count >= 1 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

/* The product column by column: where results stand row by row, their transpose is computed, from B and A in that order. */
static struct product product_of(const struct question *q, const void *a, const void *b, void *d) {
    const struct operation *o = q->operation;
    struct product product = {
        .function = "cublasLtMatmul", .m = (int64_t)q->d->rows, .n = (int64_t)q->d->columns,
        .k = (int64_t)(o->op_a == OP_N ? q->a->columns : q->a->rows), .batch_count = q->d->batch_count,
        .a = matrix_of(a, q->a, o->op_a), .b = matrix_of(b, q->b, o->op_b), .c = matrix_of(d, q->d, OP_N), .compute = o->compute,
        .activation = (o->epilogue & EPILOGUE_RELU) != 0 ? 1 : (o->epilogue & EPILOGUE_GELU) != 0 ? 2 : 0,
        .may_be_narrow = true, .scale_a = o->scale_a, .scale_b = o->scale_b,
    };
    if (q->d->order != ORDER_ROW) return product;
    struct product turned = product;
    turned.m = product.n, turned.n = product.m;
    turned.a = product.b, turned.b = product.a;
    turned.scale_a = product.scale_b, turned.scale_b = product.scale_a;
    turned.a.is_transposed = !product.b.is_transposed, turned.b.is_transposed = !product.a.is_transposed;
    turned.c.is_transposed = false;
    return turned;
}

static cublasStatus_t judge(const struct question *q, const char **reason) {
    *reason = NULL;
    if (q->operation == NULL || q->a == NULL || q->b == NULL || q->c == NULL || q->d == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    *reason = why_not(q);
    if (*reason != NULL) return CUBLAS_STATUS_NOT_SUPPORTED;
    cublasStatus_t status = check_shapes(q);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    struct product product = product_of(q, NULL, NULL, NULL);
    if (product_is_served(&product)) return CUBLAS_STATUS_SUCCESS;
    *reason = "products of these types are not served yet";
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

/* What an address is said to be a multiple of, in place of the address; elements stand at multiples of their own size. */
static const void *aligned(uint32_t alignment, int type) {
    uint32_t power = alignment & (~alignment + 1), bytes = (uint32_t)element_bytes(type);
    return (const void *)(uintptr_t)(power > bytes ? power : bytes);
}

/* As judge(), and whether the server has a way: a trip for the first question of a kind. */
static cublasStatus_t judge_all(const struct question *q, const uint32_t alignments[4], const char **reason) {
    cublasStatus_t status = judge(q, reason);
    if (status == CUBLAS_STATUS_SUCCESS) status = blas_enter();
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const struct operation *o = q->operation;
    int result = (int)q->d->type;
    struct product product = product_of(q, aligned(alignments[0], (int)q->a->type), aligned(alignments[1], (int)q->b->type),
                                        (void *)(uintptr_t)aligned(alignments[3], result));
    if ((o->epilogue & EPILOGUE_BIAS) != 0) product.bias = (uint64_t)(uintptr_t)aligned(o->bias == 0 ? 256 : (uint32_t)o->bias | 256, result);
    /* They are set before it is asked, or stand for those to come: of them counts what they can be divided by. */
    product.scale_a = product.scale_a == 0 ? 0 : product.scale_a % 256 + 256, product.scale_b = product.scale_b == 0 ? 0 : product.scale_b % 256 + 256;
    status = can_multiply(&product);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) *reason = "the server cannot compute it";
    return status;
}

/* Where C is not D, it is brought there first. */
static cublasStatus_t bring(const struct question *q, const void *c, void *d, CUstream stream) {
    size_t bytes = element_bytes((int)q->d->type);
    bool is_same_layout = q->c->leading == q->d->leading && (q->d->batch_count == 1 || q->c->batch_stride == q->d->batch_stride);
    if (c == d) return is_same_layout ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
    CUresult result = CUDA_SUCCESS;
    for (int64_t i = 0; i < q->d->batch_count && result == CUDA_SUCCESS; i++) {
        CUDA_MEMCPY3D copy = {
            .src_type = CU_MEMORY_DEVICE, .src_device = (uint64_t)(uintptr_t)c + (uint64_t)(i * q->c->batch_stride) * bytes,
            .src_pitch = (size_t)q->c->leading * bytes, .src_height = lines_of(q->c),
            .dst_type = CU_MEMORY_DEVICE, .dst_device = (uint64_t)(uintptr_t)d + (uint64_t)(i * q->d->batch_stride) * bytes,
            .dst_pitch = (size_t)q->d->leading * bytes, .dst_height = lines_of(q->d),
            .width_bytes = line_of(q->d) * bytes, .height = lines_of(q->d), .depth = 1,
        };
        result = cuMemcpy3DAsync_v2(&copy, stream);
    }
    return blas_status_of(result);
}

BLAS(cublasLtMatmul,
     (const void *handle, const struct operation *operation, const void *alpha, const void *a, const struct layout *a_layout, const void *b,
      const struct layout *b_layout, const void *beta, const void *c, const struct layout *c_layout, void *d, const struct layout *d_layout,
      const struct algorithm *algorithm, void *workspace, size_t workspace_bytes, CUstream stream),
     (handle, operation, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algorithm, workspace, workspace_bytes, stream)) {
    (void)workspace, (void)workspace_bytes; /* The server's library has one of its own. */
    struct question question = {operation, a_layout, b_layout, c_layout, d_layout};
    const char *reason;
    if (handle == NULL) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (algorithm != NULL && algorithm->magic != ALGORITHM_MAGIC) return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t status = judge(&question, &reason);
    if (reason != NULL) return blas_refuse("cublasLtMatmul", "%s", reason);
    if (status == CUBLAS_STATUS_SUCCESS) status = blas_enter();
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    struct product product = product_of(&question, a, b, d);
    product.stream = stream;
    if ((operation->epilogue & EPILOGUE_BIAS) != 0 && operation->bias == 0) return CUBLAS_STATUS_INVALID_VALUE;
    product.bias = (operation->epilogue & EPILOGUE_BIAS) != 0 ? operation->bias : 0;
    struct factors factors = {alpha, beta, operation->scale, operation->pointer_mode == POINTER_DEVICE};
    status = read_factors(&factors, &product);
    if (status == CUBLAS_STATUS_SUCCESS && product.beta != 0) status = bring(&question, c, d, stream);
    return status == CUBLAS_STATUS_SUCCESS ? multiply(&product) : status;
}

static void answer(struct found_algorithm *found, cublasStatus_t state) {
    *found = (struct found_algorithm){.algorithm = {.magic = ALGORITHM_MAGIC}, .state = state, .waves = 1};
}

/* None is found where none would do: that is no error, and the program's turn. */
BLAS(cublasLtMatmulAlgoGetHeuristic,
     (const void *handle, const struct operation *operation, const struct layout *a, const struct layout *b, const struct layout *c,
      const struct layout *d, const struct preference *preference, int wanted, struct found_algorithm *results, int *count),
     (handle, operation, a, b, c, d, preference, wanted, results, count)) {
    struct question question = {operation, a, b, c, d};
    const char *reason;
    if (handle == NULL) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (preference == NULL || wanted < 1 || results == NULL || count == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    *count = 0;
    cublasStatus_t status = judge_all(&question, preference->alignments, &reason);
    for (int i = 0; i < wanted; i++) answer(&results[i], i == 0 ? status : CUBLAS_STATUS_NOT_SUPPORTED);
    if (reason != NULL) {
        trace("cublasLtMatmulAlgoGetHeuristic finds nothing: %s", reason);
        return CUBLAS_STATUS_SUCCESS;
    }
    if (status == CUBLAS_STATUS_SUCCESS) *count = 1;
    return status;
}

BLAS(cublasLtMatmulAlgoCheck,
     (const void *handle, const struct operation *operation, const struct layout *a, const struct layout *b, const struct layout *c,
      const struct layout *d, const struct algorithm *algorithm, struct found_algorithm *result),
     (handle, operation, a, b, c, d, algorithm, result)) {
    struct question question = {operation, a, b, c, d};
    const char *reason;
    if (handle == NULL) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (algorithm == NULL || algorithm->magic != ALGORITHM_MAGIC || result == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t status = judge_all(&question, (const uint32_t[]){256, 256, 256, 256}, &reason);
    answer(result, status);
    return status;
}

static bool is_served_type(int compute, int scale, const int types[4]) {
    struct product product = {.a = {.type = types[0]}, .b = {.type = types[1]}, .c = {.type = types[2]}, .compute = compute, .may_be_narrow = true};
    return types[2] == types[3] && factor_type(compute) == scale && product_is_served(&product);
}

BLAS(cublasLtMatmulAlgoGetIds,
     (const void *handle, int compute, int scale, int a_type, int b_type, int c_type, int d_type, int wanted, int *ids, int *count),
     (handle, compute, scale, a_type, b_type, c_type, d_type, wanted, ids, count)) {
    if (handle == NULL) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (wanted < 1 || ids == NULL || count == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    *count = is_served_type(compute, scale, (int[]){a_type, b_type, c_type, d_type}) ? 1 : 0;
    if (*count == 1) ids[0] = 0;
    return CUBLAS_STATUS_SUCCESS;
}

BLAS(cublasLtMatmulAlgoInit,
     (const void *handle, int compute, int scale, int a_type, int b_type, int c_type, int d_type, int id, struct algorithm *algorithm),
     (handle, compute, scale, a_type, b_type, c_type, d_type, id, algorithm)) {
    if (handle == NULL) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (algorithm == NULL || id != 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_served_type(compute, scale, (int[]){a_type, b_type, c_type, d_type})) return CUBLAS_STATUS_NOT_SUPPORTED;
    *algorithm = (struct algorithm){.magic = ALGORITHM_MAGIC};
    return CUBLAS_STATUS_SUCCESS;
}

/* cublasLtMatmulAlgoConfigAttributes_t: all are 0 here, its number and what the server's library chooses. Those from 7 on have two bytes. */
static size_t config_bytes(int attribute) {
    return attribute < 0 || attribute > 8 ? 0 : attribute >= 7 ? 2 : 4;
}

BLAS(cublasLtMatmulAlgoConfigSetAttribute, (struct algorithm * algorithm, int attribute, const void *from, size_t bytes),
     (algorithm, attribute, from, bytes)) {
    if (algorithm == NULL || from == NULL || config_bytes(attribute) == 0 || bytes != config_bytes(attribute)) return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}

BLAS(cublasLtMatmulAlgoConfigGetAttribute,
     (const struct algorithm *algorithm, int attribute, void *to, size_t bytes, size_t *written), (algorithm, attribute, to, bytes, written)) {
    size_t size = config_bytes(attribute);
    if (algorithm == NULL || size == 0 || (bytes == 0 && written == NULL)) return CUBLAS_STATUS_INVALID_VALUE;
    if (bytes != 0 && (to == NULL || bytes != size)) return CUBLAS_STATUS_INVALID_VALUE;
    if (bytes != 0) memset(to, 0, size);
    if (written != NULL) *written = size;
    return CUBLAS_STATUS_SUCCESS;
}
