/** What there is of a device, or is wanted of it: memory and time together. Both are whole numbers, so that sums are exact. */
import type { DeviceRecord } from "./state.ts";
import { COMPUTE_WHOLE, type PoolDevice, type Slice } from "./types.ts";

export interface Amount {
  readonly bytes: number;
  /** Thousandths of the device's time. */
  readonly compute: number;
}

export const NOTHING: Amount = { bytes: 0, compute: 0 };

/** What a device has free. */
export const freeOn = ({ freeBytes, freeCompute }: DeviceRecord): Amount => ({
  bytes: freeBytes,
  compute: freeCompute,
});

/** What it has when nobody has any of it. */
export const allOf = ({ memoryBytes }: PoolDevice): Amount => ({ bytes: memoryBytes, compute: COMPUTE_WHOLE });

/** What a slice takes, its overhead included. */
export const amountOf = ({ bytes, overheadBytes, compute = 0 }: Slice): Amount => ({
  bytes: bytes + overheadBytes,
  compute,
});

export const covers = (amount: Amount, need: Amount): boolean =>
  amount.bytes >= need.bytes && amount.compute >= need.compute;

export const plus = (a: Amount, b: Amount): Amount => ({ bytes: a.bytes + b.bytes, compute: a.compute + b.compute });

/** May be less than nothing. */
export const minus = (a: Amount, b: Amount): Amount => ({ bytes: a.bytes - b.bytes, compute: a.compute - b.compute });
