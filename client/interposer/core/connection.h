/*
 * The one session of a process with its lease's executor (proto/README.md). Calls are appended to a batch; the batch is sent when
 * it is full, before any wait for an answer, and by the next call that finds it older than BATCH_AGE_NANOSECONDS_MAX. The thread
 * that waits for an answer reads it, and what it reads for others it hands to them. Whoever finds the connection broken makes another one
 * (resume.c), over which the session goes on, while the other threads wait. The only thread of its own sleeps until that is to be done.
 */
#ifndef SLUICE_CONNECTION_H
#define SLUICE_CONNECTION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../generated/calls.h"
#include "kept.h"
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
#define SESSION_ID_BYTES 16

/* Why calls fail: 0 while all is well, else the wire number of an error and, where there is one, the driver's own. */
struct failure {
    uint32_t code;
    int32_t native_code;
};

/* One awaited answer; lives on the stack of the thread that waits. */
struct answer {
    uint32_t sequence;
    bool done;
    /* It is in the frame that is being read, and counts once that is whole. */
    bool has_come;
    struct failure failure;
    /* Whether the body of a failure is kept too, as `body`. */
    bool keeps_failure;
    /* Where the data of a `bytes` answer goes, or NULL. */
    void *into;
    size_t into_bytes;
    /* The body of any other answer; `body` is `fixed` or memory of malloc. */
    uint8_t *body;
    size_t body_bytes;
    uint8_t fixed[ANSWER_INLINE_BYTES];
    struct answer *next, *next_come;
};

struct lease_key {
    char id[256];
    uint8_t secret[32];
    /* Names the session that this process begins under it; `may_have_begun` when a HELLO for it had no answer. */
    uint8_t session_id[SESSION_ID_BYTES];
    bool has_session_id, may_have_begun;
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
    /* Where HOST was when it was reached last, to come back to without asking for its address: of no bytes before. */
    struct sockaddr_storage known;
    socklen_t known_bytes;
};

/* Why `connection->lost` when nothing is, and when the server closes it; else it is an errno. */
#define NOT_LOST 0
#define LOST_BY_CLOSE (-1)

struct connection {
    /* Replaced only by who has `send_lock` and is the reader. */
    int file;
    bool is_tcp;
    /* Shows other processes who has the session (holders.h), and what becomes of it (remains.h), or -1. */
    int holder, remains;
    /* Shows the second how many frames have come, or NULL. */
    atomic_uint_least64_t *counted_shown;

    /* What it takes to come back when the connection breaks. */
    struct endpoint endpoint;
    struct lease_key lease;
    /* How long the session waits for its client then; 0: it ends with its connection, and nothing is kept. */
    uint32_t resume_ms;
    /* There has been a WELCOME. */
    bool has_begun;
    /* How long the server may say nothing while it is waited for. */
    uint32_t silence_ms;
    /* How many times as long it is waited now, as asking elsewhere was in vain. */
    atomic_uint patience;
    bool is_closing;
    /* Why the connection is of no use, or NOT_LOST. */
    atomic_int lost;
    /* The connection once more, for the thread that watches it (resume.c): the next one that it is to watch, and the one that it watches; or -1. */
    atomic_int to_watch, watched;

    /* Guards the batch, the counting of calls, what is kept, and writing. Taken before `receive_lock` where both are. */
    pthread_mutex_t send_lock;
    struct kept kept;
    /* How much was kept when acknowledgements were looked for last. */
    size_t looked_at;
    /* The frame that is being filled; NULL before its first call. */
    uint8_t *batch;
    size_t batch_bytes;
    uint32_t batch_calls;
    uint64_t batch_started;
    uint64_t sequence;

    /* Guards the awaited answers and the role of the reader. */
    pthread_mutex_t receive_lock;
    pthread_cond_t received;
    bool reading;
    /* What came in cannot be trusted, or no more comes: nobody reads again. */
    bool unreadable;
    struct answer *awaited;
    /* Sequence number of the last call that the server says it has executed; only the reader writes it. */
    atomic_uint_least64_t executed;
    /* Counted frames received, which only the reader writes, and bytes of them that the server has not been told of. */
    atomic_uint_least64_t counted;
    atomic_size_t untold_bytes;

    /* Only the reader touches these. */
    /* The connection broke behind this call: until it is answered, frames are looked at for gaps. 0: not now. */
    uint64_t resumed_at;
    /* Whether the bytes that come next begin a frame. */
    bool is_between_frames;
    /* How often in a row nothing came within SOCKET_WAIT_MS, or `silence_ms` if that is shorter. */
    uint32_t silent_waits;
    uint8_t *input;
    size_t input_start;
    size_t input_end;
    /* The bytes read last were data that went straight to its place. */
    bool is_behind_data;
    /* Bytes that are there when the system ends a wait for more. */
    int waking_bytes;
    /* Waits in a row that stayed awake in vain, and waits that are not to try it. */
    uint32_t awake_misses, asleep_waits;

    struct staging staging;

    /* The answer to the call that attaches the lease's first device: that is sent with HELLO, and whoever opens the connection awaits it. */
    struct answer attached;

    /* The failure that answers every call from now on. */
    atomic_uint_least32_t failed_code;
    atomic_int_least32_t failed_native;
};

/* Reads SLUICE_LEASE and SLUICE_DATA. Returns 0, or the wire number of an error after a report. */
uint32_t endpoint_of_environment(struct endpoint *endpoint);

/* What there is to say of a connection or a handshake that failed; empty when it has been said. */
struct complaint {
    char words[512];
};

/* Opens a socket to the endpoint, within so many milliseconds for each of its addresses. Returns it, and whether it is one of TCP, or -1 and a complaint. */
int endpoint_connect(struct endpoint *endpoint, int milliseconds_max, bool *is_tcp, struct complaint *complaint);

/*
 * Opens a session under the first lease that has none, and waits while all have one (opening.c); `*devices` is the number of devices of
 * that lease. Returns 0 or the wire number of an error, after a report.
 */
uint32_t connection_open(struct connection *connection, struct endpoint *endpoint, uint32_t *devices);

/* A connection that has been made, and what WELCOME said over it. */
struct link {
    int file;
    bool is_tcp;
    uint64_t executed, received;
    uint32_t devices, resume_ms;
};

/*
 * Connects and shakes hands for the connection's lease and session, until `deadline` of now_milliseconds() at most. `first`, unless NULL, is a
 * frame for right behind HELLO. Returns 0 or the wire number of an error, for which there may be a complaint.
 */
uint32_t link_open(struct connection *connection, const struct kept_frame *first, int64_t deadline, struct link *link, struct complaint *complaint);

/* Begins a session under one lease, for connection_open. Returns 0 or the wire number of an error, for which there may be a complaint. */
uint32_t session_open(struct connection *connection, struct lease_key *lease, uint32_t *devices, struct complaint *complaint);

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

/* As call_end, for a call whose last tail is `data`, not yet written. Whether it was sent from where it is: then it is lent until data_take_back. */
bool call_end_with_data(struct connection *connection, uint64_t *mark, const void *data, size_t byte_count);

/* What was lent of [data, data + byte_count) is the caller's again when this returns; what the server may want once more is copied. */
void data_take_back(struct connection *connection, const void *data, size_t byte_count);

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

/* As executed_wait, for who has `send_lock` and nothing left to send. */
bool executed_wait_locked(struct connection *connection, uint64_t sequence);

/* Frees the body of an answer. */
void answer_release(struct answer *answer);

/* For the files of core alone. */
int64_t now_milliseconds(void);
uint64_t now_nanoseconds(void);
bool socket_is_dead(const struct connection *connection);

/* Reads what has come in and waits for nothing, unless another thread is the reader: then that is its work. Whether anything came. */
bool receive_pending(struct connection *connection);

/* Makes this thread the reader; false when another one is. The second waits for it, and reads what came before the connection broke. */
bool reading_try(struct connection *connection);
void reading_take_over(struct connection *connection);
void reading_leave(struct connection *connection);

/* Takes the low 32 bits of the sequence number of the last call executed; an older one than the last says nothing. For the reader. */
void note_executed(struct connection *connection, uint32_t low);

/* The connection is of no use any more, by which the session ends if it cannot be resumed. The first reason stays. */
void connection_lose(struct connection *connection, int why);

/* Tells the server how many frames have come if it has not heard of the last many bytes of them; does nothing while another thread writes. */
void counted_tell(struct connection *connection);
void counted_tell_locked(struct connection *connection);

/* Works over this connection from now on, which the server knows calls of up to `link->received`; false when that cannot be. */
bool connection_take_link(struct connection *connection, const struct link *link);

/* From now on a thread of its own sees the connection break while the program calls nothing. Once, when the session is all open. */
void connection_watch(struct connection *connection);

/* Sends everything that is kept; with `send_lock`. */
void kept_send(struct connection *connection);

/* Goes on over another connection if this one is broken; false when the session is over. */
bool connection_mend(struct connection *connection);

/* As connection_mend, for who has `send_lock`. */
bool connection_mend_locked(struct connection *connection);

/* The server has been silent: goes on over another connection if one can be made, else this one is waited for again. */
void connection_look_elsewhere(struct connection *connection);

/* As connection_look_elsewhere, for who has `send_lock`. Whether the connection is another one now. */
bool connection_look_elsewhere_locked(struct connection *connection);

/* How long a read or write that waits does so at once. */
static inline uint32_t socket_wait_ms(const struct connection *connection) {
    return connection->silence_ms > 0 && connection->silence_ms < SOCKET_WAIT_MS ? connection->silence_ms : SOCKET_WAIT_MS;
}

/* Whether nothing was heard for so many waits is too long. */
bool is_too_silent(const struct connection *connection, uint32_t waits);

#endif
