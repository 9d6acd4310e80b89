/* See staging.h. Nothing is locked while bytes are copied: that may run a handler of the program's faults. */
#include "staging.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "connection.h"
#include "report.h"

#define PART_HELD UINT64_MAX

/* The same path may be another file on another host, which is not even to be opened. */
static bool says_name(const char *path, struct sluice_bytes name) {
    char link[128];
    ssize_t length = readlink(path, link, sizeof link);
    return length > 0 && (size_t)length == name.byte_count && memcmp(link, name.data, (size_t)length) == 0;
}

/* A file that could shrink would end the program when it is read. */
static bool is_sealed(int file) {
    int seals = fcntl(file, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && lseek(file, 0, SEEK_END) >= SLUICE_STAGING_BYTES;
}

void staging_open(struct staging *staging, const struct sluice_attach_answer *offer) {
    char path[64];
    size_t length = offer->staging_path.byte_count;
    if (length == 0 || length >= sizeof path || offer->staging_bytes < SLUICE_STAGING_BYTES) return;
    memcpy(path, offer->staging_path.data, length);
    path[length] = '\0';
    if (!says_name(path, offer->staging_name)) return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *bytes = MAP_FAILED;
    if (is_sealed(file)) bytes = mmap(NULL, SLUICE_STAGING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (bytes == MAP_FAILED) return;
    /* A child has no session, and no use for it. */
    madvise(bytes, SLUICE_STAGING_BYTES, MADV_DONTFORK);
    pthread_mutex_init(&staging->lock, NULL);
    staging->bytes = bytes;
    trace("large copies go through memory that the server shares");
}

/* The lowest one that is free, so that few are used in turn; or the oldest one that a call uses, in `*oldest`, 0 for none. */
static int take(struct staging *staging, uint64_t executed, uint64_t *oldest) {
    int found = -1;
    *oldest = 0;
    pthread_mutex_lock(&staging->lock);
    for (int part = 0; part < (int)STAGING_PARTS && found < 0; part++) {
        uint64_t user = staging->users[part];
        if (user <= executed) found = part;
        else if (user != PART_HELD && (*oldest == 0 || user < *oldest)) *oldest = user;
    }
    if (found >= 0) staging->users[found] = PART_HELD;
    pthread_mutex_unlock(&staging->lock);
    return found;
}

int staging_take(struct connection *connection) {
    uint64_t oldest;
    return take(&connection->staging, atomic_load_explicit(&connection->executed, memory_order_acquire), &oldest);
}

int staging_take_patiently(struct connection *connection) {
    for (;;) {
        uint64_t oldest;
        int part = take(&connection->staging, atomic_load_explicit(&connection->executed, memory_order_acquire), &oldest);
        if (part >= 0 || oldest == 0 || !executed_wait(connection, oldest)) return part;
    }
}

void staging_release(struct staging *staging, int part) {
    staging_sent(staging, part, 0);
}

void staging_sent(struct staging *staging, int part, uint64_t sequence) {
    pthread_mutex_lock(&staging->lock);
    staging->users[part] = sequence;
    pthread_mutex_unlock(&staging->lock);
}
