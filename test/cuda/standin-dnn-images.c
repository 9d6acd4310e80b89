/* The stand-in's cuDNN: convolutions by functions of their own, pooling, and spatial transformers. Algorithm 1 of a convolution wants a workspace. */
#include "standin-dnn-objects.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHMS 2
#define WORKSPACE_BYTES 256
#define SPATIAL 4

/* Of a convolution: how many dimensions, then padding, strides and dilations, the mode, groups, and what makes no difference. */
enum { COUNT, PADDING, STRIDE = PADDING + SPATIAL, DILATION = STRIDE + SPATIAL, MODE = DILATION + SPATIAL, COMPUTE, GROUPS, MATH, REORDER };

API int cudnnSetConvolutionNdDescriptor(struct object *o, int count, const int *padding, const int *stride, const int *dilation, int mode, int compute) {
  DNN_ASK();
  if (o->kind != CONVOLUTION || count < 1 || count > SPATIAL || mode < 0 || mode > 1) return dnn_fail(DNN_BAD_PARAM, "no convolution");
  for (int i = 0; i < count; i++) {
    if (padding[i] < 0 || stride[i] < 1 || dilation[i] < 1) return dnn_fail(DNN_BAD_PARAM, "no convolution");
    o->numbers[PADDING + i] = padding[i], o->numbers[STRIDE + i] = stride[i], o->numbers[DILATION + i] = dilation[i];
  }
  o->numbers[COUNT] = count, o->numbers[MODE] = mode, o->numbers[COMPUTE] = compute;
  o->is_set = true;
  return DNN_SUCCESS;
}

API int cudnnSetConvolution2dDescriptor(struct object *o, int pad_h, int pad_w, int u, int v, int dilation_h, int dilation_w, int mode, int compute) {
  DNN_ASK();
  int padding[] = {pad_h, pad_w}, stride[] = {u, v}, dilation[] = {dilation_h, dilation_w};
  return cudnnSetConvolutionNdDescriptor(o, 2, padding, stride, dilation, mode, compute);
}

API int cudnnGetConvolutionNdDescriptor(struct object *o, int wanted, int *count, int *padding, int *stride, int *dilation, int *mode, int *compute) {
  DNN_ASK();
  if (!dnn_is(o, CONVOLUTION)) return dnn_fail(DNN_BAD_PARAM, "no convolution");
  *count = o->numbers[COUNT], *mode = o->numbers[MODE], *compute = o->numbers[COMPUTE];
  for (int i = 0; i < wanted && i < *count; i++)
    padding[i] = o->numbers[PADDING + i], stride[i] = o->numbers[STRIDE + i], dilation[i] = o->numbers[DILATION + i];
  return DNN_SUCCESS;
}

API int cudnnGetConvolution2dDescriptor(struct object *o, int *pad_h, int *pad_w, int *u, int *v, int *dilation_h, int *dilation_w, int *mode, int *compute) {
  DNN_ASK();
  int count, padding[2], stride[2], dilation[2];
  int status = cudnnGetConvolutionNdDescriptor(o, 2, &count, padding, stride, dilation, mode, compute);
  if (status != DNN_SUCCESS || count != 2) return dnn_fail(DNN_BAD_PARAM, "no convolution in two dimensions");
  *pad_h = padding[0], *pad_w = padding[1], *u = stride[0], *v = stride[1], *dilation_h = dilation[0], *dilation_w = dilation[1];
  return DNN_SUCCESS;
}

#define CHOICE(Name, place, least, most)                                             \
  API int cudnnSetConvolution##Name(struct object *o, int value) {                   \
    DNN_ASK();                                                                       \
    if (value < (least) || value > (most)) return dnn_fail(DNN_BAD_PARAM, "no such choice"); \
    o->numbers[place] = value;                                                       \
    return DNN_SUCCESS;                                                              \
  }                                                                                  \
  API int cudnnGetConvolution##Name(struct object *o, int *value) {                  \
    DNN_ASK();                                                                       \
    *value = o->numbers[place];                                                      \
    return DNN_SUCCESS;                                                              \
  }
CHOICE(MathType, MATH, 0, 3)
CHOICE(GroupCount, GROUPS, 1, 1 << 16)
CHOICE(ReorderType, REORDER, 0, 1)

/* Dimensions of what a convolution makes of x, or a status. */
static int made_of(const struct object *x, const struct object *w, const struct object *how, int64_t *dims) {
  if (!dnn_is(x, TENSOR) || !dnn_is(w, FILTER) || !dnn_is(how, CONVOLUTION)) return dnn_fail(DNN_BAD_PARAM, "a descriptor is not set");
  int groups = how->numbers[GROUPS] == 0 ? 1 : how->numbers[GROUPS], count = how->numbers[COUNT];
  bool fits = x->tensor.count == count + 2 && w->tensor.count == count + 2 && x->tensor.dims[1] == w->tensor.dims[1] * groups && w->tensor.dims[0] % groups == 0;
  if (!fits) return dnn_fail(DNN_BAD_PARAM, "tensor, filter and convolution do not fit");
  dims[0] = x->tensor.dims[0], dims[1] = w->tensor.dims[0];
  for (int i = 0; i < count; i++)
    dims[2 + i] = (x->tensor.dims[2 + i] + 2 * how->numbers[PADDING + i] - ((w->tensor.dims[2 + i] - 1) * how->numbers[DILATION + i] + 1)) / how->numbers[STRIDE + i] + 1;
  return DNN_SUCCESS;
}

API int cudnnGetConvolutionNdForwardOutputDim(struct object *how, struct object *x, struct object *w, int count, int *dims) {
  DNN_ASK();
  int64_t made[DIMENSIONS];
  int status = made_of(x, w, how, made);
  for (int i = 0; status == DNN_SUCCESS && i < count && i < x->tensor.count; i++) dims[i] = (int)made[i];
  return status;
}

API int cudnnGetConvolution2dForwardOutputDim(struct object *how, struct object *x, struct object *w, int *n, int *c, int *h, int *w_out) {
  DNN_ASK();
  int dims[4];
  int status = cudnnGetConvolutionNdForwardOutputDim(how, x, w, 4, dims);
  if (status == DNN_SUCCESS) *n = dims[0], *c = dims[1], *h = dims[2], *w_out = dims[3];
  return status;
}

/* One of the three kinds of work, by the numbers of graphs: 10 makes y, 11 w, 12 x. */
struct convolving {
  int kind;
  struct object *x, *w, *y, *how;
  uint64_t x_at, w_at, y_at;
};

static int check(const struct convolving *c) {
  int64_t dims[DIMENSIONS];
  int status = made_of(c->x, c->w, c->how, dims);
  if (status != DNN_SUCCESS) return status;
  bool fits = dnn_is(c->y, TENSOR) && c->y->tensor.count == c->x->tensor.count && memcmp(dims, c->y->tensor.dims, (size_t)c->y->tensor.count * sizeof *dims) == 0;
  return fits ? DNN_SUCCESS : dnn_fail(DNN_BAD_PARAM, "the result has other dimensions");
}

static int64_t wanted_of(int algorithm) { return algorithm == 1 ? WORKSPACE_BYTES : 0; }

static void convolve(const struct job *job) {
  if (job->tensors[3].at != 0) memset((void *)job->tensors[3].at, 0x5a, (size_t)job->numbers[0]);
  dnn_compute(&job->operation);
}

static struct job job_of(const struct convolving *c, double alpha, double beta, uint64_t workspace, int algorithm) {
  struct job job = {.compute = convolve, .tensors = {dnn_placed(c->x, c->x_at), dnn_placed(c->w, c->w_at), dnn_placed(c->y, c->y_at)}, .numbers = {wanted_of(algorithm)}};
  if (job.numbers[0] > 0) job.tensors[3] = dnn_memory(workspace, 0, job.numbers[0] / 4);
  job.operation = (struct operation){.kind = c->kind, .alpha = alpha, .beta = beta, .x = job.tensors[0], .w = job.tensors[1], .y = job.tensors[2]};
  for (int i = 0; i < SPATIAL; i++) {
    job.operation.convolution.before[i] = c->how->numbers[PADDING + i];
    job.operation.convolution.stride[i] = c->how->numbers[STRIDE + i];
    job.operation.convolution.dilation[i] = c->how->numbers[DILATION + i];
  }
  job.operation.convolution.flips = c->how->numbers[MODE] == 0;
  return job;
}

static int start(const struct convolving *c, int algorithm, uint64_t workspace, size_t bytes) {
  int status = check(c);
  if (status != DNN_SUCCESS) return status;
  if (algorithm < 0 || algorithm >= ALGORITHMS) return dnn_fail(DNN_NOT_SUPPORTED, "no such algorithm");
  if ((int64_t)bytes < wanted_of(algorithm) || (workspace == 0 && wanted_of(algorithm) > 0)) return dnn_fail(DNN_SIZE_INSUFFICIENT, "no workspace");
  return DNN_SUCCESS;
}

static int work(struct dnn *dnn, const struct convolving *c, const void *alpha, const void *beta, int algorithm, uint64_t workspace, size_t bytes) {
  int status = start(c, algorithm, workspace, bytes);
  if (status != DNN_SUCCESS) return status;
  struct job job = job_of(c, dnn_factor(alpha, c->x), dnn_factor(beta, c->x), workspace, algorithm);
  return dnn_queue_job(dnn, &job);
}

struct perf {
  int algorithm, status;
  float milliseconds;
  size_t workspace;
  int determinism, math, reserved[3];
};

/* The algorithms, those first that want more, of what there is room for. */
static int rank(const struct convolving *c, int64_t room, int wanted, int *found, struct perf *perfs) {
  int status = check(c);
  if (status != DNN_SUCCESS || wanted < 1) return status != DNN_SUCCESS ? status : dnn_fail(DNN_BAD_PARAM, "nothing is asked for");
  *found = 0;
  for (int i = ALGORITHMS - 1; i >= 0; i--)
    if (*found < wanted && wanted_of(i) <= room)
      perfs[(*found)++] = (struct perf){.algorithm = i, .milliseconds = 0.5f / (float)(i + 1), .workspace = (size_t)wanted_of(i), .determinism = 1, .math = c->how->numbers[MATH]};
  return DNN_SUCCESS;
}

static int find(struct dnn *dnn, const struct convolving *c, int wanted, int *found, struct perf *perfs, uint64_t workspace, size_t bytes) {
  int status = rank(c, workspace == 0 ? 0 : (int64_t)bytes, wanted, found, perfs);
  if (status != DNN_SUCCESS) return status;
  struct job job = job_of(c, 1, 0, workspace, perfs[0].algorithm);
  return dnn_queue_job(dnn, &job);
}

static int ask(const struct convolving *c, int algorithm, size_t *bytes) {
  int status = check(c);
  if (status != DNN_SUCCESS || algorithm < 0 || algorithm >= ALGORITHMS) return status != DNN_SUCCESS ? status : dnn_fail(DNN_NOT_SUPPORTED, "no such algorithm");
  *bytes = (size_t)wanted_of(algorithm);
  return DNN_SUCCESS;
}

#define COUNT_OF(Kind)                                                                       \
  API int cudnnGetConvolution##Kind##AlgorithmMaxCount(struct dnn *dnn, int *count) {        \
    DNN_ASK();                                                                               \
    (void)dnn;                                                                               \
    *count = ALGORITHMS;                                                                     \
    return DNN_SUCCESS;                                                                      \
  }
COUNT_OF(Forward)
COUNT_OF(BackwardData)
COUNT_OF(BackwardFilter)

/* Each kind's functions take the same in another order: the descriptors a, b and r, which are x, w and y by another name. */
#define KIND(Kind, number, a, b, r)                                                                                                                  \
  API int cudnnGetConvolution##Kind##Algorithm_v7(struct dnn *dnn, struct object *a, struct object *b, struct object *how, struct object *r, int wanted, int *found, \
                                                  struct perf *perfs) {                                                                              \
    DNN_ASK();                                                                                                                                       \
    (void)dnn;                                                                                                                                       \
    return rank(&(struct convolving){.kind = number, .x = x, .w = w, .y = y, .how = how}, 1 << 20, wanted, found, perfs);                            \
  }                                                                                                                                                  \
  API int cudnnFindConvolution##Kind##AlgorithmEx(struct dnn *dnn, struct object *a, uint64_t a##_at, struct object *b, uint64_t b##_at, struct object *how, \
                                                  struct object *r, uint64_t r##_at, int wanted, int *found, struct perf *perfs, uint64_t workspace, size_t bytes) { \
    DNN_ASK();                                                                                                                                       \
    return find(dnn, &(struct convolving){number, x, w, y, how, x_at, w_at, y_at}, wanted, found, perfs, workspace, bytes);                          \
  }                                                                                                                                                  \
  API int cudnnGetConvolution##Kind##WorkspaceSize(struct dnn *dnn, struct object *a, struct object *b, struct object *how, struct object *r, int algorithm, \
                                                   size_t *bytes) {                                                                                  \
    DNN_ASK();                                                                                                                                       \
    (void)dnn;                                                                                                                                       \
    return ask(&(struct convolving){.kind = number, .x = x, .w = w, .y = y, .how = how}, algorithm, bytes);                                          \
  }                                                                                                                                                  \
  API int cudnnConvolution##Kind(struct dnn *dnn, const void *alpha, struct object *a, uint64_t a##_at, struct object *b, uint64_t b##_at, struct object *how, \
                                 int algorithm, uint64_t workspace, size_t bytes, const void *beta, struct object *r, uint64_t r##_at) {             \
    DNN_ASK();                                                                                                                                       \
    return work(dnn, &(struct convolving){number, x, w, y, how, x_at, w_at, y_at}, alpha, beta, algorithm, workspace, bytes);                        \
  }
KIND(Forward, 10, x, w, y)
KIND(BackwardData, 12, w, y, x)
KIND(BackwardFilter, 11, x, y, w)

/* y becomes what the activation makes of the convolution, z and a bias; z may lie where y does. */
static void convolve_more(const struct job *job) {
  const struct tensor *y = &job->tensors[2], *z = &job->tensors[4], *bias = &job->tensors[5];
  int64_t index[DIMENSIONS] = {0}, place = 0;
  double *more = malloc((size_t)dnn_extent(y) * sizeof *more);
  do {
    int64_t channel[DIMENSIONS] = {0, index[1]};
    more[place++] = job->factors[0] * dnn_load(z, index) + dnn_load(bias, channel);
  } while (dnn_next(y->count, y->dims, index));
  convolve(job);
  place = 0;
  do dnn_store(y, index, dnn_activate(&job->how, dnn_load(y, index) + more[place++]));
  while (dnn_next(y->count, y->dims, index));
  free(more);
}

API int cudnnConvolutionBiasActivationForward(struct dnn *dnn, const void *alpha, struct object *x, uint64_t x_at, struct object *w, uint64_t w_at, struct object *how,
                                              int algorithm, uint64_t workspace, size_t bytes, const void *alpha2, struct object *z, uint64_t z_at, struct object *bias,
                                              uint64_t bias_at, struct object *activation, struct object *y, uint64_t y_at) {
  DNN_ASK();
  const struct convolving c = {10, x, w, y, how, x_at, w_at, y_at};
  int status = start(&c, algorithm, workspace, bytes);
  if (status != DNN_SUCCESS) return status;
  bool fits = dnn_is(z, TENSOR) && dnn_same_dims(z, y) && dnn_is(bias, TENSOR) && bias->tensor.dims[1] == y->tensor.dims[1] && dnn_is(activation, ACTIVATION);
  if (!fits) return dnn_fail(DNN_BAD_PARAM, "z, bias and activation do not fit");
  struct job job = job_of(&c, dnn_factor(alpha, x), 0, workspace, algorithm);
  job.compute = convolve_more, job.how = *activation, job.factors[0] = dnn_factor(alpha2, x);
  job.tensors[4] = dnn_placed(z, z_at), job.tensors[5] = dnn_placed(bias, bias_at);
  return dnn_queue_job(dnn, &job);
}

static void add_up(const struct job *job) {
  const struct tensor *dy = &job->tensors[0], *db = &job->tensors[1];
  for (int64_t channel = 0; channel < db->dims[1]; channel++) {
    int64_t index[DIMENSIONS] = {0}, place[DIMENSIONS] = {0, channel};
    double sum = 0;
    do sum += index[1] == channel ? dnn_load(dy, index) : 0;
    while (dnn_next(dy->count, dy->dims, index));
    dnn_blend(db, place, sum, job->factors[0], job->factors[1]);
  }
}

API int cudnnConvolutionBackwardBias(struct dnn *dnn, const void *alpha, struct object *dy, uint64_t dy_at, const void *beta, struct object *db, uint64_t db_at) {
  DNN_ASK();
  if (!dnn_is(dy, TENSOR) || !dnn_is(db, TENSOR) || dy->tensor.dims[1] != db->tensor.dims[1]) return dnn_fail(DNN_BAD_PARAM, "tensors do not fit");
  struct job job = {.compute = add_up, .tensors = {dnn_placed(dy, dy_at), dnn_placed(db, db_at)}, .factors = {dnn_factor(alpha, dy), dnn_factor(beta, dy)}};
  return dnn_queue_job(dnn, &job);
}

/* Of pooling: mode, what is done with NaN, how many dimensions, then windows, padding and strides. */
enum { P_MODE, P_NAN, P_COUNT, P_WINDOW, P_PADDING = P_WINDOW + SPATIAL, P_STRIDE = P_PADDING + SPATIAL };

API int cudnnSetPoolingNdDescriptor(struct object *o, int mode, int nan, int count, const int *window, const int *padding, const int *stride) {
  DNN_ASK();
  if (o->kind != POOLING || mode < 0 || mode > 3 || count < 1 || count > SPATIAL) return dnn_fail(DNN_BAD_PARAM, "no pooling");
  for (int i = 0; i < count; i++) {
    if (window[i] < 1 || padding[i] < 0 || padding[i] >= window[i] || stride[i] < 1) return dnn_fail(DNN_BAD_PARAM, "no pooling");
    o->numbers[P_WINDOW + i] = window[i], o->numbers[P_PADDING + i] = padding[i], o->numbers[P_STRIDE + i] = stride[i];
  }
  o->numbers[P_MODE] = mode, o->numbers[P_NAN] = nan, o->numbers[P_COUNT] = count;
  o->is_set = true;
  return DNN_SUCCESS;
}

API int cudnnSetPooling2dDescriptor(struct object *o, int mode, int nan, int height, int width, int pad_h, int pad_w, int stride_h, int stride_w) {
  DNN_ASK();
  int window[] = {height, width}, padding[] = {pad_h, pad_w}, stride[] = {stride_h, stride_w};
  return cudnnSetPoolingNdDescriptor(o, mode, nan, 2, window, padding, stride);
}

API int cudnnGetPoolingNdDescriptor(struct object *o, int wanted, int *mode, int *nan, int *count, int *window, int *padding, int *stride) {
  DNN_ASK();
  if (!dnn_is(o, POOLING)) return dnn_fail(DNN_BAD_PARAM, "no pooling");
  *mode = o->numbers[P_MODE], *nan = o->numbers[P_NAN], *count = o->numbers[P_COUNT];
  for (int i = 0; i < wanted && i < *count; i++) window[i] = o->numbers[P_WINDOW + i], padding[i] = o->numbers[P_PADDING + i], stride[i] = o->numbers[P_STRIDE + i];
  return DNN_SUCCESS;
}

API int cudnnGetPooling2dDescriptor(struct object *o, int *mode, int *nan, int *height, int *width, int *pad_h, int *pad_w, int *stride_h, int *stride_w) {
  DNN_ASK();
  int count, window[2], padding[2], stride[2];
  int status = cudnnGetPoolingNdDescriptor(o, 2, mode, nan, &count, window, padding, stride);
  if (status == DNN_SUCCESS) *height = window[0], *width = window[1], *pad_h = padding[0], *pad_w = padding[1], *stride_h = stride[0], *stride_w = stride[1];
  return status;
}

API int cudnnGetPoolingNdForwardOutputDim(struct object *o, struct object *x, int count, int *dims) {
  DNN_ASK();
  if (!dnn_is(o, POOLING) || !dnn_is(x, TENSOR) || x->tensor.count != o->numbers[P_COUNT] + 2) return dnn_fail(DNN_BAD_PARAM, "tensor and pooling do not fit");
  for (int i = 0; i < count && i < x->tensor.count; i++) {
    int64_t size = x->tensor.dims[i];
    dims[i] = i < 2 ? (int)size : (int)((size + 2 * o->numbers[P_PADDING + i - 2] - o->numbers[P_WINDOW + i - 2]) / o->numbers[P_STRIDE + i - 2] + 1);
  }
  return DNN_SUCCESS;
}

API int cudnnGetPooling2dForwardOutputDim(struct object *o, struct object *x, int *n, int *c, int *h, int *w) {
  DNN_ASK();
  int dims[4];
  int status = cudnnGetPoolingNdForwardOutputDim(o, x, 4, dims);
  if (status == DNN_SUCCESS) *n = dims[0], *c = dims[1], *h = dims[2], *w = dims[3];
  return status;
}

/* Where in x an element of a window is; false in the padding. */
static bool in_window(const struct object *how, const struct tensor *x, const int64_t *y, const int64_t *window, int64_t *place) {
  place[0] = y[0], place[1] = y[1];
  for (int i = 0; i < x->count - 2; i++) {
    place[2 + i] = y[2 + i] * how->numbers[P_STRIDE + i] - how->numbers[P_PADDING + i] + window[i];
    if (place[2 + i] < 0 || place[2 + i] >= x->dims[2 + i]) return false;
  }
  return true;
}

/* Of one window: its largest element's place, how many elements it has of x, and their sum. */
struct window {
  int64_t largest[DIMENSIONS], inside, all;
  double most, sum;
};

static struct window look(const struct object *how, const struct tensor *x, const int64_t *y) {
  struct window found = {.most = -INFINITY};
  int64_t dims[SPATIAL], at[SPATIAL] = {0}, place[DIMENSIONS];
  for (int i = 0; i < how->numbers[P_COUNT]; i++) dims[i] = how->numbers[P_WINDOW + i];
  do {
    found.all++;
    if (!in_window(how, x, y, at, place)) continue;
    double value = dnn_load(x, place);
    found.inside++;
    found.sum += value;
    if (value <= found.most) continue;
    found.most = value;
    memcpy(found.largest, place, sizeof place);
  } while (dnn_next(how->numbers[P_COUNT], dims, at));
  return found;
}

static void pool(const struct job *job) {
  const struct tensor *x = &job->tensors[0], *y = &job->tensors[1];
  int64_t index[DIMENSIONS] = {0};
  do {
    struct window window = look(&job->how, x, index);
    int mode = job->how.numbers[P_MODE];
    double value = mode == 0 || mode == 3 ? window.most : window.sum / (double)(mode == 1 ? window.all : window.inside);
    dnn_blend(y, index, value, job->factors[0], job->factors[1]);
  } while (dnn_next(y->count, y->dims, index));
}

static void pool_back(const struct job *job) {
  const struct tensor *x = &job->tensors[0], *dy = &job->tensors[2], *dx = &job->tensors[3];
  int mode = job->how.numbers[P_MODE];
  int64_t index[DIMENSIONS] = {0}, dims[SPATIAL], at[SPATIAL] = {0}, place[DIMENSIONS];
  for (int i = 0; i < job->how.numbers[P_COUNT]; i++) dims[i] = job->how.numbers[P_WINDOW + i];
  do dnn_blend(dx, index, 0, 1, job->factors[1]);
  while (dnn_next(dx->count, dx->dims, index));
  do {
    struct window window = look(&job->how, x, index);
    double share = job->factors[0] * dnn_load(dy, index);
    if (mode == 0 || mode == 3) {
      dnn_blend(dx, window.largest, share, 1, 1);
      continue;
    }
    do
      if (in_window(&job->how, x, index, at, place)) dnn_blend(dx, place, share / (double)(mode == 1 ? window.all : window.inside), 1, 1);
    while (dnn_next(job->how.numbers[P_COUNT], dims, at));
  } while (dnn_next(dy->count, dy->dims, index));
}

static bool is_pooled(const struct object *o, const struct object *x, const struct object *y) {
  int dims[DIMENSIONS];
  if (!dnn_is(y, TENSOR) || cudnnGetPoolingNdForwardOutputDim((struct object *)o, (struct object *)x, DIMENSIONS, dims) != DNN_SUCCESS) return false;
  bool fits = y->tensor.count == x->tensor.count;
  for (int i = 0; fits && i < y->tensor.count; i++) fits = y->tensor.dims[i] == dims[i];
  return fits;
}

API int cudnnPoolingForward(struct dnn *dnn, struct object *how, const void *alpha, struct object *x, uint64_t x_at, const void *beta, struct object *y, uint64_t y_at) {
  DNN_ASK();
  if (!is_pooled(how, x, y)) return dnn_fail(DNN_BAD_PARAM, "tensors and pooling do not fit");
  struct job job = {.compute = pool, .how = *how, .tensors = {dnn_placed(x, x_at), dnn_placed(y, y_at)}, .factors = {dnn_factor(alpha, x), dnn_factor(beta, x)}};
  return dnn_queue_job(dnn, &job);
}

API int cudnnPoolingBackward(struct dnn *dnn, struct object *how, const void *alpha, struct object *y, uint64_t y_at, struct object *dy, uint64_t dy_at, struct object *x,
                             uint64_t x_at, const void *beta, struct object *dx, uint64_t dx_at) {
  DNN_ASK();
  if (!is_pooled(how, x, y) || !is_pooled(how, x, dy) || !dnn_is(dx, TENSOR) || !dnn_same_dims(x, dx)) return dnn_fail(DNN_BAD_PARAM, "tensors and pooling do not fit");
  struct job job = {.compute = pool_back, .how = *how, .tensors = {dnn_placed(x, x_at), dnn_placed(y, y_at), dnn_placed(dy, dy_at), dnn_placed(dx, dx_at)},
                    .factors = {dnn_factor(alpha, x), dnn_factor(beta, x)}};
  return dnn_queue_job(dnn, &job);
}

/* Of a spatial transformer: images, channels, height and width of what it makes. */
API int cudnnSetSpatialTransformerNdDescriptor(struct object *o, int sampler, int type, int count, const int *dims) {
  DNN_ASK();
  if (sampler != 0 || type != 0 || count != 4) return dnn_fail(DNN_NOT_SUPPORTED, "no such spatial transformer");
  for (int i = 0; i < count; i++)
    if (dims[i] < 1) return dnn_fail(DNN_BAD_PARAM, "dimensions are from 1");
  SET(o, SPATIAL_TRANSFORMER, dims[0], dims[1], dims[2], dims[3]);
  return DNN_SUCCESS;
}

static float *place_of(uint64_t at, const struct object *how, int image, int row, int column) {
  return (float *)at + 2 * ((image * how->numbers[2] + row) * how->numbers[3] + column);
}

/* From -1 in the middle of the first element to 1 in that of the last. */
static double normal(int index, int count) { return count == 1 ? 0 : -1 + 2.0 * index / (count - 1); }

static void lay_grid(const struct job *job) {
  const struct object *how = &job->how;
  for (int n = 0; n < how->numbers[0]; n++)
    for (int i = 0; i < how->numbers[2]; i++)
      for (int j = 0; j < how->numbers[3]; j++) {
        const double from[] = {normal(j, how->numbers[3]), normal(i, how->numbers[2]), 1};
        for (int row = 0; row < 2; row++) {
          float *theta = (float *)job->tensors[0].at + 6 * n + 3 * row, *to = place_of(job->tensors[1].at, how, n, i, j) + row;
          if (job->numbers[0] == 0) *to = (float)(theta[0] * from[0] + theta[1] * from[1] + theta[2]);
          else for (int column = 0; column < 3; column++) theta[column] = (i == 0 && j == 0 ? 0 : theta[column]) + (float)(*to * from[column]);
        }
      }
}

static int generate(struct dnn *dnn, const struct object *how, uint64_t theta, uint64_t grid, bool is_back) {
  if (!dnn_is(how, SPATIAL_TRANSFORMER)) return dnn_fail(DNN_BAD_PARAM, "no spatial transformer");
  const int *dims = how->numbers;
  struct job job = {.compute = lay_grid, .how = *how, .tensors = {dnn_memory(theta, 0, 6 * dims[0]), dnn_memory(grid, 0, 2 * dims[0] * dims[2] * dims[3])}, .numbers = {is_back}};
  return dnn_queue_job(dnn, &job);
}

API int cudnnSpatialTfGridGeneratorForward(struct dnn *dnn, struct object *how, uint64_t theta, uint64_t grid) {
  DNN_ASK();
  return generate(dnn, how, theta, grid, false);
}

API int cudnnSpatialTfGridGeneratorBackward(struct dnn *dnn, struct object *how, uint64_t dgrid, uint64_t dtheta) {
  DNN_ASK();
  return generate(dnn, how, dtheta, dgrid, true);
}

/* One of the four elements around a place: where, with which weight, and how that grows with x and y. */
struct corner {
  int64_t at[4];
  double weight, by_x, by_y;
  bool is_inside;
};

static struct corner corner_of(const struct tensor *x, const float *place, int64_t image, int64_t channel, int which) {
  double scale_x = (double)(x->dims[3] - 1) / 2, scale_y = (double)(x->dims[2] - 1) / 2;
  double column = (place[0] + 1) * scale_x, row = (place[1] + 1) * scale_y;
  double right = column - floor(column), below = row - floor(row);
  double part_x = which % 2 == 0 ? 1 - right : right, part_y = which / 2 == 0 ? 1 - below : below;
  struct corner corner = {.at = {image, channel, (int64_t)floor(row) + which / 2, (int64_t)floor(column) + which % 2}, .weight = part_x * part_y};
  corner.by_x = (which % 2 == 0 ? -part_y : part_y) * scale_x;
  corner.by_y = (which / 2 == 0 ? -part_x : part_x) * scale_y;
  corner.is_inside = corner.at[2] >= 0 && corner.at[2] < x->dims[2] && corner.at[3] >= 0 && corner.at[3] < x->dims[3];
  return corner;
}

static void sample(const struct job *job) {
  const struct tensor *x = &job->tensors[0], *y = &job->tensors[2];
  int64_t index[DIMENSIONS] = {0};
  do {
    double sum = 0;
    for (int which = 0; which < 4; which++) {
      struct corner corner = corner_of(x, place_of(job->tensors[1].at, &job->how, (int)index[0], (int)index[2], (int)index[3]), index[0], index[1], which);
      if (corner.is_inside) sum += corner.weight * dnn_load(x, corner.at);
    }
    dnn_blend(y, index, sum, job->factors[0], job->factors[1]);
  } while (dnn_next(y->count, y->dims, index));
}

static void sample_back(const struct job *job) {
  const struct tensor *x = &job->tensors[0], *grid = &job->tensors[1], *dy = &job->tensors[2], *dx = &job->tensors[3], *dgrid = &job->tensors[4];
  int64_t index[DIMENSIONS] = {0};
  double *slopes = calloc((size_t)dgrid->dims[0], sizeof *slopes);
  do dnn_blend(dx, index, 0, 1, job->factors[1]);
  while (dnn_next(dx->count, dx->dims, index));
  do {
    const float *place = place_of(grid->at, &job->how, (int)index[0], (int)index[2], (int)index[3]);
    double by = dnn_load(dy, index), *slope = slopes + (place - (const float *)grid->at);
    for (int which = 0; which < 4; which++) {
      struct corner corner = corner_of(x, place, index[0], index[1], which);
      if (!corner.is_inside) continue;
      dnn_blend(dx, corner.at, job->factors[0] * by * corner.weight, 1, 1);
      slope[0] += by * corner.by_x * dnn_load(x, corner.at), slope[1] += by * corner.by_y * dnn_load(x, corner.at);
    }
  } while (dnn_next(dy->count, dy->dims, index));
  for (int64_t i = 0; i < dgrid->dims[0]; i++) dnn_blend(dgrid, &i, slopes[i], job->factors[2], job->factors[3]);
  free(slopes);
}

/* Whether y is what the transformer makes of x. */
static bool is_sampled(const struct object *how, const struct object *x, const struct object *y) {
  bool fits = dnn_is(how, SPATIAL_TRANSFORMER) && dnn_is(x, TENSOR) && dnn_is(y, TENSOR) && x->tensor.count == 4 && y->tensor.count == 4;
  for (int i = 0; fits && i < 4; i++) fits = y->tensor.dims[i] == how->numbers[i] && (i > 1 || x->tensor.dims[i] == how->numbers[i]);
  return fits;
}

static struct tensor grid_of(const struct object *how, uint64_t at) { return dnn_memory(at, 0, 2 * how->numbers[0] * how->numbers[2] * how->numbers[3]); }

API int cudnnSpatialTfSamplerForward(struct dnn *dnn, struct object *how, const void *alpha, struct object *x, uint64_t x_at, uint64_t grid, const void *beta, struct object *y,
                                     uint64_t y_at) {
  DNN_ASK();
  if (!is_sampled(how, x, y)) return dnn_fail(DNN_BAD_PARAM, "tensors and spatial transformer do not fit");
  struct job job = {.compute = sample, .how = *how, .tensors = {dnn_placed(x, x_at), grid_of(how, grid), dnn_placed(y, y_at)}, .factors = {dnn_factor(alpha, x), dnn_factor(beta, x)}};
  return dnn_queue_job(dnn, &job);
}

API int cudnnSpatialTfSamplerBackward(struct dnn *dnn, struct object *how, const void *alpha, struct object *x, uint64_t x_at, const void *beta, struct object *dx, uint64_t dx_at,
                                      const void *alpha_grid, struct object *dy, uint64_t dy_at, uint64_t grid, const void *beta_grid, uint64_t dgrid) {
  DNN_ASK();
  if (!is_sampled(how, x, dy) || !dnn_is(dx, TENSOR) || !dnn_same_dims(x, dx)) return dnn_fail(DNN_BAD_PARAM, "tensors and spatial transformer do not fit");
  struct job job = {.compute = sample_back, .how = *how,
                    .tensors = {dnn_placed(x, x_at), grid_of(how, grid), dnn_placed(dy, dy_at), dnn_placed(dx, dx_at), grid_of(how, dgrid)},
                    .factors = {dnn_factor(alpha, x), dnn_factor(beta, x), dnn_factor(alpha_grid, x), dnn_factor(beta_grid, x)}};
  return dnn_queue_job(dnn, &job);
}
