/** Writes those regions of a kernel for threads side by side for which that pays. */
import { Emitter } from "../compile/emitter.ts";
import type { Graph } from "../compile/graph.ts";
import type { RegionParts } from "../compile/region-writer.ts";
import type { Region, Regions } from "../compile/regions.ts";
import type { Unit } from "../compile/unit.ts";
import type { Instruction } from "../ptx/program.ts";
import { Code } from "../wasm/code.ts";
import { mayStandSideBySide, standsSideBySide } from "./choice.ts";
import { Group } from "./group.ts";
import { writeGroups } from "./region.ts";
import { findReplay, type Replay } from "./replay.ts";
import { shapesOf } from "./shape.ts";

export interface GroupPlan {
  /** Writes a region, and gives the index of its function; undefined where the one for single threads is better. */
  write(region: Region, parts: RegionParts & { readonly single: number }): number | undefined;
}

/** Undefined where no region of the kernel can be written so. */
export function planGroups(unit: Unit, graph: Graph, regions: Regions): GroupPlan | undefined {
  const instructions = graph.blocks.flatMap(({ instructions: own, end }) =>
    end.kind === "suspend" ? [...own, end.instruction] : own,
  );
  if (!mayStandSideBySide(unit, regions, instructions)) return undefined;
  const replays = new Map<Region, Replay>(regions.list.map((region) => [region, findReplay(region)]));
  const spoiled = new Set<Instruction>([...replays.values()].flatMap((replay) => [...replay.spoiled]));
  const mayRepeat = (at: Instruction): boolean => !spoiled.has(at);
  const shapes = shapesOf(instructions, mayRepeat);
  return {
    write(region, parts) {
      const group = new Group(questioned(unit, parts), shapes);
      const options = { unit, shapes, replay: replays.get(region)!, mayRepeat, group };
      if (!standsSideBySide(region, options)) return undefined;
      const index = unit.writer.declare({ params: ["i32", "i32", "i32"], results: ["i32"] });
      unit.writer.define(index, writeGroups(unit, region, { ...parts, shapes, mayRepeat }));
      return index;
    },
  };
}

/** An emitter that writes nowhere. */
function questioned(unit: Unit, { placed, functions }: RegionParts): Emitter {
  const code = new Code([], []);
  const { offsets, frameBytes } = placed;
  const nowhere = { context: 0, thread: 0, record: 0, stack: undefined, position: undefined, sharedLimit: 0 };
  return new Emitter(unit, code, { ...nowhere, pointers: new Map(), offsets, functions, frameBytes });
}
