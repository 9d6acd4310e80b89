/**
 * A routine as basic blocks. Functions that must see the scheduler (they hold a barrier, a warp operation, a spin loop or `exit`) are
 * copied into their callers here, or are called in a way that it sees: see calls.ts. The others stay calls.
 */
import { SluiceError } from "../../../../shared/errors.ts";
import { readsLane, restLanes, usesLanes, wakeLanes } from "../ptx/lanes.ts";
import {
  badImage,
  type Instruction,
  type Label,
  type Operand,
  type Register,
  type Routine,
  unsupported,
  type Variable,
} from "../ptx/program.ts";
import { callOf, isSuspension, usesStack } from "./traits.ts";

export type End =
  | { readonly kind: "jump"; readonly to: Block }
  | {
      readonly kind: "branch";
      readonly register: Register;
      readonly negated: boolean;
      readonly taken: Block;
      readonly otherwise: Block;
    }
  | { readonly kind: "table"; readonly index: Operand; readonly targets: readonly Block[]; readonly line: number }
  /** The thread is done. */
  | { readonly kind: "exit" }
  /** A function that was not copied goes back to its caller. */
  | { readonly kind: "return" }
  /** All threads of a warp or block meet at `instruction` and go on with `next`; or it calls a function that may wait. */
  | { readonly kind: "suspend"; readonly instruction: Instruction; readonly next: Block }
  /** Never left: what stands before it does not return. */
  | { readonly kind: "stop" };

/** How a block ends that nothing in its region follows. */
export type Leave = Extract<End, { kind: "exit" | "return" | "suspend" | "stop" }>;

export interface Block {
  readonly index: number;
  readonly instructions: Instruction[];
  end: End;
}

export interface Graph {
  readonly entry: Block;
  readonly blocks: readonly Block[];
  /** Variables of the frame, of the routine itself and of all that was copied into it. */
  readonly frame: readonly Variable[];
  readonly shared: readonly Variable[];
}

/** Bounds the growth by copying functions into their callers. */
const BLOCKS_MAX = 200_000;

interface Substitution {
  readonly registers: Map<Register, Register>;
  readonly variables: Map<Variable, Variable>;
}

export interface GraphOptions {
  /** Functions to copy into their callers, by name. */
  readonly inlined?: ReadonlyMap<string, Routine>;
  /** Whether threads may wait in what a call of another function calls. */
  readonly mayWait?: (call: Instruction) => boolean;
  /** Whether one lane of each warp stands for all: see ../ptx/lanes.ts. */
  readonly isUniform?: boolean;
}

export class GraphBuilder {
  readonly #inlined: ReadonlyMap<string, Routine>;
  readonly #mayWait: (call: Instruction) => boolean;
  readonly #isUniform: boolean;
  readonly #blocks: Block[] = [];
  readonly #frame: Variable[] = [];
  readonly #shared: Variable[] = [];
  /** Names of functions being copied, outermost first. */
  readonly #open: string[] = [];

  constructor({ inlined = new Map(), mayWait = () => false, isUniform = false }: GraphOptions = {}) {
    this.#inlined = inlined;
    this.#mayWait = mayWait;
    this.#isUniform = isUniform;
  }

  build(routine: Routine): Graph {
    const entry = this.#append(routine, undefined, { registers: new Map(), variables: new Map() });
    return { entry, blocks: reachable(entry), frame: this.#frame, shared: [...new Set(this.#shared)] };
  }

  #block(): Block {
    if (this.#blocks.length >= BLOCKS_MAX) {
      throw new SluiceError(
        "UNSUPPORTED",
        `Functions copied into their callers make more than [${BLOCKS_MAX}] blocks.`,
      );
    }
    const block: Block = { index: this.#blocks.length, instructions: [], end: { kind: "exit" } };
    this.#blocks.push(block);
    return block;
  }

  /** Adds a routine's blocks; `after` is where a copied function returns to. Returns its first block. */
  #append(routine: Routine, after: Block | undefined, substitution: Substitution): Block {
    for (const variable of routine.frame) {
      const copy = after === undefined ? variable : { ...variable };
      substitution.variables.set(variable, copy);
      this.#frame.push(copy);
    }
    this.#shared.push(...routine.shared);
    const starts = this.#starts(routine);
    const first = starts.get(0)!;
    let current: Block | undefined = first;
    const stack = routine.isEntry || !routine.instructions.some(usesStack) ? undefined : savedStack(routine);
    const entry = stack === undefined ? first : this.#block();
    if (stack !== undefined) {
      entry.instructions.push(stack.save);
      entry.end = { kind: "jump", to: first };
    }
    const usesItsLanes = this.#isUniform && usesLanes(routine);
    const done = (last: Block): void => {
      const block = usesItsLanes ? this.#suspend(last, restLanes(routine.line)) : last;
      if (stack !== undefined) block.instructions.push(stack.restore);
      if (after !== undefined) block.end = { kind: "jump", to: after };
      else block.end = { kind: routine.isEntry ? "exit" : "return" };
    };
    routine.instructions.forEach((original, index) => {
      const start = starts.get(index);
      if (start !== undefined && start !== current) {
        if (current !== undefined) current.end = { kind: "jump", to: start };
        current = start;
      }
      // Code behind a jump that no label leads to.
      current ??= this.#block();
      if (usesItsLanes && readsLane(original)) current = this.#suspend(current, wakeLanes(original.line));
      current = this.#add(current, substitute(original, substitution, after !== undefined), { starts, done });
    });
    if (current !== undefined) {
      const last = starts.get(routine.instructions.length);
      if (last !== undefined && last !== current) current.end = { kind: "jump", to: last };
      done(last ?? current);
    } else {
      const last = starts.get(routine.instructions.length);
      if (last !== undefined) done(last);
    }
    return entry;
  }

  /** Blocks for the routine's first instruction and for every label that something jumps to. */
  #starts(routine: Routine): Map<number, Block> {
    const starts = new Map<number, Block>([[0, this.#block()]]);
    const mark = (label: Label) => {
      if (!starts.has(label.target)) starts.set(label.target, this.#block());
    };
    for (const { operands } of routine.instructions) {
      for (const operand of operands) {
        if (operand.kind !== "label") continue;
        mark(operand.label);
        operand.label.table?.forEach(mark);
      }
    }
    return starts;
  }

  /** Ends a block where its thread waits; returns the one behind. */
  #suspend(block: Block, instruction: Instruction): Block {
    const next = this.#block();
    block.end = { kind: "suspend", instruction, next };
    return next;
  }

  /** Adds one instruction to `block`; returns the block that goes on, if any. */
  #add(
    block: Block,
    instruction: Instruction,
    { starts, done }: { starts: Map<number, Block>; done: (block: Block) => void },
  ): Block | undefined {
    const { base } = instruction.mnemonic;
    const at = (label: Label): Block => starts.get(label.target)!;
    const call = base === "call" ? this.#inlined.get(callOf(instruction).name ?? "") : undefined;
    const ends = base === "bra" || base === "brx" || base === "ret" || base === "exit" || base === "trap";
    const waits = base === "call" ? this.#mayWait(instruction) : isSuspension(instruction);
    if (!ends && call === undefined && !waits) {
      block.instructions.push(instruction);
      return block;
    }
    const { guard } = instruction;
    let body = block;
    let after: Block | undefined;
    if (guard !== undefined && base === "bra") {
      after = this.#block();
      const taken = at(labelOf(instruction));
      block.end = { kind: "branch", ...guard, taken, otherwise: after };
      return after;
    }
    if (guard !== undefined) {
      body = this.#block();
      after = this.#block();
      block.end = { kind: "branch", ...guard, taken: body, otherwise: after };
    }
    if (base === "bra") body.end = { kind: "jump", to: at(labelOf(instruction)) };
    else if (base === "brx") body.end = tableEnd(instruction, at);
    else if (base === "ret") done(body);
    else if (base === "exit") body.end = { kind: "exit" };
    else if (base === "trap") {
      body.instructions.push({ ...instruction, guard: undefined });
      body.end = { kind: "stop" };
    } else {
      after ??= this.#block();
      const bare = { ...instruction, guard: undefined };
      if (call !== undefined) body.end = { kind: "jump", to: this.#inline(call, bare, after) };
      else body.end = { kind: "suspend", instruction: bare, next: after };
    }
    return after;
  }

  #inline(callee: Routine, instruction: Instruction, after: Block): Block {
    if (this.#open.includes(callee.name)) throw unsupported(instruction, "recursion with barriers or warp operations");
    const { args, results } = callOf(instruction);
    const substitution: Substitution = { registers: new Map(), variables: new Map() };
    const bind = (formal: readonly Variable[], actual: readonly Variable[]) => {
      if (formal.length !== actual.length)
        throw badImage(instruction.line, `the call of [${callee.name}] has wrong arguments`);
      formal.forEach((variable, index) => {
        substitution.variables.set(variable, actual[index]!);
      });
    };
    bind(callee.params, args);
    bind(callee.returns, results);
    this.#open.push(callee.name);
    const entry = this.#append(callee, after, substitution);
    this.#open.pop();
    return entry;
  }
}

/** What a function allocates in its frame is gone when it returns: what was there before is kept in a register of its own. */
function savedStack({ line }: Routine): { save: Instruction; restore: Instruction } {
  const register: Register = { name: "stack", type: "u64" };
  const instruction = (base: string): Instruction => ({
    mnemonic: { text: `${base}.u64`, base, modifiers: new Set(), types: ["u64"] },
    operands: [{ kind: "register", register, negated: false }],
    guard: undefined,
    line,
  });
  return { save: instruction("stacksave"), restore: instruction("stackrestore") };
}

function labelOf(instruction: Instruction): Label {
  const operand = instruction.operands[0];
  if (operand?.kind !== "label") throw badImage(instruction.line, "a branch has no label");
  return operand.label;
}

function tableEnd(instruction: Instruction, at: (label: Label) => Block): End {
  const [index, table] = instruction.operands;
  if (index === undefined || table?.kind !== "label" || table.label.table === undefined) {
    throw badImage(instruction.line, "an indexed branch has no table of labels");
  }
  return { kind: "table", index, targets: table.label.table.map(at), line: instruction.line };
}

/** The instruction with names of a copied function's own; unchanged for the routine itself. */
function substitute(instruction: Instruction, names: Substitution, isCopy: boolean): Instruction {
  if (!isCopy) return instruction;
  const register = (original: Register): Register => {
    const known = names.registers.get(original);
    if (known !== undefined) return known;
    const copy = { ...original };
    names.registers.set(original, copy);
    return copy;
  };
  const variable = (original: Variable): Variable => names.variables.get(original) ?? original;
  const operand = (original: Operand): Operand => {
    switch (original.kind) {
      case "register":
        return { ...original, register: register(original.register) };
      case "variable":
        return { ...original, variable: variable(original.variable) };
      case "memory": {
        if (original.base === undefined) return original;
        const base = "space" in original.base ? variable(original.base) : register(original.base);
        return { ...original, base };
      }
      case "vector":
      case "list":
        return { ...original, elements: original.elements.map(operand) };
      case "pair":
        return { ...original, first: operand(original.first), second: operand(original.second) };
      default:
        return original;
    }
  };
  const { guard } = instruction;
  return {
    ...instruction,
    operands: instruction.operands.map(operand),
    guard: guard && { ...guard, register: register(guard.register) },
  };
}

export function successors(end: End): readonly Block[] {
  switch (end.kind) {
    case "jump":
      return [end.to];
    case "branch":
      return [end.taken, end.otherwise];
    case "table":
      return end.targets;
    case "suspend":
      return [end.next];
    default:
      return [];
  }
}

/** Blocks that can be reached from `entry`, in no particular order. */
function reachable(entry: Block): Block[] {
  const seen = new Set([entry]);
  for (const block of seen) for (const next of successors(block.end)) seen.add(next);
  return [...seen];
}
