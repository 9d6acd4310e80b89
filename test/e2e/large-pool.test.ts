/** A pool as an admin of two hundred devices has it, with a long queue: what is listed of it. */
import { setMaxListeners } from "node:events";
import { connect, type Pool } from "sluice";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Control } from "../../client/control.ts";
import { environmentOf, runShort } from "../support/commands.ts";
import { occupy } from "../support/pool-server.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const DEVICES = 200;
const WAITING = 500;

let server: TestServer;
let pool: Pool;
let control: Control;
const calledOff = new AbortController();
setMaxListeners(0, calledOff.signal);
const waiting: Promise<unknown>[] = [];

beforeAll(async () => {
  server = await startServer({ args: ["--device", `null:${DEVICES}x80GiB`, "--grace", "0s"] });
  pool = await connect({ server: server.grpc, lease: "" });
  for (let device = 0; device < DEVICES; device += 8) await occupy(server, { devices: 8, fraction: 1, name: "all" });
  control = new Control({ server: server.grpc });
  let queued = 0;
  for (let index = 0; index < WAITING; index++) {
    const wish = {
      devices: 1,
      memoryBytes: 40 * 1024 ** 3,
      waitMs: 3_600_000,
      leases: 1,
      name: "a name of usual length",
    };
    const request = { ...wish, requestId: `request-${index}` };
    const told = new Promise<void>((onQueued) => {
      waiting.push(control.allocate(request, { signal: calledOff.signal, onQueued: () => onQueued() }).catch(() => {}));
    });
    // A few at a time: a crowd is none of this test's business.
    if (++queued % 50 === 0) await inTime("the request to wait", told);
  }
  await waitFor("all to wait", async () => (await pool.leases()).queue.length === WAITING, 60_000);
}, 120_000);
afterAll(async () => {
  calledOff.abort();
  await Promise.all(waiting);
  control?.close();
  await pool?.close();
  await server?.stop();
});

const sluice = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await runShort(args, { env: environmentOf(server) });
  expect([code === 75 ? 0 : code, stderr]).toEqual([0, ""]);
  return stdout;
};

describe("of a large pool", () => {
  it("list adds up what there is", async () => {
    const lines = (await sluice("list")).trimEnd().split("\n");
    expect(lines).toHaveLength(DEVICES + 2);
    expect(lines.at(-1)).toBe("200 devices, 15.6TiB: 0B free, 200 slices lent.");
  });

  it("leases says of the first why they wait, and how to ask for any other", async () => {
    const text = await sluice("leases");
    const places = [...text.matchAll(/^ *(\d+) {2}(lease-\w+) .* 40GiB .*$/gm)];
    expect(places.map(([, place]) => Number(place))).toEqual(Array.from({ length: WAITING }, (_, index) => index + 1));
    expect(text.match(/^ {9}Device /gm)!.length).toBeLessThan(60);
    expect(text.trimEnd().split("\n").at(-1)).toBe("Why one of the others waits: `sluice explain --queued REQUEST`.");
    const last = await sluice("explain", "--queued", places.at(-1)![2]!);
    expect(last.split("\n")[0]).toMatch(new RegExp(`^It would wait at place ${WAITING}, served by `));
    // Every device is counted, and what is the same of many is said once.
    const reasons = last.split("\n").filter((line) => line.startsWith("  Device "));
    const told = reasons.map((line) => 1 + Number(line.match(/So it is with \[(\d+)\] more/)?.[1] ?? 0));
    expect(told.reduce((sum, count) => sum + count, 0)).toBe(DEVICES);
    expect(reasons.length).toBeLessThan(DEVICES / 10);
  });

  it("the listing gives reasons for as many as anybody reads", async () => {
    const { queue } = await control.listLeases();
    expect(queue.map(({ reasons }) => reasons.length > 0)).toEqual(queue.map((_, index) => index < 200));
  });
});
