/**
 * The memory of one slice: an address range, and physical memory of exactly the slice's size mapped into it, by the driver's virtual
 * memory management; it grows and shrinks at its end. The wanted address is a hint to the driver; what it gives is what `base` says.
 */
import { SluiceError, toSluiceError } from "../../../shared/errors.ts";
import {
  CUresult,
  MEM_ACCESS_READWRITE,
  MEM_ALLOCATION_TYPE_PINNED,
  MEM_GRANULARITY_MINIMUM,
  MEM_LOCATION_TYPE_DEVICE,
} from "./constants.ts";
import type { CudaContext } from "./context.ts";
import type { CudaApi } from "./library.ts";
import { nativeError } from "./native-error.ts";

/** A CUmemAllocationProp of 32 bytes: ordinary device memory, not exportable to other processes. */
export function allocationProperties(device: number): Uint8Array {
  const words = new Int32Array(8);
  words[0] = MEM_ALLOCATION_TYPE_PINNED;
  words[2] = MEM_LOCATION_TYPE_DEVICE;
  words[3] = device;
  return new Uint8Array(words.buffer);
}

/** A CUmemAccessDesc of 12 bytes: one device may read and write. */
export const accessDescription = (device: number): Int32Array =>
  Int32Array.of(MEM_LOCATION_TYPE_DEVICE, device, MEM_ACCESS_READWRITE);

/** What sizes of physical memory must be multiples of; undefined when the driver does not tell. Needs no context. */
export function allocationGranularity(api: CudaApi, device: number): number | undefined {
  const bytes = new BigUint64Array(1);
  const result = api.cuMemGetAllocationGranularity(bytes, allocationProperties(device), MEM_GRANULARITY_MINIMUM);
  return result === CUresult.SUCCESS ? Number(bytes[0]) : undefined;
}

/**
 * Memory comes in pieces of at least this size and at most this part of the slice: what stays of one that is cut passes through the host. Pieces side by
 * side are one range to kernels, copies and fills: the programming guide has virtual memory management make contiguous ranges of several allocations,
 * and allocators of frameworks rely on it at every size. Only questions of where an allocation ends (cuMemGetAddressRange) are answered by the piece; nothing here asks one.
 */
const PIECE_BYTES_MIN = 64 * 1024 * 1024;
const PIECES = 64;

/** @throws SluiceError OUT_OF_MEMORY where the host has not that much */
function hostMemory(byteCount: number): Uint8Array {
  try {
    return new Uint8Array(byteCount);
  } catch (cause) {
    const message = `The server has no [${byteCount}] bytes of its own memory to shrink the slice by way of.`;
    throw new SluiceError("OUT_OF_MEMORY", message, { cause });
  }
}

/** Physical memory, mapped at `base + offset`. */
interface Piece {
  readonly offset: number;
  readonly byteCount: number;
  readonly handle: bigint;
}

/** Copies between the arena and the host; when they resolve they are done, and the device has nothing else under way. */
export interface HostCopies {
  read(address: number, into: Uint8Array): Promise<void>;
  write(address: number, data: Uint8Array): Promise<void>;
}

export class CudaArena {
  /** First address. */
  readonly base: number;
  readonly #context: CudaContext;
  /** Addresses are reserved for so much. */
  readonly #capacityBytes: number;
  readonly #granularity: number;
  #pieces: Piece[] = [];
  /** Other devices that may use the memory. */
  readonly #peers = new Set<number>();
  #isReserved = false;
  /** What is to be taken again. */
  #absentBytes = 0;

  /**
   * Reserves, allocates and maps; the memory holds what it held before, so the caller must zero it. `capacityBytes`: what it may grow to.
   * @throws SluiceError OUT_OF_MEMORY when the device has not that much left, BAD_ARGUMENT for a size that is not whole granules.
   */
  constructor(context: CudaContext, options: { byteCount: number; wantedBase: number; capacityBytes: number }) {
    const { api, device } = context;
    const { byteCount, wantedBase } = options;
    this.#context = context;
    this.#granularity = allocationGranularity(api, device) ?? 1;
    this.#requireGranules(byteCount);
    this.#capacityBytes = Math.max(byteCount, options.capacityBytes - (options.capacityBytes % this.#granularity));
    try {
      const address = new BigUint64Array(1);
      const reserve = (hint: number): number => api.cuMemAddressReserve(address, this.#capacityBytes, 0, hint, 0);
      // Some drivers refuse a hint that they do not follow.
      if (reserve(wantedBase) !== CUresult.SUCCESS) context.check(reserve(0), "reserve the arena's addresses");
      this.base = Number(address[0]);
      this.#isReserved = true;
      this.#grow(byteCount);
    } catch (error) {
      this.release();
      throw error;
    }
  }

  get byteCount(): number {
    const last = this.#pieces.at(-1);
    return last === undefined ? 0 : last.offset + last.byteCount;
  }

  /**
   * Maps more at the end, or takes away from there; nothing may use the memory, nor release it, meanwhile. What comes new holds what it held
   * before. At no moment more of the device is taken than before and behind.
   * @throws SluiceError OUT_OF_MEMORY, BAD_ARGUMENT; the size is then as it was.
   */
  async resize(byteCount: number, host: HostCopies): Promise<void> {
    this.#requireGranules(byteCount);
    if (byteCount < this.byteCount) await this.#shrink(byteCount, host);
    else this.#grow(byteCount);
  }

  /**
   * Gives at least so much back to the device, from the end and above what is in use; whole pieces where that will do, since what stays of one that
   * is cut passes through the host. False, and nothing is changed, where there is not so much. As `resize` otherwise.
   */
  async lend(byteCount: number, { usedBytes, host }: { usedBytes: number; host: HostCopies }): Promise<boolean> {
    const unit = this.#granularity;
    const most = Math.floor((this.byteCount - byteCount) / unit) * unit;
    const least = Math.max(unit, Math.ceil(usedBytes / unit) * unit);
    if (most < least) return false;
    const border = this.#pieces.findLast(({ offset }) => offset >= least && offset <= most)?.offset;
    await this.#shrink(border ?? most, host);
    return true;
  }

  /** Gives all of it back to the device, and keeps the addresses. Nothing may use it until `retake`. */
  giveBack(): void {
    this.#context.enter();
    const { api } = this.#context;
    this.#absentBytes = this.byteCount;
    try {
      for (const { offset, byteCount, handle } of this.#pieces.splice(0).reverse()) {
        this.#context.check(api.cuMemUnmap(this.base + offset, byteCount), "unmap the slice's memory");
        this.#context.check(api.cuMemRelease(handle), "give the slice's memory back");
      }
    } catch (error) {
      // A part of it is gone, and the driver is not to be trusted with the rest.
      this.#context.poison(toSluiceError(error));
      throw error;
    }
  }

  /**
   * Maps as much as was given back, which holds what it held before.
   * @throws SluiceError OUT_OF_MEMORY; nothing is taken then.
   */
  retake(): void {
    this.#context.enter();
    this.#grow(this.#absentBytes);
    this.#absentBytes = 0;
  }

  #requireGranules(byteCount: number): void {
    if (byteCount > 0 && byteCount % this.#granularity === 0) return;
    throw new SluiceError(
      "BAD_ARGUMENT",
      `A slice of [${byteCount}] bytes is not a whole multiple of the device's granularity [${this.#granularity}].`,
    );
  }

  /** Adds pieces at the end: all of them, or none. */
  #grow(byteCount: number): void {
    if (byteCount > this.#capacityBytes) {
      const sizes = `[${byteCount}] bytes, and this one to [${this.#capacityBytes}] at most`;
      throw new SluiceError("OUT_OF_MEMORY", `A slice is to grow to ${sizes}.`);
    }
    const wanted = Math.max(PIECE_BYTES_MIN, byteCount / PIECES);
    const pieceBytes = Math.ceil(wanted / this.#granularity) * this.#granularity;
    const before = this.#pieces.length;
    try {
      for (let offset = this.byteCount; offset < byteCount; offset = this.byteCount) {
        const size = Math.min(pieceBytes, byteCount - offset);
        const handle = this.#create(size);
        this.#map(this.base + offset, size, handle);
        this.#pieces.push({ offset, byteCount: size, handle });
      }
    } catch (error) {
      for (const piece of this.#pieces.splice(before)) this.#drop(piece);
      throw error;
    }
  }

  /**
   * The driver unmaps whole pieces only: the part that stays of one that is cut waits in the host's memory until a smaller piece has its place,
   * for the device may have no room for both. Should that fail once the old piece is gone, memory of the lease is lost, and with it the slice.
   */
  async #shrink(byteCount: number, host: HostCopies): Promise<void> {
    const cut = this.#pieces.find((piece) => piece.offset < byteCount && piece.offset + piece.byteCount > byteCount);
    const address = this.base + (cut?.offset ?? 0);
    const content = cut && hostMemory(byteCount - cut.offset);
    if (content !== undefined) await host.read(address, content);
    this.#context.enter();
    const kept = this.#pieces.findIndex(({ offset }) => offset >= (cut?.offset ?? byteCount));
    for (const piece of this.#pieces.splice(kept)) this.#drop(piece);
    if (cut === undefined || content === undefined) return;
    try {
      const handle = this.#create(content.byteLength);
      this.#map(address, content.byteLength, handle);
      this.#pieces.push({ offset: cut.offset, byteCount: content.byteLength, handle });
      await host.write(address, content);
    } catch (error) {
      this.#context.poison(toSluiceError(error));
      throw error;
    }
  }

  #create(byteCount: number): bigint {
    const allocation = new BigUint64Array(1);
    const { api, device } = this.#context;
    const result = api.cuMemCreate(allocation, byteCount, allocationProperties(device), 0);
    if (result === CUresult.OUT_OF_MEMORY) throw this.#full(byteCount);
    this.#context.check(result, "allocate the slice's memory");
    return allocation[0]!;
  }

  /** The pool lends what nobody of its own has; programs that it does not know may have some of that. */
  #full(byteCount: number): SluiceError {
    const { api } = this.#context;
    const details = { doing: "allocate the slice's memory" };
    const { code, message, details: native } = nativeError(api, CUresult.OUT_OF_MEMORY, details);
    const [left, total] = [new BigUint64Array(1), new BigUint64Array(1)];
    if (api.cuMemGetInfo_v2(left, total) !== CUresult.SUCCESS) return new SluiceError(code, message, native);
    const free = `[${left[0]}] bytes of the device are free, and [${byteCount}] are wanted`;
    const whose = "what programs beside this server use, it does not know";
    return new SluiceError(code, `${message.slice(0, -1)}: ${free}; ${whose}.`, native);
  }

  /** Maps memory and opens it for its users; releases it where that fails. */
  #map(address: number, byteCount: number, handle: bigint): void {
    const { api, device } = this.#context;
    const mapped = api.cuMemMap(address, byteCount, 0, handle, 0);
    try {
      this.#context.check(mapped, "map the slice's memory");
      for (const user of [device, ...this.#peers]) this.#allow(user, { address, byteCount });
    } catch (error) {
      if (mapped === CUresult.SUCCESS) this.#unmap(address, byteCount, handle);
      else api.cuMemRelease(handle);
      throw error;
    }
  }

  #unmap(address: number, byteCount: number, handle: bigint): void {
    this.#context.api.cuMemUnmap(address, byteCount);
    this.#context.api.cuMemRelease(handle);
  }

  #drop({ offset, byteCount, handle }: Piece): void {
    this.#unmap(this.base + offset, byteCount, handle);
  }

  /**
   * Lets another device of the same lease use the memory over the link between them, once; false where there is none. The lease's kernels may
   * then do so too, which is no more than the lease owns.
   */
  allowPeer(device: number): boolean {
    if (this.#peers.has(device)) return true;
    const can = new Int32Array(1);
    const { api, device: own } = this.#context;
    this.#context.check(api.cuDeviceCanAccessPeer(can, device, own), "tell whether devices are linked");
    if (can[0] !== 1) return false;
    for (const { offset, byteCount } of this.#pieces) this.#allow(device, { address: this.base + offset, byteCount });
    this.#peers.add(device);
    return true;
  }

  #allow(device: number, { address, byteCount }: { readonly address: number; readonly byteCount: number }): void {
    const result = this.#context.api.cuMemSetAccess(address, byteCount, accessDescription(device), 1);
    this.#context.check(result, "open the slice's memory for access");
  }

  /** Unmaps and frees everything, in the order that the driver demands. Idempotent. */
  release(): void {
    this.#context.enterToRelease();
    for (const piece of this.#pieces.splice(0).reverse()) this.#drop(piece);
    if (this.#isReserved) this.#context.api.cuMemAddressFree(this.base, this.#capacityBytes);
    this.#isReserved = false;
  }
}
