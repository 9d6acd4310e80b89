/** A server whose devices are shared in three ways and carry labels: what requests get of them, and what listings show. */
import { connect, type Pool } from "sluice";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { runShort } from "../support/commands.ts";
import { codeOf } from "../support/failures.ts";
import { runSluice, startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;

let server: TestServer;
let pool: Pool;

beforeAll(async () => {
  const specs = [
    "null:1x1GiB",
    "null:1x1GiB,mode=exclusive,label=zone=b",
    "null:1x1GiB,profile=4x200MiB",
    "null:1x4GiB,label=worn=yes,taint=worn",
  ];
  const devices = specs.flatMap((spec) => ["--device", spec]);
  server = await startServer({ args: [...devices, "--label", "zone=a", "--policy", "spread"] });
  pool = await connect({ server: server.grpc, lease: "" });
});
afterEach(async () => {
  await waitFor("the pool to be empty", async () => (await pool.devices()).every((device) => device.slices === 0));
});
afterAll(async () => {
  await pool.close();
  await server.stop();
});

it("shows how each device is shared, its labels and taints", async () => {
  const shown = (await pool.devices()).map(({ id, mode, profileBytes, labels, taints, cordon }) => ({
    id,
    mode,
    profileBytes,
    labels,
    taints,
    cordon,
  }));
  const plain = { profileBytes: 0, taints: [], cordon: null };
  expect(shown).toEqual([
    { ...plain, id: "null:0", mode: "SHARING_MODE_DYNAMIC", labels: { zone: "a" } },
    { ...plain, id: "null:1", mode: "SHARING_MODE_EXCLUSIVE", labels: { zone: "b" } },
    { ...plain, id: "null:2", mode: "SHARING_MODE_PROFILE", profileBytes: 200 * MiB, labels: { zone: "a" } },
    { ...plain, id: "null:3", mode: "SHARING_MODE_DYNAMIC", labels: { zone: "a", worn: "yes" }, taints: ["worn"] },
  ]);
});

describe("a request", () => {
  it("in profile mode gets whole slices of the profile, as many as there are", async () => {
    const leases = await Promise.all(Array.from({ length: 4 }, () => pool.allocate({ mode: "profile" })));
    for (const { info } of leases) {
      expect(info.slices).toMatchObject([{ deviceId: "null:2", memoryBytes: 200 * MiB, overheadBytes: 0 }]);
    }
    expect(await codeOf(pool.allocate({ mode: "profile" }))).toBe("NO_CAPACITY");
    await Promise.all(leases.map((lease) => lease.release()));
    expect(await codeOf(pool.allocate({ mode: "profile", memory: "201MiB" }))).toBe("IMPOSSIBLE_REQUEST");
  });

  it("in dynamic mode is kept off the devices of the other two", async () => {
    expect(await codeOf(pool.allocate({ memory: "1MiB", filters: ["device.id=null:1"] }))).toBe("IMPOSSIBLE_REQUEST");
    expect(await codeOf(pool.allocate({ memory: "1MiB", filters: ["device.id=null:2"] }))).toBe("IMPOSSIBLE_REQUEST");
  });

  it("is led by labels", async () => {
    await using lease = await pool.allocate({ mode: "exclusive", filters: ["label.zone=b"] });
    expect(lease.info.slices[0]!.deviceId).toBe("null:1");
    const avoiding = await pool.explain({ mode: "exclusive", avoid: ["zone=a"] });
    expect(avoiding).toMatchObject({ outcome: "queued", blockingLeaseIds: [lease.id] });
  });

  it("uses a tainted device only if it tolerates it", async () => {
    expect(await codeOf(pool.allocate({ memory: "2GiB" }))).toBe("IMPOSSIBLE_REQUEST");
    await using lease = await pool.allocate({ memory: "2GiB", tolerate: ["worn"] });
    expect(lease.info.slices[0]!.deviceId).toBe("null:3");
  });

  it("that names no policy gets the server's", async () => {
    await using first = await pool.allocate({ memory: "512MiB", tolerate: ["worn"] });
    await using second = await pool.allocate({ memory: "512MiB", tolerate: ["worn"], policy: "pack" });
    expect([first, second].map(({ info }) => info.slices[0]!.deviceId)).toEqual(["null:3", "null:0"]);
  });

  it("can say all of it on the command line", async () => {
    const env = { SLUICE_SERVER: server.grpc, SLUICE_LEASE: "" };
    const words = ["-m", "2GiB", "--tolerate", "worn=yes", "--avoid", "zone=b", "--filter", "label.worn=yes"];
    const { stdout } = await runShort(["explain", ...words], { env });
    expect(stdout).toBe("It would be granted now:\n  2GiB of null:3\n");
    const profile = await runShort(["explain", "--mode", "profile"], { env });
    expect(profile.stdout).toBe("It would be granted now:\n  200MiB and 25% of the time of null:2\n");
  });
});

it("a server that cannot cut its devices so does not start", async () => {
  const { code, stderr, stdout } = await runSluice(["serve", "--device", "null:1x1GiB,profile=4x1GiB"]);
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toContain("[4GiB]");
});
