/** Kernels of the cpu device are compiled when they are first launched: what is told of them before that must be what compiling them finds. */
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { GlobalsWindow } from "../../server/device/cpu/globals.ts";
import type { KernelTable } from "../../server/device/cpu/kernel-table.ts";
import { loadImage } from "../../server/device/cpu/module.ts";
import { PAGE_BYTES, planMemory } from "../../server/device/cpu/run/layout.ts";
import type { DeviceModule } from "../../server/device/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { createRandom } from "../support/random.ts";
import {
  ARENA_BYTES,
  bytesOf,
  type CpuMachine,
  failure,
  openCpu,
  ptxModule,
  readWords,
  writeWords,
} from "./cpu-machine.ts";

const layout = planMemory({ arenaBytes: PAGE_BYTES, arenaBase: ARENA_BASE, workers: 2 });

const memory = new Uint8Array(layout.globalsEnd);

function tableOf(text: string): KernelTable {
  return loadImage(bytesOf(text), { layout, window: new GlobalsWindow(layout), memory }).table;
}

/** What compiling finds of a kernel, or the code of its refusal. */
function compiledFacts(table: KernelTable, index: number): unknown {
  try {
    const { threadsMax, sharedBytes, localBytes, usesHeap } = table.get(index, [1, 1, 1]).compiled;
    return { threadsMax, sharedBytes, localBytes, usesHeap };
  } catch (error) {
    return (error as SluiceError).code;
  }
}

function toldFacts(table: KernelTable, index: number): unknown {
  const facts = table.facts[index]!;
  if (facts instanceof SluiceError) return facts.code;
  const { threadsMax, sharedBytes, localBytes, usesHeap } = facts;
  return { threadsMax, sharedBytes, localBytes, usesHeap };
}

const fixtures = new URL("../kernels/ptx/", import.meta.url);
const { WebAssembly: machine } = globalThis as unknown as { WebAssembly: { validate(bytes: Uint8Array): boolean } };
/** Every compiled kernel is looked at by the machine once. */
const compiles = vi.spyOn(machine, "validate");
/** How many kernels were compiled by what is done. */
function compiledBy<Result>(work: () => Result): { count: number; result: Result } {
  const before = compiles.mock.calls.length;
  const result = work();
  return { count: compiles.mock.calls.length - before, result };
}

describe("what is told of a kernel before it is compiled", () => {
  test.each(readdirSync(fixtures).filter((name) => name.endsWith(".ptx")))("is what compiling finds: %s", (name) => {
    const text = readFileSync(new URL(name, fixtures), "utf8");
    const table = tableOf(text);
    for (const index of table.entries.keys())
      expect(toldFacts(table, index), table.entries[index]!.name).toEqual(compiledFacts(table, index));
  });

  test("counts frames of functions, shared variables of functions, and allocations in functions", () => {
    const { count, result: table } = compiledBy(() =>
      tableOf(
        ptxModule(`.extern .func (.param .b64 r) malloc(.param .b64 n);
.extern .shared .align 32 .b8 more[];
.shared .align 8 .b8 outside[24];
.func deep() { .local .align 8 .b8 l[40]; .reg .b64 %rd<3>; .shared .b8 own[3];
{ .param .b64 n; .param .b64 r; mov.u64 %rd1, 8; st.param.b64 [n], %rd1; call.uni (r), malloc, (n); ld.param.b64 %rd2, [r]; }
mov.u64 %rd1, outside; ret; }
.func shallow() { .local .b8 l[1000]; ret; }
.func between() { .local .b8 l[100]; call.uni deep; call.uni deep; ret; }
.entry k() { .shared .align 4 .b8 mine[5]; call.uni between; call.uni shallow; ret; }
.entry bounded() .maxntid 64, 2, 1 { .reg .b64 %rd<3>; mov.u64 %rd1, more; ret; }`),
      ),
    );
    expect(count).toBe(0);
    for (const index of [0, 1]) expect(toldFacts(table, index)).toEqual(compiledFacts(table, index));
    expect(toldFacts(table, 0)).toMatchObject({ usesHeap: true, localBytes: 1008 });
    expect(toldFacts(table, 1)).toMatchObject({ usesHeap: false, threadsMax: 128 });
  });
});

/** Lines of the list of instructions, without their verdicts. */
const instructions = readFileSync(new URL("../kernels/instructions.txt", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => line.split(" ").slice(2).join(" "));

const kernelWith = (code: string, index: number): string => `.visible .entry k${index}(.param .u64 p) {
.reg .pred %p<8>; .reg .b16 %h<16>; .reg .b32 %r<32>; .reg .b64 %rd<32>; .reg .f32 %f<64>; .reg .f64 %fd<32>; .reg .b128 %q<8>; .reg .b8 %b<4>;
.shared .align 16 .b8 s[4096]; .local .align 16 .b8 l[64];
${code}
ret;
}`;

describe("an instruction that has been seen in another form", () => {
  const operands =
    "%r1 %rd1 %f1 %fd1 %h1 %p1 !%p1 %b1 %q1 7 0 -1 3.5 0f3F800000 _ s l p g %tid.x %clock64 {%r1,%r2} {%f1,%f2,%f3,%f4} [%rd1] [%r1+4] [s] [p] [g+1] %p1|%p2 f".split(
      " ",
    );

  test("is refused all the same: any operand in any place, against a compiler that looks at each", () => {
    const random = createRandom(7);
    const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)]!;
    let certain = 0;
    const wrong = new Set<string>();
    let refused = 0;
    for (let round = 0; round < 600; round++) {
      const line = pick(instructions);
      const parts = line.match(/[^\s,;[\]{}|]+/g) ?? [];
      const victim = pick(parts.filter((part) => /^[%\d]/.test(part)));
      // Sizes of matrices and the like are in the opcode; a changed operand is what a form must tell apart.
      const code = victim === undefined ? line : line.replace(victim, pick(operands));
      let table: KernelTable;
      try {
        table = tableOf(
          ptxModule(
            `.global .align 16 .b8 g[256];\n.func f() { ret; }\n${kernelWith(line, 0)}\n${kernelWith(code, 1)}`,
          ),
        );
      } catch (error) {
        // Found wrong while it was loaded, as a whole.
        expect(error, code).toBeInstanceOf(SluiceError);
        refused++;
        continue;
      }
      for (const index of [0, 1]) {
        if (!(table.facts[index] instanceof SluiceError)) certain++;
        const [told, found] = [toldFacts(table, index), compiledFacts(table, index)];
        if (JSON.stringify(told) !== JSON.stringify(found))
          wrong.add(`${index === 0 ? line : code}: ${JSON.stringify(found)}`);
      }
    }
    expect([...wrong]).toEqual([]);
    expect(certain).toBeGreaterThan(150);
    expect(refused).toBeGreaterThan(20);
  });
});

describe("a module with many kernels", () => {
  let machine: CpuMachine;
  beforeAll(async () => {
    machine = await openCpu();
  });
  afterAll(() => machine.slice.close());

  const count = 500;
  const many = ptxModule(
    Array.from(
      { length: count },
      (_, index) => `.visible .entry k${index}(.param .u64 p) {
.reg .b64 %rd<2>; .reg .b32 %r<2>; ld.param.u64 %rd1, [p]; mov.u32 %r1, ${index + 1}; st.global.u32 [%rd1], %r1; ret; }`,
    ).join("\n"),
  );
  const launch = async (module: DeviceModule, kernel: number): Promise<number> => {
    writeWords(machine, [0]);
    const params = new Uint8Array(BigUint64Array.of(BigInt(ARENA_BASE)).buffer);
    await machine.slice.launch({
      module,
      kernel,
      params,
      grid: [1, 1, 1],
      block: [1, 1, 1],
      sharedBytes: 0,
      stream: undefined,
    });
    return readWords(machine, 1)[0]!;
  };

  test("compiles none when it is loaded, each at its first launch, and none twice", async () => {
    const loaded = compiledBy(() => machine.slice.loadModule(bytesOf(many)));
    expect(loaded.count).toBe(0);
    const module = await loaded.result;
    for (const times of [1, 0]) {
      for (const kernel of [7, 499, 0]) {
        const launched = compiledBy(() => launch(module, kernel));
        expect(launched.count).toBe(times);
        expect(await launched.result).toBe(kernel + 1);
      }
    }
    await machine.slice.unloadModule(module);
  });

  test("compiles anew what is launched after the slice has got another size", async () => {
    const module = await machine.slice.loadModule(bytesOf(many));
    expect(await launch(module, 3)).toBe(4);
    const resized = compiledBy(() => machine.slice.resize!(2 * ARENA_BYTES));
    expect(resized.count).toBe(0);
    await resized.result;
    for (const kernel of [3, 4]) {
      const launched = compiledBy(() => launch(module, kernel));
      expect(launched.count).toBe(1);
      expect(await launched.result).toBe(kernel + 1);
    }
    await machine.slice.resize!(ARENA_BYTES);
    await machine.slice.unloadModule(module);
  });

  test("is refused as a whole for a mistake in its last kernel, and keeps its sentence and line", async () => {
    const mistaken = `${many}\n.entry last() {\n.reg .b32 %r<2>; .reg .b64 %rd<2>;\nadd.u32 %r1, %r1, 1;\nadd.u32 %r1, %rd1, 1;\nmov.u64 %rd1, %r1;\nret; }`;
    const line = mistaken.split("\n").length - 1;
    expect(await failure(() => machine.slice.loadModule(bytesOf(mistaken)))).toEqual({
      code: "BAD_IMAGE",
      message: expect.stringContaining(`does not fit [mov.u64] in line [${line}]`),
    });
  });

  test("has a body know the names before it, and none behind, whenever it is read", async () => {
    const module = await machine.slice.loadModule(
      bytesOf(
        ptxModule(`.visible .entry k(.param .u64 p) {
.reg .b64 %rd<2>; .reg .b32 %r<2>; .reg .pred %p<2>; ld.param.u64 %rd1, [p]; mov.u32 %r1, 5;
bra later;
mov.u32 %r1, 6;
later: st.global.u32 [%rd1], %r1; ret; }
.func later() { ret; }
.global .u32 other;`),
      ),
    );
    expect(await launch(module, 0)).toBe(5);
  });
});
