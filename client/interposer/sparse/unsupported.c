/* Documented functions of cuSPARSE that are not served. */
#include "../library/unsupported.h"
#include "refusals.def"
#include "unsupported.def"
