/** Who is served when: order, passing, fair shares, and the end of every wait. */
import { describe, expect, it } from "vitest";
import { listQueue, nextDeadline, queuePlace } from "../../server/pool/pool.ts";
import { bytes, device, fraction, GiB, grantsOf, Scenario } from "../sim/scenario.ts";

const order = (scenario: Scenario): string[] => listQueue(scenario.pool).map((entry) => entry.request.id);

describe("a waiting request", () => {
  it("is told its position and why, and is granted when there is room", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    expect(scenario.request("b")).toEqual([
      {
        kind: "queued",
        id: "b",
        position: 1,
        reasons: [
          {
            device: "d",
            code: "NOT_ENOUGH_MEMORY",
            message: "Device [d] has [0B] free, and the request takes [16GiB].",
          },
        ],
      },
    ]);
    expect(scenario.request("c")).toMatchObject([{ kind: "queued", position: 2 }]);
    expect(grantsOf(scenario.end("a"))).toEqual(["b"]);
    expect(queuePlace(scenario.pool, "c")?.position).toBe(1);
  });

  it("is refused with the reasons when its wait is over", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { detached: true, durationMs: 3_600_000 });
    scenario.request("b", { waitMs: 5000 });
    expect(nextDeadline(scenario.pool)).toBe(scenario.now + 5000);
    expect(scenario.later(4999)).toEqual([]);
    expect(scenario.later(1)).toMatchObject([
      { kind: "refused", id: "b", code: "NO_CAPACITY", reasons: [{ device: "d", code: "NOT_ENOUGH_MEMORY" }] },
    ]);
    expect(order(scenario)).toEqual([]);
  });

  it("is not queued at all when it does not wait", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    expect(scenario.request("b", { waitMs: 0 })).toMatchObject([{ kind: "refused", code: "NO_CAPACITY" }]);
  });

  it("costs nothing when it is withdrawn, and those behind move up", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { share: bytes(10 * GiB) });
    scenario.request("big", { waitMs: 3_600_000 });
    scenario.request("small", { share: bytes(4 * GiB), waitMs: 3_600_000 });
    const effects = scenario.send({ kind: "withdrawn", id: "big" });
    expect([...effects, ...scenario.later(0)].length).toBeLessThanOrEqual(1);
    expect(order(scenario)).toEqual([]);
    expect(scenario.pool.headRoom).toBeUndefined();
  });

  it("that became a lease before its withdrawal came is released", () => {
    const scenario = new Scenario([device("d")]);
    scenario.request("a");
    expect(scenario.send({ kind: "withdrawn", id: "a" })).toMatchObject([{ kind: "end", id: "a", code: "RELEASED" }]);
  });

  it("keeps its deadline when it is restored", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    scenario.request("old", { requestedAt: scenario.now - 50_000 });
    expect(listQueue(scenario.pool)[0]?.deadline).toBe(scenario.now + 10_000);
    expect(scenario.request("late", { requestedAt: scenario.now - 70_000 })).toMatchObject([
      { kind: "refused", code: "NO_CAPACITY" },
    ]);
  });

  it("is refused when the queue is full", () => {
    const scenario = new Scenario([device("d")], { queueEntriesMax: 1 });
    scenario.lease("a");
    scenario.request("b");
    expect(scenario.request("c")).toMatchObject([{ kind: "refused", code: "QUEUE_FULL" }]);
  });

  it("is refused as impossible when the only device that could serve it goes", () => {
    const scenario = new Scenario([device("small", { memoryBytes: GiB }), device("d")]);
    scenario.lease("a", { share: bytes(16 * GiB) });
    scenario.request("b", { share: bytes(16 * GiB) });
    const effects = scenario.send({ kind: "deviceRemoved", deviceId: "d", message: "It broke." });
    expect(effects).toContainEqual(expect.objectContaining({ kind: "refused", id: "b", code: "IMPOSSIBLE_REQUEST" }));
  });
});

describe("the order", () => {
  it("of one tenant is that of coming", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    for (const id of ["1", "2", "3"]) scenario.request(id);
    expect(order(scenario)).toEqual(["1", "2", "3"]);
    const granted: string[] = [];
    for (const id of ["a", "1", "2"]) granted.push(...grantsOf(scenario.end(id)));
    expect(granted).toEqual(["1", "2", "3"]);
  });

  it("takes turns between tenants, and the listing says so beforehand", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { tenant: "zoe" });
    for (const id of ["a1", "a2", "a3"]) scenario.request(id, { tenant: "ada" });
    for (const id of ["b1", "b2"]) scenario.request(id, { tenant: "bob" });
    expect(order(scenario)).toEqual(["a1", "b1", "a2", "b2", "a3"]);
  });

  it("prefers the tenant that has had less, and forgets in time", () => {
    const scenario = new Scenario([device("d")], { usageHalfLifeMs: 60_000, heartbeatTimeoutMs: 1e9 });
    scenario.lease("a", { tenant: "ada" });
    scenario.later(600_000);
    for (const [id, tenant] of [
      ["first", "zoe"],
      ["a1", "ada"],
      ["b1", "bob"],
    ] as const)
      scenario.request(id, { tenant });
    expect(order(scenario)).toEqual(["first", "b1", "a1"]);
    for (const id of ["first", "a1", "b1"]) scenario.send({ kind: "withdrawn", id });
    scenario.end("a");
    scenario.later(1_800_000);
    scenario.lease("b", { tenant: "bob" });
    scenario.later(60_000);
    scenario.end("b");
    scenario.lease("z", { tenant: "zoe" });
    for (const [id, tenant] of [
      ["second", "zoe"],
      ["b2", "bob"],
      ["a2", "ada"],
    ] as const)
      scenario.request(id, { tenant });
    expect(order(scenario)).toEqual(["second", "a2", "b2"]);
  });

  it("puts higher priorities first", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    scenario.request("normal");
    scenario.request("low", { priority: -1 });
    scenario.request("high", { priority: 5 });
    expect(order(scenario)).toEqual(["high", "normal", "low"]);
    expect(grantsOf(scenario.end("a"))).toEqual(["high"]);
  });
});

describe("a low priority", () => {
  it("moves up after a long wait, so that higher ones cannot starve it", () => {
    const scenario = new Scenario([device("d")], { heartbeatTimeoutMs: 1e9, promoteAfterMs: 600_000 });
    scenario.lease("a");
    scenario.request("low", { priority: -5, waitMs: 1e9 });
    scenario.request("high1", { priority: 5, waitMs: 1e9 });
    scenario.later(599_999);
    scenario.request("high2", { tenant: "bob", priority: 5, waitMs: 1e9 });
    expect(order(scenario)).toEqual(["high1", "high2", "low"]);
    scenario.later(1);
    expect(listQueue(scenario.pool).find((entry) => entry.request.id === "low")?.priority).toBe(5);
    expect(grantsOf(scenario.end("a"))).toEqual(["high1"]);
    // The tenant of `low` has had more than bob by now.
    expect(order(scenario)).toEqual(["high2", "low"]);
    expect(grantsOf(scenario.end("high1"))).toEqual(["high2"]);
    scenario.request("high3", { tenant: "bob", priority: 5, waitMs: 1e9 });
    expect(grantsOf(scenario.end("high2"))).toEqual(["low"]);
  });

  it("still ends its wait in time after it has moved up", () => {
    const scenario = new Scenario([device("d")], { heartbeatTimeoutMs: 1e9, promoteAfterMs: 1_000 });
    scenario.lease("a");
    scenario.request("high", { priority: 5, waitMs: 1e9 });
    scenario.request("low", { waitMs: 5_000 });
    expect(scenario.later(5_000)).toMatchObject([{ kind: "refused", id: "low", code: "NO_CAPACITY" }]);
  });
});

describe("a blocked first request", () => {
  const options = { heartbeatTimeoutMs: 1e9 };

  it("is passed by a bounded number of others that may delay it, then by none", () => {
    const scenario = new Scenario([device("d"), device("e")], { ...options, passesMax: 3 });
    scenario.lease("a", { share: bytes(9 * GiB) });
    scenario.lease("b", { share: bytes(9 * GiB) });
    scenario.request("big", { share: bytes(12 * GiB) });
    const passed: string[] = [];
    for (let index = 0; index < 8; index++)
      passed.push(...grantsOf(scenario.request(`s${index}`, { share: bytes(GiB) })));
    expect(passed).toEqual(["s0", "s1", "s2"]);
    expect(order(scenario)[0]).toBe("big");
  });

  it.each([
    ["d", 10],
    ["e", 10],
    ["f", 10],
    ["none", 30],
  ])("has those devices kept on which it starts soonest, whichever server they are of [%s]", (soonest, minutes) => {
    const servers = ["d", "e", "f"].map((id) => device(id, { server: `server-${id}`, labels: { id } }));
    const scenario = new Scenario(servers, options);
    for (const [index, id] of ["d", "e", "f"].entries()) {
      const durationMs = (id === soonest ? 10 : 30) * 60_000;
      scenario.lease(id, { filters: [`label.id=${id}`], share: bytes((8 + index) * GiB), durationMs });
    }
    scenario.request("big", { waitMs: 1e9 });
    // Where all are as soon, that which has most free.
    const kept = soonest === "none" ? "d" : soonest;
    expect(scenario.pool.headRoom?.devices.map(({ spec }) => spec.id)).toEqual([kept]);
    expect(queuePlace(scenario.pool, "big")?.startsAt).toBe(scenario.now + minutes * 60_000);
  });

  it.each([
    ["old", 4, 2],
    ["new", 2, 4],
  ])(
    "has of devices on which it starts as soon the one kept that has most free, of whatever kind [%s]",
    (kept, old, free) => {
      const kinds = [
        device("old", { server: "s", labels: { kind: "old" } }),
        device("new", { server: "t", labels: { kind: "new" }, memoryBytes: 32 * GiB }),
      ];
      const scenario = new Scenario(kinds, options);
      const lease = (kind: string, gigabytes: number) =>
        scenario.lease(kind, { filters: [`label.kind=${kind}`], share: bytes(gigabytes * GiB), durationMs: 60_000 });
      lease("old", 16 - old);
      lease("new", 32 - free);
      scenario.request("big", { share: bytes(16 * GiB), waitMs: 1e9 });
      expect(scenario.pool.headRoom?.devices.map(({ spec }) => spec.id)).toEqual([kept]);
    },
  );

  it("is passed freely by what ends before it can start", () => {
    const scenario = new Scenario([device("d")], { ...options, passesMax: 0 });
    scenario.lease("a", { share: bytes(10 * GiB), durationMs: 100_000 });
    scenario.request("big", { waitMs: 1e9 });
    expect(grantsOf(scenario.request("short", { share: bytes(GiB), durationMs: 50_000 }))).toEqual(["short"]);
    expect(grantsOf(scenario.request("long", { share: bytes(GiB), durationMs: 200_000 }))).toEqual([]);
    expect(grantsOf(scenario.request("endless", { share: bytes(GiB) }))).toEqual([]);
  });

  it("is passed freely as soon as it is known when it starts, and by what comes while the lease before it ends", () => {
    const scenario = new Scenario([device("d")], { ...options, passesMax: 0 });
    scenario.lease("a", { share: fraction(0.5) });
    scenario.request("big", { share: fraction(0.75) });
    scenario.request("before", { share: fraction(0.125) });
    expect(grantsOf(scenario.send({ kind: "released", id: "a" }))).toEqual(["before"]);
    scenario.jump(50);
    expect(grantsOf(scenario.request("meanwhile", { share: fraction(0.125) }))).toEqual(["meanwhile"]);
    expect(grantsOf(scenario.request("more", { share: fraction(0.125) }))).toEqual([]);
  });

  it("is passed freely by what fits beside it when it starts", () => {
    const scenario = new Scenario([device("d")], { ...options, passesMax: 0 });
    scenario.lease("a", { share: bytes(10 * GiB), durationMs: 100_000 });
    scenario.request("big", { share: bytes(14 * GiB), waitMs: 1e9 });
    expect(grantsOf(scenario.request("beside", { share: bytes(2 * GiB) }))).toEqual(["beside"]);
    expect(grantsOf(scenario.request("more", { share: bytes(GiB) }))).toEqual([]);
  });

  it("is passed freely on devices that it cannot use", () => {
    const scenario = new Scenario([device("d"), device("small", { memoryBytes: GiB })], { ...options, passesMax: 0 });
    scenario.lease("a", { share: bytes(16 * GiB) });
    scenario.request("big", { share: bytes(16 * GiB) });
    expect(grantsOf(scenario.request("x", { share: bytes(GiB) }))).toEqual(["x"]);
  });

  it("starts on time although small requests never stop coming", () => {
    const scenario = new Scenario([device("d"), device("e")], { ...options, passesMax: 4 });
    let next = 0;
    const small = (): void => {
      scenario.request(`s${next++}`, { share: fraction(0.25), durationMs: 100_000, waitMs: 1e9 });
    };
    for (let index = 0; index < 8; index++) small();
    scenario.request("big", { count: 2, waitMs: 1e9 });
    let startedAt = 0;
    const begun = scenario.now;
    for (let tick = 0; tick < 100 && startedAt === 0; tick++) {
      small();
      for (const effect of scenario.later(10_000)) {
        if (effect.kind !== "end") continue;
        if (grantsOf(scenario.send({ kind: "reclaimed", id: effect.id })).includes("big")) startedAt = scenario.now;
      }
    }
    expect(startedAt - begun).toBeGreaterThan(0);
    expect(startedAt - begun).toBeLessThanOrEqual(200_000);
  });
});
