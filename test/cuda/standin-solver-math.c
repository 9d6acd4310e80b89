/* What the stand-in's cuSOLVER computes of matrices: plain forms of the methods that LAPACK's documentation names, so that factors are in its format. */
#include "standin-solver.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double size_of(number x) { return fabs(creal(x)) + fabs(cimag(x)); }
static double square(number x) { return creal(x) * creal(x) + cimag(x) * cimag(x); }

static void swap(number *a, number *b) {
  number kept = *a;
  *a = *b;
  *b = kept;
}

static void swap_rows(number *a, int64_t rows, int64_t columns, int64_t i, int64_t j) {
  for (int64_t c = 0; c < columns && i != j; c++) swap(&a[i + c * rows], &a[j + c * rows]);
}

int solver_lu(number *a, int64_t m, int64_t n, int64_t *pivots) {
  int info = 0;
  for (int64_t j = 0; j < m && j < n; j++) {
    int64_t best = j;
    for (int64_t i = j + 1; i < m && pivots != NULL; i++)
      if (size_of(a[i + j * m]) > size_of(a[best + j * m])) best = i;
    if (pivots != NULL) pivots[j] = best + 1;
    swap_rows(a, m, n, j, best);
    if (a[j + j * m] == 0) {
      if (info == 0) info = (int)j + 1;
      continue;
    }
    for (int64_t i = j + 1; i < m; i++) a[i + j * m] /= a[j + j * m];
    for (int64_t c = j + 1; c < n; c++)
      for (int64_t i = j + 1; i < m; i++) a[i + c * m] -= a[i + j * m] * a[j + c * m];
  }
  return info;
}

/* Solves with a triangle of a, or of its transpose; each element is read through `conjugates`. */
static void solve_triangle(const number *a, int64_t n, bool is_upper, bool is_transposed, bool conjugates, bool is_unit, number *b) {
  bool is_forward = is_upper == is_transposed;
  for (int64_t step = 0; step < n; step++) {
    int64_t i = is_forward ? step : n - 1 - step;
    for (int64_t j = is_forward ? 0 : i + 1; j < (is_forward ? i : n); j++) {
      number factor = is_transposed ? a[j + i * n] : a[i + j * n];
      b[i] -= (conjugates ? conj(factor) : factor) * b[j];
    }
    if (!is_unit) b[i] /= conjugates ? conj(a[i + i * n]) : a[i + i * n];
  }
}

void solver_lu_solve(const number *a, int64_t n, const int64_t *pivots, int operation, number *b, int64_t columns) {
  for (int64_t j = 0; j < n && operation == 0 && pivots != NULL; j++) swap_rows(b, n, columns, j, pivots[j] - 1);
  for (int64_t c = 0; c < columns; c++) {
    solve_triangle(a, n, operation != 0, operation != 0, operation == 2, operation == 0, b + c * n);
    solve_triangle(a, n, operation == 0, operation != 0, operation == 2, operation != 0, b + c * n);
  }
  for (int64_t j = n - 1; j >= 0 && operation != 0 && pivots != NULL; j--) swap_rows(b, n, columns, j, pivots[j] - 1);
}

int solver_cholesky(number *a, int64_t n, bool is_upper) {
/* The element of L. */
#define L(i, j) a[is_upper ? (j) + (i) * n : (i) + (j) * n]
  for (int64_t j = 0; j < n; j++) {
    double rest = creal(L(j, j));
    for (int64_t k = 0; k < j; k++) rest -= square(L(j, k));
    if (!(rest > 0)) return (int)j + 1;
    L(j, j) = sqrt(rest);
    for (int64_t i = j + 1; i < n; i++) {
      number sum = L(i, j);
      for (int64_t k = 0; k < j; k++) sum -= L(i, k) * conj(L(j, k));
      L(i, j) = sum / L(j, j);
    }
  }
#undef L
  return 0;
}

void solver_cholesky_solve(const number *a, int64_t n, bool is_upper, number *b, int64_t columns) {
  for (int64_t c = 0; c < columns; c++) {
    solve_triangle(a, n, is_upper, is_upper, is_upper, false, b + c * n);
    solve_triangle(a, n, is_upper, !is_upper, !is_upper, false, b + c * n);
  }
}

number solver_reflector(number *column, int64_t count) {
  double below = 0;
  for (int64_t i = 1; i < count; i++) below += square(column[i]);
  if (count == 0 || (below == 0 && cimag(column[0]) == 0)) return 0;
  double beta = sqrt(square(column[0]) + below);
  if (creal(column[0]) > 0) beta = -beta;
  number tau = (beta - column[0]) / beta;
  for (int64_t i = 1; i < count; i++) column[i] /= column[0] - beta;
  column[0] = beta;
  return tau;
}

/* c -= tau v (v^H c), with v's first element 1, which does not stand there. */
static void reflect(const number *v, int64_t count, number tau, number *c) {
  number dot = c[0];
  for (int64_t i = 1; i < count; i++) dot += conj(v[i]) * c[i];
  c[0] -= tau * dot;
  for (int64_t i = 1; i < count; i++) c[i] -= tau * v[i] * dot;
}

void solver_qr(number *a, int64_t m, int64_t n, number *tau) {
  for (int64_t j = 0; j < m && j < n; j++) {
    tau[j] = solver_reflector(a + j + j * m, m - j);
    for (int64_t c = j + 1; c < n; c++) reflect(a + j + j * m, m - j, conj(tau[j]), a + j + c * m);
  }
}

void solver_apply_q(const number *reflectors, int64_t rows, int64_t k, const number *tau, bool is_right, bool is_transposed, number *c, int64_t m, int64_t n) {
  if (is_right) {
    /* C Q is what Q's transpose makes of C's. */
    number *turned = malloc((size_t)(m * n + 1) * sizeof *turned);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) turned[j + i * n] = conj(c[i + j * m]);
    solver_apply_q(reflectors, rows, k, tau, false, !is_transposed, turned, n, m);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) c[i + j * m] = conj(turned[j + i * n]);
    free(turned);
    return;
  }
  for (int64_t step = 0; step < k; step++) {
    int64_t j = is_transposed ? step : k - 1 - step;
    for (int64_t column = 0; column < n; column++) reflect(reflectors + j + j * rows, m - j, is_transposed ? conj(tau[j]) : tau[j], c + j + column * m);
  }
}

/* The element of the triangle, from the end of the matrix on for an upper one: its factorisation is the lower one's, seen from there. */
static number *element(number *a, int64_t n, bool is_upper, int64_t i, int64_t j) {
  int64_t row = i > j ? i : j, column = i > j ? j : i;
  return is_upper ? &a[n - 1 - row + (n - 1 - column) * n] : &a[row + column * n];
}
static int64_t turned(int64_t n, bool is_upper, int64_t i) { return is_upper ? n - 1 - i : i; }

#define A(i, j) (*element(a, n, is_upper, i, j))

/* Which row comes to the place k, and whether with the one behind it. */
static int64_t choose_pivot(number *a, int64_t n, bool is_upper, int64_t k, bool *is_pair) {
  const double alpha = (1 + sqrt(17)) / 8;
  int64_t r = k;
  double largest = 0, across = 0;
  for (int64_t i = k + 1; i < n; i++)
    if (size_of(A(i, k)) > largest) r = i, largest = size_of(A(i, k));
  *is_pair = false;
  if (size_of(A(k, k)) >= alpha * largest) return k;
  for (int64_t i = k; i < n; i++)
    if (i != r && size_of(A(r, i)) > across) across = size_of(A(r, i));
  if (size_of(A(k, k)) * across >= alpha * largest * largest) return k;
  *is_pair = size_of(A(r, r)) < alpha * across;
  return r;
}

static void swap_both(number *a, int64_t n, bool is_upper, int64_t first, int64_t k, int64_t p) {
  if (k == p) return;
  swap(&A(k, k), &A(p, p));
  for (int64_t i = first; i < n; i++)
    if (i > k && i != p) swap(&A(i, k), &A(i, p));
}

int solver_ldl(number *a, int64_t n, bool is_upper, int64_t *pivots) {
  int info = 0;
  for (int64_t k = 0, step; k < n; k += step) {
    bool is_pair = false;
    int64_t p = pivots == NULL ? k : choose_pivot(a, n, is_upper, k, &is_pair);
    step = is_pair ? 2 : 1;
    int64_t at = k + step - 1, told = turned(n, is_upper, p) + 1;
    if (pivots != NULL) pivots[turned(n, is_upper, k)] = is_pair ? -told : told;
    if (is_pair) pivots[turned(n, is_upper, k + 1)] = -told;
    if (p != at && is_pair) swap(&A(at, k), &A(p, k));
    swap_both(a, n, is_upper, k, at, p);
    if (!is_pair) {
      number d = A(k, k);
      if (d == 0) {
        if (info == 0) info = (int)turned(n, is_upper, k) + 1;
        continue;
      }
      for (int64_t j = k + 1; j < n; j++) {
        number factor = A(j, k) / d;
        for (int64_t i = j; i < n; i++) A(i, j) -= A(i, k) * factor;
      }
      for (int64_t i = k + 1; i < n; i++) A(i, k) /= d;
      continue;
    }
    number d11 = A(k, k), d21 = A(k + 1, k), d22 = A(k + 1, k + 1), determinant = d11 * d22 - d21 * d21;
    for (int64_t j = k + 2; j < n; j++) {
      number first = (A(j, k) * d22 - A(j, k + 1) * d21) / determinant, second = (A(j, k + 1) * d11 - A(j, k) * d21) / determinant;
      for (int64_t i = j; i < n; i++) A(i, j) -= A(i, k) * first + A(i, k + 1) * second;
      A(j, k) = first;
      A(j, k + 1) = second;
    }
  }
  return info;
}

void solver_ldl_solve(const number *given, int64_t n, bool is_upper, const int64_t *pivots, number *b, int64_t columns) {
  number *a = (number *)given;
#define PIVOT(k) (pivots == NULL ? turned(n, is_upper, k) + 1 : pivots[turned(n, is_upper, k)])
#define ROW(k) turned(n, is_upper, k)
  for (int64_t k = 0, step; k < n; k += step) {
    step = PIVOT(k) < 0 && k + 1 < n ? 2 : 1;
    swap_rows(b, n, columns, ROW(k + step - 1), llabs(PIVOT(k)) - 1);
    for (int64_t c = 0; c < columns; c++) {
      number *x = b + c * n;
      for (int64_t i = k + step; i < n; i++)
        for (int64_t j = 0; j < step; j++) x[ROW(i)] -= A(i, k + j) * x[ROW(k + j)];
      if (step == 1) x[ROW(k)] /= A(k, k);
      if (step == 1) continue;
      number d11 = A(k, k), d21 = A(k + 1, k), d22 = A(k + 1, k + 1), determinant = d11 * d22 - d21 * d21, first = x[ROW(k)], second = x[ROW(k + 1)];
      x[ROW(k)] = (first * d22 - second * d21) / determinant;
      x[ROW(k + 1)] = (second * d11 - first * d21) / determinant;
    }
  }
  for (int64_t k = n - 1, step; k >= 0; k -= step) {
    step = PIVOT(k) < 0 && k > 0 ? 2 : 1;
    for (int64_t c = 0; c < columns; c++)
      for (int64_t i = k + 1; i < n; i++)
        for (int64_t j = 0; j < step; j++) b[ROW(k - j) + c * n] -= A(i, k - j) * b[ROW(i) + c * n];
    swap_rows(b, n, columns, ROW(k), llabs(PIVOT(k)) - 1);
  }
#undef PIVOT
#undef ROW
}
#undef A

/* Of the Hermitian [p, off; conj(off), q] the rotation that makes it diagonal: columns become c x - s e' y and s x + c e' y, with e' the conjugate of e. */
struct rotation {
  double c, s;
  number e;
};

static struct rotation rotation_of(double p, double q, number off) {
  double size = cabs(off), tau = (q - p) / (2 * size), t = (tau < 0 ? -1 : 1) / (fabs(tau) + sqrt(1 + tau * tau));
  double c = 1 / sqrt(1 + t * t);
  return (struct rotation){c, c * t, off / size};
}

static void rotate_columns(struct rotation r, number *x, number *y, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    number first = x[i], second = conj(r.e) * y[i];
    x[i] = r.c * first - r.s * second;
    y[i] = r.s * first + r.c * second;
  }
}

static void identity(number *a, int64_t n) {
  memset(a, 0, (size_t)(n * n) * sizeof *a);
  for (int64_t i = 0; i < n; i++) a[i + i * n] = 1;
}

int solver_eigen(number *a, int64_t n, bool is_upper, double *values) {
  number *h = malloc((size_t)(n * n + 1) * sizeof *h);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) {
      number below = is_upper ? conj(a[j + i * n]) : a[i + j * n];
      h[i + j * n] = i == j ? creal(below) : below;
      h[j + i * n] = conj(h[i + j * n]);
    }
  identity(a, n);
  int info = (int)n + 1;
  for (int sweep = 0; sweep < 60 && info != 0; sweep++) {
    bool is_diagonal = true;
    for (int64_t p = 0; p < n; p++)
      for (int64_t q = p + 1; q < n; q++) {
        number off = h[p + q * n];
        if (cabs(off) <= DBL_EPSILON / 4 * sqrt(fabs(creal(h[p + p * n]) * creal(h[q + q * n]))) || cabs(off) < 1e-290) continue;
        is_diagonal = false;
        struct rotation r = rotation_of(creal(h[p + p * n]), creal(h[q + q * n]), off);
        rotate_columns(r, h + p * n, h + q * n, n);
        for (int64_t i = 0; i < n; i++) {
          number first = h[p + i * n], second = r.e * h[q + i * n];
          h[p + i * n] = r.c * first - r.s * second;
          h[q + i * n] = r.s * first + r.c * second;
        }
        rotate_columns(r, a + p * n, a + q * n, n);
        h[p + q * n] = h[q + p * n] = 0;
      }
    if (is_diagonal) info = 0;
  }
  for (int64_t i = 0; i < n; i++) values[i] = creal(h[i + i * n]);
  for (int64_t i = 0; i < n; i++) {
    int64_t least = i;
    for (int64_t j = i + 1; j < n; j++)
      if (values[j] < values[least]) least = j;
    double kept = values[i];
    values[i] = values[least];
    values[least] = kept;
    for (int64_t row = 0; row < n && least != i; row++) swap(&a[row + i * n], &a[row + least * n]);
  }
  free(h);
  return info;
}

/* Fills in columns that are missing, each the unit vector that is furthest from those before it, made orthogonal to them. */
static void complete(number *u, int64_t m, int64_t from) {
  for (int64_t column = from; column < m; column++) {
    number *best = u + column * m, *tried = malloc((size_t)m * sizeof *tried);
    double longest = -1;
    for (int64_t unit = 0; unit < m; unit++) {
      for (int64_t i = 0; i < m; i++) tried[i] = i == unit;
      for (int again = 0; again < 2; again++)
        for (int64_t j = 0; j < column; j++) {
          number dot = 0;
          for (int64_t i = 0; i < m; i++) dot += conj(u[i + j * m]) * tried[i];
          for (int64_t i = 0; i < m; i++) tried[i] -= dot * u[i + j * m];
        }
      double length = 0;
      for (int64_t i = 0; i < m; i++) length += square(tried[i]);
      if (length <= longest * 1.01) continue;
      longest = length;
      for (int64_t i = 0; i < m; i++) best[i] = tried[i] / sqrt(length);
    }
    free(tried);
  }
}

int solver_svd(const number *a, int64_t m, int64_t n, number *u, double *s, number *v, int sweeps, double tolerance, bool is_sorted) {
  if (m < n) {
    number *turned_a = malloc((size_t)(m * n + 1) * sizeof *turned_a);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) turned_a[j + i * n] = conj(a[i + j * m]);
    int info = solver_svd(turned_a, n, m, v, s, u, sweeps, tolerance, is_sorted);
    free(turned_a);
    return info;
  }
  memcpy(u, a, (size_t)(m * n) * sizeof *u);
  identity(v, n);
  int info = (int)n + 1;
  for (int sweep = 0; sweep < sweeps && info != 0; sweep++) {
    bool is_orthogonal = true;
    for (int64_t p = 0; p < n; p++)
      for (int64_t q = p + 1; q < n; q++) {
        double first = 0, second = 0;
        number dot = 0;
        for (int64_t i = 0; i < m; i++) {
          first += square(u[i + p * m]);
          second += square(u[i + q * m]);
          dot += conj(u[i + p * m]) * u[i + q * m];
        }
        if (cabs(dot) <= tolerance * sqrt(first * second) || cabs(dot) < 1e-290) continue;
        is_orthogonal = false;
        struct rotation r = rotation_of(first, second, dot);
        rotate_columns(r, u + p * m, u + q * m, m);
        rotate_columns(r, v + p * n, v + q * n, n);
      }
    if (is_orthogonal) info = 0;
  }
  double largest = 0;
  for (int64_t j = 0; j < n; j++) {
    s[j] = 0;
    for (int64_t i = 0; i < m; i++) s[j] += square(u[i + j * m]);
    s[j] = sqrt(s[j]);
    if (s[j] > largest) largest = s[j];
  }
  int64_t rank = 0;
  for (int64_t j = 0; j < n; j++) {
    int64_t most = j;
    for (int64_t k = j + 1; k < n && is_sorted; k++)
      if (s[k] > s[most]) most = k;
    double kept = s[j];
    s[j] = s[most];
    s[most] = kept;
    for (int64_t i = 0; i < m && most != j; i++) swap(&u[i + j * m], &u[i + most * m]);
    for (int64_t i = 0; i < n && most != j; i++) swap(&v[i + j * n], &v[i + most * n]);
    if (s[j] <= largest * DBL_EPSILON * 8) continue;
    for (int64_t i = 0; i < m; i++) u[i + j * m] /= s[j];
    rank = j + 1;
  }
  complete(u, m, rank);
  return info;
}
