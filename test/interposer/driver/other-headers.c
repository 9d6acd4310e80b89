/* What programs that look functions up by name find beside cuda.h: the profiler's switches, first forms, and graphics, which say no. */
#include <dlfcn.h>

#include "driver.h"

static CUresult call(const char *name) {
    void *function = dlsym(RTLD_DEFAULT, name);
    if (function == NULL) {
        printf("%s is not there\n", name);
        exit(1);
    }
    return ((CUresult(*)(void *, size_t, size_t, size_t))(size_t)function)(NULL, 0, 0, 0);
}

int main(void) {
    void *found = NULL;
    CHECK(cuInit(0));
    EXPECT(dlopen("libcuda.so", RTLD_LAZY | RTLD_NOLOAD) != NULL);
    CHECK(call("cuProfilerStart"));
    CHECK(call("cuProfilerStop"));
    CHECK(cuGetProcAddress_v2("cuProfilerStart", &found, 12000, 0, NULL));
    EXPECT(found != NULL);
    static const char *const refused[] = {"cuGLGetDevices_v2", "cuGraphicsGLRegisterImage", "cuEGLStreamProducerConnect", "cuVDPAUGetDevice",
                                          "cuModuleGetGlobal", "cuMemAlloc", "cuMemcpyHtoD", "cuProfilerInitialize"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) CHECK_FAILS(call(refused[i]), CUDA_ERROR_NOT_SUPPORTED);
    CHECK_FAILS(call("cuCtxCreate"), CUDA_ERROR_INVALID_VALUE);
    printf("ok\n");
    return 0;
}
