/* The arena's allocator against a plain model, for many seeds: ranges are disjoint, aligned and inside, figures add up, nothing leaks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../client/interposer/core/arena.h"

enum { LIVE_MAX = 400, STEPS = 4000 };

#define EXPECT(condition)                                                                                                               \
    do {                                                                                                                                \
        if (!(condition)) {                                                                                                             \
            printf("seed %u: line %d: %s does not hold\n", seed, __LINE__, #condition);                                                 \
            exit(1);                                                                                                                    \
        }                                                                                                                               \
    } while (0)

static unsigned random_state;

static unsigned roll(unsigned below) {
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 8) % below;
}

static void play(unsigned seed, uint64_t base) {
    struct {
        uint64_t address, bytes;
    } live[LIVE_MAX];
    struct arena arena;
    struct range found;
    int count = 0;
    uint64_t used = 0, size = (uint64_t)1 << 22;
    random_state = seed;
    if (!arena_open(&arena, base, size, 256)) exit(1);
    for (int step = 0; step < STEPS; step++) {
        if (count < LIVE_MAX) {
            uint64_t bytes = roll(4) == 0 ? roll(1 << 19) + 1 : roll(5000) + 1, padded = (bytes + 255) / 256 * 256;
            uint64_t alignment = roll(8) == 0 ? 4096 : 256;
            uint64_t address = arena_allocate(&arena, bytes, alignment, &live);
            if (address != 0) {
                EXPECT(address % alignment == 0 && address >= base && address + padded <= base + size);
                for (int i = 0; i < count; i++) EXPECT(address + padded <= live[i].address || live[i].address + live[i].bytes <= address);
                EXPECT(arena_find(&arena, address + bytes - 1, &found) && found.address == address && found.asked_bytes == bytes);
                EXPECT(!arena_find(&arena, address + bytes, &found) || found.address != address);
                live[count].address = address;
                live[count++].bytes = bytes;
                used += padded;
            } else {
                EXPECT(used + padded + alignment > size / 4);
            }
        }
        EXPECT(arena.used_bytes == used);
        while (count > 0 && (count == LIVE_MAX || roll(100) < 45)) {
            int index = (int)roll((unsigned)count);
            EXPECT(arena_free(&arena, live[index].address));
            EXPECT(!arena_free(&arena, live[index].address));
            used -= (live[index].bytes + 255) / 256 * 256;
            live[index] = live[--count];
        }
        EXPECT(arena.used_bytes == used);
    }
    while (arena_next_owned(&arena, &live, 0, &found)) EXPECT(arena_free(&arena, found.address));
    EXPECT(arena.used_bytes == 0);
    EXPECT(arena_allocate(&arena, size, 0, NULL) == base);
    EXPECT(arena_allocate(&arena, 1, 0, NULL) == 0);
    EXPECT(arena_free(&arena, base));
    EXPECT(arena_allocate(&arena, size + 1, 0, NULL) == 0 && arena_allocate(&arena, 0, 0, NULL) == 0);
}

/* The end of an arena is kept for nobody, more and less of it. */
static void keep_end(unsigned seed, uint64_t base) {
    struct arena arena;
    struct range found;
    uint64_t size = (uint64_t)1 << 22, part = size / 4;
    if (!arena_open(&arena, base, size, 256)) exit(1);
    EXPECT(arena_allocate(&arena, part, 0, NULL) == base);
    EXPECT(arena_reserve_end(&arena, 2 * part) && arena.used_bytes == 3 * part);
    EXPECT(!arena_find(&arena, base + 3 * part, &found) && !arena_free(&arena, base + size));
    EXPECT(arena_allocate(&arena, part + 1, 0, NULL) == 0);
    EXPECT(arena_allocate(&arena, part, 0, NULL) == base + part);
    EXPECT(arena_reserve_end(&arena, part) && arena.used_bytes == 3 * part);
    EXPECT(arena_allocate(&arena, part, 0, NULL) == base + 2 * part);
    EXPECT(!arena_reserve_end(&arena, 2 * part) && arena.used_bytes == 3 * part);
    EXPECT(arena_allocate(&arena, part, 0, NULL) == base + 3 * part);
    EXPECT(!arena_reserve_end(&arena, 256) && arena_reserve_end(&arena, 0));
    /* Just what lies behind the last allocation, where something was before. */
    EXPECT(arena_free(&arena, base + 3 * part) && arena_reserve_end(&arena, part) && arena.used_bytes == size);
    EXPECT(!arena_find(&arena, base + 3 * part, &found));
    EXPECT(arena_allocate(&arena, 1, 0, NULL) == 0 && arena_reserve_end(&arena, 0));
    EXPECT(arena_allocate(&arena, part, 0, NULL) == base + 3 * part);
    for (int i = 0; i < 4; i++) EXPECT(arena_free(&arena, base + i * part));
    EXPECT(arena_reserve_end(&arena, part) && arena_reserve_end(&arena, 0) && arena.used_bytes == 0);
    EXPECT(arena_allocate(&arena, size, 0, NULL) == base);
}

int main(int argc, char **argv) {
    unsigned first = argc > 1 ? (unsigned)atoi(argv[1]) : 1, seeds = argc > 2 ? (unsigned)atoi(argv[2]) : 20;
    for (unsigned seed = first; seed < first + seeds; seed++) play(seed, 0x600000000000u + (uint64_t)(seed - first) * (1u << 24));
    keep_end(first, 0x500000000000u);
    printf("ok\n");
    return 0;
}
