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

type Kind = "s8" | "u8" | "tf32";
const numbersOf = (kind: Kind): number => (kind === "tf32" ? 1 : 4);
const wordOf = (kind: Kind, numbers: readonly number[]): number =>
  kind === "tf32"
    ? new Uint32Array(Float32Array.from(numbers).buffer)[0]!
    : numbers.reduce((word, value, index) => word | ((value & 0xff) << (index * 8)), 0) >>> 0;

/** Odd values that each type holds exactly. */
const oddValue = (kind: Kind, seed: number): number => {
  const value = (seed * 2654435761) % 256;
  return kind === "s8" ? value - 128 : kind === "u8" ? value : (value - 100) / 8;
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
] as const)("mma.%s multiplies %s by %s", async (shape, left, right) => {
  const [m, , k] = /m(\d+)n(\d+)k(\d+)/.exec(shape)!.slice(1).map(Number) as [number, number, number];
  const words = k / numbersOf(left);
  const a = (row: number, at: number) => oddValue(left, row * k + at + 1);
  const b = (column: number, at: number) => oddValue(right, column * k + at + 1000);
  const isFloat = left === "tf32";
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
      mma.sync.aligned.${shape}.row.col.${accumulate}.${left}.${right}.${accumulate} {${list(20, counts.d)}}, {${list(10, counts.a)}},
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
      for (let at = 0; at < k; at++) sum += a(row, at) * b(column, at);
      expect(results[lane * 4 + index], `row ${row}, column ${column}`).toBe(sum);
    }
  }
});
