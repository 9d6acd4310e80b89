/* See remains.h. Nothing here is needed for being right: what fails is waited for. */
#include "remains.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "holders.h"
#include "report.h"
#include "sha256.h"

/* How long the other session may take to end: the work that was left is done first. */
#define ENDING_MILLISECONDS_MAX 10000

/* What is in the file. */
struct remains {
    uint8_t session_id[SESSION_ID_BYTES];
    atomic_uint_least64_t counted;
};

/* The lease's file; -1 when there is no folder for it. */
static int open_file(const struct lease_key *lease, int flags) {
    static const char purpose[] = "remains";
    const char *folder = getenv("SLUICE_SESSIONS");
    char path[512];
    uint8_t digest[SLUICE_SHA256_BYTES];
    if (folder == NULL || *folder == '\0' || strlen(folder) > sizeof path - 32) return -1;
    struct hmac mac;
    hmac_start(&mac, lease->secret, sizeof lease->secret);
    hmac_add(&mac, purpose, sizeof purpose);
    hmac_finish(&mac, digest);
    int length = snprintf(path, sizeof path, "%s/", folder);
    for (int i = 0; i < 8; i++) length += snprintf(path + length, sizeof path - (size_t)length, "%02x", digest[i]);
    return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* The same, locked; -1 also when another process has the lock. */
static int open_locked(const struct lease_key *lease) {
    int file = open_file(lease, O_RDWR | O_CREAT);
    if (file < 0) return -1;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(file, F_SETLK, &lock) == 0) return file;
    close(file);
    return -1;
}

void remains_leave(struct connection *connection) {
    if (connection->resume_ms == 0) return;
    /* Open until the process ends: the lock is gone with the file. */
    int file = open_locked(&connection->lease);
    if (file < 0) return;
    struct remains remains = {.counted = 0};
    void *at = MAP_FAILED;
    if (ftruncate(file, sizeof remains) == 0) at = mmap(NULL, sizeof remains, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (at == MAP_FAILED) {
        close(file);
        return;
    }
    struct remains *shown = at;
    atomic_store(&shown->counted, atomic_load(&connection->counted));
    memcpy(shown->session_id, connection->lease.session_id, SESSION_ID_BYTES);
    connection->counted_shown = &shown->counted;
    connection->remains = file;
}

void remains_describe(const struct connection *connection, const void *description, size_t bytes) {
    /* In one piece: who reads it has all of it, or none. */
    if (connection->remains < 0) return;
    if (pwrite(connection->remains, description, bytes, sizeof(struct remains)) < 0) trace("the devices are not described: %s", strerror(errno));
}

bool remains_described(const struct lease_key *lease, void *description, size_t bytes) {
    if (!holder_find(lease->secret).is_ancestor) return false;
    int file = open_file(lease, O_RDONLY);
    if (file < 0) return false;
    bool is_described = pread(file, description, bytes, sizeof(struct remains)) == (ssize_t)bytes;
    close(file);
    return is_described;
}

/* Says GOODBYE over a connection of the other's session, and reads until it is over. */
static bool say_goodbye(const struct link *link) {
    uint8_t goodbye[16] = {0}, scratch[4096];
    sluice_put_u32(goodbye, sizeof goodbye);
    sluice_put_u32(goodbye + 4, SLUICE_FRAME_GOODBYE);
    if (send(link->file, goodbye, sizeof goodbye, MSG_NOSIGNAL) != sizeof goodbye) return false;
    int64_t deadline = now_milliseconds() + ENDING_MILLISECONDS_MAX;
    for (;;) {
        ssize_t got = recv(link->file, scratch, sizeof scratch, 0);
        if (got == 0) return true;
        if (got < 0 && errno != EINTR && errno != EAGAIN) return true;
        if (now_milliseconds() > deadline) return false;
    }
}

bool remains_clear(struct connection *connection, const struct lease_key *lease) {
    static const uint8_t none[SESSION_ID_BYTES] = {0};
    struct remains remains;
    int file = open_locked(lease);
    if (file < 0) return false;
    bool is_there = pread(file, &remains, sizeof remains, 0) == sizeof remains && memcmp(remains.session_id, none, sizeof none) != 0;
    if (is_there) {
        struct lease_key own = connection->lease;
        struct link link;
        struct complaint complaint;
        connection->lease = *lease;
        memcpy(connection->lease.session_id, remains.session_id, SESSION_ID_BYTES);
        connection->has_begun = true;
        atomic_store(&connection->counted, atomic_load(&remains.counted));
        is_there = link_open(connection, NULL, now_milliseconds() + ENDING_MILLISECONDS_MAX, &link, &complaint) == 0;
        if (is_there) {
            trace("ends the session that a process has left under the lease [%s]", lease->id);
            is_there = say_goodbye(&link);
            close(link.file);
        }
        connection->lease = own;
        connection->has_begun = false;
        atomic_store(&connection->counted, 0);
    }
    /* With the file the lock goes. */
    close(file);
    return is_there;
}
