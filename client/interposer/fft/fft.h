/*
 * What the files of libcufft share beyond what libraries of the server's do (library/library.h). Types and numbers are declared from NVIDIA's cuFFT documentation. All
 * plans are made by one function of the server's and carried out by another (shared/fft-functions.ts); a plan's work area is memory of the program's.
 */
#ifndef SLUICE_FFT_H
#define SLUICE_FFT_H

#include "../library/library.h"

#include "../generated/fft-functions.h"

/* What the version is where there is no server to ask, or it has no cuFFT. */
#define FFT_VERSION 12000

enum { RANK_MAX = 3 };

/* cufftResult. */
enum {
    CUFFT_SUCCESS = 0,
    CUFFT_INVALID_PLAN = 1,
    CUFFT_ALLOC_FAILED = 2,
    CUFFT_INVALID_TYPE = 3,
    CUFFT_INVALID_VALUE = 4,
    CUFFT_EXEC_FAILED = 6,
    CUFFT_SETUP_FAILED = 7,
    CUFFT_INVALID_SIZE = 8,
    CUFFT_NO_WORKSPACE = 13,
    CUFFT_NOT_SUPPORTED = 16,
};

/* cudaDataType, as far as cufftType is made of them. */
enum { R_32F = 0, R_64F = 1, C_32F = 4, C_64F = 5 };

/* What a plan is made of; with a status other than success it is none. */
struct shape {
    int status;
    int32_t rank, input, output, execution;
    bool has_layout;
    int64_t n[RANK_MAX], inembed[RANK_MAX], onembed[RANK_MAX], istride, idist, ostride, odist, batch;
};

struct plan {
    /* Its device and stream. */
    struct library_handle handle;
    /* The table's. */
    void *descriptor;
    bool is_made, allocates;
    int32_t input, output;
    size_t work_bytes;
    /* The work area, and the one that is its own, if it has one. */
    CUdeviceptr area, own;
};

/* plans.c: NULL for a number that none has. */
struct plan *plan_of(int number);
int plan_create(int *number);
int plan_destroy(int number);
int plan_make(struct plan *plan, const struct shape *shape, size_t *work_bytes);
void plan_set_area(struct plan *plan, CUdeviceptr area);

/* functions.c: the table's functions. */
int sent_cufftCreate(void **plan);
int sent_cufftDestroy(void *plan);
int sent_cufftXtMakePlanMany(void *stream, void *plan, int32_t rank, const int64_t *n, const int64_t *inembed, int64_t istride, int64_t idist, int32_t input,
                             const int64_t *onembed, int64_t ostride, int64_t odist, int32_t output, int64_t batch, uint64_t *work_bytes, int32_t execution);
int sent_cufftXtExec(void *stream, void *plan, void *input, void *output, void *area, int32_t direction);

/* The status, which the trace gets. */
int traced(const char *name, int status);

#endif
