/**
 * Leases that give their memory back for a while: brings the pool, the store and the executor to the same word, in the order in which no byte can
 * be held twice. Suspending: store that it begins, executor, store that it is done, pool. Coming back: pool, store, executor, pool. The executor
 * does again what it is told again, so that a server that is started anew takes the step that was under way once more.
 */
import { type ErrorCode, SluiceError, toSluiceError } from "../../shared/errors.ts";
import type { Parked } from "../executor/control-messages.ts";
import type { Effect, Lease, PoolEvent, QueuePlace, SuspensionState } from "../pool/types.ts";
import type { LeaseStore, StoredSuspension } from "./lease-store.ts";

export interface SuspensionsOptions {
  readonly apply: (event: PoolEvent) => void;
  readonly find: (leaseId: string) => Lease | undefined;
  /** A lease that lives, for who has its secret; an empty one is for its own tenant and admins. Throws LEASE_NOT_FOUND, why it has ended, WRONG_SECRET. */
  readonly prove: (leaseId: string, secret: Uint8Array) => Lease;
  /** Where a suspended lease waits to come back. */
  readonly place: (leaseId: string) => QueuePlace | undefined;
  readonly store: Pick<LeaseStore, "saveSuspension" | "saveEnd" | "atomically">;
  /** Lets the lease's executor save its memory and give it back. Rejects with why all is as it was. */
  readonly park: (leaseId: string) => Promise<Parked>;
  /** Lets it take its memory again. Rejects with why it is saved as before. */
  readonly unpark: (leaseId: string) => Promise<void>;
  readonly now: () => number;
  readonly log: { info(fields: object, message: string): void; error(fields: object, message: string): void };
}

interface Asker {
  readonly done: () => void;
  readonly failed: (error: SluiceError) => void;
}

export class Suspensions {
  readonly #options: SuspensionsOptions;
  /** Who waits for a lease to be suspended. */
  readonly #askers = new Map<string, Asker[]>();
  /** What the last question was refused with. */
  #refusal: SluiceError | undefined;

  constructor(options: SuspensionsOptions) {
    this.#options = options;
  }

  /**
   * Suspends a lease, one that comes back as soon as it has; resolves with it once its memory is back in the pool. Throws as `prove` does,
   * SESSION_BUSY, UNSUPPORTED, SHUTTING_DOWN, STORE_FAILED, CANCELLED when it is told to go on meanwhile, and what the executor throws; then it runs on.
   */
  async suspend(
    leaseId: string,
    secret: Uint8Array,
    why: { readonly message: string; readonly byAdmin: boolean },
  ): Promise<Lease> {
    this.#options.prove(leaseId, secret);
    await this.#suspend(leaseId, why);
    return this.#options.prove(leaseId, secret);
  }

  /**
   * Lets a suspended lease come back as soon as there is room; returns where it waits, undefined when it need not. Throws as `prove` does, and
   * ADMIN_ONLY for what an admin has suspended.
   */
  resume(leaseId: string, secret: Uint8Array, byAdmin: boolean): QueuePlace | undefined {
    const { suspension } = this.#options.prove(leaseId, secret);
    if (suspension?.byAdmin && !suspension.comesBack && !byAdmin) {
      const message = `An admin has suspended the lease [${leaseId}]: ${suspension.message}`;
      throw new SluiceError("ADMIN_ONLY", message, { leaseId });
    }
    return this.#resume(leaseId);
  }

  async #suspend(leaseId: string, why: { readonly message: string; readonly byAdmin: boolean }): Promise<void> {
    this.#refusal = undefined;
    this.#options.apply({ kind: "suspendAsked", id: leaseId, ...why });
    const refusal = this.#refusal as SluiceError | undefined;
    if (refusal !== undefined) throw refusal;
    const lease = this.#options.find(leaseId);
    if (lease?.state === "suspended" || lease?.state === "resuming") this.#saveAs(lease, lease.state);
    if (lease?.state !== "suspending" && lease?.state !== "resuming") return;
    await new Promise<void>((resolve, reject) => {
      this.#askers.set(leaseId, [...(this.#askers.get(leaseId) ?? []), { done: resolve, failed: reject }]);
    });
  }

  #resume(leaseId: string): QueuePlace | undefined {
    this.#options.apply({ kind: "resumeAsked", id: leaseId });
    const lease = this.#options.find(leaseId);
    if (lease?.state === "suspended" || lease?.state === "resuming") this.#saveAs(lease, lease.state);
    if (lease?.state === "resuming")
      this.#answer(leaseId, new SluiceError("CANCELLED", "The lease is told to go on meanwhile.", { leaseId }));
    return this.#options.place(leaseId);
  }

  carryOut(effect: Extract<Effect, { kind: "suspend" | "suspendRefused" | "resume" }>): void {
    if (effect.kind === "suspendRefused") {
      this.#refusal = new SluiceError(effect.code, effect.message, { leaseId: effect.id });
      return;
    }
    const change = effect.kind === "suspend" ? this.#park(effect.id) : this.#unpark(effect.id);
    change.catch((error: unknown) => {
      this.#options.log.error(
        { lease: effect.id, error: toSluiceError(error).message },
        "A suspension fails in the server",
      );
    });
  }

  /** The lease goes on: nothing is to be taken up after a restart but the end that it has now. */
  forget(lease: Lease): void {
    try {
      this.#options.store.saveSuspension(lease.id, undefined, this.#options.now());
    } catch (error) {
      // The next server lets it come back once more, which it has already.
      this.#options.log.error(
        { lease: lease.id, error: toSluiceError(error).message },
        "The end of a suspension cannot be stored",
      );
    }
    this.#options.store.saveEnd(lease);
  }

  /** The lease ends. */
  ended(leaseId: string, code: ErrorCode, message: string): void {
    this.#answer(leaseId, new SluiceError(code, message, { leaseId }));
  }

  async #park(id: string): Promise<void> {
    const { apply, find, park, unpark, log } = this.#options;
    let parked: Parked | undefined;
    try {
      this.#saveOrThrow(id, "suspending");
      parked = await park(id);
      if (find(id)?.state !== "suspending") return;
      this.#saveOrThrow(id, "suspended", parked);
      apply({ kind: "parked", id, ...parked });
      log.info({ lease: id, ...parked }, "The lease is suspended");
      this.#answer(id);
    } catch (error) {
      const failure = toSluiceError(error);
      // What is saved and cannot be noted so goes on; where it runs, this does nothing.
      const runs = await succeeds(unpark(id));
      const lease = find(id);
      if (lease?.state !== "suspending") return;
      if (!runs) {
        apply({ kind: "parked", id, ...(parked ?? { savedBytes: 0 }) });
        this.#answer(id);
        return;
      }
      log.error({ lease: id, error: failure.message }, "The lease cannot be suspended");
      apply({ kind: "parkFailed", id, message: failure.message });
      this.forget(lease);
      this.#answer(id, new SluiceError(failure.code, failure.message, { leaseId: id }));
    }
  }

  async #unpark(id: string): Promise<void> {
    const { apply, find, park, unpark, log } = this.#options;
    try {
      this.#saveOrThrow(id, "resuming");
      await unpark(id);
      apply({ kind: "unparked", id });
    } catch (error) {
      const failure = toSluiceError(error);
      // It may have come back under the server before this one: then its memory is not free.
      const parked = await park(id).catch(() => undefined);
      if (find(id)?.state !== "resuming") return;
      if (parked === undefined) {
        apply({ kind: "unparked", id });
        return;
      }
      log.error({ lease: id, error: failure.message }, "The lease cannot come back yet");
      const message = `The lease cannot come back yet: ${failure.message}`;
      apply({ kind: "unparkFailed", id, message, ...parked });
      const lease = find(id);
      if (lease !== undefined) this.#saveAs(lease, "suspended");
      this.#answer(id);
    }
  }

  #saveOrThrow(id: string, state: SuspensionState, parked?: Parked): void {
    const lease = this.#options.find(id);
    if (lease === undefined) return;
    const known = toStoredSuspension(lease, state);
    const now = this.#options.now();
    const suspension =
      parked === undefined ? known : known && { ...known, ...parked, keptBytes: parked.keptBytes ?? [], since: now };
    this.#options.store.saveSuspension(id, suspension, now);
  }

  #saveAs(lease: Lease, state: SuspensionState): void {
    try {
      this.#saveOrThrow(lease.id, state);
    } catch (error) {
      this.#options.log.error(
        { lease: lease.id, error: toSluiceError(error).message },
        "A suspension cannot be stored",
      );
    }
  }

  #answer(id: string, error?: SluiceError): void {
    const askers = this.#askers.get(id) ?? [];
    this.#askers.delete(id);
    for (const { done, failed } of askers) {
      if (error === undefined) done();
      else failed(error);
    }
  }
}

const succeeds = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => true,
    () => false,
  );

function toStoredSuspension({ suspension }: Lease, state: SuspensionState): StoredSuspension | undefined {
  if (suspension === undefined) return undefined;
  const { timeLeftMs: _left, ...known } = suspension;
  return { ...known, state };
}
