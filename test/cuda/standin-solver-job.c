/* The stand-in's cuSOLVER: its handles and parameters, and how its work gets at matrices. */
#include "standin-solver-job.h"

#include <stdlib.h>
#include <string.h>

#define HANDLE_BYTES (8 << 20)
#define CODE_MIB 4

static int objects;

API int standin_solver_objects(void) { return objects; }
static int version(const int parts[3], int which, int *value) {
  *value = parts[which];
  return SOLVER_SUCCESS;
}
/* That of CUDA 13, or with this major version. */
API int cusolverGetProperty(int which, int *value) {
  const char *chosen = getenv("SLUICE_STANDIN_SOLVER");
  return version((const int[]){chosen == NULL ? 12 : atoi(chosen), 0, 4}, which, value);
}
API int cublasGetProperty(int which, int *value) { return version((const int[]){13, 1, 1}, which, value); }

int64_t solver_bytes(int type) { return type == R32 ? 4 : type == C64 ? 16 : 8; }
int solver_real(int type) { return type == C32 ? R32 : type == C64 ? R64 : type; }
bool solver_is_type(int type) { return type == R32 || type == R64 || type == C32 || type == C64; }

static number load(int type, uint64_t at, int64_t index) {
  switch (type) {
    case R32: return ((const float *)at)[index];
    case R64: return ((const double *)at)[index];
    case C32: return ((const float _Complex *)at)[index];
    default: return ((const double _Complex *)at)[index];
  }
}

static void store(int type, uint64_t at, int64_t index, number value) {
  switch (type) {
    case R32: ((float *)at)[index] = (float)creal(value); break;
    case R64: ((double *)at)[index] = creal(value); break;
    case C32: ((float _Complex *)at)[index] = (float _Complex)value; break;
    default: ((double _Complex *)at)[index] = value;
  }
}

number *solver_take(struct matrix m) {
  number *into = malloc((size_t)(m.rows * m.columns + 1) * sizeof *into);
  for (int64_t j = 0; j < m.columns; j++)
    for (int64_t i = 0; i < m.rows; i++) into[i + j * m.rows] = load(m.type, m.at, i + j * m.leading);
  return into;
}

void solver_give(struct matrix m, const number *from) {
  for (int64_t j = 0; j < m.columns; j++)
    for (int64_t i = 0; i < m.rows; i++) store(m.type, m.at, i + j * m.leading, from[i + j * m.rows]);
}

void solver_give_values(uint64_t at, int type, const double *values, int64_t count) {
  for (int64_t i = 0; i < count; i++) store(type, at, i, values[i]);
}

void solver_say(const struct job *job, int64_t which, int info) { ((int *)job->info)[which] = info; }

struct matrix solver_next(struct matrix m, int64_t elements) {
  m.at += (uint64_t)(elements * solver_bytes(m.type));
  return m;
}

int solver_begin(const struct solver *s, const char *function) {
  int injected = standin_injected(function);
  return injected != SUCCESS ? injected : s == NULL ? SOLVER_NOT_INITIALIZED : SOLVER_SUCCESS;
}

void solver_area(struct job *job, uint64_t at, int64_t bytes) {
  if (bytes <= 0) return;
  if (job->area_count == AREAS) abort();
  job->areas[job->area_count].at = at;
  job->areas[job->area_count++].bytes = bytes;
}

void solver_matrices(struct job *job, struct matrix m, int64_t stride, int64_t count) {
  if (m.rows == 0 || m.columns == 0 || count == 0) return;
  solver_area(job, m.at, ((count - 1) * stride + (m.columns - 1) * m.leading + m.rows) * solver_bytes(m.type));
}

void solver_matrix(struct job *job, struct matrix m) { solver_matrices(job, m, 0, 1); }

void solver_work(struct job *job, uint64_t at, int64_t bytes) {
  solver_area(job, at, bytes);
  job->areas[job->area_count - 1].is_work = true;
}

bool solver_finds(struct job *job, struct matrix *m, int64_t which) {
  struct job only = {0};
  m->at = ((uint64_t *)m->at)[which];
  solver_matrix(&only, *m);
  LOCK();
  bool is_there = only.area_count == 0 || standin_range_ok(job->context->device, only.areas[0].at, (uint64_t)only.areas[0].bytes);
  UNLOCK();
  if (!is_there) job->failure = ILLEGAL_ADDRESS;
  return is_there;
}

static int run(struct context *context, void *argument) {
  struct job *job = argument;
  int result = SUCCESS;
  job->context = context;
  LOCK();
  for (int i = 0; i < job->area_count; i++)
    if (!standin_range_ok(context->device, job->areas[i].at, (uint64_t)job->areas[i].bytes)) result = ILLEGAL_ADDRESS;
  UNLOCK();
  for (int i = 0; i < job->area_count && result == SUCCESS; i++)
    if (job->areas[i].is_work) memset((void *)job->areas[i].at, 0xa5, (size_t)job->areas[i].bytes);
  if (result == SUCCESS) job->compute(job), result = job->failure;
  free(job);
  return result;
}

/* Its code comes with the first work. */
static bool load_code(struct solver *s) {
  if (s->loaded_bytes > 0) return true;
  int chosen = standin_injected("solver MiB");
  int64_t bytes = (int64_t)(chosen > 0 ? chosen : CODE_MIB) << 20;
  LOCK();
  int fits_there = standin_take(s->context->device, bytes);
  UNLOCK();
  if (fits_there) s->loaded_bytes = bytes;
  return fits_there != 0;
}

/* Of the last work that was asked for. */
static uint64_t last_areas[2 * AREAS];
static int last_count;

/* Where that reads and writes, and how many bytes; returns how many there are. */
API int standin_solver_areas(uint64_t *into) {
  memcpy(into, last_areas, sizeof last_areas);
  return last_count;
}

int solver_queue(struct solver *s, const struct job *job) {
  if (!load_code(s)) return SOLVER_ALLOC_FAILED;
  last_count = job->area_count;
  for (int i = 0; i < job->area_count; i++) last_areas[2 * i] = job->areas[i].at, last_areas[2 * i + 1] = (uint64_t)job->areas[i].bytes;
  struct job *queued = malloc(sizeof *queued);
  *queued = *job;
  LOCK();
  int result = s->context != standin_current ? INVALID_CONTEXT : s->context->error;
  struct work w = {.kind = TASK, .source = (uint64_t)queued, .task = run};
  if (result == SUCCESS) result = standin_queue(s->context, s->stream, &w);
  UNLOCK();
  if (result == SUCCESS) return SOLVER_SUCCESS;
  free(queued);
  return SOLVER_EXECUTION_FAILED;
}

static int create_handle(struct solver **out, const char *function) {
  int injected = standin_injected(function);
  if (injected != SUCCESS) return injected;
  if (standin_current == NULL || standin_current->users == 0) return SOLVER_NOT_INITIALIZED;
  LOCK();
  int fits_there = standin_take(standin_current->device, HANDLE_BYTES);
  UNLOCK();
  if (!fits_there) return SOLVER_ALLOC_FAILED;
  *out = calloc(1, sizeof **out);
  (*out)->context = standin_current;
  objects++;
  return SOLVER_SUCCESS;
}

/* cuBLAS's handles are the same here, and statuses its own. */
API int cusolverDnCreate(struct solver **out) { return create_handle(out, __func__); }
API int cublasCreate_v2(struct solver **out) { return create_handle(out, __func__) == SOLVER_SUCCESS ? 0 : 3; }

static int destroy_handle(struct solver *s) {
  LOCK();
  standin_take(s->context->device, -HANDLE_BYTES - s->loaded_bytes);
  UNLOCK();
  free(s);
  objects--;
  return SOLVER_SUCCESS;
}

API int cusolverDnDestroy(struct solver *s) { return destroy_handle(s); }
API int cublasDestroy_v2(struct solver *s) { return destroy_handle(s); }

API int cusolverDnSetStream(struct solver *s, struct stream *stream) {
  SOLVER_BEGIN(s);
  s->stream = stream;
  return SOLVER_SUCCESS;
}

API int cublasSetStream_v2(struct solver *s, struct stream *stream) { return cusolverDnSetStream(s, stream); }

static int create(int kind, struct solver_object **out) {
  *out = malloc(sizeof **out);
  **out = (struct solver_object){.kind = kind, .tolerance = 0, .sweeps = 100, .sorts = 1};
  objects++;
  return SOLVER_SUCCESS;
}

static int destroy(int kind, struct solver_object *gone) {
  if (gone->kind != kind) standin_violation("parameters of cuSOLVER end as another kind");
  free(gone);
  objects--;
  return SOLVER_SUCCESS;
}

API int cusolverDnCreateParams(struct solver_object **out) { return create(PARAMS, out); }
API int cusolverDnDestroyParams(struct solver_object *gone) { return destroy(PARAMS, gone); }
API int cusolverDnCreateGesvdjInfo(struct solver_object **out) { return create(GESVDJ, out); }
API int cusolverDnDestroyGesvdjInfo(struct solver_object *gone) { return destroy(GESVDJ, gone); }
API int cusolverDnCreateSyevjInfo(struct solver_object **out) { return create(SYEVJ, out); }
API int cusolverDnDestroySyevjInfo(struct solver_object *gone) { return destroy(SYEVJ, gone); }

#define SET(name, of_kind, type, member, is_good) \
  API int name(struct solver_object *o, type value) { \
    SOLVER_NEEDS(o != NULL && o->kind == (of_kind) && (is_good)); \
    o->member = value; \
    return SOLVER_SUCCESS; \
  }
SET(cusolverDnXgesvdjSetTolerance, GESVDJ, double, tolerance, value >= 0)
SET(cusolverDnXgesvdjSetMaxSweeps, GESVDJ, int, sweeps, value > 0)
SET(cusolverDnXgesvdjSetSortEig, GESVDJ, int, sorts, value == 0 || value == 1)
SET(cusolverDnXsyevjSetTolerance, SYEVJ, double, tolerance, value >= 0)
SET(cusolverDnXsyevjSetMaxSweeps, SYEVJ, int, sweeps, value > 0)
SET(cusolverDnXsyevjSetSortEig, SYEVJ, int, sorts, value == 0 || value == 1)
