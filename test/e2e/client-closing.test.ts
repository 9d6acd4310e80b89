/** A pool that is closed: what was asked for is withdrawn, what was granted is given back, and nothing is asked any more. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { connect, type Pool, SluiceError } from "../../client/index.ts";
import { startServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let observer: Pool;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "null:1x1GiB"] });
  observer = await connect({ server: server.grpc });
});

afterAll(async () => {
  await observer?.close();
  await server?.stop();
});

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "OK",
    (error: unknown) => (error instanceof SluiceError ? error.code : String(error)),
  );

test("a request that waits is withdrawn, and rejects with CLOSED", async () => {
  await using lease = await observer.allocate({ fraction: 1 });
  const pool = await connect({ server: server.grpc });
  let queued: () => void = () => {};
  const isQueued = new Promise<void>((resolve) => {
    queued = resolve;
  });
  const asked = codeOf(pool.allocate({ fraction: 1, wait: "1h", onQueued: () => queued() }));
  await isQueued;
  expect((await observer.leases()).queue).toHaveLength(1);
  await pool.close();
  expect(await asked).toBe("CLOSED");
  expect((await observer.leases()).queue).toEqual([]);
  expect(lease.signal.aborted).toBe(false);
});

test("a request that is under way leaves no lease, wherever it is when the pool is closed", async () => {
  for (let turns = 0; turns < 24; turns++) {
    const pool = await connect({ server: server.grpc });
    const asked = codeOf(pool.allocate({ fraction: 1 }));
    // Steps of the event loop: from before the request has left to behind the attach.
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    await pool.close();
    expect(["CLOSED", "OK"]).toContain(await asked);
    expect((await observer.leases()).leases, `after ${turns} turns`).toEqual([]);
  }
});

test("a request that its own signal calls off leaves no lease either", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const controller = new AbortController();
    const asked = observer.allocate({ fraction: 1, signal: controller.signal });
    const code = codeOf(asked);
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    if ((await code) === "OK") await (await asked).release();
    else expect(await code).toBe("CANCELLED");
    expect((await observer.leases()).leases, `after ${turns} turns`).toEqual([]);
  }
});

test("a closed pool answers with CLOSED, and closes again", async () => {
  const pool = await connect({ server: server.grpc });
  await pool.close();
  await pool.close();
  const calls = [
    () => pool.devices(),
    () => pool.leases(),
    () => pool.explain({ fraction: 1 }),
    () => pool.release("lease-1"),
    () => pool.allocate({ fraction: 1 }),
  ];
  for (const call of calls) expect(await codeOf(call())).toBe("CLOSED");
});
