/* Objects behind handles, and the rest they take after their end, so that a stale handle is an error rather than another object. */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

#define RESTING_MIN 1024

void *object_new(struct object_pool *pool, enum object_kind kind, size_t byte_count) {
    struct object *object = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->resting > RESTING_MIN) {
        object = pool->oldest;
        pool->oldest = object->next;
        pool->resting--;
    }
    pthread_mutex_unlock(&pool->lock);
    if (object == NULL) object = malloc(byte_count);
    if (object == NULL) return NULL;
    memset((char *)object + sizeof *object, 0, byte_count - sizeof *object);
    object->next = NULL;
    atomic_store_explicit(&object->kind, (uint_least32_t)kind, memory_order_release);
    return object;
}

void object_destroy(struct object_pool *pool, struct object *object) {
    atomic_store(&object->kind, OBJECT_DESTROYED);
    pthread_mutex_lock(&pool->lock);
    object->next = NULL;
    if (pool->resting == 0) pool->oldest = object;
    else pool->newest->next = object;
    pool->newest = object;
    pool->resting++;
    pthread_mutex_unlock(&pool->lock);
}
