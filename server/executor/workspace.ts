/**
 * All that a session has: its open slices with their allocations, its modules, streams, events, textures, surfaces, descriptors of libraries, images and recordings. This
 * list is closed: what lives anywhere else could not be moved to another server. The arena is enforced here, before a device sees an address.
 */
import { NO_BYTES } from "../../shared/byte-count.ts";
import { SluiceError } from "../../shared/errors.ts";
import { ARENA_BASE, ARENA_STRIDE_BYTES } from "../../shared/limits.ts";
import { formatSize } from "../../shared/units.ts";
import type { DeviceEvent, DeviceImage, DeviceModule, DeviceSlice, DeviceStream } from "../device/device.ts";
import type { DeviceLibrary, LibraryDescriptor } from "../device/libraries.ts";
import type { ContentCache } from "./content-cache.ts";
import type { SliceAssignment } from "./control-messages.ts";
import type { LeaseTurns } from "./device-turns.ts";
import { HandleTable } from "./handle-table.ts";
import { ImageTable } from "./image-table.ts";
import { RangeMap } from "./range-map.ts";
import { ReadBlocks } from "./read-blocks.ts";
import type { Recording } from "./recording-calls.ts";
import type { SavedMemory } from "./saved-memory.ts";
import { releaseSlices, retakeSlices } from "./slice-memory.ts";
import { StagingFile } from "./staging-file.ts";

export interface OpenSlice {
  readonly index: number;
  /** With its size of now. */
  assignment: SliceAssignment;
  readonly device: DeviceSlice;
  /** First address of the arena: the one asked for unless the device had to use another. */
  readonly arenaBase: number;
  /** Ranges told with `allocate`. */
  readonly allocations: RangeMap;
  /** Global variables of loaded modules, which lie outside the arena. */
  readonly globals: RangeMap;
  /** First address of its kernels' own heap, which lies within an allocation. */
  heap: number | undefined;
  /** Bytes of the arena in use, alignment included. */
  usedBytes: number;
  /** Its libraries that are opened, by their numbers. */
  readonly libraries: (DeviceLibrary | undefined)[];
}

export interface LoadedModule {
  readonly slice: OpenSlice;
  readonly module: DeviceModule;
  readonly imageBytes: number;
}

export interface OwnedStream {
  readonly slice: OpenSlice;
  readonly stream: DeviceStream;
}

export interface OwnedEvent {
  readonly slice: OpenSlice;
  readonly event: DeviceEvent;
}

export interface OwnedTexture {
  readonly slice: OpenSlice;
  readonly texture: DeviceImage;
}

export interface OwnedDescriptor {
  readonly slice: OpenSlice;
  /** Number of its library. */
  readonly library: number;
  readonly descriptor: LibraryDescriptor;
}

export interface OwnedSurface {
  readonly slice: OpenSlice;
  readonly surface: DeviceImage;
}

/** Opens the device behind one slice of the lease; `usedBytes` as SliceOptions has it. */
export type OpenDevice = (assignment: SliceAssignment, usedBytes: () => number) => Promise<DeviceSlice>;

export interface WorkspaceOptions {
  readonly cache?: ContentCache | undefined;
  /** Whether the client is on this host. Default: it is not. */
  readonly isLocal?: boolean;
}

export class Workspace {
  readonly modules = new HandleTable<LoadedModule>("module");
  readonly streams = new HandleTable<OwnedStream>("stream");
  readonly events = new HandleTable<OwnedEvent>("event");
  readonly textures = new HandleTable<OwnedTexture>("texture");
  readonly surfaces = new HandleTable<OwnedSurface>("surface");
  readonly descriptors = new HandleTable<OwnedDescriptor>("descriptor");
  readonly images = new ImageTable();
  readonly recordings = new HandleTable<Recording>("recording");
  /** Calls of all live recordings. */
  recordedCalls = 0;
  /** Bytes that need not travel again, if the lease has a cache: not the session's, and nothing is lost with it. */
  readonly cache: ContentCache | undefined;
  /** Bytes of the images behind the live modules. */
  moduleBytes = 0;
  /** Whether an answer may carry a device's own memory: who sends it copies it before anything is written there. */
  lends = false;
  /** For what is read from devices. */
  readonly blocks = new ReadBlocks();
  /** Bytes that went through the staging file. */
  readonly staged = { toDevice: NO_BYTES, fromDevice: NO_BYTES };
  /** The last copy there that a device took its time for. */
  stagedCopy: Promise<void> | undefined;
  /** Of devices that are shared by turns. */
  readonly turns: LeaseTurns[] = [];
  readonly #isLocal: boolean;
  #staging: StagingFile | undefined;
  /** Set by `close` when a device is broken beyond what this process can mend. */
  needsNewProcess = false;
  readonly #assignments: SliceAssignment[];
  readonly #openDevice: OpenDevice;
  readonly #slices: (OpenSlice | undefined)[];
  #closed = false;
  /** What the slices' memory held, while it is given back. */
  #saved: SavedMemory | undefined;
  /** Settles when what is being saved or brought back is, however. */
  #moving: Promise<void> = Promise.resolve();
  /** Has that given up. */
  #moveEnd = new AbortController();

  constructor(
    assignments: readonly SliceAssignment[],
    openDevice: OpenDevice,
    { cache, isLocal = false }: WorkspaceOptions = {},
  ) {
    this.#assignments = [...assignments];
    this.#openDevice = openDevice;
    this.cache = cache;
    this.#isLocal = isLocal;
    this.#slices = assignments.map(() => undefined);
  }

  /** Opens a slice, or returns it when it is open; throws NO_SUCH_DEVICE and whatever the device throws. */
  async open(index: number): Promise<OpenSlice> {
    const assignment = this.#assignments[index];
    if (assignment === undefined) {
      throw new SluiceError(
        "NO_SUCH_DEVICE",
        `The lease has [${this.#assignments.length}] devices and none with index [${index}].`,
      );
    }
    const known = this.#slices[index];
    if (known !== undefined) return known;
    const allocations = new RangeMap();
    let { arenaBase } = assignment;
    const device = await this.#openDevice(assignment, () => Math.max(0, allocations.end - arenaBase));
    arenaBase = device.arenaBase ?? arenaBase;
    if (this.#closed) {
      await device.close();
      throw new SluiceError("CLOSED", "The session ends.");
    }
    const slice = {
      index,
      assignment,
      device,
      arenaBase,
      allocations,
      globals: new RangeMap(),
      heap: undefined,
      usedBytes: 0,
      libraries: [],
    };
    this.#slices[index] = slice;
    return slice;
  }

  /** The file through which a client on this host copies, if there is one: made when it is first asked for. */
  get staging(): StagingFile | undefined {
    if (this.#isLocal && !this.#closed) this.#staging ??= StagingFile.create();
    return this.#staging;
  }

  /** All slices that are open. */
  get openSlices(): OpenSlice[] {
    return this.#slices.filter((slice) => slice !== undefined);
  }

  /** An attached slice; throws NO_SUCH_DEVICE. */
  slice(index: number): OpenSlice {
    const slice = this.#slices[index];
    if (slice === undefined) {
      const why = index < this.#assignments.length ? "is not attached" : "is not one of the lease's";
      throw new SluiceError("NO_SUCH_DEVICE", `The device [${index}] ${why}.`);
    }
    return slice;
  }

  /** The attached slice whose arena holds `address`; throws ADDRESS_OUTSIDE_ARENA. */
  sliceAt(address: number): OpenSlice {
    const slice = this.sliceAtOrUndefined(address);
    if (slice === undefined) {
      throw new SluiceError(
        "ADDRESS_OUTSIDE_ARENA",
        `The address [0x${address.toString(16)}] lies in no arena of an attached device.`,
      );
    }
    return slice;
  }

  /**
   * The slice in which [address, address + byteCount) lies within one live allocation, or within one global variable.
   * @throws SluiceError ADDRESS_OUTSIDE_ARENA, NOT_ALLOCATED
   */
  within(address: number, byteCount: number): OpenSlice {
    const slice = this.sliceAtOrUndefined(address);
    if (slice === undefined) return this.#sliceOfGlobal(address, byteCount);
    const end = slice.allocations.endOfRangeAt(address);
    if (end !== undefined && byteCount <= end - address) return slice;
    const arenaEnd = slice.arenaBase + slice.assignment.arenaBytes;
    const range = `[${byteCount}] bytes at [0x${address.toString(16)}]`;
    if (byteCount > arenaEnd - address) {
      throw new SluiceError(
        "ADDRESS_OUTSIDE_ARENA",
        `The ${range} pass the arena's end [0x${arenaEnd.toString(16)}] of device [${slice.index}].`,
      );
    }
    throw new SluiceError("NOT_ALLOCATED", `The ${range} are not within one live allocation.`);
  }

  /** The device's stream for a handle used on `slice`; 0 is its default stream. Throws NO_SUCH_HANDLE. */
  stream(handle: number, slice: OpenSlice): DeviceStream | undefined {
    if (handle === 0) return undefined;
    const owned = this.streams.get(handle);
    if (owned.slice !== slice) {
      throw new SluiceError(
        "NO_SUCH_HANDLE",
        `The stream [${handle}] is of device [${owned.slice.index}], not of device [${slice.index}].`,
      );
    }
    return owned.stream;
  }

  /** Whether a device works on something that no call waits for. */
  get isBusy(): boolean {
    return this.openSlices.some(({ device }) => device.isBusy?.() === true);
  }

  /**
   * Gives a slice another size, between two calls. Throws BAD_ARGUMENT below what is in use, UNSUPPORTED for a device that cannot, and
   * what the device throws; the size is then as it was.
   */
  async resize(index: number, arenaBytes: number): Promise<void> {
    const slice = this.#slices[index];
    const assignment = { ...this.#assignments[index]!, arenaBytes };
    if (slice !== undefined) {
      const usedBytes = Math.max(0, slice.allocations.end - slice.arenaBase);
      if (usedBytes > arenaBytes) {
        const sizes = `[${formatSize(usedBytes)}] of the slice are in use, more than the new size [${formatSize(arenaBytes)}]`;
        throw new SluiceError("BAD_ARGUMENT", `${sizes}.`);
      }
      if (slice.device.resize === undefined) {
        throw new SluiceError(
          "UNSUPPORTED",
          `A device of the kind [${assignment.description.kind}] keeps its slices' sizes.`,
        );
      }
      await slice.device.resize(arenaBytes);
      slice.assignment = assignment;
    }
    this.#assignments[index] = assignment;
  }

  /**
   * Saves what the slices hold to a file in `folder` and gives their memory back; returns the bytes of the file. Between two calls, of which none
   * comes before `unpark`. Throws as `releaseSlices`.
   */
  async park(folder: string): Promise<number> {
    // Its part of the devices' time is others' meanwhile.
    for (const turns of this.turns) turns.leave();
    const slices = this.openSlices;
    if (slices.length === 0) return 0;
    await this.#move(async (signal) => {
      this.#saved = await releaseSlices(slices, { folder, signal });
    });
    return this.#saved?.byteCount ?? 0;
  }

  /** Of each slice of the lease the bytes that stay in use while it is parked. */
  get keptBytes(): readonly number[] {
    return this.#assignments.map((_, index) => this.#slices[index]?.device.keptBytes ?? 0);
  }

  /** Has a `park` that is under way end soon, if it is not over. */
  giveUpParking(): void {
    this.#moveEnd.abort();
  }

  /** Takes the slices' memory again, with what it held; for a workspace that is not parked, nothing. Throws as `retakeSlices`. */
  async unpark(): Promise<void> {
    const saved = this.#saved;
    if (saved === undefined) return;
    await this.#move((signal) => retakeSlices(this.openSlices, saved, signal));
    this.#saved = undefined;
    await saved.close();
  }

  #move(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#moveEnd = new AbortController();
    const moving = work(this.#moveEnd.signal);
    this.#moving = moving.catch(() => {});
    return moving;
  }

  /** Time that the devices worked, as far as they measure it; undefined when one of them does not. */
  deviceTimeMs(): number | undefined {
    let sum: number | undefined;
    for (const { device } of this.openSlices) {
      if (device.deviceTimeMs === undefined) return undefined;
      sum = (sum ?? 0) + device.deviceTimeMs();
    }
    return sum;
  }

  /** Whether somebody has to look now and then at work that has taken a turn. */
  get hasTurn(): boolean {
    return this.turns.some(({ isIn }) => isIn);
  }

  /** The session has nothing more to do for now: whoever waits for a device may have it. */
  rest(): void {
    for (const turns of this.turns) turns.rest();
  }

  /** Ends all work of the session and gives its memory back. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#moveEnd.abort();
    await this.#moving;
    await this.#saved?.close();
    const open = this.openSlices;
    this.#slices.fill(undefined);
    // A call that waits for its turn ends with it.
    for (const turns of this.turns) turns.close();
    await Promise.all([...open.map((slice) => slice.device.close()), this.cache?.settled()]);
    // A copy whose session was cut off may still be under way in it.
    const closeStaging = (): void => this.#staging?.close();
    if (this.stagedCopy === undefined) closeStaging();
    else void this.stagedCopy.then(closeStaging, closeStaging);
    if (open.some(({ device }) => device.needsNewProcess)) this.needsNewProcess = true;
  }

  /** As `sliceAt`, without the error. */
  sliceAtOrUndefined(address: number): OpenSlice | undefined {
    const slice = this.#slices[Math.floor((address - ARENA_BASE) / ARENA_STRIDE_BYTES)];
    if (slice !== undefined && isInArena(slice, address)) return slice;
    // Rare: an address outside, or an arena that is not where it was wanted.
    return this.#slices.find((other) => other !== undefined && isInArena(other, address));
  }

  #sliceOfGlobal(address: number, byteCount: number): OpenSlice {
    for (const slice of this.openSlices) {
      const end = slice.globals.endOfRangeAt(address);
      if (end !== undefined && byteCount <= end - address) return slice;
    }
    throw new SluiceError(
      "ADDRESS_OUTSIDE_ARENA",
      `The [${byteCount}] bytes at [0x${address.toString(16)}] lie in no arena of an attached device.`,
    );
  }
}

const isInArena = ({ arenaBase, assignment }: OpenSlice, address: number): boolean =>
  address >= arenaBase && address < arenaBase + assignment.arenaBytes;
