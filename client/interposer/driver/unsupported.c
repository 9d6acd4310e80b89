/*
 * Documented functions that this library does not serve: programs that are linked to them start, and get told when they call one. The
 * trace says why.
 */
#include "driver.h"

#define REFUSAL(reason, sentence) static const char *const reason = sentence;
#include "../core/refusals.def"

#define UNSUPPORTED(symbol, reason)                                                                                                     \
    EXPORT CUresult symbol(void);                                                                                                       \
    EXPORT CUresult symbol(void) {                                                                                                      \
        trace_refusal(#symbol, reason);                                                                                                 \
        return CUDA_ERROR_NOT_SUPPORTED;                                                                                                \
    }
#include "unsupported.def"
