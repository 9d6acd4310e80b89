/**
 * The watchers of the pool: each gets a snapshot and then what changes, at its own pace and at most a few times a second. It costs a
 * watcher one number and never a backlog: one that does not keep up is told less often, and cut off when it reads nothing at all.
 */
import type { WatchPoolResponse } from "../../proto/generated/sluice/v1/WatchPoolResponse.ts";
import { SluiceError } from "../../shared/errors.ts";
import { QUEUE_SHOWN_MAX, WATCHERS_MAX } from "../../shared/limits.ts";
import { type Identity, seesAll } from "../access/identity.ts";
import type { Visibility } from "../access/visibility.ts";
import type { Broker } from "./broker.ts";
import type { Clock } from "./clock.ts";
import { deviceMessages, leaseMessages, tenantMessages } from "./listings.ts";
import { checkTime, queueMessage } from "./messages.ts";
import { PoolView } from "./pool-view.ts";

/** The pool is looked at this often while something happens; what only time changes is looked at every second. */
const LOOK_MS = 100;
const LOOK_IDLE_MS = 1_000;
/** Looking takes at most this part of the daemon's time. */
const LOOK_SHARE = 0.05;
const INTERVAL_MS_DEFAULT = 250;
const INTERVAL_MS_MIN = 100;
const INTERVAL_MS_MAX = 60_000;
/** A message comes at least this often, so that a reader can tell a quiet pool from a dead one. */
const SILENCE_MS_MAX = 5_000;
/** A watcher that has taken nothing for this long is cut off. */
const STALLED_MS_MAX = 30_000;
/** Items in one message: a large pool's snapshot comes in parts. */
const ITEMS_MAX = 1_000;

export interface WatchOptions {
  /** The least time between two messages; 0 for the default. */
  readonly intervalMs: number;
  /** Takes a message, and calls `done` once it is on its way; until then no other comes. */
  readonly send: (message: WatchPoolResponse, done: () => void) => void;
  /** Hears why the stream ends, when it is not the watcher that ends it. */
  readonly cut: (error: SluiceError) => void;
}

interface Watcher extends WatchOptions {
  readonly viewer: Identity;
  revision: number;
  sequence: number;
  sentAt: number;
  /** Messages that are not on their way yet. */
  pending: number;
}

export class PoolWatch {
  readonly #broker: Broker;
  readonly #clock: Clock;
  readonly #visibility: Visibility;
  readonly #view = new PoolView();
  readonly #watchers = new Set<Watcher>();
  #seenRevision = -1;
  #seenAt = 0;
  #lookMs = LOOK_MS;
  #cancelTimer: (() => void) | undefined;

  constructor(options: { readonly broker: Broker; readonly clock: Clock; readonly visibility: Visibility }) {
    this.#broker = options.broker;
    this.#clock = options.clock;
    this.#visibility = options.visibility;
  }

  /** Begins to tell a watcher, with a snapshot at once; returns what ends it. Throws SluiceError BAD_ARGUMENT or TOO_MANY_CONNECTIONS. */
  open(viewer: Identity, options: WatchOptions): () => void {
    const asked = checkTime("interval", options.intervalMs, INTERVAL_MS_MAX);
    if (this.#watchers.size >= WATCHERS_MAX) {
      throw new SluiceError("TOO_MANY_CONNECTIONS", `[${this.#watchers.size}] watchers look at the pool already.`);
    }
    const watcher: Watcher = {
      ...options,
      viewer,
      intervalMs: asked === 0 ? INTERVAL_MS_DEFAULT : Math.max(asked, INTERVAL_MS_MIN),
      revision: 0,
      sequence: 0,
      sentAt: 0,
      pending: 0,
    };
    this.#watchers.add(watcher);
    this.#look();
    this.#tell(watcher, this.#clock.now());
    this.#cancelTimer ??= this.#clock.schedule(LOOK_MS, () => this.#turn());
    return () => this.#forget(watcher);
  }

  /** Ends every watch with a reason. */
  close(error: SluiceError): void {
    for (const watcher of this.#watchers) this.#cut(watcher, error);
  }

  #forget(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #cut(watcher: Watcher, error: SluiceError): void {
    this.#forget(watcher);
    watcher.cut(error);
  }

  #turn(): void {
    this.#look();
    const now = this.#clock.now();
    for (const watcher of this.#watchers) {
      if (watcher.pending === 0) this.#tell(watcher, now);
      else if (now - watcher.sentAt >= STALLED_MS_MAX) {
        this.#cut(watcher, new SluiceError("CONNECTION_LOST", `The watcher reads nothing for [${STALLED_MS_MAX}] ms.`));
      }
    }
    if (this.#watchers.size > 0) this.#cancelTimer = this.#clock.schedule(this.#lookMs, () => this.#turn());
  }

  /** Takes the pool's picture, if it may have changed. */
  #look(): void {
    const now = this.#clock.now();
    const broker = this.#broker;
    if (broker.revision === this.#seenRevision && now - this.#seenAt < LOOK_IDLE_MS) return;
    this.#seenRevision = broker.revision;
    this.#seenAt = now;
    const { first, waiting } = broker.queue.head(QUEUE_SHOWN_MAX);
    this.#view.refresh({
      devices: deviceMessages(broker),
      leases: leaseMessages(broker).map((lease) => ({ ...lease, usage: { ...lease.usage, heldMs: 0 } })),
      queue: first.map(({ place, requestId }) => queueMessage(place, requestId)),
      waiting,
      tenants: tenantMessages(broker),
    });
    this.#lookMs = Math.max(LOOK_MS, (this.#clock.now() - now) / LOOK_SHARE);
  }

  /** Sends a watcher what it misses, if it is time. */
  #tell(watcher: Watcher, now: number): void {
    const silence = now - watcher.sentAt;
    if (silence < watcher.intervalMs) return;
    if (watcher.revision === this.#view.revision && silence < SILENCE_MS_MAX) return;
    const known = this.#view.since(watcher.revision);
    const snapshot = watcher.sequence === 0 || known === undefined;
    const changes = this.#messageOf(known ?? this.#view.since(0)!, watcher.viewer);
    watcher.revision = this.#view.revision;
    watcher.sentAt = now;
    for (const part of parts({ ...changes, snapshot, nowAtMs: now })) {
      watcher.sequence++;
      watcher.pending++;
      watcher.send({ ...part, sequence: watcher.sequence }, () => {
        watcher.pending--;
      });
    }
  }

  #messageOf(changes: NonNullable<ReturnType<PoolView["since"]>>, viewer: Identity): WatchPoolResponse {
    const { devices, leases, tenants, queue, waiting } = changes;
    const visibility = this.#visibility;
    const idOf = ({ id }: { readonly id: string }): string => id;
    return {
      devices: [...devices.changed],
      goneDeviceIds: devices.gone.map(idOf),
      leases: leases.changed.map((lease) => visibility.leaseSeenBy(viewer, lease)),
      goneLeaseIds: leases.gone.map((lease) => visibility.idSeenBy(viewer, lease)),
      ...(queue === undefined
        ? {}
        : { queueChanged: true, queue: queue.map((entry) => visibility.entrySeenBy(viewer, entry)), waiting }),
      ...(seesAll(viewer) ? { tenants: [...tenants.changed], goneTenants: tenants.gone.map(idOf) } : {}),
    };
  }
}

/** A message in parts of bounded size: the first is the snapshot, if it is one, and the others go on from it. */
function* parts(message: WatchPoolResponse): Iterable<WatchPoolResponse> {
  const { devices = [], leases = [], tenants = [], nowAtMs, ...rest } = message;
  const count = Math.max(devices.length, leases.length, tenants.length, 1);
  for (let at = 0; at < count; at += ITEMS_MAX) {
    const part = <Item>(items: readonly Item[]): Item[] => items.slice(at, at + ITEMS_MAX);
    yield {
      ...(at === 0 ? rest : {}),
      ...(nowAtMs === undefined ? {} : { nowAtMs }),
      devices: part(devices),
      leases: part(leases),
      tenants: part(tenants),
    };
  }
}
