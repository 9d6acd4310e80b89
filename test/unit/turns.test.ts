/** Turns of the leases on one device, by the rule alone: in a time of its own, with executors that die, stop, rest and come late. */
import { describe, expect, it } from "vitest";
import { TURN_MS, TURN_SLOTS, Turns } from "../../server/executor/turns.ts";
import { TurnTakers } from "../support/turn-takers.ts";

/** Parts of device time within so much of those wanted; the rest is lost between turns. */
function expectParts(parts: readonly number[], wanted: readonly number[], within = 0.02): void {
  for (const [index, part] of parts.entries()) expect(Math.abs(part - wanted[index]!)).toBeLessThan(within);
}

const splits = [
  [100, 900],
  [250, 750],
  [500, 500],
  [200, 300, 500],
  [50, 50, 900],
] as const;

describe("leases that always have work", () => {
  it.each(splits.flatMap((split) => [0.1, 1, 10].map((kernelMs) => [split, kernelMs] as const)))(
    "get their parts [%s] with kernels of %s ms",
    (split, kernelMs) => {
      const device = new TurnTakers();
      for (const compute of split) device.add({ compute, kernelMs });
      device.run(1_000);
      const wanted = split.map((compute) => compute / 1_000);
      expectParts(device.parts(2_000), wanted, kernelMs < 1 ? 0.06 : 0.02);
      const { takers } = device;
      const sum = takers.reduce((all, { usedMs }) => all + usedMs, 0);
      for (const [index, { usedMs }] of takers.entries())
        expect(Math.abs(usedMs / sum - wanted[index]!)).toBeLessThan(0.01);
    },
  );

  it("get their parts where one has kernels a hundred times as long", () => {
    const device = new TurnTakers();
    device.add({ compute: 300, kernelMs: 30 });
    device.add({ compute: 700, kernelMs: 0.3 });
    device.run(1_000);
    expectParts(device.parts(4_000), [0.3, 0.69], 0.02);
  });

  it("get their parts where their executors take their time between kernels", () => {
    const device = new TurnTakers();
    device.add({ compute: 250, kernelMs: 10, betweenMs: 1 });
    device.add({ compute: 750, kernelMs: 10, betweenMs: 1 });
    device.run(1_000);
    expectParts(device.parts(4_000), [0.25 / 1.1, 0.75 / 1.1], 0.03);
  });

  it("share what is promised to nobody in equal parts", () => {
    const device = new TurnTakers();
    for (const compute of [400, 0, 0]) device.add({ compute, kernelMs: 1 });
    device.run(1_000);
    expectParts(device.parts(2_000), [0.4, 0.3, 0.3]);
  });

  it("have a hundredth together where all is promised, and nobody starves", () => {
    const device = new TurnTakers();
    for (const compute of [500, 500, 0, 0]) device.add({ compute, kernelMs: 1 });
    device.run(1_000);
    expectParts(device.parts(4_000), [0.49, 0.49, 0.005, 0.005], 0.01);
    for (const { usedMs } of device.takers) expect(usedMs).toBeGreaterThan(0);
  });

  it("have no turns where nobody was promised anything, and run as they come", () => {
    const device = new TurnTakers();
    const [a, b] = [device.add({ compute: 0, kernelMs: 1 }), device.add({ compute: 0, kernelMs: 1 })];
    device.run(100);
    expect([a.isOpen, b.isOpen, a.waitedMsMax, b.waitedMsMax]).toEqual([true, true, 0, 0]);
  });

  it("wait no longer than a turn of each other, a long kernel aside", () => {
    const device = new TurnTakers();
    device.add({ compute: 250, kernelMs: 0.5 });
    device.add({ compute: 250, kernelMs: 0.5 });
    device.add({ compute: 500, kernelMs: 0.5 });
    device.run(1_000);
    device.parts(2_000);
    for (const { waitedMsMax } of device.takers) expect(waitedMsMax).toBeLessThan(5 * TURN_MS);
  });
});

describe("idle time", () => {
  it("is others', at once", () => {
    const device = new TurnTakers();
    device.add({ compute: 900, kernelMs: 1, restMs: 1e9 });
    device.add({ compute: 100, kernelMs: 1 });
    expectParts(device.parts(1_000), [0, 1]);
  });

  it("is not saved up: who comes late gets its part from then on, and at once", () => {
    const device = new TurnTakers();
    device.add({ compute: 100, kernelMs: 1 });
    const late = device.add({ compute: 900, kernelMs: 1, startsAt: 5_000 });
    device.run(5_000);
    expectParts(device.parts(500), [0.1, 0.9]);
    expect(late.waitedMsMax).toBeLessThan(3 * TURN_MS);
  });

  it("costs a lease that worked alone nothing when another comes", () => {
    const device = new TurnTakers();
    device.add({ compute: 100, kernelMs: 5 });
    device.add({ compute: 100, kernelMs: 5, startsAt: 3_000 });
    device.run(3_000);
    expectParts(device.parts(1_000), [0.5, 0.5], 0.03);
  });

  it("between the calls of a client that answers soon is its own, so that it gets its part", () => {
    const device = new TurnTakers();
    device.add({ compute: 800, kernelMs: 0.2, restMs: 0.1 });
    device.add({ compute: 200, kernelMs: 1 });
    device.run(1_000);
    const [soon, steady] = device.parts(2_000);
    // Two thirds of the time in which it has the turn it works.
    expect(soon).toBeGreaterThan(0.8 * (2 / 3) - 0.03);
    expect(steady).toBeGreaterThan(0.18);
  });

  it("of a client that takes its time is used by who waits", () => {
    const device = new TurnTakers();
    const small = device.add({ compute: 500, kernelMs: 0.1, restMs: 5 });
    device.add({ compute: 500, kernelMs: 1 });
    device.run(1_000);
    expect(device.parts(2_000)[1]).toBeGreaterThan(0.95);
    expect(small.waitedMsMax).toBeLessThan(TURN_MS + 1.5);
  });
});

describe("a kernel of a second", () => {
  it("is paid back afterwards by who was promised a tenth", () => {
    const device = new TurnTakers();
    device.add({ compute: 100, kernelMs: 1_000 });
    device.add({ compute: 900, kernelMs: 1 });
    device.run(1_500);
    expectParts(device.parts(20_000), [0.1, 0.9], 0.01);
  });
});

describe("an executor that dies", () => {
  it("with the turn loses it to the others within two looks", () => {
    const device = new TurnTakers();
    const dying = device.add({ compute: 500, kernelMs: 1_000 });
    const other = device.add({ compute: 500, kernelMs: 1, startsAt: 100 });
    device.run(3_000);
    while (!dying.turns.isBusy(dying.slot)) device.run(1);
    dying.isDead = true;
    const { usedMs } = other;
    device.run(40);
    expect(other.usedMs - usedMs).toBeGreaterThan(15);
    expect(device.parts(1_000)[1]).toBeGreaterThan(0.97);
  });

  it("while it waits is passed over, and its slot is another's", () => {
    const device = new TurnTakers();
    const first = device.add({ compute: 300, kernelMs: 1 });
    const dying = device.add({ compute: 400, kernelMs: 1 });
    device.add({ compute: 300, kernelMs: 1 });
    device.run(100);
    dying.isDead = true;
    device.run(100);
    expectParts(device.parts(1_000), [0.5, 0, 0.5], 0.02);
    expect(device.add({ compute: 400, kernelMs: 1 }).slot).toBe(dying.slot);
    expect(first.isOpen).toBe(false);
    device.run(100);
    expectParts(device.parts(1_000), [0.3, 0, 0.3, 0.4], 0.02);
  });

  it("and stands still with the turn is passed after a second", () => {
    const device = new TurnTakers();
    const stopped = device.add({ compute: 500, kernelMs: 5 });
    device.add({ compute: 500, kernelMs: 5 });
    device.run(100);
    while (!stopped.turns.isBusy(stopped.slot)) device.run(0.5);
    stopped.isStopped = true;
    device.run(1_100);
    expect(device.parts(1_000)[1]).toBeGreaterThan(0.97);
    stopped.isStopped = false;
    device.run(1_000);
    expectParts(device.parts(1_000), [0.5, 0.5], 0.03);
  });
});

describe("the policy", () => {
  it("fixed holds every lease to its part, also while the others idle", () => {
    const device = new TurnTakers("fixed");
    device.add({ compute: 250, kernelMs: 0.5 });
    device.add({ compute: 500, kernelMs: 0.5, startsAt: 4_000 });
    device.add({ compute: 0, kernelMs: 0.5, startsAt: 6_000 });
    device.run(1_000);
    expectParts(device.parts(2_000), [0.25, 0, 0], 0.01);
    device.run(1_500);
    expectParts(device.parts(1_000), [0.25, 0.5, 0], 0.02);
    device.run(1_000);
    expectParts(device.parts(2_000), [0.25, 0.5, 0.25], 0.02);
  });

  it("fixed lets nobody save up what it has not used", () => {
    const device = new TurnTakers("fixed");
    device.add({ compute: 500, kernelMs: 1, restMs: 20_000 });
    device.add({ compute: 500, kernelMs: 1, startsAt: 10_000 });
    device.run(10_000);
    expectParts(device.parts(500), [0, 0.5], 0.02);
  });

  it("best-effort lets all work begin as it comes", () => {
    const device = new TurnTakers("best-effort");
    const [a, b] = [device.add({ compute: 100, kernelMs: 1 }), device.add({ compute: 900, kernelMs: 1 })];
    device.run(100);
    expect([a.isOpen, b.isOpen]).toEqual([true, true]);
  });

  it("may change while leases work", () => {
    const device = new TurnTakers("fixed");
    device.add({ compute: 100, kernelMs: 1 });
    device.add({ compute: 300, kernelMs: 1 });
    device.run(3_000);
    device.policy = "guaranteed";
    device.run(500);
    expectParts(device.parts(1_000), [0.25, 0.75]);
    device.policy = "fixed";
    device.run(1_000);
    expectParts(device.parts(1_000), [0.1, 0.3]);
  });
});

describe("a slot", () => {
  it("is kept for its lease, with what it owes", () => {
    const device = new TurnTakers();
    const greedy = device.add({ compute: 100, kernelMs: 1_000 }, 99n);
    device.add({ compute: 900, kernelMs: 1 });
    device.run(1_900);
    greedy.turns.leave(greedy.slot);
    greedy.isDead = true;
    const again = device.add({ compute: 100, kernelMs: 1 }, 99n);
    expect(again.slot).toBe(greedy.slot);
    expect(device.parts(1_000)[2]).toBeLessThan(0.01);
  });

  it("is there for as many leases as a page has, and then for no more", () => {
    const device = new TurnTakers();
    for (let count = 0; count < TURN_SLOTS; count++) device.add({ compute: 1, kernelMs: 1 });
    expect(new Set(device.takers.map(({ slot }) => slot)).size).toBe(TURN_SLOTS);
    expect(() => device.add({ compute: 1, kernelMs: 1 })).toThrow("no slot");
    device.takers[7]!.isDead = true;
    expect(device.add({ compute: 1, kernelMs: 1 }).slot).toBe(7);
  });

  it("may be full of nonsense, and nobody hangs", () => {
    const memory = new ArrayBuffer(20 * 1024);
    const words = new Int32Array(memory);
    for (let seed = 1; seed < 200; seed++) {
      let state = seed;
      for (let at = 0; at < words.length; at++) words[at] = state = Math.imul(state, 1_103_515_245) + 12_345;
      words[0] = seed % 3;
      const turns = new Turns({ memory, owner: { pid: 5, started: 1 }, isThere: () => false, onRing: () => {} });
      const slot = turns.join({ lease: 1n, compute: 100 }, 0);
      if (slot === undefined) continue;
      for (let now = 0; now < 3_000; now += 10) {
        if (!turns.isOpen(slot) && turns.take(slot, now) === 0) turns.done(slot, 1, now);
        turns.rest(slot, now);
      }
      turns.leave(slot);
    }
  });
});
