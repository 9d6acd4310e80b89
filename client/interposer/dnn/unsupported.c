/* Documented functions of cuDNN that this library does not serve: programs that are linked to them start, and get told when they call one. */
#include "dnn.h"

#define REFUSAL(reason, sentence) __attribute__((unused)) static const char *const reason = sentence;
#include "refusals.def"

#define UNSUPPORTED(symbol, reason)                                                                                                     \
    EXPORT cudnnStatus_t symbol(void);                                                                                                  \
    EXPORT cudnnStatus_t symbol(void) {                                                                                                 \
        return refuse(#symbol, "%s", reason);                                                                                           \
    }
#include "unsupported.def"
