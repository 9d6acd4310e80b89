/* The stand-in's cuRAND: numbers by a hash of type, seed and place, which a generator counts; those of a quasi-random one go dimension by dimension. Its state is taken of
   the device as it first makes numbers. Work that reaches memory which is not the device's is a misuse. */
#include "standin.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { RAND_SUCCESS, NOT_A_GENERATOR = 101, NO_MEMORY = 102, TYPE_ERROR = 103, OUT_OF_RANGE = 104, NOT_MULTIPLE = 105, LAUNCH_FAILURE = 201, NO_CONTEXT = 203 };
enum { XORWOW = 101, MRG32K3A = 121, MTGP32 = 141, MT19937 = 142, PHILOX = 161, SOBOL32 = 201, SCRAMBLED_SOBOL64 = 204 };

#define STATE_BYTES (4 << 20)
#define MAGIC 0x72616e64u

struct generator {
  unsigned magic;
  int type, order;
  uint64_t seed, offset, at;
  unsigned dimensions;
  struct context *context;
  struct stream *stream;
  bool has_state;
};

enum kind { WORDS, LONGS, UNIFORM, UNIFORM_DOUBLE, NORMAL, NORMAL_DOUBLE, LOG_NORMAL, LOG_NORMAL_DOUBLE, POISSON };

struct making {
  struct generator generator;
  enum kind kind;
  uint64_t output, count;
  double mean, deviation;
};

static int alive;

API int standin_rand_generators(void) { return alive; }

API int curandGetVersion(int *version) {
  *version = 10400;
  return RAND_SUCCESS;
}

static bool is_quasi(int type) { return type >= 200; }

API int curandCreateGenerator(struct generator **out, int type) {
  static const int types[] = {100, XORWOW, MRG32K3A, MTGP32, MT19937, PHILOX, 200, SOBOL32, 202, 203, SCRAMBLED_SOBOL64};
  int injected = standin_injected(__func__);
  bool is_known = false;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) is_known |= types[i] == type;
  if (injected != 0) return injected;
  if (!is_known) return TYPE_ERROR;
  if (standin_current == NULL || standin_current->users == 0) return NO_CONTEXT;
  *out = calloc(1, sizeof **out);
  **out = (struct generator){.magic = MAGIC, .type = type, .order = is_quasi(type) ? 201 : 101, .dimensions = 1, .context = standin_current};
  alive++;
  return RAND_SUCCESS;
}

API int curandDestroyGenerator(struct generator *g) {
  LOCK();
  if (g->has_state) standin_take(g->context->device, -STATE_BYTES);
  UNLOCK();
  g->magic = 0;
  free(g);
  alive--;
  return RAND_SUCCESS;
}

API int curandSetStream(struct generator *g, struct stream *stream) {
  g->stream = stream;
  return RAND_SUCCESS;
}

API int curandSetPseudoRandomGeneratorSeed(struct generator *g, uint64_t seed) {
  if (is_quasi(g->type)) return TYPE_ERROR;
  g->seed = seed;
  g->at = g->offset;
  return RAND_SUCCESS;
}

API int curandSetGeneratorOffset(struct generator *g, uint64_t offset) {
  if (g->type == MTGP32 || g->type == MT19937) return TYPE_ERROR;
  g->at = g->offset = offset;
  return RAND_SUCCESS;
}

API int curandSetGeneratorOrdering(struct generator *g, int order) {
  if (is_quasi(g->type) != (order == 201) || (order != 201 && (order < 100 || order > 104))) return OUT_OF_RANGE;
  g->order = order;
  return RAND_SUCCESS;
}

API int curandSetQuasiRandomGeneratorDimensions(struct generator *g, unsigned dimensions) {
  if (!is_quasi(g->type)) return TYPE_ERROR;
  if (dimensions < 1 || dimensions > 20000) return OUT_OF_RANGE;
  g->dimensions = dimensions;
  return RAND_SUCCESS;
}

static uint64_t mixed(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

/* The word at a place of a generator's sequence. */
static uint64_t word_at(const struct generator *g, uint64_t dimension, uint64_t at) {
  return mixed(mixed(mixed((uint64_t)g->type + (uint64_t)g->order) ^ g->seed) + dimension * 0x9e3779b97f4a7c15u + at);
}

/* Above 0, up to 1. */
static double uniform(uint64_t word) { return ((double)(word >> 11) + 1) / 9007199254740992.0; }

static double normal(const struct making *m, uint64_t dimension, uint64_t at) {
  double radius = sqrt(-2 * log(uniform(word_at(&m->generator, dimension, at & ~1ull)))), angle = 2 * M_PI * uniform(word_at(&m->generator, dimension, at | 1));
  return m->mean + m->deviation * radius * (at & 1 ? sin(angle) : cos(angle));
}

static const unsigned element_bytes[] = {4, 8, 4, 8, 4, 8, 4, 8, 4};

static void make_one(const struct making *m, uint64_t i, uint64_t dimension, uint64_t at) {
  uint64_t word = word_at(&m->generator, dimension, at);
  unsigned poisson = 0;
  switch (m->kind) {
  case WORDS: ((uint32_t *)m->output)[i] = (uint32_t)(word >> 32); break;
  case LONGS: ((uint64_t *)m->output)[i] = word; break;
  case UNIFORM: ((float *)m->output)[i] = (float)uniform(word); break;
  case UNIFORM_DOUBLE: ((double *)m->output)[i] = uniform(word); break;
  case NORMAL: ((float *)m->output)[i] = (float)normal(m, dimension, at); break;
  case NORMAL_DOUBLE: ((double *)m->output)[i] = normal(m, dimension, at); break;
  case LOG_NORMAL: ((float *)m->output)[i] = (float)exp(normal(m, dimension, at)); break;
  case LOG_NORMAL_DOUBLE: ((double *)m->output)[i] = exp(normal(m, dimension, at)); break;
  case POISSON:
    /* As many as fit until their product is below what is wanted. */
    for (double left = uniform(word); left > exp(-m->mean); poisson++) left *= uniform(word = mixed(word + 1));
    ((uint32_t *)m->output)[i] = poisson;
    break;
  }
}

static int work(struct context *context, void *argument) {
  struct making m = *(struct making *)argument;
  free(argument);
  if (!standin_range_ok(context->device, m.output, m.count * element_bytes[m.kind])) {
    standin_violation("cuRAND reaches memory that is not the device's");
    return ILLEGAL_ADDRESS;
  }
  uint64_t each = m.count / m.generator.dimensions;
  for (uint64_t i = 0; i < m.count; i++) make_one(&m, i, i / each, m.generator.at + i % each);
  return SUCCESS;
}

static int make(const char *function, struct generator *g, enum kind kind, uint64_t output, uint64_t count, double mean, double deviation) {
  int injected = standin_injected(function);
  bool is_normal = kind >= NORMAL && kind <= LOG_NORMAL_DOUBLE;
  if (injected != 0) return injected;
  if (g == NULL || g->magic != MAGIC) return NOT_A_GENERATOR;
  if ((kind == LONGS) != (g->type == 203 || g->type == 204) && (kind == LONGS || kind == WORDS)) return TYPE_ERROR;
  if (count % g->dimensions != 0 || (is_normal && !is_quasi(g->type) && count % 2 != 0)) return NOT_MULTIPLE;
  if (kind == POISSON && (mean <= 0 || mean > 400000)) return OUT_OF_RANGE;
  if (count == 0) return RAND_SUCCESS;
  LOCK();
  int fits = g->has_state || standin_take(g->context->device, STATE_BYTES);
  UNLOCK();
  if (!fits) return NO_MEMORY;
  g->has_state = true;
  struct making *m = malloc(sizeof *m);
  *m = (struct making){*g, kind, output, count, mean, deviation};
  g->at += count / g->dimensions;
  LOCK();
  int result = g->context->error;
  if (g->context != standin_current) result = INVALID_CONTEXT;
  struct work w = {.kind = TASK, .source = (uint64_t)m, .task = work};
  if (result == SUCCESS) result = standin_queue(g->context, g->stream, &w);
  UNLOCK();
  if (result == SUCCESS) return RAND_SUCCESS;
  free(m);
  return LAUNCH_FAILURE;
}

#define PLAIN(name, kind, type) \
  API int name(struct generator *g, type *output, size_t count) { return make(__func__, g, kind, (uint64_t)output, count, 0, 1); }
#define DISTRIBUTED(name, kind, type) \
  API int name(struct generator *g, type *output, size_t count, type mean, type deviation) { return make(__func__, g, kind, (uint64_t)output, count, mean, deviation); }
PLAIN(curandGenerate, WORDS, unsigned)
PLAIN(curandGenerateLongLong, LONGS, unsigned long long)
PLAIN(curandGenerateUniform, UNIFORM, float)
PLAIN(curandGenerateUniformDouble, UNIFORM_DOUBLE, double)
DISTRIBUTED(curandGenerateNormal, NORMAL, float)
DISTRIBUTED(curandGenerateNormalDouble, NORMAL_DOUBLE, double)
DISTRIBUTED(curandGenerateLogNormal, LOG_NORMAL, float)
DISTRIBUTED(curandGenerateLogNormalDouble, LOG_NORMAL_DOUBLE, double)
API int curandGeneratePoisson(struct generator *g, unsigned *output, size_t count, double lambda) {
  return make(__func__, g, POISSON, (uint64_t)output, count, lambda, 0);
}
