/*
 * Matrix products, for the libraries of cuBLAS: one call in the batch, and no answer. Operands are checked here to their last element, since on
 * the wire a refused product would put the whole session into error; what is left to check (shapes, types) is for those libraries.
 */
#include "multiply.h"
#include "graph.h"
#include "managed.h"

DEFINE_SEND(multiply, MULTIPLY)

/* By the wire's numbers of types. */
static const uint8_t factor_bytes[] = {4, 4, 2, 2, 8, 2, 2}, result_bytes[] = {4, 4, 2, 2, 8, 4, 4};

struct operand {
    const char *name;
    uint64_t element_bytes, address, rows, columns, row_stride, batch_stride;
};

/* Bytes from the first element of a batch to behind its last; 0 for more than there can be. */
static uint64_t bytes_of(const struct operand *operand, const struct sluice_multiply_call *call) {
    uint64_t elements, batches, bytes;
    if (__builtin_mul_overflow(operand->rows - 1, operand->row_stride, &elements)) return 0;
    if (__builtin_mul_overflow((uint64_t)call->batch_count - 1, operand->batch_stride, &batches)) return 0;
    if (__builtin_add_overflow(elements, operand->columns, &elements) || __builtin_add_overflow(elements, batches, &elements)) return 0;
    return __builtin_mul_overflow(elements, operand->element_bytes, &bytes) ? 0 : bytes;
}

static CUresult check_operand(const struct operand *operand, const struct sluice_multiply_call *call, const struct device *device) {
    struct device *found;
    uint64_t bytes = bytes_of(operand, call);
    bool is_there = bytes != 0 && operand->address % operand->element_bytes == 0 && range_check(operand->address, bytes, &found) == CUDA_SUCCESS;
    if (is_there && found == device) return CUDA_SUCCESS;
    report("%s of a matrix product takes [%llu] bytes at [0x%llx], which %s.", operand->name, (unsigned long long)bytes,
           (unsigned long long)operand->address, is_there ? "is memory of another device" : "is not within one allocation of device memory");
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult multiply_check(const struct sluice_multiply_call *call, const struct device *device) {
    bool is_a_turned = call->transpose_a != 0, is_b_turned = call->transpose_b != 0;
    uint64_t factor = factor_bytes[call->type], result_element = result_bytes[call->type];
    const struct operand operands[] = {
        {"a factor", factor, call->a, is_a_turned ? call->k : call->m, is_a_turned ? call->m : call->k, call->lda, call->stride_a},
        {"a factor", factor, call->b, is_b_turned ? call->n : call->k, is_b_turned ? call->k : call->n, call->ldb, call->stride_b},
        {"the result", result_element, call->c, call->m, call->n, call->ldc, call->stride_c},
        {"the bias", result_element, call->bias, 1, call->n, 0, 0},
    };
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0; i < (call->bias == 0 ? 3 : 4) && result == CUDA_SUCCESS; i++)
        result = check_operand(&operands[i], call, device);
    return result;
}

CUresult replay_multiply(const struct sluice_multiply_call *product, struct stream *stream) {
    struct sluice_multiply_call call = *product;
    call.stream = stream->id;
    CUresult result = multiply_check(&call, stream->device);
    if (result == CUDA_SUCCESS) result = managed_release(stream->device);
    return result == CUDA_SUCCESS ? send_multiply(&call, &stream->last) : result;
}

API(sluiceMultiply, (const struct sluice_multiply_call *product, CUstream handle), (product, handle)) {
    struct stream *stream;
    CUresult result = work_stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (stream->capture == NULL) return replay_multiply(product, stream);
    struct node_work work = {.type = NODE_MULTIPLY, .product = *product};
    result = multiply_check(product, stream->device);
    return result == CUDA_SUCCESS ? capture_add(stream, &work) : result;
}
