/* What the two files about graphs share: what is captured, and what is launched of it. */
#ifndef SLUICE_GRAPH_H
#define SLUICE_GRAPH_H

#include "driver.h"

/* The numbers of CUgraphNodeType. */
enum { NODE_LAUNCH = 0, NODE_COPY = 1, NODE_FILL = 2, NODE_HOST = 3 };

struct graph_node {
    struct object object;
    int type;
    struct sluice_launch_call launch; /* Its parameters follow the node. */
    struct sluice_fill_call fill;
    struct line line;
    size_t bytes;
    CUhostFn function;
    void *user_data;
    struct graph_node *next;
};

/* Nodes are shared by a graph and what is instantiated from it; they never change once the capture has ended. */
struct node_list {
    atomic_uint users;
    size_t count;
    struct graph_node *first, *last;
};

struct graph {
    struct object object;
    struct node_list *nodes;
    struct stream *origin;
    uint64_t id;
};

/* Gives up one use of the nodes. */
void node_list_release(struct node_list *nodes);

#endif
