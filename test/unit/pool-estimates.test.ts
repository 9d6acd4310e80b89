/** When waiting requests are served, as far as durations tell. */
import { describe, expect, it } from "vitest";
import { listQueue, queuePlace } from "../../server/pool/pool.ts";
import type { PoolRequest } from "../../server/pool/types.ts";
import { device, fraction, Scenario } from "../sim/scenario.ts";

const MINUTE = 60_000;

/** Minutes from now until each waiting request is served, by estimate. */
const starts = (scenario: Scenario): (number | undefined)[] =>
  listQueue(scenario.pool).map(({ startsAt }) => startsAt && (startsAt - scenario.now) / MINUTE);

const kept = (minutes: number, fields: Partial<PoolRequest> = {}): Partial<PoolRequest> => ({
  durationMs: minutes * MINUTE,
  detached: true,
  waitMs: 86_400_000,
  ...fields,
});

describe("an estimate", () => {
  it("follows from the ends of leases, and of the requests ahead", () => {
    const scenario = new Scenario([device("d"), device("e")]);
    scenario.lease("a", kept(10));
    scenario.lease("b", kept(30));
    for (const id of ["w", "x", "y"]) scenario.request(id, kept(15));
    expect(starts(scenario)).toEqual([10, 25, 30]);
    expect(queuePlace(scenario.pool, "x")?.startsAt).toBe(scenario.now + 25 * MINUTE);
  });

  it("counts parts of devices, and several devices at once", () => {
    const scenario = new Scenario([device("d"), device("e")]);
    for (const [index, minutes] of [10, 20, 30, 40].entries()) {
      scenario.lease(`l${index}`, kept(minutes, { share: fraction(0.5) }));
    }
    scenario.request("both", kept(5, { count: 2 }));
    scenario.request("half", kept(50, { share: fraction(0.5) }));
    scenario.request("whole", kept(5));
    // The last one is over before the first needs its device.
    expect(starts(scenario)).toEqual([40, 45, 20]);
  });

  it("ends where an end is not known, and goes on for devices that this leaves alone", () => {
    const scenario = new Scenario([device("d", { labels: { kind: "old" } }), device("e", { labels: { kind: "new" } })]);
    const on = (kind: string): Partial<PoolRequest> => ({ filters: [`label.kind=${kind}`] });
    scenario.lease("a", { ...on("old") });
    scenario.lease("b", kept(10, on("new")));
    scenario.request("w", kept(5, on("old")));
    scenario.request("x", kept(5, on("new")));
    scenario.request("y", kept(5, on("old")));
    scenario.request("z", kept(5, on("new")));
    scenario.request("any", kept(5));
    expect(starts(scenario)).toEqual([undefined, 10, undefined, 15, undefined]);
  });

  it("behind a request without a duration is not known", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", kept(10));
    scenario.request("w", { waitMs: 86_400_000 });
    scenario.request("x", kept(5));
    expect(starts(scenario)).toEqual([10, undefined]);
  });

  it("moves when leases end sooner, later, or the order changes", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", kept(10));
    scenario.request("w", kept(5));
    scenario.request("x", kept(7));
    expect(starts(scenario)).toEqual([10, 15]);
    scenario.send({ kind: "prioritySet", id: "x", priority: 1 });
    expect(listQueue(scenario.pool).map(({ request }) => request.id)).toEqual(["x", "w"]);
    expect(starts(scenario)).toEqual([10, 17]);
    scenario.send({ kind: "extended", id: "a", byMs: 10 * MINUTE });
    expect(starts(scenario)).toEqual([20, 27]);
    scenario.end("a");
    expect(starts(scenario)).toEqual([7]);
  });

  it("is given to so many only, so that a long queue costs no more than a short one", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", kept(10));
    for (let index = 0; index < 100; index++) scenario.request(`w${index}`, kept(1));
    const known = starts(scenario).filter((start) => start !== undefined);
    expect(known).toEqual(Array.from({ length: 32 }, (_, index) => 10 + index));
  });

  it("of the first is told anew as soon as a lease is told to end or a suspended one has its end again, and never lies in the past", () => {
    const scenario = new Scenario([device("d")], { heartbeatTimeoutMs: 1e9 });
    scenario.lease("a");
    scenario.request("w", kept(5));
    expect(starts(scenario)).toEqual([undefined]);
    scenario.send({ kind: "revoked", id: "a", graceMs: MINUTE, message: "Make room." });
    expect(starts(scenario)).toEqual([1]);
    scenario.send({ kind: "released", id: "a" });
    scenario.later(30_000);
    expect(starts(scenario)).toEqual([0]);
    scenario.send({ kind: "reclaimed", id: "a" });
    scenario.send({ kind: "grantConfirmed", id: "w" });
    scenario.send({ kind: "suspendAsked", id: "w", message: "A pause.", byAdmin: false });
    scenario.send({ kind: "parked", id: "w", savedBytes: 1 });
    scenario.send({ kind: "resumeAsked", id: "w" });
    scenario.request("x", kept(5));
    expect(starts(scenario)).toEqual([undefined]);
    scenario.send({ kind: "unparked", id: "w" });
    expect(starts(scenario)).toEqual([5]);
  });

  it("changes nothing that is decided", () => {
    const scenario = new Scenario([device("d"), device("e")]);
    scenario.lease("a", kept(10));
    scenario.lease("b", kept(20));
    scenario.request("w", kept(5, { count: 2 }));
    scenario.request("x", kept(5));
    const before = scenario.pool.headRoom;
    starts(scenario);
    expect(scenario.pool.headRoom).toEqual(before);
    expect([...scenario.pool.devices.values()].map(({ withheld }) => withheld)).toEqual([true, true]);
  });
});
