/**
 * Large copies through the staging file: the client's session and the server's over a Unix socket, in one process. Every copy is compared byte for
 * byte, whatever its size, place and neighbours, also when the connection breaks, the server is busy or the caller gives up.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DeviceBuffer } from "../../client/buffer.ts";
import { copyTogether, startHelpers } from "../../client/copy-helpers.ts";
import { OPENING_PAYS_BYTES } from "../../client/staging.ts";
import { SluiceError } from "../../shared/errors.ts";
import { STAGED_COPY_BYTES_MIN, STAGING_BYTES } from "../../shared/limits.ts";
import { type ClientOnStand, openClient } from "../support/client-on-stand.ts";
import { CuttingProxy } from "../support/cutting-proxy.ts";
import { createRandom } from "../support/random.ts";
import { rounds } from "../support/rounds.ts";
import { CHAIN, SessionStand, type StandOptions } from "../support/session-stand.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const MiB = 1024 * 1024;
/** More than the file holds, and not a multiple of anything. */
const LARGE_BYTES = 2 * STAGING_BYTES + 600_001;

let folder: string;
let stand: SessionStand;
let client: ClientOnStand;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-staging-"));
});

afterEach(async () => {
  await client.session.close(new SluiceError("CLOSED", "The test is over."));
  await stand.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A session over the Unix socket, or over what `before` puts in front of it. */
async function begin(
  options: StandOptions = {},
  before: (path: string) => Promise<string> = async (path) => path,
): Promise<ClientOnStand["gpu"]> {
  stand = await SessionStand.start({ path: join(folder, "data.sock"), ...options });
  client = await openClient(stand, await before(stand.address));
  return client.gpu;
}

function pattern(byteCount: number, seed: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(byteCount / 4));
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index ^ seed, 0x9e3779b1);
  return new Uint8Array(words.buffer, 0, byteCount);
}

const same = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

/** Staging files that this process has mapped, both ends counted. */
const mappings = (): number => readFileSync("/proc/self/maps", "utf8").split("/memfd:sluice-").length - 1;

describe("over the Unix socket", () => {
  it("large copies go through the file both ways, and small ones do not", async () => {
    const gpu = await begin();
    const [large, small] = [pattern(LARGE_BYTES, 1), pattern(STAGED_COPY_BYTES_MIN - 1, 2)];
    const buffers = [gpu.upload(large), gpu.upload(small)] as const;
    expect(same(await buffers[0].read(Uint8Array), large)).toBe(true);
    expect(same(await buffers[1].read(Uint8Array), small)).toBe(true);
    // Both ends share this thread: what did not fit at once has travelled.
    expect(stand.staged.toDevice).toBe(STAGING_BYTES);
    expect(stand.staged.fromDevice).toBeGreaterThan(STAGING_BYTES);
    expect(client.session.bytesSent).toBeGreaterThan(LARGE_BYTES + small.byteLength);
    expect(client.session.bytesReceived).toBeGreaterThan(LARGE_BYTES + small.byteLength);
    const { bytesReceived, bytesSent } = stand.usage.now();
    // The stand does not count the handshake.
    expect(client.session.bytesSent - bytesReceived).toBeLessThan(300);
    expect(client.session.bytesReceived - bytesSent).toBeLessThan(300);
  });

  it("the file is opened once so much is copied that it pays, in however many copies", async () => {
    const gpu = await begin();
    const data = pattern(MiB, 1);
    const buffer = gpu.upload(data);
    expect(stand.staged.toDevice).toBe(0);
    for (let copied = 1; copied < OPENING_PAYS_BYTES / MiB; copied++) buffer.write(data);
    expect(same(await buffer.read(Uint8Array), data)).toBe(true);
    expect(stand.staged).toEqual({ toDevice: MiB, fromDevice: MiB });
  });

  it("copies of any size and place leave what plain memory would hold", async () => {
    const random = createRandom(34);
    const upTo = (bound: number): number => Math.floor(random() * bound);
    const gpu = await begin();
    const size = 12 * MiB;
    const memory = new Uint8Array(size);
    const buffer = gpu.alloc(size);
    const streams = [gpu.stream(), gpu.stream({ waitsForDefault: false })];
    const underWay: Promise<void>[] = [];
    for (let round = 0; round < rounds(50); round++) {
      const byteCount = random() < 0.3 ? upTo(6 * MiB) : upTo(MiB);
      const offset = upTo(size - byteCount);
      const stream = random() < 0.2 ? streams[upTo(2)]! : undefined;
      const what = random();
      if (what < 0.4) {
        const data = pattern(byteCount, round);
        buffer.write(data, { offset, ...(stream && { stream }) });
        memory.set(data, offset);
        // The bytes were taken: this is no part of the copy any more.
        data.fill(0);
      } else if (what < 0.5) {
        buffer.fill(round & 0xff, { offset, length: byteCount });
        memory.fill(round & 0xff, offset, offset + byteCount);
      } else {
        const expected = memory.slice(offset, offset + byteCount);
        const into = new Uint8Array(byteCount);
        const read = buffer.readInto(into, { offset, ...(stream && { stream }) });
        underWay.push(read.then(() => expect(same(into, expected), `round ${round}`).toBe(true)));
        if (random() < 0.3) await underWay.at(-1);
      }
    }
    await Promise.all(underWay);
    expect(same(await buffer.read(Uint8Array), memory)).toBe(true);
    expect(stand.staged.toDevice).toBeGreaterThan(size);
    expect(stand.staged.fromDevice).toBeGreaterThan(size);
  });

  it("a read has the bytes of its place in the order, whatever is issued behind it", async () => {
    const gpu = await begin();
    const [before, behind] = [pattern(LARGE_BYTES, 1), pattern(LARGE_BYTES, 2)];
    const buffer = gpu.upload(before);
    const other = gpu.alloc(16);
    const early = buffer.read(Uint8Array);
    const another = other.read(Uint8Array);
    buffer.write(behind);
    const late = buffer.read(Uint8Array);
    buffer.free();
    expect(same(await early, before)).toBe(true);
    expect(same(await late, behind)).toBe(true);
    expect((await another).byteLength).toBe(16);
  });

  it("copies that let others through take the file too, both ways at once", async () => {
    const gpu = await begin();
    const [there, back] = [pattern(LARGE_BYTES, 3), pattern(LARGE_BYTES, 4)];
    const [target, source, small] = [gpu.alloc(LARGE_BYTES), gpu.upload(back), gpu.upload(Uint8Array.of(7))];
    const [up, down, working] = [gpu.stream(), gpu.stream(), gpu.stream()];
    await gpu.synchronize();
    const staged = { ...stand.staged };
    const writing = target.write(there, { stream: up, overlap: true });
    const reading = source.read(Uint8Array, { stream: down, overlap: true });
    expect([...(await small.read(Uint8Array, { stream: working }))]).toEqual([7]);
    await writing;
    expect(same(await reading, back)).toBe(true);
    expect(same(await target.read(Uint8Array, { stream: up }), there)).toBe(true);
    expect(stand.staged.toDevice - staged.toDevice).toBeGreaterThan(STAGING_BYTES);
    expect(stand.staged.fromDevice - staged.fromDevice).toBeGreaterThan(STAGING_BYTES);
  });

  it("a recording takes none of them", async () => {
    const gpu = await begin();
    const [source, target] = [gpu.upload(pattern(MiB, 5)), gpu.alloc(MiB)];
    expect(() => gpu.record(() => target.write(pattern(MiB, 6)))).toThrow("cannot be recorded");
    const recording = await gpu.record(() => gpu.copy(target, source));
    recording.replay();
    expect(same(await target.read(Uint8Array), pattern(MiB, 5))).toBe(true);
  });

  it("a server that is busy is not waited for: the rest of a copy waits in this process, as without the file", async () => {
    let goOn = (): void => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const gpu = await begin({ beforeLaunch: () => held });
    const data = pattern(LARGE_BYTES, 8);
    const cell = gpu.alloc(256);
    const chain = (await gpu.load(CHAIN)).kernel("chain");
    chain.launch({ grid: 1, block: 1 }, [cell, 1]);
    await gpu.flush();
    const buffer = gpu.upload(data);
    expect(client.session.heldBytes).toBeGreaterThan(LARGE_BYTES - STAGING_BYTES);
    const back = buffer.read(Uint8Array);
    goOn();
    expect(same(await back, data)).toBe(true);
  });

  it("whoever stops waiting for a read disturbs nobody", async () => {
    const gpu = await begin();
    const data = [pattern(LARGE_BYTES, 1), pattern(LARGE_BYTES, 2)] as const;
    const buffers = data.map((bytes) => gpu.upload(bytes));
    for (let round = 0; round < rounds(7); round++) {
      const aborting = new AbortController();
      const left = buffers[0]!.read(Uint8Array, { signal: aborting.signal });
      const kept = buffers[1]!.read(Uint8Array);
      aborting.abort();
      await expect(left).rejects.toMatchObject({ code: "CANCELLED" });
      expect(same(await kept, data[1])).toBe(true);
    }
    expect(same(await buffers[0]!.read(Uint8Array), data[0])).toBe(true);
  });

  it("an array that is taken away fails its copy, and the session goes on", async () => {
    const gpu = await begin();
    const buffer = gpu.upload(pattern(LARGE_BYTES, 1));
    const into = new Uint8Array(LARGE_BYTES);
    const read = buffer.readInto(into);
    structuredClone(into.buffer, { transfer: [into.buffer] });
    await expect(read).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect(same(await buffer.read(Uint8Array), pattern(LARGE_BYTES, 1))).toBe(true);
  });

  it("a failure is told as that of any copy, and copies into a session in error neither wait nor crash", async () => {
    const gpu = await begin();
    const buffer = gpu.alloc(LARGE_BYTES);
    const broken = gpu.alloc(LARGE_BYTES);
    // The server knows of no such allocation any more.
    client.session.issue(3, { address: broken.address }, (writer, { address }) => {
      const { u32 } = writer.reserve(8);
      u32[writer.length >> 2] = address % 2 ** 32;
      u32[(writer.length >> 2) + 1] = Math.floor(address / 2 ** 32);
      writer.length += 8;
    });
    broken.write(pattern(LARGE_BYTES, 1));
    buffer.write(pattern(LARGE_BYTES, 2));
    await expect(inTime("the failure", buffer.read(Uint8Array))).rejects.toMatchObject({ code: "NOT_ALLOCATED" });
    expect(() => buffer.write(pattern(LARGE_BYTES, 3))).toThrow(expect.objectContaining({ code: "NOT_ALLOCATED" }));
  });

  it("the memory is gone with the session, on both ends, session after session", async () => {
    const before = mappings();
    for (let round = 0; round < 10; round++) {
      const gpu = await begin();
      const data = pattern(LARGE_BYTES + round, round);
      expect(same(await gpu.upload(data).read(Uint8Array), data)).toBe(true);
      expect(mappings()).toBeGreaterThanOrEqual(before + 2);
      await client.session.close(new SluiceError("CLOSED", "This one is over."));
      await stand.close();
      expect(mappings()).toBe(before);
    }
  });
});

describe("what is not given the file", () => {
  it("is a client over TCP: its copies travel", async () => {
    stand = await SessionStand.start();
    client = await openClient(stand, stand.address);
    const data = pattern(LARGE_BYTES, 1);
    expect(same(await client.gpu.upload(data).read(Uint8Array), data)).toBe(true);
    expect(stand.staged).toEqual({ toDevice: 0, fromDevice: 0 });
  });

  it("is a process of another user", async (context) => {
    if (process.getuid?.() !== 0) context.skip("Only root can become another user.");
    await begin();
    const maps = readFileSync("/proc/self/maps", "utf8");
    expect(maps).toContain("/memfd:sluice-");
    const list = `require("node:fs").readdirSync("/proc/${process.pid}/fd")`;
    const other = promisify(execFile)(process.execPath, ["-e", list], { uid: 65_534, gid: 65_534 });
    await expect(other).rejects.toThrow("EACCES");
  });
});

describe("when the connection breaks", () => {
  it("copies go on over dozens of cuts, each byte in its place", async () => {
    const random = createRandom(7);
    let proxy!: CuttingProxy;
    const gpu = await begin({}, async (path) => {
      proxy = await CuttingProxy.to(path, undefined, join(folder, "proxy.sock"));
      return proxy.address;
    });
    proxy.plan = () => ({
      direction: random() < 0.5 ? "up" : "down",
      afterBytes: Math.floor(random() ** 2 * 6_000),
      how: random() < 0.5 ? "reset" : "fin",
    });
    proxy.cutAll();
    const size = 6 * MiB;
    const buffers = [gpu.alloc(size), gpu.alloc(size)] as const;
    const expected = [new Uint8Array(size), new Uint8Array(size)] as const;
    for (let round = 0; proxy.cuts < rounds(25); round++) {
      const which = random() < 0.5 ? 0 : 1;
      const byteCount = Math.floor(random() * 5 * MiB);
      const offset = Math.floor(random() * (size - byteCount));
      const data = pattern(byteCount, round);
      buffers[which].write(data, { offset });
      expected[which].set(data, offset);
      data.fill(0);
      const wanted = expected.map((bytes) => bytes.slice());
      const read = await Promise.all(buffers.map((buffer) => buffer.read(Uint8Array)));
      for (const [index, bytes] of read.entries()) expect(same(bytes, wanted[index]!), `round ${round}`).toBe(true);
    }
    proxy.plan = () => undefined;
    expect(client.session.reconnects).toBeGreaterThan(5);
    expect(stand.sessions).toBe(1);
    expect(stand.staged.toDevice).toBeGreaterThan(size);
    await client.session.close(new SluiceError("CLOSED", "The test is over."));
    await proxy.close();
  });

  it("a part whose call the server has, but has not executed, keeps its bytes", async () => {
    let goOn = (): void => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let proxy!: CuttingProxy;
    let isHeld = false;
    const beforeLaunch = (): Promise<void> => {
      isHeld = true;
      return held;
    };
    const gpu = await begin({ beforeLaunch }, async (path) => {
      proxy = await CuttingProxy.to(path, undefined, join(folder, "proxy.sock"));
      return proxy.address;
    });
    const chain = (await gpu.load(CHAIN)).kernel("chain");
    const cell = gpu.alloc(256);
    const filled: DeviceBuffer[] = [];
    gpu.upload(pattern(OPENING_PAYS_BYTES, 0));
    await gpu.synchronize();
    const { toDevice } = stand.staged;
    chain.launch({ grid: 1, block: 1 }, [cell, 1]);
    await waitFor("the launch to begin", () => isHeld);
    const { bytesReceived } = stand.usage.now();
    filled.push(gpu.upload(pattern(STAGING_BYTES, 1)));
    // The calls of eight pieces, each in a frame of its own.
    await waitFor("the server to have the calls", () => stand.usage.now().bytesReceived >= bytesReceived + 8 * 48);
    proxy.cutAll();
    // The server says now that it has these calls.
    await waitFor("the session to go on", () => client.session.reconnects === 1);
    filled.push(gpu.upload(pattern(STAGING_BYTES, 2)));
    expect(stand.staged.toDevice).toBe(toDevice);
    goOn();
    for (const [index, buffer] of filled.entries()) {
      expect(same(await buffer.read(Uint8Array), pattern(STAGING_BYTES, index + 1))).toBe(true);
    }
    expect(stand.staged.toDevice).toBeGreaterThanOrEqual(toDevice + STAGING_BYTES);
    await client.session.close(new SluiceError("CLOSED", "The test is over."));
    await proxy.close();
  });
});

it("is right also where other threads help to copy, and the source changes at once", async () => {
  const gpu = await begin();
  const buffer = gpu.alloc(LARGE_BYTES);
  const into = new Uint8Array(LARGE_BYTES);
  startHelpers(2);
  const [to, from] = [new Uint8Array(MiB), pattern(MiB, 1)];
  await waitFor("a helper", () => copyTogether(to, from) > 0);
  for (let round = 0; round < 6; round++) {
    const data = pattern(LARGE_BYTES, round);
    buffer.write(data);
    data.fill(0);
    await buffer.readInto(into);
    expect(same(into, pattern(LARGE_BYTES, round)), `round ${round}`).toBe(true);
  }
  expect(stand.staged.toDevice).toBeGreaterThan(LARGE_BYTES);
});
