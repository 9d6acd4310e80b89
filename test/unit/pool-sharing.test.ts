/** Modes of sharing, policies of placement, filters and labels, side by side on one server. */
import { describe, expect, it } from "vitest";
import { parseFilter } from "../../server/pool/filter.ts";
import { explain } from "../../server/pool/pool.ts";
import type { PoolDevice } from "../../server/pool/types.ts";
import { bytes, device, fraction, GiB, grantsOf, MiB, Scenario } from "../sim/scenario.ts";

const deviceOf = (lease: { slices: readonly { deviceId: string }[] }): string[] =>
  lease.slices.map((slice) => slice.deviceId);

describe("an exclusive request", () => {
  it("gets a whole device with nothing withheld and nothing beside it", () => {
    const scenario = new Scenario([device("d", { overheadBytes: 100 * MiB + 1 })]);
    const lease = scenario.lease("a", { mode: "exclusive" });
    expect(lease.slices).toEqual([
      { index: 0, deviceId: "d", bytes: 16 * GiB - 102 * MiB, overheadBytes: 102 * MiB, compute: 1000 },
    ]);
    expect(scenario.request("b", { share: bytes(1), waitMs: 0 })).toMatchObject([
      { kind: "refused", code: "NO_CAPACITY" },
    ]);
  });

  it("takes devices set aside for it first, then empty shared ones, never used ones", () => {
    const scenario = new Scenario([
      device("shared"),
      device("used"),
      device("own", { sharing: { mode: "exclusive" } }),
    ]);
    scenario.lease("small", { share: bytes(GiB), filters: ["device.id=used"] });
    expect(deviceOf(scenario.lease("a", { mode: "exclusive" }))).toEqual(["own"]);
    expect(deviceOf(scenario.lease("b", { mode: "exclusive" }))).toEqual(["shared"]);
    expect(scenario.request("c", { mode: "exclusive" })).toMatchObject([
      {
        kind: "queued",
        reasons: expect.arrayContaining([
          {
            device: "used",
            code: "EXCLUSIVE_CONFLICT",
            message: "Device [used] has [1] leases, and the request wants it whole.",
          },
        ]),
      },
    ]);
  });

  it("is the only kind that an exclusive device serves", () => {
    const scenario = new Scenario([device("own", { sharing: { mode: "exclusive" } })]);
    expect(scenario.request("a", { share: bytes(GiB) })).toMatchObject([
      { kind: "refused", code: "IMPOSSIBLE_REQUEST", reasons: [{ device: "own", code: "FILTERED_OUT" }] },
    ]);
  });
});

describe("a profile", () => {
  const profiled = device("d", { overheadBytes: 100 * MiB, sharing: { mode: "profile", profileBytes: 4 * GiB } });

  it("cuts a device into equal slices, overhead inside", () => {
    const scenario = new Scenario([profiled]);
    for (const id of ["a", "b", "c", "d"]) {
      expect(scenario.lease(id, { mode: "profile", share: bytes(GiB) }).slices[0]).toEqual({
        index: 0,
        deviceId: "d",
        bytes: 4 * GiB - 100 * MiB,
        overheadBytes: 100 * MiB,
        compute: 250,
      });
    }
    expect(grantsOf(scenario.request("e", { mode: "profile", share: bytes(1), waitMs: 0 }))).toEqual([]);
  });

  it("may be had several times by one lease", () => {
    const scenario = new Scenario([profiled]);
    const lease = scenario.lease("a", { mode: "profile", share: bytes(GiB), count: 3, sameDevice: true });
    expect(lease.slices.map((slice) => slice.overheadBytes)).toEqual([100 * MiB, 100 * MiB, 100 * MiB]);
    expect(
      grantsOf(scenario.request("b", { mode: "profile", share: bytes(GiB), count: 2, sameDevice: true, waitMs: 0 })),
    ).toEqual([]);
    expect(grantsOf(scenario.request("c", { mode: "profile", share: bytes(GiB), waitMs: 0 }))).toEqual(["c"]);
  });

  it("too small for the share is impossible", () => {
    const scenario = new Scenario([profiled]);
    expect(scenario.request("a", { mode: "profile", share: bytes(4 * GiB) })).toMatchObject([
      { code: "IMPOSSIBLE_REQUEST" },
    ]);
  });
});

describe("a policy", () => {
  it("of spreading takes the emptiest device", () => {
    const scenario = new Scenario([device("a"), device("b"), device("c")]);
    const places = ["1", "2", "3"].map(
      (id) => deviceOf(scenario.lease(id, { policy: "spread", share: fraction(0.25) }))[0],
    );
    expect(new Set(places).size).toBe(3);
  });

  it("of packing keeps whole devices whole", () => {
    const scenario = new Scenario([device("a"), device("b"), device("c")]);
    const places = ["1", "2", "3"].map((id) => deviceOf(scenario.lease(id, { share: fraction(0.25) }))[0]);
    expect(new Set(places).size).toBe(1);
  });

  const ring = (id: string, ...others: string[]): PoolDevice =>
    device(id, { links: Object.fromEntries(others.map((other) => [other, 4])) });

  it("of topology takes devices joined by NVLink, though others would fit better", () => {
    const scenario = new Scenario([ring("g0", "g2"), ring("g1", "g3"), ring("g2", "g0"), ring("g3", "g1")]);
    scenario.lease("x", { share: bytes(GiB), filters: ["device.id=g0"] });
    scenario.lease("y", { share: bytes(GiB), filters: ["device.id=g1"] });
    const effects = scenario.request("t", { count: 2, share: bytes(GiB), policy: "topology" });
    expect(effects).toMatchObject([{ kind: "granted", warnings: [] }]);
    const [granted] = effects;
    if (granted?.kind !== "granted") throw new Error("Not granted.");
    expect([
      ["g0", "g2"],
      ["g1", "g3"],
    ]).toContainEqual(deviceOf(granted.lease).sort());
  });

  it("of topology says so when no link joins the devices", () => {
    const scenario = new Scenario([ring("g0"), ring("g1")]);
    expect(scenario.request("t", { count: 2, share: bytes(GiB), policy: "topology" })).toMatchObject([
      { kind: "granted", warnings: ["No NVLink joins all of the devices [g0, g1]."] },
    ]);
  });

  it("of topology finds the joined pair on another server", () => {
    const scenario = new Scenario([
      { ...ring("a0"), server: "a" },
      { ...ring("a1"), server: "a" },
      { ...ring("b0", "b1"), server: "b" },
      { ...ring("b1", "b0"), server: "b" },
    ]);
    expect(deviceOf(scenario.lease("t", { count: 2, share: bytes(GiB), policy: "topology" })).sort()).toEqual([
      "b0",
      "b1",
    ]);
  });
});

describe("a filter", () => {
  const a100 = device("g0", {
    facts: {
      "device.name": "NVIDIA A100-SXM4",
      "server.cuda-version": "12.10",
      "device.capability": "8.0",
      "server.hostname": "left",
    },
    labels: { zone: "b" },
  });

  it.each([
    ["device.name~a100", true],
    ["device.name=A100", false],
    ["server.cuda-version>=12.4", true],
    ["server.cuda-version<12.4", false],
    ["server.cuda-version=12.10.0", true],
    ["device.capability > 7.5", true],
    ["device.phy-memory>=16GiB", true],
    ["device.phy-memory>16GiB", false],
    ["device.phy-memory<=17179869184", true],
    ["server.hostname!=right", true],
    ["label.zone=b", true],
    ["label.absent=b", false],
    ["label.absent!=b", true],
    ["device.id=g0", true],
    ["server.addr=10.0.0.1", false],
  ])("%s holds: %s", (filter, holds) => {
    const scenario = new Scenario([a100]);
    // The auditor knows few filters: ask for an explanation, which changes nothing.
    const wish = { id: "x", tenant: "t", name: "", share: bytes(GiB), count: 1, waitMs: 0, filters: [filter] };
    const answer = explain(scenario.pool, wish);
    expect(answer.kind).toBe(holds ? "granted" : "refused");
    if (answer.kind === "refused") {
      expect(answer.code).toBe("IMPOSSIBLE_REQUEST");
      expect(answer.reasons).toContainEqual({
        device: "g0",
        code: "FILTERED_OUT",
        message: `Device [g0] does not meet the filter [${filter}].`,
      });
    }
  });

  it.each([
    ["", "is not a key"],
    ["device.name", "is not a key"],
    ["device.size=1", "asks about [device.size]"],
    ["device.name=", "has no value"],
    ["device.phy-memory>=lots", "not a size [lots]"],
  ])("that reads [%s] is refused in words", (text, words) => {
    expect(parseFilter(text)).toContain(words);
    const scenario = new Scenario([a100]);
    expect(scenario.request("x", { filters: [text] })).toMatchObject([{ kind: "refused", code: "BAD_ARGUMENT" }]);
  });
});

describe("a label", () => {
  it("that taints keeps requests away unless they tolerate it", () => {
    const scenario = new Scenario([device("old", { labels: { worn: "1" }, taints: ["worn"] }), device("new")]);
    expect(deviceOf(scenario.lease("a"))).toEqual(["new"]);
    expect(scenario.request("b", { waitMs: 0 })).toMatchObject([
      {
        kind: "refused",
        reasons: expect.arrayContaining([
          expect.objectContaining({
            message: "Device [old] is tainted by [worn], which the request does not tolerate.",
          }),
        ]),
      },
    ]);
    expect(deviceOf(scenario.lease("c", { tolerate: ["worn"] }))).toEqual(["old"]);
  });

  it("that a request avoids keeps it away", () => {
    const scenario = new Scenario([device("x", { labels: { zone: "a" } }), device("y", { labels: { zone: "b" } })]);
    expect(
      explain(scenario.pool, {
        id: "i",
        tenant: "t",
        name: "",
        share: bytes(1),
        count: 1,
        waitMs: 0,
        avoid: ["zone=a"],
      }),
    ).toMatchObject({
      kind: "granted",
      slices: [{ deviceId: "y" }],
    });
  });
});
