/**
 * What a library of the server's is to the executor: functions by their numbers in its table (shared/library-functions.ts). Handles are the executor's to look
 * up, and addresses its to check; what stands in arguments is checked by the device, which hands nothing to the library whose size it does not know.
 */
import type { SluiceError } from "../../shared/errors.ts";
import type { DeviceStream } from "./device.ts";

/** A descriptor of the library, whatever it describes. It lives until it is forgotten and no other refers to it. */
export interface LibraryDescriptor {
  readonly kind: "descriptor";
}

/** What the library says: its status, 0 for success, and its words for it, which may be empty. */
export interface LibraryOutcome {
  readonly status: number;
  readonly message: string;
}

/** As the library tells them; 0 for one that it does not. */
export interface LibraryVersions {
  readonly version: number;
  readonly cudartVersion: number;
  readonly maxDeviceVersion: number;
}

/** What the executor does for it. */
export interface LibraryLookup {
  /** The descriptor of a handle, of the same library and device. @throws SluiceError NO_SUCH_HANDLE, BAD_ARGUMENT */
  descriptor(handle: number): LibraryDescriptor;
  /** Sees to it that so many bytes lie within one allocation on the device. @throws SluiceError ADDRESS_OUTSIDE_ARENA, NOT_ALLOCATED */
  check(address: number, byteCount: number): void;
  /** Takes a new handle, which `made` gives its meaning. @throws SluiceError HANDLE_IN_USE, TOO_MANY_HANDLES */
  claim(handle: number): void;
  made(handle: number, descriptor: LibraryDescriptor): void;
}

export interface MayReserve {
  /** Whether it may take memory of the slice's end for what the library loads. */
  readonly mayReserve: boolean;
}

export interface LibraryCalling extends MayReserve {
  /** Number in the table of functions. */
  readonly function: number;
  readonly stream: DeviceStream | undefined;
  readonly arguments: Uint8Array;
}

export interface LibraryResult extends LibraryOutcome {
  readonly results: Uint8Array;
  /** Whether a descriptor that could not be set remembers the status, for those who use it. */
  readonly isRemembered: boolean;
}

/**
 * A library on one slice. A status is an answer, not a failure: what is thrown is a fault of the caller's, or the device's. What may have the library load code
 * resolves later.
 */
export interface DeviceLibrary {
  readonly versions: LibraryVersions;
  call(calling: LibraryCalling, lookup: LibraryLookup): LibraryResult | Promise<LibraryResult>;
  forget(descriptor: LibraryDescriptor): void;
  /** A status as a failure; `doing` says what was asked for, as the end of "cuDNN fails to …". */
  failure(outcome: LibraryOutcome, doing: string): SluiceError;
}
