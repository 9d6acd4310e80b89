/*
 * Leads the loader to this project's libraries, wherever a program looks for NVIDIA's: by name, by a path built into it, or by a path of its own
 * making. It is an auditor of the loader (man 7 rtld-audit, named by LD_AUDIT), so it changes nothing in programs that load none of
 * them. Of the C library nothing is used: each process would load a second one for it.
 */
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <sys/syscall.h>

/* Other C libraries' loaders know no auditors. */
#ifdef __GLIBC__

/* Their file names with a colon behind each, as the Makefile has them. */
static const char served[] = SLUICE_LIBRARIES;

enum { LIBRARIES_MAX = 16, PATH_BYTES_MAX = 4096, FOLDER_BYTES_MAX = PATH_BYTES_MAX - 64 };

/* From this version on auditors that watch no calls do not slow them down: glibc 2.35. */
#define VERSION_MIN 2

struct library {
    const char *name;
    size_t name_bytes, stem_bytes;
    /* The driver's libraries have one interface in all versions, and carry the driver's own; the others one for each. */
    int is_driver;
    char *path;
};
static struct library libraries[LIBRARIES_MAX];
static size_t library_count;
/* One behind the other, so that few pages are touched. */
static char paths[LIBRARIES_MAX * PATH_BYTES_MAX];

/* The stack as the program begins with it: the number of arguments, them, NULL, and the environment. The loader offers it. */
extern void *__libc_stack_end;

#define EXPORT __attribute__((visibility("default")))

static size_t length_of(const char *text) {
    size_t length = 0;
    while (text[length] != '\0') length++;
    return length;
}

/* Whether the text begins with these. */
static int begins(const char *text, const char *with, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (text[i] != with[i]) return 0;
    return 1;
}

static const char *variable(const char *name) {
    char **at = (char **)__libc_stack_end;
    size_t bytes = length_of(name);
    for (at += (size_t)*at + 2; *at != NULL; at++)
        if (begins(*at, name, bytes)) return *at + bytes;
    return NULL;
}

/* This library's own folder, with a slash at its end, from the list of auditors. Its length, or 0. */
static size_t own_folder(const char **folder) {
    static const char own[] = "/" SLUICE_LOADER;
    const char *begin = variable("LD_AUDIT=");
    for (const char *end = begin; begin != NULL; end++) {
        if (*end != ':' && *end != '\0') continue;
        size_t bytes = (size_t)(end - begin);
        if (bytes >= sizeof own - 1 && begins(end - (sizeof own - 1), own, sizeof own - 1)) {
            *folder = begin;
            return bytes - (sizeof own - 1) + 1;
        }
        if (*end == '\0') break;
        begin = end + 1;
    }
    return 0;
}

static void list_libraries(const char *folder, size_t folder_bytes) {
    char *into = paths;
    for (const char *name = served; *name != '\0' && library_count < LIBRARIES_MAX;) {
        struct library *library = &libraries[library_count++];
        *library = (struct library){.name = name, .path = into};
        while (name[library->name_bytes] != ':') library->name_bytes++;
        while (name[library->stem_bytes] != '.') library->stem_bytes++;
        library->is_driver = begins(name, "libcuda.", 8) || begins(name, "libnvidia-ml.", 13);
        for (size_t i = 0; i < folder_bytes; i++) *into++ = folder[i];
        for (size_t i = 0; i < library->name_bytes; i++) *into++ = name[i];
        *into++ = '\0';
        name += library->name_bytes + 1;
    }
}

EXPORT unsigned int la_version(unsigned int version) {
    const char *folder;
    size_t bytes = version < VERSION_MIN ? 0 : own_folder(&folder);
    if (bytes == 0 || bytes > FOLDER_BYTES_MAX) return 0;
    list_libraries(folder, bytes);
    return VERSION_MIN;
}

/* How many bytes of a name follow what its maker has put in, as Python's packages do with copies: libcudart-1b2c3d4e.so.12.8.90 */
static size_t mark_bytes(const char *name) {
    size_t bytes = 0;
    if (*name != '-' && *name != '.') return 0;
    for (bytes = 1; (name[bytes] >= '0' && name[bytes] <= '9') || (name[bytes] >= 'a' && name[bytes] <= 'f'); bytes++) continue;
    return bytes == 9 ? bytes : 0;
}

/* Whether this is the end of a name, or a version's further numbers: "", ".8.90". */
static int ends_as_version(const char *rest) {
    if (*rest != '.' && *rest != '\0') return 0;
    while (*rest == '.' || (*rest >= '0' && *rest <= '9')) rest++;
    return *rest == '\0';
}

/* Whether a file of that name, of whatever minor version, is the library. */
static int is_of(const struct library *library, const char *name) {
    static const char ending[] = ".so";
    if (!begins(name, library->name, library->stem_bytes)) return 0;
    const char *rest = name + library->stem_bytes;
    rest += mark_bytes(rest);
    size_t bytes = library->is_driver ? sizeof ending - 1 : library->name_bytes - library->stem_bytes;
    return begins(rest, library->name + library->stem_bytes, bytes) && ends_as_version(rest + bytes);
}

static const char *base_of(const char *name) {
    const char *base = name;
    for (const char *at = name; *at != '\0'; at++)
        if (*at == '/') base = at + 1;
    return base;
}

static char *path_instead_of(const char *base) {
    for (size_t i = 0; i < library_count; i++)
        if (is_of(&libraries[i], base)) return libraries[i].path;
    return NULL;
}

/* Whether it is a library's name without its version, which the target of a link of that name tells: libcudart.so */
static int lacks_version(const char *base) {
    for (size_t i = 0; i < library_count; i++)
        if (begins(base, libraries[i].name, libraries[i].stem_bytes) && begins(base + libraries[i].stem_bytes, ".so", 4)) return 1;
    return 0;
}

/* readlink(2), without a C library; negative where it fails, or where this is not known. */
static long read_link(const char *path, char *target, size_t bytes) {
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_readlink), "D"(path), "S"(target), "d"(bytes) : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x0 __asm__("x0") = AT_FDCWD;
    register long x1 __asm__("x1") = (long)path;
    register long x2 __asm__("x2") = (long)target;
    register long x3 __asm__("x3") = (long)bytes;
    register long x8 __asm__("x8") = SYS_readlinkat;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3), "r"(x8) : "memory");
    return x0;
#else
    (void)path, (void)target, (void)bytes;
    return -1;
#endif
}

/* Where this project's library lies that is to be loaded instead of a file, or NULL. */
static char *path_instead_of_file(const char *name) {
    const char *base = base_of(name);
    char *instead = path_instead_of(base), target[PATH_BYTES_MAX];
    if (instead == NULL && base != name && lacks_version(base)) {
        long bytes = read_link(name, target, sizeof target - 1);
        target[bytes < 0 ? 0 : bytes] = '\0';
        instead = path_instead_of(base_of(target));
    }
    return instead;
}

/* Whether the library at that path is among those that one of them has beside it: each has all of its namespace. */
static int is_loaded(const char *path, const struct link_map *beside) {
    while (beside->l_prev != NULL) beside = beside->l_prev;
    for (; beside != NULL; beside = beside->l_next)
        if (path_instead_of_file(beside->l_name) == path) return 1;
    return 0;
}

EXPORT char *la_objsearch(const char *name, uintptr_t *cookie, unsigned int flag) {
    char *instead = path_instead_of_file(name);
    /*
     * A library that asks for versions names the file that has them, by the name it needs. The loader knows a file that it loads by what it was asked
     * for and by what it was told here, but one that it finds loaded by the latter alone, and ends the program when a library then asks for the former,
     * as Python's packages do that bring a runtime of their own: libcudart.1b2c3d4e.so.13. So such a name stays until the loader asks for a path.
     */
    if (instead != NULL && flag == LA_SER_ORIG && base_of(name) == name && is_loaded(instead, (const struct link_map *)*cookie)) instead = NULL;
    return instead == NULL ? (char *)(uintptr_t)name : instead;
}

#endif
