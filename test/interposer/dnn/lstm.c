/*
 * An LSTM by the functions of the table, forward and backward, with the calls that programs make for it: dropout's states, weights that are looked for in the
 * space that they have in common at each pass, and descriptors for each call. Gradients are those that differences on the host have. argv[1] is how often it is trained.
 */
#include "dnn.h"

typedef struct cudnnTensorStruct *tensor_t;

int cudnnCreateTensorDescriptor(tensor_t *tensor);
int cudnnSetTensorNdDescriptor(tensor_t tensor, int type, int count, const int *dimensions, const int *strides);
int cudnnGetTensorNdDescriptor(tensor_t tensor, int wanted, int *type, int *count, int *dimensions, int *strides);
int cudnnDestroyTensorDescriptor(tensor_t tensor);
int cudnnCreateDropoutDescriptor(descriptor_t *dropout);
int cudnnSetDropoutDescriptor(descriptor_t dropout, cudnnHandle_t handle, float part, CUdeviceptr states, size_t bytes, unsigned long long seed);
int cudnnRestoreDropoutDescriptor(descriptor_t dropout, cudnnHandle_t handle, float part, CUdeviceptr states, size_t bytes, unsigned long long seed);
int cudnnGetDropoutDescriptor(descriptor_t dropout, cudnnHandle_t handle, float *part, CUdeviceptr *states, unsigned long long *seed);
int cudnnDestroyDropoutDescriptor(descriptor_t dropout);
int cudnnDropoutGetStatesSize(cudnnHandle_t handle, size_t *bytes);
int cudnnCreateRNNDescriptor(descriptor_t *rnn);
int cudnnSetRNNDescriptor_v8(descriptor_t rnn, int algorithm, int mode, int bias, int direction, int input, int type, int precision, int math, int32_t inputs,
                             int32_t hidden, int32_t projected, int32_t layers, descriptor_t dropout, uint32_t flags);
int cudnnDestroyRNNDescriptor(descriptor_t rnn);
int cudnnCreateRNNDataDescriptor(descriptor_t *data);
int cudnnSetRNNDataDescriptor(descriptor_t data, int type, int layout, int steps, int batch, int width, const int *lengths, const void *padding);
int cudnnDestroyRNNDataDescriptor(descriptor_t data);
int cudnnGetRNNWeightSpaceSize(cudnnHandle_t handle, descriptor_t rnn, size_t *bytes);
int cudnnGetRNNTempSpaceSizes(cudnnHandle_t handle, descriptor_t rnn, int training, descriptor_t x, size_t *workspace, size_t *reserve);
int cudnnGetRNNWeightParams(cudnnHandle_t handle, descriptor_t rnn, int32_t layer, size_t bytes, CUdeviceptr weights, int32_t linear, tensor_t matrix,
                            CUdeviceptr *matrix_at, tensor_t bias, CUdeviceptr *bias_at);
int cudnnRNNForward(cudnnHandle_t handle, descriptor_t rnn, int training, CUdeviceptr lengths, descriptor_t x_data, CUdeviceptr x, descriptor_t y_data,
                    CUdeviceptr y, tensor_t h, CUdeviceptr hx, CUdeviceptr hy, tensor_t c, CUdeviceptr cx, CUdeviceptr cy, size_t weight_bytes,
                    CUdeviceptr weights, size_t workspace_bytes, CUdeviceptr workspace, size_t reserve_bytes, CUdeviceptr reserve);
int cudnnRNNBackwardData_v8(cudnnHandle_t handle, descriptor_t rnn, CUdeviceptr lengths, descriptor_t y_data, CUdeviceptr y, CUdeviceptr dy,
                            descriptor_t x_data, CUdeviceptr dx, tensor_t h, CUdeviceptr hx, CUdeviceptr dhy, CUdeviceptr dhx, tensor_t c, CUdeviceptr cx,
                            CUdeviceptr dcy, CUdeviceptr dcx, size_t weight_bytes, CUdeviceptr weights, size_t workspace_bytes, CUdeviceptr workspace,
                            size_t reserve_bytes, CUdeviceptr reserve);
int cudnnRNNBackwardWeights_v8(cudnnHandle_t handle, descriptor_t rnn, int adds, CUdeviceptr lengths, descriptor_t x_data, CUdeviceptr x, tensor_t h,
                               CUdeviceptr hx, descriptor_t y_data, CUdeviceptr y, size_t weight_bytes, CUdeviceptr dweights, size_t workspace_bytes,
                               CUdeviceptr workspace, size_t reserve_bytes, CUdeviceptr reserve);

enum { F32 = 0, LSTM = 2, TWO_BIASES = 2, STEPS = 3, BATCH = 2, INPUTS = 3, HIDDEN = 4, GATES = 4, LINEARS = 2 * GATES };

static cudnnHandle_t handle;
static struct array x, y, dx, dy, weights, dweights, hx, cx;
static size_t weight_bytes, workspace_bytes, reserve_bytes;
static CUdeviceptr workspace, reserve, states;
/* Where the matrix and the bias of each gate stand among the weights: first those for the input. */
static size_t matrices[LINEARS], biases[LINEARS];

static double weighted(int linear, int row, const double *values, int count) {
    double sum = (double)weights.host[biases[linear] + (size_t)row];
    for (int i = 0; i < count; i++) sum += (double)weights.host[matrices[linear] + (size_t)(row * count + i)] * values[i];
    return sum;
}

/* Carries it out; the sum of its results, each times what its gradient is. */
static double run_on_host(float *results) {
    double total = 0;
    for (int b = 0; b < BATCH; b++) {
        double h[HIDDEN], c[HIDDEN], next[HIDDEN], in[INPUTS], gates[GATES];
        for (int i = 0; i < HIDDEN; i++) h[i] = (double)hx.host[b * HIDDEN + i], c[i] = (double)cx.host[b * HIDDEN + i];
        for (int t = 0; t < STEPS; t++) {
            for (int i = 0; i < INPUTS; i++) in[i] = (double)x.host[(t * BATCH + b) * INPUTS + i];
            for (int j = 0; j < HIDDEN; j++) {
                for (int g = 0; g < GATES; g++) {
                    double sum = weighted(g, j, in, INPUTS) + weighted(GATES + g, j, h, HIDDEN);
                    gates[g] = g == 2 ? tanh(sum) : 1 / (1 + exp(-sum));
                }
                c[j] = gates[1] * c[j] + gates[0] * gates[2];
                next[j] = gates[3] * tanh(c[j]);
            }
            memcpy(h, next, sizeof h);
            for (int j = 0; j < HIDDEN; j++) {
                int place = (t * BATCH + b) * HIDDEN + j;
                if (results != NULL) results[place] = (float)h[j];
                total += h[j] * (double)dy.host[place];
            }
        }
    }
    return total;
}

static double total(void) {
    return run_on_host(NULL);
}

static descriptor_t data_of(int width) {
    descriptor_t data;
    const int lengths[BATCH] = {STEPS, STEPS};
    float padding = 0;
    STATUS(cudnnCreateRNNDataDescriptor(&data), OK);
    STATUS(cudnnSetRNNDataDescriptor(data, F32, 0, STEPS, BATCH, width, lengths, &padding), OK);
    return data;
}

static tensor_t state_of(void) {
    tensor_t tensor;
    const int dimensions[] = {1, BATCH, HIDDEN}, strides[] = {BATCH * HIDDEN, HIDDEN, 1};
    STATUS(cudnnCreateTensorDescriptor(&tensor), OK);
    STATUS(cudnnSetTensorNdDescriptor(tensor, F32, 3, dimensions, strides), OK);
    return tensor;
}

static void set_rnn(descriptor_t rnn, descriptor_t dropout, int inputs) {
    STATUS(cudnnSetRNNDescriptor_v8(rnn, 0, LSTM, TWO_BIASES, 0, 0, F32, F32, 0, inputs, HIDDEN, HIDDEN, 1, dropout, 0), OK);
}

/* Cells with a dropout of states, which are made once, or with none at all. */
static descriptor_t rnn_of(descriptor_t *dropout, bool has_states) {
    descriptor_t rnn;
    size_t bytes;
    STATUS(cudnnDropoutGetStatesSize(handle, &bytes), OK);
    STATUS(cudnnCreateDropoutDescriptor(dropout), OK);
    if (!has_states) {
        STATUS(cudnnSetDropoutDescriptor(*dropout, handle, 0, 0, 0, 0), OK);
    } else if (states == 0) {
        CHECK(cuMemAlloc_v2(&states, bytes));
        STATUS(cudnnSetDropoutDescriptor(*dropout, handle, 0.5f, states, bytes, 7), OK);
    } else {
        STATUS(cudnnRestoreDropoutDescriptor(*dropout, handle, 0.5f, states, bytes, 7), OK);
    }
    STATUS(cudnnCreateRNNDescriptor(&rnn), OK);
    set_rnn(rnn, *dropout, INPUTS);
    return rnn;
}

/* Where the weights of each gate lie in a space, and what they look like: always by new descriptors, as programs ask. */
static void find_weights(descriptor_t rnn, int inputs, CUdeviceptr space, size_t *matrices_at, size_t *biases_at) {
    tensor_t matrix, bias;
    STATUS(cudnnCreateTensorDescriptor(&matrix), OK);
    STATUS(cudnnCreateTensorDescriptor(&bias), OK);
    for (int linear = 0; linear < LINEARS; linear++) {
        CUdeviceptr matrix_at, bias_at;
        int type, count, dimensions[3], strides[3];
        STATUS(cudnnGetRNNWeightParams(handle, rnn, 0, weight_bytes, space, linear, matrix, &matrix_at, bias, &bias_at), OK);
        /* Each alone, as PyTorch asks: cuDNN wants a descriptor with its address, or neither. */
        CUdeviceptr alone[2] = {0, 0};
        STATUS(cudnnGetRNNWeightParams(handle, rnn, 0, weight_bytes, space, linear, matrix, &alone[0], NULL, NULL), OK);
        STATUS(cudnnGetRNNWeightParams(handle, rnn, 0, weight_bytes, space, linear, NULL, NULL, bias, &alone[1]), OK);
        EXPECT(alone[0] == matrix_at && alone[1] == bias_at);
        STATUS(cudnnGetTensorNdDescriptor(matrix, 3, &type, &count, dimensions, strides), OK);
        EXPECT(type == F32 && count == 3 && dimensions[1] == HIDDEN && dimensions[2] == (linear < GATES ? inputs : HIDDEN));
        STATUS(cudnnGetTensorNdDescriptor(bias, 3, &type, &count, dimensions, strides), OK);
        EXPECT(dimensions[1] == HIDDEN && dimensions[2] == 1);
        matrices_at[linear] = (matrix_at - space) / sizeof(float), biases_at[linear] = (bias_at - space) / sizeof(float);
        EXPECT(matrices_at[linear] < weights.count && biases_at[linear] < weights.count);
    }
    STATUS(cudnnDestroyTensorDescriptor(matrix), OK);
    STATUS(cudnnDestroyTensorDescriptor(bias), OK);
}

/* They lie alike in any space, and for cells that are set anew just where such cells have them. */
static void find_again(descriptor_t rnn, descriptor_t dropout) {
    size_t found[2][LINEARS];
    for (int time = 0; time < 2; time++) {
        find_weights(rnn, INPUTS, time == 0 ? weights.device : dweights.device, found[0], found[1]);
        EXPECT(memcmp(found[0], matrices, sizeof matrices) == 0 && memcmp(found[1], biases, sizeof biases) == 0);
        set_rnn(rnn, dropout, INPUTS - 1);
        find_weights(rnn, INPUTS - 1, weights.device, found[0], found[1]);
        EXPECT(found[0][1] - found[0][0] == HIDDEN * (INPUTS - 1) && found[1][0] == biases[0] - HIDDEN * GATES);
        set_rnn(rnn, dropout, INPUTS);
    }
}

/* All that a pass needs, made for it alone, as PyTorch does; and how much memory it takes. */
struct pass {
    descriptor_t dropout, rnn, in, out;
    tensor_t state;
};

static struct pass begin_pass(bool has_states) {
    struct pass pass = {.in = data_of(INPUTS), .out = data_of(HIDDEN), .state = state_of()};
    size_t bytes, reserved;
    pass.rnn = rnn_of(&pass.dropout, has_states);
    STATUS(cudnnGetRNNWeightSpaceSize(handle, pass.rnn, &bytes), OK);
    EXPECT(bytes == weight_bytes);
    STATUS(cudnnGetRNNTempSpaceSizes(handle, pass.rnn, 1, pass.in, &bytes, &reserved), OK);
    EXPECT(bytes == workspace_bytes && reserved == reserve_bytes);
    return pass;
}

static void end_pass(struct pass pass) {
    STATUS(cudnnDestroyRNNDescriptor(pass.rnn), OK);
    STATUS(cudnnDestroyDropoutDescriptor(pass.dropout), OK);
    STATUS(cudnnDestroyRNNDataDescriptor(pass.in), OK);
    STATUS(cudnnDestroyRNNDataDescriptor(pass.out), OK);
    STATUS(cudnnDestroyTensorDescriptor(pass.state), OK);
}

static void train(bool has_states) {
    struct pass pass = begin_pass(has_states);
    STATUS(cudnnRNNForward(handle, pass.rnn, 1, 0, pass.in, x.device, pass.out, y.device, pass.state, hx.device, 0, pass.state, cx.device, 0, weight_bytes,
                           weights.device, workspace_bytes, workspace, reserve_bytes, reserve),
           OK);
    end_pass(pass);
    pass = begin_pass(has_states);
    STATUS(cudnnRNNBackwardData_v8(handle, pass.rnn, 0, pass.out, y.device, dy.device, pass.in, dx.device, pass.state, hx.device, 0, 0, pass.state, cx.device,
                                   0, 0, weight_bytes, weights.device, workspace_bytes, workspace, reserve_bytes, reserve),
           OK);
    end_pass(pass);
    pass = begin_pass(has_states);
    STATUS(cudnnRNNBackwardWeights_v8(handle, pass.rnn, 0, 0, pass.in, x.device, pass.state, hx.device, pass.out, y.device, weight_bytes, dweights.device,
                                      workspace_bytes, workspace, reserve_bytes, reserve),
           OK);
    find_again(pass.rnn, pass.dropout);
    end_pass(pass);
}

static void expect_dropout(descriptor_t dropout, float part, CUdeviceptr at) {
    float part_is;
    CUdeviceptr at_is;
    unsigned long long seed;
    STATUS(cudnnGetDropoutDescriptor(dropout, handle, &part_is, &at_is, &seed), OK);
    EXPECT(part_is == part && at_is == at);
}

static bool has_seeds(size_t bytes) {
    uint64_t *seeds = malloc(bytes), all = 0;
    CHECK(cuMemcpyDtoH_v2(seeds, states, bytes));
    for (size_t i = 0; i < bytes / sizeof *seeds; i++) all |= seeds[i];
    free(seeds);
    return all != 0;
}

/* One that is set in turn with states and without has what it was given last, and states are seeded each time. */
static void set_dropout(void) {
    descriptor_t dropout;
    size_t bytes;
    STATUS(cudnnDropoutGetStatesSize(handle, &bytes), OK);
    STATUS(cudnnCreateDropoutDescriptor(&dropout), OK);
    for (int time = 0; time < 2; time++) {
        STATUS(cudnnSetDropoutDescriptor(dropout, handle, 0, 0, 0, 0), OK);
        expect_dropout(dropout, 0, 0);
        CHECK(cuMemsetD32_v2(states, 0, bytes / sizeof(uint32_t)));
        EXPECT(!has_seeds(bytes));
        STATUS(cudnnSetDropoutDescriptor(dropout, handle, 0.5f, states, bytes, 7), OK);
        EXPECT(has_seeds(bytes));
        expect_dropout(dropout, 0.5f, states);
        STATUS(cudnnSetDropoutDescriptor(dropout, handle, 0, 0, 0, 0), OK);
        STATUS(cudnnRestoreDropoutDescriptor(dropout, handle, 0.25f, states, bytes, 7), OK);
        expect_dropout(dropout, 0.25f, states);
    }
    STATUS(cudnnDestroyDropoutDescriptor(dropout), OK);
}

int main(int count, char **arguments) {
    int times = count > 1 ? atoi(arguments[1]) : 3;
    descriptor_t dropout, rnn, in;
    start();
    STATUS(cudnnCreate(&handle), OK);
    rnn = rnn_of(&dropout, true), in = data_of(INPUTS);
    STATUS(cudnnGetRNNWeightSpaceSize(handle, rnn, &weight_bytes), OK);
    STATUS(cudnnGetRNNTempSpaceSizes(handle, rnn, 1, in, &workspace_bytes, &reserve_bytes), OK);
    x = array_of(STEPS * BATCH * INPUTS), dx = array_of(x.count), y = array_of(STEPS * BATCH * HIDDEN), dy = array_of(y.count);
    weights = array_of(weight_bytes / sizeof(float)), dweights = array_of(weights.count), hx = array_of(BATCH * HIDDEN), cx = array_of(BATCH * HIDDEN);
    CHECK(cuMemAlloc_v2(&workspace, workspace_bytes));
    CHECK(cuMemAlloc_v2(&reserve, reserve_bytes));
    set_dropout();
    find_weights(rnn, INPUTS, weights.device, matrices, biases);
    run_on_host(y.host);
    differ(&x, &dx, 0.0078125f, total);
    differ(&weights, &dweights, 0.0078125f, total);
    for (int time = 0; time < times; time++) {
        const struct array *const results[] = {&y, &dx, &dweights};
        for (size_t i = 0; i < 3; i++) CHECK(cuMemsetD32_v2(results[i]->device, 0x7fc00000, results[i]->count));
        /* What there is of weights' gradients is added to. */
        CHECK(cuMemsetD32_v2(dweights.device, 0, dweights.count));
        /* With one layer it makes no difference what is dropped between layers. */
        train(time % 2 == 0);
        for (size_t i = 0; i < 3; i++) EXPECT(is_near(results[i], 1e-3f));
    }
    printf("ok\n");
    return 0;
}
