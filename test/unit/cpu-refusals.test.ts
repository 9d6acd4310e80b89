/** Kernels that the cpu device cannot run: each refuses itself alone, by name and line, whenever it is launched. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DeviceModule } from "../../server/device/device.ts";
import { ARENA_BASE, PARAM_BYTES_MAX } from "../../shared/limits.ts";
import {
  ARENA_BYTES,
  bytesOf,
  type CpuMachine,
  failure,
  openCpu,
  ptxKernel,
  ptxModule,
  readWords,
  writeWords,
} from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

const load = async (text: string) => machine.slice.loadModule(bytesOf(text));

/** Launches a kernel by name with the arena's first address. */
async function launch(module: DeviceModule, name: string): Promise<void> {
  const kernel = module.kernels.findIndex((each) => each.name === name);
  const params = new Uint8Array(module.kernels[kernel]!.paramBytes);
  if (params.length === 8) new DataView(params.buffer).setBigUint64(0, BigInt(ARENA_BASE), true);
  const shape = { grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0, stream: undefined } as const;
  await machine.slice.launch({ module, kernel, params, ...shape });
}

/** A kernel that stores `value` at the address that it is given, with `body` before that. */
const storing = (name: string, value: number, body = ""): string => `.visible .entry ${name}(.param .u64 p) {
.reg .b64 %rd<9>; .reg .b32 %r<9>; .reg .pred %p<2>;
${body}
ld.param.u64 %rd1, [p]; mov.u32 %r1, ${value}; st.global.u32 [%rd1], %r1; ret;
}
`;

const stored = async (module: DeviceModule, name: string): Promise<number> => {
  writeWords(machine, [0]);
  await launch(module, name);
  return readWords(machine, 1)[0]!;
};

describe("an instruction that this device does not have", () => {
  test.each([
    ["wgmma.fence.sync.aligned", "wgmma.fence.sync.aligned;"],
    ["add.rn.f32x2", "add.rn.f32x2 %rd1, %rd1, %rd1;"],
    ["madeup.u32", "madeup.u32 %r1, %r2;"],
    ["add.wrap.u32", "add.wrap.u32 %r1, %r1, %r1;"],
    ["shfl.sync.wild.b32", "shfl.sync.wild.b32 %r1, %r1, 1, 31, -1;"],
    ["setmaxnreg.inc.sync.aligned.u32", "setmaxnreg.inc.sync.aligned.u32 64;"],
    ["constructor", "constructor %r1;"],
  ])("refuses its kernel by name and line: %s", async (name, instruction) => {
    const module = await load(ptxKernel(`\n${instruction}`));
    const { code, message } = await failure(() => launch(module, "k"));
    expect(code).toBe("UNSUPPORTED_INSTRUCTION");
    expect(message).toContain(`[${name}]`);
    expect(message).toContain("line [10]");
    expect(module.kernels[0]).toMatchObject({ name: "k", refusalCode: 52, refusal: message, threadsPerBlockMax: 0 });
  });
});

describe("a module with kernels that this device cannot run", () => {
  const bad = "madeup.u32 %r1, %r1;";
  const mixed = ptxModule(storing("first", 11) + storing("second", 12, bad) + storing("third", 13));

  test("runs the others, before and after a refused launch", async () => {
    const module = await load(mixed);
    expect(module.kernels.map(({ name, refusalCode }) => [name, refusalCode])).toEqual([
      ["first", 0],
      ["second", 52],
      ["third", 0],
    ]);
    expect(await stored(module, "first")).toBe(11);
    for (let times = 0; times < 2; times++) {
      expect(await failure(() => stored(module, "second"))).toEqual({
        code: "UNSUPPORTED_INSTRUCTION",
        message: "The cpu device does not have the instruction [madeup.u32] in line [11].",
      });
      expect(readWords(machine, 1)[0]).toBe(0);
    }
    expect(await stored(module, "third")).toBe(13);
    await machine.slice.unloadModule(module);
  });

  test("describes their parameters all the same", async () => {
    const module = await load(ptxModule(`.entry k(.param .u32 a, .param .u64 b) {\nmadeup;\n}`));
    expect(module.kernels[0]).toMatchObject({
      paramBytes: 16,
      params: [
        { offset: 0, size: 4 },
        { offset: 8, size: 8 },
      ],
    });
  });

  test("keeps them refused, and the others running, when the slice gets another size", async () => {
    const module = await load(mixed);
    await machine.slice.resize!(2 * ARENA_BYTES);
    expect(await stored(module, "third")).toBe(13);
    expect((await failure(() => stored(module, "second"))).code).toBe("UNSUPPORTED_INSTRUCTION");
    await machine.slice.resize!(ARENA_BYTES);
  });

  test("refuses who calls a refused function, through a pointer too, and nobody else", async () => {
    const functions = `.func f() { .reg .b32 %r<2>;\n${bad}\nret; }
.func g() { call.uni f; ret; }
.func h(.param .b32 x) { .reg .b32 %r<2>;\n${bad}\nret; }
.func alone() { .reg .b32 %r<2>; call.uni f, (%r1); ${bad} bar.sync 0; ret; }
`;
    const pointer = "mov.u64 %rd2, h;\nq: .callprototype _ ();\ncall %rd2, (), q;";
    const module = await load(
      ptxModule(
        functions +
          storing("direct", 1, "call.uni f;") +
          storing("behind", 2, "call.uni g;") +
          storing("copied", 3, "call.uni alone;") +
          storing("pointed", 4, `${pointer}`) +
          storing("well", 6),
      ),
    );
    for (const name of ["direct", "behind", "copied"])
      expect(await failure(() => stored(module, name)), name).toMatchObject({ code: "UNSUPPORTED_INSTRUCTION" });
    expect(module.kernels.find(({ name }) => name === "behind")!.refusal).toContain("line [5]");
    // No function fits that pointer's call: it faults when it is made, so this kernel is not refused.
    expect(module.kernels.find(({ name }) => name === "pointed")!.refusalCode).toBe(0);
    expect(await stored(module, "well")).toBe(6);
    const fitting = await load(
      ptxModule(
        functions + storing("pointed", 4, pointer.replace("h;", "h;\n{ .param .b32 x;").replace("(), q;", "(x), q; }")),
      ),
    );
    expect(await failure(() => stored(fitting, "pointed"))).toMatchObject({ code: "UNSUPPORTED_INSTRUCTION" });
  });

  test("says of what kernels may not ask of the runtime what they may", async () => {
    for (const name of ["cudaMemcpy2DAsync", "__cudaCDP2FuncGetAttributes"]) {
      const missing = await load(ptxModule(`.extern .func ${name}();\n.entry k() {\ncall.uni ${name};\n}`));
      expect(await failure(() => launch(missing, "k"))).toMatchObject({
        code: "UNSUPPORTED_INSTRUCTION",
        message: expect.stringContaining(`[${name}]: of what kernels may ask of the runtime there are launches`),
      });
    }
  });

  test.each([
    ["needs more local memory than there is", ".local .b8 x[4294967295]; ld.local.u8 %r1, [x];", "OUT_OF_MEMORY"],
    ["grows beyond all bounds by copies of functions", "call.uni f20;", "UNSUPPORTED"],
  ])("refuses one that %s", async (_, body, code) => {
    const doubling = `.func f0() { bar.sync 0; ret; }\n${Array.from({ length: 20 }, (_unused, index) => `.func f${index + 1}() { call.uni f${index}; call.uni f${index}; ret; }`).join("\n")}\n`;
    const module = await load(ptxModule(doubling + storing("large", 1, body) + storing("small", 2)));
    expect(await failure(() => stored(module, "large"))).toMatchObject({ code });
    expect(await stored(module, "small")).toBe(2);
  });

  test("is refused as a whole for a mistake in its text, wherever that is", async () => {
    for (const mistake of [
      "add.u32 %r1, %undeclared, 1;",
      "add.u32 %r1 1;",
      "bra NOWHERE;",
      "add.u64 %r1, %rd1, %rd1;",
    ]) {
      const text = ptxModule(storing("well", 1) + storing("mistaken", 2, mistake));
      expect(await failure(() => load(text)), mistake).toMatchObject({ code: "BAD_IMAGE" });
    }
    const incomplete = `.extern .func nobody();\n${storing("well", 1)}${storing("calling", 2, "call.uni nobody;")}`;
    expect(await failure(() => load(ptxModule(incomplete)))).toEqual({
      code: "BAD_IMAGE",
      message: "The image cannot be linked: [nobody] is declared, and nothing in it defines it.",
    });
    const large = ptxModule(`${storing("well", 1)}.entry k(.param .b8 x[${PARAM_BYTES_MAX + 1}]) { ret; }`);
    expect((await failure(() => load(large))).code).toBe("BAD_IMAGE");
  });
});
