/**
 * Reads protobuf messages by the contract's own descriptor, into the same plain objects that the server's side has: 64-bit numbers are
 * Numbers, enums are their names, fields that are not set have their defaults. protobufjs reads the wire; it would compile a
 * decoder with `Function`, which the page's policy forbids, so the fields are walked here.
 */
import protobuf from "protobufjs/minimal.js";
import { descriptor } from "../../../proto/generated/descriptor.ts";

type Reader = InstanceType<typeof protobuf.Reader>;

interface Field {
  readonly type: string;
  readonly id: number;
  readonly rule?: string;
  readonly keyType?: string;
  readonly options?: { readonly proto3_optional?: boolean };
}

interface Definition {
  readonly fields?: Readonly<Record<string, Field>>;
  readonly oneofs?: Readonly<Record<string, { readonly oneof: readonly string[] }>>;
  readonly values?: Readonly<Record<string, number>>;
}

const definitions = descriptor.nested.sluice.nested.v1.nested as unknown as Readonly<Record<string, Definition>>;

/** How scalars are read, and what they are when nothing is sent. */
const scalars: Readonly<Record<string, readonly [read: (reader: Reader) => unknown, unset: unknown]>> = {
  string: [(reader) => reader.string(), ""],
  bytes: [(reader) => reader.bytes(), new Uint8Array()],
  bool: [(reader) => reader.bool(), false],
  double: [(reader) => reader.double(), 0],
  float: [(reader) => reader.float(), 0],
  uint32: [(reader) => reader.uint32(), 0],
  int32: [(reader) => reader.int32(), 0],
  sint32: [(reader) => reader.sint32(), 0],
  uint64: [(reader) => Number(reader.uint64()), 0],
  int64: [(reader) => Number(reader.int64()), 0],
  sint64: [(reader) => Number(reader.sint64()), 0],
};

interface Plan {
  readonly byId: ReadonlyMap<number, readonly [name: string, field: Field]>;
  readonly definition: Definition;
}

const plans = new Map<string, Plan>();

function planOf(type: string): Plan {
  let plan = plans.get(type);
  if (plan !== undefined) return plan;
  const definition = definitions[type];
  if (definition === undefined) throw new Error(`The contract has no [${type}].`);
  plan = { byId: new Map(Object.entries(definition.fields ?? {}).map((entry) => [entry[1].id, entry])), definition };
  plans.set(type, plan);
  return plan;
}

/** What a field is when nothing is sent. */
function unsetOf({ type, rule, keyType }: Field): unknown {
  if (keyType !== undefined) return {};
  if (rule === "repeated") return [];
  const scalar = scalars[type];
  if (scalar !== undefined) return scalar[1];
  const { values } = planOf(type).definition;
  return values === undefined ? null : Object.keys(values)[0];
}

/** Members of a choice, and fields that may be left out, are absent instead. */
function startOf({ definition }: Plan): Record<string, unknown> {
  const optional = new Set(Object.values(definition.oneofs ?? {}).flatMap(({ oneof }) => oneof));
  const message: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(definition.fields ?? {})) {
    if (!optional.has(name)) message[name] = unsetOf(field);
  }
  return message;
}

function readValue(reader: Reader, type: string): unknown {
  const scalar = scalars[type];
  if (scalar !== undefined) return scalar[0](reader);
  const plan = planOf(type);
  if (plan.definition.values === undefined) return readMessage(reader, { plan, end: reader.uint32() + reader.pos });
  const value = reader.int32();
  return Object.entries(plan.definition.values).find(([, known]) => known === value)?.[0] ?? value;
}

function readMapEntry(reader: Reader, { type, keyType }: Field): readonly [string, unknown] {
  const end = reader.uint32() + reader.pos;
  let key = "";
  let value: unknown = unsetOf({ type, id: 2 });
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) key = String(readValue(reader, keyType!));
    else if (tag >>> 3 === 2) value = readValue(reader, type);
    else reader.skipType(tag & 7);
  }
  return [key, value];
}

function readMessage(reader: Reader, { plan, end }: { readonly plan: Plan; readonly end: number }): unknown {
  const message = startOf(plan);
  while (reader.pos < end) {
    const tag = reader.uint32();
    const found = plan.byId.get(tag >>> 3);
    if (found === undefined) {
      // A newer server knows more.
      reader.skipType(tag & 7);
      continue;
    }
    const [name, field] = found;
    if (field.keyType !== undefined) {
      const [key, value] = readMapEntry(reader, field);
      Object.defineProperty(message[name], key, { value, enumerable: true });
    } else if (field.rule !== "repeated") message[name] = readValue(reader, field.type);
    else if ((tag & 7) === 2 && isPackable(field.type)) {
      const until = reader.uint32() + reader.pos;
      while (reader.pos < until) (message[name] as unknown[]).push(readValue(reader, field.type));
    } else (message[name] as unknown[]).push(readValue(reader, field.type));
  }
  return message;
}

const isPackable = (type: string): boolean =>
  type !== "string" &&
  type !== "bytes" &&
  (scalars[type] !== undefined || planOf(type).definition.values !== undefined);

/** The message of a type of the contract, such as `WatchPoolResponse`. Throws for bytes that are none. */
export function decode(type: string, bytes: Uint8Array): unknown {
  const reader = protobuf.Reader.create(bytes);
  return readMessage(reader, { plan: planOf(type), end: reader.len });
}
