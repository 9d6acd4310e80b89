/**
 * Writes a region for threads side by side, as a function of the same signature as the one for single threads, which it calls for threads that part:
 * those of a group are run from the region's start then, which is possible only where replay.ts finds it so.
 */

import { type AccessPlan, planAccesses } from "../compile/access-plan.ts";
import {
  advancePosition,
  BodyWriter,
  pushBlockSize,
  usesPosition,
  writePosition,
  writeSharedLimit,
} from "../compile/body-writer.ts";
import { Emitter } from "../compile/emitter.ts";
import type { Block, End, Leave } from "../compile/graph.ts";
import type { RegionParts } from "../compile/region-writer.ts";
import { mentionedIn, type Region, regionBlocks, writtenIn } from "../compile/regions.ts";
import { writeRegion } from "../compile/structure.ts";
import { accesses } from "../compile/traits.ts";
import type { Unit } from "../compile/unit.ts";
import { emitInstruction } from "../emit/table.ts";
import { type Instruction, type Register, typeBytes } from "../ptx/program.ts";
import { Context, EXITED, MIXED } from "../run/layout.ts";
import { Code, type Label } from "../wasm/code.ts";
import { isStepping, loadStepping, storeStepping } from "./access.ts";
import { vectorForm, writeForm } from "./arithmetic.ts";
import { readExchange, writeExchange } from "./exchange.ts";
import { Group } from "./group.ts";
import { extension, GROUP_THREADS, operandShape, resultShape, type Shapes } from "./shape.ts";

export interface WideParts extends RegionParts {
  readonly shapes: Shapes;
  readonly mayRepeat: (at: Instruction) => boolean;
  /** The function for single threads. */
  readonly single: number;
}

export function writeGroups(unit: Unit, region: Region, parts: WideParts): Code {
  return new GroupWriter(unit, region, parts).write();
}

const FIRST = 1;
const END = 2;

class GroupWriter extends BodyWriter {
  readonly #unit: Unit;
  readonly #region: Region;
  readonly #parts: WideParts;
  readonly #blocks: readonly Block[];
  readonly #group: Group;
  readonly #some: number;
  readonly #every: number;
  #plan: AccessPlan = new Map();
  #next: Label = 0;
  #apart: Label = 0;

  constructor(unit: Unit, region: Region, parts: WideParts) {
    const code = new Code(["i32", "i32", "i32"], ["i32"]);
    const blocks = regionBlocks(region.start);
    const local = () => code.local("i32");
    super(
      new Emitter(unit, code, {
        context: 0,
        thread: FIRST,
        record: local(),
        stack: undefined,
        position: usesPosition(blocks) ? [local(), local(), local()] : undefined,
        sharedLimit: local(),
        pointers: new Map(),
        offsets: parts.placed.offsets,
        functions: parts.functions,
        frameBytes: parts.placed.frameBytes,
      }),
    );
    this.#unit = unit;
    this.#region = region;
    this.#parts = parts;
    this.#blocks = blocks;
    this.#group = new Group(this.emitter, parts.shapes);
    this.#some = local();
    this.#every = local();
  }

  write(): Code {
    const { code } = this;
    const { frame } = this.emitter;
    const { position, thread } = frame;
    if (this.#parts.waits) code.i32(-1).set(this.#every);
    const rest = code.block();
    if (position !== undefined) this.#requireWholeRows(rest);
    this.#pushGroupEnd().get(END).op("i32.gt_u").brIf(rest);
    writeSharedLimit(this.emitter);
    code.get(thread).i32(this.#unit.threadBytes).op("i32.mul").get(frame.context).op("i32.add");
    code.i32(Context.THREADS).op("i32.add").set(frame.record);
    if (position !== undefined) writePosition(this.emitter, position);
    const groups = code.loop();
    this.#next = code.block();
    this.#apart = code.block();
    this.#group.part = () => code.br(this.#apart);
    this.#enter();
    writeRegion(this.#region.start, this);
    code.end();
    code.get(frame.context).get(thread);
    this.#pushGroupEnd();
    this.#runSingly();
    code.end();
    code
      .get(frame.record)
      .i32(this.#unit.threadBytes * GROUP_THREADS)
      .op("i32.add")
      .set(frame.record);
    if (position !== undefined) advancePosition(this.emitter, position, GROUP_THREADS);
    this.#pushGroupEnd().set(thread);
    this.#pushGroupEnd().get(END).op("i32.le_u").brIf(groups);
    code.end();
    code.end();
    code.get(thread).get(END).op("i32.lt_u");
    code.if();
    code.get(frame.context).get(thread).get(END);
    this.#runSingly();
    code.end();
    if (this.#parts.waits) code.get(this.#some).i32(MIXED).get(this.#some).get(this.#every).op("i32.eq").op("select");
    else code.i32(EXITED);
    return code;
  }

  override instructions(block: Block): void {
    this.#plan = planAccesses(block.instructions);
    this.emitter.begin(this.#plan);
    for (const instruction of block.instructions) this.#instruction(instruction);
  }

  override condition(end: Extract<End, { kind: "branch" }>): void {
    const { code } = this;
    if (!this.#group.isVarying(end.register)) {
      super.condition(end);
      return;
    }
    const masks = this.#group.vectors(end.register);
    const all = this.emitter.scratch("i32", "all");
    masks.forEach((mask, index) => {
      code.get(mask);
      if (index > 0) code.op("v128.and");
    });
    code.op("i32x4.all_true").tee(all);
    masks.forEach((mask, index) => {
      code.get(mask);
      if (index > 0) code.op("v128.or");
    });
    code.op("v128.any_true").op("i32.ne");
    this.#partIf();
    code.get(all);
    if (end.negated) code.op("i32.eqz");
  }

  override leave(end: Leave, block: Block): void {
    if (end.kind === "suspend") {
      const next = this.#parts.regions.after.get(block)!;
      writeExchange(this.#group, end.instruction);
      this.#spill(next);
      this.#stop(next.id);
    } else if (end.kind !== "exit") this.code.op("unreachable");
    else if (this.#parts.waits) this.#stop(EXITED);
    else this.code.br(this.#next);
  }

  override backEdge(): void {
    // Regions with loops in which threads may wait are not written here.
  }

  #instruction(instruction: Instruction): void {
    const { base } = instruction.mnemonic;
    const group = this.#group;
    const shape = resultShape(instruction, group.shapes, this.#parts.mayRepeat)!;
    const { writes } = accesses(instruction);
    const isStore = base === "st" || base === "red";
    const keepsLanes = instruction.guard !== undefined && writes.some((register) => group.isVarying(register));
    if (!isStore && !keepsLanes && shape.step !== "varying") {
      this.#requireNoWrap(instruction);
      this.emitter.plan = this.#plan;
      emitInstruction(this.emitter, instruction);
      for (const register of writes) if (group.isVarying(register)) group.spread(register, shape.step);
      return;
    }
    if (base === "st" && this.#isUniformStore(instruction)) {
      this.emitter.plan = this.#plan;
      emitInstruction(this.emitter, instruction);
      return;
    }
    const form = isStore ? undefined : vectorForm(group, instruction);
    if (form !== undefined) writeForm(group, instruction, form);
    else if (isStepping(group, instruction)) {
      if (base === "ld") loadStepping(group, instruction, this.#plan);
      else storeStepping(group, instruction, this.#plan);
    } else group.eachLane(instruction);
  }

  #isUniformStore({ operands, guard }: Instruction): boolean {
    const { shapes } = this.#group;
    const isSame = operands.every((operand) => operandShape(operand, shapes)?.step === 0);
    return isSame && (guard === undefined || this.#group.shape(guard.register).step === 0);
  }

  /** Where a stepping word becomes a long word, the step goes on only if no thread's word has wrapped. */
  #requireNoWrap(instruction: Instruction): void {
    const sign = extension(instruction);
    if (sign === undefined) return;
    const { code, emitter } = this;
    const { mnemonic, operands } = instruction;
    const type = mnemonic.base === "cvt" ? mnemonic.types[1]! : mnemonic.types[0]!;
    for (const operand of operands.slice(1, mnemonic.base === "cvt" ? 2 : 3)) {
      const step = operandShape(operand, this.#group.shapes)?.step;
      if (typeof step !== "number" || step === 0) continue;
      emitter.push(operand, type, instruction);
      code.i32(step * (GROUP_THREADS - 1)).op("i32.add");
      emitter.push(operand, type, instruction);
      code.op(`i32.${step > 0 ? "lt" : "gt"}_${sign}`);
      this.#partIf();
    }
  }

  /** Parts where the number on the stack is not 0. */
  #partIf(): void {
    this.code.brIf(this.#apart);
  }

  /** Threads of a group must be neighbours in x: a block has one row, or rows of whole groups. */
  #requireWholeRows(otherwise: Label): void {
    const size = (axis: number) => pushBlockSize(this.emitter, axis);
    size(0)
      .i32(GROUP_THREADS - 1)
      .op("i32.and")
      .i32(0)
      .op("i32.ne");
    size(1);
    size(2).op("i32.mul").i32(1).op("i32.ne").op("i32.and").brIf(otherwise);
  }

  #pushGroupEnd(): Code {
    return this.code.get(this.emitter.frame.thread).i32(GROUP_THREADS).op("i32.add");
  }

  /** With context, first thread and end pushed: runs them one by one. */
  #runSingly(): void {
    const { code } = this;
    code.call(this.#parts.single);
    if (!this.#parts.waits) {
      code.op("drop");
      return;
    }
    const result = this.emitter.scratch("i32", "result");
    code.tee(result).get(this.#some).op("i32.or").set(this.#some);
    code.get(result).get(this.#every).op("i32.and").set(this.#every);
  }

  #enter(): void {
    const { id, live, instruction } = this.#region;
    if (id > 0) this.#requireAllHere(id);
    const mentioned = mentionedIn(this.#region, this.#blocks);
    for (const register of live) if (mentioned.has(register)) this.#load(register);
    if (instruction !== undefined) readExchange(this.#group, instruction);
  }

  /** Threads that wait elsewhere are not run; a group of which only some are here is run one by one. */
  #requireAllHere(id: number): void {
    const { code } = this;
    const { context, thread } = this.emitter.frame;
    const own = new Uint8Array(new Int32Array(4).fill(id).buffer);
    for (let part = 0; part < GROUP_THREADS / 4; part++) {
      code
        .get(thread)
        .i32(2)
        .op("i32.shl")
        .get(context)
        .op("i32.add")
        .access("v128.load", Context.STATE + 16 * part);
      code.v128(own).op("i32x4.eq");
      if (part > 0) code.op("v128.and");
    }
    code.op("i32x4.all_true").op("i32.eqz");
    this.#partIf();
  }

  /** Brings a register back; what should be the same or step must be so, or the threads go on by themselves. */
  #load(register: Register): void {
    const { code } = this;
    const group = this.#group;
    const { step } = group.shape(register);
    const offset = this.#parts.slots.get(register)!;
    const { record } = this.emitter.frame;
    const isLong = typeBytes[register.type] === 8;
    const perVector = isLong ? 2 : 4;
    const isPredicate = register.type === "pred";
    const gathered = step === "varying" ? group.vectors(register) : undefined;
    const value = group.scratch("gathered");
    if (step !== "varying") {
      code.get(record).access(isLong ? "i64.load" : "i32.load", offset);
      const { type } = register;
      if (type === "f64") code.op("f64.reinterpret_i64");
      if (type === "f32") code.op("f32.reinterpret_i32");
      group.popFirst(register);
    }
    for (let part = 0; part < GROUP_THREADS / perVector; part++) {
      for (let lane = 0; lane < perVector; lane++) {
        const at = offset + (part * perVector + lane) * this.#unit.threadBytes;
        code.get(record);
        if (lane === 0) code.access(isLong ? "v128.load64_zero" : "v128.load32_zero", at);
        else code.get(value).accessLane(isLong ? "v128.load64_lane" : "v128.load32_lane", at, lane);
        code.set(value);
      }
      code.get(value);
      if (gathered !== undefined) {
        if (isPredicate) code.v128(new Uint8Array(16)).op("i32x4.ne");
        code.set(gathered[part]!);
        continue;
      }
      if (isPredicate) code.v128(new Uint8Array(16)).op("i32x4.ne");
      group.pushSame(register, part);
      code.op(isLong ? "i64x2.eq" : "i32x4.eq");
      // Both halves of a long word's mask are alike.
      code.op("i32x4.all_true").op("i32.eqz");
      this.#partIf();
    }
  }

  /** Saves what the next region wants and this one may have changed. */
  #spill(next: Region): void {
    const { code } = this;
    const group = this.#group;
    const written = writtenIn(this.#region, this.#blocks);
    const { record } = this.emitter.frame;
    for (const register of next.live) {
      if (!written.has(register)) continue;
      const offset = this.#parts.slots.get(register)!;
      const isLong = typeBytes[register.type] === 8;
      const perVector = isLong ? 2 : 4;
      const value = group.scratch("spilt");
      for (let part = 0; part < GROUP_THREADS / perVector; part++) {
        if (group.isVarying(register)) code.get(group.vectors(register)[part]!);
        else group.pushSame(register, part);
        if (register.type === "pred") code.v128(new Uint8Array(new Int32Array(4).fill(1).buffer)).op("v128.and");
        code.set(value);
        for (let lane = 0; lane < perVector; lane++) {
          const at = offset + (part * perVector + lane) * this.#unit.threadBytes;
          code
            .get(record)
            .get(value)
            .accessLane(isLong ? "v128.store64_lane" : "v128.store32_lane", at, lane);
        }
      }
    }
  }

  /** Notes where all threads of the group go on, and turns to the next. */
  #stop(region: number): void {
    const { code } = this;
    const { context, thread } = this.emitter.frame;
    const states = new Uint8Array(new Int32Array(4).fill(region).buffer);
    for (let part = 0; part < GROUP_THREADS / 4; part++) {
      code.get(thread).i32(2).op("i32.shl").get(context).op("i32.add");
      code.v128(states).access("v128.store", Context.STATE + 16 * part);
    }
    code.get(this.#some).i32(region).op("i32.or").set(this.#some);
    code.get(this.#every).i32(region).op("i32.and").set(this.#every);
    code.br(this.#next);
  }
}
