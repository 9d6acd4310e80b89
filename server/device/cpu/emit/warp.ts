/**
 * What threads of a warp or block do together. Before the suspension each thread leaves its operands in the exchange planes; when it
 * goes on it reads the others' there. `write...` is emitted at the end of the region before, `read...` at the start of the region behind.
 */
import type { Emitter } from "../compile/emitter.ts";
import { isMatrixExchange } from "../compile/traits.ts";
import { LANES, storeOf } from "../ptx/lanes.ts";
import { badImage, type Instruction, type Operand, type PtxType, unsupported } from "../ptx/program.ts";
import { Context, LaneSwitch, PLANE_BYTES } from "../run/layout.ts";
import { matrixPlanes, readMatrices, writeMatrices } from "./matrix.ts";
import { store } from "./memory.ts";

/** What the scheduler must know about a suspension. Plain data: it travels to the workers. */
export type Suspension =
  | { readonly kind: "entry" }
  /** Behind a call of a function that may wait, or at its entry: there is nothing to wait for. */
  | { readonly kind: "call" }
  | { readonly kind: "yield" }
  /** Wakes the lanes of a warp as copies of its first, or sends all but the first to rest, by the LaneSwitch that each leaves. */
  | { readonly kind: "lanes" }
  /** Goes on with whoever is there. `order`: lanes that wait at a lower one are behind others, as control flows. */
  | { readonly kind: "active"; readonly order: number }
  /** `planes`: how many exchange planes it uses, where those are more than two. */
  | { readonly kind: "warp"; readonly planes?: number }
  | {
      readonly kind: "barrier";
      /** Its number, where it is constant and all threads of the block take part; else each thread leaves number and count. */
      readonly id: number | undefined;
      readonly reduction: "popc" | "and" | "or" | undefined;
      readonly isArrival: boolean;
    };

/** The number of the barrier of a block that is the only one of its cluster: behind those that programs can name. */
const CLUSTER_BARRIER = 16;

const allowed: Record<string, string> = {
  bar: "sync arrive red warp popc and or cta",
  barrier: "cta cluster sync arrive wait red aligned popc and or release acquire relaxed",
  shfl: "sync up down bfly idx",
  vote: "sync all any uni ballot",
  match: "any all sync",
  activemask: "",
  redux: "sync add min max and or xor",
};

/** Classifies the instruction, and refuses forms that this device does not have. */
export function suspensionOf(instruction: Instruction): Suspension {
  const { base, modifiers } = instruction.mnemonic;
  if (isMatrixExchange(instruction)) return { kind: "warp", planes: matrixPlanes(instruction) };
  if (base === LANES) return modifiers.has("step") ? { kind: "active", order: 0 } : { kind: "lanes" };
  const permitted = (allowed[base] ?? "").split(" ");
  for (const modifier of modifiers) if (!permitted.includes(modifier)) throw unsupported(instruction);
  if (base === "activemask") return { kind: "active", order: 0 };
  if ((base !== "bar" && base !== "barrier") || modifiers.has("warp")) return { kind: "warp" };
  const reduction = modifiers.has("red")
    ? (["popc", "and", "or"] as const).find((name) => modifiers.has(name))
    : undefined;
  const { id, count } = barrierOperands(instruction);
  if (modifiers.has("cluster")) return { kind: "barrier", id: CLUSTER_BARRIER, reduction, isArrival: false };
  return {
    kind: "barrier",
    id: count === undefined && id?.kind === "integer" && !modifiers.has("arrive") ? Number(id.value & 15n) : undefined,
    reduction,
    isArrival: modifiers.has("arrive"),
  };
}

function barrierOperands({ mnemonic, operands }: Instruction): {
  id: Operand | undefined;
  count: Operand | undefined;
  predicate: Operand | undefined;
} {
  if (!mnemonic.modifiers.has("red")) return { id: operands[0], count: operands[1], predicate: undefined };
  const predicate = operands[operands.length - 1];
  return { id: operands[1], count: operands.length === 4 ? operands[2] : undefined, predicate };
}

/** Emits what a thread leaves behind when it suspends at `instruction`. */
export function writeSuspension(emitter: Emitter, instruction: Instruction): void {
  const { base, modifiers } = instruction.mnemonic;
  const suspension = suspensionOf(instruction);
  if (isMatrixExchange(instruction)) {
    writeMask(emitter, instruction, instruction.operands.length);
    writeMatrices(emitter, instruction, (plane, push) => writePlane(emitter, plane, push));
  } else if (suspension.kind === "lanes") {
    writeWord(emitter, Context.SYNC, () => {
      if (modifiers.has("wake")) emitter.code.i32(LaneSwitch.USE);
      else if (modifiers.has("rest")) emitter.code.i32(LaneSwitch.END);
      else {
        emitter.push(instruction.operands[1], "u32", instruction);
        emitter.code.i32(0).op("i32.ne");
      }
    });
  } else if (suspension.kind === "barrier") writeBarrier(emitter, instruction, suspension.id !== undefined);
  else if (suspension.kind === "warp") {
    if (base === "bar")
      writeWord(emitter, Context.SYNC, () => emitter.push(instruction.operands[0], "u32", instruction));
    else writeMask(emitter, instruction, base === "shfl" ? 4 : 2);
    if (base === "shfl") writeShuffle(emitter, instruction);
    else if (base === "vote") {
      writePlane(emitter, 0, () => {
        emitter.code.i32(0);
        emitter.push(instruction.operands[1], "pred", instruction);
        emitter.op("i32.sub");
      });
    } else if (base === "match" || base === "redux") writeValue(emitter, instruction);
  }
  if (base === "redux" && !["u32", "s32", "b32"].includes(instruction.mnemonic.types[0] ?? ""))
    throw unsupported(instruction);
  if (base === "shfl" && modifiers.size === 0) throw unsupported(instruction);
}

/** Emits what a thread does first when it goes on behind `instruction`. */
export function readSuspension(emitter: Emitter, instruction: Instruction): void {
  const { base, modifiers } = instruction.mnemonic;
  if (isMatrixExchange(instruction)) readMatrices(emitter, instruction, (plane) => pushWarpPlane(emitter, plane));
  else if (base === LANES) {
    if (instruction.operands.length > 0) store(emitter, storeOf(instruction));
  } else if (base === "shfl") readShuffle(emitter, instruction);
  else if (base === "vote") readVote(emitter, instruction);
  else if (base === "match") readMatch(emitter, instruction);
  else if (base === "redux") readReduction(emitter, instruction);
  else if (base === "activemask") {
    pushActive(emitter);
    emitter.pop(instruction.operands[0], "b32", instruction);
  } else if (modifiers.has("red")) {
    emitter.code.get(emitter.frame.context).access("i32.load", Context.BARRIER_RESULT);
    const type: PtxType = modifiers.has("popc") ? "u32" : "pred";
    emitter.pop(instruction.operands[0], type, instruction);
  }
}

/** Stores a word in one of the per-thread arrays of the context. */
function writeWord(emitter: Emitter, offset: number, push: () => void): void {
  const { code, frame } = emitter;
  code.get(frame.thread).i32(2).op("i32.shl").get(frame.context).op("i32.add");
  push();
  code.access("i32.store", offset);
}

function writePlane(emitter: Emitter, plane: number, push: () => void): void {
  const { code, frame } = emitter;
  code.get(frame.context).access("i32.load", Context.EXCHANGE_WRITE);
  code.get(frame.thread).i32(2).op("i32.shl").op("i32.add");
  push();
  code.access("i32.store", plane * PLANE_BYTES);
}

function writeMask(emitter: Emitter, instruction: Instruction, index: number): void {
  const mask = instruction.operands[index];
  writeWord(emitter, Context.SYNC, () => {
    if (mask === undefined) emitter.code.i32(-1);
    else emitter.push(mask, "u32", instruction);
  });
}

function writeBarrier(emitter: Emitter, instruction: Instruction, isPlain: boolean): void {
  const { id, count, predicate } = barrierOperands(instruction);
  if (predicate !== undefined) writePlane(emitter, 0, () => emitter.push(predicate, "pred", instruction));
  if (isPlain) return;
  writeWord(emitter, Context.SYNC, () => {
    emitter.push(id, "u32", instruction);
    emitter.code.i32(15).op("i32.and");
  });
  writeWord(emitter, Context.SYNC_COUNT, () => {
    if (count === undefined) emitter.code.i32(0);
    else emitter.push(count, "u32", instruction);
  });
}

function writeValue(emitter: Emitter, instruction: Instruction): void {
  const isWide = instruction.mnemonic.types[0] === "b64";
  const value = instruction.operands[1];
  if (!isWide) {
    writePlane(emitter, 0, () => emitter.push(value, "b32", instruction));
    return;
  }
  for (const plane of [0, 1] as const) {
    writePlane(emitter, plane, () => {
      emitter.push(value, "b64", instruction);
      if (plane === 1) emitter.code.i64(32n).op("i64.shr_u");
      emitter.op("i32.wrap_i64");
    });
  }
}

/** The lane to read from is known before waiting: it goes to the second plane, with the predicate in bit 8. */
function writeShuffle(emitter: Emitter, instruction: Instruction): void {
  const { modifiers } = instruction.mnemonic;
  const { code, frame } = emitter;
  const [, value, b, c] = instruction.operands;
  const [lane, segment, from, last] = ["lane", "segment", "from", "last"].map((name) =>
    emitter.scratch("i32", name),
  ) as [number, number, number, number];
  writePlane(emitter, 0, () => emitter.push(value, "b32", instruction));
  code.get(frame.thread).i32(31).op("i32.and").set(lane);
  emitter.push(c, "u32", instruction);
  code.i32(8).op("i32.shr_u").i32(31).op("i32.and").set(segment);
  // last = (lane & segment) | (c & ~segment)
  code.get(lane).get(segment).op("i32.and");
  emitter.push(c, "u32", instruction);
  code.i32(31).op("i32.and").get(segment).i32(-1).op("i32.xor").op("i32.and").op("i32.or").set(last);
  const offset = () => {
    emitter.push(b, "u32", instruction);
    code.i32(31).op("i32.and");
  };
  code.get(lane);
  if (modifiers.has("idx")) {
    code.get(segment).op("i32.and");
    offset();
    code.get(segment).i32(-1).op("i32.xor").op("i32.and").op("i32.or");
  } else {
    offset();
    code.op(modifiers.has("up") ? "i32.sub" : modifiers.has("down") ? "i32.add" : "i32.xor");
  }
  code.set(from);
  const inside = () =>
    code
      .get(from)
      .get(last)
      .op(modifiers.has("up") ? "i32.ge_s" : "i32.le_s");
  writePlane(emitter, 1, () => {
    code.get(from).i32(256).op("i32.or").get(lane);
    inside().op("select");
  });
}

function readShuffle(emitter: Emitter, instruction: Instruction): void {
  const { code, frame } = emitter;
  const [target] = instruction.operands;
  const from = emitter.scratch("i32", "from");
  const plane = emitter.scratch("i32", "plane");
  code.get(frame.context).access("i32.load", Context.EXCHANGE_READ).tee(plane);
  code.get(frame.thread).i32(2).op("i32.shl").op("i32.add").access("i32.load", PLANE_BYTES).set(from);
  // (thread & ~31) + lane
  code.get(frame.thread).i32(-32).op("i32.and").get(from).i32(31).op("i32.and").op("i32.or");
  code.i32(2).op("i32.shl").get(plane).op("i32.add").access("i32.load", 0);
  const isPair = target?.kind === "pair";
  emitter.pop(isPair ? target.first : target, "b32", instruction);
  if (!isPair) return;
  code.get(from).i32(8).op("i32.shr_u");
  emitter.pop(target.second, "pred", instruction);
}

/** Pushes the mask of the warp's lanes that take part. */
function pushActive({ code, frame }: Emitter): void {
  code.get(frame.thread).i32(5).op("i32.shr_u").i32(2).op("i32.shl").get(frame.context).op("i32.add");
  code.access("i32.load", Context.ACTIVE_LANES);
}

/** Pushes the lanes that take part and are in the thread's own mask. */
function pushMembers(emitter: Emitter): void {
  const { code, frame } = emitter;
  pushActive(emitter);
  code.get(frame.thread).i32(2).op("i32.shl").get(frame.context).op("i32.add").access("i32.load", Context.SYNC);
  code.op("i32.and");
}

/** Pushes the address of the warp's first word in a plane. */
function pushWarpPlane({ code, frame }: Emitter, plane = 0): void {
  code.get(frame.context).access("i32.load", Context.EXCHANGE_READ);
  code.get(frame.thread).i32(-32).op("i32.and").i32(2).op("i32.shl").op("i32.add");
  if (plane > 0) code.i32(plane * PLANE_BYTES).op("i32.add");
}

function readVote(emitter: Emitter, instruction: Instruction): void {
  const { modifiers } = instruction.mnemonic;
  const { code } = emitter;
  const members = emitter.scratch("i32", "members");
  const bits = emitter.scratch("i32", "bits");
  pushMembers(emitter);
  code.set(members);
  pushWarpPlane(emitter);
  emitter.helper("ballot");
  code.get(members).op("i32.and").set(bits);
  code.get(bits);
  if (modifiers.has("ballot")) {
    emitter.pop(instruction.operands[0], "b32", instruction);
    return;
  }
  if (modifiers.has("all")) code.get(members).op("i32.eq");
  else if (modifiers.has("any")) code.i32(0).op("i32.ne");
  else if (modifiers.has("uni")) code.op("i32.eqz").get(bits).get(members).op("i32.eq").op("i32.or");
  else throw badImage(instruction.line, "a vote names no kind");
  emitter.pop(instruction.operands[0], "pred", instruction);
}

function readMatch(emitter: Emitter, instruction: Instruction): void {
  const { modifiers, types } = instruction.mnemonic;
  const { code, frame } = emitter;
  const found = emitter.scratch("i32", "bits");
  pushMembers(emitter);
  code.set(found);
  const members = emitter.scratch("i32", "members");
  code.get(found).set(members);
  for (const plane of types[0] === "b64" ? ([0, 1] as const) : ([0] as const)) {
    pushWarpPlane(emitter, plane);
    code.get(frame.context).access("i32.load", Context.EXCHANGE_READ);
    code
      .get(frame.thread)
      .i32(2)
      .op("i32.shl")
      .op("i32.add")
      .access("i32.load", plane * PLANE_BYTES);
    code.get(found);
    emitter.helper("match_any_32");
    code.set(found);
  }
  const [target] = instruction.operands;
  const isPair = target?.kind === "pair";
  if (modifiers.has("any")) {
    code.get(found);
    emitter.pop(target, "b32", instruction);
    return;
  }
  const isSame = () => code.get(found).get(members).op("i32.eq");
  code.get(members).i32(0);
  isSame().op("select");
  emitter.pop(isPair ? target.first : target, "b32", instruction);
  if (!isPair) return;
  isSame();
  emitter.pop(target.second, "pred", instruction);
}

function readReduction(emitter: Emitter, instruction: Instruction): void {
  const { modifiers, types } = instruction.mnemonic;
  const name = ["add", "min", "max", "and", "or", "xor"].find((one) => modifiers.has(one));
  if (name === undefined) throw badImage(instruction.line, "a reduction names no operation");
  pushWarpPlane(emitter);
  pushMembers(emitter);
  emitter.helper(
    name === "min" || name === "max" ? `reduce_${name}_${types[0] === "s32" ? "s32" : "u32"}` : `reduce_${name}`,
  );
  emitter.pop(instruction.operands[0], "b32", instruction);
}
