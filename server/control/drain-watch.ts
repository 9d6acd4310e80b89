/** Who watches devices being emptied: told which leases are left, until none is or the drain is called off. */
import { SluiceError } from "../../shared/errors.ts";
import type { DeviceListing } from "../pool/types.ts";

export interface DrainListener {
  /** The leases that still have a slice of it, at once and whenever they change; none: it is empty, and nothing more is told. */
  left(leaseIds: readonly string[]): void;
  /** The device takes new leases again: the last word. */
  stopped(reason: SluiceError): void;
}

interface Watch {
  readonly deviceId: string;
  readonly listener: DrainListener;
  told: string | undefined;
}

export class DrainWatch {
  readonly #find: (deviceId: string) => DeviceListing | undefined;
  readonly #watches = new Set<Watch>();

  constructor(find: (deviceId: string) => DeviceListing | undefined) {
    this.#find = find;
  }

  /** Tells at once, and then from `tell`; returns what stops that. */
  add(deviceId: string, listener: DrainListener): () => void {
    const watch = { deviceId, listener, told: undefined };
    this.#watches.add(watch);
    this.tell();
    return () => this.#watches.delete(watch);
  }

  /** Tells what has changed. */
  tell(): void {
    for (const watch of this.#watches) {
      const device = this.#find(watch.deviceId);
      const leases = device?.leases ?? [];
      const told = leases.join();
      if (told !== watch.told) watch.listener.left(leases);
      watch.told = told;
      if (leases.length > 0 && device?.draining) continue;
      this.#watches.delete(watch);
      if (leases.length === 0) continue;
      const message = `The device [${watch.deviceId}] takes new leases again, with [${leases.length}] on it.`;
      watch.listener.stopped(new SluiceError("CANCELLED", message));
    }
  }
}
