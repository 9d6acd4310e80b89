/*
 * cuGetProcAddress: names and the versions since which their forms exist (names.def, from the toolkit's documentation of entry points).
 * The newest form that the caller's version knows is the one. What this library refuses is found like the rest, as a driver has all its
 * functions whatever the device can do: it says so when it is called, and programs that ask first ask the device's attributes.
 */
#include <dlfcn.h>
#include <string.h>

#include "driver.h"

struct entry {
    const char *name;
    int since;
    const char *symbol;
};

static const struct entry entries[] = {
#define ENTRY(name, since, symbol) {#name, since, #symbol},
#include "names.def"
#undef ENTRY
};

enum { STATUS_FOUND = 0, STATUS_NOT_FOUND = 1, STATUS_VERSION = 2 };

/* This library's own functions, whatever else the process has loaded. */
static void *symbol_named(const char *symbol) {
    static void *_Atomic self;
    void *handle = atomic_load(&self);
    Dl_info info;
    if (handle == NULL && dladdr((void *)(uintptr_t)&symbol_named, &info) != 0) {
        handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
        atomic_store(&self, handle);
    }
    return handle == NULL ? NULL : dlsym(handle, symbol);
}

static CUresult look_up(const char *name, int version, void **function, int *status) {
    const struct entry *best = NULL;
    bool is_known = false;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        if (strcmp(entries[i].name, name) != 0) continue;
        is_known = true;
        if (entries[i].since <= version && (best == NULL || entries[i].since > best->since)) best = &entries[i];
    }
    *function = best == NULL ? NULL : symbol_named(best->symbol);
    *status = *function != NULL ? STATUS_FOUND : is_known && best == NULL ? STATUS_VERSION : STATUS_NOT_FOUND;
    if (*function != NULL) return CUDA_SUCCESS;
    trace("cuGetProcAddress [%s] of version [%d] is not there", name, version);
    return CUDA_ERROR_NOT_FOUND;
}

API_ALWAYS(cuGetProcAddress_v2, (const char *symbol, void **function, int version, uint64_t flags, int *status),
           (symbol, function, version, flags, status)) {
    void *found = NULL;
    int state = STATUS_NOT_FOUND;
    if (symbol == NULL || flags > 2) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = look_up(symbol, version, &found, &state);
    if (function != NULL) *function = found;
    if (status == NULL) return result;
    /* Whoever asks for the state is told by it alone, as by a driver. */
    *status = state;
    return CUDA_SUCCESS;
}

API_ALWAYS(cuGetProcAddress, (const char *symbol, void **function, int version, uint64_t flags), (symbol, function, version, flags)) {
    return cuGetProcAddress_v2(symbol, function, version, flags, NULL);
}
API_ALIAS(cuGetProcAddress_v2_ptsz, cuGetProcAddress_v2);
