/** The pool as WatchPool tells it: takes snapshots and changes, and keeps what there is now. */
import type { Device__Output as Device } from "../../proto/generated/sluice/v1/Device.ts";
import type { Lease__Output as Lease } from "../../proto/generated/sluice/v1/Lease.ts";
import type { QueueEntry__Output as QueueEntry } from "../../proto/generated/sluice/v1/QueueEntry.ts";
import type { WatchPoolResponse__Output as WatchPoolResponse } from "../../proto/generated/sluice/v1/WatchPoolResponse.ts";

export class PoolMirror {
  readonly #devices = new Map<string, Device>();
  readonly #leases = new Map<string, Lease>();
  #queue: readonly QueueEntry[] = [];
  /** How many wait in all; the queue shows the first of them. */
  waiting = 0;
  /** The server's clock when it last said something. */
  nowAtMs = 0;

  apply(change: WatchPoolResponse): void {
    if (change.snapshot) {
      this.#devices.clear();
      this.#leases.clear();
      this.#queue = [];
    }
    for (const device of change.devices) this.#devices.set(device.id, device);
    for (const id of change.goneDeviceIds) this.#devices.delete(id);
    for (const lease of change.leases) this.#leases.set(lease.id, lease);
    for (const id of change.goneLeaseIds) this.#leases.delete(id);
    if (change.queueChanged) {
      this.#queue = change.queue;
      this.waiting = change.waiting;
    }
    this.nowAtMs = change.nowAtMs;
  }

  get devices(): readonly Device[] {
    return [...this.#devices.values()];
  }

  /** The oldest first. */
  get leases(): readonly Lease[] {
    return [...this.#leases.values()].sort((a, b) => a.grantedAtMs - b.grantedAtMs);
  }

  get queue(): readonly QueueEntry[] {
    return this.#queue;
  }
}
