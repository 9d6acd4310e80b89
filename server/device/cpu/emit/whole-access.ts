/**
 * Vectors that other workers must see whole. The specification promises order for their numbers one by one at most; hardware moves up to 16
 * bytes at once, and programs count on it: CUB's scans hand a sum and the word that says it is there from block to block in one such vector.
 * Here atomics move up to 8 bytes, and a vector register 16, which processors move whole where it is aligned, as every access of a kernel is.
 */
import { type Emitter, isSigned } from "../compile/emitter.ts";
import type { MemoryAccess } from "../compile/memory-access.ts";
import { type Instruction, type Operand, type PtxType, typeBytes } from "../ptx/program.ts";

/** Modifiers of accesses whose order others may watch. */
const ordering = ["volatile", "acquire", "release", "relaxed", "mmio"];
/** Those that go past the caches of one multiprocessor: how programs of before 7.0 watch each other. */
const uncached = ["cg", "cv", "wt"];

const bitsBySize: Record<number, PtxType> = { 1: "b8", 2: "b16", 4: "b32", 8: "b64" };
export const bitsType = (type: PtxType): PtxType => bitsBySize[typeBytes[type]]!;

const has = ({ mnemonic }: Instruction, names: readonly string[]): boolean =>
  names.some((name) => mnemonic.modifiers.has(name));

/** Whether other workers must see the access in order. Shared, local and parameter memory belong to one worker. */
export const isOrdered = (instruction: Instruction, { space }: MemoryAccess): boolean =>
  (space === "global" || space === undefined) && has(instruction, ordering);

/** Whether a vector must be moved whole. */
export const isWhole = (instruction: Instruction, { space, count }: MemoryAccess): boolean =>
  count > 1 &&
  (space === "global" || space === undefined) &&
  (has(instruction, ordering) || has(instruction, uncached));

/** Part of a vector that is moved at once. */
interface Part {
  readonly at: number;
  readonly bytes: number;
  readonly local: number;
}

export interface WholeAccess {
  readonly instruction: Instruction;
  readonly access: MemoryAccess;
  /** Registers, as many as the vector has numbers. */
  readonly operands: readonly Operand[];
  /** Local with the index, and what the access itself adds to it. */
  readonly index: number;
  readonly constant: number;
}

const PART_BYTES = 16;

function parts(emitter: Emitter, { bytes }: MemoryAccess): Part[] {
  const size = Math.min(PART_BYTES, bytes);
  return Array.from({ length: bytes / size }, (_, part) => ({
    at: part * size,
    bytes: size,
    local: size === PART_BYTES ? emitter.scratch("v128", `whole ${part}`) : emitter.scratch("i64", "whole"),
  }));
}

export function loadWhole(emitter: Emitter, whole: WholeAccess): void {
  const { instruction, access, operands, index, constant } = whole;
  const { code } = emitter;
  const all = parts(emitter, access);
  for (const { at, bytes, local } of all) {
    code.get(index);
    if (bytes === PART_BYTES) code.access("v128.load", constant + at);
    else if (bytes === 8) code.access("i64.atomic.load", constant);
    else code.access(bytes === 4 ? "i32.atomic.load" : "i32.atomic.load16_u", constant).op("i64.extend_i32_u");
    code.set(local);
  }
  // What follows is not read before it; atomics see to that themselves.
  if (access.bytes >= PART_BYTES && isOrdered(instruction, access)) code.fence();
  const size = typeBytes[access.type];
  operands.forEach((operand, each) => {
    const at = each * size;
    const part = all[Math.floor(at / PART_BYTES)]!;
    pushNumber(emitter, part, { at: at - part.at, type: access.type });
    emitter.pop(operand, isSigned(access.type) ? access.type : bitsType(access.type), instruction);
  });
}

/** Pushes the number at an offset of a part, as registers hold it. */
function pushNumber({ code }: Emitter, { local, bytes }: Part, { at, type }: { at: number; type: PtxType }): void {
  const size = typeBytes[type];
  code.get(local);
  if (bytes === PART_BYTES && size === 8) {
    code.lane("i64x2.extract_lane", at / 8);
    return;
  }
  const shift = bytes === PART_BYTES ? at % 4 : at;
  if (bytes === PART_BYTES) code.lane("i32x4.extract_lane", Math.floor(at / 4));
  else
    code
      .i64(BigInt(shift * 8))
      .op("i64.shr_u")
      .op("i32.wrap_i64");
  if (size === 4) return;
  if (bytes === PART_BYTES) code.i32(shift * 8).op("i32.shr_u");
  if (isSigned(type)) code.op(size === 1 ? "i32.extend8_s" : "i32.extend16_s");
  else code.i32(size === 1 ? 0xff : 0xffff).op("i32.and");
}

export function storeWhole(emitter: Emitter, whole: WholeAccess): void {
  const { instruction, access, index, constant } = whole;
  const { code } = emitter;
  const isFenced = access.bytes >= PART_BYTES && isOrdered(instruction, access);
  // What stands before it is there before it.
  if (isFenced) code.fence();
  for (const { at, bytes, local } of parts(emitter, access)) {
    if (bytes === PART_BYTES) gatherVector(emitter, whole, { at, bytes, local });
    else gatherWord(emitter, whole, { at, bytes, local });
    code.get(index).get(local);
    if (bytes === PART_BYTES) code.access("v128.store", constant + at);
    else if (bytes === 8) code.access("i64.atomic.store", constant);
    else code.op("i32.wrap_i64").access(bytes === 4 ? "i32.atomic.store" : "i32.atomic.store16", constant);
  }
  if (isFenced) code.fence();
}

/** The numbers of a part, 4 or 8 bytes each, in a vector. */
function gatherVector(emitter: Emitter, { instruction, access, operands }: WholeAccess, { at, local }: Part): void {
  const { code } = emitter;
  const size = typeBytes[access.type];
  const lanes = size === 8 ? "i64x2" : "i32x4";
  for (let each = 0; each < PART_BYTES / size; each++) {
    if (each > 0) code.get(local);
    emitter.push(operands[at / size + each], bitsType(access.type), instruction);
    if (each === 0) emitter.op(`${lanes}.splat`);
    else code.lane(`${lanes}.replace_lane`, each);
    code.set(local);
  }
}

function gatherWord(emitter: Emitter, { instruction, access, operands }: WholeAccess, { local }: Part): void {
  const { code } = emitter;
  const size = typeBytes[access.type];
  operands.forEach((operand, each) => {
    emitter.push(operand, bitsType(access.type), instruction);
    code.op("i64.extend_i32_u");
    if (each > 0)
      code
        .i64(BigInt(each * size * 8))
        .op("i64.shl")
        .get(local)
        .op("i64.or");
    code.set(local);
  });
}
