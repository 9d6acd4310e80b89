/** What a request gets: exact slices, or a clear no. */
import { describe, expect, it } from "vitest";
import { listDevices } from "../../server/pool/pool.ts";
import type { Effect, PoolRequest } from "../../server/pool/types.ts";
import { bytes, device, fraction, GiB, grantsOf, MiB, Scenario } from "../sim/scenario.ts";

function refusal(effects: readonly Effect[]): Effect & { kind: "refused" } {
  const found = effects.find((effect) => effect.kind === "refused");
  if (found?.kind !== "refused") throw new Error(`Nothing is refused: ${JSON.stringify(effects)}`);
  return found;
}

describe("a size", () => {
  it("is rounded up to the device's granularity", () => {
    const scenario = new Scenario([device("d")]);
    expect(scenario.lease("a", { share: bytes(1) }).slices).toEqual([
      { index: 0, deviceId: "d", bytes: 2 * MiB, overheadBytes: 0 },
    ]);
    expect(scenario.lease("b", { share: bytes(2 * MiB) }).slices[0]?.bytes).toBe(2 * MiB);
    expect(scenario.lease("c", { share: bytes(2 * MiB + 1) }).slices[0]?.bytes).toBe(4 * MiB);
  });

  it("has the device's overhead on top, which the listing shows", () => {
    const scenario = new Scenario([device("d", { overheadBytes: 512 * MiB })]);
    scenario.lease("a", { share: bytes(GiB) });
    expect(listDevices(scenario.pool)[0]).toMatchObject({
      grantedBytes: GiB,
      overheadBytes: 512 * MiB,
      freeBytes: 14.5 * GiB,
      leases: ["a"],
    });
  });

  it("that only the overhead makes too large is impossible", () => {
    const scenario = new Scenario([device("d", { overheadBytes: 512 * MiB })]);
    const no = refusal(scenario.request("a", { share: bytes(16 * GiB) }));
    expect(no.code).toBe("IMPOSSIBLE_REQUEST");
    expect(no.reasons).toEqual([
      {
        device: "d",
        code: "NOT_ENOUGH_MEMORY",
        message: "Device [d] lends [15.5GiB] at most, and the request asks for [16GiB].",
      },
    ]);
  });
});

describe("a fraction", () => {
  it.each([0, 3 * MiB, 400 * MiB])("of a quarter fits four times beside an overhead of %i bytes", (overheadBytes) => {
    const scenario = new Scenario([device("d", { overheadBytes })]);
    for (const id of ["a", "b", "c", "d"])
      expect(grantsOf(scenario.request(id, { share: fraction(0.25) }))).toEqual([id]);
    expect(refusal(scenario.request("e", { share: bytes(4 * GiB - overheadBytes), waitMs: 0 })).code).toBe(
      "NO_CAPACITY",
    );
  });

  it("of a third fits three times on a device that no third divides", () => {
    const scenario = new Scenario([device("d", { memoryBytes: 10 * GiB + 1 })]);
    for (const id of ["a", "b", "c"]) scenario.lease(id, { share: fraction(1 / 3) });
    expect(listDevices(scenario.pool)[0]!.freeBytes).toBeGreaterThanOrEqual(0);
  });

  it("of a whole device is always possible, whatever its overhead", () => {
    const scenario = new Scenario([device("d", { overheadBytes: 512 * MiB + 1 })]);
    const [slice] = scenario.lease("a", { share: fraction(1) }).slices;
    expect(slice).toMatchObject({ bytes: 16 * GiB - 514 * MiB, overheadBytes: 512 * MiB + 1 });
  });

  it("too small for one granule is impossible, not a slice of nothing", () => {
    const scenario = new Scenario([device("d")]);
    expect(refusal(scenario.request("a", { share: fraction(1e-9) })).code).toBe("IMPOSSIBLE_REQUEST");
  });
});

describe("a request with a bad value", () => {
  const cases: [string, Partial<PoolRequest>, string][] = [
    ["0 bytes", { share: bytes(0) }, "The size [0]"],
    ["negative bytes", { share: bytes(-1) }, "The size [-1]"],
    ["half a byte", { share: bytes(0.5) }, "The size [0.5]"],
    ["bytes beyond 2^53", { share: bytes(2 ** 53) }, "The size [9007199254740992]"],
    ["no number of bytes", { share: bytes(Number.NaN) }, "The size [NaN]"],
    ["1.5 of a device", { share: fraction(1.5) }, "The fraction [1.5]"],
    ["0 of a device", { share: fraction(0) }, "The fraction [0]"],
    ["a negative fraction", { share: fraction(-0.25) }, "The fraction [-0.25]"],
    ["no fraction", { share: fraction(Number.NaN) }, "The fraction [NaN]"],
    ["no devices", { count: 0 }, "The number of devices [0]"],
    ["too many devices", { count: 17 }, "The number of devices [17]"],
    ["half a device too many", { count: 1.5 }, "The number of devices [1.5]"],
    ["a wait without end", { waitMs: Number.POSITIVE_INFINITY }, "The wait [Infinity]"],
    ["a negative wait", { waitMs: -1 }, "The wait [-1]"],
    ["a duration of nothing", { durationMs: 0 }, "The duration [0]"],
    ["a name that is too long", { name: "x".repeat(129) }, "The name has [129] characters"],
    ["no tenant", { tenant: "" }, "The tenant has [0] characters"],
    ["a priority out of range", { priority: 101 }, "The priority [101]"],
    ["no heartbeats and no duration", { detached: true }, "A detached lease has no heartbeats"],
  ];

  it.each(cases)("such as %s is refused in words and costs nothing", (_, fields, words) => {
    const scenario = new Scenario([device("d")]);
    const no = refusal(scenario.request("a", fields));
    expect(no).toMatchObject({ code: "BAD_ARGUMENT", reasons: [] });
    expect(no.message).toContain(words);
    expect(scenario.pool.timers.size).toBe(0);
  });
});

describe("several devices", () => {
  it("are different ones of one server", () => {
    const scenario = new Scenario([
      device("a0", { server: "a" }),
      device("b0", { server: "b" }),
      device("b1", { server: "b" }),
    ]);
    const lease = scenario.lease("x", { count: 2, share: fraction(0.5) });
    expect(lease.slices.map((slice) => slice.deviceId).sort()).toEqual(["b0", "b1"]);
  });

  it("beyond what one server has are impossible, with the number that there is", () => {
    const scenario = new Scenario([device("a0", { server: "a" }), device("b0", { server: "b" })]);
    const no = refusal(scenario.request("x", { count: 2 }));
    expect(no.code).toBe("IMPOSSIBLE_REQUEST");
    expect(no.reasons[0]).toEqual({
      device: "",
      code: "TOO_FEW_DEVICES",
      message: "The request needs [2] devices on one server, and no server has more than [1] that could serve it.",
    });
  });

  it("may be one and the same where the request says so, and pay overhead once", () => {
    const scenario = new Scenario([device("d", { overheadBytes: GiB })]);
    const lease = scenario.lease("x", { count: 3, share: bytes(5 * GiB), sameDevice: true });
    expect(lease.slices.map((slice) => slice.overheadBytes)).toEqual([GiB, 0, 0]);
    expect(listDevices(scenario.pool)[0]!.freeBytes).toBe(0);
  });

  it("of different kinds on one server are found together", () => {
    const scenario = new Scenario([device("small", { memoryBytes: 4 * GiB }), device("large")]);
    expect(scenario.lease("x", { count: 2, share: bytes(3 * GiB) }).slices).toHaveLength(2);
  });
});

describe("placement", () => {
  it("fills the fullest device that has room", () => {
    const scenario = new Scenario([device("a"), device("b"), device("c")]);
    scenario.lease("1", { share: bytes(8 * GiB) });
    scenario.lease("2", { share: bytes(12 * GiB) });
    expect(scenario.lease("3", { share: bytes(4 * GiB) }).slices[0]?.deviceId).toBe("b");
    expect(scenario.lease("4", { share: bytes(2 * GiB) }).slices[0]?.deviceId).toBe("a");
    expect(scenario.lease("5", { share: bytes(16 * GiB) }).slices[0]?.deviceId).toBe("c");
  });

  it("leaves out cordoned devices, and says so", () => {
    const scenario = new Scenario([device("a")]);
    scenario.send({ kind: "deviceCordoned", deviceId: "a", code: "DEVICE_CORDONED", message: "The fan is loud." });
    const [queued] = scenario.request("x");
    expect(queued).toMatchObject({
      kind: "queued",
      reasons: [{ device: "a", code: "DEVICE_CORDONED", message: "Device [a] takes no new leases: The fan is loud." }],
    });
    expect(grantsOf(scenario.send({ kind: "deviceUncordoned", deviceId: "a" }))).toEqual(["x"]);
  });

  it("respects the largest slice of a device", () => {
    const scenario = new Scenario([device("a", { sliceBytesMax: 4 * GiB })]);
    expect(refusal(scenario.request("x", { share: bytes(4 * GiB + 1) })).code).toBe("IMPOSSIBLE_REQUEST");
    expect(grantsOf(scenario.request("y", { share: bytes(4 * GiB) }))).toEqual(["y"]);
  });
});
