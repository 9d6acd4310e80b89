/**
 * Launches: everything that can be wrong with one is found before the driver is asked, so that its refusals stay rare and its messages ours;
 * the packed parameters go to the driver as one block. One launcher per slice; its buffers are made once, since launches are the hot path.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { KernelInfo } from "../../../shared/generated/calls.ts";
import { PARAM_BYTES_MAX } from "../../../shared/limits.ts";
import type { LaunchOptions } from "../device.ts";
import { DeviceAttributeNumber, FunctionAttribute, LaunchParam } from "./constants.ts";
import type { CudaContext } from "./context.ts";
import type { LocalMemory } from "./local-memory.ts";
import type { CudaModule } from "./module.ts";
import type { CudaStream } from "./stream.ts";
import { addressOf } from "./symbols.ts";

/** Dynamic shared memory that every kernel may have without being set up for it. */
const SHARED_BYTES_PLAIN = 48 * 1024;

/** What the device and the lease allow. */
export interface LaunchLimits {
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  /** Static and dynamic shared memory of a block together. */
  readonly sharedBytesMax: number;
}

/** Reads the limits from a snapshot of the device's attributes. */
export function launchLimits(attribute: (number: number) => number): LaunchLimits {
  const N = DeviceAttributeNumber;
  return {
    grid: [attribute(N.MAX_GRID_DIM_X), attribute(N.MAX_GRID_DIM_Y), attribute(N.MAX_GRID_DIM_Z)],
    block: [attribute(N.MAX_BLOCK_DIM_X), attribute(N.MAX_BLOCK_DIM_Y), attribute(N.MAX_BLOCK_DIM_Z)],
    sharedBytesMax: attribute(N.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN) || SHARED_BYTES_PLAIN,
  };
}

/** A CUlaunchConfig with one attribute, the one that lets all blocks run at the same time. Both stand in the same memory. */
export function cooperativeConfig(
  { grid, block, sharedBytes }: Pick<LaunchOptions, "grid" | "block" | "sharedBytes">,
  stream: Pick<CudaStream, "handle">,
): Uint32Array {
  const CONFIG_WORDS = 14;
  const ATTRIBUTE_WORDS = 18;
  const ATTRIBUTE_COOPERATIVE = 2;
  const words = new Uint32Array(CONFIG_WORDS + ATTRIBUTE_WORDS);
  const wide = new BigUint64Array(words.buffer, 0, CONFIG_WORDS / 2);
  words.set([...grid, ...block, sharedBytes]);
  wide[4] = BigInt(stream.handle);
  wide[5] = addressOf(words) + BigInt(CONFIG_WORDS * 4);
  words[12] = 1;
  // The attribute's number, padding, its value.
  words.set([ATTRIBUTE_COOPERATIVE, 0, 1], CONFIG_WORDS);
  return words;
}

const badLaunch = (message: string): SluiceError => new SluiceError("BAD_LAUNCH", message);

export class Launcher {
  readonly #context: CudaContext;
  readonly #limits: LaunchLimits;
  readonly #local: LocalMemory;
  readonly #params = new Uint8Array(PARAM_BYTES_MAX);
  /** A size_t, of which the upper half is 0. */
  readonly #paramBytes = new Uint32Array(2);
  readonly #extra: BigUint64Array;

  constructor(context: CudaContext, limits: LaunchLimits, local: LocalMemory) {
    this.#context = context;
    this.#limits = limits;
    this.#local = local;
    this.#extra = BigUint64Array.of(
      BigInt(LaunchParam.BUFFER_POINTER),
      addressOf(this.#params),
      BigInt(LaunchParam.BUFFER_SIZE),
      addressOf(this.#paramBytes),
      BigInt(LaunchParam.END),
    );
  }

  /** The kernel, where its threads need more local memory than there is; it must be grown before the launch. Throws as `launch`. */
  beyondMemory(options: LaunchOptions): KernelInfo | undefined {
    const kernel = (options.module as CudaModule).kernels[options.kernel];
    if (kernel === undefined || kernel.localBytes <= this.#local.threadBytes) return undefined;
    this.#validate(kernel, options);
    return kernel;
  }

  /** Queues the kernel. The caller has entered the context. */
  launch(options: LaunchOptions, stream: CudaStream): void {
    const module = options.module as CudaModule;
    const kernel = module.kernels[options.kernel];
    if (kernel === undefined) {
      throw new SluiceError("NO_SUCH_KERNEL", `The module has no kernel with the index [${options.kernel}].`);
    }
    this.#validate(kernel, options);
    const f = module.functions[options.kernel]!;
    if (options.sharedBytes + kernel.sharedBytes > SHARED_BYTES_PLAIN) this.#allowShared(module, options);
    const { grid, block, params } = options;
    this.#params.set(params);
    this.#paramBytes[0] = params.byteLength;
    const extra = params.byteLength === 0 ? null : this.#extra;
    const result = options.cooperative
      ? this.#context.api.cuLaunchKernelEx(cooperativeConfig(options, stream), f, null, extra)
      : this.#context.api.cuLaunchKernel(
          f,
          grid[0],
          grid[1],
          grid[2],
          block[0],
          block[1],
          block[2],
          options.sharedBytes,
          stream.handle,
          null,
          extra,
        );
    if (result !== 0) this.#context.fail(result, `launch [${kernel.name}]`, "BAD_LAUNCH");
  }

  #validate(kernel: KernelInfo, { grid, block, sharedBytes, params }: LaunchOptions): void {
    const limits = this.#limits;
    for (let axis = 0; axis < 3; axis++) {
      if (!(grid[axis]! >= 1 && grid[axis]! <= limits.grid[axis]!)) {
        throw badLaunch(`The grid [${grid}] of [${kernel.name}] is not within [1] to [${limits.grid}] blocks.`);
      }
      if (!(block[axis]! >= 1 && block[axis]! <= limits.block[axis]!)) {
        throw badLaunch(`The block [${block}] of [${kernel.name}] is not within [1] to [${limits.block}] threads.`);
      }
    }
    const threads = block[0] * block[1] * block[2];
    if (threads > kernel.threadsPerBlockMax) {
      throw badLaunch(
        `The block [${block}] has [${threads}] threads, and [${kernel.name}] takes at most [${kernel.threadsPerBlockMax}].`,
      );
    }
    if (sharedBytes + kernel.sharedBytes > limits.sharedBytesMax) {
      throw badLaunch(
        `[${kernel.name}] wants [${sharedBytes + kernel.sharedBytes}] bytes of shared memory per block; the device has [${limits.sharedBytesMax}].`,
      );
    }
    if (params.byteLength !== kernel.paramBytes) {
      throw badLaunch(
        `[${kernel.name}] takes [${kernel.paramBytes}] bytes of parameters, and [${params.byteLength}] are given.`,
      );
    }
  }

  /** More dynamic shared memory than every kernel may have must be asked for, once per kernel and size. */
  #allowShared(module: CudaModule, { kernel, sharedBytes }: LaunchOptions): void {
    if (sharedBytes <= module.sharedBytesSet[kernel]!) return;
    this.#context.check(
      this.#context.api.cuFuncSetAttribute(
        module.functions[kernel]!,
        FunctionAttribute.MAX_DYNAMIC_SHARED_SIZE_BYTES,
        sharedBytes,
      ),
      "give a kernel more shared memory",
      "BAD_LAUNCH",
    );
    module.sharedBytesSet[kernel] = sharedBytes;
  }
}
