/* The stand-in's cuSPARSE: products, triangular systems and sampled products of matrices that are descriptors. */
#include "standin-sparse.h"

static int64_t side(const struct operand *m, int op, bool is_rows) { return (op == 0) == is_rows ? m->rows : m->columns; }
static bool is_op(int op) { return op >= 0 && op <= 2; }
static int64_t area_of(const struct sparse_object *matrix) { return 64 + 16 * matrix->operand.rows; }

/* C = alpha op(A) op(B) + beta C. */
static void multiply(struct sparse_job *job) {
  int64_t batch = job->c.batch;
  for (int64_t which = 0; which < batch; which++) {
    number *a = sparse_take(&job->a, which, NULL), *b = sparse_take(&job->b, which, NULL), *c = sparse_take(&job->c, which, NULL);
    number *product = sparse_product(a, job->a.rows, job->a.columns, job->op_a, b, job->b.rows, job->b.columns, job->op_b);
    for (int64_t i = 0; i < job->c.rows * job->c.columns; i++) c[i] = job->alpha * product[i] + (job->beta == 0 ? 0 : job->beta * c[i]);
    sparse_give(&job->c, which, c);
    free(a), free(b), free(c), free(product);
  }
}

struct sampling {
  struct sparse_job *job;
  const number *product;
  uint64_t values;
};
static void sample(void *into, int64_t row, int64_t column, int64_t place) {
  const struct sampling *s = into;
  const struct operand *c = &s->job->c;
  number before = sparse_load(c->type, s->values, place);
  sparse_store(c->type, s->values, place, s->job->alpha * s->product[row + column * c->rows] + s->job->beta * before);
}
static void multiply_sampled(struct sparse_job *job) {
  for (int64_t which = 0; which < job->c.batch; which++) {
    number *a = sparse_take(&job->a, which, NULL), *b = sparse_take(&job->b, which, NULL);
    number *product = sparse_product(a, job->a.rows, job->a.columns, job->op_a, b, job->b.rows, job->b.columns, job->op_b);
    struct sampling s = {job, product, job->c.values + (uint64_t)(which * job->c.stride * sparse_bytes(job->c.type))};
    sparse_each(&job->c, which, sample, &s);
    free(a), free(b), free(product);
  }
}

static bool fit(const struct sparse_object *a, int op_a, const struct sparse_object *b, int op_b, const struct sparse_object *c, int type) {
  return is_op(op_a) && is_op(op_b) && side(&a->operand, op_a, false) == side(&b->operand, op_b, true) && c->operand.rows == side(&a->operand, op_a, true) &&
         c->operand.columns == side(&b->operand, op_b, false) && a->operand.type == type && b->operand.type == type && c->operand.type == type;
}

/* A work area is filled with rubbish, as far as the function may. */
static struct sparse_job job_of(void (*compute)(struct sparse_job *), const struct sparse_object *a, const struct sparse_object *b, const struct sparse_object *c, int type, const void *alpha, const void *beta) {
  struct sparse_job job = {.compute = compute, .a = a->operand, .b = b->operand, .c = c->operand, .alpha = sparse_factor(type, alpha)};
  if (beta != NULL) job.beta = sparse_factor(type, beta);
  sparse_operand(&job, &job.a);
  sparse_operand(&job, &job.b);
  sparse_operand(&job, &job.c);
  return job;
}

#define PRODUCT_PARAMETERS struct sparse *s, int op_a, int op_b, const void *alpha, const struct sparse_object *a, const struct sparse_object *b, const void *beta, struct sparse_object *c, int type, int algorithm
#define PRODUCT_BEGIN(kind_a, kind_b, kind_c) \
  SPARSE_BEGIN(s); \
  (void)algorithm; \
  SPARSE_NEEDS(alpha != NULL && beta != NULL && is_kind(a, kind_a) && is_kind(b, kind_b) && is_kind(c, kind_c) && fit(a, op_a, b, op_b, c, type))

API int cusparseSpMM_bufferSize(PRODUCT_PARAMETERS, size_t *bytes) {
  PRODUCT_BEGIN(SP_MAT, DN_MAT, DN_MAT);
  *bytes = (size_t)area_of(a);
  return SPARSE_SUCCESS;
}
API int cusparseSpMM(PRODUCT_PARAMETERS, uint64_t buffer) {
  PRODUCT_BEGIN(SP_MAT, DN_MAT, DN_MAT);
  struct sparse_job job = job_of(multiply, a, b, c, type, alpha, beta);
  sparse_area(&job, buffer, area_of(a));
  job.op_a = op_a, job.op_b = op_b;
  return sparse_queue(s, &job);
}

API int cusparseSpMV_bufferSize(struct sparse *s, int op, const void *alpha, const struct sparse_object *a, const struct sparse_object *x, const void *beta, struct sparse_object *y, int type, int algorithm, size_t *bytes) {
  return cusparseSpMM_bufferSize(s, op, 0, alpha, a, x, beta, y, type, algorithm, bytes);
}
API int cusparseSpMV(struct sparse *s, int op, const void *alpha, const struct sparse_object *a, const struct sparse_object *x, const void *beta, struct sparse_object *y, int type, int algorithm, uint64_t buffer) {
  SPARSE_BEGIN(s);
  return cusparseSpMM(s, op, 0, alpha, a, x, beta, y, type, algorithm, buffer);
}

API int cusparseSDDMM_bufferSize(PRODUCT_PARAMETERS, size_t *bytes) {
  PRODUCT_BEGIN(DN_MAT, DN_MAT, SP_MAT);
  *bytes = (size_t)area_of(c);
  return SPARSE_SUCCESS;
}
API int cusparseSDDMM(PRODUCT_PARAMETERS, uint64_t buffer) {
  PRODUCT_BEGIN(DN_MAT, DN_MAT, SP_MAT);
  struct sparse_job job = job_of(multiply_sampled, a, b, c, type, alpha, beta);
  sparse_area(&job, buffer, area_of(c));
  if (c->area != 0) sparse_area(&job, c->area, c->area_bytes);
  job.op_a = op_a, job.op_b = op_b;
  return sparse_queue(s, &job);
}
API int cusparseSDDMM_preprocess(PRODUCT_PARAMETERS, uint64_t buffer) {
  PRODUCT_BEGIN(DN_MAT, DN_MAT, SP_MAT);
  c->area = buffer, c->area_bytes = area_of(c);
  return SPARSE_SUCCESS;
}

/* What an analysis leaves in its work area, and a solution looks for. */
static void mark(struct sparse_job *job) { *(uint64_t *)job->first = 0x736f6c7665ull; }
static void solve(struct sparse_job *job) {
  if (*(uint64_t *)job->first != 0x736f6c7665ull) standin_violation("a work area of cuSPARSE's has been written to");
  number *a = sparse_take(&job->a, 0, NULL), *b = sparse_take(&job->b, 0, NULL);
  number *right = malloc((size_t)(job->c.rows * job->c.columns + 1) * sizeof *right);
  for (int64_t j = 0; j < job->c.columns; j++)
    for (int64_t i = 0; i < job->c.rows; i++) right[i + j * job->c.rows] = job->alpha * (job->op_b == 0 ? b[i + j * job->b.rows] : b[j + i * job->b.rows]);
  sparse_solve(&job->a, a, job->op_a, right, job->c.columns);
  sparse_give(&job->c, 0, right);
  free(a), free(b), free(right);
}

static bool is_system(const struct sparse_object *a, int op_a, int op_b, const struct sparse_object *b, const struct sparse_object *c, int type) {
  return is_kind(a, SP_MAT) && is_kind(b, DN_MAT) && is_kind(c, DN_MAT) && is_op(op_a) && is_op(op_b) && a->operand.rows == a->operand.columns && c->operand.rows == a->operand.rows &&
         side(&b->operand, op_b, true) == c->operand.rows && side(&b->operand, op_b, false) == c->operand.columns && a->operand.type == type && b->operand.type == type && c->operand.type == type;
}
static int analyse(struct sparse *s, const struct sparse_object *a, struct sparse_object *o, uint64_t buffer) {
  struct sparse_job job = {.compute = mark, .a = a->operand, .first = buffer};
  sparse_operand(&job, &job.a);
  sparse_area(&job, buffer, area_of(a));
  o->area = buffer, o->area_bytes = area_of(a);
  return sparse_queue(s, &job);
}
static int solve_by(struct sparse *s, int op_a, int op_b, const void *alpha, const struct sparse_object *a, const struct sparse_object *b, const struct sparse_object *c, int type, struct sparse_object *o) {
  SPARSE_NEEDS(o->area != 0);
  struct sparse_job job = job_of(solve, a, b, c, type, alpha, NULL);
  sparse_area(&job, o->area, o->area_bytes);
  job.op_a = op_a, job.op_b = op_b, job.first = o->area;
  return sparse_queue(s, &job);
}

#define SYSTEM(name, kind, parameters, op) \
  API int name##_bufferSize(struct sparse *s, int op_a, parameters const void *alpha, const struct sparse_object *a, const struct sparse_object *b, struct sparse_object *c, int type, int algorithm, struct sparse_object *o, size_t *bytes) { \
    SPARSE_BEGIN(s); \
    (void)algorithm; \
    SPARSE_NEEDS(alpha != NULL && is_kind(o, kind) && is_system(a, op_a, op, b, c, type)); \
    *bytes = (size_t)area_of(a); \
    return SPARSE_SUCCESS; \
  } \
  API int name##_analysis(struct sparse *s, int op_a, parameters const void *alpha, const struct sparse_object *a, const struct sparse_object *b, struct sparse_object *c, int type, int algorithm, struct sparse_object *o, uint64_t buffer) { \
    SPARSE_BEGIN(s); \
    (void)algorithm; \
    SPARSE_NEEDS(alpha != NULL && is_kind(o, kind) && is_system(a, op_a, op, b, c, type)); \
    return analyse(s, a, o, buffer); \
  } \
  API int name##_solve(struct sparse *s, int op_a, parameters const void *alpha, const struct sparse_object *a, const struct sparse_object *b, struct sparse_object *c, int type, int algorithm, struct sparse_object *o) { \
    SPARSE_BEGIN(s); \
    (void)algorithm; \
    SPARSE_NEEDS(alpha != NULL && is_kind(o, kind) && is_system(a, op_a, op, b, c, type)); \
    return solve_by(s, op_a, op, alpha, a, b, c, type, o); \
  }
#define NOTHING
#define OP_B int op_b,
SYSTEM(cusparseSpSV, SP_SV, NOTHING, 0)
SYSTEM(cusparseSpSM, SP_SM, OP_B, op_b)

/* Which elements a product of two sparse matrices has, and what they are without beta C. */
static void multiply_sparse(struct sparse_job *job) {
  char *pattern_a, *pattern_b;
  number *a = sparse_take(&job->a, 0, &pattern_a), *b = sparse_take(&job->b, 0, &pattern_b);
  int64_t m = job->a.rows, k = job->a.columns, n = job->b.columns;
  struct sparse_object *o = job->object;
  free(o->product), free(o->pattern);
  o->product = sparse_product(a, m, k, 0, b, k, n, 0);
  o->pattern = calloc((size_t)(m * n) + 1, 1);
  o->count = 0;
  for (int64_t j = 0; j < n; j++)
    for (int64_t i = 0; i < m; i++) {
      for (int64_t l = 0; l < k; l++) o->pattern[i + j * m] |= pattern_a[i + l * m] & pattern_b[l + j * k];
      o->product[i + j * m] *= job->alpha;
      o->count += o->pattern[i + j * m];
    }
  free(a), free(b), free(pattern_a), free(pattern_b);
}
static void put_index(int type, uint64_t at, int64_t index, int64_t value) {
  if (type == 2) ((int32_t *)at)[index] = (int32_t)value;
  else ((int64_t *)at)[index] = value;
}
static void copy_sparse(struct sparse_job *job) {
  const struct sparse_object *o = job->object;
  const struct operand *c = &job->c;
  int64_t count = 0;
  for (int64_t i = 0; i < c->rows; i++) {
    put_index(c->offsets_type, c->offsets, i, count + c->base);
    for (int64_t j = 0; j < c->columns; j++) {
      if (!o->pattern[i + j * c->rows]) continue;
      put_index(c->index_type, c->indices, count, j + c->base);
      sparse_store(c->type, c->values, count++, o->product[i + j * c->rows]);
    }
  }
  put_index(c->offsets_type, c->offsets, c->rows, count + c->base);
}

#define SPGEMM_BEGIN \
  PRODUCT_BEGIN(SP_MAT, SP_MAT, SP_MAT); \
  SPARSE_NEEDS(is_kind(o, SP_GEMM)); \
  if (op_a != 0 || op_b != 0 || a->operand.format != CSR || b->operand.format != CSR || sparse_factor(type, beta) != 0) return SPARSE_NOT_SUPPORTED

/* Of the first work area no more is there than that it must last. */
API int cusparseSpGEMM_workEstimation(PRODUCT_PARAMETERS, struct sparse_object *o, size_t *bytes, uint64_t buffer) {
  SPGEMM_BEGIN;
  if (buffer == 0) {
    *bytes = (size_t)area_of(a);
    return SPARSE_SUCCESS;
  }
  if ((int64_t)*bytes < area_of(a)) return SPARSE_TOO_SMALL;
  return analyse(s, a, o, buffer);
}
API int cusparseSpGEMM_compute(PRODUCT_PARAMETERS, struct sparse_object *o, size_t *bytes, uint64_t buffer) {
  SPGEMM_BEGIN;
  SPARSE_NEEDS(o->area != 0);
  if (buffer == 0) {
    *bytes = (size_t)(2 * area_of(a));
    return SPARSE_SUCCESS;
  }
  if ((int64_t)*bytes < 2 * area_of(a)) return SPARSE_TOO_SMALL;
  struct sparse_job job = {.compute = multiply_sparse, .a = a->operand, .b = b->operand, .alpha = sparse_factor(type, alpha), .object = o};
  sparse_operand(&job, &job.a);
  sparse_operand(&job, &job.b);
  sparse_area(&job, o->area, o->area_bytes);
  sparse_area(&job, buffer, 2 * area_of(a));
  int status = sparse_await(s, &job);
  if (status == SPARSE_SUCCESS) c->operand.count = o->count;
  return status;
}
API int cusparseSpGEMM_copy(PRODUCT_PARAMETERS, struct sparse_object *o) {
  SPGEMM_BEGIN;
  SPARSE_NEEDS(o->product != NULL && c->operand.count == o->count);
  struct sparse_job job = {.compute = copy_sparse, .c = c->operand, .object = o};
  sparse_operand(&job, &job.c);
  sparse_area(&job, o->area, o->area_bytes);
  return sparse_await(s, &job);
}
