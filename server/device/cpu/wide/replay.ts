/**
 * Finds where a region can still be run anew from its start, as if nothing of it had run: as long as nothing that it has read can have changed by
 * its own stores. There threads that stand side by side may part, and be run one by one instead.
 */

import { innerSuccessors } from "../compile/flow.ts";
import type { Block } from "../compile/graph.ts";
import { memoryAccess } from "../compile/memory-access.ts";
import { type Region, regionBlocks } from "../compile/regions.ts";
import type { Instruction } from "../ptx/program.ts";

/** Bits: what has been read so far, and whether that is spoiled. */
const GLOBAL = 1;
const SHARED = 2;
const SPOILED = 4;

export interface Replay {
  /** Instructions before which a region cannot be run anew. */
  readonly spoiled: ReadonlySet<Instruction>;
  /** Blocks at whose end it cannot. */
  readonly spoiledEnds: ReadonlySet<Block>;
}

export function findReplay(region: Region): Replay {
  const blocks = regionBlocks(region.start);
  const before = new Map<Block, number>([[region.start, 0]]);
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of blocks) {
      let state = before.get(block) ?? 0;
      for (const instruction of block.instructions) state = after(instruction, state);
      for (const next of innerSuccessors(block)) {
        const merged = (before.get(next) ?? 0) | state;
        if (merged === before.get(next)) continue;
        before.set(next, merged);
        changed = true;
      }
    }
  }
  const spoiled = new Set<Instruction>();
  const spoiledEnds = new Set<Block>();
  for (const block of blocks) {
    let state = before.get(block) ?? 0;
    for (const instruction of block.instructions) {
      if (state & SPOILED) spoiled.add(instruction);
      state = after(instruction, state);
    }
    if (state & SPOILED) spoiledEnds.add(block);
  }
  return { spoiled, spoiledEnds };
}

function after(instruction: Instruction, state: number): number {
  const { base } = instruction.mnemonic;
  if (base === "atom" || base === "red") return state | SPOILED;
  if (base !== "ld" && base !== "st") return state;
  const { space } = memoryAccess(instruction);
  const touched = space === "global" ? GLOBAL : space === "shared" ? SHARED : space === undefined ? GLOBAL | SHARED : 0;
  if (base === "ld") return state | touched;
  return (state & touched) === 0 ? state : state | SPOILED;
}
