/**
 * What a lease promises of a card's memory and time beside the plain case: memory of kernels' threads out of its own slice, stacks, suspension, parts of
 * the device's time. Through a real server, as `end-to-end.ts`.
 */
import assert from "node:assert/strict";
import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import type { Device, Kernel } from "../../client/index.ts";
import { DeviceAttributeNumber } from "../../server/device/cuda/constants.ts";
import { outsideBytesMax } from "../../server/device/cuda/overhead.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { localKernel } from "../kernels/memory-kernels.ts";
import { BusyClient, partsOf } from "../support/busy-clients.ts";
import { isAll } from "../support/is-all.ts";
import { sharedBytes, usedBytes } from "./card-memory.ts";
import { type Check, NotHere, type Stage } from "./end-to-end.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;
const DEFAULT_STACK_BYTES = 1024;

/** What a call of it may take of a stack. */
const CALL_BYTES_MAX = 160;
/** Adds the numbers up to `depth`, each in a call of its own with 64 bytes of local memory. */
const recursion = `.version 7.0
.target sm_50
.address_size 64
.visible .func (.param .b32 sum) deep(.param .b32 depth)
{
  .local .align 16 .b8 own[64];
  .reg .pred %p<2>;
  .reg .b32 %r<6>;
  .reg .b64 %rd<4>;
  ld.param.u32 %r1, [depth];
  mov.u64 %rd1, own;
  st.local.v4.u32 [%rd1], {%r1, %r1, %r1, %r1};
  st.local.v4.u32 [%rd1+16], {%r1, %r1, %r1, %r1};
  st.local.v4.u32 [%rd1+32], {%r1, %r1, %r1, %r1};
  st.local.v4.u32 [%rd1+48], {%r1, %r1, %r1, %r1};
  mov.u32 %r4, 0;
  setp.eq.u32 %p1, %r1, 0;
  @%p1 bra DONE;
  sub.u32 %r3, %r1, 1;
  {
    .param .b32 to;
    .param .b32 from;
    st.param.b32 [to], %r3;
    call.uni (from), deep, (to);
    ld.param.b32 %r4, [from];
  }
DONE:
  and.b32 %r2, %r4, 15;
  mul.wide.u32 %rd2, %r2, 4;
  add.s64 %rd3, %rd1, %rd2;
  ld.local.u32 %r5, [%rd3];
  add.u32 %r4, %r4, %r5;
  st.param.b32 [sum], %r4;
  ret;
}
.visible .entry recurse(.param .u32 depth, .param .u64 sum)
{
  .reg .b32 %r<3>;
  .reg .b64 %rd<3>;
  ld.param.u32 %r1, [depth];
  ld.param.u64 %rd1, [sum];
  cvta.to.global.u64 %rd2, %rd1;
  {
    .param .b32 to;
    .param .b32 from;
    st.param.b32 [to], %r1;
    call.uni (from), deep, (to);
    ld.param.b32 %r2, [from];
  }
  st.global.u32 [%rd2], %r2;
  ret;
}
`;

/** Lets so much time go by. */
const pause = `.version 7.0
.target sm_50
.address_size 64
.visible .entry pause_for(.param .u32 microseconds)
{
  .reg .pred %p<2>;
  .reg .b32 %r<2>;
  .reg .b64 %rd<5>;
  ld.param.u32 %r1, [microseconds];
  mul.wide.u32 %rd1, %r1, 1000;
  mov.u64 %rd2, %globaltimer;
LOOP:
  mov.u64 %rd3, %globaltimer;
  sub.s64 %rd4, %rd3, %rd2;
  setp.lt.u64 %p1, %rd4, %rd1;
  @%p1 bra LOOP;
  ret;
}
`;

/** What a driver may take by the way, for the tables of pages and the like. */
const ASIDE_BYTES = 8 * MiB;

/** Memory of the card that is in use; fails where that is more than the limit, if the card tells. */
async function uses(device: DeviceDescription, { atMost, when }: { atMost: number; when: string }): Promise<void> {
  const used = await usedBytes(device);
  assert(
    used === undefined || used <= atMost + ASIDE_BYTES,
    `[${used}] bytes of the card are in use ${when}, more than [${atMost}]`,
  );
}

/** A part of the card, so that a check does with small ones too. */
const partOf = ({ sliceBytesMax, granularityBytes }: DeviceDescription, bytesMax: number): number =>
  Math.floor(Math.min(bytesMax, sliceBytesMax / 4) / granularityBytes) * granularityBytes;

function threadsOf({ attributes }: Device): number {
  const { MULTIPROCESSOR_COUNT, MAX_THREADS_PER_MULTIPROCESSOR } = DeviceAttributeNumber;
  return (attributes.get(MULTIPROCESSOR_COUNT) ?? 1) * (attributes.get(MAX_THREADS_PER_MULTIPROCESSOR) ?? 1);
}

/** Half of what CUDA gives a thread at most: a check asks for twice as much. */
const THREAD_BYTES_MAX = 256 * 1024;

/** Bytes for each thread that come to so many beyond the lease's allowance; a card with few threads cannot have all of that. */
const threadBytesFor = (gpu: Device, beyondBytes: number): number => {
  const share = Math.floor((outsideBytesMax + beyondBytes) / threadsOf(gpu) / 16) * 16;
  return Math.min(THREAD_BYTES_MAX, DEFAULT_STACK_BYTES + share);
};

const inMs = async (work: () => Promise<unknown>): Promise<string> => {
  const started = performance.now();
  await work();
  return `${(performance.now() - started).toFixed(1)} ms`;
};

async function endsInZeros(buffer: { readonly byteLength: number; read: ReturnType<Device["alloc"]>["read"] }) {
  const end = await buffer.read(Uint8Array, { offset: buffer.byteLength - MiB });
  assert(isAll(end, 0), "memory that comes back is not zero");
}

const isFull = (error: unknown): boolean => error instanceof SluiceError && error.code === "OUT_OF_MEMORY";

async function lendsToThreads({ pool, device }: Stage): Promise<string> {
  const memory = partOf(device, 8 * GiB);
  await using lease = await pool.allocate({ memory, wait: "30s" });
  const [gpu] = lease.devices;
  const threadBytes = threadBytesFor(gpu, memory / 2);
  const kernel = (await gpu.load(localKernel(threadBytes))).kernel("empty");
  const run = async (): Promise<void> => {
    kernel.launch({ grid: 1, block: 32 }, []);
    await gpu.synchronize();
  };
  // A driver may put off some of what a context takes.
  (await gpu.load(localKernel(64))).kernel("empty").launch({ grid: 1, block: 32 }, []);
  await gpu.synchronize();
  const before = (await usedBytes(device)) ?? 0;
  const first = await inMs(run);
  await uses(device, { atMost: before + outsideBytesMax, when: "with a kernel whose threads want much" });
  const again = await inMs(run);
  const all = gpu.alloc(memory);
  const back = await inMs(() => gpu.synchronize());
  await uses(device, { atMost: before, when: "once the slice is allocated" });
  await endsInZeros(all);
  await assert.rejects(run, isFull);
  return `[${threadBytes}] bytes for each of [${threadsOf(gpu)}] threads: ${first}, then ${again}; back in ${back}`;
}

async function setsStacks({ pool, device }: Stage): Promise<string> {
  const memory = partOf(device, 8 * GiB);
  await using lease = await pool.allocate({ memory, wait: "30s" });
  const [gpu] = lease.devices;
  const kernel = (await gpu.load(recursion)).kernel("recurse");
  const sum = gpu.alloc(4);
  const recurse = async (depth: number): Promise<void> => {
    kernel.launch({ grid: 1, block: 32 }, [depth, sum]);
    assert.deepEqual([...(await sum.read(Uint32Array))], [(depth * (depth + 1)) / 2]);
  };
  await recurse(4);
  const threadBytes = threadBytesFor(gpu, memory / 4);
  const before = gpu.memoryInfo().freeBytes;
  const took = await inMs(() => gpu.setStackSize(threadBytes));
  const { freeBytes } = gpu.memoryInfo();
  const depth = Math.floor(threadBytes / CALL_BYTES_MAX);
  await recurse(depth);
  const all = gpu.alloc(freeBytes - (freeBytes % device.granularityBytes));
  await endsInZeros(all);
  await assert.rejects(gpu.setStackSize(2 * threadBytes), isFull);
  await recurse(depth);
  all.free();
  await gpu.setStackSize(DEFAULT_STACK_BYTES);
  assert(gpu.memoryInfo().freeBytes > freeBytes, "stacks that are given up leave the slice as small as it was");
  return `[${threadBytes}] bytes in ${took}, of which the slice has [${before - freeBytes}] bytes for all`;
}

/** What is saved goes to a file in the server's folder, which may be memory of the host's. */
function savedBytesMax(): number {
  const { bavail, bsize } = statfsSync(tmpdir());
  return Math.min(GiB, (bavail * bsize) / 2, process.availableMemory() / 4);
}

async function suspends({ pool, device, sizes }: Stage): Promise<string> {
  const memory = partOf(device, Math.min(sizes.filledBytesMax, savedBytesMax()));
  if (memory < 16 * MiB) throw new NotHere("neither the disk nor the memory of the machine has room for what is saved");
  await using lease = await pool.allocate({ memory, wait: "30s" });
  const [gpu] = lease.devices;
  const pieceBytes = Math.min(256 * MiB, Math.floor(memory / 4 / 256) * 256);
  const pieces = [1, 2, 3, 4].map((value) => {
    const buffer = gpu.alloc(Math.floor(memory / 4 / 256) * 256);
    buffer.fill(value);
    return { buffer, value };
  });
  const noise = Uint8Array.from(
    { length: Math.min(8 * MiB, pieceBytes / 2) + 3 },
    (_, index) => (index * 2_654_435_761) >>> 24,
  );
  pieces[3]!.buffer.write(noise, { offset: 5 });
  await gpu.synchronize();
  const before = await usedBytes(device);
  const away = await inMs(() => lease.suspend("The check suspends it."));
  if (before !== undefined) await uses(device, { atMost: before - memory, when: "while a lease is suspended" });
  const back = await inMs(async () => {
    await lease.resume();
    await gpu.synchronize();
  });
  for (const { buffer, value } of pieces.slice(0, 3)) {
    const found = await buffer.read(Uint8Array, { offset: buffer.byteLength - pieceBytes });
    assert.equal(Buffer.compare(found, Buffer.alloc(pieceBytes, value)), 0, `the piece of [${value}] differs`);
  }
  const found = await pieces[3]!.buffer.read(Uint8Array, { offset: 5, length: noise.length });
  assert.equal(Buffer.compare(found, noise), 0);
  return `[${memory}] bytes: away in ${away}, back in ${back}`;
}

/** A variable of a size, and a kernel that puts a number other than 0 there, and tells its address and what it holds. */
const keepingKernel = (byteCount: number): string => `.version 7.0
.target sm_50
.address_size 64
.visible .global .align 8 .b8 large[${byteCount}];
.visible .entry keep(.param .u64 out, .param .u32 value)
{
  .reg .pred %p<2>;
  .reg .b32 %r<3>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [out];
  cvta.to.global.u64 %rd1, %rd1;
  ld.param.u32 %r1, [value];
  mov.u64 %rd2, large;
  setp.eq.u32 %p1, %r1, 0;
  @%p1 bra TELL;
  st.global.u32 [%rd2], %r1;
TELL:
  ld.global.u32 %r2, [%rd2];
  cvta.global.u64 %rd3, %rd2;
  st.global.u64 [%rd1], %rd3;
  st.global.u32 [%rd1+8], %r2;
  ret;
}
`;

async function suspendsModules({ pool, device }: Stage): Promise<string> {
  const memory = partOf(device, GiB);
  if (memory < 16 * MiB)
    throw new NotHere("a part of the card is too small for what modules want beyond a lease's charge");
  const beyond = Math.floor(Math.min(64 * MiB, memory / 4));
  await using lease = await pool.allocate({ memory, wait: "30s" });
  const [gpu] = lease.devices;
  const variables = [outsideBytesMax - 100 * MiB, beyond];
  const kernels: Kernel[] = [];
  const loaded = await inMs(async () => {
    for (const byteCount of variables) kernels.push((await gpu.load(keepingKernel(byteCount))).kernel("keep"));
  });
  const told = async (values: readonly number[]): Promise<string[]> => {
    const out = gpu.alloc(16);
    const words: string[] = [];
    for (const [index, kernel] of kernels.entries()) {
      kernel.launch({ grid: 1, block: 1 }, [out, values[index]!]);
      words.push((await out.read(Uint32Array, { length: 3 })).join(" "));
    }
    out.free();
    return words;
  };
  const values = [0x1234_5678, 0x9abc_def0];
  const first = await told(values);
  for (const [index, words] of first.entries()) assert.equal(words.split(" ")[2], String(values[index]));
  const before = await usedBytes(device);
  const away = await inMs(() => lease.suspend("The check suspends it."));
  const { suspension } = (await pool.leases()).leases.find(({ id }) => id === lease.id)!;
  const kept = suspension?.keptBytes ?? 0;
  assert(kept > 0, "modules have nothing of the slice, though they want more than a lease has beside it");
  if (before !== undefined)
    await uses(device, { atMost: before - (memory - kept), when: "while a lease is suspended" });
  const back = await inMs(async () => {
    await lease.resume();
    await gpu.synchronize();
  });
  assert.deepEqual(await told([0, 0]), first, "variables are elsewhere, or hold something else");
  return `[${kept}] bytes of [${memory}] kept: loaded in ${loaded}, away in ${away}, back in ${back}`;
}

async function holdsParts({ pool, device }: Stage): Promise<string> {
  if (sharedBytes(device) !== undefined) throw new NotHere("others use the card, and its time with it");
  const parts = [0.2, 0.8];
  const leases = await Promise.all(parts.map((compute) => pool.allocate({ memory: 64 * MiB, compute, wait: "30s" })));
  try {
    const clients = await Promise.all(
      leases.map(async (lease) => {
        const kernel = (await lease.devices[0].load(pause)).kernel("pause_for");
        return new BusyClient({ lease, kernel, args: [2_000], batch: 4 });
      }),
    );
    await partsOf(clients, 100);
    const got = await partsOf(clients, 600);
    await Promise.all(clients.map((client) => client.stop()));
    const words = got.map((part) => part.toFixed(2)).join(" and ");
    for (const [index, part] of got.entries()) assert(Math.abs(part - parts[index]!) < 0.1, `they get ${words}`);
    return words;
  } finally {
    await Promise.all(leases.map((lease) => lease.release().catch(() => undefined)));
  }
}

export const memoryChecks: Readonly<Record<string, Check>> = {
  "kernels' threads have memory beyond the lease's charge from its own slice, and give it back": lendsToThreads,
  "a job sets the size of its stacks, out of its slice, and recurses": setsStacks,
  "a lease is suspended and comes back with every byte": suspends,
  "a lease whose modules have part of its slice is suspended too, and finds them where they were": suspendsModules,
  "two leases have the parts of the card's time that they were promised": holdsParts,
};
