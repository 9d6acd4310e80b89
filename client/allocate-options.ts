/** What a program may ask for, checked here before anything is sent; the server checks again. */
import { randomUUID } from "node:crypto";
import type { AllocateRequest } from "../proto/generated/sluice/v1/AllocateRequest.ts";
import { SluiceError } from "../shared/errors.ts";
import { NAME_LENGTH_MAX, SLICES_PER_LEASE_MAX } from "../shared/limits.ts";
import { formatDuration, parseDuration, parseSize } from "../shared/units.ts";

const DAY_MS = 86_400_000;
const WAIT_MS_MAX = 30 * DAY_MS;

/** A size in bytes, or as text such as `4GiB`. */
export type Size = number | string;

/** A duration in milliseconds, or as text such as `30s`, `5m`, `1h30m`. */
export type Duration = number | string;

/** What is asked of the pool. Exactly one of `memory` and `fraction` says how much. */
export interface ShareOptions {
  /** Number of slices, each on a device of its own unless `sameDevice`. 1 to 16. Default 1. */
  readonly devices?: number;
  /** Size of each slice, rounded up to the device's granularity. */
  readonly memory?: Size;
  /** Part of each device's memory, above 0 and at most 1. */
  readonly fraction?: number;
  /** How long to wait for capacity. Default 0: now or not at all. At most 30 days. */
  readonly wait?: Duration;
  /** A name for people, such as the job's. At most 128 characters. */
  readonly name?: string;
  /** The lease ends after this time whatever happens. Default: no bound. */
  readonly durationMax?: Duration;
  /** Whether several slices may lie on one device. Default false. */
  readonly sameDevice?: boolean;
}

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

function milliseconds(what: string, value: Duration): number {
  const result = typeof value === "number" ? value : parseDuration(value);
  if (!Number.isSafeInteger(result) || result < 0) {
    throw bad(`The ${what} is a whole number of milliseconds, 0 or more, and [${value}] is not.`);
  }
  return result;
}

export function sizeInBytes(value: Size): number {
  const bytes = typeof value === "number" ? value : parseSize(value);
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw bad(`The memory of a slice is a whole number of bytes, 1 or more, and [${value}] is not.`);
  }
  return bytes;
}

export function checkedFraction(value: number): number {
  if (typeof value !== "number" || !(value > 0 && value <= 1)) {
    throw bad(`A fraction of a device is above 0 and at most 1, and [${value}] is not.`);
  }
  return value;
}

export function checkedDevices(value: number): number {
  if (!Number.isInteger(value) || value < 1 || value > SLICES_PER_LEASE_MAX) {
    throw bad(`A lease has 1 to ${SLICES_PER_LEASE_MAX} devices, and [${value}] is not in that range.`);
  }
  return value;
}

/** The request for the wire. @throws SluiceError BAD_ARGUMENT naming the value at fault. */
export function allocateRequest(options: ShareOptions, extra: { readonly detached?: boolean } = {}): AllocateRequest {
  const { memory, fraction } = options;
  if ((memory === undefined) === (fraction === undefined)) {
    const both = memory === undefined ? "neither is given" : `both are given [${memory}, ${fraction}]`;
    throw bad(`A request names either the memory of a slice or its fraction of a device, and ${both}.`);
  }
  const name = options.name ?? "";
  if (name.length > NAME_LENGTH_MAX)
    throw bad(`A name has at most ${NAME_LENGTH_MAX} characters, and this one [${name.length}].`);
  const waitMs = milliseconds("wait", options.wait ?? 0);
  if (waitMs > WAIT_MS_MAX) throw bad(`A request waits at most [30d], and [${formatDuration(waitMs)}] is longer.`);
  return {
    devices: checkedDevices(options.devices ?? 1),
    ...(memory === undefined ? { fraction: checkedFraction(fraction!) } : { memoryBytes: sizeInBytes(memory) }),
    waitMs,
    sameDeviceAllowed: options.sameDevice ?? false,
    name,
    durationMaxMs: milliseconds("maximum duration", options.durationMax ?? 0),
    detached: extra.detached ?? false,
    requestId: randomUUID(),
  };
}
