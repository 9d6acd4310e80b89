/** Functions that allocate in their frames, and functions that wait, by pointers and in recursion. Specification: cu/calls.cu. */
import type { KernelCase } from "../machine.ts";
import { download, equalAll, i32, loadFixture, scratch, upload } from "../support.ts";

const calls = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "calls", run });

function gather(n: number, factor: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += ((i * 7) % n) * factor * (i + 1);
  return sum;
}

export const callCases: readonly KernelCase[] = [
  calls("functions allocate in their frames, also in recursion", async (machine) => {
    const program = await loadFixture(machine, "calls");
    const [n, depth, threads] = [9, 4, 96];
    const out = await scratch(machine, threads * 2 * 4);
    await program.launch({ kernel: "allocate_in_frames", grid: 2, block: threads, args: [i32(n), i32(depth), out] });
    const expected = Array.from({ length: threads * 2 }, (_, i) => {
      let sum = 0;
      for (let level = 1; level <= depth; level++) sum += gather(n + ((i % threads) % 5), level) + level;
      return sum;
    });
    equalAll(await download(machine, out, new Int32Array(threads * 2)), expected, "sums");
  }),

  calls("functions with barriers and shuffles are called through a table", async (machine) => {
    const program = await loadFixture(machine, "calls");
    const threads = 96;
    const which = Int32Array.of(0, 1, 2, 0, 0, 2, 1, 2, 0);
    const out = await scratch(machine, threads * 3 * 4);
    const args = [await upload(machine, which), i32(which.length), out];
    await program.launch({ kernel: "meet_through_table", grid: 3, block: threads, args });
    let values = Array.from({ length: threads }, (_, thread) => thread);
    for (const kind of which) {
      values = values.map((value, thread) => {
        if (kind === 2) return (value * 2) % 1000;
        if (kind === 0) return (value + values[(thread + 1) % threads]!) % 1000;
        const first = thread - (thread % 32);
        return values.slice(first, first + 32).reduce((sum, each) => sum + each, 0) % 1000;
      });
    }
    equalAll(await download(machine, out, new Int32Array(threads * 3)), [...values, ...values, ...values], "values");
  }),

  calls("a function with shuffles and barriers calls itself", async (machine) => {
    const program = await loadFixture(machine, "calls");
    const n = 128;
    const data = Float64Array.from({ length: n }, (_, i) => i * i - 50);
    const [out, levels] = [await scratch(machine, n * 8), await scratch(machine, n * 4)];
    const args = [await upload(machine, data), out, levels];
    await program.launch({ kernel: "reduce_recursively", grid: 2, block: 64, args });
    const sums = Array.from(data, (_, i) => data.slice(i - (i % 32), i - (i % 32) + 32).reduce((sum, x) => sum + x, 0));
    equalAll(await download(machine, out, new Float64Array(n)), sums, "sums");
    equalAll(await download(machine, levels, new Int32Array(n)), Array<number>(n).fill(31), "levels");
  }),

  calls("virtual functions with barriers call each other", async (machine) => {
    const program = await loadFixture(machine, "calls");
    const [n, block] = [400, 200];
    const data = Float32Array.from({ length: n }, (_, i) => i - 7);
    const out = await scratch(machine, n * 4);
    await program.launch({ kernel: "run_stages", grid: 2, block, args: [await upload(machine, data), out] });
    const expected = Array.from(data, (_, i) => {
      const start = i - (i % block);
      return data[start + (((i % block) + block - 2) % block)]! / 2;
    });
    equalAll(await download(machine, out, new Float32Array(n)), expected, "values");
  }),
];
