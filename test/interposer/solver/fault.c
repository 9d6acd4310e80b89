/* A list of a batch that leads nowhere: a fault of the device in the middle of other work, which every call hears of from then on. */
#include "solver.h"

int cusolverDnSpotrfBatched(cusolverDnHandle_t, int fill, int n, CUdeviceptr a, int lda, CUdeviceptr info, int batch);
int cusolverDnSpotrf_bufferSize(cusolverDnHandle_t, int fill, int n, CUdeviceptr a, int lda, int *lwork);
int cusolverDnSpotrf(cusolverDnHandle_t, int fill, int n, CUdeviceptr a, int lda, CUdeviceptr work, int lwork, CUdeviceptr info);

enum { N = 4, ILLEGAL_ADDRESS = 700 };

int main(void) {
    cusolverDnHandle_t handle;
    int lwork;
    start();
    STATUS(cusolverDnCreate(&handle), OK);
    struct matrix a = matrix_of(0, N, N);
    make_hermitian(&a, true);
    STATUS(cusolverDnSpotrf_bufferSize(handle, 0, N, a.device, a.leading, &lwork), OK);
    CUdeviceptr work = device_bytes(4 * (size_t)lwork), info = device_bytes(8), nowhere[] = {a.device, 16}, list = device_bytes(sizeof nowhere);
    CHECK(cuMemcpyHtoD_v2(list, nowhere, sizeof nowhere));
    STATUS(cusolverDnSpotrf(handle, 0, N, a.device, a.leading, work, lwork, info), OK);
    cusolverDnSpotrfBatched(handle, 0, N, list, a.leading, info, 2);
    EXPECT(cuCtxSynchronize() == ILLEGAL_ADDRESS);
    STATUS(cusolverDnSpotrf(handle, 0, N, a.device, a.leading, work, lwork, info), EXECUTION_FAILED);
    EXPECT(cuMemcpyDtoH_v2(nowhere, list, sizeof nowhere) == ILLEGAL_ADDRESS);
    printf("ok\n");
    return 0;
}
