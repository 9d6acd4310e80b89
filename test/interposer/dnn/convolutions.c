/* Graphs of operations: convolutions forward and backward, with a bias and a ReLU behind, factors by value, in a stream and in graphs, and what is refused. */
#include <sys/mman.h>

#include "graph.h"

#include "../../../client/interposer/driver/cuda-graph-api.h"

enum { N = 2, C = 3, K = 4, SIZE = 6, R = 3, PADDING = 1, OUT = SIZE };

static cudnnHandle_t handle;
static struct array x, w, y;
static CUdeviceptr workspace;

static float *at(struct array *array, int channels, int size, int a, int b, int i, int j) {
    return &array->host[((a * channels + b) * size + i) * size + j];
}

/* Calls `step` for each product of the convolution. */
#define EACH_PRODUCT(step)                                                                                                              \
    for (int n = 0; n < N; n++)                                                                                                         \
        for (int k = 0; k < K; k++)                                                                                                     \
            for (int i = 0; i < OUT; i++)                                                                                               \
                for (int j = 0; j < OUT; j++)                                                                                           \
                    for (int c = 0; c < C; c++)                                                                                         \
                        for (int r = 0; r < R; r++)                                                                                     \
                            for (int s = 0; s < R; s++) {                                                                               \
                                int p = i + r - PADDING, q = j + s - PADDING;                                                           \
                                if (p < 0 || p >= SIZE || q < 0 || q >= SIZE) continue;                                                 \
                                float *of_x = at(&x, C, SIZE, n, c, p, q), *of_w = at(&w, C, R, k, c, r, s), *of_y = at(&y, K, OUT, n, k, i, j); \
                                step;                                                                                                   \
                            }

static void clear(struct array *array) {
    for (size_t i = 0; i < array->count; i++) array->host[i] = 0;
    CHECK(cuMemsetD32_v2(array->device, 0x7fc00000, array->count));
    /* A stream that waits for no other may work behind it. */
    CHECK(cuCtxSynchronize());
}

static void forward_on_host(void) {
    clear(&y);
    EACH_PRODUCT(*of_y += *of_x * *of_w)
}

static void backward_data_on_host(void) {
    clear(&x);
    EACH_PRODUCT(*of_x += *of_y * *of_w)
}

static void backward_filter_on_host(void) {
    clear(&w);
    EACH_PRODUCT(*of_w += *of_y * *of_x)
}

static descriptor_t pack_of_three(void) {
    const int64_t uids[] = {'x', 'w', 'y'};
    void *pointers[] = {(void *)x.device, (void *)w.device, (void *)y.device};
    return pack_of(3, uids, pointers, workspace);
}

static descriptor_t plan_of_kind(int kind, int first, int place) {
    descriptor_t tensors[] = {tensor_of('w', K, C, R, R, 0), tensor_of('x', N, C, SIZE, SIZE, 0), tensor_of('y', N, K, OUT, OUT, 0)};
    descriptor_t convolution = convolution_of(PADDING), operation = convolve(kind, first, convolution, tensors[0], tensors[1], tensors[2]);
    descriptor_t graph = graph_of(handle, &operation, 1), plan = plan_of(handle, graph, place);
    descriptor_t gone[] = {tensors[0], tensors[1], tensors[2], convolution, operation, graph};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) STATUS(cudnnBackendDestroyDescriptor(gone[i]), OK);
    return plan;
}

static void check_kind(int kind, int first, struct array *result, void (*on_host)(void)) {
    for (int place = 0; place < 2; place++) {
        descriptor_t plan = plan_of_kind(kind, first, place), pack = pack_of_three();
        EXPECT(workspace_of(plan) <= 4096);
        /* The first is answered, the others are not. */
        for (int time = 0; time < 3; time++) {
            on_host();
            STATUS(cudnnBackendExecute(handle, plan, pack), OK);
            EXPECT(is_as_on_host(result));
        }
        STATUS(cudnnBackendDestroyDescriptor(pack), OK);
        STATUS(cudnnBackendDestroyDescriptor(plan), OK);
    }
}

/* relu(scale * conv(x, w) + bias), with what lies between virtual, and the scale by value. */
static void check_fused(void) {
    descriptor_t convolved = tensor_of('c', N, K, OUT, OUT, IS_VIRTUAL), scaled = tensor_of('s', N, K, OUT, OUT, IS_VIRTUAL);
    descriptor_t sum = tensor_of('p', N, K, OUT, OUT, IS_VIRTUAL), result = tensor_of('y', N, K, OUT, OUT, 0);
    descriptor_t factor = tensor_of('f', 1, 1, 1, 1, BY_VALUE), addend = tensor_of('b', 1, K, 1, 1, 0);
    descriptor_t image = tensor_of('x', N, C, SIZE, SIZE, 0), weights = tensor_of('w', K, C, R, R, 0);
    descriptor_t operations[] = {
        convolve(FORWARD, 700, convolution_of(PADDING), weights, image, convolved), pointwise(MUL, convolved, factor, scaled),
        pointwise(ADD, scaled, addend, sum), pointwise(RELU, sum, NULL, result),
    };
    descriptor_t plan = plan_of(handle, graph_of(handle, operations, 4), 0);
    struct array bias = array_of(K);
    const int64_t uids[] = {'b', 'f', 'x', 'w', 'y'};
    for (int time = 0; time < 2; time++) {
        /* With nothing behind it that could be read. */
        char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        float *scale = (float *)(pages + 4096) - 1;
        EXPECT(pages != MAP_FAILED && mprotect(pages + 4096, 4096, PROT_NONE) == 0);
        *scale = time == 0 ? -0.5f : 2;
        void *pointers[] = {(void *)bias.device, scale, (void *)x.device, (void *)w.device, (void *)y.device};
        descriptor_t pack = pack_of(5, uids, pointers, workspace);
        forward_on_host();
        for (size_t i = 0; i < y.count; i++) {
            float value = y.host[i] * *scale + bias.host[i / (OUT * OUT) % K];
            y.host[i] = value > 0 ? value : 0;
        }
        STATUS(cudnnBackendExecute(handle, plan, pack), OK);
        *scale = 1000; /* It has been read. */
        EXPECT(is_as_on_host(&y));
    }
}

/* What a graph has recorded goes on without the program's descriptors. */
static void check_captured(void) {
    CUstream stream, other;
    CUgraph graph;
    CUgraphExec instance;
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cudnnSetStream(handle, stream), OK);
    STATUS(cudnnGetStream(handle, &other), OK);
    EXPECT(other == stream);
    descriptor_t plan = plan_of_kind(FORWARD, 700, 0), pack = pack_of_three();
    forward_on_host();
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    for (int i = 0; i < 4; i++) STATUS(cudnnBackendExecute(handle, plan, pack), OK);
    CHECK(cuStreamEndCapture(stream, &graph));
    CHECK(cuGraphInstantiateWithFlags(&instance, graph, 0));
    CHECK(cuGraphDestroy(graph));
    STATUS(cudnnBackendDestroyDescriptor(pack), OK);
    STATUS(cudnnBackendDestroyDescriptor(plan), OK);
    EXPECT(!is_as_on_host(&y));
    for (int time = 0; time < 2; time++) {
        forward_on_host();
        CHECK(cuGraphLaunch(instance, stream));
        CHECK(cuStreamSynchronize(stream));
        EXPECT(is_as_on_host(&y));
    }
    CHECK(cuGraphExecDestroy(instance));
    STATUS(cudnnSetStream(handle, NULL), OK);
    CHECK(cuStreamDestroy_v2(stream));
}

static void check_refused(void) {
    descriptor_t plan = plan_of_kind(FORWARD, 700, 0), pack = create(PACK), tensor = create(TENSOR);
    const int64_t uids[] = {'x', 'w', 'y'};
    float here[1];
    void *pointers[] = {here, (void *)w.device, (void *)y.device};
    char said[256];
    int64_t count;
    /* Of this side. */
    STATUS(cudnnBackendExecute(handle, plan, pack), NOT_FINALIZED);
    STATUS(cudnnBackendExecute(handle, pack, plan), DESCRIPTOR_TYPE);
    STATUS(cudnnBackendExecute(NULL, plan, pack_of_three()), NULL_POINTER);
    STATUS(cudnnBackendExecute(handle, plan, pack_of(3, uids, pointers, workspace)), BAD_PARAM);
    pointers[0] = NULL;
    STATUS(cudnnBackendExecute(handle, plan, pack_of(3, uids, pointers, workspace)), NULL_POINTER);
    STATUS(cudnnBackendSetAttribute(tensor, 906, VOID_PTR, 1, uids), ATTRIBUTE_TYPE);
    STATUS(cudnnBackendSetAttribute(tensor, 906, INT64, 1, NULL), NULL_POINTER);
    STATUS(cudnnBackendGetAttribute(tensor, 906, INT64, 1, &count, here), NOT_FINALIZED);
    STATUS(cudnnBackendSetAttribute(plan, 401, DESCRIPTOR, 1, &tensor), NOT_INITIALIZED);
    /* Of the server's library, which says so by the very call. */
    STATUS(cudnnBackendFinalize(tensor), BAD_PARAM);
    cudnnGetLastErrorString(said, sizeof said);
    EXPECT(strlen(said) > 0);
    int64_t dimension = 5;
    set_int(tensor, 906, 1);
    set(tensor, 902, FLOAT, 1, &dimension);
    EXPECT(cudnnBackendFinalize(tensor) != OK);
    pointers[0] = (void *)x.device;
    EXPECT(cudnnBackendExecute(handle, plan, pack_of(3, uids, pointers, 0)) != OK);
    EXPECT(cudnnBackendExecute(handle, plan, pack_of(2, uids, pointers, workspace)) != OK);
    /* And nothing else is affected. */
    forward_on_host();
    STATUS(cudnnBackendExecute(handle, plan, pack_of(3, uids, pointers, workspace)), OK);
    EXPECT(is_as_on_host(&y));
    /* Nor once the plan's runs are not answered any more. */
    pointers[0] = here;
    STATUS(cudnnBackendExecute(handle, plan, pack_of(3, uids, pointers, workspace)), BAD_PARAM);
    pointers[0] = (void *)x.device;
    forward_on_host();
    STATUS(cudnnBackendExecute(handle, plan, pack_of(3, uids, pointers, workspace)), OK);
    EXPECT(is_as_on_host(&y));
}

int main(void) {
    start();
    STATUS(cudnnCreate(&handle), OK);
    EXPECT(cudnnGetVersion() == 92400 && cudnnGetCudartVersion() == 13000);
    x = array_of(N * C * SIZE * SIZE), w = array_of(K * C * R * R), y = array_of(N * K * OUT * OUT);
    CHECK(cuMemAlloc_v2(&workspace, 4096));
    check_kind(FORWARD, 700, &y, forward_on_host);
    check_kind(BACKWARD_DATA, 706, &x, backward_data_on_host);
    x = array_of(x.count);
    check_kind(BACKWARD_FILTER, 712, &w, backward_filter_on_host);
    w = array_of(w.count);
    check_fused();
    check_captured();
    check_refused();
    STATUS(cudnnDestroy(handle), OK);
    STATUS(cudnnDestroy(NULL), NULL_POINTER);
    printf("ok\n");
    return 0;
}
