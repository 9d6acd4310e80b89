/* What the stand-in's cuDNN computes of a graph: convolutions and what is done to each element, plainly, for any strides. */
#include "standin-dnn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* cuBLASLt's numbers of cudnnDataType_t. */
static int type_of(int type) { return type == 9 ? 14 : type; }

int64_t dnn_element_bytes(int type) { return type == 1 ? 8 : type == 0 || type == 4 ? 4 : 2; }

bool dnn_next(int count, const int64_t *dims, int64_t *index) {
  for (int i = count - 1; i >= 0; i--) {
    if (++index[i] < dims[i]) return true;
    index[i] = 0;
  }
  return false;
}

static uint64_t place(const struct tensor *t, const int64_t *index) {
  int64_t at = 0;
  for (int i = 0; i < t->count; i++) at += (t->dims[i] == 1 ? 0 : index[i]) * t->strides[i];
  return (uint64_t)at;
}

double dnn_load(const struct tensor *t, const int64_t *index) { return standin_load(type_of(t->type), t->at, place(t, index)); }

void dnn_store(const struct tensor *t, const int64_t *index, double value) {
  standin_store(type_of(t->type), t->at, place(t, index), value);
}

int64_t dnn_extent(const struct tensor *t) {
  int64_t elements = 1;
  for (int i = 0; i < t->count; i++) elements += (t->dims[i] - 1) * t->strides[i];
  return elements;
}

bool dnn_reaches(struct context *context, const struct tensor *t) {
  LOCK();
  int reaches = standin_range_ok(context->device, t->at, (uint64_t)(dnn_extent(t) * dnn_element_bytes(t->type)));
  UNLOCK();
  return reaches != 0;
}

/* One index of each of the three tensors of a convolution, from one over [image, filter, where in y..., channel, where in w...]; false in the padding. */
static bool places(const struct operation *o, const int64_t *all, int64_t *x, int64_t *w, int64_t *y) {
  int spatial = o->x.count - 2;
  int64_t channels = o->w.dims[1], groups = o->x.dims[1] / channels, filters = o->w.dims[0] / groups;
  const int64_t *in_y = all + 2, *in_w = all + 3 + spatial;
  x[0] = y[0] = all[0];
  y[1] = w[0] = all[1];
  w[1] = all[2 + spatial];
  x[1] = all[1] / filters * channels + w[1];
  for (int i = 0; i < spatial; i++) {
    y[2 + i] = in_y[i];
    x[2 + i] = in_y[i] * o->convolution.stride[i] - o->convolution.before[i] + in_w[i] * o->convolution.dilation[i];
    w[2 + i] = o->convolution.flips ? o->w.dims[2 + i] - 1 - in_w[i] : in_w[i];
    if (x[2 + i] < 0 || x[2 + i] >= o->x.dims[2 + i]) return false;
  }
  return true;
}

static int64_t linear(const struct tensor *t, const int64_t *index) {
  int64_t at = 0;
  for (int i = 0; i < t->count; i++) at = at * t->dims[i] + index[i];
  return at;
}

static void convolve(const struct operation *o) {
  int spatial = o->x.count - 2, count = 3 + 2 * spatial;
  const struct tensor *result = o->kind == 10 ? &o->y : o->kind == 11 ? &o->w : &o->x;
  int64_t elements = 1, dims[3 + 2 * DIMENSIONS], all[3 + 2 * DIMENSIONS] = {0};
  for (int i = 0; i < result->count; i++) elements *= result->dims[i];
  double *sums = calloc((size_t)elements, sizeof *sums);
  dims[0] = o->x.dims[0], dims[1] = o->w.dims[0], dims[2 + spatial] = o->w.dims[1];
  for (int i = 0; i < spatial; i++) dims[2 + i] = o->y.dims[2 + i], dims[3 + spatial + i] = o->w.dims[2 + i];
  do {
    int64_t x[DIMENSIONS], w[DIMENSIONS], y[DIMENSIONS];
    if (!places(o, all, x, w, y)) continue;
    if (o->kind == 10) sums[linear(&o->y, y)] += dnn_load(&o->x, x) * dnn_load(&o->w, w);
    else if (o->kind == 11) sums[linear(&o->w, w)] += dnn_load(&o->x, x) * dnn_load(&o->y, y);
    else sums[linear(&o->x, x)] += dnn_load(&o->y, y) * dnn_load(&o->w, w);
  } while (dnn_next(count, dims, all));
  int64_t index[DIMENSIONS] = {0};
  do {
    double before = o->beta == 0 ? 0 : o->beta * dnn_load(result, index);
    dnn_store(result, index, o->alpha * sums[linear(result, index)] + before);
  } while (dnn_next(result->count, result->dims, index));
  free(sums);
}

static double pointwise(const struct operation *o, double x, double b) {
  switch (o->mode) {
    case 0: return o->alpha * x + o->beta * b;
    case 1: return o->alpha * x * o->beta * b;
    case 21: return x;
    case 100: return fmin(fmax(x, o->lower), o->upper);
    case 101: return tanh(x);
    default: return 1 / (1 + exp(-x));
  }
}

void dnn_compute(const struct operation *o) {
  if (o->kind != 13) return convolve(o);
  int64_t index[DIMENSIONS] = {0};
  do dnn_store(&o->y, index, pointwise(o, dnn_load(&o->x, index), o->w.count == 0 ? 0 : dnn_load(&o->w, index)));
  while (dnn_next(o->y.count, o->y.dims, index));
}
