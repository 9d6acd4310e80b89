/**
 * What the daemon tells Prometheus: names and units by its conventions, base units, counters that end in `_total`. Counters follow
 * what happens in the pool; gauges are read from it when they are asked for. The Grafana dashboard in grafana.json shows them.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Broker } from "../control/broker.ts";
import type { PoolObserver } from "../control/pool-observer.ts";
import { ANSWER_SECONDS_BOUNDS, BATCH_CALLS_BOUNDS } from "../executor/call-shape.ts";
import { COMPUTE_WHOLE } from "../pool/types.ts";
import { ReportedHistogram } from "./reported-histogram.ts";

/** Seconds between a request and its grant: from at once to days. */
const WAIT_SECONDS_BOUNDS = [0.001, 0.01, 0.1, 1, 10, 60, 300, 1_800, 3_600, 14_400, 86_400];
const LEASE_SECONDS_BOUNDS = [1, 10, 60, 300, 1_800, 3_600, 14_400, 86_400, 604_800];

export interface MetricsOptions {
  readonly version: string;
  readonly priorityClasses: ReadonlyMap<string, number>;
}

export class Metrics {
  readonly #registry = new Registry();
  /** What sets the gauges. */
  readonly #refreshers: (() => void)[] = [];
  readonly #classNames: ReadonlyMap<number, string>;
  readonly contentType = this.#registry.contentType;
  /** Counts for the broker. */
  readonly observer: PoolObserver;

  constructor({ version, priorityClasses }: MetricsOptions) {
    this.#classNames = new Map([...priorityClasses].map(([name, priority]) => [priority, name]));
    // Among them the delay of the event loop, which says whether the daemon keeps up.
    collectDefaultMetrics({ register: this.#registry });
    // Gauges that are named as counters, which Prometheus' own check of names refuses.
    for (const what of ["handles", "requests", "resources"])
      this.#registry.removeSingleMetric(`nodejs_active_${what}_total`);
    const about = this.#gauge("sluice_build_info", "Version of the server; always 1.", ["version"]);
    about.set({ version }, 1);
    this.observer = { ...this.#leaseCounters(), ...this.#callCounters() };
  }

  /** Reads the pool whenever the metrics are asked for. */
  watch(broker: Broker): void {
    this.#deviceGauges(broker);
    this.#healthGauges(broker);
    this.#leaseGauges(broker);
  }

  /** In the exposition format of Prometheus. */
  text(): Promise<string> {
    for (const refresh of this.#refreshers) refresh();
    return this.#registry.metrics();
  }

  /** A class by its name, any other priority by its number. */
  #className(priority: number): string {
    return this.#classNames.get(priority) ?? String(priority);
  }

  #leaseCounters(): Pick<PoolObserver, "granted" | "refused" | "ended"> {
    const registers = [this.#registry];
    const granted = new Counter({
      name: "sluice_leases_granted_total",
      help: "Leases granted.",
      labelNames: ["tenant", "class"],
      registers,
    });
    const refused = new Counter({
      name: "sluice_requests_refused_total",
      help: "Requests that ended without a lease, by the error's code.",
      labelNames: ["code"],
      registers,
    });
    const ended = new Counter({
      name: "sluice_leases_ended_total",
      help: "Leases ended, by why.",
      labelNames: ["tenant", "code"],
      registers,
    });
    const wait = new Histogram({
      name: "sluice_allocation_wait_seconds",
      help: "Time from a request to its grant.",
      labelNames: ["class"],
      buckets: WAIT_SECONDS_BOUNDS,
      registers,
    });
    const lasted = new Histogram({
      name: "sluice_lease_duration_seconds",
      help: "How long ended leases were held.",
      labelNames: ["class"],
      buckets: LEASE_SECONDS_BOUNDS,
      registers,
    });
    return {
      granted: ({ tenant, priority, requestedAt, grantedAt }) => {
        granted.inc({ tenant, class: this.#className(priority) });
        wait.observe({ class: this.#className(priority) }, (grantedAt - requestedAt) / 1_000);
      },
      refused: (code) => refused.inc({ code }),
      ended: ({ tenant, priority, endCode = "RELEASED" }, heldMs) => {
        ended.inc({ tenant, code: endCode });
        lasted.observe({ class: this.#className(priority) }, heldMs / 1_000);
      },
    };
  }

  #callCounters(): Pick<PoolObserver, "used" | "connected"> {
    const registers = [this.#registry];
    const counter = (name: string, help: string): Counter<"tenant"> =>
      new Counter({ name, help, labelNames: ["tenant"], registers });
    const totals = {
      calls: counter("sluice_calls_total", "Calls executed."),
      batches: counter("sluice_batches_total", "Batches that carried them."),
      answers: counter("sluice_answers_total", "Calls answered: round trips."),
      bytesReceived: counter("sluice_received_bytes_total", "Bytes received from clients on the data plane."),
      bytesSent: counter("sluice_sent_bytes_total", "Bytes sent to clients on the data plane."),
    } as const;
    const busy = counter("sluice_device_busy_seconds_total", "Time that calls kept devices busy.");
    const begun = counter("sluice_sessions_total", "Sessions begun.");
    const resumed = counter("sluice_sessions_resumed_total", "Data connections that took a session up after a break.");
    const batchCalls = new ReportedHistogram({
      name: "sluice_batch_calls",
      help: "Calls in a batch.",
      labelNames: ["tenant"],
      buckets: [...BATCH_CALLS_BOUNDS],
      registers,
    });
    const answerSeconds = new ReportedHistogram({
      name: "sluice_answer_seconds",
      help: "Time of an answered call in the server: from reading its batch to sending its answer.",
      labelNames: ["tenant"],
      buckets: [...ANSWER_SECONDS_BOUNDS],
      registers,
    });
    return {
      connected: (tenant, isResumed) => (isResumed ? resumed : begun).inc({ tenant }),
      used: (tenant, { before, usage, shape }) => {
        for (const name of Object.keys(totals) as (keyof typeof totals)[]) {
          totals[name].inc({ tenant }, Math.max(0, usage[name] - before[name]));
        }
        busy.inc({ tenant }, Math.max(0, usage.deviceMs - before.deviceMs) / 1_000);
        if (shape === undefined) return;
        batchCalls.add({ tenant }, shape.batchCalls);
        answerSeconds.add({ tenant }, shape.answerSeconds);
      },
    };
  }

  #deviceGauges(broker: Broker): void {
    const labels = ["device"] as const;
    const memory = this.#gauge("sluice_device_memory_bytes", "Memory that can be lent.", labels);
    const granted = this.#gauge("sluice_device_granted_bytes", "Memory lent, without overhead.", labels);
    const overhead = this.#gauge("sluice_device_overhead_bytes", "Memory charged beside slices.", labels);
    const reserved = this.#gauge("sluice_device_reserved_bytes", "Memory reserved and not in use.", labels);
    const free = this.#gauge("sluice_device_free_bytes", "Memory free to lend.", labels);
    const compute = this.#gauge("sluice_device_free_compute", "Part of its time that is promised to nobody.", labels);
    const open = this.#gauge(
      "sluice_device_open",
      "1 while new leases are placed on it, 0 while it is cordoned.",
      labels,
    );
    const info = this.#gauge("sluice_device_info", "What a device is; always 1.", [
      ...labels,
      "kind",
      "name",
      "capability",
    ]);
    this.#refreshers.push(() => {
      for (const gauge of [memory, granted, overhead, reserved, free, compute, open, info]) gauge.reset();
      for (const { listing, description } of broker.devices.list()) {
        const { id: device, kind, name, capabilityMajor, capabilityMinor } = description;
        info.set({ device, kind, name, capability: `${capabilityMajor}.${capabilityMinor}` }, 1);
        memory.set({ device }, listing.device.memoryBytes);
        granted.set({ device }, listing.grantedBytes);
        overhead.set({ device }, listing.overheadBytes);
        reserved.set({ device }, listing.reservedBytes);
        free.set({ device }, listing.freeBytes);
        compute.set({ device }, listing.freeCompute / COMPUTE_WHOLE);
        open.set({ device }, listing.cordon === undefined ? 1 : 0);
      }
    });
  }

  #healthGauges(broker: Broker): void {
    const labels = ["device"] as const;
    const temperature = this.#gauge("sluice_device_temperature_celsius", "Temperature of the chip.", labels);
    const power = this.#gauge("sluice_device_power_watts", "Power that it draws.", labels);
    const utilization = this.#gauge(
      "sluice_device_utilization_ratio",
      "Part of the last second with a kernel.",
      labels,
    );
    const errors = this.#gauge(
      "sluice_device_uncorrected_errors",
      "Memory errors since the driver was loaded.",
      labels,
    );
    const problems = this.#gauge(
      "sluice_device_problems",
      "What is wrong with it: 0 for a healthy device. Absent where no hardware tells.",
      labels,
    );
    this.#refreshers.push(() => {
      for (const gauge of [temperature, power, utilization, errors, problems]) gauge.reset();
      for (const { description } of broker.devices.list()) {
        const device = description.id;
        const health = broker.devices.healthOf(device);
        if (health === undefined) continue;
        problems.set({ device }, health.problems.length);
        setKnown(temperature, device, health.temperatureCelsius);
        setKnown(power, device, health.powerWatts);
        setKnown(utilization, device, health.utilization);
        setKnown(errors, device, health.uncorrectedErrors);
      }
    });
  }

  #leaseGauges(broker: Broker): void {
    const held = this.#gauge("sluice_tenant_held_bytes", "Memory held, overhead included.", ["tenant"]);
    const quota = this.#gauge("sluice_tenant_quota_bytes", "Memory that the tenant may hold; absent for no bound.", [
      "tenant",
    ]);
    const waiting = this.#gauge("sluice_requests_waiting", "Requests in the queue.", ["tenant"]);
    const leases = this.#gauge("sluice_leases", "Leases now, by their state.", ["tenant", "class", "state"]);
    const saved = this.#gauge("sluice_tenant_saved_bytes", "Memory of suspended leases, saved on the server's host.", [
      "tenant",
    ]);
    this.#refreshers.push(() => {
      for (const gauge of [leases, held, quota, waiting, saved]) gauge.reset();
      for (const { tenant, priority, state, attached, suspension } of broker.leases()) {
        const isAtWork = state === "granted" || state === "granting";
        const now = isAtWork ? (attached ? "attached" : "granted") : state;
        leases.inc({ tenant, class: this.#className(priority), state: now });
        if (suspension !== undefined) saved.inc({ tenant }, suspension.savedBytes);
      }
      for (const each of broker.tenants()) {
        const { tenant } = each;
        held.set({ tenant }, each.heldBytes);
        waiting.set({ tenant }, each.waiting);
        if (each.quota.memoryBytes !== undefined) quota.set({ tenant }, each.quota.memoryBytes);
      }
    });
  }

  #gauge<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Gauge<Label> {
    return new Gauge({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }
}

function setKnown(gauge: Gauge<"device">, device: string, value: number | undefined): void {
  if (value !== undefined) gauge.set({ device }, value);
}
