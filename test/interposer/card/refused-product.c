/* A product that the server cannot compute is told of by the next call that waits, and by all that follow; nothing hangs. */
#include "../blas/blas.h"

int main(void) {
    cublasHandle_t handle;
    float one = 1, zero = 0, found;
    start();
    STATUS(cublasCreate_v2(&handle), OK);
    struct array a = array_of(R_32F, 16), c = array_of(R_32F, 16);
    float *p = on_device(&a), *result = on_device(&c);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 4, 4, 4, &one, p, 4, p, 4, &zero, result, 4), OK);
    CHECK_FAILS(cuMemcpyDtoH_v2(&found, c.device, 4), CUDA_ERROR_NOT_SUPPORTED);
    CHECK_FAILS(cuCtxSynchronize(), CUDA_ERROR_NOT_SUPPORTED);
    STATUS(cublasSgemm_v2(handle, OP_N, OP_N, 4, 4, 4, &one, p, 4, p, 4, &zero, result, 4), NOT_SUPPORTED);
    cublasDestroy_v2(handle);
    puts("ok");
    return 0;
}
