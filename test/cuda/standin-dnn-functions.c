/* The stand-in's cuDNN: functions that belong to no graph. Their descriptors, tensors and filters, and batch norms of f32 over channels. */
#include "standin-dnn-objects.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WORKSPACE_BYTES 64
#define RESERVE_BYTES 32

static int create(int kind, struct object **out) {
  *out = calloc(1, sizeof **out);
  (*out)->kind = kind;
  dnn_objects++;
  return DNN_SUCCESS;
}

static int destroy(int kind, struct object *gone) {
  if (gone->kind != kind) standin_violation("a descriptor of cuDNN ends as another kind");
  free(gone);
  dnn_objects--;
  return DNN_SUCCESS;
}

/* Injected failures of functions that the macro makes go by its own names. */
#define KIND(Name, number)                                                                         \
  API int cudnnCreate##Name##Descriptor(struct object **out) { DNN_ASK(); return create(number, out); } \
  API int cudnnDestroy##Name##Descriptor(struct object *gone) { return destroy(number, gone); }
KIND(Tensor, TENSOR)
KIND(Activation, ACTIVATION)
KIND(Filter, FILTER)
KIND(Convolution, CONVOLUTION)
KIND(Pooling, POOLING)
KIND(SpatialTransformer, SPATIAL_TRANSFORMER)
KIND(CTCLoss, CTC_LOSS)
KIND(LRN, LRN)
KIND(OpTensor, OP_TENSOR)
KIND(ReduceTensor, REDUCE_TENSOR)

bool dnn_is(const struct object *o, int kind) { return o != NULL && o->kind == kind && o->is_set; }
static bool is_tensor(const struct object *o) { return dnn_is(o, TENSOR); }

struct tensor dnn_placed(const struct object *o, uint64_t at) {
  struct tensor t = o->tensor;
  t.at = at;
  return t;
}

struct tensor dnn_memory(uint64_t at, int type, int64_t elements) { return (struct tensor){.type = type, .count = 1, .dims = {elements}, .strides = {1}, .at = at}; }

double dnn_factor(const void *at, const struct object *tensor) { return tensor->tensor.type == 1 ? *(const double *)at : (double)*(const float *)at; }

void dnn_blend(const struct tensor *t, const int64_t *index, double value, double alpha, double beta) {
  dnn_store(t, index, alpha * value + (beta == 0 ? 0 : beta * dnn_load(t, index)));
}

bool dnn_same_dims(const struct object *a, const struct object *b) {
  return a->tensor.count == b->tensor.count && memcmp(a->tensor.dims, b->tensor.dims, (size_t)a->tensor.count * sizeof *a->tensor.dims) == 0;
}

static int run_job(struct context *context, void *argument) {
  struct job *job = argument;
  int result = SUCCESS;
  for (size_t i = 0; i < sizeof job->tensors / sizeof *job->tensors; i++)
    if (job->tensors[i].at != 0 && !dnn_reaches(context, &job->tensors[i])) result = ILLEGAL_ADDRESS;
  if (result == SUCCESS) job->compute(job);
  for (int i = 0; i < 3; i++) free(job->lists[i]);
  free(job);
  return result;
}

int dnn_queue_job(struct dnn *dnn, const struct job *job) {
  struct job *queued = malloc(sizeof *queued);
  *queued = *job;
  return dnn_queue(dnn, run_job, queued);
}

API int cudnnSetTensorNdDescriptor(struct object *o, int type, int count, const int *dims, const int *strides) {
  DNN_ASK();
  if (o->kind != TENSOR || count < 3 || count > DIMENSIONS || type < 0 || type > 21) return dnn_fail(DNN_BAD_PARAM, "no tensor");
  struct tensor t = {.type = type, .count = count};
  for (int i = 0; i < count; i++) {
    if (dims[i] <= 0 || strides[i] < 0) return dnn_fail(DNN_BAD_PARAM, "dimensions are from 1");
    t.dims[i] = dims[i];
    t.strides[i] = strides[i];
  }
  o->tensor = t;
  o->is_set = true;
  return DNN_SUCCESS;
}

API int cudnnSetTensor4dDescriptor(struct object *o, int format, int type, int n, int c, int h, int w) {
  DNN_ASK();
  if (format != 0 && format != 1) return dnn_fail(DNN_NOT_SUPPORTED, "no such format");
  int dims[] = {n, c, h, w}, rows[] = {c * h * w, h * w, w, 1}, pixels[] = {c * h * w, 1, w * c, c};
  return cudnnSetTensorNdDescriptor(o, type, 4, dims, format == 0 ? rows : pixels);
}

API int cudnnSetTensor4dDescriptorEx(struct object *o, int type, int n, int c, int h, int w, int n_stride, int c_stride, int h_stride, int w_stride) {
  DNN_ASK();
  int dims[] = {n, c, h, w}, strides[] = {n_stride, c_stride, h_stride, w_stride};
  return cudnnSetTensorNdDescriptor(o, type, 4, dims, strides);
}

/* Strides of rows, or of pixels with their channels beside each other. */
static void lay(int format, int count, const int *dims, int *strides) {
  int next = format == 1 ? dims[1] : 1;
  for (int i = count - 1; i >= 0; i--) {
    if (format == 1 && i == 1) {
      strides[1] = 1;
      continue;
    }
    strides[i] = next;
    next *= dims[i];
  }
}

API int cudnnSetTensorNdDescriptorEx(struct object *o, int format, int type, int count, const int *dims) {
  DNN_ASK();
  int strides[DIMENSIONS];
  if (count < 3 || count > DIMENSIONS || (format != 0 && format != 1)) return dnn_fail(DNN_BAD_PARAM, "no tensor");
  lay(format, count, dims, strides);
  return cudnnSetTensorNdDescriptor(o, type, count, dims, strides);
}

API int cudnnGetTensor4dDescriptor(struct object *o, int *type, int *n, int *c, int *h, int *w, int *n_stride, int *c_stride, int *h_stride, int *w_stride) {
  DNN_ASK();
  int *dims[] = {n, c, h, w}, *strides[] = {n_stride, c_stride, h_stride, w_stride};
  if (!is_tensor(o) || o->tensor.count != 4) return dnn_fail(DNN_BAD_PARAM, "no tensor");
  *type = o->tensor.type;
  for (int i = 0; i < 4; i++) *dims[i] = (int)o->tensor.dims[i], *strides[i] = (int)o->tensor.strides[i];
  return DNN_SUCCESS;
}

API int cudnnSetFilterNdDescriptor(struct object *o, int type, int format, int count, const int *dims) {
  DNN_ASK();
  int strides[DIMENSIONS];
  if (o->kind != FILTER || count < 3 || count > DIMENSIONS || (format != 0 && format != 1)) return dnn_fail(DNN_BAD_PARAM, "no filter");
  lay(format, count, dims, strides);
  struct object as_tensor = {.kind = TENSOR};
  int status = cudnnSetTensorNdDescriptor(&as_tensor, type, count, dims, strides);
  if (status != DNN_SUCCESS) return status;
  o->tensor = as_tensor.tensor, o->format = format, o->is_set = true;
  return DNN_SUCCESS;
}

API int cudnnSetFilter4dDescriptor(struct object *o, int type, int format, int k, int c, int h, int w) {
  DNN_ASK();
  int dims[] = {k, c, h, w};
  return cudnnSetFilterNdDescriptor(o, type, format, 4, dims);
}

API int cudnnGetFilterNdDescriptor(struct object *o, int wanted, int *type, int *format, int *count, int *dims) {
  DNN_ASK();
  if (!dnn_is(o, FILTER)) return dnn_fail(DNN_BAD_PARAM, "no filter");
  *type = o->tensor.type, *format = o->format, *count = o->tensor.count;
  for (int i = 0; i < wanted && i < o->tensor.count; i++) dims[i] = (int)o->tensor.dims[i];
  return DNN_SUCCESS;
}

API int cudnnGetFilter4dDescriptor(struct object *o, int *type, int *format, int *k, int *c, int *h, int *w) {
  DNN_ASK();
  int count, dims[4];
  int status = cudnnGetFilterNdDescriptor(o, 4, type, format, &count, dims);
  if (status != DNN_SUCCESS || count != 4) return dnn_fail(DNN_BAD_PARAM, "no filter");
  *k = dims[0], *c = dims[1], *h = dims[2], *w = dims[3];
  return DNN_SUCCESS;
}

API int cudnnGetFilterSizeInBytes(struct object *o, size_t *bytes) {
  DNN_ASK();
  if (!dnn_is(o, FILTER)) return dnn_fail(DNN_BAD_PARAM, "no filter");
  *bytes = (size_t)(dnn_extent(&o->tensor) * dnn_element_bytes(o->tensor.type));
  return DNN_SUCCESS;
}

API int cudnnGetTensorNdDescriptor(struct object *o, int wanted, int *type, int *count, int *dims, int *strides) {
  DNN_ASK();
  if (!is_tensor(o)) return dnn_fail(DNN_BAD_PARAM, "no tensor");
  *type = o->tensor.type;
  *count = o->tensor.count;
  for (int i = 0; i < wanted && i < o->tensor.count; i++) dims[i] = (int)o->tensor.dims[i], strides[i] = (int)o->tensor.strides[i];
  return DNN_SUCCESS;
}

API int cudnnGetTensorSizeInBytes(struct object *o, size_t *bytes) {
  DNN_ASK();
  if (!is_tensor(o)) return dnn_fail(DNN_BAD_PARAM, "no tensor");
  *bytes = (size_t)(dnn_extent(&o->tensor) * dnn_element_bytes(o->tensor.type));
  return DNN_SUCCESS;
}

API int cudnnSetActivationDescriptor(struct object *o, int mode, int propagates, double coefficient) {
  DNN_ASK();
  if (o->kind != ACTIVATION || mode < 0 || mode > 6 || propagates < 0 || coefficient != coefficient) return dnn_fail(DNN_BAD_PARAM, "no activation");
  o->is_set = true;
  o->numbers[0] = mode, o->numbers[1] = propagates, o->factors[0] = coefficient;
  return DNN_SUCCESS;
}

API int cudnnDeriveBNTensorDescriptor(struct object *derived, struct object *x, int mode) {
  DNN_ASK();
  if (!is_tensor(x) || derived->kind != TENSOR || mode < 0 || mode > 2) return dnn_fail(DNN_BAD_PARAM, "no tensor");
  int dims[DIMENSIONS], strides[DIMENSIONS];
  for (int i = 0; i < x->tensor.count; i++) dims[i] = i == 1 ? (int)x->tensor.dims[1] : 1, strides[i] = i == 0 ? (int)x->tensor.dims[1] : 1;
  return cudnnSetTensorNdDescriptor(derived, 0, x->tensor.count, dims, strides);
}

/* Of a channel and of all, in a batch norm. */
struct norm {
  enum { TRAIN, INFER, BACK } kind;
  struct tensor x, y, dy, dx;
  uint64_t scale, bias, running_mean, running_variance, mean, variance, dscale, dbias, workspace, reserve;
  double alpha, beta, alpha_parameters, beta_parameters, factor, epsilon;
};

/* An element's value of two tensors, summed over all that a channel has. */
static double sum_of(const struct tensor *a, double less, const struct tensor *b, double lessB, int64_t channel, int64_t *count) {
  int64_t index[DIMENSIONS] = {0};
  double sum = 0;
  *count = 0;
  do {
    if (index[1] != channel) continue;
    sum += (dnn_load(a, index) - less) * (b == NULL ? 1 : dnn_load(b, index) - lessB);
    ++*count;
  } while (dnn_next(a->count, a->dims, index));
  return sum;
}

static void normalize(const struct norm *n, int64_t channel, double mean, double inverse) {
  int64_t index[DIMENSIONS] = {0};
  do {
    if (index[1] != channel) continue;
    double value = standin_load(0, n->scale, (uint64_t)channel) * (dnn_load(&n->x, index) - mean) * inverse + standin_load(0, n->bias, (uint64_t)channel);
    dnn_blend(&n->y, index, value, n->alpha, n->beta);
  } while (dnn_next(n->x.count, n->x.dims, index));
}

static void train(const struct norm *n, uint64_t channel) {
  int64_t count;
  double mean = sum_of(&n->x, 0, NULL, 0, (int64_t)channel, &count) / (double)count;
  double variance = sum_of(&n->x, mean, &n->x, mean, (int64_t)channel, &count) / (double)count;
  double inverse = 1 / sqrt(variance + n->epsilon);
  if (n->mean != 0) standin_store(0, n->mean, channel, mean), standin_store(0, n->variance, channel, inverse);
  if (n->running_mean != 0) {
    double unbiased = count > 1 ? variance * (double)count / (double)(count - 1) : variance;
    standin_store(0, n->running_mean, channel, (1 - n->factor) * standin_load(0, n->running_mean, channel) + n->factor * mean);
    standin_store(0, n->running_variance, channel, (1 - n->factor) * standin_load(0, n->running_variance, channel) + n->factor * unbiased);
  }
  normalize(n, (int64_t)channel, mean, inverse);
}

static void back(const struct norm *n, uint64_t channel) {
  int64_t count, index[DIMENSIONS] = {0};
  double mean = standin_load(0, n->mean, channel), inverse = standin_load(0, n->variance, channel);
  double dbias = sum_of(&n->dy, 0, NULL, 0, (int64_t)channel, &count);
  double dscale = sum_of(&n->x, mean, &n->dy, 0, (int64_t)channel, &count) * inverse;
  do {
    if (index[1] != (int64_t)channel) continue;
    double normal = (dnn_load(&n->x, index) - mean) * inverse;
    double value = standin_load(0, n->scale, channel) * inverse * (dnn_load(&n->dy, index) - (dbias + normal * dscale) / (double)count);
    dnn_blend(&n->dx, index, value, n->alpha, n->beta);
  } while (dnn_next(n->x.count, n->x.dims, index));
  standin_store(0, n->dscale, channel, n->alpha_parameters * dscale + (n->beta_parameters == 0 ? 0 : n->beta_parameters * standin_load(0, n->dscale, channel)));
  standin_store(0, n->dbias, channel, n->alpha_parameters * dbias + (n->beta_parameters == 0 ? 0 : n->beta_parameters * standin_load(0, n->dbias, channel)));
}

static int run(struct context *context, void *argument) {
  struct norm *n = argument;
  int result = SUCCESS;
  const struct tensor *tensors[] = {&n->x, &n->y, &n->dy, &n->dx};
  for (int i = 0; i < 4; i++)
    if (tensors[i]->count > 0 && !dnn_reaches(context, tensors[i])) result = ILLEGAL_ADDRESS;
  if (n->workspace != 0) memset((void *)n->workspace, 0x5a, WORKSPACE_BYTES);
  if (n->reserve != 0) memset((void *)n->reserve, 0x5a, RESERVE_BYTES);
  for (uint64_t channel = 0; result == SUCCESS && channel < (uint64_t)n->x.dims[1]; channel++) {
    if (n->kind == TRAIN) train(n, channel);
    else if (n->kind == BACK) back(n, channel);
    else normalize(n, (int64_t)channel, standin_load(0, n->mean, channel), 1 / sqrt(standin_load(0, n->variance, channel) + n->epsilon));
  }
  free(n);
  return result;
}

static int queue(struct dnn *dnn, struct norm norm) {
  struct norm *n = malloc(sizeof *n);
  *n = norm;
  return dnn_queue(dnn, run, n);
}

/* What of a batch norm there is: one over channels and nothing else. */
static int check(int mode, int operations, const struct object *x, const struct object *parameters) {
  if (!is_tensor(x) || !is_tensor(parameters) || x->tensor.dims[1] != parameters->tensor.dims[1]) return dnn_fail(DNN_BAD_PARAM, "tensors do not fit");
  if (mode < 1 || mode > 2 || operations != 0 || x->tensor.type != 0) return dnn_fail(DNN_NOT_SUPPORTED, "no such batch norm");
  return DNN_SUCCESS;
}

API int cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(struct dnn *dnn, int mode, int operations, struct object *x, struct object *z,
                                                                  struct object *y, struct object *parameters, struct object *activation, size_t *bytes) {
  DNN_ASK();
  (void)dnn, (void)z, (void)activation;
  *bytes = WORKSPACE_BYTES;
  return is_tensor(y) ? check(mode, operations, x, parameters) : dnn_fail(DNN_BAD_PARAM, "tensors do not fit");
}

API int cudnnGetBatchNormalizationBackwardExWorkspaceSize(struct dnn *dnn, int mode, int operations, struct object *x, struct object *y, struct object *dy,
                                                           struct object *dz, struct object *dx, struct object *parameters, struct object *activation, size_t *bytes) {
  DNN_ASK();
  (void)dnn, (void)y, (void)dz, (void)activation;
  *bytes = WORKSPACE_BYTES;
  return is_tensor(dy) && is_tensor(dx) ? check(mode, operations, x, parameters) : dnn_fail(DNN_BAD_PARAM, "tensors do not fit");
}

API int cudnnGetBatchNormalizationTrainingExReserveSpaceSize(struct dnn *dnn, int mode, int operations, struct object *activation, struct object *x, size_t *bytes) {
  DNN_ASK();
  (void)dnn, (void)activation;
  *bytes = RESERVE_BYTES;
  return check(mode, operations, x, x);
}

API int cudnnBatchNormalizationForwardInference(struct dnn *dnn, int mode, const float *alpha, const float *beta, struct object *x, uint64_t x_at,
                                                struct object *y, uint64_t y_at, struct object *parameters, uint64_t scale, uint64_t bias, uint64_t mean,
                                                uint64_t variance, double epsilon) {
  DNN_ASK();
  int status = check(mode, 0, x, parameters);
  if (status != DNN_SUCCESS || !is_tensor(y)) return status != DNN_SUCCESS ? status : dnn_fail(DNN_BAD_PARAM, "tensors do not fit");
  return queue(dnn, (struct norm){.kind = INFER, .x = dnn_placed(x, x_at), .y = dnn_placed(y, y_at), .scale = scale, .bias = bias, .mean = mean,
                                  .variance = variance, .alpha = *alpha, .beta = *beta, .epsilon = epsilon});
}

API int cudnnBatchNormalizationForwardTrainingEx(struct dnn *dnn, int mode, int operations, const float *alpha, const float *beta, struct object *x,
                                                 uint64_t x_at, struct object *z, uint64_t z_at, struct object *y, uint64_t y_at, struct object *parameters,
                                                 uint64_t scale, uint64_t bias, double factor, uint64_t running_mean, uint64_t running_variance, double epsilon,
                                                 uint64_t mean, uint64_t inverse, struct object *activation, uint64_t workspace, size_t workspace_bytes,
                                                 uint64_t reserve, size_t reserve_bytes) {
  DNN_ASK();
  (void)z, (void)z_at, (void)activation;
  int status = check(mode, operations, x, parameters);
  if (status != DNN_SUCCESS) return status;
  if (!is_tensor(y) || epsilon < 0 || (mean == 0) != (inverse == 0) || (running_mean == 0) != (running_variance == 0)) return dnn_fail(DNN_BAD_PARAM, "tensors do not fit");
  if (workspace == 0 || workspace_bytes < WORKSPACE_BYTES || reserve == 0 || reserve_bytes < RESERVE_BYTES) return dnn_fail(DNN_SIZE_INSUFFICIENT, "no workspace");
  return queue(dnn, (struct norm){.kind = TRAIN, .x = dnn_placed(x, x_at), .y = dnn_placed(y, y_at), .scale = scale, .bias = bias, .running_mean = running_mean,
                                  .running_variance = running_variance, .mean = mean, .variance = inverse, .workspace = workspace, .reserve = reserve,
                                  .alpha = *alpha, .beta = *beta, .factor = factor, .epsilon = epsilon});
}

API int cudnnBatchNormalizationBackwardEx(struct dnn *dnn, int mode, int operations, const float *alpha, const float *beta, const float *alpha_parameters,
                                          const float *beta_parameters, struct object *x, uint64_t x_at, struct object *y, uint64_t y_at, struct object *dy,
                                          uint64_t dy_at, struct object *dz, uint64_t dz_at, struct object *dx, uint64_t dx_at, struct object *parameters,
                                          uint64_t scale, uint64_t bias, uint64_t dscale, uint64_t dbias, double epsilon, uint64_t mean, uint64_t inverse,
                                          struct object *activation, uint64_t workspace, size_t workspace_bytes, uint64_t reserve, size_t reserve_bytes) {
  DNN_ASK();
  (void)y, (void)y_at, (void)dz, (void)dz_at, (void)bias, (void)epsilon, (void)activation;
  int status = check(mode, operations, x, parameters);
  if (status != DNN_SUCCESS) return status;
  if (!is_tensor(dy) || !is_tensor(dx) || mean == 0 || inverse == 0) return dnn_fail(DNN_BAD_PARAM, "tensors do not fit");
  if (workspace == 0 || workspace_bytes < WORKSPACE_BYTES || reserve == 0 || reserve_bytes < RESERVE_BYTES) return dnn_fail(DNN_SIZE_INSUFFICIENT, "no workspace");
  return queue(dnn, (struct norm){.kind = BACK, .x = dnn_placed(x, x_at), .dy = dnn_placed(dy, dy_at), .dx = dnn_placed(dx, dx_at), .scale = scale, .dscale = dscale,
                                  .dbias = dbias, .mean = mean, .variance = inverse, .workspace = workspace, .alpha = *alpha, .beta = *beta,
                                  .alpha_parameters = *alpha_parameters, .beta_parameters = *beta_parameters});
}

API int cudnnBatchNormalizationForwardTraining(struct dnn *dnn, int mode, const float *alpha, const float *beta, struct object *x, uint64_t x_at, struct object *y,
                                               uint64_t y_at, struct object *parameters, uint64_t scale, uint64_t bias, double factor, uint64_t running_mean,
                                               uint64_t running_variance, double epsilon, uint64_t mean, uint64_t inverse) {
  DNN_ASK();
  int status = check(mode, 0, x, parameters);
  if (status != DNN_SUCCESS) return status;
  if (!is_tensor(y) || (mean == 0) != (inverse == 0) || (running_mean == 0) != (running_variance == 0)) return dnn_fail(DNN_BAD_PARAM, "tensors do not fit");
  return queue(dnn, (struct norm){.kind = TRAIN, .x = dnn_placed(x, x_at), .y = dnn_placed(y, y_at), .scale = scale, .bias = bias, .running_mean = running_mean,
                                  .running_variance = running_variance, .mean = mean, .variance = inverse, .alpha = *alpha, .beta = *beta, .factor = factor,
                                  .epsilon = epsilon});
}

API int cudnnBatchNormalizationBackward(struct dnn *dnn, int mode, const float *alpha, const float *beta, const float *alpha_parameters, const float *beta_parameters,
                                        struct object *x, uint64_t x_at, struct object *dy, uint64_t dy_at, struct object *dx, uint64_t dx_at,
                                        struct object *parameters, uint64_t scale, uint64_t dscale, uint64_t dbias, double epsilon, uint64_t mean, uint64_t inverse) {
  DNN_ASK();
  (void)epsilon;
  int status = check(mode, 0, x, parameters);
  if (status != DNN_SUCCESS) return status;
  if (!is_tensor(dy) || !is_tensor(dx) || mean == 0 || inverse == 0) return dnn_fail(DNN_BAD_PARAM, "tensors do not fit");
  return queue(dnn, (struct norm){.kind = BACK, .x = dnn_placed(x, x_at), .dy = dnn_placed(dy, dy_at), .dx = dnn_placed(dx, dx_at), .scale = scale,
                                  .dscale = dscale, .dbias = dbias, .mean = mean, .variance = inverse, .alpha = *alpha, .beta = *beta,
                                  .alpha_parameters = *alpha_parameters, .beta_parameters = *beta_parameters});
}
