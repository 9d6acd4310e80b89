/**
 * Loads and stores of threads side by side whose addresses step: one check for all of them, whole vectors where they follow each other, else
 * thread by thread at constant distances.
 */

import type { AccessPlan } from "../compile/access-plan.ts";
import { memoryAccess } from "../compile/memory-access.ts";
import { pushIndex } from "../emit/address.ts";
import { elements } from "../emit/memory.ts";
import type { Instruction, Operand } from "../ptx/program.ts";
import { typeBytes } from "../ptx/program.ts";
import type { Group } from "./group.ts";
import { addressStep, GROUP_THREADS } from "./shape.ts";

/** Whether a load or store that varies can be written here. */
export function isStepping(group: Group, instruction: Instruction): boolean {
  const { base, types } = instruction.mnemonic;
  const [type] = types;
  if ((base !== "ld" && base !== "st") || instruction.guard !== undefined || type === undefined) return false;
  const step = addressStep(instruction, group.shapes);
  if (step === undefined || step === 0 || typeBytes[type] < 4) return false;
  const { count } = memoryAccess(instruction);
  const values = elements(instruction.operands[base === "ld" ? 0 : 1], count, instruction);
  return values.every((value) => isWhole(value, typeBytes[type]) && (base === "st" || isTarget(group, value)));
}

/** A register as wide as the access, or a constant. */
const isWhole = (operand: Operand, bytes: number): boolean =>
  operand.kind === "register"
    ? operand.register.type !== "pred" && typeBytes[operand.register.type] === bytes
    : operand.kind === "integer" || operand.kind === "float" || operand.kind === "sink";

const isTarget = (group: Group, operand: Operand): boolean =>
  operand.kind === "sink" || (operand.kind === "register" && group.isVarying(operand.register));

/** Pushes the first thread's checked index; returns the constant to put into accesses. */
function pushFirst(group: Group, instruction: Instruction, plan: AccessPlan): { constant: number; step: number } {
  const access = memoryAccess(instruction);
  const step = addressStep(instruction, group.shapes)!;
  const threads = { step, count: GROUP_THREADS };
  const options = { ...access, at: instruction, group: plan.get(instruction), threads };
  return { constant: pushIndex(group.emitter, access.operand, options), step };
}

export function loadStepping(group: Group, instruction: Instruction, plan: AccessPlan): void {
  const { code, emitter } = group;
  const { type, count } = memoryAccess(instruction);
  const bytes = typeBytes[type];
  const targets = elements(instruction.operands[0], count, instruction);
  const { constant, step } = pushFirst(group, instruction, plan);
  const index = emitter.scratch("i32", "index");
  code.set(index);
  const perVector = 16 / bytes;
  targets.forEach((target, position) => {
    if (target.kind !== "register") return;
    group.vectors(target.register).forEach((local, part) => {
      const offset = constant + position * bytes;
      if (step === bytes) {
        code
          .get(index)
          .access("v128.load", offset + part * 16)
          .set(local);
        return;
      }
      const at = (lane: number) => offset + (part * perVector + lane) * step;
      code
        .get(index)
        .access(bytes === 4 ? "v128.load32_zero" : "v128.load64_zero", at(0))
        .set(local);
      for (let lane = 1; lane < perVector; lane++) {
        code
          .get(index)
          .get(local)
          .accessLane(bytes === 4 ? "v128.load32_lane" : "v128.load64_lane", at(lane), lane);
        code.set(local);
      }
    });
  });
}

export function storeStepping(group: Group, instruction: Instruction, plan: AccessPlan): void {
  const { code, emitter } = group;
  const { type, count } = memoryAccess(instruction);
  const bytes = typeBytes[type];
  const sources = elements(instruction.operands[1], count, instruction);
  const { constant, step } = pushFirst(group, instruction, plan);
  const index = emitter.scratch("i32", "index");
  code.set(index);
  const perVector = 16 / bytes;
  const value = group.scratch("stored");
  for (let part = 0; part < group.parts(type); part++) {
    sources.forEach((source, position) => {
      const offset = constant + position * bytes;
      const own = source.kind === "register" ? source.register.type : type;
      if (step === bytes) {
        code.get(index);
        group.push(source, own, { part, at: instruction });
        code.access("v128.store", offset + part * 16);
        return;
      }
      group.push(source, own, { part, at: instruction });
      code.set(value);
      for (let lane = 0; lane < perVector; lane++) {
        const name = bytes === 4 ? "v128.store32_lane" : "v128.store64_lane";
        code
          .get(index)
          .get(value)
          .accessLane(name, offset + (part * perVector + lane) * step, lane);
      }
    });
  }
}
