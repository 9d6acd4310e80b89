/** What the pool was like during one step of time, as it is kept: plain data that becomes text, and how several become a longer one. Pure. */
import { ANSWER_SECONDS_BOUNDS } from "../executor/call-shape.ts";

/** Of a device: mean bytes lent with overhead, mean bytes in use by anybody or null, mean load from 0 to 1. */
export type DeviceSample = readonly [allocated: number, used: number | null, load: number];

export interface TenantSample {
  /** Means. */
  readonly held: number;
  readonly leases: number;
  readonly waiting: number;
  /** Grants in the step, and how long they had waited. */
  readonly grants: number;
  readonly waitMs: number;
  readonly waitMsMax: number;
  /** Answers by their time: counts below ANSWER_SECONDS_BOUNDS; empty for none. */
  readonly answers: readonly number[];
}

export interface Sample {
  /** Bytes of all devices. */
  readonly memory: number;
  readonly devices: Readonly<Record<string, DeviceSample>>;
  readonly tenants: Readonly<Record<string, TenantSample>>;
  /** Mean length of the queue. */
  readonly waiting: number;
}

/** Tenants kept one by one; those who hold the least are summed under the empty name. */
export const TENANTS_MAX = 200;

export const noTenant: TenantSample = {
  held: 0,
  leases: 0,
  waiting: 0,
  grants: 0,
  waitMs: 0,
  waitMsMax: 0,
  answers: [],
};

const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;

export function addedCounts(a: readonly number[], b: readonly number[]): readonly number[] {
  const [longer, shorter] = a.length >= b.length ? [a, b] : [b, a];
  return longer.map((count, index) => count + (shorter[index] ?? 0));
}

/** Two tenants as one, at the same time. */
export function addedTenants(a: TenantSample, b: TenantSample): TenantSample {
  return {
    held: a.held + b.held,
    leases: a.leases + b.leases,
    waiting: a.waiting + b.waiting,
    grants: a.grants + b.grants,
    waitMs: a.waitMs + b.waitMs,
    waitMsMax: Math.max(a.waitMsMax, b.waitMsMax),
    answers: addedCounts(a.answers, b.answers),
  };
}

/** At most TENANTS_MAX of them. */
export function boundedTenants(tenants: Readonly<Record<string, TenantSample>>): Record<string, TenantSample> {
  const entries = Object.entries(tenants).sort(([, a], [, b]) => b.held - a.held);
  const kept = Object.fromEntries(entries.slice(0, TENANTS_MAX));
  const rest = entries.slice(TENANTS_MAX).map(([, tenant]) => tenant);
  return rest.length === 0 ? kept : { ...kept, "": rest.reduce(addedTenants, entryOf(kept, "") ?? noTenant) };
}

const namesIn = (records: readonly Readonly<Record<string, unknown>>[]): string[] => [
  ...new Set(records.flatMap((record) => Object.keys(record))),
];

/** What stands under a name, however the name is spelt: a tenant may be called `constructor`. */
export const entryOf = <Value>(record: Readonly<Record<string, Value>>, name: string): Value | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined;

function mergedDevice(samples: readonly DeviceSample[]): DeviceSample {
  const used = samples.map(([, bytes]) => bytes).filter((bytes) => bytes !== null);
  return [
    mean(samples.map(([allocated]) => allocated)),
    used.length === 0 ? null : mean(used),
    mean(samples.map(([, , load]) => load)),
  ];
}

/** Whoever is missing in a sample had nothing then. */
function mergedTenant(samples: readonly TenantSample[], stepCount: number): TenantSample {
  const sum = samples.reduce(addedTenants, noTenant);
  return { ...sum, held: sum.held / stepCount, leases: sum.leases / stepCount, waiting: sum.waiting / stepCount };
}

/** Samples of equal steps, one behind the other, as one. */
export function merged(samples: readonly Sample[]): Sample {
  const [devices, tenants] = [samples.map((sample) => sample.devices), samples.map((sample) => sample.tenants)];
  const across = <Value>(records: readonly Readonly<Record<string, Value>>[], name: string): Value[] =>
    records.map((record) => entryOf(record, name)).filter((value) => value !== undefined);
  return {
    memory: mean(samples.map(({ memory }) => memory)),
    devices: Object.fromEntries(namesIn(devices).map((id) => [id, mergedDevice(across(devices, id))])),
    tenants: boundedTenants(
      Object.fromEntries(namesIn(tenants).map((name) => [name, mergedTenant(across(tenants, name), samples.length)])),
    ),
    waiting: mean(samples.map(({ waiting }) => waiting)),
  };
}

/** Milliseconds below which a part of the answers lies, to the accuracy of the bounds; NaN for none. */
export function quantileMs(counts: readonly number[], part: number): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return Number.NaN;
  let left = part * total;
  for (const [index, count] of counts.entries()) {
    if (count >= left && count > 0) {
      const low = ANSWER_SECONDS_BOUNDS[index - 1] ?? 0;
      const high = ANSWER_SECONDS_BOUNDS[index] ?? ANSWER_SECONDS_BOUNDS.at(-1)!;
      return (low + ((high - low) * left) / count) * 1_000;
    }
    left -= count;
  }
  return ANSWER_SECONDS_BOUNDS.at(-1)! * 1_000;
}
