/** The Unix socket of the data listener: who may open it, and which file makes way for it. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DataListener } from "../../server/session/data-listener.ts";
import { isListenedAt } from "../../server/session/local-socket.ts";
import { SluiceError } from "../../shared/errors.ts";
import { GREETING, RawConnection } from "../support/raw-client.ts";

let folder: string;
let path: string;
let listener: DataListener;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-socket-"));
  path = join(folder, "data.sock");
  listener = newListener();
});

afterEach(() => {
  listener.close();
  rmSync(folder, { recursive: true, force: true });
});

function newListener(): DataListener {
  const find = (): never => {
    throw new SluiceError("LEASE_NOT_FOUND", "There is no such lease.");
  };
  return new DataListener({ serverVersion: "1.2.3", leases: { find }, onProven: () => {} });
}

async function failureOf(work: Promise<unknown>): Promise<SluiceError> {
  const error = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (error instanceof SluiceError) return error;
  throw new Error("It did not fail.");
}

/** Lets a process of its own listen at `path`; kills it without giving it time to clean up. */
async function leaveSocketBehind(): Promise<void> {
  const script = join(folder, "listen.mjs");
  writeFileSync(
    script,
    `import { createServer } from "node:net"; createServer().listen(${JSON.stringify(path)}, () => process.send("listening"));`,
  );
  const child = fork(script, [], { execArgv: [] });
  await once(child, "message");
  child.kill("SIGKILL");
  await once(child, "exit");
}

test("it greets who opens it, is its owner's alone, and is gone when the listener closes", async () => {
  await listener.listenLocally(path);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const connection = new RawConnection(path);
  expect((await connection.next())?.kind).toBe(GREETING);
  connection.destroy();
  listener.close();
  expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
});

test("where nobody listens is told from where somebody does", async () => {
  expect(await isListenedAt(path)).toBe(false);
  await leaveSocketBehind();
  expect(await isListenedAt(path)).toBe(false);
  expect(await isListenedAt(join(path, "below"))).toBe(false);
  await listener.listenLocally(path);
  expect(await isListenedAt(path)).toBe(true);
});

test("the file of a process that was killed makes way", async () => {
  await leaveSocketBehind();
  expect(statSync(path).isSocket()).toBe(true);
  await listener.listenLocally(path);
  const connection = new RawConnection(path);
  expect((await connection.next())?.kind).toBe(GREETING);
  connection.destroy();
});

test("a socket at which another process listens stays, and so does a file that is no socket", async () => {
  const other = createServer().listen(path);
  await once(other, "listening");
  expect(await failureOf(listener.listenLocally(path))).toMatchObject({ code: "SERVER_UNREACHABLE" });
  other.close();
  await once(other, "close");
  writeFileSync(path, "somebody's work");
  expect(await failureOf(listener.listenLocally(path))).toMatchObject({ code: "BAD_ARGUMENT" });
  expect(statSync(path).size).toBe("somebody's work".length);
});

test("a path that systems do not take is told with its length", async () => {
  const long = join(folder, "x".repeat(120), "data.sock");
  const error = await failureOf(listener.listenLocally(long));
  expect(error.message).toContain(`[${Buffer.byteLength(long)}]`);
});
