/**
 * Makes room for the first of the queue by ending leases of lower priority, after a notice and a grace. Happens once per request,
 * only where the pool's options allow it, and takes the lowest priorities first, among them the youngest leases.
 */

import { allOf, covers, freeOn, plus } from "./amount.ts";
import { heldOn, keepFor } from "./head-room.ts";
import { giveNotice } from "./leases.ts";
import { needOf, slicesWithin } from "./request.ts";
import type { DeviceRecord, LeaseRecord, Plan, PoolState, RequestRecord, ServerRecord } from "./state.ts";
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

/** The leases that must go from a device to make room for the head; undefined when that is not enough or not allowed. */
function clear(device: DeviceRecord, head: RequestRecord): Clearing | undefined {
  const { plan } = head;
  const fit = plan.fitOf.get(device.class);
  if (fit === undefined || device.removed || device.cordon !== undefined || plan.narrow?.has(device) === false)
    return undefined;
  const room = slicesWithin(fit, allOf(device.spec), plan.perDevice);
  const need = needOf(fit, room);
  const priority = head.request.priority ?? 0;
  const leases = [...device.leases].filter(
    (lease) => (lease.state === "ending" || lease.terms.priority < priority) && heldOn(lease, device).bytes > 0,
  );
  // What ends anyway costs nothing.
  leases.sort((a, b) => Number(b.state === "ending") - Number(a.state === "ending") || compareVictims(a, b));
  let free = freeOn(device);
  const victims: LeaseRecord[] = [];
  for (const lease of leases) {
    if (covers(free, need)) break;
    free = plus(free, heldOn(lease, device));
    if (lease.state !== "ending") victims.push(lease);
  }
  if (!covers(free, need)) return undefined;
  const bytes = victims.reduce((sum, lease) => sum + heldOn(lease, device).bytes, 0);
  return { device, victims, room, priority: Math.max(...victims.map((lease) => lease.terms.priority)), bytes };
}

/** The cheapest devices to clear on one server. */
function clearOnServer(server: ServerRecord, head: RequestRecord): Clearing[] | undefined {
  const found: Clearing[] = [];
  for (const device of server.devices) {
    const clearing = clear(device, head);
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
    const clearings = clearOnServer(server, head);
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
  const graceMs = state.options.preemptionGraceMs;
  const devices = clearings.map((clearing) => clearing.device);
  keepFor(state, { holder: head, devices, startsAt: state.now + graceMs });
  const victims = new Set(clearings.flatMap((clearing) => clearing.victims));
  const message = `The lease makes room for a request of priority [${head.request.priority ?? 0}].`;
  return [...victims].flatMap((lease) =>
    giveNotice(state, lease, { notice: "preempted", graceMs, message, code: "LEASE_PREEMPTED" }),
  );
}
