/** The list of PTX instructions (test/kernels/instructions.txt) against the device and its README; test/unit/kernels-fresh.test.ts holds it against NVIDIA's assembler. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { instructionForms as forms, type InstructionForm, moduleOf } from "../kernels/instructions.ts";
import { bytesOf, type CpuMachine, openCpu } from "./cpu-machine.ts";

const opcodeOf = ({ code }: InstructionForm): string => /^(?:@%p1 |\{ )?([a-z0-9]+)/.exec(code)![1]!;

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
