/** What can be asked about a pool. Changes nothing that matters to any decision. */
import { estimatedStart } from "./estimates.ts";
import { usageNow } from "./fair-share.ts";
import { viewLease } from "./leases.ts";
import { findWaiting, inOrder, positionOf } from "./queue.ts";
import { reasonsFor } from "./reasons.ts";
import { refreshPlan } from "./request.ts";
import { viewReservation } from "./reservation.ts";
import type { DeviceRecord, PoolState, RequestRecord } from "./state.ts";
import type { DeviceListing, Lease, QueueListing, QueuePlace, ReservationListing, TenantListing } from "./types.ts";

/** All devices, in the order in which they were added. */
export const listDevices = (state: PoolState): DeviceListing[] => [...state.devices.values()].map(viewDevice);

export function findDevice(state: PoolState, id: string): DeviceListing | undefined {
  const device = state.devices.get(id);
  return device === undefined ? undefined : viewDevice(device);
}

function viewDevice(device: DeviceRecord): DeviceListing {
  return {
    device: device.spec,
    grantedBytes: device.grantedBytes,
    overheadBytes: device.overheadBytes,
    reservedBytes: device.reservedBytes,
    freeBytes: device.freeBytes,
    freeCompute: device.freeCompute,
    leases: [...device.leases].map((lease) => lease.terms.id),
    ...(device.cordon === undefined ? {} : { cordon: device.cordon }),
    draining: device.draining,
    removed: device.removed,
  };
}

/** All leases that hold memory or are suspended, the oldest first. */
export const listLeases = (state: PoolState): Lease[] => [...state.leases.values()].map(viewLease);

export function findLease(state: PoolState, id: string): Lease | undefined {
  const lease = state.leases.get(id);
  return lease === undefined ? undefined : viewLease(lease);
}

function viewRequest(state: PoolState, record: RequestRecord, position: number): QueueListing {
  const startsAt = estimatedStart(state, record, position);
  return {
    request: record.request,
    priority: record.priority,
    position,
    requestedAt: record.requestedAt,
    deadline: record.deadlineAt,
    ...(record.lease === undefined ? {} : { leaseId: record.lease.terms.id }),
    ...(startsAt === undefined ? {} : { startsAt }),
  };
}

/** All waiting requests in the order in which they would be served, then those in the lines of reservations. */
export function listQueue(state: PoolState): QueueListing[] {
  let position = 1;
  const listing: QueueListing[] = [];
  for (const record of inOrder(state)) listing.push(viewRequest(state, record, position++));
  for (const { waiting } of state.reservations.values()) {
    position = 1;
    for (const record of waiting) listing.push(viewRequest(state, record, position++));
  }
  return listing;
}

/** The first of the queue, and how many wait: what can be shown of a queue of any length. */
export function listQueueHead(state: PoolState, countMax: number): { first: QueueListing[]; waiting: number } {
  const first: QueueListing[] = [];
  for (const record of inOrder(state)) {
    if (first.length === countMax) break;
    first.push(viewRequest(state, record, first.length + 1));
  }
  const lines = [...state.reservations.values()].reduce((sum, { waiting }) => sum + waiting.size, 0);
  return { first, waiting: state.bands.reduce((sum, { size }) => sum + size, lines) };
}

export const listReservations = (state: PoolState): ReservationListing[] =>
  [...state.reservations.values()].map(viewReservation);

/** Where one request, or suspended lease, stands and why it waits; undefined when it does not wait. */
export function queuePlace(state: PoolState, id: string): QueuePlace | undefined {
  const record = findWaiting(state, id);
  if (record === undefined) return undefined;
  refreshPlan(state, record);
  return {
    ...viewRequest(state, record, positionOf(state, record)),
    reasons: reasonsFor(state, record),
  };
}

/** All tenants that the pool has heard of. */
export const listTenants = (state: PoolState): TenantListing[] =>
  [...state.tenants.values()].map((tenant) => ({
    tenant: tenant.name,
    weight: tenant.weight,
    quota: tenant.quota,
    heldBytes: tenant.heldBytes,
    heldSlices: tenant.sliceCount,
    leases: tenant.leaseCount,
    waiting: tenant.waitingCount,
    usage: usageNow(state, tenant),
  }));

/** When the pool next has something to do by itself: send a `tick` then. May be early, never late. */
export const nextDeadline = (state: PoolState): number | undefined => state.timers.next();
