/* Generators: what they are told and make in its order, each by itself, as often as the program wants; distributions; numbers for the host; streams and graphs; and refusals. */
#include "rand.h"

enum { N = 4096 };

static void *memory_of(size_t bytes) {
    CUdeviceptr memory;
    CHECK(cuMemAlloc_v2(&memory, bytes));
    CHECK(cuMemsetD8_v2(memory, 0, bytes));
    return (void *)(uintptr_t)memory;
}

static void download(void *host, const void *device, size_t bytes) {
    CHECK(cuMemcpyDtoH_v2(host, (CUdeviceptr)(uintptr_t)device, bytes));
}

static generator_t seeded(int type, unsigned long long seed) {
    generator_t generator;
    STATUS(curandCreateGenerator(&generator, type), OK);
    STATUS(curandSetPseudoRandomGeneratorSeed(generator, seed), OK);
    return generator;
}

/* The same seeds make the same numbers, one generator's are none of another's, and each goes on where it was. */
static void sequences(void) {
    static unsigned whole[N], first[N], second[N], other[N], again[N];
    unsigned *device = memory_of(sizeof whole);
    generator_t one = seeded(PHILOX, 7), two = seeded(PHILOX, 7), three = seeded(PHILOX, 8);
    STATUS(curandGenerate(one, device, N), OK);
    download(whole, device, sizeof whole);
    STATUS(curandGenerateSeeds(two), OK);
    STATUS(curandGenerate(two, device, N / 2), OK);
    STATUS(curandGenerate(three, device + N / 2, N / 2), OK);
    download(first, device, sizeof first);
    STATUS(curandGenerate(two, device, N / 2), OK);
    download(second, device, sizeof second);
    EXPECT(memcmp(whole, first, sizeof whole / 2) == 0 && memcmp(whole + N / 2, second, sizeof whole / 2) == 0);
    EXPECT(memcmp(whole, first + N / 2, sizeof whole / 2) != 0);
    /* An offset, and the seed once more. */
    STATUS(curandSetGeneratorOffset(three, 100), OK);
    STATUS(curandSetPseudoRandomGeneratorSeed(three, 7), OK);
    STATUS(curandGenerate(three, device, N / 2), OK);
    download(other, device, sizeof other);
    EXPECT(memcmp(other, whole + 100, sizeof whole / 2) == 0);
    STATUS(curandSetGeneratorOffset(one, 0), OK);
    STATUS(curandGenerate(one, device, N), OK);
    download(again, device, sizeof again);
    EXPECT(memcmp(whole, again, sizeof whole) == 0);
    STATUS(curandSetGeneratorOrdering(one, 102), OK);
    STATUS(curandSetGeneratorOffset(one, 0), OK);
    STATUS(curandGenerate(one, device, N), OK);
    download(again, device, sizeof again);
    EXPECT(memcmp(whole, again, sizeof whole) != 0);
    STATUS(curandDestroyGenerator(one), OK);
    STATUS(curandDestroyGenerator(two), OK);
    STATUS(curandDestroyGenerator(three), OK);
}

static void expect_moments(const double *values, size_t count, double mean, double deviation) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) sum += values[i], squares += values[i] * values[i];
    double found = sum / (double)count, spread = sqrt(squares / (double)count - found * found);
    if (fabs(found - mean) > 0.1 * deviation || fabs(spread - deviation) > 0.1 * deviation) {
        printf("mean %g for %g, deviation %g for %g\n", found, mean, spread, deviation);
        exit(1);
    }
}

static void distributions(void) {
    static double values[N], doubles[N];
    static float floats[N];
    static unsigned words[N];
    void *device = memory_of(sizeof doubles);
    generator_t generator = seeded(XORWOW, 42);
    STATUS(curandGenerateUniform(generator, device, N), OK);
    download(floats, device, sizeof floats);
    for (size_t i = 0; i < N; i++) {
        EXPECT(floats[i] > 0 && floats[i] <= 1);
        values[i] = floats[i];
    }
    expect_moments(values, N, 0.5, sqrt(1.0 / 12));
    STATUS(curandGenerateUniformDouble(generator, device, N), OK);
    download(doubles, device, sizeof doubles);
    expect_moments(doubles, N, 0.5, sqrt(1.0 / 12));
    STATUS(curandGenerateNormal(generator, device, N, 3, 2), OK);
    download(floats, device, sizeof floats);
    for (size_t i = 0; i < N; i++) values[i] = floats[i];
    expect_moments(values, N, 3, 2);
    STATUS(curandGenerateNormalDouble(generator, device, N, -1, 0.5), OK);
    download(doubles, device, sizeof doubles);
    expect_moments(doubles, N, -1, 0.5);
    STATUS(curandGenerateLogNormal(generator, device, N, 1, 0.25), OK);
    download(floats, device, sizeof floats);
    for (size_t i = 0; i < N; i++) values[i] = log(floats[i]);
    expect_moments(values, N, 1, 0.25);
    STATUS(curandGeneratePoisson(generator, device, N, 9), OK);
    download(words, device, sizeof words);
    for (size_t i = 0; i < N; i++) values[i] = words[i];
    expect_moments(values, N, 9, 3);
    STATUS(curandDestroyGenerator(generator), OK);
}

/* Dimension by dimension, and what is made for the host is what the device has. */
static void places(void) {
    static unsigned long long longs[64], on_host[64];
    static float floats[64], there[64];
    void *device = memory_of(sizeof longs);
    generator_t generator, hosts;
    STATUS(curandCreateGenerator(&generator, SOBOL64), OK);
    STATUS(curandCreateGeneratorHost(&hosts, SOBOL64), OK);
    STATUS(curandSetQuasiRandomGeneratorDimensions(generator, 4), OK);
    STATUS(curandSetQuasiRandomGeneratorDimensions(hosts, 4), OK);
    STATUS(curandGenerateLongLong(generator, device, 64), OK);
    STATUS(curandGenerateLongLong(hosts, on_host, 64), OK);
    download(longs, device, sizeof longs);
    EXPECT(memcmp(longs, on_host, sizeof longs) == 0 && longs[0] != longs[16]);
    STATUS(curandGenerateLongLong(generator, device, 63), NOT_MULTIPLE);
    STATUS(curandGenerateUniform(generator, device, 64), OK);
    STATUS(curandGenerateUniform(hosts, floats, 64), OK);
    download(there, device, sizeof there);
    EXPECT(memcmp(floats, there, sizeof there) == 0);
    STATUS(curandGenerateUniform(hosts, floats, 0), OK);
    STATUS(curandDestroyGenerator(generator), OK);
    STATUS(curandDestroyGenerator(hosts), OK);
}

/* In the order of its stream; a graph's launches go on, and what it is told while a stream captures it is told once. */
static void streams(void) {
    static unsigned wanted[3 * N], found[N];
    unsigned *device = memory_of(sizeof wanted);
    CUstream stream;
    CUgraph graph;
    CUgraphExec exec;
    generator_t all = seeded(PHILOX, 5), generator = seeded(PHILOX, 4);
    STATUS(curandGenerate(all, device, 3 * N), OK);
    download(wanted, device, sizeof wanted);
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(curandSetStream(generator, stream), OK);
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    STATUS(curandSetPseudoRandomGeneratorSeed(generator, 5), OK);
    STATUS(curandGenerate(generator, device, N), OK);
    CHECK(cuStreamEndCapture(stream, &graph));
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int i = 0; i < 3; i++) {
        CHECK(cuGraphLaunch(exec, stream));
        CHECK(cuMemcpyDtoHAsync_v2(found, (CUdeviceptr)(uintptr_t)device, sizeof found, stream));
        CHECK(cuStreamSynchronize(stream));
        EXPECT(memcmp(found, wanted + i * N, sizeof found) == 0);
    }
    CHECK(cuGraphExecDestroy(exec));
    CHECK(cuGraphDestroy(graph));
    STATUS(curandDestroyGenerator(all), OK);
    STATUS(curandDestroyGenerator(generator), OK);
    CHECK(cuStreamDestroy_v2(stream));
}

/* Each by its own call, after which all goes on. */
static void refusals(void) {
    generator_t generator, quasi;
    float *device = memory_of(64 * sizeof(float)), *little = memory_of(63 * sizeof(float)), host[64];
    STATUS(curandCreateGenerator(&generator, 55), TYPE_ERROR);
    EXPECT(generator == NULL);
    STATUS(curandCreateGenerator(NULL, DEFAULT), NOT_INITIALIZED);
    STATUS(curandDestroyGenerator(NULL), NOT_INITIALIZED);
    STATUS(curandGenerateUniform(NULL, device, 64), NOT_INITIALIZED);
    STATUS(curandCreateGenerator(&quasi, SOBOL32), OK);
    STATUS(curandCreateGenerator(&generator, MTGP32), OK);
    STATUS(curandSetPseudoRandomGeneratorSeed(quasi, 1), TYPE_ERROR);
    STATUS(curandSetGeneratorOffset(generator, 1), TYPE_ERROR);
    STATUS(curandSetGeneratorOrdering(generator, 201), OUT_OF_RANGE);
    STATUS(curandSetQuasiRandomGeneratorDimensions(quasi, 0), OUT_OF_RANGE);
    STATUS(curandGenerateLongLong(generator, (unsigned long long *)device, 4), TYPE_ERROR);
    STATUS(curandGenerateNormal(generator, device, 63, 0, 1), NOT_MULTIPLE);
    STATUS(curandGenerateUniform(generator, NULL, 64), NOT_INITIALIZED);
    STATUS(curandGenerateUniform(generator, host, 64), OUT_OF_RANGE);
    STATUS(curandGenerateUniform(generator, device, 65), OUT_OF_RANGE);
    STATUS(curandGenerateUniform(generator, device, SIZE_MAX), OUT_OF_RANGE);
    STATUS(curandGenerateUniform(generator, device, 0), OK);
    STATUS(curandGenerateUniform(generator, device, 64), OK);
    /* Nor of a kind of work that is known, of which nothing is answered any more. */
    STATUS(curandGenerateUniform(generator, little, 64), OUT_OF_RANGE);
    STATUS(curandGenerateUniform(generator, device, 64), OK);
    STATUS(curandGeneratePoisson(generator, (unsigned *)device, 64, 4), OK);
    STATUS(curandGeneratePoisson(generator, (unsigned *)device, 64, 0), OUT_OF_RANGE);
    STATUS(curandGeneratePoisson(generator, (unsigned *)device, 64, NAN), OUT_OF_RANGE);
    STATUS(curandDestroyGenerator(generator), OK);
    STATUS(curandDestroyGenerator(quasi), OK);
    CHECK(cuCtxSynchronize());
}

int main(void) {
    start();
    sequences();
    distributions();
    places();
    streams();
    refusals();
    printf("ok\n");
    return 0;
}
