/*
 * The loss of connectionist temporal classification, with labels in the host's memory and in the device's, by the calls that PyTorch makes for it. What it is follows
 * here from all ways there are, one by one, and its gradients from differences.
 */
#include "dnn.h"

int cudnnCreateTensorDescriptor(descriptor_t *tensor);
int cudnnSetTensorNdDescriptor(descriptor_t tensor, int type, int count, const int *dimensions, const int *strides);
int cudnnCreateCTCLossDescriptor(descriptor_t *loss);
int cudnnSetCTCLossDescriptorEx(descriptor_t loss, int type, int normal, int nan);
int cudnnSetCTCLossDescriptor_v9(descriptor_t loss, int type, int normal, int gradient, int longest);
int cudnnGetCTCLossDescriptor_v9(descriptor_t loss, int *type, int *normal, int *gradient, int *longest);
int cudnnDestroyCTCLossDescriptor(descriptor_t loss);
int cudnnGetCTCLossWorkspaceSize(cudnnHandle_t handle, descriptor_t probs, descriptor_t gradients, const int *labels, const int *lengths, const int *steps, int algorithm,
                                 descriptor_t loss, size_t *bytes);
int cudnnGetCTCLossWorkspaceSize_v8(cudnnHandle_t handle, int algorithm, descriptor_t loss, descriptor_t probs, descriptor_t gradients, size_t *bytes);
int cudnnCTCLoss(cudnnHandle_t handle, descriptor_t probs, CUdeviceptr probs_at, const int *labels, const int *lengths, const int *steps, CUdeviceptr costs, descriptor_t gradients,
                 CUdeviceptr gradients_at, int algorithm, descriptor_t loss, CUdeviceptr workspace, size_t bytes);
int cudnnCTCLoss_v8(cudnnHandle_t handle, int algorithm, descriptor_t loss, descriptor_t probs, CUdeviceptr probs_at, CUdeviceptr labels, CUdeviceptr lengths, CUdeviceptr steps,
                    CUdeviceptr costs, descriptor_t gradients, CUdeviceptr gradients_at, size_t bytes, CUdeviceptr workspace);

enum { F32 = 0, SOFTMAX = 1, STEPS = 4, N = 3, LETTERS = 3, LABELS = 5 };

static cudnnHandle_t handle;
static struct array activations, gradients, costs;
static int labels[LABELS] = {1, 2, 1, 1, 2};
static int lengths[N] = {2, 2, 1}, steps[N] = {4, 4, 3};
static descriptor_t tensor;
static CUdeviceptr workspace, on_device;

/* How likely a way is: a letter for each step, in the digits of a number. */
static double likely(int sequence, int way) {
    double product = 1;
    for (int t = 0; t < steps[sequence]; t++, way /= LETTERS) {
        const float *row = activations.host + (t * N + sequence) * LETTERS;
        double sum = 0;
        for (int i = 0; i < LETTERS; i++) sum += exp((double)row[i]);
        product *= exp((double)row[way % LETTERS]) / sum;
    }
    return product;
}

/* Whether it says the labels, with letters that stand twice said once, and blanks not at all. */
static bool says(int sequence, int way, const int *wanted) {
    int last = 0, count = 0;
    for (int t = 0; t < steps[sequence]; t++, way /= LETTERS) {
        int letter = way % LETTERS;
        if (letter != 0 && letter != last && (count == lengths[sequence] || wanted[count++] != letter)) return false;
        last = letter;
    }
    return count == lengths[sequence];
}

static double cost_of(int sequence) {
    const int *wanted = labels;
    int ways = 1;
    double sum = 0;
    for (int i = 0; i < sequence; i++) wanted += lengths[i];
    for (int t = 0; t < steps[sequence]; t++) ways *= LETTERS;
    for (int way = 0; way < ways; way++)
        if (says(sequence, way, wanted)) sum += likely(sequence, way);
    return -log(sum);
}

static double total(void) {
    double sum = 0;
    for (int n = 0; n < N; n++) sum += cost_of(n);
    return sum;
}

static void compute_on_host(void) {
    for (int n = 0; n < N; n++) costs.host[n] = (float)cost_of(n);
    differ(&activations, &gradients, 0.0078125f, total);
}

static void forget(void) {
    CHECK(cuMemsetD32_v2(costs.device, 0x7fc00000, costs.count));
    CHECK(cuMemsetD32_v2(gradients.device, 0x7fc00000, gradients.count));
}

static void lose_on_host(void) {
    descriptor_t loss;
    size_t bytes = 0;
    STATUS(cudnnCreateCTCLossDescriptor(&loss), OK);
    STATUS(cudnnSetCTCLossDescriptorEx(loss, F32, SOFTMAX, 0), OK);
    STATUS(cudnnGetCTCLossWorkspaceSize(handle, tensor, tensor, labels, lengths, steps, 0, loss, &bytes), OK);
    EXPECT(bytes > 0 && bytes <= 65536);
    STATUS(cudnnCTCLoss(handle, tensor, activations.device, labels, lengths, steps, costs.device, tensor, gradients.device, 0, loss, workspace, bytes), OK);
    STATUS(cudnnDestroyCTCLossDescriptor(loss), OK);
}

static void lose_on_device(void) {
    descriptor_t loss;
    size_t bytes = 0;
    int type, normal, gradient, longest;
    STATUS(cudnnCreateCTCLossDescriptor(&loss), OK);
    STATUS(cudnnSetCTCLossDescriptor_v9(loss, F32, SOFTMAX, 1, 255), OK);
    STATUS(cudnnGetCTCLossDescriptor_v9(loss, &type, &normal, &gradient, &longest), OK);
    EXPECT(type == F32 && normal == SOFTMAX && gradient == 1 && longest == 255);
    STATUS(cudnnGetCTCLossWorkspaceSize_v8(handle, 0, loss, tensor, tensor, &bytes), OK);
    STATUS(cudnnCTCLoss_v8(handle, 0, loss, tensor, activations.device, on_device, on_device + sizeof labels, on_device + sizeof labels + sizeof lengths, costs.device, tensor,
                           gradients.device, bytes, workspace),
           OK);
    STATUS(cudnnDestroyCTCLossDescriptor(loss), OK);
}

static void check_refused(void) {
    descriptor_t loss, unset;
    int below[N] = {2, -1, 1}, wrong[LABELS] = {1, 2, 1, 1, LETTERS};
    size_t bytes;
    STATUS(cudnnCreateCTCLossDescriptor(&loss), OK);
    STATUS(cudnnCreateTensorDescriptor(&unset), OK);
    STATUS(cudnnSetCTCLossDescriptorEx(loss, F32, SOFTMAX, 0), OK);
    STATUS(cudnnGetCTCLossWorkspaceSize(handle, tensor, tensor, labels, below, steps, 0, loss, &bytes), BAD_PARAM);
    STATUS(cudnnGetCTCLossWorkspaceSize(handle, unset, tensor, labels, lengths, steps, 0, loss, &bytes), BAD_PARAM);
    STATUS(cudnnGetCTCLossWorkspaceSize(handle, tensor, tensor, NULL, lengths, steps, 0, loss, &bytes), NULL_POINTER);
    STATUS(cudnnGetCTCLossWorkspaceSize(handle, tensor, tensor, wrong, lengths, steps, 0, loss, &bytes), BAD_PARAM);
    STATUS(cudnnCTCLoss(handle, tensor, activations.device, labels, lengths, NULL, costs.device, tensor, gradients.device, 0, loss, workspace, 65536), NULL_POINTER);
    STATUS(cudnnCTCLoss_v8(handle, 0, loss, tensor, activations.device, (CUdeviceptr)labels, on_device, on_device, costs.device, tensor, gradients.device, 65536, workspace),
           BAD_PARAM);
}

int main(void) {
    const int dimensions[] = {STEPS, N, LETTERS}, strides[] = {N * LETTERS, LETTERS, 1};
    void (*const ways[])(void) = {lose_on_host, lose_on_device};
    start();
    STATUS(cudnnCreate(&handle), OK);
    activations = array_of(STEPS * N * LETTERS), gradients = array_of(activations.count), costs = array_of(N);
    STATUS(cudnnCreateTensorDescriptor(&tensor), OK);
    STATUS(cudnnSetTensorNdDescriptor(tensor, F32, 3, dimensions, strides), OK);
    CHECK(cuMemAlloc_v2(&workspace, 65536));
    CHECK(cuMemAlloc_v2(&on_device, sizeof labels + sizeof lengths + sizeof steps));
    for (int time = 0; time < 3; time++) {
        CHECK(cuMemcpyHtoD_v2(on_device, labels, sizeof labels));
        CHECK(cuMemcpyHtoD_v2(on_device + sizeof labels, lengths, sizeof lengths));
        CHECK(cuMemcpyHtoD_v2(on_device + sizeof labels + sizeof lengths, steps, sizeof steps));
        compute_on_host();
        for (size_t i = 0; i < 2; i++) {
            forget();
            ways[i]();
            EXPECT(is_near(&costs, 1e-3f) && is_near(&gradients, 1e-3f));
        }
        /* Other labels are another loss, also where all else is as before. */
        labels[0] = 2 - time, labels[4] = 1 + time, lengths[1] = 2;
    }
    check_refused();
    EXPECT(is_near(&costs, 1e-3f));
    printf("ok\n");
    return 0;
}
