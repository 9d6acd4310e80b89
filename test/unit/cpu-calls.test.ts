/** Functions in which threads wait for each other, called through pointers and by themselves. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ARENA_BASE } from "../../shared/limits.ts";
import {
  type CpuMachine,
  failure,
  openCpu,
  ptxKernel,
  ptxModule,
  readWords,
  runPtx,
  writeWords,
} from "./cpu-machine.ts";

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
async function fails(
  ptx: string,
  { block = 1, args = [ARENA_BASE] as bigint[] | number[], kernelTimeoutMs = 20_000 } = {},
) {
  const own = await openCpu({ kernelTimeoutMs });
  try {
    return await failure(() => runPtx(own, ptx, { block, args }));
  } finally {
    await own.slice.close();
  }
}

const numbers = (count: number, make: (index: number) => number): number[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** Stores %r1 for this thread. */
const store = "mul.wide.u32 %rd60, %r0, 4; add.s64 %rd60, %rd0, %rd60; st.global.u32 [%rd60], %r1;";

/** A function from one word to another. */
const word = (name: string, body: string): string => `.func (.param .b32 result) ${name}(.param .b32 value) {
.reg .pred %p<4>; .reg .b32 %r<20>; .reg .b64 %rd<9>; .reg .f32 %f<9>; .reg .f64 %fd<9>; .reg .b16 %h<9>;
ld.param.u32 %r1, [value]; mov.u32 %r0, %tid.x;
${body}
st.param.b32 [result], %r1; ret;
}
`;
const declare = (name: string): string => `.func (.param .b32 result) ${name}(.param .b32 value);\n`;

const call = (target: string, { to = "%r1", from = "%r1", rest = "" } = {}): string =>
  `{ .param .b32 a; .param .b32 b; st.param.b32 [a], ${from}; call (b), ${target}, (a)${rest}; ld.param.b32 ${to}, [b]; }`;
const prototype = "proto: .callprototype (.param .b32 _) _ (.param .b32 _);";
const through = (pointer: string): string => call(pointer, { rest: ", proto" });

/** Adds what the neighbour on the right has, through shared memory and barriers. */
const neighbour = word(
  "neighbour",
  `.shared .b32 all[1024]; shl.b32 %r2, %r0, 2; mov.u32 %r3, all; add.u32 %r3, %r3, %r2; st.shared.u32 [%r3], %r1;
bar.sync 0;
mov.u32 %r4, %ntid.x; add.u32 %r5, %r0, 1; rem.u32 %r5, %r5, %r4; shl.b32 %r5, %r5, 2; mov.u32 %r6, all; add.u32 %r6, %r6, %r5; ld.shared.u32 %r7, [%r6];
bar.sync 0;
add.u32 %r1, %r1, %r7;`,
);
const plain = word("plain", "add.u32 %r1, %r1, 1000;");

describe("a function that calls itself and waits", () => {
  test("meets the others at barriers, with what it knew before", async () => {
    // Each level adds the neighbour's number of that level, and its own level.
    const sum = word(
      "sum",
      `.shared .b32 all[256]; setp.eq.u32 %p1, %r1, 0; @%p1 bra DONE;
mov.u32 %r9, %r1; mul.lo.u32 %r10, %r1, %r0; shl.b32 %r2, %r0, 2; mov.u32 %r3, all; add.u32 %r3, %r3, %r2; st.shared.u32 [%r3], %r10;
bar.sync 0;
xor.b32 %r4, %r0, 1; shl.b32 %r4, %r4, 2; mov.u32 %r5, all; add.u32 %r5, %r5, %r4; ld.shared.u32 %r11, [%r5];
bar.sync 0;
sub.u32 %r1, %r1, 1; ${call("sum")}
bar.sync 0;
add.u32 %r1, %r1, %r11; add.u32 %r1, %r1, %r9;
DONE:`,
    );
    const body = `mov.u32 %r1, 12; ${call("sum")} ${store}`;
    const got = await run(ptxKernel(body, { before: sum }), { block: 128 });
    expect(got).toEqual(numbers(128, (thread) => 78 * (thread ^ 1) + 78));
  });

  test("keeps registers of every type while it waits", async () => {
    const keep = word(
      "keep",
      `setp.eq.u32 %p1, %r1, 0; @%p1 bra DONE;
cvt.rn.f32.u32 %f1, %r1; cvt.rn.f64.u32 %fd1, %r1; cvt.u16.u32 %h1, %r1; cvt.u64.u32 %rd1, %r1; mad.lo.u64 %rd1, %rd1, 4294967296, 7; and.b32 %r2, %r1, 1; setp.eq.u32 %p2, %r2, 1;
mov.u32 %r3, %r1; sub.u32 %r1, %r1, 1; bar.sync 0; ${call("keep")} bar.sync 0;
cvt.rzi.u32.f32 %r4, %f1; add.u32 %r1, %r1, %r4; cvt.rzi.u32.f64 %r4, %fd1; add.u32 %r1, %r1, %r4; cvt.u32.u16 %r4, %h1; add.u32 %r1, %r1, %r4;
shr.u64 %rd2, %rd1, 32; cvt.u32.u64 %r4, %rd2; add.u32 %r1, %r1, %r4; cvt.u32.u64 %r4, %rd1; add.u32 %r1, %r1, %r4; @%p2 add.u32 %r1, %r1, 100000;
DONE:`,
    );
    const expected = (levels: number): number => {
      let sum = 0;
      for (let level = 1; level <= levels; level++) sum += 4 * level + 7 + (level % 2) * 100_000;
      return sum;
    };
    const body = `mov.u32 %r1, 9; ${call("keep")} ${store}`;
    expect(await run(ptxKernel(body, { before: keep }), { block: 40 })).toEqual(numbers(40, () => expected(9)));
  });

  test("goes to different depths in the lanes of one warp", async () => {
    // Each lane counts, at each of its levels, the lanes that are there too.
    const count = word(
      "count",
      `setp.eq.u32 %p1, %r1, 0; @%p1 bra DONE;
activemask.b32 %r2; popc.b32 %r3, %r2; sub.u32 %r1, %r1, 1; ${call("count")} add.u32 %r1, %r1, %r3;
DONE:`,
    );
    const body = `and.b32 %r1, %r0, 7; ${call("count")} ${store}`;
    const got = await run(ptxKernel(body, { before: count }), { block: 32 });
    // However the scheduler groups them: at least itself, at most the warp, and as many levels as there are.
    for (const [lane, sum] of got.entries()) {
      expect(sum).toBeGreaterThanOrEqual(lane & 7);
      expect(sum).toBeLessThanOrEqual(32 * (lane & 7));
    }
  });

  test("exchanges values with its warp at every level, mutually", async () => {
    const ping =
      declare("pong") +
      word(
        "ping",
        `setp.eq.u32 %p1, %r1, 0; @%p1 bra DONE; shfl.sync.bfly.b32 %r2, %r0, 1, 31, -1; mov.u32 %r5, %r1; sub.u32 %r1, %r1, 1; ${call("pong")} mad.lo.u32 %r1, %r2, %r5, %r1;
DONE:`,
      ) +
      word(
        "pong",
        `setp.eq.u32 %p1, %r1, 0; @%p1 bra DONE; shfl.sync.bfly.b32 %r2, %r0, 16, 31, -1; mov.u32 %r5, %r1; sub.u32 %r1, %r1, 1; ${call("ping")} mad.lo.u32 %r1, %r2, %r5, %r1;
DONE:`,
      );
    const body = `mov.u32 %r1, 6; ${call("ping")} ${store}`;
    const got = await run(ptxKernel(body, { before: ping }), { block: 64 });
    const swapped = (thread: number, bit: number) => thread ^ bit;
    expect(got).toEqual(numbers(64, (thread) => (6 + 4 + 2) * swapped(thread, 1) + (5 + 3 + 1) * swapped(thread, 16)));
  });

  test("gives back what it allocates", async () => {
    const allocating = word(
      "f",
      `setp.eq.u32 %p1, %r1, 0; @%p1 bra DONE; mov.u64 %rd1, 1024; alloca.u64 %rd2, %rd1; st.local.u32 [%rd2], %r1; sub.u32 %r1, %r1, 1; bar.sync 0; ${call("f")} ld.local.u32 %r2, [%rd2]; add.u32 %r1, %r1, %r2;
DONE:`,
    );
    const body = `mov.u32 %r6, 0; mov.u32 %r7, 0;
AGAIN: mov.u32 %r1, 6; ${call("f")} add.u32 %r6, %r6, %r1; add.u32 %r7, %r7, 1; setp.lt.u32 %p1, %r7, 50; @%p1 bra AGAIN; mov.u32 %r1, %r6; ${store}`;
    expect(await run(ptxKernel(body, { before: allocating }), { block: 33 })).toEqual(numbers(33, () => 21 * 50));
  });

  test("takes structures and gives them", async () => {
    const turn = `.func (.param .align 8 .b8 result[24]) turn(.param .align 8 .b8 value[24], .param .b32 levels) {
.reg .pred %p; .reg .b32 %r<9>; .reg .b64 %rd<9>;
ld.param.u32 %r1, [levels]; ld.param.u64 %rd1, [value]; ld.param.u64 %rd2, [value+8]; ld.param.u64 %rd3, [value+16];
setp.eq.u32 %p, %r1, 0; @%p bra DONE; bar.sync 0;
{ .param .align 8 .b8 a[24]; .param .b32 b; .param .align 8 .b8 c[24]; st.param.u64 [a], %rd2; st.param.u64 [a+8], %rd3; st.param.u64 [a+16], %rd1; sub.u32 %r1, %r1, 1; st.param.u32 [b], %r1;
call (c), turn, (a, b); ld.param.u64 %rd1, [c]; ld.param.u64 %rd2, [c+8]; ld.param.u64 %rd3, [c+16]; }
add.u64 %rd1, %rd1, 1;
DONE: st.param.u64 [result], %rd1; st.param.u64 [result+8], %rd2; st.param.u64 [result+16], %rd3; ret;
}`;
    const body =
      `{ .param .align 8 .b8 a[24]; .param .b32 b; .param .align 8 .b8 c[24]; mov.u64 %rd1, 10; mov.u64 %rd2, 20; mov.u64 %rd3, 30; mov.u32 %r1, 4;
st.param.u64 [a], %rd1; st.param.u64 [a+8], %rd2; st.param.u64 [a+16], %rd3; st.param.u32 [b], %r1; call (c), turn, (a, b); ld.param.u64 %rd1, [c]; ld.param.u64 %rd2, [c+8]; ld.param.u64 %rd3, [c+16]; }
st.global.u32 [%rd0], %rd1; st.global.u32 [%rd0+4], %rd2; st.global.u32 [%rd0+8], %rd3;`.replaceAll(
        /st\.global\.u32 (\[.*?\]), %rd(\d)/g,
        "cvt.u32.u64 %r$2, %rd$2; st.global.u32 $1, %r$2",
      );
    expect(await run(ptxKernel(body, { before: turn }), { words: 3 })).toEqual([24, 30, 10]);
  });
});

describe("a pointer to a function that waits", () => {
  test("calls it, or one that does not wait, as the pointer says", async () => {
    for (const [name, expected] of [
      ["neighbour", numbers(96, (thread) => thread + ((thread + 1) % 96))],
      ["plain", numbers(96, (thread) => thread + 1000)],
    ] as const) {
      const body = `${prototype} mov.u32 %r1, %r0; mov.u64 %rd1, ${name}; mov.u64 %rd2, plain; mov.u64 %rd3, neighbour; ${through("%rd1")} ${store}`;
      expect(await run(ptxKernel(body, { before: neighbour + plain }), { block: 96 })).toEqual(expected);
    }
  });

  test("may be another in each warp, where each waits for its own", async () => {
    const both =
      word("swap", "shfl.sync.bfly.b32 %r1, %r1, 1, 31, -1;") +
      word("vote", "setp.gt.u32 %p1, %r1, 40; vote.sync.ballot.b32 %r1, %p1, -1;");
    const body = `${prototype} mov.u32 %r1, %r0; mov.u64 %rd1, swap; mov.u64 %rd2, vote; setp.lt.u32 %p1, %r0, 32; selp.b64 %rd3, %rd1, %rd2, %p1; ${through("%rd3")} ${store}`;
    const expected = numbers(64, (thread) => (thread < 32 ? thread ^ 1 : (-1 << 9) >>> 0));
    expect(await run(ptxKernel(body, { before: both }), { block: 64 })).toEqual(expected);
  });

  test("may be another in each lane, and lanes meet again behind the call", async () => {
    const both =
      word("first", "activemask.b32 %r2; add.u32 %r1, %r1, 1;") +
      word("second", "activemask.b32 %r2; add.u32 %r1, %r1, 2;");
    const body = `${prototype} mov.u32 %r1, %r0; mov.u64 %rd1, first; mov.u64 %rd2, second; mov.u64 %rd4, plain; and.b32 %r2, %r0, 3; setp.eq.u32 %p1, %r2, 0; selp.b64 %rd3, %rd1, %rd2, %p1; setp.eq.u32 %p2, %r2, 1; selp.b64 %rd3, %rd4, %rd3, %p2;
${through("%rd3")} bar.sync 0; shfl.sync.idx.b32 %r1, %r1, 1, 31, -1; add.u32 %r1, %r1, %r0; ${store}`;
    expect(await run(ptxKernel(body, { before: both + plain }), { block: 64 })).toEqual(
      numbers(64, (thread) => thread + (thread < 32 ? 1001 : 1033)),
    );
  });

  test("is called by what it calls, through tables in memory", async () => {
    const chain = `${declare("even")}${declare("odd")}.global .u64 table[2] = {even, odd};
${word(
  "even",
  `${prototype} setp.eq.u32 %p1, %r1, 0; @%p1 bra DONE; sub.u32 %r1, %r1, 1; bar.sync 0; ld.global.u64 %rd1, [table+8]; ${through("%rd1")} add.u32 %r1, %r1, 1;
DONE:`,
)}${word(
  "odd",
  `${prototype} setp.eq.u32 %p1, %r1, 0; @%p1 bra DONE; sub.u32 %r1, %r1, 1; bar.sync 0; ld.global.u64 %rd1, [table]; ${through("%rd1")} add.u32 %r1, %r1, 100;
DONE:`,
)}`;
    const body = `${prototype} mov.u32 %r1, 7; ld.global.u64 %rd1, [table]; ${through("%rd1")} ${store}`;
    expect(await run(ptxKernel(body, { before: chain }), { block: 70 })).toEqual(numbers(70, () => 4 + 300));
  });

  test("calls a function that ends the thread, which others do not wait for", async () => {
    const leaving = word("leave", "setp.gt.u32 %p1, %r1, 3; @%p1 exit; bar.sync 0; add.u32 %r1, %r1, 5;");
    writeWords(machine, new Uint32Array(64));
    const body = `${prototype} mov.u32 %r1, %r0; mov.u64 %rd1, leave; ${through("%rd1")} ${store}`;
    expect(await run(ptxKernel(body, { before: leaving }), { block: 64 })).toEqual(
      numbers(64, (thread) => (thread > 3 ? 0 : thread + 5)),
    );
  });

  test("calls a function that waits for another warp without a barrier", async () => {
    const waiting = `.shared .b32 flag;
${word("wait", "WAIT: ld.volatile.shared.u32 %r2, [flag]; setp.eq.u32 %p1, %r2, 0; @%p1 bra WAIT; add.u32 %r1, %r1, %r2;")}
${word("tell", "mov.u32 %r2, 50; st.volatile.shared.u32 [flag], %r2; bar.warp.sync -1;")}`;
    const body = `${prototype} mov.u32 %r2, 0; st.shared.u32 [flag], %r2; bar.sync 0; mov.u32 %r1, %r0; mov.u64 %rd1, wait; mov.u64 %rd2, tell; setp.lt.u32 %p1, %r0, 32; selp.b64 %rd3, %rd1, %rd2, %p1; ${through("%rd3")} ${store}`;
    expect(await run(ptxKernel(body, { before: waiting }), { block: 64 })).toEqual(
      numbers(64, (thread) => thread + (thread < 32 ? 50 : 0)),
    );
  });

  test("runs in each of many blocks", async () => {
    const body = `${prototype} mov.u32 %r1, %r0; mov.u64 %rd1, neighbour; ${through("%rd1")} mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mad.lo.u32 %r0, %r2, %r3, %r0; add.u32 %r1, %r1, %r2; ${store}`;
    await runPtx(machine, ptxKernel(body, { before: neighbour }), { grid: [40, 1, 1], block: 48 });
    const expected = numbers(40 * 48, (index) => (index % 48) + ((index + 1) % 48) + Math.floor(index / 48));
    expect([...readWords(machine, 40 * 48)]).toEqual(expected);
  });
});

describe("a call that goes wrong ends the kernel", () => {
  const endless = word("f", `add.u32 %r1, %r1, 1; bar.warp.sync -1; ${call("f")} add.u32 %r1, %r1, 1;`);

  test("recursion without an end, of one thread and of a thousand", async () => {
    for (const block of [1, 64, 1000]) {
      const body = `mov.u32 %r1, 0; ${call("f")} ${store}`;
      const { code, message } = await fails(ptxKernel(body, { before: endless }), { block });
      expect(code).toBe("ILLEGAL_ADDRESS");
      expect(message).toMatch(/^The kernel \[k\] overflows its stack in PTX line \[\d+\] in block \[0,0,0\]\.$/);
    }
  });

  test("recursion without an end in frames that take all local memory", async () => {
    const large = endless.replace("add.u32", ".local .align 8 .b8 own[4000]; st.local.u32 [own+3996], %r1; add.u32");
    expect((await fails(ptxKernel(`${call("f")}`, { before: large }), { block: 33 })).message).toContain(
      "overflows its stack",
    );
  });

  test.each([
    ["a number", "mov.u64 %rd1, 12345;"],
    ["null", "mov.u64 %rd1, 0;"],
    ["memory", "mov.u64 %rd1, %rd0;"],
    ["behind a function", "add.u64 %rd1, %rd1, 1;"],
    ["a function of another type", "mov.u64 %rd1, other;"],
    ["a function with a wider result", "mov.u64 %rd1, wide;"],
  ])("a pointer that is no such function: %s", async (_, pointer) => {
    const others = `.func other(.param .b64 a, .param .b64 b) { bar.sync 0; ret; }
.func (.param .align 8 .b8 r[48]) wide(.param .b32 a) { bar.sync 0; ret; }`;
    const body = `${prototype} mov.u64 %rd1, neighbour; ${pointer} ${through("%rd1")}`;
    const { code, message } = await fails(ptxKernel(body, { before: neighbour + others }), { block: 32 });
    expect(code).toBe("ILLEGAL_ADDRESS");
    expect(message).toMatch(/^The kernel \[k\] accesses \[0x[0-9a-f]+\] in PTX line/);
  });

  test("a barrier for more threads than ever come", async () => {
    const lonely = word("lonely", "bar.sync 1, 64; add.u32 %r1, %r1, 5;");
    const body = `${prototype} mov.u32 %r1, %r0; mov.u64 %rd1, lonely; mov.u64 %rd2, plain; setp.lt.u32 %p1, %r0, 32; selp.b64 %rd3, %rd1, %rd2, %p1; ${through("%rd3")} bar.sync 0; ${store}`;
    const { message } = await fails(ptxKernel(body, { before: lonely + plain }), { block: 64 });
    expect(message).toContain("wait for each other");
  });

  test("a barrier that half of the block comes to while the other half ends is passed", async () => {
    const body = `${prototype} mov.u32 %r1, %r0; setp.ge.u32 %p1, %r0, 32; @%p1 exit; mov.u64 %rd1, half; ${through("%rd1")} ${store}`;
    const half = word("half", "bar.sync 0; add.u32 %r1, %r1, 9;");
    expect((await run(ptxKernel(body, { before: half }), { block: 64 })).slice(0, 32)).toEqual(
      numbers(32, (thread) => thread + 9),
    );
  });

  test("local memory that is overwritten sends no thread anywhere else", async () => {
    // All that a thread can reach of its local memory is filled with ones, with calls open.
    const wild = word(
      "wild",
      `.local .align 8 .b8 own[8]; setp.eq.u32 %p1, %r1, 0; @%p1 bra FILL; sub.u32 %r1, %r1, 1; ${call("wild")} bar.warp.sync -1; bra DONE;
FILL: mov.u32 %r2, 0; mov.u32 %r3, -1; bar.warp.sync -1;
NEXT: st.local.u32 [%r2], %r3; add.u32 %r2, %r2, 4; setp.lt.u32 %p2, %r2, 16000; @%p2 bra NEXT;
DONE: mov.u32 %r1, 7;`,
    );
    const body = `mov.u32 %r1, 5; ${call("wild")} ${store}`;
    const own = await openCpu();
    try {
      await runPtx(own, ptxKernel(body, { before: wild }), { block: 32 });
      expect([...readWords(own, 32)]).toEqual(numbers(32, () => 7));
    } finally {
      await own.slice.close();
    }
  });

  test("a launch that is killed in the middle of calls", async () => {
    const never = word(
      "f",
      `bar.warp.sync -1; WAIT: ld.volatile.global.u32 %r2, [flag]; setp.eq.u32 %p1, %r2, 0; @%p1 bra WAIT; ${call("f")}`,
    );
    const text = ptxKernel(call("f"), { before: `.global .b32 flag;\n${never}` });
    expect((await fails(text, { block: 64, kernelTimeoutMs: 300 })).code).toBe("KERNEL_TIMEOUT");
  });
});

describe("kernels of one module", () => {
  test("copy functions into themselves or call them, each as it needs", async () => {
    const entry = (
      name: string,
      body: string,
    ) => `.visible .entry ${name}(.param .u64 p0) { .reg .pred %p<4>; .reg .b32 %r<20>; .reg .b64 %rd<64>;
ld.param.u64 %rd0, [p0]; mov.u32 %r0, %tid.x; mov.u32 %r1, %r0; ${body} ${store} ret; }\n`;
    const text =
      neighbour +
      plain +
      entry("copied", call("neighbour")) +
      entry("called", `${prototype} mov.u64 %rd1, neighbour; ${through("%rd1")}`) +
      entry("none", call("plain"));
    const module = await machine.slice.loadModule(new TextEncoder().encode(ptxModule(text)));
    expect(module.kernels.map(({ refusalCode }) => refusalCode)).toEqual([0, 0, 0]);
    const [copied, called, none] = module.kernels.map(({ localBytes }) => localBytes);
    expect(called).toBeGreaterThan(copied!);
    expect(none).toBeLessThan(called!);
    const params = new Uint8Array(BigUint64Array.of(BigInt(ARENA_BASE)).buffer);
    for (const kernel of [0, 1]) {
      await machine.slice.launch({
        module,
        kernel,
        grid: [1, 1, 1],
        block: [50, 1, 1],
        sharedBytes: 0,
        params,
        stream: undefined,
      });
      expect([...readWords(machine, 50)]).toEqual(numbers(50, (thread) => thread + ((thread + 1) % 50)));
    }
    await machine.slice.unloadModule(module);
  });
});
