/** The pool's data structures against the plainest models of them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Deadlines } from "../../server/pool/deadlines.ts";
import { OrderedTree } from "../../server/pool/ordered-tree.ts";

describe("an ordered tree", () => {
  const weigh = (item: number): number => item % 7;
  const operations = fc.array(fc.record({ item: fc.nat(60), add: fc.boolean() }), { maxLength: 200 });

  it("answers as a sorted array does", () => {
    fc.assert(
      fc.property(operations, fc.nat(60), fc.nat(200), (steps, probe, limit) => {
        const tree = new OrderedTree<number>((a, b) => a - b, weigh);
        let model: number[] = [];
        for (const { item, add } of steps) {
          if (add === model.includes(item)) continue;
          if (add) tree.insert(item);
          else tree.remove(item);
          model = add ? [...model, item].sort((a, b) => a - b) : model.filter((other) => other !== item);
        }
        expect([...tree]).toEqual(model);
        expect([...tree.backwards()]).toEqual([...model].reverse());
        expect([tree.first(), tree.last(), tree.size]).toEqual([model[0], model.at(-1), model.length]);
        expect(tree.ceiling((item) => item >= probe)).toBe(model.find((item) => item >= probe));
        let ahead = 0;
        let leading = 0;
        for (const [index, item] of model.entries()) {
          expect(tree.rank(item)).toBe(index);
          expect(tree.weightBefore(item)).toBe(ahead);
          if (ahead < limit) leading++;
          ahead += weigh(item);
        }
        expect(tree.weight).toBe(ahead);
        expect(tree.countLeading((weight) => weight < limit)).toBe(leading);
      }),
    );
  });

  it("stays shallow when items come in order", () => {
    let comparisons = 0;
    const tree = new OrderedTree<number>((a, b) => {
      comparisons++;
      return a - b;
    });
    for (let item = 0; item < 100_000; item++) tree.insert(item);
    comparisons = 0;
    for (let item = 0; item < 1000; item++) tree.rank(item * 97);
    expect(comparisons / 1000).toBeLessThan(2.5 * Math.log2(100_000));
  });

  it("refuses an item twice and one that it does not have", () => {
    const tree = new OrderedTree<number>((a, b) => a - b);
    tree.insert(1);
    expect(() => tree.insert(1)).toThrow("has the item already");
    expect(() => tree.remove(2)).toThrow("does not have the item");
    expect(() => tree.rank(2)).toThrow("does not have the item");
  });
});

describe("deadlines", () => {
  it("come out in the order of their times, then in that of their coming, without the cancelled ones", () => {
    const entries = fc.array(fc.record({ at: fc.nat(20), cancelled: fc.boolean() }), { maxLength: 100 });
    fc.assert(
      fc.property(entries, (list) => {
        const deadlines = new Deadlines<number>();
        const added = list.map(({ at }, index) => deadlines.add(at, index));
        for (const [index, { cancelled }] of list.entries()) {
          if (cancelled) deadlines.cancel(added[index]);
          if (cancelled) deadlines.cancel(added[index]);
        }
        const expected = list.map((entry, index) => ({ ...entry, index })).filter((entry) => !entry.cancelled);
        expected.sort((a, b) => a.at - b.at || a.index - b.index);
        expect(deadlines.next()).toBe(expected[0]?.at);
        for (const { at, index } of expected) {
          expect(deadlines.due(at - 1)).toBeUndefined();
          expect(deadlines.due(at)).toBe(index);
        }
        expect(deadlines.size).toBe(0);
      }),
    );
  });
});
