/** Kernels that stray, trap or never end on the cpu device: each is an error of its slice, and nothing else is touched. */
import { describe, expect, test } from "vitest";
import { ARENA_BASE } from "../../shared/limits.ts";
import {
  ARENA_BYTES,
  bytesOf,
  type CpuMachine,
  DEVICE_BYTES,
  failure,
  openCpu,
  ptxKernel,
  ptxModule,
  readWords,
  runPtx,
} from "./cpu-machine.ts";

/** Runs on a slice of its own, since a failure poisons it. */
async function fails(ptx: string, options: Parameters<typeof runPtx>[2] & { kernelTimeoutMs?: number } = {}) {
  const { kernelTimeoutMs = 20_000, ...run } = options;
  const machine = await openCpu({ kernelTimeoutMs });
  try {
    return { ...(await failure(() => launchOnly(machine, ptx, run))), output: machine.output() };
  } finally {
    await machine.slice.close();
  }
}

/** Without unloading, which a poisoned slice still allows but which is not the point here. */
async function launchOnly(
  { slice }: CpuMachine,
  ptx: string,
  options: Parameters<typeof runPtx>[2] = {},
): Promise<void> {
  const module = await slice.loadModule(bytesOf(ptx));
  const { block = 1, sharedBytes = 0, args = [ARENA_BASE], grid = [1, 1, 1] } = options;
  await slice.launch({
    module,
    kernel: 0,
    grid,
    block: typeof block === "number" ? [block, 1, 1] : block,
    sharedBytes,
    params: new Uint8Array(BigUint64Array.from(args, (value) => BigInt.asUintN(64, BigInt(value))).buffer),
    stream: undefined,
  });
}

const end = ARENA_BASE + ARENA_BYTES;
/** Behind all that a slice can grow to, the gap and the globals: where the workers keep their own. */
const contexts = ARENA_BASE + DEVICE_BYTES + 80 * 1024 * 1024;
const memory = ".shared .align 16 .b8 s[64]; .local .align 16 .b8 l[64]; mov.u32 %r1, s; mov.u64 %rd1, l;";

describe("an illegal access ends the kernel", () => {
  test.each([
    ["shared memory behind the block's own", `${memory} ld.shared.u32 %r2, [%r1+64];`],
    [
      "shared memory far behind, where the runtime keeps its records",
      `${memory} add.u32 %r1, %r1, 200000; st.shared.u32 [%r1], %r1;`,
    ],
    ["shared memory below its start", `${memory} st.shared.u32 [%r1-4], %r1;`],
    [
      "shared memory by a 64-bit address with a high half",
      `${memory} mov.u64 %rd2, 0x100000000; st.shared.u32 [%rd2], %r1;`,
    ],
    [
      "a vector that begins inside shared memory and ends outside",
      `${memory} ld.shared.v4.u32 {%r2, %r3, %r4, %r5}, [%r1+56];`,
    ],
    [
      "a joint check whose highest access is outside",
      `${memory} ld.shared.u32 %r2, [%r1+0]; ld.shared.u32 %r3, [%r1+64];`,
    ],
    ["an atomic on shared memory outside", `${memory} atom.shared.add.u32 %r2, [%r1+64], 1;`],
    ["local memory behind the thread's own", `${memory} st.local.u32 [%rd1+64], %r1;`],
    ["local memory below its start", `${memory} ld.local.u32 %r2, [%rd1-4];`],
    ["local memory of another thread", `${memory} add.u64 %rd1, %rd1, 4096; st.local.u32 [%rd1], %r1;`],
    ["local memory with a high half", `${memory} add.u64 %rd1, %rd1, 0x700000000; st.local.u32 [%rd1], %r1;`],
    ["a misaligned word", "ld.global.u32 %r1, [%rd0+2];"],
    ["a misaligned vector", "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd0+8];"],
    ["a misaligned atomic", "atom.global.add.u32 %r1, [%rd0+1], 1;"],
    ["a misaligned word of shared memory", `${memory} ld.shared.u16 %h1, [%r1+1];`],
    ["a generic address of no window", "mov.u64 %rd1, 0x900000010; st.u32 [%rd1], 1;"],
    ["a generic address behind shared memory", `${memory} cvta.shared.u64 %rd2, %rd1; st.u32 [%rd2+64], 1;`],
    ["a generic address behind local memory", `${memory} cvta.local.u64 %rd2, %rd1; st.u32 [%rd2+64], 1;`],
    ["a generic null pointer", "mov.u64 %rd1, 0; ld.u32 %r1, [%rd1];"],
    ["a generic atomic past the arena", `mov.u64 %rd1, ${end}; atom.add.u32 %r1, [%rd1], 1;`],
    ["a vector across the arena's end", `mov.u64 %rd1, ${end - 8}; st.global.v4.u32 [%rd1], {1, 2, 3, 4};`],
    ["a compare-and-swap of 64 bits past the arena", `mov.u64 %rd1, ${end}; atom.global.cas.b64 %rd2, [%rd1], 1, 2;`],
    ["a reduction past the arena", `mov.u64 %rd1, ${end}; red.global.add.f32 [%rd1], 0f3F800000;`],
    [
      "the arena's address with a bit of the high half flipped",
      "xor.b64 %rd1, %rd0, 0x200000000; st.global.u32 [%rd1], 1;",
    ],
    ["an address just below the arena through an offset", "ld.global.u32 %r1, [%rd0-4];"],
    ["an address that wraps around 64 bits", "mov.u64 %rd1, -8; ld.global.u32 %r1, [%rd1+16];"],
    ["memory of the runtime behind the globals", `mov.u64 %rd1, ${contexts}; st.global.u32 [%rd1], 1;`],
    [
      "the room in which the arena could grow",
      `mov.u64 %rd1, ${ARENA_BASE + DEVICE_BYTES / 2}; st.global.u32 [%rd1], 1;`,
    ],
    [
      "an asynchronous copy from outside",
      `${memory} mov.u64 %rd2, ${end}; cp.async.ca.shared.global [%r1], [%rd2], 4;`,
    ],
    [
      "a call through a pointer that names no function",
      "mov.u64 %rd1, 0x400000010; { .param .b32 a; st.param.b32 [a], 1; p: .callprototype _ (.param .b32 _); call %rd1, (a), p; }",
    ],
    ["a constant outside the constants", "mov.u64 %rd1, 64; ld.const.u32 %r1, [%rd1];"],
  ])("of %s", async (_, body) => {
    const { code, message } = await fails(ptxKernel(body));
    expect(code, message).toBe("ILLEGAL_ADDRESS");
    expect(message).toContain("[k]");
    expect(message).toMatch(/line \[\d+\]/);
  });

  test("of stack memory by endless recursion", async () => {
    const text = ptxModule(`.func (.param .b32 r) f (.param .b32 n) { .reg .b32 %r<4>; .local .align 4 .b8 big[512];
      ld.param.b32 %r1, [n]; st.local.u32 [big], %r1; add.u32 %r1, %r1, 1;
      { .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call.uni (b), f, (a); ld.param.b32 %r2, [b]; }
      st.param.b32 [r], %r2; ret; }
      .visible .entry k(.param .u64 p0) { .reg .b32 %r<4>;
      { .param .b32 a; .param .b32 b; st.param.b32 [a], 1; call.uni (b), f, (a); ld.param.b32 %r2, [b]; } ret; }`);
    expect(await fails(text)).toMatchObject({ code: "ILLEGAL_ADDRESS", message: expect.stringContaining("stack") });
  });

  test("and every later call fails alike, while close still works and another slice runs on", async () => {
    const broken = await openCpu();
    const healthy = await openCpu();
    const first = await failure(() => launchOnly(broken, ptxKernel("mov.u64 %rd1, 0; st.global.u32 [%rd1], 1;")));
    const calls = [
      () => broken.slice.write(ARENA_BASE, new Uint8Array(4), undefined),
      () => broken.slice.read(ARENA_BASE, new Uint8Array(4), undefined),
      () => broken.slice.fill({ address: ARENA_BASE, count: 1, width: 4, value: 0 }, undefined),
      () => broken.slice.copy({ destination: ARENA_BASE, source: ARENA_BASE, byteCount: 4 }, undefined),
      () => broken.slice.loadModule(bytesOf(ptxKernel(""))),
      () => broken.slice.synchronize(),
    ];
    for (const call of calls) expect(await failure(call)).toEqual(first);
    await broken.slice.close();
    await runPtx(healthy, ptxKernel("st.global.u32 [%rd0], 7;"));
    expect(readWords(healthy, 1)[0]).toBe(7);
    await healthy.slice.close();
  });

  test("and says which address it was, with its high half", async () => {
    const { message } = await fails(ptxKernel("mov.u64 %rd1, 0x123456789abcdef0; ld.global.u32 %r1, [%rd1];"));
    expect(message).toContain("[0x123456789abcdef0]");
  });
});

describe("a kernel that stops itself", () => {
  test("fails with a trap, also in a function and under a guard", async () => {
    expect(await fails(ptxKernel("setp.eq.u32 %p1, %r0, 3; @%p1 trap;"), { block: 8 })).toMatchObject({
      code: "KERNEL_TRAP",
    });
    const inFunction = ptxModule(".func f() { trap; ret; }\n.visible .entry k(.param .u64 p0) { call.uni f; ret; }");
    expect(await fails(inFunction)).toMatchObject({ code: "KERNEL_TRAP" });
  });

  test("does not fail when no thread gets to the trap", async () => {
    expect(await fails(ptxKernel("setp.eq.u32 %p1, %r0, 3; @%p1 trap;"), { block: 3 })).toMatchObject({ code: "none" });
  });
});

describe("a kernel that never ends", () => {
  test.each([
    ["in a plain loop", "LOOP: bra LOOP;", 1],
    [
      "waiting for a word that nobody writes",
      "LOOP: ld.volatile.global.u32 %r1, [%rd0]; setp.eq.u32 %p1, %r1, 0; @%p1 bra LOOP;",
      64,
    ],
    ["in a loop with a barrier", "LOOP: bar.sync 0; bra LOOP;", 64],
  ])("%s is ended in time", async (_, body, block) => {
    const before = performance.now();
    expect(await fails(ptxKernel(body), { block, kernelTimeoutMs: 300 })).toMatchObject({
      code: "KERNEL_TIMEOUT",
      message: expect.stringContaining("[300]"),
    });
    expect(performance.now() - before).toBeLessThan(10_000);
  });

  test("because its threads wait at different barriers is told at once", async () => {
    const body = "setp.lt.u32 %p1, %r0, 32; @%p1 bra A; bar.sync 1; bra DONE; A: bar.sync 2; DONE:";
    expect(await fails(ptxKernel(body), { block: 64 })).toMatchObject({
      code: "KERNEL_TIMEOUT",
      message: expect.stringContaining("wait for each other"),
    });
  });
});

test("an assertion tells what its kernel has composed in memory of its own", async () => {
  const before = `.extern .func __assertfail(.param .b64 what, .param .b64 file, .param .b32 line, .param .b64 function, .param .b64 size);`;
  const body = `.local .align 4 .b8 l[16]; mov.u64 %rd1, l; cvta.local.u64 %rd1, %rd1;
add.u32 %r1, %r0, 65; st.u8 [%rd1], %r1; mov.u32 %r2, 0; st.u8 [%rd1+1], %r2;
setp.ne.u32 %p1, %r0, 2; @%p1 ret;
{ .param .b64 what; .param .b64 file; .param .b32 line; .param .b64 function; .param .b64 size;
st.param.b64 [what], %rd1; st.param.b64 [file], %rd1; st.param.b32 [line], 7; st.param.b64 [function], %rd1; st.param.b64 [size], 1;
call.uni __assertfail, (what, file, line, function, size); }`;
  const { code, output } = await fails(ptxKernel(body, { before }), { block: 4 });
  expect(code).toBe("KERNEL_TRAP");
  expect(output).toBe("C:7: C: block: [0,0,0], thread: [2,0,0] Assertion `C` failed.\n");
});
