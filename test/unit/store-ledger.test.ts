/** The state database: what it remembers, what it refuses, and what a full disk costs. */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Lease, StoredLease } from "../../server/pool/types.ts";
import { usageByTenant } from "../../server/store/ledger.ts";
import { LedgerKeeper } from "../../server/store/ledger-keeper.ts";
import { SCHEMA_VERSION } from "../../server/store/schema.ts";
import { Store } from "../../server/store/store.ts";
import type { SluiceError } from "../../shared/errors.ts";
import { TestClock } from "../support/test-clock.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-store-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const fail = (error: Error): void => {
  throw error;
};
const open = (where = folder, onError: (error: SluiceError) => void = fail): Store => new Store(where, onError);

const lease = (id: string, fields: Partial<StoredLease> = {}): StoredLease => ({
  id,
  tenant: "ada",
  name: "train",
  slices: [
    { index: 0, deviceId: "cpu:0", bytes: 2 ** 40 + 2, overheadBytes: 3 },
    { index: 1, deviceId: "cpu:1", bytes: 7, overheadBytes: 0 },
  ],
  detached: false,
  requestedAt: 1_000,
  grantedAt: 2_000,
  ...fields,
});

const ended = (stored: StoredLease): Lease => ({
  ...stored,
  state: "ending",
  priority: 0,
  lastBeatAt: 0,
  attached: false,
  endCode: "LEASE_EXPIRED",
  endMessage: "No heartbeat comes.",
});

const usage = { calls: 10, batches: 2, answers: 1, bytesReceived: 2 ** 41, bytesSent: 5, deviceMs: 1.5 };

/** What opening a folder is refused with. */
function refusal(where: string): SluiceError {
  try {
    open(where).close();
  } catch (error) {
    return error as SluiceError;
  }
  throw new Error("The folder is opened.");
}

describe("a store", () => {
  it("gives back leases that never ended, exactly, after it is opened again", () => {
    const first = open();
    first.saveLease(lease("a", { priority: 3, idleMs: 60_000 }), { secret: Buffer.from("secret"), requestId: "r-1" });
    first.saveLease(lease("b", { detached: true, endsAt: 9_000, grantedAt: 3_000, slices: [] }));
    first.saveLease(lease("c"));
    first.saveUsage("a", usage);
    first.closeLease(ended(lease("c")), { ...usage, heldMs: 500 });
    first.close();
    const again = open();
    const [a, b, ...others] = again.openLeases();
    expect(others).toEqual([]);
    expect(a).toEqual({
      lease: lease("a", { priority: 3, idleMs: 60_000 }),
      secret: new Uint8Array(Buffer.from("secret")),
      requestId: "r-1",
      usage,
    });
    expect(b?.lease).toEqual(lease("b", { detached: true, endsAt: 9_000, grantedAt: 3_000, slices: [] }));
    again.endLease("a", { code: "EXECUTOR_FAILED", message: "Its executor is gone.", at: 5_000 });
    again.endLease("a", { code: "RELEASED", message: "Too late.", at: 6_000 });
    const [row] = again.query<object>("SELECT ended_at, end_code, secret FROM leases WHERE id = 'a'");
    expect(row).toMatchObject({ ended_at: 5_000, end_code: "EXECUTOR_FAILED", secret: null });
    again.close();
  });

  it("is readable by its owner alone", () => {
    open().close();
    expect(statSync(join(folder, "sluice.db")).mode & 0o077).toBe(0);
  });

  it("keeps waiting requests, in the order in which they came, until they are dropped or granted", () => {
    const store = open();
    const request = {
      tenant: "ada",
      name: "",
      share: { kind: "fraction", fraction: 0.25 },
      count: 1,
      waitMs: 5,
    } as const;
    for (const id of ["z", "a", "gone", "granted"]) store.saveRequest({ id, ...request }, `of ${id}`);
    store.saveRequest({ id: "z", ...request, priority: 5 }, "of z");
    store.dropRequest("gone");
    store.saveLease(lease("granted"));
    store.close();
    const again = open();
    expect(again.openRequests()).toEqual([
      { request: { id: "z", ...request, priority: 5 }, requestId: "of z" },
      { request: { id: "a", ...request }, requestId: "of a" },
    ]);
    again.close();
  });

  it("works in memory", () => {
    const store = open(":memory:");
    store.saveLease(lease("a"));
    expect(store.openLeases()).toHaveLength(1);
    store.close();
  });

  it("refuses the same lease twice and keeps the first", () => {
    const store = open(":memory:");
    store.saveLease(lease("a"));
    expect(() => store.saveLease(lease("a", { tenant: "eve" }))).toThrow("cannot be written");
    expect(store.openLeases()[0]?.lease.tenant).toBe("ada");
    store.close();
  });
});

describe("a database that is refused", () => {
  const path = (): string => join(folder, "sluice.db");

  /** Refused in words, with not one byte changed. */
  function expectRefused(words: string): void {
    const before = readFileSync(path());
    const error = refusal(folder);
    expect(error.code).toBe("STORE_UNREADABLE");
    expect(error.message).toContain(words);
    expect(readFileSync(path()).equals(before)).toBe(true);
  }

  it("is one of a newer version", () => {
    open().close();
    const database = new Database(path());
    database.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
    database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
    database.close();
    expectRefused(`its version [${SCHEMA_VERSION + 1}] is newer than [${SCHEMA_VERSION}]`);
  });

  it("is a file of another kind", () => {
    writeFileSync(path(), "dear diary ".repeat(1000));
    expectRefused("it is not a database");
  });

  it("is one of another program", () => {
    const database = new Database(path());
    database.exec("CREATE TABLE cats (name TEXT)");
    database.close();
    expectRefused("it belongs to another program");
  });

  it("is damaged in the middle", () => {
    const store = open();
    for (let index = 0; index < 200; index++) store.saveLease(lease(`lease-${index}`, { name: "x".repeat(100) }));
    store.query("PRAGMA wal_checkpoint(TRUNCATE)");
    store.close();
    const bytes = readFileSync(path());
    bytes.fill(0x55, 4096, Math.min(bytes.length, 24_576));
    writeFileSync(path(), bytes);
    expectRefused("it is damaged");
  });

  it("is cut short", () => {
    const store = open();
    for (let index = 0; index < 200; index++) store.saveLease(lease(`lease-${index}`));
    store.query("PRAGMA wal_checkpoint(TRUNCATE)");
    store.close();
    const whole = readFileSync(path());
    // The last but a few bytes are missed by nothing that reads pages.
    for (const length of [9000, whole.length - 100]) {
      writeFileSync(path(), whole.subarray(0, length));
      expectRefused(`it is damaged [${length} of ${whole.length} bytes]`);
    }
  });

  it("lacks a table or a column that its version has", () => {
    open().close();
    for (const change of ["ALTER TABLE leases DROP COLUMN suspension", "DROP TABLE samples"]) {
      const database = new Database(path());
      database.exec(change);
      database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
      database.close();
      expectRefused("it lacks [leases.suspension");
    }
    expectRefused("samples.step_ms");
  });

  it.each([
    ["leases.granted_at", "UPDATE leases SET granted_at = 'yesterday'"],
    ["leases.device_ms", "UPDATE leases SET device_ms = x'00' WHERE id = 'b'"],
    ["slices.overhead_bytes", "UPDATE slices SET overhead_bytes = '1GiB' WHERE lease_id = 'b'"],
  ])("holds a text where a number belongs, in %s", (name, edit) => {
    const store = open();
    for (const id of ["a", "b"]) store.saveLease(lease(id));
    store.close();
    const database = new Database(path());
    database.exec(edit);
    database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
    database.close();
    expectRefused(`there is no number where one belongs [${name}]`);
  });

  it("says that it is of a version that no program writes", () => {
    open().close();
    const database = new Database(path());
    database.exec("PRAGMA user_version = 0");
    database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
    database.close();
    expectRefused("no program writes its version [0]");
  });

  it("is no file", () => {
    symlinkSync("/dev/zero", path());
    expect(refusal(folder).message).toContain("it is no file");
    rmSync(path());
    mkdirSync(path());
    expect(refusal(folder).message).toContain("it is no file");
  });

  it("is an unusable folder, which may be usable later", () => {
    writeFileSync(join(folder, "file"), "");
    expect(refusal(join(folder, "file", "state")).code).toBe("STORE_FAILED");
  });
});

describe("a full disk", () => {
  it("costs new grants, and nothing that is stored or waits to be", () => {
    const errors: SluiceError[] = [];
    const store = open(folder, (error) => errors.push(error));
    store.saveLease(lease("before"));
    const [row] = store.query<{ page_count: number }>("PRAGMA page_count");
    store.query(`PRAGMA max_page_count = ${row!.page_count}`);
    const failed: string[] = [];
    for (let index = 0; index < 200; index++) {
      try {
        store.saveLease(lease(`lease-${index}`, { name: "x".repeat(128) }));
      } catch (error) {
        expect((error as SluiceError).code).toBe("STORE_FAILED");
        expect((error as SluiceError).retryable).toBe(true);
        failed.push(`lease-${index}`);
      }
    }
    expect(failed.length).toBeGreaterThan(100);
    store.saveRequest(
      { id: "r", tenant: "t", name: "y".repeat(128), share: { kind: "bytes", bytes: 1 }, count: 1, waitMs: 1 },
      "of r",
    );
    for (let index = 0; index < 200; index++) {
      store.endLease(`lease-${index}`, { code: "LEASE_EXPIRED", message: "z".repeat(4000), at: 9_999 });
    }
    expect(store.flush()).toBe(false);
    expect(errors[0]?.code).toBe("STORE_FAILED");
    store.query("PRAGMA max_page_count = 1000000");
    expect(store.flush()).toBe(true);
    expect(store.openLeases().map((entry) => entry.lease.id)).toEqual(["before"]);
    expect(store.openRequests()).toHaveLength(1);
    const stored = store.query<{ id: string }>("SELECT id FROM leases").map((found) => found.id);
    expect(stored.filter((id) => failed.includes(id))).toEqual([]);
    store.close();
    const again = open();
    expect(again.openLeases().map((entry) => entry.lease.id)).toEqual(["before"]);
    again.close();
  });

  it("is survived when the file system itself refuses", () => {
    const script = `
      import { Store } from ${JSON.stringify(new URL("../../dist/modules/server/store/store.js", import.meta.url).href)};
      const store = new Store(process.argv[1], () => {});
      const codes = {};
      for (let index = 0; index < 500; index++) {
        const slices = [{ index: 0, deviceId: "d", bytes: 1, overheadBytes: 0 }];
        const lease = { id: "lease-" + index, tenant: "t", name: "n".repeat(128), slices, detached: false, requestedAt: 1, grantedAt: 1 };
        try { store.saveLease(lease); codes.ok = (codes.ok ?? 0) + 1; } catch (error) { codes[error.code] = (codes[error.code] ?? 0) + 1; }
      }
      console.log(JSON.stringify(codes));
      process.exit(0);`;
    // A limit on the size of files stands for a disk that is full.
    const command = `trap '' XFSZ; ulimit -f 300; exec "$0" --input-type=module -e "$1" "$2"`;
    const output = execFileSync("bash", ["-c", command, process.execPath, script, folder], { encoding: "utf8" });
    const codes = JSON.parse(output) as Record<string, number>;
    expect(codes["ok"]).toBeGreaterThan(0);
    expect(codes["STORE_FAILED"]).toBeGreaterThan(0);
    expect(Object.keys(codes).sort()).toEqual(["STORE_FAILED", "ok"]);
    const store = open();
    expect(store.openLeases()).toHaveLength(codes["ok"]!);
    store.close();
  });
});

describe("kill -9", () => {
  it("loses no lease whose grant was told", async () => {
    const script = `
      import { Store } from ${JSON.stringify(new URL("../../dist/modules/server/store/store.js", import.meta.url).href)};
      import { writeSync } from "node:fs";
      const store = new Store(process.argv[1], () => {});
      for (let index = 0; ; index++) {
        store.saveLease({ id: "lease-" + index, tenant: "t", name: "", slices: [], detached: false, requestedAt: 1, grantedAt: 1 });
        writeSync(1, "lease-" + index + "\\n");
      }`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script, folder]);
    let told = "";
    const gone = new Promise((resolve) => child.on("exit", resolve));
    for await (const chunk of child.stdout) {
      told += String(chunk);
      if (told.length > 10_000) child.kill("SIGKILL");
    }
    await gone;
    const ids = told.split("\n").filter((id) => id !== "");
    ids.splice(told.endsWith("\n") ? ids.length : -1);
    const store = open();
    const stored = new Set(store.openLeases().map((entry) => entry.lease.id));
    expect(ids.length).toBeGreaterThan(100);
    expect(ids.filter((id) => !stored.has(id))).toEqual([]);
    store.close();
  });
});

describe("the ledger", () => {
  it("sums by tenant what falls into a span", () => {
    const store = open(":memory:");
    const slices = [{ index: 0, deviceId: "d", bytes: 90, overheadBytes: 10 }];
    store.saveLease(lease("a", { slices, grantedAt: 1_000 }));
    store.saveLease(lease("b", { slices, grantedAt: 5_000 }));
    store.saveLease(lease("c", { slices, grantedAt: 5_000, tenant: "bob" }));
    store.closeLease(ended(lease("a", { grantedAt: 1_000 })), { ...usage, heldMs: 2_000 });
    store.saveUsage("b", { ...usage, calls: 7 });
    expect(usageByTenant(store, { from: 2_000, to: 100_000 }, { now: 9_000 })).toEqual([
      { ...usage, tenant: "ada", leases: 2, heldMs: 5_000, byteMs: 500_000, calls: 7 },
      {
        tenant: "bob",
        leases: 1,
        heldMs: 4_000,
        byteMs: 400_000,
        calls: 0,
        batches: 0,
        answers: 0,
        bytesReceived: 0,
        bytesSent: 0,
        deviceMs: 0,
      },
    ]);
    expect(usageByTenant(store, { from: 0, to: 2_000 }, { now: 9_000, tenant: "ada" })).toMatchObject([
      { tenant: "ada", leases: 1, heldMs: 1_000, calls: 10 },
    ]);
    expect(usageByTenant(store, { from: 3_000, to: 4_000 }, { now: 9_000 })).toEqual([]);
    store.close();
  });
});

describe("a slice that changes its size", () => {
  it("is charged for each size as long as it had it, also within a span", () => {
    const store = open();
    const slices = [{ index: 0, deviceId: "cpu:0", bytes: 100, overheadBytes: 1 }];
    store.saveLease(lease("a", { slices, grantedAt: 1_000 }));
    store.saveSize("a", { ...slices[0]!, bytes: 200 }, 3_000);
    store.saveSize("a", { ...slices[0]!, bytes: 50 }, 4_000);
    store.saveSize("a", { ...slices[0]!, bytes: 50 }, 4_500);
    const byteMs = (from: number, to: number, now = 6_000) => usageByTenant(store, { from, to }, { now })[0]?.byteMs;
    expect(byteMs(0, 10_000)).toBe(2_000 * 101 + 1_000 * 201 + 2_000 * 51);
    expect(byteMs(2_000, 3_500)).toBe(1_000 * 101 + 500 * 201);
    expect(byteMs(5_000, 5_500)).toBe(500 * 51);
    expect(store.openLeases()[0]!.lease.slices).toEqual([{ ...slices[0], bytes: 50 }]);
    store.closeLease(ended(lease("a", { slices, grantedAt: 1_000 })), { ...usage, heldMs: 4_000 });
    expect(byteMs(0, 10_000)).toBe(2_000 * 101 + 1_000 * 201 + 1_000 * 51);
    store.close();
  });
});

describe("leases that ended long ago", () => {
  const DAY_MS = 86_400_000;
  const countOf = (store: Store, table: string): number =>
    store.query<{ count: number }>(`SELECT count(*) AS count FROM ${table}`)[0]!.count;

  /** A store with so many leases of a day each, one a minute, half of them resized. */
  function storeWith(count: number): Store {
    const store = open();
    store.atomically(() => {
      for (let index = 0; index < count; index++) {
        const one = lease(`lease-${index}`, { grantedAt: index * 60_000 });
        store.saveLease(one);
        if (index % 2 === 0) store.saveSize(one.id, { ...one.slices[0]!, bytes: 99 }, index * 60_000 + 5);
      }
    });
    for (let index = 0; index < count; index++) {
      store.endLease(`lease-${index}`, { at: index * 60_000 + DAY_MS, code: "RELEASED", message: "" });
    }
    return store;
  }

  const keeperOf = (store: Store, clock: TestClock, keepMs: number, halfLifeMs = 1_000): LedgerKeeper =>
    new LedgerKeeper({ store, clock, keepMs, halfLifeMs, onError: fail });

  it("are forgotten with all that belongs to them, a few at a time, and no others", () => {
    const store = storeWith(1_200);
    store.saveLease(lease("open", { grantedAt: 1 }));
    const clock = new TestClock();
    clock.advance(10 * DAY_MS + 1_100 * 60_000 - 5_000 - clock.now());
    const keeper = keeperOf(store, clock, 9 * DAY_MS);
    keeper.start();
    expect(countOf(store, "leases")).toBe(701);
    clock.advance(2_000);
    expect([countOf(store, "leases"), countOf(store, "slices"), countOf(store, "past_sizes")]).toEqual([101, 202, 50]);
    expect(store.endedLease("lease-1099")).toBeUndefined();
    expect(store.endedLease("lease-1100")).toBeDefined();
    clock.advance(10 * 60_000);
    expect(countOf(store, "leases")).toBe(91);
    clock.advance(2 * DAY_MS);
    expect(store.query<{ id: string }>("SELECT id FROM leases")).toMatchObject([{ id: "open" }]);
    keeper.close();
    store.close();
  });

  it("stay for ever where the admin says so, and as long as the fair share counts them", () => {
    const store = storeWith(10);
    const clock = new TestClock();
    clock.advance(1_000 * DAY_MS);
    keeperOf(store, clock, 0).start();
    keeperOf(store, clock, DAY_MS, 100 * DAY_MS).start();
    expect(countOf(store, "leases")).toBe(10);
    store.close();
  });
});

it("takes nothing once it is closed, and says so instead of ending the process", async () => {
  const store = open();
  store.saveLease(lease("l1"));
  store.close();
  expect(() => store.saveLease(lease("l2"))).toThrow("the server stops");
  expect(() => store.openLeases()).toThrow("the server stops");
  store.saveUsage("l1", { calls: 1, batches: 1, answers: 1, bytesReceived: 1, bytesSent: 1, deviceMs: 1 });
  store.dropRequest("r1");
  expect(store.flush()).toBe(false);
  // The end of the turn, when late writes are due.
  await new Promise((resolve) => setImmediate(resolve));
  store.close();
  const next = open();
  expect(next.openLeases().map((each) => each.lease.id)).toEqual(["l1"]);
  next.close();
});
