/** The allocator of a slice, against a model of its holes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Arena } from "../../client/arena.ts";
import { SluiceError } from "../../shared/errors.ts";

const BASE = 0x6000_0000_0000;
const MiB = 1024 * 1024;
const arenaOf = (totalBytes: number, granularityBytes = 1): Arena =>
  new Arena({ base: BASE, totalBytes, granularityBytes });

function errorOf(work: () => unknown): SluiceError {
  try {
    work();
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error("Nothing was thrown.");
}

describe("the arena", () => {
  it("gives the whole slice as one buffer, and again after it is freed", () => {
    const arena = arenaOf(MiB);
    for (let round = 0; round < 3; round++) {
      expect(arena.allocate(MiB)).toBe(BASE);
      expect(arena.freeBytes).toBe(0);
      arena.free(BASE);
    }
    expect(arena.freeBytes).toBe(MiB);
  });

  it("gives the last bytes of a slice that is no multiple of the alignment", () => {
    const arena = arenaOf(1000);
    const first = arena.allocate(768);
    expect(first).toBe(BASE);
    expect(arena.allocate(232)).toBe(BASE + 768);
    expect(errorOf(() => arena.allocate(1)).code).toBe("OUT_OF_MEMORY");
  });

  it("aligns to 256 bytes, or to the granularity where that is more", () => {
    const small = arenaOf(MiB);
    small.allocate(1);
    expect(small.allocate(1) - BASE).toBe(256);
    const coarse = arenaOf(8 * MiB, 2 * MiB);
    coarse.allocate(1);
    expect(coarse.allocate(1) - BASE).toBe(2 * MiB);
    expect(coarse.freeBytes).toBe(4 * MiB);
  });

  it("takes the smallest hole that fits, not the first", () => {
    const arena = arenaOf(MiB);
    const [large, , small, rest] = [4096, 256, 1024, 256].map((bytes) => arena.allocate(bytes)) as [
      number,
      number,
      number,
      number,
    ];
    arena.free(large);
    arena.free(small);
    expect(arena.allocate(1000)).toBe(small);
    expect(arena.allocate(1025)).toBe(large);
    expect(rest).toBeGreaterThan(small);
  });

  it("says at once and with the sizes that memory is short, and whether it is only in pieces", () => {
    const arena = arenaOf(MiB);
    const blocks = Array.from({ length: 4 }, () => arena.allocate(MiB / 4));
    arena.free(blocks[0]!);
    arena.free(blocks[2]!);
    const error = errorOf(() => arena.allocate(MiB / 2));
    expect(error.code).toBe("OUT_OF_MEMORY");
    expect(error.message).toContain("[512KiB] does not fit");
    expect(error.message).toContain("slice of [1MiB]");
    expect(error.message).toContain("[512KiB] are free");
    expect(error.message).toContain("in one piece at most [256KiB]");
    arena.free(blocks[1]!);
    expect(arena.allocate(MiB / 2)).toBe(BASE);
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])("refuses a buffer of %s bytes", (bytes) => {
    const arena = arenaOf(MiB);
    expect(errorOf(() => arena.allocate(bytes)).code).toBe("BAD_ARGUMENT");
    expect(arena.freeBytes).toBe(MiB);
  });

  it("takes the freeing of what is not allocated for a programmer's error", () => {
    const arena = arenaOf(MiB);
    const address = arena.allocate(10);
    arena.free(address);
    expect(() => arena.free(address)).toThrow(/no allocation/);
    expect(() => arena.free(BASE + 256)).toThrow(/no allocation/);
  });

  it("grows at its end, into the hole there or behind what is in use", () => {
    const arena = arenaOf(MiB);
    const first = arena.allocate(MiB / 2);
    arena.grow(2 * MiB);
    expect([arena.totalBytes, arena.freeBytes, arena.largestFreeBytes]).toEqual([2 * MiB, 1.5 * MiB, 1.5 * MiB]);
    const second = arena.allocate(1.5 * MiB);
    expect(second).toBe(BASE + MiB / 2);
    arena.grow(3 * MiB);
    expect(arena.allocate(MiB)).toBe(BASE + 2 * MiB);
    arena.grow(MiB);
    expect([arena.totalBytes, arena.freeBytes]).toEqual([3 * MiB, 0]);
    arena.free(second);
    arena.free(first);
    expect(arena.largestFreeBytes).toBe(2 * MiB);
  });

  it("shrinks down to the end of what is in use, and no further", () => {
    const arena = arenaOf(4 * MiB);
    const first = arena.allocate(MiB);
    const second = arena.allocate(MiB);
    expect(arena.usedBytes).toBe(2 * MiB);
    expect(errorOf(() => arena.shrink(2 * MiB - 1))).toMatchObject({ code: "BAD_ARGUMENT" });
    expect(arena.totalBytes).toBe(4 * MiB);
    arena.shrink(2 * MiB);
    expect([arena.freeBytes, arena.largestFreeBytes]).toEqual([0, 0]);
    arena.free(first);
    expect(errorOf(() => arena.shrink(MiB)).code).toBe("BAD_ARGUMENT");
    arena.free(second);
    arena.shrink(MiB);
    expect([arena.totalBytes, arena.largestFreeBytes, arena.usedBytes]).toEqual([MiB, MiB, 0]);
    expect(arena.allocate(MiB)).toBe(BASE);
  });

  it("keeps its end for nobody, more or less of it, while its size changes", () => {
    const arena = arenaOf(4 * MiB);
    arena.keepEnd(MiB);
    expect([arena.totalBytes, arena.freeBytes, arena.keptBytes]).toEqual([4 * MiB, 3 * MiB, MiB]);
    expect(errorOf(() => arena.allocate(3 * MiB + 1)).code).toBe("OUT_OF_MEMORY");
    const first = arena.allocate(2 * MiB);
    expect(errorOf(() => arena.keepEnd(3 * MiB)).code).toBe("BAD_ARGUMENT");
    expect([arena.totalBytes, arena.freeBytes, arena.keptBytes]).toEqual([4 * MiB, MiB, MiB]);
    arena.keepEnd(2 * MiB);
    expect(arena.freeBytes).toBe(0);
    expect(errorOf(() => arena.shrink(3 * MiB)).code).toBe("BAD_ARGUMENT");
    arena.grow(6 * MiB);
    expect([arena.totalBytes, arena.freeBytes]).toEqual([6 * MiB, 2 * MiB]);
    arena.shrink(4 * MiB);
    arena.keepEnd(0);
    expect(arena.allocate(2 * MiB)).toBe(BASE + 2 * MiB);
    arena.free(first);
    expect(arena.freeBytes).toBe(2 * MiB);
  });

  it("holds what lies behind the last allocation for nobody, as long as somebody wants it so, and says so", () => {
    const arena = arenaOf(4 * MiB);
    const [first, second] = [arena.allocate(MiB), arena.allocate(MiB)];
    arena.free(first);
    arena.holdEnd();
    arena.holdEnd();
    expect(arena.allocate(MiB)).toBe(first);
    expect(errorOf(() => arena.allocate(256)).message).toContain("not there until a program is loaded or a stack set");
    // What comes free there is no hole.
    arena.free(second);
    expect([arena.freeBytes, arena.largestFreeBytes]).toEqual([3 * MiB, 0]);
    arena.keepEnd(MiB);
    arena.grow(5 * MiB);
    arena.leaveEnd();
    expect(errorOf(() => arena.allocate(256)).code).toBe("OUT_OF_MEMORY");
    arena.leaveEnd();
    expect(arena.allocate(3 * MiB)).toBe(second);
    expect(errorOf(() => arena.allocate(256)).message).not.toContain("until a program is loaded");
  });

  it("never hands out a byte twice, fails only when no hole fits, and is whole again at the end, whatever the order", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("allocate" as const), bytes: fc.integer({ min: 1, max: 40_000 }) }),
      fc.record({ kind: fc.constant("free" as const), pick: fc.nat() }),
      fc.record({ kind: fc.constant("hold" as const) }),
      fc.record({ kind: fc.constant("resize" as const), bytes: fc.integer({ min: 256, max: 512 * 1024 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.constantFrom(1, 64, 512, 4096), (steps, granularity) => {
        let total = 256 * 1024 + 100;
        const arena = arenaOf(total, granularity);
        const alignment = Math.max(256, granularity);
        const live: { start: number; bytes: number }[] = [];
        const holes = (): number[] => {
          const sorted = [...live].sort((a, b) => a.start - b.start);
          let at = BASE;
          const sizes = sorted.map(({ start, bytes }) => {
            const hole = start - at;
            at = Math.min(BASE + total, start + Math.ceil(bytes / alignment) * alignment);
            return hole;
          });
          return [...sizes, BASE + total - at];
        };
        let isHeld = false;
        /** Where something may go: not behind the last while the end is held. */
        const usable = (): number[] => holes().slice(0, isHeld ? -1 : undefined);
        for (const each of steps) {
          if (each.kind === "hold") {
            if (isHeld) arena.leaveEnd();
            else arena.holdEnd();
            isHeld = !isHeld;
            continue;
          }
          if (each.kind === "free") {
            const [gone] = live.splice(each.pick % Math.max(1, live.length), 1);
            if (gone !== undefined) arena.free(gone.start);
            continue;
          }
          if (each.kind === "resize") {
            const wanted = Math.ceil(each.bytes / alignment) * alignment;
            const used = Math.max(
              0,
              ...live.map(({ start, bytes }) =>
                Math.min(total, start - BASE + Math.ceil(bytes / alignment) * alignment),
              ),
            );
            expect(arena.usedBytes).toBe(used);
            if (wanted < total && used > wanted) expect(errorOf(() => arena.shrink(wanted)).code).toBe("BAD_ARGUMENT");
            else {
              arena.grow(wanted);
              arena.shrink(wanted);
              total = wanted;
            }
            continue;
          }
          const before = usable();
          try {
            const start = arena.allocate(each.bytes);
            expect(start % alignment).toBe(0);
            expect(start >= BASE && start + each.bytes <= BASE + total).toBe(true);
            for (const other of live) {
              expect(start >= other.start + other.bytes || other.start >= start + each.bytes).toBe(true);
            }
            live.push({ start, bytes: each.bytes });
          } catch (error) {
            expect((error as SluiceError).code).toBe("OUT_OF_MEMORY");
            expect(Math.max(...before)).toBeLessThan(each.bytes);
          }
          expect(arena.freeBytes).toBe(holes().reduce((sum, hole) => sum + hole, 0));
          expect(arena.largestFreeBytes).toBe(Math.max(0, ...usable()));
        }
        if (isHeld) arena.leaveEnd();
        for (const { start } of live) arena.free(start);
        expect(arena.largestFreeBytes).toBe(total);
      }),
      { numRuns: 200 },
    );
  });

  it("stays quick with a hundred thousand holes", () => {
    const arena = arenaOf(2 ** 40);
    const count = 200_000;
    const addresses = Array.from({ length: count }, () => arena.allocate(256));
    for (let index = 0; index < count; index += 2) arena.free(addresses[index]!);
    const start = performance.now();
    for (let round = 0; round < 20_000; round++) arena.free(arena.allocate(256));
    // A walk over the holes would take 20,000 x 100,000 steps: minutes.
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});
