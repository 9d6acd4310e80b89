/* The stand-in's cuSOLVER: eigenvalues of Hermitian matrices and singular values, for the four types of elements, alone and in batches. */
#include "standin-solver-job.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SYEVD = 8, SYEVJ_BATCHED, GESVD, GESVDJ_ONE, GESVDJ_BATCHED, GESVDA };
static int64_t wanted(int function, int64_t m, int64_t n, int64_t batch) { return function * (m + n) + 7 * batch + 32; }

#define HERMITIAN(F) F(Ssy, R32) F(Dsy, R64) F(Che, C32) F(Zhe, C64)
enum { BATCH_SIDE_MAX = 32 };

static bool is_mode(int mode) { return mode == 0 || mode == 1; }

void solver_compute_eigen(struct job *job) {
  for (int64_t i = 0; i < job->batch; i++) {
    struct matrix m = solver_next(job->a, i * job->stride_a);
    number *a = solver_take(m);
    double *values = malloc((size_t)(job->n + 1) * sizeof *values);
    solver_say(job, i, solver_eigen(a, job->n, job->is_upper, values));
    solver_give_values(job->values + (uint64_t)(i * job->n * solver_bytes(job->values_type)), job->values_type, values, job->n);
    if (job->mode == 1) solver_give(m, a);
    free(a);
    free(values);
  }
}

static int eigen(struct solver *s, int mode, int fill, struct matrix a, uint64_t values, uint64_t work, int64_t elements, uint64_t info, int64_t batch) {
  SOLVER_NEEDS(is_mode(mode) && is_triangle(fill) && fits(a.leading, a.rows) && info != 0 && batch >= 0);
  struct job job = {.compute = solver_compute_eigen, .a = a, .n = a.rows, .values = values, .info = info, .batch = batch, .mode = mode};
  job.is_upper = fill == 1;
  job.values_type = solver_real(a.type);
  job.stride_a = a.leading * a.rows;
  solver_matrices(&job, a, job.stride_a, batch);
  solver_area(&job, values, a.rows * batch * solver_bytes(job.values_type));
  solver_work(&job, work, elements * solver_bytes(a.type));
  solver_area(&job, info, 4 * batch);
  return solver_queue(s, &job);
}

#define EIGEN(L, type) \
  API int cusolverDn##L##evd_bufferSize(struct solver *s, int mode, int fill, int n, uint64_t a, int lda, uint64_t w, int *lwork) { \
    SOLVER_BEGIN(s); \
    (void)a, (void)w; \
    SOLVER_NEEDS(is_mode(mode) && is_triangle(fill) && fits(lda, n)); \
    return solver_tell(wanted(SYEVD, n, mode, 0), lwork); \
  } \
  API int cusolverDn##L##evd(struct solver *s, int mode, int fill, int n, uint64_t a, int lda, uint64_t w, uint64_t work, int lwork, uint64_t info) { \
    SOLVER_BEGIN(s); \
    int64_t elements = wanted(SYEVD, n, mode, 0); \
    (void)lwork; \
    SOLVER_NEEDS(fits(lda, n)); \
    return eigen(s, mode, fill, matrix_of(type, a, n, n, lda), w, work, elements, info, 1); \
  } \
  API int cusolverDn##L##evj_bufferSize(struct solver *s, int mode, int fill, int n, uint64_t a, int lda, uint64_t w, int *lwork, struct solver_object *params) { \
    SOLVER_BEGIN(s); \
    (void)a, (void)w; \
    SOLVER_NEEDS(is_mode(mode) && is_triangle(fill) && fits(lda, n) && params != NULL && params->kind == SYEVJ); \
    return solver_tell(wanted(SYEVJ_BATCHED, n, mode, 1), lwork); \
  } \
  API int cusolverDn##L##evj(struct solver *s, int mode, int fill, int n, uint64_t a, int lda, uint64_t w, uint64_t work, int lwork, uint64_t info, \
                             struct solver_object *params) { \
    SOLVER_BEGIN(s); \
    int64_t elements = wanted(SYEVJ_BATCHED, n, mode, 1); \
    (void)lwork; \
    SOLVER_NEEDS(fits(lda, n) && params != NULL && params->kind == SYEVJ); \
    return eigen(s, mode, fill, matrix_of(type, a, n, n, lda), w, work, elements, info, 1); \
  } \
  API int cusolverDn##L##evjBatched_bufferSize(struct solver *s, int mode, int fill, int n, uint64_t a, int lda, uint64_t w, int *lwork, \
                                               struct solver_object *params, int batch) { \
    SOLVER_BEGIN(s); \
    (void)a, (void)w; \
    SOLVER_NEEDS(is_mode(mode) && is_triangle(fill) && fits(lda, n) && params != NULL && params->kind == SYEVJ && batch >= 0); \
    return solver_tell(wanted(SYEVJ_BATCHED, n, mode, batch), lwork); \
  } \
  API int cusolverDn##L##evjBatched(struct solver *s, int mode, int fill, int n, uint64_t a, int lda, uint64_t w, uint64_t work, int lwork, \
                                    uint64_t info, struct solver_object *params, int batch) { \
    SOLVER_BEGIN(s); \
    int64_t elements = wanted(SYEVJ_BATCHED, n, mode, batch); \
    (void)lwork; \
    SOLVER_NEEDS(fits(lda, n) && params != NULL && params->kind == SYEVJ && batch >= 0); \
    return eigen(s, mode, fill, matrix_of(type, a, n, n, lda), w, work, elements, info, batch); \
  }
HERMITIAN(EIGEN)

/* V, or its conjugate transpose, of so many columns or rows. */
static void give_right(struct matrix into, const number *v, int64_t n, bool is_transposed) {
  number *given = malloc((size_t)(into.rows * into.columns + 1) * sizeof *given);
  for (int64_t j = 0; j < into.columns; j++)
    for (int64_t i = 0; i < into.rows; i++) given[i + j * into.rows] = is_transposed ? conj(v[j + i * n]) : v[i + j * n];
  solver_give(into, given);
  free(given);
}

/* mode_b and mode_c: whether U and V are wanted, and V as its conjugate transpose where `operation` is 2. */
static void compute_singular(struct job *job) {
  int64_t m = job->m, n = job->n, k = job->k;
  for (int64_t i = 0; i < job->batch; i++) {
    number *a = solver_take(solver_next(job->a, i * job->stride_a)), *u = calloc((size_t)(m * m + 1), sizeof *u), *v = calloc((size_t)(n * n + 1), sizeof *v);
    double *values = calloc((size_t)(m + n + 1), sizeof *values);
    solver_say(job, i, solver_svd(a, m, n, u, values, v, job->sweeps, job->tolerance, job->is_sorted));
    uint64_t at = job->values + (uint64_t)(i * job->stride_values * solver_bytes(job->values_type));
    solver_give_values(at, job->values_type, values, k);
    for (int64_t j = k; j < least(m, n) && job->norms != NULL; j++) job->norms[i] += values[j] * values[j];
    if (job->norms != NULL) job->norms[i] = sqrt(job->norms[i]);
    if (job->mode_b) solver_give(solver_next(job->b, i * job->stride_b), u);
    if (job->mode_c) give_right(solver_next(job->c, i * job->stride_c), v, n, job->operation == 2);
    free(a);
    free(u);
    free(v);
    free(values);
  }
}

static struct job singular_job(struct matrix a, uint64_t values, struct matrix b, struct matrix c, uint64_t info) {
  struct job job = {.compute = compute_singular, .a = a, .b = b, .c = c, .m = a.rows, .n = a.columns, .k = least(a.rows, a.columns)};
  job.values = values;
  job.values_type = solver_real(a.type);
  job.info = info;
  job.batch = 1;
  job.sweeps = 60;
  job.tolerance = DBL_EPSILON;
  job.is_sorted = true;
  return job;
}

static int queue_singular(struct solver *s, struct job *job, uint64_t work, int64_t elements) {
  solver_matrices(job, job->a, job->stride_a, job->batch);
  solver_matrices(job, job->b, job->stride_b, job->batch);
  solver_matrices(job, job->c, job->stride_c, job->batch);
  if (job->batch > 0) solver_area(job, job->values, ((job->batch - 1) * job->stride_values + job->k) * solver_bytes(job->values_type));
  solver_work(job, work, elements * solver_bytes(job->a.type));
  solver_area(job, job->info, 4 * job->batch);
  return solver_queue(s, job);
}

/* What a letter says of singular vectors: how many, of a side of `all` and of `some`; none go to a place of their own for `O` and `N`. */
static int64_t vectors_of(signed char letter, int64_t all, int64_t some) { return letter == 'A' ? all : letter == 'S' ? some : 0; }
static bool is_letter(signed char letter) { return letter == 'A' || letter == 'S' || letter == 'O' || letter == 'N'; }

struct gesvd {
  signed char job_u, job_v;
  struct matrix a;
  uint64_t values, u, v, work, rwork, info;
  int ldu, ldv;
};

/* Of matrices that are at least as high as they are wide. */
static int gesvd(struct solver *s, const struct gesvd *g) {
  int64_t m = g->a.rows, n = g->a.columns, in_u = vectors_of(g->job_u, m, n), in_v = vectors_of(g->job_v, n, n);
  SOLVER_NEEDS(is_letter(g->job_u) && is_letter(g->job_v) && !(g->job_u == 'O' && g->job_v == 'O') && n >= 0 && m >= n && fits(g->a.leading, m) && g->info != 0);
  SOLVER_NEEDS(g->ldu >= 1 && g->ldv >= 1 && (in_u == 0 || fits(g->ldu, m)) && (in_v == 0 || fits(g->ldv, n)));
  struct matrix u = matrix_of(g->a.type, g->u, m, in_u, g->ldu), v = matrix_of(g->a.type, g->v, in_v, n, g->ldv);
  if (g->job_u == 'O') u = g->a;
  if (g->job_v == 'O') v = matrix_of(g->a.type, g->a.at, n, n, g->a.leading);
  struct job job = singular_job(g->a, g->values, u, v, g->info);
  job.mode_b = g->job_u != 'N';
  job.mode_c = g->job_v != 'N';
  job.operation = 2;
  if (g->rwork != 0) solver_area(&job, g->rwork, (n - 1) * solver_bytes(job.values_type));
  return queue_singular(s, &job, g->work, wanted(GESVD, m, n, 0));
}

struct gesvdj {
  int mode;
  struct matrix a, u, v;
  uint64_t values, work, info;
  const struct solver_object *params;
};

static bool is_gesvdj(const struct gesvdj *g) {
  return is_mode(g->mode) && g->a.columns >= 0 && fits(g->a.leading, g->a.rows) && fits(g->u.leading, g->a.rows) && fits(g->v.leading, g->a.columns) && g->params != NULL &&
         g->params->kind == GESVDJ;
}

/* Without vectors it takes the room of them for itself. */
static struct job gesvdj_job(const struct gesvdj *g) {
  struct job job = singular_job(g->a, g->values, g->u, g->v, g->info);
  job.mode_b = job.mode_c = 1;
  job.sweeps = g->params->sweeps;
  job.tolerance = g->params->tolerance > 0 ? g->params->tolerance : DBL_EPSILON;
  job.is_sorted = g->params->sorts != 0;
  return job;
}

static int gesvdj(struct solver *s, const struct gesvdj *g) {
  int64_t elements = wanted(GESVDJ_ONE, g->a.rows, g->a.columns, 0);
  SOLVER_NEEDS(is_gesvdj(g) && g->info != 0);
  struct job job = gesvdj_job(g);
  return queue_singular(s, &job, g->work, elements);
}

static int gesvdj_batched(struct solver *s, const struct gesvdj *g, int batch) {
  int64_t elements = wanted(GESVDJ_BATCHED, g->a.rows, g->a.columns, batch);
  SOLVER_NEEDS(is_gesvdj(g) && batch >= 0 && g->a.rows <= BATCH_SIDE_MAX && g->a.columns <= BATCH_SIDE_MAX && g->info != 0);
  struct job job = gesvdj_job(g);
  job.batch = batch;
  job.stride_a = g->a.leading * g->a.columns;
  job.stride_b = g->u.leading * g->u.columns;
  job.stride_c = g->v.leading * g->v.columns;
  job.stride_values = job.k;
  return queue_singular(s, &job, g->work, elements);
}

int cuStreamQuery(struct stream *stream);

/* Norms of what a smaller rank leaves out are told on the host, for which it waits. */
static int gesvda(struct solver *s, int rank, const struct gesvdj *g, const int64_t strides[4], double *norms, int batch) {
  int64_t elements = wanted(GESVDA, g->a.rows, g->a.columns, batch);
  SOLVER_NEEDS(is_mode(g->mode) && batch >= 0 && rank >= 1 && rank <= least(g->a.rows, g->a.columns) && fits(g->a.leading, g->a.rows) && g->info != 0);
  SOLVER_NEEDS(fits(g->u.leading, g->a.rows) && fits(g->v.leading, g->a.columns));
  struct job job = singular_job(g->a, g->values, g->u, g->v, g->info);
  job.mode_b = job.mode_c = 1;
  job.k = rank;
  job.batch = batch;
  job.stride_a = strides[0];
  job.stride_values = strides[1];
  job.stride_b = strides[2];
  job.stride_c = strides[3];
  job.norms = norms;
  for (int i = 0; i < batch && norms != NULL; i++) norms[i] = 0;
  int status = queue_singular(s, &job, g->work, elements);
  while (status == SOLVER_SUCCESS && norms != NULL && cuStreamQuery(s->stream) == NOT_READY) usleep(50);
  return status;
}

#define SINGULAR(L, type) \
  API int cusolverDn##L##gesvd_bufferSize(struct solver *s, int m, int n, int *lwork) { \
    SOLVER_BEGIN(s); \
    SOLVER_NEEDS(n >= 0 && m >= n); \
    return solver_tell(wanted(GESVD, m, n, 0), lwork); \
  } \
  API int cusolverDn##L##gesvd(struct solver *s, signed char job_u, signed char job_v, int m, int n, uint64_t a, int lda, uint64_t values, uint64_t u, int ldu, \
                               uint64_t v, int ldv, uint64_t work, int lwork, uint64_t rwork, uint64_t info) { \
    SOLVER_BEGIN(s); \
    (void)lwork; \
    return gesvd(s, &(struct gesvd){job_u, job_v, matrix_of(type, a, m, n, lda), values, u, v, work, rwork, info, ldu, ldv}); \
  } \
  API int cusolverDn##L##gesvdj_bufferSize(struct solver *s, int mode, int economic, int m, int n, uint64_t a, int lda, uint64_t values, uint64_t u, int ldu, \
                                           uint64_t v, int ldv, int *lwork, struct solver_object *params) { \
    SOLVER_BEGIN(s); \
    (void)values, (void)economic; \
    SOLVER_NEEDS(is_gesvdj(&(struct gesvdj){mode, matrix_of(type, a, m, n, lda), matrix_of(type, u, m, 0, ldu), matrix_of(type, v, n, 0, ldv), 0, 0, 0, params})); \
    return solver_tell(wanted(GESVDJ_ONE, m, n, 0), lwork); \
  } \
  API int cusolverDn##L##gesvdj(struct solver *s, int mode, int economic, int m, int n, uint64_t a, int lda, uint64_t values, uint64_t u, int ldu, uint64_t v, \
                                int ldv, uint64_t work, int lwork, uint64_t info, struct solver_object *params) { \
    SOLVER_BEGIN(s); \
    (void)lwork; \
    bool is_short = economic != 0 || mode == 0; \
    struct matrix in_u = matrix_of(type, u, m, is_short ? least(m, n) : m, ldu), in_v = matrix_of(type, v, n, is_short ? least(m, n) : n, ldv); \
    return gesvdj(s, &(struct gesvdj){mode, matrix_of(type, a, m, n, lda), in_u, in_v, values, work, info, params}); \
  } \
  API int cusolverDn##L##gesvdjBatched_bufferSize(struct solver *s, int mode, int m, int n, uint64_t a, int lda, uint64_t values, uint64_t u, int ldu, uint64_t v, \
                                                  int ldv, int *lwork, struct solver_object *params, int batch) { \
    SOLVER_BEGIN(s); \
    (void)values; \
    SOLVER_NEEDS(batch >= 0 && is_gesvdj(&(struct gesvdj){mode, matrix_of(type, a, m, n, lda), matrix_of(type, u, m, 0, ldu), matrix_of(type, v, n, 0, ldv), 0, 0, 0, params})); \
    return solver_tell(wanted(GESVDJ_BATCHED, m, n, batch), lwork); \
  } \
  API int cusolverDn##L##gesvdjBatched(struct solver *s, int mode, int m, int n, uint64_t a, int lda, uint64_t values, uint64_t u, int ldu, uint64_t v, int ldv, \
                                       uint64_t work, int lwork, uint64_t info, struct solver_object *params, int batch) { \
    SOLVER_BEGIN(s); \
    (void)lwork; \
    struct matrix in_u = matrix_of(type, u, m, m, ldu), in_v = matrix_of(type, v, n, n, ldv); \
    return gesvdj_batched(s, &(struct gesvdj){mode, matrix_of(type, a, m, n, lda), in_u, in_v, values, work, info, params}, batch); \
  } \
  API int cusolverDn##L##gesvdaStridedBatched_bufferSize(struct solver *s, int mode, int rank, int m, int n, uint64_t a, int lda, int64_t stride_a, uint64_t values, \
                                                         int64_t stride_s, uint64_t u, int ldu, int64_t stride_u, uint64_t v, int ldv, int64_t stride_v, int *lwork, int batch) { \
    SOLVER_BEGIN(s); \
    (void)a, (void)stride_a, (void)values, (void)stride_s, (void)u, (void)stride_u, (void)v, (void)stride_v; \
    SOLVER_NEEDS(is_mode(mode) && batch >= 0 && rank >= 1 && rank <= least(m, n) && fits(lda, m) && fits(ldu, m) && fits(ldv, n)); \
    return solver_tell(wanted(GESVDA, m, n, batch), lwork); \
  } \
  API int cusolverDn##L##gesvdaStridedBatched(struct solver *s, int mode, int rank, int m, int n, uint64_t a, int lda, int64_t stride_a, uint64_t values, \
                                              int64_t stride_s, uint64_t u, int ldu, int64_t stride_u, uint64_t v, int ldv, int64_t stride_v, uint64_t work, \
                                              int lwork, uint64_t info, double *norms, int batch) { \
    SOLVER_BEGIN(s); \
    (void)lwork; \
    struct matrix in_u = matrix_of(type, u, m, rank, ldu), in_v = matrix_of(type, v, n, rank, ldv); \
    int64_t strides[] = {stride_a, stride_s, stride_u, stride_v}; \
    return gesvda(s, rank, &(struct gesvdj){mode, matrix_of(type, a, m, n, lda), in_u, in_v, values, work, info, NULL}, strides, norms, batch); \
  }
FOUR(SINGULAR)
