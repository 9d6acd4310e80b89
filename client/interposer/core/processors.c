/* See processors.h. Reads /proc/self/mountinfo and cgroup, and of each group from this process's own up to the mount what it grants. */
#include "processors.h"

#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define PATH_BYTES (2 * PATH_MAX)

/* Where control groups are mounted; those of other things than processors have no file of a quota. */
struct mount {
    const char *root, *point;
    bool is_unified;
};

static FILE *open_below(const char *root, const char *path) {
    char whole[PATH_BYTES];
    return (size_t)snprintf(whole, sizeof whole, "%s%s", root, path) < sizeof whole ? fopen(whole, "re") : NULL;
}

static bool has_word(const char *words, const char *word) {
    size_t length = strlen(word);
    for (; words != NULL; words = strchr(words, ',')) {
        words += *words == ',';
        if (strncmp(words, word, length) == 0 && (words[length] == ',' || words[length] == '\0')) return true;
    }
    return false;
}

/* Up to two numbers at the beginning of one of the group's files; leaves those that are not there. */
static void read_numbers(const char *group, const char *name, double *first, double *second) {
    FILE *file = open_below(group, name);
    if (file == NULL) return;
    if (fscanf(file, "%lf %lf", first, second) < 1) *first = -1;
    fclose(file);
}

/* Processors whose time the group grants, or more than there can be. */
static double quota_of(const char *group) {
    /* What is no number, as "max" and -1, is no quota. */
    double quota = -1, period = -1, none;
    read_numbers(group, "/cpu.max", &quota, &period);
    read_numbers(group, "/cpu.cfs_quota_us", &quota, &none);
    read_numbers(group, "/cpu.cfs_period_us", &period, &none);
    return quota > 0 && period > 0 ? quota / period : INT_MAX;
}

/* The least that this process's group of the mount and those around it grant. `path` names the group in the hierarchy. */
static double least_quota(const char *root, const struct mount *mount, const char *path) {
    char group[PATH_BYTES];
    size_t above = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
    /* A mount of other groups says nothing, and neither does a path that leads out of this namespace. */
    if (strncmp(path, mount->root, above) != 0 || (path[above] != '/' && path[above] != '\0') || strstr(path, "/..") != NULL) return INT_MAX;
    size_t top = strlen(root) + strlen(mount->point);
    if ((size_t)snprintf(group, sizeof group, "%s%s%s", root, mount->point, path + above) >= sizeof group) return INT_MAX;
    double least = INT_MAX;
    for (;;) {
        double quota = quota_of(group);
        if (quota < least) least = quota;
        char *last = strrchr(group, '/');
        if (last == NULL || (size_t)(last - group) < top) return least;
        *last = '\0';
    }
}

static double quota_below(const char *root, const struct mount *mount) {
    double quota = INT_MAX;
    char *line = NULL;
    size_t size = 0;
    FILE *file = open_below(root, "/proc/self/cgroup");
    /* NUMBER:CONTROLLERS:PATH, without controllers for the unified hierarchy. */
    while (file != NULL && getline(&line, &size, file) > 0) {
        char *controllers = strchr(line, ':'), *path = controllers == NULL ? NULL : strchr(++controllers, ':');
        if (path == NULL) continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (mount->is_unified ? *controllers == '\0' : has_word(controllers, "cpu")) quota = least_quota(root, mount, path);
    }
    free(line);
    if (file != NULL) fclose(file);
    return quota;
}

int processors_within(int available, const char *root) {
    double count = available;
    char *line = NULL;
    size_t size = 0;
    FILE *file = open_below(root, "/proc/self/mountinfo");
    while (file != NULL && getline(&line, &size, file) > 0) {
        char from[PATH_MAX], point[PATH_MAX];
        const char *kind = strstr(line, " - cgroup");
        if (kind == NULL || sscanf(line, "%*s %*s %*s %4095s %4095s", from, point) != 2) continue;
        struct mount mount = {.root = from, .point = point, .is_unified = strncmp(kind, " - cgroup2 ", 11) == 0};
        double quota = quota_below(root, &mount);
        if (quota < count) count = quota;
    }
    free(line);
    if (file != NULL) fclose(file);
    return (int)count;
}

static int count_processors(void) {
    cpu_set_t set;
    const char *wanted = getenv("SLUICE_AWAKE");
    if (wanted != NULL && strcmp(wanted, "always") == 0) return INT_MAX;
    if (wanted != NULL && strcmp(wanted, "never") == 0) return 0;
    if (wanted != NULL && *wanted != '\0') report("SLUICE_AWAKE is always or never, and [%s] is neither: it counts for nothing.", wanted);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? processors_within(CPU_COUNT(&set), "") : 0;
}

bool may_use_processors(int count) {
    static _Atomic int known = -1;
    int processors = atomic_load_explicit(&known, memory_order_relaxed);
    if (processors < 0) {
        processors = count_processors();
        atomic_store_explicit(&known, processors, memory_order_relaxed);
    }
    return processors >= count;
}
