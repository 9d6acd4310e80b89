/**
 * What is in an image, told before the driver sees it: the names of its variables, which the driver tells addresses for and does not list, and what it
 * takes of a device outside the arena. PTX by its declarations, binary images by the symbols, sections and segments of their ELF files. Whatever the driver goes by, it is counted, so that a tenant's headers cannot say less than is taken. Cubins are
 * ELF files as the System V ABI describes them; the container of a fatbin is read as client/interposer/core/fatbin.c reads it.
 */
import { decompress } from "fzstd";
import { SluiceError } from "../../../shared/errors.ts";
import { IMAGE_BYTES_MAX } from "../../../shared/limits.ts";
import { imageFormat } from "./image.ts";
import { readPtxDeclarations } from "./ptx-declarations.ts";

const broken = (what: string): SluiceError => new SluiceError("BAD_IMAGE", `The image cannot be read: ${what}.`);

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const Section = { SYMBOLS: 2, WITHOUT_BYTES: 8 } as const;
const SECTION_IS_LOADED = 2;
const SEGMENT_IS_LOADED = 1;
const SYMBOL_IS_COMMON = 0xfff2;
const SYMBOL_IS_OBJECT = 1;
const SECTION_HEADER_BYTES = 64;
const SEGMENT_HEADER_BYTES = 56;
const SYMBOL_BYTES = 24;
/** A block's own memory, which lies on the chip: no device has as much of it. */
const SHARED_BYTES_MAX = 1024 * 1024;

interface ElfSection {
  readonly name: string;
  readonly kind: number;
  /** The section of names that belongs to one of symbols. */
  readonly link: number;
  readonly isLoaded: boolean;
  readonly offset: number;
  readonly size: number;
  readonly alignment: number;
}

/** A size as it is when the next thing of the same alignment follows. */
const padded = (size: number, alignment: number): number =>
  Math.ceil(size / Math.max(1, alignment)) * Math.max(1, alignment);

function readSections(elf: Uint8Array): ElfSection[] {
  const view = viewOf(elf);
  const [table, count, nameTable] = [
    Number(view.getBigUint64(40, true)),
    view.getUint16(60, true),
    view.getUint16(62, true),
  ];
  if (count === 0 && table !== 0) throw broken("it has more sections than its header counts");
  if (count > 0 && view.getUint16(58, true) !== SECTION_HEADER_BYTES)
    throw broken("its section headers have another size");
  const headers = Array.from({ length: count }, (_, index) => {
    const at = table + index * SECTION_HEADER_BYTES;
    const wide = (offset: number): number => Number(view.getBigUint64(at + offset, true));
    return {
      name: view.getUint32(at, true),
      kind: view.getUint32(at + 4, true),
      flags: wide(8),
      offset: wide(24),
      size: wide(32),
      link: view.getUint32(at + 40, true),
      alignment: wide(48),
    };
  });
  const names = headers[nameTable];
  const text =
    names === undefined ? Buffer.alloc(0) : Buffer.from(elf.subarray(names.offset, names.offset + names.size));
  return headers.map(({ name, kind, flags, ...place }) => ({
    name: text.toString("latin1", name, name + 64).split("\0")[0]!,
    kind,
    isLoaded: flags % (2 * SECTION_IS_LOADED) >= SECTION_IS_LOADED,
    ...place,
  }));
}

interface ElfSymbol {
  readonly name: string;
  readonly isVariable: boolean;
  /** Not zero for one that the linker is to place: of a file that is not linked, the sizes of such variables are here alone. */
  readonly commonBytes: number;
}

function* readSymbols(elf: Uint8Array, sections: readonly ElfSection[]): Generator<ElfSymbol> {
  const view = viewOf(elf);
  for (const { kind, offset, size, link } of sections) {
    if (kind !== Section.SYMBOLS) continue;
    const names = sections[link];
    const text = Buffer.from(names === undefined ? [] : elf.subarray(names.offset, names.offset + names.size));
    for (let at = offset; at + SYMBOL_BYTES <= offset + size; at += SYMBOL_BYTES) {
      const [start, section] = [view.getUint32(at, true), view.getUint16(at + 6, true)];
      const [value, byteCount] = [Number(view.getBigUint64(at + 8, true)), Number(view.getBigUint64(at + 16, true))];
      const end = text.indexOf(0, start);
      yield {
        name: text.toString("utf8", start, end < 0 ? text.length : end),
        isVariable: (view.getUint8(at + 4) & 15) === SYMBOL_IS_OBJECT && section !== 0 && byteCount > 0,
        // Of such a symbol the value is the alignment.
        commonBytes: section === SYMBOL_IS_COMMON ? padded(byteCount, value) : 0,
      };
    }
  }
}

function segmentBytes(elf: Uint8Array): number {
  const view = viewOf(elf);
  const [table, count] = [Number(view.getBigUint64(32, true)), view.getUint16(56, true)];
  if (count > 0 && view.getUint16(54, true) !== SEGMENT_HEADER_BYTES)
    throw broken("its segment headers have another size");
  let sum = 0;
  for (let at = table; at < table + count * SEGMENT_HEADER_BYTES; at += SEGMENT_HEADER_BYTES) {
    const wide = (offset: number): number => Number(view.getBigUint64(at + offset, true));
    if (view.getUint32(at, true) === SEGMENT_IS_LOADED) sum += padded(wide(40), wide(48));
  }
  return sum;
}

export interface ImageContent {
  /** What it takes outside the arena in bytes: variables, and of binary images code too. Infinite where PTX does not say. */
  readonly byteCount: number;
  /** Names of its variables; the compiler may have dropped some. */
  readonly variables: readonly string[];
}

/** A cubin whose format is known to be whole. */
function readCubin(elf: Uint8Array): ImageContent {
  if (elf[4] !== 2 || elf[5] !== 1) throw broken("it is no little-endian ELF file of 64 bits");
  const sections = readSections(elf);
  const variables: string[] = [];
  let sum = 0;
  for (const { name, isVariable, commonBytes } of readSymbols(elf, sections)) {
    sum += commonBytes;
    if (isVariable && name !== "") variables.push(name);
  }
  for (const { name, kind, isLoaded, size, alignment } of sections) {
    if (name.startsWith(".nv.shared.") && size <= SHARED_BYTES_MAX) continue;
    // What has no bytes in the file costs a tenant nothing to send, so it counts whatever else is said of it.
    if (isLoaded || kind === Section.WITHOUT_BYTES) sum += padded(size, alignment);
  }
  return { byteCount: Math.max(sum, segmentBytes(elf)), variables };
}

const EntryKind = { PTX: 1, CUBIN: 2, LTO: 8 } as const;
const PACKED_BY_LZ4 = 0x2000;
const PACKED_BY_ZSTD = 0x8000;
const ENTRY_HEADER_BYTES_MIN = 64;

/** A block of LZ4: tokens of literals and matches; the last one has literals alone. */
function unpackLz4(from: Uint8Array, byteCount: number): Uint8Array {
  const into = new Uint8Array(byteCount);
  let [at, written] = [0, 0];
  const lengthOf = (nibble: number): number => {
    let length = nibble;
    for (let more = nibble === 15 ? 255 : 0; more === 255 && at < from.length; length += more) more = from[at++]!;
    return length;
  };
  while (at < from.length) {
    const token = from[at++]!;
    const literals = lengthOf(token >> 4);
    if (at + literals > from.length || written + literals > byteCount) throw broken("an entry is packed wrongly");
    into.set(from.subarray(at, at + literals), written);
    at += literals;
    written += literals;
    if (at === from.length) break;
    const distance = from[at]! | (from[at + 1]! << 8);
    at += 2;
    const match = lengthOf(token & 15) + 4;
    if (!(distance > 0 && distance <= written) || written + match > byteCount)
      throw broken("an entry is packed wrongly");
    for (const end = written + match; written < end; written++) into[written] = into[written - distance]!;
  }
  if (written !== byteCount) throw broken("an entry is packed wrongly");
  return into;
}

function unpackZstd(from: Uint8Array, byteCount: number): Uint8Array {
  try {
    // Into memory of its own: given some, it would write each of several frames over the one before.
    const unpacked = decompress(from);
    if (unpacked.length === byteCount) return unpacked;
  } catch {
    // Told below.
  }
  throw broken("an entry is packed wrongly");
}

interface Entry {
  readonly kind: number;
  /** Of the devices that it is for: major * 10 + minor. */
  readonly capability: number;
  unpack(): Uint8Array;
}

function* readEntries(fatbin: Uint8Array): Generator<Entry> {
  const view = viewOf(fatbin);
  const start = view.getUint16(6, true);
  const end = start + Number(view.getBigUint64(8, true));
  let left = 4 * IMAGE_BYTES_MAX;
  for (let at = start; at < end; ) {
    if (end - at < ENTRY_HEADER_BYTES_MIN) throw broken("it ends within an entry");
    const headerBytes = view.getUint32(at + 4, true);
    const dataBytes = Number(view.getBigUint64(at + 8, true));
    const [packedBytes, unpackedBytes] = [view.getUint32(at + 16, true), Number(view.getBigUint64(at + 56, true))];
    const flags = view.getUint32(at + 40, true);
    if (headerBytes < ENTRY_HEADER_BYTES_MIN || headerBytes + dataBytes > end - at)
      throw broken("an entry passes its end");
    const data = fatbin.subarray(at + headerBytes, at + headerBytes + dataBytes);
    const unpack = (): Uint8Array => {
      const isPacked = (flags & (PACKED_BY_LZ4 | PACKED_BY_ZSTD)) !== 0;
      if (!isPacked) return data;
      left -= unpackedBytes;
      if (!(left >= 0) || packedBytes > dataBytes) throw broken("an entry is packed wrongly");
      const packed = data.subarray(0, packedBytes);
      return (flags & PACKED_BY_ZSTD) !== 0 ? unpackZstd(packed, unpackedBytes) : unpackLz4(packed, unpackedBytes);
    };
    yield { kind: view.getUint16(at, true), capability: view.getUint32(at + 28, true), unpack };
    at += headerBytes + dataBytes;
  }
}

function readPtx(text: Uint8Array): ImageContent {
  const source = Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString("utf8");
  const { variableBytes, globals } = readPtxDeclarations(source);
  return { byteCount: variableBytes, variables: globals };
}

/** The most that an entry takes, and the variables of all: which of them a device of `capability` gets is the driver's choice. */
function readFatbin(fatbin: Uint8Array, capability: number): ImageContent {
  const variables = new Set<string>();
  let byteCount = 0;
  for (const entry of readEntries(fatbin)) {
    // Code of the compiler's own is for the linker, and what that makes is counted; PTX is for its own capability and later ones.
    if (entry.kind === EntryKind.LTO || (entry.kind === EntryKind.PTX && entry.capability > capability)) continue;
    if (entry.kind !== EntryKind.PTX && entry.kind !== EntryKind.CUBIN) {
      throw broken(`it has an entry of the kind [${entry.kind}], whose memory is not known`);
    }
    const inner = entry.unpack();
    if (entry.kind === EntryKind.CUBIN && imageFormat(inner) !== "cubin") throw broken("an entry is no cubin");
    const content = entry.kind === EntryKind.PTX ? readPtx(inner) : readCubin(inner);
    byteCount = Math.max(byteCount, content.byteCount);
    for (const name of content.variables) variables.add(name);
  }
  return { byteCount, variables: [...variables] };
}

/**
 * What is in an image of a single input. `capability`: the device's, as major * 10 + minor.
 * @throws SluiceError BAD_IMAGE for what cannot be read.
 */
export function readImageContent(image: Uint8Array, capability: number): ImageContent {
  const format = imageFormat(image);
  if (format === "ptx") return readPtx(image);
  return format === "cubin" ? readCubin(image) : readFatbin(image, capability);
}
