/* Where a device has no cuSPARSE: versions can be asked for, handles cannot be had, and the device is there for the rest of the program. */
#include "sparse.h"

int cusparseSpVV(void);
int cusparseScsrilu02(void);

int main(void) {
    cusparseHandle_t handle = (cusparseHandle_t)1;
    int major;
    start();
    STATUS(cusparseGetProperty(0, &major), OK);
    EXPECT(major == 12);
    STATUS(cusparseCreate(&handle), NOT_INITIALIZED);
    EXPECT(handle == NULL);
    /* Descriptors are this side's until they are used. */
    number values[] = {1, 2, 3};
    CUdeviceptr at = upload_values(1, values, 3);
    cusparseDnVecDescr_t vector = vector_of(1, 3, at);
    STATUS(cusparseDnVecSetValues(vector, at), OK);
    STATUS(cusparseDestroyDnVec(vector), OK);
    STATUS(cusparseSpVV(), NOT_SUPPORTED);
    STATUS(cusparseScsrilu02(), NOT_SUPPORTED);
    EXPECT(is_near(download(1, at, 3), values, 3, 1));
    printf("ok\n");
    return 0;
}
