/** What takes turns with what, and what a bar is held against. */
import { expect, test } from "vitest";
import { compare } from "../../bench/measure/stand.ts";

/** A measurement that gives these, one for each turn, and says that it had its turn. */
const measured = (name: string, times: readonly number[], turns: string[]) => {
  let turn = 0;
  return async (): Promise<number[]> => {
    turns.push(name);
    return [times[turn++]!];
  };
};

test("a subject takes turns with both floors, and the faster one is what counts", async () => {
  const turns: string[] = [];
  const { ratio, unpaced, strict, floor } = await compare({
    turns: 3,
    subject: measured("subject", [20, 30, 90], turns),
    floor: measured("floor", [10, 10, 10], turns),
    unpaced: measured("unpaced", [5, 10, 10], turns),
  });
  expect(turns).toEqual(["floor", "subject", "unpaced", "floor", "subject", "unpaced", "floor", "subject", "unpaced"]);
  expect([ratio, floor.p50, unpaced.ratio, unpaced.floor.p50, strict]).toEqual([3, 10, 4, 10, 4]);
});

test("a floor that paced C beats is the one that counts", async () => {
  const turns: string[] = [];
  const each = {
    subject: measured("", [8], turns),
    floor: measured("", [4], turns),
    unpaced: measured("", [8], turns),
  };
  expect(await compare({ turns: 1, ...each })).toMatchObject({ ratio: 2, unpaced: { ratio: 1 }, strict: 2 });
});

test("where nothing is paced the one floor stands for both", async () => {
  const turns: string[] = [];
  const each = { subject: measured("subject", [6], turns), floor: measured("floor", [4], turns) };
  const { ratio, unpaced, strict } = await compare({ turns: 1, ...each });
  expect([ratio, unpaced.ratio, strict, turns]).toEqual([1.5, 1.5, 1.5, ["floor", "subject"]]);
});
