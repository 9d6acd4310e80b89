/** `.ftz` beside the smallest normal number, for threads one by one and side by side, against exact arithmetic. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ARENA_BASE } from "../../shared/limits.ts";
import * as exact from "../kernels/exact-float.ts";
import { flush, unbounded32 } from "../kernels/exact-float.ts";
import { seeded } from "../kernels/support.ts";
import { type CpuMachine, openCpu, ptxKernel, runPtx } from "./cpu-machine.ts";

const COUNT = 4096;
const NORMAL = 2 ** -126;
const ulp = 2 ** -23;

type Triple = readonly [number, number, number];
const operations: Record<string, (triple: Triple) => number> = {
  "mul.rn.ftz.f32 %f4, %f1, %f2;": ([a, b]) => exact.mul(unbounded32, [a, b], "rn"),
  "fma.rn.ftz.f32 %f4, %f1, %f2, %f3;": (triple) => exact.fma(unbounded32, triple, "rn"),
  "div.rn.ftz.f32 %f4, %f1, %f2;": ([a, b]) => exact.div(unbounded32, [a, b], "rn"),
  "rcp.rn.ftz.f32 %f4, %f2;": ([, b]) => exact.div(unbounded32, [1, b], "rn"),
};

/** Operands whose product or quotient lies within a few steps of the smallest normal number, and a third that takes a sum there. */
function triples(): Float32Array {
  const random = seeded(7);
  const data = new Float32Array(COUNT * 3);
  for (let i = 0; i < COUNT; i++) {
    const sign = random.int(2) ? 1 : -1;
    const edge = sign * NORMAL * (1 + ((random.int(17) - 8) * ulp) / 4);
    const a = Math.fround((1 + random.unit()) * 2 ** (random.int(120) - 60));
    const b = [edge / a, a / edge, 2 ** 126 * (1 + (random.int(9) - 4) * ulp), 3][random.int(4)]!;
    const c = [0, edge - a * Math.fround(b), -a * b, 2 ** -140][random.int(4)]!;
    data.set([a, b, c], i * 3);
  }
  return data;
}

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

/** What every thread of `block` to a block makes of its triple. */
async function run(text: string, data: Float32Array, block: number): Promise<Float32Array> {
  const columns = Float32Array.from({ length: COUNT * 3 }, (_, i) => data[(i % COUNT) * 3 + Math.floor(i / COUNT)]!);
  await machine.slice.write(ARENA_BASE, new Uint8Array(columns.buffer), undefined);
  const loads = [1, 2, 3].map((k) => `ld.global.f32 %f${k}, [%rd1+${(k - 1) * COUNT * 4}];`).join(" ");
  const body = `mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mad.lo.u32 %r3, %r1, %r2, %r0; mul.wide.u32 %rd2, %r3, 4;
    add.u64 %rd1, %rd0, %rd2; ${loads} ${text} st.global.f32 [%rd1+${COUNT * 12}], %f4;`;
  await runPtx(machine, ptxKernel(body), { block, grid: [COUNT / block, 1, 1] });
  const results = new Float32Array(COUNT);
  await machine.slice.read(ARENA_BASE + COUNT * 12, new Uint8Array(results.buffer), undefined);
  return results;
}

for (const [text, operation] of Object.entries(operations)) {
  test(`flushes what is below the smallest normal number before it is rounded up to that: ${text}`, async () => {
    const data = triples();
    const expected = Float32Array.from({ length: COUNT }, (_, i) => {
      const [a, b, c] = [...data.subarray(i * 3, i * 3 + 3)].map(flush) as unknown as Triple;
      return flush(operation([a, b, c]));
    });
    // Both sides of the edge are there.
    const isThere = (wanted: number) => expected.some((value) => Math.abs(value) === wanted);
    expect([isThere(0), isThere(NORMAL)]).toEqual([true, true]);
    // Blocks of one thread are never run side by side.
    for (const block of [64, 1]) expect([...(await run(text, data, block))], `block ${block}`).toEqual([...expected]);
  });
}

test("div.approx by more than 2^126 gives zero, and NaN for infinity", async () => {
  const divisors = [2 ** 126, 2 ** 126 * (1 + ulp), -(2 ** 127), Infinity, 3, Number.NaN];
  const dividends = [1, -1, 2 ** 127, Infinity, -0, Number.NaN, 2 ** -126];
  const data = new Float32Array(COUNT * 3);
  for (let i = 0; i < COUNT; i++) data.set([dividends[i % 7]!, divisors[i % 6]!], i * 3);
  const expected = Float32Array.from({ length: COUNT }, (_, i) => {
    const [a, b] = [data[i * 3]!, data[i * 3 + 1]!];
    return Math.abs(b) > 2 ** 126 ? a * (b < 0 ? -0 : 0) : a / b;
  });
  for (const block of [64, 1]) {
    const found = await run("div.approx.f32 %f4, %f1, %f2;", data, block);
    expect([...found], `block ${block}`).toEqual([...expected]);
  }
});
