/**
 * Stores by the lanes of a warp in kernels where one mostly stands for all (../ptx/lanes.ts). Behind a loop that its lanes share, all of them
 * store the one result, which each has made of what was there before: none may store before all have loaded.
 */
import { LANES, laneMarker } from "../ptx/lanes.ts";
import type { Instruction, Mnemonic } from "../ptx/program.ts";
import type { Block, Graph } from "./graph.ts";
import type { Hazards } from "./hazards.ts";
import { loopsOf } from "./regions.ts";

/** Stores that other lanes may see. */
const isStore = ({ mnemonic: { base, modifiers } }: Instruction): boolean =>
  base === "st" && !modifiers.has("param") && !modifiers.has("local");

const isSwitch = ({ base, modifiers }: Mnemonic): boolean => base === LANES && !modifiers.has("step");

const enters = ({ end }: Block): boolean =>
  end.kind === "suspend" && isSwitch(end.instruction.mnemonic) && !end.instruction.mnemonic.modifiers.has("rest");

/** Lets lanes meet before stores, except in a loop that they share: there each has its own. */
export function meetBeforeStores(graph: Graph): Graph {
  if (!graph.blocks.some(enters)) return graph;
  const loops = loopsOf(graph.entry);
  const added: Block[] = [];
  for (const block of graph.blocks) {
    const around = loops.filter((body) => body.has(block));
    const innermost = around.reduce<ReadonlySet<Block> | undefined>(
      (best, body) => (best === undefined || body.size < best.size ? body : best),
      undefined,
    );
    if (innermost !== undefined && ![...innermost].some(enters)) continue;
    splitBeforeStores(block, graph.blocks.length, added);
  }
  return { ...graph, blocks: [...graph.blocks, ...added] };
}

function splitBeforeStores(block: Block, first: number, added: Block[]): void {
  const all = block.instructions.splice(0);
  const { end } = block;
  let current = block;
  for (const instruction of all) {
    if (isStore(instruction)) {
      const next: Block = { index: first + added.length, instructions: [], end };
      current.end = { kind: "suspend", instruction: laneMarker("step", instruction.line), next };
      added.push(next);
      current = next;
    }
    current.instructions.push(instruction);
  }
  current.end = end;
}

/** Lets the lanes of a warp meet where it shows that they did not go in step (hazards.ts). */
export function meetAtHazards(graph: Graph, { cuts }: Hazards): Graph {
  const added: Block[] = [];
  for (const [block, places] of cuts) splitAt(block, places, { first: graph.blocks.length, added });
  return added.length === 0 ? graph : { ...graph, blocks: [...graph.blocks, ...added] };
}

/** Splits before the instructions with these numbers; the one behind the last is the block's end. */
function splitAt(block: Block, places: ReadonlySet<number>, { first, added }: { first: number; added: Block[] }): void {
  const all = block.instructions.splice(0);
  const { end } = block;
  let current = block;
  for (let index = 0; index <= all.length; index++) {
    const line = (all[index] ?? all[index - 1])?.line ?? 0;
    if (places.has(index)) {
      const next: Block = { index: first + added.length, instructions: [], end };
      current.end = { kind: "suspend", instruction: laneMarker("step", line), next };
      added.push(next);
      current = next;
    }
    if (index < all.length) current.instructions.push(all[index]!);
  }
  current.end = end;
}
