/** The null device by itself: sparse memory against a plain buffer, across segments and gigabytes, and its scan of PTX. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { nullDriver } from "../../server/device/null/driver.ts";
import { SparseMemory } from "../../server/device/null/memory.ts";
import { scanPtx } from "../../server/device/null/ptx-scan.ts";
import { SluiceError } from "../../shared/errors.ts";

const SEGMENT = 64 * 1024 ** 2;
/** A window over the border of two segments. */
const WINDOW_AT = SEGMENT - 128;
const WINDOW_BYTES = 256;

test("any sequence of writes, fills and copies over a segment's border agrees with a plain buffer", () => {
  const step = fc.record({
    kind: fc.constantFrom("write", "fill", "copy"),
    at: fc.nat(WINDOW_BYTES - 1),
    to: fc.nat(WINDOW_BYTES - 1),
    length: fc.nat(100),
    width: fc.constantFrom(1, 2, 4),
    value: fc.oneof(fc.constant(0), fc.nat(), fc.constant(0x01010101)),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const memory = new SparseMemory();
      const model = new Uint8Array(WINDOW_BYTES);
      for (const { kind, at, to, length, width, value } of steps) {
        const size = Math.min(length, WINDOW_BYTES - Math.max(at, to));
        if (kind === "write") {
          const data = Uint8Array.from({ length: size }, (_, index) => value + index);
          memory.write(WINDOW_AT + at, data);
          model.set(data, at);
        } else if (kind === "copy") {
          if (at !== to && Math.abs(at - to) < size) continue;
          if (at !== to) memory.copy({ destination: WINDOW_AT + to, source: WINDOW_AT + at, byteCount: size });
          model.copyWithin(to, at, at + size);
        } else {
          const start = at - (at % width);
          const byteCount = size - (size % width);
          const pattern = new Uint8Array(Uint32Array.of(value).buffer).subarray(0, width);
          memory.fill(WINDOW_AT + start, byteCount, pattern);
          for (let index = 0; index < byteCount; index++) model[start + index] = pattern[index % width]!;
        }
      }
      const bytes = new Uint8Array(WINDOW_BYTES).fill(0xff);
      memory.read(WINDOW_AT, bytes);
      expect(Buffer.from(bytes).equals(Buffer.from(model))).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test("a slice of a terabyte costs nothing until it is written, and zeroing it writes nothing", async () => {
  const [description] = await nullDriver.discover("1x1TiB");
  const arenaBase = 0x6000_0000_0000;
  const slice = await nullDriver.open({
    description: description!,
    arenaBytes: 1024 ** 4,
    arenaBase,
    kernelTimeoutMs: 0,
    onOutput: () => {},
  });
  const before = process.memoryUsage.rss();
  await slice.fill({ address: arenaBase, count: 1024 ** 4, width: 1, value: 0 }, undefined);
  await slice.write(arenaBase + 1024 ** 4 - 4, Buffer.from("last"), undefined);
  const bytes = Buffer.alloc(8, 1);
  await slice.read(arenaBase + 1024 ** 4 - 8, bytes, undefined);
  expect(bytes.toString("latin1")).toBe("\0\0\0\0last");
  expect(process.memoryUsage.rss() - before).toBeLessThan(256 * 1024 ** 2);
  await slice.close();
});

test.each(["0x1GiB", "257x1GiB", "2x", "2x5parsecs", "x1GiB", "1GiB", "2x1B", "1x2TiB", "-1x1GiB"])(
  "the SPEC null:%s is refused with a sentence",
  async (spec) => {
    await expect(nullDriver.discover(spec)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  },
);

test("no text makes the scan do anything but answer or refuse", () => {
  const word = fc.constantFrom(
    ".version 8.0",
    ".target sm_75",
    ".entry f",
    ".visible .global .f32 x[4];",
    ".param .u64 a",
    ".param .align 8 .b8 b[16]",
    "(",
    ")",
    "{",
    "}",
    ",",
    ";",
    "//",
    "/*",
    "*/",
    "\n",
    "\0",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(word, { maxLength: 40 }).map((words) => words.join(" ")),
        fc.string(),
      ),
      (text) => {
        try {
          scanPtx(Buffer.from(text));
        } catch (error) {
          expect(error).toBeInstanceOf(SluiceError);
          expect((error as SluiceError).code).toBe("BAD_IMAGE");
        }
      },
    ),
  );
});

test("a thousand entries with long parameter lists are scanned in good time", () => {
  const params = Array.from({ length: 100 }, (_, index) => `.param .u64 .ptr .global .align 16 p${index}`).join(",\n");
  const entries = Array.from({ length: 1_000 }, (_, index) => `.visible .entry k${index}(${params}) { ret; }`);
  const startedAt = performance.now();
  const { kernels } = scanPtx(Buffer.from(`.version 8.0\n.target sm_75\n${entries.join("\n")}`));
  expect(kernels[0]?.ptxVersion).toBe(75);
  expect(kernels.length).toBe(1_000);
  expect(kernels[999]).toMatchObject({ name: "k999", paramBytes: 800 });
  expect(performance.now() - startedAt).toBeLessThan(30_000);
});

test("an entry with more parameters than a launch can carry is refused", () => {
  const image = ".version 8.0\n.target sm_75\n.entry f(.param .align 8 .b8 big[40000]) { ret; }";
  expect(() => scanPtx(Buffer.from(image))).toThrow(expect.objectContaining({ code: "BAD_IMAGE" }));
});
