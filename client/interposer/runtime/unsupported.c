/* Documented functions that this library does not serve: programs that are linked to them start, and get told when they call one. */
#include "runtime.h"

static cudaError_t unsupported(const char *name) {
    trace("%s is not supported", name);
    return note_error(CUDA_ERROR_NOT_SUPPORTED);
}

#define UNSUPPORTED(symbol)                                                                                                             \
    EXPORT cudaError_t symbol(void);                                                                                                    \
    EXPORT cudaError_t symbol(void) {                                                                                                   \
        return unsupported(#symbol);                                                                                                    \
    }
#include "unsupported.def"
