/** Quotas, idleness, resizing, preemption and explanations. */
import { describe, expect, it } from "vitest";
import { explain, findLease, listDevices, listQueue, listTenants, queuePlace } from "../../server/pool/pool.ts";
import { bytes, device, GiB, grantsOf, MiB, Scenario } from "../sim/scenario.ts";

const quietly = { heartbeatTimeoutMs: 1e9 };

describe("a quota", () => {
  it("makes a request wait for the tenant itself, and nobody waits for it", () => {
    const scenario = new Scenario([device("d")]);
    scenario.send({ kind: "tenantSet", tenant: "ada", quota: { memoryBytes: 4 * GiB } });
    scenario.lease("a", { share: bytes(3 * GiB) });
    expect(scenario.request("b", { share: bytes(2 * GiB) })).toMatchObject([
      {
        kind: "queued",
        position: 1,
        reasons: [
          { device: "", code: "QUOTA_EXCEEDED", message: "The tenant holds [3GiB], and its quota allows [4GiB]." },
        ],
      },
    ]);
    expect(grantsOf(scenario.request("c", { tenant: "bob", share: bytes(10 * GiB) }))).toEqual(["c"]);
    expect(grantsOf(scenario.end("a"))).toEqual(["b"]);
  });

  it("that holds up the first of a tenant lets the next be served as soon as the first is gone", () => {
    const scenario = new Scenario([device("d")], quietly);
    scenario.send({ kind: "tenantSet", tenant: "ada", quota: { memoryBytes: 4 * GiB } });
    scenario.lease("a", { share: bytes(3 * GiB) });
    scenario.request("b", { share: bytes(2 * GiB), waitMs: 5_000 });
    scenario.request("c", { share: bytes(2 * GiB), waitMs: 1e9 });
    expect(grantsOf(scenario.request("d", { share: bytes(GiB), waitMs: 1e9 }))).toEqual([]);
    expect(grantsOf(scenario.later(5_000))).toEqual([]);
    expect(grantsOf(scenario.send({ kind: "withdrawn", id: "c" }))).toEqual(["d"]);
  });

  it("that never allows a request refuses it, naming the quota", () => {
    const scenario = new Scenario([device("d"), device("e")]);
    const quota = { memoryBytes: 4 * GiB, devices: 1, durationMs: 60_000, priority: 2, requests: 1 };
    scenario.send({ kind: "tenantSet", tenant: "ada", quota });
    const cases = [
      [{ share: bytes(5 * GiB) }, "allows [4GiB], less than the request takes"],
      [{ share: bytes(GiB), count: 2 }, "allows [1] slices, and the request is for [2]"],
      [{ share: bytes(GiB), durationMs: 120_000 }, "allows [1m] for a lease, and the request is for [2m]"],
      [{ share: bytes(GiB), priority: 3 }, "allows [2] as priority, and the request is for [3]"],
    ] as const;
    for (const [fields, words] of cases) {
      const [no] = scenario.request("x", fields);
      expect(no).toMatchObject({ kind: "refused", code: "QUOTA_EXCEEDED", reasons: [{ code: "QUOTA_EXCEEDED" }] });
      expect(no).toHaveProperty("message", expect.stringContaining(words));
    }
    scenario.lease("a", { share: bytes(4 * GiB) });
    scenario.request("b", { share: bytes(4 * GiB) });
    expect(scenario.request("c", { share: bytes(4 * GiB) })).toMatchObject([
      { kind: "refused", code: "QUOTA_EXCEEDED" },
    ]);
  });

  it("gives its longest duration to leases that ask for none", () => {
    const scenario = new Scenario([device("d")], quietly);
    scenario.send({ kind: "tenantSet", tenant: "ada", quota: { durationMs: 60_000 } });
    expect(scenario.lease("a").endsAt).toBe(scenario.now + 60_000);
  });

  it("takes effect at once when it changes, and takes nothing away", () => {
    const scenario = new Scenario([device("d")], quietly);
    scenario.lease("a", { share: bytes(8 * GiB) });
    expect(scenario.send({ kind: "tenantSet", tenant: "ada", quota: { leases: 1 } })).toEqual([]);
    scenario.request("b", { share: bytes(GiB) });
    expect(listQueue(scenario.pool)).toHaveLength(1);
    expect(grantsOf(scenario.send({ kind: "tenantSet", tenant: "ada", quota: { leases: 2 } }))).toEqual(["b"]);
    expect(listTenants(scenario.pool)).toMatchObject([{ tenant: "ada", leases: 2, heldBytes: 9 * GiB, waiting: 0 }]);
  });

  it("lets go of what was kept for a request that it now holds up", () => {
    const scenario = new Scenario([device("d")], quietly);
    scenario.lease("a", { tenant: "bob", share: bytes(8 * GiB) });
    scenario.request("big");
    expect(scenario.pool.headRoom).toBeDefined();
    scenario.send({ kind: "tenantSet", tenant: "ada", quota: { leases: 0 } });
    expect(scenario.pool.headRoom).toBeUndefined();
    expect(grantsOf(scenario.request("small", { tenant: "bob", share: bytes(GiB) }))).toEqual(["small"]);
  });
});

describe("a weight", () => {
  it("gives a tenant turns in its proportion", () => {
    const scenario = new Scenario([device("d")], quietly);
    scenario.send({ kind: "tenantSet", tenant: "ada", weight: 3 });
    scenario.lease("z", { tenant: "zoe" });
    for (let index = 0; index < 8; index++) {
      scenario.request(`a${index}`, { tenant: "ada", waitMs: 1e9 });
      scenario.request(`b${index}`, { tenant: "bob", waitMs: 1e9 });
    }
    const firstEight = listQueue(scenario.pool)
      .slice(0, 8)
      .map((entry) => entry.request.tenant);
    expect(firstEight.filter((tenant) => tenant === "ada")).toHaveLength(6);
  });
});

describe("an idle lease", () => {
  const options = { ...quietly, idleMs: 600_000 };

  it("is warned, then ends", () => {
    const scenario = new Scenario([device("d")], options);
    scenario.lease("a");
    expect(scenario.later(539_999)).toEqual([]);
    expect(scenario.later(1)).toMatchObject([{ kind: "notice", notice: "idle", deadline: scenario.now + 60_000 }]);
    expect(scenario.later(60_000)).toMatchObject([{ kind: "end", code: "LEASE_IDLE" }]);
  });

  it("lives on when it makes a call after the warning", () => {
    const scenario = new Scenario([device("d")], options);
    scenario.lease("a");
    scenario.later(550_000);
    scenario.send({ kind: "active", id: "a", isBusy: false });
    expect(scenario.later(539_999)).toEqual([]);
    expect(scenario.later(1)).toMatchObject([{ kind: "notice", notice: "idle" }]);
  });

  it("is not idle while its kernels run", () => {
    const scenario = new Scenario([device("d")], options);
    scenario.lease("a");
    scenario.send({ kind: "active", id: "a", isBusy: true });
    expect(scenario.later(7_200_000)).toEqual([]);
    scenario.send({ kind: "active", id: "a", isBusy: false });
    expect(scenario.later(600_000).map((effect) => effect.kind)).toEqual(["notice", "end"]);
  });

  it("has its time to answer although the warning comes late", () => {
    const scenario = new Scenario([device("d")], options);
    scenario.lease("a");
    expect(scenario.jump(3_600_000)).toMatchObject([{ kind: "notice", deadline: scenario.now + 60_000 }]);
    expect(scenario.later(60_000)).toMatchObject([{ kind: "end", code: "LEASE_IDLE" }]);
  });
});

describe("a resize", () => {
  const free = (scenario: Scenario): number => listDevices(scenario.pool)[0]!.freeBytes;
  const ask = (scenario: Scenario, size: number, usedBytes = 0) =>
    scenario.send({ kind: "resizeAsked", id: "a", index: 0, bytes: size, usedBytes });

  it("that grows holds the memory at once, and gives it back when it fails", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { share: bytes(GiB) });
    expect(ask(scenario, 3 * GiB - 1)).toEqual([
      {
        kind: "resize",
        id: "a",
        slice: { index: 0, deviceId: "d", bytes: 3 * GiB, overheadBytes: 0 },
        previousBytes: GiB,
      },
    ]);
    expect(free(scenario)).toBe(13 * GiB);
    scenario.send({ kind: "resizeFailed", id: "a" });
    expect(free(scenario)).toBe(15 * GiB);
    ask(scenario, 2 * GiB);
    scenario.send({ kind: "resizeConfirmed", id: "a" });
    expect(findLease(scenario.pool, "a")?.slices[0]?.bytes).toBe(2 * GiB);
  });

  it("that shrinks frees memory only once the executor has done it", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    scenario.request("b", { share: bytes(8 * GiB) });
    ask(scenario, 8 * GiB);
    expect(free(scenario)).toBe(0);
    expect(grantsOf(scenario.send({ kind: "resizeConfirmed", id: "a" }))).toEqual(["b"]);
  });

  it("is refused below what is in use, beyond what is free, and while another is under way", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { share: bytes(4 * GiB) });
    scenario.lease("b", { share: bytes(10 * GiB) });
    expect(ask(scenario, GiB, 2 * GiB)).toMatchObject([
      { kind: "resizeRefused", code: "BAD_ARGUMENT", message: "The new size [1GiB] is less than the [2GiB] in use." },
    ]);
    expect(ask(scenario, 7 * GiB)).toMatchObject([{ kind: "resizeRefused", code: "NO_CAPACITY" }]);
    expect(ask(scenario, 17 * GiB)).toMatchObject([{ kind: "resizeRefused", code: "IMPOSSIBLE_REQUEST" }]);
    expect(ask(scenario, Number.NaN)).toMatchObject([{ kind: "resizeRefused", code: "BAD_ARGUMENT" }]);
    expect(ask(scenario, 5 * GiB)).toMatchObject([{ kind: "resize" }]);
    expect(ask(scenario, 4 * GiB)).toMatchObject([{ kind: "resizeRefused", code: "SESSION_BUSY" }]);
  });

  it("takes nothing that is kept for the first of the queue, and nothing beyond the quota", () => {
    const scenario = new Scenario([device("d")], quietly);
    scenario.lease("a", { share: bytes(GiB) });
    scenario.request("big", { tenant: "bob" });
    expect(ask(scenario, 2 * GiB)).toMatchObject([{ kind: "resizeRefused", code: "NO_CAPACITY" }]);
    scenario.send({ kind: "withdrawn", id: "big" });
    scenario.send({ kind: "tenantSet", tenant: "ada", quota: { memoryBytes: GiB } });
    expect(ask(scenario, 2 * GiB)).toMatchObject([{ kind: "resizeRefused", code: "QUOTA_EXCEEDED" }]);
  });

  it("under way when the lease ends leaves the sums right", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { share: bytes(4 * GiB) });
    ask(scenario, 6 * GiB);
    scenario.end("a");
    expect(scenario.send({ kind: "resizeConfirmed", id: "a" })).toEqual([]);
    expect(free(scenario)).toBe(16 * GiB);
  });
});

describe("preemption", () => {
  const options = { ...quietly, preemption: true, preemptionGraceMs: 10_000 };

  it("tells the youngest lease of the lowest priority to go, and grants when its memory is back", () => {
    const scenario = new Scenario([device("d"), device("e")], options);
    scenario.lease("normal");
    scenario.lease("low", { priority: -1, share: bytes(10 * GiB) });
    scenario.later(1000);
    scenario.lease("lower", { priority: -2, share: bytes(6 * GiB) });
    const effects = scenario.request("high", { priority: 1, share: bytes(6 * GiB) });
    expect(effects).toMatchObject([
      { kind: "notice", id: "lower", notice: "preempted", deadline: scenario.now + 10_000 },
      { kind: "queued", id: "high", position: 1 },
    ]);
    expect(queuePlace(scenario.pool, "high")?.startsAt).toBe(scenario.now + 10_000);
    expect(scenario.later(10_000)).toMatchObject([{ kind: "end", id: "lower", code: "LEASE_PREEMPTED" }]);
    expect(grantsOf(scenario.send({ kind: "reclaimed", id: "lower" }))).toEqual(["high"]);
    expect(findLease(scenario.pool, "low")?.endsAt).toBeUndefined();
  });

  it("leaves leases of the same priority alone, and all when it is off", () => {
    for (const preemption of [true, false]) {
      const scenario = new Scenario([device("d")], { ...options, preemption });
      scenario.lease("a", { priority: preemption ? 1 : 0 });
      expect(scenario.request("b", { priority: 1 }).map((effect) => effect.kind)).toEqual(["queued"]);
    }
  });

  it("ends nobody when that would not make enough room", () => {
    const scenario = new Scenario([device("d")], options);
    scenario.lease("low", { priority: -1, share: bytes(8 * GiB) });
    scenario.lease("same", { priority: 1, share: bytes(8 * GiB) });
    expect(scenario.request("high", { priority: 1 }).map((effect) => effect.kind)).toEqual(["queued"]);
  });
});

describe("an explanation", () => {
  it("names the leases that would have to end first", () => {
    const scenario = new Scenario([device("d"), device("e")], quietly);
    scenario.lease("long", { durationMs: 3_600_000 });
    scenario.lease("short", { durationMs: 60_000, share: bytes(10 * GiB) });
    scenario.lease("other", { durationMs: 7_200_000, share: bytes(5 * GiB) });
    const wish = { id: "x", tenant: "t", name: "", share: bytes(8 * GiB), count: 1, waitMs: 1000 };
    expect(explain(scenario.pool, wish)).toMatchObject({
      kind: "queued",
      position: 1,
      blockers: ["short"],
      startsAt: scenario.now + 60_000,
    });
    expect(listQueue(scenario.pool)).toEqual([]);
    expect(scenario.later(0)).toEqual([]);
  });
});

describe("an explanation in a large server", () => {
  it("gives a reason for every device", () => {
    const ids = Array.from({ length: 64 }, (_, index) => `d${index}`);
    const scenario = new Scenario(ids.map((id) => device(id)));
    for (const id of ids) scenario.lease(`on-${id}`, { filters: [`device.id=${id}`] });
    const share = { kind: "fraction", fraction: 1 } as const;
    const wish = { id: "w", tenant: "ada", name: "", share, count: 1, waitMs: 1000 };
    const answer = explain(scenario.pool, wish);
    expect(answer.kind === "queued" && answer.reasons.map((reason) => reason.device).sort()).toEqual(ids.sort());
  });
});

describe("use of the past", () => {
  it("counts again after a restart", () => {
    const scenario = new Scenario([device("d")], quietly);
    scenario.send({ kind: "usageRestored", tenant: "ada", byteMs: GiB * 3_600_000 });
    scenario.lease("z", { tenant: "zoe" });
    scenario.request("first", { tenant: "zoe" });
    scenario.request("a", { tenant: "ada" });
    scenario.request("b", { tenant: "bob" });
    expect(listQueue(scenario.pool).map((entry) => entry.request.id)).toEqual(["first", "b", "a"]);
    const usage = listTenants(scenario.pool).find((tenant) => tenant.tenant === "ada")?.usage;
    expect(usage).toBeCloseTo(GiB * 3_600_000, -6);
  });

  it("survives many half-lives without losing the order", () => {
    const scenario = new Scenario([device("d")], { ...quietly, usageHalfLifeMs: 1000 });
    for (let round = 0; round < 50; round++) {
      scenario.lease(`a${round}`, { tenant: "ada", share: bytes(MiB) });
      scenario.later(20_000);
      scenario.end(`a${round}`);
    }
    scenario.lease("z", { tenant: "zoe" });
    for (const [id, tenant] of [
      ["first", "zoe"],
      ["a", "ada"],
      ["b", "bob"],
    ] as const)
      scenario.request(id, { tenant });
    expect(listQueue(scenario.pool).map((entry) => entry.request.id)).toEqual(["first", "b", "a"]);
  });
});

describe("a quota and a changing inventory", () => {
  it("holds on devices that came after the request", () => {
    const scenario = new Scenario([device("small", { memoryBytes: 4 * GiB })], quietly);
    scenario.send({ kind: "tenantSet", tenant: "ada", quota: { memoryBytes: 8 * GiB } });
    scenario.lease("a", { share: { kind: "fraction", fraction: 1 } });
    scenario.request("b", { share: { kind: "fraction", fraction: 0.5 } });
    const effects = scenario.send({ kind: "deviceAdded", device: device("large", { memoryBytes: 16 * GiB }) });
    expect(grantsOf(effects)).toEqual([]);
    expect(queuePlace(scenario.pool, "b")?.reasons).toMatchObject([{ code: "QUOTA_EXCEEDED" }, { device: "small" }]);
    expect(grantsOf(scenario.end("a"))).toEqual(["b"]);
  });
});
