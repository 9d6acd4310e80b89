/** The options of `sluice serve`: defaults, the config file, the command line over it, and what is refused with which words. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readOptions } from "../../server/command-line.ts";
import { type Config, loadConfig } from "../../server/config.ts";
import { tenantCaches } from "../../server/session/tenant-caches.ts";

const load = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Config => loadConfig(readOptions(args), env);

const folder = mkdtempSync(join(tmpdir(), "sluice-config-"));
let files = 0;

afterAll(() => rmSync(folder, { recursive: true }));

function configFile(content: unknown): string {
  const file = join(folder, `sluice-${files++}.json`);
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
}

test("without options the server lends what the machine has to this machine alone", () => {
  expect(load([], { XDG_STATE_HOME: "/var/lib/me" })).toEqual({
    listen: { host: "127.0.0.1", port: 7460 },
    data: { host: "127.0.0.1", port: 7461 },
    admin: { host: "127.0.0.1", port: 7462 },
    stateDirectory: "/var/lib/me/sluice",
    devices: ["auto"],
    labels: {},
    policy: "pack",
    priorityClasses: new Map([
      ["low", -50],
      ["normal", 0],
      ["high", 50],
    ]),
    pool: {
      usageHalfLifeMs: 86_400_000,
      queueEntriesMax: 100_000,
      passesMax: 16,
      preemption: false,
      preemptionGraceMs: 30_000,
      idleMs: 0,
      idleNoticeMs: 60_000,
    },
    graceMs: 30_000,
    healthIntervalMs: 5_000,
    kernelTimeoutMs: 300_000,
    heartbeatTimeoutMs: 30_000,
    orphanTimeoutMs: 600_000,
    sessionGraceMs: 30_000,
    logLevel: "info",
    spareExecutors: 1,
    ledgerKeptMs: 400 * 86_400_000,
    computePolicy: "guaranteed",
    cache: { bytesMax: 4 * 1024 ** 3, shared: false },
    tls: undefined,
    tlsFiles: { cert: undefined, key: undefined, ca: undefined, mutual: false },
    requireToken: false,
    insecure: false,
    limits: { connections: 4096, perAddress: 512, requestsPerSecond: 2000 },
  });
});

test("the state is in the home directory unless the convention says otherwise", () => {
  expect(load([]).stateDirectory).toMatch(/\/\.local\/state\/sluice$/);
  expect(load([], { XDG_STATE_HOME: "relative" }).stateDirectory).toMatch(/\/\.local\/state\/sluice$/);
  expect(load(["--state", "/tmp/x"]).stateDirectory).toBe("/tmp/x");
});

test("--device may be repeated, and takes the place of the default", () => {
  expect(load(["--device", "cpu:4x2GiB", "--device", "null:2x16GiB"]).devices).toEqual(["cpu:4x2GiB", "null:2x16GiB"]);
});

test("the command line wins over the config file, which wins over defaults", () => {
  const file = configFile({ listen: "127.0.0.1:1000", grace: "2m", device: ["null"], "spare-executors": 3 });
  const config = load(["--config", file, "--grace", "5s"]);
  expect(config).toMatchObject({
    listen: { host: "127.0.0.1", port: 1000 },
    graceMs: 5_000,
    devices: ["null"],
    spareExecutors: 3,
    heartbeatTimeoutMs: 30_000,
  });
});

test("how the queue decides and what devices are labelled can be set by both", () => {
  const file = configFile({ label: ["zone=a"], "usage-half-life": "2h", "queue-entries": 5, preemption: true });
  const config = load(["--config", file, "--policy", "spread", "--queue-passes", "3", "--preemption-grace", "5s"]);
  expect(config).toMatchObject({
    labels: { zone: "a" },
    policy: "spread",
    pool: { usageHalfLifeMs: 7_200_000, queueEntriesMax: 5, passesMax: 3, preemption: true, preemptionGraceMs: 5_000 },
  });
  expect(load(["--label", "zone=a", "--label", "rack=4=b"]).labels).toEqual({ zone: "a", rack: "4=b" });
  const preemptions = [["--preemption"], ["--preemption", "end"], ["--preemption", "suspend"]].map((args) =>
    load(args),
  );
  expect(preemptions.map(({ pool }) => pool.preemption)).toEqual([true, true, "suspend"]);
  expect(load(["--config", configFile({ preemption: "suspend" })]).pool.preemption).toBe("suspend");
  expect(() => load(["--preemption", "kill"])).toThrow("The option [preemption] is one of [end, suspend], not [kill].");
  const classes = load(["--priority-class", "urgent=80", "--priority-class", "low=-5"]).priorityClasses;
  expect([...classes]).toEqual([
    ["low", -5],
    ["normal", 0],
    ["high", 50],
    ["urgent", 80],
  ]);
});

test("addresses of version 6 stand in brackets", () => {
  expect(load(["--listen", "[::1]:0"]).listen).toEqual({ host: "::1", port: 0 });
});

test.each([
  [["--listen", "7460"], "[listen] is HOST:PORT"],
  [["--listen", "127.0.0.1:70000"], "[127.0.0.1:70000]"],
  [["--listen", "::1:7460"], "[::1:7460]"],
  [["--label", "zone"], "[zone]"],
  [["--label", "zo ne=a"], "[zo ne=a]"],
  [["--usage-half-life", "1ms"], "[usage-half-life]"],
  [["--queue-entries", "-1"], "[queue-entries]"],
  [["--queue-passes", "many"], "[many]"],
  [["--priority-class", "urgent"], "[urgent]"],
  [["--priority-class", "urgent=101"], "[urgent=101]"],
  [["--priority-class", "7=7"], "[7=7]"],
  [["--data", "[localhost]:1"], "[[localhost]:1]"],
  [["--grace", "30"], "[grace] is wrong"],
  [["--grace", "60d"], "above 24 days"],
  [["--kernel-timeout", "soon"], "[kernel-timeout]"],
  [["--heartbeat-timeout", "10ms"], "below 100ms"],
  [["--spare-executors", "-1"], "[spare-executors]"],
  [["--spare-executors", "1000"], "[1000]"],
  [["--state", ""], "[state]"],
  [["--state", "--insecure"], "[state] is text, not [--insecure]"],
  [["--config", "/nonexistent/sluice.json"], "[/nonexistent/sluice.json] cannot be read"],
])("%j is refused, saying [%s]", (args, words) => {
  expect(() => load(args)).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  expect(() => load(args)).toThrow(words);
});

test.each([
  [{ lisen: "x" }, "unknown keys [lisen]"],
  [{ config: "other.json" }, "unknown keys [config]"],
  [{ kernelTimeout: "1s" }, "unknown keys [kernelTimeout]"],
  [[], "holds no JSON object"],
  ["{", "is not JSON"],
  [{ grace: { s: 1 } }, '[grace] is text, not [{"s":1}]'],
  [{ state: "  " }, "[state] is text, not [  ]"],
  [{ listen: 7460 }, "[listen] is text, not [7460]"],
  [{ device: [] }, "[device] names no device"],
  [{ device: [1] }, "[device] is text"],
  [{ insecure: "yes" }, "[insecure] is true or false"],
  [{ "log-level": "loud" }, "[log-level] is one of"],
])("the config file %j is refused, saying [%s]", (content, words) => {
  expect(() => load(["--config", configFile(content)])).toThrow(words);
});

test("a key that is given for a config file is not quoted", () => {
  const text = "-----BEGIN PRIVATE KEY-----\nhunter2";
  expect(() => load(["--config", configFile(text)])).toThrow(/^The config file \[[^\]]*\] is not JSON\.$/);
});

test.each([
  ["--listen", "0.0.0.0:7460"],
  ["--data", "0.0.0.0:7461"],
  ["--listen", "[::]:7460"],
  ["--data", "192.168.1.5:7461"],
  ["--listen", "gpu.example.org:7460"],
  ["--listen", "127.0.0.1.example.org:7460"],
])("%s %s is refused without --insecure, naming the port and why", (option, address) => {
  expect(() => load([option, address])).toThrow(
    new RegExp(`\\[${option.slice(2)}\\] binds .*:746[01]\\].*no TLS.*--insecure`),
  );
  expect(load([option, address, "--insecure"])).toBeDefined();
});

test.each(["127.0.0.1:0", "127.1.2.3:5", "localhost:0", "[::1]:0"])("%s is loopback", (address) => {
  expect(load(["--listen", address, "--data", address])).toBeDefined();
});

test("the memory of suspended leases is saved below the state directory, or where the admin says", () => {
  expect(load([]).suspendDirectory).toBeUndefined();
  expect(load(["--suspend-dir", "/scratch/saved"]).suspendDirectory).toBe("/scratch/saved");
});

test("what tenants send is kept in a folder of each, of a given size, in one for all, or not at all", () => {
  expect(load(["--cache-bytes", "1.5GiB", "--shared-cache"]).cache).toEqual({
    bytesMax: 1.5 * 1024 ** 3,
    shared: true,
  });
  expect(() => load(["--cache-bytes", "much"])).toThrow(/\[cache-bytes\] is wrong/);
  const cachesOf = (...args: string[]) => tenantCaches(load(["--state", "/state", ...args]));
  const [first, second] = [cachesOf()("physics/../.."), cachesOf()("biology")];
  expect(first?.directory).toMatch(/^\/state\/cache\/[0-9a-f]{32}$/);
  expect(first?.directory).not.toBe(second?.directory);
  expect(cachesOf("--shared-cache")("physics")).toEqual({ directory: "/state/cache/shared", bytesMax: 4 * 1024 ** 3 });
  expect(cachesOf("--cache-bytes", "0")("physics")).toBeUndefined();
});
