/**
 * A slice of the null device. Everything is done at once, so streams and events have nothing to wait for; launches are checked
 * and forgotten. Global variables lie right above the arena, in memory of their own.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { DeviceAttribute, GlobalInfo } from "../../../shared/generated/calls.ts";
import { ALLOCATION_GRANULARITY_BYTES, ARENA_STRIDE_BYTES } from "../../../shared/limits.ts";
import type {
  DeviceAttributes,
  DeviceEvent,
  DeviceImage,
  DeviceModule,
  DeviceSlice,
  DeviceStream,
  LaunchOptions,
  SliceOptions,
} from "../device.ts";
import { readLinkImage } from "../link-image.ts";
import { SparseMemory } from "./memory.ts";
import { scanPtx } from "./ptx-scan.ts";

const GRID_X_MAX = 2 ** 31 - 1;
const GRID_YZ_MAX = 65_535;
const BLOCK_XY_MAX = 1024;
const BLOCK_Z_MAX = 64;
const SHARED_BYTES_MAX = 48 * 1024;

/** Numbers of CUdevice_attribute in cuda.h. */
const attributes: readonly DeviceAttribute[] = [
  { attribute: 1, value: BLOCK_XY_MAX },
  { attribute: 2, value: BLOCK_XY_MAX },
  { attribute: 3, value: BLOCK_XY_MAX },
  { attribute: 4, value: BLOCK_Z_MAX },
  { attribute: 5, value: GRID_X_MAX },
  { attribute: 6, value: GRID_YZ_MAX },
  { attribute: 7, value: GRID_YZ_MAX },
  { attribute: 8, value: SHARED_BYTES_MAX },
  { attribute: 10, value: 32 },
  { attribute: 16, value: 1 },
  { attribute: 75, value: 8 },
  { attribute: 76, value: 0 },
];

interface NullEvent extends DeviceEvent {
  readonly timed: boolean;
  recordedAt: number | undefined;
}

const badLaunch = (message: string): SluiceError => new SluiceError("BAD_LAUNCH", message);
const within = (value: number, max: number): boolean => value >= 1 && value <= max;

export class NullSlice implements DeviceSlice {
  readonly attributes: DeviceAttributes;
  readonly #base: number;
  readonly #memory = new SparseMemory();
  #globalsEnd: number;
  #arenaBytes: number;
  readonly #capacityBytes: number;
  #images = 0;

  constructor({ description, arenaBase, arenaBytes }: SliceOptions) {
    const { capabilityMajor, capabilityMinor } = description;
    this.attributes = { capabilityMajor, capabilityMinor, driverVersion: 13_000, attributes };
    this.#base = arenaBase;
    this.#arenaBytes = arenaBytes;
    // Behind the largest size that the arena can grow to: global variables keep their addresses.
    this.#capacityBytes = Math.max(arenaBytes, Math.min(description.sliceBytesMax, ARENA_STRIDE_BYTES / 2));
    this.#globalsEnd = arenaBase + this.#capacityBytes;
  }

  /** What is cut off is forgotten, as on a card. */
  resize(arenaBytes: number): void {
    if (arenaBytes > this.#capacityBytes) {
      const sizes = `[${arenaBytes}] bytes, and this one to [${this.#capacityBytes}] at most`;
      throw new SluiceError("OUT_OF_MEMORY", `A slice is to grow to ${sizes}.`);
    }
    this.#memory.forget({ from: arenaBytes, to: this.#arenaBytes });
    this.#arenaBytes = arenaBytes;
  }

  releaseMemory(): void {
    this.#memory.giveBack();
  }

  /** Pages that were given back are zero, and come when they are touched. */
  retakeMemory(): void {}

  write(address: number, data: Uint8Array): void {
    this.#memory.write(address - this.#base, data);
  }

  place(address: number, byteCount: number): Uint8Array | undefined {
    return this.#memory.place(address - this.#base, byteCount);
  }

  read(address: number, into: Uint8Array): void {
    this.#memory.read(address - this.#base, into);
  }

  view(address: number, byteCount: number): Uint8Array | undefined {
    return this.#memory.view(address - this.#base, byteCount);
  }

  copy(to: { destination: number; source: number; byteCount: number }): void {
    const { destination, source, byteCount } = to;
    if (source === destination) return;
    this.#memory.copy({ destination: destination - this.#base, source: source - this.#base, byteCount });
  }

  fill({ address, count, width, value }: { address: number; count: number; width: 1 | 2 | 4; value: number }): void {
    const pattern = new Uint8Array(Uint32Array.of(value).buffer).subarray(0, width);
    this.#memory.fill(address - this.#base, count * width, pattern);
  }

  loadModule(image: Uint8Array): DeviceModule {
    const parts = (readLinkImage(image)?.map(({ data }) => data) ?? [image]).map(scanPtx);
    const kernels = parts.flatMap((part) => part.kernels);
    const globals = parts.flatMap((part) => part.globals);
    let end = this.#globalsEnd;
    const placed: GlobalInfo[] = globals.map(({ name, byteCount }) => {
      const address = Math.ceil(end / ALLOCATION_GRANULARITY_BYTES) * ALLOCATION_GRANULARITY_BYTES;
      end = address + byteCount;
      return { name, address, byteCount };
    });
    if (end > this.#base + ARENA_STRIDE_BYTES) {
      throw new SluiceError("OUT_OF_MEMORY", `The module's [${globals.length}] global variables do not fit.`);
    }
    this.#globalsEnd = end;
    return { kernels, globals: placed };
  }

  unloadModule(): void {
    // Nothing is kept of a module; addresses of globals are never used again.
  }

  launch({ module, kernel, grid, block, sharedBytes, params }: LaunchOptions): void {
    const [gridX, gridY, gridZ] = grid;
    if (!within(gridX, GRID_X_MAX) || !within(gridY, GRID_YZ_MAX) || !within(gridZ, GRID_YZ_MAX)) {
      throw badLaunch(`A grid of [${grid.join(", ")}] blocks is not from 1 to [${GRID_X_MAX}, 65535, 65535].`);
    }
    const [blockX, blockY, blockZ] = block;
    const fits = within(blockX, BLOCK_XY_MAX) && within(blockY, BLOCK_XY_MAX) && within(blockZ, BLOCK_Z_MAX);
    if (!fits || blockX * blockY * blockZ > BLOCK_XY_MAX) {
      throw badLaunch(`A block of [${block.join(", ")}] threads is not from 1 to [1024, 1024, 64], 1024 in all.`);
    }
    const info = module.kernels[kernel]!;
    if (sharedBytes > SHARED_BYTES_MAX) {
      throw badLaunch(
        `The kernel [${info.name}] gets [${sharedBytes}] bytes of shared memory of [${SHARED_BYTES_MAX}].`,
      );
    }
    if (params.byteLength !== info.paramBytes) {
      throw badLaunch(
        `The kernel [${info.name}] takes [${info.paramBytes}] bytes of parameters and gets [${params.byteLength}].`,
      );
    }
  }

  /** Checked by the caller, and forgotten. */
  multiply(): void {}

  /** Whatever is asked for can be forgotten. */
  prepareMultiply(): void {}

  /** Only a number: no kernel runs that could use it. */
  createTexture(): DeviceImage {
    return { object: ++this.#images };
  }

  destroyTexture(): void {
    // Nothing is kept of it.
  }

  createSurface(): DeviceImage {
    return { object: ++this.#images };
  }

  destroySurface(): void {
    // Nothing is kept of it.
  }

  createStream(): DeviceStream {
    return { kind: "stream" };
  }

  destroyStream(): void {
    // A stream is only a name here.
  }

  createEvent(flags: number): DeviceEvent {
    const event: NullEvent = { kind: "event", timed: (flags & 2) === 0, recordedAt: undefined };
    return event;
  }

  destroyEvent(): void {
    // An event is only a time.
  }

  recordEvent(event: DeviceEvent): void {
    (event as NullEvent).recordedAt = performance.now();
  }

  waitEvent(): void {
    // Every event is done.
  }

  queryEvent(): boolean {
    return true;
  }

  synchronizeEvent(): void {
    // Every event is done.
  }

  elapsed(start: DeviceEvent, end: DeviceEvent): number {
    const [from, to] = [start as NullEvent, end as NullEvent];
    if (!from.timed || !to.timed || from.recordedAt === undefined || to.recordedAt === undefined) {
      throw new SluiceError("BAD_ARGUMENT", "An event is not recorded, or takes no time stamps.");
    }
    return to.recordedAt - from.recordedAt;
  }

  queryStream(): boolean {
    return true;
  }

  synchronizeStream(): void {
    // All work is done.
  }

  synchronize(): void {
    // All work is done.
  }

  async close(): Promise<void> {
    this.#memory.clear();
  }
}
