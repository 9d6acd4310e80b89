/** cuDNN's functions over whole tensors, against their definitions: what each line of the table hands to the library, in the right places. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DeviceSlice } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { arg, DnnStand, stridesOf } from "../support/dnn.ts";
import { openStandinSlice } from "../support/standin-slice.ts";

const MiB = 1024 * 1024;
const { i32, u64, f32, f64, ints } = arg;
/** Images of channels of rows of two numbers. */
const DIMS = [2, 3, 2, 2];
const COUNT = 24;
const [A, B, C, D, SPACE] = [0, 1, 2, 3, 4].map((place) => ARENA_BASE + place * 65_536) as [
  number,
  number,
  number,
  number,
  number,
];
const [ALPHA, BETA] = [1.5, 0.5];
const factors = [f32(ALPHA), f32(BETA)] as const;

let slice: DeviceSlice;
let stand: DnnStand;
let tensor: Uint8Array;

const random = (seed: number): number[] =>
  Array.from({ length: COUNT }, (_, i) => Math.fround(Math.sin(i * 12.9898 + seed * 78.233) * 1.5));
const [a, b, c, d] = [random(1), random(2), random(3), random(4)] as const;

const write = (address: number, values: readonly number[]): void | Promise<void> =>
  slice.write(address, new Uint8Array(Float32Array.from(values).buffer), undefined);

async function read(address: number, length = COUNT): Promise<number[]> {
  const into = new Float32Array(length);
  await slice.read(address, new Uint8Array(into.buffer), undefined);
  return [...into];
}

async function called(name: string, ...packed: readonly Uint8Array[]): Promise<Uint8Array> {
  const { status, message, results } = await stand.call(name, packed);
  if (status !== 0) throw new Error(`${name} [${status}] ${message}`);
  return results;
}

async function made(kind: string, set: string, ...packed: readonly Uint8Array[]): Promise<Uint8Array> {
  const handle = u64(await stand.make(kind));
  await called(set, handle, ...packed);
  return handle;
}

const tensorOf = (dims: readonly number[]): Promise<Uint8Array> =>
  made("Tensor", "cudnnSetTensorNdDescriptor", i32(0), i32(4), ints(...dims), ints(...stridesOf(dims)));
const closeTo = (values: readonly number[]): unknown[] => values.map((value) => expect.closeTo(value, 4));
/** What a result is made of, which had numbers before. */
const blended = (made: readonly number[], before: readonly number[]): unknown[] =>
  closeTo(made.map((value, index) => ALPHA * value + BETA * before[index]!));
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const channelOf = (index: number): number => Math.floor(index / 4) % 3;

/** How a sum of what a function makes of x, weighed by dy, changes with each number of x. */
const slope = (f: (x: readonly number[]) => number[], x: readonly number[], dy: readonly number[]): number[] =>
  x.map((value, index) => {
    const loss = (by: number): number => sum(f(x.with(index, value + by)).map((made, place) => made * dy[place]!));
    return (loss(1e-5) - loss(-1e-5)) / 2e-5;
  });

function softmax(x: readonly number[], isLog: boolean, isOverChannels: boolean): number[] {
  const isBeside = (i: number, j: number): boolean =>
    Math.floor(i / 12) === Math.floor(j / 12) && (!isOverChannels || i % 4 === j % 4);
  return x.map((value, i) => {
    const all = sum(x.filter((_, j) => isBeside(i, j)).map(Math.exp));
    return isLog ? value - Math.log(all) : Math.exp(value) / all;
  });
}

/** Over so many neighbouring channels. */
const norm = (x: readonly number[], n: number, [alpha, beta, k]: readonly [number, number, number]): number[] =>
  x.map((value, i) => {
    const first = channelOf(i) - Math.floor((n - 1) / 2);
    const near = x.filter(
      (_, j) =>
        Math.floor(i / 12) === Math.floor(j / 12) &&
        i % 4 === j % 4 &&
        channelOf(j) >= first &&
        channelOf(j) < first + n,
    );
    return value / (k + (alpha / n) * sum(near.map((each) => each * each))) ** beta;
  });

const activations: [string, number, number, (x: number) => number][] = [
  ["sigmoid", 0, 0, (x) => 1 / (1 + Math.exp(-x))],
  ["relu", 1, 0, (x) => Math.max(x, 0)],
  ["tanh", 2, 0, Math.tanh],
  ["clipped relu", 3, 0.75, (x) => Math.min(Math.max(x, 0), 0.75)],
  ["elu", 4, 0.5, (x) => (x >= 0 ? x : 0.5 * (Math.exp(x) - 1))],
  ["swish", 6, 0, (x) => x / (1 + Math.exp(-1.25 * x))],
];

const reductions: [string, number, (values: readonly number[]) => number][] = [
  ["add", 0, sum],
  ["mul", 1, (values) => values.reduce((product, value) => product * value, 1)],
  ["min", 2, (values) => Math.min(...values)],
  ["max", 3, (values) => Math.max(...values)],
  ["amax", 4, (values) => Math.max(...values.map(Math.abs))],
  ["avg", 5, (values) => sum(values) / values.length],
  ["norm1", 6, (values) => sum(values.map(Math.abs))],
  ["norm2", 7, (values) => Math.hypot(...values)],
];

describe.skipIf(standinMissing !== undefined)("cuDNN's functions over tensors, on a CUDA device", () => {
  beforeAll(async () => {
    slice = await openStandinSlice({ arenaBytes: 4 * MiB });
    stand = await DnnStand.open(slice, [ARENA_BASE, ARENA_BASE + 4 * MiB]);
    tensor = await tensorOf(DIMS);
  });

  afterAll(async () => {
    await slice?.close();
    expect(standin.report()).toBe("");
    expect(standin.dnnObjects(), "cuDNN's objects are given back").toBe(0);
  });

  const xy = [factors[0], u64(0), u64(A), factors[1], u64(0), u64(D)];
  const over = (): Uint8Array[] => xy.map((packed, index) => (index === 1 || index === 4 ? tensor : packed));
  /** Of y in C, dy in B and x in A to dx in D. */
  const back = (): Uint8Array[] => [
    ...[factors[0], tensor, u64(C), tensor, u64(B), tensor, u64(A)],
    ...[factors[1], tensor, u64(D)],
  ];

  it.each(activations)("activation: %s", async (_, mode, coefficient, f) => {
    const how = await made("Activation", "cudnnSetActivationDescriptor", i32(mode), i32(0), f64(coefficient));
    if (mode === 6) await called("cudnnSetActivationDescriptorSwishBeta", how, f64(1.25));
    const told = Buffer.concat([i32(mode), i32(0), f64(coefficient)]);
    expect(Buffer.from(await called("cudnnGetActivationDescriptor", how))).toEqual(told);
    await write(A, a);
    await write(D, d);
    await called("cudnnActivationForward", how, ...over());
    expect(await read(D)).toEqual(blended(a.map(f), d));
    for (const [place, values] of [
      [B, b],
      [C, a.map(f)],
      [D, d],
    ] as const)
      await write(place, values);
    await called("cudnnActivationBackward", how, ...back());
    expect(await read(D)).toEqual(
      blended(
        slope((x) => x.map(f), a, b),
        d,
      ),
    );
  });

  it.each([
    ["softmax of images", 1, 0],
    ["softmax of channels", 0, 1],
    ["logarithms of a softmax of channels", 2, 1],
  ] as const)("%s", async (_, algorithm, mode) => {
    const f = (x: readonly number[]): number[] => softmax(x, algorithm === 2, mode === 1);
    await write(A, a);
    await write(D, d);
    await called("cudnnSoftmaxForward", i32(algorithm), i32(mode), ...over());
    expect(await read(D)).toEqual(blended(f(a), d));
    for (const [place, values] of [
      [B, b],
      [C, f(a)],
      [D, d],
    ] as const)
      await write(place, values);
    const packed = [factors[0], tensor, u64(C), tensor, u64(B), factors[1], tensor, u64(D)];
    await called("cudnnSoftmaxBackward", i32(algorithm), i32(mode), ...packed);
    expect(await read(D)).toEqual(blended(slope(f, a, b), d));
  });

  it.each([1, 2, 3])("norms over %i channels", async (n) => {
    const how = [0.5, 0.75, 2] as const;
    const lrn = await made("LRN", "cudnnSetLRNDescriptor", i32(n), ...how.map(f64));
    expect(Buffer.from(await called("cudnnGetLRNDescriptor", lrn))).toEqual(Buffer.concat([i32(n), ...how.map(f64)]));
    const f = (x: readonly number[]): number[] => norm(x, n, how);
    await write(A, a);
    await write(D, d);
    await called("cudnnLRNCrossChannelForward", lrn, i32(0), ...over());
    expect(await read(D)).toEqual(blended(f(a), d));
    for (const [place, values] of [
      [B, b],
      [C, f(a)],
      [D, d],
    ] as const)
      await write(place, values);
    await called("cudnnLRNCrossChannelBackward", lrn, i32(0), ...back());
    expect(await read(D)).toEqual(blended(slope(f, a, b), d));
  });

  it("copies in another order, adds, scales and sets", async () => {
    const pixels = await made("Tensor", "cudnnSetTensor4dDescriptorEx", i32(0), ...[...DIMS, 12, 1, 6, 3].map(i32));
    await write(A, a);
    await write(D, d);
    await called("cudnnTransformTensor", factors[0], tensor, u64(A), factors[1], pixels, u64(D));
    const moved = d.map((_, place) => {
      const [image, pixel, channel] = [Math.floor(place / 12), Math.floor(place / 3) % 4, place % 3];
      return a[image * 12 + channel * 4 + pixel]!;
    });
    expect(await read(D)).toEqual(blended(moved, d));
    const bias = await tensorOf([1, 3, 1, 1]);
    await write(D, d);
    await called("cudnnAddTensor", factors[0], bias, u64(A), factors[1], tensor, u64(D));
    expect(await read(D)).toEqual(
      blended(
        d.map((_, place) => a[channelOf(place)]!),
        d,
      ),
    );
    await called("cudnnScaleTensor", tensor, u64(A), f32(-2));
    expect(await read(A)).toEqual(a.map((value) => -2 * value));
    await called("cudnnSetTensor", tensor, u64(A), f32(0.375));
    expect(await read(A)).toEqual(a.map(() => 0.375));
  });

  it.each<[string, number, (x: number, y: number) => number]>([
    ["adds", 0, (x, y) => x + y],
    ["multiplies", 1, (x, y) => x * y],
    ["takes the lesser", 2, Math.min],
    ["takes the greater", 3, Math.max],
    ["turns round", 5, (x) => 1 - x],
  ])("%s two tensors", async (_, operation, f) => {
    const how = await made("OpTensor", "cudnnSetOpTensorDescriptor", i32(operation), i32(0), i32(0));
    expect(Buffer.from(await called("cudnnGetOpTensorDescriptor", how))).toEqual(
      Buffer.concat([i32(operation), i32(0), i32(0)]),
    );
    for (const [place, values] of [
      [A, a],
      [B, b],
      [D, d],
    ] as const)
      await write(place, values);
    const packed = [f32(ALPHA), tensor, u64(A), f32(-0.75), tensor, u64(B), f32(BETA), tensor, u64(D)];
    await called("cudnnOpTensor", how, ...packed);
    expect(await read(D)).toEqual(closeTo(a.map((x, i) => f(ALPHA * x, -0.75 * b[i]!) + BETA * d[i]!)));
  });

  it.each(reductions)("reduces by %s", async (_, operation, f) => {
    const isIndexed = operation === 2 || operation === 3;
    const numbers = [operation, 0, 0, isIndexed ? 1 : 0, 0].map(i32);
    const how = await made("ReduceTensor", "cudnnSetReduceTensorDescriptor", ...numbers);
    expect(Buffer.from(await called("cudnnGetReduceTensorDescriptor", how))).toEqual(Buffer.concat(numbers));
    const channels = await tensorOf([1, 3, 1, 1]);
    const bytesOf = async (name: string): Promise<bigint> =>
      new BigUint64Array((await called(name, how, tensor, channels)).slice().buffer)[0]!;
    const [indexBytes, spaceBytes] = [
      await bytesOf("cudnnGetReductionIndicesSize"),
      await bytesOf("cudnnGetReductionWorkspaceSize"),
    ];
    expect([indexBytes, spaceBytes]).toEqual([isIndexed ? 12n : 0n, 24n]);
    await write(A, a);
    await write(D, d);
    const room = [isIndexed ? u64(B) : u64(0), u64(indexBytes), u64(SPACE), u64(spaceBytes)];
    await called("cudnnReduceTensor", how, ...room, factors[0], tensor, u64(A), factors[1], channels, u64(D));
    const ofChannel = [0, 1, 2].map((channel) => a.filter((_, index) => channelOf(index) === channel));
    expect(await read(D, 3)).toEqual(blended(ofChannel.map(f), d));
    if (!isIndexed) return;
    const indices = new Int32Array(3);
    await slice.read(B, new Uint8Array(indices.buffer), undefined);
    expect([...indices]).toEqual(ofChannel.map((values) => values.indexOf(f(values))));
  });

  it("drops the same numbers back as forward, other ones each time, and lets the rest make up for it", async () => {
    const dropout = u64(await stand.make("Dropout"));
    await called("cudnnSetDropoutDescriptor", dropout, f32(0.25), u64(SPACE), u64(64), u64(7));
    expect(Buffer.from(await called("cudnnGetDropoutDescriptor", dropout))).toEqual(
      Buffer.concat([f32(0.25), u64(SPACE), u64(7)]),
    );
    expect(await called("cudnnDropoutGetReserveSpaceSize", tensor)).toEqual(u64(COUNT));
    await write(A, a);
    await write(C, c);
    const drop = async (way: string, from: number): Promise<number[]> => {
      await called(`cudnnDropout${way}`, dropout, tensor, u64(from), tensor, u64(D), u64(B), u64(COUNT));
      return await read(D);
    };
    const first = await drop("Forward", A);
    const kept = first.map((value) => value !== 0);
    expect(new Set(kept).size).toBe(2);
    expect(first).toEqual(closeTo(a.map((value, index) => (kept[index] ? value / 0.75 : 0))));
    expect(await drop("Backward", C)).toEqual(closeTo(c.map((value, index) => (kept[index] ? value / 0.75 : 0))));
    expect((await drop("Forward", A)).map((value) => value !== 0)).not.toEqual(kept);
  });

  it("trains a batch norm without workspaces, and goes back through it", async () => {
    const [x, y, scale, dx] = [A, D, B, D];
    const parameters = await tensorOf([1, 3, 1, 1]);
    const [one, zero] = [f32(1), f32(0)];
    const [mean, inverse, dscale, dbias] = [0, 1, 2, 3].map((place) => SPACE + 4096 * place) as [
      number,
      number,
      number,
      number,
    ];
    const f = (values: readonly number[]): number[] =>
      values.map((value, index) => {
        const all = values.filter((_, other) => channelOf(other) === channelOf(index));
        const middle = sum(all) / 8;
        const variance = sum(all.map((each) => (each - middle) ** 2)) / 8;
        return ((value - middle) / Math.sqrt(variance + 1e-5)) * b[channelOf(index)]! + b[channelOf(index)]!;
      });
    for (const [place, values] of [
      [A, a],
      [B, b],
      [C, c],
    ] as const)
      await write(place, values);
    await called(
      "cudnnBatchNormalizationForwardTraining",
      ...[i32(1), one, zero, tensor, u64(x), tensor, u64(y), parameters, u64(scale), u64(scale), f64(1)],
      ...[u64(0), u64(0), f64(1e-5), u64(mean), u64(inverse)],
    );
    expect(await read(y)).toEqual(closeTo(f(a)));
    await called(
      "cudnnBatchNormalizationBackward",
      ...[i32(1), one, zero, one, zero, tensor, u64(x), tensor, u64(C), tensor, u64(dx), parameters, u64(scale)],
      ...[u64(dscale), u64(dbias), f64(1e-5), u64(mean), u64(inverse)],
    );
    expect(await read(dx)).toEqual(closeTo(slope(f, a, c)));
    const ofChannel = (channel: number): number => sum(c.filter((_, index) => channelOf(index) === channel));
    expect(await read(dbias, 3)).toEqual(closeTo([0, 1, 2].map(ofChannel)));
  });

  it("tells of tensors and filters how they were set", async () => {
    const filter = u64(await stand.make("Filter"));
    await called("cudnnSetFilter4dDescriptor", filter, ...[0, 1, 5, 4, 3, 2].map(i32));
    const told = async (name: string, ...packed: Uint8Array[]): Promise<Buffer> =>
      Buffer.from(await called(name, ...packed));
    expect(await told("cudnnGetFilter4dDescriptor", filter)).toEqual(Buffer.concat([0, 1, 5, 4, 3, 2].map(i32)));
    expect(await told("cudnnGetFilterNdDescriptor", filter, i32(4))).toEqual(
      Buffer.concat([i32(0), i32(1), i32(4), ints(5, 4, 3, 2)]),
    );
    expect(await told("cudnnGetFilterSizeInBytes", filter)).toEqual(Buffer.from(u64(480)));
    const pixels = u64(await stand.make("Tensor"));
    await called("cudnnSetTensorNdDescriptorEx", pixels, i32(1), i32(0), i32(4), ints(...DIMS));
    expect(await told("cudnnGetTensor4dDescriptor", pixels)).toEqual(Buffer.concat([0, ...DIMS, 12, 1, 6, 3].map(i32)));
  });
});
