/*
 * The one connection of a process to its lease's executor (proto/README.md). Calls are appended to a batch; the batch is sent when
 * it is full, before any wait for an answer, and by the next call that finds it older than BATCH_AGE_NANOSECONDS_MAX. No thread
 * of its own: the thread that waits for an answer reads it, and what it reads for others it hands to them.
 */
#ifndef SLUICE_CONNECTION_H
#define SLUICE_CONNECTION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../generated/calls.h"
#include "staging.h"

/*
 * A batch is not held back longer than this while the program goes on calling. 50 us are ten times the cost of a write, and
 * far below what a person or a GPU notices. A program that stops calling keeps its last batch until its next call.
 */
#define BATCH_AGE_NANOSECONDS_MAX 50000

/* Data up to this size is copied into the batch; above it, it is sent from where it is. */
#define BATCH_DATA_BYTES_MAX 16384

#define ANSWER_INLINE_BYTES 128

#define CONNECTION_INPUT_BYTES 65536
/* A read or write that waits returns after this time with nothing done, so that a peer that is gone is noticed; see socket_is_dead. */
#define SOCKET_WAIT_MS 1000

/* Why calls fail: 0 while all is well, else the wire number of an error and, where there is one, the driver's own. */
struct failure {
    uint32_t code;
    int32_t native_code;
};

/* One awaited answer; lives on the stack of the thread that waits. */
struct answer {
    uint32_t sequence;
    bool done;
    struct failure failure;
    /* Where the data of a `bytes` answer goes, or NULL. */
    void *into;
    size_t into_bytes;
    /* The body of any other answer; `body` is `fixed` or memory of malloc. */
    uint8_t *body;
    size_t body_bytes;
    uint8_t fixed[ANSWER_INLINE_BYTES];
    struct answer *next;
};

struct connection {
    int file;
    bool is_tcp;
    /* Shows other processes who has the session (holders.h), or -1. */
    int holder;

    /* Guards the batch, the counting of calls, and writing. Taken before `receive_lock` where both are. */
    pthread_mutex_t send_lock;
    uint8_t *batch;
    size_t batch_bytes;
    uint32_t batch_calls;
    uint64_t batch_started;
    uint64_t sequence;
    uint64_t sent_since_drain;

    /* Guards the awaited answers and the role of the reader. */
    pthread_mutex_t receive_lock;
    pthread_cond_t received;
    bool reading;
    /* What came in cannot be trusted, or no more comes: nobody reads again. */
    bool unreadable;
    struct answer *awaited;
    atomic_uint_least32_t last_answer;
    /* Sequence number of the last call that the server says it has executed; only the reader writes it. */
    atomic_uint_least64_t executed;

    /* Only the reader touches these. */
    uint8_t *input;
    size_t input_start;
    size_t input_end;
    /* The bytes read last were data that went straight to its place. */
    bool is_behind_data;
    /* Bytes that are there when the system ends a wait for more. */
    int waking_bytes;

    struct staging staging;

    /* The answer to the call that attaches the lease's first device: that is sent with HELLO, and whoever opens the connection awaits it. */
    struct answer attached;

    /* The failure that answers every call from now on. */
    atomic_uint_least32_t failed_code;
    atomic_int_least32_t failed_native;
};

struct lease_key {
    char id[256];
    uint8_t secret[32];
    /* Why there is no such lease any more, once that is known. */
    uint32_t over;
};

struct endpoint {
    /* Any one of them will do; memory of malloc. */
    struct lease_key *leases;
    uint32_t lease_count;
    /* A socket of this host, tried first, and HOST and PORT; either may be empty. */
    char path[256];
    char host[256];
    char port[16];
};

/* Reads SLUICE_LEASE and SLUICE_DATA. Returns 0, or the wire number of an error after a report. */
uint32_t endpoint_of_environment(struct endpoint *endpoint);

/* What there is to say of a connection or a handshake that failed; empty when it has been said. */
struct complaint {
    char words[512];
};

/* Opens a socket to the endpoint. Returns it, and whether it is one of TCP, or -1 and a complaint. */
int endpoint_connect(const struct endpoint *endpoint, bool *is_tcp, struct complaint *complaint);

/*
 * Opens a session under the first lease that has none, and waits while all have one (opening.c); `*devices` is the number of devices of
 * that lease. Returns 0 or the wire number of an error, after a report.
 */
uint32_t connection_open(struct connection *connection, struct endpoint *endpoint, uint32_t *devices);

/* Connects and shakes hands once, for connection_open. Returns 0 or the wire number of an error, for which there may be a complaint. */
uint32_t session_open(struct connection *connection, const struct endpoint *endpoint, const struct lease_key *lease, uint32_t *devices,
                      struct complaint *complaint);

/* Sends what is left and GOODBYE without waiting for anything, and closes. Does nothing when other threads are busy with it. */
void connection_close(struct connection *connection);

/* In the child of a fork, which shares the connection and must not use it: lets go of it, so that it ends with the parent. */
void connection_abandon(struct connection *connection);

/* Puts the connection into failure, for good. The first failure stays. Returns the one that holds. */
struct failure connection_fail(struct connection *connection, uint32_t code, int32_t native_code);

static inline struct failure connection_failure(struct connection *connection) {
    struct failure failure = {atomic_load_explicit(&connection->failed_code, memory_order_relaxed), 0};
    if (failure.code != 0) failure.native_code = atomic_load_explicit(&connection->failed_native, memory_order_relaxed);
    return failure;
}

/* Locks the batch and makes room for a call; the body goes to the pointer that it returns. NULL, and no lock, when failed. */
uint8_t *call_begin(struct connection *connection, uint32_t opcode, size_t body_bytes);

/* Ends the call begun last and unlocks; `*mark`, unless NULL, becomes the call's sequence number while the lock is held. */
void call_end(struct connection *connection, uint64_t *mark);

/* As call_end, for a call whose last tail is `data`, not yet written: sends the batch and the data at once. */
void call_end_with_data(struct connection *connection, uint64_t *mark, const void *data, size_t byte_count);

/* As call_end, for a copy to the device out of a part of the staging file: sends the batch at once. */
void call_end_staged(struct connection *connection, uint64_t *mark, int part);

/* As call_end, for a call with an answer, which is expected from then on. Nothing is sent yet. */
void call_end_expecting(struct connection *connection, struct answer *answer, uint64_t *mark);

/* Sends the batch. */
void connection_flush(struct connection *connection);

/* Sends the batch and reads until the answer is there. Returns its failure; code 0 is success. */
struct failure answer_wait(struct connection *connection, struct answer *answer);

/* Sends the batch and reads until the server has executed the calls up to this one; false when the connection is in failure. */
bool executed_wait(struct connection *connection, uint64_t sequence);

/* Frees the body of an answer. */
void answer_release(struct answer *answer);

/* For connection.c and receive.c alone. */
bool receive_exactly(struct connection *connection, void *into, size_t byte_count);
void receive_pending(struct connection *connection);
bool socket_is_dead(const struct connection *connection);

#endif
