/** Events of a device that has done everything by the time a call returns: a recording is a point in time. */
import { SluiceError } from "../../../shared/errors.ts";
import type { DeviceEvent } from "../device.ts";

/** CU_EVENT_DISABLE_TIMING */
const WITHOUT_TIMING = 2;

interface Recorded {
  readonly hasTiming: boolean;
  at: number | undefined;
}

export class EventBook {
  readonly #events = new WeakMap<DeviceEvent, Recorded>();

  create(flags: number): DeviceEvent {
    const event: DeviceEvent = { kind: "event" };
    this.#events.set(event, { hasTiming: (flags & WITHOUT_TIMING) === 0, at: undefined });
    return event;
  }

  destroy(event: DeviceEvent): void {
    this.#events.delete(event);
  }

  record(event: DeviceEvent): void {
    this.#find(event).at = performance.now();
  }

  /** Milliseconds from one recording to the other. */
  elapsed(start: DeviceEvent, end: DeviceEvent): number {
    const [from, to] = [this.#find(start), this.#find(end)];
    if (!from.hasTiming || !to.hasTiming) throw new SluiceError("BAD_ARGUMENT", "An event takes no time stamps.");
    if (from.at === undefined || to.at === undefined)
      throw new SluiceError("BAD_ARGUMENT", "An event is not recorded.");
    return to.at - from.at;
  }

  #find(event: DeviceEvent): Recorded {
    const recorded = this.#events.get(event);
    if (recorded === undefined) throw new Error("the event is destroyed or of another device");
    return recorded;
  }
}
