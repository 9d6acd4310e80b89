/*
 * What the files of the driver library share: the objects behind CUDA's handles, the process's state, and how a function of the API
 * is defined. Objects are never given back to malloc, so that a destroyed handle is recognised instead of crashing.
 */
#ifndef SLUICE_DRIVER_H
#define SLUICE_DRIVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/arena.h"
#include "../core/connection.h"
#include "../core/report.h"
#include "cuda-graph-api.h"

#define EXPORT __attribute__((visibility("default")))

/* What an object is; the first word of each. */
enum object_kind {
    OBJECT_DESTROYED = 0,
    OBJECT_CONTEXT = 0x51c0de01,
    OBJECT_MODULE,
    OBJECT_FUNCTION,
    OBJECT_LIBRARY,
    OBJECT_KERNEL,
    OBJECT_STREAM,
    OBJECT_EVENT,
    OBJECT_POOL,
    OBJECT_LINK,
    OBJECT_GRAPH,
    OBJECT_GRAPH_EXEC,
    OBJECT_GRAPH_NODE,
    OBJECT_USER,
    OBJECT_ARRAY,
    OBJECT_MIPMAPPED_ARRAY,
};

struct object {
    atomic_uint_least32_t kind;
    struct object *next;
};

/* Destroyed objects rest here before they are used again, the oldest first. */
struct object_pool {
    pthread_mutex_t lock;
    struct object *oldest, *newest;
    unsigned resting;
};

#define OBJECT_POOL_INITIAL {PTHREAD_MUTEX_INITIALIZER, NULL, NULL, 0}

void *object_new(struct object_pool *pool, enum object_kind kind, size_t byte_count);
void object_destroy(struct object_pool *pool, struct object *object);

static inline bool object_is(const void *pointer, enum object_kind kind) {
    const struct object *object = pointer;
    return object != NULL && atomic_load_explicit(&object->kind, memory_order_acquire) == (uint_least32_t)kind;
}

/* Nodes of a graph. */
struct node_list {
    struct graph_node **items;
    size_t count, capacity;
};

struct stream {
    struct object object;
    struct context *context;
    struct device *device;
    uint32_t id; /* 0 is the device's default stream. */
    uint32_t flags; /* 1: It waits for no default stream, and that for none of its work. */
    int32_t priority;
    /* How many of the device's handed-over copies it stands behind. */
    atomic_uint_least32_t settled;
    /* Sequence numbers of the last call in the stream, and of the last one known to be done. `last` is guarded by the send lock. */
    uint64_t last;
    atomic_uint_least64_t done;
    /* What calls in the stream are recorded in instead of being sent, or NULL; the nodes behind which the next one comes; the next stream of it. */
    struct graph *capture;
    struct node_list captured;
    struct stream *next_capturing;
    char (*attributes)[64]; /* By number; NULL before any is set. */
    struct stream *next;
};

struct event {
    struct object object;
    struct device *device;
    uint32_t id;
    uint32_t flags;
    /* The last recording: in which stream (an object may serve another stream later: so also its id), and its sequence number, or 0. */
    struct stream *stream;
    uint32_t stream_id;
    uint64_t recorded;
    /* The capture in which it was recorded last, or NULL, and behind which nodes: a stream that waits for it joins that capture. */
    struct graph *capture;
    uint64_t capture_id;
    struct node_list captured;
};

/* Numbers of CUlimit. */
#define STACK_BYTES_DEFAULT 1024
enum { LIMIT_STACK = 0, LIMIT_PRINTF = 1, LIMIT_HEAP = 2, LIMIT_SYNC_DEPTH = 3, LIMIT_LAUNCHES = 4, LIMIT_L2 = 5, LIMIT_L2_PERSISTING = 6 };
#define HEAP_BYTES_DEFAULT (8 << 20)
#define HEAP_BYTES_MIN (64 << 10)

struct context {
    struct object object;
    struct device *device;
    bool is_primary;
    bool is_active;
    unsigned retained;
    /* Times that the program has attached it beyond the first. */
    unsigned attached;
    unsigned flags;
    unsigned version;
    int cache_config;
    int shared_config;
    size_t limits[12];
    uint32_t peers;
    struct stream *streams;
    struct module *modules;
    struct CUarray_st *arrays;
    struct CUmipmappedArray_st *mipmapped_arrays;
};

struct parameter {
    uint32_t offset;
    uint32_t byte_count;
};

struct function {
    struct object object;
    struct module *module;
    const char *name;
    uint32_t index;
    uint32_t parameter_count;
    uint32_t parameter_bytes;
    struct parameter *parameters;
    uint32_t threads_max;
    uint32_t shared_bytes, local_bytes, constant_bytes, registers, ptx_version, binary_version;
    /* Whether it allocates memory by itself, for which this library must provide. */
    bool uses_heap;
    /* Why the device cannot run it: the number of an error, or 0, and its sentence, which is reported once. */
    uint32_t refusal_code;
    const char *refusal;
    atomic_bool refusal_reported;
    /* Set by the program. */
    int shared_dynamic_max;
    int carveout;
    int cache_config;
    /* What a launch in steps has set; NULL until one does. */
    struct launch_steps *steps;
};

struct global {
    char *name;
    uint64_t address;
    uint64_t byte_count;
};

struct module {
    struct object object;
    struct context *context;
    struct device *device;
    uint32_t id;
    uint32_t function_count, global_count;
    struct function *functions;
    struct global *globals;
    char *names;
    struct module *next;
};

struct memory_pool {
    struct object object;
    struct device *device;
    uint64_t release_threshold;
    int reuse[3];
};

struct device {
    uint32_t index;
    char kind[16];
    char name[256];
    char id[64];
    uint32_t driver_version;
    int attributes[CU_ATTRIBUTE_COUNT];
    struct arena arena;
    struct context primary;
    struct stream stream; /* The default stream. */
    struct memory_pool pool;
    struct memory_pool *current_pool;
    /* Own the memory that graphs allocate: what a launch has allocated and nobody has freed since, and the rest. */
    struct context graphs_live, graphs;
    uint64_t graph_bytes_max;
    /* Owns the memory on which kernels allocate by themselves; its size, 0 until there is one. */
    struct context heap_owner;
    atomic_uint_least64_t heap_bytes;
    /* All calls up to this one are done on this device. */
    atomic_uint_least64_t done;
    /* Whether any stream was ever created: without one, all work is in order. */
    atomic_bool has_streams;
    /* Copies from the host that the program has waited for since: how many, and the event behind the last one. */
    atomic_uint_least32_t handed_over;
    uint32_t handed_over_event;
    /* The sequence number of such a copy before there was any stream. */
    atomic_uint_least64_t handed_over_early;
    /* Freed ranges that work in other streams may still use; see memory.c. */
    pthread_mutex_t quarantine_lock;
    struct quarantined *quarantine_oldest, *quarantine_newest;
    atomic_uint_least64_t quarantined_bytes;
};

struct driver {
    atomic_int phase;
    struct connection connection;
    uint32_t device_count;
    /* How many devices each lease has, by the word of `sluice run`; 0 where nobody says so. */
    uint32_t promised_count;
    /* Leases of which this process has one. */
    uint32_t lease_count;
    struct device *devices[SLUICE_SLICES_PER_LEASE_MAX];
    atomic_uint_least32_t modules, images, streams, events, recordings, textures, surfaces;
};

/* A promised session opens with the first call that needs it. */
enum { PHASE_FRESH = 0, PHASE_READY = 1, PHASE_FORKED = 2, PHASE_OVER = 3, PHASE_PROMISED = 4 };

extern struct driver driver;

/* The CUDA error for a failure on the wire. */
CUresult result_of(struct failure failure);

/* The error that answers any call, or CUDA_SUCCESS. Opens a promised session. */
CUresult driver_check(void);

/*
 * The same, for what only asks about devices: before there is a session, what an ancestor says that has one will do. Programs start others that ask for
 * that and no more, as PyTorch's compiler does, and those would wait for the session of who waits for them.
 */
CUresult driver_know(void);

/* A device for that. */
CUresult known_device(CUdevice ordinal, struct device **device);

/* How many devices are promised, before there is a session; else 0. */
static inline uint32_t promised_devices(void) {
    return atomic_load_explicit(&driver.phase, memory_order_acquire) == PHASE_PROMISED ? driver.promised_count : 0;
}

static inline CUresult connection_result(void) {
    struct failure failure = connection_failure(&driver.connection);
    return failure.code == 0 ? CUDA_SUCCESS : result_of(failure);
}

void trace_call(const char *name, CUresult result);

/*
 * Defines a function of the API. Its body runs only when the driver is initialised and the session is not in error; the trace gets
 * its result. API_ALWAYS leaves the check out.
 */
#define API_DEFINE(check, name, parameters, arguments)                                                                                  \
    static CUresult name##_body parameters;                                                                                             \
    EXPORT CUresult name parameters {                                                                                                   \
        CUresult result = check;                                                                                                        \
        if (result == CUDA_SUCCESS) result = name##_body arguments;                                                                     \
        if (__builtin_expect(trace_on, 0)) trace_call(#name, result);                                                                   \
        return result;                                                                                                                  \
    }                                                                                                                                   \
    static CUresult name##_body parameters
#define API(name, parameters, arguments) API_DEFINE(driver_check(), name, parameters, arguments)
#define API_KNOWN(name, parameters, arguments) API_DEFINE(driver_know(), name, parameters, arguments)
#define API_ALWAYS(name, parameters, arguments) API_DEFINE(CUDA_SUCCESS, name, parameters, arguments)

/* Another exported name of the same function: per-thread default streams are the default stream here. */
#define API_ALIAS(alias_name, name) EXPORT __typeof__(name) alias_name __attribute__((alias(#name)))

/* Sends one call without an answer; its sequence number goes to `*mark` unless that is NULL. */
#define DEFINE_SEND(name, OP)                                                                                                           \
    static inline CUresult send_##name(const struct sluice_##name##_call *call, uint64_t *mark) {                                       \
        uint8_t *at = call_begin(&driver.connection, SLUICE_OP_##OP, sluice_size_##name##_call(call));                                  \
        if (at == NULL) return connection_result();                                                                                     \
        sluice_encode_##name##_call(at, call);                                                                                          \
        call_end(&driver.connection, mark);                                                                                             \
        return CUDA_SUCCESS;                                                                                                            \
    }

/*
 * Sends one call that creates something. It is numbered under the lock of the batch: handles count upwards in the order of the calls, whatever
 * other threads create meanwhile.
 */
#define DEFINE_CREATE(name, OP, handle, counter)                                                                                        \
    static inline CUresult send_##name(struct sluice_##name##_call *call) {                                                             \
        uint8_t *at = call_begin(&driver.connection, SLUICE_OP_##OP, sluice_size_##name##_call(call));                                  \
        if (at == NULL) return connection_result();                                                                                     \
        call->handle = atomic_fetch_add(&driver.counter, 1) + 1;                                                                        \
        sluice_encode_##name##_call(at, call);                                                                                          \
        call_end(&driver.connection, NULL);                                                                                             \
        return CUDA_SUCCESS;                                                                                                            \
    }

/* Sends one call and waits for its answer, which the caller releases when the result is CUDA_SUCCESS. */
#define DEFINE_ASK(name, OP)                                                                                                            \
    static inline CUresult ask_##name(const struct sluice_##name##_call *call, struct answer *answer) {                                 \
        uint8_t *at = call_begin(&driver.connection, SLUICE_OP_##OP, sluice_size_##name##_call(call));                                  \
        if (at == NULL) return connection_result();                                                                                     \
        sluice_encode_##name##_call(at, call);                                                                                          \
        return answer_of_call(answer, NULL);                                                                                            \
    }

/* Ends the call begun last, waits for its answer; of work of a stream `mark` becomes its place, as call_end() has it. */
CUresult answer_of_call(struct answer *answer, uint64_t *mark);

/* An empty answer to fill. */
#define ANSWER_INITIAL {.into = NULL}

/* context.c: the calling thread's current context; an error when it has none or a destroyed one. */
CUresult current_context(struct context **context);
CUresult device_of(CUdevice ordinal, struct device **device);

/* Sequence number of the last call of the session. */
uint64_t sequence_now(void);

/* stream.c: the stream behind a handle; 0, 1 and 2 are the default stream of the current context's device. */
CUresult stream_of(CUstream handle, struct stream **stream);
/* The same for work to come: it stands behind all that was handed over. */
CUresult work_stream_of(CUstream handle, struct stream **stream);
/* event.c: a copy from the host, which the program takes for done, is on its way in the default stream of the device with this address, or else of this one. */
void handed_over(struct device *device, uint64_t address);
/* The same for the first stream of a device, unless more work has come behind the copy. */
void handed_over_early(struct device *device);
uint64_t stream_last(struct stream *stream);
CUresult stream_wait(struct stream *stream);
CUresult device_wait(struct device *device);
/* Notes that everything up to `sequence` is done. */
void note_done(atomic_uint_least64_t *done, uint64_t sequence);
void streams_drop(struct context *context);

/* module.c and image.c */
CUresult module_load(struct context *context, const void *image, struct module **module);
void module_unload(struct module *module);
struct function *module_function(struct module *module, const char *name);
struct global *module_global(struct module *module, const char *name);
CUresult function_of(CUfunction handle, struct context *context, struct function **function);
/* CUDA_SUCCESS for a function that the device can run; else says why not. */
CUresult function_check(struct function *function);

/* An image as it is sent to one device. */
struct image {
    const void *data;
    size_t byte_count;
    void *owned; /* Memory of malloc behind `data`, or NULL. */
};
/* Finds the size of an image, and makes of it what the device can load. */
CUresult image_for(const void *code, const struct device *device, struct image *image);
/* Bytes of PTX text, cubin, fatbin, or several to be linked; 0 when it is none of them. A fat binary's wrapper points to what is meant. */
size_t image_bytes(const void *code);
const void *image_start(const void *code);
/* module.c: the whole file with a terminator behind it; NULL when it cannot be read. */
char *file_read(const char *path, size_t *byte_count);
/* Puts what is known of a result into the logs among the compiler's options, and their lengths. */
void write_logs(unsigned int count, const int *options, void **values, CUresult result);

/* memory.c: whether a graph has allocated the memory at an address; and giving a range back once the device is known to be done with it. */
bool is_graph_memory(uint64_t address);
void memory_free_later(struct device *device, uint64_t address);
/* Whether a launch has allocated it and nothing has freed it since. What lives on when its graph is gone is memory like any other. */
void graph_memory_set_live(uint64_t address, bool is_live);
void graph_memory_drop(struct device *device, uint64_t address);
/* heap.c: makes sure that kernels have memory on which they allocate by themselves; and how much it will be. */
CUresult heap_provide(struct context *context);
CUresult heap_limit(struct context *context, size_t bytes);

/* stack.c: the stack of each thread of a device's kernels. */
CUresult stack_limit(struct context *context, size_t bytes);
/* memory.c: room in the arena, at a multiple of `alignment` (0: any), told to the server; and giving it back at once. */
CUresult memory_allocate(struct context *context, uint64_t byte_count, uint64_t alignment, CUdeviceptr *address);
CUresult memory_free(struct device *device, uint64_t address);
/* Behind all work of the device: keeps so much at the arena's end for nobody, instead of what was kept before; false, and nothing is kept, where some of it is in use. */
bool memory_reserve_end(struct device *device, uint64_t byte_count);
/* From before the server is asked for what a CUDA device may take the end of its slice for, until that is kept: no thread allocates or frees meanwhile. */
void memory_hold_end(const struct device *device);
void memory_leave_end(const struct device *device);
/* copy.c and fill.c: bytes of this process to the device, back when they are there, and zeros. */
CUresult device_write(uint64_t destination, const void *source, size_t byte_count, struct stream *stream);
CUresult device_read(void *destination, uint64_t source, size_t byte_count, struct stream *stream);
CUresult device_zero(uint64_t address, size_t byte_count, struct device *device);

/* managed.c: whether there is any managed memory. */
extern atomic_bool managed_in_use;

/* Whether [address, address + byte_count) lies in one allocation or global; its device. */
CUresult range_check(uint64_t address, uint64_t byte_count, struct device **device);
/* Whether an address is the device's rather than the host's. */
bool is_device_address(uint64_t address);
void memory_drop(struct context *context);
bool globals_find(uint64_t address, struct global *found, struct device **device);
void globals_add(struct module *module);
void globals_remove(struct module *module);

/* One row, or a whole copy. Copies between host addresses are the host's. */
struct line {
    uint64_t destination, source;
    bool to_device, from_device;
};

/* launch.c: a launch that has been checked, with its parameters packed into a block of SLUICE_PARAM_BYTES_MAX + 8 bytes or where they are. */
struct launch_wish {
    CUfunction handle;
    unsigned grid[3], block[3];
    unsigned shared_bytes;
    void **params, **extra;
    /* All blocks run at the same time, so that they can wait for each other. */
    bool is_cooperative;
};
/* Reads an attribute of a launch: hints are let be, what is not served is refused. */
CUresult launch_read_attribute(const CUlaunchAttribute *attribute, bool *is_cooperative);
/* Whether all blocks of a launch fit the device at the same time. */
CUresult launch_check_together(const struct function *function, const struct sluice_launch_call *call);
CUresult launch_describe(const struct launch_wish *wish, struct device *device, struct sluice_launch_call *call, uint8_t *block,
                         struct function **function);

/* graph-capture.c: what a stream that captures records instead of doing it. */
CUresult capture_launch(struct stream *stream, const struct launch_wish *wish);
CUresult capture_copy(struct stream *stream, const CUDA_MEMCPY3D *copy);
CUresult capture_fill(struct stream *stream, const CUDA_MEMSET_NODE_PARAMS *fill);
CUresult capture_host(struct stream *stream, CUhostFn function, void *user_data);
CUresult capture_record(struct stream *stream, struct event *event, bool is_external);
CUresult capture_wait(struct stream *stream, struct event *event, bool is_external);
CUresult capture_allocate(struct stream *stream, size_t byte_count, CUdeviceptr *address);
CUresult capture_free(struct stream *stream, CUdeviceptr address);
/* Spoils the capture of a stream in which something was asked that cannot be captured. */
CUresult capture_refuse(struct stream *stream);
/* Whether an event was last recorded in a capture that still goes on. */
bool event_is_captured(const struct event *event);
/* Ends a stream's part in a capture. */
void capture_leave(struct stream *stream);

/* The same work, sent to a stream: launch.c, fill.c, copy.c and stream.c. */
CUresult replay_launch(struct sluice_launch_call *call, bool is_cooperative, struct stream *stream);
CUresult replay_fill(const CUDA_MEMSET_NODE_PARAMS *fill, struct stream *stream);
CUresult replay_copy(const CUDA_MEMCPY3D *copy, struct stream *stream);
CUresult replay_host(CUhostFn function, void *user_data, struct stream *stream);

/* occupancy.c: how many blocks run on one multiprocessor at the same time. */
int blocks_that_fit(const struct function *function, unsigned threads, size_t shared_bytes);

/* host-memory.c */
bool host_memory_find(const void *pointer, void **base, size_t *byte_count, unsigned *flags);
/* What to tell of an address at which a kernel failed; NULL where nothing is known. */
const char *host_memory_about(unsigned long long address);

#endif
