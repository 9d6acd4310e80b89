/* Documented functions that this library does not serve: programs that are linked to them start, and get told when they call one. */
#include "driver.h"

CUresult sluice_unsupported(const char *symbol);

CUresult sluice_unsupported(const char *symbol) {
    trace("%s is not supported", symbol);
    return CUDA_ERROR_NOT_SUPPORTED;
}

#define UNSUPPORTED(symbol)                                                                                                             \
    EXPORT CUresult symbol(void);                                                                                                       \
    EXPORT CUresult symbol(void) {                                                                                                      \
        return sluice_unsupported(#symbol);                                                                                             \
    }
#include "unsupported.def"
