/** Calls of device functions, of printf's and assert's inner functions, and the instructions that end a kernel. */
import type { Callee, Emitter } from "../compile/emitter.ts";
import { Fault } from "../compile/fault.ts";
import { calleesOf, fits } from "../compile/pointers.ts";
import { callOf } from "../compile/traits.ts";
import { badImage, type Instruction, unsupported, type Variable } from "../ptx/program.ts";
import type { OpName } from "../wasm/opcodes.ts";
import type { Handlers } from "./handler.ts";

/** Pushes the address of a variable of the frame. */
export function pushFrameAddress({ code, unit, frame }: Emitter, variable: Variable, at: Instruction): void {
  const pointer = frame.pointers.get(variable);
  if (pointer !== undefined) {
    code.get(pointer);
    return;
  }
  const offset = frame.offsets.get(variable);
  if (offset === undefined) throw badImage(at.line, `the argument [${variable.name}] is not declared here`);
  code
    .get(frame.record)
    .i32(unit.recordBytes + offset)
    .op("i32.add");
  if (frame.stack !== undefined) code.get(frame.stack).op("i32.add");
}

/** Functions of CUDA's runtime for device code, by their documented names and by those of CUDA 12 and later, whose library is binary alone. */
const isOfDeviceRuntime = (name: string): boolean => /^(cuda|__cudaCDP2)/.test(name);
const onlyLaunches =
  ": of what kernels may ask of the runtime there are launches, copies in one line, fills, streams and events here";

/** What device code calls of the runtime. A program's own functions of these names go before. */
const runtime: Readonly<Record<string, (emitter: Emitter, instruction: Instruction) => void>> = {
  vprintf: print,
  __assertfail: failAssertion,
  malloc: allocate,
  __cuda_syscall_aligned_malloc: allocate,
  free: release,
};

/** Whether the device has a function of the runtime with this name. */
export const isRuntimeFunction = (name: string): boolean => Object.hasOwn(runtime, name);

/** Whether it takes memory from the heap of kernels. */
export const allocates = (name: string): boolean => isRuntimeFunction(name) && runtime[name] === allocate;

function call(emitter: Emitter, instruction: Instruction): void {
  const { name } = callOf(instruction);
  if (name === undefined) callThroughPointer(emitter, instruction);
  else {
    const callee = emitter.frame.functions.get(name);
    const builtin = isRuntimeFunction(name) ? runtime[name] : undefined;
    if (callee === undefined && builtin !== undefined) {
      builtin(emitter, instruction);
      return;
    }
    if (callee === undefined)
      throw unsupported(instruction, `a call of [${name}]${isOfDeviceRuntime(name) ? onlyLaunches : ""}`);
    requireFit(instruction, callee);
    emitCall(emitter, instruction, callee);
  }
}

/** Throws BAD_IMAGE where a call does not have what a function declares. */
export function requireFit(instruction: Instruction, { params, returns }: Pick<Callee, "params" | "returns">): void {
  const { name, args, results } = callOf(instruction);
  if (fits(params, args) && fits(returns, results)) return;
  throw badImage(instruction.line, `the call of [${name}] has wrong arguments`);
}

function emitCall(emitter: Emitter, instruction: Instruction, callee: Callee): void {
  const { args, results } = callOf(instruction);
  const { code, frame } = emitter;
  code.get(frame.context).get(frame.thread);
  code.i32(frame.frameBytes);
  if (frame.stack !== undefined) code.get(frame.stack).op("i32.add");
  for (const variable of [...args, ...results]) pushFrameAddress(emitter, variable, instruction);
  code.call(callee.index);
}

/** Compares the address with those of all functions that fit; any other address faults. */
function callThroughPointer(emitter: Emitter, instruction: Instruction): void {
  const { pointer } = callOf(instruction);
  const { code, frame, unit } = emitter;
  const address = emitter.scratch("i64", "callee");
  const candidates = calleesOf(instruction, unit.pointers);
  emitter.push(pointer, "u64", instruction);
  code.set(address);
  for (const name of candidates) {
    const callee = frame.functions.get(name);
    if (callee === undefined) throw new Error("a call of a function that may wait ends its block");
    code.get(address).i64(unit.pointers.get(name)!.address).op("i64.eq");
    code.if();
    emitCall(emitter, instruction, callee);
    code.else();
  }
  code.i32(Fault.ADDRESS).i32(instruction.line).get(address);
  emitter.import("fault").op("unreachable");
  for (const _ of candidates) code.end();
}

/** Pushes the arguments of a function of the runtime, each loaded from its variable. */
function pushArguments(emitter: Emitter, instruction: Instruction, loads: readonly OpName[]): void {
  const { args, name } = callOf(instruction);
  if (args.length !== loads.length) throw badImage(instruction.line, `the call of [${name}] has wrong arguments`);
  args.forEach((variable, index) => {
    pushFrameAddress(emitter, variable, instruction);
    emitter.code.access(loads[index]!, 0);
  });
}

function print(emitter: Emitter, instruction: Instruction): void {
  const { code, unit, frame } = emitter;
  const [result] = callOf(instruction).results;
  if (result !== undefined) pushFrameAddress(emitter, result, instruction);
  pushArguments(emitter, instruction, ["i64.load", "i64.load"]);
  code.get(frame.record).i32(unit.recordBytes).op("i32.add");
  emitter.import("vprintf");
  if (result !== undefined) code.access("i32.store", 0);
  else code.op("drop");
}

function failAssertion(emitter: Emitter, instruction: Instruction): void {
  pushArguments(emitter, instruction, ["i64.load", "i64.load", "i32.load", "i64.load", "i64.load"]);
  // The size of a character is always 1.
  emitter.code.op("drop").get(emitter.frame.record).i32(emitter.unit.recordBytes).op("i32.add");
  emitter.code.get(emitter.frame.thread);
  emitter.import("assertfail").op("unreachable");
}

/** malloc, and its form with an alignment. */
function allocate(emitter: Emitter, instruction: Instruction): void {
  const { code, unit } = emitter;
  const { args, results } = callOf(instruction);
  unit.usesHeap = true;
  if (results.length !== 1) throw badImage(instruction.line, "an allocation has one result");
  pushFrameAddress(emitter, results[0]!, instruction);
  pushArguments(
    emitter,
    instruction,
    args.map(() => "i64.load"),
  );
  if (args.length === 1) code.i64(0n);
  else if (args.length !== 2) throw badImage(instruction.line, "an allocation has a size and at most an alignment");
  emitter.import("malloc");
  code.access("i64.store", 0);
}

function release(emitter: Emitter, instruction: Instruction): void {
  pushArguments(emitter, instruction, ["i64.load"]);
  emitter.code.i32(instruction.line);
  emitter.import("free");
}

function trap(emitter: Emitter, instruction: Instruction): void {
  emitter.code.i32(Fault.TRAP).i32(instruction.line).i64(0n);
  emitter.import("fault").op("unreachable");
}

export const callHandlers: Handlers = {
  call: { allows: "uni", emit: call },
  trap: { allows: "", emit: trap },
  brkpt: { allows: "", emit: trap },
};
