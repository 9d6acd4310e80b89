/**
 * ldmatrix, stmatrix and movmatrix: matrices of eight rows of 16 bytes, of which four lanes hold a row, two numbers each. Lanes leave the addresses
 * of rows in an exchange plane.
 */
import type { Emitter } from "../compile/emitter.ts";
import { addressOperand, spaceOf } from "../compile/memory-access.ts";
import { type Instruction, unsupported } from "../ptx/program.ts";
import { Window } from "../run/layout.ts";
import { pushIndex } from "./address.ts";
import { elementsOf, narrowPointer, pushBase, pushLane } from "./matrix-operands.ts";

export const isRowExchange = ({ mnemonic: { base } }: Instruction): boolean => /^(ld|st|mov)matrix$/.test(base);

/** Emits what a lane leaves for the others: the address of a row, or its two numbers. */
export function writeRowExchange(
  emitter: Emitter,
  instruction: Instruction,
  write: (plane: number, push: () => void) => void,
): void {
  const { mnemonic, operands } = instruction;
  if (mnemonic.base === "movmatrix") {
    write(0, () => emitter.push(operands[1], "b32", instruction));
    return;
  }
  const { base, offset } = addressOperand(instruction, mnemonic.base === "stmatrix" ? 0 : 1);
  const isGeneric = spaceOf(instruction) === undefined;
  write(0, () => {
    pushBase(emitter, instruction, { base, offset, wide: isGeneric });
    if (isGeneric) pushSharedAddress(emitter);
  });
}

/** Emits what a lane does with what others have left. */
export function readRowExchange(emitter: Emitter, instruction: Instruction, pushPlane: (plane: number) => void): void {
  const { base } = instruction.mnemonic;
  if (base === "movmatrix") readTransposed(emitter, instruction, pushPlane);
  else if (base === "stmatrix") storeRows(emitter, instruction, pushPlane);
  else loadRows(emitter, instruction, pushPlane);
}

/** The high half of a generic address names its memory: where that is not shared, the address becomes an offset that no block has. */
function pushSharedAddress(emitter: Emitter): void {
  const { code } = emitter;
  const wide = emitter.scratch("i64", "matrix");
  code.tee(wide).op("i32.wrap_i64").i32(-16).get(wide).i64(32n).op("i64.shr_u");
  code.i64(BigInt(Window.SHARED)).op("i64.eq").op("select");
}

/** How many matrices, and whether a lane's numbers are one below the other rather than beside each other. */
function rowsOf(instruction: Instruction): { count: number; isTransposed: boolean } {
  const { modifiers, types } = instruction.mnemonic;
  const space = spaceOf(instruction) ?? "shared";
  if (!modifiers.has("m8n8") || types[0] !== "b16" || space !== "shared") throw unsupported(instruction);
  for (const modifier of modifiers)
    if (!/^(sync|aligned|m8n8|x1|x2|x4|trans|shared|shared::cta)$/.test(modifier)) throw unsupported(instruction);
  return { count: modifiers.has("x4") ? 4 : modifiers.has("x2") ? 2 : 1, isTransposed: modifiers.has("trans") };
}

/** Pushes the checked index of a lane's word of a matrix, or of one of its two numbers; returns the constant for the access. */
function pushPlace(
  emitter: Emitter,
  instruction: Instruction,
  { matrix, part, pushPlane }: { matrix: number; part: number | undefined; pushPlane: (plane: number) => void },
): number {
  const { code } = emitter;
  const pointer = emitter.register(narrowPointer);
  pushPlane(0);
  if (part === undefined) pushLane(emitter).i32(2).op("i32.shr_u");
  else pushLane(emitter).i32(3).op("i32.and").i32(1).op("i32.shl");
  code.i32((part ?? 0) + matrix * 8).op("i32.add");
  code.i32(2).op("i32.shl").op("i32.add").access("i32.load", 0);
  if (part === undefined) pushLane(emitter).i32(3).op("i32.and").i32(2).op("i32.shl");
  else pushLane(emitter).i32(2).op("i32.shr_u").i32(1).op("i32.shl");
  code.op("i32.add").set(pointer);
  const operand = { kind: "memory", base: narrowPointer, offset: 0 } as const;
  return pushIndex(emitter, operand, { space: "shared", bytes: part === undefined ? 4 : 2, at: instruction });
}

function loadRows(emitter: Emitter, instruction: Instruction, pushPlane: (plane: number) => void): void {
  const { count, isTransposed } = rowsOf(instruction);
  const { code } = emitter;
  const targets = elementsOf(instruction.operands[0], count, instruction);
  const values = Array.from({ length: count }, (_, index) => emitter.scratch("i32", `row ${index}`));
  for (const [matrix, value] of values.entries()) {
    if (isTransposed) {
      for (const part of [0, 1])
        code.access("i32.load16_u", pushPlace(emitter, instruction, { matrix, part, pushPlane }));
      code.i32(16).op("i32.shl").op("i32.or");
    } else code.access("i32.load", pushPlace(emitter, instruction, { matrix, part: undefined, pushPlane }));
    code.set(value);
  }
  for (const [matrix, value] of values.entries()) {
    code.get(value);
    emitter.pop(targets[matrix], "b32", instruction);
  }
}

function storeRows(emitter: Emitter, instruction: Instruction, pushPlane: (plane: number) => void): void {
  const { count, isTransposed } = rowsOf(instruction);
  const { code } = emitter;
  const sources = elementsOf(instruction.operands[1], count, instruction);
  for (let matrix = 0; matrix < count; matrix++) {
    for (const part of isTransposed ? [0, 1] : [undefined]) {
      const constant = pushPlace(emitter, instruction, { matrix, part, pushPlane });
      emitter.push(sources[matrix], "b32", instruction);
      if (part === 1) code.i32(16).op("i32.shr_u");
      code.access(part === undefined ? "i32.store" : "i32.store16", constant);
    }
  }
}

/** movmatrix: a lane's two numbers stand one below the other in the matrix of which four lanes hold a row. */
function readTransposed(emitter: Emitter, instruction: Instruction, pushPlane: (plane: number) => void): void {
  const { modifiers, types } = instruction.mnemonic;
  if (!modifiers.has("m8n8") || !modifiers.has("trans") || types[0] !== "b16") throw unsupported(instruction);
  for (const modifier of modifiers) if (!/^(sync|aligned|m8n8|trans)$/.test(modifier)) throw unsupported(instruction);
  const { code } = emitter;
  for (const part of [0, 1]) {
    pushPlane(0);
    // Rows of four words: the row is the lane's column, the column its row.
    pushLane(emitter).i32(3).op("i32.and").i32(5).op("i32.shl").op("i32.add");
    pushLane(emitter).i32(2).op("i32.shr_u").i32(1).op("i32.shl").op("i32.add");
    code.access("i32.load16_u", part * 16);
  }
  code.i32(16).op("i32.shl").op("i32.or");
  emitter.pop(instruction.operands[0], "b32", instruction);
}
