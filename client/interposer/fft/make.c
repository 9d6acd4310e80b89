/* The functions of cuFFT that make plans, or tell how large a work area one would need: all by what the plan is made of. */
#include "fft.h"

/* cufftType, with what its sides have. */
static const struct {
    int32_t type, input, output;
} types[] = {
    {0x29, C_32F, C_32F}, {0x2a, R_32F, C_32F}, {0x2c, C_32F, R_32F}, {0x69, C_64F, C_64F}, {0x6a, R_64F, C_64F}, {0x6c, C_64F, R_64F},
};

static void set_type(struct shape *shape, int type) {
    shape->status = CUFFT_INVALID_TYPE;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].type != type) continue;
        bool is_single = types[i].input == C_32F || types[i].output == C_32F;
        shape->status = CUFFT_SUCCESS;
        shape->input = types[i].input;
        shape->output = types[i].output;
        shape->execution = is_single ? C_32F : C_64F;
    }
}

static void fail(struct shape *shape, int status) {
    if (shape->status == CUFFT_SUCCESS) shape->status = status;
}

/* One whose data lies one behind the other. */
static struct shape basic(int rank, const int *n, int type, int batch) {
    struct shape shape = {.rank = rank, .batch = batch};
    set_type(&shape, type);
    if (batch < 1) fail(&shape, CUFFT_INVALID_SIZE);
    for (int i = 0; i < rank; i++) {
        shape.n[i] = n[i];
        if (n[i] < 1) fail(&shape, CUFFT_INVALID_SIZE);
    }
    return shape;
}

/* How data lies: without both embeddings one behind the other. */
struct layout {
    const void *inembed;
    int64_t istride, idist;
    const void *onembed;
    int64_t ostride, odist;
};

/* Numbers are of four bytes, or of eight where they are `wide`. */
static int64_t number_at(const void *numbers, int i, bool is_wide) {
    return is_wide ? ((const int64_t *)numbers)[i] : ((const int32_t *)numbers)[i];
}

static struct shape many(int rank, const void *n, const struct layout *layout, int64_t batch, bool is_wide) {
    struct shape shape = {.rank = rank, .batch = batch};
    if (rank < 1 || rank > RANK_MAX || n == NULL) {
        shape.status = CUFFT_INVALID_SIZE;
        return shape;
    }
    shape.has_layout = layout->inembed != NULL && layout->onembed != NULL;
    for (int i = 0; i < rank; i++) {
        shape.n[i] = number_at(n, i, is_wide);
        if (shape.n[i] < 1 || batch < 1) fail(&shape, CUFFT_INVALID_SIZE);
        if (!shape.has_layout) continue;
        shape.inembed[i] = number_at(layout->inembed, i, is_wide);
        shape.onembed[i] = number_at(layout->onembed, i, is_wide);
        if (shape.inembed[i] < 1 || shape.onembed[i] < 1) fail(&shape, CUFFT_INVALID_VALUE);
    }
    if (!shape.has_layout) return shape;
    shape.istride = layout->istride, shape.idist = layout->idist, shape.ostride = layout->ostride, shape.odist = layout->odist;
    if (shape.istride < 1 || shape.ostride < 1 || shape.idist < 0 || shape.odist < 0) fail(&shape, CUFFT_INVALID_VALUE);
    return shape;
}

static struct shape typed(int rank, const void *n, const struct layout *layout, int type, int64_t batch, bool is_wide) {
    struct shape shape = many(rank, n, layout, batch, is_wide);
    int status = shape.status;
    set_type(&shape, type);
    if (status != CUFFT_SUCCESS) shape.status = status;
    return shape;
}

static int make(int number, const struct shape *shape, size_t *work_bytes) {
    struct plan *plan = plan_of(number);
    return plan == NULL ? CUFFT_INVALID_PLAN : plan_make(plan, shape, work_bytes);
}

static int create(int *number, const struct shape *shape) {
    int status = plan_create(number);
    if (status != CUFFT_SUCCESS) return status;
    status = make(*number, shape, NULL);
    if (status == CUFFT_SUCCESS) return status;
    plan_destroy(*number);
    *number = -1;
    return status;
}

/* By making one that has none. */
static int estimate(const struct shape *shape, size_t *work_bytes) {
    int number;
    if (work_bytes == NULL) return CUFFT_INVALID_VALUE;
    int status = plan_create(&number);
    if (status != CUFFT_SUCCESS) return status;
    plan_of(number)->allocates = false;
    status = make(number, shape, work_bytes);
    plan_destroy(number);
    return status;
}

static int size_for(int number, const struct shape *shape, size_t *work_bytes) {
    return plan_of(number) == NULL ? CUFFT_INVALID_PLAN : estimate(shape, work_bytes);
}

#define LIST(...) __VA_ARGS__
/* Two functions of one kind, and four: what they take between the plan and the size, and the shape that this is. */
#define SIZED(form, parameters, ...)                                                                                                    \
    EXPORT int cufftMakePlan##form(int plan, LIST parameters, size_t *work_bytes);                                                      \
    EXPORT int cufftMakePlan##form(int plan, LIST parameters, size_t *work_bytes) {                                                     \
        const struct shape shape = __VA_ARGS__;                                                                                         \
        return traced("cufftMakePlan" #form, make(plan, &shape, work_bytes));                                                           \
    }                                                                                                                                   \
    EXPORT int cufftGetSize##form(int plan, LIST parameters, size_t *work_bytes);                                                       \
    EXPORT int cufftGetSize##form(int plan, LIST parameters, size_t *work_bytes) {                                                      \
        const struct shape shape = __VA_ARGS__;                                                                                         \
        return traced("cufftGetSize" #form, size_for(plan, &shape, work_bytes));                                                        \
    }
#define WHOLE(form, parameters, ...)                                                                                                    \
    SIZED(form, parameters, __VA_ARGS__)                                                                                                \
    EXPORT int cufftEstimate##form(LIST parameters, size_t *work_bytes);                                                                \
    EXPORT int cufftEstimate##form(LIST parameters, size_t *work_bytes) {                                                               \
        const struct shape shape = __VA_ARGS__;                                                                                         \
        return traced("cufftEstimate" #form, estimate(&shape, work_bytes));                                                             \
    }                                                                                                                                   \
    EXPORT int cufftPlan##form(int *plan, LIST parameters);                                                                             \
    EXPORT int cufftPlan##form(int *plan, LIST parameters) {                                                                            \
        const struct shape shape = __VA_ARGS__;                                                                                         \
        return traced("cufftPlan" #form, create(plan, &shape));                                                                         \
    }

WHOLE(1d, (int nx, int type, int batch), basic(1, (int[]){nx}, type, batch))
WHOLE(2d, (int nx, int ny, int type), basic(2, (int[]){nx, ny}, type, 1))
WHOLE(3d, (int nx, int ny, int nz, int type), basic(3, (int[]){nx, ny, nz}, type, 1))
WHOLE(Many, (int rank, int *n, int *inembed, int istride, int idist, int *onembed, int ostride, int odist, int type, int batch),
      typed(rank, n, &(struct layout){inembed, istride, idist, onembed, ostride, odist}, type, batch, false))
SIZED(Many64,
      (int rank, long long *n, long long *inembed, long long istride, long long idist, long long *onembed, long long ostride, long long odist, int type,
       long long batch),
      typed(rank, n, &(struct layout){inembed, istride, idist, onembed, ostride, odist}, type, batch, true))

/* Types are cudaDataType. */
static struct shape any(int rank, const long long *n, const struct layout *layout, const int32_t *types_of, long long batch) {
    struct shape shape = many(rank, n, layout, batch, true);
    shape.input = types_of[0], shape.output = types_of[1], shape.execution = types_of[2];
    return shape;
}

#define ANY(name, does)                                                                                                                 \
    LIBRARY_API(name, (int plan, int rank, long long *n, long long *inembed, long long istride, long long idist, int input,             \
                       long long *onembed, long long ostride, long long odist, int output, long long batch, size_t *work_bytes, int execution), \
                (plan, rank, n, inembed, istride, idist, input, onembed, ostride, odist, output, batch, work_bytes, execution)) {       \
        const struct layout layout = {inembed, istride, idist, onembed, ostride, odist};                                                \
        const struct shape shape = any(rank, n, &layout, (int32_t[]){input, output, execution}, batch);                                 \
        return does(plan, &shape, work_bytes);                                                                                          \
    }
ANY(cufftXtMakePlanMany, make)
ANY(cufftXtGetSizeMany, size_for)
