/* The stand-in's cuSPARSE: handles, descriptors, how its work gets at matrices, and what is computed of them. */
#include "standin-sparse.h"

#include <sched.h>

#define HANDLE_BYTES (8 << 20)
#define CODE_BYTES (4 << 20)

static int objects;

int cuStreamQuery(struct stream *stream);
API int standin_sparse_objects(void) { return objects; }
API int cusparseGetProperty(int which, int *value) {
  const int parts[] = {12, 6, 3};
  *value = parts[which];
  return SPARSE_SUCCESS;
}

int64_t sparse_bytes(int type) { return type == R32 ? 4 : type == C64 ? 16 : 8; }

number sparse_load(int type, uint64_t at, int64_t index) {
  switch (type) {
    case R32: return ((const float *)at)[index];
    case R64: return ((const double *)at)[index];
    case C32: return ((const float _Complex *)at)[index];
    default: return ((const double _Complex *)at)[index];
  }
}

void sparse_store(int type, uint64_t at, int64_t index, number value) {
  switch (type) {
    case R32: ((float *)at)[index] = (float)creal(value); break;
    case R64: ((double *)at)[index] = creal(value); break;
    case C32: ((float _Complex *)at)[index] = (float _Complex)value; break;
    default: ((double _Complex *)at)[index] = value;
  }
}

number sparse_factor(int type, const void *at) { return sparse_load(type, (uint64_t)at, 0); }

static int64_t index_bytes(int type) { return type == 1 ? 2 : type == 2 ? 4 : 8; }
int64_t sparse_index(int type, uint64_t at, int64_t index) {
  return type == 1 ? ((const uint16_t *)at)[index] : type == 2 ? ((const int32_t *)at)[index] : ((const int64_t *)at)[index];
}

void sparse_each(const struct operand *m, int64_t which, void (*visit)(void *, int64_t, int64_t, int64_t), void *into) {
  uint64_t offsets = m->offsets + (uint64_t)(which * m->offsets_stride * index_bytes(m->offsets_type));
  uint64_t indices = m->indices + (uint64_t)(which * m->stride * index_bytes(m->index_type));
  if (m->format == COO) {
    offsets = m->offsets + (uint64_t)(which * m->stride * index_bytes(m->offsets_type));
    for (int64_t k = 0; k < m->count; k++)
      visit(into, sparse_index(m->offsets_type, offsets, k) - m->base, sparse_index(m->index_type, indices, k) - m->base, k);
    return;
  }
  int64_t block = m->format == BLOCKS ? m->block : 1;
  for (int64_t i = 0; i < m->rows / block; i++)
    for (int64_t k = sparse_index(m->offsets_type, offsets, i) - m->base; k < sparse_index(m->offsets_type, offsets, i + 1) - m->base; k++)
      for (int64_t e = 0; e < block * block; e++) {
        int64_t row = m->by_columns ? e % block : e / block, column = m->by_columns ? e / block : e % block;
        visit(into, i * block + row, (sparse_index(m->index_type, indices, k) - m->base) * block + column, k * block * block + e);
      }
}

struct taking {
  const struct operand *m;
  uint64_t values;
  number *into;
  char *pattern;
};

static void take_entry(void *into, int64_t row, int64_t column, int64_t place) {
  struct taking *t = into;
  if (row < 0 || row >= t->m->rows || column < 0 || column >= t->m->columns) {
    standin_violation("an index of cuSPARSE's lies outside of the matrix");
    return;
  }
  if (t->values != 0) t->into[row + column * t->m->rows] += sparse_load(t->m->type, t->values, place);
  t->pattern[row + column * t->m->rows] = 1;
}

static int64_t dense_place(const struct operand *m, int64_t row, int64_t column) {
  return m->order == 2 ? row * m->leading + column : row + column * m->leading;
}

number *sparse_take(const struct operand *m, int64_t which, char **pattern) {
  size_t size = (size_t)(m->rows * m->columns) + 1;
  struct taking t = {m, m->values, calloc(size, sizeof(number)), calloc(size, 1)};
  if (m->values != 0) t.values += (uint64_t)((m->batch > 1 ? which : 0) * m->stride * sparse_bytes(m->type));
  if (m->format != 0) sparse_each(m, m->batch > 1 ? which : 0, take_entry, &t);
  for (int64_t j = 0; m->format == 0 && j < m->columns; j++)
    for (int64_t i = 0; i < m->rows; i++) t.into[i + j * m->rows] = sparse_load(m->type, t.values, dense_place(m, i, j));
  if (pattern != NULL) *pattern = t.pattern;
  else free(t.pattern);
  return t.into;
}

void sparse_give(const struct operand *m, int64_t which, const number *from) {
  uint64_t values = m->values + (uint64_t)(which * m->stride * sparse_bytes(m->type));
  for (int64_t j = 0; j < m->columns; j++)
    for (int64_t i = 0; i < m->rows; i++) sparse_store(m->type, values, dense_place(m, i, j), from[i + j * m->rows]);
}

static number element(const number *a, int64_t rows, int op, int64_t i, int64_t j) {
  return op == 0 ? a[i + j * rows] : op == 1 ? a[j + i * rows] : conj(a[j + i * rows]);
}

number *sparse_product(const number *a, int64_t rows, int64_t columns, int op_a, const number *b, int64_t b_rows, int64_t b_columns, int op_b) {
  int64_t m = op_a == 0 ? rows : columns, k = op_a == 0 ? columns : rows, n = op_b == 0 ? b_columns : b_rows;
  number *c = calloc((size_t)(m * n) + 1, sizeof *c);
  for (int64_t j = 0; j < n; j++)
    for (int64_t l = 0; l < k; l++)
      for (int64_t i = 0; i < m; i++) c[i + j * m] += element(a, rows, op_a, i, l) * element(b, b_rows, op_b, l, j);
  return c;
}

int64_t sparse_solve(const struct operand *a, const number *dense, int op, number *b, int64_t columns) {
  int64_t n = a->rows;
  bool is_upper = a->is_upper != (op != 0);
  for (int64_t step = 0; step < n; step++) {
    int64_t i = is_upper ? n - 1 - step : step;
    number diagonal = a->is_unit ? 1 : element(dense, n, op, i, i);
    if (diagonal == 0) return i;
    for (int64_t c = 0; c < columns; c++) {
      number sum = b[i + c * n];
      for (int64_t j = is_upper ? i + 1 : 0; j < (is_upper ? n : i); j++) sum -= element(dense, n, op, i, j) * b[j + c * n];
      b[i + c * n] = sum / diagonal;
    }
  }
  return -1;
}

int sparse_begin(const struct sparse *s, const char *function) {
  int injected = standin_injected(function);
  return injected != SUCCESS ? injected : s == NULL ? SPARSE_NOT_INITIALIZED : SPARSE_SUCCESS;
}

void sparse_area(struct sparse_job *job, uint64_t at, int64_t bytes) {
  if (bytes <= 0) return;
  if (job->area_count == SPARSE_AREAS) abort();
  job->areas[job->area_count].at = at;
  job->areas[job->area_count++].bytes = bytes;
}

static int64_t reach(int64_t count, int64_t stride, int64_t batch) { return count <= 0 ? 0 : count + (batch > 1 ? (batch - 1) * stride : 0); }

void sparse_operand(struct sparse_job *job, const struct operand *m) {
  if (m->format == 0) {
    int64_t inner = m->order == 2 ? m->columns : m->rows, outer = m->order == 2 ? m->rows : m->columns;
    if (inner > 0 && outer > 0) sparse_area(job, m->values, reach((outer - 1) * m->leading + inner, m->stride, m->batch) * sparse_bytes(m->type));
    return;
  }
  int64_t block = m->format == BLOCKS ? m->block : 1;
  int64_t offsets = m->format == COO ? reach(m->count, m->stride, m->batch) : reach(m->rows / block + 1, m->offsets_stride, m->batch);
  sparse_area(job, m->offsets, offsets * index_bytes(m->offsets_type));
  sparse_area(job, m->indices, reach(m->count, m->stride, m->batch) * index_bytes(m->index_type));
  if (m->values != 0) sparse_area(job, m->values, reach(m->count * block * block, m->stride, m->batch) * sparse_bytes(m->type));
}

static int run(struct context *context, void *argument) {
  struct sparse_job *job = argument;
  int result = SUCCESS;
  LOCK();
  for (int i = 0; i < job->area_count; i++)
    if (!standin_range_ok(context->device, job->areas[i].at, (uint64_t)job->areas[i].bytes)) result = ILLEGAL_ADDRESS;
  UNLOCK();
  if (result == SUCCESS) job->compute(job);
  free(job);
  return result;
}

/* Its code comes with the first work. */
static bool load_code(struct sparse *s) {
  if (s->loaded_bytes > 0) return true;
  LOCK();
  int fits = standin_take(s->context->device, CODE_BYTES);
  UNLOCK();
  if (fits) s->loaded_bytes = CODE_BYTES;
  return fits != 0;
}

int sparse_queue(struct sparse *s, const struct sparse_job *job) {
  if (!load_code(s)) return SPARSE_ALLOC_FAILED;
  struct sparse_job *queued = malloc(sizeof *queued);
  *queued = *job;
  LOCK();
  int result = s->context != standin_current ? INVALID_CONTEXT : s->context->error;
  struct work w = {.kind = TASK, .source = (uint64_t)queued, .task = run};
  if (result == SUCCESS) result = standin_queue(s->context, s->stream, &w);
  UNLOCK();
  if (result == SUCCESS) return SPARSE_SUCCESS;
  free(queued);
  return SPARSE_EXECUTION_FAILED;
}

/* The library's own waiting, which is none of its caller's. */
int sparse_await(struct sparse *s, const struct sparse_job *job) {
  int status = sparse_queue(s, job);
  if (status != SPARSE_SUCCESS) return status;
  while (cuStreamQuery(s->stream) == NOT_READY) sched_yield();
  return cuStreamQuery(s->stream) == SUCCESS ? SPARSE_SUCCESS : SPARSE_EXECUTION_FAILED;
}

API int cusparseCreate(struct sparse **out) {
  int injected = standin_injected(__func__);
  if (injected != SUCCESS) return injected;
  if (standin_current == NULL || standin_current->users == 0) return SPARSE_NOT_INITIALIZED;
  LOCK();
  int fits = standin_take(standin_current->device, HANDLE_BYTES);
  UNLOCK();
  if (!fits) return SPARSE_ALLOC_FAILED;
  *out = calloc(1, sizeof **out);
  (*out)->context = standin_current;
  objects++;
  return SPARSE_SUCCESS;
}

API int cusparseDestroy(struct sparse *s) {
  LOCK();
  standin_take(s->context->device, -HANDLE_BYTES - s->loaded_bytes);
  UNLOCK();
  free(s);
  objects--;
  return SPARSE_SUCCESS;
}

API int cusparseSetStream(struct sparse *s, struct stream *stream) {
  SPARSE_BEGIN(s);
  s->stream = stream;
  return SPARSE_SUCCESS;
}

struct sparse_object *sparse_object(int kind) {
  struct sparse_object *made = calloc(1, sizeof *made);
  made->kind = kind;
  made->pivot = -1;
  made->operand.batch = 1;
  objects++;
  return made;
}

int sparse_end(struct sparse_object *gone, int kind) {
  if (gone == NULL || gone->kind != kind) {
    standin_violation("a descriptor of cuSPARSE ends as another kind");
    return SPARSE_INVALID_VALUE;
  }
  free(gone->product);
  free(gone->pattern);
  free(gone);
  objects--;
  return SPARSE_SUCCESS;
}

#define KIND(create, destroy, kind) \
  API int create(struct sparse_object **out) { *out = sparse_object(kind); return SPARSE_SUCCESS; } \
  API int destroy(struct sparse_object *gone) { return sparse_end(gone, kind); }
KIND(cusparseCreateMatDescr, cusparseDestroyMatDescr, MAT_DESCR)
KIND(cusparseSpSV_createDescr, cusparseSpSV_destroyDescr, SP_SV)
KIND(cusparseSpSM_createDescr, cusparseSpSM_destroyDescr, SP_SM)
KIND(cusparseSpGEMM_createDescr, cusparseSpGEMM_destroyDescr, SP_GEMM)
KIND(cusparseCreateBsrsv2Info, cusparseDestroyBsrsv2Info, BSRSV)
KIND(cusparseCreateBsrsm2Info, cusparseDestroyBsrsm2Info, BSRSM)

#define SET(name, member, most) \
  API int name(struct sparse_object *o, int value) { \
    SPARSE_NEEDS(is_kind(o, MAT_DESCR) && value >= 0 && value <= (most)); \
    o->operand.member = value; \
    return SPARSE_SUCCESS; \
  }
SET(cusparseSetMatType, order, 3)
SET(cusparseSetMatFillMode, is_upper, 1)
SET(cusparseSetMatDiagType, is_unit, 1)
SET(cusparseSetMatIndexBase, base, 1)

static bool is_index(int type) { return type >= 1 && type <= 3; }
static int make_sparse(struct sparse_object **out, struct operand m) {
  SPARSE_NEEDS(m.rows >= 0 && m.columns >= 0 && m.count >= 0 && is_index(m.offsets_type) && is_index(m.index_type) && (m.base == 0 || m.base == 1) && is_type(m.type));
  *out = sparse_object(SP_MAT);
  m.batch = 1;
  (*out)->operand = m;
  return SPARSE_SUCCESS;
}

API int cusparseCreateCsr(struct sparse_object **out, int64_t rows, int64_t cols, int64_t nnz, uint64_t offsets, uint64_t indices, uint64_t values, int offsets_type, int index_type, int base, int type) {
  return make_sparse(out, (struct operand){.format = CSR, .rows = rows, .columns = cols, .count = nnz, .offsets = offsets, .indices = indices, .values = values, .offsets_type = offsets_type, .index_type = index_type, .base = base, .type = type});
}
API int cusparseCreateCoo(struct sparse_object **out, int64_t rows, int64_t cols, int64_t nnz, uint64_t row, uint64_t column, uint64_t values, int index_type, int base, int type) {
  return make_sparse(out, (struct operand){.format = COO, .rows = rows, .columns = cols, .count = nnz, .offsets = row, .indices = column, .values = values, .offsets_type = index_type, .index_type = index_type, .base = base, .type = type});
}
API int cusparseDestroySpMat(struct sparse_object *gone) { return sparse_end(gone, SP_MAT); }

static int set_pointers(struct sparse_object *o, int format, uint64_t offsets, uint64_t indices, uint64_t values) {
  SPARSE_NEEDS(is_kind(o, SP_MAT) && o->operand.format == format);
  o->operand.offsets = offsets, o->operand.indices = indices, o->operand.values = values;
  return SPARSE_SUCCESS;
}
API int cusparseCsrSetPointers(struct sparse_object *o, uint64_t offsets, uint64_t indices, uint64_t values) { return set_pointers(o, CSR, offsets, indices, values); }
API int cusparseCooSetPointers(struct sparse_object *o, uint64_t rows, uint64_t columns, uint64_t values) { return set_pointers(o, COO, rows, columns, values); }

static int set_batch(struct sparse_object *o, int kind, int format, int batch, int64_t offsets_stride, int64_t stride) {
  SPARSE_NEEDS(is_kind(o, kind) && o->operand.format == format && batch > 0);
  o->operand.batch = batch, o->operand.offsets_stride = offsets_stride, o->operand.stride = stride;
  return SPARSE_SUCCESS;
}
API int cusparseCsrSetStridedBatch(struct sparse_object *o, int batch, int64_t offsets_stride, int64_t stride) { return set_batch(o, SP_MAT, CSR, batch, offsets_stride, stride); }
API int cusparseCooSetStridedBatch(struct sparse_object *o, int batch, int64_t stride) { return set_batch(o, SP_MAT, COO, batch, 0, stride); }
API int cusparseDnMatSetStridedBatch(struct sparse_object *o, int batch, int64_t stride) { return set_batch(o, DN_MAT, 0, batch, 0, stride); }

API int cusparseSpMatSetAttribute(struct sparse_object *o, int attribute, const int *data, size_t bytes) {
  SPARSE_NEEDS(is_kind(o, SP_MAT) && bytes == sizeof *data && (*data == 0 || *data == 1) && (attribute == 0 || attribute == 1));
  *(attribute == 0 ? &o->operand.is_upper : &o->operand.is_unit) = *data == 1;
  return SPARSE_SUCCESS;
}

API int cusparseSpMatGetSize(const struct sparse_object *o, int64_t *rows, int64_t *cols, int64_t *nnz) {
  SPARSE_NEEDS(is_kind(o, SP_MAT));
  *rows = o->operand.rows, *cols = o->operand.columns, *nnz = o->operand.count;
  return SPARSE_SUCCESS;
}

API int cusparseCreateDnMat(struct sparse_object **out, int64_t rows, int64_t cols, int64_t ld, uint64_t values, int type, int order) {
  SPARSE_NEEDS(rows >= 0 && cols >= 0 && (order == 1 || order == 2) && ld >= (order == 1 ? rows : cols) && is_type(type));
  *out = sparse_object(DN_MAT);
  (*out)->operand = (struct operand){.rows = rows, .columns = cols, .leading = ld, .values = values, .type = type, .order = order, .batch = 1};
  return SPARSE_SUCCESS;
}
API int cusparseDestroyDnMat(struct sparse_object *gone) { return sparse_end(gone, DN_MAT); }
API int cusparseCreateDnVec(struct sparse_object **out, int64_t size, uint64_t values, int type) { return cusparseCreateDnMat(out, size, 1, size, values, type, 1); }
API int cusparseDestroyDnVec(struct sparse_object *gone) { return sparse_end(gone, DN_MAT); }
API int cusparseDnMatSetValues(struct sparse_object *o, uint64_t values) {
  SPARSE_NEEDS(is_kind(o, DN_MAT));
  o->operand.values = values;
  return SPARSE_SUCCESS;
}
API int cusparseDnVecSetValues(struct sparse_object *o, uint64_t values) { return cusparseDnMatSetValues(o, values); }
