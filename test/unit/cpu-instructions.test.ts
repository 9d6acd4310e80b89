/** The list of PTX instructions (test/kernels/instructions.txt) against the device, against NVIDIA's assembler, and against the device's README. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compilerVersion } from "../kernels/compile.ts";
import { bytesOf, type CpuMachine, openCpu } from "./cpu-machine.ts";

interface Form {
  readonly runs: boolean;
  /** Least architecture, as `sm_` has it. */
  readonly target: string;
  readonly code: string;
}

const forms: readonly Form[] = readFileSync(new URL("../kernels/instructions.txt", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => {
    const [verdict = "", target = "", ...code] = line.split(" ");
    return { runs: verdict === "runs", target, code: code.join(" ") };
  });

const opcodeOf = ({ code }: Form): string => /^(?:@%p1 |\{ )?([a-z0-9]+)/.exec(code)![1]!;

/** Kernels that hold one form each. */
const moduleOf = (target: string, list: readonly Form[]): string => `.version 9.0
.target sm_${target}
.address_size 64
.global .align 16 .b8 g[256];
${list
  .map(
    ({ code }, index) => `.visible .entry k${index}(.param .u64 p) {
.reg .pred %p<8>; .reg .b16 %h<16>; .reg .b32 %r<32>; .reg .b64 %rd<32>; .reg .f32 %f<64>; .reg .f64 %fd<32>; .reg .b128 %q<8>; .reg .b8 %b<4>;
.shared .align 16 .b8 s[4096]; .local .align 16 .b8 l[64];
${code}
ret;
}`,
  )
  .join("\n")}
`;

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

describe("each form of an instruction", () => {
  test("is run or refused as the list says, in one module with all others", async () => {
    const { kernels } = await machine.slice.loadModule(bytesOf(moduleOf("100", forms)));
    expect(kernels).toHaveLength(forms.length);
    const wrong = forms.filter(({ runs }, index) => runs !== (kernels[index]!.refusalCode === 0));
    expect(wrong).toEqual([]);
    for (const [index, { refusal, refusalCode }] of kernels.entries()) {
      if (refusalCode !== 0) expect(refusal).toContain(`[${opcodeOf(forms[index]!)}`);
    }
  });

  test.skipIf(compilerVersion() === undefined)(
    "is one that the assembler takes",
    () => {
      const folder = mkdtempSync(join(tmpdir(), "instructions-"));
      try {
        for (const target of new Set(forms.map((form) => form.target))) {
          const file = join(folder, `${target}.ptx`);
          const list = forms.filter((form) => form.target === target);
          writeFileSync(file, moduleOf(target, list));
          const output = join(folder, "out.cubin");
          execFileSync("ptxas", [`-arch=sm_${target}`, file, "-o", output], { stdio: "pipe" });
        }
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    120_000,
  );
});

test("the device's README names every opcode once, and says of each whether it runs in all its forms", () => {
  const readme = readFileSync(new URL("../../server/device/cpu/README.md", import.meta.url), "utf8");
  const said = new Map<string, string>();
  for (const [, opcodes = "", verdict = ""] of readme.matchAll(/^\| (`[^|]*`) \| (yes|no|in part) \|/gm)) {
    for (const [, opcode = ""] of opcodes.matchAll(/`([^`]+)`/g)) {
      expect(said.has(opcode), opcode).toBe(false);
      said.set(opcode, verdict);
    }
  }
  const found = new Map<string, string>();
  for (const opcode of new Set(forms.map(opcodeOf))) {
    const own = forms.filter((form) => opcodeOf(form) === opcode);
    const all = own.every(({ runs }) => runs);
    found.set(opcode, all ? "yes" : own.some(({ runs }) => runs) ? "in part" : "no");
  }
  expect(Object.fromEntries([...said].sort())).toEqual(Object.fromEntries([...found].sort()));
});
