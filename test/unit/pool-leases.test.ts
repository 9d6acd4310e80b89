/** The life of a lease: what ends it, and when its memory may be used again. */
import { describe, expect, it } from "vitest";
import { findLease, listDevices, listLeases, nextDeadline } from "../../server/pool/pool.ts";
import type { StoredLease } from "../../server/pool/types.ts";
import { bytes, device, fraction, GiB, grantsOf, Scenario } from "../sim/scenario.ts";

const free = (scenario: Scenario): number =>
  listDevices(scenario.pool).reduce((sum, { freeBytes }) => sum + freeBytes, 0);

describe("memory of an ended lease", () => {
  it("is not granted again before the executor is known to be dead", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    scenario.request("b");
    expect(scenario.send({ kind: "released", id: "a" })).toEqual([
      { kind: "end", id: "a", code: "RELEASED", message: "The lease is released." },
    ]);
    expect(scenario.later(1000)).toEqual([]);
    expect(free(scenario)).toBe(0);
    const effects = scenario.send({ kind: "reclaimed", id: "a" });
    expect(effects.map((effect) => effect.kind)).toEqual(["closed", "granted"]);
    expect(grantsOf(effects)).toEqual(["b"]);
  });

  it("is free at once when the grant itself fails", () => {
    const scenario = new Scenario([device("d")]);
    scenario.request("a");
    scenario.request("b");
    expect(grantsOf(scenario.send({ kind: "grantFailed", id: "a" }))).toEqual(["b"]);
    expect(findLease(scenario.pool, "a")).toBeUndefined();
  });

  it("stays held when a failed grant is reported after its confirmation", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    expect(scenario.send({ kind: "grantFailed", id: "a" })).toEqual([]);
    expect(findLease(scenario.pool, "a")?.state).toBe("granted");
  });
});

describe("a lease ends", () => {
  it("when it is not heard of for the time-out, and not before", () => {
    const scenario = new Scenario([device("d")], { heartbeatTimeoutMs: 30_000 });
    scenario.lease("a");
    scenario.later(20_000);
    scenario.send({ kind: "heartbeat", id: "a" });
    expect(scenario.later(29_999)).toEqual([]);
    expect(scenario.later(1)).toMatchObject([{ kind: "end", id: "a", code: "LEASE_EXPIRED" }]);
  });

  it("not for missed heartbeats while the pool itself was not running", () => {
    const scenario = new Scenario([device("d")], { heartbeatTimeoutMs: 30_000 });
    scenario.lease("a");
    expect(scenario.jump(3_600_000)).toEqual([]);
    expect(scenario.later(29_999)).toEqual([]);
    expect(scenario.later(1)).toMatchObject([{ kind: "end", code: "LEASE_EXPIRED" }]);
  });

  it("after its duration, with a warning before", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { durationMs: 600_000, detached: true });
    expect(nextDeadline(scenario.pool)).toBe(scenario.now + 540_000);
    expect(scenario.later(540_000)).toEqual([
      {
        kind: "notice",
        id: "a",
        notice: "time-almost-over",
        deadline: scenario.now + 60_000,
        message: "The lease reaches its maximum duration.",
      },
    ]);
    expect(scenario.later(60_000)).toMatchObject([{ kind: "end", id: "a", code: "LEASE_TIME_OVER" }]);
  });

  it("without heartbeats only by its duration when it is detached", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { durationMs: 86_400_000, detached: true });
    expect(scenario.later(3_600_000)).toEqual([]);
  });

  it("with the code that is reported when it fails", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    const failed = {
      kind: "failed",
      id: "a",
      code: "EXECUTOR_FAILED",
      message: "The executor died [SIGKILL].",
    } as const;
    expect(scenario.send(failed)).toMatchObject([{ kind: "end", code: "EXECUTOR_FAILED" }]);
    expect(scenario.send(failed)).toEqual([]);
    expect(findLease(scenario.pool, "a")).toMatchObject({ state: "ending", endCode: "EXECUTOR_FAILED" });
  });

  it("after the grace when it is revoked, and hears of it at once", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { durationMs: 3_600_000 });
    const notice = scenario.send({ kind: "revoked", id: "a", graceMs: 5000, message: "The admin needs the device." });
    expect(notice).toMatchObject([{ kind: "notice", notice: "revoked", deadline: scenario.now + 5000 }]);
    expect(scenario.later(4999)).toEqual([]);
    expect(scenario.later(1)).toMatchObject([
      { kind: "end", code: "LEASE_REVOKED", message: "The admin needs the device." },
    ]);
  });

  it("no later than its duration whatever grace is given", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { durationMs: 1000 });
    scenario.send({ kind: "revoked", id: "a", graceMs: 5000, message: "The admin needs the device." });
    expect(scenario.later(1000)).toMatchObject([{ kind: "end", code: "LEASE_TIME_OVER" }]);
  });

  it("when its device is removed, which goes when the last lease is gone", () => {
    const scenario = new Scenario([device("d"), device("e")]);
    scenario.lease("a", { share: fraction(0.5) });
    scenario.lease("b", { share: fraction(0.5) });
    const effects = scenario.send({ kind: "deviceRemoved", deviceId: "d", message: "The device fell off the bus." });
    expect(effects).toMatchObject([
      { kind: "end", id: "a", code: "DEVICE_FAILED", message: "The device fell off the bus." },
      { kind: "end", id: "b", code: "DEVICE_FAILED" },
    ]);
    expect(scenario.send({ kind: "reclaimed", id: "a" }).map((effect) => effect.kind)).toEqual(["closed"]);
    expect(scenario.send({ kind: "reclaimed", id: "b" }).map((effect) => effect.kind)).toEqual([
      "closed",
      "deviceGone",
    ]);
    expect(listDevices(scenario.pool).map((listing) => listing.device.id)).toEqual(["e"]);
  });
});

describe("a shutdown", () => {
  it("refuses the queue and new requests, and ends leases after the grace", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    scenario.request("b");
    const effects = scenario.send({ kind: "shutdown", graceMs: 10_000 });
    expect(effects).toMatchObject([
      { kind: "refused", id: "b", code: "SHUTTING_DOWN" },
      { kind: "notice", id: "a", notice: "shutdown", deadline: scenario.now + 10_000 },
    ]);
    expect(scenario.request("c")).toMatchObject([{ kind: "refused", code: "SHUTTING_DOWN" }]);
    expect(scenario.send({ kind: "shutdown", graceMs: 10_000 })).toEqual([]);
    expect(scenario.later(10_000)).toMatchObject([{ kind: "end", id: "a", code: "LEASE_REVOKED" }]);
    scenario.send({ kind: "reclaimed", id: "a" });
    expect(listLeases(scenario.pool)).toEqual([]);
  });
});

describe("a lease of the store", () => {
  const stored: StoredLease = {
    id: "old",
    tenant: "ada",
    name: "job",
    slices: [{ index: 0, deviceId: "d", bytes: 8 * GiB, overheadBytes: 0 }],
    detached: false,
    requestedAt: 1,
    grantedAt: 2,
  };

  it("holds its slices again, and has a whole time-out to be heard of", () => {
    const scenario = new Scenario([device("d")], { heartbeatTimeoutMs: 30_000 });
    expect(scenario.send({ kind: "adopted", lease: stored })).toEqual([]);
    expect(free(scenario)).toBe(8 * GiB);
    expect(findLease(scenario.pool, "old")).toMatchObject({ state: "granted", grantedAt: 2 });
    expect(scenario.later(29_999)).toEqual([]);
    expect(scenario.later(1)).toMatchObject([{ kind: "end", code: "LEASE_EXPIRED" }]);
  });

  it("is adopted once", () => {
    const scenario = new Scenario([device("d")]);
    scenario.send({ kind: "adopted", lease: stored });
    expect(scenario.send({ kind: "adopted", lease: stored })).toEqual([]);
    expect(free(scenario)).toBe(8 * GiB);
  });

  it("ends when its device is gone, and takes nothing from the others", () => {
    const scenario = new Scenario([device("other")]);
    expect(scenario.send({ kind: "adopted", lease: stored })).toMatchObject([
      { kind: "end", id: "old", code: "LEASE_ENDED" },
    ]);
    expect(free(scenario)).toBe(16 * GiB);
    expect(scenario.send({ kind: "reclaimed", id: "old" })).toMatchObject([{ kind: "closed" }]);
  });
});

describe("an event about nothing", () => {
  it("has no effects", () => {
    const scenario = new Scenario([device("d")]);
    for (const kind of ["withdrawn", "grantConfirmed", "grantFailed", "heartbeat", "released", "reclaimed"] as const) {
      expect(scenario.send({ kind, id: "nobody" })).toEqual([]);
    }
    expect(scenario.send({ kind: "deviceRemoved", deviceId: "nothing", message: "Gone." })).toEqual([]);
  });

  it("such as a reclaim of a living lease frees nothing", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { share: bytes(GiB) });
    expect(scenario.send({ kind: "reclaimed", id: "a" })).toEqual([]);
    expect(free(scenario)).toBe(15 * GiB);
  });
});
