/**
 * The pool as watchers see it: every item with the revision in which it last changed, so that what a watcher misses follows from
 * the one number that it has reached, and a slow one costs nothing. What is gone is remembered for a while; who is further
 * behind starts over.
 */
import type { Device } from "../../proto/generated/sluice/v1/Device.ts";
import type { Lease } from "../../proto/generated/sluice/v1/Lease.ts";
import type { QueueEntry } from "../../proto/generated/sluice/v1/QueueEntry.ts";
import type { Tenant } from "../../proto/generated/sluice/v1/Tenant.ts";

/** Ids of gone items remembered. */
const GONE_MAX = 10_000;

interface Item<Message> {
  readonly message: Message;
  /** The message as text, to see whether it changes. */
  readonly text: string;
  readonly revision: number;
  /** In which it came. */
  readonly since: number;
}

/** An item that is gone. */
export interface Gone {
  readonly id: string;
  /** Whose it was; empty for what is nobody's. */
  readonly tenant: string;
}

/** What has changed in one kind of items since a revision. */
interface Changes<Message> {
  readonly changed: readonly Message[];
  readonly gone: readonly Gone[];
}

/** One kind of items. */
class Table<Message> {
  readonly #idOf: (message: Message) => string;
  readonly #tenantOf: (message: Message) => string;
  readonly #items = new Map<string, Item<Message>>();
  #gone: (Gone & { readonly revision: number; readonly since: number })[] = [];
  /** What is gone since this revision is remembered. */
  remembersSince = 0;

  constructor(idOf: (message: Message) => string, tenantOf: (message: Message) => string = () => "") {
    this.#idOf = idOf;
    this.#tenantOf = tenantOf;
  }

  /** Takes all items as they are now. True when anything differs. */
  set(messages: readonly Message[], revision: number): boolean {
    let isChanged = false;
    const here = new Set<string>();
    for (const message of messages) {
      const id = this.#idOf(message);
      here.add(id);
      const text = JSON.stringify(message);
      const known = this.#items.get(id);
      if (known?.text === text) continue;
      this.#items.set(id, { message, text, revision, since: known?.since ?? revision });
      isChanged = true;
    }
    for (const [id, { message, since }] of this.#items) {
      if (here.has(id)) continue;
      this.#items.delete(id);
      this.#gone.push({ id, tenant: this.#tenantOf(message), revision, since });
      isChanged = true;
    }
    if (this.#gone.length > GONE_MAX) {
      const forgotten = this.#gone.splice(0, this.#gone.length - GONE_MAX / 2);
      this.remembersSince = forgotten.at(-1)!.revision;
    }
    return isChanged;
  }

  since(revision: number): Changes<Message> {
    const items = [...this.#items.values()].filter((item) => item.revision > revision);
    // What came and went in between was never told, and is nobody's business now.
    const gone = this.#gone.filter((item) => {
      return item.revision > revision && item.since <= revision && !this.#items.has(item.id);
    });
    return { changed: items.map(({ message }) => message), gone: gone.map(({ id, tenant }) => ({ id, tenant })) };
  }
}

/** All that there is now. */
export interface PoolPicture {
  readonly devices: readonly Device[];
  readonly leases: readonly Lease[];
  readonly queue: readonly QueueEntry[];
  readonly waiting: number;
  readonly tenants: readonly Tenant[];
}

export class PoolView {
  readonly #devices = new Table<Device>(({ id = "" }) => id);
  readonly #leases = new Table<Lease>(
    ({ id = "" }) => id,
    ({ tenant = "" }) => tenant,
  );
  readonly #tenants = new Table<Tenant>(({ name = "" }) => name);
  #queue: readonly QueueEntry[] = [];
  #queueText = "";
  #queueRevision = 0;
  #waiting = 0;
  #revision = 0;

  /** Grows whenever anything changes. */
  get revision(): number {
    return this.#revision;
  }

  refresh(picture: PoolPicture): void {
    const next = this.#revision + 1;
    const changes = [
      this.#devices.set(picture.devices, next),
      this.#leases.set(picture.leases, next),
      this.#tenants.set(picture.tenants, next),
      this.#setQueue(picture, next),
    ];
    if (changes.includes(true)) this.#revision = next;
  }

  /** What has changed since a revision; undefined when too much is forgotten to tell. 0 is the beginning of all. */
  since(revision: number) {
    const tables = [this.#devices, this.#leases, this.#tenants];
    if (revision > 0 && tables.some((table) => table.remembersSince > revision)) return undefined;
    return {
      devices: this.#devices.since(revision),
      leases: this.#leases.since(revision),
      tenants: this.#tenants.since(revision),
      queue: this.#queueRevision > revision || revision === 0 ? this.#queue : undefined,
      waiting: this.#waiting,
    };
  }

  #setQueue({ queue, waiting }: PoolPicture, revision: number): boolean {
    const text = JSON.stringify([waiting, queue]);
    if (text === this.#queueText) return false;
    this.#queueText = text;
    this.#queue = queue;
    this.#waiting = waiting;
    this.#queueRevision = revision;
    return true;
  }
}
