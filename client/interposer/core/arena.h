/*
 * Which parts of one slice's arena are in use. The client invents addresses, so allocation costs no trip. The arena's range is also
 * reserved in this process, so that no host pointer can lie in it. Knows addresses and sizes, no devices and no wire.
 */
#ifndef SLUICE_ARENA_H
#define SLUICE_ARENA_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A used or free range. Ranges cover the arena without gaps; neighbours that are free are one range. */
struct range {
    uint64_t address;
    uint64_t byte_count;
    /* What the owner asked for; at most byte_count. */
    uint64_t asked_bytes;
    void *owner;
    bool is_used;
    uint32_t priority;
    /* By address: a treap, and a list. */
    struct range *left, *right, *before, *after;
    /* Free ranges of a similar size. */
    struct range *free_before, *free_after;
};

#define ARENA_BINS 64

struct arena {
    pthread_mutex_t lock;
    uint64_t base;
    uint64_t byte_count;
    uint64_t granularity;
    uint64_t used_bytes;
    uint64_t peak_bytes;
    /* At the end, kept for nobody. */
    uint64_t reserved_bytes;
    struct range *root;
    struct range *bins[ARENA_BINS];
    struct range *spare;
    uint32_t random;
    /* Whether the addresses are this process's own, so that memory can be mapped at them. */
    bool is_reserved;
};

/* Reserves the range in this process. Returns false, after a report, when something else lies there. */
bool arena_open(struct arena *arena, uint64_t base, uint64_t byte_count, uint64_t granularity);

/* Finds room at a multiple of `alignment`, a power of two or 0 for any; returns the address, or 0 when there is none. The owner is the caller's. */
uint64_t arena_allocate(struct arena *arena, uint64_t byte_count, uint64_t alignment, void *owner);

/* Keeps so much at the end for nobody, instead of what it kept before; false, and no change but that nothing is kept, where some of it is in use. */
bool arena_reserve_end(struct arena *arena, uint64_t byte_count);

/* Gives back the range that starts at `address`; false when none does. */
bool arena_free(struct arena *arena, uint64_t address);

/* Makes the range that starts at `address` nobody's, but keeps it used until `arena_free`; false when none does, or it is so already. */
bool arena_retire(struct arena *arena, uint64_t address);

/* Gives the used range that starts at `address` to another owner; false when none does, or it is nobody's. */
bool arena_give(struct arena *arena, uint64_t address, void *owner);

/* Copies the used range that holds `address` to `*found`; false when none does. */
bool arena_find(struct arena *arena, uint64_t address, struct range *found);

/* The first used range of an owner at or above an address; false when there is none. */
bool arena_next_owned(struct arena *arena, const void *owner, uint64_t address, struct range *found);

static inline bool arena_holds(const struct arena *arena, uint64_t address) {
    return address - arena->base < arena->byte_count;
}

#endif
