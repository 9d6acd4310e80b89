/**
 * Writes one region of a kernel, or of a function in which threads may wait, as a function (context, first thread, end of threads) -> where its threads stopped: the region they
 * all go on with, EXITED, or MIXED. The loop over threads is inside, so that a whole block costs one call.
 */
import { readSuspension, writeSuspension } from "../emit/warp.ts";
import type { Instruction, Register } from "../ptx/program.ts";
import { Context, EXITED, MIXED } from "../run/layout.ts";
import { Code } from "../wasm/code.ts";
import type { OpName } from "../wasm/opcodes.ts";
import {
  type Activations,
  closeActivation,
  pushOpenFrame,
  readResults,
  writeCall,
  writeNoCalls,
} from "./activation.ts";
import { advancePosition, BodyWriter, usesPosition, writePosition, writeSharedLimit } from "./body-writer.ts";
import { type Callee, Emitter, wasmType } from "./emitter.ts";
import type { Block, Leave } from "./graph.ts";
import type { PlacedRoutine } from "./kernel.ts";
import { mentionedIn, type Region, type Regions, regionBlocks, writtenIn } from "./regions.ts";
import { useOf } from "./register-spans.ts";
import { writeRegion } from "./structure.ts";
import type { Unit } from "./unit.ts";

/** A thread that may be waiting for another runs a loop this often before the others get a turn. */
const LOOPS_BEFORE_YIELD = 64;

export interface RegionParts {
  readonly placed: PlacedRoutine;
  readonly regions: Regions;
  /** Where registers are while a thread waits: offsets in its record, or in a function's frame. */
  readonly slots: ReadonlyMap<Register, number>;
  readonly functions: ReadonlyMap<string, Callee>;
  readonly activations: Activations;
  /** Whether threads of the kernel ever wait. */
  readonly waits: boolean;
}

export function writeThreads(unit: Unit, region: Region, parts: RegionParts): Code {
  return new RegionWriter(unit, region, parts).write();
}

class RegionWriter extends BodyWriter {
  readonly #unit: Unit;
  readonly #region: Region;
  readonly #parts: RegionParts;
  readonly #blocks: readonly Block[];
  /** Locals with the places where threads have stopped, all joined by `or` and by `and`: equal where there is one. */
  readonly #some: number;
  readonly #every: number;
  readonly #fuel: number;
  /** Local with the address of what holds registers while a thread waits, and what to add to it. */
  readonly #home: number;
  readonly #homeOffset: number;
  #nextThread = 0;

  constructor(unit: Unit, region: Region, parts: RegionParts) {
    const code = new Code(["i32", "i32", "i32"], ["i32"]);
    const blocks = regionBlocks(region.start);
    const record = code.local("i32");
    const position = usesPosition(blocks)
      ? ([code.local("i32"), code.local("i32"), code.local("i32")] as const)
      : undefined;
    const { routine, offsets, frameBytes } = parts.placed;
    const stack = routine.isEntry ? undefined : code.local("i32");
    const frame = {
      context: 0,
      thread: 1,
      record,
      stack,
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
    this.#some = code.local("i32");
    this.#every = code.local("i32");
    this.#fuel = code.local("i32");
    this.#home = stack === undefined ? record : code.local("i32");
    this.#homeOffset = stack === undefined ? 0 : unit.recordBytes;
  }

  write(): Code {
    const { code } = this;
    const { frame } = this.emitter;
    const { position } = frame;
    const end = 2;
    this.emitter.share(useOf(this.#region, this.#parts.regions));
    this.#writeRecordAddress();
    writeSharedLimit(this.emitter);
    if (position !== undefined) writePosition(this.emitter, position);
    if (this.#parts.waits) code.i32(-1).set(this.#every);
    const threads = code.loop();
    this.#nextThread = code.block();
    this.#enter();
    writeRegion(this.#region.start, this);
    code.end();
    code.get(frame.record).i32(this.#unit.threadBytes).op("i32.add").set(frame.record);
    if (position !== undefined) advancePosition(this.emitter, position, 1);
    code.get(frame.thread).i32(1).op("i32.add").tee(frame.thread).get(end).op("i32.lt_u").brIf(threads);
    code.end();
    if (this.#parts.waits) this.#pushResult();
    else code.i32(EXITED);
    return code;
  }

  override leave(end: Leave, block: Block): void {
    const { code } = this;
    if (end.kind === "stop") {
      code.op("unreachable");
      return;
    }
    if (end.kind === "suspend") this.#suspend(end.instruction, this.#parts.regions.after.get(block)!);
    else if (end.kind === "return") {
      const region = closeActivation(this.emitter);
      this.#stop(() => code.get(region));
    } else if (this.#parts.waits) this.#stop(() => code.i32(EXITED));
    else code.br(this.#nextThread);
  }

  #suspend(instruction: Instruction, next: Region): void {
    if (instruction.mnemonic.base !== "call") {
      writeSuspension(this.emitter, instruction);
      this.#spill(next);
      this.#stop(() => this.code.i32(next.id));
      return;
    }
    this.#spill(next);
    const { activations } = this.#parts;
    writeCall(this.emitter, instruction, { activations, next: next.id, stop: (push) => this.#stop(push) });
  }

  override backEdge(header: Block): void {
    const next = this.#parts.regions.yields.get(header);
    if (next === undefined) return;
    const { code } = this;
    const yieldNow = () => {
      this.#spill(next);
      this.#stop(() => code.i32(next.id));
    };
    if (this.#parts.regions.waits.has(header)) {
      yieldNow();
      return;
    }
    code.get(this.#fuel).i32(1).op("i32.sub").tee(this.#fuel).op("i32.eqz");
    code.if();
    yieldNow();
    code.end();
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
    } else this.#begin();
    this.#find();
    const mentioned = mentionedIn(this.#region, this.#blocks);
    for (const register of live) {
      if (!mentioned.has(register)) continue;
      const load = this.emitter.isVector(register) ? "v128.load32_zero" : `${wasmType(register.type)}.load`;
      code.get(this.#home);
      code.access(load as OpName, this.#homeOffset + this.#parts.slots.get(register)!);
      code.set(this.emitter.register(register));
    }
    if (instruction?.mnemonic.base === "call") readResults(this.emitter, instruction, this.#parts.activations);
    else if (instruction !== undefined) readSuspension(this.emitter, instruction);
    if (this.#parts.regions.yields.size > 0) code.i32(LOOPS_BEFORE_YIELD).set(this.#fuel);
  }

  /** What a thread has at first: nothing on its stack. */
  #begin(): void {
    const { code } = this;
    const { stackEndAt, localBytes } = this.#unit;
    if (stackEndAt !== undefined) code.get(this.emitter.frame.record).i32(localBytes).access("i32.store", stackEndAt);
    writeNoCalls(this.emitter);
  }

  /** Finds a function's frame. */
  #find(): void {
    const { record, stack } = this.emitter.frame;
    if (stack === undefined) return;
    pushOpenFrame(this.emitter);
    this.code.tee(stack).get(record).op("i32.add").set(this.#home);
  }

  /** Saves what the next region wants and this one may have changed. */
  #spill(next: Region): void {
    const written = this.#written();
    for (const register of next.live) {
      if (!written.has(register)) continue;
      this.code.get(this.#home).get(this.emitter.register(register));
      if (this.emitter.isVector(register)) this.code.lane("f32x4.extract_lane", 0);
      const slot = this.#homeOffset + this.#parts.slots.get(register)!;
      this.code.access(`${wasmType(register.type)}.store` as OpName, slot);
    }
  }

  #writtenOnce: Set<Register> | undefined;

  #written(): Set<Register> {
    this.#writtenOnce ??= writtenIn(this.#region, this.#blocks);
    return this.#writtenOnce;
  }

  #pushStateAddress(): void {
    const { frame } = this.emitter;
    this.code.get(frame.thread).i32(2).op("i32.shl").get(frame.context).op("i32.add");
  }

  /** Notes where the thread goes on, and turns to the next thread. */
  #stop(push: () => void): void {
    const { code } = this;
    this.#pushStateAddress();
    push();
    code.access("i32.store", Context.STATE);
    code.get(this.#some);
    push();
    code.op("i32.or").set(this.#some);
    code.get(this.#every);
    push();
    code.op("i32.and").set(this.#every).br(this.#nextThread);
  }

  /** The one place of all threads, or MIXED. */
  #pushResult(): void {
    this.code.get(this.#some).i32(MIXED).get(this.#some).get(this.#every).op("i32.eq").op("select");
  }
}
