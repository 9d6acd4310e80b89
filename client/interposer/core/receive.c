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
#include "processors.h"
#include "report.h"

/* From this size on data is read straight into its place. */
#define DIRECT_BYTES_MIN 16384

/* What comes before the data of an answer that is alone in its frame. */
#define DATA_HEAD_BYTES (16 + 16 + 8)

/* Bytes of large data that come together: enough to spare wakes, which cost the sender too, few enough that both ends are busy. */
#define WAKING_BYTES 262144

/* Handshake messages, failures and lists of kernels are the largest bodies that are not data. */
#define TEXT_BYTES_MAX SLUICE_FRAME_BYTES_MAX

/* What came cannot be trusted, and ends the session. */
static void broken(struct connection *connection, uint32_t code, const char *why) {
    if (connection_failure(connection).code == 0) report("the connection to the server broke [%s].", why);
    connection_fail(connection, code, 0);
}

bool is_too_silent(const struct connection *connection, uint32_t waits) {
    uint64_t patience = atomic_load_explicit(&connection->patience, memory_order_relaxed);
    return connection->resume_ms > 0 && (uint64_t)waits * socket_wait_ms(connection) >= connection->silence_ms * patience;
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

/* As `recv`, of what comes soon, without letting the core sleep; false when nothing does, and where that does not pay (shared/wakefulness.ts). */
static bool receive_awake(struct connection *connection, void *into, size_t byte_count, ssize_t *got) {
    if (!may_use_processors(SLUICE_AWAKE_CORES_MIN)) return false;
    if (connection->asleep_waits > 0) {
        connection->asleep_waits--;
        return false;
    }
    uint64_t until = now_nanoseconds() + SLUICE_AWAKE_NANOSECONDS;
    do {
        *got = recv(connection->file, into, byte_count, MSG_DONTWAIT);
        if (*got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
            connection->awake_misses = 0;
            return true;
        }
    } while (now_nanoseconds() < until);
    if (connection->awake_misses < SLUICE_AWAKE_MISSES_MAX) connection->awake_misses++;
    connection->asleep_waits = 1u << connection->awake_misses;
    return false;
}

/* As `recv` on a socket that waits. One that waits for more than a byte waits in `poll`: `recv` takes what there is first, and sleeps on when what is left is less. */
static ssize_t receive_or_wait(struct connection *connection, void *into, size_t byte_count) {
    ssize_t got;
    if (connection->waking_bytes <= 1)
        return receive_awake(connection, into, byte_count, &got) ? got : recv(connection->file, into, byte_count, 0);
    struct pollfd readable = {.fd = connection->file, .events = POLLIN};
    int ready = poll(&readable, 1, (int)socket_wait_ms(connection));
    if (ready > 0) return recv(connection->file, into, byte_count, MSG_DONTWAIT);
    if (ready == 0) errno = EAGAIN;
    return -1;
}

/* At least one byte into [into, into + byte_count); 0 when the connection is lost, or has been silent too long with no frame begun. */
static size_t receive_some(struct connection *connection, void *into, size_t byte_count) {
    for (;;) {
        ssize_t got = receive_or_wait(connection, into, byte_count);
        if (got > 0) {
            connection->silent_waits = 0;
            connection->is_between_frames = false;
            atomic_store_explicit(&connection->patience, 1, memory_order_relaxed);
            return (size_t)got;
        }
        if (got < 0 && errno == EINTR) continue;
        bool is_timeout = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        if (is_timeout && connection_failure(connection).code == 0 && !socket_is_dead(connection)) {
            if (!is_too_silent(connection, ++connection->silent_waits)) continue;
            if (connection->is_between_frames) return 0;
        }
        connection_lose(connection, got == 0 ? LOST_BY_CLOSE : is_timeout ? ETIMEDOUT : errno);
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
            connection->silent_waits = 0;
            if ((size_t)got < byte_count) wake_for(connection, byte_count - (size_t)got);
            return (size_t)got;
        }
    }
    wake_for(connection, byte_count);
    return receive_some(connection, into, byte_count);
}

static bool receive_exactly(struct connection *connection, void *into, size_t byte_count) {
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

/* Hands over what has come, now that its frame is whole. */
static void hand_over(struct connection *connection, struct answer *come) {
    pthread_mutex_lock(&connection->receive_lock);
    while (come != NULL) {
        struct answer *answer = come, **at = &connection->awaited;
        come = answer->next_come;
        while (*at != NULL && *at != answer) at = &(*at)->next;
        if (*at != NULL) *at = answer->next;
        answer->done = true;
    }
    pthread_cond_broadcast(&connection->received);
    pthread_mutex_unlock(&connection->receive_lock);
}

/* Forgets what has come of a frame that is not whole: it comes again. */
static void forget_come(struct answer *come) {
    for (; come != NULL; come = come->next_come) {
        answer_release(come);
        come->has_come = false;
        come->failure = (struct failure){0, 0};
    }
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

/* `answer` is NULL for a product that is refused without having been asked for: the program believes it queued, and cannot be told otherwise. */
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
    if (answer != NULL) answer->failure = (struct failure){status, failure.native_code};
    if (answer == NULL || is_lasting(&failure, status, answer->sequence)) {
        if (connection_failure(connection).code == 0) {
            report("the call [%s] failed [%s]: %.*s", sluice_call_name(failure.opcode), sluice_error_code(status),
                   (int)failure.message.byte_count, (const char *)failure.message.data);
            if (status == SLUICE_ERROR_ILLEGAL_ADDRESS) report_address(&failure);
        }
        connection_fail(connection, status, failure.native_code);
    } else {
        trace("the call [%s] fails [%s]: %.*s", sluice_call_name(failure.opcode), sluice_error_code(status), (int)failure.message.byte_count,
              (const char *)failure.message.data);
        if (failure.opcode == SLUICE_OP_MULTIPLY_PREPARE)
            report("the server cannot compute a matrix product [%s]: %.*s", sluice_error_code(status), (int)failure.message.byte_count,
                   (const char *)failure.message.data);
        if (status == SLUICE_ERROR_BAD_IMAGE)
            report("the program image is refused [%s]: %.*s", sluice_error_code(status), (int)failure.message.byte_count,
                   (const char *)failure.message.data);
    }
    if (answer != NULL && answer->keeps_failure) answer->body = body, answer->body_bytes = byte_count;
    else free(body);
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

/* Reads one answer, of `*left` bytes of answers, and puts it in front of those that have come. */
static bool read_answer(struct connection *connection, size_t *left, struct answer **come) {
    uint8_t header[16];
    if (!receive_exactly(connection, header, sizeof header)) return false;
    uint32_t byte_count = sluice_get_u32(header);
    uint32_t status = sluice_get_u32(header + 4);
    struct answer *answer = find_awaited(connection, sluice_get_u32(header + 8));
    bool is_known = answer == NULL ? status != 0 : !answer->has_come;
    if (byte_count < sizeof header || byte_count % 8 != 0 || byte_count > *left || !is_known) {
        broken(connection, SLUICE_ERROR_PROTOCOL_ERROR, !is_known ? "an answer to no call" : "a malformed answer");
        return false;
    }
    *left -= byte_count;
    if (answer != NULL) {
        answer->has_come = true;
        answer->next_come = *come;
        *come = answer;
    }
    size_t body_bytes = byte_count - sizeof header;
    return status == 0 ? read_success(connection, answer, body_bytes) : read_failure(connection, answer, status, body_bytes);
}

static bool read_answers(struct connection *connection, uint32_t count, size_t left) {
    struct answer *come = NULL;
    uint32_t read = 0;
    bool is_alive = true;
    while (is_alive && read < count && left >= 16) {
        is_alive = read_answer(connection, &left, &come);
        if (is_alive) read++;
    }
    if (is_alive && (read < count || left > 0)) {
        broken(connection, SLUICE_ERROR_PROTOCOL_ERROR, "answers that do not fill their frame");
        is_alive = false;
    }
    if (is_alive) hand_over(connection, come);
    else forget_come(come);
    return is_alive;
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

void note_executed(struct connection *connection, uint32_t low) {
    uint64_t known = atomic_load_explicit(&connection->executed, memory_order_relaxed);
    int32_t news = (int32_t)(low - (uint32_t)known);
    if (news > 0) atomic_store_explicit(&connection->executed, known + (uint32_t)news, memory_order_release);
}

/* A call that is executed was answered before, or is in this frame; else what the server was to send again is lost. */
static bool has_no_gap(struct connection *connection, uint32_t executed) {
    if (connection->resumed_at == 0) return true;
    pthread_mutex_lock(&connection->receive_lock);
    const struct answer *oldest = connection->awaited;
    bool is_past = oldest == NULL || (int32_t)((uint32_t)connection->resumed_at - oldest->sequence) < 0;
    bool is_lost = !is_past && (int32_t)(executed - oldest->sequence) >= 0;
    pthread_mutex_unlock(&connection->receive_lock);
    if (is_past) connection->resumed_at = 0;
    if (is_lost) broken(connection, SLUICE_ERROR_PROTOCOL_ERROR, "an answer is lost");
    return !is_lost;
}

/* A counted frame has come whole. */
static void count_frame(struct connection *connection, uint32_t byte_count) {
    uint64_t counted = atomic_load_explicit(&connection->counted, memory_order_relaxed);
    atomic_store_explicit(&connection->counted, counted + 1, memory_order_relaxed);
    if (connection->counted_shown != NULL) atomic_store_explicit(connection->counted_shown, counted + 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&connection->untold_bytes, byte_count, memory_order_relaxed);
    counted_tell(connection);
}

/* Reads one frame and deals with it; false when the session has failed, the connection is lost, or it has been silent for long. */
static bool read_frame(struct connection *connection) {
    uint8_t header[16];
    connection->is_between_frames = connection->input_end == connection->input_start;
    if (!receive_exactly(connection, header, sizeof header)) return false;
    connection->is_between_frames = false;
    /* What the server has executed it has, whether or not it says so in a frame that comes whole. */
    note_executed(connection, sluice_get_u32(header + 12));
    uint32_t byte_count = sluice_get_u32(header);
    uint32_t kind = sluice_get_u32(header + 4);
    uint32_t count = sluice_get_u32(header + 8);
    if (byte_count < sizeof header || byte_count % 8 != 0 || byte_count > SLUICE_FRAME_BYTES_MAX) {
        broken(connection, SLUICE_ERROR_PROTOCOL_ERROR, "a malformed frame");
        return false;
    }
    if (kind == SLUICE_FRAME_ANSWERS) {
        if (!read_answers(connection, count, byte_count - sizeof header)) return false;
    } else if (kind == SLUICE_FRAME_OUTPUT || kind == SLUICE_FRAME_REFUSAL) {
        if (!read_text(connection, kind, byte_count - sizeof header)) return false;
    } else {
        broken(connection, SLUICE_ERROR_PROTOCOL_ERROR, kind == SLUICE_FRAME_GOODBYE ? "closed by the server" : "a frame of an unexpected kind");
        return false;
    }
    connection->is_between_frames = true;
    if (kind == SLUICE_FRAME_OUTPUT || count > 0) count_frame(connection, byte_count);
    return has_no_gap(connection, sluice_get_u32(header + 12));
}

static bool input_is_there(struct connection *connection) {
    if (connection->input_end > connection->input_start) return true;
    uint8_t byte;
    return recv(connection->file, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool reading_try(struct connection *connection) {
    pthread_mutex_lock(&connection->receive_lock);
    bool is_free = !connection->reading && !connection->unreadable;
    if (is_free) connection->reading = true;
    pthread_mutex_unlock(&connection->receive_lock);
    return is_free;
}

void reading_leave(struct connection *connection) {
    pthread_mutex_lock(&connection->receive_lock);
    connection->reading = false;
    if (connection_failure(connection).code != 0 && atomic_load(&connection->lost) != NOT_LOST) connection->unreadable = true;
    pthread_cond_broadcast(&connection->received);
    pthread_mutex_unlock(&connection->receive_lock);
}

/* Deals with the frames that are there, as long as they are good. Whether there was one. */
static bool read_what_is_there(struct connection *connection) {
    bool is_alive = true, has_read = false;
    while (is_alive && connection_failure(connection).code == 0 && input_is_there(connection)) {
        is_alive = read_frame(connection);
        has_read |= is_alive;
    }
    if (!is_alive && connection_failure(connection).code != 0) {
        pthread_mutex_lock(&connection->receive_lock);
        connection->unreadable = true;
        pthread_mutex_unlock(&connection->receive_lock);
    }
    return has_read;
}

void reading_take_over(struct connection *connection) {
    shutdown(connection->file, SHUT_RDWR);
    pthread_mutex_lock(&connection->receive_lock);
    while (connection->reading) pthread_cond_wait(&connection->received, &connection->receive_lock);
    connection->reading = true;
    pthread_mutex_unlock(&connection->receive_lock);
    /* The server may have said why, and what has come need not come again. */
    if (connection->is_between_frames) read_what_is_there(connection);
}

bool receive_pending(struct connection *connection) {
    if (!reading_try(connection)) return false;
    bool has_read = read_what_is_there(connection);
    reading_leave(connection);
    return has_read;
}

static void forget(struct connection *connection, struct answer *answer) {
    struct answer **at = &connection->awaited;
    while (*at != NULL && *at != answer) at = &(*at)->next;
    if (*at != NULL) *at = answer->next;
}

/* What came of a turn of waiting. */
enum turn { TURN_GOOD, TURN_OVER, TURN_LOST, TURN_SILENT };

/* Becomes the reader for one frame, or waits until the one that there is has read one. Locked. */
static enum turn read_in_turn(struct connection *connection) {
    if (connection->unreadable) return TURN_OVER;
    if (connection->reading) {
        pthread_cond_wait(&connection->received, &connection->receive_lock);
        return TURN_GOOD;
    }
    if (atomic_load(&connection->lost) != NOT_LOST) return TURN_LOST;
    connection->reading = true;
    pthread_mutex_unlock(&connection->receive_lock);
    bool is_alive = read_frame(connection);
    pthread_mutex_lock(&connection->receive_lock);
    connection->reading = false;
    bool is_lost = atomic_load(&connection->lost) != NOT_LOST;
    bool is_over = !is_alive && connection_failure(connection).code != 0;
    if (is_over) connection->unreadable = true;
    pthread_cond_broadcast(&connection->received);
    return is_alive ? TURN_GOOD : is_over ? TURN_OVER : is_lost ? TURN_LOST : TURN_SILENT;
}

/* As read_in_turn, and goes on over another connection when this one is lost or silent; false when the session is over. Locked. */
static bool read_or_mend(struct connection *connection, bool has_send_lock) {
    enum turn turn = read_in_turn(connection);
    if (turn == TURN_GOOD || turn == TURN_OVER) return turn == TURN_GOOD;
    pthread_mutex_unlock(&connection->receive_lock);
    bool is_alive = true;
    if (turn == TURN_SILENT) {
        if (has_send_lock) connection_look_elsewhere_locked(connection);
        else connection_look_elsewhere(connection);
    } else is_alive = has_send_lock ? connection_mend_locked(connection) : connection_mend(connection);
    pthread_mutex_lock(&connection->receive_lock);
    return is_alive;
}

struct failure answer_wait(struct connection *connection, struct answer *answer) {
    connection_flush(connection);
    bool is_alive = true;
    pthread_mutex_lock(&connection->receive_lock);
    while (!answer->done && is_alive) is_alive = read_or_mend(connection, false);
    if (!answer->done) {
        forget(connection, answer);
        answer->failure = connection_failure(connection);
    }
    pthread_mutex_unlock(&connection->receive_lock);
    return answer->failure;
}

bool executed_wait_locked(struct connection *connection, uint64_t sequence) {
    bool is_alive = true;
    while (is_alive && atomic_load_explicit(&connection->executed, memory_order_relaxed) < sequence) {
        pthread_mutex_lock(&connection->receive_lock);
        is_alive = read_or_mend(connection, true);
        pthread_mutex_unlock(&connection->receive_lock);
        counted_tell_locked(connection);
    }
    return is_alive && connection_failure(connection).code == 0;
}

bool executed_wait(struct connection *connection, uint64_t sequence) {
    connection_flush(connection);
    bool is_alive = true;
    pthread_mutex_lock(&connection->receive_lock);
    while (is_alive && atomic_load_explicit(&connection->executed, memory_order_relaxed) < sequence) is_alive = read_or_mend(connection, false);
    pthread_mutex_unlock(&connection->receive_lock);
    return is_alive && connection_failure(connection).code == 0;
}

void answer_release(struct answer *answer) {
    if (answer->body != answer->fixed) free(answer->body);
    answer->body = NULL;
}
