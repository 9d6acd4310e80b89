/** The log of sent frames against a plain list: what it keeps is what was appended, whatever was released in between. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameLog, piecesOf } from "../../shared/wire/frame-log.ts";

const KiB = 1024;

function filled(byteCount: number, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(byteCount);
  for (let at = 0; at < byteCount; at += 509) bytes[at] = at + seed;
  return bytes;
}

const joined = (pieces: Iterable<Uint8Array>): Buffer => Buffer.concat([...pieces]);

const padded = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc((8 - (bytes.byteLength % 8)) % 8)]);

describe("a log of frames", () => {
  const action = fc.oneof(
    fc.record({
      kind: fc.constant("append" as const),
      headBytes: fc.integer({ min: 2, max: 9_000 }).map((words) => words * 8),
      bulkBytes: fc.option(fc.integer({ min: 1, max: 1_200 * KiB })),
      use: fc.constantFrom("copy" as const, "lend" as const, "adopt" as const),
    }),
    fc.record({ kind: fc.constant("release" as const), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ kind: fc.constantFrom("trim" as const, "keepLent" as const) }),
  );

  it("keeps what was appended and not released, byte for byte and in order", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
        const released: Uint8Array[] = [];
        const log = new FrameLog({ freeBytesMax: 4 * 1024 * KiB, onReleased: (bulk) => released.push(bulk) });
        let kept: { mark: number; bytes: Buffer; adopted: Uint8Array | undefined; lent: Uint8Array | undefined }[] = [];
        const gone: Uint8Array[] = [];
        let mark = 0;
        for (const each of actions) {
          if (each.kind === "append") {
            const head = filled(each.headBytes, ++mark);
            const bulk = each.bulkBytes === null ? undefined : filled(each.bulkBytes, mark + 100);
            const bytes = bulk === undefined ? Buffer.from(head) : Buffer.concat([head, padded(bulk)]);
            const { use } = each;
            const frame = log.append(head, { mark, bulk, use });
            expect(joined(piecesOf(frame)).equals(bytes)).toBe(true);
            // What is copied is the caller's again.
            head.fill(0);
            if (bulk !== undefined && use === "copy") bulk.fill(0);
            kept.push({
              mark,
              bytes,
              adopted: use === "adopt" ? bulk : undefined,
              lent: use === "lend" ? bulk : undefined,
            });
          } else if (each.kind === "release") {
            const upTo = Math.floor(each.part * (mark + 1));
            log.releaseUpTo(upTo);
            for (const { adopted } of kept.filter((entry) => entry.mark <= upTo)) if (adopted) gone.push(adopted);
            kept = kept.filter((entry) => entry.mark > upTo);
          } else if (each.kind === "keepLent") {
            log.keepLent();
            for (const entry of kept) {
              entry.lent?.fill(0);
              entry.lent = undefined;
            }
          } else log.trim();
          expect(log.borrows).toBe(kept.some((entry) => entry.lent !== undefined));
          const found = [...log.entries()];
          expect(found.map((entry) => entry.mark)).toEqual(kept.map((entry) => entry.mark));
          for (const [index, { pieces }] of found.entries()) {
            expect(joined(pieces).equals(kept[index]!.bytes)).toBe(true);
          }
          expect(log.byteLength).toBe(kept.reduce((sum, { bytes }) => sum + bytes.byteLength, 0));
          expect(released).toEqual(gone);
        }
      }),
      { numRuns: 25, interruptAfterTimeLimit: 20_000 },
    );
  });

  it("takes small frames out of few pieces of memory, which it uses again", () => {
    const log = new FrameLog({ freeBytesMax: 2 * 1024 * KiB });
    const buffers = new Set<ArrayBufferLike>();
    for (let mark = 1; mark <= 20_000; mark++) {
      const frame = log.append(filled(512, mark), { mark });
      for (const piece of piecesOf(frame)) buffers.add(piece.buffer);
      log.releaseUpTo(mark - 100);
    }
    expect(buffers.size).toBeLessThanOrEqual(3);
    expect(log.byteLength).toBe(100 * 512);
  });
});
