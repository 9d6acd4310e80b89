/*
 * On a card whose cuBLASLt has no products of bf16: the very call says so, cublasLt says it before, and nothing else is affected, also where the
 * stream captures.
 */
#include "../blas/blas.h"

typedef struct { uint64_t data[8]; } layout_t;
typedef struct { uint64_t data[32]; } operation_t;

int cublasLtCreate(void **handle);
int cublasLtDestroy(void *handle);
int cublasLtMatrixLayoutInit_internal(layout_t *layout, size_t bytes, int type, uint64_t rows, uint64_t columns, int64_t leading);
int cublasLtMatmulDescInit_internal(operation_t *operation, size_t bytes, int compute, int scale);
int cublasLtMatmulPreferenceInit_internal(layout_t *preference, size_t bytes);
int cublasLtMatmulAlgoGetHeuristic(void *handle, operation_t *operation, layout_t *a, layout_t *b, layout_t *c, layout_t *d, layout_t *preference,
                                   int wanted, void *results, int *count);

CUresult cuStreamBeginCapture_v2(CUstream stream, int mode);
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph);
CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *count);

static cublasHandle_t handle;

static int product(int type) {
    static struct array array;
    float one = 1, zero = 0;
    if (array.count == 0) array = array_of(R_32F, 32);
    float *p = on_device(&array);
    return cublasGemmEx(handle, OP_N, OP_N, 4, 4, 4, &one, p, type, 4, p, type, 4, &zero, p + 16, type, 4, COMPUTE_32F, -1);
}

static int ways(int type) {
    void *light;
    operation_t operation;
    layout_t layout, preference;
    uint64_t results[12];
    int count;
    STATUS(cublasLtCreate(&light), OK);
    STATUS(cublasLtMatrixLayoutInit_internal(&layout, sizeof layout, type, 4, 4, 4), OK);
    STATUS(cublasLtMatmulDescInit_internal(&operation, sizeof operation, COMPUTE_32F, R_32F), OK);
    STATUS(cublasLtMatmulPreferenceInit_internal(&preference, sizeof preference), OK);
    STATUS(cublasLtMatmulAlgoGetHeuristic(light, &operation, &layout, &layout, &layout, &layout, &preference, 1, results, &count), OK);
    STATUS(cublasLtDestroy(light), OK);
    return count;
}

int main(void) {
    CUstream stream;
    CUgraph graph;
    size_t nodes = 0;
    start();
    STATUS(cublasCreate_v2(&handle), OK);
    EXPECT(ways(R_16BF) == 0 && ways(R_32F) == 1);
    for (int i = 0; i < 3; i++) STATUS(product(R_16BF), NOT_SUPPORTED);
    STATUS(product(R_32F), OK);
    CHECK(cuCtxSynchronize());
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cublasSetStream_v2(handle, stream), OK);
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    STATUS(product(R_16BF), NOT_SUPPORTED);
    STATUS(product(R_16F), OK);
    CHECK(cuStreamEndCapture(stream, &graph));
    CHECK(cuGraphGetNodes(graph, NULL, &nodes));
    EXPECT(nodes == 1);
    STATUS(cublasDestroy_v2(handle), OK);
    CHECK(cuCtxSynchronize());
    puts("ok");
    return 0;
}
