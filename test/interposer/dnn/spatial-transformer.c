/*
 * Grids of transformations, images sampled by them, and back through both, by the calls that PyTorch makes for affine_grid and grid_sample. Gradients are those that
 * differences on the host have.
 */
#include "dnn.h"

int cudnnCreateTensorDescriptor(descriptor_t *tensor);
int cudnnSetTensorNdDescriptor(descriptor_t tensor, int type, int count, const int *dimensions, const int *strides);
int cudnnDestroyTensorDescriptor(descriptor_t tensor);
int cudnnCreateSpatialTransformerDescriptor(descriptor_t *transformer);
int cudnnSetSpatialTransformerNdDescriptor(descriptor_t transformer, int sampler, int type, int count, const int *dimensions);
int cudnnDestroySpatialTransformerDescriptor(descriptor_t transformer);
int cudnnSpatialTfGridGeneratorForward(cudnnHandle_t handle, descriptor_t transformer, CUdeviceptr theta, CUdeviceptr grid);
int cudnnSpatialTfGridGeneratorBackward(cudnnHandle_t handle, descriptor_t transformer, CUdeviceptr dgrid, CUdeviceptr dtheta);
int cudnnSpatialTfSamplerForward(cudnnHandle_t handle, descriptor_t transformer, const void *alpha, descriptor_t x, CUdeviceptr x_at, CUdeviceptr grid, const void *beta,
                                 descriptor_t y, CUdeviceptr y_at);
int cudnnSpatialTfSamplerBackward(cudnnHandle_t handle, descriptor_t transformer, const void *alpha, descriptor_t x, CUdeviceptr x_at, const void *beta, descriptor_t dx,
                                  CUdeviceptr dx_at, const void *alpha_grid, descriptor_t dy, CUdeviceptr dy_at, CUdeviceptr grid, const void *beta_grid, CUdeviceptr dgrid);

enum { F32 = 0, BILINEAR = 0, N = 2, C = 2, IN = 4, H = 3, W = 2 };

static cudnnHandle_t handle;
static struct array x, y, dx, dy, theta, dtheta, grid, dgrid;
static const float one = 1, zero = 0;

static descriptor_t tensor_of(int h, int w) {
    descriptor_t tensor;
    const int dimensions[] = {N, C, h, w}, strides[] = {C * h * w, h * w, w, 1};
    STATUS(cudnnCreateTensorDescriptor(&tensor), OK);
    STATUS(cudnnSetTensorNdDescriptor(tensor, F32, 4, dimensions, strides), OK);
    return tensor;
}

static descriptor_t transformer_of(int images) {
    descriptor_t transformer;
    const int dimensions[] = {images, C, H, W};
    STATUS(cudnnCreateSpatialTransformerDescriptor(&transformer), OK);
    STATUS(cudnnSetSpatialTransformerNdDescriptor(transformer, BILINEAR, F32, 4, dimensions), OK);
    return transformer;
}

/* From -1 to 1. */
static double normal(int index, int count) {
    return -1 + 2.0 * index / (count - 1);
}

static double grid_number(size_t place) {
    size_t at = place / 2;
    int row = (int)(at / W % H), column = (int)(at % W);
    const float *of = theta.host + at / (H * W) * 6 + place % 2 * 3;
    return (double)of[0] * normal(column, W) + (double)of[1] * normal(row, H) + (double)of[2];
}

/* An image's number, 0 outside of it. */
static double pixel(size_t image, int row, int column) {
    return row < 0 || column < 0 || row >= IN || column >= IN ? 0 : (double)x.host[(image * IN + (size_t)row) * IN + (size_t)column];
}

/* The sum of what is sampled, each times its gradient; kept in `into` unless that is NULL. */
static double sample(float *into) {
    double total = 0;
    for (size_t i = 0; i < y.count; i++) {
        const float *place = grid.host + 2 * (i / (C * H * W) * H * W + i % (H * W));
        double column = ((double)place[0] + 1) * (IN - 1) / 2, row = ((double)place[1] + 1) * (IN - 1) / 2, right = column - floor(column), below = row - floor(row);
        int left = (int)floor(column), above = (int)floor(row);
        size_t image = i / (H * W);
        double value = (1 - below) * ((1 - right) * pixel(image, above, left) + right * pixel(image, above, left + 1)) +
                       below * ((1 - right) * pixel(image, above + 1, left) + right * pixel(image, above + 1, left + 1));
        if (into != NULL) into[i] = (float)value;
        total += value * (double)dy.host[i];
    }
    return total;
}

static double total(void) {
    return sample(NULL);
}

static void transform(void) {
    descriptor_t image = tensor_of(IN, IN), result = tensor_of(H, W), transformer = transformer_of(N);
    STATUS(cudnnSpatialTfGridGeneratorForward(handle, transformer, theta.device, grid.device), OK);
    STATUS(cudnnSpatialTfSamplerForward(handle, transformer, &one, image, x.device, grid.device, &zero, result, y.device), OK);
    STATUS(cudnnSpatialTfSamplerBackward(handle, transformer, &one, image, x.device, &zero, image, dx.device, &one, result, dy.device, grid.device, &zero, dgrid.device), OK);
    STATUS(cudnnSpatialTfGridGeneratorBackward(handle, transformer, dgrid.device, dtheta.device), OK);
    STATUS(cudnnDestroyTensorDescriptor(image), OK);
    STATUS(cudnnDestroyTensorDescriptor(result), OK);
    STATUS(cudnnDestroySpatialTransformerDescriptor(transformer), OK);
}

/* What is described reaches beyond what is allocated, and what is there is not of the transformer's size: refused by the very calls. */
static void check_refused(void) {
    descriptor_t image = tensor_of(IN, IN), result = tensor_of(H, W), large = transformer_of(1 << 20), other = transformer_of(N + 1), unset;
    STATUS(cudnnSpatialTfGridGeneratorForward(handle, large, theta.device, grid.device), BAD_PARAM);
    STATUS(cudnnSpatialTfSamplerForward(handle, large, &one, image, x.device, grid.device, &zero, result, y.device), BAD_PARAM);
    STATUS(cudnnSpatialTfSamplerForward(handle, other, &one, image, x.device, grid.device, &zero, result, y.device), BAD_PARAM);
    STATUS(cudnnSpatialTfGridGeneratorForward(handle, other, (CUdeviceptr)theta.host, grid.device), BAD_PARAM);
    STATUS(cudnnSpatialTfGridGeneratorForward(handle, other, theta.device, 0), NULL_POINTER);
    STATUS(cudnnCreateSpatialTransformerDescriptor(&unset), OK);
    STATUS(cudnnSpatialTfGridGeneratorForward(handle, unset, theta.device, grid.device), BAD_PARAM);
}

int main(void) {
    start();
    STATUS(cudnnCreate(&handle), OK);
    x = array_of(N * C * IN * IN), dx = array_of(x.count), y = array_of(N * C * H * W), dy = array_of(y.count);
    theta = array_of(N * 6), dtheta = array_of(theta.count), grid = array_of(N * H * W * 2), dgrid = array_of(grid.count);
    for (size_t i = 0; i < theta.count; i++) theta.host[i] = theta.host[i] * 0.7f + (i % 4 == 0 ? 0.23f : 0.04f);
    CHECK(cuMemcpyHtoD_v2(theta.device, theta.host, theta.count * sizeof(float)));
    for (size_t i = 0; i < grid.count; i++) grid.host[i] = (float)grid_number(i);
    sample(y.host);
    /* Steps that stay between the same numbers of an image. */
    differ(&x, &dx, 0.0009765625f, total);
    differ(&grid, &dgrid, 0.0009765625f, total);
    memset(dtheta.host, 0, dtheta.count * sizeof(float));
    for (size_t i = 0; i < dgrid.count; i++) {
        float *of = dtheta.host + i / (2 * H * W) * 6 + i % 2 * 3, by = dgrid.host[i];
        of[0] += by * (float)normal((int)(i / 2 % W), W), of[1] += by * (float)normal((int)(i / 2 / W % H), H), of[2] += by;
    }
    for (int time = 0; time < 2; time++) {
        const struct array *const results[] = {&grid, &y, &dx, &dgrid, &dtheta};
        for (size_t i = 0; i < 5; i++) CHECK(cuMemsetD32_v2(results[i]->device, 0x7fc00000, results[i]->count));
        transform();
        for (size_t i = 0; i < 5; i++) EXPECT(is_near(results[i], 1e-3f));
        check_refused();
    }
    printf("ok\n");
    return 0;
}
