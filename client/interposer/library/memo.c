/* What is remembered by the bytes of a key. */
#include <stdlib.h>
#include <string.h>

#include "memo.h"

#define PROBES 8

static uint64_t hash_of(const uint8_t *key, size_t key_bytes) {
    uint64_t hash = 0xcbf29ce484222325u ^ key_bytes;
    for (size_t i = 0; i < key_bytes; i += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, key + i, key_bytes - i < sizeof word ? key_bytes - i : sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return hash;
}

/* The key's entry; else the one that it may have: an empty one of those it may be in, or the first of them. `*is_there` says which. */
static struct memo_entry *entry_of(struct memo *memo, const void *key, size_t key_bytes, uint64_t hash, bool *is_there) {
    struct memo_entry *may_have = NULL;
    for (uint64_t i = 0; i < PROBES; i++) {
        struct memo_entry *entry = &memo->entries[(hash + i) % MEMO_PLACES];
        *is_there = entry->key != NULL && entry->hash == hash && entry->key_bytes == key_bytes && memcmp(entry->key, key, key_bytes) == 0;
        if (*is_there) return entry;
        if (may_have == NULL && entry->key == NULL) may_have = entry;
    }
    return may_have == NULL ? &memo->entries[hash % MEMO_PLACES] : may_have;
}

bool memo_find(struct memo *memo, const void *key, size_t key_bytes, void (*use)(const void *value, void *into), void *into) {
    bool is_there;
    pthread_mutex_lock(&memo->lock);
    const struct memo_entry *entry = entry_of(memo, key, key_bytes, hash_of(key, key_bytes), &is_there);
    if (is_there) use(entry->value, into);
    pthread_mutex_unlock(&memo->lock);
    return is_there;
}

void memo_keep(struct memo *memo, const void *key, size_t key_bytes, void *value) {
    uint64_t hash = hash_of(key, key_bytes);
    void *copy = malloc(key_bytes), *dropped = value;
    bool is_there = false;
    pthread_mutex_lock(&memo->lock);
    struct memo_entry *entry = entry_of(memo, key, key_bytes, hash, &is_there);
    if (copy != NULL && !is_there) {
        memcpy(copy, key, key_bytes);
        free(entry->key);
        dropped = entry->value;
        *entry = (struct memo_entry){hash, key_bytes, copy, value};
        copy = NULL;
    }
    pthread_mutex_unlock(&memo->lock);
    free(copy);
    if (dropped != NULL) memo->drop(dropped);
}
