/* The stand-in's cuFFT: transforms by their definition, dimension after dimension, in whatever layout a plan says, in the order of its stream. A plan has tables on the
   device, and needs a work area, which it uses. Work that reaches memory which is not the device's is a misuse. */
#include "standin.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FFT_SUCCESS, INVALID_PLAN, ALLOC_FAILED, INVALID_TYPE, INVALID_SETTING, INTERNAL_ERROR, EXEC_FAILED, SETUP_FAILED, INVALID_SIZE, NO_WORKSPACE = 13, FFT_NOT_SUPPORTED = 16 };

#define PLANS 8192
#define RANK 3
#define TABLE_BYTES (2 << 20)
#define CODE_BYTES (6 << 20)

/* One side of a transform: strides in elements of its dimensions, and from one of a batch to the next. */
struct side {
  int type; /* cudaDataType */
  bool is_real;
  long long dims[RANK], strides[RANK], distance;
};

struct plan {
  bool is_there, is_made, allocates;
  int rank;
  struct context *context;
  struct stream *stream;
  struct side input, output;
  long long batch;
  size_t work_bytes;
  uint64_t work;
};

static struct plan plans[PLANS];
static int alive;

struct transform {
  struct plan plan;
  uint64_t input, output;
  int direction;
};

API int standin_fft_plans(void) { return alive; }

static struct plan *plan_of(int number) {
  return number >= 0 && number < PLANS && plans[number].is_there ? &plans[number] : NULL;
}

/* That of CUDA 13. */
API int cufftGetProperty(int which, int *value) {
  *value = which == 0 ? 12 : 0;
  return FFT_SUCCESS;
}

API int cufftCreate(int *number) {
  int injected = standin_injected(__func__);
  if (injected != 0) return injected;
  int free_place = 0;
  while (free_place < PLANS && plans[free_place].is_there) free_place++;
  if (free_place == PLANS) return ALLOC_FAILED;
  plans[free_place] = (struct plan){.is_there = true, .allocates = true};
  alive++;
  *number = free_place;
  return FFT_SUCCESS;
}

API int cufftDestroy(int number) {
  struct plan *plan = plan_of(number);
  if (plan == NULL) return INVALID_PLAN;
  LOCK();
  if (plan->is_made && plan->stream != NULL && !standin_has_stream(plan->context, plan->stream)) standin_violation("a plan of cuFFT has a stream that is gone");
  if (plan->is_made) standin_take(plan->context->device, -TABLE_BYTES);
  UNLOCK();
  plan->is_there = false;
  alive--;
  return FFT_SUCCESS;
}

API int cufftSetStream(int number, struct stream *stream) {
  struct plan *plan = plan_of(number);
  if (plan == NULL) return INVALID_PLAN;
  plan->stream = stream;
  return FFT_SUCCESS;
}

API int cufftSetAutoAllocation(int number, int allocates) {
  struct plan *plan = plan_of(number);
  if (plan == NULL || plan->is_made) return INVALID_PLAN;
  plan->allocates = allocates != 0;
  return FFT_SUCCESS;
}

API int cufftSetWorkArea(int number, void *area) {
  struct plan *plan = plan_of(number);
  if (plan == NULL || !plan->is_made) return INVALID_PLAN;
  plan->work = (uint64_t)area;
  return FFT_SUCCESS;
}

API int cufftGetSize(int number, size_t *bytes) {
  struct plan *plan = plan_of(number);
  if (plan == NULL || !plan->is_made) return INVALID_PLAN;
  *bytes = plan->work_bytes;
  return FFT_SUCCESS;
}

/* The complex type that goes with a real one, or with itself; -1 for none. */
static int complex_of(int type) {
  switch (type) {
  case 0: case 4: return 4;
  case 1: case 5: return 5;
  case 2: case 6: return 6;
  case 14: case 15: return 15;
  default: return -1;
  }
}
static bool is_real(int type) { return type != complex_of(type); }
static int real_of(int complex) { return complex == 4 ? 0 : complex == 5 ? 1 : complex == 6 ? 2 : 14; }
static int64_t element_bytes(int type) { return (real_of(complex_of(type)) == 1 ? 8 : real_of(complex_of(type)) == 0 ? 4 : 2) * (is_real(type) ? 1 : 2); }

static struct side side_of(int type, int rank, const long long *n, bool is_halved, const long long *embed, long long stride, long long distance) {
  struct side side = {.type = type, .is_real = is_real(type)};
  for (int d = 0; d < rank; d++) side.dims[d] = is_halved && d == rank - 1 ? n[d] / 2 + 1 : n[d];
  long long step = embed == NULL ? 1 : stride;
  for (int d = rank - 1; d >= 0; d--) {
    side.strides[d] = step;
    step *= embed == NULL ? side.dims[d] : embed[d];
  }
  side.distance = embed == NULL ? step : distance;
  return side;
}

API int cufftXtMakePlanMany(int number, int rank, long long *n, long long *inembed, long long istride, long long idist, int input, long long *onembed, long long ostride,
                            long long odist, int output, long long batch, size_t *work_bytes, int execution) {
  struct plan *plan = plan_of(number);
  int injected = standin_injected(__func__);
  if (injected != 0) return injected;
  if (plan == NULL || plan->is_made) return INVALID_PLAN;
  if (standin_current == NULL || standin_current->users == 0) return SETUP_FAILED;
  if (rank < 1 || rank > RANK || batch < 1) return INVALID_SIZE;
  if (complex_of(input) < 0 || complex_of(input) != complex_of(output) || execution != complex_of(input) || (is_real(input) && is_real(output))) return INVALID_TYPE;
  size_t elements = 1;
  for (int d = 0; d < rank; d++) {
    bool is_power = (n[d] & (n[d] - 1)) == 0;
    if (n[d] < 1) return INVALID_SIZE;
    if (element_bytes(complex_of(input)) == 4 && !is_power) return FFT_NOT_SUPPORTED;
    if ((inembed != NULL && inembed[d] < 1) || (onembed != NULL && onembed[d] < 1)) return INVALID_SETTING;
    elements *= (size_t)n[d];
  }
  if (inembed != NULL && (istride < 1 || ostride < 1 || idist < 0 || odist < 0)) return INVALID_SETTING;
  int device = standin_current->device;
  LOCK();
  int64_t code = standin_current->has_fft ? 0 : CODE_BYTES;
  int fits = standin_take(device, TABLE_BYTES + code);
  if (fits) standin_current->launch_bytes += code, standin_current->has_fft = 1;
  UNLOCK();
  if (!fits) return ALLOC_FAILED;
  bool is_halved = is_real(input) || is_real(output);
  plan->is_made = true;
  plan->context = standin_current;
  plan->rank = rank;
  plan->batch = batch;
  plan->input = side_of(input, rank, n, is_halved && !is_real(input), inembed, istride, idist);
  plan->output = side_of(output, rank, n, is_halved && !is_real(output), onembed, ostride, odist);
  /* As NVIDIA's, it needs none for some sizes. */
  bool needs_none = rank == 1 && n[0] == 16 && batch == 1;
  plan->work_bytes = needs_none ? 0 : 2 * sizeof(double) * elements;
  *work_bytes = plan->work_bytes;
  if (plan->allocates) standin_violation("a plan of cuFFT allocates its work area by itself");
  return FFT_SUCCESS;
}


static bool reaches(const struct plan *plan, const struct side *side, uint64_t at) {
  long long last = (plan->batch - 1) * side->distance;
  for (int d = 0; d < plan->rank; d++) last += (side->dims[d] - 1) * side->strides[d];
  return standin_range_ok(plan->context->device, at, (uint64_t)((last + 1) * element_bytes(side->type)));
}

/* Transforms lines of complex numbers in place: `lines` of n elements, `step` elements apart. */
static void transform_line(double *line, long long n, long long step, int direction) {
  double *result = malloc(2 * sizeof(double) * (size_t)n);
  for (long long k = 0; k < n; k++) {
    double re = 0, im = 0;
    for (long long j = 0; j < n; j++) {
      double angle = direction * 2 * M_PI * (double)(j * k % n) / (double)n;
      const double *x = line + 2 * j * step;
      re += x[0] * cos(angle) - x[1] * sin(angle);
      im += x[0] * sin(angle) + x[1] * cos(angle);
    }
    result[2 * k] = re, result[2 * k + 1] = im;
  }
  for (long long k = 0; k < n; k++) memcpy(line + 2 * k * step, result + 2 * k, 2 * sizeof(double));
  free(result);
}

/* Transforms one dimension of data whose elements lie one behind the other. */
static void transform_dimension(double *data, const long long *dims, int rank, int d, int direction) {
  long long step = 1, blocks = 1;
  for (int i = d + 1; i < rank; i++) step *= dims[i];
  for (int i = 0; i < d; i++) blocks *= dims[i];
  for (long long block = 0; block < blocks; block++)
    for (long long at = 0; at < step; at++) transform_line(data + 2 * (block * dims[d] * step + at), dims[d], step, direction);
}

/* Moves one transform's data between a side's memory and the work area, where rows have `row` complex elements. */
static void move(const struct plan *plan, const struct side *side, uint64_t at, double *data, long long row, bool is_store) {
  int rank = plan->rank, number = real_of(complex_of(side->type)), parts = side->is_real ? 1 : 2;
  long long index[RANK] = {0}, total = 1;
  for (int d = 0; d < rank; d++) total *= side->dims[d];
  for (long long i = 0; i < total; i++) {
    long long place = 0, packed = 0;
    for (int d = 0; d < rank; d++) place += index[d] * side->strides[d], packed = packed * (d == rank - 1 ? row : side->dims[d]) + index[d];
    for (int part = 0; part < 2; part++) {
      double *value = data + 2 * packed + part;
      uint64_t element = (uint64_t)(parts * place + part);
      if (is_store && part < parts) standin_store(number, at, element, *value);
      else if (!is_store) *value = part < parts ? standin_load(number, at, element) : 0;
    }
    for (int d = rank - 1; d >= 0 && ++index[d] == side->dims[d]; d--) index[d] = 0;
  }
}

/* Fills rows of which the first half and one is there by what they are for a real result. */
static void complete_rows(double *data, const long long *dims, int rank) {
  long long n = dims[rank - 1], rows = 1;
  for (int d = 0; d < rank - 1; d++) rows *= dims[d];
  for (long long r = 0; r < rows; r++) {
    double *row = data + 2 * r * n;
    row[1] = 0;
    if (n % 2 == 0) row[n + 1] = 0;
    for (long long k = n / 2 + 1; k < n; k++) row[2 * k] = row[2 * (n - k)], row[2 * k + 1] = -row[2 * (n - k) + 1];
  }
}

static int compute(struct context *context, void *argument) {
  struct transform t = *(struct transform *)argument;
  const struct plan *plan = &t.plan;
  (void)context;
  free(argument);
  const struct side *full = plan->output.is_real ? &plan->output : &plan->input;
  int rank = plan->rank, last = rank - 1;
  bool has_work = plan->work_bytes == 0 || standin_range_ok(plan->context->device, plan->work, plan->work_bytes);
  if (!reaches(plan, &plan->input, t.input) || !reaches(plan, &plan->output, t.output) || !has_work) {
    standin_violation("cuFFT reaches memory that is not the device's");
    return ILLEGAL_ADDRESS;
  }
  double *data = (double *)plan->work, *own = NULL;
  if (plan->work_bytes == 0) {
    long long total = 1;
    for (int d = 0; d < rank; d++) total *= full->dims[d];
    data = own = calloc((size_t)total, 2 * sizeof *data);
  }
  int direction = plan->input.is_real ? -1 : plan->output.is_real ? 1 : t.direction;
  for (long long b = 0; b < plan->batch; b++) {
    uint64_t in = t.input + (uint64_t)(b * plan->input.distance * element_bytes(plan->input.type));
    uint64_t out = t.output + (uint64_t)(b * plan->output.distance * element_bytes(plan->output.type));
    move(plan, &plan->input, in, data, full->dims[last], false);
    for (int d = 0; d < last; d++) transform_dimension(data, full->dims, rank, d, direction);
    if (plan->output.is_real) complete_rows(data, full->dims, rank);
    transform_dimension(data, full->dims, rank, last, direction);
    move(plan, &plan->output, out, data, full->dims[last], true);
  }
  free(own);
  return SUCCESS;
}

API int cufftXtExec(int number, void *input, void *output, int direction) {
  struct plan *plan = plan_of(number);
  int injected = standin_injected(__func__);
  if (injected != 0) return injected;
  if (plan == NULL || !plan->is_made) return INVALID_PLAN;
  if (input == NULL || output == NULL || (direction != -1 && direction != 1)) return INVALID_SETTING;
  if (plan->work == 0 && plan->work_bytes > 0) return NO_WORKSPACE;
  /* On an H100 transforms failed so whose work area, of no bytes, was where their results were to be. */
  if (plan->work != 0 && plan->work == (uint64_t)output) return EXEC_FAILED;
  struct transform *t = malloc(sizeof *t);
  *t = (struct transform){*plan, (uint64_t)input, (uint64_t)output, direction};
  LOCK();
  int result = plan->context->error;
  if (plan->context != standin_current) result = INVALID_CONTEXT;
  struct work w = {.kind = TASK, .source = (uint64_t)t, .task = compute};
  if (result == SUCCESS) result = standin_queue(plan->context, plan->stream, &w);
  UNLOCK();
  if (result == SUCCESS) return FFT_SUCCESS;
  free(t);
  return EXEC_FAILED;
}
