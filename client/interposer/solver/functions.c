/* cuSOLVER's functions of the table. */
#include "../library/call.h"
#include "solver.h"

#define SLUICE_API EXPORT
#define SLUICE_NAME(name) name
#define SLUICE_LIBRARY_FUNCTIONS
#include "../generated/solver-functions.h"
