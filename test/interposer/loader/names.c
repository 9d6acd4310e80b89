/* Loads each of the names and paths given, one after the other, and tells which file came of it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        struct link_map *map = NULL;
        void *library = dlopen(argv[i], RTLD_LAZY);
        if (library != NULL) dlinfo(library, RTLD_DI_LINKMAP, &map);
        printf("%s\n", map == NULL ? "none" : map->l_name);
        if (library != NULL) dlclose(library);
    }
    return 0;
}
