/* The stand-in's cuDNN, by its parts: handles and statuses, graphs of operations, what they compute, and functions that belong to no graph. */
#ifndef SLUICE_STANDIN_DNN_H
#define SLUICE_STANDIN_DNN_H

#include "standin.h"

#include <stdbool.h>

/* As cudnnStatus_t. */
enum {
  DNN_SUCCESS = 0,
  DNN_NOT_INITIALIZED = 1001,
  DNN_BAD_PARAM = 2000,
  DNN_NULL_POINTER = 2002,
  DNN_NOT_FINALIZED = 2004,
  DNN_SIZE_INSUFFICIENT = 2006,
  DNN_ATTRIBUTE_TYPE = 2010,
  DNN_NOT_SUPPORTED = 3000,
  DNN_NO_DEVICE_MEMORY = 4004,
  DNN_EXECUTION_FAILED = 5000,
};

#define DIMENSIONS 6

/* cudnnHandle_t. */
struct dnn {
  struct context *context;
  struct stream *stream;
};

struct tensor {
  int64_t uid;
  int type; /* cudnnDataType_t */
  int count;
  int64_t dims[DIMENSIONS], strides[DIMENSIONS];
  bool is_virtual, is_by_value;
  uint64_t at;
};

/* Spatial dimensions only. */
struct convolution {
  int64_t before[DIMENSIONS], stride[DIMENSIONS], dilation[DIMENSIONS];
  bool flips;
};

struct operation {
  int kind; /* cudnnBackendDescriptorType_t */
  struct convolution convolution;
  int mode; /* cudnnPointwiseMode_t */
  double lower, upper; /* of a rectifier */
  double alpha, beta;
  struct tensor x, w, y; /* of a pointwise operation w is what is added or multiplied, of one with dx and dw those are in their places */
};

/* Keeps what cudnnGetLastErrorString tells, and returns the status. */
int dnn_fail(int status, const char *why);
/* Handles and descriptors that nobody has destroyed. */
extern int dnn_objects;
/* The element of a tensor at an index in all its dimensions, where an index in a dimension of one element is 0. */
double dnn_load(const struct tensor *t, const int64_t *index);
void dnn_store(const struct tensor *t, const int64_t *index, double value);
/* Goes on to the next index; false behind the last. */
bool dnn_next(int count, const int64_t *dims, int64_t *index);
/* Elements from a tensor's first to behind its last. */
int64_t dnn_extent(const struct tensor *t);
int64_t dnn_element_bytes(int type);
/* Whether a device may use all of a tensor. */
bool dnn_reaches(struct context *context, const struct tensor *t);
void dnn_compute(const struct operation *o);
/* Queues a task whose argument it frees where it cannot. */
int dnn_queue(struct dnn *dnn, int (*task)(struct context *, void *), void *argument);

#define DNN_ASK()                                        \
  do {                                                   \
    int injected = standin_injected(__func__);           \
    if (injected != SUCCESS) return dnn_fail(injected, "injected"); \
  } while (0)

#endif
