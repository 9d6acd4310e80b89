/**
 * The sessions of all leases: which executor works for which lease, one session at a time, and the end of both. An executor
 * that dies takes its lease with it and no other.
 */
import type { Socket } from "node:net";
import { type ErrorCode, SluiceError } from "../../shared/errors.ts";
import type { ExecutorUsage, FromExecutor } from "../executor/control-messages.ts";
import type { ExecutorPool } from "../executor/executor-pool.ts";
import type { ExecutorProcess } from "../executor/executor-process.ts";
import type { ProvenConnection } from "./handshake.ts";
import type { SessionEvents } from "./lease-directory.ts";
import { refuse } from "./refusal.ts";

interface LeaseExecutor {
  readonly executor: ExecutorProcess;
  busy: boolean;
  /** A client's socket on its way to the executor. Should that die first, nobody else would close it. */
  handedOver: Socket | undefined;
  /** Set while the lease ends, or its process is to be replaced, so that its executor's death is no failure. */
  ending: boolean;
  /** What the lease used with executors before this one, and with this one too. */
  readonly earlierUsage: ExecutorUsage | undefined;
  usage: ExecutorUsage | undefined;
}

export interface LeaseSessionsOptions {
  readonly executors: ExecutorPool;
  readonly kernelTimeoutMs: number;
  readonly events: SessionEvents;
  readonly onLog: (level: "info" | "warn" | "error", message: string) => void;
}

export class LeaseSessions {
  readonly #options: LeaseSessionsOptions;
  readonly #byLease = new Map<string, LeaseExecutor>();
  /** Use of leases whose executor was replaced and that have no new one yet. */
  readonly #retiredUsage = new Map<string, ExecutorUsage>();

  constructor(options: LeaseSessionsOptions) {
    this.#options = options;
  }

  /** Hands a proven connection to its lease's executor, or refuses it with SESSION_BUSY. */
  attach({ socket, lease, welcomeProof, received }: ProvenConnection): void {
    const work = this.#byLease.get(lease.id) ?? this.#start(lease);
    if (work.busy || work.ending) {
      const why = work.busy ? "has a session already" : "ends";
      refuse(socket, new SluiceError(work.busy ? "SESSION_BUSY" : "LEASE_ENDED", `The lease [${lease.id}] ${why}.`));
      return;
    }
    work.busy = true;
    work.handedOver = socket;
    const { remoteAddress, remotePort } = socket;
    const clientAddress = remoteAddress === undefined ? "unix" : `${remoteAddress}:${remotePort ?? ""}`;
    work.executor.send(
      {
        kind: "session",
        welcomeProof: welcomeProof.toString("base64"),
        received: Buffer.from(received.buffer, received.byteOffset, received.byteLength).toString("base64"),
      },
      socket,
    );
    this.#options.events.attached(lease.id, clientAddress);
  }

  /** Ends the lease's executor, if it has one; resolves once it is dead and reaped. */
  async end(leaseId: string, code: ErrorCode, message: string): Promise<void> {
    const work = this.#byLease.get(leaseId);
    if (work !== undefined) {
      work.ending = true;
      await work.executor.end(code, message);
    }
    this.#byLease.delete(leaseId);
    this.#retiredUsage.delete(leaseId);
    if (work !== undefined) refuseOwnCopy(work, new SluiceError(code, message));
  }

  /** Ends every executor at once: the last resort of a shutdown. */
  kill(): void {
    for (const work of this.#byLease.values()) {
      work.ending = true;
      work.executor.kill();
    }
  }

  #start(lease: ProvenConnection["lease"]): LeaseExecutor {
    const { executors, kernelTimeoutMs } = this.#options;
    const executor = executors.take();
    const earlierUsage = this.#retiredUsage.get(lease.id);
    this.#retiredUsage.delete(lease.id);
    const work: LeaseExecutor = {
      executor,
      busy: false,
      handedOver: undefined,
      ending: false,
      earlierUsage,
      usage: earlierUsage,
    };
    this.#byLease.set(lease.id, work);
    executor.onMessage = (message) => this.#receive(lease.id, work, message);
    executor.send({ kind: "assign", leaseId: lease.id, slices: lease.slices, kernelTimeoutMs });
    void executor.exited.then((how) => {
      if (work.ending) return; // `end` is waiting for just that.
      this.#byLease.delete(lease.id);
      const { events, onLog } = this.#options;
      const message = `The executor of the lease [${lease.id}] died [${how}].`;
      onLog("error", message);
      refuseOwnCopy(work, new SluiceError("EXECUTOR_FAILED", message));
      events.failed(lease.id, "EXECUTOR_FAILED", message);
    });
    return work;
  }

  /** Kills an executor whose device is broken; the lease lives on, and its next session gets a new one. */
  #retire(leaseId: string, work: LeaseExecutor): void {
    work.ending = true;
    work.executor.kill();
    void work.executor.exited.then(() => {
      if (this.#byLease.get(leaseId) !== work) return; // The lease has ended meanwhile.
      this.#byLease.delete(leaseId);
      if (work.usage !== undefined) this.#retiredUsage.set(leaseId, work.usage);
    });
  }

  #receive(leaseId: string, work: LeaseExecutor, message: FromExecutor): void {
    const { events, onLog } = this.#options;
    switch (message.kind) {
      case "ready":
        return;
      case "sessionStarted":
        closeOwnCopy(work);
        return;
      case "sessionEnded":
        closeOwnCopy(work);
        if (message.needsNewProcess) this.#retire(leaseId, work);
        else work.busy = false;
        events.detached(leaseId);
        return;
      case "usage":
        work.usage = added(work.earlierUsage, message.usage);
        events.used(leaseId, work.usage);
        return;
      case "log":
        onLog(message.level, `Executor [${work.executor.pid}] of the lease [${leaseId}]: ${message.message}`);
        return;
    }
  }
}

/** Closes the daemon's copy of a client's socket; the connection lives on if the executor has it. */
function closeOwnCopy(work: LeaseExecutor): void {
  work.handedOver?.destroy();
  work.handedOver = undefined;
}

/** Tells the client of a socket that its executor never took why it will not. */
function refuseOwnCopy(work: LeaseExecutor, reason: SluiceError): void {
  if (work.handedOver !== undefined) refuse(work.handedOver, reason);
  work.handedOver = undefined;
}

function added(earlier: ExecutorUsage | undefined, usage: ExecutorUsage): ExecutorUsage {
  if (earlier === undefined) return usage;
  return {
    calls: earlier.calls + usage.calls,
    batches: earlier.batches + usage.batches,
    answers: earlier.answers + usage.answers,
    bytesReceived: earlier.bytesReceived + usage.bytesReceived,
    bytesSent: earlier.bytesSent + usage.bytesSent,
    deviceMs: earlier.deviceMs + usage.deviceMs,
  };
}
