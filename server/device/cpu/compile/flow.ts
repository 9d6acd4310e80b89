/** Order, dominators and loops of the blocks that one region runs without suspending. */
import { type Block, successors } from "./graph.ts";

export interface Flow {
  /** Reverse postorder; the entry comes first. */
  readonly order: readonly Block[];
  readonly position: ReadonlyMap<Block, number>;
  /** Blocks that each block dominates directly, in order. */
  readonly children: ReadonlyMap<Block, readonly Block[]>;
  /** Blocks that more than one forward edge leads to. */
  readonly merges: ReadonlySet<Block>;
  readonly loopHeaders: ReadonlySet<Block>;
  /** False where some loop has two entries: then there is no nesting, and a dispatch loop must do. */
  readonly isReducible: boolean;
}

/** Edges that stay in a region. */
export const innerSuccessors = (block: Block): readonly Block[] =>
  block.end.kind === "suspend" ? [] : successors(block.end);

/** Postorder without recursion, since graphs may be deep. */
export function reversePostorder(entry: Block, next: (block: Block) => readonly Block[]): Block[] {
  const order: Block[] = [];
  const seen = new Set([entry]);
  const stack: { block: Block; edges: readonly Block[]; at: number }[] = [{ block: entry, edges: next(entry), at: 0 }];
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!;
    const target = top.edges[top.at++];
    if (target === undefined) {
      order.push(top.block);
      stack.pop();
    } else if (!seen.has(target)) {
      seen.add(target);
      stack.push({ block: target, edges: next(target), at: 0 });
    }
  }
  return order.reverse();
}

export function analyzeFlow(entry: Block): Flow {
  const order = reversePostorder(entry, innerSuccessors);
  const position = new Map(order.map((block, index) => [block, index]));
  const predecessors: number[][] = order.map(() => []);
  order.forEach((block, index) => {
    for (const target of new Set(innerSuccessors(block))) predecessors[position.get(target)!]!.push(index);
  });
  const dominator = dominators(predecessors);
  const children = new Map<Block, Block[]>(order.map((block) => [block, []]));
  const merges = new Set<Block>();
  const loopHeaders = new Set<Block>();
  let isReducible = true;
  order.forEach((block, index) => {
    if (index > 0) children.get(order[dominator[index]!]!)!.push(block);
    let forward = 0;
    for (const from of predecessors[index]!) {
      if (from < index) forward++;
      else {
        loopHeaders.add(block);
        if (!dominates(dominator, index, from)) isReducible = false;
      }
    }
    if (forward > 1) merges.add(block);
  });
  return { order, position, children, merges, loopHeaders, isReducible };
}

/** Immediate dominators by position, after Cooper, Harvey and Kennedy. */
export function dominators(predecessors: readonly (readonly number[])[]): Int32Array {
  const dominator = new Int32Array(predecessors.length).fill(-1);
  dominator[0] = 0;
  const meet = (left: number, right: number): number => {
    let a = left;
    let b = right;
    while (a !== b) {
      while (a > b) a = dominator[a]!;
      while (b > a) b = dominator[b]!;
    }
    return a;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (let index = 1; index < predecessors.length; index++) {
      let best = -1;
      for (const from of predecessors[index]!) {
        if (dominator[from] === -1) continue;
        best = best === -1 ? from : meet(best, from);
      }
      if (best !== dominator[index]) {
        dominator[index] = best;
        changed = true;
      }
    }
  }
  return dominator;
}

function dominates(dominator: Int32Array, above: number, below: number): boolean {
  let at = below;
  while (at > above) at = dominator[at]!;
  return at === above;
}
