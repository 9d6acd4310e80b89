/**
 * The pool's past: takes a sample every ten seconds and keeps it in three resolutions. It is an observer like the metrics: it decides
 * nothing, and what it cannot store it forgets.
 */
import type { HistoryStore, Resolution, StoredSample } from "../store/history-store.ts";
import type { Broker } from "./broker.ts";
import type { Clock } from "./clock.ts";
import {
  addedCounts,
  boundedTenants,
  type DeviceSample,
  merged,
  noTenant,
  type Sample,
  type TenantSample,
} from "./history-sample.ts";
import type { PoolObserver } from "./pool-observer.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** Each step is a whole number of those of the one before it. */
export const resolutions = {
  hour: { stepMs: 10 * SECOND_MS, spanMs: HOUR_MS },
  day: { stepMs: 3 * MINUTE_MS, spanMs: 24 * HOUR_MS },
  week: { stepMs: 15 * MINUTE_MS, spanMs: 7 * 24 * HOUR_MS },
} as const satisfies Record<string, Resolution>;

export type Span = keyof typeof resolutions;

/** A sample with the beginning of its step, in milliseconds since the epoch. */
export interface TimedSample {
  readonly at: number;
  readonly sample: Sample;
}

/** What has happened since the last sample. */
type Happened = Pick<TenantSample, "grants" | "waitMs" | "waitMsMax" | "answers">;

export class History {
  readonly #store: HistoryStore;
  readonly #clock: Clock;
  readonly #happened = new Map<string, Happened>();
  /** What was asked for since the last sample, so that asking often costs little. */
  readonly #asked = new Map<Span, TimedSample[]>();
  #cancelTimer: (() => void) | undefined;
  /** Counts for the broker. */
  readonly observer: PoolObserver;

  constructor(options: { readonly store: HistoryStore; readonly clock: Clock }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.observer = {
      granted: ({ tenant, requestedAt, grantedAt }) => {
        const waitMs = grantedAt - requestedAt;
        const { grants, ...before } = this.#of(tenant);
        this.#happened.set(tenant, {
          ...before,
          grants: grants + 1,
          waitMs: before.waitMs + waitMs,
          waitMsMax: Math.max(before.waitMsMax, waitMs),
        });
      },
      refused: () => {},
      ended: () => {},
      connected: () => {},
      used: (tenant, { shape }) => {
        if (shape === undefined) return;
        const before = this.#of(tenant);
        this.#happened.set(tenant, { ...before, answers: addedCounts(before.answers, shape.answerSeconds.counts) });
      },
    };
  }

  /** Takes samples from now on. */
  start(broker: Broker): void {
    const { stepMs } = resolutions.hour;
    const wait = stepMs - (this.#clock.now() % stepMs);
    this.#cancelTimer = this.#clock.schedule(wait, () => {
      this.#take(broker);
      this.start(broker);
    });
  }

  close(): void {
    this.#cancelTimer?.();
  }

  /** The samples of a span, the oldest first. */
  list(span: Span): readonly TimedSample[] {
    const known = this.#asked.get(span);
    if (known !== undefined) return known;
    const resolution = resolutions[span];
    const now = this.#clock.now();
    const since = { from: now - resolution.spanMs, to: now + resolution.stepMs };
    const stored = this.#store.list(resolution, since);
    const samples = readable(stored);
    this.#asked.set(span, samples);
    return samples;
  }

  #of(tenant: string): Happened {
    return this.#happened.get(tenant) ?? noTenant;
  }

  /** Keeps a sample of the step that ends now, and renews the longer steps that it is part of. */
  #take(broker: Broker): void {
    const { hour, day, week } = resolutions;
    const at = Math.floor(this.#clock.now() / hour.stepMs) * hour.stepMs - hour.stepMs;
    this.#store.put(hour, { at, text: JSON.stringify(this.#look(broker)) });
    this.#happened.clear();
    this.#asked.clear();
    for (const [fine, coarse] of [
      [hour, day],
      [day, week],
    ] as const) {
      const from = Math.floor(at / coarse.stepMs) * coarse.stepMs;
      const parts = this.#store.list(fine, { from, to: from + coarse.stepMs });
      const sample = merged(readable(parts).map(({ sample: part }) => part));
      this.#store.put(coarse, { at: from, text: JSON.stringify(sample) });
    }
  }

  #look(broker: Broker): Sample {
    const devices = broker.devices.list();
    const loads = new Map<string, number>();
    for (const { id, slices, attached } of broker.leases()) {
      if (!attached) continue; // It makes no calls, and there may be ten thousand such.
      const load = broker.activityOf(id).deviceLoad / slices.length;
      for (const { deviceId } of slices) loads.set(deviceId, (loads.get(deviceId) ?? 0) + load);
    }
    const deviceSample = (id: string, allocated: number): DeviceSample => {
      const health = broker.devices.healthOf(id);
      return [allocated, health?.memoryUsedBytes ?? null, Math.min(1, health?.utilization ?? loads.get(id) ?? 0)];
    };
    return {
      memory: devices.reduce((sum, { description }) => sum + description.memoryBytes, 0),
      devices: Object.fromEntries(
        devices.map(({ description: { id }, listing: { grantedBytes, overheadBytes } }) => [
          id,
          deviceSample(id, grantedBytes + overheadBytes),
        ]),
      ),
      tenants: boundedTenants(this.#lookAtTenants(broker)),
      waiting: broker.queue.head(0).waiting,
    };
  }

  #lookAtTenants(broker: Broker): Record<string, TenantSample> {
    const tenants = broker.tenants().map(({ tenant, heldBytes, leases, waiting }) => {
      return [tenant, { ...noTenant, ...this.#happened.get(tenant), held: heldBytes, leases, waiting }] as const;
    });
    const isIdle = ([, tenant]: (typeof tenants)[number]): boolean =>
      tenant.held === 0 && tenant.waiting === 0 && tenant.grants === 0 && tenant.answers.length === 0;
    return Object.fromEntries(tenants.filter((tenant) => !isIdle(tenant)));
  }
}

/** Samples that a damaged disk has spoiled are left out: each is a moment of a picture. */
function readable(stored: readonly StoredSample[]): TimedSample[] {
  return stored.flatMap(({ at, text }) => {
    try {
      const sample = JSON.parse(text) as Sample | null;
      return sample === null ? [] : { at, sample };
    } catch {
      return [];
    }
  });
}
