/*
 * How libraries under the names of NVIDIA's reach those of the server: the entries of libcuda that are no functions of the driver API. Calls are told as the wire
 * has them (proto/README.md, `libraryOpen` and those behind it).
 */
#ifndef SLUICE_DRIVER_SERVER_LIBRARY_H
#define SLUICE_DRIVER_SERVER_LIBRARY_H

#include <stdatomic.h>

#include "../generated/calls.h"
#include "cuda-api.h"

/*
 * A descriptor of the server's. Whoever names it in work to come holds it: the program's own descriptor, others that are made of it, and nodes of
 * graphs. The last one to let go has the server forget it.
 */
struct sluice_library_object {
    atomic_uint users;
    /* Whether the server has been told of it. */
    atomic_bool is_known;
    /* 0 before it is made. */
    uint32_t handle;
    /* Index of its device within the lease. */
    uint32_t device;
    /* Of a tensor by value: the bytes of its one element, else 0; and its unique id. */
    uint32_t value_bytes;
    int64_t uid;
    /* What it is made of, held as long as it is there. */
    size_t need_count;
    struct sluice_library_object *needs[];
};

/*
 * What a library of the server's answers: `data` and `message` lie in `owned`, which is memory of malloc or NULL. Where the call itself fails, `message` is what the
 * server says of that.
 */
struct sluice_library_reply {
    uint32_t status, count;
    struct sluice_bytes data, message;
    void *owned;
};

/* More than there are: numbers of libraries on the wire are below. */
enum { SLUICE_LIBRARIES_MAX = 8 };

/* Device memory that a library is given: at least so many bytes behind an address, which is 0 for none. */
struct sluice_span {
    uint64_t address, byte_count;
};

/* What a plan or a function of the table is to do. */
struct sluice_library_work {
    /* The library's name, which outlives this. */
    const char *name;
    /* Whether it is an execution plan, else a function. */
    bool is_plan;
    union {
        struct sluice_dnn_execute_call execute;
        struct sluice_library_call_call call;
    };
    /* All that it names, and all device memory that it is given. */
    struct sluice_library_object *const *objects;
    size_t object_count;
    const struct sluice_span *spans;
    size_t span_count;
};

/*
 * Index of the current context's device, or of the first one without a context; and what the library of that number is there, which is asked once
 * for each device. CUDA_ERROR_NOT_SUPPORTED where it has none: `opened` is all 0 then. `*why` is what the server says, and the empty string where all is well.
 */
CUresult sluiceLibraryOpen(uint32_t library, uint32_t *device, struct sluice_library_open_answer *opened, const char **why);

/* An object with one user, which holds `needs`. It gets its number with the call that makes it. NULL without memory. */
struct sluice_library_object *sluiceLibraryObject(uint32_t device, struct sluice_library_object *const *needs, size_t need_count);
struct sluice_library_object *sluiceLibraryHold(struct sluice_library_object *object);
/* NULL does nothing. */
void sluiceLibraryDrop(struct sluice_library_object *object);

/*
 * Calls that are answered at once, whatever any stream does; the caller frees `reply->owned`, whatever the result. The first makes the object; the second those
 * that are elements of its answer, `call->count` of them, unless `into` is NULL; the third is a function.
 */
CUresult sluiceDnnDescribe(struct sluice_dnn_describe_call *call, struct sluice_library_object *object, struct sluice_library_reply *reply);
CUresult sluiceDnnAsk(struct sluice_dnn_ask_call *call, const struct sluice_library_object *asked, struct sluice_library_object *const *into,
                      struct sluice_library_reply *reply);
CUresult sluiceLibraryQuestion(const struct sluice_library_work *work, struct sluice_library_reply *reply);

/* Makes the object by a function that does nothing else, with arguments whose first eight bytes are its place; answered with a reply alone, without which a failure puts the session into error. */
CUresult sluiceLibraryMake(uint32_t library, uint32_t function, struct sluice_library_object *object, struct sluice_bytes given,
                           struct sluice_library_reply *reply);
/* Without an answer: a function that sets a descriptor, which remembers the failure. */
CUresult sluiceLibraryTell(const struct sluice_library_work *work);

/*
 * Queues the work in the stream, or adds it to the stream's capture. With a reply it is answered, unless the stream captures, which it then says by
 * CUDA_SUCCESS and a status of 0. Every span must lie in an allocation of the stream's device, which must be the objects', or the result is
 * CUDA_ERROR_INVALID_VALUE, after a report.
 */
CUresult sluiceLibraryRun(const struct sluice_library_work *work, CUstream stream, struct sluice_library_reply *reply);

#endif
