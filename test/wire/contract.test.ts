/** The control plane's messages, read and written by protobufjs alone, against @grpc/proto-loader, which does the same by way of descriptors. */
import { fromJSON, type MessageTypeDefinition, type ServiceDefinition } from "@grpc/proto-loader";
import protobuf from "protobufjs";
import { expect, test } from "vitest";
import { descriptor } from "../../proto/generated/descriptor.ts";
import { contract, conversion } from "../../proto/load.ts";

const reference = fromJSON(descriptor as unknown as Parameters<typeof fromJSON>[0], conversion);
const root = protobuf.Root.fromJSON(descriptor as unknown as protobuf.INamespace).resolveAll();

type Form = Pick<MessageTypeDefinition<object, object>, "serialize" | "deserialize">;

const messages = (root.lookup("sluice.v1") as protobuf.Namespace).nestedArray.filter(
  (entry) => entry instanceof protobuf.Type,
);

/** A message with every field set, of a choice the one that comes at `turn`. */
function filled(type: protobuf.Type, turn: number, depth = 0): Record<string, unknown> {
  const fields = type.fieldsArray.filter((field) => {
    const choice = field.partOf?.oneof ?? [];
    return choice.length < 2 || choice[turn % choice.length] === field.name;
  });
  return Object.fromEntries(
    fields.map((field, index) => {
      const one = (): unknown => {
        if (field.resolvedType instanceof protobuf.Enum) return Object.keys(field.resolvedType.values).at(-1);
        if (field.resolvedType instanceof protobuf.Type)
          return depth > 3 ? {} : filled(field.resolvedType, turn, depth + 1);
        if (field.type === "string") return `Ünïcode ${index}`;
        if (field.type === "bytes") return Buffer.from([0, index, 255]);
        if (field.type === "bool") return true;
        if (field.type === "double" || field.type === "float") return index + 0.5;
        if (field.type === "int64" || field.type === "uint64") return 2 ** 53 - 1 - index;
        return 1_000_000 + index;
      };
      if (field instanceof protobuf.MapField) return [field.name, { a: one(), constructor: one() }];
      return [field.name, field.repeated ? [one(), one()] : one()];
    }),
  );
}

/** proto-loader marks which optional fields are set, as `_memoryBytes: "memoryBytes"`; here a field that is not set is absent. */
function withoutMarks(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMarks);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  const kept = Object.entries(value).filter(([name]) => !name.startsWith("_"));
  return Object.fromEntries(kept.map(([name, each]) => [name, withoutMarks(each)]));
}

test.each(messages.map((type) => [type.name, type] as const))(
  "%s is the same bytes and the same object",
  (name, type) => {
    const own = contract[name as keyof typeof contract] as unknown as Form;
    const other = reference[`sluice.v1.${name}`] as unknown as Form;
    for (const message of [{}, filled(type, 0), filled(type, 1), filled(type, 2)]) {
      const bytes = own.serialize(message);
      expect(bytes).toEqual(other.serialize(message));
      expect(own.deserialize(bytes)).toEqual(withoutMarks(other.deserialize(bytes)));
    }
  },
);

test.each(["PoolService", "AdminService"] as const)("%s has the same methods", (name) => {
  const own = contract[name].service as unknown as ServiceDefinition;
  const other = reference[`sluice.v1.${name}`] as unknown as ServiceDefinition;
  const shape = (service: ServiceDefinition) =>
    Object.entries(service).map(([method, { path, requestStream, responseStream, originalName }]) => {
      return [method, path, requestStream, responseStream, originalName];
    });
  expect(shape(own)).toEqual(shape(other));
});
