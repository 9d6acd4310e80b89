/** Writes a device function that stays a function: (context, thread, stack, addresses of parameters and results). */
import type { Variable } from "../ptx/program.ts";
import { Context } from "../run/layout.ts";
import { Code } from "../wasm/code.ts";
import { BodyWriter, usesPosition, writePosition, writeSharedLimit } from "./body-writer.ts";
import { type Callee, Emitter } from "./emitter.ts";
import { Fault } from "./fault.ts";
import type { Leave } from "./graph.ts";
import type { PlacedRoutine } from "./kernel.ts";
import { writeRegion } from "./structure.ts";
import type { Unit } from "./unit.ts";

const CONTEXT = 0;
const THREAD = 1;
const STACK = 2;

export function writeFunction(unit: Unit, placed: PlacedRoutine, functions: ReadonlyMap<string, Callee>): Code {
  const { routine, graph, offsets, frameBytes } = placed;
  const variables = [...routine.params, ...routine.returns];
  const code = new Code(["i32", "i32", "i32", ...variables.map(() => "i32" as const)], []);
  const pointers = new Map<Variable, number>(variables.map((variable, index) => [variable, 3 + index]));
  const record = code.local("i32");
  const position = usesPosition(graph.blocks)
    ? ([code.local("i32"), code.local("i32"), code.local("i32")] as const)
    : undefined;
  const frame = {
    context: CONTEXT,
    thread: THREAD,
    record,
    stack: STACK,
    position,
    sharedLimit: code.local("i32"),
    pointers,
    offsets,
    functions,
    frameBytes,
  };
  const emitter = new Emitter(unit, code, frame);
  code.get(THREAD).i32(unit.threadBytes).op("i32.mul").get(CONTEXT).op("i32.add");
  code.i32(Context.THREADS).op("i32.add").set(record);
  code.get(STACK).i32(frameBytes).op("i32.add");
  unit.pushStackEnd(code, record);
  code.op("i32.gt_u");
  code.if();
  code.i32(Fault.STACK).i32(routine.line).i64(0n);
  emitter.import("fault").op("unreachable");
  code.end();
  writeSharedLimit(emitter);
  if (position !== undefined) writePosition(emitter, position);
  emitter.share({ start: graph.entry, brought: [], kept: () => [] });
  writeRegion(graph.entry, new FunctionWriter(emitter));
  return code;
}

class FunctionWriter extends BodyWriter {
  override leave(end: Leave): void {
    if (end.kind === "suspend" || end.kind === "exit") throw new Error("a function that waits is no plain one");
    this.code.op(end.kind === "return" ? "return" : "unreachable");
  }

  override backEdge(): void {
    // Functions with loops that wait are no plain ones.
  }
}
