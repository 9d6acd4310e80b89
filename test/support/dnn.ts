/**
 * cuDNN for tests: descriptors of graphs as attributes, as a client writes them; a session's part of the work over a slice; and convolutions by their definition.
 * Numbers are those of cuDNN's headers.
 */
import type { DeviceSlice, DeviceStream } from "../../server/device/device.ts";
import type { DeviceDnn } from "../../server/device/dnn.ts";
import type { LibraryOutcome } from "../../server/device/libraries.ts";
import { dnn } from "../../shared/dnn-functions.ts";
import type { DnnAttribute } from "../../shared/generated/calls.ts";
import { libraryNumber } from "../../shared/libraries.ts";
import { arg, bytesOf, LibraryStand, numberIn } from "./library.ts";

export { arg, bytesOf };

export const dnnFunctions = dnn.functions;

/** Kinds of descriptor by their words in the table, with what cuDNN calls them. */
export const dnnDescriptors: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(dnn.descriptors).map(([word, { make }]) => [word, /^cudnnCreate(\w+)Descriptor$/.exec(make)![1]!]),
);

export const BackendType = {
  POINTWISE: 0,
  CONVOLUTION: 1,
  ENGINE: 2,
  ENGINECFG: 3,
  ENGINEHEUR: 4,
  PLAN: 5,
  FORWARD: 10,
  BACKWARD_FILTER: 11,
  BACKWARD_DATA: 12,
  POINTWISE_OPERATION: 13,
  GRAPH: 15,
  PACK: 16,
  TENSOR: 17,
} as const;

export const i64 = (name: number, ...values: readonly number[]): DnnAttribute => ({
  name,
  type: 3,
  count: values.length,
  data: bytesOf(BigInt64Array.from(values, BigInt)),
});
export const word = (name: number, type: number, value: number): DnnAttribute => ({
  name,
  type,
  count: 1,
  data: bytesOf(Int32Array.of(value)),
});
export const flag = (name: number, value: boolean): DnnAttribute => ({
  name,
  type: 2,
  count: 1,
  data: Uint8Array.of(value ? 1 : 0),
});
export const f64 = (name: number, value: number): DnnAttribute => ({
  name,
  type: 5,
  count: 1,
  data: bytesOf(Float64Array.of(value)),
});
export const refers = (name: number, ...handles: readonly number[]): DnnAttribute => ({
  name,
  type: 15,
  count: handles.length,
  data: bytesOf(Uint32Array.from(handles)),
});
export const library = (name: number): DnnAttribute => ({ name, type: 0, count: 1, data: new Uint8Array(0) });

export interface TensorShape {
  readonly uid: number;
  readonly dims: readonly number[];
  /** Default: one element behind the other, the last dimension first. */
  readonly strides?: readonly number[];
  readonly isVirtual?: boolean;
  readonly isByValue?: boolean;
}

export const stridesOf = (dims: readonly number[]): number[] =>
  dims.map((_, index) => dims.slice(index + 1).reduce((product, dim) => product * dim, 1));

/** Attributes of a tensor of f32. */
export function tensor({ uid, dims, strides, isVirtual = false, isByValue = false }: TensorShape): DnnAttribute[] {
  return [
    i64(900, 4),
    word(901, 1, 0),
    i64(902, ...dims),
    i64(903, ...(strides ?? stridesOf(dims))),
    i64(906, uid),
    flag(907, isVirtual),
    flag(908, isByValue),
  ];
}

export interface ConvolutionShape {
  readonly padding: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
}

export const convolution = ({ padding, stride, dilation }: ConvolutionShape): DnnAttribute[] => [
  word(100, 1, 0),
  word(101, 7, 1),
  i64(102, ...dilation),
  i64(103, ...stride),
  i64(104, ...padding),
  i64(105, ...padding),
  i64(106, padding.length),
];

/** Names of an operation's attributes: how, w, x, y, alpha and beta. */
const operationNames: Record<number, readonly [how: number, w: number, x: number, y: number, alpha: number]> = {
  [BackendType.FORWARD]: [702, 703, 704, 705, 700],
  [BackendType.BACKWARD_FILTER]: [714, 715, 716, 717, 712],
  [BackendType.BACKWARD_DATA]: [708, 709, 710, 711, 706],
};

/** An operation of a convolution, whatever it computes of x, w and y. */
export function convolve(type: number, parts: { how: number; w: number; x: number; y: number }): DnnAttribute[] {
  const [how, w, x, y, alpha] = operationNames[type]!;
  return [
    refers(how, parts.how),
    refers(w, parts.w),
    refers(x, parts.x),
    refers(y, parts.y),
    f64(alpha, 1),
    f64(alpha + 1, 0),
  ];
}

/** A session's part of the work over a slice with cuDNN. */
export class DnnStand extends LibraryStand<DeviceDnn> {
  static async open(slice: DeviceSlice, ...ranges: LibraryStand["ranges"]): Promise<DnnStand> {
    return new DnnStand(dnn, (await slice.openLibrary!(libraryNumber(dnn))) as DeviceDnn, ranges);
  }

  get dnn(): DeviceDnn {
    return this.library;
  }

  async outcome(
    type: number,
    attributes: readonly DnnAttribute[],
  ): Promise<LibraryOutcome & { readonly handle: number }> {
    const { descriptor, ...outcome } = await this.dnn.describe(type, attributes, this);
    const handle = this.next();
    if (descriptor !== undefined) this.made(handle, descriptor);
    return { ...outcome, handle };
  }

  /** Makes a descriptor that the library takes. */
  async describe(type: number, attributes: readonly DnnAttribute[]): Promise<number> {
    const { status, message, handle } = await this.outcome(type, attributes);
    if (status !== 0) throw new Error(`[${status}] ${message}`);
    return handle;
  }

  /** Makes a descriptor of a function's. */
  make(name: string): Promise<number> {
    return this.makeBy(`cudnnCreate${name}Descriptor`);
  }

  /** A plan for operations, by the engine of a number; and all descriptors on the way to it. */
  async plan(operations: readonly number[], engine = 0): Promise<{ plan: number; parts: number[] }> {
    const graph = await this.describe(BackendType.GRAPH, [library(800), refers(801, ...operations)]);
    const chosen = await this.describe(BackendType.ENGINE, [refers(1300, graph), i64(1301, engine)]);
    const configuration = await this.describe(BackendType.ENGINECFG, [refers(300, chosen)]);
    const plan = await this.describe(BackendType.PLAN, [library(400), refers(401, configuration)]);
    return { plan, parts: [graph, chosen, configuration] };
  }

  run(
    plan: number,
    tensors: Readonly<Record<number, number>>,
    {
      workspace = 0,
      values = new Uint8Array(0) as Uint8Array,
      mayReserve = true,
      stream = undefined as DeviceStream | undefined,
    } = {},
  ): LibraryOutcome | Promise<LibraryOutcome> {
    const uids = bytesOf(BigInt64Array.from(Object.keys(tensors), BigInt));
    const addresses = bytesOf(BigUint64Array.from(Object.values(tensors), BigInt));
    return this.dnn.execute(
      { plan: this.descriptor(plan), stream, workspace, uids, addresses, values, mayReserve },
      this,
    );
  }
}

export const numberOf = (name: string): number => numberIn(dnn, name);

export interface Image {
  readonly dims: readonly [number, number, number, number];
  readonly data: Float32Array;
}

export const image = (dims: Image["dims"], seed: number): Image => ({
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => ((i * 7 + seed * 13) % 11) - 5),
});
const at = ({ dims: [, c, h, w] }: Image, n: number, i: number, y: number, x: number): number =>
  ((n * c + i) * h + y) * w + x;

/** All products of a convolution in two dimensions: where each lies in x, w and y. */
export function* products(
  { x, w, y }: Record<"x" | "w" | "y", Image>,
  { padding, stride, dilation }: ConvolutionShape,
): Generator<[number, number, number]> {
  const [filters, channels, height, width] = w.dims;
  const perGroup = filters / (x.dims[1] / channels);
  for (let n = 0; n < y.dims[0]; n++)
    for (let k = 0; k < filters; k++)
      for (let p = 0; p < y.dims[2]; p++)
        for (let q = 0; q < y.dims[3]; q++)
          for (let c = 0; c < channels; c++)
            for (let r = 0; r < height; r++)
              for (let s = 0; s < width; s++) {
                const row = p * stride[0]! - padding[0]! + r * dilation[0]!;
                const column = q * stride[1]! - padding[1]! + s * dilation[1]!;
                if (row < 0 || column < 0 || row >= x.dims[2] || column >= x.dims[3]) continue;
                const channel = Math.floor(k / perGroup) * channels + c;
                yield [at(x, n, channel, row, column), at(w, k, c, r, s), at(y, n, k, p, q)];
              }
}
