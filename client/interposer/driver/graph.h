/*
 * What the files about graphs share. A graph is nodes with dependencies, built one by one or by capture; graph-work.c has what a node does,
 * graph.c the structure, graph-nodes.c the calls about one node, graph-capture.c capture, graph-exec.c what is launched.
 */
#ifndef SLUICE_GRAPH_H
#define SLUICE_GRAPH_H

#include "server-library.h"
#include "driver.h"

/* The numbers of CUgraphNodeType. */
enum {
    NODE_KERNEL = 0,
    NODE_COPY = 1,
    NODE_FILL = 2,
    NODE_HOST = 3,
    NODE_CHILD = 4,
    NODE_EMPTY = 5,
    NODE_EVENT_WAIT = 6,
    NODE_EVENT_RECORD = 7,
    NODE_ALLOCATE = 10,
    NODE_FREE = 11,
    /* None of CUDA's: a matrix product, which programs see as a kernel whose parameters are nobody's but the library's. */
    NODE_MULTIPLY = 100,
    /* The same for work of the server's libraries. */
    NODE_LIBRARY = 101,
};

/* Memory that a graph allocates: it keeps its address as long as any graph names it. */
struct graph_memory {
    atomic_uint users;
    struct device *device;
    uint64_t address;
    CUDA_MEM_ALLOC_NODE_PARAMS params;
};

/* What a node does. */
struct node_work {
    int type;
    union {
        struct {
            CUfunction handle; /* As the program named it: a function or a kernel. */
            struct function *function;
            struct sluice_launch_call call;
            bool is_cooperative;
            /* The packed parameters, and a pointer to each of them; one piece of memory. */
            void **pointers;
        } kernel;
        struct sluice_multiply_call product;
        struct library_work *library;
        CUDA_MEMCPY3D copy;
        CUDA_MEMSET_NODE_PARAMS fill;
        CUDA_HOST_NODE_PARAMS host;
        struct graph *child;
        CUevent event;
        struct graph_memory *memory;
        CUdeviceptr freed;
    };
};

/* Values of CUlaunchAttribute by id; they are kept for whoever asks. */
#define NODE_ATTRIBUTES 20

struct graph_node {
    struct object object;
    struct graph *graph;
    struct graph_node *next;
    struct node_work work;
    struct node_list dependencies;
    /* The node of which this one is a copy, in a cloned graph. */
    struct graph_node *original;
    /* For one walk over the graph at a time. */
    uint32_t mark;
    char (*attributes)[64];
};

struct user_reference {
    struct user_object *object;
    unsigned count;
    struct user_reference *next;
};

struct graph {
    struct object object;
    struct graph_node *first, *last;
    size_t count;
    uint64_t id;
    /* A child graph belongs to its node. */
    struct graph_node *owner;
    /* While it is captured: the stream that began, all streams that take part, and whether the capture has failed. */
    struct stream *origin;
    struct stream *capturing;
    bool is_invalid;
    /* Whether the capture goes into a graph that the program made. */
    bool is_given;
    struct user_reference *references;
};

/* Locks the structure of all graphs. */
extern pthread_mutex_t graph_lock;

/* graph-work.c */
CUresult work_copy(struct node_work *to, const struct node_work *from);
void work_drop(struct node_work *work);
CUresult work_of_kernel(const CUDA_KERNEL_NODE_PARAMS *params, struct node_work *work);
/* The first form of the parameters ends before the kernel and the context. */
CUresult work_of_first_form(const CUDA_KERNEL_NODE_PARAMS *params, struct node_work *work);
CUresult work_of_copy(const CUDA_MEMCPY3D *copy, struct node_work *work);
CUresult work_of_fill(const CUDA_MEMSET_NODE_PARAMS *fill, struct node_work *work);
CUresult work_of_host(const CUDA_HOST_NODE_PARAMS *host, struct node_work *work);
CUresult work_of_event(int type, CUevent event, struct node_work *work);
CUresult work_of_memory(struct context *context, CUDA_MEM_ALLOC_NODE_PARAMS *params, struct node_work *work);
CUresult work_of_free(CUdeviceptr address, struct node_work *work);

/* graph-nodes.c: the one form for all kinds of nodes. */
CUresult work_of_params(CUgraphNodeParams *params, struct node_work *work);
/* What a single call of the wire can do of a copy or a fill: one line of bytes. */
bool copy_is_line(const CUDA_MEMCPY3D *copy, struct line *line, size_t *byte_count);
bool fill_is_line(const CUDA_MEMSET_NODE_PARAMS *fill, struct sluice_fill_call *call);

/* graph.c */
CUresult graph_new(struct graph **graph);
void graph_drop(struct graph *graph);
CUresult graph_clone(struct graph *original, struct graph **clone);
/* Adds a node, which takes over the work, also when it fails. */
CUresult graph_add(struct graph *graph, const struct node_list *dependencies, struct node_work *work, struct graph_node **node);
CUresult list_add(struct node_list *list, struct graph_node *node);
CUresult list_copy(struct node_list *to, const struct node_list *from);
void list_drop(struct node_list *list);
/* The nodes in an order that all dependencies allow, in memory of malloc. CUDA_ERROR_INVALID_VALUE when there is a cycle. */
CUresult graph_sort(struct graph *graph, struct graph_node ***nodes);

/* multiply.c: whether all operands of a product are memory of the device; and sending it to a stream. */
CUresult multiply_check(const struct sluice_multiply_call *call, const struct device *device);
CUresult replay_multiply(const struct sluice_multiply_call *product, struct stream *stream);

/* server-library.c: the same for work of the server's libraries, which nodes share; with a reply it is answered. */
CUresult library_check(const struct sluice_library_work *work, const struct device *device);
CUresult replay_library(const struct sluice_library_work *work, struct stream *stream, struct sluice_library_reply *reply);
struct library_work *library_work_hold(struct library_work *work);
void library_work_drop(struct library_work *work);
const struct sluice_library_work *library_work_of(const struct library_work *work);

/* graph-capture.c: adds a node to a stream's capture; takes over the work, also when it fails. */
CUresult capture_add(struct stream *stream, struct node_work *work);

/* user-object.c */
CUresult references_copy(struct user_reference **to, const struct user_reference *from);
void references_drop(struct user_reference **references);

#endif
