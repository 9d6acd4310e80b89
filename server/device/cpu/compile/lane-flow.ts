/**
 * Follows integers through a routine, so as to tell where its accesses of memory go in the lanes of a warp: a number that a loop counts up is known by
 * the rounds of the loop.
 */
import type { Instruction, Operand, Register, Variable } from "../ptx/program.ts";
import { reversePostorder } from "./flow.ts";
import { type Block, type Graph, successors } from "./graph.ts";
import { joinBounds, LaneArithmetic, operandValue } from "./lane-arithmetic.ts";
import { boundsOf, gcd, isUniform, type LaneValue, stride, type Unknown } from "./lane-value.ts";
import { eachLoop } from "./regions.ts";
import { accesses, isSuspension } from "./traits.ts";
import type { WarpShape } from "./warp-shape.ts";

/** How deep what a round of a loop does to a number is looked into. */
const DEPTH_MAX = 8;

type Environment = (LaneValue | undefined)[];

interface Definition {
  readonly instruction: Instruction;
  readonly block: Block;
}

export class LaneFlow {
  readonly arithmetic: LaneArithmetic;
  /** Blocks in order, and the loops around each. */
  readonly order: readonly Block[];
  /** All blocks of each loop, by its header. */
  readonly loops = new Map<Block, Set<Block>>();
  /** Where each access of memory goes. */
  readonly addresses = new Map<Instruction, LaneValue>();
  readonly predecessors = new Map<Block, Block[]>();
  readonly position: ReadonlyMap<Block, number>;
  readonly #around = new Map<Block, Block[]>();
  readonly #loopSets = new Map<Block, ReadonlySet<Block>>();
  readonly #definitions = new Map<Register, Definition[]>();
  /** Registers that matter. */
  readonly #needed = new Set<Register>();
  /** Values of registers that are written once. */
  readonly #values = new Map<Register, LaneValue>();
  /** Numbers of registers that are written in several places. */
  readonly #numbers = new Map<Register, number>();
  readonly #variables: Register[] = [];
  /** What is known at the ends of blocks from which a way leads on to one that is not walked yet; how many such each has. */
  readonly #ends = new Map<Block, Environment>();
  readonly #waiting = new Map<Block, number>();
  readonly #stored = new Map<Variable, Map<number, LaneValue | undefined>>();
  #environment: Environment = [];

  constructor(graph: Graph, shape: WarpShape | undefined) {
    this.arithmetic = new LaneArithmetic(shape);
    this.order = reversePostorder(graph.entry, (block) => successors(block.end));
    this.position = new Map(this.order.map((block, index) => [block, index]));
    for (const block of this.order) this.predecessors.set(block, []);
    for (const block of this.order)
      for (const next of new Set(successors(block.end))) this.predecessors.get(next)!.push(block);
    this.#findLoops();
    this.#findDefinitions();
    for (const block of this.order) this.#walk(block);
  }

  /** Headers of the loops around a block, innermost first. */
  around(block: Block): readonly Block[] {
    return this.#around.get(block) ?? [];
  }

  isBackEdge(from: Block, to: Block): boolean {
    return this.position.get(from)! >= this.position.get(to)!;
  }

  #findLoops(): void {
    eachLoop(this.order, (header, body) => {
      const known = this.loops.get(header);
      if (known === undefined) this.loops.set(header, new Set(body));
      else for (const block of body) known.add(block);
    });
    const headers = [...this.loops].sort(([, one], [, other]) => one.size - other.size);
    for (const [header, body] of headers) {
      for (const block of body) {
        const around = this.#around.get(block);
        if (around === undefined) this.#around.set(block, [header]);
        else around.push(header);
      }
    }
  }

  #findDefinitions(): void {
    const add = (instruction: Instruction, block: Block) => {
      for (const register of accesses(instruction).writes) {
        const known = this.#definitions.get(register);
        if (known === undefined) this.#definitions.set(register, [{ instruction, block }]);
        else known.push({ instruction, block });
      }
    };
    for (const block of this.order) {
      for (const instruction of block.instructions) add(instruction, block);
      if (block.end.kind === "suspend") add(block.end.instruction, block);
    }
    this.#findNeeded();
    for (const register of this.#needed) {
      if ((this.#definitions.get(register)?.length ?? 0) < 2) continue;
      this.#numbers.set(register, this.#variables.length);
      this.#variables.push(register);
    }
  }

  /** Registers of which addresses are made, and arguments of functions. */
  #findNeeded(): void {
    const open: Register[] = [];
    const need = (register: Register) => {
      if (register.type === "pred" || register.type.startsWith("f") || this.#needed.has(register)) return;
      this.#needed.add(register);
      open.push(register);
    };
    const look = ({ mnemonic: { base, modifiers }, operands }: Instruction) => {
      for (const operand of operands) {
        if (operand.kind === "memory" && operand.base !== undefined && !("space" in operand.base)) need(operand.base);
        if (operand.kind === "register" && base === "st" && modifiers.has("param")) need(operand.register);
      }
    };
    for (const block of this.order) {
      block.instructions.forEach(look);
      if (block.end.kind === "suspend") look(block.end.instruction);
    }
    for (let register = open.pop(); register !== undefined; register = open.pop()) {
      for (const { instruction } of this.#definitions.get(register) ?? [])
        if (!isSuspension(instruction)) accesses(instruction).reads.forEach(need);
    }
  }

  #walk(block: Block): void {
    this.#environment = this.#begin(block);
    for (const instruction of block.instructions) this.#step(instruction, block);
    if (block.end.kind === "suspend") this.#step(block.end.instruction, block);
    const ahead = [...new Set(successors(block.end))].filter((next) => !this.isBackEdge(block, next));
    this.#waiting.set(block, ahead.length);
    if (ahead.length > 0) this.#ends.set(block, this.#environment);
  }

  #begin(block: Block): Environment {
    const position = this.position.get(block)!;
    const before = this.predecessors.get(block)!.filter((each) => this.position.get(each)! < position);
    const ends = before.map((each) => this.#ends.get(each)!);
    for (const each of before) {
      const left = this.#waiting.get(each)! - 1;
      this.#waiting.set(each, left);
      if (left === 0) this.#ends.delete(each);
    }
    if (ends.length === 1 && !this.loops.has(block)) return ends[0]!.slice();
    const body = this.loops.get(block);
    return this.#variables.map((register, index) => {
      const first = this.#join(
        ends.map((end) => end[index]),
        block,
        index,
      );
      const written = body && this.#definitions.get(register)!.filter((each) => body.has(each.block));
      return written === undefined || written.length === 0 || first === undefined
        ? first
        : this.#inLoop(register, { header: block, first, written });
    });
  }

  /** What a register is where ways join. One that was not written on some way is not read behind it. */
  #join(values: readonly (LaneValue | undefined)[], block: Block, index: number): LaneValue | undefined {
    const known = values.filter((value) => value !== undefined);
    const first = known[0];
    if (first === undefined || known.every((value) => value === first)) return first;
    return this.#between(known, `join ${block.index},${index}`, this.#loopsAt(block));
  }

  /** One of several values: what they have in common, and a multiple of what divides their differences. */
  #between(known: readonly LaneValue[], name: string, loops: ReadonlySet<Block>): LaneValue {
    const { values } = this.arithmetic;
    const first = known[0]!;
    const differences = known.map((value) => values.add(value, first, -1));
    if (!differences.every((each) => each !== undefined && values.isFlat(each)))
      return this.arithmetic.named(name, { ...joinBounds(known), loops });
    const flat = differences as readonly LaneValue[];
    const step = flat.reduce((sum, each) => gcd(gcd(sum, stride(each)), each.constant), 0);
    const { min, max } = joinBounds(flat);
    const unknown = this.arithmetic.namedUnknown(name, {
      min: Math.floor(min / step),
      max: Math.ceil(max / step),
      loops,
    });
    return values.add(first, values.ofUnknown(unknown, step)) ?? this.arithmetic.named(`${name} apart`, { loops });
  }

  #loopsAt(block: Block): ReadonlySet<Block> {
    let loops = this.#loopSets.get(block);
    if (loops === undefined) {
      loops = new Set(this.around(block));
      this.#loopSets.set(block, loops);
    }
    return loops;
  }

  /** What a register is at a loop's header, if it is written in the loop. */
  #inLoop(
    register: Register,
    { header, first, written }: { header: Block; first: LaneValue; written: readonly Definition[] },
  ): LaneValue {
    const loops = this.#loopsAt(header);
    const { arithmetic } = this;
    const [only] = written;
    const isOne =
      written.length === 1 && this.around(only!.block)[0] === header && only!.instruction.guard === undefined;
    for (const min of boundsOf(first).min >= 0 ? [0, -Infinity] : [-Infinity]) {
      const before = arithmetic.values.unknown({ isUniform: isUniform(first), min, loops });
      const value = arithmetic.values.ofUnknown(before);
      const after = isOne ? this.#tentative(only!.instruction, new Map([[register, value]]), 0) : undefined;
      const growth = after && arithmetic.values.add(after, value, -1);
      if (
        growth !== undefined &&
        isUniform(growth) &&
        growth.terms.every(([each]) => each !== before && !each.loops.has(header))
      )
        return this.#counted(first, { growth, header });
      if (after === undefined) break;
      if (boundsOf(after).min < min) continue;
      if (isUniform(first) && isUniform(after)) return value;
      return arithmetic.values.ofUnknown(arithmetic.values.unknown({ min, loops }));
    }
    return arithmetic.values.ofUnknown(arithmetic.values.unknown({ loops }));
  }

  #counted(first: LaneValue, { growth, header }: { growth: LaneValue; header: Block }): LaneValue {
    const { arithmetic } = this;
    const loops = this.#loopsAt(header);
    if (growth.terms.length === 0) {
      const rounds = arithmetic.named(`rounds ${header.index}`, { isUniform: true, min: 0, loops, rounds: header });
      const grown = arithmetic.values.scale(rounds, growth.constant);
      return (
        (grown && arithmetic.values.add(first, grown)) ??
        arithmetic.values.ofUnknown(arithmetic.values.unknown({ loops }))
      );
    }
    const { min, max } = boundsOf(growth);
    const about = { min: min >= 0 ? 0 : -Infinity, max: max <= 0 ? 0 : Infinity, loops, rounds: header, growth };
    const grown = arithmetic.named(`rounds ${header.index} of ${growth.id}`, { isUniform: true, ...about });
    return arithmetic.values.add(first, grown) ?? arithmetic.values.ofUnknown(arithmetic.values.unknown({ loops }));
  }

  /** What an instruction of a loop will give, from what registers are at the start of a round. */
  #tentative(instruction: Instruction, known: ReadonlyMap<Register, LaneValue>, depth: number): LaneValue | undefined {
    if (depth > DEPTH_MAX || instruction.guard !== undefined || isSuspension(instruction)) return undefined;
    const operands = instruction.operands.slice(1).map((operand) => {
      if (operand.kind !== "register") return this.#operand(operand, instruction);
      const { register } = operand;
      const value = known.get(register) ?? this.#values.get(register);
      if (value !== undefined) return value;
      const definitions = this.#definitions.get(register);
      return definitions?.length === 1 ? this.#tentative(definitions[0]!.instruction, known, depth + 1) : undefined;
    });
    return this.arithmetic.result(instruction, operands);
  }

  #operand(operand: Operand, { mnemonic }: Instruction): LaneValue | undefined {
    if (operand.kind !== "register") return operandValue(this.arithmetic, operand, mnemonic.types[0]);
    return operand.negated ? undefined : this.#read(operand.register);
  }

  #read(register: Register): LaneValue | undefined {
    const number = this.#numbers.get(register);
    return number === undefined ? this.#values.get(register) : this.#environment[number];
  }

  #write(register: Register, value: LaneValue): void {
    const number = this.#numbers.get(register);
    if (number === undefined) this.#values.set(register, value);
    else this.#environment[number] = value;
  }

  #step(instruction: Instruction, block: Block): void {
    this.#noteAddress(instruction, block);
    this.#noteParameter(instruction);
    const [target] = instruction.operands;
    if (target === undefined || target.kind === "memory") return;
    if (target.kind === "register" && !this.#needed.has(target.register)) return;
    const writes = accesses(instruction).writes.filter((register) => this.#needed.has(register));
    if (writes.length === 0) return;
    const value = target?.kind === "register" ? this.#result(instruction, block) : undefined;
    for (const register of writes) {
      let given = value ?? this.arithmetic.values.ofUnknown(this.#fresh(instruction, block));
      const before = instruction.guard === undefined ? undefined : this.#read(register);
      if (before !== undefined && before !== given)
        given = this.arithmetic.values.ofUnknown(
          this.arithmetic.values.unknown({ ...joinBounds([before, given]), loops: this.#loopsAt(block) }),
        );
      this.#write(register, given);
    }
  }

  #result(instruction: Instruction, block: Block): LaneValue | undefined {
    const { base } = instruction.mnemonic;
    if (isSuspension(instruction)) return undefined;
    const source = instruction.operands[1];
    if (base === "ld" && source?.kind === "memory" && source.base !== undefined && "space" in source.base) {
      const { base: variable, offset } = source;
      if (variable.space === "param") {
        const stored = this.#stored.get(variable)?.get(offset);
        if (stored !== undefined) return stored;
        if (!this.#stored.has(variable)) return this.#parameter(instruction, variable, offset);
      }
    }
    const operands = instruction.operands.slice(1).map((operand) => this.#operand(operand, instruction));
    return (
      this.arithmetic.result(instruction, operands) ?? this.arithmetic.values.ofUnknown(this.#fresh(instruction, block))
    );
  }

  #parameter({ mnemonic: { text } }: Instruction, { name }: Variable, offset: number): LaneValue {
    const min = /\.u(8|16)$/.test(text) ? 0 : -Infinity;
    return this.arithmetic.named(`parameter ${name} ${offset}`, { isUniform: true, min });
  }

  /** Something that is not followed: all lanes have the same, if they read it at the same place. */
  #fresh(instruction: Instruction, block: Block): Unknown {
    const { base, text } = instruction.mnemonic;
    const address = this.addresses.get(instruction);
    const reads = accesses(instruction).reads;
    const isSame =
      base === "ld"
        ? address !== undefined && isUniform(address)
        : base === "vote" ||
          (/^(ex2|cvt|add|sub|mul|mov|prmt|shf|lop3|selp)$/.test(base) &&
            reads.every((register) => {
              const value = this.#read(register);
              return value !== undefined && isUniform(value);
            }));
    const min = /\.(u8|u16)$/.test(text) && base === "ld" ? 0 : -Infinity;
    return this.arithmetic.values.unknown({ isUniform: isSame, min, loops: this.#loopsAt(block) });
  }

  #noteAddress(instruction: Instruction, block: Block): void {
    const operand = instruction.operands.find(({ kind }) => kind === "memory");
    if (operand?.kind !== "memory") return;
    const { base, offset } = operand;
    const { values } = this.arithmetic;
    let start: LaneValue | undefined;
    if (base === undefined) start = values.constant(0);
    else start = "space" in base ? this.arithmetic.place(base) : this.#read(base);
    const address = start && values.add(start, values.constant(offset));
    this.addresses.set(instruction, address ?? values.ofUnknown(values.unknown({ loops: this.#loopsAt(block) })));
  }

  /** What goes to a function's parameter, if that is written in one place. */
  #noteParameter(instruction: Instruction): void {
    const { base, modifiers } = instruction.mnemonic;
    const [target, source] = instruction.operands;
    if (base !== "st" || !modifiers.has("param") || target?.kind !== "memory") return;
    const { base: variable, offset } = target;
    if (variable === undefined || !("space" in variable)) return;
    const stored = this.#stored.get(variable) ?? new Map<number, LaneValue | undefined>();
    this.#stored.set(variable, stored);
    const value =
      source === undefined || instruction.guard !== undefined ? undefined : this.#operand(source, instruction);
    stored.set(offset, stored.has(offset) ? undefined : value);
  }
}
