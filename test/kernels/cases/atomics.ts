/** Atomic operations: results that hold in any order. Specification of each kernel: cu/atomics.cu. */
import assert from "node:assert/strict";
import type { KernelCase } from "../machine.ts";
import { blocksFor, download, equalAll, floats, i32, loadFixture, scratch, seeded, upload } from "../support.ts";

const atomics = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "atomics", run });

/** The results that do not depend on the order, for a width in bits. */
function reduceAll(values: readonly bigint[], bits: number) {
  const unsigned = (value: bigint): bigint => BigInt.asUintN(bits, value);
  const signedValues = values.map((value) => BigInt.asIntN(bits, value));
  const pick = (all: readonly bigint[], better: (a: bigint, b: bigint) => boolean): bigint =>
    unsigned(all.reduce((best, value) => (better(value, best) ? value : best)));
  return {
    sum: unsigned(values.reduce((a, b) => a + b, 0n)),
    negativeSum: unsigned(-values.reduce((a, b) => a + b, 0n)),
    min: pick(values, (a, b) => a < b),
    max: pick(values, (a, b) => a > b),
    signedMin: pick(signedValues, (a, b) => a < b),
    signedMax: pick(signedValues, (a, b) => a > b),
    and: (mask: bigint) => values.reduce((a, b) => a & (b | mask), (1n << BigInt(bits)) - 1n),
    or: (mask: bigint) => values.reduce((a, b) => a | (b & mask), 0n),
    xor: values.reduce((a, b) => a ^ b, 0n),
  };
}

export const atomicsCases: readonly KernelCase[] = [
  atomics("every 32-bit atomic on global memory", async (machine) => {
    const program = await loadFixture(machine, "atomics");
    const n = 3001;
    const random = seeded(1);
    const data = Uint32Array.from({ length: n }, () => random.u32() | 1);
    const start = Uint32Array.of(5, 0, 0xffffffff, 0, 0x7fffffff, 0x80000000, 0xffffffff, 0, 0, 0, 20, 0, 0);
    const slots = await upload(machine, start);
    const previous = await scratch(machine, n * 4);
    await program.launch({
      kernel: "atomics32",
      grid: blocksFor(n, 128),
      block: 128,
      args: [i32(n), await upload(machine, data), slots, previous],
    });
    const all = reduceAll(Array.from(data, BigInt), 32);
    const result = Array.from(await download(machine, slots, new Uint32Array(13)), BigInt);
    const expected = [
      BigInt(5 + n),
      all.negativeSum,
      all.min,
      all.max,
      all.signedMin,
      all.signedMax,
      all.and(0xffff0000n),
      all.or(0x00f0f0f0n),
      all.xor,
      BigInt(n % 37),
      // From 20 down to 0 in 20 steps, then around 36..0.
      BigInt((37 - ((n - 20) % 37)) % 37),
    ];
    equalAll(result.slice(0, 11), expected, "slots");
    const given = new Set(Array.from(data, BigInt));
    assert.ok(given.has(result[11]!), "exchange leaves one of the values");
    assert.ok(given.has(result[12]!), "compare-and-swap stores one of the values");
    const seen = (await download(machine, previous, new Uint32Array(n))).sort();
    equalAll(
      seen,
      Uint32Array.from({ length: n }, (_, i) => 5 + i),
      "each add saw its own value",
    );
  }),

  atomics("every 64-bit atomic on global memory", async (machine) => {
    const program = await loadFixture(machine, "atomics");
    const n = 1500;
    const random = seeded(2);
    const data = BigUint64Array.from({ length: n }, () => (BigInt(random.u32()) << 32n) | BigInt(random.u32() | 1));
    const top = 0xffff_ffff_ffff_ffffn;
    const start = BigUint64Array.of(7n, 0n, top, 0n, top >> 1n, 1n << 63n, top, 0n, 0n, 0n, 0n);
    const slots = await upload(machine, start);
    const previous = await scratch(machine, n * 8);
    await program.launch({
      kernel: "atomics64",
      grid: blocksFor(n, 96),
      block: 96,
      args: [i32(n), await upload(machine, data), slots, previous],
    });
    const all = reduceAll([...data], 64);
    const result = [...(await download(machine, slots, new BigUint64Array(11)))];
    const expected = [
      7n + (BigInt(n) << 33n),
      all.sum,
      all.min,
      all.max,
      all.signedMin,
      all.signedMax,
      all.and(0xffff_ffff_0000_0000n),
      all.or(0x00f0_f0f0_00f0_f0f0n),
      all.xor,
    ];
    equalAll(result.slice(0, 9), expected, "slots");
    const given = new Set(data);
    assert.ok(given.has(result[9]!) && given.has(result[10]!), "exchange and compare-and-swap store one of the values");
    const seen = (await download(machine, previous, new BigUint64Array(n))).sort();
    equalAll(
      seen,
      BigUint64Array.from({ length: n }, (_, i) => 7n + (BigInt(i) << 33n)),
      "each add saw its own value",
    );
  }),

  atomics("atomic adds of floats and doubles, and a compare-and-swap loop", async (machine) => {
    const program = await loadFixture(machine, "atomics");
    const n = 2049;
    const data = floats(n, (i) => ((i * 7919) % 1000) - 300);
    const sum = await upload(machine, Float32Array.of(0));
    const wide = await upload(machine, Float64Array.of(0.5));
    const largest = await upload(machine, Float64Array.of(-1e300));
    await program.launch({
      kernel: "atomics_float",
      grid: blocksFor(n, 64),
      block: 64,
      args: [i32(n), await upload(machine, data), sum, wide, largest],
    });
    const total = data.reduce((a, b) => a + b, 0);
    equalAll(await download(machine, sum, new Float32Array(1)), [total], "float sum");
    equalAll(await download(machine, wide, new Float64Array(1)), [total * 65536 + 0.5], "double sum");
    equalAll(await download(machine, largest, new Float64Array(1)), [Math.max(...data) * 3], "largest");
  }),

  atomics("atomics on shared memory", async (machine) => {
    const program = await loadFixture(machine, "atomics");
    const [grid, block] = [5, 160];
    const random = seeded(3);
    const data = Uint32Array.from({ length: grid * block }, () => random.u32());
    const out = await scratch(machine, grid * 16);
    const out64 = await scratch(machine, grid * 8);
    const outFloat = await scratch(machine, grid * 4);
    await program.launch({
      kernel: "atomics_shared",
      grid,
      block,
      args: [await upload(machine, data), out, out64, outFloat],
    });
    const pieces = Array.from({ length: grid }, (_, b) =>
      Array.from(data.subarray(b * block, (b + 1) * block), BigInt),
    );
    const expected = pieces.flatMap((piece) => {
      const all = reduceAll(piece, 32);
      return [all.sum, all.min, all.max, all.xor];
    });
    equalAll(Array.from(await download(machine, out, new Uint32Array(grid * 4)), BigInt), expected, "words");
    equalAll(
      await download(machine, out64, new BigUint64Array(grid)),
      pieces.map((piece) =>
        BigInt.asUintN(
          64,
          piece.reduce((a, b) => a + (b << 20n), 0n),
        ),
      ),
      "64 bits",
    );
    equalAll(
      await download(machine, outFloat, new Float32Array(grid)),
      pieces.map((piece) => piece.reduce((a, b) => a + Number(b & 255n), 0)),
      "floats",
    );
  }),

  atomics("the last block to finish sees what all others wrote", async (machine) => {
    const program = await loadFixture(machine, "atomics");
    const n = 4000;
    const grid = blocksFor(n, 96);
    const data = Uint32Array.from({ length: n }, (_, i) => Math.imul(i, 40503));
    const counter = await upload(machine, Uint32Array.of(0));
    const result = await scratch(machine, 4);
    const args = [i32(n), await upload(machine, data), await scratch(machine, grid * 4), counter, result];
    for (let round = 0; round < 3; round++) {
      await program.launch({ kernel: "last_block", grid, block: 96, args });
      const expected = data.reduce((a, b) => (a + b) >>> 0, 0);
      equalAll(await download(machine, result, new Uint32Array(1)), [expected], `round ${round}`);
      equalAll(await download(machine, counter, new Uint32Array(1)), [0], `round ${round} counter`);
    }
  }),
];
