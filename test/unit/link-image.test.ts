/** Images of several inputs: their bytes, and what damage to them is told. */
import { describe, expect, it } from "vitest";
import { LinkKind, readLinkImage, writeLinkImage } from "../../shared/link-image.ts";

const inputs = [
  { kind: LinkKind.PTX, data: Buffer.from("abc") },
  { kind: LinkKind.FATBIN, data: Buffer.from("12345678") },
  { kind: LinkKind.LIBRARY, data: Buffer.alloc(0) },
];
const image = writeLinkImage(inputs);

describe("an image of several inputs", () => {
  it("has the layout of proto/README.md", () => {
    expect(Buffer.from(image).toString("hex")).toBe(
      // Magic, size and count.
      "534c5549 43454c4b 38000000 03000000".replaceAll(" ", "") +
        // Each input: kind, size, bytes padded to 8.
        "01000000 03000000 6162630000000000".replaceAll(" ", "") +
        "02000000 08000000 3132333435363738".replaceAll(" ", "") +
        "04000000 00000000".replaceAll(" ", ""),
    );
  });

  it("is read as it was written", () => {
    expect(readLinkImage(image)!.map(({ kind, data }) => [kind, Buffer.from(data).toString()])).toEqual([
      [1, "abc"],
      [2, "12345678"],
      [4, ""],
    ]);
  });

  it("is told from all other images", () => {
    for (const other of ["", ".version 8.0", "SLUICELI and more text behind it"])
      expect(readLinkImage(Buffer.from(other))).toBeUndefined();
  });

  it("that was damaged is BAD_IMAGE, never a read behind its end", () => {
    for (let at = 8; at < image.length; at += 4) {
      for (const value of [0, 1, 5, 100, 0xffff_ffff]) {
        const damaged = Buffer.from(image);
        damaged.writeUInt32LE(value, at);
        try {
          for (const { data } of readLinkImage(damaged) ?? []) expect(data.length).toBeLessThanOrEqual(image.length);
        } catch (error) {
          expect(error).toMatchObject({ code: "BAD_IMAGE" });
        }
      }
    }
    for (let bytes = 16; bytes < image.length; bytes++) {
      expect(() => readLinkImage(image.subarray(0, bytes))).toThrow("cut short");
    }
  });
});
