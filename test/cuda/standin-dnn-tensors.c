/* The stand-in's cuDNN: what is done to whole tensors, element by element or over a part of their dimensions, and dropout. */
#include "standin-dnn-objects.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double dnn_activate(const struct object *activation, double x) {
  double coefficient = activation->factors[0];
  switch (activation->numbers[0]) {
    case 0: return 1 / (1 + exp(-x));
    case 1: return fmax(x, 0);
    case 2: return tanh(x);
    case 3: return fmin(fmax(x, 0), coefficient);
    case 4: return x >= 0 ? x : coefficient * (exp(x) - 1);
    case 5: return x;
    default: return x / (1 + exp(-activation->factors[1] * x));
  }
}

/* How an activation grows at x, where it has made y. */
static double slope_of(const struct object *activation, double x, double y) {
  double coefficient = activation->factors[0], beta = activation->factors[1], part = 1 / (1 + exp(-beta * x));
  switch (activation->numbers[0]) {
    case 0: return y * (1 - y);
    case 1: return x > 0;
    case 2: return 1 - y * y;
    case 3: return x > 0 && x < coefficient;
    case 4: return x >= 0 ? 1 : y + coefficient;
    case 5: return 1;
    default: return beta * y + part * (1 - beta * y);
  }
}

API int cudnnGetActivationDescriptor(struct object *o, int *mode, int *nan, double *coefficient) {
  DNN_ASK();
  TELL(o, ACTIVATION, mode, nan);
  *coefficient = o->factors[0];
  return DNN_SUCCESS;
}

API int cudnnSetActivationDescriptorSwishBeta(struct object *o, double beta) {
  DNN_ASK();
  o->factors[1] = beta;
  return DNN_SUCCESS;
}

API int cudnnGetActivationDescriptorSwishBeta(struct object *o, double *beta) {
  DNN_ASK();
  *beta = o->factors[1];
  return DNN_SUCCESS;
}

/* A job over tensors of which the first says of which type factors are. */
static struct job job_of(void (*compute)(const struct job *), const void *alpha, const void *beta, const struct object *first) {
  return (struct job){.compute = compute, .factors = {dnn_factor(alpha, first), dnn_factor(beta, first)}};
}

static bool fit(const struct object *a, const struct object *b) { return dnn_is(a, TENSOR) && dnn_is(b, TENSOR) && dnn_same_dims(a, b); }
#define UNLESS(fits) if (!(fits)) return dnn_fail(DNN_BAD_PARAM, "tensors do not fit")

static void activate(const struct job *job) {
  const struct tensor *x = &job->tensors[0], *y = &job->tensors[1];
  int64_t index[DIMENSIONS] = {0};
  do dnn_blend(y, index, dnn_activate(&job->how, dnn_load(x, index)), job->factors[0], job->factors[1]);
  while (dnn_next(y->count, y->dims, index));
}

API int cudnnActivationForward(struct dnn *dnn, struct object *how, const void *alpha, struct object *x, uint64_t x_at, const void *beta, struct object *y, uint64_t y_at) {
  DNN_ASK();
  UNLESS(fit(x, y) && dnn_is(how, ACTIVATION));
  struct job job = job_of(activate, alpha, beta, x);
  job.how = *how, job.tensors[0] = dnn_placed(x, x_at), job.tensors[1] = dnn_placed(y, y_at);
  return dnn_queue_job(dnn, &job);
}

static void activate_back(const struct job *job) {
  const struct tensor *y = &job->tensors[0], *dy = &job->tensors[1], *x = &job->tensors[2], *dx = &job->tensors[3];
  int64_t index[DIMENSIONS] = {0};
  do dnn_blend(dx, index, dnn_load(dy, index) * slope_of(&job->how, dnn_load(x, index), dnn_load(y, index)), job->factors[0], job->factors[1]);
  while (dnn_next(dx->count, dx->dims, index));
}

/* Back over y, dy, x and dx. */
static int queue_back(struct dnn *dnn, struct job job, const struct object *const *objects, const uint64_t *at) {
  for (int i = 0; i < 4; i++) {
    UNLESS(fit(objects[0], objects[i]));
    job.tensors[i] = dnn_placed(objects[i], at[i]);
  }
  return dnn_queue_job(dnn, &job);
}
#define BACK(dnn, job) queue_back(dnn, job, (const struct object *const[]){y, dy, x, dx}, (const uint64_t[]){y_at, dy_at, x_at, dx_at})

API int cudnnActivationBackward(struct dnn *dnn, struct object *how, const void *alpha, struct object *y, uint64_t y_at, struct object *dy, uint64_t dy_at, struct object *x,
                                uint64_t x_at, const void *beta, struct object *dx, uint64_t dx_at) {
  DNN_ASK();
  UNLESS(dnn_is(how, ACTIVATION) && dnn_is(y, TENSOR));
  struct job job = job_of(activate_back, alpha, beta, y);
  job.how = *how;
  return BACK(dnn, job);
}

/* Calls `each` for every index over the dimensions that a softmax is not over, with the dimensions that it is over. */
static void each_group(const struct job *job, const struct tensor *t, void (*each)(const struct job *, const int64_t *outer, int64_t *inner_dims)) {
  int64_t outer[DIMENSIONS] = {0}, outer_dims[DIMENSIONS], inner_dims[DIMENSIONS];
  for (int i = 0; i < t->count; i++) {
    bool is_inner = i == 1 || (job->numbers[1] == 0 && i > 0);
    outer_dims[i] = is_inner ? 1 : t->dims[i], inner_dims[i] = is_inner ? t->dims[i] : 1;
  }
  do each(job, outer, inner_dims);
  while (dnn_next(t->count, outer_dims, outer));
}

static void add_index(int count, const int64_t *a, const int64_t *b, int64_t *sum) {
  for (int i = 0; i < count; i++) sum[i] = a[i] + b[i];
}

static void soften_group(const struct job *job, const int64_t *outer, int64_t *inner_dims) {
  const struct tensor *x = &job->tensors[0], *y = &job->tensors[1];
  int64_t inner[DIMENSIONS] = {0}, index[DIMENSIONS];
  double most = -INFINITY, sum = 0;
  for (int pass = 0; pass < 3; pass++)
    do {
      add_index(x->count, outer, inner, index);
      double value = dnn_load(x, index);
      if (pass == 0) most = fmax(most, value);
      if (pass == 1) sum += exp(value - most);
      if (pass == 2) dnn_blend(y, index, job->numbers[0] == 2 ? value - most - log(sum) : exp(value - most) / sum, job->factors[0], job->factors[1]);
    } while (dnn_next(x->count, inner_dims, inner));
}

static void soften(const struct job *job) { each_group(job, &job->tensors[0], soften_group); }

static void soften_back_group(const struct job *job, const int64_t *outer, int64_t *inner_dims) {
  const struct tensor *y = &job->tensors[0], *dy = &job->tensors[1], *dx = &job->tensors[2];
  int64_t inner[DIMENSIONS] = {0}, index[DIMENSIONS];
  bool is_log = job->numbers[0] == 2;
  double sum = 0;
  for (int pass = 0; pass < 2; pass++)
    do {
      add_index(y->count, outer, inner, index);
      double value = dnn_load(y, index), by = dnn_load(dy, index);
      if (pass == 0) sum += is_log ? by : by * value;
      else dnn_blend(dx, index, is_log ? by - exp(value) * sum : value * (by - sum), job->factors[0], job->factors[1]);
    } while (dnn_next(y->count, inner_dims, inner));
}

static void soften_back(const struct job *job) { each_group(job, &job->tensors[0], soften_back_group); }

API int cudnnSoftmaxForward(struct dnn *dnn, int algorithm, int mode, const void *alpha, struct object *x, uint64_t x_at, const void *beta, struct object *y, uint64_t y_at) {
  DNN_ASK();
  UNLESS(fit(x, y) && algorithm >= 0 && algorithm < 3 && mode >= 0 && mode < 2);
  struct job job = job_of(soften, alpha, beta, x);
  job.numbers[0] = algorithm, job.numbers[1] = mode, job.tensors[0] = dnn_placed(x, x_at), job.tensors[1] = dnn_placed(y, y_at);
  return dnn_queue_job(dnn, &job);
}

API int cudnnSoftmaxBackward(struct dnn *dnn, int algorithm, int mode, const void *alpha, struct object *y, uint64_t y_at, struct object *dy, uint64_t dy_at, const void *beta,
                             struct object *dx, uint64_t dx_at) {
  DNN_ASK();
  UNLESS(fit(y, dy) && fit(y, dx) && algorithm >= 0 && algorithm < 3 && mode >= 0 && mode < 2);
  struct job job = job_of(soften_back, alpha, beta, y);
  job.numbers[0] = algorithm, job.numbers[1] = mode;
  job.tensors[0] = dnn_placed(y, y_at), job.tensors[1] = dnn_placed(dy, dy_at), job.tensors[2] = dnn_placed(dx, dx_at);
  return dnn_queue_job(dnn, &job);
}

/* Of a norm over neighbouring channels: how many, then alpha, beta and k. */
API int cudnnSetLRNDescriptor(struct object *o, unsigned count, double alpha, double beta, double k) {
  DNN_ASK();
  if (count < 1 || count > 16 || k < 1e-5 || beta < 0.01) return dnn_fail(DNN_BAD_PARAM, "no such norm");
  SET(o, LRN, (int)count);
  o->factors[0] = alpha, o->factors[1] = beta, o->factors[2] = k;
  return DNN_SUCCESS;
}

API int cudnnGetLRNDescriptor(struct object *o, unsigned *count, double *alpha, double *beta, double *k) {
  DNN_ASK();
  TELL(o, LRN, (int *)count);
  *alpha = o->factors[0], *beta = o->factors[1], *k = o->factors[2];
  return DNN_SUCCESS;
}

/* The channels around one: from the first to behind the last. */
static void around(const struct job *job, const struct tensor *x, int64_t channel, int64_t *first, int64_t *end) {
  int64_t count = job->how.numbers[0], before = (count - 1) / 2;
  *first = channel < before ? 0 : channel - before;
  *end = channel - before + count > x->dims[1] ? x->dims[1] : channel - before + count;
}

static double scale_at(const struct job *job, const struct tensor *x, const int64_t *index) {
  int64_t first, end, place[DIMENSIONS];
  double squares = 0;
  memcpy(place, index, sizeof place);
  around(job, x, index[1], &first, &end);
  for (place[1] = first; place[1] < end; place[1]++) squares += dnn_load(x, place) * dnn_load(x, place);
  return job->how.factors[2] + job->how.factors[0] / job->how.numbers[0] * squares;
}

static void norm_channels(const struct job *job) {
  const struct tensor *x = &job->tensors[0], *y = &job->tensors[1];
  int64_t index[DIMENSIONS] = {0};
  do dnn_blend(y, index, dnn_load(x, index) * pow(scale_at(job, x, index), -job->how.factors[1]), job->factors[0], job->factors[1]);
  while (dnn_next(x->count, x->dims, index));
}

static void norm_channels_back(const struct job *job) {
  const struct tensor *dy = &job->tensors[1], *x = &job->tensors[2], *dx = &job->tensors[3];
  double alpha = job->how.factors[0], beta = job->how.factors[1];
  int64_t index[DIMENSIONS] = {0}, place[DIMENSIONS];
  do {
    double sum = dnn_load(dy, index) * pow(scale_at(job, x, index), -beta);
    memcpy(place, index, sizeof place);
    for (place[1] = 0; place[1] < x->dims[1]; place[1]++) {
      int64_t first, end;
      around(job, x, place[1], &first, &end);
      if (index[1] < first || index[1] >= end) continue;
      double reach = dnn_load(dy, place) * dnn_load(x, place) * pow(scale_at(job, x, place), -beta - 1);
      sum -= 2 * alpha * beta / job->how.numbers[0] * dnn_load(x, index) * reach;
    }
    dnn_blend(dx, index, sum, job->factors[0], job->factors[1]);
  } while (dnn_next(x->count, x->dims, index));
}

API int cudnnLRNCrossChannelForward(struct dnn *dnn, struct object *how, int mode, const void *alpha, struct object *x, uint64_t x_at, const void *beta, struct object *y, uint64_t y_at) {
  DNN_ASK();
  UNLESS(fit(x, y) && dnn_is(how, LRN) && mode == 0);
  struct job job = job_of(norm_channels, alpha, beta, x);
  job.how = *how, job.tensors[0] = dnn_placed(x, x_at), job.tensors[1] = dnn_placed(y, y_at);
  return dnn_queue_job(dnn, &job);
}

API int cudnnLRNCrossChannelBackward(struct dnn *dnn, struct object *how, int mode, const void *alpha, struct object *y, uint64_t y_at, struct object *dy, uint64_t dy_at,
                                     struct object *x, uint64_t x_at, const void *beta, struct object *dx, uint64_t dx_at) {
  DNN_ASK();
  UNLESS(dnn_is(how, LRN) && mode == 0 && dnn_is(y, TENSOR));
  struct job job = job_of(norm_channels_back, alpha, beta, y);
  job.how = *how;
  return BACK(dnn, job);
}

/* Each element of c becomes what an operation makes of those of a and b, which stand for all of a dimension where they have one alone in it. */
enum { PLAIN = -1, ADD, MULTIPLY, LEAST, MOST, ROOT, NOT };

static void operate(const struct job *job) {
  const struct tensor *a = &job->tensors[0], *b = &job->tensors[1], *c = &job->tensors[2];
  int64_t index[DIMENSIONS] = {0};
  do {
    double x = job->factors[0] * dnn_load(a, index), y = b->at == 0 ? 0 : job->factors[2] * dnn_load(b, index), value = x;
    switch (job->numbers[0]) {
      case ADD: value = x + y; break;
      case MULTIPLY: value = x * y; break;
      case LEAST: value = fmin(x, y); break;
      case MOST: value = fmax(x, y); break;
      case ROOT: value = sqrt(x); break;
      case NOT: value = 1 - x; break;
      default: break;
    }
    dnn_blend(c, index, value, 1, job->factors[1]);
  } while (dnn_next(c->count, c->dims, index));
}

static bool spreads(const struct object *a, const struct object *c) {
  bool fits = dnn_is(a, TENSOR) && dnn_is(c, TENSOR) && a->tensor.count == c->tensor.count;
  for (int i = 0; fits && i < a->tensor.count; i++) fits = a->tensor.dims[i] == 1 || a->tensor.dims[i] == c->tensor.dims[i];
  return fits;
}

static int blend_in(struct dnn *dnn, const void *alpha, const struct object *a, uint64_t a_at, const void *beta, const struct object *c, uint64_t c_at) {
  struct job job = job_of(operate, alpha, beta, a);
  job.numbers[0] = PLAIN, job.tensors[0] = dnn_placed(a, a_at), job.tensors[2] = dnn_placed(c, c_at);
  return dnn_queue_job(dnn, &job);
}

API int cudnnTransformTensor(struct dnn *dnn, const void *alpha, struct object *x, uint64_t x_at, const void *beta, struct object *y, uint64_t y_at) {
  DNN_ASK();
  UNLESS(fit(x, y));
  return blend_in(dnn, alpha, x, x_at, beta, y, y_at);
}

API int cudnnAddTensor(struct dnn *dnn, const void *alpha, struct object *a, uint64_t a_at, const void *beta, struct object *c, uint64_t c_at) {
  DNN_ASK();
  UNLESS(spreads(a, c));
  return blend_in(dnn, alpha, a, a_at, beta, c, c_at);
}

API int cudnnSetOpTensorDescriptor(struct object *o, int operation, int type, int nan) {
  DNN_ASK();
  if (operation < 0 || operation > NOT) return dnn_fail(DNN_BAD_PARAM, "no such operation");
  SET(o, OP_TENSOR, operation, type, nan);
  return DNN_SUCCESS;
}

API int cudnnGetOpTensorDescriptor(struct object *o, int *operation, int *type, int *nan) {
  DNN_ASK();
  TELL(o, OP_TENSOR, operation, type, nan);
  return DNN_SUCCESS;
}

API int cudnnOpTensor(struct dnn *dnn, struct object *how, const void *alpha, struct object *a, uint64_t a_at, const void *alpha2, struct object *b, uint64_t b_at, const void *beta,
                      struct object *c, uint64_t c_at) {
  DNN_ASK();
  UNLESS(fit(a, c) && spreads(b, c) && dnn_is(how, OP_TENSOR));
  struct job job = job_of(operate, alpha, beta, a);
  job.factors[2] = dnn_factor(alpha2, a), job.numbers[0] = how->numbers[0];
  job.tensors[0] = dnn_placed(a, a_at), job.tensors[1] = dnn_placed(b, b_at), job.tensors[2] = dnn_placed(c, c_at);
  return dnn_queue_job(dnn, &job);
}

static void scale(const struct job *job) {
  const struct tensor *y = &job->tensors[0];
  int64_t index[DIMENSIONS] = {0};
  do dnn_store(y, index, job->numbers[0] ? job->factors[0] : job->factors[0] * dnn_load(y, index));
  while (dnn_next(y->count, y->dims, index));
}

API int cudnnSetTensor(struct dnn *dnn, struct object *y, uint64_t y_at, const void *value) {
  DNN_ASK();
  UNLESS(dnn_is(y, TENSOR));
  const struct tensor one = {.type = y->tensor.type, .count = 1, .dims = {1}, .strides = {1}, .at = (uint64_t)value};
  struct job job = {.compute = scale, .tensors = {dnn_placed(y, y_at)}, .factors = {dnn_load(&one, (const int64_t[]){0})}, .numbers = {1}};
  return dnn_queue_job(dnn, &job);
}

API int cudnnScaleTensor(struct dnn *dnn, struct object *y, uint64_t y_at, const void *alpha) {
  DNN_ASK();
  UNLESS(dnn_is(y, TENSOR));
  struct job job = {.compute = scale, .tensors = {dnn_placed(y, y_at)}, .factors = {dnn_factor(alpha, y)}};
  return dnn_queue_job(dnn, &job);
}

API int cudnnSetReduceTensorDescriptor(struct object *o, int operation, int type, int nan, int indices, int indices_type) {
  DNN_ASK();
  if (operation < 0 || operation > 8 || indices < 0 || indices > 1) return dnn_fail(DNN_BAD_PARAM, "no such reduction");
  SET(o, REDUCE_TENSOR, operation, type, nan, indices, indices_type);
  return DNN_SUCCESS;
}

API int cudnnGetReduceTensorDescriptor(struct object *o, int *operation, int *type, int *nan, int *indices, int *indices_type) {
  DNN_ASK();
  TELL(o, REDUCE_TENSOR, operation, type, nan, indices, indices_type);
  return DNN_SUCCESS;
}

static int64_t elements_of(const struct object *o) {
  int64_t elements = 1;
  for (int i = 0; i < o->tensor.count; i++) elements *= o->tensor.dims[i];
  return elements;
}

API int cudnnGetReductionIndicesSize(struct dnn *dnn, struct object *how, struct object *a, struct object *c, size_t *bytes) {
  DNN_ASK();
  (void)dnn;
  UNLESS(spreads(c, a) && dnn_is(how, REDUCE_TENSOR));
  *bytes = how->numbers[3] ? (size_t)elements_of(c) * 4 : 0;
  return DNN_SUCCESS;
}

API int cudnnGetReductionWorkspaceSize(struct dnn *dnn, struct object *how, struct object *a, struct object *c, size_t *bytes) {
  DNN_ASK();
  (void)dnn;
  UNLESS(spreads(c, a) && dnn_is(how, REDUCE_TENSOR));
  *bytes = (size_t)elements_of(c) * 8;
  return DNN_SUCCESS;
}

/* One step of a reduction by its operation: sums, products, bounds, and norms before their root. */
static double gather(int operation, double so_far, double value) {
  switch (operation) {
    case 1: return so_far * value;
    case 2: return fmin(so_far, value);
    case 3: return fmax(so_far, value);
    case 4: return fmax(so_far, fabs(value));
    case 6: return so_far + fabs(value);
    case 7: return so_far + value * value;
    case 8: return value == 0 ? so_far : so_far * value;
    default: return so_far + value;
  }
}

static void reduce(const struct job *job) {
  const struct tensor *a = &job->tensors[0], *c = &job->tensors[1];
  int operation = job->how.numbers[0], *indices = (int *)job->tensors[3].at;
  int64_t index[DIMENSIONS] = {0}, from[DIMENSIONS], dims[DIMENSIONS], inner[DIMENSIONS] = {0}, place = 0;
  for (int i = 0; i < a->count; i++) dims[i] = c->dims[i] == 1 ? a->dims[i] : 1;
  do {
    double sum = operation == 1 || operation == 8 ? 1 : operation == 2 ? INFINITY : operation == 3 ? -INFINITY : 0;
    int64_t count = 0;
    do {
      add_index(a->count, index, inner, from);
      double next = gather(operation, sum, dnn_load(a, from));
      if (indices != NULL && next != sum) indices[place] = (int)count;
      sum = next;
      count++;
    } while (dnn_next(a->count, dims, inner));
    dnn_blend(c, index, operation == 5 ? sum / (double)count : operation == 7 ? sqrt(sum) : sum, job->factors[0], job->factors[1]);
    place++;
  } while (dnn_next(c->count, c->dims, index));
  memset((void *)job->tensors[2].at, 0x5a, (size_t)job->tensors[2].dims[0] * 4);
}

API int cudnnReduceTensor(struct dnn *dnn, struct object *how, uint64_t indices, size_t index_bytes, uint64_t workspace, size_t bytes, const void *alpha, struct object *a,
                          uint64_t a_at, const void *beta, struct object *c, uint64_t c_at) {
  DNN_ASK();
  UNLESS(spreads(c, a) && dnn_is(how, REDUCE_TENSOR));
  int64_t made = elements_of(c);
  if (workspace == 0 || (int64_t)bytes < made * 8 || (how->numbers[3] && (indices == 0 || (int64_t)index_bytes < made * 4))) return dnn_fail(DNN_SIZE_INSUFFICIENT, "too little room");
  struct job job = job_of(reduce, alpha, beta, a);
  job.how = *how, job.tensors[0] = dnn_placed(a, a_at), job.tensors[1] = dnn_placed(c, c_at), job.tensors[2] = dnn_memory(workspace, 0, made * 2);
  if (how->numbers[3]) job.tensors[3] = dnn_memory(indices, 4, made);
  return dnn_queue_job(dnn, &job);
}

/* What is kept of which elements are dropped: a byte each. */
API int cudnnDropoutGetReserveSpaceSize(struct object *x, size_t *bytes) {
  DNN_ASK();
  UNLESS(dnn_is(x, TENSOR));
  *bytes = ((size_t)elements_of(x) + 3) / 4 * 4;
  return DNN_SUCCESS;
}

static void drop(const struct job *job) {
  const struct tensor *x = &job->tensors[0], *y = &job->tensors[1];
  uint8_t *kept = (uint8_t *)job->tensors[2].at;
  uint64_t *state = (uint64_t *)job->tensors[3].at;
  int64_t index[DIMENSIONS] = {0}, place = 0;
  do {
    if (state != NULL) {
      *state = *state * 6364136223846793005u + 1442695040888963407u;
      kept[place] = (double)(*state >> 32) / 4294967296.0 >= job->factors[0];
    }
    dnn_store(y, index, kept[place++] ? dnn_load(x, index) / (1 - job->factors[0]) : 0);
  } while (dnn_next(x->count, x->dims, index));
}

/* Of a dropout's descriptor (standin-dnn-rnn.c). */
bool dnn_dropout(const void *dropout, double *part, uint64_t *states);

static int queue_drop(struct dnn *dnn, const void *dropout, const struct object *x, uint64_t x_at, const struct object *y, uint64_t y_at, uint64_t reserve, size_t bytes, bool draws) {
  double part;
  uint64_t states;
  UNLESS(fit(x, y) && dnn_dropout(dropout, &part, &states));
  if ((int64_t)bytes < elements_of(x)) return dnn_fail(DNN_SIZE_INSUFFICIENT, "too little room");
  struct job job = {.compute = drop, .factors = {part}, .tensors = {dnn_placed(x, x_at), dnn_placed(y, y_at), dnn_memory(reserve, 0, ((int64_t)elements_of(x) + 3) / 4)}};
  if (draws) job.tensors[3] = dnn_memory(states, 0, 2);
  return dnn_queue_job(dnn, &job);
}

API int cudnnDropoutForward(struct dnn *dnn, const void *dropout, struct object *x, uint64_t x_at, struct object *y, uint64_t y_at, uint64_t reserve, size_t bytes) {
  DNN_ASK();
  return queue_drop(dnn, dropout, x, x_at, y, y_at, reserve, bytes, true);
}

API int cudnnDropoutBackward(struct dnn *dnn, const void *dropout, struct object *dy, uint64_t dy_at, struct object *dx, uint64_t dx_at, uint64_t reserve, size_t bytes) {
  DNN_ASK();
  return queue_drop(dnn, dropout, dy, dy_at, dx, dx_at, reserve, bytes, false);
}
