/** What an opcode's family gives to the table of opcodes. */
import type { Emitter } from "../compile/emitter.ts";
import { badImage, type Instruction, type PtxType, unsupported } from "../ptx/program.ts";

export interface Handler {
  /** Modifiers that may follow the opcode, separated by blanks; any other makes the instruction unsupported. */
  readonly allows: string;
  emit(emitter: Emitter, instruction: Instruction): void;
}
export type Handlers = Readonly<Record<string, Handler>>;

/** The instruction's first type, one of those given. */
export function typeAmong(instruction: Instruction, allowed: readonly PtxType[]): PtxType {
  const type = instruction.mnemonic.types[0];
  if (type === undefined) throw badImage(instruction.line, `[${instruction.mnemonic.text}] names no type`);
  if (!allowed.includes(type)) throw unsupported(instruction, `on [${type}]`);
  return type;
}

export const integerTypes: readonly PtxType[] = ["u16", "u32", "u64", "s16", "s32", "s64"];
export const bitTypes: readonly PtxType[] = ["b16", "b32", "b64"];
export const floatTypes: readonly PtxType[] = ["f32", "f64"];
