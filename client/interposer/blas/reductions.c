/*
 * What vectors come to: dot products, norms, sums and places. Results for the host take a wait, as documented. Of long vectors several blocks leave
 * their parts in the handle's scratch memory; a stream that captures has none of it, since its graph would outlive the handle.
 */
#include "own-kernels.h"

#define ITEMS_PER_BLOCK 4096
#define BLOCKS_MAX 128
#define RESULT_BYTES 256
_Static_assert(SCRATCH_BYTES >= RESULT_BYTES + BLOCKS_MAX * BLAS_PART_BYTES, "a result and all parts have room");

struct reduction {
    const char *function;
    int kind;
    int64_t n;
    const void *x;
    int x_type;
    int64_t incx;
    const void *y;
    int y_type;
    int64_t incy;
    void *result;
    int result_type;
    bool is_conjugated;
};

static cublasStatus_t launch(cublasHandle_t handle, struct blas_reduction *wanted, bool is_alone) {
    int64_t blocks = is_alone ? 1 : (wanted->count + ITEMS_PER_BLOCK - 1) / ITEMS_PER_BLOCK;
    blocks = blocks < 1 ? 1 : blocks > BLOCKS_MAX ? BLOCKS_MAX : blocks;
    wanted->part_count = (int32_t)blocks;
    wanted->parts = handle->scratch + RESULT_BYTES;
    cublasStatus_t status = launch_own(REDUCE, (struct blocks){(unsigned)blocks, 1, 1, 256, 1}, wanted, handle->stream);
    if (status != CUBLAS_STATUS_SUCCESS || blocks == 1) return status;
    return launch_own(FINISH, (struct blocks){1, 1, 1, BLOCKS_MAX, 1}, wanted, handle->stream);
}

static cublasStatus_t reduce_locked(cublasHandle_t handle, const struct reduction *r, struct blas_reduction *wanted) {
    bool is_for_host = handle->pointer_mode != POINTER_DEVICE;
    int capture = 0;
    CUresult result = cuStreamIsCapturing(handle->stream, &capture);
    if (result != CUDA_SUCCESS) return blas_status_of(result);
    if (capture != 0 && is_for_host) return blas_refuse(r->function, "a stream that captures cannot bring a result to the host");
    if (capture == 0 && handle->scratch == 0) result = cuMemAlloc_v2(&handle->scratch, SCRATCH_BYTES);
    if (result != CUDA_SUCCESS) return blas_status_of(result);
    wanted->result = is_for_host ? handle->scratch : (uint64_t)(uintptr_t)r->result;
    cublasStatus_t status = launch(handle, wanted, capture != 0);
    if (status != CUBLAS_STATUS_SUCCESS || !is_for_host) return status;
    return blas_status_of(cuMemcpyDtoHAsync_v2(r->result, handle->scratch, number_bytes(r->result_type), handle->stream));
}

static cublasStatus_t reduce(cublasHandle_t handle, const struct reduction *r) {
    if (r->result == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_number_type(r->x_type) || !is_number_type(r->y_type) || is_complex(r->x_type) != is_complex(r->y_type))
        return blas_refuse(r->function, "vectors of types %d and %d are not served", r->x_type, r->y_type);
    if (r->kind < BLAS_AMAX && (!is_number_type(r->result_type) || is_complex(r->result_type) != (r->kind == BLAS_DOT && is_complex(r->x_type))))
        return blas_refuse(r->function, "a result of type %d of vectors of type %d is not served", r->result_type, r->x_type);
    /* Of one vector alone there is nothing where it does not go forwards. */
    bool is_nothing = r->n <= 0 || (r->kind != BLAS_DOT && r->incx <= 0);
    struct blas_reduction wanted = {.x = vector_of(r->x, r->x_type, r->n, r->incx), .y = vector_of(r->y, r->y_type, r->n, r->incy),
                                    .count = is_nothing ? 0 : r->n, .kind = r->kind, .result_type = r->result_type};
    if (r->is_conjugated) wanted.x.flags |= BLAS_CONJUGATED;
    pthread_mutex_lock(&handle->lock);
    cublasStatus_t status = reduce_locked(handle, r, &wanted);
    pthread_mutex_unlock(&handle->lock);
    return status;
}

#define DOT(name, integer, type, conjugates)                                                                                            \
    WITH_HANDLE(name, (cublasHandle_t handle, integer n, const void *x, integer incx, const void *y, integer incy, void *result),       \
                (handle, n, x, incx, y, incy, result)) {                                                                                \
        return reduce(handle, &(struct reduction){#name, BLAS_DOT, n, x, type, incx, y, type, incy, result, type, conjugates});         \
    }
BOTH_WIDTHS(DOT, cublasSdot_v2, R_32F, false)
BOTH_WIDTHS(DOT, cublasDdot_v2, R_64F, false)
BOTH_WIDTHS(DOT, cublasCdotu_v2, C_32F, false)
BOTH_WIDTHS(DOT, cublasCdotc_v2, C_32F, true)
BOTH_WIDTHS(DOT, cublasZdotu_v2, C_64F, false)
BOTH_WIDTHS(DOT, cublasZdotc_v2, C_64F, true)

#define ONE_VECTOR(name, integer, of_kind, type, type_of_result)                                                                        \
    WITH_HANDLE(name, (cublasHandle_t handle, integer n, const void *x, integer incx, void *result), (handle, n, x, incx, result)) {    \
        return reduce(handle, &(struct reduction){#name, of_kind, n, x, type, incx, NULL, type, 1, result, type_of_result, false});     \
    }
#define PLACE(name, of_kind, type)                                                                                                      \
    ONE_VECTOR(name##_v2, int, of_kind, type, R_32I)                                                                                    \
    ONE_VECTOR(name##_v2_64, int64_t, of_kind, type, R_64I)

BOTH_WIDTHS(ONE_VECTOR, cublasSnrm2_v2, BLAS_NRM2, R_32F, R_32F)
BOTH_WIDTHS(ONE_VECTOR, cublasDnrm2_v2, BLAS_NRM2, R_64F, R_64F)
BOTH_WIDTHS(ONE_VECTOR, cublasScnrm2_v2, BLAS_NRM2, C_32F, R_32F)
BOTH_WIDTHS(ONE_VECTOR, cublasDznrm2_v2, BLAS_NRM2, C_64F, R_64F)
BOTH_WIDTHS(ONE_VECTOR, cublasSasum_v2, BLAS_ASUM, R_32F, R_32F)
BOTH_WIDTHS(ONE_VECTOR, cublasDasum_v2, BLAS_ASUM, R_64F, R_64F)
BOTH_WIDTHS(ONE_VECTOR, cublasScasum_v2, BLAS_ASUM, C_32F, R_32F)
BOTH_WIDTHS(ONE_VECTOR, cublasDzasum_v2, BLAS_ASUM, C_64F, R_64F)
PLACE(cublasIsamax, BLAS_AMAX, R_32F)
PLACE(cublasIdamax, BLAS_AMAX, R_64F)
PLACE(cublasIcamax, BLAS_AMAX, C_32F)
PLACE(cublasIzamax, BLAS_AMAX, C_64F)
PLACE(cublasIsamin, BLAS_AMIN, R_32F)
PLACE(cublasIdamin, BLAS_AMIN, R_64F)
PLACE(cublasIcamin, BLAS_AMIN, C_32F)
PLACE(cublasIzamin, BLAS_AMIN, C_64F)

/* With types of their own; sums are f64, which is as exact as any execution type. */
#define DOT_EX(name, integer, conjugates)                                                                                               \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, integer n, const void *x, int x_type, integer incx, const void *y, int y_type, integer incy,    \
                 void *result, int result_type, int execution_type),                                                                    \
                (handle, n, x, x_type, incx, y, y_type, incy, result, result_type, execution_type)) {                                   \
        (void)execution_type;                                                                                                           \
        return reduce(handle, &(struct reduction){#name, BLAS_DOT, n, x, x_type, incx, y, y_type, incy, result, result_type, conjugates}); \
    }
#define ONE_VECTOR_EX(name, integer, of_kind)                                                                                           \
    WITH_HANDLE(name,                                                                                                                   \
                (cublasHandle_t handle, integer n, const void *x, int x_type, integer incx, void *result, int result_type, int execution_type), \
                (handle, n, x, x_type, incx, result, result_type, execution_type)) {                                                    \
        (void)execution_type;                                                                                                           \
        return reduce(handle, &(struct reduction){#name, of_kind, n, x, x_type, incx, NULL, x_type, 1, result, result_type, false});    \
    }
#define PLACE_EX(name, integer, of_kind, type_of_result)                                                                                \
    WITH_HANDLE(name, (cublasHandle_t handle, integer n, const void *x, int x_type, integer incx, void *result),                        \
                (handle, n, x, x_type, incx, result)) {                                                                                 \
        return reduce(handle, &(struct reduction){#name, of_kind, n, x, x_type, incx, NULL, x_type, 1, result, type_of_result, false}); \
    }
BOTH_WIDTHS(DOT_EX, cublasDotEx, false)
BOTH_WIDTHS(DOT_EX, cublasDotcEx, true)
BOTH_WIDTHS(ONE_VECTOR_EX, cublasNrm2Ex, BLAS_NRM2)
BOTH_WIDTHS(ONE_VECTOR_EX, cublasAsumEx, BLAS_ASUM)
PLACE_EX(cublasIamaxEx, int, BLAS_AMAX, R_32I)
PLACE_EX(cublasIamaxEx_64, int64_t, BLAS_AMAX, R_64I)
PLACE_EX(cublasIaminEx, int, BLAS_AMIN, R_32I)
PLACE_EX(cublasIaminEx_64, int64_t, BLAS_AMIN, R_64I)
