/** The simulator in small: its worlds hold, equal seeds give equal runs, and every planted bug is found. */
import { describe, expect, it } from "vitest";
import { hunt, parseSeed, simulate } from "../sim/main.ts";
import { canaries, plans } from "../sim/plans.ts";
import { rounds } from "../support/rounds.ts";

const SEED = 20_261_122;
/** Of the world whose shares must come near their weights it takes so many. */
const FAIR_EVENTS = 20_000;

describe("the simulator", () => {
  it.each(Object.keys(plans) as (keyof typeof plans)[])("runs the world '%s' without a broken invariant", (name) => {
    expect(simulate(name, { seed: SEED, events: name === "fair" ? FAIR_EVENTS : rounds(8_000) })).toContain(
      `${name}: `,
    );
  });

  it("replays a run from its seed", () => {
    const digest = (seed: number): string | undefined =>
      /digest (\d+)/.exec(simulate("everything", { seed, events: 2_000 }))?.[1];
    expect(digest(SEED)).toBe(digest(SEED));
    expect(digest(SEED)).not.toBe(digest(SEED + 1));
  });

  it.each(canaries.map((canary) => [canary.bug, canary] as const))("finds the planted bug '%s'", (_, canary) => {
    // The pool keeps books of its own, which may be the first to say so.
    expect(hunt(canary, SEED)).toMatch(/Invariant broken|thousandths of its time left/);
  });

  it("takes a number or a commit's hash as its seed", () => {
    expect([parseSeed("17"), parseSeed("deadbeefcafe")]).toEqual([17, 0xdeadbeef]);
    expect(() => parseSeed("zebra")).toThrow("neither a number nor a hash");
  });
});
