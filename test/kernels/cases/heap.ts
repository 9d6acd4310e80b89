/** Memory that kernels allocate by themselves. Specification of each kernel: cu/heap.cu. The heap has 8 MiB, as CUDA gives it. */
import type { KernelCase } from "../machine.ts";
import { download, equalAll, i32, loadFixture, scratch, u64 } from "../support.ts";

const heap = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "heap", run });

const HEAP_BYTES = 8 * 1024 * 1024;

export const heapCases: readonly KernelCase[] = [
  heap("what kernels allocate outlives them, and is given back by others", async (machine) => {
    const program = await loadFixture(machine, "heap");
    const [grid, block, length] = [8, 96, 50];
    const count = grid * block;
    const heads = await scratch(machine, count * 8);
    const sums = await scratch(machine, count * 8);
    // Three rounds: together they make more nodes than there is room for at a time.
    for (let round = 0; round < 3; round++) {
      await program.launch({ kernel: "lists_make", grid, block, args: [heads, i32(length + round)] });
      await program.launch({ kernel: "lists_sum", grid, block, args: [heads, sums] });
      const expected = BigInt64Array.from({ length: count }, (_, i) => {
        const values = Array.from({ length: length + round }, (_unused, k) => i * 1000 + k).reverse();
        return BigInt(values.reduce((sum, value, at) => sum + (at % 2 === 0 ? value : -value), 0));
      });
      equalAll(await download(machine, sums, new BigInt64Array(count)), expected, `round ${round}`);
      await program.launch({ kernel: "lists_drop", grid, block, args: [heads, i32(count)] });
    }
  }),
  heap("objects are made by new, used through their base, and deleted", async (machine) => {
    const program = await loadFixture(machine, "heap");
    const [grid, block] = [5, 130];
    const out = await scratch(machine, grid * block * 4);
    await program.launch({ kernel: "objects", grid, block, args: [out] });
    const expected = Int32Array.from({ length: grid * block }, (_, i) =>
      i % 3 === 0 ? Math.trunc((i * (i + 2)) / 2) * 10 + 3 : i * 3 * 10 + 4,
    );
    equalAll(await download(machine, out, new Int32Array(grid * block)), expected, "objects");
  }),
  heap("pieces of all threads lie apart, while others come and go", async (machine) => {
    const program = await loadFixture(machine, "heap");
    const [grid, block] = [6, 128];
    const out = await scratch(machine, grid * block * 4);
    await program.launch({ kernel: "pieces", grid, block, args: [out, i32(12)] });
    equalAll(await download(machine, out, new Int32Array(grid * block)), new Int32Array(grid * block), "pieces");
  }),
  heap("a heap without room gives null, and has the same room again when all is given back", async (machine) => {
    const program = await loadFixture(machine, "heap");
    // What CUDA's own allocator takes for a piece grows with the pieces there are: a hundred thousand are minutes.
    const small = machine.isHardware ? [4096] : [16, 1000, 4096];
    for (const size of [...small, 100_000, 3_000_000, 2 ** 40]) {
      const out = await scratch(machine, 12);
      await program.launch({ kernel: "exhaust", grid: 1, block: 1, args: [out, u64(BigInt(size)), i32(3)] });
      const counts = [...(await download(machine, out, new Int32Array(3)))];
      const most = Math.floor(HEAP_BYTES / size);
      // Each piece costs a little more than its size, and nearly all of the heap can be had; how a driver keeps its own is its business.
      const least = Math.floor((HEAP_BYTES * (machine.isHardware ? 0.1 : 0.9)) / (size + 32));
      const isRight = counts.every((count) => count <= most && count >= least);
      if (!isRight || (!machine.isHardware && new Set(counts).size > 1))
        throw new Error(`Of [${size}] bytes there were [${counts.join()}].`);
    }
  }),
  heap("what asks to be aligned is", async (machine) => {
    const program = await loadFixture(machine, "heap");
    const [grid, block] = [2, 64];
    const out = await scratch(machine, grid * block * 4);
    await program.launch({ kernel: "aligned", grid, block, args: [out] });
    const sum = (63 * 64) / 2;
    equalAll(
      await download(machine, out, new Int32Array(grid * block)),
      new Int32Array(grid * block).fill(sum),
      "sums",
    );
  }),
];
