/* cuFFT's functions of the table, under names of their own: those of cuFFT take plans by number. */
#include "../library/call.h"
#include "fft.h"

#define SLUICE_API
#define SLUICE_NAME(name) sent_##name
#define SLUICE_LIBRARY_FUNCTIONS
#include "../generated/fft-functions.h"
