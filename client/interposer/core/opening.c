/*
 * Which of its leases a process works under: the first that has no session. While all have one it asks again, and says so; it does not
 * wait for a process that can not end before this one does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "connection.h"
#include "holders.h"
#include "remains.h"
#include "report.h"

/*
 * A program that has just ended may have left work behind, which its session finishes first, or a session that waits for it for half a
 * minute: the next program waits a little longer than that.
 */
#define WAIT_MILLISECONDS_DEFAULT 35000
#define WAIT_MILLISECONDS_MAX 3600000000000
/* SESSION_GRACE_MS, SILENCE_MS_MAX and, as in the library, a day (shared/limits.ts). */
#define RESUME_MILLISECONDS_DEFAULT 30000
#define SILENCE_MILLISECONDS_DEFAULT 15000
#define DAY_MILLISECONDS 86400000
/* An ancestor may be about to end. */
#define ANCESTOR_MILLISECONDS_MAX 1000
/* Who waits for longer than this is told why. */
#define SILENT_MILLISECONDS_MAX 1000
#define STEP_MILLISECONDS_MIN 20
#define STEP_MILLISECONDS_MAX 200

/* A variable of the environment that is a number with ms, s, m or h behind it, up to `milliseconds_max`. */
static int64_t duration_of(const char *name, int64_t milliseconds_max, int64_t milliseconds_default) {
    static const struct {
        const char *unit;
        double milliseconds;
    } units[] = {{"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}};
    const char *text = getenv(name);
    if (text == NULL || *text == '\0') return milliseconds_default;
    char *end = NULL;
    double number = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        double milliseconds = number * units[i].milliseconds;
        if (end != text && strcmp(end, units[i].unit) == 0 && number >= 0 && milliseconds <= (double)milliseconds_max) return (int64_t)milliseconds;
    }
    if (strcmp(text, "0") == 0) return 0;
    report("%s is a duration like 10s or 5m, and [%s] is not: it counts as [%d s].", name, text, (int)(milliseconds_default / 1000));
    return milliseconds_default;
}

/* Tries each lease once. Returns 0 with a session, SESSION_BUSY while one may come free, or an error, with its complaint. */
static uint32_t try_leases(struct connection *connection, struct endpoint *endpoint, uint32_t *devices, struct complaint *complaint) {
    bool is_busy = false;
    uint32_t error = SLUICE_ERROR_NO_LEASE;
    for (uint32_t i = 0; i < endpoint->lease_count; i++) {
        struct lease_key *lease = &endpoint->leases[i];
        if (lease->over != 0) continue;
        error = session_open(connection, lease, devices, complaint);
        if (error == SLUICE_ERROR_SESSION_BUSY && remains_clear(connection, lease)) error = session_open(connection, lease, devices, complaint);
        if (error == 0) {
            connection->holder = holder_show(lease->secret);
            remains_leave(connection);
            trace("works under the lease [%s]", lease->id);
            return 0;
        }
        is_busy |= error == SLUICE_ERROR_SESSION_BUSY;
        if (error == SLUICE_ERROR_SESSION_BUSY) continue;
        if (!sluice_error_ends_lease(error)) return error;
        lease->over = error;
        trace("the lease [%s] is over: %s", lease->id, complaint->words);
    }
    return is_busy ? SLUICE_ERROR_SESSION_BUSY : error;
}

/* Who is in the way. */
struct crowd {
    uint32_t busy;
    /* Whether every session that is in use is an ancestor's. */
    bool is_ancestral;
    /* The holder of the last of them. */
    struct holder holder;
};

static struct crowd look_around(const struct endpoint *endpoint) {
    struct crowd crowd = {.is_ancestral = true};
    for (uint32_t i = 0; i < endpoint->lease_count; i++) {
        if (endpoint->leases[i].over != 0) continue;
        crowd.holder = holder_find(endpoint->leases[i].secret);
        crowd.is_ancestral &= crowd.holder.is_ancestor;
        crowd.busy++;
    }
    return crowd;
}

/* One line: who has the sessions, then `what`, then the remedy. */
static void tell_busy(const struct crowd *crowd, const char *what) {
    const struct holder *holder = &crowd->holder;
    char who[128];
    if (crowd->busy > 1) snprintf(who, sizeof who, "all [%u] sessions are in use", (unsigned)crowd->busy);
    else if (holder->process == 0) snprintf(who, sizeof who, "another process has the only session");
    else {
        const char *kind = !holder->is_ancestor ? "process" : holder->process == getppid() ? "the parent process" : "the ancestor";
        snprintf(who, sizeof who, "%s [%d] (%s) has the only session", kind, (int)holder->process, holder->name);
    }
    unsigned wanted = (unsigned)crowd->busy + 1;
    report("%s%s For %u CUDA processes at once: `sluice run --processes %u`.", who, what, wanted, wanted);
}

/* To a tenth of a second. */
static double seconds_of(int64_t milliseconds) {
    return (double)((milliseconds + 50) / 100) / 10;
}

/* Asks again and again while all leases are busy, also of a server that starts anew meanwhile. Returns 0 with a session, or an error that has been reported. */
static uint32_t wait_for_session(struct connection *connection, struct endpoint *endpoint, uint32_t *devices, struct complaint *complaint) {
    int64_t wait = duration_of("SLUICE_SESSION_WAIT", WAIT_MILLISECONDS_MAX, WAIT_MILLISECONDS_DEFAULT), began = now_milliseconds(), step = STEP_MILLISECONDS_MIN;
    bool told = false;
    uint32_t error = SLUICE_ERROR_SESSION_BUSY;
    for (;;) {
        struct crowd crowd = look_around(endpoint);
        int64_t limit = crowd.is_ancestral && wait > ANCESTOR_MILLISECONDS_MAX ? ANCESTOR_MILLISECONDS_MAX : wait;
        int64_t waited = now_milliseconds() - began;
        char words[160];
        if (waited >= limit && error != SLUICE_ERROR_SESSION_BUSY) {
            report("%s", complaint->words);
            return error;
        }
        if (waited >= limit) {
            snprintf(words, sizeof words, "; none came free within %g s, so this process gets no GPU.", seconds_of(waited));
            if (told) report("no session came free within %g s: this process gets no GPU.", seconds_of(waited));
            else if (!crowd.is_ancestral) tell_busy(&crowd, words);
            else if (crowd.busy == 1) tell_busy(&crowd, " and keeps it until it ends, so this process gets no GPU.");
            else tell_busy(&crowd, " by processes that this one descends from and that keep them, so it gets no GPU.");
            return SLUICE_ERROR_SESSION_BUSY;
        }
        if (!told && waited >= SILENT_MILLISECONDS_MAX) {
            snprintf(words, sizeof words, "; this process waits for up to %g s.", seconds_of(wait));
            tell_busy(&crowd, words);
            told = true;
        }
        struct timespec pause = {.tv_sec = 0, .tv_nsec = (step < limit - waited ? step : limit - waited) * 1000000L};
        nanosleep(&pause, NULL);
        if (step < STEP_MILLISECONDS_MAX) step += step / 2;
        error = try_leases(connection, endpoint, devices, complaint);
        if (sluice_error_may_pass(error)) continue;
        if (error != 0 && complaint->words[0] != '\0') report("%s", complaint->words);
        return error;
    }
}

uint32_t connection_open(struct connection *connection, struct endpoint *endpoint, uint32_t *devices) {
    /* The process that has waited in vain, and been told so: programs ask again at every call. */
    static pid_t gave_up = 0;
    struct complaint complaint = {{0}};
    memset(connection, 0, sizeof *connection);
    pthread_mutex_init(&connection->send_lock, NULL);
    pthread_mutex_init(&connection->receive_lock, NULL);
    pthread_cond_init(&connection->received, NULL);
    connection->file = connection->holder = connection->remains = -1;
    connection->input = malloc(CONNECTION_INPUT_BYTES);
    connection->endpoint = *endpoint;
    connection->endpoint.leases = NULL;
    connection->resume_ms = (uint32_t)duration_of("SLUICE_RESUME", DAY_MILLISECONDS, RESUME_MILLISECONDS_DEFAULT);
    connection->silence_ms = (uint32_t)duration_of("SLUICE_SILENCE", DAY_MILLISECONDS, SILENCE_MILLISECONDS_DEFAULT);
    atomic_store(&connection->patience, 1);
    atomic_store(&connection->lost, NOT_LOST);
    atomic_store(&connection->to_watch, -1);
    atomic_store(&connection->watched, -1);
    uint32_t error = SLUICE_ERROR_INTERNAL;
    if (connection->input != NULL) error = try_leases(connection, endpoint, devices, &complaint);
    if (error == SLUICE_ERROR_SESSION_BUSY && gave_up != getpid()) {
        error = wait_for_session(connection, endpoint, devices, &complaint);
        if (error == SLUICE_ERROR_SESSION_BUSY) gave_up = getpid();
    } else if (error != 0 && error != SLUICE_ERROR_SESSION_BUSY && complaint.words[0] != '\0') {
        report("%s", complaint.words);
    }
    if (error == 0) return 0;
    kept_close(&connection->kept);
    free(connection->input);
    return error;
}
