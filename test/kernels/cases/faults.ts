/** Kernels that go wrong, each of which must end its slice with the right code. Specification: cu/faults.cu. */
import assert from "node:assert/strict";
import type { KernelBuffer, KernelCase, KernelMachine, KernelProgram } from "../machine.ts";
import { download, equalAll, expectFailure, i32, i64, loadFixture, scratch, u64, upload } from "../support.ts";

const fault = (name: string, run: KernelCase["run"], kernelTimeoutMs?: number): KernelCase => ({
  name,
  ptx: "faults",
  spoils: true,
  ...(kernelTimeoutMs === undefined ? {} : { kernelTimeoutMs }),
  run,
});

/** Addresses of 4 bytes that no kernel may touch, by a name, from the machine's own arena. */
const outside: Record<string, (machine: KernelMachine) => bigint> = {
  "the null address": () => 0n,
  "a small address": () => 4096n,
  "the first word past the arena": (machine) => BigInt(machine.arenaBase + machine.arenaBytes),
  "the last word before the arena": (machine) => BigInt(machine.arenaBase) - 4n,
  "an address that differs only in the high half": (machine) => BigInt(machine.arenaBase) + (1n << 32n) + 64n,
  "an address that differs only in a lower high half": (machine) => BigInt(machine.arenaBase) - (1n << 32n) + 64n,
  "the arena's offset without its base": (machine) => (BigInt(machine.arenaBase) % (1n << 32n)) + 0x100_0000n,
  "the highest address": () => 0xffff_ffff_ffff_fffcn,
  "a word that straddles the arena's end, unaligned": (machine) => BigInt(machine.arenaBase + machine.arenaBytes) - 2n,
};

const accesses: Record<string, (program: KernelProgram, address: bigint, out: KernelBuffer) => Promise<void>> = {
  "a store": (program, address) =>
    program.launch({ kernel: "store_at", grid: 1, block: 32, args: [u64(address), i32(1)] }),
  "a load": (program, address, out) =>
    program.launch({ kernel: "load_at", grid: 1, block: 32, args: [u64(address), out] }),
  "an atomic add": (program, address) =>
    program.launch({ kernel: "atomic_at", grid: 1, block: 32, args: [u64(address)] }),
  "a vector load": (program, address, out) =>
    program.launch({ kernel: "load_vector_at", grid: 1, block: 32, args: [u64(address), out] }),
};

/** Loads and stores everywhere; the other two where their checks differ: below, beyond, and across the end. */
const elsewhere = new Set([
  "the null address",
  "the first word past the arena",
  "a word that straddles the arena's end, unaligned",
]);

const addressCases = Object.entries(outside).flatMap(([place, address]) =>
  Object.entries(accesses)
    .filter(([access]) => access === "a store" || access === "a load" || elsewhere.has(place))
    .map(([access, launch]) =>
      fault(`${access} at ${place} is an illegal address`, async (machine) => {
        const program = await loadFixture(machine, "faults");
        const out = await scratch(machine, 1024);
        await expectFailure(machine, { code: "ILLEGAL_ADDRESS", work: () => launch(program, address(machine), out) });
      }),
    ),
);

export const faultCases: readonly KernelCase[] = [
  fault("the arena's first and last words can be stored, loaded and added to", async (machine) => {
    const program = await loadFixture(machine, "faults");
    // The arena's first bytes belong to this buffer or to nobody; only kernels touch them, by address.
    await scratch(machine, 256);
    const out = await scratch(machine, 128);
    const first = BigInt(machine.arenaBase);
    await accesses["a store"]!(program, first, out);
    await accesses["an atomic add"]!(program, first, out);
    await accesses["a load"]!(program, first, out);
    equalAll(await download(machine, out, new Int32Array(32)), new Int32Array(32).fill(33), "first word");
    const last = BigInt(machine.arenaBase + machine.arenaBytes) - 4n;
    await accesses["a store"]!(program, last, out);
    await accesses["a load"]!(program, last, out);
    equalAll(await download(machine, out, new Int32Array(32)), new Int32Array(32).fill(1), "last word");
  }),

  ...addressCases,

  fault("one thread of many that strays by an index fails the kernel", async (machine) => {
    const program = await loadFixture(machine, "faults");
    const out = await scratch(machine, 4000);
    const failure = await expectFailure(machine, {
      code: "ILLEGAL_ADDRESS",
      work: () => program.launch({ kernel: "stray", grid: 8, block: 128, args: [i32(1000), out, i64(-(1n << 40n))] }),
    });
    assert.match(failure.message, /\[.*\]/, "the message carries its values in brackets");
  }),

  fault(
    "a kernel that waits for ever is ended",
    async (machine) => {
      const program = await loadFixture(machine, "faults");
      const flag = await upload(machine, new Int32Array(1));
      await expectFailure(machine, {
        code: "KERNEL_TIMEOUT",
        work: () => program.launch({ kernel: "endless", grid: 2, block: 64, args: [flag] }),
      });
    },
    400,
  ),

  fault(
    "a kernel that loops for ever without touching memory is ended",
    async (machine) => {
      const program = await loadFixture(machine, "faults");
      const out = await upload(machine, new Int32Array(1));
      await expectFailure(machine, {
        code: "KERNEL_TIMEOUT",
        work: () => program.launch({ kernel: "endless_arithmetic", grid: 1, block: 1, args: [out, i32(1), i32(2)] }),
      });
    },
    400,
  ),

  fault("a trap in one thread fails the kernel", async (machine) => {
    const program = await loadFixture(machine, "faults");
    // No thread has this number, so nothing happens yet.
    await program.launch({ kernel: "trap_at", grid: 2, block: 64, args: [i32(128)] });
    await machine.synchronize();
    await expectFailure(machine, {
      code: "KERNEL_TRAP",
      work: () => program.launch({ kernel: "trap_at", grid: 2, block: 64, args: [i32(77)] }),
    });
  }),

  fault("a failed assertion fails the kernel", async (machine) => {
    const program = await loadFixture(machine, "faults");
    const data = await upload(
      machine,
      Int32Array.from({ length: 32 }, (_, i) => i),
    );
    await program.launch({ kernel: "assert_below", grid: 1, block: 32, args: [data, i32(32)] });
    await machine.synchronize();
    await expectFailure(machine, {
      code: "KERNEL_TRAP",
      work: () => program.launch({ kernel: "assert_below", grid: 1, block: 32, args: [data, i32(31)] }),
    });
  }),
];
