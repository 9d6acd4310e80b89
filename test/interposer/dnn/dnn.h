/* What the programs in this folder share: prototypes of cuDNN, from its documentation, and the driver calls around it. */
#ifndef TEST_DNN_H
#define TEST_DNN_H

#include <math.h>
#include <stdbool.h>

#include "../driver/driver.h"

typedef struct cudnnContext *cudnnHandle_t;
typedef void *descriptor_t;

enum { OK = 0, NOT_INITIALIZED = 1001, BAD_PARAM = 2000, NULL_POINTER = 2002, NOT_FINALIZED = 2004, ATTRIBUTE_TYPE = 2010, DESCRIPTOR_TYPE = 2012, NOT_SUPPORTED = 3000 };

int cudnnCreate(cudnnHandle_t *handle);
int cudnnDestroy(cudnnHandle_t handle);
int cudnnSetStream(cudnnHandle_t handle, CUstream stream);
int cudnnGetStream(cudnnHandle_t handle, CUstream *stream);
size_t cudnnGetVersion(void);
size_t cudnnGetCudartVersion(void);
int cudnnGetProperty(int which, int *value);
const char *cudnnGetErrorString(int status);
void cudnnGetLastErrorString(char *text, size_t bytes);
int cudnnIm2Col(void);
int cudnnBackendCreateDescriptor(int type, descriptor_t *descriptor);
int cudnnBackendDestroyDescriptor(descriptor_t descriptor);
int cudnnBackendSetAttribute(descriptor_t descriptor, int name, int type, int64_t count, const void *elements);
int cudnnBackendGetAttribute(descriptor_t descriptor, int name, int type, int64_t count, int64_t *found, void *elements);
int cudnnBackendFinalize(descriptor_t descriptor);
int cudnnBackendExecute(cudnnHandle_t handle, descriptor_t plan, descriptor_t pack);

/* Ends the program unless the call has just this status. */
#define STATUS(call, wanted)                                                                                                            \
    do {                                                                                                                                \
        int status_is = (call);                                                                                                         \
        if (status_is != (wanted)) {                                                                                                    \
            char said[512];                                                                                                             \
            cudnnGetLastErrorString(said, sizeof said);                                                                                 \
            printf("line %d: %s: %s, not %s: %s\n", __LINE__, #call, cudnnGetErrorString(status_is), cudnnGetErrorString(wanted), said); \
            exit(1);                                                                                                                    \
        }                                                                                                                               \
    } while (0)

/* Numbers of a repeatable sequence, from -1 to 1 in steps of 1/8: sums of a few products are exact. */
static inline float next_number(void) {
    static uint32_t state = 12345;
    state = state * 1664525u + 1013904223u;
    return (float)((int)(state >> 16) % 17 - 8) / 8.0f;
}

/* Numbers on both sides. */
struct array {
    size_t count;
    float *host;
    CUdeviceptr device;
};

static inline struct array array_of(size_t count) {
    struct array array = {count, malloc(count * sizeof(float)), 0};
    for (size_t i = 0; i < count; i++) array.host[i] = next_number();
    CHECK(cuMemAlloc_v2(&array.device, count * sizeof(float)));
    CHECK(cuMemcpyHtoD_v2(array.device, array.host, count * sizeof(float)));
    return array;
}

/* Whether the device has what the host has, but for so large a part of it, or of 1. */
static inline bool is_near(const struct array *array, float part) {
    float *found = malloc(array->count * sizeof(float));
    bool is_so = true;
    CHECK(cuMemcpyDtoH_v2(found, array->device, array->count * sizeof(float)));
    for (size_t i = 0; i < array->count && is_so; i++) is_so = fabsf(found[i] - array->host[i]) <= part * (1 + fabsf(array->host[i]));
    free(found);
    return is_so;
}

/* To rounding. */
static inline bool is_as_on_host(const struct array *array) {
    return is_near(array, 1e-5f);
}

/* Gradients by differences: what a sum on the host gains by each of the numbers, between a step below and a step above. */
static inline void differ(const struct array *numbers, struct array *gradients, float step, double (*sum)(void)) {
    for (size_t i = 0; i < numbers->count; i++) {
        float before = numbers->host[i];
        numbers->host[i] = before + step;
        double above = sum();
        numbers->host[i] = before - step;
        gradients->host[i] = (float)((above - sum()) / (2 * (double)step));
        numbers->host[i] = before;
    }
}

#endif
