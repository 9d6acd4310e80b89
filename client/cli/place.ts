/** A place in the queue as a sentence for someone who waits. */
import type { QueuePlace } from "../control.ts";

export function describePlace(place: QueuePlace): string {
  const reasons = place.reasons.map((reason) => (reason.device === "" ? "" : `${reason.device}: `) + reason.message);
  return `Waiting, place ${place.position} in the queue.${reasons.length === 0 ? "" : ` ${reasons.join(" ")}`}`;
}
