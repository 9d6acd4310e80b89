/**
 * Follows a pool by its effects alone, keeps books of its own, and throws on the first thing that does not add up. It shares no
 * code with the pool beyond the words of types.ts. Used by the property tests and by the simulator.
 */
import { listDevices, listLeases, listQueue, nextDeadline, type PoolState } from "../../server/pool/pool.ts";
import type { Effect, Lease, PoolDevice, PoolEvent, PoolRequest, Share, Slice } from "../../server/pool/types.ts";

interface Account {
  readonly request: { readonly tenant: string };
  slices: readonly Slice[];
  phase: "granting" | "granted" | "ending";
}

function check(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new Error(`Invariant broken: ${sentence}`);
}

/** What one slice of a share must be on a device, worked out anew; undefined when the device can never serve it. */
export function expectedSlice(share: Share, device: PoolDevice): number | undefined {
  const unit = BigInt(device.granularityBytes);
  let bytes: bigint;
  if (share.kind === "bytes") bytes = ((BigInt(share.bytes) + unit - 1n) / unit) * unit;
  else {
    const part = (BigInt(Math.floor(device.memoryBytes * share.fraction)) / unit) * unit;
    bytes = ((part - BigInt(device.overheadBytes)) / unit) * unit;
  }
  const most = BigInt(Math.min(device.sliceBytesMax, device.memoryBytes - device.overheadBytes));
  return bytes > 0n && bytes <= most ? Number(bytes) : undefined;
}

export class Auditor {
  readonly #pool: PoolState;
  readonly devices = new Map<string, PoolDevice>();
  readonly closed = new Set<string>();
  readonly leases = new Map<string, Account>();
  readonly waiting = new Map<string, { readonly request: PoolRequest; readonly deadline: number }>();
  readonly #wishes = new Map<string, PoolRequest>();
  #isShutDown = false;
  granted = 0;

  constructor(pool: PoolState) {
    this.#pool = pool;
  }

  /** Books one decision and checks the pool after it. Let time pass with a `tick` of its own before any other event. */
  observe(event: PoolEvent, effects: readonly Effect[], now: number): void {
    this.#bookEvent(event, effects);
    for (const effect of effects) this.#bookEffect(event, effect, now);
    if (event.kind === "requested") this.#wishes.delete(event.request.id);
    if (event.kind === "withdrawn") this.waiting.delete(event.id);
    this.#checkBooks();
    this.#checkQueue(now);
  }

  #bookEvent(event: PoolEvent, effects: readonly Effect[]): void {
    switch (event.kind) {
      case "deviceAdded":
        if (!this.devices.has(event.device.id)) this.devices.set(event.device.id, event.device);
        return;
      case "deviceRemoved":
      case "deviceCordoned":
        if (this.devices.has(event.deviceId)) this.closed.add(event.deviceId);
        return;
      case "deviceUncordoned":
        if (!listDevices(this.#pool).find((listing) => listing.device.id === event.deviceId)?.removed) {
          this.closed.delete(event.deviceId);
        }
        return;
      case "requested":
        if (!this.leases.has(event.request.id) && !this.waiting.has(event.request.id)) {
          this.#wishes.set(event.request.id, event.request);
          const answers = effects.filter((effect) => "id" in effect && effect.id === event.request.id);
          const grants = effects.filter((effect) => effect.kind === "granted" && effect.lease.id === event.request.id);
          check(answers.length + grants.length === 1, `Request ${event.request.id} gets one answer.`);
        } else check(!mentions(effects, event.request.id, "refused"), "A repeated request is harmless.");
        return;
      case "grantConfirmed":
        if (this.leases.get(event.id)?.phase === "granting") this.leases.get(event.id)!.phase = "granted";
        return;
      case "grantFailed":
        if (this.leases.get(event.id)?.phase === "granting") this.leases.delete(event.id);
        return;
      case "adopted":
        if (!this.leases.has(event.lease.id) && !this.waiting.has(event.lease.id)) {
          const fits = !mentions(effects, event.lease.id, "end");
          this.leases.set(event.lease.id, {
            request: event.lease,
            slices: fits ? event.lease.slices : [],
            phase: "granted",
          });
        }
        return;
      case "shutdown":
        this.#isShutDown = true;
    }
  }

  #bookEffect(event: PoolEvent, effect: Effect, now: number): void {
    switch (effect.kind) {
      case "granted":
        this.#bookGrant(effect.lease, now);
        return;
      case "queued": {
        const request = this.#wishes.get(effect.id);
        check(request !== undefined, `Only a new request is queued, not ${effect.id}.`);
        check(request.waitMs > 0, "A request that does not wait is not queued.");
        const asked = Math.min(request.requestedAt ?? now, now);
        this.waiting.set(effect.id, { request, deadline: asked + request.waitMs });
        return;
      }
      case "refused":
        check(this.waiting.has(effect.id) || this.#wishes.has(effect.id), `Request ${effect.id} is refused once.`);
        check(effect.message.endsWith("."), `A refusal is a sentence: ${effect.message}`);
        this.waiting.delete(effect.id);
        return;
      case "end": {
        const account = this.leases.get(effect.id);
        check(account !== undefined && account.phase !== "ending", `Lease ${effect.id} ends once.`);
        account.phase = "ending";
        return;
      }
      case "closed":
        check(
          event.kind === "reclaimed" && event.id === effect.lease.id,
          "Memory comes back only when it is reclaimed.",
        );
        check(this.leases.get(effect.lease.id)?.phase === "ending", "Only a lease that ends is closed.");
        this.leases.delete(effect.lease.id);
        return;
      case "deviceGone":
        check(this.closed.has(effect.deviceId), "Only a removed device goes.");
        this.devices.delete(effect.deviceId);
        this.closed.delete(effect.deviceId);
        return;
      case "notice":
        check(this.leases.has(effect.id), "A notice is about a lease.");
        check(effect.deadline >= now, "A notice is about the future.");
    }
  }

  #bookGrant(lease: Lease, now: number): void {
    const wish = this.waiting.get(lease.id)?.request ?? this.#wishes.get(lease.id);
    check(wish !== undefined, `Grant ${lease.id} answers a request.`);
    check(!this.leases.has(lease.id), `Request ${lease.id} is granted once.`);
    check(!this.#isShutDown, "Nothing is granted after a shutdown.");
    const deadline = this.waiting.get(lease.id)?.deadline;
    check(deadline === undefined || deadline >= now, `Request ${lease.id} is granted within its wait.`);
    check(lease.slices.length === wish.count, `Lease ${lease.id} has as many slices as asked for.`);
    const charged = new Set<string>();
    for (const [index, slice] of lease.slices.entries()) {
      const device = this.devices.get(slice.deviceId);
      check(device !== undefined && !this.closed.has(slice.deviceId), `Device ${slice.deviceId} takes new leases.`);
      check(slice.index === index, "Slices are numbered in order.");
      check(slice.bytes === expectedSlice(wish.share, device), `Slice [${slice.bytes}] of ${lease.id} is exact.`);
      check(slice.overheadBytes === (charged.has(device.id) ? 0 : device.overheadBytes), "Overhead is charged once.");
      charged.add(device.id);
    }
    const servers = new Set(lease.slices.map((slice) => this.devices.get(slice.deviceId)!.server ?? ""));
    check(servers.size === 1, "All slices are on one server.");
    check(wish.sameDevice === true || charged.size === wish.count, "Slices are on different devices.");
    this.waiting.delete(lease.id);
    this.leases.set(lease.id, { request: wish, slices: lease.slices, phase: "granting" });
    this.granted++;
  }

  /** Bytes held on every device, by the books. */
  held(): Map<string, { granted: number; overhead: number }> {
    const sums = new Map<string, { granted: number; overhead: number }>();
    for (const id of this.devices.keys()) sums.set(id, { granted: 0, overhead: 0 });
    for (const account of this.leases.values()) {
      for (const slice of account.slices) {
        const sum = sums.get(slice.deviceId)!;
        sum.granted += slice.bytes;
        sum.overhead += slice.overheadBytes;
      }
    }
    return sums;
  }

  #checkBooks(): void {
    const sums = this.held();
    const listing = listDevices(this.#pool);
    check(listing.length === this.devices.size, "The pool lists every device.");
    for (const device of listing) {
      const { granted, overhead } = sums.get(device.device.id)!;
      const id = device.device.id;
      check(
        device.grantedBytes === granted,
        `Device ${id} has [${device.grantedBytes}] granted, the books [${granted}].`,
      );
      check(device.overheadBytes === overhead, `Device ${id} has the overhead of its leases.`);
      check(device.freeBytes === device.device.memoryBytes - granted - overhead, `Device ${id} adds up.`);
      check(device.freeBytes >= 0, `Device ${id} has [${device.freeBytes}] free.`);
    }
    const leases = listLeases(this.#pool);
    check(
      leases.length === this.leases.size,
      `The pool has [${leases.length}] leases, the books [${this.leases.size}].`,
    );
    for (const lease of leases)
      check(this.leases.get(lease.id)?.phase === lease.state, `Lease ${lease.id} is ${lease.state}.`);
  }

  #checkQueue(now: number): void {
    const queue = listQueue(this.#pool);
    check(queue.length === this.waiting.size, `[${queue.length}] requests wait, by the books [${this.waiting.size}].`);
    const next = nextDeadline(this.#pool) ?? Number.POSITIVE_INFINITY;
    let position = 1;
    let priority = Number.POSITIVE_INFINITY;
    for (const entry of queue) {
      const booked = this.waiting.get(entry.request.id);
      check(booked !== undefined, `Request ${entry.request.id} waits.`);
      check(entry.position === position++, "Positions count from 1.");
      check(
        entry.deadline === booked.deadline && booked.deadline > now,
        `The wait of ${entry.request.id} ends in time.`,
      );
      check(next <= entry.deadline, "The next deadline is no later than the end of a wait.");
      check((entry.request.priority ?? 0) <= priority, "Higher priorities come first.");
      priority = entry.request.priority ?? 0;
    }
    if (queue[0] !== undefined)
      check(!this.hasRoom(queue[0].request), `The first request ${queue[0].request.id} finds no room.`);
  }

  /** Whether some server has room for the request now, found the slow way. */
  hasRoom(request: PoolRequest): boolean {
    const sums = this.held();
    const rooms = new Map<string, number>();
    for (const [id, device] of this.devices) {
      const slice = expectedSlice(request.share, device);
      if (slice === undefined || this.closed.has(id)) continue;
      const { granted, overhead } = sums.get(id)!;
      const free = device.memoryBytes - granted - overhead - device.overheadBytes;
      const room = Math.min(Math.max(0, Math.floor(free / slice)), request.sameDevice === true ? request.count : 1);
      rooms.set(device.server ?? "", (rooms.get(device.server ?? "") ?? 0) + room);
    }
    return [...rooms.values()].some((room) => room >= request.count);
  }
}

const mentions = (effects: readonly Effect[], id: string, kind: Effect["kind"]): boolean =>
  effects.some((effect) => effect.kind === kind && "id" in effect && effect.id === id);
