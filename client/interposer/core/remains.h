/*
 * What a process that dies without a word leaves to the next one under the same lease: which session it had, so that the next one can end it
 * instead of waiting until the server does. It is kept in a file of the folder SLUICE_SESSIONS, which `sluice run` makes and removes; without
 * that variable nothing is left. The file is locked by the process that has the session (fcntl(2)), which says whether that lives.
 */
#ifndef SLUICE_REMAINS_H
#define SLUICE_REMAINS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct connection;
struct lease_key;

/* Leaves word of the connection's session, and of how many frames have come in it from now on. */
void remains_leave(struct connection *connection);

/* Ends the session that a process left under the lease by dying; false when there is none, or it cannot be reached. */
bool remains_clear(struct connection *connection, const struct lease_key *lease);

#endif
