/** Writes the tables of proto/README.md: calls, records, messages, frame kinds, bounds and errors. */
import { errorTable, reasonCodes } from "../shared/errors.ts";
import * as limits from "../shared/limits.ts";
import { type CallSpec, calls } from "./calls.ts";
import { layoutOf } from "./layout.ts";
import { type Field, frameKinds, messages, records } from "./messages.ts";

function fieldTable(fields: readonly Field[]): string {
  if (fields.length === 0) return "No fields.\n";
  const rows = layoutOf(fields).fields.map((field) => {
    const type = typeof field.type === "object" ? `list of ${field.type.list}` : field.type;
    return `| ${field.offset} | \`${field.name}\` | ${type} | ${field.doc} |\n`;
  });
  return `| offset | field | type | meaning |\n|---|---|---|---|\n${rows.join("")}`;
}

function callSection([name, spec]: [string, CallSpec]): string {
  const errors = spec.errors.map((code) => `\`${code}\``).join(", ");
  const answer =
    spec.answer === undefined
      ? "No answer.\n"
      : spec.answer.length === 0
        ? "Answer: no fields.\n"
        : `Answer:\n\n${fieldTable(spec.answer)}`;
  return `#### ${spec.opcode} \`${name}\`\n${spec.doc} Errors: ${errors}.\n\n${fieldTable(spec.fields)}\n${answer}\n`;
}

const layoutSections = (entries: Record<string, readonly Field[]>): string =>
  Object.entries(entries)
    .map(([name, fields]) => `#### \`${name}\`\n${fieldTable(fields)}\n`)
    .join("");

function errorRows(): string {
  const rows = Object.entries(errorTable).map(
    ([code, entry]) =>
      `| ${entry.wire} | \`${code}\` | ${entry.grpc} | ${entry.retryable ? "yes" : "no"} | ${entry.meaning} | ${entry.remedy} |\n`,
  );
  return `| wire | code | gRPC status | retry | meaning | what to do |\n|---|---|---|---|---|---|\n${rows.join("")}`;
}

/** What a client must keep to, and is refused beyond. */
const bounds: Partial<Record<keyof typeof limits, string>> = {
  FRAME_BYTES_MAX: "bytes of a frame, its header included",
  HANDSHAKE_FRAME_BYTES_MAX: "bytes of a frame of the handshake",
  CALL_DATA_BYTES_MAX: "bytes of data of one call, or of one answer",
  PARAM_BYTES_MAX: "bytes of a packed parameter block",
  HANDLES_MAX: "live handles of one kind in a session",
  ALLOCATIONS_MAX: "live allocations on one device of a session",
  IMAGE_BYTES_MAX: "bytes of one image, and of all that are sent and not loaded",
  IMAGES_MAX: "images that are sent and not loaded",
  MODULE_BYTES_MAX: "bytes of images behind the live modules of a session",
  CACHED_PIECES_MAX: "pieces named in one `copyCached`",
  RECORDING_CALLS_MAX: "calls of one recording",
  RECORDING_BYTES_MAX: "bytes of the calls of one recording",
  RECORDING_PATCHES_MAX: "places of one recording",
  RECORDING_VALUE_BYTES_MAX: "bytes of the values of one replay",
  RECORDED_CALLS_MAX: "calls of all recordings of a session",
  DNN_ATTRIBUTES_MAX: "attributes of one `dnnDescribe`",
};

const values = new Map(Object.entries(limits));
const boundRows = (): string =>
  `| at most | | of |\n|---|---|---|\n${Object.entries(bounds)
    .map(([name, doc]) => `| ${values.get(name)} | ${name} | ${doc} |\n`)
    .join("")}`;

/** The text of each generated part, by its mark. */
export function generateTables(): Record<string, string> {
  return {
    kinds: `${Object.entries(frameKinds)
      .map(([name, kind]) => `| ${kind} | ${name} |\n`)
      .join("")}`.replace(/^/, "| kind | name |\n|---|---|\n"),
    messages: layoutSections(messages),
    records: layoutSections(records),
    calls: Object.entries<CallSpec>(calls).map(callSection).join(""),
    bounds: boundRows(),
    errors: errorRows(),
    reasons: `${reasonCodes.map((code) => `\`${code}\``).join(", ")}\n`,
  };
}
