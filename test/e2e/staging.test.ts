/**
 * Copies on the server's own host through the staging file, with a real server: who gets the file, what it carries, what is left of it when
 * somebody is killed, and what a client that means harm can do with it.
 */
import {
  closeSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  writeSync,
} from "node:fs";
import { connect, type Pool, type TransportKind } from "sluice";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { allocateRequest } from "../../client/allocate-options.ts";
import { DataRelay } from "../../client/cli/data-relay.ts";
import { Control } from "../../client/control.ts";
import { STAGING_BYTES } from "../../shared/limits.ts";
import { executorsOf } from "../support/processes.ts";
import { createRandom } from "../support/random.ts";
import { ARENA, MiB, parseStaging, RawSession, raw } from "../support/raw-client.ts";
import { rounds } from "../support/rounds.ts";
import { socketOf, startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

let server: TestServer;
let control: Control;
let pool: Pool;
const undo: (() => unknown)[] = [];

beforeAll(async () => {
  server = await startServer({ args: ["--device", "cpu:1x256MiB", "--device", "null:2x1GiB"] });
  control = new Control({ server: server.grpc });
  pool = await connect({ server: server.grpc, lease: "" });
});

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

afterAll(async () => {
  await pool.close();
  control.close();
  await server.stop();
});

interface RawLease {
  readonly id: string;
  readonly secret: Buffer;
}

async function borrow(): Promise<RawLease> {
  const { lease, secret } = await control.allocate(
    allocateRequest({ memory: "64MiB", filters: ["device.id!=cpu:0"], wait: "10s" }),
    {},
  );
  const id = lease!.id;
  undo.push(() => control.release({ leaseId: id, secret }));
  return { id, secret };
}

interface LocalSession {
  readonly session: RawSession;
  /** A descriptor of its staging file. */
  readonly file: number;
}

/** A session over the Unix socket that has an allocation of 8 MiB, and opens what it is offered. */
async function openLocally(lease: RawLease): Promise<LocalSession> {
  const session = await RawSession.open(socketOf(server), lease);
  const { path, name, byteCount } = parseStaging((await session.ask(raw.attach())).body);
  expect(byteCount).toBe(STAGING_BYTES);
  expect(readlinkSync(path)).toBe(name);
  const file = openSync(path, "r+");
  undo.push(() => closeSync(file));
  session.send(raw.allocate(ARENA, 8 * MiB));
  return { session, file };
}

const executorOf = ({ id }: RawLease): number => executorsOf(server.state).find(({ leaseId }) => leaseId === id)!.pid;

function pattern(byteCount: number, seed: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(byteCount / 4));
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index ^ seed, 0x9e3779b1);
  return new Uint8Array(words.buffer, 0, byteCount);
}

const same = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

describe("a program on the server's host", () => {
  it.each<[TransportKind, string]>([
    ["unix", "device.id=cpu:0"],
    ["unix", "device.id!=cpu:0"],
    ["tcp", "device.id!=cpu:0"],
  ])("copies over %s on the device %s whatever it likes", async (transport, filter) => {
    const local = await connect({ server: server.grpc, lease: "", transports: [transport] });
    undo.push(() => local.close());
    await using lease = await local.allocate({ memory: "128MiB", filters: [filter], wait: "10s" });
    const [gpu] = lease.devices;
    const random = createRandom(35);
    const size = 20 * MiB + 12;
    const memory = pattern(size, 1);
    const buffer = gpu.upload(memory);
    for (let round = 0; round < rounds(8); round++) {
      const byteCount = Math.floor(random() ** 3 * size);
      const offset = Math.floor(random() * (size - byteCount));
      const data = pattern(byteCount, round);
      buffer.write(data, { offset });
      memory.set(data, offset);
      data.fill(0);
      const [from, length] = [Math.floor(random() * size), Math.floor(random() ** 2 * size)];
      const part = await buffer.read(Uint8Array, { offset: from, length: Math.min(length, size - from) });
      expect(same(part, memory.subarray(from, Math.min(size, from + length))), `round ${round}`).toBe(true);
    }
    expect(same(await buffer.read(Uint8Array), memory)).toBe(true);
    const mapped = readFileSync("/proc/self/maps", "utf8").includes("/memfd:sluice-");
    expect(mapped).toBe(transport === "unix");
  });

  it("is offered the file on the Unix socket, and on no other way", async () => {
    const lease = await borrow();
    const { session } = await openLocally(lease);
    await session.close();
    const ofTcp = await RawSession.open(server.data, lease);
    expect(parseStaging((await ofTcp.ask(raw.attach())).body)).toEqual({ path: "", name: "", byteCount: 0 });
    expect(await ofTcp.codeAfter(raw.allocate(ARENA, MiB), raw.copyToDeviceStaged(ARENA, 0, 16))).toBe("BAD_ARGUMENT");
    await ofTcp.close();
    const options = {
      endpoints: ["grpc://"],
      host: "127.0.0.1",
      server: { tls: undefined, submit: () => control.submit() },
    };
    const relay = (await DataRelay.open(options))!;
    undo.push(() => relay.close());
    const ofGrpc = await RawSession.open(relay.endpoint.slice("unix://".length), lease);
    expect(parseStaging((await ofGrpc.ask(raw.attach())).body).path).toBe("");
    await ofGrpc.close();
  });

  it("finds nothing of the file when the executor was killed, and neither does anybody else", async () => {
    const lease = await borrow();
    const { session, file } = await openLocally(lease);
    const pid = executorOf(lease);
    process.kill(pid, "SIGKILL");
    expect(await session.connection.next()).toBeUndefined();
    // It lives as long as this descriptor, and has no name anywhere.
    expect(readlinkSync(`/proc/self/fd/${file}`)).toMatch(/^\/memfd:sluice-[0-9a-f]{32} \(deleted\)$/);
    expect(readdirSync("/dev/shm").filter((name) => name.includes("sluice"))).toEqual([]);
  });

  it("that is killed leaves nothing in the executor when its session is over", async () => {
    const lease = await borrow();
    const { session } = await openLocally(lease);
    const pid = executorOf(lease);
    const mapped = (): boolean => readFileSync(`/proc/${pid}/maps`, "utf8").includes("/memfd:sluice-");
    expect(mapped()).toBe(true);
    session.connection.destroy();
    await waitFor("the executor to let go of the file", () => !mapped());
  });
});

describe("a client that means harm", () => {
  it("cannot make the file smaller or larger, nor take that promise back", async () => {
    const { session, file } = await openLocally(await borrow());
    for (const byteCount of [0, STAGING_BYTES - 1, STAGING_BYTES + 1]) {
      expect(() => ftruncateSync(file, byteCount)).toThrow("EPERM");
    }
    expect(() => writeSync(file, new Uint8Array(8), 0, 8, STAGING_BYTES)).toThrow("EPERM");
    writeSync(file, pattern(MiB, 1), 0, MiB, 0);
    expect(await session.codeAfter(raw.copyToDeviceStaged(ARENA, 0, MiB))).toBe("OK");
    expect(same(await session.read(ARENA, MiB), pattern(MiB, 1))).toBe(true);
    await session.close();
  });

  it("gets an error for a copy that the file does not have, and its lease and executor live on", async () => {
    const lease = await borrow();
    for (const [what, offset, byteCount] of [
      ["behind the file's end", STAGING_BYTES, 1],
      ["over the file's end", STAGING_BYTES - 8, 16],
      ["whose end has no 32 bits", 2 ** 32 - 8, 16],
      ["larger than a call may", 0, MiB + 1],
      ["as large as a number can be", 2 ** 32 - 1, 2 ** 32 - 1],
    ] as const) {
      const { session } = await openLocally(lease);
      expect(await session.codeAfter(), what).toBe("OK");
      expect((await session.ask(raw.copyFromDeviceStaged(ARENA, offset, byteCount))).code, what).toBe("BAD_ARGUMENT");
      expect(await session.codeAfter(raw.copyToDeviceStaged(ARENA, offset, byteCount)), what).toBe("BAD_ARGUMENT");
      await session.close();
    }
    const { session } = await openLocally(lease);
    expect(await session.codeAfter()).toBe("OK");
    await session.close();
  });

  it("reaches no device memory with it that is not its own", async () => {
    const { session } = await openLocally(await borrow());
    for (const [address, code] of [
      [ARENA + 8 * MiB - 8, "NOT_ALLOCATED"],
      [ARENA + 64 * MiB - 8, "ADDRESS_OUTSIDE_ARENA"],
      [0, "ADDRESS_OUTSIDE_ARENA"],
    ] as const) {
      expect((await session.ask(raw.copyFromDeviceStaged(address, 0, 16))).code).toBe(code);
    }
    expect((await session.ask(raw.copyFromDeviceStaged(ARENA, 0, 16, 99))).code).toBe("NO_SUCH_HANDLE");
    expect(await session.codeAfter(raw.copyToDeviceStaged(ARENA + 8 * MiB - 8, 0, 16))).toBe("NOT_ALLOCATED");
    await session.close();
  });

  it("changes bytes under way and gets some of what it wrote, and a neighbour does not notice", async () => {
    const [own, neighbour] = [await openLocally(await borrow()), await openLocally(await borrow())];
    writeSync(neighbour.file, pattern(MiB, 9), 0, MiB, 0);
    expect(await neighbour.session.codeAfter(raw.copyToDeviceStaged(ARENA, 0, MiB))).toBe("OK");
    const [zeros, ones] = [new Uint8Array(MiB), new Uint8Array(MiB).fill(255)];
    for (let round = 0; round < rounds(20); round++) {
      const last = own.session.send(
        ...Array.from({ length: 4 }, () => raw.copyToDeviceStaged(ARENA, 0, MiB)),
        raw.copyFromDeviceStaged(ARENA, 0, MiB),
      );
      for (let change = 0; change < 4; change++) writeSync(own.file, change % 2 === 0 ? ones : zeros, 0, MiB, 0);
      expect((await own.session.answer(last)).code).toBe("OK");
    }
    expect((await own.session.read(ARENA, MiB)).every((byte) => byte === 0 || byte === 255)).toBe(true);
    expect((await neighbour.session.ask(raw.copyFromDeviceStaged(ARENA, MiB, MiB))).code).toBe("OK");
    const back = new Uint8Array(MiB);
    readSync(neighbour.file, back, 0, MiB, MiB);
    expect(same(back, pattern(MiB, 9))).toBe(true);
    await own.session.close();
    await neighbour.session.close();
  });

  it("finds the file of the lease's next session empty, and its own worth nothing", async () => {
    const lease = await borrow();
    const first = await openLocally(lease);
    writeSync(first.file, pattern(64, 1), 0, 64, 0);
    await first.session.close();
    const second = await openLocally(lease);
    writeSync(first.file, pattern(64, 2), 0, 64, 0);
    expect(await second.session.codeAfter(raw.copyToDeviceStaged(ARENA, 0, 64))).toBe("OK");
    expect((await second.session.read(ARENA, 64)).every((byte) => byte === 0)).toBe(true);
    await second.session.close();
  });
});
