/*
 * The staging file of the session (proto/README.md, "Copies on one host"): memory that this process and the server's share. Large copies go
 * through it, a part at a time, and only their calls travel. The account of which part is in use is kept here alone.
 */
#ifndef SLUICE_STAGING_H
#define SLUICE_STAGING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../generated/calls.h"

#define STAGING_PARTS (SLUICE_STAGING_BYTES / SLUICE_CALL_DATA_BYTES_MAX)

struct connection;

struct staging {
    /* NULL where there is none. Never unmapped: a thread may be at work in it when the process ends. */
    uint8_t *bytes;
    pthread_mutex_t lock;
    /* Of each part, the sequence number of the copy to the device that uses it (0: none did), or PART_HELD. */
    uint64_t users[STAGING_PARTS];
};

/* Opens what the server offers, if it is for this process: on another host, or of another user, there is none. */
void staging_open(struct staging *staging, const struct sluice_attach_answer *offer);

/* A part that no call uses, for the caller alone; -1 when there is none. Given back with `call_end_staged` or `staging_release`. */
int staging_take(struct connection *connection);

/* As staging_take, and waits for one while copies to the device use them; -1 when there is none, or the connection is in failure. */
int staging_take_patiently(struct connection *connection);

void staging_release(struct staging *staging, int part);

/* The call with this number uses the part until it is executed. */
void staging_sent(struct staging *staging, int part, uint64_t sequence);

static inline uint32_t staging_offset(int part) {
    return (uint32_t)part * SLUICE_CALL_DATA_BYTES_MAX;
}

#endif
