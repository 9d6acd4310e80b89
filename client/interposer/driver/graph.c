/* The structure of graphs: nodes, what each depends on, copies, and the questions about them. */
#include "graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct object_pool graphs = OBJECT_POOL_INITIAL;
static struct object_pool nodes = OBJECT_POOL_INITIAL;
pthread_mutex_t graph_lock = PTHREAD_MUTEX_INITIALIZER;

CUresult list_add(struct node_list *list, struct graph_node *node) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == node) return CUDA_SUCCESS;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 4 : list->capacity * 2;
        struct graph_node **larger = realloc(list->items, capacity * sizeof *larger);
        if (larger == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
        list->items = larger;
        list->capacity = capacity;
    }
    list->items[list->count++] = node;
    return CUDA_SUCCESS;
}

CUresult list_copy(struct node_list *to, const struct node_list *from) {
    to->count = 0;
    CUresult result = CUDA_SUCCESS;
    for (size_t i = 0; from != NULL && i < from->count && result == CUDA_SUCCESS; i++) result = list_add(to, from->items[i]);
    return result;
}

void list_drop(struct node_list *list) {
    free(list->items);
    *list = (struct node_list){0};
}

static bool list_remove(struct node_list *list, const struct graph_node *node) {
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i] != node) continue;
        memmove(list->items + i, list->items + i + 1, (list->count - i - 1) * sizeof *list->items);
        list->count--;
        return true;
    }
    return false;
}

CUresult graph_new(struct graph **graph) {
    static atomic_uint_least64_t ids;
    struct graph *made = object_new(&graphs, OBJECT_GRAPH, sizeof *made);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    made->id = atomic_fetch_add(&ids, 1) + 1;
    *graph = made;
    return CUDA_SUCCESS;
}

static void drop_node(struct graph_node *node) {
    work_drop(&node->work);
    list_drop(&node->dependencies);
    free(node->attributes);
    object_destroy(&nodes, &node->object);
}

void graph_drop(struct graph *graph) {
    for (struct graph_node *node = graph->first; node != NULL;) {
        struct graph_node *next = node->next;
        drop_node(node);
        node = next;
    }
    references_drop(&graph->references);
    object_destroy(&graphs, &graph->object);
}

CUresult graph_add(struct graph *graph, const struct node_list *dependencies, struct node_work *work, struct graph_node **node) {
    struct graph_node *made = object_new(&nodes, OBJECT_GRAPH_NODE, sizeof *made);
    CUresult result = made == NULL ? CUDA_ERROR_OUT_OF_MEMORY : list_copy(&made->dependencies, dependencies);
    if (result != CUDA_SUCCESS) {
        work_drop(work);
        if (made != NULL) drop_node(made);
        return result;
    }
    made->graph = graph;
    made->work = *work;
    if (work->type == NODE_CHILD) work->child->owner = made;
    pthread_mutex_lock(&graph_lock);
    if (graph->last == NULL) graph->first = made;
    else graph->last->next = made;
    graph->last = made;
    graph->count++;
    pthread_mutex_unlock(&graph_lock);
    *node = made;
    return CUDA_SUCCESS;
}

static CUresult clone_node(struct graph *clone, struct graph_node *original) {
    struct node_work work;
    struct graph_node *made;
    CUresult result = work_copy(&work, &original->work);
    if (result == CUDA_SUCCESS) result = graph_add(clone, NULL, &work, &made);
    if (result != CUDA_SUCCESS) return result;
    made->original = original;
    if (original->attributes == NULL) return CUDA_SUCCESS;
    made->attributes = malloc(NODE_ATTRIBUTES * sizeof *made->attributes);
    if (made->attributes == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(made->attributes, original->attributes, NODE_ATTRIBUTES * sizeof *made->attributes);
    return CUDA_SUCCESS;
}

CUresult graph_clone(struct graph *original, struct graph **clone) {
    struct graph *made;
    CUresult result = graph_new(&made);
    if (result != CUDA_SUCCESS) return result;
    uint32_t index = 0;
    for (struct graph_node *node = original->first; node != NULL && result == CUDA_SUCCESS; node = node->next) {
        node->mark = index++;
        result = clone_node(made, node);
    }
    struct graph_node **copies = calloc(original->count + 1, sizeof *copies);
    if (copies == NULL) result = CUDA_ERROR_OUT_OF_MEMORY;
    index = 0;
    for (struct graph_node *node = made->first; node != NULL && result == CUDA_SUCCESS; node = node->next) copies[index++] = node;
    for (struct graph_node *node = made->first; node != NULL && result == CUDA_SUCCESS; node = node->next)
        for (size_t i = 0; i < node->original->dependencies.count && result == CUDA_SUCCESS; i++)
            result = list_add(&node->dependencies, copies[node->original->dependencies.items[i]->mark]);
    free(copies);
    if (result == CUDA_SUCCESS) result = references_copy(&made->references, original->references);
    if (result == CUDA_SUCCESS) *clone = made;
    else graph_drop(made);
    return result;
}

enum { MARK_NEW = 0, MARK_OPEN, MARK_DONE };

/* Takes a node behind all that it depends on; the stack is an array, since chains may be long. */
static CUresult visit(struct graph_node *root, struct graph_node **stack, struct graph_node **order, size_t *count) {
    size_t depth = 0;
    if (root->mark == MARK_DONE) return CUDA_SUCCESS;
    stack[depth++] = root;
    while (depth > 0) {
        struct graph_node *node = stack[depth - 1], *before = NULL;
        node->mark = MARK_OPEN;
        for (size_t i = 0; i < node->dependencies.count && before == NULL; i++)
            if (node->dependencies.items[i]->mark != MARK_DONE) before = node->dependencies.items[i];
        if (before == NULL) {
            node->mark = MARK_DONE;
            order[(*count)++] = node;
            depth--;
        } else if (before->mark == MARK_OPEN) {
            return CUDA_ERROR_INVALID_VALUE;
        } else {
            stack[depth++] = before;
        }
    }
    return CUDA_SUCCESS;
}

CUresult graph_sort(struct graph *graph, struct graph_node ***sorted) {
    struct graph_node **order = calloc(2 * graph->count + 1, sizeof *order);
    if (order == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = CUDA_SUCCESS;
    size_t count = 0;
    for (struct graph_node *node = graph->first; node != NULL; node = node->next) node->mark = MARK_NEW;
    for (struct graph_node *node = graph->first; node != NULL && result == CUDA_SUCCESS; node = node->next)
        result = visit(node, order + graph->count, order, &count);
    if (result == CUDA_SUCCESS) *sorted = order;
    else free(order);
    return result;
}

API(cuGraphCreate, (CUgraph * graph, unsigned int flags), (graph, flags)) {
    return graph == NULL || flags != 0 ? CUDA_ERROR_INVALID_VALUE : graph_new(graph);
}

API(cuGraphDestroy, (CUgraph graph), (graph)) {
    if (!object_is(graph, OBJECT_GRAPH) || graph->owner != NULL || graph->origin != NULL) return CUDA_ERROR_INVALID_VALUE;
    graph_drop(graph);
    return CUDA_SUCCESS;
}

API(cuGraphClone, (CUgraph * clone, CUgraph original), (clone, original)) {
    if (clone == NULL || !object_is(original, OBJECT_GRAPH) || original->origin != NULL) return CUDA_ERROR_INVALID_VALUE;
    return graph_clone(original, clone);
}

API(cuGraphNodeFindInClone, (CUgraphNode * node, CUgraphNode original, CUgraph clone), (node, original, clone)) {
    if (node == NULL || !object_is(original, OBJECT_GRAPH_NODE) || !object_is(clone, OBJECT_GRAPH)) return CUDA_ERROR_INVALID_VALUE;
    for (struct graph_node *each = clone->first; each != NULL; each = each->next) {
        if (each->original != original) continue;
        *node = each;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

API(cuGraphDestroyNode, (CUgraphNode node), (node)) {
    if (!object_is(node, OBJECT_GRAPH_NODE)) return CUDA_ERROR_INVALID_VALUE;
    /* The memory of a graph goes with the graph. */
    if (node->work.type == NODE_ALLOCATE || node->work.type == NODE_FREE) return CUDA_ERROR_NOT_SUPPORTED;
    struct graph *graph = node->graph;
    struct graph_node *before = NULL;
    pthread_mutex_lock(&graph_lock);
    for (struct graph_node *each = graph->first; each != NULL; each = each->next) {
        if (each->next == node) before = each;
        list_remove(&each->dependencies, node);
    }
    if (before != NULL) before->next = node->next;
    else graph->first = node->next;
    if (graph->last == node) graph->last = before;
    graph->count--;
    pthread_mutex_unlock(&graph_lock);
    drop_node(node);
    return CUDA_SUCCESS;
}

/* Answers with nodes: as many as there are and fit; the rest of the array becomes NULL, and the count what was given or, without an array, all. */
static CUresult answer_nodes(const struct node_list *found, CUgraphNode *into, size_t *count) {
    if (count == NULL) return CUDA_ERROR_INVALID_VALUE;
    if (into != NULL)
        for (size_t i = 0; i < *count; i++) into[i] = i < found->count ? found->items[i] : NULL;
    if (into == NULL || *count > found->count) *count = found->count;
    return CUDA_SUCCESS;
}

static CUresult answer_those(CUgraph graph, bool (*is_asked)(const struct graph_node *, const struct graph_node *),
                             const struct graph_node *about, CUgraphNode *into, size_t *count) {
    struct node_list found = {calloc(graph->count + 1, sizeof(struct graph_node *)), 0, graph->count + 1};
    if (found.items == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    for (struct graph_node *node = graph->first; node != NULL; node = node->next)
        if (is_asked(node, about)) found.items[found.count++] = node;
    CUresult result = answer_nodes(&found, into, count);
    list_drop(&found);
    return result;
}

static bool is_any(const struct graph_node *node, const struct graph_node *about) {
    (void)node, (void)about;
    return true;
}

static bool is_root(const struct graph_node *node, const struct graph_node *about) {
    (void)about;
    return node->dependencies.count == 0;
}

static bool depends_on(const struct graph_node *node, const struct graph_node *about) {
    for (size_t i = 0; i < node->dependencies.count; i++)
        if (node->dependencies.items[i] == about) return true;
    return false;
}

API(cuGraphGetNodes, (CUgraph graph, CUgraphNode *into, size_t *count), (graph, into, count)) {
    return object_is(graph, OBJECT_GRAPH) ? answer_those(graph, is_any, NULL, into, count) : CUDA_ERROR_INVALID_VALUE;
}

API(cuGraphGetRootNodes, (CUgraph graph, CUgraphNode *into, size_t *count), (graph, into, count)) {
    return object_is(graph, OBJECT_GRAPH) ? answer_those(graph, is_root, NULL, into, count) : CUDA_ERROR_INVALID_VALUE;
}

API(cuGraphNodeGetDependencies, (CUgraphNode node, CUgraphNode *into, size_t *count), (node, into, count)) {
    return object_is(node, OBJECT_GRAPH_NODE) ? answer_nodes(&node->dependencies, into, count) : CUDA_ERROR_INVALID_VALUE;
}

API(cuGraphNodeGetDependentNodes, (CUgraphNode node, CUgraphNode *into, size_t *count), (node, into, count)) {
    return object_is(node, OBJECT_GRAPH_NODE) ? answer_those(node->graph, depends_on, node, into, count) : CUDA_ERROR_INVALID_VALUE;
}

/* Edges carry eight bytes in the later forms. All are of the plain kind: a full dependency, which is also what serves the others. */
static void plain_edges(void *edges, const size_t *count) {
    if (edges != NULL && count != NULL) memset(edges, 0, *count * 8);
}

API(cuGraphNodeGetDependencies_v2, (CUgraphNode node, CUgraphNode *into, void *edges, size_t *count), (node, into, edges, count)) {
    plain_edges(edges, count);
    return cuGraphNodeGetDependencies(node, into, count);
}

API(cuGraphNodeGetDependentNodes_v2, (CUgraphNode node, CUgraphNode *into, void *edges, size_t *count), (node, into, edges, count)) {
    plain_edges(edges, count);
    return cuGraphNodeGetDependentNodes(node, into, count);
}

API(cuGraphGetEdges, (CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *count), (graph, from, to, count)) {
    if (!object_is(graph, OBJECT_GRAPH) || count == NULL || (from == NULL) != (to == NULL)) return CUDA_ERROR_INVALID_VALUE;
    size_t total = 0;
    for (struct graph_node *node = graph->first; node != NULL; node = node->next) {
        for (size_t i = 0; i < node->dependencies.count; i++, total++) {
            if (from == NULL || total >= *count) continue;
            from[total] = node->dependencies.items[i];
            to[total] = node;
        }
    }
    for (size_t i = total; from != NULL && i < *count; i++) from[i] = to[i] = NULL;
    if (from == NULL || *count > total) *count = total;
    return CUDA_SUCCESS;
}

API(cuGraphGetEdges_v2, (CUgraph graph, CUgraphNode *from, CUgraphNode *to, void *edges, size_t *count), (graph, from, to, edges, count)) {
    plain_edges(edges, count);
    return cuGraphGetEdges(graph, from, to, count);
}

static CUresult check_edges(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t count) {
    if (!object_is(graph, OBJECT_GRAPH) || (count > 0 && (from == NULL || to == NULL))) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count; i++) {
        if (!object_is(from[i], OBJECT_GRAPH_NODE) || !object_is(to[i], OBJECT_GRAPH_NODE)) return CUDA_ERROR_INVALID_VALUE;
        if (from[i]->graph != graph || to[i]->graph != graph || from[i] == to[i]) return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

API(cuGraphAddDependencies, (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t count), (graph, from, to, count)) {
    CUresult result = check_edges(graph, from, to, count);
    for (size_t i = 0; i < count && result == CUDA_SUCCESS; i++)
        result = depends_on(to[i], from[i]) ? CUDA_ERROR_INVALID_VALUE : list_add(&to[i]->dependencies, from[i]);
    return result;
}

API(cuGraphRemoveDependencies, (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t count), (graph, from, to, count)) {
    CUresult result = check_edges(graph, from, to, count);
    for (size_t i = 0; i < count && result == CUDA_SUCCESS; i++)
        result = list_remove(&to[i]->dependencies, from[i]) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    return result;
}

API(cuGraphAddDependencies_v2, (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, const void *edges, size_t count),
    (graph, from, to, edges, count)) {
    (void)edges;
    return cuGraphAddDependencies(graph, from, to, count);
}

API(cuGraphRemoveDependencies_v2, (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, const void *edges, size_t count),
    (graph, from, to, edges, count)) {
    (void)edges;
    return cuGraphRemoveDependencies(graph, from, to, count);
}

API(cuGraphNodeGetType, (CUgraphNode node, int *type), (node, type)) {
    if (!object_is(node, OBJECT_GRAPH_NODE) || type == NULL) return CUDA_ERROR_INVALID_VALUE;
    *type = node->work.type >= NODE_MULTIPLY ? NODE_KERNEL : node->work.type;
    return CUDA_SUCCESS;
}

static void describe(FILE *file, const struct graph_node *node) {
    static const char *const names[] = {"KERNEL", "MEMCPY", "MEMSET", "HOST", "GRAPH", "EMPTY", "WAIT_EVENT", "EVENT_RECORD",
                                        "", "", "MEM_ALLOC", "MEM_FREE"};
    fprintf(file, "\"node_%p\" [shape=box, label=\"%s", (const void *)node,
            node->work.type >= NODE_MULTIPLY ? names[NODE_KERNEL] : names[node->work.type]);
    if (node->work.type == NODE_KERNEL && object_is(node->work.kernel.function, OBJECT_FUNCTION)) {
        const struct sluice_launch_call *call = &node->work.kernel.call;
        fprintf(file, "\\n%s\\n<<<(%u,%u,%u),(%u,%u,%u),%u>>>", node->work.kernel.function->name, call->grid_x, call->grid_y, call->grid_z,
                call->block_x, call->block_y, call->block_z, call->shared_bytes);
    } else if (node->work.type == NODE_MULTIPLY) {
        const struct sluice_multiply_call *call = &node->work.product;
        fprintf(file, "\\nmatrix product\\n%u x %u x %u", call->m, call->n, call->k);
    } else if (node->work.type == NODE_LIBRARY) {
        fprintf(file, "\\nlibrary");
    } else if (node->work.type == NODE_COPY) {
        fprintf(file, "\\n%zu x %zu x %zu bytes", node->work.copy.width_bytes, node->work.copy.height, node->work.copy.depth);
    } else if (node->work.type == NODE_FILL) {
        fprintf(file, "\\n%zu x %zu of %u bytes", node->work.fill.width, node->work.fill.height, node->work.fill.element_bytes);
    }
    fprintf(file, "\"];\n");
}

static void draw(FILE *file, const struct graph *graph) {
    fprintf(file, "subgraph cluster_%llu {\nlabel=\"graph_%llu\";\n", (unsigned long long)graph->id, (unsigned long long)graph->id);
    for (const struct graph_node *node = graph->first; node != NULL; node = node->next) {
        describe(file, node);
        if (node->work.type == NODE_CHILD) draw(file, node->work.child);
        for (size_t i = 0; i < node->dependencies.count; i++)
            fprintf(file, "\"node_%p\" -> \"node_%p\";\n", (const void *)node->dependencies.items[i], (const void *)node);
    }
    fprintf(file, "}\n");
}

API(cuGraphDebugDotPrint, (CUgraph graph, const char *path, unsigned int flags), (graph, path, flags)) {
    (void)flags; /* They ask for more or less of the parameters. */
    if (!object_is(graph, OBJECT_GRAPH) || path == NULL) return CUDA_ERROR_INVALID_VALUE;
    FILE *file = fopen(path, "we");
    if (file == NULL) return CUDA_ERROR_OPERATING_SYSTEM;
    fprintf(file, "digraph dot {\n");
    draw(file, graph);
    fprintf(file, "}\n");
    return fclose(file) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}
