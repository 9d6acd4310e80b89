/** Who uses the pool in the simulator: clients that ask, work, forget and crash, and an admin. */
import { listLeases, listQueue, listReservations } from "../../server/pool/pool.ts";
import type { Lease, PoolEvent, PoolRequest } from "../../server/pool/types.ts";
import type { World } from "./world.ts";

const BEAT_MS = 5_000;

/** Does to the pool, now and then, all that an admin may do. A drained device is opened again after a while. */
export class Admin {
  readonly #world: World;
  #number = 0;
  readonly #restMs: number;

  constructor(world: World, restMs: number) {
    this.#world = world;
    this.#restMs = restMs;
  }

  begin(): void {
    this.#world.after(this.#world.random() * 2 * this.#restMs, () => {
      if (this.#world.stopped) return;
      const event = this.#decide();
      if (event !== undefined) this.#send(event);
      this.begin();
    });
  }

  #send(event: PoolEvent): void {
    this.#world.send(() => this.#world.daemon.receive(event));
  }

  #reserve(): PoolEvent {
    const { random, options } = this.#world;
    const tenant = this.#anyOf(options.tenants)!.name;
    const terms = { waitMs: 0, mode: "profile", share: { kind: "bytes", bytes: 1 }, sameDevice: true } as const;
    const life = random() < 0.5 ? {} : { durationMs: Math.ceil(random() * 600_000) };
    const id = `reservation-${this.#number++}`;
    return {
      kind: "reserveAsked",
      request: { id, tenant, name: "", count: 1 + Math.floor(random() * 2), ...terms, ...life },
    };
  }

  #unreserve(): PoolEvent | undefined {
    const id = this.#anyOf(listReservations(this.#world.daemon.pool))?.id;
    return id === undefined ? undefined : { kind: "unreserved", id };
  }

  /** Often one that holds up everything of a tenant but what is small, and more often none. */
  #limit(): PoolEvent {
    const { random, options } = this.#world;
    const tenant = this.#anyOf(options.tenants)!.name;
    const isBound = random() < 0.4;
    const quota = {
      ...(isBound && random() < 0.7 ? { memoryBytes: Math.ceil((1 - random()) * 24 * 2 ** 30) } : {}),
      ...(isBound && random() < 0.3 ? { leases: 1 + Math.floor(random() * 6) } : {}),
      ...(isBound && random() < 0.3 ? { devices: 1 + Math.floor(random() * 6) } : {}),
      ...(isBound && random() < 0.2 ? { durationMs: Math.ceil(random() * 60_000) } : {}),
    };
    return { kind: "tenantSet", tenant, quota };
  }

  #anyOf<T>(all: readonly T[]): T | undefined {
    return all[Math.floor(this.#world.random() * all.length)];
  }

  #decide(): PoolEvent | undefined {
    const { daemon, random } = this.#world;
    const lease = this.#anyOf(listLeases(daemon.pool))?.id;
    const request = this.#anyOf(listQueue(daemon.pool))?.request.id;
    const deviceId = this.#anyOf(this.#world.options.devices)!.id;
    const priority = Math.floor(random() * 5) - 2;
    const graceMs = Math.round(random() * 20_000);
    const suspended = this.#anyOf(listLeases(daemon.pool).filter(({ state }) => state === "suspended"))?.id;
    const suspend = { kind: "suspendAsked", message: "An admin suspends it.", byAdmin: true } as const;
    const events: (PoolEvent | undefined)[] = [
      lease === undefined ? undefined : { kind: "extended", id: lease, byMs: Math.ceil(random() * 60_000) },
      lease === undefined ? undefined : { kind: "revoked", id: lease, graceMs, message: "An admin takes it." },
      request === undefined ? undefined : { kind: "prioritySet", id: request, priority },
      request === undefined ? undefined : { kind: "cancelled", id: request, message: "An admin cancels it." },
      { kind: "deviceDrained", deviceId, graceMs, message: "An admin empties it." },
      this.#reserve(),
      this.#unreserve(),
      this.#limit(),
      lease === undefined ? undefined : { ...suspend, id: lease },
      suspended === undefined ? undefined : { kind: "resumeAsked", id: suspended },
      suspended === undefined ? undefined : { kind: "resumeAsked", id: suspended },
    ];
    const event = this.#anyOf(events);
    if (event?.kind === "deviceDrained") {
      // An order to open it again may be lost: it is given until it has surely arrived.
      for (const wait of [1, 2, 3, 4]) {
        this.#world.after(wait * 40_000, () => this.#send({ kind: "deviceUncordoned", deviceId }));
      }
    }
    return event;
  }
}

/** A program that asks for leases one after the other. Dead clients stay silent; another takes their place. */
export class Client {
  readonly #world: World;
  readonly #tenant: string;
  readonly #name: string;
  #number = 0;
  #request: string | undefined;
  /** Those that live, of the leases of its request. */
  readonly #leases = new Map<string, Lease>();
  #workMs = 0;
  #isDead = false;

  constructor(world: World, tenant: string, name: string) {
    this.#world = world;
    this.#tenant = tenant;
    this.#name = name;
  }

  begin(): void {
    this.#world.after(this.#world.random() * 2 * this.#world.options.restMs, () => this.#ask());
  }

  #ask(): void {
    if (this.#world.stopped || this.#isDead) return;
    const { fields, workMs } = this.#world.options.wish(this.#world.random);
    const id = `${this.#name}.${this.#number++}`;
    const request: PoolRequest = {
      id,
      tenant: this.#tenant,
      name: this.#name,
      share: { kind: "fraction", fraction: 0.25 },
      count: 1,
      waitMs: 600_000,
      ...fields,
      ...this.#home(fields),
    };
    this.#request = id;
    this.#workMs = workMs;
    this.#world.daemon.clients.set(id, this);
    this.#send({ kind: "requested", request });
    this.#mayDie();
    // Whatever got lost: at some time the client gives up and asks anew.
    this.#world.after(request.waitMs + 30_000, () => {
      if (this.#request !== id || this.#leases.size > 0) return;
      this.#send({ kind: "withdrawn", id });
      this.#forget(id);
    });
  }

  /** Some of those who want fixed slices want them in a reservation of theirs alone. */
  #home({ mode }: Partial<PoolRequest>): Partial<PoolRequest> {
    if (mode !== "profile" || !this.#world.happens(0.3)) return {};
    const own = listReservations(this.#world.daemon.pool).filter(({ tenant }) => tenant === this.#tenant);
    return own[0] === undefined ? {} : { reservation: own[0].id };
  }

  #send(event: PoolEvent): void {
    this.#world.send(() => this.#world.daemon.receive(event));
  }

  #mayDie(): void {
    if (this.#isDead || !this.#world.happens(this.#world.options.faults.clientDies)) return;
    this.#isDead = true;
    const heir = new Client(this.#world, this.#tenant, `${this.#name}+`);
    this.#world.after(30_000, () => heir.begin());
  }

  refused(id: string): void {
    if (id === this.#request && !this.#isDead) this.#forget(id);
  }

  grantedLeases(leases: readonly Lease[]): void {
    if (this.#isDead) return;
    if (leases[0]!.id !== this.#request) {
      for (const { id } of leases) this.#send({ kind: "released", id });
      return;
    }
    if (this.#leases.size > 0) return;
    for (const lease of leases) this.#leases.set(lease.id, lease);
    for (const lease of leases) {
      this.#world.send(() => this.#world.daemon.attach(lease.id));
      this.#beat(lease.id);
      this.#mayDie();
      if (this.#world.happens(0.2)) this.#askResize(lease);
      this.#world.after(this.#workMs, () => this.#release(lease.id, 0));
    }
  }

  #askResize(lease: Lease): void {
    const slice = lease.slices[0]!;
    const bytes = Math.max(1, Math.round(slice.bytes * (0.5 + this.#world.random())));
    this.#world.after(this.#workMs * this.#world.random(), () =>
      this.#send({ kind: "resizeAsked", id: lease.id, index: 0, bytes, usedBytes: 0 }),
    );
  }

  #beat(id: string): void {
    if (this.#isDead || !this.#leases.has(id)) return;
    this.#send({ kind: "heartbeat", id });
    this.#world.after(BEAT_MS, () => this.#beat(id));
  }

  /** Releases until it hears that the lease is gone, or gives up. */
  #release(id: string, attempt: number): void {
    if (this.#isDead || !this.#leases.has(id)) return;
    if (attempt > 5) {
      this.ended(id);
      return;
    }
    this.#send({ kind: "released", id });
    this.#world.after(5_000, () => this.#release(id, attempt + 1));
  }

  ended(id: string): void {
    if (this.#isDead || this.#request === undefined) return;
    if (this.#leases.delete(id) ? this.#leases.size === 0 : id === this.#request && this.#leases.size === 0) {
      this.#forget(this.#request);
    }
    if (id !== this.#request) this.#world.daemon.clients.delete(id);
  }

  #forget(id: string): void {
    this.#world.daemon.clients.delete(id);
    this.#request = undefined;
    this.#leases.clear();
    this.begin();
  }
}
