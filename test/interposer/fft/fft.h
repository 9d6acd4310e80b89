/* What the programs in this folder share: prototypes of cuFFT, from its documentation, transforms by their definition, and the driver calls around them. */
#ifndef TEST_FFT_H
#define TEST_FFT_H

#include <complex.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "../driver/driver.h"
#include "../driver/status.h"
#include "../../../client/interposer/driver/cuda-graph-api.h"

enum { OK, INVALID_PLAN, ALLOC_FAILED, INVALID_TYPE, INVALID_VALUE, SETUP_FAILED = 7, INVALID_SIZE = 8, NO_WORKSPACE = 13, NOT_SUPPORTED = 16 };
enum { R2C = 0x2a, C2R = 0x2c, C2C = 0x29, D2Z = 0x6a, Z2D = 0x6c, Z2Z = 0x69 };
enum { FORWARD = -1, INVERSE = 1 };

int cufftCreate(int *plan);
int cufftDestroy(int plan);
int cufftPlan1d(int *plan, int nx, int type, int batch);
int cufftPlan2d(int *plan, int nx, int ny, int type);
int cufftPlan3d(int *plan, int nx, int ny, int nz, int type);
int cufftPlanMany(int *plan, int rank, int *n, int *inembed, int istride, int idist, int *onembed, int ostride, int odist, int type, int batch);
int cufftMakePlan1d(int plan, int nx, int type, int batch, size_t *work);
int cufftMakePlanMany64(int plan, int rank, long long *n, long long *inembed, long long istride, long long idist, long long *onembed, long long ostride, long long odist, int type,
                        long long batch, size_t *work);
int cufftXtMakePlanMany(int plan, int rank, long long *n, long long *inembed, long long istride, long long idist, int input, long long *onembed, long long ostride,
                        long long odist, int output, long long batch, size_t *work, int execution);
int cufftEstimate1d(int nx, int type, int batch, size_t *work);
int cufftGetSize(int plan, size_t *work);
int cufftGetSize2d(int plan, int nx, int ny, int type, size_t *work);
int cufftSetStream(int plan, CUstream stream);
int cufftSetAutoAllocation(int plan, int allocates);
int cufftSetWorkArea(int plan, void *area);
int cufftExecC2C(int plan, void *input, void *output, int direction);
int cufftExecR2C(int plan, void *input, void *output);
int cufftExecC2R(int plan, void *input, void *output);
int cufftExecZ2Z(int plan, void *input, void *output, int direction);
int cufftExecD2Z(int plan, void *input, void *output);
int cufftExecZ2D(int plan, void *input, void *output);
int cufftXtExec(int plan, void *input, void *output, int direction);
int cufftGetVersion(int *version);
int cufftGetProperty(int which, int *value);
int cufftXtSetGPUs(void);

/* Numbers of a repeatable sequence, from -1 to 1. */
static inline double next_number(void) {
    static uint32_t state = 12345;
    state = state * 1664525u + 1013904223u;
    return (double)((int)(state >> 16) % 17 - 8) / 8.0;
}

static inline void *device_memory(size_t bytes) {
    CUdeviceptr memory;
    CHECK(cuMemAlloc_v2(&memory, bytes));
    CHECK(cuMemsetD8_v2(memory, 0xee, bytes));
    return (void *)(uintptr_t)memory;
}

static inline void *uploaded(const void *host, size_t bytes) {
    void *memory = device_memory(bytes);
    CHECK(cuMemcpyHtoD_v2((CUdeviceptr)(uintptr_t)memory, host, bytes));
    return memory;
}

static inline void download(void *host, const void *device, size_t bytes) {
    CHECK(cuMemcpyDtoH_v2(host, (CUdeviceptr)(uintptr_t)device, bytes));
}

/* A transform in up to three dimensions by its definition, without a factor. */
static inline void transform(const double complex *x, double complex *y, const int *n, int rank, int direction) {
    int m[3] = {1, 1, 1};
    for (int i = 0; i < rank; i++) m[3 - rank + i] = n[i];
    for (int a = 0; a < m[0]; a++)
        for (int b = 0; b < m[1]; b++)
            for (int c = 0; c < m[2]; c++) {
                double complex sum = 0;
                for (int i = 0; i < m[0]; i++)
                    for (int j = 0; j < m[1]; j++)
                        for (int k = 0; k < m[2]; k++) {
                            double turns = (double)(a * i) / m[0] + (double)(b * j) / m[1] + (double)(c * k) / m[2];
                            sum += x[(i * m[1] + j) * m[2] + k] * cexp(direction * 2 * M_PI * I * turns);
                        }
                y[(a * m[1] + b) * m[2] + c] = sum;
            }
}

static inline bool is_near(double complex found, double complex wanted, double part) {
    return cabs(found - wanted) <= part * (1 + cabs(wanted));
}

#endif
