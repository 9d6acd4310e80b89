/** The broker over the pool with a clock, a store and executors of the test: what it does with effects, and what it never loses. */
import { randomBytes } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import { Broker, type Wish } from "../../server/control/broker.ts";
import type { LeaseNotice } from "../../server/control/lease-record.ts";
import type { LeaseStore } from "../../server/control/lease-store.ts";
import type { DeviceDescription, DeviceHealth } from "../../server/device/device.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import type { Lease } from "../../server/pool/types.ts";
import type { SluiceError } from "../../shared/errors.ts";
import { TestClock } from "../support/test-clock.ts";

const MiB = 1024 ** 2;

interface Told {
  lease?: Lease;
  secret: Buffer;
  error?: SluiceError;
  positions: number[];
}

let clock: TestClock;
let broker: Broker;
let diskIsFull: boolean;
let stored: Set<string>;
let closedRecords: string[];
/** Lets the executor of a lease be dead; absent while nobody asked for its end. */
let executorDies: Map<string, { die: () => void; fail: (error: Error) => void; code: string }>;
let devices: DeviceDescription[];

beforeEach(async () => {
  clock = new TestClock();
  diskIsFull = false;
  stored = new Set();
  closedRecords = [];
  executorDies = new Map();
  devices = await nullDriver.discover("2x64MiB");
  const store: LeaseStore = {
    atomically: (work) => work(),
    saveLease: ({ id }) => {
      if (diskIsFull) throw new Error("disk is full");
      stored.add(id);
    },
    saveRequest: () => {},
    dropRequest: () => {},
    saveUsage: () => {},
    endedLease: () => undefined,
    saveEnd: () => {},
    saveSize: () => {},
    saveSuspension: () => {},
    closeLease: ({ id }) => {
      closedRecords.push(id);
    },
  };
  broker = new Broker({
    devices,
    heartbeatTimeoutMs: 10_000,
    reservations: { saveReservation: () => {}, dropReservation: () => {} },
    store,
    clock,
    randomBytes,
    resizeSlice: async () => {},
    park: async () => ({ savedBytes: 0 }),
    unpark: async () => {},
    endSessions: (id, code) =>
      new Promise((die, fail) => {
        executorDies.set(id, { die, fail, code });
      }),
    log: { info: () => {}, error: () => {} },
  });
});

const wish = (mebibytes: number, more: Partial<Wish> = {}): Wish => ({
  tenant: "local",
  name: "",
  share: { kind: "bytes", bytes: mebibytes * MiB },
  count: 1,
  waitMs: 0,
  ...more,
});

function ask(request: Wish, clientIsThere = true): Told & { withdraw: () => void } {
  const told: Told = { secret: Buffer.alloc(0), positions: [] };
  const withdraw = broker.request(request, {
    requestId: "",
    queued: (_, { position }) => told.positions.push(position),
    granted: ({ lease, secret }) => {
      told.lease = lease;
      told.secret = secret;
      return clientIsThere;
    },
    refused: (error) => {
      told.error = error;
    },
  });
  return Object.assign(told, { withdraw });
}

const freeMiB = (): number => broker.devices.list().reduce((sum, { listing }) => sum + listing.freeBytes, 0) / MiB;

/** Lets promises settle. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function executorIsDead(id: string): Promise<void> {
  executorDies.get(id)!.die();
  await settle();
}

test("memory is back only when the executor is dead", async () => {
  const { lease, secret } = ask(wish(48));
  const released = broker.release(lease!.id, secret);
  expect(executorDies.get(lease!.id)?.code).toBe("LEASE_ENDED");
  expect(freeMiB()).toBe(80);
  expect(ask(wish(64, { count: 2 })).error?.code).toBe("NO_CAPACITY");
  await executorIsDead(lease!.id);
  expect(await released).toMatchObject({ released: true });
  expect(freeMiB()).toBe(128);
  expect(closedRecords).toEqual([lease!.id]);
});

test("the devices of a lease are known until it is closed", async () => {
  const { lease, secret } = ask(wish(48));
  const { id, slices } = lease!;
  expect(broker.deviceIdsOf(id)).toEqual(slices.map(({ deviceId }) => deviceId));
  const released = broker.release(id, secret);
  expect(broker.deviceIdsOf(id)).toHaveLength(1);
  await executorIsDead(id);
  await released;
  expect(broker.deviceIdsOf(id)).toEqual([]);
});

test("memory of an executor that cannot be ended is never lent again", async () => {
  const { lease, secret } = ask(wish(48));
  void broker.release(lease!.id, secret);
  executorDies.get(lease!.id)!.fail(new Error("stuck"));
  await settle();
  clock.advance(1_000_000);
  expect(freeMiB()).toBe(80);
});

test("two releases at once both learn the use, and only one has ended the lease", async () => {
  const { lease, secret } = ask(wish(8));
  clock.advance(700);
  const both = [broker.release(lease!.id, secret), broker.release(lease!.id, new Uint8Array())];
  await executorIsDead(lease!.id);
  const [first, second] = await Promise.all(both);
  expect([first!.released, second!.released]).toEqual([true, false]);
  expect(first!.usage).toEqual(second!.usage);
  expect(first!.usage.heldMs).toBe(700);
});

test("a grant that cannot be stored is taken back at once, and the next one works", () => {
  diskIsFull = true;
  const told = ask(wish(64, { count: 2 }));
  expect(told.error).toMatchObject({ code: "STORE_FAILED", message: expect.stringContaining("disk is full") });
  expect(told.lease).toBeUndefined();
  expect(freeMiB()).toBe(128);
  diskIsFull = false;
  expect(ask(wish(64, { count: 2 })).lease).toBeDefined();
});

test("a waiting request that is granted on a full disk is refused, and those behind it get their turn", async () => {
  const holder = ask(wish(64, { count: 2 }));
  const first = ask(wish(64, { waitMs: 60_000 }));
  const second = ask(wish(64, { waitMs: 60_000 }));
  diskIsFull = true;
  void broker.release(holder.lease!.id, holder.secret);
  await executorIsDead(holder.lease!.id);
  expect([first.error?.code, second.error?.code]).toEqual(["STORE_FAILED", "STORE_FAILED"]);
  expect(freeMiB()).toBe(128);
});

test("a grant that its client never got is taken back without waiting for heartbeats", () => {
  const { lease } = ask(wish(64), false);
  expect(freeMiB()).toBe(128);
  expect(broker.leases()).toEqual([]);
  expect(closedRecords).toEqual([lease!.id]);
  expect(executorDies.size).toBe(0);
});

test("a lease lives as long as it beats and not a moment longer", async () => {
  const { lease, secret } = ask(wish(8));
  let reason: SluiceError | undefined;
  const hold = broker.hold(lease!.id, secret, {
    notice: () => {},
    resized: () => {},
    ended: (error) => {
      reason = error;
    },
  });
  for (let beat = 0; beat < 5; beat++) {
    clock.advance(9_000);
    hold.beat();
  }
  clock.advance(9_999);
  expect(reason).toBeUndefined();
  clock.advance(1);
  expect(reason?.code).toBe("LEASE_EXPIRED");
  expect(() => broker.find(lease!.id)).toThrow(expect.objectContaining({ code: "LEASE_EXPIRED" }));
  expect(() => broker.hold(lease!.id, secret, { notice: () => {}, resized: () => {}, ended: () => {} })).toThrow(
    expect.objectContaining({ code: "LEASE_EXPIRED" }),
  );
  await executorIsDead(lease!.id);
  expect(() => broker.find(lease!.id)).toThrow(expect.objectContaining({ code: "LEASE_EXPIRED" }));
  expect(freeMiB()).toBe(128);
});

test("a wrong secret holds nothing, shows nothing and ends nothing", async () => {
  const { lease } = ask(wish(8));
  const wrong = expect.objectContaining({ code: "WRONG_SECRET" });
  for (const secret of [randomBytes(32), new Uint8Array(), randomBytes(31)]) {
    expect(() => broker.lease(lease!.id, secret)).toThrow(wrong);
    expect(() => broker.hold(lease!.id, secret, { notice: () => {}, resized: () => {}, ended: () => {} })).toThrow(
      wrong,
    );
  }
  await expect(broker.release(lease!.id, randomBytes(32))).rejects.toEqual(wrong);
  expect(broker.leases().length).toBe(1);
});

test("a request is withdrawn before its grant only", async () => {
  const holder = ask(wish(64, { count: 2 }));
  const waiting = ask(wish(64, { waitMs: 60_000 }));
  waiting.withdraw();
  expect(broker.queue.list()).toEqual([]);
  holder.withdraw();
  expect(broker.leases().length).toBe(1);
  void broker.release(holder.lease!.id, holder.secret);
  await executorIsDead(holder.lease!.id);
  expect(waiting.lease).toBeUndefined();
});

test("places in the queue are told again when they change, and a wait that is over is refused with reasons", () => {
  ask(wish(64, { count: 2 }));
  const first = ask(wish(64, { waitMs: 5_000 }));
  const second = ask(wish(64, { waitMs: 9_000 }));
  expect([first.positions, second.positions]).toEqual([[1], [2]]);
  clock.advance(5_000);
  expect(first.error).toMatchObject({ code: "NO_CAPACITY" });
  expect(first.error?.details.reasons?.map(({ device }) => device)).toEqual(["null:0", "null:1"]);
  clock.advance(1_000);
  expect(second.positions).toEqual([2, 1]);
});

test("a notice reaches holders that come after it", () => {
  const { lease, secret } = ask(wish(8));
  void broker.shutDown(5_000);
  const notices: LeaseNotice[] = [];
  broker.hold(lease!.id, secret, { notice: (notice) => notices.push(notice), resized: () => {}, ended: () => {} });
  expect(notices).toMatchObject([{ kind: "shutdown", deadlineAtMs: clock.now() + 5_000 }]);
});

test("a shutdown resolves once every lease is reclaimed", async () => {
  const [first, second] = [ask(wish(8)), ask(wish(8))];
  let isDown = false;
  void broker.shutDown(1_000).then(() => {
    isDown = true;
  });
  clock.advance(1_000);
  await executorIsDead(first.lease!.id);
  expect(isDown).toBe(false);
  await executorIsDead(second.lease!.id);
  expect(isDown).toBe(true);
  expect(executorDies.get(first.lease!.id)?.code).toBe("LEASE_REVOKED");
});

test("an executor that fails ends its lease alone", async () => {
  const [first, second] = [ask(wish(8)), ask(wish(8))];
  broker.failed(first.lease!.id, "EXECUTOR_FAILED", "The executor died [signal SIGKILL].");
  await executorIsDead(first.lease!.id);
  expect(() => broker.find(first.lease!.id)).toThrow("SIGKILL");
  expect(broker.find(second.lease!.id).id).toBe(second.lease!.id);
});

test("what a session may work with is exactly what was granted", () => {
  const { lease } = ask(wish(8, { count: 2 }));
  broker.attached(lease!.id, "127.0.0.1:1", "begun");
  expect(broker.find(lease!.id).slices).toEqual([
    { description: devices[0], arenaBytes: 8 * MiB, arenaBase: 0x6000_0000_0000, compute: 0 },
    { description: devices[1], arenaBytes: 8 * MiB, arenaBase: 0x6100_0000_0000, compute: 0 },
  ]);
  expect(broker.leases()[0]).toMatchObject({ attached: true });
  expect(broker.clientAddress(lease!.id)).toBe("127.0.0.1:1");
  broker.detached(lease!.id);
  expect(broker.clientAddress(lease!.id)).toBe("");
});

const ill = (problem: string): DeviceHealth => ({ id: devices[0]!.id, problems: [problem], throttling: [] });

test("a device that reports a problem is closed once, and its leases are told of each new problem", () => {
  const { lease, secret } = ask(wish(8, { filters: [`device.id=${devices[0]!.id}`] }));
  const notices: LeaseNotice[] = [];
  broker.hold(lease!.id, secret, { notice: (notice) => notices.push(notice), resized: () => {}, ended: () => {} });
  for (const problem of ["It smokes.", "It smokes.", "It burns."]) broker.devices.report(ill(problem));
  const [{ listing }] = broker.devices.list() as [ReturnType<typeof broker.devices.list>[0]];
  expect(listing.cordon).toMatchObject({ code: "DEVICE_UNHEALTHY", message: expect.stringContaining("It smokes.") });
  expect(notices.map(({ kind, message }) => [kind, message.split(": ")[1]])).toEqual([
    ["device-unhealthy", "It smokes."],
    ["device-unhealthy", "It burns."],
  ]);
  const late: LeaseNotice[] = [];
  broker.hold(lease!.id, secret, { notice: (notice) => late.push(notice), resized: () => {}, ended: () => {} });
  expect(late).toHaveLength(1);
  broker.devices.report({ ...ill(""), problems: [] });
  expect(broker.devices.list()[0]!.listing.cordon, "it does not open by itself").toBeDefined();
  broker.devices.uncordon(devices[0]!.id);
  expect(broker.devices.list()[0]!.listing.cordon).toBeUndefined();
  broker.devices.report(ill("It smokes."));
  expect(broker.devices.list()[0]!.listing.cordon).toBeDefined();
});

test("the cordon of an admin stays as it is when the device falls ill", () => {
  broker.devices.cordon(devices[0]!.id, { code: "DEVICE_CORDONED", message: "New fan on Tuesday." });
  broker.devices.report(ill("It smokes."));
  expect(broker.devices.list()[0]!.listing.cordon).toEqual({ code: "DEVICE_CORDONED", message: "New fan on Tuesday." });
  expect(broker.devices.healthOf(devices[0]!.id)).toMatchObject({ problems: ["It smokes."], checkedAtMs: clock.now() });
});
