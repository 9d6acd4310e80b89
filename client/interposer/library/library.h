/*
 * What the libraries share whose functions the server's own library of that name carries out: handles, statuses, and calls by a table (call.h). Each is linked with
 * these files and says by `library` what is its own. They are served on the driver API's documented functions and the entries of driver/server-library.h.
 */
#ifndef SLUICE_LIBRARY_H
#define SLUICE_LIBRARY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/report.h"
#include "../driver/cuda-graph-api.h"
#include "../driver/server-library.h"

#define EXPORT __attribute__((visibility("default")))

struct sluice_call;

/* What is a library's own. Its statuses are int, and 0 is success. */
struct library {
    /* On the wire. */
    uint32_t number;
    /* As sentences have it. */
    const char *name;
    /* Numbers of the functions that make its descriptors, by their kinds. */
    const uint32_t *makers;
    /* What it answers: without a library at the other end; to a wrong argument, and one that is NULL; without memory of the host's and the device's; to what is
       not served; and where the device fails. */
    int not_initialized, bad_parameter, null_pointer, no_memory, no_device_memory, not_supported, failed;
    const char *(*status_name)(int status);
    /* Whether its descriptors change as they are used, so that no two are one, and making each is answered. */
    bool is_stateful;
    /* Reads the factors that a call points to, where it has some. */
    void (*read_scalars)(struct sluice_call *call);
};
extern const struct library library;

/* A handle of the library's, or what else names a device and a stream to work in. */
struct library_handle {
    uint32_t magic;
    /* Index of its device within the lease. */
    uint32_t device;
    CUcontext context;
    CUstream stream;
};

/* handle.c: what the library's own functions of the like do. */
int handle_create(struct library_handle **handle);
int handle_destroy(struct library_handle *handle);
int handle_set_stream(struct library_handle *handle, CUstream stream);
int handle_get_stream(const struct library_handle *handle, CUstream *stream);
/* Makes it one for the current context's device, which has the library; the context is made as the runtime would where there is none. */
int handle_init(struct library_handle *handle);
/* Whether it is a handle that has not been destroyed; gives the thread its context where it has none. */
int handle_enter(const struct library_handle *handle);
bool is_handle(const struct library_handle *handle);
/* Whether its stream captures: then what is asked for is not done yet. */
bool is_capturing(const struct library_handle *handle);
/* As handle_init, for the device alone. */
int enter(uint32_t *device);
/* What the server's library is; all 0 where there is none, which is not said before a program wants one. */
struct sluice_library_open_answer opened_here(void);

/* status.c */
int status_of(CUresult result);
/* What came of a question: its status, whose message is what `message_take` gives then. Frees what the reply has. */
int status_of_reply(CUresult result, struct sluice_library_reply *reply);
/* One line on stderr about what is not served, and the status for it. */
__attribute__((format(printf, 2, 3))) int refuse(const char *function, const char *format, ...);
void set_message(const char *text, size_t byte_count);
/* This thread's last message, which is forgotten then, with a zero behind it. */
void message_take(char *text, size_t byte_count);
void trace_status(const char *name, int status);
/* What a version, as major * 1000 + minor * 100 + patch, is as a whole, and each of its three parts. */
int version_into(int version, int *into);
int property_into(int version, int which, int *into);

/* Defines a function of the API, whose result the trace gets. */
#define LIBRARY_API(name, parameters, arguments)                                                                                        \
    static int name##_body parameters;                                                                                                  \
    EXPORT int name parameters;                                                                                                         \
    EXPORT int name parameters {                                                                                                        \
        int status = name##_body arguments;                                                                                             \
        if (__builtin_expect(trace_on, 0)) trace_status(#name, status);                                                                 \
        return status;                                                                                                                  \
    }                                                                                                                                   \
    static int name##_body parameters

/* Defines what a library with handles does with them. */
#define LIBRARY_HANDLES(prefix, type)                                                                                                   \
    LIBRARY_API(prefix##Create, (type * handle), (handle)) {                                                                            \
        return handle_create(handle);                                                                                                   \
    }                                                                                                                                   \
    LIBRARY_API(prefix##Destroy, (type handle), (handle)) {                                                                             \
        return handle_destroy(handle);                                                                                                  \
    }                                                                                                                                   \
    LIBRARY_API(prefix##SetStream, (type handle, CUstream stream), (handle, stream)) {                                                  \
        return handle_set_stream(handle, stream);                                                                                       \
    }                                                                                                                                   \
    LIBRARY_API(prefix##GetStream, (type handle, CUstream *stream), (handle, stream)) {                                                 \
        return handle_get_stream(handle, stream);                                                                                       \
    }

#endif
