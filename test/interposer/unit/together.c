/*
 * Copies that several threads make together, whatever becomes of the threads: MODE is what is done to them. A thread that is to be met in the middle
 * of a chunk is met there by a page that it may not read. Prints `ok`; with `exit` it ends with 7 while a copy is under way.
 */
#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* With what it has of its own. */
#include "../../../client/interposer/core/together.c"
#include "faulty-memory.h"

enum { CHUNKS = 8 };
#define BYTES (CHUNKS * CHUNK_BYTES)

static uint8_t *from, *to;

/* As on a machine with many processors: then what the environment says decides alone. */
int sched_getaffinity(pid_t process, size_t bytes, cpu_set_t *set) {
    (void)process;
    memset(set, 0xff, bytes < 8 ? bytes : 8);
    return 0;
}

static int count_threads(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    EXPECT(tasks != NULL);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) count += task->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static void fill(uint8_t *bytes, size_t count, unsigned seed) {
    for (size_t i = 0; i < count / 4; i++) ((uint32_t *)(void *)bytes)[i] = ((uint32_t)i ^ seed) * 0x9e3779b1u;
}

static void copy_once(unsigned seed) {
    fill(from, BYTES, seed);
    copy_together(to, from, BYTES);
    EXPECT(memcmp(to, from, BYTES) == 0);
}

/* Copies so much that helpers start, where they do. */
static void begin(void) {
    for (unsigned copied = 0; copied < 72; copied += BYTES >> 20) copy_once(copied);
}

/* A page of each chunk cannot be read at first. */
static void copy_with_faults(unsigned seed) {
    fill(from, BYTES, seed);
    for (size_t chunk = 0; chunk < CHUNKS; chunk++) make_faulty(from + chunk * CHUNK_BYTES + CHUNK_BYTES / 2);
    copy_together(to, from, BYTES);
}

/* Whoever looks at the first and the last bytes of each chunk, in this copy and in that before, sees what has not been copied and what was copied late. */
static void mode_copies(void) {
    enum { WORDS = CHUNK_BYTES, STEP = CHUNK_BYTES / 4 };
    uint32_t *source = (uint32_t *)(void *)from, *two[] = {calloc(WORDS, 4), calloc(WORDS, 4)};
    begin();
    EXPECT(count_threads() == 1 + HELPERS_MAX);
    for (int file = 3; file < 1024; file++) close(file);
    int wrong = 0;
    for (uint32_t round = 1; round <= 3000; round++) {
        for (int at = 0; at < WORDS; at += STEP) source[at] = source[at + STEP - 1] = round;
        uint32_t *now = two[round % 2], *before = two[(round + 1) % 2], ticket = atomic_load(&job.ticket);
        copy_together(now, source, WORDS * 4);
        /* Whoever still has a ticket of one copy in mind takes no chunk of the next. */
        wrong += ticket >> 8 == atomic_load(&job.ticket) >> 8;
        for (int at = 0; at < WORDS; at += STEP) {
            wrong += now[at] != round || now[at + STEP - 1] != round;
            wrong += before[at] != round - 1 || before[at + STEP - 1] != round - 1;
        }
    }
    EXPECT(wrong == 0);
    free(two[0]);
    free(two[1]);
}

static void mode_gone(void) {
    begin();
    EXPECT(count_threads() == 1 + HELPERS_MAX);
    meet_helpers(HELPERS_DIE);
    for (unsigned seed = 0; atomic_load(&met) < HELPERS_MAX; seed++) {
        copy_with_faults(seed);
        EXPECT(memcmp(to, from, BYTES) == 0);
    }
    EXPECT(count_threads() == 1);
    for (unsigned seed = 0; seed < 10; seed++) copy_once(seed);
}

static void mode_stalled(void) {
    begin();
    meet_helpers(HELPERS_STALL);
    atomic_store(&go_on, true);
    for (unsigned seed = 0; atomic_load(&met) == 0; seed++) {
        copy_with_faults(seed);
        EXPECT(memcmp(to, from, BYTES) == 0);
    }
    /* Nobody writes there any more, however late. */
    memset(to, 0, BYTES);
    pause_ms(50);
    for (size_t at = 0; at < BYTES; at++) EXPECT(to[at] == 0);
    EXPECT(count_threads() == 1 + HELPERS_MAX);
}

static void *fork_while_stalled(void *unused) {
    int status;
    (void)unused;
    while (atomic_load(&met) == 0) pause_ms(1);
    pid_t child = fork();
    if (child == 0) {
        /* Its own memory: the fault in the other was met by a thread that it does not have. */
        from = malloc(BYTES);
        to = malloc(BYTES);
        for (unsigned seed = 0; seed < 20; seed++) copy_once(seed);
        _exit(count_threads() == 1 ? 7 : 1);
    }
    atomic_store(&go_on, true);
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    return NULL;
}

static void mode_forked(void) {
    pthread_t thread;
    begin();
    pthread_create(&thread, NULL, fork_while_stalled, NULL);
    meet_helpers(HELPERS_STALL);
    for (unsigned seed = 0; atomic_load(&met) == 0; seed++) {
        copy_with_faults(seed);
        EXPECT(memcmp(to, from, BYTES) == 0);
    }
    pthread_join(thread, NULL);
}

/* No thread can be made. */
static void mode_refused(void) {
    const struct rlimit none = {0, 0};
    EXPECT(geteuid() != 0 || setuid(65534) == 0);
    EXPECT(setrlimit(RLIMIT_NPROC, &none) == 0);
    begin();
    EXPECT(count_threads() == 1);
}

static void mode_never(void) {
    begin();
    EXPECT(count_threads() == 1);
}

static atomic_int handled;

static void on_signal(int signal_number) {
    (void)signal_number;
    atomic_fetch_add(&handled, 1);
}

/* The program has them, and no other thread, once it will. Those of the C library, by which all threads get another user, come all the same. */
static void mode_signals(void) {
    const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGCHLD, SIGPROF, SIGRTMIN, SIGRTMAX};
    const int count = sizeof signals / sizeof *signals;
    sigset_t all, pending;
    begin();
    for (int i = 0; i < count; i++) signal(signals[i], on_signal);
    EXPECT(setuid(getuid()) == 0);
    kill(getpid(), SIGUSR1);
    EXPECT(atomic_load(&handled) == 1);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (int i = 0; i < count; i++) kill(getpid(), signals[i]);
    for (unsigned seed = 0; seed < 10; seed++) copy_once(seed);
    sigpending(&pending);
    for (int i = 0; i < count; i++) EXPECT(sigismember(&pending, signals[i]));
    EXPECT(atomic_load(&handled) == 1);
    pthread_sigmask(SIG_UNBLOCK, &all, NULL);
    EXPECT(atomic_load(&handled) == 1 + count);
}

static atomic_int copies;

static void *copy_for_ever(void *unused) {
    (void)unused;
    for (;;) {
        copy_together(to, from, BYTES);
        atomic_fetch_add(&copies, 1);
    }
    return NULL;
}

static void mode_exit(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, copy_for_ever, NULL);
    while (atomic_load(&copies) < 200) pause_ms(1);
    EXPECT(count_threads() == 2 + HELPERS_MAX);
    exit(7);
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        void (*run)(void);
    } modes[] = {{"copies", mode_copies}, {"gone", mode_gone},     {"stalled", mode_stalled}, {"forked", mode_forked},
                 {"refused", mode_refused}, {"never", mode_never}, {"signals", mode_signals}, {"exit", mode_exit}};
    from = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    to = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t mode = 0; mode < sizeof modes / sizeof *modes; mode++)
        if (count == 2 && strcmp(arguments[1], modes[mode].name) == 0) {
            modes[mode].run();
            printf("ok\n");
            return 0;
        }
    return 2;
}
