/* Documented functions of cuSOLVER that are not served. */
#include "../library/unsupported.h"
#include "refusals.def"
#include "unsupported.def"
