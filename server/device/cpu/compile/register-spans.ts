/**
 * Which registers of a region may have one local between them: those that no path needs at the same time. A function's cost in V8, in memory and
 * in time, grows with its locals times its branches, and PTX has a register for each value. Knows no code that is written.
 */
import type { Register } from "../ptx/program.ts";
import { innerSuccessors, reversePostorder } from "./flow.ts";
import { type Block, successors } from "./graph.ts";
import type { Region, Regions } from "./regions.ts";
import { accesses } from "./traits.ts";

/** From the first to the last place, in the order of the blocks, at which a register's value may be wanted; both belong to it. */
interface Span {
  first: number;
  last: number;
}

export interface RegionUse {
  readonly start: Block;
  /** Registers that are set before the region's first instruction. */
  readonly brought: Iterable<Register>;
  /** Registers that are read where a block leaves the region. */
  readonly kept: (block: Block) => readonly Register[];
}

/** What threads bring to a region, with what they read on coming, and what the regions behind it want of them. */
export function useOf({ start, live, instruction }: Region, { after, yields }: Regions): RegionUse {
  const resumed = instruction === undefined ? { reads: [], writes: [] } : accesses(instruction);
  const brought = new Set([...live, ...resumed.reads, ...resumed.writes]);
  const kept = (block: Block): Register[] => {
    const behind = [after.get(block), ...successors(block.end).map((next) => yields.get(next))];
    return behind.flatMap((region) => region?.live ?? []);
  };
  return { start, brought, kept };
}

/**
 * Numbers for the registers of a region, from 0 on for each of the kinds that `kindOf` tells: those of one number and kind are never wanted at the
 * same time.
 */
export function shareRegisters(use: RegionUse, kindOf: (register: Register) => string): Map<Register, number> {
  const byFirst = [...new Spans(use).all].sort(([, left], [, right]) => left.first - right.first);
  const byLast = [...byFirst].sort(([, left], [, right]) => left.last - right.last);
  const numbers = new Map<Register, number>();
  const kinds = new Map<string, { count: number; readonly free: number[] }>();
  let over = 0;
  for (const [register, { first }] of byFirst) {
    for (; byLast[over]![1].last < first; over++) {
      const [done] = byLast[over]!;
      kinds.get(kindOf(done))!.free.push(numbers.get(done)!);
    }
    const name = kindOf(register);
    const kind = kinds.get(name) ?? { count: 0, free: [] };
    kinds.set(name, kind);
    numbers.set(register, kind.free.pop() ?? kind.count++);
  }
  return numbers;
}

class Spans {
  readonly all = new Map<Register, Span>();
  readonly #before = new Map<Block, Block[]>();
  /** The places of each block's begin and end; those of its instructions are between them. */
  readonly #ends = new Map<Block, Span>();
  /** Blocks in which a register gets its value whatever it had. */
  readonly #written = new Map<Register, Set<Block>>();

  constructor({ start, brought, kept }: RegionUse) {
    const order = reversePostorder(start, innerSuccessors);
    const wanted: { register: Register; block: Block }[] = [];
    let place = 0;
    for (const register of brought) this.#mention(register, place);
    for (const block of order) {
      const first = place;
      for (const register of this.#readFirst(block, place, kept(block))) wanted.push({ register, block });
      place += block.instructions.length + 2;
      this.#ends.set(block, { first, last: place - 1 });
      for (const next of innerSuccessors(block)) {
        const before = this.#before.get(next);
        if (before === undefined) this.#before.set(next, [block]);
        else before.push(block);
      }
    }
    const arrivals = new Map<Register, Block[]>();
    for (const { register, block } of wanted) {
      const blocks = arrivals.get(register);
      if (blocks === undefined) arrivals.set(register, [block]);
      else blocks.push(block);
    }
    for (const [register, blocks] of arrivals) this.#reachBack(register, blocks);
  }

  #mention(register: Register, place: number): void {
    const span = this.all.get(register);
    if (span === undefined) this.all.set(register, { first: place, last: place });
    else {
      if (place < span.first) span.first = place;
      if (place > span.last) span.last = place;
    }
  }

  /** Mentions all registers of a block, and returns those that it reads before it writes them. */
  #readFirst(block: Block, begin: number, kept: readonly Register[]): Set<Register> {
    const wanted = new Set<Register>();
    let place = begin;
    const read = (register: Register): void => {
      this.#mention(register, place);
      if (this.#written.get(register)?.has(block) !== true) wanted.add(register);
    };
    for (const instruction of block.instructions) {
      place++;
      const { reads, writes } = accesses(instruction);
      for (const register of reads) read(register);
      for (const register of writes) {
        this.#mention(register, place);
        const blocks = this.#written.get(register);
        if (blocks === undefined) this.#written.set(register, new Set([block]));
        else blocks.add(block);
      }
    }
    place++;
    const { end } = block;
    if (end.kind === "branch") read(end.register);
    if (end.kind === "table" && end.index.kind === "register") read(end.index.register);
    if (end.kind === "suspend") {
      const { reads, writes } = accesses(end.instruction);
      for (const register of [...reads, ...writes]) read(register);
    }
    for (const register of kept) read(register);
    return wanted;
  }

  /** A value that is wanted where these blocks begin is wanted on every way there from where it was written. */
  #reachBack(register: Register, blocks: Block[]): void {
    const written = this.#written.get(register);
    const reached = new Set(blocks);
    for (const block of reached) {
      this.#mention(register, this.#ends.get(block)!.first);
      for (const before of this.#before.get(block) ?? []) {
        this.#mention(register, this.#ends.get(before)!.last);
        if (written?.has(before) !== true) reached.add(before);
      }
    }
  }
}
