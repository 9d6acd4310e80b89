/** A broker that takes up the run before it: requests without their clients, grants that nobody heard of, leases that cannot go on. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Broker, type Wish } from "../../server/control/broker.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import type { Lease } from "../../server/pool/types.ts";
import { decayedUsage } from "../../server/store/ledger.ts";
import { Store } from "../../server/store/store.ts";
import type { SluiceError } from "../../shared/errors.ts";
import { TestClock } from "../support/test-clock.ts";

const MiB = 1024 ** 2;
const HEARTBEAT_MS = 10_000;
const HALF_LIFE_MS = 60_000;

let clock: TestClock;
let store: Store;
let broker: Broker;
const ended: string[] = [];

async function newBroker(): Promise<Broker> {
  return new Broker({
    devices: await nullDriver.discover("2x64MiB"),
    heartbeatTimeoutMs: HEARTBEAT_MS,
    pool: { usageHalfLifeMs: HALF_LIFE_MS },
    reservations: { saveReservation: () => {}, dropReservation: () => {} },
    store,
    clock,
    randomBytes,
    endSessions: async (id) => {
      ended.push(id);
    },
    resizeSlice: async () => {},
    park: async () => ({ savedBytes: 0 }),
    unpark: async () => {},
    log: { info: () => {}, error: () => {} },
  });
}

beforeEach(async () => {
  clock = new TestClock();
  store = new Store(":memory:", (error) => {
    throw error;
  });
  ended.length = 0;
  broker = await newBroker();
});

afterEach(() => {
  broker.close();
  store.close();
});

const wish = (mebibytes: number, more: Partial<Wish> = {}): Wish => ({
  tenant: "ada",
  name: "",
  share: { kind: "bytes", bytes: mebibytes * MiB },
  count: 1,
  waitMs: 600_000,
  ...more,
});

interface Told {
  lease?: Lease;
  secret?: Buffer;
  /** All leases that were granted, by their ids. */
  all?: Map<string, Buffer>;
  error?: SluiceError;
  positions: number[];
  withdraw: () => void;
}

function ask(requestId: string, request: Wish): Told {
  const told: Told = { positions: [], withdraw: () => {} };
  told.withdraw = broker.request(request, {
    requestId,
    queued: (_id, { position }) => told.positions.push(position),
    granted: ({ lease, secret, others }) => {
      told.lease = lease;
      told.secret = secret;
      told.all = new Map([{ lease, secret }, ...others].map((one) => [one.lease.id, one.secret]));
      return true;
    },
    refused: (error) => {
      told.error = error;
    },
  });
  return told;
}

/** The broker dies as in a crash: nothing of it is asked any more, and another starts from what the store has. */
async function crash(failures: ReadonlyMap<string, string> = new Map()): Promise<void> {
  broker.close();
  broker = await newBroker();
  const leases = store.openLeases().map(({ lease, secret, requestId, usage }) => {
    const message = failures.get(lease.id);
    const failure = message === undefined ? {} : { failure: { code: "EXECUTOR_FAILED" as const, message } };
    return { lease, requestId, usage, secret: Buffer.from(secret!), ...failure };
  });
  const usage = decayedUsage(store, { now: clock.now(), halfLifeMs: HALF_LIFE_MS });
  broker.restore({ leases, requests: store.openRequests(), usage });
}

const freeMiB = (): number => broker.devices.list().reduce((sum, { listing }) => sum + listing.freeBytes, 0) / MiB;
const queued = (): string[] => broker.queue.list().map(({ requestId }) => requestId);
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a grant", () => {
  it("that was stored and not heard is told again, with the same secret, to whoever asks under its id", async () => {
    const first = ask("a", wish(32));
    await crash();
    const again = ask("a", wish(32));
    expect(again.lease?.id).toBe(first.lease!.id);
    expect(again.secret!.equals(first.secret!)).toBe(true);
    expect(freeMiB()).toBe(96);
  });

  it("is nobody's of another tenant, though the id of its request be known", async () => {
    const first = ask("a", wish(32));
    await crash();
    const other = ask("a", wish(32, { tenant: "eve" }));
    expect(other.lease!.id).not.toBe(first.lease!.id);
    expect(other.secret!.equals(first.secret!)).toBe(false);
  });

  it("that nobody asks for ends when no heartbeat comes for the whole time-out, which begins anew", async () => {
    ask("a", wish(32));
    clock.advance(HEARTBEAT_MS - 1);
    await crash();
    clock.advance(HEARTBEAT_MS - 1);
    expect(freeMiB()).toBe(96);
    clock.advance(1);
    await settle();
    expect(freeMiB()).toBe(128);
    expect(ask("a", wish(32)).lease).toBeDefined();
  });
});

describe("a grant of several leases", () => {
  it("that was stored and not heard is told again, with all of its leases and their secrets", async () => {
    const first = ask("a", wish(16, { leases: 3 }));
    expect(first.all!.size).toBe(3);
    expect(ask("a", wish(16, { leases: 3 })).all).toEqual(first.all);
    await crash();
    const again = ask("a", wish(16, { leases: 3 }));
    expect(again.all).toEqual(first.all);
    expect(freeMiB()).toBe(80);
    for (const [id, secret] of again.all!) await broker.release(id, secret);
    expect(freeMiB()).toBe(128);
    // The id of the request is free with the last of them.
    expect(ask("a", wish(16, { leases: 2 })).all!.size).toBe(2);
  });

  it("is in the store as a whole or not at all", async () => {
    const save = store.saveLease.bind(store);
    let saves = 0;
    vi.spyOn(store, "saveLease").mockImplementation((lease, terms) => {
      if (++saves === 2) throw new Error("The disk is full.");
      save(lease, terms);
    });
    expect(ask("a", wish(16, { leases: 3 })).error?.code).toBe("STORE_FAILED");
    expect([freeMiB(), store.openLeases()]).toEqual([128, []]);
    await crash();
    expect([freeMiB(), broker.leases()]).toEqual([128, []]);
    expect(ask("a", wish(16, { leases: 3 })).all!.size).toBe(3);
  });

  it("that nobody comes back for ends as a whole, also when it was granted meanwhile", async () => {
    const all = ask("all", wish(64, { count: 2 }));
    ask("next", wish(32, { leases: 3, detached: true, durationMs: 600_000 }));
    await crash();
    await broker.release(all.lease!.id, all.secret!);
    expect(freeMiB()).toBe(32);
    clock.advance(HEARTBEAT_MS);
    await settle();
    expect([freeMiB(), store.openLeases()]).toEqual([128, []]);
  });

  it("is taken back as a whole when its client is gone", () => {
    const listener = { requestId: "a", queued: () => {}, granted: () => false, refused: () => {} };
    broker.request(wish(16, { leases: 3 }), listener);
    expect([freeMiB(), broker.leases(), store.openLeases()]).toEqual([128, [], []]);
  });
});

describe("a waiting request", () => {
  it("keeps its place behind and before the others, and its client hears of it when it asks again", async () => {
    const all = ask("all", wish(64, { count: 2 }));
    for (const id of ["first", "second", "third"]) ask(id, wish(64, { count: 2 }));
    const since = broker.queue.list().map(({ place }) => place.requestedAt);
    clock.advance(3_000);
    await crash();
    expect(queued()).toEqual(["first", "second", "third"]);
    expect(broker.queue.list().map(({ place }) => place.requestedAt)).toEqual(since);
    const second = ask("second", wish(64, { count: 2 }));
    expect(second.positions).toEqual([2]);
    expect(ask("fourth", wish(64, { count: 2 })).positions).toEqual([4]);
    await broker.release(all.lease!.id, all.secret!);
    expect(queued()).toEqual(["second", "third", "fourth"]);
  });

  it("is granted though its client is not back yet, and told when it is", async () => {
    const all = ask("all", wish(64, { count: 2 }));
    ask("next", wish(64));
    await crash();
    await broker.release(all.lease!.id, all.secret!);
    expect(queued()).toEqual([]);
    const next = ask("next", wish(64));
    expect(next.lease!.slices[0]!.bytes).toBe(64 * MiB);
    expect(freeMiB()).toBe(64);
    // It is its client's, so it is not taken back.
    clock.advance(HEARTBEAT_MS - 1);
    expect(freeMiB()).toBe(64);
  });

  it("leaves when its client does not come back, and so does a detached lease that it became", async () => {
    const all = ask("all", wish(64, { count: 2, detached: true, durationMs: 600_000 }));
    ask("detached", wish(64, { detached: true, durationMs: 600_000 }));
    ask("big", wish(64, { count: 2 }));
    await crash();
    await broker.release(all.lease!.id, all.secret!);
    expect(freeMiB()).toBe(64);
    expect(queued()).toEqual(["big"]);
    clock.advance(HEARTBEAT_MS);
    await settle();
    expect(queued()).toEqual([]);
    expect(freeMiB()).toBe(128);
    expect(store.openRequests()).toEqual([]);
    expect(store.openLeases()).toEqual([]);
  });

  it("is the newest call's: an older one of the same client is told so, and its end means nothing", async () => {
    ask("all", wish(64, { count: 2 }));
    const old = ask("a", wish(8));
    const young = ask("a", wish(8));
    expect(old.error?.code).toBe("CANCELLED");
    expect(young.positions).toEqual([1]);
    old.withdraw();
    expect(queued()).toEqual(["a"]);
    young.withdraw();
    expect(queued()).toEqual([]);
    store.flush();
    expect(store.openRequests()).toEqual([]);
  });

  it("of which nobody has an id is not stored", async () => {
    ask("all", wish(64, { count: 2 }));
    ask("", wish(8));
    expect(queued()).toEqual([""]);
    expect(store.openRequests()).toEqual([]);
  });

  it("has the priority that an admin gave it", async () => {
    ask("all", wish(64, { count: 2 }));
    ask("first", wish(8));
    ask("urgent", wish(8));
    const urgent = broker.queue.list().find(({ requestId }) => requestId === "urgent")!.place.request;
    broker.queue.setPriority(urgent.id, 50);
    await crash();
    expect(queued()).toEqual(["urgent", "first"]);
  });
});

describe("a lease", () => {
  it("whose executor is gone is closed with the reason, its memory is free, and its client hears why", async () => {
    const lost = ask("lost", wish(32));
    const kept = ask("kept", wish(16));
    await crash(new Map([[lost.lease!.id, "The executor died."]]));
    await settle();
    expect(freeMiB()).toBe(112);
    expect(() => broker.find(lost.lease!.id)).toThrow("The executor died.");
    expect(broker.find(kept.lease!.id).id).toBe(kept.lease!.id);
    const [row] = store.query<{ end_code: string }>("SELECT end_code FROM leases WHERE id = ?", lost.lease!.id);
    expect(row!.end_code).toBe("EXECUTOR_FAILED");
  });

  it("that ended before is known by its end, its use and its secret, and no other secret", async () => {
    const { lease, secret } = ask("a", wish(32, { durationMs: 600_000 }));
    broker.used(lease!.id, { calls: 7, batches: 2, answers: 1, bytesReceived: 100, bytesSent: 50, deviceMs: 3 });
    clock.advance(1_500);
    await broker.release(lease!.id, secret!);
    await crash();
    const again = await broker.release(lease!.id, secret!);
    expect(again).toMatchObject({ released: false, usage: { calls: 7, heldMs: 1_500 } });
    await expect(broker.release(lease!.id, randomBytes(32))).rejects.toThrow("is not that of the lease");
    expect(() => broker.find(lease!.id)).toThrow(expect.objectContaining({ code: "LEASE_ENDED" }));
    expect(broker.ownerOf(lease!.id)).toBe("ada");
    expect(() => broker.find("lease-none")).toThrow(expect.objectContaining({ code: "LEASE_NOT_FOUND" }));
    const rows = store.query<{ secret: null }>("SELECT secret FROM leases");
    expect(rows.map((row) => row.secret)).toEqual([null]);
  });

  it("on a device that is gone ends, and its executor with it", async () => {
    const { lease } = ask("a", wish(32));
    store.write("UPDATE slices SET device_id = 'null:7' WHERE lease_id = ?", lease!.id);
    await crash();
    await settle();
    expect(ended).toEqual([lease!.id]);
    expect(freeMiB()).toBe(128);
    expect(store.openLeases()).toEqual([]);
  });

  it("is known as that of the token that asked for it, also when it waited meanwhile", async () => {
    ask("a", wish(64, { tokenId: "one" }));
    ask("b", wish(64, { tokenId: "two" }));
    expect(ask("c", wish(64)).lease).toBeUndefined();
    ask("d", wish(64, { tokenId: "four" }));
    await crash();
    const tokens = (): unknown[] => broker.leases().map(({ tokenId }) => tokenId);
    expect(tokens().toSorted()).toEqual(["one", "two"]);
    for (const { id } of broker.leases()) void broker.release(id, Buffer.alloc(0));
    await settle();
    expect(tokens().toSorted()).toEqual(["four", undefined]);
  });

  it("that was revoked ends when it was to, for the reason that was given", async () => {
    const { lease, secret } = ask("a", wish(32, { durationMs: 600_000 }));
    broker.revoke(lease!.id, { graceMs: 5_000, message: "The machine moves." });
    clock.advance(2_000);
    store.flush();
    await crash();
    const { beat } = broker.hold(lease!.id, secret!, { notice: () => {}, resized: () => {}, ended: () => {} });
    beat();
    clock.advance(2_999);
    expect(freeMiB()).toBe(96);
    clock.advance(1);
    await settle();
    expect(() => broker.find(lease!.id)).toThrow("The machine moves.");
    const [row] = store.query<{ end_code: string }>("SELECT end_code FROM leases WHERE id = ?", lease!.id);
    expect(row!.end_code).toBe("LEASE_REVOKED");
  });

  it("goes on counting its use where it was", async () => {
    const { lease } = ask("a", wish(32));
    const usage = { calls: 7, batches: 2, answers: 1, bytesReceived: 100, bytesSent: 50, deviceMs: 3 };
    broker.used(lease!.id, usage);
    store.flush();
    await crash();
    expect(broker.find(lease!.id).usage).toEqual(usage);
    broker.used(lease!.id, { ...usage, calls: 9 });
    store.flush();
    expect(store.openLeases()[0]!.usage.calls).toBe(9);
  });
});

it("what tenants have used counts in the fair share as if nothing had happened", async () => {
  const ofAda = ask("a", wish(64));
  const ofBob = ask("b", wish(16, { tenant: "bob" }));
  const beat = (): void => {
    for (const { lease, secret } of [ofAda, ofBob]) {
      if (lease === undefined || !broker.leases().some(({ id }) => id === lease.id)) continue;
      broker.hold(lease.id, secret!, { notice: () => {}, resized: () => {}, ended: () => {} }).beat();
    }
  };
  for (let second = 0; second < 90; second += 5) {
    beat();
    clock.advance(5_000);
    if (second === 45) await broker.release(ofAda.lease!.id, ofAda.secret!);
  }
  store.flush();
  const before = new Map(broker.tenants().map(({ tenant, usage }) => [tenant, usage]));
  expect(before.get("ada")).toBeGreaterThan(0);
  await crash();
  for (const { tenant, usage } of broker.tenants()) {
    expect(usage / before.get(tenant)!).toBeCloseTo(1, 6);
  }
  expect(
    broker
      .tenants()
      .map(({ tenant }) => tenant)
      .sort(),
  ).toEqual(["ada", "bob"]);
});
