/** cuDNN's functions that belong to no graph, by their table: batch norms against their definition, and what is refused before the library sees it. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DeviceSlice, DeviceStream } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { arg, BackendType, DnnStand, numberOf, stridesOf, tensor } from "../support/dnn.ts";
import { openStandinSlice } from "../support/standin-slice.ts";

const MiB = 1024 * 1024;
const { i32, u64, f32, f64, ints } = arg;
/** Where the operands of a batch norm are. */
const [X, Y, DY, DX, SCALE, BIAS, RUNNING_MEAN, RUNNING_VARIANCE, MEAN, INVERSE, DSCALE, DBIAS, SPACE, RESERVE] =
  Array.from({ length: 14 }, (_, place) => ARENA_BASE + place * 65_536) as unknown as readonly number[] & {
    readonly [index: number]: number;
  } as [number, number, number, number, number, number, number, number, number, number, number, number, number, number];
const DIMS = [3, 2, 4, 5];
const ELEMENTS = 120;
const EPSILON = 1e-5;

let slice: DeviceSlice;
let stand: DnnStand;

const write = (address: number, values: readonly number[]): void | Promise<void> =>
  slice.write(address, new Uint8Array(Float32Array.from(values).buffer), undefined);

async function read(address: number, length: number): Promise<number[]> {
  const into = new Float32Array(length);
  await slice.read(address, new Uint8Array(into.buffer), undefined);
  return [...into];
}

async function called(name: string, ...packed: readonly Uint8Array[]): Promise<Uint8Array> {
  const { status, message, results } = await stand.call(name, packed);
  if (status !== 0) throw new Error(`${name} [${status}] ${message}`);
  return results;
}

async function makeTensor(dims: readonly number[], type = 0): Promise<number> {
  const handle = await stand.make("Tensor");
  const described = [i32(type), i32(dims.length), ints(...dims), ints(...stridesOf(dims))];
  await called("cudnnSetTensorNdDescriptor", u64(handle), ...described);
  return handle;
}

const random = (seed: number, length: number): number[] =>
  Array.from({ length }, (_, i) => Math.fround(Math.sin(i * 12.9898 + seed) * 2 + 0.3));
const channelOf = (index: number): number => Math.floor(index / 20) % 2;
const ofChannel = (values: readonly number[], channel: number): number[] =>
  values.filter((_, index) => channelOf(index) === channel);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const closeTo = (values: readonly number[]): unknown[] => values.map((value) => expect.closeTo(value, 4));

/** What a batch norm makes of its numbers, by its definition. */
function statistics(x: readonly number[], channel: number) {
  const all = ofChannel(x, channel);
  const mean = sum(all) / all.length;
  const variance = sum(all.map((value) => (value - mean) ** 2)) / all.length;
  return { mean, variance, inverse: 1 / Math.sqrt(variance + EPSILON), unbiased: (variance * 60) / 59 };
}

describe.skipIf(standinMissing !== undefined)("cuDNN's functions on a CUDA device", () => {
  beforeEach(async () => {
    slice = await openStandinSlice({ arenaBytes: 4 * MiB });
    stand = await DnnStand.open(slice, [ARENA_BASE, ARENA_BASE + 4 * MiB]);
  });

  afterEach(async () => {
    await slice.close();
    expect(standin.report()).toBe("");
    expect(standin.dnnObjects(), "cuDNN's objects are given back").toBe(0);
  });

  it("trains a batch norm, infers with it, and goes back through it", async () => {
    const [x, dy, scale, bias] = [random(1, ELEMENTS), random(2, ELEMENTS), [1.5, -0.5], [0.25, 2]];
    for (const [place, values] of [
      [X, x],
      [DY, dy],
      [SCALE, scale],
      [BIAS, bias],
      [RUNNING_MEAN, [1, 2]],
      [RUNNING_VARIANCE, [3, 4]],
    ] as const)
      await write(place, values);
    const data = await makeTensor(DIMS);
    const parameters = await stand.make("Tensor");
    await called("cudnnDeriveBNTensorDescriptor", u64(parameters), u64(data), i32(1));
    const asked = await called(
      "cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize",
      i32(1),
      i32(0),
      u64(data),
      u64(0),
      u64(data),
      u64(parameters),
      u64(0),
    );
    expect(asked).toEqual(u64(64));
    const one = [f32(1), f32(0)];
    const spaces = [u64(SPACE), u64(64), u64(RESERVE), u64(32)];
    await called(
      "cudnnBatchNormalizationForwardTrainingEx",
      ...[
        i32(1),
        i32(0),
        ...one,
        u64(data),
        u64(X),
        u64(0),
        u64(0),
        u64(data),
        u64(Y),
        u64(parameters),
        u64(SCALE),
        u64(BIAS),
      ],
      ...[f64(0.1), u64(RUNNING_MEAN), u64(RUNNING_VARIANCE), f64(EPSILON), u64(MEAN), u64(INVERSE), u64(0), ...spaces],
    );
    const known = [0, 1].map((channel) => statistics(x, channel));
    const normal = x.map((value, index) => (value - known[channelOf(index)]!.mean) * known[channelOf(index)]!.inverse);
    const trained = normal.map((value, index) => value * scale[channelOf(index)]! + bias[channelOf(index)]!);
    expect(await read(Y, ELEMENTS)).toEqual(closeTo(trained));
    expect(await read(MEAN, 2)).toEqual(closeTo(known.map(({ mean }) => mean)));
    const running = [
      known.map(({ mean }, channel) => 0.9 * [1, 2][channel]! + 0.1 * mean),
      known.map(({ unbiased }, channel) => 0.9 * [3, 4][channel]! + 0.1 * unbiased),
    ] as const;
    expect(await read(RUNNING_MEAN, 2)).toEqual(closeTo(running[0]));
    expect(await read(RUNNING_VARIANCE, 2)).toEqual(closeTo(running[1]));

    await called(
      "cudnnBatchNormalizationForwardInference",
      ...[i32(1), ...one, u64(data), u64(X), u64(data), u64(Y), u64(parameters), u64(SCALE), u64(BIAS)],
      ...[u64(RUNNING_MEAN), u64(RUNNING_VARIANCE), f64(EPSILON)],
    );
    const inferred = x.map((value, index) => {
      const channel = channelOf(index);
      const deviation = Math.sqrt(running[1][channel]! + EPSILON);
      return ((value - running[0][channel]!) / deviation) * scale[channel]! + bias[channel]!;
    });
    expect(await read(Y, ELEMENTS)).toEqual(closeTo(inferred));

    await called(
      "cudnnBatchNormalizationBackwardEx",
      ...[
        i32(1),
        i32(0),
        ...one,
        ...one,
        u64(data),
        u64(X),
        u64(0),
        u64(0),
        u64(data),
        u64(DY),
        u64(0),
        u64(0),
        u64(data),
        u64(DX),
      ],
      ...[
        u64(parameters),
        u64(SCALE),
        u64(0),
        u64(DSCALE),
        u64(DBIAS),
        f64(EPSILON),
        u64(MEAN),
        u64(INVERSE),
        u64(0),
        ...spaces,
      ],
    );
    const dbias = [0, 1].map((channel) => sum(ofChannel(dy, channel)));
    const weighted = dy.map((value, index) => value * normal[index]!);
    const dscale = [0, 1].map((channel) => sum(ofChannel(weighted, channel)));
    expect(await read(DSCALE, 2)).toEqual(closeTo(dscale));
    expect(await read(DBIAS, 2)).toEqual(closeTo(dbias));
    const dx = dy.map((value, index) => {
      const channel = channelOf(index);
      const rest = (dbias[channel]! + normal[index]! * dscale[channel]!) / 60;
      return scale[channel]! * known[channel]!.inverse * (value - rest);
    });
    expect(await read(DX, ELEMENTS)).toEqual(closeTo(dx));
  });

  const inference = (data: number, parameters: number, { x = X, mean = RUNNING_MEAN } = {}): Uint8Array[] => [
    ...[i32(1), f32(1), f32(0), u64(data), u64(x), u64(data), u64(Y), u64(parameters), u64(SCALE), u64(BIAS)],
    ...[u64(mean), u64(RUNNING_VARIANCE), f64(EPSILON)],
  ];

  it("checks each address for all that its tensor has, and a workspace for its size", async () => {
    const [data, parameters] = [await makeTensor(DIMS), await makeTensor([1, 2, 1, 1])];
    await called("cudnnBatchNormalizationForwardInference", ...inference(data, parameters));
    expect(stand.checked.slice(-6)).toEqual([
      [X, 480],
      [Y, 480],
      ...[SCALE, BIAS, RUNNING_MEAN, RUNNING_VARIANCE].map((address) => [address, 8]),
    ]);
    const end = ARENA_BASE + 4 * MiB;
    const call = (options: Parameters<typeof inference>[2]) =>
      stand.call("cudnnBatchNormalizationForwardInference", inference(data, parameters, options));
    expect(() => call({ x: end - 476 })).toThrow("outside");
    expect(() => call({ mean: end - 4 })).toThrow("outside");
    expect(() => call({ mean: 0 })).toThrow("outside");
    expect(() => call({ x: 4096 })).toThrow("outside");
    expect((await call({ x: end - 480, mean: end - 8 })).status).toBe(0);
  });

  it("loads nothing anew for other factors, so that no answer is needed, and may for all else", async () => {
    const [data, parameters] = [await makeTensor(DIMS), await makeTensor([1, 2, 1, 1])];
    const other = await makeTensor([1, 2, 4, 5]);
    const streams: DeviceStream[] = [];
    const run = (mode: number, epsilon: number, mayReserve: boolean, described = data) => {
      const packed = [i32(mode), ...inference(described, parameters).slice(1, -1), f64(epsilon)];
      return stand.call("cudnnBatchNormalizationForwardInference", packed, { mayReserve });
    };
    expect((await run(1, EPSILON, true)).status).toBe(0);
    expect(() => {
      for (;;) streams.push(slice.createStream({ flags: 1, priority: 0 }));
    }).toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
    expect((await run(1, 2 * EPSILON, false)).status).toBe(0);
    for (const call of [() => run(2, EPSILON, false), () => run(1, EPSILON, false, other)]) {
      expect(call).toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
    }
    for (const stream of streams) slice.destroyStream(stream);
  });

  it("remembers of a descriptor that it could not be set, until it is", async () => {
    const [data, parameters] = [await makeTensor(DIMS), await makeTensor([1, 2, 1, 1])];
    const set = (n: number) =>
      stand.call("cudnnSetTensor4dDescriptor", [u64(data), i32(0), i32(0), i32(n), i32(2), i32(4), i32(5)]);
    const failed = { status: 2000, message: "dimensions are from 1", isRemembered: true };
    expect(await set(-1)).toMatchObject(failed);
    const run = () => stand.call("cudnnBatchNormalizationForwardInference", inference(data, parameters));
    expect(await run()).toMatchObject({ ...failed, isRemembered: false });
    // What is made of it fails alike.
    const derived = await stand.make("Tensor");
    expect(await stand.call("cudnnDeriveBNTensorDescriptor", [u64(derived), u64(data), i32(1)])).toMatchObject(failed);
    expect(await stand.call("cudnnGetTensorSizeInBytes", [u64(derived)])).toMatchObject({ status: 2000 });
    expect(await set(3)).toMatchObject({ status: 0, isRemembered: false });
    expect(await run()).toMatchObject({ status: 0 });
  });

  it("gives results as they are packed, arrays among them", async () => {
    const data = await makeTensor(DIMS, 1);
    expect(await called("cudnnGetTensorSizeInBytes", u64(data))).toEqual(u64(960));
    const all = new Uint8Array(Buffer.concat([i32(1), i32(4), ints(...DIMS), ints(...stridesOf(DIMS))]));
    expect(await called("cudnnGetTensorNdDescriptor", u64(data), i32(4))).toEqual(all);
    const some = new Uint8Array(Buffer.concat([i32(1), i32(4), ints(3), ints(40)]));
    expect(await called("cudnnGetTensorNdDescriptor", u64(data), i32(1))).toEqual(some);
  });

  it.each<[string, string, (data: number, graph: number) => Uint8Array[], RegExp]>([
    ["fewer bytes than its arguments", "cudnnGetTensorSizeInBytes", () => [], /too short/],
    ["more bytes than its arguments", "cudnnGetTensorSizeInBytes", (data) => [u64(data), u64(0)], /too long/],
    [
      "an array shorter than its count",
      "cudnnSetTensorNdDescriptor",
      (data) => [u64(data), i32(0), i32(8), ints(1, 2, 3, 4), ints(1, 2, 3, 4)],
      /too short/,
    ],
    [
      "an array longer than its count",
      "cudnnSetTensorNdDescriptor",
      (data) => [u64(data), i32(0), i32(3), ints(1, 2, 3, 4, 5, 6), ints(1, 2, 3)],
      /too long/,
    ],
    ["a count below zero", "cudnnSetTensorNdDescriptor", (data) => [u64(data), i32(0), i32(-1)], /\[-1\] elements/],
    [
      "a count beyond all memory",
      "cudnnSetTensorNdDescriptor",
      (data) => [u64(data), i32(0), i32(2 ** 31 - 1)],
      /elements/,
    ],
    [
      "room for more results than a call has",
      "cudnnGetTensorNdDescriptor",
      (data) => [u64(data), i32(2 ** 20)],
      /elements/,
    ],
    ["no descriptor where it needs one", "cudnnGetTensorSizeInBytes", () => [u64(0)], /No descriptor \[0\]/],
    ["a descriptor that is not there", "cudnnGetTensorSizeInBytes", () => [u64(99)], /No descriptor \[99\]/],
    [
      "a descriptor of another kind",
      "cudnnSetActivationDescriptor",
      (data) => [u64(data), i32(1), i32(0), f64(0)],
      /of the kind \[tensor\], not \[activation\]/,
    ],
    [
      "a descriptor of a graph",
      "cudnnGetTensorSizeInBytes",
      (_, graph) => [u64(graph)],
      /of the kind \[17\], not \[tensor\]/,
    ],
  ])("refuses %s", async (_, name, packed, message) => {
    const data = await makeTensor(DIMS);
    const graph = await stand.describe(BackendType.TENSOR, tensor({ uid: 1, dims: [1] }));
    standin.inject({ function: name, code: 3999 });
    expect(() => stand.call(name, packed(data, graph))).toThrow(message);
    standin.clear();
  });

  it("has no function but those of the table, and says what the library lacks", async () => {
    expect(() =>
      stand.dnn.call({ function: 999, stream: undefined, arguments: new Uint8Array(0), mayReserve: true }, stand),
    ).toThrow(/no function \[999\]/);
    expect(numberOf("cudnnBackendExecute")).toBe(-1);
    const data = await makeTensor(DIMS);
    // Of graphs there are none among its arguments, and the other way round.
    await expect(
      stand.outcome(BackendType.PLAN, [
        { name: 401, type: 15, count: 1, data: new Uint8Array(Uint32Array.of(data).buffer) },
      ]),
    ).rejects.toThrow(/kind \[tensor\]/);
  });
});
