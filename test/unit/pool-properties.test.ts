/** Whatever happens to a pool, in whatever order: no byte is granted twice, nothing is negative, and all comes back to empty. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createPool,
  decide,
  explain,
  listDevices,
  listLeases,
  listQueue,
  nextDeadline,
  type PoolState,
  queuePlace,
} from "../../server/pool/pool.ts";
import type { Effect, PoolDevice, PoolEvent, PoolOptions, PoolRequest } from "../../server/pool/types.ts";
import { Auditor } from "../sim/auditor.ts";

const MiB = 1024 * 1024;

/** EFFORT=50 searches fifty times as long. */
const EFFORT = Number(process.env["EFFORT"] ?? 1);

const device: fc.Arbitrary<Omit<PoolDevice, "id">> = fc
  .record({
    server: fc.constantFrom("", "b"),
    shape: fc.constantFrom(
      { memoryBytes: 64 * MiB, granularityBytes: 2 * MiB, overheadBytes: 0, sliceBytesMax: 64 * MiB },
      { memoryBytes: 64 * MiB, granularityBytes: 2 * MiB, overheadBytes: 3 * MiB, sliceBytesMax: 64 * MiB },
      { memoryBytes: 100 * MiB + 1, granularityBytes: 65_536, overheadBytes: 0, sliceBytesMax: 40 * MiB },
    ),
  })
  .map(({ server, shape }) => ({ server, ...shape }))
  .chain((spec) =>
    fc
      .record({
        sharing: fc.constantFrom<PoolDevice["sharing"][]>(
          undefined,
          undefined,
          { mode: "exclusive" },
          { mode: "profile", profileBytes: 16 * MiB },
        ),
        marks: fc.constantFrom<Pick<PoolDevice, "labels" | "taints">[]>(
          {},
          {},
          { labels: { zone: "a" } },
          { labels: { zone: "b", old: "" }, taints: ["old"] },
        ),
      })
      .map(({ sharing, marks }) => ({ ...spec, ...marks, ...(sharing === undefined ? {} : { sharing }) })),
  );

const wish = fc.record({
  tenant: fc.constantFrom("ada", "bob", "cyd"),
  share: fc.oneof(
    fc.integer({ min: 1, max: 70 * MiB }).map((bytes) => ({ kind: "bytes" as const, bytes })),
    fc.constantFrom(0.1, 0.25, 0.5, 0.999, 1).map((fraction) => ({ kind: "fraction" as const, fraction })),
  ),
  count: fc.constantFrom(1, 1, 1, 2, 3),
  leases: fc.constantFrom(undefined, undefined, undefined, 2, 3),
  sameDevice: fc.boolean(),
  waitMs: fc.constantFrom(0, 1000, 60_000),
  priority: fc.constantFrom(0, 0, 0, 1, -1),
  durationMs: fc.constantFrom(undefined, undefined, 5000, 90_000),
  idleMs: fc.constantFrom(undefined, undefined, 30_000),
  mode: fc.constantFrom(undefined, undefined, undefined, "exclusive", "profile"),
  policy: fc.constantFrom(undefined, undefined, "spread", "topology"),
  filters: fc.constantFrom(undefined, undefined, undefined, ["label.zone=a"], ["device.id=d1"]),
  avoid: fc.constantFrom(undefined, undefined, ["zone"]),
  tolerate: fc.constantFrom(undefined, ["old"]),
  compute: fc.constantFrom(undefined, undefined, 1, 250, 333, 900, 1000),
});

/** One step: what happens, to which of the ids known so far, after how much time. */
const step = fc.record({
  what: fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("requested" as const), wish }) },
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constantFrom(
          "withdrawn",
          "grantConfirmed",
          "grantFailed",
          "heartbeat",
          "attached",
          "detached",
          "released",
          "failed",
          "revoked",
          "reclaimed",
          "reclaimed",
          "again",
          "busy",
          "resizeAsked",
          "resizeAsked",
          "resizeConfirmed",
          "resizeFailed",
        ),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constantFrom("deviceRemoved", "deviceCordoned", "deviceUncordoned") }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("deviceAdded" as const), device }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("tenantSet" as const),
        memoryBytes: fc.nat(150 * MiB),
        leases: fc.nat(5),
      }),
    },
    { weight: 2, arbitrary: fc.constant({ kind: "tick" as const }) },
  ),
  whom: fc.nat(1_000_000),
  laterMs: fc.constantFrom(0, 0, 0, 1, 500, 20_000),
});

class Run {
  readonly pool: PoolState;
  readonly auditor: Auditor;
  readonly ids: string[] = [];
  readonly wishes = new Map<string, PoolRequest>();
  readonly devices: string[] = [];
  now = 1000;

  constructor(options: PoolOptions = {}) {
    this.pool = createPool(options);
    this.auditor = new Auditor(this.pool);
  }

  /** Time first, then the event, so that the books can tell their effects apart. */
  send(event: PoolEvent): readonly Effect[] {
    this.auditor.observe({ kind: "tick" }, decide(this.pool, { kind: "tick" }, this.now), this.now);
    const effects = decide(this.pool, event, this.now);
    this.auditor.observe(event, effects, this.now);
    return effects;
  }

  add(spec: Omit<PoolDevice, "id">): void {
    const id = `d${this.devices.length}`;
    this.devices.push(id);
    this.send({ kind: "deviceAdded", device: { id, ...spec } });
  }

  request(fields: Omit<PoolRequest, "id" | "name">): readonly Effect[] {
    const id = `r${this.ids.length}`;
    this.ids.push(id);
    for (let part = 2; part <= (fields.leases ?? 1); part++) this.ids.push(`${id}-${part}`);
    const request = { id, name: "", ...fields };
    this.wishes.set(id, request);
    return this.send({ kind: "requested", request });
  }

  /** Ends everything: afterwards the pool must be as new. */
  finish(): void {
    for (const { request } of listQueue(this.pool)) this.send({ kind: "withdrawn", id: request.id });
    for (const lease of listLeases(this.pool)) this.send({ kind: "released", id: lease.id });
    for (const lease of listLeases(this.pool)) this.send({ kind: "reclaimed", id: lease.id });
    for (const lease of listLeases(this.pool)) this.send({ kind: "reclaimed", id: lease.id });
  }
}

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}

function take(run: Run, { what, whom, laterMs }: Step): void {
  run.now += laterMs;
  const id = run.ids[whom % Math.max(1, run.ids.length)] ?? "nobody";
  const deviceId = run.devices[whom % Math.max(1, run.devices.length)] ?? "nothing";
  switch (what.kind) {
    case "requested":
      run.request(withoutUndefined(what.wish) as Omit<PoolRequest, "id" | "name">);
      return;
    case "deviceAdded":
      run.add(what.device);
      return;
    case "again": {
      const known = run.wishes.get(id);
      if (known !== undefined) run.send({ kind: "requested", request: known });
      return;
    }
    case "failed":
      run.send({ kind: "failed", id, code: "EXECUTOR_FAILED", message: "The executor died." });
      return;
    case "revoked":
      run.send({ kind: "revoked", id, graceMs: 1000, message: "An admin ends the lease." });
      return;
    case "deviceRemoved":
      run.send({ kind: "deviceRemoved", deviceId, message: "The device is removed." });
      return;
    case "deviceCordoned":
      run.send({ kind: "deviceCordoned", deviceId, code: "DEVICE_CORDONED", message: "The admin wants it so." });
      return;
    case "deviceUncordoned":
      run.send({ kind: "deviceUncordoned", deviceId });
      return;
    case "tick":
      run.send({ kind: "tick" });
      return;
    case "tenantSet": {
      const tenant = ["ada", "bob"][whom % 2]!;
      run.send({
        kind: "tenantSet",
        tenant,
        weight: 1 + (whom % 3),
        quota: { memoryBytes: what.memoryBytes, leases: what.leases },
      });
      return;
    }
    case "busy":
      run.send({ kind: "active", id, isBusy: whom % 2 === 0 });
      return;
    case "resizeAsked":
      run.send({
        kind: "resizeAsked",
        id,
        index: whom % 2,
        bytes: (whom * 64) % (70 * MiB),
        usedBytes: whom % (8 * MiB),
      });
      return;
    default:
      run.send({ kind: what.kind as "released", id });
  }
}

describe("a pool under arbitrary events", () => {
  it("keeps books that add up after every event, and returns to empty", () => {
    fc.assert(
      fc.property(
        fc.array(device, { minLength: 1, maxLength: 5 }),
        fc.array(step, { maxLength: 120 }),
        fc.record({
          preemption: fc.boolean(),
          passesMax: fc.nat(3),
          preemptionGraceMs: fc.constantFrom(0, 1000),
          promoteAfterMs: fc.constantFrom(500, 3_600_000),
        }),
        (devices, steps, options) => {
          const run = new Run(options);
          for (const spec of devices) run.add(spec);
          for (const one of steps) take(run, one);
          run.finish();
          for (const listing of listDevices(run.pool)) expect(listing.freeBytes).toBe(listing.device.memoryBytes);
          expect(listLeases(run.pool)).toEqual([]);
          expect(listQueue(run.pool)).toEqual([]);
        },
      ),
      { numRuns: 400 * EFFORT },
    );
  });

  it("tells every waiting request the place that the listing shows", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 80 }), (steps) => {
        const run = new Run({ promoteAfterMs: 500 });
        run.add({ memoryBytes: 64 * MiB, granularityBytes: 2 * MiB, overheadBytes: 0, sliceBytesMax: 64 * MiB });
        for (const one of steps) {
          take(run, one);
          for (const entry of listQueue(run.pool)) {
            expect(queuePlace(run.pool, entry.request.id)?.position).toBe(entry.position);
          }
        }
      }),
      { numRuns: 200 * EFFORT },
    );
  });

  it("explains before what it does afterwards", () => {
    fc.assert(
      fc.property(
        fc.array(device, { minLength: 1, maxLength: 4 }),
        fc.array(step, { maxLength: 60 }),
        wish,
        (devices, steps, last) => {
          const run = new Run({ promoteAfterMs: 500 });
          for (const spec of devices) run.add(spec);
          for (const one of steps) take(run, one);
          run.send({ kind: "tick" });
          const request = withoutUndefined({ id: "last", name: "", ...last }) as PoolRequest;
          const before = explain(run.pool, request);
          const effects = run.send({ kind: "requested", request });
          const answer = effects.find(
            (effect) =>
              ("id" in effect && effect.id === "last") || (effect.kind === "granted" && effect.lease.id === "last"),
          );
          expect(answer?.kind).toBe(before.kind);
          if (answer?.kind === "granted" && before.kind === "granted") {
            const leases = [answer.lease, ...(answer.others ?? [])];
            expect(leases.flatMap((lease) => lease.slices)).toEqual(before.slices);
          }
          if (answer?.kind === "queued" && before.kind === "queued") expect(answer.position).toBe(before.position);
          if (answer?.kind === "refused" && before.kind === "refused") expect(answer.code).toBe(before.code);
        },
      ),
      { numRuns: 300 * EFFORT },
    );
  });

  it("does at an event what it would have done at a tick before it", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const run = new Run();
        const other = createPool();
        run.add({ memoryBytes: 64 * MiB, granularityBytes: 2 * MiB, overheadBytes: 0, sliceBytesMax: 64 * MiB });
        const [first] = listDevices(run.pool);
        decide(other, { kind: "deviceAdded", device: first!.device }, run.now);
        const send = run.send.bind(run);
        run.send = (event) => {
          decide(other, event, run.now);
          return send(event);
        };
        for (const one of steps) take(run, one);
        expect(listLeases(other)).toEqual(listLeases(run.pool));
        expect(listQueue(other)).toEqual(listQueue(run.pool));
      }),
      { numRuns: 100 * EFFORT },
    );
  });

  it("gives equal effects for equal events", () => {
    fc.assert(
      fc.property(
        fc.array(device, { minLength: 1, maxLength: 4 }),
        fc.array(step, { maxLength: 60 }),
        (devices, steps) => {
          const runs = [new Run(), new Run()];
          for (const run of runs) {
            for (const spec of devices) run.add(spec);
            for (const one of steps) take(run, one);
          }
          expect(listLeases(runs[0]!.pool)).toEqual(listLeases(runs[1]!.pool));
          expect(listQueue(runs[0]!.pool)).toEqual(listQueue(runs[1]!.pool));
          expect(nextDeadline(runs[0]!.pool)).toBe(nextDeadline(runs[1]!.pool));
        },
      ),
      { numRuns: 100 * EFFORT },
    );
  });
});
