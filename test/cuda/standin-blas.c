/* The stand-in's cuBLASLt: matrix products column by column, computed plainly, in the order of the stream. Shapes it cannot do are refused,
   and before the capability 8.0 bf16 and tf32, for which it finds no way; nor for integers but at multiples of
   four; and before 8.9 floats of 8 bits, which are multiplied at multiples of sixteen, with A transposed alone. */
#define _GNU_SOURCE
#include "standin.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { BLAS_SUCCESS = 0, BLAS_NOT_INITIALIZED = 1, BLAS_INVALID_VALUE = 7, BLAS_EXECUTION_FAILED = 13, BLAS_NOT_SUPPORTED = 15 };

/* As cublasLtMatmulHeuristicResult_t. */
struct result {
  uint32_t algorithm[16];
  uint64_t workspace;
  int state;
  float waves;
  int reserved[4];
};

struct operation {
  int compute, scale, transpose[2], epilogue;
  uint64_t bias;
  /* Of A and B, each of an f32 or 0. */
  uint64_t scales[2];
};

struct layout {
  int type, batch_count;
  uint64_t rows, columns, leading;
  int64_t batch_stride;
};

struct preference {
  uint64_t workspace;
  uint32_t alignment[4];
};

/* Everything of a product, as the stream's thread needs it. */
struct product {
  struct operation operation;
  struct layout a, b, c;
  uint64_t a_at, b_at, c_at;
  double alpha, beta;
};

static int objects;

/* Floats of 8 bits, with 3 and with 2 of fraction. */
static bool is_narrow(int type) { return type == 28 || type == 29; }

#define MAKE(kind)                                       \
  struct kind *made = calloc(1, sizeof *made);           \
  objects++;                                             \
  *out = made;

#define ASK()                                            \
  do {                                                   \
    int injected = standin_injected(__func__);           \
    if (injected != SUCCESS) return injected;            \
  } while (0)

/* Descriptors, layouts and handles that nobody has destroyed. */
API int standin_blas_objects(void) { return objects; }

API int cublasLtCreate(struct operation **out) {
  ASK();
  if (standin_current == NULL || standin_current->users == 0) return BLAS_NOT_INITIALIZED;
  MAKE(operation);
  return BLAS_SUCCESS;
}

API int cublasLtDestroy(void *object) {
  objects--;
  free(object);
  return BLAS_SUCCESS;
}

API int cublasLtMatmulDescDestroy(void *object) { return cublasLtDestroy(object); }
API int cublasLtMatrixLayoutDestroy(void *object) { return cublasLtDestroy(object); }
API int cublasLtMatmulPreferenceDestroy(void *object) { return cublasLtDestroy(object); }

API int cublasLtMatmulDescCreate(struct operation **out, int compute, int scale) {
  ASK();
  if (compute == 70 ? scale != 1 : compute == 72 ? scale != 10 : (compute != 68 && compute != 77) || scale != 0) return BLAS_NOT_SUPPORTED;
  MAKE(operation);
  made->compute = compute;
  made->scale = scale;
  made->epilogue = 1;
  return BLAS_SUCCESS;
}

API int cublasLtMatmulDescSetAttribute(struct operation *o, int attribute, const int *value, size_t bytes) {
  ASK();
  if ((attribute == 17 || attribute == 18) && bytes == 8) return o->scales[attribute - 17] = *(const uint64_t *)value, BLAS_SUCCESS;
  if (attribute == 8 && bytes == 8) return o->bias = *(const uint64_t *)value, BLAS_SUCCESS;
  if (attribute == 7 && bytes == 4) return o->epilogue = *value, BLAS_SUCCESS;
  if ((attribute != 3 && attribute != 4) || bytes != 4) return BLAS_INVALID_VALUE;
  o->transpose[attribute - 3] = *value;
  return BLAS_SUCCESS;
}

API int cublasLtMatrixLayoutCreate(struct layout **out, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  ASK();
  bool is_known = (type >= 0 && type <= 3) || type == 10 || type == 14 || is_narrow(type);
  if (leading < (int64_t)rows || !is_known) return BLAS_INVALID_VALUE;
  MAKE(layout);
  *made = (struct layout){.type = type, .batch_count = 1, .rows = rows, .columns = columns, .leading = (uint64_t)leading};
  return BLAS_SUCCESS;
}

API int cublasLtMatrixLayoutSetAttribute(struct layout *l, int attribute, const void *value, size_t bytes) {
  ASK();
  if (attribute == 5 && bytes == 4) return l->batch_count = *(const int *)value, BLAS_SUCCESS;
  if (attribute == 6 && bytes == 8) return l->batch_stride = *(const int64_t *)value, BLAS_SUCCESS;
  return BLAS_INVALID_VALUE;
}

API int cublasLtMatmulPreferenceCreate(struct preference **out) {
  ASK();
  MAKE(preference);
  return BLAS_SUCCESS;
}

API int cublasLtMatmulPreferenceSetAttribute(struct preference *p, int attribute, const void *value, size_t bytes) {
  ASK();
  if (attribute == 1 && bytes == 8) return p->workspace = *(const uint64_t *)value, BLAS_SUCCESS;
  if (attribute < 5 || attribute > 8 || bytes != 4) return BLAS_INVALID_VALUE;
  p->alignment[attribute - 5] = *(const uint32_t *)value;
  return BLAS_SUCCESS;
}

static size_t type_bytes(int type) { return type == 1 ? 8 : type == 0 || type == 10 ? 4 : type == 3 || is_narrow(type) ? 1 : 2; }

/* What NVIDIA documents of products of integers (multiples of 4), but that it has them with A transposed alone; and of floats of 8 bits (of 16). */
static bool is_at_multiples(const struct layout *a, const struct layout *b, const struct layout *c, const uint32_t *alignment, uint64_t inner) {
  uint64_t odd = a->leading | b->leading | c->leading | c->rows | inner, most = is_narrow(a->type) ? 16 : 4;
  return odd % most == 0 && alignment[0] >= most && alignment[1] >= most;
}

static bool has_integers(const struct operation *o, const struct layout *a, const struct layout *c) {
  return a->type == 3 && c->type == 10 && o->epilogue == 1;
}

/* By NVIDIA's table for cublasLtMatmul(): no two of e5m2; into f32 (whose bias would be bf16, which is not served), f16 and bf16. */
static bool has_narrow(const struct operation *o, const struct layout *a, const struct layout *b, const struct layout *c) {
  bool is_in_table = is_narrow(b->type) && (a->type != 29 || b->type != 29) && (c->type == 2 || c->type == 14 || (c->type == 0 && o->epilogue == 1));
  return standin_capability() >= 89 && is_in_table && o->compute == 68 && o->transpose[0] == 1 && o->transpose[1] == 0;
}

/* The algorithm that it finds is the alignment that it may count on. */
API int cublasLtMatmulAlgoGetHeuristic(void *handle, struct operation *o, struct layout *a, struct layout *b, struct layout *c,
                                       struct layout *d, struct preference *p, int wanted, struct result *results, int *found) {
  ASK();
  (void)handle;
  int inner = (int)(o->transpose[0] ? a->rows : a->columns), other = (int)(o->transpose[1] ? b->columns : b->rows);
  *found = 0;
  /* Neither type has arithmetic before 8.0: no way is found. */
  if (standin_capability() < 80 && (o->compute == 77 || a->type == 14)) return BLAS_SUCCESS;
  bool is_whole = o->compute == 72;
  if ((is_whole || is_narrow(a->type)) && !is_at_multiples(a, b, c, p->alignment, (uint64_t)inner)) return BLAS_SUCCESS;
  if (is_whole ? !has_integers(o, a, c) : is_narrow(a->type) && !has_narrow(o, a, b, c)) return BLAS_SUCCESS;
  if ((o->scales[0] | o->scales[1]) != 0 && !is_narrow(a->type)) return BLAS_SUCCESS;
  if (wanted != 1 || c != d || inner != other || a->batch_count != c->batch_count) return BLAS_INVALID_VALUE;
  if (c->columns != (o->transpose[1] ? b->rows : b->columns)) return BLAS_INVALID_VALUE;
  memset(results, 0xee, sizeof *results);
  memcpy(results->algorithm, p->alignment, sizeof p->alignment);
  results->workspace = p->workspace;
  results->state = standin_injected("heuristic state");
  *found = 1;
  return BLAS_SUCCESS;
}

/* Of e5m2 an f16 that is cut off; of e4m3 the largest exponent is one like the others, but for its largest fraction. */
static double load_narrow(int type, uint8_t bits) {
  int exponent = bits >> 3 & 15, fraction = bits & 7;
  uint16_t half = (uint16_t)(bits << 8);
  _Float16 value;
  memcpy(&value, &half, sizeof value);
  if (type == 29) return (double)value;
  double size = (bits & 127) == 127 ? NAN : exponent == 0 ? ldexp(fraction, -9) : ldexp(8 + fraction, exponent - 10);
  return bits >> 7 ? -size : size;
}

double standin_load(int type, uint64_t at, uint64_t index) {
  if (type == 1) return ((double *)at)[index];
  if (type == 0) return ((float *)at)[index];
  if (type == 3) return ((int8_t *)at)[index];
  if (type == 10) return ((int32_t *)at)[index];
  if (is_narrow(type)) return load_narrow(type, ((uint8_t *)at)[index]);
  if (type == 2) return (float)((_Float16 *)at)[index];
  uint32_t word = (uint32_t)((uint16_t *)at)[index] << 16;
  float value;
  memcpy(&value, &word, sizeof value);
  return value;
}

void standin_store(int type, uint64_t at, uint64_t index, double result) {
  float value = (float)result;
  if (type == 1) ((double *)at)[index] = result;
  else if (type == 0) ((float *)at)[index] = value;
  else if (type == 10) ((int32_t *)at)[index] = (int32_t)(uint32_t)(int64_t)result;
  else if (type == 2) ((_Float16 *)at)[index] = (_Float16)value;
  else {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    ((uint16_t *)at)[index] = (uint16_t)((word + 0x7fff + (word >> 16 & 1)) >> 16);
  }
}

/* As tf32 where that is asked for: ten bits of fraction, ties away from zero. */
static double factor(const struct product *p, double value) {
  if (p->operation.compute != 77) return value;
  float single = (float)value;
  uint32_t word;
  memcpy(&word, &single, sizeof word);
  word = (word + 0x1000) & ~0x1fffu;
  memcpy(&single, &word, sizeof word);
  return single;
}

static void multiply(const struct product *p, uint64_t a, uint64_t b, uint64_t c) {
  double alpha = p->alpha;
  for (int i = 0; i < 2; i++)
    if (p->operation.scales[i] != 0) alpha *= standin_load(0, p->operation.scales[i], 0);
  uint64_t inner = p->operation.transpose[0] ? p->a.rows : p->a.columns;
  for (uint64_t column = 0; column < p->c.columns; column++)
    for (uint64_t row = 0; row < p->c.rows; row++) {
      double sum = 0;
      for (uint64_t i = 0; i < inner; i++) {
        uint64_t from_a = p->operation.transpose[0] ? row * p->a.leading + i : i * p->a.leading + row;
        uint64_t from_b = p->operation.transpose[1] ? i * p->b.leading + column : column * p->b.leading + i;
        sum += factor(p, standin_load(p->a.type, a, from_a)) * factor(p, standin_load(p->b.type, b, from_b));
      }
      uint64_t to = column * p->c.leading + row;
      double result = alpha * sum + (p->beta == 0 ? 0 : p->beta * standin_load(p->c.type, c, to));
      if ((p->operation.epilogue & 4) != 0) result += standin_load(p->c.type, p->operation.bias, row);
      if ((p->operation.epilogue & 32) != 0) result *= 0.5 * (1 + tanh(sqrt(2 / M_PI) * (result + 0.044715 * result * result * result)));
      standin_store(p->c.type, c, to, (p->operation.epilogue & 2) != 0 && result < 0 ? 0 : result);
    }
}

static int run_product(struct context *context, void *argument) {
  (void)context;
  struct product *p = argument;
  for (int i = 0; i < p->c.batch_count; i++) {
    uint64_t at[3] = {p->a_at, p->b_at, p->c_at};
    const struct layout *layouts[3] = {&p->a, &p->b, &p->c};
    for (int j = 0; j < 3; j++) at[j] += (uint64_t)i * (uint64_t)layouts[j]->batch_stride * type_bytes(layouts[j]->type);
    multiply(p, at[0], at[1], at[2]);
  }
  free(p);
  return SUCCESS;
}

API int cublasLtMatmul(void *handle, struct operation *o, const void *alpha, uint64_t a, struct layout *la, uint64_t b,
                       struct layout *lb, const void *beta, uint64_t c, struct layout *lc, uint64_t d, struct layout *ld,
                       const uint32_t *algorithm, uint64_t workspace, size_t workspace_bytes, struct stream *stream) {
  ASK();
  (void)handle;
  if (c != d || lc != ld || (workspace == 0) != (workspace_bytes == 0)) return BLAS_INVALID_VALUE;
  /* A product of other alignment than it was planned for goes wrong on a card. */
  if (a % algorithm[0] != 0 || b % algorithm[1] != 0 || c % algorithm[2] != 0) return BLAS_INVALID_VALUE;
  if (standin_current->error != SUCCESS) return BLAS_EXECUTION_FAILED;
  /* As NVIDIA's of CUDA 13 seems to, which finds a way and refuses it then. */
  if ((o->scales[0] | o->scales[1]) % 16 != 0) return BLAS_NOT_SUPPORTED;
  struct product *p = malloc(sizeof *p);
  double first = standin_load(o->scale, (uint64_t)alpha, 0), second = standin_load(o->scale, (uint64_t)beta, 0);
  *p = (struct product){*o, *la, *lb, *lc, a, b, c, first, second};
  LOCK();
  struct work w = {.kind = TASK, .source = (uint64_t)p, .task = run_product};
  int result = standin_queue(standin_current, stream, &w);
  LEAVE(result == SUCCESS ? BLAS_SUCCESS : BLAS_INVALID_VALUE);
}
