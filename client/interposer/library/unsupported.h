/*
 * Documented functions of a library that it does not serve: programs that are linked to them start, and get told when they call one. What makes them of the lines of
 * its refusals.def and unsupported.def.
 */
#include "library.h"

#define REFUSAL(reason, sentence) __attribute__((unused)) static const char *const reason = sentence;

#define UNSUPPORTED(symbol, reason)                                                                                                     \
    EXPORT int symbol(void);                                                                                                            \
    EXPORT int symbol(void) {                                                                                                           \
        return refuse(#symbol, "%s", reason);                                                                                           \
    }
