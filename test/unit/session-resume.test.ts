/**
 * Sessions whose connection breaks: the client's session and the server's over real sockets, with a proxy between them that cuts. The
 * device's launches are a chain, and what kernels print is numbered, so that whatever is lost, repeated or out of order shows.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { ContentCache } from "../../server/executor/content-cache.ts";
import { SluiceError } from "../../shared/errors.ts";
import { encodeCopyToDeviceCall, FrameKind } from "../../shared/generated/calls.ts";
import { ANSWER_BACKLOG_BYTES_MAX, CLIENT_BACKLOG_BYTES_MAX } from "../../shared/limits.ts";
import { FrameLog } from "../../shared/wire/frame-log.ts";
import { type ClientOnStand, openClient } from "../support/client-on-stand.ts";
import { type Cut, CuttingProxy } from "../support/cutting-proxy.ts";
import { isAll } from "../support/is-all.ts";
import { createRandom } from "../support/random.ts";
import { rounds } from "../support/rounds.ts";
import { CHAIN, chained, SessionStand, type StandOptions } from "../support/session-stand.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const MiB = 1024 * 1024;
const single = { grid: 1, block: 1 };

const closed = (): SluiceError => new SluiceError("CLOSED", "The test is over.");

/** A short session with everything in it: answers, calls without, output; returns what went wrong with the result, if anything. */
async function shortJob({ gpu, output }: ClientOnStand, steps: number): Promise<void> {
  const chain = (await gpu.load(CHAIN)).kernel("chain");
  const cell = gpu.upload(Uint32Array.of(1));
  let expected = 1;
  let printed = "";
  for (let step = 1; step <= steps; step++) {
    chain.launch(single, [cell, step]);
    expected = chained(expected, step);
    if (step % 5 === 0) printed += `${step};`;
    if (step % 3 === 0) await gpu.flush();
  }
  expect((await cell.read(Uint32Array))[0]).toBe(expected);
  expect(output()).toBe(printed);
}

async function failureOf(work: Promise<unknown>): Promise<SluiceError> {
  const error = await inTime("a failure", work).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (error instanceof SluiceError) return error;
  throw new Error(`It did not fail so [${error}].`);
}

/** Bytes that the short job's session sends each way, when nothing breaks. */
async function lengthOfShortJob(steps: number): Promise<{ up: number; down: number }> {
  const stand = await SessionStand.start();
  const proxy = await CuttingProxy.to(stand.address);
  const client = await openClient(stand, proxy.address);
  await shortJob(client, steps);
  await client.session.close(closed());
  const { up, down } = proxy.passed;
  await proxy.close();
  await stand.close();
  return { up, down };
}

async function runCut(cut: Cut, steps: number): Promise<void> {
  const stand = await SessionStand.start();
  const proxy = await CuttingProxy.to(stand.address, (connection) => (connection === 0 ? cut : undefined));
  try {
    const client = await openClient(stand, proxy.address);
    await shortJob(client, steps);
    expect(await client.session.close(closed())).toBeUndefined();
    expect(client.failures).toEqual([]);
    expect(stand.launches).toBe(steps);
    expect(stand.sessions).toBe(1);
    expect(proxy.cuts).toBe(1);
  } catch (error) {
    throw new Error(`With the cut ${JSON.stringify(cut)}: ${(error as Error).message}`, { cause: error });
  } finally {
    await proxy.close();
    await stand.close();
  }
}

test("a session that is cut behind any byte, in either direction, comes to the same end", async () => {
  const steps = 4;
  const length = await lengthOfShortJob(steps);
  expect(length.up + length.down).toBeGreaterThan(1_000);
  // Each run has bytes of its own, all of them in so many runs.
  const stride = Math.max(1, Math.floor(6 / rounds(1)));
  const cuts: Cut[] = [];
  for (const direction of ["up", "down"] as const) {
    for (let at = Date.now() % stride; at < length[direction]; at += stride) {
      cuts.push({ direction, afterBytes: at, how: Math.random() < 0.5 ? "reset" : "fin" });
    }
  }
  // Several at once: each spends its time waiting.
  const workers = Array.from({ length: 8 }, async () => {
    for (let cut = cuts.pop(); cut !== undefined; cut = cuts.pop()) await runCut(cut, steps);
  });
  await Promise.all(workers);
}, 240_000);

/** Runs `work` on a stand behind a proxy, and takes both down. */
async function withProxy(
  options: StandOptions,
  work: (parts: { stand: SessionStand; proxy: CuttingProxy }) => Promise<void>,
): Promise<void> {
  const stand = await SessionStand.start(options);
  const proxy = await CuttingProxy.to(stand.address);
  try {
    await work({ stand, proxy });
  } finally {
    await proxy.close();
    await stand.close();
  }
}

test("large copies and launches go on over dozens of cuts, each of them done once", async () => {
  const random = createRandom(4);
  await withProxy({}, async ({ stand, proxy }) => {
    proxy.plan = () => ({
      direction: random() < 0.5 ? "up" : "down",
      afterBytes: Math.floor(random() ** 3 * 1.3 * MiB),
      how: random() < 0.5 ? "reset" : "fin",
    });
    const client = await openClient(stand, proxy.address);
    const { gpu, session } = client;
    const chain = (await gpu.load(CHAIN)).kernel("chain");
    const cell = gpu.upload(Uint32Array.of(1));
    let expected = 1;
    let step = 0;
    for (let round = 0; round < rounds(10); round++) {
      const bytes = new Uint8Array(2 * MiB + 5);
      for (let at = 0; at < bytes.length; at++) bytes[at] = at * 7 + round;
      const buffer = gpu.upload(bytes);
      for (let count = 0; count < 200; count++) {
        chain.launch(single, [cell, ++step]);
        expected = chained(expected, step);
      }
      const [back, value] = await Promise.all([buffer.read(Uint8Array), cell.read(Uint32Array)]);
      expect(Buffer.compare(back, bytes)).toBe(0);
      expect(value[0]).toBe(expected);
      buffer.free();
    }
    proxy.plan = () => undefined;
    proxy.cutAll();
    await session.close(closed());
    expect(stand.launches).toBe(step);
    expect(proxy.cuts).toBeGreaterThan(30);
    expect(session.reconnects).toBeGreaterThan(10);
    expect(client.output().split(";").length - 1).toBe(Math.floor(step / 5));
  });
});

test("recordings, cached uploads and copies in pieces go on over cuts too, each replay done once", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-resume-"));
  const cache = new ContentCache({ directory: folder, bytesMax: 64 * MiB, onProblem: () => {} });
  const random = createRandom(11);
  await withProxy({ cache }, async ({ stand, proxy }) => {
    proxy.plan = () => ({
      direction: random() < 0.5 ? "up" : "down",
      afterBytes: Math.floor(random() ** 3 * 1.3 * MiB),
      how: random() < 0.5 ? "reset" : "fin",
    });
    const { gpu, session } = await openClient(stand, proxy.address);
    const chain = (await gpu.load(CHAIN)).kernel("chain");
    const cells = [gpu.upload(Uint32Array.of(1)), gpu.upload(Uint32Array.of(1))] as const;
    const step = gpu.record({ cell: cells[0], first: 0, second: 0 }, ({ cell, first, second }) => {
      chain.launch(single, [cell, first]);
      chain.launch(single, [cell, second]);
    });
    const stream = gpu.stream({ waitsForDefault: false });
    const [weights, large] = [gpu.alloc(3 * MiB), gpu.alloc(3 * MiB)];
    const expected = [1, 1];
    const turns = rounds(6);
    for (let round = 0; round < turns; round++) {
      const bytes = new Uint8Array(new Uint32Array((3 * MiB) / 4).fill(round % 3).buffer);
      const copy = large.write(bytes, { stream, overlap: true });
      await weights.write(bytes, { cached: true });
      const which = (round % 2) as 0 | 1;
      for (let count = 0; count < 100; count++) {
        const [first, second] = [round * 200 + count * 2, round * 200 + count * 2 + 1];
        step.replay({ cell: cells[which], first, second });
        expected[which] = chained(chained(expected[which]!, first), second);
      }
      await copy;
      await stream.synchronize();
      for (const buffer of [weights, large]) expect(Buffer.compare(await buffer.read(Uint8Array), bytes)).toBe(0);
      for (const index of [0, 1] as const) expect((await cells[index].read(Uint32Array))[0]).toBe(expected[index]);
    }
    proxy.plan = () => undefined;
    proxy.cutAll();
    expect(await session.close(closed())).toBeUndefined();
    expect(stand.launches).toBe(turns * 200);
    expect(proxy.cuts).toBeGreaterThan(10);
  });
  rmSync(folder, { recursive: true, force: true });
});

test("a cut is told when it happens and when the session goes on, and counted", async () => {
  await withProxy({}, async ({ stand, proxy }) => {
    const { gpu, session, changes } = await openClient(stand, proxy.address);
    proxy.cutAll();
    await waitFor("the session to go on", () => changes.length === 2);
    expect(changes).toEqual([
      { state: "lost", endpoint: `tcp://${proxy.address}`, reason: expect.stringContaining("ECONNRESET") },
      { state: "resumed", endpoint: `tcp://${proxy.address}`, reason: undefined },
    ]);
    expect(session.reconnects).toBe(1);
    expect((await gpu.upload(Uint8Array.of(7)).read(Uint8Array))[0]).toBe(7);
  });
});

test("a server that has not noticed that the connection is dead lets the session have another", async () => {
  await withProxy({}, async ({ stand, proxy }) => {
    const client = await openClient(stand, proxy.address);
    proxy.cutAll("reset", "client");
    await shortJob(client, 10);
    expect(client.session.reconnects).toBe(1);
    expect(stand.sessions).toBe(1);
    proxy.tellAll();
    expect((await client.gpu.upload(Uint8Array.of(7)).read(Uint8Array))[0]).toBe(7);
    expect(client.session.reconnects).toBe(1);
  });
});

test("a client that waits, and does not know that its connection is dead, tries another", async () => {
  await withProxy({}, async ({ stand, proxy }) => {
    const { gpu, session, changes } = await openClient(stand, proxy.address, { silenceMs: 150 });
    const buffer = gpu.upload(Uint8Array.of(7));
    await gpu.flush();
    proxy.cutAll("reset", "server");
    expect((await buffer.read(Uint8Array))[0]).toBe(7);
    expect(session.reconnects).toBe(1);
    expect(changes.map(({ state }) => state)).toEqual(["lost", "resumed"]);
  });
});

test("a call that takes long is no reason to try another connection", async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await withProxy({ beforeLaunch: () => held }, async ({ stand, proxy }) => {
    const { gpu, session } = await openClient(stand, proxy.address, { silenceMs: 1_500 });
    const chain = (await gpu.load(CHAIN)).kernel("chain");
    const cell = gpu.upload(Uint32Array.of(1));
    chain.launch(single, [cell, 1]);
    const value = cell.read(Uint32Array);
    const { bytesReceived } = session;
    await waitFor("many signs of life", () => session.bytesReceived > bytesReceived + 16 * 60);
    release();
    expect((await value)[0]).toBe(chained(1, 1));
    expect(session.reconnects).toBe(0);
  });
});

test("while its client is away, a session runs what it has received, and nothing twice", async () => {
  const waiting: (() => void)[] = [];
  const beforeLaunch = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
  await withProxy({ beforeLaunch }, async ({ stand, proxy }) => {
    const { gpu } = await openClient(stand, proxy.address);
    const chain = (await gpu.load(CHAIN)).kernel("chain");
    const cell = gpu.upload(Uint32Array.of(1));
    for (let step = 1; step <= 20; step++) chain.launch(single, [cell, step]);
    const value = cell.read(Uint32Array);
    await waitFor("the first launch", () => waiting.length === 1);
    proxy.plan = () => ({ direction: "up", afterBytes: 0, how: "reset" });
    proxy.cutAll();
    for (let step = 1; step <= 20; step++) {
      await waitFor("the launch", () => waiting.length > 0);
      waiting.shift()!();
    }
    await waitFor("all launches", () => stand.launches === 20);
    proxy.plan = () => undefined;
    let expected = 1;
    for (let step = 1; step <= 20; step++) expected = chained(expected, step);
    expect((await value)[0]).toBe(expected);
    expect(stand.launches).toBe(20);
  });
});

test("a session whose client is away holds no more answers than it may, and goes on when the client is back", async () => {
  const count = (4 * ANSWER_BACKLOG_BYTES_MAX) / MiB;
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await withProxy({ beforeLaunch: () => held }, async ({ stand, proxy }) => {
    const { gpu } = await openClient(stand, proxy.address);
    const chain = (await gpu.load(CHAIN)).kernel("chain");
    const cell = gpu.upload(Uint32Array.of(1));
    const buffer = gpu.upload(new Uint8Array(MiB).fill(3));
    await gpu.synchronize();
    const { bytesReceived } = stand.usage;
    chain.launch(single, [cell, 1]);
    const reads = Array.from({ length: count }, () => buffer.read(Uint8Array));
    await waitFor("the calls to arrive", () => stand.usage.bytesReceived > bytesReceived + count * 24);
    proxy.plan = () => ({ direction: "up", afterBytes: 0, how: "reset" });
    proxy.cutAll();
    const sent = stand.usage.answers;
    release();
    await waitFor("the session to stop", () => stand.usage.answers - sent >= ANSWER_BACKLOG_BYTES_MAX / MiB);
    proxy.plan = () => undefined;
    const before = stand.usage.answers - sent;
    expect(before).toBeLessThanOrEqual(ANSWER_BACKLOG_BYTES_MAX / MiB + 1);
    for (const bytes of await Promise.all(reads)) expect(isAll(bytes, 3)).toBe(true);
  });
});

test("a client that is cut off holds no more calls than it may, and none is lost", async () => {
  await withProxy({}, async ({ stand, proxy }) => {
    const { gpu, session } = await openClient(stand, proxy.address);
    const buffer = gpu.alloc(MiB);
    await gpu.synchronize();
    proxy.plan = () => ({ direction: "up", afterBytes: 0, how: "reset" });
    proxy.cutAll();
    await waitFor("the cut", () => proxy.cuts > 1);
    const data = new Uint8Array(MiB);
    let refused: unknown;
    let written = 0;
    for (; refused === undefined && written < 200; written++) {
      data[0] = written;
      try {
        buffer.write(data);
      } catch (error) {
        refused = error;
      }
    }
    expect(refused).toMatchObject({ code: "BACKLOG_FULL" });
    expect(session.queuedBytes).toBeLessThan(CLIENT_BACKLOG_BYTES_MAX + 2 * MiB);
    proxy.plan = () => undefined;
    await gpu.flush();
    // The last one was refused.
    expect((await buffer.read(Uint8Array, { length: 1 }))[0]).toBe(written - 2);
  });
});

test("when the grace is over, every call that waits and every later one says that the session is lost", async () => {
  await withProxy({ graceMs: 150 }, async ({ stand, proxy }) => {
    const { gpu, failures } = await openClient(stand, proxy.address);
    const buffer = gpu.upload(Uint8Array.of(1));
    await gpu.synchronize();
    // The client does not know for a while, and so tries in vain when it does.
    proxy.cutAll("fin", "server");
    await waitFor("the server to give up", () => stand.session === undefined);
    const waiting = failureOf(buffer.read(Uint8Array));
    proxy.tellAll();
    expect((await waiting).code).toBe("SESSION_LOST");
    expect(failures.map(({ code }) => code)).toEqual(["SESSION_LOST"]);
    expect((await failureOf(buffer.read(Uint8Array))).code).toBe("SESSION_LOST");
    expect(() => buffer.fill(1)).toThrow(expect.objectContaining({ code: "SESSION_LOST" }));
  });
});

test("when the server does not come back within the grace, the client says so", async () => {
  await withProxy({ graceMs: 300 }, async ({ stand, proxy }) => {
    const { gpu, failures } = await openClient(stand, proxy.address);
    const waiting = failureOf(gpu.upload(Uint8Array.of(1)).read(Uint8Array));
    proxy.plan = () => ({ direction: "up", afterBytes: 0, how: "reset" });
    proxy.cutAll();
    const error = await waiting;
    expect(error.code).toBe("CONNECTION_LOST");
    expect(error.message).toContain("cannot be resumed within [300] ms");
    expect(failures).toHaveLength(1);
  });
});

test("a client that wants no resuming ends with its connection, and its session too", async () => {
  await withProxy({}, async ({ stand, proxy }) => {
    const { gpu, changes } = await openClient(stand, proxy.address, { resumeMs: 0 });
    const buffer = gpu.upload(Uint8Array.of(1));
    await buffer.read(Uint8Array);
    proxy.cutAll();
    expect((await failureOf(buffer.read(Uint8Array))).code).toBe("CONNECTION_LOST");
    await waitFor("the session to end", () => stand.session === undefined);
    expect(changes).toEqual([]);
  });
});

test("another session is refused while one waits for its client, and may come after the grace", async () => {
  await withProxy({ graceMs: 1_500 }, async ({ stand, proxy }) => {
    await openClient(stand, proxy.address);
    proxy.plan = (connection) => (connection === 1 ? undefined : { direction: "up", afterBytes: 0, how: "reset" });
    proxy.cutAll();
    expect((await failureOf(openClient(stand, stand.address))).code).toBe("SESSION_BUSY");
    proxy.plan = () => ({ direction: "up", afterBytes: 0, how: "reset" });
    proxy.cutAll();
    await waitFor("the grace to be over", () => stand.session === undefined);
    const { gpu } = await openClient(stand, stand.address);
    expect((await gpu.upload(Uint8Array.of(7)).read(Uint8Array))[0]).toBe(7);
    expect(stand.sessions).toBe(2);
  });
});

test("a failure that no answer has told about is told at the end, also when the connection breaks just then", async () => {
  await withProxy({}, async ({ stand, proxy }) => {
    const { gpu, session } = await openClient(stand, proxy.address);
    const buffer = gpu.alloc(16);
    await gpu.synchronize();
    const address = buffer.address;
    buffer.free();
    session.issue(4, { address, stream: 0, data: Uint8Array.of(1) }, encodeCopyToDeviceCall);
    proxy.plan = (connection) => (connection < 4 ? { direction: "down", afterBytes: 200, how: "reset" } : undefined);
    proxy.cutAll();
    expect(await session.close(closed())).toMatchObject({ code: "NOT_ALLOCATED" });
  });
});

test.each([
  ["first", 0],
  ["last", 1],
])(
  "the %s frame that the server was to send again and has lost ends the session at once, with a word of it",
  async (_, lost) => {
    const entries = FrameLog.prototype.entries;
    const isAnswers = ({ pieces }: { readonly pieces: readonly Uint8Array[] }): boolean =>
      pieces[0]![4] === FrameKind.ANSWERS;
    let isBroken = false;
    const spy = vi.spyOn(FrameLog.prototype, "entries").mockImplementation(function (this: FrameLog) {
      const all = [...entries.call(this)];
      const answers = all.filter(isAnswers);
      return (isBroken ? all.filter((frame) => frame !== answers[lost]) : all).values();
    });
    let letGo = (): void => {};
    const beforeLaunch = (): Promise<void> =>
      new Promise((resolve) => {
        letGo = resolve;
      });
    try {
      await withProxy({ beforeLaunch }, async ({ stand, proxy }) => {
        const { gpu, failures } = await openClient(stand, proxy.address);
        const chain = (await gpu.load(CHAIN)).kernel("chain");
        const cell = gpu.upload(Uint32Array.of(1));
        const bulk = gpu.alloc(MiB / 4);
        chain.launch(single, [cell, 1]);
        const answers = Promise.all([bulk.read(Uint8Array), cell.read(Uint32Array)]);
        await waitFor("the launch to begin", () => stand.session?.isBusy);
        proxy.plan = () => ({ direction: "up", afterBytes: 0, how: "reset" });
        proxy.cutAll();
        letGo();
        await waitFor("the launch to end", () => stand.launches === 1 && !stand.session?.isBusy);
        isBroken = true;
        proxy.plan = () => undefined;
        expect(await failureOf(answers)).toMatchObject({
          code: "PROTOCOL_ERROR",
          message: expect.stringMatching(/executed the call \[\d+\], and its answer is lost/),
        });
        expect(failures).toMatchObject([{ code: "PROTOCOL_ERROR" }]);
      });
    } finally {
      spy.mockRestore();
    }
  },
);
