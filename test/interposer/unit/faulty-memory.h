/*
 * Pages that cannot be read at first: a thread that helps with a copy is met there, in the middle of a chunk, and dies or stalls; for the program's own
 * thread, the process's first, the page is mended.
 */
#ifndef FAULTY_MEMORY_H
#define FAULTY_MEMORY_H

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PATIENCE_MS = 10000, HELPERS_DIE = 0, HELPERS_STALL = 1 };

#define EXPECT(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

/* Helpers that were met, whether those that stall are to go on, and whether the program's thread pauses there. */
static atomic_int met;
static atomic_bool go_on, is_pausing;
static int what_helpers_do;

static void fail(int line, const char *what) {
    printf("line %d: %s\n", line, what);
    exit(1);
}

static void pause_ms(long milliseconds) {
    struct timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0) continue;
}

/* Whether the program's thread waits for a helper, and leaves it the processor. */
static bool is_waited_for(void) {
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", getpid());
    int file = open(path, O_RDONLY | O_CLOEXEC);
    EXPECT(file >= 0 && read(file, line, sizeof line - 1) > 0);
    close(file);
    return !atomic_load(&is_pausing) && strstr(line, ") S ") != NULL;
}

static void on_fault(int signal_number, siginfo_t *fault, void *machine) {
    uint8_t *page = (uint8_t *)((uintptr_t)fault->si_addr & ~(uintptr_t)(PAGE - 1));
    (void)signal_number;
    (void)machine;
    if (syscall(SYS_gettid) == getpid()) {
        /* Helpers have time to take chunks meanwhile. */
        atomic_store(&is_pausing, true);
        pause_ms(1);
        atomic_store(&is_pausing, false);
    } else {
        atomic_fetch_add(&met, 1);
        if (what_helpers_do == HELPERS_DIE) syscall(SYS_exit, 0);
        for (int waited = 0; !atomic_load(&go_on) || !is_waited_for(); waited++) {
            EXPECT(waited < PATIENCE_MS);
            pause_ms(1);
        }
        /* Who waits no longer, though this thread still writes, has gone on by now. */
        pause_ms(20);
    }
    /* Where that is not possible it was another fault. */
    if (mprotect(page, PAGE, PROT_READ | PROT_WRITE) != 0) abort();
}

static void meet_helpers(int what) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    atomic_store(&met, 0);
    what_helpers_do = what;
    sigaction(SIGSEGV, &action, NULL);
}

static void make_faulty(uint8_t *page) {
    mprotect(page, PAGE, PROT_NONE);
}

#endif
