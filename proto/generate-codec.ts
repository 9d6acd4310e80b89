/** Writes shared/generated/calls.ts: types, encoders and decoders for the table of calls. */
import { type CallSpec, calls } from "./calls.ts";
import { type Layout, layoutOf, type PlacedField } from "./layout.ts";
import { type Field, frameKinds, messages, PROTOCOL_VERSION, records } from "./messages.ts";

const capital = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);
const isTail = (field: PlacedField): boolean =>
  field.type === "bytes" || field.type === "string" || typeof field.type === "object";

function tsType(field: PlacedField): string {
  if (field.type === "bytes") return "Uint8Array";
  if (field.type === "string") return "string";
  if (typeof field.type === "object") return `readonly ${field.type.list}[]`;
  return "number";
}

function interfaceOf(name: string, doc: string, layout: Layout): string {
  const fields = layout.fields.map(
    (field) => `  /** ${capital(field.doc)}. */\n  readonly ${field.name}: ${tsType(field)};\n`,
  );
  return `/** ${doc} */\nexport interface ${name} {\n${fields.join("")}}\n`;
}

/** Statements that store the fixed part; padding is stored as zero, so that equal calls have equal bytes. */
function storeFixed(layout: Layout): string[] {
  const words = new Map<number, string>();
  for (const field of layout.fields) {
    const word = field.offset / 4;
    const value = `v.${field.name}`;
    if (field.type === "u64") {
      words.set(word, `b.u32[i + ${word}] = ${value};`);
      words.set(word + 1, `b.u32[i + ${word + 1}] = Math.floor(${value} / 0x1_0000_0000);`);
    } else if (field.type === "f64") {
      words.set(word, `b.f64[(i + ${word}) >> 1] = ${value};`);
      words.set(word + 1, "");
    } else if (field.type === "u32" || field.type === "i32" || field.type === "f32") {
      words.set(word, `b.${field.type}[i + ${word}] = ${value};`);
    } else {
      const count =
        field.type === "bytes"
          ? `${value}.length`
          : field.type === "string"
            ? `${field.name}.length`
            : `${value}.length`;
      words.set(word, `b.u32[i + ${word}] = ${count};`);
    }
  }
  const statements: string[] = [];
  for (let word = 0; word < layout.fixedBytes / 4; word++)
    statements.push(words.get(word) ?? `b.u32[i + ${word}] = 0;`);
  return statements.filter((statement) => statement !== "");
}

function encoderOf(name: string, layout: Layout): string {
  const lines: string[] = [];
  for (const field of layout.fields)
    if (field.type === "string") lines.push(`const ${field.name} = utf8Encode(v.${field.name});`);
  if (layout.fixedBytes > 0) {
    lines.push(`const b = w.reserve(${layout.fixedBytes});`, "const i = w.length >> 2;", ...storeFixed(layout));
    lines.push(`w.length += ${layout.fixedBytes};`);
  }
  for (const field of layout.fields) {
    if (field.type === "bytes") lines.push(`w.appendPadded(v.${field.name});`);
    else if (field.type === "string") lines.push(`w.appendPadded(${field.name});`);
    else if (typeof field.type === "object") lines.push(`encodeList(w, v.${field.name}, encode${field.type.list});`);
  }
  return `export function encode${name}(w: WireWriter, v: ${name}): void {\n${lines.map((line) => `  ${line}\n`).join("")}}\n`;
}

function decodeField(field: PlacedField): string {
  const word = field.offset / 4;
  switch (field.type) {
    case "u32":
    case "i32":
    case "f32":
      return `b.${field.type}[i + ${word}]!`;
    case "f64":
      return `b.f64[(i + ${word}) >> 1]!`;
    case "u64":
      return `b.readU64(start + ${field.offset})`;
    case "bytes":
    case "string":
      return `t.${field.type}(b.u32[i + ${word}]!)`;
    default:
      return `t.list(b.u32[i + ${word}]!, decode${field.type.list})`;
  }
}

function decoderOf(name: string, layout: Layout): string {
  const hasTail = layout.fields.some(isTail);
  const head = `export function decode${name}(b: WireBuffer, start: number, end: number): ${name} {\n`;
  const usesIndex = layout.fields.some((field) => field.type !== "u64");
  const index = usesIndex ? "  const i = start >> 2;\n" : "";
  const fields = layout.fields.map((field) => `    ${field.name}: ${decodeField(field)},\n`).join("");
  if (!hasTail) {
    const check = `  if (end - start !== ${layout.fixedBytes}) throw wrongSize("${name}", { expected: ${layout.fixedBytes}, actual: end - start });\n`;
    return `${head}${check}${index}  return {\n${fields}  };\n}\n`;
  }
  const tail = `  const t = new TailReader(b, { start, fixedBytes: ${layout.fixedBytes}, end });\n`;
  return `${head}${tail}${index}  const v = {\n${fields}  };\n  t.finish();\n  return v;\n}\n`;
}

function codecOf(name: string, doc: string, fields: readonly Field[]): string {
  const layout = layoutOf(fields);
  return [interfaceOf(name, doc, layout), encoderOf(name, layout), decoderOf(name, layout)].join("\n");
}

function callCodec(name: string, spec: CallSpec): string {
  const parts = [codecOf(`${capital(name)}Call`, spec.doc, spec.fields)];
  if (spec.answer && spec.answer.length > 0)
    parts.push(codecOf(`${capital(name)}Answer`, `The answer to \`${name}\`.`, spec.answer));
  return parts.join("\n");
}

const list = (entries: [string, string][]): string => entries.map(([key, value]) => `  ${key}: ${value},\n`).join("");

export function generateCodec(fingerprint: string): string {
  const all = Object.entries<CallSpec>(calls);
  const opcodes = list(all.map(([name, spec]) => [name, String(spec.opcode)]));
  const table = all.map(
    ([name, spec]) => `  { name: "${name}", opcode: ${spec.opcode}, answered: ${spec.answer !== undefined} },\n`,
  );
  const kinds = list(Object.entries(frameKinds).map(([name, kind]) => [name, String(kind)]));
  return [
    `/* Generated by proto/generate.ts from proto/calls.ts. Do not edit. */
import { SluiceError } from "../errors.ts";
import { TailReader, utf8Encode, type WireBuffer, type WireWriter } from "../wire/wire-buffer.ts";

/** Version of the frame format. */
export const PROTOCOL_VERSION = ${PROTOCOL_VERSION};

/** Names the table of calls; both ends must have the same. */
export const FINGERPRINT = "${fingerprint}";

export const FrameKind = {
${kinds}} as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

export const Opcode = {
${opcodes}} as const;
export type CallName = keyof typeof Opcode;

export interface CallTableEntry {
  readonly name: CallName;
  readonly opcode: number;
  /** Whether the call has an answer. */
  readonly answered: boolean;
}

/** Every call of the table, in the order of opcodes. */
export const callTable: readonly CallTableEntry[] = [
${table.join("")}];

function wrongSize(name: string, size: { expected: number; actual: number }): SluiceError {
  return new SluiceError("PROTOCOL_ERROR", \`A body of [\${name}] has [\${size.actual}] bytes instead of [\${size.expected}].\`);
}

function encodeList<T>(w: WireWriter, records: readonly T[], encode: (w: WireWriter, record: T) => void): void {
  for (const record of records) {
    const at = w.length;
    w.reserve(8);
    w.length += 8;
    encode(w, record);
    w.buffer.u32[at >> 2] = w.length - at - 8;
    w.buffer.u32[(at >> 2) + 1] = 0;
  }
}
`,
    ...Object.entries<readonly Field[]>(records).map(([name, fields]) =>
      codecOf(name, `Record \`${name}\` of the table of calls.`, fields),
    ),
    ...Object.entries<readonly Field[]>(messages).map(([name, fields]) =>
      codecOf(name, `Payload \`${name}\`.`, fields),
    ),
    ...all.map(([name, spec]) => callCodec(name, spec)),
  ].join("\n");
}
