/** Where the ways that threads take from a branch join again: the first place that all of them come to. */
import { dominators, reversePostorder } from "./flow.ts";
import { type Block, type Graph, successors } from "./graph.ts";

/** For each block that ends in a branch, its join; without those whose threads go on apart to their ends. */
function joinsOf({ entry }: Graph): Map<Block, Block> {
  const order = reversePostorder(entry, (block) => successors(block.end));
  // Backwards from a block behind all ends.
  const end: Block = { index: -1, instructions: [], end: { kind: "exit" } };
  const before = new Map<Block, Block[]>([[end, []]]);
  for (const block of order) before.set(block, []);
  for (const block of order) {
    const next = successors(block.end);
    if (next.length === 0) before.get(end)!.push(block);
    for (const each of new Set(next)) before.get(each)!.push(block);
  }
  const backwards = reversePostorder(end, (block) => before.get(block)!);
  const position = new Map(backwards.map((block, index) => [block, index]));
  const after = backwards.map((block) => {
    if (block === end) return [];
    const next = successors(block.end);
    return (next.length === 0 ? [end] : next).flatMap((each) => position.get(each) ?? []);
  });
  const dominator = dominators(after);
  const joins = new Map<Block, Block>();
  backwards.forEach((block, index) => {
    const join = backwards[dominator[index]!];
    if (new Set(successors(block.end)).size > 1 && join !== undefined && join !== end) joins.set(block, join);
  });
  return joins;
}

/** Blocks that are looked at for one kernel; beyond that every way is taken to lead through. */
const LOOKS_MAX = 2_000_000;

/** Joins of branches between which and which any way leads through one of the blocks. */
export function joinsAround(graph: Graph, blocks: { has(block: Block): boolean }): Set<Block> {
  const joins = new Set<Block>();
  let looks = 0;
  const leadsThrough = (branch: Block, join: Block): boolean => {
    const seen = new Set(successors(branch.end).filter((block) => block !== join));
    for (const block of seen) {
      if (blocks.has(block) || ++looks > LOOKS_MAX) return true;
      for (const next of successors(block.end)) if (next !== join) seen.add(next);
    }
    return false;
  };
  for (const [branch, join] of joinsOf(graph)) if (!joins.has(join) && leadsThrough(branch, join)) joins.add(join);
  return joins;
}
