/* See together.h. client/copy-helpers.ts is the same for programs of the library. */
#include "together.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "processors.h"
#include "report.h"

#define CHUNK_BYTES ((size_t)128 << 10)
/* Below this, telling the others takes as long; above, a ticket has no room. */
#define TOGETHER_BYTES_MIN (4 * CHUNK_BYTES)
#define TOGETHER_BYTES_MAX (255 * CHUNK_BYTES)
#define HELPERS_PAY_BYTES ((uint64_t)64 << 20)
#define HELPERS_MAX 3
#define PROCESSORS_PER_HELPER 4
#define STACK_BYTES (256 << 10)
/* How long a helper looks for more before it sleeps: longer than from one piece of a copy to the next. And how long one is waited for likewise. */
#define AWAKE_NANOSECONDS 200000
/* A helper that is waited for longer than that has no processor, or is gone: it is looked after from time to time. */
#define PAUSE_NANOSECONDS 50000

/*
 * The copy that is helped. A ticket is the number of the copy, times 256, and its chunks that nobody has taken: taking one is to count it down, which
 * fails if anything has changed since the rest was read. The numbers begin where they soon begin anew, so that this is nothing rare.
 */
static struct {
    pthread_mutex_t owner;
    _Atomic uint32_t ticket, asleep;
    _Atomic uintptr_t to, from;
    _Atomic size_t bytes;
} job = {.owner = PTHREAD_MUTEX_INITIALIZER, .ticket = 0xffffc000};

/*
 * `ticket` is the one by which the helper takes a chunk, or has taken it, until that is copied; else 0. What else there is, is the owner's. The child of a
 * fork has none of the threads: it finds no tickets of its own copies, or the owner's lock taken, and copies alone.
 */
static struct helper {
    _Alignas(64) _Atomic uint32_t ticket;
    pthread_t thread;
    bool is_there;
} helpers[HELPERS_MAX];

static int64_t nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Until somebody says that the word is another; for `time` at most, or NULL. A thread cannot be cancelled here. */
static void wait_while(_Atomic uint32_t *word, uint32_t value, const struct timespec *time) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, time, NULL, 0);
}

/* The chunk that a ticket stands for, as long as its copy is under way. */
struct chunk {
    uint8_t *to;
    const uint8_t *from;
    size_t bytes;
};

static struct chunk chunk_of(uint32_t ticket) {
    size_t at = ((ticket & 255) - 1) * CHUNK_BYTES, left = atomic_load_explicit(&job.bytes, memory_order_relaxed) - at;
    return (struct chunk){.to = (uint8_t *)atomic_load_explicit(&job.to, memory_order_relaxed) + at,
                          .from = (const uint8_t *)atomic_load_explicit(&job.from, memory_order_relaxed) + at,
                          .bytes = left < CHUNK_BYTES ? left : CHUNK_BYTES};
}

/* Takes a chunk that nobody has taken and copies it; false when there is none. */
static bool copy_chunk(uint32_t ticket) {
    struct chunk chunk = chunk_of(ticket);
    if (!atomic_compare_exchange_strong(&job.ticket, &ticket, ticket - 1)) return false;
    memcpy(chunk.to, chunk.from, chunk.bytes);
    return true;
}

static void *help(void *argument) {
    struct helper *self = argument;
    for (int64_t idle_since = nanoseconds();;) {
        uint32_t ticket = atomic_load(&job.ticket);
        if ((ticket & 255) > 0) {
            /* Whoever sees the chunk taken sees this too. */
            atomic_store_explicit(&self->ticket, ticket, memory_order_relaxed);
            copy_chunk(ticket);
            atomic_store_explicit(&self->ticket, 0, memory_order_release);
            idle_since = nanoseconds();
            continue;
        }
        for (int look = 0; look < 200 && atomic_load_explicit(&job.ticket, memory_order_relaxed) == ticket; look++) continue;
        if (nanoseconds() - idle_since < AWAKE_NANOSECONDS) continue;
        atomic_fetch_add(&job.asleep, 1);
        wait_while(&job.ticket, ticket, NULL);
        atomic_fetch_sub(&job.asleep, 1);
        idle_since = nanoseconds();
    }
    return NULL;
}

/* Waits until the helper has copied what it has taken of this copy. While it lives it may write there at any time; the chunk of one that is gone is nobody's. */
static void wait_for(struct helper *helper, uint32_t first) {
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    int64_t began = nanoseconds();
    while (helper->is_there) {
        uint32_t ticket = atomic_load(&helper->ticket);
        if (ticket == 0 || ticket >> 8 != first >> 8) return;
        if (nanoseconds() - began < AWAKE_NANOSECONDS) continue;
        wait_while(&helper->ticket, ticket, &pause);
        helper->is_there = pthread_tryjoin_np(helper->thread, NULL) != 0;
        if (helper->is_there || (ticket = atomic_load(&helper->ticket)) == 0) continue;
        struct chunk chunk = chunk_of(ticket);
        memcpy(chunk.to, chunk.from, chunk.bytes);
    }
}

static void start_helpers(void) {
    /* The program's signals are for the program's threads; but faults come to whoever makes them, and none that is blocked can be mended. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    int count = 0;
    sigset_t blocked, before;
    pthread_attr_t attributes;
    sigfillset(&blocked);
    for (size_t index = 0; index < sizeof faults / sizeof *faults; index++) sigdelset(&blocked, faults[index]);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    while (count < HELPERS_MAX && may_use_processors((count + 1) * PROCESSORS_PER_HELPER)) {
        struct helper *helper = &helpers[count];
        /* Where threads cannot be made, the program's copy alone. */
        if (pthread_create(&helper->thread, &attributes, help, helper) != 0) break;
        helper->is_there = true;
        count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    trace("%d threads help with large copies from now on", count);
}

/* Whether helpers pay by now; then they have been started. */
static bool have_helpers(size_t bytes) {
    static _Atomic uint64_t copied;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (atomic_load_explicit(&copied, memory_order_relaxed) >= HELPERS_PAY_BYTES) {
        pthread_once(&once, start_helpers);
        return true;
    }
    atomic_fetch_add_explicit(&copied, bytes, memory_order_relaxed);
    return false;
}

/* By the one thread that is helped. */
static void copy_with_helpers(void *to, const void *from, size_t bytes) {
    uint32_t chunks = (uint32_t)((bytes + CHUNK_BYTES - 1) / CHUNK_BYTES), first = (atomic_load(&job.ticket) & ~(uint32_t)255) + 256 + chunks;
    atomic_store_explicit(&job.to, (uintptr_t)to, memory_order_relaxed);
    atomic_store_explicit(&job.from, (uintptr_t)from, memory_order_relaxed);
    atomic_store_explicit(&job.bytes, bytes, memory_order_relaxed);
    atomic_store(&job.ticket, first);
    if (atomic_load(&job.asleep) > 0) syscall(SYS_futex, &job.ticket, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    for (uint32_t ticket = first; (ticket & 255) > 0; ticket = atomic_load(&job.ticket)) copy_chunk(ticket);
    for (int index = 0; index < HELPERS_MAX; index++) wait_for(&helpers[index], first);
}

void copy_together(void *to, const void *from, size_t bytes) {
    bool is_helped = bytes >= TOGETHER_BYTES_MIN && bytes <= TOGETHER_BYTES_MAX && may_use_processors(PROCESSORS_PER_HELPER) && have_helpers(bytes);
    if (!is_helped || pthread_mutex_trylock(&job.owner) != 0) {
        memcpy(to, from, bytes);
        return;
    }
    copy_with_helpers(to, from, bytes);
    pthread_mutex_unlock(&job.owner);
}
