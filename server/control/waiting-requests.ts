/**
 * The clients whose requests are not decided yet: what they were told last, news of their place in the queue, and their requests in the
 * store. A client that asks again under the id of an earlier request of its tenant, because the answer got lost, gets what became of
 * that one; after a restart a request waits on without its client until that asks again.
 */
import { SluiceError } from "../../shared/errors.ts";
import type { Lease, PoolRequest, QueueListing, QueuePlace } from "../pool/types.ts";
import type { Clock } from "./clock.ts";
import type { LeaseStore } from "./lease-store.ts";
import { RequestIds } from "./request-ids.ts";

/** Places are told again at most this often: one event may move everyone. */
const TELL_INTERVAL_MS = 250;
const START_NEWS_MS = 1_000;

/** Where a request stands. */
export type Place = Pick<QueuePlace, "position" | "reasons" | "startsAt">;

export interface GrantedLease {
  readonly lease: Lease;
  readonly secret: Buffer;
}

export interface Grant extends GrantedLease {
  /** The other leases of a request for several. */
  readonly others: readonly GrantedLease[];
  /** What the client should know about its slices. */
  readonly warnings: readonly string[];
}

export interface RequestListener {
  /** The client's own id of the request; empty: none. */
  readonly requestId: string;
  /** With the pool's id of the request. */
  queued(id: string, place: Place): void;
  /** The last word, as `refused` is. False when the client is gone and did not get it. */
  granted(grant: Grant): boolean;
  refused(error: SluiceError): void;
}

interface Waiting {
  readonly requestId: string;
  /** Undefined while the client of a request from before a restart has not come back. */
  listener: RequestListener | undefined;
  isStored: boolean;
  told: Pick<Place, "position" | "startsAt">;
}

export interface WaitingRequestsOptions {
  readonly clock: Clock;
  readonly store: Pick<LeaseStore, "saveRequest" | "dropRequest">;
  /** The pool's queue. */
  readonly list: () => readonly QueueListing[];
  readonly place: (id: string) => QueuePlace | undefined;
}

/** Whether two starts are the same to whoever waits: an estimate that moves by less is no news. */
const isNear = (a: number | undefined, b: number | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && Math.abs(a - b) < START_NEWS_MS);

export class WaitingRequests {
  readonly #options: WaitingRequestsOptions;
  readonly #byId = new Map<string, Waiting>();
  /** Of requests, and of the leases that they became. */
  readonly #ids = new RequestIds();
  /** Leases that were granted while their clients were away. */
  readonly #untold = new Set<string>();
  #cancelTimer: (() => void) | undefined;

  constructor(options: WaitingRequestsOptions) {
    this.#options = options;
  }

  add(id: string, tenant: string, listener: RequestListener): void {
    const { requestId } = listener;
    this.#byId.set(id, { requestId, listener, isStored: false, told: { position: 0 } });
    this.#ids.add(tenant, requestId, id);
  }

  /** A request from before a restart, whose client is not there yet. */
  restore({ id, tenant }: PoolRequest, requestId: string): void {
    this.#byId.set(id, { requestId, listener: undefined, isStored: true, told: { position: 0 } });
    this.#ids.add(tenant, requestId, id);
  }

  /** The pool's id of a client's earlier request, or of the lease that it became. */
  find(tenant: string, requestId: string): string | undefined {
    return this.#ids.find(tenant, requestId);
  }

  /** A lease that came from a request with that id: one of several, or found after a restart. */
  noteLease({ id, tenant }: Pick<Lease, "id" | "tenant">, requestId: string): void {
    this.#ids.add(tenant, requestId, id);
  }

  /** The client of a request asks again; an earlier call of its is told so. False when the request does not wait. */
  rejoin(id: string, listener: RequestListener): boolean {
    const waiting = this.#byId.get(id);
    const place = this.#options.place(id);
    if (waiting === undefined || place === undefined) return false;
    waiting.listener?.refused(new SluiceError("CANCELLED", "The request is taken up by another call of its client."));
    waiting.listener = listener;
    this.queued(id, place);
    return true;
  }

  /** The leases that came from the same request as this one. The client has them from now on. */
  claim(id: string): readonly string[] {
    const ids = this.#ids.alike(id);
    for (const each of ids) this.#untold.delete(each);
    return ids;
  }

  /** Forgets a request, if it is not decided and still `listener`'s; whether it was. */
  remove(id: string, listener: RequestListener): boolean {
    return this.#byId.get(id)?.listener === listener && this.#forget(id) !== undefined;
  }

  /** Requests whose clients have not come back, and leases that were granted to such. */
  absent(): { readonly requests: string[]; readonly leases: string[] } {
    const requests = [...this.#byId].filter(([, { listener }]) => listener === undefined).map(([id]) => id);
    return { requests, leases: [...this.#untold] };
  }

  /** The client's id of a request; empty when it is gone. */
  requestId(id: string): string {
    return this.#byId.get(id)?.requestId ?? "";
  }

  /** Stores a request before its client hears that it waits, and tells its place. */
  queued(id: string, place: Place): void {
    const waiting = this.#byId.get(id);
    if (waiting === undefined) return;
    if (!waiting.isStored) this.save(id);
    waiting.told = place;
    waiting.listener?.queued(id, place);
  }

  /** Stores a request as it is now. One without an id of its client's could not be taken up again by anybody. */
  save(id: string): void {
    const waiting = this.#byId.get(id);
    const place = this.#options.place(id);
    if (place === undefined || waiting === undefined || waiting.requestId === "") return;
    waiting.isStored = true;
    const request = { ...place.request, requestedAt: place.requestedAt };
    this.#options.store.saveRequest(request, waiting.requestId);
  }

  refuse(id: string, error: SluiceError): void {
    this.#forget(id)?.listener?.refused(error);
  }

  /** False when the client did not get it. One that has not come back will ask for it, or else the lease ends for want of it. */
  grant(id: string, grant: Grant): boolean {
    const waiting = this.#byId.get(id);
    this.#byId.delete(id);
    if (waiting === undefined) return false;
    for (const { lease } of grant.others) this.noteLease(lease, waiting.requestId);
    if (waiting.listener !== undefined) return waiting.listener.granted(grant);
    for (const { lease } of [grant, ...grant.others]) this.#untold.add(lease.id);
    return true;
  }

  /** Forgets what a lease came from. */
  leaseIsOver(id: string): void {
    this.#ids.delete(id);
    this.#untold.delete(id);
  }

  #forget(id: string): Waiting | undefined {
    const waiting = this.#byId.get(id);
    if (waiting === undefined) return undefined;
    this.#byId.delete(id);
    this.#ids.delete(id);
    if (waiting.isStored) this.#options.store.dropRequest(id);
    return waiting;
  }

  /** Tells, soon and once, every client whose place or start has changed. */
  tellChanges(): void {
    if (this.#byId.size === 0 || this.#cancelTimer !== undefined) return;
    const { clock, list, place } = this.#options;
    this.#cancelTimer = clock.schedule(TELL_INTERVAL_MS, () => {
      this.#cancelTimer = undefined;
      for (const { request, position, startsAt } of list()) {
        const told = this.#byId.get(request.id)?.told;
        if (told?.position === position && isNear(told.startsAt, startsAt)) continue;
        const now = place(request.id);
        if (now !== undefined) this.queued(request.id, now);
      }
    });
  }

  /** Tells nothing any more. */
  close(): void {
    this.#cancelTimer?.();
    this.#byId.clear();
  }
}
