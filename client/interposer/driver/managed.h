/*
 * Managed memory: one pointer for host and device. A block lies in the arena, so its address is the device's; the same pages of this process
 * hold the host's copy. Protection of pages tells who has the newest bytes: a host access to what a kernel may have changed faults, and the
 * handler waits for the device and fetches; before the device works, what the host has written is sent and the pages are taken from it.
 */
#ifndef SLUICE_MANAGED_H
#define SLUICE_MANAGED_H

#include "driver.h"

/* Allocates a block in the arena of the context's device. CUDA_ERROR_NOT_SUPPORTED where its addresses are not this process's own. */
CUresult managed_allocate(struct context *context, uint64_t byte_count, CUdeviceptr *address);

/* A part of the device's memory outside the arena: a variable of a module. */
struct part {
    uint64_t address;
    uint64_t byte_count;
};

/* Makes variables of a device managed. Other memory between them stays the device's. They are forgotten by the address in `*block`. */
CUresult managed_adopt(struct device *device, const struct part *parts, size_t count, uint64_t *block);

/* Whether an address lies in a managed block; its first byte and size go to `*start` and `*byte_count` unless NULL. */
bool managed_find(uint64_t address, uint64_t *start, uint64_t *byte_count);

/* The device to which a managed address belongs; NULL when it is none. */
struct device *managed_device(uint64_t address);

/* Ends the block that starts at the address, if one does, for memory.c, which then frees the range. */
void managed_forget(uint64_t address);

/*
 * Called when the program has waited for a device: with SLUICE_MANAGED=whole, brings all managed memory back, so that system calls, which do
 * not fault, find it and may write to it.
 */
CUresult managed_return(struct device *device);

/* Brings a range to the host in one go, or to the device. Both are only hints of what comes. */
CUresult managed_fetch(uint64_t address, uint64_t byte_count);
CUresult managed_release(struct device *device);

#endif
