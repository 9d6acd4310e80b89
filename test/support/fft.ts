/** Plans of cuFFT for tests: what they are made of, as it travels, and how far they reach by going through all elements. Types are cudaDataType. */
import { arg } from "./library.ts";

export const R_32F = 0;
export const R_64F = 1;
export const C_32F = 4;
export const C_64F = 5;
export const C_16F = 6;

/** How one side lies: embedding, stride and distance. */
export type FftLayout = readonly [embed: readonly number[], stride: number, distance: number];

export interface FftPlan {
  readonly n: readonly number[];
  readonly input: number;
  readonly output: number;
  readonly batch?: number;
  /** Default: one element behind the other, on both sides. */
  readonly layouts?: readonly [input: FftLayout, output: FftLayout];
}

const bytesOfType: Readonly<Record<number, number>> = { 0: 4, 1: 8, 4: 8, 5: 16, 6: 4 };
const isReal = (type: number): boolean => type === R_32F || type === R_64F;
const executionOf = ({ input, output }: FftPlan): number => (isReal(input) ? output : input);

/** Arguments of cufftXtMakePlanMany. */
export function planOf(handle: number, plan: FftPlan): Uint8Array[] {
  const side = (type: number, layout: FftLayout | undefined): Uint8Array[] => {
    const [embed, stride, distance] = layout ?? [undefined, 1, 0];
    const there = embed === undefined ? [arg.u64(0)] : [arg.u64(1), arg.longs(...embed)];
    return [...there, arg.i64(stride), arg.i64(distance), arg.i32(type)];
  };
  const { n, input, output, batch = 1, layouts } = plan;
  return [
    ...[arg.u64(handle), arg.i32(n.length), arg.longs(...n)],
    ...[...side(input, layouts?.[0]), ...side(output, layouts?.[1])],
    ...[arg.i64(batch), arg.i32(executionOf(plan))],
  ];
}

/** All indices of some dimensions. */
function* indices(dims: readonly number[]): Generator<readonly number[]> {
  const [first, ...rest] = dims;
  if (first === undefined) yield [];
  else for (let index = 0; index < first; index++) for (const behind of indices(rest)) yield [index, ...behind];
}

/** Bytes from the first element to behind the last, on the input's side and on the output's. */
export function reachOf({ n, input, output, batch = 1, layouts }: FftPlan): [input: number, output: number] {
  const isHalved = isReal(input) || isReal(output);
  const reach = (type: number, layout: FftLayout | undefined): number => {
    const dims = n.map((dim, at) => (isHalved && !isReal(type) && at === n.length - 1 ? Math.floor(dim / 2) + 1 : dim));
    const count = dims.reduce((product, dim) => product * dim, 1);
    const [embed, stride, distance] = layout ?? [dims, 1, count];
    let last = 0;
    for (let one = 0; one < batch; one++) {
      for (const index of indices(dims)) {
        const place = index.reduce((at, each, dim) => at * embed[dim]! + each, 0);
        last = Math.max(last, one * distance + place * stride);
      }
    }
    return (last + 1) * bytesOfType[type]!;
  };
  return [reach(input, layouts?.[0]), reach(output, layouts?.[1])];
}
