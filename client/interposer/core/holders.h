/*
 * Which processes of this host have a session of which lease: for those who wait for one. A process with a session binds an abstract
 * socket (unix(7)) whose name has a mark of the lease and the process, and which is gone with it however it ends. Nothing is ever sent
 * there. The mark follows from the lease's secret, so that nobody else can tell what it is, or make one.
 */
#ifndef SLUICE_HOLDERS_H
#define SLUICE_HOLDERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Shows that this process has the lease's session. Returns the socket, or -1 where that does not work: then nobody knows. */
int holder_show(const uint8_t secret[32]);

struct holder {
    pid_t process; /* 0 when no process of this host is known to have it. */
    char name[32];
    /* Whether it is the parent of this process, or the parent's parent and so on. */
    bool is_ancestor;
};

/* Who has the lease's session. */
struct holder holder_find(const uint8_t secret[32]);

#endif
