/** cuDNN's graphs on a GPU: convolutions against their definition, and what the server lets nobody do with them, over the stand-in for the library. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceSlice } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import {
  BackendType,
  type ConvolutionShape,
  convolution,
  convolve,
  DnnStand,
  f64,
  flag,
  type Image,
  i64,
  image,
  library,
  products,
  refers,
  tensor,
  word,
} from "../support/dnn.ts";

const MiB = 1024 * 1024;
const [X, W, Y, SPACE] = [0, 1, 2, 3].map((place) => ARENA_BASE + place * 256 * 1024) as [
  number,
  number,
  number,
  number,
];
const ARENA_BYTES = 4 * MiB;

let slice: DeviceSlice;
let stand: DnnStand;

async function open(arenaBytes: number): Promise<void> {
  const [description] = await cudaDriver.discover("0");
  slice = await cudaDriver.open({
    description: description!,
    arenaBytes,
    arenaBase: ARENA_BASE,
    kernelTimeoutMs: 0,
    onOutput: () => undefined,
    usedBytes: () => 2 * MiB,
  });
  stand = await DnnStand.open(slice, [ARENA_BASE, ARENA_BASE + 2 * MiB]);
}

const write = (address: number, { data }: Image): void | Promise<void> =>
  slice.write(address, new Uint8Array(data.buffer), undefined);

async function read(address: number, length: number): Promise<number[]> {
  const into = new Float32Array(length);
  await slice.read(address, new Uint8Array(into.buffer), undefined);
  return [...into];
}

const plain: ConvolutionShape = { padding: [0, 0], stride: [1, 1], dilation: [1, 1] };

/** Computes one of the three with the library, and by the definition. */
async function check(type: number, images: Record<"x" | "w" | "y", Image>, shape: ConvolutionShape): Promise<void> {
  const how = await stand.describe(BackendType.CONVOLUTION, convolution(shape));
  const [x, w, y] = await Promise.all(
    [images.x, images.w, images.y].map(({ dims }, index) =>
      stand.describe(BackendType.TENSOR, tensor({ uid: index + 1, dims })),
    ),
  );
  const operation = await stand.describe(type, convolve(type, { how, x: x!, w: w!, y: y! }));
  const { plan } = await stand.plan([operation]);
  for (const [place, { data }] of [
    [X, images.x],
    [W, images.w],
    [Y, images.y],
  ] as const)
    await write(place, { data } as Image);
  expect(await stand.run(plan, { 1: X, 2: W, 3: Y }, { workspace: SPACE })).toEqual({ status: 0, message: "" });
  const wanted = { [BackendType.FORWARD]: "y", [BackendType.BACKWARD_FILTER]: "w", [BackendType.BACKWARD_DATA]: "x" }[
    type
  ] as "x" | "w" | "y";
  const expected = new Array<number>(images[wanted].data.length).fill(0);
  const { data: dx } = images.x;
  const { data: dw } = images.w;
  const { data: dy } = images.y;
  for (const [atX, atW, atY] of products(images, shape)) {
    if (wanted === "y") expected[atY]! += dx[atX]! * dw[atW]!;
    else if (wanted === "w") expected[atW]! += dx[atX]! * dy[atY]!;
    else expected[atX]! += dy[atY]! * dw[atW]!;
  }
  expect(await read({ x: X, w: W, y: Y }[wanted], expected.length)).toEqual(expected);
}

/** Attributes of a tensor that nothing is wrong with. */
const good = tensor({ uid: 1, dims: [2, 3] });

describe.skipIf(standinMissing !== undefined)("cuDNN on a CUDA device", () => {
  beforeEach(async () => {
    standin.clear();
    await open(ARENA_BYTES);
  });

  afterEach(async () => {
    await slice.close();
    expect(standin.report()).toBe("");
    expect(standin.dnnObjects(), "cuDNN's objects are given back").toBe(0);
  });

  it.each([
    ["forward", BackendType.FORWARD],
    ["back to the filter", BackendType.BACKWARD_FILTER],
    ["back to the data", BackendType.BACKWARD_DATA],
  ] as const)("convolves %s, with padding, strides, dilation and groups", async (_, type) => {
    await check(type, { x: image([2, 3, 5, 6], 1), w: image([4, 3, 2, 3], 2), y: image([2, 4, 4, 4], 3) }, plain);
    const shape = { padding: [1, 2], stride: [2, 1], dilation: [1, 2] };
    await check(type, { x: image([1, 4, 6, 5], 4), w: image([6, 2, 3, 2], 5), y: image([1, 6, 3, 7], 6) }, shape);
  });

  it("adds and rectifies behind a convolution, in one plan whose middle nobody sees", async () => {
    const images = { x: image([1, 2, 4, 4], 1), w: image([3, 2, 3, 3], 2), y: image([1, 3, 2, 2], 3) };
    const bias = image([1, 3, 1, 1], 4);
    const how = await stand.describe(BackendType.CONVOLUTION, convolution(plain));
    const of = (uid: number, { dims }: Image, isVirtual = false): Promise<number> =>
      stand.describe(BackendType.TENSOR, tensor({ uid, dims, isVirtual }));
    const [x, w, middle, sum, b, y] = [
      await of(1, images.x),
      await of(2, images.w),
      await of(10, images.y, true),
      await of(11, images.y, true),
      await of(4, bias),
      await of(3, images.y),
    ];
    const add = await stand.describe(BackendType.POINTWISE, [word(0, 14, 0), word(1, 1, 0)]);
    const relu = await stand.describe(BackendType.POINTWISE, [word(0, 14, 100), word(1, 1, 0), f64(3, 0)]);
    const forward = await stand.describe(BackendType.FORWARD, convolve(BackendType.FORWARD, { how, x, w, y: middle }));
    const pointwise = (mode: number, from: number, to: number, other?: number): Promise<number> =>
      stand.describe(BackendType.POINTWISE_OPERATION, [
        refers(750, mode),
        refers(751, from),
        ...(other === undefined ? [] : [refers(752, other)]),
        refers(753, to),
      ]);
    const { plan } = await stand.plan(
      [forward, await pointwise(add, middle, sum, b), await pointwise(relu, sum, y)],
      1,
    );
    await write(X, images.x);
    await write(W, images.w);
    await write(SPACE, bias);
    expect(await stand.run(plan, { 1: X, 2: W, 3: Y, 4: SPACE })).toMatchObject({ status: 0 });
    const expected = new Array<number>(12).fill(0);
    for (const [atX, atW, atY] of products(images, plain)) expected[atY]! += images.x.data[atX]! * images.w.data[atW]!;
    const rectified = expected.map((value, index) => Math.max(0, value + bias.data[Math.floor(index / 4)]!));
    expect(await read(Y, 12)).toEqual(rectified);
    expect(rectified.some((value) => value === 0) && rectified.some((value) => value > 0)).toBe(true);
  });

  /** y = x times a number that comes with each run. */
  async function scaling(): Promise<number> {
    const times = await stand.describe(BackendType.POINTWISE, [word(0, 14, 1), word(1, 1, 0)]);
    const [x, y] = await Promise.all(
      [1, 3].map((uid) => stand.describe(BackendType.TENSOR, tensor({ uid, dims: [2, 3] }))),
    );
    const by = await stand.describe(BackendType.TENSOR, tensor({ uid: 2, dims: [1, 1], isByValue: true }));
    const operation = await stand.describe(BackendType.POINTWISE_OPERATION, [
      ...[refers(750, times), refers(751, x!), refers(752, by), refers(753, y!)],
    ]);
    return (await stand.plan([operation], 1)).plan;
  }

  const value = (number: number): Uint8Array => {
    const bytes = new Uint8Array(16);
    new DataView(bytes.buffer).setFloat32(0, number, true);
    return bytes;
  };

  it("takes tensors by value with each run, and lets them be nothing else", async () => {
    const plan = await scaling();
    await slice.write(X, new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer), undefined);
    for (const number of [3, -2]) {
      expect(await stand.run(plan, { 1: X, 2: 0, 3: Y }, { values: value(number) })).toMatchObject({ status: 0 });
      expect(await read(Y, 6)).toEqual([1, 2, 3, 4, 5, 6].map((x) => x * number));
    }
    const refusals: [Record<number, number>, Uint8Array][] = [
      // A device's address for a value, a value for a device's address, no value, one too many.
      [{ 1: X, 2: X, 3: Y }, value(1)],
      [{ 1: 0, 2: 0, 3: Y }, value(1)],
      [{ 1: X, 2: 0, 3: Y }, new Uint8Array(0)],
      [{ 1: X, 2: 0, 3: Y }, new Uint8Array(32)],
      [{ 1: X, 2: 0, 3: Y }, new Uint8Array(8)],
      [{ 1: X, 2: 0, 3: Y }, new Uint8Array(16 * 1024)],
      // A tensor that the plan does not have.
      [{ 1: X, 2: 0, 3: Y, 4: X }, value(1)],
    ];
    for (const [tensors, values] of refusals) expect(() => stand.run(plan, tensors, { values })).toThrow();
    await expect(read(Y, 6)).resolves.toEqual([1, 2, 3, 4, 5, 6].map((x) => x * -2));
  });

  it("refuses an id twice, which would hide an address behind a value", async () => {
    const plan = await scaling();
    const [uids, addresses] = [BigInt64Array.of(1n, 1n, 2n, 3n), BigUint64Array.from([X, X, 0, Y], BigInt)];
    const execution = {
      plan: stand.descriptor(plan),
      stream: undefined,
      workspace: 0,
      values: value(1),
      mayReserve: true,
    };
    const given = { uids: new Uint8Array(uids.buffer), addresses: new Uint8Array(addresses.buffer) };
    expect(() => stand.dnn.execute({ ...execution, ...given }, stand)).toThrow(/named twice/);
    const fewer = { ...given, addresses: given.addresses.subarray(8) };
    expect(() => stand.dnn.execute({ ...execution, ...fewer }, stand)).toThrow(/\[4\] tensors have \[3\] addresses/);
    const odd = { ...given, uids: given.uids.subarray(4) };
    expect(() => stand.dnn.execute({ ...execution, ...odd }, stand)).toThrow(/8 bytes/);
  });

  it("makes no plan of two tensors of one id that differ in being by value", async () => {
    const times = await stand.describe(BackendType.POINTWISE, [word(0, 14, 1), word(1, 1, 0)]);
    const [x, y] = await Promise.all(
      [1, 3].map((uid) => stand.describe(BackendType.TENSOR, tensor({ uid, dims: [1, 1] }))),
    );
    const by = await stand.describe(BackendType.TENSOR, tensor({ uid: 1, dims: [1, 1], isByValue: true }));
    const parts = [refers(750, times), refers(751, x!), refers(752, by), refers(753, y!)];
    const operation = await stand.describe(BackendType.POINTWISE_OPERATION, parts);
    await expect(stand.plan([operation], 1)).rejects.toThrow(/\[3000\].*one unique id/);
  });

  it("checks addresses for all that a tensor reaches, and the workspace", async () => {
    const strides = [100, 7];
    const [x, y] = await Promise.all(
      [1, 2].map((uid) => stand.describe(BackendType.TENSOR, tensor({ uid, dims: [3, 2], strides }))),
    );
    const same = await stand.describe(BackendType.POINTWISE, [word(0, 14, 21), word(1, 1, 0)]);
    const parts = [refers(750, same), refers(751, x!), refers(753, y!)];
    const operation = await stand.describe(BackendType.POINTWISE_OPERATION, parts);
    const { plan } = await stand.plan([operation]);
    expect(await stand.run(plan, { 1: X, 2: Y }, { workspace: SPACE })).toMatchObject({ status: 0 });
    expect(stand.checked).toEqual([
      [X, 208 * 4],
      [Y, 208 * 4],
      [SPACE, 1024],
    ]);
    const end = ARENA_BASE + 2 * MiB;
    expect(() => stand.run(plan, { 1: end - 207 * 4, 2: Y }, { workspace: SPACE })).toThrow("outside");
    expect(() => stand.run(plan, { 1: X, 2: Y }, { workspace: end - 1000 })).toThrow("outside");
    expect(() => stand.run(plan, { 1: X, 2: Y })).toThrow("outside");
    expect(() => stand.run(plan, { 1: 4096, 2: Y }, { workspace: SPACE })).toThrow("outside");
    expect(() => stand.run(x!, { 1: X })).toThrow(/no execution plan/);
  });

  it("runs with what a plan refers to forgotten, and ends it with the plan", async () => {
    const plan = await scaling();
    const before = standin.dnnObjects();
    for (const handle of [...stand.descriptors.keys()]) if (handle !== plan) stand.forget(handle);
    expect(standin.dnnObjects()).toBe(before);
    await slice.write(X, new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer), undefined);
    expect(await stand.run(plan, { 1: X, 2: 0, 3: Y }, { values: value(2) })).toMatchObject({ status: 0 });
    expect(await read(Y, 6)).toEqual([2, 4, 6, 8, 10, 12]);
    stand.forget(plan);
    expect(standin.dnnObjects()).toBe(1);
  });

  it("asks heuristics for configurations, each of which makes a plan, also behind the question", async () => {
    const plan = await scaling();
    const graph = [...stand.descriptors.keys()].at(-4)!;
    const heuristics = await stand.describe(BackendType.ENGINEHEUR, [refers(201, graph), word(200, 8, 3)]);
    const question = { descriptor: stand.descriptor(heuristics), name: 202, type: 15, intoType: BackendType.ENGINECFG };
    const count = stand.dnn.ask({ ...question, count: 0, into: [] }, stand);
    expect(count).toMatchObject({ status: 0, count: 2 });
    const into = [1001, 1002, 1003, 1004];
    const answer = stand.dnn.ask({ ...question, count: 4, into }, stand);
    expect(answer).toMatchObject({ status: 0, count: 2, data: new Uint8Array(0) });
    expect(into.map((handle) => stand.descriptors.has(handle))).toEqual([true, true, false, false]);
    for (const handle of [plan, heuristics, graph]) stand.forget(handle);
    const plans = [];
    for (const handle of [1001, 1002]) plans.push(await stand.describe(BackendType.PLAN, [refers(401, handle)]));
    const workspaces = plans.map((each) => {
      const { data } = stand.dnn.ask(
        { descriptor: stand.descriptor(each), name: 402, type: 3, count: 1, into: [], intoType: 0 },
        stand,
      );
      return new BigInt64Array(data.slice().buffer)[0];
    });
    expect(workspaces).toEqual([1024n, 0n]);
    for (const each of plans) {
      const run = stand.run(each, { 1: X, 2: 0, 3: Y }, { values: value(2), workspace: SPACE });
      expect(await run).toMatchObject({ status: 0 });
    }
  });

  it("gives back nothing but elements that there are, and never a pointer", async () => {
    const handle = await stand.describe(BackendType.TENSOR, good);
    const ask = (name: number, type: number, count: number, into: number[] = []) =>
      stand.dnn.ask({ descriptor: stand.descriptor(handle), name, type, count, into, intoType: 17 }, stand);
    expect(ask(902, 3, 8).data).toEqual(new Uint8Array(BigInt64Array.of(2n, 3n).buffer));
    expect(ask(902, 3, 1)).toMatchObject({ count: 2, data: new Uint8Array(BigInt64Array.of(2n).buffer) });
    expect(ask(902, 4, 2)).toMatchObject({ status: 2010, count: 0, data: new Uint8Array(0) });
    expect(ask(902, 6, 1).status).toBe(3000);
    expect(ask(902, 0, 1).status).toBe(3000);
    expect(() => ask(902, 33, 1)).toThrow(/unknown type/);
    expect(() => ask(902, 3, 2 ** 20)).toThrow(/elements/);
    expect(() => ask(902, 3, 2, [7, 8])).toThrow(/descriptors/);
    expect(() => ask(902, 15, 2, [7])).toThrow(/descriptors/);
    const before = standin.dnnObjects();
    expect(ask(902, 15, 2, [7, 8]).status).toBe(2010);
    expect(standin.dnnObjects()).toBe(before);
  });

  it.each<[string, readonly ReturnType<typeof i64>[], RegExp]>([
    ["of fewer bytes than elements", [{ ...i64(902, 2, 3), count: 3 }], /\[3\] elements of \[8\] bytes in \[16\]/],
    ["of more bytes than elements", [{ ...i64(902, 2, 3), count: 1 }], /\[1\] elements/],
    ["of wide elements in the bytes of narrow ones", [{ ...word(901, 1, 0), type: 3 }], /of \[8\] bytes in \[4\]/],
    ["of so many elements that their bytes overflow", [{ ...i64(902), count: 2 ** 32 - 1 }], /elements/],
    ["of an unknown type", [{ ...i64(902, 2), type: 33 }], /unknown type/],
    ["with bytes for the library's handle", [{ ...library(800), data: new Uint8Array(8) }], /elements/],
    ["with several handles of the library", [{ ...library(800), count: 2 }], /elements/],
    ["of handles cut off", [{ ...refers(801, 1, 2), count: 1 }], /elements/],
    ["that refers to what is not there", [refers(801, 77)], /No descriptor \[77\]/],
  ])("refuses an attribute %s, and hands nothing to the library", async (_, attributes, message) => {
    standin.inject({ function: "cudnnBackendCreateDescriptor", code: 3999 });
    await expect(stand.outcome(BackendType.TENSOR, attributes)).rejects.toThrow(message);
    expect((await stand.outcome(BackendType.TENSOR, good)).status).toBe(3999);
  });

  it.each<[string, number, readonly ReturnType<typeof i64>[]]>([
    ["a pointer", BackendType.TENSOR, [{ ...i64(910, 4096), type: 6 }]],
    [
      "a text of which the library would make a plan",
      BackendType.PLAN,
      [{ name: 405, type: 24, count: 1, data: Uint8Array.of(123) }],
    ],
    ["a pack of pointers", BackendType.PACK, [i64(1000, 1)]],
  ])("does not take %s", async (_, type, attributes) => {
    standin.inject({ function: "cudnnBackendCreateDescriptor", code: 3999 });
    expect((await stand.outcome(type, attributes)).status).toBe(3000);
    expect((await stand.outcome(BackendType.TENSOR, good)).status).toBe(3999);
  });

  it("tells what the library says, and keeps nothing of what it refuses", async () => {
    expect(await stand.outcome(BackendType.TENSOR, good.slice(1))).toMatchObject({
      status: 2000,
      message: "attributes are missing",
    });
    expect(await stand.outcome(BackendType.TENSOR, [flag(902, true)])).toMatchObject({ status: 2010 });
    for (const name of ["CreateDescriptor", "SetAttribute", "Finalize"]) {
      standin.inject({ function: `cudnnBackend${name}`, code: 3001 });
      expect(await stand.outcome(BackendType.TENSOR, good), name).toMatchObject({ status: 3001, message: "injected" });
    }
    expect(standin.dnnObjects()).toBe(1);
    const plan = await scaling();
    standin.inject({ function: "cudnnBackendExecute", code: 3000 });
    const run = () => stand.run(plan, { 1: X, 2: 0, 3: Y }, { values: value(2) });
    expect(await run()).toEqual({ status: 3000, message: "injected" });
    standin.inject({ function: "cudnnSetStream", code: 4000 });
    const stream = slice.createStream({ flags: 0, priority: 0 });
    expect((await stand.run(plan, { 1: X, 2: 0, 3: Y }, { values: value(2), stream })).status).toBe(4000);
    expect(await run()).toMatchObject({ status: 0 });
    slice.destroyStream(stream);
  });
});
