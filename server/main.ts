/**
 * `sluice serve`: puts the rooms together, says when it is ready, and ends in order. The only file that knows every room. Its
 * options are those of DESIGN's doors; stdout carries the readiness line and nothing else.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { Server as GrpcServer, logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { CommanderError } from "commander";
import type { Logger } from "pino";
import { contract } from "../proto/load.ts";
import { type ErrorCode, SluiceError, toSluiceError, wordsOf } from "../shared/errors.ts";
import { printable, printableComplaint } from "../shared/printable.ts";
import { Access } from "./access/access.ts";
import { ConnectionLimit } from "./access/connection-limit.ts";
import { makeFirstToken } from "./access/first-token.ts";
import { GrpcListener, grpcBounds } from "./access/grpc-listener.ts";
import { hostMemoryWarnings } from "./access/host-memory.ts";
import { certificateEndsAt, readTls } from "./access/tls.ts";
import { openingWarnings } from "./access/warnings.ts";
import { AdminPort } from "./admin/admin-port.ts";
import { Metrics } from "./admin/metrics.ts";
import type { BridgedService } from "./admin/rpc-bridge.ts";
import { readOptions } from "./command-line.ts";
import { type Config, type Endpoint, loadConfig, reachableAddresses } from "./config.ts";
import { adminService } from "./control/admin-service.ts";
import { Broker } from "./control/broker.ts";
import type { PooledDevice } from "./control/broker-options.ts";
import { systemClock } from "./control/clock.ts";
import { History } from "./control/history.ts";
import { pastFor } from "./control/history-series.ts";
import { together } from "./control/pool-observer.ts";
import { poolService } from "./control/pool-service.ts";
import { PoolWatch } from "./control/pool-watch.ts";
import { StandardServices } from "./control/standard-services.ts";
import type { DeviceDescription, DeviceHealth } from "./device/device.ts";
import { Hangups, nextSignal, npmGone, parentGone } from "./ending.ts";
import { ControlFolders } from "./executor/control-folder.ts";
import { ExecutorPool } from "./executor/executor-pool.ts";
import { makeTurnFiles } from "./executor/turn-page.ts";
import { DeviceMonitor } from "./health/device-monitor.ts";
import { isHardware, measureDevices, probeDevice } from "./health/device-probe.ts";
import { takeInventory } from "./inventory.ts";
import { createLog } from "./log.ts";
import { packageVersion } from "./package-files.ts";
import { Readiness } from "./readiness.ts";
import { findLastRun } from "./restart.ts";
import { DataDoors } from "./session/data-doors.ts";
import { LeaseSessions } from "./session/lease-sessions.ts";
import { tenantCaches } from "./session/tenant-caches.ts";
import { lockState } from "./state-lock.ts";
import { HistoryStore } from "./store/history-store.ts";
import { usageByTenant } from "./store/ledger.ts";
import { LedgerKeeper } from "./store/ledger-keeper.ts";
import { Settings } from "./store/settings.ts";
import { Store } from "./store/store.ts";

const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** How long the last words of gRPC streams may take at the end. */
const GRPC_FAREWELL_MS = 1_000;

/**
 * Runs the server until it is told to stop. `argv` are the arguments behind `serve`.
 * Returns the exit code: 0 after a stop or help, 2 for bad usage, 1 when the server cannot start.
 */
export async function serve(argv: readonly string[]): Promise<number> {
  let config: Config;
  try {
    config = loadConfig(readOptions(argv), process.env);
  } catch (error) {
    // Commander has said what is wrong, or has shown the help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    return complain(error);
  }
  try {
    await run(config);
    return EXIT_OK;
  } catch (error) {
    return complain(error);
  } finally {
    // Or the channel to a parent would keep the process.
    if (process.connected) process.disconnect();
  }
}

function complain(cause: unknown): number {
  const error = toSluiceError(cause);
  // Of other failures the message says itself what is to be done.
  const remedy = error.code === "STORE_UNREADABLE" ? ` ${error.remedy}` : "";
  process.stderr.write(`sluice serve: ${printableComplaint(printable(error.message + remedy))}\n`);
  return error.code === "BAD_ARGUMENT" ? EXIT_USAGE : EXIT_FAILED;
}

/** Starts everything, waits for a signal, and ends everything. */
async function run(config: Config): Promise<void> {
  // What goes wrong is told once, in our words.
  setLogVerbosity(logVerbosity.NONE);
  const log = await createLog(config.logLevel);
  const here = { hostname: hostname(), address: config.listen.host, labels: config.labels };
  const problems: DeviceHealth[] = [];
  const devices = await takeInventory(config.devices, here, {
    tell: (why) => log.info({ why }, "Lends a cpu device for want of a GPU"),
    skip: (spec, why) => log.warn({ spec, why }, "Lends no device of a SPEC"),
    remark: (sentence) => log.warn(sentence),
    measure: (found) => measureDevices(found, { clock: systemClock, log, onProblem: (each) => problems.push(each) }),
  });
  for (const warning of hostMemoryWarnings(devices, config)) log.warn(warning);
  const unlock = await lockState(config.stateDirectory);
  try {
    await runWithState(config, { devices, problems, log });
  } finally {
    unlock();
  }
}

async function runWithState(
  config: Config,
  { devices, problems, log }: Omit<DaemonOptions, "config" | "folders" | "store">,
): Promise<void> {
  const store = new Store(config.stateDirectory, (error) => log.error({ error: error.message }, "A late write fails"));
  try {
    const folders = new ControlFolders(config.stateDirectory);
    const daemon = new Daemon({ config, devices, problems, folders, log, store });
    try {
      await daemon.restore();
      await daemon.start();
      await daemon.untilStopped();
    } finally {
      await daemon.close();
    }
    log.info("Stopped");
  } finally {
    store.close();
  }
}

interface DaemonOptions {
  readonly config: Config;
  readonly devices: readonly PooledDevice[];
  /** What the first look at them has found. */
  readonly problems: readonly DeviceHealth[];
  readonly folders: ControlFolders;
  readonly log: Logger;
  readonly store: Store;
}

/** The rooms, put together. */
class Daemon {
  readonly #config: Config;
  readonly #problems: readonly DeviceHealth[];
  readonly #log: Logger;
  readonly #store: Store;
  readonly #settings: Settings;
  readonly #folders: ControlFolders;
  readonly #executors: ExecutorPool;
  readonly #sessions: LeaseSessions;
  readonly #broker: Broker;
  readonly #dataDoors: DataDoors;
  readonly #access: Access;
  readonly #watch: PoolWatch;
  readonly #ledgerKeeper: LedgerKeeper;
  readonly #history: History;
  readonly #monitor: DeviceMonitor;
  readonly #metrics: Metrics;
  readonly #standard = new StandardServices();
  readonly #readiness = new Readiness(this.#standard);
  #adminPort: AdminPort | undefined;
  #hangups: Hangups | undefined;
  /** Watched from the beginning: it may be gone before the doors are open. */
  readonly #starterGone = Promise.race([parentGone(), npmGone()]);
  readonly #grpc = new GrpcServer(grpcBounds);
  readonly #grpcListener: GrpcListener;

  constructor({ config, devices, problems, folders, log, store }: DaemonOptions) {
    this.#config = config;
    this.#problems = problems;
    this.#log = log;
    this.#store = store;
    this.#folders = folders;
    this.#settings = new Settings(store);
    store.watch((isWritable) => this.#readiness.storeWritable(isWritable));
    const { limits, tls } = config;
    this.#access = accessFor(config, { store, log });
    this.#grpcListener = new GrpcListener({ server: this.#grpc, tls, limit: new ConnectionLimit(limits) });
    const onLog = (level: "debug" | "info" | "warn" | "error", message: string): void => log[level](message);
    const deviceKinds = [...new Set(devices.map(({ kind }) => kind))];
    this.#executors = new ExecutorPool({ folders, spares: config.spareExecutors, deviceKinds, onLog });
    this.#metrics = new Metrics({ version: packageVersion(), priorityClasses: config.priorityClasses });
    this.#history = new History({ store: new HistoryStore(store), clock: systemClock });
    this.#ledgerKeeper = ledgerKeeperFor(config, { store, log });
    this.#broker = new Broker({
      devices,
      heartbeatTimeoutMs: config.heartbeatTimeoutMs,
      policy: config.policy,
      pool: config.pool,
      store,
      reservations: this.#settings,
      clock: systemClock,
      randomBytes,
      ...makeTurnFiles(config.stateDirectory, devices, config.computePolicy),
      resizeSlice: (leaseId, index, bytes) => this.#sessions.resize(leaseId, index, bytes),
      ...{ park: (id: string) => this.#sessions.park(id), unpark: (id: string) => this.#sessions.unpark(id) },
      endSessions: (leaseId, code, message) => this.#endSessions(leaseId, code, message),
      // It stays closed over a restart.
      onUnhealthy: (deviceId, message) => this.#settings.saveCordon(deviceId, { code: "DEVICE_UNHEALTHY", message }),
      observer: together(this.#metrics.observer, this.#history.observer),
      onUncordoned: (deviceId) => this.#monitor.acknowledge(deviceId),
      log,
    });
    this.#metrics.watch(this.#broker);
    this.#watch = new PoolWatch({
      broker: this.#broker,
      clock: systemClock,
      visibility: this.#access.visibility,
    });
    this.#monitor = new DeviceMonitor({
      devices,
      intervalMs: config.healthIntervalMs,
      clock: systemClock,
      onHealth: (reports) => {
        for (const health of reports) this.#broker.devices.report(health);
      },
      onLog,
    });
    const { kernelTimeoutMs, orphanTimeoutMs, sessionGraceMs, suspendDirectory } = config;
    this.#sessions = new LeaseSessions({
      executors: this.#executors,
      ...{ kernelTimeoutMs, orphanTimeoutMs, sessionGraceMs, suspendDirectory },
      cacheOf: tenantCaches(config),
      events: this.#broker,
      onLog,
    });
    this.#dataDoors = new DataDoors({
      leases: this.#broker,
      serverVersion: packageVersion(),
      tls,
      stateDirectory: config.stateDirectory,
      onProven: (connection) => this.#sessions.attach(connection),
      onLog,
    });
  }

  /** What an admin decided before the restart; a cordon of a device that is away waits for it in the store. */
  #restoreSettings(): void {
    for (const reservation of this.#settings.reservations()) this.#broker.reservations.restore(reservation);
    for (const { tenant, ...terms } of this.#settings.tenants()) this.#broker.setTenant(tenant, terms);
    const here = new Set(this.#broker.devices.list().map(({ description }) => description.id));
    for (const { deviceId, ...cordon } of this.#settings.cordons()) {
      if (here.has(deviceId)) this.#broker.devices.cordon(deviceId, cordon);
    }
  }

  /** Ends a lease's executor. Devices that it may have left in a bad state are tried before their memory is lent again. */
  async #endSessions(leaseId: string, code: ErrorCode, message: string): Promise<void> {
    const used = new Set(this.#broker.deviceIdsOf(leaseId));
    const left = await this.#sessions.end(leaseId, code, message);
    if (left !== "killed" && code !== "EXECUTOR_FAILED") return;
    const suspects = this.#broker.devices.list().filter(({ description }) => used.has(description.id));
    await Promise.all(suspects.map(({ description }) => this.#tryDevice(description)));
  }

  async #tryDevice(device: DeviceDescription): Promise<void> {
    if (!isHardware(device)) return;
    const probed = await probeDevice(device, { clock: systemClock });
    if (probed.works) return;
    const known = this.#broker.devices.healthOf(device.id) ?? { throttling: [] };
    this.#broker.devices.report({ ...known, id: device.id, problems: [probed.problem] });
  }

  /** Takes up what the server before this one has left. @throws SluiceError, STORE_UNREADABLE for what makes no sense */
  async restore(): Promise<void> {
    try {
      this.#restoreSettings();
      for (const health of this.#problems) this.#broker.devices.report(health);
      await this.#restoreLastRun();
    } catch (error) {
      if (error instanceof SluiceError) throw error;
      const { stateDirectory } = this.#config;
      const message = `What is in the state directory [${stateDirectory}] makes no sense [${wordsOf(error)}].`;
      throw new SluiceError("STORE_UNREADABLE", message, { cause: error });
    }
  }

  async #restoreLastRun(): Promise<void> {
    const { state, executors } = await findLastRun({
      folders: this.#folders,
      store: this.#store,
      now: systemClock.now(),
      usageHalfLifeMs: this.#config.pool.usageHalfLifeMs ?? 0,
      log: this.#log,
    });
    this.#sessions.adopt(executors, () => this.#broker.restore(state));
  }

  /** Opens the doors and says so on stdout. */
  async start(): Promise<void> {
    const config = this.#config;
    this.#hangups = new Hangups(config.tls === undefined ? undefined : this.#renewCertificates);
    this.#makeFirstToken();
    this.#warnOfOpening();
    const opened = await bound("data", config.data, () => this.#dataDoors.open(config.data));
    const data = written({ host: config.data.host, port: opened.port });
    const services = this.#services(opened.endpoints);
    for (const { service, handlers } of services) this.#grpc.addService(service, handlers);
    this.#standard.addTo(this.#grpc);
    const grpcPort = await bound("listen", config.listen, () => this.#grpcListener.listen(config.listen));
    const grpc = written({ host: config.listen.host, port: grpcPort });
    const admin = await this.#openAdminPort(services, grpc);
    process.stdout.write(`sluice ready grpc=${grpc} data=${data} admin=${admin}\n`);
    this.#log.info(
      { grpc, data, admin, devices: this.#broker.devices.list().map(({ description }) => description.id) },
      "Ready",
    );
    this.#readiness.serving();
    this.#executors.warm(0);
    this.#monitor.start();
    this.#history.start(this.#broker);
    this.#ledgerKeeper.start();
  }

  /** Reads the certificates' files again: new connections get what they hold now. Nothing changes unless all of them are good. */
  readonly #renewCertificates = (): void => {
    try {
      const tls = readTls(this.#config.tlsFiles)!;
      for (const room of [this.#dataDoors, this.#grpcListener, this.#adminPort, this.#access]) room?.renew(tls);
      const endsAt = certificateEndsAt(tls);
      this.#log.info({ until: new Date(endsAt).toISOString() }, "New connections get the certificate as it is now");
      const opening = { reachable: [], certificateEndsAt: endsAt, isOpen: false };
      for (const warning of openingWarnings(opening, systemClock.now())) this.#log.warn(warning);
    } catch (error) {
      this.#log.error({ error: toSluiceError(error).message }, "The certificate stays as it was");
    }
  };

  /** The services of gRPC, each behind the gate. */
  #services(dataEndpoints: readonly string[]): BridgedService[] {
    const pool = poolService({
      broker: this.#broker,
      visibility: this.#access.visibility,
      watch: this.#watch,
      history: this.#history,
      clock: systemClock,
      serverVersion: packageVersion(),
      serverId: randomUUID(),
      dataEndpoints,
      submit: this.#dataDoors.submit,
      heartbeatTimeoutMs: this.#config.heartbeatTimeoutMs,
      priorityClasses: this.#config.priorityClasses,
      onInternalError: (error) => this.#log.error(error, "A request fails inside the server"),
    });
    const admin = adminService({
      broker: this.#broker,
      clock: systemClock,
      tokens: this.#access.tokens,
      events: this.#access.events,
      trust: this.#access.trust,
      store: this.#settings,
      priorityClasses: this.#config.priorityClasses,
      usage: (span, tenant) => usageByTenant(this.#store, span, { now: systemClock.now(), tenant }),
      onInternalError: (error) => this.#log.error(error, "An admin's call fails inside the server"),
    });
    const { PoolService, AdminService } = contract;
    return [
      { service: PoolService.service, handlers: this.#access.guard(PoolService.service, pool, "tenant") },
      {
        service: AdminService.service,
        handlers: this.#access.guard(AdminService.service, admin, "admin"),
        firstOfStreams: true,
      },
    ];
  }

  /** Says how the server is opened, if that is worth a word. */
  #warnOfOpening(): void {
    const { tls } = this.#config;
    const opening = {
      reachable: reachableAddresses(this.#config),
      certificateEndsAt: tls && certificateEndsAt(tls),
      isOpen: this.#access.tokens.open,
    };
    for (const warning of openingWarnings(opening, systemClock.now())) this.#log.warn(warning);
  }

  /** Without an admin's token nobody could make the others. */
  #makeFirstToken(): void {
    const { tokens: gate, audit } = this.#access;
    makeFirstToken({
      ...{ gate, audit, stateDirectory: this.#config.stateDirectory },
      terminal: process.stderr.isTTY ? process.stderr : undefined,
      tell: (file) => this.#log.warn({ file }, "No admin has a token: the file holds one"),
    });
  }

  /** Returns its address for browsers. */
  async #openAdminPort(services: readonly BridgedService[], grpcAddress: string): Promise<string> {
    const { admin } = this.#config;
    const adminPort = new AdminPort({
      watch: this.#watch,
      metrics: this.#metrics,
      past: (caller, question) => pastFor(this.#history, caller, question),
      whyNotReady: () => this.#readiness.whyNot,
      access: this.#access,
      tls: this.#config.tls,
      limit: new ConnectionLimit(this.#config.limits),
      services,
      serverVersion: packageVersion(),
      grpcAddress,
      onInternalError: (error) => this.#log.error(error, "A request of the dashboard fails inside the server"),
    });
    this.#adminPort = adminPort;
    const port = await bound("admin", admin, () => adminPort.listen(admin));
    return `${this.#config.tls === undefined ? "http" : "https"}://${written({ host: admin.host, port })}`;
  }

  /**
   * Waits for SIGTERM or SIGINT, or the end of the parent that it was forked by, of npx, or of its terminal, and lets running leases finish
   * within the grace; a second signal ends at once. SIGUSR2 leaves leases, queue and executors to the next server at once, as a crash does.
   */
  async untilStopped(): Promise<void> {
    const { graceMs } = this.#config;
    const signals = nextSignal("SIGTERM", "SIGINT", "SIGUSR2");
    const signal = await Promise.race([signals, this.#hangups!.ending, this.#starterGone]);
    if (signal === "SIGUSR2") {
      this.#readiness.stopping();
      this.#log.info({ signal }, "Leaving: leases go on, for the next server");
      return;
    }
    // Before anything is said: whoever reads of the first may send the second at once.
    const second = nextSignal("SIGTERM", "SIGINT").then((name) => {
      this.#log.warn({ signal: name }, "Stopping at once");
      this.#sessions.kill();
    });
    this.#log.info({ signal, graceMs }, "Stopping: no new leases, running ones have until the grace is over");
    this.#readiness.stopping();
    const stopped = this.#broker.shutDown(graceMs);
    await Promise.race([stopped, second]);
  }

  /** Closes every door that is open and ends the spare executors. */
  async close(): Promise<void> {
    this.#hangups?.close();
    await this.#monitor.close();
    this.#dataDoors.close();
    this.#grpcListener.close();
    this.#access.close();
    this.#adminPort?.close();
    this.#watch.close(new SluiceError("SHUTTING_DOWN", "The server stops."));
    this.#history.close();
    this.#ledgerKeeper.close();
    this.#broker.close();
    await this.#executors.close();
    this.#sessions.leave();
    // Streams that are left are told that the server goes; what takes longer is cut.
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, GRPC_FAREWELL_MS);
      this.#grpc.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#grpc.forceShutdown();
  }
}

interface Keeping {
  readonly store: Store;
  readonly log: Logger;
}

const accessFor = ({ requireToken, limits, tls }: Config, { store, log }: Keeping): Access =>
  new Access({
    ...{ store, clock: systemClock, randomBytes, requireToken, requestsPerSecond: limits.requestsPerSecond, tls },
    onUnwritten: (event, { message }) =>
      log.error({ ...event, error: message }, "An action is done that cannot be written into the audit log yet"),
  });

const ledgerKeeperFor = ({ ledgerKeptMs, pool }: Config, { store, log }: Keeping): LedgerKeeper =>
  new LedgerKeeper({
    store,
    clock: systemClock,
    keepMs: ledgerKeptMs,
    halfLifeMs: pool.usageHalfLifeMs ?? 0,
    onError: (error) => log.warn(error.message),
  });

const written = ({ host, port }: Endpoint): string => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);

/** Binds a port, or says in one sentence which one and why not. */
async function bound<T>(option: string, address: Endpoint, bind: () => Promise<T>): Promise<T> {
  try {
    return await bind();
  } catch (error) {
    const said = wordsOf(error);
    const why = said.includes("EADDRINUSE") ? "it is in use" : said;
    throw new SluiceError(
      "SERVER_UNREACHABLE",
      `The address [${written(address)}] of [${option}] cannot be bound [${why}].`,
    );
  }
}
