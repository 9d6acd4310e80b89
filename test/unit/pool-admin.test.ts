/** What an admin does to leases, devices and waiting requests, as the pool decides it. */
import { describe, expect, it } from "vitest";
import { findDevice, findLease, listQueue, queuePlace } from "../../server/pool/pool.ts";
import { device, fraction, grantsOf, Scenario } from "../sim/scenario.ts";

const waiting = (scenario: Scenario): string[] => listQueue(scenario.pool).map(({ request }) => request.id);

describe("an extension", () => {
  it("moves the end of a duration, and the warning before it", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { durationMs: 600_000, detached: true });
    const end = scenario.now + 600_000;
    expect(scenario.send({ kind: "extended", id: "a", byMs: 300_000 })).toMatchObject([
      { kind: "notice", notice: "extended", deadline: end + 300_000 },
    ]);
    expect(scenario.later(839_999)).toEqual([]);
    expect(scenario.later(1)).toMatchObject([{ kind: "notice", notice: "time-almost-over", deadline: end + 300_000 }]);
    expect(scenario.later(59_999)).toEqual([]);
    expect(scenario.later(1)).toMatchObject([{ kind: "end", code: "LEASE_TIME_OVER" }]);
  });

  it("moves the end that a revocation has set", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { detached: true, durationMs: 86_400_000 });
    scenario.send({ kind: "revoked", id: "a", graceMs: 1000, message: "off" });
    scenario.send({ kind: "extended", id: "a", byMs: 3_600_000 });
    expect(findLease(scenario.pool, "a")?.endsAt).toBe(scenario.now + 3_601_000);
    const effects = scenario.later(3_601_000);
    expect(effects.at(-1)).toMatchObject({ kind: "end", code: "LEASE_REVOKED", message: "off" });
  });

  it("changes nothing for a lease without an end, one that ends, or a server that stops", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    expect(scenario.send({ kind: "extended", id: "a", byMs: 1000 })).toEqual([]);
    expect(scenario.send({ kind: "extended", id: "none", byMs: 1000 })).toEqual([]);
    scenario.send({ kind: "released", id: "a" });
    expect(scenario.send({ kind: "extended", id: "a", byMs: 1000 })).toEqual([]);
    scenario.send({ kind: "reclaimed", id: "a" });
    scenario.lease("b", { durationMs: 60_000 });
    scenario.send({ kind: "shutdown", graceMs: 1000 });
    expect(scenario.send({ kind: "extended", id: "b", byMs: 1000 })).toEqual([]);
  });

  it("tells the first of the queue its new start", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { durationMs: 60_000 });
    scenario.request("b", { waitMs: 3_600_000 });
    scenario.send({ kind: "extended", id: "a", byMs: 60_000 });
    expect(queuePlace(scenario.pool, "b")?.startsAt).toBe(scenario.now + 120_000);
  });
});

describe("a drain", () => {
  it("closes the device, gives its leases notice, and says when it is empty", () => {
    const scenario = new Scenario([device("d"), device("e")]);
    scenario.lease("a", { share: fraction(0.5), filters: ["device.id=d"] });
    scenario.lease("b", { share: fraction(0.5), filters: ["device.id=d"] });
    scenario.lease("c", { filters: ["device.id=e"] });
    const effects = scenario.send({ kind: "deviceDrained", deviceId: "d", graceMs: 5000, message: "a new fan" });
    expect(effects).toMatchObject([
      { kind: "notice", id: "a", notice: "revoked", deadline: scenario.now + 5000, message: "a new fan" },
      { kind: "notice", id: "b", notice: "revoked", deadline: scenario.now + 5000, message: "a new fan" },
    ]);
    expect(findDevice(scenario.pool, "d")).toMatchObject({ draining: true, cordon: { code: "DEVICE_CORDONED" } });
    scenario.request("w", { share: fraction(0.5) });
    expect(scenario.end("a")).not.toContainEqual(expect.objectContaining({ kind: "deviceEmpty" }));
    expect(waiting(scenario)).toEqual(["w"]);
    expect(scenario.later(5000)).toMatchObject([{ kind: "end", id: "b", code: "LEASE_REVOKED" }]);
    expect(scenario.send({ kind: "reclaimed", id: "b" })).toContainEqual({ kind: "deviceEmpty", deviceId: "d" });
    expect(grantsOf(scenario.end("c"))).toEqual(["w"]);
  });

  it("of an empty device is over at once, and is lifted with the cordon", () => {
    const scenario = new Scenario([device("d")]);
    const drained = scenario.send({ kind: "deviceDrained", deviceId: "d", graceMs: 0, message: "" });
    expect(drained).toEqual([{ kind: "deviceEmpty", deviceId: "d" }]);
    scenario.request("a");
    expect(grantsOf(scenario.send({ kind: "deviceUncordoned", deviceId: "d" }))).toEqual(["a"]);
    expect(findDevice(scenario.pool, "d")?.draining).toBe(false);
    expect(scenario.end("a")).not.toContainEqual(expect.objectContaining({ kind: "deviceEmpty" }));
  });

  it("keeps nothing on the device for the first of the queue", () => {
    const scenario = new Scenario([device("d"), device("e")]);
    scenario.lease("a", { durationMs: 60_000, filters: ["device.id=d"] });
    scenario.lease("b", { durationMs: 120_000, filters: ["device.id=e"] });
    scenario.request("w", { waitMs: 3_600_000 });
    expect(queuePlace(scenario.pool, "w")?.startsAt).toBe(scenario.now + 60_000);
    scenario.send({ kind: "deviceDrained", deviceId: "d", graceMs: 0, message: "" });
    expect(queuePlace(scenario.pool, "w")?.startsAt).toBe(scenario.now + 120_000);
  });
});

describe("a request that an admin cancels", () => {
  it("is refused with the admin's words, and lets the next one in", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { share: fraction(0.5) });
    scenario.request("big");
    scenario.request("small", { share: fraction(0.5), tenant: "bob" });
    const effects = scenario.send({ kind: "cancelled", id: "big", message: "not today" });
    expect(effects[0]).toMatchObject({ kind: "refused", id: "big", code: "CANCELLED", message: "not today" });
    expect(scenario.pool.requests.has("big")).toBe(false);
  });

  it("must wait: a lease of its id stays", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    expect(scenario.send({ kind: "cancelled", id: "a", message: "" })).toEqual([]);
    expect(findLease(scenario.pool, "a")?.state).toBe("granted");
  });
});

describe("a new priority", () => {
  it("moves the request at once, and what was kept for it goes to the new first", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    scenario.request("b");
    scenario.request("c", { tenant: "bob" });
    expect(waiting(scenario)).toEqual(["b", "c"]);
    scenario.send({ kind: "prioritySet", id: "c", priority: 5 });
    expect(waiting(scenario)).toEqual(["c", "b"]);
    expect(scenario.pool.headRoom?.holder.request.id).toBe("c");
    expect(listQueue(scenario.pool)[0]).toMatchObject({ priority: 5, request: { priority: 5 } });
    scenario.send({ kind: "prioritySet", id: "c", priority: -5 });
    expect(waiting(scenario)).toEqual(["b", "c"]);
    expect(grantsOf(scenario.end("a"))).toEqual(["b"]);
  });

  it("that is the old one keeps for the first what it had, and serves the next when that one is cancelled", () => {
    const scenario = new Scenario([device("d")]);
    const half = (id: string) => scenario.request(id, { share: { kind: "fraction", fraction: 0.5 } });
    scenario.lease("a", { share: { kind: "fraction", fraction: 0.5 } });
    scenario.request("b");
    half("c");
    const kept = scenario.pool.headRoom;
    expect(waiting(scenario)).toEqual(["b", "c"]);
    expect(scenario.send({ kind: "prioritySet", id: "b", priority: 0 })).toEqual([]);
    expect(scenario.pool.headRoom).toMatchObject({ holder: kept?.holder, devices: kept?.devices });
    expect(grantsOf(scenario.send({ kind: "cancelled", id: "b", message: "" }))).toEqual(["c"]);
  });

  it("keeps the end of the wait", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { detached: true, durationMs: 86_400_000 });
    scenario.request("b", { waitMs: 60_000 });
    scenario.later(30_000);
    scenario.send({ kind: "prioritySet", id: "b", priority: 5 });
    expect(scenario.later(29_999)).toEqual([]);
    expect(scenario.later(1)).toMatchObject([{ kind: "refused", id: "b", code: "NO_CAPACITY" }]);
  });

  it("lets a request push aside what it could not before", () => {
    const scenario = new Scenario([device("d")], { preemption: true, preemptionGraceMs: 1000 });
    scenario.lease("a", { priority: 3 });
    scenario.request("b", { tenant: "bob" });
    const effects = scenario.send({ kind: "prioritySet", id: "b", priority: 4 });
    expect(effects).toMatchObject([{ kind: "notice", id: "a", notice: "preempted" }]);
  });
});
