/*
 * Goes on over another connection when one breaks or falls silent (proto/README.md, "Broken connections"): what the server does not have is sent
 * again, what this end does not have comes again. The thread that finds it out does it, with `send_lock` and as the reader; the
 * others wait, for as long as the server lets the session wait. For a program that calls nothing meanwhile a thread of its own finds it out.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "connection.h"
#include "report.h"

#define PAUSE_MILLISECONDS_MIN 25
#define PAUSE_MILLISECONDS_MAX 1000
/* Each step of the handshake; HANDSHAKE_TIMEOUT_MS of shared/limits.ts. */
#define HANDSHAKE_MILLISECONDS_MAX 10000
/* Who waits for longer than this is told why. */
#define SILENT_MILLISECONDS_MAX 2000
#define WATCH_STACK_BYTES (512u << 10)
/* Each time that nothing better is found elsewhere, a silent server is waited for twice as long, at most so many times as long. */
#define PATIENCE_MAX 16

bool connection_take_link(struct connection *connection, const struct link *link) {
    int before = connection->file;
    connection->file = link->file;
    connection->is_tcp = link->is_tcp;
    int unwatched = atomic_exchange(&connection->to_watch, link->resume_ms == 0 ? -1 : fcntl(link->file, F_DUPFD_CLOEXEC, 0));
    if (unwatched >= 0) close(unwatched);
    if (before >= 0) {
        /* Whoever watches it wakes. */
        shutdown(before, SHUT_RDWR);
        close(before);
    }
    connection->resume_ms = link->resume_ms;
    connection->has_begun = true;
    connection->input_start = connection->input_end = 0;
    connection->is_behind_data = false;
    connection->is_between_frames = true;
    connection->waking_bytes = 1;
    connection->silent_waits = 0;
    uint32_t wait = socket_wait_ms(connection);
    struct timeval waits = {.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000};
    if (wait < SOCKET_WAIT_MS) {
        setsockopt(connection->file, SOL_SOCKET, SO_RCVTIMEO, &waits, sizeof waits);
        setsockopt(connection->file, SOL_SOCKET, SO_SNDTIMEO, &waits, sizeof waits);
    }
    atomic_store(&connection->untold_bytes, 0);
    atomic_store(&connection->lost, NOT_LOST);
    uint64_t batched = connection->batch == NULL ? 0 : connection->batch_calls;
    bool is_known = link->received <= connection->sequence - batched && link->executed <= link->received;
    if (is_known) {
        note_executed(connection, (uint32_t)link->executed);
        kept_forget(&connection->kept, link->received);
    }
    /* What the server has must end where a frame ended, and not before what it has said that it executed. */
    if (is_known && connection->kept.forgotten == link->received) return true;
    report("the server knows of the call [%llu], and [%llu] were sent.", (unsigned long long)link->received,
           (unsigned long long)(connection->sequence - batched));
    connection_fail(connection, SLUICE_ERROR_PROTOCOL_ERROR, 0);
    connection_lose(connection, LOST_BY_CLOSE);
    return false;
}

static void pause_for(int64_t milliseconds) {
    struct timespec pause = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static const char *words_of(int lost) {
    return lost == LOST_BY_CLOSE ? "closed by the server" : strerror(lost);
}

/* Tries until it works, there is no point in it, or the time is over. Returns 0 or the wire number of an error. */
static uint32_t try_until(struct connection *connection, int64_t began, struct link *link, struct complaint *complaint) {
    int64_t deadline = began + connection->resume_ms, pause = PAUSE_MILLISECONDS_MIN;
    bool is_told = false;
    for (;;) {
        int64_t now = now_milliseconds(), left = deadline - now;
        uint32_t error = link_open(connection, NULL, now + (left < HANDSHAKE_MILLISECONDS_MAX ? left : HANDSHAKE_MILLISECONDS_MAX), link, complaint);
        left = deadline - now_milliseconds();
        if (error == 0 || !sluice_error_may_pass(error) || left < PAUSE_MILLISECONDS_MIN) return error;
        if (!is_told && now_milliseconds() - began > SILENT_MILLISECONDS_MAX) {
            is_told = true;
            notice("the connection to the server broke [%s]; it is tried for %u s to go on over another.",
                   words_of(atomic_load(&connection->lost)), (unsigned)((connection->resume_ms + 500) / 1000));
        }
        /* Clients that lost the same server do not come back at the same moment. A pause that outlasts the time would give up what is left of it. */
        int64_t spread = pause + pause * connection->lease.session_id[0] / 255;
        pause_for(spread < left / 2 ? spread : left / 2);
        if (pause < PAUSE_MILLISECONDS_MAX) pause = 2 * pause < PAUSE_MILLISECONDS_MAX ? 2 * pause : PAUSE_MILLISECONDS_MAX;
    }
}

/* The session is over: says why, in the words of the last try where there was one. */
static void give_up(struct connection *connection, uint32_t error, const struct complaint *complaint) {
    const char *words = words_of(atomic_load(&connection->lost));
    bool is_passing = error != 0 && sluice_error_may_pass(error);
    if (error == 0) report("the connection to the server broke [%s].", words);
    else if (is_passing)
        report("the connection to the server broke [%s], and the session cannot be resumed within [%u] ms: %s", words,
               (unsigned)connection->resume_ms, complaint->words);
    else if (complaint->words[0] != '\0') report("%s", complaint->words);
    connection_fail(connection, error == 0 || is_passing ? SLUICE_ERROR_CONNECTION_LOST : error, 0);
}

/* With both halves of the connection. */
static void go_on(struct connection *connection, const struct link *link) {
    connection->resumed_at = connection->sequence;
    bool is_alive = connection_take_link(connection, link);
    reading_leave(connection);
    if (is_alive) kept_send(connection);
}

bool connection_mend_locked(struct connection *connection) {
    while (atomic_load(&connection->lost) != NOT_LOST) {
        if (connection->is_closing) return false;
        int64_t began = now_milliseconds();
        struct link link;
        struct complaint complaint = {{0}};
        reading_take_over(connection);
        uint32_t error = 0;
        bool is_over = connection_failure(connection).code != 0;
        if (!is_over && connection->resume_ms > 0) error = try_until(connection, began, &link, &complaint);
        if (!is_over && (error != 0 || connection->resume_ms == 0)) {
            give_up(connection, error, &complaint);
            is_over = true;
        }
        if (is_over) {
            reading_leave(connection);
            return false;
        }
        const char *why = words_of(atomic_load(&connection->lost));
        notice("the connection to the server broke [%s]; the session goes on after %.1f s.", why, (double)(now_milliseconds() - began) / 1000);
        go_on(connection, &link);
    }
    return connection_failure(connection).code == 0;
}

bool connection_mend(struct connection *connection) {
    pthread_mutex_lock(&connection->send_lock);
    bool is_alive = connection_mend_locked(connection);
    pthread_mutex_unlock(&connection->send_lock);
    return is_alive;
}

bool connection_look_elsewhere_locked(struct connection *connection) {
    if (connection->is_closing || !reading_try(connection)) return false;
    struct link link;
    struct complaint complaint = {{0}};
    bool is_alive = atomic_load(&connection->lost) == NOT_LOST && connection_failure(connection).code == 0;
    uint32_t error = SLUICE_ERROR_CLOSED;
    if (is_alive) error = link_open(connection, NULL, now_milliseconds() + HANDSHAKE_MILLISECONDS_MAX, &link, &complaint);
    if (error == 0) {
        notice("the server was silent; the session goes on over another connection.");
        go_on(connection, &link);
        return true;
    }
    /* Only a server that knows the lease says so: there is nothing to wait for any more. */
    if (is_alive && error == SLUICE_ERROR_SESSION_LOST) {
        give_up(connection, error, &complaint);
        connection_lose(connection, LOST_BY_CLOSE);
    } else if (is_alive) trace("the server is silent, and cannot be reached over another connection: %s", complaint.words);
    unsigned patience = atomic_load(&connection->patience);
    if (patience < PATIENCE_MAX) atomic_store(&connection->patience, 2 * patience);
    connection->silent_waits = 0;
    reading_leave(connection);
    return false;
}

void connection_look_elsewhere(struct connection *connection) {
    pthread_mutex_lock(&connection->send_lock);
    connection_look_elsewhere_locked(connection);
    pthread_mutex_unlock(&connection->send_lock);
}

/* The connection that is watched has broken: goes on over another unless a thread of the program has. False when there is none to watch any more. */
static bool mend_watched(struct connection *connection) {
    pthread_mutex_lock(&connection->send_lock);
    bool is_current = atomic_load(&connection->to_watch) < 0;
    if (is_current && connection_failure(connection).code == 0) {
        int why = 0;
        socklen_t size = sizeof why;
        getsockopt(connection->file, SOL_SOCKET, SO_ERROR, &why, &size);
        connection_lose(connection, why > 0 ? why : LOST_BY_CLOSE);
        connection_mend_locked(connection);
    }
    bool goes_on = atomic_load(&connection->to_watch) >= 0;
    pthread_mutex_unlock(&connection->send_lock);
    return goes_on;
}

static void *watch(void *argument) {
    struct connection *connection = argument;
    do {
        int file = atomic_exchange(&connection->to_watch, -1);
        atomic_store(&connection->watched, file);
        struct pollfd broken = {.fd = file, .events = POLLRDHUP};
        while (poll(&broken, 1, -1) <= 0) continue;
        atomic_store(&connection->watched, -1);
        close(file);
    } while (mend_watched(connection));
    return NULL;
}

void connection_watch(struct connection *connection) {
    if (atomic_load(&connection->to_watch) < 0) return;
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, WATCH_STACK_BYTES);
    /* The program's signals are for the program's threads. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    /* Without it, the next call finds the connection broken. */
    if (pthread_create(&thread, &attributes, watch, connection) != 0) trace("no thread watches the connection");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}
