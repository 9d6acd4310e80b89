/** A slice of the cpu device for unit tests, and the shortest way to run a hand-written kernel on it. */
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import type { DeviceImage, DeviceSlice } from "../../server/device/device.ts";
import type { SurfaceOptions, TextureOptions } from "../../server/device/texel.ts";

/** A slice whose textures and surfaces are there at once. */
type CpuSlice = Omit<DeviceSlice, "createTexture" | "createSurface"> & {
  createTexture?(options: TextureOptions): DeviceImage;
  createSurface?(options: SurfaceOptions): DeviceImage;
};

import { ARENA_BASE } from "../../shared/limits.ts";

const MiB = 1024 * 1024;
export const ARENA_BYTES = MiB;
/** The device, and so what a slice of it can grow to. */
export const DEVICE_BYTES = 64 * MiB;

export interface CpuMachine {
  readonly slice: CpuSlice;
  /** All that kernels have printed. */
  output(): string;
}

/** What is enough to run kernels. */
interface AnyMachine {
  readonly slice: DeviceSlice;
  output?(): string;
}

export async function openCpu({ kernelTimeoutMs = 20_000, arenaBytes = ARENA_BYTES } = {}): Promise<CpuMachine> {
  const [description] = await cpuDriver.discover(`1x${DEVICE_BYTES / MiB}MiB`);
  let printed = "";
  const slice = await cpuDriver.open({
    description: description!,
    arenaBytes,
    arenaBase: ARENA_BASE,
    kernelTimeoutMs,
    onOutput: (text) => {
      printed += text;
    },
  });
  return { slice: slice as CpuSlice, output: () => printed };
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A module around declarations and functions. */
export const ptxModule = (body: string): string => `.version 8.0\n.target sm_80\n.address_size 64\n${body}`;

/**
 * A module with one kernel `k(p0, p1, ...)` of 64-bit parameters, already loaded into %rd0, %rd1, ...; %r0 is the thread's number
 * in its block. The body may use the registers declared here.
 */
export function ptxKernel(body: string, { params = 1, before = "", attributes = "" } = {}): string {
  const list = Array.from({ length: params }, (_, index) => `.param .u64 p${index}`).join(", ");
  const loads = Array.from({ length: params }, (_, index) => `ld.param.u64 %rd${index}, [p${index}];`).join("\n");
  return ptxModule(`${before}
.visible .entry k(${list}) ${attributes} {
.reg .pred %p<16>; .reg .b16 %h<32>; .reg .b32 %r<64>; .reg .b64 %rd<64>; .reg .f32 %f<32>; .reg .f64 %fd<32>;
${loads}
mov.u32 %r0, %tid.x;
${body}
ret;
}`);
}

export interface RunOptions {
  readonly grid?: readonly [number, number, number];
  readonly block?: number | readonly [number, number, number];
  readonly sharedBytes?: number;
  readonly args?: readonly (number | bigint)[];
  readonly cooperative?: boolean;
}

/** Loads `ptx` and launches its first kernel with 64-bit arguments. */
export async function runPtx({ slice }: AnyMachine, ptx: string, options: RunOptions = {}): Promise<void> {
  const module = await slice.loadModule(bytesOf(ptx));
  try {
    const { grid = [1, 1, 1], block = 1, sharedBytes = 0, args = [ARENA_BASE], cooperative = false } = options;
    await slice.launch({
      module,
      kernel: 0,
      grid,
      block: typeof block === "number" ? [block, 1, 1] : block,
      sharedBytes,
      params: new Uint8Array(BigUint64Array.from(args, (value) => BigInt.asUintN(64, BigInt(value))).buffer),
      stream: undefined,
      cooperative,
    });
  } finally {
    await slice.unloadModule(module);
  }
}

/** Words at an offset of the arena. */
export function readWords({ slice }: AnyMachine, count: number, offset = 0): Uint32Array {
  const words = new Uint32Array(count);
  void slice.read(ARENA_BASE + offset, new Uint8Array(words.buffer), undefined);
  return words;
}

export function writeWords({ slice }: AnyMachine, words: ArrayLike<number>, offset = 0): void {
  void slice.write(ARENA_BASE + offset, new Uint8Array(Uint32Array.from(words).buffer), undefined);
}

/** The SluiceError's code and message of a failing call. */
export async function failure(call: () => unknown): Promise<{ code: string; message: string }> {
  try {
    await call();
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return { code: code ?? "not a SluiceError", message };
  }
  return { code: "none", message: "" };
}
