/*
 * Libraries: images without a context. Each is loaded on a device when it is first used there; a kernel of one stands for its function
 * on whichever device the calling thread works.
 */
#include <stdlib.h>
#include <string.h>

#include "managed.h"

struct kernel {
    struct object object;
    struct library *library;
    char *name;
    struct function *_Atomic functions[SLUICE_SLICES_PER_LEASE_MAX];
};

struct library {
    struct object object;
    pthread_mutex_t lock;
    char *code;
    struct module *modules[SLUICE_SLICES_PER_LEASE_MAX];
    uint32_t kernel_count;
    struct kernel *kernels;
    /* Where its managed variables are, or 0. */
    uint64_t managed;
};

static struct object_pool libraries = OBJECT_POOL_INITIAL;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

/* A copy of the image: the program may free its own after cuLibraryLoadData. */
static char *copy_code(const void *code) {
    size_t bytes = image_bytes(code);
    if (bytes == 0) return NULL;
    char *copy = calloc(1, bytes + 64);
    if (copy != NULL) memcpy(copy, image_start(code), bytes);
    return copy;
}

/* The device that the thread works on; without a context, the first. */
static struct context *context_for_library(void) {
    struct context *context;
    if (current_context(&context) == CUDA_SUCCESS) return context;
    return &driver.devices[0]->primary;
}

static CUresult name_kernels(struct library *library, struct module *module) {
    library->kernels = calloc(module->function_count + 1, sizeof *library->kernels);
    if (library->kernels == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < module->function_count; i++) {
        struct kernel *kernel = &library->kernels[i];
        kernel->library = library;
        kernel->name = strdup(module->functions[i].name);
        atomic_store(&kernel->object.kind, OBJECT_KERNEL);
    }
    library->kernel_count = module->function_count;
    return CUDA_SUCCESS;
}

/* Modules of libraries belong to no context; they are kept out of its list by living in the primary one and being unloaded here. */
static CUresult load_on(struct library *library, struct device *device, struct module **module) {
    pthread_mutex_lock(&library->lock);
    CUresult result = CUDA_SUCCESS;
    if (library->modules[device->index] == NULL) {
        struct context unlisted = {.device = device};
        result = module_load(&unlisted, library->code, &library->modules[device->index]);
        if (result == CUDA_SUCCESS) {
            library->modules[device->index]->context = &device->primary;
            library->modules[device->index]->next = NULL;
        }
        if (result == CUDA_SUCCESS && library->kernels == NULL) result = name_kernels(library, library->modules[device->index]);
    }
    *module = library->modules[device->index];
    pthread_mutex_unlock(&library->lock);
    return result;
}

static CUresult load(CUlibrary *library, const void *code) {
    if (library == NULL || code == NULL) return CUDA_ERROR_INVALID_VALUE;
    struct library *made = object_new(&libraries, OBJECT_LIBRARY, sizeof *made);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    pthread_mutex_init(&made->lock, NULL);
    made->code = copy_code(code);
    struct module *module;
    CUresult result = made->code == NULL ? CUDA_ERROR_INVALID_IMAGE : load_on(made, context_for_library()->device, &module);
    if (result == CUDA_SUCCESS) {
        *library = made;
    } else {
        free(made->code);
        object_destroy(&libraries, &made->object);
    }
    return result;
}

API(cuLibraryLoadData,
    (CUlibrary *library, const void *code, int *jit_options, void **jit_values, unsigned int jit_count, int *options, void **values,
     unsigned int count),
    (library, code, jit_options, jit_values, jit_count, options, values, count)) {
    (void)jit_options, (void)jit_values, (void)jit_count, (void)options, (void)values, (void)count;
    return load(library, code);
}

API(cuLibraryLoadFromFile,
    (CUlibrary *library, const char *path, int *jit_options, void **jit_values, unsigned int jit_count, int *options, void **values,
     unsigned int count),
    (library, path, jit_options, jit_values, jit_count, options, values, count)) {
    (void)jit_options, (void)jit_values, (void)jit_count, (void)options, (void)values, (void)count;
    if (path == NULL) return CUDA_ERROR_INVALID_VALUE;
    char *code = file_read(path, NULL);
    if (code == NULL) return CUDA_ERROR_FILE_NOT_FOUND;
    CUresult result = load(library, code);
    free(code);
    return result;
}

API(cuLibraryUnload, (CUlibrary library), (library)) {
    if (!object_is(library, OBJECT_LIBRARY)) return CUDA_ERROR_INVALID_HANDLE;
    pthread_mutex_lock(&list_lock);
    if (library->managed != 0) managed_forget(library->managed);
    for (uint32_t i = 0; i < SLUICE_SLICES_PER_LEASE_MAX; i++)
        if (library->modules[i] != NULL) module_unload(library->modules[i]);
    for (uint32_t i = 0; i < library->kernel_count; i++) {
        atomic_store(&library->kernels[i].object.kind, OBJECT_DESTROYED);
        free(library->kernels[i].name);
    }
    free(library->code);
    object_destroy(&libraries, &library->object);
    pthread_mutex_unlock(&list_lock);
    return CUDA_SUCCESS;
}

API(cuLibraryGetKernel, (CUkernel *kernel, CUlibrary library, const char *name), (kernel, library, name)) {
    if (kernel == NULL || name == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (!object_is(library, OBJECT_LIBRARY)) return CUDA_ERROR_INVALID_HANDLE;
    for (uint32_t i = 0; i < library->kernel_count; i++) {
        if (strcmp(library->kernels[i].name, name) != 0) continue;
        *kernel = &library->kernels[i];
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_NOT_FOUND;
}

API(cuLibraryGetKernelCount, (unsigned int *count, CUlibrary library), (count, library)) {
    if (count == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (!object_is(library, OBJECT_LIBRARY)) return CUDA_ERROR_INVALID_HANDLE;
    *count = library->kernel_count;
    return CUDA_SUCCESS;
}

API(cuLibraryEnumerateKernels, (CUkernel *kernels, unsigned int count, CUlibrary library), (kernels, count, library)) {
    if (kernels == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (!object_is(library, OBJECT_LIBRARY)) return CUDA_ERROR_INVALID_HANDLE;
    for (uint32_t i = 0; i < count && i < library->kernel_count; i++) kernels[i] = &library->kernels[i];
    return CUDA_SUCCESS;
}

API(cuLibraryGetModule, (CUmodule *module, CUlibrary library), (module, library)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (module == NULL) return CUDA_ERROR_INVALID_VALUE;
    return object_is(library, OBJECT_LIBRARY) ? load_on(library, context->device, module) : CUDA_ERROR_INVALID_HANDLE;
}

API(cuLibraryGetGlobal, (CUdeviceptr *address, size_t *bytes, CUlibrary library, const char *name), (address, bytes, library, name)) {
    struct context *context;
    struct module *module;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (name == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (!object_is(library, OBJECT_LIBRARY)) return CUDA_ERROR_INVALID_HANDLE;
    result = load_on(library, context->device, &module);
    if (result != CUDA_SUCCESS) return result;
    struct global *global = module_global(module, name);
    if (global == NULL) return CUDA_ERROR_NOT_FOUND;
    if (address != NULL) *address = global->address;
    if (bytes != NULL) *bytes = global->byte_count;
    return CUDA_SUCCESS;
}

EXPORT CUresult sluiceAdoptManaged(CUlibrary library, const char *const *names, unsigned int count, CUdeviceptr *addresses) {
    struct context *context;
    struct module *module;
    CUresult result = driver_check();
    if (result == CUDA_SUCCESS) result = current_context(&context);
    if (result == CUDA_SUCCESS) result = load_on(library, context->device, &module);
    struct part *parts = calloc(count, sizeof *parts);
    if (result == CUDA_SUCCESS && parts == NULL) result = CUDA_ERROR_OUT_OF_MEMORY;
    for (unsigned int i = 0; i < count && result == CUDA_SUCCESS; i++) {
        const struct global *global = module_global(module, names[i]);
        if (global == NULL) result = CUDA_ERROR_NOT_FOUND;
        else parts[i] = (struct part){addresses[i] = global->address, global->byte_count};
    }
    if (result == CUDA_SUCCESS) result = managed_adopt(context->device, parts, count, &library->managed);
    if (result != CUDA_SUCCESS) library->managed = 0;
    free(parts);
    return result;
}

static CUresult function_on(struct kernel *kernel, struct device *device, struct function **function) {
    *function = atomic_load_explicit(&kernel->functions[device->index], memory_order_acquire);
    if (*function != NULL) return CUDA_SUCCESS;
    struct module *module;
    CUresult result = load_on(kernel->library, device, &module);
    if (result != CUDA_SUCCESS) return result;
    *function = module_function(module, kernel->name);
    if (*function == NULL) return CUDA_ERROR_NOT_FOUND;
    atomic_store_explicit(&kernel->functions[device->index], *function, memory_order_release);
    return CUDA_SUCCESS;
}

/* A kernel may stand where a function is asked for. */
CUresult function_of(CUfunction handle, struct context *context, struct function **function) {
    if (object_is(handle, OBJECT_FUNCTION)) {
        *function = handle;
        return CUDA_SUCCESS;
    }
    if (!object_is(handle, OBJECT_KERNEL)) return CUDA_ERROR_INVALID_HANDLE;
    return function_on((struct kernel *)handle, context->device, function);
}

API(cuKernelGetFunction, (CUfunction *function, CUkernel kernel), (function, kernel)) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    if (function == NULL) return CUDA_ERROR_INVALID_VALUE;
    return object_is(kernel, OBJECT_KERNEL) ? function_on(kernel, context->device, function) : CUDA_ERROR_INVALID_HANDLE;
}

API(cuKernelGetLibrary, (CUlibrary *library, CUkernel kernel), (library, kernel)) {
    if (library == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (!object_is(kernel, OBJECT_KERNEL)) return CUDA_ERROR_INVALID_HANDLE;
    *library = kernel->library;
    return CUDA_SUCCESS;
}

API(cuKernelGetName, (const char **name, CUkernel kernel), (name, kernel)) {
    if (name == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (!object_is(kernel, OBJECT_KERNEL)) return CUDA_ERROR_INVALID_HANDLE;
    *name = kernel->name;
    return CUDA_SUCCESS;
}

API(cuKernelGetParamInfo, (CUkernel kernel, size_t index, size_t *offset, size_t *size), (kernel, index, offset, size)) {
    struct function *function;
    if (!object_is(kernel, OBJECT_KERNEL)) return CUDA_ERROR_INVALID_HANDLE;
    CUresult result = function_on(kernel, context_for_library()->device, &function);
    return result == CUDA_SUCCESS ? cuFuncGetParamInfo(function, index, offset, size) : result;
}

/* The kernel's function on the device of this number. */
static CUresult function_on_ordinal(CUkernel kernel, CUdevice device, struct function **function) {
    struct device *found;
    CUresult result = device_of(device, &found);
    if (result != CUDA_SUCCESS) return result;
    return object_is(kernel, OBJECT_KERNEL) ? function_on(kernel, found, function) : CUDA_ERROR_INVALID_HANDLE;
}

API(cuKernelGetAttribute, (int *value, int attribute, CUkernel kernel, CUdevice device), (value, attribute, kernel, device)) {
    struct function *function;
    CUresult result = function_on_ordinal(kernel, device, &function);
    return result == CUDA_SUCCESS ? cuFuncGetAttribute(value, attribute, function) : result;
}

API(cuKernelSetAttribute, (int attribute, int value, CUkernel kernel, CUdevice device), (attribute, value, kernel, device)) {
    struct function *function;
    CUresult result = function_on_ordinal(kernel, device, &function);
    return result == CUDA_SUCCESS ? cuFuncSetAttribute(function, attribute, value) : result;
}

API(cuKernelSetCacheConfig, (CUkernel kernel, int config, CUdevice device), (kernel, config, device)) {
    struct function *function;
    CUresult result = function_on_ordinal(kernel, device, &function);
    return result == CUDA_SUCCESS ? cuFuncSetCacheConfig(function, config) : result;
}
