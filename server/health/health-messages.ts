/** What the daemon and the processes that ask and try devices say to each other: plain JSON objects over the IPC channel of a fork. */
import type { DeviceDescription, DeviceHealth } from "../device/device.ts";

export type ToHealthProcess =
  /** Tell how the devices are, at once and then after each interval. */
  | { readonly kind: "watch"; readonly devices: readonly DeviceDescription[]; readonly intervalMs: number }
  /** An admin has looked at the device: what it had reported until now is forgotten. */
  | { readonly kind: "acknowledge"; readonly deviceId: string }
  /** Prove that the device works, then exit. */
  | { readonly kind: "probe"; readonly device: DeviceDescription };

export type FromHealthProcess =
  /** `acknowledged`: how many acknowledgements it knew when it asked. */
  | { readonly kind: "health"; readonly health: readonly DeviceHealth[]; readonly acknowledged: number }
  /** The device works. */
  | { readonly kind: "probed"; readonly overheadBytes?: number }
  | { readonly kind: "failed"; readonly message: string }
  /** The driver answers, and the device has no memory left to try it with: leases, or others, have it. */
  | { readonly kind: "full" };
