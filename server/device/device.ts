/**
 * What a device is to the executor: the one interface behind which `cpu`, `cuda` and `null` stand.
 * A device works inside one executor process for one lease. It trusts its caller for handles and allocations (the executor
 * checks those) but must itself keep every access of a kernel inside the arena. Rooms under server/device import shared only.
 */
import type { SluiceError } from "../../shared/errors.ts";
import type { DeviceAttribute, GlobalInfo, KernelInfo } from "../../shared/generated/calls.ts";
import type { DeviceLibrary } from "./libraries.ts";
import type { SurfaceOptions, TextureOptions } from "./texel.ts";

/** One whole device as a server owns it. Plain data: it travels from the daemon to the executor as JSON. */
export interface DeviceDescription {
  /** Stable id within the server, such as `cpu:0`. */
  readonly id: string;
  readonly kind: "cpu" | "cuda" | "null";
  readonly name: string;
  /** Bytes that can be lent. */
  readonly memoryBytes: number;
  /** Slices are whole multiples of this. */
  readonly granularityBytes: number;
  /** Bytes charged per lease beside the slice (a CUDA context); 0 where there is none. */
  readonly overheadBytes: number;
  readonly capabilityMajor: number;
  readonly capabilityMinor: number;
  /** Largest slice that one lease may have on this device; the cpu device is bound by 32-bit linear memory. */
  readonly sliceBytesMax: number;
  /** Whether `overheadBytes` is an estimate, for want of a measurement. Default false. */
  readonly overheadEstimated?: boolean;
  /** Whether kernels can read and write all memory of the process that runs them, which nothing but the machine's admin can end. Default false. */
  readonly reachesHostMemory?: boolean;
  /** What real hardware tells beyond that; absent for devices that are none. */
  readonly details?: DeviceDetails;
}

/** Facts about a piece of hardware that do not change while the server runs. */
export interface DeviceDetails {
  /** The vendor's unique id, such as `GPU-5e1f…`. */
  readonly uuid: string;
  /** PCI address as `0000:3b:00.0`. */
  readonly pciAddress: string;
  /** Version of the driver, such as `580.65.06`; empty when it does not tell. */
  readonly driverVersion: string;
  /** CUDA version of the driver, such as `13.0`. */
  readonly cudaVersion: string;
  readonly multiprocessors: number;
  /** Multi-Instance GPU: the device cut into instances by its admin. Where it is enabled, the device is one such instance. */
  readonly mig: "enabled" | "disabled" | "unsupported";
  /** Whether memory errors are corrected. */
  readonly ecc: "enabled" | "disabled" | "unsupported";
  /** Devices of this server joined to this one by NVLink. `links` is 0 when only the fact is known. */
  readonly nvlink: readonly { readonly device: string; readonly links: number }[];
}

/** How a device is now. */
export interface DeviceHealth {
  /** As in its description. */
  readonly id: string;
  /** Empty for a healthy device, else why it must not be lent, one sentence each. */
  readonly problems: readonly string[];
  /** What slows the device down, in words such as `power cap`. */
  readonly throttling: readonly string[];
  /** Absent where the hardware does not tell. */
  readonly temperatureCelsius?: number;
  readonly powerWatts?: number;
  /** Part of the last second in which a kernel ran, 0 to 1. */
  readonly utilization?: number;
  readonly memoryUsedBytes?: number;
  /** Memory errors that could not be corrected, since the driver was loaded. */
  readonly uncorrectedErrors?: number;
}

/** Results of long work, by what they follow from; whatever fails in it costs the work and nothing else. */
export interface KeptResults {
  /** The result of these ingredients, which name everything that it depends on; undefined when there is none. */
  find(ingredients: readonly string[]): Promise<Uint8Array | undefined>;
  keep(ingredients: readonly string[], result: Uint8Array): void;
}

/** What becomes of a source. */
export interface CompiledSource {
  /** For `loadModule`. */
  readonly image: Uint8Array;
  /** PTX of the same program where the image is binary: for `loadModule` beside it. */
  readonly text?: Uint8Array;
  /** What the compiler says beside it. */
  readonly log: string;
}

/**
 * The lease's turns on a device that it shares with others. Kernels and library calls take them, copies do not. Nothing but fairness depends on it:
 * work that is done without a turn is right, too.
 */
export interface DeviceTurns {
  /** Whether work has to wait for turns: somebody else is on the device, and somebody was promised a part of its time. */
  readonly isShared: boolean;
  /** Whether somebody else waits for the device now. */
  readonly isWanted: boolean;
  /** Takes the turn for work that is there; a promise where it has to be waited for, which rejects with CLOSED. */
  enter(): void | Promise<void>;
  /** Nothing of the lease is on the device any more since `enter`, and it has used so much of the device's time. */
  done(usedMs: number): void;
}

/** What `open` needs to know about the slice. */
export interface SliceOptions {
  readonly description: DeviceDescription;
  /** Exact size of the arena in bytes. */
  readonly arenaBytes: number;
  /** Address of the arena's first byte: ARENA_BASE + index * ARENA_STRIDE_BYTES. */
  readonly arenaBase: number;
  /** A kernel that runs longer fails with KERNEL_TIMEOUT. 0: no bound. */
  readonly kernelTimeoutMs: number;
  /**
   * Does what may hold up the event loop for seconds without being a hang: compiling a program, loading a library. Default: just does it.
   */
  readonly longWork?: <T>(work: () => T) => T;
  /** Default: the device is the lease's alone, or shared as it comes. */
  readonly turns?: DeviceTurns | undefined;
  /** Up to where the arena is in use, in bytes from its base; asked where a device can make something of the rest. Default: to its end. */
  readonly usedBytes?: () => number;
  /** Hears what was opened of the slice, one thing after the other, in a word or two. */
  readonly onStep?: (what: string) => void;
  /** Receives what kernels print, in order. */
  readonly onOutput: (text: string) => void;
  /** Hears once when the slice is lost, also when no call is under way; every later call fails with the same error. */
  readonly onFailure?: (error: SluiceError) => void;
}

export interface DeviceAttributes {
  readonly capabilityMajor: number;
  readonly capabilityMinor: number;
  readonly driverVersion: number;
  readonly attributes: readonly DeviceAttribute[];
}

/** One kind of device: finds them in the daemon, opens slices of them in executors. */
export interface DeviceDriver {
  readonly kind: DeviceDescription["kind"];
  /**
   * Devices for one `--device` SPEC without its kind, such as `4x2GiB`; throws SluiceError BAD_ARGUMENT with a sentence. `remark` hears in sentences what
   * an admin should know of devices that are there: why one is left out, or what cannot be told of them.
   */
  discover(spec: string, remark?: (sentence: string) => void): Promise<DeviceDescription[]>;
  /** Opens a slice with zeroed memory. */
  open(options: SliceOptions): Promise<DeviceSlice>;
  /** Loads what takes long and belongs to no lease, so that the first `open` in this process is quicker. */
  prepare?(): Promise<void>;
  /** How the devices are, in the order asked; absent where there is no hardware to be ill. Never throws for an ill device. */
  health?(descriptions: readonly DeviceDescription[]): Promise<DeviceHealth[]>;
  /** Forgets what the device has reported, since an admin has looked at it. */
  acknowledge?(deviceId: string): void;
  /**
   * Proves that a device works: opens the smallest slice, writes and reads it. For a process of its own, never for the daemon. Measures
   * `overheadBytes` by the way, where that can be told; right only while nobody else takes or gives memory on the device. Throws SluiceError
   * with what is wrong.
   */
  probe?(description: DeviceDescription): Promise<{ readonly overheadBytes?: number }>;
}

/** A program on a device. Opaque to the executor beyond its kernels and globals. */
export interface DeviceModule {
  readonly kernels: readonly KernelInfo[];
  readonly globals: readonly GlobalInfo[];
}

export interface LoadOptions {
  /** PTX of the same program, which alone says of what types a binary image's parameters are. */
  readonly text?: Uint8Array | undefined;
  /** It may take nothing of the slice's end: OUT_OF_MEMORY says that it would have to. Default false. */
  readonly leavesEnd?: boolean;
}

export interface LaunchOptions {
  readonly module: DeviceModule;
  /** Index into `module.kernels`. */
  readonly kernel: number;
  readonly grid: readonly [x: number, y: number, z: number];
  readonly block: readonly [x: number, y: number, z: number];
  /** Dynamic shared memory per block in bytes. */
  readonly sharedBytes: number;
  /** The packed parameter block; valid only during the call. */
  readonly params: Uint8Array;
  readonly stream: DeviceStream | undefined;
  /** All blocks run at the same time, and BAD_LAUNCH says when they do not fit. Default false. */
  readonly cooperative?: boolean;
}

/** A matrix in device memory, row by row. */
export interface MatrixOperand {
  readonly address: number;
  /** Elements from the start of one row to that of the next. */
  readonly rowStride: number;
  /** Elements from one matrix of a batch to the next; 0 where all use the same. */
  readonly batchStride: number;
}

/** C = alpha op(A) op(B) + beta C + bias, for each matrix of a batch; op(A) has m rows and k columns, op(B) k and n, C m and n. */
export interface MatrixProduct {
  /**
   * Of all three matrices. `tf32` is f32 in memory, rounded on its way into the multiplication; `f16-f32` and `bf16-f32` have a C of f32,
   * `i8-i32` one of i32, with whole alpha and beta, no bias and no activation. Sums are f32, of f64 f64, of i8 i32.
   */
  readonly type: "f32" | "tf32" | "f16" | "bf16" | "f64" | "f16-f32" | "bf16-f32" | "i8-i32";
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batchCount: number;
  readonly a: MatrixOperand & { readonly transposed: boolean };
  readonly b: MatrixOperand & { readonly transposed: boolean };
  readonly c: MatrixOperand;
  readonly alpha: number;
  readonly beta: number;
  /** Address of n elements of C's type, each added to its column of C. Default: none is added. */
  readonly bias?: number | undefined;
  /** What becomes of a result, its bias added: below 0 it becomes 0, or it goes through GELU as tanh has it (proto/calls.ts). Default: it stays. */
  readonly activation?: "relu" | "gelu" | undefined;
  /** A and B are floats of 8 bits, and the type, f32, f16 or bf16, is C's alone. Default: they are not. */
  readonly narrow?: NarrowFactors | undefined;
}

type NarrowFactor = "e4m3" | "e5m2";
/** Addresses are of an f32 each, by which the product is multiplied; default: by none. */
interface NarrowFactors {
  readonly a: NarrowFactor;
  readonly b: NarrowFactor;
  readonly scaleA: number | undefined;
  readonly scaleB: number | undefined;
}

/** Bytes of an element of the factors and of the result, by the type of a product. */
export const productBytes: Readonly<
  Record<MatrixProduct["type"], { readonly factors: number; readonly result: number }>
> = {
  f32: { factors: 4, result: 4 },
  tf32: { factors: 4, result: 4 },
  f16: { factors: 2, result: 2 },
  bf16: { factors: 2, result: 2 },
  f64: { factors: 8, result: 8 },
  "f16-f32": { factors: 2, result: 4 },
  "bf16-f32": { factors: 2, result: 4 },
  "i8-i32": { factors: 1, result: 4 },
};

/** Opaque stream and event of a device; `undefined` stands for the default stream. */
export interface DeviceStream {
  readonly kind: "stream";
}
export interface DeviceEvent {
  readonly kind: "event";
}

/** A texture or a surface of a device. */
export interface DeviceImage {
  /** What kernels take for it: below 2^53, never 0, and never the same again within a slice. */
  readonly object: number;
}

/**
 * The memory and the contexts of one lease on one device. Calls arrive in the order of the session. A call that returns a
 * promise has taken effect when it resolves; the executor starts the next call only then. A device that queues work itself (CUDA)
 * returns at once. Addresses are whole addresses inside the arena, sizes are bytes; both exact below 2^53.
 * Every failure is a SluiceError. A failure of a kernel poisons the slice: all later calls fail alike.
 */
export interface DeviceSlice {
  readonly attributes: DeviceAttributes;
  /** First address of the arena; absent where it is always the wanted one. A driver may choose another. */
  readonly arenaBase?: number;
  /** Time that the device has worked for this slice since it opened, in milliseconds; absent where it is not measured. */
  deviceTimeMs?(): number;
  /**
   * True once the process can do no more with the device and holds memory that only its end gives back (a driver's context that a fault has
   * broken). The owner must end the process, by SIGKILL, before the lease's next session.
   */
  readonly needsNewProcess?: boolean;
  /** Whether work is under way that no call waits for, such as kernels behind a launch; absent where every launch is done when its call is. */
  isBusy?(): boolean;
  /**
   * Gives the arena another size, a multiple of the granularity, at the same address. Called between two calls, and never below what is
   * allocated. What lies below the smaller of both sizes keeps its content; what is new may hold what the lease had there before, and nobody
   * else's. Throws OUT_OF_MEMORY, and then the size is as it was. Absent where the size is fixed.
   */
  resize?(arenaBytes: number): void | Promise<void>;
  /**
   * Gives the arena's memory back to the device, with all that it holds, and keeps the rest: addresses, modules with their code and variables (`keptBytes`),
   * streams, events, textures. Called when nothing is under way; until `retakeMemory` only that, `isBusy`, `deviceTimeMs` and `close` are called. Throws what the device
   * says, and then nothing is given back. Absent where memory cannot be given back.
   */
  releaseMemory?(): void | Promise<void>;
  /** Bytes of the slice that `releaseMemory` would leave in use now: what its modules have of it. Absent where it is 0. */
  readonly keptBytes?: number;
  /** Takes the memory again, at the same addresses, zeroed. Throws OUT_OF_MEMORY, and then nothing is taken. */
  retakeMemory?(): void | Promise<void>;
  /**
   * Memory as it is, without regard to what stands for it elsewhere, for whoever saves it and brings it back; when they resolve they are done. Absent
   * where `read` and `write` do just that.
   */
  readAsIs?(address: number, into: Uint8Array): Promise<void>;
  writeAsIs?(address: number, data: Uint8Array): Promise<void>;
  /** `data` is valid only during the call. What `place` returned for the same range is there already. */
  write(address: number, data: Uint8Array, stream: DeviceStream | undefined): void | Promise<void>;
  /** Reads `into.byteLength` bytes; resolves once they are there. */
  read(address: number, into: Uint8Array, stream: DeviceStream | undefined): void | Promise<void>;
  /**
   * The memory itself, where it is the host's and no work is under way in it; only to be read, and only until the next call that writes to memory.
   * Undefined, or absent, where `read` must be asked.
   */
  view?(address: number, byteCount: number): Uint8Array | undefined;
  /**
   * Memory that the caller may fill with the data of the next `write` that is given it, which then need not copy; in part, if that never comes. The
   * range's content is undefined from now on until then. Undefined, or absent, where `write` is to be given memory of the caller's. It is gone once the
   * slice is closed.
   */
  place?(address: number, byteCount: number): Uint8Array | undefined;
  /**
   * Host memory that many copies are going to use, by its whole buffer, so that the device may reach it by itself; it must stay until the slice is
   * closed. Nothing but speed depends on it; absent where nothing can be gained.
   */
  adopt?(memory: Uint8Array<ArrayBuffer>): void;
  /**
   * As `write` of memory that was adopted, but comes back while the device fetches it: it must not change until that resolves. Undefined, and then
   * nothing is done, where that would be behind other work, or the memory is not adopted; absent where `write` must be asked.
   */
  fetch?(address: number, data: Uint8Array, stream: DeviceStream | undefined): Promise<void> | undefined;
  /** Copies within this slice. Between slices the executor reads and writes. */
  copy(
    to: { destination: number; source: number; byteCount: number },
    stream: DeviceStream | undefined,
  ): void | Promise<void>;
  /**
   * Copies from another slice of the lease without passing the host, behind all work in `stream` of this slice; the other must be idle.
   * False, or absent, where the two devices cannot: then the executor reads and writes.
   */
  copyFrom?(
    from: DeviceSlice,
    range: { destination: number; source: number; byteCount: number },
    stream: DeviceStream | undefined,
  ): boolean;
  fill(
    to: { address: number; count: number; width: 1 | 2 | 4; value: number },
    stream: DeviceStream | undefined,
  ): void | Promise<void>;
  /**
   * `image` is the caller's to give away. Throws BAD_IMAGE with its line; a kernel that the device cannot run is described with its refusal.
   */
  loadModule(image: Uint8Array, options?: LoadOptions): DeviceModule | Promise<DeviceModule>;
  /**
   * Compiles CUDA C for this device. Absent, or UNSUPPORTED, where nothing can; BAD_ARGUMENT for an option that is not allowed; BAD_IMAGE with the
   * compiler's complaints. `kept` remembers results.
   */
  compile?(source: string, options: readonly string[], kept?: KeptResults): Promise<CompiledSource>;
  /** `isUntold`: the session has not been told of it, so that nothing of it is left in `reservedBytes`. Default false. */
  unloadModule(module: DeviceModule, isUntold?: boolean): void | Promise<void>;
  /**
   * Throws BAD_LAUNCH for a grid, block or shared size that the device or kernel cannot run, or for wrong parameter bytes; a kernel's refusal;
   * ILLEGAL_ADDRESS, KERNEL_TRAP or KERNEL_TIMEOUT for what went wrong inside (then, or at a later call).
   */
  launch(options: LaunchOptions): void | Promise<void>;
  /**
   * Gives kernels that allocate memory by themselves a range to do it in; called at most once, and the range stays allocated. Throws BAD_ARGUMENT
   * for one that is too small. Absent where the device's own driver has one, or kernels do no such thing.
   */
  setHeap?(address: number, byteCount: number): void;
  /**
   * Gives every thread of kernels a stack of so many bytes, or of the default size if that is more, behind all work; returns how many bytes at the
   * arena's end serve for that until it is called again, where nothing is allocated. Throws OUT_OF_MEMORY where what is free there will not do, and
   * BAD_ARGUMENT for more than a thread can have; all is then as it was. Absent where stacks are as large as kernels need.
   */
  setStack?(threadBytes: number): Promise<number>;
  /**
   * Bytes at the arena's end that serve for stacks and for modules, where nothing is to be allocated: it changes in `setStack` and `loadModule` alone,
   * and where a module is unloaded untold.
   * Absent where it is 0.
   */
  readonly reservedBytes?: number;
  /** Queues a matrix product; absent, or UNSUPPORTED, where nothing can compute it. The caller has checked the ranges. */
  multiply?(product: MatrixProduct, stream: DeviceStream | undefined): void | Promise<void>;
  /** Makes ready for such a product, of whose addresses only the alignment counts; UNSUPPORTED where it cannot be computed, and nothing has changed. */
  prepareMultiply?(product: MatrixProduct): void;
  /**
   * Opens a library by its number (shared/libraries.ts), for as long as the slice is; called at most once for each. cuDNN is a DeviceDnn. Absent, or
   * UNSUPPORTED, where the device or the server has none; OUT_OF_MEMORY where the lease has no room for it.
   */
  openLibrary?(number: number): Promise<DeviceLibrary>;
  /**
   * Textures and surfaces over memory of the slice, whose range and shape the caller has checked; absent, or UNSUPPORTED, where the device has
   * none of that kind. A kernel that uses one after its end, or what never was one, fails or, on real hardware, reads anything of the slice's.
   */
  createTexture?(options: TextureOptions): DeviceImage | Promise<DeviceImage>;
  destroyTexture?(texture: DeviceImage): void | Promise<void>;
  createSurface?(options: SurfaceOptions): DeviceImage | Promise<DeviceImage>;
  destroySurface?(surface: DeviceImage): void | Promise<void>;
  /**
   * A range is in use from now on: whatever the device has made of its memory meanwhile comes to an end first. Throws what the device says, and then
   * the range is not in use. Absent where free memory serves nothing.
   */
  allocated?(address: number, byteCount: number): void | Promise<void>;
  /** An allocation ended: textures and surfaces over its memory stay, and have nothing to do with what comes there next. Absent where it makes no difference. */
  freed?(address: number, byteCount: number): void;
  createStream(options: { flags: number; priority: number }): DeviceStream;
  destroyStream(stream: DeviceStream): void;
  createEvent(flags: number): DeviceEvent;
  destroyEvent(event: DeviceEvent): void;
  recordEvent(event: DeviceEvent, stream: DeviceStream | undefined): void;
  waitEvent(stream: DeviceStream | undefined, event: DeviceEvent): void;
  /** True when the last recording is done, or it was never recorded. */
  queryEvent(event: DeviceEvent): boolean;
  synchronizeEvent(event: DeviceEvent): void | Promise<void>;
  /** Milliseconds; throws NOT_READY, or BAD_ARGUMENT for an event without a recording or without time stamps. */
  elapsed(start: DeviceEvent, end: DeviceEvent): number;
  queryStream(stream: DeviceStream | undefined): boolean;
  synchronizeStream(stream: DeviceStream | undefined): void | Promise<void>;
  synchronize(): void | Promise<void>;
  /** Ends all work, also a kernel that never ends, and gives the memory back. Idempotent. */
  close(): Promise<void>;
}
