/**
 * Programs for which one lane of each warp stands for all. GCC compiles OpenMP so (`-muniform-simt`, in its manual among the options of Nvidia
 * PTX): all lanes run the same, and what they do to memory must be as if only the first of the warp did it, except while the warp's word in the
 * shared array `__nvptx_uni` is not zero. Hardware manages by running a warp in lockstep. Here the other lanes rest, and a store to that
 * array is where the scheduler wakes them, as copies of the first, or sends them to rest. A function without calls has no such store: its lanes
 * are woken where it reads `%laneid`, and rest when it returns.
 */
import type { Instruction, Operand, Register, Routine } from "./program.ts";

/** The array that says which warps run with all their lanes. */
export const LANE_SWITCH = "__nvptx_uni";

/** In place of the opcode of a store to it. No text can have it. */
export const LANES = "(lanes)";

/** The instructions with those stores marked. What addresses the array is followed along the text, as its one compiler writes it. */
export function markLaneSwitches(instructions: readonly Instruction[]): Instruction[] {
  const addresses = new Set<Register>();
  const isAddress = (operand: Operand): boolean =>
    operand.kind === "register" ? addresses.has(operand.register) : isArray(operand);
  return instructions.map((instruction) => {
    const { mnemonic, operands } = instruction;
    const [first, ...rest] = operands;
    if (["mov", "add", "mad"].includes(mnemonic.base) && first?.kind === "register") {
      if (rest.some(isAddress)) addresses.add(first.register);
      else addresses.delete(first.register);
    }
    if (mnemonic.base !== "st" || first?.kind !== "memory" || first.base === undefined) return instruction;
    const isSwitch = "space" in first.base ? first.base.name === LANE_SWITCH : addresses.has(first.base);
    return isSwitch ? { ...instruction, mnemonic: { ...mnemonic, base: LANES } } : instruction;
  });
}

const isArray = (operand: Operand): boolean => operand.kind === "variable" && operand.variable.name === LANE_SWITCH;

/** The store that a marked instruction was. */
export const storeOf = (instruction: Instruction): Instruction => ({
  ...instruction,
  mnemonic: { ...instruction.mnemonic, base: "st" },
});

/** A place for the scheduler that no instruction of the program stands for. */
export const laneMarker = (modifier: string, line: number): Instruction => ({
  mnemonic: { text: LANES, base: LANES, modifiers: new Set([modifier]), types: [] },
  operands: [],
  guard: undefined,
  line,
});

/** All lanes of the warp go on, as copies of the one that has run. */
export const wakeLanes = (line: number): Instruction => laneMarker("wake", line);
/** If that woke them, they rest again. */
export const restLanes = (line: number): Instruction => laneMarker("rest", line);

const isNamed = (operand: Operand): boolean => {
  if (operand.kind === "variable") return operand.variable.name === LANE_SWITCH;
  return operand.kind === "memory" && operand.base !== undefined && "space" in operand.base
    ? operand.base.name === LANE_SWITCH
    : false;
};

export const readsLane = ({ operands }: Instruction): boolean =>
  operands.some((operand) => operand.kind === "special" && operand.name === "%laneid");

/** Whether a function uses the lanes of its warp without a switch. */
export const usesLanes = ({ isEntry, instructions }: Routine): boolean =>
  !isEntry && instructions.some(readsLane) && !instructions.some(({ operands }) => operands.some(isNamed));
