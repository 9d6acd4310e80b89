/* What the programs in this folder share: prototypes of cuRAND, from its documentation, and the driver calls around it. */
#ifndef TEST_RAND_H
#define TEST_RAND_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "../driver/driver.h"
#include "../driver/status.h"
#include "../../../client/interposer/driver/cuda-graph-api.h"

typedef struct generator *generator_t;
enum { OK = 0, NOT_INITIALIZED = 101, TYPE_ERROR = 103, OUT_OF_RANGE = 104, NOT_MULTIPLE = 105, INITIALIZATION_FAILED = 203, ARCH_MISMATCH = 204 };
enum { DEFAULT = 100, XORWOW = 101, MTGP32 = 141, PHILOX = 161, SOBOL32 = 201, SOBOL64 = 203 };

int curandCreateGenerator(generator_t *generator, int type);
int curandCreateGeneratorHost(generator_t *generator, int type);
int curandDestroyGenerator(generator_t generator);
int curandSetStream(generator_t generator, CUstream stream);
int curandSetPseudoRandomGeneratorSeed(generator_t generator, unsigned long long seed);
int curandSetGeneratorOffset(generator_t generator, unsigned long long offset);
int curandSetGeneratorOrdering(generator_t generator, int order);
int curandSetQuasiRandomGeneratorDimensions(generator_t generator, unsigned dimensions);
int curandGenerateSeeds(generator_t generator);
int curandGenerate(generator_t generator, unsigned *output, size_t count);
int curandGenerateLongLong(generator_t generator, unsigned long long *output, size_t count);
int curandGenerateUniform(generator_t generator, float *output, size_t count);
int curandGenerateUniformDouble(generator_t generator, double *output, size_t count);
int curandGenerateNormal(generator_t generator, float *output, size_t count, float mean, float deviation);
int curandGenerateNormalDouble(generator_t generator, double *output, size_t count, double mean, double deviation);
int curandGenerateLogNormal(generator_t generator, float *output, size_t count, float mean, float deviation);
int curandGeneratePoisson(generator_t generator, unsigned *output, size_t count, double lambda);
int curandGetVersion(int *version);
int curandGetDirectionVectors32(void);

#endif
