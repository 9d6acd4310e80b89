/*
 * Questions of NVML that a slice has no answer to: about the machine that owns the GPU, and about what other jobs do on it. Programs
 * that look for the functions find them, and are told that this device does not support them.
 */
#include "../core/report.h"

#define UNSUPPORTED(name)                                                                                                               \
    __attribute__((visibility("default"))) int name(void);                                                                              \
    int name(void) {                                                                                                                    \
        trace(#name " is not supported");                                                                                               \
        return 3; /* NVML_ERROR_NOT_SUPPORTED */                                                                                        \
    }
#include "unsupported.def"
