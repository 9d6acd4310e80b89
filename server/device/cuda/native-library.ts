/** What is a library's own of all that SliceLibrary does: where it is found, what its numbers mean, and how large is what its descriptors describe. */
import type { SluiceError } from "../../../shared/errors.ts";
import type { Library, LibraryArgument, LibraryFunction } from "../../../shared/library-functions.ts";
import type { LibraryOutcome, LibraryVersions } from "../libraries.ts";
import type { CudaDescriptor } from "./library-descriptors.ts";

/** An argument as the library takes it: a number, an address, or memory of the server's. */
export type LibraryValue = number | bigint | Uint8Array | BigUint64Array | null;

/** Of descriptors whose sizes the library does not tell: bytes of all, or of what has a name, and how many sequences there are. */
export type LibraryExtents = Readonly<Partial<Record<string, number>>>;

export interface NativeLibrary {
  readonly table: Library;
  readonly versions: LibraryVersions;
  /** The library's handle once it is started; 0 where it has none, and each of its plans has a stream. */
  readonly handle: number;
  /** koffi's type for its descriptors. */
  readonly descriptorType: "uint64_t" | "int32_t";
  /** Whether it may load code for questions, too. */
  readonly loadsForQuestions?: boolean;
  /** The status for a function that the library does not have. */
  readonly notSupported: number;
  /** Makes the handle, in a context that is entered; returns the library's status. */
  start(): number;
  close(): void;
  /** A function of the library; undefined where it has none of that name. */
  bind(name: string, kinds: readonly string[]): ((...values: readonly unknown[]) => number) | undefined;
  /** What a status stands for, with the library's words for the last failure. */
  outcome(status: number): LibraryOutcome;
  /** Whether a status tells of the device and not of the call. */
  isDevices(status: number): boolean;
  /** As DeviceLibrary. */
  failure(outcome: LibraryOutcome, doing: string): SluiceError;
  /** Has the handle, or the plan, use a stream; returns the library's status. */
  setStream(stream: number, plan: CudaDescriptor | undefined): number;
  /** What is to be done with a descriptor that was just made; returns the library's status. */
  made?(descriptor: CudaDescriptor): number;
  /** Whether a status that is no success has results all the same. */
  hasResults?(status: number): boolean;
  /** What is to be noted of a descriptor that a call has changed. */
  changed?(descriptor: CudaDescriptor): void;
  /** What a call says of the descriptor that it sets; undefined where the library tells that. */
  extentsSet(called: LibraryFunction, values: readonly LibraryValue[]): LibraryExtents | undefined;
  /**
   * Bytes behind a pointer, or elements of an array, of whose size another argument says something.
   * @throws SluiceError BAD_ARGUMENT where that is a descriptor which does not say it
   */
  measured(argument: LibraryArgument, value: LibraryValue, descriptor: CudaDescriptor | undefined): number;
}
