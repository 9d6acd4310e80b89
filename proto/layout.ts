/** Where each field of the table of calls sits: the rules of FieldType as numbers, for the generators. */
import type { Field, FieldType } from "./messages.ts";

export interface PlacedField {
  readonly name: string;
  readonly type: FieldType;
  readonly doc: string;
  /** Byte offset from the start of the body. */
  readonly offset: number;
}

export interface Layout {
  readonly fields: readonly PlacedField[];
  /** Size of the fixed part, padded to 8. */
  readonly fixedBytes: number;
}

export function layoutOf(fields: readonly Field[]): Layout {
  let offset = 0;
  const placed = fields.map(([name, type, doc]) => {
    const size = type === "u64" || type === "f64" ? 8 : 4;
    offset = Math.ceil(offset / size) * size;
    const field = { name, type, doc, offset };
    offset += size;
    return field;
  });
  return { fields: placed, fixedBytes: Math.ceil(offset / 8) * 8 };
}
