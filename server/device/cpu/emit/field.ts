/** Opcodes on fields and lanes of a word, each a call of a helper (compile/helpers-field.ts). */
import type { Emitter } from "../compile/emitter.ts";
import { badImage, type Instruction, type PtxType, unsupported } from "../ptx/program.ts";
import type { Handlers } from "./handler.ts";

/** Calls a helper on `count` words. */
function callHelper(
  emitter: Emitter,
  instruction: Instruction,
  { helper, count }: { helper: string; count: number },
): void {
  const { operands, mnemonic } = instruction;
  if (operands.length !== count + 1)
    throw badImage(instruction.line, `[${mnemonic.text}] needs [${count + 1}] operands`);
  for (const operand of operands.slice(1)) emitter.push(operand, "u32", instruction);
  emitter.helper(helper);
  emitter.pop(operands[0], "u32", instruction);
}

function signOf(type: PtxType | undefined, instruction: Instruction): "s" | "u" {
  if (type !== "s32" && type !== "u32") throw unsupported(instruction);
  return type === "s32" ? "s" : "u";
}

function dot2(emitter: Emitter, instruction: Instruction): void {
  const { types, modifiers } = instruction.mnemonic;
  const half = modifiers.has("hi") ? "hi" : "lo";
  const helper = `dp2a_${half}_${signOf(types[0], instruction)}_${signOf(types[1], instruction)}`;
  callHelper(emitter, instruction, { helper, count: 3 });
}

/** vabsdiff2 and vabsdiff4 on whole words: the result's type says nothing more, and without `.add` the last operand stands for lanes that are not chosen. */
const differences =
  (bits: 8 | 16) =>
  (emitter: Emitter, instruction: Instruction): void => {
    const { types, modifiers } = instruction.mnemonic;
    const sign = signOf(types[1], instruction);
    if (signOf(types[2], instruction) !== sign || types.length !== 3) throw unsupported(instruction);
    const helper = `differences${bits}_${sign}${modifiers.has("add") ? "_add" : ""}`;
    callHelper(emitter, instruction, { helper, count: 3 });
  };

export const fieldHandlers: Handlers = {
  fns: { allows: "", emit: (emitter, instruction) => callHelper(emitter, instruction, { helper: "fns", count: 3 }) },
  dp2a: { allows: "lo hi", emit: dot2 },
  vabsdiff2: { allows: "add", emit: differences(16) },
  vabsdiff4: { allows: "add", emit: differences(8) },
};
