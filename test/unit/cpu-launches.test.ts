/** Kernels that launch kernels on the cpu device: order, bounds, and what a kernel spoils of its launches. */
import { afterEach, describe, expect, test } from "vitest";
import { ARENA_BASE } from "../../shared/limits.ts";
import { type CpuMachine, failure, openCpu, ptxModule, readWords, runPtx } from "./cpu-machine.ts";

const KiB = 1024;
const HEAP = ARENA_BASE + 64 * KiB;

const dim = (name: string) => `.param .align 4 .b8 ${name}[12]`;

/** The functions as the compiler of CUDA 13 declares and calls them, and those that CUDA's guide names. */
const externs = `
.extern .func (.param .b64 r) __cudaCDP2GetParameterBufferV2(.param .b64 f, ${dim("g")}, ${dim("b")}, .param .b32 s);
.extern .func (.param .b32 r) __cudaCDP2LaunchDeviceV2(.param .b64 p, .param .b64 s);
.extern .func (.param .b64 r) cudaGetParameterBuffer(.param .b64 a, .param .b64 n);
.extern .func (.param .b32 r) cudaLaunchDevice(.param .b64 f, .param .b64 p, ${dim("g")}, ${dim("b")}, .param .b32 s, .param .b64 t);
.visible .global .align 4 .b32 count;
.visible .entry note(.param .u64 p0, .param .u64 p1);
.visible .entry inner(.param .u64 p0, .param .u64 p1);
.visible .entry again(.param .u64 p0, .param .u64 p1);`;

const registers =
  ".reg .pred %p<8>; .reg .b32 %r<32>; .reg .b64 %rd<32>; ld.param.u64 %rd0, [p0]; mov.u32 %r0, %tid.x;";

interface Child {
  readonly kernel?: string;
  readonly grid?: number;
  readonly block?: number;
  readonly stream?: number;
  /** A register, or a number. */
  readonly value?: string;
  /** Between the question for the buffer and the launch; the buffer is %rd10. */
  readonly meanwhile?: string;
}

const triple = (name: string, x: number | string) =>
  `${dim(name)}; st.param.b32 [${name}], ${x}; st.param.b32 [${name}+4], 1; st.param.b32 [${name}+8], 1;`;

/** Launches a kernel of (p0, value). */
const launch = ({ kernel = "note", grid = 1, block = 1, stream = 0, value = "0", meanwhile = "" }: Child = {}) => `{
mov.u64 %rd9, ${kernel};
{ .param .b64 f; st.param.b64 [f], %rd9; ${triple("g", grid)} ${triple("b", block)} .param .b32 s; st.param.b32 [s], 0; .param .b64 r;
call.uni (r), __cudaCDP2GetParameterBufferV2, (f, g, b, s); ld.param.b64 %rd10, [r]; }
setp.eq.s64 %p7, %rd10, 0;
@%p7 bra NONE;
st.u64 [%rd10], %rd0; mov.u64 %rd11, ${value}; st.u64 [%rd10+8], %rd11;
${meanwhile}
{ .param .b64 p; st.param.b64 [p], %rd10; .param .b64 s; st.param.b64 [s], ${stream}; .param .b32 r;
call.uni (r), __cudaCDP2LaunchDeviceV2, (p, s); ld.param.b32 %r30, [r]; }
NONE: }`;

const note = `
.visible .entry note(.param .u64 p0, .param .u64 p1) { ${registers} .reg .b64 %v;
atom.global.add.u32 %r1, [count], 1;
mul.wide.u32 %rd1, %r1, 4; add.s64 %rd0, %rd0, %rd1;
ld.param.u64 %v, [p1]; cvt.u32.u64 %r2, %v; st.global.u32 [%rd0], %r2; ret; }`;

/** A program whose first kernel has that body. */
const program = (body: string, more = "") =>
  ptxModule(`${externs}\n.visible .entry k(.param .u64 p0) { ${registers}\n${body}\nret; }\n${note}\n${more}`);

describe("a kernel that launches kernels", () => {
  let machine: CpuMachine | undefined;
  afterEach(() => machine?.slice.close());
  const open = async (heapBytes = 64 * KiB, options = {}) => {
    machine = await openCpu(options);
    machine.slice.setHeap!(HEAP, heapBytes);
    return machine;
  };
  const values = (count: number) => [...readWords(machine!, count)];

  test("has them run in its order, when it has ended itself", async () => {
    await runPtx(
      await open(),
      program(`${[7, 8, 9].map((value) => launch({ value: `${value}` })).join("\n")}
st.global.u32 [%rd0+12], 1;`),
    );
    expect(values(4)).toEqual([7, 8, 9, 1]);
  });

  test("has each with all that it launches run before the next, and what is for the end behind all others", async () => {
    const inner = `.visible .entry inner(.param .u64 p0, .param .u64 p1) { ${registers}
${launch({ value: "3" })} ${launch({ value: "4", stream: 3 })} ${launch({ value: "5" })} ret; }`;
    const body = [{ value: "9", stream: 3 }, { value: "1" }, { kernel: "inner" }, { value: "2" }]
      .map(launch)
      .join("\n");
    await runPtx(await open(), program(body, inner));
    expect(values(6)).toEqual([1, 3, 5, 4, 2, 9]);
  });

  test("gets nothing for an empty grid, and goes on", async () => {
    await runPtx(
      await open(),
      program(`${launch({ grid: 0, value: "6" })} ${launch({ block: 0 })} ${launch({ value: "7" })}`),
    );
    expect(values(2)).toEqual([7, 0]);
  });

  test("may use the functions of the guide too", async () => {
    const body = `mov.u64 %rd9, note;
{ .param .b64 a; st.param.b64 [a], 8; .param .b64 n; st.param.b64 [n], 16; .param .b64 r;
call.uni (r), cudaGetParameterBuffer, (a, n); ld.param.b64 %rd10, [r]; }
st.u64 [%rd10], %rd0; mov.u64 %rd11, 21; st.u64 [%rd10+8], %rd11;
{ .param .b64 f; st.param.b64 [f], %rd9; .param .b64 p; st.param.b64 [p], %rd10; ${triple("g", 3)} ${triple("b", 2)}
.param .b32 s; st.param.b32 [s], 0; .param .b64 t; st.param.b64 [t], 0; .param .b32 r;
call.uni (r), cudaLaunchDevice, (f, p, g, b, s, t); ld.param.b32 %r1, [r]; }
st.global.u32 [%rd0+28], %r1;`;
    await runPtx(await open(), program(body));
    expect(values(8)).toEqual([21, 21, 21, 21, 21, 21, 0, 0]);
  });

  test("gives the heap back what its launches took, however many there are", async () => {
    const ptx = program(launch({ value: "5" }));
    await open(8 * KiB);
    for (let round = 0; round < 100; round++) await runPtx(machine!, ptx);
    expect(values(1)).toEqual([5]);
  });

  test("says what to raise when the heap has no room for more", async () => {
    await open(16 * KiB);
    const many = `mov.u32 %r5, 1000;\nAGAIN: ${launch()}\nsub.u32 %r5, %r5, 1; setp.ne.u32 %p1, %r5, 0; @%p1 bra AGAIN;`;
    expect(await failure(() => runPtx(machine!, program(many)))).toMatchObject({ code: "KERNEL_TRAP" });
    expect(machine!.output()).toContain("cudaLimitMallocHeapSize");
  });

  test("that never ends launching is ended at the time-out", async () => {
    const again = `.visible .entry again(.param .u64 p0, .param .u64 p1) { ${registers} ${launch({ kernel: "again", stream: 3 })} ret; }`;
    await open(64 * KiB, { kernelTimeoutMs: 300 });
    const { code } = await failure(() => runPtx(machine!, program(launch({ kernel: "again" }), again)));
    expect(code).toBe("KERNEL_TIMEOUT");
  });

  test("is refused a block that no device has, by the name of the kernel", async () => {
    await open();
    const { code, message } = await failure(() => runPtx(machine!, program(launch({ block: 2048 }))));
    expect(code).toBe("BAD_LAUNCH");
    expect(message).toContain("[note]");
  });

  test.each([
    ["the address of the kernel", "mov.u64 %rd12, 64; st.u64 [%rd10-56], %rd12;", "BAD_LAUNCH"],
    ["the next launch by an address outside", "mov.u64 %rd12, -16; st.u64 [LIST], %rd12;", "ILLEGAL_ADDRESS"],
    ["the next launch by one in the arena, not in the heap", "st.u64 [LIST], %rd0;", "ILLEGAL_ADDRESS"],
    ["the next launch by itself", "sub.s64 %rd12, %rd10, 64; st.u64 [LIST], %rd12;", "ILLEGAL_ADDRESS"],
    [
      "what the heap knows of the record",
      "mov.u64 %rd12, 0; st.u64 [%rd10-72], %rd12; st.u64 [%rd10-80], %rd12;",
      "ILLEGAL_ADDRESS",
    ],
  ])("that overwrites %s fails, and nothing outside is touched", async (_, spoil, expected) => {
    await open();
    const own = spoil.replace("LIST", "__sluice_launches");
    const declared = spoil.includes("LIST") ? ".extern .global .align 8 .b64 __sluice_launches;\n" : "";
    const ptx = program(launch({ meanwhile: own })).replace(externs, declared + externs);
    const { code } = await failure(() => runPtx(machine!, ptx));
    expect(code).toBe(expected);
  });
});
