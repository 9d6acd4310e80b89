/**
 * A first kernel on a slice, to see whether the device computes. Its threads have as much memory of their own as every kernel may: what the driver takes
 * of the device for that, at a first launch if not before, is then taken, and counts when a context is measured.
 */
import { SluiceError, toSluiceError } from "../../../shared/errors.ts";
import type { DeviceModule } from "../device.ts";
import type { CudaSlice } from "./slice.ts";

const THREADS = 64;
/** Local memory that a context comes with, by the driver's default. */
const LOCAL_BYTES = 1024;

/** Each thread passes a number through its own memory, at a place that the compiler cannot know. */
export const trialKernel = `.version 7.0
.target sm_50
.address_size 64
.visible .entry sluice_trial(.param .u64 out, .param .u32 none)
{
  .local .align 4 .b8 own[${LOCAL_BYTES}];
  .reg .b32 %r<7>;
  .reg .b64 %rd<9>;
  ld.param.u64 %rd1, [out];
  ld.param.u32 %r1, [none];
  mov.u32 %r2, %tid.x;
  mul.lo.u32 %r3, %r2, 3;
  add.u32 %r4, %r3, 1;
  mov.u64 %rd2, own;
  mul.wide.u32 %rd3, %r2, 4;
  add.s64 %rd4, %rd2, %rd3;
  st.local.u32 [%rd4], %r4;
  add.u32 %r5, %r2, %r1;
  mul.wide.u32 %rd5, %r5, 4;
  add.s64 %rd6, %rd2, %rd5;
  ld.local.u32 %r6, [%rd6];
  cvta.to.global.u64 %rd7, %rd1;
  add.s64 %rd8, %rd7, %rd3;
  st.global.u32 [%rd8], %r6;
  ret;
}
`;

/** Undefined where the driver has no compiler for PTX, as in some containers: binary images run there all the same. */
function load(slice: CudaSlice): DeviceModule | undefined {
  try {
    return slice.loadModule(Buffer.from(trialKernel));
  } catch (error) {
    if (toSluiceError(error).code === "BAD_IMAGE") return undefined;
    throw error;
  }
}

/**
 * Runs the kernel at the slice's beginning.
 * @throws SluiceError DEVICE_FAILED when the numbers are wrong, or what the driver says of the launch
 */
export async function tryKernel(slice: CudaSlice, deviceId: string): Promise<void> {
  const module = load(slice);
  if (module === undefined) return;
  const params = new DataView(new ArrayBuffer(module.kernels[0]!.paramBytes));
  params.setBigUint64(0, BigInt(slice.arenaBase), true);
  const shape = { grid: [1, 1, 1], block: [THREADS, 1, 1], sharedBytes: 0 } as const;
  await slice.launch({ module, kernel: 0, ...shape, params: new Uint8Array(params.buffer), stream: undefined });
  const numbers = new Uint32Array(THREADS);
  await slice.read(slice.arenaBase, new Uint8Array(numbers.buffer), undefined);
  if (numbers.every((number, thread) => number === 3 * thread + 1)) return;
  throw new SluiceError("DEVICE_FAILED", `A kernel on the device [${deviceId}] computes wrong numbers.`);
}
