/**
 * The cpu device against plain JavaScript and, where there is a C compiler, `cc -O3`: whole computations, the cost of a
 * launch, and the time to compile a module. The device uses all its workers; JavaScript and C run in one thread.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { median } from "../../client/measure/statistics.ts";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import type { DeviceSlice } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import type { BenchCase, CaseContext } from "../case.ts";
import { compileC } from "../floor/compile.ts";
import {
  type Arrays,
  type Computation,
  computations,
  ELEMENTS,
  makeArrays,
  prepareLaunch,
} from "../measure/computations.ts";
import { runTool } from "../measure/tool.ts";
import type { Cell, Table } from "../report/model.ts";

const ARENA_BYTES = 256 * 2 ** 20;
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const ptxOf = (name: string): Uint8Array => new Uint8Array(readFileSync(here(`../../test/kernels/ptx/${name}.ptx`)));

interface Rounds {
  readonly rounds: number;
  /** Runs before the first that counts: both compilers, V8's and the device's, take a few. */
  readonly warmup: number;
}

async function openSlice(): Promise<DeviceSlice> {
  const [description] = await cpuDriver.discover("1x1GiB");
  return cpuDriver.open({
    description: description!,
    arenaBytes: ARENA_BYTES,
    arenaBase: ARENA_BASE,
    kernelTimeoutMs: 0,
    onOutput: () => {},
  });
}

/** Median nanoseconds of a run that may be asynchronous. */
async function timed(run: () => void | Promise<void>, { rounds, warmup }: Rounds): Promise<number> {
  const times: number[] = [];
  for (let round = -warmup; round < rounds; round++) {
    const started = process.hrtime.bigint();
    await run();
    if (round >= 0) times.push(Number(process.hrtime.bigint() - started));
  }
  return median(times);
}

/** Where a computation leaves its result. */
const resultOf = ({ name }: Computation): "b" | "c" | "d" =>
  name === "saxpy" ? "b" : name === "black-scholes" ? "d" : "c";

/** Fails where the device's numbers are not JavaScript's: a fast wrong answer is no result. */
async function compare(
  computation: Computation,
  { slice, arrays }: { slice: DeviceSlice; arrays: Arrays },
): Promise<void> {
  const array = resultOf(computation);
  const result = new Float32Array(64);
  const address = ARENA_BASE + "abcde".indexOf(array) * ELEMENTS * 4;
  await slice.read(address, new Uint8Array(result.buffer), undefined);
  // The sum comes in one part per block, and every fourth number of the bodies is padding.
  const parts = computation.name === "reduce" ? Float32Array.of(result.reduce((sum, part) => sum + part, 0)) : result;
  parts.forEach((value, i) => {
    const expected = arrays[array][i]!;
    if (computation.name === "nbody" && i % 4 === 3) return;
    if (!(Math.abs(value - expected) <= 1e-3 * Math.abs(expected) + 1e-3))
      throw new Error(`[${computation.name}] gives [${value}] at [${i}] instead of [${expected}].`);
  });
}

/** A computation made ready on the device and held against JavaScript's result once; `run` is one run of it. */
async function prepareDevice(
  computation: Computation,
  slice: DeviceSlice,
): Promise<{ run(): Promise<void>; end(): Promise<void> }> {
  const arrays = makeArrays(computation.inputs);
  for (const [i, name] of (["a", "b", "c", "d", "e"] as const).entries())
    await slice.write(ARENA_BASE + i * ELEMENTS * 4, new Uint8Array(arrays[name].buffer), undefined);
  const module = await slice.loadModule(ptxOf(computation.ptx));
  const launch = prepareLaunch(computation, { slice, module, base: ARENA_BASE });
  const run = async (): Promise<void> => {
    await launch();
    await slice.synchronize();
  };
  await run();
  computation.javascript(arrays);
  await compare(computation, { slice, arrays });
  return {
    run,
    async end() {
      await slice.unloadModule(module);
    },
  };
}

async function measureC(computation: Computation, { rounds, warmup }: Rounds): Promise<number | undefined> {
  const program = compileC(here("../floor/compute.c"), ["-O3"]);
  if (program === undefined) return undefined;
  const output = await runTool([program, computation.name, String(rounds + warmup)]);
  const times = output
    .split("\n")
    .slice(0, rounds + warmup)
    .map(Number);
  return median(times.slice(warmup));
}

const ratio = (of: number, to: number | undefined): number | undefined => (to === undefined ? undefined : to / of);

/** Turns in which device, JavaScript and C follow each other, so that a busy machine disturbs all three alike. */
const TURNS = 3;

async function computeRow(
  computation: Computation,
  { slice, rounds }: { slice: DeviceSlice; rounds: Rounds },
): Promise<Cell[]> {
  const prepared = await prepareDevice(computation, slice);
  const arrays = makeArrays(computation.inputs);
  const times: { device: number[]; javascript: number[]; c: number[] } = { device: [], javascript: [], c: [] };
  for (let turn = 0; turn < TURNS; turn++) {
    times.device.push(await timed(prepared.run, rounds));
    times.javascript.push(await timed(() => computation.javascript(arrays), rounds));
    const c = await measureC(computation, rounds);
    if (c !== undefined) times.c.push(c);
  }
  await prepared.end();
  const device = median(times.device);
  const javascript = median(times.javascript);
  const c = times.c.length > 0 ? median(times.c) : undefined;
  const rate = (computation.count / device) * 1e9;
  const ratios = [ratio(device, javascript), ratio(device, c)];
  return [computation.title, device, javascript, c, rate, computation.unit, ...ratios];
}

async function computeTable(slice: DeviceSlice, context: CaseContext): Promise<Table> {
  const rounds: Rounds = context.quick ? { rounds: 1, warmup: 1 } : { rounds: 9, warmup: 3 };
  const rows: Cell[][] = [];
  for (const [i, computation] of computations.entries()) {
    context.progress(i / (computations.length + 2), computation.title);
    rows.push(await computeRow(computation, { slice, rounds }));
  }
  return {
    title: "Whole computations, median time of a run",
    columns: [
      { title: "computation" },
      { title: "cpu device", unit: "ns" },
      { title: "JavaScript", unit: "ns" },
      { title: "cc -O3", unit: "ns" },
      { title: "device's rate", unit: "perSecond" },
      { title: "of" },
      { title: "against JavaScript", unit: "ratio" },
      { title: "against cc -O3", unit: "ratio" },
    ],
    rows,
    note: `The device runs on up to ${availableParallelism()} cores here, JavaScript and C in one thread. Above 1x the device is faster.`,
  };
}

/** Cost of an empty kernel: waited for each time, and many behind each other with one wait at the end. */
async function launchTable(slice: DeviceSlice, context: CaseContext): Promise<Table> {
  const module = await slice.loadModule(ptxOf("linear"));
  const kernel = module.kernels.findIndex(({ name }) => name === "empty");
  const params = new Uint8Array(module.kernels[kernel]!.paramBytes);
  const rows: Cell[][] = [];
  for (const [grid, block] of [
    [1, 1],
    [1, 256],
    [64, 256],
    [4096, 256],
  ] as const) {
    context.progress(computations.length / (computations.length + 2), `launch of ${grid} blocks of ${block}`);
    const rounds = Math.max(3, Math.floor((context.quick ? 500 : 3000) / Math.sqrt(grid)));
    const launch = (): void | Promise<void> =>
      slice.launch({
        module,
        kernel,
        grid: [grid, 1, 1],
        block: [block, 1, 1],
        sharedBytes: 0,
        params,
        stream: undefined,
      });
    const waited = await timed(
      async () => {
        await launch();
        await slice.synchronize();
      },
      { rounds, warmup: Math.ceil(rounds / 10) },
    );
    const behind = await timed(
      async () => {
        for (let i = 0; i < rounds; i++) {
          const pending = launch();
          if (pending !== undefined) await pending;
        }
        await slice.synchronize();
      },
      { rounds: 3, warmup: 1 },
    );
    rows.push([`${grid} blocks of ${block}`, waited, behind / rounds]);
  }
  await slice.unloadModule(module);
  return {
    title: "An empty kernel",
    columns: [
      { title: "launch" },
      { title: "launch and synchronise", unit: "ns" },
      { title: "each of many launches", unit: "ns" },
    ],
    rows,
  };
}

/** Modules, each with a kernel whose first parameter is a count: with parameters of zeros it does nothing. */
const modules = [
  ["linear", "vector_add"],
  ["cooperative", "histogram_global"],
  ["numeric", "black_scholes"],
  ["libm", "libm_f32"],
  ["integers", "integers32"],
] as const;

const MANY = 500;

/** A module like those of large libraries: many kernels of a few hundred instructions, of which a program uses few. */
function manyKernels(): Uint8Array {
  const steps = Array.from(
    { length: 40 },
    (
      _,
      i,
    ) => `ld.global.f32 %f1, [%rd1+${i * 4}]; fma.rn.f32 %f2, %f1, %f2, %f1; setp.gt.f32 %p1, %f2, %f1; @%p1 bra L${i};
add.f32 %f2, %f2, %f1;
L${i}: st.shared.f32 [s+${i * 4}], %f2; bar.sync 0;`,
  ).join("\n");
  const kernels = Array.from(
    { length: MANY },
    (_, i) => `.visible .entry k${i}(.param .u32 n, .param .u64 p) {
.reg .pred %p<2>; .reg .b32 %r<2>; .reg .b64 %rd<2>; .reg .f32 %f<3>; .shared .align 4 .b8 s[256];
ld.param.u32 %r1, [n]; ld.param.u64 %rd1, [p]; setp.eq.u32 %p1, %r1, 0; @%p1 bra DONE;
${steps}
st.global.f32 [%rd1], %f2;
DONE: ret;
}`,
  );
  return new TextEncoder().encode(`.version 8.0\n.target sm_80\n.address_size 64\n${kernels.join("\n")}`);
}

/** Time in which workers have started, as those of a spare executor have. */
const WORKERS_START_MS = 500;

/** Nanoseconds to load a module, and to launch one of its kernels for the first time, on a slice that has compiled nothing yet. */
async function measureLoad(
  image: Uint8Array,
  kernelName: string,
): Promise<{ load: number; launch: number; kernels: number }> {
  await cpuDriver.prepare?.();
  await new Promise((resolve) => setTimeout(resolve, WORKERS_START_MS));
  const slice = await openSlice();
  const started = process.hrtime.bigint();
  const module = await slice.loadModule(image);
  const loaded = process.hrtime.bigint();
  const kernel = module.kernels.findIndex((info) => info.name === kernelName);
  const params = new Uint8Array(module.kernels[kernel]!.paramBytes);
  const one = [1, 1, 1] as const;
  await slice.launch({ module, kernel, grid: one, block: one, sharedBytes: 0, params, stream: undefined });
  await slice.synchronize();
  const launched = process.hrtime.bigint();
  await slice.close();
  return { load: Number(loaded - started), launch: Number(launched - loaded), kernels: module.kernels.length };
}

async function compileTable(context: CaseContext): Promise<Table> {
  const rows: Cell[][] = [];
  const images = [
    ...modules.map(([name, kernel]) => ({ title: `${name}.ptx`, image: ptxOf(name), kernel })),
    { title: `${MANY} kernels`, image: manyKernels(), kernel: "k7" },
  ];
  for (const { title, image, kernel } of images) {
    context.progress((computations.length + 1) / (computations.length + 2), `compile ${title}`);
    const measured: Awaited<ReturnType<typeof measureLoad>>[] = [];
    for (let round = 0; round < (context.quick ? 1 : 9); round++) measured.push(await measureLoad(image, kernel));
    const [load, launch] = [median(measured.map((m) => m.load)), median(measured.map((m) => m.launch))];
    rows.push([title, image.byteLength, measured[0]!.kernels, load, launch]);
  }
  return {
    title: "Loading a module",
    columns: [
      { title: "module" },
      { title: "PTX", unit: "bytes" },
      { title: "kernels", unit: "count" },
      { title: "load", unit: "ns" },
      { title: "first launch", unit: "ns" },
    ],
    rows,
    note: "On a slice that has just been opened, with workers that waited for one, as in a spare executor. The first launch compiles its kernel.",
  };
}

export const cpuCase: BenchCase = {
  name: "cpu",
  title: "The cpu device against plain JavaScript and cc -O3",
  async run(context) {
    const slice = await openSlice();
    try {
      const tables = [await computeTable(slice, context), await launchTable(slice, context)];
      return { tables: [...tables, await compileTable(context)] };
    } finally {
      await slice.close();
    }
  },
};
