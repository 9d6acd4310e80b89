/** Reservations by the command line against a real server: who is served inside, what a restart keeps, and how they end. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Pool } from "sluice";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { environmentOf, runEach, runShort } from "../support/commands.ts";
import { codeOf } from "../support/failures.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;

let state: string;
let server: TestServer;
let pool: Pool;

async function start(): Promise<void> {
  server = await startServer({ args: ["--device", "null:1x1GiB,profile=4x200MiB"], state });
  pool = await connect({ server: server.grpc, lease: "" });
}

async function stop(): Promise<void> {
  await pool.close();
  await server.stop();
}

beforeAll(async () => {
  state = mkdtempSync(join(tmpdir(), "sluice-reservations-"));
  await start();
});
afterAll(async () => {
  await stop();
  rmSync(state, { recursive: true, force: true });
});

const sluice = (...args: readonly string[]) => runShort(args, { env: environmentOf(server) });

const reservations = async () => JSON.parse((await sluice("reservations", "--json")).stdout).reservations;

describe("a reservation", () => {
  it("holds slices for its tenant over leases and restarts, until it is given up", async () => {
    const made = await sluice("reserve", "local", "-n", "3", "--same-device", "--name", "course", "--json");
    expect(made.code).toBe(0);
    const { id, slices } = JSON.parse(made.stdout).reservation;
    expect(slices).toHaveLength(3);
    expect(slices[0]).toEqual({ deviceId: "null:0", memoryBytes: 200 * MiB, overheadBytes: 0, leaseId: "" });
    expect((await pool.devices())[0]).toMatchObject({
      reservedBytes: 600 * MiB,
      freeBytes: 200 * MiB,
      grantedBytes: 0,
    });
    expect((await sluice("list")).stdout).toContain("null:0: 600MiB reserved and not in use.\n");

    const lease = await pool.allocate({ reservation: id, devices: 2, sameDevice: true });
    expect(lease.info.reservationId).toBe(id);
    const buffer = lease.devices[1]!.upload(new Uint32Array([7]));
    expect([...(await buffer.read(Uint32Array))]).toEqual([7]);
    expect((await reservations())[0].slices.map(({ leaseId }: { leaseId: string }) => leaseId)).toEqual([
      lease.id,
      lease.id,
      "",
    ]);
    const table = (await sluice("reservations")).stdout;
    expect(table).toMatch(new RegExp(`\n${id} +local +course +3 x 200MiB of null:0 +2 of 3 +0 +given up\n`));
    const waiting = pool.allocate({ reservation: id, devices: 2, sameDevice: true, wait: "1m" });
    await waitFor("it to wait", async () => (await reservations())[0].waiting === 1);
    expect((await pool.leases()).queue).toMatchObject([{ reservationId: id, position: 1 }]);
    await lease.release();
    await (await waiting).release();

    await stop();
    await start();
    expect((await pool.devices())[0]).toMatchObject({ reservedBytes: 600 * MiB, freeBytes: 200 * MiB });
    const run = await sluice("run", "--reservation", id, "--", "true");
    expect(run.code).toBe(0);
    expect((await sluice("unreserve", id)).stdout).toBe(`The reservation ${id} is given up.\n`);
    expect(await reservations()).toEqual([]);
    expect((await pool.devices())[0]!.freeBytes).toBe(800 * MiB);
    expect(await codeOf(pool.allocate({ reservation: id }))).toBe("RESERVATION_NOT_FOUND");
    await stop();
    await start();
    expect(await reservations()).toEqual([]);
  });

  it("takes its leases in again after a server that was killed", async () => {
    const { id } = JSON.parse(
      (await sluice("reserve", "local", "-n", "2", "--same-device", "--json")).stdout,
    ).reservation;
    const inside = JSON.parse((await sluice("request", "--reservation", id, "--for", "1h", "--json")).stdout).lease;
    await pool.close();
    server.kill("SIGKILL");
    await server.exited;
    await start();
    const [reservation] = await reservations();
    expect(reservation.slices.map(({ leaseId }: { leaseId: string }) => leaseId)).toEqual([inside.id, ""]);
    expect((await pool.devices())[0]).toMatchObject({
      grantedBytes: 200 * MiB,
      reservedBytes: 200 * MiB,
      freeBytes: 400 * MiB,
    });
    await sluice("release", inside.id);
    expect((await pool.devices())[0]).toMatchObject({ grantedBytes: 0, reservedBytes: 400 * MiB });
    await sluice("unreserve", id);
  });

  it("of another tenant serves nobody else", async () => {
    const { id } = JSON.parse(
      (await sluice("reserve", "team-a", "-n", "4", "--same-device", "--json")).stdout,
    ).reservation;
    expect(await codeOf(pool.allocate({ mode: "profile" }))).toBe("NO_CAPACITY");
    expect(await codeOf(pool.allocate({ reservation: id }))).toBe("RESERVATION_NOT_FOUND");
    expect((await sluice("reserve", "local")).stderr).toContain("(NO_CAPACITY)");
    await sluice("unreserve", id);
    await (await pool.allocate({ mode: "profile" })).release();
  });

  it("ends by itself after its time", async () => {
    expect((await sluice("reserve", "team-a", "--for", "300ms")).code).toBe(0);
    await waitFor("it to end", async () => (await reservations()).length === 0);
    expect((await pool.devices())[0]!.reservedBytes).toBe(0);
  });

  it("that cannot be is refused", async () => {
    const wrong: [string[], number, string][] = [
      [["reserve", "local", "--processes", "2"], 2, "unknown option '--processes'"],
      [["reserve", "local", "-n", "2"], 1, "IMPOSSIBLE_REQUEST"],
      [["reserve", ""], 2, "one that is blank"],
      [["unreserve", "none"], 1, "RESERVATION_NOT_FOUND"],
    ];
    const finished = await runEach(
      wrong.map(([args]) => args),
      { env: environmentOf(server) },
    );
    expect(finished.map(({ code, stderr }, index) => [wrong[index]![0], code, stderr])).toEqual(
      wrong.map(([args, code, words]) => [args, code, expect.stringContaining(words)]),
    );
  });
});
