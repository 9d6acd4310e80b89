/*
 * The receiving half of the connection: frames from the server, read by the thread that waits for an answer. One thread is the reader
 * at a time; it hands answers to the threads that wait for them. Everything that comes in is checked; a peer that breaks the
 * format ends the connection.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "connection.h"
#include "report.h"

/* From this size on data is read straight into its place. */
#define DIRECT_BYTES_MIN 16384

/* What comes before the data of an answer that is alone in its frame. */
#define DATA_HEAD_BYTES (16 + 16 + 8)

/* Bytes of large data that come together: enough to spare wakes, which cost the sender too, few enough that both ends are busy. */
#define WAKING_BYTES 262144

/* Handshake messages, failures and lists of kernels are the largest bodies that are not data. */
#define TEXT_BYTES_MAX SLUICE_FRAME_BYTES_MAX

static void broken(struct connection *connection, uint32_t code, const char *why) {
    if (connection_failure(connection).code == 0) report("the connection to the server broke [%s].", why);
    connection_fail(connection, code, 0);
}

/* Older systems may wait for ever, where what is there fills the socket's memory before it is as much as is waited for. */
static bool can_wait_for_more(void) {
    static int known = -1;
    struct utsname system;
    unsigned major = 0, minor = 0;
    if (known < 0) known = uname(&system) == 0 && sscanf(system.release, "%u.%u", &major, &minor) == 2 && (major > 5 || (major == 5 && minor >= 8));
    return known > 0;
}

/* Has waits end once so much of `byte_count` is there as it pays to wake for, or no more can come before some is read. */
static void wake_for(struct connection *connection, size_t byte_count) {
    int wanted = byte_count < DIRECT_BYTES_MIN ? 1 : byte_count < WAKING_BYTES ? (int)byte_count : WAKING_BYTES;
    if (wanted == connection->waking_bytes || !connection->is_tcp || !can_wait_for_more()) return;
    if (setsockopt(connection->file, SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted) == 0) connection->waking_bytes = wanted;
}

/* As `recv` on a socket that waits. One that waits for more than a byte waits in `poll`: `recv` takes what there is first, and sleeps on when what is left is less. */
static ssize_t receive_or_wait(const struct connection *connection, void *into, size_t byte_count) {
    if (connection->waking_bytes <= 1) return recv(connection->file, into, byte_count, 0);
    struct pollfd readable = {.fd = connection->file, .events = POLLIN};
    int ready = poll(&readable, 1, SOCKET_WAIT_MS);
    if (ready > 0) return recv(connection->file, into, byte_count, MSG_DONTWAIT);
    if (ready == 0) errno = EAGAIN;
    return -1;
}

/* At least one byte into [into, into + byte_count), or 0 when the connection is gone. */
static size_t receive_some(struct connection *connection, void *into, size_t byte_count) {
    for (;;) {
        ssize_t got = receive_or_wait(connection, into, byte_count);
        if (got > 0) return (size_t)got;
        if (got < 0 && errno == EINTR) continue;
        bool is_timeout = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        if (is_timeout && connection_failure(connection).code == 0 && !socket_is_dead(connection)) continue;
        broken(connection, SLUICE_ERROR_CONNECTION_LOST, got == 0 ? "closed by the server" : is_timeout ? "no acknowledgement" : strerror(errno));
        return 0;
    }
}

/*
 * Some of the data to its place: what is there, or else, and behind a part of it, so much as it pays to wake for. Most of the time all of it is there,
 * where both ends share a core, and nothing needs to be set or waited for.
 */
static size_t receive_data(struct connection *connection, void *into, size_t byte_count) {
    if (connection->waking_bytes <= 1) {
        ssize_t got = recv(connection->file, into, byte_count, MSG_DONTWAIT);
        if (got > 0) {
            if ((size_t)got < byte_count) wake_for(connection, byte_count - (size_t)got);
            return (size_t)got;
        }
    }
    wake_for(connection, byte_count);
    return receive_some(connection, into, byte_count);
}

bool receive_exactly(struct connection *connection, void *into, size_t byte_count) {
    uint8_t *at = into;
    while (byte_count > 0) {
        size_t held = connection->input_end - connection->input_start;
        if (held > 0) {
            size_t step = held < byte_count ? held : byte_count;
            memcpy(at, connection->input + connection->input_start, step);
            connection->input_start += step;
            at += step;
            byte_count -= step;
        } else if (byte_count >= DIRECT_BYTES_MIN || (connection->is_behind_data && byte_count >= DATA_HEAD_BYTES)) {
            size_t got = receive_data(connection, at, byte_count);
            if (got == 0) return false;
            at += got;
            byte_count -= got;
            connection->is_behind_data = true;
        } else {
            /* Behind data, more of it is likely to come: its head is read alone, so that it can go to its place as well. */
            size_t wanted = connection->is_behind_data ? DATA_HEAD_BYTES : CONNECTION_INPUT_BYTES;
            connection->is_behind_data = false;
            connection->input_start = 0;
            wake_for(connection, 1);
            connection->input_end = receive_some(connection, connection->input, wanted);
            if (connection->input_end == 0) return false;
        }
    }
    return true;
}

static bool skip(struct connection *connection, size_t byte_count) {
    uint8_t scratch[512];
    while (byte_count > 0) {
        size_t step = byte_count < sizeof scratch ? byte_count : sizeof scratch;
        if (!receive_exactly(connection, scratch, step)) return false;
        byte_count -= step;
    }
    return true;
}

static struct answer *find_awaited(struct connection *connection, uint32_t sequence) {
    pthread_mutex_lock(&connection->receive_lock);
    struct answer *answer = connection->awaited;
    while (answer != NULL && answer->sequence != sequence) answer = answer->next;
    pthread_mutex_unlock(&connection->receive_lock);
    return answer;
}

static void hand_over(struct connection *connection, struct answer *answer) {
    pthread_mutex_lock(&connection->receive_lock);
    struct answer **at = &connection->awaited;
    while (*at != NULL && *at != answer) at = &(*at)->next;
    if (*at != NULL) *at = answer->next;
    answer->done = true;
    atomic_store_explicit(&connection->last_answer, answer->sequence, memory_order_relaxed);
    pthread_cond_broadcast(&connection->received);
    pthread_mutex_unlock(&connection->receive_lock);
}

/* The kernel's faults, and failures of other calls than the one answered, put the whole session into error. */
static bool is_lasting(const struct sluice_failure *failure, uint32_t status, uint32_t sequence) {
    if ((uint32_t)failure->sequence != sequence) return true;
    return status == SLUICE_ERROR_ILLEGAL_ADDRESS || status == SLUICE_ERROR_KERNEL_TIMEOUT || status == SLUICE_ERROR_KERNEL_TRAP ||
           status == SLUICE_ERROR_EXECUTOR_FAILED;
}

/* Adds to a kernel's illegal address what is known of it here: the first number in brackets, as in [0x7f0012345678]. */
static void report_address(const struct sluice_failure *failure) {
    char digits[20] = "";
    const char *found = memmem(failure->message.data, failure->message.byte_count, "[0x", 3);
    if (found == NULL || report_about_address == NULL) return;
    size_t length = (size_t)((const char *)failure->message.data + failure->message.byte_count - found) - 1;
    memcpy(digits, found + 1, length < sizeof digits - 1 ? length : sizeof digits - 1);
    const char *about = report_about_address(strtoull(digits, NULL, 16));
    if (about != NULL) report("%s", about);
}

static bool read_failure(struct connection *connection, struct answer *answer, uint32_t status, size_t byte_count) {
    uint8_t *body = malloc(byte_count + 1);
    struct sluice_failure failure;
    if (body == NULL || !receive_exactly(connection, body, byte_count)) {
        free(body);
        return false;
    }
    if (sluice_decode_failure(body, byte_count, &failure) != 0) {
        free(body);
        broken(connection, SLUICE_ERROR_PROTOCOL_ERROR, "a malformed failure");
        return false;
    }
    answer->failure = (struct failure){status, failure.native_code};
    if (is_lasting(&failure, status, answer->sequence)) {
        if (connection_failure(connection).code == 0) {
            report("the call [%s] failed [%s]: %.*s", sluice_call_name(failure.opcode), sluice_error_code(status),
                   (int)failure.message.byte_count, (const char *)failure.message.data);
            if (status == SLUICE_ERROR_ILLEGAL_ADDRESS) report_address(&failure);
        }
        connection_fail(connection, status, failure.native_code);
    } else {
        trace("the call [%s] fails [%s]: %.*s", sluice_call_name(failure.opcode), sluice_error_code(status), (int)failure.message.byte_count,
              (const char *)failure.message.data);
        if (status == SLUICE_ERROR_BAD_IMAGE)
            report("the program image is refused [%s]: %.*s", sluice_error_code(status), (int)failure.message.byte_count,
                   (const char *)failure.message.data);
    }
    free(body);
    return true;
}

static bool read_success(struct connection *connection, struct answer *answer, size_t byte_count) {
    if (answer->into != NULL) {
        uint8_t fixed[8];
        size_t padded = sluice_pad8(answer->into_bytes);
        bool fits = byte_count == sizeof fixed + padded;
        if (fits && !receive_exactly(connection, fixed, sizeof fixed)) return false;
        if (!fits || sluice_get_u32(fixed) != answer->into_bytes) {
            broken(connection, SLUICE_ERROR_PROTOCOL_ERROR, "an answer with the wrong number of bytes");
            return false;
        }
        return receive_exactly(connection, answer->into, answer->into_bytes) && skip(connection, padded - answer->into_bytes);
    }
    answer->body = byte_count <= sizeof answer->fixed ? answer->fixed : malloc(byte_count);
    answer->body_bytes = byte_count;
    if (answer->body != NULL) return receive_exactly(connection, answer->body, byte_count);
    broken(connection, SLUICE_ERROR_INTERNAL, "out of host memory");
    return false;
}

static bool read_answers(struct connection *connection, uint32_t count, size_t left) {
    for (; count > 0; count--) {
        uint8_t header[16];
        if (left < sizeof header) break;
        if (!receive_exactly(connection, header, sizeof header)) return false;
        uint32_t byte_count = sluice_get_u32(header);
        uint32_t status = sluice_get_u32(header + 4);
        struct answer *answer = find_awaited(connection, sluice_get_u32(header + 8));
        if (byte_count < sizeof header || byte_count % 8 != 0 || byte_count > left || answer == NULL) {
            broken(connection, SLUICE_ERROR_PROTOCOL_ERROR, answer == NULL ? "an answer to no call" : "a malformed answer");
            return false;
        }
        left -= byte_count;
        size_t body_bytes = byte_count - sizeof header;
        if (status == 0 ? !read_success(connection, answer, body_bytes) : !read_failure(connection, answer, status, body_bytes)) return false;
        hand_over(connection, answer);
    }
    if (count == 0 && left == 0) return true;
    broken(connection, SLUICE_ERROR_PROTOCOL_ERROR, "answers that do not fill their frame");
    return false;
}

static bool read_text(struct connection *connection, uint32_t kind, size_t byte_count) {
    uint8_t *body = malloc(byte_count + 1);
    if (body == NULL || !receive_exactly(connection, body, byte_count)) {
        free(body);
        return false;
    }
    struct sluice_output output;
    struct sluice_refusal refusal;
    bool is_good = true;
    if (kind == SLUICE_FRAME_OUTPUT && sluice_decode_output(body, byte_count, &output) == 0) {
        fwrite(output.text.data, 1, output.text.byte_count, stdout);
    } else if (kind == SLUICE_FRAME_REFUSAL && sluice_decode_refusal(body, byte_count, &refusal) == 0) {
        if (connection_failure(connection).code == 0)
            report("the server ended the session [%s]: %.*s", sluice_error_code(refusal.code), (int)refusal.message.byte_count,
                   (const char *)refusal.message.data);
        connection_fail(connection, refusal.code, 0);
        is_good = false;
    } else {
        broken(connection, SLUICE_ERROR_PROTOCOL_ERROR, "a malformed message");
        is_good = false;
    }
    free(body);
    return is_good;
}

/* Takes the low 32 bits of a sequence number; an older one than the last says nothing. */
static void note_executed(struct connection *connection, uint32_t low) {
    uint64_t known = atomic_load_explicit(&connection->executed, memory_order_relaxed);
    int32_t news = (int32_t)(low - (uint32_t)known);
    if (news > 0) atomic_store_explicit(&connection->executed, known + (uint32_t)news, memory_order_release);
}

/* Reads one frame and deals with it; false when the connection is in failure afterwards. */
static bool read_frame(struct connection *connection) {
    uint8_t header[16];
    if (!receive_exactly(connection, header, sizeof header)) return false;
    uint32_t byte_count = sluice_get_u32(header);
    uint32_t kind = sluice_get_u32(header + 4);
    if (byte_count < sizeof header || byte_count % 8 != 0 || byte_count > SLUICE_FRAME_BYTES_MAX) {
        broken(connection, SLUICE_ERROR_PROTOCOL_ERROR, "a malformed frame");
        return false;
    }
    note_executed(connection, sluice_get_u32(header + 12));
    if (kind == SLUICE_FRAME_ANSWERS) return read_answers(connection, sluice_get_u32(header + 8), byte_count - sizeof header);
    if (kind == SLUICE_FRAME_OUTPUT || kind == SLUICE_FRAME_REFUSAL) return read_text(connection, kind, byte_count - sizeof header);
    broken(connection, SLUICE_ERROR_PROTOCOL_ERROR, kind == SLUICE_FRAME_GOODBYE ? "closed by the server" : "a frame of an unexpected kind");
    return false;
}

static bool input_is_there(struct connection *connection) {
    if (connection->input_end > connection->input_start) return true;
    uint8_t byte;
    return recv(connection->file, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Reads what has come in and waits for nothing, unless another thread is the reader: then that is its work. */
void receive_pending(struct connection *connection) {
    pthread_mutex_lock(&connection->receive_lock);
    bool is_taken = connection->reading || connection->unreadable;
    if (!is_taken) connection->reading = true;
    pthread_mutex_unlock(&connection->receive_lock);
    if (is_taken) return;
    bool is_alive = true;
    while (is_alive && connection_failure(connection).code == 0 && input_is_there(connection)) is_alive = read_frame(connection);
    pthread_mutex_lock(&connection->receive_lock);
    connection->reading = false;
    connection->unreadable = !is_alive;
    pthread_cond_broadcast(&connection->received);
    pthread_mutex_unlock(&connection->receive_lock);
}

static void forget(struct connection *connection, struct answer *answer) {
    struct answer **at = &connection->awaited;
    while (*at != NULL && *at != answer) at = &(*at)->next;
    if (*at != NULL) *at = answer->next;
}

/* Becomes the reader for one frame, or waits until the one that there is has read one; false when the connection is in failure. Locked. */
static bool read_in_turn(struct connection *connection) {
    if (connection->unreadable) return false;
    if (connection->reading) {
        pthread_cond_wait(&connection->received, &connection->receive_lock);
        return true;
    }
    connection->reading = true;
    pthread_mutex_unlock(&connection->receive_lock);
    bool is_alive = read_frame(connection);
    pthread_mutex_lock(&connection->receive_lock);
    connection->reading = false;
    connection->unreadable = !is_alive;
    pthread_cond_broadcast(&connection->received);
    return is_alive;
}

struct failure answer_wait(struct connection *connection, struct answer *answer) {
    connection_flush(connection);
    bool is_alive = true;
    pthread_mutex_lock(&connection->receive_lock);
    while (!answer->done && is_alive) is_alive = read_in_turn(connection);
    if (!answer->done) {
        forget(connection, answer);
        answer->failure = connection_failure(connection);
    }
    pthread_mutex_unlock(&connection->receive_lock);
    return answer->failure;
}

bool executed_wait(struct connection *connection, uint64_t sequence) {
    connection_flush(connection);
    bool is_alive = true;
    pthread_mutex_lock(&connection->receive_lock);
    while (is_alive && atomic_load_explicit(&connection->executed, memory_order_relaxed) < sequence) is_alive = read_in_turn(connection);
    pthread_mutex_unlock(&connection->receive_lock);
    return is_alive && connection_failure(connection).code == 0;
}

void answer_release(struct answer *answer) {
    if (answer->body != answer->fixed) free(answer->body);
    answer->body = NULL;
}
