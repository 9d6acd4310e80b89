/** Whole computations in floating point, exact and with fast math. Specification of each kernel: cu/numeric.cu. */
import type { KernelCase } from "../machine.ts";
import {
  blocksFor,
  closeAll,
  download,
  equalAll,
  f32,
  f64,
  floats,
  i32,
  loadFixture,
  scratch,
  seeded,
  type Tolerance,
  upload,
} from "../support.ts";

/** The error function in double precision: its power series near zero, the continued fraction of its complement beyond. */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x;
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    // All terms have one sign, so that nothing cancels.
    let term = x;
    let sum = x;
    for (let k = 1; Math.abs(term) > Math.abs(sum) * 1e-18; k++) {
      term *= (2 * x * x) / (2 * k + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  return Math.sign(x) * (1 - erfcTail(a));
}

function erfcTail(a: number): number {
  let fraction = 0;
  for (let k = 60; k > 0; k--) fraction = k / 2 / (a + fraction);
  return Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction);
}

const normalCdf = (d: number): number => {
  const z = -d * Math.SQRT1_2;
  return z > 2.5 ? erfcTail(z) / 2 : (1 - erf(z)) / 2;
};

function accelerations(bodies: Float32Array, softening: number): Float64Array {
  const n = bodies.length / 4;
  const out = new Float64Array(bodies.length);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const [dx, dy, dz] = [0, 1, 2].map((k) => bodies[j * 4 + k]! - bodies[i * 4 + k]!) as [number, number, number];
      const s = bodies[j * 4 + 3]! / (dx * dx + dy * dy + dz * dz + softening) ** 1.5;
      out[i * 4]! += dx * s;
      out[i * 4 + 1]! += dy * s;
      out[i * 4 + 2]! += dz * s;
    }
  return out;
}

function numericCases(ptx: "numeric" | "numeric-fast", tolerance: Required<Tolerance>): KernelCase[] {
  const numeric = (name: string, run: KernelCase["run"]): KernelCase => ({
    name: ptx === "numeric" ? name : `${name}, with fast math`,
    ptx,
    run,
  });
  return [
    numeric("n-body accelerations over shared tiles", async (machine) => {
      const program = await loadFixture(machine, ptx);
      for (const [n, block] of [
        [1, 32],
        [100, 64],
        [256, 128],
      ] as const) {
        const random = seeded(n);
        const bodies = floats(n * 4, (i) => (i % 4 === 3 ? random.unit() + 0.1 : random.unit() * 10 - 5));
        const out = await scratch(machine, bodies.byteLength);
        await program.launch({
          kernel: "nbody",
          grid: blocksFor(n, block),
          block,
          sharedBytes: block * 16,
          args: [i32(n), f32(0.01), await upload(machine, bodies), out],
        });
        const result = await download(machine, out, new Float32Array(n * 4));
        // Forces cancel: the error is relative to the largest terms, not to the sum.
        closeAll(result, accelerations(bodies, Math.fround(0.01)), { label: `n=${n}`, relative: 1e-4, absolute: 2e-4 });
      }
    }),

    numeric("Black-Scholes prices of calls and puts", async (machine) => {
      const program = await loadFixture(machine, ptx);
      const n = 1000;
      const random = seeded(9);
      const spot = floats(n, () => 5 + random.unit() * 25);
      const strike = floats(n, () => 1 + random.unit() * 99);
      const years = floats(n, () => 0.25 + random.unit() * 9.75);
      const call = await scratch(machine, n * 4);
      const put = await scratch(machine, n * 4);
      const [rate, volatility] = [Math.fround(0.02), Math.fround(0.3)];
      const inputs = [await upload(machine, spot), await upload(machine, strike), await upload(machine, years)];
      await program.launch({
        kernel: "black_scholes",
        grid: blocksFor(n, 128),
        block: 128,
        args: [i32(n), f32(rate), f32(volatility), ...inputs, call, put],
      });
      const prices = Array.from({ length: n }, (_, i) => {
        const [s, x, t] = [spot[i]!, strike[i]!, years[i]!];
        const d1 = (Math.log(s / x) + (rate + volatility ** 2 / 2) * t) / (volatility * Math.sqrt(t));
        const d2 = d1 - volatility * Math.sqrt(t);
        const discount = x * Math.exp(-rate * t);
        return [s * normalCdf(d1) - discount * normalCdf(d2), discount * normalCdf(-d2) - s * normalCdf(-d1)] as const;
      });
      const calls = await download(machine, call, new Float32Array(n));
      closeAll(
        calls,
        prices.map(([value]) => value),
        { label: "calls", ...tolerance },
      );
      const puts = await download(machine, put, new Float32Array(n));
      closeAll(
        puts,
        prices.map(([, value]) => value),
        { label: "puts", ...tolerance },
      );
    }),

    numeric("escape counts of the Mandelbrot set in double precision", async (machine) => {
      const program = await loadFixture(machine, ptx);
      const [width, height, limit] = [61, 45, 200];
      const scale = 2.75 / width;
      const out = await scratch(machine, width * height * 4);
      await program.launch({
        kernel: "mandelbrot",
        grid: [blocksFor(width, 16), blocksFor(height, 8), 1],
        block: [16, 8, 1],
        args: [i32(width), i32(height), i32(limit), f64(scale), out],
      });
      const expected = Array.from({ length: width * height }, (_, i) => {
        const [cr, ci] = [(i % width) * scale - 2, Math.floor(i / width) * scale - 1.25];
        let [zr, zi, count] = [0, 0, 0];
        while (count < limit && !(zr * zr + zi * zi > 4)) {
          [zr, zi] = [zr * zr - zi * zi + cr, 2 * zr * zi + ci];
          count++;
        }
        return count;
      });
      equalAll(await download(machine, out, new Int32Array(width * height)), expected, "counts");
    }),
  ];
}

export const allNumericCases: readonly KernelCase[] = [
  ...numericCases("numeric", { relative: 1e-5, absolute: 2e-5 }),
  ...numericCases("numeric-fast", { relative: 1e-4, absolute: 1e-4 }),
];
