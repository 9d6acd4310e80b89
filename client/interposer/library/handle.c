/* Handles of a library, and what the server's is. */
#include <stdlib.h>
#include <string.h>

#include "../driver/own-context.h"
#include "library.h"

#define HANDLE_MAGIC 0x51c0d33bu

bool is_handle(const struct library_handle *handle) {
    return handle != NULL && handle->magic == HANDLE_MAGIC;
}

int handle_enter(const struct library_handle *handle) {
    CUcontext current = NULL;
    if (!is_handle(handle)) return library.null_pointer;
    if (cuCtxGetCurrent(&current) == CUDA_SUCCESS && current != NULL) return 0;
    return status_of(cuCtxSetCurrent(handle->context));
}

bool is_capturing(const struct library_handle *handle) {
    int capture = 0;
    return cuStreamIsCapturing(handle->stream, &capture) == CUDA_SUCCESS && capture != 0;
}

int enter(uint32_t *device) {
    struct sluice_library_open_answer opened;
    const char *why = "";
    CUresult result = enter_context();
    if (result == CUDA_SUCCESS) result = sluiceLibraryOpen(library.number, device, &opened, &why);
    if (result != CUDA_SUCCESS) set_message(why, strlen(why));
    if (result != CUDA_ERROR_NOT_SUPPORTED) return status_of(result);
    report("there is no %s for this program: %s", library.name, why);
    return library.not_initialized;
}

int handle_init(struct library_handle *handle) {
    uint32_t device;
    int status = enter(&device);
    if (status != 0) return status;
    *handle = (struct library_handle){.magic = HANDLE_MAGIC, .device = device};
    cuCtxGetCurrent(&handle->context);
    return 0;
}

int handle_create(struct library_handle **handle) {
    if (handle == NULL) return library.null_pointer;
    *handle = NULL;
    struct library_handle *made = malloc(sizeof *made);
    if (made == NULL) return library.no_memory;
    int status = handle_init(made);
    if (status == 0) *handle = made;
    else free(made);
    return status;
}

int handle_destroy(struct library_handle *handle) {
    if (!is_handle(handle)) return library.null_pointer;
    handle->magic = 0;
    free(handle);
    return 0;
}

int handle_set_stream(struct library_handle *handle, CUstream stream) {
    if (!is_handle(handle)) return library.null_pointer;
    handle->stream = stream;
    return 0;
}

int handle_get_stream(const struct library_handle *handle, CUstream *stream) {
    if (!is_handle(handle) || stream == NULL) return library.null_pointer;
    *stream = handle->stream;
    return 0;
}

struct sluice_library_open_answer opened_here(void) {
    struct sluice_library_open_answer opened = {0};
    const char *why;
    uint32_t device;
    if (cuInit(0) == CUDA_SUCCESS) sluiceLibraryOpen(library.number, &device, &opened, &why);
    return opened;
}
