/** Sums and products of 16-bit floats with a 32-bit one, in 32 bits: `add.f32.f16 d, a, c` and its kin. */
import type { Emitter } from "../compile/emitter.ts";
import { badImage, type Instruction, unsupported } from "../ptx/program.ts";
import { arithmetic, popFloat } from "./float.ts";
import { isHalf, laneCount, laneType, pushLane, wordOf } from "./half.ts";

export const isMixed = ({ mnemonic: { types } }: Instruction): boolean =>
  types.length === 2 && types[0] === "f32" && isHalf(types[1]);

/** `halves`: how many of the operands are of 16 bits; one of 32 follows. */
export function mixedArithmetic(name: "add" | "sub" | "fma", halves: 1 | 2) {
  return (emitter: Emitter, instruction: Instruction): void => {
    const type = instruction.mnemonic.types[1]!;
    if (laneCount(type) !== 1) throw unsupported(instruction);
    if (instruction.operands.length !== halves + 2)
      throw badImage(instruction.line, `[${instruction.mnemonic.text}] needs [${halves + 2}] operands`);
    for (let index = 1; index <= halves; index++) {
      const word = wordOf(emitter, instruction, { type: laneType(type), index });
      pushLane(emitter, type, { word, lane: 0 });
    }
    emitter.push(instruction.operands[halves + 1], "f32", instruction);
    arithmetic(emitter, instruction, { name, type: "f32", count: halves + 1 });
    popFloat(emitter, instruction, "f32");
  };
}
