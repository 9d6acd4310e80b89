/* The functions of cuFFT that set what a plan has, and carry it out. */
#include "fft.h"

LIBRARY_API(cufftCreate, (int *plan), (plan)) {
    return plan_create(plan);
}

LIBRARY_API(cufftDestroy, (int plan), (plan)) {
    return plan_destroy(plan);
}

LIBRARY_API(cufftSetStream, (int number, CUstream stream), (number, stream)) {
    struct plan *plan = plan_of(number);
    if (plan == NULL) return CUFFT_INVALID_PLAN;
    plan->handle.stream = stream;
    return CUFFT_SUCCESS;
}

LIBRARY_API(cufftSetAutoAllocation, (int number, int allocates), (number, allocates)) {
    struct plan *plan = plan_of(number);
    if (plan == NULL || plan->is_made) return CUFFT_INVALID_PLAN;
    plan->allocates = allocates != 0;
    return CUFFT_SUCCESS;
}

LIBRARY_API(cufftSetWorkArea, (int number, void *area), (number, area)) {
    struct plan *plan = plan_of(number);
    if (plan == NULL || !plan->is_made) return CUFFT_INVALID_PLAN;
    plan_set_area(plan, (CUdeviceptr)(uintptr_t)area);
    return CUFFT_SUCCESS;
}

LIBRARY_API(cufftGetSize, (int number, size_t *work_bytes), (number, work_bytes)) {
    const struct plan *plan = plan_of(number);
    if (plan == NULL || !plan->is_made) return CUFFT_INVALID_PLAN;
    if (work_bytes == NULL) return CUFFT_INVALID_VALUE;
    *work_bytes = plan->work_bytes;
    return CUFFT_SUCCESS;
}

static int execute(int number, void *input, void *output, int direction) {
    struct plan *plan = plan_of(number);
    if (plan == NULL || !plan->is_made) return CUFFT_INVALID_PLAN;
    if (direction != -1 && direction != 1) return CUFFT_INVALID_VALUE;
    if (plan->work_bytes > 0 && plan->area == 0) return CUFFT_NO_WORKSPACE;
    return sent_cufftXtExec(&plan->handle, plan->descriptor, input, output, (void *)(uintptr_t)plan->area, direction);
}

LIBRARY_API(cufftXtExec, (int plan, void *input, void *output, int direction), (plan, input, output, direction)) {
    return execute(plan, input, output, direction);
}

/* The same, of a plan of these types. */
static int execute_as(int number, const int32_t *types, void *input, void *output, int direction) {
    const struct plan *plan = plan_of(number);
    if (plan != NULL && plan->is_made && (plan->input != types[0] || plan->output != types[1])) return CUFFT_INVALID_TYPE;
    return execute(number, input, output, direction);
}

#define BOTH_WAYS(name, type)                                                                                                           \
    LIBRARY_API(name, (int plan, void *input, void *output, int direction), (plan, input, output, direction)) {                         \
        return execute_as(plan, (const int32_t[]){type, type}, input, output, direction);                                               \
    }
#define ONE_WAY(name, from, to, direction)                                                                                              \
    LIBRARY_API(name, (int plan, void *input, void *output), (plan, input, output)) {                                                   \
        return execute_as(plan, (const int32_t[]){from, to}, input, output, direction);                                                 \
    }
BOTH_WAYS(cufftExecC2C, C_32F)
BOTH_WAYS(cufftExecZ2Z, C_64F)
ONE_WAY(cufftExecR2C, R_32F, C_32F, -1)
ONE_WAY(cufftExecC2R, C_32F, R_32F, 1)
ONE_WAY(cufftExecD2Z, R_64F, C_64F, -1)
ONE_WAY(cufftExecZ2D, C_64F, R_64F, 1)

/* The server's; its own where there is none. */
static int version(void) {
    uint64_t there = opened_here().version;
    return there == 0 ? FFT_VERSION : (int)there;
}

LIBRARY_API(cufftGetVersion, (int *into), (into)) {
    return version_into(version(), into);
}

LIBRARY_API(cufftGetProperty, (int which, int *value), (which, value)) {
    return property_into(version(), which, value);
}
