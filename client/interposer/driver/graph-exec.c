/*
 * Launching graphs. Instantiating copies what the nodes do, child graphs in their places, in an order that all dependencies allow: these steps
 * run in one stream. At the first launch into a stream runs of them go to the server as recordings, and from then on a launch is one short call
 * for each run. Steps that the host carries out, or that the server cannot record, come in between.
 */
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "managed.h"

/* A recording fits a batch with room for the rest of the call. */
#define SEGMENT_BYTES_MAX (SLUICE_BATCH_BYTES - 1024)
#define CALL_HEADER_BYTES 8

/* Fewer calls than this are no longer to send than a replay. */
#define SEGMENT_CALLS_MIN 2

/* One node. Those of a child graph follow the step of its node. */
struct step {
    struct graph_node *node;
    struct node_work work;
    bool is_disabled;
    /* How many steps belong to the child graph. */
    size_t child_steps;
    /* Positions of what it depends on, relative to the first step of its graph: what an update must find again. */
    size_t *behind;
    size_t behind_count;
};

/* Consecutive steps: a recording of the server, or steps to be carried out one by one when `recording` is 0. */
struct segment {
    size_t first, end;
    uint32_t recording;
    uint32_t calls;
    struct segment *next;
};

struct graph_exec {
    struct object object;
    struct step *steps;
    size_t count, capacity;
    uint64_t flags;
    struct user_reference *references;
    pthread_mutex_t lock;
    /* What the steps have become for the stream with this id; NULL before the first launch and after a change. */
    struct segment *segments;
    uint32_t stream_id;
    bool has_memory;
    /* Whether anything has changed since the last launch: what changes each time is not worth recording. */
    bool is_changed;
};

static struct object_pool execs = OBJECT_POOL_INITIAL;

/* Calls that the session's recordings hold, of at most SLUICE_RECORDED_CALLS_MAX. */
static atomic_uint_least32_t recorded_calls;

DEFINE_CREATE(recording_create, RECORDING_CREATE, recording, recordings)
DEFINE_SEND(recording_replay, RECORDING_REPLAY)
DEFINE_SEND(recording_destroy, RECORDING_DESTROY)

static bool is_idle(const struct step *step) {
    int type = step->work.type;
    return step->is_disabled || type == NODE_EMPTY || type == NODE_CHILD || type == NODE_ALLOCATE || type == NODE_FREE;
}

static bool copy_of(const struct step *step, const struct stream *stream, struct sluice_copy_on_device_call *call) {
    struct device *source, *destination;
    struct line line;
    size_t bytes;
    if (!copy_is_line(&step->work.copy, &line, &bytes) || !line.to_device || !line.from_device || line.destination == line.source) return false;
    if (range_check(line.source, bytes, &source) != CUDA_SUCCESS || range_check(line.destination, bytes, &destination) != CUDA_SUCCESS) return false;
    *call = (struct sluice_copy_on_device_call){.destination = line.destination, .source = line.source, .byte_count = bytes, .stream = stream->id};
    return source == stream->device && destination == source;
}

/* Bytes of a step's call, its header included; 0 when it cannot be recorded. Writes the call when `at` is not NULL. */
static size_t record_step(uint8_t *at, const struct step *step, const struct stream *stream) {
    struct sluice_launch_call launch = step->work.kernel.call;
    struct sluice_fill_call fill;
    struct sluice_copy_on_device_call copy;
    struct device *device;
    uint32_t op;
    size_t body;
    if (step->work.type == NODE_KERNEL && !step->work.kernel.is_cooperative) {
        launch.stream = stream->id;
        op = SLUICE_OP_LAUNCH;
        body = sluice_size_launch_call(&launch);
        if (at != NULL) sluice_encode_launch_call(at + CALL_HEADER_BYTES, &launch);
    } else if (step->work.type == NODE_FILL && fill_is_line(&step->work.fill, &fill)) {
        if (range_check(fill.address, fill.count * fill.width, &device) != CUDA_SUCCESS || device != stream->device) return 0;
        fill.stream = stream->id;
        op = SLUICE_OP_FILL;
        body = sluice_size_fill_call(&fill);
        if (at != NULL) sluice_encode_fill_call(at + CALL_HEADER_BYTES, &fill);
    } else if (step->work.type == NODE_COPY && copy_of(step, stream, &copy)) {
        op = SLUICE_OP_COPY_ON_DEVICE;
        body = sluice_size_copy_on_device_call(&copy);
        if (at != NULL) sluice_encode_copy_on_device_call(at + CALL_HEADER_BYTES, &copy);
    } else if (step->work.type == NODE_MULTIPLY && multiply_check(&step->work.product, stream->device) == CUDA_SUCCESS) {
        struct sluice_multiply_call product = step->work.product;
        product.stream = stream->id;
        op = SLUICE_OP_MULTIPLY;
        body = sluice_size_multiply_call(&product);
        if (at != NULL) sluice_encode_multiply_call(at + CALL_HEADER_BYTES, &product);
    } else if (step->work.type == NODE_LIBRARY && library_check(library_work_of(step->work.library), stream->device) == CUDA_SUCCESS) {
        struct sluice_library_work work = *library_work_of(step->work.library);
        op = work.is_plan ? SLUICE_OP_DNN_EXECUTE : SLUICE_OP_LIBRARY_CALL;
        body = work.is_plan ? sluice_size_dnn_execute_call(&work.execute) : sluice_size_library_call_call(&work.call);
        *(work.is_plan ? &work.execute.stream : &work.call.stream) = stream->id;
        if (at != NULL && work.is_plan) sluice_encode_dnn_execute_call(at + CALL_HEADER_BYTES, &work.execute);
        else if (at != NULL) sluice_encode_library_call_call(at + CALL_HEADER_BYTES, &work.call);
    } else {
        return 0;
    }
    if (at != NULL) sluice_put_u32(at, op);
    if (at != NULL) sluice_put_u32(at + 4, (uint32_t)(CALL_HEADER_BYTES + body));
    return CALL_HEADER_BYTES + body;
}

/* Records the steps of a segment; without room for more recordings they are carried out one by one. */
static CUresult record(const struct graph_exec *exec, struct segment *segment, size_t bytes, const struct stream *stream) {
    if (atomic_fetch_add(&recorded_calls, segment->calls) + segment->calls > SLUICE_RECORDED_CALLS_MAX) {
        atomic_fetch_sub(&recorded_calls, segment->calls);
        return CUDA_SUCCESS;
    }
    uint8_t *calls = malloc(bytes), *at = calls;
    if (calls == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = segment->first; i < segment->end; i++)
        if (!is_idle(&exec->steps[i])) at += record_step(at, &exec->steps[i], stream);
    struct sluice_recording_create_call call = {.count = segment->calls, .calls = {calls, bytes}};
    CUresult result = send_recording_create(&call);
    segment->recording = call.recording;
    free(calls);
    return result;
}

static void forget_segments(struct graph_exec *exec) {
    for (struct segment *segment = exec->segments; segment != NULL;) {
        struct segment *next = segment->next;
        if (segment->recording != 0) {
            struct sluice_recording_destroy_call call = {.recording = segment->recording};
            send_recording_destroy(&call, NULL); /* In a session that is over there is none left to destroy. */
            atomic_fetch_sub(&recorded_calls, segment->calls);
        }
        free(segment);
        segment = next;
    }
    exec->segments = NULL;
}

/* Takes steps into a segment as long as they are of its kind and fit; returns the bytes of their calls. */
static size_t gather(const struct graph_exec *exec, struct segment *segment, const struct stream *stream) {
    size_t bytes = 0;
    int kind = -1; /* Not known before the first step that does anything. */
    for (; segment->end < exec->count; segment->end++) {
        if (is_idle(&exec->steps[segment->end])) continue;
        size_t more = exec->is_changed ? 0 : record_step(NULL, &exec->steps[segment->end], stream);
        if (more > SEGMENT_BYTES_MAX) more = 0;
        if (kind == -1) kind = more > 0;
        if (kind != (more > 0) || bytes + more > SEGMENT_BYTES_MAX) break;
        bytes += more;
        segment->calls++;
    }
    return bytes;
}

/* Cuts the steps into segments, and sends those that can be recorded. */
static CUresult prepare(struct graph_exec *exec, const struct stream *stream) {
    struct segment **last = &exec->segments;
    exec->stream_id = stream->id;
    for (size_t at = 0; at < exec->count;) {
        struct segment *segment = calloc(1, sizeof *segment);
        if (segment == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
        *last = segment;
        last = &segment->next;
        segment->first = segment->end = at;
        size_t bytes = gather(exec, segment, stream);
        at = segment->end;
        if (bytes == 0 || segment->calls < SEGMENT_CALLS_MIN) continue;
        CUresult result = record(exec, segment, bytes, stream);
        if (result != CUDA_SUCCESS) return result;
    }
    return CUDA_SUCCESS;
}

static CUresult carry_out(const struct step *step, struct stream *stream) {
    struct sluice_launch_call launch = step->work.kernel.call;
    if (is_idle(step)) return CUDA_SUCCESS;
    switch (step->work.type) {
    case NODE_KERNEL: return replay_launch(&launch, step->work.kernel.is_cooperative, stream);
    case NODE_FILL: return replay_fill(&step->work.fill, stream);
    case NODE_MULTIPLY: return replay_multiply(&step->work.product, stream);
    case NODE_LIBRARY: return replay_library(library_work_of(step->work.library), stream, NULL);
    case NODE_COPY: return replay_copy(&step->work.copy, stream);
    case NODE_HOST: return replay_host(step->work.host.function, step->work.host.user_data, stream);
    case NODE_EVENT_RECORD: return cuEventRecord(step->work.event, stream);
    default: return cuStreamWaitEvent(stream, step->work.event, 0);
    }
}

static CUresult run_segment(const struct graph_exec *exec, const struct segment *segment, struct stream *stream) {
    if (segment->recording != 0) {
        struct sluice_recording_replay_call call = {.recording = segment->recording};
        return send_recording_replay(&call, &stream->last);
    }
    CUresult result = CUDA_SUCCESS;
    for (size_t i = segment->first; i < segment->end && result == CUDA_SUCCESS; i++) result = carry_out(&exec->steps[i], stream);
    return result;
}

static CUresult add_step(struct graph_exec *exec, struct graph_node *node, size_t base) {
    if (exec->count == exec->capacity) {
        size_t capacity = exec->capacity == 0 ? 16 : exec->capacity * 2;
        struct step *larger = realloc(exec->steps, capacity * sizeof *larger);
        if (larger == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
        exec->steps = larger;
        exec->capacity = capacity;
    }
    struct step *step = &exec->steps[exec->count];
    *step = (struct step){.node = node, .work = {.type = node->work.type}, .behind_count = node->dependencies.count};
    if (step->behind_count > 0) {
        step->behind = calloc(step->behind_count, sizeof *step->behind);
        if (step->behind == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
        for (size_t i = 0; i < step->behind_count; i++) step->behind[i] = node->dependencies.items[i]->mark - base;
    }
    /* What a child graph does stands in its own steps. */
    if (node->work.type != NODE_CHILD) {
        CUresult result = work_copy(&step->work, &node->work);
        if (result != CUDA_SUCCESS) {
            free(step->behind);
            return result;
        }
    }
    exec->has_memory |= node->work.type == NODE_ALLOCATE || node->work.type == NODE_FREE;
    exec->count++;
    return CUDA_SUCCESS;
}

static void drop_steps(struct graph_exec *exec) {
    for (size_t i = 0; i < exec->count; i++) {
        if (exec->steps[i].work.type != NODE_CHILD) work_drop(&exec->steps[i].work);
        free(exec->steps[i].behind);
    }
    free(exec->steps);
    exec->steps = NULL;
    exec->count = exec->capacity = 0;
}

/* Appends the steps of a graph. The mark of each node becomes its position. */
static CUresult add_steps(struct graph_exec *exec, struct graph *graph, struct graph_node **at_fault) {
    struct graph_node **order;
    CUresult result = graph_sort(graph, &order);
    if (result != CUDA_SUCCESS) return result;
    size_t base = exec->count;
    for (size_t i = 0; i < graph->count && result == CUDA_SUCCESS; i++) {
        struct graph_node *node = order[i];
        node->mark = (uint32_t)exec->count;
        result = add_step(exec, node, base);
        if (result == CUDA_SUCCESS && node->work.type == NODE_CHILD) {
            size_t own = exec->count - 1;
            result = add_steps(exec, node->work.child, at_fault);
            exec->steps[own].child_steps = exec->count - own - 1;
        }
        if (result != CUDA_SUCCESS && at_fault != NULL && *at_fault == NULL) *at_fault = node;
    }
    free(order);
    return result;
}

static CUresult instantiate(CUgraphExec *exec, CUgraph graph, uint64_t flags, struct graph_node **at_fault) {
    if (exec == NULL || !object_is(graph, OBJECT_GRAPH) || graph->origin != NULL) return CUDA_ERROR_INVALID_VALUE;
    enum { DEVICE_LAUNCH = 4, ALL = 15 };
    if (flags > ALL) return CUDA_ERROR_INVALID_VALUE;
    if ((flags & DEVICE_LAUNCH) != 0) {
        trace("a graph that kernels launch is not supported");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    struct graph_exec *made = object_new(&execs, OBJECT_GRAPH_EXEC, sizeof *made);
    if (made == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    pthread_mutex_init(&made->lock, NULL);
    made->flags = flags;
    CUresult result = add_steps(made, graph, at_fault);
    if (result == CUDA_SUCCESS) result = references_copy(&made->references, graph->references);
    if (result == CUDA_SUCCESS) {
        *exec = made;
        return result;
    }
    drop_steps(made);
    references_drop(&made->references);
    object_destroy(&execs, &made->object);
    return result;
}

API(cuGraphInstantiateWithFlags, (CUgraphExec * exec, CUgraph graph, unsigned long long flags), (exec, graph, flags)) {
    return instantiate(exec, graph, flags, NULL);
}

enum { INSTANTIATE_DONE = 0, INSTANTIATE_ERROR = 1, INSTANTIATE_BAD_STRUCTURE = 2 };

API(cuGraphInstantiateWithParams, (CUgraphExec * exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *params), (exec, graph, params)) {
    if (params == NULL) return CUDA_ERROR_INVALID_VALUE;
    params->error_node = NULL;
    CUresult result = instantiate(exec, graph, params->flags, &params->error_node);
    params->result = result == CUDA_SUCCESS ? INSTANTIATE_DONE : result == CUDA_ERROR_INVALID_VALUE ? INSTANTIATE_BAD_STRUCTURE : INSTANTIATE_ERROR;
    return result;
}
API_ALIAS(cuGraphInstantiateWithParams_ptsz, cuGraphInstantiateWithParams);

/* The older form reports the node at fault and a log. */
API(cuGraphInstantiate_v2, (CUgraphExec * exec, CUgraph graph, CUgraphNode *node, char *log, size_t log_bytes),
    (exec, graph, node, log, log_bytes)) {
    struct graph_node *at_fault = NULL;
    if (log != NULL && log_bytes > 0) *log = '\0';
    CUresult result = instantiate(exec, graph, 0, &at_fault);
    if (node != NULL) *node = at_fault;
    return result;
}
API_ALIAS(cuGraphInstantiate, cuGraphInstantiate_v2);

API(cuGraphExecDestroy, (CUgraphExec exec), (exec)) {
    if (!object_is(exec, OBJECT_GRAPH_EXEC)) return CUDA_ERROR_INVALID_VALUE;
    forget_segments(exec);
    drop_steps(exec);
    references_drop(&exec->references);
    object_destroy(&execs, &exec->object);
    return CUDA_SUCCESS;
}

API(cuGraphExecGetFlags, (CUgraphExec exec, uint64_t *flags), (exec, flags)) {
    if (!object_is(exec, OBJECT_GRAPH_EXEC) || flags == NULL) return CUDA_ERROR_INVALID_VALUE;
    *flags = exec->flags;
    return CUDA_SUCCESS;
}

API(cuGraphUpload, (CUgraphExec exec, CUstream handle), (exec, handle)) {
    struct stream *stream;
    return object_is(exec, OBJECT_GRAPH_EXEC) ? stream_of(handle, &stream) : CUDA_ERROR_INVALID_VALUE;
}
API_ALIAS(cuGraphUpload_ptsz, cuGraphUpload);

/* A graph whose nodes follow each other as the steps do. */
static CUresult graph_of(const struct graph_exec *exec, struct graph **graph) {
    struct graph *made;
    struct graph_node *node = NULL;
    CUresult result = graph_new(&made);
    if (result != CUDA_SUCCESS) return result;
    for (size_t i = 0; i < exec->count && result == CUDA_SUCCESS; i++) {
        struct node_work work;
        if (is_idle(&exec->steps[i])) continue;
        result = work_copy(&work, &exec->steps[i].work);
        struct node_list behind = {&node, node != NULL, node != NULL};
        if (result == CUDA_SUCCESS) result = graph_add(made, &behind, &work, &node);
    }
    if (result == CUDA_SUCCESS) *graph = made;
    else graph_drop(made);
    return result;
}

/* After a launch what it has allocated and not freed is the program's to free. */
static void note_memory(const struct graph_exec *exec) {
    for (size_t i = 0; i < exec->count; i++) {
        const struct node_work *work = &exec->steps[i].work;
        if (work->type == NODE_ALLOCATE) graph_memory_set_live(work->memory->address, true);
        else if (work->type == NODE_FREE) graph_memory_set_live(work->freed, false);
    }
}

API(cuGraphLaunch, (CUgraphExec exec, CUstream handle), (exec, handle)) {
    struct stream *stream;
    CUresult result = work_stream_of(handle, &stream);
    if (result != CUDA_SUCCESS) return result;
    if (!object_is(exec, OBJECT_GRAPH_EXEC)) return CUDA_ERROR_INVALID_VALUE;
    if (stream->capture != NULL) {
        struct node_work work = {.type = NODE_CHILD};
        result = graph_of(exec, &work.child);
        return result == CUDA_SUCCESS ? capture_add(stream, &work) : result;
    }
    result = managed_release(stream->device);
    if (result != CUDA_SUCCESS) return result;
    pthread_mutex_lock(&exec->lock);
    if (exec->segments != NULL && exec->stream_id != stream->id) forget_segments(exec);
    if (exec->segments == NULL) result = prepare(exec, stream);
    if (result != CUDA_SUCCESS) forget_segments(exec);
    for (const struct segment *segment = exec->segments; segment != NULL && result == CUDA_SUCCESS; segment = segment->next)
        result = run_segment(exec, segment, stream);
    /* Unless it changes again, it is recorded at the next launch. */
    if (exec->is_changed) forget_segments(exec);
    exec->is_changed = false;
    if (exec->has_memory && result == CUDA_SUCCESS) note_memory(exec);
    pthread_mutex_unlock(&exec->lock);
    return result;
}
API_ALIAS(cuGraphLaunch_ptsz, cuGraphLaunch);

static struct step *step_of(CUgraphExec exec, CUgraphNode node) {
    for (size_t i = 0; i < exec->count; i++)
        if (exec->steps[i].node == node) return &exec->steps[i];
    return NULL;
}

static void change(struct graph_exec *exec) {
    forget_segments(exec);
    exec->is_changed = true;
}

/* Replaces what a node's step does; takes over the work, also when it fails. */
static CUresult set_step(CUgraphExec exec, CUgraphNode node, struct node_work *work) {
    struct step *step = object_is(exec, OBJECT_GRAPH_EXEC) ? step_of(exec, node) : NULL;
    if (step == NULL || step->work.type != work->type || work->type == NODE_CHILD) {
        work_drop(work);
        return CUDA_ERROR_INVALID_VALUE;
    }
    pthread_mutex_lock(&exec->lock);
    work_drop(&step->work);
    step->work = *work;
    change(exec);
    pthread_mutex_unlock(&exec->lock);
    return CUDA_SUCCESS;
}

#define SET_STEP_FUNCTION(name, made, parameters, arguments)                                                                            \
    API(name, parameters, arguments) {                                                                                                  \
        struct node_work work;                                                                                                          \
        CUresult result = made;                                                                                                         \
        return result == CUDA_SUCCESS ? set_step(exec, node, &work) : result;                                                           \
    }

SET_STEP_FUNCTION(cuGraphExecKernelNodeSetParams, work_of_first_form(params, &work),
                  (CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *params), (exec, node, params))
SET_STEP_FUNCTION(cuGraphExecKernelNodeSetParams_v2, work_of_kernel(params, &work),
                  (CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *params), (exec, node, params))
SET_STEP_FUNCTION(cuGraphExecMemcpyNodeSetParams, ((void)context, work_of_copy(params, &work)),
                  (CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D *params, CUcontext context), (exec, node, params, context))
SET_STEP_FUNCTION(cuGraphExecMemsetNodeSetParams, ((void)context, work_of_fill(params, &work)),
                  (CUgraphExec exec, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params, CUcontext context), (exec, node, params, context))
SET_STEP_FUNCTION(cuGraphExecHostNodeSetParams, work_of_host(params, &work),
                  (CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS *params), (exec, node, params))
SET_STEP_FUNCTION(cuGraphExecEventRecordNodeSetEvent, work_of_event(NODE_EVENT_RECORD, event, &work),
                  (CUgraphExec exec, CUgraphNode node, CUevent event), (exec, node, event))
SET_STEP_FUNCTION(cuGraphExecEventWaitNodeSetEvent, work_of_event(NODE_EVENT_WAIT, event, &work),
                  (CUgraphExec exec, CUgraphNode node, CUevent event), (exec, node, event))

static bool can_be_disabled(const struct step *step) {
    return step->work.type <= NODE_FILL || step->work.type >= NODE_MULTIPLY;
}

API(cuGraphNodeSetEnabled, (CUgraphExec exec, CUgraphNode node, unsigned int is_enabled), (exec, node, is_enabled)) {
    struct step *step = object_is(exec, OBJECT_GRAPH_EXEC) ? step_of(exec, node) : NULL;
    if (step == NULL || !can_be_disabled(step)) return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&exec->lock);
    step->is_disabled = is_enabled == 0;
    change(exec);
    pthread_mutex_unlock(&exec->lock);
    return CUDA_SUCCESS;
}

API(cuGraphNodeGetEnabled, (CUgraphExec exec, CUgraphNode node, unsigned int *is_enabled), (exec, node, is_enabled)) {
    const struct step *step = object_is(exec, OBJECT_GRAPH_EXEC) ? step_of(exec, node) : NULL;
    if (step == NULL || is_enabled == NULL || !can_be_disabled(step)) return CUDA_ERROR_INVALID_VALUE;
    *is_enabled = !step->is_disabled;
    return CUDA_SUCCESS;
}

/* The numbers of CUgraphExecUpdateResult. */
enum { UPDATE_DONE = 0, UPDATE_ERROR = 1, UPDATE_TOPOLOGY = 2, UPDATE_TYPE = 3 };

static bool is_alike(const struct step *first, const struct step *second) {
    if (first->behind_count != second->behind_count || first->child_steps != second->child_steps) return false;
    return first->behind_count == 0 || memcmp(first->behind, second->behind, first->behind_count * sizeof *first->behind) == 0;
}

/* Compares `count` steps with those of a new graph: types and dependencies must be the same. */
static int compare(const struct step *steps, size_t count, const struct graph_exec *fresh, CUgraphNode *at_fault) {
    if (fresh->count != count) return UPDATE_TOPOLOGY;
    for (size_t i = 0; i < count; i++) {
        *at_fault = fresh->steps[i].node;
        if (steps[i].work.type != fresh->steps[i].work.type) return UPDATE_TYPE;
        if (!is_alike(&steps[i], &fresh->steps[i])) return UPDATE_TOPOLOGY;
    }
    *at_fault = NULL;
    return UPDATE_DONE;
}

/* Makes `count` steps do what the same steps of a new graph do; all of them, or none. */
static int update(CUgraphExec exec, struct step *steps, size_t count, CUgraph graph, CUgraphNode *at_fault) {
    struct graph_exec fresh = {0};
    int outcome = add_steps(&fresh, graph, at_fault) == CUDA_SUCCESS ? compare(steps, count, &fresh, at_fault) : UPDATE_ERROR;
    if (outcome == UPDATE_DONE) {
        pthread_mutex_lock(&exec->lock);
        for (size_t i = 0; i < count; i++) {
            struct node_work before = steps[i].work;
            steps[i].work = fresh.steps[i].work;
            fresh.steps[i].work = before;
        }
        change(exec);
        pthread_mutex_unlock(&exec->lock);
    }
    drop_steps(&fresh);
    return outcome;
}

API(cuGraphExecChildGraphNodeSetParams, (CUgraphExec exec, CUgraphNode node, CUgraph child), (exec, node, child)) {
    CUgraphNode at_fault = NULL;
    struct step *step = object_is(exec, OBJECT_GRAPH_EXEC) ? step_of(exec, node) : NULL;
    if (step == NULL || step->work.type != NODE_CHILD || !object_is(child, OBJECT_GRAPH) || child->origin != NULL) return CUDA_ERROR_INVALID_VALUE;
    return update(exec, step + 1, step->child_steps, child, &at_fault) == UPDATE_DONE ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API(cuGraphExecUpdate_v2, (CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *info), (exec, graph, info)) {
    if (!object_is(exec, OBJECT_GRAPH_EXEC) || !object_is(graph, OBJECT_GRAPH) || graph->origin != NULL || info == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *info = (CUgraphExecUpdateResultInfo){0};
    info->result = update(exec, exec->steps, exec->count, graph, &info->node);
    return info->result == UPDATE_DONE ? CUDA_SUCCESS : CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
}

API(cuGraphExecUpdate, (CUgraphExec exec, CUgraph graph, CUgraphNode *node, int *outcome), (exec, graph, node, outcome)) {
    CUgraphExecUpdateResultInfo info = {0};
    CUresult result = cuGraphExecUpdate_v2(exec, graph, &info);
    if (node != NULL) *node = info.node;
    if (outcome != NULL) *outcome = info.result;
    return result;
}

API(cuGraphExecNodeSetParams, (CUgraphExec exec, CUgraphNode node, CUgraphNodeParams *params), (exec, node, params)) {
    struct node_work work;
    if (params == NULL || params->type >= NODE_ALLOCATE) return CUDA_ERROR_INVALID_VALUE;
    if (params->type == NODE_CHILD) return cuGraphExecChildGraphNodeSetParams(exec, node, params->child.graph);
    CUresult result = work_of_params(params, &work);
    return result == CUDA_SUCCESS ? set_step(exec, node, &work) : result;
}
