/**
 * What `sluice serve` is told: options of the command line over those of the config file over defaults, checked, with errors
 * that name the option and its value. Reads the config file and the files that options name, and touches nothing else.
 */
import { readFileSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { SluiceError, toSluiceError, wordsOf } from "../shared/errors.ts";
import { HEARTBEAT_TIMEOUT_MS, QUEUE_ENTRIES_MAX, SESSION_GRACE_MS } from "../shared/limits.ts";
import { parseDuration, parseSize } from "../shared/units.ts";
import { AWAKE_VARIABLE, coresToUse } from "../shared/wakefulness.ts";
import type { ConnectionBounds } from "./access/connection-limit.ts";
import { readTls, type TlsConfig, type TlsFiles } from "./access/tls.ts";
import { type ComputePolicy, computePolicies } from "./executor/turns.ts";
import { type Labels, parseLabel } from "./inventory.ts";
import { type LogLevel, logLevels } from "./log.ts";
import { type PoolOptions, type PoolRequest, PRIORITY_MAX } from "./pool/types.ts";

export interface Endpoint {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
}

/** As `sluice serve --policy` takes them. */
export const policies = ["pack", "spread", "topology"] as const satisfies PoolRequest["policy"][];
type Policy = (typeof policies)[number];

const poolOptionNames = [
  "usageHalfLifeMs",
  "queueEntriesMax",
  "passesMax",
  "preemption",
  "preemptionGraceMs",
  "idleMs",
  "idleNoticeMs",
] as const satisfies (keyof PoolOptions)[];

export interface Config {
  readonly listen: Endpoint;
  readonly data: Endpoint;
  readonly admin: Endpoint;
  readonly stateDirectory: string;
  /** SPECs as given; at least one. */
  readonly devices: readonly string[];
  /** Of every device. */
  readonly labels: Labels;
  /** Where a request names none. */
  readonly policy: Policy;
  /** Priorities by their names. */
  readonly priorityClasses: ReadonlyMap<string, number>;
  /** How the queue decides. */
  readonly computePolicy: ComputePolicy;
  readonly pool: Pick<PoolOptions, (typeof poolOptionNames)[number]>;
  readonly graceMs: number;
  /** How long executors go on without a server. */
  readonly orphanTimeoutMs: number;
  readonly sessionGraceMs: number;
  readonly kernelTimeoutMs: number;
  readonly heartbeatTimeoutMs: number;
  /** How often the devices are asked how they are. */
  readonly healthIntervalMs: number;
  readonly logLevel: LogLevel;
  readonly spareExecutors: number;
  /** How long leases that have ended are kept; 0 for ever. */
  readonly ledgerKeptMs: number;
  /** What clients send is kept, so that it need not be sent again: for each tenant, or in one folder for all. */
  readonly cache: {
    /** Of each folder; 0 keeps nothing. */
    readonly bytesMax: number;
    readonly shared: boolean;
  };
  /** Where the memory of suspended leases is saved; undefined: below the state directory. */
  readonly suspendDirectory: string | undefined;
  /** What every port uses; undefined: connections are not encrypted. */
  readonly tls: TlsConfig | undefined;
  /** Where that was read from, to read it again. */
  readonly tlsFiles: TlsFiles;
  /** Whether to ask for a token although there was none yet: by option, and where other machines can reach a port. */
  readonly requireToken: boolean;
  /** Whether the admin accepts what is not safe with people who do not trust each other. */
  readonly insecure: boolean;
  readonly limits: Limits;
}

/** Bounds against floods, for each port where it says nothing else. */
export interface Limits extends ConnectionBounds {
  /** Requests of one token, or of one address without tokens, on average; a burst may be twice that. 0: no limit. */
  readonly requestsPerSecond: number;
}

/** The options by their names on the command line, which are also the keys of the config file. */
export interface RawOptions {
  listen?: unknown;
  data?: unknown;
  admin?: unknown;
  state?: unknown;
  device?: unknown;
  label?: unknown;
  policy?: unknown;
  "priority-class"?: unknown;
  "usage-half-life"?: unknown;
  "queue-entries"?: unknown;
  "queue-passes"?: unknown;
  preemption?: unknown;
  "preemption-grace"?: unknown;
  "idle-timeout"?: unknown;
  "idle-notice"?: unknown;
  grace?: unknown;
  "compute-policy"?: unknown;
  "orphan-timeout"?: unknown;
  "session-grace"?: unknown;
  "kernel-timeout"?: unknown;
  "heartbeat-timeout"?: unknown;
  "health-interval"?: unknown;
  "log-level"?: unknown;
  "spare-executors"?: unknown;
  "ledger-kept"?: unknown;
  "tls-cert"?: unknown;
  "tls-key"?: unknown;
  "tls-ca"?: unknown;
  "tls-mutual"?: unknown;
  "cache-bytes"?: unknown;
  "shared-cache"?: unknown;
  "suspend-dir"?: unknown;
  "require-token"?: unknown;
  connections?: unknown;
  "connections-per-address"?: unknown;
  "requests-per-second"?: unknown;
  insecure?: unknown;
}

const defaults: RawOptions = {
  listen: "127.0.0.1:7460",
  data: "127.0.0.1:7461",
  admin: "127.0.0.1:7462",
  device: ["auto"],
  label: [],
  policy: "pack",
  "priority-class": [],
  "usage-half-life": "1d",
  "queue-entries": QUEUE_ENTRIES_MAX,
  "queue-passes": 16,
  preemption: false,
  "preemption-grace": "30s",
  "idle-timeout": "0s",
  "idle-notice": "1m",
  "compute-policy": "guaranteed",
  grace: "30s",
  // Long enough to upgrade or repair a server by hand; short enough that nobody's memory is held for ever by work that nobody can end.
  "orphan-timeout": "10m",
  "session-grace": `${SESSION_GRACE_MS}ms`,
  "kernel-timeout": "5m",
  "heartbeat-timeout": `${HEARTBEAT_TIMEOUT_MS}ms`,
  "health-interval": "5s",
  "log-level": "info",
  "spare-executors": 1,
  // A year, and time to write its bill.
  "ledger-kept": "400d",
  "cache-bytes": "4GiB",
  "shared-cache": false,
  "tls-mutual": false,
  "require-token": false,
  connections: 4096,
  "connections-per-address": 512,
  "requests-per-second": 2000,
  insecure: false,
};

const optionNames = new Set([...Object.keys(defaults), "state", "suspend-dir", "tls-cert", "tls-key", "tls-ca"]);
const SPARE_EXECUTORS_MAX = 64;
/** Beyond it the first of the queue waits practically for ever. */
const QUEUE_PASSES_MAX = 10_000;
/** Beyond what one process can have open. */
const CONNECTIONS_MAX = 100_000;
const REQUESTS_MAX = 1_000_000;
/** Timers of Node reach no further, and none of these times makes sense beyond it. */
const DURATION_MS_MAX = 2 ** 31 - 1;
const DAY_MS = 86_400_000;
const LEDGER_DAYS_MAX = 36_500;

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** A value of the config file: as it stands there. */
const shown = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

/** @throws SluiceError BAD_ARGUMENT naming what is wrong and where */
export function loadConfig(commandLine: RawOptions & { config?: string }, env: NodeJS.ProcessEnv): Config {
  // Executors go by it; what is wrong is better told here.
  coresToUse(env[AWAKE_VARIABLE], 0);
  const { config: file, ...given } = commandLine;
  const fromFile = file === undefined ? {} : readConfigFile(file);
  const raw = { ...defaults, ...fromFile, ...given };
  const config: Config = {
    listen: endpointOf("listen", raw.listen),
    data: endpointOf("data", raw.data),
    admin: endpointOf("admin", raw.admin),
    stateDirectory: stateDirectoryOf(raw.state, env),
    devices: devicesOf(raw.device),
    labels: labelsOf(raw.label),
    policy: oneOf("policy", policies, raw.policy),
    priorityClasses: priorityClassesOf(raw["priority-class"]),
    computePolicy: oneOf("compute-policy", computePolicies, raw["compute-policy"]),
    pool: poolOf(raw),
    graceMs: durationOf("grace", raw.grace),
    orphanTimeoutMs: durationOf("orphan-timeout", raw["orphan-timeout"]),
    sessionGraceMs: durationOf("session-grace", raw["session-grace"]),
    kernelTimeoutMs: durationOf("kernel-timeout", raw["kernel-timeout"]),
    heartbeatTimeoutMs: durationOf("heartbeat-timeout", raw["heartbeat-timeout"]),
    healthIntervalMs: durationOf("health-interval", raw["health-interval"]),
    logLevel: oneOf("log-level", logLevels, raw["log-level"]),
    spareExecutors: countOf("spare-executors", raw["spare-executors"], { min: 0, max: SPARE_EXECUTORS_MAX }),
    ledgerKeptMs: durationOf("ledger-kept", raw["ledger-kept"], LEDGER_DAYS_MAX * DAY_MS),
    cache: {
      bytesMax: sizeOf("cache-bytes", raw["cache-bytes"]),
      shared: switchOf("shared-cache", raw["shared-cache"]),
    },
    suspendDirectory: raw["suspend-dir"] === undefined ? undefined : resolve(textOf("suspend-dir", raw["suspend-dir"])),
    tls: readTls(tlsFilesOf(raw)),
    tlsFiles: tlsFilesOf(raw),
    requireToken: switchOf("require-token", raw["require-token"]),
    insecure: switchOf("insecure", raw.insecure),
    limits: {
      connections: countOf("connections", raw.connections, { min: 1, max: CONNECTIONS_MAX }),
      perAddress: countOf("connections-per-address", raw["connections-per-address"], { min: 1, max: CONNECTIONS_MAX }),
      requestsPerSecond: countOf("requests-per-second", raw["requests-per-second"], { min: 0, max: REQUESTS_MAX }),
    },
  };
  if (config.heartbeatTimeoutMs < 100) throw bad("The option [heartbeat-timeout] is below 100ms.");
  if (config.healthIntervalMs < 100) throw bad("The option [health-interval] is below 100ms.");
  if (config.insecure) return config;
  requireLoopback(config);
  return reachableAddresses(config).length > 0 ? { ...config, requireToken: true } : config;
}

function readConfigFile(file: string): RawOptions {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw bad(`The config file [${file}] cannot be read [${wordsOf(error)}].`);
  }
  const parsed = parsedJson(text, file);
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw bad(`The config file [${file}] holds no JSON object.`);
  }
  const unknown = Object.keys(parsed).filter((key) => !optionNames.has(key));
  if (unknown.length > 0) {
    throw bad(
      `The config file [${file}] has the unknown keys [${unknown.join(", ")}]; known are [${[...optionNames].join(", ")}].`,
    );
  }
  return parsed;
}

/** What is no JSON is quoted by its parser, and may be a key or a token. */
function parsedJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw bad(`The config file [${file}] is not JSON.`);
  }
}

function textOf(name: string, value: unknown): string {
  // The next option in a value's place is none.
  if (typeof value !== "string" || value.trim() === "" || value.startsWith("--"))
    throw bad(`The option [${name}] is text, not [${shown(value)}].`);
  return value;
}

function endpointOf(name: string, value: unknown): Endpoint {
  const text = textOf(name, value);
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535 || (match?.[1] !== undefined && !isIPv6(host))) {
    throw bad(`The option [${name}] is HOST:PORT, like 127.0.0.1:7460 or [::1]:7460, and [${text}] is not.`);
  }
  return { host, port };
}

function isLoopback(host: string): boolean {
  if (isIPv4(host)) return host.startsWith("127.");
  return host === "::1" || host.toLowerCase() === "localhost";
}

const portsOf = ({ listen, data, admin }: Config) => Object.entries({ listen, data, admin });

/** The addresses that other machines can reach, HOST:PORT. */
export const reachableAddresses = (config: Config): string[] =>
  portsOf(config).flatMap(([, { host, port }]) => (isLoopback(host) ? [] : [`${host}:${port}`]));

/** Without TLS nobody but this machine's users may reach the server: tokens would travel in the clear. */
function requireLoopback(config: Config): void {
  if (config.tls !== undefined) return;
  for (const [name, { host, port }] of portsOf(config)) {
    if (isLoopback(host)) continue;
    throw bad(
      `The option [${name}] binds [${host}:${port}], which other machines can reach, and no TLS protects it. Give --tls-cert and --tls-key, bind to 127.0.0.1, or give --insecure to allow that.`,
    );
  }
}

function stateDirectoryOf(value: unknown, env: NodeJS.ProcessEnv): string {
  if (value !== undefined) return resolve(textOf("state", value));
  const base = env["XDG_STATE_HOME"];
  // The convention wants relative paths in it ignored.
  if (base?.startsWith("/")) return join(base, "sluice");
  const home = homedir();
  if (!home.startsWith("/"))
    throw bad(`The home directory is [${home}]: give --state a directory for the server's state.`);
  return join(home, ".local", "state", "sluice");
}

function devicesOf(value: unknown): readonly string[] {
  const specs = Array.isArray(value) ? value : [value];
  if (specs.length === 0) throw bad("The option [device] names no device.");
  return specs.map((spec) => textOf("device", spec));
}

/** `max` is what a timer can wait, unless nothing waits for it. */
function durationOf(name: string, value: unknown, max = DURATION_MS_MAX): number {
  const text = textOf(name, value);
  let milliseconds: number;
  try {
    milliseconds = parseDuration(text);
  } catch (error) {
    throw bad(`The option [${name}] is wrong: ${toSluiceError(error).message}`);
  }
  if (milliseconds > max) {
    throw bad(`The option [${name}] of [${text}] is above ${Math.floor(max / DAY_MS)} days.`);
  }
  return milliseconds;
}

function sizeOf(name: string, value: unknown): number {
  const text = typeof value === "number" ? String(value) : textOf(name, value);
  try {
    return parseSize(text);
  } catch (error) {
    throw bad(`The option [${name}] is wrong: ${toSluiceError(error).message}`);
  }
}

function labelsOf(value: unknown): Labels {
  const texts = Array.isArray(value) ? value : [value];
  return Object.fromEntries(texts.map((text) => parseLabel(textOf("label", text))));
}

/** Those that every server has unless its admin gives them other numbers. */
const priorityClasses = { low: -50, normal: 0, high: 50 } as const;
const PRIORITY_CLASSES_MAX = 100;

function priorityClassesOf(value: unknown): ReadonlyMap<string, number> {
  const classes = new Map<string, number>(Object.entries(priorityClasses));
  for (const each of Array.isArray(value) ? value : [value]) {
    const text = textOf("priority-class", each);
    const match = /^([A-Za-z][\w.-]{0,31})=(-?\d{1,3})$/.exec(text);
    const priority = Number(match?.[2]);
    if (match === null || Math.abs(priority) > PRIORITY_MAX) {
      throw bad(
        `The option [priority-class] is NAME=NUMBER, like urgent=80, the number from -${PRIORITY_MAX} to ${PRIORITY_MAX}, and [${text}] is not.`,
      );
    }
    classes.set(match[1]!, priority);
  }
  if (classes.size > PRIORITY_CLASSES_MAX) throw bad(`[${classes.size}] priority classes are more than [100].`);
  return classes;
}

function poolOf(raw: RawOptions): Config["pool"] {
  const usageHalfLifeMs = durationOf("usage-half-life", raw["usage-half-life"]);
  if (usageHalfLifeMs < 1000) throw bad("The option [usage-half-life] is below 1s.");
  return {
    usageHalfLifeMs,
    queueEntriesMax: countOf("queue-entries", raw["queue-entries"], { min: 0, max: QUEUE_ENTRIES_MAX }),
    passesMax: countOf("queue-passes", raw["queue-passes"], { min: 0, max: QUEUE_PASSES_MAX }),
    preemption: preemptionOf(raw.preemption),
    preemptionGraceMs: durationOf("preemption-grace", raw["preemption-grace"]),
    idleMs: durationOf("idle-timeout", raw["idle-timeout"]),
    idleNoticeMs: durationOf("idle-notice", raw["idle-notice"]),
  };
}

/** Without a word it ends leases, as `true` does in a file. */
function preemptionOf(value: unknown): boolean | "suspend" {
  if (typeof value === "boolean") return value;
  return oneOf("preemption", ["end", "suspend"], value) === "end" ? true : "suspend";
}

function tlsFilesOf(raw: RawOptions): TlsFiles {
  const fileOf = (name: "tls-cert" | "tls-key" | "tls-ca"): string | undefined =>
    raw[name] === undefined ? undefined : textOf(name, raw[name]);
  const mutual = switchOf("tls-mutual", raw["tls-mutual"]);
  return { cert: fileOf("tls-cert"), key: fileOf("tls-key"), ca: fileOf("tls-ca"), mutual };
}

function switchOf(name: string, value: unknown): boolean {
  if (typeof value !== "boolean") throw bad(`The option [${name}] is true or false, not [${shown(value)}].`);
  return value;
}

function oneOf<Word extends string>(name: string, words: readonly Word[], value: unknown): Word {
  const found = words.find((known) => known === value);
  if (found === undefined) throw bad(`The option [${name}] is one of [${words.join(", ")}], not [${shown(value)}].`);
  return found;
}

function countOf(name: string, value: unknown, { min, max }: { readonly min: number; readonly max: number }): number {
  const count = typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : value;
  if (typeof count !== "number" || !Number.isInteger(count) || count < min || count > max) {
    throw bad(`The option [${name}] is a whole number from ${min} to ${max}, not [${shown(value)}].`);
  }
  return count;
}
