/** The pool's words as the messages of pool.proto, and a request's message as the pool's words. */
import type { AllocateRequest__Output } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import type { Device as DeviceMessage } from "../../proto/generated/sluice/v1/Device.ts";
import type { DeviceHardware as HardwareMessage } from "../../proto/generated/sluice/v1/DeviceHardware.ts";
import type { Lease as LeaseMessage } from "../../proto/generated/sluice/v1/Lease.ts";
import type { Notice as NoticeMessage } from "../../proto/generated/sluice/v1/Notice.ts";
import type { QueueEntry as QueueEntryMessage } from "../../proto/generated/sluice/v1/QueueEntry.ts";
import type { Reservation as ReservationMessage } from "../../proto/generated/sluice/v1/Reservation.ts";
import type { Resized as ResizedMessage } from "../../proto/generated/sluice/v1/Resized.ts";
import type { Slice as SliceMessage } from "../../proto/generated/sluice/v1/Slice.ts";
import type { Suspension as SuspensionMessage } from "../../proto/generated/sluice/v1/Suspension.ts";
import type { Usage as UsageMessage } from "../../proto/generated/sluice/v1/Usage.ts";
import { type DeviceReason, SluiceError } from "../../shared/errors.ts";
import { LEASES_PER_REQUEST_MAX, NAME_LENGTH_MAX, SLICES_PER_LEASE_MAX } from "../../shared/limits.ts";
import { isPrintable } from "../../shared/printable.ts";
import type { DeviceDescription, DeviceDetails } from "../device/device.ts";
import {
  COMPUTE_WHOLE,
  type DeviceListing,
  type Lease,
  type QueuePlace,
  type ReservationListing,
  type Slice,
  type Suspension,
} from "../pool/types.ts";
import type { Wish } from "./broker-options.ts";
import type { CheckedHealth } from "./device-health.ts";
import type { LeaseRates } from "./lease-activity.ts";
import type { LeaseNotice, LeaseUsage, Resized } from "./lease-record.ts";
import { modeMessage, type PriorityClasses, shareOf, termsOf } from "./request-terms.ts";

const DAY_MS = 86_400_000;
export const WAIT_MS_MAX = 30 * DAY_MS;
/** Ten years: longer is no bound. */
export const DURATION_MS_MAX = 3_650 * DAY_MS;

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

export function checkText(field: string, text: string): string {
  if (text.length > NAME_LENGTH_MAX || !isPrintable(text)) {
    throw bad(`The ${field} has [${text.length}] characters of [${NAME_LENGTH_MAX}], or control characters.`);
  }
  return text;
}

/** @throws SluiceError BAD_ARGUMENT unless the text names a tenant; `whose` says in the message what is for it. */
export function checkTenant(whose: string, tenant: string): string {
  if (checkText("tenant", tenant).trim() === "") throw bad(`The ${whose} names no tenant.`);
  return tenant;
}

export function checkTime(field: string, value: number, max: number): number {
  if (!Number.isSafeInteger(value) || value < 0 || value > max) {
    throw bad(`The ${field} of [${value}] ms is not from 0 to ${max}.`);
  }
  return value;
}

/** @throws SluiceError BAD_ARGUMENT with the field and its value */
export function toWish(
  request: AllocateRequest__Output,
  caller: { readonly tenant: string; readonly tokenId?: string; readonly classes: PriorityClasses },
): Wish {
  const count = request.devices === 0 ? 1 : request.devices;
  if (count > SLICES_PER_LEASE_MAX)
    throw bad(`[${count}] devices are more than the [${SLICES_PER_LEASE_MAX}] of a lease.`);
  const leases = request.leases === 0 ? 1 : request.leases;
  if (leases > LEASES_PER_REQUEST_MAX)
    throw bad(`[${leases}] leases are more than the [${LEASES_PER_REQUEST_MAX}] of a request.`);
  const durationMs = checkTime("maximum duration", request.durationMaxMs, DURATION_MS_MAX);
  const idleMs = checkTime("idle time", request.idleTimeoutMs, DURATION_MS_MAX);
  if (request.detached && durationMs === 0) throw bad("A detached lease needs a maximum duration.");
  checkText("request id", request.requestId);
  return {
    tenant: caller.tenant,
    name: checkText("name", request.name),
    share: shareOf(request),
    count,
    ...(leases === 1 ? {} : { leases }),
    sameDevice: request.sameDeviceAllowed,
    waitMs: checkTime("wait", request.waitMs, WAIT_MS_MAX),
    detached: request.detached,
    ...termsOf(request, caller.classes),
    ...(caller.tokenId ? { tokenId: caller.tokenId } : {}),
    ...(durationMs === 0 ? {} : { durationMs }),
    ...(idleMs === 0 ? {} : { idleMs }),
  };
}

export const reasonMessages = (reasons: readonly DeviceReason[]): { device: string; code: string; message: string }[] =>
  reasons.map(({ device, code, message }) => ({ device, code, message }));

export const usageMessage = (usage: LeaseUsage): UsageMessage => ({ ...usage });

export const sliceMessage = ({ index, deviceId, bytes, overheadBytes, compute = 0 }: Slice): SliceMessage => ({
  index,
  deviceId,
  memoryBytes: bytes,
  overheadBytes,
  compute: compute / COMPUTE_WHOLE,
});

export function leaseMessage(
  lease: Lease,
  known: { readonly clientAddress: string; readonly usage: LeaseUsage; readonly activity: LeaseRates },
): LeaseMessage {
  const { suspension } = lease;
  return {
    id: lease.id,
    tenant: lease.tenant,
    name: lease.name,
    slices: lease.slices.map(sliceMessage),
    state: `LEASE_STATE_${stateOf(lease)}`,
    grantedAtMs: lease.grantedAt,
    endsAtMs: lease.endsAt ?? 0,
    heartbeatAtMs: lease.detached ? 0 : lease.lastBeatAt,
    usage: usageMessage(known.usage),
    detached: lease.detached,
    clientAddress: known.clientAddress,
    priority: lease.priority,
    reservationId: lease.reservation ?? "",
    idleTimeoutMs: lease.idleMs ?? 0,
    activity: { ...known.activity },
    ...(suspension === undefined ? {} : { suspension: suspensionMessage(suspension) }),
  };
}

function stateOf({ state, attached }: Lease): "GRANTED" | "ATTACHED" | Uppercase<Exclude<Lease["state"], "granting">> {
  if (state === "granted" || state === "granting") return attached ? "ATTACHED" : "GRANTED";
  return state.toUpperCase() as Uppercase<typeof state>;
}

export const suspensionMessage = (suspension: Suspension): SuspensionMessage => ({
  message: suspension.message,
  sinceAtMs: suspension.since,
  savedBytes: suspension.savedBytes,
  comesBack: suspension.comesBack,
  byAdmin: suspension.byAdmin,
  keptBytes: (suspension.keptBytes ?? []).reduce((sum, bytes) => sum + bytes, 0),
});

export function deviceMessage(
  listing: DeviceListing,
  known: {
    readonly description: DeviceDescription;
    readonly slices: number;
    readonly health: CheckedHealth | undefined;
  },
): DeviceMessage {
  const { description, slices, health } = known;
  const { sharing = { mode: "dynamic" }, labels = {}, taints = [] } = listing.device;
  return {
    id: description.id,
    kind: description.kind,
    name: description.name,
    memoryBytes: description.memoryBytes,
    grantedBytes: listing.grantedBytes,
    overheadBytes: listing.overheadBytes,
    reservedBytes: listing.reservedBytes,
    freeBytes: listing.freeBytes,
    freeCompute: listing.freeCompute / COMPUTE_WHOLE,
    granularityBytes: description.granularityBytes,
    slices,
    capability: `${description.capabilityMajor}.${description.capabilityMinor}`,
    overheadPerLeaseBytes: description.overheadBytes,
    sliceBytesMax: description.sliceBytesMax,
    mode: modeMessage(sharing.mode),
    profileBytes: sharing.mode === "profile" ? sharing.profileBytes : 0,
    labels: { ...labels },
    taints: [...taints],
    draining: listing.draining,
    ...(listing.cordon === undefined ? {} : { cordon: { device: description.id, ...listing.cordon } }),
    overheadEstimated: description.overheadEstimated ?? false,
    ...(description.details === undefined ? {} : { hardware: hardwareMessage(description.details) }),
    ...(health === undefined
      ? {}
      : { health: { ...health, problems: [...health.problems], throttling: [...health.throttling] } }),
  };
}

const hardwareMessage = ({ nvlink, ...details }: DeviceDetails): HardwareMessage => ({
  ...details,
  links: nvlink.map(({ device, links }) => ({ deviceId: device, links })),
});

export function queueMessage(place: QueuePlace, requestId: string): QueueEntryMessage {
  const { request, priority, position, requestedAt, deadline, reasons, startsAt = 0, leaseId = "" } = place;
  const { share, leases = 1 } = request;
  return {
    requestId,
    tenant: request.tenant,
    name: request.name,
    position,
    devices: request.count * leases,
    ...(share.kind === "bytes" ? { memoryBytes: share.bytes } : { fraction: share.fraction }),
    queuedAtMs: requestedAt,
    waitEndsAtMs: deadline === Number.POSITIVE_INFINITY ? 0 : deadline,
    reasons: reasonMessages(reasons),
    priority,
    startsAtMs: startsAt,
    id: request.id,
    reservationId: request.reservation ?? "",
    leases,
    leaseId,
    compute: (request.compute ?? 0) / COMPUTE_WHOLE,
  };
}

export const resizedMessage = ({ slice, revision }: Resized): ResizedMessage => ({
  slice: sliceMessage(slice),
  revision,
});

export const reservationMessage = (reservation: ReservationListing): ReservationMessage => ({
  id: reservation.id,
  tenant: reservation.tenant,
  name: reservation.name,
  slices: reservation.slices.map(({ deviceId, bytes, overheadBytes, leaseId = "" }) => {
    return { deviceId, memoryBytes: bytes, overheadBytes, leaseId };
  }),
  createdAtMs: reservation.createdAt,
  endsAtMs: reservation.endsAt ?? 0,
  waiting: reservation.waiting,
});

const noticeKinds = {
  shutdown: "NOTICE_KIND_SHUTTING_DOWN",
  revoked: "NOTICE_KIND_REVOKED",
  "time-almost-over": "NOTICE_KIND_TIME_ALMOST_OVER",
  idle: "NOTICE_KIND_IDLE",
  preempted: "NOTICE_KIND_PREEMPTED",
  "device-unhealthy": "NOTICE_KIND_DEVICE_UNHEALTHY",
  extended: "NOTICE_KIND_EXTENDED",
  suspended: "NOTICE_KIND_SUSPENDED",
  resumed: "NOTICE_KIND_RESUMED",
} as const satisfies Record<LeaseNotice["kind"], NoticeMessage["kind"]>;

export const noticeMessage = ({ kind, message, deadlineAtMs }: LeaseNotice): NoticeMessage => ({
  kind: noticeKinds[kind],
  message,
  deadlineAtMs,
});
