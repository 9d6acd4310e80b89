/* The stand-in's cuDNN: dropout's states, and RNNs of one layer and one direction, of tanh cells and of LSTMs, in f32, over sequences of one length. */
#include "standin-dnn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DROPOUT = 20, RNN, DATA };
enum { TANH_CELLS = 1, LSTM = 2 };
#define STATE_BYTES 64
#define WORKSPACE_BYTES 64

struct sequences {
  int kind; /* the first word of all of these */
  bool is_set;
  int layout, steps, batch, width;
  bool is_even; /* of one length */
};

struct cells {
  int kind;
  bool is_set;
  int mode, gates, inputs, hidden;
  bool has_bias;
};

struct dropout {
  int kind;
  bool is_set;
  float part;
  uint64_t states, seed;
};

struct object; /* a tensor of the other functions */
int cudnnSetTensorNdDescriptor(struct object *o, int type, int count, const int *dims, const int *strides);

static int create(int kind, size_t bytes, void **out) {
  *out = calloc(1, bytes);
  *(int *)*out = kind;
  dnn_objects++;
  return DNN_SUCCESS;
}

static int destroy(int kind, void *gone) {
  if (*(int *)gone != kind) standin_violation("a descriptor of cuDNN ends as another kind");
  free(gone);
  dnn_objects--;
  return DNN_SUCCESS;
}

#define KIND(Name, number, type)                                                                                           \
  API int cudnnCreate##Name##Descriptor(void **out) { DNN_ASK(); return create(number, sizeof(struct type), out); }         \
  API int cudnnDestroy##Name##Descriptor(void *gone) { return destroy(number, gone); }
KIND(Dropout, DROPOUT, dropout)
KIND(RNN, RNN, cells)
KIND(RNNData, DATA, sequences)

API int cudnnDropoutGetStatesSize(struct dnn *dnn, size_t *bytes) {
  DNN_ASK();
  (void)dnn;
  *bytes = STATE_BYTES;
  return DNN_SUCCESS;
}

struct seeding {
  uint64_t at, seed;
};

static int seed(struct context *context, void *argument) {
  struct seeding *s = argument;
  LOCK();
  int result = standin_range_ok(context->device, s->at, STATE_BYTES) ? SUCCESS : ILLEGAL_ADDRESS;
  UNLOCK();
  for (int i = 0; result == SUCCESS && i < STATE_BYTES / 8; i++) ((uint64_t *)s->at)[i] = s->seed + (uint64_t)i;
  free(s);
  return result;
}

API int cudnnSetDropoutDescriptor(struct dropout *d, struct dnn *dnn, float part, uint64_t states, size_t bytes, unsigned long long first) {
  DNN_ASK();
  if (d->kind != DROPOUT || !(part >= 0 && part <= 1)) return dnn_fail(DNN_BAD_PARAM, "no such part is dropped");
  d->is_set = true, d->part = part, d->states = states, d->seed = first;
  if (states == 0) return DNN_SUCCESS;
  if (bytes < STATE_BYTES) return dnn_fail(DNN_SIZE_INSUFFICIENT, "too little room for states");
  struct seeding *s = malloc(sizeof *s);
  *s = (struct seeding){states, first};
  return dnn_queue(dnn, seed, s);
}

API int cudnnRestoreDropoutDescriptor(struct dropout *d, struct dnn *dnn, float part, uint64_t states, size_t bytes, unsigned long long first) {
  DNN_ASK();
  int status = bytes < STATE_BYTES && states != 0 ? dnn_fail(DNN_SIZE_INSUFFICIENT, "too little room for states") : cudnnSetDropoutDescriptor(d, dnn, part, 0, 0, first);
  d->states = states;
  return status;
}

API int cudnnGetDropoutDescriptor(struct dropout *d, struct dnn *dnn, float *part, uint64_t *states, unsigned long long *first) {
  DNN_ASK();
  (void)dnn;
  if (!d->is_set) return dnn_fail(DNN_BAD_PARAM, "nothing is dropped");
  *part = d->part, *states = d->states, *first = d->seed;
  return DNN_SUCCESS;
}

/* Of a descriptor that drops something: which part, and where its states are. */
bool dnn_dropout(const void *dropout, double *part, uint64_t *states);
bool dnn_dropout(const void *dropout, double *part, uint64_t *states) {
  const struct dropout *d = dropout;
  *part = (double)d->part, *states = d->states;
  return d->kind == DROPOUT && d->is_set && d->states != 0;
}

API int cudnnSetRNNDescriptor_v8(struct cells *r, int algorithm, int mode, int bias, int direction, int input, int type, int precision, int math, int inputs,
                                 int hidden, int projected, int layers, struct dropout *dropout, unsigned flags) {
  DNN_ASK();
  (void)algorithm, (void)math, (void)flags;
  if (r->kind != RNN || inputs < 1 || hidden < 1 || (dropout != NULL && !dropout->is_set)) return dnn_fail(DNN_BAD_PARAM, "no cells");
  bool is_plain = direction == 0 && input == 0 && type == 0 && precision == 0 && layers == 1 && projected == hidden && (bias == 0 || bias == 2);
  if (!is_plain || (mode != TANH_CELLS && mode != LSTM)) return dnn_fail(DNN_NOT_SUPPORTED, "no such RNN");
  *r = (struct cells){RNN, true, mode, mode == LSTM ? 4 : 1, inputs, hidden, bias == 2};
  return DNN_SUCCESS;
}

API int cudnnSetRNNDataDescriptor(struct sequences *s, int type, int layout, int steps, int batch, int width, const int *lengths, const float *padding) {
  DNN_ASK();
  (void)padding;
  if (s->kind != DATA || layout < 0 || layout > 2 || steps < 1 || batch < 1 || width < 1) return dnn_fail(DNN_BAD_PARAM, "no sequences");
  for (int i = 0; i < batch; i++)
    if (lengths[i] < 1 || lengths[i] > steps) return dnn_fail(DNN_BAD_PARAM, "a sequence is longer than the longest");
  if (type != 0) return dnn_fail(DNN_NOT_SUPPORTED, "sequences of another type");
  *s = (struct sequences){DATA, true, layout, steps, batch, width, true};
  for (int i = 0; i < batch; i++) s->is_even = s->is_even && lengths[i] == steps;
  return DNN_SUCCESS;
}

/* In elements: matrices of inputs and of the state, and a bias for each. */
static size_t weights_of(const struct cells *r) {
  size_t rows = (size_t)(r->gates * r->hidden);
  return rows * (size_t)(r->inputs + r->hidden) + (r->has_bias ? 2 * rows : 0);
}

/* What is kept of a step of a sequence: gates as they were, the cell's state, and what goes back through the gates. */
static size_t kept_of(const struct cells *r) { return (size_t)((2 * r->gates + 1) * r->hidden); }

static size_t reserve_of(const struct cells *r, const struct sequences *x) { return kept_of(r) * (size_t)(x->steps * x->batch) * sizeof(double); }

API int cudnnGetRNNWeightSpaceSize(struct dnn *dnn, struct cells *r, size_t *bytes) {
  DNN_ASK();
  (void)dnn;
  if (!r->is_set) return dnn_fail(DNN_BAD_PARAM, "no cells");
  *bytes = weights_of(r) * 4;
  return DNN_SUCCESS;
}

API int cudnnGetRNNTempSpaceSizes(struct dnn *dnn, struct cells *r, int training, struct sequences *x, size_t *workspace, size_t *reserve) {
  DNN_ASK();
  (void)dnn;
  if (!r->is_set || !x->is_set || x->width != r->inputs) return dnn_fail(DNN_BAD_PARAM, "cells and sequences do not fit");
  *workspace = WORKSPACE_BYTES;
  *reserve = training ? reserve_of(r, x) : 0;
  return DNN_SUCCESS;
}

API int cudnnGetRNNWeightParams(struct dnn *dnn, struct cells *r, int layer, size_t bytes, uint64_t weights, int linear, struct object *matrix, uint64_t *matrix_at,
                                struct object *bias, uint64_t *bias_at) {
  DNN_ASK();
  (void)dnn;
  if (!r->is_set || layer != 0 || linear < 0 || linear >= 2 * r->gates || bytes < weights_of(r) * 4) return dnn_fail(DNN_BAD_PARAM, "no such weights");
  if ((matrix == NULL) != (matrix_at == NULL) || (bias == NULL) != (bias_at == NULL)) return dnn_fail(DNN_NULL_POINTER, "a descriptor without an address, or the other way round");
  bool is_state = linear >= r->gates;
  int gate = linear % r->gates, columns = is_state ? r->hidden : r->inputs, rows = r->gates * r->hidden;
  int dims[] = {1, r->hidden, columns}, strides[] = {r->hidden * columns, columns, 1}, bias_dims[] = {1, r->hidden, 1}, bias_strides[] = {r->hidden, 1, 1};
  if (matrix_at != NULL) *matrix_at = weights + 4 * (uint64_t)((is_state ? rows * r->inputs : 0) + gate * r->hidden * columns);
  if (bias_at != NULL) *bias_at = r->has_bias ? weights + 4 * (uint64_t)(rows * (r->inputs + r->hidden) + (is_state ? rows : 0) + gate * r->hidden) : 0;
  int status = matrix == NULL ? DNN_SUCCESS : cudnnSetTensorNdDescriptor(matrix, 0, 3, dims, strides);
  return status != DNN_SUCCESS || bias == NULL || !r->has_bias ? status : cudnnSetTensorNdDescriptor(bias, 0, 3, bias_dims, bias_strides);
}

struct pass {
  enum { FORWARD, DATA_BACK, WEIGHTS_BACK } kind;
  struct cells cells;
  struct sequences sequences;
  uint64_t x, y, hx, hy, cx, cy, dx, dy, dhx, dhy, dcx, dcy, weights, dweights, workspace, reserve;
  double *own; /* where inference keeps what training has its reserve for */
};

static double number(uint64_t at, size_t index) { return at == 0 ? 0 : ((const float *)at)[index]; }
static void put(uint64_t at, size_t index, double value) {
  if (at != 0) ((float *)at)[index] = (float)value;
}
static double sigmoid(double value) { return 1 / (1 + exp(-value)); }

/* Where a step of a sequence begins in data of a width. */
static size_t row(const struct pass *p, int step, int batch, int width) {
  const struct sequences *s = &p->sequences;
  return (size_t)(s->layout == 2 ? batch * s->steps + step : step * s->batch + batch) * (size_t)width;
}
static double *kept(const struct pass *p, int step, int batch) {
  return (p->own != NULL ? p->own : (double *)p->reserve) + kept_of(&p->cells) * (size_t)(step * p->sequences.batch + batch);
}
static double before(const struct pass *p, int step, int batch, int unit) {
  int hidden = p->cells.hidden;
  return step == 0 ? number(p->hx, (size_t)(batch * hidden + unit)) : number(p->y, row(p, step - 1, batch, hidden) + (size_t)unit);
}

static void forward(const struct pass *p, int step, int batch) {
  const struct cells *r = &p->cells;
  int hidden = r->hidden, rows = r->gates * hidden;
  double *gates = kept(p, step, batch), *state = gates + rows;
  uint64_t recurrent = p->weights + 4 * (uint64_t)(rows * r->inputs), bias = recurrent + 4 * (uint64_t)(rows * hidden);
  for (int i = 0; i < rows; i++) {
    double sum = r->has_bias ? number(bias, (size_t)i) + number(bias, (size_t)(rows + i)) : 0;
    for (int j = 0; j < r->inputs; j++) sum += number(p->weights, (size_t)(i * r->inputs + j)) * number(p->x, row(p, step, batch, r->inputs) + (size_t)j);
    for (int j = 0; j < hidden; j++) sum += number(recurrent, (size_t)(i * hidden + j)) * before(p, step, batch, j);
    gates[i] = r->mode == TANH_CELLS || i / hidden == 2 ? tanh(sum) : sigmoid(sum);
  }
  for (int i = 0; i < hidden; i++) {
    double last = step == 0 ? number(p->cx, (size_t)(batch * hidden + i)) : kept(p, step - 1, batch)[rows + i];
    double value = gates[i];
    if (r->mode == LSTM) {
      state[i] = gates[hidden + i] * last + gates[i] * gates[2 * hidden + i];
      value = gates[3 * hidden + i] * tanh(state[i]);
    }
    put(p->y, row(p, step, batch, hidden) + (size_t)i, value);
    if (step < p->sequences.steps - 1) continue;
    put(p->hy, (size_t)(batch * hidden + i), value);
    put(p->cy, (size_t)(batch * hidden + i), state[i]);
  }
}

/* Back through one sequence, from its last step to its first. */
static void back(const struct pass *p, int batch) {
  const struct cells *r = &p->cells;
  int hidden = r->hidden, rows = r->gates * hidden;
  uint64_t recurrent = p->weights + 4 * (uint64_t)(rows * r->inputs);
  double *dh = calloc((size_t)hidden * 2, sizeof *dh), *dc = dh + hidden;
  for (int i = 0; i < hidden; i++) dh[i] = number(p->dhy, (size_t)(batch * hidden + i)), dc[i] = number(p->dcy, (size_t)(batch * hidden + i));
  for (int step = p->sequences.steps - 1; step >= 0; step--) {
    double *gates = kept(p, step, batch), *state = gates + rows, *through = state + hidden;
    for (int i = 0; i < hidden; i++) {
      double d = dh[i] + number(p->dy, row(p, step, batch, hidden) + (size_t)i), last = step == 0 ? number(p->cx, (size_t)(batch * hidden + i)) : kept(p, step - 1, batch)[rows + i];
      if (r->mode == TANH_CELLS) {
        through[i] = d * (1 - gates[i] * gates[i]);
        continue;
      }
      double in = gates[i], forget = gates[hidden + i], candidate = gates[2 * hidden + i], out = gates[3 * hidden + i], now = tanh(state[i]);
      dc[i] += d * out * (1 - now * now);
      through[i] = dc[i] * candidate * in * (1 - in);
      through[hidden + i] = dc[i] * last * forget * (1 - forget);
      through[2 * hidden + i] = dc[i] * in * (1 - candidate * candidate);
      through[3 * hidden + i] = d * now * out * (1 - out);
      dc[i] *= forget;
    }
    for (int j = 0; j < r->inputs; j++) {
      double sum = 0;
      for (int i = 0; i < rows; i++) sum += through[i] * number(p->weights, (size_t)(i * r->inputs + j));
      put(p->dx, row(p, step, batch, r->inputs) + (size_t)j, sum);
    }
    for (int j = 0; j < hidden; j++) {
      dh[j] = 0;
      for (int i = 0; i < rows; i++) dh[j] += through[i] * number(recurrent, (size_t)(i * hidden + j));
    }
  }
  for (int i = 0; i < hidden; i++) put(p->dhx, (size_t)(batch * hidden + i), dh[i]), put(p->dcx, (size_t)(batch * hidden + i), dc[i]);
  free(dh);
}

static void add(uint64_t at, size_t index, double value) { put(at, index, number(at, index) + value); }

static void weigh(const struct pass *p, int step, int batch) {
  const struct cells *r = &p->cells;
  int hidden = r->hidden, rows = r->gates * hidden;
  const double *through = kept(p, step, batch) + rows + hidden;
  size_t recurrent = (size_t)(rows * r->inputs), bias = recurrent + (size_t)(rows * hidden);
  for (int i = 0; i < rows; i++) {
    for (int j = 0; j < r->inputs; j++) add(p->dweights, (size_t)(i * r->inputs + j), through[i] * number(p->x, row(p, step, batch, r->inputs) + (size_t)j));
    for (int j = 0; j < hidden; j++) add(p->dweights, recurrent + (size_t)(i * hidden + j), through[i] * before(p, step, batch, j));
    if (r->has_bias) add(p->dweights, bias + (size_t)i, through[i]), add(p->dweights, bias + (size_t)(rows + i), through[i]);
  }
}

static int run(struct context *context, void *argument) {
  struct pass *p = argument;
  (void)context;
  memset((void *)p->workspace, 0x5a, WORKSPACE_BYTES);
  if (p->reserve == 0) p->own = calloc(1, reserve_of(&p->cells, &p->sequences));
  for (int batch = 0; batch < p->sequences.batch; batch++) {
    if (p->kind == DATA_BACK) back(p, batch);
    for (int step = 0; step < p->sequences.steps && p->kind != DATA_BACK; step++) {
      if (p->kind == FORWARD) forward(p, step, batch);
      else weigh(p, step, batch);
    }
  }
  free(p->own);
  free(p);
  return SUCCESS;
}

static int queue(struct dnn *dnn, const struct pass *pass, const struct sequences *x, size_t weight_bytes, size_t workspace_bytes, size_t reserve_bytes) {
  if (!pass->cells.is_set || !x->is_set || x->width != pass->cells.inputs) return dnn_fail(DNN_BAD_PARAM, "cells and sequences do not fit");
  if (!x->is_even) return dnn_fail(DNN_NOT_SUPPORTED, "sequences of several lengths");
  bool is_trained = pass->kind != FORWARD || pass->reserve != 0;
  if (weight_bytes < weights_of(&pass->cells) * 4 || pass->workspace == 0 || workspace_bytes < WORKSPACE_BYTES) return dnn_fail(DNN_SIZE_INSUFFICIENT, "too little room");
  if (is_trained && (pass->reserve == 0 || reserve_bytes < reserve_of(&pass->cells, x))) return dnn_fail(DNN_SIZE_INSUFFICIENT, "too little room to train");
  struct pass *p = malloc(sizeof *p);
  *p = *pass;
  p->sequences = *x;
  return dnn_queue(dnn, run, p);
}

API int cudnnRNNForward(struct dnn *dnn, struct cells *r, int training, uint64_t lengths, struct sequences *xs, uint64_t x, struct sequences *ys, uint64_t y, void *hs,
                        uint64_t hx, uint64_t hy, void *cs, uint64_t cx, uint64_t cy, size_t weight_bytes, uint64_t weights, size_t workspace_bytes, uint64_t workspace,
                        size_t reserve_bytes, uint64_t reserve) {
  DNN_ASK();
  (void)lengths, (void)ys, (void)hs, (void)cs;
  struct pass pass = {.kind = FORWARD, .cells = *r, .x = x, .y = y, .hx = hx, .hy = hy, .cx = cx, .cy = cy, .weights = weights, .workspace = workspace, .reserve = training ? reserve : 0};
  if (training && reserve == 0) return dnn_fail(DNN_SIZE_INSUFFICIENT, "too little room to train");
  return queue(dnn, &pass, xs, weight_bytes, workspace_bytes, reserve_bytes);
}

API int cudnnRNNBackwardData_v8(struct dnn *dnn, struct cells *r, uint64_t lengths, struct sequences *ys, uint64_t y, uint64_t dy, struct sequences *xs, uint64_t dx, void *hs,
                                uint64_t hx, uint64_t dhy, uint64_t dhx, void *cs, uint64_t cx, uint64_t dcy, uint64_t dcx, size_t weight_bytes, uint64_t weights,
                                size_t workspace_bytes, uint64_t workspace, size_t reserve_bytes, uint64_t reserve) {
  DNN_ASK();
  (void)lengths, (void)ys, (void)hs, (void)cs;
  struct pass pass = {.kind = DATA_BACK, .cells = *r, .y = y, .dy = dy, .dx = dx, .hx = hx, .dhy = dhy, .dhx = dhx, .cx = cx, .dcy = dcy, .dcx = dcx, .weights = weights,
                      .workspace = workspace, .reserve = reserve};
  return queue(dnn, &pass, xs, weight_bytes, workspace_bytes, reserve_bytes);
}

API int cudnnRNNBackwardWeights_v8(struct dnn *dnn, struct cells *r, int adds, uint64_t lengths, struct sequences *xs, uint64_t x, void *hs, uint64_t hx, struct sequences *ys,
                                   uint64_t y, size_t weight_bytes, uint64_t dweights, size_t workspace_bytes, uint64_t workspace, size_t reserve_bytes, uint64_t reserve) {
  DNN_ASK();
  (void)lengths, (void)hs, (void)ys;
  if (adds != 0) return dnn_fail(DNN_NOT_SUPPORTED, "weights are added to");
  struct pass pass = {.kind = WEIGHTS_BACK, .cells = *r, .x = x, .y = y, .hx = hx, .dweights = dweights, .workspace = workspace, .reserve = reserve};
  return queue(dnn, &pass, xs, weight_bytes, workspace_bytes, reserve_bytes);
}
