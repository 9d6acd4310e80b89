/*
 * Linking. The inputs are kept as the program gives them, and become one image that names them all; it is linked where it is loaded, by the
 * device's own linker. So that mistakes are told here, completing a link loads the result once.
 */
#include <stdlib.h>
#include <string.h>

#include "../core/link-image.h"
#include "driver.h"

struct link_state {
    struct object object;
    struct link_input *inputs;
    size_t count, capacity;
    void *image;
    size_t byte_count;
    unsigned option_count;
    int *options;
    void **values;
};

static struct object_pool links = OBJECT_POOL_INITIAL;

API(cuLinkCreate_v2, (unsigned int count, int *options, void **values, CUlinkState *state), (count, options, values, state)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (state == NULL || (count > 0 && (options == NULL || values == NULL))) return CUDA_ERROR_INVALID_VALUE;
    struct link_state *made = object_new(&links, OBJECT_LINK, sizeof *made);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    made->option_count = count;
    made->options = options;
    made->values = values;
    *state = made;
    return CUDA_SUCCESS;
}
API_ALIAS(cuLinkCreate, cuLinkCreate_v2);

static bool looks_right(int kind, const void *data, size_t bytes) {
    if (bytes < 4) return false;
    if (kind == INPUT_CUBIN || kind == INPUT_OBJECT) return memcmp(data, "\177ELF", 4) == 0;
    return kind != INPUT_LIBRARY || (bytes >= 8 && memcmp(data, "!<arch>\n", 8) == 0);
}

static CUresult add(struct link_state *state, int kind, const void *data, size_t bytes) {
    if (!object_is(state, OBJECT_LINK)) return CUDA_ERROR_INVALID_HANDLE;
    if (data == NULL || bytes == 0 || kind < INPUT_CUBIN || state->image != NULL) return CUDA_ERROR_INVALID_VALUE;
    if (kind > INPUT_LIBRARY) {
        trace("linking an input of kind [%d] is not supported", kind);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    /* A fat binary may come in its wrapper, whose size is not that of what it points to; text may or may not count its terminator. */
    size_t own = kind == INPUT_FATBIN ? image_bytes(data) : 0;
    if (kind == INPUT_FATBIN && own == 0) return CUDA_ERROR_INVALID_IMAGE;
    if (kind == INPUT_PTX) bytes = strnlen(data, bytes);
    if (!looks_right(kind, data, own > 0 ? own : bytes)) return kind == INPUT_PTX ? CUDA_ERROR_INVALID_PTX : CUDA_ERROR_INVALID_IMAGE;
    if (state->count == LINK_INPUTS_MAX) return CUDA_ERROR_OUT_OF_MEMORY;
    if (state->count == state->capacity) {
        size_t capacity = state->capacity == 0 ? 8 : state->capacity * 2;
        struct link_input *larger = realloc(state->inputs, capacity * sizeof *larger);
        if (larger == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
        state->inputs = larger;
        state->capacity = capacity;
    }
    const void *from = own > 0 ? image_start(data) : data;
    if (own > 0) bytes = own;
    char *copy = calloc(1, bytes + 8);
    if (copy == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(copy, from, bytes);
    state->inputs[state->count++] = (struct link_input){kind, copy, bytes};
    return CUDA_SUCCESS;
}

API(cuLinkAddData_v2,
    (CUlinkState state, int kind, void *data, size_t bytes, const char *name, unsigned int count, int *options, void **values),
    (state, kind, data, bytes, name, count, options, values)) {
    (void)name, (void)count, (void)options, (void)values;
    return add(state, kind, data, bytes);
}
API_ALIAS(cuLinkAddData, cuLinkAddData_v2);

API(cuLinkAddFile_v2, (CUlinkState state, int kind, const char *path, unsigned int count, int *options, void **values),
    (state, kind, path, count, options, values)) {
    (void)count, (void)options, (void)values;
    size_t bytes = 0;
    char *code = path == NULL ? NULL : file_read(path, &bytes);
    if (code == NULL) return CUDA_ERROR_FILE_NOT_FOUND;
    CUresult result = add(state, kind, code, bytes);
    free(code);
    return result;
}
API_ALIAS(cuLinkAddFile, cuLinkAddFile_v2);

/* The logs' sizes come back through the options that cuLinkCreate was given. */
API(cuLinkComplete, (CUlinkState state, void **image, size_t *bytes), (state, image, bytes)) {
    struct context *context;
    struct module *module;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (!object_is(state, OBJECT_LINK)) return CUDA_ERROR_INVALID_HANDLE;
    if (image == NULL || state->count == 0) return CUDA_ERROR_INVALID_VALUE;
    if (state->image == NULL) state->image = link_image_make(state->inputs, state->count, &state->byte_count);
    if (state->image == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    result = module_load(context, state->image, &module);
    write_logs(state->option_count, state->options, state->values, result);
    if (result != CUDA_SUCCESS) return result;
    module_unload(module);
    *image = state->image;
    if (bytes != NULL) *bytes = state->byte_count;
    return CUDA_SUCCESS;
}

API(cuLinkDestroy, (CUlinkState state), (state)) {
    if (!object_is(state, OBJECT_LINK)) return CUDA_ERROR_INVALID_HANDLE;
    for (size_t i = 0; i < state->count; i++) free((void *)(uintptr_t)state->inputs[i].data);
    free(state->inputs);
    free(state->image);
    object_destroy(&links, &state->object);
    return CUDA_SUCCESS;
}
