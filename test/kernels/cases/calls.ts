/** Functions that allocate in their frames. Specification: cu/calls.cu. */
import type { KernelCase } from "../machine.ts";
import { download, equalAll, i32, loadFixture, scratch } from "../support.ts";

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
];
