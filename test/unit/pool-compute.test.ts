/** Compute shares in the pool: parts of a device's time, promised beside its memory and never twice. */
import { describe, expect, it } from "vitest";
import { explain, listDevices } from "../../server/pool/pool.ts";
import type { StoredLease } from "../../server/pool/types.ts";
import { bytes, device, GiB, grantsOf, Scenario } from "../sim/scenario.ts";

const small = { share: bytes(GiB) };
const wish = { ...small, id: "x", tenant: "ada", name: "", count: 1, waitMs: 9 };
const freeCompute = (scenario: Scenario): number[] => listDevices(scenario.pool).map((listing) => listing.freeCompute);

describe("a request for a part of a device's time", () => {
  it("gets it with its memory, and gives it back", () => {
    const scenario = new Scenario([device("d")]);
    expect(scenario.lease("a", { ...small, compute: 250 }).slices).toMatchObject([{ deviceId: "d", compute: 250 }]);
    expect(freeCompute(scenario)).toEqual([750]);
    scenario.send({ kind: "released", id: "a" });
    expect(freeCompute(scenario)).toEqual([750]);
    scenario.send({ kind: "reclaimed", id: "a" });
    expect(freeCompute(scenario)).toEqual([1000]);
  });

  it("fills a device to the last thousandth and not beyond", () => {
    const scenario = new Scenario([device("d")]);
    for (const id of ["a", "b", "c"]) scenario.lease(id, { ...small, compute: 333 });
    expect(scenario.request("d", { ...small, compute: 2, waitMs: 0 })).toMatchObject([
      {
        kind: "refused",
        code: "NO_CAPACITY",
        reasons: [
          {
            device: "d",
            code: "NOT_ENOUGH_COMPUTE",
            message: "Device [d] has [0.001] of its time to promise, and the request asks for [0.002].",
          },
        ],
      },
    ]);
    scenario.lease("e", { ...small, compute: 1 });
    expect(freeCompute(scenario)).toEqual([0]);
    // Who asks for none shares what others leave.
    expect(scenario.lease("f", small).slices[0]).not.toHaveProperty("compute");
  });

  it("goes where there is time for it, though others leave less memory behind", () => {
    const scenario = new Scenario([device("tight", { memoryBytes: 2 * GiB }), device("wide")]);
    scenario.lease("a", { ...small, compute: 600, filters: ["device.id=tight"] });
    expect(scenario.lease("b", { ...small, compute: 500 }).slices).toMatchObject([{ deviceId: "wide" }]);
    expect(scenario.lease("c", { ...small, compute: 400 }).slices).toMatchObject([{ deviceId: "tight" }]);
  });

  it("waits for it, and is served when it is free", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { ...small, compute: 700 });
    expect(scenario.request("b", { ...small, compute: 500 })).toMatchObject([
      { kind: "queued", reasons: [{ code: "NOT_ENOUGH_COMPUTE" }] },
    ]);
    expect(explain(scenario.pool, { ...wish, compute: 301 })).toMatchObject({
      kind: "queued",
    });
    scenario.send({ kind: "released", id: "a" });
    expect(grantsOf(scenario.send({ kind: "reclaimed", id: "a" }))).toEqual(["b"]);
  });

  it("is not delayed by smaller ones that come after it, once its turn has come", () => {
    const scenario = new Scenario([device("d")], { passesMax: 0 });
    scenario.lease("a", { ...small, compute: 400, durationMs: 60_000 });
    scenario.request("big", { ...small, compute: 900 });
    expect(grantsOf(scenario.request("long", { ...small, compute: 500 }))).toEqual([]);
    expect(grantsOf(scenario.request("little", { ...small, compute: 100 }))).toEqual(["little"]);
    expect(grantsOf(scenario.request("short", { ...small, compute: 500, durationMs: 1_000 }))) //
      .toEqual(["short"]);
  });

  it("has the same part on each of several devices, and for each of several leases", () => {
    const scenario = new Scenario([device("d0"), device("d1")]);
    scenario.lease("a", { ...small, compute: 600, count: 2 });
    expect(freeCompute(scenario)).toEqual([400, 400]);
    expect(scenario.request("b", { ...small, compute: 300, leases: 3, waitMs: 0 })).toMatchObject([
      { kind: "refused", code: "NO_CAPACITY", reasons: [{ code: "NOT_ENOUGH_MEMORY" }] },
    ]);
    expect(grantsOf(scenario.request("c", { ...small, compute: 200, leases: 4 }))).toEqual(["c"]);
    expect(freeCompute(scenario)).toEqual([0, 0]);
  });

  it("makes leases of lower priority give way for it", () => {
    const scenario = new Scenario([device("d")], { preemption: true });
    scenario.lease("low", { ...small, compute: 800 });
    const effects = scenario.request("high", { ...small, compute: 300, priority: 5 });
    expect(effects).toMatchObject([{ kind: "notice", id: "low", notice: "preempted" }, { kind: "queued" }]);
  });

  it.each([0, -1, 1001, 0.5, Number.NaN])("is refused for [%s] thousandths", (compute) => {
    expect(new Scenario([device("d")]).request("a", { ...small, compute })).toMatchObject([
      { kind: "refused", code: "BAD_ARGUMENT" },
    ]);
  });
});

describe("a device's sharing", () => {
  it("gives all of its time to who has it whole", () => {
    const scenario = new Scenario([device("d")]);
    expect(scenario.lease("a", { mode: "exclusive", compute: 100 }).slices).toMatchObject([{ compute: 1000 }]);
    expect(freeCompute(scenario)).toEqual([0]);
  });

  it("gives each fixed slice an equal part, and more to nobody", () => {
    const scenario = new Scenario([device("d", { sharing: { mode: "profile", profileBytes: 5 * GiB } })]);
    for (const id of ["a", "b", "c"]) {
      expect(scenario.lease(id, { mode: "profile", share: bytes(1) }).slices).toMatchObject([{ compute: 333 }]);
    }
    expect(scenario.request("d", { mode: "profile", share: bytes(1), compute: 334 })).toMatchObject([
      { kind: "refused", code: "IMPOSSIBLE_REQUEST", reasons: [{ code: "NOT_ENOUGH_COMPUTE" }] },
    ]);
  });
});

describe("a lease of the store", () => {
  const stored = (id: string, compute: number): StoredLease => ({
    ...{ id, tenant: "t", name: "", detached: false, requestedAt: 0, grantedAt: 0 },
    slices: [{ index: 0, deviceId: "d", bytes: GiB, overheadBytes: 0, compute }],
  });

  it("has its part again, and ends where the device has promised it to others", () => {
    const scenario = new Scenario([device("d")]);
    expect(scenario.send({ kind: "adopted", lease: stored("a", 600) })).toEqual([]);
    expect(scenario.send({ kind: "adopted", lease: stored("b", 600) })).toMatchObject([
      { kind: "end", id: "b", code: "LEASE_ENDED" },
    ]);
    expect(freeCompute(scenario)).toEqual([400]);
  });
});
