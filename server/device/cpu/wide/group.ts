/**
 * The registers of threads that stand side by side: one local for what is the same or steps (the first thread's value, which is where the code
 * for single threads has it), vectors for what varies. Pushes them as vectors, and runs instructions thread by thread that have no vector form.
 */
import type { AccessPlan } from "../compile/access-plan.ts";
import type { Emitter } from "../compile/emitter.ts";
import { wasmType } from "../compile/emitter.ts";
import { accesses } from "../compile/traits.ts";
import { emitInstruction } from "../emit/table.ts";
import type { Instruction, Operand, PtxType, Register } from "../ptx/program.ts";
import { typeBytes } from "../ptx/program.ts";
import type { Code } from "../wasm/code.ts";
import { GROUP_THREADS, operandShape, type Shape, type Shapes, varying } from "./shape.ts";

const noPlan: AccessPlan = new Map();

/** Numbers of the threads in a vector of words or long words, times a step. */
function steps(step: number, first: number, isLong: boolean): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  if (isLong) for (const i of [0, 1]) view.setBigInt64(i * 8, BigInt(step * (first + i)), true);
  else for (const i of [0, 1, 2, 3]) view.setInt32(i * 4, Number(BigInt.asIntN(32, BigInt(step * (first + i)))), true);
  return bytes;
}

export class Group {
  readonly emitter: Emitter;
  readonly shapes: Shapes;
  /** Leaves for the code that runs the threads of the group one by one, from the region's start. */
  part: () => void = () => {};
  readonly #vectors = new Map<Register, readonly number[]>();

  constructor(emitter: Emitter, shapes: Shapes) {
    this.emitter = emitter;
    this.shapes = shapes;
  }

  get code(): Code {
    return this.emitter.code;
  }

  shape(register: Register): Shape {
    return this.shapes.get(register) ?? varying;
  }

  isVarying(register: Register): boolean {
    return this.shape(register).step === "varying";
  }

  /** Vectors that a register of this type takes. */
  parts(type: PtxType): number {
    return GROUP_THREADS / (typeBytes[type] === 8 ? 2 : 4);
  }

  /** The locals of a register that varies. */
  vectors(register: Register): readonly number[] {
    let locals = this.#vectors.get(register);
    if (locals === undefined) {
      locals = Array.from({ length: this.parts(register.type) }, () => this.code.local("v128"));
      this.#vectors.set(register, locals);
    }
    return locals;
  }

  /** A vector for use within one instruction. */
  scratch(name: string): number {
    return this.emitter.scratch("v128", name);
  }

  /** Pushes a part of an operand of words or long words; predicates as masks. */
  push(operand: Operand | undefined, type: PtxType, { part, at }: { part: number; at: Instruction }): void {
    const { code, emitter } = this;
    if (operand?.kind === "register" && this.isVarying(operand.register)) {
      code.get(this.vectors(operand.register)[part]!);
      if (operand.negated) code.op("v128.not");
      return;
    }
    emitter.push(operand, type, at);
    this.#splat(type);
    const step = operandShape(operand, this.shapes)?.step;
    if (typeof step === "number" && step !== 0) this.#addSteps(type, step, part);
  }

  #splat(type: PtxType): void {
    const { code } = this;
    if (type === "pred") code.i32(0).op("i32.ne").i32(31).op("i32.shl").i32(31).op("i32.shr_s").op("i32x4.splat");
    else
      code.op(
        ({ i32: "i32x4.splat", i64: "i64x2.splat", f32: "f32x4.splat", f64: "f64x2.splat" } as const)[wasmType(type)],
      );
  }

  #addSteps(type: PtxType, step: number, part: number): void {
    const isLong = typeBytes[type] === 8;
    this.code.v128(steps(step, part * (isLong ? 2 : 4), isLong)).op(isLong ? "i64x2.add" : "i32x4.add");
  }

  /** Makes vectors of what the code for the first thread has left in the local of a register that varies elsewhere. */
  spread(register: Register, step: number): void {
    const { code } = this;
    this.vectors(register).forEach((local, part) => {
      this.pushFirst(register);
      this.#splat(register.type);
      if (step !== 0) this.#addSteps(register.type, step, part);
      code.set(local);
    });
  }

  /** Pushes a part of a register that does not vary, as `push` does. */
  pushSame(register: Register, part: number): void {
    const { step } = this.shape(register);
    this.pushFirst(register);
    this.#splat(register.type);
    if (step !== 0 && step !== "varying") this.#addSteps(register.type, step, part);
  }

  /** Pushes what the first thread has. */
  pushFirst(register: Register): void {
    this.code.get(this.emitter.register(register));
    if (this.emitter.isVector(register)) this.code.lane("f32x4.extract_lane", 0);
  }

  /** Pops what the thread that is run by itself has. */
  popFirst(register: Register): void {
    if (this.emitter.isVector(register)) this.code.op("f32x4.splat");
    this.code.set(this.emitter.register(register));
  }

  /** Pushes a thread's value of a register that varies. */
  pushLane(register: Register, lane: number): void {
    const isLong = typeBytes[register.type] === 8;
    const perVector = isLong ? 2 : 4;
    this.code.get(this.vectors(register)[Math.floor(lane / perVector)]!);
    const kind = ({ i32: "i32x4", i64: "i64x2", f32: "f32x4", f64: "f64x2" } as const)[wasmType(register.type)];
    this.code.lane(`${kind}.extract_lane`, lane % perVector);
  }

  /** Pops a thread's value into a register that varies. */
  popLane(register: Register, lane: number, push: () => void): void {
    const perVector = typeBytes[register.type] === 8 ? 2 : 4;
    const local = this.vectors(register)[Math.floor(lane / perVector)]!;
    this.code.get(local);
    push();
    if (register.type === "pred") this.code.i32(0).op("i32.ne").i32(-1).op("i32.mul");
    const kind = ({ i32: "i32x4", i64: "i64x2", f32: "f32x4", f64: "f64x2" } as const)[wasmType(register.type)];
    this.code.lane(`${kind}.replace_lane`, lane % perVector).set(local);
  }

  /** Writes an instruction once for each thread, in their order. */
  eachLane(instruction: Instruction): void {
    const { reads, writes } = accesses(instruction);
    this.asLanes({ reads: new Set(reads), writes, usesThread: false }, () =>
      emitInstruction(this.emitter, instruction),
    );
  }

  /** Writes code for single threads once for each thread. All that it writes varies. `usesThread`: whether it asks for the thread's number. */
  asLanes(
    { reads, writes, usesThread }: { reads: ReadonlySet<Register>; writes: readonly Register[]; usesThread: boolean },
    write: () => void,
  ): void {
    const { code, emitter } = this;
    const { thread } = emitter.frame;
    const move = (steps: number) => {
      if (usesThread) code.get(thread).i32(steps).op("i32.add").set(thread);
      for (const register of reads) {
        const { step } = this.shape(register);
        if (step === "varying" || step === 0) continue;
        const isLong = typeBytes[register.type] === 8;
        code.get(emitter.register(register));
        if (isLong) code.i64(BigInt(step * steps)).op("i64.add");
        else code.i32(Number(BigInt.asIntN(32, BigInt(step * steps)))).op("i32.add");
        code.set(emitter.register(register));
      }
    };
    emitter.plan = noPlan;
    for (let lane = 0; lane < GROUP_THREADS; lane++) {
      if (lane > 0) move(1);
      for (const register of reads) {
        if (!this.isVarying(register)) continue;
        this.pushLane(register, lane);
        if (register.type === "pred") code.i32(1).op("i32.and");
        this.popFirst(register);
      }
      write();
      for (const register of writes) this.popLane(register, lane, () => this.pushFirst(register));
    }
    move(1 - GROUP_THREADS);
  }
}
