/**
 * Cuts the graph of a kernel, or of a function in which threads may wait, into regions: pieces that a thread runs without waiting for others. Region 0 starts at the entry, the
 * others behind each suspension, or at the header of a loop in which a thread may wait for another (it yields now and then).
 * What must survive a suspension gets a slot in the thread's record.
 */
import type { Instruction, Register } from "../ptx/program.ts";
import { innerSuccessors, reversePostorder } from "./flow.ts";
import { type Block, type Graph, successors } from "./graph.ts";
import { accesses, isWaitForLanes, isWaiting, maySpin, readsOnResuming } from "./traits.ts";

export interface Region {
  readonly id: number;
  readonly start: Block;
  /** Whether the routine begins here. */
  readonly isEntry: boolean;
  /** The instruction at which threads wait before this region; undefined for the entry and after a yield. */
  readonly instruction: Instruction | undefined;
  /** Registers that threads bring along. */
  readonly live: readonly Register[];
}

export interface Regions {
  readonly list: readonly Region[];
  /** The region that goes on after a block's suspension. */
  readonly after: ReadonlyMap<Block, Region>;
  /** The region that goes on after a yield at this loop header. */
  readonly yields: ReadonlyMap<Block, Region>;
  /** Those headers whose loop goes round only while its thread waits, so that it yields at once. */
  readonly waits: ReadonlySet<Block>;
}

/** What a region of these blocks may write, with what it resumes from. */
export function writtenIn({ instruction }: Region, blocks: readonly Block[]): Set<Register> {
  const all = blocks.flatMap((block) => block.instructions);
  if (instruction !== undefined) all.push(instruction);
  return new Set(all.flatMap((each) => accesses(each).writes));
}

/** What it reads or may write: all else stays where it is, for regions behind it. */
export function mentionedIn(region: Region, blocks: readonly Block[]): Set<Register> {
  const mentioned = writtenIn(region, blocks);
  const { instruction: resumed } = region;
  if (resumed !== undefined) for (const register of readsOnResuming(resumed)) mentioned.add(register);
  for (const { instructions, end } of blocks) {
    const all = end.kind === "suspend" ? [...instructions, end.instruction] : instructions;
    for (const instruction of all) for (const register of accesses(instruction).reads) mentioned.add(register);
    if (end.kind === "branch") mentioned.add(end.register);
    if (end.kind === "table" && end.index.kind === "register") mentioned.add(end.index.register);
  }
  return mentioned;
}

/** `first`: the number of the region at the entry. */
export function cutRegions(graph: Graph, first = 0): Regions {
  const order = reversePostorder(graph.entry, (block) => successors(block.end));
  const suspended = suspensionsOf(graph.entry, order);
  const { headers, waits } = spinLoops(order);
  const isSimple = suspended.length === 0 && headers.size === 0;
  const liveAt = isSimple ? () => [] : liveness(order);
  const list: Region[] = [{ id: first, start: graph.entry, isEntry: true, instruction: undefined, live: [] }];
  const after = new Map<Block, Region>();
  const yields = new Map<Block, Region>();
  for (const block of suspended) {
    if (block.end.kind !== "suspend") continue;
    const { instruction, next } = block.end;
    // What the suspension itself writes is written on resuming.
    const { writes } = accesses(instruction);
    const kept = liveAt(next).filter((register) => !writes.includes(register));
    const live = [...new Set([...kept, ...readsOnResuming(instruction)])];
    const region = { id: first + list.length, start: next, isEntry: false, instruction, live };
    list.push(region);
    after.set(block, region);
  }
  for (const header of headers) {
    const region = {
      id: first + list.length,
      start: header,
      isEntry: false,
      instruction: undefined,
      live: liveAt(header),
    };
    list.push(region);
    yields.set(header, region);
  }
  return { list, after, yields, waits };
}

/** Blocks that end in a suspension, in the order of control: all of a loop before what follows it, where lanes wait for those that are behind. */
function suspensionsOf(entry: Block, order: readonly Block[]): Block[] {
  const isSuspended = ({ end }: Block) => end.kind === "suspend";
  const waits = ({ end }: Block) => end.kind === "suspend" && isWaitForLanes(end.instruction);
  if (!order.some(waits)) return order.filter(isSuspended);
  const innermost = new Map<Block, ReadonlySet<Block>>();
  eachLoop(order, (_, body) => {
    for (const block of body) {
      const known = innermost.get(block);
      if (known === undefined || known.size > body.size) innermost.set(block, body);
    }
  });
  const exitsFirst = (block: Block): readonly Block[] => {
    const body = innermost.get(block);
    const next = successors(block.end);
    if (body === undefined || next.length < 2) return next;
    return [...next.filter((each) => !body.has(each)), ...next.filter((each) => body.has(each))];
  };
  return reversePostorder(entry, exitsFirst).filter(isSuspended);
}

/** Headers of loops that hold an instruction with which a thread may wait for another, and those of the innermost around one that says so. */
function spinLoops(order: readonly Block[]): { headers: Set<Block>; waits: Set<Block> } {
  const headers = new Set<Block>();
  const waits = new Set<Block>();
  const spinning = order.filter(({ instructions }) => instructions.some(maySpin));
  if (spinning.length === 0) return { headers, waits };
  const bodies = new Map<Block, Set<Block>>();
  eachLoop(order, (header, body) => {
    bodies.set(header, new Set([...(bodies.get(header) ?? []), ...body]));
  });
  for (const block of spinning) {
    let innermost: Block | undefined;
    for (const [header, body] of bodies) {
      if (!body.has(block)) continue;
      headers.add(header);
      if (innermost === undefined || body.size < bodies.get(innermost)!.size) innermost = header;
    }
    if (innermost !== undefined && block.instructions.some(isWaiting)) waits.add(innermost);
  }
  return { headers, waits };
}

/** Visits the body of each back edge: what reaches it without passing the loop's header. */
export function eachLoop(order: readonly Block[], visit: (header: Block, body: ReadonlySet<Block>) => void): void {
  const position = new Map(order.map((block, index) => [block, index]));
  const predecessors = new Map<Block, Block[]>(order.map((block) => [block, []]));
  for (const block of order) for (const next of successors(block.end)) predecessors.get(next)!.push(block);
  for (const block of order) {
    for (const header of successors(block.end)) {
      if (position.get(header)! > position.get(block)!) continue;
      const body = new Set([header, block]);
      for (const inside of body) {
        if (inside === header) continue;
        for (const before of predecessors.get(inside)!) body.add(before);
      }
      visit(header, body);
    }
  }
}

/** The bodies of all loops, by their back edges. */
export function loopsOf(entry: Block): ReadonlySet<Block>[] {
  const bodies: ReadonlySet<Block>[] = [];
  eachLoop(
    reversePostorder(entry, (block) => successors(block.end)),
    (_, body) => bodies.push(body),
  );
  return bodies;
}

/** Whether any loop of the routine may wait for another thread. */
export const hasSpinLoop = (graph: Graph): boolean =>
  spinLoops(reversePostorder(graph.entry, (block) => successors(block.end))).headers.size > 0;

/** Backward data flow over sets of registers, as bits. */
function liveness(order: readonly Block[]): (block: Block) => Register[] {
  const numbers = new Map<Register, number>();
  const registers: Register[] = [];
  const number = (register: Register): number => {
    let known = numbers.get(register);
    if (known === undefined) {
      known = registers.length;
      numbers.set(register, known);
      registers.push(register);
    }
    return known;
  };
  const effects = order.map((block) => blockEffect(block, number));
  const words = (registers.length + 31) >>> 5;
  const toBits = (items: readonly number[]): Uint32Array => {
    const bits = new Uint32Array(words);
    for (const item of items) bits[item >>> 5]! |= 1 << (item & 31);
    return bits;
  };
  const sets = effects.map(({ reads, writes }) => ({ live: toBits(reads), writes: toBits(writes) }));
  const position = new Map(order.map((block, index) => [block, index]));
  for (let changed = true; changed; ) {
    changed = false;
    for (let index = order.length - 1; index >= 0; index--) {
      const { live, writes } = sets[index]!;
      for (const next of successors(order[index]!.end)) {
        const below = sets[position.get(next)!]!.live;
        for (let word = 0; word < words; word++) {
          const merged = live[word]! | (below[word]! & ~writes[word]!);
          if (merged >>> 0 === live[word]) continue;
          live[word] = merged;
          changed = true;
        }
      }
    }
  }
  return (block) => {
    const { live } = sets[position.get(block)!]!;
    return registers.filter((_, index) => (live[index >>> 5]! >>> (index & 31)) & 1);
  };
}

/** Registers that a block reads before writing them, and those it writes for certain. */
function blockEffect(block: Block, number: (register: Register) => number): { reads: number[]; writes: number[] } {
  const written = new Set<Register>();
  const read = new Set<Register>();
  const visit = (instruction: Instruction) => {
    const { reads, writes } = accesses(instruction);
    for (const register of reads) if (!written.has(register)) read.add(register);
    for (const register of writes) written.add(register);
  };
  block.instructions.forEach(visit);
  const { end } = block;
  if (end.kind === "suspend") visit(end.instruction);
  if (end.kind === "branch" && !written.has(end.register)) read.add(end.register);
  if (end.kind === "table" && end.index.kind === "register" && !written.has(end.index.register))
    read.add(end.index.register);
  return { reads: [...read].map(number), writes: [...written].map(number) };
}

/** Blocks of a region: what its start reaches without suspending. */
export const regionBlocks = (start: Block): Block[] => reversePostorder(start, innerSuccessors);
