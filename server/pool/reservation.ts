/**
 * Reservations: fixed slices that a tenant holds whether or not a lease uses them, for as long as the reservation lives. Leases inside
 * one take its slices and give them back to it. Requests that name one wait in its own line, and in nobody's way; the tenant's other
 * requests for fixed slices are served inside where they can be, and wait for the rest of the pool too.
 */
import { amountOf, covers, freeOn } from "./amount.ts";
import { reserveSlice, unreserveSlice } from "./inventory.ts";
import { endOf } from "./leases.ts";
import { OrderedTree } from "./ordered-tree.ts";
import { deal } from "./placement.ts";
import { changeHeld, tenantOf } from "./queue.ts";
import { isUsable } from "./request.ts";
import type { LeaseRecord, Plan, PoolState, RequestRecord, ReservationRecord, ReservedSlice } from "./state.ts";
import type { Effect, Reservation, ReservationListing, Slice } from "./types.ts";

const sizeOf = (slice: Slice): number => slice.bytes + slice.overheadBytes;

/** Takes what is reserved from the devices, as far as they are there and have it free; what they have not is left out. */
export function addReservation(state: PoolState, terms: Reservation): ReservationRecord {
  const waiting = new OrderedTree<RequestRecord>((a, b) => b.priority - a.priority || a.order - b.order);
  const slices: ReservedSlice[] = [];
  for (const slice of terms.slices) {
    const device = state.devices.get(slice.deviceId);
    if (device === undefined || device.removed || !covers(freeOn(device), amountOf(slice))) continue;
    reserveSlice(device, slice);
    slices.push({ slice, device, lease: undefined });
  }
  const tenant = tenantOf(state, terms.tenant);
  const record: ReservationRecord = { terms, tenant, slices, waiting, timer: undefined };
  if (terms.endsAt !== undefined)
    record.timer = state.timers.add(terms.endsAt, { kind: "reservation", reservation: record });
  state.reservations.set(terms.id, record);
  tenant.reservations.add(record);
  const bytes = slices.reduce((sum, { slice }) => sum + sizeOf(slice), 0);
  changeHeld(state, tenant, { bytes, slices: 0, leases: 0 });
  state.toServe.add(record);
  return record;
}

/** Gives a reserved slice up: to the pool at once, or when the lease in it ends. */
function giveUp(state: PoolState, record: ReservationRecord, reserved: ReservedSlice): void {
  const { device, slice, lease } = reserved;
  if (lease !== undefined) {
    lease.reserved = lease.reserved?.map((one) => (one === reserved ? undefined : one));
    return;
  }
  unreserveSlice(device, slice);
  changeHeld(state, record.tenant, { bytes: -sizeOf(slice), slices: 0, leases: 0 });
}

/** Ends a reservation. Leases in it run on, and their slices are free when they end. Who waits in its line is the caller's. */
export function dropReservation(state: PoolState, record: ReservationRecord): Effect {
  state.timers.cancel(record.timer);
  state.reservations.delete(record.terms.id);
  record.tenant.reservations.delete(record);
  state.toServe.delete(record);
  for (const reserved of record.slices) giveUp(state, record, reserved);
  state.passNeeded = true;
  return { kind: "reservationEnded", id: record.terms.id };
}

/** A device leaves for good: what was reserved on it is gone. */
export function forgetReservedOn(state: PoolState, deviceId: string): void {
  for (const record of state.reservations.values()) {
    const gone = record.slices.filter(({ slice }) => slice.deviceId === deviceId);
    if (gone.length === 0) continue;
    record.slices = record.slices.filter((reserved) => !gone.includes(reserved));
    for (const reserved of gone) giveUp(state, record, reserved);
  }
}

/** Reserved slices for all that the plan wants, those for which `free` holds; undefined when there are too few. */
function choose(
  record: ReservationRecord,
  plan: Plan,
  free: (reserved: ReservedSlice) => boolean,
): ReservedSlice[] | undefined {
  const taken: ReservedSlice[] = [];
  for (const reserved of record.slices) {
    const { device } = reserved;
    if (!plan.fitOf.has(device.class) || plan.narrow?.has(device) === false || !free(reserved)) continue;
    if (taken.filter((other) => other.device === device).length >= plan.perDevice) continue;
    taken.push(reserved);
    if (taken.length === plan.count) return taken;
  }
  return undefined;
}

/** Slices that a request can have inside now; those on one device stand together. */
export const placeInside = (record: ReservationRecord, plan: Plan): ReservedSlice[] | undefined =>
  choose(record, plan, ({ lease, device }) => lease === undefined && isUsable(device))?.sort(
    (a, b) => a.device.order - b.device.order,
  );

/** The slices of each of several leases that are given these. */
export const slicesInside = (inside: readonly ReservedSlice[], leases: number): Slice[][] =>
  deal(inside, leases).map((part) => part.map(({ slice }, index) => ({ ...slice, index })));

/** Whether the request fits inside when no lease is there. */
export const fitsInside = (record: ReservationRecord, plan: Plan): boolean =>
  choose(record, plan, () => true) !== undefined;

/** Reserved slices that are free and that the plan could use, and all of those. */
export function countInside(record: ReservationRecord, plan: Plan): { readonly free: number; readonly all: number } {
  const suitable = record.slices.filter(
    ({ device }) => plan.fitOf.has(device.class) && plan.narrow?.has(device) !== false,
  );
  const free = suitable.filter(({ lease, device }) => lease === undefined && isUsable(device));
  return { free: free.length, all: suitable.length };
}

/** Leases inside that would have to end for the plan to have room, those that end first, and when they have where that is known. */
export function blockersInside(
  state: PoolState,
  record: ReservationRecord,
  plan: Plan,
): { readonly blockers: string[]; readonly startsAt?: number } {
  const leases = new Set<LeaseRecord>();
  for (const { lease } of record.slices) if (lease !== undefined) leases.add(lease);
  const ends = [...leases].map((lease) => ({ lease, at: endOf(state, lease) }));
  ends.sort((a, b) => (a.at === b.at ? 0 : a.at - b.at));
  const gone = new Set<LeaseRecord>();
  for (const { lease, at } of ends) {
    gone.add(lease);
    const isFree = (one: ReservedSlice): boolean =>
      isUsable(one.device) && (one.lease === undefined || gone.has(one.lease));
    if (choose(record, plan, isFree) === undefined) continue;
    const blockers = [...gone].map(({ terms }) => terms.id);
    return { blockers, ...(at === Number.POSITIVE_INFINITY ? {} : { startsAt: at }) };
  }
  return { blockers: [] };
}

/** The reserved slices that a lease of the store had, or a suspended one, or undefined when they are not all there and free. */
export function slicesAgain(record: ReservationRecord, slices: readonly Slice[]): ReservedSlice[] | undefined {
  const taken: ReservedSlice[] = [];
  for (const slice of slices) {
    const found = record.slices.find(
      (one) =>
        one.lease === undefined &&
        !taken.includes(one) &&
        one.slice.deviceId === slice.deviceId &&
        sizeOf(one.slice) === sizeOf(slice),
    );
    if (found === undefined) return undefined;
    taken.push(found);
  }
  return taken;
}

export const viewReservation = (record: ReservationRecord): ReservationListing => ({
  ...record.terms,
  slices: record.slices.map(({ slice, lease }) => ({
    ...slice,
    ...(lease === undefined ? {} : { leaseId: lease.terms.id }),
  })),
  waiting: record.waiting.size,
});
