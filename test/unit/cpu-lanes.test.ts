/** Kernels in which one lane of each warp stands for all, as GCC compiles OpenMP: the array `__nvptx_uni` says which warps run with all lanes. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CpuMachine, openCpu, ptxModule, readWords, runPtx, writeWords } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

/** Leaves the address of the warp's word in %u, as GCC does. Blocks are of 32 by some threads. */
const word = "mov.u32 %w, %tid.y; mul.wide.u32 %u, %w, 4; mov.u64 %u2, __nvptx_uni; add.u64 %u, %u2, %u;";
const wake = "mov.u32 %v, -1; st.shared.u32 [%u], %v;";
const rest = "mov.u32 %v, 0; st.shared.u32 [%u], %v;";
const registers =
  ".reg .pred %p<4>; .reg .b32 %r<20>; .reg .b64 %rd<20>; .reg .u32 %w; .reg .u32 %v; .reg .u64 %u; .reg .u64 %u2;";

/** A kernel that begins as GCC's do, and functions before it. %rd0 is the arena's start. */
const uniform = (body: string, functions = ""): string =>
  ptxModule(`.shared .u32 __nvptx_uni[32];
${functions}
.visible .entry k(.param .u64 p0) {
${registers}
ld.param.u64 %rd0, [p0];
${word} ${rest}
${body}
ret;
}`);

/** Counts, without an atomic, in the word at an offset. */
const count = (offset: string): string =>
  `ld.global.u32 %r9, [${offset}]; add.u32 %r9, %r9, 1; st.global.u32 [${offset}], %r9;`;

async function run(ptx: string, { warps = 1, words = 1 } = {}): Promise<number[]> {
  writeWords(machine, new Uint32Array(words));
  await runPtx(machine, ptx, { block: [32, warps, 1] });
  return [...readWords(machine, words)];
}

const numbers = (n: number, make: (index: number) => number): number[] =>
  Array.from({ length: n }, (_, index) => make(index));

describe("where one lane stands for all", () => {
  test("what a warp does to memory happens once", async () => {
    const own = "mul.wide.u32 %rd1, %w, 4; add.u64 %rd1, %rd0, %rd1;";
    expect(await run(uniform(`${own} ${count("%rd1")} bar.sync 0; ${count("%rd1")}`), { warps: 5, words: 5 })).toEqual([
      2, 2, 2, 2, 2,
    ]);
  });

  test("a barrier counts all lanes of its warp", async () => {
    // Three of four warps meet at a barrier for 96 threads, and the last one does not hold them up.
    const body = `setp.eq.u32 %p1, %w, 3; @%p1 bra DONE; ${count("%rd0")} bar.sync 1, 96; setp.ne.u32 %p2, %w, 0; @%p2 bra DONE; ld.global.u32 %r1, [%rd0]; st.global.u32 [%rd0+4], %r1; DONE: bar.sync 0;`;
    expect(await run(uniform(body), { warps: 4, words: 2 })).toEqual([3, 3]);
  });

  test("an arrival counts all lanes as well", async () => {
    const body = `setp.eq.u32 %p1, %w, 0; @%p1 bra WAIT; ${count("%rd0")} bar.arrive 2, 64; bra DONE;
WAIT: bar.sync 2, 64; ld.global.u32 %r1, [%rd0]; st.global.u32 [%rd0+4], %r1; DONE:`;
    expect(await run(uniform(body), { warps: 2, words: 2 })).toEqual([1, 1]);
  });
});

describe("while a warp's word is set", () => {
  test("all its lanes run, with the registers and the local memory of the first", async () => {
    const body = `.local .align 4 .b8 own[8]; mad.lo.u32 %r1, %w, 100, 7; st.local.u32 [own+4], %r1; mov.u32 %r2, 5;
${wake}
mov.u32 %r3, %laneid; ld.local.u32 %r4, [own+4]; add.u32 %r4, %r4, %r2; add.u32 %r4, %r4, %r3; st.local.u32 [own], %r3;
shfl.sync.bfly.b32 %r5, %r4, 1, 31, -1;
mad.lo.u32 %r6, %w, 32, %r3; mul.wide.u32 %rd1, %r6, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1+16], %r5;
${rest}
${count("%rd0")}`;
    const got = await run(uniform(body), { warps: 3, words: 100 });
    expect(got.slice(0, 4)).toEqual([3, 0, 0, 0]);
    expect(got.slice(4)).toEqual(numbers(96, (thread) => Math.floor(thread / 32) * 100 + 12 + ((thread % 32) ^ 1)));
  });

  test("lanes that go different ways all come before the others rest, again and again", async () => {
    const body = `mov.u32 %r10, 0;
AGAIN: ${wake} mov.u32 %r3, %laneid; mov.u32 %r4, 0;
LOOP: setp.ge.u32 %p1, %r4, %r3; @%p1 bra OUT; add.u32 %r4, %r4, 1; atom.global.add.u32 %r5, [%rd0], 1; bra LOOP;
OUT: ${rest} ${count("%rd0+4")} add.u32 %r10, %r10, 1; setp.lt.u32 %p2, %r10, 3; @%p2 bra AGAIN;`;
    expect(await run(uniform(body), { warps: 2, words: 2 })).toEqual([2 * 3 * 496, 6]);
  });

  test("functions called through pointers run in each lane, and in the first alone without it", async () => {
    const f = `.func f(.param .b64 at) { ${registers} ld.param.u64 %rd1, [at]; bar.warp.sync -1; atom.global.add.u32 %r1, [%rd1], 1; ret; }\n`;
    const call = (offset: number) =>
      `add.u64 %rd3, %rd0, ${offset}; { proto${offset}: .callprototype _ (.param .b64 _); .param .b64 a; st.param.b64 [a], %rd3; call %rd2, (a), proto${offset}; }`;
    const body = `mov.u64 %rd2, f; ${call(0)} ${wake} ${call(4)} ${rest} ${call(8)}`;
    expect(await run(uniform(body, f), { warps: 2, words: 3 })).toEqual([2, 64, 2]);
  });

  test("a warp at a barrier counts each of its lanes", async () => {
    const body = `setp.eq.u32 %p1, %w, 0; @%p1 bra ONE; ${wake} bar.sync 3, 64; atom.global.add.u32 %r1, [%rd0], 1; ${rest} bra DONE; ONE: bar.sync 3, 64; ${count("%rd0+4")} DONE:`;
    expect(await run(uniform(body), { warps: 2, words: 2 })).toEqual([32, 1]);
  });
});

describe("a function without calls that uses its lanes", () => {
  /** Adds the numbers of its lanes, up to `n`, to a word, as GCC does with `omp simd` and a reduction. */
  const simd = `.func simd(.param .b64 at, .param .b32 n) {
${registers}
ld.param.u64 %rd1, [at]; ld.param.u32 %r8, [n];
mov.u32 %r1, %laneid; mov.u32 %r2, 0;
LOOP: setp.ge.u32 %p1, %r1, %r8; @%p1 bra JOIN; add.u32 %r2, %r2, %r1; add.u32 %r1, %r1, 32; bra LOOP;
JOIN: mov.u32 %r3, 1;
NEXT: shfl.sync.bfly.b32 %r4, %r2, %r3, 31, -1; add.u32 %r2, %r2, %r4; add.u32 %r3, %r3, %r3; setp.lt.u32 %p1, %r3, 32; @%p1 bra NEXT;
ld.u32 %r5, [%rd1]; add.u32 %r5, %r5, %r2; st.u32 [%rd1], %r5; ld.u32 %r5, [%rd1]; add.u32 %r5, %r5, 1000000; st.u32 [%rd1], %r5;
bar.warp.sync -1;
ret;
}
`;
  const call = (offset: string) =>
    `{ .param .b64 a; .param .b32 b; add.u64 %rd3, %rd0, ${offset}; mov.u32 %r3, 100; st.param.b64 [a], %rd3; st.param.b32 [b], %r3; call simd, (a, b); }`;

  test("has them, and stores once what all of them have made", async () => {
    const body = `mul.wide.u32 %rd4, %w, 4; ${call("%rd4")} ${count("%rd0+40")} ${call("%rd4")}`;
    const got = await run(uniform(body, simd), { warps: 3, words: 11 });
    expect(got.slice(0, 3)).toEqual([2009900, 2009900, 2009900]);
    expect(got[10]).toBe(3);
  });

  test("leaves them awake for a caller that has woken them itself", async () => {
    const body = `${wake} ${call("0")} atom.global.add.u32 %r1, [%rd0+4], 1; ${rest} ${count("%rd0+8")}`;
    expect(await run(uniform(body, simd), { words: 3 })).toEqual([1004950, 32, 1]);
  });
});

describe("a kernel that does not begin so", () => {
  test("has all lanes from the start, whatever its module declares", async () => {
    const plain = ptxModule(`.shared .u32 __nvptx_uni[32];
.visible .entry k(.param .u64 p0) { ${registers} ld.param.u64 %rd0, [p0]; atom.global.add.u32 %r1, [%rd0], 1; ret; }`);
    expect(await run(plain, { warps: 2 })).toEqual([64]);
  });
});
