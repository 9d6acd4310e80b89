/**
 * What images take of a card outside the slice, which a tenant must not be able to hide: against files made here, and against what NVIDIA's own
 * compilers make of the same declarations, where a toolkit is installed.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readImageContent } from "../../server/device/cuda/image-content.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

interface Section {
  readonly name: string;
  readonly kind?: number;
  readonly flags?: bigint;
  readonly size: number;
  readonly alignment?: number;
  readonly bytes?: Buffer;
}

/** An ELF file of 64 bits with these sections, and with segments of these sizes in memory. */
function elf(sections: readonly Section[], segments: readonly number[] = []): Buffer {
  const names = Buffer.from(`\0${sections.map(({ name }) => name).join("\0")}\0.names\0`, "latin1");
  const all: Section[] = [...sections, { name: ".names", kind: 3, size: names.length, bytes: names }];
  const contents = Buffer.concat(all.map(({ bytes }) => bytes ?? Buffer.alloc(0)));
  const [segmentsAt, sectionsAt] = [64 + contents.length, 64 + contents.length + 56 * segments.length];
  const image = Buffer.alloc(sectionsAt + 64 * all.length);
  image.write("\x7fELF\x02\x01", "latin1");
  image.writeBigUInt64LE(BigInt(segmentsAt), 32);
  image.writeBigUInt64LE(BigInt(sectionsAt), 40);
  [56, segments.length, 64, all.length, all.length - 1].forEach((value, index) => {
    image.writeUInt16LE(value, 54 + index * 2);
  });
  contents.copy(image, 64);
  segments.forEach((size, index) => {
    image.writeUInt32LE(1, segmentsAt + index * 56);
    image.writeBigUInt64LE(BigInt(size), segmentsAt + index * 56 + 40);
  });
  let offset = 64;
  all.forEach(({ name, kind = 8, flags = 3n, size, alignment = 1, bytes }, index) => {
    const at = sectionsAt + index * 64;
    image.writeUInt32LE(names.indexOf(`\0${name}\0`) + 1, at);
    image.writeUInt32LE(kind, at + 4);
    image.writeBigUInt64LE(name === ".names" ? 0n : flags, at + 8);
    image.writeBigUInt64LE(BigInt(offset), at + 24);
    image.writeBigUInt64LE(BigInt(size), at + 32);
    image.writeBigUInt64LE(BigInt(alignment), at + 48);
    offset += bytes?.length ?? 0;
  });
  return image;
}

interface Entry {
  readonly kind: number;
  readonly capability?: number;
  readonly data: Buffer;
  readonly flags?: number;
  readonly unpackedBytes?: number;
}

function fatbin(entries: readonly Entry[]): Buffer {
  const body = entries.map(({ kind, capability = 75, data, flags = 0x11, unpackedBytes = 0 }) => {
    const header = Buffer.alloc(64);
    header.writeUInt16LE(kind, 0);
    header.writeUInt32LE(64, 4);
    header.writeBigUInt64LE(BigInt(data.length), 8);
    header.writeUInt32LE(data.length, 16);
    header.writeUInt32LE(capability, 28);
    header.writeBigUInt64LE(BigInt(flags), 40);
    header.writeBigUInt64LE(BigInt(unpackedBytes), 56);
    return Buffer.concat([header, data]);
  });
  const header = Buffer.alloc(16);
  header.writeUInt32LE(0xba55ed50, 0);
  header.writeUInt16LE(1, 4);
  header.writeUInt16LE(16, 6);
  header.writeBigUInt64LE(BigInt(Buffer.concat(body).length), 8);
  return Buffer.concat([header, ...body]);
}

const variables = (size: number): Section => ({ name: ".nv.global", size });
const small = elf([variables(MiB)]);
const large = elf([variables(GiB)]);
const bytesOf = (image: Uint8Array): number => readImageContent(image, 90).byteCount;

/** As LZ4 and Zstandard pack it without compressing: literals in one sequence, and one raw block of a single segment. */
const lz4 = (data: Buffer): Buffer => {
  const more = data.length - 15;
  const lengths = Buffer.from([...Array<number>(Math.floor(more / 255)).fill(255), more % 255]);
  return Buffer.concat([Buffer.of(0xf0), lengths, data]);
};
const zstd = (data: Buffer): Buffer => {
  const header = Buffer.alloc(12);
  header.writeUInt32LE(0xfd2fb528, 0);
  header[4] = 0xa0;
  header.writeUInt32LE(data.length, 5);
  header.writeUIntLE((data.length << 3) | 1, 9, 3);
  return Buffer.concat([header, data]);
};

describe("memory of a cubin", () => {
  it("is what its sections take: variables, first values, constants and code", () => {
    const bytes = Buffer.alloc(100);
    const loaded = { kind: 1, size: 100, bytes };
    const image = elf([
      variables(5000),
      { name: ".nv.global.init", ...loaded },
      { name: ".nv.constant3", ...loaded, flags: 2n },
      { name: ".text.k", ...loaded, flags: 6n },
      { name: ".debug_line", ...loaded, flags: 0n },
      { name: ".nv.shared.k", size: 49_152 },
    ]);
    expect(bytesOf(image)).toBe(5300);
  });

  it.each([
    ["under another name", elf([{ name: ".innocent", size: GiB }])],
    ["without the flags of memory", elf([{ ...variables(GiB), flags: 0n }])],
    ["as shared memory that no device has", elf([{ name: ".nv.shared.k", size: GiB }])],
    ["in a segment alone", elf([], [GiB])],
    ["in many small sections", elf(Array.from({ length: 1024 }, () => variables(MiB)))],
    ["by their alignment", elf([{ ...variables(1), alignment: GiB }])],
    ["with sizes whose sum passes 64 bits", elf([variables(2 ** 62), variables(2 ** 62), variables(2 ** 62)])],
    [
      "as symbols for the linker to place",
      elf([{ name: ".symtab", kind: 2, flags: 0n, size: 24, bytes: symbol(GiB) }]),
    ],
  ])("counts variables of a GiB that stand %s", (_, image) => {
    expect(bytesOf(image)).toBeGreaterThanOrEqual(GiB);
  });

  it("is refused where its headers can be read in more than one way", () => {
    const patched = (change: (image: Buffer) => void): Buffer => {
      const image = Buffer.from(elf([variables(GiB)], [1]));
      change(image);
      return image;
    };
    const broken = [
      patched((image) => image.writeUInt8(1, 4)),
      patched((image) => image.writeUInt16LE(0, 60)),
      patched((image) => image.writeUInt16LE(40, 58)),
      patched((image) => image.writeUInt16LE(32, 54)),
    ];
    for (const image of broken) expect(() => bytesOf(image)).toThrow(expect.objectContaining({ code: "BAD_IMAGE" }));
  });
});

describe("variables of binary images", () => {
  it("are the objects among a cubin's symbols", () => {
    const names = Buffer.from("\0counter\0elsewhere\0kernel\0", "latin1");
    const entry = (name: string, options: { kind: number; section: number }): Buffer => {
      const bytes = Buffer.alloc(24);
      bytes.writeUInt32LE(names.indexOf(`\0${name}\0`) + 1, 0);
      bytes.writeUInt8(0x10 | options.kind, 4);
      bytes.writeUInt16LE(options.section, 6);
      bytes.writeBigUInt64LE(4n, 16);
      return bytes;
    };
    const symbols = Buffer.concat([
      entry("counter", { kind: 1, section: 2 }),
      entry("elsewhere", { kind: 1, section: 0 }),
      entry("kernel", { kind: 2, section: 3 }),
    ]);
    const image = elf([
      { name: ".strtab", kind: 3, flags: 0n, size: names.length, bytes: names },
      { name: ".symtab", kind: 2, flags: 0n, size: symbols.length, bytes: symbols },
      variables(4),
    ]);
    expect(readImageContent(image, 90).variables).toEqual(["counter"]);
    const text = Buffer.from(".version 8.0\n.global .u32 other;");
    const both = fatbin([
      { kind: 2, data: image },
      { kind: 1, data: text },
    ]);
    expect(readImageContent(both, 90).variables).toEqual(["counter", "other"]);
  });
});

/** A symbol without a section of its own. */
function symbol(size: number): Buffer {
  const entry = Buffer.alloc(24);
  entry.writeUInt16LE(0xfff2, 6);
  entry.writeBigUInt64LE(4n, 8);
  entry.writeBigUInt64LE(BigInt(size), 16);
  return entry;
}

describe("memory of a fatbin", () => {
  it("is that of its largest entry, for the driver chooses", () => {
    expect(
      bytesOf(
        fatbin([
          { kind: 2, data: small },
          { kind: 2, data: large },
        ]),
      ),
    ).toBe(GiB);
    const text = Buffer.from(".version 8.0\n.global .b8 big[2147483648];");
    expect(
      bytesOf(
        fatbin([
          { kind: 2, data: small },
          { kind: 1, data: text },
        ]),
      ),
    ).toBe(2 * GiB);
    // PTX for a newer device is not this one's.
    expect(
      bytesOf(
        fatbin([
          { kind: 2, data: small },
          { kind: 1, capability: 100, data: text },
        ]),
      ),
    ).toBe(MiB);
    expect(
      bytesOf(
        fatbin([
          { kind: 2, data: small },
          { kind: 8, data: text },
        ]),
      ),
    ).toBe(MiB);
  });

  it.each([
    ["LZ4", 0x2011, lz4],
    ["Zstandard", 0x8011, zstd],
  ])("is seen through %s", (_, flags, pack) => {
    const entry = { kind: 2, data: pack(large), flags, unpackedBytes: large.length };
    expect(bytesOf(fatbin([entry]))).toBe(GiB);
    for (const unpackedBytes of [large.length - 1, large.length + 1, 2 ** 40]) {
      expect(() => bytesOf(fatbin([{ ...entry, unpackedBytes }]))).toThrow(/packed/);
    }
    for (let length = 1; length < entry.data.length; length += 7) {
      expect(() => bytesOf(fatbin([{ ...entry, data: entry.data.subarray(0, length) }]))).toThrow(/packed/);
    }
  });

  it("is that of all frames of Zstandard, one behind the other", () => {
    const data = Buffer.concat([zstd(large), zstd(small)]);
    const unpackedBytes = large.length + small.length;
    expect(bytesOf(fatbin([{ kind: 2, data, flags: 0x8011, unpackedBytes }]))).toBe(GiB);
    const endless = Buffer.from(zstd(large));
    endless.writeUInt32LE(0xffff_fff0, 5);
    expect(() => bytesOf(fatbin([{ kind: 2, data: endless, flags: 0x8011, unpackedBytes }]))).toThrow(/packed/);
  });

  it("is refused with entries that are not understood, or broken", () => {
    const code = { code: "BAD_IMAGE" };
    expect(() => bytesOf(fatbin([{ kind: 64, data: small }]))).toThrow(expect.objectContaining(code));
    expect(() => bytesOf(fatbin([{ kind: 2, data: Buffer.from("no cubin at all") }]))).toThrow(
      expect.objectContaining(code),
    );
    const cut = fatbin([{ kind: 2, data: small }]);
    cut.writeBigUInt64LE(2n ** 40n, 16 + 8);
    expect(() => bytesOf(cut)).toThrow(expect.objectContaining(code));
  });

  it("of nvcc's is small for small programs", () => {
    const bytes = bytesOf(readFileSync(new URL("../gpu/linear.fatbin", import.meta.url)));
    expect(bytes).toBeGreaterThan(1000);
    expect(bytes).toBeLessThan(MiB);
  });
});

const toolkit = [process.env["CUDA_HOME"], "/usr/local/cuda"].find(
  (root) => root && existsSync(join(root, "bin/ptxas")),
);
let folder: string | undefined;
afterAll(() => folder && rmSync(folder, { recursive: true, force: true }));

/** The file that a tool of the toolkit makes of a source. */
function make(tool: string, args: readonly string[], source: { name: string; text: string }): Buffer {
  folder ??= mkdtempSync(join(tmpdir(), "sluice-test-image-memory-"));
  const [file, made] = [join(folder, source.name), join(folder, "made")];
  writeFileSync(file, source.text);
  execFileSync(join(toolkit!, "bin", tool), [...args, "-o", made, file], { stdio: "pipe" });
  return readFileSync(made);
}

/** Declarations that the assembler takes, at the top of a module and in a kernel's body. */
const declarations = [
  ".global .align 4 .b8 big[16777216];",
  ".visible.global .b8 big[16777216];",
  ".global .v4 .f32 big[1048576];",
  ".global .b8 a, big[16777216], b[3];",
  ".global .b8 t[4] = {1, 2, 3, 4}, big[16777216];",
  ".global .align 128 .b8 big<131072>;",
  ".global .b8\tbig[0x1000000];",
  ".global .b64 big[02000000][4U];",
  ".common .global .align 4 .b8 big[16777216];",
];

describe.skipIf(toolkit === undefined)("memory of what NVIDIA's compilers make", () => {
  it("has all variables that a program can name", () => {
    const text = `__device__ int counter = 1; __constant__ float table[10]; static __device__ long hidden[3];
      extern "C" __global__ void touch(int i) { hidden[i] = counter + (int)table[i]; }`;
    for (const args of [
      ["-cubin", "-arch=sm_90"],
      ["-fatbin", "-arch=sm_90", "-compress-mode=size"],
    ]) {
      const found = readImageContent(make("nvcc", args, { name: "variables.cu", text }), 90).variables;
      expect(found).toEqual(expect.arrayContaining(["counter", "table", expect.stringContaining("hidden")]));
    }
  });

  it("is refused by far for a variable of a GiB in a cubin or a fatbin, packed or not", () => {
    const source = {
      name: "big.cu",
      text: '__device__ char big[1 << 30]; extern "C" __global__ void touch(int i) { big[i] = i; }',
    };
    expect(bytesOf(make("nvcc", ["-cubin", "-arch=sm_90"], source))).toBeGreaterThanOrEqual(GiB);
    expect(bytesOf(make("nvcc", ["-fatbin", "-arch=sm_90"], source))).toBeGreaterThanOrEqual(GiB);
    expect(bytesOf(make("nvcc", ["-fatbin", "-arch=sm_90", "-compress-mode=size"], source))).toBeGreaterThanOrEqual(
      GiB,
    );
    expect(bytesOf(make("nvcc", ["-ptx", "-arch=compute_90"], source))).toBe(GiB);
  });

  it.each(declarations)("is never more than PTX is counted with: %s", (declaration) => {
    for (const [outer, inner] of [
      [declaration, ""],
      ["", declaration.replace(".visible", "").replace(".common ", "")],
    ] as const) {
      const text = `.version 8.0\n.target sm_80\n.address_size 64\n.file 1 "x"\n${outer}
        .visible .entry k(.param .u64 p) {
          .loc 1 2 3
          ${inner}
          .reg .b64 %rd<4>; .reg .b32 %r<3>;
          ld.param.u64 %rd1, [p]; ld.global.u32 %r1, [%rd1]; st.global.u32 [%rd1+4], %r1;
          mov.u64 %rd2, ${declaration.includes("<") ? "big0" : "big"}; st.global.u8 [%rd2], 1; ret; }`;
      const cubin = make("ptxas", ["-arch=sm_80"], { name: "text.ptx", text });
      // Of many variables those that nothing uses are left out.
      if (!declaration.includes("<")) expect(bytesOf(cubin)).toBeGreaterThan(16 * MiB);
      // Its code is not counted in text.
      expect(bytesOf(Buffer.from(text))).toBeGreaterThanOrEqual(bytesOf(cubin) - 64 * 1024);
      expect(bytesOf(Buffer.from(text))).toBeLessThan(16 * MiB + 64 * 1024);
    }
  });
});

if (toolkit === undefined) console.warn("Skipped: there is no toolkit whose images could be measured.");
