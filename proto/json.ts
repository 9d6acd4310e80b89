/**
 * Whether a JSON value is a message: its own fields alone, each with a value of its type. protobufjs by itself drops what it does not know and makes
 * something of everything else, such as an admin's token out of a role that is misspelt. JSON as proto3 writes it:
 * https://protobuf.dev/programming-guides/json/
 */
import protobuf from "protobufjs/light.js";

interface Range {
  readonly min: bigint;
  readonly max: bigint;
}

const signed = (bits: bigint): Range => ({ min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n });
const unsigned = (bits: bigint): Range => ({ min: 0n, max: 2n ** bits - 1n });

const ranges: Readonly<Record<string, Range>> = {
  ...{ int32: signed(32n), sint32: signed(32n), uint32: unsigned(32n) },
  ...{ int64: signed(64n), sint64: signed(64n), uint64: unsigned(64n) },
};

/** What is wrong with the value as a message of that type, as the part of a sentence; undefined for nothing. */
export function faultOfMessage(type: protobuf.Type, value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "it is no object";
  for (const [name, each] of Object.entries(value)) {
    const field = Object.hasOwn(type.fields, name) ? type.fields[name]!.resolve() : undefined;
    if (field === undefined) return `it has no field [${name}]`;
    const fault = each === null ? undefined : faultOfField(field, each);
    if (fault !== undefined) return `its field [${name}] is wrong: ${fault}`;
  }
  for (const { oneof } of type.oneofsArray) {
    const given = oneof.filter((name) => (value as Readonly<Record<string, unknown>>)[name] != null);
    if (given.length > 1) return `it has more than one of [${given.join(", ")}]`;
  }
  return undefined;
}

function faultOfField(field: protobuf.Field, value: unknown): string | undefined {
  if (!field.repeated) return faultOfValue(field, value);
  if (!Array.isArray(value)) return "it is no list";
  return value.map((each) => faultOfValue(field, each)).find((fault) => fault !== undefined);
}

function faultOfValue({ type, resolvedType }: protobuf.Field, value: unknown): string | undefined {
  if (resolvedType instanceof protobuf.Type) return faultOfMessage(resolvedType, value);
  if (resolvedType instanceof protobuf.Enum) {
    const isKnown = typeof value === "string" ? Object.hasOwn(resolvedType.values, value) : isWhole(value, signed(32n));
    return isKnown ? undefined : `it is none of [${Object.keys(resolvedType.values).join(", ")}]`;
  }
  const range = ranges[type];
  if (range !== undefined)
    return isWhole(value, range) ? undefined : `it is no whole number from ${range.min} to ${range.max}`;
  if (type === "double") return isNumber(value) ? undefined : "it is no number";
  const wanted = type === "bool" ? "boolean" : "string";
  return typeof value === wanted ? undefined : `it is no ${type === "bytes" ? "text in base64" : wanted}`;
}

/** As a number or, as 64-bit ones are written, in decimal digits. */
function isWhole(value: unknown, { min, max }: Range): boolean {
  const isText = typeof value === "string" && /^-?\d{1,20}$/.test(value);
  if (!isText && !(typeof value === "number" && Number.isInteger(value))) return false;
  const number = BigInt(value as string | number);
  return number >= min && number <= max;
}

const isNumber = (value: unknown): boolean =>
  typeof value === "number" || value === "NaN" || value === "Infinity" || value === "-Infinity";
