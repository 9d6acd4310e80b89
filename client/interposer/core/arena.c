/* The allocator of the arena: ranges in a treap by address, free ones also in bins by size (bin b holds sizes from 2^b on). */
#include "arena.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "report.h"

/* Ranges looked at in one bin before a larger bin is taken: bounds the cost of an allocation. */
#define BIN_LOOKS_MAX 32

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* What lies in the range must be unusable for anybody, as the gaps that sanitizers keep for themselves are. */
static bool only_gaps_in(uint64_t start, uint64_t end) {
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) return false;
    char line[512];
    bool is_free = true;
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long long from, to;
        char rights[5] = "";
        if (sscanf(line, "%llx-%llx %4s", &from, &to, rights) == 3 && from < end && to > start && strncmp(rights, "---", 3) != 0) is_free = false;
    }
    fclose(maps);
    return is_free;
}

static bool reserve(struct arena *arena) {
#ifdef __SANITIZE_THREAD__
    (void)only_gaps_in, (void)arena;
    return true; /* ThreadSanitizer keeps these addresses for itself and stops a program that maps them. */
#else
    uint64_t base = arena->base, byte_count = arena->byte_count;
    void *wanted = (void *)(uintptr_t)base;
    void *got = mmap(wanted, byte_count, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    arena->is_reserved = got == wanted;
    if (got == wanted) return true;
    if (got != MAP_FAILED) munmap(got, byte_count);
    if (only_gaps_in(base, base + byte_count)) return true;
    report("the device's address range [0x%llx] of [%llu] bytes is in use in this process.", (unsigned long long)base,
           (unsigned long long)byte_count);
    return false;
#endif
}

static int bin_of(uint64_t byte_count) {
    return 63 - __builtin_clzll(byte_count);
}

static void bin_add(struct arena *arena, struct range *range) {
    struct range **bin = &arena->bins[bin_of(range->byte_count)];
    range->free_before = NULL;
    range->free_after = *bin;
    if (*bin != NULL) (*bin)->free_before = range;
    *bin = range;
}

static void bin_remove(struct arena *arena, struct range *range) {
    if (range->free_before != NULL) range->free_before->free_after = range->free_after;
    else arena->bins[bin_of(range->byte_count)] = range->free_after;
    if (range->free_after != NULL) range->free_after->free_before = range->free_before;
}

static struct range *new_range(struct arena *arena) {
    struct range *range = arena->spare;
    if (range != NULL) arena->spare = range->after;
    else range = malloc(sizeof *range);
    if (range != NULL) memset(range, 0, sizeof *range);
    return range;
}

static void drop_range(struct arena *arena, struct range *range) {
    range->after = arena->spare;
    arena->spare = range;
}

/* Splits a treap into ranges below `address` and the rest. */
static void split(struct range *root, uint64_t address, struct range **low, struct range **high) {
    while (root != NULL) {
        if (root->address < address) {
            *low = root;
            low = &root->right;
            root = root->right;
        } else {
            *high = root;
            high = &root->left;
            root = root->left;
        }
    }
    *low = NULL;
    *high = NULL;
}

static void treap_add(struct arena *arena, struct range *range) {
    arena->random = arena->random * 1664525u + 1013904223u;
    range->priority = arena->random;
    struct range **at = &arena->root;
    while (*at != NULL && (*at)->priority >= range->priority) at = range->address < (*at)->address ? &(*at)->left : &(*at)->right;
    split(*at, range->address, &range->left, &range->right);
    *at = range;
}

static void treap_remove(struct arena *arena, struct range *range) {
    struct range **at = &arena->root;
    while (*at != range) at = range->address < (*at)->address ? &(*at)->left : &(*at)->right;
    struct range *left = range->left, *right = range->right;
    while (left != NULL && right != NULL) {
        if (left->priority >= right->priority) {
            *at = left;
            at = &left->right;
            left = left->right;
        } else {
            *at = right;
            at = &right->left;
            right = right->left;
        }
    }
    *at = left != NULL ? left : right;
}

/* The range that holds `address`, used or free. */
static struct range *range_at(const struct arena *arena, uint64_t address) {
    struct range *best = NULL;
    for (struct range *at = arena->root; at != NULL;) {
        if (at->address <= address) {
            best = at;
            at = at->right;
        } else {
            at = at->left;
        }
    }
    return best;
}

bool arena_open(struct arena *arena, uint64_t base, uint64_t byte_count, uint64_t granularity) {
    memset(arena, 0, sizeof *arena);
    pthread_mutex_init(&arena->lock, NULL);
    arena->base = base;
    arena->byte_count = byte_count;
    arena->granularity = granularity;
    arena->random = 1;
    struct range *whole = new_range(arena);
    if (whole == NULL || !reserve(arena)) return false;
    whole->address = base;
    whole->byte_count = byte_count;
    treap_add(arena, whole);
    bin_add(arena, whole);
    return true;
}

static struct range *find_free(struct arena *arena, uint64_t byte_count) {
    int bin = bin_of(byte_count);
    struct range *best = NULL;
    int looks = 0;
    for (struct range *at = arena->bins[bin]; at != NULL; at = at->free_after) {
        if (at->byte_count >= byte_count && (best == NULL || at->byte_count < best->byte_count)) best = at;
        /* A fit in hand bounds the search; without one the whole bin is the only place left when larger bins are empty. */
        if (best != NULL && ++looks >= BIN_LOOKS_MAX) break;
    }
    for (bin++; best == NULL && bin < ARENA_BINS; bin++) best = arena->bins[bin];
    return best;
}

/* Cuts a range in two behind its first `byte_count` bytes. Returns the second part, which is in no bin; NULL without memory. */
static struct range *cut(struct arena *arena, struct range *range, uint64_t byte_count) {
    struct range *rest = new_range(arena);
    if (rest == NULL) return NULL;
    rest->address = range->address + byte_count;
    rest->byte_count = range->byte_count - byte_count;
    rest->before = range;
    rest->after = range->after;
    if (rest->after != NULL) rest->after->before = rest;
    range->after = rest;
    range->byte_count = byte_count;
    treap_add(arena, rest);
    return rest;
}

/* Under the lock: a range of just this size, at a multiple of `alignment`, in no bin. */
static struct range *take(struct arena *arena, uint64_t byte_count, uint64_t alignment) {
    struct range *found = find_free(arena, byte_count + alignment - arena->granularity);
    if (found == NULL) return NULL;
    bin_remove(arena, found);
    uint64_t before = (alignment - found->address % alignment) % alignment;
    if (before > 0) {
        struct range *rest = cut(arena, found, before);
        bin_add(arena, found);
        if (rest == NULL) return NULL;
        found = rest;
    }
    if (found->byte_count == byte_count) return found;
    struct range *rest = cut(arena, found, byte_count);
    bin_add(arena, rest == NULL ? found : rest);
    return rest == NULL ? NULL : found;
}

uint64_t arena_allocate(struct arena *arena, uint64_t byte_count, uint64_t alignment, void *owner) {
    if (byte_count == 0 || byte_count > arena->byte_count) return 0;
    if (alignment < arena->granularity) alignment = arena->granularity;
    uint64_t padded = (byte_count + arena->granularity - 1) / arena->granularity * arena->granularity;
    uint64_t address = 0;
    pthread_mutex_lock(&arena->lock);
    struct range *found = take(arena, padded, alignment);
    if (found != NULL) {
        found->is_used = true;
        found->owner = owner;
        found->asked_bytes = byte_count;
        address = found->address;
        arena->used_bytes += padded;
        if (arena->used_bytes > arena->peak_bytes) arena->peak_bytes = arena->used_bytes;
    }
    pthread_mutex_unlock(&arena->lock);
    return address;
}

/* Makes `second`, which begins where `first` ends, a part of `first`. Neither is in a bin. */
static void merge(struct arena *arena, struct range *first, struct range *second) {
    treap_remove(arena, second);
    first->byte_count += second->byte_count;
    first->after = second->after;
    if (first->after != NULL) first->after->before = first;
    drop_range(arena, second);
}

/* Under the lock: a used range is free, and one with its free neighbours. */
static void give_back(struct arena *arena, struct range *range) {
    arena->used_bytes -= range->byte_count;
    range->is_used = false;
    range->owner = NULL;
    struct range *after = range->after, *before = range->before;
    if (after != NULL && !after->is_used) {
        bin_remove(arena, after);
        merge(arena, range, after);
    }
    if (before != NULL && !before->is_used) {
        bin_remove(arena, before);
        merge(arena, before, range);
        range = before;
    }
    bin_add(arena, range);
}

bool arena_free(struct arena *arena, uint64_t address) {
    pthread_mutex_lock(&arena->lock);
    struct range *range = range_at(arena, address);
    bool is_good = range != NULL && range->is_used && range->address == address;
    if (is_good) give_back(arena, range);
    pthread_mutex_unlock(&arena->lock);
    return is_good;
}

bool arena_reserve_end(struct arena *arena, uint64_t byte_count) {
    pthread_mutex_lock(&arena->lock);
    uint64_t end = arena->base + arena->byte_count;
    if (arena->reserved_bytes > 0) give_back(arena, range_at(arena, end - 1));
    arena->reserved_bytes = 0;
    struct range *last = range_at(arena, end - 1);
    bool is_good = byte_count == 0 || (!last->is_used && last->byte_count >= byte_count);
    if (is_good && byte_count > 0) {
        bin_remove(arena, last);
        struct range *kept = last->byte_count == byte_count ? last : cut(arena, last, last->byte_count - byte_count);
        if (kept != last) bin_add(arena, last);
        is_good = kept != NULL;
        if (is_good) {
            kept->is_used = true; /* Of no owner, and with nothing that was asked for: no address is found in it. */
            kept->owner = NULL;
            kept->asked_bytes = 0;
            arena->used_bytes += byte_count;
            arena->reserved_bytes = byte_count;
        }
    }
    pthread_mutex_unlock(&arena->lock);
    return is_good;
}

bool arena_retire(struct arena *arena, uint64_t address) {
    pthread_mutex_lock(&arena->lock);
    struct range *range = range_at(arena, address);
    bool is_good = range != NULL && range->is_used && range->address == address && range->asked_bytes > 0;
    if (is_good) {
        range->asked_bytes = 0;
        range->owner = NULL;
    }
    pthread_mutex_unlock(&arena->lock);
    return is_good;
}

bool arena_give(struct arena *arena, uint64_t address, void *owner) {
    pthread_mutex_lock(&arena->lock);
    struct range *range = range_at(arena, address);
    bool is_good = range != NULL && range->is_used && range->address == address && range->asked_bytes > 0;
    if (is_good) range->owner = owner;
    pthread_mutex_unlock(&arena->lock);
    return is_good;
}

bool arena_find(struct arena *arena, uint64_t address, struct range *found) {
    if (!arena_holds(arena, address)) return false;
    pthread_mutex_lock(&arena->lock);
    struct range *range = range_at(arena, address);
    bool is_good = range != NULL && range->is_used && address - range->address < range->asked_bytes;
    if (is_good) *found = *range;
    pthread_mutex_unlock(&arena->lock);
    return is_good;
}

bool arena_next_owned(struct arena *arena, const void *owner, uint64_t address, struct range *found) {
    pthread_mutex_lock(&arena->lock);
    struct range *range = range_at(arena, address < arena->base ? arena->base : address);
    while (range != NULL && !(range->is_used && range->owner == owner && range->address >= address)) range = range->after;
    if (range != NULL) *found = *range;
    pthread_mutex_unlock(&arena->lock);
    return range != NULL;
}
