/** What regions of kernels and functions have in common: blocks, conditions, and the thread's position. */
import { emitInstruction } from "../emit/table.ts";
import type { Instruction } from "../ptx/program.ts";
import { Context } from "../run/layout.ts";
import type { Code } from "../wasm/code.ts";
import { planAccesses } from "./access-plan.ts";
import type { Emitter } from "./emitter.ts";
import type { Block, End, Leave } from "./graph.ts";
import type { BlockWriter } from "./structure.ts";

export abstract class BodyWriter implements BlockWriter {
  readonly emitter: Emitter;

  constructor(emitter: Emitter) {
    this.emitter = emitter;
  }

  get code(): Code {
    return this.emitter.code;
  }

  instructions(block: Block): void {
    this.emitter.begin(planAccesses(block.instructions));
    for (const instruction of block.instructions) emitInstruction(this.emitter, instruction);
  }

  condition({ register, negated }: Extract<End, { kind: "branch" }>): void {
    this.code.get(this.emitter.register(register));
    if (negated) this.code.op("i32.eqz");
  }

  tableIndex({ index, line }: Extract<End, { kind: "table" }>): void {
    const mnemonic = { text: "brx.idx", base: "brx", modifiers: new Set<string>(), types: [] };
    this.emitter.push(index, "u32", { mnemonic, operands: [], guard: undefined, line });
  }

  abstract leave(end: Leave, block: Block): void;

  abstract backEdge(header: Block): void;
}

/** Whether any instruction reads `%tid`. */
export function usesPosition(blocks: readonly Block[]): boolean {
  const reads = ({ operands }: Instruction) =>
    operands.some((operand) => {
      if (operand.kind === "vector" || operand.kind === "list") return operand.elements.some(isPosition);
      return isPosition(operand);
    });
  return blocks.some(
    ({ instructions, end }) => instructions.some(reads) || (end.kind === "suspend" && reads(end.instruction)),
  );
}

const isPosition = (operand: { kind: string; name?: string }): boolean =>
  operand.kind === "special" && operand.name?.startsWith("%tid.") === true;

export const pushBlockSize = ({ code, frame }: Emitter, axis: number) =>
  code.get(frame.context).access("i32.load", Context.BLOCK_SIZE + 4 * axis);

type Position = readonly [x: number, y: number, z: number];

/** Moves the position on by so many threads, which never pass the end of their row: x runs fastest. */
export function advancePosition(emitter: Emitter, [x, y, z]: Position, threads: number): void {
  const { code } = emitter;
  code.get(x).i32(threads).op("i32.add").tee(x);
  pushBlockSize(emitter, 0).op("i32.eq");
  code.if();
  code.i32(0).set(x).get(y).i32(1).op("i32.add").tee(y);
  pushBlockSize(emitter, 1).op("i32.eq");
  code.if();
  code.i32(0).set(y).get(z).i32(1).op("i32.add").set(z);
  code.end();
  code.end();
}

/** Computes the position of the thread from its number. */
export function writePosition(emitter: Emitter, [x, y, z]: Position): void {
  const { code, frame } = emitter;
  const size = (axis: number) => pushBlockSize(emitter, axis);
  code.get(frame.thread);
  size(0).op("i32.rem_u").set(x);
  code.get(frame.thread);
  size(0).op("i32.div_u").tee(y).set(z);
  code.get(y);
  size(1).op("i32.rem_u").set(y);
  code.get(z);
  size(1).op("i32.div_u").set(z);
}

/** Fetches the size of the block's shared memory, which every access to it is checked against. */
export function writeSharedLimit({ code, frame }: Emitter): void {
  code.get(frame.context).access("i32.load", Context.SHARED_BYTES).set(frame.sharedLimit);
}
