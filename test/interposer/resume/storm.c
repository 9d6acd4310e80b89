/*
 * Work in which a call that is lost, repeated or out of order, or a byte of a copy, shows for ever: chains of values, counters, copies of any
 * size both ways, in several threads with a stream each, and a graph. Goes on until the file that the first argument names is there; the
 * second says how many threads, the third the bytes of the largest copies.
 */
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

#include "../driver/driver.h"

typedef struct graph *CUgraph;
typedef struct graph_exec *CUgraphExec;
CUresult cuStreamBeginCapture_v2(CUstream stream, int mode);
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph);
CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags);
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream);
CUresult cuGraphExecDestroy(CUgraphExec exec);
CUresult cuGraphDestroy(CUgraph graph);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr destination, CUdeviceptr source, size_t bytes, CUstream stream);

/* chain(u32 *cell, u32 step): cell = cell * 31 + step. */
#define PTX_CHAIN                                                                                                                       \
    PTX_HEADER ".visible .entry chain(.param .u64 cell, .param .u32 step)\n{\n.reg .b64 %d<2>;\n.reg .b32 %r<5>;\n"                     \
               "ld.param.u64 %d1, [cell];\nld.param.u32 %r1, [step];\nld.global.u32 %r2, [%d1];\nmul.lo.u32 %r3, %r2, 31;\n"            \
               "add.u32 %r4, %r3, %r1;\nst.global.u32 [%d1], %r4;\nret;\n}\n"

enum { THREADS_MAX = 8, GRAPH_CHAINS = 40 };

static CUcontext context;
static CUfunction chain;
static const char *stop_file;
static size_t bytes_max;
static unsigned rounds[THREADS_MAX];

static uint32_t roll(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

struct worker {
    unsigned index;
    uint32_t random, value, step;
    CUstream stream;
    CUdeviceptr cell, front, back;
    uint8_t *sent, *got;
    CUgraphExec graph;
};

static void link_chain(struct worker *worker, uint32_t step) {
    void *params[] = {&worker->cell, &step};
    CHECK(launch(chain, 1, 1, worker->stream, params));
}

static void make_graph(struct worker *worker) {
    CUgraph graph;
    CHECK(cuStreamBeginCapture_v2(worker->stream, 0));
    for (uint32_t i = 0; i < GRAPH_CHAINS; i++) link_chain(worker, i);
    CHECK(cuStreamEndCapture(worker->stream, &graph));
    CHECK(cuGraphInstantiateWithFlags(&worker->graph, graph, 0));
    CHECK(cuGraphDestroy(graph));
}

static void open_worker(struct worker *worker) {
    CHECK(cuCtxSetCurrent(context));
    CHECK(cuStreamCreate(&worker->stream, 1));
    CHECK(cuMemAlloc_v2(&worker->cell, 4));
    CHECK(cuMemAlloc_v2(&worker->front, bytes_max));
    CHECK(cuMemAlloc_v2(&worker->back, bytes_max));
    /* Every second one has page-locked memory. */
    if (worker->index % 2 == 0) {
        CHECK(cuMemAllocHost_v2((void **)&worker->sent, bytes_max));
        CHECK(cuMemAllocHost_v2((void **)&worker->got, bytes_max));
    } else {
        worker->sent = malloc(bytes_max);
        worker->got = malloc(bytes_max);
    }
    worker->value = worker->index;
    CHECK(cuMemcpyHtoD_v2(worker->cell, &worker->value, 4));
    make_graph(worker);
}

static void close_worker(struct worker *worker) {
    CHECK(cuGraphExecDestroy(worker->graph));
    CHECK(cuMemFree_v2(worker->cell));
    CHECK(cuMemFree_v2(worker->front));
    CHECK(cuMemFree_v2(worker->back));
    CHECK(cuStreamDestroy_v2(worker->stream));
    if (worker->index % 2 == 0) {
        CHECK(cuMemFreeHost(worker->sent));
        CHECK(cuMemFreeHost(worker->got));
    } else {
        free(worker->sent);
        free(worker->got);
    }
}

/* There and back, by way of a copy on the device; what is sent is spoiled at once, since it may be reused. */
static void copy_round(struct worker *worker) {
    size_t most = roll(&worker->random) % 8 == 0 ? bytes_max : bytes_max < 60000 ? bytes_max : 60000;
    size_t bytes = 1 + roll(&worker->random) % most, first = roll(&worker->random) % bytes;
    uint32_t seed = roll(&worker->random), state = seed;
    for (size_t i = 0; i < bytes; i++) worker->sent[i] = (uint8_t)((i * 2654435761u ^ seed) >> 11);
    if (roll(&state) % 2 == 0) CHECK(cuMemcpyHtoDAsync_v2(worker->front, worker->sent, bytes, worker->stream));
    else {
        CHECK(cuMemcpyHtoD_v2(worker->front, worker->sent, first));
        CHECK(cuMemcpyHtoD_v2(worker->front + first, worker->sent + first, bytes - first));
    }
    memset(worker->sent, 0xee, bytes);
    CHECK(cuMemcpyDtoDAsync_v2(worker->back, worker->front, bytes, worker->stream));
    memset(worker->got, 0, bytes);
    CHECK(cuMemcpyDtoHAsync_v2(worker->got, worker->back, bytes, worker->stream));
    CHECK(cuStreamSynchronize(worker->stream));
    for (size_t i = 0; i < bytes; i++) EXPECT(worker->got[i] == (uint8_t)((i * 2654435761u ^ seed) >> 11));
}

static void chain_round(struct worker *worker) {
    uint32_t links = roll(&worker->random) % 60, value;
    for (uint32_t i = 0; i < links; i++) {
        link_chain(worker, ++worker->step);
        worker->value = worker->value * 31 + worker->step;
    }
    if (links % 4 == 0) {
        CHECK(cuGraphLaunch(worker->graph, worker->stream));
        for (uint32_t i = 0; i < GRAPH_CHAINS; i++) worker->value = worker->value * 31 + i;
    }
    if (links % 3 != 0) return;
    CHECK(cuMemcpyDtoHAsync_v2(&value, worker->cell, 4, worker->stream));
    CHECK(cuStreamSynchronize(worker->stream));
    EXPECT(value == worker->value);
}

static void *work(void *argument) {
    struct worker worker = {.index = (unsigned)(size_t)argument, .random = 77 + (uint32_t)(size_t)argument};
    open_worker(&worker);
    do {
        chain_round(&worker);
        copy_round(&worker);
        rounds[worker.index]++;
    } while (access(stop_file, F_OK) != 0);
    uint32_t value;
    CHECK(cuStreamSynchronize(worker.stream));
    CHECK(cuMemcpyDtoH_v2(&value, worker.cell, 4));
    EXPECT(value == worker.value);
    close_worker(&worker);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS_MAX];
    CUmodule module;
    EXPECT(argc == 4);
    stop_file = argv[1];
    size_t count = (size_t)atoi(argv[2]);
    bytes_max = (size_t)atoi(argv[3]);
    context = start();
    chain = load(PTX_CHAIN, "chain", &module);
    printf("begun\n");
    fflush(stdout);
    for (size_t i = 0; i < count; i++) pthread_create(&threads[i], NULL, work, (void *)i);
    for (size_t i = 0; i < count; i++) pthread_join(threads[i], NULL);
    CHECK(cuCtxSynchronize());
    unsigned all = 0;
    for (size_t i = 0; i < count; i++) all += rounds[i];
    printf("ok after %u rounds\n", all);
    return 0;
}
