/* Where a device has no cuSOLVER: versions can be asked for, handles cannot be had, and the device is there for the rest of the program. */
#include "solver.h"

int cusolverDnSpotri(void);
int cusolverSpCreate(void **handle);

int main(void) {
    cusolverDnHandle_t handle = (cusolverDnHandle_t)1;
    gesvdjInfo_t parameters;
    int version, major;
    void *sparse;
    start();
    STATUS(cusolverGetVersion(&version), OK);
    STATUS(cusolverGetProperty(0, &major), OK);
    EXPECT(major == version / 1000 && (major == 11 || major == 12));
    STATUS(cusolverDnCreate(&handle), NOT_INITIALIZED);
    EXPECT(handle == NULL);
    /* Parameters are this side's until they are used. */
    STATUS(cusolverDnCreateGesvdjInfo(&parameters), OK);
    STATUS(cusolverDnXgesvdjSetMaxSweeps(parameters, 3), OK);
    STATUS(cusolverDnDestroyGesvdjInfo(parameters), OK);
    STATUS(cusolverDnSpotri(), NOT_SUPPORTED);
    STATUS(cusolverSpCreate(&sparse), NOT_SUPPORTED);
    struct matrix matrix = matrix_of(1, 3, 3);
    EXPECT(is_near(download(&matrix), matrix.host, 9, 1));
    printf("ok\n");
    return 0;
}
