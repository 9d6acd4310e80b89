/* The stand-in's cuSOLVER: handles, what they are told of, and work over matrices in the order of the stream. */
#ifndef SLUICE_STANDIN_SOLVER_JOB_H
#define SLUICE_STANDIN_SOLVER_JOB_H

#include "standin-solver.h"

/* As cusolverStatus_t. */
enum { SOLVER_SUCCESS = 0, SOLVER_NOT_INITIALIZED = 1, SOLVER_ALLOC_FAILED = 2, SOLVER_INVALID_VALUE = 3, SOLVER_EXECUTION_FAILED = 6, SOLVER_NOT_SUPPORTED = 9 };

/* cusolverDnHandle_t. */
struct solver {
  struct context *context;
  struct stream *stream;
  int64_t loaded_bytes;
};

enum { PARAMS = 1, GESVDJ, SYEVJ };

/* Parameters: of the 64-bit functions, or of Jacobi's methods. */
struct solver_object {
  int kind;
  double tolerance;
  int sweeps, sorts;
};

struct matrix {
  uint64_t at;
  int type;
  int64_t rows, columns, leading;
};

#define AREAS 10

struct job {
  void (*compute)(struct job *);
  /* What it reads and writes, and of it what is filled with rubbish first. */
  struct {
    uint64_t at;
    int64_t bytes;
    bool is_work;
  } areas[AREAS];
  int area_count;
  struct matrix a, b, c;
  uint64_t values, tau, pivots, info;
  int64_t m, n, k, batch;
  int64_t stride_a, stride_b, stride_c, stride_values;
  int values_type, operation, mode, mode_b, mode_c, sweeps;
  double tolerance, *norms;
  bool is_upper, is_right, is_sorted, has_wide_pivots;
  struct context *context;
  int failure; /* what its work has come to */
};

int64_t solver_bytes(int type);
/* The type of its absolute values. */
int solver_real(int type);
bool solver_is_type(int type);
/* Copies of a matrix's elements, in memory of malloc, and back. */
number *solver_take(struct matrix m);
void solver_give(struct matrix m, const number *from);
void solver_give_values(uint64_t at, int type, const double *values, int64_t count);
void solver_say(const struct job *job, int64_t which, int info);
/* The same matrix further on. */
struct matrix solver_next(struct matrix m, int64_t elements);

/* What every function does first. */
int solver_begin(const struct solver *s, const char *function);
void solver_area(struct job *job, uint64_t at, int64_t bytes);
void solver_matrix(struct job *job, struct matrix m);
/* The same for `count` of them, so many elements apart. */
void solver_matrices(struct job *job, struct matrix m, int64_t stride, int64_t count);
/* All that the function asks for, whatever its caller says: the documentation does not promise that that is looked at. */
void solver_work(struct job *job, uint64_t at, int64_t bytes);
/* Where the matrices of a batch are is itself in the device's memory, and read as they are computed: false where the next one is nowhere. */
bool solver_finds(struct job *job, struct matrix *m, int64_t which);
int solver_queue(struct solver *s, const struct job *job);

/* The four types of elements, by the letters of their functions. */
#define FOUR(F) F(S, R32) F(D, R64) F(C, C32) F(Z, C64)

#define SOLVER_BEGIN(s)                                  \
  do {                                                   \
    int failed = solver_begin(s, __func__);              \
    if (failed != SOLVER_SUCCESS) return failed;         \
  } while (0)
#define SOLVER_NEEDS(...) do { if (!(__VA_ARGS__)) return SOLVER_INVALID_VALUE; } while (0)

static inline struct matrix matrix_of(int type, uint64_t at, int64_t rows, int64_t columns, int64_t leading) {
  return (struct matrix){.at = at, .type = type, .rows = rows, .columns = columns, .leading = leading};
}

static inline int solver_tell(int64_t elements, int *lwork) {
  *lwork = (int)elements;
  return SOLVER_SUCCESS;
}

static inline bool is_triangle(int fill) { return fill == 0 || fill == 1; }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline bool fits(int64_t leading, int64_t rows) { return rows >= 0 && leading >= (rows > 1 ? rows : 1); }

/* What the functions for four types and for 64-bit sizes share. */
void solver_compute_cholesky(struct job *job);
void solver_compute_cholesky_solve(struct job *job);
void solver_compute_lu(struct job *job);
void solver_compute_lu_solve(struct job *job);
void solver_compute_qr(struct job *job);
void solver_compute_eigen(struct job *job);
void solver_compute_ldl_solve(struct job *job);

#endif
