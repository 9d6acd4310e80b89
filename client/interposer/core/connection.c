/* The sending half of the connection: the batch, the counting of calls, and writes. See connection.h. */
#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

#define FRAME_HEADER_BYTES 16
#define CALL_HEADER_BYTES 8

/* A batch beyond BATCH_BYTES is sent at once, so one call of the largest parameter block always fits behind it. */
#define BATCH_CAPACITY_BYTES (SLUICE_BATCH_BYTES + 2 * SLUICE_PARAM_BYTES_MAX)

/* Acknowledgements and output are read at least this often, so that a program that never waits never blocks the server. */
#define DRAIN_BYTES (4u << 20)

/* A peer that has not acknowledged anything for so long, though it was asked several times, is gone. */
#define SILENCE_MILLISECONDS_MAX 5000

static uint64_t now_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
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

static void lost(struct connection *connection, const char *why) {
    receive_pending(connection); /* The server may have said why. */
    if (connection_failure(connection).code == 0) report("the connection to the server broke [%s].", why);
    connection_fail(connection, SLUICE_ERROR_CONNECTION_LOST, 0);
    shutdown(connection->file, SHUT_RDWR);
}

/* One piece goes by `send`, which costs less than `sendmsg`. */
static ssize_t send_some(const struct connection *connection, struct iovec *parts, int count) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    if (count == 1) return send(connection->file, parts->iov_base, parts->iov_len, MSG_NOSIGNAL);
    return sendmsg(connection->file, &message, MSG_NOSIGNAL);
}

/* Writes all of it, or puts the connection into failure. */
static void write_all(struct connection *connection, struct iovec *parts, int count) {
    while (count > 0) {
        ssize_t sent = send_some(connection, parts, count);
        if (sent < 0) {
            if (errno == EINTR) continue;
            if ((errno == EAGAIN || errno == EWOULDBLOCK) && !socket_is_dead(connection)) continue;
            lost(connection, errno == EAGAIN ? "no acknowledgement" : strerror(errno));
            return;
        }
        connection->sent_since_drain += (uint64_t)sent;
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
}

static void send_batch(struct connection *connection, const void *data, size_t byte_count) {
    static const uint8_t zeros[8] = {0};
    if (connection->batch_calls == 0) return;
    size_t padded = sluice_pad8(byte_count);
    uint8_t *header = connection->batch;
    sluice_put_u32(header, (uint32_t)(connection->batch_bytes + padded));
    sluice_put_u32(header + 4, SLUICE_FRAME_CALLS);
    sluice_put_u32(header + 8, connection->batch_calls);
    sluice_put_u32(header + 12, atomic_load_explicit(&connection->last_answer, memory_order_relaxed));
    struct iovec parts[3] = {
        {.iov_base = connection->batch, .iov_len = connection->batch_bytes},
        {.iov_base = (void *)(uintptr_t)data, .iov_len = byte_count},
        {.iov_base = (void *)(uintptr_t)zeros, .iov_len = padded - byte_count},
    };
    int count = byte_count == 0 ? 1 : padded > byte_count ? 3 : 2;
    connection->batch_bytes = FRAME_HEADER_BYTES;
    connection->batch_calls = 0;
    write_all(connection, parts, count);
    if (connection->sent_since_drain >= DRAIN_BYTES) {
        connection->sent_since_drain = 0;
        receive_pending(connection);
    }
}

uint8_t *call_begin(struct connection *connection, uint32_t opcode, size_t body_bytes) {
    pthread_mutex_lock(&connection->send_lock);
    if (connection_failure(connection).code != 0) {
        pthread_mutex_unlock(&connection->send_lock);
        return NULL;
    }
    size_t call_bytes = CALL_HEADER_BYTES + body_bytes;
    if (connection->batch_bytes + call_bytes > BATCH_CAPACITY_BYTES) send_batch(connection, NULL, 0);
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

void call_end_with_data(struct connection *connection, uint64_t *mark, const void *data, size_t byte_count) {
    size_t padded = sluice_pad8(byte_count);
    if (padded > BATCH_DATA_BYTES_MAX || connection->batch_bytes + padded > BATCH_CAPACITY_BYTES) {
        count_call(connection, mark);
        send_batch(connection, data, byte_count);
        pthread_mutex_unlock(&connection->send_lock);
        return;
    }
    sluice_put_bytes(connection->batch + connection->batch_bytes, (struct sluice_bytes){data, byte_count});
    connection->batch_bytes += padded;
    call_end(connection, mark);
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
    if (pthread_mutex_trylock(&connection->send_lock) != 0) return;
    if (connection_failure(connection).code == 0) {
        uint8_t goodbye[FRAME_HEADER_BYTES] = {0};
        sluice_put_u32(goodbye, FRAME_HEADER_BYTES);
        sluice_put_u32(goodbye + 4, SLUICE_FRAME_GOODBYE);
        send_batch(connection, NULL, 0);
        if (send(connection->file, goodbye, sizeof goodbye, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) shutdown(connection->file, SHUT_WR);
    }
    connection_fail(connection, SLUICE_ERROR_CLOSED, 0);
    close(connection->file);
    if (connection->holder >= 0) close(connection->holder);
    pthread_mutex_unlock(&connection->send_lock);
}

void connection_abandon(struct connection *connection) {
    connection_fail(connection, SLUICE_ERROR_CLOSED, 0);
    close(connection->file);
    if (connection->holder >= 0) close(connection->holder);
    connection->file = connection->holder = -1;
}
