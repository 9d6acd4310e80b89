/**
 * Turns an address operand into a checked index of linear memory. Every access of a kernel comes through here: an address that is
 * not in the arena, the globals, the block's shared memory or the thread's local memory ends the kernel, whatever its high half is.
 * One compare does it: rotating the offset right by the access's log2 moves misaligned bits to the top.
 */
import type { AccessGroup } from "../compile/access-plan.ts";
import type { Emitter } from "../compile/emitter.ts";
import { Fault } from "../compile/fault.ts";
import type { Space } from "../compile/memory-access.ts";
import {
  badImage,
  type Instruction,
  type Operand,
  type Register,
  typeBytes,
  unsupported,
  type Variable,
} from "../ptx/program.ts";
import { Context } from "../run/layout.ts";

export interface AddressOptions {
  readonly space: Space | undefined;
  readonly bytes: number;
  readonly at: Instruction;
  readonly group?: AccessGroup | undefined;
  /** For accesses of several threads at once: how far from one to the next, and how many. One check is for all. */
  readonly threads?: { readonly step: number; readonly count: number } | undefined;
}

/** `ld.v8.b32` and `ld.v4.b64`. */
const ACCESS_BYTES_MAX = 32;

type Memory = Extract<Operand, { kind: "memory" }>;

/** Pushes the index as a 32-bit number; returns the constant to put into the access itself. */
export function pushIndex(emitter: Emitter, operand: Memory, options: AddressOptions): number {
  const { base, offset } = operand;
  if (options.bytes > ACCESS_BYTES_MAX || (options.bytes & (options.bytes - 1)) !== 0) {
    throw unsupported(options.at, `an access of [${options.bytes}] bytes`);
  }
  if (base !== undefined && "space" in base) return pushVariable(emitter, base, { ...options, offset });
  const register = base === undefined ? undefined : base;
  if (register !== undefined && register.type !== "pred" && typeBytes[register.type] < 4) {
    throw badImage(options.at.line, `the register [${register.name}] cannot hold an address`);
  }
  if (options.group !== undefined) return pushGroup(emitter, register, { ...options, offset, group: options.group });
  return pushDynamic(emitter, register, { ...options, offset });
}

interface Place extends AddressOptions {
  readonly offset: number;
}

function pushVariable(emitter: Emitter, variable: Variable, place: Place): number {
  const { code, unit, frame } = emitter;
  const { offset, bytes, at } = place;
  const inside = offset >= 0 && offset + bytes <= variable.byteCount;
  const param = unit.params.get(variable);
  if (param !== undefined) {
    requireInside(inside, variable, place);
    code.get(frame.context);
    return Context.PARAMS + param + offset;
  }
  const pointer = frame.pointers.get(variable);
  if (pointer !== undefined) {
    requireInside(inside, variable, place);
    code.get(pointer);
    return offset;
  }
  const within = frame.offsets.get(variable);
  if (within !== undefined) {
    requireInside(inside, variable, place);
    code.get(frame.record);
    if (frame.stack !== undefined) code.get(frame.stack).op("i32.add");
    return unit.recordBytes + within + offset;
  }
  const address = unit.address(variable);
  if (address === undefined) throw badImage(at.line, `the variable [${variable.name}] cannot be accessed here`);
  if (inside && (Number(address & BigInt(ACCESS_BYTES_MAX - 1)) + offset) % bytes === 0) {
    if (variable.space === "shared") {
      code.get(frame.context);
      return Context.SHARED + Number(address) + offset;
    }
    code.i32(Number(BigInt.asIntN(32, address)));
    return offset;
  }
  return pushDynamic(emitter, undefined, { ...place, space: variable.space, offset: Number(address) + offset });
}

function requireInside(inside: boolean, variable: Variable, { at }: Place): void {
  if (!inside) throw badImage(at.line, `an access lies outside the variable [${variable.name}]`);
}

/** The first access of a group checks for all; the others reuse its index. */
function pushGroup(emitter: Emitter, register: Register | undefined, place: Place & { group: AccessGroup }): number {
  const { group, offset } = place;
  if (group.local === undefined) {
    group.local = emitter.index();
    const constant = pushDynamic(emitter, register, { ...place, offset: group.low }, group.high - group.low);
    if (constant !== 0) emitter.code.i32(constant).op("i32.add");
    emitter.code.set(group.local);
  }
  emitter.code.get(group.local);
  return offset - group.low;
}

function pushDynamic(emitter: Emitter, register: Register | undefined, place: Place, span = 0): number {
  const { space } = place;
  if (space === "global" || space === "const") return pushGlobal(emitter, register, place, span);
  if (space === undefined) return pushGeneric(emitter, register, place);
  return pushWindow(emitter, register, { ...place, space }, span);
}

const log2 = (bytes: number): number => 31 - Math.clz32(bytes);

/** How far behind the first thread's access the last one's is. */
const reachOf = (threads: AddressOptions["threads"]): number =>
  threads === undefined ? 0 : threads.step * (threads.count - 1);

/** Pushes register plus constant as 64 bits. */
function pushSum(
  emitter: Emitter,
  register: Register | undefined,
  { constant, at }: { constant: bigint; at: Instruction },
): void {
  const { code } = emitter;
  if (register === undefined) {
    code.i64(constant);
    return;
  }
  const isWide = typeBytes[register.type] === 8;
  emitter.push({ kind: "register", register, negated: false }, isWide ? "u64" : "u32", at);
  if (!isWide) code.op("i64.extend_i32_u");
  if (constant !== 0n) code.i64(constant).op("i64.add");
}

/** The arena inline; the globals, which are fewer and less used, in a helper. Constants are always among the globals. */
function pushGlobal(emitter: Emitter, register: Register | undefined, place: Place, span: number): number {
  const { code, unit } = emitter;
  const { at, bytes, offset, space, threads } = place;
  const shift = log2(bytes);
  const { layout, arenaBase } = unit;
  const start = space === "const" ? layout.globalsOffset : 0;
  const size = space === "const" ? layout.globalsEnd - layout.globalsOffset : layout.arenaBytes;
  const reach = span + reachOf(threads);
  const index = emitter.scratch("i64", "address");
  pushSum(emitter, register, { constant: BigInt(offset) - arenaBase - BigInt(start), at });
  code.tee(index);
  if (shift > 0) code.i64(BigInt(shift)).op("i64.rotr");
  code.i64(BigInt(Math.max(0, size - reach)) >> BigInt(shift)).op("i64.ge_u");
  code.if();
  if (threads !== undefined) {
    // The helper returns if and only if all threads' ranges are in the arena or among the globals.
    code
      .get(index)
      .i64(BigInt(threads.step))
      .i32(threads.count)
      .i64(BigInt(size - span))
      .i64(BigInt(start));
    code
      .i64(BigInt(layout.globalsOffset))
      .i64(BigInt(layout.globalsEnd - span))
      .i32(bytes)
      .i32(at.line)
      .i64(arenaBase);
    emitter.helper("require_threads").op("drop");
  } else if (space === "const") {
    code
      .i32(Fault.ADDRESS)
      .i32(at.line)
      .get(index)
      .i64(arenaBase + BigInt(start))
      .op("i64.add");
    emitter.import("fault").op("unreachable");
  } else {
    // The helper returns if and only if the range lies among the globals.
    code
      .get(index)
      .i64(BigInt(layout.globalsOffset))
      .op("i64.sub")
      .i64(BigInt(layout.globalsEnd - layout.globalsOffset - span));
    code
      .i32(bytes)
      .i32(at.line)
      .i64(arenaBase + BigInt(layout.globalsOffset));
    emitter.helper("require_global").op("drop");
  }
  code.end();
  code.get(index).op("i32.wrap_i64");
  return start;
}

/** Shared, local and parameter memory: an offset within a window whose size is known at the launch. */
function pushWindow(
  emitter: Emitter,
  register: Register | undefined,
  place: Place & { space: "shared" | "local" | "param" },
  span: number,
): number {
  const { code, unit, frame } = emitter;
  const { at, bytes, offset, space, threads } = place;
  const shift = log2(bytes);
  const reach = span + reachOf(threads);
  const limit = () => {
    if (space === "shared") {
      code.get(frame.sharedLimit);
      if (shift > 0) code.i32(shift).op("i32.shr_u");
    } else code.i32((space === "local" ? unit.localBytes : unit.paramBytes) >>> shift);
  };
  const index = emitter.scratch("i32", "window");
  const isWide = register === undefined || typeBytes[register.type] === 8;
  if (!isWide) {
    emitter.push({ kind: "register", register, negated: false }, "u32", at);
    if (offset !== 0) code.i32(offset).op("i32.add");
  } else {
    pushSum(emitter, register, { constant: BigInt(offset), at });
    // The high half must be zero, so it is folded in where it makes the index too large.
    const wide = emitter.scratch("i64", "window");
    code.tee(wide).op("i32.wrap_i64").i32(-1).get(wide).i64(32n).op("i64.shr_u").op("i64.eqz").op("select");
  }
  code.tee(index);
  if (shift > 0) code.i32(shift).op("i32.rotr");
  limit();
  code.op("i32.ge_u");
  if (reach > 0) {
    code.get(index).i32(reach).op("i32.add").i32(shift).op("i32.rotr");
    limit();
    code.op("i32.ge_u").op("i32.or");
  }
  code.if();
  code.i32(Fault.ADDRESS).i32(at.line).get(index);
  if (threads !== undefined) {
    code.i32(threads.step).i32(span).i32(bytes);
    limit();
    code.i32(shift).op("i32.shl");
    emitter.helper("first_outside");
  }
  code.op("i64.extend_i32_u");
  emitter.import("fault").op("unreachable");
  code.end();
  code
    .get(index)
    .get(space === "local" ? frame.record : frame.context)
    .op("i32.add");
  return space === "local" ? unit.recordBytes : space === "shared" ? Context.SHARED : Context.PARAMS;
}

/** Any window: the arena inline, the others in a helper. */
function pushGeneric(emitter: Emitter, register: Register | undefined, place: Place): number {
  const { code, unit, frame } = emitter;
  const { at, bytes, offset } = place;
  const shift = log2(bytes);
  const index = emitter.scratch("i64", "address");
  pushSum(emitter, register, { constant: BigInt(offset) - unit.arenaBase, at });
  code.tee(index);
  if (shift > 0) code.i64(BigInt(shift)).op("i64.rotr");
  code.i64(BigInt(unit.layout.arenaBytes) >> BigInt(shift)).op("i64.lt_u");
  code.if("i32");
  code.get(index).op("i32.wrap_i64");
  code.else();
  code.get(index).i64(unit.arenaBase).op("i64.add").get(frame.context);
  code.get(frame.record).i32(unit.recordBytes).op("i32.add").i32(unit.localBytes).i32(bytes).i32(at.line);
  code.i64(BigInt(unit.layout.globalsOffset) + unit.arenaBase);
  code.i64(BigInt(unit.layout.globalsEnd - unit.layout.globalsOffset));
  emitter.helper("generic");
  code.end();
  return 0;
}
