/** Values that callers give, as messages show them: whatever they are, short, and without their contents, which may be secret. */
import { inspect } from "node:util";

const TEXT_LENGTH_MAX = 100;

/** A text as it is, or its beginning; of an object only its kind. */
export function shown(value: unknown): string {
  const text = typeof value === "string" ? value : inspect(value, { depth: -1, customInspect: false });
  return text.slice(0, TEXT_LENGTH_MAX);
}
