/* Handles of cuSOLVER for dense matrices, and the version of the interface: as CUDA 13.0 has it, and CUDA 12.6. */
#include "solver.h"

/* As major * 1000 + minor * 100 + patch. */
enum { VERSION = SOLVER_MAJOR == 12 ? 12004 : 11701 };

LIBRARY_HANDLES(cusolverDn, cusolverDnHandle_t)

LIBRARY_API(cusolverGetProperty, (int which, int *value), (which, value)) {
    return property_into(VERSION, which, value);
}

LIBRARY_API(cusolverGetVersion, (int *version), (version)) {
    return version_into(VERSION, version);
}
