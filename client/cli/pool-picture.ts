/** The pool as lines for a terminal: devices, leases with their rates, the queue. Where not all fits, each table has its part of the lines. Pure. */
import type { Tenant__Output as Tenant } from "../../proto/generated/sluice/v1/Tenant.ts";
import type { WatchPoolResponse__Output as Change } from "../../proto/generated/sluice/v1/WatchPoolResponse.ts";
import { SluiceError } from "../../shared/errors.ts";
import { changedCopy, type PoolCopy } from "../../shared/pool-copy.ts";
import { formatSizeRounded } from "../../shared/units.ts";
import type { DeviceInfo, LeaseInfo, QueueEntryInfo } from "../index.ts";
import { busyText, stateText, wishText } from "./leases.ts";
import { countText, durationText, sizeText, unicodeTerminal } from "./output.ts";
import { type Column, formatBar, formatTable, serverColumn } from "./table.ts";

/** What has a server's name where the pool is of several. */
interface Named {
  readonly server?: string;
}

export type WatchedPool = PoolCopy<DeviceInfo & Named, LeaseInfo & Named, QueueEntryInfo & Named, Tenant>;

/** The copy after a message of WatchPool. @throws SluiceError PROTOCOL_ERROR when one before it is missing */
export function poolAfter(copy: WatchedPool, change: Change): WatchedPool {
  const changed = changedCopy(copy, change);
  if (changed === undefined) throw new SluiceError("PROTOCOL_ERROR", "The server leaves out a change.");
  return changed;
}

const BAR_WIDTH = 12;

const deviceColumns: readonly Column[] = [
  { title: "DEVICE" },
  { title: "NAME", shrinkTo: 6 },
  { title: "LENT", align: "right" },
  { title: "FREE", align: "right" },
  { title: "MEMORY" },
  { title: "SLICES", align: "right" },
  { title: "UTIL", align: "right" },
  { title: "STATE", shrinkTo: 7 },
];

const leaseColumns: readonly Column[] = [
  { title: "LEASE", shrinkTo: 8 },
  { title: "TENANT", shrinkTo: 6 },
  { title: "NAME", shrinkTo: 4 },
  { title: "DEVICES", shrinkTo: 6 },
  { title: "MEMORY", align: "right" },
  { title: "STATE" },
  { title: "CALLS/S", align: "right" },
  { title: "TRIPS/S", align: "right", isOptional: true },
  { title: "IN/S", align: "right", isOptional: true },
  { title: "OUT/S", align: "right" },
  { title: "BUSY", align: "right" },
];

const queueColumns: readonly Column[] = [
  { title: "PLACE", align: "right" },
  { title: "TENANT", shrinkTo: 6 },
  { title: "NAME", shrinkTo: 4 },
  { title: "ASKS FOR" },
  { title: "WAITS", align: "right" },
];

/** The pools of several servers as one, of which each item has its server's name. */
export function mergedPool(pools: readonly (readonly [server: string, pool: WatchedPool])[]): WatchedPool {
  const merged = <Item extends object>(items: (pool: WatchedPool) => ReadonlyMap<string, Item>): Map<string, Item> =>
    new Map(
      pools.flatMap(([server, pool]) => [...items(pool)].map(([id, item]) => [`${server}/${id}`, { ...item, server }])),
    );
  return {
    sequence: 0,
    nowAtMs: Math.max(...pools.map(([, { nowAtMs }]) => nowAtMs)),
    devices: merged(({ devices }) => devices),
    leases: merged(({ leases }) => leases),
    queue: pools.flatMap(([server, { queue }]) => queue.map((entry) => ({ ...entry, server }))),
    waiting: pools.reduce((sum, [, { waiting }]) => sum + waiting, 0),
    tenants: merged(({ tenants }) => tenants),
  };
}

export interface PictureOptions {
  /** Its address, or how many there are. */
  readonly server: string | number;
  /** Columns of the terminal. */
  readonly width: number;
  /** Lines of the terminal. Default: as many as it takes. */
  readonly rows?: number;
}

/** One table of the picture. */
interface Part<Item> {
  /** Whether each is shown with its server. */
  readonly named: boolean;
  readonly title?: string;
  readonly columns: readonly Column[];
  readonly items: readonly Item[];
  readonly row: (item: Item) => string[];
  /** What one of them is called. */
  readonly noun: string;
  /** How many there are beyond `items`. */
  readonly beyond?: number;
  /** Which come first where not all fit. */
  readonly isUrgent?: (item: Item) => boolean;
}

export function poolPicture(copy: WatchedPool, options: PictureOptions): string[] {
  const { server, width, rows = Number.POSITIVE_INFINITY } = options;
  const { queue, waiting, nowAtMs } = copy;
  const devices = [...copy.devices.values()];
  const leases = [...copy.leases.values()].sort((a, b) => a.grantedAtMs - b.grantedAtMs);
  const total = devices.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  const free = devices.reduce((sum, { freeBytes }) => sum + freeBytes, 0);
  const time = new Date(nowAtMs).toISOString().slice(11, 19);
  const whose = typeof server === "number" ? countText(server, "server") : server;
  const named = typeof server === "number";
  const summary = `${whose}  ${time} UTC  ${sizeText(free)} of ${sizeText(total)} free  ${leases.length} leases  ${waiting} waiting`;
  const parts = [
    part({
      ...{ named, columns: deviceColumns, items: devices, row: deviceRow, noun: "device" },
      isUrgent: (device) => deviceState(device) !== "open",
    }),
    part({
      ...{ named, title: "Leases", columns: leaseColumns, items: leases, row: leaseRow, noun: "lease" },
      isUrgent: (lease) => stateText(lease) !== "granted",
    }),
    part({
      ...{
        named,
        title: "Waiting",
        columns: queueColumns,
        items: queue,
        row: (entry: QueueEntryInfo) => queueRow(entry, nowAtMs),
      },
      ...{ noun: "request", beyond: waiting - queue.length },
    }),
  ].filter(({ isEmpty }) => !isEmpty);
  const idle = leases.length > 0 ? [] : ["", "No leases. `sluice run -p 0.25 -- COMMAND` takes one."];
  const fixed = 1 + idle.length + parts.reduce((sum, { frame }) => sum + frame, 0);
  const shares = sharedRows(
    parts.map(({ lines }) => lines),
    rows - fixed,
  );
  return [summary, ...parts.flatMap(({ draw }, index) => draw(shares[index]!, width)), ...idle];
}

/** Columns that make room for the server's, where there is not enough. */
const spare: ReadonlySet<string> = new Set(["SLICES", "UTIL", "IN/S", "OUT/S"]);
const withSpare = (column: Column): Column => (spare.has(column.title) ? { ...column, isOptional: true } : column);

/** A table that can be drawn with as many lines as there are for it. */
function part<Item extends Named>({ title, items, noun, beyond = 0, isUrgent = () => false, ...table }: Part<Item>) {
  const columns = table.named ? [serverColumn, ...table.columns.map(withSpare)] : table.columns;
  const row = (item: Item): string[] => (table.named ? [item.server ?? "", ...table.row(item)] : table.row(item));
  const head = title === undefined ? [""] : ["", title];
  const draw = (share: number, width: number): string[] => {
    const fits = items.length + Math.sign(beyond) <= share;
    const ordered = fits ? items : [...items.filter(isUrgent), ...items.filter((item) => !isUrgent(item))];
    const shown = fits ? items : ordered.slice(0, Math.max(0, share - 1));
    const hidden = items.length - shown.length + beyond;
    const lines = formatTable(columns, shown.map(row), width).split("\n");
    return [...head, ...lines, ...(hidden > 0 ? [`... ${countText(hidden, `more ${noun}`)}`] : [])];
  };
  return {
    ...{ isEmpty: items.length + beyond === 0, draw },
    /** Lines that are there however few rows are shown. */
    frame: head.length + 1,
    lines: items.length + Math.sign(beyond),
  };
}

/** Lines for tables that need so many: what each needs, and where that is too much, an equal part of what the others leave. */
function sharedRows(needs: readonly number[], rows: number): number[] {
  const shares = needs.map(() => 0);
  let left = Math.max(0, rows);
  const modest = needs.map((need, index) => ({ need, index })).sort((a, b) => a.need - b.need);
  for (const [served, { need, index }] of modest.entries()) {
    shares[index] = Math.min(need, Math.floor(left / (needs.length - served)));
    left -= shares[index]!;
  }
  return shares;
}

function deviceRow(device: DeviceInfo): string[] {
  const { memoryBytes, grantedBytes, overheadBytes, freeBytes, health } = device;
  const used = memoryBytes === 0 ? 0 : (grantedBytes + overheadBytes) / memoryBytes;
  const bar = formatBar(used, { width: BAR_WIDTH, unicode: unicodeTerminal() });
  const utilization = health?.utilization;
  return [
    device.id,
    device.name,
    sizeText(grantedBytes),
    sizeText(freeBytes),
    `${bar} ${String(Math.round(used * 100)).padStart(3)}%`,
    String(device.slices),
    utilization === undefined ? "-" : `${Math.round(utilization * 100)}%`,
    deviceState(device),
  ];
}

/** `open`, or why not. */
export function deviceState({ cordon, draining }: DeviceInfo): string {
  if (draining) return "draining";
  if (cordon === null) return "open";
  return cordon.code === "DEVICE_UNHEALTHY" ? "unhealthy" : "cordoned";
}

function leaseRow(lease: LeaseInfo): string[] {
  const { activity, slices } = lease;
  const count = (value = 0): string => Math.round(value).toLocaleString("en-US");
  return [
    lease.id,
    lease.tenant,
    lease.name || "-",
    slices.map(({ deviceId }) => deviceId).join(","),
    sizeText(slices.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0)),
    stateText(lease),
    count(activity?.callsPerSecond),
    count(activity?.answersPerSecond),
    formatSizeRounded(Math.round(activity?.bytesReceivedPerSecond ?? 0)),
    formatSizeRounded(Math.round(activity?.bytesSentPerSecond ?? 0)),
    busyText(lease),
  ];
}

function queueRow(entry: QueueEntryInfo, nowAtMs: number): string[] {
  return [
    String(entry.position),
    entry.tenant,
    entry.name || "-",
    wishText(entry),
    durationText(Math.max(0, nowAtMs - entry.queuedAtMs)),
  ];
}
