/* See together.h. client/copy-helpers.ts is the same for programs of the library. */
#include "together.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

#define CHUNK_BYTES ((size_t)128 << 10)
/* Below this, telling the others takes as long; above, a ticket has no room. */
#define TOGETHER_BYTES_MIN (4 * CHUNK_BYTES)
#define TOGETHER_BYTES_MAX (255 * CHUNK_BYTES)
#define HELPERS_PAY_BYTES ((uint64_t)64 << 20)
#define HELPERS_MAX 3
#define CORES_PER_HELPER 4
#define STACK_BYTES (256 << 10)
/* How long a helper looks for more before it sleeps: longer than from one piece of a copy to the next. */
#define AWAKE_NANOSECONDS 200000

/*
 * The copy that is helped. A ticket is the number of the copy, times 256, and its chunks that nobody has taken: taking one is to count it down, which
 * fails if anything has changed since the rest was read.
 */
static struct {
    pthread_mutex_t owner;
    _Atomic uint32_t ticket;
    _Atomic uint32_t done, asleep;
    _Atomic uintptr_t to, from;
    _Atomic size_t bytes;
} job = {.owner = PTHREAD_MUTEX_INITIALIZER};

bool may_use_cores(int cores) {
    static _Atomic int known = -1;
    int count = atomic_load_explicit(&known, memory_order_relaxed);
    if (count < 0) {
        const char *wanted = getenv("SLUICE_AWAKE");
        cpu_set_t set;
        if (wanted != NULL && strcmp(wanted, "always") == 0) count = INT_MAX;
        else if (wanted != NULL && strcmp(wanted, "never") == 0) count = 0;
        else {
            if (wanted != NULL && *wanted != '\0') report("SLUICE_AWAKE is always or never, and [%s] is neither: it counts for nothing.", wanted);
            count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
        }
        atomic_store_explicit(&known, count, memory_order_relaxed);
    }
    return count >= cores;
}

static int64_t nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Copies a chunk that nobody has taken, of the copy that it is of; false when there is none. */
static bool copy_chunk(uint32_t ticket) {
    uint8_t *to = (uint8_t *)atomic_load_explicit(&job.to, memory_order_relaxed);
    const uint8_t *from = (const uint8_t *)atomic_load_explicit(&job.from, memory_order_relaxed);
    size_t bytes = atomic_load_explicit(&job.bytes, memory_order_relaxed), at = ((ticket & 255) - 1) * CHUNK_BYTES;
    if (!atomic_compare_exchange_strong(&job.ticket, &ticket, ticket - 1)) return false;
    memcpy(to + at, from + at, bytes - at < CHUNK_BYTES ? bytes - at : CHUNK_BYTES);
    atomic_fetch_add(&job.done, 1);
    return true;
}

static void *help(void *unused) {
    (void)unused;
    for (int64_t idle_since = nanoseconds();;) {
        uint32_t ticket = atomic_load(&job.ticket);
        if ((ticket & 255) > 0) {
            copy_chunk(ticket);
            idle_since = nanoseconds();
            continue;
        }
        for (int look = 0; look < 200 && atomic_load_explicit(&job.ticket, memory_order_relaxed) == ticket; look++) continue;
        if (nanoseconds() - idle_since < AWAKE_NANOSECONDS) continue;
        atomic_fetch_add(&job.asleep, 1);
        syscall(SYS_futex, &job.ticket, FUTEX_WAIT_PRIVATE, ticket, NULL, NULL, 0);
        atomic_fetch_sub(&job.asleep, 1);
        idle_since = nanoseconds();
    }
    return NULL;
}

/* The program's signals are for the program's threads; but what it does about faults it does in any. */
static void start_helpers(void) {
    sigset_t all, before;
    pthread_attr_t attributes;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int helper = 1; helper <= HELPERS_MAX && may_use_cores(helper * CORES_PER_HELPER); helper++) {
        pthread_t thread;
        /* One that cannot start is missed by nobody. */
        if (pthread_create(&thread, &attributes, help, NULL) != 0) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    trace("threads help with large copies from now on");
}

/* Whether there are helpers, as far as this thread can say. The child of a fork has none, and copies alone by the same rule. */
static bool has_helpers(size_t bytes) {
    static _Atomic uint64_t copied;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (atomic_load_explicit(&copied, memory_order_relaxed) >= HELPERS_PAY_BYTES) {
        pthread_once(&once, start_helpers);
        return true;
    }
    atomic_fetch_add_explicit(&copied, bytes, memory_order_relaxed);
    return false;
}

void copy_together(void *to, const void *from, size_t bytes) {
    bool is_helped = bytes >= TOGETHER_BYTES_MIN && bytes <= TOGETHER_BYTES_MAX && may_use_cores(CORES_PER_HELPER) && has_helpers(bytes);
    if (!is_helped || pthread_mutex_trylock(&job.owner) != 0) {
        memcpy(to, from, bytes);
        return;
    }
    uint32_t chunks = (uint32_t)((bytes + CHUNK_BYTES - 1) / CHUNK_BYTES), ticket = atomic_load(&job.ticket);
    atomic_store_explicit(&job.to, (uintptr_t)to, memory_order_relaxed);
    atomic_store_explicit(&job.from, (uintptr_t)from, memory_order_relaxed);
    atomic_store_explicit(&job.bytes, bytes, memory_order_relaxed);
    atomic_store(&job.done, 0);
    atomic_store(&job.ticket, (ticket & ~(uint32_t)255) + 256 + chunks);
    if (atomic_load(&job.asleep) > 0) syscall(SYS_futex, &job.ticket, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    for (ticket = atomic_load(&job.ticket); (ticket & 255) > 0; ticket = atomic_load(&job.ticket)) copy_chunk(ticket);
    /* What is left is being copied. */
    while (atomic_load(&job.done) < chunks) continue;
    pthread_mutex_unlock(&job.owner);
}
