/** Jobs of a worker that borrows a part of a device's time, and has work for it all the time or now and then. */
import type { Control } from "../../client/control.ts";
import type { Kernel, Lease } from "../../client/index.ts";
import { openControl, openLease, type Target } from "./target.ts";

/**
 * Each thread counts to `n`, and works with a number meanwhile: so much that what else a round does is little beside it. V8 keeps the number on the
 * stack, too, which takes six times as long where it happens to lie across two pages.
 */
const spinning = `.version 7.0
.target sm_75
.address_size 64
.visible .entry spin(.param .u64 out, .param .u32 n)
{
	.reg .b32 %r<8>;
	.reg .b64 %d<4>;
	.reg .f32 %f<4>;
	.reg .pred %p;
	ld.param.u64 %d1, [out];
	ld.param.u32 %r1, [n];
	mov.u32 %r2, %tid.x;
	mov.u32 %r3, 0;
	cvt.rn.f32.u32 %f1, %r2;
	mov.f32 %f2, 0f3F800001;
AGAIN:
${"\tfma.rn.f32 %f1, %f1, %f2, %f2;\n".repeat(16)}	add.u32 %r3, %r3, 1;
	setp.lt.u32 %p, %r3, %r1;
	@%p bra AGAIN;
	mov.u32 %r4, %ctaid.x;
	mov.u32 %r5, %ntid.x;
	mad.lo.u32 %r6, %r4, %r5, %r2;
	mul.wide.u32 %d2, %r6, 4;
	add.u64 %d3, %d1, %d2;
	st.global.f32 [%d3], %f1;
	ret;
}
`;
const GRID = 8;
const BLOCK = 64;
/** Work that is on its way at once, in milliseconds of the device: enough for a client that the system lets wait. */
const AHEAD_MS = 60;
const BATCH_MS = 5;

interface Borrowed {
  readonly control: Control;
  readonly lease: Lease;
  readonly launch: (rounds: number) => void;
}

let borrowed: Borrowed | undefined;

const current = (): Borrowed => {
  if (borrowed === undefined) throw new Error("The worker has borrowed nothing.");
  return borrowed;
};

export async function borrow({ target, compute }: { target: Target; compute?: number }): Promise<void> {
  const control = openControl(target);
  const { lease } = await openLease(control, target, {
    memory: "8MiB",
    ...(compute === undefined ? {} : { compute }),
  });
  const [gpu] = lease.devices;
  const kernel: Kernel = (await gpu.load(spinning)).kernel("spin");
  const out = gpu.alloc(GRID * BLOCK * 4);
  borrowed = { control, lease, launch: (rounds) => kernel.launch({ grid: GRID, block: BLOCK }, [out, rounds]) };
}

/** Rounds of the kernel in a millisecond, at best. */
export async function rounds(_options: object): Promise<number> {
  const { lease, launch } = current();
  const count = 20_000;
  let best = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 30; turn++) {
    const startedAt = performance.now();
    for (let kernel = 0; kernel < 5; kernel++) launch(count);
    await lease.devices[0].synchronize();
    best = Math.min(best, (performance.now() - startedAt) / 5);
  }
  return count / best;
}

/** Kernels that are done, and when, in milliseconds since the epoch. */
export type Finished = readonly (readonly [at: number, kernels: number])[];

const epochMs = (): number => performance.timeOrigin + performance.now();

/** Has work for the device all the time. */
export async function saturate(options: { rounds: number; kernelMs: number; seconds: number }): Promise<Finished> {
  const { lease, launch } = current();
  const batch = Math.max(1, Math.round(BATCH_MS / options.kernelMs));
  const ahead = Math.ceil(AHEAD_MS / (batch * options.kernelMs));
  const finished: [number, number][] = [];
  const pending: Promise<unknown>[] = [];
  const end = performance.now() + options.seconds * 1_000;
  while (performance.now() < end) {
    for (let kernel = 0; kernel < batch; kernel++) launch(options.rounds);
    pending.push(lease.devices[0].synchronize().then(() => finished.push([epochMs(), batch])));
    if (pending.length >= ahead) await pending.shift();
  }
  await Promise.all(pending);
  return finished;
}

/** Has one kernel now and then; the nanoseconds from each to its end. */
export async function nowAndThen(options: { rounds: number; everyMs: number; seconds: number }): Promise<number[]> {
  const { lease, launch } = current();
  const delays: number[] = [];
  const end = performance.now() + options.seconds * 1_000;
  while (performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, options.everyMs));
    const startedAt = performance.now();
    launch(options.rounds);
    await lease.devices[0].synchronize();
    delays.push((performance.now() - startedAt) * 1e6);
  }
  return delays;
}

export async function giveBack(_options: object): Promise<void> {
  const { lease, control } = current();
  borrowed = undefined;
  await lease.release();
  control.close();
}
