/** How threads of a block meet on the cpu device: divergence, barriers, warp operations, waiting for one another. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CpuMachine, openCpu, ptxKernel, readWords, runPtx, writeWords } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

/** Stores %r1 at the thread's place. */
const store = "mul.wide.u32 %rd1, %r0, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1], %r1;";

async function each(body: string, block: number): Promise<number[]> {
  await runPtx(machine, ptxKernel(`${body}\n${store}`), { block });
  return [...readWords(machine, block)];
}

const threads = (count: number): number[] => Array.from({ length: count }, (_, thread) => thread);
const lanesOf = (thread: number, count: number): number[] =>
  threads(count).filter((other) => other >> 5 === thread >> 5);

describe("warp operations", () => {
  test.each([
    ["up", 3, 0],
    ["down", 5, 31],
    ["bfly", 16, 31],
    ["idx", 7, 31],
    ["idx", 5, 0x1807],
    ["down", 1, 0x180f],
  ] as const)("shfl.%s by %i with clamp and segment %i gives value and predicate", async (mode, b, c) => {
    const count = 64;
    const body = `mul.lo.u32 %r2, %r0, 10; shfl.sync.${mode}.b32 %r1|%p1, %r2, ${b}, ${c}, -1; @%p1 add.u32 %r1, %r1, 1;`;
    const expected = threads(count).map((thread) => {
      const lane = thread & 31;
      const segment = (c >> 8) & 31;
      const clamp = c & 31;
      const last = (lane & segment) | (clamp & ~segment);
      const from = { up: lane - b, down: lane + b, bfly: lane ^ b, idx: (lane & segment) | (b & ~segment & 31) }[mode];
      const inside = mode === "up" ? from >= last : from <= last;
      return ((thread & ~31) + (inside ? from : lane)) * 10 + (inside ? 1 : 0);
    });
    expect(await each(body, count)).toEqual(expected);
  });

  test("shuffles in a loop read what the others had in the same round", async () => {
    const body = `mov.u32 %r1, %r0; mov.u32 %r2, 0;
      LOOP: shfl.sync.idx.b32 %r3, %r1, %r2, 31, -1; add.u32 %r1, %r1, %r3; add.u32 %r2, %r2, 1;
      setp.lt.u32 %p1, %r2, 20; @%p1 bra LOOP;`;
    let values = threads(96);
    for (let round = 0; round < 20; round++) {
      const before = values;
      values = before.map((value, thread) => (value + before[(thread & ~31) + round]!) >>> 0);
    }
    expect(await each(body, 96)).toEqual(values);
  });

  /** Threads come to one barrier at two places, all at once; those with an even number then take their time. */
  const twoPlaces = `and.b32 %r2, %r0, 1; setp.eq.u32 %p1, %r2, 1; @%p1 bra ODD; bar.sync 0; mov.u32 %r3, 0;
    WAIT: ld.volatile.global.u32 %r4, [%rd0]; add.u32 %r3, %r3, 1; setp.lt.u32 %p2, %r3, 300; @%p2 bra WAIT; bra MEET;
    ODD: bar.sync 0; MEET:`;

  test("wait for lanes that a barrier has let go on, and that have not arrived", async () => {
    const body = `${twoPlaces} mul.lo.u32 %r1, %r0, 10; shfl.sync.bfly.b32 %r1, %r1, 1, 31, -1;`;
    expect(await each(body, 64)).toEqual(threads(64).map((thread) => (thread ^ 1) * 10));
  });

  test("and barriers too: threads that are under way are no deadlock", async () => {
    expect(await each(`${twoPlaces} bar.sync 0; mov.u32 %r1, %r0;`, 64)).toEqual(threads(64));
  });

  test("votes of a partial warp count only threads that exist", async () => {
    const body = `and.b32 %r2, %r0, 1; setp.eq.u32 %p1, %r2, 1; vote.sync.ballot.b32 %r1, %p1, -1;
      vote.sync.all.pred %p2, !%p3, -1; @%p2 add.u32 %r1, %r1, 1; vote.sync.any.pred %p4, %p1, -1; @!%p4 mov.u32 %r1, 0;`;
    const expected = threads(37).map((thread) => {
      const bits = lanesOf(thread, 37).reduce((mask, other) => (other & 1 ? mask | (1 << (other & 31)) : mask), 0);
      return (bits + 1) >>> 0;
    });
    expect(await each(`setp.ne.u32 %p3, 0, 0; ${body}`, 37)).toEqual(expected);
  });

  test("vote.uni holds where all agree", async () => {
    const body = `setp.lt.u32 %p1, %r0, 40; vote.sync.uni.pred %p2, %p1, -1; selp.u32 %r1, 1, 0, %p2;`;
    expect(await each(body, 96)).toEqual(threads(96).map((thread) => (thread >> 5 === 1 ? 0 : 1)));
  });

  test("match finds equal 32- and 64-bit values", async () => {
    const body = `rem.u32 %r2, %r0, 3; match.any.sync.b32 %r1, %r2, -1;
      cvt.u64.u32 %rd2, %r2; shl.b64 %rd2, %rd2, 40; match.any.sync.b64 %r3, %rd2, -1; sub.u32 %r3, %r3, %r1; add.u32 %r1, %r1, %r3;
      match.all.sync.b32 %r4|%p1, %r2, -1; @%p1 mov.u32 %r1, 0; add.u32 %r1, %r1, %r4;`;
    const expected = threads(50).map((thread) =>
      lanesOf(thread, 50).reduce(
        (mask, other) => (other % 3 === thread % 3 ? (mask | (1 << (other & 31))) >>> 0 : mask),
        0,
      ),
    );
    expect(await each(body, 50)).toEqual(expected);
  });

  test.each([
    ["add.u32", (values: number[]) => values.reduce((sum, value) => (sum + value) >>> 0)],
    ["max.s32", (values: number[]) => Math.max(...values.map((value) => value | 0)) >>> 0],
    ["min.u32", (values: number[]) => Math.min(...values)],
    ["xor.b32", (values: number[]) => values.reduce((all, value) => (all ^ value) >>> 0)],
  ] as const)("redux.sync.%s folds over the mask", async (name, fold) => {
    const value = (thread: number) => Math.imul(thread + 1, 0x9e3779b1) >>> 0;
    const body = `add.u32 %r2, %r0, 1; mul.lo.u32 %r2, %r2, 0x9e3779b1; redux.sync.${name} %r1, %r2, -1;`;
    expect(await each(body, 64)).toEqual(threads(64).map((thread) => fold(lanesOf(thread, 64).map(value))));
  });

  test("work within groups of a diverged warp, each with its own mask", async () => {
    const body = `and.b32 %r2, %r0, 1; setp.eq.u32 %p1, %r2, 1; @%p1 bra ODD;
      shfl.sync.down.b32 %r1, %r0, 2, 31, 0x55555555; bra JOIN;
      ODD: shfl.sync.up.b32 %r1, %r0, 2, 0, 0xaaaaaaaa;
      JOIN: bar.warp.sync -1;`;
    const expected = threads(32).map((thread) => {
      const from = thread & 1 ? thread - 2 : thread + 2;
      return from < 0 || from > 31 ? thread : from;
    });
    expect(await each(body, 32)).toEqual(expected);
  });

  test("activemask inside a branch shows only those inside", async () => {
    const body = `mov.u32 %r1, 0; setp.lt.u32 %p1, %r0, 10; @!%p1 bra DONE; activemask.b32 %r1; DONE:`;
    expect(await each(body, 32)).toEqual(threads(32).map((thread) => (thread < 10 ? 0x3ff : 0)));
  });
});

describe("barriers", () => {
  test("let no thread pass before all have arrived, round after round", async () => {
    const body = `.shared .align 4 .b8 s[1024]; mov.u32 %r2, s; mov.u32 %r1, %r0; mov.u32 %r5, 0;
      shl.b32 %r3, %r0, 2; add.u32 %r3, %r2, %r3;
      LOOP: st.shared.u32 [%r3], %r1; bar.sync 0; add.u32 %r4, %r0, 1; and.b32 %r4, %r4, 255; shl.b32 %r4, %r4, 2; add.u32 %r4, %r2, %r4;
      ld.shared.u32 %r6, [%r4]; bar.sync 0; mad.lo.u32 %r1, %r6, 3, %r1; add.u32 %r5, %r5, 1; setp.lt.u32 %p1, %r5, 7; @%p1 bra LOOP;`;
    let values = threads(256);
    for (let round = 0; round < 7; round++)
      values = values.map((value, thread) => (value + 3 * values[(thread + 1) & 255]!) >>> 0);
    expect(await each(body, 256)).toEqual(values);
  });

  test("reduce over the block, also when threads come from different places", async () => {
    const body = `rem.u32 %r2, %r0, 3; setp.eq.u32 %p1, %r2, 0; bar.red.popc.u32 %r1, 0, %p1;
      setp.lt.u32 %p2, %r0, 50; @%p2 bra LOW; bar.red.or.pred %p3, 0, %p1; bra JOIN;
      LOW: bar.red.or.pred %p3, 0, !%p1;
      JOIN: @%p3 add.u32 %r1, %r1, 1000; bar.red.and.pred %p4, 0, %p1; @%p4 add.u32 %r1, %r1, 5000;`;
    expect(await each(body, 100)).toEqual(threads(100).map(() => 1034));
  });

  test("with counts hand work from one warp to another", async () => {
    const body = `.shared .align 4 .b8 s[128]; mov.u32 %r2, s; mov.u32 %r1, 0; setp.ge.u32 %p1, %r0, 32; @%p1 bra CONSUME;
      shl.b32 %r3, %r0, 2; add.u32 %r3, %r2, %r3; mul.lo.u32 %r4, %r0, %r0; st.shared.u32 [%r3], %r4; bar.arrive 3, 64; bra DONE;
      CONSUME: bar.sync 3, 64; and.b32 %r3, %r0, 31; shl.b32 %r3, %r3, 2; add.u32 %r3, %r2, %r3; ld.shared.u32 %r1, [%r3];
      DONE:`;
    expect(await each(body, 64)).toEqual(threads(64).map((thread) => (thread < 32 ? 0 : (thread - 32) ** 2)));
  });

  test("do not wait for threads that have left", async () => {
    const body = `setp.ge.u32 %p1, %r0, 45; @%p1 exit; .shared .align 4 .b8 s[256]; mov.u32 %r2, s; shl.b32 %r3, %r0, 2; add.u32 %r3, %r2, %r3;
      st.shared.u32 [%r3], %r0; bar.sync 0; mov.u32 %r4, 44; sub.u32 %r4, %r4, %r0; shl.b32 %r4, %r4, 2; add.u32 %r4, %r2, %r4; ld.shared.u32 %r1, [%r4];`;
    writeWords(machine, new Array(64).fill(99));
    expect(await each(body, 64)).toEqual(threads(64).map((thread) => (thread < 45 ? 44 - thread : 99)));
  });

  test("work in functions that are called", async () => {
    const before = `.func (.param .b32 r) total (.param .b32 x) { .reg .b32 %r<9>; .reg .pred %p<3>; ld.param.b32 %r1, [x];
      mov.u32 %r3, 16; LOOP: shfl.sync.bfly.b32 %r2, %r1, %r3, 31, -1; add.u32 %r1, %r1, %r2; shr.u32 %r3, %r3, 1; setp.ne.u32 %p1, %r3, 0; @%p1 bra LOOP;
      bar.sync 0; st.param.b32 [r], %r1; ret; }
      .func (.param .b32 r) twice (.param .b32 x) { .reg .b32 %r<9>; ld.param.b32 %r1, [x];
      { .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call.uni (b), total, (a); ld.param.b32 %r2, [b]; }
      { .param .b32 a; .param .b32 b; st.param.b32 [a], %r2; call.uni (b), total, (a); ld.param.b32 %r2, [b]; } st.param.b32 [r], %r2; ret; }`;
    const body = `{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r0; call.uni (b), twice, (a); ld.param.b32 %r1, [b]; } ${store}`;
    await runPtx(machine, ptxKernel(body, { before }), { block: 64 });
    const sums = [496, 1520].map((sum) => sum * 32);
    expect([...readWords(machine, 64)]).toEqual(threads(64).map((thread) => sums[thread >> 5]));
  });
});

describe("lanes of a warp that give no sign but volatile accesses of shared memory", () => {
  const place = "mul.lo.u32 %r5, %r0, 4; mov.u32 %r4, room; add.u32 %r5, %r4, %r5;";
  const shared = async (body: string, block: number): Promise<number[]> => {
    await runPtx(machine, ptxKernel(`.shared .align 4 .b32 room[160];\n${place}\n${body}\n${store}`), { block });
    return [...readWords(machine, block)];
  };

  test("add up in step", async () => {
    const rounds = [16, 8, 4, 2, 1].map(
      (apart) =>
        `ld.volatile.shared.u32 %r2, [%r5+${4 * apart}]; add.u32 %r1, %r1, %r2; st.volatile.shared.u32 [%r5], %r1;`,
    );
    // Each lane adds what stands behind it, so that a lane that hurried ahead would be found out.
    const body = `mul.lo.u32 %r1, %r0, %r0; st.volatile.shared.u32 [%r5], %r1; bar.sync 0;\n${rounds.join("\n")}`;
    const sums = await shared(body, 96);
    const expected = (first: number) => threads(32).reduce((sum, lane) => sum + (first + lane) ** 2, 0);
    expect([sums[0], sums[32], sums[64]]).toEqual([expected(0), expected(32), expected(64)]);
  });

  test("turn an array round in place", async () => {
    const body = `st.volatile.shared.u32 [%r5], %r0; bar.sync 0;
      sub.u32 %r6, 31, %r0; mul.lo.u32 %r6, %r6, 4; add.u32 %r6, %r4, %r6;
      ld.volatile.shared.u32 %r2, [%r6]; st.volatile.shared.u32 [%r5], %r2; ld.volatile.shared.u32 %r1, [%r5];`;
    expect(await shared(body, 32)).toEqual(threads(32).map((lane) => 31 - lane));
  });

  test("read what one of them, whichever it is, has stored in a branch", async () => {
    const body = `setp.ne.u32 %p1, %r0, 31; @%p1 bra PAST; mov.u32 %r2, 77; st.volatile.shared.u32 [%r4], %r2;
      PAST: ld.volatile.shared.u32 %r1, [%r4];`;
    expect(await shared(body, 32)).toEqual(threads(32).map(() => 77));
  });

  test("read it each time, round after round", async () => {
    const body = `mov.u32 %r3, 0; mov.u32 %r1, 0;
      ROUND: setp.ne.u32 %p1, %r0, 31; @%p1 bra PAST; st.volatile.shared.u32 [%r4], %r3;
      PAST: ld.volatile.shared.u32 %r2, [%r4]; setp.eq.u32 %p2, %r2, %r3; @%p2 add.u32 %r1, %r1, 1;
      add.u32 %r3, %r3, 1; setp.lt.u32 %p1, %r3, 1000; @%p1 bra ROUND;`;
    expect(await shared(body, 32)).toEqual(threads(32).map(() => 1000));
  });

  test("read what is stored in a branch that is written the other way round", async () => {
    const body = `setp.eq.u32 %p1, %r0, 31; @%p1 bra ONE; bra PAST;
      ONE: mov.u32 %r2, 78; st.volatile.shared.u32 [%r4], %r2;
      PAST: ld.volatile.shared.u32 %r1, [%r4];`;
    expect(await shared(body, 32)).toEqual(threads(32).map(() => 78));
  });

  test("take turns, each waiting in a loop for the one before it", async () => {
    const body = `setp.ne.u32 %p1, %r0, 0; mov.u32 %r2, 31; @!%p1 st.volatile.shared.u32 [%r4], %r2; bar.sync 0;
      WAIT: ld.volatile.shared.u32 %r1, [%r4]; setp.ne.u32 %p1, %r1, %r0; @%p1 bra WAIT;
      sub.u32 %r2, %r0, 1; st.volatile.shared.u32 [%r4], %r2;`;
    expect(await shared(body, 32)).toEqual(threads(32));
  });
});

describe("threads that wait in a loop for another", () => {
  test.each([2, 33, 256])("of their block of %i are let go on, whatever their order", async (block) => {
    writeWords(machine, [0, 0], 0x8000);
    // Thread t waits until t threads have passed, and the last in number comes first in order.
    const body = `add.u64 %rd2, %rd0, 32768; mov.u32 %r2, ${block - 1}; sub.u32 %r2, %r2, %r0;
      WAIT: ld.volatile.global.u32 %r1, [%rd2]; setp.ne.u32 %p1, %r1, %r2; @%p1 bra WAIT;
      atom.global.add.u32 %r3, [%rd2], 1;`;
    expect(await each(body, block)).toEqual(threads(block).map((thread) => block - 1 - thread));
  });

  test("by votes of a whole warp are let go on by a warp behind them", async () => {
    writeWords(machine, [0], 0x8000);
    const body = `add.u64 %rd2, %rd0, 32768; setp.ge.u32 %p2, %r0, 32; @%p2 bra SET;
      WAIT: ld.volatile.global.u32 %r1, [%rd2]; setp.ne.u32 %p1, %r1, 0; vote.sync.all.pred %p1, %p1, -1; @!%p1 bra WAIT; bra DONE;
      SET: mov.u32 %r1, 7; st.volatile.global.u32 [%rd2], %r1;
      DONE:`;
    expect(await each(body, 64)).toEqual(threads(64).map(() => 7));
  });

  test("of another block go on once it has written", async () => {
    writeWords(machine, [0, 0, 0], 0x8000);
    // Blocks are dealt in order, so a later one may wait for an earlier one.
    const body = `mov.u32 %r2, %ctaid.x; add.u64 %rd2, %rd0, 32768;
      WAIT: ld.acquire.gpu.global.u32 %r1, [%rd2]; setp.lt.u32 %p1, %r1, %r2; @%p1 bra WAIT;
      red.release.gpu.global.add.u32 [%rd2], 1;`;
    await runPtx(machine, ptxKernel(body), { grid: [300, 1, 1] });
    expect(readWords(machine, 1, 0x8000)[0]).toBe(300);
  });
});
