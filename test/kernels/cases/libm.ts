/**
 * The device library's mathematical functions against those of JavaScript (and an error function of our own). The error
 * allowed is that of NVIDIA's documentation plus one unit for the reference. Order of the results: cu/libm.cu.
 */
import assert from "node:assert/strict";
import { toWhole } from "../exact-float.ts";
import type { KernelCase } from "../machine.ts";
import { blocksFor, download, i32, isClose, loadFixture, scratch, seeded, type Tolerance, upload } from "../support.ts";
import { erf } from "./numeric.ts";

interface MathFunction {
  readonly name: string;
  readonly op: (a: number, b: number) => number;
  /** Largest errors in units in the last place, in single and double precision. */
  readonly ulps: readonly [single: number, double: number];
  /** Error allowed with fast math; absent: the same as without. */
  readonly fast?: Tolerance;
  /** Where the fast version is defined; outside, its result is not looked at. */
  readonly fastDomain?: (a: number, b: number) => boolean;
}

const power = (a: number, b: number): number =>
  a === 1 || (a === -1 && !Number.isFinite(b) && !Number.isNaN(b)) ? 1 : a ** b;
const smallAngle = (a: number): boolean => Math.abs(a) < 3;
const ordinary = (a: number): boolean => a === 0 || (Math.abs(a) > 1e-30 && Math.abs(a) < 1e30);

const functions: readonly MathFunction[] = [
  { name: "sin", op: Math.sin, ulps: [2, 2], fast: { absolute: 1e-6 }, fastDomain: smallAngle },
  { name: "cos", op: Math.cos, ulps: [2, 2], fast: { absolute: 1e-6 }, fastDomain: smallAngle },
  {
    name: "tan",
    op: Math.tan,
    ulps: [4, 2],
    fast: { absolute: 2e-6, relative: 1e-5 },
    fastDomain: (a) => Math.abs(a) < 1.2,
  },
  { name: "exp", op: Math.exp, ulps: [2, 1], fast: { relative: 1e-5 }, fastDomain: (a) => Math.abs(a) < 80 },
  {
    name: "log",
    op: Math.log,
    ulps: [1, 1],
    fast: { relative: 1e-5, absolute: 1e-6 },
    fastDomain: (a) => a > 1e-30 && a < 1e30,
  },
  {
    name: "pow",
    op: power,
    ulps: [4, 2],
    fast: { relative: 2e-4 },
    fastDomain: (a, b) => a > 1e-10 && a < 1e10 && Math.abs(b * Math.log2(a)) < 100,
  },
  { name: "sqrt", op: Math.sqrt, ulps: [0, 0], fast: { relative: 4e-7 }, fastDomain: ordinary },
  { name: "rsqrt", op: (a) => 1 / Math.sqrt(a), ulps: [2, 1], fast: { relative: 4e-7 }, fastDomain: ordinary },
  { name: "cbrt", op: Math.cbrt, ulps: [1, 1], fast: { relative: 1e-6 }, fastDomain: ordinary },
  {
    name: "atan2",
    op: Math.atan2,
    ulps: [3, 2],
    fast: { relative: 2e-6 },
    fastDomain: (a, b) => ordinary(a) && ordinary(b) && a !== 0 && b !== 0 && Math.abs(Math.log2(Math.abs(a / b))) < 60,
  },
  { name: "tanh", op: Math.tanh, ulps: [2, 2], fast: { absolute: 6e-4, relative: 6e-4 }, fastDomain: ordinary },
  { name: "erf", op: erf, ulps: [2, 5], fast: { relative: 1e-5, absolute: 1e-7 }, fastDomain: ordinary },
  { name: "asin", op: Math.asin, ulps: [2, 2], fast: { relative: 1e-5 }, fastDomain: ordinary },
  {
    name: "sinh",
    op: Math.sinh,
    ulps: [3, 2],
    fast: { relative: 2e-5 },
    fastDomain: (a) => ordinary(a) && Math.abs(a) < 80,
  },
  { name: "log1p", op: Math.log1p, ulps: [1, 1], fast: { relative: 1e-5 }, fastDomain: ordinary },
  { name: "expm1", op: Math.expm1, ulps: [1, 1], fast: { relative: 1e-5 }, fastDomain: (a) => ordinary(a) && a < 80 },
  {
    name: "hypot",
    op: Math.hypot,
    ulps: [3, 2],
    fast: { relative: 1e-5 },
    fastDomain: (a, b) => ordinary(a) && ordinary(b),
  },
  { name: "fmod", op: (a, b) => a % b, ulps: [0, 0], fastDomain: () => false },
  {
    name: "floor and ceil",
    op: (a, b) => Math.floor(a) + Math.ceil(b),
    ulps: [0, 0],
    // Fast math flushes subnormals, whose ceiling is 1.
    fastDomain: (a, b) => ordinary(a) && ordinary(b),
  },
  { name: "trunc and rint", op: (a, b) => Math.trunc(a) + toWhole(b, "rn"), ulps: [0, 0] },
  { name: "exp2", op: (a) => 2 ** a, ulps: [2, 1], fast: { relative: 1e-6 }, fastDomain: (a) => Math.abs(a) < 120 },
  {
    name: "log10",
    op: Math.log10,
    ulps: [2, 1],
    fast: { relative: 1e-5, absolute: 1e-6 },
    fastDomain: (a) => a > 1e-30 && a < 1e30,
  },
];

/** Odd values and random ones: all sizes, small angles, large angles, powers with whole exponents. */
function operands(seed: number): [a: number[], b: number[]] {
  const odd = [0, 1e-40, 1e-20, 0.5, 1, 1.5, 2, 3, 10, 88, 100, 1e5, 1e10, 1e30, Infinity];
  const all = [...odd, ...odd.map((value) => -value), NaN];
  const random = seeded(seed);
  const a = all.flatMap((value) => all.map(() => value));
  const b = all.flatMap(() => all);
  for (let i = 0; i < 700; i++) {
    const size = [4, 1, 100, 2 ** (random.int(60) - 30)][i % 4]!;
    a.push((random.unit() * 2 - 1) * size);
    b.push(i % 3 ? (random.unit() * 2 - 1) * 10 : random.int(40) - 20);
  }
  return [a, b];
}

/** Within so many units in the last place of the expected value, counted in the format; overflow at the edge is allowed. */
function withinUlps(actual: number, expected: number, { ulps, single }: { ulps: number; single: boolean }): boolean {
  const [epsilon, tiny, huge] = single ? [2 ** -23, 2 ** -149, 2 ** 128] : [2 ** -52, 5e-324, Number.MAX_VALUE];
  const target = single ? Math.fround(expected) : expected;
  if (Number.isNaN(target)) return Number.isNaN(actual);
  if (Object.is(actual, target)) return true;
  // An exact zero may have either sign only where the reference's value is no zero.
  if (actual === 0 && target === 0) return expected !== 0 || ulps > 0;
  if (!Number.isFinite(target)) return Math.abs(actual) > huge * (1 - epsilon * (ulps + 1));
  return Math.abs(actual - target) <= (ulps + 1) * Math.max(Math.abs(target) * epsilon, tiny);
}

interface Precision {
  readonly kernel: "libm_f32" | "libm_f64";
  readonly single: boolean;
}

function libmCase(name: string, ptx: "libm" | "libm-fast", { kernel, single }: Precision): KernelCase {
  return {
    name,
    ptx,
    async run(machine) {
      const program = await loadFixture(machine, ptx);
      const [x, y] = operands(single ? 32 : 64);
      const make = (values: number[] | number): Float32Array | Float64Array => {
        const list = typeof values === "number" ? new Array<number>(values).fill(0) : values;
        return single ? Float32Array.from(list) : Float64Array.from(list);
      };
      const [a, b] = [make(x), make(y)];
      const out = await scratch(machine, a.byteLength * functions.length);
      const args = [i32(a.length), await upload(machine, a), await upload(machine, b), out];
      await program.launch({ kernel, grid: blocksFor(a.length, 64), block: 64, args });
      const result = await download(machine, out, make(a.length * functions.length));
      const failures: string[] = [];
      for (let i = 0; i < a.length; i++)
        functions.forEach((fn, k) => {
          const [p, q, actual] = [a[i]!, b[i]!, result[i * functions.length + k]!];
          const expected = fn.op(p, q);
          const fast = ptx === "libm-fast" && single;
          if (fast && fn.fastDomain && !fn.fastDomain(p, q)) return;
          const fine =
            fast && fn.fast
              ? isClose(actual, Math.fround(expected), fn.fast)
              : withinUlps(actual, expected, { ulps: fn.ulps[single ? 0 : 1], single });
          if (!fine) failures.push(`${fn.name} of [${p}, ${q}] is [${actual}], expected [${expected}]`);
        });
      assert.equal(failures.length, 0, `${failures.length} wrong results, such as ${failures.slice(0, 12).join("; ")}`);
    },
  };
}

export const libmCases: readonly KernelCase[] = [
  libmCase("mathematical functions in single precision", "libm", { kernel: "libm_f32", single: true }),
  libmCase("mathematical functions in double precision", "libm", { kernel: "libm_f64", single: false }),
  libmCase("mathematical functions in single precision, with fast math", "libm-fast", {
    kernel: "libm_f32",
    single: true,
  }),
  libmCase("mathematical functions in double precision, with fast math", "libm-fast", {
    kernel: "libm_f64",
    single: false,
  }),
];
