/* The stand-in's cuSPARSE: its older functions, of matrices of blocks, sums, and sorting. */
#include "standin-sparse.h"

/* What is sorted: rows, columns, and a permutation beside them. */
struct entry {
  int row, column, place;
};
static int by_row(const void *left, const void *right) {
  const struct entry *a = left, *b = right;
  if (a->row != b->row) return a->row < b->row ? -1 : 1;
  return a->column != b->column ? (a->column < b->column ? -1 : 1) : 0;
}
static int by_column(const void *left, const void *right) {
  const struct entry *a = left, *b = right;
  struct entry turned_a = {a->column, a->row, 0}, turned_b = {b->column, b->row, 0};
  return by_row(&turned_a, &turned_b);
}
static void sort(struct sparse_job *job) {
  int64_t count = job->a.count;
  int *rows = (int *)job->a.offsets, *columns = (int *)job->a.indices, *places = (int *)job->first;
  struct entry *all = malloc((size_t)(count + 1) * sizeof *all);
  for (int64_t i = 0; i < count; i++) all[i] = (struct entry){job->a.format == COO ? rows[i] : 0, columns[i], places == NULL ? 0 : places[i]};
  for (int64_t i = 0, k = 0; job->a.format == CSR && i < job->a.rows; i++)
    for (; k < rows[i + 1] - job->a.base; k++) all[k].row = (int)i;
  qsort(all, (size_t)count, sizeof *all, job->op_a == 0 ? by_row : by_column);
  for (int64_t i = 0; i < count; i++) {
    if (job->a.format == COO) rows[i] = all[i].row;
    columns[i] = all[i].column;
    if (places != NULL) places[i] = all[i].place;
  }
  free(all);
}

static int64_t sort_bytes(int64_t count) { return 32 + 12 * count; }
static int start_sort(struct sparse *s, int format, int op, int m, int n, int nnz, int base, uint64_t rows, uint64_t columns, uint64_t places, uint64_t buffer) {
  SPARSE_NEEDS(m >= 0 && n >= 0 && nnz >= 0);
  struct sparse_job job = {.compute = sort, .op_a = op, .first = places, .a = {.format = format, .rows = m, .columns = n, .count = nnz, .offsets = rows, .indices = columns, .offsets_type = 2, .index_type = 2, .base = base, .batch = 1}};
  sparse_operand(&job, &job.a);
  if (places != 0) sparse_area(&job, places, 4 * (int64_t)nnz);
  sparse_area(&job, buffer, sort_bytes(nnz));
  return sparse_queue(s, &job);
}
#define SORT_BYTES(name) \
  API int name(struct sparse *s, int m, int n, int nnz, uint64_t rows, uint64_t columns, size_t *bytes) { \
    SPARSE_BEGIN(s); \
    (void)rows, (void)columns; \
    SPARSE_NEEDS(m >= 0 && n >= 0 && nnz >= 0); \
    *bytes = (size_t)sort_bytes(nnz); \
    return SPARSE_SUCCESS; \
  }
SORT_BYTES(cusparseXcoosort_bufferSizeExt)
SORT_BYTES(cusparseXcsrsort_bufferSizeExt)
API int cusparseXcoosortByRow(struct sparse *s, int m, int n, int nnz, uint64_t rows, uint64_t columns, uint64_t places, uint64_t buffer) {
  SPARSE_BEGIN(s);
  return start_sort(s, COO, 0, m, n, nnz, 0, rows, columns, places, buffer);
}
API int cusparseXcoosortByColumn(struct sparse *s, int m, int n, int nnz, uint64_t rows, uint64_t columns, uint64_t places, uint64_t buffer) {
  SPARSE_BEGIN(s);
  return start_sort(s, COO, 1, m, n, nnz, 0, rows, columns, places, buffer);
}
API int cusparseXcsrsort(struct sparse *s, int m, int n, int nnz, const struct sparse_object *d, uint64_t rows, uint64_t columns, uint64_t places, uint64_t buffer) {
  SPARSE_BEGIN(s);
  SPARSE_NEEDS(is_kind(d, MAT_DESCR));
  return start_sort(s, CSR, 0, m, n, nnz, d->operand.base, rows, columns, places, buffer);
}

static void count_up(struct sparse_job *job) {
  for (int64_t i = 0; i < job->a.count; i++) ((int *)job->first)[i] = (int)i;
}
API int cusparseCreateIdentityPermutation(struct sparse *s, int n, uint64_t p) {
  SPARSE_BEGIN(s);
  SPARSE_NEEDS(n >= 0);
  struct sparse_job job = {.compute = count_up, .first = p, .a = {.count = n}};
  sparse_area(&job, p, 4 * (int64_t)n);
  return sparse_queue(s, &job);
}

static void to_offsets(struct sparse_job *job) {
  const int *rows = (const int *)job->first;
  int *offsets = (int *)job->second;
  for (int64_t i = 0, k = 0; i <= job->a.rows; i++) {
    while (k < job->a.count && rows[k] - job->a.base < i) k++;
    offsets[i] = (int)k + job->a.base;
  }
}
API int cusparseXcoo2csr(struct sparse *s, uint64_t rows, int nnz, int m, uint64_t offsets, int base) {
  SPARSE_BEGIN(s);
  SPARSE_NEEDS(nnz >= 0 && m >= 0 && (base == 0 || base == 1));
  struct sparse_job job = {.compute = to_offsets, .first = rows, .second = offsets, .a = {.rows = m, .count = nnz, .base = base}};
  sparse_area(&job, rows, 4 * (int64_t)nnz);
  sparse_area(&job, offsets, 4 * ((int64_t)m + 1));
  return sparse_queue(s, &job);
}

static struct operand csr(const struct sparse_object *d, int type, int m, int n, int nnz, uint64_t values, uint64_t offsets, uint64_t indices) {
  return (struct operand){.format = CSR, .rows = m, .columns = n, .count = nnz, .offsets = offsets, .indices = indices, .values = values, .offsets_type = 2, .index_type = 2, .base = d->operand.base, .type = type, .batch = 1};
}
/* A sum's offsets, and where there is memory for them its columns and values. */
static void add(struct sparse_job *job) {
  char *pattern_a, *pattern_b;
  number *a = sparse_take(&job->a, 0, &pattern_a), *b = sparse_take(&job->b, 0, &pattern_b);
  int *offsets = (int *)job->c.offsets, *columns = (int *)job->c.indices;
  int count = 0, base = job->c.base;
  for (int64_t i = 0; i < job->a.rows; i++) {
    offsets[i] = count + base;
    for (int64_t j = 0; j < job->a.columns; j++) {
      int64_t at = i + j * job->a.rows;
      if (!pattern_a[at] && !pattern_b[at]) continue;
      if (columns != NULL) columns[count] = (int)j + base;
      if (job->c.values != 0) sparse_store(job->c.type, job->c.values, count, job->alpha * a[at] + job->beta * b[at]);
      count++;
    }
  }
  offsets[job->a.rows] = count + base;
  if (job->told != NULL) *job->told = count;
  free(a), free(b), free(pattern_a), free(pattern_b);
}
static int64_t sum_bytes(int m, int nnz) { return 16 + 4 * ((int64_t)m + nnz); }
static bool are_summands(int m, int n, int nnz_a, int nnz_b, const struct sparse_object *a, const struct sparse_object *b, const struct sparse_object *c) {
  return m >= 0 && n >= 0 && nnz_a >= 0 && nnz_b >= 0 && is_kind(a, MAT_DESCR) && is_kind(b, MAT_DESCR) && is_kind(c, MAT_DESCR);
}
API int cusparseXcsrgeam2Nnz(struct sparse *s, int m, int n, const struct sparse_object *da, int nnz_a, uint64_t offsets_a, uint64_t indices_a, const struct sparse_object *db, int nnz_b, uint64_t offsets_b, uint64_t indices_b, const struct sparse_object *dc, uint64_t offsets_c, int *total, uint64_t buffer) {
  SPARSE_BEGIN(s);
  SPARSE_NEEDS(are_summands(m, n, nnz_a, nnz_b, da, db, dc) && total != NULL);
  int64_t count = 0;
  struct sparse_job job = {.compute = add, .a = csr(da, R32, m, n, nnz_a, 0, offsets_a, indices_a), .b = csr(db, R32, m, n, nnz_b, 0, offsets_b, indices_b), .c = csr(dc, R32, m, n, 0, 0, offsets_c, 0), .told = &count};
  sparse_operand(&job, &job.a);
  sparse_operand(&job, &job.b);
  sparse_operand(&job, &job.c);
  sparse_area(&job, buffer, sum_bytes(m, nnz_a + nnz_b));
  int status = sparse_await(s, &job);
  *total = (int)count;
  return status;
}

/* What a matrix of blocks is to the older functions. */
static struct operand blocks(const struct sparse_object *d, int type, int direction, int mb, int nb, int nnzb, int block, uint64_t values, uint64_t offsets, uint64_t indices) {
  return (struct operand){.format = BLOCKS, .rows = (int64_t)mb * block, .columns = (int64_t)nb * block, .count = nnzb, .block = block, .offsets = offsets, .indices = indices, .values = values, .offsets_type = 2, .index_type = 2, .base = d->operand.base, .type = type, .batch = 1, .by_columns = direction, .is_upper = d->operand.is_upper, .is_unit = d->operand.is_unit};
}
static struct operand dense(int type, int64_t rows, int64_t columns, int64_t leading, uint64_t values) {
  return (struct operand){.rows = rows, .columns = columns, .leading = leading, .values = values, .type = type, .order = 1, .batch = 1};
}
static void multiply(struct sparse_job *job) {
  number *a = sparse_take(&job->a, 0, NULL), *b = sparse_take(&job->b, 0, NULL), *c = sparse_take(&job->c, 0, NULL);
  number *product = sparse_product(a, job->a.rows, job->a.columns, 0, b, job->b.rows, job->b.columns, job->op_b);
  for (int64_t i = 0; i < job->c.rows * job->c.columns; i++) c[i] = job->alpha * product[i] + (job->beta == 0 ? 0 : job->beta * c[i]);
  sparse_give(&job->c, 0, c);
  free(a), free(b), free(c), free(product);
}
static int start_product(struct sparse *s, struct operand a, struct operand b, struct operand c, int op_b, number alpha, number beta) {
  struct sparse_job job = {.compute = multiply, .a = a, .b = b, .c = c, .op_b = op_b, .alpha = alpha, .beta = beta};
  sparse_operand(&job, &job.a);
  sparse_operand(&job, &job.b);
  sparse_operand(&job, &job.c);
  return sparse_queue(s, &job);
}
static void solve(struct sparse_job *job) {
  number *a = sparse_take(&job->a, 0, NULL), *b = sparse_take(&job->b, 0, NULL);
  int64_t n = job->a.rows, columns = job->op_b == 0 ? job->b.columns : job->b.rows;
  number *right = malloc((size_t)(n * columns + 1) * sizeof *right);
  for (int64_t j = 0; j < columns; j++)
    for (int64_t i = 0; i < n; i++) right[i + j * n] = job->alpha * b[job->op_b == 0 ? i + j * n : j + i * columns];
  int64_t pivot = sparse_solve(&job->a, a, job->op_a, right, columns);
  if (pivot >= 0) job->object->pivot = pivot / job->a.block;
  for (int64_t j = 0; j < columns; j++)
    for (int64_t i = 0; i < n; i++) b[job->op_b == 0 ? i + j * n : j + i * columns] = right[i + j * n];
  sparse_give(&job->c, 0, b);
  free(a), free(b), free(right);
}
static void nothing(struct sparse_job *job) { (void)job; }
static int64_t solve_bytes(int mb, int block) { return 128 + 8 * (int64_t)mb * block; }
static int start_solve(struct sparse *s, struct sparse_object *o, struct operand a, struct operand b, struct operand c, int op_a, int op_b, number alpha, uint64_t buffer) {
  if (op_a == 2 || op_b == 2) return SPARSE_NOT_SUPPORTED;
  SPARSE_NEEDS(o->area != 0);
  struct sparse_job job = {.compute = solve, .object = o, .a = a, .b = b, .c = c, .op_a = op_a, .op_b = op_b, .alpha = alpha};
  o->pivot = -1;
  sparse_operand(&job, &job.a);
  sparse_operand(&job, &job.b);
  sparse_operand(&job, &job.c);
  sparse_area(&job, buffer, o->area_bytes);
  return sparse_queue(s, &job);
}
static int start_analysis(struct sparse *s, struct sparse_object *o, struct operand a, uint64_t buffer) {
  struct sparse_job job = {.compute = nothing, .a = a};
  sparse_operand(&job, &job.a);
  o->area = buffer, o->area_bytes = solve_bytes((int)(a.rows / a.block), (int)a.block);
  sparse_area(&job, buffer, o->area_bytes);
  return sparse_queue(s, &job);
}
#define PIVOT(name, of_kind) \
  API int name(struct sparse *s, struct sparse_object *o, int *position) { \
    SPARSE_BEGIN(s); \
    SPARSE_NEEDS(is_kind(o, of_kind) && position != NULL); \
    struct sparse_job job = {.compute = nothing}; \
    int status = sparse_await(s, &job); \
    *position = (int)o->pivot; \
    return status != SPARSE_SUCCESS ? status : o->pivot < 0 ? SPARSE_SUCCESS : SPARSE_ZERO_PIVOT; \
  }
PIVOT(cusparseXbsrsv2_zeroPivot, BSRSV)
PIVOT(cusparseXbsrsm2_zeroPivot, BSRSM)

#define MATRIX const struct sparse_object *d, uint64_t values, uint64_t offsets, uint64_t indices, int block
#define SUMMANDS const void *alpha, const struct sparse_object *da, int nnz_a, uint64_t values_a, uint64_t offsets_a, uint64_t indices_a, const void *beta, const struct sparse_object *db, int nnz_b, uint64_t values_b, uint64_t offsets_b, uint64_t indices_b, const struct sparse_object *dc, uint64_t values_c, uint64_t offsets_c, uint64_t indices_c
#define NEEDS_BLOCKS(...) SPARSE_NEEDS(is_kind(d, MAT_DESCR) && block > 0 && mb >= 0 && nnzb >= 0 && (direction == 0 || direction == 1) && (__VA_ARGS__))
#define OLDER(L, type) \
  API int cusparse##L##csrgeam2_bufferSizeExt(struct sparse *s, int m, int n, SUMMANDS, size_t *bytes) { \
    SPARSE_BEGIN(s); \
    (void)alpha, (void)values_a, (void)offsets_a, (void)indices_a, (void)beta, (void)values_b, (void)offsets_b, (void)indices_b, (void)values_c, (void)offsets_c, (void)indices_c; \
    SPARSE_NEEDS(are_summands(m, n, nnz_a, nnz_b, da, db, dc)); \
    *bytes = (size_t)sum_bytes(m, nnz_a + nnz_b); \
    return SPARSE_SUCCESS; \
  } \
  API int cusparse##L##csrgeam2(struct sparse *s, int m, int n, SUMMANDS, uint64_t buffer) { \
    SPARSE_BEGIN(s); \
    SPARSE_NEEDS(are_summands(m, n, nnz_a, nnz_b, da, db, dc)); \
    struct sparse_job job = {.compute = add, .a = csr(da, type, m, n, nnz_a, values_a, offsets_a, indices_a), .b = csr(db, type, m, n, nnz_b, values_b, offsets_b, indices_b), .c = csr(dc, type, m, n, 0, values_c, offsets_c, indices_c), .alpha = sparse_factor(type, alpha), .beta = sparse_factor(type, beta)}; \
    sparse_operand(&job, &job.a); \
    sparse_operand(&job, &job.b); \
    sparse_operand(&job, &job.c); \
    sparse_area(&job, buffer, sum_bytes(m, nnz_a + nnz_b)); \
    return sparse_queue(s, &job); \
  } \
  API int cusparse##L##bsrmv(struct sparse *s, int direction, int op, int mb, int nb, int nnzb, const void *alpha, MATRIX, uint64_t x, const void *beta, uint64_t y) { \
    SPARSE_BEGIN(s); \
    NEEDS_BLOCKS(nb >= 0 && alpha != NULL && beta != NULL); \
    if (op != 0) return SPARSE_NOT_SUPPORTED; \
    return start_product(s, blocks(d, type, direction, mb, nb, nnzb, block, values, offsets, indices), dense(type, (int64_t)nb * block, 1, (int64_t)nb * block, x), dense(type, (int64_t)mb * block, 1, (int64_t)mb * block, y), 0, sparse_factor(type, alpha), sparse_factor(type, beta)); \
  } \
  API int cusparse##L##bsrmm(struct sparse *s, int direction, int op_a, int op_b, int mb, int n, int kb, int nnzb, const void *alpha, MATRIX, uint64_t b, int ldb, const void *beta, uint64_t c, int ldc) { \
    SPARSE_BEGIN(s); \
    NEEDS_BLOCKS(kb >= 0 && n >= 0 && alpha != NULL && beta != NULL && ldb >= (op_b == 0 ? kb * block : n) && ldc >= mb * block); \
    if (op_a != 0 || op_b == 2) return SPARSE_NOT_SUPPORTED; \
    struct operand right = op_b == 0 ? dense(type, (int64_t)kb * block, n, ldb, b) : dense(type, n, (int64_t)kb * block, ldb, b); \
    return start_product(s, blocks(d, type, direction, mb, kb, nnzb, block, values, offsets, indices), right, dense(type, (int64_t)mb * block, n, ldc, c), op_b, sparse_factor(type, alpha), sparse_factor(type, beta)); \
  } \
  API int cusparse##L##bsrsv2_bufferSize(struct sparse *s, int direction, int op, int mb, int nnzb, MATRIX, struct sparse_object *o, int *bytes) { \
    SPARSE_BEGIN(s); \
    (void)op, (void)values, (void)offsets, (void)indices; \
    NEEDS_BLOCKS(is_kind(o, BSRSV)); \
    if (o->area != 0) standin_violation("the size of a work area is asked for after the analysis"); \
    *bytes = (int)solve_bytes(mb, block); \
    return SPARSE_SUCCESS; \
  } \
  API int cusparse##L##bsrsv2_analysis(struct sparse *s, int direction, int op, int mb, int nnzb, MATRIX, struct sparse_object *o, int policy, uint64_t buffer) { \
    SPARSE_BEGIN(s); \
    (void)op, (void)policy; \
    NEEDS_BLOCKS(is_kind(o, BSRSV)); \
    return start_analysis(s, o, blocks(d, type, direction, mb, mb, nnzb, block, values, offsets, indices), buffer); \
  } \
  API int cusparse##L##bsrsv2_solve(struct sparse *s, int direction, int op, int mb, int nnzb, const void *alpha, MATRIX, struct sparse_object *o, uint64_t f, uint64_t x, int policy, uint64_t buffer) { \
    SPARSE_BEGIN(s); \
    (void)policy; \
    NEEDS_BLOCKS(is_kind(o, BSRSV) && alpha != NULL); \
    int64_t n = (int64_t)mb * block; \
    return start_solve(s, o, blocks(d, type, direction, mb, mb, nnzb, block, values, offsets, indices), dense(type, n, 1, n, f), dense(type, n, 1, n, x), op, 0, sparse_factor(type, alpha), buffer); \
  } \
  API int cusparse##L##bsrsm2_bufferSize(struct sparse *s, int direction, int op, int op_x, int mb, int n, int nnzb, MATRIX, struct sparse_object *o, int *bytes) { \
    (void)op_x; \
    SPARSE_BEGIN(s); \
    (void)op, (void)values, (void)offsets, (void)indices; \
    NEEDS_BLOCKS(is_kind(o, BSRSM) && n >= 0); \
    if (o->area != 0) standin_violation("the size of a work area is asked for after the analysis"); \
    *bytes = (int)solve_bytes(mb, block); \
    return SPARSE_SUCCESS; \
  } \
  API int cusparse##L##bsrsm2_analysis(struct sparse *s, int direction, int op, int op_x, int mb, int n, int nnzb, MATRIX, struct sparse_object *o, int policy, uint64_t buffer) { \
    SPARSE_BEGIN(s); \
    (void)op, (void)op_x, (void)policy; \
    NEEDS_BLOCKS(is_kind(o, BSRSM) && n >= 0); \
    return start_analysis(s, o, blocks(d, type, direction, mb, mb, nnzb, block, values, offsets, indices), buffer); \
  } \
  API int cusparse##L##bsrsm2_solve(struct sparse *s, int direction, int op, int op_x, int mb, int n, int nnzb, const void *alpha, MATRIX, struct sparse_object *o, uint64_t b, int ldb, uint64_t x, int ldx, int policy, uint64_t buffer) { \
    SPARSE_BEGIN(s); \
    (void)policy; \
    int64_t size = (int64_t)mb * block, rows = op_x == 0 ? size : n, columns = op_x == 0 ? n : size; \
    NEEDS_BLOCKS(is_kind(o, BSRSM) && n >= 0 && alpha != NULL && ldb >= rows && ldx >= rows); \
    return start_solve(s, o, blocks(d, type, direction, mb, mb, nnzb, block, values, offsets, indices), dense(type, rows, columns, ldb, b), dense(type, rows, columns, ldx, x), op, op_x, sparse_factor(type, alpha), buffer); \
  }
FOUR(OLDER)
