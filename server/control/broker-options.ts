/** What the broker is given, and the words of those who ask it. */
import type { ErrorCode } from "../../shared/errors.ts";
import type { DeviceDescription } from "../device/device.ts";
import type { Parked } from "../executor/control-messages.ts";
import type { PoolDevice, PoolOptions, PoolRequest, Quota } from "../pool/types.ts";
import type { Clock } from "./clock.ts";
import type { LeaseStore } from "./lease-store.ts";
import type { PoolObserver } from "./pool-observer.ts";
import type { ReservationStore } from "./reservation-desk.ts";

/** A device with what the pool knows of it beside its description. */
export type PooledDevice = DeviceDescription & Pick<PoolDevice, "sharing" | "facts" | "labels" | "taints" | "links">;

export interface BrokerOptions {
  readonly devices: readonly PooledDevice[];
  readonly heartbeatTimeoutMs: number;
  /** Where a request names no policy. Default: pack. */
  readonly policy?: PoolRequest["policy"];
  /** Default: those of PoolOptions. */
  readonly pool?: PoolOptions;
  readonly store: LeaseStore;
  readonly reservations: ReservationStore;
  readonly clock: Clock;
  /** `byteCount` unpredictable bytes. */
  readonly randomBytes: (byteCount: number) => Buffer;
  /** Ends a lease's executor; resolves once it is dead. */
  readonly endSessions: (leaseId: string, code: ErrorCode, message: string) => Promise<void>;
  /** The file over which a device's leases take turns. Default: they do not. */
  readonly turnFileOf?: (deviceId: string) => string;
  /** Whether what is promised of a device's time is held; whoever asks for it is warned otherwise. Default true. */
  readonly holdsCompute?: boolean;
  /** Gives a slice another size in the lease's executor; resolves once it has, or there is none. */
  readonly resizeSlice: (leaseId: string, index: number, bytes: number) => Promise<void>;
  /** Lets the lease's executor save its memory on the host and give it back; resolves once it has, or there is none. */
  readonly park: (leaseId: string) => Promise<Parked>;
  /** Lets it take its memory again; resolves once it has, or there is none. */
  readonly unpark: (leaseId: string) => Promise<void>;
  /** Hears that a device is closed because it is ill, and that an admin lends a device again. */
  readonly onUnhealthy?: (deviceId: string, message: string) => void;
  readonly onUncordoned?: (deviceId: string) => void;
  /** Counts what happens. */
  readonly observer?: PoolObserver;
  readonly log: { info(fields: object, message: string): void; error(fields: object, message: string): void };
}

/** What a client asks for, checked; the rest of a PoolRequest is the broker's. */
export type Wish = Omit<PoolRequest, "id">;

/** What an admin decides about a tenant. */
export interface TenantTerms {
  readonly weight: number;
  readonly quota: Quota;
}
