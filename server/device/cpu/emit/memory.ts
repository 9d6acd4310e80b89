/** ld, st, their relatives, and conversions between state spaces. */
import { type Emitter, isSigned, wasmType } from "../compile/emitter.ts";
import { addressOperand, type MemoryAccess, memoryAccess, spaceOf } from "../compile/memory-access.ts";
import { windowBase } from "../compile/unit.ts";
import { badImage, type Instruction, type Operand, type PtxType, typeBytes, unsupported } from "../ptx/program.ts";
import type { OpName } from "../wasm/opcodes.ts";
import { pushIndex } from "./address.ts";
import type { Handlers } from "./handler.ts";
import { arriveWhenCopied } from "./mbarrier.ts";
import { bitsType, isOrdered, isWhole, loadWhole, storeWhole } from "./whole-access.ts";

/** Cache and coherence hints change nothing here; orders and scopes are met by WebAssembly's atomics being sequential. */
const hints =
  "ca cg cs cv lu wb wt nc weak volatile relaxed acquire release mmio cta gpu sys cluster unified level::eviction_priority L1::evict_normal L1::evict_unchanged L1::evict_first L1::evict_last L1::no_allocate L2::evict_last L2::evict_normal L2::evict_first L2::cache_hint L2::64B L2::128B L2::256B";
const spaces = "global const shared shared::cta shared::cluster local param param::entry param::func";

/** The load whose value is held as `type` is held. */
export function loadName(type: PtxType): OpName {
  const size = typeBytes[type];
  if (type === "f32") return "f32.load";
  if (type === "f64") return "f64.load";
  if (size === 8) return "i64.load";
  if (size === 4) return "i32.load";
  if (size === 2) return isSigned(type) ? "i32.load16_s" : "i32.load16_u";
  return isSigned(type) ? "i32.load8_s" : "i32.load8_u";
}

export function storeName(type: PtxType): OpName {
  const size = typeBytes[type];
  if (type === "f32") return "f32.store";
  if (type === "f64") return "f64.store";
  return size === 8 ? "i64.store" : size === 4 ? "i32.store" : size === 2 ? "i32.store16" : "i32.store8";
}

const atomicLoads: Record<number, OpName> = {
  1: "i32.atomic.load8_u",
  2: "i32.atomic.load16_u",
  4: "i32.atomic.load",
  8: "i64.atomic.load",
};
const atomicStores: Record<number, OpName> = {
  1: "i32.atomic.store8",
  2: "i32.atomic.store16",
  4: "i32.atomic.store",
  8: "i64.atomic.store",
};

function load(emitter: Emitter, instruction: Instruction): void {
  const access = memoryAccess(instruction);
  const { code } = emitter;
  const targets = elements(instruction.operands[0], access.count, instruction);
  const group = emitter.plan.get(instruction);
  let constant = pushIndex(emitter, access.operand, { ...access, at: instruction, group });
  const index = emitter.scratch("i32", "index");
  if (targets.length > 1) code.set(index);
  if (isWhole(instruction, access)) {
    loadWhole(emitter, { instruction, access, operands: targets, index, constant });
    return;
  }
  for (const target of targets) {
    if (targets.length > 1) code.get(index);
    loadElement(emitter, target, { access, constant, instruction });
    constant += typeBytes[access.type];
  }
}

function loadElement(
  emitter: Emitter,
  target: Operand,
  { access, constant, instruction }: { access: MemoryAccess; constant: number; instruction: Instruction },
): void {
  const { code } = emitter;
  let { type } = access;
  if (typeBytes[type] === 4 && emitter.isVectorOperand(target) && !isOrdered(instruction, access)) {
    code.access("v128.load32_zero", constant);
    emitter.popVector(target, instruction);
    return;
  }
  if (isOrdered(instruction, access)) {
    code.access(atomicLoads[typeBytes[type]]!, constant);
    if (isSigned(type) && typeBytes[type] < 4) code.op(typeBytes[type] === 1 ? "i32.extend8_s" : "i32.extend16_s");
    if (!isSigned(type)) type = bitsType(type);
  } else {
    // A register of the same width may be held as a float: then it is loaded as one.
    const own = target.kind === "register" ? target.register.type : type;
    if (typeBytes[own] === typeBytes[type] && wasmType(own) !== wasmType(type)) type = own;
    code.access(loadName(type), constant);
  }
  emitter.pop(target, type, instruction);
}

export function store(emitter: Emitter, instruction: Instruction): void {
  const access = memoryAccess(instruction);
  const { code } = emitter;
  const sources = elements(instruction.operands[1], access.count, instruction);
  const ordered = isOrdered(instruction, access);
  const group = emitter.plan.get(instruction);
  let constant = pushIndex(emitter, access.operand, { ...access, at: instruction, group });
  const index = emitter.scratch("i32", "index");
  if (sources.length > 1) code.set(index);
  if (isWhole(instruction, access)) {
    storeWhole(emitter, { instruction, access, operands: sources, index, constant });
    return;
  }
  for (const source of sources) {
    if (sources.length > 1) code.get(index);
    let type = ordered ? bitsType(access.type) : access.type;
    const own = source.kind === "register" ? source.register.type : type;
    if (!ordered && typeBytes[own] === typeBytes[type] && wasmType(own) !== wasmType(type)) type = own;
    emitter.push(source, type, instruction);
    code.access(ordered ? atomicStores[typeBytes[type]]! : storeName(type), constant);
    constant += typeBytes[access.type];
  }
}

/** The registers of a vector, or the one of a scalar. */
export function elements(operand: Operand | undefined, count: number, at: Instruction): readonly Operand[] {
  const list = operand?.kind === "vector" ? operand.elements : operand === undefined ? [] : [operand];
  if (list.length !== count) throw badImage(at.line, `[${at.mnemonic.text}] needs [${count}] values`);
  return list;
}

function cvta(emitter: Emitter, instruction: Instruction): void {
  const { types, modifiers } = instruction.mnemonic;
  if (types[0] !== "u64") throw unsupported(instruction, "32-bit addresses");
  const space = spaceOf(instruction);
  emitter.push(instruction.operands[1], "u64", instruction);
  const windows = { shared: "SHARED", local: "LOCAL", param: "PARAM" } as const;
  if (space === "shared" || space === "local" || space === "param") {
    emitter.code.i64(windowBase(windows[space])).op(modifiers.has("to") ? "i64.sub" : "i64.add");
  }
  emitter.pop(instruction.operands[0], "u64", instruction);
}

function isspacep(emitter: Emitter, instruction: Instruction): void {
  const space = spaceOf(instruction);
  const { code, unit } = emitter;
  emitter.push(instruction.operands[1], "u64", instruction);
  if (space === "global" || space === "const") {
    // Constants live beside globals, so the same addresses would answer to both; a global is what programs ask for.
    code.i64(unit.arenaBase).op("i64.sub").i64(BigInt(unit.layout.globalsEnd)).op("i64.lt_u");
    if (space === "const") code.i32(0).op("i32.and");
  } else {
    const windows = { shared: "SHARED", local: "LOCAL", param: "PARAM" } as const;
    code.i64(32n).op("i64.shr_u");
    code.i64(windowBase(windows[space ?? "shared"]) >> 32n).op("i64.eq");
  }
  emitter.pop(instruction.operands[0], "pred", instruction);
}

/** `cp.async` copies at once, so that its groups are always complete. */
function copyAsync(emitter: Emitter, instruction: Instruction): void {
  const { modifiers } = instruction.mnemonic;
  if (!modifiers.has("async") || modifiers.has("bulk")) throw unsupported(instruction);
  if (modifiers.has("mbarrier")) {
    arriveWhenCopied(emitter, instruction);
    return;
  }
  if (["commit_group", "wait_group", "wait_all"].some((word) => modifiers.has(word))) return;
  const [, , size, sourceSize] = instruction.operands;
  const bytes = size?.kind === "integer" ? Number(size.value) : 0;
  if (bytes !== 4 && bytes !== 8 && bytes !== 16) throw badImage(instruction.line, "cp.async copies 4, 8 or 16 bytes");
  const { code } = emitter;
  const destination = emitter.scratch("i32", "destination");
  const count = emitter.scratch("i32", "count");
  const start = pushIndex(emitter, addressOperand(instruction, 0), { space: "shared", bytes, at: instruction });
  code.i32(start).op("i32.add").set(destination);
  if (sourceSize === undefined) code.i32(bytes);
  else if (sourceSize.kind === "register" && sourceSize.register.type === "pred") {
    // The predicate says that the source is to be ignored.
    code.i32(0).i32(bytes);
    emitter.push(sourceSize, "pred", instruction);
    code.op("select");
  } else emitter.push(sourceSize, "u32", instruction);
  code.set(count);
  code.get(destination).i32(0).i32(bytes).bulk("memory.fill");
  code.get(count);
  code.if();
  code.get(destination);
  code
    .i32(pushIndex(emitter, addressOperand(instruction, 1), { space: "global", bytes, at: instruction }))
    .op("i32.add");
  code.get(count).i32(bytes).get(count).i32(bytes).op("i32.lt_u").op("select").bulk("memory.copy");
  code.end();
}

const nothing = (): void => {};

export const memoryHandlers: Handlers = {
  ld: { allows: `${hints} ${spaces} v2 v4 v8`, emit: load },
  ldu: { allows: `${spaces} v2 v4`, emit: load },
  st: { allows: `${hints} ${spaces} v2 v4 v8`, emit: store },
  cvta: { allows: `${spaces} to`, emit: cvta },
  isspacep: { allows: spaces, emit: isspacep },
  cp: {
    allows: `${hints} async bulk mbarrier arrive noinc shared shared::cta global commit_group wait_group wait_all`,
    emit: copyAsync,
  },
  prefetch: { allows: `${spaces} L1 L2 tensormap L2::evict_last L2::evict_normal`, emit: nothing },
  prefetchu: { allows: "L1", emit: nothing },
  discard: { allows: "global L2", emit: nothing },
  applypriority: { allows: "global L2::evict_normal", emit: nothing },
  membar: { allows: "cta gl sys gpu", emit: ({ code }) => code.fence() },
  fence: {
    allows:
      "cta gpu sys cluster acq_rel sc acquire release proxy alias async global shared::cta shared::cluster mbarrier_init tensormap::generic sync_restrict::shared::cta sync_restrict::shared::cluster",
    emit: ({ code }) => code.fence(),
  },
  nanosleep: { allows: "", emit: nothing },
  pmevent: { allows: "mask", emit: nothing },
};
