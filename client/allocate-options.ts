/** What a program may ask for, checked here before anything is sent; the server checks again. */
import { randomUUID } from "node:crypto";
import type { AllocateRequest } from "../proto/generated/sluice/v1/AllocateRequest.ts";
import { SluiceError } from "../shared/errors.ts";
import {
  CONDITION_LENGTH_MAX,
  CONDITIONS_MAX,
  LEASES_PER_REQUEST_MAX,
  NAME_LENGTH_MAX,
  SLICES_PER_LEASE_MAX,
} from "../shared/limits.ts";
import { formatDuration, parseDuration, parseSize } from "../shared/units.ts";
import type { KnownOptions } from "./known-options.ts";
import { shown } from "./shown.ts";

const DAY_MS = 86_400_000;
const WAIT_MS_MAX = 30 * DAY_MS;

/** A size in bytes, or as text such as `4GiB`. */
export type Size = number | string;

/** A duration in milliseconds, or as text such as `30s`, `5m`, `1h30m`. */
export type Duration = number | string;

/** A priority as a number, or by its name on the server. */
export type Priority = number | string;

/** What is asked of the pool. One of `memory` and `fraction` says how much. */
export interface ShareOptions {
  /** Number of slices, each on a device of its own unless `sameDevice`. 1 to 16. Default 1. */
  readonly devices?: number;
  /** Size of each slice, rounded up to the device's granularity. */
  readonly memory?: Size;
  /** Part of each device's memory, above 0 and at most 1. */
  readonly fraction?: number;
  /**
   * Part of each device's time that is promised to the lease, at least 0.001 and at most 1, counted in thousandths and rounded down: what it gets at
   * least when it has work for all of it (the server's policy may also say: at most). Default: no promise, and an equal part of what
   * is promised to nobody.
   */
  readonly compute?: number;
  /**
   * How long to wait for capacity. Default 0: now or not at all. At most 30 days. Under `sluice run`, where the share is there: how long to wait for
   * a session while other processes have them; default there 35 s (the variable SLUICE_SESSION_WAIT), and 0 for those that the program has itself.
   */
  readonly wait?: Duration;
  /** A name for people, such as the job's. At most 128 characters. */
  readonly name?: string;
  /** The lease ends after this time whatever happens. Default: no bound. */
  readonly durationMax?: Duration;
  /** Whether several slices may lie on one device. Default false. */
  readonly sameDevice?: boolean;
  /**
   * `dynamic`: a part of each device, beside others. `exclusive`: whole devices with nothing beside the lease. `profile`: one of the fixed
   * slices into which an admin has cut the device, of at least the share. In the last two the share may be left out. Default `dynamic`.
   */
  readonly mode?: SharingModeName;
  /**
   * Which of the devices with room are taken. `pack`: those that leave the least behind. `spread`: the emptiest. `topology`: devices joined
   * by NVLink. Default: the server's.
   */
  readonly policy?: PolicyName;
  /**
   * Requests of higher priority are served first: a whole number from -100 to 100, or one of the names that the server has for them, such as
   * `low`, `normal` and `high`. Default 0.
   */
  readonly priority?: Priority;
  /**
   * Conditions that every device must meet, such as `device.name~A100`, `server.cuda-version>=12.4` or `label.zone=a`: a key, one of
   * = != >= <= > < ~, and a value. At most 32.
   */
  readonly filters?: readonly string[];
  /** Tainted devices that may be used: by the taint's label, as KEY or KEY=VALUE. At most 32. */
  readonly tolerate?: readonly string[];
  /** Devices that must not be used: by a label, as KEY or KEY=VALUE. At most 32. */
  readonly avoid?: readonly string[];
  /**
   * The lease ends when it makes no calls for so long and none of its kernels runs, after a notice (`lease.onNotice`). Default: the server's
   * idle time, which it cannot exceed; many servers have none.
   */
  readonly idleTimeout?: Duration;
  /** Id of a reservation of one's own: the lease is inside it or nowhere. The mode is then `profile`. */
  readonly reservation?: string;
}

export const shareOptions = {
  devices: "number",
  memory: "any",
  fraction: "number",
  compute: "number",
  wait: "any",
  name: "string",
  durationMax: "any",
  sameDevice: "boolean",
  mode: "any",
  policy: "any",
  priority: "any",
  filters: "texts",
  tolerate: "texts",
  avoid: "texts",
  idleTimeout: "any",
  reservation: "string",
} satisfies KnownOptions<ShareOptions>;

/** How a device is shared. */
export const sharingModes = ["dynamic", "exclusive", "profile"] as const;
export type SharingModeName = (typeof sharingModes)[number];

/** Which of the devices with room a request takes. */
export const policies = ["pack", "spread", "topology"] as const;
export type PolicyName = (typeof policies)[number];

const PRIORITY_MAX = 100;
const COMPUTE_MIN = 0.001;

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** @throws SluiceError BAD_ARGUMENT naming `what` */
export function milliseconds(what: string, value: Duration): number {
  const result = typeof value === "string" ? parseDuration(value, `The ${what}`) : value;
  if (!Number.isSafeInteger(result) || result < 0) {
    throw bad(`The ${what} is a whole number of milliseconds, 0 or more, and [${shown(value)}] is not.`);
  }
  return result;
}

export function sizeInBytes(value: Size, what = "memory of a slice"): number {
  const bytes = typeof value === "string" ? parseSize(value, `The ${what}`) : value;
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw bad(`The ${what} is a whole number of bytes, 1 or more, and [${shown(value)}] is not.`);
  }
  return bytes;
}

export function checkedFraction(value: number): number {
  if (typeof value !== "number" || !(value > 0 && value <= 1)) {
    throw bad(`A fraction of a device is above 0 and at most 1, and [${value}] is not.`);
  }
  return value;
}

export function checkedCompute(value: number): number {
  if (typeof value !== "number" || !(value >= COMPUTE_MIN && value <= 1)) {
    throw bad(`A compute share is at least [${COMPUTE_MIN}] and at most 1, and [${value}] is not.`);
  }
  return value;
}

export function checkedDevices(value: number): number {
  if (!Number.isInteger(value) || value < 1 || value > SLICES_PER_LEASE_MAX) {
    throw bad(`A lease has 1 to ${SLICES_PER_LEASE_MAX} devices, and [${value}] is not in that range.`);
  }
  return value;
}

export function checkedLeases(value: number): number {
  if (!Number.isInteger(value) || value < 1 || value > LEASES_PER_REQUEST_MAX) {
    throw bad(`A request is for 1 to ${LEASES_PER_REQUEST_MAX} processes, and [${value}] is not in that range.`);
  }
  return value;
}

/** The priority as messages have it: a number, or a name that the server knows. */
export function priorityFields(value: Priority): { readonly priority: number } | { readonly priorityClass: string } {
  if (typeof value === "string" && /^[A-Za-z][\w.-]{0,31}$/.test(value)) return { priorityClass: value };
  const number = typeof value === "string" && /^-?\d{1,3}$/.test(value) ? Number(value) : value;
  if (typeof number !== "number" || !Number.isInteger(number) || Math.abs(number) > PRIORITY_MAX) {
    throw bad(
      `A priority is a whole number from -${PRIORITY_MAX} to ${PRIORITY_MAX}, or the name of one, and [${shown(value)}] is not.`,
    );
  }
  return { priority: number };
}

function checkedConditions(what: string, texts: readonly string[] = []): string[] {
  if (texts.length > CONDITIONS_MAX) {
    throw bad(`A request has at most ${CONDITIONS_MAX} ${what}s, and this one [${texts.length}].`);
  }
  const wrong = texts.find((text) => text.length < 1 || text.length > CONDITION_LENGTH_MAX);
  if (wrong !== undefined) throw bad(`A ${what} has 1 to ${CONDITION_LENGTH_MAX} characters, not [${wrong.length}].`);
  return [...texts];
}

/** One of the words that are known, as the wire writes it. */
function worded<Word extends string>(what: string, words: readonly Word[], value: Word): Uppercase<Word> {
  if (!words.includes(value)) throw bad(`The ${what} [${shown(value)}] is none of [${words.join(", ")}].`);
  return value.toUpperCase() as Uppercase<Word>;
}

type Terms = Pick<
  AllocateRequest,
  | "mode"
  | "policy"
  | "priority"
  | "priorityClass"
  | "filters"
  | "tolerations"
  | "avoidedLabels"
  | "reservationId"
  | "compute"
>;

/** Which devices, and how. */
function termsOf(options: ShareOptions): Terms {
  const { mode, policy, priority = 0, filters, tolerate, avoid, reservation, compute } = options;
  return {
    ...(compute === undefined ? {} : { compute: checkedCompute(compute) }),
    ...(mode === undefined ? {} : { mode: `SHARING_MODE_${worded("mode", sharingModes, mode)}` }),
    ...(policy === undefined ? {} : { policy: `PLACEMENT_POLICY_${worded("policy", policies, policy)}` }),
    ...priorityFields(priority),
    filters: checkedConditions("filter", filters),
    tolerations: checkedConditions("toleration", tolerate),
    avoidedLabels: checkedConditions("label to avoid", avoid),
    ...(reservation === undefined ? {} : { reservationId: reservation }),
  };
}

/** How much of each device; nothing where the mode alone says it. */
function shareOf({
  memory,
  fraction,
  reservation,
  mode = reservation === undefined ? "dynamic" : "profile",
}: ShareOptions): Pick<AllocateRequest, "memoryBytes" | "fraction"> {
  if (memory !== undefined && fraction !== undefined) {
    throw bad(
      `A request names the memory of a slice or its fraction of a device, and both are given [${shown(memory)}, ${shown(fraction)}].`,
    );
  }
  if (memory !== undefined) return { memoryBytes: sizeInBytes(memory) };
  if (fraction !== undefined) return { fraction: checkedFraction(fraction) };
  if (mode === "dynamic")
    throw bad("A request names either the memory of a slice or its fraction of a device, and neither is given.");
  return {};
}

/** The request for the wire. @throws SluiceError BAD_ARGUMENT naming the value at fault. */
export function allocateRequest(
  options: ShareOptions,
  extra: { readonly detached?: boolean; readonly leases?: number } = {},
): AllocateRequest {
  const name = options.name ?? "";
  if (name.length > NAME_LENGTH_MAX)
    throw bad(`A name has at most ${NAME_LENGTH_MAX} characters, and this one [${name.length}].`);
  const waitMs = milliseconds("wait", options.wait ?? 0);
  if (waitMs > WAIT_MS_MAX) throw bad(`A request waits at most [30d], and [${formatDuration(waitMs)}] is longer.`);
  return {
    devices: checkedDevices(options.devices ?? 1),
    ...shareOf(options),
    ...termsOf(options),
    waitMs,
    sameDeviceAllowed: options.sameDevice ?? false,
    name,
    durationMaxMs: milliseconds("maximum duration", options.durationMax ?? 0),
    idleTimeoutMs: milliseconds("idle time", options.idleTimeout ?? 0),
    detached: extra.detached ?? false,
    leases: checkedLeases(extra.leases ?? 1),
    requestId: randomUUID(),
  };
}
