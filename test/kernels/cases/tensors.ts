/** Products of small matrices by a warp, on types beyond f16. Specification of each kernel: cu/tensors.cu. All sums are whole numbers that every type holds. */
import { bfloat16, toHalfBits } from "../exact-float.ts";
import type { KernelCase, KernelMachine } from "../machine.ts";
import { download, equalAll, i32, loadFixture, scratch, seeded, upload } from "../support.ts";

type Matrix = readonly (readonly number[])[];

interface Form {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Smallest number of A and B, and how many there are. */
  readonly from: number;
  readonly values: number;
  readonly pack: (values: readonly number[]) => ArrayBufferView;
  readonly sums: (values: readonly number[]) => Int32Array | Float32Array | Float64Array;
  /** Whether A and B come in all layouts, rather than A by rows and B by columns. */
  readonly hasLayouts: boolean;
  readonly combine?: (a: number, b: number) => number;
}

const matrix = (
  random: ReturnType<typeof seeded>,
  rows: number,
  [columns, from, values]: readonly [number, number, number],
): Matrix => Array.from({ length: rows }, () => Array.from({ length: columns }, () => from + random.int(values)));

const transposed = (of: Matrix): Matrix => of[0]!.map((_, column) => of.map((row) => row[column]!));
const laidOut = (of: Matrix, byColumns: boolean): number[] => (byColumns ? transposed(of) : of).flat();

/** Numbers of `bits` bits, the first in the lowest ones. */
const shortNumbers =
  (bits: number) =>
  (values: readonly number[]): Uint32Array => {
    const words = new Uint32Array((values.length * bits) / 32);
    values.forEach((value, at) => {
      const place = at * bits;
      words[place >> 5]! |= (value & (2 ** bits - 1)) << (place & 31);
    });
    return words;
  };

const forms: Readonly<Record<string, Form>> = {
  wmma_s8_16_16: integers({ m: 16, n: 16, k: 16, from: -128 }),
  wmma_s8_32_8: integers({ m: 32, n: 8, k: 16, from: -128 }),
  wmma_u8_8_32: integers({ m: 8, n: 32, k: 16, from: 0 }),
  wmma_tf32: floats({ m: 16, n: 16, k: 8 }, (values) => Float32Array.from(values)),
  wmma_bf16_32_8: floats({ m: 32, n: 8, k: 16 }, (values) =>
    Uint16Array.from(values, (value) => toHalfBits(bfloat16, value)),
  ),
  wmma_f64: {
    ...floats({ m: 8, n: 8, k: 4 }, (values) => Float64Array.from(values)),
    sums: (sums) => Float64Array.from(sums),
  },
  wmma_s4: short({ k: 32, from: -8, values: 16 }),
  wmma_u4: short({ k: 32, from: 0, values: 16 }),
  bmma_xor: { ...short({ k: 128, from: 0, values: 2 }), combine: (a, b) => a ^ b },
  bmma_and: { ...short({ k: 128, from: 0, values: 2 }), combine: (a, b) => a & b },
};

function integers(shape: { m: number; n: number; k: number; from: number }): Form {
  const pack = (values: readonly number[]) => Uint8Array.from(values, (value) => value & 0xff);
  return { ...shape, values: 256, pack, sums: (sums) => Int32Array.from(sums), hasLayouts: true };
}

function floats(shape: { m: number; n: number; k: number }, pack: Form["pack"]): Form {
  return { ...shape, from: -40, values: 81, pack, sums: (sums) => Float32Array.from(sums), hasLayouts: true };
}

function short({ k, from, values }: { k: number; from: number; values: number }): Form {
  const sums = (of: readonly number[]) => Int32Array.from(of);
  return { m: 8, n: 8, k, from, values, pack: shortNumbers(128 / k), sums, hasLayouts: false };
}

async function runForm(machine: KernelMachine, kernel: string): Promise<void> {
  const { m, n, k, from, values, pack, sums, hasLayouts, combine = (x: number, y: number) => x * y } = forms[kernel]!;
  const program = await loadFixture(machine, "tensors");
  const random = seeded(m * 1000 + n * 10 + values);
  for (let layouts = 0; layouts < 8; layouts += hasLayouts ? 1 : 4) {
    const a = matrix(random, m, [k, from, values]);
    const b = matrix(random, k, [n, from, values]);
    const c = matrix(random, m, [n, -100, 200]);
    const d = c.map((row, i) =>
      row.map((sum, j) => a[i]!.reduce((all, value, at) => all + combine(value, b[at]![j]!), sum)),
    );
    const byColumns = (bit: number, otherwise: boolean) =>
      hasLayouts || bit === 4 ? (layouts & bit) !== 0 : otherwise;
    const inputs = [
      pack(laidOut(a, byColumns(1, false))),
      pack(laidOut(b, byColumns(2, true))),
      sums(laidOut(c, byColumns(4, false))),
    ];
    const expected = sums(laidOut(d, byColumns(4, false)));
    const result = await scratch(machine, expected.byteLength);
    const args = [...(await Promise.all(inputs.map((data) => upload(machine, data)))), result, i32(layouts)];
    await program.launch({ kernel, grid: 1, block: 32, args });
    equalAll(await download(machine, result, expected.slice()), expected, `${kernel} layouts=${layouts}`);
  }
}

export const tensorCases: readonly KernelCase[] = Object.keys(forms).map((kernel) => ({
  name: `${kernel} multiplies in every layout that it has`,
  ptx: "tensors",
  run: (machine) => runForm(machine, kernel),
}));
