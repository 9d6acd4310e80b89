/**
 * Makes room for the first of the queue by ending leases of lower priority, after a notice and a grace, or by suspending them. Happens once per
 * request, only where the pool's options allow it, and takes the lowest priorities first, among them the youngest leases.
 */

import { type Amount, covers, freeOn, plus } from "./amount.ts";
import { heldOn, keepFor } from "./head-room.ts";
import { giveNotice } from "./leases.ts";
import { mayServe, mostFor } from "./request.ts";
import type { DeviceRecord, LeaseRecord, Plan, PoolState, RequestRecord, ServerRecord } from "./state.ts";
import { beginSuspension, suspensionObstacle } from "./suspension.ts";
import type { Effect } from "./types.ts";

/** Servers looked at. */
const SERVERS_MAX = 64;

interface Clearing {
  readonly device: DeviceRecord;
  readonly victims: readonly LeaseRecord[];
  readonly room: number;
  /** The highest priority among the victims; -Infinity without any. */
  readonly priority: number;
  readonly bytes: number;
}

const compareVictims = (a: LeaseRecord, b: LeaseRecord): number =>
  a.terms.priority - b.terms.priority || b.terms.grantedAt - a.terms.grantedAt;

const compareClearings = (a: Clearing, b: Clearing): number =>
  (a.priority === b.priority ? 0 : a.priority - b.priority) || a.bytes - b.bytes || a.device.order - b.device.order;

/** What ends anyway, or gives its memory back anyway, costs nothing. */
const isGoing = (lease: LeaseRecord): boolean => lease.state === "ending" || lease.state === "suspending";

/** Whether a lease may be made to make room. */
function mayGo(state: PoolState, lease: LeaseRecord): boolean {
  if (state.options.preemption !== "suspend") return lease.state !== "suspended";
  return lease.restsUntil <= state.now && suspensionObstacle(state, lease) === undefined;
}

/** The leases that must go from a device to make room for the head; undefined when that is not enough or not allowed. */
function clear(state: PoolState, device: DeviceRecord, head: RequestRecord): Clearing | undefined {
  const most = mostFor(head.plan, device);
  if (most === undefined || !mayServe(head.plan, device)) return undefined;
  const { room, need } = most;
  const priority = head.request.priority ?? 0;
  const how = state.options.preemption === "suspend" ? "suspended" : "ended";
  const freed = (lease: LeaseRecord): Amount => heldOn(lease, device, isGoing(lease) ? "ended" : how);
  const leases = [...device.leases].filter(
    (lease) => (isGoing(lease) || (lease.terms.priority < priority && mayGo(state, lease))) && freed(lease).bytes > 0,
  );
  leases.sort((a, b) => Number(isGoing(b)) - Number(isGoing(a)) || compareVictims(a, b));
  let free = freeOn(device);
  const victims: LeaseRecord[] = [];
  for (const lease of leases) {
    if (covers(free, need)) break;
    free = plus(free, freed(lease));
    if (!isGoing(lease)) victims.push(lease);
  }
  if (!covers(free, need)) return undefined;
  const bytes = victims.reduce((sum, lease) => sum + freed(lease).bytes, 0);
  return { device, victims, room, priority: Math.max(...victims.map((lease) => lease.terms.priority)), bytes };
}

/** The cheapest devices to clear on one server. */
function clearOnServer(state: PoolState, server: ServerRecord, head: RequestRecord): Clearing[] | undefined {
  const found: Clearing[] = [];
  for (const device of server.devices) {
    const clearing = clear(state, device, head);
    if (clearing !== undefined) found.push(clearing);
  }
  found.sort(compareClearings);
  const taken: Clearing[] = [];
  let room = 0;
  for (const clearing of found) {
    if (room >= head.plan.count) break;
    taken.push(clearing);
    room += clearing.room;
  }
  return room >= head.plan.count ? taken : undefined;
}

const costOf = (clearings: readonly Clearing[]): { priority: number; bytes: number } => ({
  priority: Math.max(...clearings.map((clearing) => clearing.priority)),
  bytes: clearings.reduce((sum, clearing) => sum + clearing.bytes, 0),
});

function cheapest(state: PoolState, plan: Plan, head: RequestRecord): Clearing[] | undefined {
  let best: Clearing[] | undefined;
  let left = SERVERS_MAX;
  const servers =
    plan.narrow === undefined ? state.servers.values() : new Set([...plan.narrow].map((device) => device.server));
  for (const server of servers) {
    if (left-- === 0) break;
    const clearings = clearOnServer(state, server, head);
    if (clearings === undefined) continue;
    const cost = costOf(clearings);
    const bestCost = best && costOf(best);
    const isBetter =
      bestCost === undefined ||
      cost.priority < bestCost.priority ||
      (cost.priority === bestCost.priority && cost.bytes < bestCost.bytes);
    if (isBetter) best = clearings;
  }
  return best;
}

/** Tells leases of lower priority to make room for the head, and keeps their devices for it. */
export function preemptFor(state: PoolState, head: RequestRecord): Effect[] {
  if (!state.options.preemption || head.hasPreempted) return [];
  const clearings = cheapest(state, head.plan, head);
  if (clearings === undefined) return [];
  head.hasPreempted = true;
  const isSuspending = state.options.preemption === "suspend";
  const graceMs = isSuspending ? 0 : state.options.preemptionGraceMs;
  const devices = clearings.map((clearing) => clearing.device);
  const victims = [...new Set(clearings.flatMap((clearing) => clearing.victims))];
  const message = `The lease makes room for a request of priority [${head.request.priority ?? 0}].`;
  const effects = isSuspending
    ? victims.map((lease) => beginSuspension(state, lease, { message, comesBack: true, byAdmin: false }))
    : victims.flatMap((lease) =>
        giveNotice(state, lease, { notice: "preempted", graceMs, message, code: "LEASE_PREEMPTED" }),
      );
  keepFor(state, head, devices);
  return effects;
}
