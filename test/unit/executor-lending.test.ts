/**
 * Copies from the device that are sent from the device's own memory, as to a client that cannot resume: what the client gets is what was
 * there when the call ran, whatever follows, and however slowly it reads.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import type { DeviceDriver, DeviceSlice } from "../../server/device/device.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import { Session } from "../../server/executor/session.ts";
import { UsageCounter } from "../../server/executor/usage.ts";
import { Workspace } from "../../server/executor/workspace.ts";
import { SluiceError } from "../../shared/errors.ts";
import { ANSWERS, ARENA, callsFrame, frame, MiB, RawConnection, raw } from "../support/raw-client.ts";
import { waitFor } from "../support/wait-for.ts";

const MEMORY_BYTES = 32 * MiB;
const drivers: readonly DeviceDriver[] = [nullDriver, cpuDriver];

/** A client and a session on a device; `views` counts how often the device's own memory was given, and `reads` how often it was copied. */
class Stand {
  readonly usage = new UsageCounter();
  views = 0;
  reads = 0;
  readonly #folder = mkdtempSync(join(tmpdir(), "sluice-lending-"));
  readonly server: Server = createServer();
  client!: RawConnection;
  session!: Session;

  static async start(driver: DeviceDriver, resumeMs = 0): Promise<Stand> {
    const stand = new Stand();
    // A Unix socket, since that is full after a fraction of a megabyte everywhere.
    const path = join(stand.#folder, "socket");
    stand.server.listen(path);
    await once(stand.server, "listening");
    stand.client = new RawConnection(path);
    const [socket] = (await once(stand.server, "connection")) as [Socket];
    const [description] = await driver.discover("1x32MiB");
    const assignment = { description: description!, arenaBytes: MEMORY_BYTES, arenaBase: ARENA };
    const work = new Workspace([assignment], async () =>
      stand.#counted(await driver.open({ ...assignment, kernelTimeoutMs: 0, onOutput: () => {} })),
    );
    stand.session = new Session({ resumeMs, work, usage: stand.usage, beforeGoodbye: () => work.close() });
    stand.session.attach({
      socket,
      received: new Uint8Array(),
      clientReceived: 0,
      welcome: () => frame(3, Buffer.alloc(32)),
    });
    stand.client.send(callsFrame(raw.attach(), raw.allocate(ARENA, MEMORY_BYTES)));
    await stand.answers(1);
    return stand;
  }

  #counted(slice: DeviceSlice): DeviceSlice {
    const view = slice.view!.bind(slice);
    const read = slice.read.bind(slice);
    slice.view = (...args) => {
      const bytes = view(...args);
      if (bytes !== undefined) this.views++;
      return bytes;
    };
    slice.read = (...args) => {
      this.reads++;
      return read(...args);
    };
    return slice;
  }

  /** The bodies of the next answers. */
  async answers(count: number): Promise<Buffer[]> {
    const bodies: Buffer[] = [];
    while (bodies.length < count) {
      const next = await this.client.next();
      if (next === undefined) throw new Error("The connection is closed.");
      if (next.kind !== ANSWERS) continue;
      for (let at = 0; at < next.payload.length; ) {
        const byteCount = next.payload.readUInt32LE(at);
        expect(next.payload.readUInt32LE(at + 4)).toBe(0);
        bodies.push(next.payload.subarray(at + 16, at + byteCount));
        at += byteCount;
      }
    }
    return bodies;
  }

  async end(): Promise<void> {
    this.client.destroy();
    await this.session.ended;
    this.server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

let stand: Stand;
afterEach(() => stand.end());

/** Bytes that tell where they lie: no two places of a few MiB look alike. */
function patterned(byteCount: number): Buffer {
  const words = Uint32Array.from({ length: byteCount / 4 }, (_, index) => Math.imul(index + 1, 2654435761));
  return Buffer.from(words.buffer);
}

const dataOf = (body: Buffer): Buffer => body.subarray(8, 8 + body.readUInt32LE(0));

function uploaded(pattern: Buffer): Buffer[] {
  const calls: Buffer[] = [];
  for (let at = 0; at < pattern.length; at += MiB) {
    calls.push(callsFrame(raw.copyToDevice(ARENA + at, pattern.subarray(at, Math.min(pattern.length, at + MiB)))));
  }
  return calls;
}

test.each(drivers)("what a client has not read yet is what was there when the call ran, on $kind", async (driver) => {
  stand = await Stand.start(driver);
  const { client, usage } = stand;
  const pattern = patterned(8 * MiB);
  client.send(Buffer.concat([...uploaded(pattern), callsFrame(raw.memoryInfo())]));
  await stand.answers(1);
  client.socket.pause();
  const before = usage.calls;
  // More than the system takes at once, so that some of them are cut in the middle.
  const reads = Array.from({ length: 8 }, (_, index) => raw.copyFromDevice(ARENA + index * MiB, MiB));
  client.send(callsFrame(...reads, raw.fill(ARENA, MEMORY_BYTES, 1, 0xee), raw.free(ARENA)));
  await waitFor("all calls to run while nothing is read", () => usage.calls === before + 10);
  expect(stand.views).toBeGreaterThan(0);
  expect(stand.reads).toBeGreaterThan(0);
  client.socket.resume();
  const bodies = await stand.answers(8);
  expect(Buffer.concat(bodies.map(dataOf)).equals(pattern)).toBe(true);
});

test.each(drivers)("any size at any address comes back as it was written, on $kind", async (driver) => {
  stand = await Stand.start(driver);
  const pattern = patterned(9 * MiB);
  stand.client.send(Buffer.concat(uploaded(pattern)));
  const sizes = [1, 32 * 1024 - 8, 32 * 1024, 32 * 1024 + 1, 100_007, 512 * 1024 + 4, MiB - 8, MiB - 1, MiB];
  // The borders of the null device's segments among them: before, over and behind.
  const offsets = [0, 3, 8, MiB + 12, 4 * MiB - MiB, 4 * MiB - 16, 4 * MiB, 8 * MiB - 70_000, 8 * MiB - 5];
  for (const byteCount of sizes) {
    stand.client.send(callsFrame(...offsets.map((offset) => raw.copyFromDevice(ARENA + offset, byteCount))));
    for (const [index, body] of (await stand.answers(offsets.length)).entries()) {
      const offset = offsets[index]!;
      const isEqual = dataOf(body).equals(pattern.subarray(offset, offset + byteCount));
      expect([offset, byteCount, isEqual]).toEqual([offset, byteCount, true]);
    }
  }
  expect(stand.views).toBeGreaterThan(sizes.length);
});

test("memory that was never written reads as zero", async () => {
  stand = await Stand.start(nullDriver);
  stand.client.send(callsFrame(raw.copyFromDevice(ARENA + 16 * MiB, MiB)));
  const [body] = await stand.answers(1);
  expect(dataOf(body!).equals(Buffer.alloc(MiB))).toBe(true);
  expect(stand.views).toBe(0);
});

test("a client that may resume is never sent the device's own memory", async () => {
  stand = await Stand.start(nullDriver, 5_000);
  const pattern = patterned(MiB);
  stand.client.send(Buffer.concat([...uploaded(pattern), callsFrame(raw.copyFromDevice(ARENA, MiB))]));
  const [body] = await stand.answers(1);
  expect(dataOf(body!).equals(pattern)).toBe(true);
  expect(stand.views).toBe(0);
  stand.session.refuse(new SluiceError("LEASE_ENDED", "The test is over."));
});

test("a client that goes in the middle of a copy ends its session", async () => {
  stand = await Stand.start(nullDriver);
  const { client, session } = stand;
  client.send(Buffer.concat([...uploaded(patterned(8 * MiB)), callsFrame(raw.memoryInfo())]));
  await stand.answers(1);
  client.socket.pause();
  client.send(
    callsFrame(...Array.from({ length: 30 }, (_, index) => raw.copyFromDevice(ARENA + (index % 8) * MiB, MiB))),
  );
  await waitFor("the system to be full", () => stand.reads > 0);
  client.destroy();
  await session.ended;
});
