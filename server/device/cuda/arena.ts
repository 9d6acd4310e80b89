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
import { waitUntil } from "./waiting.ts";

/** A CUmemAllocationProp of 32 bytes: ordinary device memory, not exportable to other processes. */
function allocationProperties(device: number): Uint8Array {
  const words = new Int32Array(8);
  words[0] = MEM_ALLOCATION_TYPE_PINNED;
  words[2] = MEM_LOCATION_TYPE_DEVICE;
  words[3] = device;
  return new Uint8Array(words.buffer);
}

/** What sizes of physical memory must be multiples of; undefined when the driver does not tell. Needs no context. */
export function allocationGranularity(api: CudaApi, device: number): number | undefined {
  const bytes = new BigUint64Array(1);
  const result = api.cuMemGetAllocationGranularity(bytes, allocationProperties(device), MEM_GRANULARITY_MINIMUM);
  return result === CUresult.SUCCESS ? Number(bytes[0]) : undefined;
}

/** Memory comes in pieces of at least this size and at most a sixteenth of the slice: what is cut off in the middle of one is copied. */
const PIECE_BYTES_MIN = 64 * 1024 * 1024;
const PIECES = 16;

/** Undefined where the host has not that much. */
function hostMemory(byteCount: number): Uint8Array | undefined {
  try {
    return new Uint8Array(byteCount);
  } catch {
    return undefined;
  }
}

/** Physical memory, mapped at `base + offset`. */
interface Piece {
  readonly offset: number;
  readonly byteCount: number;
  readonly handle: bigint;
}

/** Copies between the arena and the host, done when they resolve. */
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
      const result = api.cuMemAddressReserve(address, this.#capacityBytes, 0, wantedBase, 0);
      context.check(result, "reserve the arena's addresses");
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
   * before. Cutting off in the middle of a piece takes memory for what stays of it a second time, for the moment of the copy: on the device,
   * or on the host where the device is full.
   * @throws SluiceError OUT_OF_MEMORY, BAD_ARGUMENT; the size is then as it was.
   */
  async resize(byteCount: number, host: HostCopies): Promise<void> {
    this.#requireGranules(byteCount);
    if (byteCount < this.byteCount) await this.#shrink(byteCount, host);
    else this.#grow(byteCount);
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

  async #shrink(byteCount: number, host: HostCopies): Promise<void> {
    const cut = this.#pieces.find((piece) => piece.offset < byteCount && piece.offset + piece.byteCount > byteCount);
    if (cut !== undefined) await this.#trim(cut, byteCount - cut.offset, host);
    const kept = this.#pieces.filter(({ offset }) => offset < byteCount);
    for (const piece of this.#pieces.splice(kept.length)) this.#drop(piece);
  }

  /**
   * The driver unmaps whole pieces only: the part that stays moves into a smaller one, which takes the place. Should that fail once the old
   * piece is gone, memory of the lease is lost, and with it the slice.
   */
  async #trim(piece: Piece, byteCount: number, host: HostCopies): Promise<void> {
    const address = this.base + piece.offset;
    let handle: bigint | undefined;
    let content: Uint8Array | undefined;
    try {
      handle = await this.#copied(address, byteCount);
    } catch (error) {
      content = toSluiceError(error).code === "OUT_OF_MEMORY" ? hostMemory(byteCount) : undefined;
      if (content === undefined) throw error;
      await host.read(address, content);
      this.#context.enter();
    }
    const index = this.#pieces.indexOf(piece);
    this.#pieces.splice(index, 1);
    this.#drop(piece);
    try {
      handle ??= this.#create(byteCount);
      this.#map(address, byteCount, handle);
      this.#pieces.splice(index, 0, { ...piece, byteCount, handle });
      if (content !== undefined) await host.write(address, content);
    } catch (error) {
      this.#context.poison(toSluiceError(error));
      throw error;
    }
  }

  /** Physical memory of its own, mapped nowhere, with the content of a range. */
  async #copied(source: number, byteCount: number): Promise<bigint> {
    const { api } = this.#context;
    const place = new BigUint64Array(1);
    const reserved = api.cuMemAddressReserve(place, byteCount, 0, 0, 0);
    this.#context.check(reserved, "reserve addresses for a copy");
    const address = Number(place[0]);
    try {
      const handle = this.#create(byteCount);
      this.#map(address, byteCount, handle);
      try {
        this.#context.check(api.cuMemcpyDtoDAsync_v2(address, source, byteCount, 0), "copy what stays");
        await waitUntil(() => {
          this.#context.enter();
          return this.#context.ready(api.cuStreamQuery(0), "copy what stays");
        });
      } catch (error) {
        this.#unmap(address, byteCount, handle);
        throw error;
      }
      this.#context.enter();
      api.cuMemUnmap(address, byteCount);
      return handle;
    } finally {
      api.cuMemAddressFree(address, byteCount);
    }
  }

  #create(byteCount: number): bigint {
    const allocation = new BigUint64Array(1);
    const { api, device } = this.#context;
    const result = api.cuMemCreate(allocation, byteCount, allocationProperties(device), 0);
    this.#context.check(result, "allocate the slice's memory");
    return allocation[0]!;
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
    const access = Int32Array.of(MEM_LOCATION_TYPE_DEVICE, device, MEM_ACCESS_READWRITE);
    const result = this.#context.api.cuMemSetAccess(address, byteCount, access, 1);
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
