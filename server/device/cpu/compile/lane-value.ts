/**
 * What is known of an integer in the lanes of a warp: a sum of unknown numbers, each times a constant, and of a known number for each lane. A value is
 * made once, so that the same value is the same object. Nothing here wraps round: addresses that do are none that a program could use.
 */

import { WARP_SIZE } from "../run/layout.ts";
import type { Block } from "./graph.ts";

/** A number that is not known. */
export interface Unknown {
  readonly id: number;
  /** Whether all lanes that are at the same place have the same. */
  readonly isUniform: boolean;
  /** Whether it is where a shared variable lies. */
  readonly isPlace: boolean;
  /** Whether it is a number of the thread's warp. */
  readonly isPosition: boolean;
  readonly min: number;
  readonly max: number;
  /** Headers of the loops in whose rounds it differs. */
  readonly loops: ReadonlySet<Block>;
  /** How often this loop has come round: counts up by one each time. */
  readonly rounds: Block | undefined;
  /** Set for what grows by this with each round of its loop: the unknown is that times the number of rounds. */
  readonly growth: LaneValue | undefined;
}

/** What each lane has beyond the first, which has 0. */
export interface Shape {
  readonly id: number;
  readonly offsets: readonly number[];
}

export interface LaneValue {
  readonly id: number;
  /** Unknown numbers and what they are multiplied by; sorted. */
  readonly terms: readonly (readonly [unknown: Unknown, factor: number])[];
  /** The known part of the first lane. */
  readonly constant: number;
  readonly shape: Shape;
}

/** Larger numbers are not followed. */
const MAGNITUDE_MAX = 2 ** 44;
const TERMS_MAX = 24;

const NO_LOOPS: ReadonlySet<Block> = new Set();

export const gcd = (left: number, right: number): number => {
  let [a, b] = [Math.abs(left), Math.abs(right)];
  while (b !== 0) [a, b] = [b, a % b];
  return a;
};

export class LaneValues {
  readonly flat: Shape;
  readonly #shapes = new Map<string, Shape>();
  readonly #values = new Map<string, LaneValue>();
  #unknowns = 0;

  constructor() {
    this.flat = this.#shape(new Array<number>(WARP_SIZE).fill(0));
  }

  unknown(about: Partial<Omit<Unknown, "id">> = {}): Unknown {
    return {
      id: this.#unknowns++,
      isUniform: about.isUniform ?? false,
      isPlace: about.isPlace ?? false,
      isPosition: about.isPosition ?? false,
      min: about.min ?? -Infinity,
      max: about.max ?? Infinity,
      loops: about.loops ?? NO_LOOPS,
      rounds: about.rounds,
      growth: about.growth,
    };
  }

  constant(constant: number): LaneValue {
    return this.#value([], constant, this.flat);
  }

  ofUnknown(unknown: Unknown, factor = 1): LaneValue {
    return this.#value(factor === 0 ? [] : [[unknown, factor]], 0, this.flat);
  }

  /** A value that is known in each lane but for unknown numbers. */
  ofLanes(numbers: readonly number[], terms: LaneValue["terms"] = []): LaneValue {
    const first = numbers[0]!;
    return this.#value(terms, first, this.#shape(numbers.map((each) => each - first)));
  }

  /** Undefined where the sum is not followed. */
  add(left: LaneValue, right: LaneValue, factor = 1): LaneValue | undefined {
    if (right.terms.length === 0 && right.shape === this.flat)
      return this.#value(left.terms, left.constant + factor * right.constant, left.shape);
    const terms: [Unknown, number][] = [];
    let [a, b] = [0, 0];
    while (a < left.terms.length || b < right.terms.length) {
      const one = left.terms[a];
      const other = right.terms[b];
      if (other === undefined || (one !== undefined && one[0].id < other[0].id)) {
        terms.push([one![0], one![1]]);
        a++;
      } else if (one === undefined || other[0].id < one[0].id) {
        terms.push([other[0], factor * other[1]]);
        b++;
      } else {
        const sum = one[1] + factor * other[1];
        if (sum !== 0) terms.push([one[0], sum]);
        a++;
        b++;
      }
    }
    return this.#checked(terms, left.constant + factor * right.constant, this.#join(left.shape, right.shape, factor));
  }

  scale(value: LaneValue, factor: number): LaneValue | undefined {
    if (factor === 0) return this.constant(0);
    const terms = value.terms.map(([unknown, by]) => [unknown, by * factor] as [Unknown, number]);
    return this.#checked(terms, value.constant * factor, this.#join(this.flat, value.shape, factor));
  }

  /** With other unknown numbers in the place of some; each replaces one, or is told to stay. */
  replace(value: LaneValue, other: (unknown: Unknown) => Unknown): LaneValue {
    if (value.terms.every(([unknown]) => other(unknown) === unknown)) return value;
    const terms = value.terms.map(([unknown, factor]) => [other(unknown), factor] as [Unknown, number]);
    terms.sort(([one], [two]) => one.id - two.id);
    return this.#value(terms, value.constant, value.shape);
  }

  /** The known part of each lane. */
  lanes({ constant, shape }: LaneValue): readonly number[] {
    return shape.offsets.map((offset) => constant + offset);
  }

  isFlat = ({ shape }: LaneValue): boolean => shape === this.flat;

  #join(left: Shape, right: Shape, factor: number): Shape {
    if (right === this.flat) return left;
    return this.#shape(right.offsets.map((offset, lane) => left.offsets[lane]! + factor * offset));
  }

  #checked(terms: [Unknown, number][], constant: number, shape: Shape): LaneValue | undefined {
    if (terms.length > TERMS_MAX || !(Math.abs(constant) < MAGNITUDE_MAX)) return undefined;
    if (terms.some(([, factor]) => !(Math.abs(factor) < MAGNITUDE_MAX))) return undefined;
    if (shape.offsets.some((offset) => !(Math.abs(offset) < MAGNITUDE_MAX))) return undefined;
    return this.#value(terms, constant, shape);
  }

  #value(terms: LaneValue["terms"], constant: number, shape: Shape): LaneValue {
    let key = `${constant}|${shape.id}`;
    for (const [unknown, factor] of terms) key += `|${unknown.id}*${factor}`;
    let known = this.#values.get(key);
    if (known === undefined) {
      known = { id: this.#values.size, terms, constant, shape };
      this.#values.set(key, known);
    }
    return known;
  }

  #shape(offsets: readonly number[]): Shape {
    const key = offsets.join();
    let known = this.#shapes.get(key);
    if (known === undefined) {
      known = { id: this.#shapes.size, offsets };
      this.#shapes.set(key, known);
    }
    return known;
  }
}

/** The bounds of a value over all lanes. */
export function boundsOf({ terms, constant, shape }: LaneValue): { min: number; max: number } {
  let min = constant + Math.min(...shape.offsets);
  let max = constant + Math.max(...shape.offsets);
  for (const [unknown, factor] of terms) {
    min += factor > 0 ? factor * unknown.min : factor * unknown.max;
    max += factor > 0 ? factor * unknown.max : factor * unknown.min;
  }
  return { min, max };
}

/** What divides all unknown parts of a value; 0 where there are none. */
export const stride = ({ terms }: LaneValue): number => terms.reduce((sum, [, factor]) => gcd(sum, factor), 0);

/** Whether all lanes at one place have the same. */
export const isUniform = ({ terms, shape }: LaneValue): boolean =>
  shape.id === 0 && terms.every(([unknown]) => unknown.isUniform);
