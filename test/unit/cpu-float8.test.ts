/** Conversions to and from floats of 8 bits against the definition: the nearest of all numbers of a format, found by looking at each. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ARENA_BASE } from "../../shared/limits.ts";
import { type CpuMachine, openCpu, ptxKernel, readWords, runPtx, writeWords } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

/** The number that a code stands for, by its sign, exponent and mantissa. */
function meaningOf(code: number, { mantissaBits, bias }: { mantissaBits: number; bias: number }): number {
  const exponent = (code & 0x7f) >> mantissaBits;
  const mantissa = code & ((1 << mantissaBits) - 1);
  const size =
    exponent === 0
      ? mantissa * 2 ** (1 - bias - mantissaBits)
      : (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
  return code & 0x80 ? -size : size;
}

const e4m3 = Array.from({ length: 256 }, (_, code) =>
  (code & 0x7f) === 0x7f ? Number.NaN : meaningOf(code, { mantissaBits: 3, bias: 7 }),
);
const e5m2 = Array.from({ length: 256 }, (_, code) => {
  if ((code & 0x7f) > 0x7c) return Number.NaN;
  if ((code & 0x7f) === 0x7c) return code & 0x80 ? -Infinity : Infinity;
  return meaningOf(code, { mantissaBits: 2, bias: 15 });
});
const formats = { e4m3, e5m2 };

const scratch = new DataView(new ArrayBuffer(8));
const bitsOf = (value: number): number => {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
};

function halfValue(half: number): number {
  const exponent = (half >> 10) & 31;
  const mantissa = half & 1023;
  const size =
    exponent === 31
      ? mantissa === 0
        ? Infinity
        : Number.NaN
      : exponent === 0
        ? mantissa * 2 ** -24
        : (1 + mantissa / 1024) * 2 ** (exponent - 15);
  return half & 0x8000 ? -size : size;
}
const halves = Array.from({ length: 65_536 }, (_, half) => halfValue(half));

/** The code of the finite number next to `value`: of two as near, the even one. */
function nearest(table: readonly number[], value: number, relu = false): number {
  if (Number.isNaN(value)) return 0x7f;
  if (relu && (value < 0 || Object.is(value, -0))) return 0;
  const sign = value < 0 || Object.is(value, -0) ? 0x80 : 0;
  // Whatever is beyond all of them is next to the largest.
  const size = Math.min(Math.abs(value), 2 ** 20);
  let best = 0;
  for (let code = 1; code < 0x7f; code++) {
    if (!Number.isFinite(table[code])) continue;
    const [distance, before] = [Math.abs(size - table[code]!), Math.abs(size - table[best]!)];
    if (distance < before || (distance === before && code % 2 === 0)) best = code;
  }
  return sign | best;
}

/** 256 threads in each block: one word in, one word out. */
const kernel = (body: string): string =>
  ptxKernel(
    `mov.u32 %r1, %ctaid.x; mad.lo.u32 %r0, %r1, 256, %r0; mul.wide.u32 %rd2, %r0, 4; add.u64 %rd3, %rd0, %rd2; add.u64 %rd4, %rd1, %rd2; ld.global.b32 %r2, [%rd3]; mov.b32 %f1, %r2; ${body} st.global.u32 [%rd4], %r3;`,
    { params: 2 },
  );

async function run(body: string, input: readonly number[]): Promise<number[]> {
  const count = Math.ceil(input.length / 256) * 256;
  writeWords(
    machine,
    Uint32Array.from({ length: count }, (_, index) => input[index] ?? 0),
  );
  const args = [ARENA_BASE, ARENA_BASE + 512 * 1024];
  await runPtx(machine, kernel(body), { grid: [count / 256, 1, 1], block: 256, args });
  return [...readWords(machine, input.length, 512 * 1024)];
}

describe.each(["e4m3", "e5m2"] as const)("the format %s", (name) => {
  const table = formats[name];

  test("is made of 32-bit floats: all its numbers, what lies halfway between them, and beside that", async () => {
    const sizes = [...table].filter((value) => value >= 0 && Number.isFinite(value)).sort((a, b) => a - b);
    const middles = sizes.slice(1).map((value, index) => (value + sizes[index]!) / 2);
    const around = [...sizes, ...middles].flatMap((value) => {
      const bits = bitsOf(value);
      return [bits, bits + 1, Math.max(0, bits - 1)];
    });
    const special = [
      0x7f800000,
      0x7fc00000,
      0x7f800001,
      1,
      0x007fffff,
      0x7f7fffff,
      bitsOf(464),
      bitsOf(465),
      bitsOf(61440),
      bitsOf(61441),
    ];
    const input = [...around, ...special].flatMap((bits) => [bits, (bits | 0x80000000) >>> 0]);
    const floats = input.map((bits) => {
      scratch.setUint32(0, bits);
      return scratch.getFloat32(0);
    });
    const body = (relu: string) =>
      `mov.f32 %f2, 0f3F800000; cvt.rn.satfinite${relu}.${name}x2.f32 %h1, %f1, %f2; cvt.u32.u16 %r3, %h1;`;
    const one = nearest(table, 1);
    for (const relu of [false, true]) {
      const expected = floats.map((value) => (nearest(table, value, relu) << 8) | one);
      expect(await run(body(relu ? ".relu" : ""), input)).toEqual(expected);
    }
  });

  test("is made of every half, in its own place of a pair", async () => {
    const input = Array.from({ length: 65_536 }, (_, half) => (half | ((half ^ 0x1234) << 16)) >>> 0);
    const codes = halves.map((value) => nearest(table, value));
    const got = await run(`cvt.rn.satfinite.${name}x2.f16x2 %h1, %r2; cvt.u32.u16 %r3, %h1;`, input);
    expect(got).toEqual(input.map((_, half) => codes[half]! | (codes[half ^ 0x1234]! << 8)));
  });

  test("becomes halves, each code of it", async () => {
    const input = Array.from({ length: 256 }, (_, code) => code | ((255 - code) << 8));
    for (const relu of [false, true]) {
      const got = await run(`cvt.u16.u32 %h1, %r2; cvt.rn${relu ? ".relu" : ""}.f16x2.${name}x2 %r3, %h1;`, input);
      for (const [code, word] of got.entries()) {
        for (const [half, from] of [
          [word & 0xffff, code],
          [word >>> 16, 255 - code],
        ] as const) {
          const value = table[from]!;
          expect(halfValue(half)).toBe(relu && value <= 0 ? 0 : value);
          if (Number.isNaN(value)) expect(half).toBe(0x7fff);
        }
      }
    }
  });
});
