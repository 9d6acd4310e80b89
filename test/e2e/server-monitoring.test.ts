/** What monitoring sees of a real server: Prometheus metrics and probes on the admin port, gRPC health and reflection. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Client, credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { type AnyDefinition, loadFileDescriptorSetFromBuffer, loadSync } from "@grpc/proto-loader";
import { service as healthService } from "grpc-health-check";
import protobuf from "protobufjs";
import { connect, type Pool } from "sluice";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runShort } from "../support/commands.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

let server: TestServer;
let pool: Pool;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "null:2x1GiB"] });
  pool = await connect({ server: server.grpc, lease: "" });
});
afterAll(async () => {
  await pool.close();
  await server.stop();
});

const get = (path: string, of = server) => fetch(`${of.admin}${path}`);

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** An independent reader of the exposition format. */
function samplesOf(text: string): Sample[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [, name, , labels = "", value] = /^([a-zA-Z_:][\w:]*)(\{(.*)\})? (\S+)$/.exec(line)!;
      const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key!, text!] as const);
      return { name: name!, labels: Object.fromEntries(pairs), value: Number(value) };
    });
}

async function samples(): Promise<(name: string, labels?: Sample["labels"]) => number | undefined> {
  const all = samplesOf(await (await get("/metrics")).text());
  return (name, labels = {}) =>
    all.find(
      (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )?.value;
}

describe("metrics", () => {
  it("follow a lease from its grant to its end, and add up with what it used", async () => {
    const before = (await samples())("sluice_calls_total", { tenant: "local" }) ?? 0;
    const lease = await pool.allocate({ memory: "256MiB", compute: 0.25 });
    const [gpu] = lease.devices;
    const data = gpu!.alloc(4096);
    for (let turn = 0; turn < 10; turn++) await gpu!.synchronize().then(() => data.read(Uint8Array));
    const held = await samples();
    expect(held("sluice_device_granted_bytes", { device: "null:0" })).toBe(256 * 1024 ** 2);
    expect(held("sluice_device_free_bytes", { device: "null:0" })).toBe(768 * 1024 ** 2);
    expect(held("sluice_device_free_compute", { device: "null:0" })).toBe(0.75);
    expect(held("sluice_leases", { tenant: "local", state: "attached" })).toBe(1);
    await lease.release();
    const { calls, batches } = lease.stats;
    const later = await waitFor("the counters of the lease", async () => {
      const now = await samples();
      return now("sluice_leases_ended_total", { code: "RELEASED" }) === undefined ? undefined : now;
    });
    expect(later("sluice_calls_total", { tenant: "local" })! - before).toBe(calls);
    expect(later("sluice_batch_calls_sum", { tenant: "local" })).toBe(later("sluice_calls_total", { tenant: "local" }));
    expect(later("sluice_batch_calls_count", { tenant: "local" })).toBe(
      later("sluice_batches_total", { tenant: "local" }),
    );
    expect(batches).toBeGreaterThan(0);
    expect(later("sluice_answer_seconds_count", { tenant: "local" })).toBe(
      later("sluice_answers_total", { tenant: "local" }),
    );
    expect(later("sluice_allocation_wait_seconds_count", { class: "normal" })).toBeGreaterThan(0);
    expect(later("sluice_device_granted_bytes", { device: "null:0" })).toBe(0);
  });

  it("count requests that end without a lease, by why", async () => {
    await expect(pool.allocate({ memory: "2GiB" })).rejects.toThrow();
    const refused = samplesOf(await (await get("/metrics")).text()).filter(
      ({ name }) => name === "sluice_requests_refused_total",
    );
    expect(refused.reduce((sum, { value }) => sum + value, 0)).toBeGreaterThan(0);
  });

  it("keep the conventions: every name is explained, counters and nothing else end in _total, buckets rise to the count", async () => {
    const text = await (await get("/metrics")).text();
    const types = new Map([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => [name!, type!]));
    for (const [name, type] of types) {
      expect(text).toContain(`# HELP ${name} `);
      expect(name.endsWith("_total"), name).toBe(type === "counter");
    }
    const all = samplesOf(text);
    for (const { name } of all) expect([...types.keys()].some((known) => name.startsWith(known))).toBe(true);
    const histograms = [...types].filter(([name, type]) => type === "histogram" && name.startsWith("sluice_"));
    expect(histograms.length).toBeGreaterThan(3);
    for (const [name] of histograms) {
      const buckets = all.filter((sample) => sample.name === `${name}_bucket`);
      const series = new Map<string, Sample[]>();
      for (const bucket of buckets) {
        const { le: _le, ...rest } = bucket.labels;
        const key = JSON.stringify(rest);
        series.set(key, [...(series.get(key) ?? []), bucket]);
      }
      for (const values of series.values()) {
        expect(values.map(({ value }) => value)).toEqual(values.map(({ value }) => value).toSorted((a, b) => a - b));
        expect(values.at(-1)!.labels["le"]).toBe("+Inf");
      }
    }
    expect(types.has("nodejs_eventloop_lag_p99_seconds")).toBe(true);
  });

  it("are for admins alone once there are tokens", async () => {
    const own = await startServer({ args: ["--device", "null:1x1GiB", "--require-token"] });
    try {
      expect((await get("/metrics", own)).status).toBe(401);
      expect((await get("/healthz", own)).status).toBe(200);
    } finally {
      await own.stop();
    }
  });
});

describe("probes", () => {
  it("say that a server is ready, and that it no longer is once it stops while it still answers", async () => {
    const own = await startServer({ args: ["--device", "null:1x1GiB", "--grace", "20s"] });
    const client = new Client(own.grpc, credentials.createInsecure());
    try {
      expect([(await get("/healthz", own)).status, (await get("/readyz", own)).status]).toEqual([200, 200]);
      expect(await healthOf(client)).toBe("SERVING");
      const requested = await runShort(["request", "-m", "1MiB", "--for", "1h", "--server", own.grpc]);
      expect(requested.code).toBe(0);
      own.kill("SIGTERM");
      await waitFor("the probe to tell", async () => (await get("/readyz", own)).status === 503);
      expect((await get("/healthz", own)).status).toBe(200);
      expect(await healthOf(client)).toBe("NOT_SERVING");
    } finally {
      client.close();
      own.kill("SIGTERM");
      await own.stop();
    }
  });

  it("say that a server whose disk is full grants nothing, that it lives, and that all is well when there is room", async () => {
    await using own = await startServer({ args: ["--device", "null:1x1GiB", "--spare-executors", "0"] });
    const client = new Client(own.grpc, credentials.createInsecure());
    const limit = (bytes: string): void => {
      execFileSync("prlimit", ["--pid", String(own.pid), `--fsize=${bytes}:unlimited`]);
    };
    const services = ["", "sluice.v1.PoolService", "sluice.v1.AdminService"];
    const health = () => Promise.all(services.map((name) => healthOf(client, name)));
    try {
      limit("0");
      // A sample of the pool every ten seconds would find out as well.
      expect((await runShort(["cordon", "null:0", "--server", own.grpc])).code).toBe(0);
      await waitFor("the probe to tell", async () => (await get("/readyz", own)).status === 503);
      expect(await (await get("/readyz", own)).text()).toBe("nothing is granted: the state cannot be written\n");
      expect((await get("/healthz", own)).status).toBe(200);
      // A liveness probe asks for no service, and must not restart what a full disk holds up.
      expect(await health()).toEqual(["SERVING", "NOT_SERVING", "SERVING"]);
      limit("unlimited");
      await waitFor("the probe to be content", async () => (await get("/readyz", own)).status === 200);
      expect(await health()).toEqual(["SERVING", "SERVING", "SERVING"]);
    } finally {
      client.close();
    }
  });
});

function healthOf(client: Client, service = ""): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = healthService["Check"]!;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service }, (error, answer) => {
      if (error !== null) reject(error);
      else resolve((answer as unknown as { status: string }).status);
    });
  });
}

describe("reflection", () => {
  it("is enough for a client without any of our files to list services and to call one", async () => {
    const descriptors = await describeSymbol("sluice.v1.PoolService");
    const files = protobuf.Root.fromJSON({
      nested: { FileSet: { fields: { file: { rule: "repeated", type: "bytes", id: 1 } } } },
    }).lookupType("FileSet");
    const set = Buffer.from(files.encode({ file: descriptors }).finish());
    const definition = loadFileDescriptorSetFromBuffer(set, { longs: Number });
    // biome-ignore lint/suspicious/noExplicitAny: built from what the server says of itself, at run time
    const { PoolService } = (loadPackageDefinition(definition as Record<string, AnyDefinition>) as any).sluice.v1;
    const client = new PoolService(server.grpc, credentials.createInsecure());
    const listed = await new Promise<{ devices: { id: string }[] }>((resolve, reject) => {
      client.listDevices({}, (error: Error | null, answer: { devices: { id: string }[] }) =>
        error === null ? resolve(answer) : reject(error),
      );
    });
    client.close();
    expect(listed.devices.map(({ id }) => id)).toEqual(["null:0", "null:1"]);
  });
});

/** What any reflection client does: asks for the services, then for the files behind one. */
async function describeSymbol(symbol: string): Promise<Uint8Array[]> {
  const folder = dirname(createRequire(import.meta.url).resolve("@grpc/reflection"));
  const path = join(folder, "../proto/grpc/reflection/v1/reflection.proto");
  // biome-ignore lint/suspicious/noExplicitAny: a contract read at run time has no types
  const { ServerReflection } = (loadPackageDefinition(loadSync(path, { oneofs: true })) as any).grpc.reflection.v1;
  const client = new ServerReflection(server.grpc, credentials.createInsecure());
  const stream = client.serverReflectionInfo();
  const answers = stream[Symbol.asyncIterator]();
  stream.write({ listServices: "" });
  const { listServicesResponse } = (await answers.next()).value;
  const names = listServicesResponse.service.map(({ name }: { name: string }) => name);
  expect(names).toEqual(expect.arrayContaining(["sluice.v1.PoolService", "sluice.v1.AdminService"]));
  stream.write({ fileContainingSymbol: symbol });
  const { fileDescriptorResponse } = (await answers.next()).value;
  stream.end();
  client.close();
  return fileDescriptorResponse.fileDescriptorProto;
}

describe("the Grafana dashboard", () => {
  it("asks only for metrics that the server has, by labels that they have", async () => {
    const text = await (await get("/metrics")).text();
    const known = new Set([...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name!));
    const dashboard = JSON.parse(readFileSync("server/admin/grafana.json", "utf8")) as {
      panels: { title: string; targets: { expr: string }[] }[];
    };
    const asked = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    const names = asked.flatMap((expr) => expr.match(/\b(sluice|nodejs)_\w+/g) ?? []);
    expect(names.length).toBeGreaterThan(15);
    const missing = names.filter((name) => !known.has(name) && !known.has(name.replace(/_(bucket|sum|count)$/, "")));
    expect(missing).toEqual([]);
    const titles = dashboard.panels.map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
  });
});
