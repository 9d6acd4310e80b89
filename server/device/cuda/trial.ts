/**
 * First kernels on a slice, to see whether the device computes. Their threads have as much memory of their own as every kernel may, and they could print,
 * allocate and recurse: what the driver takes of the device for that, when the first such module is loaded or at a first launch, is then taken, and
 * counts when a context is measured. On an H100 it is 150 MiB.
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
.extern .func (.param .b32 printed) vprintf(.param .b64 format, .param .b64 values);
.extern .func (.param .b64 memory) malloc(.param .b64 bytes);
.extern .func free(.param .b64 memory);
.visible .func (.param .b64 sum) sluice_recurse(.param .b64 depth)
{
  .reg .pred %p<2>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [depth];
  mov.u64 %rd3, 0;
  setp.eq.u64 %p1, %rd1, 0;
  @%p1 bra DONE;
  sub.s64 %rd2, %rd1, 1;
  {
    .param .b64 to;
    .param .b64 from;
    st.param.b64 [to], %rd2;
    call.uni (from), sluice_recurse, (to);
    ld.param.b64 %rd3, [from];
  }
  add.s64 %rd3, %rd3, %rd1;
DONE:
  st.param.b64 [sum], %rd3;
  ret;
}
.visible .entry sluice_calls(.param .u64 none)
{
  .reg .pred %p<2>;
  .reg .b32 %r<2>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [none];
  setp.eq.u64 %p1, %rd1, 0;
  @%p1 bra DONE;
  {
    .param .b64 to;
    .param .b64 from;
    st.param.b64 [to], %rd1;
    call.uni (from), sluice_recurse, (to);
    ld.param.b64 %rd2, [from];
  }
  {
    .param .b64 to;
    .param .b64 from;
    st.param.b64 [to], %rd2;
    call.uni (from), malloc, (to);
    ld.param.b64 %rd3, [from];
  }
  {
    .param .b64 format;
    .param .b64 values;
    .param .b32 from;
    st.param.b64 [format], %rd3;
    st.param.b64 [values], %rd3;
    call.uni (from), vprintf, (format, values);
    ld.param.b32 %r1, [from];
  }
  {
    .param .b64 to;
    st.param.b64 [to], %rd3;
    call.uni free, (to);
  }
DONE:
  ret;
}
`;

/** Undefined where the driver has no compiler for PTX, as in some containers: binary images run there all the same. */
async function load(slice: CudaSlice): Promise<DeviceModule | undefined> {
  try {
    return await slice.loadModule(Buffer.from(trialKernel));
  } catch (error) {
    if (toSluiceError(error).code === "BAD_IMAGE") return undefined;
    throw error;
  }
}

/**
 * Runs the kernels at the slice's beginning.
 * @throws SluiceError DEVICE_FAILED when the numbers are wrong, or what the driver says of the launch
 */
export async function tryKernel(slice: CudaSlice, deviceId: string): Promise<void> {
  const module = await load(slice);
  if (module === undefined) return;
  for (const [name, parameter] of [
    ["sluice_trial", slice.arenaBase],
    ["sluice_calls", 0],
  ] as const) {
    const kernel = module.kernels.findIndex((each) => each.name === name);
    const params = new DataView(new ArrayBuffer(module.kernels[kernel]!.paramBytes));
    params.setBigUint64(0, BigInt(parameter), true);
    const shape = { grid: [1, 1, 1], block: [THREADS, 1, 1], sharedBytes: 0 } as const;
    await slice.launch({ module, kernel, ...shape, params: new Uint8Array(params.buffer), stream: undefined });
  }
  const numbers = new Uint32Array(THREADS);
  await slice.read(slice.arenaBase, new Uint8Array(numbers.buffer), undefined);
  if (numbers.every((number, thread) => number === 3 * thread + 1)) return;
  throw new SluiceError("DEVICE_FAILED", `A kernel on the device [${deviceId}] computes wrong numbers.`);
}
