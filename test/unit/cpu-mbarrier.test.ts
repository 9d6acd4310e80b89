/** Barriers that are objects in shared memory: threads that arrive, wait, drop out, and copy, in one block. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CpuMachine, openCpu, ptxKernel, readWords, runPtx } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

const THREADS = 96;
const before = ".shared .align 8 .b64 bar; .shared .align 4 .b8 area[384];";
/** %r1: the barrier for all threads; %r2: the thread's word of `area`, %r3: that of the thread opposite; %rd2: its word of the arena. */
const start = `mov.u32 %r1, bar; setp.ne.u32 %p1, %r0, 0; @!%p1 mbarrier.init.shared.b64 [%r1], ${THREADS}; bar.sync 0;
  mov.u32 %r4, area; mad.lo.u32 %r2, %r0, 4, %r4; sub.u32 %r5, ${THREADS - 1}, %r0; mad.lo.u32 %r3, %r5, 4, %r4;
  mul.wide.u32 %rd1, %r0, 4; add.u64 %rd2, %rd0, %rd1;`;

const run = (body: string) => runPtx(machine, ptxKernel(start + body, { before }), { block: THREADS });

test("threads meet at it by the state of their arrival, phase after phase", async () => {
  await run(`mov.u32 %r6, 0; mov.u32 %r7, 0;
    ROUND: add.u32 %r8, %r0, %r7; st.shared.u32 [%r2], %r8; mbarrier.arrive.shared.b64 %rd3, [%r1];
    WAIT: mbarrier.test_wait.shared.b64 %p2, [%r1], %rd3; @!%p2 bra WAIT;
    ld.shared.u32 %r9, [%r3]; add.u32 %r6, %r6, %r9; mbarrier.arrive.shared.b64 %rd3, [%r1];
    LEAVE: mbarrier.try_wait.shared.b64 %p2, [%r1], %rd3, 100; @!%p2 bra LEAVE;
    add.u32 %r7, %r7, 1; setp.lt.u32 %p3, %r7, 5; @%p3 bra ROUND;
    st.global.u32 [%rd2], %r6;`);
  expect([...readWords(machine, THREADS)]).toEqual(
    Array.from({ length: THREADS }, (_, thread) => (THREADS - 1 - thread) * 5 + 10),
  );
});

test("threads wait for a phase by its parity, and one may arrive for several", async () => {
  await run(`and.b32 %r6, %r0, 1; setp.eq.u32 %p3, %r6, 1; st.shared.u32 [%r2], %r0;
    @%p3 bra SECOND; mbarrier.arrive.release.cta.shared::cta.b64 _, [%r1], 2;
    SECOND: mbarrier.test_wait.parity.shared.b64 %p2, [%r1], 0; @!%p2 bra SECOND;
    mbarrier.test_wait.parity.shared.b64 %p4, [%r1], 1; selp.u32 %r7, 1000, 0, %p4;
    ld.shared.u32 %r9, [%r3]; add.u32 %r9, %r9, %r7; st.global.u32 [%rd2], %r9;`);
  // The phase after it, of the other parity, is not over.
  expect([...readWords(machine, THREADS)]).toEqual(
    Array.from({ length: THREADS }, (_, thread) => THREADS - 1 - thread),
  );
});

test("a thread that drops out is not waited for again", async () => {
  await run(`setp.lt.u32 %p3, %r0, 32; @%p3 bra DROP;
    mbarrier.arrive.shared.b64 %rd3, [%r1]; FIRST: mbarrier.test_wait.shared.b64 %p2, [%r1], %rd3; @!%p2 bra FIRST;
    mbarrier.arrive.shared.b64 %rd3, [%r1]; AGAIN: mbarrier.test_wait.shared.b64 %p2, [%r1], %rd3; @!%p2 bra AGAIN;
    mbarrier.arrive.shared.b64 %rd3, [%r1]; mbarrier.pending_count.b64 %r6, %rd3; st.global.u32 [%rd2], %r6; ret;
    DROP: mbarrier.arrive_drop.shared.b64 %rd3, [%r1]; st.global.u32 [%rd2], 0;`);
  const words = [...readWords(machine, THREADS)];
  expect(words.slice(0, 32)).toEqual(Array.from({ length: 32 }, () => 0));
  // Each of the third phase's states counts those still missing when it arrived: 64 of them in some order.
  expect(words.slice(32).sort((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, index) => index + 1));
});

test("copies arrive at it when they are done", async () => {
  await run(`st.global.u32 [%rd2+1024], %r0; add.u64 %rd4, %rd2, 1024; cp.async.ca.shared.global [%r2], [%rd4], 4;
    cp.async.mbarrier.arrive.noinc.shared.b64 [%r1];
    WAIT: mbarrier.test_wait.parity.shared.b64 %p2, [%r1], 0; @!%p2 bra WAIT;
    ld.shared.u32 %r9, [%r3]; cp.async.mbarrier.arrive.shared.b64 [%r1]; st.global.u32 [%rd2], %r9; mbarrier.inval.shared.b64 [%r1];`);
  expect([...readWords(machine, THREADS)]).toEqual(
    Array.from({ length: THREADS }, (_, thread) => THREADS - 1 - thread),
  );
});

test("a thread that waits at it lets the others go on at once, and so asks no more than twice", async () => {
  await run(`mov.u32 %r6, 0; mov.u32 %r7, 0;
    ROUND: mbarrier.arrive.shared.b64 %rd3, [%r1];
    WAIT: add.u32 %r6, %r6, 1; mbarrier.test_wait.shared.b64 %p2, [%r1], %rd3; @!%p2 bra WAIT;
    add.u32 %r7, %r7, 1; setp.lt.u32 %p3, %r7, 5; @%p3 bra ROUND;
    st.global.u32 [%rd2], %r6;`);
  expect(Math.max(...readWords(machine, THREADS))).toBeLessThanOrEqual(10);
});
