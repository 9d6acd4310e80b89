/** A place in the queue, and the reasons for it, as words for someone who waits. */
import type { DeviceReason } from "../../shared/errors.ts";
import type { QueuePlace } from "../control.ts";

/** The reason as a sentence that names its device once. */
export const describeReason = ({ device, message }: Pick<DeviceReason, "device" | "message">): string =>
  device === "" || message.includes(`[${device}]`) ? message : `${device}: ${message}`;

export const describePlace = (place: QueuePlace): string =>
  [`Waiting, place ${place.position} in the queue.`, ...place.reasons.map(describeReason)].join(" ");
