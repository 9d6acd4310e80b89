/**
 * The sessions of all leases: which executor works for which lease, one session at a time, and the end of both. An executor
 * that dies takes its lease with it and no other.
 */
import type { Socket } from "node:net";
import { type ErrorCode, SluiceError, toSluiceError } from "../../shared/errors.ts";
import { FINGERPRINT } from "../../shared/generated/calls.ts";
import type { CacheAssignment } from "../executor/content-cache.ts";
import type { FromExecutor, Parked } from "../executor/control-messages.ts";
import type { ExecutorPool } from "../executor/executor-pool.ts";
import type { ExecutorProcess, Hello } from "../executor/executor-process.ts";
import type { ProvenConnection } from "./handshake.ts";
import type { SessionEvents } from "./lease-directory.ts";
import { refuse } from "./refusal.ts";

interface LeaseExecutor {
  readonly executor: ExecutorProcess;
  /** Whether it has a session; one that was found and has not said so yet may have. */
  busy: boolean;
  /** Names that session. */
  sessionId: string | undefined;
  /** Clients' sockets on their way to the executor, oldest first. Should that die first, nobody else would close them. */
  readonly handedOver: Socket[];
  /** Set while the lease ends, or its process is to be replaced, so that its executor's death is no failure. */
  ending: boolean;
  /** It takes no other session: it was told so, or it speaks another table of calls than this version. */
  isLast: boolean;
  /** What waits for the answer to `resize`. */
  resizing: ((error: SluiceError | undefined) => void) | undefined;
}

export interface LeaseSessionsOptions {
  readonly executors: ExecutorPool;
  readonly kernelTimeoutMs: number;
  /** How long a session waits for its client when its connection breaks, at most. */
  readonly sessionGraceMs: number;
  /** How long an executor lives on without a daemon. */
  readonly orphanTimeoutMs: number;
  /** Where the memory of suspended leases is saved. Default: in their executors' folders. */
  readonly suspendDirectory?: string | undefined;
  /** Where what a tenant sends is kept; undefined where nothing is. */
  readonly cacheOf: (tenant: string) => CacheAssignment | undefined;
  readonly events: SessionEvents;
  readonly onLog: (level: "debug" | "info" | "warn" | "error", message: string) => void;
}

export class LeaseSessions {
  readonly #options: LeaseSessionsOptions;
  readonly #byLease = new Map<string, LeaseExecutor>();
  /** Leases of which an executor was killed because its device was broken for it. */
  readonly #retired = new Set<string>();

  constructor(options: LeaseSessionsOptions) {
    this.#options = options;
  }

  /**
   * Hands a proven connection to its lease's executor, also while the session that it belongs to has another, which may be dead without
   * anybody knowing. A connection of another session is refused with SESSION_BUSY.
   */
  attach(connection: ProvenConnection & { readonly clientAddress: string }): void {
    const { socket, lease, welcomeProof, session, received, clientAddress } = connection;
    const work = this.#byLease.get(lease.id) ?? this.#start(lease);
    const isResumed = work.busy && work.sessionId === session.id;
    const isBusy = work.busy && !isResumed;
    if (isBusy || work.ending) {
      const why = isBusy ? "has a session already" : "ends";
      refuse(socket, new SluiceError(isBusy ? "SESSION_BUSY" : "LEASE_ENDED", `The lease [${lease.id}] ${why}.`));
      return;
    }
    const message = {
      kind: "session",
      welcomeProof: welcomeProof.toString("base64"),
      received: Buffer.from(received.buffer, received.byteOffset, received.byteLength).toString("base64"),
      clientAddress,
      sessionId: session.id,
      resumeMs: Math.min(session.resumeMs, this.#options.sessionGraceMs),
      begun: session.begun,
      clientReceived: session.clientReceived,
    } as const;
    try {
      work.executor.handOver(message, socket);
    } catch (error) {
      const why = toSluiceError(error).message;
      refuse(
        socket,
        new SluiceError("EXECUTOR_FAILED", `The executor of the lease [${lease.id}] takes no session [${why}].`),
      );
      return;
    }
    work.busy = true;
    work.sessionId = session.id;
    work.handedOver.push(socket);
    this.#options.events.attached(lease.id, clientAddress, isResumed ? "resumed" : "begun");
  }

  /**
   * Takes over executors that an earlier daemon has started, by the leases that they have. Calls `restore` when they can be ended, and
   * before anything is told of them.
   */
  adopt(executors: ReadonlyMap<string, ExecutorProcess>, restore: () => void): void {
    const adopted = [...executors].map(([leaseId, executor]) => ({
      leaseId,
      work: this.#add(leaseId, executor, true),
    }));
    restore();
    for (const { leaseId, work } of adopted) this.#listen(leaseId, work);
  }

  /**
   * Gives a slice of the lease another size in its executor, if it has one; one that starts later begins with the size that the lease has
   * then. One at a time. Rejects with why the size is as it was, or when the executor is gone.
   */
  async resize(leaseId: string, index: number, arenaBytes: number): Promise<void> {
    const work = this.#byLease.get(leaseId);
    if (work === undefined) return;
    if (work.ending) throw new SluiceError("LEASE_ENDED", `The executor of the lease [${leaseId}] ends.`);
    const error = await new Promise<SluiceError | undefined>((resolve) => {
      work.resizing = resolve;
      work.executor.send({ kind: "resize", index, arenaBytes });
    });
    if (error !== undefined) throw error;
  }

  /**
   * Lets the lease's executor, if it has one, save its memory and give it back; one that starts later begins without. Rejects with why it goes on as
   * before, or when the executor is gone.
   */
  async park(leaseId: string): Promise<Parked> {
    const work = this.#byLease.get(leaseId);
    if (work === undefined) return { savedBytes: 0 };
    if (!work.ending) return await work.executor.park({ folder: this.#options.suspendDirectory });
    // One that is replaced has no session any more, and no memory once it is dead.
    await work.executor.exited;
    return { savedBytes: 0 };
  }

  /** Lets the lease's executor, if it has one, take its memory again. Rejects with why it has not. */
  async unpark(leaseId: string): Promise<void> {
    const work = this.#byLease.get(leaseId);
    if (work !== undefined && !work.ending) await work.executor.unpark();
  }

  /**
   * Ends the lease's executor, if it has one; resolves once it is dead and reaped, with whether any executor of the lease had to be killed.
   */
  async end(leaseId: string, code: ErrorCode, message: string): Promise<"left" | "killed"> {
    const work = this.#byLease.get(leaseId);
    let how: "left" | "killed" = "left";
    if (work !== undefined) {
      work.ending = true;
      how = await work.executor.end(code, message);
    }
    this.#byLease.delete(leaseId);
    if (work !== undefined) refuseOwnCopies(work, new SluiceError(code, message));
    return this.#retired.delete(leaseId) ? "killed" : how;
  }

  /** Ends every executor at once: the last resort of a shutdown. */
  kill(): void {
    for (const work of this.#byLease.values()) {
      work.ending = true;
      work.executor.kill();
    }
  }

  /** Leaves every executor, and what becomes of it, to the daemon after this one. */
  leave(): void {
    for (const work of this.#byLease.values()) {
      work.ending = true;
      work.executor.leave();
    }
  }

  #start(lease: ProvenConnection["lease"]): LeaseExecutor {
    const { executors, kernelTimeoutMs, orphanTimeoutMs, cacheOf } = this.#options;
    const executor = executors.take();
    const work = this.#add(lease.id, executor);
    this.#listen(lease.id, work);
    const { slices, usage } = lease;
    const cache = cacheOf(lease.tenant);
    executor.send({ kind: "assign", leaseId: lease.id, slices, usage, kernelTimeoutMs, orphanTimeoutMs, cache });
    // Its session waits until the lease comes back. There is nothing to save, and what fails ends the executor.
    if (lease.isParked) executor.park().catch((error: unknown) => this.#failUnparked(executor, error));
    return work;
  }

  /** An executor that is to begin without memory, and would take it all the same. */
  #failUnparked(executor: ExecutorProcess, error: unknown): void {
    const { code, message } = toSluiceError(error);
    // The lease came back in between.
    if (code === "CANCELLED") return;
    this.#options.onLog("error", message);
    executor.kill();
  }

  #add(leaseId: string, executor: ExecutorProcess, busy = false): LeaseExecutor {
    const work: LeaseExecutor = {
      executor,
      busy,
      sessionId: undefined,
      handedOver: [],
      ending: false,
      isLast: false,
      resizing: undefined,
    };
    this.#byLease.set(leaseId, work);
    void executor.exited.then((how) => {
      resized(work, new SluiceError("EXECUTOR_FAILED", `The executor of the lease [${leaseId}] ended [${how}].`));
    });
    void executor.exited.then((how) => {
      if (work.ending) return; // `end` is waiting for just that.
      this.#byLease.delete(leaseId);
      const { events, onLog } = this.#options;
      const message = `The executor of the lease [${leaseId}] died [${how}].`;
      onLog("error", message);
      refuseOwnCopies(work, new SluiceError("EXECUTOR_FAILED", message));
      events.failed(leaseId, "EXECUTOR_FAILED", message);
    });
    return work;
  }

  #listen(leaseId: string, work: LeaseExecutor): void {
    work.executor.onMessage = (message) => this.#receive(leaseId, work, message);
  }

  /** An executor that was found says where it stands. */
  #greeted(leaseId: string, work: LeaseExecutor, hello: Hello): void {
    const { events } = this.#options;
    const { clientAddress, sessionId, usage } = hello;
    work.isLast = hello.isLast || hello.fingerprint !== FINGERPRINT;
    work.sessionId = sessionId;
    if (usage !== undefined) events.used(leaseId, usage);
    if (clientAddress !== undefined) events.attached(leaseId, clientAddress, "found");
    else if (work.isLast) this.#retire(leaseId, work);
    else work.busy = false;
  }

  /** Kills an executor that takes no other session; the lease lives on, and its next session gets a new one. */
  #retire(leaseId: string, work: LeaseExecutor): void {
    work.ending = true;
    this.#retired.add(leaseId);
    work.executor.dismiss();
    void work.executor.exited.then(() => {
      // Unless the lease has ended meanwhile.
      if (this.#byLease.get(leaseId) === work) this.#byLease.delete(leaseId);
    });
  }

  #receive(leaseId: string, work: LeaseExecutor, message: FromExecutor): void {
    const { events, onLog } = this.#options;
    switch (message.kind) {
      case "ready":
      // The executor's process itself is who waits for these.
      case "ended":
      case "parked":
      case "unparked":
      case "failed":
        return;
      case "hello":
        // One that was started here has no lease yet when it says so.
        if (message.leaseId !== undefined) this.#greeted(leaseId, work, message);
        return;
      case "sessionStarted":
        closeOwnCopy(work);
        return;
      case "sessionEnded":
        work.sessionId = undefined;
        if (message.needsNewProcess || work.isLast) this.#retire(leaseId, work);
        else work.busy = false;
        events.detached(leaseId);
        return;
      case "resized":
        resized(work, message.error && new SluiceError(message.error.code, message.error.message));
        return;
      case "active":
        events.active(leaseId, message.isBusy);
        return;
      case "usage":
        events.used(leaseId, message.usage, message.shape);
        return;
      case "log":
        onLog(message.level, `The executor of the lease [${leaseId}]: ${message.message}`);
        return;
    }
  }
}

/** Tells whoever waits what became of a slice's new size. */
function resized(work: LeaseExecutor, error: SluiceError | undefined): void {
  const tell = work.resizing;
  work.resizing = undefined;
  tell?.(error);
}

/** Closes the daemon's copy of the socket that has arrived; the connection lives on if the executor has it. */
function closeOwnCopy(work: LeaseExecutor): void {
  work.handedOver.shift()?.destroy();
}

/** Tells the clients of sockets that their executor never took why it will not. */
function refuseOwnCopies(work: LeaseExecutor, reason: SluiceError): void {
  for (const socket of work.handedOver.splice(0)) refuse(socket, reason);
}
