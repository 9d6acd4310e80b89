/**
 * Finds where the lanes of a warp must go in step. This device runs one thread after the other up to the next place where they wait; hardware runs the
 * lanes of a warp together. The two differ where a thread's access comes too late: one of a later lane, which stands earlier in the text, to what an
 * earlier lane has reached by then; one of the two stores. Between such a pair the lanes must meet.
 */
import { LANES } from "../ptx/lanes.ts";
import { type Instruction, typeBytes } from "../ptx/program.ts";
import type { Block, Graph } from "./graph.ts";
import { joinsAround } from "./joins.ts";
import { LaneFlow } from "./lane-flow.ts";
import { gcd, type LaneValue, type Shape, type Unknown } from "./lane-value.ts";
import { spaceOf } from "./memory-access.ts";
import { isWaitForLanes } from "./traits.ts";
import type { WarpShape } from "./warp-shape.ts";

/** A place in a block: before the instruction with this number, or at the block's end. */
export type Cuts = ReadonlyMap<Block, ReadonlySet<number>>;

type Kind = "load" | "store" | "atomic" | "copy";

interface Access {
  readonly instruction: Instruction;
  readonly block: Block;
  readonly kind: Kind;
  readonly isShared: boolean;
  readonly address: LaneValue;
  readonly bytes: number;
  /** The same for all accesses of a kind and size at one address. */
  readonly code: number;
}

/** An access that threads have behind them. */
interface Pending extends Access {
  /** By what its address may have been less, any number of times but at least once: it was made in earlier rounds of loops. */
  readonly steps: readonly LaneValue[];
}

/** More at once are not followed: lanes meet instead, where it is shared memory. */
const PENDING_MAX = 600;
const PASSES_MAX = 40;
/** Bounds the numbers for accesses, two of which make one that is exact. */
const CODES_MAX = 2 ** 26;

export interface Hazards {
  readonly cuts: Cuts;
  /** Whether they may be others for warps of another shape. */
  readonly hangsOnShape: boolean;
}

export function findHazards(graph: Graph, shape: WarpShape | undefined): Hazards {
  if (!mayHaveHazards(graph)) return { cuts: new Map(), hangsOnShape: false };
  const finder = new HazardFinder(graph, shape);
  const cuts = finder.find();
  meetAtJoins(graph, cuts);
  return { cuts, hangsOnShape: finder.hangsOnShape };
}

/** Where some lanes take a way on which they meet, they wait for the others where the ways join, as on hardware: else those could be a round ahead. */
function meetAtJoins(graph: Graph, cuts: Map<Block, Set<number>>): void {
  const meeting = new Set(graph.blocks.filter((block) => cuts.has(block) || isMeeting(block)));
  if (meeting.size === 0) return;
  for (const join of joinsAround(graph, meeting)) {
    const known = cuts.get(join);
    if (known === undefined) cuts.set(join, new Set([0]));
    else known.add(0);
  }
}

/** Whether lanes meet behind the block in any case, for a volatile access. */
const isMeeting = ({ end }: Block): boolean =>
  end.kind === "suspend" && end.instruction.mnemonic.base === LANES && isWaitForLanes(end.instruction);

function mayHaveHazards(graph: Graph): boolean {
  let stores = 0;
  let all = 0;
  for (const { instructions } of graph.blocks) {
    for (const instruction of instructions) {
      const kind = kindOf(instruction);
      if (kind === undefined) continue;
      all++;
      if (kind !== "load") stores++;
    }
  }
  return stores > 0 && all > 1;
}

function kindOf({ mnemonic: { base, modifiers } }: Instruction): Kind | undefined {
  switch (base) {
    case "ld":
      return modifiers.has("param") || modifiers.has("const") || modifiers.has("local") ? undefined : "load";
    case "st":
      return modifiers.has("param") || modifiers.has("local") ? undefined : "store";
    case "atom":
    case "red":
      return "atomic";
    case "cp":
      return modifiers.has("async") && (modifiers.has("shared") || modifiers.has("shared::cta")) ? "copy" : undefined;
    case "wmma":
      return modifiers.has("load") ? "load" : modifiers.has("store") ? "store" : undefined;
    default:
      return undefined;
  }
}

class HazardFinder {
  readonly #flow: LaneFlow;
  readonly #accesses = new Map<Block, readonly (Access | undefined)[]>();
  readonly #cuts = new Map<Block, Set<number>>();
  readonly #ends = new Map<Block, ReadonlyMap<number, Pending>>();
  readonly #codes = new Map<string, number>();
  readonly #conflicts = new Map<number, boolean>();
  readonly #differences = new Map<string, readonly number[]>();
  readonly #stale = new Map<Unknown, Unknown>();
  readonly #anywhere: Unknown;

  constructor(graph: Graph, shape: WarpShape | undefined) {
    this.#flow = new LaneFlow(graph, shape);
    this.#anywhere = this.#flow.arithmetic.values.unknown();
    for (const block of this.#flow.order) {
      const all = block.instructions.map((instruction) => this.#access(instruction, block));
      if (all.some((each) => each !== undefined)) this.#accesses.set(block, all);
    }
  }

  get hangsOnShape(): boolean {
    return this.#flow.arithmetic.readsPosition;
  }

  find(): Map<Block, Set<number>> {
    for (let pass = 0, changed = true; changed && pass < PASSES_MAX; pass++) {
      changed = false;
      for (const block of this.#flow.order) if (this.#visit(block)) changed = true;
    }
    return this.#cuts;
  }

  #access(instruction: Instruction, block: Block): Access | undefined {
    const kind = kindOf(instruction);
    const address = this.#flow.addresses.get(instruction);
    if (kind === undefined || address === undefined) return undefined;
    const space = spaceOf(instruction);
    const isShared = kind === "copy" || space === "shared" || rootOf(address) !== undefined;
    if (!isShared && kind !== "load" && kind !== "store") return undefined;
    const { mnemonic } = instruction;
    const count = mnemonic.modifiers.has("v2")
      ? 2
      : mnemonic.modifiers.has("v4")
        ? 4
        : mnemonic.modifiers.has("v8")
          ? 8
          : 1;
    const bytes =
      kind === "copy" ? 16 : mnemonic.base === "wmma" ? 8192 : typeBytes[mnemonic.types.at(-1) ?? "b64"] * count;
    if (!isShared && !isFollowed(address)) return undefined;
    const code = this.#codeOf({ kind, isShared, bytes, address });
    return { instruction, block, kind, isShared, address, bytes, code };
  }

  #codeOf(
    { kind, isShared, bytes, address }: Pick<Access, "kind" | "isShared" | "bytes" | "address">,
    steps: readonly LaneValue[] = [],
  ): number {
    const key = `${kind} ${isShared} ${bytes} ${address.id} ${steps.map(({ id }) => id).join()}`;
    let code = this.#codes.get(key);
    if (code === undefined) {
      code = this.#codes.size;
      this.#codes.set(key, code);
    }
    return code;
  }

  /** What a lane does behind the suspension of `ldmatrix` or `stmatrix`, at addresses that other lanes give. */
  #matrixAccess(instruction: Instruction, block: Block): Access | undefined {
    const { base } = instruction.mnemonic;
    const address = this.#flow.addresses.get(instruction);
    if ((base !== "ldmatrix" && base !== "stmatrix") || address === undefined) return undefined;
    const { values } = this.#flow.arithmetic;
    const any = values.ofUnknown(this.#anywhere);
    const root = rootOf(address);
    const place = root === undefined ? any : (values.add(any, values.ofUnknown(root)) ?? any);
    const access = { kind: base === "ldmatrix" ? "load" : "store", isShared: true, address: place, bytes: 16 } as const;
    return { instruction, block, ...access, code: this.#codeOf(access) };
  }

  /** Tells whether more is known than before. */
  #visit(block: Block): boolean {
    const pending = this.#begin(block);
    let changed = false;
    for (const [index, access] of (this.#accesses.get(block) ?? []).entries()) {
      if (access === undefined) {
        if (this.#cuts.get(block)?.has(index)) pending.clear();
        continue;
      }
      if (this.#cuts.get(block)?.has(index)) pending.clear();
      else {
        const conflicting: Pending[] = [];
        for (const each of pending.values()) if (this.#conflict(each, access)) conflicting.push(each);
        const isTooMuch = pending.size > PENDING_MAX && access.isShared && access.kind !== "load";
        if (conflicting.length > 0 || isTooMuch) {
          changed = true;
          if (this.#cutBeforeLoop(conflicting, access)) return true;
          this.#cut(block, index);
          pending.clear();
        }
      }
      if (!access.isShared && pending.size > PENDING_MAX) continue;
      pending.set(access.code, { ...access, steps: [] });
    }
    if (this.#cuts.get(block)?.has(block.instructions.length)) pending.clear();
    if (block.end.kind === "suspend") {
      pending.clear();
      const behind = this.#matrixAccess(block.end.instruction, block);
      if (behind !== undefined) pending.set(behind.code, { ...behind, steps: [] });
    }
    const before = this.#ends.get(block);
    if (before !== undefined && before.size === pending.size && [...pending.keys()].every((key) => before.has(key)))
      return changed;
    this.#ends.set(block, pending);
    return true;
  }

  #begin(block: Block): Map<number, Pending> {
    const pending = new Map<number, Pending>();
    for (const before of this.#flow.predecessors.get(block)!) {
      const isBack = this.#flow.isBackEdge(before, block);
      for (const each of this.#ends.get(before)?.values() ?? []) {
        const later = isBack ? this.#nextRound(each, block) : each;
        pending.set(later.code, later);
      }
    }
    return pending;
  }

  #cut(block: Block, index: number): void {
    const known = this.#cuts.get(block);
    if (known === undefined) this.#cuts.set(block, new Set([index]));
    else known.add(index);
  }

  /** Where all that an access of a loop conflicts with lies before the loop, lanes meet once before it. */
  #cutBeforeLoop(conflicting: readonly Pending[], access: Access): boolean {
    const around = this.#flow.around(access.block);
    const outer = around.findLast((header) => {
      const body = this.#flow.loops.get(header)!;
      return conflicting.every(({ block, steps }) => !body.has(block) && steps.length === 0);
    });
    if (outer === undefined || conflicting.length === 0) return false;
    let isNew = false;
    for (const before of this.#flow.predecessors.get(outer)!) {
      if (this.#flow.isBackEdge(before, outer) || before.end.kind === "suspend") continue;
      if (this.#cuts.get(before)?.has(before.instructions.length)) continue;
      this.#cut(before, before.instructions.length);
      isNew = true;
    }
    return isNew;
  }

  /** An access as it is seen when its loop comes round. */
  #nextRound(pending: Pending, header: Block): Pending {
    const { values } = this.#flow.arithmetic;
    let step: LaneValue | undefined = values.constant(0);
    let address = values.replace(pending.address, (unknown) => {
      if (!unknown.loops.has(header)) return unknown;
      return unknown.rounds === header ? unknown : this.#staleOf(unknown);
    });
    for (const [unknown, factor] of pending.address.terms) {
      if (unknown.rounds !== header) continue;
      const growth = unknown.growth ?? values.constant(1);
      step = step && values.add(step, growth, factor);
    }
    if (step === undefined) address = values.ofUnknown(this.#anywhere);
    const isSame = step !== undefined && step.terms.length === 0 && step.constant === 0;
    let steps = pending.steps;
    if (step !== undefined && !isSame && !steps.includes(step)) steps = [...steps, step];
    if (address === pending.address && steps === pending.steps) return pending;
    const later = { ...pending, address, steps };
    return { ...later, code: this.#codeOf(later, steps) };
  }

  #staleOf(unknown: Unknown): Unknown {
    let stale = this.#stale.get(unknown);
    if (stale === undefined) {
      stale = this.#flow.arithmetic.values.unknown({
        ...unknown,
        loops: new Set(),
        rounds: undefined,
        growth: undefined,
      });
      this.#stale.set(unknown, stale);
      this.#stale.set(stale, stale);
    }
    return stale;
  }

  /** Whether a later lane may make the first access where an earlier one has made the second. */
  #conflict(first: Pending, second: Access): boolean {
    if (first.isShared !== second.isShared || !areOrdered(first, second)) return false;
    const key = first.code * CODES_MAX + second.code;
    let known = this.#conflicts.get(key);
    if (known === undefined) {
      known = this.#mayOverlap(first, second);
      this.#conflicts.set(key, known);
    }
    return known;
  }

  #mayOverlap(first: Pending, second: Access): boolean {
    const [one, other] = [rootOf(first.address), rootOf(second.address)];
    if (one !== undefined && other !== undefined && one !== other) return false;
    const parts = differenceOf(first.address, second.address);
    for (const step of first.steps) {
      if (step.constant !== 0) parts.push({ factor: -step.constant, min: 1, max: Infinity, isPosition: false });
      for (const [{ min, max }, factor] of step.terms)
        parts.push({
          factor: -factor,
          min: min >= 0 ? min : -Infinity,
          max: max <= 0 ? max : Infinity,
          isPosition: false,
        });
    }
    // In global memory pointers of different origin are taken to lead elsewhere.
    if (!first.isShared && parts.some(({ isPosition }) => !isPosition)) return false;
    const window = { low: -first.bytes, high: second.bytes };
    return overlap(this.#laneDifferences(first.address, second.address), parts, window);
  }

  /** How far a later lane's known part is from that of an earlier one. */
  #laneDifferences(first: LaneValue, second: LaneValue): readonly number[] {
    const key = `${first.shape.id},${second.shape.id}`;
    let known = this.#differences.get(key);
    if (known === undefined) {
      known = differencesOf(first.shape, second.shape);
      this.#differences.set(key, known);
    }
    const constant = first.constant - second.constant;
    return constant === 0 ? known : known.map((each) => each + constant);
  }
}

/** Pairs of accesses whose order shows. Of what several lanes store to one place in global memory nothing is expected. That of two atomic ones is left open by any hardware, and so is that of copies before they are waited for. */
function areOrdered({ kind: first, isShared }: Access, { kind: second }: Access): boolean {
  if (!isShared && first !== "load" && second !== "load") return false;
  if (first === "load" && second === "load") return false;
  if (first === "atomic" && second === "atomic") return false;
  return first !== "copy" || second === "load" || second === "atomic";
}

/** The shared variable that an address is in, if it shows. */
function rootOf({ terms }: LaneValue): Unknown | undefined {
  return terms.find(([{ isPlace }]) => isPlace)?.[0];
}

/**
 * Whether an address in global memory can be told from others: it differs among lanes by what is known. What all lanes share is one lane's, or under
 * a lock.
 */
const isFollowed = ({ terms, shape }: LaneValue): boolean =>
  shape.id !== 0 && terms.every(([unknown]) => unknown.isUniform);

interface Part {
  readonly factor: number;
  readonly min: number;
  readonly max: number;
  readonly isPosition: boolean;
}

/** The unknown parts of the difference between an address in one lane and another address in another lane. */
function differenceOf(first: LaneValue, second: LaneValue): Part[] {
  const parts: Part[] = [];
  const add = ({ min, max, isPosition }: Unknown, factor: number) => {
    if (factor !== 0) parts.push({ factor, min, max, isPosition });
  };
  const factors = new Map(second.terms.map(([unknown, factor]) => [unknown, factor]));
  for (const [unknown, factor] of first.terms) {
    const other = factors.get(unknown) ?? 0;
    factors.delete(unknown);
    if (unknown.isUniform) add(unknown, factor - other);
    else {
      add(unknown, factor);
      add(unknown, -other);
    }
  }
  for (const [unknown, factor] of factors) add(unknown, -factor);
  return parts;
}

function differencesOf(first: Shape, second: Shape): readonly number[] {
  const differences = new Set<number>();
  for (let later = 1; later < first.offsets.length; later++)
    for (let earlier = 0; earlier < later; earlier++) differences.add(first.offsets[later]! - second.offsets[earlier]!);
  return [...differences];
}

/** Whether a difference, with any values of its unknown parts, may lie within the window, both ends excluded. */
function overlap(
  differences: readonly number[],
  parts: readonly Part[],
  { low, high }: { low: number; high: number },
): boolean {
  let [min, max] = [0, 0];
  let step = 0;
  for (const part of parts) {
    const { factor } = part;
    step = gcd(step, factor);
    min += factor > 0 ? factor * part.min : factor * part.max;
    max += factor > 0 ? factor * part.max : factor * part.min;
  }
  return differences.some((difference) => {
    const least = Math.max(min, low + 1 - difference);
    const most = Math.min(max, high - 1 - difference);
    return (step === 0 ? 0 : Math.ceil(least / step) * step) <= most && (step !== 0 || least <= 0);
  });
}
