/** The computations of the cpu case: for each the kernel and its launch, the same in plain JavaScript, and its size. */
import type { DeviceModule, DeviceSlice } from "../../server/device/device.ts";

/** One argument of a kernel: an array by its place, or a scalar. */
export type Argument = "a" | "b" | "c" | "d" | "e" | Int32Array | Float32Array;

export interface Computation {
  /** Name, also in bench/floor/compute.c. */
  readonly name: string;
  readonly title: string;
  /** Fixture under test/kernels/ptx and kernel in it. */
  readonly ptx: string;
  readonly kernel: string;
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  readonly sharedBytes: number;
  readonly args: readonly Argument[];
  /** What is counted, and how many of it one run does. */
  readonly unit: "elements" | "flops" | "interactions" | "options";
  readonly count: number;
  /** Scale and offset of the inputs a, b and c. */
  readonly inputs: readonly (readonly [scale: number, offset: number])[];
  readonly javascript: (arrays: Arrays) => void;
}

export type Arrays = Record<"a" | "b" | "c" | "d" | "e", Float32Array>;

export const ELEMENTS = 1 << 20;
const SIDE = 512;
const BODIES = 2048;
const OPTIONS = 1 << 18;

/** The inputs, as in compute.c. */
export function makeArrays(inputs: Computation["inputs"]): Arrays {
  const make = (index: number): Float32Array => {
    const [scale, offset] = inputs[index] ?? [1, 0];
    return Float32Array.from({ length: ELEMENTS }, (_, i) => (((i * 7919) % 1009) / 1009) * scale + offset);
  };
  return { a: make(0), b: make(1), c: make(2), d: new Float32Array(ELEMENTS), e: new Float32Array(ELEMENTS) };
}

/** Complementary error function to single precision (rational Chebyshev fit by Abramowitz and Stegun, 7.1.26). */
function erfc(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const value = tail * Math.exp(-x * x);
  return x >= 0 ? value : 2 - value;
}

const cdf = (d: number): number => 0.5 * erfc(-d * Math.SQRT1_2);

function blackScholes({ a, b, c, d, e }: Arrays): void {
  const [rate, volatility] = [0.02, 0.3];
  for (let i = 0; i < OPTIONS; i++) {
    const root = Math.sqrt(c[i]!);
    const d1 = (Math.log(a[i]! / b[i]!) + (rate + 0.5 * volatility * volatility) * c[i]!) / (volatility * root);
    const d2 = d1 - volatility * root;
    const discount = b[i]! * Math.exp(-rate * c[i]!);
    d[i] = a[i]! * cdf(d1) - discount * cdf(d2);
    e[i] = discount * cdf(-d2) - a[i]! * cdf(-d1);
  }
}

function nbody({ a, c }: Arrays): void {
  for (let i = 0; i < BODIES; i++) {
    let [x, y, z] = [0, 0, 0];
    for (let j = 0; j < BODIES; j++) {
      const dx = a[j * 4]! - a[i * 4]!;
      const dy = a[j * 4 + 1]! - a[i * 4 + 1]!;
      const dz = a[j * 4 + 2]! - a[i * 4 + 2]!;
      const inverse = 1 / Math.sqrt(dx * dx + dy * dy + dz * dz + 0.01);
      const s = a[j * 4 + 3]! * inverse * inverse * inverse;
      x += dx * s;
      y += dy * s;
      z += dz * s;
    }
    c[i * 4] = x;
    c[i * 4 + 1] = y;
    c[i * 4 + 2] = z;
  }
}

function matmul({ a, b, c }: Arrays): void {
  c.fill(0, 0, SIDE * SIDE);
  for (let i = 0; i < SIDE; i++)
    for (let k = 0; k < SIDE; k++) {
      const left = a[i * SIDE + k]!;
      for (let j = 0; j < SIDE; j++) c[i * SIDE + j] = c[i * SIDE + j]! + left * b[k * SIDE + j]!;
    }
}

const int = (value: number): Int32Array => Int32Array.of(value);
const float = (value: number): Float32Array => Float32Array.of(value);

export const computations: readonly Computation[] = [
  {
    name: "saxpy",
    title: "saxpy, 1 Mi elements",
    ptx: "linear",
    kernel: "saxpy",
    grid: [ELEMENTS / 256, 1, 1],
    block: [256, 1, 1],
    sharedBytes: 0,
    args: [int(ELEMENTS), float(1.0001), "a", "b"],
    unit: "elements",
    count: ELEMENTS,
    inputs: [],
    javascript: ({ a, b }) => {
      for (let i = 0; i < ELEMENTS; i++) b[i] = 1.0001 * a[i]! + b[i]!;
    },
  },
  {
    name: "reduce",
    title: "sum of 1 Mi elements",
    ptx: "cooperative",
    kernel: "reduce_sum",
    grid: [64, 1, 1],
    block: [256, 1, 1],
    sharedBytes: 0,
    args: [int(ELEMENTS), "a", "c"],
    unit: "elements",
    count: ELEMENTS,
    inputs: [],
    javascript: ({ a, c }) => {
      let sum = 0;
      for (let i = 0; i < ELEMENTS; i++) sum += a[i]!;
      c[0] = sum;
    },
  },
  {
    name: "matmul",
    title: "tiled matrix product, 512",
    ptx: "linear",
    kernel: "matmul",
    grid: [SIDE / 16, SIDE / 16, 1],
    block: [16, 16, 1],
    sharedBytes: 0,
    args: [int(SIDE), int(SIDE), int(SIDE), "a", "b", "c"],
    unit: "flops",
    count: 2 * SIDE ** 3,
    inputs: [],
    javascript: matmul,
  },
  {
    name: "nbody",
    title: "n-body, 2048 bodies",
    ptx: "numeric",
    kernel: "nbody",
    grid: [BODIES / 128, 1, 1],
    block: [128, 1, 1],
    sharedBytes: 128 * 16,
    args: [int(BODIES), float(0.01), "a", "c"],
    unit: "interactions",
    count: BODIES ** 2,
    inputs: [],
    javascript: nbody,
  },
  {
    name: "black-scholes",
    title: "Black-Scholes, 256 Ki options",
    ptx: "numeric",
    kernel: "black_scholes",
    grid: [OPTIONS / 128, 1, 1],
    block: [128, 1, 1],
    sharedBytes: 0,
    args: [int(OPTIONS), float(0.02), float(0.3), "a", "b", "c", "d", "e"],
    unit: "options",
    count: OPTIONS,
    inputs: [
      [25, 5],
      [99, 1],
      [9.75, 0.25],
    ],
    javascript: blackScholes,
  },
];

/** A launch of a computation on a slice whose arrays a to e lie one behind the other from `base` on. */
export function prepareLaunch(
  computation: Computation,
  { slice, module, base }: { slice: DeviceSlice; module: DeviceModule; base: number },
): () => void | Promise<void> {
  const index = module.kernels.findIndex(({ name }) => name === computation.kernel);
  const kernel = module.kernels[index]!;
  const params = new Uint8Array(kernel.paramBytes);
  computation.args.forEach((argument, i) => {
    const value =
      typeof argument === "string"
        ? BigUint64Array.of(BigInt(base + "abcde".indexOf(argument) * ELEMENTS * 4))
        : argument;
    params.set(new Uint8Array(value.buffer), kernel.params[i]!.offset);
  });
  const { grid, block, sharedBytes } = computation;
  return () => slice.launch({ module, kernel: index, grid, block, sharedBytes, params, stream: undefined });
}
