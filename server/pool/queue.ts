/**
 * Who waits, in which order. Higher priority first; inside a priority the tenant that has had the least (fair-share.ts); inside a
 * tenant first come, first served. A request that was first and found no room stays first of its priority (`band.head`). The
 * order of all is that in which requests would be granted if there were room for one after the other now.
 */
import { fairKey, keyStep, needsNewEpoch, settle, startEpoch } from "./fair-share.ts";
import { clearHeadRoom } from "./inventory.ts";
import { OrderedTree } from "./ordered-tree.ts";
import { quotaObstacle } from "./quota.ts";
import type { Band, PoolState, RequestRecord, TenantQueue, TenantRecord } from "./state.ts";

/** How often the use of a tenant that both holds and waits is brought up to date. */
const SETTLE_MS = 10_000;

const byKey = (a: TenantQueue, b: TenantQueue): number => a.key - b.key || a.firstOrder - b.firstOrder;

export function tenantOf(state: PoolState, name: string): TenantRecord {
  let found = state.tenants.get(name);
  if (found === undefined) {
    const counts = { heldBytes: 0, sliceCount: 0, leaseCount: 0, waitingCount: 0 };
    const use = { weight: 1, quota: {}, usage: 0, settledAt: state.now };
    found = { name, ...use, ...counts, queues: new Map(), reservations: new Set(), timer: undefined };
    state.tenants.set(name, found);
  }
  return found;
}

function bandOf(state: PoolState, priority: number): Band {
  const at = state.bands.findIndex((band) => band.priority <= priority);
  const found = at < 0 ? undefined : state.bands[at];
  if (found?.priority === priority) return found;
  const trees = { tenants: new OrderedTree(byKey), parked: new OrderedTree(byKey) };
  const band: Band = { priority, ...trees, size: 0, head: undefined };
  state.bands.splice(at < 0 ? state.bands.length : at, 0, band);
  return band;
}

function queueOf(tenant: TenantRecord, band: Band): TenantQueue {
  let found = tenant.queues.get(band.priority);
  if (found === undefined) {
    const requests = new OrderedTree<RequestRecord>(
      (a, b) => a.order - b.order,
      (record) => record.costBytes,
    );
    found = { tenant, band, requests, key: 0, firstOrder: 0, first: undefined, step: 0, filedIn: undefined };
    tenant.queues.set(band.priority, found);
  }
  return found;
}

function unfile(queue: TenantQueue): void {
  queue.filedIn?.remove(queue);
  queue.filedIn = undefined;
}

function file(state: PoolState, queue: TenantQueue): void {
  const { tenant, band } = queue;
  const first = queue.requests.first();
  if (first === undefined) {
    tenant.queues.delete(band.priority);
    return;
  }
  queue.key = fairKey(state, tenant);
  queue.step = keyStep(state, tenant);
  queue.firstOrder = first.order;
  queue.first = first;
  queue.filedIn = quotaObstacle(first) === undefined ? band.tenants : band.parked;
  queue.filedIn.insert(queue);
  if (queue.filedIn === band.tenants || band.head?.tenant !== tenant) return;
  // Nothing is kept for a request that its own tenant's quota holds up.
  band.head = undefined;
  state.passNeeded = true;
}

function refile(state: PoolState, queue: TenantQueue): void {
  unfile(queue);
  file(state, queue);
}

function newEpoch(state: PoolState): void {
  const queues = [...state.tenants.values()].flatMap((tenant) => [...tenant.queues.values()]);
  for (const queue of queues) unfile(queue);
  startEpoch(state);
  for (const queue of queues) file(state, queue);
}

/** Finds the tenant's places in the queue anew. */
export function refileTenant(state: PoolState, tenant: TenantRecord): void {
  for (const queue of tenant.queues.values()) refile(state, queue);
}

/** Brings a tenant's use and its places in the queue up to date, and sees to it that this happens again in time. */
export function settleTenant(state: PoolState, tenant: TenantRecord): void {
  if (needsNewEpoch(state)) newEpoch(state);
  settle(state, tenant);
  refileTenant(state, tenant);
  state.timers.cancel(tenant.timer);
  const moves = tenant.heldBytes > 0 && tenant.queues.size > 0;
  tenant.timer = moves ? state.timers.add(state.now + SETTLE_MS, { kind: "settle", tenant }) : undefined;
}

/** Changes what a tenant holds, settling its use first. */
export function changeHeld(
  state: PoolState,
  tenant: TenantRecord,
  change: { readonly bytes: number; readonly slices: number; readonly leases: number },
): void {
  settle(state, tenant);
  tenant.heldBytes += change.bytes;
  tenant.sliceCount += change.slices;
  tenant.leaseCount += change.leases;
  settleTenant(state, tenant);
}

/** All waiting requests of a tenant, and suspended leases of it that wait. */
export const waitingOf = (tenant: TenantRecord): RequestRecord[] => [
  ...[...tenant.reservations].flatMap(({ waiting }) => [...waiting]),
  ...[...tenant.queues.values()].flatMap((queue) => [...queue.requests]),
];

export function enqueue(state: PoolState, record: RequestRecord): void {
  // A lease that comes back is no request: it has been granted.
  if (record.lease === undefined) {
    record.tenant.waitingCount++;
    state.requests.set(record.request.id, record);
  }
  if (record.reservation !== undefined) {
    record.reservation.waiting.insert(record);
    state.toServe.add(record.reservation);
    return;
  }
  const band = bandOf(state, record.priority);
  const queue = queueOf(record.tenant, band);
  queue.requests.insert(record);
  band.size++;
  if (queue.requests.size === 1) settleTenant(state, record.tenant);
  else if (queue.requests.first() === record) refile(state, queue);
}

export function dequeue(state: PoolState, record: RequestRecord): void {
  if (record.lease === undefined) {
    record.tenant.waitingCount--;
    state.requests.delete(record.request.id);
  }
  state.timers.cancel(record.timer);
  state.timers.cancel(record.promotion);
  if (record.reservation !== undefined) {
    record.reservation.waiting.remove(record);
    state.toServe.add(record.reservation);
    return;
  }
  const band = bandOf(state, record.priority);
  const queue = queueOf(record.tenant, band);
  const wasFirst = queue.requests.first() === record;
  // The queue's place in the band depends on its first request alone.
  if (wasFirst) unfile(queue);
  queue.requests.remove(record);
  if (wasFirst) file(state, queue);
  band.size--;
  if (band.head === record) band.head = undefined;
  if (band.size === 0) state.bands.splice(state.bands.indexOf(band), 1);
}

/** Takes a request out of the queue; what was kept for it is free. */
export function removeRequest(state: PoolState, record: RequestRecord): void {
  if (state.headRoom?.holder === record) {
    clearHeadRoom(state);
    state.passNeeded = true;
  }
  const queue = record.reservation === undefined ? record.tenant.queues.get(record.priority) : undefined;
  // The tenant's next may take less of the quota that held this one up.
  if (queue?.first === record && queue.filedIn === queue.band.parked) state.passNeeded = true;
  dequeue(state, record);
  // Whoever is behind it may be served where something is reserved.
  if (record.request.mode === "profile") for (const own of record.tenant.reservations) state.toServe.add(own);
  if (record.lease?.suspension !== undefined) record.lease.suspension.comeback = undefined;
}

/** The request with this id that waits, or the suspended lease. */
export const findWaiting = (state: PoolState, id: string): RequestRecord | undefined =>
  state.requests.get(id) ?? state.leases.get(id)?.suspension?.comeback;

/** Moves a waiting request to those of another priority, as if it had come there in the beginning. */
export function setPriority(state: PoolState, record: RequestRecord, priority: number): void {
  if (priority === record.priority) return;
  const promotesAt = record.promotion?.at ?? state.now + state.options.promoteAfterMs;
  dequeue(state, record);
  record.priority = priority;
  enqueue(state, record);
  if (record.lease === undefined) record.timer = state.timers.add(record.deadlineAt, { kind: "wait", request: record });
  record.promotion = state.timers.add(promotesAt, { kind: "promote", request: record });
  state.passNeeded = true;
}

/** A request that has waited long joins those of the next higher priority. */
export function promote(state: PoolState, record: RequestRecord): void {
  // In the line of a reservation there are only the tenant's own.
  if (record.reservation !== undefined) return;
  const above = state.bands.findLast((band) => band.priority > record.priority);
  record.promotion = state.timers.add(state.now + state.options.promoteAfterMs, { kind: "promote", request: record });
  if (above !== undefined) setPriority(state, record, above.priority);
}

/** A tenant's place in the merge of all tenants. */
interface Cursor {
  readonly request: RequestRecord;
  /** Cost of the tenant's requests before this one, and the fair-share key that it has after them. */
  readonly ahead: number;
  readonly key: number;
  /** How much the key grows per byte of cost. */
  readonly step: number;
  readonly queue: TenantQueue;
  /** The tenant's requests after this one; undefined: all but the first. */
  readonly rest: Iterator<RequestRecord> | undefined;
}

const cursorBefore = (a: Cursor, b: { key: number; order: number }): boolean =>
  a.key < b.key || (a.key === b.key && a.request.order < b.order);

/** The open cursors of a merge, the next one last. */
class Merge {
  readonly #cursors: Cursor[] = [];

  get next(): Cursor | undefined {
    return this.#cursors.at(-1);
  }

  put(cursor: Cursor): void {
    let low = 0;
    let high = this.#cursors.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cursorBefore(cursor, { key: this.#cursors[middle]!.key, order: this.#cursors[middle]!.request.order })) {
        low = middle + 1;
      } else high = middle;
    }
    this.#cursors.splice(low, 0, cursor);
  }

  take(): Cursor {
    return this.#cursors.pop()!;
  }
}

function* inBand(band: Band): IterableIterator<RequestRecord> {
  const { head } = band;
  if (head !== undefined) yield head;
  for (const request of merged(band.tenants)) if (request !== head) yield request;
  yield* merged(band.parked);
}

/** The requests of all tenants of a tree in the order in which they would be served. */
function* merged(tenants: OrderedTree<TenantQueue>): IterableIterator<RequestRecord> {
  const merge = new Merge();
  const queues = tenants[Symbol.iterator]();
  let pending = queues.next();
  for (;;) {
    while (!pending.done) {
      const queue: TenantQueue = pending.value;
      const next = merge.next;
      if (next !== undefined && cursorBefore(next, { key: queue.key, order: queue.firstOrder })) break;
      merge.put({ request: queue.first!, ahead: 0, key: queue.key, step: queue.step, queue, rest: undefined });
      pending = queues.next();
    }
    if (merge.next === undefined) return;
    const cursor = merge.take();
    const { request, queue, step } = cursor;
    yield request;
    const rest = cursor.rest ?? behindFirst(queue);
    const following = rest.next();
    if (!following.done) {
      const ahead = cursor.ahead + request.costBytes;
      merge.put({ request: following.value, ahead, key: queue.key + ahead * step, step, queue, rest });
    }
  }
}

function behindFirst(queue: TenantQueue): Iterator<RequestRecord> {
  const requests = queue.requests[Symbol.iterator]();
  requests.next();
  return requests;
}

/** All waiting requests, the next one first; within a priority, those that wait for a quota come last. The queue must not change while this runs. */
export function* inOrder(state: PoolState): IterableIterator<RequestRecord> {
  for (const band of state.bands) yield* inBand(band);
}

/** The request that is served next; undefined when none waits but for quotas. */
export function firstInOrder(state: PoolState): RequestRecord | undefined {
  for (const band of state.bands) {
    const first = band.head ?? band.tenants.first()?.first;
    if (first !== undefined) return first;
  }
  return undefined;
}

export const bandOfRequest = (state: PoolState, record: RequestRecord): Band => bandOf(state, record.priority);

/** The place of a waiting request in the order of all, or in the line of its reservation, from 1. */
export function positionOf(state: PoolState, record: RequestRecord): number {
  if (record.reservation !== undefined) return record.reservation.waiting.rank(record) + 1;
  let ahead = 0;
  for (const band of state.bands) {
    if (band.priority > record.priority) {
      ahead += band.size;
      continue;
    }
    return ahead + positionInBand(band, record);
  }
  throw new Error("The request is in no band.");
}

function positionInBand(band: Band, record: RequestRecord): number {
  const { head } = band;
  if (head === record) return 1;
  const own = queueOf(record.tenant, band);
  const key = own.key + own.requests.weightBefore(record) * own.step;
  let ahead = own.requests.rank(record);
  let other = own;
  const isBefore = (weightAhead: number, candidate: RequestRecord): boolean => {
    const otherKey = other.key + weightAhead * other.step;
    return otherKey < key || (otherKey === key && candidate.order < record.order);
  };
  let headIsAhead = head === undefined || (head.tenant === record.tenant && head.order < record.order);
  for (other of own.filedIn!) {
    if (other === own) continue;
    if (other.key > key) break;
    const isAllBefore = other.key + other.requests.weight * other.step < key;
    ahead += isAllBefore ? other.requests.size : other.requests.countLeading(isBefore);
    if (head?.tenant === other.tenant && isBefore(other.requests.weightBefore(head), head)) headIsAhead = true;
  }
  if (own.filedIn === band.tenants) return ahead + 1 + (headIsAhead ? 0 : 1);
  let parked = 0;
  for (const queue of band.parked) parked += queue.requests.size;
  return band.size - parked + ahead + 1;
}
