/* Tells how many devices the runtime finds that this program is linked with, or the one at a path, and how many of Sluice's libraries are loaded. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#ifdef LINKED
extern int cudaGetDeviceCount(int *count);
#endif

static int (*counter(const char *path))(int *) {
    void *library = path == NULL ? NULL : dlopen(path, RTLD_NOW);
    int (*found)(int *) = NULL;
    void *symbol = library == NULL ? NULL : dlsym(library, "cudaGetDeviceCount");
    memcpy(&found, &symbol, sizeof found);
#ifdef LINKED
    if (path == NULL) found = cudaGetDeviceCount;
#endif
    return found;
}

/* Libraries of a folder called interposer whose code is mapped, but for what the loader asks. */
static int loaded_count(void) {
    char line[4096];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        count += strstr(line, " r-xp ") != NULL && strstr(line, "/interposer/libcuda") != NULL;
    if (maps != NULL) fclose(maps);
    return count;
}

int main(int argc, char **argv) {
    int devices = -1;
    int (*count)(int *) = counter(argc > 1 ? argv[1] : NULL);
    if (count != NULL) count(&devices);
    printf("%d devices, %d libraries\n", devices, loaded_count());
    return 0;
}
