/** Whether two machines give the same over a table of operands: the same numbers, whose NaNs are all alike, or numbers as near as a family asks. */
import { createHash } from "node:crypto";
import { type Family, formsOf, type NumberKind } from "./families.ts";
import { operandTable } from "./operands.ts";
import { numberOf, ROWS, resultBytes } from "./program.ts";

/** One result of one form over all rows. */
interface Column {
  readonly form: string;
  readonly kind: NumberKind;
  /** Where it begins. */
  readonly at: number;
}

function columnsOf(family: Family): Column[] {
  let at = 0;
  return formsOf(family).flatMap((form) =>
    family.gives.map((result) => {
      const column = { form, kind: numberOf(result), at };
      at += resultBytes(result) * ROWS;
      return column;
    }),
  );
}

const ONE = 1n;

/** The kind of each of the two halves in a word, or the kind itself. */
const elementOf = (kind: NumberKind): NumberKind => (kind === "f16x2" ? "f16" : kind === "bf16x2" ? "bf16" : kind);

/** The largest magnitude that is no NaN, of formats whose magnitudes fit a word. */
const infinities: Partial<Record<NumberKind, number>> = { f32: 0x7f80_0000, f16: 0x7c00, bf16: 0x7f80 };

/** The results of one column, in which every NaN is the same. */
function plainColumn(bytes: Uint8Array, { kind, at }: Column): Uint8Array {
  const size = resultBytes(kind);
  const copy = bytes.slice(at, at + size * ROWS);
  const element = elementOf(kind);
  const infinity = infinities[element];
  if (element === "f64") {
    const [numbers, bits] = [new Float64Array(copy.buffer), new BigUint64Array(copy.buffer)];
    for (let row = 0; row < ROWS; row++) if (Number.isNaN(numbers[row])) bits[row] = (ONE << 63n) - ONE;
  } else if (infinity !== undefined) {
    const words = element === "f32" ? new Uint32Array(copy.buffer) : new Uint16Array(copy.buffer);
    const magnitude = element === "f32" ? 0x7fff_ffff : 0x7fff;
    for (let at = 0; at < words.length; at++) if ((words[at]! & magnitude) > infinity) words[at] = magnitude;
  }
  return copy;
}

/** What all forms of a family give in a few words, the same on every machine that gives the same numbers. */
export function digestsOf(family: Family, bytes: Uint8Array): string[] {
  return columnsOf(family).map((column) =>
    createHash("sha256").update(plainColumn(bytes, column)).digest("hex").slice(0, 12),
  );
}

function readerOf(plain: Uint8Array, kind: NumberKind): (row: number) => bigint {
  const view = new DataView(plain.buffer);
  const size = resultBytes(kind);
  if (size === 8) return (row) => view.getBigUint64(row * 8, true);
  if (size === 4) return (row) => BigInt(view.getUint32(row * 4, true));
  if (size === 2) return (row) => BigInt(view.getUint16(row * 2, true));
  return (row) => BigInt(view.getUint8(row));
}

const word = new DataView(new ArrayBuffer(8));

/** The number that the bits stand for, as far as it is one. */
function numberFrom(kind: NumberKind, bits: bigint): number {
  if (kind === "f64") {
    word.setBigUint64(0, bits);
    return word.getFloat64(0);
  }
  word.setUint32(0, Number(kind === "bf16" ? bits << 16n : bits));
  return word.getFloat32(0);
}

/** How many numbers of the format lie between the two; those of different signs meet at zero. */
function steps(kind: NumberKind, [a, b]: readonly [bigint, bigint]): bigint {
  const top = ONE << BigInt(resultBytes(kind) * 8 - 1);
  const place = (bits: bigint): bigint => (bits & top ? -(bits & (top - ONE)) : bits);
  const distance = place(a) - place(b);
  return distance < 0n ? -distance : distance;
}

function isNear(kind: NumberKind, [a, b]: readonly [bigint, bigint], bound: Bound): boolean {
  if (a === b) return true;
  const { within = 0, absolute = 0 } = bound;
  if (within === 0 && absolute === 0) return false;
  const element = elementOf(kind);
  if (element !== kind) {
    const halves = [0n, 16n].map((shift) => [(a >> shift) & 0xffffn, (b >> shift) & 0xffffn] as const);
    return halves.every((pair) => isNear(element, pair, bound));
  }
  const none = (ONE << BigInt(resultBytes(kind) * 8 - 1)) - ONE;
  if (a === none || b === none) return false;
  if (steps(kind, [a, b]) <= BigInt(within)) return true;
  return (kind === "f32" || kind === "f64") && Math.abs(numberFrom(kind, a) - numberFrom(kind, b)) <= absolute;
}

type Bound = Pick<Family, "within" | "absolute">;

export interface Difference {
  readonly form: string;
  /** Rows of operands that give another result. */
  readonly count: number;
  /** The first of them, in words. */
  readonly first: string;
}

/** The forms for which the results are not those that are expected. */
export function differences(family: Family, actual: Uint8Array, expected: Uint8Array): Difference[] {
  const found: Difference[] = [];
  for (const column of columnsOf(family)) {
    const [there, here] = [plainColumn(actual, column), plainColumn(expected, column)];
    if (Buffer.compare(there, here) === 0) continue;
    const { kind } = column;
    const [got, wanted] = [readerOf(there, kind), readerOf(here, kind)];
    const rows = [...Array(ROWS).keys()].filter((row) => !isNear(kind, [got(row), wanted(row)], family));
    const [row] = rows;
    if (row === undefined) continue;
    const count = family.takes.length;
    const operands = [...operandTable(family.takes, ROWS).subarray(row * count, row * count + count)];
    const written = (bits: bigint): string => `0x${bits.toString(16)}`;
    const first = `[${operands.map(written).join(", ")}] gives [${written(got(row))}], expected [${written(wanted(row))}]`;
    found.push({ form: column.form, count: rows.length, first });
  }
  return found;
}
