/*
 * The kernels of this library (kernels.cu), and what all functions that launch them need. They are a library of the driver's, loaded by the first that is
 * launched, and their launches are those of any program: without an answer, in the handle's stream, and captured with it.
 */
#include "kernels.h"
#include "own-kernels.h"

/* kernels.ptx, and a zero behind it. */
extern const char sluice_blas_ptx[] __attribute__((visibility("hidden")));
__asm__(".pushsection .rodata\n"
        ".globl sluice_blas_ptx\n"
        ".hidden sluice_blas_ptx\n"
        "sluice_blas_ptx:\n"
        ".incbin \"" BLAS_PTX "\"\n"
        ".byte 0\n"
        ".popsection\n");

static const char *const names[] = {
    [UPDATE] = "blas_update", [ROTATE] = "blas_rotate", [REDUCE] = "blas_reduce", [FINISH] = "blas_finish", [SOLVE] = "blas_solve",
    [MULTIPLY_F32] = "blas_multiply_f32", [MULTIPLY_F64] = "blas_multiply_f64",
};
static CUkernel kernels[sizeof names / sizeof *names];
static CUlibrary library;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

static CUresult kernel_of(enum own_kernel which, CUkernel *kernel) {
    CUresult result = CUDA_SUCCESS;
    pthread_mutex_lock(&loading);
    if (library == NULL) result = cuLibraryLoadData(&library, sluice_blas_ptx, NULL, NULL, 0, NULL, NULL, 0);
    if (result == CUDA_SUCCESS && kernels[which] == NULL) result = cuLibraryGetKernel(&kernels[which], library, names[which]);
    *kernel = kernels[which];
    pthread_mutex_unlock(&loading);
    return result;
}

cublasStatus_t launch_own(enum own_kernel which, struct blocks blocks, void *params, CUstream stream) {
    CUkernel kernel;
    CUresult result = kernel_of(which, &kernel);
    if (result == CUDA_SUCCESS)
        result = cuLaunchKernel((CUfunction)kernel, blocks.x, blocks.y, blocks.z, blocks.threads_x, blocks.threads_y, 1, 0, stream, (void *[]){params}, NULL);
    return blas_status_of(result);
}

bool is_number_type(int type) {
    return type == R_32F || type == R_64F || type == R_16F || type == R_16BF || type == C_32F || type == C_64F;
}

cublasStatus_t own_factor(const struct cublasContext *handle, const void *from, int type, struct blas_factor *factor) {
    if (from == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    *factor = (struct blas_factor){.type = type};
    if (handle->pointer_mode == POINTER_DEVICE) factor->address = (uint64_t)(uintptr_t)from;
    else read_number(from, type, &factor->real, &factor->imaginary);
    return CUBLAS_STATUS_SUCCESS;
}

struct blas_operand vector_of(const void *at, int type, int64_t count, int64_t increment) {
    /* One that is read backwards begins at its end. */
    int64_t first = increment < 0 && count > 0 ? (1 - count) * increment : 0;
    return (struct blas_operand){.address = (uint64_t)(uintptr_t)at + (uint64_t)first * number_bytes(type), .row = increment, .type = type};
}

struct blas_operand matrix_of(const void *at, int type, int64_t leading, int operation) {
    struct blas_operand made = {.address = (uint64_t)(uintptr_t)at, .row = 1, .column = leading, .type = type};
    if (operation != OP_N) made.row = leading, made.column = 1;
    if (operation == OP_C) made.flags = BLAS_CONJUGATED;
    return made;
}

struct blocks blocks_for(int64_t rows, int64_t columns) {
    int64_t across = (rows + 255) / 256;
    return (struct blocks){(unsigned)(across > 4096 ? 4096 : across), (unsigned)(columns > 1024 ? 1024 : columns), 1, 256, 1};
}
