/**
 * A small world around the pool: a daemon that carries effects out and may die between any two of them, executors that really
 * hold memory, and clients that ask, work, forget and crash. Messages take time, get lost and come twice. One seed decides all.
 */
import { Deadlines } from "../../server/pool/deadlines.ts";
import { setWithheld } from "../../server/pool/inventory.ts";
import {
  createPool,
  decide,
  findLease,
  listDevices,
  listLeases,
  listQueue,
  listReservations,
  listTenants,
  nextDeadline,
  type PoolState,
} from "../../server/pool/pool.ts";
import type {
  Effect,
  Lease,
  PoolDevice,
  PoolEvent,
  PoolOptions,
  PoolRequest,
  Quota,
  Reservation,
  Slice,
  StoredLease,
} from "../../server/pool/types.ts";
import { createRandom } from "../support/random.ts";
import { Auditor } from "./auditor.ts";
import { Admin, Client } from "./people.ts";

/** Probabilities of what goes wrong, each per occasion. */
export interface Faults {
  readonly messageLost: number;
  readonly messageTwice: number;
  readonly daemonDies: number;
  readonly executorDies: number;
  readonly clientDies: number;
  readonly storeFails: number;
  readonly clockJumps: number;
}

export const noFaults: Faults = {
  messageLost: 0,
  messageTwice: 0,
  daemonDies: 0,
  executorDies: 0,
  clientDies: 0,
  storeFails: 0,
  clockJumps: 0,
};

export interface WorldOptions {
  readonly seed: number;
  readonly devices: readonly PoolDevice[];
  readonly pool: PoolOptions;
  readonly tenants: readonly { readonly name: string; readonly weight: number; readonly clients: number }[];
  readonly faults: Faults;
  /** What a client asks for, and how long it then works. */
  readonly wish: (random: () => number) => { readonly fields: Partial<PoolRequest>; readonly workMs: number };
  /** How long a client rests between two requests, on average. */
  readonly restMs: number;
  /** The longest that the first of the queue may have to wait; 0: no such promise. */
  readonly firstWaitMsMax: number;
  /** How long, on average, an admin leaves the pool alone; 0: no admin. */
  readonly adminMs?: number;
  /** A bug for the checks to find; see main.ts. */
  readonly plant?:
    | "early-reclaim"
    | "early-shrink"
    | "lost-bytes"
    | "lost-promise"
    | "early-parked"
    | "unseen-end"
    | "double-grant"
    | "endless-passing";
}

const KILL_MS_MAX = 2_000;
/** How long saving and filling a lease's memory takes at most. */
const SAVE_MS_MAX = 5_000;

/** What really occupies a device: a living executor. */
interface Executor {
  slices: readonly Slice[];
  /** While its memory is saved, what modules have of each slice. */
  kept?: readonly number[] | undefined;
  /** What it was told last: to save its memory or to fill it. An earlier word counts no more. */
  word?: object;
}

export class World {
  readonly options: WorldOptions;
  readonly random: () => number;
  readonly #agenda = new Deadlines<() => void>();
  readonly executors = new Map<string, Executor>();
  readonly daemon: Daemon;
  /** Bytes x milliseconds that each tenant has held. */
  readonly held = new Map<string, number>();
  time = 0;
  stopped = false;

  constructor(options: WorldOptions) {
    this.options = options;
    this.random = createRandom(options.seed);
    this.daemon = new Daemon(this);
    this.daemon.start();
    for (const tenant of options.tenants) {
      for (let index = 0; index < tenant.clients; index++)
        new Client(this, tenant.name, `${tenant.name}${index}`).begin();
    }
    if (options.adminMs !== undefined) new Admin(this, options.adminMs).begin();
  }

  after(milliseconds: number, action: () => void): void {
    this.#agenda.add(this.time + Math.max(0, Math.round(milliseconds)), action);
  }

  happens(probability: number): boolean {
    return probability > 0 && this.random() < probability;
  }

  /** Sends a message: late, perhaps never, perhaps twice. */
  send(deliver: () => void): void {
    const { messageLost, messageTwice } = this.options.faults;
    if (!this.happens(messageLost)) this.after(this.random() * 50, deliver);
    if (this.happens(messageTwice)) this.after(this.random() * 5_000, deliver);
  }

  /** Runs until the daemon has decided about so many events. */
  run(events: number): void {
    while (this.daemon.events < events) if (!this.step()) throw new Error("The world stands still.");
  }

  step(): boolean {
    const next = this.#agenda.next();
    if (next === undefined) return false;
    this.time = next;
    this.#agenda.due(next)!();
    return true;
  }

  /** Sends everybody home and lets the world come to rest: the pool must be empty then. */
  finish(): void {
    this.stopped = true;
    const until = this.time + 4 * 3_600_000;
    while (this.time < until && this.step());
    if (!this.daemon.isUp) this.daemon.start();
    this.daemon.giveUpReservations();
    const left = listLeases(this.daemon.pool).length + listQueue(this.daemon.pool).length + this.executors.size;
    if (left > 0) throw new Error(`Invariant broken: [${left}] leases, requests and executors are left at the end.`);
    for (const { device, freeBytes } of listDevices(this.daemon.pool)) {
      if (freeBytes !== device.memoryBytes)
        throw new Error(`Invariant broken: device ${device.id} is not empty at the end.`);
    }
  }

  /** Starts an executor on real memory, which must be there. */
  startExecutor(lease: Lease): void {
    this.executors.set(lease.id, { slices: lease.slices });
    this.checkMemory();
  }

  checkMemory(): void {
    const used = new Map<string, number>();
    for (const executor of this.executors.values()) {
      for (const slice of executor.slices) {
        used.set(slice.deviceId, (used.get(slice.deviceId) ?? 0) + slice.bytes + slice.overheadBytes);
      }
    }
    for (const device of this.options.devices) {
      const bytes = used.get(device.id) ?? 0;
      if (bytes > device.memoryBytes) {
        throw new Error(
          `Invariant broken: device ${device.id} really holds [${bytes}] of [${device.memoryBytes}] bytes.`,
        );
      }
    }
  }
}

const keptOf = (slices: readonly Slice[], kept: readonly number[], devices: readonly PoolDevice[]): Slice[] =>
  slices.map((slice, index) => {
    const overheadBytes = devices.find(({ id }) => id === slice.deviceId)?.overheadBytes ?? 0;
    return { ...slice, bytes: kept[index]!, overheadBytes: Math.min(slice.overheadBytes, overheadBytes) };
  });

function unpark(executor: Executor, slices: readonly Slice[]): void {
  executor.slices = slices;
  executor.kept = undefined;
}

/** The server's process: everything in `pool` dies with it, the two stores and the executors do not. */
class Daemon {
  readonly #world: World;
  readonly #leases = new Map<string, StoredLease>();
  readonly #requests = new Map<string, PoolRequest>();
  readonly #reservations = new Map<string, Reservation>();
  readonly #quotas = new Map<string, Quota>();
  readonly clients = new Map<string, Client>();
  readonly #inbox: PoolEvent[] = [];
  pool!: PoolState;
  #auditor!: Auditor;
  #life = 0;
  #isBusy = false;
  #now = 0;
  #clockOffset = 0;
  #armedAt = Number.POSITIVE_INFINITY;
  #first: { id: string; since: number } | undefined;
  #holding: { tenant: string; held: number }[] = [];
  #measuredAt = 0;
  isUp = false;
  events = 0;
  granted = 0;
  deaths = 0;
  /** Changes with every effect: equal runs have equal digests. */
  digest = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Brings the daemon up: executors without a lease are ended first, then leases and requests of the store are taken up. */
  start(): void {
    const { options, executors } = this.#world;
    for (const id of [...executors.keys()]) if (!this.#leases.has(id)) executors.delete(id);
    this.#life++;
    this.isUp = true;
    this.#first = undefined;
    this.#armedAt = Number.POSITIVE_INFINITY;
    const passesMax = options.plant === "endless-passing" ? 1e9 : options.pool.passesMax;
    this.pool = createPool({ ...options.pool, ...(passesMax === undefined ? {} : { passesMax }) });
    this.#auditor = new Auditor(this.pool);
    for (const device of options.devices) this.receive({ kind: "deviceAdded", device });
    for (const { name, weight } of options.tenants) {
      this.receive({ kind: "tenantSet", tenant: name, weight, quota: this.#quotas.get(name) ?? {} });
    }
    for (const reservation of this.#reservations.values()) this.receive({ kind: "reservationAdopted", reservation });
    const leases = [...this.#leases.values()];
    const isSuspended = ({ suspensionState }: StoredLease): boolean => suspensionState === "suspended";
    for (const lease of leases) if (!isSuspended(lease)) this.receive({ kind: "adopted", lease });
    for (const lease of leases) if (isSuspended(lease)) this.receive({ kind: "adopted", lease });
    for (const request of [...this.#requests.values()]) this.receive({ kind: "requested", request });
  }

  giveUpReservations(): void {
    for (const { id } of listReservations(this.pool)) this.receive({ kind: "unreserved", id });
  }

  #clock(): number {
    this.#now = Math.max(this.#now, this.#world.time + this.#clockOffset);
    return this.#now;
  }

  die(): void {
    if (!this.isUp || this.#world.stopped) return;
    this.isUp = false;
    this.deaths++;
    this.#inbox.length = 0;
    this.#world.after(1000 + this.#world.random() * 20_000, () => this.start());
  }

  /** Lets the pool decide about an event, and about all that its effects bring about. */
  receive(event: PoolEvent): void {
    if (!this.isUp) return;
    if (event.kind === "tenantSet" && event.quota !== undefined) this.#quotas.set(event.tenant, event.quota);
    this.#inbox.push(event);
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) this.#decide(next);
    this.#isBusy = false;
    if (this.isUp) this.#arm();
  }

  #decide(event: PoolEvent): void {
    const { faults, plant } = this.#world.options;
    if (this.#world.happens(faults.clockJumps)) this.#clockOffset += Math.round((this.#world.random() - 0.3) * 600_000);
    const now = this.#clock();
    const effects: Effect[] = [];
    for (const one of event.kind === "tick" ? [event] : [{ kind: "tick" } as const, event]) {
      const decided = decide(this.pool, one, now);
      if (plant === "endless-passing") {
        for (const device of this.pool.headRoom?.devices ?? []) setWithheld(device, false);
      }
      if (plant === "lost-promise" && this.events % 1000 === 999) {
        const promising = [...this.pool.devices.values()].find(({ freeCompute }) => freeCompute < 1000);
        if (promising !== undefined) promising.freeCompute += 1;
      }
      if (plant === "unseen-end" && this.events % 100 === 99) {
        const leases = this.pool.headRoom?.devices.flatMap((device) => [...device.leases]) ?? [];
        for (const lease of leases) lease.endsAt += 60_000;
      }
      if (plant === "lost-bytes" && this.events % 1000 === 999) [...this.pool.devices.values()][0]!.freeBytes -= 1;
      this.#auditor.observe(one, decided, now);
      effects.push(...decided);
      this.events++;
    }
    this.#measure();
    this.#checkFirst(now);
    if (event.kind === "suspendAsked" || event.kind === "resumeAsked") {
      const state = findLease(this.pool, event.id)?.state;
      if (state === "suspended" || state === "resuming") this.#storeSuspension(event.id, state);
    }
    for (const effect of effects) {
      this.digest = (Math.imul(this.digest, 31) + hash(effect)) | 0;
      if (this.isUp) this.#carryOut(effect);
    }
  }

  /** The first of the queue is served within the promised time, unless another becomes first. */
  #checkFirst(now: number): void {
    const bound = this.#world.options.firstWaitMsMax;
    if (bound === 0) return;
    const id = this.#auditor.first;
    if (id !== this.#first?.id) this.#first = id === undefined ? undefined : { id, since: now };
    else if (this.#first !== undefined && now - this.#first.since > bound) {
      throw new Error(`Invariant broken: request ${id} is first for [${now - this.#first.since}] ms and not served.`);
    }
  }

  #arm(): void {
    const next = nextDeadline(this.pool);
    if (next === undefined) return;
    const at = Math.max(this.#world.time, next - this.#clockOffset);
    if (at >= this.#armedAt) return;
    this.#armedAt = at;
    const life = this.#life;
    this.#world.after(at - this.#world.time, () => {
      if (life !== this.#life || !this.isUp || at !== this.#armedAt) return;
      this.#armedAt = Number.POSITIVE_INFINITY;
      this.receive({ kind: "tick" });
    });
  }

  /** Adds up what each tenant holds over time. */
  #measure(): void {
    const elapsed = this.#world.time - this.#measuredAt;
    if (elapsed === 0) return;
    this.#measuredAt = this.#world.time;
    for (const { tenant, held } of this.#holding) {
      this.#world.held.set(tenant, (this.#world.held.get(tenant) ?? 0) + held * elapsed);
    }
    this.#holding = listTenants(this.pool).map(({ tenant, heldBytes }) => ({ tenant, held: heldBytes }));
  }

  #mayDie(): void {
    if (this.#world.happens(this.#world.options.faults.daemonDies)) this.die();
  }

  #carryOut(effect: Effect): void {
    this.#mayDie();
    if (!this.isUp) return;
    switch (effect.kind) {
      case "granted":
        this.#storeGrant([effect.lease, ...(effect.others ?? [])]);
        return;
      case "queued": {
        const entry = listQueue(this.pool).find(({ request }) => request.id === effect.id);
        if (entry !== undefined) this.#requests.set(effect.id, { ...entry.request, requestedAt: entry.requestedAt });
        return;
      }
      case "refused":
        this.#requests.delete(effect.id);
        this.#tell(effect.id, (client) => client.refused(effect.id));
        return;
      case "end":
        this.#end(effect.id);
        return;
      case "closed":
        this.#leases.delete(effect.lease.id);
        this.#tell(effect.lease.id, (client) => client.ended(effect.lease.id));
        return;
      case "resize":
        this.#resize(effect);
        return;
      case "suspend":
        this.#park(effect.id);
        return;
      case "resume":
        this.#unpark(effect.id);
        return;
      case "reserved":
        if (this.#world.happens(this.#world.options.faults.storeFails)) {
          this.receive({ kind: "unreserved", id: effect.reservation.id });
        } else this.#reservations.set(effect.reservation.id, effect.reservation);
        return;
      case "reservationEnded":
        this.#reservations.delete(effect.id);
        return;
      default:
    }
  }

  /** All leases of a request are stored at once, or none. */
  #storeGrant(leases: readonly Lease[]): void {
    const lease = leases[0]!;
    if (this.#world.happens(this.#world.options.faults.storeFails)) {
      for (const { id } of leases) this.receive({ kind: "grantFailed", id });
      this.#requests.delete(lease.id);
      this.#tell(lease.id, (client) => client.refused(lease.id));
      return;
    }
    for (const { endsAt, ...rest } of leases) {
      this.#leases.set(rest.id, endsAt === undefined ? rest : { ...rest, endsAt });
    }
    this.#requests.delete(lease.id);
    this.granted++;
    this.#mayDie();
    for (const { id } of leases) this.receive({ kind: "grantConfirmed", id });
    this.#mayDie();
    const client = this.clients.get(lease.id);
    if (client !== undefined) for (const { id } of leases) this.clients.set(id, client);
    if (this.isUp) this.#tell(lease.id, (one) => one.grantedLeases(leases));
    if (this.#world.options.plant !== "double-grant" || this.granted % 50 !== 0) return;
    this.receive({ kind: "adopted", lease: { ...lease, id: `${lease.id}-twin`, slices: lease.slices } });
    this.#world.startExecutor(lease);
    this.#world.startExecutor({ ...lease, id: `${lease.id}-twin` });
  }

  #end(id: string): void {
    const life = this.#life;
    const kill = this.#world.random() * KILL_MS_MAX;
    if (this.#world.options.plant === "early-reclaim") this.receive({ kind: "reclaimed", id });
    this.#world.after(kill, () => {
      this.#world.executors.delete(id);
      if (life === this.#life) this.receive({ kind: "reclaimed", id });
    });
  }

  /** Store, executor, store, pool's word. The daemon may die between any two of them; the executor does what it was told all the same. */
  #park(id: string): void {
    const { options } = this.#world;
    const life = this.#life;
    this.#storeSuspension(id, "suspending");
    this.#mayDie();
    if (!this.isUp) return;
    if (options.plant === "early-parked") this.receive({ kind: "parked", id, savedBytes: 1 });
    this.#tellExecutor(id, (executor) => {
      // One that a daemon before this one has told already has nothing left that could fail.
      const isParked = executor?.kept !== undefined;
      const isDone = isParked || !this.#world.happens(0.1);
      if (isDone && executor !== undefined) {
        executor.kept ??= executor.slices.map((slice) => this.#keptOfSlice(slice));
        executor.slices = keptOf(executor.slices, executor.kept, options.devices);
      }
      const keptBytes = executor?.kept ?? [];
      if (life !== this.#life || !this.isUp) return;
      const isStored = isDone && !this.#world.happens(options.faults.storeFails);
      if (isDone && !isStored && executor !== undefined) unpark(executor, this.#leases.get(id)?.slices ?? []);
      this.#storeSuspension(id, isStored ? "suspended" : undefined, keptBytes);
      this.#mayDie();
      this.receive(
        isStored ? { kind: "parked", id, savedBytes: 1, keptBytes } : { kind: "parkFailed", id, message: "Not now." },
      );
    });
  }

  /** Where the driver has to do with it, modules may have a part of a slice, which stays; not of a fixed one, as devices with contexts suspend none. */
  #keptOfSlice({ bytes, deviceId }: Slice): number {
    const device = this.#world.options.devices.find(({ id }) => id === deviceId);
    if (device?.sharing?.mode === "profile") return 0;
    return this.#world.happens(0.3) ? Math.floor(this.#world.random() * bytes) : 0;
  }

  #unpark(id: string): void {
    const life = this.#life;
    this.#storeSuspension(id, "resuming");
    this.#mayDie();
    if (!this.isUp) return;
    this.#tellExecutor(id, (executor) => {
      const isBack = executor !== undefined && executor.kept === undefined;
      const isDone = isBack || !this.#world.happens(0.1);
      const keptBytes = executor?.kept ?? [];
      if (isDone && executor !== undefined) unpark(executor, this.#leases.get(id)?.slices ?? executor.slices);
      this.#world.checkMemory();
      if (life !== this.#life || !this.isUp) return;
      this.#mayDie();
      this.receive(isDone ? { kind: "unparked", id } : { kind: "unparkFailed", id, message: "Not now.", keptBytes });
      // Told to be suspended meanwhile, it is on its way there.
      if (isDone && findLease(this.pool, id)?.state === "suspending") return;
      this.#storeSuspension(id, isDone ? undefined : "suspended", keptBytes);
    });
  }

  /** It takes its time, and whoever told it may be dead then. */
  #tellExecutor(id: string, act: (executor: Executor | undefined) => void): void {
    const told = this.#world.executors.get(id);
    const word = {};
    if (told !== undefined) told.word = word;
    this.#world.after(this.#world.random() * SAVE_MS_MAX, () => {
      const isLast = told === undefined || told.word === word;
      if (isLast) act(this.#world.executors.get(id) === told ? told : undefined);
    });
  }

  #storeSuspension(id: string, state: StoredLease["suspensionState"], known?: readonly number[]): void {
    const stored = this.#leases.get(id);
    const lease = this.isUp ? findLease(this.pool, id) : undefined;
    if (stored === undefined || lease === undefined) return;
    const { suspension: _before, suspensionState: _state, ...rest } = stored;
    const { suspension, endsAt } = lease;
    if (state !== undefined && suspension !== undefined) {
      const since = state === "suspended" ? this.#clock() : suspension.since;
      const keptBytes = known ?? suspension.keptBytes ?? [];
      this.#leases.set(id, { ...rest, suspension: { ...suspension, since, keptBytes }, suspensionState: state });
    } else this.#leases.set(id, { ...rest, ...(endsAt === undefined ? {} : { endsAt }) });
  }

  /** Growing: store, executor, pool's word. Shrinking: executor, store, pool's word. The daemon may die between any two of them. */
  #resize({ id, slice, previousBytes }: Effect & { kind: "resize" }): void {
    const { options } = this.#world;
    const grows = slice.bytes > previousBytes;
    const life = this.#life;
    if (grows) this.#storeSize(id, slice);
    this.#mayDie();
    if (!this.isUp) return;
    const executor = this.#world.executors.get(id);
    if (executor === undefined) {
      // One that starts later begins with the new size.
      if (!grows) this.#storeSize(id, slice);
      this.receive({ kind: "resizeConfirmed", id });
      return;
    }
    const isEager = options.plant === "early-shrink" && !grows;
    if (isEager) this.receive({ kind: "resizeConfirmed", id });
    this.#world.after(this.#world.random() * (isEager ? 30_000 : 100), () => {
      const isDone = this.#world.executors.get(id) === executor && !this.#world.happens(0.1);
      if (isDone) executor.slices = executor.slices.with(slice.index, slice);
      this.#world.checkMemory();
      // The answer to a daemon that has died since is lost.
      if (life !== this.#life || !this.isUp) return;
      if (isDone !== grows) this.#storeSize(id, isDone ? slice : { ...slice, bytes: previousBytes });
      this.#mayDie();
      this.receive({ kind: isDone ? "resizeConfirmed" : "resizeFailed", id });
    });
  }

  #storeSize(id: string, slice: Slice): void {
    const stored = this.#leases.get(id);
    if (stored !== undefined) this.#leases.set(id, { ...stored, slices: stored.slices.with(slice.index, slice) });
  }

  #tell(id: string, what: (client: Client) => void): void {
    const client = this.clients.get(id);
    if (client !== undefined) this.#world.send(() => what(client));
  }

  /** A session attaches: the lease's executor starts. */
  attach(id: string): void {
    if (!this.isUp) return;
    const lease = findLease(this.pool, id);
    if (lease?.state !== "granted" || this.#world.executors.has(id)) return;
    this.#world.startExecutor(lease);
    this.receive({ kind: "attached", id });
    if (this.#world.happens(this.#world.options.faults.executorDies)) {
      this.#world.after(this.#world.random() * 60_000, () => {
        if (!this.#world.executors.delete(id)) return;
        this.receive({ kind: "failed", id, code: "EXECUTOR_FAILED", message: "The executor died." });
      });
    }
  }
}

function hash(effect: Effect): number {
  const text =
    effect.kind === "granted" ? JSON.stringify(effect.lease) : `${effect.kind} ${"id" in effect ? effect.id : ""}`;
  let value = 0;
  for (let index = 0; index < text.length; index++) value = (Math.imul(value, 31) + text.charCodeAt(index)) | 0;
  return value;
}
