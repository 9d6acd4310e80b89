/* The sending half of the connection: the batch, the counting of calls, and writes. See connection.h. */
#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

#define FRAME_HEADER_BYTES 16
#define CALL_HEADER_BYTES 8

/* Acknowledgements and output are read at least this often, so that a program that never waits holds little and never blocks the server. */
#define LOOK_BYTES (1u << 20)

/* Data that is copied at once, before the next look whether it still need be. */
#define LOOK_COPY_BYTES (128u << 10)

/* A program that never waits waits when so much of what it sent is not acknowledged. */
#define KEPT_BYTES_MAX (64u << 20)

/* Counted frames of so many bytes are acknowledged at once (ACKNOWLEDGE_BYTES_MAX of shared/limits.ts). */
#define UNTOLD_BYTES_MAX (256u << 10)

/* A peer that has not acknowledged anything for so long, though it was asked several times, is gone. */
#define SILENCE_MILLISECONDS_MAX 5000

uint64_t now_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t now_milliseconds(void) {
    return (int64_t)(now_nanoseconds() / 1000000);
}

struct failure connection_fail(struct connection *connection, uint32_t code, int32_t native_code) {
    uint_least32_t none = 0;
    if (atomic_load(&connection->failed_code) == 0) atomic_store(&connection->failed_native, native_code);
    atomic_compare_exchange_strong(&connection->failed_code, &none, code);
    return connection_failure(connection);
}

/*
 * Whether the kernel's own timers say that the peer is gone: several retransmissions, or probes of an idle or full connection, none
 * of them acknowledged. A peer that is only busy acknowledges, however long it takes to answer.
 */
bool socket_is_dead(const struct connection *connection) {
    if (!connection->is_tcp) return false;
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (getsockopt(connection->file, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return true;
    return info.tcpi_retransmits + info.tcpi_probes >= 3 && info.tcpi_last_ack_recv > SILENCE_MILLISECONDS_MAX;
}

void connection_lose(struct connection *connection, int why) {
    int not_lost = NOT_LOST;
    atomic_compare_exchange_strong(&connection->lost, &not_lost, why);
}

static bool is_lost(struct connection *connection) {
    return atomic_load_explicit(&connection->lost, memory_order_relaxed) != NOT_LOST;
}

/* One piece goes by `send`, which costs less than `sendmsg`. */
static ssize_t send_some(const struct connection *connection, struct iovec *parts, int count) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    if (count == 1) return send(connection->file, parts->iov_base, parts->iov_len, MSG_NOSIGNAL);
    return sendmsg(connection->file, &message, MSG_NOSIGNAL);
}

/*
 * The socket has taken nothing for a while, `*waits` times in a row. Whether to go on trying; not when the connection is lost, or another one,
 * over which all that is kept has been sent.
 */
static bool may_go_on(struct connection *connection, uint32_t *waits) {
    if (connection->is_closing) return false;
    if (socket_is_dead(connection)) {
        connection_lose(connection, ETIMEDOUT);
        return false;
    }
    /* The server may wait for room on its side. */
    if (receive_pending(connection)) *waits = 0;
    if (connection_failure(connection).code != 0 || is_lost(connection)) return false;
    if (!is_too_silent(connection, ++*waits)) return true;
    *waits = 0;
    return !connection_look_elsewhere_locked(connection);
}

/* Writes all of it; false when the connection is lost, or another one by now. */
static bool write_all(struct connection *connection, struct iovec *parts, int count) {
    uint32_t waits = 0;
    while (count > 0) {
        ssize_t sent = send_some(connection, parts, count);
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                if (may_go_on(connection, &waits)) continue;
                return false;
            }
            if (errno == EFAULT) {
                report("the memory to copy from cannot be read.");
                connection_fail(connection, SLUICE_ERROR_CONNECTION_LOST, 0);
            }
            connection_lose(connection, errno);
            return false;
        }
        waits = 0;
        size_t left = (size_t)sent;
        while (count > 0 && left >= parts->iov_len) {
            left -= parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (uint8_t *)parts->iov_base + left;
            parts->iov_len -= left;
        }
    }
    return true;
}

static bool write_frame(struct connection *connection, struct kept_frame *frame) {
    static const uint8_t zeros[8] = {0};
    size_t padding = sluice_pad8(frame->data_bytes) - frame->data_bytes;
    struct iovec parts[3] = {
        {.iov_base = kept_head(frame), .iov_len = frame->head_bytes},
        {.iov_base = (void *)(uintptr_t)frame->data, .iov_len = frame->data_bytes},
        {.iov_base = (void *)(uintptr_t)zeros, .iov_len = padding},
    };
    return write_all(connection, parts, frame->data == NULL ? 1 : padding > 0 ? 3 : 2);
}

void kept_send(struct connection *connection) {
    for (struct kept_frame *frame = connection->kept.oldest; frame != NULL; frame = frame->next)
        if (!write_frame(connection, frame)) return;
}

/* The header of a frame that says how many frames have come. */
static void put_header(struct connection *connection, uint8_t *header, uint32_t kind, size_t byte_count) {
    /* Taken first: what comes between the two is told once more. */
    atomic_store_explicit(&connection->untold_bytes, 0, memory_order_relaxed);
    sluice_put_u32(header, (uint32_t)byte_count);
    sluice_put_u32(header + 4, kind);
    sluice_put_u32(header + 8, 0);
    sluice_put_u32(header + 12, (uint32_t)atomic_load(&connection->counted));
}

static bool owes_telling(struct connection *connection) {
    return connection->resume_ms > 0 && atomic_load_explicit(&connection->untold_bytes, memory_order_relaxed) >= UNTOLD_BYTES_MAX;
}

/* A socket that is full is left alone: whoever reads must not wait for it, and will be here again. */
void counted_tell_locked(struct connection *connection) {
    uint8_t header[FRAME_HEADER_BYTES];
    if (!owes_telling(connection) || is_lost(connection) || connection_failure(connection).code != 0) return;
    size_t untold = atomic_load_explicit(&connection->untold_bytes, memory_order_relaxed);
    put_header(connection, header, SLUICE_FRAME_ANSWERS, sizeof header);
    ssize_t sent = send(connection->file, header, sizeof header, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) atomic_fetch_add_explicit(&connection->untold_bytes, untold, memory_order_relaxed);
    if (sent <= 0 || sent == sizeof header) return;
    struct iovec rest = {.iov_base = header + sent, .iov_len = sizeof header - (size_t)sent};
    write_all(connection, &rest, 1);
}

void counted_tell(struct connection *connection) {
    /* Who writes now does it behind what it writes. */
    if (!owes_telling(connection) || pthread_mutex_trylock(&connection->send_lock) != 0) return;
    counted_tell_locked(connection);
    pthread_mutex_unlock(&connection->send_lock);
}

/* Forgets what the server has executed. */
static void forget_executed(struct connection *connection) {
    kept_forget(&connection->kept, atomic_load_explicit(&connection->executed, memory_order_acquire));
    if (connection->looked_at > connection->kept.byte_count) connection->looked_at = connection->kept.byte_count;
}

/* Looks for acknowledgements, and waits for them while more is kept than may be. */
static void look(struct connection *connection) {
    receive_pending(connection);
    forget_executed(connection);
    while (connection->kept.byte_count > KEPT_BYTES_MAX && connection_failure(connection).code == 0) {
        uint64_t executed = atomic_load(&connection->executed);
        if (!executed_wait_locked(connection, executed + 1)) break;
        forget_executed(connection);
    }
    connection->looked_at = connection->kept.byte_count;
}

static void send_batch(struct connection *connection, const void *data, size_t byte_count) {
    if (connection->batch_calls == 0) return;
    size_t padded = sluice_pad8(byte_count);
    put_header(connection, connection->batch, SLUICE_FRAME_CALLS, connection->batch_bytes + padded);
    sluice_put_u32(connection->batch + 8, connection->batch_calls);
    struct kept_frame *frame = kept_end(&connection->kept, connection->batch_bytes, connection->sequence);
    if (byte_count > 0) {
        frame->data = data;
        frame->data_bytes = byte_count;
        connection->kept.byte_count += byte_count;
    }
    connection->batch = NULL;
    connection->batch_calls = 0;
    if (is_lost(connection) || !write_frame(connection, frame)) connection_mend_locked(connection);
    if (connection->resume_ms == 0) kept_forget(&connection->kept, connection->sequence);
    counted_tell_locked(connection);
    if (connection->kept.byte_count >= connection->looked_at + LOOK_BYTES) look(connection);
}

/* Begins a frame; false, and a failure, without memory. */
static bool begin_batch(struct connection *connection) {
    if (connection->kept.oldest != NULL) forget_executed(connection);
    connection->batch = kept_begin(&connection->kept);
    connection->batch_bytes = FRAME_HEADER_BYTES;
    if (connection->batch != NULL) return true;
    report("out of host memory.");
    connection_fail(connection, SLUICE_ERROR_INTERNAL, 0);
    return false;
}

uint8_t *call_begin(struct connection *connection, uint32_t opcode, size_t body_bytes) {
    pthread_mutex_lock(&connection->send_lock);
    size_t call_bytes = CALL_HEADER_BYTES + body_bytes;
    if (connection->batch != NULL && connection->batch_bytes + call_bytes > BATCH_CAPACITY_BYTES) send_batch(connection, NULL, 0);
    if (connection_failure(connection).code != 0 || (connection->batch == NULL && !begin_batch(connection))) {
        pthread_mutex_unlock(&connection->send_lock);
        return NULL;
    }
    uint8_t *at = connection->batch + connection->batch_bytes;
    sluice_put_u32(at, opcode);
    sluice_put_u32(at + 4, (uint32_t)call_bytes);
    connection->batch_bytes += call_bytes;
    return at + CALL_HEADER_BYTES;
}

static void count_call(struct connection *connection, uint64_t *mark) {
    connection->batch_calls++;
    connection->sequence++;
    if (mark != NULL) *mark = connection->sequence;
}

void call_end(struct connection *connection, uint64_t *mark) {
    count_call(connection, mark);
    if (connection->batch_bytes >= SLUICE_BATCH_BYTES) {
        send_batch(connection, NULL, 0);
    } else {
        uint64_t now = now_nanoseconds();
        if (connection->batch_calls == 1) connection->batch_started = now;
        else if (now - connection->batch_started > BATCH_AGE_NANOSECONDS_MAX) send_batch(connection, NULL, 0);
    }
    pthread_mutex_unlock(&connection->send_lock);
}

bool call_end_with_data(struct connection *connection, uint64_t *mark, const void *data, size_t byte_count) {
    size_t padded = sluice_pad8(byte_count);
    if (padded > BATCH_DATA_BYTES_MAX || connection->batch_bytes + padded > BATCH_CAPACITY_BYTES) {
        count_call(connection, mark);
        send_batch(connection, data, byte_count);
        pthread_mutex_unlock(&connection->send_lock);
        return true;
    }
    sluice_put_bytes(connection->batch + connection->batch_bytes, (struct sluice_bytes){data, byte_count});
    connection->batch_bytes += padded;
    call_end(connection, mark);
    return false;
}

/*
 * Copies data, and looks now and then whether the server has executed its call meanwhile: then false. Nothing is locked while bytes are copied: that
 * may run a handler of the program's faults.
 */
static bool copy_unless_executed(struct connection *connection, uint8_t *into, const struct kept_frame *frame) {
    const uint8_t *from = frame->data;
    size_t left = frame->data_bytes;
    uint64_t last = frame->last;
    pthread_mutex_unlock(&connection->send_lock);
    bool is_executed = false;
    while (left > 0 && !is_executed) {
        size_t step = left < LOOK_COPY_BYTES ? left : LOOK_COPY_BYTES;
        memcpy(into, from, step);
        into += step;
        from += step;
        left -= step;
        if (left > 0) receive_pending(connection);
        is_executed = atomic_load_explicit(&connection->executed, memory_order_acquire) >= last;
    }
    pthread_mutex_lock(&connection->send_lock);
    return !is_executed;
}

void data_take_back(struct connection *connection, const void *data, size_t byte_count) {
    struct kept *kept = &connection->kept;
    struct kept_frame *frame;
    pthread_mutex_lock(&connection->send_lock);
    forget_executed(connection);
    /* The newest first: the server comes from the other end. */
    while ((frame = kept_lent(kept, data, byte_count)) != NULL) {
        const uint8_t *from = frame->data;
        uint64_t last = frame->last;
        struct kept_data *own = kept_take(kept, frame->data_bytes);
        if (own == NULL) {
            report("out of host memory.");
            connection_fail(connection, SLUICE_ERROR_INTERNAL, 0);
            break;
        }
        bool is_wanted = copy_unless_executed(connection, kept_bytes(own), frame);
        forget_executed(connection);
        frame = is_wanted ? kept_lent(kept, from, 1) : NULL;
        if (frame != NULL && frame->last == last) {
            frame->data = kept_bytes(own);
            frame->own = own;
        } else kept_give(kept, own);
    }
    pthread_mutex_unlock(&connection->send_lock);
}

void call_end_staged(struct connection *connection, uint64_t *mark, int part) {
    count_call(connection, mark);
    staging_sent(&connection->staging, part, connection->sequence);
    send_batch(connection, NULL, 0);
    pthread_mutex_unlock(&connection->send_lock);
}

void call_end_expecting(struct connection *connection, struct answer *answer, uint64_t *mark) {
    count_call(connection, mark);
    answer->sequence = (uint32_t)connection->sequence;
    pthread_mutex_lock(&connection->receive_lock);
    answer->next = NULL;
    struct answer **last = &connection->awaited;
    while (*last != NULL) last = &(*last)->next;
    *last = answer;
    pthread_mutex_unlock(&connection->receive_lock);
    if (connection->batch_bytes >= SLUICE_BATCH_BYTES) send_batch(connection, NULL, 0);
    pthread_mutex_unlock(&connection->send_lock);
}

void connection_flush(struct connection *connection) {
    pthread_mutex_lock(&connection->send_lock);
    send_batch(connection, NULL, 0);
    pthread_mutex_unlock(&connection->send_lock);
}

void connection_close(struct connection *connection) {
    /* Another thread may be at work with it, or looking for the server: the program ends now. */
    if (pthread_mutex_trylock(&connection->send_lock) != 0) return;
    connection->is_closing = true;
    if (connection_failure(connection).code == 0 && !is_lost(connection)) {
        uint8_t goodbye[FRAME_HEADER_BYTES];
        send_batch(connection, NULL, 0);
        put_header(connection, goodbye, SLUICE_FRAME_GOODBYE, sizeof goodbye);
        if (send(connection->file, goodbye, sizeof goodbye, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) shutdown(connection->file, SHUT_WR);
    }
    connection_fail(connection, SLUICE_ERROR_CLOSED, 0);
    close(connection->file);
    int unwatched = atomic_exchange(&connection->to_watch, -1);
    if (unwatched >= 0) close(unwatched);
    if (connection->holder >= 0) close(connection->holder);
    if (connection->remains >= 0) close(connection->remains);
    pthread_mutex_unlock(&connection->send_lock);
}

void connection_abandon(struct connection *connection) {
    connection_fail(connection, SLUICE_ERROR_CLOSED, 0);
    close(connection->file);
    if (connection->holder >= 0) close(connection->holder);
    if (connection->remains >= 0) close(connection->remains);
    int copies[] = {atomic_exchange(&connection->to_watch, -1), atomic_exchange(&connection->watched, -1)};
    for (int i = 0; i < 2; i++)
        if (copies[i] >= 0) close(copies[i]);
    connection->file = connection->holder = connection->remains = -1;
}
