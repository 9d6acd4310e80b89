/**
 * Calls of functions in which threads may wait and which cannot be copied into their callers (see calls.ts). Such a function runs in
 * regions, as kernels do; its registers lie in its frame while it waits. A call is a step of the scheduler: it opens an activation behind
 * the caller's frame and notes where to go on, the return closes it.
 *
 *   frame    results, parameters (each at a multiple of 16), variables, registers
 *   record   at Unit.callsAt: the open frame's offset, bytes of notes, then per open call: the region to go on with, the caller's frame
 *
 * The notes are out of the kernel's reach, so that a kernel that strays in its local memory goes to no wrong place.
 */
import { pushFrameAddress, requireFit } from "../emit/call.ts";
import type { Instruction, Register, Variable } from "../ptx/program.ts";
import type { OpName } from "../wasm/opcodes.ts";
import type { Emitter } from "./emitter.ts";
import { Fault } from "./fault.ts";
import type { PlacedRoutine } from "./kernel.ts";
import { align } from "./places.ts";
import { fits } from "./pointers.ts";
import { planRecord } from "./record.ts";
import { cutRegions, type Regions } from "./regions.ts";
import { callOf } from "./traits.ts";

/** Calls that can be open at once in a thread: local memory mostly ends before. */
const CALLS_MAX = 512;
const NOTE_BYTES = 8;

/** Offsets behind Unit.callsAt. */
const FRAME = 0;
const NOTED_BYTES = 4;
const NOTE_REGION = 8;
const NOTE_FRAME = 12;

/** What a thread's record has for open calls. */
export const CALLS_BYTES = align(8 + CALLS_MAX * NOTE_BYTES, 16);

export interface Activation {
  readonly placed: PlacedRoutine;
  readonly regions: Regions;
  /** Offsets in the frame of registers that outlive a suspension. */
  readonly slots: ReadonlyMap<Register, number>;
}

/** Offsets of values side by side, and where they end. */
function row(variables: readonly Variable[], from = 0): { offsets: number[]; end: number } {
  let end = from;
  const offsets = variables.map(({ byteCount }) => {
    const offset = end;
    end += align(byteCount, 16);
    return offset;
  });
  return { offsets, end };
}

/** Lays out the frame of a function that may wait. `first`: the number of its first region. */
export function placeActivation(placed: PlacedRoutine, first: number): Activation {
  const { routine, graph } = placed;
  const results = row(routine.returns);
  const params = row(routine.params, results.end);
  const offsets = new Map<Variable, number>([
    ...routine.returns.map((variable, index) => [variable, results.offsets[index]!] as const),
    ...routine.params.map((variable, index) => [variable, params.offsets[index]!] as const),
  ]);
  for (const [variable, offset] of placed.offsets) offsets.set(variable, params.end + offset);
  const regions = cutRegions(graph, first);
  const record = planRecord(regions.list);
  const registersAt = params.end + placed.frameBytes;
  const slots = new Map([...record.slots].map(([register, offset]) => [register, registersAt + offset]));
  return { placed: { ...placed, offsets, frameBytes: registersAt + record.bytes }, regions, slots };
}

/** Emits that a thread begins without open calls. */
export function writeNoCalls({ code, unit, frame }: Emitter): void {
  if (unit.callsAt !== undefined) code.get(frame.record).i64(0n).access("i64.store", unit.callsAt);
}

/** Pushes the offset of the open frame. */
export function pushOpenFrame({ code, unit, frame }: Emitter): void {
  code.get(frame.record).access("i32.load", unit.callsAt! + FRAME);
}

/** Pushes the address of the frame behind the open one. */
function pushNextFrame({ code, frame }: Emitter): void {
  code.get(frame.record);
  if (frame.stack !== undefined) code.get(frame.stack).op("i32.add");
}

const nextFrameAt = ({ unit, frame }: Emitter): number => unit.recordBytes + frame.frameBytes;

const copies: Record<number, { load: OpName; store: OpName }> = {
  4: { load: "i32.load", store: "i32.store" },
  8: { load: "i64.load", store: "i64.store" },
};

/** Copies between two places, each pushed as an address with a constant behind it. */
function copy(
  { code }: Emitter,
  byteCount: number,
  { to, from }: { to: { push: () => void; at: number }; from: { push: () => void; at: number } },
): void {
  to.push();
  const plain = copies[byteCount];
  if (plain !== undefined) {
    from.push();
    code.access(plain.load, from.at).access(plain.store, to.at);
    return;
  }
  code.i32(to.at).op("i32.add");
  from.push();
  code.i32(from.at).op("i32.add").i32(byteCount).bulk("memory.copy");
}

/** Emits what opens an activation: room, a note of where to go on, arguments. `callee`: its frame's bytes, and where parameters are. */
function openActivation(
  emitter: Emitter,
  instruction: Instruction,
  callee: { pushBytes: () => void; next: number; params: readonly Variable[]; results: readonly Variable[] },
): void {
  const { code, unit, frame } = emitter;
  const callsAt = unit.callsAt!;
  const opened = emitter.scratch("i32", "opened frame");
  const noted = emitter.scratch("i32", "noted");
  const pushStack = () => (frame.stack === undefined ? code.i32(0) : code.get(frame.stack));
  pushStack().i32(frame.frameBytes).op("i32.add").tee(opened);
  callee.pushBytes();
  code.op("i32.add");
  unit.pushStackEnd(code, frame.record);
  code.op("i32.gt_u");
  code
    .get(frame.record)
    .access("i32.load", callsAt + NOTED_BYTES)
    .tee(noted);
  code
    .i32(CALLS_MAX * NOTE_BYTES)
    .op("i32.ge_u")
    .op("i32.or");
  code.if();
  code.i32(Fault.STACK).i32(instruction.line).i64(0n);
  emitter.import("fault").op("unreachable");
  code.end();
  const note = () => code.get(frame.record).get(noted).op("i32.add");
  note()
    .i32(callee.next)
    .access("i32.store", callsAt + NOTE_REGION);
  note();
  pushStack().access("i32.store", callsAt + NOTE_FRAME);
  code
    .get(frame.record)
    .get(noted)
    .i32(NOTE_BYTES)
    .op("i32.add")
    .access("i32.store", callsAt + NOTED_BYTES);
  code
    .get(frame.record)
    .get(opened)
    .access("i32.store", callsAt + FRAME);
  const { offsets } = row(callee.params, row(callee.results).end);
  callOf(instruction).args.forEach((variable, index) => {
    copy(emitter, callee.params[index]!.byteCount, {
      to: { push: () => pushNextFrame(emitter), at: nextFrameAt(emitter) + offsets[index]! },
      from: { push: () => pushFrameAddress(emitter, variable, instruction), at: 0 },
    });
  });
}

/** Emits what a return does; leaves the number of the region to go on with in a local. */
export function closeActivation(emitter: Emitter): number {
  const { code, unit, frame } = emitter;
  const callsAt = unit.callsAt!;
  const note = emitter.scratch("i32", "note");
  code
    .get(frame.record)
    .access("i32.load", callsAt + NOTED_BYTES)
    .i32(NOTE_BYTES)
    .op("i32.sub")
    .set(note);
  code
    .get(frame.record)
    .get(note)
    .access("i32.store", callsAt + NOTED_BYTES);
  code.get(note).get(frame.record).op("i32.add").set(note);
  code
    .get(frame.record)
    .get(note)
    .access("i32.load", callsAt + NOTE_FRAME)
    .access("i32.store", callsAt + FRAME);
  code
    .get(note)
    .access("i32.load", callsAt + NOTE_REGION)
    .set(note);
  return note;
}

/** Emits what a caller does first when it goes on: takes the results. */
export function readResults(emitter: Emitter, instruction: Instruction, activations: Activations): void {
  const { name, results } = callOf(instruction);
  const formal = name === undefined ? results : activations.get(name)!.placed.routine.returns;
  const { offsets } = row(formal);
  results.forEach((variable, index) => {
    copy(emitter, formal[index]!.byteCount, {
      to: { push: () => pushFrameAddress(emitter, variable, instruction), at: 0 },
      from: { push: () => pushNextFrame(emitter), at: nextFrameAt(emitter) + offsets[index]! },
    });
  });
}

export type Activations = ReadonlyMap<string, Activation>;

/** What a call needs of the region that it ends. */
export interface CallSite {
  readonly activations: Activations;
  /** The region that goes on behind the call. */
  readonly next: number;
  /** Emits that the thread stops, and goes on with the region whose number is pushed. */
  readonly stop: (push: () => void) => void;
}

/** Emits a call of a function that may wait, as the end of a region. */
export function writeCall(emitter: Emitter, instruction: Instruction, site: CallSite): void {
  const { name } = callOf(instruction);
  if (name === undefined) {
    writeCallThroughPointer(emitter, instruction, site);
    return;
  }
  const { placed, regions } = site.activations.get(name)!;
  const { params, returns } = placed.routine;
  requireFit(instruction, { params, returns });
  const pushBytes = () => emitter.code.i32(placed.frameBytes);
  openActivation(emitter, instruction, { pushBytes, next: site.next, params, results: returns });
  site.stop(() => emitter.code.i32(regions.list[0]!.id));
}

/** Whether two lists of variables take the same places in a frame. */
const areAlike = (left: readonly Variable[], right: readonly Variable[]): boolean =>
  left.every(({ byteCount }, index) => align(byteCount, 16) === align(right[index]!.byteCount, 16));

/** Compares the address with those of all functions that fit; any other address faults. */
function writeCallThroughPointer(emitter: Emitter, instruction: Instruction, site: CallSite): void {
  const { code, unit, frame } = emitter;
  const { pointer, args, results } = callOf(instruction);
  const address = emitter.scratch("i64", "callee");
  const entry = emitter.scratch("i32", "entry");
  const bytes = emitter.scratch("i32", "bytes");
  emitter.push(pointer, "u64", instruction);
  code.set(address).i32(-1).set(entry);
  const among = (each: { name: string; address: bigint }, then: () => void) => {
    code.get(address).i64(each.address).op("i64.eq");
    code.if();
    then();
    code.end();
  };
  for (const [name, { routine, address: own }] of unit.pointers) {
    if (!fits(routine.params, args) || !fits(routine.returns, results)) continue;
    const activation = site.activations.get(name);
    const plain = frame.functions.get(name);
    if (activation !== undefined && areAlike(routine.params, args) && areAlike(routine.returns, results)) {
      among({ name, address: own }, () => {
        code.i32(activation.regions.list[0]!.id).set(entry).i32(activation.placed.frameBytes).set(bytes);
      });
    } else if (plain !== undefined) {
      among({ name, address: own }, () => {
        writePlainCall(emitter, instruction, plain.index);
        site.stop(() => code.i32(site.next));
      });
    }
  }
  code.get(entry).i32(0).op("i32.lt_s");
  code.if();
  code.i32(Fault.ADDRESS).i32(instruction.line).get(address);
  emitter.import("fault").op("unreachable");
  code.end();
  openActivation(emitter, instruction, { pushBytes: () => code.get(bytes), next: site.next, params: args, results });
  site.stop(() => code.get(entry));
}

/** A function in which no thread waits, where others may: it leaves its results where an activation would. */
function writePlainCall(emitter: Emitter, instruction: Instruction, index: number): void {
  const { code, frame } = emitter;
  const { args, results } = callOf(instruction);
  const { offsets, end } = row(results);
  code
    .get(frame.context)
    .get(frame.thread)
    .i32(frame.frameBytes + end);
  if (frame.stack !== undefined) code.get(frame.stack).op("i32.add");
  for (const variable of args) pushFrameAddress(emitter, variable, instruction);
  for (const offset of offsets) {
    pushNextFrame(emitter);
    code.i32(nextFrameAt(emitter) + offset).op("i32.add");
  }
  code.call(index);
}
