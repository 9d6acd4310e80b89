/** A place in the queue, and the reasons for it, as words for someone who waits. */
import type { DeviceReason, SluiceError } from "../../shared/errors.ts";
import type { QueuePlace } from "../control.ts";
import { note } from "./output.ts";

/** A server may have hundreds of devices: nobody reads the same reason a hundred times. */
const REASONS_MAX = 4;

type Reason = Pick<DeviceReason, "device" | "message">;

/** The reason as a sentence that names its device once. */
export const describeReason = ({ device, message }: Reason): string =>
  device === "" || message.includes(`[${device}]`) ? message : `${device}: ${message}`;

/** All reasons as sentences, in their order; what is the same of several devices of a server is said of the first, with their number. */
export function describeEveryReason<T extends Reason>(
  reasons: readonly T[],
  describe: (reason: T) => string,
): string[] {
  const alike = new Map<string, T[]>();
  for (const reason of reasons) {
    const server = /^.*\//.exec(reason.device)?.[0] ?? "";
    const key = server + reason.message.replaceAll(`[${reason.device}]`, "[]");
    const known = alike.get(key);
    if (known) known.push(reason);
    else alike.set(key, [reason]);
  }
  return [...alike.values()].map(([first, ...others]) => {
    const last = others.at(-1)?.device;
    const sentence = describe(first!);
    return last === undefined
      ? sentence
      : `${sentence} So it is with [${others.length}] more, the last of them [${last}].`;
  });
}

/** The first few reasons as sentences, and how many more there are. */
export function describeReasons(reasons: readonly Reason[]): string[] {
  const more = reasons.length - REASONS_MAX;
  const first = reasons.slice(0, REASONS_MAX).map(describeReason);
  return more > 0 ? [...first, `The other [${more}] devices: see \`sluice leases --json\`.`] : first;
}

/** As a time, not as a duration: the server's clock and this one may differ. */
export const describeStart = (startsAtMs: number): string =>
  `served by ${new Date(startsAtMs).toISOString()} at the latest`;

/** Of the first of the queue it is a promise, of the others an estimate. */
export const describeExpected = (startsAtMs: number, position: number): string =>
  position === 1 ? describeStart(startsAtMs) : `expected by ${new Date(startsAtMs).toISOString()}`;

export const describePlace = ({ position, startsAtMs, reasons, servers }: QueuePlace): string => {
  const start = startsAtMs === undefined ? "" : `, ${describeExpected(startsAtMs, position)}`;
  const places = servers?.map((each) => `${each.position} on ${each.name}`).join(", ");
  return [`Waiting, place ${places ?? `${position} in the queue`}${start}.`, ...describeReasons(reasons)].join(" ");
};

/** Says on stderr where a request stands while it waits. */
export const tellWaiting = {
  onQueued: (place: QueuePlace): void => note(describePlace(place)),
  onAway: (error: SluiceError): void => note(`${error.message} It is asked again; the request keeps its place.`),
};
