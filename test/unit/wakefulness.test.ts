/** Staying awake while the other end is waited for: where it is done, what it learns, and what it gives up. */
import { closeSync, writeSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { Awake } from "../../client/awake.ts";
import { nowMs } from "../../server/executor/clock.ts";
import { Line } from "../../server/executor/line.ts";
import { receiveAwake } from "../../server/executor/socket-calls.ts";
import { joinedDescriptors, socketOf } from "../../server/session/socket-pair.ts";
import { AWAKE_MS, coresToUse, Wakefulness } from "../../shared/wakefulness.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Of so many waits in a row, none of which ends in time, how many stay awake. */
function stays(wakefulness: Wakefulness, waits: number): number {
  let count = 0;
  for (let wait = 0; wait < waits; wait++) {
    if (!wakefulness.stays()) continue;
    count++;
    wakefulness.learn(false);
  }
  return count;
}

test("nobody stays awake where another may need the core", () => {
  for (const cores of [1, 2, 3]) expect(new Wakefulness(cores).stays()).toBe(false);
  expect(new Wakefulness(4).stays()).toBe(true);
});

test("a user's word counts more than cores do, and one that is none is refused", () => {
  expect([undefined, ""].map((setting) => coresToUse(setting, 7))).toEqual([7, 7]);
  expect(new Wakefulness(coresToUse("always", 1)).stays()).toBe(true);
  expect(new Wakefulness(coresToUse("never", 64)).stays()).toBe(false);
  expect(() => coresToUse("sometimes", 64)).toThrow("[sometimes], which is none of [always, never]");
});

test("who waits in vain tries it less and less often, and never gives it up", () => {
  const wakefulness = new Wakefulness(16);
  expect(stays(wakefulness, 1000)).toBeLessThan(25);
  expect(stays(wakefulness, 1000)).toBeGreaterThan(10);
});

test("one wait that ends in time is enough to stay awake again", () => {
  const wakefulness = new Wakefulness(16);
  stays(wakefulness, 1000);
  let waits = 0;
  while (!wakefulness.stays()) waits++;
  expect(waits).toBeLessThan(65);
  wakefulness.learn(true);
  for (let wait = 0; wait < 100; wait++) {
    expect(wakefulness.stays()).toBe(true);
    wakefulness.learn(true);
  }
});

interface Stand {
  readonly awake: Awake;
  readonly client: { awaited: boolean; answers: number; now: number; looks: number };
}

function stand(cores = 8): Stand {
  const client = { awaited: false, answers: 0, now: 0, looks: 0 };
  const waiter = { isAwaited: () => client.awaited, answers: () => client.answers };
  const now = (): number => {
    client.looks++;
    return client.now;
  };
  return { client, awake: new Awake(waiter, { cores, now }) };
}

/** Turns of the event loop in which it was awake. */
async function turnsAwake({ client }: Stand, turns: number): Promise<number> {
  const before = client.looks;
  for (let each = 0; each < turns; each++) await turn();
  return client.looks - before;
}

test("a client is awake until its answer is there, and then the loop may sleep", async () => {
  const client = stand();
  client.client.awaited = true;
  client.awake.begin();
  expect(await turnsAwake(client, 10)).toBe(10);
  client.client.answers++;
  client.client.awaited = false;
  expect(await turnsAwake(client, 10)).toBe(1);
});

test("a client that waits for several answers is awake as long as they keep coming", async () => {
  const client = stand();
  client.client.awaited = true;
  client.awake.begin();
  for (let answer = 0; answer < 10; answer++) {
    client.client.now += AWAKE_MS * 0.9;
    client.client.answers++;
    expect(await turnsAwake(client, 3)).toBe(3);
  }
  client.client.now += AWAKE_MS;
  expect(await turnsAwake(client, 3)).toBe(1);
});

test("a client whose answers take long sleeps, and so do most of its next waits", async () => {
  const client = stand();
  client.client.awaited = true;
  let awake = 0;
  for (let wait = 0; wait < 200; wait++) {
    client.awake.begin();
    if ((await turnsAwake(client, 2)) > 1) awake++;
    client.client.now += AWAKE_MS;
    await turn();
    client.client.answers++;
  }
  expect(awake).toBeGreaterThan(0);
  expect(awake).toBeLessThan(12);
});

test("a client with few cores always sleeps", async () => {
  const client = stand(2);
  client.client.awaited = true;
  client.awake.begin();
  expect(await turnsAwake(client, 3)).toBe(0);
});

const opened: number[] = [];
afterEach(() => {
  for (const fd of opened.splice(0)) closeSync(fd);
});

function pair(): readonly [number, number] {
  const both = joinedDescriptors("stream");
  opened.push(...both);
  return both;
}

test("what is there is read at once, and for what is not nobody waits longer than was said", () => {
  const [mine, theirs] = pair();
  const into = new Uint8Array(16);
  writeSync(theirs, Buffer.from("four"));
  expect(receiveAwake(mine, into, nowMs() - 1)).toBe(4);
  expect(Buffer.from(into.subarray(0, 4)).toString()).toBe("four");
  const start = nowMs();
  expect(receiveAwake(mine, into, start + 2)).toBe(0);
  expect(nowMs() - start).toBeGreaterThanOrEqual(2);
});

test("the end of a connection is no reason to stay awake", () => {
  const [mine, theirs] = pair();
  closeSync(opened.splice(opened.indexOf(theirs), 1)[0]!);
  const start = nowMs();
  expect(receiveAwake(mine, new Uint8Array(16), start + 60_000)).toBe(0);
  expect(nowMs() - start).toBeLessThan(30_000);
});

test("an executor's line that is awake reads what comes, and when nothing does lets the event loop have its turn", () => {
  const [mine, theirs] = joinedDescriptors("stream");
  opened.push(theirs);
  const socket = socketOf(mine);
  const line = new Line(socket, mine, 8);
  const into = new Uint8Array(16);
  for (let call = 0; call < 50; call++) {
    writeSync(theirs, Buffer.from("a call"));
    expect(line.receive(into)).toBe(6);
  }
  expect(line.receive(into)).toBe(0);
  line.close();
  expect(line.receive(into)).toBe(0);
  socket.destroy();
});
