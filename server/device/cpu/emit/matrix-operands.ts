/** What instructions on small matrices have in common: shapes and types in their names, lanes, and registers in braces. */
import type { Emitter } from "../compile/emitter.ts";
import type { addressOperand } from "../compile/memory-access.ts";
import { badImage, type Instruction, type Operand, type Register, unsupported } from "../ptx/program.ts";

export interface Shape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

export function shapeOf(instruction: Instruction): Shape {
  for (const modifier of instruction.mnemonic.modifiers) {
    const found = /^m(\d+)n(\d+)k(\d+)$/.exec(modifier);
    if (found !== null) return { m: Number(found[1]), n: Number(found[2]), k: Number(found[3]) };
  }
  throw badImage(instruction.line, `[${instruction.mnemonic.text}] names no shape`);
}

/** The types of numbers that the name has, in order: some are of no register. */
export const numberTypes = ({ mnemonic }: Instruction): string[] =>
  mnemonic.text.split(".").filter((part) => /^(f16|bf16|tf32|f32|f64|[su]8|[su]4|b1|s32|e4m3|e5m2)$/.test(part));

/** Refuses modifiers other than a shape, types, and those given, separated by blanks. */
export function requireModifiers(instruction: Instruction, allowed: string): void {
  const names = allowed.split(" ");
  for (const modifier of instruction.mnemonic.modifiers) {
    if (!names.includes(modifier) && !/^(m\d+n\d+k\d+|[su]4|b1|e4m3|e5m2)$/.test(modifier))
      throw unsupported(instruction);
  }
}

/** Pushes the number of the thread in its warp. */
export const pushLane = ({ code, frame }: Emitter) => code.get(frame.thread).i32(31).op("i32.and");

/** The registers of an operand, at least `count`. */
export function elementsOf(operand: Operand | undefined, count: number, at: Instruction): readonly Operand[] {
  const elements = operand?.kind === "vector" ? operand.elements : operand === undefined ? [] : [operand];
  if (elements.length < count) throw badImage(at.line, `[${at.mnemonic.text}] has too few registers`);
  if (elements.some(({ kind }) => kind === "special")) throw badImage(at.line, `[${at.mnemonic.text}] takes registers`);
  return elements;
}

/** Registers of no program, in which computed addresses stand for `pushIndex`. */
export const narrowPointer: Register = { name: "a matrix's address", type: "u32" };
export const widePointer: Register = { name: "a matrix's address", type: "u64" };

/** Pushes a base address with its offset, as 64 or 32 bits. */
export function pushBase(
  emitter: Emitter,
  at: Instruction,
  { base, offset, wide }: { base: ReturnType<typeof addressOperand>["base"]; offset: number; wide: boolean },
): void {
  const { code } = emitter;
  if (base === undefined) {
    if (wide) code.i64(BigInt(offset));
    else code.i32(offset);
    return;
  }
  if ("space" in base) {
    emitter.push({ kind: "variable", variable: base, offset }, wide ? "u64" : "u32", at);
    return;
  }
  emitter.push({ kind: "register", register: base, negated: false }, wide ? "u64" : "u32", at);
  if (wide) code.i64(BigInt(offset)).op("i64.add");
  else code.i32(offset).op("i32.add");
}
