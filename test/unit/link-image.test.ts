/** Images of several inputs: their bytes, and what damage to them is told. */
import { describe, expect, it } from "vitest";
import { readLinkImage } from "../../server/device/link-image.ts";

/** The layout of proto/README.md: magic, size and count; of each input its kind, its size and its bytes, padded to 8. */
const image = Buffer.from(
  `534c5549 43454c4b 38000000 03000000
   01000000 03000000 6162630000000000
   02000000 08000000 3132333435363738
   04000000 00000000`.replaceAll(/\s/g, ""),
  "hex",
);

describe("an image of several inputs", () => {
  it("is read by its layout", () => {
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
