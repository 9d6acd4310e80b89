/*
 * Which processes of this host have a session of which lease: for those who wait for one. A process with a session listens at an abstract
 * socket (unix(7)) named after the lease and itself, which is gone with it however it ends. Nothing is ever sent there.
 */
#ifndef SLUICE_HOLDERS_H
#define SLUICE_HOLDERS_H

#include <stdbool.h>
#include <sys/types.h>

/* Shows that this process has the lease's session. Returns the socket, or -1 where that does not work: then nobody knows. */
int holder_show(const char *lease_id);

struct holder {
    pid_t process; /* 0 when no process of this host is known to have it. */
    char name[32];
    /* Whether it is the parent of this process, or the parent's parent and so on. */
    bool is_ancestor;
};

/* Who has the lease's session. */
struct holder holder_find(const char *lease_id);

#endif
