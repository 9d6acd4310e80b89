/**
 * How much memory a slice has: its size as it changes, what of it the threads of kernels have for a while, and all of it given back while the lease is
 * suspended. What its user has allocated it has at all times: memory that was lent comes back before somebody uses it.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { ARENA_STRIDE_BYTES } from "../../../shared/limits.ts";
import { formatSizeRounded } from "../../../shared/units.ts";
import type { SliceOptions } from "../device.ts";
import { CudaArena, type HostCopies } from "./arena.ts";
import type { CudaContext } from "./context.ts";
import { type Lender, LocalMemory } from "./local-memory.ts";

/** What the slice does for it. */
export interface SliceWork extends HostCopies {
  /** Waits until nothing is under way. */
  synchronize(): void | Promise<void>;
  /** Fills the arena with zeros from an offset on; done when it resolves. */
  zero(offset: number): Promise<void>;
}

export class SliceSize implements Lender {
  readonly context: CudaContext;
  readonly arena: CudaArena;
  readonly local: LocalMemory;
  readonly #work: SliceWork;
  readonly #usedBytes: () => number;
  readonly #granularityBytes: number;
  /** The slice's size; the arena has less while some of it is lent. */
  #byteCount: number;
  /** What of it is reserved for the stacks of kernels' threads. */
  #stacksBytes = 0;
  /** And what for modules, until the slice ends. */
  #modulesBytes = 0;
  /** Whether all of it is given back. */
  #isAway = false;

  /** Takes the slice's memory, which holds what it held before. @throws SluiceError as CudaArena */
  constructor(
    context: CudaContext,
    { description, arenaBytes, arenaBase, usedBytes }: SliceOptions,
    { work, attribute }: { readonly work: SliceWork; readonly attribute: (number: number) => number },
  ) {
    this.context = context;
    this.#work = work;
    this.#byteCount = arenaBytes;
    this.#granularityBytes = description.granularityBytes;
    this.#usedBytes = usedBytes ?? (() => this.#byteCount);
    this.arena = new CudaArena(context, {
      byteCount: arenaBytes,
      wantedBase: arenaBase,
      capacityBytes: Math.min(description.sliceBytesMax, ARENA_STRIDE_BYTES),
    });
    try {
      this.local = LocalMemory.join(this, attribute);
    } catch (error) {
      this.arena.release();
      throw error;
    }
  }

  lend(byteCount: number): Promise<boolean> {
    return this.arena.lend(byteCount, { usedBytes: this.#usedBytes(), host: this.#work });
  }

  freeBytes(): number {
    return Math.max(0, this.arena.byteCount - this.#usedBytes());
  }

  get stacksBytes(): number {
    return this.#stacksBytes;
  }

  async reserveStacks(byteCount: number): Promise<boolean> {
    const unit = this.#granularityBytes;
    const stacksBytes = Math.ceil(byteCount / unit) * unit;
    const left = this.#byteCount - this.#modulesBytes - stacksBytes;
    if (left < Math.max(unit, this.#usedBytes())) return false;
    await this.#fit(left);
    this.#stacksBytes = stacksBytes;
    return true;
  }

  async takeBack(): Promise<void> {
    if (!this.#isAway) await this.#fit(this.#byteCount - this.reservedBytes);
  }

  /** What of the slice is reserved, for stacks and for modules: nobody can allocate it. */
  get reservedBytes(): number {
    return this.#stacksBytes + this.#modulesBytes;
  }

  /**
   * Loads a module, behind all work, that wants so much beside the slice, for which it has the slice's end; `load` is told whether that is not in use.
   * Where it fails the slice has its end again. Resolves also to what the slice has given.
   */
  async loadModule<T>(byteCount: number, load: (isThere: boolean) => T): Promise<{ module: T; givenBytes: number }> {
    const given = await this.#giveModules(byteCount);
    const givenBytes = given ?? 0;
    try {
      return { module: load(given !== undefined), givenBytes };
    } catch (error) {
      await this.takeFromModules(givenBytes);
      throw error;
    }
  }

  /** Returns what of the slice it takes for them to have so much beside it; undefined, and it takes nothing, where that is in use. */
  async #giveModules(byteCount: number): Promise<number | undefined> {
    await this.restore();
    const { outside } = this.local;
    if (byteCount <= outside.leftBytes) return 0;
    const before = this.arena.byteCount;
    if (!(await this.lend(byteCount - outside.leftBytes))) return undefined;
    const given = before - this.arena.byteCount;
    this.#modulesBytes += given;
    outside.give(given);
    return given;
  }

  /** The slice has again what it has given, in whole granules, for a module of which nobody has been told, unless something else beside it has come to use that. The device is idle. */
  async takeFromModules(unusedBytes: number): Promise<void> {
    const givenBytes = Math.floor(unusedBytes / this.#granularityBytes) * this.#granularityBytes;
    if (givenBytes === 0 || !this.local.outside.take(givenBytes)) return;
    this.#modulesBytes -= givenBytes;
    // What the driver still holds on to comes back before somebody uses it.
    await this.takeBack().catch(() => undefined);
  }

  /** Whether the arena has its memory up to an address. */
  has(end: number): boolean {
    return end <= this.arena.base + this.arena.byteCount;
  }

  /** Has all of the arena's memory there but what is reserved, behind all work. */
  async restore(): Promise<void> {
    await this.#work.synchronize();
    if (this.arena.byteCount < this.#byteCount - this.reservedBytes) await this.local.giveBack(this);
  }

  /** Has the memory up to an address there, since it is in use from now on. @throws SluiceError OUT_OF_MEMORY where it is reserved */
  async provide(end: number): Promise<void> {
    await this.restore();
    if (this.has(end)) return;
    const sizes = `[${formatSizeRounded(this.reservedBytes)}] of the slice's [${formatSizeRounded(this.#byteCount)}]`;
    throw new SluiceError("OUT_OF_MEMORY", `Modules and the stacks of kernels' threads have ${sizes}, at its end.`);
  }

  /** Gives the threads of kernels so much memory each, behind all work. @throws SluiceError OUT_OF_MEMORY */
  async growLocal(kernel: string, threadBytes: number): Promise<void> {
    await this.#work.synchronize();
    await this.local.grow(threadBytes, { kernel, lender: this });
  }

  /** Gives each thread a stack to keep, behind all work; returns what of the slice serves for it. @throws SluiceError OUT_OF_MEMORY, BAD_ARGUMENT */
  async setStack(threadBytes: number): Promise<number> {
    await this.#work.synchronize();
    await this.local.keep(threadBytes, this);
    return this.reservedBytes;
  }

  /** Behind all work; what comes new is zero. */
  async resize(byteCount: number): Promise<void> {
    await this.restore();
    const left = byteCount - this.reservedBytes;
    if (this.reservedBytes > 0 && left < Math.max(this.#granularityBytes, this.#usedBytes())) {
      const sizes = `[${formatSizeRounded(this.reservedBytes)}], and buffers [${formatSizeRounded(this.#usedBytes())}]`;
      throw new SluiceError("BAD_ARGUMENT", `Modules and the stacks of kernels' threads use ${sizes}.`);
    }
    await this.#fit(left);
    this.#byteCount = byteCount;
  }

  /** What stays in use while it is given back: the driver alone decides where a module lies, so that one which goes would not come back to its address. */
  get keptBytes(): number {
    return this.#modulesBytes;
  }

  /** Gives all of it back but what modules have, what kernels' threads have of it too, behind all work. */
  async release(): Promise<void> {
    await this.#work.synchronize();
    await this.local.suspend(this);
    this.arena.giveBack();
    this.#isAway = true;
  }

  /** Takes it again, zeroed. @throws SluiceError OUT_OF_MEMORY; nothing is taken then. */
  async retake(): Promise<void> {
    this.arena.retake();
    const { base, byteCount } = this.arena;
    try {
      // Not counted as the lease's work.
      this.context.check(this.context.api.cuMemsetD32Async(base, 0, byteCount / 4, 0), "fill memory");
      await this.#work.synchronize();
      this.local.resume(this);
      this.#isAway = false;
    } catch (error) {
      this.arena.giveBack();
      throw error;
    }
  }

  /** Ends it, and leaves the memory to the end of the process. */
  abandon(): void {
    this.local.leave(this);
  }

  /** Ends it: the memory goes back to the device. */
  close(): void {
    this.abandon();
    this.arena.release();
  }

  /** What comes new is zero. */
  async #fit(byteCount: number): Promise<void> {
    this.context.enter();
    const before = this.arena.byteCount;
    if (byteCount === before) return;
    await this.arena.resize(byteCount, this.#work);
    if (byteCount > before) await this.#zeroFrom(before);
  }

  /** What is new was another's: it is zero, or it is gone again. */
  async #zeroFrom(before: number): Promise<void> {
    try {
      await this.#work.zero(before);
    } catch (error) {
      // What was queued for the new memory must be over before it goes; the failure is known already.
      try {
        await this.#work.synchronize();
      } catch {
        // A context in error runs nothing any more.
      }
      await this.arena.resize(before, this.#work);
      throw error;
    }
  }
}
