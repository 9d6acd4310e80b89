/* What is remembered by the bytes of a key: a bounded number of values, of which any may be driven out by another. */
#ifndef SLUICE_LIBRARY_MEMO_H
#define SLUICE_LIBRARY_MEMO_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMO_PLACES 2048

struct memo_entry {
    uint64_t hash;
    size_t key_bytes;
    void *key, *value;
};

struct memo {
    pthread_mutex_t lock;
    /* Ends a value that is driven out. */
    void (*drop)(void *value);
    struct memo_entry entries[MEMO_PLACES];
};

/* Calls `use` with the key's value, under the lock; false, and nothing is called, where there is none. */
bool memo_find(struct memo *memo, const void *key, size_t key_bytes, void (*use)(const void *value, void *into), void *into);
/* Takes over the value, which it drops at once where there is no memory, or the key has one already. */
void memo_keep(struct memo *memo, const void *key, size_t key_bytes, void *value);

#endif
