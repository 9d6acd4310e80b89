/** Which memory is given for what is read, and when it is used again. */
import { describe, expect, it } from "vitest";
import { ReadBlocks } from "../../server/executor/read-blocks.ts";

const MiB = 1024 * 1024;

describe("a session's memory for what is read", () => {
  it("gives the blocks of one piece first, none of them twice, and each again when it is given back", () => {
    const blocks = new ReadBlocks();
    const taken = Array.from({ length: 8 }, () => blocks.take(MiB));
    expect(new Set(taken.map(({ buffer }) => buffer)).size).toBe(1);
    expect(new Set(taken.map(({ byteOffset }) => byteOffset)).size).toBe(8);
    const { byteOffset } = taken[3]!;
    blocks.give(taken[3]!);
    const again = blocks.take(40_000);
    expect([again.byteOffset, again.byteLength]).toEqual([byteOffset, 40_000]);
  });

  it("gives ordinary memory where many small answers need more blocks, and uses that again too", () => {
    const blocks = new ReadBlocks();
    const taken = Array.from({ length: 12 }, () => blocks.take(40_000));
    expect(new Set(taken.map(({ buffer }) => buffer)).size).toBe(5);
    const last = taken.at(-1)!;
    last.fill(7);
    expect([blocks.has(last), blocks.isWorthLocking(last)]).toEqual([true, false]);
    blocks.give(last);
    expect(blocks.take(MiB).buffer).toBe(last.buffer);
  });

  it("is worth page-locking once so much was read that it pays, and only what stays", () => {
    const blocks = new ReadBlocks();
    const isWorth = Array.from({ length: 20 }, () => {
      const block = blocks.take(MiB);
      const worth = blocks.isWorthLocking(block);
      blocks.give(block);
      return worth;
    });
    expect(isWorth.indexOf(true)).toBe(15);
    expect(isWorth.lastIndexOf(false)).toBe(14);
    expect(blocks.isWorthLocking(new Uint8Array(MiB))).toBe(false);
  });

  it("leaves memory from elsewhere alone", () => {
    const blocks = new ReadBlocks();
    const other = new Uint8Array(MiB);
    blocks.give(other);
    expect(blocks.has(other)).toBe(false);
    expect(blocks.take(MiB).buffer).not.toBe(other.buffer);
  });
});
