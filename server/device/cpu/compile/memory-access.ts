/** What a load or store touches: its space, its address operand, and its size. */
import { badImage, type Instruction, type Operand, type PtxType, typeBytes, unsupported } from "../ptx/program.ts";

export type Space = "global" | "const" | "shared" | "local" | "param";

export interface MemoryAccess {
  /** Undefined for generic addresses. */
  readonly space: Space | undefined;
  readonly operand: Extract<Operand, { kind: "memory" }>;
  readonly type: PtxType;
  /** Number of elements of a vector; 1 for a scalar. */
  readonly count: number;
  /** Bytes of the whole access. */
  readonly bytes: number;
}

const spaces: Record<string, Space> = {
  global: "global",
  const: "const",
  shared: "shared",
  "shared::cta": "shared",
  // The block is the only one of its cluster.
  "shared::cluster": "shared",
  local: "local",
  param: "param",
  "param::entry": "param",
  "param::func": "param",
};

/** The state space that an opcode names. */
export function spaceOf({ mnemonic }: Instruction): Space | undefined {
  for (const modifier of mnemonic.modifiers) {
    const space = spaces[modifier];
    if (space !== undefined) return space;
  }
  return undefined;
}

/** The address operand at a position, with its variable's space where it names one. */
export function addressOperand(instruction: Instruction, index: number): Extract<Operand, { kind: "memory" }> {
  const operand = instruction.operands[index];
  if (operand?.kind !== "memory") throw badImage(instruction.line, `[${instruction.mnemonic.text}] has no address`);
  return operand;
}

/** Takes `ld`, `ldu` and `st` apart. */
export function memoryAccess(instruction: Instruction): MemoryAccess {
  const { base, types, modifiers } = instruction.mnemonic;
  const type = types[0];
  if (type === undefined || types.length > 1) throw badImage(instruction.line, "an access needs one type");
  if (type === "b128" || type === "pred") throw unsupported(instruction, `an access of [${type}]`);
  const operand = addressOperand(instruction, base === "st" ? 0 : 1);
  const count = modifiers.has("v2") ? 2 : modifiers.has("v4") ? 4 : modifiers.has("v8") ? 8 : 1;
  const named = operand.base !== undefined && "space" in operand.base ? operand.base.space : undefined;
  return { space: named ?? spaceOf(instruction), operand, type, count, bytes: typeBytes[type] * count };
}
