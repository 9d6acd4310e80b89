/** A pool of any size, full of leases and with a full queue, and a load that keeps it so. Seeded. Times are
 * processor time of `decide` alone, to the microsecond: what other processes take meanwhile is not the pool's cost. */
import { createPool, decide, findLease, listLeases, type PoolState } from "../../server/pool/pool.ts";
import type { PoolDevice, PoolEvent, PoolRequest } from "../../server/pool/types.ts";
import { createRandom } from "./random.ts";

const GiB = 1024 ** 3;
const MiB = 1024 ** 2;
const DEVICES_PER_SERVER = 8;
const LEASES_PER_DEVICE = 10;
/** Tenants that share the pool. */
export const TENANTS = 64;

/** Three models, one per server, as in a fleet that was bought in three years. */
const models = [
  { name: "16 GiB", memoryBytes: 16 * GiB, overheadBytes: 0 },
  { name: "40 GiB", memoryBytes: 40 * GiB, overheadBytes: 300 * MiB },
  { name: "80 GiB", memoryBytes: 80 * GiB, overheadBytes: 500 * MiB },
] as const;

function fleet(devices: number): PoolDevice[] {
  return Array.from({ length: devices }, (_, index) => {
    const server = Math.floor(index / DEVICES_PER_SERVER);
    const { name, ...sizes } = models[server % models.length]!;
    return {
      id: `gpu-${index}`,
      server: `server-${server}`,
      granularityBytes: 2 * MiB,
      sliceBytesMax: sizes.memoryBytes,
      facts: { "device.name": name },
      ...sizes,
    };
  });
}

/** Ids of which any is found and taken in one step, so that the load does not sweep the processor's caches between two decisions. */
class Bag {
  readonly #ids: string[] = [];
  readonly #places = new Map<string, number>();

  get size(): number {
    return this.#ids.length;
  }

  at(index: number): string | undefined {
    return this.#ids[index];
  }

  add(id: string): void {
    this.#places.set(id, this.#ids.length);
    this.#ids.push(id);
  }

  delete(id: string): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#places.delete(id);
    const last = this.#ids.pop()!;
    if (last === id) return;
    this.#ids[place] = last;
    this.#places.set(last, place);
  }
}

/** What one kind of decision cost, in nanoseconds each. */
export type Costs = Map<string, number[]>;

export class PoolLoad {
  readonly pool: PoolState;
  readonly costs: Costs = new Map();
  readonly #random: () => number;
  readonly #living = new Bag();
  readonly #waiting = new Bag();
  readonly #waitingMin: number;
  #next = 0;
  #now = 0;

  constructor({ devices, seed }: { readonly devices: number; readonly seed: number }) {
    this.#random = createRandom(seed);
    this.pool = createPool({ queueEntriesMax: 1_000_000 });
    for (const device of fleet(devices)) this.#send("device", { kind: "deviceAdded", device });
    this.#waitingMin = devices * LEASES_PER_DEVICE;
    for (let tries = 0; this.#living.size < this.#waitingMin && tries < 1.2 * this.#waitingMin; tries++)
      this.#request(0);
    while (this.#waiting.size < this.#waitingMin) this.#request(1e9);
    this.costs.clear();
  }

  get leases(): number {
    return listLeases(this.pool).length;
  }

  get waiting(): number {
    return this.pool.requests.size;
  }

  /**
   * One round of life: a lease goes, its memory comes back, one more request comes, some beat, an admin does one thing, and now and
   * then one is withdrawn or a slice changes its size.
   */
  round(): void {
    this.#now += 20;
    const gone = this.#take(this.#living);
    if (gone !== undefined) {
      this.#send("release", { kind: "released", id: gone });
      this.#send("reclaim", { kind: "reclaimed", id: gone });
    }
    while (this.#waiting.size < this.#waitingMin) this.#request(1e9);
    const beating = this.#living.at(Math.floor(this.#random() * this.#living.size));
    if (beating !== undefined) this.#send("heartbeat", { kind: "heartbeat", id: beating });
    if (this.#random() < 0.1) {
      const withdrawn = this.#take(this.#waiting);
      if (withdrawn !== undefined) this.#send("withdraw", { kind: "withdrawn", id: withdrawn });
    }
    this.#administer();
    if (this.#random() < 0.3) this.#resize();
  }

  #any(ids: Bag): string {
    return ids.at(Math.floor(this.#random() * ids.size)) ?? "none";
  }

  /** What an admin does, one thing at a time. */
  #administer(): void {
    const id = this.#any(this.#living);
    const waiting = this.#any(this.#waiting);
    const kind = Math.floor(this.#random() * 4);
    if (kind === 0) this.#send("extend", { kind: "extended", id, byMs: 60_000 });
    else if (kind === 1) {
      const priority = Math.floor(this.#random() * 3) - 1;
      this.#send("priority", { kind: "prioritySet", id: waiting, priority });
    } else if (kind === 2) {
      this.#waiting.delete(waiting);
      this.#send("cancel", { kind: "cancelled", id: waiting, message: "" });
    } else {
      const device = Math.floor(this.#random() * this.pool.devices.size);
      const deviceId = `gpu-${device}`;
      this.#send("cordon", { kind: "deviceCordoned", deviceId, code: "DEVICE_CORDONED", message: "" });
      this.#send("uncordon", { kind: "deviceUncordoned", deviceId });
    }
  }

  #resize(): void {
    const id = this.#any(this.#living);
    const slice = findLease(this.pool, id)?.slices[0];
    if (slice === undefined) return;
    const bytes = Math.ceil(slice.bytes * (0.5 + this.#random()));
    this.#send("resize", { kind: "resizeAsked", id, index: 0, bytes, usedBytes: 0 });
    this.#send("resized", { kind: "resizeConfirmed", id });
  }

  #take(ids: Bag): string | undefined {
    const id = ids.at(Math.floor(this.#random() * ids.size));
    if (id !== undefined) ids.delete(id);
    return id;
  }

  #request(waitMs: number): void {
    const size = 0.9 * GiB * Math.min(40, (1 - this.#random()) ** -0.9);
    const request: PoolRequest = {
      id: `r${this.#next++}`,
      tenant: `tenant-${Math.floor(this.#random() * TENANTS)}`,
      name: "",
      share: { kind: "bytes", bytes: Math.ceil(size) },
      count: this.#random() < 0.05 ? 2 ** (1 + Math.floor(this.#random() * 3)) : 1,
      waitMs,
      detached: true,
      durationMs: 1e9 + Math.floor(this.#random() * 1e9),
    };
    this.#send("request", { kind: "requested", request });
  }

  #send(kind: string, event: PoolEvent): void {
    const before = process.cpuUsage();
    const effects = decide(this.pool, event, this.#now);
    const { user, system } = process.cpuUsage(before);
    // An event that lets many in is as many decisions: the head of the queue that gives way, or a device that comes back.
    const grants = effects.filter((effect) => effect.kind === "granted").length;
    const cost = ((user + system) * 1000) / Math.max(1, grants);
    const list = this.costs.get(kind);
    if (list === undefined) this.costs.set(kind, [cost]);
    else list.push(cost);
    for (const effect of effects) {
      if (effect.kind === "queued") this.#waiting.add(effect.id);
      if (effect.kind !== "granted") continue;
      this.#living.add(effect.lease.id);
      this.#waiting.delete(effect.lease.id);
      decide(this.pool, { kind: "grantConfirmed", id: effect.lease.id }, this.#now);
    }
  }
}
