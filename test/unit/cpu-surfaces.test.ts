/** Surfaces of the cpu device: what kernels read and write through them, and what becomes of places outside. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TexelLayout } from "../../server/device/texel.ts";
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
  const surface = own.slice.createSurface!(of);
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
