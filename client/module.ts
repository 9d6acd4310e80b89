/** Modules and kernels: programs on a device, and their launches. */
import { codeOfWire, SluiceError } from "../shared/errors.ts";
import { encodeModuleUnloadCall, type GlobalInfo, type KernelInfo, Opcode } from "../shared/generated/calls.ts";
import { padTo8, type WireWriter } from "../shared/wire/wire-buffer.ts";
import { type ArgumentPlan, type KernelArgument, packArguments, planArguments } from "./arguments.ts";
import { closedError, type DeviceContext, refuseInRecording } from "./context.ts";
import { checkOptions, type KnownOptions } from "./known-options.ts";
import { shown } from "./shown.ts";
import { type Stream, streamHandle } from "./stream.ts";

/** One number, or up to three for x, y and z; what is left out is 1. */
export type Dimensions = number | readonly [x: number, y?: number, z?: number];

export interface LaunchOptions {
  /** Blocks: x up to 2^31-1, y and z up to 65535. */
  readonly grid: Dimensions;
  /** Threads per block: x and y up to 1024, z up to 64, and their product up to the kernel's `threadsPerBlockMax`. */
  readonly block: Dimensions;
  /** Dynamic shared memory per block in bytes; with what the kernel has by itself at most what a block of the device can have. Default 0. */
  readonly sharedBytes?: number;
  /** Default: the default stream. */
  readonly stream?: Stream;
}

/** A slip stands in the program's text, so a kernel's first launches show it; looking at all would cost a fifth of a launch. */
const CHECKED_LAUNCHES = 8;
const launchOptions = {
  grid: "any",
  block: "any",
  sharedBytes: "number",
  stream: "any",
} satisfies KnownOptions<LaunchOptions>;

/** What a load tells of a module. */
export interface LoadedModule {
  readonly handle: number;
  readonly kernels: readonly KernelInfo[];
  readonly globals: readonly GlobalInfo[];
  readonly log?: string;
  /** What it has taken of the slice's end. */
  readonly reservedBytes: number;
}

/** A program loaded on one device, from `gpu.load()`. */
export class Module {
  /** The module's kernels in order, also those that the device cannot run: their `refusal` says why. */
  readonly kernels: readonly KernelInfo[];
  /** The module's global variables. */
  readonly globals: readonly GlobalInfo[];
  /** What the compiler said, such as warnings; empty for a module that was loaded and not compiled. */
  readonly log: string;
  readonly #context: DeviceContext;
  readonly #handle: number;
  readonly #byName: ReadonlyMap<string, Kernel>;
  #unloaded = false;

  /** @internal */
  constructor(context: DeviceContext, options: Omit<LoadedModule, "reservedBytes">) {
    this.#context = context;
    this.#handle = options.handle;
    this.kernels = options.kernels;
    this.globals = options.globals;
    this.log = options.log ?? "";
    const isUnloaded = (): boolean => this.#unloaded;
    this.#byName = new Map(
      options.kernels.map((info, index) => [
        info.name,
        new Kernel(context, { info, index, module: options.handle, isUnloaded }),
      ]),
    );
  }

  /**
   * The kernel with that name, as it stands in the image.
   * @throws SluiceError NO_SUCH_KERNEL; UNSUPPORTED_INSTRUCTION (naming instruction and line), UNSUPPORTED or OUT_OF_MEMORY for a kernel that
   * the device cannot run.
   */
  kernel(name: string): Kernel {
    if (this.#unloaded) throw closedError("A module");
    const kernel = this.#byName.get(name);
    if (kernel !== undefined) {
      const { refusalCode, refusal } = kernel.info;
      if (refusalCode !== 0) throw new SluiceError(codeOfWire(refusalCode), refusal);
      return kernel;
    }
    const names = this.kernels.map((info) => info.name).join(", ");
    throw new SluiceError("NO_SUCH_KERNEL", `The module has no kernel [${shown(name)}]; it has [${names}].`);
  }

  /** Unloads the module behind all launches before. Idempotent. */
  unload(): void {
    if (this.#unloaded) return;
    refuseInRecording(this.#context, Opcode.moduleUnload);
    this.#unloaded = true;
    const { session } = this.#context;
    session.issueEnd(Opcode.moduleUnload, { module: this.#handle }, encodeModuleUnloadCall);
  }

  [Symbol.dispose](): void {
    this.unload();
  }
}

const LAUNCH_FIXED_BYTES = 48;

/** One launch on its way into the batch. Kept per kernel and overwritten by each launch, so that a launch makes no garbage. */
interface PreparedLaunch {
  grid: Dimensions;
  block: Dimensions;
  sharedBytes: number;
  stream: number;
  args: readonly KernelArgument[];
}

/** A kernel of a module. */
export class Kernel {
  /** Name, parameters and limits, as the server found them in the image. */
  readonly info: KernelInfo;
  readonly #context: DeviceContext;
  readonly #module: number;
  readonly #index: number;
  readonly #plan: ArgumentPlan;
  readonly #isUnloaded: () => boolean;
  /** Beside what the kernel has by itself. */
  readonly #sharedBytesMax: number;
  #checksLeft = CHECKED_LAUNCHES;
  readonly #prepared: PreparedLaunch = { grid: 1, block: 1, sharedBytes: 0, stream: 0, args: [] };

  /** @internal */
  constructor(
    context: DeviceContext,
    options: {
      readonly info: KernelInfo;
      readonly index: number;
      readonly module: number;
      readonly isUnloaded: () => boolean;
    },
  ) {
    this.info = options.info;
    this.#context = context;
    this.#module = options.module;
    this.#index = options.index;
    this.#isUnloaded = options.isUnloaded;
    this.#plan = planArguments(options.info);
    this.#sharedBytesMax = context.sharedBytesMax - options.info.sharedBytes;
  }

  get name(): string {
    return this.info.name;
  }

  /**
   * Launches the kernel: it is in the batch when this returns, and nothing is waited for. A number is passed as the parameter's
   * type says; a failure inside the kernel is told by the next call that has an answer.
   * @throws SluiceError BAD_KERNEL_ARGUMENTS, BAD_LAUNCH, CLOSED (a freed buffer, an unloaded module), BACKLOG_FULL, or why the
   * session has ended.
   */
  launch(options: LaunchOptions, args: readonly KernelArgument[]): void {
    if (this.#isUnloaded()) throw closedError("A module");
    if (this.#checksLeft > 0 || !options) {
      this.#checksLeft--;
      checkOptions("a launch", options, launchOptions);
    }
    const prepared = this.#prepared;
    prepared.grid = options.grid;
    prepared.block = options.block;
    prepared.sharedBytes = options.sharedBytes ?? 0;
    prepared.stream = streamHandle(options.stream, this.#context);
    prepared.args = args;
    const { session } = this.#context;
    session.recorder?.need(this.#isUnloaded, { what: "A module", hasEnded: this.#isUnloaded });
    session.issue(Opcode.launch, prepared, this.#encode);
    prepared.args = noArguments;
  }

  /** The body of a `launch` call (proto/README.md), its parameters packed in place. */
  readonly #encode = (writer: WireWriter, launch: PreparedLaunch): void => {
    const { paramBytes } = this.#plan;
    const paddedBytes = padTo8(paramBytes);
    const buffer = writer.reserve(LAUNCH_FIXED_BYTES + paddedBytes);
    const at = writer.length;
    const { u32 } = buffer;
    const word = at >> 2;
    u32[word] = this.#module;
    u32[word + 1] = this.#index;
    this.#writeDimensions(u32, word + 2, { what: "grid", value: launch.grid });
    this.#writeDimensions(u32, word + 5, { what: "block", value: launch.block });
    const threads = u32[word + 5]! * u32[word + 6]! * u32[word + 7]!;
    if (threads > this.info.threadsPerBlockMax) {
      throw this.#bad(`a block of [${threads}] threads; it can have [${this.info.threadsPerBlockMax}]`);
    }
    const { sharedBytes } = launch;
    if (!(Number.isInteger(sharedBytes) && sharedBytes >= 0 && sharedBytes <= this.#sharedBytesMax)) {
      throw this.#bad(`[${shown(sharedBytes)}] bytes of shared memory; it can have [${this.#sharedBytesMax}]`);
    }
    u32[word + 8] = sharedBytes;
    u32[word + 9] = launch.stream;
    u32[word + 10] = paramBytes;
    u32[word + 11] = 0;
    const params = at + LAUNCH_FIXED_BYTES;
    if (paddedBytes > paramBytes) u32[((params + paddedBytes) >> 2) - 1] = 0;
    packArguments(this.#plan, launch.args, { buffer, at: params, context: this.#context });
    writer.length += LAUNCH_FIXED_BYTES + paddedBytes;
  };

  #writeDimensions(
    u32: Uint32Array,
    word: number,
    { what, value }: { what: "grid" | "block"; value: Dimensions },
  ): void {
    const max = what === "grid" ? gridMax : blockMax;
    let x: number | undefined;
    let y: number | undefined;
    let z: number | undefined;
    if (typeof value === "number") x = value;
    else if (typeof value === "object" && value !== null && value.length <= 3) {
      x = value[0];
      y = value[1];
      z = value[2];
    }
    if (y === undefined) y = 1;
    if (z === undefined) z = 1;
    // Whole numbers first: what is none may not even be compared.
    const areWhole = Number.isInteger(x) && Number.isInteger(y) && Number.isInteger(z);
    if (x === undefined || !(areWhole && x >= 1 && x <= max.x && y >= 1 && y <= max.y && z >= 1 && z <= max.z)) {
      const given = x !== undefined ? [x, y, z] : Array.isArray(value) ? value : [value];
      throw this.#bad(
        `the ${what} [${given.map(shown).join(", ")}]; up to three whole numbers from 1 to [${max.x}, ${max.y}, ${max.z}] can be`,
      );
    }
    u32[word] = x;
    u32[word + 1] = y;
    u32[word + 2] = z;
  }

  #bad(what: string): SluiceError {
    return new SluiceError("BAD_LAUNCH", `The kernel [${this.info.name}] is launched with ${what}.`);
  }
}

const gridMax = { x: 0x7fff_ffff, y: 65_535, z: 65_535 };
const blockMax = { x: 1024, y: 1024, z: 64 };
const noArguments: readonly KernelArgument[] = [];
