/**
 * A child of the check: does one job on one device and tells its parent what came out. What few jobs need, a client and the cpu device, is loaded by
 * those alone: a check has dozens of children.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readAttribute } from "../../server/device/cuda/attributes.ts";
import { DeviceAttributeNumber } from "../../server/device/cuda/constants.ts";
import { CudaContext } from "../../server/device/cuda/context.ts";
import { listOrdinals } from "../../server/device/cuda/discovery.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import { imageFormat } from "../../server/device/cuda/image.ts";
import { loadCuda } from "../../server/device/cuda/library.ts";
import { addressOf } from "../../server/device/cuda/symbols.ts";
import type { DeviceDescription, DeviceModule, DeviceSlice } from "../../server/device/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { CASE_ARENA_BYTES, kernelCases } from "../kernels/cases.ts";
import { openSliceMachine, type SliceMachine } from "../kernels/slice-machine.ts";
import { fixture } from "../kernels/support.ts";
import { fetchFromAll, moveInAll } from "../kernels/texture-kernels.ts";
import { isAll } from "../support/is-all.ts";
import { type Begin, capabilityOf, type Job, type Reply, type Row, type Sizes } from "./job.ts";
import { climb } from "./ladder.ts";
import { measure } from "./measure.ts";

const MiB = 1024 * 1024;
const job = JSON.parse(process.argv[2] ?? "") as Job;

const tell = (reply: Reply): Promise<void> =>
  new Promise((resolve, reject) => {
    process.send!(reply, (error: Error | null) => (error === null ? resolve() : reject(error)));
  });

const begin: Begin = (what) => void tell({ kind: "doing", what });

const describeError = (error: unknown): string =>
  error instanceof SluiceError
    ? `${error.code}: ${error.message}`
    : error instanceof Error
      ? error.message
      : `${error}`;

async function describeDevice(): Promise<DeviceDescription> {
  const devices = await cudaDriver.discover("");
  const found = devices.find(({ id }) => id === job.device);
  assert(found !== undefined, `There is no device ${job.device}.`);
  return found;
}

async function openSlice(bytes: number, kernelTimeoutMs = 0): Promise<DeviceSlice> {
  return cudaDriver.open({
    description: await describeDevice(),
    arenaBytes: bytes,
    arenaBase: ARENA_BASE,
    kernelTimeoutMs,
    onOutput: () => undefined,
  });
}

const baseOf = (slice: DeviceSlice): number => slice.arenaBase ?? ARENA_BASE;

/** Keeps the device's context while the process lives: opening one takes longer than most cases. */
async function keepContext(description: DeviceDescription): Promise<void> {
  openContext(description);
}

function openContext({ id }: DeviceDescription): CudaContext {
  const { api } = loadCuda();
  const device = listOrdinals(loadCuda())[Number(id.split(":")[1])]!;
  return new CudaContext({ api, device, onFailure: () => undefined });
}

/** What is free beside a context: the driver counts what anybody has. */
async function tellRoom(): Promise<void> {
  const context = openContext(await describeDevice());
  context.enter();
  const [left, total] = [new BigUint64Array(1), new BigUint64Array(1)];
  context.check(context.api.cuMemGetInfo_v2(left, total), "tell the free memory");
  // Of memory in common with the processor the driver does not count what the system would give up for it.
  const isShared = readAttribute(context.api, context.device, DeviceAttributeNumber.INTEGRATED) === 1;
  await tell({ kind: "number", value: Math.max(Number(left[0]), isShared ? process.availableMemory() : 0) });
}

/** A machine for kernel cases. Where the driver does not follow the hint, they work where the arena is; another row tells. */
async function openMachine(
  description: DeviceDescription,
  { kernelTimeoutMs, onFailure }: { kernelTimeoutMs: number; onFailure: () => void },
): Promise<SliceMachine> {
  let base = ARENA_BASE;
  const arenaBytes = CASE_ARENA_BYTES;
  return openSliceMachine({
    get arenaBase() {
      return base;
    },
    arenaBytes,
    isHardware: true,
    open: async (onOutput) => {
      const options = { description, arenaBytes, arenaBase: ARENA_BASE, kernelTimeoutMs, onOutput, onFailure };
      const slice = await cudaDriver.open(options);
      base = baseOf(slice);
      return slice;
    },
  });
}

async function sweepAll(sizes: Sizes): Promise<void> {
  const description = await describeDevice();
  const machine = await openMachine(description, { kernelTimeoutMs: 0, onFailure: () => undefined });
  const { compareArithmetic } = await import("./arithmetic.ts");
  await tellRows(compareArithmetic(machine, { capability: capabilityOf(description), sizes, begin }));
}

async function runCases(positions: readonly number[]): Promise<void> {
  const description = await describeDevice();
  await keepContext(description);
  for (const position of positions) {
    const kernelCase = kernelCases[position]!;
    const start = performance.now();
    let isLost = false;
    let error: string | undefined;
    try {
      const machine = await openMachine(description, {
        kernelTimeoutMs: kernelCase.kernelTimeoutMs ?? 0,
        onFailure: () => {
          isLost = true;
        },
      });
      try {
        await kernelCase.run(machine);
      } finally {
        await machine.close();
      }
    } catch (caught) {
      error = describeError(caught);
    }
    const milliseconds = performance.now() - start;
    await tell({ kind: "case", position, milliseconds, ...(error === undefined ? {} : { error }) });
    // A lost context ends the process's use of the device, as an executor's.
    if (isLost) return;
  }
}

/** CUDA C becomes a kernel that runs, where the machine has NVRTC. */
async function checkCompiler(slice: DeviceSlice): Promise<void> {
  const name = "CUDA C is compiled by NVRTC, and runs";
  try {
    const source = 'extern "C" __global__ void square(float *x) { x[threadIdx.x] *= x[threadIdx.x]; }';
    const { image, text, log } = await slice.compile!(source, ["--use_fast_math"]);
    const module = await slice.loadModule(image, { text });
    const base = baseOf(slice);
    const x = Float32Array.from({ length: 64 }, (_, i) => i);
    await slice.write(base, new Uint8Array(x.buffer), undefined);
    const params = new Uint8Array(BigUint64Array.of(BigInt(base)).buffer);
    const shape = { grid: [1, 1, 1], block: [64, 1, 1], sharedBytes: 0 } as const;
    await slice.launch({ module, kernel: 0, ...shape, params, stream: undefined });
    const squares = new Float32Array(64);
    await slice.read(base, new Uint8Array(squares.buffer), undefined);
    // The compiler recurses as deep as the source nests.
    const nested = `*x = ${"(".repeat(200)}*x${"+1)".repeat(200)};`;
    await slice.compile!(`extern "C" __global__ void deep(float *x) { ${nested} }`, []);
    const ok = squares.every((value, i) => value === i * i);
    const isKnown = module.kernels[0]!.params[0]!.type !== 0;
    const note = `${imageFormat(image)} of ${image.byteLength} bytes; ${isKnown ? "types known" : "types unknown"} ${log}`;
    await tell({ kind: "row", row: { group: "kernels", name, ok: ok && isKnown, note } });
  } catch (error) {
    const isMissing = error instanceof SluiceError && error.code === "UNSUPPORTED";
    const verdict = isMissing ? { isSkipped: true } : { ok: false };
    await tell({ kind: "row", row: { group: "kernels", name, ...verdict, note: describeError(error) } });
  }
}

/** Textures and surfaces of every kind, over the card's own arrays where it needs them. */
async function checkImages(slice: DeviceSlice): Promise<void> {
  const kinds = { "textures of every kind": fetchFromAll, "surfaces of every kind": moveInAll };
  for (const [name, run] of Object.entries(kinds)) {
    let row: Row;
    try {
      const { actual, wanted } = await run(slice, baseOf(slice));
      const wrong = wanted.flatMap((value, index) =>
        value === actual[index] ? [] : [`${index}: ${actual[index]} for ${value}`],
      );
      const isRight = wrong.length === 0 && actual.length === wanted.length;
      row = { group: "kernels", name, ok: isRight, ...(isRight ? {} : { note: wrong.join(", ") }) };
    } catch (error) {
      row = { group: "kernels", name, ok: false, note: describeError(error) };
    }
    await tell({ kind: "row", row });
  }
}

/** A binary image tells the same kernels as its text, and runs. */
async function runFatbin(slice: DeviceSlice, base: number): Promise<void> {
  const text = await slice.loadModule(fixture("linear").slice());
  // Made by nvcc -fatbin of test/kernels/cu/linear.cu for sm_75, sm_80, sm_90 and compute_75.
  const binary = await slice.loadModule(readFileSync("test/gpu/linear.fatbin"));
  const layout = (module: DeviceModule): string[] =>
    module.kernels.map(({ name, params }) => `${name} ${params.map(({ offset, size }) => `${offset}:${size}`)}`).sort();
  assert.deepEqual(layout(binary), layout(text));
  await slice.write(base, new Uint8Array(Float32Array.of(1, 2, 3).buffer), undefined);
  const params = new DataView(new ArrayBuffer(32));
  params.setUint32(0, 3, true);
  [0, 0, 256].forEach((offset, index) => {
    params.setBigUint64(8 + index * 8, BigInt(base + offset), true);
  });
  await slice.launch({
    module: binary,
    kernel: binary.kernels.findIndex(({ name }) => name === "vector_add"),
    grid: [1, 1, 1],
    block: [32, 1, 1],
    sharedBytes: 0,
    params: new Uint8Array(params.buffer),
    stream: undefined,
  });
  const sums = new Float32Array(3);
  await slice.read(base + 256, new Uint8Array(sums.buffer), undefined);
  assert.deepEqual([...sums], [2, 4, 6]);
}

/** Where the arena is, binary images, the compiler, textures and surfaces: what fails says nothing of the next. */
async function checkFatbin(): Promise<void> {
  const slice = await openSlice(2 * MiB);
  const base = baseOf(slice);
  await tell({
    kind: "row",
    row: {
      group: "kernels",
      name: "the arena is where it was wanted",
      // Where a driver puts it elsewhere, programs work there: it is no fault, and worth to be known.
      ...(base === ARENA_BASE ? { ok: true } : {}),
      note: `wanted 0x${ARENA_BASE.toString(16)}, given 0x${base.toString(16)}`,
    },
  });
  const name = "a fatbin has its text's kernels, and runs";
  try {
    await runFatbin(slice, base);
    await tell({ kind: "row", row: { group: "kernels", name, ok: true } });
  } catch (error) {
    await tell({ kind: "row", row: { group: "kernels", name, ok: false, note: describeError(error) } });
  }
  await checkCompiler(slice);
  await checkImages(slice);
  await slice.close();
}

async function hold(bytes: number): Promise<void> {
  const slice = await openSlice(bytes);
  const address = baseOf(slice);
  await slice.fill({ address, count: bytes / 4, width: 4, value: 0xa5a5_a5a5 }, undefined);
  await slice.synchronize();
  await tell({ kind: "ready" });
  for (;;) {
    await slice.fill({ address, count: bytes / 4, width: 4, value: 0xa5a5_a5a5 }, undefined);
    await slice.synchronize();
  }
}

async function borrow(server: string, bytes: number): Promise<void> {
  const { connect } = await import("../../client/index.ts");
  const pool = await connect({ server });
  const [gpu] = (await pool.allocate({ memory: bytes, wait: "30s" })).devices;
  const all = gpu.alloc(bytes);
  all.fill(0xa5);
  await gpu.synchronize();
  await tell({ kind: "ready" });
  for (;;) {
    all.fill(0xa5);
    await gpu.synchronize();
  }
}

async function zero(bytes: number): Promise<void> {
  const slice = await openSlice(bytes);
  const piece = new Uint8Array(Math.min(bytes, 64 * MiB));
  let dirty = 0;
  for (let at = 0; at < bytes; at += piece.byteLength) {
    const part = piece.subarray(0, Math.min(piece.byteLength, bytes - at));
    part.fill(1);
    await slice.read(baseOf(slice) + at, part, undefined);
    if (!isAll(part, 0)) dirty++;
  }
  await slice.close();
  await tell({ kind: "number", value: dirty });
}

async function steady(): Promise<void> {
  const slice = await openSlice(16 * MiB);
  const module = await slice.loadModule(fixture("linear").slice());
  const kernel = module.kernels.findIndex(({ name }) => name === "vector_add");
  const n = 10_000;
  const input = Float32Array.from({ length: n }, (_, i) => i);
  const base = baseOf(slice);
  await slice.write(base, new Uint8Array(input.buffer), undefined);
  const params = new DataView(new ArrayBuffer(32));
  let isStopped = false;
  process.on("message", () => {
    isStopped = true;
  });
  let rounds = 0;
  for (; !isStopped; rounds++) {
    params.setUint32(0, n, true);
    [0, 0, MiB].forEach((offset, index) => {
      params.setBigUint64(8 + index * 8, BigInt(base + offset), true);
    });
    const grid = [Math.ceil(n / 256), 1, 1] as const;
    const block = new Uint8Array(params.buffer);
    await slice.launch({ module, kernel, grid, block: [256, 1, 1], sharedBytes: 0, params: block, stream: undefined });
    const sums = new Float32Array(n);
    await slice.read(base + MiB, new Uint8Array(sums.buffer), undefined);
    assert(
      sums.every((value, i) => value === 2 * i),
      `round ${rounds} has a wrong sum`,
    );
    if (rounds === 10) await tell({ kind: "ready" });
    await new Promise((resolve) => setImmediate(resolve));
  }
  await slice.close();
  await tell({ kind: "number", value: rounds });
}

async function storeAt(slice: DeviceSlice, address: bigint): Promise<void> {
  const module = await slice.loadModule(fixture("faults").slice());
  const params = new DataView(new ArrayBuffer(12));
  params.setBigUint64(0, address, true);
  params.setInt32(8, 1, true);
  await slice.launch({
    module,
    kernel: module.kernels.findIndex(({ name }) => name === "store_at"),
    grid: [1, 1, 1],
    block: [32, 1, 1],
    sharedBytes: 0,
    params: new Uint8Array(params.buffer),
    stream: undefined,
  });
  await slice.synchronize();
}

async function fault(): Promise<void> {
  const slice = await openSlice(2 * MiB);
  await storeAt(slice, BigInt(baseOf(slice) + 2 * MiB));
}

/** Memory that the driver knows nothing of: a page-locked part of the process is a kernel's to use, and holds nothing but the lease's own. */
async function reachHost(): Promise<void> {
  const slice = await openSlice(2 * MiB);
  const own = new Uint32Array(MiB);
  await storeAt(slice, addressOf(own));
  await tell({ kind: "number", value: own[0] });
}

async function tellRows(rows: AsyncIterable<Row>): Promise<void> {
  for await (const row of rows) await tell({ kind: "row", row });
}

async function main(): Promise<void> {
  if (job.kind === "cases") await runCases(job.positions);
  else if (job.kind === "sweep") await sweepAll(job.sizes);
  else if (job.kind === "room") await tellRoom();
  else if (job.kind === "overhead") {
    await tell({ kind: "number", value: (await cudaDriver.probe!(await describeDevice())).overheadBytes });
  } else if (job.kind === "measure") await tellRows(measure(await describeDevice(), { ...job, begin }));
  else if (job.kind === "remote") {
    const { measureRemote } = await import("./remote.ts");
    await tellRows(measureRemote(await describeDevice(), { ...job, begin }));
  } else if (job.kind === "ladder") {
    const sent: Promise<void>[] = [];
    // Each message is on its way before the next step: one that hangs holds up the event loop.
    climb(await describeDevice(), {
      begin: (what) => void sent.push(tell({ kind: "doing", what })),
      tell: (row) => void sent.push(tell({ kind: "row", row })),
    });
    await Promise.all(sent);
  } else if (job.kind === "fatbin") await checkFatbin();
  else if (job.kind === "hold") await hold(job.bytes);
  else if (job.kind === "borrow") await borrow(job.server, job.bytes);
  else if (job.kind === "zero") await zero(job.bytes);
  else if (job.kind === "steady") await steady();
  else if (job.kind === "host") await reachHost();
  else await fault();
}

// Without the check nobody needs what this process does.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));

try {
  await main();
  await tell({ kind: "done" });
} catch (error) {
  await tell({ kind: "failed", error: describeError(error) });
}
// Not process.exit: after a kernel that never ends, the driver's own clean-up would wait for it.
process.kill(process.pid, "SIGKILL");
