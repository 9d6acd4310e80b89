/*
 * The computations of the cpu case as a C compiler makes them, in one thread: `compute CASE ROUNDS` prints the nanoseconds
 * of each round, then a checksum. Sizes and inputs are those of bench/cases/compute.ts.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ELEMENTS (1 << 20)
#define SIDE 512
#define BODIES 2048
#define OPTIONS (1 << 18)

static float *a, *b, *c, *d, *e;

static float *array(size_t length) {
  float *p = malloc(length * sizeof(float));
  if (!p) exit(1);
  return p;
}

/* The same inputs as in JavaScript: small fractions from a running number. */
static void fill(float *p, size_t length, float scale, float offset) {
  for (size_t i = 0; i < length; i++) p[i] = (float)((i * 7919) % 1009) / 1009.0f * scale + offset;
}

static double saxpy(void) {
  for (int i = 0; i < ELEMENTS; i++) b[i] = 1.0001f * a[i] + b[i];
  return b[ELEMENTS / 2];
}

static double reduce(void) {
  float sum = 0;
  for (int i = 0; i < ELEMENTS; i++) sum += a[i];
  return sum;
}

static double matmul(void) {
  memset(c, 0, SIDE * SIDE * sizeof(float));
  for (int i = 0; i < SIDE; i++)
    for (int k = 0; k < SIDE; k++) {
      float left = a[i * SIDE + k];
      for (int j = 0; j < SIDE; j++) c[i * SIDE + j] += left * b[k * SIDE + j];
    }
  return c[SIDE * SIDE / 2];
}

static double nbody(void) {
  for (int i = 0; i < BODIES; i++) {
    float x = 0, y = 0, z = 0;
    for (int j = 0; j < BODIES; j++) {
      float dx = a[j * 4] - a[i * 4], dy = a[j * 4 + 1] - a[i * 4 + 1], dz = a[j * 4 + 2] - a[i * 4 + 2];
      float inverse = 1.0f / sqrtf(dx * dx + dy * dy + dz * dz + 0.01f);
      float s = a[j * 4 + 3] * inverse * inverse * inverse;
      x += dx * s;
      y += dy * s;
      z += dz * s;
    }
    c[i * 4] = x;
    c[i * 4 + 1] = y;
    c[i * 4 + 2] = z;
  }
  return c[BODIES * 2];
}

static float cdf(float v) { return 0.5f * erfcf(-v * 0.70710678f); }

static double black_scholes(void) {
  const float rate = 0.02f, volatility = 0.3f;
  for (int i = 0; i < OPTIONS; i++) {
    float root = sqrtf(c[i]);
    float d1 = (logf(a[i] / b[i]) + (rate + 0.5f * volatility * volatility) * c[i]) / (volatility * root);
    float d2 = d1 - volatility * root;
    float discount = b[i] * expf(-rate * c[i]);
    d[i] = a[i] * cdf(d1) - discount * cdf(d2);
    e[i] = discount * cdf(-d2) - a[i] * cdf(-d1);
  }
  return d[OPTIONS / 2];
}

int main(int count, char **words) {
  if (count != 3) return 2;
  a = array(ELEMENTS);
  b = array(ELEMENTS);
  c = array(ELEMENTS);
  d = array(ELEMENTS);
  e = array(ELEMENTS);
  int options = !strcmp(words[1], "black-scholes");
  fill(a, ELEMENTS, options ? 25 : 1, options ? 5 : 0);
  fill(b, ELEMENTS, options ? 99 : 1, options ? 1 : 0);
  fill(c, ELEMENTS, options ? 9.75f : 1, options ? 0.25f : 0);
  double (*run)(void) = !strcmp(words[1], "saxpy")    ? saxpy
                        : !strcmp(words[1], "reduce") ? reduce
                        : !strcmp(words[1], "matmul") ? matmul
                        : !strcmp(words[1], "nbody")  ? nbody
                        : options                     ? black_scholes
                                                      : NULL;
  if (!run) return 2;
  double sum = 0;
  for (int round = 0; round < atoi(words[2]); round++) {
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    sum += run();
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.0f\n", (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec));
  }
  printf("checksum %g\n", sum);
  return 0;
}
