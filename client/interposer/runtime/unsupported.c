/* Documented functions that this library does not serve; as driver/unsupported.c. */
#include "runtime.h"

#define REFUSAL(reason, sentence) __attribute__((unused)) static const char *const reason = sentence;
#include "../core/refusals.def"

#define UNSUPPORTED(symbol, reason)                                                                                                     \
    EXPORT cudaError_t symbol(void);                                                                                                    \
    EXPORT cudaError_t symbol(void) {                                                                                                   \
        trace_refusal(#symbol, reason);                                                                                                 \
        return note_error(CUDA_ERROR_NOT_SUPPORTED);                                                                                    \
    }
#include "unsupported.def"
