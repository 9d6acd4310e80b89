/* User objects: what a program wants to live as long as the graphs that use it. Counted references; a function ends the object with the last. */
#include <stdlib.h>

#include "graph.h"

struct user_object {
    struct object object;
    atomic_uint references;
    CUhostFn destroy;
    void *user_data;
};

static struct object_pool objects = OBJECT_POOL_INITIAL;

static void release(struct user_object *object, unsigned count) {
    if (atomic_fetch_sub(&object->references, count) != count) return;
    object->destroy(object->user_data);
    object_destroy(&objects, &object->object);
}

CUresult references_copy(struct user_reference **to, const struct user_reference *from) {
    *to = NULL;
    for (; from != NULL; from = from->next) {
        struct user_reference *copy = malloc(sizeof *copy);
        if (copy == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
        atomic_fetch_add(&from->object->references, from->count);
        *copy = (struct user_reference){from->object, from->count, *to};
        *to = copy;
    }
    return CUDA_SUCCESS;
}

void references_drop(struct user_reference **references) {
    while (*references != NULL) {
        struct user_reference *first = *references;
        *references = first->next;
        release(first->object, first->count);
        free(first);
    }
}

API(cuUserObjectCreate, (CUuserObject * object, void *user_data, CUhostFn destroy, unsigned int count, unsigned int flags),
    (object, user_data, destroy, count, flags)) {
    /* CU_USER_OBJECT_NO_DESTRUCTOR_SYNC, the one flag, must be given. */
    if (object == NULL || destroy == NULL || count == 0 || count > 0x7fffffffu || flags != 1) return CUDA_ERROR_INVALID_VALUE;
    struct user_object *made = object_new(&objects, OBJECT_USER, sizeof *made);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    made->destroy = destroy;
    made->user_data = user_data;
    atomic_store(&made->references, count);
    *object = made;
    return CUDA_SUCCESS;
}

API(cuUserObjectRetain, (CUuserObject object, unsigned int count), (object, count)) {
    if (!object_is(object, OBJECT_USER) || count == 0) return CUDA_ERROR_INVALID_VALUE;
    atomic_fetch_add(&object->references, count);
    return CUDA_SUCCESS;
}

API(cuUserObjectRelease, (CUuserObject object, unsigned int count), (object, count)) {
    if (!object_is(object, OBJECT_USER) || count == 0 || count > atomic_load(&object->references)) return CUDA_ERROR_INVALID_VALUE;
    release(object, count);
    return CUDA_SUCCESS;
}

enum { RETAIN_MOVE = 1 };

API(cuGraphRetainUserObject, (CUgraph graph, CUuserObject object, unsigned int count, unsigned int flags), (graph, object, count, flags)) {
    if (!object_is(graph, OBJECT_GRAPH) || !object_is(object, OBJECT_USER) || count == 0 || flags > RETAIN_MOVE) return CUDA_ERROR_INVALID_VALUE;
    struct user_reference *reference = malloc(sizeof *reference);
    if (reference == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    if (flags != RETAIN_MOVE) atomic_fetch_add(&object->references, count);
    pthread_mutex_lock(&graph_lock);
    *reference = (struct user_reference){object, count, graph->references};
    graph->references = reference;
    pthread_mutex_unlock(&graph_lock);
    return CUDA_SUCCESS;
}

API(cuGraphReleaseUserObject, (CUgraph graph, CUuserObject object, unsigned int count), (graph, object, count)) {
    if (!object_is(graph, OBJECT_GRAPH) || !object_is(object, OBJECT_USER) || count == 0) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&graph_lock);
    for (struct user_reference **at = &graph->references; *at != NULL; at = &(*at)->next) {
        struct user_reference *reference = *at;
        if (reference->object != object || reference->count < count) continue;
        reference->count -= count;
        if (reference->count == 0) {
            *at = reference->next;
            free(reference);
        }
        result = CUDA_SUCCESS;
        break;
    }
    pthread_mutex_unlock(&graph_lock);
    if (result == CUDA_SUCCESS) release(object, count);
    return result;
}
