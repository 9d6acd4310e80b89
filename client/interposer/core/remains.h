/*
 * What a process that dies without a word leaves to the next one under the same lease: which session it had, so that the next one can end it
 * instead of waiting until the server does. It is kept in a file of the folder SLUICE_SESSIONS, which `sluice run` makes and removes; without
 * that variable nothing is left. The file is locked by the process that has the session (fcntl(2)), which says whether that lives. It also says
 * what the session's devices are, to the processes that descend from that one.
 */
#ifndef SLUICE_REMAINS_H
#define SLUICE_REMAINS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection;
struct lease_key;

/* Leaves word of the connection's session, and of how many frames have come in it from now on. */
void remains_leave(struct connection *connection);

/* Adds what other processes are to know of the session's devices. */
void remains_describe(const struct connection *connection, const void *description, size_t bytes);

/* What an ancestor of this process, which has the lease's session, has said of the devices; false when there is no such, or it said something else. */
bool remains_described(const struct lease_key *lease, void *description, size_t bytes);

/* Ends the session that a process left under the lease by dying; false when there is none, or it cannot be reached. */
bool remains_clear(struct connection *connection, const struct lease_key *lease);

#endif
