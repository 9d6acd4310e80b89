/* The compiler's error log: why an image is refused, cut to the buffer that the program gave, and empty for one that is taken. */
#include "driver.h"

enum { ERROR_LOG = 5, ERROR_LOG_BYTES = 6 };

static const char broken[] = PTX_HEADER ".visible .entry broken()\n{\nadd.u32 %no_such_register, 1, 2;\nret;\n}\n";
static const char good[] = PTX_HEADER ".visible .entry good()\n{\nret;\n}\n";

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int count, int *options, void **values);

static CUresult load_with(const char *image, char *log, size_t room, size_t *length) {
    CUmodule module;
    int options[] = {ERROR_LOG_BYTES, ERROR_LOG};
    void *values[] = {(void *)room, log};
    CUresult result = cuModuleLoadDataEx(&module, image, 2, options, values);
    *length = (size_t)values[0];
    return result;
}

int main(void) {
    char log[512], cut[8];
    size_t length;
    start();
    memset(log, 'x', sizeof log);
    EXPECT(load_with(broken, log, sizeof log, &length) != CUDA_SUCCESS);
    EXPECT(length > 0 && strstr(log, "no_such_register") != NULL);
    memset(cut, 'x', sizeof cut);
    EXPECT(load_with(broken, cut, 4, &length) != CUDA_SUCCESS);
    EXPECT(cut[3] == '\0' && memcmp(cut, log, 3) == 0 && cut[4] == 'x');
    CHECK(load_with(good, log, sizeof log, &length));
    EXPECT(length == 0 && log[0] == '\0');
    printf("ok\n");
    return 0;
}
