/** What a device's cuDNN is to the executor beyond the functions of its table: graphs of operations, made of backend descriptors. */
import { type ErrorCode, SluiceError } from "../../shared/errors.ts";
import type { DnnAttribute } from "../../shared/generated/calls.ts";
import type { DeviceStream } from "./device.ts";
import type { DeviceLibrary, LibraryDescriptor, LibraryLookup, LibraryOutcome, MayReserve } from "./libraries.ts";

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

/** As `failure` of DeviceLibrary. */
export function dnnFailure({ status, message }: LibraryOutcome, doing: string): SluiceError {
  const said = message === "" ? "" : `: ${message}`;
  return new SluiceError(codeOf(status), `cuDNN fails to ${doing} [status ${status}]${said}.`);
}

export interface DnnExecution extends MayReserve {
  readonly plan: LibraryDescriptor;
  readonly stream: DeviceStream | undefined;
  readonly workspace: number;
  /** As in the call `dnnExecute`. */
  readonly uids: Uint8Array;
  readonly addresses: Uint8Array;
  readonly values: Uint8Array;
}

export interface DnnQuestion {
  readonly descriptor: LibraryDescriptor;
  readonly name: number;
  readonly type: number;
  readonly count: number;
  /** Handles for elements that are descriptors. */
  readonly into: readonly number[];
  readonly intoType: number;
}

export interface DnnAnswer extends LibraryOutcome {
  readonly count: number;
  readonly data: Uint8Array;
}

/** cuDNN of one slice. */
export interface DeviceDnn extends DeviceLibrary {
  /** Makes a descriptor of attributes; without one where the status is not 0. @throws SluiceError BAD_ARGUMENT */
  describe(
    type: number,
    attributes: readonly DnnAttribute[],
    lookup: LibraryLookup,
  ): Promise<LibraryOutcome & { readonly descriptor?: LibraryDescriptor }>;
  ask(question: DnnQuestion, lookup: LibraryLookup): DnnAnswer;
  /** Queues the work of a plan. @throws SluiceError BAD_ARGUMENT and what `lookup` throws, before anything is queued */
  execute(execution: DnnExecution, lookup: LibraryLookup): LibraryOutcome | Promise<LibraryOutcome>;
}
