/**
 * tex, tld4 and the questions about textures and surfaces: the workers do the work (run/images.ts), kernels say what they want and find the
 * numbers in their context.
 */
import type { Emitter } from "../compile/emitter.ts";
import { badImage, type Instruction, type Operand, type PtxType, unsupported } from "../ptx/program.ts";
import { ImageQuestion, TextureOperation } from "../run/images.ts";
import { Context } from "../run/layout.ts";
import type { Handlers } from "./handler.ts";
import { elements, loadName } from "./memory.ts";

interface Geometry {
  readonly coordinates: number;
  /** Whether the number of a layer comes first. */
  readonly isLayered: boolean;
  readonly isCube: boolean;
}

const geometries: Readonly<Record<string, Geometry>> = {
  "1d": { coordinates: 1, isLayered: false, isCube: false },
  "2d": { coordinates: 2, isLayered: false, isCube: false },
  "3d": { coordinates: 3, isLayered: false, isCube: false },
  a1d: { coordinates: 1, isLayered: true, isCube: false },
  a2d: { coordinates: 2, isLayered: true, isCube: false },
  cube: { coordinates: 3, isLayered: false, isCube: true },
  acube: { coordinates: 3, isLayered: true, isCube: true },
};

function geometryOf(instruction: Instruction): Geometry {
  for (const modifier of instruction.mnemonic.modifiers) {
    const geometry = Object.hasOwn(geometries, modifier) ? geometries[modifier] : undefined;
    if (geometry !== undefined) return geometry;
  }
  throw badImage(instruction.line, `[${instruction.mnemonic.text}] names no geometry`);
}

/** Pushes the two halves of what stands for a texture or surface. */
function pushObject(emitter: Emitter, object: Operand | undefined, at: Instruction): void {
  const { code } = emitter;
  const local = emitter.scratch("i64", "object");
  emitter.push(object, "u64", at);
  code.tee(local).op("i32.wrap_i64");
  code.get(local).i64(32n).op("i64.shr_u").op("i32.wrap_i64");
}

/** Pushes object, layer and three coordinates of the operand at an index. */
export function pushPlace(emitter: Emitter, instruction: Instruction, operandAt: number): void {
  const operand = instruction.operands[operandAt];
  const { coordinates, isLayered } = geometryOf(instruction);
  if (operand?.kind !== "list" || operand.elements.length < 1 + coordinates + (isLayered ? 1 : 0)) {
    // Samplers of their own come as a third part, which is no such list.
    throw unsupported(instruction, "with these operands");
  }
  const { code } = emitter;
  const [object, ...rest] = operand.elements;
  pushObject(emitter, object, instruction);
  if (isLayered) emitter.push(rest.shift(), "u32", instruction);
  else code.i32(0);
  for (let index = 0; index < 3; index++) {
    if (index >= coordinates) code.f64(0);
    else pushNumber(emitter, rest[index], instruction);
  }
}

const results: readonly PtxType[] = ["u32", "s32", "f32"];

function fetch(emitter: Emitter, instruction: Instruction): void {
  const { code, frame } = emitter;
  const { types, modifiers } = instruction.mnemonic;
  const { isCube } = geometryOf(instruction);
  const isWhole = types[1] === "s32";
  const isGiven = modifiers.has("level");
  const hasChanges = modifiers.has("grad");
  if (isCube && isWhole) throw unsupported(instruction, "with whole coordinates");
  // Behind them come what is added to coordinates, and what depths are compared with.
  if (instruction.operands.length !== (hasChanges ? 4 : isGiven ? 3 : 2)) {
    throw unsupported(instruction, "with these operands");
  }
  if (hasChanges) pushChanges(emitter, instruction);
  const { IS_WHOLE, IS_CUBE, HAS_CHANGES } = TextureOperation;
  code.i32((isWhole ? IS_WHOLE : 0) | (isCube ? IS_CUBE : 0) | (hasChanges ? HAS_CHANGES : 0)).i32(instruction.line);
  pushPlace(emitter, instruction, 1);
  if (isGiven) pushNumber(emitter, instruction.operands[2], instruction);
  else code.f64(0);
  emitter.import("texture");
  takeTexel(emitter, instruction, frame.context);
}

/** A coordinate or level, as the instruction's last type has it. */
function pushNumber(emitter: Emitter, operand: Operand | undefined, instruction: Instruction): void {
  const type = instruction.mnemonic.base.startsWith("su") ? "s32" : instruction.mnemonic.types.at(-1);
  if (type !== "f32" && type !== "s32") throw unsupported(instruction, `with coordinates of [${type}]`);
  emitter.push(operand, type, instruction);
  emitter.code.op(type === "f32" ? "f64.promote_f32" : "f64.convert_i32_s");
}

/** Tells the workers of both vectors, whose numbers are of as many directions as the texture has. */
function pushChanges(emitter: Emitter, instruction: Instruction): void {
  const { coordinates } = geometryOf(instruction);
  for (const operandAt of [2, 3]) {
    const operand = instruction.operands[operandAt];
    const changes = operand?.kind === "vector" ? operand.elements : [operand];
    for (let index = 0; index < 3; index++) {
      if (index >= coordinates) emitter.code.f64(0);
      else if (instruction.mnemonic.types.at(-1) !== "f32") throw unsupported(instruction, "with whole coordinates");
      else pushNumber(emitter, changes[index], instruction);
    }
  }
  emitter.import("changes");
}

function takeTexel(emitter: Emitter, instruction: Instruction, context: number): void {
  const [type] = instruction.mnemonic.types;
  const [target] = instruction.operands;
  const texel = target?.kind === "pair" ? target.first : target;
  if (type === undefined || !results.includes(type)) throw unsupported(instruction, `on [${type}]`);
  for (const [index, element] of elements(texel, 4, instruction).entries()) {
    if (element.kind === "sink") continue;
    emitter.code.get(context).access(loadName(type), Context.TEXEL + 4 * index);
    emitter.pop(element, type, instruction);
  }
  if (target?.kind !== "pair") return;
  // Only sparse textures have texels that are not there.
  emitter.code.i32(1);
  emitter.pop(target.second, "pred", instruction);
}

function gather(emitter: Emitter, instruction: Instruction): void {
  const { modifiers, types } = instruction.mnemonic;
  const component = ["r", "g", "b", "a"].findIndex((name) => modifiers.has(name));
  const { isCube } = geometryOf(instruction);
  if (component < 0 || types[1] !== "f32") throw unsupported(instruction);
  if (instruction.operands.length !== 2) throw unsupported(instruction, "with these operands");
  const { GATHERS, IS_CUBE, COMPONENT_SHIFT } = TextureOperation;
  emitter.code.i32(GATHERS | (isCube ? IS_CUBE : 0) | (component << COMPONENT_SHIFT)).i32(instruction.line);
  pushPlace(emitter, instruction, 1);
  emitter.code.f64(0);
  emitter.import("texture");
  takeTexel(emitter, instruction, emitter.frame.context);
}

const questions: Readonly<Record<string, number>> = {
  width: ImageQuestion.WIDTH,
  height: ImageQuestion.HEIGHT,
  depth: ImageQuestion.DEPTH,
  array_size: ImageQuestion.LAYERS,
  normalized_coords: ImageQuestion.IS_NORMALIZED,
  num_mipmap_levels: ImageQuestion.LEVELS,
};
/** What can be asked of a level of detail. */
const levelQuestions = ["width", "height", "depth"];

function query(emitter: Emitter, instruction: Instruction): void {
  const { modifiers, types } = instruction.mnemonic;
  const question = [...modifiers].map((modifier) => questions[modifier]).find((number) => number !== undefined);
  const operand = instruction.operands[1];
  const ofLevel = modifiers.has("level");
  if (question === undefined || types[0] !== "b32" || operand?.kind !== "memory") throw unsupported(instruction);
  if (ofLevel && !levelQuestions.some((name) => modifiers.has(name))) throw unsupported(instruction);
  const { base } = operand;
  if (base === undefined || "space" in base || operand.offset !== 0) throw unsupported(instruction);
  emitter.code.i32(question).i32(instruction.line);
  pushObject(emitter, { kind: "register", register: base, negated: false }, instruction);
  if (ofLevel) emitter.push(instruction.operands[2], "b32", instruction);
  else emitter.code.i32(0);
  emitter.import("image_query");
  emitter.pop(instruction.operands[0], "b32", instruction);
}

export const textureHandlers: Handlers = {
  tex: { allows: "base level grad 1d 2d 3d a1d a2d cube acube v4", emit: fetch },
  tld4: { allows: "r g b a 2d a2d cube acube v4", emit: gather },
  txq: { allows: `level ${Object.keys(questions).join(" ")}`, emit: query },
  suq: { allows: "width height depth array_size", emit: query },
};
