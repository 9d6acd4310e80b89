/** Of several grants one is kept, and the others are given back before anybody hears of the first. */
import { expect, it } from "vitest";
import { type Contender, firstGrant, type GrantRace } from "../../client/fleet/first-grant.ts";
import { inTime } from "../support/wait-for.ts";

const returned: string[] = [];
const contender = (ask: Contender<string>["ask"]): Contender<string> => ({
  ask,
  giveBack: async (grant) => {
    await Promise.resolve();
    returned.push(grant);
  },
});

const race = (contenders: Contender<string>[], more: Partial<GrantRace<string, Contender<string>>> = {}) =>
  firstGrant<string, Contender<string>>({
    ...{ contenders, staggerMs: 0, onFailed: () => {}, onRest: () => {}, signal: undefined, ...more },
  });

/** Never grants, and gives up when it is called off. */
const waiting = contender(
  (signal) =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(new Error("Called off.")));
    }),
);

it("keeps the first of grants that come in the same breath", async () => {
  const won = await race(["a", "b", "c"].map((name) => contender(async () => name)));
  expect(won?.grant).toBe("a");
  expect(returned.splice(0)).toEqual(["b", "c"]);
});

it("does not wait for one that does not hear that it is called off, and gives back what it brings later", async () => {
  let late: (name: string) => void = () => {};
  const deaf = contender(
    () =>
      new Promise((resolve) => {
        late = resolve;
      }),
  );
  let rest: Promise<unknown> = Promise.resolve();
  const onRest = (all: Promise<unknown>): void => {
    rest = all;
  };
  const won = await inTime("the grant", race([deaf, contender(async () => "quick"), waiting], { onRest }));
  expect(won?.grant).toBe("quick");
  late("late");
  await rest;
  expect(returned.splice(0)).toEqual(["late"]);
});

it("tells what each has against it, and nothing of those that are called off", async () => {
  const failures: string[] = [];
  const onFailed = (_: unknown, error: unknown): void => {
    failures.push((error as Error).message);
  };
  const refusing = contender(() => Promise.reject(new Error("No.")));
  expect(await race([refusing, refusing], { onFailed, staggerMs: 10 })).toBeUndefined();
  expect((await race([waiting, contender(async () => "quick")], { onFailed }))?.grant).toBe("quick");
  expect(failures).toEqual(["No.", "No."]);
});

it("asks the next only when one refuses or takes its time, and nobody once it is called off", async () => {
  const asked: string[] = [];
  const asking = (name: string, grants: boolean): Contender<string> =>
    contender(async (signal) => {
      asked.push(name);
      return await (grants ? name : waiting.ask(signal));
    });
  expect((await race([asking("a", true), asking("b", true)], { staggerMs: 1_000 }))?.grant).toBe("a");
  expect((await race([asking("c", false), asking("d", true), asking("e", true)], { staggerMs: 10 }))?.grant).toBe("d");
  expect(asked).toEqual(["a", "c", "d"]);
  expect(await race([asking("f", true)], { signal: AbortSignal.abort() })).toBeUndefined();
  expect(asked).toHaveLength(3);
});
