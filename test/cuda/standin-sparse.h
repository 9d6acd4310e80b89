/* The stand-in's cuSPARSE: what handles and descriptors are, and work over matrices in the order of the stream. Every matrix is computed as a dense one. */
#ifndef SLUICE_STANDIN_SPARSE_H
#define SLUICE_STANDIN_SPARSE_H

#include "standin.h"

#include <complex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef double _Complex number;

/* As cusparseStatus_t. */
enum { SPARSE_SUCCESS = 0, SPARSE_NOT_INITIALIZED = 1, SPARSE_ALLOC_FAILED = 2, SPARSE_INVALID_VALUE = 3, SPARSE_EXECUTION_FAILED = 6, SPARSE_ZERO_PIVOT = 9, SPARSE_NOT_SUPPORTED = 10, SPARSE_TOO_SMALL = 11 };
/* As cudaDataType. */
enum { R32 = 0, R64 = 1, C32 = 4, C64 = 5 };
/* As cusparseFormat_t, and blocks as the older functions have them. */
enum { CSR = 1, COO = 3, BLOCKS = 6 };
/* Kinds of object. */
enum { MAT_DESCR = 1, SP_MAT, DN_MAT, SP_SV, SP_SM, SP_GEMM, BSRSV, BSRSM };

struct sparse {
  struct context *context;
  struct stream *stream;
  int64_t loaded_bytes;
};

/* A matrix as it lies in memory: sparse, or dense, of columns by order 1 and of rows by 2. */
struct operand {
  int format; /* 0 for a dense one */
  int64_t rows, columns, count, leading, block;
  uint64_t offsets, indices, values;
  int offsets_type, index_type, type, base, order, by_columns;
  int64_t batch, offsets_stride, stride;
  bool is_upper, is_unit;
};

struct sparse_object {
  int kind;
  struct operand operand;
  /* What was analysed: the work area, the place of a diagonal entry that is 0, and a product. */
  uint64_t area;
  int64_t area_bytes, pivot;
  number *product;
  char *pattern;
  int64_t count;
};

#define SPARSE_AREAS 16

struct sparse_job {
  void (*compute)(struct sparse_job *);
  struct {
    uint64_t at;
    int64_t bytes;
  } areas[SPARSE_AREAS];
  int area_count;
  struct operand a, b, c;
  int op_a, op_b;
  number alpha, beta;
  struct sparse_object *object;
  uint64_t first, second, third;
  int64_t *told;
};

int64_t sparse_bytes(int type);
number sparse_load(int type, uint64_t at, int64_t index);
void sparse_store(int type, uint64_t at, int64_t index, number value);
int64_t sparse_index(int type, uint64_t at, int64_t index);
/* All of a matrix by columns, in memory of malloc; `pattern` gets which elements there are, or is NULL. */
number *sparse_take(const struct operand *m, int64_t which, char **pattern);
/* Of a dense matrix. */
void sparse_give(const struct operand *m, int64_t which, const number *from);
/* Visits the entries of a sparse matrix: its place among them, and in memory. */
void sparse_each(const struct operand *m, int64_t which, void (*visit)(void *into, int64_t row, int64_t column, int64_t place), void *into);

/* C = alpha op(A) op(B), for matrices without gaps. */
number *sparse_product(const number *a, int64_t rows, int64_t columns, int op_a, const number *b, int64_t b_rows, int64_t b_columns, int op_b);
/* X of op(A) X = B in the place of B. Returns the place of the first entry of the diagonal that is 0, or -1. */
int64_t sparse_solve(const struct operand *a, const number *dense, int op, number *b, int64_t columns);

int sparse_begin(const struct sparse *s, const char *function);
void sparse_area(struct sparse_job *job, uint64_t at, int64_t bytes);
void sparse_operand(struct sparse_job *job, const struct operand *m);
int sparse_queue(struct sparse *s, const struct sparse_job *job);
/* And waits for it. */
int sparse_await(struct sparse *s, const struct sparse_job *job);
struct sparse_object *sparse_object(int kind);
int sparse_end(struct sparse_object *gone, int kind);
/* What the scalar of a type is. */
number sparse_factor(int type, const void *at);

static inline bool is_kind(const struct sparse_object *o, int kind) { return o != NULL && o->kind == kind; }
static inline bool is_type(int type) { return type == R32 || type == R64 || type == C32 || type == C64; }

#define FOUR(F) F(S, R32) F(D, R64) F(C, C32) F(Z, C64)
#define SPARSE_BEGIN(s) do { int failed = sparse_begin(s, __func__); if (failed != SPARSE_SUCCESS) return failed; } while (0)
#define SPARSE_NEEDS(...) do { if (!(__VA_ARGS__)) return SPARSE_INVALID_VALUE; } while (0)

#endif
