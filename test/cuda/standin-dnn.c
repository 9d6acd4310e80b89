/* The stand-in's cuDNN: its handle, and graphs of operations, which are computed in the order of the stream. What a descriptor refers to must outlive it. Two
   engines compute everything: the first wants a workspace. */
#include "standin-dnn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTRIBUTES 32
#define OPERATIONS 8
#define WORKSPACE_BYTES 1024
#define HANDLE_BYTES (4 << 20)
#define ENGINE_MIB 6

enum { HANDLE = 0, DATA_TYPE = 1, BOOLEAN = 2, INT64 = 3, FLOAT = 4, DOUBLE = 5, VOID_PTR = 6, DESCRIPTOR = 15 };
enum { ENGINE = 2, ENGINECFG = 3, ENGINEHEUR = 4, PLAN = 5, GRAPH = 15, PACK = 16, TENSOR = 17 };

struct attribute {
  int name, type;
  int64_t count;
  void *elements;
};

struct descriptor {
  int type;
  bool is_finalized;
  int count;
  struct attribute attributes[ATTRIBUTES];
  struct descriptor *engine; /* of a configuration that heuristics have made */
  int64_t loaded_bytes;      /* of a plan that has run: what its code has of the device */
  int device;
  struct descriptor *next;
};

/* What a descriptor may be told: names from a first to a last, and the type of their elements; 0 in the last place for one element alone. */
static const struct {
  int first, last, type;
  bool is_many;
} known[] = {
    {0, 0, 14, false},          {1, 1, DATA_TYPE, false},   {2, 2, 10, false},   {3, 8, DOUBLE, false},      {100, 100, DATA_TYPE, false},   {101, 101, 7, false},
    {102, 105, INT64, true},    {106, 106, INT64, false},   {200, 200, 8, false},       {201, 201, DESCRIPTOR, false},  {300, 300, DESCRIPTOR, false},
    {302, 302, DESCRIPTOR, true}, {400, 400, HANDLE, false}, {401, 401, DESCRIPTOR, false}, {702, 705, DESCRIPTOR, false}, {708, 711, DESCRIPTOR, false},
    {714, 717, DESCRIPTOR, false}, {700, 717, DOUBLE, false}, {750, 753, DESCRIPTOR, false}, {754, 755, DOUBLE, false},   {800, 800, HANDLE, false},
    {801, 801, DESCRIPTOR, true}, {900, 900, INT64, false}, {901, 901, DATA_TYPE, false}, {902, 903, INT64, true},        {904, 906, INT64, false},
    {907, 908, BOOLEAN, false}, {909, 909, 20, false},      {1000, 1000, INT64, true},  {1001, 1001, VOID_PTR, true},   {1003, 1003, VOID_PTR, false},
    {1300, 1300, DESCRIPTOR, false}, {1301, 1301, INT64, false},
};

static struct descriptor *descriptors;
static _Thread_local char last_error[256];
int dnn_objects;

int dnn_fail(int status, const char *why) {
  snprintf(last_error, sizeof last_error, "%s", why);
  return status;
}

API int standin_dnn_objects(void) { return dnn_objects; }
/* 9.24.0 for CUDA 13, or what SLUICE_STANDIN_DNN says of both, with a colon between. */
static size_t chosen(int place, size_t otherwise) {
  const char *text = getenv("SLUICE_STANDIN_DNN");
  if (text == NULL) return otherwise;
  const char *second = strchr(text, ':');
  return strtoul(place == 0 || second == NULL ? text : second + 1, NULL, 10);
}
API size_t cudnnGetVersion(void) { return chosen(0, 92400); }
API size_t cudnnGetCudartVersion(void) { return chosen(1, 13000); }
API size_t cudnnGetMaxDeviceVersion(void) { return 1210; }
API void cudnnGetLastErrorString(char *message, size_t bytes) { snprintf(message, bytes, "%s", last_error); }

API int cudnnCreate(struct dnn **handle) {
  DNN_ASK();
  if (standin_current == NULL || standin_current->users == 0) return dnn_fail(DNN_NOT_INITIALIZED, "no context");
  LOCK();
  int fits = standin_take(standin_current->device, HANDLE_BYTES);
  UNLOCK();
  if (!fits) return dnn_fail(DNN_NO_DEVICE_MEMORY, "the device is full");
  *handle = calloc(1, sizeof **handle);
  (*handle)->context = standin_current;
  dnn_objects++;
  return DNN_SUCCESS;
}

API int cudnnDestroy(struct dnn *handle) {
  LOCK();
  standin_take(handle->context->device, -HANDLE_BYTES);
  UNLOCK();
  free(handle);
  dnn_objects--;
  return DNN_SUCCESS;
}

API int cudnnSetStream(struct dnn *handle, struct stream *stream) {
  DNN_ASK();
  handle->stream = stream;
  return DNN_SUCCESS;
}

int dnn_queue(struct dnn *dnn, int (*task)(struct context *, void *), void *argument) {
  LOCK();
  int result = dnn->context->error;
  if (dnn->context != standin_current) result = INVALID_CONTEXT;
  struct work w = {.kind = TASK, .source = (uint64_t)argument, .task = task};
  if (result == SUCCESS) result = standin_queue(dnn->context, dnn->stream, &w);
  UNLOCK();
  if (result == SUCCESS) return DNN_SUCCESS;
  free(argument);
  return dnn_fail(DNN_EXECUTION_FAILED, "the work cannot be queued");
}

API int cudnnBackendCreateDescriptor(int type, struct descriptor **out) {
  DNN_ASK();
  if (type < 0 || type > 50) return dnn_fail(DNN_NOT_SUPPORTED, "no such descriptor");
  struct descriptor *made = calloc(1, sizeof *made);
  made->type = type;
  made->next = descriptors;
  descriptors = made;
  dnn_objects++;
  *out = made;
  return DNN_SUCCESS;
}

static struct attribute *find(struct descriptor *d, int name) {
  for (int i = 0; i < d->count; i++)
    if (d->attributes[i].name == name) return &d->attributes[i];
  return NULL;
}

static bool refers(const struct descriptor *d, const struct descriptor *to) {
  for (int i = 0; i < d->count; i++)
    for (int64_t j = 0; d->attributes[i].type == DESCRIPTOR && j < d->attributes[i].count; j++)
      if (((struct descriptor **)d->attributes[i].elements)[j] == to) return true;
  return false;
}

API int cudnnBackendDestroyDescriptor(struct descriptor *gone) {
  for (struct descriptor **d = &descriptors; *d != NULL; d = &(*d)->next)
    if (*d == gone) {
      *d = gone->next;
      break;
    }
  for (struct descriptor *d = descriptors; d != NULL; d = d->next)
    if (refers(d, gone)) standin_violation("a descriptor of cuDNN ends before one that refers to it");
  for (int i = 0; i < gone->count; i++) free(gone->attributes[i].elements);
  if (gone->loaded_bytes > 0) {
    LOCK();
    standin_take(gone->device, -gone->loaded_bytes);
    UNLOCK();
  }
  if (gone->engine != NULL) cudnnBackendDestroyDescriptor(gone->engine);
  free(gone);
  dnn_objects--;
  return DNN_SUCCESS;
}

static size_t element_bytes(int type) {
  return type == BOOLEAN ? 1 : type == HANDLE || type == INT64 || type == DOUBLE || type == VOID_PTR || type == DESCRIPTOR ? 8 : 4;
}

static int check(int name, int type, int64_t count) {
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (name < known[i].first || name > known[i].last) continue;
    bool is_number = known[i].type == DOUBLE && type == FLOAT;
    if (known[i].type != type && !is_number) return dnn_fail(DNN_ATTRIBUTE_TYPE, "an attribute of another type");
    if (count < 0 || (count != 1 && !known[i].is_many)) return dnn_fail(DNN_BAD_PARAM, "too many elements");
    return DNN_SUCCESS;
  }
  return dnn_fail(DNN_NOT_SUPPORTED, "no such attribute");
}

API int cudnnBackendSetAttribute(struct descriptor *d, int name, int type, int64_t count, const void *elements) {
  DNN_ASK();
  if (d->is_finalized) return dnn_fail(DNN_BAD_PARAM, "the descriptor is finalized");
  int status = check(name, type, count);
  if (status != DNN_SUCCESS) return status;
  if (elements == NULL && count > 0) return dnn_fail(DNN_NULL_POINTER, "no elements");
  if (type == DESCRIPTOR)
    for (int64_t i = 0; i < count; i++)
      if (!((struct descriptor **)elements)[i]->is_finalized) return dnn_fail(DNN_NOT_FINALIZED, "a part is not finalized");
  struct attribute *a = find(d, name);
  if (a == NULL) {
    if (d->count == ATTRIBUTES) return dnn_fail(DNN_BAD_PARAM, "too many attributes");
    a = &d->attributes[d->count++];
  }
  free(a->elements);
  size_t bytes = (size_t)count * element_bytes(type);
  *a = (struct attribute){name, type, count, malloc(bytes + 1)};
  if (bytes > 0) memcpy(a->elements, elements, bytes);
  return DNN_SUCCESS;
}

static int64_t number(struct descriptor *d, int name, int64_t otherwise) {
  struct attribute *a = find(d, name);
  if (a == NULL || a->count == 0) return otherwise;
  return a->type == INT64 ? *(int64_t *)a->elements : a->type == BOOLEAN ? *(uint8_t *)a->elements : *(int32_t *)a->elements;
}

static double factor(struct descriptor *d, int name, double otherwise) {
  struct attribute *a = find(d, name);
  if (a == NULL) return otherwise;
  return a->type == FLOAT ? *(float *)a->elements : *(double *)a->elements;
}

static struct descriptor *part(struct descriptor *d, int name) {
  struct attribute *a = find(d, name);
  return a == NULL || a->count == 0 ? NULL : *(struct descriptor **)a->elements;
}

/* The graph behind a plan, a configuration, an engine or heuristics. */
static struct descriptor *graph_of(struct descriptor *d) {
  if (d->type == PLAN) return graph_of(part(d, 401));
  if (d->type == ENGINECFG) return graph_of(d->engine != NULL ? d->engine : part(d, 300));
  return part(d, d->type == ENGINE ? 1300 : 201);
}

static int64_t engine_of(struct descriptor *plan) {
  struct descriptor *configuration = part(plan, 401);
  return number(configuration->engine != NULL ? configuration->engine : part(configuration, 300), 1301, 0);
}

/* What must have been told before it is finalized. */
static bool is_complete(struct descriptor *d) {
  static const struct {
    int type, names[6];
  } wanted[] = {{TENSOR, {900, 901, 902, 903, 906, -1}}, {1, {100, 101, 102, 103, 105, 106}}, {0, {0, 1, -1}},     {10, {702, 703, 704, 705, -1}},
                {11, {714, 715, 716, 717, -1}},          {12, {708, 709, 710, 711, -1}},      {13, {750, 751, 753, -1}}, {GRAPH, {800, 801, -1}},
                {ENGINE, {1300, 1301, -1}},              {ENGINEHEUR, {200, 201, -1}},        {ENGINECFG, {300, -1}},    {PLAN, {401, -1}},
                {PACK, {1000, 1001, -1}}};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
    for (int j = 0; wanted[i].type == d->type && j < 6 && wanted[i].names[j] >= 0; j++) {
      struct attribute *a = find(d, wanted[i].names[j]);
      if (a == NULL || a->count == 0) return false;
    }
  return true;
}

API int cudnnBackendFinalize(struct descriptor *d) {
  DNN_ASK();
  if (d->is_finalized || !is_complete(d)) return dnn_fail(DNN_BAD_PARAM, "attributes are missing");
  if (d->type == TENSOR && (find(d, 902)->count != find(d, 903)->count || find(d, 902)->count > DIMENSIONS)) return dnn_fail(DNN_BAD_PARAM, "dimensions and strides differ");
  if (d->type == PACK && find(d, 1000)->count != find(d, 1001)->count) return dnn_fail(DNN_BAD_PARAM, "ids and pointers differ");
  if (d->type == GRAPH && find(d, 801)->count > OPERATIONS) return dnn_fail(DNN_NOT_SUPPORTED, "too many operations");
  if (d->type == ENGINE && number(d, 1301, 0) > 1) return dnn_fail(DNN_NOT_SUPPORTED, "no such engine");
  d->is_finalized = true;
  return DNN_SUCCESS;
}

/* Two configurations, one for each engine. */
static int results_of(struct descriptor *d, int64_t wanted, int64_t *found, struct descriptor **into) {
  *found = wanted == 0 || into == NULL ? 2 : wanted < 2 ? wanted : 2;
  for (int64_t i = 0; into != NULL && i < wanted && i < 2; i++) {
    struct descriptor *graph = part(d, 201), *engine = NULL;
    if (into[i]->type != ENGINECFG || into[i]->is_finalized) return dnn_fail(DNN_BAD_PARAM, "no configuration to fill");
    cudnnBackendCreateDescriptor(ENGINE, &engine);
    cudnnBackendSetAttribute(engine, 1300, DESCRIPTOR, 1, &graph);
    cudnnBackendSetAttribute(engine, 1301, INT64, 1, &i);
    engine->is_finalized = into[i]->is_finalized = true;
    into[i]->engine = engine;
  }
  return DNN_SUCCESS;
}

/* The engine of a configuration, or the configuration of a plan, told once more. */
static int copy_part(struct descriptor *from, int64_t wanted, int64_t *found, struct descriptor **into) {
  if (from == NULL) return dnn_fail(DNN_NOT_SUPPORTED, "no such attribute");
  *found = 1;
  if (wanted == 0 || into == NULL) return DNN_SUCCESS;
  if (into[0]->type != from->type || into[0]->is_finalized) return dnn_fail(DNN_BAD_PARAM, "no descriptor to fill");
  for (int i = 0; i < from->count; i++) {
    struct attribute *a = &from->attributes[i];
    int status = cudnnBackendSetAttribute(into[0], a->name, a->type, a->count, a->elements);
    if (status != DNN_SUCCESS) return status;
  }
  if (from->engine != NULL) {
    cudnnBackendCreateDescriptor(ENGINE, &into[0]->engine);
    int64_t one;
    copy_part(from->engine, 1, &one, &into[0]->engine);
  }
  into[0]->is_finalized = true;
  return DNN_SUCCESS;
}

API int cudnnBackendGetAttribute(struct descriptor *d, int name, int type, int64_t wanted, int64_t *found, void *into) {
  DNN_ASK();
  if (!d->is_finalized) return dnn_fail(DNN_NOT_FINALIZED, "the descriptor is not finalized");
  if (d->type == ENGINEHEUR && name == 202 && type == DESCRIPTOR) return results_of(d, wanted, found, into);
  if (d->type == ENGINECFG && name == 300 && type == DESCRIPTOR) return copy_part(d->engine != NULL ? d->engine : part(d, 300), wanted, found, into);
  if (d->type == PLAN && name == 401 && type == DESCRIPTOR) return copy_part(part(d, 401), wanted, found, into);
  if ((d->type == ENGINE && (name == 1302 || name == 1303 || name == 1305)) || (d->type == ENGINECFG && name == 302)) return *found = 0, DNN_SUCCESS;
  int64_t computed = d->type == PLAN && name == 402 ? (engine_of(d) == 0 ? WORKSPACE_BYTES : 0) : d->type == GRAPH && name == 802 ? 2 : -1;
  struct attribute one = {name, INT64, 1, &computed}, *a = computed >= 0 ? &one : find(d, name);
  if (a == NULL) return dnn_fail(DNN_NOT_SUPPORTED, "no such attribute");
  if (a->type != type) return dnn_fail(DNN_ATTRIBUTE_TYPE, "an attribute of another type");
  *found = a->count;
  if (into != NULL) memcpy(into, a->elements, (size_t)(wanted < a->count ? wanted : a->count) * element_bytes(type));
  return DNN_SUCCESS;
}

/* A graph's operations with where their data is. What is virtual lies behind them in the same block. */
struct job {
  int count;
  uint64_t workspace;
  int64_t values[OPERATIONS * 3][2];
  struct operation operations[OPERATIONS];
};

static struct tensor tensor_of(struct descriptor *d) {
  struct tensor t = {.uid = number(d, 906, 0), .type = (int)number(d, 901, 0), .count = (int)find(d, 902)->count};
  t.is_virtual = number(d, 907, 0) != 0;
  t.is_by_value = number(d, 908, 0) != 0;
  memcpy(t.dims, find(d, 902)->elements, (size_t)t.count * 8);
  memcpy(t.strides, find(d, 903)->elements, (size_t)t.count * 8);
  return t;
}

static void describe(struct descriptor *d, struct operation *o) {
  /* Names of alpha, beta, what it does, w, x and y, by the kind of operation. */
  static const int names[4][6] = {{700, 701, 702, 703, 704, 705}, {712, 713, 714, 715, 716, 717}, {706, 707, 708, 709, 710, 711}, {754, 755, 750, 752, 751, 753}};
  const int *named = names[d->type - 10];
  *o = (struct operation){.kind = d->type, .alpha = factor(d, named[0], 1), .beta = factor(d, named[1], d->type == 13 ? 1 : 0)};
  struct descriptor *how = part(d, named[2]);
  if (part(d, named[3]) != NULL) o->w = tensor_of(part(d, named[3]));
  o->x = tensor_of(part(d, named[4]));
  o->y = tensor_of(part(d, named[5]));
  if (d->type == 13) {
    o->mode = (int)number(how, 0, 0);
    o->lower = factor(how, 3, 0);
    o->upper = factor(how, 4, INFINITY);
    return;
  }
  o->convolution.flips = number(how, 101, 1) == 0;
  size_t bytes = (size_t)find(how, 103)->count * 8;
  memcpy(o->convolution.dilation, find(how, 102)->elements, bytes);
  memcpy(o->convolution.stride, find(how, 103)->elements, bytes);
  memcpy(o->convolution.before, find(how, 105)->elements, bytes);
}

static int run(struct context *context, void *argument) {
  struct job *job = argument;
  int result = SUCCESS;
  if (job->workspace != 0) memset((void *)job->workspace, 0x5a, WORKSPACE_BYTES);
  for (int i = 0; i < job->count && result == SUCCESS; i++) {
    struct operation *o = &job->operations[i];
    struct tensor *tensors[] = {&o->x, &o->w, &o->y};
    for (int j = 0; j < 3; j++)
      if (tensors[j]->count > 0 && !tensors[j]->is_virtual && !tensors[j]->is_by_value && !dnn_reaches(context, tensors[j])) result = ILLEGAL_ADDRESS;
    if (result == SUCCESS) dnn_compute(o);
  }
  free(job);
  return result;
}

/* Where a tensor's data is: in the pack, or for a virtual one behind the job. */
static int resolve(struct tensor *t, struct descriptor *pack, struct job *job, int64_t value[2]) {
  struct attribute *ids = find(pack, 1000), *pointers = find(pack, 1001);
  for (int64_t i = 0; i < ids->count && !t->is_virtual; i++) {
    if (((int64_t *)ids->elements)[i] != t->uid) continue;
    t->at = ((uint64_t *)pointers->elements)[i];
    if (t->at == 0) return dnn_fail(DNN_NULL_POINTER, "a tensor has no data");
    if (!t->is_by_value) return DNN_SUCCESS;
    memcpy(value, (void *)t->at, 16);
    t->at = (uint64_t)value;
    return DNN_SUCCESS;
  }
  /* Behind the job: by the id, so that who writes it and who reads it mean the same. */
  for (int i = 0; i < job->count && t->is_virtual; i++)
    if (job->operations[i].y.is_virtual && job->operations[i].y.uid == t->uid && job->operations[i].y.at != 0) return t->at = job->operations[i].y.at, DNN_SUCCESS;
  return dnn_fail(DNN_BAD_PARAM, "a tensor is not in the pack");
}

static int load(struct descriptor *plan, struct dnn *handle) {
  if (plan->loaded_bytes > 0) return DNN_SUCCESS;
  int chosen_mib = standin_injected("engine MiB");
  int64_t bytes = (int64_t)(chosen_mib > 0 ? chosen_mib : ENGINE_MIB) << 20;
  LOCK();
  int fits = standin_take(handle->context->device, bytes);
  UNLOCK();
  if (!fits) return dnn_fail(DNN_NO_DEVICE_MEMORY, "the device is full");
  plan->loaded_bytes = bytes;
  plan->device = handle->context->device;
  return DNN_SUCCESS;
}

API int cudnnBackendExecute(struct dnn *handle, struct descriptor *plan, struct descriptor *pack) {
  DNN_ASK();
  if (plan->type != PLAN || pack->type != PACK || !plan->is_finalized || !pack->is_finalized) return dnn_fail(DNN_BAD_PARAM, "no plan or no pack");
  struct attribute *ops = find(graph_of(plan), 801), *workspace = find(pack, 1003);
  int64_t bytes = sizeof(struct job);
  struct operation o;
  for (int64_t i = 0; i < ops->count; i++) {
    describe(((struct descriptor **)ops->elements)[i], &o);
    if (o.y.is_virtual) bytes += dnn_extent(&o.y) * 8;
  }
  struct job *job = calloc(1, (size_t)bytes);
  uint64_t behind = (uint64_t)(job + 1);
  job->count = (int)ops->count;
  job->workspace = workspace == NULL ? 0 : *(uint64_t *)workspace->elements;
  int status = engine_of(plan) == 0 && job->workspace == 0 ? dnn_fail(DNN_SIZE_INSUFFICIENT, "no workspace") : load(plan, handle);
  for (int i = 0; i < job->count && status == DNN_SUCCESS; i++) {
    struct operation *each = &job->operations[i];
    describe(((struct descriptor **)ops->elements)[i], each);
    if (each->y.is_virtual) each->y.at = behind, behind += (uint64_t)dnn_extent(&each->y) * 8;
    struct tensor *tensors[] = {&each->x, &each->w, &each->y};
    for (int j = 0; j < 3 && status == DNN_SUCCESS; j++)
      if (tensors[j]->count > 0 && tensors[j]->at == 0) status = resolve(tensors[j], pack, job, job->values[i * 3 + j]);
  }
  if (status == DNN_SUCCESS) return dnn_queue(handle, run, job);
  free(job);
  return status;
}
