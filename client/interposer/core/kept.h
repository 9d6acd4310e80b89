/*
 * What has been sent and is not known to have arrived: whole frames of calls, from the oldest on, kept where they were written until the server
 * acknowledges them (proto/README.md, "Broken connections"). Data of large copies stands behind its frame, lent by the program or in
 * memory of its own. Knows no connection; who uses it holds the connection's `send_lock`.
 */
#ifndef SLUICE_KEPT_H
#define SLUICE_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A batch beyond SLUICE_BATCH_BYTES is sent at once, so one call of the largest parameter block always fits behind it. */
#define BATCH_CAPACITY_BYTES (SLUICE_BATCH_BYTES + 2 * SLUICE_PARAM_BYTES_MAX)

struct kept_block;
struct kept_data;

/* A frame; its head, the bytes that were written here, follows it in memory. */
struct kept_frame {
    struct kept_frame *next;
    struct kept_block *block;
    /* Sequence number of its last call. */
    uint64_t last;
    size_t head_bytes;
    /* What comes behind the head, padded to 8 on the wire; NULL for nothing. */
    const uint8_t *data;
    size_t data_bytes;
    /* Where the data is, unless it is the program's. */
    struct kept_data *own;
};

struct kept {
    struct kept_frame *oldest, *newest;
    /* Of the frames, data and all. */
    size_t byte_count;
    /* Sequence number of the last call of the frame that was forgotten last. */
    uint64_t forgotten;
    /* The block that is written to; its bytes up to `used` are of frames. */
    struct kept_block *block;
    struct kept_block *free_blocks;
    unsigned free_block_count;
    struct kept_data *free_data;
    size_t free_data_bytes;
};

static inline uint8_t *kept_head(struct kept_frame *frame) {
    return (uint8_t *)(frame + 1);
}

/* Room for the head of a frame, BATCH_CAPACITY_BYTES, until `kept_end`; NULL without memory. */
uint8_t *kept_begin(struct kept *kept);

/* Keeps the frame that was begun last: so many bytes of its head are written. */
struct kept_frame *kept_end(struct kept *kept, size_t head_bytes, uint64_t last);

/* Forgets the frames whose calls are all among those up to this one. */
void kept_forget(struct kept *kept, uint64_t sequence);

/* The newest frame with data that lies in [from, from + byte_count) and is the program's; NULL when there is none. */
struct kept_frame *kept_lent(const struct kept *kept, const uint8_t *from, size_t byte_count);

/* Memory for data of so many bytes, and where its bytes are; NULL without memory. */
struct kept_data *kept_take(struct kept *kept, size_t byte_count);
uint8_t *kept_bytes(struct kept_data *data);
void kept_give(struct kept *kept, struct kept_data *data);

/* Frees everything. */
void kept_close(struct kept *kept);

#endif
