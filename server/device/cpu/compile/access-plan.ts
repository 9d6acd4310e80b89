/**
 * Finds loads and stores of one block that share a base register, so that one bounds check covers them all. That is exact: in a
 * block all of them run or none, and a kernel that faults leaves nothing behind that anyone may read.
 */
import type { Instruction, Register } from "../ptx/program.ts";
import { memoryAccess, type Space } from "./memory-access.ts";
import { accesses } from "./traits.ts";

/** Accesses of one size through one value of a register, from the lowest to the highest offset. */
export interface AccessGroup {
  low: number;
  high: number;
  /** The local with the checked index of the lowest access, once written. */
  local: number | undefined;
}
export type AccessPlan = ReadonlyMap<Instruction, AccessGroup>;

/** Beyond this distance a check of its own is clearer than a joint one. */
const SPAN_BYTES_MAX = 32_768;

const joinable: readonly (Space | undefined)[] = ["global", "const", "shared"];

export function planAccesses(instructions: readonly Instruction[]): AccessPlan {
  const plan = new Map<Instruction, AccessGroup>();
  let open = new Map<Register, Map<string, AccessGroup>>();
  for (const instruction of instructions) {
    const { base } = instruction.mnemonic;
    // A call may not return.
    if (base === "call") open = new Map();
    const access = base === "ld" || base === "st" ? memoryAccess(instruction) : undefined;
    if (access !== undefined && instruction.guard === undefined && joinable.includes(access.space)) {
      const { operand, bytes, space } = access;
      if (operand.base !== undefined && !("space" in operand.base)) {
        const groups = open.get(operand.base) ?? new Map<string, AccessGroup>();
        open.set(operand.base, groups);
        const { offset } = operand;
        const key = `${space === "shared"}:${bytes}:${((offset % bytes) + bytes) % bytes}`;
        let group = groups.get(key);
        if (group === undefined || Math.max(group.high, offset) - Math.min(group.low, offset) > SPAN_BYTES_MAX) {
          group = { low: offset, high: offset, local: undefined };
          groups.set(key, group);
        }
        group.low = Math.min(group.low, offset);
        group.high = Math.max(group.high, offset);
        plan.set(instruction, group);
      }
    }
    for (const register of accesses(instruction).writes) open.delete(register);
  }
  return plan;
}
