/* Documented functions of cuBLAS that this library does not serve: programs that are linked to them start, and get told when they call one. */
#include "blas.h"

#define REFUSAL(reason, sentence) __attribute__((unused)) static const char *const reason = sentence;
#include "refusals.def"

#define UNSUPPORTED(symbol, reason)                                                                                                     \
    EXPORT cublasStatus_t symbol(void);                                                                                                 \
    EXPORT cublasStatus_t symbol(void) {                                                                                                \
        return blas_refuse(#symbol, "%s", reason);                                                                                      \
    }
#include "unsupported.def"
