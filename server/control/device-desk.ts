/**
 * The devices towards the world: what is shown of them, how they are, and what an admin or their own health does to them. Who gets what of
 * them is the pool's.
 */
import { SluiceError } from "../../shared/errors.ts";
import type { DeviceDescription, DeviceHealth } from "../device/device.ts";
import { findDevice, listDevices, type PoolState } from "../pool/pool.ts";
import type { Cordon, DeviceListing, PoolEvent } from "../pool/types.ts";
import type { BrokerOptions } from "./broker-options.ts";
import { type CheckedHealth, DeviceHealthBook } from "./device-health.ts";
import { type DrainListener, DrainWatch } from "./drain-watch.ts";
import type { LeaseNotice } from "./lease-record.ts";

export interface DeviceDeskOptions
  extends Pick<BrokerOptions, "devices" | "clock" | "log" | "onUnhealthy" | "onUncordoned"> {
  readonly pool: PoolState;
  readonly apply: (event: PoolEvent) => void;
  /** Something has changed that listings show. */
  readonly changed: () => void;
  /** Tells the leases on a device. */
  readonly notify: (deviceId: string, notice: LeaseNotice) => void;
}

export class DeviceDesk {
  readonly #options: DeviceDeskOptions;
  readonly #descriptions: ReadonlyMap<string, DeviceDescription>;
  readonly #health: DeviceHealthBook;
  readonly #drains: DrainWatch;

  constructor(options: DeviceDeskOptions) {
    this.#options = options;
    this.#descriptions = new Map(options.devices.map((description) => [description.id, description]));
    this.#health = new DeviceHealthBook(options.clock);
    this.#drains = new DrainWatch((deviceId) => findDevice(options.pool, deviceId));
  }

  list(): { listing: DeviceListing; description: DeviceDescription }[] {
    return listDevices(this.#options.pool).map((listing) => ({
      listing,
      description: this.describe(listing.device.id),
    }));
  }

  /** What is known of a device that is there. */
  describe(deviceId: string): DeviceDescription {
    return this.#descriptions.get(deviceId)!;
  }

  /** Throws SluiceError BAD_ARGUMENT for a device that is not there. */
  check(deviceId: string): void {
    if (this.#descriptions.has(deviceId)) return;
    const known = [...this.#descriptions.keys()].join(", ");
    throw new SluiceError("BAD_ARGUMENT", `There is no device [${printable(deviceId)}]; the server has [${known}].`);
  }

  /** Places nothing new on a device. Throws SluiceError BAD_ARGUMENT for one that is not there. */
  cordon(deviceId: string, cordon: Cordon): void {
    this.check(deviceId);
    this.#options.apply({ kind: "deviceCordoned", deviceId, ...cordon });
  }

  /** Lends the device again. Of one that was ill, only what it reports from now on counts. */
  uncordon(deviceId: string): void {
    this.check(deviceId);
    this.#health.acknowledge(deviceId);
    this.#options.onUncordoned?.(deviceId);
    this.#options.apply({ kind: "deviceUncordoned", deviceId });
  }

  /**
   * Closes a device and takes back what runs there after the grace. Returns what stops the telling. Throws SluiceError
   * BAD_ARGUMENT for a device that is not there.
   */
  drain(deviceId: string, how: DrainListener & { readonly graceMs: number; readonly message: string }): () => void {
    this.check(deviceId);
    const { graceMs, message } = how;
    this.#options.apply({ kind: "deviceDrained", deviceId, graceMs, message });
    return this.#drains.add(deviceId, how);
  }

  /** Tells those who watch a drain what has changed. */
  tellDrains(): void {
    this.#drains.tell();
  }

  /** How a device was when it was last asked; undefined before, and for what is no hardware. */
  healthOf(deviceId: string): CheckedHealth | undefined {
    return this.#health.latest(deviceId);
  }

  /**
   * Takes what a device reports. A new problem closes it for new leases until an admin opens it again, however well it reports to be later,
   * and is told to its leases, which live on.
   */
  report(health: DeviceHealth): void {
    const { pool, log, onUnhealthy, apply, changed, notify } = this.#options;
    const news = this.#health.report(health);
    changed();
    if (news.length === 0) return;
    const { id: deviceId } = health;
    const message = `The device [${deviceId}] fails its health check: ${news.join(" ")}`;
    log.error({ device: deviceId, problems: news }, "The device is closed for new leases");
    if (findDevice(pool, deviceId)?.cordon === undefined) {
      onUnhealthy?.(deviceId, message);
      apply({ kind: "deviceCordoned", deviceId, code: "DEVICE_UNHEALTHY", message });
    }
    notify(deviceId, { kind: "device-unhealthy", message, deadlineAtMs: 0 });
  }
}

const printable = (id: string): string => id.replace(/[^\w:-]/g, "?").slice(0, 64);
