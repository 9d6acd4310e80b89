// Original file: proto/sluice/v1/pool.proto

import type { Lease as _sluice_v1_Lease, Lease__Output as _sluice_v1_Lease__Output } from '../../sluice/v1/Lease.ts';

/**
 * One of several leases that are granted together.
 */
export interface GrantedLease {
  /**
   * The lease.
   */
  'lease'?: (_sluice_v1_Lease | null);
  /**
   * Its secret, as in `Granted`.
   */
  'secret'?: (Buffer | Uint8Array | string);
}

/**
 * One of several leases that are granted together.
 */
export interface GrantedLease__Output {
  /**
   * The lease.
   */
  'lease': (_sluice_v1_Lease__Output | null);
  /**
   * Its secret, as in `Granted`.
   */
  'secret': (Buffer);
}
