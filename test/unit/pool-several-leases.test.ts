/** Requests for several leases at once: all on one server, all or none, each with its own share, and in nobody's way for ever. */
import { describe, expect, it } from "vitest";
import { explain, findLease, listQueue, queuePlace } from "../../server/pool/pool.ts";
import type { Effect, Lease, PoolRequest } from "../../server/pool/types.ts";
import { bytes, device, fraction, GiB, grantsOf, MiB, Scenario } from "../sim/scenario.ts";

/** The leases of the only grant among the effects. */
function leasesOf(effects: readonly Effect[]): Lease[] {
  const [grant] = effects.filter((effect) => effect.kind === "granted");
  if (grant === undefined) throw new Error("Nothing is granted.");
  return [grant.lease, ...(grant.others ?? [])];
}

const placesOf = (leases: readonly Lease[]): string[][] =>
  leases.map(({ slices }) => slices.map((one) => one.deviceId));

const wish = (fields: Partial<PoolRequest>): PoolRequest => ({
  id: "w",
  tenant: "ada",
  name: "",
  share: bytes(4 * GiB),
  count: 1,
  waitMs: 60_000,
  ...fields,
});

describe("several leases", () => {
  it("are granted at once, each with slices and overhead of its own, on as few devices as there is room", () => {
    const scenario = new Scenario([
      device("a", { overheadBytes: 512 * MiB }),
      device("b", { overheadBytes: 512 * MiB }),
    ]);
    const leases = leasesOf(scenario.request("r", { leases: 4, share: bytes(4 * GiB) }));
    expect(leases.map(({ id }) => id)).toEqual(["r", "r-2", "r-3", "r-4"]);
    expect(placesOf(leases)).toEqual([["a"], ["a"], ["a"], ["b"]]);
    const slice = { index: 0, bytes: 4 * GiB, overheadBytes: 512 * MiB };
    for (const lease of leases) expect(lease.slices).toMatchObject([slice]);
  });

  it("as parts of a device fit as often as the part says, the overhead of each inside", () => {
    const scenario = new Scenario([device("a", { overheadBytes: 300 * MiB })]);
    expect(placesOf(leasesOf(scenario.request("r", { leases: 4, share: fraction(0.25) })))).toHaveLength(4);
    expect(scenario.request("s", { leases: 5, share: fraction(0.25) })).toMatchObject([{ code: "IMPOSSIBLE_REQUEST" }]);
  });

  it("go to all devices in turn where they are to be spread", () => {
    const scenario = new Scenario([device("a"), device("b"), device("c")]);
    const leases = leasesOf(scenario.request("r", { leases: 4, share: bytes(GiB), policy: "spread" }));
    expect(placesOf(leases)).toEqual([["a"], ["a"], ["b"], ["c"]]);
  });

  it("of several slices have each slice on another device, unless they need not", () => {
    const scenario = new Scenario([device("a"), device("b"), device("c")]);
    const leases = leasesOf(scenario.request("r", { leases: 4, count: 2, share: bytes(4 * GiB) }));
    for (const [one, other] of placesOf(leases)) expect(one).not.toBe(other);
    const close = leasesOf(scenario.request("s", { leases: 2, count: 2, share: bytes(GiB), sameDevice: true }));
    expect(new Set(placesOf(close).flat()).size).toBe(1);
  });

  it("of several slices on one device are charged its overhead once for each lease, since each has one context there", () => {
    const scenario = new Scenario([device("a", { memoryBytes: 10 * GiB, overheadBytes: GiB })]);
    const wanted = { leases: 2, count: 2, share: bytes(2 * GiB), sameDevice: true } as const;
    const leases = leasesOf(scenario.request("r", wanted));
    expect(leases.map(({ slices }) => slices.map(({ overheadBytes }) => overheadBytes))).toEqual([
      [GiB, 0],
      [GiB, 0],
    ]);
    scenario.end("r");
    scenario.end("r-2");
    expect(scenario.request("s", { ...wanted, share: bytes(2 * GiB + 1) })).toMatchObject([
      { kind: "refused", code: "IMPOSSIBLE_REQUEST" },
    ]);
  });

  it("of several slices have each their own joined by NVLink, where the policy is topology", () => {
    const ring = (id: string, ...others: string[]) =>
      device(id, { links: Object.fromEntries(others.map((other) => [other, 4])) });
    const scenario = new Scenario([ring("a", "c"), ring("b", "d"), ring("c", "a"), ring("d", "b")]);
    const pairs = [
      ["a", "c"],
      ["b", "d"],
    ];
    const wanted = { leases: 2, count: 2, policy: "topology" } as const;
    const apart = scenario.request("r", { ...wanted, share: fraction(1) });
    expect(apart).toMatchObject([{ kind: "granted", warnings: [] }]);
    expect(placesOf(leasesOf(apart)).sort()).toEqual(pairs);
    for (const id of ["r", "r-2"]) {
      scenario.send({ kind: "grantConfirmed", id });
      scenario.end(id);
    }
    const beside = scenario.request("s", { ...wanted, leases: 3, share: fraction(0.5) });
    expect(beside).toMatchObject([{ kind: "granted", warnings: [] }]);
    for (const place of placesOf(leasesOf(beside))) expect(pairs).toContainEqual(place);
  });

  it("find the server whose devices are joined, and room where they are not", () => {
    const scenario = new Scenario([
      device("a0", { server: "a" }),
      device("a1", { server: "a" }),
      device("b0", { server: "b", links: { b1: 4 } }),
      device("b1", { server: "b", links: { b0: 4 } }),
    ]);
    const wanted = { leases: 2, count: 2, share: fraction(0.5), policy: "topology" } as const;
    expect(placesOf(leasesOf(scenario.request("r", wanted)))).toEqual([
      ["b0", "b1"],
      ["b0", "b1"],
    ]);
    expect(scenario.request("s", wanted)).toMatchObject([
      { kind: "granted", warnings: [expect.stringContaining("[a0, a1]")] },
    ]);
  });

  it("have room where taking the joined devices first would leave none", () => {
    const scenario = new Scenario([device("a"), device("b", { links: { c: 4 } }), device("c", { links: { b: 4 } })]);
    for (const id of ["b", "c"]) scenario.lease(`x${id}`, { share: fraction(0.5), filters: [`device.id=${id}`] });
    const leases = leasesOf(scenario.request("r", { leases: 2, count: 2, share: fraction(0.5), policy: "topology" }));
    expect(placesOf(leases).map((place) => place.sort())).toEqual([
      ["a", "b"],
      ["a", "c"],
    ]);
  });

  it("are all on one server, however much room there is elsewhere", () => {
    const scenario = new Scenario([device("a", { server: "a" }), device("b", { server: "b" })]);
    expect(scenario.request("r", { leases: 3, share: fraction(0.5) })).toMatchObject([
      { kind: "refused", code: "IMPOSSIBLE_REQUEST", reasons: [{ code: "TOO_FEW_DEVICES" }] },
    ]);
    expect(new Set(placesOf(leasesOf(scenario.request("s", { leases: 2, share: fraction(0.5) }))).flat()).size).toBe(1);
  });

  it("may be whole devices, or fixed slices, inside a reservation and outside", () => {
    const profile = { sharing: { mode: "profile", profileBytes: 4 * GiB } } as const;
    const scenario = new Scenario([device("a"), device("b"), device("p", profile)]);
    expect(placesOf(leasesOf(scenario.request("r", { leases: 2, mode: "exclusive" })))).toEqual([["a"], ["b"]]);
    scenario.send({
      kind: "reserveAsked",
      request: wish({ id: "res", count: 2, mode: "profile", share: bytes(1), sameDevice: true }),
    });
    const inside = leasesOf(
      scenario.request("s", { leases: 2, mode: "profile", share: bytes(GiB), reservation: "res" }),
    );
    expect(inside).toMatchObject([{ reservation: "res" }, { reservation: "res" }]);
    expect(scenario.request("t", { leases: 1, mode: "profile", share: bytes(GiB), reservation: "res" })).toMatchObject([
      { kind: "queued", reasons: [{ code: "RESERVATION_FULL" }] },
    ]);
    expect(placesOf(leasesOf(scenario.request("u", { leases: 2, mode: "profile", share: bytes(GiB) })))).toEqual([
      ["p"],
      ["p"],
    ]);
  });

  it("live and end each for itself", () => {
    const scenario = new Scenario([device("a")]);
    scenario.request("r", { leases: 2, share: fraction(0.5) });
    for (const id of ["r", "r-2"]) scenario.send({ kind: "grantConfirmed", id });
    expect(scenario.send({ kind: "revoked", id: "r", graceMs: 0, message: "Away." })).toMatchObject([{ id: "r" }]);
    scenario.later(1);
    expect(scenario.send({ kind: "reclaimed", id: "r" })[0]).toMatchObject({ kind: "closed" });
    expect(findLease(scenario.pool, "r-2")?.state).toBe("granted");
    // Its id is taken as long as one of them lives.
    expect(scenario.request("r", { leases: 2, share: fraction(0.25) })).toEqual([]);
    scenario.end("r-2");
    expect(leasesOf(scenario.request("r", { leases: 2, share: fraction(0.25) }))).toHaveLength(2);
  });

  it("go all when their request is withdrawn too late, or can not be stored", () => {
    const scenario = new Scenario([device("a")]);
    scenario.request("r", { leases: 3, share: fraction(0.25) });
    for (const id of ["r", "r-2", "r-3"]) scenario.send({ kind: "grantConfirmed", id });
    expect(scenario.send({ kind: "withdrawn", id: "r" }).map((effect) => effect.kind)).toEqual(["end", "end", "end"]);
    for (const id of ["r", "r-2", "r-3"]) scenario.send({ kind: "reclaimed", id });
    scenario.request("s", { leases: 2, share: fraction(0.5) });
    for (const id of ["s", "s-2"]) scenario.send({ kind: "grantFailed", id });
    expect(grantsOf(scenario.request("t", { leases: 1 }))).toEqual(["t"]);
  });
});

describe("a request for several leases that finds no room for all", () => {
  it("holds none while it waits, says how many there is room for, and gets all at once", () => {
    const scenario = new Scenario([device("a")]);
    scenario.lease("x", { share: fraction(0.5) });
    scenario.lease("y", { share: fraction(0.25) });
    const [queued] = scenario.request("r", { leases: 2, share: fraction(0.25) });
    expect(queued).toMatchObject({ kind: "queued", position: 1 });
    expect(queuePlace(scenario.pool, "r")?.reasons).toMatchObject([
      { code: "NOT_ENOUGH_MEMORY", message: expect.stringContaining("room for [1] of the [2] slices") },
    ]);
    expect(explain(scenario.pool, wish({ leases: 4, share: fraction(0.25) }))).toMatchObject({ kind: "queued" });
    expect(leasesOf(scenario.end("y"))).toHaveLength(2);
  });

  it("is refused at once where it does not wait", () => {
    const scenario = new Scenario([device("a")]);
    scenario.lease("x", { share: fraction(0.5) });
    expect(scenario.request("r", { leases: 3, share: fraction(0.25), waitMs: 0 })).toMatchObject([
      { kind: "refused", code: "NO_CAPACITY" },
    ]);
    expect(leasesOf(scenario.request("s", { leases: 2, share: fraction(0.25), waitMs: 0 }))).toHaveLength(2);
  });

  it("and another one for the same pool are served one after the other: neither waits for the other's half", () => {
    const scenario = new Scenario([device("a"), device("b")]);
    scenario.lease("x", { share: fraction(1) });
    for (const id of ["r", "s"]) scenario.request(id, { leases: 4, share: fraction(0.5) });
    expect(listQueue(scenario.pool).map(({ request }) => request.id)).toEqual(["r", "s"]);
    expect(leasesOf(scenario.end("x")).map(({ id }) => id)).toEqual(["r", "r-2", "r-3", "r-4"]);
    for (const id of ["r", "r-2", "r-3"]) expect(grantsOf(scenario.end(id))).toEqual([]);
    expect(leasesOf(scenario.end("r-4")).map(({ id }) => id)).toEqual(["s", "s-2", "s-3", "s-4"]);
  });

  it("is served although small requests come all the time", () => {
    const scenario = new Scenario([device("a"), device("b")], { passesMax: 4 });
    const small = { share: fraction(0.25), waitMs: 3_000_000 };
    for (let index = 0; index < 8; index++) scenario.lease(`x${index}`, small);
    scenario.request("r", { leases: 8, share: fraction(0.25), waitMs: 3_000_000 });
    let isServed = false;
    for (let index = 0; index < 40 && !isServed; index++) {
      scenario.request(`y${index}`, small);
      const [oldest] = [...scenario.auditor.leases.keys()];
      scenario.send({ kind: "grantConfirmed", id: oldest! });
      isServed = grantsOf(scenario.end(oldest!)).includes("r");
    }
    expect(isServed).toBe(true);
  });

  it("waits for the tenant's quota of leases, slices and bytes, and is refused what that never allows", () => {
    const scenario = new Scenario([device("a"), device("b")]);
    const ask = (id: string, quota: object, fields: Partial<PoolRequest> = {}): Effect["kind"] => {
      scenario.send({ kind: "tenantSet", tenant: "ada", quota });
      return scenario.request(id, { leases: 2, count: 2, share: bytes(GiB), ...fields })[0]!.kind;
    };
    expect(ask("r", { leases: 1 })).toBe("refused");
    expect(ask("s", { devices: 3 })).toBe("refused");
    expect(ask("t", { memoryBytes: 3 * GiB })).toBe("refused");
    expect(ask("u", { leases: 2, devices: 4, memoryBytes: 4 * GiB })).toBe("granted");
    expect(ask("v", { leases: 3 })).toBe("queued");
    for (const id of ["u", "u-2"]) scenario.send({ kind: "grantConfirmed", id });
    expect(leasesOf(scenario.end("u")).map(({ id }) => id)).toEqual(["v", "v-2"]);
  });
});

describe("a number of leases", () => {
  it.each([0, -1, 1.5, 65, Number.NaN])("of %d is refused", (leases) => {
    const scenario = new Scenario([device("a")]);
    expect(scenario.request("r", { leases })).toMatchObject([{ kind: "refused", code: "BAD_ARGUMENT" }]);
  });
});
