/*
 * What programs register before main(): fat binaries, and the host addresses that stand for their kernels and variables. An image is
 * loaded when the first kernel or variable of it is used, so a program that uses none of them needs no device.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

struct binary {
    const void *wrapper;
    CUlibrary library;
    bool is_gone;
    /* Its managed variables: the program's pointer to each, and its name. */
    unsigned managed_count;
    void ***managed;
    const char **managed_names;
};

struct entry {
    const void *host;
    struct binary *binary;
    const char *name; /* In the program's own memory. */
    CUkernel kernel;
    bool is_variable;
    size_t byte_count;
};

/* Open addressing; a power of two; at most half full. Nothing is ever removed but marked by its binary. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries;
static size_t entry_count, entry_capacity;

static size_t slot_of(const struct entry *table, size_t capacity, const void *host) {
    size_t slot = (size_t)((uintptr_t)host * 0x9e3779b97f4a7c15u >> 20) & (capacity - 1);
    while (table[slot].host != NULL && table[slot].host != host) slot = (slot + 1) & (capacity - 1);
    return slot;
}

static void put(struct entry entry) {
    pthread_mutex_lock(&lock);
    if ((entry_count + 1) * 2 > entry_capacity) {
        size_t capacity = entry_capacity == 0 ? 256 : entry_capacity * 2;
        struct entry *larger = calloc(capacity, sizeof *larger);
        if (larger == NULL) {
            pthread_mutex_unlock(&lock);
            return;
        }
        for (size_t i = 0; i < entry_capacity; i++)
            if (entries[i].host != NULL) larger[slot_of(larger, capacity, entries[i].host)] = entries[i];
        free(entries);
        entries = larger;
        entry_capacity = capacity;
    }
    struct entry *slot = &entries[slot_of(entries, entry_capacity, entry.host)];
    if (slot->host == NULL) entry_count++;
    *slot = entry;
    pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static struct entry *find(const void *host) {
    if (host == NULL || entry_capacity == 0) return NULL;
    struct entry *slot = &entries[slot_of(entries, entry_capacity, host)];
    return slot->host == NULL || (slot->binary != NULL && slot->binary->is_gone) ? NULL : slot;
}

/* Under the lock: loads the image on first use. */
static cudaError_t library_of(struct binary *binary, CUlibrary *library) {
    cudaError_t error = CUDA_SUCCESS;
    if (binary->library == NULL) error = cuLibraryLoadData(&binary->library, binary->wrapper, NULL, NULL, 0, NULL, NULL, 0);
    *library = binary->library;
    return error;
}

cudaError_t kernel_of(const void *host, CUkernel *kernel) {
    CUlibrary library;
    cudaError_t error = CUDA_SUCCESS;
    pthread_mutex_lock(&lock);
    struct entry *entry = find(host);
    if (entry == NULL || entry->is_variable) error = cudaErrorInvalidDeviceFunction;
    else if (entry->kernel == NULL) {
        error = library_of(entry->binary, &library);
        if (error == CUDA_SUCCESS) error = cuLibraryGetKernel(&entry->kernel, library, entry->name);
        if (error == CUDA_ERROR_NOT_FOUND) error = cudaErrorInvalidDeviceFunction;
    }
    if (error == CUDA_SUCCESS) *kernel = entry->kernel;
    pthread_mutex_unlock(&lock);
    return error;
}

cudaError_t function_of_host(const void *host, CUfunction *function) {
    CUkernel kernel;
    cudaError_t error = kernel_of(host, &kernel);
    return error == CUDA_SUCCESS ? cuKernelGetFunction(function, kernel) : error;
}

cudaError_t symbol_of(const void *host, CUdeviceptr *address, size_t *bytes) {
    CUlibrary library;
    const char *name = NULL;
    cudaError_t error = CUDA_SUCCESS;
    pthread_mutex_lock(&lock);
    struct entry *entry = find(host);
    if (entry == NULL || !entry->is_variable) error = cudaErrorInvalidSymbol;
    else error = library_of(entry->binary, &library);
    if (error == CUDA_SUCCESS) name = entry->name;
    pthread_mutex_unlock(&lock);
    if (error != CUDA_SUCCESS) return error;
    error = cuLibraryGetGlobal(address, bytes, library, name);
    return error == CUDA_ERROR_NOT_FOUND ? cudaErrorInvalidSymbol : error;
}

const void *host_of_kernel(CUkernel kernel) {
    const void *host = kernel;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < entry_capacity; i++)
        if (entries[i].host != NULL && entries[i].kernel == kernel && entries[i].host != (const void *)kernel) host = entries[i].host;
    pthread_mutex_unlock(&lock);
    return host;
}

void kernel_remember(CUkernel kernel) {
    put((struct entry){.host = kernel, .kernel = kernel});
}

EXPORT void **__cudaRegisterFatBinary(void *wrapper) {
    struct binary *binary = calloc(1, sizeof *binary);
    if (binary == NULL) abort();
    binary->wrapper = wrapper;
    return (void **)binary;
}

EXPORT void __cudaRegisterFatBinaryEnd(void **handle) {
    (void)handle;
}

/* Runs when the program or one of its libraries ends; the driver may be gone by then. */
EXPORT void __cudaUnregisterFatBinary(void **handle) {
    struct binary *binary = (struct binary *)handle;
    if (binary == NULL) return;
    pthread_mutex_lock(&lock);
    CUlibrary library = binary->library;
    binary->is_gone = true;
    binary->library = NULL;
    pthread_mutex_unlock(&lock);
    if (library != NULL) cuLibraryUnload(library);
}

EXPORT void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name, int thread_limit, void *tid, void *bid,
                                   void *block, void *grid, int *size) {
    (void)device, (void)thread_limit, (void)tid, (void)bid, (void)block, (void)grid, (void)size;
    put((struct entry){.host = host, .binary = (struct binary *)handle, .name = name});
}

EXPORT void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int is_external, size_t bytes, int is_constant,
                              int is_global) {
    (void)device, (void)is_external, (void)is_constant, (void)is_global;
    put((struct entry){.host = host, .binary = (struct binary *)handle, .name = name, .is_variable = true, .byte_count = bytes});
}

EXPORT void __cudaRegisterManagedVar(void **handle, void **host, char *device, const char *name, int is_external, size_t bytes,
                                     int is_constant, int is_global) {
    (void)device, (void)is_external, (void)bytes, (void)is_constant, (void)is_global;
    struct binary *binary = (struct binary *)handle;
    size_t count = binary->managed_count + 1;
    void ***managed = realloc(binary->managed, count * sizeof *managed);
    const char **names = realloc(binary->managed_names, count * sizeof *names);
    if (managed == NULL || names == NULL) abort();
    managed[count - 1] = host;
    names[count - 1] = name;
    binary->managed = managed;
    binary->managed_names = names;
    binary->managed_count = (unsigned)count;
}

/*
 * Called before a program's first access to a managed variable of the binary: tells it where they are. From then on the address stands for
 * the variable where the API asks for one.
 */
EXPORT char __cudaInitModule(void **handle) {
    struct binary *binary = (struct binary *)handle;
    CUlibrary library;
    unsigned count = binary->managed_count;
    CUdeviceptr *addresses = calloc(count + 1, sizeof *addresses);
    cudaError_t error = addresses == NULL ? CUDA_ERROR_OUT_OF_MEMORY : enter_context();
    pthread_mutex_lock(&lock);
    if (error == CUDA_SUCCESS) error = library_of(binary, &library);
    pthread_mutex_unlock(&lock);
    if (error == CUDA_SUCCESS && count > 0) error = sluiceAdoptManaged(library, binary->managed_names, count, addresses);
    for (unsigned i = 0; error == CUDA_SUCCESS && i < count; i++) {
        *binary->managed[i] = (void *)(uintptr_t)addresses[i];
        put((struct entry){.host = *binary->managed[i], .binary = binary, .name = binary->managed_names[i], .is_variable = true});
    }
    if (error != CUDA_SUCCESS) report("the program's managed variables cannot be reached: %s.", error_name(note_error(error)));
    free(addresses);
    return 1;
}

PLAIN(__cudaGetKernel, (CUkernel *kernel, const void *host), (kernel, host)) {
    cudaError_t error = enter_context();
    return error == CUDA_SUCCESS ? kernel_of(host, kernel) : error;
}

CONTEXT(cudaGetKernel, (CUkernel *kernel, const void *host), (kernel, host)) {
    return kernel == NULL ? CUDA_ERROR_INVALID_VALUE : kernel_of(host, kernel);
}

CONTEXT(cudaGetFuncBySymbol, (CUfunction *function, const void *host), (function, host)) {
    return function == NULL ? CUDA_ERROR_INVALID_VALUE : function_of_host(host, function);
}

CONTEXT(cudaGetSymbolAddress, (void **address, const void *symbol), (address, symbol)) {
    CUdeviceptr found = 0;
    if (address == NULL) return CUDA_ERROR_INVALID_VALUE;
    cudaError_t error = symbol_of(symbol, &found, NULL);
    *address = (void *)(uintptr_t)found;
    return error;
}

CONTEXT(cudaGetSymbolSize, (size_t *bytes, const void *symbol), (bytes, symbol)) {
    return bytes == NULL ? CUDA_ERROR_INVALID_VALUE : symbol_of(symbol, NULL, bytes);
}
