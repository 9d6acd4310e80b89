/**
 * atom and red. On global memory they are WebAssembly's atomics, or loops of compare and exchange where there is no such
 * operation. Shared memory belongs to one worker whose threads take turns, so plain loads and stores are atomic there.
 */
import { type Emitter, wasmType } from "../compile/emitter.ts";
import { addressOperand, type Space, spaceOf } from "../compile/memory-access.ts";
import { badImage, type Instruction, type Operand, type PtxType, typeBytes, unsupported } from "../ptx/program.ts";
import type { OpName } from "../wasm/opcodes.ts";
import { pushIndex } from "./address.ts";
import { flush } from "./float.ts";
import { isHalf, pushSum } from "./half.ts";
import type { Handlers } from "./handler.ts";
import { signed } from "./integer.ts";

const operations = ["add", "and", "or", "xor", "exch", "cas", "min", "max", "inc", "dec"] as const;
type Operation = (typeof operations)[number];

/** Operations that WebAssembly has, on any integer. */
const native: Partial<Record<Operation, string>> = { add: "add", and: "and", or: "or", xor: "xor", exch: "xchg" };

interface Atomic {
  readonly operation: Operation;
  readonly type: PtxType;
  /** Sums of f32 in global memory, as the manual has it. */
  readonly flushes: boolean;
  /** How the memory word is held. */
  readonly bits: "i32" | "i64";
  /** Undefined for `red`. */
  readonly target: Operand | undefined;
  readonly instruction: Instruction;
  readonly constant: number;
  readonly index: number;
  readonly value: number;
  readonly swap: number;
}

function emitAtomic(emitter: Emitter, instruction: Instruction): void {
  const { base, modifiers, types } = instruction.mnemonic;
  const operation = operations.find((name) => modifiers.has(name));
  const type = types[0];
  if (operation === undefined || type === undefined || types.length !== 1) throw unsupported(instruction);
  requireType(instruction, operation, type);
  const first = base === "red" ? 0 : 1;
  const { code } = emitter;
  const operand = addressOperand(instruction, first);
  const named = operand.base !== undefined && "space" in operand.base ? operand.base.space : undefined;
  const space: Space | undefined = named ?? spaceOf(instruction);
  if (space !== undefined && space !== "global" && space !== "shared") throw unsupported(instruction);
  const bits = typeBytes[type] === 8 ? "i64" : "i32";
  const kind = wasmType(type);
  const atomic: Atomic = {
    operation,
    type,
    flushes: space === "global" && type === "f32" && operation === "add",
    bits,
    target: base === "red" ? undefined : instruction.operands[0],
    instruction,
    constant: pushIndex(emitter, operand, { space, bytes: typeBytes[type], at: instruction }),
    index: emitter.scratch("i32", "atomic"),
    value: emitter.scratch(kind, "operand"),
    swap: emitter.scratch(kind, "swap"),
  };
  code.set(atomic.index);
  emitter.push(instruction.operands[first + 1], type, instruction);
  code.set(atomic.value);
  if (operation === "cas") {
    emitter.push(instruction.operands[first + 2], type, instruction);
    code.set(atomic.swap);
  }
  if (space === "shared") plain(emitter, atomic);
  else if (operation === "cas") compareAndSwap(emitter, atomic);
  else if (native[operation] !== undefined && kind === bits && !isHalf(type)) {
    code.get(atomic.index).get(atomic.value);
    code.access(`${bits}.atomic.rmw.${native[operation]}` as OpName, atomic.constant);
    finish(emitter, atomic);
  } else retry(emitter, atomic);
}

function requireType(instruction: Instruction, operation: Operation, type: PtxType): void {
  const isWord = typeBytes[type] === 4 || typeBytes[type] === 8;
  const isFloat = type === "f32" || type === "f64";
  const small = (type === "b16" && operation === "cas") || (isHalf(type) && operation === "add");
  if (type.includes("16") && !small) throw unsupported(instruction, `on [${type}]`);
  if (type.includes("128") || (!isWord && !small)) throw unsupported(instruction, `on [${type}]`);
  if (isFloat && operation !== "add" && operation !== "exch") throw unsupported(instruction, `on [${type}]`);
  if ((operation === "inc" || operation === "dec") && type !== "u32")
    throw badImage(instruction.line, "inc and dec are on u32");
}

/** With the old bits pushed: writes the result register, or drops them. */
function finish(emitter: Emitter, { target, type, instruction }: Atomic): void {
  if (target === undefined) emitter.op("drop");
  else emitter.pop(target, bitsOf(type), instruction);
}

const bitsOf = (type: PtxType): PtxType => (typeBytes[type] === 8 ? "b64" : typeBytes[type] === 2 ? "b16" : "b32");

const loadName = ({ type, bits }: Atomic): OpName => (typeBytes[type] === 2 ? "i32.load16_u" : `${bits}.load`);
const storeName = ({ type, bits }: Atomic): OpName => (typeBytes[type] === 2 ? "i32.store16" : `${bits}.store`);

/** Pushes what the word becomes, as bits, from the old bits in a local. */
function pushNext(emitter: Emitter, atomic: Atomic, old: number): void {
  const { code } = emitter;
  const { operation, type, value } = atomic;
  const both = (name: OpName) => code.get(old).get(value).op(name);
  if (isHalf(type)) pushSum(emitter, type, { left: old, right: value });
  else if (type === "f32" || type === "f64") {
    if (operation === "exch") code.get(value);
    else {
      code.get(old).op(type === "f32" ? "f32.reinterpret_i32" : "f64.reinterpret_i64");
      if (atomic.flushes) flush(emitter);
      code.get(value);
      if (atomic.flushes) flush(emitter);
      code.op(`${type}.add`);
      if (atomic.flushes) flush(emitter);
    }
    code.op(type === "f32" ? "i32.reinterpret_f32" : "i64.reinterpret_f64");
  } else if (operation === "exch") code.get(value);
  else if (operation === "min" || operation === "max") {
    code.get(old).get(value);
    both(signed(operation === "min" ? "lt" : "gt", type)).op("select");
  } else if (operation === "inc") {
    // old >= value ? 0 : old + 1
    code.i32(0).get(old).i32(1).op("i32.add");
    both("i32.ge_u").op("select");
  } else if (operation === "dec") {
    // old == 0 || old > value ? value : old - 1
    code.get(value).get(old).i32(1).op("i32.sub");
    code.get(old).op("i32.eqz");
    both("i32.gt_u").op("i32.or").op("select");
  } else both(`${wasmType(type)}.${operation}` as OpName);
}

function plain(emitter: Emitter, atomic: Atomic): void {
  const { code } = emitter;
  const old = emitter.scratch(atomic.bits, "old");
  code.get(atomic.index).access(loadName(atomic), atomic.constant).set(old);
  if (atomic.operation === "cas") {
    code.get(old).get(atomic.value).op(`${atomic.bits}.eq`);
    code.if();
    code.get(atomic.index).get(atomic.swap).access(storeName(atomic), atomic.constant);
    code.end();
  } else {
    code.get(atomic.index);
    pushNext(emitter, atomic, old);
    code.access(storeName(atomic), atomic.constant);
  }
  code.get(old);
  finish(emitter, atomic);
}

function compareAndSwap(emitter: Emitter, atomic: Atomic): void {
  const name = typeBytes[atomic.type] === 2 ? "i32.atomic.rmw16.cmpxchg_u" : `${atomic.bits}.atomic.rmw.cmpxchg`;
  emitter.code
    .get(atomic.index)
    .get(atomic.value)
    .get(atomic.swap)
    .access(name as OpName, atomic.constant);
  finish(emitter, atomic);
}

function retry(emitter: Emitter, atomic: Atomic): void {
  const { code } = emitter;
  const { bits, constant, index } = atomic;
  const isShort = typeBytes[atomic.type] === 2;
  const old = emitter.scratch(bits, "old");
  const seen = emitter.scratch(bits, "seen");
  code
    .get(index)
    .access(isShort ? "i32.atomic.load16_u" : `${bits}.atomic.load`, constant)
    .set(old);
  const loop = code.loop();
  code.get(index).get(old);
  pushNext(emitter, atomic, old);
  code
    .access(isShort ? "i32.atomic.rmw16.cmpxchg_u" : `${bits}.atomic.rmw.cmpxchg`, constant)
    .tee(seen)
    .get(old)
    .op(`${bits}.ne`);
  code.if();
  code.get(seen).set(old).br(loop);
  code.end();
  code.end();
  code.get(old);
  finish(emitter, atomic);
}

const modifiers = `global shared shared::cta relaxed acquire release acq_rel cta gpu sys cluster noftz L2::cache_hint ${operations.join(" ")}`;

export const atomicHandlers: Handlers = {
  atom: { allows: modifiers, emit: emitAtomic },
  red: { allows: `${modifiers} async`, emit: emitAtomic },
};
