/* The stand-in's cuSOLVER: factorisations and what is solved with them, for the four types of elements. */
#include "standin-solver-job.h"

#include <stdlib.h>

/* Elements of the work areas of functions, by their numbers, so that no two ask for the same. */
enum { GETRF = 2, POTRF, GEQRF, ORGQR, ORMQR, SYTRF };
static int64_t wanted(int function, int64_t m, int64_t n) { return function * (m + n) + 32; }

#define WITH_Q(F) F(Sor, R32) F(Dor, R64) F(Cun, C32) F(Zun, C64)

/* Pivots on the host, where those that name no row are their own; NULL where there are none. */
static int64_t *take_pivots(const struct job *job, int64_t count) {
  if (job->pivots == 0) return NULL;
  int64_t *pivots = malloc((size_t)(count + 1) * sizeof *pivots);
  for (int64_t i = 0; i < count; i++) {
    int64_t pivot = job->has_wide_pivots ? ((int64_t *)job->pivots)[i] : ((int *)job->pivots)[i];
    pivots[i] = pivot == 0 || pivot < -count || pivot > count ? i + 1 : pivot;
  }
  return pivots;
}

static void give_pivots(const struct job *job, const int64_t *pivots, int64_t count) {
  for (int64_t i = 0; i < count && pivots != NULL; i++) {
    if (job->has_wide_pivots) ((int64_t *)job->pivots)[i] = pivots[i];
    else ((int *)job->pivots)[i] = (int)pivots[i];
  }
}

void solver_compute_lu(struct job *job) {
  number *a = solver_take(job->a);
  int64_t count = least(job->m, job->n), *pivots = take_pivots(job, count);
  solver_say(job, 0, solver_lu(a, job->m, job->n, pivots));
  solver_give(job->a, a);
  give_pivots(job, pivots, count);
  free(a);
  free(pivots);
}

static int getrf(struct solver *s, int m, int n, struct matrix a, uint64_t work, uint64_t pivots, uint64_t info) {
  SOLVER_NEEDS(m >= 0 && n >= 0 && fits(a.leading, m) && work != 0 && info != 0);
  struct job job = {.compute = solver_compute_lu, .a = a, .m = m, .n = n, .pivots = pivots, .info = info};
  solver_matrix(&job, a);
  solver_work(&job, work, wanted(GETRF, m, n) * solver_bytes(a.type));
  solver_area(&job, pivots, pivots == 0 ? 0 : 4 * least(m, n));
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

void solver_compute_lu_solve(struct job *job) {
  number *a = solver_take(job->a), *b = solver_take(job->b);
  int64_t *pivots = take_pivots(job, job->n);
  for (int64_t i = 0; i < job->n && pivots != NULL; i++) pivots[i] = llabs(pivots[i]);
  solver_lu_solve(a, job->n, pivots, job->operation, b, job->b.columns);
  solver_give(job->b, b);
  solver_say(job, 0, 0);
  free(a);
  free(b);
  free(pivots);
}

static int getrs(struct solver *s, int operation, int n, struct matrix a, uint64_t pivots, struct matrix b, uint64_t info) {
  SOLVER_NEEDS(operation >= 0 && operation <= 2 && n >= 0 && b.columns >= 0 && fits(a.leading, n) && fits(b.leading, n) && info != 0);
  struct job job = {.compute = solver_compute_lu_solve, .a = a, .b = b, .n = n, .operation = operation, .pivots = pivots, .info = info};
  solver_matrix(&job, a);
  solver_matrix(&job, b);
  solver_area(&job, pivots, pivots == 0 ? 0 : 4 * (int64_t)n);
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

#define LU(L, type) \
  API int cusolverDn##L##getrf_bufferSize(struct solver *s, int m, int n, uint64_t a, int lda, int *lwork) { \
    SOLVER_BEGIN(s); \
    (void)a; \
    SOLVER_NEEDS(m >= 0 && n >= 0 && fits(lda, m)); \
    return solver_tell(wanted(GETRF, m, n), lwork); \
  } \
  API int cusolverDn##L##getrf(struct solver *s, int m, int n, uint64_t a, int lda, uint64_t work, uint64_t pivots, uint64_t info) { \
    SOLVER_BEGIN(s); \
    return getrf(s, m, n, matrix_of(type, a, m, n, lda), work, pivots, info); \
  } \
  API int cusolverDn##L##getrs(struct solver *s, int operation, int n, int nrhs, uint64_t a, int lda, uint64_t pivots, uint64_t b, int ldb, \
                               uint64_t info) { \
    SOLVER_BEGIN(s); \
    return getrs(s, operation, n, matrix_of(type, a, n, n, lda), pivots, matrix_of(type, b, n, nrhs, ldb), info); \
  }
FOUR(LU)


void solver_compute_cholesky(struct job *job) {
  number *a = solver_take(job->a);
  solver_say(job, 0, solver_cholesky(a, job->n, job->is_upper));
  solver_give(job->a, a);
  free(a);
}

void solver_compute_cholesky_solve(struct job *job) {
  number *a = solver_take(job->a), *b = solver_take(job->b);
  solver_cholesky_solve(a, job->n, job->is_upper, b, job->b.columns);
  solver_give(job->b, b);
  solver_say(job, 0, 0);
  free(a);
  free(b);
}

static int potrf(struct solver *s, int fill, struct matrix a, uint64_t work, uint64_t info) {
  SOLVER_NEEDS(is_triangle(fill) && fits(a.leading, a.rows) && info != 0);
  struct job job = {.compute = solver_compute_cholesky, .a = a, .n = a.rows, .is_upper = fill == 1, .info = info};
  solver_matrix(&job, a);
  solver_work(&job, work, wanted(POTRF, a.rows, 0) * solver_bytes(a.type));
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

static int potrs(struct solver *s, int fill, struct matrix a, struct matrix b, uint64_t info) {
  SOLVER_NEEDS(is_triangle(fill) && b.columns >= 0 && fits(a.leading, a.rows) && fits(b.leading, a.rows) && info != 0);
  struct job job = {.compute = solver_compute_cholesky_solve, .a = a, .b = b, .n = a.rows, .is_upper = fill == 1, .info = info};
  solver_matrix(&job, a);
  solver_matrix(&job, b);
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

static void compute_cholesky_batch(struct job *job) {
  for (int64_t i = 0; i < job->batch; i++) {
    struct job one = *job;
    one.info += (uint64_t)(4 * i);
    if (!solver_finds(job, &one.a, i)) return;
    solver_compute_cholesky(&one);
  }
}

static void compute_solve_batch(struct job *job) {
  for (int64_t i = 0; i < job->batch; i++) {
    struct job one = *job;
    if (!solver_finds(job, &one.a, i) || !solver_finds(job, &one.b, i)) return;
    solver_compute_cholesky_solve(&one);
  }
}

static int potrf_batched(struct solver *s, int fill, struct matrix a, uint64_t info, int batch) {
  SOLVER_NEEDS(is_triangle(fill) && fits(a.leading, a.rows) && batch >= 0);
  struct job job = {.compute = compute_cholesky_batch, .a = a, .n = a.rows, .is_upper = fill == 1, .info = info, .batch = batch};
  solver_area(&job, a.at, 8 * (int64_t)batch);
  solver_area(&job, info, 4 * (int64_t)batch);
  return solver_queue(s, &job);
}

/* It solves for one column alone. */
static int potrs_batched(struct solver *s, int fill, struct matrix a, struct matrix b, uint64_t info, int batch) {
  SOLVER_NEEDS(is_triangle(fill) && b.columns == 1 && fits(a.leading, a.rows) && fits(b.leading, a.rows) && batch >= 0);
  struct job job = {.compute = compute_solve_batch, .a = a, .b = b, .n = a.rows, .is_upper = fill == 1, .info = info, .batch = batch};
  solver_area(&job, a.at, 8 * (int64_t)batch);
  solver_area(&job, b.at, 8 * (int64_t)batch);
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

#define CHOLESKY(L, type) \
  API int cusolverDn##L##potrf_bufferSize(struct solver *s, int fill, int n, uint64_t a, int lda, int *lwork) { \
    SOLVER_BEGIN(s); \
    (void)a; \
    SOLVER_NEEDS(is_triangle(fill) && fits(lda, n)); \
    return solver_tell(wanted(POTRF, n, 0), lwork); \
  } \
  API int cusolverDn##L##potrf(struct solver *s, int fill, int n, uint64_t a, int lda, uint64_t work, int lwork, uint64_t info) { \
    SOLVER_BEGIN(s); \
    (void)lwork; \
    return potrf(s, fill, matrix_of(type, a, n, n, lda), work, info); \
  } \
  API int cusolverDn##L##potrs(struct solver *s, int fill, int n, int nrhs, uint64_t a, int lda, uint64_t b, int ldb, uint64_t info) { \
    SOLVER_BEGIN(s); \
    return potrs(s, fill, matrix_of(type, a, n, n, lda), matrix_of(type, b, n, nrhs, ldb), info); \
  } \
  API int cusolverDn##L##potrfBatched(struct solver *s, int fill, int n, uint64_t a, int lda, uint64_t info, int batch) { \
    SOLVER_BEGIN(s); \
    return potrf_batched(s, fill, matrix_of(type, a, n, n, lda), info, batch); \
  } \
  API int cusolverDn##L##potrsBatched(struct solver *s, int fill, int n, int nrhs, uint64_t a, int lda, uint64_t b, int ldb, uint64_t info, \
                                      int batch) { \
    SOLVER_BEGIN(s); \
    return potrs_batched(s, fill, matrix_of(type, a, n, n, lda), matrix_of(type, b, n, nrhs, ldb), info, batch); \
  }
FOUR(CHOLESKY)

static struct matrix column_of(int type, uint64_t at, int64_t count) { return matrix_of(type, at, count, 1, count > 0 ? count : 1); }

void solver_compute_qr(struct job *job) {
  int64_t count = least(job->m, job->n);
  number *a = solver_take(job->a), *tau = calloc((size_t)count + 1, sizeof *tau);
  solver_qr(a, job->m, job->n, tau);
  solver_give(job->a, a);
  solver_give(column_of(job->a.type, job->tau, count), tau);
  solver_say(job, 0, 0);
  free(a);
  free(tau);
}

static int geqrf(struct solver *s, struct matrix a, uint64_t tau, uint64_t work, uint64_t info) {
  SOLVER_NEEDS(a.rows >= 0 && a.columns >= 0 && fits(a.leading, a.rows) && info != 0);
  struct job job = {.compute = solver_compute_qr, .a = a, .m = a.rows, .n = a.columns, .tau = tau, .info = info};
  solver_matrix(&job, a);
  solver_matrix(&job, column_of(a.type, tau, least(a.rows, a.columns)));
  solver_work(&job, work, wanted(GEQRF, a.rows, a.columns) * solver_bytes(a.type));
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

static void compute_q(struct job *job) {
  number *a = solver_take(job->a), *tau = solver_take(column_of(job->a.type, job->tau, job->k)), *q = calloc((size_t)(job->m * job->n + 1), sizeof *q);
  for (int64_t i = 0; i < job->n; i++) q[i + i * job->m] = 1;
  solver_apply_q(a, job->m, job->k, tau, false, false, q, job->m, job->n);
  solver_give(job->a, q);
  solver_say(job, 0, 0);
  free(a);
  free(tau);
  free(q);
}

static int orgqr(struct solver *s, struct matrix a, int k, uint64_t tau, uint64_t work, uint64_t info) {
  SOLVER_NEEDS(a.columns >= 0 && a.rows >= a.columns && k >= 0 && k <= a.columns && fits(a.leading, a.rows) && info != 0);
  struct job job = {.compute = compute_q, .a = a, .m = a.rows, .n = a.columns, .k = k, .tau = tau, .info = info};
  solver_matrix(&job, a);
  solver_matrix(&job, column_of(a.type, tau, k));
  solver_work(&job, work, wanted(ORGQR, a.rows, a.columns) * solver_bytes(a.type));
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

static void compute_product_with_q(struct job *job) {
  number *a = solver_take(job->a), *tau = solver_take(column_of(job->a.type, job->tau, job->k)), *c = solver_take(job->c);
  solver_apply_q(a, job->a.rows, job->k, tau, job->is_right, job->operation != 0, c, job->m, job->n);
  solver_give(job->c, c);
  solver_say(job, 0, 0);
  free(a);
  free(tau);
  free(c);
}

static bool is_product(int side, int operation, int type, struct matrix c, int k, int lda) {
  int64_t order = side == 0 ? c.rows : c.columns;
  bool is_real = solver_real(type) == type;
  return (side == 0 || side == 1) && (operation == 0 || operation == (is_real ? 1 : 2)) && k >= 0 && k <= order && fits(lda, order) && fits(c.leading, c.rows);
}

static int ormqr(struct solver *s, int side, int operation, struct matrix a, int k, uint64_t tau, struct matrix c, uint64_t work, uint64_t info) {
  SOLVER_NEEDS(is_product(side, operation, a.type, c, k, (int)a.leading) && info != 0);
  struct job job = {.compute = compute_product_with_q, .a = a, .c = c, .m = c.rows, .n = c.columns, .k = k, .tau = tau, .info = info};
  job.is_right = side == 1;
  job.operation = operation;
  solver_matrix(&job, a);
  solver_matrix(&job, c);
  solver_matrix(&job, column_of(a.type, tau, k));
  solver_work(&job, work, wanted(ORMQR, c.rows, c.columns) * solver_bytes(a.type));
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

#define QR(L, type) \
  API int cusolverDn##L##geqrf_bufferSize(struct solver *s, int m, int n, uint64_t a, int lda, int *lwork) { \
    SOLVER_BEGIN(s); \
    (void)a; \
    SOLVER_NEEDS(m >= 0 && n >= 0 && fits(lda, m)); \
    return solver_tell(wanted(GEQRF, m, n), lwork); \
  } \
  API int cusolverDn##L##geqrf(struct solver *s, int m, int n, uint64_t a, int lda, uint64_t tau, uint64_t work, int lwork, uint64_t info) { \
    SOLVER_BEGIN(s); \
    (void)lwork; \
    return geqrf(s, matrix_of(type, a, m, n, lda), tau, work, info); \
  }
FOUR(QR)

#define Q(L, type) \
  API int cusolverDn##L##gqr_bufferSize(struct solver *s, int m, int n, int k, uint64_t a, int lda, uint64_t tau, int *lwork) { \
    SOLVER_BEGIN(s); \
    (void)a, (void)tau; \
    SOLVER_NEEDS(n >= 0 && m >= n && k >= 0 && k <= n && fits(lda, m)); \
    return solver_tell(wanted(ORGQR, m, n), lwork); \
  } \
  API int cusolverDn##L##gqr(struct solver *s, int m, int n, int k, uint64_t a, int lda, uint64_t tau, uint64_t work, int lwork, uint64_t info) { \
    SOLVER_BEGIN(s); \
    (void)lwork; \
    return orgqr(s, matrix_of(type, a, m, n, lda), k, tau, work, info); \
  } \
  API int cusolverDn##L##mqr_bufferSize(struct solver *s, int side, int operation, int m, int n, int k, uint64_t a, int lda, uint64_t tau, \
                                        uint64_t c, int ldc, int *lwork) { \
    SOLVER_BEGIN(s); \
    (void)a, (void)tau; \
    SOLVER_NEEDS(is_product(side, operation, type, matrix_of(type, c, m, n, ldc), k, lda)); \
    return solver_tell(wanted(ORMQR, m, n), lwork); \
  } \
  API int cusolverDn##L##mqr(struct solver *s, int side, int operation, int m, int n, int k, uint64_t a, int lda, uint64_t tau, uint64_t c, \
                             int ldc, uint64_t work, int lwork, uint64_t info) { \
    SOLVER_BEGIN(s); \
    (void)lwork; \
    return ormqr(s, side, operation, matrix_of(type, a, side == 0 ? m : n, k, lda), k, tau, matrix_of(type, c, m, n, ldc), work, info); \
  }
WITH_Q(Q)

static void compute_ldl(struct job *job) {
  number *a = solver_take(job->a);
  int64_t *pivots = take_pivots(job, job->n);
  solver_say(job, 0, solver_ldl(a, job->n, job->is_upper, pivots));
  solver_give(job->a, a);
  give_pivots(job, pivots, job->n);
  free(a);
  free(pivots);
}

void solver_compute_ldl_solve(struct job *job) {
  number *a = solver_take(job->a), *b = solver_take(job->b);
  int64_t *pivots = take_pivots(job, job->n);
  solver_ldl_solve(a, job->n, job->is_upper, pivots, b, job->b.columns);
  solver_give(job->b, b);
  solver_say(job, 0, 0);
  free(a);
  free(b);
  free(pivots);
}

static int sytrf(struct solver *s, int fill, struct matrix a, uint64_t pivots, uint64_t work, uint64_t info) {
  SOLVER_NEEDS(is_triangle(fill) && fits(a.leading, a.rows) && info != 0);
  struct job job = {.compute = compute_ldl, .a = a, .n = a.rows, .is_upper = fill == 1, .pivots = pivots, .info = info};
  solver_matrix(&job, a);
  solver_area(&job, pivots, pivots == 0 ? 0 : 4 * a.rows);
  solver_work(&job, work, wanted(SYTRF, a.rows, 0) * solver_bytes(a.type));
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

#define LDL(L, type) \
  API int cusolverDn##L##sytrf_bufferSize(struct solver *s, int n, uint64_t a, int lda, int *lwork) { \
    SOLVER_BEGIN(s); \
    (void)a; \
    SOLVER_NEEDS(fits(lda, n)); \
    return solver_tell(wanted(SYTRF, n, 0), lwork); \
  } \
  API int cusolverDn##L##sytrf(struct solver *s, int fill, int n, uint64_t a, int lda, uint64_t pivots, uint64_t work, int lwork, uint64_t info) { \
    SOLVER_BEGIN(s); \
    (void)lwork; \
    return sytrf(s, fill, matrix_of(type, a, n, n, lda), pivots, work, info); \
  }
FOUR(LDL)
