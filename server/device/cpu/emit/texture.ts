/**
 * tex, tld4, suld, sust and the questions about textures and surfaces: the workers do the work (run/images.ts), kernels say what they want and
 * find the numbers in their context, or the place of a surface in memory.
 */
import type { Emitter } from "../compile/emitter.ts";
import { badImage, type Instruction, type Operand, type PtxType, typeBytes, unsupported } from "../ptx/program.ts";
import { ImageQuestion, TextureOperation } from "../run/images.ts";
import { Context } from "../run/layout.ts";
import { Boundary } from "../run/surface.ts";
import type { Handlers } from "./handler.ts";
import { elements, loadName, storeName } from "./memory.ts";

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
function pushPlace(emitter: Emitter, instruction: Instruction, operandAt: number): void {
  const operand = instruction.operands[operandAt];
  const { coordinates, isLayered } = geometryOf(instruction);
  if (operand?.kind !== "list" || operand.elements.length < 1 + coordinates + (isLayered ? 1 : 0)) {
    // Samplers of their own come as a third part, which is no such list.
    throw unsupported(instruction, "with these operands");
  }
  const { code } = emitter;
  const [object, ...rest] = operand.elements;
  const type = instruction.mnemonic.base.startsWith("su") ? "s32" : instruction.mnemonic.types.at(-1);
  pushObject(emitter, object, instruction);
  if (isLayered) emitter.push(rest.shift(), "u32", instruction);
  else code.i32(0);
  for (let index = 0; index < 3; index++) {
    if (index >= coordinates) code.f64(0);
    else if (type === "f32") {
      emitter.push(rest[index], "f32", instruction);
      code.op("f64.promote_f32");
    } else if (type === "s32") {
      emitter.push(rest[index], "s32", instruction);
      code.op("f64.convert_i32_s");
    } else throw unsupported(instruction, `with coordinates of [${type}]`);
  }
}

const results: readonly PtxType[] = ["u32", "s32", "f32"];

/** Level and gradients choose among levels of detail, of which there is one. */
function fetch(emitter: Emitter, instruction: Instruction): void {
  const { code, frame } = emitter;
  const { types } = instruction.mnemonic;
  const { isCube } = geometryOf(instruction);
  const isWhole = types[1] === "s32";
  if (isCube && isWhole) throw unsupported(instruction, "with whole coordinates");
  code.i32((isWhole ? TextureOperation.IS_WHOLE : 0) | (isCube ? TextureOperation.IS_CUBE : 0)).i32(instruction.line);
  pushPlace(emitter, instruction, 1);
  emitter.import("texture");
  takeTexel(emitter, instruction, frame.context);
}

function takeTexel(emitter: Emitter, instruction: Instruction, context: number): void {
  const [type] = instruction.mnemonic.types;
  if (type === undefined || !results.includes(type)) throw unsupported(instruction, `on [${type}]`);
  for (const [index, target] of elements(instruction.operands[0], 4, instruction).entries()) {
    if (target.kind === "sink") continue;
    emitter.code.get(context).access(loadName(type), Context.TEXEL + 4 * index);
    emitter.pop(target, type, instruction);
  }
}

function gather(emitter: Emitter, instruction: Instruction): void {
  const { modifiers, types } = instruction.mnemonic;
  const component = ["r", "g", "b", "a"].findIndex((name) => modifiers.has(name));
  if (component < 0 || !modifiers.has("2d") || types[1] !== "f32") throw unsupported(instruction);
  emitter.code.i32(TextureOperation.GATHERS | (component << TextureOperation.COMPONENT_SHIFT)).i32(instruction.line);
  pushPlace(emitter, instruction, 1);
  emitter.import("texture");
  takeTexel(emitter, instruction, emitter.frame.context);
}

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
  const count = modifiers.has("v2") ? 2 : modifiers.has("v4") ? 4 : 1;
  const bytes = count * typeBytes[type];
  if (bytes > 16) throw unsupported(instruction, `an access of [${bytes}] bytes`);
  const boundary = modifiers.has("clamp") ? Boundary.CLAMP : modifiers.has("zero") ? Boundary.ZERO : Boundary.TRAP;
  if (geometryOf(instruction).isCube) throw unsupported(instruction);
  emitter.code.i32(boundary).i32(instruction.line).i32(bytes);
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

const questions: Readonly<Record<string, number>> = {
  width: ImageQuestion.WIDTH,
  height: ImageQuestion.HEIGHT,
  depth: ImageQuestion.DEPTH,
  array_size: ImageQuestion.LAYERS,
  normalized_coords: ImageQuestion.IS_NORMALIZED,
};

function query(emitter: Emitter, instruction: Instruction): void {
  const { modifiers, types } = instruction.mnemonic;
  const question = [...modifiers].map((modifier) => questions[modifier]).find((number) => number !== undefined);
  const operand = instruction.operands[1];
  if (question === undefined || types[0] !== "b32" || operand?.kind !== "memory") throw unsupported(instruction);
  const { base } = operand;
  if (base === undefined || "space" in base || operand.offset !== 0) throw unsupported(instruction);
  emitter.code.i32(question).i32(instruction.line);
  pushObject(emitter, { kind: "register", register: base, negated: false }, instruction);
  emitter.import("image_query");
  emitter.pop(instruction.operands[0], "b32", instruction);
}

const surfaceModifiers = "b 1d 2d 3d a1d a2d v2 v4 trap clamp zero ca cg cs cv wb wt";

export const textureHandlers: Handlers = {
  tex: { allows: "level grad 1d 2d 3d a1d a2d cube acube v4", emit: fetch },
  tld4: { allows: "r g b a 2d v4", emit: gather },
  suld: { allows: surfaceModifiers, emit: loadSurface },
  sust: { allows: surfaceModifiers, emit: storeSurface },
  txq: { allows: Object.keys(questions).join(" "), emit: query },
  suq: { allows: "width height depth array_size", emit: query },
};
