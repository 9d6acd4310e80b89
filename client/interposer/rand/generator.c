/*
 * Generators of cuRAND. Those for the host's memory make their numbers on the device, too, from where they are copied: what cuRAND makes in either place is the same.
 */
#include <stdlib.h>

#include "../library/call.h"
#include "rand.h"

/* The table's functions take the table's generators. */
#define SLUICE_API static
#define SLUICE_NAME(name) sent_##name
#define SLUICE_LIBRARY_FUNCTIONS
#include "../generated/rand-functions.h"

struct generator {
    /* Its device and stream. */
    struct library_handle handle;
    /* The table's. */
    void *descriptor;
    bool is_hosts;
};

static int create(struct generator **made, int type, bool is_hosts) {
    struct sluice_library_object *object;
    if (made == NULL) return CURAND_STATUS_NOT_INITIALIZED;
    *made = NULL;
    struct generator *generator = calloc(1, sizeof *generator);
    if (generator == NULL) return CURAND_STATUS_ALLOCATION_FAILED;
    int status = handle_init(&generator->handle);
    if (status == CURAND_STATUS_SUCCESS) status = sent_curandCreateGenerator(&generator->descriptor, type);
    if (status == CURAND_STATUS_SUCCESS) {
        /* At once, so that a type that there is not is told here. */
        status = table_descriptor_object(table_descriptor_of(generator->descriptor, SLUICE_RAND_GENERATOR), generator->handle.device, &object);
        if (status == CURAND_STATUS_SUCCESS) sluiceLibraryDrop(object);
        else sent_curandDestroyGenerator(generator->descriptor);
    }
    generator->is_hosts = is_hosts;
    if (status == CURAND_STATUS_SUCCESS) *made = generator;
    else free(generator);
    return status;
}

LIBRARY_API(curandCreateGenerator, (struct generator **generator, int type), (generator, type)) {
    return create(generator, type, false);
}

LIBRARY_API(curandCreateGeneratorHost, (struct generator **generator, int type), (generator, type)) {
    return create(generator, type, true);
}

LIBRARY_API(curandDestroyGenerator, (struct generator *generator), (generator)) {
    if (generator == NULL || !is_handle(&generator->handle)) return CURAND_STATUS_NOT_INITIALIZED;
    sent_curandDestroyGenerator(generator->descriptor);
    generator->handle.magic = 0;
    free(generator);
    return CURAND_STATUS_SUCCESS;
}

LIBRARY_API(curandSetStream, (struct generator *generator, CUstream stream), (generator, stream)) {
    return generator == NULL ? CURAND_STATUS_NOT_INITIALIZED : handle_set_stream(&generator->handle, stream);
}

#define SETTING(name, type)                                                                                                             \
    LIBRARY_API(name, (struct generator *generator, type value), (generator, value)) {                                                  \
        return generator == NULL ? CURAND_STATUS_NOT_INITIALIZED : sent_##name(&generator->handle, generator->descriptor, value);       \
    }
SETTING(curandSetPseudoRandomGeneratorSeed, unsigned long long)
SETTING(curandSetGeneratorOffset, unsigned long long)
SETTING(curandSetGeneratorOrdering, int)
SETTING(curandSetQuasiRandomGeneratorDimensions, unsigned int)

/* They are made with the first numbers. */
LIBRARY_API(curandGenerateSeeds, (struct generator *generator), (generator)) {
    return generator == NULL || !is_handle(&generator->handle) ? CURAND_STATUS_NOT_INITIALIZED : CURAND_STATUS_SUCCESS;
}

/* Where numbers for the program's `output` are made; NULL without memory. */
static void *place_for(const struct generator *generator, void *output, size_t bytes) {
    CUdeviceptr memory = 0;
    if (!generator->is_hosts || output == NULL || bytes == 0) return output;
    return handle_enter(&generator->handle) == CURAND_STATUS_SUCCESS && cuMemAlloc_v2(&memory, bytes) == CUDA_SUCCESS ? (void *)(uintptr_t)memory : NULL;
}

/* Brings them to where the program wants them. */
static int bring(const struct generator *generator, void *output, void *place, size_t bytes, int status) {
    CUdeviceptr memory = (CUdeviceptr)(uintptr_t)place;
    if (!generator->is_hosts || place == output) return status;
    if (status == CURAND_STATUS_SUCCESS) status = status_of(cuStreamSynchronize(generator->handle.stream));
    if (status == CURAND_STATUS_SUCCESS) status = status_of(cuMemcpyDtoH_v2(output, memory, bytes));
    cuMemFree_v2(memory);
    return status;
}

#define LIST(...) __VA_ARGS__
/* Numbers of a type, whose distribution has these values `further`, unless they are unfit: libraries take any of a kind for one (call.c). */
#define MAKING(name, type, further, values, unfit)                                                                                             \
    LIBRARY_API(name, (struct generator * generator, type * output, size_t count LIST further), (generator, output, count LIST values)) { \
        size_t bytes = count <= SIZE_MAX / sizeof *output ? count * sizeof *output : SIZE_MAX;                                          \
        if (generator == NULL || !is_handle(&generator->handle)) return CURAND_STATUS_NOT_INITIALIZED;                                  \
        if (unfit) return CURAND_STATUS_OUT_OF_RANGE;                                                                                   \
        void *place = place_for(generator, output, bytes);                                                                              \
        if (place == NULL && output != NULL) return CURAND_STATUS_ALLOCATION_FAILED;                                                    \
        return bring(generator, output, place, bytes, sent_##name(&generator->handle, generator->descriptor, place, count LIST values)); \
    }
MAKING(curandGenerate, unsigned int, (), (), false)
MAKING(curandGenerateLongLong, unsigned long long, (), (), false)
MAKING(curandGenerateUniform, float, (), (), false)
MAKING(curandGenerateUniformDouble, double, (), (), false)
MAKING(curandGenerateNormal, float, (, float mean, float deviation), (, mean, deviation), false)
MAKING(curandGenerateNormalDouble, double, (, double mean, double deviation), (, mean, deviation), false)
MAKING(curandGenerateLogNormal, float, (, float mean, float deviation), (, mean, deviation), false)
MAKING(curandGenerateLogNormalDouble, double, (, double mean, double deviation), (, mean, deviation), false)
MAKING(curandGeneratePoisson, unsigned int, (, double lambda), (, lambda), !(lambda > 0 && lambda <= 400000))

/* The server's; its own where there is none. */
static int version(void) {
    uint64_t there = opened_here().version;
    return there == 0 ? RAND_VERSION : (int)there;
}

LIBRARY_API(curandGetVersion, (int *into), (into)) {
    return version_into(version(), into);
}

LIBRARY_API(curandGetProperty, (int which, int *value), (which, value)) {
    return property_into(version(), which, value);
}
