/*
 * Linking, for the one case that needs no linker: a single image, which is its own result. Programs that compile at run time hand
 * their PTX through here. Several images would have to be joined by the device's own linker, which the wire does not carry.
 */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

enum { INPUT_CUBIN = 0, INPUT_PTX = 1, INPUT_FATBIN = 2 };
enum { JIT_INFO_LOG = 3, JIT_INFO_BYTES = 4, JIT_ERROR_LOG = 5, JIT_ERROR_BYTES = 6 };

struct link_state {
    struct object object;
    char *image;
    size_t byte_count;
    unsigned option_count;
    int *options;
    void **values;
};

static struct object_pool links = OBJECT_POOL_INITIAL;

char *file_read(const char *path);

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

static CUresult add(struct link_state *state, int type, const void *data, size_t bytes) {
    if (!object_is(state, OBJECT_LINK)) return CUDA_ERROR_INVALID_HANDLE;
    if (data == NULL || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (type < INPUT_CUBIN || type > INPUT_FATBIN || state->image != NULL) {
        trace("cuLinkAddData: %s is not supported", state->image != NULL ? "linking several images" : "this kind of input");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    state->image = calloc(1, bytes + 64);
    if (state->image == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(state->image, data, bytes);
    state->byte_count = bytes;
    return CUDA_SUCCESS;
}

API(cuLinkAddData_v2,
    (CUlinkState state, int type, void *data, size_t bytes, const char *name, unsigned int count, int *options, void **values),
    (state, type, data, bytes, name, count, options, values)) {
    (void)name, (void)count, (void)options, (void)values;
    return add(state, type, data, bytes);
}
API_ALIAS(cuLinkAddData, cuLinkAddData_v2);

API(cuLinkAddFile_v2, (CUlinkState state, int type, const char *path, unsigned int count, int *options, void **values),
    (state, type, path, count, options, values)) {
    (void)count, (void)options, (void)values;
    char *code = path == NULL ? NULL : file_read(path);
    if (code == NULL) return CUDA_ERROR_FILE_NOT_FOUND;
    CUresult result = add(state, type, code, image_bytes(code));
    free(code);
    return result;
}
API_ALIAS(cuLinkAddFile, cuLinkAddFile_v2);

/* The logs' sizes come back through the options that cuLinkCreate was given. */
API(cuLinkComplete, (CUlinkState state, void **image, size_t *bytes), (state, image, bytes)) {
    if (!object_is(state, OBJECT_LINK)) return CUDA_ERROR_INVALID_HANDLE;
    if (image == NULL || state->image == NULL) return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < state->option_count; i++) {
        int option = state->options[i];
        if (option == JIT_INFO_BYTES || option == JIT_ERROR_BYTES) state->values[i] = NULL;
        if ((option == JIT_INFO_LOG || option == JIT_ERROR_LOG) && state->values[i] != NULL) *(char *)state->values[i] = '\0';
    }
    *image = state->image;
    if (bytes != NULL) *bytes = state->byte_count;
    return CUDA_SUCCESS;
}

API(cuLinkDestroy, (CUlinkState state), (state)) {
    if (!object_is(state, OBJECT_LINK)) return CUDA_ERROR_INVALID_HANDLE;
    free(state->image);
    object_destroy(&links, &state->object);
    return CUDA_SUCCESS;
}
