/** What can be told about an instruction without emitting it: where it suspends, what it reads and writes, whom it calls. */
import { LANES } from "../ptx/lanes.ts";
import {
  badImage,
  type Call,
  type Instruction,
  type Operand,
  type Register,
  unsupported,
  type Variable,
} from "../ptx/program.ts";

/** Opcodes at which threads wait for each other. */
const suspending = new Set(["bar", "barrier", "shfl", "vote", "match", "activemask", "redux", LANES]);

/** Products of matrices, in which each lane takes from others what it needs. Loads and stores by `wmma` take nothing. */
const isProduct = ({ mnemonic: { base, modifiers } }: Instruction): boolean =>
  base === "mma" || (base === "wmma" && modifiers.has("mma"));

/** Products, and loads and transpositions of what they multiply. */
export const isMatrixExchange = (instruction: Instruction): boolean =>
  isProduct(instruction) || /^(ld|st|mov)matrix$/.test(instruction.mnemonic.base);

/** Registers that an instruction reads not before threads go on behind it: the addend of a product, and what is stored then. */
export function readsOnResuming(instruction: Instruction): Register[] {
  const reads: Register[] = [];
  const addend = instruction.operands[3];
  if (isProduct(instruction) && addend !== undefined) collect(addend, reads, reads);
  const stored = instruction.operands[1];
  if (instruction.mnemonic.base === "stmatrix" && stored !== undefined) collect(stored, reads, reads);
  if (instruction.mnemonic.base === LANES) reads.push(...accesses(instruction).reads);
  return reads;
}

/** An arrival at a cluster's barrier: each of its threads comes to wait there too, and the waiting is what counts. */
const isClusterArrival = ({ mnemonic: { base, modifiers } }: Instruction): boolean =>
  base === "barrier" && modifiers.has("cluster") && modifiers.has("arrive");

/** An arrival at a barrier does not wait, but others count it, so that the scheduler must see it too. */
export const isSuspension = (instruction: Instruction): boolean =>
  (suspending.has(instruction.mnemonic.base) && !isClusterArrival(instruction)) || isMatrixExchange(instruction);

/** Whether lanes wait here for those of their warp that may still come, and only for those. */
export const isWaitForLanes = ({ mnemonic: { base, modifiers } }: Instruction): boolean =>
  base === "activemask" || (base === LANES && modifiers.has("step"));

/** Opcodes that write no register. */
const withoutResult = new Set(
  "st stmatrix sust sured red bra brx ret exit trap call membar fence prefetch prefetchu nanosleep cp brkpt discard applypriority pmevent griddepcontrol stackrestore (lanes)".split(
    " ",
  ),
);

function hasResult({ mnemonic }: Instruction): boolean {
  if (mnemonic.base === "bar" || mnemonic.base === "barrier") return mnemonic.modifiers.has("red");
  return !withoutResult.has(mnemonic.base);
}

/** Registers that an instruction reads and writes. A guarded write also keeps the old value: it is listed as read as well. */
export function accesses(instruction: Instruction): { reads: Register[]; writes: Register[] } {
  const reads: Register[] = [];
  const writes: Register[] = [];
  const { operands, guard } = instruction;
  operands.forEach((operand, index) => {
    collect(operand, index === 0 && hasResult(instruction) ? writes : reads, reads);
  });
  if (guard !== undefined) reads.push(guard.register, ...writes);
  return { reads, writes };
}

function collect(operand: Operand, into: Register[], addresses: Register[]): void {
  switch (operand.kind) {
    case "register":
      into.push(operand.register);
      return;
    case "memory":
      if (operand.base !== undefined && !("space" in operand.base)) addresses.push(operand.base);
      return;
    case "vector":
    case "list":
      for (const element of operand.elements) collect(element, into, addresses);
      return;
    case "pair":
      collect(operand.first, into, addresses);
      collect(operand.second, into, addresses);
      return;
    default:
  }
}

/** Takes a `call` apart. */
export function callOf(instruction: Instruction): Call {
  const rest = [...instruction.operands];
  const results = rest[0]?.kind === "list" ? variables(rest.shift()!, instruction) : [];
  const target = rest.shift();
  if (target?.kind !== "function" && target?.kind !== "register") {
    throw badImage(instruction.line, "a call names no function");
  }
  // Behind a pointer and its arguments stands the label of a prototype, which says no more than the arguments.
  const args = rest[0]?.kind === "list" ? variables(rest.shift()!, instruction) : [];
  if (target.kind === "register") return { name: undefined, pointer: target, args, results };
  return { name: target.name, pointer: undefined, args, results };
}

function variables(operand: Operand, instruction: Instruction): Variable[] {
  if (operand.kind !== "list") throw badImage(instruction.line, "a call has no list of arguments");
  return operand.elements.map((element) => {
    if (element.kind === "variable" && element.variable.space === "param") return element.variable;
    throw unsupported(instruction, "an argument that is no .param variable");
  });
}

/** Whether an instruction works on the memory that a function allocates in its frame. */
export const usesStack = ({ mnemonic: { base } }: Instruction): boolean =>
  base === "alloca" || base === "stacksave" || base === "stackrestore";

/** Whether other threads may see what an instruction does to memory. */
export const isWrite = ({ mnemonic: { base, modifiers } }: Instruction): boolean =>
  (base === "st" && !modifiers.has("param") && !modifiers.has("local")) ||
  base === "atom" ||
  base === "red" ||
  base === "cp";

/** Whether it writes to what it calls shared memory. */
export const writesShared = (instruction: Instruction): boolean =>
  isWrite(instruction) &&
  (instruction.mnemonic.modifiers.has("shared") || instruction.mnemonic.modifiers.has("shared::cta"));

/** Whether a loop goes round with this instruction only while its thread waits for another. */
export const isWaiting = ({ mnemonic: { base, modifiers } }: Instruction): boolean =>
  base === "nanosleep" || (base === "mbarrier" && (modifiers.has("test_wait") || modifiers.has("try_wait")));

/** Whether a loop with this instruction may wait for another thread. */
export function maySpin(instruction: Instruction): boolean {
  const { mnemonic, operands } = instruction;
  const { base, modifiers } = mnemonic;
  if (isWaiting(instruction)) return true;
  if (base === "atom") return operands[0]?.kind !== "sink";
  if (base !== "ld") return false;
  return modifiers.has("volatile") || modifiers.has("acquire") || modifiers.has("relaxed") || modifiers.has("mmio");
}
