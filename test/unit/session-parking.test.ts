/**
 * Jobs of the library whose work is suspended again and again, at whatever instant, over connections that break besides: they come to the same end as one that
 * nobody suspends. The device's launches are a chain, so that a call that is lost, repeated or out of order shows for ever.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ContentCache } from "../../server/executor/content-cache.ts";
import { SluiceError } from "../../shared/errors.ts";
import { STAGING_BYTES } from "../../shared/limits.ts";
import { type ClientOnStand, openClient } from "../support/client-on-stand.ts";
import { CuttingProxy } from "../support/cutting-proxy.ts";
import { createRandom } from "../support/random.ts";
import { rounds } from "../support/rounds.ts";
import { CHAIN, chained, SessionStand } from "../support/session-stand.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 * 1024;
const single = { grid: 1, block: 1 };
const PARKS_MIN = rounds(6);
const CUTS_MIN = rounds(4);

let folder: string;
let stand: SessionStand;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-parking-"));
});

afterEach(async () => {
  await stand.close();
  expect(readdirSync(join(folder, "saved"))).toEqual([]);
  rmSync(folder, { recursive: true });
});

const random = createRandom(77);
const upTo = (bound: number): number => Math.floor(random() * bound);

function bytesOf(byteCount: number, seed: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(byteCount / 4));
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index ^ seed, 0x9e3779b1);
  return new Uint8Array(words.buffer, 0, byteCount);
}

const same = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

/** Parks and goes on at random instants until it is told to stop; returns how often. */
function parkAtRandom(): { stop(): Promise<void>; readonly count: number } {
  let isOver = false;
  let count = 0;
  const turns = async (): Promise<void> => {
    for (let ms = upTo(6); ms > 0; ms--) await new Promise((resolve) => setTimeout(resolve, 1));
    for (let turn = upTo(4); turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve));
  };
  const run = async (): Promise<void> => {
    while (!isOver) {
      await turns();
      await stand.parking.park(join(folder, "saved"));
      count++;
      const { launches } = stand;
      await turns();
      expect(stand.launches, "nothing runs while it is parked").toBe(launches);
      await stand.parking.unpark();
    }
  };
  const running = run();
  return {
    stop: () => {
      isOver = true;
      return running;
    },
    get count() {
      return count;
    },
  };
}

/** Streams, recordings, copies in pieces, cached and large ones; each result is compared with what one that is never parked has. */
async function bigJob({ gpu }: ClientOnStand, { isEnough }: { readonly isEnough: () => boolean }): Promise<number> {
  const chain = (await gpu.load(CHAIN)).kernel("chain");
  const cells = [gpu.upload(Uint32Array.of(1)), gpu.upload(Uint32Array.of(1))] as const;
  const record = gpu.record({ cell: cells[0], first: 0, second: 0 }, ({ cell, first, second }) => {
    chain.launch(single, [cell, first]);
    chain.launch(single, [cell, second]);
  });
  const streams = [gpu.stream({ waitsForDefault: false }), gpu.stream()] as const;
  const [weights, large] = [gpu.alloc(3 * MiB), gpu.alloc(STAGING_BYTES + 100_001)];
  const event = gpu.event();
  const expected = [1, 1];
  let step = 0;
  let rounds = 0;
  for (; rounds < 2 || !isEnough(); rounds++) {
    const bytes = bytesOf(large.byteLength, rounds);
    const copy = large.write(bytes, { stream: streams[0], overlap: true });
    const part = bytes.subarray(0, weights.byteLength);
    if (rounds % 2 === 0) await weights.write(part, { cached: true });
    else weights.write(part);
    for (let count = 0; count < 50; count++) {
      const which = (count % 2) as 0 | 1;
      const [first, second] = [++step, ++step];
      record.replay({ cell: cells[which], first, second });
      expected[which] = chained(chained(expected[which]!, first), second);
      chain.launch({ ...single, stream: streams[1] }, [cells[which], ++step]);
      expected[which] = chained(expected[which]!, step);
      if (count % 10 === 0) expect((await cells[which].read(Uint32Array))[0]).toBe(expected[which]);
    }
    await copy;
    event.record(streams[0]);
    await event.synchronize();
    const [back, again, kept] = await Promise.all([
      large.read(Uint8Array),
      large.read(Uint8Array, { stream: streams[0], overlap: true }),
      weights.read(Uint8Array),
    ]);
    expect(same(back, bytes), `round ${rounds}`).toBe(true);
    expect(same(again, bytes), `round ${rounds}`).toBe(true);
    expect(same(kept, part), `round ${rounds}`).toBe(true);
    const passing = gpu.upload(bytes.subarray(0, 1 + upTo(2 * MiB)));
    expect(same(await passing.read(Uint8Array), bytes.subarray(0, passing.byteLength))).toBe(true);
    passing.free();
  }
  for (const which of [0, 1] as const) expect((await cells[which].read(Uint32Array))[0]).toBe(expected[which]);
  expect(stand.launches).toBe(step);
  return rounds;
}

const closed = (): SluiceError => new SluiceError("CLOSED", "The test is over.");

describe("a job that is parked again and again comes to the same end", () => {
  it.each(["over TCP", "over the Unix socket", "over connections that break"] as const)(
    "%s",
    async (how) => {
      const cache = new ContentCache({ directory: join(folder, "cache"), bytesMax: 64 * MiB, onProblem: () => {} });
      const path = how === "over the Unix socket" ? { path: join(folder, "data.sock") } : {};
      stand = await SessionStand.start({ cache, ...path });
      const proxy = how === "over connections that break" ? await CuttingProxy.to(stand.address) : undefined;
      if (proxy !== undefined)
        proxy.plan = () => ({
          direction: random() < 0.5 ? "up" : "down",
          afterBytes: Math.floor(random() ** 2 * 8 * MiB),
          how: random() < 0.5 ? "reset" : "fin",
        });
      const client = await openClient(stand, proxy?.address ?? stand.address);
      const parks = parkAtRandom();
      const isCut = (): boolean => proxy === undefined || proxy.cuts >= CUTS_MIN;
      await bigJob(client, { isEnough: () => parks.count >= PARKS_MIN && isCut() });
      await parks.stop();
      if (proxy !== undefined) proxy.plan = () => undefined;
      expect(await client.session.close(closed())).toBeUndefined();
      await proxy?.close();
      expect(stand.sessions).toBe(1);
      expect(client.failures).toEqual([]);
    },
    120_000,
  );
});

it("a client that comes while its lease is parked waits, hears signs of life, and begins when it goes on", async () => {
  stand = await SessionStand.start();
  await stand.parking.park(join(folder, "saved"));
  const opening = openClient(stand, stand.address);
  await waitFor("the session", () => stand.sessions === 1);
  const { bytesSent } = stand.usage;
  await waitFor("signs of life", () => stand.session!.isBusy === false && stand.usage.bytesSent >= bytesSent);
  await stand.parking.unpark();
  const { gpu, session } = await opening;
  expect([...(await gpu.upload(Uint8Array.of(7)).read(Uint8Array))]).toEqual([7]);
  await session.close(closed());
  // Its folder is made by the first that saves something.
  await openClient(stand, stand.address);
  await stand.parking.park(join(folder, "saved"));
});

it("a client that waits while its lease is parked for long does not try another connection", async () => {
  stand = await SessionStand.start({ livenessMs: 20 });
  const { gpu, session, changes } = await openClient(stand, stand.address, { silenceMs: 400 });
  const buffer = gpu.upload(bytesOf(MiB, 1));
  await gpu.synchronize();
  await stand.parking.park(join(folder, "saved"));
  const reading = buffer.read(Uint8Array);
  const { bytesReceived } = session;
  await waitFor("many signs of life", () => session.bytesReceived > bytesReceived + 16 * 60);
  await stand.parking.unpark();
  expect(same(await reading, bytesOf(MiB, 1))).toBe(true);
  expect([session.reconnects, changes]).toEqual([0, []]);
});
