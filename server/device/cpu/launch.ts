/** Checks a launch against the device and the kernel. Every refusal is BAD_LAUNCH and names the values. */
import { SluiceError } from "../../../shared/errors.ts";
import type { LaunchOptions } from "../device.ts";
import { BLOCK_MAX, GRID_MAX } from "./attributes.ts";
import type { CompiledKernel } from "./compile/kernel.ts";
import { SHARED_BYTES_MAX, THREADS_PER_BLOCK_MAX } from "./run/layout.ts";

const refuse = (kernel: CompiledKernel, why: string): SluiceError =>
  new SluiceError("BAD_LAUNCH", `The kernel [${kernel.name}] cannot be launched: ${why}.`);

const axes = ["x", "y", "z"] as const;

/** `workers`: how many blocks run at the same time. */
export function checkLaunch(kernel: CompiledKernel, options: LaunchOptions, workers: number): void {
  const { grid, block, sharedBytes, params, cooperative } = options;
  for (const [index, axis] of axes.entries()) {
    requireRange(kernel, `the grid's ${axis}`, { value: grid[index]!, max: GRID_MAX[index]! });
    requireRange(kernel, `the block's ${axis}`, { value: block[index]!, max: BLOCK_MAX[index]! });
  }
  const threads = block[0] * block[1] * block[2];
  if (threads > THREADS_PER_BLOCK_MAX) {
    throw refuse(kernel, `a block of [${threads}] threads is more than [${THREADS_PER_BLOCK_MAX}]`);
  }
  if (threads > kernel.threadsMax) {
    throw refuse(kernel, `a block of [${threads}] threads is more than the kernel's [${kernel.threadsMax}]`);
  }
  const required = kernel.threadsRequired;
  if (required?.some((size, index) => size !== block[index])) {
    throw refuse(kernel, `the block [${block.join()}] is not the kernel's [${required.join()}]`);
  }
  if (!Number.isInteger(sharedBytes) || sharedBytes < 0 || kernel.sharedBytes + sharedBytes > SHARED_BYTES_MAX) {
    throw refuse(
      kernel,
      `[${kernel.sharedBytes}] bytes of static and [${sharedBytes}] of dynamic shared memory are more than [${SHARED_BYTES_MAX}]`,
    );
  }
  if (params.length !== kernel.paramBytes) {
    throw refuse(kernel, `[${params.length}] bytes of parameters are not the kernel's [${kernel.paramBytes}]`);
  }
  const blocks = grid[0] * grid[1] * grid[2];
  if (!Number.isSafeInteger(blocks)) throw refuse(kernel, `the grid [${grid.join()}] has too many blocks`);
  if (cooperative && blocks > workers) {
    throw refuse(
      kernel,
      `a cooperative grid of [${blocks}] blocks is more than the [${workers}] that run at the same time`,
    );
  }
}

function requireRange(kernel: CompiledKernel, what: string, { value, max }: { value: number; max: number }): void {
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw refuse(kernel, `${what} is [${value}], not between [1] and [${max}]`);
  }
}
