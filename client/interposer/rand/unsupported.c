/* Documented functions of cuRAND that are not served. */
#include "../library/unsupported.h"
#include "refusals.def"
#include "unsupported.def"
