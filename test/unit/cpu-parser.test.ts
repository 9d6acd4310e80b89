/** Loading of PTX on the cpu device: what is described, what is refused, and with which words. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { surveyBody } from "../../server/device/cpu/compile/survey.ts";
import { parsePtx } from "../../server/device/cpu/ptx/parser.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { bytesOf, type CpuMachine, failure, openCpu, ptxKernel, ptxModule, runPtx } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

const load = async (text: string) => machine.slice.loadModule(bytesOf(text));

describe("a loaded module", () => {
  test("describes parameters of every type with offsets as the ABI lays them out", async () => {
    const { kernels } = await load(
      ptxModule(`.visible .entry k(.param .u8 a, .param .f64 b, .param .s16 c, .param .align 16 .b8 d[20],
        .param .u64 .ptr .global .align 4 e, .param .b32 f) .maxntid 128, 2, 1 .minnctapersm 2 { ret; }`),
    );
    expect(kernels).toHaveLength(1);
    expect(kernels[0]!.params).toEqual([
      { offset: 0, size: 1, alignment: 1, type: 1 },
      { offset: 8, size: 8, alignment: 8, type: 3 },
      { offset: 16, size: 2, alignment: 2, type: 2 },
      { offset: 32, size: 20, alignment: 16, type: 4 },
      { offset: 56, size: 8, alignment: 8, type: 5 },
      { offset: 64, size: 4, alignment: 4, type: 1 },
    ]);
    expect(kernels[0]).toMatchObject({ name: "k", paramBytes: 68, threadsPerBlockMax: 256, ptxVersion: 80 });
  });

  test("says which virtual architecture its text is for, whatever version of PTX it is written in", async () => {
    const { kernels } = await load(".version 9.0\n.target sm_75\n.address_size 64\n.visible .entry k() { ret; }");
    expect(kernels[0]).toMatchObject({ ptxVersion: 75 });
  });

  test("counts static shared, local and constant memory", async () => {
    const { kernels } = await load(
      ptxModule(`.const .align 4 .b8 table[12];
        .entry k() { .shared .align 8 .b8 s[40]; .local .align 16 .b8 l[100]; .reg .b32 %r<2>;
        ld.shared.u32 %r0, [s]; ld.local.u32 %r1, [l]; ret; }`),
    );
    expect(kernels[0]).toMatchObject({ sharedBytes: 40, localBytes: 112, constantBytes: 12 });
  });

  test("gives all variables, nvcc's without `.visible` too, addresses outside the arena at which copies work, with their first values", async () => {
    const { globals } = await load(
      ptxModule(`.visible .global .align 4 .u32 numbers[2][3] = {{1, 2, 3}, {4}};
        .visible .const .align 8 .f64 half = 0d3FE0000000000000;
        .global .align 1 .b8 hidden[3] = {104, 105, 0};
        .visible .global .align 8 .u64 pointer[2] = {generic(hidden)+1, numbers};
        .entry k() { ret; }`),
    );
    expect(globals.map(({ name, byteCount }) => [name, byteCount])).toEqual([
      ["numbers", 24],
      ["half", 8],
      ["hidden", 3],
      ["pointer", 16],
    ]);
    const read = (index: number) => {
      const into = new Uint8Array(globals[index]!.byteCount);
      void machine.slice.read(globals[index]!.address, into, undefined);
      return into.buffer;
    };
    expect(globals[0]!.address).toBeGreaterThanOrEqual(ARENA_BASE + 1024 * 1024);
    expect([...new Uint32Array(read(0))]).toEqual([1, 2, 3, 4, 0, 0]);
    expect([...new Float64Array(read(1))]).toEqual([0.5]);
    expect(Buffer.from(read(2)).toString()).toBe("hi\0");
    const [hidden, numbers] = new BigUint64Array(read(3));
    expect(hidden).toBe(BigInt(globals[2]!.address + 1));
    expect(numbers).toBe(BigInt(globals[0]!.address));
  });

  test("starts anew with its first values each time it is loaded, and leaves room for thousands of loads", async () => {
    const text = ptxKernel(
      "mov.u64 %rd1, big; ld.global.u32 %r1, [%rd1]; add.u32 %r1, %r1, 1; st.global.u32 [%rd1], %r1; st.global.u32 [%rd0], %r1;",
      {
        before: ".global .align 4 .u32 big[1000000] = {41};",
      },
    );
    for (let round = 0; round < 40; round++) {
      await runPtx(machine, text);
      const word = new Uint32Array(1);
      void machine.slice.read(ARENA_BASE, new Uint8Array(word.buffer), undefined);
      expect(word[0]).toBe(42);
    }
  });

  test("skips debug sections, line marks, comments, pragmas and call prototypes", async () => {
    const { kernels } = await load(`//  comment
.version 7.8 /* two
lines */ .target sm_75, debug
.address_size 64
.file 1 "a \\" path.cu"
.extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);
.visible .func (.param .b32 r) f (.param .b32 x) ;
.entry k() .pragma "nounroll"; {
  .loc 1 7 3, function_name $L__info_string0, inlined_at 1 2 3
  { .reg .b32 %x; mov.u32 %x, 1; }
  $L_proto: .callprototype (.param .b32 _) _ (.param .b64 _);
  .pragma "nounroll";
  ret;
}
.func (.param .b32 r) f (.param .b32 x) { .reg .b32 %r<2>; ld.param.b32 %r1, [x]; st.param.b32 [r], %r1; ret; }
.section .debug_str { $L__info_string0: .b8 95,90 .b8 0 }`);
    expect(kernels.map(({ name }) => name)).toEqual(["k"]);
  });
});

test("words of a declaration need no space between them", async () => {
  const text =
    ".visible.global.align 8 .b8 area[24]; .visible.entry k(.param.u64 p) {.reg.b32 r<2>;.reg.pred q; ret; }";
  const { kernels, globals } = await load(ptxModule(text));
  expect([kernels[0]!.name, kernels[0]!.paramBytes, globals[0]!.byteCount]).toEqual(["k", 8, 24]);
});

describe("an image that is not PTX", () => {
  test.each([
    ["nothing at all", "", 1],
    ["no version", ".target sm_80", 1],
    ["another address size", ".version 8.0\n.target sm_80\n.address_size 32", 3],
    ["an unknown directive", ptxModule(".nonsense x;"), 4],
    ["a body without an end", ptxModule(".entry k() {\nret;"), 5],
    ["an undeclared register", ptxModule(".entry k() {\n mov.u32 %r1, 0;\n}"), 5],
    ["an undeclared label", ptxModule(".entry k() {\n\n bra NOWHERE;\n}"), 6],
    ["a register that is too narrow", ptxKernel("add.u64 %r1, %rd0, %rd0;"), 9],
    ["a register declared twice", ptxModule(".entry k() {\n.reg .b32 %a; .reg .b32 %a;\n}"), 5],
    ["a label defined twice", ptxModule(".entry k() {\nA:\nA:\n}"), 6],
    ["a malformed number", ptxModule(".global .u32 x = 099;"), 4],
    ["an initialiser that is too long", ptxModule(".global .u32 x[2] = {1, 2, 3};"), 4],
    [
      "an access outside a parameter",
      ptxModule(".entry k(.param .u32 a) {\n.reg .b64 %rd<2>;\nld.param.u64 %rd1, [a];\n}"),
      6,
    ],
    ["an unclosed string", ptxModule('.file 1 "x\n.pragma "abc'), 5],
    ["a guard that is no predicate", ptxModule(".entry k() {\n.reg .b32 %r<2>;\n@%r1 ret;\n}"), 6],
  ])("is refused with its line: %s", async (_, text, line) => {
    const { code, message } = await failure(() => load(text));
    expect(code).toBe("BAD_IMAGE");
    expect(message).toContain(`line [${line}]`);
  });

  test("is refused by kind when it is a cubin, a fatbin or not text", async () => {
    const slice = machine.slice;
    const refused = (...bytes: number[]) => failure(() => slice.loadModule(Uint8Array.from(bytes)));
    expect(await refused(0x7f, 0x45, 0x4c, 0x46)).toMatchObject({
      code: "BAD_IMAGE",
      message: expect.stringContaining("cubin"),
    });
    expect(await refused(0x50, 0xed, 0x55, 0xba)).toMatchObject({
      code: "BAD_IMAGE",
      message: expect.stringContaining("fatbin"),
    });
    expect(await refused(0xff, 0xfe, 0x80)).toMatchObject({ code: "BAD_IMAGE" });
  });

  test("may end with zero bytes, as C strings do", () => {
    expect(parsePtx(bytesOf(`${ptxModule(".entry k() { ret; }")}\0\0rest`), surveyBody).routines).toHaveLength(1);
  });
});
