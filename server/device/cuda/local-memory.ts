/**
 * Memory for the threads of kernels, which the driver takes outside any arena: for every thread that the device can run at a time as much as the hungriest
 * kernel so far has had. Some comes with a context. What goes beyond is paid from the lease's allowance, and then with memory from the end of its
 * arena that nobody uses, until somebody does: so a lease never has more of the device than it is charged for.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { formatSizeRounded } from "../../../shared/units.ts";
import { CUresult, DeviceAttributeNumber, LIMIT_MALLOC_HEAP_SIZE, LIMIT_STACK_SIZE } from "./constants.ts";
import type { CudaContext } from "./context.ts";
import { Allowance, outsideBytesMax } from "./overhead.ts";

/** An arena that gives memory for a while. The device is idle when it is asked. */
export interface Lender {
  readonly context: CudaContext;
  /** Gives at least so much back to the device; false, and nothing, where it has not so much that nobody uses. */
  lend(byteCount: number): Promise<boolean>;
  /** Gives just so much to keep, in whole granules, beyond what it takes back; false, and no change, where more than that is in use. */
  reserveStacks(byteCount: number): Promise<boolean>;
  /** How much of it that is. */
  readonly stacksBytes: number;
  /** Takes again what it gave, but for what is reserved. */
  takeBack(): Promise<void>;
  /** How much it could give. */
  freeBytes(): number;
}

/** What each thread has at all times, and what of the allowance pays for it. */
interface Kept {
  readonly threadBytes: number;
  readonly paidBytes: number;
}

/** The driver gives each thread a multiple of this. */
const THREAD_UNIT_BYTES = 16;
const wholeUnits = (threadBytes: number): number => Math.ceil(threadBytes / THREAD_UNIT_BYTES) * THREAD_UNIT_BYTES;
/** And takes whole granules for all: on a full card 2 MiB beyond the bytes of all threads are enough for it, and less are not. */
const ROUNDING_BYTES = 4 * 1024 * 1024;

/** By the driver's device: slices of one lease on one device have one context. */
const known = new Map<number, LocalMemory>();

export class LocalMemory {
  /** What this and all else outside the arenas is paid from. */
  readonly outside: Allowance;
  readonly #lenders = new Set<Lender>();
  /** Threads that run at a time at most. */
  readonly #threads: number;
  /** Of each thread, with the context. */
  readonly #defaultBytes: number;
  /** Of each thread, now. */
  #bytes: number;
  /** From the allowance. */
  #paidBytes = 0;
  /** What each thread keeps when the rest goes back, and what of the allowance pays for it. */
  #kept: Kept;
  /** Whether that waits for the lease to come back, which is suspended. */
  #isSuspended = false;

  private constructor(context: CudaContext, attribute: (number: number) => number) {
    const { MULTIPROCESSOR_COUNT, MAX_THREADS_PER_MULTIPROCESSOR } = DeviceAttributeNumber;
    this.#threads = Math.max(1, attribute(MULTIPROCESSOR_COUNT) * attribute(MAX_THREADS_PER_MULTIPROCESSOR));
    const limit = (number: number, doing: string): number => {
      const value = new BigUint64Array(1);
      context.check(context.api.cuCtxGetLimit(value, number), doing);
      return Number(value[0]);
    };
    this.#defaultBytes = limit(LIMIT_STACK_SIZE, "tell the stack size");
    this.#bytes = this.#defaultBytes;
    this.#kept = { threadBytes: this.#bytes, paidBytes: 0 };
    // The driver takes memory for kernels' own heap when a module needs it, and nobody is asked.
    this.outside = new Allowance(outsideBytesMax - limit(LIMIT_MALLOC_HEAP_SIZE, "tell the size of kernels' heap"));
  }

  /** That of the context, for one more slice; `leave` ends its part. */
  static join(lender: Lender, attribute: (number: number) => number): LocalMemory {
    const { context } = lender;
    const memory = known.get(context.device) ?? new LocalMemory(context, attribute);
    known.set(context.device, memory);
    memory.#lenders.add(lender);
    return memory;
  }

  leave(lender: Lender): void {
    this.#lenders.delete(lender);
    if (this.#lenders.size === 0) known.delete(lender.context.device);
  }

  /** What each thread has. */
  get threadBytes(): number {
    return this.#bytes;
  }

  /**
   * Gives each thread so much; the device is idle. Where the allowance does not pay for it, `lender` does.
   * @throws SluiceError OUT_OF_MEMORY, and then all is as it was
   */
  async grow(
    wantedBytes: number,
    { kernel, lender }: { readonly kernel: string; readonly lender: Lender },
  ): Promise<void> {
    const threadBytes = wholeUnits(wantedBytes);
    if (threadBytes <= this.#bytes) return;
    const wanted = (threadBytes - this.#bytes) * this.#threads + ROUNDING_BYTES;
    const paid = Math.min(this.outside.leftBytes, wanted);
    if (paid < wanted && !(await lender.lend(wanted - paid))) {
      throw this.#lacking(`[${kernel}]`, { threadBytes, has: paid + lender.freeBytes() });
    }
    this.outside.take(paid);
    this.#paidBytes += paid;
    this.#bytes = threadBytes;
    const result = this.#setLimit(lender, threadBytes);
    if (result === CUresult.SUCCESS) return;
    await this.giveBack(lender);
    lender.context.fail(result, `give each thread of [${kernel}] [${threadBytes}] bytes of local memory`, "BAD_LAUNCH");
  }

  /** Leaves each thread what it keeps, and the arenas have their memory again, but for what is reserved. The device is idle. */
  async giveBack(to: Lender): Promise<void> {
    const { threadBytes, paidBytes } = this.#kept;
    const left = this.#isSuspended ? this.#defaultBytes : threadBytes;
    to.context.check(this.#setLimit(to, left), "take local memory back");
    this.outside.give(this.#paidBytes - paidBytes);
    this.#paidBytes = paidBytes;
    this.#bytes = left;
    for (const lender of this.#lenders) await lender.takeBack();
  }

  /** Leaves each thread what came with the context, until `resume`. The device is idle. */
  async suspend(to: Lender): Promise<void> {
    this.#isSuspended = this.#kept.threadBytes > this.#defaultBytes;
    await this.giveBack(to);
  }

  resume(to: Lender): void {
    if (!this.#isSuspended) return;
    to.context.check(this.#setLimit(to, this.#kept.threadBytes), "give threads their stacks again");
    this.#bytes = this.#kept.threadBytes;
    this.#isSuspended = false;
  }

  /**
   * Gives each thread a stack of a size, or of the default one, to keep. The device is idle. What the allowance does not pay for, `lender` does.
   * @throws SluiceError OUT_OF_MEMORY, BAD_ARGUMENT, and then all is as it was
   */
  async keep(threadBytes: number, lender: Lender): Promise<void> {
    const [before, stacksBytesBefore] = [this.#kept, lender.stacksBytes];
    this.#kept = { threadBytes: this.#defaultBytes, paidBytes: 0 };
    await this.giveBack(lender);
    try {
      const bytes = Math.max(wholeUnits(threadBytes), this.#defaultBytes);
      const more = (bytes - this.#defaultBytes) * this.#threads;
      const wanted = more === 0 ? 0 : more + ROUNDING_BYTES;
      const paidBytes = Math.min(this.outside.leftBytes, wanted);
      if (!(await lender.reserveStacks(wanted - paidBytes))) {
        throw this.#lacking("A stack", { threadBytes, has: paidBytes + lender.freeBytes() });
      }
      this.#keep({ threadBytes: bytes, paidBytes }, lender);
    } catch (error) {
      await lender.reserveStacks(stacksBytesBefore);
      this.#keep(before, lender);
      throw error;
    }
  }

  #keep(kept: Kept, to: Lender): void {
    to.context.check(this.#setLimit(to, kept.threadBytes), "give threads their stacks", "BAD_ARGUMENT");
    this.outside.take(kept.paidBytes);
    this.#paidBytes = kept.paidBytes;
    this.#bytes = kept.threadBytes;
    this.#kept = kept;
  }

  #setLimit({ context }: Lender, threadBytes: number): number {
    context.enter();
    return context.api.cuCtxSetLimit(LIMIT_STACK_SIZE, threadBytes);
  }

  #lacking(what: string, { threadBytes, has }: { threadBytes: number; has: number }): SluiceError {
    const all = (threadBytes - this.#bytes) * this.#threads;
    const each = `${what} wants [${threadBytes}] bytes of local memory for each of the [${this.#threads}] threads that the device runs at a time`;
    const sizes = `[${formatSizeRounded(all)}] in all; the lease has [${formatSizeRounded(has)}] for that`;
    return new SluiceError("OUT_OF_MEMORY", `${each}, ${sizes}, beside its slice and free at the slice's end.`);
  }
}
