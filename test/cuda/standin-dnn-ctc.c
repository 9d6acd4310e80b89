/* The stand-in's cuDNN: the loss of connectionist temporal classification, of activations in f32 over which it takes the softmax itself. Label 0 is the blank. */
#include "standin-dnn-objects.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of its descriptor: type, how inputs are normalised, what is done where no path fits, and the length of the longest labels. */
API int cudnnSetCTCLossDescriptor_v9(struct object *o, int type, int normal, int gradient, int longest) {
  DNN_ASK();
  if (type != 0 || normal < 0 || normal > 1 || longest < 0) return dnn_fail(DNN_BAD_PARAM, "no such loss");
  SET(o, CTC_LOSS, type, normal, gradient, longest);
  return DNN_SUCCESS;
}
API int cudnnSetCTCLossDescriptor_v8(struct object *o, int type, int normal, int nan, int longest) {
  DNN_ASK();
  return cudnnSetCTCLossDescriptor_v9(o, type, normal, nan, longest);
}
API int cudnnSetCTCLossDescriptorEx(struct object *o, int type, int normal, int nan) {
  DNN_ASK();
  return cudnnSetCTCLossDescriptor_v9(o, type, normal, nan, 256);
}
API int cudnnSetCTCLossDescriptor(struct object *o, int type) {
  DNN_ASK();
  return cudnnSetCTCLossDescriptor_v9(o, type, 0, 0, 256);
}
API int cudnnGetCTCLossDescriptor_v9(struct object *o, int *type, int *normal, int *gradient, int *longest) {
  DNN_ASK();
  TELL(o, CTC_LOSS, type, normal, gradient, longest);
  return DNN_SUCCESS;
}
API int cudnnGetCTCLossDescriptor_v8(struct object *o, int *type, int *normal, int *nan, int *longest) {
  DNN_ASK();
  return cudnnGetCTCLossDescriptor_v9(o, type, normal, nan, longest);
}
API int cudnnGetCTCLossDescriptorEx(struct object *o, int *type, int *normal, int *nan) {
  DNN_ASK();
  TELL(o, CTC_LOSS, type, normal, nan);
  return DNN_SUCCESS;
}
API int cudnnGetCTCLossDescriptor(struct object *o, int *type) {
  DNN_ASK();
  TELL(o, CTC_LOSS, type);
  return DNN_SUCCESS;
}

static double add_logs(double a, double b) {
  double most = fmax(a, b), least = fmin(a, b);
  return least == -INFINITY ? most : most + log1p(exp(least - most));
}

/* One sequence: its labels, its steps, and logarithms of what is likely at each. */
struct sequence {
  const int *labels;
  int count, steps, alphabet;
  double *logs;
};

/* The label at a place among the labels with blanks between and around them. */
static int label_at(const struct sequence *s, int place) { return place % 2 == 0 ? 0 : s->labels[place / 2]; }

/* Logarithms of how likely all ways are to be at each place after each step: from the first step on, or from the last. */
static void walk(const struct sequence *s, bool is_back, double *ways) {
  int places = 2 * s->count + 1;
  for (int step = 0; step < s->steps; step++) {
    int t = is_back ? s->steps - 1 - step : step, from = is_back ? t + 1 : t - 1, way = is_back ? 1 : -1;
    for (int place = 0; place < places; place++) {
      int end = is_back ? places - 1 - place : place;
      double sum = step == 0 ? (end < 2 ? 0 : -INFINITY) : ways[from * places + place];
      for (int by = 1; step > 0 && by < 3; by++) {
        int other = place + by * way;
        bool skips = by == 2 && (place % 2 == 0 || label_at(s, place) == label_at(s, other < 0 || other >= places ? place : other));
        if (other >= 0 && other < places && !skips) sum = add_logs(sum, ways[from * places + other]);
      }
      ways[t * places + place] = sum + s->logs[t * s->alphabet + label_at(s, place)];
    }
  }
}

static double lose(const struct sequence *s, const struct tensor *gradients, int64_t n) {
  int places = 2 * s->count + 1;
  double *ahead = malloc((size_t)(2 * places * s->steps) * sizeof *ahead), *behind = ahead + places * s->steps, total = -INFINITY;
  walk(s, false, ahead);
  walk(s, true, behind);
  for (int place = places - 1; place >= 0 && place >= places - 2; place--) total = add_logs(total, ahead[(s->steps - 1) * places + place]);
  for (int t = 0; gradients->at != 0 && t < s->steps; t++)
    for (int label = 0; label < s->alphabet; label++) {
      double through = -INFINITY, own = s->logs[t * s->alphabet + label];
      for (int place = 0; place < places; place++)
        if (label_at(s, place) == label) through = add_logs(through, ahead[t * places + place] + behind[t * places + place] - own);
      dnn_store(gradients, (const int64_t[]){t, n, label}, exp(own) - exp(through - total));
    }
  free(ahead);
  return -total;
}

static void lose_all(const struct job *job) {
  const struct tensor *probs = &job->tensors[0], *gradients = &job->tensors[1];
  const int *labels = job->lists[0], *lengths = job->lists[1], *steps = job->lists[2];
  int alphabet = (int)probs->dims[2];
  int64_t index[DIMENSIONS] = {0};
  if (labels == NULL) labels = (const int *)job->numbers[0], lengths = (const int *)job->numbers[1], steps = (const int *)job->numbers[2];
  if (job->tensors[5].at != 0) memset((void *)job->tensors[5].at, 0x5a, (size_t)job->tensors[5].dims[0] * 4);
  do if (gradients->at != 0) dnn_store(gradients, index, 0);
  while (dnn_next(probs->count, probs->dims, index));
  for (int64_t n = 0; n < probs->dims[1]; n++) {
    struct sequence s = {labels, lengths[n], steps[n], alphabet, malloc((size_t)(steps[n] * alphabet) * sizeof(double))};
    for (int t = 0; t < s.steps; t++) {
      double sum = -INFINITY;
      for (int label = 0; label < alphabet; label++) sum = add_logs(sum, dnn_load(probs, (const int64_t[]){t, n, label}));
      for (int label = 0; label < alphabet; label++) s.logs[t * alphabet + label] = dnn_load(probs, (const int64_t[]){t, n, label}) - sum;
    }
    ((float *)job->tensors[4].at)[n] = (float)lose(&s, gradients, n);
    free(s.logs);
    labels += lengths[n];
  }
}

static int check(const struct object *how, const struct object *probs, const struct object *gradients) {
  bool fits = dnn_is(how, CTC_LOSS) && dnn_is(probs, TENSOR) && probs->tensor.count == 3 && (gradients == NULL || (dnn_is(gradients, TENSOR) && dnn_same_dims(probs, gradients)));
  if (!fits) return dnn_fail(DNN_BAD_PARAM, "tensors and loss do not fit");
  return how->numbers[1] == 1 ? DNN_SUCCESS : dnn_fail(DNN_NOT_SUPPORTED, "inputs that are normalised");
}

static size_t space_of(const struct object *probs) { return (size_t)probs->tensor.dims[1] * 64; }

API int cudnnGetCTCLossWorkspaceSize_v8(struct dnn *dnn, int algorithm, struct object *how, struct object *probs, struct object *gradients, size_t *bytes) {
  DNN_ASK();
  (void)dnn, (void)algorithm;
  int status = check(how, probs, gradients);
  if (status == DNN_SUCCESS) *bytes = space_of(probs);
  return status;
}

API int cudnnGetCTCLossWorkspaceSize(struct dnn *dnn, struct object *probs, struct object *gradients, const int *labels, const int *lengths, const int *steps, int algorithm,
                                     struct object *how, size_t *bytes) {
  DNN_ASK();
  int status = cudnnGetCTCLossWorkspaceSize_v8(dnn, algorithm, how, probs, gradients, bytes);
  for (int64_t n = 0; status == DNN_SUCCESS && n < probs->tensor.dims[1]; n++) {
    if (steps[n] < 1 || steps[n] > probs->tensor.dims[0] || lengths[n] > 256) return dnn_fail(DNN_BAD_PARAM, "a sequence is too long");
    for (int i = 0; i < lengths[n]; i++)
      if (*labels++ >= probs->tensor.dims[2]) return dnn_fail(DNN_BAD_PARAM, "a label is not in the alphabet");
  }
  return status;
}

static int *copy_of(const int *values, int64_t count) {
  int *copy = malloc((size_t)count * sizeof *copy + 1);
  memcpy(copy, values, (size_t)count * sizeof *copy);
  return copy;
}

static struct job job_of(const struct object *probs, uint64_t probs_at, uint64_t costs, const struct object *gradients, uint64_t gradients_at, uint64_t workspace) {
  struct job job = {.compute = lose_all};
  job.tensors[0] = dnn_placed(probs, probs_at);
  if (gradients != NULL) job.tensors[1] = dnn_placed(gradients, gradients_at);
  job.tensors[4] = dnn_memory(costs, 0, probs->tensor.dims[1]);
  job.tensors[5] = dnn_memory(workspace, 0, (int64_t)space_of(probs) / 4);
  return job;
}

API int cudnnCTCLoss(struct dnn *dnn, struct object *probs, uint64_t probs_at, const int *labels, const int *lengths, const int *steps, uint64_t costs, struct object *gradients,
                     uint64_t gradients_at, int algorithm, struct object *how, uint64_t workspace, size_t bytes) {
  DNN_ASK();
  size_t wanted;
  int status = cudnnGetCTCLossWorkspaceSize(dnn, probs, gradients, labels, lengths, steps, algorithm, how, &wanted);
  if (status != DNN_SUCCESS || workspace == 0 || bytes < wanted) return status != DNN_SUCCESS ? status : dnn_fail(DNN_SIZE_INSUFFICIENT, "no workspace");
  int64_t count = probs->tensor.dims[1], all = 0;
  for (int64_t n = 0; n < count; n++) all += lengths[n];
  struct job job = job_of(probs, probs_at, costs, gradients, gradients_at, workspace);
  job.lists[0] = copy_of(labels, all), job.lists[1] = copy_of(lengths, count), job.lists[2] = copy_of(steps, count);
  return dnn_queue_job(dnn, &job);
}

API int cudnnCTCLoss_v8(struct dnn *dnn, int algorithm, struct object *how, struct object *probs, uint64_t probs_at, uint64_t labels, uint64_t lengths, uint64_t steps, uint64_t costs,
                        struct object *gradients, uint64_t gradients_at, size_t bytes, uint64_t workspace) {
  DNN_ASK();
  size_t wanted;
  int status = cudnnGetCTCLossWorkspaceSize_v8(dnn, algorithm, how, probs, gradients, &wanted);
  if (status != DNN_SUCCESS || workspace == 0 || bytes < wanted) return status != DNN_SUCCESS ? status : dnn_fail(DNN_SIZE_INSUFFICIENT, "no workspace");
  struct job job = job_of(probs, probs_at, costs, gradients, gradients_at, workspace);
  job.tensors[2] = dnn_memory(lengths, 4, probs->tensor.dims[1]), job.tensors[3] = dnn_memory(steps, 4, probs->tensor.dims[1]);
  job.numbers[0] = (int64_t)labels, job.numbers[1] = (int64_t)lengths, job.numbers[2] = (int64_t)steps;
  return dnn_queue_job(dnn, &job);
}
