/** The pool's past: what a sample holds, how samples become longer ones, that it stays bounded, and who sees what of it. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Identity } from "../../server/access/identity.ts";
import { csvOf } from "../../server/admin/history-csv.ts";
import { Broker } from "../../server/control/broker.ts";
import { History, resolutions } from "../../server/control/history.ts";
import { merged, noTenant, quantileMs, type Sample, TENANTS_MAX } from "../../server/control/history-sample.ts";
import { pastFor, type Series } from "../../server/control/history-series.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import { ANSWER_SECONDS_BOUNDS } from "../../server/executor/call-shape.ts";
import { HistoryStore } from "../../server/store/history-store.ts";
import { Settings } from "../../server/store/settings.ts";
import { Store } from "../../server/store/store.ts";
import { TestClock } from "../support/test-clock.ts";

const MiB = 1024 ** 2;
const HOUR = 3_600_000;
const admin: Identity = { tenant: "ops", role: "admin", tokenId: "" };
const alice: Identity = { tenant: "alice", role: "tenant", tokenId: "" };
const all = { span: "HISTORY_SPAN_HOUR", tenant: "", devices: false } as const;

let clock: TestClock;
let store: Store;
let broker: Broker;
let history: History;

beforeEach(async () => {
  clock = new TestClock();
  store = new Store(":memory:", () => {});
  history = new History({ store: new HistoryStore(store), clock });
  broker = new Broker({
    devices: await nullDriver.discover("2x64MiB"),
    heartbeatTimeoutMs: 30 * 24 * HOUR,
    reservations: new Settings(store),
    store,
    clock,
    randomBytes,
    resizeSlice: () => Promise.resolve(),
    park: () => Promise.resolve({ savedBytes: 0 }),
    unpark: () => Promise.resolve(),
    endSessions: () => Promise.resolve(),
    observer: history.observer,
    log: { info: () => {}, error: () => {} },
  });
  history.start(broker);
});
afterEach(() => {
  history.close();
  store.close();
});

function ask(tenant: string, bytes: number, waitMs = 0): { readonly id: () => string } {
  let id = "";
  const wish = { tenant, name: "", share: { kind: "bytes" as const, bytes }, count: 1, waitMs };
  broker.request(wish, {
    requestId: "",
    queued: () => {},
    granted: ({ lease }) => {
      id = lease.id;
      return true;
    },
    refused: () => {},
  });
  return { id: () => id };
}

const seriesOf = (series: readonly Series[], kind: string, subject = ""): number[] =>
  series.find((each) => each.kind === kind && each.subject === subject)?.values ?? [];

test("a sample every ten seconds tells what was lent to whom, and who waited", async () => {
  const first = ask("alice", 48 * MiB);
  ask("bob", 32 * MiB);
  clock.advance(10_000);
  const waits = ask("bob", 40 * MiB, HOUR);
  clock.advance(10_000);
  await broker.release(first.id(), new Uint8Array());
  clock.advance(10_000);
  expect(waits.id()).not.toBe("");
  const { atMs, stepMs, series } = pastFor(history, admin, all);
  expect(stepMs).toBe(10_000);
  expect(atMs).toEqual([1_000_000, 1_010_000, 1_020_000]);
  expect(seriesOf(series, "pool.memory")).toEqual([128, 128, 128].map((count) => count * MiB));
  expect(seriesOf(series, "pool.allocated")).toEqual([80, 80, 72].map((count) => count * MiB));
  expect(seriesOf(series, "tenant.held", "alice")).toEqual([48, 48, 0].map((count) => count * MiB));
  expect(seriesOf(series, "tenant.held", "bob")).toEqual([32, 32, 72].map((count) => count * MiB));
  expect(seriesOf(series, "queue.length")).toEqual([0, 1, 0]);
  expect(seriesOf(series, "wait.max")).toEqual([0, Number.NaN, 10_000]);
});

test("asking often reads the store once, and a new sample is seen at once", () => {
  ask("alice", 16 * MiB);
  clock.advance(10_000);
  expect(history.list("hour")).toBe(history.list("hour"));
  expect(history.list("hour")).toHaveLength(1);
  clock.advance(10_000);
  expect(history.list("hour")).toHaveLength(2);
});

test("the time of answers is told by quantiles, for the tenant that asked", () => {
  const { id } = ask("alice", MiB);
  const usage = { calls: 1, batches: 1, answers: 100, bytesReceived: 0, bytesSent: 0, deviceMs: 0 };
  const counts = ANSWER_SECONDS_BOUNDS.map((bound) => (bound === 1e-3 ? 90 : bound === 0.1 ? 10 : 0));
  broker.used(id(), usage, { batchCalls: { counts: [], sum: 0 }, answerSeconds: { counts, sum: 0 } });
  clock.advance(10_000);
  const { series } = pastFor(history, alice, { ...all, tenant: "alice" });
  expect(seriesOf(series, "answer.p50")[0]).toBeGreaterThan(0.5);
  expect(seriesOf(series, "answer.p50")[0]).toBeLessThanOrEqual(1);
  expect(seriesOf(series, "answer.p95")[0]).toBeGreaterThan(50);
  expect(seriesOf(pastFor(history, admin, { ...all, tenant: "bob" }).series, "answer.p95")).toEqual([Number.NaN]);
  expect(quantileMs([], 0.5)).toBeNaN();
});

test("an hour is kept to ten seconds, a day to minutes, a week to quarters, and no more than that", async () => {
  const lease = ask("alice", 64 * MiB);
  clock.advance(2 * HOUR);
  await broker.release(lease.id(), new Uint8Array());
  clock.advance(6 * HOUR);
  const count = (span: keyof typeof resolutions): number => history.list(span).length;
  expect([count("hour"), count("day"), count("week")]).toEqual([360, 161, 33]);
  const day = pastFor(history, admin, { ...all, span: "HISTORY_SPAN_DAY" });
  expect(seriesOf(day.series, "tenant.held", "alice")[5]).toBe(64 * MiB);
  expect(seriesOf(day.series, "tenant.held", "alice").at(-1)).toBe(0);
  expect(seriesOf(day.series, "wait.mean")[0]).toBe(0);
  clock.advance(20 * HOUR);
  const rows = store.query<{ count: number }>("SELECT count(*) AS count FROM samples")[0]!.count;
  const slots = Object.values(resolutions).reduce((sum, { spanMs, stepMs }) => sum + spanMs / stepMs, 0);
  expect(rows).toBeLessThanOrEqual(slots);
  expect(count("hour")).toBe(360);
});

test("samples outlive the process, and a restart within a step loses only what it missed", () => {
  ask("alice", 32 * MiB);
  clock.advance(60_000);
  history.close();
  clock.advance(30_000);
  const again = new History({ store: new HistoryStore(store), clock });
  again.start(broker);
  clock.advance(30_000);
  expect(pastFor(again, admin, all).atMs).toHaveLength(9);
  const day = pastFor(again, admin, { ...all, span: "HISTORY_SPAN_DAY" });
  expect(seriesOf(day.series, "tenant.held", "alice").every((value) => value === 32 * MiB)).toBe(true);
  again.close();
});

test("a tenant sees the pool's totals and its own part, and asks for no other's", () => {
  ask("alice", 16 * MiB);
  ask("bob", 16 * MiB);
  clock.advance(10_000);
  const { series } = pastFor(history, alice, { ...all, devices: true });
  expect(series.filter(({ kind }) => kind === "tenant.held").map(({ subject }) => subject)).toEqual(["alice"]);
  expect(seriesOf(series, "pool.allocated")).toEqual([32 * MiB]);
  expect(seriesOf(series, "device.allocated", "null:0")).toEqual([32 * MiB]);
  expect(() => pastFor(history, alice, { ...all, tenant: "bob" })).toThrow("another's");
});

const sampleWith = (tenants: Sample["tenants"]): Sample => ({ memory: 1, devices: {}, tenants, waiting: 0 });

test("more tenants than are kept are summed, and none is lost", () => {
  const tenants = Object.fromEntries(
    Array.from({ length: 2 * TENANTS_MAX }, (_, index) => [`tenant-${index}`, { ...noTenant, held: index }]),
  );
  const kept = merged([sampleWith(tenants)]).tenants;
  expect(Object.keys(kept)).toHaveLength(TENANTS_MAX + 1);
  const sum = (all: Sample["tenants"]): number => Object.values(all).reduce((total, { held }) => total + held, 0);
  expect(sum(kept)).toBe(sum(tenants));
});

test("samples that a damaged disk has spoiled are left out, and cost nobody the others", () => {
  clock.advance(20_000);
  const before = pastFor(history, admin, all).atMs.length;
  expect(before).toBeGreaterThan(0);
  const spoiled = new HistoryStore(store);
  for (const [index, text] of ['{"memory":', "null"].entries())
    spoiled.put(resolutions.hour, { at: clock.now() - (index + 1) * resolutions.hour.stepMs, text });
  clock.advance(60_000);
  expect(pastFor(history, admin, all).atMs.length).toBeGreaterThan(before);
});

test("tenants may be called what JavaScript calls its own", () => {
  const hostile = JSON.parse('{"__proto__": {"held": 4}, "constructor": {"held": 2}}') as Sample["tenants"];
  const named = Object.fromEntries(Object.entries(hostile).map(([name, part]) => [name, { ...noTenant, ...part }]));
  const result = merged([sampleWith(named), sampleWith({})]);
  expect(Object.entries(result.tenants).map(([name, { held }]) => [name, held])).toEqual([
    ["__proto__", 2],
    ["constructor", 1],
  ]);
});

test("the table for spreadsheets holds no formula and no lost quote", () => {
  const text = csvOf({
    atMs: [0],
    series: [
      { kind: "tenant.held", subject: '=cmd|"x",y', values: [1.5] },
      { kind: "=1+1", subject: "", values: [Number.NaN] },
    ],
  });
  expect(text).toBe('time,"tenant.held =cmd|""x"",y",\'=1+1\r\n1970-01-01T00:00:00.000Z,1.5,\r\n');
});
