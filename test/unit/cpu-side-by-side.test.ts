/**
 * Threads that stand side by side against threads one by one: blocks of one thread are never run side by side, so the same kernel over the same
 * numbers must leave the same bits in a grid of them as in one block. Kernels are drawn at random, by a seed that the test names.
 */
import { afterAll, describe, expect, test } from "vitest";
import { ARENA_BASE } from "../../shared/limits.ts";
import { seeded } from "../kernels/support.ts";
import { ARENA_BYTES, type CpuMachine, failure, openCpu, ptxKernel, runPtx } from "./cpu-machine.ts";

const THREADS = 61;
const INPUT = ARENA_BASE;
const OUTPUT = ARENA_BASE + 65_536;
const OUTPUT_BYTES = 65_536;

type Draw = ReturnType<typeof seeded>;

let machine: CpuMachine | undefined;
afterAll(() => machine?.slice.close());

/** Floats, integers that are small and large, and what compares with nothing. */
function makeInput(draw: Draw): Uint8Array {
  const words = new Uint32Array(8192);
  const view = new DataView(words.buffer);
  for (let i = 0; i < words.length; i++) {
    const kind = draw.int(10);
    if (kind < 5) view.setFloat32(i * 4, (draw.unit() - 0.5) * 2 ** (draw.int(40) - 20), true);
    else if (kind < 8) view.setInt32(i * 4, draw.int(2000) - 1000, true);
    else
      view.setUint32(i * 4, [0, 0x8000_0000, 0x7f80_0000, 0xff80_0000, 0x0000_0001, 0x7fc0_0000][draw.int(6)]!, true);
  }
  return new Uint8Array(words.buffer);
}

/** Writes a kernel that computes with words, long words, floats and predicates, and stores all of them. */
class KernelWriter {
  readonly #draw: Draw;
  #label = 0;

  constructor(draw: Draw) {
    this.#draw = draw;
  }

  write(): string {
    const lines = [
      "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mad.lo.s32 %r3, %r1, %r2, %r0;",
      "mul.wide.u32 %rd2, %r3, 4; add.s64 %rd3, %rd0, %rd2; mul.wide.s32 %rd4, %r3, 128; add.s64 %rd5, %rd1, %rd4;",
      ...[10, 11, 12, 13, 14, 15].map((r) => `ld.global.u32 %r${r}, [%rd3+${r * 512}];`),
      ...[0, 1, 2, 3, 4, 5].map((f) => `ld.global.f32 %f${f}, [%rd3+${f * 512 + 4}];`),
      "cvt.s64.s32 %rd10, %r10; cvt.u64.u32 %rd11, %r3; mul.wide.s32 %rd12, %r11, %r12; mov.u64 %rd13, 77;",
      "cvt.f64.f32 %fd0, %f0; cvt.f64.f32 %fd1, %f1; cvt.rn.f64.s32 %fd2, %r10; mov.f64 %fd3, 0d3FF8000000000000;",
      "mov.u32 %r16, %r3; mov.u32 %r17, 9; setp.lt.s32 %p1, %r10, %r11; setp.gt.f32 %p2, %f0, %f1; setp.ne.s32 %p3, %r3, 17; setp.eq.s32 %p4, %r2, 0;",
      ...this.#body(30, 2),
      ...[10, 11, 12, 13, 14, 15, 16, 17].map((r, i) => `st.global.u32 [%rd5+${i * 4}], %r${r};`),
      "st.global.v2.f32 [%rd5+32], {%f0, %f1}; st.global.v4.f32 [%rd5+48], {%f2, %f3, %f4, %f5};",
      ...[10, 11, 12, 13].map((r, i) => `st.global.u64 [%rd5+${64 + i * 8}], %rd${r};`),
      ...[0, 1].map((f) => `st.global.f64 [%rd5+${96 + f * 8}], %fd${f};`),
      "selp.b32 %r20, 1, 0, %p1; selp.b32 %r21, 2, 0, %p2; selp.b32 %r22, 4, %r20, %p3; selp.f32 %f6, %f0, %f1, %p4;",
      "st.global.u32 [%rd5+112], %r20; st.global.u32 [%rd5+116], %r21; st.global.u32 [%rd5+120], %r22; st.global.f32 [%rd5+124], %f6;",
      // A contiguous copy behind all, read back at once.
      "add.s64 %rd6, %rd1, %rd2; st.global.u32 [%rd6+16384], %r10; ld.global.f32 %f7, [%rd6+16384]; st.global.f32 [%rd6+20480], %f7;",
    ];
    return ptxKernel(lines.join("\n"), { params: 2 });
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#draw.int(list.length)]!;
  }

  #word = () => `%r${10 + this.#draw.int(8)}`;
  #long = () => `%rd${10 + this.#draw.int(4)}`;
  #float = () => `%f${this.#draw.int(6)}`;
  #double = () => `%fd${this.#draw.int(4)}`;
  #predicate = () => `%p${1 + this.#draw.int(4)}`;
  #wordOrNumber = () => (this.#draw.int(4) === 0 ? String(this.#draw.int(64) - 16) : this.#word());

  #body(count: number, depth: number): string[] {
    const lines: string[] = [];
    for (let i = 0; i < count; i++) lines.push(...this.#statement(depth));
    return lines;
  }

  #statement(depth: number): string[] {
    const kind = this.#draw.int(20);
    if (kind === 0 && depth > 0) {
      const label = `SKIP${this.#label++}`;
      return [`@${this.#pick(["", "!"])}${this.#predicate()} bra ${label};`, ...this.#body(4, depth - 1), `${label}:`];
    }
    if (kind === 1 && depth > 0) {
      const label = `LOOP${this.#label++}`;
      const count = this.#draw.int(2) === 0 ? "3" : "%r19";
      return [
        `and.b32 %r19, ${this.#word()}, 3; mov.u32 %r18, 0;`,
        `${label}:`,
        ...this.#body(4, 0),
        `add.s32 %r18, %r18, 1; setp.lt.s32 %p5, %r18, ${count}; @%p5 bra ${label};`,
      ];
    }
    const operation = this.#operation();
    // One that takes several instructions leaves nothing undone.
    const isSingle = operation.indexOf(";") === operation.length - 1;
    return kind < 4 && isSingle ? [`@${this.#pick(["", "!"])}${this.#predicate()} ${operation}`] : [operation];
  }

  #operation(): string {
    const [word, long, float, double, predicate] = [this.#word, this.#long, this.#float, this.#double, this.#predicate];
    const n = this.#wordOrNumber;
    const ftz = this.#pick(["", "", ".ftz"]);
    const sat = this.#pick(["", "", "", ".sat"]);
    const compare = this.#pick(["eq", "ne", "lt", "le", "gt", "ge"]);
    const unordered = this.#pick(["eq", "ne", "lt", "gt", "equ", "neu", "ltu", "geu", "num", "nan"]);
    const sign = this.#pick(["s", "u"]);
    return this.#pick([
      () => `add.s32 ${word()}, ${word()}, ${n()};`,
      () => `sub.u32 ${word()}, ${word()}, ${n()};`,
      () => `mul.lo.s32 ${word()}, ${word()}, ${n()};`,
      () => `mad.lo.${sign}32 ${word()}, ${word()}, ${n()}, ${word()};`,
      () => `mul.hi.${sign}32 ${word()}, ${word()}, ${word()};`,
      () => `mul.wide.${sign}32 ${long()}, ${word()}, ${n()};`,
      () => `mad.wide.${sign}32 ${long()}, ${word()}, ${word()}, ${long()};`,
      () => `${this.#pick(["and", "or", "xor"])}.b32 ${word()}, ${word()}, ${n()};`,
      () =>
        `${this.#pick(["shl.b32", "shr.u32", "shr.s32"])} ${word()}, ${word()}, ${this.#pick(["1", "5", "31", "40", word()])};`,
      () => `${this.#pick(["min", "max"])}.${sign}32 ${word()}, ${word()}, ${n()};`,
      () => `${this.#pick(["div", "rem"])}.${sign}32 ${word()}, ${word()}, ${this.#pick(["8", "7", word()])};`,
      () => `${this.#pick(["neg", "abs"])}.s32 ${word()}, ${word()};`,
      () => `mov.u32 ${word()}, ${this.#pick(["%tid.x", "%laneid", "%ctaid.y", "%nctaid.y", "12"].slice(2))};`,
      // The bits of NaN are the machine's own.
      () => `min.f32 %f8, ${float()}, 0f7F800000; mov.b32 ${word()}, %f8;`,
      () => `popc.b32 ${word()}, ${word()};`,
      () => `not.b32 ${word()}, ${word()};`,
      () => `add.s64 ${long()}, ${long()}, ${long()};`,
      () => `sub.s64 ${long()}, ${long()}, 5;`,
      () => `mul.lo.s64 ${long()}, ${long()}, ${long()};`,
      () => `shl.b64 ${long()}, ${long()}, 3;`,
      () => `shr.${sign}64 ${long()}, ${long()}, 9;`,
      () => `cvt.u32.u64 ${word()}, ${long()};`,
      () => `cvt.${sign}64.${sign}32 ${long()}, ${word()};`,
      () => `mov.b64 ${long()}, {${word()}, ${word()}};`,
      () => `setp.${compare}.${sign}32 ${predicate()}, ${word()}, ${n()};`,
      () => `setp.${compare}.${sign}64 ${predicate()}, ${long()}, ${long()};`,
      () => `setp.${unordered}${ftz}.f32 ${predicate()}, ${float()}, ${float()};`,
      () => `setp.${compare}.and.s32 ${predicate()}|${predicate()}, ${word()}, ${n()}, ${predicate()};`,
      () => `${this.#pick(["and", "or", "xor"])}.pred ${predicate()}, ${predicate()}, ${predicate()};`,
      () => `not.pred ${predicate()}, ${predicate()};`,
      () => `selp.${this.#pick(["b32", "s32"])} ${word()}, ${word()}, ${n()}, ${predicate()};`,
      () => `selp.f32 ${float()}, ${float()}, ${float()}, ${predicate()};`,
      () => `selp.b64 ${long()}, ${long()}, ${long()}, ${predicate()};`,
      () => `${this.#pick(["add", "sub", "mul"])}.rn${ftz}${sat}.f32 ${float()}, ${float()}, ${float()};`,
      () => `fma.rn${ftz}${sat}.f32 ${float()}, ${float()}, ${float()}, ${float()};`,
      () => `add.rz.f32 ${float()}, ${float()}, ${float()};`,
      () => `${this.#pick(["div.rn", "div.approx", "div.full"])}.f32 ${float()}, ${float()}, ${float()};`,
      () => `${this.#pick(["min", "max"])}${ftz}${this.#pick(["", ".NaN"])}.f32 ${float()}, ${float()}, ${float()};`,
      () =>
        `${this.#pick(["abs", "neg", "sqrt.rn", "rcp.rn", "rsqrt.approx", "ex2.approx", "lg2.approx"])}${ftz}.f32 ${float()}, ${float()};`,
      () => `mov.f32 ${float()}, ${this.#pick([float(), "0f3FC00000"])};`,
      () => `cvt.rn.f32.${sign}32 ${float()}, ${word()};`,
      () => `cvt.${this.#pick(["rzi", "rni"])}${ftz}.${sign}32.f32 ${word()}, ${float()};`,
      () => `cvt.rn.f32.f64 ${float()}, ${double()};`,
      () => `${this.#pick(["add", "sub", "mul", "div"])}.rn.f64 ${double()}, ${double()}, ${double()};`,
      () => `fma.rn.f64 ${double()}, ${double()}, ${double()}, ${double()};`,
      () => `selp.f64 ${double()}, ${double()}, ${double()}, ${predicate()};`,
      // Loads by an index of the thread's own, by a step, and by one that is the same for all.
      () =>
        `and.b32 %r30, ${word()}, 4095; mul.wide.u32 %rd20, %r30, 4; add.s64 %rd21, %rd0, %rd20; ld.global.f32 ${float()}, [%rd21];`,
      () => `ld.global.u32 ${word()}, [%rd3+${4 * this.#draw.int(100)}];`,
      () =>
        `shl.b32 %r31, %r3, 4; cvt.s64.s32 %rd22, %r31; add.s64 %rd23, %rd0, %rd22; ld.global.v4.f32 {${[0, 1, 2, 3].map((f) => `%f${f}`).join()}}, [%rd23+${16 * this.#draw.int(10)}];`,
      () => `ld.global.u64 ${long()}, [%rd0+${8 * this.#draw.int(100)}];`,
      () => `ld.global.u8 ${word()}, [%rd3+${this.#draw.int(100)}];`,
    ])();
  }
}

/** What a kernel leaves in the output. */
async function resultOf(ptx: string, { grid, block }: { grid: number; block: number }): Promise<Uint32Array> {
  const { slice } = machine!;
  await slice.fill({ address: OUTPUT, count: OUTPUT_BYTES, width: 1, value: 0 }, undefined);
  await runPtx(machine!, ptx, { grid: [grid, 1, 1], block, args: [INPUT, OUTPUT] });
  const bytes = new Uint8Array(OUTPUT_BYTES);
  await slice.read(OUTPUT, bytes, undefined);
  const words = new Uint32Array(bytes.buffer);
  for (let thread = 0; thread < THREADS; thread++) dropNaNs(words.subarray(thread * 32));
  return words;
}

/** The bits of NaN are the machine's own: which operand's they are depends on how a compiler orders them. */
function dropNaNs(words: Uint32Array): void {
  for (const i of [8, 9, 12, 13, 14, 15, 31]) if ((words[i]! & 0x7fff_ffff) > 0x7f80_0000) words[i] = 0x7fc0_0000;
  for (const i of [24, 26])
    if (Number.isNaN(new Float64Array(words.slice(i, i + 2).buffer)[0])) words[i] = words[i + 1] = 0x7ff8_0000;
}

const SEEDS = Array.from({ length: 60 }, (_, index) => 1001 + 2 * index);

describe("threads side by side compute what threads one by one do", () => {
  test.each(SEEDS)("in the kernel drawn by seed %i", async (seed) => {
    machine ??= await openCpu();
    const draw = seeded(seed);
    await machine.slice.write(INPUT, makeInput(draw), undefined);
    const ptx = new KernelWriter(draw).write();
    const alone = await resultOf(ptx, { grid: THREADS, block: 1 });
    const together = await resultOf(ptx, { grid: 1, block: THREADS });
    for (let i = 0; i < alone.length; i++)
      if (alone[i] !== together[i])
        expect.fail(
          `word ${i % 32} of thread ${i >>> 5}: 0x${together[i]!.toString(16)} instead of 0x${alone[i]!.toString(16)}\n${ptx}`,
        );
    expect(alone.some((word) => word !== 0)).toBe(true);
  });
});

describe("a thread that strays beside others is told by its own address", () => {
  const end = ARENA_BASE + ARENA_BYTES;
  /** Each thread's address, `step` bytes from one to the next: the one of thread 13 is the first behind the arena. */
  const at = (step: number): string =>
    `mul.wide.u32 %rd1, %r0, ${step}; add.s64 %rd2, %rd0, %rd1; ld.global.u32 %r9, [%rd0-4096];`;
  test.each([
    ["a load", 4, "ld.global.u32 %r1, [%rd2];"],
    ["a store behind a load", 4, "st.global.u32 [%rd2], %r0;"],
    ["a store of what all have", 4, "st.global.u32 [%rd2], %r9;"],
    ["a load of long words", 8, "ld.global.u64 %rd3, [%rd2];"],
    ["a load at a distance", 64, "ld.global.f32 %f1, [%rd2]; st.global.f32 [%rd0-8192], %f1;"],
    ["a vector", 16, "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd2];"],
    ["a store behind one of the same memory", 4, "st.global.u8 [%rd2-4096], %r0; st.global.u32 [%rd2], %r0;"],
  ])("%s", async (_, step, access) => {
    const own = await openCpu();
    const args = [end - 13 * step];
    const { code, message } = await failure(() => runPtx(own, ptxKernel(at(step) + access), { block: 64, args }));
    expect(code, message).toBe("ILLEGAL_ADDRESS");
    expect(message).toContain(`0x${end.toString(16)}`);
    await own.slice.close();
  });

  test("in shared memory", async () => {
    const own = await openCpu();
    const body =
      ".shared .align 4 .b8 s[128]; mov.u32 %r1, s; shl.b32 %r2, %r0, 2; add.s32 %r3, %r1, %r2; st.shared.u32 [%r3+76], %r0;";
    const { code, message } = await failure(() => runPtx(own, ptxKernel(body), { block: 64 }));
    expect(code, message).toBe("ILLEGAL_ADDRESS");
    expect(message).toContain("0x80");
    await own.slice.close();
  });

  test("while none does at the arena's very end", async () => {
    machine ??= await openCpu();
    const body = `${at(4)} st.global.u32 [%rd2], %r0;`;
    await runPtx(machine, ptxKernel(body), { block: 64, args: [end - 64 * 4] });
    const bytes = new Uint8Array(64 * 4);
    await machine.slice.read(end - 64 * 4, bytes, undefined);
    expect([...new Uint32Array(bytes.buffer)]).toEqual(Array.from({ length: 64 }, (__, i) => i));
  });
});

test("a register that nothing sets is zero beside what each thread has", async () => {
  machine ??= await openCpu();
  const body = `mul.wide.u32 %rd1, %r0, 4; add.s64 %rd2, %rd0, %rd1; st.global.u32 [%rd2], %r0; ld.global.u32 %r2, [%rd2];
add.s32 %r3, %r40, %r2; st.global.u32 [%rd2], %r3;`;
  await runPtx(machine, ptxKernel(body), { block: 32, args: [OUTPUT] });
  const bytes = new Uint8Array(32 * 4);
  await machine.slice.read(OUTPUT, bytes, undefined);
  expect([...new Uint32Array(bytes.buffer)]).toEqual(Array.from({ length: 32 }, (_, i) => i));
});

describe("a word that wraps on its way to a long one", () => {
  test.each(["s", "u"])("is what each thread has, as %s32", async (sign) => {
    machine ??= await openCpu();
    const start = sign === "s" ? 0x7fff_fffd : 0xffff_fffd;
    const body = `add.s32 %r1, %r0, ${start - 2 ** 32 * (start >= 2 ** 31 ? 1 : 0)}; mul.wide.${sign}32 %rd1, %r1, 3; cvt.${sign}64.${sign}32 %rd2, %r1;
mul.wide.u32 %rd3, %r0, 16; add.s64 %rd4, %rd0, %rd3; st.global.v2.u64 [%rd4], {%rd1, %rd2};`;
    await runPtx(machine, ptxKernel(body), { block: 32, args: [OUTPUT] });
    const bytes = new Uint8Array(32 * 16);
    await machine.slice.read(OUTPUT, bytes, undefined);
    const expected = Array.from({ length: 32 }, (_, i) => {
      const word = sign === "s" ? BigInt.asIntN(32, BigInt(start + i)) : BigInt.asUintN(32, BigInt(start + i));
      return [BigInt.asUintN(64, word * 3n), BigInt.asUintN(64, word)];
    }).flat();
    expect([...new BigUint64Array(bytes.buffer)]).toEqual(expected);
  });
});
