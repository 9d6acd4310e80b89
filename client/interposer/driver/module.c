/* Modules: sending an image, and the kernels and variables that the answer names. A module is loaded on one device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/sha256.h"
#include "driver.h"

static struct object_pool modules = OBJECT_POOL_INITIAL;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

DEFINE_SEND(module_unload, MODULE_UNLOAD)
static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;

DEFINE_ASK(module_load, MODULE_LOAD)
DEFINE_ASK(module_load_cached, MODULE_LOAD_CACHED)

static CUresult send_image(uint32_t id, const struct image *image) {
    const uint8_t *from = image->data;
    bool is_lent = false;
    for (size_t done = 0; done < image->byte_count;) {
        size_t left = image->byte_count - done;
        size_t piece = left < SLUICE_CALL_DATA_BYTES_MAX ? left : SLUICE_CALL_DATA_BYTES_MAX;
        struct sluice_image_write_call call = {
            .image = id, .total_bytes = (uint32_t)image->byte_count, .offset = (uint32_t)done, .data = {NULL, piece}};
        size_t fixed = sluice_size_image_write_call(&call) - sluice_pad8(piece);
        uint8_t *at = call_begin(&driver.connection, SLUICE_OP_IMAGE_WRITE, fixed);
        if (at == NULL) break;
        sluice_encode_image_write_call(at, &call);
        sluice_put_u32(at - 4, (uint32_t)(8 + fixed + sluice_pad8(piece)));
        is_lent |= call_end_with_data(&driver.connection, NULL, from + done, piece);
        done += piece;
    }
    if (is_lent) data_take_back(&driver.connection, image->data, image->byte_count);
    return connection_result();
}

static char *copy_name(struct sluice_bytes name) {
    char *copy = malloc(name.byte_count + 1);
    if (copy == NULL) return NULL;
    memcpy(copy, name.data, name.byte_count);
    copy[name.byte_count] = '\0';
    return copy;
}

static bool read_function(struct function *function, const struct sluice_kernel_info *info, struct module *module) {
    struct sluice_list parameters = info->params;
    struct sluice_param_info parameter;
    atomic_store(&function->object.kind, OBJECT_FUNCTION);
    function->module = module;
    function->name = copy_name(info->name);
    function->index = (uint32_t)(function - module->functions);
    function->parameter_count = parameters.count;
    function->parameter_bytes = info->param_bytes;
    function->parameters = calloc(parameters.count + 1, sizeof *function->parameters);
    function->threads_max = info->threads_per_block_max;
    function->shared_bytes = info->shared_bytes;
    function->local_bytes = info->local_bytes;
    function->constant_bytes = info->constant_bytes;
    function->registers = info->registers;
    function->ptx_version = info->ptx_version;
    function->binary_version = info->binary_version;
    function->uses_heap = info->uses_heap != 0;
    function->refusal_code = info->refusal_code;
    function->refusal = copy_name(info->refusal);
    function->shared_dynamic_max = -1;
    function->carveout = -1;
    if (function->name == NULL || function->refusal == NULL || function->parameters == NULL || info->param_bytes > SLUICE_PARAM_BYTES_MAX) return false;
    for (uint32_t i = 0; sluice_next_param_info(&parameters, &parameter) == 1; i++) {
        if (parameter.offset > info->param_bytes || parameter.size > info->param_bytes - parameter.offset) return false;
        function->parameters[i] = (struct parameter){parameter.offset, parameter.size};
    }
    return parameters.count == 0;
}

/* What cannot be read is a peer that breaks the format. */
static bool read_module(struct module *module, struct sluice_list kernels, struct sluice_list globals) {
    struct sluice_kernel_info kernel;
    struct sluice_global_info global;
    module->functions = calloc(kernels.count + 1, sizeof *module->functions);
    module->globals = calloc(globals.count + 1, sizeof *module->globals);
    if (module->functions == NULL || module->globals == NULL) return false;
    while (sluice_next_kernel_info(&kernels, &kernel) == 1)
        if (!read_function(&module->functions[module->function_count++], &kernel, module)) return false;
    while (sluice_next_global_info(&globals, &global) == 1) {
        struct global *into = &module->globals[module->global_count++];
        *into = (struct global){copy_name(global.name), global.address, global.byte_count};
        if (into->name == NULL) return false;
    }
    return kernels.count == 0 && globals.count == 0;
}

/* Names and parameters go; functions stay as long as the process, so that a stale handle is recognised. */
static void drop(struct module *module) {
    for (uint32_t i = 0; i < module->function_count; i++) {
        atomic_store(&module->functions[i].object.kind, OBJECT_DESTROYED);
        free((char *)(uintptr_t)module->functions[i].name);
        free((char *)(uintptr_t)module->functions[i].refusal);
        free(module->functions[i].parameters);
        free(module->functions[i].steps);
    }
    for (uint32_t i = 0; i < module->global_count; i++) free(module->globals[i].name);
    free(module->globals);
    module->globals = NULL;
    object_destroy(&modules, &module->object);
}

/* The hashes of the image's pieces, by which the server knows what it keeps, in memory of malloc. */
static struct sluice_bytes hash_pieces(const struct image *image) {
    size_t count = (image->byte_count + SLUICE_CALL_DATA_BYTES_MAX - 1) / SLUICE_CALL_DATA_BYTES_MAX;
    uint8_t *hashes = malloc(count * SLUICE_SHA256_BYTES);
    for (size_t i = 0; hashes != NULL && i < count; i++) {
        size_t at = i * SLUICE_CALL_DATA_BYTES_MAX, left = image->byte_count - at;
        struct sha256 hash;
        sha256_start(&hash);
        sha256_add(&hash, (const uint8_t *)image->data + at, left < SLUICE_CALL_DATA_BYTES_MAX ? left : SLUICE_CALL_DATA_BYTES_MAX);
        sha256_finish(&hash, hashes + i * SLUICE_SHA256_BYTES);
    }
    return (struct sluice_bytes){hashes, hashes == NULL ? 0 : count * SLUICE_SHA256_BYTES};
}

/* The server has waited for the device where it has taken memory from the end of the slice, for the module. */
static void keep_end(struct device *device, uint64_t reserved_bytes) {
    if (reserved_bytes != device->arena.reserved_bytes && !memory_reserve_end(device, reserved_bytes))
        trace("there is no memory to note what a module has of the slice");
}

/* Loads an image by the hashes of its pieces, or once it is sent, and then the server keeps it. `is_held`: whether it was there. */
static CUresult load_cached(struct module *module, struct sluice_module_load_cached_call *call, bool *is_held) {
    struct answer answer = ANSWER_INITIAL;
    struct sluice_module_load_cached_answer loaded;
    call->module = module->id;
    call->device = module->device->index;
    memory_hold_end(module->device);
    CUresult result = ask_module_load_cached(call, &answer);
    bool is_told = result == CUDA_SUCCESS, is_good = is_told && sluice_decode_module_load_cached_answer(answer.body, answer.body_bytes, &loaded) == 0;
    *is_held = is_good && loaded.held != 0;
    if (*is_held) keep_end(module->device, loaded.reserved_bytes);
    memory_leave_end(module->device);
    if (!is_told) return result;
    if (!is_good || (*is_held && !read_module(module, loaded.kernels, loaded.globals))) result = CUDA_ERROR_UNKNOWN;
    answer_release(&answer);
    return result;
}

static CUresult load_sent(struct module *module, uint32_t image) {
    struct answer answer = ANSWER_INITIAL;
    struct sluice_module_load_answer loaded;
    struct sluice_module_load_call call = {.module = module->id, .image = image, .device = module->device->index};
    memory_hold_end(module->device);
    CUresult result = ask_module_load(&call, &answer);
    bool is_told = result == CUDA_SUCCESS, is_good = is_told && sluice_decode_module_load_answer(answer.body, answer.body_bytes, &loaded) == 0;
    if (is_good) keep_end(module->device, loaded.reserved_bytes);
    memory_leave_end(module->device);
    if (!is_told) return result;
    if (!is_good || !read_module(module, loaded.kernels, loaded.globals)) result = CUDA_ERROR_UNKNOWN;
    answer_release(&answer);
    return result;
}

/*
 * Under `load_lock`: images and modules count upwards in the order of the calls. What the server may have from another run is not sent
 * again, but for what is too small to be asked for, and on the server's own host, where sending takes less than hashing.
 */
static CUresult load(struct module *module, const struct image *image) {
    bool is_asked_for = image->byte_count > SLUICE_IMAGE_SENT_BYTES_MAX && driver.connection.staging.bytes == NULL, is_held = false;
    module->id = atomic_fetch_add(&driver.modules, 1) + 1;
    if (is_asked_for) {
        struct sluice_bytes hashes = hash_pieces(image);
        struct sluice_module_load_cached_call question = {.total_bytes = (uint32_t)image->byte_count, .hashes = hashes};
        CUresult result = hashes.data == NULL ? CUDA_SUCCESS : load_cached(module, &question, &is_held);
        free((void *)(uintptr_t)hashes.data);
        if (result != CUDA_SUCCESS || is_held) return result;
    }
    uint32_t image_id = atomic_fetch_add(&driver.images, 1) + 1;
    CUresult result = send_image(image_id, image);
    if (result != CUDA_SUCCESS || !is_asked_for) return result != CUDA_SUCCESS ? result : load_sent(module, image_id);
    struct sluice_module_load_cached_call sent = {.image = image_id};
    result = load_cached(module, &sent, &is_held);
    return result == CUDA_SUCCESS && !is_held ? CUDA_ERROR_UNKNOWN : result;
}

CUresult module_load(struct context *context, const void *code, struct module **module) {
    struct image image;
    CUresult result = image_for(code, context->device, &image);
    if (result != CUDA_SUCCESS) return result;
    struct module *made = object_new(&modules, OBJECT_MODULE, sizeof *made);
    if (made == NULL) {
        free(image.owned);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    made->context = context;
    made->device = context->device;
    pthread_mutex_lock(&load_lock);
    result = load(made, &image);
    pthread_mutex_unlock(&load_lock);
    free(image.owned);
    if (result != CUDA_SUCCESS) {
        drop(made);
        return result;
    }
    pthread_mutex_lock(&list_lock);
    made->next = context->modules;
    context->modules = made;
    pthread_mutex_unlock(&list_lock);
    globals_add(made);
    *module = made;
    return CUDA_SUCCESS;
}

void module_unload(struct module *module) {
    pthread_mutex_lock(&list_lock);
    struct module **at = &module->context->modules;
    while (*at != NULL && *at != module) at = &(*at)->next;
    if (*at != NULL) *at = module->next;
    pthread_mutex_unlock(&list_lock);
    struct sluice_module_unload_call call = {.module = module->id};
    send_module_unload(&call, NULL);
    globals_remove(module);
    drop(module);
}

struct function *module_function(struct module *module, const char *name) {
    for (uint32_t i = 0; i < module->function_count; i++)
        if (strcmp(module->functions[i].name, name) == 0) return &module->functions[i];
    return NULL;
}

CUresult function_check(struct function *function) {
    if (__builtin_expect(function->refusal_code == 0, 1)) return CUDA_SUCCESS;
    const char *code = sluice_error_code(function->refusal_code);
    if (!atomic_exchange(&function->refusal_reported, true))
        report("the kernel [%s] cannot run on this device [%s]: %s", function->name, code, function->refusal);
    else trace("the kernel [%s] cannot run on this device [%s]", function->name, code);
    return result_of((struct failure){function->refusal_code, 0});
}

struct global *module_global(struct module *module, const char *name) {
    for (uint32_t i = 0; i < module->global_count; i++)
        if (strcmp(module->globals[i].name, name) == 0) return &module->globals[i];
    return NULL;
}

/* Options of the compiler ask for logs and limits; limits and levels are the server's business. */
/* The size of each log is the next option. */
enum { JIT_INFO_LOG = 3, JIT_ERROR_LOG = 5 };

/* Puts a text into a log of those options, as far as there is room, and says how much that was. */
static void write_log(unsigned int count, const int *options, void **values, int log, const char *text) {
    char *buffer = NULL;
    size_t room = 0;
    for (unsigned int i = 0; options != NULL && values != NULL && i < count; i++) {
        if (options[i] == log) buffer = values[i];
        if (options[i] == log + 1) room = (unsigned int)(uintptr_t)values[i];
    }
    size_t length = buffer == NULL || room == 0 ? 0 : strnlen(text, room - 1);
    if (buffer != NULL && room > 0) {
        memcpy(buffer, text, length);
        buffer[length] = '\0';
    }
    for (unsigned int i = 0; options != NULL && values != NULL && i < count; i++)
        if (options[i] == log + 1) values[i] = (void *)length;
}

static CUresult load_in_current(CUmodule *module, const void *code) {
    struct context *context;
    CUresult result = current_context(&context);
    if (result != CUDA_SUCCESS) return result;
    return module == NULL || code == NULL ? CUDA_ERROR_INVALID_VALUE : module_load(context, code, module);
}

API(cuModuleLoadData, (CUmodule *module, const void *code), (module, code)) {
    return load_in_current(module, code);
}

void write_logs(unsigned int count, const int *options, void **values, CUresult result) {
    write_log(count, options, values, JIT_INFO_LOG, "");
    write_log(count, options, values, JIT_ERROR_LOG, result == CUDA_SUCCESS ? "" : report_last());
}

API(cuModuleLoadDataEx, (CUmodule *module, const void *code, unsigned int count, int *options, void **values),
    (module, code, count, options, values)) {
    report_forget();
    CUresult result = load_in_current(module, code);
    write_logs(count, options, values, result);
    return result;
}

API(cuModuleLoadFatBinary, (CUmodule *module, const void *code), (module, code)) {
    return load_in_current(module, code);
}

char *file_read(const char *path, size_t *byte_count) {
    FILE *file = fopen(path, "rbe");
    if (file == NULL) return NULL;
    char *text = NULL;
    long bytes = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (bytes >= 0 && bytes <= SLUICE_IMAGE_BYTES_MAX) text = calloc(1, (size_t)bytes + 64);
    rewind(file);
    if (text != NULL && fread(text, 1, (size_t)bytes, file) != (size_t)bytes) {
        free(text);
        text = NULL;
    }
    fclose(file);
    if (byte_count != NULL) *byte_count = (size_t)bytes;
    return text;
}

API(cuModuleLoad, (CUmodule *module, const char *path), (module, path)) {
    if (path == NULL) return CUDA_ERROR_INVALID_VALUE;
    char *code = file_read(path, NULL);
    if (code == NULL) return CUDA_ERROR_FILE_NOT_FOUND;
    CUresult result = load_in_current(module, code);
    free(code);
    return result;
}

API(cuModuleUnload, (CUmodule module), (module)) {
    if (!object_is(module, OBJECT_MODULE)) return CUDA_ERROR_INVALID_HANDLE;
    module_unload(module);
    return CUDA_SUCCESS;
}

API(cuModuleGetFunction, (CUfunction *function, CUmodule module, const char *name), (function, module, name)) {
    if (function == NULL || name == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (!object_is(module, OBJECT_MODULE)) return CUDA_ERROR_INVALID_HANDLE;
    *function = module_function(module, name);
    return *function == NULL ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}

API(cuModuleGetFunctionCount, (unsigned int *count, CUmodule module), (count, module)) {
    if (count == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (!object_is(module, OBJECT_MODULE)) return CUDA_ERROR_INVALID_HANDLE;
    *count = module->function_count;
    return CUDA_SUCCESS;
}

API(cuModuleEnumerateFunctions, (CUfunction *functions, unsigned int count, CUmodule module), (functions, count, module)) {
    if (functions == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (!object_is(module, OBJECT_MODULE)) return CUDA_ERROR_INVALID_HANDLE;
    for (unsigned int i = 0; i < count && i < module->function_count; i++) functions[i] = &module->functions[i];
    return CUDA_SUCCESS;
}

API(cuModuleGetGlobal_v2, (CUdeviceptr *address, size_t *bytes, CUmodule module, const char *name), (address, bytes, module, name)) {
    if (name == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (!object_is(module, OBJECT_MODULE)) return CUDA_ERROR_INVALID_HANDLE;
    struct global *global = module_global(module, name);
    if (global == NULL) return CUDA_ERROR_NOT_FOUND;
    if (address != NULL) *address = global->address;
    if (bytes != NULL) *bytes = global->byte_count;
    return CUDA_SUCCESS;
}

/* Everything is loaded when a module is. */
API(cuModuleGetLoadingMode, (int *mode), (mode)) {
    if (mode == NULL) return CUDA_ERROR_INVALID_VALUE;
    *mode = 1; /* CU_MODULE_EAGER_LOADING */
    return CUDA_SUCCESS;
}
