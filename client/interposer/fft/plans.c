/* Plans behind their numbers, and what has its work area. */
#include <stdlib.h>
#include <string.h>

#include "fft.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plan **plans;
static int capacity;

struct plan *plan_of(int number) {
    pthread_mutex_lock(&lock);
    struct plan *plan = number > 0 && number < capacity ? plans[number] : NULL;
    pthread_mutex_unlock(&lock);
    return plan;
}

/* The lowest number that is free, from 1 on; 0 without memory. */
static int number_of(struct plan *plan) {
    int number = 1;
    pthread_mutex_lock(&lock);
    while (number < capacity && plans[number] != NULL) number++;
    if (number >= capacity) {
        int more = capacity == 0 ? 64 : 2 * capacity;
        struct plan **larger = realloc(plans, (size_t)more * sizeof *larger);
        if (larger != NULL) {
            memset(larger + capacity, 0, (size_t)(more - capacity) * sizeof *larger);
            plans = larger;
            capacity = more;
        }
    }
    number = number < capacity ? number : 0;
    if (number > 0) plans[number] = plan;
    pthread_mutex_unlock(&lock);
    return number;
}

int plan_create(int *number) {
    if (number == NULL) return CUFFT_INVALID_VALUE;
    struct plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL) return CUFFT_ALLOC_FAILED;
    int status = sent_cufftCreate(&plan->descriptor);
    plan->allocates = true;
    *number = status == CUFFT_SUCCESS ? number_of(plan) : 0;
    if (*number > 0) return CUFFT_SUCCESS;
    if (status == CUFFT_SUCCESS) sent_cufftDestroy(plan->descriptor);
    free(plan);
    *number = -1;
    return CUFFT_ALLOC_FAILED;
}

/* Its own is of no use any more. */
void plan_set_area(struct plan *plan, CUdeviceptr area) {
    CUdeviceptr own = plan->own;
    plan->area = area;
    plan->own = 0;
    if (own != 0 && own != area) cuMemFree_v2(own);
}

int plan_destroy(int number) {
    struct plan *plan = plan_of(number);
    if (plan == NULL) return CUFFT_INVALID_PLAN;
    pthread_mutex_lock(&lock);
    plans[number] = NULL;
    pthread_mutex_unlock(&lock);
    sent_cufftDestroy(plan->descriptor);
    plan_set_area(plan, 0);
    free(plan);
    return CUFFT_SUCCESS;
}

int plan_make(struct plan *plan, const struct shape *shape, size_t *work_bytes) {
    uint64_t bytes = 0;
    CUstream stream = plan->handle.stream;
    if (shape->status != CUFFT_SUCCESS) return shape->status;
    if (plan->is_made) return CUFFT_INVALID_PLAN;
    int status = handle_init(&plan->handle);
    plan->handle.stream = stream;
    if (status != CUFFT_SUCCESS) return status;
    const int64_t *inembed = shape->has_layout ? shape->inembed : NULL, *onembed = shape->has_layout ? shape->onembed : NULL;
    status = sent_cufftXtMakePlanMany(&plan->handle, plan->descriptor, shape->rank, shape->n, inembed, shape->istride, shape->idist, shape->input, onembed,
                                      shape->ostride, shape->odist, shape->output, shape->batch, &bytes, shape->execution);
    if (status != CUFFT_SUCCESS) return status;
    if (plan->allocates && bytes > 0) {
        status = status_of(cuMemAlloc_v2(&plan->own, bytes));
        if (status != CUFFT_SUCCESS) return status;
        plan->area = plan->own;
    }
    plan->is_made = true;
    plan->input = shape->input;
    plan->output = shape->output;
    plan->work_bytes = bytes;
    if (work_bytes != NULL) *work_bytes = bytes;
    return CUFFT_SUCCESS;
}
