/**
 * The one error class and the one table of errors. Callers match on the code; the wire number and the gRPC status follow from
 * it. Numbers are append-only. Sentences are in the present tense and carry their values in brackets.
 */

export interface ErrorSpec {
  /** Number on the data plane. */
  readonly wire: number;
  /** Name of the gRPC status on the control plane. */
  readonly grpc: keyof typeof grpcStatus;
  /** Whether the same request may succeed later without a change. */
  readonly retryable: boolean;
  /** What the code means, as one sentence. */
  readonly meaning: string;
  /** What to do about it. */
  readonly remedy: string;
  /**
   * What it tells a program that tries the sessions of its leases: that this lease is no more, which says nothing of the others, or that the
   * next try may succeed. Default: that trying is over.
   */
  readonly whenTrying?: "leaseIsOver" | "mayPass";
}

/** The gRPC status numbers used in the table. */
export const grpcStatus = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

const spec = (
  wire: number,
  grpc: ErrorSpec["grpc"],
  retry: "retry" | "final",
  meaning: string,
  remedy: string,
): ErrorSpec => ({ wire, grpc, retryable: retry === "retry", meaning, remedy });

const leaseIsOver = (entry: ErrorSpec): ErrorSpec => ({ ...entry, whenTrying: "leaseIsOver" });
const mayPass = (entry: ErrorSpec): ErrorSpec => ({ ...entry, whenTrying: "mayPass" });

export const errorTable = {
  // Anyone's mistakes in a request.
  BAD_ARGUMENT: spec(
    1,
    "INVALID_ARGUMENT",
    "final",
    "A value is malformed or out of its range.",
    "Correct the value named in the message.",
  ),
  UNSUPPORTED: spec(
    2,
    "UNIMPLEMENTED",
    "final",
    "This server does not do what is asked.",
    "Use another server or device kind, or leave the option out.",
  ),
  INTERNAL: spec(
    3,
    "INTERNAL",
    "final",
    "Sluice itself is at fault.",
    "Report it with the server's log of that moment.",
  ),
  CANCELLED: spec(4, "CANCELLED", "retry", "The caller withdrew the request.", "Ask again when wanted."),

  READ_ONLY: spec(
    5,
    "PERMISSION_DENIED",
    "final",
    "The token is a monitor's, and the call does more than read.",
    "Use the token of a tenant to borrow, an admin's to change something.",
  ),

  // The pool's answers.
  NO_CAPACITY: spec(
    10,
    "RESOURCE_EXHAUSTED",
    "retry",
    "No device has enough free now, and the wait is over.",
    "Wait, as with `--wait 10m`, ask for less, or look at the reasons per device.",
  ),
  IMPOSSIBLE_REQUEST: spec(
    11,
    "FAILED_PRECONDITION",
    "final",
    "No set of this server's devices could ever serve the request.",
    "Ask for fewer or smaller devices; `sluice list` shows what there is.",
  ),
  QUEUE_FULL: spec(
    12,
    "RESOURCE_EXHAUSTED",
    "retry",
    "The queue has reached its bound.",
    "Try again later, or ask the admin to raise the bound.",
  ),
  QUOTA_EXCEEDED: spec(
    13,
    "RESOURCE_EXHAUSTED",
    "final",
    "The tenant's quota does not allow the request.",
    "Release something, or ask the admin for a larger quota.",
  ),
  SHUTTING_DOWN: spec(
    14,
    "UNAVAILABLE",
    "retry",
    "The server is stopping and grants no new leases.",
    "Use another server, or try again once it is back.",
  ),
  STORE_FAILED: spec(
    15,
    "UNAVAILABLE",
    "retry",
    "The server cannot write its state, so it grants nothing.",
    "Ask the admin to look at the disk under --state.",
  ),

  STORE_UNREADABLE: spec(
    16,
    "FAILED_PRECONDITION",
    "final",
    "The state under --state is damaged, or of another version; it is left as it is.",
    "Restore a backup, install the version that wrote it, or start with another --state.",
  ),

  ADMIN_ONLY: spec(
    17,
    "PERMISSION_DENIED",
    "final",
    "The call is the admin's, and the caller is none.",
    "Use an admin's token; on a server without tokens, run the command on its own machine, with its loopback address.",
  ),

  REQUEST_NOT_FOUND: spec(
    18,
    "NOT_FOUND",
    "final",
    "No such request waits.",
    "It may have been granted or given up; `sluice leases` shows what waits.",
  ),

  RESERVATION_NOT_FOUND: spec(
    19,
    "NOT_FOUND",
    "final",
    "The tenant has no such reservation.",
    "It may have ended; leave it out, or ask the admin to make one.",
  ),

  // Leases.
  LEASE_NOT_FOUND: leaseIsOver(
    spec(
      20,
      "NOT_FOUND",
      "final",
      "There is no such lease.",
      "It may have ended; allocate again, or see `sluice leases`.",
    ),
  ),
  LEASE_EXPIRED: leaseIsOver(
    spec(
      21,
      "ABORTED",
      "final",
      "The lease ended because no heartbeat came in time.",
      "Allocate again; do not block the event loop longer than the heartbeat time-out.",
    ),
  ),
  LEASE_REVOKED: leaseIsOver(
    spec(22, "ABORTED", "final", "An admin, or the server's shutdown, ended the lease.", "Allocate again."),
  ),
  LEASE_ENDED: leaseIsOver(spec(23, "ABORTED", "final", "The lease has ended.", "Allocate again.")),
  LEASE_TIME_OVER: leaseIsOver(
    spec(24, "ABORTED", "final", "The lease reached its maximum duration.", "Ask for a longer duration."),
  ),
  WRONG_SECRET: spec(
    25,
    "PERMISSION_DENIED",
    "final",
    "The proof of the lease's secret is wrong.",
    "Use the secret that came with the lease.",
  ),
  SESSION_BUSY: mayPass(
    spec(
      26,
      "FAILED_PRECONDITION",
      "retry",
      "Another session is attached to the lease.",
      "End the other session first, or let each process have a lease of its own (`sluice run --processes 2`).",
    ),
  ),
  NO_LEASE: spec(
    27,
    "FAILED_PRECONDITION",
    "final",
    "The environment names no lease.",
    "Start the command with `sluice run`, or call connect() and allocate().",
  ),

  LEASE_IDLE: leaseIsOver(
    spec(
      28,
      "ABORTED",
      "final",
      "The lease ended because it made no calls for its idle time.",
      "Allocate again when there is work; ask the admin for a longer idle time.",
    ),
  ),
  LEASE_PREEMPTED: leaseIsOver(
    spec(
      29,
      "ABORTED",
      "final",
      "The lease made room for a request of higher priority.",
      "Allocate again, or ask with a higher priority.",
    ),
  ),

  // Connections.
  PROTOCOL_ERROR: spec(
    30,
    "INVALID_ARGUMENT",
    "final",
    "The peer breaks the wire's format.",
    "Update both ends to one version; see proto/README.md.",
  ),
  FINGERPRINT_MISMATCH: spec(
    31,
    "FAILED_PRECONDITION",
    "final",
    "The two ends have different tables of calls.",
    "Install the same version of Sluice on both ends.",
  ),
  HANDSHAKE_TIMEOUT: mayPass(
    spec(
      32,
      "DEADLINE_EXCEEDED",
      "retry",
      "The handshake did not finish in time.",
      "Look at the network between both ends.",
    ),
  ),
  TOO_MANY_CONNECTIONS: mayPass(
    spec(
      33,
      "RESOURCE_EXHAUSTED",
      "retry",
      "There are more connections of one kind than the server takes at once.",
      "Try again later.",
    ),
  ),
  CONNECTION_LOST: mayPass(
    spec(
      34,
      "UNAVAILABLE",
      "retry",
      "The connection broke.",
      "Allocate again; work since the last answer may or may not have run.",
    ),
  ),
  SERVER_UNREACHABLE: mayPass(
    spec(
      35,
      "UNAVAILABLE",
      "retry",
      "The server does not answer.",
      "Check the address in SLUICE_SERVER, and that `sluice serve` runs there.",
    ),
  ),
  SERVER_IDENTITY: spec(
    36,
    "PERMISSION_DENIED",
    "final",
    "The peer on the data port does not know the lease's secret.",
    "Something stands between you and the server; look at the network.",
  ),
  SESSION_LOST: spec(
    37,
    "ABORTED",
    "final",
    "The session is over on the server, with all that it had, and cannot be resumed.",
    "Allocate again; work since the last answer may or may not have run.",
  ),

  // Executors and devices.
  EXECUTOR_FAILED: leaseIsOver(
    spec(
      40,
      "ABORTED",
      "final",
      "The lease's executor process died.",
      "Allocate again; if it happens again, report it with the server's log.",
    ),
  ),
  DEVICE_FAILED: leaseIsOver(
    spec(41, "ABORTED", "final", "The device reports an error of its own.", "See the driver's error in the message."),
  ),
  NO_SUCH_DEVICE: spec(
    42,
    "NOT_FOUND",
    "final",
    "The lease has no device with that index.",
    "Use an index below the number of devices.",
  ),
  OUT_OF_MEMORY: spec(
    43,
    "RESOURCE_EXHAUSTED",
    "final",
    "The slice has no room left for the allocation.",
    "Free buffers, or ask for a larger slice.",
  ),
  ADDRESS_OUTSIDE_ARENA: spec(
    44,
    "INVALID_ARGUMENT",
    "final",
    "An address lies outside the slice.",
    "Use addresses inside buffers of this lease.",
  ),
  NOT_ALLOCATED: spec(
    45,
    "INVALID_ARGUMENT",
    "final",
    "A range is not within one live allocation.",
    "Check offset and length, and that the buffer is not freed.",
  ),
  RANGE_IN_USE: spec(
    46,
    "ALREADY_EXISTS",
    "final",
    "An allocation overlaps a live one.",
    "Free the older allocation first.",
  ),
  NO_SUCH_HANDLE: spec(
    47,
    "NOT_FOUND",
    "final",
    "A handle was never created, or is destroyed.",
    "Create it first; do not use it after destroying it.",
  ),
  HANDLE_IN_USE: spec(
    48,
    "ALREADY_EXISTS",
    "final",
    "A new handle has the number of one already used.",
    "Number handles upwards and never use one again.",
  ),
  TOO_MANY_HANDLES: spec(
    49,
    "RESOURCE_EXHAUSTED",
    "final",
    "The session holds too many live handles of one kind.",
    "Destroy streams, events and modules that are not used any more.",
  ),
  IMAGE_TOO_LARGE: spec(
    50,
    "RESOURCE_EXHAUSTED",
    "final",
    "A program image is larger than allowed.",
    "Split the module.",
  ),
  BAD_IMAGE: spec(
    51,
    "INVALID_ARGUMENT",
    "final",
    "A program image cannot be read.",
    "Build it as PTX text; see the line in the message.",
  ),
  UNSUPPORTED_INSTRUCTION: spec(
    52,
    "UNIMPLEMENTED",
    "final",
    "The program uses an instruction that this device does not have.",
    "Use another device kind, or avoid the instruction named in the message.",
  ),
  NO_SUCH_KERNEL: spec(
    53,
    "NOT_FOUND",
    "final",
    "The module has no such kernel.",
    "Use a name or index from the loaded module.",
  ),
  BAD_LAUNCH: spec(
    54,
    "INVALID_ARGUMENT",
    "final",
    "The device or the kernel cannot run with this launch.",
    "Correct the grid, block, shared memory or arguments named in the message.",
  ),
  ILLEGAL_ADDRESS: spec(
    55,
    "ABORTED",
    "final",
    "A kernel touched memory outside the slice.",
    "Check the kernel's indices against its buffers' sizes.",
  ),
  KERNEL_TIMEOUT: spec(
    56,
    "ABORTED",
    "final",
    "A kernel ran longer than the server allows.",
    "Split the work, or ask the admin for a longer --kernel-timeout.",
  ),
  KERNEL_TRAP: spec(
    57,
    "ABORTED",
    "final",
    "A kernel stopped itself (trap or failed assertion).",
    "See the kernel's own output.",
  ),
  NOT_READY: spec(58, "FAILED_PRECONDITION", "retry", "An event is not done yet.", "Synchronise with it first."),

  // The admin port.
  NO_SUCH_PAGE: spec(90, "NOT_FOUND", "final", "The admin port has no such page or call.", "Correct the address."),
  FOREIGN_PAGE: spec(
    91,
    "PERMISSION_DENIED",
    "final",
    "A browser sends a request to the admin port for another web page.",
    "Open the dashboard itself, by the address that the server prints.",
  ),

  // Access.
  UNAUTHENTICATED: spec(
    70,
    "UNAUTHENTICATED",
    "final",
    "The caller shows no token that is good.",
    "Put a token into SLUICE_TOKEN, or name the file that an admin made with `sluice token create --bundle` in SLUICE_BUNDLE.",
  ),
  OTHER_TENANT: spec(
    71,
    "PERMISSION_DENIED",
    "final",
    "What is asked for belongs to another tenant.",
    "Use a token of that tenant, or ask an admin.",
  ),
  TOO_MANY_REQUESTS: spec(
    72,
    "RESOURCE_EXHAUSTED",
    "retry",
    "The caller asks more often than the server allows.",
    "Ask less often, or ask the admin to raise --requests-per-second.",
  ),

  // The client itself.
  BACKLOG_FULL: spec(
    60,
    "RESOURCE_EXHAUSTED",
    "retry",
    "The client has queued as much as it may hold unsent.",
    "Await gpu.flush() or any answer now and then.",
  ),
  BAD_KERNEL_ARGUMENTS: spec(
    61,
    "INVALID_ARGUMENT",
    "final",
    "Kernel arguments do not match the kernel's parameters.",
    "Correct the argument named in the message.",
  ),
  CLOSED: spec(62, "FAILED_PRECONDITION", "final", "The object is closed or freed.", "Do not use it after its end."),
} as const satisfies Record<string, ErrorSpec>;

export type ErrorCode = keyof typeof errorTable;

const codeByWire = new Map<number, ErrorCode>(
  Object.entries(errorTable).map(([code, entry]) => [entry.wire, code as ErrorCode]),
);

/** The code for a wire number; INTERNAL for one that this version does not know. */
export const codeOfWire = (wire: number): ErrorCode => codeByWire.get(wire) ?? "INTERNAL";

export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(errorTable, code);

/** What an error may carry beside its code and sentence; each field is there only where it applies. */
export interface ErrorDetails {
  /** Sequence number of the call that failed. */
  readonly sequence?: number;
  /** Name of the call that failed. */
  readonly call?: string;
  readonly leaseId?: string;
  /** The driver's own error number and name. */
  readonly nativeCode?: number;
  readonly nativeName?: string;
  /** Why each device cannot serve a request. */
  readonly reasons?: readonly DeviceReason[];
  /** When the same request may succeed, in milliseconds from now. */
  readonly retryAfterMs?: number;
}

/** Why one device (or, with an empty device, the request as a whole) cannot be served now. */
export interface DeviceReason {
  readonly device: string;
  readonly code: ReasonCode;
  readonly message: string;
}

/** Reason codes, as in the table of proto/README.md. */
export const reasonCodes = [
  "NOT_ENOUGH_MEMORY",
  "NOT_ENOUGH_COMPUTE",
  "DEVICE_CORDONED",
  "DEVICE_UNHEALTHY",
  "FILTERED_OUT",
  "EXCLUSIVE_CONFLICT",
  "TOO_FEW_DEVICES",
  "QUOTA_EXCEEDED",
  "AHEAD_IN_QUEUE",
  "RESERVATION_FULL",
] as const;
export type ReasonCode = (typeof reasonCodes)[number];

/** Every operating error of Sluice. */
export class SluiceError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails & { cause?: unknown } = {}) {
    const { cause, ...rest } = details;
    super(message, cause === undefined ? undefined : { cause });
    this.name = "SluiceError";
    this.code = code;
    this.details = rest;
  }

  /** Whether the same request may succeed later without a change. */
  get retryable(): boolean {
    return errorTable[this.code].retryable;
  }

  /** What to do about it. */
  get remedy(): string {
    return errorTable[this.code].remedy;
  }
}

/** What an error says, for a sentence that quotes it. */
export const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** `error` as a SluiceError: itself, or INTERNAL with its message. */
export function toSluiceError(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  return new SluiceError("INTERNAL", `An unexpected error occurs [${wordsOf(error)}].`, { cause: error });
}
