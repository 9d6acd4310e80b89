/* Names and sentences of CUDA's errors. */
#include "driver.h"

struct error_text {
    CUresult error;
    const char *name;
    const char *text;
};

static const struct error_text texts[] = {
#define ERROR(number, name, text) {number, "CUDA_" name, text},
#include "errors.def"
#undef ERROR
};

static const struct error_text *find(CUresult error) {
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].error == error) return &texts[i];
    return NULL;
}

void trace_call(const char *name, CUresult result) {
    const struct error_text *found = find(result);
    trace("%s %s", name, found == NULL ? "CUDA_ERROR_UNKNOWN" : found->name);
}

API_ALWAYS(cuGetErrorName, (CUresult error, const char **name), (error, name)) {
    const struct error_text *found = find(error);
    if (name == NULL) return CUDA_ERROR_INVALID_VALUE;
    *name = found == NULL ? NULL : found->name;
    return found == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

API_ALWAYS(cuGetErrorString, (CUresult error, const char **text), (error, text)) {
    const struct error_text *found = find(error);
    if (text == NULL) return CUDA_ERROR_INVALID_VALUE;
    *text = found == NULL ? NULL : found->text;
    return found == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
