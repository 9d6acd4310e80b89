/** How `sluice serve` starts and refuses to start: one line on stdout, one sentence on stderr, and exit codes. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Store } from "../../server/store/store.ts";
import { runShort } from "../support/commands.ts";
import { MiB, RawControl, RawSession, raw } from "../support/raw-client.ts";
import { runSluice, startServer } from "../support/server.ts";

let folder: string;
const free = "serve --listen 127.0.0.1:0 --data 127.0.0.1:0 --admin 127.0.0.1:0 --device null".split(" ");

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-start-"));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

test("two servers do not share a state directory; the first goes on, and says on stdout that it is ready and nothing else; its log is JSON lines without secrets", async () => {
  await using server = await startServer();
  const second = await runSluice([...free, "--state", server.state]);
  expect(second).toMatchObject({ code: 1, stdout: "" });
  expect(second.stderr).toContain(`is in use by the server with the process id [${server.pid}]`);
  const control = new RawControl(server.grpc);
  const lease = await control.allocate({ memoryBytes: MiB, name: "logged" });
  const session = await RawSession.open(server.data, lease);
  await session.ask(raw.attach());
  await session.close();
  await control.release(lease.id, lease.secret);
  control.close();
  expect(await server.stop()).toBe(0);
  expect(server.stdout()).toBe(`sluice ready grpc=${server.grpc} data=${server.data} admin=${server.admin}\n`);
  const lines = server.log().trim().split("\n");
  expect(lines.length).toBeGreaterThan(3);
  for (const line of lines) expect(JSON.parse(line)).toHaveProperty("msg");
  expect(server.log()).toContain(lease.id);
  for (const encoding of ["hex", "base64", "base64url", "latin1"] as const) {
    expect(server.log()).not.toContain(lease.secret.toString(encoding));
  }
  expect(server.log()).not.toContain(JSON.stringify([...lease.secret]).slice(1, 40));
});

test("with --insecure it binds every address, and tells clients to use the host they know", async () => {
  const args = "--device null --insecure --listen 0.0.0.0:0 --data 0.0.0.0:0 --admin 0.0.0.0:0".split(" ");
  await using server = await startServer({ args });
  const port = server.grpc.split(":")[1];
  const control = new RawControl(`127.0.0.1:${port}`);
  const lease = await control.allocate({ memoryBytes: MiB });
  expect(lease.granted.connection!.dataEndpoints).toEqual([
    expect.stringMatching(new RegExp(`^unix://${server.state}/data-[0-9a-f]{16}\\.sock$`)),
    `tcp://:${server.data.split(":")[1]}`,
    "grpc://",
  ]);
  await control.release(lease.id);
  control.close();
});

test("the config file is used, and the command line wins over it; devices of several SPECs have ids of their own", async () => {
  const file = join(folder, "sluice.json");
  const device = ["null:2x1GiB", "null:1x512MiB"];
  writeFileSync(file, JSON.stringify({ device, "heartbeat-timeout": "700ms", grace: "1h" }));
  await using server = await startServer({ args: ["--config", file, "--heartbeat-timeout", "900ms"] });
  const control = new RawControl(server.grpc);
  const devices = await control.devices();
  expect(devices.map(({ id, kind, memoryBytes, freeBytes }) => [id, kind, memoryBytes / MiB, freeBytes / MiB])).toEqual(
    [
      ["null:0", "null", 1024, 1024],
      ["null:1", "null", 1024, 1024],
      ["null:2", "null", 512, 512],
    ],
  );
  const lease = await control.allocate({ memoryBytes: MiB });
  expect(Number(lease.granted.connection!.heartbeatTimeoutMs)).toBe(900);
  expect(Number(lease.granted.connection!.heartbeatIntervalMs)).toBe(300);
  await control.release(lease.id);
  control.close();
});

test.each([
  ["an unknown kind", ["--device", "tpu"], 2, "The device kind [tpu]"],
  ["a malformed SPEC", ["--device", "null:2*16GiB"], 2, "[null:2*16GiB]"],
  ["too many devices", ["--device", "null:1000x1GiB"], 2, "null:1000x1GiB"],
  ["an address for everyone", ["--data", "0.0.0.0:0"], 2, "[data] binds [0.0.0.0:0]"],
  ["a dashboard for everyone", ["--admin", "0.0.0.0:0"], 2, "[admin] binds [0.0.0.0:0]"],
  ["an unknown option", ["--lend-everything"], 2, "unknown option '--lend-everything'"],
  ["an argument too many", ["now"], 2, "too many arguments"],
  ["a file of two lines' name", ["--config", "/nowhere/a\nb"], 2, "[/nowhere/a\\u000ab] cannot be read"],
])("%s ends it with one sentence and an exit code", async (_, args, code, words) => {
  const finished = await runShort([...free, "--state", join(folder, "unused"), ...args]);
  expect(finished).toMatchObject({ code, stdout: "" });
  expect(finished.stderr).toContain(words);
  expect(finished.stderr.trim().split("\n").length).toBe(1);
});

test("a state directory that cannot be ends it with one sentence and an exit code", async () => {
  const { code, stdout, stderr } = await runSluice([...free, "--state", "/dev/null/state"]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("[/dev/null/state] cannot be written");
  expect(stderr.trim().split("\n").length).toBe(1);
});

test("a state that makes no sense ends it with a sentence that says where, and what to do", async () => {
  const state = join(folder, "senseless");
  new Store(state, () => {}).close();
  const database = new Database(join(state, "sluice.db"));
  database.exec("INSERT INTO requests (id, request_id, request) VALUES ('lease-1', 'r', 'null')");
  database.close();
  const { code, stdout, stderr } = await runSluice([...free, "--state", state]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(
    /^sluice serve: What is in the state directory \[.*senseless\] makes no sense \[.*\]\. Restore a backup/,
  );
  expect(stderr.trim().split("\n").length).toBe(1);
});

test("a port in use is told by its number and option", async () => {
  const occupied = createServer();
  await new Promise<void>((resolve) => occupied.listen(0, "127.0.0.1", resolve));
  const { port } = occupied.address() as { port: number };
  for (const option of ["listen", "data", "admin"]) {
    const args = [...free, "--state", join(folder, "ports"), `--${option}`, `127.0.0.1:${port}`];
    const { code, stdout, stderr } = await runSluice(args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(`The address [127.0.0.1:${port}] of [${option}] cannot be bound [it is in use].`);
    expect(stderr.trim().split("\n").length).toBe(1);
  }
  occupied.close();
});

test("help shows every option with an example, and exits with 0", async () => {
  const { code, stdout } = await runShort(["serve", "--help"]);
  expect(code).toBe(0);
  for (const option of ["config", "listen", "data", "state", "device", "grace", "kernel-timeout", "insecure"]) {
    expect(stdout).toContain(`--${option}`);
  }
  expect(stdout).toContain("sluice serve --device cpu:4x2GiB");
});
