/** The pool's past as the message of pool.proto: each quantity of the samples as a series of its own, and what a caller may see of it. */
import type { GetHistoryRequest__Output } from "../../proto/generated/sluice/v1/GetHistoryRequest.ts";
import { SluiceError } from "../../shared/errors.ts";
import { type Identity, seesAll } from "../access/identity.ts";
import { requireReadable } from "../access/visibility.ts";
import { type History, resolutions, type Span } from "./history.ts";
import { addedTenants, entryOf, noTenant, quantileMs, type Sample, type TenantSample } from "./history-sample.ts";

/** A quantity over time; see `HistorySeries` in pool.proto. */
export interface Series {
  readonly kind: string;
  readonly subject: string;
  /** NaN where there is no value. */
  readonly values: number[];
}

/** The message `GetHistoryResponse`. */
export interface PastOfPool {
  readonly stepMs: number;
  readonly atMs: number[];
  readonly series: Series[];
}

/** `span` is its name in the contract. */
export type PastQuestion = Pick<GetHistoryRequest__Output, "span" | "tenant" | "devices">;

const spans: Readonly<Record<string, Span>> = {
  HISTORY_SPAN_UNSPECIFIED: "hour",
  HISTORY_SPAN_HOUR: "hour",
  HISTORY_SPAN_DAY: "day",
  HISTORY_SPAN_WEEK: "week",
};

/** Answers a caller's question. Throws SluiceError BAD_ARGUMENT, and OTHER_TENANT for a tenant that is not the caller's. */
export function pastFor(history: History, caller: Identity, { span, tenant, devices }: PastQuestion): PastOfPool {
  const known = spans[span];
  if (known === undefined) throw new SluiceError("BAD_ARGUMENT", `There is no span [${span}].`);
  if (tenant !== "") requireReadable(caller, tenant);
  const timed = history.list(known);
  const samples = timed.map(({ sample }) => sample);
  const named = namesOf(samples.map((sample) => sample.tenants));
  const shown = named.filter((name) => (tenant === "" ? seesAll(caller) || caller.tenant === name : tenant === name));
  // What all tenants together wait for is for who sees all tenants.
  const counted = tenant === "" && !seesAll(caller) ? caller.tenant : tenant;
  return {
    stepMs: resolutions[known].stepMs,
    atMs: timed.map(({ at }) => at),
    series: [
      ...(tenant === "" ? poolSeries(samples) : []),
      ...(devices && tenant === "" ? deviceSeries(samples) : []),
      ...shown.flatMap((name) => tenantSeries(samples, name)),
      ...waitSeries(samples.map((sample) => countsOf(sample, counted))),
    ],
  };
}

const namesOf = (records: readonly Readonly<Record<string, unknown>>[]): string[] =>
  [...new Set(records.flatMap((record) => Object.keys(record)))].sort();

const series = (kind: string, subject: string, values: number[]): Series => ({ kind, subject, values });

function poolSeries(samples: readonly Sample[]): Series[] {
  const over = (of: (sample: Sample) => number): number[] => samples.map(of);
  const sum = (sample: Sample, field: 0 | 1 | 2): number =>
    Object.values(sample.devices).reduce((total, device) => total + (device[field] ?? Number.NaN), 0);
  const all = [
    series(
      "pool.memory",
      "",
      over(({ memory }) => memory),
    ),
    series(
      "pool.allocated",
      "",
      over((sample) => sum(sample, 0)),
    ),
    series(
      "pool.used",
      "",
      over((sample) => sum(sample, 1)),
    ),
    series(
      "pool.load",
      "",
      over((sample) => sum(sample, 2) / Math.max(1, Object.keys(sample.devices).length)),
    ),
    series(
      "queue.length",
      "",
      over(({ waiting }) => waiting),
    ),
  ];
  // Devices without hardware of their own tell nothing about what is in use.
  return all.filter(({ kind, values }) => kind !== "pool.used" || values.some((value) => !Number.isNaN(value)));
}

function deviceSeries(samples: readonly Sample[]): Series[] {
  return namesOf(samples.map(({ devices }) => devices)).flatMap((id) => {
    const over = (field: 0 | 1 | 2): number[] =>
      samples.map((sample) => entryOf(sample.devices, id)?.[field] ?? Number.NaN);
    const used = over(1);
    return [
      series("device.allocated", id, over(0)),
      ...(used.every(Number.isNaN) ? [] : [series("device.used", id, used)]),
      series("device.load", id, over(2)),
    ];
  });
}

function tenantSeries(samples: readonly Sample[], name: string): Series[] {
  const over = (of: (tenant: TenantSample) => number): number[] =>
    samples.map((sample) => of(entryOf(sample.tenants, name) ?? noTenant));
  return [
    series(
      "tenant.held",
      name,
      over(({ held }) => held),
    ),
    series(
      "tenant.leases",
      name,
      over(({ leases }) => leases),
    ),
    series(
      "tenant.waiting",
      name,
      over(({ waiting }) => waiting),
    ),
  ];
}

/** What a tenant waited for, or all of them together. */
const countsOf = ({ tenants }: Sample, tenant: string): TenantSample =>
  tenant === "" ? Object.values(tenants).reduce(addedTenants, noTenant) : (entryOf(tenants, tenant) ?? noTenant);

function waitSeries(counts: readonly TenantSample[]): Series[] {
  const granted = (of: (counts: TenantSample) => number): number[] =>
    counts.map((each) => (each.grants === 0 ? Number.NaN : of(each)));
  return [
    series(
      "wait.mean",
      "",
      granted(({ waitMs, grants }) => waitMs / grants),
    ),
    series(
      "wait.max",
      "",
      granted(({ waitMsMax }) => waitMsMax),
    ),
    series(
      "answer.p50",
      "",
      counts.map(({ answers }) => quantileMs(answers, 0.5)),
    ),
    series(
      "answer.p95",
      "",
      counts.map(({ answers }) => quantileMs(answers, 0.95)),
    ),
  ];
}
