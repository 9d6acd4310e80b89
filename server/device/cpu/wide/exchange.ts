/** What threads side by side leave for others of their warp or block when they stop, and read when they go on: shuffles as vectors, the rest thread by thread. */

import { accesses, isMatrixExchange, readsOnResuming } from "../compile/traits.ts";
import { readSuspension, suspensionOf, writeSuspension } from "../emit/warp.ts";
import { LANES } from "../ptx/lanes.ts";
import type { Instruction } from "../ptx/program.ts";
import type { Group } from "./group.ts";

/** Whether a suspension can be written here. */
export function hasExchange(instruction: Instruction): boolean {
  const { base, modifiers } = instruction.mnemonic;
  if (base === LANES) return modifiers.has("step") && instruction.operands.length === 0;
  return base !== "call" && !isMatrixExchange(instruction);
}

/** Whether threads leave nothing at it, and read nothing behind it. */
const isBare = (instruction: Instruction): boolean => {
  if (instruction.mnemonic.base === LANES) return true;
  const suspension = suspensionOf(instruction);
  return suspension.kind === "barrier" && suspension.id !== undefined && suspension.reduction === undefined;
};

export function writeExchange(group: Group, instruction: Instruction): void {
  if (isBare(instruction) || suspensionOf(instruction).kind === "active") return;
  const reads = new Set(accesses(instruction).reads);
  group.asLanes({ reads, writes: [], usesThread: true }, () => writeSuspension(group.emitter, instruction));
}

export function readExchange(group: Group, instruction: Instruction): void {
  if (isBare(instruction)) return;
  const reads = new Set(readsOnResuming(instruction));
  const { writes } = accesses(instruction);
  group.asLanes({ reads, writes, usesThread: true }, () => readSuspension(group.emitter, instruction));
}
