/**
 * A PTX program as plain data, as the parser leaves it: names resolved, nothing checked against an instruction's rules.
 * Specification: "Parallel Thread Execution ISA" by NVIDIA.
 */
import { SluiceError } from "../../../../shared/errors.ts";

/** Bytes per fundamental type; predicates take a word. */
export const typeBytes = {
  pred: 4,
  b8: 1,
  u8: 1,
  s8: 1,
  b16: 2,
  u16: 2,
  s16: 2,
  f16: 2,
  bf16: 2,
  b32: 4,
  u32: 4,
  s32: 4,
  f32: 4,
  tf32: 4,
  f16x2: 4,
  bf16x2: 4,
  u16x2: 4,
  s16x2: 4,
  b64: 8,
  u64: 8,
  s64: 8,
  f64: 8,
  b128: 16,
} as const;
export type PtxType = keyof typeof typeBytes;

export const isPtxType = (text: string): text is PtxType => Object.hasOwn(typeBytes, text);

/** A declared register; the object is its identity. */
export interface Register {
  readonly name: string;
  readonly type: PtxType;
}

export type Space = "global" | "const" | "shared" | "local" | "param";

/** One piece of an initialiser: a number as bytes, or an address that is known once the module has its place. */
export type InitialPiece =
  | { readonly kind: "bytes"; readonly offset: number; readonly bytes: Uint8Array }
  | {
      readonly kind: "address";
      readonly offset: number;
      readonly size: number;
      readonly symbol: string;
      readonly addend: bigint;
      readonly line: number;
    };

/** A variable in memory; the object is its identity. */
export interface Variable {
  readonly name: string;
  readonly space: Space;
  readonly type: PtxType;
  readonly alignment: number;
  readonly byteCount: number;
  /** Whether it was declared as an array (a struct by value when it is a parameter). */
  readonly isArray: boolean;
  /** `.extern .shared` arrays without a size: the launch's dynamic shared memory. */
  readonly isDynamic: boolean;
  readonly isPointer: boolean;
  readonly initial: readonly InitialPiece[];
  readonly line: number;
}

export type Operand =
  | { readonly kind: "register"; readonly register: Register; readonly negated: boolean }
  | { readonly kind: "integer"; readonly value: bigint }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "special"; readonly name: string }
  | { readonly kind: "variable"; readonly variable: Variable; readonly offset: number }
  | { readonly kind: "function"; readonly name: string }
  | { readonly kind: "label"; readonly label: Label }
  | { readonly kind: "memory"; readonly base: Register | Variable | undefined; readonly offset: number }
  | { readonly kind: "vector"; readonly elements: readonly Operand[] }
  | { readonly kind: "pair"; readonly first: Operand; readonly second: Operand }
  | { readonly kind: "list"; readonly elements: readonly Operand[] }
  | { readonly kind: "sink" };

/** A place in a function's body; `target` is an index into its instructions. `table`: the targets of a `.branchtargets`. */
export interface Label {
  readonly name: string;
  target: number;
  table?: readonly Label[];
}

/** An opcode taken apart: `ld.global.v2.f32` is `ld` with modifiers `global`, `v2`, and the type `f32`. */
export interface Mnemonic {
  readonly text: string;
  readonly base: string;
  readonly modifiers: ReadonlySet<string>;
  readonly types: readonly PtxType[];
}

export interface Instruction {
  readonly mnemonic: Mnemonic;
  readonly operands: readonly Operand[];
  readonly guard: { readonly register: Register; readonly negated: boolean } | undefined;
  readonly line: number;
}

/** What is known of an entry or function without its body. */
export interface Header {
  readonly name: string;
  readonly isEntry: boolean;
  readonly params: readonly Variable[];
  /** What a `.func` returns; empty for entries. */
  readonly returns: readonly Variable[];
  /** `.maxntid` or `.reqntid`; 0 where not given. */
  readonly threadsMax: number;
  readonly threadsRequired: readonly [x: number, y: number, z: number] | undefined;
  readonly line: number;
}

export interface Body {
  readonly instructions: readonly Instruction[];
  /** Variables of `.local` and call parameters (`.param`) declared in the body. */
  readonly frame: readonly Variable[];
  /** Variables of `.shared` declared in the body. */
  readonly shared: readonly Variable[];
}

export interface Routine extends Header, Body {}

/** A routine of a loaded program: its body was found to be well-formed and dropped, since it takes many times the room of its text. */
export interface Outline extends Header {
  /** What was asked about the body while it was there. */
  readonly survey: Survey;
  /** Reads the body again: its registers, and variables that it declares, are new ones each time. */
  read(): Routine;
}

/** What a program's other routines need to know about a body. */
export interface Survey {
  /** Functions that are called by name. */
  readonly calls: ReadonlySet<string>;
  /** Functions whose addresses are taken. */
  readonly addresses: ReadonlySet<string>;
  /** What can be told of a kernel with this body before it is compiled; undefined where only compiling it tells. */
  readonly forecast: Forecast | undefined;
}

/** A body that the device is certain to take, by itself. */
export interface Forecast {
  /** Calls of functions by name; what they are called with must fit. */
  readonly calls: readonly Call[];
  /** Shared variables that it declares or mentions. */
  readonly shared: readonly Variable[];
  readonly frameBytes: number;
  /** At most so many bytes outlive a suspension in each thread. */
  readonly recordBytesMax: number;
  /** Whether it can stay a function where it is called: nothing in it waits for other threads, or ends the thread. */
  readonly canBeCalled: boolean;
  /** Whether it writes to shared memory. */
  readonly writesShared: boolean;
}

/** A call of a function, and the variables for its arguments and results. */
export interface Call {
  /** Undefined where the function is known only when the kernel runs: its address is in `pointer`. */
  readonly name: string | undefined;
  readonly pointer: Operand | undefined;
  readonly args: readonly Variable[];
  readonly results: readonly Variable[];
}

export interface Program {
  /** PTX version as major * 10 + minor. */
  readonly version: number;
  /** The target's number, 80 for `sm_80`. */
  readonly target: number;
  /** Entries and functions with a body, in order. */
  readonly routines: readonly Outline[];
  /** Names declared without a body. */
  readonly externals: ReadonlySet<string>;
  readonly variables: readonly Variable[];
  /** Names declared `.visible`, `.weak` or `.common`. */
  readonly visible: ReadonlySet<string>;
  /** Of those, names whose definition gives way to another's: `.weak` and `.common`. */
  readonly weak: ReadonlySet<string>;
  /** Variables that are only declared (`.extern`). */
  readonly borrowed: ReadonlySet<string>;
}

/** The error of an image that is not PTX as it should be. */
export const badImage = (line: number, what: string): SluiceError =>
  new SluiceError("BAD_IMAGE", `The image is not valid PTX: ${what} in line [${line}].`);

/** The error of an instruction that this device does not have. */
export function unsupported(instruction: Instruction, why = ""): SluiceError {
  const reason = why === "" ? "" : ` (${why})`;
  return new SluiceError(
    "UNSUPPORTED_INSTRUCTION",
    `The cpu device does not have the instruction [${instruction.mnemonic.text}] in line [${instruction.line}]${reason}.`,
  );
}
