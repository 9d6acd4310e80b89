/**
 * alloca and its relatives: memory that a function allocates in its frame. It grows down from the end of the thread's local memory, towards
 * the frames, and never into them: what does not fit ends the kernel.
 */
import { type Emitter, wasmType } from "../compile/emitter.ts";
import { Fault } from "../compile/fault.ts";
import { badImage, type Instruction, type PtxType } from "../ptx/program.ts";
import { type Handlers, typeAmong } from "./handler.ts";

/** The types that an address in local memory has. */
const addressTypes: readonly PtxType[] = ["u32", "u64"];

const ALIGNMENT_DEFAULT = 8;
const ALIGNMENT_MAX = 2 ** 23;

function alignmentOf({ operands, line }: Instruction): number {
  const operand = operands[2];
  if (operand === undefined) return ALIGNMENT_DEFAULT;
  const value = operand.kind === "integer" ? Number(operand.value) : 0;
  if (value < 1 || value > ALIGNMENT_MAX || (value & (value - 1)) !== 0) {
    throw badImage(line, `the alignment of an alloca is not a power of two up to ${ALIGNMENT_MAX}`);
  }
  return value;
}

/** The end of the stack: where in the record it is. Kernels with these instructions have one. */
function placeOf({ unit }: Emitter): number {
  if (unit.stackEndAt === undefined) throw new Error("a kernel that allocates has no end of its stack");
  return unit.stackEndAt;
}

/** Pushes an offset in local memory, held as 32 bits, as an address. */
function popAddress(emitter: Emitter, instruction: Instruction, type: PtxType): void {
  if (wasmType(type) === "i64") emitter.op("i64.extend_i32_u");
  emitter.pop(instruction.operands[0], type, instruction);
}

/** Pushes an operand, extended to 64 bits. */
function pushWide(emitter: Emitter, instruction: Instruction, { index, type }: { index: number; type: PtxType }): void {
  emitter.push(instruction.operands[index], type, instruction);
  if (wasmType(type) === "i32") emitter.op("i64.extend_i32_u");
}

function allocate(emitter: Emitter, instruction: Instruction): void {
  const { code, frame } = emitter;
  const type = typeAmong(instruction, addressTypes);
  const alignment = alignmentOf(instruction);
  const place = placeOf(emitter);
  const size = emitter.scratch("i64", "size");
  const start = emitter.scratch("i32", "start");
  const end = () => code.get(frame.record).access("i32.load", place);
  pushWide(emitter, instruction, { index: 1, type });
  code.set(size);
  end().get(size).op("i32.wrap_i64").op("i32.sub").i32(-alignment).op("i32.and").set(start);
  code.get(size);
  end().op("i64.extend_i32_u").op("i64.gt_u");
  code.get(start).i32(frame.frameBytes);
  if (frame.stack !== undefined) code.get(frame.stack).op("i32.add");
  code.op("i32.lt_u").op("i32.or");
  code.if();
  code.i32(Fault.STACK).i32(instruction.line).get(size);
  emitter.import("fault").op("unreachable");
  code.end();
  code.get(frame.record).get(start).access("i32.store", place);
  code.get(start);
  popAddress(emitter, instruction, type);
}

function save(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, addressTypes);
  emitter.code.get(emitter.frame.record).access("i32.load", placeOf(emitter));
  popAddress(emitter, instruction, type);
}

/** Frames end before whatever is restored, so it must lie in local memory. */
function restore(emitter: Emitter, instruction: Instruction): void {
  const { code, frame, unit } = emitter;
  const type = typeAmong(instruction, addressTypes);
  const address = emitter.scratch("i64", "size");
  pushWide(emitter, instruction, { index: 0, type });
  code.tee(address).i64(BigInt(unit.localBytes)).op("i64.gt_u");
  code.if();
  code.i32(Fault.ADDRESS).i32(instruction.line).get(address);
  emitter.import("fault").op("unreachable");
  code.end();
  code.get(frame.record).get(address).op("i32.wrap_i64").access("i32.store", placeOf(emitter));
}

export const stackHandlers: Handlers = {
  alloca: { allows: "", emit: allocate },
  stacksave: { allows: "", emit: save },
  stackrestore: { allows: "", emit: restore },
};
