/* cuSPARSE's functions of the table. */
#include "../library/call.h"
#include "sparse.h"

#define SLUICE_API EXPORT
#define SLUICE_NAME(name) name
#define SLUICE_LIBRARY_FUNCTIONS
#include "../generated/sparse-functions.h"
