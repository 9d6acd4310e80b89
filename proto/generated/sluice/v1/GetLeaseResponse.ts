// Original file: proto/sluice/v1/pool.proto

import type { Lease as _sluice_v1_Lease, Lease__Output as _sluice_v1_Lease__Output } from '../../sluice/v1/Lease.ts';
import type { Connection as _sluice_v1_Connection, Connection__Output as _sluice_v1_Connection__Output } from '../../sluice/v1/Connection.ts';

export interface GetLeaseResponse {
  /**
   * The lease.
   */
  'lease'?: (_sluice_v1_Lease | null);
  /**
   * How to work under it.
   */
  'connection'?: (_sluice_v1_Connection | null);
}

export interface GetLeaseResponse__Output {
  /**
   * The lease.
   */
  'lease': (_sluice_v1_Lease__Output | null);
  /**
   * How to work under it.
   */
  'connection': (_sluice_v1_Connection__Output | null);
}
