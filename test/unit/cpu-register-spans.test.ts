/** Registers that share a local: never two that are wanted at the same time, on any way through a region. */
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GraphBuilder, successors } from "../../server/device/cpu/compile/graph.ts";
import { cutRegions, type Region, type Regions } from "../../server/device/cpu/compile/regions.ts";
import { shareRegisters, useOf } from "../../server/device/cpu/compile/register-spans.ts";
import { surveyBody } from "../../server/device/cpu/compile/survey.ts";
import { accesses } from "../../server/device/cpu/compile/traits.ts";
import { parsePtx } from "../../server/device/cpu/ptx/parser.ts";
import type { Register, Routine } from "../../server/device/cpu/ptx/program.ts";
import { bytesOf, type CpuMachine, openCpu, ptxModule, readWords, runPtx, writeWords } from "./cpu-machine.ts";

const folder = new URL("../kernels/ptx/", import.meta.url);
const kindOf = ({ type }: Register): string => type;

function regionsOf(routine: Routine): { list: readonly Region[]; regions: Regions } {
  const regions = cutRegions(new GraphBuilder().build(routine));
  return { list: regions.list, regions };
}

/** A small generator with a seed. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % sides;
  };
}

/** Goes through a region at random and returns the registers that were read after another had taken their place. */
function walk(region: Region, regions: Regions, roll: (sides: number) => number): string[] {
  const use = useOf(region, regions);
  const numbers = shareRegisters(use, kindOf);
  const owners = new Map<string, Register>();
  const known = new Set<Register>();
  const wrong: string[] = [];
  const place = (register: Register): string => `${kindOf(register)} ${numbers.get(register)}`;
  const write = (register: Register): void => {
    expect(numbers.has(register), register.name).toBe(true);
    owners.set(place(register), register);
    known.add(register);
  };
  const read = (register: Register): void => {
    // What was never written has no value to lose.
    if (known.has(register) && owners.get(place(register)) !== register) wrong.push(register.name);
  };
  for (const register of use.brought) write(register);
  let block = region.start;
  for (let steps = 0; steps < 300; steps++) {
    for (const instruction of block.instructions) {
      const { reads, writes } = accesses(instruction);
      reads.forEach(read);
      writes.forEach(write);
    }
    const { end } = block;
    if (end.kind === "branch") read(end.register);
    if (end.kind === "suspend") accesses(end.instruction).reads.forEach(read);
    use.kept(block).forEach(read);
    const next = end.kind === "suspend" ? [] : successors(end);
    if (next.length === 0) break;
    block = next[roll(next.length)]!;
  }
  return wrong;
}

/** A kernel in which every value has a register of its own, and every step a branch. */
function unrolled(steps: number): string {
  const body = Array.from(
    { length: steps },
    (_, step) => `
add.u32 %r${2 * step + 10}, %r${2 * step + 8}, ${step};
setp.lt.u32 %p${step + 1}, %r${2 * step + 10}, 1000000;
@%p${step + 1} bra L${step};
mov.u32 %r${2 * step + 11}, 1;
st.global.u32 [%rd1], %r${2 * step + 11};
L${step}:`,
  );
  return ptxModule(`.visible .entry k(.param .u64 p) {
.reg .pred %p<${steps + 2}>; .reg .b32 %r<${2 * steps + 12}>; .reg .b64 %rd<2>;
ld.param.u64 %rd1, [p];
mov.u32 %r8, 0;
${body.join("")}
st.global.u32 [%rd1], %r${2 * steps + 8};
ret;
}`);
}

describe("registers that share a local", () => {
  test.each(readdirSync(folder).filter((name) => name.endsWith(".ptx")))("keep their values in [%s]", (name) => {
    const program = parsePtx(readFileSync(new URL(name, folder)), surveyBody);
    const roll = dice(7);
    for (const outline of program.routines) {
      const { list, regions } = regionsOf(outline.read());
      for (const region of list)
        for (let times = 0; times < 5; times++) expect(walk(region, regions, roll)).toEqual([]);
    }
  });

  test("are few where values live shortly, however many there are", () => {
    const [outline] = parsePtx(bytesOf(unrolled(500)), surveyBody).routines;
    const { list, regions } = regionsOf(outline!.read());
    const numbers = shareRegisters(useOf(list[0]!, regions), kindOf);
    expect(numbers.size).toBeGreaterThan(1500);
    expect(Math.max(...numbers.values())).toBeLessThan(4);
  });
});

/** The same with an address at each step, in a register that is written twice. */
function addressed(steps: number): string {
  const body = Array.from(
    { length: steps },
    (_, step) => `
mul.wide.u32 %rd${step + 2}, %r${step + 1}, 4;
add.s64 %rd${step + 2}, %rd1, %rd${step + 2};
ld.global.u32 %r${step + 2}, [%rd${step + 2}];
setp.lt.u32 %p1, %r${step + 2}, 1000000;
@%p1 bra L${step};
st.global.u32 [%rd${step + 2}], %r0;
L${step}:`,
  );
  return ptxModule(`.visible .entry k(.param .u64 p) {
.reg .pred %p<2>; .reg .b32 %r<${steps + 3}>; .reg .b64 %rd<${steps + 3}>;
ld.param.u64 %rd1, [p];
mov.u32 %r0, 0;
mov.u32 %r1, 0;
${body.join("")}
st.global.u32 [%rd1], %r${steps + 1};
ret;
}`);
}

describe("a kernel with thousands of values and branches", () => {
  let machine: CpuMachine;
  beforeAll(async () => {
    machine = await openCpu();
  });
  afterAll(() => machine.slice.close());

  test("is compiled in memory that grows with its length", async () => {
    const steps = 6000;
    const before = process.memoryUsage().rss;
    await runPtx(machine, unrolled(steps), { block: 1 });
    expect(readWords(machine, 1)[0]).toBe(((steps * (steps - 1)) / 2) % 2 ** 32);
    // With a local for each value it is beyond 4 GiB.
    expect(process.memoryUsage().rss - before).toBeLessThan(600 * 2 ** 20);
  });

  test("is so with an address for each, too", async () => {
    const before = process.memoryUsage().rss;
    writeWords(machine, [0]);
    await runPtx(machine, addressed(6000), { block: 1 });
    expect(readWords(machine, 1)[0]).toBe(0);
    expect(process.memoryUsage().rss - before).toBeLessThan(400 * 2 ** 20);
  });
});
