/**
 * Writes one region of a kernel as a function (context, first thread, end of threads) -> where its threads stopped: the region they
 * all go on with, EXITED, or MIXED. The loop over threads is inside, so that a whole block costs one call.
 */
import { readSuspension, writeSuspension } from "../emit/warp.ts";
import type { Register } from "../ptx/program.ts";
import { Context, EXITED, MIXED } from "../run/layout.ts";
import { Code } from "../wasm/code.ts";
import type { OpName } from "../wasm/opcodes.ts";
import { BodyWriter, usesPosition, writePosition, writeSharedLimit } from "./body-writer.ts";
import { type Callee, Emitter, wasmType } from "./emitter.ts";
import type { Block, End } from "./graph.ts";
import type { PlacedRoutine } from "./kernel.ts";
import type { RecordPlan } from "./record.ts";
import { type Region, type Regions, regionBlocks } from "./regions.ts";
import { writeRegion } from "./structure.ts";
import { accesses, readsOnResuming } from "./traits.ts";
import type { Unit } from "./unit.ts";

/** A thread that may be waiting for another runs a loop this often before the others get a turn. */
const LOOPS_BEFORE_YIELD = 64;
/** Places where threads stop are noted as bits, EXITED as the lowest; all from here on share the highest. */
const LAST_PLACE = 30;

export interface KernelParts {
  readonly kernel: PlacedRoutine;
  readonly regions: Regions;
  readonly record: RecordPlan;
  readonly functions: ReadonlyMap<string, Callee>;
}

export function writeKernelRegion(unit: Unit, region: Region, parts: KernelParts): Code {
  return new RegionWriter(unit, region, parts).write();
}

class RegionWriter extends BodyWriter {
  readonly #unit: Unit;
  readonly #region: Region;
  readonly #parts: KernelParts;
  readonly #blocks: readonly Block[];
  /** Local with the set of places where threads have stopped. */
  readonly #places: number;
  readonly #fuel: number;
  #nextThread = 0;

  constructor(unit: Unit, region: Region, parts: KernelParts) {
    const code = new Code(["i32", "i32", "i32"], ["i32"]);
    const blocks = regionBlocks(region.start);
    const record = code.local("i32");
    const position = usesPosition(blocks)
      ? ([code.local("i32"), code.local("i32"), code.local("i32")] as const)
      : undefined;
    const { offsets, frameBytes } = parts.kernel;
    const frame = {
      context: 0,
      thread: 1,
      record,
      stack: undefined,
      position,
      sharedLimit: code.local("i32"),
      pointers: new Map(),
      offsets,
      functions: parts.functions,
      frameBytes,
    };
    super(new Emitter(unit, code, frame));
    this.#unit = unit;
    this.#region = region;
    this.#parts = parts;
    this.#blocks = blocks;
    this.#places = code.local("i32");
    this.#fuel = code.local("i32");
  }

  write(): Code {
    const { code } = this;
    const { frame } = this.emitter;
    const { position } = frame;
    const end = 2;
    this.#writeRecordAddress();
    writeSharedLimit(this.emitter);
    if (position !== undefined) writePosition(this.emitter, position);
    const threads = code.loop();
    this.#nextThread = code.block();
    this.#enter();
    writeRegion(this.#region.start, this);
    code.end();
    code.get(frame.record).i32(this.#unit.threadBytes).op("i32.add").set(frame.record);
    if (position !== undefined) this.#advance(position);
    code.get(frame.thread).i32(1).op("i32.add").tee(frame.thread).get(end).op("i32.lt_u").brIf(threads);
    code.end();
    if (this.#waits) this.#pushResult();
    else code.i32(EXITED);
    return code;
  }

  override leave(end: Extract<End, { kind: "exit" | "suspend" | "stop" }>, block: Block): void {
    const { code } = this;
    if (end.kind === "stop") {
      code.op("unreachable");
      return;
    }
    if (end.kind === "exit") {
      if (this.#waits) this.#stop(EXITED);
    } else {
      const next = this.#parts.regions.after.get(block)!;
      writeSuspension(this.emitter, end.instruction);
      this.#spill(next);
      this.#stop(next.id);
    }
    code.br(this.#nextThread);
  }

  override backEdge(header: Block): void {
    const next = this.#parts.regions.yields.get(header);
    if (next === undefined) return;
    const { code } = this;
    code.get(this.#fuel).i32(1).op("i32.sub").tee(this.#fuel).op("i32.eqz");
    code.if();
    this.#spill(next);
    this.#stop(next.id);
    code.br(this.#nextThread);
    code.end();
  }

  /** Whether threads of this kernel ever wait. */
  get #waits(): boolean {
    return this.#parts.regions.list.length > 1;
  }

  #writeRecordAddress(): void {
    const { frame } = this.emitter;
    this.code.get(frame.thread).i32(this.#unit.threadBytes).op("i32.mul").get(frame.context).op("i32.add");
    this.code.i32(Context.THREADS).op("i32.add").set(frame.record);
  }

  /** Skips threads that wait elsewhere, and brings a thread's registers back. */
  #enter(): void {
    const { code } = this;
    const { id, live, instruction } = this.#region;
    if (id > 0) {
      this.#pushStateAddress();
      code.access("i32.load", Context.STATE).i32(id).op("i32.ne").brIf(this.#nextThread);
    }
    if (id === 0 && this.#unit.stackEndAt !== undefined) {
      code.get(this.emitter.frame.record).i32(this.#unit.localBytes).access("i32.store", this.#unit.stackEndAt);
    }
    const mentioned = this.#mentioned();
    for (const register of live) {
      if (!mentioned.has(register)) continue;
      const load = this.emitter.isVector(register) ? "v128.load32_zero" : `${wasmType(register.type)}.load`;
      code.get(this.emitter.frame.record);
      code.access(load as OpName, this.#parts.record.slots.get(register)!);
      code.set(this.emitter.register(register));
    }
    if (instruction !== undefined) readSuspension(this.emitter, instruction);
    if (this.#parts.regions.yields.size > 0) code.i32(LOOPS_BEFORE_YIELD).set(this.#fuel);
  }

  /** Saves what the next region wants and this one may have changed. */
  #spill(next: Region): void {
    const written = this.#written();
    for (const register of next.live) {
      if (!written.has(register)) continue;
      this.code.get(this.emitter.frame.record).get(this.emitter.register(register));
      if (this.emitter.isVector(register)) this.code.lane("f32x4.extract_lane", 0);
      this.code.access(`${wasmType(register.type)}.store` as OpName, this.#parts.record.slots.get(register)!);
    }
  }

  #writtenOnce: Set<Register> | undefined;

  #written(): Set<Register> {
    if (this.#writtenOnce === undefined) {
      const all = this.#blocks.flatMap((block) => block.instructions);
      if (this.#region.instruction !== undefined) all.push(this.#region.instruction);
      this.#writtenOnce = new Set(all.flatMap((instruction) => accesses(instruction).writes));
    }
    return this.#writtenOnce;
  }

  /** What this region reads or may write: all else stays where it is, for regions behind it. */
  #mentioned(): Set<Register> {
    const mentioned = new Set(this.#written());
    const { instruction: resumed } = this.#region;
    if (resumed !== undefined) for (const register of readsOnResuming(resumed)) mentioned.add(register);
    for (const { instructions, end } of this.#blocks) {
      const all = end.kind === "suspend" ? [...instructions, end.instruction] : instructions;
      for (const instruction of all) for (const register of accesses(instruction).reads) mentioned.add(register);
      if (end.kind === "branch") mentioned.add(end.register);
      if (end.kind === "table" && end.index.kind === "register") mentioned.add(end.index.register);
    }
    return mentioned;
  }

  #pushStateAddress(): void {
    const { frame } = this.emitter;
    this.code.get(frame.thread).i32(2).op("i32.shl").get(frame.context).op("i32.add");
  }

  /** Notes where the thread goes on, and whether all threads agree. */
  #stop(state: number): void {
    const { code } = this;
    this.#pushStateAddress();
    code.i32(state).access("i32.store", Context.STATE);
    code
      .get(this.#places)
      .i32(1 << Math.min(state + 1, LAST_PLACE + 1))
      .op("i32.or")
      .set(this.#places);
  }

  /** The one place of all threads, or MIXED. */
  #pushResult(): void {
    const { code } = this;
    code.get(this.#places).op("i32.ctz").i32(1).op("i32.sub").i32(MIXED);
    code.get(this.#places).op("i32.popcnt").i32(1).op("i32.eq").get(this.#places).i32(0).op("i32.gt_s").op("i32.and");
    code.op("select");
  }

  /** Moves the position to the next thread: x runs fastest. */
  #advance([x, y, z]: readonly [number, number, number]): void {
    const { code } = this;
    const size = (axis: number) =>
      code.get(this.emitter.frame.context).access("i32.load", Context.BLOCK_SIZE + 4 * axis);
    code.get(x).i32(1).op("i32.add").tee(x);
    size(0).op("i32.eq");
    code.if();
    code.i32(0).set(x).get(y).i32(1).op("i32.add").tee(y);
    size(1).op("i32.eq");
    code.if();
    code.i32(0).set(y).get(z).i32(1).op("i32.add").set(z);
    code.end();
    code.end();
  }
}
