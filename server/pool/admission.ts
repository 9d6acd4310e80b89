/** Whether a wish may wait or be held at all: refuses what is wrong, what a quota forbids, and what no device could ever serve. */
import { formatSize } from "../../shared/units.ts";
import { findPlace, slicesAt } from "./placement.ts";
import { tenantOf } from "./queue.ts";
import { quotaRefusal } from "./quota.ts";
import { impossibleReasons, reasonsFor } from "./reasons.ts";
import { checkRequest, isPossibleWithoutQuota, planFor, planWithoutQuota } from "./request.ts";
import { addReservation, countInside, fitsInside } from "./reservation.ts";
import type { PoolState, RequestRecord } from "./state.ts";
import type { Effect, PoolRequest } from "./types.ts";

export type Refused = Omit<Effect & { kind: "refused" }, "kind" | "id">;

/** Why the request is refused without waiting; undefined when it may wait. */
export function refusalOf(state: PoolState, wish: PoolRequest): Refused | undefined {
  const wrong = checkRequest(state, wish);
  if (wrong !== undefined) return { ...wrong, reasons: [] };
  if (state.shutdown !== undefined) {
    const message = "The server is stopping and grants no new leases.";
    return { code: "SHUTTING_DOWN", message, reasons: [] };
  }
  const overQuota = quotaRefusal(tenantOf(state, wish.tenant), wish);
  if (overQuota !== undefined) return quotaExceeded(overQuota);
  const impossible =
    wish.reservation === undefined ? impossibleIn(state, wish) : impossibleInside(state, wish, wish.reservation);
  if (impossible !== undefined) return impossible;
  if (state.requests.size >= state.options.queueEntriesMax) {
    const message = `The queue holds [${state.requests.size}] requests, as many as it may.`;
    return { code: "QUEUE_FULL", message, reasons: [] };
  }
  return undefined;
}

const quotaExceeded = (message: string): Refused => ({
  code: "QUOTA_EXCEEDED",
  message,
  reasons: [{ device: "", code: "QUOTA_EXCEEDED", message }],
});

/** Why no device could ever serve the request, or not within the tenant's quota. */
function impossibleIn(state: PoolState, wish: PoolRequest): Refused | undefined {
  const plan = planFor(state, wish);
  if (plan.possible) return undefined;
  const { memoryBytes } = tenantOf(state, wish.tenant).quota;
  if (memoryBytes !== undefined && isPossibleWithoutQuota(state, wish)) {
    return quotaExceeded(`The quota of the tenant allows [${formatSize(memoryBytes)}], less than the request takes.`);
  }
  const message =
    plan.leases === 1
      ? `No server has [${wish.count}] devices that could ever serve the request.`
      : `No server could ever have room for [${plan.leases}] leases of [${wish.count}] slices at once.`;
  return { code: "IMPOSSIBLE_REQUEST", message, reasons: impossibleReasons(state, plan, wish) };
}

/** Why the reservation that the request names could never serve it. */
function impossibleInside(state: PoolState, wish: PoolRequest, id: string): Refused | undefined {
  const reservation = state.reservations.get(id);
  if (reservation?.terms.tenant !== wish.tenant) {
    const message = `The tenant has no reservation [${id.replace(/[^\w-]/g, "?").slice(0, 64)}].`;
    return { code: "RESERVATION_NOT_FOUND", message, reasons: [] };
  }
  if (wish.mode !== "profile") {
    return { code: "BAD_ARGUMENT", message: "A request for a reservation has the mode [profile].", reasons: [] };
  }
  const plan = planWithoutQuota(state, wish);
  if (fitsInside(reservation, plan)) return undefined;
  const { all } = countInside(reservation, plan);
  const message = `The reservation [${id}] has [${all}] slices that could serve the request, which does not fit in them.`;
  return { code: "IMPOSSIBLE_REQUEST", message, reasons: [] };
}

/** Reserves fixed slices, or says why not. */
export function askReservation(state: PoolState, wish: PoolRequest): Effect[] {
  const { id, tenant, name, durationMs } = wish;
  if (state.reservations.has(id)) return [];
  const refusal = reservationRefusal(state, wish);
  if (refusal !== undefined) return [{ kind: "reserveRefused", id, ...refusal }];
  const plan = planFor(state, wish);
  const { quota, heldBytes } = tenantOf(state, tenant);
  if (quota.memoryBytes !== undefined && heldBytes + plan.costMostBytes > quota.memoryBytes) {
    const sizes = `holds [${formatSize(heldBytes)}], and its quota allows [${formatSize(quota.memoryBytes)}]`;
    return [{ kind: "reserveRefused", id, ...quotaExceeded(`The tenant ${sizes}.`) }];
  }
  const place = findPlace(state, plan);
  if (place === undefined) {
    const reasons = reasonsFor(state, newRecord(state, wish));
    const message = "No server has so many slices free on open devices now.";
    return [{ kind: "reserveRefused", id, code: "NO_CAPACITY", message, reasons }];
  }
  const end = durationMs === undefined ? {} : { endsAt: state.now + durationMs };
  const reservation = { id, tenant, name, slices: slicesAt(plan, place).flat(), createdAt: state.now, ...end };
  addReservation(state, reservation);
  return [{ kind: "reserved", reservation }];
}

function reservationRefusal(state: PoolState, wish: PoolRequest): Refused | undefined {
  const wrong = checkRequest(state, wish);
  if (wrong !== undefined) return { ...wrong, reasons: [] };
  if (wish.mode !== "profile" || wish.reservation !== undefined) {
    const message =
      "What is reserved are fixed slices of devices: the mode is [profile], and no other reservation is named.";
    return { code: "BAD_ARGUMENT", message, reasons: [] };
  }
  return impossibleIn(state, wish);
}

/** A request as it waits, before it is in any line. */
export function newRecord(state: PoolState, wish: PoolRequest): RequestRecord {
  const reservation = wish.reservation === undefined ? undefined : state.reservations.get(wish.reservation);
  const plan = (reservation === undefined ? planFor : planWithoutQuota)(state, wish);
  const requestedAt = Math.min(wish.requestedAt ?? state.now, state.now);
  return {
    request: wish,
    order: state.nextOrder++,
    tenant: tenantOf(state, wish.tenant),
    requestedAt,
    deadlineAt: requestedAt + wish.waitMs,
    costBytes: plan.costBytes,
    timer: undefined,
    promotion: undefined,
    priority: wish.priority ?? 0,
    plan,
    reservation,
    lease: undefined,
    passes: 0,
    hasPreempted: false,
  };
}
