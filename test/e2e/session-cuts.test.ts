/**
 * A real server whose data connections break again and again, over each transport, while a job computes on the cpu device: the results are
 * those of a job that nobody disturbed. One kernel makes a chain of values, in which a call that is lost, repeated or out of order shows for
 * ever; another counts with atomics.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allocateRequest } from "../../client/allocate-options.ts";
import { Control } from "../../client/control.ts";
import { formatLeaseKeys } from "../../client/environment.ts";
import { Lease } from "../../client/lease.ts";
import { type TestCertificates, testCertificates } from "../support/certificates.ts";
import { type CutPlan, CuttingProxy } from "../support/cutting-proxy.ts";
import { createRandom } from "../support/random.ts";
import { RawConnection } from "../support/raw-client.ts";
import { rounds } from "../support/rounds.ts";
import { socketOf, startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const KERNELS = `.version 8.0
.target sm_75
.address_size 64
.visible .entry chain(.param .u64 cell, .param .u32 step) {
  .reg .u64 %rd<2>; .reg .u32 %r<5>;
  ld.param.u64 %rd1, [cell];
  ld.param.u32 %r1, [step];
  ld.global.u32 %r2, [%rd1];
  mul.lo.u32 %r3, %r2, 31;
  add.u32 %r4, %r3, %r1;
  st.global.u32 [%rd1], %r4;
  ret;
}
.visible .entry count(.param .u64 cell) {
  .reg .u64 %rd<2>; .reg .u32 %r<2>;
  ld.param.u64 %rd1, [cell];
  atom.global.add.u32 %r1, [%rd1], 1;
  ret;
}`;

const bytesOf = ({ buffer, byteOffset, byteLength }: Uint32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const chained = (value: number, step: number): number => (Math.imul(value, 31) + step) >>> 0;

/** Nobody beats for the lease of programs that come one after the other: it is to live as long as they take on a busy machine. */
const options = ["--device", "cpu:1x256MiB", "--device", "null:1x1GiB", "--heartbeat-timeout", "5m"];
let plain: TestServer;
let secure: TestServer;
let certificates: TestCertificates;

beforeAll(async () => {
  certificates = await testCertificates();
  [plain, secure] = await Promise.all([
    startServer({ args: options }),
    startServer({ args: [...options, ...certificates.args] }),
  ]);
});

afterAll(async () => {
  await Promise.all([plain.stop(), secure.stop()]);
  certificates.remove();
});

type Transport = "tcp" | "unix" | "tls" | "grpc";

interface Stand {
  readonly proxy: CuttingProxy;
  readonly lease: Lease;
  close(): Promise<void>;
}

/** A lease on the cpu device whose data connection goes through a proxy, which breaks from the first on where `plan` says. */
async function borrowThroughProxy(transport: Transport, plan?: CutPlan): Promise<Stand> {
  const server = transport === "tls" ? secure : plain;
  const tls = transport === "tls" ? { ca: certificates.ca.cert, cert: undefined, key: undefined } : undefined;
  const proxy =
    transport === "unix"
      ? await CuttingProxy.to(socketOf(server), plan, join(server.state, "proxy.sock"))
      : await CuttingProxy.to(transport === "grpc" ? server.grpc : server.data, plan);
  const control = new Control({ server: server.grpc, tls });
  const request = allocateRequest({ memory: "64MiB", filters: ["device.id=cpu:0"], wait: "20s" });
  const { lease: info, connection, secret } = await control.allocate(request, {});
  if (info === null || connection === null) throw new Error("The server grants without a lease.");
  // Inside gRPC the heartbeats go through the proxy too.
  const through = new Control({ server: transport === "grpc" ? proxy.address : server.grpc });
  const endpoint = transport === "grpc" ? "grpc://" : `${transport}://${proxy.address}`;
  const lease = await Lease.open({
    control: transport === "grpc" ? through : control,
    info,
    key: { leaseId: info.id, secret },
    connection: { ...connection, dataEndpoints: [endpoint] },
    devices: 1,
    owned: true,
    onOutput: () => {},
  });
  const close = async (): Promise<void> => {
    await lease.release();
    control.close();
    through.close();
    await proxy.close();
  };
  return { proxy, lease, close };
}

it("a first connection that breaks behind HELLO, and all that are tried at once, cost the lease neither its session nor a second one", async () => {
  const greeting = new RawConnection(plain.data);
  const greetingBytes = 16 + (await greeting.next())!.payload.byteLength;
  greeting.destroy();
  // The server has begun the session, and WELCOME is lost; then nothing comes through until the server is asked where to go.
  const { proxy, lease, close } = await borrowThroughProxy("tcp", (connection) => ({
    direction: "down",
    afterBytes: connection === 0 ? greetingBytes + 8 : 0,
    how: "reset",
  }));
  try {
    expect(proxy.cuts).toBeGreaterThan(1);
    expect([...(await lease.devices[0].upload(Uint8Array.of(7)).read(Uint8Array))]).toEqual([7]);
    expect(lease.stats.reconnects).toBe(0);
  } finally {
    await close();
  }
});

describe.each<[Transport, number]>([
  ["tcp", rounds(300)],
  ["unix", rounds(60)],
  ["tls", rounds(60)],
  ["grpc", rounds(40)],
])("over %s", (transport, cutsMin) => {
  it(`a computation comes to its result over ${cutsMin} cuts`, async () => {
    const random = createRandom(cutsMin);
    const { proxy, lease, close } = await borrowThroughProxy(transport);
    const [gpu] = lease.devices;
    const module = await gpu.load(KERNELS);
    const [chain, count] = [module.kernel("chain"), module.kernel("count")];
    const cell = gpu.upload(Uint32Array.of(1));
    const counter = gpu.upload(Uint32Array.of(0));
    await gpu.flush();
    // Above TCP a handshake takes more bytes, and must come through now and then.
    const bytesMax = transport === "tcp" || transport === "unix" ? 9_000 : 24_000;
    proxy.plan = () => ({
      direction: random() < 0.5 ? "up" : "down",
      afterBytes: Math.floor(random() ** 2 * bytesMax),
      how: random() < 0.5 ? "reset" : "fin",
      heardBy: random() < 0.1 ? "client" : "both",
    });
    proxy.cutAll();
    let [expected, step, turns] = [1, 0, 0];
    const deadline = performance.now() + 150_000;
    for (; proxy.cuts < cutsMin && performance.now() < deadline; turns++) {
      for (let index = 0; index < 15; index++) {
        chain.launch({ grid: 1, block: 1 }, [cell, ++step]);
        expected = chained(expected, step);
      }
      count.launch({ grid: 2, block: 32 }, [counter]);
      const data = Uint32Array.from({ length: 700 }, (_unused, index) => index * step);
      const buffer = gpu.upload(data);
      const [value, back] = await Promise.all([cell.read(Uint32Array), buffer.read(Uint32Array)]);
      expect(value[0]).toBe(expected);
      expect(Buffer.compare(bytesOf(back), bytesOf(data))).toBe(0);
      buffer.free();
    }
    expect(proxy.cuts).toBeGreaterThanOrEqual(cutsMin);
    expect((await counter.read(Uint32Array))[0]).toBe(64 * turns);
    expect(lease.stats.reconnects).toBeGreaterThan(cutsMin / 10);
    expect(lease.signal.aborted).toBe(false);
    proxy.plan = () => undefined;
    proxy.tellAll();
    await close();
  }, 200_000);
});

it("the metrics count each session once, and each time that it is taken up", async () => {
  const counts = async (): Promise<readonly [begun: number, resumed: number]> => {
    const text = await (await fetch(`${plain.admin}/metrics`)).text();
    const count = (name: string): number =>
      Number(new RegExp(`^${name}{tenant="local"} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
    return [count("sluice_sessions_total"), count("sluice_sessions_resumed_total")];
  };
  const before = await counts();
  const { proxy, lease, close } = await borrowThroughProxy("tcp");
  const cell = lease.devices[0].upload(Uint32Array.of(7));
  for (let cut = 0; cut < 3; cut++) {
    expect((await cell.read(Uint32Array))[0]).toBe(7);
    proxy.cutAll();
  }
  expect((await cell.read(Uint32Array))[0]).toBe(7);
  const after = await counts();
  expect([after[0] - before[0], after[1] - before[1]]).toEqual([1, 3]);
  await close();
});

it("a program that ends without a word leaves its lease to the next program at once", async () => {
  const control = new Control({ server: plain.grpc });
  const { lease, secret } = await control.allocate(
    allocateRequest({ memory: "1MiB", filters: ["device.id~null"] }),
    {},
  );
  const key = { leaseId: lease!.id, secret };
  const script = `
    import { connect } from "sluice";
    const lease = await (await connect()).allocate({ memory: 1 });
    lease.devices[0].upload(Uint8Array.of(1));
    console.log((await lease.devices[0].upload(Uint8Array.of(7)).read(Uint8Array))[0]);
    process.exit(0);`;
  const env = { ...process.env, SLUICE_SERVER: plain.grpc, SLUICE_LEASE: formatLeaseKeys([key]) };
  const started = performance.now();
  for (let round = 0; round < 3; round++) {
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { env });
    expect(stdout).toBe("7\n");
  }
  // The session would wait for half a minute before each of the two that follow.
  expect(performance.now() - started).toBeLessThan(55_000);
  await control.release(key);
  control.close();
});

it("a session goes on when the server was killed and comes back", async () => {
  const { proxy, lease, close } = await borrowThroughProxy("tcp");
  const [gpu] = lease.devices;
  const cell = gpu.upload(Uint32Array.of(7));
  const chain = (await gpu.load(KERNELS)).kernel("chain");
  chain.launch({ grid: 1, block: 1 }, [cell, 1]);
  expect((await cell.read(Uint32Array))[0]).toBe(chained(7, 1));
  plain.kill("SIGKILL");
  await plain.exited;
  proxy.cutAll();
  chain.launch({ grid: 1, block: 1 }, [cell, 2]);
  const value = cell.read(Uint32Array);
  await waitFor("the client to try in vain", () => proxy.connections > 2);
  const args = [...options, "--listen", plain.grpc, "--data", plain.data];
  await using _second = await startServer({ args, state: plain.state });
  expect((await value)[0]).toBe(chained(chained(7, 1), 2));
  expect(lease.stats.reconnects).toBe(1);
  await close();
});
