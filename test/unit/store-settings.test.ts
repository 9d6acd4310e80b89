/** What an admin has decided, in the store: over a restart, and in a database of the version before there was a place for it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { afterEach, beforeEach, expect, it } from "vitest";
import { SCHEMA_VERSION } from "../../server/store/schema.ts";
import { Settings } from "../../server/store/settings.ts";
import { Store } from "../../server/store/store.ts";

let folder: string;
let store: Store;
let settings: Settings;

function open(): void {
  store = new Store(folder, (error) => {
    throw error;
  });
  settings = new Settings(store);
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-settings-"));
  open();
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

it("keeps cordons by device, the last message each, until they are dropped", () => {
  settings.saveCordon("cuda:0", { code: "DEVICE_CORDONED", message: "first" });
  settings.saveCordon("cuda:1", { code: "DEVICE_CORDONED", message: "other" });
  settings.saveCordon("cuda:0", { code: "DEVICE_UNHEALTHY", message: "it's; last" });
  settings.dropCordon("cuda:1");
  settings.dropCordon("cuda:9");
  store.close();
  open();
  expect(settings.cordons()).toEqual([{ deviceId: "cuda:0", code: "DEVICE_UNHEALTHY", message: "it's; last" }]);
});

it("keeps quotas and weights by tenant, bounds of 0 and no bounds told apart", () => {
  settings.saveTenant("a", { weight: 1, quota: { leases: 3 } });
  settings.saveTenant("a", { weight: 2.5, quota: { memoryBytes: 2 ** 52, devices: 0, priority: -5 } });
  settings.saveTenant("b", { weight: 1, quota: {} });
  store.close();
  open();
  expect(settings.tenants()).toEqual([
    { tenant: "a", weight: 2.5, quota: { memoryBytes: 2 ** 52, devices: 0, priority: -5 } },
    { tenant: "b", weight: 1, quota: {} },
  ]);
});

it("finds a place in a database of version 1, and leaves what is there as it is", () => {
  const lease = { id: "lease-1", tenant: "a", name: "", detached: false, requestedAt: 1, grantedAt: 2 };
  store.saveLease({ ...lease, slices: [{ index: 0, deviceId: "null:0", bytes: 4096, overheadBytes: 0 }] });
  store.close();
  const database = new Database(join(folder, "sluice.db"));
  const later =
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('leases', 'slices', 'requests') AND name NOT LIKE 'sqlite%'";
  for (const [name] of database.prepare(later).raw().all() as [string][]) database.exec(`DROP TABLE ${name}`);
  for (const column of [
    "reservation",
    "request_id",
    "priority",
    "idle_ms",
    "ends_with",
    "secret_hash",
    "token_id",
    "suspension",
    "is_parked",
  ]) {
    database.exec(`ALTER TABLE leases DROP COLUMN ${column}`);
  }
  for (const column of ["compute", "kept_bytes"]) database.exec(`ALTER TABLE slices DROP COLUMN ${column}`);
  database.exec(`DROP TABLE requests;
    CREATE TABLE requests (id TEXT PRIMARY KEY, requested_at INTEGER NOT NULL, request TEXT NOT NULL) WITHOUT ROWID;
    PRAGMA user_version = 1`);
  database.close();
  open();
  expect(store.query<{ user_version: number }>("PRAGMA user_version")[0]!.user_version).toBe(SCHEMA_VERSION);
  settings.saveCordon("null:0", { code: "DEVICE_CORDONED", message: "new" });
  expect(settings.cordons()).toHaveLength(1);
  expect(store.openLeases().map((open) => open.lease)).toMatchObject([lease]);
});

it("is on disk when it is told to be: a copy opened meanwhile sees it", () => {
  const seen = { code: "DEVICE_UNHEALTHY", message: "seen" } as const;
  settings.saveCordon("null:0", seen);
  const reader = new Store(folder, () => {});
  try {
    expect(new Settings(reader).cordons()).toEqual([{ deviceId: "null:0", ...seen }]);
  } finally {
    reader.close();
  }
});
