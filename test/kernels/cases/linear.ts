/** Vectors, matrices and grids. Specification of each kernel: cu/linear.cu. */
import assert from "node:assert/strict";
import { binary32, binary64, fma } from "../exact-float.ts";
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
  upload,
} from "../support.ts";

const linear = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "linear", run });

export const linearCases: readonly KernelCase[] = [
  linear("vector add, for sizes that are and are not multiples of the block", async (machine) => {
    const program = await loadFixture(machine, "linear");
    for (const [n, block] of [
      [1, 32],
      [31, 32],
      [33, 32],
      [1000, 256],
      [4096, 128],
      [777, 100],
      [5, 1024],
    ] as const) {
      const random = seeded(n);
      const a = floats(n, () => random.unit() * 2000 - 1000);
      const b = floats(n, () => random.unit() * 2 - 1);
      const out = await scratch(machine, n * 4 + 64);
      await program.launch({
        kernel: "vector_add",
        grid: blocksFor(n, block),
        block,
        args: [i32(n), await upload(machine, a), await upload(machine, b), out],
      });
      const result = await download(machine, out, new Float32Array(n + 16));
      equalAll(
        result.subarray(0, n),
        a.map((value, i) => value + b[i]!),
        `n=${n}`,
      );
      equalAll(new Uint32Array(result.buffer, n * 4), new Uint32Array(16).fill(0xa5a5a5a5), `n=${n} beyond the end`);
    }
  }),

  linear("vector add of integers in a grid-stride loop wraps around", async (machine) => {
    const program = await loadFixture(machine, "linear");
    const n = 5003;
    const random = seeded(7);
    const a = Int32Array.from({ length: n }, () => random.u32());
    const b = Int32Array.from({ length: n }, () => random.u32());
    for (const grid of [1, 3, 64]) {
      const out = await scratch(machine, n * 4);
      await program.launch({
        kernel: "vector_add_int",
        grid,
        block: 96,
        args: [i32(n), await upload(machine, a), await upload(machine, b), out],
      });
      equalAll(
        await download(machine, out, new Int32Array(n)),
        a.map((value, i) => value + b[i]!),
        `grid=${grid}`,
      );
    }
  }),

  linear("saxpy and daxpy round once", async (machine) => {
    const program = await loadFixture(machine, "linear");
    const n = 1003;
    const random = seeded(3);
    const x = floats(n, () => (random.unit() - 0.5) * 2 ** (random.int(40) - 20));
    const y = floats(n, () => (random.unit() - 0.5) * 2 ** (random.int(40) - 20));
    const a = Math.fround(1.7 + 2 ** -23);
    const out = await upload(machine, y);
    const launch = { grid: blocksFor(n, 128), block: 128 };
    await program.launch({ kernel: "saxpy", ...launch, args: [i32(n), f32(a), await upload(machine, x), out] });
    equalAll(
      await download(machine, out, new Float32Array(n)),
      y.map((value, i) => fma(binary32, [a, x[i]!, value], "rn")),
      "saxpy",
    );
    const wideX = Float64Array.from(x, (value) => value / 3);
    const wideY = Float64Array.from(y, (value) => value / 7);
    const wide = await upload(machine, wideY);
    await program.launch({
      kernel: "daxpy",
      ...launch,
      args: [i32(n), f64(1 / 3), await upload(machine, wideX), wide],
    });
    equalAll(
      await download(machine, wide, new Float64Array(n)),
      wideY.map((value, i) => fma(binary64, [1 / 3, wideX[i]!, value], "rn")),
      "daxpy",
    );
  }),

  linear("many launches behind each other run once each, with their own arguments", async (machine) => {
    const program = await loadFixture(machine, "linear");
    const [n, launches] = [3200, 5000];
    const x = await upload(machine, new Float32Array(n).fill(1));
    const y = await upload(machine, new Float32Array(n));
    let sum = 0;
    for (let i = 0; i < launches; i++) {
      // Whole numbers whose sum stays exact; a launch that is lost, repeated or mixed up with its neighbour changes it.
      const a = (i * 7919) % 1009;
      sum += a;
      await program.launch({ kernel: "saxpy", grid: n / 64, block: 64, args: [i32(n), f32(a), x, y] });
    }
    equalAll(await download(machine, y, new Float32Array(n)), new Float32Array(n).fill(sum), "sums");
  }),

  linear("vector loads and stores of four floats, with a tail", async (machine) => {
    const program = await loadFixture(machine, "linear");
    for (const n of [3, 4, 255, 256, 1001]) {
      const x = floats(n, (i) => i - 77.25);
      const out = await scratch(machine, n * 4);
      await program.launch({
        kernel: "scale_float4",
        grid: blocksFor(Math.floor(n / 4) + 1, 64),
        block: 64,
        args: [i32(n), f32(-2.5), await upload(machine, x), out],
      });
      const quads = Math.floor(n / 4);
      const expected = x.map((_, i) => -2.5 * (i < quads * 4 ? x[(i & ~3) + 3 - (i & 3)]! : x[i]!));
      equalAll(await download(machine, out, new Float32Array(n)), expected, `n=${n}`);
    }
  }),

  linear("vector loads and stores of bytes, halves and 64-bit words", async (machine) => {
    const program = await loadFixture(machine, "linear");
    const n = 300;
    const random = seeded(11);
    const bytes = Uint8Array.from({ length: n * 4 }, () => random.u32());
    const halves = Uint16Array.from({ length: n * 2 }, () => random.u32());
    const words = BigUint64Array.from({ length: n * 2 }, () => (BigInt(random.u32()) << 32n) | BigInt(random.u32()));
    const outs = [
      await scratch(machine, bytes.byteLength),
      await scratch(machine, halves.byteLength),
      await scratch(machine, words.byteLength),
    ] as const;
    const ins = [await upload(machine, bytes), await upload(machine, halves), await upload(machine, words)];
    await program.launch({ kernel: "shuffle_vectors", grid: 3, block: 128, args: [i32(n), ...ins, ...outs] });
    const b = bytes.map((_, i) => {
      const [x, y, z, w] = bytes.subarray(i & ~3, (i & ~3) + 4) as unknown as [number, number, number, number];
      return [w, x + 1, z, y ^ 0x5a][i & 3]!;
    });
    equalAll(await download(machine, outs[0], new Uint8Array(n * 4)), b, "bytes");
    const h = halves.map((_, i) => (i & 1 ? halves[i - 1]! + 7 : halves[i + 1]!));
    equalAll(await download(machine, outs[1], new Uint16Array(n * 2)), h, "halves");
    const w = words.map((_, i) => BigInt.asUintN(64, i & 1 ? words[i - 1]! - 1n : words[i + 1]! * 3n));
    equalAll(await download(machine, outs[2], new BigUint64Array(n * 2)), w, "words");
  }),

  linear("tiled matrix product with barriers, for sizes that do not fill the tiles", async (machine) => {
    const program = await loadFixture(machine, "linear");
    for (const [m, n, k] of [
      [16, 16, 16],
      [1, 1, 1],
      [33, 17, 50],
      [64, 48, 80],
      [5, 100, 31],
    ] as const) {
      const random = seeded(m * n * k);
      const a = floats(m * k, () => random.unit() - 0.5);
      const b = floats(k * n, () => random.unit() - 0.5);
      const out = await scratch(machine, m * n * 4);
      await program.launch({
        kernel: "matmul",
        grid: [blocksFor(n, 16), blocksFor(m, 16), 1],
        block: [16, 16, 1],
        args: [i32(m), i32(n), i32(k), await upload(machine, a), await upload(machine, b), out],
      });
      const expected = new Float64Array(m * n);
      for (let r = 0; r < m; r++)
        for (let c = 0; c < n; c++) for (let i = 0; i < k; i++) expected[r * n + c]! += a[r * k + i]! * b[i * n + c]!;
      const result = await download(machine, out, new Float32Array(m * n));
      closeAll(result, expected, { label: `${m}x${n}x${k}`, absolute: 2e-6, relative: 1e-5 });
    }
  }),

  linear("tiled transpose, for sizes that do not fill the tiles", async (machine) => {
    const program = await loadFixture(machine, "linear");
    for (const [width, height] of [
      [32, 32],
      [1, 70],
      [65, 33],
      [100, 200],
    ] as const) {
      const input = Uint32Array.from({ length: width * height }, (_, i) => Math.imul(i, 2654435761));
      const out = await scratch(machine, input.byteLength);
      await program.launch({
        kernel: "transpose",
        grid: [blocksFor(width, 32), blocksFor(height, 32), 1],
        block: [32, 8, 1],
        args: [i32(width), i32(height), await upload(machine, input), out],
      });
      const expected = input.map((_, i) => input[(i % height) * width + Math.floor(i / height)]!);
      equalAll(await download(machine, out, new Uint32Array(input.length)), expected, `${width}x${height}`);
    }
  }),

  linear("three-dimensional grids and blocks number their threads", async (machine) => {
    const program = await loadFixture(machine, "linear");
    for (const [grid, block] of [
      [
        [3, 2, 4],
        [5, 3, 2],
      ],
      [
        [1, 1, 7],
        [1, 1, 64],
      ],
      [
        [2, 5, 1],
        [33, 2, 1],
      ],
    ] as const) {
      const threads = block[0] * block[1] * block[2];
      const blocks = grid[0] * grid[1] * grid[2];
      const out = await scratch(machine, blocks * threads * 64);
      await program.launch({ kernel: "places", grid, block, args: [out] });
      const result = await download(machine, out, new Uint32Array(blocks * threads * 16));
      for (let b = 0; b < blocks; b++)
        for (let t = 0; t < threads; t++) {
          const position = (flat: number, [x, y]: readonly [number, number, number]): number[] => [
            flat % x,
            Math.floor(flat / x) % y,
            Math.floor(flat / x / y),
          ];
          const at = (b * threads + t) * 16;
          equalAll(
            result.subarray(at, at + 15),
            [...position(t, block), ...position(b, grid), ...block, ...grid, t % 32, 32, t],
            `grid ${grid} block ${block}: block ${b} thread ${t}`,
          );
        }
    }
  }),

  linear("an empty kernel runs over any grid", async (machine) => {
    const program = await loadFixture(machine, "linear");
    for (const grid of [1, 1000]) await program.launch({ kernel: "empty", grid, block: 1024, args: [] });
    await program.launch({ kernel: "empty", grid: [2, 3, 65], block: [8, 8, 16], args: [] });
    await machine.synchronize();
    assert.equal(machine.output(), "");
  }),
];
