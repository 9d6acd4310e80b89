/** Calls, recursion, structs, local arrays, constants, globals and printf. Specification: cu/language.cu. */
import assert from "node:assert/strict";
import type { KernelCase } from "../machine.ts";
import {
  download,
  equalAll,
  f32,
  f64,
  floats,
  i8,
  i16,
  i32,
  i64,
  loadFixture,
  scratch,
  seeded,
  u8,
  u16,
  u64,
  upload,
} from "../support.ts";

const language = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "language", run });

const fibonacci = (n: number): number => (n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2));
const ackermann = (m: number, n: number): number =>
  m === 0 ? n + 1 : n === 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));

export const languageCases: readonly KernelCase[] = [
  language("a struct of mixed members arrives by value", async (machine) => {
    const program = await loadFixture(machine, "language");
    const n = 90;
    const target = await scratch(machine, n * 4);
    const out = await scratch(machine, n * 8);
    const options = new DataView(new ArrayBuffer(48));
    options.setInt8(0, -7);
    for (const [i, offset] of [100, -200, 300].entries()) options.setInt32(4 + i * 4, offset, true);
    options.setInt16(16, -1234, true);
    options.setFloat64(24, 0.375, true);
    options.setBigUint64(32, BigInt(target.address), true);
    for (const [i, flag] of [1, 2, 3, 4, 255].entries()) options.setUint8(40 + i, flag);
    const args = [u8(200), options, i64(-5_000_000_000n), out];
    await program.launch({ kernel: "struct_by_value", grid: 3, block: 30, args });
    const expected = floats(n, (i) => [100, -200, 300][i % 3]! + [1, 2, 3, 4, 255][i % 5]!);
    equalAll(await download(machine, target, new Float32Array(n)), expected, "target");
    const value = -1234 * 0.375 - 7 + 200 - 5_000_000_000;
    equalAll(await download(machine, out, new Float64Array(n)), new Float64Array(n).fill(value), "out");
  }),

  language("scalar parameters of every width arrive at their places", async (machine) => {
    const program = await loadFixture(machine, "language");
    const out = await scratch(machine, 9 * 8);
    const args = [
      i8(-100),
      u16(65_000),
      f32(-1.5),
      u8(255),
      f64(Math.PI),
      i32(-2_000_000_000),
      u64(1n << 52n),
      i16(-32_768),
      u8(1),
    ];
    await program.launch({ kernel: "scalars", grid: 1, block: 1, args: [...args, out] });
    const expected = [-100, 65_000, -1.5, 255, Math.PI, -2_000_000_000, 2 ** 52, -32_768, 1];
    equalAll(await download(machine, out, new Float64Array(9)), expected, "values");
  }),

  language("functions that are not inlined take and return values", async (machine) => {
    const program = await loadFixture(machine, "language");
    const n = 100;
    const data = Int32Array.from({ length: n }, (_, i) => i * 777);
    const out = await scratch(machine, n * 4);
    const wide = await scratch(machine, n * 8);
    await program.launch({ kernel: "calls", grid: 2, block: 50, args: [await upload(machine, data), out, wide] });
    const expected = data.map((value, i) => {
      let v = value;
      for (let k = 0; k < (i & 7) + 1; k++) {
        const b = k * 1000 - i;
        v = (v > b ? v * 3 - b : b * 5 + v) & 0xffff;
      }
      return v;
    });
    equalAll(await download(machine, out, new Int32Array(n)), expected, "integers");
    const blended = Array.from(expected, (v, i) => v * 0.5 + i + i * 0.25);
    equalAll(await download(machine, wide, new Float64Array(n)), blended, "doubles");
  }),

  language("functions call themselves", async (machine) => {
    const program = await loadFixture(machine, "language");
    const threads = 48;
    const fib = await scratch(machine, threads * 4);
    const ack = await scratch(machine, threads * 8);
    await program.launch({ kernel: "recursion", grid: 1, block: threads, args: [fib, ack] });
    const all = Array.from({ length: threads }, (_, i) => i);
    equalAll(
      await download(machine, fib, new Int32Array(threads)),
      all.map((i) => fibonacci(i % 16)),
      "fibonacci",
    );
    const expected = all.map((i) => BigInt(ackermann(i % 3, i % 5)));
    equalAll(await download(machine, ack, new BigUint64Array(threads)), expected, "ackermann");
  }),

  language("a called function waits at barriers and shuffles", async (machine) => {
    const program = await loadFixture(machine, "language");
    const [grid, block] = [2, 96];
    const data = Int32Array.from({ length: grid * block }, (_, i) => Math.imul(i, 40_503));
    const out = await scratch(machine, data.byteLength);
    const args = [await upload(machine, data), out];
    await program.launch({ kernel: "calls_with_barriers", grid, block, sharedBytes: block * 4, args });
    let values = data;
    for (let k = 0; k < 3; k++) {
      const before = values;
      values = before.map((_, i) => {
        const first = i - (i % block);
        return (before[first + (((i % block) + 1) % block)]! + before[i ^ 1]!) ^ k;
      });
    }
    equalAll(await download(machine, out, new Int32Array(data.length)), values, "values");
  }),

  language("local arrays are sorted through indices known only at run time", async (machine) => {
    const program = await loadFixture(machine, "language");
    const threads = 70;
    const random = seeded(6);
    const data = Int32Array.from({ length: threads * 24 }, () => random.u32());
    const out = await scratch(machine, data.byteLength);
    const bytes = await scratch(machine, threads);
    const args = [await upload(machine, data), out, bytes];
    await program.launch({ kernel: "local_arrays", grid: 2, block: 35, args });
    const sorted = Array.from({ length: threads }, (_, i) =>
      Int32Array.from({ length: 24 }, (_, k) => data[(i * 24 + k * 7) % data.length]!).sort(),
    );
    const flat = Int32Array.from(sorted.flatMap((values) => [...values]));
    equalAll(await download(machine, out, new Int32Array(data.length)), flat, "sorted");
    const expected = sorted.map((values, i) => new Uint8Array(values.buffer)[(i * 5) % 96]!);
    equalAll(await download(machine, bytes, new Uint8Array(threads)), expected, "bytes");
  }),

  language("constants and global variables keep their values between launches, per module", async (machine) => {
    const program = await loadFixture(machine, "language");
    const n = 50;
    const data = floats(n, (i) => i + 0.5);
    const input = await upload(machine, data);
    const out = await scratch(machine, n * 4);
    const words = await scratch(machine, 64);
    const factors = [0.5, -2.25, 1e10];
    const table = [5, -3, 8, 0, 13, 21];
    for (let round = 1; round <= 2; round++) {
      await program.launch({ kernel: "globals_write", grid: 1, block: 64, args: [i32(n), input] });
      await program.launch({ kernel: "globals_read", grid: 1, block: 64, args: [i32(n), out, words] });
      const expected = data.map((value, i) => value * Math.fround(factors[i % 3]!));
      equalAll(await download(machine, out, new Float32Array(n)), expected, "history");
      const text = Array.from("good day", (letter) => letter.charCodeAt(0));
      const matrix = table.map((value, i) => i + 1 + value * round);
      const result = await download(machine, words, new Int32Array(16));
      equalAll(result, [...matrix, 100 + 64 * round, matrix[4]!, ...text], `round ${round}`);
    }
    const again = await loadFixture(machine, "language");
    await again.launch({ kernel: "globals_read", grid: 1, block: 64, args: [i32(0), out, words] });
    const fresh = await download(machine, words, new Int32Array(8));
    equalAll(fresh, [1, 2, 3, 4, 5, 6, 100, 5], "a second load starts afresh");
  }),

  language("printf formats as C does, in the order of the threads", async (machine) => {
    const program = await loadFixture(machine, "language");
    await program.launch({ kernel: "print", grid: 1, block: 32, args: [i32(3), f64(1.25), u64(0n)] });
    await machine.synchronize();
    const expected = [
      "thread 0 of 32:  0.00 even",
      "thread 1 of 32:  1.25 odd",
      "thread 2 of 32:  2.50 even",
      "%|-7|   42|42   |00042|+42|beef|BEEF|10|z|",
      "-1234567890123|18446744073709551615|feedfacecafebeef|1.234568e+04|0.0001|0.667|   -3.1416|",
      "plain text",
      "",
    ];
    assert.equal(machine.output(), expected.join("\n"));
  }),

  language("clocks move on, and fences, prefetches and short sleeps do no harm", async (machine) => {
    const program = await loadFixture(machine, "language");
    const threads = 40;
    const data = Int32Array.from({ length: threads }, (_, i) => i * 5);
    const out = await scratch(machine, threads * 24);
    await program.launch({ kernel: "machinery", grid: 1, block: threads, args: [await upload(machine, data), out] });
    const expected = Array.from(data, (value) => [1n, 1n, BigInt(value * 2)]).flat();
    equalAll(await download(machine, out, new BigUint64Array(threads * 3)), expected, "values");
  }),

  language("functions are called through pointers, in tables and by what an object is", async (machine) => {
    const program = await loadFixture(machine, "language");
    const n = 256;
    const numbers = (make: (index: number) => number) => Int32Array.from({ length: n }, (_, i) => make(i));
    const [which, a, b] = [numbers((i) => i % 3), numbers((i) => i - 9), numbers((i) => 40 - i)];
    const out = await scratch(machine, n * 4);
    const inputs = [await upload(machine, which), await upload(machine, a), await upload(machine, b)];
    await program.launch({ kernel: "call_through_table", grid: 2, block: 128, args: [...inputs, out] });
    const operations = [
      (x: number, y: number) => x + y,
      (x: number, y: number) => x - y,
      (x: number, y: number) => Math.max(0, y - x),
    ];
    const expected = [...a].map((value, i) => operations[which[i]!]!(value, b[i]!));
    equalAll(await download(machine, out, new Int32Array(n)), expected, "table");
    const kinds = numbers((i) => (i * 7) % 4);
    await program.launch({ kernel: "call_virtual", grid: 2, block: 128, args: [await upload(machine, kinds), out] });
    const areas = [() => 0, (i: number) => i * i, (i: number) => -i, () => 49];
    equalAll(
      await download(machine, out, new Int32Array(n)),
      [...kinds].map((kind, i) => areas[kind]!(i) + 0),
      "virtual",
    );
    const place = await scratch(machine, 8);
    await program.launch({ kernel: "take_pointer", grid: 1, block: 1, args: [place, i32(1)] });
    const [pointer] = await download(machine, place, new BigUint64Array(1));
    await program.launch({ kernel: "call_pointer", grid: 1, block: 1, args: [u64(pointer!), i32(5), i32(3), out] });
    equalAll(await download(machine, out, new Int32Array(1)), [2], "pointer");
    await program.launch({ kernel: "take_pointer", grid: 1, block: 1, args: [place, i32(3)] });
    const [other] = await download(machine, place, new BigUint64Array(1));
    await program.launch({ kernel: "call_pointer", grid: 1, block: 1, args: [u64(other!), i32(5), i32(3), out] });
    equalAll(await download(machine, out, new Int32Array(1)), [8], "pointer of a function by its name");
  }),
];
