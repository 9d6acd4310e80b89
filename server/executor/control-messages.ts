/**
 * What the daemon and an executor say to each other: plain JSON objects with a `kind`, as lines over the executor's control socket; bytes
 * travel as base64. `session` comes with the client's socket, over the executor's second socket and under the message's own proof
 * (handle-passing.ts).
 *
 * Life of an executor: the daemon starts it with `prepare` and it waits as a spare; `assign` gives it its lease, once; each
 * `session` hands over a connection that has proved its lease, for one session at a time; `end` ends it. A spare ends with its daemon. One with a
 * lease works on without, and says `hello` to the next daemon that connects; without any it ends after the orphan's time-out.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import type { DeviceDescription } from "../device/device.ts";
import type { CallShape } from "./call-shape.ts";
import type { CacheAssignment } from "./content-cache.ts";

/** What stands for the address of a client that comes through the Unix socket of this host. */
export const LOCAL_CLIENT_ADDRESS = "unix";

/** One slice of the lease. Its index is its place in the list. */
export interface SliceAssignment {
  readonly description: DeviceDescription;
  /** Exact size of the arena in bytes. */
  readonly arenaBytes: number;
  /** ARENA_BASE + index * ARENA_STRIDE_BYTES. */
  readonly arenaBase: number;
  /** Thousandths of the device's time that are promised. Default: none. */
  readonly compute?: number;
  /** The file over which the device's leases take turns. Default: they do not. */
  readonly turnFile?: string;
}

/**
 * Whether the lease's work goes on, and whether its devices have their memory. `parking` and `unparking` end by themselves, in `parked` or
 * `running`. While it is not `running` no call is run; one that comes waits.
 */
export type ParkState = "running" | "parking" | "parked" | "unparking";

/** What a lease has whose work is suspended. */
export interface Parked {
  /** In the file. */
  readonly savedBytes: number;
  /** By the index of each slice the bytes of it that are still in use: what its modules have, at their addresses. Absent: none. */
  readonly keptBytes?: readonly number[];
}

/** What became of a request of the daemon's that may be refused. */
export interface Outcome {
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}

/** What the calls of a lease cost so far, over all its sessions and executors. */
export interface ExecutorUsage {
  readonly calls: number;
  readonly batches: number;
  readonly answers: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly deviceMs: number;
}

export type ToExecutor =
  /** Load the drivers of these kinds, so that the first attach does not wait for them. */
  | { readonly kind: "prepare"; readonly deviceKinds: readonly DeviceDescription["kind"][] }
  | {
      readonly kind: "assign";
      readonly leaseId: string;
      readonly slices: readonly SliceAssignment[];
      readonly kernelTimeoutMs: number;
      /** How long to live on without a daemon. */
      readonly orphanTimeoutMs: number;
      /** What the lease has used with executors before this one. */
      readonly usage: ExecutorUsage;
      /** Absent: nothing is kept. */
      readonly cache?: CacheAssignment | undefined;
    }
  /** Comes with the socket. The executor sends WELCOME with this proof, so that it never learns the lease's secret. */
  | {
      readonly kind: "session";
      readonly welcomeProof: string;
      /** What the client sent behind HELLO and the daemon has read already. */
      readonly received: string;
      /** For the daemon after this one. */
      readonly clientAddress: string;
      /** Names the session: one that there is goes on over this connection. */
      readonly sessionId: string;
      /** How long it is to wait for its client when its connection breaks; 0: it ends with it. */
      readonly resumeMs: number;
      /** The session has begun: where there is none, it is lost. */
      readonly begun: boolean;
      /** Counted frames that the client has received. */
      readonly clientReceived: number;
    }
  /** Give a slice another size, between two calls; answered by `resized`. */
  | { readonly kind: "resize"; readonly index: number; readonly arenaBytes: number }
  /**
   * Stop at the next boundary between two calls, save what the devices' memory holds to a file, and give the memory back; answered by `parked`, with
   * the same `id`. Where that is so already, nothing is done. A lease without a session is parked too: a session that comes waits.
   */
  | {
      readonly kind: "park";
      readonly id: number;
      /** Where the file goes; default: the executor's own folder. */
      readonly folder?: string | undefined;
    }
  /**
   * Take the memory again, at the same addresses, with what it held, and go on; answered by `unparked`, with the same `id`. One that is still parking is told
   * to give that up. Where it runs already, nothing is done.
   */
  | { readonly kind: "unpark"; readonly id: number }
  /** Tell the client why; answered by `ended`. */
  | { readonly kind: "end"; readonly code: ErrorCode; readonly message: string };

export type FromExecutor =
  /** The first message to every daemon: where the executor stands. */
  | {
      readonly kind: "hello";
      readonly leaseId?: string;
      /** Set while there is a session. */
      readonly clientAddress?: string;
      readonly sessionId?: string;
      /** Of the table of calls that it speaks: that of its own version, which the daemon after an upgrade may not share. */
      readonly fingerprint: string;
      /** It was told to end, or must be killed before there is another session. */
      readonly isLast: boolean;
      readonly usage?: ExecutorUsage;
      /** Absent from a version that cannot park. */
      readonly parkState?: ParkState;
      /** In the file, while it is parked; else 0. */
      readonly savedBytes?: number;
    }
  /** The drivers are loaded. */
  | { readonly kind: "ready" }
  /** The socket of `session` has arrived: the daemon closes its own copy, which it keeps in case the executor dies before. */
  | { readonly kind: "sessionStarted" }
  /**
   * The session is over and all that it had is gone; another may come. With `needsNewProcess` a device is broken, and this
   * process must be killed before that.
   */
  | { readonly kind: "sessionEnded"; readonly needsNewProcess: boolean }
  /** What became of `resize`: with an error, the size is as it was. */
  | ({ readonly kind: "resized"; readonly index: number } & Outcome)
  /** What became of `park`: with an error, it runs on as before. */
  | ({ readonly kind: "parked"; readonly id: number } & Parked & Outcome)
  /** What became of `unpark`: with an error it is parked as before, and nothing is lost; unless it says that it fails. */
  | ({ readonly kind: "unparked"; readonly id: number } & Outcome)
  /** What was saved cannot be had again: the client has been told why, and the process ends. */
  | { readonly kind: "failed"; readonly message: string }
  /** Calls came since the last such message, or kernels run: sent every second while that is so, and once when it no longer is. */
  | { readonly kind: "active"; readonly isBusy: boolean }
  /** The lease's use so far, and what is new of its shape: sent every second while it changes, with `sessionEnded`, and before `ended`. */
  | { readonly kind: "usage"; readonly usage: ExecutorUsage; readonly shape: CallShape }
  /** `end` is carried out. The process waits to be killed: should the daemon die before it has stored the use, the next one is told. */
  | { readonly kind: "ended" }
  | { readonly kind: "log"; readonly level: "debug" | "info" | "warn" | "error"; readonly message: string };
