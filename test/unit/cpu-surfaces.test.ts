/** Surfaces of the cpu device: what kernels read and write through them, and what becomes of places outside. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { numberWriter } from "../../server/device/cpu/run/texel-writer.ts";
import { type SurfaceOptions, type TexelLayout, texelBytes } from "../../server/device/texel.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { type CpuMachine, failure, openCpu, ptxKernel, readWords, runPtx, writeWords } from "./cpu-machine.ts";

const SURFACE = 0x1_0000;
const WIDTH = 6;
/** Rows of 24 bytes, 32 apart; planes of three rows and a gap. */
const layout: TexelLayout = {
  address: ARENA_BASE + SURFACE,
  format: 3,
  channels: 1,
  width: WIDTH,
  height: 3,
  depth: 0,
  layers: 0,
  rowBytes: 32,
  planeBytes: 128,
};
const volume: TexelLayout = { ...layout, depth: 4 };
const layers: TexelLayout = { ...layout, layers: 4 };
const row: TexelLayout = { ...layout, height: 0 };

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(async () => {
  await machine.slice.close();
});

/** Word of the surface's memory at texel [x, y] of a plane. */
const wordAt = (x: number, y: number, plane = 0): number => plane * 32 + y * 8 + x;

/** Runs a body in which %rd0 is the surface and %rd1 the start of the arena; returns the first words there. */
async function run(of: TexelLayout, body: string, own = machine): Promise<Uint32Array> {
  const surface = own.slice.createSurface!({ layout: of, storesParts: false });
  try {
    await runPtx(own, ptxKernel(body, { params: 2 }), { args: [surface.object, ARENA_BASE] });
  } finally {
    own.slice.destroySurface!(surface);
  }
  return readWords(own, 8);
}

/** Numbers in all of the surface's memory, gaps included. */
function number(): void {
  writeWords(
    machine,
    Array.from({ length: 128 }, (_, index) => 1000 + index),
    SURFACE,
  );
}

describe("a surface", () => {
  it.each([
    ["1d", row, "{%r1}", wordAt(2, 0)],
    ["2d", layout, "{%r1, %r2}", wordAt(2, 1)],
    ["3d", volume, "{%r1, %r2, %r3, %r3}", wordAt(2, 1, 3)],
    ["a1d", { ...row, layers: 4 }, "{%r3, %r1}", wordAt(2, 0, 3)],
    ["a2d", layers, "{%r3, %r1, %r2, %r2}", wordAt(2, 1, 3)],
  ] as const)("of %s is read and written by bytes along a row", async (geometry, of, place, word) => {
    number();
    const body = `mov.u32 %r1, 8; mov.u32 %r2, 1; mov.u32 %r3, 3;
      suld.b.${geometry}.b32.trap %r10, [%rd0, ${place}];
      suld.b.${geometry}.v2.b16.trap {%h1, %h2}, [%rd0, ${place}];
      sust.b.${geometry}.v2.b16.trap [%rd0, ${place}], {%h2, %h1};
      cvt.u32.u16 %r11, %h1; st.global.v2.u32 [%rd1], {%r10, %r11};`;
    const words = await run(of, body);
    expect([...words].slice(0, 2)).toEqual([1000 + word, 1000 + word]);
    const after = readWords(machine, 128, SURFACE);
    expect(after[word]).toBe(((1000 + word) << 16) >>> 0);
    after[word] = 1000 + word;
    expect([...after]).toEqual(Array.from({ length: 128 }, (_, index) => 1000 + index));
  });

  it("takes accesses of every width", async () => {
    number();
    const body = `mov.u32 %r1, 8; mov.u32 %r2, 0; mov.u32 %r3, 16; mov.u32 %r4, 3;
      suld.b.2d.b8.trap {%h1}, [%rd0, {%r4, %r2}]; suld.b.2d.b64.trap %rd5, [%rd0, {%r1, %r2}];
      suld.b.2d.v4.b32.trap {%r10, %r11, %r12, %r13}, [%rd0, {%r2, %r2}];
      cvt.u32.u16 %r5, %h1; st.global.u32 [%rd1], %r5; st.global.u64 [%rd1+8], %rd5; st.global.u32 [%rd1+16], %r13;
      sust.b.2d.b64.trap [%rd0, {%r3, %r2}], %rd5; sust.b.2d.b8.trap [%rd0, {%r2, %r2}], %h1;`;
    writeWords(machine, [0x7700_0000], SURFACE);
    const words = await run(layout, body);
    expect([words[0], words[2], words[3], words[4]]).toEqual([0x77, 1002, 1003, 1003]);
    expect([...readWords(machine, 6, SURFACE)]).toEqual([0x7700_0077, 1001, 1002, 1003, 1002, 1003]);
  });

  it("clamps a place outside to the nearest one", async () => {
    for (const [x, y, z, expected] of [
      [-4, 0, 0, wordAt(0, 0)],
      [24, 1, 1, wordAt(5, 1, 1)],
      [2 ** 31 - 4, 7, 99, wordAt(5, 2, 3)],
      [-(2 ** 31), -1, -9, wordAt(0, 0)],
    ] as const) {
      number();
      const body = `mov.s32 %r1, ${x}; mov.s32 %r2, ${y}; mov.s32 %r3, ${z};
        suld.b.3d.b32.clamp %r10, [%rd0, {%r1, %r2, %r3, %r3}]; st.global.u32 [%rd1], %r10;
        mov.u32 %r11, 5; sust.b.3d.b32.clamp [%rd0, {%r1, %r2, %r3, %r3}], %r11;`;
      expect((await run(volume, body))[0]).toBe(1000 + expected);
      const after = readWords(machine, 128, SURFACE);
      expect(after[expected]).toBe(5);
      expect(after.reduce((sum, word) => sum + (word >= 1000 ? 1 : 0), 0)).toBe(127);
    }
  });

  it("gives zeros for a place outside, and writes nothing there", async () => {
    number();
    const body = `mov.s32 %r1, 24; mov.s32 %r2, 2; mov.u32 %r11, 5;
      sust.b.2d.b32.zero [%rd0, {%r1, %r2}], %r11; suld.b.2d.b32.zero %r10, [%rd0, {%r1, %r2}];
      mov.s32 %r1, 16; suld.b.2d.v4.b32.zero {%r12, %r13, %r14, %r15}, [%rd0, {%r1, %r2}];
      st.global.v4.u32 [%rd1], {%r10, %r12, %r13, %r15};`;
    expect([...(await run(layout, body))].slice(0, 4)).toEqual([0, 0, 0, 0]);
    expect([...readWords(machine, 128, SURFACE)]).toEqual(Array.from({ length: 128 }, (_, index) => 1000 + index));
  });

  it("tells its sizes", async () => {
    const body = `suq.width.b32 %r1, [%rd0]; suq.height.b32 %r2, [%rd0]; suq.depth.b32 %r3, [%rd0];
      suq.array_size.b32 %r4, [%rd0]; st.global.v4.u32 [%rd1], {%r1, %r2, %r3, %r4};`;
    expect([...(await run(volume, body))].slice(0, 4)).toEqual([WIDTH, 3, 4, 0]);
  });
});

/** Stores four words as a texel at [1, 1]; returns the bytes there. */
async function stored(change: Partial<SurfaceOptions["layout"]>, words: readonly number[], storesParts = false) {
  writeWords(machine, new Array(64).fill(0xffff_ffff), SURFACE);
  writeWords(machine, words);
  const options = { layout: { ...layout, rowBytes: 96, ...change }, storesParts };
  const surface = machine.slice.createSurface!(options);
  const body = `mov.u32 %r1, 1; mov.u32 %r2, 1; ld.global.v4.b32 {%r10, %r11, %r12, %r13}, [%rd1];
    sust.p.2d.v4.b32.trap [%rd0, {%r1, %r2}], {%r10, %r11, %r12, %r13};`;
  await runPtx(machine, ptxKernel(body, { params: 2 }), { args: [surface.object, ARENA_BASE] });
  const bytes = texelBytes(options.layout);
  const all = new Uint8Array(readWords(machine, 64, SURFACE).buffer);
  const at = 96 + bytes;
  expect([all[at - 1], all[at + bytes]]).toEqual([255, 255]);
  return all.slice(at, at + bytes);
}

const bitsOf = (...values: number[]): number[] => [...new Uint32Array(Float32Array.from(values).buffer)];

describe("a texel is stored by its format", () => {
  const big = [300, 0xffff_ffff, 7, 70_000];
  const negative = [-5, 40_000, -40_000, 127].map((value) => value >>> 0);
  it.each([
    ["u8", 1, 4, big, new Uint8Array([255, 255, 7, 255])],
    ["u16", 2, 4, big, new Uint16Array([300, 65_535, 7, 65_535])],
    ["u32", 3, 4, big, new Uint32Array(big)],
    ["s8", 8, 4, negative, new Int8Array([-5, 127, -128, 127])],
    ["s16", 9, 4, negative, new Int16Array([-5, 32_767, -32_768, 127])],
    ["s32", 10, 2, negative, new Int32Array([-5, 40_000])],
    ["f16", 16, 2, bitsOf(1.5, -1e9, 0, 0), new Uint16Array([0x3e00, 0xfc00])],
    ["f32", 32, 1, bitsOf(-2.5, 1, 1, 1), new Float32Array([-2.5])],
  ] as const)("%s", async (_, format, channels, words, expected) => {
    expect(await stored({ format, channels }, words)).toEqual(new Uint8Array(expected.buffer));
  });

  it.each([
    ["u8", 1, bitsOf(0.5, 2, -1, Number.NaN), new Uint8Array([128, 255, 0, 0])],
    ["u16", 2, bitsOf(0.2, 1, 0, Infinity), new Uint16Array([13_107, 65_535, 0, 65_535])],
    ["s8", 8, bitsOf(1, -1, -7, 0.25), new Int8Array([127, -127, -127, 32])],
    ["s16", 9, bitsOf(1, -1, -7, Number.NaN), new Int16Array([32_767, -32_767, -32_767, 0])],
  ] as const)("as parts of the largest %s", async (_, format, words, expected) => {
    expect(await stored({ format, channels: 4 }, words, true)).toEqual(new Uint8Array(expected.buffer));
  });

  it("with fewer numbers than it has, and places outside that are nothing", async () => {
    number();
    const surface = { layout: { ...layout, channels: 2 as const, width: 3 }, storesParts: false };
    const { object } = machine.slice.createSurface!(surface);
    const body = `mov.u32 %r1, 2; mov.u32 %r2, 2; mov.u32 %r3, 9; sust.p.2d.b32.trap [%rd0, {%r1, %r2}], %r3;
      mov.s32 %r1, -1; sust.p.2d.b32.zero [%rd0, {%r1, %r2}], %r3; sust.p.2d.v2.b32.clamp [%rd0, {%r1, %r1}], {%r3, %r3};`;
    await runPtx(machine, ptxKernel(body), { args: [object] });
    const after = [...readWords(machine, 128, SURFACE)].flatMap((word, index) =>
      word === 1000 + index ? [] : [index],
    );
    expect(after).toEqual([0, 1, 20, 21]);
  });

  it("rounds to the nearest 16-bit float, of two the even one", () => {
    const memory = new ArrayBuffer(2);
    const write = numberWriter(memory, 16, false);
    const half = (value: number) => {
      write(0, bitsOf(value)[0]!);
      return new Uint16Array(memory)[0]!;
    };
    const numberOf = (bits: number) =>
      (bits >> 10 === 0 ? (bits & 1023) * 2 ** -24 : (1 + (bits & 1023) / 1024) * 2 ** ((bits >> 10) - 15)) || 0;
    for (let bits = 0; bits < 0x7bff; bits++) {
      const [here, next] = [numberOf(bits), numberOf(bits + 1)];
      const middle = (here + next) / 2;
      expect([half(here), half(-next), half(middle)]).toEqual([bits, 0x8000 | (bits + 1), bits + (bits % 2)]);
      expect(half(middle * (1 - 2 ** -20))).toBe(bits);
      expect(half(middle * (1 + 2 ** -20))).toBe(bits + 1);
    }
    expect([65_519, 65_520, 1e30, -Infinity, -0].map(half)).toEqual([0x7bff, 0x7c00, 0x7c00, 0xfc00, 0x8000]);
    expect(half(Number.NaN) & 0x7c00).toBe(0x7c00);
  });
});

describe("a reduction on a surface", () => {
  const threads = 64;
  /** One word per case, each reduced by all threads of two blocks. */
  it("by bytes is one for all threads", async () => {
    const first = [5, 0x8000_0000, 3, 0x8000_0000, 0xffff_ffff, 0];
    writeWords(machine, [...first, 0, 0, 100, 0, 0xffff_ffff, 0xffff_ffff], SURFACE);
    const body = `mov.u32 %r9, %ctaid.x; mad.lo.u32 %r10, %r9, ${threads}, %r0; add.u32 %r10, %r10, 1; cvt.u64.u32 %rd9, %r10; neg.s64 %rd10, %rd9;
      mov.u32 %r2, 0; mov.u32 %r3, 4; mov.u32 %r4, 8; mov.u32 %r5, 12; mov.u32 %r6, 16; mov.u32 %r7, 20;
      sured.b.add.2d.u32.trap [%rd0, {%r2, %r2}], %r10;
      sured.b.max.2d.s32.trap [%rd0, {%r3, %r2}], %r10;
      sured.b.max.2d.u32.trap [%rd0, {%r4, %r2}], %r10;
      sured.b.min.2d.u32.trap [%rd0, {%r5, %r2}], %r10;
      sured.b.and.2d.b32.trap [%rd0, {%r6, %r2}], %r10;
      sured.b.or.2d.b32.trap [%rd0, {%r7, %r2}], %r10;
      mov.u32 %r8, 1; sured.b.add.2d.u64.trap [%rd0, {%r2, %r8}], %rd9; sured.b.min.2d.s64.trap [%rd0, {%r6, %r8}], %rd10;`;
    const { object } = machine.slice.createSurface!({ layout, storesParts: false });
    await runPtx(machine, ptxKernel(body, { params: 2 }), {
      grid: [2, 1, 1],
      block: threads,
      args: [object, ARENA_BASE],
    });
    const after = readWords(machine, 16, SURFACE);
    const sum = (128 * 129) / 2;
    expect([...after.slice(0, 6)]).toEqual([5 + sum, 128, 128, 1, 0, 255]);
    expect([...after.slice(8, 10)]).toEqual([100 + sum, 0]);
    expect([...after.slice(12, 14)]).toEqual([-128 >>> 0, 0xffff_ffff]);
  });

  it.each([
    ["u32", 3, 7],
    ["s32", 10, 0xffff_fff0],
  ] as const)("by texels takes %s for what they are", async (_, format, expected) => {
    writeWords(machine, new Array(16).fill(7), SURFACE);
    const { object } = machine.slice.createSurface!({ layout: { ...layout, format }, storesParts: false });
    const body = `mov.u32 %r1, 3; mov.u32 %r2, 1; mov.s32 %r3, -16; sured.p.min.2d.b32.trap [%rd0, {%r1, %r2}], %r3;
      mov.u32 %r1, 99; sured.p.add.2d.b32.zero [%rd0, {%r1, %r2}], %r3;`;
    await runPtx(machine, ptxKernel(body), { args: [object] });
    const after = readWords(machine, 16, SURFACE);
    expect(after[11]).toBe(expected);
    expect([...after].filter((word) => word === 7).length).toBe(expected === 7 ? 16 : 15);
  });
});

describe("a kernel ends", () => {
  async function failing(of: TexelLayout, body: string): Promise<{ code: string; message: string }> {
    const own = await openCpu();
    try {
      return await failure(() => run(of, body, own));
    } finally {
      await own.slice.close();
    }
  }

  it.each([
    ["beside the row", 24, 0, 0, 0],
    ["before the row", -4, 0, 0, 0],
    ["below the last row", 0, 3, 0, 0],
    ["behind the last plane", 0, 0, 4, 0],
    ["far away", 2 ** 31 - 4, 2 ** 31 - 1, 2 ** 31 - 1, 0],
    ["at a misaligned place", 2, 0, 0, 0],
  ])("that reads %s with trap", async (_, x, y, z) => {
    const body = `mov.s32 %r1, ${x}; mov.s32 %r2, ${y}; mov.s32 %r3, ${z};
      suld.b.3d.b32.trap %r10, [%rd0, {%r1, %r2, %r3, %r3}];`;
    const { code, message } = await failing(volume, body);
    expect(code).toBe("ILLEGAL_ADDRESS");
    expect(message).toContain("accesses a surface outside its bounds in PTX line");
  });

  it("that writes to a layer that is not there", async () => {
    const body = "mov.u32 %r1, 4; mov.u32 %r2, 0; sust.b.a2d.b32.trap [%rd0, {%r1, %r2, %r2, %r2}], %r2;";
    expect((await failing(layers, body)).code).toBe("ILLEGAL_ADDRESS");
  });

  it.each([
    ["beside the row", "sured.b.add.2d.u32.trap [%rd0, {%r1, %r2}], %r2;", { width: 1 }, "outside its bounds"],
    ["by texels of floats", "sured.p.add.2d.b32.trap [%rd0, {%r2, %r2}], %r2;", { format: 32 }, "no whole number"],
    ["by texels of bytes", "sured.p.add.2d.b32.trap [%rd0, {%r2, %r2}], %r2;", { format: 1 }, "no whole number"],
    ["by texels of two", "sured.p.add.2d.b32.trap [%rd0, {%r2, %r2}], %r2;", { channels: 2, width: 3 }, "no whole"],
    [
      "at a place that is no multiple",
      "sured.b.add.2d.u32.clamp [%rd0, {%r2, %r3}], %r2;",
      { format: 1, width: 8, rowBytes: 9 },
      "not at a multiple",
    ],
  ] as const)("that reduces %s", async (_, line, change, expected) => {
    const body = `mov.u32 %r1, 4; mov.u32 %r2, 0; mov.u32 %r3, 1; ${line}`;
    const { code, message } = await failing({ ...layout, ...change }, body);
    expect(code).toBe("ILLEGAL_ADDRESS");
    expect(message).toContain(expected);
  });

  it("that takes more than a row holds, whatever becomes of places outside", async () => {
    const body = "mov.u32 %r2, 0; sust.b.1d.v4.b32.clamp [%rd0, {%r2}], {%r2, %r2, %r2, %r2};";
    expect((await failing({ ...row, width: 3 }, body)).code).toBe("ILLEGAL_ADDRESS");
  });

  it("that takes an address, or a texture, for a surface", async () => {
    const own = await openCpu();
    const body = "mov.u32 %r2, 0; sust.b.1d.b32.clamp [%rd1, {%r2}], %r2;";
    const { code, message } = await failure(() => run(row, body, own));
    expect(code).toBe("ILLEGAL_ADDRESS");
    expect(message).toContain(`uses [0x${ARENA_BASE.toString(16)}] as a texture or surface`);
    await own.slice.close();
  });
});
