/**
 * Writes client/interposer/generated/calls.h: the table of calls for the C client. It holds what a client needs and no more:
 * encoders for calls and for Hello, decoders for answers, records and the server's messages. The rules of layout are those
 * of proto/README.md, "Conventions".
 */
import { type ErrorSpec, errorTable } from "../shared/errors.ts";
import {
  BATCH_BYTES,
  CALL_DATA_BYTES_MAX,
  FRAME_BYTES_MAX,
  HANDSHAKE_FRAME_BYTES_MAX,
  IMAGE_BYTES_MAX,
  IMAGE_SENT_BYTES_MAX,
  PARAM_BYTES_MAX,
  RECORDED_CALLS_MAX,
  SLICES_PER_LEASE_MAX,
  STAGED_COPY_BYTES_MIN,
  STAGING_BYTES,
} from "../shared/limits.ts";
import { AWAKE_CORES_MIN, AWAKE_MISSES_MAX, AWAKE_MS } from "../shared/wakefulness.ts";
import { type CallSpec, calls } from "./calls.ts";
import { type Layout, layoutOf, type PlacedField } from "./layout.ts";
import { type Field, frameKinds, messages, PROTOCOL_VERSION, records } from "./messages.ts";

const snake = (name: string): string => name.replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();
const upper = (name: string): string => snake(name).toUpperCase();
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
const isBytes = (field: PlacedField): boolean => field.type === "bytes" || field.type === "string";
const isList = (field: PlacedField): boolean => typeof field.type === "object";

const scalars: Record<string, string> = {
  u32: "uint32_t",
  i32: "int32_t",
  f32: "float",
  u64: "uint64_t",
  f64: "double",
};

function cType(field: PlacedField): string {
  if (isBytes(field)) return "struct sluice_bytes";
  if (isList(field)) return "struct sluice_list";
  return scalars[field.type as string]!;
}

function structOf(name: string, doc: string, layout: Layout): string {
  const members = layout.fields.map(
    (field) => `    /* ${capital(field.doc)}. */\n    ${cType(field)} ${snake(field.name)};\n`,
  );
  return `/* ${doc} */\nstruct sluice_${snake(name)} {\n${members.join("")}};\n`;
}

/** Size of the body, and a function that writes it; a list is given with its records as they travel, and the padding is written as zero, so that equal calls have equal bytes. */
function encoderOf(name: string, layout: Layout): string {
  const tail = layout.fields.filter((field) => isBytes(field) || isList(field));
  const size = [String(layout.fixedBytes), ...tail.map((field) => `sluice_pad8(v->${snake(field.name)}.byte_count)`)];
  const stores = layout.fields.map((field) =>
    isBytes(field) || isList(field)
      ? `    sluice_put_u32(at + ${field.offset}, (uint32_t)v->${snake(field.name)}.${isList(field) ? "count" : "byte_count"});\n`
      : `    memcpy(at + ${field.offset}, &v->${snake(field.name)}, sizeof v->${snake(field.name)});\n`,
  );
  const last = layout.fields.at(-1);
  const end = last ? last.offset + (last.type === "u64" || last.type === "f64" ? 8 : 4) : 0;
  const holes = layout.fixedBytes > end ? `    sluice_put_u32(at + ${end}, 0);\n` : "";
  const inner = innerHoles(layout);
  const tails = tail
    .map((field) => {
      const member = `v->${snake(field.name)}`;
      const bytes = isList(field) ? `(struct sluice_bytes){${member}.data, ${member}.byte_count}` : member;
      return `    at = sluice_put_bytes(at, ${bytes});\n`;
    })
    .join("");
  const advance = tail.length > 0 ? `    at += ${layout.fixedBytes};\n${tails}` : "";
  return `static inline size_t sluice_size_${snake(name)}(const struct sluice_${snake(name)} *v) {
    (void)v;
    return ${size.join(" + ")};
}

static inline void sluice_encode_${snake(name)}(uint8_t *at, const struct sluice_${snake(name)} *v) {
${stores.join("")}${inner}${holes}${advance}}
`;
}

/** Stores of zero for the gaps that alignment leaves between two fields. */
function innerHoles(layout: Layout): string {
  let end = 0;
  const stores: string[] = [];
  for (const field of layout.fields) {
    if (field.offset > end) stores.push(`    sluice_put_u32(at + ${end}, 0);\n`);
    end = field.offset + (field.type === "u64" || field.type === "f64" ? 8 : 4);
  }
  return stores.join("");
}

function decoderOf(name: string, layout: Layout): string {
  const loads = layout.fields.map((field) => {
    const member = `v->${snake(field.name)}`;
    if (isBytes(field)) return `    ${member}.byte_count = sluice_get_u32(body + ${field.offset});\n`;
    if (isList(field)) return `    ${member}.count = sluice_get_u32(body + ${field.offset});\n`;
    return `    memcpy(&${member}, body + ${field.offset}, sizeof ${member});\n`;
  });
  const tails = layout.fields
    .filter((field) => isBytes(field) || isList(field))
    .map((field) => {
      const take = isBytes(field) ? "sluice_take_bytes" : "sluice_take_list";
      return `    if (${take}(body, byte_count, &at, &v->${snake(field.name)}) != 0) return -1;\n`;
    });
  return `/* Returns 0, or -1 when the body breaks the format. What is found points into the body. */
static inline int sluice_decode_${snake(name)}(const uint8_t *body, size_t byte_count, struct sluice_${snake(name)} *v) {
    size_t at = ${layout.fixedBytes};
    if (byte_count < at) return -1;
${loads.join("")}${tails.join("")}    return at == byte_count ? 0 : -1;
}
`;
}

const defines = (prefix: string, entries: [string, number | string][]): string =>
  entries.map(([name, value]) => `#define SLUICE_${prefix}${name} ${value}\n`).join("");

const encoded = (name: string, doc: string, fields: readonly Field[]): string =>
  [structOf(name, doc, layoutOf(fields)), encoderOf(name, layoutOf(fields))].join("\n");
const decoded = (name: string, doc: string, fields: readonly Field[]): string =>
  [structOf(name, doc, layoutOf(fields)), decoderOf(name, layoutOf(fields))].join("\n");

function callParts([name, spec]: [string, CallSpec]): string[] {
  const parts = [encoded(`${name}Call`, spec.doc, spec.fields)];
  if (spec.answer && spec.answer.length > 0)
    parts.push(decoded(`${name}Answer`, `The answer to \`${name}\`.`, spec.answer));
  return parts;
}

/** Byte offset, in the body of an answer, at which the data of its only `bytes` field begins. */
function dataOffsets(): string {
  const entries = Object.entries<CallSpec>(calls).filter(([, spec]) =>
    spec.answer?.some(([, type]) => type === "bytes"),
  );
  return defines(
    "",
    entries.map(([name, spec]) => [`${upper(name)}_ANSWER_FIXED_BYTES`, layoutOf(spec.answer!).fixedBytes]),
  );
}

function errorNames(): string {
  const rows = Object.entries(errorTable).map(([code, entry]) => `    case ${entry.wire}: return "${code}";\n`);
  return `/* The code of an error by its wire number. */
static inline const char *sluice_error_code(uint32_t wire) {
    switch (wire) {
${rows.join("")}    default: return "INTERNAL";
    }
}
`;
}

/** Whether an error tells that of a program that tries its leases. */
function errorsSaying(what: ErrorSpec["whenTrying"], name: string, doc: string): string {
  const cases = Object.entries<ErrorSpec>(errorTable).filter(([, entry]) => entry.whenTrying === what);
  const rows = cases.map(([code]) => `    case SLUICE_ERROR_${code}:\n`);
  return `/* ${doc} */
static inline bool ${name}(uint32_t wire) {
    switch (wire) {
${rows.join("").trimEnd()} return true;
    default: return false;
    }
}
`;
}

function callNames(all: [string, CallSpec][]): string {
  const rows = all.map(([name, spec]) => `    case ${spec.opcode}: return "${name}";\n`);
  return `/* The name of a call by its opcode. */
static inline const char *sluice_call_name(uint32_t opcode) {
    switch (opcode) {
${rows.join("")}    default: return "?";
    }
}
`;
}

const prelude = `#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sluice_bytes {
    const void *data;
    size_t byte_count;
};

/* Records of a list, each behind its own byte count; walk them with sluice_next_*. */
struct sluice_list {
    const uint8_t *data;
    size_t byte_count;
    uint32_t count;
};

static inline size_t sluice_pad8(size_t byte_count) {
    return (byte_count + 7) & ~(size_t)7;
}

static inline uint32_t sluice_get_u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline void sluice_put_u32(uint8_t *at, uint32_t value) {
    memcpy(at, &value, sizeof value);
}

/* Writes bytes and their zero padding. Bytes without data are left for the caller to send from where they are. */
static inline uint8_t *sluice_put_bytes(uint8_t *at, struct sluice_bytes bytes) {
    if (bytes.byte_count == 0 || bytes.data == NULL) return at;
    size_t padded = sluice_pad8(bytes.byte_count);
    memset(at + padded - 8, 0, 8);
    memcpy(at, bytes.data, bytes.byte_count);
    return at + padded;
}

/* What a record takes in a list; and the place of its body there, behind its byte count. */
static inline size_t sluice_size_record(size_t byte_count) {
    return 8 + byte_count;
}

static inline uint8_t *sluice_put_record(uint8_t *at, size_t byte_count) {
    sluice_put_u32(at, (uint32_t)byte_count);
    sluice_put_u32(at + 4, 0);
    return at + 8;
}

static inline int sluice_take_bytes(const uint8_t *body, size_t byte_count, size_t *at, struct sluice_bytes *bytes) {
    if (bytes->byte_count > byte_count - *at || sluice_pad8(bytes->byte_count) > byte_count - *at) return -1;
    bytes->data = body + *at;
    *at += sluice_pad8(bytes->byte_count);
    return 0;
}

static inline int sluice_take_list(const uint8_t *body, size_t byte_count, size_t *at, struct sluice_list *list) {
    size_t start = *at;
    for (uint32_t index = 0; index < list->count; index++) {
        if (byte_count - *at < 8) return -1;
        size_t record = sluice_get_u32(body + *at);
        *at += 8;
        if (record % 8 != 0 || record > byte_count - *at) return -1;
        *at += record;
    }
    list->data = body + start;
    list->byte_count = *at - start;
    return 0;
}
`;

/** Records of which a client makes lists. */
const sentRecords = new Set(
  Object.values<CallSpec>(calls).flatMap(({ fields }) =>
    fields.flatMap(([, type]) => (typeof type === "object" ? [type.list as string] : [])),
  ),
);

const nextOf = (
  name: string,
): string => `/* Takes the next record: 1, 0 when there is none left, -1 when it breaks the format. */
static inline int sluice_next_${snake(name)}(struct sluice_list *list, struct sluice_${snake(name)} *v) {
    if (list->count == 0) return 0;
    size_t record = sluice_get_u32(list->data);
    if (sluice_decode_${snake(name)}(list->data + 8, record, v) != 0) return -1;
    list->data += 8 + record;
    list->byte_count -= 8 + record;
    list->count--;
    return 1;
}
`;

export function generateC(fingerprint: string): string {
  const all = Object.entries<CallSpec>(calls);
  const { Hello, ...fromServer } = messages;
  const limits: [string, number][] = [
    ["FRAME_BYTES_MAX", FRAME_BYTES_MAX],
    ["CALL_DATA_BYTES_MAX", CALL_DATA_BYTES_MAX],
    ["BATCH_BYTES", BATCH_BYTES],
    ["HANDSHAKE_FRAME_BYTES_MAX", HANDSHAKE_FRAME_BYTES_MAX],
    ["IMAGE_BYTES_MAX", IMAGE_BYTES_MAX],
    ["IMAGE_SENT_BYTES_MAX", IMAGE_SENT_BYTES_MAX],
    ["PARAM_BYTES_MAX", PARAM_BYTES_MAX],
    ["RECORDED_CALLS_MAX", RECORDED_CALLS_MAX],
    ["SLICES_PER_LEASE_MAX", SLICES_PER_LEASE_MAX],
    ["STAGING_BYTES", STAGING_BYTES],
    ["STAGED_COPY_BYTES_MIN", STAGED_COPY_BYTES_MIN],
    ["AWAKE_NANOSECONDS", AWAKE_MS * 1e6],
    ["AWAKE_CORES_MIN", AWAKE_CORES_MIN],
    ["AWAKE_MISSES_MAX", AWAKE_MISSES_MAX],
  ];
  return [
    `/* Generated by proto/generate.ts from proto/calls.ts. Do not edit. */
#ifndef SLUICE_GENERATED_CALLS_H
#define SLUICE_GENERATED_CALLS_H

${prelude}
#define SLUICE_PROTOCOL_VERSION ${PROTOCOL_VERSION}
#define SLUICE_FINGERPRINT "${fingerprint}"
${defines("", limits)}
${defines(
  "FRAME_",
  Object.entries(frameKinds).map(([name, kind]) => [name, kind]),
)}
${defines(
  "OP_",
  all.map(([name, spec]) => [upper(name), spec.opcode]),
)}
${dataOffsets()}
${defines(
  "ERROR_",
  Object.entries(errorTable).map(([code, entry]) => [code, entry.wire]),
)}`,
    errorNames(),
    errorsSaying(
      "leaseIsOver",
      "sluice_error_ends_lease",
      "Whether the error says that this lease is no more, which says nothing of others.",
    ),
    errorsSaying(
      "mayPass",
      "sluice_error_may_pass",
      "Whether the error may be over at the next try: of a server that starts anew, or has too much to do.",
    ),
    callNames(all),
    ...Object.entries<readonly Field[]>(records).flatMap(([name, fields]) => [
      decoded(name, `Record \`${name}\` of the table of calls.`, fields),
      nextOf(name),
      ...(sentRecords.has(name) ? [encoderOf(name, layoutOf(fields))] : []),
    ]),
    ...Object.entries<readonly Field[]>(fromServer).map(([name, fields]) =>
      decoded(name, `Payload \`${name}\`.`, fields),
    ),
    encoded("Hello", "Payload `Hello`.", Hello),
    ...all.flatMap(callParts),
    "#endif\n",
  ].join("\n");
}
