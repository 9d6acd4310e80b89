/** Libraries of the server's for tests: a session's part of the work over a slice, and arguments as they travel. */
import type { DeviceSlice, DeviceStream } from "../../server/device/device.ts";
import type { DeviceLibrary, LibraryDescriptor, LibraryLookup, LibraryResult } from "../../server/device/libraries.ts";
import { libraryNumber } from "../../shared/libraries.ts";
import type { Library } from "../../shared/library-functions.ts";

export const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Arguments of a function as they travel (shared/library-functions.ts). */
export const arg = {
  i8: (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0, 0, 0, 0, 0),
  i32: (value: number): Uint8Array => bytesOf(Int32Array.of(value, 0)),
  u64: (value: number | bigint): Uint8Array => bytesOf(BigUint64Array.of(BigInt(value))),
  i64: (value: number | bigint): Uint8Array => bytesOf(BigInt64Array.of(BigInt(value))),
  f32: (value: number): Uint8Array => bytesOf(Float32Array.of(value, 0)),
  f64: (value: number): Uint8Array => bytesOf(Float64Array.of(value)),
  longs: (...values: readonly (number | bigint)[]): Uint8Array => bytesOf(BigInt64Array.from(values, BigInt)),
  ints: (...values: readonly number[]): Uint8Array =>
    bytesOf(Int32Array.from({ length: Math.ceil(values.length / 2) * 2 }, (_, index) => values[index] ?? 0)),
};

export const numberIn = (library: Library, name: string): number =>
  library.functions.findIndex((each) => each.name === name);

/** What a session does for the device, over one slice: handles, and addresses that are anywhere within the ranges. */
export class LibraryStand<D extends DeviceLibrary = DeviceLibrary> implements LibraryLookup {
  readonly table: Library;
  readonly library: D;
  readonly descriptors = new Map<number, LibraryDescriptor>();
  /** Ranges that may be used, [first, behind the last]; what lies outside is refused. */
  readonly ranges: (readonly [number, number])[];
  /** What was asked to be checked. */
  readonly checked: [address: number, byteCount: number][] = [];
  #handle = 0;

  constructor(table: Library, library: D, ranges: LibraryStand["ranges"]) {
    this.table = table;
    this.library = library;
    this.ranges = ranges;
  }

  static async of(table: Library, slice: DeviceSlice, ...ranges: LibraryStand["ranges"]): Promise<LibraryStand> {
    return new LibraryStand(table, await slice.openLibrary!(libraryNumber(table)), ranges);
  }

  descriptor(handle: number): LibraryDescriptor {
    const found = this.descriptors.get(handle);
    if (found === undefined) throw new Error(`No descriptor [${handle}].`);
    return found;
  }

  check(address: number, byteCount: number): void {
    this.checked.push([address, byteCount]);
    if (!this.ranges.some(([from, to]) => address >= from && address + byteCount <= to)) throw new Error("outside");
  }

  claim(): void {}

  made(handle: number, descriptor: LibraryDescriptor): void {
    this.descriptors.set(handle, descriptor);
  }

  /** A handle that is new. */
  next(): number {
    return ++this.#handle;
  }

  forget(handle: number): void {
    this.library.forget(this.descriptor(handle));
    this.descriptors.delete(handle);
  }

  /** Calls a function of the table. */
  call(
    name: string,
    packed: readonly Uint8Array[],
    { mayReserve = true, stream = undefined as DeviceStream | undefined } = {},
  ): LibraryResult | Promise<LibraryResult> {
    const number = numberIn(this.table, name);
    const call = { function: number, stream, arguments: new Uint8Array(Buffer.concat(packed)), mayReserve };
    return this.library.call(call, this);
  }

  /** Makes a descriptor by the function that does so. */
  async makeBy(maker: string): Promise<number> {
    const handle = this.next();
    const { status, message } = await this.call(maker, [arg.u64(handle)]);
    if (status !== 0) throw new Error(`[${status}] ${message}`);
    return handle;
  }
}
