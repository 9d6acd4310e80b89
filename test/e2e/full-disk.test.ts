/** What an admin can do while the disk under --state is full: whatever stops somebody or frees something, and nothing that gives. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RawControl } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** A call of an admin, or of whoever else has the token. */
async function call(server: TestServer, method: string, body: object, token: string): Promise<Answer> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const answer = await fetch(`${server.admin}/api/${method}`, { method: "POST", headers, body: JSON.stringify(body) });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

interface Event {
  readonly action: string;
  readonly outcome: string;
}

test("revoking, cordoning, draining and taking tokens back work on a full disk, are in the log at once, and stay when there is room", async () => {
  const args = ["--device", "null:3x1GiB", "--require-token", "--spare-executors", "0", "--grace", "0s"];
  const server = await startServer({ args });
  const admin = readFileSync(join(server.state, "admin-token"), "utf8").trim();
  const asAdmin = (method: string, body: object) => call(server, `AdminService/${method}`, body, admin);
  const made = await asAdmin("CreateToken", { tenant: "alice", role: "ROLE_TENANT" });
  const { token, info } = made.body as { token: string; info: { id: string } };
  const control = new RawControl(server.grpc, token);
  const lease = await control.allocate({ memoryBytes: MiB });
  const [other, third] = ["null:1", "null:2"];

  const limit = (bytes: string): void => {
    execFileSync("prlimit", ["--pid", String(server.pid), `--fsize=${bytes}:unlimited`]);
  };
  limit("0");
  for (const [method, body] of [
    ["SetQuota", { tenant: "alice", quota: {} }],
    ["CreateToken", { tenant: "bob", role: "ROLE_TENANT" }],
    ["Uncordon", { deviceId: third }],
  ] as const) {
    expect([method, (await asAdmin(method, body)).body["code"]]).toEqual([method, "STORE_FAILED"]);
  }
  const done = ["Cordon", "Drain", "Revoke", "RevokeToken"];
  const requests = [
    { deviceId: other, message: "The disk is full." },
    { deviceId: third },
    { leaseId: lease.id },
    { tokenId: info.id },
  ];
  for (const [index, method] of done.entries()) {
    expect([method, (await asAdmin(method, requests[index]!)).status]).toEqual([method, 200]);
  }
  // They have taken effect.
  expect((await call(server, "PoolService/ListLeases", {}, token)).body["code"]).toBe("UNAUTHENTICATED");
  const leasesLeft = async () => (await call(server, "PoolService/ListLeases", {}, admin)).body["leases"] as object[];
  await waitFor("the lease to be gone", async () => (await leasesLeft()).length === 0);
  // Whoever reads the log knows of them, and by whom.
  for (const action of done) {
    const line = server
      .log()
      .split("\n")
      .find((text) => text.includes("audit log") && text.includes(`"${action}"`));
    expect(JSON.parse(line ?? "{}")).toMatchObject({ level: 50, action, tenant: "admin", tokenId: expect.any(String) });
  }

  limit("unlimited");
  const events = async (): Promise<Event[]> => (await asAdmin("ListEvents", {})).body["events"] as Event[];
  await waitFor("the audit log to have them", async () => {
    const kept = (await events()).filter(({ outcome }) => outcome === "OK").map(({ action }) => action);
    return done.every((action) => kept.includes(action));
  });
  server.kill("SIGKILL");
  await server.exited;
  await using second = await startServer({ args, state: server.state });
  const { devices } = (await call(second, "PoolService/ListDevices", {}, admin)).body as {
    devices: { id: string; cordon: { message: string } | null }[];
  };
  expect(devices.map(({ id, cordon }) => [id, cordon?.message])).toEqual([
    ["null:0", undefined],
    [other, "The disk is full."],
    [third, "An admin empties the device."],
  ]);
  expect((await call(second, "PoolService/ListLeases", {}, token)).status).toBe(401);
  control.close();
  await second.stop();
  await server.stop();
});

test("a disk that is full under its log ends no server", async () => {
  const wrapper = ["sh", "-c", 'exec "$0" "$@" 2>/dev/full'];
  await using server = await startServer({ args: ["--device", "null:1x1GiB", "--log-level", "debug"], wrapper });
  const control = new RawControl(server.grpc);
  const lease = await control.allocate({ memoryBytes: MiB });
  await control.release(lease.id);
  control.close();
  expect(await server.stop()).toBe(0);
});
