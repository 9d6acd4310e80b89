/** The clients whose requests are not decided yet: what they were told last, and news of their place in the queue. */
import type { SluiceError } from "../../shared/errors.ts";
import type { Lease, QueueListing, QueuePlace } from "../pool/types.ts";
import type { Clock } from "./clock.ts";

/** Places are told again at most this often: one event may move everyone. */
const TELL_INTERVAL_MS = 250;

/** Where a request stands. */
export type Place = Pick<QueuePlace, "position" | "reasons" | "startsAt">;

export interface Grant {
  readonly lease: Lease;
  readonly secret: Buffer;
  /** What the client should know about its slices. */
  readonly warnings: readonly string[];
}

export interface RequestListener {
  /** The client's own id of the request. */
  readonly requestId: string;
  /** With the pool's id of the request. */
  queued(id: string, place: Place): void;
  /** The last word, as `refused` is. False when the client is gone and did not get it. */
  granted(grant: Grant): boolean;
  refused(error: SluiceError): void;
}

interface Waiting {
  readonly listener: RequestListener;
  told: Pick<Place, "position" | "startsAt">;
}

export class WaitingRequests {
  readonly #clock: Clock;
  readonly #queue: { list(): readonly QueueListing[]; place(id: string): QueuePlace | undefined };
  readonly #byId = new Map<string, Waiting>();
  #cancelTimer: (() => void) | undefined;

  constructor(clock: Clock, queue: { list(): readonly QueueListing[]; place(id: string): QueuePlace | undefined }) {
    this.#clock = clock;
    this.#queue = queue;
  }

  add(id: string, listener: RequestListener): void {
    this.#byId.set(id, { listener, told: { position: 0 } });
  }

  /** Forgets a request; false when it was decided already. */
  remove(id: string): boolean {
    return this.#byId.delete(id);
  }

  /** The client's id of a request; empty when it is gone. */
  requestId(id: string): string {
    return this.#byId.get(id)?.listener.requestId ?? "";
  }

  queued(id: string, place: Place): void {
    const waiting = this.#byId.get(id);
    if (waiting === undefined) return;
    waiting.told = place;
    waiting.listener.queued(id, place);
  }

  refuse(id: string, error: SluiceError): void {
    const waiting = this.#byId.get(id);
    this.#byId.delete(id);
    waiting?.listener.refused(error);
  }

  /** False when the client did not get it. */
  grant(id: string, grant: Grant): boolean {
    const waiting = this.#byId.get(id);
    this.#byId.delete(id);
    return waiting?.listener.granted(grant) ?? false;
  }

  /** Tells, soon and once, every client whose place or start has changed. */
  tellChanges(): void {
    if (this.#byId.size === 0 || this.#cancelTimer !== undefined) return;
    this.#cancelTimer = this.#clock.schedule(TELL_INTERVAL_MS, () => {
      this.#cancelTimer = undefined;
      for (const { request, position } of this.#queue.list()) {
        const told = this.#byId.get(request.id)?.told;
        // The start is known for the first alone.
        if (told?.position === position && position > 1) continue;
        const place = this.#queue.place(request.id);
        if (place === undefined) continue;
        if (told?.position !== position || told.startsAt !== place.startsAt) this.queued(request.id, place);
      }
    });
  }

  /** Tells nothing any more. */
  close(): void {
    this.#cancelTimer?.();
    this.#byId.clear();
  }
}
