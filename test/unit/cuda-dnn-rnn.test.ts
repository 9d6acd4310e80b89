/** cuDNN's RNNs and dropout on a GPU: forward against their definition, and back against differences of that, over the stand-in for the library. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DeviceSlice, DeviceStream } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { arg, DnnStand, stridesOf } from "../support/dnn.ts";
import { openStandinSlice } from "../support/standin-slice.ts";

const MiB = 1024 * 1024;
const { i32, u64, f32, ints } = arg;
const [STEPS, BATCH, INPUTS, HIDDEN] = [3, 2, 2, 3];
const place = (index: number): number => ARENA_BASE + index * 65_536;
const names = [
  "x",
  "hx",
  "cx",
  "w",
  "y",
  "hy",
  "cy",
  "dy",
  "dhy",
  "dcy",
  "dx",
  "dhx",
  "dcx",
  "dw",
  "space",
  "reserve",
] as const;
const at = Object.fromEntries(names.map((name, index) => [name, place(index)])) as Record<
  (typeof names)[number],
  number
>;

type Kind = "tanh" | "lstm";
const gatesOf = (kind: Kind): number => (kind === "lstm" ? 4 : 1);
const weightsOf = (kind: Kind): number => gatesOf(kind) * HIDDEN * (INPUTS + HIDDEN + 2);

type Given = Record<"x" | "hx" | "cx" | "w", number[]>;
type Made = Record<"y" | "hy" | "cy", number[]>;

const random = (seed: number, length: number): number[] =>
  Array.from({ length }, (_, i) => Math.fround(Math.sin(i * 12.9898 + seed * 78.233) * 0.8));
const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));

/** The cells by their definition: gates in, forget, candidate and out of an LSTM; matrices of inputs and of the state, a bias for each. */
function cells(kind: Kind, { x, hx, cx, w }: Given): Made {
  const rows = gatesOf(kind) * HIDDEN;
  const [recurrent, bias] = [rows * INPUTS, rows * (INPUTS + HIDDEN)];
  const [h, c, y] = [[...hx], [...cx], [] as number[]];
  for (let step = 0; step < STEPS; step++) {
    for (let batch = 0; batch < BATCH; batch++) {
      const before = h.slice(batch * HIDDEN, (batch + 1) * HIDDEN);
      const sums = Array.from({ length: rows }, (_, row) => {
        let sum = w[bias + row]! + w[bias + rows + row]!;
        for (let i = 0; i < INPUTS; i++) sum += w[row * INPUTS + i]! * x[(step * BATCH + batch) * INPUTS + i]!;
        for (let i = 0; i < HIDDEN; i++) sum += w[recurrent + row * HIDDEN + i]! * before[i]!;
        return sum;
      });
      for (let unit = 0; unit < HIDDEN; unit++) {
        const own = batch * HIDDEN + unit;
        const gate = (index: number): number => sums[index * HIDDEN + unit]!;
        if (kind === "tanh") h[own] = Math.tanh(gate(0));
        else {
          c[own] = sigmoid(gate(1)) * c[own]! + sigmoid(gate(0)) * Math.tanh(gate(2));
          h[own] = sigmoid(gate(3)) * Math.tanh(c[own]!);
        }
        y[(step * BATCH + batch) * HIDDEN + unit] = h[own]!;
      }
    }
  }
  return { y, hy: h, cy: c };
}

let slice: DeviceSlice;
let stand: DnnStand;

const write = (address: number, values: readonly number[]): void | Promise<void> =>
  slice.write(address, new Uint8Array(Float32Array.from(values).buffer), undefined);

async function read(address: number, length: number): Promise<number[]> {
  const into = new Float32Array(length);
  await slice.read(address, new Uint8Array(into.buffer), undefined);
  return [...into];
}

async function called(name: string, ...packed: readonly Uint8Array[]): Promise<bigint[]> {
  const { status, message, results } = await stand.call(name, packed);
  if (status !== 0) throw new Error(`${name} [${status}] ${message}`);
  return [...new BigUint64Array(results.slice().buffer)];
}

const closeTo = (values: readonly number[]): unknown[] => values.map((value) => expect.closeTo(value, 3));

/** Descriptors of cells, of sequences of inputs and of states, and of the first and last state. */
async function describeCells(kind: Kind): Promise<Record<"rnn" | "xs" | "ys" | "state" | "dropout", number>> {
  const [rnn, dropout, xs, ys, state] = [
    ...[await stand.make("RNN"), await stand.make("Dropout"), await stand.make("RNNData"), await stand.make("RNNData")],
    await stand.make("Tensor"),
  ] as [number, number, number, number, number];
  await called("cudnnSetDropoutDescriptor", u64(dropout), f32(0), u64(0), u64(0), u64(0));
  await called(
    "cudnnSetRNNDescriptor_v8",
    ...[u64(rnn), i32(0), i32(kind === "lstm" ? 2 : 1), i32(2), i32(0), i32(0), i32(0), i32(0), i32(0)],
    ...[i32(INPUTS), i32(HIDDEN), i32(HIDDEN), i32(1), u64(dropout), i32(0)],
  );
  const lengths = ints(...new Array<number>(BATCH).fill(STEPS));
  for (const [data, width] of [
    [xs, INPUTS],
    [ys, HIDDEN],
  ] as const) {
    const shape = [i32(0), i32(0), i32(STEPS), i32(BATCH), i32(width), lengths, f32(0)];
    await called("cudnnSetRNNDataDescriptor", u64(data), ...shape);
  }
  const dims = [1, BATCH, HIDDEN];
  await called("cudnnSetTensorNdDescriptor", u64(state), i32(0), i32(3), ints(...dims), ints(...stridesOf(dims)));
  return { rnn, xs, ys, state, dropout };
}

describe.skipIf(standinMissing !== undefined)("cuDNN's RNNs on a CUDA device", () => {
  beforeEach(async () => {
    slice = await openStandinSlice({ arenaBytes: 4 * MiB });
    stand = await DnnStand.open(slice, [ARENA_BASE, ARENA_BASE + 4 * MiB]);
  });

  afterEach(async () => {
    await slice.close();
    expect(standin.report()).toBe("");
    expect(standin.dnnObjects(), "cuDNN's objects are given back").toBe(0);
  });

  it.each(["tanh", "lstm"] as const)("go forward and back, with cells of %s", async (kind) => {
    const { rnn, xs, ys, state } = await describeCells(kind);
    const [weightBytes] = await called("cudnnGetRNNWeightSpaceSize", u64(rnn));
    expect(weightBytes).toBe(BigInt(4 * weightsOf(kind)));
    const [spaceBytes, reserveBytes] = await called("cudnnGetRNNTempSpaceSizes", u64(rnn), i32(1), u64(xs));
    const states = BATCH * HIDDEN;
    const given: Given = {
      x: random(1, STEPS * BATCH * INPUTS),
      hx: random(2, states),
      cx: kind === "lstm" ? random(3, states) : new Array<number>(states).fill(0),
      w: random(4, weightsOf(kind)),
    };
    const back = { y: random(5, STEPS * states), hy: random(6, states), cy: random(7, states) };
    for (const name of ["x", "hx", "cx", "w"] as const) await write(at[name], given[name]);
    for (const name of ["y", "hy", "cy"] as const) await write(at[`d${name}`], back[name]);
    // Only an LSTM has cells with a state of their own.
    const cell = (address: number): Uint8Array => u64(kind === "lstm" ? address : 0);
    const described = u64(kind === "lstm" ? state : 0);
    const spaces = [u64(spaceBytes!), u64(at.space), u64(reserveBytes!), u64(at.reserve)];
    await called(
      "cudnnRNNForward",
      ...[u64(rnn), i32(1), u64(0), u64(xs), u64(at.x), u64(ys), u64(at.y), u64(state), u64(at.hx), u64(at.hy)],
      ...[described, cell(at.cx), cell(at.cy), u64(weightBytes!), u64(at.w), ...spaces],
    );
    const made = cells(kind, given);
    expect(await read(at.y, made.y.length)).toEqual(closeTo(made.y));
    expect(await read(at.hy, states)).toEqual(closeTo(made.hy));
    if (kind === "lstm") expect(await read(at.cy, states)).toEqual(closeTo(made.cy));
    await called(
      "cudnnRNNBackwardData_v8",
      ...[u64(rnn), u64(0), u64(ys), u64(at.y), u64(at.dy), u64(xs), u64(at.dx), u64(state), u64(at.hx), u64(at.dhy)],
      ...[u64(at.dhx), described, cell(at.cx), cell(at.dcy), cell(at.dcx), u64(weightBytes!), u64(at.w), ...spaces],
    );
    await called(
      "cudnnRNNBackwardWeights_v8",
      ...[u64(rnn), i32(0), u64(0), u64(xs), u64(at.x), u64(state), u64(at.hx), u64(ys), u64(at.y)],
      ...[u64(weightBytes!), u64(at.dw), ...spaces],
    );
    /** How the sum of all that is made, weighed by what comes back, changes with each number that was given. */
    const slope = (name: keyof Given): number[] =>
      given[name].map((value, index) => {
        const loss = (by: number): number => {
          const changed = cells(kind, { ...given, [name]: given[name].with(index, value + by) });
          const weighed = (part: keyof Made): number =>
            kind === "tanh" && part === "cy" ? 0 : changed[part].reduce((sum, v, i) => sum + v * back[part][i]!, 0);
          return weighed("y") + weighed("hy") + weighed("cy");
        };
        return (loss(1e-5) - loss(-1e-5)) / 2e-5;
      });
    expect(await read(at.dx, given.x.length)).toEqual(closeTo(slope("x")));
    expect(await read(at.dhx, states)).toEqual(closeTo(slope("hx")));
    if (kind === "lstm") expect(await read(at.dcx, states)).toEqual(closeTo(slope("cx")));
    expect(await read(at.dw, given.w.length)).toEqual(closeTo(slope("w")));
  });

  it("tell where each gate's weights lie, and what they look like", async () => {
    const { rnn } = await describeCells("lstm");
    const [matrix, bias] = [await stand.make("Tensor"), await stand.make("Tensor")];
    const bytes = 4 * weightsOf("lstm");
    const about = (linear: number) => [u64(rnn), i32(0), u64(bytes), u64(at.w), i32(linear)];
    const [matrixToo, biasToo, without] = [
      [u64(matrix), u64(1)],
      [u64(bias), u64(1)],
      [u64(0), u64(0)],
    ];
    const asked = (linear: number) => called("cudnnGetRNNWeightParams", ...about(linear), ...matrixToo, ...biasToo);
    const [rows, gate] = [4 * HIDDEN, 2];
    const biases = at.w + 4 * rows * (INPUTS + HIDDEN);
    expect(await asked(gate)).toEqual([at.w + 4 * gate * HIDDEN * INPUTS, biases + 4 * gate * HIDDEN].map(BigInt));
    const recurrent = at.w + 4 * (rows * INPUTS + gate * HIDDEN * HIDDEN);
    expect(await asked(4 + gate)).toEqual([recurrent, biases + 4 * (rows + gate * HIDDEN)].map(BigInt));
    expect(await called("cudnnGetTensorSizeInBytes", u64(matrix))).toEqual([BigInt(4 * HIDDEN * HIDDEN)]);
    // Each alone, as PyTorch asks.
    const matrixAlone = await called("cudnnGetRNNWeightParams", ...about(gate), ...matrixToo, ...without);
    expect(matrixAlone).toEqual([BigInt(at.w + 4 * gate * HIDDEN * INPUTS)]);
    const biasAlone = await called("cudnnGetRNNWeightParams", ...about(gate), ...without, ...biasToo);
    expect(biasAlone).toEqual([BigInt(biases + 4 * gate * HIDDEN)]);
    const result = await stand.call("cudnnGetRNNWeightParams", [...about(99), ...matrixToo, ...biasToo]);
    expect(result).toMatchObject({ status: 2000, results: new Uint8Array(0) });
  });

  it("are refused outside the lease's memory", async () => {
    const { rnn, xs, ys, state } = await describeCells("tanh");
    const bytes = 4 * weightsOf("tanh");
    const forward = (change: Partial<typeof at>) => {
      const to = { ...at, ...change };
      return stand.call("cudnnRNNForward", [
        ...[u64(rnn), i32(0), u64(0), u64(xs), u64(to.x), u64(ys), u64(to.y), u64(state), u64(to.hx), u64(to.hy)],
        ...[u64(0), u64(0), u64(0), u64(bytes), u64(to.w), u64(64), u64(to.space), u64(0), u64(0)],
      ]);
    };
    const end = ARENA_BASE + 4 * MiB;
    for (const [name, address] of [
      ["x", 4096],
      ["y", end],
      ["hx", end - 20],
      ["w", end - bytes + 4],
      ["space", end - 60],
    ] as const) {
      expect(() => forward({ [name]: address }), name).toThrow("outside");
    }
    expect((await forward({ hx: end - 24, space: end - 64 })).status).toBe(0);
    await slice.synchronize();
  });

  it("keep what drops units alive, and seed it on the device", async () => {
    const { dropout } = await describeCells("tanh");
    expect(await called("cudnnDropoutGetStatesSize")).toEqual([64n]);
    const before = standin.dnnObjects();
    stand.forget(dropout);
    expect(standin.dnnObjects(), "the cells still refer to it").toBe(before);
    const seeded = await stand.make("Dropout");
    const seed = 2n ** 63n + 5n;
    await called("cudnnSetDropoutDescriptor", u64(seeded), f32(0.5), u64(at.x), u64(64), u64(seed));
    const into = new BigUint64Array(8);
    await slice.read(at.x, new Uint8Array(into.buffer), undefined);
    expect([...into]).toEqual(Array.from({ length: 8 }, (_, index) => seed + BigInt(index)));
    const beyond = [u64(seeded), f32(0.5), u64(ARENA_BASE + 4 * MiB - 32), u64(64), u64(1)];
    expect(() => stand.call("cudnnSetDropoutDescriptor", beyond)).toThrow("outside");
    expect(await stand.call("cudnnSetDropoutDescriptor", [u64(seeded), f32(2), u64(0), u64(0), u64(1)])).toMatchObject({
      status: 2000,
      isRemembered: true,
    });
  });

  it("set what drops nothing without room for what a library may load, which states want", async () => {
    const dropout = await stand.make("Dropout");
    const streams: DeviceStream[] = [];
    expect(() => {
      for (;;) streams.push(slice.createStream({ flags: 1, priority: 0 }));
    }).toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
    const set = (states: number, byteCount: number) => {
      const packed = [u64(dropout), f32(0), u64(states), u64(byteCount), u64(1)];
      return stand.call("cudnnSetDropoutDescriptor", packed, { mayReserve: false });
    };
    expect(await set(0, 0)).toMatchObject({ status: 0 });
    expect(() => set(at.x, 64)).toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
    for (const stream of streams) slice.destroyStream(stream);
  });
});
