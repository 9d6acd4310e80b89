/** Small matrices that lie spread over a warp: loaded by generic addresses, transposed between lanes, multiplied. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CpuMachine, openCpu, ptxKernel, readWords, runPtx, writeWords } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

/** %r1: the thread's word of `tile`, 8 rows of 8 halves that count up; %rd1: its row's generic address; %rd3: its word of the arena. */
const start = `mov.u32 %r2, tile; mad.lo.u32 %r1, %r0, 4, %r2; mul.lo.u32 %r3, %r0, 0x20002; add.u32 %r3, %r3, 0x10000;
  st.shared.u32 [%r1], %r3; bar.sync 0; and.b32 %r4, %r0, 7; mad.lo.u32 %r5, %r4, 16, %r2;
  cvt.u64.u32 %rd1, %r5; cvta.shared.u64 %rd1, %rd1; mul.wide.u32 %rd2, %r0, 4; add.u64 %rd3, %rd0, %rd2;`;
const before = ".shared .align 16 .b8 tile[128];";
const run = (body: string) => runPtx(machine, ptxKernel(start + body, { before }), { block: 32 });

const rows = Array.from({ length: 32 }, (_, lane) => (2 * lane) | ((2 * lane + 1) << 16));
const columns = Array.from({ length: 32 }, (_, lane) => {
  const at = (part: number) => (2 * (lane & 3) + part) * 8 + (lane >> 2);
  return at(0) | (at(1) << 16);
});

test("ldmatrix takes generic addresses of shared memory", async () => {
  await run("ldmatrix.sync.aligned.m8n8.x1.b16 {%r6}, [%rd1]; st.global.u32 [%rd3], %r6;");
  expect([...readWords(machine, 32)]).toEqual(rows);
  await run("ldmatrix.sync.aligned.m8n8.x1.trans.b16 {%r6}, [%rd1]; st.global.u32 [%rd3], %r6;");
  expect([...readWords(machine, 32)]).toEqual(columns);
});

test("movmatrix transposes what lanes hold, also into the register that it comes from", async () => {
  await run("ld.shared.u32 %r6, [%r1]; movmatrix.sync.aligned.m8n8.trans.b16 %r6, %r6; st.global.u32 [%rd3], %r6;");
  expect([...readWords(machine, 32)]).toEqual(columns);
});

test("ldmatrix refuses an address outside shared memory", async () => {
  const other = await openCpu();
  const loads = "ldmatrix.sync.aligned.m8n8.x1.b16 {%r6}, [%rd0]; st.global.u32 [%rd3], %r6;";
  await expect(runPtx(other, ptxKernel(start + loads, { before }), { block: 32 })).rejects.toMatchObject({
    code: "ILLEGAL_ADDRESS",
  });
  await other.slice.close();
});

test.each([
  ["x4", 4, ""],
  ["x2", 2, ""],
  ["x1", 1, ".shared"],
])("stmatrix stores what ldmatrix loads: %s", async (form, count, space) => {
  const list = Array.from({ length: count }, (_, index) => `%r${10 + index}`).join(", ");
  // Each lane makes words of its own; matrices go to shared memory by rows, the last row first, and come back as lanes held them.
  const makes = Array.from(
    { length: count },
    (_, index) => `mad.lo.u32 %r${10 + index}, %r0, 0x20002, ${(index << 8) | 0x10000};`,
  );
  const stores = Array.from({ length: count }, (_, index) => `st.global.u32 [%rd2+${index * 4}], %r${10 + index};`);
  for (const [store, load] of [
    ["", ""],
    [".trans", ".trans"],
    [".trans", ""],
  ]) {
    const body = `mov.u32 %r2, tile; and.b32 %r4, %r0, 31; sub.u32 %r4, 31, %r4; mad.lo.u32 %r5, %r4, 16, %r2;
      cvt.u64.u32 %rd1, %r5; ${space === "" ? "cvta.shared.u64 %rd1, %rd1;" : ""} mul.wide.u32 %rd2, %r0, 16; add.u64 %rd2, %rd0, %rd2;
      ${makes.join(" ")}
      stmatrix.sync.aligned.m8n8.${form}${store}${space}.b16 [%rd1], {${list}};
      bar.sync 0; ldmatrix.sync.aligned.m8n8.${form}${load}${space}.b16 {${list}}, [%rd1];
      ${stores.join(" ")}`;
    await runPtx(machine, ptxKernel(body, { before: ".shared .align 16 .b8 tile[512];" }), { block: 32 });
    const read = readWords(machine, 128);
    const word = (lane: number, index: number) => (Math.imul(lane, 0x20002) + ((index << 8) | 0x10000)) >>> 0;
    const half = (lane: number, index: number, part: number) => (word(lane, index) >>> (16 * part)) & 0xffff;
    for (let lane = 0; lane < 32; lane++) {
      for (let index = 0; index < count; index++) {
        // What stands transposed of lane L at (row, column): row L / 4, columns 2 (L % 4) and one more.
        const at = (part: number) => half((2 * (lane & 3) + part) * 4 + (lane >> 3), index, (lane >> 2) & 1);
        const expected = store === load ? word(lane, index) : (at(0) | (at(1) << 16)) >>> 0;
        expect(read[lane * 4 + index], `lane ${lane} matrix ${index} ${store}${load}`).toBe(expected);
      }
    }
  }
});

test("stmatrix refuses an address outside shared memory", async () => {
  const other = await openCpu();
  const stores = "stmatrix.sync.aligned.m8n8.x1.b16 [%rd0], {%r0};";
  await expect(runPtx(other, ptxKernel(stores), { block: 32 })).rejects.toMatchObject({ code: "ILLEGAL_ADDRESS" });
  await other.slice.close();
});

type Kind = "s8" | "u8" | "s4" | "u4" | "b1" | "tf32" | "e4m3" | "e5m2";
const bitsOf: Record<Kind, number> = { s8: 8, u8: 8, s4: 4, u4: 4, b1: 1, tf32: 32, e4m3: 8, e5m2: 8 };
const numbersOf = (kind: Kind): number => 32 / bitsOf[kind];
const wordOf = (kind: Kind, numbers: readonly number[]): number => {
  if (kind === "tf32") return new Uint32Array(Float32Array.from(numbers).buffer)[0]!;
  const bits = bitsOf[kind];
  if (kind === "e4m3" || kind === "e5m2")
    return wordOf(
      "u8",
      numbers.map((value) => float8(value, kind)),
    );
  return numbers.reduce((word, value, index) => word | ((value & (2 ** bits - 1)) << (index * bits)), 0) >>> 0;
};

/** The code of a number that a float of 8 bits holds exactly, and that is none of its subnormal ones. */
function float8(value: number, kind: "e4m3" | "e5m2"): number {
  if (value === 0) return 0;
  const [mantissaBits, bias] = kind === "e4m3" ? [3, 7] : [2, 15];
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  const mantissa = (Math.abs(value) / 2 ** exponent - 1) * 2 ** mantissaBits;
  return (value < 0 ? 0x80 : 0) | ((exponent + bias) << mantissaBits) | mantissa;
}

/** Odd values that each type holds exactly. */
const oddValue = (kind: Kind, seed: number): number => {
  const value = (seed * 2654435761) % 256;
  if (kind === "tf32") return (value - 100) / 8;
  if (kind === "e4m3") return ((value % 31) - 15) / 2;
  if (kind === "e5m2") return (1 + (value % 4) / 4) * 2 ** (((value >> 2) % 6) - 3) * (value & 64 ? -1 : 1);
  const below = 2 ** bitsOf[kind];
  return (value % below) - (kind.startsWith("s") ? below / 2 : 0);
};

/**
 * Words of a matrix as lanes hold them, `registers` for each: rows by `lane / 4`, four lanes next to each other in a row. With 16 rows every
 * second register belongs to the row eight further down.
 */
function fragments(
  kind: Kind,
  at: (row: number, k: number) => number,
  { rows, words }: { rows: number; words: number },
) {
  const numbers = numbersOf(kind);
  return Array.from({ length: 32 }, (_, lane) =>
    Array.from({ length: (words / 4) * (rows / 8) }, (__, register) => {
      const row = (lane >> 2) + (rows === 16 && (register & 1) === 1 ? 8 : 0);
      const k = ((rows === 16 ? register >> 1 : register) * 4 + (lane & 3)) * numbers;
      return wordOf(
        kind,
        Array.from({ length: numbers }, (___, index) => at(row, k + index)),
      );
    }),
  );
}

test.each([
  ["m16n8k32", "s8", "s8"],
  ["m16n8k16", "s8", "u8"],
  ["m16n8k16", "u8", "s8"],
  ["m16n8k32", "u8", "u8"],
  ["m8n8k16", "s8", "s8"],
  ["m16n8k8", "tf32", "tf32"],
  ["m16n8k4", "tf32", "tf32"],
  ["m16n8k32", "e4m3", "e4m3"],
  ["m16n8k32", "e4m3", "e5m2"],
  ["m16n8k16", "e5m2", "e4m3"],
  ["m16n8k16", "e5m2", "e5m2"],
  ["m8n8k32", "s4", "s4"],
  ["m8n8k32", "u4", "s4"],
  ["m16n8k32", "s4", "u4"],
  ["m16n8k64", "s4", "s4"],
  ["m16n8k64", "u4", "u4"],
  ["m8n8k128", "b1", "b1", "xor"],
  ["m16n8k128", "b1", "b1", "and"],
  ["m16n8k256", "b1", "b1", "xor"],
  ["m16n8k256", "b1", "b1", "and"],
] as const)("mma.%s multiplies %s by %s", async (shape, left, right, combine = undefined) => {
  const [m, , k] = /m(\d+)n(\d+)k(\d+)/.exec(shape)!.slice(1).map(Number) as [number, number, number];
  const words = k / numbersOf(left);
  const a = (row: number, at: number) => oddValue(left, row * k + at + 1);
  const b = (column: number, at: number) => oddValue(right, column * k + at + 1000);
  const isFloat = ["tf32", "e4m3", "e5m2"].includes(left);
  const counts = { a: (words / 4) * (m / 8), b: words / 4, d: m / 4 };
  const inputs = [fragments(left, a, { rows: m, words }), fragments(right, b, { rows: 8, words })];
  const lanes = Array.from({ length: 32 }, (_, lane) => [...inputs[0]![lane]!, ...inputs[1]![lane]!]).map((lane) => [
    ...lane,
    ...Array.from({ length: 8 - lane.length }, () => 0),
  ]);
  writeWords(machine, lanes.flat());
  const list = (first: number, count: number) =>
    Array.from({ length: count }, (_, index) => `%r${first + index}`).join(", ");
  const [accumulate, three] = isFloat ? ["f32", "0f40400000"] : ["s32", "3"];
  const loads = Array.from({ length: 8 }, (_, index) => `ld.global.b32 %r${10 + index}, [%rd1+${index * 4}];`).join(
    " ",
  );
  const stores = Array.from({ length: counts.d }, (_, index) => `st.global.b32 [%rd2+${index * 4}], %r${20 + index};`);
  const sums = Array.from({ length: counts.d }, (_, index) => `mov.b32 %r${20 + index}, ${three};`).join(" ");
  await runPtx(
    machine,
    ptxKernel(`mul.wide.u32 %rd1, %r0, 32; add.u64 %rd1, %rd0, %rd1; mul.wide.u32 %rd2, %r0, 16; add.u64 %rd2, %rd0, %rd2;
      ${loads} ${sums} bar.sync 0;
      mma.sync.aligned.${shape}.row.col.${accumulate}.${left}.${right}.${accumulate}${combine === undefined ? "" : `.${combine}.popc`} {${list(20, counts.d)}}, {${list(10, counts.a)}},
        {${list(10 + counts.a, counts.b)}}, {${list(20, counts.d)}};
      ${stores.join(" ")}`),
    { block: 32 },
  );
  const read = readWords(machine, 128);
  const results = isFloat ? new Float32Array(read.buffer) : new Int32Array(read.buffer);
  for (let lane = 0; lane < 32; lane++) {
    for (let index = 0; index < counts.d; index++) {
      const [row, column] = [(lane >> 2) + (index >> 1) * 8, (lane & 3) * 2 + (index & 1)];
      let sum = 3;
      for (let at = 0; at < k; at++) {
        const [x, y] = [a(row, at), b(column, at)];
        sum += combine === "xor" ? x ^ y : combine === "and" ? x & y : x * y;
      }
      expect(results[lane * 4 + index], `row ${row}, column ${column}`).toBe(sum);
    }
  }
});

test("mma on f64 multiplies numbers of two words, with one rounding or two for each product", async () => {
  const a = (row: number, at: number) => (row - 3) / 7 + at;
  const b = (column: number, at: number) => (column + 1) / 3 - at * 2;
  const lanes = Array.from({ length: 32 }, (_, lane) => [a(lane >> 2, lane & 3), b(lane >> 2, lane & 3)]);
  writeWords(machine, new Uint32Array(Float64Array.from(lanes.flat()).buffer));
  const body = `mul.wide.u32 %rd1, %r0, 16; add.u64 %rd1, %rd0, %rd1; ld.global.f64 %fd3, [%rd1]; ld.global.f64 %fd4, [%rd1+8];
    mov.f64 %fd1, 0d4008000000000000; mov.f64 %fd2, 0dBFF0000000000000; bar.sync 0;
    mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64.rn {%fd1, %fd2}, {%fd3}, {%fd4}, {%fd1, %fd2};
    st.global.f64 [%rd1], %fd1; st.global.f64 [%rd1+8], %fd2;`;
  await runPtx(machine, ptxKernel(body), { block: 32 });
  const results = new Float64Array(readWords(machine, 128).buffer);
  for (let lane = 0; lane < 32; lane++) {
    for (const index of [0, 1]) {
      let sum = index === 0 ? 3 : -1;
      for (let at = 0; at < 4; at++) sum += a(lane >> 2, at) * b((lane & 3) * 2 + index, at);
      expect(Math.abs(results[lane * 2 + index]! - sum)).toBeLessThan(1e-14);
    }
  }
});

test("a sum of integers is clamped where the instruction says so, and wraps else", async () => {
  const run = async (form: string, addend: number): Promise<number> => {
    // Every number of A and B is 127, or -128 in A where the addend is below zero.
    const left = addend < 0 ? "0x80808080" : "0x7f7f7f7f";
    const body = `mov.b32 %r1, ${left}; mov.b32 %r2, 0x7f7f7f7f; mov.b32 %r3, ${addend}; mov.b32 %r4, ${addend};
      mma.sync.aligned.m8n8k16.row.col${form}.s32.s8.s8.s32 {%r3, %r4}, {%r1}, {%r2}, {%r3, %r4};
      mul.wide.u32 %rd1, %r0, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1], %r4;`;
    await runPtx(machine, ptxKernel(body), { block: 32 });
    const results = new Set(new Int32Array(readWords(machine, 32).buffer));
    expect(results.size).toBe(1);
    return [...results][0]!;
  };
  const product = 16 * 127 * 127;
  expect(await run(".satfinite", 1000)).toBe(1000 + product);
  expect(await run(".satfinite", 0x7fffffff)).toBe(0x7fffffff);
  expect(await run("", 0x7fffffff)).toBe((0x7fffffff + product) | 0);
  expect(await run(".satfinite", -0x80000000)).toBe(-0x80000000);
  expect(await run("", -0x80000000)).toBe((-0x80000000 - 16 * 128 * 127) | 0);
});
