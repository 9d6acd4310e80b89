/** Memory that functions allocate in their frames: `alloca`, `stacksave`, `stackrestore`. It is the thread's own, is given back, and ends. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CpuMachine, failure, openCpu, ptxKernel, readWords, runPtx } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

/** Words that the threads of one block store at the arena's start. */
async function run(ptx: string, { block = 1, words }: { block?: number; words?: number } = {}): Promise<number[]> {
  await runPtx(machine, ptx, { block });
  return [...readWords(machine, words ?? block)];
}

/** Fails on a slice of its own, since that poisons it. */
async function fails(ptx: string, { block = 1 } = {}) {
  const own = await openCpu();
  try {
    return await failure(() => runPtx(own, ptx, { block }));
  } finally {
    await own.slice.close();
  }
}

/** Stores %r1 for this thread. */
const store = "mul.wide.u32 %rd60, %r0, 4; add.s64 %rd60, %rd0, %rd60; st.global.u32 [%rd60], %r1;";

/** Sums the numbers 1 to `n` times `k` by way of an array of `n` words that it allocates. */
const summing = `.func (.param .b32 result) total(.param .b32 n, .param .b32 k) {
.reg .pred %p; .reg .b32 %r<9>; .reg .b64 %rd<9>;
ld.param.u32 %r1, [n]; ld.param.u32 %r2, [k];
mul.wide.u32 %rd1, %r1, 4; alloca.u64 %rd2, %rd1, 16; cvta.local.u64 %rd2, %rd2;
mov.u32 %r3, 0;
FILL: mul.wide.u32 %rd3, %r3, 4; add.s64 %rd3, %rd2, %rd3; add.u32 %r3, %r3, 1; mul.lo.u32 %r4, %r3, %r2; st.u32 [%rd3], %r4;
setp.lt.u32 %p, %r3, %r1; @%p bra FILL;
mov.u32 %r5, 0; mov.u32 %r3, 0;
ADD: mul.wide.u32 %rd3, %r3, 4; add.s64 %rd3, %rd2, %rd3; ld.u32 %r4, [%rd3]; add.u32 %r5, %r5, %r4; add.u32 %r3, %r3, 1;
setp.lt.u32 %p, %r3, %r1; @%p bra ADD;
st.param.u32 [result], %r5; ret;
}`;

const call = (name: string, n: string, k: string): string => `{
.param .b32 a; .param .b32 b; .param .b32 c;
st.param.b32 [a], ${n}; st.param.b32 [b], ${k}; call (c), ${name}, (a, b); ld.param.b32 %r1, [c]; }`;

describe("memory of a function's frame", () => {
  test("is each thread's own", async () => {
    const body = `add.u32 %r2, %r0, 3; ${call("total", "%r2", "%r0")} ${store}`;
    const sums = Array.from({ length: 96 }, (_, thread) => ((thread + 3) * (thread + 4) * thread) / 2);
    expect(await run(ptxKernel(body, { before: summing }), { block: 96 })).toEqual(sums);
  });

  test("lasts over barriers, and over calls of functions that allocate too", async () => {
    const body = `mov.u64 %rd1, 64; alloca.u64 %rd2, %rd1, 16; mul.wide.u32 %rd3, %r0, 1; st.local.u64 [%rd2], %rd3; st.local.u64 [%rd2+56], %rd3;
bar.sync 0; mov.u32 %r2, 500; mov.u32 %r3, 1; ${call("total", "%r2", "%r3")} bar.sync 0;
ld.local.u64 %rd4, [%rd2]; ld.local.u64 %rd5, [%rd2+56]; add.s64 %rd4, %rd4, %rd5; cvt.u32.u64 %r4, %rd4; add.u32 %r1, %r1, %r4; ${store}`;
    const expected = Array.from({ length: 64 }, (_, thread) => (500 * 501) / 2 + 2 * thread);
    expect(await run(ptxKernel(body, { before: summing }), { block: 64 })).toEqual(expected);
  });

  test("is given back when the function returns, however often it is called", async () => {
    const body = `mov.u32 %r5, 0; mov.u32 %r6, 0; mov.u32 %r2, 900; mov.u32 %r3, 1;
AGAIN: ${call("total", "%r2", "%r3")} add.u32 %r6, %r6, %r1; add.u32 %r5, %r5, 1; setp.lt.u32 %p1, %r5, 1000; @%p1 bra AGAIN;
mov.u32 %r1, %r6; ${store}`;
    expect(await run(ptxKernel(body, { before: summing }))).toEqual([(900 * 901 * 1000) / 2]);
  });

  test("is given back by a function that waits for others, and so is part of its caller", async () => {
    const waiting = summing.replace("mov.u32 %r5, 0;", "bar.sync 0; mov.u32 %r5, 0;");
    const body = `mov.u32 %r5, 0; mov.u32 %r6, 0; mov.u32 %r2, 900; mov.u32 %r3, 1;
AGAIN: ${call("total", "%r2", "%r3")} add.u32 %r6, %r6, %r1; add.u32 %r5, %r5, 1; setp.lt.u32 %p1, %r5, 40; @%p1 bra AGAIN;
add.u32 %r1, %r6, %r0; ${store}`;
    const each = (900 * 901 * 40) / 2;
    expect(await run(ptxKernel(body, { before: waiting }), { block: 3 })).toEqual([each, each + 1, each + 2]);
  });

  test("does not overlap with the frames of functions called later", async () => {
    const deep = `.func (.param .b32 result) sum(.param .b32 n) {
.reg .pred %p; .reg .b32 %r<9>; .reg .b64 %rd<9>; .local .align 16 .b8 own[32];
ld.param.u32 %r1, [n]; st.local.u32 [own+16], %r1; mov.u32 %r3, 0;
mov.u32 %r5, 20; alloca.u32 %r4, %r5; st.local.u32 [%r4], %r1; st.local.u32 [%r4+16], %r1;
setp.eq.u32 %p, %r1, 0; @%p bra DONE;
{ .param .b32 a; .param .b32 b; sub.u32 %r2, %r1, 1; st.param.b32 [a], %r2; call (b), sum, (a); ld.param.b32 %r3, [b]; }
ld.local.u32 %r1, [own+16]; add.u32 %r3, %r3, %r1; ld.local.u32 %r1, [%r4]; add.u32 %r3, %r3, %r1; ld.local.u32 %r1, [%r4+16]; add.u32 %r3, %r3, %r1;
DONE: st.param.b32 [result], %r3; ret;
}`;
    const body = `{ .param .b32 a; .param .b32 b; mov.u32 %r2, 40; st.param.b32 [a], %r2; call (b), sum, (a); ld.param.b32 %r1, [b]; } ${store}`;
    expect(await run(ptxKernel(body, { before: deep }), { block: 33 })).toEqual(Array(33).fill(3 * 820));
  });

  test("keeps the alignment that is asked for, and 8 otherwise", async () => {
    const at = (alignment: string, bytes: number) =>
      `mov.u64 %rd1, ${bytes}; alloca.u64 %rd2, %rd1${alignment}; or.b64 %rd9, %rd9, %rd2;`;
    const masked = (mask: number) => `and.b64 %rd9, %rd9, ${mask}; cvt.u32.u64 %r1, %rd9; st.global.u32`;
    const body = `mov.u64 %rd9, 0; ${at("", 3)} ${at("", 5)} ${masked(7)} [%rd0], %r1;
mov.u64 %rd9, 0; ${at(", 1024", 1)} ${at(", 1024", 7)} ${masked(1023)} [%rd0+4], %r1;`;
    expect(await run(ptxKernel(body), { words: 2 })).toEqual([0, 0]);
  });

  test("is given back at once by stackrestore", async () => {
    const body = `mov.u32 %r5, 0; mov.u64 %rd1, 8000;
AGAIN: stacksave.u64 %rd5; alloca.u64 %rd2, %rd1; st.local.u32 [%rd2], %r5; ld.local.u32 %r1, [%rd2]; stackrestore.u64 %rd5;
add.u32 %r5, %r5, 1; setp.lt.u32 %p1, %r5, 1000; @%p1 bra AGAIN;
${store}`;
    expect(await run(ptxKernel(body))).toEqual([999]);
  });
});

describe("more than there is room for", () => {
  const allocating = (bytes: string): string =>
    ptxKernel(`mov.u64 %rd1, ${bytes}; alloca.u64 %rd2, %rd1; st.local.u32 [%rd2], %r0;`);

  test.each([
    ["a terabyte", "0x10000000000"],
    ["all that 64 bits can say", "-1"],
    ["just below 4 GiB, which wraps round", "0xffffffe0"],
    ["a little more than the stack", "16400"],
  ])("ends the kernel: %s", async (_, bytes) => {
    const { code, message } = await fails(allocating(bytes));
    expect({ code, message }).toEqual({
      code: "ILLEGAL_ADDRESS",
      message: expect.stringMatching(/^The kernel \[k\] overflows its stack in PTX line \[9\] in block \[0,0,0\]\.$/),
    });
  });

  test("ends the kernel in a loop that gives nothing back", async () => {
    const body = "mov.u64 %rd1, 16; AGAIN: alloca.u64 %rd2, %rd1; st.local.u64 [%rd2], %rd1; bra AGAIN;";
    expect((await fails(ptxKernel(body), { block: 64 })).message).toContain("overflows its stack");
  });

  test("ends the kernel where frames of functions meet it", async () => {
    const endless = `.func f(.param .b32 n) {
.reg .b32 %r<4>; .reg .b64 %rd<4>; .local .align 16 .b8 own[16];
mov.u64 %rd1, 100; alloca.u64 %rd2, %rd1; ld.param.u32 %r1, [n]; st.local.u32 [%rd2], %r1;
{ .param .b32 a; st.param.b32 [a], %r1; call f, (a); }
ret;
}`;
    const body = "{ .param .b32 a; st.param.b32 [a], %r0; call f, (a); }";
    expect((await fails(ptxKernel(body, { before: endless }), { block: 40 })).message).toContain("overflows its stack");
  });

  test("is not had by restoring what was never saved", async () => {
    for (const address of ["0x7fffffff", "-1", "0x100000000"]) {
      const body = `mov.u64 %rd1, ${address}; stackrestore.u64 %rd1;`;
      expect((await fails(ptxKernel(body))).code).toBe("ILLEGAL_ADDRESS");
    }
    const low = "mov.u64 %rd1, 0; stackrestore.u64 %rd1; mov.u64 %rd2, 16; alloca.u64 %rd3, %rd2;";
    expect((await fails(ptxKernel(low))).message).toContain("overflows its stack");
  });
});
