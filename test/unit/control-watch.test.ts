/** Watching the pool: what watchers are told, how often, in which order, and what a slow or foreign one costs and sees. */
import { randomBytes } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import type { WatchPoolResponse } from "../../proto/generated/sluice/v1/WatchPoolResponse.ts";
import type { Identity } from "../../server/access/identity.ts";
import { Visibility } from "../../server/access/visibility.ts";
import { Broker } from "../../server/control/broker.ts";
import { PoolView } from "../../server/control/pool-view.ts";
import { PoolWatch } from "../../server/control/pool-watch.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import { SluiceError } from "../../shared/errors.ts";
import { QUEUE_SHOWN_MAX, WATCHERS_MAX } from "../../shared/limits.ts";
import { TestClock } from "../support/test-clock.ts";

const MiB = 1024 ** 2;
const admin: Identity = { tenant: "local", role: "admin", tokenId: "" };
const alice: Identity = { tenant: "alice", role: "tenant", tokenId: "" };

let clock: TestClock;
let broker: Broker;
let watch: PoolWatch;
let visibility: Visibility;

beforeEach(async () => {
  clock = new TestClock();
  broker = new Broker({
    devices: await nullDriver.discover("2x64MiB"),
    heartbeatTimeoutMs: 1_000_000,
    reservations: { saveReservation: () => {}, dropReservation: () => {} },
    store: {
      atomically: (work) => work(),
      saveLease: () => {},
      saveRequest: () => {},
      dropRequest: () => {},
      saveEnd: () => {},
      saveSize: () => {},
      saveSuspension: () => {},
      saveUsage: () => {},
      endedLease: () => undefined,
      closeLease: () => {},
    },
    clock,
    randomBytes,
    resizeSlice: async () => {},
    park: async () => ({ savedBytes: 0 }),
    unpark: async () => {},
    endSessions: () => Promise.resolve(),
    log: { info: () => {}, error: () => {} },
  });
  visibility = new Visibility(randomBytes(32));
  watch = new PoolWatch({ broker, clock, visibility });
});

/** A lease of a tenant, or a place in the queue. */
function ask(tenant: string, bytes: number, waitMs = 0): { id: string; withdraw: () => void } {
  let id = "";
  const wish = { tenant, name: `job of ${tenant}`, share: { kind: "bytes" as const, bytes }, count: 1, waitMs };
  const withdraw = broker.request(wish, {
    requestId: "",
    queued: () => {},
    granted: ({ lease }) => {
      id = lease.id;
      return true;
    },
    refused: () => {},
  });
  return { id, withdraw };
}

/** A reader as the rule of WatchPool has it. */
class Reader {
  readonly messages: WatchPoolResponse[] = [];
  readonly leases = new Map<string, WatchPoolResponse["leases"]>();
  devices = new Map<string, number>();
  queue: string[] = [];
  waiting = 0;
  cut: SluiceError | undefined;
  isSlow = false;
  #done: (() => void)[] = [];
  readonly stop: () => void;

  constructor(viewer: Identity, intervalMs = 0) {
    this.stop = watch.open(viewer, {
      intervalMs,
      send: (message, done) => {
        this.#take(message);
        if (this.isSlow) this.#done.push(done);
        else done();
      },
      cut: (error) => {
        this.cut = error;
      },
    });
  }

  drain(): void {
    this.isSlow = false;
    for (const done of this.#done.splice(0)) done();
  }

  get leaseIds(): string[] {
    return [...this.leases.keys()];
  }

  #take(message: WatchPoolResponse): void {
    this.messages.push(message);
    expect(message.sequence).toBe(this.messages.length);
    if (message.snapshot) {
      this.leases.clear();
      this.devices.clear();
    }
    for (const { id = "", freeBytes } of message.devices ?? []) this.devices.set(id, Number(freeBytes) / MiB);
    for (const id of message.goneLeaseIds ?? []) this.leases.delete(id);
    for (const lease of message.leases ?? []) this.leases.set(lease.id!, [lease]);
    if (!message.queueChanged) return;
    this.queue = (message.queue ?? []).map(({ tenant = "" }) => tenant);
    this.waiting = message.waiting ?? 0;
  }
}

test("the first message is a snapshot, the next ones hold only what has changed", async () => {
  const first = ask("alice", 16 * MiB);
  const reader = new Reader(admin);
  expect(reader.messages).toMatchObject([{ snapshot: true, sequence: 1 }]);
  expect(reader.messages[0]!.tenants).toMatchObject([{ name: "alice", leases: 1 }]);
  expect([...reader.devices]).toEqual([
    ["null:0", 48],
    ["null:1", 64],
  ]);
  const second = ask("bob", 8 * MiB);
  clock.advance(300);
  expect(reader.messages).toHaveLength(2);
  expect(reader.messages[1]).toMatchObject({ snapshot: false, leases: [{ id: second.id, tenant: "bob" }] });
  expect(reader.messages[1]!.devices).toHaveLength(1);
  expect(reader.leaseIds).toEqual([first.id, second.id]);
  await broker.release(first.id, new Uint8Array());
  clock.advance(300);
  expect(reader.leaseIds).toEqual([second.id]);
  expect(reader.devices.get("null:0")).toBe(56);
});

test("many changes become a few messages, and a quiet pool is told from a dead one", () => {
  const reader = new Reader(admin);
  for (let at = 0; at < 1_000; at += 10) {
    ask("alice", MiB);
    clock.advance(10);
  }
  clock.advance(250);
  expect(reader.leaseIds).toHaveLength(100);
  expect(reader.messages.length).toBeLessThan(7);
  const before = reader.messages.length;
  clock.advance(20_000);
  expect(reader.messages.length - before).toBeGreaterThanOrEqual(3);
  expect(reader.messages.length - before).toBeLessThanOrEqual(5);
  expect(reader.messages.at(-1)).toMatchObject({ snapshot: false, devices: [], leases: [] });
});

test("a reader that is behind gets one message with the latest, and one that reads nothing is cut off", () => {
  const slow = new Reader(admin);
  const stalled = new Reader(admin);
  slow.isSlow = true;
  stalled.isSlow = true;
  ask("alice", MiB);
  clock.advance(500);
  for (let count = 0; count < 50; count++) {
    ask("alice", MiB / 4);
    clock.advance(300);
  }
  expect(slow.messages).toHaveLength(2);
  slow.drain();
  clock.advance(200);
  expect(slow.messages).toHaveLength(3);
  expect(slow.leaseIds).toHaveLength(51);
  clock.advance(40_000);
  expect(stalled.cut?.code).toBe("CONNECTION_LOST");
  expect(slow.cut).toBeUndefined();
});

test("a tenant sees its own in full, and of others only that they hold and wait", () => {
  const own = ask("alice", 40 * MiB);
  const foreign = ask("bob", 40 * MiB);
  ask("bob", 60 * MiB, 60_000);
  ask("alice", 50 * MiB, 60_000);
  const reader = new Reader(alice);
  clock.advance(300);
  expect(reader.leases.get(own.id)).toMatchObject([{ name: "job of alice", usage: { calls: 0 } }]);
  const foreignId = visibility.idSeenBy(alice, { id: foreign.id, tenant: "bob" });
  expect(reader.leases.get(foreignId)).toMatchObject([{ name: "", usage: null, activity: null, clientAddress: "" }]);
  expect(reader.devices.size).toBe(2);
  expect(reader.queue).toEqual(["bob", "alice"]);
  const text = JSON.stringify(reader.messages);
  expect(text).not.toContain("job of bob");
  expect(text).not.toMatch(/"tenants":\[[^\]]/);
});

test("a watcher hears of the end of what it was told of, and hears nothing of leases that ended before, or came and went unseen", async () => {
  const past = ask("bob", MiB);
  const seen = ask("bob", MiB);
  const early = new Reader(admin);
  await broker.release(past.id, new Uint8Array());
  const reader = new Reader(alice, 5_000);
  clock.advance(5_000);
  const brief = ask("bob", MiB);
  clock.advance(200);
  await broker.release(brief.id, new Uint8Array());
  await broker.release(seen.id, new Uint8Array());
  clock.advance(10_000);
  expect(early.leaseIds).toEqual([]);
  expect(reader.leaseIds).toEqual([]);
  const told = reader.messages.flatMap(({ goneLeaseIds = [] }) => goneLeaseIds);
  expect(told).toEqual([visibility.idSeenBy(alice, { id: seen.id, tenant: "bob" })]);
  expect(JSON.stringify(reader.messages)).not.toContain(past.id);
});

test("a tenant hears of others' leases and requests by stand-ins alone, from the queue to their end, and its copy adds up", async () => {
  const own = ask("alice", 40 * MiB);
  const foreign = [ask("bob", 60 * MiB), ask("carol", 16 * MiB)];
  const waits = ask("bob", 60 * MiB, 60_000);
  const reader = new Reader(alice);
  const waiting = broker.queue.list().map(({ place }) => place.request.id);
  expect(waiting).toHaveLength(1);
  const [standin] = reader.messages[0]!.queue!.map(({ id }) => id);
  for (const { id } of foreign) await broker.release(id, new Uint8Array());
  clock.advance(300);
  // It has its turn now, under the name that it waited by.
  expect(reader.leaseIds.toSorted()).toEqual([own.id, standin].toSorted());
  waits.withdraw();
  await broker.release(waiting[0]!, new Uint8Array());
  await broker.release(own.id, new Uint8Array());
  clock.advance(300);
  expect(reader.leaseIds).toEqual([]);
  const text = JSON.stringify(reader.messages);
  for (const id of [...foreign.map((lease) => lease.id), ...waiting]) expect(text).not.toContain(id);
  expect(text).toContain(own.id);
  // Who guesses an id can not tell that it guessed right: the stand-in hangs on a key of the server's own.
  expect(new Visibility(randomBytes(32)).idSeenBy(alice, { id: waiting[0]!, tenant: "bob" })).not.toBe(standin);
});

test("a long queue is shown by its head and its length", () => {
  ask("alice", 64 * MiB);
  ask("alice", 64 * MiB);
  for (let count = 0; count < 500; count++) ask("bob", 8 * MiB, 60_000);
  const reader = new Reader(admin);
  expect(reader.queue).toHaveLength(QUEUE_SHOWN_MAX);
  expect(reader.waiting).toBe(500);
});

test("what a lease does is told as rates, which fall to nothing when nothing comes", () => {
  const { id } = ask("alice", MiB);
  const reader = new Reader(admin);
  const usage = { calls: 0, batches: 0, answers: 0, bytesReceived: 0, bytesSent: 0, deviceMs: 0 };
  for (let second = 1; second <= 3; second++) {
    clock.advance(1_000);
    broker.used(id, { ...usage, calls: 500 * second, answers: 20 * second, deviceMs: 250 * second });
  }
  const at = clock.now();
  clock.advance(300);
  const [lease] = reader.leases.get(id)!;
  expect(lease!.activity).toMatchObject({
    callsPerSecond: 500,
    answersPerSecond: 20,
    deviceLoad: 0.25,
    lastCallAtMs: at,
  });
  expect(lease!.usage).toMatchObject({ calls: 1_500 });
  clock.advance(5_000);
  expect(reader.leases.get(id)![0]!.activity).toMatchObject({ callsPerSecond: 0, deviceLoad: 0, lastCallAtMs: at });
});

test("what a lease did in the last ten minutes is remembered, and no more", () => {
  const { id } = ask("alice", MiB);
  const usage = { calls: 0, batches: 0, answers: 0, bytesReceived: 0, bytesSent: 0, deviceMs: 0 };
  for (let second = 1; second <= 650; second++) {
    clock.advance(1_000);
    broker.used(id, { ...usage, calls: 10 * second });
  }
  const past = broker.pastOf(id);
  expect(past).toHaveLength(120);
  expect(past.at(-1)!.activity.callsPerSecond).toBe(10);
  expect(past[1]!.atMs - past[0]!.atMs).toBe(5_000);
  clock.advance(300_000);
  expect(broker.pastOf(id).length).toBeLessThan(62);
  expect(() => broker.pastOf("lease-0")).toThrow("There is no lease");
});

test("watchers are bounded, and all hear why they are ended", () => {
  const readers = Array.from({ length: WATCHERS_MAX }, () => new Reader(admin));
  expect(() => new Reader(admin)).toThrow("watchers look at the pool already");
  readers.pop()!.stop();
  readers.push(new Reader(admin));
  watch.close(new SluiceError("SHUTTING_DOWN", "The server stops."));
  expect(readers.every((reader) => reader.cut?.code === "SHUTTING_DOWN")).toBe(true);
  expect(() => new Reader(admin, 3_600_000)).toThrow("interval");
});

test("a view that has forgotten what is gone says so instead of leaving it out", () => {
  const view = new PoolView();
  const picture = (ids: readonly string[]) => ({
    devices: [],
    leases: ids.map((id) => ({ id })),
    queue: [],
    waiting: 0,
    tenants: [],
  });
  view.refresh(picture(Array.from({ length: 20_000 }, (_, index) => `lease-${index}`)));
  const before = view.revision;
  view.refresh(picture([]));
  expect(view.since(before)).toBeUndefined();
  expect(view.since(0)!.leases).toMatchObject({ changed: [] });
  expect(view.since(view.revision)!.leases).toEqual({ changed: [], gone: [] });
});
