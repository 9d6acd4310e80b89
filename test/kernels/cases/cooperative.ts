/** Blocks whose threads work together. Specification of each kernel: cu/cooperative.cu. */
import type { KernelBuffer, KernelCase } from "../machine.ts";
import {
  blocksFor,
  closeAll,
  download,
  equalAll,
  floats,
  i32,
  loadFixture,
  scratch,
  seeded,
  upload,
} from "../support.ts";

const cooperative = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "cooperative", run });

const sumOf = (values: ArrayLike<number>): number => Array.prototype.reduce.call(values, (a, b) => a + b, 0) as number;

function histogram(data: Uint8Array): Uint32Array {
  const bins = new Uint32Array(256);
  for (const value of data) bins[value]!++;
  return bins;
}

/** A step of each round's barrier votes, thread by thread. */
function votesOf(values: Int32Array, mask: number): { count: number; all: number; any: number } {
  const count = values.filter((value) => value & mask).length;
  return { count, all: count === values.length ? 1 : 0, any: count > 0 ? 1 : 0 };
}

export const cooperativeCases: readonly KernelCase[] = [
  cooperative("block reduction with shuffles sums every element once", async (machine) => {
    const program = await loadFixture(machine, "cooperative");
    for (const [n, block, grid] of [
      [1, 32, 1],
      [1000, 256, 3],
      [40_000, 1024, 7],
      [4097, 96, 10],
    ] as const) {
      const data = floats(n, (i) => (i % 201) - 100 + (i % 4) / 4);
      const out = await scratch(machine, grid * 4);
      await program.launch({ kernel: "reduce_sum", grid, block, args: [i32(n), await upload(machine, data), out] });
      const partial = await download(machine, out, new Float32Array(grid));
      // All terms are multiples of 1/4 and small: every order gives the exact sum.
      equalAll([sumOf(partial)], [sumOf(data)], `n=${n} block=${block}`);
    }
  }),

  cooperative("reduction in dynamic shared memory for blocks that are no power of two", async (machine) => {
    const program = await loadFixture(machine, "cooperative");
    for (const [n, block] of [
      [1, 1],
      [1000, 37],
      [5000, 333],
      [2048, 1024],
    ] as const) {
      const random = seeded(n + block);
      const data = Int32Array.from({ length: n }, () => random.u32());
      const grid = blocksFor(n, block);
      const outs = [
        await scratch(machine, grid * 4),
        await scratch(machine, grid * 4),
        await scratch(machine, grid * 8),
      ] as const;
      await program.launch({
        kernel: "reduce_int",
        grid,
        block,
        sharedBytes: block * 16,
        args: [i32(n), await upload(machine, data), ...outs],
      });
      const pieces = Array.from({ length: grid }, (_, b) => [...data.subarray(b * block, (b + 1) * block)]);
      const label = `n=${n} block=${block}`;
      const minima = await download(machine, outs[0], new Int32Array(grid));
      equalAll(
        minima,
        Int32Array.from(pieces, (piece) => Math.min(...piece)),
        `${label} minima`,
      );
      const maxima = await download(machine, outs[1], new Int32Array(grid));
      equalAll(
        maxima,
        Int32Array.from(pieces, (piece) => Math.max(...piece)),
        `${label} maxima`,
      );
      const sums = await download(machine, outs[2], new BigInt64Array(grid));
      equalAll(
        sums,
        BigInt64Array.from(pieces, (piece) => BigInt(sumOf(piece))),
        `${label} sums`,
      );
    }
  }),

  cooperative("histograms in shared and in global memory count every byte", async (machine) => {
    const program = await loadFixture(machine, "cooperative");
    const random = seeded(5);
    const n = 20_011;
    const data = Uint8Array.from({ length: n }, () => (random.int(3) ? random.int(256) : 77));
    const input = await upload(machine, data);
    const shared = await upload(machine, new Uint32Array(256));
    await program.launch({ kernel: "histogram_shared", grid: 6, block: 200, args: [i32(n), input, shared] });
    equalAll(await download(machine, shared, new Uint32Array(256)), histogram(data), "shared");
    const global = await upload(machine, new Uint32Array(256));
    await program.launch({
      kernel: "histogram_global",
      grid: blocksFor(n, 256),
      block: 256,
      args: [i32(n), input, global],
    });
    equalAll(await download(machine, global, new Uint32Array(256)), histogram(data), "global");
  }),

  cooperative("softmax of rows of any length", async (machine) => {
    const program = await loadFixture(machine, "cooperative");
    for (const [rows, columns, block] of [
      [4, 10, 32],
      [3, 1000, 128],
      [7, 257, 64],
      [1, 1, 96],
    ] as const) {
      const random = seeded(columns);
      const x = floats(rows * columns, () => random.unit() * 60 - 30);
      const out = await scratch(machine, x.byteLength);
      await program.launch({
        kernel: "softmax",
        grid: rows,
        block,
        args: [i32(columns), await upload(machine, x), out],
      });
      const expected = new Float64Array(x.length);
      for (let r = 0; r < rows; r++) {
        const row = x.subarray(r * columns, (r + 1) * columns);
        const max = Math.max(...row);
        const sum = sumOf(Array.from(row, (value) => Math.exp(value - max)));
        row.forEach((value, c) => {
          expected[r * columns + c] = Math.exp(value - max) / sum;
        });
      }
      const result = await download(machine, out, new Float32Array(x.length));
      closeAll(result, expected, { label: `${rows}x${columns}`, relative: 1e-5, absolute: 1e-30 });
    }
  }),

  cooperative("inclusive scan over several blocks and two levels", async (machine) => {
    const program = await loadFixture(machine, "cooperative");
    for (const [n, block] of [
      [1, 32],
      [100, 64],
      [5000, 128],
      [4096, 256],
      [999, 33],
    ] as const) {
      const random = seeded(n);
      const data = Int32Array.from({ length: n }, () => random.int(2000) - 1000);
      const grid = blocksFor(n, block);
      const out = await scratch(machine, n * 4);
      const totals = await scratch(machine, grid * 4);
      const scanned = await scratch(machine, grid * 4);
      const unused = await scratch(machine, 4);
      const scan = (count: number, [from, to, total]: KernelBuffer[], size: number) =>
        program.launch({
          kernel: "scan_blocks",
          grid: blocksFor(count, size),
          block: size,
          sharedBytes: size * 4,
          args: [i32(count), from!, to!, total!],
        });
      await scan(n, [await upload(machine, data), out, totals], block);
      await scan(grid, [totals, scanned, unused], Math.max(grid, 1));
      await program.launch({ kernel: "scan_add", grid, block, args: [i32(n), scanned, out] });
      let running = 0;
      equalAll(
        await download(machine, out, new Int32Array(n)),
        data.map((value) => (running += value)),
        `n=${n} block=${block}`,
      );
    }
  }),

  cooperative("barriers that count, and and or over the block", async (machine) => {
    const program = await loadFixture(machine, "cooperative");
    const rounds = 6;
    for (const [grid, block] of [
      [2, 64],
      [3, 50],
      [1, 1],
      [1, 1024],
    ] as const) {
      const random = seeded(block);
      const total = grid * rounds * block;
      const data = Int32Array.from({ length: total }, (_, i) => {
        const round = Math.floor(i / block) % rounds;
        return round === 0 ? 7 : round === 1 ? 0 : round === 2 && i % block === block - 1 ? 5 : random.int(8);
      });
      const outs = [
        await scratch(machine, total * 4),
        await scratch(machine, total * 4),
        await scratch(machine, total * 4),
      ] as const;
      await program.launch({
        kernel: "sync_votes",
        grid,
        block,
        args: [i32(rounds), await upload(machine, data), ...outs],
      });
      const row = (i: number) => data.subarray(Math.floor(i / block) * block, (Math.floor(i / block) + 1) * block);
      const counts = await download(machine, outs[0], new Int32Array(total));
      equalAll(
        counts,
        data.map((_, i) => votesOf(row(i), 1).count),
        `count, block=${block}`,
      );
      const alls = await download(machine, outs[1], new Int32Array(total));
      equalAll(
        alls.map((value) => (value ? 1 : 0)),
        data.map((_, i) => votesOf(row(i), 2).all),
        `and, block=${block}`,
      );
      const anys = await download(machine, outs[2], new Int32Array(total));
      equalAll(
        anys.map((value) => (value ? 1 : 0)),
        data.map((_, i) => votesOf(row(i), 4).any),
        `or, block=${block}`,
      );
    }
  }),

  cooperative("static and dynamic shared memory stand side by side", async (machine) => {
    const program = await loadFixture(machine, "cooperative");
    for (const block of [1, 40, 1024]) {
      const grid = 3;
      const words = Uint32Array.from({ length: grid * block }, (_, i) => Math.imul(i + 1, 2654435761));
      const bytes = Uint8Array.from({ length: grid * block }, (_, i) => i * 7);
      const out = await scratch(machine, words.byteLength);
      const bytesOut = await scratch(machine, bytes.byteLength);
      await program.launch({
        kernel: "reverse_blocks",
        grid,
        block,
        sharedBytes: block * 4,
        args: [await upload(machine, words), out, await upload(machine, bytes), bytesOut],
      });
      const mirror = (i: number): number => Math.floor(i / block) * block + block - 1 - (i % block);
      equalAll(
        await download(machine, out, new Uint32Array(words.length)),
        words.map((_, i) => words[mirror(i)]!),
        "words",
      );
      equalAll(
        await download(machine, bytesOut, new Uint8Array(bytes.length)),
        bytes.map((_, i) => bytes[mirror(i)]!),
        "bytes",
      );
    }
  }),

  cooperative("two warps hand values over through named barriers", async (machine) => {
    const program = await loadFixture(machine, "cooperative");
    const [grid, rounds] = [2, 9];
    const out = await scratch(machine, grid * rounds * 32 * 4);
    await program.launch({ kernel: "named_barriers", grid, block: 64, args: [i32(rounds), out] });
    const expected = Int32Array.from(
      { length: grid * rounds * 32 },
      (_, i) => (Math.floor(i / 32) % rounds) * 100 + 31 - (i % 32),
    );
    equalAll(await download(machine, out, new Int32Array(expected.length)), expected, "values");
  }),

  ...[32, 64, 20].map((block) =>
    cooperative(`a thread waits in a loop for another of its block of ${block}`, async (machine) => {
      const program = await loadFixture(machine, "cooperative");
      const out = await scratch(machine, 3 * 4);
      await program.launch({ kernel: "spin_wait", grid: 3, block, args: [out] });
      equalAll(await download(machine, out, new Int32Array(3)), [41, 42, 43], "flags");
    }),
  ),

  cooperative("a lock by compare-and-swap is held by one thread at a time", async (machine) => {
    const program = await loadFixture(machine, "cooperative");
    const lock = await upload(machine, i32(0));
    const counter = await upload(machine, i32(0));
    await program.launch({ kernel: "spin_lock", grid: 4, block: 48, args: [lock, counter] });
    equalAll(await download(machine, counter, new Int32Array(1)), [192], "counter");
  }),

  cooperative("dynamic shared memory behind a static byte is there to its last byte", async (machine) => {
    const program = await loadFixture(machine, "cooperative");
    for (const block of [1, 33, 128, 1024]) {
      const data = Int32Array.from({ length: 3 * block }, (_, i) => i * 7 - 5);
      const out = await scratch(machine, data.byteLength);
      const args = [await upload(machine, data), out];
      await program.launch({ kernel: "reverse_behind_byte", grid: 3, block, sharedBytes: block * 4, args });
      const expected = [0, 1, 2].flatMap((row) => [...data.slice(row * block, (row + 1) * block)].reverse());
      equalAll(await download(machine, out, new Int32Array(data.length)), expected, `block=${block}`);
    }
  }),
];
