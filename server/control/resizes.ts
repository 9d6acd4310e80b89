/**
 * Slices of running leases that change their size: brings the pool, the store and the executor to the same number, in the order in which
 * no byte can be held twice. Growing: pool, store, executor. Shrinking: executor, store, pool. What fails on the way is undone.
 */
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import type { Effect, Lease, PoolEvent, Slice } from "../pool/types.ts";
import type { Resized } from "./lease-record.ts";

export interface ResizeWish {
  readonly index: number;
  readonly bytes: number;
  /** Whether the attached client has said that it uses nothing beyond the new size. */
  readonly yielded: boolean;
}

export interface ResizesOptions {
  readonly apply: (event: PoolEvent) => void;
  /** On disk when it returns; throws STORE_FAILED. */
  readonly saveSize: (leaseId: string, slice: Slice) => void;
  readonly resizeSlice: (leaseId: string, index: number, bytes: number) => Promise<void>;
  readonly now: () => number;
  readonly tell: (leaseId: string, size: Resized) => void;
  readonly log: { error(fields: object, message: string): void };
}

export class Resizes {
  readonly #options: ResizesOptions;
  /** Sizes that leases have got since their grants, by slice. */
  readonly #known = new Map<string, Map<number, Resized>>();
  /** What the last question was answered with: carried out, or refused. */
  #answer: Promise<Resized> | SluiceError | undefined;

  constructor(options: ResizesOptions) {
    this.#options = options;
  }

  /** Sizes that a new holder of the lease may not know. */
  known(leaseId: string): readonly Resized[] {
    return [...(this.#known.get(leaseId)?.values() ?? [])];
  }

  forget(leaseId: string): void {
    this.#known.delete(leaseId);
  }

  /** Throws SluiceError what the pool refuses with, and what the executor and the store fail with. */
  async ask(lease: Lease, { index, bytes, yielded }: ResizeWish): Promise<Resized> {
    const before = lease.slices[index];
    if (lease.attached && !yielded && before !== undefined && bytes < before.bytes) {
      const message = `The slice [${index}] of the lease [${lease.id}] is in use by a session, which alone can shrink it.`;
      throw new SluiceError("SESSION_BUSY", message);
    }
    this.#answer = undefined;
    // What is in use, the executor knows: it refuses below that.
    this.#options.apply({ kind: "resizeAsked", id: lease.id, index, bytes, usedBytes: 0 });
    const answer = this.#answer as Promise<Resized> | SluiceError | undefined;
    this.#answer = undefined;
    if (answer instanceof SluiceError) throw answer;
    if (answer === undefined)
      throw new SluiceError("LEASE_ENDED", `The lease [${lease.id}] ends.`, { leaseId: lease.id });
    return await answer;
  }

  carryOut(effect: Extract<Effect, { kind: "resize" | "resizeRefused" }>): void {
    if (effect.kind === "resizeRefused") {
      this.#answer = new SluiceError(effect.code, effect.message, { leaseId: effect.id });
      return;
    }
    const { id, slice, previousBytes } = effect;
    const { apply } = this.#options;
    this.#answer = this.#change(id, slice, previousBytes).then(
      () => {
        const size = this.#remember(id, slice);
        apply({ kind: "resizeConfirmed", id });
        this.#options.tell(id, size);
        return size;
      },
      (error: unknown) => {
        apply({ kind: "resizeFailed", id });
        throw error;
      },
    );
    // Whoever asked may not be there any more.
    this.#answer.catch(() => {});
  }

  async #change(id: string, slice: Slice, previousBytes: number): Promise<void> {
    const { saveSize, resizeSlice, log } = this.#options;
    const grows = slice.bytes > previousBytes;
    if (grows) saveSize(id, slice);
    try {
      await resizeSlice(id, slice.index, slice.bytes);
      if (!grows) saveSize(id, slice);
    } catch (error) {
      // A store that says more than there is errs on the safe side.
      if (!grows && toSluiceError(error).code === "STORE_FAILED") {
        log.error({ lease: id, error: toSluiceError(error).message }, "The smaller size of a slice cannot be stored");
        return;
      }
      if (grows) this.#saveAgain(id, { ...slice, bytes: previousBytes });
      throw error;
    }
  }

  #saveAgain(id: string, slice: Slice): void {
    try {
      this.#options.saveSize(id, slice);
    } catch (error) {
      this.#options.log.error({ lease: id, error: toSluiceError(error).message }, "A slice's size cannot be stored");
    }
  }

  #remember(id: string, slice: Slice): Resized {
    const sizes = this.#known.get(id) ?? new Map<number, Resized>();
    const last = Math.max(0, ...[...sizes.values()].map(({ revision }) => revision));
    // The clock alone goes on over a restart.
    const size = { slice, revision: Math.max(last + 1, this.#options.now()) };
    this.#known.set(id, sizes.set(slice.index, size));
    return size;
  }
}
