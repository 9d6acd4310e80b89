/*
 * Leads the loader to this project's libraries, wherever a program looks for NVIDIA's: by name, by a path built into it, or by a path of its own
 * making. It is an auditor of the loader (man 7 rtld-audit, named by LD_AUDIT), so it changes nothing in programs that load none of
 * them. Of the C library nothing is used: each process would load a second one for it.
 */
#include <link.h>
#include <stddef.h>

/* Other C libraries' loaders know no auditors. */
#ifdef __GLIBC__

/* Their file names with a colon behind each, as the Makefile has them. */
static const char served[] = SLUICE_LIBRARIES;

enum { LIBRARIES_MAX = 32, PATH_BYTES_MAX = 4096 };

/* From this version on auditors that watch no calls do not slow them down: glibc 2.35. */
#define VERSION_MIN 2

struct library {
    const char *name;
    size_t name_bytes;
    char *path;
};
static struct library libraries[LIBRARIES_MAX];
static size_t library_count;
static char paths[LIBRARIES_MAX * 128 + PATH_BYTES_MAX];

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
        size_t bytes = 0;
        while (name[bytes] != ':') bytes++;
        if ((size_t)(paths + sizeof paths - into) <= folder_bytes + bytes) return;
        libraries[library_count++] = (struct library){name, bytes, into};
        for (size_t i = 0; i < folder_bytes; i++) *into++ = folder[i];
        for (size_t i = 0; i < bytes; i++) *into++ = name[i];
        *into++ = '\0';
        name += bytes + 1;
    }
}

EXPORT unsigned int la_version(unsigned int version) {
    const char *folder;
    size_t bytes = version < VERSION_MIN ? 0 : own_folder(&folder);
    if (bytes == 0) return 0;
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

/* Whether a file of that name, of whatever minor version, is the library. */
static int is_of(const struct library *library, const char *name) {
    size_t stem = 0;
    while (library->name[stem] != '.') stem++;
    if (!begins(name, library->name, stem)) return 0;
    const char *rest = name + stem + mark_bytes(name + stem);
    size_t bytes = library->name_bytes - stem;
    return begins(rest, library->name + stem, bytes) && (rest[bytes] == '\0' || rest[bytes] == '.');
}

EXPORT char *la_objsearch(const char *name, uintptr_t *cookie, unsigned int flag) {
    (void)cookie;
    if (flag != LA_SER_ORIG) return (char *)(uintptr_t)name;
    const char *base = name;
    for (const char *at = name; *at != '\0'; at++)
        if (*at == '/') base = at + 1;
    for (size_t i = 0; i < library_count; i++)
        if (is_of(&libraries[i], base)) return libraries[i].path;
    return (char *)(uintptr_t)name;
}

#endif
