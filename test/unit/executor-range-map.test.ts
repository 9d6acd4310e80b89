/** The map of ranges against a plain list as its model. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { RangeMap } from "../../server/executor/range-map.ts";

const BASE = 0x6000_0000_0000;

test("any sequence of additions, removals and look-ups agrees with a plain list", () => {
  const step = fc.record({
    kind: fc.constantFrom("add", "add", "remove", "find"),
    at: fc.nat(200),
    length: fc.integer({ min: 1, max: 12 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const map = new RangeMap();
      let model: { start: number; end: number }[] = [];
      for (const { kind, at, length } of steps) {
        const start = BASE + at;
        const end = start + length;
        if (kind === "add") {
          const free = model.every((range) => range.end <= start || range.start >= end);
          expect(map.add({ start, end })).toBe(free);
          if (free) model.push({ start, end });
        } else if (kind === "remove") {
          const found = model.find((range) => range.start === start);
          expect(map.remove(start)).toBe(found === undefined ? undefined : found.end - found.start);
          model = model.filter((range) => range !== found);
        } else {
          expect(map.endOfRangeAt(start)).toBe(model.find((range) => range.start <= start && start < range.end)?.end);
        }
        expect(map.count).toBe(model.length);
      }
    }),
  );
});

test("many ranges, added from the back to the front, are split into chunks and found again", () => {
  const map = new RangeMap();
  const count = 5_000;
  for (let index = count - 1; index >= 0; index--) {
    expect(map.add({ start: BASE + index * 512, end: BASE + index * 512 + 256 })).toBe(true);
  }
  for (let index = 0; index < count; index++) {
    expect(map.endOfRangeAt(BASE + index * 512 + 255)).toBe(BASE + index * 512 + 256);
    expect(map.endOfRangeAt(BASE + index * 512 + 256)).toBeUndefined();
    expect(map.add({ start: BASE + index * 512 + 128, end: BASE + index * 512 + 384 })).toBe(false);
  }
  for (let index = 0; index < count; index++) expect(map.remove(BASE + index * 512)).toBe(256);
  expect(map.count).toBe(0);
  expect(map.endOfRangeAt(BASE)).toBeUndefined();
});

test("the cost of an addition hardly grows with the number of ranges", () => {
  /** Of twenty rounds the shortest, in which nothing else had the processor. */
  const shortest = (count: number): number => {
    const map = new RangeMap();
    for (let index = 0; index < count; index++) map.add({ start: index * 512, end: index * 512 + 256 });
    const rounds = Array.from({ length: 20 }, (_, round) => {
      const startedAt = performance.now();
      for (let index = round * 1_000; index < (round + 1) * 1_000; index++) {
        const start = ((index * 7919) % count) * 512 + 256;
        map.add({ start, end: start + 128 });
        map.remove(start);
      }
      return performance.now() - startedAt;
    });
    return Math.min(...rounds);
  };
  shortest(1_000);
  // A hundred times the ranges: far below a hundred times the cost.
  expect(shortest(200_000)).toBeLessThan(20 * shortest(2_000) + 2);
});
