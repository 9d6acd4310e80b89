/* The stand-in's cuSOLVER: the functions with 64-bit sizes, whose types are arguments and whose work areas lie on the device and on the host. */
#include "standin-solver-job.h"

#include <stdlib.h>
#include <string.h>

#define HOST_BYTES 48
enum { XGETRF = 3, XPOTRF, XGEQRF, XSYEVD, XSYEV_BATCHED, XGEEV, XSYTRS };
static int64_t wanted(int function, int type, int64_t m, int64_t n) { return (function * (m + n) + 16) * solver_bytes(type); }

/* The work areas of a call. */
struct room {
  uint64_t device;
  size_t device_bytes;
  void *host;
  size_t host_bytes;
};

static int told(int64_t bytes, size_t *device, size_t *host) {
  *device = (size_t)bytes;
  *host = HOST_BYTES;
  return SOLVER_SUCCESS;
}

static bool is_enough(const struct room *room, int64_t bytes) {
  if ((int64_t)room->device_bytes < bytes || room->host_bytes < HOST_BYTES || room->host == NULL) return false;
  memset(room->host, 0xa5, room->host_bytes);
  return true;
}

static bool is_params(const struct solver_object *params) { return params == NULL || params->kind == PARAMS; }

#define PARTS uint64_t device, size_t device_bytes, void *host, size_t host_bytes
#define ROOM (&(struct room){device, device_bytes, host, host_bytes})

API int cusolverDnXgetrf_bufferSize(struct solver *s, struct solver_object *params, int64_t m, int64_t n, int type, uint64_t a, int64_t lda, int compute, size_t *device,
                                    size_t *host) {
  SOLVER_BEGIN(s);
  (void)a;
  SOLVER_NEEDS(is_params(params) && solver_is_type(type) && compute == type && n >= 0 && fits(lda, m));
  return told(wanted(XGETRF, type, m, n), device, host);
}

API int cusolverDnXgetrf(struct solver *s, struct solver_object *params, int64_t m, int64_t n, int type, uint64_t a, int64_t lda, uint64_t pivots, int compute, PARTS, uint64_t info) {
  SOLVER_BEGIN(s);
  SOLVER_NEEDS(is_params(params) && solver_is_type(type) && compute == type && n >= 0 && fits(lda, m) && info != 0 && is_enough(ROOM, wanted(XGETRF, type, m, n)));
  struct job job = {.compute = solver_compute_lu, .a = matrix_of(type, a, m, n, lda), .m = m, .n = n, .pivots = pivots, .info = info, .has_wide_pivots = true};
  solver_matrix(&job, job.a);
  solver_work(&job, device, wanted(XGETRF, type, m, n));
  solver_area(&job, pivots, pivots == 0 ? 0 : 8 * least(m, n));
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

API int cusolverDnXgetrs(struct solver *s, struct solver_object *params, int operation, int64_t n, int64_t nrhs, int type, uint64_t a, int64_t lda, uint64_t pivots, int type_b,
                         uint64_t b, int64_t ldb, uint64_t info) {
  SOLVER_BEGIN(s);
  SOLVER_NEEDS(is_params(params) && operation >= 0 && operation <= 2 && solver_is_type(type) && type_b == type && nrhs >= 0 && fits(lda, n) && fits(ldb, n) && info != 0);
  struct job job = {.compute = solver_compute_lu_solve, .a = matrix_of(type, a, n, n, lda), .b = matrix_of(type, b, n, nrhs, ldb), .n = n, .operation = operation};
  job.pivots = pivots;
  job.has_wide_pivots = true;
  job.info = info;
  solver_matrix(&job, job.a);
  solver_matrix(&job, job.b);
  solver_area(&job, pivots, pivots == 0 ? 0 : 8 * n);
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

API int cusolverDnXpotrf_bufferSize(struct solver *s, struct solver_object *params, int fill, int64_t n, int type, uint64_t a, int64_t lda, int compute, size_t *device, size_t *host) {
  SOLVER_BEGIN(s);
  (void)a;
  SOLVER_NEEDS(is_params(params) && is_triangle(fill) && solver_is_type(type) && compute == type && fits(lda, n));
  return told(wanted(XPOTRF, type, n, 0), device, host);
}

API int cusolverDnXpotrf(struct solver *s, struct solver_object *params, int fill, int64_t n, int type, uint64_t a, int64_t lda, int compute, PARTS, uint64_t info) {
  SOLVER_BEGIN(s);
  SOLVER_NEEDS(is_params(params) && is_triangle(fill) && solver_is_type(type) && compute == type && fits(lda, n) && info != 0 && is_enough(ROOM, wanted(XPOTRF, type, n, 0)));
  struct job job = {.compute = solver_compute_cholesky, .a = matrix_of(type, a, n, n, lda), .n = n, .is_upper = fill == 1, .info = info};
  solver_matrix(&job, job.a);
  solver_work(&job, device, wanted(XPOTRF, type, n, 0));
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

API int cusolverDnXpotrs(struct solver *s, struct solver_object *params, int fill, int64_t n, int64_t nrhs, int type, uint64_t a, int64_t lda, int type_b, uint64_t b, int64_t ldb,
                         uint64_t info) {
  SOLVER_BEGIN(s);
  SOLVER_NEEDS(is_params(params) && is_triangle(fill) && solver_is_type(type) && type_b == type && nrhs >= 0 && fits(lda, n) && fits(ldb, n) && info != 0);
  struct job job = {.compute = solver_compute_cholesky_solve, .a = matrix_of(type, a, n, n, lda), .b = matrix_of(type, b, n, nrhs, ldb), .n = n, .is_upper = fill == 1};
  job.info = info;
  solver_matrix(&job, job.a);
  solver_matrix(&job, job.b);
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

API int cusolverDnXgeqrf_bufferSize(struct solver *s, struct solver_object *params, int64_t m, int64_t n, int type, uint64_t a, int64_t lda, int type_tau, uint64_t tau, int compute,
                                    size_t *device, size_t *host) {
  SOLVER_BEGIN(s);
  (void)a, (void)tau;
  SOLVER_NEEDS(is_params(params) && solver_is_type(type) && type_tau == type && compute == type && n >= 0 && fits(lda, m));
  return told(wanted(XGEQRF, type, m, n), device, host);
}

API int cusolverDnXgeqrf(struct solver *s, struct solver_object *params, int64_t m, int64_t n, int type, uint64_t a, int64_t lda, int type_tau, uint64_t tau, int compute, PARTS,
                         uint64_t info) {
  SOLVER_BEGIN(s);
  SOLVER_NEEDS(is_params(params) && solver_is_type(type) && type_tau == type && compute == type && n >= 0 && fits(lda, m) && info != 0);
  SOLVER_NEEDS(is_enough(ROOM, wanted(XGEQRF, type, m, n)));
  struct job job = {.compute = solver_compute_qr, .a = matrix_of(type, a, m, n, lda), .m = m, .n = n, .tau = tau, .info = info};
  solver_matrix(&job, job.a);
  solver_area(&job, tau, least(m, n) * solver_bytes(type));
  solver_work(&job, device, wanted(XGEQRF, type, m, n));
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

API int cusolverDnXsyevBatched_bufferSize(struct solver *s, struct solver_object *params, int mode, int fill, int64_t n, int type, uint64_t a, int64_t lda, int type_w, uint64_t w,
                                          int compute, size_t *device, size_t *host, int64_t batch) {
  SOLVER_BEGIN(s);
  (void)a, (void)w, (void)mode;
  SOLVER_NEEDS(is_params(params) && is_triangle(fill) && solver_is_type(type) && type_w == solver_real(type) && compute == type && fits(lda, n) && batch >= 0);
  return told(wanted(XSYEV_BATCHED, type, n, batch), device, host);
}

static int eigen(struct solver *s, int mode, int fill, struct matrix a, uint64_t w, uint64_t work, int64_t bytes, uint64_t info, int64_t batch) {
  struct job job = {.compute = solver_compute_eigen, .a = a, .n = a.rows, .values = w, .values_type = solver_real(a.type), .info = info, .batch = batch, .mode = mode};
  job.is_upper = fill == 1;
  job.stride_a = a.leading * a.rows;
  solver_matrices(&job, a, job.stride_a, batch);
  solver_area(&job, w, a.rows * batch * solver_bytes(job.values_type));
  solver_work(&job, work, bytes);
  solver_area(&job, info, 4 * batch);
  return solver_queue(s, &job);
}

API int cusolverDnXsyevBatched(struct solver *s, struct solver_object *params, int mode, int fill, int64_t n, int type, uint64_t a, int64_t lda, int type_w, uint64_t w, int compute,
                               PARTS, uint64_t info, int64_t batch) {
  SOLVER_BEGIN(s);
  SOLVER_NEEDS(is_params(params) && is_triangle(fill) && solver_is_type(type) && type_w == solver_real(type) && compute == type && fits(lda, n) && batch >= 0 && info != 0);
  SOLVER_NEEDS(is_enough(ROOM, wanted(XSYEV_BATCHED, type, n, batch)));
  return eigen(s, mode, fill, matrix_of(type, a, n, n, lda), w, device, wanted(XSYEV_BATCHED, type, n, batch), info, batch);
}

API int cusolverDnXsyevd_bufferSize(struct solver *s, struct solver_object *params, int mode, int fill, int64_t n, int type, uint64_t a, int64_t lda, int type_w, uint64_t w,
                                    int compute, size_t *device, size_t *host) {
  SOLVER_BEGIN(s);
  (void)a, (void)w, (void)mode;
  SOLVER_NEEDS(is_params(params) && is_triangle(fill) && solver_is_type(type) && type_w == solver_real(type) && compute == type && fits(lda, n));
  return told(wanted(XSYEVD, type, n, 0), device, host);
}

API int cusolverDnXsyevd(struct solver *s, struct solver_object *params, int mode, int fill, int64_t n, int type, uint64_t a, int64_t lda, int type_w, uint64_t w, int compute, PARTS,
                         uint64_t info) {
  SOLVER_BEGIN(s);
  SOLVER_NEEDS(is_params(params) && is_triangle(fill) && solver_is_type(type) && type_w == solver_real(type) && compute == type && fits(lda, n) && info != 0);
  SOLVER_NEEDS(is_enough(ROOM, wanted(XSYEVD, type, n, 0)));
  return eigen(s, mode, fill, matrix_of(type, a, n, n, lda), w, device, wanted(XSYEVD, type, n, 0), info, 1);
}

/* Of a real matrix values are complex numbers, or in two halves; a pair's vectors are the first one's real and imaginary parts. */
static void compute_general_eigen(struct job *job) {
  int64_t n = job->n;
  int type = job->a.type;
  bool is_real = solver_real(type) == type;
  number *a = solver_take(job->a), *values = malloc((size_t)(n + 1) * sizeof *values), *vectors = malloc((size_t)(n * n + 1) * sizeof *vectors);
  solver_say(job, 0, solver_general_eigen(a, n, is_real, values, vectors));
  bool has_halves = solver_real(job->values_type) == job->values_type;
  double *parts = malloc((size_t)(2 * n + 1) * sizeof *parts);
  for (int64_t i = 0; i < n; i++) parts[i] = creal(values[i]), parts[n + i] = cimag(values[i]);
  if (has_halves) solver_give_values(job->values, job->values_type, parts, 2 * n);
  else solver_give((struct matrix){job->values, job->values_type, n, 1, n}, values);
  for (int64_t j = 0; j + 1 < n && is_real; j++)
    if (cimag(values[j]) > 0)
      for (int64_t i = 0; i < n; i++) vectors[i + (j + 1) * n] = cimag(vectors[i + j * n]);
  if (job->mode == 1) solver_give(job->b, vectors);
  free(a);
  free(values);
  free(vectors);
  free(parts);
}

static bool is_geev(const struct solver_object *params, int left, int right, int type, int type_w, int type_vr, int compute) {
  bool is_good_w = type_w == type || (type == R32 && type_w == C32) || (type == R64 && type_w == C64);
  return is_params(params) && left == 0 && (right == 0 || right == 1) && solver_is_type(type) && is_good_w && type_vr == type && compute == type;
}

API int cusolverDnXgeev_bufferSize(struct solver *s, struct solver_object *params, int left, int right, int64_t n, int type, uint64_t a, int64_t lda, int type_w, uint64_t w,
                                   int type_vl, uint64_t vl, int64_t ldvl, int type_vr, uint64_t vr, int64_t ldvr, int compute, size_t *device, size_t *host) {
  SOLVER_BEGIN(s);
  (void)a, (void)w, (void)vl, (void)vr, (void)type_vl;
  SOLVER_NEEDS(is_geev(params, left, right, type, type_w, type_vr, compute) && fits(lda, n) && ldvl >= 1 && ldvr >= 1 && (right == 0 || fits(ldvr, n)));
  return told(wanted(XGEEV, type, n, right), device, host);
}

API int cusolverDnXgeev(struct solver *s, struct solver_object *params, int left, int right, int64_t n, int type, uint64_t a, int64_t lda, int type_w, uint64_t w, int type_vl,
                        uint64_t vl, int64_t ldvl, int type_vr, uint64_t vr, int64_t ldvr, int compute, PARTS, uint64_t info) {
  SOLVER_BEGIN(s);
  (void)vl, (void)type_vl;
  SOLVER_NEEDS(is_geev(params, left, right, type, type_w, type_vr, compute) && fits(lda, n) && ldvl >= 1 && ldvr >= 1 && (right == 0 || fits(ldvr, n)) && info != 0);
  SOLVER_NEEDS(is_enough(ROOM, wanted(XGEEV, type, n, right)));
  struct job job = {.compute = compute_general_eigen, .a = matrix_of(type, a, n, n, lda), .b = matrix_of(type, vr, n, right == 1 ? n : 0, ldvr), .n = n, .values = w, .info = info};
  job.values_type = type_w;
  job.mode = right;
  solver_matrix(&job, job.a);
  solver_matrix(&job, job.b);
  solver_area(&job, w, (type_w == solver_real(type_w) ? 2 : 1) * n * solver_bytes(type_w));
  solver_work(&job, device, wanted(XGEEV, type, n, right));
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}

API int cusolverDnXsytrs_bufferSize(struct solver *s, int fill, int64_t n, int64_t nrhs, int type, uint64_t a, int64_t lda, uint64_t pivots, int type_b, uint64_t b, int64_t ldb,
                                    size_t *device, size_t *host) {
  SOLVER_BEGIN(s);
  (void)a, (void)pivots, (void)b;
  SOLVER_NEEDS(is_triangle(fill) && solver_is_type(type) && type_b == type && nrhs >= 0 && fits(lda, n) && fits(ldb, n));
  return told(wanted(XSYTRS, type, n, nrhs), device, host);
}

API int cusolverDnXsytrs(struct solver *s, int fill, int64_t n, int64_t nrhs, int type, uint64_t a, int64_t lda, uint64_t pivots, int type_b, uint64_t b, int64_t ldb, PARTS,
                         uint64_t info) {
  SOLVER_BEGIN(s);
  SOLVER_NEEDS(is_triangle(fill) && solver_is_type(type) && type_b == type && nrhs >= 0 && fits(lda, n) && fits(ldb, n) && info != 0);
  SOLVER_NEEDS(is_enough(ROOM, wanted(XSYTRS, type, n, nrhs)));
  struct job job = {.compute = solver_compute_ldl_solve, .a = matrix_of(type, a, n, n, lda), .b = matrix_of(type, b, n, nrhs, ldb), .n = n, .is_upper = fill == 1};
  job.pivots = pivots;
  job.has_wide_pivots = true;
  job.info = info;
  solver_matrix(&job, job.a);
  solver_matrix(&job, job.b);
  solver_area(&job, pivots, pivots == 0 ? 0 : 8 * n);
  solver_work(&job, device, wanted(XSYTRS, type, n, nrhs));
  solver_area(&job, info, 4);
  return solver_queue(s, &job);
}
