/* A product that the server promised to compute, and its cuBLASLt then refuses: the program believes it queued, so nothing goes on as if it were done. */
#include "../blas/blas.h"

int main(void) {
    cublasHandle_t handle;
    float one = 1, zero = 0;
    start();
    STATUS(cublasCreate_v2(&handle), OK);
    struct array array = array_of(R_32F, 32);
    float *p = on_device(&array);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 4, 4, 4, &one, p, 4, p, 4, &zero, p + 16, 4), OK);
    for (int i = 0; i < 3; i++) CHECK_FAILS(cuCtxSynchronize(), CUDA_ERROR_NOT_SUPPORTED);
    CHECK_FAILS(cuMemcpyDtoH_v2(&one, (CUdeviceptr)(uintptr_t)p, sizeof one), CUDA_ERROR_NOT_SUPPORTED);
    puts("ok");
    return 0;
}
