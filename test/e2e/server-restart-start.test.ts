/** What may stand in the way of the start after a server that died. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { leaseIds, untilEmpty } from "../support/pool-state.ts";
import { restarts } from "../support/restarts.ts";

const stage = restarts();

test("a start that fails leaves the executors to the next one", async () => {
  const pool = await stage.begin();
  await using lease = await pool.allocate({ memory: "64MiB" });
  const buffer = lease.devices[0].upload(Uint8Array.of(5));
  await buffer.read(Uint8Array);
  await stage.server.crash();
  const [host, port] = stage.server.grpc.split(":") as [string, string];
  const squatter = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => squatter.listen(Number(port), host, resolve));
  await expect(stage.server.start()).rejects.toThrow("cannot be bound [it is in use]");
  expect((await buffer.read(Uint8Array))[0]).toBe(5);
  await new Promise((resolve) => squatter.close(resolve));
  await stage.server.start();
  expect(await leaseIds(pool)).toEqual([lease.id]);
  expect((await buffer.read(Uint8Array))[0]).toBe(5);
});

test("folders that nobody made sense of do not keep a server from starting", async () => {
  const pool = await stage.begin();
  await stage.server.crash();
  mkdirSync(join(stage.server.state, "executors", "enobody"));
  mkdirSync(join(stage.server.state, "executors", "eother"));
  writeFileSync(join(stage.server.state, "executors", "eother", `process-${process.pid}.1.00000000`), "");
  writeFileSync(join(stage.server.state, "executors", "efile"), "");
  await stage.server.start();
  expect(existsSync(join(stage.server.state, "executors", "efile"))).toBe(false);
  expect(existsSync(join(stage.server.state, "executors", "enobody"))).toBe(false);
  expect(existsSync(join(stage.server.state, "executors", "eother"))).toBe(false);
  await untilEmpty(pool);
});

test("a second server for the same state is refused, and what runs there goes on", async () => {
  const pool = await stage.begin();
  await using lease = await pool.allocate({ memory: "64MiB" });
  const buffer = lease.devices[0].upload(Uint8Array.of(9));
  await buffer.read(Uint8Array);
  await expect(stage.server.start()).rejects.toThrow("is in use by the server with the process id");
  expect((await buffer.read(Uint8Array))[0]).toBe(9);
  expect(readFileSync(join(stage.server.state, "serve.pid"), "utf8").trim()).toBe(String(stage.server.pid));
  expect(await leaseIds(pool)).toEqual([lease.id]);
});
