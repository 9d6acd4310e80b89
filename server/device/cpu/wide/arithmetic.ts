/**
 * Vector forms of instructions: bit for bit what the forms for single threads give (../emit). What has none here is written thread by thread.
 */
import { isSigned } from "../compile/emitter.ts";
import { ROUGH_DIVISOR_MAX } from "../emit/float.ts";
import { mayBeTiny, NORMAL_MIN } from "../emit/tiny.ts";
import type { Instruction, Operand, PtxType } from "../ptx/program.ts";
import { typeBytes } from "../ptx/program.ts";
import type { OpName } from "../wasm/opcodes.ts";
import type { Group } from "./group.ts";

/** One part of a result in the making. */
class Part {
  readonly group: Group;
  readonly at: Instruction;
  readonly index: number;

  constructor(group: Group, at: Instruction, index: number) {
    this.group = group;
    this.at = at;
    this.index = index;
  }

  get code() {
    return this.group.code;
  }

  /** Pushes an operand of the instruction; by default this part of it. */
  push(operand: number, type: PtxType, part = this.index): this {
    this.group.push(this.at.operands[operand], type, { part, at: this.at });
    return this;
  }

  /** Pushes a 32-bit float, flushed where the instruction says so. */
  float(operand: number): this {
    this.push(operand, "f32");
    if (this.at.mnemonic.modifiers.has("ftz")) this.flush();
    return this;
  }

  /** Replaces subnormal numbers by zeroes with their signs. */
  flush(): this {
    const { code } = this;
    const value = this.group.scratch("flush");
    code.set(value).get(value).v128(words(0x8000_0000)).op("v128.and").get(value);
    code.get(value).op("f32x4.abs").f32(NORMAL_MIN).op("f32x4.splat").op("f32x4.lt").op("v128.bitselect");
    return this;
  }

  op(...names: OpName[]): this {
    for (const name of names) this.code.op(name);
    return this;
  }

  /** What is left to do to a float on the stack. */
  finishFloat(): void {
    if (this.at.mnemonic.modifiers.has("ftz")) this.flush();
    this.saturate();
  }

  saturate(): void {
    if (!this.at.mnemonic.modifiers.has("sat")) return;
    const value = this.group.scratch("clamp");
    this.code.set(value).get(value).get(value).v128(words(0)).op("f32x4.gt").op("v128.and");
    this.code.v128(words(0x3f80_0000)).op("f32x4.min");
  }
}

function words(word: number): Uint8Array {
  return new Uint8Array(new Uint32Array(4).fill(word).buffer);
}

/** Leaves one part of a result on the stack. */
export type Write = (part: Part) => void;

const roundings = ["rz", "rm", "rp", "rni", "rmi", "rpi"];

/** The vector form of an instruction whose result varies; undefined where it has none. */
export function vectorForm(group: Group, instruction: Instruction): Write | undefined {
  return hasOrdinaryOperands(instruction) ? findForm(group, instruction) : undefined;
}

/** Whether registers are as wide as what is read of them, and are predicates where those are read. */
function hasOrdinaryOperands({ mnemonic: { base, types, modifiers }, operands }: Instruction): boolean {
  const read = base === "cvt" ? types[1] : types[0];
  if (read === undefined) return false;
  return operands.every((operand, index) => {
    if (index === 0 || operand.kind !== "register") return true;
    if (base === "selp" && index === 3) return operand.register.type === "pred";
    const bytes = typeBytes[read] * (modifiers.has("wide") && index === 3 ? 2 : 1);
    return (operand.register.type === "pred") === (read === "pred") && typeBytes[operand.register.type] === bytes;
  });
}

function findForm(group: Group, { mnemonic, operands, guard }: Instruction): Write | undefined {
  const { base, types, modifiers } = mnemonic;
  const [type] = types;
  const target = operands[0];
  if (guard !== undefined || type === undefined || target?.kind !== "register" || target.negated) return undefined;
  if (roundings.some((rounding) => modifiers.has(rounding))) return undefined;
  if (base === "setp") return target.register.type === "pred" ? comparison(type, modifiers) : undefined;
  if (base === "cvt") return conversion(types, { modifiers, target: target.register.type });
  if (base === "mov" && operands[1]?.kind === "vector") return undefined;
  const result = modifiers.has("wide") ? (`b${typeBytes[type] * 16}` as PtxType) : type;
  if (typeBytes[target.register.type] !== typeBytes[result] || typeBytes[type] < 4) return undefined;
  if (type === "pred") return target.register.type === "pred" ? predicates[base] : undefined;
  if (type === "f32") return floatForm(group, base, modifiers);
  if (type === "f64") return modifiers.has("sat") ? undefined : doubleForm(group, base);
  if (/^[bus](32|64)$/.test(type)) return integerForm(base, type, { modifiers, count: operands[2] });
  return undefined;
}

/** Writes an instruction by its vector form. */
export function writeForm(group: Group, at: Instruction, write: Write): void {
  const target = at.operands[0];
  if (target?.kind !== "register") throw new Error("a vector form has one result");
  // A part of the result may be read for another part: all are made before any is written.
  const locals = group.vectors(target.register);
  locals.forEach((_, index) => {
    write(new Part(group, at, index));
  });
  for (let index = locals.length - 1; index >= 0; index--) group.code.set(locals[index]!);
}

const predicates: Record<string, Write> = {
  and: (part) => part.push(1, "pred").push(2, "pred").op("v128.and"),
  or: (part) => part.push(1, "pred").push(2, "pred").op("v128.or"),
  xor: (part) => part.push(1, "pred").push(2, "pred").op("v128.xor"),
  not: (part) => part.push(1, "pred").op("v128.not"),
  mov: (part) => part.push(1, "pred"),
};

const moved =
  (type: PtxType): Write =>
  (part) =>
    part.push(1, type);

/** `a` where the predicate holds, else `b`. */
const selection =
  (type: PtxType): Write =>
  (part) => {
    part.push(1, type).push(2, type);
    pushMask(part, 3, type);
    part.op("v128.bitselect");
  };

/** Pushes a predicate as a mask over elements of the type. */
function pushMask(part: Part, operand: number, type: PtxType): void {
  if (typeBytes[type] < 8) part.push(operand, "pred");
  else {
    part.push(operand, "pred", Math.floor(part.index / 2));
    part.op(part.index % 2 === 0 ? "i64x2.extend_low_i32x4_s" : "i64x2.extend_high_i32x4_s");
  }
}

/** Larger than any number that makes a difference here, and so small that what it makes of tiny numbers is not rounded a second time. */
const RAISED = 2 ** 64;

/**
 * An operation on operands in locals whose result may be rounded up to the smallest normal number, and is flushed nevertheless (emit/tiny.ts). Where one
 * comes out so, or below, all are made once more from operands that are raised, whose results are told from each other.
 */
function flushedOperation(part: Part, operands: readonly number[], op: OpName): void {
  const { code, group } = part;
  const [result, raised] = [group.scratch("tiny"), group.scratch("raised")];
  const pushRaised = (local: number) => code.get(local).f32(RAISED).op("f32x4.splat").op("f32x4.mul");
  for (const operand of operands) code.get(operand);
  code.op(op).set(result).get(result).op("f32x4.abs").f32(NORMAL_MIN).op("f32x4.splat").op("f32x4.le");
  code.op("v128.any_true").if();
  operands.forEach((operand, at) => {
    if (at === 1) code.get(operand);
    else pushRaised(operand);
  });
  code.op(op).set(raised);
  code.get(result).v128(words(0x8000_0000)).op("v128.and").get(result);
  code
    .get(raised)
    .op("f32x4.abs")
    .f32(NORMAL_MIN * RAISED)
    .op("f32x4.splat")
    .op("f32x4.lt")
    .op("v128.bitselect");
  code.set(result).end().get(result);
  part.saturate();
}

/** Pops the operands into locals. */
function flushedForm(count: number, op: OpName): Write {
  return (part) => {
    const locals = Array.from({ length: count }, (_, at) => part.group.scratch(`operand ${at}`));
    locals.forEach((local, at) => void part.float(at + 1).code.set(local));
    flushedOperation(part, locals, op);
  };
}

function floatForm(group: Group, base: string, modifiers: ReadonlySet<string>): Write | undefined {
  const arithmetic = (count: number, name: OpName): Write =>
    modifiers.has("ftz") && mayBeTiny(base === "mad" ? "fma" : base)
      ? flushedForm(count, name)
      : (part) => {
          for (let operand = 1; operand <= count; operand++) part.float(operand);
          part.op(name).finishFloat();
        };
  const { fusedMultiplyAdd } = group.emitter.unit.features;
  switch (base) {
    case "add":
      return arithmetic(2, "f32x4.add");
    case "sub":
      return arithmetic(2, "f32x4.sub");
    case "mul":
      return arithmetic(2, "f32x4.mul");
    case "div":
      return modifiers.has("approx") ? divideRoughly : arithmetic(2, "f32x4.div");
    case "fma":
    case "mad":
      return fusedMultiplyAdd ? arithmetic(3, "f32x4.relaxed_madd") : undefined;
    case "abs":
      return arithmetic(1, "f32x4.abs");
    case "neg":
      return arithmetic(1, "f32x4.neg");
    case "sqrt":
      return arithmetic(1, "f32x4.sqrt");
    case "rcp":
      return (part) => {
        const [one, divisor] = [part.group.scratch("operand 0"), part.group.scratch("operand 1")];
        part.code.v128(words(0x3f80_0000)).set(one);
        part.float(1).code.set(divisor);
        if (modifiers.has("ftz")) flushedOperation(part, [one, divisor], "f32x4.div");
        else part.code.get(one).get(divisor).op("f32x4.div");
        if (!modifiers.has("ftz")) part.saturate();
      };
    case "rsqrt":
      return rsqrt;
    case "min":
    case "max":
      return modifiers.has("xorsign") ? undefined : choice(base, modifiers.has("NaN"));
    case "mov":
      return moved("f32");
    case "selp":
      return selection("f32");
    default:
      return undefined;
  }
}

/** As hardware does by a reciprocal that is flushed (emit/float.ts). */
function divideRoughly(part: Part): void {
  const { code, group } = part;
  const [dividend, divisor] = [group.scratch("dividend"), group.scratch("divisor")];
  part.float(1).float(2).code.set(divisor).set(dividend);
  code.get(dividend).get(divisor).v128(words(0x8000_0000)).op("v128.and").op("f32x4.mul");
  code.get(dividend).get(divisor).op("f32x4.div");
  code.get(divisor).op("f32x4.abs").f32(ROUGH_DIVISOR_MAX).op("f32x4.splat").op("f32x4.gt").op("v128.bitselect");
  part.finishFloat();
}

/** By way of 64 bits, two threads at a time. */
function rsqrt(part: Part): void {
  const { code } = part;
  const [value, low] = [part.group.scratch("root"), part.group.scratch("low")];
  const half = () => {
    code.v128(new Uint8Array(new Float64Array([1, 1]).buffer)).get(value);
    part.op("f64x2.promote_low_f32x4", "f64x2.sqrt", "f64x2.div", "f32x4.demote_f64x2_zero");
  };
  part.float(1).code.set(value);
  half();
  code.set(low).get(value).get(value).shuffle([8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]).set(value);
  code.get(low);
  half();
  code.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
  part.finishFloat();
}

/** The smaller or larger; the operand that is a number wins over NaN, unless NaN is wanted. */
function choice(name: "min" | "max", keepsNaN: boolean): Write {
  return (part) => {
    const { code } = part;
    const [a, b] = [part.group.scratch("a"), part.group.scratch("b")];
    part.float(1).float(2).code.set(b).set(a);
    if (keepsNaN) code.get(a).get(b).op(`f32x4.${name}`);
    else {
      code.get(b).get(a).get(a).get(b).op(`f32x4.${name}`);
      code.get(b).get(b).op("f32x4.ne").op("v128.bitselect");
      code.get(a).get(a).op("f32x4.ne").op("v128.bitselect");
    }
    part.finishFloat();
  };
}

function doubleForm(group: Group, base: string): Write | undefined {
  const arithmetic =
    (count: number, name: OpName): Write =>
    (part) => {
      for (let operand = 1; operand <= count; operand++) part.push(operand, "f64");
      part.op(name);
    };
  switch (base) {
    case "add":
    case "sub":
    case "mul":
    case "div":
      return arithmetic(2, `f64x2.${base}`);
    case "fma":
    case "mad":
      return group.emitter.unit.features.fusedMultiplyAdd ? arithmetic(3, "f64x2.relaxed_madd") : undefined;
    case "abs":
    case "neg":
    case "sqrt":
      return arithmetic(1, `f64x2.${base}`);
    case "mov":
      return moved("f64");
    case "selp":
      return selection("f64");
    default:
      return undefined;
  }
}

function integerForm(
  base: string,
  type: PtxType,
  { modifiers, count }: { modifiers: ReadonlySet<string>; count: Operand | undefined },
): Write | undefined {
  const isLong = typeBytes[type] === 8;
  const shape = isLong ? "i64x2" : "i32x4";
  const binary =
    (name: OpName): Write =>
    (part) =>
      part.push(1, type).push(2, type).op(name);
  if (modifiers.has("sat") || modifiers.has("cc") || modifiers.has("hi") || modifiers.has("relu")) return undefined;
  switch (base) {
    case "add":
      return binary(`${shape}.add`);
    case "sub":
      return binary(`${shape}.sub`);
    case "and":
    case "or":
    case "xor":
      return binary(`v128.${base}`);
    case "not":
      return (part) => part.push(1, type).op("v128.not");
    case "neg":
      return (part) => part.push(1, type).op(`${shape}.neg`);
    case "mov":
      return moved(type);
    case "selp":
      return selection(type);
    case "mul":
      return modifiers.has("wide") ? wideProduct(type) : binary(`${shape}.mul`);
    case "mad":
      return modifiers.has("wide")
        ? (part) => {
            wideProduct(type)(part);
            part.push(3, isSigned(type) ? "s64" : "u64").op("i64x2.add");
          }
        : (part) => part.push(1, type).push(2, type).op(`${shape}.mul`).push(3, type).op(`${shape}.add`);
    case "shl":
    case "shr":
      return shifted(base, type, count);
    case "min":
    case "max":
      return isLong ? undefined : binary(`i32x4.${base}_${isSigned(type) ? "s" : "u"}`);
    default:
      return undefined;
  }
}

/** Products of words as long words: the lower or the upper two of a vector of words. */
const wideProduct =
  (type: PtxType): Write =>
  (part) => {
    const from = Math.floor(part.index / 2);
    const half = part.index % 2 === 0 ? "low" : "high";
    part
      .push(1, type, from)
      .push(2, type, from)
      .op(`i64x2.extmul_${half}_i32x4_${isSigned(type) ? "s" : "u"}`);
  };

/** By a constant below the width; more shifts everything out. */
function shifted(base: "shl" | "shr", type: PtxType, count: Operand | undefined): Write | undefined {
  const bits = typeBytes[type] * 8;
  const amount = count?.kind === "integer" ? Number(BigInt.asUintN(32, count.value)) : undefined;
  if (amount === undefined || amount >= bits) return undefined;
  const name = base === "shl" ? "shl" : isSigned(type) ? "shr_s" : "shr_u";
  return (part) => {
    part.push(1, type).code.i32(amount);
    part.op(`${bits === 64 ? "i64x2" : "i32x4"}.${name}` as OpName);
  };
}

const relations = ["eq", "ne", "lt", "le", "gt", "ge"];
const unsignedRelations: Record<string, string> = { lo: "lt", ls: "le", hi: "gt", hs: "ge" };

/** A comparison of words or floats, without a second result and without a predicate to combine with. */
function comparison(type: PtxType, modifiers: ReadonlySet<string>): Write | undefined {
  const names = [...modifiers].filter((name) => name !== "ftz");
  const [name = ""] = names;
  if (names.length !== 1) return undefined;
  if (type === "f32") return floatComparison(name);
  const relation = unsignedRelations[name] ?? name;
  if (!relations.includes(relation)) return undefined;
  const sign = relation === "eq" || relation === "ne" ? "" : isSigned(type) && relation === name ? "_s" : "_u";
  if (/^[bus]32$/.test(type))
    return (part) =>
      part
        .push(1, type)
        .push(2, type)
        .op(`i32x4.${relation}${sign}` as OpName);
  if (!/^[bus]64$/.test(type) || sign === "_u") return undefined;
  // Two vectors of long masks become one of words.
  return (part) => {
    for (const half of [0, 1]) {
      const from = part.index * 2 + half;
      part
        .push(1, type, from)
        .push(2, type, from)
        .op(`i64x2.${relation}${sign}` as OpName);
    }
    part.code.shuffle([0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]);
  };
}

const opposites: Record<string, string> = { neu: "eq", ltu: "ge", leu: "gt", gtu: "le", geu: "lt" };

function floatComparison(name: string): Write | undefined {
  const operation =
    (relation: string): Write =>
    (part) =>
      part
        .float(1)
        .float(2)
        .op(`f32x4.${relation}` as OpName);
  if (name === "neu") return operation("ne");
  const opposite = opposites[name];
  if (opposite !== undefined)
    return (part) =>
      part
        .float(1)
        .float(2)
        .op(`f32x4.${opposite}` as OpName, "v128.not");
  if (name === "ne" || name === "equ") {
    return (part) => {
      const [a, b] = [part.group.scratch("a"), part.group.scratch("b")];
      part.float(1).float(2).code.set(b).set(a);
      part.code.get(a).get(b).op("f32x4.lt").get(a).get(b).op("f32x4.gt").op("v128.or");
      if (name === "equ") part.op("v128.not");
    };
  }
  return relations.includes(name) ? operation(name) : undefined;
}

/** Between words, and between words and 32-bit floats. */
function conversion(
  [to, from]: readonly PtxType[],
  { modifiers, target }: { modifiers: ReadonlySet<string>; target: PtxType },
): Write | undefined {
  if (to === undefined || from === undefined || typeBytes[to] !== typeBytes[target]) return undefined;
  const extra = [...modifiers].filter((name) => name !== "rn" && name !== "rzi" && name !== "ftz");
  if (extra.length > 0) return undefined;
  const isWord = (type: PtxType) => /^[us]32$/.test(type);
  const isLongWord = (type: PtxType) => /^[us]64$/.test(type);
  if (to === "f32" && isWord(from))
    return (part) => part.push(1, from).op(`f32x4.convert_i32x4_${isSigned(from) ? "s" : "u"}`);
  if (isWord(to) && from === "f32" && modifiers.has("rzi"))
    return (part) => part.float(1).op(`i32x4.trunc_sat_f32x4_${isSigned(to) ? "s" : "u"}`);
  if (modifiers.size > 0) return undefined;
  if (isWord(to) && isWord(from)) return moved(from);
  if (isLongWord(to) && isLongWord(from)) return moved(from);
  if (isLongWord(to) && isWord(from)) {
    return (part) => {
      part.push(1, from, Math.floor(part.index / 2));
      part.op(`i64x2.extend_${part.index % 2 === 0 ? "low" : "high"}_i32x4_${isSigned(from) ? "s" : "u"}`);
    };
  }
  if (isWord(to) && isLongWord(from)) {
    return (part) => {
      part.push(1, from, part.index * 2).push(1, from, part.index * 2 + 1);
      part.code.shuffle([0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]);
    };
  }
  return undefined;
}
