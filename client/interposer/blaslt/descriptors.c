/* Descriptors of cuBLASLt: operations, layouts and preferences, with their attributes by number. They are kept, and judged when they are used. */
#include <stdlib.h>
#include <string.h>

#include "lt.h"

struct attribute {
    uint8_t number, bytes;
    uint16_t at;
};

#define FIELD(number, type, field) {number, sizeof(((struct type *)0)->field), offsetof(struct type, field)}

static const struct attribute operation_attributes[] = {
    FIELD(0, operation, compute), FIELD(1, operation, scale), FIELD(2, operation, pointer_mode), FIELD(3, operation, op_a),
    FIELD(4, operation, op_b), FIELD(5, operation, op_c), FIELD(6, operation, fill), FIELD(7, operation, epilogue),
    FIELD(8, operation, bias), FIELD(10, operation, bias_stride), FIELD(11, operation, aux), FIELD(12, operation, aux_leading),
    FIELD(13, operation, aux_stride), FIELD(14, operation, alpha_stride), FIELD(15, operation, sm_count), FIELD(17, operation, scale_a),
    FIELD(18, operation, scale_b), FIELD(19, operation, scale_c), FIELD(20, operation, scale_d), FIELD(21, operation, amax_d),
    FIELD(22, operation, aux_type), FIELD(23, operation, aux_scale), FIELD(24, operation, aux_amax), FIELD(25, operation, fast_sums),
    FIELD(26, operation, bias_type), FIELD(31, operation, scale_modes[0]), FIELD(32, operation, scale_modes[1]),
    FIELD(33, operation, scale_modes[2]), FIELD(34, operation, scale_modes[3]), FIELD(35, operation, scale_modes[4]),
    FIELD(36, operation, scale_out), FIELD(37, operation, scale_modes[5]), FIELD(38, operation, emulation), {0},
};

static const struct attribute layout_attributes[] = {
    FIELD(0, layout, type), FIELD(1, layout, order), FIELD(2, layout, rows), FIELD(3, layout, columns), FIELD(4, layout, leading),
    FIELD(5, layout, batch_count), FIELD(6, layout, batch_stride), FIELD(7, layout, plane_offset), FIELD(8, layout, batch_mode), {0},
};

static const struct attribute preference_attributes[] = {
    FIELD(0, preference, search), FIELD(1, preference, workspace_bytes), FIELD(3, preference, reductions), FIELD(5, preference, alignments[0]),
    FIELD(6, preference, alignments[1]), FIELD(7, preference, alignments[2]), FIELD(8, preference, alignments[3]), FIELD(9, preference, waves),
    FIELD(12, preference, implementations), {0},
};

static const struct attribute *find(const struct attribute *attributes, int number) {
    for (const struct attribute *each = attributes; each->bytes != 0; each++)
        if (each->number == number) return each;
    return NULL;
}

static cublasStatus_t set(const struct attribute *attribute, void *descriptor, const void *from, size_t bytes) {
    if (attribute == NULL || descriptor == NULL || from == NULL || bytes != attribute->bytes) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy((char *)descriptor + attribute->at, from, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

/* Without room it answers how much it takes. */
static cublasStatus_t get(const struct attribute *attribute, const void *descriptor, void *to, size_t bytes, size_t *written) {
    if (attribute == NULL || descriptor == NULL || (bytes == 0 && written == NULL)) return CUBLAS_STATUS_INVALID_VALUE;
    if (bytes != 0 && (to == NULL || bytes != attribute->bytes)) return CUBLAS_STATUS_INVALID_VALUE;
    if (bytes != 0) memcpy(to, (const char *)descriptor + attribute->at, bytes);
    if (written != NULL) *written = attribute->bytes;
    return CUBLAS_STATUS_SUCCESS;
}

/* The functions of one kind of descriptor: made where the program says or in memory of malloc, dropped, and its attributes. */
#define DESCRIPTOR(name, type, parameters, arguments, initial)                                                                          \
    BLAS(name##Init_internal, (struct type * descriptor, size_t bytes parameters), (descriptor, bytes arguments)) { \
        if (descriptor == NULL || bytes < sizeof *descriptor) return CUBLAS_STATUS_INVALID_VALUE;                                       \
        memset(descriptor, 0, bytes);                                                                                                   \
        *descriptor = (struct type)initial;                                                                                             \
        return CUBLAS_STATUS_SUCCESS;                                                                                                   \
    }                                                                                                                                   \
    BLAS(name##Create, (struct type * *descriptor parameters), (descriptor arguments)) {                          \
        if (descriptor == NULL) return CUBLAS_STATUS_INVALID_VALUE;                                                                     \
        *descriptor = malloc(sizeof **descriptor);                                                                                      \
        if (*descriptor == NULL) return CUBLAS_STATUS_ALLOC_FAILED;                                                                     \
        **descriptor = (struct type)initial;                                                                                            \
        return CUBLAS_STATUS_SUCCESS;                                                                                                   \
    }                                                                                                                                   \
    BLAS(name##Destroy, (struct type * descriptor), (descriptor)) {                                                                     \
        free(descriptor);                                                                                                               \
        return CUBLAS_STATUS_SUCCESS;                                                                                                   \
    }                                                                                                                                   \
    BLAS(name##SetAttribute, (struct type * descriptor, int attribute, const void *from, size_t bytes), (descriptor, attribute, from, bytes)) { \
        return set(find(type##_attributes, attribute), descriptor, from, bytes);                                                        \
    }                                                                                                                                   \
    BLAS(name##GetAttribute, (const struct type *descriptor, int attribute, void *to, size_t bytes, size_t *written),                   \
         (descriptor, attribute, to, bytes, written)) {                                                                                 \
        return get(find(type##_attributes, attribute), descriptor, to, bytes, written);                                                 \
    }
/* What is given at the making, behind a comma. */
#define OPERATION_PARAMETERS , int compute, int scale
#define OPERATION_ARGUMENTS , compute, scale
#define LAYOUT_PARAMETERS , uint32_t type, uint64_t rows, uint64_t columns, int64_t leading
#define LAYOUT_ARGUMENTS , type, rows, columns, leading
#define OPERATION_INITIAL {.compute = compute, .scale = scale, .fill = FILL_FULL, .epilogue = EPILOGUE_DEFAULT, .aux_type = -1, .bias_type = -1}
#define LAYOUT_INITIAL {.type = type, .batch_count = 1, .rows = rows, .columns = columns, .leading = leading}
#define PREFERENCE_INITIAL {.reductions = 7, .alignments = {256, 256, 256, 256}, .implementations = UINT64_MAX}

DESCRIPTOR(cublasLtMatmulDesc, operation, OPERATION_PARAMETERS, OPERATION_ARGUMENTS, OPERATION_INITIAL)
DESCRIPTOR(cublasLtMatrixLayout, layout, LAYOUT_PARAMETERS, LAYOUT_ARGUMENTS, LAYOUT_INITIAL)
DESCRIPTOR(cublasLtMatmulPreference, preference, , , PREFERENCE_INITIAL)
