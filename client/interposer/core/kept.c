/* See kept.h. Memory is used again rather than given back: fresh pages cost more than what is written to them. */
#include "kept.h"

#include <stdlib.h>
#include <string.h>

#include "../generated/calls.h"

#define BLOCK_BYTES (512u << 10)
#define FREE_BLOCKS_MAX 8
#define FREE_DATA_BYTES_MAX (16u << 20)
#define DATA_BYTES_MIN (32u << 10)

struct kept_block {
    struct kept_block *next;
    /* Frames that are kept in it. */
    unsigned frames;
    size_t used;
    _Alignas(16) uint8_t bytes[BLOCK_BYTES];
};

struct kept_data {
    struct kept_data *next;
    size_t capacity;
    _Alignas(16) uint8_t bytes[];
};

/* The block to write to: the one that there is while it has room, or none of its frames is kept. */
static struct kept_block *block_with_room(struct kept *kept) {
    struct kept_block *block = kept->block;
    if (block != NULL && block->frames == 0) block->used = 0;
    if (block != NULL && BLOCK_BYTES - block->used >= sizeof(struct kept_frame) + BATCH_CAPACITY_BYTES) return block;
    /* A full one is found again by its frames. */
    block = kept->free_blocks;
    if (block != NULL) {
        kept->free_blocks = block->next;
        kept->free_block_count--;
    } else {
        block = malloc(sizeof *block);
        if (block == NULL) return NULL;
    }
    block->frames = 0;
    block->used = 0;
    return kept->block = block;
}

uint8_t *kept_begin(struct kept *kept) {
    struct kept_block *block = block_with_room(kept);
    return block == NULL ? NULL : kept_head((struct kept_frame *)(void *)(block->bytes + block->used));
}

struct kept_frame *kept_end(struct kept *kept, size_t head_bytes, uint64_t last) {
    struct kept_block *block = kept->block;
    struct kept_frame *frame = (struct kept_frame *)(void *)(block->bytes + block->used);
    *frame = (struct kept_frame){.block = block, .last = last, .head_bytes = head_bytes};
    block->used += sizeof *frame + head_bytes;
    block->frames++;
    if (kept->newest == NULL) kept->oldest = frame;
    else kept->newest->next = frame;
    kept->newest = frame;
    kept->byte_count += head_bytes;
    return frame;
}

static void leave_block(struct kept *kept, struct kept_block *block) {
    if (--block->frames > 0 || block == kept->block) return;
    if (kept->free_block_count == FREE_BLOCKS_MAX) {
        free(block);
        return;
    }
    block->next = kept->free_blocks;
    kept->free_blocks = block;
    kept->free_block_count++;
}

void kept_forget(struct kept *kept, uint64_t sequence) {
    while (kept->oldest != NULL && kept->oldest->last <= sequence) {
        struct kept_frame *frame = kept->oldest;
        kept->oldest = frame->next;
        if (frame->next == NULL) kept->newest = NULL;
        kept->byte_count -= frame->head_bytes + frame->data_bytes;
        kept->forgotten = frame->last;
        if (frame->own != NULL) kept_give(kept, frame->own);
        leave_block(kept, frame->block);
    }
}

struct kept_frame *kept_lent(const struct kept *kept, const uint8_t *from, size_t byte_count) {
    struct kept_frame *found = NULL;
    for (struct kept_frame *frame = kept->oldest; frame != NULL; frame = frame->next) {
        bool is_within = frame->data >= from && frame->data < from + byte_count;
        if (frame->data != NULL && frame->own == NULL && is_within) found = frame;
    }
    return found;
}

struct kept_data *kept_take(struct kept *kept, size_t byte_count) {
    size_t capacity = DATA_BYTES_MIN;
    while (capacity < byte_count) capacity *= 2;
    for (struct kept_data **at = &kept->free_data; *at != NULL; at = &(*at)->next) {
        struct kept_data *data = *at;
        if (data->capacity != capacity) continue;
        *at = data->next;
        kept->free_data_bytes -= capacity;
        return data;
    }
    struct kept_data *data = malloc(sizeof *data + capacity);
    if (data != NULL) data->capacity = capacity;
    return data;
}

uint8_t *kept_bytes(struct kept_data *data) {
    return data->bytes;
}

void kept_give(struct kept *kept, struct kept_data *data) {
    if (kept->free_data_bytes + data->capacity > FREE_DATA_BYTES_MAX) {
        free(data);
        return;
    }
    /* The one used last is the one in the processor's caches. */
    data->next = kept->free_data;
    kept->free_data = data;
    kept->free_data_bytes += data->capacity;
}

void kept_close(struct kept *kept) {
    kept_forget(kept, UINT64_MAX);
    for (struct kept_block *block = kept->free_blocks, *next; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    for (struct kept_data *data = kept->free_data, *next; data != NULL; data = next) {
        next = data->next;
        free(data);
    }
    free(kept->block);
    memset(kept, 0, sizeof *kept);
}
