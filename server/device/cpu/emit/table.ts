/** The table of opcodes, and the one place that decides whether this device has an instruction. */
import type { Emitter } from "../compile/emitter.ts";
import { type Instruction, unsupported } from "../ptx/program.ts";
import { atomicHandlers } from "./atomic.ts";
import { callHandlers } from "./call.ts";
import { compareHandlers } from "./compare.ts";
import { convertHandlers } from "./convert.ts";
import { fieldHandlers } from "./field.ts";
import * as float from "./float.ts";
import { fragmentHandlers } from "./fragment.ts";
import { halfOperations, isHalf } from "./half.ts";
import type { Handler, Handlers } from "./handler.ts";
import * as integer from "./integer.ts";
import { logicHandlers } from "./logic.ts";
import { mbarrierHandlers } from "./mbarrier.ts";
import { memoryHandlers } from "./memory.ts";
import { isMixed, mixedArithmetic } from "./mixed.ts";
import { addPacked, choosePacked, isPacked, packedHandlers } from "./packed.ts";
import { stackHandlers } from "./stack.ts";
import { surfaceHandlers } from "./surface.ts";
import { textureHandlers } from "./texture.ts";
import { videoHandlers } from "./video.ts";

type Emit = Handler["emit"];

/** Opcodes that exist for integers and floats go to one or the other by their type. */
function byType(options: { integer: Emit; integerAllows: string; float: Emit; floatAllows: string }): Handler {
  const isFloat = ({ mnemonic }: Instruction) => mnemonic.types[0]?.includes("f") ?? false;
  return {
    allows: `${options.integerAllows} ${options.floatAllows}`,
    emit(emitter, instruction) {
      const allows = isFloat(instruction) ? options.floatAllows : options.integerAllows;
      requireAllowed(instruction, allows);
      (isFloat(instruction) ? options.float : options.integer)(emitter, instruction);
    },
  };
}

/** Opcodes that exist for floats of 16 bits too go there by their type. `allows`: modifiers that halves take. */
function orHalf(handler: Handler, name: keyof typeof halfOperations, allows: string): Handler {
  return {
    allows: `${handler.allows} ${allows}`,
    emit(emitter, instruction) {
      const half = isHalf(instruction.mnemonic.types[0]);
      requireAllowed(instruction, half ? allows : handler.allows);
      (half ? halfOperations[name] : handler.emit)(emitter, instruction);
    },
  };
}

/** Another form of an opcode, which it takes where `applies`, with modifiers of its own. */
function or(
  handler: Handler,
  { applies, allows, emit }: Handler & { applies: (instruction: Instruction) => boolean },
): Handler {
  return {
    allows: `${handler.allows} ${allows}`,
    emit(emitter, instruction) {
      const isOther = applies(instruction);
      requireAllowed(instruction, isOther ? allows : handler.allows);
      (isOther ? emit : handler.emit)(emitter, instruction);
    },
  };
}

const orMixed = (handler: Handler, name: "add" | "sub" | "fma", halves: 1 | 2): Handler =>
  or(handler, { applies: isMixed, allows: "rn rz rm rp sat", emit: mixedArithmetic(name, halves) });

/** The smaller or the larger of two, of every type. */
const choosing = (name: "min" | "max"): Handler =>
  or(
    orHalf(
      byType({
        integer: (emitter, instruction) => integer.choose(emitter, instruction, name),
        integerAllows: "relu",
        float: (emitter, instruction) => float.chooseFloat(emitter, instruction, name),
        floatAllows: "ftz NaN xorsign abs",
      }),
      name,
      "ftz NaN",
    ),
    { applies: isPacked, allows: "relu", emit: choosePacked(name) },
  );

const handlers: Handlers = {
  ...memoryHandlers,
  ...textureHandlers,
  ...surfaceHandlers,
  ...fragmentHandlers,
  ...atomicHandlers,
  ...mbarrierHandlers,
  ...logicHandlers,
  ...fieldHandlers,
  ...compareHandlers,
  ...convertHandlers,
  ...callHandlers,
  ...packedHandlers,
  ...stackHandlers,
  ...videoHandlers,
  ...float.floatHandlers,
  fma: orMixed(orHalf(float.floatHandlers["fma"]!, "fma", "rn ftz sat relu"), "fma", 2),
  ex2: orHalf(float.floatHandlers["ex2"]!, "ex2", "approx ftz"),
  tanh: orHalf(float.floatHandlers["tanh"]!, "tanh", "approx"),
  add: or(
    orMixed(
      orHalf(
        byType({
          integer: (emitter, instruction) => integer.addOrSubtract(emitter, instruction, "add"),
          integerAllows: "sat cc",
          float: float.addFloat,
          floatAllows: float.rounded,
        }),
        "add",
        "rn ftz sat",
      ),
      "add",
      1,
    ),
    { applies: isPacked, allows: "", emit: addPacked },
  ),
  sub: orMixed(
    orHalf(
      byType({
        integer: (emitter, instruction) => integer.addOrSubtract(emitter, instruction, "sub"),
        integerAllows: "sat cc",
        float: float.subtractFloat,
        floatAllows: float.rounded,
      }),
      "sub",
      "rn ftz sat",
    ),
    "sub",
    1,
  ),
  addc: { allows: "cc", emit: integer.addOrSubtractCarry },
  subc: { allows: "cc", emit: integer.addOrSubtractCarry },
  mul: orHalf(
    byType({
      integer: integer.multiply,
      integerAllows: "lo hi wide",
      float: float.multiplyFloat,
      floatAllows: float.rounded,
    }),
    "mul",
    "rn ftz sat",
  ),
  mad: byType({
    integer: integer.multiplyAdd,
    integerAllows: "lo hi wide sat cc",
    float: float.fusedMultiplyAdd,
    floatAllows: float.rounded,
  }),
  madc: { allows: "lo hi cc", emit: integer.multiplyAdd },
  mul24: { allows: "lo hi", emit: integer.multiply24 },
  mad24: { allows: "lo hi sat", emit: integer.multiply24 },
  div: byType({
    integer: (emitter, instruction) => integer.divide(emitter, instruction, "div"),
    integerAllows: "",
    float: float.divideFloat,
    floatAllows: `${float.rounded} approx full`,
  }),
  rem: { allows: "", emit: (emitter, instruction) => integer.divide(emitter, instruction, "rem") },
  abs: orHalf(
    byType({
      integer: integer.absolute,
      integerAllows: "",
      float: (emitter, instruction) => float.absoluteOrNegate(emitter, instruction, "abs"),
      floatAllows: "ftz",
    }),
    "abs",
    "ftz",
  ),
  neg: orHalf(
    byType({
      integer: integer.negate,
      integerAllows: "",
      float: (emitter, instruction) => float.absoluteOrNegate(emitter, instruction, "neg"),
      floatAllows: "ftz",
    }),
    "neg",
    "ftz",
  ),
  min: choosing("min"),
  max: choosing("max"),
  sad: { allows: "", emit: integer.absoluteDifference },
  dp4a: { allows: "", emit: integer.dot },
};

const allowedSets = new Map<string, ReadonlySet<string>>();

function requireAllowed(instruction: Instruction, allows: string): void {
  let allowed = allowedSets.get(allows);
  if (allowed === undefined) {
    allowed = new Set(allows.split(" "));
    allowedSets.set(allows, allowed);
  }
  for (const modifier of instruction.mnemonic.modifiers) if (!allowed.has(modifier)) throw unsupported(instruction);
}

/** Emits one instruction; throws UNSUPPORTED_INSTRUCTION with its name and line where this device does not have it. */
export function emitInstruction(emitter: Emitter, instruction: Instruction): void {
  const handler = Object.hasOwn(handlers, instruction.mnemonic.base) ? handlers[instruction.mnemonic.base] : undefined;
  if (handler === undefined) throw unsupported(instruction);
  requireAllowed(instruction, handler.allows);
  const { guard } = instruction;
  if (guard === undefined) {
    handler.emit(emitter, instruction);
    return;
  }
  emitter.code.get(emitter.register(guard.register));
  if (guard.negated) emitter.op("i32.eqz");
  emitter.code.if();
  handler.emit(emitter, instruction);
  emitter.code.end();
}
