/**
 * A client whose connection is silent, and which tries another: the one that it has is given up for one over which the server goes on, and for
 * nothing less. The client's session and the server's over real sockets, with a proxy between them that stalls, heals, cuts and leads astray.
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import { SluiceError } from "../../shared/errors.ts";
import { type ClientOnStand, openClient } from "../support/client-on-stand.ts";
import { CuttingProxy } from "../support/cutting-proxy.ts";
import { FakeExecutor, type FakeExecutorOptions } from "../support/fake-executor.ts";
import { createRandom } from "../support/random.ts";
import { CHAIN, chained, SessionStand } from "../support/session-stand.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const KiB = 1024;
const single = { grid: 1, block: 1 };
const SILENCE_MS = 90;

let stand: SessionStand;
let proxy: CuttingProxy;

beforeEach(async () => {
  stand = await SessionStand.start();
  proxy = await CuttingProxy.to(stand.address);
});

afterEach(async () => {
  await proxy.close();
  await stand.close();
});

interface Silent extends ClientOnStand {
  /** The answer that the client waits for. */
  readonly answer: Promise<number>;
}

/** A client that waits for an answer which a stall keeps from it. */
async function openSilent(): Promise<Silent> {
  const client = await openClient(stand, proxy.address, { silenceMs: SILENCE_MS });
  const { gpu } = client;
  const cell = gpu.upload(Uint32Array.of(1));
  const chain = (await gpu.load(CHAIN)).kernel("chain");
  proxy.stallAll();
  chain.launch(single, [cell, 1]);
  const answer = inTime("the answer", cell.read(Uint32Array)).then((values) => values[0]!);
  answer.catch(() => {});
  return { ...client, answer };
}

/** The stall is over, and the session goes on over the connection that it had: the user has noticed nothing. */
async function goesOnUnnoticed({ answer, session, changes, failures }: Silent): Promise<void> {
  proxy.healAll();
  expect(await answer).toBe(chained(1, 1));
  expect({ changes, failures, reconnects: session.reconnects }).toEqual({ changes: [], failures: [], reconnects: 0 });
  expect(stand.launches).toBe(1);
  expect(await session.close(new SluiceError("CLOSED", "The test is over."))).toBeUndefined();
}

test.each(["reset", "fin"] as const)(
  "another connection that dies [%s] behind its greeting costs nothing",
  async (how) => {
    const silent = await openSilent();
    proxy.plan = () => ({ direction: "up", afterBytes: 1, how });
    await waitFor("two attempts", () => proxy.cuts === 2);
    await goesOnUnnoticed(silent);
  },
);

/** A client whose attempt has said HELLO, of which the server has nothing yet, when the first connection goes on. */
async function openCalledOff(): Promise<Silent> {
  const silent = await openSilent();
  const { up } = proxy.passed;
  proxy.plan = () => ({ direction: "up", afterBytes: 1, how: "stall" });
  await waitFor("HELLO", () => proxy.passed.up === up + 1);
  proxy.plan = () => undefined;
  proxy.healFirst();
  expect(await silent.answer).toBe(chained(1, 1));
  return silent;
}

test("another connection that greets and stalls is called off when the first goes on", async () => {
  const { session, gpu, changes } = await openCalledOff();
  expect((await gpu.upload(Uint8Array.of(7)).read(Uint8Array))[0]).toBe(7);
  expect({ changes, reconnects: session.reconnects }).toEqual({ changes: [], reconnects: 0 });
});

test("a HELLO that arrives after it was called off costs another connection at most", async () => {
  const { gpu, failures } = await openCalledOff();
  const cell = gpu.upload(Uint32Array.of(1));
  const chain = (await gpu.load(CHAIN)).kernel("chain");
  proxy.healAll();
  let expected = 1;
  for (let step = 1; step <= 200; step++) {
    chain.launch(single, [cell, step]);
    expected = chained(expected, step);
    if (step % 10 === 0) expect((await inTime("the answer", cell.read(Uint32Array)))[0]).toBe(expected);
  }
  await waitFor("the other to be closed", () => proxy.open === 1);
  expect((await inTime("the answer", cell.read(Uint32Array)))[0]).toBe(expected);
  expect(failures).toEqual([]);
  expect({ launches: stand.launches, sessions: stand.sessions }).toEqual({ launches: 201, sessions: 1 });
});

const strangers: readonly (readonly [string, Partial<FakeExecutorOptions>])[] = [
  ["that has not found the lease", { refuse: { code: "LEASE_NOT_FOUND", message: "There is no such lease." } }],
  ["that says that the lease is over", { refuse: { code: "LEASE_EXPIRED", message: "It is over." } }],
  ["whose executor is busy", { refuse: { code: "SESSION_BUSY", message: "Another is there." } }],
  ["that speaks another table of calls", { fingerprint: "0123456789abcdef" }],
  ["that does not know the secret", { wrongProof: true }],
  ["that believes to have calls that were never made", { received: 999 }],
  ["that does not believe the client's", { secret: new Uint8Array(32) }],
];

test.each(strangers)("a server %s is no reason to give up a connection that was only slow", async (_, options) => {
  const stranger = await FakeExecutor.start({ secret: stand.secret, ...options });
  try {
    const silent = await openSilent();
    proxy.leadTo(stranger.endpoint.replace("tcp://", ""));
    await waitFor("two attempts", () => stranger.accepted >= 2);
    await goesOnUnnoticed(silent);
  } finally {
    await stranger.close();
  }
});

test("a connection that breaks for good while another is tried in vain is replaced as ever", async () => {
  const silent = await openSilent();
  const { up } = proxy.passed;
  proxy.plan = () => ({ direction: "up", afterBytes: 1, how: "stall" });
  await waitFor("HELLO", () => proxy.passed.up === up + 1);
  proxy.plan = () => undefined;
  proxy.cutAll();
  expect(await silent.answer).toBe(chained(1, 1));
  expect(silent.changes.map(({ state }) => state)).toEqual(["lost", "resumed"]);
  expect(stand.launches).toBe(1);
});

test("the first connection is left at the WELCOME of another, and told as lost then", async () => {
  const { answer, changes, session } = await openSilent();
  expect(await answer).toBe(chained(1, 1));
  const endpoint = `tcp://${proxy.address}`;
  expect(changes).toEqual([
    { state: "lost", endpoint, reason: "the server is silent there" },
    { state: "resumed", endpoint, reason: undefined },
  ]);
  expect(session.reconnects).toBe(1);
  expect(stand.launches).toBe(1);
  await waitFor("the first to be closed", () => proxy.open === 1);
});

test("a server that knows the lease, and says that the session is over, is believed", async () => {
  const silent = await openSilent();
  const knowing = await FakeExecutor.start({
    secret: stand.secret,
    refuse: { code: "SESSION_LOST", message: "The session is over." },
  });
  proxy.leadTo(knowing.endpoint.replace("tcp://", ""));
  await expect(silent.answer).rejects.toMatchObject({ code: "SESSION_LOST" });
  expect(silent.failures).toMatchObject([{ code: "SESSION_LOST" }]);
  await knowing.close();
});

test("answers and launches go on over hundreds of stalls that heal or do not, each of them done once", async () => {
  const random = createRandom(23);
  const client = await openClient(stand, proxy.address, { silenceMs: 24 });
  const { gpu, session } = client;
  const chain = (await gpu.load(CHAIN)).kernel("chain");
  const cell = gpu.upload(Uint32Array.of(1));
  const bytes = new Uint8Array(300 * KiB).map((_unused, index) => index * 7);
  proxy.plan = () => ({
    direction: random() < 0.5 ? "up" : "down",
    // Often within the handshake.
    afterBytes: Math.floor(random() ** 4 * 600 * KiB),
    how: random() < 0.7 ? "stall" : random() < 0.5 ? "reset" : "fin",
  });
  proxy.stallAll();
  // The stalls heal at moments of their own: before, during and behind the handshake of another connection.
  let isDone = false;
  const healing = (async () => {
    while (!isDone) {
      await new Promise((resolve) => setTimeout(resolve, random() * 70));
      if (random() < 0.7) proxy.healAll();
      else proxy.stallAll();
    }
  })();
  let expected = 1;
  let step = 0;
  // On a machine that is slow, most stalls heal before another connection is there.
  for (let round = 0; round < 25 || session.reconnects < 3; round++) {
    const buffer = gpu.upload(bytes);
    for (let count = 0; count < 40; count++) {
      chain.launch(single, [cell, ++step]);
      expected = chained(expected, step);
    }
    const [back, value] = await inTime("answers", Promise.all([buffer.read(Uint8Array), cell.read(Uint32Array)]));
    expect(Buffer.compare(back, bytes)).toBe(0);
    expect(value[0]).toBe(expected);
    buffer.free();
  }
  isDone = true;
  await healing;
  proxy.plan = () => undefined;
  proxy.healAll();
  expect(await session.close(new SluiceError("CLOSED", "The test is over."))).toBeUndefined();
  expect(client.failures).toEqual([]);
  expect(stand.launches).toBe(step);
  expect(stand.sessions).toBe(1);
  expect(client.output().split(";").length - 1).toBe(Math.floor(step / 5));
}, 60_000);
