/**
 * Functions of a program whose addresses it takes, and which of them a call through a pointer may mean: those that fit its arguments and
 * results. An address lies in a window of its own, so that it is never one of memory. That of a kernel, by which other kernels launch it, is one
 * of its module's memory.
 */
import type { Header, Instruction, Outline, Program, Variable } from "../ptx/program.ts";
import { callOf } from "./traits.ts";

export interface Pointer {
  readonly routine: Header;
  readonly address: bigint;
}
export type Pointers = ReadonlyMap<string, Pointer>;

/** Addresses are told apart within a slice: `first` is the number of the program's first one. */
const CODE_WINDOW = 4n << 32n;
const CODE_BYTES = 16n;

/** The functions and kernels of which a `mov` or an initialiser takes the address. */
export function takenRoutines({ routines, variables }: Program): { functions: Outline[]; kernels: Outline[] } {
  const names = new Set<string>();
  for (const { initial } of variables)
    for (const piece of initial) if (piece.kind === "address") names.add(piece.symbol);
  for (const { survey } of routines) for (const name of survey.addresses) names.add(name);
  const taken = routines.filter(({ name }) => names.has(name));
  return { functions: taken.filter(({ isEntry }) => !isEntry), kernels: taken.filter(({ isEntry }) => isEntry) };
}

export function placeFunctions(taken: readonly Header[], first: number): Pointers {
  const address = (index: number): bigint => CODE_WINDOW + BigInt(first + index + 1) * CODE_BYTES;
  return new Map(taken.map((routine, index) => [routine.name, { routine, address: address(index) }]));
}

/** Whether variables of a call can stand for those that a function declares. */
export const fits = (formal: readonly Variable[], actual: readonly Variable[]): boolean =>
  formal.length === actual.length && formal.every(({ byteCount }, index) => byteCount <= actual[index]!.byteCount);

/** Names of what a call may call. */
export function calleesOf(instruction: Instruction, pointers: Pointers): string[] {
  const { name, args, results } = callOf(instruction);
  if (name !== undefined) return [name];
  return [...pointers]
    .filter(([, { routine }]) => !routine.isEntry && fits(routine.params, args) && fits(routine.returns, results))
    .map(([candidate]) => candidate);
}
