/*
 * Batch norms by the functions of the table: training forward and backward, and inference, with descriptors that are made and destroyed for each call, as programs do.
 * argv[1] is how often the training is done in a row; then its result is looked at, in a stream and from a graph.
 */
#include "dnn.h"

#include "../../../client/interposer/driver/cuda-graph-api.h"

int cudnnCreateTensorDescriptor(descriptor_t *tensor);
int cudnnDestroyTensorDescriptor(descriptor_t tensor);
int cudnnSetTensorNdDescriptor(descriptor_t tensor, int type, int count, const int *dimensions, const int *strides);
int cudnnGetTensorNdDescriptor(descriptor_t tensor, int wanted, int *type, int *count, int *dimensions, int *strides);
int cudnnGetTensorSizeInBytes(descriptor_t tensor, size_t *bytes);
int cudnnDeriveBNTensorDescriptor(descriptor_t derived, descriptor_t x, int mode);
int cudnnCreateActivationDescriptor(descriptor_t *activation);
int cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(cudnnHandle_t handle, int mode, int operations, descriptor_t x, descriptor_t z, descriptor_t y,
                                                             descriptor_t parameters, descriptor_t activation, size_t *bytes);
int cudnnGetBatchNormalizationBackwardExWorkspaceSize(cudnnHandle_t handle, int mode, int operations, descriptor_t x, descriptor_t y, descriptor_t dy,
                                                      descriptor_t dz, descriptor_t dx, descriptor_t parameters, descriptor_t activation, size_t *bytes);
int cudnnGetBatchNormalizationTrainingExReserveSpaceSize(cudnnHandle_t handle, int mode, int operations, descriptor_t activation, descriptor_t x, size_t *bytes);
int cudnnBatchNormalizationForwardInference(cudnnHandle_t handle, int mode, const void *alpha, const void *beta, descriptor_t x, CUdeviceptr x_at, descriptor_t y,
                                            CUdeviceptr y_at, descriptor_t parameters, CUdeviceptr scale, CUdeviceptr bias, CUdeviceptr mean,
                                            CUdeviceptr variance, double epsilon);
int cudnnBatchNormalizationForwardTrainingEx(cudnnHandle_t handle, int mode, int operations, const void *alpha, const void *beta, descriptor_t x,
                                             CUdeviceptr x_at, descriptor_t z, CUdeviceptr z_at, descriptor_t y, CUdeviceptr y_at, descriptor_t parameters,
                                             CUdeviceptr scale, CUdeviceptr bias, double factor, CUdeviceptr running_mean, CUdeviceptr running_variance,
                                             double epsilon, CUdeviceptr mean, CUdeviceptr inverse, descriptor_t activation, CUdeviceptr workspace,
                                             size_t workspace_bytes, CUdeviceptr reserve, size_t reserve_bytes);
int cudnnBatchNormalizationBackwardEx(cudnnHandle_t handle, int mode, int operations, const void *alpha, const void *beta, const void *alpha_parameters,
                                      const void *beta_parameters, descriptor_t x, CUdeviceptr x_at, descriptor_t y, CUdeviceptr y_at, descriptor_t dy,
                                      CUdeviceptr dy_at, descriptor_t dz, CUdeviceptr dz_at, descriptor_t dx, CUdeviceptr dx_at, descriptor_t parameters,
                                      CUdeviceptr scale, CUdeviceptr bias, CUdeviceptr dscale, CUdeviceptr dbias, double epsilon, CUdeviceptr mean,
                                      CUdeviceptr inverse, descriptor_t activation, CUdeviceptr workspace, size_t workspace_bytes, CUdeviceptr reserve,
                                      size_t reserve_bytes);

enum { F32 = 0, SPATIAL = 1, N = 3, C = 4, SIZE = 5, PER_CHANNEL = N * SIZE * SIZE };
#define EPSILON 1e-5

static cudnnHandle_t handle;
static struct array x, y, dx, dy, scale, bias, dscale, dbias, mean, inverse, running_mean, running_variance;
static CUdeviceptr workspace, reserve;
static const float one = 1, zero = 0;

static descriptor_t tensor_of(int n, int c, int h, int w) {
    descriptor_t tensor;
    const int dimensions[] = {n, c, h, w}, strides[] = {c * h * w, h * w, w, 1};
    STATUS(cudnnCreateTensorDescriptor(&tensor), OK);
    STATUS(cudnnSetTensorNdDescriptor(tensor, F32, 4, dimensions, strides), OK);
    return tensor;
}

static void drop(descriptor_t image, descriptor_t parameters) {
    STATUS(cudnnDestroyTensorDescriptor(image), OK);
    STATUS(cudnnDestroyTensorDescriptor(parameters), OK);
}

static void forward(double factor) {
    descriptor_t image = tensor_of(N, C, SIZE, SIZE), parameters = tensor_of(1, C, 1, 1);
    size_t workspace_bytes, reserve_bytes;
    STATUS(cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(handle, SPATIAL, 0, image, NULL, image, parameters, NULL, &workspace_bytes), OK);
    STATUS(cudnnGetBatchNormalizationTrainingExReserveSpaceSize(handle, SPATIAL, 0, NULL, image, &reserve_bytes), OK);
    EXPECT(workspace_bytes > 0 && workspace_bytes <= 65536 && reserve_bytes > 0 && reserve_bytes <= 65536);
    STATUS(cudnnBatchNormalizationForwardTrainingEx(handle, SPATIAL, 0, &one, &zero, image, x.device, NULL, 0, image, y.device, parameters, scale.device,
                                                    bias.device, factor, running_mean.device, running_variance.device, EPSILON, mean.device,
                                                    inverse.device, NULL, workspace, workspace_bytes, reserve, reserve_bytes),
           OK);
    drop(image, parameters);
}

static void backward(void) {
    descriptor_t image = tensor_of(N, C, SIZE, SIZE), parameters = tensor_of(1, C, 1, 1);
    size_t workspace_bytes, reserve_bytes;
    STATUS(cudnnGetBatchNormalizationBackwardExWorkspaceSize(handle, SPATIAL, 0, image, image, image, NULL, image, parameters, NULL, &workspace_bytes), OK);
    STATUS(cudnnGetBatchNormalizationTrainingExReserveSpaceSize(handle, SPATIAL, 0, NULL, image, &reserve_bytes), OK);
    STATUS(cudnnBatchNormalizationBackwardEx(handle, SPATIAL, 0, &one, &zero, &one, &zero, image, x.device, NULL, 0, image, dy.device, NULL, 0, image,
                                             dx.device, parameters, scale.device, bias.device, dscale.device, dbias.device, EPSILON, mean.device,
                                             inverse.device, NULL, workspace, workspace_bytes, reserve, reserve_bytes),
           OK);
    drop(image, parameters);
}

static size_t place(int channel, int i) {
    return (size_t)((i / (SIZE * SIZE) * C + channel) * SIZE * SIZE + i % (SIZE * SIZE));
}

/* The same on the host, with `times` updates of what is kept of mean and variance. */
static void train_on_host(int times, double factor) {
    for (int c = 0; c < C; c++) {
        double sum = 0, squares = 0, by_bias = 0, by_scale = 0;
        for (int i = 0; i < PER_CHANNEL; i++) sum += (double)x.host[place(c, i)];
        for (int i = 0; i < PER_CHANNEL; i++) squares += pow((double)x.host[place(c, i)] - sum / PER_CHANNEL, 2);
        double middle = sum / PER_CHANNEL, variance = squares / PER_CHANNEL, divisor = 1 / sqrt(variance + EPSILON);
        for (int i = 0; i < PER_CHANNEL; i++) {
            double normal = ((double)x.host[place(c, i)] - middle) * divisor;
            y.host[place(c, i)] = (float)(normal * (double)scale.host[c] + (double)bias.host[c]);
            by_bias += (double)dy.host[place(c, i)];
            by_scale += (double)dy.host[place(c, i)] * normal;
        }
        for (int i = 0; i < PER_CHANNEL; i++) {
            double normal = ((double)x.host[place(c, i)] - middle) * divisor;
            dx.host[place(c, i)] = (float)((double)scale.host[c] * divisor * ((double)dy.host[place(c, i)] - (by_bias + normal * by_scale) / PER_CHANNEL));
        }
        dbias.host[c] = (float)by_bias, dscale.host[c] = (float)by_scale, mean.host[c] = (float)middle, inverse.host[c] = (float)divisor;
        for (int i = 0; i < times; i++) {
            running_mean.host[c] = (float)((1 - factor) * (double)running_mean.host[c] + factor * middle);
            running_variance.host[c] = (float)((1 - factor) * (double)running_variance.host[c] + factor * variance * PER_CHANNEL / (PER_CHANNEL - 1));
        }
    }
}

static void check_trained(void) {
    const struct array *const all[] = {&y, &dx, &dscale, &dbias, &mean, &inverse, &running_mean, &running_variance};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) EXPECT(is_as_on_host(all[i]));
}

static void check_inference(void) {
    descriptor_t image = tensor_of(N, C, SIZE, SIZE), parameters;
    STATUS(cudnnCreateTensorDescriptor(&parameters), OK);
    STATUS(cudnnDeriveBNTensorDescriptor(parameters, image, SPATIAL), OK);
    for (int c = 0; c < C; c++)
        for (int i = 0; i < PER_CHANNEL; i++)
            y.host[place(c, i)] = (float)(((double)x.host[place(c, i)] - (double)mean.host[c]) / sqrt((double)running_variance.host[c] + EPSILON) *
                                              (double)scale.host[c] + (double)bias.host[c]);
    STATUS(cudnnBatchNormalizationForwardInference(handle, SPATIAL, &one, &zero, image, x.device, image, y.device, parameters, scale.device, bias.device,
                                                   mean.device, running_variance.device, EPSILON),
           OK);
    EXPECT(is_as_on_host(&y));
    drop(image, parameters);
}

/* What a graph has recorded goes on with the descriptors as they were, which the program has since set otherwise, and destroyed. */
static void check_captured(void) {
    CUstream stream;
    CUgraph graph;
    CUgraphExec instance;
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cudnnSetStream(handle, stream), OK);
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    for (int i = 0; i < 3; i++) forward(0.25), backward();
    CHECK(cuStreamEndCapture(stream, &graph));
    CHECK(cuGraphInstantiateWithFlags(&instance, graph, 0));
    CHECK(cuGraphDestroy(graph));
    for (size_t i = 0; i < x.count; i++) x.host[i] = next_number();
    CHECK(cuMemcpyHtoD_v2(x.device, x.host, x.count * sizeof(float)));
    train_on_host(6, 0.25);
    CHECK(cuGraphLaunch(instance, stream));
    CHECK(cuGraphLaunch(instance, stream));
    CHECK(cuStreamSynchronize(stream));
    check_trained();
    CHECK(cuGraphExecDestroy(instance));
    STATUS(cudnnSetStream(handle, NULL), OK);
    CHECK(cuStreamDestroy_v2(stream));
}

static void check_refused(void) {
    descriptor_t image = tensor_of(N, C, SIZE, SIZE), parameters = tensor_of(1, C, 1, 1), wrong = tensor_of(1, C + 1, 1, 1), activation;
    int type = -1, count = 0, dimensions[5] = {0}, strides[5] = {0};
    size_t bytes = 0;
    STATUS(cudnnGetTensorNdDescriptor(image, 4, &type, &count, dimensions, strides), OK);
    EXPECT(type == F32 && count == 4 && dimensions[0] == N && dimensions[3] == SIZE && strides[0] == C * SIZE * SIZE && strides[3] == 1);
    STATUS(cudnnGetTensorSizeInBytes(image, &bytes), OK);
    EXPECT(bytes == x.count * sizeof(float));
    /* Set anew it is another, also for questions that were asked before. */
    dimensions[0] = 2 * N;
    STATUS(cudnnSetTensorNdDescriptor(image, F32, 4, dimensions, strides), OK);
    STATUS(cudnnGetTensorSizeInBytes(image, &bytes), OK);
    EXPECT(bytes == 2 * x.count * sizeof(float));
    dimensions[0] = N;
    STATUS(cudnnSetTensorNdDescriptor(image, F32, 4, dimensions, strides), OK);
    STATUS(cudnnSetTensorNdDescriptor(image, F32, 4, NULL, strides), NULL_POINTER);
    STATUS(cudnnSetTensorNdDescriptor(NULL, F32, 4, dimensions, strides), NULL_POINTER);
    STATUS(cudnnCreateActivationDescriptor(&activation), OK);
    STATUS(cudnnSetTensorNdDescriptor(activation, F32, 4, dimensions, strides), BAD_PARAM);
    STATUS(cudnnGetTensorSizeInBytes(activation, &bytes), BAD_PARAM);
    /* Of the server's library, by the very call. */
    STATUS(cudnnBatchNormalizationForwardInference(handle, SPATIAL, &one, &zero, image, x.device, image, y.device, wrong, scale.device, bias.device,
                                                   mean.device, running_variance.device, EPSILON),
           BAD_PARAM);
    /* Host memory, and no memory. */
    STATUS(cudnnBatchNormalizationForwardInference(handle, SPATIAL, &one, &zero, image, (CUdeviceptr)x.host, image, y.device, parameters, scale.device,
                                                   bias.device, mean.device, running_variance.device, EPSILON),
           BAD_PARAM);
    STATUS(cudnnBatchNormalizationForwardInference(handle, SPATIAL, &one, &zero, image, 0, image, y.device, parameters, scale.device, bias.device,
                                                   mean.device, running_variance.device, EPSILON),
           NULL_POINTER);
    STATUS(cudnnBatchNormalizationForwardInference(handle, SPATIAL, NULL, &zero, image, x.device, image, y.device, parameters, scale.device, bias.device,
                                                   mean.device, running_variance.device, EPSILON),
           NULL_POINTER);
    drop(image, parameters);
    STATUS(cudnnDestroyTensorDescriptor(wrong), OK);
    check_inference();
}

int main(int count, char **arguments) {
    int times = count > 1 ? atoi(arguments[1]) : 1;
    struct array *images[] = {&x, &y, &dx, &dy}, *others[] = {&scale, &bias, &dscale, &dbias, &mean, &inverse, &running_mean, &running_variance};
    start();
    STATUS(cudnnCreate(&handle), OK);
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) *images[i] = array_of(N * C * SIZE * SIZE);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) *others[i] = array_of(C);
    CHECK(cuMemAlloc_v2(&workspace, 65536));
    CHECK(cuMemAlloc_v2(&reserve, 65536));
    train_on_host(times, 0.125);
    for (int i = 0; i < times; i++) forward(0.125), backward();
    check_trained();
    check_captured();
    check_inference();
    check_refused();
    printf("ok\n");
    return 0;
}
