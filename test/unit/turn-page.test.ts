/** The files over which executors take turns: made and kept by daemons, mapped by executors. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LeaseTurns } from "../../server/executor/device-turns.ts";
import { isOwnerThere, makeTurnFiles, TurnPage, turnOwner } from "../../server/executor/turn-page.ts";
import { bellOf, POLICY_AT, TURN_PAGE_BYTES } from "../../server/executor/turns.ts";

let state: string;

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "sluice-turns-"));
});

afterEach(() => {
  rmSync(state, { recursive: true, force: true });
});

const devices = [{ id: "cpu:0" }, { id: "cuda:1" }];

test("each device has a file of its own, which outlives its daemon, and takes the next one's policy", () => {
  const { turnFileOf, holdsCompute } = makeTurnFiles(state, devices, "guaranteed");
  expect(holdsCompute).toBe(true);
  expect(turnFileOf("cpu:0")).not.toBe(turnFileOf("cuda:1"));
  expect(readFileSync(turnFileOf("cpu:0"))).toHaveLength(TURN_PAGE_BYTES);
  const words = new Int32Array(new TurnPage(turnFileOf("cpu:0")).memory);
  expect(words[POLICY_AT / 4]).toBe(1);
  words[100] = 77;
  expect(makeTurnFiles(state, devices, "fixed").holdsCompute).toBe(true);
  expect([words[POLICY_AT / 4], words[100]]).toEqual([2, 77]);
  expect(makeTurnFiles(state, devices, "best-effort").holdsCompute).toBe(false);
});

test("a file that is too short is made whole by the daemon, and mapped by nobody before", () => {
  const { turnFileOf } = makeTurnFiles(state, devices, "fixed");
  writeFileSync(turnFileOf("cpu:0"), "short");
  expect(() => new TurnPage(turnFileOf("cpu:0"))).toThrow("too short");
  makeTurnFiles(state, devices, "fixed");
  expect(new TurnPage(turnFileOf("cpu:0")).memory.byteLength).toBe(TURN_PAGE_BYTES);
});

test("two mappings are one memory, in which a word that has changed lets nobody sleep", () => {
  const { turnFileOf } = makeTurnFiles(state, devices, "guaranteed");
  const [one, other] = [new TurnPage(turnFileOf("cpu:0")), new TurnPage(turnFileOf("cpu:0"))];
  new Int32Array(one.memory)[bellOf(3)] = 5;
  expect(new Int32Array(other.memory)[bellOf(3)]).toBe(5);
  // It returns: the word is not as it was seen.
  other.sleep(bellOf(3), { seen: 4, ms: 999 });
  one.wake(bellOf(3));
});

test("a process is told from another that has its number", () => {
  const own = turnOwner();
  expect(isOwnerThere(own)).toBe(true);
  expect(isOwnerThere({ ...own, started: own.started + 1 })).toBe(false);
  expect(isOwnerThere({ pid: 2 ** 22 + 1, started: 1 })).toBe(false);
});

test("a lease that waits for its turn gets it from the one before, and hears CLOSED when it ends", async () => {
  const { turnFileOf } = makeTurnFiles(state, devices, "guaranteed");
  const page = new TurnPage(turnFileOf("cpu:0"));
  const [a, b] = ["a", "b"].map((slice) => new LeaseTurns({ page, slice, compute: 500, onFull: () => {} })) as [
    LeaseTurns,
    LeaseTurns,
  ];
  expect(a.isShared).toBe(true);
  expect(a.enter()).toBeUndefined();
  const waits = b.enter();
  expect(waits).toBeInstanceOf(Promise);
  expect(a.isWanted).toBe(true);
  a.done(50);
  await waits;
  expect([a.isIn, b.isIn]).toEqual([false, true]);
  const late = a.enter();
  expect(late).toBeInstanceOf(Promise);
  a.close();
  await expect(late).rejects.toMatchObject({ code: "CLOSED" });
  b.done(1);
  // Alone now: no turns.
  expect(b.isShared).toBe(false);
  b.close();
});
