/** Suspension in the pool: what a suspended lease holds, how it comes back, and who makes room for whom. Everything is audited. */
import { describe, expect, it } from "vitest";
import { explainWaiting, findLease, listDevices, listQueue, listTenants, queuePlace } from "../../server/pool/pool.ts";
import type { Effect } from "../../server/pool/types.ts";
import { bytes, device, fraction, GiB, grantsOf, MiB, Scenario } from "../sim/scenario.ts";

const kinds = (effects: readonly Effect[]): string[] =>
  effects.map((effect) => (effect.kind === "notice" ? effect.notice : effect.kind));

const suspend = (scenario: Scenario, id: string): readonly Effect[] => [
  ...scenario.send({ kind: "suspendAsked", id, message: "Lunch.", byAdmin: true }),
  ...scenario.send({ kind: "parked", id, savedBytes: 5 }),
];

const stateOf = (scenario: Scenario, id: string): string | undefined => findLease(scenario.pool, id)?.state;

describe("a suspended lease", () => {
  it("holds its memory until it is saved, then the overhead of its device alone, and all of it again when it comes back", () => {
    const scenario = new Scenario([device("d", { overheadBytes: 300 * MiB })]);
    scenario.lease("a", { share: bytes(8 * GiB) });
    const held = (): number =>
      listDevices(scenario.pool)[0]!.device.memoryBytes - listDevices(scenario.pool)[0]!.freeBytes;
    expect(kinds(scenario.send({ kind: "suspendAsked", id: "a", message: "Lunch.", byAdmin: true }))).toEqual([
      "suspend",
    ]);
    expect([stateOf(scenario, "a"), held()]).toEqual(["suspending", 8 * GiB + 300 * MiB]);
    expect(kinds(scenario.send({ kind: "parked", id: "a", savedBytes: 5 }))).toEqual(["suspended"]);
    expect([stateOf(scenario, "a"), held()]).toEqual(["suspended", 300 * MiB]);
    expect(findLease(scenario.pool, "a")?.suspension).toMatchObject({
      message: "Lunch.",
      savedBytes: 5,
      comesBack: false,
    });
    expect(listTenants(scenario.pool)[0]).toMatchObject({ heldBytes: 300 * MiB, leases: 1 });
    expect(kinds(scenario.send({ kind: "resumeAsked", id: "a" }))).toEqual(["resume"]);
    expect([stateOf(scenario, "a"), held()]).toEqual(["resuming", 8 * GiB + 300 * MiB]);
    expect(kinds(scenario.send({ kind: "unparked", id: "a" }))).toEqual(["resumed"]);
    expect([stateOf(scenario, "a"), findLease(scenario.pool, "a")?.suspension]).toEqual(["granted", undefined]);
  });

  it("holds what its modules have of its slices too, and takes the rest when it comes back", () => {
    const scenario = new Scenario([device("d", { overheadBytes: 300 * MiB }), device("e", { overheadBytes: 0 })]);
    scenario.lease("a", { share: bytes(8 * GiB), count: 2 });
    const held = (): number[] =>
      listDevices(scenario.pool).map(({ device: { memoryBytes }, freeBytes }) => memoryBytes - freeBytes);
    const whole = held();
    scenario.send({ kind: "suspendAsked", id: "a", message: "Lunch.", byAdmin: true });
    scenario.send({ kind: "parked", id: "a", savedBytes: 5, keptBytes: [100 * MiB, 7 * MiB] });
    expect(held()).toEqual([400 * MiB, 7 * MiB]);
    expect(listTenants(scenario.pool)[0]).toMatchObject({ heldBytes: 407 * MiB });
    expect(findLease(scenario.pool, "a")?.suspension?.keptBytes).toEqual([100 * MiB, 7 * MiB]);
    // Others have the rest to the byte.
    scenario.lease("b", { share: bytes(16 * GiB - 400 * MiB - 300 * MiB) });
    scenario.send({ kind: "resumeAsked", id: "a" });
    expect(stateOf(scenario, "a")).toBe("suspended");
    expect(kinds(scenario.end("b"))).toContain("resume");
    expect(held()).toEqual(whole);
    // It has run on a little, and its modules have more.
    scenario.send({ kind: "unparkFailed", id: "a", message: "There is none.", keptBytes: [120 * MiB, 0] });
    expect(held()).toEqual([420 * MiB, 0]);
    scenario.end("a");
    expect(held()).toEqual([0, 0]);
  });

  it("waits for room with a place and a reason, before requests that came later", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    suspend(scenario, "a");
    scenario.lease("b");
    expect(scenario.send({ kind: "resumeAsked", id: "a" })).toEqual([]);
    scenario.request("c");
    expect(listQueue(scenario.pool).map(({ request, leaseId }) => [request.id, leaseId])).toEqual([
      ["a", "a"],
      ["c", undefined],
    ]);
    expect(queuePlace(scenario.pool, "a")?.reasons).toMatchObject([{ device: "d", code: "NOT_ENOUGH_MEMORY" }]);
    expect(explainWaiting(scenario.pool, "a")).toMatchObject({ kind: "queued", position: 1, blockers: ["b"] });
    expect(kinds(scenario.end("b"))).toContain("resume");
    expect(grantsOf(scenario.end("a"))).toEqual(["c"]);
  });

  it("comes back to its own devices and to no others, also where they are cordoned", () => {
    const scenario = new Scenario([device("d"), device("e")]);
    scenario.lease("a");
    suspend(scenario, "a");
    scenario.lease("b");
    expect(findLease(scenario.pool, "b")?.slices[0]?.deviceId).toBe("d");
    expect(scenario.send({ kind: "resumeAsked", id: "a" })).toEqual([]);
    scenario.send({ kind: "deviceCordoned", deviceId: "d", code: "DEVICE_CORDONED", message: "Old." });
    expect(kinds(scenario.end("b"))).toContain("resume");
  });

  it("comes back only when it is told to, and stays away when it is suspended once more while it waits", () => {
    const scenario = new Scenario([device("d")], { suspensionRestMs: 1_000 });
    scenario.lease("a");
    suspend(scenario, "a");
    scenario.lease("b");
    scenario.send({ kind: "resumeAsked", id: "a" });
    expect(scenario.send({ kind: "suspendAsked", id: "a", message: "Longer.", byAdmin: true })).toEqual([]);
    expect([listQueue(scenario.pool), kinds(scenario.end("b"))]).toEqual([[], ["end", "closed"]]);
    for (let beat = 0; beat < 6; beat++) {
      scenario.send({ kind: "heartbeat", id: "a" });
      expect(scenario.later(20_000)).toEqual([]);
    }
    expect(stateOf(scenario, "a")).toBe("suspended");
  });

  it("ends cleanly in every state: released, revoked, silent, or with its device", () => {
    for (const steps of [1, 2, 3, 4]) {
      for (const end of ["released", "revoked", "silent", "removed"] as const) {
        const scenario = new Scenario([device("d")], { heartbeatTimeoutMs: 5_000 });
        scenario.lease("a");
        scenario.send({ kind: "suspendAsked", id: "a", message: "Lunch.", byAdmin: false });
        if (steps > 1) scenario.send({ kind: "parked", id: "a", savedBytes: 1 });
        if (steps > 2) scenario.lease("b", { detached: true, durationMs: 60_000 });
        if (steps > 2) scenario.send({ kind: "resumeAsked", id: "a" });
        if (steps > 3) scenario.end("b");
        if (end === "released") scenario.send({ kind: "released", id: "a" });
        if (end === "revoked") scenario.send({ kind: "revoked", id: "a", graceMs: 10, message: "Mine." });
        if (end === "removed") scenario.send({ kind: "deviceRemoved", deviceId: "d", message: "Gone." });
        scenario.later(5_000);
        expect(stateOf(scenario, "a")).toBe("ending");
        for (const kind of ["parked", "unparked"] as const) scenario.send({ kind, id: "a", savedBytes: 1 });
        scenario.send({ kind: "reclaimed", id: "a" });
        if (steps === 3) scenario.end("b");
        expect(listDevices(scenario.pool).map(({ freeBytes }) => freeBytes)).toEqual(
          end === "removed" ? [] : [16 * GiB],
        );
        expect(listQueue(scenario.pool)).toEqual([]);
      }
    }
  });

  it("goes on when it cannot be saved, and stays saved and tries again when it cannot come back", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a", { detached: true, durationMs: 600_000 });
    scenario.send({ kind: "suspendAsked", id: "a", message: "Lunch.", byAdmin: true });
    expect(scenario.send({ kind: "parkFailed", id: "a", message: "The disk is full." })).toEqual([]);
    expect([stateOf(scenario, "a"), findLease(scenario.pool, "a")?.suspension]).toEqual(["granted", undefined]);
    suspend(scenario, "a");
    scenario.send({ kind: "resumeAsked", id: "a" });
    expect(scenario.send({ kind: "unparkFailed", id: "a", message: "No memory." })).toEqual([]);
    expect([stateOf(scenario, "a"), listDevices(scenario.pool)[0]?.freeBytes]).toEqual(["suspended", 16 * GiB]);
    expect(kinds(scenario.later(15_000))).toEqual(["resume"]);
  });

  it("is not idle, and its maximum duration stands still, but the grace of a notice runs", () => {
    const scenario = new Scenario([device("d")], { idleMs: 20_000, heartbeatTimeoutMs: 1e9 });
    scenario.lease("a", { durationMs: 100_000 });
    scenario.later(5_000);
    suspend(scenario, "a");
    expect(kinds(scenario.later(1_000_000))).toEqual([]);
    scenario.send({ kind: "resumeAsked", id: "a" });
    scenario.send({ kind: "unparked", id: "a" });
    expect(findLease(scenario.pool, "a")?.endsAt).toBe(scenario.now + 95_000);
    suspend(scenario, "a");
    scenario.send({ kind: "revoked", id: "a", graceMs: 3_000, message: "Now." });
    expect(kinds(scenario.later(3_000))).toEqual(["end"]);
  });

  it("keeps its size, and says so", () => {
    const scenario = new Scenario([device("d")]);
    scenario.lease("a");
    suspend(scenario, "a");
    const asked = { kind: "resizeAsked", id: "a", index: 0, bytes: GiB, usedBytes: 0 } as const;
    expect(scenario.send(asked)).toMatchObject([{ kind: "resizeRefused", code: "SESSION_BUSY" }]);
  });

  it("frees an exclusive device for others, and its memory in the quota, but not its place among the leases", () => {
    const scenario = new Scenario([device("d", { sharing: { mode: "exclusive" } })]);
    scenario.send({ kind: "tenantSet", tenant: "ada", quota: { memoryBytes: 16 * GiB, leases: 2 } });
    scenario.lease("a", { mode: "exclusive" });
    suspend(scenario, "a");
    scenario.lease("b", { mode: "exclusive" });
    scenario.request("c", { mode: "exclusive" });
    expect(queuePlace(scenario.pool, "c")?.reasons).toMatchObject([{ code: "QUOTA_EXCEEDED" }, {}]);
    scenario.send({ kind: "resumeAsked", id: "a" });
    expect(kinds(scenario.end("b"))).toContain("resume");
  });

  it("leaves a fixed slice to its reservation, and waits for it there", () => {
    const profile = { memoryBytes: 8 * GiB, sharing: { mode: "profile", profileBytes: 4 * GiB } } as const;
    const scenario = new Scenario([device("p", profile)]);
    const wish = { tenant: "ada", name: "", count: 1, waitMs: 0, mode: "profile", share: bytes(GiB) } as const;
    scenario.send({ kind: "reserveAsked", request: { id: "r", ...wish } });
    scenario.lease("a", { mode: "profile", share: bytes(GiB), reservation: "r" });
    suspend(scenario, "a");
    expect(listDevices(scenario.pool)[0]).toMatchObject({ reservedBytes: 4 * GiB, grantedBytes: 0 });
    scenario.lease("b", { mode: "profile", share: bytes(GiB), reservation: "r" });
    scenario.send({ kind: "resumeAsked", id: "a" });
    expect(queuePlace(scenario.pool, "a")).toMatchObject({ position: 1, reasons: [{ code: "RESERVATION_FULL" }] });
    expect(kinds(scenario.end("b"))).toContain("resume");
    scenario.send({ kind: "unparked", id: "a" });
    suspend(scenario, "a");
    scenario.lease("c", { mode: "profile", share: bytes(GiB), reservation: "r" });
    scenario.send({ kind: "resumeAsked", id: "a" });
    // Without its reservation it takes a slice of the pool's; that of the other lease is free when it ends.
    expect(kinds(scenario.send({ kind: "unreserved", id: "r" }))).toEqual(["reservationEnded", "resume"]);
  });

  it("is refused where it would free nothing for anybody, and where it is about to change otherwise", () => {
    const profile = { overheadBytes: 100 * MiB, sharing: { mode: "profile", profileBytes: 4 * GiB } } as const;
    const scenario = new Scenario([device("p", profile), device("d")]);
    scenario.lease("a", { mode: "profile", share: bytes(GiB) });
    scenario.lease("b", { share: bytes(GiB) });
    scenario.send({ kind: "resizeAsked", id: "b", index: 0, bytes: 2 * GiB, usedBytes: 0 });
    const ask = (id: string): readonly Effect[] =>
      scenario.send({ kind: "suspendAsked", id, message: "Lunch.", byAdmin: true });
    expect(ask("a")).toMatchObject([{ kind: "suspendRefused", code: "UNSUPPORTED" }]);
    expect(ask("b")).toMatchObject([{ kind: "suspendRefused", code: "SESSION_BUSY" }]);
    scenario.send({ kind: "resizeConfirmed", id: "b" });
    scenario.send({ kind: "shutdown", graceMs: 1_000 });
    expect(ask("b")).toMatchObject([{ kind: "suspendRefused", code: "SHUTTING_DOWN" }]);
  });
});

describe("preemption that suspends", () => {
  const options = { preemption: "suspend", suspensionRestMs: 10_000, heartbeatTimeoutMs: 1e9 } as const;

  it("suspends what is in the way, and lets it go on as soon as the other is done", () => {
    const scenario = new Scenario([device("d")], options);
    scenario.lease("low");
    expect(kinds(scenario.request("high", { priority: 5 }))).toEqual(["suspend", "queued"]);
    const parked = scenario.send({ kind: "parked", id: "low", savedBytes: 1 });
    expect(kinds(parked)).toEqual(["suspended", "granted"]);
    expect(grantsOf(parked)).toEqual(["high"]);
    scenario.send({ kind: "grantConfirmed", id: "high" });
    expect(listQueue(scenario.pool)).toMatchObject([{ leaseId: "low", position: 1 }]);
    expect(kinds(scenario.end("high"))).toEqual(["end", "closed", "resume"]);
  });

  it("suspends the lowest and youngest that is enough, and none of the same priority", () => {
    const scenario = new Scenario([device("d")], options);
    for (const [id, priority] of [
      ["a", -1],
      ["b", -1],
      ["c", 0],
      ["d", 1],
    ] as const) {
      scenario.lease(id, { share: fraction(0.25), priority });
      scenario.later(10);
    }
    expect(scenario.request("head", { share: fraction(0.25), priority: 1 })).toMatchObject([
      { kind: "suspend", id: "b" },
      { kind: "queued" },
    ]);
    expect(kinds(scenario.request("equal", { share: fraction(1), priority: -1 }))).toEqual(["queued"]);
  });

  it("looks elsewhere when one cannot be saved, and leaves in peace what has just come back", () => {
    const scenario = new Scenario([device("d")], options);
    scenario.lease("a", { share: fraction(0.5) });
    scenario.later(10);
    scenario.lease("b", { share: fraction(0.5) });
    expect(scenario.request("head", { share: fraction(0.5), priority: 1, waitMs: 1e6 })[0]).toMatchObject({ id: "b" });
    expect(scenario.send({ kind: "parkFailed", id: "b", message: "No." })).toMatchObject([
      { kind: "suspend", id: "a" },
    ]);
    scenario.send({ kind: "parked", id: "a", savedBytes: 1 });
    scenario.send({ kind: "grantConfirmed", id: "head" });
    expect(kinds(scenario.end("head"))).toContain("resume");
    scenario.send({ kind: "unparked", id: "a" });
    expect(kinds(scenario.request("again", { share: fraction(0.5), priority: 1, waitMs: 1e6 }))).toEqual(["queued"]);
    expect(kinds(scenario.later(10_001))).toEqual(["suspend"]);
  });

  it("suspends another where modules have kept what was counted on, and does not count on that again", () => {
    const scenario = new Scenario([device("d")], options);
    scenario.lease("a", { share: bytes(8 * GiB) });
    scenario.later(10);
    scenario.lease("b", { share: bytes(8 * GiB) });
    const wanted = { share: bytes(8 * GiB), priority: 1, waitMs: 1e6 };
    expect(scenario.request("head", wanted)[0]).toMatchObject({ kind: "suspend", id: "b" });
    const parked = scenario.send({ kind: "parked", id: "b", savedBytes: 1, keptBytes: [GiB] });
    expect(parked).toContainEqual({ kind: "suspend", id: "a" });
    expect(grantsOf(scenario.send({ kind: "parked", id: "a", savedBytes: 1 }))).toEqual(["head"]);
    scenario.send({ kind: "grantConfirmed", id: "head" });
    // What is left is just what the other wants to what it has kept.
    expect(["a", "b"].map((id) => stateOf(scenario, id))).toEqual(["suspended", "resuming"]);
    scenario.end("head");
    for (const id of ["a", "b"]) scenario.send({ kind: "unparked", id });
    scenario.later(10_001);
    expect(kinds(scenario.request("whole", { share: fraction(1), priority: 1, waitMs: 1e6 }))).toEqual(["queued"]);
  });

  it("does not count on memory that stays with a suspended lease's context", () => {
    const scenario = new Scenario([device("d", { overheadBytes: 300 * MiB })], options);
    scenario.lease("low", { share: bytes(12 * GiB) });
    expect(kinds(scenario.request("whole", { priority: 5 }))).toEqual(["queued"]);
    scenario.send({ kind: "withdrawn", id: "whole" });
    expect(kinds(scenario.request("most", { priority: 5, share: bytes(15 * GiB) }))).toEqual(["suspend", "queued"]);
  });
});

describe("after a restart", () => {
  const lease = { id: "a", tenant: "ada", name: "", detached: false, requestedAt: 1, grantedAt: 1 };
  const slices = [{ index: 0, deviceId: "d", bytes: 16 * GiB, overheadBytes: 0 }];
  const suspension = { message: "Lunch.", comesBack: true, byAdmin: false, since: 1_000, savedBytes: 3 };

  it("takes the step again that was under way", () => {
    for (const [suspensionState, effect] of [
      ["suspending", "suspend"],
      ["resuming", "resume"],
    ] as const) {
      const scenario = new Scenario([device("d")]);
      const stored = { ...lease, slices, suspension, suspensionState };
      expect(scenario.send({ kind: "adopted", lease: stored })).toEqual([{ kind: effect, id: "a" }]);
      expect(listDevices(scenario.pool)[0]?.freeBytes).toBe(0);
    }
  });

  it("lets a suspended lease come back with the rest of its duration, or wait for it", () => {
    const scenario = new Scenario([device("d")], { heartbeatTimeoutMs: 1e9 });
    const stored = { ...lease, slices, suspension, endsAt: 61_000 };
    expect(scenario.send({ kind: "adopted", lease: stored })).toEqual([{ kind: "resume", id: "a" }]);
    scenario.send({ kind: "unparked", id: "a" });
    expect(findLease(scenario.pool, "a")?.endsAt).toBe(scenario.now + 60_000);
    const other = new Scenario([device("d")]);
    other.send({ kind: "adopted", lease: { ...stored, suspension: { ...suspension, comesBack: false } } });
    expect([stateOf(other, "a"), listDevices(other.pool)[0]?.freeBytes]).toEqual(["suspended", 16 * GiB]);
  });

  it("ends a suspended lease whose device is gone or too small", () => {
    for (const devices of [[device("e")], [device("d", { memoryBytes: 8 * GiB })]]) {
      const scenario = new Scenario(devices);
      expect(kinds(scenario.send({ kind: "adopted", lease: { ...lease, slices, suspension } }))).toEqual(["end"]);
    }
  });
});
