/* The stand-in's cuBLAS, of which this is what works on batches by lists of matrices. Its statuses are its own. */
#include "standin-solver-job.h"

#include <stdlib.h>

enum { BLAS_SUCCESS = 0, BLAS_NOT_INITIALIZED = 1, BLAS_INVALID_VALUE = 7, BLAS_EXECUTION_FAILED = 13 };

#define BEGIN_BLAS(s, ...)                                                                   \
  do {                                                                                       \
    int injected = standin_injected(__func__);                                               \
    if (injected != SUCCESS) return injected;                                                \
    if ((s) == NULL) return BLAS_NOT_INITIALIZED;                                            \
    if (!(__VA_ARGS__)) return BLAS_INVALID_VALUE;                                           \
  } while (0)

/* Pivots of one of the matrices; those that name no row are their own. */
static int64_t *pivots_of(const struct job *job, int64_t which) {
  if (job->pivots == 0) return NULL;
  const int *from = (const int *)job->pivots + which * job->n;
  int64_t *pivots = malloc((size_t)(job->n + 1) * sizeof *pivots);
  for (int64_t i = 0; i < job->n; i++) pivots[i] = from[i] < 1 || from[i] > job->n ? i + 1 : from[i];
  return pivots;
}

static void factor(struct job *job, int64_t which, struct matrix at) {
  number *a = solver_take(at);
  int64_t *pivots = pivots_of(job, which);
  solver_say(job, which, solver_lu(a, job->n, job->n, pivots));
  for (int64_t i = 0; i < job->n && pivots != NULL; i++) ((int *)job->pivots)[which * job->n + i] = (int)pivots[i];
  solver_give(at, a);
  free(a);
  free(pivots);
}

static void compute_factors(struct job *job) {
  for (int64_t i = 0; i < job->batch; i++) {
    struct matrix a = job->a;
    if (!solver_finds(job, &a, i)) return;
    factor(job, i, a);
  }
}

/* With the factors of a matrix: what is solved is a matrix, or 1. */
static void solve(struct job *job, int64_t which, struct matrix at, struct matrix into, bool is_inverse) {
  number *a = solver_take(at), *b = solver_take(into);
  int64_t *pivots = pivots_of(job, which);
  for (int64_t i = 0; i < job->n * job->n && is_inverse; i++) b[i] = i % (job->n + 1) == 0;
  solver_lu_solve(a, job->n, pivots, job->operation, b, into.columns);
  solver_give(into, b);
  free(a);
  free(b);
  free(pivots);
}

static void compute_solutions(struct job *job) {
  for (int64_t i = 0; i < job->batch; i++) {
    struct matrix a = job->a, b = job->b;
    if (!solver_finds(job, &a, i) || !solver_finds(job, &b, i)) return;
    solve(job, i, a, b, job->mode == 1);
    if (job->mode == 1) solver_say(job, i, 0);
  }
}

/* Factors that stay on the host: the matrix itself is as it was. */
static void compute_inverses(struct job *job) {
  for (int64_t i = 0; i < job->batch; i++) {
    struct matrix a = job->a, b = job->b;
    if (!solver_finds(job, &a, i) || !solver_finds(job, &b, i)) return;
    number *lu = solver_take(a), *one = calloc((size_t)(job->n * job->n + 1), sizeof *one);
    int64_t *pivots = calloc((size_t)job->n + 1, sizeof *pivots);
    for (int64_t j = 0; j < job->n; j++) one[j + j * job->n] = 1;
    solver_say(job, i, solver_lu(lu, job->n, job->n, pivots));
    solver_lu_solve(lu, job->n, pivots, 0, one, job->n);
    solver_give(b, one);
    free(lu);
    free(one);
    free(pivots);
  }
}

/* The list of tau is b's; where there are right hand sides in c they are solved for in the sense of least squares. */
static void compute_orthogonal(struct job *job) {
  int64_t count = least(job->m, job->n);
  for (int64_t i = 0; i < job->batch; i++) {
    struct matrix a = job->a, b = job->b, c = job->c;
    if (!solver_finds(job, &a, i) || (b.at != 0 && !solver_finds(job, &b, i)) || (c.at != 0 && !solver_finds(job, &c, i))) return;
    number *q = solver_take(a), *tau = calloc((size_t)count + 1, sizeof *tau), *x = c.at == 0 ? NULL : solver_take(c);
    solver_qr(q, job->m, job->n, tau);
    solver_give(a, q);
    if (b.at != 0) solver_give(b, tau);
    if (x != NULL) {
      solver_apply_q(q, job->m, job->n, tau, false, true, x, job->m, c.columns);
      for (int64_t column = 0; column < c.columns; column++)
        for (int64_t row = job->n - 1; row >= 0; row--) {
          number *own = x + column * job->m;
          for (int64_t j = row + 1; j < job->n; j++) own[row] -= q[row + j * job->m] * own[j];
          own[row] /= q[row + row * job->m];
        }
      solver_give(c, x);
      if (job->info != 0) solver_say(job, i, 0);
    }
    free(q);
    free(tau);
    free(x);
  }
}

static int queue(struct solver *s, struct job *job) {
  uint64_t lists[] = {job->a.at, job->b.at, job->c.at};
  for (int i = 0; i < 3; i++) solver_area(job, lists[i], lists[i] == 0 ? 0 : 8 * job->batch);
  solver_area(job, job->pivots, job->pivots == 0 ? 0 : 4 * job->n * job->batch);
  solver_area(job, job->info, job->info == 0 ? 0 : 4 * job->batch);
  return solver_queue(s, job) == SOLVER_SUCCESS ? BLAS_SUCCESS : BLAS_EXECUTION_FAILED;
}

#define BATCHED(L, type) \
  API int cublas##L##getrfBatched(struct solver *s, int n, uint64_t a, int lda, uint64_t pivots, uint64_t info, int batch) { \
    BEGIN_BLAS(s, fits(lda, n) && batch >= 0); \
    return queue(s, &(struct job){.compute = compute_factors, .a = matrix_of(type, a, n, n, lda), .n = n, .pivots = pivots, .info = info, .batch = batch}); \
  } \
  API int cublas##L##getriBatched(struct solver *s, int n, uint64_t a, int lda, uint64_t pivots, uint64_t c, int ldc, uint64_t info, int batch) { \
    BEGIN_BLAS(s, fits(lda, n) && fits(ldc, n) && batch >= 0 && (batch == 0 || a != c)); \
    return queue(s, &(struct job){.compute = compute_solutions, .a = matrix_of(type, a, n, n, lda), .b = matrix_of(type, c, n, n, ldc), .n = n, .mode = 1, .pivots = pivots, .info = info, .batch = batch}); \
  } \
  API int cublas##L##getrsBatched(struct solver *s, int operation, int n, int nrhs, uint64_t a, int lda, uint64_t pivots, uint64_t b, int ldb, int *info, int batch) { \
    *info = operation < 0 || operation > 2 ? -1 : n < 0 ? -2 : nrhs < 0 ? -3 : !fits(lda, n) ? -5 : !fits(ldb, n) ? -8 : batch < 0 ? -10 : 0; \
    BEGIN_BLAS(s, *info == 0); \
    return queue(s, &(struct job){.compute = compute_solutions, .a = matrix_of(type, a, n, n, lda), .b = matrix_of(type, b, n, nrhs, ldb), .n = n, .operation = operation, .pivots = pivots, .batch = batch}); \
  } \
  API int cublas##L##geqrfBatched(struct solver *s, int m, int n, uint64_t a, int lda, uint64_t tau, int *info, int batch) { \
    *info = m < 0 ? -1 : n < 0 ? -2 : !fits(lda, m) ? -4 : batch < 0 ? -7 : 0; \
    BEGIN_BLAS(s, *info == 0); \
    return queue(s, &(struct job){.compute = compute_orthogonal, .a = matrix_of(type, a, m, n, lda), .b = matrix_of(type, tau, least(m, n), 1, least(m, n)), .m = m, .n = n, .batch = batch}); \
  } \
  API int cublas##L##gelsBatched(struct solver *s, int operation, int m, int n, int nrhs, uint64_t a, int lda, uint64_t c, int ldc, int *info, uint64_t infos, int batch) { \
    *info = operation != 0 ? -1 : n < 0 ? -3 : m < n ? -2 : nrhs < 0 ? -4 : !fits(lda, m) ? -6 : !fits(ldc, m) ? -8 : batch < 0 ? -11 : 0; \
    BEGIN_BLAS(s, *info == 0); \
    return queue(s, &(struct job){.compute = compute_orthogonal, .a = matrix_of(type, a, m, n, lda), .c = matrix_of(type, c, m, nrhs, ldc), .m = m, .n = n, .info = infos, .batch = batch}); \
  } \
  API int cublas##L##matinvBatched(struct solver *s, int n, uint64_t a, int lda, uint64_t c, int ldc, uint64_t info, int batch) { \
    BEGIN_BLAS(s, n <= 32 && fits(lda, n) && fits(ldc, n) && batch >= 0); \
    return queue(s, &(struct job){.compute = compute_inverses, .a = matrix_of(type, a, n, n, lda), .b = matrix_of(type, c, n, n, ldc), .n = n, .info = info, .batch = batch}); \
  }
FOUR(BATCHED)
