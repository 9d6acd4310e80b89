/** The table of opcodes, and the one place that decides whether this device has an instruction. */
import type { Emitter } from "../compile/emitter.ts";
import { type Instruction, unsupported } from "../ptx/program.ts";
import { atomicHandlers } from "./atomic.ts";
import { callHandlers } from "./call.ts";
import { compareHandlers } from "./compare.ts";
import { convertHandlers } from "./convert.ts";
import * as float from "./float.ts";
import type { Handler, Handlers } from "./handler.ts";
import * as integer from "./integer.ts";
import { logicHandlers } from "./logic.ts";
import { memoryHandlers } from "./memory.ts";

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

const handlers: Handlers = {
  ...memoryHandlers,
  ...atomicHandlers,
  ...logicHandlers,
  ...compareHandlers,
  ...convertHandlers,
  ...callHandlers,
  ...float.floatHandlers,
  add: byType({
    integer: (emitter, instruction) => integer.addOrSubtract(emitter, instruction, "add"),
    integerAllows: "sat cc",
    float: float.addFloat,
    floatAllows: float.rounded,
  }),
  sub: byType({
    integer: (emitter, instruction) => integer.addOrSubtract(emitter, instruction, "sub"),
    integerAllows: "sat cc",
    float: float.subtractFloat,
    floatAllows: float.rounded,
  }),
  addc: { allows: "cc", emit: integer.addOrSubtractCarry },
  subc: { allows: "cc", emit: integer.addOrSubtractCarry },
  mul: byType({
    integer: integer.multiply,
    integerAllows: "lo hi wide",
    float: float.multiplyFloat,
    floatAllows: float.rounded,
  }),
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
  abs: byType({
    integer: integer.absolute,
    integerAllows: "",
    float: (emitter, instruction) => float.absoluteOrNegate(emitter, instruction, "abs"),
    floatAllows: "ftz",
  }),
  neg: byType({
    integer: integer.negate,
    integerAllows: "",
    float: (emitter, instruction) => float.absoluteOrNegate(emitter, instruction, "neg"),
    floatAllows: "ftz",
  }),
  min: byType({
    integer: (emitter, instruction) => integer.choose(emitter, instruction, "min"),
    integerAllows: "",
    float: (emitter, instruction) => float.chooseFloat(emitter, instruction, "min"),
    floatAllows: "ftz NaN",
  }),
  max: byType({
    integer: (emitter, instruction) => integer.choose(emitter, instruction, "max"),
    integerAllows: "",
    float: (emitter, instruction) => float.chooseFloat(emitter, instruction, "max"),
    floatAllows: "ftz NaN",
  }),
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
