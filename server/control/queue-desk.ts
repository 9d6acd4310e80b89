/** The queue towards the world: what is shown of it, and what an admin does to a request that waits. */
import { SluiceError } from "../../shared/errors.ts";
import { QUEUE_SHOWN_MAX } from "../../shared/limits.ts";
import { explainWaiting, listQueue, listQueueHead, type PoolState, queuePlace } from "../pool/pool.ts";
import type { Explanation, PoolEvent, QueuePlace } from "../pool/types.ts";
import type { WaitingRequests } from "./waiting-requests.ts";

/** A request that waits, with its client's own id of it. */
export interface QueuedRequest {
  readonly place: QueuePlace;
  readonly requestId: string;
}

export interface QueueDeskOptions {
  readonly pool: PoolState;
  readonly waiting: WaitingRequests;
  readonly apply: (event: PoolEvent) => void;
}

export class QueueDesk {
  readonly #options: QueueDeskOptions;

  constructor(options: QueueDeskOptions) {
    this.#options = options;
  }

  /** The first of the queue, without reasons, and how many wait. */
  head(countMax: number): { first: QueuedRequest[]; waiting: number } {
    const { pool, waiting } = this.#options;
    const head = listQueueHead(pool, countMax);
    const first = head.first.map((listing) => ({
      place: { ...listing, reasons: [] },
      requestId: waiting.requestId(listing.request.id),
    }));
    return { first, waiting: head.waiting };
  }

  /** All that wait; the first of them with the reasons. */
  list(): QueuedRequest[] {
    const { pool, waiting } = this.#options;
    return listQueue(pool).map((listing, index) => ({
      place: index < QUEUE_SHOWN_MAX ? queuePlace(pool, listing.request.id)! : { ...listing, reasons: [] },
      requestId: waiting.requestId(listing.request.id),
    }));
  }

  /** Why a request waits, and whose it is. Throws REQUEST_NOT_FOUND. */
  explain(id: string): { readonly explanation: Explanation; readonly tenant: string } {
    this.#requireWaiting(id);
    const { pool } = this.#options;
    return { explanation: explainWaiting(pool, id)!, tenant: queuePlace(pool, id)!.request.tenant };
  }

  /** Takes a request out of the queue. Throws REQUEST_NOT_FOUND, and BAD_ARGUMENT for a suspended lease. */
  cancel(id: string, message: string): void {
    this.#requireRequest(id);
    this.#options.apply({ kind: "cancelled", id, message });
  }

  /** Gives a waiting request another priority; returns its place then, 0 when it was granted. Throws as `cancel` does. */
  setPriority(id: string, priority: number): number {
    this.#requireRequest(id);
    const { pool, waiting, apply } = this.#options;
    apply({ kind: "prioritySet", id, priority });
    waiting.save(id);
    return queuePlace(pool, id)?.position ?? 0;
  }

  #requireRequest(id: string): void {
    this.#requireWaiting(id);
    if (queuePlace(this.#options.pool, id)?.leaseId === undefined) return;
    const why =
      "is no request but a suspended lease that waits to come back: it can be suspended for longer, or revoked";
    throw new SluiceError("BAD_ARGUMENT", `[${id}] ${why}.`);
  }

  #requireWaiting(id: string): void {
    if (queuePlace(this.#options.pool, id) !== undefined) return;
    throw new SluiceError("REQUEST_NOT_FOUND", `No request [${id.replace(/[^\w-]/g, "?").slice(0, 64)}] waits.`);
  }
}
