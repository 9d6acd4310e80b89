/** Which of several servers has the thing that somebody names, and who is asked to do something to it: nobody else. */
import { afterEach, expect, it } from "vitest";
import type { Control } from "../../client/control.ts";
import { Fleet, onOwner, things } from "../../client/fleet/index.ts";
import { FakeServer } from "../support/fake-server.ts";

const servers: FakeServer[] = [];
let fleet: Fleet | undefined;

afterEach(async () => {
  for (const server of servers.splice(0)) server.stop();
  await fleet?.close();
});

async function pool(count: number, ...more: string[]): Promise<FakeServer[]> {
  servers.push(...(await Promise.all(Array.from({ length: count }, () => FakeServer.start()))));
  const accesses = [...servers.map(({ address }) => address), ...more].map((server) => ({ server }));
  fleet = new Fleet([accesses[0]!, ...accesses.slice(1)], { tell: () => {} });
  return servers;
}

const release = (name: string) =>
  onOwner(fleet!, { name, kind: things.lease }, (control, leaseId) => control.release({ leaseId }));

/** Who is asked to do something to a device, and to which. */
const touch = (name: string) =>
  onOwner(fleet!, { name, kind: things.device }, async (control: Control, id) => `${control.address}/${id}`);

it("a lease is released where it is, and no other server is asked to", async () => {
  const [one, other] = (await pool(2)) as [FakeServer, FakeServer];
  other.leaseIds = ["lease-1"];
  expect((await release("lease-1")).control.address).toBe(other.address);
  expect([one.releasedIds, other.releasedIds]).toEqual([[], ["lease-1"]]);
});

it("a lease that no server lists any more is looked for on each, and what they say is told", async () => {
  const [one, other] = (await pool(2)) as [FakeServer, FakeServer];
  await expect(release("lease-2")).rejects.toMatchObject({
    code: "LEASE_NOT_FOUND",
    message: "There is no lease [lease-2].",
  });
  expect([one.releasedIds, other.releasedIds]).toEqual([["lease-2"], ["lease-2"]]);
});

it("a lease is found although a server does not answer; one that is not found may be there", async () => {
  const [one] = (await pool(1, "127.0.0.1:1")) as [FakeServer];
  one.leaseIds = ["lease-1"];
  expect((await release("lease-1")).control.address).toBe(one.address);
  await expect(release("lease-2")).rejects.toMatchObject({
    code: "SERVER_UNREACHABLE",
    message: expect.stringMatching(
      /^The lease \[lease-2\] is not found. None of \[.*\] has it. 127.0.0.1:1: it does not answer/,
    ),
  });
});

it("a device whose id several servers have needs its server's name", async () => {
  const [one, other] = (await pool(2)) as [FakeServer, FakeServer];
  await expect(touch("null:0")).rejects.toMatchObject({
    code: "BAD_ARGUMENT",
    message: expect.stringContaining(`name it as [${one.address}/null:0], or its server with [--server].`),
  });
  expect((await touch(`${other.address}/null:0`)).answer).toBe(`${other.address}/null:0`);
  await expect(touch("nowhere/null:0")).rejects.toMatchObject({
    message: expect.stringContaining("[nowhere] is none"),
  });
  await expect(touch("null:7")).rejects.toMatchObject({
    code: "BAD_ARGUMENT",
    message: `None of [${one.address}, ${other.address}] has a device [null:7].`,
  });
});

it("a host alone names the server with the usual port there, or else the only one, and a port names one with just that", async () => {
  await pool(0, "gpu1:9000", "gpu2:9000", "gpu2:7460", "gpu3:9000", "gpu3:9001", "[fd00::1]:9000");
  expect((await touch("gpu1/null:0")).answer).toBe("gpu1:9000/null:0");
  expect((await touch("gpu2/null:0")).answer).toBe("gpu2:7460/null:0");
  expect((await touch("gpu3:9001/null:0")).answer).toBe("gpu3:9001/null:0");
  expect((await touch("[fd00::1]/null:0")).answer).toBe("[fd00::1]:9000/null:0");
  for (const name of ["gpu3", "gpu1:7460", "gpu1:9001"])
    await expect(touch(`${name}/null:0`)).rejects.toMatchObject({
      message: expect.stringContaining(`[${name}] is none`),
    });
});

it("a device is not taken for the only one of its id while a server does not say what it has", async () => {
  const [one] = (await pool(1, "127.0.0.1:1")) as [FakeServer];
  await expect(touch("null:0")).rejects.toMatchObject({
    code: "BAD_ARGUMENT",
    message: expect.stringContaining("The server [127.0.0.1:1] does not say whether it has one too"),
  });
  expect((await touch(`${one.address}/null:0`)).answer).toBe(`${one.address}/null:0`);
});

it("of one server everything is that server's, and nobody is asked for it first", async () => {
  const [only] = (await pool(1)) as [FakeServer];
  only.explains = "hang";
  expect((await touch("cuda:9")).answer).toBe(`${only.address}/cuda:9`);
});
