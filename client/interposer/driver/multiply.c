/*
 * Matrix products, for the libraries of cuBLAS: one call in the batch, and no answer. Operands are checked here to their last element, since on
 * the wire a refused product would put the whole session into error; what is left to check (shapes, types) is for those libraries. Whether the
 * server can compute products of a kind is asked before the first one of the kind.
 */
#include <stdatomic.h>
#include <string.h>

#include "multiply.h"
#include "graph.h"
#include "managed.h"

DEFINE_SEND(multiply, MULTIPLY)
DEFINE_ASK(multiply_prepare, MULTIPLY_PREPARE)
_Static_assert(sizeof(struct sluice_multiply_prepare_call) == sizeof(struct sluice_multiply_call), "both calls have the same fields");
_Static_assert(sizeof(struct sluice_multiply_try_call) == sizeof(struct sluice_multiply_call), "both calls have the same fields");

/* By the wire's numbers of types. */
static const uint8_t factor_bytes[] = {4, 4, 2, 2, 8, 2, 2, 1}, result_bytes[] = {4, 4, 2, 2, 8, 4, 4, 4};

static uint64_t bytes_of_factor(const struct sluice_multiply_call *call) {
    return call->narrow != 0 ? 1 : factor_bytes[call->type];
}

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
    uint64_t factor = bytes_of_factor(call), result_element = result_bytes[call->type];
    const struct operand operands[] = {
        {"a factor", factor, call->a, is_a_turned ? call->k : call->m, is_a_turned ? call->m : call->k, call->lda, call->stride_a},
        {"a factor", factor, call->b, is_b_turned ? call->n : call->k, is_b_turned ? call->k : call->n, call->ldb, call->stride_b},
        {"the result", result_element, call->c, call->m, call->n, call->ldc, call->stride_c},
        {"the bias", result_element, call->bias, 1, call->n, 0, 0},
        {"a scale", 4, call->scale_a, 1, 1, 0, 0},
        {"a scale", 4, call->scale_b, 1, 1, 0, 0},
    };
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0; i < sizeof operands / sizeof *operands && result == CUDA_SUCCESS; i++)
        if (i < 3 || operands[i].address != 0) result = check_operand(&operands[i], call, device);
    return result;
}

/* Kinds that were asked about: a hash of each, whose lowest bit says that it was refused; 0 for none. A kind that was driven out is asked about again. */
#define KINDS 1024
#define PROBES 8
static atomic_uint_least64_t kinds[KINDS];

/* The power of two that divides the number, up to 16, of which libraries make a difference; of 0 it is 16. */
static uint64_t alignment_of(uint64_t number) {
    number |= 16;
    return number & (~number + 1);
}

/* Numbers so large that some kernels do not take them are kinds of their own. */
static uint64_t magnitude_of(uint64_t number) {
    return number <= 0xffff ? 0 : 64 - (uint64_t)__builtin_clzll(number);
}

/*
 * What products must have in common so that all can be computed where one can: not their sizes, but what these and the addresses are divided by. Those that
 * have been computed are kinds beside those that were asked about.
 */
static uint64_t kind_of(const struct sluice_multiply_call *call, const struct device *device, bool is_computed) {
    uint64_t factor = bytes_of_factor(call), result = result_bytes[call->type];
    const uint64_t traits[] = {
        is_computed, device->index, call->type, call->transpose_a, call->transpose_b, call->activation, call->bias != 0, call->batch_count > 1,
        call->narrow, call->scale_a != 0, call->scale_b != 0, alignment_of(call->scale_a), alignment_of(call->scale_b),
        alignment_of(call->a), alignment_of(call->b), alignment_of(call->c), alignment_of(call->bias),
        alignment_of(call->lda * factor), alignment_of(call->ldb * factor), alignment_of(call->ldc * result),
        alignment_of(call->stride_a * factor), alignment_of(call->stride_b * factor), alignment_of(call->stride_c * result),
        alignment_of(call->m), alignment_of(call->n), alignment_of(call->k),
        magnitude_of(call->m), magnitude_of(call->n), magnitude_of(call->k), magnitude_of(call->batch_count),
    };
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof traits / sizeof *traits; i++) {
        hash = (hash ^ traits[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return (hash | 2) & ~(uint64_t)1;
}

static void remember(uint64_t kind, bool is_refused) {
    for (uint64_t i = 0; i < PROBES; i++) {
        uint_least64_t empty = 0;
        if (atomic_compare_exchange_strong(&kinds[(kind + i) % KINDS], &empty, kind | is_refused)) return;
        if ((empty & ~(uint64_t)1) != kind) continue;
        atomic_store(&kinds[(kind + i) % KINDS], kind | is_refused);
        return;
    }
    atomic_store(&kinds[kind % KINDS], kind | is_refused);
}

static bool recall(uint64_t kind, CUresult *result) {
    for (uint64_t i = 0; i < PROBES; i++) {
        uint64_t known = atomic_load_explicit(&kinds[(kind + i) % KINDS], memory_order_relaxed);
        if ((known & ~(uint64_t)1) != kind) continue;
        *result = (known & 1) != 0 ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
        return true;
    }
    return false;
}

/* CUDA_ERROR_NOT_SUPPORTED, after a line of the server's, where it cannot compute such a product. A trip for the first of each kind. */
static CUresult ask_kind(const struct sluice_multiply_call *call, const struct device *device) {
    uint64_t kind = kind_of(call, device, false);
    CUresult result;
    if (recall(kind, &result)) return result;
    trace("the server is asked about a kind of matrix product");
    struct answer answer = ANSWER_INITIAL;
    struct sluice_multiply_prepare_call question;
    memcpy(&question, call, sizeof question);
    result = ask_multiply_prepare(&question, &answer);
    if (result == CUDA_SUCCESS) answer_release(&answer);
    /* Want of memory may pass. */
    if (result == CUDA_SUCCESS || (result == CUDA_ERROR_NOT_SUPPORTED && connection_result() == CUDA_SUCCESS)) remember(kind, result != CUDA_SUCCESS);
    return result;
}

API(sluiceCanMultiply, (const struct sluice_multiply_call *product), (product)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    struct sluice_multiply_call call = *product;
    uint64_t base = context->device->arena.base;
    call.a += base, call.b += base, call.c += base;
    if (call.bias != 0) call.bias += base;
    if (call.scale_a != 0) call.scale_a += base;
    if (call.scale_b != 0) call.scale_b += base;
    return ask_kind(&call, context->device);
}

/* What is refused is a kind that cannot be computed from then on. */
static CUresult try_out(const struct sluice_multiply_call *call, uint64_t computed, struct stream *stream) {
    struct answer answer = ANSWER_INITIAL;
    struct sluice_multiply_try_call tried;
    memcpy(&tried, call, sizeof tried);
    uint8_t *at = call_begin(&driver.connection, SLUICE_OP_MULTIPLY_TRY, sluice_size_multiply_try_call(&tried));
    if (at == NULL) return connection_result();
    sluice_encode_multiply_try_call(at, &tried);
    CUresult result = answer_of_call(&answer, &stream->last);
    if (result == CUDA_SUCCESS) {
        answer_release(&answer);
        remember(computed, false);
    } else if (result == CUDA_ERROR_NOT_SUPPORTED && connection_result() == CUDA_SUCCESS) {
        remember(kind_of(call, stream->device, false), true);
    }
    return result;
}

/* Of floats of 8 bits cuBLASLt refuses some products that it has found a way for: the first of each kind is waited for. */
static CUresult queue(const struct sluice_multiply_call *product, struct stream *stream) {
    struct sluice_multiply_call call = *product;
    call.stream = stream->id;
    CUresult result = managed_release(stream->device);
    if (result != CUDA_SUCCESS) return result;
    uint64_t computed = kind_of(&call, stream->device, true);
    return call.narrow == 0 || recall(computed, &result) ? send_multiply(&call, &stream->last) : try_out(&call, computed, stream);
}

CUresult replay_multiply(const struct sluice_multiply_call *product, struct stream *stream) {
    CUresult result = multiply_check(product, stream->device);
    return result == CUDA_SUCCESS ? queue(product, stream) : result;
}

API(sluiceMultiply, (const struct sluice_multiply_call *product, CUstream handle), (product, handle)) {
    struct stream *stream;
    CUresult result = work_stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    result = multiply_check(product, stream->device);
    if (result == CUDA_SUCCESS) result = ask_kind(product, stream->device);
    if (result != CUDA_SUCCESS) return result;
    if (stream->capture == NULL) return queue(product, stream);
    struct node_work work = {.type = NODE_MULTIPLY, .product = *product};
    return capture_add(stream, &work);
}
