/**
 * The RPCs of admin.proto over the broker. What must outlive a restart is stored first and takes effect then. It stands behind the
 * guard, which lets in admins alone and writes the audit log.
 */
import type { ServerWritableStream } from "@grpc/grpc-js";
import type { AdminServiceHandlers } from "../../proto/generated/sluice/v1/AdminService.ts";
import type { DrainRequest__Output as DrainRequest } from "../../proto/generated/sluice/v1/DrainRequest.ts";
import type { DrainResponse } from "../../proto/generated/sluice/v1/DrainResponse.ts";
import type { Quota__Output as QuotaMessage } from "../../proto/generated/sluice/v1/Quota.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { Cordon, Quota } from "../pool/types.ts";
import type { Span, TenantUsage } from "../store/ledger.ts";
import { type AccessCallsOptions, accessCalls } from "./access-calls.ts";
import type { Broker } from "./broker.ts";
import type { TenantTerms } from "./broker-options.ts";
import type { Clock } from "./clock.ts";
import { tenantMessages } from "./listings.ts";
import {
  checkTenant,
  checkText,
  checkTime,
  DURATION_MS_MAX,
  reservationMessage,
  toWish,
  WAIT_MS_MAX,
} from "./messages.ts";
import { type PriorityClasses, priorityOf } from "./request-terms.ts";
import { statusOf, unary } from "./unary.ts";

/** What must outlive a restart. */
export interface AdminStore {
  /** Never throws, since a device must be closed whatever the disk does. */
  saveCordon(deviceId: string, cordon: Cordon): void;
  dropCordon(deviceId: string): void;
  /** What it throws ends the call. */
  saveTenant(tenant: string, terms: TenantTerms): void;
}

export interface AdminServiceOptions extends AccessCallsOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly store: AdminStore;
  readonly priorityClasses: PriorityClasses;
  /** Use by tenant, the largest first; an empty tenant means all. */
  readonly usage: (span: Span, tenant: string) => readonly TenantUsage[];
}

const WEIGHT_MAX = 1_000_000;

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

export function adminService(options: AdminServiceOptions): AdminServiceHandlers {
  const { broker, store } = options;
  return {
    ...accessCalls(options),
    Cordon: unary(options, ({ deviceId, message }) => {
      broker.devices.check(deviceId);
      const why = checkText("message", message) || "An admin has cordoned the device.";
      const cordon = { code: "DEVICE_CORDONED", message: why } as const;
      store.saveCordon(deviceId, cordon);
      broker.devices.cordon(deviceId, cordon);
      return {};
    }),
    Uncordon: unary(options, ({ deviceId }) => {
      broker.devices.check(deviceId);
      store.dropCordon(deviceId);
      broker.devices.uncordon(deviceId);
      return {};
    }),
    Revoke: unary(options, ({ leaseId, graceMs, message }) => {
      const why = checkText("message", message) || "An admin takes the lease back.";
      return { endsAtMs: broker.revoke(leaseId, { graceMs: checkTime("grace", graceMs, WAIT_MS_MAX), message: why }) };
    }),
    Extend: unary(options, ({ leaseId, byMs }) => {
      if (byMs === 0) throw bad("A lease is extended by 1 ms or more.");
      return { endsAtMs: broker.extend(leaseId, checkTime("extension", byMs, DURATION_MS_MAX)) };
    }),
    Drain: (call) => drain(options, call),
    CancelQueued: unary(options, ({ id, message }) => {
      broker.queue.cancel(id, checkText("message", message) || "An admin cancels the request.");
      return {};
    }),
    SetPriority: unary(options, ({ id, ...wish }) => ({
      position: broker.queue.setPriority(id, priorityOf(wish, options.priorityClasses)),
    })),
    Reserve: unary(options, ({ tenant, request }) => {
      checkTenant("reservation", tenant);
      if (request === null) throw bad("The reservation does not say what is reserved.");
      const mode = request.mode === "SHARING_MODE_UNSPECIFIED" ? "SHARING_MODE_PROFILE" : request.mode;
      const asked = { ...request, mode, waitMs: 0, detached: false };
      return {
        reservation: reservationMessage(
          broker.reservations.make(toWish(asked, { tenant, classes: options.priorityClasses })),
        ),
      };
    }),
    Unreserve: unary(options, ({ reservationId }) => {
      broker.reservations.giveUp(reservationId);
      return {};
    }),
    ListReservations: unary(options, () => ({ reservations: broker.reservations.list().map(reservationMessage) })),
    SetQuota: unary(options, ({ tenant, quota, weight }) => {
      checkTenant("quota", tenant);
      if (!(weight >= 0 && weight <= WEIGHT_MAX)) {
        throw bad(`The weight [${weight}] is not above 0 and at most ${WEIGHT_MAX}.`);
      }
      const known = broker.tenants().find((other) => other.tenant === tenant);
      const terms = {
        weight: weight || (known?.weight ?? 1),
        quota: quota === null ? {} : quotaOf(quota, options.priorityClasses),
      };
      store.saveTenant(tenant, terms);
      broker.setTenant(tenant, terms);
      return {};
    }),
    ListQuotas: unary(options, () => ({ tenants: tenantMessages(broker) })),
    ListUsage: unary(options, ({ fromAtMs, toAtMs, tenant }) => {
      const span = { from: fromAtMs, to: toAtMs === 0 ? options.clock.now() : toAtMs };
      if (!(span.from >= 0 && span.from <= span.to)) {
        throw bad(`The span from [${span.from}] to [${span.to}] does not end behind its start.`);
      }
      return { tenants: [...options.usage(span, tenant)], fromAtMs: span.from, toAtMs: span.to };
    }),
  };
}

const counts = ["devices", "leases", "requests"] as const satisfies (keyof QuotaMessage & keyof Quota)[];

/** @throws SluiceError BAD_ARGUMENT with the field and its value */
function quotaOf(message: QuotaMessage, classes: PriorityClasses): Quota {
  const { memoryBytes, durationMs, priorityClass = "" } = message;
  const isBound = message.priority !== undefined || priorityClass !== "";
  const priority = isBound ? priorityOf({ priority: message.priority ?? 0, priorityClass }, classes) : undefined;
  if (memoryBytes !== undefined && !Number.isSafeInteger(memoryBytes))
    throw bad("The memory of a quota is above 2^53.");
  if (durationMs !== undefined && !(Number.isSafeInteger(durationMs) && durationMs >= 1)) {
    throw bad(`The longest lease of a quota is 1 ms or more, not [${durationMs}].`);
  }
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(durationMs === undefined ? {} : { durationMs }),
    ...(priority === undefined ? {} : { priority }),
    ...Object.fromEntries(counts.flatMap((name) => (message[name] === undefined ? [] : [[name, message[name]]]))),
  };
}

/** Closes the device, and tells the leases that are left until none is. */
function drain(options: AdminServiceOptions, call: ServerWritableStream<DrainRequest, DrainResponse>): void {
  const { broker, store } = options;
  const fail = (cause: unknown): void => {
    call.emit("error", statusOf(options, cause));
  };
  try {
    const { deviceId, message } = call.request;
    broker.devices.check(deviceId);
    const graceMs = checkTime("grace", call.request.graceMs, WAIT_MS_MAX);
    const why = checkText("message", message) || "An admin empties the device.";
    store.saveCordon(deviceId, { code: "DEVICE_CORDONED", message: why });
    const leave = broker.devices.drain(deviceId, {
      graceMs,
      message: why,
      left: (leaseIds) => {
        call.write({ leaseIds: [...leaseIds] });
        if (leaseIds.length === 0) call.end();
      },
      stopped: fail,
    });
    call.on("cancelled", leave);
  } catch (cause) {
    fail(cause);
  }
}
