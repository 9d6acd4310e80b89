/** Products of small matrices by a warp. Specification of each kernel: cu/matrices.cu. All sums are whole numbers that every type holds. */
import { bfloat16, binary16, type Format, toHalfBits } from "../exact-float.ts";
import type { KernelCase } from "../machine.ts";
import { download, equalAll, i32, loadFixture, scratch, seeded, upload } from "../support.ts";

const matrices = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "matrices", run });

interface Shape {
  readonly m: number;
  readonly n: number;
}

/** Whole numbers from -3 to 3, row by row. */
const whole = (random: ReturnType<typeof seeded>, count: number): number[] =>
  Array.from({ length: count }, () => random.int(7) - 3);

/** A matrix of `rows` rows as it lies in memory. */
const laidOut = (values: readonly number[], rows: number, byColumns: boolean): number[] => {
  const columns = values.length / rows;
  if (!byColumns) return [...values];
  return Array.from({ length: values.length }, (_, at) => values[(at % rows) * columns + Math.floor(at / rows)]!);
};

/** A B + C, with `k` columns of A. */
function product([a, b, c]: readonly (readonly number[])[], { m, n }: Shape, k = 16): number[] {
  return Array.from({ length: m * n }, (_, at) => {
    const [row, column] = [Math.floor(at / n), at % n];
    let sum = c![at]!;
    for (let i = 0; i < k; i++) sum += a![row * k + i]! * b![i * n + column]!;
    return sum;
  });
}

const halfBits = (format: Format, values: readonly number[]): Uint16Array =>
  Uint16Array.from(values, (value) => toHalfBits(format, value));

const WARPS = 3;

function wmmaCase(kernel: string, { m, n, isHalf }: Shape & { isHalf: boolean }): KernelCase {
  return matrices(`${kernel} multiplies in every layout, from global and shared memory`, async (machine) => {
    const program = await loadFixture(machine, "matrices");
    const random = seeded(m * 100 + n);
    const stored = (values: readonly number[]) => (isHalf ? halfBits(binary16, values) : Float32Array.from(values));
    for (let layouts = 0; layouts < 8; layouts++) {
      const warps = Array.from({ length: WARPS }, () => [m * 16, 16 * n, m * n].map((count) => whole(random, count)));
      const side = (index: number, rows: number, bit: number) =>
        warps.flatMap((warp) => laidOut(warp[index]!, rows, (layouts & bit) !== 0));
      const a = await upload(machine, halfBits(binary16, side(0, m, 1)));
      const b = await upload(machine, halfBits(binary16, side(1, 16, 2)));
      const c = await upload(machine, stored(side(2, m, 4)));
      const sums = warps.flatMap((warp) => laidOut(product(warp, { m, n }), m, (layouts & 4) !== 0));
      const expected = stored(sums.map((sum) => sum * 2));
      for (const shared of [0, 1]) {
        const d = await scratch(machine, expected.byteLength);
        const args = [a, b, c, d, i32(layouts), i32(shared)];
        await program.launch({ kernel, grid: 1, block: 32 * WARPS, args });
        const into = isHalf ? new Uint16Array(expected.length) : new Float32Array(expected.length);
        equalAll(await download(machine, d, into), expected, `layouts=${layouts} shared=${shared}`);
      }
    }
  });
}

const mmaCase = (kernel: string, format: Format): KernelCase =>
  matrices(`${kernel} multiplies what ldmatrix brings`, async (machine) => {
    const program = await loadFixture(machine, "matrices");
    const random = seeded(41);
    const [a, b, c] = [256, 128, 128].map((count) => whole(random, count));
    const d = await scratch(machine, 512);
    const inputs = [halfBits(format, a!), halfBits(format, b!), Float32Array.from(c!)];
    const args = [...(await Promise.all(inputs.map((data) => upload(machine, data)))), d];
    await program.launch({ kernel, grid: 1, block: 32, args });
    const shape = { m: 16, n: 8 };
    const once = product([a!, b!, c!], shape);
    equalAll(await download(machine, d, new Float32Array(128)), product([a!, b!, once], shape), kernel);
  });

export const matrixCases: readonly KernelCase[] = [
  wmmaCase("wmma_16_16_f32", { m: 16, n: 16, isHalf: false }),
  wmmaCase("wmma_32_8_f32", { m: 32, n: 8, isHalf: false }),
  wmmaCase("wmma_8_32_f32", { m: 8, n: 32, isHalf: false }),
  wmmaCase("wmma_16_16_f16", { m: 16, n: 16, isHalf: true }),
  wmmaCase("wmma_8_32_f16", { m: 8, n: 32, isHalf: true }),
  mmaCase("mma_f16", binary16),
  mmaCase("mma_bf16", bfloat16),
];
