/**
 * What a device's cuDNN is to the executor. Handles are the executor's to look up, and addresses its to check; what stands in attributes and arguments is
 * checked by the device, which hands nothing to the library whose size it does not know.
 */
import { type ErrorCode, SluiceError } from "../../shared/errors.ts";
import type { DnnAttribute } from "../../shared/generated/calls.ts";
import type { DeviceStream } from "./device.ts";

/** A descriptor of the library, whatever it describes. It lives until it is forgotten and no other refers to it. */
export interface DnnDescriptor {
  readonly kind: "descriptor";
}

/** Of cudnnStatus_t what the server itself says or looks at. */
export const DnnStatus = {
  SUCCESS: 0,
  BAD_PARAM: 2000,
  NOT_SUPPORTED: 3000,
  INTERNAL_ERROR_HOST_ALLOCATION_FAILED: 4003,
  INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED: 4004,
} as const;

/** By the thousands of cudnnStatus_t, in which alike ones stand together. */
function codeOf(status: number): ErrorCode {
  const { INTERNAL_ERROR_HOST_ALLOCATION_FAILED, INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED } = DnnStatus;
  if (status === INTERNAL_ERROR_HOST_ALLOCATION_FAILED || status === INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
    return "OUT_OF_MEMORY";
  const kind = Math.floor(status / 1000);
  return kind === 2 ? "BAD_ARGUMENT" : kind === 3 ? "UNSUPPORTED" : "DEVICE_FAILED";
}

/** A status as a failure; `doing` says what was asked for, as the end of "cuDNN fails to …". */
export function dnnFailure({ status, message }: DnnOutcome, doing: string): SluiceError {
  const said = message === "" ? "" : `: ${message}`;
  return new SluiceError(codeOf(status), `cuDNN fails to ${doing} [status ${status}]${said}.`);
}

/** What the library says: cudnnStatus_t, and its words for it, which may be empty. */
export interface DnnOutcome {
  readonly status: number;
  readonly message: string;
}

export interface DnnVersions {
  readonly version: number;
  readonly cudartVersion: number;
  readonly maxDeviceVersion: number;
}

/** What the executor does for it. */
export interface DnnLookup {
  /** The descriptor of a handle, of the same device. @throws SluiceError NO_SUCH_HANDLE, BAD_ARGUMENT */
  descriptor(handle: number): DnnDescriptor;
  /** Sees to it that so many bytes lie within one allocation on the device. @throws SluiceError ADDRESS_OUTSIDE_ARENA, NOT_ALLOCATED */
  check(address: number, byteCount: number): void;
  /** Takes a new handle, which `made` gives its meaning. @throws SluiceError HANDLE_IN_USE, TOO_MANY_HANDLES */
  claim(handle: number): void;
  made(handle: number, descriptor: DnnDescriptor): void;
}

interface MayReserve {
  /** Whether it may take memory of the slice's end for what the library loads. */
  readonly mayReserve: boolean;
}

export interface DnnExecution extends MayReserve {
  readonly plan: DnnDescriptor;
  readonly stream: DeviceStream | undefined;
  readonly workspace: number;
  /** As in the call `dnnExecute`. */
  readonly uids: Uint8Array;
  readonly addresses: Uint8Array;
  readonly values: Uint8Array;
}

export interface DnnCalling extends MayReserve {
  /** Number in the table of functions. */
  readonly function: number;
  readonly stream: DeviceStream | undefined;
  readonly arguments: Uint8Array;
}

export interface DnnQuestion {
  readonly descriptor: DnnDescriptor;
  readonly name: number;
  readonly type: number;
  readonly count: number;
  /** Handles for elements that are descriptors. */
  readonly into: readonly number[];
  readonly intoType: number;
}

export interface DnnAnswer extends DnnOutcome {
  readonly count: number;
  readonly data: Uint8Array;
}

export interface DnnResult extends DnnOutcome {
  readonly results: Uint8Array;
  /** Whether a descriptor that could not be set remembers the status, for those who use it. */
  readonly isRemembered: boolean;
}

/**
 * cuDNN of one slice. A status is an answer, not a failure: what is thrown is a fault of the caller's, or the device's. What may have the library load code
 * resolves later.
 */
export interface DeviceDnn {
  readonly versions: DnnVersions;
  /** Makes a descriptor of attributes; without one where the status is not 0. @throws SluiceError BAD_ARGUMENT */
  describe(
    type: number,
    attributes: readonly DnnAttribute[],
    lookup: DnnLookup,
  ): Promise<DnnOutcome & { readonly descriptor?: DnnDescriptor }>;
  forget(descriptor: DnnDescriptor): void;
  ask(question: DnnQuestion, lookup: DnnLookup): DnnAnswer;
  /** Queues the work of a plan. @throws SluiceError BAD_ARGUMENT and what `lookup` throws, before anything is queued */
  execute(execution: DnnExecution, lookup: DnnLookup): DnnOutcome | Promise<DnnOutcome>;
  call(calling: DnnCalling, lookup: DnnLookup): DnnResult | Promise<DnnResult>;
}
