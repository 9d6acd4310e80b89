/*
 * cuGetExportTable, which NVIDIA's runtime alone asks for: documented interfaces have no export tables. Whoever asks is told what stands in
 * the way, and what cures it.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver.h"

static bool is_program(const char *file) {
    char program[PATH_MAX], real[PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", program, sizeof program - 1);
    if (bytes < 0 || realpath(file, real) == NULL) return true;
    program[bytes] = '\0';
    return strcmp(program, real) == 0;
}

/* NVIDIA's own libraries come in this form alone: what does without each, by the begin of its name. */
static const char *way_without(const char *name) {
    static const char taken[] = "Sluice has libraries of those names in the folder of its libcuda.so.1, which take its place by LD_PRELOAD.";
    static const struct {
        const char *begin, *way;
    } ways[] = {
        {"libcublas", taken}, {"libcudnn", taken}, {"libcusolver", taken}, {"libcufft", taken}, {"libcurand", taken},
        {"libcusparseLt", ""}, {"libcusparse", taken}, {"libcupti", ""},
        {"libnccl", "PyTorch's processes do without it by the backend gloo."},
        {"libnpp", ""}, {"libnvjpeg", ""},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strncmp(name, ways[i].begin, strlen(ways[i].begin)) == 0) return ways[i].way;
    return NULL;
}

/* It asks, and does without. */
static bool needs_nothing(const char *name) {
    return strncmp(name, "libnvrtc", strlen("libnvrtc")) == 0;
}

/* The version in a name like libcudart.so.13 or libcudart.4f8a.so.13 (as Python's packages rename what they bring along); 0 for any other. */
static int runtime_version(const char *name) {
    const char *end = strstr(name, ".so.");
    return strncmp(name, "libcudart", strlen("libcudart")) == 0 && end != NULL ? atoi(end + strlen(".so.")) : 0;
}

/* Tells it once for each library that asks, unless several take turns. */
static void tell(const void *caller) {
    static void *_Atomic told;
    Dl_info asking = {0}, own = {0};
    if (dladdr(caller, &asking) == 0 || dladdr((void *)(uintptr_t)&cuInit, &own) == 0) return;
    if (atomic_exchange(&told, asking.dli_fbase) == asking.dli_fbase) return;
    const char *slash = strrchr(asking.dli_fname, '/'), *name = slash == NULL ? asking.dli_fname : slash + 1;
    if (needs_nothing(name)) return;
    const char *folder_end = strrchr(own.dli_fname, '/');
    int folder_bytes = folder_end == NULL ? 0 : (int)(folder_end + 1 - own.dli_fname);
    if (runtime_version(name) >= 12)
        report("the program has loaded another CUDA runtime [%s] than Sluice's, by a path of its own; that one asks the driver for private "
               "interfaces that Sluice does not offer. Start it with LD_PRELOAD=%.*slibcudart.so.%d.",
               asking.dli_fname, folder_bytes, own.dli_fname, runtime_version(name));
    else if (is_program(asking.dli_fname))
        report("this program contains the CUDA runtime as a static library, which asks the driver for private interfaces that Sluice "
               "does not offer. Build it with `nvcc -cudart shared`.");
    else {
        const char *way = way_without(name);
        report("the library [%s] asks the driver for private interfaces that Sluice does not offer, as all do that contain the CUDA runtime "
               "as a static library: what needs them in it fails. %s",
               asking.dli_fname,
               way == NULL       ? "Built with `nvcc -cudart shared` it works."
               : *way != '\0' ? way
                                 : "NVIDIA builds it in no other way, so the program has to do without it.");
    }
}

EXPORT CUresult cuGetExportTable(const void **table, const CUuuid *id) {
    (void)id;
    if (table != NULL) *table = NULL;
    tell(__builtin_return_address(0));
    if (trace_on) trace_call("cuGetExportTable", CUDA_ERROR_NOT_FOUND);
    return CUDA_ERROR_NOT_FOUND;
}
