/**
 * Textures of the cpu device, fetched by hand-written PTX: every format, read mode, address mode and filter against the formulas of the
 * guide (test/support/texture-model.ts), and what kernels do with numbers that name no texture.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  AddressMode,
  layoutBytes,
  type TexelFormatNumber,
  type TexelLayout,
  type TextureOptions,
  texelBytes,
  texelFormats,
} from "../../server/device/texel.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { plainTexture as plain } from "../kernels/texture-kernels.ts";
import { linear, type ModelTexture, nearest } from "../support/texture-model.ts";
import { type CpuMachine, failure, openCpu, ptxKernel, readWords, runPtx } from "./cpu-machine.ts";

const TEXELS = ARENA_BASE + 0x4_0000;
const PLACES = 0x1_0000;
const RESULTS = 0x2_0000;

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(async () => {
  await machine.slice.close();
});

type Sizes = readonly [width: number, height: number, depth: number, layers: number];

function layoutOf(
  format: TexelFormatNumber,
  channels: number,
  [width, height, depth, layers]: Sizes = [8, 5, 0, 0],
): TexelLayout {
  const bytes = texelFormats[format].bytes * channels;
  // Rows and planes with a gap behind them.
  const rowBytes = width * bytes + 2 * bytes;
  return {
    address: TEXELS,
    format,
    channels,
    width,
    height,
    depth,
    layers,
    rowBytes,
    planeBytes: rowBytes * Math.max(1, height) + 3 * bytes,
  };
}

/** What a kernel fetches at each place: `fetch` takes coordinates from %f0, %f1, %f2 or %r1 to %r3 and gives %r10 to %r13. */
async function run(
  options: TextureOptions,
  fetch: string,
  places: readonly (readonly number[])[],
): Promise<Uint32Array> {
  const texture = machine.slice.createTexture!(options);
  const bits = new Float32Array(places.length * 4);
  const whole = new Int32Array(bits.buffer);
  for (const [index, place] of places.entries())
    for (const [axis, value] of place.entries())
      if (fetch.includes("%f0")) bits[index * 4 + axis] = value;
      else whole[index * 4 + axis] = value;
  await machine.slice.write(ARENA_BASE + PLACES, new Uint8Array(bits.buffer), undefined);
  const body = `shl.b32 %r1, %r0, 4; cvt.u64.u32 %rd5, %r1; add.u64 %rd1, %rd1, %rd5; add.u64 %rd2, %rd2, %rd5;
    ld.global.v4.f32 {%f0, %f1, %f2, %f3}, [%rd1]; ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%rd1];
    ${fetch}
    st.global.v4.b32 [%rd2], {%r10, %r11, %r12, %r13};`;
  const args = [texture.object, ARENA_BASE + PLACES, ARENA_BASE + RESULTS];
  try {
    await runPtx(machine, ptxKernel(body, { params: 3 }), { block: places.length, args });
  } finally {
    machine.slice.destroyTexture!(texture);
  }
  return readWords(machine, places.length * 4, RESULTS);
}

const fetch1 = "tex.1d.v4.u32.f32 {%r10, %r11, %r12, %r13}, [%rd0, {%f0}];";
const fetch2 = "tex.2d.v4.u32.f32 {%r10, %r11, %r12, %r13}, [%rd0, {%f0, %f1}];";
const fetch3 = "tex.3d.v4.u32.f32 {%r10, %r11, %r12, %r13}, [%rd0, {%f0, %f1, %f2, %f2}];";

const floatsOf = (words: Uint32Array): Float32Array => new Float32Array(words.buffer, words.byteOffset, words.length);

type Numbers = Uint8Array | Uint16Array | Uint32Array | Int8Array | Int16Array | Int32Array | Float32Array;
const holders: Record<string, (buffer: ArrayBuffer) => Numbers> = {
  u8: (buffer) => new Uint8Array(buffer),
  u16: (buffer) => new Uint16Array(buffer),
  u32: (buffer) => new Uint32Array(buffer),
  s8: (buffer) => new Int8Array(buffer),
  s16: (buffer) => new Int16Array(buffer),
  s32: (buffer) => new Int32Array(buffer),
  f16: (buffer) => new Uint16Array(buffer),
  f32: (buffer) => new Float32Array(buffer),
};

/** Fills the memory behind a layout with numbers of all signs and sizes; returns the numbers by coordinates. */
async function fill(layout: TexelLayout): Promise<(at: readonly number[], channel: number, layer?: number) => number> {
  const { name, bytes } = texelFormats[layout.format];
  const buffer = new ArrayBuffer(Math.ceil(layoutBytes(layout) / 16) * 16);
  const numbers = holders[name]!(buffer);
  for (let index = 0; index < numbers.length; index++) {
    // 16-bit floats of small exponents, whose values are easily told.
    if (name === "f16") numbers[index] = ((index % 2) << 15) | ((14 + (index % 3)) << 10) | ((index * 37) % 1024);
    else numbers[index] = name === "f32" ? ((index * 37) % 97) / 8 - 5 : (index * 2_654_435_761) >>> (32 - bytes * 8);
  }
  await machine.slice.write(layout.address, new Uint8Array(buffer), undefined);
  const value = (index: number): number => {
    if (name !== "f16") return numbers[index]!;
    const bits = numbers[index]!;
    return (bits & 0x8000 ? -1 : 1) * (1 + (bits & 1023) / 1024) * 2 ** (((bits >> 10) & 31) - 15);
  };
  return ([x = 0, y = 0, z = 0], channel, layer = 0) => {
    const at = (z + layer) * layout.planeBytes + y * layout.rowBytes + x * texelBytes(layout);
    return value(at / bytes + channel);
  };
}

const formats: TexelFormatNumber[] = [1, 2, 3, 8, 9, 10, 16, 32];
const inside: (readonly number[])[] = Array.from({ length: 40 }, (_, index) => [
  (index % 8) + 0.5,
  (index >> 3) + 0.25,
]);

describe.each(formats)("texels of format %i", (format) => {
  const { name, bytes } = texelFormats[format];
  const isFloat = name.startsWith("f");

  it.each([1, 2, 4])("with %i channels are read as they are", async (channels) => {
    const layout = layoutOf(format, channels);
    const texel = await fill(layout);
    const words = await run({ ...plain, layout }, fetch2, inside);
    const got = isFloat ? floatsOf(words) : name.startsWith("s") ? new Int32Array(words.buffer) : words;
    const expected = inside.flatMap(([x, y]) =>
      [0, 1, 2, 3].map((channel) => (channel < channels ? texel([Math.floor(x!), Math.floor(y!)], channel) : 0)),
    );
    expect([...got]).toEqual(expected);
  });

  // Whole numbers of 32 bits are always read as they are.
  if (bytes === 4 && !isFloat) return;

  it("are read as floats, whole numbers as parts of the largest", async () => {
    const layout = layoutOf(format, 2);
    const texel = await fill(layout);
    const words = await run({ ...plain, layout, readsIntegers: false }, fetch2, inside);
    const largest = isFloat ? 1 : 2 ** (bytes * 8 - (name.startsWith("s") ? 1 : 0)) - 1;
    const read = (value: number) => (isFloat ? value : Math.fround(Math.max(value / largest, -1)));
    const expected = inside.flatMap(([x, y]) => [
      ...[0, 1].map((channel) => read(texel([Math.floor(x!), Math.floor(y!)], channel))),
      ...[0, 0],
    ]);
    expect([...floatsOf(words)]).toEqual(expected);
  });
});

const modes = ["wrap", "clamp", "mirror", "border"] as const;
/** Far outside, on the edges, between texels, and what is no number. */
const along = [-2.3, -1, -0.75, -0.5, -0.25, -0.01, 0, 0.01, 0.25, 0.37, 0.5, 0.631, 0.75, 0.99, 1, 1.2, 1.75, 2, 3.4];

const cases = modes.flatMap((mode) =>
  [true, false].flatMap((isNormalized) =>
    (["point", "linear"] as const).flatMap((filter) =>
      [1, 2, 3].map((dimensions) => ({ mode, isNormalized, filter, dimensions })),
    ),
  ),
);

describe("address modes and filters", () => {
  it.each(cases)(
    "$mode, $filter, normalized $isNormalized, in $dimensions dimensions",
    async ({ mode, isNormalized, filter, dimensions }) => {
      const sizes = [8, 5, 6].slice(0, dimensions);
      const layout = layoutOf(32, 2, [sizes[0]!, sizes[1] ?? 0, sizes[2] ?? 0, 0]);
      const texel = await fill(layout);
      const number = modes.indexOf(mode);
      const border = [...new Uint32Array(Float32Array.of(2.5, -1, 7, 9).buffer)] as [number, number, number, number];
      const options = {
        ...plain,
        layout,
        filter,
        isNormalized,
        addressModes: [number, number, number],
        border,
      } as const;
      const places = along.map((_, index) =>
        sizes.map((size, axis) =>
          Math.fround(along[(index * (1 + axis) + 5 * axis) % along.length]! * (isNormalized ? 1 : size)),
        ),
      );
      expect(places.length).toBe(along.length);
      const words = await run(options, [fetch1, fetch2, fetch3][dimensions - 1]!, places);
      const model = (channel: number): ModelTexture => ({
        sizes,
        texel: (at) => texel(at, channel),
        modes: [mode, mode, mode],
        isNormalized,
        border: [2.5, -1][channel]!,
      });
      const expected = places.flatMap((place) => [
        ...[0, 1].map((channel) => (filter === "point" ? nearest : linear)(model(channel), place)),
        ...[0, 0],
      ]);
      expect([...floatsOf(words)].map((value) => value.toFixed(4))).toEqual(expected.map((value) => value.toFixed(4)));
    },
  );

  it("weigh eight bits of fraction: what is less makes no difference", async () => {
    const layout = layoutOf(32, 1, [2, 0, 0, 0]);
    await machine.slice.write(layout.address, new Uint8Array(Float32Array.of(0, 256).buffer), undefined);
    const places = [[0.5], [0.5 + 1 / 256], [0.5 + 1.4 / 256], [0.5 + 1.6 / 256], [1.5 - 0.4 / 256], [1.5]];
    const words = await run({ ...plain, layout, filter: "linear" }, fetch1, places);
    expect([...floatsOf(words)].filter((_, index) => index % 4 === 0)).toEqual([0, 1, 1, 2, 256, 256]);
  });

  it("take what is no number, or infinite, for some texel inside, and the border where there is one", async () => {
    const layout = layoutOf(3, 1);
    await machine.slice.fill(
      { address: layout.address, count: layoutBytes(layout) / 4, width: 4, value: 7 },
      undefined,
    );
    const places = [NaN, Infinity, -Infinity, 3e38, -3e38].map((value) => [value, value]);
    for (const isNormalized of [false, true]) {
      for (const mode of [AddressMode.WRAP, AddressMode.CLAMP, AddressMode.MIRROR]) {
        const options = { ...plain, layout, isNormalized, addressModes: [mode, mode, mode] } as const;
        const words = await run(options, fetch2, places);
        expect([...words].filter((_, index) => index % 4 === 0)).toEqual([7, 7, 7, 7, 7]);
      }
      const addressModes = [AddressMode.BORDER, AddressMode.BORDER, 0] as const;
      const words = await run({ ...plain, layout, isNormalized, addressModes, border: [9, 0, 0, 0] }, fetch2, places);
      expect([...words].filter((_, index) => index % 4 === 0)).toEqual([9, 9, 9, 9, 9]);
    }
  });

  it("leave whole coordinates alone: a line of memory is zero outside", async () => {
    const layout = { ...layoutOf(10, 1), width: 10, height: 0, depth: 0, layers: 0 };
    await machine.slice.write(
      layout.address,
      new Uint8Array(Int32Array.from({ length: 12 }, (_, i) => i - 5).buffer),
      undefined,
    );
    const options = { ...plain, layout, resource: "linear", isNormalized: true } as const;
    const fetch = "tex.1d.v4.s32.s32 {%r10, %r11, %r12, %r13}, [%rd0, {%r1}];";
    const words = await run(options, fetch, [[0], [4], [9], [10], [-1], [2 ** 31 - 1], [-(2 ** 31)]]);
    expect([...new Int32Array(words.buffer)].filter((_, index) => index % 4 === 0)).toEqual([-5, -1, 4, 0, 0, 0, 0]);
  });
});

describe("further fetches", () => {
  it("take a layer by its number, the last for those beyond", async () => {
    const layout = layoutOf(3, 1, [4, 3, 0, 5]);
    const texel = await fill(layout);
    const fetch = `cvt.rni.s32.f32 %r5, %f2; tex.a2d.v4.u32.f32 {%r10, %r11, %r12, %r13}, [%rd0, {%r5, %f0, %f1, %f1}];`;
    const places = [0, 1, 4, 5, -1, 1e9].map((layer) => [2.5, 1.5, layer]);
    const words = await run({ ...plain, layout }, fetch, places);
    const layers = [0, 1, 4, 4, 4, 4];
    expect([...words].filter((_, index) => index % 4 === 0)).toEqual(layers.map((layer) => texel([2, 1], 0, layer)));
  });

  it("gather one number of four texels", async () => {
    const layout = layoutOf(3, 4);
    const texel = await fill(layout);
    for (const [component, name] of ["r", "g", "b", "a"].entries()) {
      const fetch = `tld4.${name}.2d.v4.u32.f32 {%r10, %r11, %r12, %r13}, [%rd0, {%f0, %f1}];`;
      const words = await run({ ...plain, layout }, fetch, [[3, 2]]);
      const corners = [
        [2, 2],
        [3, 2],
        [3, 1],
        [2, 1],
      ];
      expect([...words]).toEqual(corners.map((at) => texel(at, component)));
    }
  });

  it("find the face of a cube and the place on it", async () => {
    const layout = layoutOf(3, 1, [4, 4, 0, 6]);
    const texel = await fill(layout);
    const options = { ...plain, layout, isCube: true, isNormalized: true } as const;
    const fetch = "tex.cube.v4.u32.f32 {%r10, %r11, %r12, %r13}, [%rd0, {%f0, %f1, %f2, %f2}];";
    // The middle of each face, and a place nearer to one corner of it.
    const words = await run(options, fetch, [
      [2, 0.1, 0.1],
      [-2, 0.1, 0.1],
      [0.1, 3, 0.1],
      [0.1, -3, 0.1],
      [0.1, 0.1, 1],
      [1.4, 1.2, -2],
    ]);
    const expected = [
      texel([1, 1], 0, 0),
      texel([2, 1], 0, 1),
      texel([2, 2], 0, 2),
      texel([2, 1], 0, 3),
      texel([2, 1], 0, 4),
      texel([0, 0], 0, 5),
    ];
    expect([...words].filter((_, index) => index % 4 === 0)).toEqual(expected);
  });

  it("with a level of detail read the only one", async () => {
    const layout = layoutOf(3, 1);
    const texel = await fill(layout);
    const fetch = `tex.level.2d.v4.u32.f32 {%r10, %r11, %r12, %r13}, [%rd0, {%f0, %f1}], %f2;
      tex.grad.2d.v4.u32.f32 {%r11, %r20, %r21, %r22}, [%rd0, {%f0, %f1}], {%f2, %f2}, {%f2, %f2};`;
    const words = await run({ ...plain, layout }, fetch, [[3.5, 2.5, 4]]);
    expect([...words].slice(0, 2)).toEqual([texel([3, 2], 0), texel([3, 2], 0)]);
  });

  it("say of every texel that it is there", async () => {
    const layout = layoutOf(3, 1);
    const texel = await fill(layout);
    const fetch = `setp.ne.u32 %p1, 0, 0; tex.2d.v4.u32.f32 {%r10, %r20, %r21, %r22}|%p1, [%rd0, {%f0, %f1}]; selp.u32 %r11, 1, 2, %p1;`;
    expect([...(await run({ ...plain, layout }, fetch, [[3.5, 2.5]]))].slice(0, 2)).toEqual([texel([3, 2], 0), 1]);
  });

  it("answer what a texture's sizes are", async () => {
    const layout = layoutOf(3, 1, [4, 3, 2, 0]);
    const fetch = `txq.width.b32 %r10, [%rd0]; txq.height.b32 %r11, [%rd0]; txq.depth.b32 %r12, [%rd0];
      txq.normalized_coords.b32 %r13, [%rd0]; // %f0`;
    expect([...(await run({ ...plain, layout, isNormalized: true }, fetch, [[0]]))]).toEqual([4, 3, 2, 1]);
  });

  it("of another shape than the texture's stay inside it", async () => {
    const layout = layoutOf(3, 1, [8, 0, 0, 0]);
    const texel = await fill(layout);
    const words = await run({ ...plain, layout }, fetch3, [[3.5, 1e6, -1e6]]);
    expect(words[0]).toBe(texel([3], 0));
  });

  it("are refused by name where this device has none such", async () => {
    for (const line of [
      "tex.2d.v4.f16.f32 {%h1, %h2, %h3, %h4}, [%rd0, {%f0, %f1}];",
      "tex.2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd0, %rd1, {%f0, %f1}];",
      "tex.2dms.v4.f32.s32 {%f4, %f5, %f6, %f7}, [%rd0, {%r1, %r2, %r3, %r3}];",
      "tex.2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd0, {%f0, %f1}], {%r1, %r2};",
      "tld4.r.2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd0, {%f0, %f1}], {%r1, %r2};",
      "sured.b.add.2d.f32.trap [%rd0, {%r1, %r2}], %f3;",
      "sured.p.add.2d.u32.trap [%rd0, {%r1, %r2}], %r3;",
      "sust.p.2d.v4.b16.trap [%rd0, {%r1, %r2}], {%h1, %h2, %h3, %h4};",
      "suld.b.cube.b32.trap %r1, [%rd0, {%r1, %r2, %r3, %r3}];",
      "txq.channel_order.b32 %r1, [%rd0];",
    ]) {
      const { code, message } = await failure(() => runPtx(machine, ptxKernel(line, { params: 2 }), { args: [0, 0] }));
      expect({ code, message }, line).toMatchObject({ code: "UNSUPPORTED_INSTRUCTION" });
      expect(message).toContain(line.split(" ")[0]);
    }
  });
});

describe("a kernel that names no texture ends", () => {
  const read = `${fetch2.replaceAll("%f0", "0f3F800000").replaceAll("%f1", "0f3F800000")} st.global.u32 [%rd1], %r10;`;
  const options = { ...plain, layout: layoutOf(3, 1) };

  /** On a machine of its own, since the slice is poisoned. */
  async function failing(objectOf: (own: CpuMachine) => number | bigint): Promise<{ code: string; message: string }> {
    const own = await openCpu();
    try {
      const args = [objectOf(own), ARENA_BASE];
      return await failure(() => runPtx(own, ptxKernel(read, { params: 2 }), { args }));
    } finally {
      await own.slice.close();
    }
  }

  it.each([
    ["none at all", () => 0],
    ["a number of its own", () => 123_456_789_012_345n],
    ["a number with high bits", (own: CpuMachine) => BigInt(own.slice.createTexture!(options).object) | (1n << 60n)],
    ["the next one", (own: CpuMachine) => own.slice.createTexture!(options).object + 1],
    ["a surface", (own: CpuMachine) => own.slice.createSurface!({ layout: options.layout, storesParts: false }).object],
    [
      "one that is destroyed",
      (own: CpuMachine) => {
        const texture = own.slice.createTexture!(options);
        own.slice.destroyTexture!(texture);
        return texture.object;
      },
    ],
    [
      "one over memory that the slice has given back",
      (own: CpuMachine) => {
        const texture = own.slice.createTexture!(options);
        void own.slice.resize!(0x1_0000);
        return texture.object;
      },
    ],
  ])("%s", async (_, objectOf) => {
    const { code, message } = await failing(objectOf);
    expect(code).toBe("ILLEGAL_ADDRESS");
    expect(message).toMatch(/uses \[0x[0-9a-f]+\] as a texture or surface, which names none in PTX line/);
  });

  it("but one destroyed and made anew has another number, and a worker that starts later knows it", async () => {
    const own = await openCpu();
    const first = own.slice.createTexture!(options);
    own.slice.destroyTexture!(first);
    const second = own.slice.createTexture!(options);
    expect(second.object).not.toBe(first.object);
    await own.slice.fill({ address: TEXELS, count: 256, width: 4, value: 5 }, undefined);
    await runPtx(own, ptxKernel(read, { params: 2 }), { grid: [64, 1, 1], args: [second.object, ARENA_BASE] });
    expect(readWords(own, 1)[0]).toBe(5);
    await own.slice.close();
  });
});
