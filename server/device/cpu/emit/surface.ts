/**
 * suld, sust and sured: the workers find the place (run/images.ts), and kernels read and write there; texels of a format and reductions are the
 * workers' own work, for which kernels leave their numbers in the context.
 */
import type { Emitter } from "../compile/emitter.ts";
import { type Instruction, type Operand, type PtxType, typeBytes, unsupported } from "../ptx/program.ts";
import { Context } from "../run/layout.ts";
import { ReductionFlag, reductions } from "../run/reduction.ts";
import { Boundary } from "../run/surface.ts";
import type { Handlers } from "./handler.ts";
import { elements, loadName, storeName } from "./memory.ts";
import { pushPlace } from "./texture.ts";

function boundaryOf({ mnemonic: { modifiers } }: Instruction): number {
  return modifiers.has("clamp") ? Boundary.CLAMP : modifiers.has("zero") ? Boundary.ZERO : Boundary.TRAP;
}

const elementCount = ({ mnemonic: { modifiers } }: Instruction): number =>
  modifiers.has("v2") ? 2 : modifiers.has("v4") ? 4 : 1;

const bits: readonly PtxType[] = ["b8", "b16", "b32", "b64"];

interface SurfaceAccess {
  readonly type: PtxType;
  readonly count: number;
}

/** Leaves the index of the access in a local, which it returns. */
function pushSurface(emitter: Emitter, instruction: Instruction, operandAt: number): SurfaceAccess & { index: number } {
  const { modifiers, types } = instruction.mnemonic;
  const [type] = types;
  if (type === undefined || !bits.includes(type) || !modifiers.has("b")) throw unsupported(instruction);
  const count = elementCount(instruction);
  const bytes = count * typeBytes[type];
  if (bytes > 16) throw unsupported(instruction, `an access of [${bytes}] bytes`);
  emitter.code.i32(boundaryOf(instruction)).i32(instruction.line).i32(bytes);
  pushPlace(emitter, instruction, operandAt);
  emitter.import("surface");
  const index = emitter.scratch("i32", "surface");
  emitter.code.set(index);
  return { type, count, index };
}

function loadSurface(emitter: Emitter, instruction: Instruction): void {
  const { type, count, index } = pushSurface(emitter, instruction, 1);
  for (const [element, target] of surfaceElements(instruction, 0, count).entries()) {
    emitter.code.get(index).access(loadName(type), element * typeBytes[type]);
    emitter.pop(target, type, instruction);
  }
}

function storeSurface(emitter: Emitter, instruction: Instruction): void {
  if (instruction.mnemonic.modifiers.has("p")) {
    storeTexel(emitter, instruction);
    return;
  }
  const { type, count, index } = pushSurface(emitter, instruction, 0);
  for (const [element, source] of surfaceElements(instruction, 1, count).entries()) {
    emitter.code.get(index);
    emitter.push(source, type, instruction);
    emitter.code.access(storeName(type), element * typeBytes[type]);
  }
}

/** One element may stand alone or in braces. */
const surfaceElements = (instruction: Instruction, operandAt: number, count: number): readonly Operand[] =>
  elements(instruction.operands[operandAt], count, instruction);

/** `sust.p`: words that become a texel of the surface's format, which the kernel does not know. */
function storeTexel(emitter: Emitter, instruction: Instruction): void {
  const { modifiers, types } = instruction.mnemonic;
  if (types[0] !== "b32" || modifiers.has("b")) throw unsupported(instruction);
  const count = elementCount(instruction);
  const { code, frame } = emitter;
  for (const [element, source] of surfaceElements(instruction, 1, count).entries()) {
    code.get(frame.context);
    emitter.push(source, "b32", instruction);
    code.access("i32.store", Context.TEXEL + 4 * element);
  }
  code.i32(boundaryOf(instruction)).i32(instruction.line).i32(count);
  pushPlace(emitter, instruction, 0);
  emitter.import("surface_store");
}

const additive: readonly PtxType[] = ["u32", "s32", "u64", "s64"];

/** What each operation reduces; by texels it is always a word, with a sign where the surface's format has one. */
function reducedType(instruction: Instruction, operation: string): PtxType {
  const { modifiers, types } = instruction.mnemonic;
  const [type] = types;
  const isByTexel = modifiers.has("p");
  if (type === undefined || types.length !== 1 || isByTexel === modifiers.has("b")) throw unsupported(instruction);
  const isBitwise = operation === "and" || operation === "or";
  if (isByTexel || isBitwise ? type !== "b32" : !additive.includes(type))
    throw unsupported(instruction, `on [${type}]`);
  return type;
}

function reduceSurface(emitter: Emitter, instruction: Instruction): void {
  const { modifiers } = instruction.mnemonic;
  const operation = reductions.findIndex((name) => modifiers.has(name));
  if (operation < 0) throw unsupported(instruction);
  const type = reducedType(instruction, reductions[operation]!);
  const { code, frame } = emitter;
  const { IS_SIGNED, IS_LONG, IS_TEXEL, BOUNDARY_SHIFT } = ReductionFlag;
  const [source] = surfaceElements(instruction, 1, 1);
  code.get(frame.context);
  emitter.push(source, type, instruction);
  code.access(typeBytes[type] === 8 ? "i64.store" : "i32.store", Context.TEXEL);
  const flags =
    operation |
    (type.startsWith("s") ? IS_SIGNED : 0) |
    (typeBytes[type] === 8 ? IS_LONG : 0) |
    (modifiers.has("p") ? IS_TEXEL : 0) |
    (boundaryOf(instruction) << BOUNDARY_SHIFT);
  code.i32(flags).i32(instruction.line);
  pushPlace(emitter, instruction, 0);
  emitter.import("surface_reduce");
}

const modifiers = "b 1d 2d 3d a1d a2d trap clamp zero";
const cached = "v2 v4 ca cg cs cv wb wt";

export const surfaceHandlers: Handlers = {
  suld: { allows: `${modifiers} ${cached}`, emit: loadSurface },
  sust: { allows: `p ${modifiers} ${cached}`, emit: storeSurface },
  sured: { allows: `p add min max and or ${modifiers}`, emit: reduceSurface },
};
