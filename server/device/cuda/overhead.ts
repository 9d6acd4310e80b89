/**
 * What a lease takes of a device beside its slice: the context itself, and what programs bring along outside the arena (their code, their
 * variables, the local memory of their threads). Both are charged to the lease; the second is bounded by refusing what would exceed it.
 */
const MiB = 1024 * 1024;

/** What a module's variables, or the local memory of a kernel's threads, may take beyond the context, with the heap of kernels: a share of each lease's charge. */
export const outsideBytesMax = 256 * MiB;

/**
 * A CUDA context before any is measured on this machine: contexts of recent drivers take 300 to 550 MiB. a probe of the device gives
 * the true figure of a card and driver.
 */
export const contextBytesEstimate = 512 * MiB;

/** The charge per lease for a context of a size, in whole granules. */
export const overheadOf = (contextBytes: number, granularityBytes: number): number =>
  Math.ceil((contextBytes + outsideBytesMax) / granularityBytes) * granularityBytes;
