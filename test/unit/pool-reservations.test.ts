/** Reservations: fixed slices that a tenant holds between its leases. */
import { describe, expect, it } from "vitest";
import {
  explain,
  findDevice,
  findLease,
  listQueue,
  listReservations,
  listTenants,
  queuePlace,
} from "../../server/pool/pool.ts";
import type { PoolRequest, StoredLease } from "../../server/pool/types.ts";
import { bytes, device, fraction, GiB, grantsOf, MiB, Scenario } from "../sim/scenario.ts";

const profile = { mode: "profile", profileBytes: 4 * GiB } as const;
const sliced = (id: string) => device(id, { sharing: profile, overheadBytes: 256 * MiB });
const fixed = { mode: "profile", share: bytes(1) } as const satisfies Partial<PoolRequest>;

const wish = (id: string, fields: Partial<PoolRequest> = {}): PoolRequest => ({
  id,
  tenant: "ada",
  name: "",
  ...fixed,
  count: 1,
  waitMs: 0,
  ...fields,
});

/** Two devices of four slices each, and two slices of the first reserved for ada. */
function reserved(fields: Partial<PoolRequest> = {}): Scenario {
  const scenario = new Scenario([sliced("d"), sliced("e")]);
  const request = wish("r", { count: 2, sameDevice: true, filters: ["device.id=d"], ...fields });
  expect(scenario.send({ kind: "reserveAsked", request })).toMatchObject([
    { kind: "reserved", reservation: { id: "r" } },
  ]);
  return scenario;
}

const leasesIn = (scenario: Scenario) => listReservations(scenario.pool)[0]?.slices.map(({ leaseId }) => leaseId);

describe("a reservation", () => {
  it("keeps its slices from others, and is charged to its tenant", () => {
    const scenario = reserved();
    expect(findDevice(scenario.pool, "d")).toMatchObject({
      reservedBytes: 8 * GiB,
      freeBytes: 8 * GiB,
      grantedBytes: 0,
    });
    expect(listTenants(scenario.pool)).toMatchObject([{ tenant: "ada", heldBytes: 8 * GiB, leases: 0 }]);
    for (const id of ["a", "b"]) scenario.lease(id, { ...fixed, tenant: "bob", filters: ["device.id=d"] });
    scenario.request("c", { ...fixed, tenant: "bob", filters: ["device.id=d"] });
    expect(listQueue(scenario.pool).map(({ request }) => request.id)).toEqual(["c"]);
  });

  it("takes its tenant's leases in, outlives them, and costs no more with them than without", () => {
    const scenario = reserved();
    const lease = scenario.lease("a", { ...fixed });
    expect(lease).toMatchObject({ reservation: "r", slices: [{ deviceId: "d", bytes: 4 * GiB - 256 * MiB }] });
    expect(leasesIn(scenario)).toEqual(["a", undefined]);
    expect(findDevice(scenario.pool, "d")).toMatchObject({ reservedBytes: 4 * GiB, freeBytes: 8 * GiB });
    expect(listTenants(scenario.pool)).toMatchObject([{ heldBytes: 8 * GiB, leases: 1 }]);
    scenario.end("a");
    expect(leasesIn(scenario)).toEqual([undefined, undefined]);
    expect(findDevice(scenario.pool, "d")).toMatchObject({ reservedBytes: 8 * GiB, freeBytes: 8 * GiB });
    expect(listTenants(scenario.pool)).toMatchObject([{ heldBytes: 8 * GiB, leases: 0 }]);
  });

  it("gives several fixed slices to one lease", () => {
    const scenario = reserved();
    const lease = scenario.lease("a", { ...fixed, count: 2, sameDevice: true });
    expect(lease.slices.map(({ index, deviceId }) => [index, deviceId])).toEqual([
      [0, "d"],
      [1, "d"],
    ]);
    expect(leasesIn(scenario)).toEqual(["a", "a"]);
  });

  it("that is full sends its tenant's leases to the rest of the pool, and those that name it into its line", () => {
    const scenario = reserved();
    for (const id of ["a", "b"]) scenario.lease(id, { ...fixed });
    expect(scenario.lease("c", { ...fixed }).reservation).toBeUndefined();
    const effects = scenario.request("w", { ...fixed, reservation: "r" });
    expect(effects).toMatchObject([
      { kind: "queued", position: 1, reasons: [{ device: "", code: "RESERVATION_FULL" }] },
    ]);
    expect(scenario.request("x", { ...fixed, reservation: "r", priority: 1 })).toMatchObject([{ position: 1 }]);
    expect(queuePlace(scenario.pool, "w")?.position).toBe(2);
    expect(grantsOf(scenario.end("c"))).toEqual([]);
    expect(grantsOf(scenario.end("a"))).toEqual(["x"]);
    expect(grantsOf(scenario.end("b"))).toEqual(["w"]);
    expect(findLease(scenario.pool, "w")?.reservation).toBe("r");
  });

  it("keeps the order of its line, also when a later request is smaller", () => {
    const scenario = reserved();
    for (const id of ["a", "b"]) scenario.lease(id, { ...fixed });
    scenario.request("both", { ...fixed, count: 2, sameDevice: true, reservation: "r" });
    scenario.request("one", { ...fixed, reservation: "r" });
    expect(grantsOf(scenario.end("a"))).toEqual([]);
    expect(grantsOf(scenario.end("b"))).toEqual(["both"]);
    expect(grantsOf(scenario.end("both"))).toEqual(["one"]);
  });

  it("goes on with its line when a lease outside gives back what the tenant's quota was used up by", () => {
    const scenario = reserved();
    scenario.lease("outside", { ...fixed, filters: ["device.id=e"] });
    scenario.send({ kind: "tenantSet", tenant: "ada", quota: { leases: 1 } });
    expect(grantsOf(scenario.request("inside", { ...fixed, reservation: "r" }))).toEqual([]);
    expect(grantsOf(scenario.end("outside"))).toEqual(["inside"]);
  });

  it("takes in whom another request of its tenant was ahead of, as soon as that one is gone", () => {
    const scenario = reserved();
    for (const [index, on] of ["d", "d", "e", "e", "e", "e"].entries()) {
      scenario.lease(`bob${index}`, { ...fixed, tenant: "bob", filters: [`device.id=${on}`] });
    }
    scenario.lease("in", { ...fixed });
    scenario.request("two", { ...fixed, count: 2, sameDevice: true });
    expect(grantsOf(scenario.request("one", { ...fixed, filters: ["device.id=d"], priority: -1 }))).toEqual([]);
    expect(grantsOf(scenario.send({ kind: "withdrawn", id: "two" }))).toEqual(["one"]);
  });

  it("blocks nobody else with its line", () => {
    const scenario = reserved();
    for (const id of ["a", "b"]) scenario.lease(id, { ...fixed });
    scenario.request("w", { ...fixed, reservation: "r", priority: 5 });
    expect(scenario.lease("other", { ...fixed, tenant: "bob" }).state).toBe("granted");
  });

  it("refuses those whose it is not, and what it can never serve", () => {
    const scenario = reserved();
    const answer = (fields: Partial<PoolRequest>) => scenario.request("q", { reservation: "r", ...fixed, ...fields });
    expect(answer({ tenant: "bob" })).toMatchObject([{ kind: "refused", code: "RESERVATION_NOT_FOUND" }]);
    expect(answer({ reservation: "none" })).toMatchObject([{ kind: "refused", code: "RESERVATION_NOT_FOUND" }]);
    expect(answer({ count: 3, sameDevice: true })).toMatchObject([{ kind: "refused", code: "IMPOSSIBLE_REQUEST" }]);
    expect(answer({ count: 2 })).toMatchObject([{ kind: "refused", code: "IMPOSSIBLE_REQUEST" }]);
    expect(answer({ mode: "dynamic", share: fraction(0.1) })).toMatchObject([
      { kind: "refused", code: "BAD_ARGUMENT" },
    ]);
  });

  it("is refused where there is no room, no profile, or no quota for it", () => {
    const scenario = new Scenario([sliced("d"), device("e")]);
    const answer = (fields: Partial<PoolRequest>) =>
      scenario.send({ kind: "reserveAsked", request: wish("r", fields) });
    expect(answer({ count: 5, sameDevice: true })).toMatchObject([
      { kind: "reserveRefused", code: "IMPOSSIBLE_REQUEST" },
    ]);
    expect(answer({ mode: "dynamic" })).toMatchObject([{ kind: "reserveRefused", code: "BAD_ARGUMENT" }]);
    scenario.send({ kind: "tenantSet", tenant: "ada", quota: { memoryBytes: 6 * GiB } });
    expect(answer({ count: 2, sameDevice: true })).toMatchObject([{ kind: "reserveRefused", code: "QUOTA_EXCEEDED" }]);
    scenario.lease("a", { ...fixed });
    expect(answer({})).toMatchObject([{ kind: "reserveRefused", code: "QUOTA_EXCEEDED" }]);
    scenario.lease("b", { ...fixed, tenant: "bob", count: 3, sameDevice: true });
    expect(answer({ tenant: "bob" })).toMatchObject([{ kind: "reserveRefused", code: "NO_CAPACITY" }]);
  });

  it("that is given up leaves its leases running, and refuses its line", () => {
    const scenario = reserved();
    for (const id of ["a", "b"]) scenario.lease(id, { ...fixed });
    scenario.end("b");
    scenario.request("w", { ...fixed, count: 2, sameDevice: true, reservation: "r" });
    const effects = scenario.send({ kind: "unreserved", id: "r" });
    expect(effects).toMatchObject([
      { kind: "refused", id: "w", code: "RESERVATION_NOT_FOUND" },
      { kind: "reservationEnded", id: "r" },
    ]);
    expect(findLease(scenario.pool, "a")?.state).toBe("granted");
    expect(findDevice(scenario.pool, "d")).toMatchObject({ reservedBytes: 0, freeBytes: 12 * GiB });
    expect(listTenants(scenario.pool)).toMatchObject([{ heldBytes: 4 * GiB }]);
    scenario.end("a");
    expect(findDevice(scenario.pool, "d")).toMatchObject({ reservedBytes: 0, freeBytes: 16 * GiB });
    expect(listTenants(scenario.pool)).toMatchObject([{ heldBytes: 0 }]);
  });

  it("ends by itself after its duration", () => {
    const scenario = reserved({ durationMs: 60_000 });
    expect(scenario.later(59_999)).toEqual([]);
    expect(scenario.later(1)).toEqual([{ kind: "reservationEnded", id: "r" }]);
    expect(findDevice(scenario.pool, "d")?.freeBytes).toBe(16 * GiB);
  });

  it("is not in the way of the first of the queue's estimate: what it holds is never free", () => {
    const scenario = reserved();
    scenario.lease("inside", { ...fixed, durationMs: 60_000 });
    const others = ["d", "d", "e", "e", "e", "e"].map((on, index) => {
      scenario.lease(`o${index}`, { ...fixed, tenant: "bob", filters: [`device.id=${on}`], durationMs: 600_000 });
      return index;
    });
    expect(others).toHaveLength(6);
    scenario.request("w", { ...fixed, tenant: "bob", waitMs: 3_600_000 });
    expect(queuePlace(scenario.pool, "w")?.startsAt).toBe(scenario.now + 600_000);
  });

  it("loses the slices of a device that leaves", () => {
    const scenario = reserved();
    scenario.lease("a", { ...fixed });
    scenario.request("w", { ...fixed, count: 2, sameDevice: true, reservation: "r", waitMs: 60_000 });
    const effects = scenario.send({ kind: "deviceRemoved", deviceId: "d", message: "It is gone." });
    expect(effects).toContainEqual(expect.objectContaining({ kind: "refused", id: "w", code: "IMPOSSIBLE_REQUEST" }));
    expect(listReservations(scenario.pool)[0]!.slices).toEqual([]);
    scenario.send({ kind: "reclaimed", id: "a" });
    expect(listTenants(scenario.pool)[0]!.heldBytes).toBe(0);
  });

  it("takes nobody in on a cordoned device, and goes on when it is open again", () => {
    const scenario = reserved();
    scenario.send({ kind: "deviceCordoned", deviceId: "d", code: "DEVICE_CORDONED", message: "" });
    expect(scenario.request("w", { ...fixed, reservation: "r" })).toMatchObject([{ kind: "queued" }]);
    expect(grantsOf(scenario.send({ kind: "deviceUncordoned", deviceId: "d" }))).toEqual(["w"]);
  });

  it("comes back after a restart, and its leases into it", () => {
    const before = reserved();
    const lease = before.lease("a", { ...fixed });
    const [{ slices, ...terms }] = listReservations(before.pool) as [ReturnType<typeof listReservations>[number]];
    const after = new Scenario([sliced("d"), sliced("e")]);
    const stored = slices.map(({ leaseId: _, ...slice }) => slice);
    after.send({ kind: "reservationAdopted", reservation: { ...terms, slices: stored } });
    const { state: _state, ...plain } = lease;
    after.send({ kind: "adopted", lease: plain as StoredLease });
    expect(leasesIn(after)).toEqual(["a", undefined]);
    expect(findDevice(after.pool, "d")).toMatchObject({ reservedBytes: 4 * GiB, freeBytes: 8 * GiB });
    after.end("a");
    expect(findDevice(after.pool, "d")).toMatchObject({ reservedBytes: 8 * GiB, freeBytes: 8 * GiB });
  });

  it("is part of what explain tells", () => {
    const scenario = reserved();
    const asked = (fields: Partial<PoolRequest>) => explain(scenario.pool, wish("q", { waitMs: 1000, ...fields }));
    expect(asked({ reservation: "r" })).toMatchObject({ kind: "granted", slices: [{ deviceId: "d" }] });
    scenario.lease("a", { ...fixed, durationMs: 60_000 });
    scenario.lease("b", { ...fixed });
    expect(asked({ reservation: "r" })).toMatchObject({
      kind: "queued",
      position: 1,
      blockers: ["a"],
      startsAt: scenario.now + 60_000,
    });
    expect(asked({ reservation: "r", waitMs: 0 })).toMatchObject({ kind: "refused", code: "NO_CAPACITY" });
    expect(asked({})).toMatchObject({ kind: "granted" });
    expect(listQueue(scenario.pool)).toEqual([]);
  });
});
