/**
 * Every pointer of every function of cuDNN that travels is checked for all that the function may reach from it, and every array for its length, before the library
 * sees the call. Descriptors of each kind are of one size, which is worked out here by its definition.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DeviceSlice } from "../../server/device/device.ts";
import type { LibraryFunction } from "../../shared/library-functions.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { arg, DnnStand, dnnDescriptors, dnnFunctions, stridesOf } from "../support/dnn.ts";
import { openStandinSlice } from "../support/standin-slice.ts";

const MiB = 1024 * 1024;
const { i32, u64, f32, f64, ints } = arg;
const END = ARENA_BASE + 4 * MiB;
/** A status that the stand-in gives instead of doing anything. */
const REACHED = 3999;
const counted = (...values: readonly number[]): Uint8Array[] => [u64(values.length), ints(...values)];

/** Steps, sequences and letters of a tensor; and what each kind of descriptor is set by, behind itself. */
const DIMS = [5, 3, 4];
const settings: Partial<Record<string, [name: string, packed: Uint8Array[]]>> = {
  tensor: ["cudnnSetTensorNdDescriptor", [i32(0), i32(3), ints(...DIMS), ints(...stridesOf(DIMS))]],
  filter: ["cudnnSetFilterNdDescriptor", [i32(0), i32(0), i32(4), ints(2, 3, 2, 2)]],
  convolution: ["cudnnSetConvolution2dDescriptor", [0, 0, 1, 1, 1, 1, 1, 0].map(i32)],
  activation: ["cudnnSetActivationDescriptor", [i32(1), i32(0), f64(0)]],
  pooling: ["cudnnSetPooling2dDescriptor", [0, 0, 2, 2, 0, 0, 2, 2].map(i32)],
  dropout: ["cudnnSetDropoutDescriptor", [f32(0), u64(0), u64(0), u64(0)]],
  // Two sequences of three and two steps, packed, of seven numbers each.
  rnnData: ["cudnnSetRNNDataDescriptor", [i32(0), i32(1), i32(3), i32(2), i32(7), ints(3, 2), f32(0)]],
  spatialTransformer: ["cudnnSetSpatialTransformerNdDescriptor", [i32(0), i32(0), i32(4), ints(3, 2, 5, 6)]],
  ctcLoss: ["cudnnSetCTCLossDescriptor", [i32(0)]],
  lrn: ["cudnnSetLRNDescriptor", [i32(5), f64(1), f64(0.75), f64(2)]],
  opTensor: ["cudnnSetOpTensorDescriptor", [0, 0, 0].map(i32)],
  reduceTensor: ["cudnnSetReduceTensorDescriptor", [0, 0, 0, 0, 0].map(i32)],
};
const bytes: Partial<Record<string, number>> = {
  tensor: 4 * 60,
  filter: 4 * 24,
  rnnData: 4 * 5 * 7,
  "tensor.sequences": 4 * 3,
  "rnnData.sequences": 4 * 2,
  "spatialTransformer.theta": 4 * 3 * 6,
  "spatialTransformer.grid": 4 * 3 * 5 * 6 * 2,
};
const SPACE = 1000;

let slice: DeviceSlice;
let stand: DnnStand;
const handles: Partial<Record<string, number>> = {};

/** What a pointer must reach. */
function sizeOf({ arguments: all }: LibraryFunction, index: number): number {
  const { of, measure, size } = all[index]!;
  if (size !== undefined) return SPACE;
  if (of === undefined) return 1;
  const { descriptor } = all[of]!;
  return bytes[measure === undefined ? descriptor! : `${descriptor}.${measure}`]!;
}

interface Change {
  /** The place of an argument, and what is there. */
  readonly at: number;
  readonly packed: readonly Uint8Array[];
}

/** Calls a function with pointers to memory that there is, and all else as it may be. */
function call(f: LibraryFunction, change?: Change) {
  const packed = f.arguments.flatMap((argument, index): readonly Uint8Array[] => {
    const { kind, descriptor, isResult, isOptional, role, measure } = argument;
    if (isResult || kind === "handle") return isResult && isOptional ? [u64(1)] : [];
    if (change?.at === index) return change.packed;
    if (role === "new") return [u64(stand.next())];
    if (descriptor !== undefined) return [u64(handles[descriptor]!)];
    if (measure === "sum") return counted(1, 2, 3, 1, 2, 3);
    if (measure === "sequences" && kind === "ints") return counted(1, 2, 3);
    if (kind === "ints") return [ints(2, 2, 2)];
    if (kind === "pointer") return [u64(END - sizeOf(f, index))];
    if (kind === "u64") return [u64(SPACE)];
    return [kind === "f64" || kind === "scalar" || kind === "value" ? f64(1) : kind === "f32" ? f32(1) : i32(3)];
  });
  standin.inject({ function: f.name, code: REACHED });
  return stand.call(f.name, packed);
}

const withPointers = dnnFunctions.filter(({ arguments: all }) =>
  all.some(({ kind, isResult }) => kind === "pointer" && !isResult),
);
const withData = dnnFunctions.filter(({ arguments: all }) =>
  all.some(({ kind, measure }) => kind === "ints" && measure),
);

describe.skipIf(standinMissing !== undefined)("the library is not reached", () => {
  beforeAll(async () => {
    slice = await openStandinSlice({ arenaBytes: 4 * MiB });
    stand = await DnnStand.open(slice, [ARENA_BASE, END]);
    for (const [kind, name] of Object.entries(dnnDescriptors)) {
      const handle = await stand.make(name);
      handles[kind] = handle;
      const [set, packed] = settings[kind] ?? [];
      if (set !== undefined) expect(await stand.call(set, [u64(handle), ...packed!]), set).toMatchObject({ status: 0 });
    }
  });

  afterAll(async () => {
    await slice?.close();
    expect(standin.report()).toBe("");
  });

  it.each(withPointers.map((f) => [f.name, f] as const))("by %s with a pointer that it must not have", async (_, f) => {
    const reached = async (change?: Change): Promise<number> => {
      const { status } = await call(f, change);
      standin.clear();
      // A descriptor that could not be set fails whoever uses it.
      for (const [kind, setting] of Object.entries(settings)) {
        const [name, packed] = setting!;
        if (f.arguments.some(({ descriptor, role }) => descriptor === kind && role !== "used"))
          await stand.call(name, [u64(handles[kind]!), ...packed]);
      }
      return status;
    };
    expect(await reached()).toBe(REACHED);
    for (const [at, { kind, isResult, isOptional, name }] of f.arguments.entries()) {
      if (kind !== "pointer" || isResult) continue;
      for (const address of [END - sizeOf(f, at) + 1, END, ARENA_BASE - 1, 0x7fff_0000_1000, 2n ** 64n - 1n]) {
        expect(() => call(f, { at, packed: [u64(address)] }), `${name} at ${address}`).toThrow("outside");
        standin.clear();
      }
      const absent: Change = { at, packed: [u64(0)] };
      if (isOptional) expect(await reached(absent), name).toBe(REACHED);
      else expect(() => call(f, absent), name).toThrow("outside");
      standin.clear();
    }
  });

  it.each(withData.map((f) => [f.name, f] as const))("by %s with an array of another length", (_, f) => {
    for (const [at, { kind, measure, name }] of f.arguments.entries()) {
      if (kind !== "ints" || measure === undefined) continue;
      const right = measure === "sum" ? [1, 2, 3, 1, 2, 3] : [1, 2, 3];
      const wrong: [string, Uint8Array[]][] = [
        ["one too few", counted(...right.slice(1))],
        ["one too many", counted(...right, 0)],
        ["none", [u64(0)]],
        ["more than are there", [u64(4000), ints(...right)]],
        ["a count beyond all", [u64(2n ** 63n)]],
      ];
      for (const [what, packed] of wrong) {
        expect(() => call(f, { at, packed }), `${name}: ${what}`).toThrow(/\[\d+\] elements|too short/);
        standin.clear();
      }
    }
    // Together they are as many as there are labels.
    const at = f.arguments.findIndex(({ name }) => name.toLowerCase().endsWith("labellengths"));
    expect(() => call(f, { at, packed: counted(7, -1, 0) })).toThrow(/below zero/);
    standin.clear();
  });

  it("by what is measured by a descriptor that is not set", async () => {
    for (const [kind, name] of [
      ["spatialTransformer", "cudnnSpatialTfGridGeneratorForward"],
      ["rnnData", "cudnnRNNForward"],
      ["tensor", "cudnnCTCLoss_v8"],
    ] as const) {
      const f = dnnFunctions.find((each) => each.name === name)!;
      const at = f.arguments.findIndex(({ descriptor }) => descriptor === kind);
      const packed = [u64(await stand.make(dnnDescriptors[kind]!))];
      expect(() => call(f, { at, packed }), name).toThrow("is not set");
      standin.clear();
    }
  });
});
