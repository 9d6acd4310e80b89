/**
 * Turns a region's blocks into WebAssembly's nested control flow, after Ramsey, "Beyond Relooper" (2022): each block is emitted
 * where the dominator tree puts it. Irreducible graphs become a loop around one table of branches.
 */
import type { Code, Label } from "../wasm/code.ts";
import { analyzeFlow, type Flow } from "./flow.ts";
import type { Block, End, Leave } from "./graph.ts";

/** What the structure needs to have written in between. */
export interface BlockWriter {
  readonly code: Code;
  /** The block's own instructions. */
  instructions(block: Block): void;
  /** Leaves a number that is not 0 where the branch is taken. */
  condition(end: Extract<End, { kind: "branch" }>): void;
  /** Leaves the index as a 32-bit number. */
  tableIndex(end: Extract<End, { kind: "table" }>): void;
  /** Writes the end of a block that leaves the region; nothing behind it runs. */
  leave(end: Leave, block: Block): void;
  /** Writes what an edge back to `header` does beside jumping. */
  backEdge(header: Block): void;
}

export function writeRegion(entry: Block, writer: BlockWriter): void {
  const flow = analyzeFlow(entry);
  if (flow.isReducible) new NestedWriter(flow, writer).tree(entry);
  else writeDispatch(flow, writer);
}

class NestedWriter {
  readonly #flow: Flow;
  readonly #writer: BlockWriter;
  readonly #code: Code;
  readonly #loops = new Map<Block, Label>();
  readonly #blocks = new Map<Block, Label>();

  constructor(flow: Flow, writer: BlockWriter) {
    this.#flow = flow;
    this.#writer = writer;
    this.#code = writer.code;
  }

  /** Writes `start` and everything it dominates. Follows chains by looping, so that long routines do not recurse. */
  tree(start: Block): void {
    for (let block: Block | undefined = start; block !== undefined; ) {
      const isLoop = this.#flow.loopHeaders.has(block);
      if (isLoop && block !== start) {
        this.tree(block);
        return;
      }
      if (isLoop) this.#loops.set(block, this.#code.loop());
      const next: Block | undefined = this.#withMerges(block, isLoop);
      if (isLoop) this.#code.end();
      block = next;
    }
  }

  /** Writes a block with the merge points it dominates behind it. Returns what is left to write in the same place. */
  #withMerges(block: Block, isLoop: boolean): Block | undefined {
    const merges = this.#flow.children.get(block)!.filter((child) => this.#flow.merges.has(child));
    // The first merge in order is the innermost block.
    for (let index = merges.length - 1; index >= 0; index--) this.#blocks.set(merges[index]!, this.#code.block());
    this.#writer.instructions(block);
    const single = merges.length === 0 && !isLoop ? this.#onlyNext(block) : undefined;
    if (single !== undefined) return single;
    this.#writeEnd(block);
    for (let index = 0; index < merges.length; index++) {
      this.#code.end();
      const merge = merges[index]!;
      this.#blocks.delete(merge);
      if (index === merges.length - 1 && !isLoop) return merge;
      this.tree(merge);
    }
    return undefined;
  }

  /** The block that can simply follow, if a jump leads to one that nothing else reaches. */
  #onlyNext({ end }: Block): Block | undefined {
    if (end.kind !== "jump" || this.#blocks.has(end.to) || this.#flow.merges.has(end.to)) return undefined;
    return this.#loops.has(end.to) ? undefined : end.to;
  }

  #writeEnd(block: Block): void {
    const { end } = block;
    const code = this.#code;
    if (end.kind === "jump") this.#jump(block, end.to);
    else if (end.kind === "branch") {
      this.#writer.condition(end);
      code.if();
      this.#jump(block, end.taken);
      code.else();
      this.#jump(block, end.otherwise);
      code.end();
    } else if (end.kind === "table") this.#table(block, end);
    else this.#writer.leave(end, block);
  }

  #table(block: Block, end: Extract<End, { kind: "table" }>): void {
    const code = this.#code;
    const targets = [...new Set(end.targets)];
    const labels = targets.map(() => code.block()).reverse();
    this.#writer.tableIndex(end);
    const cases = end.targets.map((target) => labels[targets.indexOf(target)]!);
    code.brTable(cases, cases[cases.length - 1]!);
    for (const target of targets) {
      code.end();
      this.#jump(block, target);
    }
  }

  #jump(from: Block, to: Block): void {
    const { position, merges } = this.#flow;
    if (position.get(to)! <= position.get(from)!) {
      this.#writer.backEdge(to);
      this.#code.br(this.#loops.get(to)!);
    } else if (merges.has(to)) this.#code.br(this.#blocks.get(to)!);
    else this.tree(to);
  }
}

function writeDispatch(flow: Flow, writer: BlockWriter): void {
  const { code } = writer;
  const { order, position } = flow;
  const next = code.local("i32");
  code.i32(0).set(next);
  const loop = code.loop();
  const labels = order.map(() => code.block()).reverse();
  code.get(next).brTable(labels, labels[0]!);
  const jump = (from: Block, to: Block) => {
    if (position.get(to)! <= position.get(from)!) writer.backEdge(to);
    code.i32(position.get(to)!).set(next).br(loop);
  };
  for (const block of order) {
    code.end();
    writer.instructions(block);
    const { end } = block;
    if (end.kind === "jump") jump(block, end.to);
    else if (end.kind === "branch") {
      writer.condition(end);
      code.if();
      jump(block, end.taken);
      code.end();
      jump(block, end.otherwise);
    } else if (end.kind === "table") {
      const chosen = code.local("i32");
      writer.tableIndex(end);
      code.set(chosen);
      end.targets.forEach((target, index) => {
        if (index < end.targets.length - 1) code.get(chosen).i32(index).op("i32.eq").if();
        jump(block, target);
        if (index < end.targets.length - 1) code.end();
      });
    } else writer.leave(end, block);
  }
  code.end();
}
