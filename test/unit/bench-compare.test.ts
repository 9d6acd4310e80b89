/** What takes turns with what, and what a bar is held against. */
import { expect, test } from "vitest";
import { barsBeside, compare } from "../../bench/measure/stand.ts";

/** A measurement that gives these, one for each turn, and says that it had its turn. */
const measured = (name: string, times: readonly number[], turns: string[]) => {
  let turn = 0;
  return async (): Promise<number[]> => {
    turns.push(name);
    return [times[turn++]!];
  };
};

test("a subject takes turns with both floors, and is compared with each", async () => {
  const turns: string[] = [];
  const { ratio, unpaced, floor } = await compare({
    turns: 3,
    subject: measured("subject", [20, 30, 90], turns),
    floor: measured("floor", [10, 10, 10], turns),
    unpaced: measured("unpaced", [5, 10, 10], turns),
  });
  expect(turns).toEqual(["floor", "subject", "unpaced", "floor", "subject", "unpaced", "floor", "subject", "unpaced"]);
  expect([ratio, floor.p50, unpaced.ratio, unpaced.floor.p50]).toEqual([3, 10, 4, 10]);
});

test("a bar is held against each floor, and once where there is only one", () => {
  const bar = (measured: number, floor: string) => ({ what: floor, unit: "ratio" as const, measured, atMost: 3 });
  expect(barsBeside({ plain: 2, unpaced: 4 }, bar)).toMatchObject([
    { what: "C TCP", measured: 2 },
    { what: "C TCP, unpaced", measured: 4 },
  ]);
  expect(barsBeside({ plain: 2, unpaced: 2 }, bar)).toMatchObject([{ what: "C TCP", measured: 2 }]);
});

test("where nothing is paced the one floor stands for both", async () => {
  const turns: string[] = [];
  const each = { subject: measured("subject", [6], turns), floor: measured("floor", [4], turns) };
  const { ratio, unpaced } = await compare({ turns: 1, ...each });
  expect([ratio, unpaced.ratio, turns]).toEqual([1.5, 1.5, ["floor", "subject"]]);
});
