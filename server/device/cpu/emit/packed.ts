/** Two integers of 16 bits in a word: sums, minima and maxima lane by lane; and words put together from numbers that are clamped. */
import type { Emitter } from "../compile/emitter.ts";
import { badImage, type Instruction, type PtxType, unsupported } from "../ptx/program.ts";
import type { Handlers } from "./handler.ts";
import { pushAll } from "./integer.ts";

export const isPacked = ({ mnemonic }: Instruction): boolean =>
  mnemonic.types[0] === "u16x2" || mnemonic.types[0] === "s16x2";

/** Carries stop at the top bit of each lane. */
export function addPacked(emitter: Emitter, instruction: Instruction): void {
  const { code } = emitter;
  const [a, b] = [emitter.scratch("i32", "a"), emitter.scratch("i32", "b")];
  pushAll(emitter, instruction, { type: "b32", count: 2 });
  code.set(b).set(a);
  code.get(a).i32(0x7fff7fff).op("i32.and").get(b).i32(0x7fff7fff).op("i32.and").op("i32.add");
  code.get(a).get(b).op("i32.xor").i32(0x80008000).op("i32.and").op("i32.xor");
  emitter.pop(instruction.operands[0], "b32", instruction);
}

export function choosePacked(name: "min" | "max") {
  return (emitter: Emitter, instruction: Instruction): void => {
    const { code } = emitter;
    const { types, modifiers } = instruction.mnemonic;
    const isSigned = types[0] === "s16x2";
    const [a, b, x, y] = ["a", "b", "x", "y"].map((local) => emitter.scratch("i32", local)) as [
      number,
      number,
      number,
      number,
    ];
    pushAll(emitter, instruction, { type: "b32", count: 2 });
    code.set(b).set(a);
    for (const lane of [0, 1]) {
      for (const [from, to] of [
        [a, x],
        [b, y],
      ] as const) {
        code.get(from);
        if (lane === 0) code.i32(16).op("i32.shl");
        code
          .i32(16)
          .op(isSigned ? "i32.shr_s" : "i32.shr_u")
          .set(to);
      }
      code.get(x).get(y).get(x).get(y);
      code.op(`i32.${name === "min" ? "lt" : "gt"}_${isSigned ? "s" : "u"}`).op("select");
      if (modifiers.has("relu")) code.tee(x).i32(0).get(x).i32(0).op("i32.gt_s").op("select");
      if (lane === 0) code.i32(0xffff).op("i32.and");
      else code.i32(16).op("i32.shl").op("i32.or");
    }
    emitter.pop(instruction.operands[0], "b32", instruction);
  };
}

/** Bits of the types to which `cvt.pack` clamps, and whether they have a sign. */
const packedTypes: Readonly<Record<string, readonly [bits: number, isSigned: boolean]>> = {
  u16: [16, false],
  s16: [16, true],
  u8: [8, false],
  s8: [8, true],
  u4: [4, false],
  s4: [4, true],
  u2: [2, false],
  s2: [2, true],
};

/** cvt.pack: the first number above the second; with a third operand, below what is left of that when both have come in. */
export function packClamped(emitter: Emitter, instruction: Instruction): void {
  const parts = instruction.mnemonic.text.split(".");
  const to = packedTypes[parts[3] ?? ""];
  const hasRest = parts[5] === "b32";
  if (parts[2] !== "sat" || to === undefined || parts[4] !== "s32" || hasRest === (to[0] === 16))
    throw unsupported(instruction);
  if (instruction.operands.length !== (hasRest ? 4 : 3))
    throw badImage(instruction.line, `[${instruction.mnemonic.text}] has a wrong number of operands`);
  const [bits, isSigned] = to;
  const { code } = emitter;
  const value = emitter.scratch("i32", "value");
  const [min, max] = isSigned ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
  for (const index of [1, 2]) {
    emitter.push(instruction.operands[index], "s32", instruction);
    code.set(value).i32(max).get(value).get(value).i32(max).op("i32.gt_s").op("select").set(value);
    code.i32(min).get(value).get(value).i32(min).op("i32.lt_s").op("select");
    code.i32(2 ** bits - 1).op("i32.and");
    if (index === 1) code.i32(bits).op("i32.shl");
    else code.op("i32.or");
  }
  if (hasRest) {
    emitter.push(instruction.operands[3], "b32", instruction);
    code
      .i32(2 * bits)
      .op("i32.shl")
      .op("i32.or");
  }
  emitter.pop(instruction.operands[0], "b32", instruction);
}

/** A number of any size stands for a policy: caches are the machine's. */
function createPolicy(emitter: Emitter, instruction: Instruction): void {
  emitter.code.i64(0n);
  emitter.pop(instruction.operands[0], "b64", instruction);
}

/** mapa: the block is the only one of its cluster, so that shared memory of the cluster is its own. */
function mapRank(emitter: Emitter, instruction: Instruction): void {
  const type: PtxType = instruction.mnemonic.types[0] === "u64" ? "u64" : "u32";
  emitter.push(instruction.operands[1], type, instruction);
  emitter.pop(instruction.operands[0], type, instruction);
}

function rankOf(emitter: Emitter, instruction: Instruction): void {
  emitter.code.i32(0);
  emitter.pop(instruction.operands[0], "u32", instruction);
}

/** elect: the lowest lane of the mask, whose lanes are all here. */
function elect(emitter: Emitter, instruction: Instruction): void {
  const { code, frame } = emitter;
  const [target, mask] = instruction.operands;
  if (target?.kind !== "pair") throw badImage(instruction.line, "elect.sync has two results");
  const leader = emitter.scratch("i32", "leader");
  emitter.push(mask, "b32", instruction);
  code.op("i32.ctz").tee(leader);
  emitter.pop(target.first, "b32", instruction);
  code.get(leader).get(frame.thread).i32(31).op("i32.and").op("i32.eq");
  emitter.pop(target.second, "pred", instruction);
}

export const packedHandlers: Handlers = {
  createpolicy: {
    allows: "fractional range cvt global L2 L2::evict_last L2::evict_normal L2::evict_first L2::evict_unchanged",
    emit: createPolicy,
  },
  mapa: { allows: "shared::cluster", emit: mapRank },
  getctarank: { allows: "shared::cluster", emit: rankOf },
  // Of a cluster; all others wait (emit/warp.ts).
  barrier: { allows: "cluster arrive aligned release relaxed", emit: () => {} },
  elect: { allows: "sync", emit: elect },
  // Programs that overlap: here one has ended when the next begins.
  griddepcontrol: { allows: "wait launch_dependents", emit: () => {} },
};
