/**
 * The memory of one slice: an address range, and physical memory of exactly the slice's size mapped into it, by the driver's virtual
 * memory management. The wanted address is a hint to the driver; what it gives is what `base` says.
 */
import { SluiceError } from "../../../shared/errors.ts";
import {
  CUresult,
  MEM_ACCESS_READWRITE,
  MEM_ALLOCATION_TYPE_PINNED,
  MEM_GRANULARITY_MINIMUM,
  MEM_LOCATION_TYPE_DEVICE,
} from "./constants.ts";
import type { CudaContext } from "./context.ts";
import type { CudaApi } from "./library.ts";

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

export class CudaArena {
  /** First address. */
  readonly base: number;
  readonly byteCount: number;
  readonly #context: CudaContext;
  readonly #undo: (() => void)[] = [];
  /** Other devices that may use the memory. */
  readonly #peers = new Set<number>();

  /**
   * Reserves, allocates and maps; the memory holds what it held before, so the caller must zero it.
   * @throws SluiceError OUT_OF_MEMORY when the device has not that much left, BAD_ARGUMENT for a size that is not whole granules.
   */
  constructor(context: CudaContext, options: { byteCount: number; wantedBase: number }) {
    const { api, device } = context;
    const { byteCount, wantedBase } = options;
    this.#context = context;
    this.byteCount = byteCount;
    const granularity = allocationGranularity(api, device) ?? 1;
    if (byteCount <= 0 || byteCount % granularity !== 0) {
      throw new SluiceError(
        "BAD_ARGUMENT",
        `A slice of [${byteCount}] bytes is not a whole multiple of the device's granularity [${granularity}].`,
      );
    }
    try {
      const address = new BigUint64Array(1);
      context.check(api.cuMemAddressReserve(address, byteCount, 0, wantedBase, 0), "reserve the arena's addresses");
      const base = Number(address[0]);
      this.base = base;
      this.#undo.push(() => api.cuMemAddressFree(base, byteCount));

      const allocation = new BigUint64Array(1);
      const properties = allocationProperties(device);
      context.check(api.cuMemCreate(allocation, byteCount, properties, 0), "allocate the slice's memory");
      const handle = allocation[0]!;
      this.#undo.push(() => api.cuMemRelease(handle));

      context.check(api.cuMemMap(base, byteCount, 0, handle, 0), "map the slice's memory");
      this.#undo.push(() => api.cuMemUnmap(base, byteCount));

      this.#allow(device);
    } catch (error) {
      this.release();
      throw error;
    }
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
    this.#allow(device);
    this.#peers.add(device);
    return true;
  }

  #allow(device: number): void {
    const access = Int32Array.of(MEM_LOCATION_TYPE_DEVICE, device, MEM_ACCESS_READWRITE);
    const result = this.#context.api.cuMemSetAccess(this.base, this.byteCount, access, 1);
    this.#context.check(result, "open the slice's memory for access");
  }

  /** Unmaps and frees everything, in the order that the driver demands. Idempotent. */
  release(): void {
    this.#context.enterToRelease();
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) undo();
  }
}
