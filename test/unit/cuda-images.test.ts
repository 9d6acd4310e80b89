/** Program images before the driver sees them: their formats, and what PTX text declares. Needs no driver. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { imageFormat } from "../../server/device/cuda/image.ts";
import { readPtxDeclarations } from "../../server/device/cuda/ptx-declarations.ts";

/** An ELF file with one section at `offset` of `bytes`. */
function elf({ offset, bytes, kind = 1 }: { offset: number; bytes: number; kind?: number }): Buffer {
  const image = Buffer.alloc(128);
  image.write("\x7fELF", "latin1");
  image.writeBigUInt64LE(64n, 40);
  image.writeUInt16LE(64, 58);
  image.writeUInt16LE(1, 60);
  image.writeUInt32LE(kind, 64 + 4);
  image.writeBigUInt64LE(BigInt(offset), 64 + 24);
  image.writeBigUInt64LE(BigInt(bytes), 64 + 32);
  return image;
}

function fatbin(bodyBytes: number): Buffer {
  const image = Buffer.alloc(16 + 32);
  image.writeUInt32LE(0xba55ed50, 0);
  image.writeUInt16LE(1, 4);
  image.writeUInt16LE(16, 6);
  image.writeBigUInt64LE(BigInt(bodyBytes), 8);
  return image;
}

describe("program images", () => {
  it("are told apart by their first bytes", () => {
    expect(imageFormat(Buffer.from("// a comment\n.version 8.0\n"))).toBe("ptx");
    expect(imageFormat(elf({ offset: 64, bytes: 64 }))).toBe("cubin");
    expect(imageFormat(fatbin(32))).toBe("fatbin");
  });

  it("may have sections without bytes in the file", () => {
    expect(imageFormat(elf({ offset: 128, bytes: 1 << 20, kind: 8 }))).toBe("cubin");
  });

  it.each([
    ["a section beyond the end", elf({ offset: 100, bytes: 29 })],
    ["a section at an absurd place", elf({ offset: 2 ** 52, bytes: 1 })],
    ["half an ELF header", elf({ offset: 64, bytes: 0 }).subarray(0, 40)],
    ["a table of sections beyond the end", elf({ offset: 64, bytes: 0 }).subarray(0, 100)],
    ["a fatbin with a missing byte", fatbin(33)],
    ["half a fatbin header", fatbin(0).subarray(0, 10)],
    ["text without a version", Buffer.from(".visible .entry k() { ret; }")],
    ["three bytes", Buffer.from("\x7fEL", "latin1")],
  ])("that are %s are refused", (_, image) => {
    expect(() => imageFormat(image)).toThrow(expect.objectContaining({ code: "BAD_IMAGE" }));
  });

  it("are cut at every byte without another outcome than a format or a refusal", () => {
    for (const image of [elf({ offset: 64, bytes: 64 }), fatbin(32)]) {
      for (let length = 0; length < image.length; length++) {
        expect(() => imageFormat(image.subarray(0, length)), `${length}`).toThrow(/image/);
      }
    }
  });
});

describe("declarations of PTX text", () => {
  it("tell the types and alignments of parameters", () => {
    const { params } = readPtxDeclarations(`.version 8.0
      .visible .entry k(.param .u32 a, .param .s64 b, .param .f16 c, .param .b32 d,
        .param .align 16 .b8 e[48], .param .u64 .ptr .global .align 4 f, .param .bf16 g, .param .u8 h) { ret; }
      .entry none { ret; }
      .entry empty() { ret; }`);
    expect(params.get("k")).toEqual([
      { alignment: 4, type: 1 },
      { alignment: 8, type: 2 },
      { alignment: 2, type: 3 },
      { alignment: 4, type: 0 },
      { alignment: 16, type: 4 },
      { alignment: 8, type: 5 },
      { alignment: 2, type: 3 },
      { alignment: 1, type: 1 },
    ]);
    expect(params.get("none")).toEqual([]);
    expect(params.get("empty")).toEqual([]);
  });

  it("tell all variables of the module, nvcc's without a name outside it too", () => {
    const found = readPtxDeclarations(`.version 8.0
      .visible .global .align 4 .u32 counter = 100;
      .visible .const .align 8 .b8 table[24] = {1, 2, 3};
      .weak .global .f64 pair[2];
      .global .align 4 .b8 hidden[256];
      .global .align 8 .u64 where = generic(hidden)+16;
      .extern .global .b8 elsewhere[1000000];
      .extern .shared .align 16 .b8 scratch[];
      .visible .func (.param .b32 r) helper(.param .b32 x) { .local .b8 depot[64]; ret; }
      .visible .entry k() { .shared .b8 tile[512]; ret; }`);
    expect(found.globals).toEqual(["counter", "table", "pair", "hidden", "where"]);
    expect(found.variableBytes).toBe(4 + 24 + 16 + 256 + 8);
  });

  it.each([
    [".global .b8 a[0x100];", 256],
    [".global .align 4 .u32 a[4U][0b10];", 32],
    [".global .u16 a, b[3] = {1, 2, 3}, c = 5, d[4];", 2 + 6 + 2 + 8],
    [".global .s32 a[] = {1, 2};", 0],
    [".global .b8 a[1024*1024*1024];", Number.POSITIVE_INFINITY],
    [".global .b8 a[][SIZE];", Number.POSITIVE_INFINITY],
  ])("tell how much memory the variables take, as far as the text says it: %s", (text, byteCount) => {
    expect(readPtxDeclarations(`.version 8.0\n${text}`).variableBytes).toBe(byteCount);
  });

  it("are not misled by comments, strings and braces inside them", () => {
    const found = readPtxDeclarations(`.version 8.0
      // .visible .entry commented(.param .u32 a) { ret; }
      /* .visible .global .u32 gone; */
      .file 1 "a // path { with .entry braces"
      .visible .entry real(.param .u32 a) { // }
        { .reg .b32 r; /* } */ } ret; }
      .visible .global .u32 kept;`);
    expect([...found.params.keys()]).toEqual(["real"]);
    expect(found.globals).toEqual(["kept"]);
  });

  it("tell whether a module prints", () => {
    expect(readPtxDeclarations(".extern .func (.param .b32 r) vprintf(.param .b64 a);").prints).toBe(true);
    expect(readPtxDeclarations("// vprintf\n.version 8.0").prints).toBe(false);
  });

  it("are read from what nvcc writes", () => {
    const text = readFileSync(new URL("../kernels/ptx/linear.ptx", import.meta.url), "utf8");
    const { params } = readPtxDeclarations(text);
    expect(params.get("vector_add")).toEqual([
      { alignment: 4, type: 1 },
      { alignment: 8, type: 1 },
      { alignment: 8, type: 1 },
      { alignment: 8, type: 1 },
    ]);
    expect(params.size).toBe(text.match(/\.entry\b/g)?.length);
  });

  it("never throw, whatever the text", () => {
    const text = readFileSync(new URL("../kernels/ptx/language.ptx", import.meta.url), "utf8").slice(0, 4000);
    for (let length = 0; length < text.length; length += 7) readPtxDeclarations(text.slice(0, length));
    for (const odd of ["}", "{", '"', ".entry", ".entry k(", ".global", ".global .b8 x[", "}{}{", "/*", ".param"]) {
      expect(() => readPtxDeclarations(odd)).not.toThrow();
    }
  });
});
