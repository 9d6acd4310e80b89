/* Eigenvalues and right eigenvectors of any matrix: a Schur form by Householder's reflections and QR steps with Wilkinson's shifts, and what its triangle says. */
#include "standin-solver.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define H(i, j) h[(i) + (j) * n]
#define Z(i, j) z[(i) + (j) * n]

/* Rows or columns x and y become (c x + s y) and (c y - s' x), with s' the conjugate of s. */
static void turn(number *x, number *y, int64_t step, int64_t count, double c, number s) {
  for (int64_t i = 0; i < count; i++) {
    number first = x[i * step], second = y[i * step];
    x[i * step] = c * first + s * second;
    y[i * step] = c * second - conj(s) * first;
  }
}

/* H becomes Q^H H Q with zeros below its second diagonal, by rotations of neighbouring rows, and Z is Q. */
static void make_hessenberg(number *h, int64_t n, number *z) {
  for (int64_t j = 0; j + 2 < n; j++)
    for (int64_t i = n - 1; i > j + 1; i--) {
      double size = hypot(cabs(H(i - 1, j)), cabs(H(i, j)));
      if (cabs(H(i, j)) == 0) continue;
      bool has_first = cabs(H(i - 1, j)) > 0;
      number phase = has_first ? H(i - 1, j) / cabs(H(i - 1, j)) : 1;
      double c = cabs(H(i - 1, j)) / size;
      number s = phase * conj(H(i, j)) / size;
      turn(&H(i - 1, 0), &H(i, 0), n, n, c, s);
      turn(&H(0, i - 1), &H(0, i), 1, n, c, conj(s));
      turn(&Z(0, i - 1), &Z(0, i), 1, n, c, conj(s));
    }
}

/* One QR step with a shift on the rows and columns from `low` to `high`. */
static void qr_step(number *h, int64_t n, number *z, int64_t low, int64_t high, number shift) {
  double *c = malloc((size_t)n * sizeof *c);
  number *s = malloc((size_t)n * sizeof *s);
  for (int64_t i = low; i <= high; i++) H(i, i) -= shift;
  for (int64_t i = low; i < high; i++) {
    number a = H(i, i), b = H(i + 1, i);
    double size = hypot(cabs(a), cabs(b));
    c[i] = size == 0 ? 1 : cabs(a) / size;
    s[i] = size == 0 ? 0 : (cabs(a) > 0 ? a / cabs(a) : 1) * conj(b) / size;
    turn(&H(i, i), &H(i + 1, i), n, n - i, c[i], s[i]);
  }
  for (int64_t i = low; i < high; i++) {
    turn(&H(0, i), &H(0, i + 1), 1, (i + 2 < high + 1 ? i + 2 : high) + 1, c[i], conj(s[i]));
    turn(&Z(0, i), &Z(0, i + 1), 1, n, c[i], conj(s[i]));
  }
  for (int64_t i = low; i <= high; i++) H(i, i) += shift;
  free(c);
  free(s);
}

/* H becomes upper triangular; returns how many of its values are not found. */
static int make_triangular(number *h, int64_t n, number *z) {
  int64_t high = n - 1;
  for (int step = 0, in_vain = 0; high > 0 && step < 100 * (int)n; step++) {
    int64_t low = high;
    while (low > 0 && cabs(H(low, low - 1)) > DBL_EPSILON / 2 * (cabs(H(low, low)) + cabs(H(low - 1, low - 1)))) low--;
    if (low > 0) H(low, low - 1) = 0;
    if (low == high) {
      high--;
      in_vain = 0;
      continue;
    }
    number a = H(high - 1, high - 1), b = H(high - 1, high), c = H(high, high - 1), d = H(high, high);
    number middle = (a + d) / 2, root = csqrt((a - d) * (a - d) / 4 + b * c);
    number shift = cabs(middle + root - d) < cabs(middle - root - d) ? middle + root : middle - root;
    if (++in_vain % 11 == 10) shift = d + cabs(c);
    qr_step(h, n, z, low, high, shift);
  }
  return (int)high > 0 ? (int)high : 0;
}

static void normalise(number *v, int64_t n) {
  int64_t largest = 0;
  double length = 0;
  for (int64_t i = 0; i < n; i++) {
    length += creal(v[i] * conj(v[i]));
    if (cabs(v[i]) > cabs(v[largest]) * (1 + 1e-10)) largest = i;
  }
  number by = cabs(v[largest]) == 0 ? 1 : v[largest] / cabs(v[largest]) * sqrt(length);
  for (int64_t i = 0; i < n; i++) v[i] /= by;
  v[largest] = creal(v[largest]);
}

/* The k-th eigenvector of the triangle, in Z's coordinates. */
static void vector_of(const number *h, int64_t n, const number *z, int64_t k, number *into) {
  number *x = calloc((size_t)n, sizeof *x);
  double scale = 0;
  for (int64_t i = 0; i < n * n; i++) scale = fmax(scale, cabs(h[i]));
  x[k] = 1;
  for (int64_t i = k - 1; i >= 0; i--) {
    number sum = 0, gap = H(i, i) - H(k, k);
    for (int64_t j = i + 1; j <= k; j++) sum -= H(i, j) * x[j];
    if (cabs(gap) < DBL_EPSILON * scale) gap = DBL_EPSILON * scale + 1e-300;
    x[i] = sum / gap;
  }
  for (int64_t i = 0; i < n; i++) {
    into[i] = 0;
    for (int64_t j = 0; j <= k; j++) into[i] += Z(i, j) * x[j];
  }
  normalise(into, n);
  free(x);
}

/* Puts values of a real matrix in order: those that are real, and pairs with the one above the axis first. */
static void pair_up(number *values, number *vectors, int64_t n) {
  number *kept_values = malloc((size_t)n * sizeof *kept_values), *kept = malloc((size_t)(n * n) * sizeof *kept);
  double scale = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) scale = fmax(scale, cabs(values[i]));
  for (int64_t i = 0; i < n; i++) {
    bool is_real = fabs(cimag(values[i])) <= 1e-10 * scale;
    if (!is_real && cimag(values[i]) < 0) continue;
    for (int turned = 0; turned < (is_real ? 1 : 2) && count < n; turned++, count++) {
      kept_values[count] = is_real ? creal(values[i]) : turned ? conj(values[i]) : values[i];
      for (int64_t j = 0; j < n; j++) {
        number x = vectors[j + i * n];
        kept[j + count * n] = is_real ? creal(x) : turned ? conj(x) : x;
      }
    }
  }
  if (count == n) {
    memcpy(values, kept_values, (size_t)n * sizeof *values);
    memcpy(vectors, kept, (size_t)(n * n) * sizeof *vectors);
  }
  free(kept_values);
  free(kept);
}

int solver_general_eigen(const number *a, int64_t n, bool is_real, number *values, number *vectors) {
  number *h = malloc((size_t)(n * n + 1) * sizeof *h), *z = calloc((size_t)(n * n + 1), sizeof *z);
  memcpy(h, a, (size_t)(n * n) * sizeof *h);
  for (int64_t i = 0; i < n; i++) Z(i, i) = 1;
  make_hessenberg(h, n, z);
  int missing = make_triangular(h, n, z);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < i; j++) H(i, j) = 0;
  for (int64_t k = 0; k < n; k++) {
    values[k] = H(k, k);
    vector_of(h, n, z, k, vectors + k * n);
  }
  if (is_real) pair_up(values, vectors, n);
  free(h);
  free(z);
  return missing;
}
