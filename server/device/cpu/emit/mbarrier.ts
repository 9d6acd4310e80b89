/**
 * Barriers that are objects in shared memory. One is a word that only these instructions look into: the arrivals that the phase still
 * waits for, those that each phase waits for, and the number of the phase. Threads of a block take turns on it, so plain loads and stores do.
 */
import type { Emitter } from "../compile/emitter.ts";
import { addressOperand, spaceOf } from "../compile/memory-access.ts";
import { type Instruction, type Operand, unsupported } from "../ptx/program.ts";
import { pushIndex } from "./address.ts";
import type { Handlers } from "./handler.ts";

/** Counts take 20 bits, as the specification bounds them. */
const COUNT_MASK = (1n << 20n) - 1n;
const EXPECTED_SHIFT = 20n;
const PHASE_SHIFT = 40n;

interface Barrier {
  readonly index: number;
  readonly constant: number;
  readonly word: number;
}

/** The barrier at an address operand: its index and its word in locals. */
function load(emitter: Emitter, instruction: Instruction, at: number): Barrier {
  const { code } = emitter;
  const index = emitter.scratch("i32", "barrier");
  const word = emitter.scratch("i64", "barrier word");
  const options = { space: spaceOf(instruction), bytes: 8, at: instruction };
  const constant = pushIndex(emitter, addressOperand(instruction, at), options);
  code.tee(index).access("i64.load", constant).set(word);
  return { index, constant, word };
}

function store({ code }: Emitter, { index, constant, word }: Barrier): void {
  code.get(index).get(word).access("i64.store", constant);
}

function pushCount(emitter: Emitter, operand: Operand | undefined, instruction: Instruction): void {
  if (operand === undefined) emitter.code.i64(1n);
  else {
    emitter.push(operand, "u32", instruction);
    emitter.op("i64.extend_i32_u");
  }
}

function initialize(emitter: Emitter, instruction: Instruction): void {
  const { code } = emitter;
  const barrier = load(emitter, instruction, 0);
  pushCount(emitter, instruction.operands[1], instruction);
  code
    .i64((1n << EXPECTED_SHIFT) | 1n)
    .op("i64.mul")
    .set(barrier.word);
  store(emitter, barrier);
}

/** Takes `count` arrivals off; the last one begins the next phase with as many as are expected. */
function arrive(emitter: Emitter, barrier: Barrier, { count, drops }: { count: number; drops: boolean }): void {
  const { code } = emitter;
  const { word } = barrier;
  code.get(word).get(count).op("i64.sub").set(word);
  if (drops) code.get(word).get(count).i64(EXPECTED_SHIFT).op("i64.shl").op("i64.sub").set(word);
  code.get(word).i64(COUNT_MASK).op("i64.and").op("i64.eqz");
  code.if();
  code.get(word).i64(EXPECTED_SHIFT).op("i64.shr_u").i64(COUNT_MASK).op("i64.and").get(word).op("i64.add");
  code
    .i64(1n << PHASE_SHIFT)
    .op("i64.add")
    .set(word);
  code.end();
  store(emitter, barrier);
}

/** The state that an arrival gives is the word as it found it. */
function arriveAndTell(emitter: Emitter, instruction: Instruction): void {
  const { operands, mnemonic } = instruction;
  const at = operands[0]?.kind === "memory" ? 0 : 1;
  const { code } = emitter;
  const barrier = load(emitter, instruction, at);
  const count = emitter.scratch("i64", "arrivals");
  const before = emitter.scratch("i64", "before");
  pushCount(emitter, operands[at + 1], instruction);
  code.set(count).get(barrier.word).set(before);
  arrive(emitter, barrier, { count, drops: mnemonic.modifiers.has("arrive_drop") });
  if (at === 0) return;
  code.get(before);
  emitter.pop(operands[0], "b64", instruction);
}

/** Whether the phase of a state, or that of a parity, is over. Threads that find it is not ask again in a loop, in which others get turns. */
function test(emitter: Emitter, instruction: Instruction): void {
  const { code } = emitter;
  const isParity = instruction.mnemonic.modifiers.has("parity");
  const { word } = load(emitter, instruction, 1);
  code.get(word).i64(PHASE_SHIFT).op("i64.shr_u");
  if (isParity) {
    emitter.push(instruction.operands[2], "u32", instruction);
    code.op("i64.extend_i32_u").op("i64.xor").i64(1n).op("i64.and").op("i32.wrap_i64");
  } else {
    emitter.push(instruction.operands[2], "b64", instruction);
    code.i64(PHASE_SHIFT).op("i64.shr_u").op("i64.ne");
  }
  emitter.pop(instruction.operands[0], "pred", instruction);
}

function pendingCount(emitter: Emitter, instruction: Instruction): void {
  emitter.push(instruction.operands[1], "b64", instruction);
  emitter.code.i64(COUNT_MASK).op("i64.and").op("i32.wrap_i64");
  emitter.pop(instruction.operands[0], "u32", instruction);
}

function emit(emitter: Emitter, instruction: Instruction): void {
  const { modifiers } = instruction.mnemonic;
  if (modifiers.has("init")) initialize(emitter, instruction);
  else if (modifiers.has("arrive") || modifiers.has("arrive_drop")) arriveAndTell(emitter, instruction);
  else if (modifiers.has("test_wait") || modifiers.has("try_wait")) test(emitter, instruction);
  else if (modifiers.has("pending_count")) pendingCount(emitter, instruction);
  else if (!modifiers.has("inval")) throw unsupported(instruction);
}

/** cp.async.mbarrier.arrive: copies are done at once here, so the arrival that it counts beforehand has come; `.noinc` counts none. */
export function arriveWhenCopied(emitter: Emitter, instruction: Instruction): void {
  if (!instruction.mnemonic.modifiers.has("noinc")) return;
  const barrier = load(emitter, instruction, 0);
  const count = emitter.scratch("i64", "arrivals");
  emitter.code.i64(1n).set(count);
  arrive(emitter, barrier, { count, drops: false });
}

export const mbarrierHandlers: Handlers = {
  mbarrier: {
    allows:
      "init inval arrive arrive_drop noComplete test_wait try_wait parity pending_count shared shared::cta cta release acquire relaxed",
    emit,
  },
};
