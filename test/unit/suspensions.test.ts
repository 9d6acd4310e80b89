/** Suspension in the broker: pool, store and executor come to the same word, whatever fails on the way, and a restart takes it up. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Broker } from "../../server/control/broker.ts";
import type { LeaseNotice } from "../../server/control/lease-record.ts";
import type { Parked } from "../../server/executor/control-messages.ts";
import type { Lease } from "../../server/pool/types.ts";
import { usageByTenant } from "../../server/store/ledger.ts";
import { Settings } from "../../server/store/settings.ts";
import { Store } from "../../server/store/store.ts";
import { SluiceError } from "../../shared/errors.ts";
import { TestClock } from "../support/test-clock.ts";

const GiB = 1024 ** 3;
const device = {
  id: "null:0",
  kind: "null",
  name: "Null",
  memoryBytes: 4 * GiB,
  granularityBytes: 4096,
  overheadBytes: 0,
  sliceBytesMax: 4 * GiB,
  capabilityMajor: 8,
  capabilityMinor: 0,
} as never;

let folder: string;
let clock: TestClock;
let store: Store;
let broker: Broker;
let park: (id: string) => Promise<Parked>;
let unpark: (id: string) => Promise<void>;
let told: string[];

function start(): void {
  store = new Store(folder, () => {});
  broker = new Broker({
    devices: [device],
    heartbeatTimeoutMs: 1e9,
    store,
    reservations: new Settings(store),
    clock,
    randomBytes,
    resizeSlice: async () => {},
    park: (id) => park(id),
    unpark: (id) => unpark(id),
    endSessions: async () => {},
    log: { info: () => {}, error: () => {} },
  });
}

/** The server dies, and another takes up what the store has. */
function restart(): void {
  broker.close();
  store.close();
  start();
  const leases = store.openLeases().map((open) => ({ ...open, secret: Buffer.from(open.secret ?? []) }));
  broker.restore({ leases, requests: [], usage: new Map() });
}

const request = (bytes: number): Lease => {
  let lease: Lease | undefined;
  const terms = { tenant: "ada", name: "", count: 1, waitMs: 0, share: { kind: "bytes", bytes } as const };
  broker.request(terms, {
    requestId: "",
    queued: () => {},
    granted: (grant) => {
      lease = grant.lease;
      secrets.set(grant.lease.id, grant.secret);
      return true;
    },
    refused: (error) => {
      throw error;
    },
  });
  return lease!;
};
const secrets = new Map<string, Uint8Array>();

function hold(id: string): void {
  const notice = ({ kind, message }: LeaseNotice): void => void told.push(`${kind}: ${message}`);
  broker.hold(id, secrets.get(id)!, { notice, resized: () => {}, ended: ({ code }) => void told.push(code) });
}

const none = new Uint8Array();
const lunch = { message: "Lunch.", byAdmin: false };
const stateOf = (id: string): string | undefined => broker.leases().find((lease) => lease.id === id)?.state;
const free = (): number => broker.devices.list()[0]!.listing.freeBytes;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-suspensions-"));
  clock = new TestClock();
  told = [];
  park = async () => ({ savedBytes: 7 });
  unpark = async () => {};
  start();
});

afterEach(() => {
  broker.close();
  store.close();
  rmSync(folder, { recursive: true });
});

it("suspends a lease, tells who holds it, now and later, and lets it come back", async () => {
  const { id } = request(4 * GiB);
  hold(id);
  const { suspension } = await broker.suspensions.suspend(id, none, lunch);
  expect([suspension?.savedBytes, free(), broker.find(id).isParked]).toEqual([7, 4 * GiB, true]);
  hold(id);
  expect(told).toEqual(["suspended: Lunch.", "suspended: Lunch."]);
  expect(broker.suspensions.resume(id, none, false)).toBeUndefined();
  await settled();
  expect([stateOf(id), free(), broker.find(id).isParked]).toEqual(["granted", 0, false]);
  hold(id);
  expect(told.slice(2)).toEqual(["resumed: The lease goes on.", "resumed: The lease goes on."]);
});

it("leaves the lease as it was when its executor refuses, and says why", async () => {
  const { id } = request(GiB);
  park = async () => Promise.reject(new SluiceError("STORE_FAILED", "The disk is full."));
  await expect(broker.suspensions.suspend(id, none, lunch)).rejects.toMatchObject({
    code: "STORE_FAILED",
    message: "The disk is full.",
  });
  expect([stateOf(id), store.openLeases()[0]?.lease.suspension]).toEqual(["granted", undefined]);
});

it("lets a lease go on that is saved and cannot be noted so", async () => {
  const { id } = request(GiB);
  let unparked = 0;
  park = async () => {
    store.saveSuspension = () => {
      throw new SluiceError("STORE_FAILED", "The disk is full.");
    };
    return { savedBytes: 1 };
  };
  unpark = async () => void unparked++;
  await expect(broker.suspensions.suspend(id, none, lunch)).rejects.toMatchObject({ code: "STORE_FAILED" });
  expect([stateOf(id), unparked, free()]).toEqual(["granted", 1, 3 * GiB]);
});

it("believes of a lease that came back under the server before that it is back, though that cannot be noted", async () => {
  const { id } = request(4 * GiB);
  await broker.suspensions.suspend(id, none, lunch);
  unpark = () => new Promise(() => {});
  broker.suspensions.resume(id, none, false);
  park = () => Promise.reject(new SluiceError("UNSUPPORTED", "It cannot be saved again now."));
  unpark = () => Promise.reject(new SluiceError("OUT_OF_MEMORY", "There is none."));
  restart();
  await settled();
  expect([stateOf(id), free()]).toEqual(["granted", 0]);
});

it("suspends a lease that is coming back once it has come, over a restart too", async () => {
  const { id } = request(4 * GiB);
  const steps: string[] = [];
  park = async () => {
    steps.push("park");
    return { savedBytes: 7 };
  };
  let back = (): void => {};
  unpark = () =>
    new Promise((resolve) => {
      steps.push("unpark");
      back = resolve;
    });
  await broker.suspensions.suspend(id, none, lunch);
  broker.suspensions.resume(id, none, false);
  const suspended = broker.suspensions.suspend(id, none, lunch);
  expect([stateOf(id), steps, free()]).toEqual(["resuming", ["park", "unpark"], 0]);
  back();
  await suspended;
  expect([stateOf(id), steps, free()]).toEqual(["suspended", ["park", "unpark", "park"], 4 * GiB]);
  broker.suspensions.resume(id, none, false);
  void broker.suspensions.suspend(id, none, lunch).catch(() => {});
  unpark = async () => {};
  restart();
  await settled();
  expect([stateOf(id), free(), broker.leases()[0]?.suspension?.comesBack]).toEqual(["suspended", 4 * GiB, false]);
});

it("leaves a lease suspended that is to be so again and cannot come back, and lets it go on where that is the last word", async () => {
  const { id } = request(4 * GiB);
  let back: { readonly done: () => void; readonly failed: (error: Error) => void };
  unpark = () =>
    new Promise((done, failed) => {
      back = { done, failed };
    });
  await broker.suspensions.suspend(id, none, lunch);
  broker.suspensions.resume(id, none, false);
  const suspended = broker.suspensions.suspend(id, none, lunch);
  back!.failed(new SluiceError("OUT_OF_MEMORY", "There is none."));
  expect((await suspended).suspension).toMatchObject({ message: "Lunch.", comesBack: false });
  clock.advance(60_000);
  expect([stateOf(id), free()]).toEqual(["suspended", 4 * GiB]);
  broker.suspensions.resume(id, none, false);
  const again = broker.suspensions.suspend(id, none, lunch);
  broker.suspensions.resume(id, none, false);
  await expect(again).rejects.toMatchObject({ code: "CANCELLED" });
  back!.done();
  await settled();
  expect([stateOf(id), free(), store.openLeases()[0]?.lease.suspension]).toEqual(["granted", 0, undefined]);
});

it("ends a lease while it is being saved, and tells whoever wanted it saved", async () => {
  const { id } = request(GiB);
  park = () => new Promise(() => {});
  const suspended = broker.suspensions.suspend(id, none, lunch);
  await broker.release(id, none);
  await expect(suspended).rejects.toMatchObject({ code: "LEASE_ENDED" });
  expect(free()).toBe(4 * GiB);
});

it("takes a suspension up after a restart at every step", async () => {
  const { id } = request(4 * GiB);
  const calls: string[] = [];
  park = async () => {
    calls.push("park");
    return { savedBytes: 9 };
  };
  unpark = async () => void calls.push("unpark");
  const parkNow = park;
  park = () => new Promise(() => {});
  void broker.suspensions.suspend(id, none, lunch).catch(() => {});
  park = parkNow;
  restart();
  await settled();
  expect([stateOf(id), calls, free()]).toEqual(["suspended", ["park"], 4 * GiB]);
  restart();
  await settled();
  expect([stateOf(id), calls, broker.leases()[0]?.suspension?.savedBytes]).toEqual(["suspended", ["park"], 9]);
  const unparkNow = unpark;
  unpark = () => new Promise(() => {});
  broker.suspensions.resume(id, none, false);
  unpark = unparkNow;
  restart();
  await settled();
  expect([stateOf(id), calls, free()]).toEqual(["granted", ["park", "unpark"], 0]);
  restart();
  expect([stateOf(id), store.openLeases()[0]?.lease.suspension]).toEqual(["granted", undefined]);
});

it("keeps out of the pool what modules keep, over restarts, and charges it in the ledger", async () => {
  const { id } = request(3 * GiB);
  const begun = clock.now();
  park = async () => ({ savedBytes: 7, keptBytes: [GiB] });
  await broker.suspensions.suspend(id, none, lunch);
  clock.advance(1_000);
  const charged = (): number =>
    usageByTenant(store, { from: begun, to: clock.now() }, { now: clock.now() })[0]!.byteMs / GiB;
  expect([free(), charged()]).toEqual([3 * GiB, 1_000]);
  restart();
  await settled();
  expect([free(), broker.leases()[0]?.suspension?.keptBytes]).toEqual([3 * GiB, [GiB]]);
  // It cannot come back, and has run on before it was saved again.
  unpark = () => Promise.reject(new SluiceError("OUT_OF_MEMORY", "There is none."));
  park = async () => ({ savedBytes: 7, keptBytes: [2 * GiB] });
  broker.suspensions.resume(id, none, false);
  await settled();
  expect([stateOf(id), free()]).toEqual(["suspended", 2 * GiB]);
  restart();
  await settled();
  clock.advance(1_000);
  expect([stateOf(id), free(), charged()]).toEqual(["suspended", 2 * GiB, 3_000]);
  await broker.release(id, none);
  expect([free(), charged()]).toEqual([4 * GiB, 3_000]);
});

it("keeps out of the pool what modules keep of a lease that is saved, cannot be noted so and does not come back", async () => {
  const { id } = request(3 * GiB);
  const save = store.saveSuspension.bind(store);
  park = async () => {
    store.saveSuspension = () => {
      throw new SluiceError("STORE_FAILED", "The disk is full.");
    };
    return { savedBytes: 1, keptBytes: [GiB] };
  };
  unpark = () => Promise.reject(new SluiceError("OUT_OF_MEMORY", "There is none."));
  await broker.suspensions.suspend(id, none, lunch);
  store.saveSuspension = save;
  expect([stateOf(id), free()]).toEqual(["suspended", 3 * GiB]);
});

it("lets what waits to come back wait on after a restart, behind leases that hold the memory", async () => {
  const { id } = request(4 * GiB);
  await broker.suspensions.suspend(id, none, lunch);
  const other = request(4 * GiB);
  expect(broker.suspensions.resume(id, none, false)).toMatchObject({ position: 1, reasons: [{ device: "null:0" }] });
  restart();
  expect([stateOf(id), stateOf(other.id)]).toEqual(["suspended", "granted"]);
  await broker.release(other.id, none);
  await settled();
  expect(stateOf(id)).toBe("granted");
});

it("lets no tenant bring back what an admin has suspended", async () => {
  const { id } = request(GiB);
  await broker.suspensions.suspend(id, none, { message: "Maintenance.", byAdmin: true });
  await broker.suspensions.suspend(id, none, lunch);
  expect(() => broker.suspensions.resume(id, none, false)).toThrow("An admin has suspended");
  expect(broker.suspensions.resume(id, none, true)).toBeUndefined();
  await expect(broker.suspensions.suspend(id, randomBytes(32), lunch)).rejects.toMatchObject({ code: "WRONG_SECRET" });
});

it("charges no memory in the ledger while the lease is suspended", async () => {
  const { id } = request(GiB);
  const begun = clock.now();
  clock.advance(1_000);
  await broker.suspensions.suspend(id, none, lunch);
  clock.advance(10_000);
  broker.suspensions.resume(id, none, false);
  await settled();
  clock.advance(500);
  const charged = (): number =>
    usageByTenant(store, { from: begun, to: clock.now() }, { now: clock.now() })[0]!.byteMs / GiB;
  expect(charged()).toBe(1_500);
  await broker.suspensions.suspend(id, none, lunch);
  clock.advance(10_000);
  await broker.release(id, none);
  expect(charged()).toBe(1_500);
});
