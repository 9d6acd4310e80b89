/**
 * How functions are called in which threads may wait for each other. Most are copied into their callers, so that they are part of the
 * kernel's own regions. Where that cannot be, since they call themselves or are called through a pointer, all of the kernel's are
 * called as activations (activation.ts). What cannot wait stays a plain function of WebAssembly.
 */
import { SluiceError } from "../../../../shared/errors.ts";
import { usesLanes } from "../ptx/lanes.ts";
import type { Instruction, Routine } from "../ptx/program.ts";
import { GraphBuilder } from "./graph.ts";
import { calleesOf, type Pointers } from "./pointers.ts";
import { hasSpinLoop } from "./regions.ts";
import { callOf, isSuspension, writesShared } from "./traits.ts";

export interface CallPlan {
  /** Functions to copy into their callers. */
  readonly inlined: ReadonlyMap<string, Routine>;
  /** Functions to call as activations. */
  readonly resumable: ReadonlyMap<string, Routine>;
}

interface Names {
  readonly functions: ReadonlyMap<string, Routine>;
  readonly waiting: ReadonlyMap<string, Routine>;
  readonly pointers: Pointers;
}

/** Decides for one kernel. */
export function planCalls(kernel: Routine, names: Names): CallPlan {
  const none = new Map<string, Routine>();
  const { waiting } = names;
  const copied = { inlined: waiting, resumable: none };
  if (waiting.size === 0) return copied;
  const calls = new Map<Routine, readonly Routine[]>();
  const open = [kernel];
  for (let routine = open.pop(); routine !== undefined; routine = open.pop()) {
    if (calls.has(routine)) continue;
    const { callees, isThroughPointer } = lookInto(routine, names);
    if (isThroughPointer) return { inlined: none, resumable: waiting };
    calls.set(routine, callees);
    open.push(...callees);
  }
  return hasCycle(kernel, (routine) => calls.get(routine)!.filter(({ name }) => waiting.has(name)))
    ? { inlined: none, resumable: waiting }
    : copied;
}

/** What a routine calls, and whether any that may wait is called through a pointer. */
function lookInto({ instructions }: Routine, { functions, waiting, pointers }: Names) {
  const callees = new Set<Routine>();
  let isThroughPointer = false;
  for (const instruction of instructions) {
    if (instruction.mnemonic.base !== "call") continue;
    for (const name of unlessRefused(() => calleesOf(instruction, pointers), [])) {
      const callee = functions.get(name);
      if (callee !== undefined) callees.add(callee);
      if (waiting.has(name) && callOf(instruction).name === undefined) isThroughPointer = true;
    }
  }
  return { callees: [...callees], isThroughPointer };
}

/** Whether any routine comes round to itself. Without recursion, since the text decides how deep calls go. */
function hasCycle(start: Routine, next: (routine: Routine) => readonly Routine[]): boolean {
  const state = new Map<Routine, "open" | "done">([[start, "open"]]);
  const path = [{ routine: start, rest: [...next(start)] }];
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const callee = top.rest.pop();
    if (callee === undefined) {
      state.set(top.routine, "done");
      path.pop();
      continue;
    }
    const known = state.get(callee);
    if (known === "open") return true;
    if (known === "done") continue;
    state.set(callee, "open");
    path.push({ routine: callee, rest: [...next(callee)] });
  }
  return false;
}

/** Functions of a program in which threads may wait, or must go in step, or end. `isUniform`: whether it has kernels in which one lane of a warp stands for all. */
export function functionsThatWait(
  routines: readonly Routine[],
  { pointers, isUniform }: { pointers: Pointers; isUniform: boolean },
): Map<string, Routine> {
  const waiting = new Map<string, Routine>();
  const functions = routines.filter(({ isEntry }) => !isEntry);
  const calls = new Map(functions.map((routine) => [routine.name, calledNames(routine.instructions, pointers)]));
  for (const routine of functions) {
    const meets = routine.instructions.some(
      (instruction) => isSuspension(instruction) || instruction.mnemonic.base === "exit",
    );
    const spins = () => unlessRefused(() => hasSpinLoop(new GraphBuilder().build(routine)), false);
    const isInStep = isUniform ? usesLanes(routine) : routine.instructions.some(writesShared);
    if (meets || isInStep || spins()) waiting.set(routine.name, routine);
  }
  for (let grown = true; grown; ) {
    grown = false;
    for (const routine of functions) {
      if (waiting.has(routine.name)) continue;
      if (![...(calls.get(routine.name) ?? [])].some((name) => waiting.has(name))) continue;
      waiting.set(routine.name, routine);
      grown = true;
    }
  }
  return waiting;
}

export function calledNames(instructions: readonly Instruction[], pointers: Pointers): Set<string> {
  const calls = instructions.filter(({ mnemonic }) => mnemonic.base === "call");
  return new Set(calls.flatMap((instruction) => unlessRefused(() => calleesOf(instruction, pointers), [])));
}

/** What `ask` finds, or `otherwise` where it meets what this device lacks: the kernels that need it are refused when they are written. */
function unlessRefused<T>(ask: () => T, otherwise: T): T {
  try {
    return ask();
  } catch (error) {
    if (error instanceof SluiceError && error.code !== "BAD_IMAGE") return otherwise;
    throw error;
  }
}
