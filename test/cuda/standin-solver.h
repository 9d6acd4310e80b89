/* The stand-in's cuSOLVER, by its parts: what it computes of matrices, eigenvalues that are no Hermitian matrix's, and the functions themselves. */
#ifndef SLUICE_STANDIN_SOLVER_H
#define SLUICE_STANDIN_SOLVER_H

#include "standin.h"

#include <complex.h>
#include <stdbool.h>

/* Of every type: matrices are computed in these, without gaps between their columns, and rounded as they are stored. */
typedef double _Complex number;

/* As cudaDataType. */
enum { R32 = 0, R64 = 1, C32 = 4, C64 = 5 };

/* Makes a reflection of a column: v from the second element on, and what its first one becomes. Returns tau. */
number solver_reflector(number *column, int64_t count);
/* In a matrix of m rows: pivots count from 1, and without any none is sought. Returns the place of the first pivot that is 0, from 1, or 0. */
int solver_lu(number *a, int64_t m, int64_t n, int64_t *pivots);
/* `operation` as cublasOperation_t: 0, 1 transposed, 2 conjugate as well. */
void solver_lu_solve(const number *a, int64_t n, const int64_t *pivots, int operation, number *b, int64_t columns);
/* Returns the order of the first minor that is not positive, or 0. */
int solver_cholesky(number *a, int64_t n, bool is_upper);
void solver_cholesky_solve(const number *a, int64_t n, bool is_upper, number *b, int64_t columns);
void solver_qr(number *a, int64_t m, int64_t n, number *tau);
/* C becomes Q C, or C Q on the right, with Q of k reflections; Q's conjugate transpose where that is asked for. */
void solver_apply_q(const number *reflectors, int64_t rows, int64_t k, const number *tau, bool is_right, bool is_transposed, number *c, int64_t m, int64_t n);
/* As LAPACK's sytrf and sytrs, of symmetric matrices. */
int solver_ldl(number *a, int64_t n, bool is_upper, int64_t *pivots);
void solver_ldl_solve(const number *a, int64_t n, bool is_upper, const int64_t *pivots, number *b, int64_t columns);
/* Of the Hermitian matrix in a triangle: values in ascending order, vectors in its place. Returns 0, or n + 1 where it does not come to an end. */
int solver_eigen(number *a, int64_t n, bool is_upper, double *values);
/* A = U S V^H: U of m x m, V of n x n, singular values in descending order, unless they are to be as they come. Returns 0, or min(m, n) + 1 as above. */
int solver_svd(const number *a, int64_t m, int64_t n, number *u, double *s, number *v, int sweeps, double tolerance, bool is_sorted);
/* Of any matrix: values and vectors of norm 1, conjugate pairs of a real one next to each other. Returns 0, or how many values have not been found. */
int solver_general_eigen(const number *a, int64_t n, bool is_real, number *values, number *vectors);

#endif
