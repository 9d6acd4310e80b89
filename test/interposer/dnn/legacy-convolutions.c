/*
 * Convolutions by functions of their own, as programs older than graphs make them: algorithms that are asked for and tried out, workspaces, forward and both ways
 * back, with a bias and an activation, and pooling behind it. All in a stream, and once more from a graph.
 */
#include "dnn.h"

#include "../../../client/interposer/driver/cuda-graph-api.h"

struct perf {
    int algorithm, status;
    float milliseconds;
    size_t workspace;
    int determinism, math, reserved[3];
};

int cudnnCreateTensorDescriptor(descriptor_t *tensor);
int cudnnDestroyTensorDescriptor(descriptor_t tensor);
int cudnnSetTensor4dDescriptor(descriptor_t tensor, int format, int type, int n, int c, int h, int w);
int cudnnCreateFilterDescriptor(descriptor_t *filter);
int cudnnDestroyFilterDescriptor(descriptor_t filter);
int cudnnSetFilterNdDescriptor(descriptor_t filter, int type, int format, int count, const int *dimensions);
int cudnnGetFilterNdDescriptor(descriptor_t filter, int wanted, int *type, int *format, int *count, int *dimensions);
int cudnnCreateConvolutionDescriptor(descriptor_t *convolution);
int cudnnDestroyConvolutionDescriptor(descriptor_t convolution);
int cudnnSetConvolutionNdDescriptor(descriptor_t convolution, int count, const int *padding, const int *stride, const int *dilation, int mode, int type);
int cudnnSetConvolutionGroupCount(descriptor_t convolution, int groups);
int cudnnSetConvolutionMathType(descriptor_t convolution, int math);
int cudnnGetConvolutionGroupCount(descriptor_t convolution, int *groups);
int cudnnGetConvolutionNdForwardOutputDim(descriptor_t convolution, descriptor_t x, descriptor_t w, int count, int *dimensions);
int cudnnCreateActivationDescriptor(descriptor_t *activation);
int cudnnSetActivationDescriptor(descriptor_t activation, int mode, int nan, double coefficient);
int cudnnCreatePoolingDescriptor(descriptor_t *pooling);
int cudnnSetPooling2dDescriptor(descriptor_t pooling, int mode, int nan, int height, int width, int pad_h, int pad_w, int stride_h, int stride_w);
int cudnnGetPooling2dForwardOutputDim(descriptor_t pooling, descriptor_t x, int *n, int *c, int *h, int *w);
int cudnnPoolingForward(cudnnHandle_t handle, descriptor_t pooling, const void *alpha, descriptor_t x, CUdeviceptr x_at, const void *beta, descriptor_t y, CUdeviceptr y_at);
int cudnnPoolingBackward(cudnnHandle_t handle, descriptor_t pooling, const void *alpha, descriptor_t y, CUdeviceptr y_at, descriptor_t dy, CUdeviceptr dy_at, descriptor_t x,
                         CUdeviceptr x_at, const void *beta, descriptor_t dx, CUdeviceptr dx_at);
int cudnnGetConvolutionForwardAlgorithmMaxCount(cudnnHandle_t handle, int *count);
int cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t handle, descriptor_t x, descriptor_t w, descriptor_t convolution, descriptor_t y, int wanted, int *found, struct perf *perfs);
int cudnnFindConvolutionForwardAlgorithmEx(cudnnHandle_t handle, descriptor_t x, CUdeviceptr x_at, descriptor_t w, CUdeviceptr w_at, descriptor_t convolution, descriptor_t y,
                                           CUdeviceptr y_at, int wanted, int *found, struct perf *perfs, CUdeviceptr workspace, size_t bytes);
int cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle, descriptor_t x, descriptor_t w, descriptor_t convolution, descriptor_t y, int algorithm, size_t *bytes);
int cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, descriptor_t x, CUdeviceptr x_at, descriptor_t w, CUdeviceptr w_at, descriptor_t convolution, int algorithm,
                            CUdeviceptr workspace, size_t bytes, const void *beta, descriptor_t y, CUdeviceptr y_at);
int cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t handle, descriptor_t w, descriptor_t dy, descriptor_t convolution, descriptor_t dx, int wanted, int *found,
                                                struct perf *perfs);
int cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha, descriptor_t w, CUdeviceptr w_at, descriptor_t dy, CUdeviceptr dy_at, descriptor_t convolution, int algorithm,
                                 CUdeviceptr workspace, size_t bytes, const void *beta, descriptor_t dx, CUdeviceptr dx_at);
int cudnnFindConvolutionBackwardFilterAlgorithmEx(cudnnHandle_t handle, descriptor_t x, CUdeviceptr x_at, descriptor_t dy, CUdeviceptr dy_at, descriptor_t convolution, descriptor_t dw,
                                                  CUdeviceptr dw_at, int wanted, int *found, struct perf *perfs, CUdeviceptr workspace, size_t bytes);
int cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha, descriptor_t x, CUdeviceptr x_at, descriptor_t dy, CUdeviceptr dy_at, descriptor_t convolution,
                                   int algorithm, CUdeviceptr workspace, size_t bytes, const void *beta, descriptor_t dw, CUdeviceptr dw_at);
int cudnnConvolutionBackwardBias(cudnnHandle_t handle, const void *alpha, descriptor_t dy, CUdeviceptr dy_at, const void *beta, descriptor_t db, CUdeviceptr db_at);
int cudnnConvolutionBiasActivationForward(cudnnHandle_t handle, const void *alpha, descriptor_t x, CUdeviceptr x_at, descriptor_t w, CUdeviceptr w_at, descriptor_t convolution,
                                          int algorithm, CUdeviceptr workspace, size_t bytes, const void *alpha2, descriptor_t z, CUdeviceptr z_at, descriptor_t bias,
                                          CUdeviceptr bias_at, descriptor_t activation, descriptor_t y, CUdeviceptr y_at);
int cudnnFindConvolutionForwardAlgorithm(void);

enum { F32 = 0, ROWS = 0, CORRELATION = 1, MATH = 1, N = 2, C = 4, GROUPS = 2, K = 6, SIZE = 6, WINDOW = 3, PAD = 1, STRIDE = 2, OUT = 3, POOLED = 2 };

static cudnnHandle_t handle;
static struct array x, w, y, dx, dw, dy, bias, dbias, pooled, back;
static CUdeviceptr workspace;
static const float one = 1, zero = 0, half = 0.5f;

static descriptor_t tensor_of(int n, int c, int h, int width) {
    descriptor_t tensor;
    STATUS(cudnnCreateTensorDescriptor(&tensor), OK);
    STATUS(cudnnSetTensor4dDescriptor(tensor, ROWS, F32, n, c, h, width), OK);
    return tensor;
}

static descriptor_t filter_of(int per_group) {
    descriptor_t filter;
    const int dimensions[] = {K, per_group, WINDOW, WINDOW};
    int type, format, count, told[4];
    STATUS(cudnnCreateFilterDescriptor(&filter), OK);
    STATUS(cudnnSetFilterNdDescriptor(filter, F32, ROWS, 4, dimensions), OK);
    STATUS(cudnnGetFilterNdDescriptor(filter, 4, &type, &format, &count, told), OK);
    EXPECT(type == F32 && format == ROWS && count == 4 && memcmp(told, dimensions, sizeof told) == 0);
    return filter;
}

static descriptor_t convolution_of(void) {
    descriptor_t convolution;
    const int padding[] = {PAD, PAD}, stride[] = {STRIDE, STRIDE}, dilation[] = {1, 1};
    int groups = 0;
    STATUS(cudnnCreateConvolutionDescriptor(&convolution), OK);
    STATUS(cudnnSetConvolutionNdDescriptor(convolution, 2, padding, stride, dilation, CORRELATION, F32), OK);
    STATUS(cudnnSetConvolutionGroupCount(convolution, GROUPS), OK);
    STATUS(cudnnSetConvolutionMathType(convolution, MATH), OK);
    STATUS(cudnnGetConvolutionGroupCount(convolution, &groups), OK);
    EXPECT(groups == GROUPS);
    return convolution;
}

/* What a program has for each of its convolutions. */
struct parts {
    descriptor_t x, w, y, bias, convolution;
};
static struct parts parts_of(void) {
    return (struct parts){tensor_of(N, C, SIZE, SIZE), filter_of(C / GROUPS), tensor_of(N, K, OUT, OUT), tensor_of(1, K, 1, 1), convolution_of()};
}
static void drop(const struct parts *parts) {
    STATUS(cudnnDestroyTensorDescriptor(parts->x), OK);
    STATUS(cudnnDestroyFilterDescriptor(parts->w), OK);
    STATUS(cudnnDestroyTensorDescriptor(parts->y), OK);
    STATUS(cudnnDestroyTensorDescriptor(parts->bias), OK);
    STATUS(cudnnDestroyConvolutionDescriptor(parts->convolution), OK);
}

/* All products of the convolution: forward where `made` is y, else what each is in dx and dw. */
static void products(void (*each)(size_t in_x, size_t in_w, size_t in_y)) {
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++)
            for (int at = 0; at < OUT * OUT; at++)
                for (int c = 0; c < C / GROUPS; c++)
                    for (int in = 0; in < WINDOW * WINDOW; in++) {
                        int row = at / OUT * STRIDE - PAD + in / WINDOW, column = at % OUT * STRIDE - PAD + in % WINDOW, channel = k / (K / GROUPS) * (C / GROUPS) + c;
                        if (row < 0 || column < 0 || row >= SIZE || column >= SIZE) continue;
                        each((size_t)(((n * C + channel) * SIZE + row) * SIZE + column), (size_t)((k * (C / GROUPS) + c) * WINDOW * WINDOW + in), (size_t)((n * K + k) * OUT * OUT + at));
                    }
}
static void forward(size_t in_x, size_t in_w, size_t in_y) {
    y.host[in_y] += x.host[in_x] * w.host[in_w];
}
static void back_to_x(size_t in_x, size_t in_w, size_t in_y) {
    dx.host[in_x] += dy.host[in_y] * w.host[in_w];
}
static void back_to_w(size_t in_x, size_t in_w, size_t in_y) {
    dw.host[in_w] += dy.host[in_y] * x.host[in_x];
}
static void expect(struct array *made, void (*each)(size_t, size_t, size_t)) {
    memset(made->host, 0, made->count * sizeof *made->host);
    products(each);
    EXPECT(is_as_on_host(made));
}

static void forget(const struct array *array, CUstream stream) {
    CHECK(cuMemsetD32Async(array->device, 0x7fc00000, array->count, stream));
}

/* Forward and back, by the algorithms that are asked for. */
static void compute(CUstream stream) {
    struct parts parts = parts_of();
    struct perf perfs[4];
    int found = 0, dimensions[4], most = 0;
    size_t bytes = 0;
    STATUS(cudnnGetConvolutionNdForwardOutputDim(parts.convolution, parts.x, parts.w, 4, dimensions), OK);
    EXPECT(dimensions[0] == N && dimensions[1] == K && dimensions[2] == OUT && dimensions[3] == OUT);
    STATUS(cudnnGetConvolutionForwardAlgorithmMaxCount(handle, &most), OK);
    EXPECT(most > 0);
    STATUS(cudnnGetConvolutionForwardAlgorithm_v7(handle, parts.x, parts.w, parts.convolution, parts.y, 4, &found, perfs), OK);
    EXPECT(found > 0 && found <= 4 && perfs[0].status == OK && perfs[0].math == MATH);
    STATUS(cudnnGetConvolutionForwardWorkspaceSize(handle, parts.x, parts.w, parts.convolution, parts.y, perfs[0].algorithm, &bytes), OK);
    EXPECT(bytes == perfs[0].workspace && bytes > 0 && bytes <= 65536);
    forget(&y, stream);
    STATUS(cudnnConvolutionForward(handle, &one, parts.x, x.device, parts.w, w.device, parts.convolution, perfs[0].algorithm, workspace, bytes, &zero, parts.y, y.device), OK);
    STATUS(cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, parts.w, parts.y, parts.convolution, parts.x, 1, &found, perfs), OK);
    EXPECT(found == 1);
    forget(&dx, stream);
    STATUS(cudnnConvolutionBackwardData(handle, &one, parts.w, w.device, parts.y, dy.device, parts.convolution, perfs[0].algorithm, workspace, perfs[0].workspace, &zero, parts.x,
                                        dx.device),
           OK);
    forget(&dw, stream);
    STATUS(cudnnConvolutionBackwardFilter(handle, &one, parts.x, x.device, parts.y, dy.device, parts.convolution, 0, 0, 0, &zero, parts.w, dw.device), OK);
    forget(&dbias, stream);
    STATUS(cudnnConvolutionBackwardBias(handle, &one, parts.y, dy.device, &zero, parts.bias, dbias.device), OK);
    drop(&parts);
}

static void check(CUstream stream) {
    CHECK(cuStreamSynchronize(stream));
    expect(&y, forward);
    expect(&dx, back_to_x);
    expect(&dw, back_to_w);
    memset(dbias.host, 0, sizeof(float) * K);
    for (size_t i = 0; i < dy.count; i++) dbias.host[i / (OUT * OUT) % K] += dy.host[i];
    EXPECT(is_as_on_host(&dbias));
}

/* Trying algorithms out is work of the stream: its results lie behind what came before, and before what comes then. */
static void check_tried(CUstream stream) {
    struct parts parts = parts_of();
    struct perf perfs[4];
    int found = 0;
    forget(&y, stream);
    STATUS(cudnnFindConvolutionForwardAlgorithmEx(handle, parts.x, x.device, parts.w, w.device, parts.convolution, parts.y, y.device, 4, &found, perfs, workspace, 65536), OK);
    EXPECT(found == 2 && perfs[0].workspace > 0 && perfs[1].workspace == 0 && perfs[0].milliseconds < perfs[1].milliseconds);
    STATUS(cudnnFindConvolutionForwardAlgorithmEx(handle, parts.x, x.device, parts.w, w.device, parts.convolution, parts.y, y.device, 4, &found, perfs, 0, 0), OK);
    EXPECT(found == 1 && perfs[0].workspace == 0);
    forget(&dw, stream);
    STATUS(cudnnFindConvolutionBackwardFilterAlgorithmEx(handle, parts.x, x.device, parts.y, dy.device, parts.convolution, parts.w, dw.device, 1, &found, perfs, workspace, 65536), OK);
    EXPECT(found == 1);
    check(stream);
    STATUS(cudnnFindConvolutionForwardAlgorithm(), NOT_SUPPORTED);
    /* In its stream and in no other: one that is gone has none. */
    CUstream gone;
    CHECK(cuStreamCreate(&gone, 1));
    CHECK(cuStreamDestroy_v2(gone));
    STATUS(cudnnSetStream(handle, gone), OK);
    STATUS(cudnnFindConvolutionForwardAlgorithmEx(handle, parts.x, x.device, parts.w, w.device, parts.convolution, parts.y, y.device, 4, &found, perfs, workspace, 65536), BAD_PARAM);
    STATUS(cudnnSetStream(handle, stream), OK);
    drop(&parts);
}

static void check_captured(CUstream stream) {
    struct parts parts = parts_of();
    CUgraph graph;
    CUgraphExec instance;
    struct perf perfs;
    int found;
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    compute(stream);
    STATUS(cudnnFindConvolutionForwardAlgorithmEx(handle, parts.x, x.device, parts.w, w.device, parts.convolution, parts.y, y.device, 1, &found, &perfs, workspace, 65536),
           NOT_SUPPORTED);
    CHECK(cuStreamEndCapture(stream, &graph));
    CHECK(cuGraphInstantiateWithFlags(&instance, graph, 0));
    for (size_t i = 0; i < x.count; i++) x.host[i] = next_number();
    CHECK(cuMemcpyHtoD_v2(x.device, x.host, x.count * sizeof(float)));
    for (int time = 0; time < 2; time++) CHECK(cuGraphLaunch(instance, stream));
    check(stream);
    CHECK(cuGraphExecDestroy(instance));
    CHECK(cuGraphDestroy(graph));
    drop(&parts);
}

/* y = relu(w * x + y / 2 + bias), as a program has it that quantizes, and the largest of each 2 by 2 of that. */
static void check_more(void) {
    struct parts parts = parts_of();
    descriptor_t activation, pooling, small = tensor_of(N, K, POOLED, POOLED);
    int n, c, h, width;
    STATUS(cudnnCreateActivationDescriptor(&activation), OK);
    STATUS(cudnnSetActivationDescriptor(activation, 1, 0, 0), OK);
    memset(y.host, 0, y.count * sizeof(float));
    products(forward);
    CHECK(cuMemcpyHtoD_v2(y.device, dy.host, dy.count * sizeof(float)));
    STATUS(cudnnConvolutionBiasActivationForward(handle, &one, parts.x, x.device, parts.w, w.device, parts.convolution, 0, 0, 0, &half, parts.y, y.device, parts.bias, bias.device,
                                                 activation, parts.y, y.device),
           OK);
    for (size_t i = 0; i < y.count; i++) y.host[i] = fmaxf(0, y.host[i] + 0.5f * dy.host[i] + bias.host[i / (OUT * OUT) % K]);
    EXPECT(is_as_on_host(&y));
    STATUS(cudnnCreatePoolingDescriptor(&pooling), OK);
    STATUS(cudnnSetPooling2dDescriptor(pooling, 0, 0, 2, 2, 1, 1, 2, 2), OK);
    STATUS(cudnnGetPooling2dForwardOutputDim(pooling, parts.y, &n, &c, &h, &width), OK);
    EXPECT(n == N && c == K && h == POOLED && width == POOLED);
    STATUS(cudnnPoolingForward(handle, pooling, &one, parts.y, y.device, &zero, small, pooled.device), OK);
    STATUS(cudnnPoolingBackward(handle, pooling, &one, small, pooled.device, small, pooled.device, parts.y, y.device, &zero, parts.y, back.device), OK);
    memset(back.host, 0, back.count * sizeof(float));
    for (size_t i = 0; i < pooled.count; i++) {
        size_t image = i / (POOLED * POOLED), most = SIZE_MAX;
        for (int in = 0; in < 4; in++) {
            int row = (int)(i / POOLED % POOLED) * 2 - 1 + in / 2, column = (int)(i % POOLED) * 2 - 1 + in % 2;
            size_t place = image * OUT * OUT + (size_t)(row * OUT + column);
            if (row >= 0 && column >= 0 && row < OUT && column < OUT && (most == SIZE_MAX || y.host[place] > y.host[most])) most = place;
        }
        pooled.host[i] = y.host[most];
        back.host[most] += pooled.host[i];
    }
    EXPECT(is_as_on_host(&pooled) && is_as_on_host(&back));
    drop(&parts);
}

/* By their own calls, and nothing else is affected. */
static void check_refused(void) {
    struct parts parts = parts_of();
    descriptor_t wrong = filter_of(C);
    size_t bytes;
    STATUS(cudnnConvolutionForward(handle, &one, parts.x, x.device, wrong, w.device, parts.convolution, 0, 0, 0, &zero, parts.y, y.device), BAD_PARAM);
    STATUS(cudnnConvolutionForward(handle, &one, parts.x, x.device, parts.w, (CUdeviceptr)w.host, parts.convolution, 0, 0, 0, &zero, parts.y, y.device), BAD_PARAM);
    STATUS(cudnnConvolutionForward(handle, &one, parts.x, x.device, parts.w, 0, parts.convolution, 0, 0, 0, &zero, parts.y, y.device), NULL_POINTER);
    STATUS(cudnnConvolutionForward(handle, &one, parts.x, x.device, parts.x, w.device, parts.convolution, 0, 0, 0, &zero, parts.y, y.device), BAD_PARAM);
    STATUS(cudnnConvolutionForward(handle, &one, parts.x, x.device, parts.w, w.device, parts.convolution, 7, 0, 0, &zero, parts.y, y.device), NOT_SUPPORTED);
    STATUS(cudnnGetConvolutionForwardWorkspaceSize(handle, parts.x, parts.w, parts.convolution, parts.y, 7, &bytes), NOT_SUPPORTED);
    STATUS(cudnnDestroyFilterDescriptor(wrong), OK);
    drop(&parts);
}

int main(void) {
    CUstream stream;
    start();
    STATUS(cudnnCreate(&handle), OK);
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cudnnSetStream(handle, stream), OK);
    x = array_of(N * C * SIZE * SIZE), dx = array_of(x.count), w = array_of(K * C / GROUPS * WINDOW * WINDOW), dw = array_of(w.count);
    y = array_of(N * K * OUT * OUT), dy = array_of(y.count), back = array_of(y.count), bias = array_of(K), dbias = array_of(K), pooled = array_of(N * K * POOLED * POOLED);
    CHECK(cuMemAlloc_v2(&workspace, 65536));
    for (int time = 0; time < 2; time++) compute(stream);
    check(stream);
    check_tried(stream);
    check_captured(stream);
    check_refused();
    STATUS(cudnnSetStream(handle, NULL), OK);
    check_more();
    printf("ok\n");
    return 0;
}
