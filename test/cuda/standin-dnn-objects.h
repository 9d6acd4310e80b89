/* The stand-in's cuDNN: descriptors of functions that belong to no graph, and work over tensors. */
#ifndef SLUICE_STANDIN_DNN_OBJECTS_H
#define SLUICE_STANDIN_DNN_OBJECTS_H

#include "standin-dnn.h"

enum { TENSOR = 1, ACTIVATION, FILTER, CONVOLUTION, POOLING, SPATIAL_TRANSFORMER, CTC_LOSS, LRN, OP_TENSOR, REDUCE_TENSOR };

/* Any of them but those of RNNs. */
struct object {
  int kind;
  bool is_set;
  struct tensor tensor; /* a filter's, too */
  int format;           /* a filter's */
  int numbers[24];
  double factors[4];
};

/* Work over tensors, which are looked at before it is done. */
struct job {
  void (*compute)(const struct job *);
  struct tensor tensors[6]; /* those that are nowhere are absent */
  struct object how;
  double factors[4];
  int64_t numbers[8];
  struct operation operation;
  int *lists[3]; /* of malloc */
};

bool dnn_is(const struct object *o, int kind);
/* The tensor at an address. */
struct tensor dnn_placed(const struct object *o, uint64_t at);
/* Plain memory of so many elements. */
struct tensor dnn_memory(uint64_t at, int type, int64_t elements);
/* A factor in the host's memory, of the type that goes with data of a tensor. */
double dnn_factor(const void *at, const struct object *tensor);
/* result = alpha * value + beta * result */
void dnn_blend(const struct tensor *t, const int64_t *index, double value, double alpha, double beta);
bool dnn_same_dims(const struct object *a, const struct object *b);
int dnn_queue_job(struct dnn *dnn, const struct job *job);
double dnn_activate(const struct object *activation, double x);

/* Keeps what a descriptor was set to. */
#define SET(object, of_kind, ...)                                                                   \
  do {                                                                                              \
    const int set_to[] = {__VA_ARGS__};                                                             \
    if ((object)->kind != (of_kind)) return dnn_fail(DNN_BAD_PARAM, "a descriptor of another kind"); \
    for (size_t i = 0; i < sizeof set_to / sizeof *set_to; i++) (object)->numbers[i] = set_to[i];   \
    (object)->is_set = true;                                                                        \
  } while (0)
/* Tells it: the places of these numbers. */
#define TELL(object, of_kind, ...)                                                                  \
  do {                                                                                              \
    int *const told[] = {__VA_ARGS__};                                                              \
    if (!dnn_is(object, of_kind)) return dnn_fail(DNN_BAD_PARAM, "the descriptor is not set");       \
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) *told[i] = (object)->numbers[i];        \
  } while (0)

#endif
